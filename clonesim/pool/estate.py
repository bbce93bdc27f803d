"""Many pools, simulated one after the other, and rolled up by site, pool and LUN."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clonesim.errors import ParameterError
from clonesim.pool.estate_frames import luns_frame, pools_frame, rolled_up, sizes_frame
from clonesim.pool.estate_pool import PoolSpec, PoolSummary, run_pool
from clonesim.pool.estate_sample import EstateSample, sample_estate
from clonesim.pool.run_files import save_run
from clonesim.pool.simulate import check_asked
from clonesim.pool.space import check_start
from clonesim.pool.store import Store
from clonesim.pool.strategies.layout import effective
from clonesim.pool.timeline import luns_of
from clonesim.pool.workers import results, width, workers
from clonesim.scenario.estate import Estate, EstatePool
from clonesim.scenario.estate_load import load_estate

__all__ = [
    "EstateRun",
    "PoolSpec",
    "PoolSummary",
    "estate_run",
    "estimated_or_whole",
    "run_pool",
    "simulate_estate",
    "specs_of",
]

FRAMES = ("pools", "sites", "luns", "sizes", "total")
POOLS_A_WORKER = 4  # from so many on each worker makes whole pools; below, all share the batches of one pool at a time


@dataclass(frozen=True)
class EstateRun:
    """A simulated estate.

    Attributes
    ----------
    estate : Estate
        What was simulated.
    seed, replicates : int
        How it was drawn; in a replicate all pools share patches and definitions.
    pools : DataFrame
        A row per replicate and pool: `replicate`, `site`, `lun_group`, `pool`, `desktops`; `delta_p50_bytes`,
        `delta_p95_bytes` of a desktop, `delta_total_bytes`, `datastore_total_bytes`, `array_total_bytes` at the end
        [B]; `datastores`, `datastores_full`, `first_full_day` [d], `desktops_down`; `wait_p99_max_s`,
        `lock_wait_max_s`, the worst of any LUN [s]; `iops_max60`, worst minute of a LUN [1/s]; `latency_p95_max_s`,
        `locks_failed`, `refused_logons`, `refused_operations`. Of a sample: a row per pool, columns as `sites`.
    sites : DataFrame
        A row per site, over all replicates: `site`, `pools`, `desktops`; `delta_total_bytes` and
        `datastore_total_bytes` at the end with `_se` (standard error of the expectation), `_low`, `_high` (95 %
        interval) and `_sd` (how much one replicate differs from another) [B]; `datastores`; the worst of any pool and
        replicate: `datastores_full`, `first_full_day`, `desktops_down`, `wait_p99_max_s`, `lock_wait_max_s`,
        `iops_max60`, `latency_p95_max_s`. Errors are missing where there is one replicate.
    luns : DataFrame
        A row per replicate and datastore: `replicate`, `site`, `lun_group`, `pool`, `lun`, `desktops`, `size_bytes`,
        `used_bytes` and `used_share` at the end, `first_full_day`. Without rows for a sample.
    sizes : DataFrame
        A row per site (and "" for all) and day: `site`, `day`, `delta_bytes`, `datastore_bytes`, the mean over
        replicates, with `_se`, `_low`, `_high`. [B]
    total : DataFrame
        One row, columns as `sites`.
    sample : EstateSample or None
        How figures were estimated; None: every desktop was simulated.
    """

    estate: Estate
    seed: int
    replicates: int
    pools: pd.DataFrame
    sites: pd.DataFrame
    luns: pd.DataFrame
    sizes: pd.DataFrame
    total: pd.DataFrame
    sample: EstateSample | None = field(default=None)

    @property
    def label(self) -> str:
        """One line on what was simulated."""
        e = self.estate
        pools = f"{e.clones} desktops x {e.days} days in {len(e.pools)} pools on {len(e.sites)} sites"
        if self.sample is None:
            return f"{e.name}: {pools}, all simulated; seed {self.seed}, replicates {self.replicates}."
        some = f"estimated from {self.sample.clones} desktops in {self.replicates} replicates"
        return f"{e.name}: {pools}, {some}; seed {self.seed}."

    @property
    def summary(self) -> dict[str, Any]:
        """The estate in a few numbers."""
        row = {str(name): _plain(value) for name, value in self.total.iloc[0].items()}
        told = row | {"days": self.estate.days, "replicates": self.replicates}
        return told if self.sample is None else told | {"sample": self.sample.summary}

    def save(self, folder: str | Path, table_format: str = "parquet") -> list[Path]:
        """Write all frames and `run.json` into a folder."""
        tables = {name: getattr(self, name) for name in FRAMES}
        if self.sample is not None:
            tables["plan"] = self.sample.plan
        about = {"estate": self.estate.to_dict(), "seed": self.seed, "replicates": self.replicates}
        return save_run(folder, table_format, tables, about, self.summary)

    def __repr__(self) -> str:
        return f"<EstateRun {self.label}>"


def simulate_estate(
    estate: str | Path | Estate,
    seed: int = 0,
    replicates: int = 1,
    executor: Executor | None = None,
    out: str | Path | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    sample: str | int | None = None,
) -> EstateRun:
    """Simulate all pools of an estate, or a sample of their desktops.

    Parameters
    ----------
    estate : str, Path or Estate
        A TOML file as `load_estate` reads it, or what it made of it.
    seed : int, default 0
        Key of every draw; the same estate and seed give the same bytes, however the work is shared out. Patches and
        definitions are drawn once a replicate for all pools.
    replicates : int, default 1
        How often everything is drawn anew; a sample finds the number itself. [1]
    executor, processes, progress
        As in `simulate`.
    out : path, optional
        Folder for the tables, with those of each pool and replicate in `pools/<name>/replicate-<number>`. The same
        call after an interruption goes on from what is there.
    sample : str or int, optional
        Simulate some desktops only, and estimate the totals: a wished standard error such as "2 %" of the total of all
        deltas at the end, or a number of desktops.

    Returns
    -------
    EstateRun
        Frames by pool, site and LUN.

    Raises
    ------
    EstateError, ScenarioError, ParameterError
        If something of it cannot be; nothing has been simulated then.
    WriteError
        If `out` cannot be written; what is finished is kept there.
    """
    given = estate if isinstance(estate, Estate) else load_estate(estate)
    run = estimated_or_whole(given, seed, replicates, executor, out, processes, progress, sample)
    if out is not None:
        run.save(out)
    return run


def estimated_or_whole(
    estate: Estate,
    seed: int,
    replicates: int,
    executor: Executor | None,
    out: str | Path | None,
    processes: int | None,
    progress: Callable[[int, int], None] | None,
    sample: str | int | None,
) -> EstateRun:
    """Simulate an estate, or a sample of it; of the tables, only those of pools are written."""
    check_asked(seed, replicates, processes)
    _check_pools(estate)
    if sample is not None:
        return _sampled(estate, seed, replicates, executor, processes, progress, sample)
    return _whole(estate, seed, replicates, executor, out, processes, progress)


def specs_of(estate: Estate, seed: int, replicates: int, out: str | Path | None = None) -> list[PoolSpec]:
    """All pools and replicates of an estate, as tasks."""
    folder = "" if out is None else Store(out).url  # as seen from whatever folder a worker runs in
    return [
        PoolSpec(pool.name, pool.site, pool.lun_group, pool.scenario, seed, replicate, folder)
        for replicate in range(replicates)
        for pool in estate.pools
    ]


def estate_run(estate: Estate, seed: int, replicates: int, found: Iterable[PoolSummary]) -> EstateRun:
    """Roll up the summaries of all pools and replicates, in whatever order they come."""
    order = {pool.name: k for k, pool in enumerate(estate.pools)}
    every = sorted(found, key=lambda one: (one.replicate, order[one.name]))
    pools, sizes = pools_frame(every), sizes_frame(every)
    return EstateRun(
        estate=estate,
        seed=seed,
        replicates=replicates,
        pools=pools,
        sites=rolled_up(pools, "site"),
        luns=luns_frame(every),
        sizes=sizes,
        total=rolled_up(pools),
    )


def _whole(
    estate: Estate,
    seed: int,
    replicates: int,
    executor: Executor | None,
    out: str | Path | None,
    processes: int | None,
    progress: Callable[[int, int], None] | None,
) -> EstateRun:
    specs = specs_of(estate, seed, replicates, out)
    work = [spec.scenario.pool.clones * estate.days for spec in specs]
    total = sum(work)
    with workers(executor, total, processes) as pool:
        if pool is not None and len(specs) >= POOLS_A_WORKER * width(pool):
            found = [summary for _, summary in results(pool, run_pool, specs, work, progress)]
        else:
            found = []
            for spec, before in zip(specs, np.cumsum([0, *work]).tolist(), strict=False):
                found.append(run_pool(spec, pool, _after(before, total, progress)))
    return estate_run(estate, seed, replicates, found)


def _after(done: int, total: int, progress: Callable[[int, int], None] | None) -> Callable[[int, int], None] | None:
    """Progress of one pool as that of the estate."""
    if progress is None:
        return None
    return lambda now, _: progress(done + now, total)


def _sampled(
    estate: Estate,
    seed: int,
    replicates: int,
    executor: Executor | None,
    processes: int | None,
    progress: Callable[[int, int], None] | None,
    sample: str | int,
) -> EstateRun:
    if replicates != 1:
        remedy = "Leave it out, or leave out the sample."
        raise ParameterError("replicates", replicates, "a sample finds the number of replicates itself", remedy)
    found = sample_estate(estate, seed, sample, executor, processes=processes, progress=progress)
    return EstateRun(
        estate=estate,
        seed=seed,
        replicates=found.replicates,
        pools=found.pools,
        sites=found.sites,
        luns=luns_frame([]),
        sizes=found.sizes,
        total=found.total,
        sample=found,
    )


def _check_pools(estate: Estate) -> None:
    """Refuse an estate with a pool whose LUNs are full before anybody logs on; the message names the pool."""
    checked: set[str] = set()
    for pool in estate.pools:
        if pool.kind not in checked:
            checked.add(pool.kind)
            _check_pool(pool)


def _check_pool(pool: EstatePool) -> None:
    try:
        given = effective(pool.scenario)
        check_start(given, luns_of(given))
    except ParameterError as error:
        raise ParameterError(f"pool {pool.name}: {error.name}", error.value, error.allowed, error.remedy) from None


def _plain(value: Any) -> Any:
    found = value.item() if hasattr(value, "item") else value
    return None if isinstance(found, float) and not np.isfinite(found) else found
