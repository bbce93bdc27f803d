"""The validation book: what stands there is what its checks find, it can fail, and skips say why."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import validation_book
from validation_checks import driver, driver_rig, entry, results
from validation_checks.chapters import CHAPTERS, ENTRIES
from validation_checks.entry import ENGINE, AbsentError, Entry, Figure, fresh_seed, need, sample, told, zero
from validation_checks.page import TARGET, page
from validation_checks.results import Result, Results, repeated, run

STORED = Results.read()
CHEAP = [name for name, one in ENTRIES.items() if one.cheap]
PAGE = TARGET.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CHEAP)
def test_a_cheap_check_finds_what_stands_in_the_book(name):
    """Fresh seeds are printed, so that a failure can be repeated with CLONESIM_RIG_SEED."""
    found = run(ENTRIES[name])
    if found.absent:
        pytest.skip(found.absent)
    assert found.holds, repeated(ENTRIES[name], found, found)
    assert repeated(ENTRIES[name], found, STORED.entries[name]) == []


def test_every_check_was_run_and_holds():
    assert list(STORED.entries) == list(ENTRIES)
    assert [name for name, one in STORED.entries.items() if not one.holds] == []


def test_the_page_is_that_of_the_results():
    assert page(STORED) == PAGE, "run python tools/validation_book.py --page"


@pytest.mark.parametrize("name", ENTRIES)
def test_a_check_says_what_it_must(name):
    one = ENTRIES[name]
    assert one.claim.endswith(".") and len(one.claim) > 20
    assert len(one.against) > 20 and not one.against.endswith(".")
    assert all((ROOT / "tests" / test).is_file() for test in one.tests)
    found = STORED.entries[name]
    assert any(figure.judged for figure in found.figures), "a check that cannot fail"
    assert re.fullmatch(r"\d+\.\d+\.\d+, \d{4}-\d\d-\d\d", found.made)
    assert (found.seed is not None) == one.fresh
    section = PAGE.partition(f"### {name}\n")[2].partition("\n#")[0]
    assert one.claim in section and one.command in section and f"{found.seconds:.1f} s" in section
    for figure in found.figures:
        assert f"| {figure.what}" in section and f"| {figure.text} | {figure.bound} |" in section


def test_a_driver_of_linux_never_stands_without_its_warning():
    for chapter in CHAPTERS:
        for one in chapter.entries:
            if "ntfs3g" in one.name or one.name == "backtest-overlays":
                assert one.engine
                assert ENGINE in PAGE.partition(f"### {one.name}\n")[2].partition("\n#")[0]
    assert "No figure of a Windows desktop here was compared with one." in PAGE


def test_the_stored_figures_agree_with_their_verdicts():
    raw = json.loads(results.TARGET.read_text(encoding="utf-8"))
    for name, one in raw["entries"].items():
        assert [row["holds"] for row in one["figures"]] == [figure.holds for figure in STORED.entries[name].figures]


@pytest.mark.parametrize(
    ("figure", "text", "bound", "holds"),
    [
        (zero("a", 0, "B"), "0 B", "0 B", True),
        (zero("a", 3), "3", "0", False),
        (told("a", 12345.678, "MiB", 1), "12,345.7 MiB", "", True),
        (Figure("a", 2.5, "%", 0.5, 2.0, 1), "2.5 %", "0.5 to 2.0 %", False),
        (Figure("a", 1e-9, high=1e-8, digits=3), "1e-09", "1e-08 at most", True),
        (Figure("a", 5, low=6), "5", "6 at least", False),
        (Figure("a", math.nan, high=1), "nan", "1 at most", False),
    ],
)
def test_a_figure_tells_value_bound_and_verdict(figure, text, bound, holds):
    assert (figure.text, figure.bound, figure.holds) == (text, bound, holds)


def made(figures=(), absent="", fresh=False):
    def compute(*seed):
        if absent:
            raise AbsentError(absent)
        return [*figures, *(told("seed", one, again=None) for one in seed)]

    return Entry("made", "Chapter", "It is so.", "a made thing", compute, fresh=fresh)


def test_a_repetition_is_held_to_its_tolerance():
    old = Result((Figure("a", 100.0, "%", 0, 200, again=0.02), told("n", 7)), made="0.1.0, 2026-01-01")
    near, far = (replace(old, figures=(replace(old.figures[0], value=v), old.figures[1])) for v in (101.9, 102.1))
    assert repeated(made(), near, old) == []
    assert repeated(made(), far, old) == ["made: a: 102.1 now, 100 in the book"]
    gone = replace(old, figures=old.figures[:1])
    assert repeated(made(), gone, old) == ["made: its figures are others than those in the book"]
    wider = replace(old, figures=(replace(old.figures[0], high=300), old.figures[1]))
    assert repeated(made(), wider, old) == ["made: a: bounds are 0 to 300 % now, 0 to 200 % in the book"]
    wrong = replace(old, figures=(replace(old.figures[0], value=201.0, again=None), old.figures[1]))
    assert repeated(made(), wrong, old) == ["made: a: 201 %, allowed: 0 to 200 %"]
    unknown = replace(old, figures=(old.figures[0], replace(old.figures[1], value=math.nan)))
    assert repeated(made(), unknown, old) == ["made: n: nan, allowed: a number", "made: n: nan now, 7 in the book"]


def test_what_cannot_run_says_why_and_leaves_what_stands():
    absent = run(made(absent="not installed: x"))
    assert absent.absent == "not installed: x" and not absent.holds
    kept = Results(entries={"made": Result((told("n", 7),), made="0.1.0, 2026-01-01")})
    kept.take(made(), absent)
    assert kept.entries["made"].figures == (told("n", 7),)
    assert kept.entries["made"].absent == "not installed: x"
    new = Results()
    new.take(made(), absent)
    name = CHEAP[0]
    assert "not run last time: not installed: x." in page(Results(entries={name: new.entries["made"]}))


def test_a_check_that_fails_is_told(tmp_path, monkeypatch, capsys):
    name = CHEAP[0]
    monkeypatch.setitem(ENTRIES, name, replace(ENTRIES[name], compute=lambda: [zero("wrong bytes", 3, "B")]))
    monkeypatch.setattr(results, "TARGET", tmp_path / "validation.json")
    monkeypatch.setattr(Results.read.__func__, "__defaults__", (tmp_path / "validation.json",))
    monkeypatch.setattr(Results.write, "__defaults__", (tmp_path / "validation.json",))
    monkeypatch.setattr(validation_book, "TARGET", tmp_path / "validation.md")
    assert validation_book.main([name]) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out
    text = (tmp_path / "validation.md").read_text()
    assert "| wrong bytes | 3 B | 0 B | **does not hold** |" in text
    assert "0 of the 1 that were run hold all their bounds" in text
    assert validation_book.main(["--check", name]) == 1
    assert "wrong bytes: 3 B, allowed: 0 B" in capsys.readouterr().out


def test_results_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "validation.json"
    STORED.write(list(ENTRIES), path)
    again = Results.read(path)
    assert again == STORED
    assert path.read_bytes() == results.TARGET.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_seeds_are_fresh_and_can_be_given(monkeypatch):
    monkeypatch.delenv("CLONESIM_RIG_SEED", raising=False)
    assert fresh_seed() != fresh_seed()
    said = []
    assert run(made(fresh=True), 5, said.append).figures[0].value == 5
    assert said == ["made: seed 5"]
    monkeypatch.setenv("CLONESIM_RIG_SEED", "77")
    assert run(made(fresh=True), None, said.append).seed == 77


def test_what_is_absent_names_package_and_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(entry.shutil, "which", lambda name: None)
    with pytest.raises(AbsentError, match=r"^not installed: mkntfs, qemu-img \(Debian: ntfs-3g, qemu-utils\)$"):
        need("mkntfs", "qemu-img")
    monkeypatch.setenv("CLONESIM_SAMPLES", str(tmp_path))
    with pytest.raises(AbsentError, match=r"^the sample a/b is absent \(from there\); .* name it in CLONESIM_SAMPLES$"):
        sample("a/b", "from there")
    (tmp_path / "c").write_bytes(b"another")
    with pytest.raises(AbsentError, match=r"^the sample c is another file than the published one"):
        sample("c", "from there", "07900bae14946bae403d591a90c1e2af")


def test_a_byte_more_of_the_overlay_is_noticed():
    """The comparison with the driver can fail: in used bytes, and in the overlay's length."""
    rows = [dict(zip(driver_rig.COLUMNS, row, strict=True)) for row in [
        (0, "mount", "", 0, 1, 196_616), (1, "create", "a", 10_000, 1, 1),
    ]]  # fmt: skip
    count, used, length, _ = driver.differences(rows, 64)
    assert (count, used) == (2, 2)
    assert length > 0


@pytest.mark.rig
def test_a_fresh_run_of_the_real_driver(monkeypatch):
    monkeypatch.setattr(driver_rig, "KINDS", {"blog": 4, "churn": 60, "mixed": 60})
    try:
        driver_rig.can_run()
    except AbsentError as error:
        pytest.skip(str(error))
    found = run(replace(ENTRIES["ntfs3g-fresh"], fresh=True))
    wrong = [one for one in found.figures if not one.holds and one.what != "measured steps"]
    assert not wrong, f"CLONESIM_RIG_SEED={found.seed}: {wrong}"


def test_the_list_and_a_name_that_no_check_has():
    tool = ROOT / "tools" / "validation_book.py"
    done = subprocess.run([sys.executable, tool, "--list"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(ENTRIES)
    done = subprocess.run([sys.executable, tool, "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("nothing: no such check. Names: esxi-deltas, ")
