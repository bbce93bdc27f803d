"""`clonesim run SCENARIO`: tables, files, JSON, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from clonesim import cli, simulate
from clonesim.pool.band import BAND
from clonesim.pool.run import FRAMES

GOES_WITH_TRACE = (
    "this option goes with --trace. Add --trace, or change the scenario with --set, such as --set pool.clones=64."
)
NO_SCENARIO = (
    "a trace says what every clone does, so there is no scenario. Leave out --trace, or the scenario and --set."
)
SMALL = ["--set", "pool.clones=6", "--set", "pool.days=3"]


def call(capsys, *argv):
    code = cli.main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def test_tables_fit_80_columns_and_show_the_run(capsys):
    code, out, err = call(capsys, "run", *SMALL, "--band", "2", "--seed", "3", "--processes", "1")
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    run = simulate(seed=3, processes=1, pool={"clones": 6, "days": 3})
    last = run.growth[run.growth["day"] == 2]
    row = next(line.split() for line in out.splitlines() if re.match(r" +3 ", line))
    assert row[2] == f"{last['delta_bytes'].median() / 2**30:.3f}"
    assert row[5] == f"{last['written_bytes'].median() / 2**30:.3f}"
    for policy in BAND:
        assert len(re.findall(rf"^ {policy} +(?:on|off) ", out, re.MULTILINE)) == 2
    assert "not published" in " ".join(out.split())
    assert "patch-installation" in out or "page-file" in out


def test_files_and_charts(capsys, tmp_path):
    code, _, err = call(capsys, "run", *SMALL, "--band", "2", "--out", str(tmp_path), "--tables", "csv")
    assert code == 0, err
    frames = {f"{name}.csv" for name in (*FRAMES, "band", "storms")}
    charts = {f"{n}.png" for n in ("growth", "fill", "sources", "increments", "band")}
    assert {p.name for p in tmp_path.iterdir()} == frames | charts | {"run.json"}
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["parameters"]["scenario"]["pool"]["clones"] == 6
    assert len(pd.read_csv(tmp_path / "growth.csv")) == 18


def test_json_is_json_and_nothing_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "clonesim", "run", *SMALL, "--band", "none", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["summary"]["desktops"] == 6
    assert [row["day"] for row in told["growth"]] == [0, 1, 2]
    assert "band" not in told


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--clones", "5"], f"--clones=5: {GOES_WITH_TRACE}"),
        (["--skip-bad-rows"], f"--skip-bad-rows=True: {GOES_WITH_TRACE}"),
        (["windows-7-office", "--trace", "packaged"], f"trace='packaged': {NO_SCENARIO}"),
        (["--band", "some"], "band='some': a number of clones from 1 up, 'full' or 'none', is needed."),
        (["--band", "0"], "band='0': a number of clones from 1 up, 'full' or 'none', is needed."),
        (["--replicates", "0"], "replicates=0: a whole number from 1 to 10000 is needed."),
        (["--seed", "-1"], "seed=-1: a whole number from 0 to 9223372036854775807 is needed."),
        (["--processes", "0"], "processes=0: a whole number from 1 to 1024 is needed."),
    ],
)
def test_bad_requests_are_refused(argv, message, capsys):
    code, out, err = call(capsys, "run", *argv)
    assert (code, out, err) == (2, "", f"clonesim: {message}\n")


def test_a_bad_scenario_is_refused_before_anything_runs(capsys, tmp_path):
    code, out, err = call(capsys, "run", "--set", "guest.disk=40 GB", "--out", str(tmp_path / "new"))
    assert (code, out) == (2, "")
    assert "did you mean GiB?" in err.lower() or "Did you mean GiB?" in err
    assert not (tmp_path / "new").exists()
