"""Storms are work: what one desktop has to do, and how long many take that share places and an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.lun.array import array_of
from clonesim.lun.replica_cache import replica_hits
from clonesim.pool.work_kernel import serve
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

WORK: Final = ("boot", "logon", "definitions", "patches", "provisioning", "recompose", "refresh")
UNLIMITED: Final = np.iinfo(np.int64).max

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Task:
    """What a storm asks of one desktop.

    Attributes
    ----------
    reads, writes : float
        I/Os. [1]
    read_bytes, write_bytes : float
        Bytes. [B]
    shortest_s : float
        How long it takes if nothing else is in its way. [s]
    """

    reads: float
    writes: float
    read_bytes: float
    write_bytes: float
    shortest_s: float

    @property
    def ios(self) -> float:
        """Reads and writes. [1]"""
        return self.reads + self.writes

    @property
    def read_share(self) -> float:
        """Share of the reads in the I/Os; 0 without any. [1]"""
        return self.reads / self.ios if self.ios else 0.0

    def times(self, factor: float) -> Task:
        """The same with a multiple of the I/Os and bytes; the shortest time stays."""
        reads, writes = factor * self.reads, factor * self.writes
        return Task(reads, writes, factor * self.read_bytes, factor * self.write_bytes, self.shortest_s)


def task(kind: str, scenario: Scenario | None = None) -> Task:
    """Work of one desktop in a storm.

    Parameters
    ----------
    kind : str
        One of `WORK`.
    scenario : Scenario, optional
        Then patches follow the guest's system and `storms.patch_factor`, definitions `storms.definitions_size`; else
        they are those of the catalog.

    Raises
    ------
    ParameterError
        If there is no such storm.
    """
    if kind not in WORK:
        raise ParameterError("kind", kind, f"allowed are {', '.join(WORK)}")
    given = {name: float(parameter.default) for name, parameter in catalog.group("operations", kind).items()}
    one = Task(given["reads"], given["writes"], given["read_bytes"], given["write_bytes"], given["shortest"])
    if scenario is None:
        return one
    if kind == "definitions":
        return one.times(scenario.storms.definitions_size / catalog.value("storms", "definitions_size"))
    if kind == "patches":
        sizes = [catalog.value("storms", f"patch_size.{os}") for os in (scenario.guest.os, "windows-11")]
        return one.times(scenario.storms.patch_factor * sizes[0] / sizes[1])
    return one


@dataclass(frozen=True, slots=True)
class StormLoad:
    """What storms ask of the array, all desktops sharing it.

    Attributes
    ----------
    ios : tuple of float
        I/Os of each task that reach the array: all but the reads that the hosts' caches serve. [1]
    capacity_iops : float
        I/Os per second that the array reaches at the tasks' mix, its read cache included. [1/s]
    """

    ios: tuple[float, ...]
    capacity_iops: float


def storm_load(scenario: Scenario, *tasks: Task, replica: bool = True) -> StormLoad:
    """What one or more tasks, done one after the other, ask of a scenario's array.

    Parameters
    ----------
    scenario : Scenario
        Its tables `array`, `hosts` and `luns`.
    *tasks : Task
        The mix of reads and writes, and their sizes, is that of all together.
    replica : bool, default True
        Whether the reads are of the base image, which caches may hold; they are warm then.
    """
    copies = 1 if scenario.luns.replica_lun else scenario.luns.count
    disks, hosts = array_of(scenario), scenario.hosts
    hits = replica_hits(None, disks.read_cache, hosts.read_cache, hosts.count, copies) if replica else None
    missed = 1 - hits.host if hits else 1.0
    ios = tuple(missed * one.reads + one.writes for one in tasks)
    reads, writes = (sum(getattr(one, name) for one in tasks) for name in ("reads", "writes"))
    read_bytes, write_bytes = (sum(getattr(one, name) for one in tasks) for name in ("read_bytes", "write_bytes"))
    if not sum(ios):
        return StormLoad(ios, np.inf)
    capacity = disks.capacity_iops(
        missed * reads / sum(ios),
        round(read_bytes / reads) if reads else 0,
        round(write_bytes / writes) if writes else 0,
        hits.array_hits if hits else 0.0,
    )
    return StormLoad(ios, float(capacity))


@dataclass(frozen=True, slots=True)
class Work:
    """When the work on each desktop was done.

    Attributes
    ----------
    start_s : (n,) float64 array
        When it got its place. [s]
    end_s : (n,) float64 array
        When it gave the place back. [s]
    then_s : (n,) float64 array
        When the step after that ended; `end_s` where there is none. [s]
    most : int
        Most desktops in service at a time. [1]
    """

    start_s: Times
    end_s: Times
    then_s: Times
    most: int

    def done_s(self, share: float) -> float:
        """Time at which a share of the desktops is done with all steps. [s]"""
        if not self.then_s.size:
            return 0.0
        rank = min(self.then_s.size, max(1, int(np.ceil(share * self.then_s.size - 1e-9))))
        return float(np.sort(self.then_s)[rank - 1])


def serve_work(
    ready_s: ArrayLike,
    ios: ArrayLike,
    shortest_s: ArrayLike,
    at_a_time: int | None,
    capacity_iops: float = np.inf,
    *,
    lane: ArrayLike | None = None,
    then_ios: ArrayLike = 0.0,
    then_shortest_s: ArrayLike = 0.0,
) -> Work:
    """Work on many desktops, with a limited number of places and an array that all of them share.

    Desktops get a place in order of the times at which they are ready, those of equal times in the given order. Those
    in service share the array's I/Os per second equally, but none makes more than `ios / shortest_s`; what it leaves
    goes to the others. The I/Os are a fluid: nothing waits for a single one.

    Parameters
    ----------
    ready_s : (n,) array
        When each desktop is ready to be worked on, from 0 up. [s]
    ios, shortest_s : number or (n,) array
        I/Os of its work, and how long it takes if nothing is in its way. [1, s]
    at_a_time : int or None
        Places, of each lane; None: no limit. [1]
    capacity_iops : float, default infinite
        I/Os that the array makes in a second. [1/s]
    lane : (n,) array of int, optional
        Lane of each desktop, such as its host; by default there is one. [1]
    then_ios, then_shortest_s : number or (n,) array, default 0
        A second step, such as the logon after a boot: it needs the array, but no place. No time: no such step. [1, s]

    Raises
    ------
    ParameterError
        If a value is out of range.
    """
    ready = np.asarray(ready_s, np.float64)
    if ready.ndim != 1:
        raise ParameterError("ready_s", ready.ndim, "an array of one dimension is needed")
    if not (np.isfinite(ready).all() and (ready >= 0).all()):
        raise ParameterError("ready_s", float(ready.min()), "finite times from 0 up are needed")
    work = np.stack([_amounts("ios", ios, ready.size), _amounts("then_ios", then_ios, ready.size)])
    least = [_amounts("shortest_s", shortest_s, ready.size), _amounts("then_shortest_s", then_shortest_s, ready.size)]
    if not (least[0] > 0).all():
        raise ParameterError("shortest_s", float(least[0].min()), "times above 0 are needed")
    if (work[1][least[1] == 0] > 0).any():
        raise ParameterError("then_shortest_s", 0.0, "a second step with I/Os takes time", "Give a time above 0.")
    if at_a_time is not None and (isinstance(at_a_time, bool) or at_a_time != int(at_a_time) or at_a_time < 1):
        raise ParameterError("at_a_time", at_a_time, "a whole number from 1 up, or None for no limit, is needed")
    if not capacity_iops > 0:
        raise ParameterError("capacity_iops", capacity_iops, "a number above 0 is needed")
    lanes = np.zeros(ready.size, np.int64) if lane is None else np.asarray(lane, np.int64)
    if lanes.shape != ready.shape or (lanes < 0).any():
        raise ParameterError("lane", lanes.tolist(), f"{ready.size} whole numbers from 0 up are needed")
    places = np.full(int(lanes.max(initial=0)) + 1, UNLIMITED if at_a_time is None else int(at_a_time), np.int64)
    start, end = np.empty(ready.size), np.empty((2, ready.size))
    order = np.argsort(ready, kind="stable").astype(np.int64)
    most = serve(order, ready, lanes, places, work, np.stack(least), float(capacity_iops), start, end)
    return Work(start, end[0], end[1], int(most))


def _amounts(name: str, value: ArrayLike, n: int) -> Times:
    given = np.asarray(value, np.float64)
    if given.ndim > 1 or given.size not in (1, n):
        raise ParameterError(name, given.shape, f"one number, or one for each of the {n} desktops, is needed")
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise ParameterError(name, float(np.min(given)), "finite numbers from 0 up are needed")
    return np.broadcast_to(given.reshape(-1) if n != 1 else given.reshape(1), (n,)).copy()
