"""A pool of desktops, simulated block by block: timeline, clones, LUNs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clonesim.errors import ParameterError
from clonesim.pool.clones import DEMAND, Batch, Ints, Job, activity_of, no_demand, run_job
from clonesim.pool.frames import growth_frame, halts_frame, increments_frame, sources_frame
from clonesim.pool.luns import LunResult, check_start, run_lun
from clonesim.pool.run import Run, joined
from clonesim.pool.timeline import Timeline
from clonesim.pool.workers import results, workers
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

CLONES_A_JOB = 16  # at most; fewer in small pools, so that no worker waits long for the last one
LEAST_JOBS = 48
NOTHING = np.zeros((0, len(DEMAND)), np.int64)
MOST_REPLICATES = 10_000
MOST_PROCESSES = 1024


def simulate(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    seed: int = 0,
    replicates: int = 1,
    executor: Executor | None = None,
    out: str | Path | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **overrides: Any,
) -> Run:
    """Simulate every clone of a pool, and the datastores that they share.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes.
    seed : int, default 0
        Key of every draw; the same scenario and seed give the same bytes, however the work is shared out.
    replicates : int, default 1
        How often everything is drawn anew: users, patches, storms. [1]
    executor : Executor, optional
        Any `concurrent.futures` executor, such as `dask.distributed.Client(...).get_executor()`.
    out : path, optional
        Folder for Parquet tables and `run.json`.
    processes : int, optional
        Processes to start if no executor is given; by default one per core where that pays, 1 for none. Scripts that
        ask for several need the usual ``if __name__ == "__main__":``.
    progress : callable, optional
        Called with the desktop-days done and in all.
    **overrides
        Tables in place of the scenario's, such as `pool={"clones": 100}`.

    Returns
    -------
    Run
        Frames and summary.

    Raises
    ------
    ScenarioError, ParameterError
        If the scenario cannot be; nothing has been simulated then.

    Examples
    --------
    >>> run = simulate("windows-11-office", pool={"clones": 4, "days": 2})  # doctest: +SKIP
    >>> run.growth["delta_bytes"].max()  # doctest: +SKIP
    """
    given = scenario if isinstance(scenario, Scenario) and not overrides else load_scenario(scenario, **overrides)
    check_asked(seed, replicates, processes)
    timelines = [Timeline.of(given, seed, replicate) for replicate in range(replicates)]
    check_start(given, timelines[0].lun)
    jobs = [job for replicate in range(replicates) for job in _jobs(given, seed, replicate, timelines[replicate])]
    days = given.pool.days
    total = replicates * given.pool.clones * days
    batches: list[Batch | None] = [None] * len(jobs)
    demand = {(r, lun): no_demand(days) for r in range(replicates) for lun in range(given.luns.count)}
    work = [len(job.clones) * days for job in jobs]
    with workers(executor, total, processes) as pool:
        for k, batch in results(pool, run_job, jobs, work, progress):
            demand[batch.job.replicate, batch.job.lun] += batch.demand
            batches[k] = replace(batch, demand=NOTHING)
    run = _run(given, seed, timelines, [batch for batch in batches if batch is not None], demand)
    if out is not None:
        run.save(out)
    return run


def _jobs(scenario: Scenario, seed: int, replicate: int, timeline: Timeline) -> list[Job]:
    """Clones LUN by LUN, a few at a time."""
    found: list[Job] = []
    most = max(1, min(CLONES_A_JOB, scenario.pool.clones // LEAST_JOBS))
    for lun in range(scenario.luns.count):
        clones = (timeline.lun == lun).nonzero()[0].tolist()
        parts = (tuple(clones[k : k + most]) for k in range(0, len(clones), most))
        found += [Job(scenario, seed, replicate, lun, part) for part in parts]
    return found


def _run(
    scenario: Scenario,
    seed: int,
    timelines: list[Timeline],
    batches: list[Batch],
    demand: Mapping[tuple[int, int], Ints],
) -> Run:
    by_lun: dict[tuple[int, int], list[Batch]] = {}
    for batch in batches:
        by_lun.setdefault((batch.job.replicate, batch.job.lun), []).append(batch)
    where = [(replicate, lun) for replicate in range(len(timelines)) for lun in range(scenario.luns.count)]
    luns: list[LunResult] = [
        run_lun(scenario, lun, rep, by_lun.get((rep, lun), []), demand[rep, lun]) for rep, lun in where
    ]
    return Run(
        scenario=scenario,
        seed=seed,
        replicates=len(timelines),
        growth=growth_frame(batches, timelines, luns),
        increments=increments_frame(luns),
        sources=sources_frame(batches, activity_of(scenario).names),
        luns=joined([lun.hours for lun in luns]),
        peaks=joined([lun.peaks for lun in luns]),
        halts=halts_frame(luns),
        fills=tuple(lun.fill for lun in luns),
        fixed=luns[0].fixed,
        refused_operations=int(sum(int(batch.refused.sum()) for batch in batches)),
        refused_logons=sum(t.refused_too_many + t.refused_no_seat for t in timelines),
    )


def check_asked(seed: int, replicates: int, processes: int | None) -> None:
    """Refuse a seed, a number of replicates or of processes that is no whole number in its range."""
    asked = [("seed", seed, 0, 2**63 - 1), ("replicates", replicates, 1, MOST_REPLICATES)]
    asked += [] if processes is None else [("processes", processes, 1, MOST_PROCESSES)]
    for name, value, least, most in asked:
        if type(value) is not int or not least <= value <= most:
            raise ParameterError(name, value, f"a whole number from {least} to {most} is needed")
