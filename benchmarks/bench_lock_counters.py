"""Whether intervals from counters hold the truth: locks of known parameters are simulated, counted and estimated.

Run `python benchmarks/bench_lock_counters.py [--runs 200]`. Hold and back-off are drawn from the ranges that the
estimate takes as possible; hosts, rates and I/Os at random, so that a LUN is reserved up to a fifth of the time. Locks
are served by `lock_queue`, guest I/Os thrown at the reservations one by one. Printed: how often the 90 % interval holds
the truth, and the ranks of the truth among the draws in ten classes, which are even if intervals are right.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_tools import asked, finish

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from counter_tools import simulate

from clonesim.planning.lock_counters import lock_estimate

CLASSES = 10
FIRST = 100_000  # the formulas were set on smaller seeds, which the tests use too


def reservations(seed: int, apart: bool) -> dict[str, float]:
    """Ranks of the true hold and back-off, from 0 to 1."""
    rng = np.random.default_rng([FIRST, seed])
    hold, backoff = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in ((1e-4, 0.1), (1e-3, 0.1)))
    hosts = int(rng.integers(2, 9))
    load = float(np.exp(rng.uniform(np.log(0.001), np.log(0.2))))
    rates = tuple(np.minimum(rng.dirichlet(np.full(hosts, 3.0)) * load / hold, 20.0))
    io = tuple(np.exp(rng.uniform(np.log(20), np.log(500), hosts)))
    minutes = int(rng.integers(10, 61))
    made = simulate(FIRST + seed, hold_s=hold, rates=rates, io=io, minutes=minutes, backoff=backoff, tries=1000)[0]
    found = lock_estimate(made, failed_are_tries=apart, seed=seed).draws
    return {"hold": _rank(found["hold_s"], hold), "backoff": _rank(found["backoff_s"], backoff)}


def swaps(seed: int) -> dict[str, float]:
    """Rank of the true product of hold and chance of collision."""
    rng = np.random.default_rng([FIRST, seed])
    latency = float(np.exp(rng.uniform(np.log(2e-4), np.log(5e-3))))
    commands = float(np.exp(rng.uniform(np.log(1), np.log(10))))
    backoff = float(np.exp(rng.uniform(np.log(1e-3), np.log(0.1))))
    clusters, affinity = int(rng.integers(8, 33)), float(rng.uniform(0, 0.95))
    hosts = int(rng.integers(2, 9))
    hold = latency * commands
    rates = tuple(np.minimum(rng.dirichlet(np.full(hosts, 3.0)) * 0.3 / hold, 40.0))
    made = simulate(
        FIRST + seed, locking="ats", hold_s=hold, rates=rates, io=(50.0,) * hosts, minutes=30, backoff=backoff,
        tries=1000, ats_clusters=clusters, ats_affinity=affinity, commands=commands,
    )[0]  # fmt: skip
    found = lock_estimate(made, heartbeats=False, seed=seed).draws
    return {"ATS product": _rank(found["hold_collision_s"], hold * (1 - affinity**2) / clusters)}


def _rank(draws: pd.Series, truth: float) -> float:
    return float((draws < truth).mean())


def report(title: str, rows: list[dict[str, float]], seconds: float) -> list[dict[str, Any]]:
    """Coverage and ranks."""
    from scipy.stats import chisquare

    found = []
    for name in rows[0]:
        ranks = np.array([row[name] for row in rows])
        classes = np.histogram(ranks, np.linspace(0, 1, CLASSES + 1))[0]
        covered = float(((ranks >= 0.05) & (ranks <= 0.95)).mean())
        even = chisquare(classes).pvalue
        print(f"{title:34} {name:12} covered {covered:.3f}  ranks {classes.tolist()}  even: p = {even:.2g}")
        told = {"what": title, "parameter": name, "covered": covered, "ranks": classes.tolist(), "p_even": float(even)}
        found.append(told | {"runs": len(rows), "seconds_a_run": seconds / len(rows)})
    print(f"{'':34} {len(rows)} runs, {seconds / len(rows):.2f} s each")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = asked(parser, argv, runs=1)
    runs, found = options.runs, []
    for title, one in (
        ("reservations", lambda seed: reservations(seed, False)),
        ("reservations, FRESV/s of tries", lambda seed: reservations(seed, True)),
        ("ATS", swaps),
    ):
        start = time.process_time()
        rows = [one(seed) for seed in range(runs)]
        found += report(title, rows, time.process_time() - start)
    return finish(options, {"rows": found})


if __name__ == "__main__":
    raise SystemExit(main())
