"""The first two stages, replicate by replicate: the timeline, and every clone alone against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clonesim.pool.clones import DEMAND, Batch, Job, no_demand, run_job
from clonesim.pool.decisions import next_decisions, waits_for_sizes
from clonesim.pool.parts import Parts
from clonesim.pool.strategies.resets import Decision
from clonesim.pool.timeline import Timeline
from clonesim.pool.workers import results
from clonesim.scenario.model import Scenario

CLONES_A_JOB = 16  # at most; fewer in small pools, so that no worker waits long for the last one
LEAST_JOBS = 48
LEAST_GROUPS = 12  # of each replicate: plans know worst minutes of whole groups only
NOTHING = np.zeros((0, len(DEMAND)), np.int64)
RESTARTED = ("down_s", "start_s", "boot_s", "up_s", "cause")


@dataclass(frozen=True, slots=True)
class Replicate:
    """One pool, drawn once: what its clones do, before they share datastores.

    Attributes
    ----------
    number : int
        Of the replicate, from 0 up.
    timeline : Timeline
        What happens when.
    batches : tuple of Batch
        All clones, LUN by LUN.
    summed : mapping of int to (minutes, 5) int64 array, default empty
        Demand by LUN that was added up already, and is no longer in the batches.
    """

    number: int
    timeline: Timeline
    batches: tuple[Batch, ...]
    summed: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)

    def on(self, lun: int) -> list[Batch]:
        """Batches with clones that lay on a LUN."""
        return [batch for batch in self.batches if lun in batch.luns]

    def demand(self, lun: int) -> NDArray[np.int64]:
        """I/Os and bytes by minute of the clones of one LUN, all together; (minutes, 5), columns `DEMAND`."""
        total = no_demand(self.timeline.calendar.days)
        if self.summed:
            return self.summed.get(lun, total)
        for batch in self.batches:
            asked = batch.asked(lun)
            if asked is not None:
                total += asked
        return total

    def lighter(self) -> Replicate:
        """The same without demand, by far the largest part."""
        return replace(self, batches=tuple(map(_without_demand, self.batches)), summed={})


def _without_demand(batch: Batch) -> Batch:
    return replace(batch, demand=NOTHING, elsewhere=NOTHING, visited=dict.fromkeys(batch.visited, NOTHING))


def replicates_of(
    scenario: Scenario,
    seed: int,
    count: int,
    executor: Executor | None,
    progress: Callable[[int, int], None] | None = None,
    parts: Parts | None = None,
    start: int = 0,
    add_up: bool = False,
) -> Iterator[Replicate]:
    """Simulate the clones of some replicates; each is handed out when its last clone is done, in any order.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    seed : int
        Key of every draw.
    count : int
        Replicates, numbered from `start` up. [1]
    executor : Executor or None
        Where the clones are simulated; None: in this process.
    progress : callable, optional
        Called with the desktop-days done and in all.
    parts : Parts, optional
        Where finished batches are kept: workers write them there, and this process holds one replicate's at a time.
    start : int, default 0
        Number of the first one: each replicate is the same whatever others are asked for. [1]
    add_up : bool, default False
        Add up the demand of batches as they come, LUN by LUN, and keep that only: an eighth of the memory of large
        pools. Not of pools whose clones are simulated again after a decision.

    Raises
    ------
    ParameterError
        If users or clones do not find a place; nothing has been simulated then.
    """
    timelines = [Timeline.of(scenario, seed, start + place) for place in range(count)]
    per_replicate = [_jobs(scenario, seed, line.replicate, line, count) for line in timelines]
    jobs = [job for part in per_replicate for job in part]
    first = np.cumsum([0, *map(len, per_replicate)])
    if parts is not None:
        asked = scenario.pool
        begun = {"desktops": asked.clones, "days": asked.days, "replicates": count, "seed": seed, "parts": len(jobs)}
        parts.begin(begun)
    got: list[dict[int, Batch]] = [{} for _ in range(count)]
    sums: list[dict[int, NDArray[np.int64]]] = [{} for _ in range(count)]
    work = [len(job.clones) * scenario.pool.days for job in jobs]
    decides = waits_for_sizes(scenario)
    for k, batch in batches_of(executor, jobs, parts, work, progress):
        number = jobs[k].replicate - start
        if add_up and not decides:
            batch = _added(sums[number], batch)
        got[number][k - int(first[number])] = batch
        if len(got[number]) == len(per_replicate[number]):
            done, got[number] = got[number], {}
            batches, summed = tuple(done[place] for place in sorted(done)), sums[number]
            sums[number] = {}
            one = Replicate(start + number, timelines[number], batches, summed)
            yield _settled(scenario, one, executor, parts) if decides else one


def _added(sums: dict[int, NDArray[np.int64]], batch: Batch) -> Batch:
    """Add a batch's demand to the sums by LUN; the batch without it."""
    for lun in batch.luns:
        asked = batch.asked(lun)
        if asked is not None:
            sums[lun] = sums[lun] + asked if lun in sums else asked
    return _without_demand(batch)


def batches_of(
    executor: Executor | None,
    jobs: Sequence[Job],
    parts: Parts | None = None,
    work: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Batch]]:
    """Batches of jobs with their positions, as they get done; with `parts`, workers write them and we read them."""
    if parts is None:
        yield from results(executor, run_job, jobs, work, progress)
        return
    for k, _ in results(executor, parts.run, jobs, work, progress):
        yield k, parts.batch(jobs[k])


def settled(scenario: Scenario, one: Replicate, executor: Executor | None) -> Replicate:
    """A replicate of a scenario, made of one that was simulated without its rebalances.

    Parameters
    ----------
    scenario : Scenario
        With rebalances, or as it was simulated.
    one : Replicate
        What came out without them.
    executor : Executor or None
        Where clones are simulated that are moved.
    """
    if one.batches[0].job.scenario == scenario:
        return one
    one = replace(one, timeline=Timeline.of(scenario, one.timeline.seed, one.number))
    return _settled(scenario, one, executor) if waits_for_sizes(scenario) else one


def _settled(scenario: Scenario, one: Replicate, executor: Executor | None, parts: Parts | None = None) -> Replicate:
    """Simulate again, round by round, the clones that something was decided on, until nothing is left to decide."""
    decided: tuple[Decision, ...] = ()
    while more := next_decisions(scenario, one.timeline, one.batches, decided):
        decided += tuple(more)
        line = Timeline.of(scenario, one.timeline.seed, one.number, decided)
        batches = list(one.batches)
        again = [k for k, batch in enumerate(batches) if any(_changed(one.timeline, line, c) for c in batch.job.clones)]
        jobs = [replace(batches[k].job, scenario=scenario, decided=decided) for k in again]
        for k, batch in batches_of(executor, jobs, parts):
            batches[again[k]] = batch
        one = Replicate(one.number, line, tuple(batches))
    return one


def _changed(before: Timeline, after: Timeline, clone: int) -> bool:
    """Whether a clone is restarted at other times, or lies elsewhere."""
    one, other = (line.restarts.of_clone(clone) for line in (before, after))
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in RESTARTED)
    moves = zip(before.moves(clone), after.moves(clone), strict=True)
    return not (same and all(np.array_equal(was, is_now) for was, is_now in moves))


def _jobs(scenario: Scenario, seed: int, replicate: int, timeline: Timeline, count: int) -> list[Job]:
    """Clones LUN by LUN, a few at a time."""
    found: list[Job] = []
    clones = scenario.pool.clones
    most = max(1, min(CLONES_A_JOB, clones * count // LEAST_JOBS, clones // LEAST_GROUPS))
    for lun in range(scenario.luns.count):
        mine = (timeline.lun == lun).nonzero()[0].tolist()
        parts = (tuple(mine[k : k + most]) for k in range(0, len(mine), most))
        found += [Job(scenario, seed, replicate, lun, part) for part in parts]
    return found
