"""The command on esxtop's counters: what it prints, and what it refuses."""

import json

import pandas as pd
import pytest
from counter_tools import NAA, START, simulate, write

import clonesim as cs
import clonesim.cli.counters
from clonesim.cli.root import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("esxtop")
    write(place, simulate(1, hold_s=0.002, minutes=15)[0])
    return place


def run(capsys, *argv):
    code = main([str(part) for part in argv])
    found = capsys.readouterr()
    assert "Traceback" not in found.err
    return code, found.out, found.err


def test_tables_and_lines_for_a_scenario(folder, capsys, tmp_path):
    code, out, _ = run(capsys, "counters", folder)
    assert code == 0
    for words in (NAA, "The lock (scsi-reservation)", "measured", "derived", "What these counters cannot tell apart"):
        assert words in out
    lines = out[out.index("[luns]") :].strip()
    path = tmp_path / "mine.toml"
    path.write_text('base = "windows-11-office"\n' + lines + "\n")
    scenario = cs.load_scenario(path)
    assert scenario.luns.locks["hold"] == pytest.approx(0.002, rel=0.05)
    assert scenario.marks["luns.locks.hold"] == "measured"


def test_json_has_the_same(folder, capsys):
    code, out, _ = run(capsys, "counters", *sorted(folder.iterdir()), "--json", "--no-kernel")
    told = json.loads(out)
    assert code == 0
    assert told["locking"] == "scsi-reservation"
    kinds = {row["quantity"]: row["kind"] for row in told["quantities"]}
    assert kinds == {
        "hold": "measured",
        "back-off": "prior",
        "commands per reservation": "derived",
        "reserved fraction": "measured",
    }
    assert list(told["overrides"]["luns"]["locks"]) == ["hold", "commands.scsi-reservation"]
    assert told["luns"][0]["ats_per_s"] is None
    assert told["from"].startswith("2026-05-13T10:00:05")


def test_a_listing_gives_growth_steps(folder, capsys, tmp_path):
    dates = START + pd.to_timedelta([0, 200, 400, 600, 800], unit="s")
    sizes = [0, 1e9, 4e9, 5e9, 9e9]
    pd.DataFrame({"clone": "a", "date": dates, "bytes": sizes}).to_csv(tmp_path / "sizes.csv", index=False)
    code, out, _ = run(capsys, "counters", folder, "--listing", tmp_path / "sizes.csv", "--json")
    assert code == 0
    row = next(row for row in json.loads(out)["quantities"] if row["quantity"] == "locks per growth")
    assert row["how"].startswith("536 operations, 2 degrees of freedom")


def test_what_is_refused(folder, capsys, tmp_path):
    (tmp_path / "x.csv").write_text("clone,date\n")
    for argv, words in (
        ((tmp_path / "x.csv",), "is no output of esxtop -b"),
        ((tmp_path / "none.csv",), "there is no such file. Check the path."),
        ((folder, "--hosts", "2"), f"hosts=2: {NAA} was counted by 4 hosts"),
        ((folder, "--device", "naa.1"), "no such device was counted"),
    ):
        code, out, err = run(capsys, "counters", *argv)
        assert (code, out) == (2, "")
        assert words in err
