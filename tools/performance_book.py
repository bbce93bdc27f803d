"""Run the benchmarks, keep their figures in benchmarks/results.json, and write docs/performance.md from them.

python tools/performance_book.py                   all benchmarks, one after the other, then the page
python tools/performance_book.py replay locks      these; the others' figures stay
python tools/performance_book.py --page            only the page, from the figures that are there
python tools/performance_book.py --check           measure ratios to plain NumPy anew; exit 1 where one fell too far
python tools/performance_book.py --accept          write the ratios of the figures into benchmarks/ratios.toml
python tools/performance_book.py --quick           all in their quick form; figures and page in out/bench-quick

The page's text is tools/performance_page.md. In it `{{path|format}}` is a figure: `replay.writes` is what
bench_replay.py told, `machine.cpu` the machine, `runs.replay.seconds` how long the benchmark took. A part
`name=value` of a path picks a row of a list. A line that begins with `{{each path}}` is repeated for every row,
whose own figures are `{{.name|format}}`. A format `yes/no` is for truths. What was not measured is told so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from bench_tools import MIB, Memory, machine  # noqa: E402

RESULTS, PAGE = BENCHMARKS / "results.json", ROOT / "docs" / "performance.md"
RATIOS, TEMPLATE = BENCHMARKS / "ratios.toml", Path(__file__).with_name("performance_page.md")
QUICK = ROOT / "out" / "bench-quick"
PARTIAL = ROOT / "out" / "bench-partial" / PAGE.name  # the page while some benchmarks have not run whole
RUNS: dict[str, list[str]] = {  # in the order in which they run: the cheap ones first
    "startup": [],
    "baselines": [],
    "roofline": [],
    "replay": ["--formats", "vmfs-sparse", "qcow2", "se-sparse", "exact"],
    "locks": [],
    "ciw": [],
    "apply": [],
    "plan": [],
    "traces": [],
    "readers": [],
    "density": [],
    "lock_counters": ["--runs", "20"],
    "probe": ["--probes", "8"],
    "commands": [],
    "first_use": [],
    "pool": [],
    "scaling": [],
    "distributed": [],
    "sample": [],
    "compare": [],
}
APART = {  # hours of simulated pools: docs/forecast-model.md and docs/calibration.md tell how they are run
    "forecast": "coverage of forecasts on 400 histories",
    "calibrate": "ranks of the truth in 100 calibrations",
}
TRIES = 3  # a ratio that fell is measured again before it counts
MISSING = "not measured"
PLACE = re.compile(r"\{\{\s*(?P<path>[^|{}]+?)\s*(?:\|(?P<format>[^{}]*))?\}\}")
EACH = re.compile(r"^\{\{\s*each\s+(?P<path>[^{}]+?)\s*\}\}")


class NoFiguresError(Exception):
    """A benchmark ended without telling anything, as where a library that it compares with is missing."""


def measured(name: str, words: Sequence[str], quick: bool) -> dict[str, Any]:
    """Run a benchmark: its figures, how long it took, and the most memory that it and its children had."""
    with tempfile.TemporaryDirectory(prefix="clonesim-bench-") as folder:
        path = Path(folder) / "figures.json"
        called = [sys.executable, str(BENCHMARKS / f"bench_{name}.py"), *(["--quick"] if quick else words)]
        before, begin = os.getloadavg()[0], time.perf_counter()
        with subprocess.Popen([*called, "--json", str(path)], cwd=ROOT) as process, Memory(process.pid) as memory:
            code = process.wait()
        told = {
            "seconds": round(time.perf_counter() - begin, 1),
            "peak_mib": round(memory.peak / MIB),
            "load_before": round(before, 2),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        if not path.exists():
            raise NoFiguresError(f"benchmarks/bench_{name}.py gave no figures: it ended with code {code}")
        return json.loads(path.read_text(encoding="utf-8")) | told


def run(names: Sequence[str], path: Path, quick: bool) -> dict[str, Any]:
    """Run these benchmarks and keep what was found after each of them."""
    results = read(path)
    results["machine"] = machine()
    for name in names:
        print(f"--- {name}", flush=True)
        try:
            results["benchmarks"][name] = measured(name, RUNS[name], quick)
        except NoFiguresError as error:
            print(f"{error}; what was told before stays", file=sys.stderr)
        write(path, json.dumps(results, indent=1) + "\n")
    return results


def read(path: Path) -> dict[str, Any]:
    """Figures kept so far; none if there is no file."""
    if not path.exists():
        return {"machine": {}, "benchmarks": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def known(results: dict[str, Any]) -> dict[str, Any]:
    """What a path of the page may begin with."""
    runs = results["benchmarks"]
    whole = {name: {key: value for key, value in one.items() if key != "figures"} for name, one in runs.items()}
    own = {"machine": results["machine"], "runs": whole, "summary": summary(results)}
    return own | {name: one["figures"] for name, one in runs.items()}


def to_run(results: dict[str, Any]) -> list[str]:
    """Benchmarks that have not run whole: their figures are missing, or those of a quick form."""
    runs = results["benchmarks"]
    return [name for name in RUNS if name not in runs or runs[name]["quick"]]


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """What is told of the run as a whole."""
    runs = results["benchmarks"]
    dates = sorted({one["date"] for one in runs.values()})
    quick = [name for name, one in runs.items() if one["quick"]]
    missed = [name for name, one in runs.items() if one["passed"] is False and not one["quick"]]
    rows = [
        {"name": name, "command": one["command"], "seconds": one["seconds"], "peak_mib": one["peak_mib"]}
        | {"gates": {True: "met", False: "missed", None: "none"}[one["passed"]]}
        for name, one in runs.items()
    ]
    warning = f"**Not for use: quick forms, whose figures mean nothing: {', '.join(quick)}.** " if quick else ""
    return {
        "dates": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else MISSING,
        "minutes": sum(one["seconds"] for one in runs.values()) / 60,
        "load": max((one["load_before"] for one in runs.values()), default=0.0),
        "warning": warning,
        "missed": ", ".join(missed) or "none",
        "runs": rows,
    }


def page(template: str, results: dict[str, Any]) -> str:
    """The template with its figures filled in."""
    told, lines = known(results), []
    for line in template.splitlines():
        each = EACH.match(line)
        if each is None:
            lines.append(filled(line, told, None))
            continue
        rows = at(told, each["path"])
        rows = list(rows) if isinstance(rows, list) else []
        lines += [filled(line[each.end() :], told, row) for row in rows]
    return "\n".join(lines) + "\n"


def filled(line: str, told: dict[str, Any], row: Any) -> str:
    """One line with its figures."""

    def text(hit: re.Match[str]) -> str:
        path, spec = hit["path"], hit["format"] or ""
        value = at(row, path[1:]) if path.startswith(".") else at(told, path)
        if value is None:
            return MISSING
        if isinstance(value, bool) and "/" in spec:
            return spec.split("/")[0 if value else 1]
        return format(value, spec)

    return PLACE.sub(text, line)


def at(tree: Any, path: str) -> Any:
    """What lies at a path, or None."""
    for part in path.split("."):
        if isinstance(tree, list):
            key, _, value = part.partition("=")
            tree = next((row for row in tree if str(row.get(key)) == value), None) if value else _item(tree, part)
        elif isinstance(tree, dict):
            tree = tree.get(part)
        else:
            return None
    return tree


def _item(rows: list[Any], part: str) -> Any:
    return rows[int(part)] if part.lstrip("-").isdigit() and -len(rows) <= int(part) < len(rows) else None


def missing(template: str, results: dict[str, Any]) -> list[str]:
    """Figures that the page asks for and nobody measured."""
    told, found = known(results), []
    for line in template.splitlines():
        each = EACH.match(line)
        if each is not None and not isinstance(at(told, each["path"]), list):
            found.append(each["path"])
        paths = [hit["path"] for hit in PLACE.finditer(line[each.end() :] if each else line)]
        found += [path for path in paths if not path.startswith(".") and at(told, path) is None]
    return found


def fallen(now: dict[str, float], committed: dict[str, Any]) -> list[str]:
    """Sentences about ratios that fell by more than their tolerance, or that nobody measured."""
    found = []
    for name, one in committed["ratios"].items():
        tolerance = one.get("tolerance", committed["tolerance"])
        least = one["ratio"] * (1 - tolerance)
        if name not in now:
            found.append(f"{name}: committed {one['ratio']:g}, not measured; run bench_baselines.py --cases {name}")
        elif now[name] < least:
            fall = f"{now[name]:.3g}, {1 - now[name] / one['ratio']:.0%} below the committed {one['ratio']:g}"
            found.append(f"{name}: {fall}; at most {tolerance:.0%} are allowed")
    return found


def check(results: dict[str, Any] | None = None) -> int:
    """Hold ratios against the committed ones; without results they are measured now, fallen ones several times."""
    committed = tomllib.loads(RATIOS.read_text(encoding="utf-8"))
    if results is not None:
        now = dict(results["benchmarks"].get("baselines", {}).get("figures", {}).get("ratios", {}))
    else:
        now, again = {}, list(committed["ratios"])
        for _ in range(TRIES):
            try:
                found = measured("baselines", ["--cases", *again], quick=False)["figures"]["ratios"]
            except NoFiguresError as error:
                print(error, file=sys.stderr)
                return 1
            now |= {name: max(ratio, now.get(name, 0.0)) for name, ratio in found.items()}
            again = [text.split(":")[0] for text in fallen(now, committed)]
            if not again:
                break
    problems = fallen(now, committed)
    for text in problems:
        print(f"slower: {text}")
    if problems:
        print("Find out why, or, if it is meant, run bench_baselines and --accept.")
    else:
        print(f"{len(committed['ratios'])} ratios are within their tolerance")
    return int(bool(problems))


def accept(results: dict[str, Any]) -> None:
    """Write the ratios of the figures in place of the committed ones."""
    text = RATIOS.read_text(encoding="utf-8")
    for name, ratio in results["benchmarks"]["baselines"]["figures"]["ratios"].items():
        line = re.compile(rf"(^\[ratios\.{re.escape(name)}\]\n(?:#.*\n)*ratio = )\S+", re.MULTILINE)
        text = line.sub(lambda hit, value=ratio: f"{hit[1]}{value:.3g}", text)  # type: ignore[misc]
    write(RATIOS, text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; by default all")
    parser.add_argument("--page", action="store_true", help="only write the page from the figures that are there")
    parser.add_argument("--check", action="store_true", help="hold ratios to plain NumPy against the committed ones")
    parser.add_argument("--accept", action="store_true", help="make the ratios of the figures the committed ones")
    parser.add_argument(
        "--quick", action="store_true", help="the quick form of each; figures and page in another folder"
    )
    parser.add_argument("--results", type=Path, help="file of figures in place of benchmarks/results.json")
    asked = parser.parse_args(argv)
    for name in asked.names:
        if name not in RUNS:
            why = f": run by hand, {APART[name]}" if name in APART else f"; there are {', '.join(RUNS)}"
            parser.error(f"no benchmark {name!r} in the book{why}")
    path = asked.results or (QUICK / "results.json" if asked.quick else RESULTS)
    if asked.check:
        return check(read(path) if asked.results else None)
    if asked.accept:
        accept(read(path))
        return 0
    results = read(path) if asked.page else run(asked.names or list(RUNS), path, asked.quick)
    template = TEMPLATE.read_text(encoding="utf-8")
    left = to_run(results)
    target = (
        PAGE if path.resolve() == RESULTS and not left else PARTIAL if path == RESULTS else path.with_name(PAGE.name)
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, page(template, results))
    told = summary(results)
    print(f"wrote {target}; gates missed: {told['missed']}; highest load before a benchmark: {told['load']}")
    if left:
        print(f"{PAGE.name} stays as it is until these have run whole: {', '.join(left)}")
    for name in missing(template, results):
        print(f"not measured: {name}")
    return int(told["missed"] != "none" and not asked.page)


if __name__ == "__main__":
    raise SystemExit(main())
