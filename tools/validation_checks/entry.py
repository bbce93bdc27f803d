"""A check of the book: what it claims, against what, and the figures that it finds."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENGINE = (
    "This is accuracy of the engine against a Linux driver. It says nothing of which clusters Windows picks, and no "
    "figure of a Windows desktop follows from it."
)
SAMPLES = "CLONESIM_SAMPLES"


class AbsentError(Exception):
    """What a check needs is not here; the message says what, and where to get it."""


@dataclass(frozen=True)
class Figure:
    """One number that a check finds, and the bounds it must keep.

    Attributes
    ----------
    what : str
        What it is.
    value : float
        The number. NaN never holds.
    unit : str
        Such as "B" or "%".
    low, high : float
        Bounds, both included.
    digits : int
        Digits behind the point on the page.
    again : float or None
        How far a repetition with the same version may be off, relative to the value; None where it draws fresh
        seeds, or depends on the machine.
    counts : tuple of int
        Classes of a histogram that the number is about; empty if there is none.
    """

    what: str
    value: float
    unit: str = ""
    low: float = -inf
    high: float = inf
    digits: int = 0
    again: float | None = 1e-6
    counts: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is within its bounds."""
        return bool(self.low <= self.value <= self.high)

    @property
    def judged(self) -> bool:
        """Whether it has bounds; one without says how much was looked at."""
        return self.low > -inf or self.high < inf

    @property
    def text(self) -> str:
        """Number with unit."""
        return self._told(self.value)

    @property
    def bound(self) -> str:
        """Bounds in words."""
        if self.low == self.high:
            return self._told(self.low)
        if self.low == -inf:
            return "" if self.high == inf else f"{self._told(self.high)} at most"
        if self.high == inf:
            return f"{self._told(self.low)} at least"
        return f"{self._number(self.low)} to {self._told(self.high)}"

    def _number(self, value: float) -> str:
        if abs(value) >= max(10.0**-self.digits / 2, 1e-3) or value == 0:
            return f"{value:,.{self.digits}f}"
        return f"{value:.0e}"

    def _told(self, value: float) -> str:
        return f"{self._number(value)} {self.unit}".strip()


def zero(what: str, value: float, unit: str = "", *, fresh: bool = False) -> Figure:
    """A count or difference that must be 0."""
    return Figure(what, float(value), unit, 0.0, 0.0, again=None if fresh else 0.0)


def told(what: str, value: float, unit: str = "", digits: int = 0, again: float | None = 1e-6) -> Figure:
    """A number that says how much was looked at."""
    return Figure(what, float(value), unit, digits=digits, again=again)


@dataclass(frozen=True)
class Entry:
    """A check.

    Attributes
    ----------
    name : str
        By which it is asked for.
    chapter : str
        Where it stands in the book.
    claim : str
        What is claimed.
    against : str
        What it is compared with, made by others.
    compute : callable
        Gives the figures; takes a seed if `fresh`.
    tests : tuple of str
        Files of tests that check the same, step by step.
    cheap : bool
        Whether the test of the book computes it anew.
    fresh : bool
        Whether each run draws a seed that nobody has seen.
    engine : bool
        Whether it compares with a Linux driver, which is said beside it.
    note : str
        What to know of it.
    """

    name: str
    chapter: str
    claim: str
    against: str
    compute: Callable[..., Sequence[Figure]]
    tests: tuple[str, ...] = ()
    cheap: bool = False
    fresh: bool = False
    engine: bool = False
    note: str = ""

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"python tools/validation_book.py {self.name}"

    def run(self, seed: int | None = None) -> list[Figure]:
        """Figures. Raises AbsentError where something it needs is not here."""
        return list(self.compute(fresh_seed() if seed is None else seed) if self.fresh else self.compute())


def fresh_seed() -> int:
    """A seed that nobody has seen, or the one in CLONESIM_RIG_SEED."""
    return int(os.environ.get("CLONESIM_RIG_SEED") or int.from_bytes(os.urandom(4), "little"))


@dataclass
class Chapter:
    """Collects the checks of a module in the order in which they stand there.

    Attributes
    ----------
    title : str
        Heading in the book.
    text : str
        What is said under it.
    entries : list of Entry
        The checks.
    """

    title: str
    text: str = ""
    entries: list[Entry] = field(default_factory=list)

    def check(self, name: str, claim: str, against: str, **more: Any) -> Callable[..., Callable[..., Any]]:
        """Make a function a check of this chapter."""

        def made(compute: Callable[..., Sequence[Figure]]) -> Callable[..., Sequence[Figure]]:
            self.entries.append(Entry(name, self.title, claim, against, compute, **more))
            return compute

        return made


def need(*programs: str) -> None:
    """Raise AbsentError if a program is not installed."""
    packages = {"mkntfs": "ntfs-3g", "ntfs-3g": "ntfs-3g", "qemu-storage-daemon": "qemu-system-common"}
    packages |= dict.fromkeys(("ntfsinfo", "ntfscat", "ntfscp"), "ntfs-3g")
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        wanted = sorted({packages.get(name, "qemu-utils") for name in missing})
        raise AbsentError(f"not installed: {', '.join(missing)} (Debian: {', '.join(wanted)})")


def sample(name: str, origin: str, md5: str = "") -> Path:
    """A real file that may not be shipped: from the folder in CLONESIM_SAMPLES, or beside the project.

    Parameters
    ----------
    name : str
        Path inside the folder.
    origin : str
        Where it is published.
    md5 : str
        Checksum by which it is known; empty if any will do.
    """
    folder = Path(os.environ.get(SAMPLES) or ROOT.parent / "shared" / "samples")
    path = folder / name
    if not path.is_file():
        raise AbsentError(f"the sample {name} is absent ({origin}); put it into a folder and name it in {SAMPLES}")
    if md5 and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise AbsentError(f"the sample {name} is another file than the published one ({origin})")
    return path
