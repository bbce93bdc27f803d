"""A clone's copy-on-write disk, in any of the formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import law_kernel as k
from clonesim.delta import qcow2_kernel as q
from clonesim.delta import reclaim_kernel as reclaim
from clonesim.delta.formats import Law, law
from clonesim.errors import ParameterError
from clonesim.ops import BlockOp, Requests
from clonesim.units import SECTOR, format_size

if TYPE_CHECKING:
    import pandas as pd

Int64 = NDArray[np.int64]
COLUMNS = ("written_bytes", "unique_bytes", "grains", "metadata_bytes", "file_bytes")
_ORDER = (k.WRITTEN, k.UNIQUE, k.GRAINS, k.METADATA, k.FILE)
DEFAULT_CAPACITY = "32 GiB"
_NOTHING: Int64 = np.zeros(0, np.int64)


class Delta:
    """The copy-on-write disk of one clone, or of one snapshot in its chain.

    Parameters
    ----------
    format : str, default "vmfs-sparse"
        One of `clonesim.delta.FORMATS`.
    capacity : str or int, optional
        Size of the virtual disk; by default the parent's, or 32 GiB without one. [B]
    parent : Delta, optional
        The delta below in a chain of snapshots, which takes no more writes while this one is there.
    track_unique : bool, default False
        Keep a bit per 512 B sector for `unique_bytes`.
    **parameters
        Values in place of the format's catalog values, by name: `increment="32 MiB"`, `cluster_size="128 KiB"`,
        `discard="ignore"`, `bus_discards=False`.

    Raises
    ------
    ParameterError
        If the format, the capacity or a parameter is unknown or not allowed.
    """

    def __init__(
        self,
        format: str = "vmfs-sparse",  # noqa: A002 (the name of the delta's format everywhere)
        capacity: str | int | None = None,
        *,
        parent: Delta | None = None,
        track_unique: bool = False,
        **parameters: Any,
    ) -> None:
        if capacity is None:
            capacity = DEFAULT_CAPACITY if parent is None else parent.capacity
        rule = law(format, capacity, parameters)
        if parent is not None:
            _check_chain(parent, rule)
        self._build(rule, track_unique, parent)

    def _build(self, rule: Law, track_unique: bool, parent: Delta | None) -> None:
        self.law, self.format, self.capacity = rule, rule.format, rule.capacity
        self.parent = parent
        self.track_unique = track_unique
        self._qcow2 = rule.format == "qcow2"
        self._p = _parameter_words(rule, track_unique)
        self._s = np.zeros(k.STATE, np.int64)
        self._bits = np.zeros((rule.grains + 63) // 64, np.int64)
        self._regions = np.zeros(rule.regions, np.uint8)
        self._listed = np.zeros(rule.regions, np.int64)
        sectors = rule.capacity // SECTOR if self._p[k.P_UNIQUE] == k.UNIQUE_SECTORS else 0
        groups = (sectors >> k.SECTOR_REGION) + 1
        self._sectors = np.zeros(groups << (k.SECTOR_REGION - 6) if sectors else 1, np.int64)
        self._sector_regions, self._sector_listed = np.zeros(groups, np.uint8), np.zeros(groups, np.int64)
        self._at_s, self._size = np.zeros(64, np.float64), np.zeros(64, np.int64)
        if self._qcow2:
            per_block = rule.grain // 2
            room = 4 * (rule.grains + rule.regions + rule.l1_bytes // rule.grain) + 16 * per_block
            self._host = np.zeros(rule.grains + rule.region_grains, np.int64)
            self._used = np.zeros(room // 64 + 1, np.int64)
            self._blocks = np.zeros(room // per_block + 4, np.uint8)
        self._kept: list[Requests] | None = None
        self._create()

    def _create(self) -> None:
        if self._qcow2:
            q.create_qcow2(self._s, self._p, self._used, self._blocks)
        else:
            k.create_law(self._s, self._p, self._bits)
        self._history_s = np.full(4, -np.inf)
        self._history = np.zeros((4, k.HISTORY), np.int64)
        self._history[0] = self._s[: k.HISTORY]
        self._rows = 1
        if self._kept is not None:
            self._kept.clear()

    def apply(self, requests: Requests, fresh: Int64 | None = None) -> None:
        """Run block requests in order; reads and flushes are ignored, a WRITE_SAME counts as a write.

        Parameters
        ----------
        requests : Requests
            In order of time.
        fresh : (n,) int64 array, optional
            Gets the number of grains that each request adds to the delta, or takes away from it, added to its entries.

        Raises
        ------
        ParameterError
            If a request lies outside the disk or has an unknown operation; nothing has changed then.
        """
        time_s, op = _flat(requests.time_s, np.float64), _flat(requests.op, np.uint8)
        offset, length = _flat(requests.offset, np.int64), _flat(requests.length, np.int64)
        if not time_s.size == op.size == offset.size == length.size:
            sizes = f"{time_s.size}, {op.size}, {offset.size}, {length.size}"
            raise ParameterError("requests", sizes, "time_s, op, offset and length need the same number of rows")
        bad = k.first_bad(op, offset, length, self.capacity)
        if bad >= 0:
            self._refuse(bad, int(op[bad]), int(offset[bad]), int(length[bad]))
        if fresh is not None and fresh.size != op.size:
            raise ParameterError("fresh", fresh.size, f"there are {op.size} requests")
        self.accept(Requests(time_s, op, offset, length), fresh)

    def accept(self, requests: Requests, fresh: Int64 | None = None) -> None:
        """Run block requests as `apply` does, but unchecked: those that a volume or a cache of ours made."""
        if not len(requests):
            return
        columns = requests.time_s, requests.op, requests.offset, requests.length
        self._run(*columns, _NOTHING if fresh is None else fresh)
        if self._kept is not None:
            self._kept.append(requests)
        else:
            self._remember(float(requests.time_s[-1]))

    def keep_requests(self) -> None:
        """Keep every request from now on, so that `table` is exact at any second; for a delta as just created."""
        if self._rows > 1:
            raise ParameterError("keep_requests", self._rows - 1, "requests were applied already", "Call it before.")
        self._kept = []

    def _run(
        self,
        time_s: NDArray[np.float64],
        op: NDArray[np.uint8],
        offset: Int64,
        length: Int64,
        fresh: Int64 = _NOTHING,
    ) -> None:
        done = 0
        while True:
            shared = (time_s, op, offset, length, done, self._s, self._p, self._bits, self._regions, self._listed)
            extra = (self._sectors, self._sector_regions, self._sector_listed, self._at_s, self._size)
            if self._qcow2:
                done = q.apply_qcow2(*shared, *extra, self._host, self._used, self._blocks, fresh)
            else:
                done = k.apply_law(*shared, *extra, fresh)
            if done == op.size:
                return
            if self._s[k.GROWN] == self._at_s.size:
                self._at_s, self._size = _doubled(self._at_s), _doubled(self._size)
            else:
                self._used, self._blocks = _doubled(self._used), _doubled(self._blocks)

    def _refuse(self, row: int, op: int, offset: int, length: int) -> None:
        if op > max(BlockOp):
            raise ParameterError(f"op of request {row}", op, f"allowed are {', '.join(map(str, map(int, BlockOp)))}")
        name = f"request {row} ({BlockOp(op).name}), offset and length"
        allowed = f"the disk has {format_size(self.capacity)} ({self.capacity} B)"
        raise ParameterError(name, (offset, length), allowed, "Give the delta the capacity of the disk traced.")

    def _remember(self, at: float) -> None:
        if self._rows == self._history_s.size:
            self._history_s, self._history = _doubled(self._history_s), _doubled(self._history)
        self._history_s[self._rows] = at
        self._history[self._rows] = self._s[: k.HISTORY]
        self._rows += 1

    def revert(self) -> None:
        """Go back to the state just created, parent untouched. Costs what was touched, not the capacity."""
        s = self._s
        if self._qcow2:
            q.clear_qcow2(s, self._p, self._host, self._used, self._blocks, self._listed)
        k.clear_touched(self._bits, self._regions, self._listed, s[k.TOUCHED], self._p[k.P_REGION])
        if self._p[k.P_UNIQUE] == k.UNIQUE_SECTORS:
            count = s[k.SECTOR_REGIONS]
            k.clear_touched(self._sectors, self._sector_regions, self._sector_listed, count, k.SECTOR_REGION)
        self._create()

    def held_in(self, ranges: Int64) -> int:
        """Grains held that lie wholly inside some byte ranges of the disk, as an (n, 2) array that is in order."""
        return int(reclaim.held_in(_flat_ranges(ranges), self._p, self._bits, False))

    def reclaimable(self, ranges: Int64) -> int:
        """By how much the file would shrink, or be emptied out, if `reclaim` took these ranges. [B]"""
        ranges = _flat_ranges(ranges)
        unused = self.held_in(ranges)
        if self._qcow2:
            return unused * self.law.grain
        s, bits = self._s.copy(), self._bits
        s[k.GRAINS] -= unused
        last = self._p[k.P_LAST] << self._p[k.P_GRAIN]  # its bit is all that the law looks at
        if ranges.size and ranges[-1, 0] <= last and self.held_in(np.array([[last, ranges[-1, 1]]])):
            bits = np.zeros_like(bits)
        k.cut_file(s, self._p, bits)
        return self.file_bytes - int(s[k.FILE])

    def reclaim(self, ranges: Int64) -> int:
        """Let go of all grains that lie wholly inside some byte ranges, and compact the file.

        What discards do in this format does not matter: this is the job that wipes and shrinks. The file then has the
        size that the format's law says for what is left, in whole growth steps; tables that were made stay. A qcow2
        file keeps its length, and gives up clusters as after a discard.

        Parameters
        ----------
        ranges : (n, 2) int64 array
            Start and end of what the guest does not use, in order, apart from each other. [B]

        Returns
        -------
        int
            Grains that were let go of.
        """
        ranges = _flat_ranges(ranges)
        if self._qcow2:
            before, count = self.grains, len(ranges)
            at = self._at_s[max(self._s[k.GROWN] - 1, 0)]
            start, length = np.ascontiguousarray(ranges[:, 0]), np.ascontiguousarray(ranges[:, 1] - ranges[:, 0])
            self._run(np.full(count, at), np.full(count, BlockOp.DISCARD, np.uint8), start, length)
            return before - self.grains
        found = int(reclaim.held_in(ranges, self._p, self._bits, True))
        self._s[k.GRAINS] -= found
        k.cut_file(self._s, self._p, self._bits)
        return found

    @property
    def file_bytes(self) -> int:
        """Length of the delta file, or what the pool gave to it. [B]"""
        return int(self._s[k.FILE])

    @property
    def allocated_bytes(self) -> int:
        """Space that the file takes, before the datastore rounds it. [B]

        What counts is each format's `allocated` text in the catalog.
        """
        return int(self._s[k.ALLOCATED])

    @property
    def metadata_bytes(self) -> int:
        """Headers, tables, bitmaps and mappings, also those outside the file. [B]"""
        return int(self._s[k.METADATA])

    @property
    def written_bytes(self) -> int:
        """Sum of the lengths of all writes. [B]"""
        return int(self._s[k.WRITTEN])

    @property
    def unique_bytes(self) -> int:
        """Sectors of 512 B written at least once since creation, discarded or not, in bytes. [B]"""
        if self._p[k.P_UNIQUE] == k.UNIQUE_NONE:
            allowed = "unique sectors are counted only by request"
            raise ParameterError("track_unique", False, allowed, "Make the delta with track_unique=True.")
        return int(self._s[k.UNIQUE])

    @property
    def grains(self) -> int:
        """Grains that the delta holds. [grains]"""
        return int(self._s[k.GRAINS])

    @property
    def chain_bytes(self) -> int:
        """File bytes of this delta and of all deltas below it. [B]"""
        return self.file_bytes + (self.parent.chain_bytes if self.parent is not None else 0)

    @property
    def increment_times(self) -> NDArray[np.float64]:
        """Time of each growth step of the file after its creation. [s]"""
        return self._at_s[: self._s[k.GROWN]].copy()

    @property
    def increment_sizes(self) -> Int64:
        """Bytes of the file after each of these steps. [B]"""
        return self._size[: self._s[k.GROWN]].copy()

    @property
    def created_bytes(self) -> int:
        """Length of the file as it was created. [B]"""
        return int(self._history[0, k.FILE])

    @property
    def increments(self) -> pd.DataFrame:
        """Growth steps of the file after its creation: `time_s` [s], `file_bytes` after the step [B].

        A format with an increment has a row per increment, several at one time if one request needs them; the others
        have a row per request that makes the file longer.
        """
        import pandas as pd

        return pd.DataFrame({"time_s": self.increment_times, "file_bytes": self.increment_sizes})

    def table(self, at: Sequence[float] | NDArray[np.float64]) -> pd.DataFrame:
        """State at given seconds; a row counts the requests at or before its second.

        A whole second counts to its end: the row of 600 counts a request at 600.4 s. So a trace that keeps whole
        seconds only and one that keeps microseconds give the same last row. Between whole seconds the time decides.

        Parameters
        ----------
        at : sequence of float
            Seconds since the start, in any order. [s]

        Returns
        -------
        DataFrame
            `time_s`, `written_bytes`, `unique_bytes` (missing unless tracked), `grains`, `metadata_bytes`,
            `file_bytes`. Exact for a delta made by `replay`; otherwise the last call of `apply` whose last request is
            not later than that second counts.
        """
        import pandas as pd

        seconds = np.atleast_1d(np.asarray(at, np.float64))
        if seconds.ndim != 1 or np.isnan(seconds).any():
            raise ParameterError("at", at, "a list of seconds is needed", "Write for example at=[600, 1200].")
        last = last_moments(seconds)
        rows = self._rows_at(last) if self._kept is None else self._replayed_at(last)
        data = {name: rows[:, word] for name, word in zip(COLUMNS, _ORDER, strict=True)}
        frame = pd.DataFrame({"time_s": seconds, **data})
        if self._p[k.P_UNIQUE] == k.UNIQUE_NONE:
            frame["unique_bytes"] = pd.array([None] * len(frame), dtype="Int64")
        return frame

    def _rows_at(self, seconds: NDArray[np.float64]) -> Int64:
        row = np.searchsorted(self._history_s[: self._rows], seconds, side="right") - 1
        return self._history[row]

    def _replayed_at(self, seconds: NDArray[np.float64]) -> Int64:
        copy, rows = self._like(), np.empty((seconds.size, k.HISTORY), np.int64)
        order = np.argsort(seconds, kind="stable")
        rows[:] = copy._s[: k.HISTORY]
        for chunk in self._kept or ():
            done = 0
            for row in order:
                stop = int(np.searchsorted(chunk.time_s, seconds[row], side="right"))
                if stop > done:
                    part = chunk[done:stop]
                    copy._run(part.time_s, part.op, part.offset, part.length)
                    done = stop
                if stop:
                    rows[row] = copy._s[: k.HISTORY]
            if done < len(chunk):
                part = chunk[done:]
                copy._run(part.time_s, part.op, part.offset, part.length)
        return rows

    def _like(self) -> Self:
        twin = type(self).__new__(type(self))
        twin._build(self.law, self.track_unique, None)
        return twin

    def holds(self, offset: int, length: int) -> NDArray[np.bool_]:
        """Which of the grains that touch a range the delta holds, in order. (n,) bool array."""
        if offset < 0 or length < 0 or offset + length > self.capacity:
            raise ParameterError("offset, length", (offset, length), f"the disk has {self.capacity} B")
        if length == 0:
            return np.zeros(0, np.bool_)
        first, last = offset // self.law.grain, (offset + length - 1) // self.law.grain
        words = self._bits[first // 64 : last // 64 + 1]
        flags = np.unpackbits(words.astype("<i8").view(np.uint8), bitorder="little").view(np.bool_)
        return flags[first % 64 : first % 64 + last - first + 1].copy()

    def grain_map(self) -> Int64:
        """Byte ranges of the disk that the delta holds, in order: an (n, 2) array of start and end. [B]"""
        filled = np.flatnonzero(self._bits)
        flags = np.unpackbits(self._bits[filled].astype("<i8").view(np.uint8), bitorder="little")
        at = np.flatnonzero(flags)
        grains = filled[at // 64] * 64 + at % 64
        if not grains.size:
            return np.zeros((0, 2), np.int64)
        cut = np.flatnonzero(np.diff(grains) != 1)
        first, last = grains[np.r_[0, cut + 1]], grains[np.r_[cut, grains.size - 1]]
        return np.column_stack((first * self.law.grain, np.minimum((last + 1) * self.law.grain, self.capacity)))

    def __repr__(self) -> str:
        size = f"{self.file_bytes / 2**20:.1f} MiB"
        return f"Delta({self.format!r}, {format_size(self.capacity)!r}: {self.grains} grains, file {size})"


def last_moments(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Last moment that counts for a row of `Delta.table`: a whole second counts to its end."""
    return np.where(seconds == np.floor(seconds), np.nextafter(seconds + 1, -np.inf), seconds)


def _parameter_words(rule: Law, track_unique: bool) -> Int64:
    p = np.zeros(k.PARAMETERS, np.int64)
    shared = rule.grain == SECTOR and rule.discard == k.IGNORE
    p[k.P_UNIQUE] = k.UNIQUE_GRAINS if shared else k.UNIQUE_SECTORS if track_unique else k.UNIQUE_NONE
    p[k.P_GRAIN], p[k.P_REGION] = rule.grain.bit_length() - 1, rule.region_grains.bit_length() - 1
    p[k.P_LAST], p[k.P_CAPACITY], p[k.P_DISCARD] = rule.grains - 1, rule.capacity, rule.discard
    p[k.P_HEADER], p[k.P_UPFRONT], p[k.P_TABLE] = rule.header_bytes, rule.upfront_bytes, rule.table_bytes
    p[k.P_GRAIN_BYTES], p[k.P_SHORT] = rule.grain_bytes, rule.short_bytes
    p[k.P_STEP], p[k.P_EMPTY] = rule.increment, rule.empty_steps
    p[k.P_META_FIXED] = rule.header_bytes + rule.upfront_bytes - rule.thick_bytes
    p[k.P_META_TABLE] = rule.table_bytes
    p[k.P_META_GRAIN] = rule.grain_metadata_bytes + rule.pool_metadata_bytes
    p[k.P_SLICE], p[k.P_L1] = rule.slice_grains, rule.l1_bytes
    return p


def _check_chain(parent: Delta, rule: Law) -> None:
    if rule.capacity != parent.capacity:
        allowed = f"a snapshot has its parent's {format_size(parent.capacity)}"
        raise ParameterError("capacity", rule.capacity, allowed, "Leave capacity out.")
    if {rule.format, parent.format} == {"vmfs-sparse", "se-sparse"}:
        allowed = "vmfs-sparse and se-sparse do not mix in one chain"
        raise ParameterError("format", rule.format, allowed, f"Take {parent.format!r}, as the parent has.")


def _flat(values: NDArray[Any], dtype: type) -> NDArray[Any]:
    flags = getattr(values, "flags", None)
    if flags is not None and values.dtype == dtype and flags.c_contiguous and flags.writeable:
        return values
    return np.require(values, dtype, ["C", "W"])


def _flat_ranges(ranges: Int64) -> Int64:
    return np.ascontiguousarray(ranges, np.int64).reshape(-1, 2)


def _doubled(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((values, np.zeros_like(values)))
