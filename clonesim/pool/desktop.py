"""The machine that all clones of a scenario are copies of: base image and disks, set back before each clone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.guest.activity import Activity
from clonesim.guest.base_image import BaseImage, base_image, read_bitmap
from clonesim.guest.presence import DAY_S
from clonesim.guest.reset_kernel import GONE, after_resets
from clonesim.guest.rows import Plan, Reads
from clonesim.guest.write_sources import Machine
from clonesim.keys import POOL, generator
from clonesim.ops import OPS_DTYPE, FileOp, take
from clonesim.pool.account_kernel import DELTA_READS, READ_BYTES, READS, WRITE_BYTES, WRITES, account_reads
from clonesim.pool.clone_disk import CloneDisk, Overflow
from clonesim.pool.strategies.kinds import full_disk, full_disk_of
from clonesim.pool.strategies.layout import AWAY, LUN, OS, SHARE, Disk, Layout, Turns, effective
from clonesim.pool.strategies.ram_cache import RamCache, overflowing
from clonesim.pool.strategies.resets import floor_bytes
from clonesim.scenario.model import Scenario

MINUTES_A_DAY = 1440
PAGE = 4096  # of a cache in memory, and of what is counted as first touched in it [B]
RAN = ("refused", "away_bytes", "network_bytes", "reclaimed_bytes", "reclaim_written_bytes", "cache_full")
DEMAND = ("reads", "writes", "read_bytes", "write_bytes", "delta_reads")  # columns of a demand by minute

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Times = NDArray[np.float64]


def no_demand(days: int) -> Ints:
    """Demand of so many days in which nothing is asked for; (minutes, 5), columns `DEMAND`."""
    return np.zeros((days * MINUTES_A_DAY, len(DEMAND)), np.int64)


@dataclass(frozen=True, slots=True)
class Demand:
    """I/Os and bytes by minute; (minutes, 5) int64 arrays, columns `DEMAND`.

    Attributes
    ----------
    lun : array
        Of disks on the clones' LUN.
    elsewhere : array
        Of disks on other datastores and file shares; without rows if no disk lies there.
    """

    lun: Ints
    elsewhere: Ints

    @classmethod
    def none(cls, days: int, elsewhere: bool = True) -> Self:
        """Nothing asked for."""
        return cls(no_demand(days), no_demand(days if elsewhere else 0))


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one clone.

    Attributes
    ----------
    totals : dict of str to int
        By `RAN`: operations left out because a volume was full [1]; bytes written on no disk of the clone's, read over
        the network from the image, given back by reclaiming, and written for that [B]; whether the disk that its cache
        overflows to was too small [0 or 1].
    steps : list of (times, sizes)
        Growth steps of each disk's file. [s, B]
    """

    totals: dict[str, int]
    steps: list[tuple[Floats, Ints]]

    @property
    def refused(self) -> int:
        """Operations left out because a volume was full. [1]"""
        return self.totals["refused"]

    @property
    def away_bytes(self) -> int:
        """Bytes written on no disk of the clone's. [B]"""
        return self.totals["away_bytes"]


def activity_of(scenario: Scenario) -> Activity:
    """Write sources of a scenario's desktop."""
    guest, workload = scenario.guest, scenario.workload
    machine = Machine(
        memory=guest.memory,
        page_file=guest.page_file,
        used=guest.used,
        hibernation=guest.hibernation,
        in_clone=guest.servicing == "in-clone",
        discards=guest.discards,
    )
    return Activity(guest.os, workload.sources, machine, workload.intensity)


class Desktop:
    """Base image and disks of a scenario's clones, set back before each clone.

    Parameters
    ----------
    scenario : Scenario
        With its strategies.
    seed : int
        Key of the base image.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        made = effective(scenario)
        guest = made.guest
        self.activity = activity_of(made)
        self.layout = Layout.of(made, self.activity)
        volume = _volume(made, guest.disk)
        rng = generator(seed, 0, POOL, "pool:base-image")
        bitmap = read_bitmap(guest.start.bitmap) if guest.start.bitmap else None
        self.image: BaseImage = base_image(volume, self.activity, guest.used, rng, bitmap)
        self.disks = [_first_disk(made, volume)]
        self._image = made.chosen("full-clone") is None  # whether what was never written is read from a base image
        self._streamed = made.chosen("provisioned-streaming") is not None  # and over the network
        mcs = made.chosen("mcs")
        self._cache_disk = int(mcs.value("cache_disk")) if mcs and mcs.value("ram") else None
        self._files = [self._image_files(OS)]
        for place, disk in enumerate(self.layout.disks[1:], 1):
            self._files.append(self._image_files(place))
            self.disks.append(_second_disk(made, disk, self._files[place]))
        self.lock = RLock()

    @property
    def delta(self) -> Delta:
        """Copy-on-write file of the system disk."""
        return self.disks[OS].delta

    @property
    def volume(self) -> Volume:
        """Volume on the system disk."""
        return self.disks[OS].volume

    @property
    def elsewhere(self) -> bool:
        """Whether any disk lies on another datastore or a file share."""
        return any(disk.where != LUN for disk in self.layout.disks)

    def run(self, plan: Plan, turns: Sequence[Turns], growth: Ints, sources: Ints, demand: Demand) -> Ran:
        """Let one clone live through its plan.

        Parameters
        ----------
        plan : Plan
            What it does.
        turns : sequence of Turns
            When each of its disks is emptied, and when it may give space back.
        growth : (disks, days, 4) int64 array
            Filled: sizes at the end of each day.
        sources : (disks, days, sources, 3) int64 array
            Added to: bytes by source.
        demand : Demand
            Added to: I/Os and bytes by minute.

        Raises
        ------
        ParameterError
            If a disk lies elsewhere and the demand has no minutes for it.
        """
        if self.elsewhere and not demand.elsewhere.size:
            allowed = "a disk lies elsewhere, so its minutes are needed"
            raise ParameterError("demand.elsewhere", len(demand.elsewhere), allowed, "Make it with Demand.none(days).")
        with self.lock:
            return self._run(plan, turns, growth, sources, demand)

    def _run(self, plan: Plan, turns: Sequence[Turns], growth: Ints, sources: Ints, demand: Demand) -> Ran:
        totals, steps, plain = dict.fromkeys(RAN, 0), [], self.layout.plain
        if not plain:
            place = self.layout.disk_of(plan.ops, self.image.first_file)
            totals["away_bytes"] = int(plan.ops["length"][place == AWAY].sum())
        for k, disk in enumerate(self.disks):
            ops = plan.ops if plain else take(plan.ops, place == k)
            ops = self._mended(ops, turns[k].emptied_s, k)
            kind = self.layout.disks[k]
            where = demand.lun if kind.where == LUN else demand.elsewhere
            asked = np.zeros_like(where) if kind.where == SHARE else where
            shares = self._live(k, ops, turns[k], growth[k], sources[k], asked, totals)
            steps.append(disk.steps(growth.shape[1] * DAY_S))
            totals["network_bytes"] += self._read(plan.reads, k, shares, asked)
            if kind.where == SHARE:
                totals["network_bytes"] += int(asked[:, [READ_BYTES, WRITE_BYTES]].sum())
                where += _with_overhead(asked, kind.requests)
        if self._cache_disk is not None:
            totals["cache_full"] = int(np.cumsum(steps[OS][1]).max() > self._cache_disk)
        return Ran(totals, steps)

    def _live(
        self,
        place: int,
        ops: NDArray[np.void],
        turns: Turns,
        growth: Ints,
        sources: Ints,
        asked: Ints,
        totals: dict[str, int],
    ) -> Floats:
        """Run one disk's operations day by day; (2, days): shares of reads that it holds, and those in memory."""
        disk, rule = self.disks[place], self.layout.disks[place].reclaim
        days = len(growth)
        shares = np.stack([np.ones(days), np.zeros(days)])
        disk.begin(ops)
        for day, pieces in enumerate(_pieces(ops["time_s"], days, turns)):
            if place == OS and self._image:
                shares[:, day] = disk.held_share, disk.memory_share
            for first, end, turn_s, empties in pieces:
                totals["refused"] += disk.apply(ops[first:end], sources[day], asked)
                if turn_s is not None and empties:
                    disk.empty(turn_s)
                elif turn_s is not None and rule:
                    released, written = disk.reclaim(turn_s, rule, sources[day], asked)
                    totals["reclaimed_bytes"] += released
                    totals["reclaim_written_bytes"] += written
            disk.end_of_day(day, growth[day])
        return shares

    def _mended(self, ops: NDArray[np.void], emptied: Times, place: int) -> NDArray[np.void]:
        """The operations as they can be done on a disk that is emptied at these times."""
        if not emptied.size or not ops.size:
            return ops
        mended = ops.copy()
        most = int(max(mended["file"].max(), mended["offset"][mended["op"] == FileOp.RENAME].max(initial=0)))
        image = np.full(most + 1, GONE)
        for number, size in self._files[place]:
            if number <= most:
                image[number] = size
        keep = np.zeros(ops.size, np.bool_)
        after_resets(mended, emptied, image, image.copy(), np.zeros(most + 1, np.int64), keep)
        return take(mended, keep)

    def _read(self, reads: Reads, place: int, shares: Floats, demand: Ints) -> int:
        """Account for what is read; returns what comes over the network. [B]"""
        mine = slice(None) if self.layout.plain else self.layout.route[reads.source] == place
        time_s, size, ios = (np.ascontiguousarray(column[mine]) for column in (reads.time_s, reads.bytes, reads.ios))
        held, memory, network = shares[0], shares[1], 0
        if place == OS and (self._streamed or memory.any()):
            day = np.minimum((time_s / DAY_S).astype(np.int64), held.size - 1)
            on_disk = held * (1.0 - memory)
            left = on_disk if self._streamed else 1.0 - held * memory  # what the datastore is asked for
            network = int(((1.0 - held[day]) * size).sum()) if self._streamed else 0
            size, ios = np.rint(size * left[day]).astype(np.int64), np.rint(ios * left[day]).astype(np.int64)
            held = on_disk / np.maximum(left, 1e-300)
        account_reads(time_s, size, ios, held, DAY_S, demand)
        return network

    def _image_files(self, place: int) -> list[tuple[int, int]]:
        """Files of the sources that write on a disk, which it holds from the start."""
        mine = {int(index) for index in np.flatnonzero(self.layout.route == place)}
        return self.activity.base_files(self.image.first_file, mine)


def _with_overhead(demand: Ints, requests: float) -> Ints:
    """A demand by minute with so many requests for each one; rounded so that sums over time are right."""
    found, ios = demand.copy(), [READS, WRITES, DELTA_READS]
    found[:, ios] = np.diff(np.rint(requests * np.cumsum(demand[:, ios], axis=0)), axis=0, prepend=0).astype(np.int64)
    return found


def _pieces(time_s: Times, days: int, turns: Turns) -> Iterator[list[tuple[int, int, float | None, bool]]]:
    """For each day the pieces of a plan: rows from, to, what happens after them: when, and whether the disk is emptied.

    At equal times it is emptied first.
    """
    at_s = np.concatenate([turns.emptied_s, turns.reclaimed_s])
    order = np.argsort(at_s, kind="stable")
    at_s, empties = at_s[order], order < turns.emptied_s.size
    ends = np.searchsorted(time_s, DAY_S * np.arange(1, days))
    cuts = np.searchsorted(time_s, at_s)
    of_day = np.minimum((at_s / DAY_S).astype(np.int64), days - 1)
    first = 0
    for day, end in enumerate([*ends.tolist(), time_s.size]):
        pieces: list[tuple[int, int, float | None, bool]] = []
        for k in np.flatnonzero(of_day == day).tolist():
            pieces.append((first, int(cuts[k]), float(at_s[k]), bool(empties[k])))
            first = int(cuts[k])
        pieces.append((first, end, None, False))
        first = end
        yield pieces


def _volume(scenario: Scenario, size: int) -> Volume:
    guest = scenario.guest
    driver = guest.policy == "ntfs3g"
    return Volume(
        size,
        policy=guest.policy,
        os=guest.os,
        cluster_size=None if driver else guest.cluster_size,
        discards=None if driver else guest.discards,
        auto_checkpoint=False,
    )


def _first_disk(scenario: Scenario, volume: Volume) -> CloneDisk:
    """The system disk: a delta, a whole disk, or a file behind a cache in memory."""
    start = scenario.guest.start.delta + floor_bytes(scenario)
    cached, streamed = overflowing(scenario), scenario.chosen("provisioned-streaming")
    if whole := full_disk_of(scenario, volume):
        return CloneDisk(volume, whole, 0)
    if cached is None:
        return CloneDisk(volume, volume.snapshot(scenario.delta.format, **scenario.delta.parameters), start)
    size, ram, block = scenario.guest.disk, int(cached.value("ram")), int(cached.value("block"))
    if streamed:
        file = Delta(str(streamed.value("overflow")), size)
    else:
        file = Delta(scenario.delta.format, size, **scenario.delta.parameters)
    overflow = Overflow(RamCache(size, ram, block), file, kept=streamed is None)
    return CloneDisk(volume, volume.snapshot("exact", grain=PAGE), 0, overflow)


def _second_disk(scenario: Scenario, disk: Disk, files: list[tuple[int, int]]) -> CloneDisk:
    """A thin disk with an empty volume but for the sources' own files, whose space it has from the start."""
    volume = _volume(scenario, disk.size)
    volume.begin_image()
    if files:
        ops = np.zeros(len(files), OPS_DTYPE)
        ops["file"], ops["length"] = zip(*files, strict=True)
        ops["op"] = FileOp.CREATE
        volume.apply(ops)
    volume.seal()
    if disk.where == SHARE:  # its file shrinks when it is compacted, if ever, not when the guest discards
        return CloneDisk(volume, full_disk(volume, discard="ignore", grain=PAGE), 0)
    return CloneDisk(volume, full_disk(volume), 0)
