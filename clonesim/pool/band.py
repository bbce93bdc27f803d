"""The policy band: the same users and work under other ways to pick free clusters, with and without discards.

Which free clusters Windows picks is not published, so a pool's growth is told under several policies. All of them face
the same plan of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta.law_kernel import IGNORE
from clonesim.errors import ParameterError
from clonesim.pool.clones import AMOUNTS, GROWTH, desktop, plan_of, timeline
from clonesim.pool.desktop import Demand, Desktop
from clonesim.pool.run import SHARES, Run
from clonesim.pool.simulate import check_asked, simulated
from clonesim.pool.store import Store
from clonesim.pool.strategies.layout import OS
from clonesim.pool.workers import results, workers
from clonesim.scenario.desktop import sends_discards
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

BAND = ("best-fit", "windows", "fresh-first")
SAMPLE = 50
CLONES_A_JOB = 5


@dataclass(frozen=True, slots=True)
class BandJob:
    """A few clones of a pool, under several variants of its guest."""

    variants: tuple[Scenario, ...]
    seed: int
    clones: tuple[int, ...]


def policy_band(
    run: Run,
    sample: int | str = SAMPLE,
    executor: Executor | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Growth under best fit, the assumed Windows policy and fresh first, with discards and without.

    The clones are a stratified sample: put in order of what they wrote, one from the middle of each of `sample` equal
    parts. Of several replicates the first one counts.

    Parameters
    ----------
    run : Run
        Simulated pool; its own policy is one of the band, or comes on top.
    sample : int or "full", default 50
        Clones, or all of them.
    executor, processes, progress
        As in `simulate`; progress counts desktop-days of all variants.

    Returns
    -------
    DataFrame
        A row per policy, discards on or off, and day: `policy`, `discards`, `day`, `clones` in the sample,
        `delta_p5_bytes`, `delta_p50_bytes`, `delta_p95_bytes`, `delta_mean_bytes` at the end of the day [B].

    Raises
    ------
    ParameterError
        If the sample is not a number from 1 up or "full".
    """
    scenario = run.scenario
    chosen = _sample(run, sample)
    variants = band_variants(scenario)
    jobs = [
        BandJob(tuple(variants), run.seed, tuple(chosen[k : k + CLONES_A_JOB]))
        for k in range(0, len(chosen), CLONES_A_JOB)
    ]
    days = scenario.pool.days
    total = len(variants) * len(chosen) * days
    parts: list[NDArray[np.int64] | None] = [None] * len(jobs)
    work = [len(variants) * len(job.clones) * days for job in jobs]
    with workers(executor, total, processes) as pool:
        for k, part in results(pool, run_band_job, jobs, work, progress):
            parts[k] = part
    delta = np.concatenate([part for part in parts if part is not None], axis=1)
    rows = [_rows(variant, delta[k]) for k, variant in enumerate(variants)]
    frame = pd.concat([_also_on(scenario, part) for part in rows], ignore_index=True)
    frame.attrs["caption"] = f"{run.label} Band: {len(chosen)} of its desktops, the same work under each policy."
    return frame


def band_variants(scenario: Scenario) -> list[Scenario]:
    """The scenario under each policy of the band and, where they make a difference, with and without discards.

    Guests before Windows 8 send no discards, and some formats ignore them.
    """
    policies = dict.fromkeys((*BAND, scenario.guest.policy))
    switches = (
        (True, False)
        if sends_discards(scenario.guest.os) and not _ignores_discards(scenario)
        else (scenario.guest.discards,)
    )
    return [
        load_scenario(scenario, guest={"policy": policy, "discards": switch and policy != "ntfs3g"})
        for policy in policies
        for switch in switches
    ]


def run_band_job(job: BandJob) -> NDArray[np.int64]:
    """Delta sizes at the end of each day: (variants, clones, days) int64 array. [B]"""
    days = job.variants[0].pool.days
    delta = np.zeros((len(job.variants), len(job.clones), days), np.int64)
    line = timeline(job.variants[0], job.seed, 0)
    desks: list[Desktop] = [desktop(variant, job.seed) for variant in job.variants]
    demand = Demand.none(days)
    for c, clone in enumerate(job.clones):
        plans = {}
        for v, (variant, desk) in enumerate(zip(job.variants, desks, strict=True)):
            key = variant.guest.discards, desk.image.first_file
            if key not in plans:
                plans[key] = plan_of(desk.activity, line, clone, desk.image.first_file)
            shape = len(desk.disks), days
            growth = np.zeros((*shape, len(GROWTH)), np.int64)
            sources = np.zeros((*shape, len(desk.activity.names), len(AMOUNTS)), np.int64)
            desk.run(plans[key], line.turns(clone, desk.layout.disks), growth, sources, demand)
            delta[v, c] = growth[OS, :, GROWTH.index("delta_bytes")]
    return delta


def _sample(run: Run, sample: int | str) -> Sequence[int]:
    clones = run.scenario.pool.clones
    if sample == "full":
        return list(range(clones))
    if type(sample) is not int or sample < 1:
        raise ParameterError("band", sample, "a number of clones from 1 up, or 'full', is needed")
    last = run.growth[(run.growth["day"] == run.scenario.pool.days - 1) & (run.growth["replicate"] == 0)]
    order = last.sort_values(["written_bytes", "clone"])["clone"].to_numpy()
    count = min(sample, clones)
    middles = ((np.arange(count) + 0.5) * clones / count).astype(np.int64)
    return sorted(int(c) for c in order[middles])


def _rows(variant: Scenario, delta: NDArray[np.int64]) -> pd.DataFrame:
    columns = {name: np.quantile(delta, share, axis=0) for name, share in SHARES.items()}
    return pd.DataFrame(
        {
            "policy": variant.guest.policy,
            "discards": variant.guest.discards,
            "day": np.arange(delta.shape[1], dtype=np.int32),
            "clones": delta.shape[0],
            **columns,
            "delta_mean_bytes": delta.mean(axis=0),
        }
    )


def _also_on(scenario: Scenario, part: pd.DataFrame) -> pd.DataFrame:
    """Where the format ignores discards, both settings have the same rows."""
    if not _ignores_discards(scenario) or not sends_discards(scenario.guest.os):
        return part
    return pd.concat([part.assign(discards=switch) for switch in (True, False)], ignore_index=True)


def _ignores_discards(scenario: Scenario) -> bool:
    from clonesim.delta.formats import law

    return law(scenario.delta.format, scenario.guest.disk, dict(scenario.delta.parameters)).discard == IGNORE


def band_sample(text: str) -> int | str | None:
    """Sample of the policy band as the command line takes it: a number, "full", or None for "none"."""
    if text == "none":
        return None
    if text == "full":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ParameterError("band", text, "a number of clones from 1 up, 'full' or 'none', is needed")
    return int(text)


def simulate_with_band(
    scenario: Scenario,
    seed: int,
    replicates: int,
    sample: int | str | None,
    processes: int | None,
    bars: Callable[[str], Callable[[int, int], None]],
    executor: Executor | None = None,
    store: Store | None = None,
) -> Run:
    """Run a pool and its policy band on the same processes, or on an executor.

    `bars` makes a progress function for a text. Finished batches of the pool's clones are kept in a store, if there is
    one.
    """
    check_asked(seed, replicates, processes)
    desktop_days = scenario.pool.clones * scenario.pool.days * replicates
    with workers(executor, desktop_days, processes) as pool:
        own = None if pool is not None else 1
        run = simulated(scenario, seed, replicates, pool, bars("Simulating the pool"), store)
        if sample is None:
            return run
        band = policy_band(run, sample, pool, processes=own, progress=bars("Policy band"))
    return replace(run, band=band)
