#Requires -Version 5.1
<#
.SYNOPSIS
Finds out how this Windows picks free clusters: creates and deletes files in a known pattern, in a folder of its own.

.DESCRIPTION
Run it in a test desktop whose snapshot or linked clone was just made, so that its delta is small.
Between the steps it asks for the size of the delta file in bytes, as the hypervisor or the datastore shows it. Press
Enter to leave it out; give the sizes later with: clonesim probe fit FILE --delta sizes.csv

Free space is needed: 13 units of -UnitMiB and 64 MiB, and the delta may grow by about as much. All other free space of the volume is
reserved for the time of the probe by a file that nothing is written to; at least 2 units always stay free.
After the third step it ends and asks for a restart of the guest; run it again afterwards with the same parameters.

It writes to its own folder only, changes no setting, uses no network, and removes its files when it ends, when it is
interrupted, and with -Clean. The result file stays. With -WhatIf it says what it would do, and does nothing.

.EXAMPLE
.\probe.ps1 -UnitMiB 256 -DeltaFormat vmfs-sparse
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Medium')]
param(
    # Folder to make for the probe; its drive is the one that is probed. It must not exist before the first run.
    [string] $Folder = (Join-Path $env:SystemDrive 'clonesim-probe'),

    # Result, next to the folder of the probe.
    [string] $Result = (Join-Path $env:SystemDrive 'clonesim-probe.json'),

    # Unit of the pattern. Large enough that what Windows writes by itself in a minute is small beside it.
    [ValidateRange(1, 8192)] [int] $UnitMiB = 256,

    # Seconds to wait after files are deleted; Windows does not use their clusters again at once.
    [ValidateRange(5, 3600)] [int] $WaitSeconds = 30,

    # Format of the delta: '<formats>'.
    [ValidatePattern('^[a-z0-9-]+$')] [string] $DeltaFormat = 'vmfs-sparse',

    # Do not ask for sizes and wait for the restart; write times only.
    [switch] $Unattended,

    # Go on without a restart; next-fit and worst-fit are then harder to tell apart.
    [switch] $NoRestart,

    # Only remove what an earlier run left.
    [switch] $Clean
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Unit = [long] $UnitMiB * 1MB
$Parts = '<parts>'
$RestartBefore = '<restart before>'
$Prepare = @'
'<prepare>'
'@
$Pattern = @'
'<pattern>'
'@

$Folder = [IO.Path]::GetFullPath($Folder)
$Result = [IO.Path]::GetFullPath($Result)
$StateFile = Join-Path $Folder 'state.json'
$Mark = Join-Path $Folder 'clonesim-probe.mark'

function Get-Size([long] $In256ths) { [long] ($In256ths * $Unit / $Parts) }

'<common>'

function Get-FreeBytes { (New-Object IO.DriveInfo ([IO.Path]::GetPathRoot($Folder))).AvailableFreeSpace }

function Get-DeltaBytes([string] $Step) {
    if ($Unattended) { return $null }
    while ($true) {
        $typed = (Read-Host "Step '$Step' is done. Size of the delta file in bytes (Enter: later)").Trim()
        if (-not $typed) { return $null }
        if ($typed -match '^[0-9]{1,15}$') { return [long] $typed }
        Write-Warning 'A whole number of bytes is needed, without separators.'
    }
}

function Remove-Own {
    # Only a folder that carries the mark of this script is removed.
    if (Test-Path -LiteralPath $Mark) { Remove-Item -LiteralPath $Folder -Recurse -Force -Confirm:$false -WhatIf:$false }
}

function Get-Pieces([string] $Path) {
    # Fragments of a file as fsutil lists them, from Windows 10 on; 0 if it cannot tell.
    try {
        $lines = @(& fsutil.exe file queryextents $Path 2>$null | Where-Object { $_ -match '0x[0-9a-fA-F]+.*0x[0-9a-fA-F]+.*0x[0-9a-fA-F]+' })
        if ($LASTEXITCODE -ne 0) { return 0 }
        return $lines.Count
    } catch { return 0 }
}

function Save-Json([string] $Path, $Value) {
    [IO.File]::WriteAllText($Path, (ConvertTo-Json -InputObject $Value -Depth 6), (New-Object Text.UTF8Encoding $false))
}

if ($Clean) {
    if ($PSCmdlet.ShouldProcess($Folder, 'Remove what an earlier run left')) { Remove-Own }
    return
}

$drive = New-Object IO.DriveInfo ([IO.Path]::GetPathRoot($Folder))
if ($drive.DriveFormat -ne 'NTFS') { throw "Drive $($drive.Name) has $($drive.DriveFormat); the probe is for NTFS." }
if ((Split-Path -Parent $Result) -eq $Folder) { throw "-Result $Result lies in the probe's folder, which is removed. Choose another place." }
$again = Test-Path -LiteralPath $StateFile
if (-not $again) {
    if (Test-Path -LiteralPath $Folder) { throw "Folder $Folder exists. Remove it with -Clean if it is the probe's, or choose another -Folder." }
    if (Test-Path -LiteralPath $Result) { throw "Result $Result exists. Move it, or choose another -Result." }
    $needed = (Get-Size '<room>') + 64MB
    $free = Get-FreeBytes
    if ($free -lt $needed) { throw "The probe needs $needed bytes free on $($drive.Name), $free are. Use a smaller -UnitMiB." }
}
$what = "Create and delete files in a pattern of $UnitMiB MiB"
if (-not $PSCmdlet.ShouldProcess($Folder, $what)) { return }

$keep = $false
try {
    if ($again) {
        $state = Get-Content -LiteralPath $StateFile -Raw -Encoding UTF8 | ConvertFrom-Json
        if ([long] $state.unit_bytes -ne $Unit) { throw "The first part ran with another -UnitMiB: $($state.unit_bytes / 1MB)." }
        $booted = (Get-CimInstance Win32_OperatingSystem).LastBootUpTime.ToUniversalTime().Ticks.ToString()
        if ($booted -eq $state.booted) { throw 'The guest was not restarted since the first part. Restart it, then run this again.' }
        $rows = New-Object Collections.ArrayList
        foreach ($row in @($state.steps)) { [void] $rows.Add($row) }
        [void] $rows.Add(@{ step = 'restart'; seconds = 0; delta_bytes = (Get-DeltaBytes 'restart') })
        $about = @{}
        foreach ($p in $state.PSObject.Properties) { if ($p.Name -ne 'steps') { $about[$p.Name] = $p.Value } }
        $about.restarted = $true
    } else {
        [void] (New-Item -ItemType Directory -Path $Folder)
        [IO.File]::WriteAllText($Mark, 'Made by the probe of clonesim; it removes this folder.')
        $attributes = (Get-Item -LiteralPath $Folder).Attributes
        if ($attributes -band ([IO.FileAttributes]::Compressed -bor [IO.FileAttributes]::Encrypted)) {
            throw "Folder $Folder is compressed or encrypted; choose one that is not."
        }
        $os = Get-CimInstance Win32_OperatingSystem
        $letter = $Folder.Substring(0, 2)
        $volume = Get-CimInstance Win32_Volume -Filter "DriveLetter='$letter'"
        $partition = Get-Partition -DriveLetter $letter.Substring(0, 1)
        $about = @{
            clonesim_probe = 1; form = 'guest'; windows = $os.Caption; build = $os.Version
            booted = $os.LastBootUpTime.ToUniversalTime().Ticks.ToString()
            disk_bytes = [long] $partition.Size + [long] $partition.Offset; partition_offset = [long] $partition.Offset
            cluster_bytes = [long] $volume.BlockSize; used_bytes = [long] $volume.Capacity - [long] $volume.FreeSpace
            unit_bytes = $Unit; wait_s = $WaitSeconds; delta_format = $DeltaFormat; restarted = $false; pieces = 0
        }
        $rows = New-Object Collections.ArrayList
        Write-Host 'Reserving free space'
        foreach ($line in ($Prepare -split "`r?`n")) {
            Invoke-Act $Folder $line
            if ($line -like 'reserve *') { $about.pieces = Get-Pieces (Join-Path $Folder ($line -split ' ')[1]) }
        }
        if ($about.pieces -gt 1) { Write-Warning "The free space is in pieces ($($about.pieces)); a smaller -UnitMiB would tell more." }
        [void] $rows.Add(@{ step = 'start'; seconds = 0; delta_bytes = (Get-DeltaBytes 'start') })
    }
    $done = @($rows | ForEach-Object { $_.step })
    foreach ($block in ($Pattern -split '(?m)^step ' | Where-Object { $_.Trim() })) {
        $lines = @($block.Trim() -split "`r?`n")
        $step = $lines[0].Trim()
        if ($done -contains $step) { continue }
        if ($step -eq $RestartBefore -and -not $NoRestart -and -not $again) {
            $about.steps = @($rows)
            Save-Json $StateFile $about
            $keep = $true
            Write-Host "First part done. Restart the guest, then run this script again with the same parameters."
            return
        }
        Write-Host "Step $step"
        $watch = [Diagnostics.Stopwatch]::StartNew()
        foreach ($line in ($lines | Select-Object -Skip 1)) { Invoke-Act $Folder $line }
        $seconds = $watch.Elapsed.TotalSeconds
        $at = (Get-Date).ToUniversalTime().ToString('yyyy-MM-dd HH:mm:ss') + ' UTC'
        [void] $rows.Add(@{ step = $step; seconds = $seconds; ended = $at; delta_bytes = (Get-DeltaBytes $step) })
    }
    $about.Remove('booted')
    $about.steps = @($rows)
    Save-Json $Result $about
    Write-Host "Result: $Result. Next: clonesim probe fit $Result"
} finally {
    if (-not $keep) { Remove-Own }
}
