"""Which lines of clonesim do the tests reach? At least 95 % are wanted; exit code 1 below.

python tools/line_coverage.py            all tests, some 25 minutes of two cores
python tools/line_coverage.py --plain    only the tests of kernels in plain Python, again, and the tables
python tools/line_coverage.py --report   only the tables, of what was run before

All tests run first, worker processes and command lines that they start included. A compiled kernel tells nothing of its
lines, so the tests of kernels run once more with kernels as plain Python (tests/plain_kernels.py), each for a few
seconds at most; lines reached either way count. Lines of another interpreter or system, and bodies that only Numba's
compiler runs, are left out (pyproject.toml, `tool.coverage`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coverage
from mutation_testing import trial

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "out" / "coverage"
DATA = FOLDER / "data"
MOST_S = 6.0  # processor seconds of a test in plain Python
OTHER_KERNELS = (  # tests of kernels that are not among those of tests/mutation/mutation.toml
    "test_account_kernel.py",
    "test_array_side.py",
    "test_density_draws.py",
    "test_profiles.py",
    "test_ram_cache.py",
    "test_reset_kernel.py",
    "test_storm_work.py",
    "test_traces_events.py",
    "test_traces_kernel.py",
    "test_traces_kinds.py",
    "test_traces_more.py",
    "test_traces_refused.py",
)
WITHOUT = ("tests/test_parts.py::TestFaults::test_a_full_disk_is_told_and_the_run_goes_on",)  # counting writes, too
NO_KERNELS = ("tests/test_activity.py",)  # of the groups of mutants, but slow in plain Python, and without a kernel
WORST = 12


def all_tests() -> int:
    """Run the whole suite and count lines; pytest's exit code."""
    settings = os.environ | {"COVERAGE_FILE": str(DATA)}
    words = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-n", "auto", "--dist", "loadfile"]
    words += [word for test in WITHOUT for word in ("--deselect", test)]
    return subprocess.run(words, cwd=ROOT, env=settings, check=False).returncode


def plain_tests() -> None:
    """Run the tests of kernels in plain Python, a process for each file."""
    trial.warm_up(ROOT)
    settings = tomllib.loads((ROOT / "tests" / "mutation" / "mutation.toml").read_text(encoding="utf-8"))
    files: dict[str, list[str]] = defaultdict(list)
    for group in settings["groups"]:
        for test in group["tests"]:
            files[test] += group.get("without", [])
    for name in OTHER_KERNELS:
        files[f"tests/{name}"] += []
    for test in NO_KERNELS:
        del files[test]
    for number, (test, without) in enumerate(sorted(files.items())):

        def work(say: Callable[[Any], None], at: int = number, test: str = test, left: list[str] = without) -> None:
            plugin = trial.Baseline([ROOT / "clonesim"], MOST_S, left, DATA.with_name(f"{DATA.name}.plain-{at}"))
            trial.run_session([test], plugin, keep_compiled=True)
            say({"tests": len(plugin.times), "seconds": sum(plugin.times.values())})

        for told in trial.forked(work):
            print(f"{test} in plain Python: {told['tests']} tests, {told['seconds']:.0f} s", flush=True)


def tables(found: coverage.Coverage) -> tuple[str, float]:
    """Lines by package, the files with the most that are missed, and the share of all. [1]"""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    worst = []
    for path in sorted((ROOT / "clonesim").rglob("*.py")):
        _, lines, _, missing, text = found.analysis2(str(path))
        if not lines:
            continue
        parts = path.relative_to(ROOT / "clonesim").parts
        kind = "kernels" if path.stem.endswith("_kernel") else parts[0] if len(parts) > 1 else "clonesim"
        for name in (kind, "all"):
            rows[name][0] += len(lines)
            rows[name][1] += len(missing)
        worst.append((len(missing), path.relative_to(ROOT).as_posix(), text))
    told = [f"{name:12} {size:7,} lines {1 - missed / size:8.1%}" for name, (size, missed) in rows.items()]
    told += ["", *(f"{n:4} missed in {path}: {text}" for n, path, text in sorted(worst, reverse=True)[:WORST])]
    size, missed = rows["all"]
    return "\n".join(told), 1 - missed / size


def main() -> int:
    """Run, put together, tell; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="run the tests of kernels only")
    parser.add_argument("--report", action="store_true", help="run nothing")
    asked = parser.parse_args()
    failed = 0
    if not asked.plain and not asked.report:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in FOLDER.glob(f"{DATA.name}*"):
            old.unlink()
        failed = all_tests()
    if not asked.report:
        child = os.fork()  # switching compilers off is for good
        if not child:
            plain_tests()
            os._exit(0)
        os.waitpid(child, 0)
    found = coverage.Coverage(data_file=str(DATA), config_file=str(ROOT / "pyproject.toml"))
    if DATA.exists():
        found.load()
    if any(FOLDER.glob(f"{DATA.name}.*")):
        found.combine([str(FOLDER)], keep=False)
        found.save()
    text, share = tables(found)
    print(text)
    wanted = float(found.get_option("report:fail_under") or 0) / 100
    print(f"\n{share:.1%} of lines; wanted: {wanted:.0%}")
    return int(bool(failed) or share < wanted)


if __name__ == "__main__":
    sys.exit(main())
