"""Waits for the lock of one LUN under many settings at once, and the formula fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.array_load import array_load
from clonesim.planning.assumptions import Assumption, lock_path, locking_of
from clonesim.planning.pool_sample import PoolSample, Steps
from clonesim.planning.sensitivity_design import GROWTH, IOPS, clones_per_lun, cube
from clonesim.planning.storm_locks import storm_locks, storms_of
from clonesim.planning.surrogate import Surrogate, fit
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "sensitivity"
ENDS = {"lock_wait": (1e-6, 60.0), "conflicts": (1e-3, 1e6)}  # less counts as the first, more as the second
PLACE = {"lock_wait": 0, "conflicts": 1}  # in what `simulated_lock` returns

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]


@dataclass(frozen=True)
class LockDesign:
    """Waits under many settings; made by `lock_design`.

    Attributes
    ----------
    names : tuple of str
        Coordinates: "rate" of growth steps, "demand", and the assumptions.
    low, high : float64 array
        Ends of the coordinates, of "rate" and "demand" in logarithms.
    points : (coordinates, n) float64 array
        In the unit cube. [1]
    figure : {"lock_wait", "conflicts"}
        What was looked at.
    response : (n,) float64 array
        Its logarithm.
    assumptions : tuple of Assumption
        Of the coordinates after the first two.
    """

    names: tuple[str, ...]
    low: Floats
    high: Floats
    points: Floats
    figure: str
    response: Floats
    assumptions: tuple[Assumption, ...]

    def fitted(self) -> LockWaits:
        """Formula for the figure."""
        return LockWaits(self, fit(self.points, self.response, [0] * len(self.names)))


@dataclass(frozen=True)
class LockWaits:
    """The figure as a formula.

    Attributes
    ----------
    design : LockDesign
        What it was fitted to.
    formula : Surrogate
        For its logarithm.
    """

    design: LockDesign
    formula: Surrogate

    def again(self, rng: np.random.Generator) -> LockWaits:
        """The formula as it might have come out as well."""
        return LockWaits(self.design, self.formula.again(self.design.points, rng))

    def value(self, values: Values, ratios: Floats) -> Floats:
        """The figure. [s or 1/s]"""
        own = self.design
        steps = np.broadcast_to(values.get("increment", np.ones(1)), ratios.shape[1:])
        rows = [np.log(ratios[GROWTH] / steps), np.log(ratios[IOPS])]
        rows = [_unit(row, low, high) for row, low, high in zip(rows, own.low, own.high, strict=False)]
        rows += [np.broadcast_to(_place(one, values), ratios.shape[1:]) for one in own.assumptions]
        return np.asarray(np.clip(np.exp(self.formula.predict(np.stack(rows))), *ENDS[own.figure]))


def lock_design(
    scenario: Scenario,
    figure: str,
    sample: PoolSample,
    assumptions: Sequence[Assumption],
    ratios: Floats,
    seed: int,
    progress: Callable[[int], None],
) -> LockDesign:
    """Simulate the lock of one LUN under a seeded Latin hypercube of settings.

    Parameters
    ----------
    scenario : Scenario
        Its LUNs, hosts and array.
    figure : {"lock_wait", "conflicts"}
        What is looked at.
    sample : PoolSample
        What the clones do.
    assumptions : sequence of Assumption
        Those that are not simulated with the pools.
    ratios : (3, n) float64 array
        What growth and I/O may come to, over the usual. [1]
    seed : int
        Of the settings.
    progress : callable
        Told how many settings are done.

    Raises
    ------
    ParameterError
        If hosts meet at no lock of such LUNs.
    """
    if not locking_of(scenario):
        where = scenario.luns.backing
        raise ParameterError("figure", figure, f"hosts meet at no lock on {where}", "Ask about another figure.")
    own = tuple(one for one in assumptions if not one.simulated and one.name != "increment")
    merged = next((one.high for one in assumptions if one.name == "increment"), 1.0)
    rate, demand = np.log(ratios[GROWTH]), np.log(ratios[IOPS])
    low = np.array([min(rate.min(), 0.0) - np.log(merged), min(demand.min(), 0.0)])
    high = np.maximum(np.array([max(rate.max(), 0.0), max(demand.max(), 0.0)]), low + 1e-9)
    names = ("rate", "demand", *(one.name for one in own))
    points = cube(len(names), catalog.value(TOPIC, "design.lock_points"), seed, "locks")
    response = np.empty(points.shape[1])
    for k in range(points.shape[1]):
        factors = np.exp(low + (high - low) * points[:2, k])
        values = {one.name: float(one.at(points[2 + j, k : k + 1])[0]) for j, one in enumerate(own)}
        found = simulated_lock(scenario, sample, values, *factors.tolist())[PLACE[figure]]
        response[k] = np.log(np.clip(found, *ENDS[figure]))
        progress(k + 1)
    return LockDesign(names, low, high, points, figure, response, own)


def simulated_lock(
    scenario: Scenario, sample: PoolSample, values: dict[str, float], rate: float = 1.0, demand: float = 1.0
) -> tuple[float, float]:
    """Lock of one LUN: 99th percentile of the wait in the worst kind of storm [s], conflicts in the worst minute [1/s].

    Parameters
    ----------
    scenario : Scenario
        Its LUNs, hosts and array.
    sample : PoolSample
        What the clones do.
    values : dict
        By assumption, in place of the scenario's.
    rate, demand : float, default 1
        Factors on the number of growth steps, and on all I/O. [1]
    """
    asked = scenario
    locks: dict[str, Any] = dict(scenario.luns.locks)
    for name, value in values.items():
        if name != "array_service":
            path = lock_path(scenario, name)
            whole = isinstance(catalog.value("locks", path), int)
            locks[path] = round(value) if whole else value
    if locks != scenario.luns.locks:
        asked = load_scenario(scenario, luns={"locks": locks})
    load = array_load(asked, min(clones_per_lun(asked), sample.clones))
    if "array_service" in values:
        load = replace(load, array=replace(load.array, service_s=values["array_service"]))
    changed = replace(
        sample,
        steps=tuple(paced(part, rate) for part in sample.steps),
        demand=np.rint(sample.demand * demand).astype(np.int64),
    )
    found = storm_locks(changed, asked, load, storms_of(changed, range(changed.replicates)))
    return float(found.wait_p99_s[0]), float(found.conflicts_max60[0])


def paced(steps: Steps, rate: float) -> Steps:
    """Growth steps of clones that take more or fewer of them: left out evenly, or put in evenly up to the next one."""
    if rate == 1.0:
        return steps
    order = np.lexsort((steps.time_s, steps.clone))
    time_s, clone, host = steps.time_s[order], steps.clone[order], steps.host[order]
    if not time_s.size:
        return steps
    first = np.flatnonzero(np.r_[True, clone[1:] != clone[:-1]])
    number = np.arange(clone.size) - np.repeat(first, np.diff(np.r_[first, clone.size]))
    copies = (np.floor((number + 1) * rate + 1e-9) - np.floor(number * rate + 1e-9)).astype(np.int64)
    after = np.r_[time_s[1:], time_s[-1]]
    after[np.r_[first[1:], clone.size] - 1] = time_s[np.r_[first[1:], clone.size] - 1]
    who = np.repeat(np.arange(clone.size), copies)
    copy = np.arange(who.size) - np.repeat(np.cumsum(copies) - copies, copies)
    when = time_s[who] + copy / copies[who] * (after[who] - time_s[who])
    back = np.lexsort((clone[who], when))
    return Steps(when[back], clone[who][back], host[who][back])


def _unit(value: Floats, low: float, high: float) -> Floats:
    return np.asarray(np.clip((value - low) / (high - low), 0.0, 1.0))


def _place(one: Assumption, values: Values) -> Floats:
    """Coordinate of an assumption's values."""
    value = values[one.name]
    if one.log:
        return np.asarray(np.log(value / one.low) / np.log(one.high / one.low))
    return np.asarray((value - one.low) / (one.high - one.low))
