#Requires -Version 5.1
#Requires -Modules VMware.VimAutomation.Core
<#
.SYNOPSIS
Measures the delta files of linked clones on vSphere (Horizon View, instant clones), and appends them to a table.

.DESCRIPTION
'<about>'

It reads: names and folders of virtual machines, their layoutEx (files, sizes, chains of disks) after a RefreshStorageInfo,
which asks the host for the sizes again, and name, capacity and free space of datastores. It is meant for a read-only role.
A machine is a linked clone if a disk's base image lies in another machine's folder. Its delta is what lies above, in its
own folder: checkpoint and current file. Persistent and disposable disks of Horizon do not count.
pool is the machine's folder in the inventory, which Horizon names after the pool; lun is the datastore.

It uses the vCenter session that is open, or connects to -Server as the Windows account that runs it.

How to run it '<every>':

'<schedule>'

Then, on any machine: clonesim fit FILE

.EXAMPLE
'<example>'
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Low')]
param(
    # vCenter server; not needed where a session is open.
    [string] $Server = '',

    # Names of the machines to look at; * stands for anything.
    [string[]] $Name = @('*'),

    # The table.
    [string] $Csv = (Join-Path $PSScriptRoot 'clonesim-sizes.csv')
)

'<common>'

'<vsphere>'

$CacheDisks = $false
$SmallDisk = 64MB

$what = "Read layoutEx of machines named $($Name -join ', ') and append their sizes"
if (-not $PSCmdlet.ShouldProcess($Csv, $what)) { return }
exit (Invoke-Collection { Read-Layouts $null })
