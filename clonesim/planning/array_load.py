"""What the array is asked for, and how it answers, if so many clones lie on each LUN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.array import ArrayModel, array_of, outstanding, part_of
from clonesim.lun.device import Latency, latency, mean_latency, unit_load
from clonesim.lun.replica_cache import (
    ArrayDemand,
    ReplicaHits,
    array_demand,
    replica_demand,
    replica_hits,
    together,
)
from clonesim.planning.pool_sample import PoolSample
from clonesim.planning.student import student
from clonesim.pool.clones import DEMAND
from clonesim.scenario.model import Scenario

MINUTE_S = 60.0
WORST = 0.95  # of LUNs: their worst minute is told

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ArrayLoad:
    """The array of a pool whose LUNs have n clones each; made by `array_load`.

    Attributes
    ----------
    n : int
        Clones of a LUN. [1]
    array : ArrayModel
        What serves it: all disks if LUNs share them, its own if not.
    together : int
        Clones whose I/Os meet on these disks. [1]
    places : int
        Commands in these disks at most. [1]
    lun_places : int
        Commands of one LUN at most. [1]
    hits : ReplicaHits
        Where reads of the base image end.
    replica_elsewhere : bool
        Whether the base image lies on a LUN of its own.
    """

    n: int
    array: ArrayModel
    together: int
    places: int
    lun_places: int
    hits: ReplicaHits
    replica_elsewhere: bool

    def asked(self, demand: Ints) -> ArrayDemand:
        """What reaches these disks of a demand by minute; (minutes, 5) in."""
        own = array_demand(demand, self.hits, self.replica_elsewhere)
        if not self.replica_elsewhere or self.together == self.n:
            return own
        return together([own, replica_demand(demand, self.hits)])

    def answer(self, demand: Ints) -> Latency:
        """Latency and load of these disks, each minute for itself; (minutes, 5) in."""
        return latency(self.array, *self._rates(self.asked(demand)))

    def mean_s(self, demand: Ints) -> Floats:
        """Mean latency of `answer` alone, which takes a fraction of its time. [s]"""
        return mean_latency(self.array, *self._rates(self.asked(demand)))

    def _rates(self, asked: ArrayDemand) -> tuple[Floats, Floats, int, Floats, Floats, Floats]:
        """As `latency` takes them."""
        reads, writes, read_bytes, write_bytes = (
            each / MINUTE_S for each in (asked.reads, asked.writes, asked.read_bytes, asked.write_bytes)
        )
        return reads, writes, self.places, read_bytes, write_bytes, asked.read_hits

    def utilisation(self, demand: Ints) -> Floats:
        """What is asked of these disks over what they can do, which passes 1 in a backlog; (minutes, 5) in. [1]"""
        asked = self.asked(demand)
        both = asked.reads + asked.writes
        per = np.maximum(both, 1)
        sizes = (
            asked.read_bytes / np.maximum(asked.reads, 1),
            asked.write_bytes / np.maximum(asked.writes, 1),
        )
        each = unit_load(self.array, asked.reads / per, asked.writes / per, *sizes, asked.read_hits, self.places)
        return both / MINUTE_S * each


def array_load(scenario: Scenario, n: int) -> ArrayLoad:
    """The array of a scenario whose LUNs have n clones each.

    Where LUNs have disks of their own, these are as many as in the scenario, whatever n is.

    Raises
    ------
    ParameterError
        If there are too few disks for the LUNs.
    """
    asked, hosts, clones = scenario.array, scenario.hosts, scenario.pool.clones
    luns = -(-clones // n)
    array = array_of(scenario)
    own = outstanding(hosts.count, 1, asked.queue_depth, asked.host_outstanding)
    if asked.shared:
        serving, together, replicas = array, clones, 1 if scenario.luns.replica_lun else luns
        places = outstanding(hosts.count, luns, asked.queue_depth, asked.host_outstanding)
    else:
        serving, together, replicas = part_of(array, scenario.luns.count), n, 1
        places = own
    hits = replica_hits(None, serving.read_cache, hosts.read_cache, hosts.count, replicas)
    return ArrayLoad(n, serving, together, places, own, hits, scenario.luns.replica_lun)


@dataclass(frozen=True, slots=True)
class WorstMinute:
    """The worst minute of LUNs of n clones; all arrays are (replicates, deals).

    Attributes
    ----------
    iops : float64 array
        Asked of the LUN. [1/s]
    bytes_per_s : float64 array
        Read and written there. [B/s]
    utilisation : float64 array
        Of the disks that serve it. It passes 1 if more is asked than they can do. [1]
    latency_p95_s : float64 array
        Of these disks. [s]
    queue : float64 array
        Commands of the LUN in the array over its places; above 1, the rest waits in the hosts. [1]
    """

    iops: Floats
    bytes_per_s: Floats
    utilisation: Floats
    latency_p95_s: Floats
    queue: Floats


def worst_minute(lun: Ints, together: Ints, load: ArrayLoad) -> WorstMinute:
    """How the array of a plan answers in the worst minute of its LUNs.

    Parameters
    ----------
    lun, together : (replicates, deals, 5) int64 array
        I/Os and bytes of a LUN in its worst minute, and of all clones that share its disks in theirs; of
        `worst_demand`.
    load : ArrayLoad
        The array.
    """
    shape = lun.shape[:2]
    told = load.answer(together.reshape(-1, len(DEMAND)))
    own = array_demand(lun.reshape(-1, len(DEMAND)), load.hits, load.replica_elsewhere)
    iops = (own.reads + own.writes) / MINUTE_S
    return WorstMinute(
        iops=iops.reshape(shape),
        bytes_per_s=((own.read_bytes + own.write_bytes) / MINUTE_S).reshape(shape),
        utilisation=load.utilisation(together.reshape(-1, len(DEMAND))).reshape(shape),
        latency_p95_s=told.p95_s.reshape(shape),
        queue=(iops * told.mean_s / load.lun_places).reshape(shape),
    )


def worst_of(sample: PoolSample, load: ArrayLoad, times: float = 1.0) -> tuple[Ints, Ints]:
    """Worst minute of a LUN, and of all clones that share its disks, as `worst_minute` takes them."""
    lun = worst_demand(sample, load.n, times)
    if load.together == load.n:
        return lun, lun
    more = max(load.together / sample.clones, 1.0)
    return lun, worst_demand(sample, min(load.together, sample.clones), times * more)


def worst_demand(sample: PoolSample, n: int, times: float = 1.0) -> Ints:
    """I/Os and bytes of the worst minute of n clones: (replicates, deals, 5), columns `DEMAND`.

    Clones were added up in the groups in which they were simulated; between two sums it is interpolated. All of it is
    multiplied so many times.
    """
    found = np.empty((sample.replicates, sample.worst[0].clones.shape[0], len(DEMAND)))
    for replicate, part in enumerate(sample.worst):
        for deal, (clones, demand) in enumerate(zip(part.clones, part.demand, strict=True)):
            upper = min(int(np.searchsorted(clones, n)), clones.size - 1)
            lower, below = (demand[upper - 1], clones[upper - 1]) if upper else (np.zeros(len(DEMAND)), 0)
            share = (n - below) / (clones[upper] - below)
            found[replicate, deal] = lower + share * (demand[upper] - lower)
    return np.rint(times * found).astype(np.int64)


def over_luns(values: Floats) -> tuple[float, float, float]:
    """What 95 % of a pool's LUNs do not exceed: mean over replicates, with Student's interval. [as the values]

    Parameters
    ----------
    values : (replicates, luns) float64 array
        One figure of each LUN, from 0 up.

    Returns
    -------
    mean, low, high : float
        The interval holds the mean over all pools with 95 %; of a single replicate it is all that can be.
    """
    mean, low, high = student(np.quantile(values, WORST, axis=1))
    return mean, max(0.0, low), high
