"""Small pools under many assumptions at once: how they are chosen, what they cost, and the formulas fitted to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator
from clonesim.planning.assumptions import Assumption, varied
from clonesim.planning.pool_sample import PoolSample, sample_pool
from clonesim.planning.resized import resized
from clonesim.planning.surrogate import Surrogate, fit, term_count
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

TOPIC = "sensitivity"
GROWTH, IOPS, BYTES = range(3)
RESPONSES = ("growth", "iops", "bytes_per_s")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Budget:
    """What finding out costs; made by `budget_of`.

    Attributes
    ----------
    points : int
        Pools of the design beside the usual one. [1]
    clones, days : int
        Of each of them. [1]
    base_clones, base_days, base_replicates : int
        Of the pool that figures are computed from; no replicates if a sample is at hand. [1]
    terms : int
        Of the formula. [1]
    """

    points: int
    clones: int
    days: int
    base_clones: int
    base_days: int
    base_replicates: int
    terms: int

    @property
    def base_desktop_days(self) -> int:
        """Of the pool that figures are computed from. [d]"""
        return self.base_clones * self.base_days * self.base_replicates

    @property
    def each(self) -> int:
        """Desktop-days of one pool of the design. [d]"""
        return self.clones * self.days

    @property
    def desktop_days(self) -> int:
        """Of all pools. [d]"""
        return self.base_desktop_days + (self.points + 1) * self.each if self.points else self.base_desktop_days

    @property
    def seconds(self) -> float:
        """Estimate for one process. [s]"""
        return self.desktop_days / float(catalog.value(TOPIC, "design.rate"))

    @property
    def text(self) -> str:
        """One line to tell before anything is simulated."""
        parts = []
        if self.points:
            parts.append(f"{self.points + 1} pools of {self.clones} clones x {self.days} days")
        if self.base_replicates:
            parts.append(f"{self.base_replicates} of {self.base_clones} clones x {self.base_days} days")
        told = " and ".join(parts) if parts else "no pool, a sample is at hand"
        return f"{told}: {self.desktop_days:,} desktop-days, about {self.seconds:.0f} s of one process."


def budget_of(
    scenario: Scenario, assumptions: Sequence[Assumption], budget: float | None = None, sample: PoolSample | None = None
) -> Budget:
    """What the design costs, by default or within a budget.

    Parameters
    ----------
    scenario : Scenario
        Whose pool is asked about.
    assumptions : sequence of Assumption
        That are looked at.
    budget : float, optional
        Desktop-days to simulate at most. [d]
    sample : PoolSample, optional
        Is at hand already.

    Raises
    ------
    ParameterError
        If the budget is too small for so many assumptions.
    """
    moved = [one for one in assumptions if one.simulated]
    count = term_count([one.count for one in moved]) if moved else 0
    clones = min(scenario.pool.clones, catalog.value(TOPIC, "design.clones"))
    days = min(scenario.pool.days, catalog.value(TOPIC, "design.days"))
    base = min(scenario.pool.clones, clones_per_lun(scenario))
    replicates = catalog.value(TOPIC, "base.replicates") if sample is None else 0

    def costs(points: int) -> Budget:
        return Budget(points, clones, days, base, scenario.pool.days, replicates, count)

    least = costs(math.ceil(catalog.value(TOPIC, "design.least_per_term") * count))
    usual = costs(math.ceil(catalog.value(TOPIC, "design.points_per_term") * count))
    if budget is None:
        return usual
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not math.isfinite(budget):
        raise ParameterError("budget", budget, "a number of desktop-days is needed", "Leave it out for the usual one.")
    if budget < least.desktop_days:
        allowed = f"{len(assumptions)} assumptions need at least {least.desktop_days} desktop-days ({least.text[:-1]})"
        remedy = "Raise it, name fewer assumptions with `only`, or take a shorter pool.days."
        raise ParameterError("budget", budget, allowed, remedy)
    if not moved:
        return usual
    return costs(int((budget - usual.base_desktop_days) // usual.each) - 1)


def clones_per_lun(scenario: Scenario) -> int:
    """Clones of a LUN of the scenario, the fullest one. [1]"""
    return -(-scenario.pool.clones // scenario.luns.count)


def smaller(scenario: Scenario, clones: int, days: int) -> Scenario:
    """The scenario with few clones on one LUN, as many users for each of them, and few days."""
    return resized(scenario, clones, days=days, luns=1)


@dataclass(frozen=True, slots=True)
class Design:
    """Small pools that were simulated; made by `simulated`.

    Attributes
    ----------
    names : tuple of str
        Simulated assumptions.
    levels : tuple of int
        Of each: 0 for a number. [1]
    usual : (coordinates, 1) float64 array
        Of the scenario. [1]
    points : (coordinates, n) float64 array
        Of the pools; the first one is the usual one. [1]
    responses : (3, n) float64 array
        Logarithms of `RESPONSES` over those of the usual pool. [1]
    """

    names: tuple[str, ...]
    levels: tuple[int, ...]
    usual: Floats
    points: Floats
    responses: Floats

    def fitted(self) -> Ratios:
        """Formulas for the responses."""
        if not self.levels:
            return Ratios((), self.usual)
        return Ratios(tuple(fit(self.points, response, self.levels) for response in self.responses), self.usual)

    def again(self, ratios: Ratios, rng: np.random.Generator) -> Ratios:
        """Formulas as they might have come out as well."""
        return Ratios(tuple(one.again(self.points, rng) for one in ratios.formulas), self.usual)


@dataclass(frozen=True, slots=True)
class Ratios:
    """By how much growth and I/O change, as formulas.

    Attributes
    ----------
    formulas : tuple of Surrogate
        In the order of `RESPONSES`; none if nothing that was simulated may change.
    usual : (coordinates, 1) float64 array
        Where all ratios are 1. [1]
    """

    formulas: tuple[Surrogate, ...]
    usual: Floats

    def at(self, points: Floats) -> Floats:
        """Ratios to the usual pool: (3, n), in the order of `RESPONSES`; (coordinates, n) in. [1]"""
        if not self.formulas:
            return np.ones((len(RESPONSES), points.shape[1]))
        return np.stack([np.exp(one.predict(points) - one.predict(self.usual)) for one in self.formulas])

    def missed(self, response: int) -> float:
        """Typical error of a formula, as a share of the figure. [1]"""
        return float(np.expm1(self.formulas[response].error)) if self.formulas else 0.0


def simulated(
    scenario: Scenario,
    assumptions: Sequence[Assumption],
    budget: Budget,
    seed: int,
    executor: Executor | None,
    progress: Callable[[int], None],
) -> Design:
    """Simulate the pools of a seeded Latin hypercube over the simulated assumptions; all of them have the same users.

    Raises
    ------
    ParameterError
        If the usual pool does not grow, or asks for nothing.
    """
    moved = [one for one in assumptions if one.simulated]
    levels = tuple(one.count for one in moved)
    usual = np.array([[one.place] for one in moved]).reshape(len(moved), 1)
    if not moved:
        return Design((), (), usual, np.zeros((0, 1)), np.zeros((len(RESPONSES), 1)))
    points = np.concatenate([usual, cube(len(moved), budget.points, seed, "design")], axis=1)
    small = smaller(scenario, budget.clones, budget.days)
    found = np.empty((len(RESPONSES), points.shape[1]))
    for k in range(points.shape[1]):
        values = [float(one.at(points[row, k : k + 1])[0]) for row, one in enumerate(moved)]
        other = varied(small, moved, values) if k else small
        sample = sample_pool(other, seed, 1, executor=executor, processes=1, progress=_from(progress, k * budget.each))
        found[:, k] = _responses(sample)
        if (found[:, k] <= 0).any():
            name = RESPONSES[int((found[:, k] <= 0).argmax())]
            allowed = f"the desktops have no {name.split('_')[0]}, so nothing can be a multiple of it"
            raise ParameterError("workload.name", scenario.workload.name, allowed, "Ask about a pool that works.")
    return Design(tuple(one.name for one in moved), levels, usual, points, np.log(found / found[:, :1]))


def _from(progress: Callable[[int], None], done: int) -> Callable[[int, int], None]:
    return lambda part, _: progress(done + part)


def cube(coordinates: int, points: int, seed: int, what: str) -> Floats:
    """Seeded Latin hypercube that leaves no large gaps: (coordinates, points). [1]"""
    from scipy.stats import qmc

    rng = generator(seed, 0, POOL, f"pool:sensitivity-{what}")
    made = qmc.LatinHypercube(coordinates, optimization="random-cd", seed=rng)
    return np.ascontiguousarray(made.random(points).T)


def _responses(sample: PoolSample) -> Floats:
    """Mean growth of a clone's files, and I/Os and bytes of the worst minute, mean over replicates."""
    growth = (sample.final - sample.start).mean()
    worst = np.stack([part.demand[:, -1].max(axis=0) for part in sample.worst])
    return np.array([growth, worst[:, :2].sum(axis=1).mean(), worst[:, 2:4].sum(axis=1).mean()], np.float64)
