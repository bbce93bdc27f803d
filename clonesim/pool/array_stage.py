"""What the array of a pool answers, minute by minute, when all its LUNs ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.array import ArrayModel, array_of, outstanding, part_of
from clonesim.lun.known_load import KnownLoad
from clonesim.lun.replica_cache import ArrayDemand, array_demand, replica_demand, replica_hits
from clonesim.lun.serving import Served, serve_luns
from clonesim.scenario.model import Scenario

SECTOR = 512

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ArrayStage:
    """The array under the demand of one replicate; made by `ArrayStage.of`.

    Attributes
    ----------
    array : ArrayModel
        What serves a LUN: all disks if the LUNs share them, its own if not.
    places : int
        Commands in these disks at most. [1]
    asked : tuple of ArrayDemand
        What reaches each LUN; last, the base image's LUN, where it has one.
    served : tuple of Served
        What became of it.
    loads : tuple of KnownLoad
        The same as one, of all LUNs together if they share all disks, else of each.
    """

    array: ArrayModel
    places: int
    asked: tuple[ArrayDemand, ...]
    served: tuple[Served, ...]
    loads: tuple[KnownLoad, ...]

    @classmethod
    def of(cls, scenario: Scenario, demands: Sequence[Ints]) -> ArrayStage:
        """Serve the demand of all LUNs; (minutes, 5) each, columns `clonesim.pool.clones.DEMAND`.

        Raises
        ------
        ParameterError
            If there are too few disks.
        """
        given, hosts, alone = scenario.array, scenario.hosts, scenario.luns.replica_lun
        luns = len(demands) + alone
        array = array_of(scenario) if given.shared else part_of(array_of(scenario), luns)
        count = luns if given.shared else 1
        places = outstanding(hosts.count, count, given.queue_depth, given.host_outstanding)
        replicas = 1 if alone or not given.shared else len(demands)
        hits = replica_hits(None, array.read_cache, hosts.read_cache, hosts.count, replicas)
        asked = [array_demand(demand, hits, alone) for demand in demands]
        if alone:
            asked.append(replica_demand(np.add.reduce(demands), hits))
        groups = [asked] if given.shared else [[one] for one in asked]
        told = [serve_luns(group, array, places) for group in groups]
        loads = tuple(
            KnownLoad.of(group, array, places, one[0].latency_mean_s) for group, one in zip(groups, told, strict=True)
        )
        return cls(array, places, tuple(asked), tuple(one for part in told for one in part), loads)

    def latency_s(self, lun: int, commands: Ints) -> Floats:
        """Mean latency in each minute if a LUN gets so many commands of locks besides.

        A command counts as a read and write of a sector would: as a small write, which is an upper bound.
        """
        return self.loads[lun % len(self.loads)].mean_with(commands, commands * SECTOR)
