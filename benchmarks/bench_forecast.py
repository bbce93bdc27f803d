"""Coverage of forecasts on pools of the block simulator, and their scores against a straight line.

Histories: those of make_histories.py. From each pool two are taken: from day 0 and from day 56 on, eight weekly sizes
with 1 % noise, rounded to 16 MiB; one week is missing for all clones and another for each. Forecast: up to twelve weeks
more. "Before saturation": the mean size grew by 10 % or more in the last four weeks of the history, noise left out.
The straight line is fitted by least squares to each clone, LUN and pool by itself, with Student's prediction interval.

Run: python benchmarks/make_histories.py FOLDER --first 1000 --count 200
     python benchmarks/bench_forecast.py FOLDER --first 1000 --count 200
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
from numpy.typing import NDArray
from scipy.stats import t as student

import clonesim as cs
from clonesim.planning.growth_fit import fit_growth

Floats = NDArray[np.float64]
MIB = 2**20
WEEKS, AHEAD = 8, 12
STARTS = (0, 56)
SATURATED = 1.10
NOISE, STEP = 0.01, 16 * MIB


def history(sizes: Floats, luns: NDArray[Any], start: str, first: int, rng: np.random.Generator) -> dict[str, Any]:
    """What is measured of a pool from a day on: the frame, all weekly sizes, and what of the first eight is hidden."""
    clones = sizes.shape[1]
    days = first + 6 + 7 * np.arange(WEEKS + AHEAD)
    days = days[days < sizes.shape[0]]
    seen = sizes[days] * (1 + NOISE * rng.normal(size=(days.size, clones)))
    seen = np.round(seen / STEP) * STEP
    hidden = np.zeros((WEEKS, clones), bool)
    for_all = int(rng.integers(1, WEEKS - 1))
    hidden[for_all] = True
    others = [week for week in range(WEEKS) if week != for_all]
    hidden[rng.choice(others, clones), np.arange(clones)] = True
    week, clone = np.nonzero(~hidden)
    date = pd.Timestamp(start) + pd.to_timedelta(days[week] + 1, unit="D")
    frame = pd.DataFrame({"clone": clone, "date": date, "bytes": seen[week, clone], "lun": luns[clone]})
    return {"frame": frame, "seen": seen, "hidden": hidden}


def straight_line(week: Floats, size: Floats, ahead: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares with Student's 90 % prediction interval."""
    known = ~np.isnan(size)
    week, size = week[known], size[known]
    design, later = (np.stack([np.ones(part.size), part], axis=1) for part in (week, ahead))
    found, *_ = np.linalg.lstsq(design, size, rcond=None)
    rest = size - design @ found
    spread = rest @ rest / (size.size - 2)
    error = np.sqrt(spread * (1 + np.einsum("ij,jk,ik->i", later, np.linalg.inv(design.T @ design), later)))
    middle, half = later @ found, student.ppf(0.95, size.size - 2) * error
    return middle, middle - half, middle + half


def interval_score(low: Floats, high: Floats, value: Floats) -> Floats:
    """Width, and 20 times what lies outside of a 90 % interval (Gneiting and Raftery 2007)."""
    found: Floats = high - low + 20 * np.maximum(low - value, 0) + 20 * np.maximum(value - high, 0)
    return found


def judged(path: Path, first: int, draws: int, dated: bool = True) -> pd.DataFrame:
    """One history: a row per clone, LUN and pool, and week ahead."""
    table = pd.read_parquet(path)
    number = int(path.stem.split("-")[1])
    start = json.loads(path.with_suffix(".json").read_text())["start"]
    sizes = table.pivot(index="day", columns="clone", values="delta_bytes").to_numpy(float)
    luns = table[table["day"] == 0].sort_values("clone")["lun"].to_numpy()
    made = history(sizes, luns, start, first, np.random.default_rng([number, first]))
    if not dated:
        origin = made["frame"]["date"].min()
        made["frame"]["day"] = (made["frame"].pop("date") - origin).dt.days
    begun = time.perf_counter()
    fit = fit_growth(made["frame"], seed=number)
    fitted = time.perf_counter() - begun
    future, seen = made["seen"][WEEKS:], np.where(made["hidden"], np.nan, made["seen"][:WEEKS])
    order = fit.numbers(list(range(sizes.shape[1])))
    paths = fit.paths(7.0 * np.arange(1, len(future) + 1), order, draws=draws)
    week = np.arange(float(WEEKS))
    filled = np.full((WEEKS, sizes.shape[1]), np.nan)  # gaps filled as the fit does: a sum needs all clones
    filled[-fit.grid.days.size :] = fit.grid.size[order].T[-WEEKS:]
    filled[made["hidden"].all(axis=1)] = np.nan
    groups = {"clone": [[clone] for clone in range(sizes.shape[1])]}
    groups |= {"lun": [np.flatnonzero(luns == lun) for lun in np.unique(luns)], "pool": [np.arange(sizes.shape[1])]}
    mean = sizes.mean(axis=1)
    found = []
    for level, members in groups.items():
        for who in members:
            truth, drawn = future[:, who].sum(axis=1), paths[:, who].sum(axis=1)
            low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95], axis=0)
            past = seen[:, who[0]] if level == "clone" else filled[:, who].sum(axis=1)
            line = straight_line(week, past, WEEKS + np.arange(float(len(future))))
            last = past[~np.isnan(past)][-1]
            share = {
                "score": interval_score(low, high, truth),
                "line_score": interval_score(line[1], line[2], truth),
                "error": abs(middle - truth),
                "line_error": abs(line[0] - truth),
                "last_error": abs(last - truth),
            }
            row = {"level": level, "week": np.arange(1, len(future) + 1), "low": truth < low, "high": truth > high}
            row["line_covered"] = (line[1] <= truth) & (truth <= line[2])
            found.append(pd.DataFrame(row | {name: part / len(who) for name, part in share.items()}))
    frame = pd.concat(found, ignore_index=True)
    frame["history"], frame["seconds"] = f"{number}-{first}", fitted
    frame["saturated"] = mean[first + 55] < SATURATED * mean[first + 27]
    return frame


def told(rows: pd.DataFrame) -> pd.Series:
    """Figures of some rows: coverage [%], scores and errors per clone [MiB]."""
    gain = 1 - rows["score"].mean() / rows["line_score"].mean()
    return pd.Series(
        {
            "histories": rows["history"].nunique(),
            "covered": 100 * (1 - (rows["low"] | rows["high"]).mean()),
            "below": 100 * rows["low"].mean(),
            "above": 100 * rows["high"].mean(),
            "line": 100 * rows["line_covered"].mean(),
            "score": rows["score"].mean() / MIB,
            "line_score": rows["line_score"].mean() / MIB,
            "better": 100 * gain,
            "mae": rows["error"].mean() / MIB,
            "line_mae": rows["line_error"].mean() / MIB,
            "last_mae": rows["last_error"].mean() / MIB,
        }
    ).round(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Print coverage by level and saturation, and by weeks ahead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--no-dates", action="store_true", help="give numbers of days only: patch days are unknown")
    asked = options_of(parser, argv, draws=50, count=1)
    numbers = range(asked.first, asked.first + asked.count)
    paths = [asked.folder / f"pool-{number:05d}.parquet" for number in numbers]
    rows = pd.concat(
        [judged(path, first, asked.draws, not asked.no_dates) for path in paths if path.exists() for first in STARTS]
    )
    rows["ahead"] = pd.cut(rows["week"], [0, 4, 8, 12], labels=["1-4", "5-8", "9-12"]).astype(str)
    rows["saturated"] = np.where(rows["saturated"], "after", "before")
    with pd.option_context("display.width", 200, "display.max_columns", 30):
        print(rows.groupby(["saturated", "level"]).apply(told, include_groups=False).to_string())
        print(rows.groupby(["saturated", "level", "ahead"]).apply(told, include_groups=False).to_string())
    print(f"clonesim {cs.__version__}; a fit of 40 clones: {rows['seconds'].median():.3f} s (median)")
    found = rows.groupby(["saturated", "level"]).apply(told, include_groups=False).reset_index()
    return finish(asked, {"fit_s": float(rows["seconds"].median()), "rows": found.to_dict("records")})


if __name__ == "__main__":
    raise SystemExit(main())
