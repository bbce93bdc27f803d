"""A small pool with one strategy, simulated once, for plans that are made of it again and again: the planner page's.

What `PoolSample` holds is made small enough to be packaged: of the growth steps and of the load by minute only what the
plan's windows of storms look at is kept; the rest no plan reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.files import write_whole
from clonesim.lun.backing import backing
from clonesim.lun.operations import GROWTH
from clonesim.planning.alternatives import Alternative, alternatives, groups
from clonesim.planning.pool_sample import Part, PoolSample, Steps, Worst, sample_of
from clonesim.planning.set_back import Resets
from clonesim.planning.storm_locks import storms_of
from clonesim.planning.strategy_row import COLUMNS, strategy_row
from clonesim.pool.band import BandJob, band_variants, run_band_job
from clonesim.pool.clones import no_demand
from clonesim.pool.luns import run_luns
from clonesim.pool.replicates import replicates_of, settled
from clonesim.pool.simulate import check_asked
from clonesim.pool.timeline import Timeline
from clonesim.pool.workers import workers
from clonesim.scenario.model import Scenario

CLONES, DAYS, REPLICATES, BAND_CLONES, SEED = 64, 60, 3, 8, 1  # of the pools that are packaged
TABLES: Final = ("pool", "users", "guest", "workload", "delta", "storms", "platform", "strategy")
MS: Final = 1000.0  # times are kept in whole milliseconds

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PlannedPool:
    """What a plan needs of a small pool; made by `planned_pool` or `read_planned_pool`.

    Attributes
    ----------
    sample : PoolSample
        Its clones, for the scenario that was asked for.
    row : dict of str to float
        Figures of `strategy_row` per desktop, means over the replicates.
    band : DataFrame
        A row per policy, discards on or off, and day: `policy`, `discards`, `day`, `delta_p50_bytes`,
        `delta_mean_bytes` [B], of a few of the clones.
    """

    sample: PoolSample
    row: Mapping[str, float]
    band: pd.DataFrame


def small_pool(scenario: Scenario, clones: int = CLONES, days: int = DAYS) -> Alternative:
    """The pool that is simulated in place of a scenario with its strategies.

    Raises
    ------
    ScenarioError, ParameterError
        If the strategies cannot be.
    """
    pool = scenario.model_copy(
        update={"pool": scenario.pool.model_copy(update={"days": min(days, scenario.pool.days)})}
    )
    label = "+".join(choice.name for choice in scenario.strategy) or "linked-clone"
    tables: list[Any] = list(scenario.strategy) or [{"name": "linked-clone"}]
    found, _ = alternatives(pool, {label: tables}, clones)
    return next(one for one in found if one.label == label)


def pool_key(one: Alternative, seed: int = SEED, replicates: int = REPLICATES) -> str:
    """Name of the file of such a pool: a digest of what its clones do; its LUNs, array and host sizes do not count."""
    told = one.small.to_dict()
    values = {name: told.get(name) for name in TABLES}
    values["pool"] = {name: value for name, value in told["pool"].items() if name != "name"}
    where = backing(one.small.luns.backing)
    values |= {"hosts": one.small.hosts.count, "unit": where.allocation_unit, "seed": seed, "replicates": replicates}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def planned_pool(
    one: Alternative,
    seed: int = SEED,
    replicates: int = REPLICATES,
    *,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PlannedPool:
    """Simulate a small pool.

    Parameters
    ----------
    one : Alternative
        Of `small_pool`.
    seed, replicates, executor, processes, progress
        As in `simulate`.
    """
    check_asked(seed, replicates, processes)
    group = groups([one])[0]
    many, days = one.core.pool.clones, one.core.pool.days
    variants = band_variants(one.core)
    banded = tuple(np.unique(np.linspace(0, many - 1, min(BAND_CLONES, many)).astype(int)).tolist())
    beside, work = len(variants) * len(banded) * days, replicates * many * days

    def told(done: int, _: int) -> None:
        if progress:
            progress(done, work + beside)

    parts: list[Part | None] = [None] * replicates
    rows: list[dict[str, float]] = [{}] * replicates
    with workers(executor, float(work), processes) as pool:
        for first in replicates_of(group.first, seed, replicates, pool, told):
            replicate = settled(group.core, first, pool)
            parts[first.number] = Part.of(group.core, seed, replicate)
            luns = run_luns(one.small, replicate)
            rows[first.number] = strategy_row(one.small, one.asked, replicate, luns, Resets.of(replicate))
    delta = run_band_job(BandJob(tuple(variants), seed, banded))
    told(work + beside, 0)
    sample = sample_of(one.asked, seed, [part for part in parts if part is not None])
    row = {name: float(np.mean([each[name] for each in rows])) for name in COLUMNS}
    return PlannedPool(sample, row, _band(variants, delta))


def _band(variants: list[Scenario], delta: Ints) -> pd.DataFrame:
    rows = []
    for variant, part in zip(variants, delta, strict=True):
        guest = variant.guest
        for day in range(part.shape[1]):
            sizes = {"delta_p50_bytes": float(np.median(part[:, day])), "delta_mean_bytes": float(part[:, day].mean())}
            rows.append({"policy": guest.policy, "discards": guest.discards, "day": day} | sizes)
    return pd.DataFrame(rows)


def save_planned_pool(found: PlannedPool, path: Path) -> Path:
    """Write a small pool to a file; the same pool gives the same bytes."""
    sample = found.sample
    storms = storms_of(sample, range(sample.replicates))
    unit = max(1, int(np.gcd.reduce(np.concatenate([sample.size.ravel(), sample.start.ravel()]))))
    arrays: dict[str, Any] = {"unit": np.int64(unit), "start": _narrow(sample.start // unit)}
    arrays["size"] = _narrow(np.diff(sample.size // unit, axis=2, prepend=0))
    for number, (storm, worst) in enumerate(zip(storms, sample.worst, strict=True)):
        rows = storm.operations.kind == GROWTH
        time_ms = np.rint(storm.operations.time_s[rows] * MS).astype(np.int64)
        busy = np.unique((storm.operations.time_s // 60.0).astype(np.int64)[:, None] + np.arange(-1, 2))
        minutes = np.intersect1d(storm.minutes, busy)
        arrays[f"time_{number}"] = _narrow(np.diff(time_ms, prepend=0))
        arrays[f"clone_{number}"] = _narrow(storm.operations.clone[rows])
        arrays[f"host_{number}"] = _narrow(storm.operations.host[rows])
        arrays[f"minutes_{number}"] = _narrow(np.diff(minutes, prepend=0))
        arrays[f"demand_{number}"] = _narrow(sample.demand[number][minutes].T)
        arrays[f"worst_clones_{number}"] = _narrow(worst.clones)
        arrays[f"worst_demand_{number}"] = worst.demand
    told = {"seed": sample.seed, "row": dict(found.row), "band": found.band.to_dict("list")}
    told["replicates"] = sample.replicates
    arrays["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    write_whole(path, lambda part: _write(part, arrays))
    return path


def read_planned_pool(path: Path, one: Alternative) -> PlannedPool:
    """Read what `save_planned_pool` wrote, for the scenario that it was written for.

    Raises
    ------
    ParameterError
        If the file is damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        told = json.loads(arrays["told"].tobytes())
        return _made(arrays, told, one)
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        allowed = f"the file is damaged ({error})"
        raise ParameterError("planned pool", str(path), allowed, "Delete it: it is simulated again.") from None


def _made(arrays: Mapping[str, Any], told: Mapping[str, Any], one: Alternative) -> PlannedPool:
    unit, days = int(arrays["unit"]), one.small.pool.days
    steps, worst, demand = [], [], []
    for k in range(int(told["replicates"])):
        time_s = np.cumsum(arrays[f"time_{k}"].astype(np.int64)) / MS
        clone, host = arrays[f"clone_{k}"].astype(np.int64), arrays[f"host_{k}"].astype(np.int32)
        steps.append(Steps(time_s, clone, host))
        by_minute = no_demand(days)
        by_minute[np.cumsum(arrays[f"minutes_{k}"].astype(np.int64))] = arrays[f"demand_{k}"].T
        demand.append(by_minute)
        worst.append(Worst(arrays[f"worst_clones_{k}"].astype(np.int64), arrays[f"worst_demand_{k}"]))
    sample = PoolSample(
        scenario=one.asked,
        seed=int(told["seed"]),
        size=np.cumsum(arrays["size"].astype(np.int64), axis=2) * unit,
        start=arrays["start"].astype(np.int64) * unit,
        steps=tuple(steps),
        timelines=tuple(Timeline.of(one.core, int(told["seed"]), k) for k in range(len(steps))),
        demand=np.stack(demand),
        worst=tuple(worst),
    )
    return PlannedPool(sample, told["row"], pd.DataFrame(told["band"]))


def of_scenario(found: PlannedPool, scenario: Scenario) -> PlannedPool:
    """The same clones for a scenario with other datastores, another array or more of the same desktops."""
    return replace(found, sample=replace(found.sample, scenario=scenario))


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in the fewest bytes."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.int64)


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for name, values in arrays.items():
            text = io.BytesIO()
            np.lib.format.write_array(text, np.asanyarray(values), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), text.getvalue(), zipfile.ZIP_LZMA)
