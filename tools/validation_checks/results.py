"""What checks found when they were run last: docs/validation.json."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import clonesim

from .entry import ROOT, AbsentError, Entry, Figure, fresh_seed

TARGET = ROOT / "docs" / "validation.json"
PACKAGES = ("numpy", "numba", "scipy", "simpy")
PROGRAMS = {"qemu-img": ("qemu-img", "--version"), "ntfs-3g": ("ntfs-3g", "--version")}


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes
    ----------
    figures : tuple of Figure
        Empty if it never ran.
    seconds : float
        Of one core, children included.
    made : str
        Version and day.
    seed : int or None
        Seed of a check that draws one.
    absent : str
        Why it did not run last time; empty if it did.
    """

    figures: tuple[Figure, ...] = ()
    seconds: float = 0.0
    made: str = ""
    seed: int | None = None
    absent: str = ""

    @property
    def holds(self) -> bool:
        """Whether it ran and every figure is within its bounds."""
        return bool(self.figures) and all(figure.holds for figure in self.figures)


@dataclass
class Results:
    """Results by name of the check, and with what they were made.

    Attributes
    ----------
    programs : dict of str to str
        Versions.
    entries : dict of str to Result
        By name.
    """

    programs: dict[str, str] = field(default_factory=dict)
    entries: dict[str, Result] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = TARGET) -> Results:
        """Results in a file; none if it is not there."""
        if not path.is_file():
            return cls()
        stored = json.loads(path.read_text(encoding="utf-8"))
        entries = {
            name: Result(**(one | {"figures": tuple(_figure(figure) for figure in one["figures"])}))
            for name, one in stored["entries"].items()
        }
        return cls(stored["programs"], entries)

    def write(self, order: list[str], path: Path = TARGET) -> None:
        """Write them in the order of the book, whole or not at all."""
        entries = {name: _stored(self.entries[name]) for name in order if name in self.entries}
        text = json.dumps({"programs": self.programs, "entries": entries}, indent=1, allow_nan=False) + "\n"
        half = path.with_name(path.name + ".part")
        half.write_text(text, encoding="utf-8")
        half.replace(path)

    def take(self, entry: Entry, result: Result) -> None:
        """Keep a result; where the check could not run, the figures that stand there stay."""
        old = self.entries.get(entry.name)
        self.entries[entry.name] = replace(old, absent=result.absent) if result.absent and old else result
        if not result.absent:
            self.programs = self.programs | versions()


def _stored(result: Result) -> dict[str, Any]:
    figures = []
    for figure in result.figures:
        row = {key: value for key, value in asdict(figure).items() if value != getattr(Figure, key, None)}
        if not math.isfinite(figure.value):
            row["value"] = None
        figures.append(row | {"holds": figure.holds})
    return asdict(result) | {"figures": figures}


def _figure(row: dict[str, Any]) -> Figure:
    value = math.nan if row["value"] is None else row["value"]
    more = {key: one for key, one in row.items() if key not in ("value", "holds", "counts")}
    return Figure(value=value, counts=tuple(row.get("counts", ())), **more)


def run(entry: Entry, seed: int | None = None, say: Callable[[str], None] = print) -> Result:
    """Run a check.

    Parameters
    ----------
    entry : Entry
        The check.
    seed : int, optional
        For a check that draws one; a fresh one if not given.
    say : callable
        Tells a fresh seed before the check runs, so that a crash can be repeated.
    """
    used = (fresh_seed() if seed is None else seed) if entry.fresh else None
    if used is not None:
        say(f"{entry.name}: seed {used}")
    before = os.times()
    try:
        figures = tuple(entry.run(used))
    except AbsentError as error:
        return Result(absent=str(error))
    after = os.times()
    spent = sum(after[k] - before[k] for k in range(4))
    made = f"{clonesim.__version__}, {dt.datetime.now(dt.UTC).date().isoformat()}"
    return Result(figures, round(spent, 1), made, used)


def repeated(entry: Entry, result: Result, stands: Result) -> list[str]:
    """What a repetition finds otherwise than what stands in the book, beyond each figure's tolerance."""
    if result.absent:
        return []
    found = [
        f"{entry.name}: {one.what}: {one.text}, allowed: {one.bound or 'a number'}"
        for one in result.figures
        if not one.holds
    ]
    if [one.what for one in result.figures] != [one.what for one in stands.figures]:
        return [*found, f"{entry.name}: its figures are others than those in the book"]
    for new, old in zip(result.figures, stands.figures, strict=True):
        if (new.low, new.high, new.unit) != (old.low, old.high, old.unit):
            if new.again is not None:
                found.append(f"{entry.name}: {new.what}: bounds are {new.bound} now, {old.bound} in the book")
        elif new.again is not None and not abs(new.value - old.value) <= new.again * abs(old.value):
            found.append(f"{entry.name}: {new.what}: {new.value:.6g} now, {old.value:.6g} in the book")
    return found


def versions() -> dict[str, str]:
    """Versions of what figures come from."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, argv in PROGRAMS.items():
        if shutil.which(argv[0]):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            words = (done.stdout + done.stderr).split()
            found[name] = next((word for word in words if word[0].isdigit()), "?")
    return found
