"""File operations and reads as they are put together for a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.draws import Floats, Ints
from clonesim.guest.write_sources import Source
from clonesim.ops import OPS_DTYPE, FileOp, take

FILE_PAGE = 4096  # bytes of a page of a file


@dataclass(frozen=True, slots=True)
class Reads:
    """What a clone reads, in order of time.

    Attributes
    ----------
    time_s : (n,) float64 array
        When. [s]
    source : (n,) int32 array
        Index of the source.
    bytes, ios : (n,) int64 arrays
        How much, and in how many requests. [B], [1]
    """

    time_s: Floats
    source: NDArray[np.int32]
    bytes: Ints
    ios: Ints

    def __len__(self) -> int:
        return int(self.time_s.size)


class Rows:
    """Operations in the making.

    At equal times the order in which they were added counts; so a source adds its deletes first.
    """

    def __init__(self, first_file: int, horizon_s: float) -> None:
        self.first_file, self.horizon_s = first_file, horizon_s
        self._ops: list[tuple[int, int, Floats, Any, Any, Any]] = []
        self._reads: list[tuple[int, Floats, Ints, Ints]] = []

    def add(self, source: Source, op: FileOp, time_s: Floats, slot: Any, offset: Any = 0, length: Any = 0) -> None:
        """Add operations of one kind on files by slot; a rename's offset is a slot, too."""
        if time_s.size:
            file = source.number(slot, self.first_file)
            if op is FileOp.RENAME:
                offset = source.number(offset, self.first_file)
            self._ops.append((source.index, int(op), time_s, file, offset, length))

    def add_pairs(self, source: Source, time_s: Floats, made: int, target: Ints, length: Ints) -> None:
        """Add safe saves: slot `made` is created and renamed over `target`, before the next one begins."""
        twice = np.repeat(time_s, 2)
        file = np.full(twice.size, source.number(made, self.first_file))
        offset, size = np.zeros(twice.size, np.int64), np.zeros(twice.size, np.int64)
        offset[1::2], size[::2] = source.number(target, self.first_file), length
        op = np.tile([int(FileOp.CREATE), int(FileOp.RENAME)], time_s.size)
        if twice.size:
            self._ops.append((source.index, op, twice, file, offset, size))  # type: ignore[arg-type]

    def add_reads(self, source: Source, time_s: Floats, size: Ints, ios: Ints) -> None:
        """Add reads."""
        if time_s.size:
            self._reads.append((source.index, time_s, size, ios))

    def ops(self) -> NDArray[np.void]:
        """All operations before the horizon, in order of time."""
        ops = np.zeros(sum(part[2].size for part in self._ops), OPS_DTYPE)
        at = 0
        for source, op, time_s, file, offset, length in self._ops:
            rows = ops[at : at + time_s.size]
            rows["source"], rows["op"], rows["time_s"] = source, op, time_s
            rows["file"], rows["offset"], rows["length"] = file, offset, length
            at += time_s.size
        return take(ops, self._order(ops["time_s"]))

    def reads(self) -> Reads:
        """All reads before the horizon, in order of time."""
        parts = self._reads
        if not parts:
            none = np.zeros(0, np.int64)
            return Reads(np.zeros(0), np.zeros(0, np.int32), none, none)
        time_s = np.concatenate([part[1] for part in parts])
        order = self._order(time_s)
        source = np.repeat([part[0] for part in parts], [part[1].size for part in parts]).astype(np.int32)
        sizes, ios = (np.concatenate([part[k] for part in parts])[order] for k in (2, 3))
        return Reads(time_s[order], source[order], sizes, ios)

    def _order(self, time_s: Floats) -> Ints:
        time_s = np.ascontiguousarray(time_s)
        order = np.argsort(time_s, kind="stable")
        return order[: np.searchsorted(time_s, self.horizon_s, sorter=order)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one clone does over the horizon.

    Attributes
    ----------
    ops : (n,) array of OPS_DTYPE
        File operations, in order of time; `source` is an index into the activity's names.
    reads : Reads
        What is read.
    """

    ops: NDArray[np.void]
    reads: Reads

    def of_source(self, index: int) -> Self:
        """One source's part of the plan."""
        r, mine = self.reads, self.reads.source == index
        reads = Reads(r.time_s[mine], r.source[mine], r.bytes[mine], r.ios[mine])
        return type(self)(self.ops[self.ops["source"] == index], reads)
