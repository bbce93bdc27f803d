"""Small pools that measurements are compared with: what is supposed beforehand, what they cost, their sizes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim import __version__
from clonesim.errors import ParameterError, nearest
from clonesim.guest import POLICIES
from clonesim.planning.assumptions import place_of
from clonesim.planning.calibration_looks import TOPIC
from clonesim.planning.resized import resized
from clonesim.planning.sensitivity_design import cube
from clonesim.pool.band import BAND
from clonesim.pool.clones import GROWTH, forget
from clonesim.pool.replicates import replicates_of
from clonesim.pool.strategies.layout import OS, effective
from clonesim.pool.workers import results
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

SCALED = ("activity", "patches", "definitions")  # of the topic `size`: what the scale of writes multiplies
NUMBERS = ("scale", "spread")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is supposed before anything is measured.

    Attributes
    ----------
    policies : tuple of str
        Allocation policies, all as likely.
    low, high : (2,) float64 array
        Ends of the scale of writes and of the users' spread.
    middle, sigma : (2,) float64 array
        Median and sigma of their lognormals, which are cut off at the ends.
    """

    policies: tuple[str, ...]
    low: Floats
    high: Floats
    middle: Floats
    sigma: Floats

    def at(self, place: Floats) -> Floats:
        """Scale and spread at places of the unit square: (2, n). [1]"""
        return np.asarray(self.low[:, None] * (self.high / self.low)[:, None] ** place)

    def weight(self, place: Floats) -> Floats:
        """Prior density at places of the unit square, up to a factor: (n,)."""
        away = (np.log(self.at(place)) - np.log(self.middle)[:, None]) / self.sigma[:, None]
        return np.asarray(np.exp(-0.5 * (away**2).sum(axis=0)))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats]:
        """Policies by number, and places of the unit square: (count,) and (2, count)."""
        kept = np.zeros((2, 0))
        while kept.shape[1] < count:
            value = np.log(self.middle)[:, None] + self.sigma[:, None] * rng.standard_normal((2, 2 * count))
            place = (value - np.log(self.low)[:, None]) / np.log(self.high / self.low)[:, None]
            kept = np.concatenate([kept, place[:, ((place >= 0) & (place <= 1)).all(axis=0)]], axis=1)
        return rng.integers(0, len(self.policies), count), kept[:, :count]


def prior_of(scenario: Scenario, policies: Sequence[str] | None = None) -> Prior:
    """What is supposed of a scenario: its own values are the middle.

    Raises
    ------
    ParameterError
        If a policy is unknown, or none is named.
    """
    names = tuple(dict.fromkeys((*BAND, scenario.guest.policy) if policies is None else policies))
    for name in names:
        if name not in POLICIES:
            allowed = f"allowed are {', '.join(map(repr, POLICIES))}"
            raise ParameterError("policies", name, allowed, nearest(name, POLICIES))
    if not names:
        raise ParameterError("policies", [], "at least one policy is needed", "Leave it out for the usual ones.")
    most = float(catalog.value(TOPIC, "prior.scale_most"))
    ends = [1 / most, most]
    for name in SCALED:
        value, (low, high), _ = place_of(scenario, name)
        if value > 0:
            ends = [max(ends[0], low / value), min(ends[1], high / value)]
    middle = max(place_of(scenario, "spread")[0], float(catalog.value(TOPIC, "prior.least_spread")))
    most = float(catalog.value(TOPIC, "prior.spread_most"))
    highest = min(most * middle, place_of(scenario, "spread")[1][1])
    return Prior(
        names,
        np.array([min(ends[0], 0.99), middle / most]),
        np.array([max(ends[1], 1.01), max(highest, 1.01 * middle / most)]),
        np.array([1.0, middle]),
        np.array([catalog.value(TOPIC, f"prior.{name}_sigma") for name in NUMBERS]),
    )


def scaled_tables(scenario: Scenario, policy: str, scale: float, spread: float) -> dict[str, dict[str, Any]]:
    """Tables of the scenario under a policy, with writes scaled, and with another spread of its users."""
    tables: dict[str, dict[str, Any]] = {"guest": {"policy": policy}}
    if policy == "ntfs3g":
        tables["guest"]["discards"] = False
    for name in (*SCALED, "spread"):
        value, (low, high), (table, key) = place_of(scenario, name)
        wanted = min(max(spread if name == "spread" else value * scale, low), high)
        whole = isinstance(getattr(getattr(scenario, table), key), int)
        tables.setdefault(table, {})[key] = round(wanted) if whole else wanted
    return tables


@dataclass(frozen=True, slots=True)
class Cost:
    """What a calibration simulates.

    Attributes
    ----------
    policies, points, clones, days : int
        Pools for each policy, clones of each pool, days of each. [1]
    """

    policies: int
    points: int
    clones: int
    days: int

    @property
    def pools(self) -> int:
        """Pools in all. [1]"""
        return self.policies * self.points

    @property
    def desktop_days(self) -> int:
        """Of all pools. [d]"""
        return self.pools * self.clones * self.days

    @property
    def seconds(self) -> float:
        """Estimate for one process. [s]"""
        own = self.pools * float(catalog.value(TOPIC, "design.pool_time"))
        return self.desktop_days / float(catalog.value(TOPIC, "design.rate")) + own

    @property
    def text(self) -> str:
        """One line to tell before anything is simulated."""
        told = f"{self.pools} pools of {self.clones} clones x {self.days} days"
        return f"{told}: {self.desktop_days:,} desktop-days, about {self.seconds:.0f} s of one process."


def cost_of(policies: int, days: int, clones: int | None, points: int | None, budget: float | None) -> Cost:
    """What a calibration of so many days simulates, within a budget of desktop-days.

    Raises
    ------
    ParameterError
        If a number is out of its range, or the budget too small.
    """
    known = catalog.parameters(TOPIC)
    for name, value, low in (("clones", clones, 4), ("points", points, known["design.points"].range[0])):
        high = known[f"design.{name}"].range[1]
        if value is not None and (type(value) is not int or not low <= value <= high):
            raise ParameterError(name, value, f"a whole number from {low} to {high} is needed", "Leave it out.")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, (int, float)) or not budget > 0):
        raise ParameterError("budget", budget, "a number of desktop-days is needed", "Leave it out for the usual one.")
    count = points or catalog.value(TOPIC, "design.points")
    most = float(catalog.value(TOPIC, "design.budget") if budget is None else budget)
    fit = int(most // (policies * count * days)) if math.isfinite(most) else 10**6
    asked = clones or min(catalog.value(TOPIC, "design.clones"), fit)
    if asked > fit or asked < (4 if clones else catalog.value(TOPIC, "design.least_clones")):
        least = Cost(policies, count, clones or catalog.value(TOPIC, "design.least_clones"), days)
        remedy = "Raise it, look less far ahead (ahead), or name fewer policies."
        raise ParameterError("budget", most, f"{least.text[:-1]} are needed at least", remedy)
    return Cost(policies, count, asked, days)


@dataclass(frozen=True, slots=True)
class Design:
    """Small pools that were simulated; made by `simulated`.

    Attributes
    ----------
    prior : Prior
        Policies and ends.
    cost : Cost
        How many pools, clones and days.
    place : (2, policies x points) float64 array
        Where in the unit square of scale and spread they lie, policy by policy. [1]
    size : (policies x points, clones, days) float64 array
        Deltas at the end of each day. [B]
    key : str
        Hash of what was simulated: scenario, seed, cost, version.
    """

    prior: Prior
    cost: Cost
    place: Floats
    size: Floats
    key: str

    @property
    def policy(self) -> NDArray[np.int64]:
        """Number of each pool's policy."""
        return np.repeat(np.arange(self.cost.policies), self.cost.points)

    def at(self, age: Floats) -> Floats:
        """Sizes of all clones at some ages from a day up: (pools, clones, ages). [B]"""
        return sizes_at(self.size, age)


def sizes_at(size: Floats, age: Floats) -> Floats:
    """Sizes (..., days) at the ends of days, at some ages from a day up: (..., ages). [B]"""
    place = np.clip(age, 1.0, size.shape[-1]) - 1.0
    low = np.minimum(place.astype(np.int64), size.shape[-1] - 1)
    high = np.minimum(low + 1, size.shape[-1] - 1)
    share = place - low
    return np.asarray(size[..., low] * (1 - share) + size[..., high] * share)


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool to be simulated."""

    scenario: Scenario
    seed: int


def run_pool(pool: Pool) -> NDArray[np.int64]:
    """Sizes of the system disks' deltas at the end of each day: (clones, days). [B]"""
    (one,) = replicates_of(effective(pool.scenario), pool.seed, 1, None)
    found = np.zeros((pool.scenario.pool.clones, pool.scenario.pool.days), np.int64)
    for batch in one.batches:
        found[list(batch.job.clones)] = batch.growth[:, OS, :, GROWTH.index("delta_bytes")]
    forget()
    return found


def small_pool(scenario: Scenario, clones: int, days: int, start: Any = None) -> Scenario:
    """The scenario with few clones on one LUN from the day on which they were made, without storms of other days.

    Raises
    ------
    ParameterError
        If it has strategies: clones must keep what they write.
    """
    if scenario.strategy:
        names = ", ".join(choice.name for choice in scenario.strategy)
        allowed = "a calibration needs clones that keep what they write"
        raise ParameterError("strategy", names, allowed, "Leave strategies out, and add them to the result.")
    first = scenario.pool.start if start is None else start
    storms = scenario.storms
    inside = {
        name: [when for when in getattr(storms, name) if 0 <= (when - first).days < days]
        for name in ("host_failures", "maintenance")
    }
    given: dict[str, Any] = {name: kept for name, kept in inside.items() if kept or getattr(storms, name)}
    if storms.feature_update is not None and not 0 <= (storms.feature_update - first).days < days:
        given["feature_update"] = None
    began = load_scenario(scenario, pool={"start": first, "days": days}, storms=given)
    return resized(began, clones, luns=1)


def simulated(
    scenario: Scenario,
    prior: Prior,
    cost: Cost,
    seed: int,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Design:
    """Simulate pools of a seeded Latin hypercube; each has users and storms of its own, the same for all policies.

    Parameters
    ----------
    scenario : Scenario
        Made by `small_pool`.
    prior : Prior
        Policies and ends.
    cost : Cost
        How many pools.
    seed : int
        Key of every draw.
    executor : Executor, optional
        Where; by default in this process.
    progress : callable, optional
        Called with the desktop-days done and in all.
    """
    place = np.tile(cube(2, cost.points, seed, "calibration"), cost.policies)
    value = prior.at(place)
    names = np.repeat(np.array(prior.policies, object), cost.points)
    own = np.tile(np.random.SeedSequence([seed, 8]).generate_state(cost.points), cost.policies)
    pools = [
        Pool(load_scenario(scenario, **scaled_tables(scenario, str(names[k]), *value[:, k].tolist())), int(own[k]))
        for k in range(cost.pools)
    ]
    size = np.empty((cost.pools, cost.clones, cost.days))
    for k, found in results(executor, run_pool, pools, [cost.clones * cost.days] * cost.pools, progress):
        size[k] = found
    return Design(prior, cost, place, size, key_of(scenario, prior, cost, seed))


def key_of(scenario: Scenario, prior: Prior, cost: Cost, seed: int) -> str:
    """Hash of what a design simulates."""
    told = [scenario.to_dict(), prior.policies, prior.low.tolist(), prior.high.tolist(), seed, __version__]
    told += [cost.points, cost.clones, cost.days]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
