"""`clonesim init` and `clonesim catalog`, as a user calls them."""

import json
import re

import pytest

from clonesim import cli
from clonesim.scenario import load_scenario, presets


def call(capsys, *argv):
    code = cli.main(list(argv))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_init_prints_a_scenario_that_loads(capsys, tmp_path):
    code, out, err = call(capsys, "init", "windows-7-office", "--set", "guest.disk=60 GiB", "--set", "pool.clones=64")
    assert (code, err) == (0, "")
    path = tmp_path / "own.toml"
    path.write_text(out, encoding="utf-8")
    assert load_scenario(path) == load_scenario("windows-7-office", guest={"disk": "60 GiB"}, pool={"clones": 64})
    assert 'disk = "60 GiB"' in out.splitlines()
    assert "# Size of the virtual disk. 256 MiB to 16 TiB. (assumed)" in out.splitlines()


def test_init_writes_a_file_once(capsys, tmp_path):
    path = tmp_path / "own.toml"
    code, out, err = call(capsys, "init", "--out", str(path))
    assert (code, out, err) == (0, "", f"Written to {path}.\n")
    assert load_scenario(path) == load_scenario()
    code, out, err = call(capsys, "init", "windows-xp-office", "--out", str(path))
    assert (code, out) == (2, "")
    assert err == f"clonesim: out={str(path)!r}: the file exists. Name another, or add --force.\n"
    assert load_scenario(path) == load_scenario()
    assert call(capsys, "init", "windows-xp-office", "--out", str(path), "--force")[0] == 0
    assert load_scenario(path) == load_scenario("windows-xp-office")
    code, out, err = call(capsys, "init", "--out", str(tmp_path / "no" / "own.toml"))
    assert (code, out) == (2, "")
    remedy = "Make its folder first, or name a file in a folder that exists."
    told = f"it cannot be written: No such file or directory. {remedy}"
    assert err == f"clonesim: {tmp_path / 'no' / 'own.toml'}: {told}\n"


def test_init_as_json_is_all_values(capsys):
    code, out, err = call(capsys, "init", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == load_scenario().to_dict()


def test_init_tells_all_problems_and_exits_with_2(capsys):
    code, out, err = call(capsys, "init", "windows-7-office", "--set", "guest.disk=16 MB", "--set", "hosts.count=33")
    assert (code, out) == (2, "")
    assert err == (
        "clonesim: scenario 'windows-7-office': 2 problems\n"
        "  guest.disk='16 MB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. "
        "Did you mean MiB?\n"
        "  hosts.count=33: at most 32 hosts share a replica on vmfs-5. Set hosts.count to 32 or less, or luns.backing "
        "to nfs, vsan.\n"
    )


@pytest.mark.parametrize("argv", [["init", "windows-11"], ["init", "."], ["init", "--set", "pool=5"]])
def test_init_refuses_without_a_traceback(argv, capsys):
    code, out, err = call(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("clonesim: ")
    assert "Traceback" not in err


def test_catalog_names_topics_and_scenarios(capsys):
    code, out, _ = call(capsys, "catalog")
    assert code == 0
    assert re.search(r"desktops +\d+ *\n", out)
    for name in presets():
        assert name in " ".join(out.split())


def test_catalog_shows_a_desktop_with_what_it_inherits(capsys):
    out = call(capsys, "catalog", "desktops", "windows-11")[1]
    assert "desktops.windows-11.disk\n  default  64 GiB\n  range    256 MiB to 16 TiB\n" in out
    assert "desktops.windows-11.cluster_size\n  default  4 KiB\n" in out
    assert call(capsys, "catalog", "users", "logon_at")[1].startswith("users.logon_at\n  default  08:30\n")


def test_catalog_suggests_names(capsys):
    assert call(capsys, "catalog", "desktop")[2].endswith(" Did you mean 'desktops'?\n")
    code, out, err = call(capsys, "catalog", "formats", "vmfs-sparce")
    assert (code, out) == (2, "")
    assert re.fullmatch(
        r"clonesim: name='vmfs-sparce': `clonesim catalog formats` lists its \d+ parameters. "
        r"Did you mean 'vmfs-sparse'\?\n",
        err,
    )
