"""One disk of a clone: the volume on it, its copy-on-write file, and how both fared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.delta.formats import DISCARDS
from clonesim.guest import Volume
from clonesim.guest.presence import DAY_S
from clonesim.ops import OPS_DTYPE, FileOp, Requests
from clonesim.pool.account_kernel import RELEASED, account
from clonesim.pool.strategies.kinds import free_ranges
from clonesim.pool.strategies.layout import DISCARD, ZERO, Reclaim
from clonesim.pool.strategies.ram_cache import RamCache
from clonesim.scenario import catalog

MINUTE_S = 60
IGNORE, DEALLOCATE, RELEASE = (DISCARDS.index(name) for name in ("ignore", "deallocate", "release"))
METADATA = 0  # index of the file system's own writes; what a reclaim gives back is booked there, too

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overflow:
    """What stands between a clone's volume and its file on the datastore.

    Attributes
    ----------
    cache : RamCache
        Memory that takes writes first.
    file : Delta
        What it overflows to.
    kept : bool
        Whether the file keeps its size when the cache is emptied, as a disk that is not reset does.
    """

    cache: RamCache
    file: Delta
    kept: bool


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
    overflow : Overflow, optional
        If the file on the datastore is not the snapshot itself.
    """

    def __init__(self, volume: Volume, delta: Delta, start_bytes: int, overflow: Overflow | None = None) -> None:
        self.volume, self.delta, self.start_bytes, self._overflow = volume, delta, start_bytes, overflow
        self.file = overflow.file if overflow else delta
        self._keeps = overflow is not None and overflow.kept
        self._discard = IGNORE if self._keeps else self.file.law.discard  # by what the file may shrink
        volume.watch = self._account
        self._by_source = self._demand = np.zeros((0, 0), np.int64)  # nobody asks: nothing is added up
        self._nothing = np.zeros((1, 3), np.int64), np.zeros((1, 5), np.int64)
        self._start()

    def begin(self, ops: NDArray[np.void] | None = None) -> None:
        """Set everything back for the next clone; all that it will do is checked here if it is given."""
        self._set_back()
        self._start()
        if ops is not None:
            self.volume.check_ops(ops)
            self._checked = True

    def _start(self) -> None:
        self._checked = False
        self._written = self._passed = self._noted = 0
        self._steps: list[tuple[Floats, Ints]] = []
        self._from(0.0)

    def apply(self, ops: NDArray[np.void], by_source: Ints, demand: Ints) -> int:
        """Run operations; adds bytes by source and I/Os by minute, and returns what was left out."""
        self._by_source, self._demand = by_source, demand
        return self.volume.apply(ops, skip_refused=True, checked=self._checked) if ops.size else 0

    def empty(self, time_s: float) -> None:
        """Set volume and file back to the image, at a time; what is still being written then counts before it."""
        self._close(time_s, time_s)
        self._written += self.delta.written_bytes
        self._set_back()
        self._from(max(time_s, self._since))

    def reclaim(self, time_s: float, rule: Reclaim, by_source: Ints, demand: Ints) -> tuple[int, int]:
        """Give back what the guest no longer uses, if the rule asks for it.

        Parameters
        ----------
        time_s : float
            When. [s]
        rule : Reclaim
            From when on, and how.
        by_source, demand : arrays
            As `apply` takes them.

        Returns
        -------
        lost, written : int
            By how much the file shrank, and what was written for that. [B]

        Notes
        -----
        Compacting moves what lies behind the new end of the file to the front: as large a share of what is left as the
        file loses, as if holes were spread evenly. It is read and written in pieces of `reclaim.piece`.
        """
        self._by_source, self._demand = by_source, demand
        before = self.file_bytes
        if before <= rule.file_least:
            return 0, 0
        unused = free_ranges(self.volume)
        recoverable = self.delta.reclaimable(unused)
        if recoverable <= rule.least or recoverable < rule.share * before:
            return 0, 0
        written = 0
        if rule.method == ZERO:
            time_s, unused, written = self._zero(time_s)
            before = self.file_bytes
        elif rule.method == DISCARD:
            trim = np.zeros(1, OPS_DTYPE)
            trim["time_s"], trim["op"] = time_s, FileOp.TRIM
            self.volume.apply(trim)
        self._ends.append((time_s, before))
        self._close(np.nextafter(time_s, np.inf), time_s)
        by_source[METADATA, RELEASED] += self.delta.reclaim(unused) * self.delta.law.grain
        self._from(time_s)
        lost = before - self.file_bytes
        moved = lost * self.delta.grains * self.delta.law.grain // max(before, 1)
        return lost, written + self._move(time_s, moved)

    def _zero(self, time_s: float) -> tuple[float, Ints, int]:
        """Fill the free space with a file of zeros and delete it: when that is done, where it lay, and its size."""
        size = int(self.volume.free_bytes * (1.0 - catalog.value("operations", "reclaim.spared")))
        number = next(k for k in range(len(self.volume) + 1) if k not in self.volume)
        ops = np.zeros(2, OPS_DTYPE)
        ops["file"], ops["op"], ops["length"] = number, (FileOp.CREATE, FileOp.DELETE), (size, 0)
        ops["time_s"] = time_s
        self.volume.apply(ops[:1], skip_refused=True)
        if number not in self.volume:
            return time_s, np.zeros((0, 2), np.int64), 0
        where = self.volume.extents(number)
        ops["time_s"] = time_s + size / float(self.volume.settings.values["write_rate"])
        self.volume.apply(ops[1:])
        offset, unit = int(self.volume.settings.values["partition_offset"]), self.volume.cluster_size
        starts = offset + where["lcn"].to_numpy(np.int64) * unit
        ranges = np.stack([starts, starts + where["clusters"].to_numpy(np.int64) * unit], axis=1)
        return float(ops["time_s"][1]), ranges[np.argsort(starts)], size

    def _move(self, time_s: float, size: int) -> int:
        """Account for what compacting reads and writes; returns what was written. [B]"""
        piece = int(catalog.value("operations", "reclaim.piece"))
        row = self._demand[min(len(self._demand) - 1, int(time_s // MINUTE_S))]
        row += np.array([-(-size // piece), -(-size // piece), size, size, -(-size // piece)])
        return size

    def end_of_day(self, day: int, growth: Ints) -> None:
        """Note the sizes at the end of a day: file, guest's use, bytes written, what the file holds."""
        size = self.file_bytes
        self._ends.append((DAY_S * (day + 1), size))
        held = self.file.grains * self.file.law.grain
        growth[:] = (size, self.volume.used_bytes, self._written + self.delta.written_bytes, held)

    @property
    def file_bytes(self) -> int:
        """Size of the file on the datastore now. [B]"""
        size = self._space + self.start_bytes
        if self._keeps:
            size = max(size, self._passed, int(self.file.increment_sizes.max(initial=0)))
        return size

    @property
    def held_share(self) -> float:
        """Share of the guest's used bytes that the clone holds itself, in memory or on disk, at most 1. [1]"""
        held = self.delta.grains * self.delta.law.grain
        return min(1.0, held / max(self.volume.used_bytes, 1))

    @property
    def memory_share(self) -> float:
        """Share of what the clone holds itself that lies in its cache in memory. [1]"""
        if not self._overflow:
            return 0.0
        held = self.delta.grains * self.delta.law.grain
        return min(1.0, self._overflow.cache.dirty_bytes / max(held, 1))

    def steps(self, horizon_s: float) -> tuple[Floats, Ints]:
        """Growth steps of the file, its first size included and a reset as one with negative bytes. [s, B]"""
        self._close(horizon_s)
        time_s = np.concatenate([time_s for time_s, _ in self._steps])
        size = np.concatenate([size for _, size in self._steps])
        order = np.argsort(time_s, kind="stable")  # a job in which free space is filled takes its time
        time_s, size = time_s[order], size[order]
        if self._keeps:
            grown = np.diff(np.maximum.accumulate(np.cumsum(size)), prepend=0)
            stays = grown > 0
            stays[0] = True
            time_s, size = time_s[stays], grown[stays]
        return time_s, size

    def _set_back(self) -> None:
        if self._overflow:
            self._passed = self.file_bytes
            self._overflow.cache.clear()
            self._overflow.file.revert()
        self.volume.revert()

    def _from(self, time_s: float) -> None:
        """Begin to note growth from here on: what the file has now, and how many of its steps are noted."""
        self._since, self._base, self._length = time_s, self._space, self.file.file_bytes
        self._seen = self.file.increment_times.size
        self._ends: list[tuple[float, int]] = []

    @property
    def _space(self) -> int:
        """What the file takes of its datastore: its length, less holes where freed clusters are punched out. [B]"""
        return self.file.allocated_bytes if self._discard == DEALLOCATE else self.file.file_bytes

    def _close(self, until_s: float, latest_s: float = np.inf) -> None:
        """Growth since the file was last set back or compacted, that itself first.

        A format without increments has one step a minute at most. What discards gave back counts at the end of its day.
        No step is later than `latest_s`.
        """
        when_s, size = self.file.increment_times[self._seen :], self.file.increment_sizes[self._seen :]
        if self._keeps:
            size = np.maximum.accumulate(size)
        if not self.file.law.increment and when_s.size:
            last = np.flatnonzero(np.diff(np.floor(when_s / MINUTE_S), append=np.inf))
            when_s, size = when_s[last], size[last]
        if self._discard in (DEALLOCATE, RELEASE):
            when_s, size = self._with_ends(when_s, size, until_s)
        grown = np.diff(size, prepend=self._base)
        moved = grown != 0
        when_s, grown = np.minimum(when_s[moved], latest_s), grown[moved]
        first = self._base + self.start_bytes - self._noted
        if first or not self._steps:
            when_s, grown = np.append(self._since, when_s), np.append(np.int64(first), grown)
        self._steps.append((when_s, grown))
        self._noted += int(grown.sum())

    def _with_ends(self, when_s: Floats, size: Ints, until_s: float) -> tuple[Floats, Ints]:
        """Sizes at growth steps and at ends of days, in order of time: what discards gave back is seen there."""
        ends_s = np.array([time_s for time_s, _ in self._ends])
        at_end = np.array([held for _, held in self._ends], np.int64) - self.start_bytes
        ends_s = np.where(ends_s >= until_s, np.nextafter(until_s, 0.0), ends_s)
        if self._discard == DEALLOCATE:  # the file's length goes on from what the holes left of it
            length = np.concatenate([[self._length], size])[np.searchsorted(when_s, ends_s, side="right")]
            holes = np.concatenate([[self._base - self._length], at_end - length])
            size = size + holes[np.searchsorted(ends_s, when_s, side="left")]
        when_s, size = np.concatenate([when_s, ends_s]), np.concatenate([size, at_end])
        order = np.argsort(when_s, kind="stable")
        return when_s[order], size[order]

    def _account(self, requests: Requests, source: Ints, fresh: Ints) -> None:
        grain = self.delta.law.grain
        asked = self._by_source.size > 0 and self._demand.size > 0  # the kernel does not look whether there are rows
        if not self._overflow:
            if asked:
                row = requests.time_s, requests.op, requests.length
                account(*row, source, fresh, grain, self._by_source, self._demand)
            return
        nobody, aside = self._nothing
        if asked:
            account(requests.time_s, requests.op, requests.length, source, fresh, grain, self._by_source, aside)
        below = self._overflow.cache.accept(requests)[0]
        self._overflow.file.accept(below)
        none = np.zeros(len(below), np.int64)
        if asked:
            account(below.time_s, below.op, below.length, none, none, grain, nobody, self._demand)
