function Get-FileKey([string] $Path, [string] $Computer) {
    # Paths on shares and cluster volumes name one file on all hosts, others one on each.
    $shared = $Path -match '^(\\\\|[A-Za-z]:\\ClusterStorage\\)'
    $(if ($shared) { $Path } else { "$Computer|$Path" }).ToLowerInvariant()
}

function Get-Chain([string] $Path, [string] $Computer, [hashtable] $Known) {
    # A virtual disk and those below it, the base image last. Parents are asked for once: many machines share them.
    $at = $Path
    for ($depth = 0; $at -and $depth -lt 64; $depth++) {
        $key = Get-FileKey $at $Computer
        if ($depth -eq 0 -or -not $Known.ContainsKey($key)) {
            $Known[$key] = Hyper-V\Get-VHD -Path $at -ComputerName $Computer
        }
        $Known[$key]
        $at = [string] $Known[$key].ParentPath
    }
}

function Get-Volumes([string] $Computer) {
    # Volumes of a host, those of a cluster among them; none if the host does not tell.
    try {
        $asked = @{ ClassName = 'Win32_Volume' }
        if ($Computer -ne $env:COMPUTERNAME) { $asked.ComputerName = $Computer }
        @(Get-CimInstance @asked | Where-Object { $_.Name -and $_.Capacity } | Sort-Object -Property { $_.Name.Length } -Descending)
    } catch {
        @()
    }
}

function Get-VolumeOf([string] $Path, [object[]] $Volumes) {
    foreach ($volume in $Volumes) {
        if ($Path.StartsWith($volume.Name, [StringComparison]::OrdinalIgnoreCase)) { return $volume }
    }
}

function Read-Chains([hashtable] $Wanted) {
    # Rows of the machines of all hosts; with $Wanted only of those, by name, with what is to be known of each.
    $machines = New-Object Collections.ArrayList
    $owners = @{}
    foreach ($computer in $Computers) {
        $known = @{}
        $volumes = @(Get-Volumes $computer)
        foreach ($machine in @(Hyper-V\Get-VM -ComputerName $computer)) {
            if ($Wanted -and -not $Wanted.ContainsKey($machine.Name)) { continue }
            if (-not $Wanted -and -not ($Name | Where-Object { $machine.Name -like $_ })) { continue }
            try {
                $disks = @(foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $machine)) {
                    if ($drive.Path -match '\.a?vhdx?$') { , @(Get-Chain $drive.Path $computer $known) }
                })
            } catch {
                [void] $Unread.Add("$($machine.Name): $($_.Exception.Message)")
                continue
            }
            [void] $machines.Add(@{ name = $machine.Name; computer = $computer; disks = $disks; volumes = $volumes })
            $keys = @($disks | ForEach-Object { $_ } | ForEach-Object { Get-FileKey $_.Path $computer } | Sort-Object -Unique)
            foreach ($key in $keys) { $owners[$key] = 1 + [int] $owners[$key] }
        }
    }
    foreach ($machine in $machines) {
        $about = if ($Wanted) { $Wanted[$machine.name] } else { @{ Pool = $null; AllDisks = $false } }
        Get-ChainRow $machine $about $owners
    }
}

function Get-ChainRow([hashtable] $Machine, $About, [hashtable] $Owners) {
    # Row of a machine: files that differ from a parent and belong to no other machine's chain are its delta. Disks without
    # a parent count as write caches, with AllDisks or beside a delta where $CacheDisks says so. Nothing if none counts.
    $parts = @(foreach ($disk in $Machine.disks) {
        $chain = @($disk)
        $linked = "$($chain[0].VhdType)" -eq 'Differencing'
        $size = [long] 0
        foreach ($file in $chain) {
            $mine = [int] $Owners[(Get-FileKey $file.Path $Machine.computer)] -eq 1
            if ($mine -and (-not $linked -or "$($file.VhdType)" -eq 'Differencing')) { $size += [long] $file.FileSize }
        }
        $kind = if ($linked) { 'delta' } else { 'write-cache' }
        @{ kind = $kind; bytes = $size; capacity = [long] $chain[0].Size; path = $chain[0].Path; base = $chain[-1].Path }
    })
    $deltas = @($parts | Where-Object { $_.kind -eq 'delta' })
    $caches = @($parts | Where-Object { $_.kind -ne 'delta' -and $_.capacity -gt $SmallDisk })
    $both = $About.AllDisks -or ($deltas.Count -and $CacheDisks)
    $counted = @(if ($both) { $deltas + $caches } else { $deltas })
    if (-not $counted.Count) { return }
    $most = @($counted | Sort-Object -Property { $_.bytes } -Descending)[0]
    $volume = Get-VolumeOf $most.path $Machine.volumes
    $pool = if ($null -ne $About.Pool) { $About.Pool } else { [IO.Path]::GetFileNameWithoutExtension($most.base) }
    @{
        clone = [string] $Machine.name; pool = [string] $pool; files = $counted.Count
        kind = @($counted | ForEach-Object { $_.kind } | Sort-Object -Unique) -join '+'
        bytes = ($counted | ForEach-Object { $_.bytes } | Measure-Object -Sum).Sum
        capacity = ($counted | ForEach-Object { $_.capacity } | Measure-Object -Sum).Sum
        lun = if ($volume) { $volume.Name.TrimEnd('\') } else { [IO.Path]::GetPathRoot($most.path) }
        lun_bytes = if ($volume) { [long] $volume.Capacity } else { $null }
        lun_used = if ($volume) { [long] $volume.Capacity - [long] $volume.FreeSpace } else { $null }
    }
}
