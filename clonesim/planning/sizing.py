"""What to buy for a pool, how sure that is, what being wrong costs, and what to measure first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.planning.basis import growth_measured
from clonesim.planning.density import Density, largest_within, plan_density
from clonesim.planning.disks import disks_needed
from clonesim.planning.limits import Limits, limits_of
from clonesim.planning.pool_sample import REPLICATES, PoolSample, check_sample, sample_pool
from clonesim.planning.purchase import Purchase, grown, purchase
from clonesim.planning.space_risk import fixed_bytes, pool_peaks
from clonesim.planning.storm_windows import storms_at
from clonesim.planning.variants import vary
from clonesim.pool.workers import workers
from clonesim.scenario import catalog
from clonesim.scenario.fields import checked
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "size"
RISK = 0.05
RESAMPLES = 60
ITEMS: dict[str, tuple[str, Callable[[Purchase], float]]] = {  # name -> unit, and where it stands
    "datastores": ("1", lambda p: p.luns),
    "clones per datastore": ("1", lambda p: p.clones_per_lun),
    "datastore size": ("B", lambda p: p.lun_bytes),
    "usable capacity": ("B", lambda p: p.usable_bytes),
    "effective capacity": ("B", lambda p: p.used_bytes),
    "disks": ("1", lambda p: p.disks),
    "raw capacity": ("B", lambda p: p.raw_bytes),
    "peak I/O": ("1/s", lambda p: p.iops),
    "peak throughput": ("B/s", lambda p: p.bytes_per_s),
    "hosts": ("1", lambda p: p.hosts.hosts),
}


@dataclass(frozen=True)
class Size:
    """What to buy for a pool; made by `size`.

    Attributes
    ----------
    frame : DataFrame
        A row per `item`: `value`, its `unit`, and `low` to `high`: where it lies if replicates, the allocation policy
        and the assumptions of `swings` are what they may be, each by itself, and the deviations are added as squares.
    swings : DataFrame
        A row per assumption and way: as `clonesim.planning.variants.vary` says, and what becomes of `usable_bytes`,
        `disks` and `peak I/O` (`iops_then`).
    wrong : DataFrame
        Growth 25 % higher and lower than planned, a row each: `growth`; `p_outage`, probability that a datastore of
        the purchase is full [1]; `bytes`, missing if positive, bought in vain if negative [B]; `disks`, the same [1].
    measure : str
        What to measure first: of the assumption that moves the usable capacity most.
    measure_swing : float
        By how much of the usable capacity that assumption moves it, from its lowest to its highest. [1]
    binding : str
        Limit that keeps datastores from taking more clones.
    peak : str
        Storms in which the pool has its worst minute, in most replicates.
    purchase : Purchase
        The middle case.
    density : Density
        How many clones one datastore of the scenario's size takes.
    risk : float
        That any datastore is full within the time simulated. [1]
    label : str
        What it rests on.
    measured : tuple of str
        Keys of the scenario whose marks say that they were measured, derived or calibrated; the others come from the
        catalog's priors.
    """

    frame: pd.DataFrame
    swings: pd.DataFrame
    wrong: pd.DataFrame
    measure: str
    measure_swing: float
    binding: str
    peak: str
    purchase: Purchase
    density: Density
    risk: float
    label: str
    measured: tuple[str, ...] = ()

    def __repr__(self) -> str:
        p = self.purchase
        return (
            f"<Size: {p.luns} datastores of {p.lun_bytes / 2**40:.2f} TiB with {p.clones_per_lun} clones each, "
            f"{p.disks} disks, {p.hosts.hosts} hosts{', unmeasured' if self.unmeasured else ''}>"
        )

    @property
    def unmeasured(self) -> bool:
        """Whether what is written is known from priors only."""
        return not growth_measured(self.measured)


def size(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    risk: float = RISK,
    *,
    limits: Mapping[str, Any] | Limits | None = None,
    sample: PoolSample | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
    **overrides: Any,
) -> Size:
    """Find out what to buy for a pool of desktops.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes. `luns.size` is the largest datastore that is bought, `array` the kind of disks,
        `hosts` the kind of host and the failures to bear.
    risk : float, default 0.05
        That any datastore of the pool is full before the end of `pool.days`, the time between refreshes. [1]
    limits : mapping, optional
        As in `plan_density`, without `outage`.
    sample : PoolSample, optional
        Clones that were simulated before.
    seed, replicates, executor, processes, **overrides
        As in `plan_density`.
    progress : callable, optional
        Makes a progress function for a text.

    Returns
    -------
    Size
        The purchase with intervals, the binding limit, the cost of being wrong, and what to measure first.

    Raises
    ------
    ScenarioError, ParameterError
        If the scenario or the risk cannot be, or nothing that can be bought suffices.

    Examples
    --------
    >>> bought = size("windows-7-office", pool={"clones": 200, "days": 30})  # doctest: +SKIP
    >>> bought.frame.set_index("item").loc["raw capacity", ["low", "value", "high"]]  # doctest: +SKIP
    """
    given = load_scenario(scenario, **overrides)
    asked = _limits(given, limits, risk)
    if sample is not None:
        check_sample(sample, given)

    def told(text: str) -> Callable[[int, int], None] | None:
        return progress(text) if progress else None

    with workers(executor, float(given.pool.clones * given.pool.days * replicates), processes) as pool:
        own = None if pool is not None else 1
        if sample is None:
            told_now = told("Simulating the pool")
            sample = sample_pool(given, seed, replicates, executor=pool, processes=own, progress=told_now)
        swings = vary(given, sample.seed, pool, told("Other assumptions"))
    return _size(given, asked, sample, swings)


def _limits(scenario: Scenario, limits: Mapping[str, Any] | Limits | None, risk: float) -> Limits:
    if isinstance(limits, Mapping) and "outage" in limits:
        raise ParameterError("limits.outage", limits["outage"], "what is bought follows `risk`", "Give it as risk.")
    taken = checked(catalog.parameters("planning")["eps"], risk, "risk")
    return replace(limits_of(scenario, limits), outage=taken)


def _size(scenario: Scenario, limits: Limits, sample: PoolSample, swings: pd.DataFrame) -> Size:
    measured = tuple(scenario.marks)
    clones = min(limits.clones or sample.clones, sample.clones)
    disks, _ = disks_needed(scenario, sample, limits, 0, clones)  # what is bought bears the I/O, whatever n is
    scenario = load_scenario(scenario, array={"disks": disks, "shared": True})
    density = plan_density(scenario, limits, sample=sample)
    most, binding = largest_within(density.frame, without=["outage"])
    most = max(most, 1)
    middle = purchase(scenario, sample, limits, most)
    if middle.luns > -(-scenario.pool.clones // most):
        binding = "outage"
    others = [
        purchase(scenario, sample, limits, most, row["space"], max(row["iops"], row["bytes_per_s"]))
        for row in swings.to_dict("records")
    ]
    swings = swings.assign(
        usable_bytes=[p.usable_bytes for p in others],
        disks=[p.disks for p in others],
        iops_then=[p.iops for p in others],
    )
    drawn = list(_redrawn(scenario, sample, limits, most))
    rows = [_row(item, middle, others, swings, drawn) for item in ITEMS]
    measure, swing = _measure(swings, middle)
    frame = pd.DataFrame(rows)
    label = f"{sample.label} Risk that a datastore is full: {limits.outage:g}."
    frame.attrs |= {"caption": label, "unmeasured": not growth_measured(measured)}
    return Size(
        frame=frame,
        swings=swings,
        wrong=_wrong(scenario, sample, limits, most, middle),
        measure=measure,
        measure_swing=swing,
        binding=binding,
        peak=_peak(sample),
        purchase=middle,
        density=density,
        risk=limits.outage,
        label=label,
        measured=measured,
    )


def _peak(sample: PoolSample) -> str:
    """Storms of the worst minute, those of most replicates."""
    minutes = sample.demand[:, :, :2].sum(axis=2).argmax(axis=1)
    pairs = zip(sample.timelines, minutes.tolist(), strict=True)
    found = Counter(" and ".join(storms_at(timeline, 60.0 * minute)) for timeline, minute in pairs)
    return found.most_common(1)[0][0]


def _redrawn(scenario: Scenario, sample: PoolSample, limits: Limits, most: int) -> Iterator[Purchase]:
    """Purchases for replicates drawn anew, with replacement."""
    rng = np.random.default_rng(np.random.SeedSequence([sample.seed, sample.replicates]))
    for _ in range(RESAMPLES):
        rows = rng.integers(sample.replicates, size=sample.replicates)
        again = replace(
            sample,
            size=sample.size[rows],
            start=sample.start[rows],
            worst=tuple(sample.worst[row] for row in rows),
            steps=tuple(sample.steps[row] for row in rows),
        )
        yield purchase(scenario, again, limits, most)


def _row(
    item: str, middle: Purchase, others: list[Purchase], swings: pd.DataFrame, drawn: list[Purchase]
) -> dict[str, Any]:
    unit, figure = ITEMS[item]
    value = float(figure(middle))
    ends = np.quantile([figure(p) for p in drawn], (0.025, 0.975))
    down, up = [min(ends[0] - value, 0.0)], [max(ends[1] - value, 0.0)]
    for _, part in swings.groupby("assumption", sort=False):
        moved = [figure(others[k]) - value for k in part.index]
        down.append(min(*moved, 0.0))
        up.append(max(*moved, 0.0))
    low, high = (float(np.sqrt(np.square(parts).sum())) for parts in (down, up))
    return {"item": item, "unit": unit, "value": value, "low": value - low, "high": value + high}


def _measure(swings: pd.DataFrame, middle: Purchase) -> tuple[str, float]:
    span = swings.groupby("assumption")["usable_bytes"].agg(
        lambda part: max(*part, middle.usable_bytes) - min(*part, middle.usable_bytes)
    )
    most = str(span.index[int(span.to_numpy().argmax())])
    text = swings.loc[swings["assumption"] == most, "measure"].iloc[0]
    return str(text), float(span.max()) / middle.usable_bytes


def _wrong(scenario: Scenario, sample: PoolSample, limits: Limits, most: int, middle: Purchase) -> pd.DataFrame:
    share = catalog.value(TOPIC, "wrong")
    rows = []
    full = backing(scenario.luns.backing).limit(middle.lun_bytes)
    for growth in (1 + share, 1 - share):
        needed = purchase(scenario, sample, limits, most, growth, luns=middle.luns)
        peaks = pool_peaks(grown(sample, growth), fixed_bytes(scenario), middle.clones_per_lun, sample.seed)
        rows.append(
            {
                "growth": growth,
                "p_outage": float((peaks > full).mean()),
                "bytes": needed.usable_bytes - middle.usable_bytes,
                "disks": needed.disks - middle.disks,
            }
        )
    return pd.DataFrame(rows)
