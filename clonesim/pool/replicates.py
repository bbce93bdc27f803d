"""The first two stages, replicate by replicate: the timeline, and every clone alone against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.pool.clones import Batch, Job, no_demand, run_job
from clonesim.pool.strategies.layout import check_simulated
from clonesim.pool.timeline import Timeline
from clonesim.pool.workers import results
from clonesim.scenario.model import Scenario

CLONES_A_JOB = 16  # at most; fewer in small pools, so that no worker waits long for the last one
LEAST_JOBS = 48


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
    """

    number: int
    timeline: Timeline
    batches: tuple[Batch, ...]

    def on(self, lun: int) -> list[Batch]:
        """Batches of the clones of one LUN."""
        return [batch for batch in self.batches if batch.job.lun == lun]

    def demand(self, lun: int) -> NDArray[np.int64]:
        """I/Os and bytes by minute of the clones of one LUN, all together; (minutes, 5), columns `DEMAND`."""
        total = no_demand(self.timeline.calendar.days)
        for batch in self.on(lun):
            total += batch.demand
        return total


def replicates_of(
    scenario: Scenario,
    seed: int,
    count: int,
    executor: Executor | None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Replicate]:
    """Simulate the clones of some replicates; each is handed out when its last clone is done, in any order.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    seed : int
        Key of every draw.
    count : int
        Replicates, numbered from 0 up. [1]
    executor : Executor or None
        Where the clones are simulated; None: in this process.
    progress : callable, optional
        Called with the desktop-days done and in all.

    Raises
    ------
    ParameterError
        If users or clones do not find a place; nothing has been simulated then.
    """
    check_simulated(scenario)
    timelines = [Timeline.of(scenario, seed, number) for number in range(count)]
    per_replicate = [_jobs(scenario, seed, number, line) for number, line in enumerate(timelines)]
    jobs = [job for part in per_replicate for job in part]
    first = np.cumsum([0, *map(len, per_replicate)])
    got: list[dict[int, Batch]] = [{} for _ in range(count)]
    work = [len(job.clones) * scenario.pool.days for job in jobs]
    for k, batch in results(executor, run_job, jobs, work, progress):
        number = batch.job.replicate
        got[number][k - int(first[number])] = batch
        if len(got[number]) == len(per_replicate[number]):
            done, got[number] = got[number], {}
            yield Replicate(number, timelines[number], tuple(done[place] for place in sorted(done)))


def _jobs(scenario: Scenario, seed: int, replicate: int, timeline: Timeline) -> list[Job]:
    """Clones LUN by LUN, a few at a time."""
    found: list[Job] = []
    most = max(1, min(CLONES_A_JOB, scenario.pool.clones // LEAST_JOBS))
    for lun in range(scenario.luns.count):
        clones = (timeline.lun == lun).nonzero()[0].tolist()
        parts = (tuple(clones[k : k + most]) for k in range(0, len(clones), most))
        found += [Job(scenario, seed, replicate, lun, part) for part in parts]
    return found
