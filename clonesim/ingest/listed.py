"""Rows of a listing while it is read, and the frames that come of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clonesim.errors import InventoryError
from clonesim.ingest import dates
from clonesim.ingest.file_kinds import GROWING
from clonesim.ingest.limits import most, or_raise

if TYPE_CHECKING:
    import pandas as pd

FILE_COLUMNS = ("clone", "file", "kind", "bytes", "allocated_bytes", "capacity_bytes", "time", "listed", "parent")
HISTORY_COLUMNS = ("clone", "date", "bytes")
INTERVAL_COLUMNS = ("clone", "file", "start", "end", "bytes")
_SIZES = ("bytes", "allocated_bytes", "capacity_bytes")
_TIMES = ("time", "listed", "start", "end")


@dataclass(slots=True)
class FileRow:
    """One file or volume of a listing. Times are microseconds since 1970, UTC; None where they are not told."""

    clone: str
    file: str
    kind: str
    bytes: int | None = None
    allocated_bytes: int | None = None
    capacity_bytes: int | None = None
    time: int | None = None
    listed: int | None = None
    parent: str = ""


@dataclass(slots=True)
class IntervalRow:
    """A delta from its creation to the snapshot that froze it. Times as in FileRow."""

    clone: str
    file: str
    start: int | None
    end: int | None
    bytes: int | None


@dataclass
class Rows:
    """What a reader of listings has found.

    Attributes
    ----------
    path : str or Path
        The file, for messages.
    files, intervals : list
        Rows.
    notes : list of str
        What was doubtful.
    limit : int
        Most rows.
    growing : tuple of str
        Kinds of file whose sizes make the history.
    seen : set
        What has been taken, where a file may be told of more than once.
    """

    path: str | Path
    files: list[FileRow] = field(default_factory=list)
    intervals: list[IntervalRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    limit: int = field(default_factory=lambda: most("listing_rows"))
    growing: tuple[str, ...] = GROWING
    seen: set[tuple[str, int | None]] = field(default_factory=set)

    def add(self, row: FileRow) -> None:
        """Take a row.

        Raises
        ------
        InventoryError
            If there are too many, or a size is no size.
        """
        if len(self.files) >= self.limit:
            problem = f"more than {self.limit} rows"
            raise InventoryError(self.path, problem, or_raise("listing_rows", "Split it", self.limit))
        for name in _SIZES:
            size = getattr(row, name)
            if size is not None and not 0 <= size < 2**63:
                problem = f"the size of {row.file[:80]!r} is not from 0 to 2^63 - 1 bytes"
                raise InventoryError(self.path, problem, "Correct it.", column=name, value=str(size)[:40])
        self.files.append(row)

    def note(self, text: str) -> None:
        """Note something once."""
        if text not in self.notes:
            self.notes.append(text)


def files_frame(rows: Sequence[FileRow]) -> pd.DataFrame:
    """Frame of files, typed also where it is empty."""
    return _frame(rows, FILE_COLUMNS)


def intervals_frame(rows: Sequence[IntervalRow]) -> pd.DataFrame:
    """Frame of intervals, typed also where it is empty."""
    return _frame(rows, INTERVAL_COLUMNS)


def _frame(rows: Sequence[FileRow] | Sequence[IntervalRow], names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    columns = {}
    for name in names:
        values = [getattr(row, name) for row in rows]
        if name in _SIZES:
            columns[name] = pd.Series(values, dtype="Int64")
        elif name in _TIMES:
            ticks = np.array([dates.NONE if value is None else value for value in values], np.int64)
            columns[name] = dates.as_utc(ticks, np.ones(ticks.size, bool), "UTC")
        else:
            columns[name] = pd.Series([value or pd.NA for value in values], dtype="string")
    return pd.DataFrame(columns)


def history_of(files: pd.DataFrame, growing: Sequence[str] = GROWING) -> pd.DataFrame:
    """Bytes of each clone's growing files at each time of listing: clone, date, bytes."""
    grown = files[files["kind"].isin(growing) & files["listed"].notna() & files["clone"].notna()]
    sizes = grown["bytes"].fillna(grown["allocated_bytes"])
    frame = grown.assign(bytes=sizes).dropna(subset=["bytes"]).rename(columns={"listed": "date"})
    # The same file twice in one listing (a link, a repeated command) is one file.
    frame = frame.drop_duplicates(["clone", "file", "date"])
    return tidy_history(frame.groupby(["clone", "date"])[["bytes"]].sum().reset_index())


def tidy_history(frame: pd.DataFrame) -> pd.DataFrame:
    """History with its columns in order, sorted by clone and date."""
    frame = frame[list(HISTORY_COLUMNS)].astype({"clone": "string", "bytes": "int64"})
    return frame.sort_values(["clone", "date"], ignore_index=True, kind="stable")
