"""Scripts that collect: they only read, write only their own table, and their tables are read back.

The script for Proxmox VE is run in test_collect_proxmox.py. No PowerShell runs here: what is tested of those scripts is
their text, against lists of all that they may call; where PowerShell is installed it parses them too.
"""

import json
import re

import pandas as pd
import pytest
from script_tools import check_brackets, code_of, grammar_reads, parse

import clonesim.cli.collect  # noqa: F401 (registers its command)
from clonesim.cli import main
from clonesim.errors import ParameterError
from clonesim.ingest.listing import read_listing
from clonesim.planning.collect_script import (
    HEADER,
    HOURS,
    PLATFORMS,
    collect_script,
    schedule_lines,
    write_collect_script,
)
from clonesim.planning.growth_file import read_history
from clonesim.planning.growth_fit import fit_growth

WINDOWS = ("view", "hyper-v", "citrix")
CMDLETS = {  # all that read, and what no script does without
    *("Set-StrictMode", "New-Object", "Join-Path", "Get-Variable", "Get-Command", "Add-PSSnapin", "Write-Host"),
    *("Where-Object", "ForEach-Object", "Select-Object", "Sort-Object", "Measure-Object"),
    *("Get-View", "Connect-VIServer", "Disconnect-VIServer"),
    *("Get-VM", "Get-VMHardDiskDrive", "Get-VHD", "Get-ClusterNode", "Get-CimInstance", "Get-BrokerMachine"),
}
STATIC = {
    *("IO.File]::Exists", "IO.File]::Open", "IO.File]::ReadLines", "IO.File]::AppendAllText", "IO.File]::Replace"),
    *("IO.File]::Move", "IO.Directory]::Exists", "IO.Path]::ChangeExtension", "IO.Path]::GetDirectoryName"),
    *("IO.Path]::GetFileNameWithoutExtension", "IO.Path]::GetPathRoot", "Math]::Max", "string]::CompareOrdinal"),
    *("DateTime]::ParseExact", "DateTime]::UtcNow", "NullString]::Value", "StringComparison]::OrdinalIgnoreCase"),
    *("Globalization.CultureInfo]::InvariantCulture", "IO.FileMode]::OpenOrCreate", "IO.FileAccess]::ReadWrite"),
    "IO.FileShare]::None",
}
METHODS = {
    *("ToString", "Replace", "ReadLine", "WriteLine", "Dispose", "AddHours", "Add", "Substring", "LastIndexOf"),
    *("ContainsKey", "ToLowerInvariant", "StartsWith", "TrimEnd", "ShouldProcess"),
    *("GetUnresolvedProviderPathFromPSPath", "RefreshStorageInfo", "UpdateViewData"),
}


@pytest.mark.parametrize("platform", WINDOWS)
def test_it_calls_what_reads_and_nothing_else(platform):
    code = code_of(collect_script(platform))
    own = set(re.findall(r"(?m)^function ([A-Z]\w+-\w+)", code))
    called = set(re.findall(r"(?<![\w$.-])(?:[A-Z][\w-]*\\)?([A-Z][a-z]+-[A-Z]\w+)", code))
    assert called - own <= CMDLETS, called - own - CMDLETS
    assert own <= called
    assert set(re.findall(r"\[([\w.]+\]::\w+)", code)) <= STATIC
    assert set(re.findall(r"(?<!:)[.]([A-Za-z]\w*)\(", code)) <= METHODS
    assert re.findall(r"&\s*\S+", code.replace("&&", "")) == ["& $Read)"]
    assert not re.search(r"(?<![-\w])(iex|curl|wget|del|rm|ri|mv|sc|ac|icm|saps)\s", code)


@pytest.mark.parametrize("platform", WINDOWS)
def test_the_lists_can_tell(platform):
    """A script with one more call would not pass."""
    code = code_of(collect_script(platform) + "\nRemove-VM -Name x\n$vm.PowerOffVM_Task()\n[IO.File]::Delete($Csv)")
    assert not set(re.findall(r"(?<![\w$.-])([A-Z][a-z]+-[A-Z]\w+)", code)) <= CMDLETS | {"Remove-Never"}
    assert "Remove-VM" in re.findall(r"(?<![\w$.-])(?:[A-Z][\w-]*\\)?([A-Z][a-z]+-[A-Z]\w+)", code)
    assert "PowerOffVM_Task" in re.findall(r"(?<!:)[.]([A-Za-z]\w*)\(", code)
    assert "IO.File]::Delete" in re.findall(r"\[([\w.]+\]::\w+)", code)


@pytest.mark.parametrize("platform", WINDOWS)
def test_it_writes_its_own_files_only(platform):
    code = code_of(collect_script(platform))
    assert re.findall(r"::(?:AppendAllText|Move|Replace|Open)\(([^,]*),", code) == ["$Log", "$part", "$part", "''"]
    script = collect_script(platform)
    assert '[IO.File]::Open("$Csv.lock", ' in script
    assert re.findall(r"IO\.StreamWriter (\S+),", script) == ["$part"]
    assert '$part = "$Csv.part"' in script
    assert "Out-File" not in script
    assert not re.search(r"(?<![-=])>>?\s*[$'\"\w]", code), "no redirection"


@pytest.mark.parametrize("platform", WINDOWS)
def test_it_asks_before_and_holds_no_secret(platform):
    script = collect_script(platform)
    code = code_of(script)
    assert "SupportsShouldProcess = $true" in code
    assert code.index("$PSCmdlet.ShouldProcess(") < code.index("exit (Invoke-Collection")
    words = code_of(script).lower()
    for word in ("credential", "securestring", "password", "invoke-", "net.webclient", "new-psdrive", "hklm"):
        assert word not in words.replace("invoke-collection", "")
    assert "-LogonType Password" in script, "in the head only: of an account whose password nobody types"


@pytest.mark.parametrize("platform", WINDOWS)
def test_its_text_is_plain(platform, tmp_path):
    check_brackets(collect_script(platform))
    path = write_collect_script(tmp_path, platform)
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    parse(path)


@pytest.mark.parametrize("platform", WINDOWS)
def test_a_grammar_of_powershell_reads_it(platform):
    """A parser that others wrote; it is no dependency."""
    script = collect_script(platform).encode()
    assert grammar_reads(script)
    assert not grammar_reads(script.replace(b"} finally {", b"} finally", 1))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("every", HOURS)
def test_all_places_are_filled(platform, every):
    script = collect_script(platform, every, "06:30")
    script.encode("ascii")
    assert not re.search(r"'<[a-z ]+>'", script)
    assert max(map(len, script.splitlines())) <= 200
    assert f"'{HEADER}'" in script
    assert re.search(rf"(?m)^\$?hours ?= ?{HOURS[every]}$", script, re.IGNORECASE)
    assert f"less than {HOURS[every]} hours old" in script
    for line in schedule_lines(platform, every, "06:30"):
        assert line in script
    when = {"weekly": ("-Weekly -DaysOfWeek Friday", "30 6 * * 5 "), "daily": ("-Daily", "30 6 * * * ")}[every]
    assert any(text in schedule_lines(platform, every, "06:30")[platform in WINDOWS] for text in when)


def test_the_shell_script_changes_nothing_by_its_text():
    """Run against fake programs elsewhere; here: no verb that changes, no other file written."""
    script = re.sub(r"(?m)^\s*#.*$", "", collect_script("proxmox"))
    assert re.findall(r"(?<![\w-])rm\s[^']*", script) == ['rm -f "$part"']
    assert re.findall(r"(?<![\w-])mv\s.*", script) == ['mv -f "$part" "$csv" || fail "$csv cannot be replaced"']
    said = re.sub(r"(fail|echo|note \w+|printf) ['\"].*", "", script)
    asked = re.findall(r"(?<![\w\"$-])((?:qm|pvesm|lvs|zfs|rbd|qemu-img) \S+) ", said)
    assert asked == ["pvesm status", "lvs --reportformat", "zfs list", 'rbd "$@"', "qemu-img info", "qm list"]
    assert set(re.findall(r"ask_rbd (\w+)", script)) == {"ls", "du"}
    targets = set(re.findall(r"(?<![=<>-])>>?\s?(\"?\$[\w{][^\s;)]*|&\d|/[\w/]+)", script))
    assert targets == {'"$log"', '"$part"', '"$csv.lock"', "&2", "/dev/null"}
    for word in ("eval", "curl", "wget", "ssh ", "nc ", "/dev/tcp", "sudo", "su ", "password", "chmod", "qm set"):
        assert not re.search(rf"(?<![\w-]){re.escape(word)}", script), word


EXAMPLE = f"""{HEADER}
"VDI-001",{{date}},{{first}},"LUN-01","office","delta",1,68719476736,2199023255552,1099511627776
"VDI ""two"", old",{{date}},{{second}},"C:\\ClusterStorage\\Volume1","w11, 24H2","delta+write-cache",2,73014444032,,
"""


def test_a_table_as_powershell_writes_it(tmp_path):
    """Names in quotes, whatever is in them; capacities that were not told are empty."""
    gib = 2**30
    text, dates = "", ["2026-03-06T11:00:07Z", "2026-03-13T11:00:09Z", "2026-03-20T11:00:03Z", "2026-03-27T11:00:03Z"]
    for week, date in enumerate(dates):
        part = EXAMPLE.format(date=date, first=(3 + week) * gib, second=(5 + 2 * week) * gib)
        text += part if not week else part.partition("\n")[2]
    path = tmp_path / "clonesim-sizes.csv"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    listing = read_listing(path)
    assert (listing.kind, listing.notes) == ("csv", ())
    two = listing.history[listing.history["clone"] == 'VDI "two", old']
    assert two["bytes"].tolist() == [5 * gib, 7 * gib, 9 * gib, 11 * gib]
    assert two["date"].iloc[0] == pd.Timestamp("2026-03-06T11:00:07Z")
    fit = fit_growth(read_history(path))
    assert fit.refusals.empty
    assert fit.history.luns.tolist() == ["C:\\ClusterStorage\\Volume1", "LUN-01"]
    assert fit.history.pools.tolist() == ["w11, 24H2", "office"]


def test_what_is_refused(tmp_path):
    for change, text in (
        ({"platform": "xen"}, "platform='xen': allowed are 'view', 'hyper-v', 'citrix', 'proxmox'. For others append"),
        ({"platform": "hyperv"}, "'proxmox'. Did you mean 'hyper-v'?"),
        ({"every": "hourly"}, "every='hourly': allowed are 'weekly' and 'daily'. Weekly sizes are enough for a fit."),
        ({"at": "24:00"}, "at='24:00': a time of day from 00:00 to 23:59 is needed. Write for example 12:00."),
        ({"at": "noon"}, "at='noon': a time of day"),
    ):
        with pytest.raises(ParameterError, match=re.escape(text)):
            collect_script(**{"platform": "view", **change})
        with pytest.raises(ParameterError):
            write_collect_script(tmp_path / "new", **{"platform": "view", **change})
    assert not (tmp_path / "new").exists()
    path = write_collect_script(tmp_path / "a" / "b", "proxmox")
    with pytest.raises(ParameterError, match=rf"out='{path}': the file exists\. Remove it, or choose another name\."):
        write_collect_script(path.parent, "proxmox")
    with pytest.raises(
        ParameterError, match=r"the folder cannot be made \(.*\)\. Name a folder that you may write to\."
    ):
        write_collect_script(path / "below", "proxmox")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_command_line(platform, tmp_path, capsys):
    out = tmp_path / "scripts"
    call = ["collect", "--platform", platform, "--every", "daily", "--at", "07:05", "--out", str(out)]
    assert main(call) == 0
    told = capsys.readouterr()
    name = PLATFORMS[platform].file
    assert (out / name).is_file()
    assert ("-WhatIf" if platform in WINDOWS else "--dry-run") in told.out
    assert "\n".join(schedule_lines(platform, "daily", "07:05")) in told.out, "whole lines, to copy"
    assert name in told.err
    assert main(call) == 2
    assert "the file exists" in capsys.readouterr().err
    (out / name).unlink()
    assert main([*call, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == HEADER.split(",")
    assert main(["collect", "--platform", "xen"]) == 2
    assert "allowed are 'view'" in capsys.readouterr().err
