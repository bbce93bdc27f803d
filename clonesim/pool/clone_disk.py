"""One disk of a clone: the volume on it, its copy-on-write file, and how both fared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.delta.formats import DISCARDS
from clonesim.guest import Volume
from clonesim.guest.presence import DAY_S
from clonesim.ops import Requests
from clonesim.pool.account_kernel import account

MINUTE_S = 60
RELEASE = DISCARDS.index("release")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class CloneDisk:
    """A disk that every clone starts with in the same state, and that may be emptied while a clone lives.

    Parameters
    ----------
    volume : Volume
        As every clone finds it, a snapshot taken.
    delta : Delta
        That snapshot.
    start_bytes : int
        Size that the file has besides, at the start and whenever it was emptied. [B]
    """

    def __init__(self, volume: Volume, delta: Delta, start_bytes: int) -> None:
        self.volume, self.delta, self.start_bytes = volume, delta, start_bytes
        volume.watch = self._account
        self._by_source = self._demand = np.zeros((0, 0), np.int64)
        self._written = 0
        self._steps: list[tuple[Floats, Ints]] = []
        self._ends: list[tuple[float, int]] = []
        self._since = 0.0

    def begin(self) -> None:
        """Set everything back for the next clone."""
        self.volume.revert()
        self._written, self._since = 0, 0.0
        self._steps, self._ends = [], []

    def apply(self, ops: NDArray[np.void], by_source: Ints, demand: Ints) -> int:
        """Run operations; adds bytes by source and I/Os by minute, and returns what was left out."""
        self._by_source, self._demand = by_source, demand
        return self.volume.apply(ops, skip_refused=True) if ops.size else 0

    def empty(self, time_s: float) -> None:
        """Set volume and file back to the image, at a time; what is still being written then counts before it."""
        self._close(time_s, time_s)
        self._written += self.delta.written_bytes
        self.volume.revert()
        self._since, self._ends = time_s, []

    def end_of_day(self, day: int, growth: Ints) -> None:
        """Note the sizes at the end of a day: file, guest's use, bytes written, what the delta holds."""
        size = self.delta.file_bytes + self.start_bytes
        self._ends.append((DAY_S * (day + 1), size))
        held = self.delta.grains * self.delta.law.grain
        growth[:] = (size, self.volume.used_bytes, self._written + self.delta.written_bytes, held)

    @property
    def held_share(self) -> float:
        """Share of the guest's used bytes that the delta holds, at most 1. [1]"""
        held = self.delta.grains * self.delta.law.grain
        return min(1.0, held / max(self.volume.used_bytes, 1))

    def steps(self, horizon_s: float) -> tuple[Floats, Ints]:
        """Growth steps of the file, its first size included and a reset as one with negative bytes. [s, B]"""
        self._close(horizon_s)
        return np.concatenate([time_s for time_s, _ in self._steps]), np.concatenate([size for _, size in self._steps])

    def _close(self, until_s: float, latest_s: float = np.inf) -> None:
        """Growth since the last reset, that reset itself first: that the file shrank to what it had at the start.

        A format without increments has one step a minute at most. What discards gave back counts at the end of its day.
        No step is later than `latest_s`.
        """
        when_s, size = self.delta.increment_times, self.delta.increment_sizes
        if not self.delta.law.increment and when_s.size:
            last = np.flatnonzero(np.diff(np.floor(when_s / MINUTE_S), append=np.inf))
            when_s, size = when_s[last], size[last]
        if self.delta.law.discard == RELEASE and self._ends:
            ends_s = np.array([time_s for time_s, _ in self._ends])
            at_end = np.array([held for _, held in self._ends])
            ends_s = np.where(ends_s >= until_s, np.nextafter(until_s, 0.0), ends_s)
            when_s, size = np.concatenate([when_s, ends_s]), np.concatenate([size, at_end - self.start_bytes])
            order = np.argsort(when_s, kind="stable")
            when_s, size = when_s[order], size[order]
        created = self.delta.created_bytes
        grown = np.diff(size, prepend=created)
        moved = grown != 0
        when_s, grown = np.minimum(when_s[moved], latest_s), grown[moved]
        first = created + self.start_bytes - sum(int(part.sum()) for _, part in self._steps)
        if first or not self._steps:
            when_s, grown = np.append(self._since, when_s), np.append(np.int64(first), grown)
        self._steps.append((when_s, grown))

    def _account(self, requests: Requests, source: Ints, fresh: Ints) -> None:
        grain = self.delta.law.grain
        account(requests.time_s, requests.op, requests.length, source, fresh, grain, self._by_source, self._demand)
