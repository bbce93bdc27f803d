"""A pool of desktops, simulated block by block: timeline, clones, LUNs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from clonesim.errors import ParameterError
from clonesim.pool.clones import activity_of
from clonesim.pool.frames import growth_frame, halts_frame, increments_frame, sources_frame
from clonesim.pool.luns import LunResult, run_luns
from clonesim.pool.parts import Parts
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.run import Run, joined
from clonesim.pool.space import check_start
from clonesim.pool.store import Store
from clonesim.pool.storm_frame import outage_frame
from clonesim.pool.strategies.layout import effective
from clonesim.pool.timeline import luns_of
from clonesim.pool.workers import workers
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

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
        Folder for Parquet tables and `run.json`, or any address that fsspec knows. Finished batches of clones are
        kept in its folder `parts` until the tables are there, so the same call after an interruption goes on.
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
    WriteError
        If `out` cannot be written, such as on a full disk; what is finished is kept there.

    Examples
    --------
    >>> run = simulate("windows-11-office", pool={"clones": 4, "days": 2})  # doctest: +SKIP
    >>> run.growth["delta_bytes"].max()  # doctest: +SKIP
    """
    given = load_scenario(scenario, **overrides)
    check_asked(seed, replicates, processes)
    total = replicates * given.pool.clones * given.pool.days
    with workers(executor, total, processes) as pool:
        run = simulated(given, seed, replicates, pool, progress, None if out is None else Store(out))
    if out is not None:
        with kept(run, Store(out)):
            run.save(out)
    return run


def simulated(
    scenario: Scenario,
    seed: int,
    replicates: int,
    executor: Executor | None,
    progress: Callable[[int, int], None] | None = None,
    store: Store | None = None,
    start: int = 0,
) -> Run:
    """Simulate replicates of a pool from the number `start` on.

    Finished batches of clones are kept in a store, if there is one, until `kept` removes them.
    """
    given = effective(scenario)
    check_start(given, luns_of(given))
    parts = None if store is None else Parts.of(store, given, seed)
    found: list[tuple[Replicate, list[LunResult]] | None] = [None] * replicates
    with nullcontext() if parts is None else parts.told():
        for one in replicates_of(given, seed, replicates, executor, progress, parts, start, add_up=True):
            found[one.number - start] = one.lighter(), run_luns(given, one)
    return _run(given, seed, [one for one in found if one is not None])


@contextmanager
def kept(run: Run, store: Store) -> Iterator[None]:
    """While a run's tables are saved: its finished batches are kept until then, and removed afterwards."""
    parts = Parts.of(store, run.scenario, run.seed)
    with parts.told():
        yield
    parts.clear()


def _run(scenario: Scenario, seed: int, parts: Sequence[tuple[Replicate, list[LunResult]]]) -> Run:
    batches = [batch for one, _ in parts for batch in one.batches]
    timelines = [one.timeline for one, _ in parts]
    luns = [lun for _, found in parts for lun in found]
    return Run(
        scenario=scenario,
        seed=seed,
        replicates=len(parts),
        growth=growth_frame(batches, timelines, luns),
        increments=increments_frame(luns),
        sources=sources_frame(batches, activity_of(scenario).names),
        luns=joined([lun.hours for lun in luns]),
        peaks=joined([lun.peaks for lun in luns]),
        halts=halts_frame(luns),
        locks=joined([lun.locks for lun in luns]),
        operations=joined([lun.operations for lun in luns]),
        outages=outage_frame(timelines),
        fills=tuple(lun.fill for lun in luns),
        fixed=luns[0].fixed,
        refused_operations=sum(int(batch.total("refused").sum()) for batch in batches),
        refused_logons=sum(t.refused_too_many + t.refused_no_seat for t in timelines),
    )


def check_asked(seed: int, replicates: int, processes: int | None) -> None:
    """Refuse a seed, a number of replicates or of processes that is no whole number in its range."""
    asked = [("seed", seed, 0, 2**63 - 1), ("replicates", replicates, 1, MOST_REPLICATES)]
    asked += [] if processes is None else [("processes", processes, 1, MOST_PROCESSES)]
    for name, value, least, most in asked:
        if type(value) is not int or not least <= value <= most:
            raise ParameterError(name, value, f"a whole number from {least} to {most} is needed")
