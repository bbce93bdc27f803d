"""The probe's PowerShell: balanced, with the pattern of the simulation in it, careful with what is not its own.

No PowerShell runs here; where one is installed it parses the scripts too.
"""

import re

import pytest
from script_tools import check_brackets, code_of, parse

import clonesim.cli.probe  # noqa: F401 (registers its commands)
from clonesim.cli import main
from clonesim.errors import ParameterError, WriteError
from clonesim.planning.probe_pattern import BASE, PARTS, PATTERN, PREPARE, VERBS, room_parts
from clonesim.planning.probe_script import probe_script, write_probe_script

FORMS = (False, True)


@pytest.mark.parametrize("alone", FORMS)
def test_brackets_balance(alone):
    check_brackets(probe_script(alone))


def test_the_reader_of_brackets_sees_mistakes():
    assert code_of("a 'b''c' # d'\ne") == "a '' \ne"
    with pytest.raises(AssertionError, match="never ends"):
        code_of("a 'b")


@pytest.mark.parametrize("alone", FORMS)
def test_the_pattern_is_that_of_the_simulation(alone):
    script = probe_script(alone)
    texts = re.findall(r"@'\n(.*?)\n'@", script, re.DOTALL)
    assert texts == ([BASE, PATTERN.strip()] if alone else [PREPARE.strip(), PATTERN.strip()])
    assert f"$Parts = {PARTS}\n" in script
    assert not re.search(r"'<[a-z ]+>'", script), "a place was not filled"
    known = set(re.findall(r"'([a-z]+)' \{", script)) | {"wait", "delete"}
    assert set(VERBS) <= known
    if not alone:
        assert f"Get-Size {room_parts()})" in script
        assert "$RestartBefore = 'again'" in script


@pytest.mark.parametrize("alone", FORMS)
def test_it_removes_only_its_own_and_always(alone):
    script = probe_script(alone)
    assert len(re.findall("Remove-Item", script)) == 1
    body = re.search(r"function Remove-Own \{(.*?)\n\}", script, re.DOTALL)[1]
    assert body.index("Test-Path -LiteralPath $Mark") < body.index("Remove-Item -LiteralPath $Folder")
    ends = re.findall(r"\n\} finally \{\n(.*?)\n\}", script, re.DOTALL)
    assert "Remove-Own" in ends[-1]
    assert script.rstrip().endswith("}")
    deletes = re.findall(r"\[IO\.File\]::Delete\((\$\w+)\)", script)
    assert deletes == ["$path"]  # a file of the pattern, below the folder
    assert "[IO.FileMode]::CreateNew" in script  # never over a file that is there


@pytest.mark.parametrize("alone", FORMS)
def test_it_asks_before_and_checks_room(alone):
    script = probe_script(alone)
    assert "SupportsShouldProcess = $true" in script
    assert script.index("ShouldProcess($Folder, $what)" if not alone else "Create and probe a VHD") < script.index(
        "\ntry {"
    )
    assert script.index("bytes free") < script.index("\ntry {")
    for made in ("New-Item", "create vdisk"):
        if made in script:
            assert script.index(made) > script.index("\ntry {")


@pytest.mark.parametrize("alone", FORMS)
def test_it_touches_no_network_and_no_setting(alone):
    code = code_of(probe_script(alone)).lower()
    for word in ("invoke-webrequest", "net.webclient", "invoke-restmethod", "new-psdrive", "set-itemproperty", "hklm:"):
        assert word not in code
    for word in ("invoke-expression", "iex ", "start-process", "get-credential", "format-volume", "clear-disk"):
        assert word not in code
    programs = set(re.findall(r"& (\S+)", code))
    assert programs == ({"diskpart.exe"} if alone else {"fsutil.exe"})


def test_diskpart_formats_only_the_new_disk():
    script = probe_script(True)
    made = re.search(r"Invoke-DiskPart @\(\n(.*?)\n    \)", script, re.DOTALL)[1]
    order = ["create vdisk", "select vdisk", "attach vdisk", "create partition", "format fs=ntfs", "assign"]
    places = [made.index(word) for word in order]
    assert places == sorted(places)
    assert len(re.findall(r"\bformat fs=", script)) == 1
    assert "type=expandable" in made
    assert re.search(r'create vdisk file=""\$ChildFile"" parent=""\$BaseFile""', script)
    assert ".vhdx" not in script  # a VHDX would take discards
    for name in ("$BaseFile", "$ChildFile"):
        assert re.search(rf"\{name} = Join-Path \$Folder '\w+\.vhd'", script)


@pytest.mark.parametrize("alone", FORMS)
def test_plain_text_for_windows(tmp_path, alone):
    path = write_probe_script(tmp_path / "probe.ps1", alone)
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    probe_script(alone).encode("ascii")
    with pytest.raises(ParameterError, match=r"out='.*probe.ps1': the file exists\. Remove it"):
        write_probe_script(path, alone)
    with pytest.raises(WriteError, match=r"it cannot be written: "):
        write_probe_script(tmp_path / "none" / "probe.ps1", alone)


def test_command_line(tmp_path, capsys):
    out = tmp_path / "mine.ps1"
    assert main(["probe", "script", "--self-contained", "--out", str(out)]) == 0
    assert "diskpart" in out.read_text(encoding="utf-8-sig")
    assert main(["probe", "script", "--out", str(out)]) == 2
    assert "the file exists" in capsys.readouterr().err


@pytest.mark.parametrize("alone", FORMS)
def test_powershell_parses_it(tmp_path, alone):
    parse(write_probe_script(tmp_path / "probe.ps1", alone))
