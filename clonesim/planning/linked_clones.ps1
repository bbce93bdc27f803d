#Requires -Version 5.1
#Requires -Modules VMware.VimAutomation.Core
<#
.SYNOPSIS
'<synopsis>'

.DESCRIPTION
Connect first: Connect-VIServer. This script neither asks for nor keeps credentials.
Everything that is named is looked up first; nothing is created if something is missing.
Clones are created one after the other, in the order of their names, and are not powered on.
A clone that exists already is left as it is, so the script can be run again after an interruption.
With -WhatIf it says what it would create, and creates nothing.

.EXAMPLE
'<example>'
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Medium')]
param(
    # Virtual machine that the clones are made from; {datastore} stands for the name of the clone's datastore.
    [string] $BaseImage = '<base image>',

    # Its snapshot that the clones start from.
    [string] $Snapshot = '<snapshot>',

    # Folder of the inventory for the clones; empty: the usual one.
    [string] $Folder = '',

    # Specification that customizes the guests; empty: none.
    [string] $CustomizationSpec = '',

    # vCenter server, if the session is connected to several.
    [string] $Server = ''
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# Clones by datastore, in the order in which they are created.
$Plan = @(
'<plan>'
)

$known = Get-Variable -Name DefaultVIServers -Scope Global -ErrorAction SilentlyContinue
$connected = @(if ($known) { $known.Value | Where-Object { $_.IsConnected -and (-not $Server -or $_.Name -eq $Server) } })
if ($connected.Count -ne 1) {
    throw "Connected to $($connected.Count) vCenter servers; 1 is needed. Run Connect-VIServer, or give -Server."
}
$at = $connected[0]

function Get-TheOne([object[]] $Found, [string] $What) {
    if ($Found.Count -ne 1) { throw "$What was found $($Found.Count) times; it must be there once." }
    $Found[0]
}

$more = @{}
if ($Folder) {
    $more.Location = Get-TheOne @(Get-Folder -Name $Folder -Type VM -Server $at -ErrorAction SilentlyContinue) "Folder $Folder"
}
if ($CustomizationSpec) {
    $more.OSCustomizationSpec = Get-TheOne @(Get-OSCustomizationSpec -Name $CustomizationSpec -Server $at -ErrorAction SilentlyContinue) "Customization $CustomizationSpec"
}

$existing = @{}
foreach ($vm in @(Get-VM -Server $at)) { $existing[$vm.Name] = $true }

$datastores = @{}
$hostGroups = @{}
$baseImages = @{}
$snapshots = @{}
foreach ($part in $Plan) {
    $base = $BaseImage.Replace('{datastore}', $part.Datastore)
    if (-not $datastores.ContainsKey($part.Datastore)) {
        $datastores[$part.Datastore] = Get-TheOne @(Get-Datastore -Name $part.Datastore -Server $at -ErrorAction SilentlyContinue) "Datastore $($part.Datastore)"
    }
    if (-not $hostGroups.ContainsKey($part.HostGroup)) {
        $hostGroups[$part.HostGroup] = Get-TheOne @(Get-Cluster -Name $part.HostGroup -Server $at -ErrorAction SilentlyContinue) "Cluster $($part.HostGroup)"
    }
    if (-not $snapshots.ContainsKey($base)) {
        $baseImages[$base] = Get-TheOne @(Get-VM -Name $base -Server $at -ErrorAction SilentlyContinue) "Base image $base"
        $snapshots[$base] = Get-TheOne @(Get-Snapshot -VM $baseImages[$base] -Name $Snapshot -Server $at -ErrorAction SilentlyContinue) "Snapshot $Snapshot of $base"
    }
}

foreach ($part in $Plan) {
    $base = $BaseImage.Replace('{datastore}', $part.Datastore)
    foreach ($name in $part.Names) {
        if ($existing.ContainsKey($name)) {
            Write-Warning "$name exists already and is left as it is."
            continue
        }
        if ($PSCmdlet.ShouldProcess($name, "Create a linked clone of $base on $($part.Datastore)")) {
            New-VM -Name $name -VM $baseImages[$base] -LinkedClone -ReferenceSnapshot $snapshots[$base] -Datastore $datastores[$part.Datastore] -ResourcePool $hostGroups[$part.HostGroup] -Server $at -Confirm:$false @more
        }
    }
}
