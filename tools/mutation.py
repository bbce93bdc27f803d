"""Mutation testing of guest/, delta/ and lun/: do the tests notice when the code is changed?

python tools/mutation.py list           list all mutants, draw the sample (tests/mutation/mutation.toml says how many)
python tools/mutation.py run            try what was not tried yet; may be interrupted
python tools/mutation.py run KEY  try one mutant (or several) again, after a test was written
python tools/mutation.py show KEY       a mutant as a difference of its file
python tools/mutation.py page           write docs/mutation.md from tests/mutation/*
python tools/mutation.py cover          line coverage of the same files by the same tests (after a run)

Mutants are cosmic-ray's. Kernels run as plain Python (tests/plain_kernels.py): compiling each changed kernel would take
minutes. Every trial happens in a copy of the tree, in a process of its own.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import fcntl
import fnmatch
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import coverage
from mutation_testing import trial
from mutation_testing.mutants import Mutant, mutants_of, mutated, ranked, sample

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "mutation"
RESULTS = FOLDER / "results.json"
KEPT = ROOT / "out" / "mutation"
SETTINGS: dict[str, Any] = tomllib.loads((FOLDER / "mutation.toml").read_text(encoding="utf-8"))


def read() -> dict[str, Any]:
    """Results so far."""
    empty = {"population": {}, "left_out": {}, "mutants": []}
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else empty


def write(results: dict[str, Any]) -> None:
    """Write all results, at once: a reader never sees half of them."""
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(RESULTS)


def group_of(path: str) -> dict[str, Any]:
    """Group of tests of a file."""
    return next(g for g in SETTINGS["groups"] if any(fnmatch.fnmatch(path, pattern) for pattern in g["files"]))


def list_mutants() -> None:
    """List the mutants of all files and draw the sample; what was tried before keeps its outcome."""
    results = read()
    before = {row["key"]: row for row in results["mutants"]}
    found: dict[str, list[Mutant]] = {}
    left_out: Counter[str] = Counter()
    for package in SETTINGS["packages"]:
        for file in sorted((ROOT / package).glob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            found[path], rules = mutants_of(ROOT, path, SETTINGS["seed"])
            left_out += rules
    chosen = sample(found, SETTINGS["sample"], SETTINGS["seed"])
    results["population"] = {path: len(mutants) for path, mutants in found.items() if mutants}
    results["left_out"] = dict(sorted(left_out.items()))
    results["mutants"] = [asdict(m) | {"trials": before.get(m.key, {}).get("trials", [])} for m in chosen]
    write(results)
    print(f"{sum(results['population'].values())} mutants in {len(results['population'])} files, {len(chosen)} drawn")


def functions(source: str) -> dict[str, tuple[int, int]]:
    """First and last line of every function's body and class, by qualified name."""
    found: dict[str, tuple[int, int]] = {}

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                own = f"{name}.{child.name}".lstrip(".")
                if isinstance(child, ast.FunctionDef):
                    found[own] = (child.body[0].lineno, child.end_lineno or 0)
                visit(child, own)
            else:
                visit(child, name)

    visit(ast.parse(source), "")
    return found


class Trials:
    """Runs trials over a copy of the tree and keeps what comes out."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clonesim-mutation-"))
        self.copy = self.folder / "tree"
        os.environ["TMPDIR"] = str(self.folder)
        tempfile.tempdir = None
        trial.copy_tree(ROOT, self.copy)
        trial.warm_up(self.copy)

    def baseline(self, group: dict[str, Any]) -> dict[str, Any]:
        """How long each test of a group takes unchanged, and which functions it reaches."""
        times: dict[str, float] = {}
        reach: dict[str, set[str]] = defaultdict(set)
        for test in group["tests"]:
            found = self.baseline_of(group, test)
            times |= found["times"]
            for function, nodes in found["reach"].items():
                reach[function].update(nodes)
        return {"times": times, "reach": reach}

    def baseline_of(self, group: dict[str, Any], test: str) -> dict[str, Any]:
        """The same for one file of tests; kept in out/mutation/ until the file changes."""
        name = f"{group['name']}-{Path(test).stem}".replace(" ", "-")
        file, stamp = KEPT / f"{name}.json", ranked((ROOT / test).read_text(encoding="utf-8"))
        if file.exists():
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if found["stamp"] == stamp:
                return found
        data = self.folder / name

        def work(say: Callable[[Any], None]) -> None:
            trial.limit_memory()
            packages = [self.copy / package for package in SETTINGS["packages"]]
            plugin = trial.Baseline(packages, group.get("most", SETTINGS["most"]), group.get("without", []), data)
            trial.run_session([test], plugin, keep_compiled=True)
            say({"times": plugin.times, "outcomes": plugin.outcomes})

        (told,) = trial.forked(work)
        passed = {node: t for node, t in told["times"].items() if told["outcomes"][node] == "passed"}
        known = coverage.CoverageData(str(data))
        known.read()
        reach: dict[str, list[str]] = {}
        lines: dict[str, list[int]] = {}
        for path in sorted(known.measured_files()):
            own = Path(path).relative_to(self.copy).as_posix()
            contexts = known.contexts_by_lineno(path)
            lines[own] = sorted(contexts)
            for function, (low, high) in functions(Path(path).read_text(encoding="utf-8")).items():
                nodes = {node for line, by in contexts.items() if low <= line <= high for node in by}
                reach[f"{own}::{function}"] = sorted(nodes & (passed.keys() | {""}))
        rest = {node: how for node, how in told["outcomes"].items() if how != "passed"}
        found = {"stamp": stamp, "times": passed, "reach": reach, "lines": lines, "not passed": rest}
        KEPT.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
        print(f"{name}: {len(passed)} tests, {sum(passed.values()):.0f} s; not passed: {rest}", flush=True)
        return found

    def job(self, row: dict[str, Any], known: dict[str, Any], budget: float) -> dict[str, Any]:
        """What a session is told of a mutant."""
        mutant = Mutant(**{field.name: row[field.name] for field in fields(Mutant)})
        times = known["times"]
        reached = known["reach"].get(f"{mutant.path}::{mutant.function}", [])
        at_import = not mutant.function or "" in reached or f"{mutant.path}::{mutant.function}" not in known["reach"]
        nodes, total = {}, 0.0
        for node in sorted(times if at_import else (n for n in reached if n), key=times.get):
            total += times[node]
            if total > budget:
                break
            nodes[node] = SETTINGS["slack"] + SETTINGS["factor"] * times[node]
        source = mutated((ROOT / mutant.path).read_text(encoding="utf-8"), mutant)
        return {"key": mutant.key, "path": mutant.path, "nodes": nodes, "source": source, "import": at_import}

    def run(self, rows: list[dict[str, Any]]) -> None:
        """Try mutants, group by group."""
        for group in SETTINGS["groups"]:
            own = {row["key"]: row for row in rows if group_of(row["path"]) is group}
            if not own:
                continue
            known = self.baseline(group)
            jobs = [self.job(row, known, group.get("budget", SETTINGS["budget"])) for row in own.values()]
            again = {job["key"]: job for job in jobs if job["import"]}
            for told in self.session(group, [job for job in jobs if not job["import"]]):
                if told["outcome"] == "import":
                    again[told["key"]] = next(job for job in jobs if job["key"] == told["key"])
                else:
                    self.keep(own[told["key"]], told)
            for key, job in again.items():
                file = self.copy / job["path"]
                file.write_text(job["source"], encoding="utf-8")
                os.utime(file, (1e9, 1e9 + int(key[:7], 16)))  # a time of its own: no compiled file stands for it
                told = next(self.session(group, [job | {"source": None}]), {"outcome": "killed", "by": "import"})
                shutil.copy2(ROOT / job["path"], file)
                self.keep(own[key], told)

    def session(self, group: dict[str, Any], jobs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Run jobs in one session."""
        if not jobs:
            return

        def work(say: Callable[[Any], None]) -> None:
            wanted = {node.split("::")[0] for job in jobs for node in job["nodes"]}
            tests = [test for test in group["tests"] if test in wanted] or group["tests"][:1]
            trial.run_session(tests, trial.Session(jobs, say, self.folder), keep_compiled=False)

        yield from trial.forked(work)

    def keep(self, row: dict[str, Any], told: dict[str, Any]) -> None:
        """Keep an outcome."""
        with (KEPT / "lock").open("w") as lock:  # another process may run other trials
            fcntl.flock(lock, fcntl.LOCK_EX)
            results = read()
            kept = next(r for r in results["mutants"] if r["key"] == row["key"])
            kept["trials"].append({"outcome": told["outcome"], "by": told["by"]})
            write(results)
        print(f"{row['key']} {told['outcome']:8} {row['path']}:{row['line']} {told['by']}", flush=True)


def run(keys: list[str], size: int, only: str, name: str) -> None:
    """Try the mutants of these keys, or all that were not tried yet; by one file of tests, if `only` names it."""
    for group in SETTINGS["groups"] if only else ():
        group["tests"] = [only]
    results = read()
    rows = results["mutants"][:size]
    rows = [row for row in rows if row["key"] in keys or (not keys and not row["trials"])]
    rows = [row for row in rows if name in {"", group_of(row["path"])["name"]}]
    if not rows:
        return
    trials = Trials()
    try:
        trials.run(rows)
    finally:
        os.chdir(ROOT)
        shutil.rmtree(trials.folder)


def show(key: str) -> None:
    """Print a mutant as a difference."""
    row = next(row for row in read()["mutants"] if row["key"].startswith(key))
    mutant = Mutant(**{field.name: row[field.name] for field in fields(Mutant)})
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    lines = difflib.unified_diff(source.splitlines(), mutated(source, mutant).splitlines(), mutant.path, "mutant", n=6)
    print(*lines, sep="\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["list", "run", "show", "page", "cover"])
    parser.add_argument("key", nargs="*", help="keys of mutants")
    parser.add_argument("--size", type=int, default=10**9, help="the first so many of the sample")
    parser.add_argument("--budget", type=float, help="processor seconds of tests per mutant, other than usual")
    parser.add_argument("--group", default="", help="mutants of this group only")
    parser.add_argument("--only", default="", help="a file of tests, such as tests/test_small_steps.py, and no other")
    given = parser.parse_args()
    os.nice(19)
    for group in SETTINGS["groups"] if given.budget else ():
        group["budget"] = given.budget
    if given.what == "list":
        list_mutants()
    elif given.what == "run":
        run(given.key, given.size, given.only, given.group)
    elif given.what == "show":
        show(given.key[0])
    elif given.what == "page":
        from mutation_testing import page

        page.write(ROOT, read(), SETTINGS)
    else:
        from mutation_testing import cover

        results = read()
        results["lines"] = cover.lines_of(ROOT, KEPT, SETTINGS)
        write(results)
        print(cover.told(results["lines"]))


if __name__ == "__main__":
    sys.exit(main())
