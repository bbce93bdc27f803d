"""The command line: tables, JSON, files, exact messages, exit code 2, no traceback."""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

import clonesim
from clonesim import cli
from clonesim.cli import runs
from clonesim.delta import FORMATS
from clonesim.ingest import packaged_trace
from clonesim.scenario import catalog

NOTE = "a real NTFS driver's traffic (ntfs-3g), scripted activity, not a real user's"
COMMANDS = [
    *("run", "replay", "experiment", "demo", "status", "density", "size", "locks", "compare", "cost", "sensitivity"),
    *("plan", "inspect", "collect", "counters", "calibrate", "fit", "backtest", "init", "catalog", "claims", "app"),
    "probe",
]  # their examples are run in test_json_docs.py
TRACE = ["run", "--trace", "packaged"]


def call(capsys, *argv):
    code = cli.main(list(argv))
    done = capsys.readouterr()
    return code, done.out, done.err


def good(capsys, *argv):
    code, out, err = call(capsys, *argv)
    assert code == 0, err
    return out


def process(*argv, **environment):
    return subprocess.run(
        [sys.executable, "-m", "clonesim", *argv],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80"} | environment,
    )


@pytest.fixture
def trace(tmp_path):
    """Two writes and a read, as a fio log."""
    path = tmp_path / "t.fio"
    head = "fio version 3 iolog\n0 /dev/sda add\n0 /dev/sda open\n"
    rows = "1000 /dev/sda write 0 40000000\n2000000 /dev/sda read 0 4096\n3000000 /dev/sda write 512 4096\n"
    path.write_text(head + rows)
    return path


# ---- what it prints


def test_every_command_is_listed_in_a_line(capsys):
    out = good(capsys, "--help")
    listed = re.findall(r"^  (\w+)  +\S.*", out.split("Commands:")[1], re.MULTILINE)
    assert listed == COMMANDS
    assert "..." not in out.split("Commands:")[1]  # none is cut short


def test_version(capsys):
    assert good(capsys, "--version") == f"clonesim {clonesim.__version__}\n"


def test_run_prints_a_table_per_interval_within_80_columns():
    done = process(*TRACE, "--window", "2 min", "--interval", "1 min")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if re.match(r" *\d+ min ", line)]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    run = clonesim.run_trace(packaged_trace(), window="2 min", interval="1 min")
    for row, truth in zip(rows, run.table.itertuples(), strict=True):
        assert row[2:5] == [
            f"{b / 2**30:.3f}" for b in (truth.delta_mean_bytes, truth.delta_p95_bytes, truth.delta_total_bytes)
        ]
        assert int(row[5]) == truth.increments
        assert float(row[6]) == pytest.approx(truth.reservations_per_s, rel=0.005)
        assert float(row[7]) == pytest.approx(100 * truth.reserved_fraction, rel=0.005)
    assert NOTE in " ".join(done.stdout.split())
    assert "lock held 0.5 ms" in " ".join(done.stdout.split())


def test_run_as_json_is_json_and_nothing_else():
    done = process(
        "run",
        "--trace",
        "packaged",
        "--json",
        "--clones",
        "3",
        "--hosts",
        "60",
        "--window",
        "5 min",
        "--interval",
        "60 s",
    )
    told = json.loads(done.stdout)
    assert done.stderr == ""
    assert told["parameters"]["hosts"] == 60  # more hosts than clones is fine
    assert told["parameters"]["trace_note"] == NOTE
    assert len(told["intervals"]) == int(told["intervals"][-1]["end_s"] / 60)
    assert told["intervals"][-1]["delta_total_bytes"] == told["summary"]["delta_total_bytes"]
    assert None in [row["wait_p50_s"] for row in told["intervals"]] or all(r["increments"] for r in told["intervals"])


@pytest.mark.parametrize("tables", ["parquet", "csv"])
def test_run_writes_tables_and_charts(tables, capsys, tmp_path):
    folder = tmp_path / "new" / "out"
    code, out, err = call(capsys, *TRACE, "--clones", "4", "--luns", "2", "--out", str(folder), "--tables", tables)
    assert code == 0, err
    names = {f"{n}.{tables}" for n in ("growth", "increments", "locks", "clones")}
    charts = {"growth.png", "reservations.png", "lock_waits.png"}
    assert {p.name for p in folder.iterdir()} == names | charts | {"run.json"}
    for chart in charts:
        assert (folder / chart).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    locks = pd.read_parquet(folder / "locks.parquet") if tables == "parquet" else pd.read_csv(folder / "locks.csv")
    assert sorted(locks["lun"].unique()) == [0, 1]
    assert "those of the LUN where they are worst" in " ".join(out.split())
    assert "run.json" in err


def test_replay_puts_formats_side_by_side(capsys, trace):
    told = json.loads(good(capsys, "replay", str(trace), "--at", "1 s", "--at", "4 s", "--json", "--capacity", "1 GiB"))
    assert [(row["time_s"], row["format"]) for row in told["rows"]] == [(t, f) for t in (1.0, 4.0) for f in FORMATS]
    for row in told["rows"]:
        truth = clonesim.replay(clonesim.read_trace(trace), row["format"], "1 GiB").table([row["time_s"]]).iloc[0]
        for column in ("written_bytes", "unique_bytes", "grains", "metadata_bytes", "file_bytes"):
            assert row[column] == truth[column]
    assert told["rows"][-1]["written_bytes"] == 40_004_096
    assert told["rows"][-1]["unique_bytes"] == 40_000_000 // 512 * 512


def test_replay_table_and_chart(capsys, trace, tmp_path):
    out = good(capsys, "replay", str(trace), "--format", "qcow2", "--format", "exact", "--out", str(tmp_path / "o"))
    assert re.search(r"qcow2 +0\.037 ", out)
    assert "Trace: t.fio." in out
    assert {p.name for p in (tmp_path / "o").iterdir()} == {"replay.csv", "replay.png"}


def test_experiment_of_one_policy(capsys, tmp_path):
    small = ["--size", "2 GiB", "--used", "1 GiB", "--file", "100 MiB", "--rounds", "5", "--policy", "fresh-first"]
    out = good(capsys, "experiment", *small, "--out", str(tmp_path))
    assert {p.name for p in tmp_path.iterdir()} == {"experiment.csv", "experiment.png"}
    rows = pd.read_csv(tmp_path / "experiment.csv")
    assert rows["round"].tolist() == [0, 1, 2, 3, 4, 5]
    assert rows["guest_used_bytes"].iloc[0] == rows["guest_used_bytes"].iloc[-1]
    assert 500 * 2**20 <= rows["delta_bytes"].iloc[-1] <= 1.01 * 500 * 2**20 + 48 * 2**20
    assert "A policy is a hypothesis about the guest" in " ".join(out.split())
    told = json.loads(good(capsys, "experiment", *small, "--json"))
    assert [row["delta_bytes"] for row in told["rows"]] == rows["delta_bytes"].tolist()


def test_catalog_lists_what_it_holds(capsys):
    assert re.search(rf"locks +{len(catalog.parameters('locks'))} *\n", good(capsys, "catalog"))
    table = good(capsys, "catalog", "locks")
    assert re.search(r"hold +0\.5 ms +0\.1 ms to 100 ms +assumed +ntpro-1638", table)
    entry = good(capsys, "catalog", "locks", "hold")
    assert "ntpro.nl/blog/archives/1638" in entry
    assert "very short, few hundred microseconds" in entry
    told = json.loads(good(capsys, "catalog", "locks", "hold", "--json"))
    assert told[0]["default"] == 0.0005
    assert {"unit", "range", "source", "kind", "note", "source_text"} <= told[0].keys()


def test_skipped_rows_are_counted(capsys, trace):
    trace.write_text(trace.read_text() + "4000000 /dev/sda write x 4096\n")
    code, _, err = call(capsys, "run", "--trace", str(trace))
    assert code == 2
    assert "t.fio, line 7" in err
    assert "bad rows of the trace were left out" not in good(capsys, *TRACE, "--skip-bad-rows")
    assert "1 bad rows of the trace were left out." in good(capsys, "run", "--trace", str(trace), "--skip-bad-rows")
    told = json.loads(good(capsys, "replay", str(trace), "--skip-bad-rows", "--json", "--format", "exact"))
    assert told["skipped_rows"] == 1


def test_defaults_that_the_help_names_are_the_catalog_s(capsys):

    text = " ".join(good(capsys, "run", "--help").split())
    assert f"how long a growth step locks; {catalog.value('locks', 'hold') * 1000:g} ms." in text
    for name in ("clones", "luns", "hosts"):
        assert re.search(rf"--{name} <int> [^.]*; default {catalog.value('pool', name)}\.", text)


# ---- what it refuses


REFUSED = [
    (
        [*TRACE, "--clones", "-1"],
        "clones=-1: allowed are whole numbers from 1 to 1000000. The catalog's default is 64.",
    ),
    (
        [*TRACE, "--hosts", "0"],
        "hosts=0: allowed are whole numbers from 1 to 64. The catalog's default is 8.",
    ),
    (
        [*TRACE, "--luns", "0"],
        "luns=0: allowed are whole numbers from 1 to 10000. The catalog's default is 1.",
    ),
    ([*TRACE, "--format", "vmfs"], f"format='vmfs': allowed are {', '.join(FORMATS)}."),
    (
        [*TRACE, "--capacity", "16 MB"],
        "capacity='16 MB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. "
        "Did you mean MiB?",
    ),
    (
        ["experiment", "--size", "16 MB"],
        "size='16 MB': a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes. "
        "Did you mean MiB?",
    ),
    (
        [*TRACE, "--window", "soon"],
        "window='soon': a duration is a number with us, ms, s, min, h or d, or a number of seconds. "
        "Write for example '10 s'.",
    ),
    (
        [*TRACE, "--interval", "0 s"],
        "interval='0 s': an interval is longer than 0 s. Write for example '10 min'.",
    ),
    (
        [*TRACE, "--hold", "2 s"],
        "hold=2.0: allowed are 0.0001 to 0.1 s. The catalog's default is 0.0005.",
    ),
    ([*TRACE, "--seed", "-5"], "seed=-5: allowed are whole numbers from 0 up."),
    (["run", "--tables", "xlsx"], "tables='xlsx': allowed are 'parquet', 'csv'."),
    (["replay", "packaged", "--format", "cow"], f"format='cow': allowed are {', '.join(FORMATS)}."),
    (["experiment", "--rounds", "0"], "rounds=0: allowed are whole numbers from 1 to 100000."),
    (["catalog", "lock"], None),
    (
        ["catalog", "locks", "holds"],
        f"name='holds': parameters of locks are {', '.join(map(repr, catalog.parameters('locks')))}. "
        "Did you mean 'hold'?",
    ),
    (["experiment", "--policy", "ntfs"], None),
    (["experiment", "--size", "1 GiB", "--used", "2 GiB"], None),
]


@pytest.mark.parametrize(("argv", "message"), REFUSED, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_input_is_a_message_and_exit_code_2(argv, message, capsys):
    code, out, err = call(capsys, *argv)
    assert code == 2
    assert out == ""
    assert err.startswith("clonesim: ")
    assert err.count("\n") == 1
    if message:
        assert err == f"clonesim: {message}\n"


def test_missing_trace_file(capsys, tmp_path):
    code, out, err = call(capsys, "run", "--trace", str(tmp_path / "none.csv"))
    assert (code, out) == (2, "")
    assert err.startswith(f"clonesim: {tmp_path / 'none.csv'}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [TRACE, ["run"], ["experiment"], ["replay", "packaged"], ["demo"]])
def test_out_that_cannot_be_written(argv, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    out_folder = tmp_path / "file" / "out"
    code, out, err = call(capsys, *argv, "--out", str(out_folder))
    assert (code, out) == (2, "")
    assert err == (
        f"clonesim: out={str(out_folder)!r}: the folder cannot be written (Not a directory). "
        "Name a folder that you may write to.\n"
    )


@pytest.mark.parametrize("argv", [["run", "--clones", "many"], ["run", "--no-such"], ["nonsense"], ["replay"]])
def test_usage_errors_are_short(argv):
    done = process(*argv)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_shows_no_traceback_for_bad_input(tmp_path):
    for argv in (
        ["run", "--trace", str(tmp_path)],
        [*TRACE, "--clones", "-1"],
        ["replay", str(tmp_path / "no")],
    ):
        done = process(*argv)
        assert done.returncode == 2
        assert done.stderr.startswith("clonesim: ")
        assert "Traceback" not in done.stderr


def test_an_internal_error_is_one_line_unless_asked(capsys, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(runs, "_read", broken)
    monkeypatch.delenv("CLONESIM_DEBUG", raising=False)
    code, _, err = call(capsys, *TRACE)
    assert code == 1
    assert err == ("clonesim: internal error, please report it: ZeroDivisionError: oh (CLONESIM_DEBUG=1 shows where)\n")
    monkeypatch.setenv("CLONESIM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(TRACE)


def test_ctrl_c_ends_with_130(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_read", interrupted)
    assert call(capsys, *TRACE)[0] == 130


def test_colours_are_off_when_asked_or_piped():
    plain = process("catalog", "locks", NO_COLOR="1", FORCE_COLOR="")
    piped = process("catalog", "locks")
    assert plain.stdout == piped.stdout
    assert "\x1b" not in piped.stdout


def test_typer_app_itself_can_be_driven():
    done = CliRunner().invoke(cli.app, ["catalog", "pool"])
    assert done.exit_code == 0
    assert "planetmattblog-2014" in done.output
