"""Records that the parts hand to each other: file operations down into a guest, block requests out of it.

A *file operation* is what a desktop does ("append 64 KiB to file 12"). A *block request* is what the guest's disk then
sees ("write 4,096 B at offset 1,073,741,824"). Traces are block requests too, so a delta does not care where they
come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray


class BlockOp(IntEnum):
    """What a block request does."""

    READ = 0
    WRITE = 1
    DISCARD = 2  # UNMAP, TRIM
    WRITE_SAME = 3
    FLUSH = 4


class FileOp(IntEnum):
    """What a file operation does."""

    CREATE = 0  # length bytes, size known in advance
    APPEND = 1  # length bytes at the end, as a stream
    OVERWRITE = 2  # length bytes at offset, in place
    DELETE = 3
    RENAME = 4  # onto the file number in `offset`; a file already there is deleted (rename-over)
    TRIM = 5  # discard all free space
    SCATTER = 6  # length bytes in 4 KiB pages at pseudo-random pages of the file, in place; offset is the random key


OPS_DTYPE = np.dtype(
    [
        ("time_s", np.float64),  # start of the operation, seconds since the scenario's start
        ("offset", np.int64),  # byte offset in the file
        ("length", np.int64),  # bytes
        ("file", np.int64),  # file number, 0 .. 2**24 - 1
        ("op", np.int64),  # FileOp
        ("source", np.int32),  # index of the write source
        ("disk", np.int32),  # index of the clone's disk
    ]
)


def take(ops: NDArray[np.void], rows: NDArray[np.bool_] | NDArray[np.intp]) -> NDArray[np.void]:
    """Some operations, by a mask or by their places, as ``ops[rows]``: whole words move faster than records."""
    places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
    words = ops.view(np.int64).reshape(ops.size, OPS_DTYPE.itemsize // 8)
    found: NDArray[np.void] = words.take(places, axis=0).reshape(-1).view(OPS_DTYPE)
    return found


@dataclass(frozen=True, slots=True)
class Requests:
    """Block requests in order of time.

    Attributes
    ----------
    time_s : (n,) float64 array
        Seconds since the start. [s]
    op : (n,) uint8 array
        `BlockOp` codes.
    offset, length : (n,) int64 array
        Place on the disk. [B]
    """

    time_s: NDArray[np.float64]
    op: NDArray[np.uint8]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.offset.size)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        return type(self)(self.time_s[rows], self.op[rows], self.offset[rows], self.length[rows])

    @property
    def writes(self) -> NDArray[np.bool_]:
        """Mask of the requests that put data on the disk. (n,) bool array."""
        mask: NDArray[np.bool_] = (self.op == BlockOp.WRITE) | (self.op == BlockOp.WRITE_SAME)
        return mask
