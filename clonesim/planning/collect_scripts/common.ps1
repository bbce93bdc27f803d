Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Hours = '<hours>'
$Header = '<header>'
$MostUnread = 0.05
$Plain = [Globalization.CultureInfo]::InvariantCulture
$DateForm = "yyyy-MM-dd'T'HH:mm:ss'Z'"
$Csv = $PSCmdlet.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Csv)
$Log = [IO.Path]::ChangeExtension($Csv, '.runs')
$Unread = New-Object Collections.ArrayList

function Write-Log([string] $Word, [string] $Text) {
    # One line of the log: what, why.
    $line = '{0} {1}: {2}' -f [DateTime]::UtcNow.ToString($DateForm, $Plain), $Word, ($Text -replace '\s+', ' ')
    Write-Host $line
    [IO.File]::AppendAllText($Log, $line + "`r`n")
}

function Format-Cell($Value) {
    # Text in quotes, numbers as they are.
    if ($Value -is [string]) { return '"' + ($Value -replace '[\x00-\x1f]', ' ').Replace('"', '""') + '"' }
    if ($null -eq $Value) { return '' }
    return ([long] $Value).ToString($Plain)
}

function Get-Newest {
    # Newest date of the table; nothing if there is no table. A table with another header is none of this script's.
    if (-not [IO.File]::Exists($Csv)) { return }
    $reader = New-Object IO.StreamReader $Csv
    try {
        if ($reader.ReadLine() -ne $Header) { throw "$Csv has another header than this script writes; give another -Csv" }
        $newest = ''
        while ($null -ne ($line = $reader.ReadLine())) {
            if ($line -match '^(?:"(?:[^"]|"")*"|[^",]*),(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ),') {
                if ([string]::CompareOrdinal($Matches[1], $newest) -gt 0) { $newest = $Matches[1] }
            }
        }
    } finally {
        $reader.Dispose()
    }
    if ($newest) {
        $styles = [Globalization.DateTimeStyles] 'AssumeUniversal, AdjustToUniversal'
        [DateTime]::ParseExact($newest, $DateForm, $Plain, $styles)
    }
}

function Save-Rows([object[]] $Rows, [DateTime] $When) {
    # The old rows and the new ones go into a file beside the table, which then takes its place: all rows or none.
    $part = "$Csv.part"
    $old = [IO.File]::Exists($Csv)
    $writer = New-Object IO.StreamWriter $part, $false, (New-Object Text.UTF8Encoding $false)
    try {
        if (-not $old) { $writer.WriteLine($Header) }
        if ($old) { foreach ($line in [IO.File]::ReadLines($Csv)) { $writer.WriteLine($line) } }
        $date = $When.ToString($DateForm, $Plain)
        foreach ($row in $Rows) {
            $cells = @((Format-Cell $row['clone']), $date)
            foreach ($column in 'bytes', 'lun', 'pool', 'kind', 'files', 'capacity', 'lun_bytes', 'lun_used') {
                $cells += Format-Cell $row[$column]
            }
            $writer.WriteLine($cells -join ',')
        }
    } finally {
        $writer.Dispose()
    }
    if ($old) { [IO.File]::Replace($part, $Csv, [NullString]::Value) } else { [IO.File]::Move($part, $Csv) }
}

function Test-Rows([object[]] $Rows) {
    # Refuse what is no measurement of the pool.
    $all = $Rows.Count + $Unread.Count
    $shown = @($Unread | Select-Object -First 5) -join '; '
    if ($Unread.Count -gt $MostUnread * $all) { throw "$($Unread.Count) of $all machines could not be read: $shown" }
    if ($Rows.Count -eq 0) { throw 'no linked clone was found; see the parameters that choose machines' }
    if ($Unread.Count) { Write-Log 'unread' "$($Unread.Count) machines: $shown" }
}

function Invoke-Collection([scriptblock] $Read) {
    # Measure and append; 0 if rows were appended, 1 if it failed, 3 if it was refused.
    if (-not [IO.Directory]::Exists([IO.Path]::GetDirectoryName($Csv))) { throw "The folder of $Csv is not there." }
    $lock = $null
    try {
        try {
            $lock = [IO.File]::Open("$Csv.lock", [IO.FileMode]::OpenOrCreate, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None)
        } catch [IO.IOException] {
            Write-Log 'refused' "another run is going on, or $Csv.lock cannot be written"
            return 3
        }
        $now = [DateTime]::UtcNow
        $newest = Get-Newest
        if ($newest -and $newest -gt $now.AddHours(1)) { throw "$Csv has rows of a later date than now; check the clock" }
        if ($newest -and ($now - $newest).TotalHours -lt $Hours) {
            Write-Log 'refused' ('the newest rows are {0:0} hours old, less than {1}' -f ($now - $newest).TotalHours, $Hours)
            return 3
        }
        $rows = @(& $Read)
        Test-Rows $rows
        Save-Rows $rows $now
        Write-Log 'ok' "$($rows.Count) rows appended to $Csv"
        return 0
    } catch {
        Write-Log 'failed' "$($_.Exception.Message); nothing was appended"
        return 1
    } finally {
        if ($lock) { $lock.Dispose() }
    }
}
