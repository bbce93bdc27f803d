"""Rows of a trace in one normalised form, and what makes a row bad.

A reader hands over the columns of a chunk as the file has them (`Columns`). `find_bad` judges them, the same for every
kind, and a `Collector` (collector.py) puts the good ones together, in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.ops import BlockOp

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
    block, length_block : int
        Units of the offset and of the length. [B]
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
    length_block: int = 1


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
    file : (n,) int32 array, optional
        Index into `files`, where the kind names the file behind a request.
    files : sequence of str
        The files.
    """

    time: NDArray[np.int64] | None
    code: NDArray[np.int16]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    device: NDArray[np.int32]
    names: Sequence[str]
    file: NDArray[np.int32] | None = None
    files: Sequence[str] = ()

    def __len__(self) -> int:
        return int(self.code.size)

    def keep(self, rows: NDArray[np.bool_]) -> Columns:
        """Only these rows."""
        time = None if self.time is None else self.time[rows]
        file = None if self.file is None else self.file[rows]
        places = (self.code[rows], self.offset[rows], self.length[rows], self.device[rows])
        return Columns(time, *places, self.names, file, self.files)


Verdict = tuple[NDArray[np.bool_], str, str]  # rows, field, problem


def find_bad(layout: Layout, columns: Columns) -> list[Verdict]:
    """Rows that cannot be used, by field and problem; rows with a blank operation are judged like the others."""
    code, offset, length = columns.code, columns.offset, columns.length
    moves = (code == BlockOp.READ) | (code == BlockOp.WRITE)
    sized = moves | (code == BlockOp.DISCARD) | (code == BlockOp.WRITE_SAME)
    most_offset, most_length = MOST_BYTE // layout.block, MOST_BYTE // layout.length_block
    size = np.clip(length, 0, most_length) * layout.length_block
    verdicts: list[Verdict] = [
        (code == UNKNOWN, layout.op, "this operation is not known"),
        (offset < 0, layout.offset, "is negative"),
        (offset > most_offset, layout.offset, f"is beyond byte 2^63 (in units of {layout.block} B)"),
        (length < 0, layout.length, "is negative"),
        (sized & (length == 0), layout.length, "a request of no bytes"),
        (moves & (size > MOST_LENGTH), layout.length, f"a request of more than {MOST_LENGTH} B"),
        (
            (offset > (MOST_BYTE - size) // layout.block) | (length > most_length),
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


def in_line_order(rows: Iterable[BadRow]) -> list[BadRow]:
    """Bad rows by line, one for each line."""
    first: dict[int, BadRow] = {}
    for row in rows:
        first.setdefault(row.line, row)
    return [first[line] for line in sorted(first)]
