"""Rows of a trace in one normalised form, and what makes a row bad.

A reader hands over the columns of a chunk as the file has them (`Columns`). `find_bad` judges them, the same for every
kind, and a `Collector` puts the good ones together, in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import TraceError
from clonesim.ops import BlockOp, Requests

# Codes beside BlockOp, in the reader only.
UNKNOWN, BLANK, WAIT, SHORT = -1, -2, -3, -4

# SCSI operation codes as vSCSI traces hold them. 0x35 and 0x91 are SYNCHRONIZE CACHE.
SCSI_OPS = {
    **dict.fromkeys((0x08, 0x28, 0x88, 0xA8), BlockOp.READ),
    **dict.fromkeys((0x0A, 0x2A, 0x8A, 0xAA), BlockOp.WRITE),
    **dict.fromkeys((0x41, 0x93), BlockOp.WRITE_SAME),
    0x42: BlockOp.DISCARD,
    **dict.fromkeys((0x35, 0x91), BlockOp.FLUSH),
}
MOST_BYTE = 2**63 - 1
MOST_TICK = 2**62
MOST_LENGTH = 2**31  # of a read or a write [B]
ROW_REMEDY = (
    "Correct or remove it, or leave out such rows with skip_bad_rows=True (--skip-bad-rows), which counts them."
)


class BadRow(NamedTuple):
    """A row that was left out: where it is, and why."""

    line: int  # from 1; in a binary trace the record
    field: str
    value: str
    problem: str


@dataclass(frozen=True)
class Layout:
    """What a kind's columns are called and which units they use.

    Attributes
    ----------
    kind : str
        Name of the kind.
    time, op, offset, length, device : str
        Names of the columns, for messages. No `time` means that wait rows move the clock.
    ticks_per_s : int
        Units of time in a second. [1/s]
    block : int
        Unit of the offset. [B]
    epoch_s : int or None
        Seconds from the kind's time 0 to 1970-01-01 UTC; None where time 0 is not a date. [s]
    """

    kind: str
    time: str
    op: str
    offset: str
    length: str
    device: str
    ticks_per_s: int
    block: int = 1
    epoch_s: int | None = None


@dataclass
class Columns:
    """Columns of a chunk as the file has them.

    Attributes
    ----------
    time : (n,) int64 array or None
        Ticks of the layout; None where wait rows move the clock.
    code : (n,) int16 array
        `BlockOp`, UNKNOWN, BLANK or WAIT.
    offset, length : (n,) int64 array
        In the layout's units; a wait row has its milliseconds in `offset`.
    device : (n,) int32 array
        Index into `names`.
    names : sequence of str
        The devices.
    """

    time: NDArray[np.int64] | None
    code: NDArray[np.int16]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    device: NDArray[np.int32]
    names: Sequence[str]

    def __len__(self) -> int:
        return int(self.code.size)

    def keep(self, rows: NDArray[np.bool_]) -> Columns:
        """Only these rows."""
        time = None if self.time is None else self.time[rows]
        return Columns(time, self.code[rows], self.offset[rows], self.length[rows], self.device[rows], self.names)


Verdict = tuple[NDArray[np.bool_], str, str]  # rows, field, problem


def find_bad(layout: Layout, columns: Columns) -> list[Verdict]:
    """Rows that cannot be used, by field and problem; rows with a blank operation are judged like the others."""
    code, offset, length = columns.code, columns.offset, columns.length
    moves = (code == BlockOp.READ) | (code == BlockOp.WRITE)
    sized = moves | (code == BlockOp.DISCARD) | (code == BlockOp.WRITE_SAME)
    most_offset = MOST_BYTE // layout.block
    verdicts: list[Verdict] = [
        (code == UNKNOWN, layout.op, "this operation is not known"),
        (offset < 0, layout.offset, "is negative"),
        (offset > most_offset, layout.offset, f"is beyond byte 2^63 (in units of {layout.block} B)"),
        (length < 0, layout.length, "is negative"),
        (sized & (length == 0), layout.length, "a request of no bytes"),
        (moves & (length > MOST_LENGTH), layout.length, f"a request of more than {MOST_LENGTH} B"),
        (
            offset > (MOST_BYTE - np.maximum(length, 0)) // layout.block,
            layout.length,
            "the request ends beyond byte 2^63",
        ),
    ]
    if columns.time is not None:
        outside = (columns.time < 0) | (columns.time > MOST_TICK)
        verdicts.append((outside, layout.time, f"is not a time from 0 to {MOST_TICK} / {layout.ticks_per_s} s"))
    if "" in columns.names:
        verdicts.append((columns.device == list(columns.names).index(""), layout.device, "is empty"))
    return [verdict for verdict in verdicts if verdict[0].any()]


class Collector:
    """Puts the good rows of a trace together and reports or counts the bad ones.

    Parameters
    ----------
    path : Path
        The file, for messages.
    layout : Layout
        Units of the columns.
    skip_bad_rows : bool
        Count bad rows instead of refusing the trace.
    """

    def __init__(self, path: Path, layout: Layout, skip_bad_rows: bool) -> None:
        self.path, self.layout, self.skip_bad_rows = path, layout, skip_bad_rows
        self.rows = 0
        self.skipped: list[BadRow] = []
        self.devices: dict[str, int] = {}
        self._ticks, self._offset, self._length = (_Growing(np.dtype(np.int64)) for _ in range(3))
        self._op, self._device = _Growing(np.dtype(np.uint8)), _Growing(np.dtype(np.int32))
        self._clock = 0

    def bad(self, row: BadRow, hint: str = "") -> None:
        """Count a bad row, or refuse the trace."""
        if not self.skip_bad_rows:
            remedy = f"{hint} {ROW_REMEDY}" if hint else ROW_REMEDY
            raise TraceError(self.path, row.problem, remedy, row.line, row.field, row.value)
        self.skipped.append(row)

    def add(self, columns: Columns, rows: int | None = None) -> None:
        """Take over good rows; `rows` counts the file's rows behind them where some were bad."""
        waits = columns.code == WAIT
        self.rows += (len(columns) if rows is None else rows) - int(np.count_nonzero(waits))
        ticks = self._clocked(columns, waits) if columns.time is None else columns.time
        if waits.any():
            ticks, columns = ticks[~waits], columns.keep(~waits)
        if not len(columns):
            return
        codes = np.array([self.devices.setdefault(name, len(self.devices)) for name in columns.names], np.int32)
        self._ticks.append(ticks)
        self._op.append(columns.code)
        self._offset.append(columns.offset * self.layout.block if self.layout.block != 1 else columns.offset)
        self._length.append(columns.length)
        self._device.append(codes[columns.device])

    def _clocked(self, columns: Columns, waits: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Time of each row where a wait row says "not before this time"."""
        ticks = np.maximum.accumulate(np.maximum(np.where(waits, columns.offset, 0), self._clock))
        if ticks.size:
            self._clock = int(ticks[-1])
        return ticks

    def finish(self) -> Collected:
        """All rows in order of time; rows of equal time keep the file's order."""
        if not self._ticks.used:
            found = f"only bad rows ({len(self.skipped)})" if self.skipped else "no rows"
            raise TraceError(self.path, f"holds {found} and no usable command", "Record or copy the trace again.")
        ticks, op = self._ticks.whole(), self._op.whole()
        offset, length, device = self._offset.whole(), self._length.whole(), self._device.whole()
        backward = int(np.count_nonzero(ticks[1:] < ticks[:-1]))
        if backward:
            order = np.argsort(ticks, kind="stable")
            ticks, op, offset, length, device = (c[order] for c in (ticks, op, offset, length, device))
        first = int(ticks[0])
        time_s = (ticks - first) / self.layout.ticks_per_s
        names = np.array(list(self.devices), dtype=object)
        used = np.flatnonzero(np.bincount(device, minlength=names.size))
        if used.size < names.size:
            renumber = np.zeros(names.size, np.int32)
            renumber[used] = np.arange(used.size)
            device = renumber[device]
        return Collected(Requests(time_s, op, offset, length), device, tuple(names[used]), first, backward)


class _Growing:
    """A column that grows in place: joining parts at the end would hold all of them twice."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.used = 0
        self._column: NDArray[Any] = np.empty(0, dtype)

    def append(self, values: NDArray[Any]) -> None:
        """Put values behind the others."""
        need = self.used + values.size
        if need > self._column.size:
            self._column.resize(max(need, self._column.size * 3 // 2), refcheck=False)
        self._column[self.used : need] = values
        self.used = need

    def whole(self) -> NDArray[Any]:
        """Give up the column, cut to what it holds."""
        column, self._column = self._column, np.empty(0, self._column.dtype)
        column.resize(self.used, refcheck=False)
        self.used = 0
        return column


class Collected(NamedTuple):
    """What a Collector ends with."""

    requests: Requests
    device: NDArray[np.int32]
    devices: tuple[str, ...]
    first_tick: int
    out_of_order: int


def in_line_order(rows: Iterable[BadRow]) -> list[BadRow]:
    """Bad rows by line, one for each line."""
    first: dict[int, BadRow] = {}
    for row in rows:
        first.setdefault(row.line, row)
    return [first[line] for line in sorted(first)]
