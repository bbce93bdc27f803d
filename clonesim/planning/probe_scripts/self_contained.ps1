#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Finds out how this Windows picks free clusters, without a hypervisor: inside one VHD file and a differencing VHD above it.

.DESCRIPTION
Makes a folder of its own, and in it a VHD file: formatted with NTFS, filled, detached. Above it a differencing VHD
(VHD, not VHDX, so that no discard empties it) is attached, files are created and deleted in a known pattern, and it is
detached after each step. Its sector bitmaps then tell exactly which sectors the step wrote first; they go into the result.

Twice -DiskGiB of free space is needed. The script writes to its own folder and to the result file only, changes no
setting, uses no network, and detaches and removes its disks when it ends or is interrupted. What the result holds:
version of Windows, sizes, times and bitmaps of the VHD; no names of machines, users or files of yours.
With -WhatIf it says what it would do, and does nothing. If the machine was switched off meanwhile, run it with -Clean.

.EXAMPLE
.\probe.ps1 -DiskGiB 4
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Medium')]
param(
    # Folder to make for the disks; it must not exist. A local NTFS drive is needed.
    [string] $Folder = (Join-Path $env:SystemDrive 'clonesim-probe'),

    # Result, outside the folder.
    [string] $Result = (Join-Path $env:SystemDrive 'clonesim-probe.json'),

    # Size of the disk that is probed; a 64th of it is the unit of the pattern.
    [ValidateSet(2, 4, 8, 16)] [int] $DiskGiB = 4,

    # Cluster size of its volume.
    [ValidateSet(4, 8, 16, 32, 64)] [int] $ClusterKiB = 4,

    # Seconds to wait after files are deleted; Windows does not use their clusters again at once.
    [ValidateRange(5, 3600)] [int] $WaitSeconds = 30,

    # Only detach and remove what an earlier run left.
    [switch] $Clean
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Disk = [long] $DiskGiB * 1GB
$Unit = [long] ($Disk / 64)
$Parts = '<parts>'
$OffsetKiB = 1024
$Base = @'
'<base>'
'@
$Pattern = @'
'<pattern>'
'@

$Folder = [IO.Path]::GetFullPath($Folder)
$Result = [IO.Path]::GetFullPath($Result)
$Mark = Join-Path $Folder 'clonesim-probe.mark'
$BaseFile = Join-Path $Folder 'base.vhd'
$ChildFile = Join-Path $Folder 'child.vhd'
$Drive = ''

function Get-Size([long] $In256ths) { [long] ($In256ths * $Unit / $Parts) }

'<common>'

function Get-FreeBytes { (New-Object IO.DriveInfo $Drive).AvailableFreeSpace }

function Invoke-DiskPart([string[]] $Lines) {
    $file = Join-Path $Folder 'diskpart.txt'
    [IO.File]::WriteAllLines($file, $Lines, [Text.Encoding]::Default)
    $said = & diskpart.exe /s $file
    if ($LASTEXITCODE -ne 0) { throw "diskpart failed at: $($Lines -join '; '). It said: $($said -join ' ')" }
}

function Mount-Own([string] $File) {
    Invoke-DiskPart @("select vdisk file=""$File""", 'attach vdisk', 'select partition 1', "assign letter=$Letter noerr")
    for ($tries = 0; -not (Test-Path -LiteralPath $Drive); $tries++) {
        if ($tries -ge 60) { throw "The volume of $File did not appear as $Drive." }
        Start-Sleep -Milliseconds 500
    }
}

function Dismount-Own([string] $File) {
    Invoke-DiskPart @("select vdisk file=""$File""", 'detach vdisk')
}

function Remove-Own {
    # Only a folder that carries the mark of this script is removed, after its disks are detached.
    if (-not (Test-Path -LiteralPath $Mark)) { return }
    foreach ($file in @($ChildFile, $BaseFile)) {
        if (Test-Path -LiteralPath $file) {
            Invoke-DiskPart @("select vdisk file=""$file""", 'detach vdisk noerr')
        }
    }
    Remove-Item -LiteralPath $Folder -Recurse -Force -Confirm:$false -WhatIf:$false
}

function Get-Number([byte[]] $From, [int] $At, [int] $Count) {
    # Numbers in a VHD have their highest byte first.
    $value = [long] 0
    for ($k = 0; $k -lt $Count; $k++) { $value = $value * 256 + $From[$At + $k] }
    $value
}

function Read-At([IO.FileStream] $Stream, [long] $At, [int] $Count) {
    $bytes = New-Object byte[] $Count
    [void] $Stream.Seek($At, [IO.SeekOrigin]::Begin)
    for ($got = 0; $got -lt $Count; $got += $more) {
        $more = $Stream.Read($bytes, $got, $Count - $got)
        if ($more -le 0) { throw "The VHD file ends at $($At + $got)." }
    }
    , $bytes
}

function Read-Bitmaps([string] $File) {
    # Blocks that the child holds, and the sector bitmap of each, packed.
    $stream = [IO.File]::Open($File, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]::ReadWrite)
    $memory = New-Object IO.MemoryStream
    $deflate = New-Object IO.Compression.DeflateStream ($memory, [IO.Compression.CompressionMode]::Compress, $true)
    try {
        $footer = Read-At $stream 0 512
        if ([Text.Encoding]::ASCII.GetString($footer, 0, 8) -ne 'conectix') { throw "$File is no VHD with a table of blocks." }
        $header = Read-At $stream (Get-Number $footer 16 8) 1024
        if ([Text.Encoding]::ASCII.GetString($header, 0, 8) -ne 'cxsparse') { throw "$File has no header of a sparse VHD." }
        $count = [int] (Get-Number $header 28 4)
        $block = Get-Number $header 32 4
        $length = [int] ($block / 512 / 8)
        $table = Read-At $stream (Get-Number $header 16 8) ($count * 4)
        $blocks = New-Object Collections.ArrayList
        for ($k = 0; $k -lt $count; $k++) {
            $sector = Get-Number $table ($k * 4) 4
            if ($sector -eq 4294967295) { continue }
            $bitmap = Read-At $stream ($sector * 512) $length
            $deflate.Write($bitmap, 0, $length)
            [void] $blocks.Add($k)
        }
        $deflate.Dispose()
        @{ block_bytes = $block; blocks = @($blocks); bitmaps = [Convert]::ToBase64String($memory.ToArray()) }
    } finally {
        $deflate.Dispose()
        $memory.Dispose()
        $stream.Dispose()
    }
}

if ($Clean) {
    if ($PSCmdlet.ShouldProcess($Folder, 'Detach and remove what an earlier run left')) { Remove-Own }
    return
}

if (Test-Path -LiteralPath $Folder) { throw "Folder $Folder exists. Remove it with -Clean if it is the probe's, or choose another -Folder." }
if (Test-Path -LiteralPath $Result) { throw "Result $Result exists. Move it, or choose another -Result." }
if ($Result.StartsWith($Folder + '\', [StringComparison]::OrdinalIgnoreCase)) { throw "-Result $Result lies in the probe's folder, which is removed. Choose another place." }
if ($Folder -match '"') { throw '-Folder must not hold a quotation mark.' }
$room = (New-Object IO.DriveInfo ([IO.Path]::GetPathRoot($Folder))).AvailableFreeSpace
if ($room -lt 2 * $Disk + 1GB) { throw "The probe needs $(2 * $Disk + 1GB) bytes free for $Folder, $room are. Use a smaller -DiskGiB." }
$taken = @([IO.DriveInfo]::GetDrives() | ForEach-Object { $_.Name.Substring(0, 1) })
$Letter = @('P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z' | Where-Object { $taken -notcontains $_ })[0]
if (-not $Letter) { throw 'No drive letter from P to Z is free.' }
$Drive = "${Letter}:\"
if (-not $PSCmdlet.ShouldProcess($Folder, "Create and probe a VHD of $DiskGiB GiB as drive $Letter")) { return }

try {
    [void] (New-Item -ItemType Directory -Path $Folder)
    [IO.File]::WriteAllText($Mark, 'Made by the probe of clonesim; it removes this folder.')
    Write-Host 'Making the base disk'
    Invoke-DiskPart @(
        "create vdisk file=""$BaseFile"" maximum=$([long] ($Disk / 1MB)) type=expandable",
        "select vdisk file=""$BaseFile""", 'attach vdisk',
        "create partition primary offset=$OffsetKiB",
        "format fs=ntfs quick label=clonesim unit=$($ClusterKiB * 1024)", "assign letter=$Letter"
    )
    $inside = Join-Path $Drive 'probe'
    [void] (New-Item -ItemType Directory -Path $inside)
    foreach ($line in ($Base -split "`r?`n")) { Invoke-Act $inside $line }
    Start-Sleep -Seconds $WaitSeconds
    $info = New-Object IO.DriveInfo $Drive
    $used = $info.TotalSize - $info.TotalFreeSpace
    Dismount-Own $BaseFile
    Invoke-DiskPart @("create vdisk file=""$ChildFile"" parent=""$BaseFile""")
    $os = Get-CimInstance Win32_OperatingSystem
    $about = @{
        clonesim_probe = 1; form = 'self-contained'; windows = $os.Caption; build = $os.Version
        disk_bytes = $Disk; partition_offset = $OffsetKiB * 1024; cluster_bytes = $ClusterKiB * 1024; used_bytes = $used
        unit_bytes = $Unit; wait_s = $WaitSeconds; restarted = $true
    }
    $rows = New-Object Collections.ArrayList
    foreach ($block in ($Pattern -split '(?m)^step ' | Where-Object { $_.Trim() })) {
        $lines = @($block.Trim() -split "`r?`n")
        Write-Host "Step $($lines[0])"
        $watch = [Diagnostics.Stopwatch]::StartNew()
        Mount-Own $ChildFile
        foreach ($line in ($lines | Select-Object -Skip 1)) { Invoke-Act $inside $line }
        Dismount-Own $ChildFile
        $row = Read-Bitmaps $ChildFile
        $about.block_bytes = $row.block_bytes
        $row.Remove('block_bytes')
        $row.step = $lines[0].Trim()
        $row.seconds = $watch.Elapsed.TotalSeconds
        [void] $rows.Add($row)
    }
    $about.steps = @($rows)
    [IO.File]::WriteAllText($Result, (ConvertTo-Json -InputObject $about -Depth 6), (New-Object Text.UTF8Encoding $false))
    Write-Host "Result: $Result. Next: clonesim probe fit $Result"
} finally {
    Remove-Own
}
