"""The tools of mutation testing: plain kernels, changed functions, and the page that tells how trials went."""

from __future__ import annotations

import json
import sys
import tomllib

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from mutation_testing import page, patch

FOLDER = ROOT / "tests" / "mutation"
TRIED = 300  # mutants from which on their share says enough
SOURCE = """
import functools

LIMIT = 3


def low(x):
    return x < LIMIT


@functools.cache
def twice(x):
    return 2 * x


class Box:
    size = 1

    @property
    def room(self):
        return self.size + 1
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in memory that may be changed."""
    (tmp_path / "boxes.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("boxes", None)
    import boxes

    yield boxes
    del sys.modules["boxes"]


def test_a_changed_function_stays_the_same_object(module):
    low, twice, box = module.low, module.twice, module.Box()
    assert low(2) and not low(3) and twice(4) == 8 and box.room == 2
    assert patch.put("boxes.py", SOURCE.replace("x < LIMIT", "x <= LIMIT"))
    assert low(3) and module.low is low
    assert patch.put("boxes.py", SOURCE.replace("2 * x", "3 * x").replace("x < LIMIT", "x < LIMIT"))
    assert twice(4) == 12, "what the cache kept is forgotten"
    assert patch.put("boxes.py", SOURCE.replace("self.size + 1", "self.size - 1"))
    assert box.room == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("size = 1", "size = 2"),
        ("@functools.cache\n", ""),
        ("LIMIT = 3", "LIMIT = 3  # same"),
    ],
)
def test_what_lies_outside_functions_must_be_imported_anew(module, old, new):
    assert not patch.put("boxes.py", SOURCE.replace(old, new))


def test_intervals_are_those_of_clopper_and_pearson():
    """Johnson, Kotz and Kemp's classic table: 7 of 10 gives 34.8 % to 93.3 %."""
    assert page.share(7, 10) == "70.0% (34.8% to 93.3%)"
    assert page.share(0, 0) == "-"


def test_the_page_is_what_the_trials_gave():
    results = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    settings = tomllib.loads((FOLDER / "mutation.toml").read_text(encoding="utf-8"))
    judged = tomllib.loads((FOLDER / "judgements.toml").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "mutation.md").read_text(encoding="utf-8") == page.text(results, settings, judged)
    assert {row["kind"] for row in judged.values()} <= page.KINDS.keys()
    lived = {row["key"] for row in results["mutants"] if row["trials"] and not page.killed(row, 0)}
    tried = sum(bool(row["trials"]) for row in results["mutants"])
    assert judged.keys() <= lived, "survivors are judged, and nothing else"
    assert tried < TRIED or judged.keys() == lived, "every survivor is judged"
    now = {row["key"] for row in results["mutants"] if row["trials"] and not page.killed(row, -1)}
    assert all(judged[key]["kind"] != "gap" for key in now & judged.keys()), "a gap has a test that kills its mutant"


def test_at_least_85_per_cent_of_the_drawn_mutants_are_killed():
    results = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    tried = [row for row in results["mutants"] if row["trials"]]
    if len(tried) < TRIED:
        pytest.skip(f"{len(tried)} of {TRIED} mutants are tried: python tools/mutation.py run goes on")
    assert sum(page.killed(row, -1) for row in tried) >= page.WANTED * len(tried)


def test_stand_ins_of_the_intrinsics(tmp_path):
    """In a process of its own: the plugin switches compiling off."""
    import subprocess

    code = (
        "import plain_kernels as p, numpy as np\n"
        "for w in (0, 1, -1, 96, -2**63, 2**62):\n"
        "    text = format(w & p.ALL, '064b')\n"
        "    assert p.ones(np.int64(w)) == text.count('1')\n"
        "    assert p.trailing_zeros(np.int64(w)) == 64 - len(text.rstrip('0')) if w else 64\n"
        "from clonesim.guest import arena_kernel\n"
        "assert arena_kernel.span_mask(np.int64(3), np.int64(64)) == -8\n"
        "assert not hasattr(arena_kernel.span_mask, 'signatures')\n"
        "try:\n"
        "    p.intrinsic(lambda: 1)\n"
        "except RuntimeError as error:\n"
        "    assert 'no stand-in' in str(error)\n"
        "else:\n"
        "    raise SystemExit(3)\n"
    )
    path = f"{ROOT}:{ROOT / 'tests'}"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path, "PATH": "/usr/bin"}, cwd=tmp_path)
