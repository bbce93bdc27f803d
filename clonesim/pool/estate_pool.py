"""One replicate of one pool of an estate, as a task: what goes to a worker, and the few numbers that come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from clonesim.lun.backing import backing
from clonesim.pool.calendar import DAY_S
from clonesim.pool.clones import keep_only
from clonesim.pool.parts import run_key
from clonesim.pool.run import Run
from clonesim.pool.simulate import kept, simulated
from clonesim.pool.store import Store
from clonesim.scenario.model import Scenario

SUMMARY: Final = "summary.json"
FIGURES: Final = (  # of `Run.summary`
    "desktops",
    "delta_p50_bytes",
    "delta_p95_bytes",
    "delta_total_bytes",
    "datastore_total_bytes",
    "array_total_bytes",
    "datastores",
    "datastores_full",
    "first_full_day",
    "desktops_down",
    "wait_p99_max_s",
    "locks_failed",
    "iops_max60",
    "latency_p95_max_s",
    "refused_logons",
    "refused_operations",
)


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One replicate of one pool of an estate, to be simulated: a task for a worker.

    Attributes
    ----------
    name, site, lun_group : str
        Of the pool.
    scenario : Scenario
        Of the pool, with all overrides.
    seed, replicate : int
        How it is drawn.
    out : str
        Folder or address under which its tables go to `pools/<name>/replicate-<number>`; "": nowhere.
    """

    name: str
    site: str
    lun_group: str
    scenario: Scenario
    seed: int
    replicate: int
    out: str = ""

    @property
    def folder(self) -> str:
        """Where its tables go; "" for nowhere."""
        return f"{self.out.rstrip('/')}/pools/{self.name}/replicate-{self.replicate}" if self.out else ""


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """What one replicate of one pool came to, in few numbers.

    Attributes
    ----------
    name, site, lun_group : str
        Of the pool.
    replicate : int
        Which one.
    figures : dict
        As `Run.summary`, as far as an estate tells them, and `lock_wait_max_s`, the longest wait for a lock [s].
    luns : list of dict
        By datastore: `lun`, `desktops` at the end, `size_bytes`, `used_bytes` at the end [B], `first_full_day` (None:
        never) [d].
    sizes : list of dict
        By day: `day`, `delta_bytes` and `datastore_bytes` of all desktops at its end [B].
    key : str
        Hash of what decides all this: scenario, seed, version.
    """

    name: str
    site: str
    lun_group: str
    replicate: int
    figures: dict[str, Any]
    luns: list[dict[str, Any]]
    sizes: list[dict[str, Any]]
    key: str = ""

    @classmethod
    def of(cls, spec: PoolSpec, run: Run, key: str = "") -> Self:
        """Summary of a run of one replicate."""
        figures = {name: run.summary[name] for name in FIGURES} | {
            "lock_wait_max_s": float(run.luns["wait_max_s"].max())
        }
        return cls(spec.name, spec.site, spec.lun_group, spec.replicate, figures, _luns(run), _sizes(run), key)


def run_pool(
    spec: PoolSpec, executor: Executor | None = None, progress: Callable[[int, int], None] | None = None
) -> PoolSummary:
    """Simulate one replicate of one pool, and write its tables; read back what is there already.

    Parameters
    ----------
    spec : PoolSpec
        What to simulate; small and picklable, as the summary is.
    executor : Executor or None
        Where batches of its clones are simulated; None: in this process.
    progress : callable, optional
        Called with the desktop-days done and in all.
    """
    key = run_key(spec.scenario, spec.seed)
    store = Store(spec.folder) if spec.folder else None
    if store is not None and (found := _finished(store, key)):
        return found
    keep_only(spec.scenario)
    run = simulated(spec.scenario, spec.seed, 1, executor, progress, store, spec.replicate)
    summary = PoolSummary.of(spec, run, key)
    if store is not None:
        with kept(run, store):
            run.save(spec.folder)
            store.put(SUMMARY, json.dumps(asdict(summary), indent=2).encode(), final=True)
    return summary


def _finished(store: Store, key: str) -> PoolSummary | None:
    """Summary of a pool whose tables are all there, made from the same; None if there is none."""
    data = store.get(SUMMARY)
    if data is None:
        return None
    try:
        found = PoolSummary(**json.loads(data))
    except (ValueError, TypeError):
        return None
    return found if found.key == key else None


def _luns(run: Run) -> list[dict[str, Any]]:
    """Rows of a run's datastores; one replicate."""
    last = run.luns[run.luns["time_s"] == run.luns["time_s"].max()].set_index("lun")["used_bytes"]
    ends = run.growth[(run.growth["day"] == run.scenario.pool.days - 1) & (run.growth["disk"] == 0)]
    there = ends.groupby("lun")["clone"].nunique()
    rows = []
    for lun, full_s in enumerate(run.first_full_s[0]):
        rows.append(
            {
                "lun": lun,
                "desktops": int(there.get(lun, 0)),
                "size_bytes": int(run.scenario.luns.size),
                "used_bytes": int(last.get(lun, 0)),
                "first_full_day": full_s / DAY_S if np.isfinite(full_s) else None,
            }
        )
    return rows


def _sizes(run: Run) -> list[dict[str, Any]]:
    """Totals of a run by day; one replicate."""
    where = backing(run.scenario.luns.backing)
    delta = run.growth["delta_bytes"].to_numpy(np.int64)
    held = pd.DataFrame({"day": run.growth["day"], "delta_bytes": delta, "datastore_bytes": where.allocated(delta)})
    sums = held.groupby("day").sum().reset_index()
    return [{str(name): int(value) for name, value in row.items()} for row in sums.to_dict("records")]
