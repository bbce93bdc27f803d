"""The terminal: tables fit, hostile names stay names, progress and colours vanish, completion installs."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from growth_tools import pool, weekly
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from terminal_tools import commands, examples

from clonesim import cli
from clonesim.console import pool as pool_console
from clonesim.console import text
from clonesim.console.folding import FLOOR, column_widths, fold
from clonesim.console.screen import clean

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")
EXPERIMENT = [
    "experiment",
    "--size",
    "2 GiB",
    "--used",
    "1 GiB",
    "--file",
    "100 MiB",
    "--rounds",
    "2",
    "--policy",
    "best-fit",
]
HOSTILE = "[bold]LUN :bug: \x1b[2J\t" + "long-name." * 12
PROGRAM = Path(sys.executable).with_name("clonesim")
WIDTH = 80
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: f"{value:.3f}"[:12])


def lines(out):
    return out.rstrip("\n").split("\n")


# ---- tables


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.tuples(names, names, numbers, numbers), max_size=4), st.integers(1, 2))
@example([(HOSTILE, "", "1.000", "2")], 1)
@example([("界" * 90, "a b " * 50, "123456789.012", "1")], 2)
def test_tables_fit_80_columns_whatever_the_names(capsys, rows, texts):
    capsys.readouterr()
    cells = [row if texts == 2 else (row[0], *row[2:]) for row in rows]
    text.print_table(
        "Title",
        ["name", "what", "a\nGiB", "b"] if texts == 2 else ["name", "a\nGiB", "b"],
        cells,
        texts=texts,
    )
    out = capsys.readouterr().out
    assert max(map(cell_len, lines(out))) <= WIDTH
    assert "\x1b" not in out
    together = re.sub(r"\s", "", out)
    for row in cells:
        for number in row[texts:]:
            assert re.search(rf"(?<!\S){re.escape(number)}(?!\S)", out), f"{number} was broken"
        if texts == 1 and len(cells) == 1:
            rest = iter(together)
            assert all(letter in rest for letter in re.sub(r"\s", "", clean(row[0])))


def test_numbers_stay_whole_on_a_narrow_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    text.print_table("Title", ["name", *"abcd"], [["a-name-that-is-long", *["1234567.890"] * 4]])
    out = capsys.readouterr().out
    assert out.count("1234567.890") == 4
    assert max(map(len, lines(out))) == 2 + FLOOR + 4 * (2 + 11)


def test_names_give_way_after_other_texts():
    row = ["n" * 30, "words " * 20, "1.000"]
    assert column_widths(["", "", ""], [row], 2, 80) == [30, 39, 5]
    assert column_widths(["", "", ""], [row], 2, 50) == [23, 16, 5]
    assert column_widths(["", "", ""], [row], 2, 20) == [FLOOR, FLOOR, 5]
    assert column_widths(["", "", ""], [["n" * 30, "w", "1.000"]], 2, 80) == [30, 1, 5]


def test_lines_are_broken_at_spaces_then_behind_signs():
    assert fold("persistent-disk.size of it", 14) == "persistent-\ndisk.size of\nit"
    assert fold("x" * 10, 4) == "xxxx\nxxxx\nxx"
    assert fold("界界界", 4) == "界界\n界"
    assert fold("", 4) == ""
    assert fold("as it is", 8) == "as it is"


@pytest.fixture
def luns(tmp_path):
    """Measured sizes on two LUNs with bad names."""
    table = pool(4, weekly(8), lambda day: 2**20 * 90 * day, start="2026-01-05", luns=2, noise=2**23, seed=1)
    table["lun"] = table["lun"].map({"LUN0": HOSTILE, "LUN1": "[/red]" + "界" * 60})
    table["clone"] = table["clone"] + " " + HOSTILE
    table.to_csv(tmp_path / "sizes.csv", index=False)
    return tmp_path / "sizes.csv"


def test_names_from_a_file_are_printed_as_they_are(luns, capsys):
    assert cli.main(["fit", str(luns), "--days", "7"]) == 0
    out = capsys.readouterr().out
    assert max(map(cell_len, lines(out))) <= WIDTH
    assert "\x1b" not in out
    assert r"[bold]LUN :bug: \x1b[2J" in out
    assert "red]界" in out


def test_entries_of_the_catalog_fit(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    from clonesim.scenario import catalog

    for topic in ("formats", "prices", "strategies", "workloads"):  # of long names
        assert cli.main(["catalog", topic]) == 0
        out = capsys.readouterr().out
        assert max(map(len, lines(out))) <= WIDTH, topic
        squeezed = re.sub(r"\s", "", out)
        first = next(iter(catalog.parameters(topic)))
        assert first.split(".")[0].split("_")[0] in squeezed
    assert cli.main(["catalog", "locks", "hold"]) == 0
    assert max(map(len, lines(capsys.readouterr().out))) <= WIDTH


def test_the_help_fits(capsys):
    for name in ["", *commands()]:
        assert cli.main([*name.split(), "--help"]) == 0
        about, _, example_ = capsys.readouterr().out.partition("Example:")
        assert max(map(len, lines(about))) <= WIDTH, name
        assert example_ or not name


@pytest.mark.parametrize("name", commands())
def test_every_line_of_an_example_is_a_command_line_that_is_understood(name):
    command = commands()[name]
    found = examples(command)
    assert found, f"clonesim {name} --help has no example"
    for words in found:
        own = words[len(name.split()) :]
        assert " ".join(words[: len(name.split())]) == name
        command.make_context(name, own, resilient_parsing=False).close()


# ---- streams


def process(*argv, **environment):
    bare = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {"args": [sys.executable, "-m", "clonesim", *argv], "env": bare | {"TERM": "xterm-256color"} | environment}


def in_a_terminal(stream, *argv, **environment):
    """What a program writes to `stream` if that is a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    other = {"stdout": "stderr", "stderr": "stdout"}[stream]
    done = subprocess.Popen(
        **process(*argv, COLUMNS="80", **environment),
        stdin=subprocess.DEVNULL,
        **{stream: theirs, other: subprocess.DEVNULL},
    )
    os.close(theirs)
    told = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 60)
        try:
            part = os.read(ours, 65536) if ready else b""
        except OSError:  # the other end is closed
            part = b""
        if not part:
            break
        told += part
    os.close(ours)
    assert done.wait(60) == 0
    return told.decode()


def test_progress_is_shown_in_a_terminal_only_and_without_colour_if_asked():
    told = in_a_terminal("stderr", *EXPERIMENT)
    assert "Creating and deleting" in told
    assert COLOUR.search(told)
    plain = in_a_terminal("stderr", *EXPERIMENT, NO_COLOR="1")
    assert "Creating and deleting" in plain
    assert not COLOUR.search(plain)
    forced = process(*EXPERIMENT, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert subprocess.run(**forced, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("bars", [text.progress, lambda name: pool_console.bars()])
def test_progress_bars_write_nothing_when_piped(bars, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with bars("Working") as bar:
        if bars is text.progress:
            bar()
        else:
            bar("Working")(1, 2)
    assert capsys.readouterr() == ("", "")


def test_no_color_is_kept_in_a_terminal():
    assert not COLOUR.search(in_a_terminal("stdout", "catalog", "pool", NO_COLOR="1"))


def test_a_terminal_without_utf_8_gets_plain_letters():
    done = subprocess.run(
        **process("catalog", "pool", PYTHONIOENCODING="ascii", LC_ALL="C"), capture_output=True, check=True
    )
    assert done.stdout.decode("ascii")


# ---- completion


@pytest.mark.skipif(not shutil.which("bash") or not PROGRAM.exists(), reason="bash or the installed program is missing")
def test_completion_installs_in_bash(tmp_path):
    search = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    home = os.environ | {"HOME": str(tmp_path), "PATH": search}

    def bash(script):
        done = subprocess.run(["bash", "-c", script], env=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "completion installed" in bash("clonesim --install-completion; exit $?")
    assert ".bash_completions/clonesim.sh" in (tmp_path / ".bashrc").read_text()

    def completed(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        call = (
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _clonesim_completion clonesim; echo ${{COMPREPLY[@]}}"
        )
        return bash(f". {tmp_path}/.bashrc; {call}").split()

    assert completed("clonesim", "siz") == ["size"]
    assert completed("clonesim", "size", "--repl") == ["--replicates"]
    assert completed("clonesim", "run", "windows-7") == ["windows-7-office"]
    assert completed("clonesim", "catalog", "lock") == ["lock_counters", "lock_map", "locks"]
