"""Waits for the lock of LUNs of n clones in the storms of a sampled pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.keys import POOL, generator
from clonesim.lun.intervals import quantile
from clonesim.lun.lock_traffic import LockTraffic, lock_traffic
from clonesim.lun.operations import Operations
from clonesim.planning.array_load import ArrayLoad
from clonesim.planning.lock_waits import VirtualWaits, growth, inside, virtual_waits
from clonesim.planning.pool_sample import PoolSample
from clonesim.planning.storm_windows import storm_windows
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

TOPIC = "planning"
SHARE = 0.99
RESAMPLES = 1000
AT_ONCE = 50  # of them that are counted together

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StormLocks:
    """Locks of LUNs of n clones; made by `storm_locks`.

    Attributes
    ----------
    n : int
        Clones of the LUN. [1]
    kinds : DataFrame
        A row per kind of storm: `kind`, `windows` looked at [1], `hours` of them [h], `requests` [1], `wait_p50_s`,
        `wait_p99_s` at a random moment [s], `conflicts_per_s` on average and in the worst minute
        (`conflicts_max60`) [1/s], `failed` requests [1].
    worst : str
        Kind with the longest 99th percentile.
    wait_p99_s, conflicts_max60 : (3,) float64 array
        Of the worst kind: value, and the ends of its interval over replicates. [s, 1/s]
    """

    n: int
    kinds: pd.DataFrame
    worst: str
    wait_p99_s: Floats
    conflicts_max60: Floats


@dataclass(frozen=True, slots=True)
class Storms:
    """Windows of one replicate, and all that takes a lock in them."""

    windows: Mapping[str, Floats]
    operations: Operations
    minutes: NDArray[np.int64]
    place: NDArray[np.int64]  # of each minute of the run in `minutes`


def storms_of(sample: PoolSample, replicates: Sequence[int]) -> list[Storms]:
    """Some storms of each kind of some replicates, with what happens in them."""
    return [_storms(sample, replicate) for replicate in replicates]


def storm_locks(sample: PoolSample, scenario: Scenario, load: ArrayLoad, storms: Sequence[Storms]) -> StormLocks:
    """Simulate the lock of a LUN of n clones in each replicate's storms.

    Parameters
    ----------
    sample : PoolSample
        What the clones do.
    scenario : Scenario
        Its tables luns and hosts say what the lock is like.
    load : ArrayLoad
        How many clones lie on a LUN, and how the array answers.
    storms : sequence of Storms
        Of the first replicates.
    """
    probes = catalog.value(TOPIC, "locks.probes")
    found: list[dict[str, VirtualWaits]] = []
    for replicate, storm in enumerate(storms):
        rng = generator(sample.seed, replicate, load.n, "pool:lock-lun")
        mine = np.zeros(sample.clones, bool)
        mine[rng.permutation(sample.clones)[: load.n]] = True
        locks = locks_of(scenario, sample.seed, replicate)
        demand = sample.demand[replicate][storm.minutes] * load.together // sample.clones
        seconds = load.mean_s(demand) if storm.minutes.size else np.zeros(1)
        found.append(
            virtual_waits(
                storm.operations.take(mine[storm.operations.clone]),
                storm.windows,
                locks,
                scenario.hosts.count,
                partial(_at, seconds, storm.place),
                probes,
                sample.seed,
                replicate,
                load.n,
            )
        )
    return _summary(load.n, storms, found)


def _at(seconds: Floats, place: NDArray[np.int64], minute: NDArray[np.int64]) -> Floats:
    return seconds[place[minute]]


def locks_of(scenario: Scenario, seed: int, replicate: int, lun: int = 0) -> LockTraffic:
    """Lock of a scenario's LUNs."""
    luns = scenario.luns
    return lock_traffic(luns.backing, luns.locking, luns.locks, seed, replicate, lun)


def _storms(sample: PoolSample, replicate: int) -> Storms:
    rng = generator(sample.seed, replicate, POOL, "pool:lock-windows")
    timeline, steps = sample.timelines[replicate], sample.steps[replicate]
    windows = {kind: _some(spans, rng) for kind, spans in storm_windows(timeline).items()}
    operations = Operations.of(growth(steps.time_s, steps.clone, steps.host), timeline.operations)
    chosen = np.zeros(operations.time_s.size, bool)
    minutes = np.zeros(sample.demand.shape[1], bool)
    for spans in windows.values():
        chosen |= inside(operations.time_s, spans)
        for start, end in spans:
            minutes[int(start // 60) : int(np.ceil(end / 60))] = True
    return Storms(windows, operations.take(chosen), np.flatnonzero(minutes), np.cumsum(minutes) - 1)


def _some(spans: Floats, rng: np.random.Generator) -> Floats:
    """Some of the windows at random, and of long ones a random piece."""
    most, longest = catalog.value(TOPIC, "locks.windows"), catalog.value(TOPIC, "locks.window")
    chosen = np.sort(rng.permutation(len(spans))[:most])
    found = spans[chosen].copy()
    spare = np.maximum(found[:, 1] - found[:, 0] - longest, 0.0)
    found[:, 0] += rng.random(len(found)) * spare
    found[:, 1] = np.minimum(found[:, 1], found[:, 0] + longest)
    return found


def _summary(n: int, storms: Sequence[Storms], found: Sequence[Mapping[str, VirtualWaits]]) -> StormLocks:
    kinds = list(dict.fromkeys(kind for part in found for kind in part))
    parts = {kind: [part[kind] for part in found if kind in part] for kind in kinds}
    rows = []
    for kind, some in parts.items():
        waits, seconds = np.concatenate([one.wait_s for one in some]), sum(one.length_s for one in some)
        rows.append(
            {
                "kind": kind,
                "windows": sum(len(one.windows[kind]) for one in storms if kind in one.windows),
                "hours": seconds / 3600.0,
                "requests": sum(one.requests for one in some),
                "wait_p50_s": quantile(waits, 0.5),
                "wait_p99_s": quantile(waits, SHARE),
                "conflicts_per_s": sum(one.conflicts for one in some) / seconds,
                "conflicts_max60": max(one.worst_minute for one in some) / 60.0,
                "failed": sum(one.failed for one in some),
            }
        )
    frame = pd.DataFrame(rows).sort_values(["wait_p99_s", "requests"], ascending=False, ignore_index=True)
    worst = str(frame["kind"].iloc[0])
    return StormLocks(n, frame, worst, _interval(parts[worst]), _worst_minutes(found))


def _interval(some: Sequence[VirtualWaits]) -> Floats:
    """99th percentile of all probes, with an interval that draws replicates anew and then their probes."""
    rng = np.random.default_rng(np.random.SeedSequence([len(some), some[0].wait_s.size]))
    table = np.stack([one.wait_s for one in some])
    if (table == table[0, 0]).all():  # mostly: nobody waits
        return np.full(3, table[0, 0])
    values, place = np.unique(table, return_inverse=True)
    place = place.reshape(table.shape)
    drawn = np.empty(RESAMPLES)
    for first in range(0, RESAMPLES, AT_ONCE):
        several = np.empty((min(AT_ONCE, RESAMPLES - first), *table.shape), np.int64)
        for one in several:
            rows = rng.integers(len(some), size=len(some))
            one[:] = place[rows[:, None], rng.integers(table.shape[1], size=table.size).reshape(table.shape)]
        drawn[first : first + len(several)] = values[_ranked(several.reshape(len(several), -1), values.size, SHARE)]
    return np.array([quantile(table.ravel(), SHARE), quantile(drawn, 0.025), quantile(drawn, 0.975)])


def _ranked(rows: NDArray[np.int64], values: int, share: float) -> NDArray[np.int64]:
    """`quantile` of each row of numbers below `values`, by counting: quicker than sorting."""
    rank = max(1, int(np.ceil(share * rows.shape[1] - 1e-9)))
    counts = np.bincount((rows + values * np.arange(len(rows))[:, None]).ravel(), minlength=values * len(rows))
    found: NDArray[np.int64] = (counts.reshape(len(rows), values).cumsum(axis=1) >= rank).argmax(axis=1)
    return found


def _worst_minutes(found: Sequence[Mapping[str, VirtualWaits]]) -> Floats:
    """Most conflicts in a minute: mean over replicates, and between which they lie."""
    each = np.array([max(one.worst_minute for one in part.values()) / 60.0 for part in found])
    return np.array([each.mean(), each.min(), each.max()])
