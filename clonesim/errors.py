"""Every error that clonesim raises on purpose.

A message names the parameter, the value, what is allowed and the remedy, so that it can be shown to a user as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar


class ClonesimError(Exception):
    """Base of all errors that clonesim raises on purpose; the command line prints it and exits with 2."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole: a worker's error would otherwise be made anew from its message alone."""
        return _made_anew, (type(self), self.args, self.__dict__)


class WorkerError(ClonesimError):
    """A process that did a part of the work ended before its time."""


class WriteError(ClonesimError, OSError):
    """A file cannot be written, such as on a full disk; no half of it is left, and one that was there before stays.

    It is an `OSError` too, so code that goes on without a file need not know it.
    """

    def __init__(self, path: str | Path, problem: str, remedy: str) -> None:
        self.path, self.problem, self.remedy = str(path), problem, remedy
        super().__init__(f"{path}: it cannot be written: {problem}. {remedy}")


LONGEST_SHOWN = 400  # characters of a value in a message
LONGEST_PROBLEM = 1000  # characters of what is wrong with a file
MOST_SHOWN = 80  # characters of a piece of a file in a message


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"


def _cut(text: str, longest: int = LONGEST_PROBLEM) -> str:
    """Text as it is told: names, and messages of libraries, may hold a piece of the file."""
    return text if len(text) <= longest else f"{text[: LONGEST_SHOWN // 2]} ... {text[-MOST_SHOWN:]}"


def _made_anew(kind: type[ClonesimError], args: tuple[Any, ...], values: dict[str, Any]) -> ClonesimError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(values)
    return error


class ParameterError(ClonesimError, ValueError):
    """A value is outside what is allowed."""

    def __init__(self, name: str, value: object, allowed: str, remedy: str = "") -> None:
        self.name, self.value, self.allowed, self.remedy = name, value, allowed, remedy
        super().__init__(f"{name}={_shown(value)}: {allowed}.{' ' + remedy if remedy else ''}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a scenario.

    Attributes
    ----------
    path : str
        Dotted path, such as "guest.disk".
    value : object
        What stands there.
    allowed : str
        What may stand there.
    remedy : str
        What works instead.
    """

    path: str
    value: object
    allowed: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return one line: path, value, what is allowed, what works instead."""
        return str(ParameterError(self.path, self.value, self.allowed, self.remedy))


class ScenarioError(ClonesimError, ValueError):
    """A scenario with problems, all of them.

    Attributes
    ----------
    problems : tuple of Problem
        What is wrong, in the order of the scenario's tables.
    """

    what: ClassVar[str] = "scenario"

    def __init__(self, scenario: str, problems: Sequence[Problem]) -> None:
        self.scenario, self.problems = scenario, tuple(problems)
        if len(problems) == 1:
            super().__init__(f"{self.what} {scenario!r}: {problems[0]}")
        else:
            lines = "".join(f"\n  {problem}" for problem in problems)
            super().__init__(f"{self.what} {scenario!r}: {len(problems)} problems{lines}")


class EstateError(ScenarioError):
    """An estate with problems, all of them; those of a pool's scenario have the pool's place before their path."""

    what: ClassVar[str] = "estate"


class VolumeError(ClonesimError):
    """A file operation that the guest file system refuses; the volume is as it was before the call."""


class VolumeFullError(VolumeError):
    """The guest file system has too few free clusters, even after a checkpoint."""


class FileNameError(VolumeError, KeyError):
    """A file that must exist does not, or one that must not exist does."""

    def __str__(self) -> str:
        """Return the message itself; KeyError would quote it."""
        return str(self.args[0])


class TraceError(ClonesimError, ValueError):
    """A trace that cannot be used, or a row of it that cannot be read."""

    def __init__(
        self,
        path: str | Path,
        problem: str,
        remedy: str,
        line: int | None = None,
        field: str = "",
        value: object = None,
    ) -> None:
        self.path, self.line, self.field, self.value = str(path), line, field, value
        where = f"{path}" if line is None else f"{path}, line {line}"
        what = f", {field}={_shown(value)}" if field else ""
        super().__init__(f"{where}{what}: {_cut(problem)}. {remedy}")


class ImageError(ClonesimError, ValueError):
    """A disk image, or a file system in it, that cannot be read."""

    def __init__(self, path: str | Path, problem: str, remedy: str, offset: int | None = None) -> None:
        self.path, self.problem, self.remedy, self.offset = str(path), problem, remedy, offset
        where = f"{path}" if offset is None else f"{path}, byte {offset}"
        super().__init__(f"{where}: {_cut(problem)}. {remedy}")


class InventoryError(ClonesimError, ValueError):
    """An inventory or a listing that cannot be used, or a cell of it that cannot be read.

    Rows are counted as a spreadsheet does: the first one is 1. In a text file they are lines, but for line breaks in
    quotes.
    """

    def __init__(
        self,
        path: str | Path,
        problem: str,
        remedy: str,
        sheet: str = "",
        row: int | None = None,
        column: str = "",
        value: object = None,
    ) -> None:
        self.path, self.sheet, self.row, self.column, self.value = str(path), sheet, row, column, value
        tab = [f"sheet {_cut(sheet, LONGEST_SHOWN)}"] if sheet else []
        where = [str(path), *tab, *([] if row is None else [f"row {row}"])]
        what = f", {_cut(column, LONGEST_SHOWN)}={_shown(value)}" if column else ""
        super().__init__(f"{', '.join(where)}{what}: {_cut(problem)}. {remedy}")


class ProbeError(ClonesimError, ValueError):
    """A probe's results that cannot be used."""

    def __init__(self, path: str | Path, field: str, value: object, allowed: str, remedy: str) -> None:
        self.path, self.field, self.value = str(path), field, value
        super().__init__(f"{path}, {field}={_shown(value)}: {allowed}. {remedy}")


def shorten(text: str | bytes) -> str:
    """Text for a message, at most 80 characters."""
    shown = text[: 4 * MOST_SHOWN].decode("utf-8", "replace") if isinstance(text, bytes) else text
    return shown if len(shown) <= MOST_SHOWN else shown[: MOST_SHOWN - 3] + "..."


def nearest(value: object, names: Iterable[object]) -> str:
    """Question whether the nearest known name was meant; an empty text if none is near."""
    import difflib

    close = difflib.get_close_matches(str(value), [str(name) for name in names], n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
