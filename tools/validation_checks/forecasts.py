"""Forecasts against what came: pools of the block simulator that the model had not seen, and real overlays."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from clonesim.units import MIB

from .entry import ROOT, Chapter, Figure, told

CHAPTER = Chapter(
    "Forecasts",
    "No real pool was at hand. What stands in for one is named in each row; `clonesim backtest` does the same on "
    "yours.",
)
FIRST, POOLS, DAYS = 5000, 12, 140  # pools that nothing was set on
LEVELS = ("clone", "lun", "pool")
RUNS = ("blog_1", "churn_11", "mixed_21")


@CHAPTER.check(
    "backtest-pools",
    "From eight weekly sizes, 90 % intervals up to twelve weeks ahead hold what comes; a straight line's do not.",
    f"{POOLS} pools that the block simulator made (seeds from {FIRST} on), 40 clones each, whose settings are drawn "
    "anew; no figure of the forecast was set on them",
    tests=("test_forecast_coverage.py",),
    note=(
        "Clones of a pool err together, so a dozen pools tell coverage to some 6 points; the bound is twice that. The"
        " table of 400 histories is in [the forecast's model](forecast-model.md#how-good). Simulated pools are no "
        "real ones."
    ),
)
def backtest_pools() -> list[Figure]:
    """Coverage by level, and the score against a straight line's."""
    from bench_forecast import STARTS, judged
    from make_histories import make

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(FIRST, FIRST + POOLS):
            make(number, DAYS, folder)
        parts = [judged(path, first, 1000) for path in sorted(folder.glob("*.parquet")) for first in STARTS]
    rows = pd.concat(parts, ignore_index=True)
    found = []
    for level in LEVELS:
        own = rows[rows["level"] == level]
        covered = 100 * (1 - (own["low"] | own["high"]).mean())
        found.append(Figure(f"{level}s within their interval", covered, "%", 78, 100, 1, 0.02))
        found.append(
            told(f"{level}s within a straight line's interval", 100 * own["line_covered"].mean(), "%", 1, 0.02)
        )
    pool = rows[rows["level"] == "pool"]
    smaller = 100 * (1 - pool["score"].mean() / pool["line_score"].mean())
    return [
        *found,
        Figure("interval score of pools: smaller than a straight line's by", smaller, "%", 20, digits=0, again=0.05),
    ]


@CHAPTER.check(
    "backtest-overlays",
    "Fitted on the first half of a real overlay's growth, a forecast of the second half errs less than a straight"
    " line.",
    "qcow2 overlays under a real driver (ntfs-3g): the three packaged runs, a day for each step",
    tests=("test_growth_fit.py",),
    cheap=True,
    engine=True,
    note=(
        "What is forecast is the length of a file that a Linux driver wrote, not a Windows desktop's. Three runs are "
        "few: of six further ones the straight line was better in three ([forecast's "
        "model](forecast-model.md#how-good))."
    ),
)
def backtest_overlays() -> list[Figure]:
    """Mean errors on the second halves."""
    from growth_tools import frame, real_run

    from clonesim.planning.growth_fit import fit_growth

    found, lines = [], []
    for name in RUNS:
        early, late = real_run(ROOT / "data", name)
        fit = fit_growth(frame(early["step"], early["delta_file_bytes"]))
        ahead = (late["step"] - early["step"].max()).to_numpy(float)
        middle = np.median(fit.paths(ahead)[:, 0], axis=0)
        line = np.polyval(np.polyfit(early["step"], early["delta_file_bytes"], 1), late["step"])
        right = late["delta_file_bytes"].to_numpy(float)
        error, other = (float(np.abs(one - right).mean()) / MIB for one in (middle, line))
        found.append(Figure(f"{name}: mean error", error, "MiB", high=other, digits=1, again=0.02))
        lines.append(told(f"{name}: a straight line's", other, "MiB", 1))
    return [figure for pair in zip(found, lines, strict=True) for figure in pair]
