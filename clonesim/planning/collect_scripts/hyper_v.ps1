#Requires -Version 5.1
#Requires -Modules Hyper-V
<#
.SYNOPSIS
Measures the differencing disks of virtual desktops on Hyper-V, and appends them to a table.

.DESCRIPTION
'<about>'

It reads: Get-VM, Get-VMHardDiskDrive, Get-VHD (FileSize, ParentPath) along each chain of disks, capacity and free space of
volumes (Win32_Volume), and the nodes of -Cluster. Membership in the group Hyper-V Administrators is enough for that.
A machine is a linked clone if a disk of it is a differencing disk. Its delta is all files of the chain that differ from a
parent and belong to no other machine: the differencing disk and checkpoints (.avhdx) on it.
pool is the name of the base image's file; lun is the volume.

How to run it '<every>', on one host for all of a cluster:

'<schedule>'

Then, on any machine: clonesim fit FILE

.EXAMPLE
'<example>'
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Low')]
param(
    # Hosts to ask; this one by default.
    [string[]] $ComputerName = @($env:COMPUTERNAME),

    # Cluster whose nodes are asked instead.
    [string] $Cluster = '',

    # Names of the machines to look at; * stands for anything.
    [string[]] $Name = @('*'),

    # The table.
    [string] $Csv = (Join-Path $PSScriptRoot 'clonesim-sizes.csv')
)

'<common>'

'<vhd>'

$CacheDisks = $false
$SmallDisk = 64MB

$asked = if ($Cluster) { "nodes of cluster $Cluster" } else { $ComputerName -join ', ' }
$what = "Read virtual disks of machines named $($Name -join ', ') on $asked and append their sizes"
if (-not $PSCmdlet.ShouldProcess($Csv, $what)) { return }
exit (Invoke-Collection {
    $script:Computers = $ComputerName
    if ($Cluster) {
        $nodes = @(Get-ClusterNode -Cluster $Cluster | Where-Object { "$($_.State)" -eq 'Up' })
        $script:Computers = @($nodes | ForEach-Object { $_.Name })
    }
    Read-Chains $null
})
