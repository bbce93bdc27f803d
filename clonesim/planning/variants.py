"""The same desktops under other assumptions: by how much would the plan change?

Each assumption that is not sourced is moved either way, alone, and a small pool is simulated again with the same users.
What counts is the ratio to the small pool without the change.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clonesim.errors import ParameterError, ScenarioError
from clonesim.planning.pool_sample import PoolSample, sample_pool
from clonesim.planning.resized import resized
from clonesim.pool.band import band_variants
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "size"
LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True, slots=True)
class Variant:
    """One assumption, changed.

    Attributes
    ----------
    assumption : str
        Its name in the catalog's tables `size:vary`.
    way : str
        "lower", "higher", or what was put in its place.
    scenario : Scenario
        Small, and changed.
    """

    assumption: str
    way: str
    scenario: Scenario


def variants_of(
    scenario: Scenario, clones: int | None = None, days: int | None = None
) -> tuple[Scenario, list[Variant]]:
    """The scenario with few clones (and days), and that with one assumption changed at a time.

    A value that cannot be (a factor that leaves the parameter's range) is moved as far as it can be.
    """
    clones = min(scenario.pool.clones, clones or catalog.value(TOPIC, "sample.clones"))
    base = resized(scenario, clones, days=min(scenario.pool.days, days) if days else None, luns=1)
    found = [
        Variant("policy", _policy(variant), variant)
        for variant in band_variants(base)
        if (variant.guest.policy, variant.guest.discards) != (base.guest.policy, base.guest.discards)
    ]
    for name in _varied():
        table, key = catalog.text(TOPIC, f"vary.{name}", "parameter").split(".")
        factor = float(catalog.value(TOPIC, f"vary.{name}.factor"))
        for way, times in ((LOWER, 1 / factor), (HIGHER, factor)):
            value = getattr(getattr(base, table), key) * times
            changed = _changed(base, table, key, value)
            if changed is not None and changed != base:
                found.append(Variant(name, way, changed))
    return base, found


def _varied() -> list[str]:
    names = (name.split(".")[1] for name in catalog.parameters(TOPIC) if name.startswith("vary."))
    return list(dict.fromkeys(names))


def _policy(scenario: Scenario) -> str:
    return f"{scenario.guest.policy}, discards {'on' if scenario.guest.discards else 'off'}"


def _changed(base: Scenario, table: str, key: str, value: float) -> Scenario | None:
    """The scenario with one value replaced, as far as its range allows; None where other rules forbid it."""
    section = getattr(base, table)
    cited = section.parameter(key, getattr(section, "name", None))
    low, high = cited.range
    within = min(max(value, low), high)
    given: Any = round(within) if isinstance(getattr(section, key), int) else within
    try:
        return load_scenario(base, **{table: {key: given}})
    except (ScenarioError, ParameterError):
        return None


def vary(
    scenario: Scenario,
    seed: int,
    executor: Executor | None,
    progress: Callable[[int, int], None] | None = None,
    *,
    clones: int | None = None,
    days: int | None = None,
    replicates: int | None = None,
) -> pd.DataFrame:
    """By how much space and I/O change with each assumption.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    seed : int
        Key of every draw.
    executor : Executor or None
        Where the clones are simulated.
    progress : callable, optional
        Called with the desktop-days done and in all.
    clones, days, replicates : int, optional
        Of each small pool, at most; by default the catalog's clones and replicates, and all days. [1]

    Returns
    -------
    DataFrame
        A row per assumption and way: `assumption`, `title`, `way`; `space`, mean size of a clone's files at their
        largest, as a ratio to the scenario's [1]; `worst_space`, the same of the largest twentieth of the clones [1];
        `iops` and `bytes_per_s`, the same of the worst minute [1]; `measure`, what would tell the truth.
    """
    base, variants = variants_of(scenario, clones, days)
    replicates = replicates or catalog.value(TOPIC, "sample.replicates")
    each = base.pool.clones * base.pool.days * replicates
    total, done = each * (len(variants) + 1), 0

    def told(part: int, _: int) -> None:
        if progress:
            progress(done + part, total)

    start = sample_pool(base, seed, replicates, executor=executor, processes=1, progress=told)
    was = _figures(start)
    rows = []
    for variant in variants:
        done += each
        now = _figures(sample_pool(variant.scenario, seed, replicates, executor=executor, processes=1, progress=told))
        table = f"vary.{variant.assumption}"
        row: dict[str, Any] = {"assumption": variant.assumption, "title": catalog.text(TOPIC, table, "title")}
        row |= {"way": variant.way} | {name: now[name] / was[name] if was[name] else 1.0 for name in was}
        rows.append(row | {"measure": catalog.text(TOPIC, table, "measure")})
    return pd.DataFrame(rows)


def _figures(sample: PoolSample) -> dict[str, float]:
    worst = np.stack([part.demand[:, -1].max(axis=0) for part in sample.worst])
    return {
        "space": float(sample.final.mean()),
        "worst_space": float(np.quantile(sample.final, 0.95)),
        "iops": float(worst[:, :2].sum(axis=1).mean()),
        "bytes_per_s": float(worst[:, 2:4].sum(axis=1).mean()),
    }
