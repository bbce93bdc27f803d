"""What planning rests on: clones of one pool, simulated some times over, before they share any datastore.

A plan asks what would happen if these clones were dealt out to datastores in another way. So a sample keeps what each
clone needs by itself (sizes, growth steps, operations) and what only sums can tell (I/Os by minute).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.guest.presence import DAY_S
from clonesim.keys import POOL, generator
from clonesim.lun.backing import backing
from clonesim.pool.clones import DEMAND, STEPS, Batch, no_demand
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.simulate import check_asked
from clonesim.pool.strategies.layout import effective, on_the_lun
from clonesim.pool.timeline import Timeline
from clonesim.pool.workers import workers
from clonesim.scenario.marks import marks_told
from clonesim.scenario.model import Scenario

REPLICATES = 20
DEALS = 8  # orders in which the groups of clones are added up, per replicate
READS, WRITES = DEMAND.index("reads"), DEMAND.index("writes")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Growth steps of all clones of a replicate, in order of time.

    Attributes
    ----------
    time_s : (n,) float64 array
        When. [s]
    clone : (n,) int64 array
        Whose.
    host : (n,) int32 array
        Where it ran then.
    """

    time_s: Floats
    clone: Ints
    host: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Worst:
    """Worst minute of more and more clones.

    Attributes
    ----------
    clones : (deals, groups) int64 array
        How many clones are together. [1]
    demand : (deals, groups, 5) int64 array
        I/Os and bytes of their worst minute, the one with the most I/Os; columns `DEMAND`.
    """

    clones: Ints
    demand: Ints


@dataclass(frozen=True)
class PoolSample:
    """Clones of a pool, simulated some times over; made by `sample_pool`.

    Attributes
    ----------
    scenario : Scenario
        What was simulated. Its LUNs do not matter: a clone does not know where it lies.
    seed : int
        Key of every draw.
    size : (replicates, clones, days) int64 array
        Most space that each clone's files had allocated on each day. [B]
    start : (replicates, clones) int64 array
        Space of each clone's files at the start. [B]
    steps : tuple of Steps
        By replicate.
    timelines : tuple of Timeline
        By replicate.
    demand : (replicates, minutes, 5) int64 array
        I/Os and bytes by minute of all clones together; columns `DEMAND`.
    worst : tuple of Worst
        By replicate.
    """

    scenario: Scenario
    seed: int
    size: Ints
    start: Ints
    steps: tuple[Steps, ...]
    timelines: tuple[Timeline, ...]
    demand: Ints
    worst: tuple[Worst, ...]

    @property
    def replicates(self) -> int:
        """Pools that were drawn. [1]"""
        return len(self.steps)

    @property
    def clones(self) -> int:
        """Clones of each of them. [1]"""
        return int(self.size.shape[1])

    @cached_property
    def final(self) -> Ints:
        """Most space of each clone over the whole time: (replicates, clones). [B]"""
        peak: Ints = self.size.max(axis=2)
        return peak

    @property
    def label(self) -> str:
        """One line on what the plan rests on."""
        s = self.scenario
        return (
            f"{self.clones} clones x {s.pool.days} days x {self.replicates} replicates of {s.guest.name}, workload "
            f"{s.workload.name} (rates mostly assumed), {s.delta.format} on {s.luns.backing}, allocation policy "
            f"{s.guest.policy} (a hypothesis), {'discards' if s.guest.discards else 'no discards'}; seed {self.seed}."
            f"{marks_told(s.marks)}"
        )


def sample_pool(
    scenario: Scenario,
    seed: int = 0,
    replicates: int = REPLICATES,
    *,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PoolSample:
    """Simulate a pool's clones some times over, and keep what plans need.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    seed : int, default 0
        Key of every draw.
    replicates : int, default 20
        Pools to draw: each has users, patch sizes and storms of its own. [1]
    executor, processes, progress
        As in `simulate`.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    """
    check_asked(seed, replicates, processes)
    scenario = effective(scenario)
    total = replicates * scenario.pool.clones * scenario.pool.days
    parts: list[Part | None] = [None] * replicates
    with workers(executor, total, processes) as pool:
        for one in replicates_of(scenario, seed, replicates, pool, progress):
            parts[one.number] = Part.of(scenario, seed, one)
    return sample_of(scenario, seed, [part for part in parts if part is not None])


def sample_of(scenario: Scenario, seed: int, parts: Sequence[Part]) -> PoolSample:
    """Sample of the parts that were made of a scenario's replicates, in order of these."""
    return PoolSample(
        scenario=scenario,
        seed=seed,
        size=np.stack([part.size for part in parts]),
        start=np.stack([part.start for part in parts]),
        steps=tuple(part.steps for part in parts),
        timelines=tuple(part.timeline for part in parts),
        demand=np.stack([part.demand for part in parts]),
        worst=tuple(part.worst for part in parts),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One replicate of a sample; the attributes are those of `PoolSample`, of one replicate."""

    timeline: Timeline
    size: Ints
    start: Ints
    steps: Steps
    demand: Ints
    worst: Worst

    @classmethod
    def of(cls, scenario: Scenario, seed: int, one: Replicate) -> Self:
        """What a plan needs of a replicate that was simulated."""
        days, clones = scenario.pool.days, one.timeline.clones
        where = backing(scenario.luns.backing)
        size, start = np.zeros((clones, days), np.int64), np.zeros(clones, np.int64)
        here = on_the_lun(scenario)
        batches = tuple(_of_disks(batch, here) for batch in one.batches)
        for batch in batches:
            for clone, first, peak in _peaks(batch, days):
                size[clone], start[clone] = where.allocated(peak), where.allocated(first)
        demand = no_demand(days)
        for batch in batches:
            demand += _demand(batch)
        rng = generator(seed, one.number, POOL, "pool:worst-minute")
        return cls(one.timeline, size, start, _steps(batches), demand, _worst(batches, rng))


def _demand(batch: Batch) -> Ints:
    """What a batch's clones ask of LUNs, wherever they lay."""
    return sum(batch.visited.values(), batch.demand)


def _of_disks(batch: Batch, disks: NDArray[np.int8]) -> Batch:
    """A batch with the growth steps of some of its clones' disks, each clone's in order of time."""
    rows = np.flatnonzero(np.isin(batch.disk, disks))
    rows = rows[np.lexsort((batch.time_s[rows], batch.clone[rows]))]
    columns = {name: getattr(batch, name)[rows] for name in STEPS}
    return replace(batch, **columns)


def _peaks(batch: Batch, days: int) -> Iterator[tuple[int, int, Ints]]:
    """Each clone with its file's first size and its largest size on each day. [B]"""
    edges = np.searchsorted(batch.clone, [*batch.job.clones, batch.job.clones[-1] + 1])
    for clone, low, high in zip(batch.job.clones, edges[:-1], edges[1:], strict=True):
        total = np.cumsum(batch.size[low:high])
        day = np.minimum((batch.time_s[low:high] / DAY_S).astype(np.int64), days - 1)
        last = np.searchsorted(day, np.arange(days), side="right") - 1  # what lies there at the end of each day
        peak = total[last]
        np.maximum(peak[1:], total[last[:-1]], out=peak[1:])
        np.maximum.at(peak, day, total)
        yield clone, int(total[0]), peak


def _steps(batches: tuple[Batch, ...]) -> Steps:
    time_s, clone, host, size = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in ("time_s", "clone", "host", "size")
    )
    grown = (size > 0) & (time_s > 0)
    time_s, clone, host = time_s[grown], clone[grown], host[grown]
    order = np.lexsort((clone, time_s))
    return Steps(time_s[order], clone[order], host[order])


def _worst(batches: tuple[Batch, ...], rng: np.random.Generator) -> Worst:
    """Add up the batches in random orders, and look at the worst minute after each."""
    clones = np.zeros((DEALS, len(batches)), np.int64)
    found = np.zeros((DEALS, len(batches), len(DEMAND)), np.int64)
    each = [_demand(batch) for batch in batches]
    ios = [demand[:, READS] + demand[:, WRITES] for demand in each]
    for deal in range(DEALS):
        order = rng.permutation(len(batches))
        clones[deal] = np.cumsum([len(batches[place].job.clones) for place in order])
        total = np.zeros_like(ios[0])
        for k, place in enumerate(order):
            total += ios[place]
            minute = int(total.argmax())
            found[deal, k] = sum(each[one][minute] for one in order[: k + 1])
    return Worst(clones, found)


def check_sample(sample: PoolSample, scenario: Scenario) -> None:
    """Refuse a sample of other desktops than the scenario's.

    Only tables of datastores, array and hosts may differ; of these, the number of hosts and the backing's allocation
    unit may not, since clones ran on these hosts and their files were counted in whole units.
    """
    for table in ("pool", "users", "guest", "workload", "delta", "storms", "platform", "strategy"):
        if getattr(scenario, table) != getattr(sample.scenario, table):
            _refuse(sample, f"it was made from another table {table}")
    hosts = sample.scenario.hosts.count
    if scenario.hosts.count != hosts:
        _refuse(sample, f"its clones ran on {hosts} hosts")
    where = scenario.luns.backing
    was, is_now = (backing(name).allocation_unit for name in (sample.scenario.luns.backing, where))
    if was != is_now:
        _refuse(sample, f"its files take whole units of {was} B, those on {where} of {is_now} B")


def _refuse(sample: PoolSample, allowed: str) -> None:
    raise ParameterError("sample", sample.label, allowed, "Leave it out, or sample this scenario.")
