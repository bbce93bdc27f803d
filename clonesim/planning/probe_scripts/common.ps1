$Noise = New-Object byte[] 1MB
(New-Object Random 1).NextBytes($Noise)  # neither zeros nor anything that packs

function Write-Pattern([IO.FileStream] $Stream, [long] $Bytes, [int] $Piece) {
    for ($left = $Bytes; $left -gt 0; $left -= $Piece) {
        $Stream.Write($Noise, 0, [int] [Math]::Min([long] $Piece, $left))
    }
    $Stream.Flush($true)
}

function Invoke-Act([string] $Where, [string] $Line) {
    # One line of the pattern: a verb, a file, a size in 256ths of the unit.
    $words = @($Line.Trim() -split ' +')
    $verb = $words[0]
    if (-not $verb) { return }
    if ($verb -eq 'wait') { Start-Sleep -Seconds $WaitSeconds; return }
    $path = Join-Path $Where $words[1]
    if ($verb -eq 'delete') { [IO.File]::Delete($path); return }
    $bytes = Get-Size ([long] $words[2])
    if ($verb -eq 'ballast') { $bytes = [Math]::Max((Get-FreeBytes) - $bytes, [long] 0) }
    $stream = [IO.File]::Open($path, [IO.FileMode]::CreateNew, [IO.FileAccess]::Write, [IO.FileShare]::None)
    try {
        switch ($verb) {
            'create' { $stream.SetLength($bytes); Write-Pattern $stream $bytes 1MB }
            'append' { Write-Pattern $stream $bytes ([int] [Math]::Min([long] 1MB, $Unit / $Parts)) }
            'reserve' { $stream.SetLength($bytes) }
            'ballast' { $stream.SetLength($bytes) }
            default { throw "Unknown line of the pattern: $Line" }
        }
    } finally {
        $stream.Dispose()
    }
}
