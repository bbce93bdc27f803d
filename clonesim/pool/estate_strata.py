"""Which desktops of an estate are looked at, and what is known of a replicate before any is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator
from clonesim.lun.backing import backing
from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.clones import GROWTH, Job, desktop, keep_only, run_job
from clonesim.pool.decisions import waits_for_sizes
from clonesim.pool.seats import users_of
from clonesim.pool.storms import patch_sizes, patches
from clonesim.pool.strategies.layout import effective
from clonesim.pool.timeline import Timeline, luns_of
from clonesim.scenario.estate import Estate, EstatePool
from clonesim.scenario.model import Scenario

DELTA: Final = GROWTH.index("delta_bytes")
QUANTITIES: Final = 2  # of each desktop and day: bytes of its deltas, and what they take on datastores
DRAWS: Final = 20_000  # equal parts of the distribution of a month's patches
DESKTOPS_A_CLONE: Final = 400  # a whole pool's timeline of so many desktops takes as long as simulating one of them
ALONE: Final = 0.06  # and that of a few desktops that depend on no others
CLONES_A_JOB: Final = 16

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SampleJob:
    """Some desktops of one replicate of a pool: a task for a worker.

    Attributes
    ----------
    scenario : Scenario
        Of the pool, with what its strategies change.
    seed, replicate : int
        How it is drawn.
    clones : tuple of int
        Which ones, ascending.
    """

    scenario: Scenario
    seed: int
    replicate: int
    clones: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What became of them.

    Attributes
    ----------
    sizes : (clones, days, 2) int64 array
        Of each desktop at the end of each day: its deltas' files, and what these take on datastores. [B]
    timeline_s, clones_s : float
        Time that it took to draw the pool's timeline, and to simulate the desktops. [s]
    """

    sizes: Ints
    timeline_s: float
    clones_s: float


def run_sample_job(job: SampleJob) -> SampleResult:
    """Simulate some desktops against the whole pool's timeline: they are those of the exact run, byte for byte."""
    keep_only(job.scenario)
    desktop(job.scenario, job.seed)
    began = perf_counter()
    line = Timeline.of(job.scenario, job.seed, job.replicate, only=job.clones)
    drawn = perf_counter()
    clones = np.asarray(job.clones)
    where, lun = backing(job.scenario.luns.backing), line.lun[clones]
    sizes = np.zeros((clones.size, job.scenario.pool.days, QUANTITIES), np.int64)
    for number in np.unique(lun).tolist():
        mine = lun == number
        batch = run_job(Job(job.scenario, job.seed, job.replicate, number, tuple(clones[mine].tolist())), line)
        files = batch.growth[..., DELTA]  # clones, disks, days
        sizes[mine] = np.stack([files.sum(axis=1), where.allocated(files).sum(axis=1)], axis=-1)
    return SampleResult(sizes, drawn - began, perf_counter() - drawn)


@dataclass(frozen=True)
class Stratum:
    """Pools that differ in name and random stream only: what is expected of one is expected of all.

    Attributes
    ----------
    pools : tuple of EstatePool
        All of the same size.
    scenario : Scenario
        Of the first, with what its strategies change.
    """

    pools: tuple[EstatePool, ...]
    scenario: Scenario

    @property
    def name(self) -> str:
        """Name of the first pool."""
        return self.pools[0].name

    @property
    def each(self) -> int:
        """Desktops of each pool. [1]"""
        return self.scenario.pool.clones

    @property
    def size(self) -> int:
        """Desktops of all pools. [1]"""
        return self.each * len(self.pools)

    @property
    def timeline(self) -> float:
        """Cost of a replicate's timeline, in desktops simulated. [1]"""
        return ALONE if users_of(self.scenario, ()) is not None else ALONE + self.each / DESKTOPS_A_CLONE

    @cached_property
    def scenarios(self) -> tuple[Scenario, ...]:
        """Of each pool, with what its strategies change."""
        return tuple(effective(pool.scenario) for pool in self.pools)

    def jobs(self, seed: int, replicate: int, first: int, end: int) -> list[SampleJob]:
        """Tasks for the desktops from place `first` to `end` of a replicate's sample.

        Pools come in an order that is drawn for the replicate, and desktops of each in one that is drawn, too: first
        all of one pool, then all of the next. So a larger sample holds every smaller one, and few timelines are drawn.
        """
        rng = generator(seed, replicate, POOL, f"pool:sample:{self.name}")
        order = rng.permutation(len(self.pools)).tolist()
        most = CLONES_A_JOB if users_of(self.scenario, ()) is not None else self.each
        found = []
        for place in range(-(-end // self.each)):
            clones, before = rng.permutation(self.each), place * self.each
            mine = np.sort(clones[max(first - before, 0) : max(end - before, 0)]).tolist()
            parts = (tuple(mine[k : k + most]) for k in range(0, len(mine), most))
            found += [SampleJob(self.scenarios[order[place]], seed, replicate, part) for part in parts]
        return found

    def patched(self, seed: int, replicate: int) -> Floats:
        """Bytes of patches that a desktop has been given by the end of each day of a replicate; (days,). [B]"""
        times, sizes = patches(self.scenario, self._calendar, seed, replicate)
        return self._by_day(times, sizes.astype(np.float64))

    @cached_property
    def patched_mean(self) -> Floats:
        """Expectation of `patched`; (days,). [B]"""
        times, _ = patches(self.scenario, self._calendar, 0, 0)
        part = (np.arange(DRAWS) + 0.5) / DRAWS
        mean = float(patch_sizes(self.scenario, ndtri(part)).mean()) if times.size else 0.0
        return self._by_day(times, np.full(times.size, mean))

    @property
    def _calendar(self) -> Calendar:
        pool = self.scenario.pool
        return Calendar.of(pool.start, pool.days, pool.time_zone, self.scenario.users.holidays)

    def _by_day(self, times: Floats, sizes: Floats) -> Floats:
        ends = DAY_S * np.arange(1, self.scenario.pool.days + 1)
        window = max(self.scenario.storms.patch_window, 1.0)
        share = np.clip((ends[:, None] - times[None, :]) / window, 0.0, 1.0)
        by_day: Floats = share @ sizes
        return by_day


def strata_of(estate: Estate) -> list[Stratum]:
    """Strata of an estate, in the order of its pools.

    Raises
    ------
    ParameterError
        If a pool decides by the sizes of all its deltas: some of its desktops say nothing of what it decides.
    """
    found = []
    for pools in estate.kinds.values():
        scenario = effective(pools[0].scenario)
        if waits_for_sizes(scenario):
            allowed = f"pool {pools[0].name!r} sets back or moves desktops by the sizes of all its deltas"
            remedy = "Leave out the sample, or that strategy (rebalance, refresh when = share)."
            raise ParameterError("sample", pools[0].name, allowed, remedy)
        luns_of(scenario)
        found.append(Stratum(pools, scenario))
    return found


def totals_of(strata: Sequence[Stratum], pools: Sequence[str]) -> Floats:
    """Desktops of some pools by stratum; (strata,)."""
    wanted = set(pools)
    return np.array([one.each * sum(pool.name in wanted for pool in one.pools) for one in strata], np.float64)
