"""Estates on the command line: tables that fit, files, JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from estate_tools import TWO, estate_file

from clonesim import cli
from clonesim.console.estate import MOST_POOLS
from clonesim.pool.estate import FRAMES, simulate_estate
from clonesim.scenario.estate_load import example_estate, load_estate


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(estate_file(tmp_path_factory.mktemp("estate")))


def rows(text: str, name: str) -> list[str]:
    """Cells of the first row of a name."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def test_every_desktop(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, text, err = call(
        capsys, "run", path, "--replicates", "2", "--seed", "5", "--out", str(out), "--tables", "csv"
    )
    assert code == 0, err
    assert max(map(len, text.splitlines())) <= 80
    run = simulate_estate(path, seed=5, replicates=2, processes=1)
    total = run.total.iloc[0]
    half = (total["delta_total_high_bytes"] - total["delta_total_low_bytes"]) / 2
    told = rows(text, "all")
    assert told[1:5] == ["3", "13", f"{total['delta_total_bytes'] / 2**30:.2f}", f"{half / 2**30:.2f}"]
    mean = run.pools[run.pools["pool"] == "two"]["delta_p50_bytes"].mean()
    assert rows(text, "two")[1:4] == ["b", "5", f"{mean / 2**30:.2f}"]
    assert {p.name for p in out.iterdir()} == {"pools", "run.json", *(f"{name}.csv" for name in FRAMES)}
    assert len(pd.read_csv(out / "luns.csv")) == 8
    assert "Written to" in err


def test_a_sample(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, text, err = call(capsys, "run", path, "--sample", "48", "--out", str(out), "--set", "estate.days=2")
    assert code == 0, err
    assert max(map(len, text.splitlines())) <= 80
    found = json.loads((out / "run.json").read_text())
    assert found["summary"]["sample"]["clones"] == 48
    assert found["parameters"]["estate"]["days"] == 2
    mean, se = (found["summary"][f"delta_total_{what}bytes"] for what in ("", "se_"))
    assert rows(text, "all")[3:5] == [f"{mean / 2**30:.2f}", f"{100 * se / mean:.3g}"]
    assert "estimated from 48 desktops in 12 replicates" in " ".join(text.split())
    assert (out / "plan.parquet").exists()


def test_json_alone(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(capsys, "run", path, "--json")
    told = json.loads(text)
    assert code == 0
    assert told["summary"]["desktops"] == 13
    assert [one["pool"] for one in told["pools"]] == ["one-1", "one-2", "two"]


def test_many_pools_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TWO.replace("clones = 4\ncount = 2", f"clones = 1\ncount = {MOST_POOLS}").replace("days = 3", "days = 1")
    code, told, err = call(capsys, "run", str(estate_file(tmp_path, text)), "--sample", "48")
    assert code == 0, err
    assert f"The first {MOST_POOLS} of {MOST_POOLS + 1} pools; --out writes all of them." in " ".join(told.split())
    assert f"one-{MOST_POOLS}" in told


def test_init_writes_what_run_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "estate.toml"
    code, text, err = call(capsys, "init", "--estate")
    assert (code, text) == (0, example_estate())
    code, text, err = call(capsys, "init", "--estate", "--out", str(path))
    assert (code, text) == (0, "")
    assert "Written to" in err
    assert load_estate(path).clones == 600
    code, text, err = call(capsys, "init", "--estate", "--out", str(path))
    assert code == 2
    assert "the file exists" in err
    code, text, err = call(capsys, "init", "--estate", "--json")
    assert json.loads(text)["pools"][1]["name"] == "office-berlin-2"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--band", "3"], "--band='3': this option is of one pool, and "),
        (["--report", "x.html"], "this option is of one pool, and "),
        (["--sample", "many"], "sample='many': a standard error from 0.01 % to 50 % of the total"),
        (["--sample", "3"], "sample=3: 48 desktops or more are needed"),
        (["--set", "estate.dys=3"], "estate.dys=3: estate has name, days, start, calendar. Did you mean 'days'?"),
    ],
)
def test_refused(argv: list[str], message: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = call(capsys, "run", path, *argv)
    assert (code, text) == (2, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_sample_of_a_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "run", "windows-11-office", "--sample", "2 %")
    assert code == 2
    assert "only an estate is sampled. Name the TOML file of one" in " ".join(err.split())
