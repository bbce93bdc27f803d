"""The machine that all clones of a scenario are copies of: base image and disks, set back before each clone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.guest import Volume
from clonesim.guest.activity import Activity
from clonesim.guest.base_image import BaseImage, base_image, read_bitmap
from clonesim.guest.presence import DAY_S
from clonesim.guest.reset_kernel import GONE, after_resets
from clonesim.guest.rows import Plan, Reads
from clonesim.guest.write_sources import Machine
from clonesim.keys import POOL, generator
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.account_kernel import account_reads
from clonesim.pool.clone_disk import CloneDisk
from clonesim.pool.strategies.kinds import full_disk, full_disk_of
from clonesim.pool.strategies.layout import AWAY, LUN, OS, Disk, Layout, effective
from clonesim.pool.strategies.resets import floor_bytes
from clonesim.scenario.model import Scenario

MINUTES_A_DAY = 1440
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
        Of disks on other datastores and file shares.
    """

    lun: Ints
    elsewhere: Ints

    @classmethod
    def none(cls, days: int) -> Self:
        """Nothing asked for."""
        return cls(no_demand(days), no_demand(days))


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one clone.

    Attributes
    ----------
    refused : int
        Operations left out because a volume was full. [1]
    away_bytes : int
        Written on no disk of the clone's. [B]
    steps : list of (times, sizes)
        Growth steps of each disk's file. [s, B]
    """

    refused: int
    away_bytes: int
    steps: list[tuple[Floats, Ints]]


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
        whole = full_disk_of(made, volume)
        delta = whole or volume.snapshot(made.delta.format, **made.delta.parameters)
        self.disks = [CloneDisk(volume, delta, 0 if whole else guest.start.delta + floor_bytes(made))]
        self._base_image = whole is None  # whether reads of what was never written go to a base image
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

    def run(self, plan: Plan, emptied: Sequence[Times], growth: Ints, sources: Ints, demand: Demand) -> Ran:
        """Let one clone live through its plan.

        Parameters
        ----------
        plan : Plan
            What it does.
        emptied : sequence of (n,) float64 array
            When each of its disks is emptied, in order. [s]
        growth : (disks, days, 4) int64 array
            Filled: sizes at the end of each day.
        sources : (disks, days, sources, 3) int64 array
            Added to: bytes by source.
        demand : Demand
            Added to: I/Os and bytes by minute.
        """
        with self.lock:
            return self._run(plan, emptied, growth, sources, demand)

    def _run(self, plan: Plan, emptied: Sequence[Times], growth: Ints, sources: Ints, demand: Demand) -> Ran:
        days, refused, steps = growth.shape[1], 0, []
        place = self.layout.disk_of(plan.ops, self.image.first_file)
        for k, disk in enumerate(self.disks):
            ops = plan.ops if self.layout.plain else plan.ops[place == k]
            ops = self._mended(ops, emptied[k], k)
            asked = demand.lun if self.layout.disks[k].where == LUN else demand.elsewhere
            share = np.ones(days)  # of the day's reads that the disk's own file serves
            disk.begin()
            for day, pieces in enumerate(_pieces(ops["time_s"], days, emptied[k])):
                if k == OS and self._base_image:
                    share[day] = disk.held_share
                for first, end, reset_s in pieces:
                    refused += disk.apply(ops[first:end], sources[k, day], asked)
                    if reset_s is not None:
                        disk.empty(reset_s)
                disk.end_of_day(day, growth[k, day])
            steps.append(disk.steps(days * DAY_S))
            self._read(plan.reads, k, share, asked)
        return Ran(refused, int(plan.ops["length"][place == AWAY].sum()), steps)

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
        return mended[keep]

    def _read(self, reads: Reads, place: int, share: Floats, demand: Ints) -> None:
        mine = slice(None) if self.layout.plain else self.layout.route[reads.source] == place
        time_s, size, ios = (np.ascontiguousarray(column[mine]) for column in (reads.time_s, reads.bytes, reads.ios))
        account_reads(time_s, size, ios, share, DAY_S, demand)

    def _image_files(self, place: int) -> list[tuple[int, int]]:
        """Files of the sources that write on a disk, which it holds from the start."""
        mine = {int(index) for index in np.flatnonzero(self.layout.route == place)}
        return self.activity.base_files(self.image.first_file, mine)


def _pieces(time_s: Times, days: int, emptied: Times) -> Iterator[list[tuple[int, int, float | None]]]:
    """For each day the pieces of a plan: rows from, to, and when the disk is emptied after them."""
    ends = np.searchsorted(time_s, DAY_S * np.arange(1, days))
    cuts = np.searchsorted(time_s, emptied)
    of_day = np.minimum((emptied / DAY_S).astype(np.int64), days - 1)
    first = 0
    for day, end in enumerate([*ends.tolist(), time_s.size]):
        pieces: list[tuple[int, int, float | None]] = []
        for k in np.flatnonzero(of_day == day).tolist():
            pieces.append((first, int(cuts[k]), float(emptied[k])))
            first = int(cuts[k])
        pieces.append((first, end, None))
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
    return CloneDisk(volume, full_disk(volume), 0)
