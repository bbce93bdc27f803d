"""Figures of a plan as functions of what may be otherwise: tables from the plan's own functions, read between rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.planning.array_load import ArrayLoad, worst_of
from clonesim.planning.assumptions import increment
from clonesim.planning.disks import MOST_DISKS, disks_for_io, peak, usable_bytes, whole_array
from clonesim.planning.limits import Limits
from clonesim.planning.pool_sample import PoolSample
from clonesim.planning.purchase import grown
from clonesim.planning.sensitivity_design import BYTES, GROWTH, IOPS, clones_per_lun
from clonesim.planning.space_risk import fixed_bytes, pool_peaks
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

GROWTHS, DEMANDS, SERVICES, RESERVATIONS = 17, 13, 7, 5  # rows of the tables

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]  # by assumption: its values, one for each point
Evaluated = Callable[[Values, Floats], Floats]  # values and ratios (3, n) -> figure (n,)


@dataclass(frozen=True, slots=True)
class Figure:
    """What an answer can be.

    Attributes
    ----------
    title, unit : str
        In words.
    log : bool
        Whether its logarithm's variance is shared out: for figures over powers of ten.
    """

    title: str
    unit: str
    log: bool = False


FIGURES: Final = {
    "delta": Figure("mean size of a clone's delta files at their largest", "B"),
    "storage": Figure("capacity of all datastores", "B"),
    "luns": Figure("datastores of the scenario's size", "1"),
    "iops": Figure("I/O of the pool in its worst minute", "1/s"),
    "disks": Figure("disks of the array", "1"),
    "lock_wait": Figure("99th percentile of the wait for a lock in the worst kind of storm", "s", log=True),
    "conflicts": Figure("lock conflicts in the worst minute", "1/s", log=True),
}


@dataclass(frozen=True)
class Space:
    """Space of a LUN's deltas by growth and step of growth; made by `Space.of`.

    Attributes
    ----------
    scenario : Scenario
        What is planned.
    n : int
        Clones of a LUN. [1]
    growths, steps : float64 array
        Factors on growth, and steps of growth by which files grow at a time; rows and columns of the tables. [1]
    delta, lun : (steps, growths) float64 array
        Mean of a clone's files at their largest, and what a LUN's deltas need at the risk. [B]
    swap : (2, reservations) float64 array
        Share of memory that is reserved [1], and what then lies beside a LUN's deltas for n clones [B].
    images : float
        Of that, what does not depend on n. [B]
    """

    scenario: Scenario
    n: int
    growths: Floats
    steps: Floats
    delta: Floats
    lun: Floats
    swap: Floats
    images: float

    @classmethod
    def of(cls, scenario: Scenario, sample: PoolSample, limits: Limits, growths: tuple[float, float]) -> Space:
        """Tables between the smallest and the largest factor on growth."""
        n = min(clones_per_lun(scenario), sample.clones)
        grid = np.linspace(min(growths[0], 1.0), max(growths[1], 1.0) + 1e-9, GROWTHS)
        step = increment(scenario)
        most = int(np.ceil(catalog.value("sensitivity", "vary.increment.factor"))) if step else 1
        delta, lun = np.empty((most, GROWTHS)), np.empty((most, GROWTHS))
        for column, growth in enumerate(grid):
            sizes = grown(sample, float(growth))
            for row in range(most):
                coarse = stepped(sizes, sample.start, step * (row + 1)) if row else sizes
                delta[row, column] = coarse.max(axis=2).mean()
                peaks = pool_peaks(coarse, lambda _: 0, n, sample.seed)
                lun[row, column] = np.quantile(peaks, 1 - limits.outage, method="higher")
        shares = np.linspace(0.0, 1.0, RESERVATIONS)
        beside = [fixed_bytes(load_scenario(scenario, hosts={"memory_reservation": float(one)})) for one in shares]
        swap = np.stack([shares, [one(n) for one in beside]])
        images = 2.0 * beside[0](1) - beside[0](2)
        return cls(scenario, n, grid, np.arange(1.0, most + 1), delta, lun, swap, images)

    def delta_bytes(self, values: Values, ratios: Floats) -> Floats:
        """Mean size of a clone's files. [B]"""
        return self._read(self.delta, values, ratios)

    def storage(self, values: Values, ratios: Floats) -> Floats:
        """Capacity of all datastores, each with as many clones as in the scenario. [B]"""
        scenario, where = self.scenario, backing(self.scenario.luns.backing)
        luns = -(-scenario.pool.clones // self.n)
        needed = self._read(self.lun, values, ratios) + self._beside(values)
        replica = 0
        if scenario.luns.replica_lun:
            replica = catalog.value("backings", f"platforms.{scenario.platform.name}.replicas") * scenario.guest.used
        reserve = values.get("reserve", np.array([scenario.luns.reserve]))
        return np.asarray(luns * needed / where.full_share / (1.0 - reserve) + replica)

    def luns(self, values: Values, ratios: Floats, most: int | None) -> Floats:
        """Datastores of the scenario's size, as few as their space and the most clones of one allow. [1]"""
        scenario, where = self.scenario, backing(self.scenario.luns.backing)
        reserve = values.get("reserve", np.array([scenario.luns.reserve]))
        room = where.limit(scenario.luns.size) * (1.0 - reserve) - self.images
        each = (self._read(self.lun, values, ratios) + self._beside(values) - self.images) / self.n
        fit = np.floor(room / each)
        if (fit < 1).any():
            allowed = f"one clone needs {(each.max() + self.images) / 2**30:.0f} GiB under some assumptions"
            raise ParameterError("luns.size", scenario.luns.size, allowed, "Enlarge it, or ask about storage.")
        return np.asarray(np.ceil(scenario.pool.clones / np.minimum(fit, most or np.inf)))

    def _beside(self, values: Values) -> Floats:
        share = values.get("memory_reservation", np.array([self.scenario.hosts.memory_reservation]))
        return np.asarray(np.interp(share, *self.swap))

    def _read(self, table: Floats, values: Values, ratios: Floats) -> Floats:
        steps = values.get("increment", np.ones(ratios.shape[1]))
        return between(self.steps, self.growths, table, np.broadcast_to(steps, ratios.shape[1:]), ratios[GROWTH])


def stepped(sizes: NDArray[np.int64], start: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Sizes of files that grow by larger steps at a time: (replicates, clones, days). [B]"""
    first = start[:, :, None]
    found: NDArray[np.int64] = first + -(-(sizes - first) // step) * step
    return found


def between(rows: Floats, columns: Floats, table: Floats, row: Floats, column: Floats) -> Floats:
    """Table between its rows and columns, linear in both; beyond its ends the straight line goes on."""
    r, s = _cell(rows, row)
    c, t = _cell(columns, column)
    if rows.size == 1:
        return np.asarray((1 - t) * table[0, c] + t * table[0, c + 1])
    upper = (1 - t) * table[r, c] + t * table[r, c + 1]
    lower = (1 - t) * table[r + 1, c] + t * table[r + 1, c + 1]
    return np.asarray((1 - s) * upper + s * lower)


def _cell(marks: Floats, at: Floats) -> tuple[NDArray[np.int64], Floats]:
    if marks.size == 1:
        return np.zeros(at.shape, np.int64), np.zeros(at.shape)
    k = np.clip(np.searchsorted(marks, at, side="right") - 1, 0, marks.size - 2)
    return k, (at - marks[k]) / (marks[k + 1] - marks[k])


@dataclass(frozen=True)
class Disks:
    """Disks that bear the worst minute, by factor on all I/O and service time; made by `Disks.of`.

    Attributes
    ----------
    load : ArrayLoad
        The whole array.
    services, demands : float64 array
        Service time of a disk [s], and logarithm of the factor; rows and columns of the table.
    table : (services, demands) float64 array
        Disks, spares included. [1]
    usable : (disks,) int64 array
        Usable capacity of 0, 1, 2 ... disks. [B]
    iops : float
        Of the pool in its worst minute, which 95 % of the replicates do not exceed. [1/s]
    """

    load: ArrayLoad
    services: Floats
    demands: Floats
    table: Floats
    usable: NDArray[np.int64]
    iops: float

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        sample: PoolSample,
        limits: Limits,
        demands: tuple[float, float],
        services: tuple[float, float],
        storage: float,
    ) -> Disks:
        """Tables between the smallest and the largest factor and service time, for at most so much storage."""
        load = whole_array(scenario, min(clones_per_lun(scenario), sample.clones))
        rows = np.unique(np.geomspace(*services, SERVICES)) if services[1] > services[0] else np.array(services[:1])
        columns = np.linspace(np.log(min(demands[0], 1.0)), np.log(max(demands[1], 1.0)) + 1e-9, DEMANDS)
        table = np.array(
            [[fewest_disks(load, sample, limits, float(np.exp(d)), float(s)) for d in columns] for s in rows]
        )
        most = bisect_left(range(MOST_DISKS), storage, key=lambda disks: usable_bytes(load, disks))
        usable = np.array([usable_bytes(load, disks) for disks in range(most + 1)], np.int64)
        return cls(load, rows, columns, table.astype(np.float64), usable, peak(load, sample)[0])

    def disks(self, storage: Floats, values: Values, ratios: Floats) -> Floats:
        """Disks for space and I/O, whichever needs more. [1]"""
        demand = np.log(np.maximum(ratios[IOPS], ratios[BYTES]))
        service = np.broadcast_to(values.get("array_service", np.array([self.load.array.service_s])), demand.shape)
        for_io = between(self.services, self.demands, self.table, service, demand)
        for_space = np.searchsorted(self.usable, storage, side="left")
        return np.asarray(np.maximum(np.ceil(for_io - 1e-6), for_space))


def fewest_disks(load: ArrayLoad, sample: PoolSample, limits: Limits, demand: float, service_s: float) -> int:
    """Fewest disks that bear the worst minute of all I/O times a factor, if a command takes so long in one of them.

    Raises
    ------
    ParameterError
        If no number of disks suffices.
    """
    other = replace(load, array=replace(load.array, service_s=service_s))
    return disks_for_io(other, worst_of(sample, other, demand), limits)
