"""An estate from some of its desktops: a stratified sample, estimates with their errors, and how large it must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from clonesim.errors import ParameterError
from clonesim.pool.clones import machine_key
from clonesim.pool.estate_estimate import LEAST_CLONES, LEAST_REPLICATES, Spread, adjusted, residual
from clonesim.pool.estate_frames import TOTALS, Estimate
from clonesim.pool.estate_strata import (
    SampleJob,
    SampleResult,
    Stratum,
    run_sample_job,
    strata_of,
    totals_of,
)
from clonesim.pool.workers import results, workers
from clonesim.scenario.estate import Estate

ROUNDS: Final = 4  # of sampling more where the wished error was missed
CAUTION: Final = 0.1  # probability that the true variance is larger than what is planned with
WISHES: Final = (0.05, 0.02, 0.01, 0.005)  # relative errors that the plan tells of
SIZES: Final = ("delta_bytes", "datastore_bytes")
PERCENT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EstateSample:
    """What was estimated from some desktops of an estate, and how.

    Attributes
    ----------
    replicates, clones : int
        Replicates drawn, and desktops simulated in all of them together. [1]
    wished : float or None
        Relative standard error that was asked for. [1]
    strata : DataFrame
        A row per kind of pools: `kind`, `pools`, `desktops`, `clones`, simulated in each replicate [1];
        `delta_mean_bytes` of a desktop at the end, and `delta_sd_bytes` of desktops within a replicate [B].
    pools, sites, total : DataFrame
        Rows by pool, by site and in all: `desktops`; `delta_total_bytes` and `datastore_total_bytes` at the end, with
        `_se`, `_low`, `_high` and `_sd` as `EstateRun.sites` has them. [B]
    sizes : DataFrame
        A row per site (and "" for all) and day, columns as `EstateRun.sizes`.
    between_sd, within_sd : float
        Of the total of all deltas in one replicate: what draws that all pools share do to it, and what comes from
        looking at some desktops only. [B]
    explained : float
        Share of the variance between replicates that the sizes of patches explain. [1]
    timeline_s, clone_s : float
        Measured on this machine: time of a replicate's timelines, and of a desktop, on one core. [s]
    spread : Spread
        What the sample's size was chosen from.
    """

    replicates: int
    clones: int
    wished: float | None
    strata: pd.DataFrame
    pools: pd.DataFrame
    sites: pd.DataFrame
    total: pd.DataFrame
    sizes: pd.DataFrame
    between_sd: float
    within_sd: float
    explained: float
    timeline_s: float
    clone_s: float
    spread: Spread = field(repr=False)

    @property
    def relative_error(self) -> float:
        """Standard error of the total of all deltas at the end, as a share of it. [1]"""
        row = self.total.iloc[0]
        return float(row["delta_total_se_bytes"] / row["delta_total_bytes"])

    @cached_property
    def plan(self) -> pd.DataFrame:
        """What other errors need: `relative_error`, `replicates`, and `clones` in all of them together."""
        rows = []
        for wish in WISHES:
            replicates, each = self.spread.for_error(wish * float(self.total["delta_total_bytes"].iloc[0]))
            rows.append({"relative_error": wish, "replicates": replicates, "clones": replicates * int(each.sum())})
        return pd.DataFrame(rows)

    @property
    def summary(self) -> dict[str, Any]:
        """The sample in a few numbers."""
        return {
            "clones": self.clones,
            "wished_error": self.wished,
            "relative_error": self.relative_error,
            "between_sd_bytes": self.between_sd,
            "within_sd_bytes": self.within_sd,
            "explained_by_patches": self.explained,
        }

    def needed(self, relative_error: float) -> dict[str, float]:
        """What a relative standard error needs at the costs that were measured here.

        Returns
        -------
        dict
            `replicates` and `clones`, in all of them together [1], and `core_s`, on one core [s].
        """
        costs = self.spread.timeline / max(float(self.spread.timeline.sum()), 1e-300)
        costs = costs * self.timeline_s / max(self.clone_s, 1e-9)
        spread = Spread(self.spread.size, self.spread.sd, self.spread.between, costs)
        replicates, each = spread.for_error(relative_error * float(self.total["delta_total_bytes"].iloc[0]))
        return {
            "replicates": replicates,
            "clones": replicates * int(each.sum()),
            "core_s": spread.cost(replicates, each) * self.clone_s,
        }


def read_sample(sample: str | int) -> tuple[float | None, int | None]:
    """Wished relative error of "2 %", or number of desktops. [1]

    Raises
    ------
    ParameterError
        If it is neither.
    """
    hit = PERCENT.fullmatch(sample) if isinstance(sample, str) else None
    if hit and 0.01 <= float(hit[1]) <= 50:
        return float(hit[1]) / 100, None
    if isinstance(sample, str) and sample.strip().isdecimal() and len(sample) < 12:
        sample = int(sample)
    if type(sample) is int and sample >= 1:
        return None, sample
    allowed = "a standard error from 0.01 % to 50 % of the total, or a number of desktops is needed"
    raise ParameterError("sample", sample, allowed, "Write '2 %', or 1000.")


def sample_estate(
    estate: Estate,
    seed: int,
    sample: str | int,
    executor: Executor | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EstateSample:
    """Simulate a stratified sample of an estate's desktops, each against its whole pool's timeline.

    Parameters
    ----------
    estate : Estate
        Made by `load_estate`.
    seed : int
        Key of every draw.
    sample : str or int
        Wished standard error of the total of all deltas at the end, such as "2 %", or desktops in all replicates.
    executor, processes, progress
        As in `simulate`; progress counts desktop-days of the sample.

    Raises
    ------
    ParameterError
        If it is neither, too few, or a pool cannot be sampled.
    """
    wished, most = read_sample(sample)
    strata = strata_of(estate)
    drawing = _Drawing(strata, seed, progress)
    fewest = LEAST_REPLICATES * int(drawing.least.sum())
    if most is not None and most < fewest:
        kinds = f"{len(strata)} kinds of pools x {LEAST_CLONES} desktops x {LEAST_REPLICATES} replicates"
        allowed = f"{fewest} desktops or more are needed: {kinds}"
        raise ParameterError("sample", most, allowed, "Name a larger number, or an error such as '2 %'.")
    size = sum(one.size for one in strata)
    with workers(executor, estate.days * min(size, max(4 * fewest, most or 0)), processes) as pool:
        drawing.more(LEAST_REPLICATES, drawing.least, pool)
        for _ in range(ROUNDS):
            spread, freedom = drawing.spread()
            if wished is None:
                assert most is not None
                drawing.more(*spread.for_clones(most), pool)
                break
            found, doubt = drawing.estimate(drawing.desktops), freedom / float(chi2.ppf(CAUTION, freedom))
            if found.se * doubt**0.5 <= wished * found.mean:  # one that is small by chance is no reason to stop
                break
            cautious = spread.larger(doubt)
            replicates, clones = cautious.for_error(wished * found.mean)
            had = drawing.replicates, int(drawing.each.sum())
            replicates = max(replicates, drawing.replicates)
            drawing.more(replicates, np.maximum(clones, drawing.each), pool)
            if had == (drawing.replicates, int(drawing.each.sum())):
                break
    return _told(estate, drawing, wished)


class _Drawing:
    """A sample while it grows: sizes of all desktops simulated so far, by replicate and stratum."""

    def __init__(self, strata: Sequence[Stratum], seed: int, progress: Callable[[int, int], None] | None) -> None:
        self.strata, self.seed, self.progress = strata, seed, progress
        self.least = np.array([min(one.size, LEAST_CLONES) for one in strata], np.int64)
        self.desktops = np.array([one.size for one in strata], np.float64)
        self.each = np.zeros(len(strata), np.int64)
        self.replicates = 0
        self.sizes: dict[tuple[int, int], list[Ints]] = {}
        self.known: list[Floats] = []  # by replicate: (strata, days)
        self.timeline_s = [0.0] * len(strata)
        self.clones_s, self.clones, self.jobs = 0.0, 0, [0] * len(strata)
        self.expected = np.stack([one.patched_mean for one in strata])
        self.means: list[Floats] = []  # by replicate: (strata, days, quantities) [B]
        self.variance: Floats = np.zeros(0)  # (strata, days, quantities) [B^2]

    def more(self, replicates: int, each: Ints, pool: Executor | None) -> None:
        """Simulate what is missing to so many replicates with so many desktops of each stratum."""
        jobs: list[SampleJob] = []
        owners: list[tuple[int, int]] = []
        machines = [machine_key(one.scenario) for one in self.strata]
        for stratum in sorted(range(len(machines)), key=machines.__getitem__):  # a process keeps one machine at a time
            one = self.strata[stratum]
            for replicate in range(replicates):
                had = int(self.each[stratum]) if replicate < self.replicates else 0
                made = one.jobs(self.seed, replicate, had, int(each[stratum]))
                jobs += made
                owners += [(replicate, stratum)] * len(made)
        days = [len(job.clones) * job.scenario.pool.days for job in jobs]
        before = self.clones * self.strata[0].scenario.pool.days
        progress = self.progress
        step = (lambda done, total: progress(before + done, before + total)) if progress else None
        found: list[SampleResult | None] = [None] * len(jobs)
        for k, result in results(pool, run_sample_job, jobs, days, step):
            found[k] = result
        for owner, result in zip(owners, found, strict=True):
            assert result is not None
            self.sizes.setdefault(owner, []).append(result.sizes)
            self.timeline_s[owner[1]] += result.timeline_s
            self.jobs[owner[1]] += 1
            self.clones_s += result.clones_s
            self.clones += len(result.sizes)
        for replicate in range(self.replicates, replicates):
            self.known.append(np.stack([one.patched(self.seed, replicate) for one in self.strata]))
        self.replicates, self.each = replicates, each
        self._count()

    def _count(self) -> None:
        """Means and variances of the desktops of each stratum; the variances are means over replicates."""
        self.means, variances = [], []
        for replicate in range(self.replicates):
            every = [np.concatenate(self.sizes[replicate, h]).astype(np.float64) for h in range(len(self.strata))]
            self.means.append(np.stack([one.mean(axis=0) for one in every]))
            variances.append(np.stack([one.var(axis=0, ddof=1) if len(one) > 1 else 0 * one[0] for one in every]))
        self.variance = np.mean(variances, axis=0)

    def within(self, desktops: Floats, day: int = -1, quantity: int = 0) -> float:
        """Variance of a replicate's total that comes from looking at some desktops only. [B^2]"""
        part = self.variance[:, day, quantity] * (1.0 / self.each - 1.0 / self.desktops)
        return float((desktops**2 * part).sum())

    def values(self, desktops: Floats, day: int = -1, quantity: int = 0) -> tuple[Floats, Floats, float]:
        """Totals by replicate, what is known of each, and the expectation of that."""
        totals = np.stack([one[:, day, quantity] for one in self.means]) @ desktops
        known = np.stack([one[:, day] for one in self.known]) @ desktops
        return totals, known, float(self.expected[:, day] @ desktops)

    def estimate(self, desktops: Floats, day: int = -1, quantity: int = 0) -> Estimate:
        """Total of so many desktops of each stratum at the end of a day."""
        return adjusted(*self.values(desktops, day, quantity), self.within(desktops, day, quantity))

    def spread(self) -> tuple[Spread, int]:
        """What a sample's size is chosen from, and on how many degrees of freedom."""
        totals, known, _ = self.values(self.desktops)
        variance, freedom = residual(totals, known)
        timeline = np.array([one.timeline for one in self.strata])
        sd = np.sqrt(self.variance[:, -1, 0])
        between = max(variance - self.within(self.desktops), 0.0)
        return Spread(self.desktops.astype(np.int64), sd, between, timeline), freedom


def _told(estate: Estate, drawing: _Drawing, wished: float | None) -> EstateSample:
    """Frames and figures of a sample that is done."""
    strata, spread = drawing.strata, drawing.spread()[0]
    kinds = {one.name: int(each) for one, each in zip(strata, drawing.each, strict=True)}

    def row(names: Sequence[str]) -> dict[str, Any]:
        weights = totals_of(strata, names)
        found: dict[str, Any] = {"desktops": int(weights.sum())}
        for quantity, name in enumerate(TOTALS):
            found |= drawing.estimate(weights, -1, quantity).columns(name)
        return found

    pools = [
        {"site": one.site, "lun_group": one.lun_group, "pool": one.name, **row([one.name])}
        | {"clones": kinds[one.kind] * drawing.replicates}
        for one in estate.pools
    ]
    on_site = {one.name: [pool.name for pool in estate.on(one.name)] for one in estate.sites}
    sites = [{"site": name, "pools": len(names), **row(names)} for name, names in on_site.items() if names]
    every = [pool.name for pool in estate.pools]
    sizes: list[dict[str, Any]] = []
    for site, names in ({"": every} | on_site).items():
        weights = totals_of(strata, names)
        for day in range(estate.days) if names else ():
            one: dict[str, Any] = {"site": site, "day": day}
            for quantity, name in enumerate(SIZES):
                one |= drawing.estimate(weights, day, quantity).columns(name)
            sizes.append(one)
    totals, within = drawing.values(drawing.desktops)[0], drawing.within(drawing.desktops)
    between = max(float(totals.var(ddof=1)) - within, 0.0)
    return EstateSample(
        replicates=drawing.replicates,
        clones=drawing.clones,
        wished=wished,
        strata=pd.DataFrame(
            {
                "kind": [one.name for one in strata],
                "pools": [len(one.pools) for one in strata],
                "desktops": [one.size for one in strata],
                "clones": drawing.each,
                "delta_mean_bytes": np.mean([one[:, -1, 0] for one in drawing.means], axis=0),
                "delta_sd_bytes": spread.sd,
            }
        ),
        pools=pd.DataFrame(pools),
        sites=pd.DataFrame(sites),
        total=pd.DataFrame([{"pools": len(every), **row(every)}]),
        sizes=pd.DataFrame(sizes),
        between_sd=between**0.5,
        within_sd=within**0.5,
        explained=float(np.clip(1 - spread.between / between, 0, 1)) if between else 0.0,
        timeline_s=float(sum(s / max(n, 1) for s, n in zip(drawing.timeline_s, drawing.jobs, strict=True))),
        clone_s=drawing.clones_s / max(drawing.clones, 1),
        spread=spread,
    )
