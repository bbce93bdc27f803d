"""How many clones one LUN takes, and what stops it from taking more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.planning.array_load import array_load, over_luns, worst_minute, worst_of
from clonesim.planning.classic_rules import Simulated, classic_rules
from clonesim.planning.limits import Limits, limits_of
from clonesim.planning.pool_sample import REPLICATES, PoolSample, check_sample, sample_pool
from clonesim.planning.space_risk import fixed_bytes, space_risk
from clonesim.planning.storm_locks import StormLocks, storm_locks, storms_of
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "planning"
CANDIDATES = 100
NOTHING = "clones simulated"
MORE = 1.25  # how far limits would have to move is told for so many times the clones
COLUMNS = ("n", "metric", "value", "low", "high", "limit", "passes", "resolved", "simulated")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Density:
    """How many clones one LUN takes; made by `plan_density`.

    Attributes
    ----------
    frame : DataFrame
        A row per number of clones `n` and `metric`, the name of a limit: `value` with its interval `low` to `high`,
        `limit`, whether the value `passes`, whether the interval lies on one side of the limit (`resolved`), and
        whether it was `simulated` for this n or lies between two that were.
    space : DataFrame
        As `clonesim.planning.space_risk` says, a row per n.
    storms : DataFrame
        Locks at the largest n: a row per kind of storm, as `StormLocks.kinds` says.
    moves : DataFrame
        A row per limit: how far it would have to move for 25 % more clones: `metric`, `limit`, `now` (value at the
        largest n), `then` (value at 25 % more), `factor` (then over limit; at most 1: it need not move); for the
        outage, bytes of a LUN in place of probabilities.
    rules : DataFrame
        What the classic rules say of the same pool.
    largest : int
        Most clones per LUN for which no limit is passed by the best estimate; 0: not even the fewest. [1]
    sure : int
        The same, if all intervals' upper ends count. [1]
    binding : str
        Limit that the next candidate passes; "clones simulated" if none does.
    replicates_needed : float
        Replicates that would tell whether the risk of an outage is kept at the largest n. [1]
    limits : Limits
        What was asked for.
    label : str
        What it rests on.
    """

    frame: pd.DataFrame
    space: pd.DataFrame
    storms: pd.DataFrame
    moves: pd.DataFrame
    rules: pd.DataFrame
    largest: int
    sure: int
    binding: str
    replicates_needed: float
    limits: Limits
    label: str

    @property
    def resolved(self) -> bool:
        """Whether the replicates are enough to hold, or to refute, the risk of an outage at the largest n."""
        return bool(self.at(self.largest, "outage")["resolved"]) if self.largest else True

    def at(self, n: int, metric: str) -> dict[str, Any]:
        """Row of one number of clones and one metric."""
        row = self.frame[(self.frame["n"] == n) & (self.frame["metric"] == metric)]
        if row.empty:
            raise ParameterError("n", n, "no such number of clones, or no such metric, was looked at")
        return dict(row.iloc[0])

    def __repr__(self) -> str:
        return f"<Density: {self.largest} clones per LUN, limited by {self.binding}>"


def plan_density(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    limits: Mapping[str, Any] | Limits | None = None,
    *,
    densities: Sequence[int] | None = None,
    sample: PoolSample | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **overrides: Any,
) -> Density:
    """Find out how many clones one LUN takes.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes. Its clones are the ones that LUNs are dealt from; its LUNs' size and backing, its
        array and its hosts are the ones that are planned with.
    limits : mapping, optional
        What a LUN may come to, where it is not the catalog's: `outage` (risk that it is full before the end of the
        days simulated, which is the time between refreshes), `lock_wait`, `conflicts`, `iops`, `latency`, `queue`,
        `clones`. None switches a limit off.
    densities : sequence of int, optional
        Numbers of clones to look at, ascending; by default a hundred from 1 to all clones. [1]
    sample : PoolSample, optional
        Clones that were simulated before, to plan with other LUNs, arrays or limits; by default they are simulated.
    seed, replicates, executor, processes, progress, **overrides
        As in `simulate`, for the sample.

    Returns
    -------
    Density
        Frame, largest n, binding limit.

    Raises
    ------
    ScenarioError, ParameterError
        If the scenario or a limit cannot be, or the sample is of other desktops.

    Examples
    --------
    >>> plan = plan_density("windows-7-office", {"outage": 0.05}, replicates=60)  # doctest: +SKIP
    >>> plan.largest, plan.binding  # doctest: +SKIP
    """
    given = load_scenario(scenario, **overrides)
    asked = limits_of(given, limits)
    array_load(given, 1)
    if sample is None:
        sample = sample_pool(given, seed, replicates, executor=executor, processes=processes, progress=progress)
    else:
        check_sample(sample, given)
    chosen = _densities(densities, sample.clones, asked.clones)
    return _plan(given, asked, sample, chosen)


def _plan(scenario: Scenario, limits: Limits, sample: PoolSample, densities: list[int]) -> Density:
    usable = int(backing(scenario.luns.backing).limit(scenario.luns.size) * (1.0 - scenario.luns.reserve))
    space = space_risk(sample.size, fixed_bytes(scenario), usable, densities, limits.outage, seed=sample.seed)
    locks = _locks(sample, scenario, limits, densities)
    rows = [*_outage(space, limits), *_clones(densities, limits)]
    rows += _array(sample, scenario, limits, densities) + _lock_rows(locks, densities, limits)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["n", "metric"], ignore_index=True)
    largest, binding = largest_within(frame)
    sure, _ = largest_within(frame, "high")
    label = f"{sample.label} LUNs of {usable / 2**30:.0f} GiB beside the reserve."
    frame.attrs |= {"caption": label, "largest": largest, "sure": sure, "binding": binding}
    n = max(largest, densities[0])
    at = space[space["n"] == n].iloc[0]
    return Density(
        frame=frame,
        space=space,
        storms=_nearest(locks, largest).kinds if locks else pd.DataFrame(),
        moves=_moves(frame, space, densities, largest, limits, usable),
        rules=_rules(scenario, sample, space, n, largest),
        largest=largest,
        sure=sure,
        binding=binding,
        replicates_needed=float(at["replicates_needed"]),
        limits=limits,
        label=label,
    )


def _rules(scenario: Scenario, sample: PoolSample, space: pd.DataFrame, n: int, largest: int) -> pd.DataFrame:
    """What the classic rules say of a LUN of n clones."""
    luns = {"clones_per_lun": n, "count": -(-scenario.pool.clones // n)}
    asked = scenario.model_copy(
        update={"luns": scenario.luns.model_copy(update=luns)}
    )  # disks are not for so many LUNs
    load = array_load(scenario, n)
    commands = over_luns(worst_minute(*worst_of(sample, load), load).queue)[0] * load.lun_places / n
    simulated = Simulated.of(sample.size, space, n, largest)
    return classic_rules(asked, simulated, outstanding=commands or None)


def _densities(given: Sequence[int] | None, clones: int, most: int | None = None) -> list[int]:
    if given is None:
        spread = np.concatenate([np.linspace(1, clones, CANDIDATES // 2), np.geomspace(1, clones, CANDIDATES)])
        found = np.unique(np.rint(spread).astype(int))
        keep = np.unique(np.rint(np.linspace(0, found.size - 1, min(CANDIDATES, found.size))).astype(int))
        chosen = found[keep]
        if most is not None and 1 < most < clones:
            chosen[1:-1][np.abs(chosen[1:-1] - most).argmin()] = most  # the vendor's number is a candidate itself
        return [int(n) for n in chosen]
    if not given or any(type(n) is not int or not 1 <= n <= clones for n in given) or list(given) != sorted(set(given)):
        allowed = f"whole numbers in ascending order, from 1 to the {clones} clones simulated, are needed"
        raise ParameterError("densities", list(given)[:10], allowed, "Raise pool.clones to look at more.")
    return list(given)


def _outage(space: pd.DataFrame, limits: Limits) -> Iterator[tuple[Any, ...]]:
    for row in space.to_dict("records"):
        ends = (row["p_outage"], row["p_low"], row["p_high"])
        yield (row["n"], "outage", *ends, limits.outage, row["p_outage"] <= limits.outage, row["resolved"], True)


def _clones(densities: Sequence[int], limits: Limits) -> Iterator[tuple[Any, ...]]:
    if limits.clones is not None:
        yield from ((n, "clones", n, n, n, limits.clones, n <= limits.clones, True, True) for n in densities)


def _array(sample: PoolSample, scenario: Scenario, limits: Limits, densities: Sequence[int]) -> list[tuple[Any, ...]]:
    rows = []
    for n in densities:
        load = array_load(scenario, n)
        worst = worst_minute(*worst_of(sample, load), load)
        figures = {"iops": worst.utilisation, "latency": worst.latency_p95_s, "queue": worst.queue}
        for metric, values in figures.items():
            limit = getattr(limits, metric)
            if limit is not None:
                value, low, high = over_luns(values)
                rows.append((n, metric, value, low, high, limit, value <= limit, _aside(low, high, limit), True))
    return rows


def _locks(sample: PoolSample, scenario: Scenario, limits: Limits, densities: Sequence[int]) -> list[StormLocks]:
    if limits.lock_wait is None and limits.conflicts is None:
        return []
    count = min(catalog.value(TOPIC, "locks.densities"), len(densities))
    places = np.unique(np.rint(np.linspace(0, len(densities) - 1, count)).astype(int))
    storms = storms_of(sample, range(min(sample.replicates, catalog.value(TOPIC, "locks.replicates"))))
    return [storm_locks(sample, scenario, array_load(scenario, densities[place]), storms) for place in places.tolist()]


def _lock_rows(locks: Sequence[StormLocks], densities: Sequence[int], limits: Limits) -> list[tuple[Any, ...]]:
    rows = []
    at = [one.n for one in locks]
    for metric, name in (("lock_wait", "wait_p99_s"), ("conflicts", "conflicts_max60")):
        limit = getattr(limits, metric)
        if limit is None or not locks:
            continue
        table = np.maximum.accumulate(np.stack([getattr(one, name) for one in locks]))  # more clones never wait less
        for n in densities:
            value, low, high = (_between(n, at, table[:, k]) for k in range(3))
            passes, sides = value <= limit, _aside(low, high, limit)
            rows.append((n, metric, value, low, high, limit, passes, sides, n in at))
    return rows


def _between(n: int, at: Sequence[int], values: Floats) -> float:
    """Linear between two numbers of clones; infinite as soon as the upper one is."""
    upper = int(np.searchsorted(at, n))
    if upper == len(at) or at[upper] == n or upper == 0:
        return float(values[min(upper, len(at) - 1)])
    if np.isinf(values[upper]):
        return float("inf")
    return float(np.interp(n, at[upper - 1 : upper + 1], values[upper - 1 : upper + 1]))


def _aside(low: float, high: float, limit: float) -> bool:
    return not low <= limit < high


def largest_within(frame: pd.DataFrame, column: str = "value", without: Sequence[str] = ()) -> tuple[int, str]:
    """Most clones that keep all limits, and the limit that the next number of them passes by most.

    Parameters
    ----------
    frame : DataFrame
        As `Density.frame`.
    column : str, default "value"
        What must not be above the limit.
    without : sequence of str
        Metrics that do not count.

    Returns
    -------
    int, str
        0 if no number keeps them; "clones simulated" if the largest one does. Fewer clones may pass a limit that more
        of them keep: fewer LUNs have fewer base images, which fit into the array's cache.
    """
    counts = frame[~frame["metric"].isin(without)]
    over = counts[counts[column] > counts["limit"]]
    numbers = np.sort(frame["n"].unique())
    kept = numbers[~np.isin(numbers, over["n"].to_numpy())]
    largest = int(kept[-1]) if kept.size else 0
    above = over[over["n"] == numbers[numbers > largest].min(initial=np.iinfo(np.int64).max)]
    if above.empty:
        return largest, NOTHING
    by = (above[column] / above["limit"].clip(lower=1e-300)).to_numpy()
    return largest, str(above["metric"].iloc[int(by.argmax())])


def _nearest(locks: Sequence[StormLocks], n: int) -> StormLocks:
    """Of the largest number of clones that is at most n, or the fewest."""
    return max((one for one in locks if one.n <= n), key=lambda one: one.n, default=locks[0])


def _moves(
    frame: pd.DataFrame, space: pd.DataFrame, densities: Sequence[int], largest: int, limits: Limits, usable: int
) -> pd.DataFrame:
    now, wanted = max(largest, densities[0]), int(np.ceil(max(largest, densities[0]) * MORE))
    then = next((n for n in densities if n >= wanted), densities[-1])
    rows = []
    for metric in limits.names:
        part = frame[frame["metric"] == metric].set_index("n")["value"]
        if metric == "outage":
            need = space.set_index("n")["needed_bytes"]
            rows.append(("LUN size", float(usable), float(need[now]), float(need[then]), need[then] / usable))
        elif metric in set(frame["metric"]):
            limit = float(getattr(limits, metric))
            factor = float(part[then]) / limit if limit else np.inf if part[then] else 0.0
            rows.append((metric, limit, float(part[now]), float(part[then]), factor))
    found = pd.DataFrame(rows, columns=["metric", "limit", "now", "then", "factor"])
    found.attrs |= {"now": now, "then": then}
    return found
