"""What is asked of an array interval by interval: I/Os and bytes, the work they make, and what of it waits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.array import ArrayModel
from clonesim.lun.device import unit_load

OVERFULL = 1 + 1e-9  # load of an interval that counts as full
ROUNDING = 1e-9  # of an interval's work: a backlog below it is none

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rates:
    """What is asked of an array in each interval: I/Os and their bytes, and the share of reads in its cache."""

    reads: Floats
    writes: Floats
    read_bytes: Floats
    write_bytes: Floats
    read_hits: Floats

    def take(self, rows: NDArray[np.intp]) -> Rates:
        """Some intervals, in the given order."""
        return Rates(*(getattr(self, name)[rows] for name in self.__slots__))

    def times(self, factor: Floats | float) -> Rates:
        """So many times the I/Os and bytes."""
        counts = self.reads * factor, self.writes * factor, self.read_bytes * factor, self.write_bytes * factor
        return Rates(*counts, self.read_hits)

    def with_writes(self, writes: Ints, write_bytes: Ints) -> Rates:
        """With more writes."""
        return replace(self, writes=self.writes + writes, write_bytes=self.write_bytes + write_bytes)

    def given(self, places: int) -> tuple[Floats, Floats, int, Floats, Floats, Floats]:
        """As `latency` takes them."""
        return self.reads, self.writes, places, self.read_bytes, self.write_bytes, self.read_hits

    def work(self, array: ArrayModel, places: int, interval_s: float) -> Floats:
        """How many intervals the array needs for each interval's I/Os. [1]"""
        r, w = self.reads, self.writes
        both = r + w
        per = np.maximum(both, 1.0)
        r_size, w_size = (
            np.divide(b, n, out=np.zeros_like(b), where=n > 0) for b, n in ((self.read_bytes, r), (self.write_bytes, w))
        )
        return both * unit_load(array, r / per, w / per, r_size, w_size, self.read_hits, places) / interval_s

    def a_second(
        self, work: Floats, full: NDArray[np.bool_], interval_s: float, rows: NDArray[np.intp] | None = None
    ) -> Rates:
        """What is asked of the array each second of some intervals, or of all; full ones ask at least what fills it.

        An interval without I/O that drains a backlog has the mix of the last one with I/O.
        """
        if not full.any():
            return (self if rows is None else self.take(rows)).times(1.0 / interval_s)
        here = np.arange(work.size)
        at = here if rows is None else rows
        taken = np.where(full[at], np.maximum.accumulate(np.where(work > 0, here, 0))[at], at)
        least = np.maximum(1.0, OVERFULL / np.maximum(work[taken], ROUNDING))
        return self.take(taken).times(np.where(full[at], least, 1.0) / interval_s)


def backlog(work: Floats) -> Floats:
    """Work that is left at each interval's end, if an interval takes 1: Lindley's recursion, by running minima."""
    moved = np.cumsum(work - 1.0)
    left = moved - np.minimum(np.minimum.accumulate(moved), 0.0)
    left[left < ROUNDING] = 0.0
    return left


def full_intervals(waiting: Floats) -> NDArray[np.bool_]:
    """Whether each interval begins or ends with a backlog."""
    full = waiting > 0
    full[1:] |= full[:-1].copy()
    return full
