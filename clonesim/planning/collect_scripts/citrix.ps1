#Requires -Version 5.1
<#
.SYNOPSIS
Measures difference disks and write-cache disks of Citrix machines (MCS, PVS), and appends them to a table.

.DESCRIPTION
'<about>'

It reads: machines and catalogs of the site (Get-BrokerMachine), then their disks from the hypervisor: on vSphere with PowerCLI
(layoutEx after a RefreshStorageInfo, which asks the host for the sizes again; datastores), on Hyper-V with Get-VM,
Get-VMHardDiskDrive, Get-VHD and Win32_Volume. It is meant for an account that may only read: Read Only Administrator of the
site, a read-only role of vCenter, or Hyper-V Administrators. Citrix Hypervisor (XenServer) is not read.
Machines of MCS: what lies above the base image, and write-back cache disks; those of PVS: all their disks, which hold the write
cache. Disks of 64 MiB and less (the identity disk) do not count. A thick write-cache disk always has its full size: only
thin ones show growth. Machines that are full copies have nothing to measure.
pool is the machine catalog; lun is the datastore or volume.

How to run it '<every>', where the Citrix SDK is installed:

'<schedule>'

Then, on any machine: clonesim fit FILE

.EXAMPLE
'<example>'
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Low')]
param(
    # What the machines run on.
    [Parameter(Mandatory = $true)] [ValidateSet('vsphere', 'hyper-v')] [string] $Hypervisor,

    # Delivery controller.
    [string] $Controller = 'localhost',

    # Catalogs to look at; * stands for anything.
    [string[]] $Catalog = @('*'),

    # vCenter server, on vSphere; not needed where a session is open.
    [string] $Server = '',

    # Hosts to ask, on Hyper-V.
    [string[]] $ComputerName = @($env:COMPUTERNAME),

    # The table.
    [string] $Csv = (Join-Path $PSScriptRoot 'clonesim-sizes.csv')
)

'<common>'

'<vsphere>'

'<vhd>'

$CacheDisks = $true
$SmallDisk = 64MB
$Name = @('*')
$Computers = $ComputerName

function Get-Wanted {
    # Machines of the catalogs by their names on the hypervisor, a thousand at a time.
    if (-not (Get-Command -Name Get-BrokerMachine -ErrorAction SilentlyContinue)) { Add-PSSnapin -Name Citrix.Broker.Admin.V2 }
    $wanted = @{}
    for ($skip = 0; ; $skip += 1000) {
        $page = @(Get-BrokerMachine -AdminAddress $Controller -MaxRecordCount 1000 -Skip $skip -SortBy Uid)
        foreach ($machine in $page) {
            $made = "$($machine.ProvisioningType)"
            if ($made -notin 'MCS', 'PVS' -or -not $machine.HostedMachineName) { continue }
            if (-not ($Catalog | Where-Object { $machine.CatalogName -like $_ })) { continue }
            $wanted[[string] $machine.HostedMachineName] = @{ Pool = [string] $machine.CatalogName; AllDisks = ($made -eq 'PVS') }
        }
        if ($page.Count -lt 1000) { break }
    }
    if (-not $wanted.Count) { throw "no machine of MCS or PVS is in the catalogs named $($Catalog -join ', ')" }
    $wanted
}

$what = "Read machines of catalogs named $($Catalog -join ', '), their disks on $Hypervisor, and append their sizes"
if (-not $PSCmdlet.ShouldProcess($Csv, $what)) { return }
exit (Invoke-Collection {
    $wanted = Get-Wanted
    if ($Hypervisor -eq 'vsphere') { Read-Layouts $wanted } else { Read-Chains $wanted }
})
