"""Kinds of clones beside linked ones: full clones, thin and thick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.delta import law_kernel as k
from clonesim.delta.reclaim_kernel import clear_runs
from clonesim.errors import ParameterError, nearest
from clonesim.guest import Volume
from clonesim.guest.presence import DAY_S
from clonesim.ops import BlockOp, Requests
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

THIN, THICK = "thin", "thick"
PROVISIONING: Final = (THIN, THICK)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class FullDisk(Delta):
    """A clone's whole disk: as a delta without metadata that holds the image, or everything, from the start.

    Parameters
    ----------
    capacity : int
        Size of the virtual disk. [B]
    ranges : (n, 2) int64 array
        Start and end of what it holds when it is made, in order. [B]
    **parameters
        Of the format `exact`: `grain`, `discard`.

    Notes
    -----
    `written_bytes` and `increments` begin with the first write of the clone; `revert` goes back to the image.
    """

    def __init__(self, capacity: int, ranges: Ints, **parameters: Any) -> None:
        self._image = _writes(ranges)
        super().__init__("exact", capacity, **parameters)

    def _create(self) -> None:
        super()._create()
        image = self._image
        self._run(image.time_s, image.op, image.offset, image.length)
        self._s[k.WRITTEN] = self._s[k.GROWN] = 0
        self._history[0] = self._s[: k.HISTORY]

    def _like(self) -> Self:
        twin = type(self).__new__(type(self))
        twin._image = self._image
        twin._build(self.law, self.track_unique, None)
        return twin


def full_disk(volume: Volume, provisioning: str = THIN, **parameters: Any) -> FullDisk:
    """Make a volume the master of full clones: each is a copy of it on a disk of its own.

    Parameters
    ----------
    volume : Volume
        Sealed, without a snapshot; it writes to the disk from here on, and `volume.revert` makes the next clone.
    provisioning : {"thin", "thick"}
        thin: what the volume uses is taken, and the rest when it is first written; thick: everything at once.
    **parameters
        Of the format `exact`. A thin disk takes grains; datastores take whole allocation units of the whole file.

    Returns
    -------
    FullDisk
        The clone's disk; it follows the volume.

    Raises
    ------
    ParameterError
        If the provisioning is unknown, or the volume has a snapshot already.
    """
    if provisioning not in PROVISIONING:
        allowed = f"allowed are {', '.join(PROVISIONING)}"
        raise ParameterError("full-clone.provisioning", provisioning, allowed, nearest(provisioning, PROVISIONING))
    if volume.deltas:
        allowed = "a full clone is made of a volume without snapshots"
        raise ParameterError("volume", repr(volume), allowed, "Make it before the first snapshot.")
    capacity = volume.settings.disk_bytes
    if provisioning == THICK:
        ranges, parameters = np.array([[0, capacity]], np.int64), parameters | {"discard": "ignore"}
    else:
        ranges = used_ranges(volume)
    disk = FullDisk(capacity, ranges, **parameters)
    volume.snapshot("exact")
    volume.deltas[-1] = disk
    return disk


def full_disk_of(scenario: Scenario, volume: Volume) -> FullDisk | None:
    """Disk of a scenario's full clones, or None where clones are linked.

    A thin disk gives back what the guest discards where the scenario's delta format would.
    """
    choice = scenario.chosen("full-clone")
    if choice is None:
        return None
    known = catalog.group("formats", scenario.delta.format).get("discard")
    keeps = known is None or scenario.delta.parameters.get("discard", known.default) == "ignore"
    return full_disk(volume, str(choice.value("provisioning")), discard="ignore" if keeps else "release")


def full_clone_steps(
    volume: Volume, ops: NDArray[np.void], provisioning: str = THIN, days: int = 1, **parameters: Any
) -> tuple[Floats, Ints]:
    """Growth steps of a full clone's disk while it lives through operations.

    Parameters
    ----------
    volume : Volume
        As `full_disk` takes it.
    ops : (n,) array of OPS_DTYPE
        In order of time.
    provisioning : {"thin", "thick"}
        As `full_disk` takes it.
    days : int, default 1
        Length of the time told. [d]
    **parameters
        Of the format `exact`.

    Returns
    -------
    time_s, size : arrays
        Its first size and every change, which add up to its size at the end. [s, B]
    """
    from clonesim.pool.clone_disk import CloneDisk

    disk = CloneDisk(volume, full_disk(volume, provisioning, **parameters), 0)
    disk.begin()
    by_source = np.zeros((int(ops["source"].max(initial=0)) + 1, 3), np.int64)
    demand = np.zeros((days * 1440, 5), np.int64)
    ends = np.searchsorted(ops["time_s"], DAY_S * np.arange(1, days))
    for day, part in enumerate(np.split(ops, ends)):
        disk.apply(part, by_source, demand)
        disk.end_of_day(day, np.zeros(4, np.int64))
    return disk.steps(days * DAY_S)


def used_ranges(volume: Volume) -> Ints:
    """Byte ranges of the disk that a volume uses, in order; (n, 2) array of start and end. [B]"""
    return _ranges(volume, ~volume.bitmap_words)


def free_ranges(volume: Volume) -> Ints:
    """Byte ranges of the disk that a volume does not use, in order; (n, 2) array of start and end. [B]"""
    return _ranges(volume, volume.bitmap_words)


def _ranges(volume: Volume, words: Ints) -> Ints:
    """Where the bits of words are clear, a bit a cluster."""
    runs = clear_runs(words, volume.clusters)
    found: Ints = int(volume.settings.values["partition_offset"]) + runs * volume.cluster_size
    return found


def _writes(ranges: Ints) -> Requests:
    count = len(ranges)
    lengths = np.ascontiguousarray(ranges[:, 1] - ranges[:, 0], np.int64)
    return Requests(
        np.zeros(count), np.full(count, BlockOp.WRITE, np.uint8), np.ascontiguousarray(ranges[:, 0], np.int64), lengths
    )
