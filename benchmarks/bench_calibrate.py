"""Simulation-based calibration: are the probabilities that a calibration gives right?

Policy, scale and spread are drawn from what is supposed beforehand, a pool is simulated with them, its sizes after one,
two and four weeks are given to `calibrate`, and the rank of the truth in what is concluded is kept. Over many pools
ranks must be uniform. Forecasts a week ahead are compared with what the pool came to. Pools are compared with two
designs in turn, simulated with other seeds: what the formulas of one miss, all pools that meet it have in common.

Run: nice -n 15 python benchmarks/bench_calibrate.py [--pools 100] [--clones 30] [--scenario windows-7-office]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_tools import asked as options_of
from bench_tools import finish
from scipy.stats import chisquare, kstest

from clonesim.planning.calibrate import Calibration, calibrate
from clonesim.planning.calibration_design import Design, Pool, prior_of, run_pool, scaled_tables, small_pool
from clonesim.planning.calibration_posterior import posterior_of
from clonesim.scenario import load_scenario

DAYS = (7, 14, 28)
AHEAD = 7
STEP = 16 * 2**20
DESIGNS = 2
FIRST = 500_000  # seed of the first pool
NAMES = ("policy", "scale", "spread")


def measured(size: np.ndarray, start: Any) -> pd.DataFrame:
    """Sizes at the ends of some days, as a listing would show them."""
    clone, day = (part.ravel() for part in np.meshgrid(np.arange(len(size)), DAYS, indexing="ij"))
    date = pd.Timestamp(start) + pd.to_timedelta(day, unit="D")
    sizes = np.round(size[clone, day - 1] / STEP) * STEP
    return pd.DataFrame({"clone": [f"vdi-{number:03d}" for number in clone], "date": date, "bytes": sizes})


def run(
    name: str, pools: int, clones: int, seed: int, points: int | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Ranks and coverage over so many pools."""
    scenario = load_scenario(name)
    prior, small = prior_of(scenario), small_pool(scenario, clones, DAYS[-1] + AHEAD)
    rng = np.random.default_rng([20261121, seed])
    began, simulating = time.perf_counter(), 0.0
    designs: dict[int, Design] = {}
    rows = []
    for number in range(pools):
        policies, place = prior.draw(1, rng)
        policy, value = int(policies[0]), prior.at(place)[:, 0]
        truth = load_scenario(small, **scaled_tables(small, prior.policies[policy], *value.tolist()))
        size = run_pool(Pool(truth, FIRST + number))
        given = measured(size, small.pool.start)
        own, start = seed + number % DESIGNS, time.perf_counter()
        found = calibrate(
            given,
            scenario,
            since=small.pool.start,
            ahead=AHEAD,
            design=designs.get(own),
            seed=own,
            points=points,
            processes=1,
        )
        if own not in designs:
            designs[own], simulating = found.design, simulating + time.perf_counter() - start
        rows.append(judged(found, policy, place[:, 0], size, rng) | {"truth": prior.policies[policy]})
    frame = pd.DataFrame(rows)
    told: dict[str, Any] = {"scenario": name, "pools": pools, "clones": clones, "design": found.cost.text}
    for week in ("", "1w_"):
        for parameter in NAMES:
            told[f"{week}{parameter}"] = uniform(frame[week + parameter])
    told["named"] = {one: float(part["right"].mean()) for one, part in frame.groupby("truth")}
    told["probability_of_truth"] = {one: float(part["probability"].mean()) for one, part in frame.groupby("truth")}
    told |= {one: float(frame[one].mean()) for one in frame if one.startswith(("covered", "error", "shrink"))}
    told["misfits"] = float((frame["misfit"] < 0.01).mean())
    told |= {"seconds_design": round(simulating, 1), "seconds": round(time.perf_counter() - began, 1)}
    return told, frame


def judged(found: Calibration, policy: int, place: np.ndarray, size: np.ndarray, rng: Any) -> dict[str, Any]:
    """Ranks of the truth, and whether what came was within the intervals."""
    known, day = found._known, DAYS[-1] + AHEAD
    row = dict(zip(NAMES, known.rank(policy, place, rng.random()), strict=True))
    first = posterior_of(found.design, found.looks.until(DAYS[0] + 1), found.seed)
    row |= {f"1w_{one}": rank for one, rank in zip(NAMES, first.rank(policy, place, rng.random()), strict=True)}
    shares = known.policies()
    row |= {"right": bool(shares.argmax() == policy), "probability": float(shares[policy]), "misfit": found.misfit}
    for one in found.shrinkage.to_dict("records"):
        row[f"shrink_{one['parameter']}"] = one["shrinkage"]
    ahead = found.forecast(AHEAD, step=AHEAD)
    came = size[:, day - 1].astype(float)
    pool = ahead[ahead["level"] == "pool"].iloc[0]
    own = ahead[ahead["level"] == "clone"]
    row["covered_pool"] = bool(pool["p5"] <= came.sum() <= pool["p95"])
    row["covered_clone"] = float(((own["p5"].to_numpy() <= came) & (came <= own["p95"].to_numpy())).mean())
    row["error_pool"] = float(abs(pool["p50"] / came.sum() - 1))
    row["error_last"] = float(abs(size[:, DAYS[-1] - 1].sum() / came.sum() - 1))
    return row


def uniform(ranks: pd.Series) -> dict[str, Any]:
    """Ten classes, chi-square (9 degrees of freedom) and Kolmogorov-Smirnov test of uniform ranks."""
    counts = np.histogram(ranks, 10, (0, 1))[0]
    return {
        "counts": counts.tolist(),
        "chi2_9": float(chisquare(counts).statistic),
        "p_chi2": float(chisquare(counts).pvalue),
        "p_ks": float(kstest(ranks, "uniform").pvalue),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print JSON, and draw the ranks where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="windows-7-office")
    parser.add_argument("--pools", type=int, default=100)
    parser.add_argument("--clones", type=int, default=30)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--points", type=int, help="simulations per policy of a design; by default the catalog's")
    parser.add_argument("--plot", type=Path)
    asked = options_of(parser, argv, pools=1, clones=4, points=12)
    told, frame = run(asked.scenario, asked.pools, asked.clones, asked.seed, asked.points)
    print(json.dumps(told, indent=1))
    if asked.plot:
        from clonesim.plots.calibration import plot_ranks
        from clonesim.plots.chart import save_chart

        save_chart(plot_ranks, frame[list(NAMES)], asked.plot)
    return finish(asked, told)


if __name__ == "__main__":
    raise SystemExit(main())
