function Get-FolderOf([string] $Path) { $Path.Substring(0, [Math]::Max(0, $Path.LastIndexOf('/'))) }

function Get-Extents($Disk, [hashtable] $Files) {
    # Files that hold data of a disk, from its base image up.
    foreach ($element in @($Disk.Chain)) {
        foreach ($key in @($element.FileKey)) {
            $file = $Files[[int] $key]
            if ($file -and $file.Type -eq 'diskExtent') { $file }
        }
    }
}

function Get-LayoutRow($Machine, [string] $Pool, [bool] $AllDisks) {
    # Row of a machine, from its layoutEx: what lies above a base image in another folder is its delta. Disks without such a
    # base image count as write caches, with $AllDisks or beside a delta where $CacheDisks says so. Nothing if none counts.
    $files = @{}
    $own = @{}
    foreach ($file in @($Machine.LayoutEx.File)) {
        $files[[int] $file.Key] = $file
        if ($file.Type -eq 'config') { $own[(Get-FolderOf $file.Name)] = $true }
    }
    $capacity = @{}
    foreach ($device in @($Machine.Config.Hardware.Device)) {
        if ($device -is [VMware.Vim.VirtualDisk]) { $capacity[[int] $device.Key] = [long] $device.CapacityInKB * 1024 }
    }
    $parts = @(foreach ($disk in @($Machine.LayoutEx.Disk)) {
        $extents = @(Get-Extents $disk $files)
        if (-not $extents.Count) { continue }
        $base = Get-FolderOf $extents[0].Name
        $leaf = Get-FolderOf $extents[-1].Name
        $linked = $base -ne $leaf -and -not $own.ContainsKey($base)
        $size = [long] 0
        foreach ($file in $extents) {
            $folder = Get-FolderOf $file.Name
            if ($folder -eq $leaf -or $own.ContainsKey($folder)) { $size += [long] $file.Size }
        }
        $kind = if ($linked) { 'delta' } else { 'write-cache' }
        $lun = $extents[-1].Name -replace '^\[([^\]]*)\].*$', '$1'
        @{ kind = $kind; bytes = $size; capacity = [long] $capacity[[int] $disk.Key]; lun = $lun }
    })
    $deltas = @($parts | Where-Object { $_.kind -eq 'delta' })
    $caches = @($parts | Where-Object { $_.kind -ne 'delta' -and $_.capacity -gt $SmallDisk })
    $both = $AllDisks -or ($deltas.Count -and $CacheDisks)
    $counted = @(if ($both) { $deltas + $caches } else { $deltas })
    if (-not $counted.Count) { return }
    $most = @($counted | Sort-Object -Property { $_.bytes } -Descending)[0].lun
    $store = $Datastores[$most]
    @{
        clone = [string] $Machine.Name; lun = $most; pool = $Pool; files = $counted.Count
        kind = @($counted | ForEach-Object { $_.kind } | Sort-Object -Unique) -join '+'
        bytes = ($counted | ForEach-Object { $_.bytes } | Measure-Object -Sum).Sum
        capacity = ($counted | ForEach-Object { $_.capacity } | Measure-Object -Sum).Sum
        lun_bytes = if ($store) { $store.Capacity } else { $null }
        lun_used = if ($store) { $store.Used } else { $null }
    }
}

function Get-Connection {
    # The session that is open, or one as the Windows account that runs this; PowerCLI's own store may hold another account.
    $known = Get-Variable -Name DefaultVIServers -Scope Global -ErrorAction SilentlyContinue
    $open = @(if ($known) { $known.Value | Where-Object { $_.IsConnected -and (-not $Server -or $_.Name -eq $Server) } })
    if ($open.Count -eq 1) { return @{ at = $open[0]; own = $false } }
    if ($open.Count) { throw "connected to $($open.Count) vCenter servers; name one with -Server" }
    if (-not $Server) { throw 'not connected to a vCenter server; name it with -Server, or run Connect-VIServer first' }
    @{ at = Connect-VIServer -Server $Server -NotDefault; own = $true }
}

function Read-Layouts([hashtable] $Wanted) {
    # Rows of all machines; with $Wanted only of those, by name, with what is to be known of each.
    $connection = Get-Connection
    $at = $connection.at
    try {
        $script:Datastores = @{}
        foreach ($store in @(Get-View -Server $at -ViewType Datastore -Property @('Name', 'Summary'))) {
            $used = $store.Summary.Capacity - $store.Summary.FreeSpace
            $Datastores[$store.Name] = @{ Capacity = $store.Summary.Capacity; Used = $used }
        }
        $folders = @{}
        foreach ($folder in @(Get-View -Server $at -ViewType Folder -Property Name)) {
            $folders["$($folder.MoRef)"] = $folder.Name
        }
        $properties = 'Name', 'Parent', 'LayoutEx', 'Config.Template', 'Config.Hardware.Device'
        foreach ($machine in @(Get-View -Server $at -ViewType VirtualMachine -Property $properties)) {
            if (-not $machine.Config -or $machine.Config.Template -or -not $machine.LayoutEx) { continue }
            if ($Wanted -and -not $Wanted.ContainsKey($machine.Name)) { continue }
            if (-not $Wanted -and -not ($Name | Where-Object { $machine.Name -like $_ })) { continue }
            $pool = if ($Wanted) { $Wanted[$machine.Name].Pool } else { [string] $folders["$($machine.Parent)"] }
            $all = [bool] ($Wanted -and $Wanted[$machine.Name].AllDisks)
            try {
                if (-not (Get-LayoutRow $machine $pool $all)) { continue }
                # vCenter's sizes are old otherwise. This asks the host for them again; it changes nothing of the machine.
                $machine.RefreshStorageInfo()
                $machine.UpdateViewData('LayoutEx')
                Get-LayoutRow $machine $pool $all
            } catch {
                [void] $Unread.Add("$($machine.Name): $($_.Exception.Message)")
            }
        }
    } finally {
        if ($connection.own) { Disconnect-VIServer -Server $at -Confirm:$false }
    }
}
