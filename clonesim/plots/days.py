"""Charts of a simulated pool day by day: waits for locks, what the array is asked for, and how fast it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import BLUE, GREY, ORANGE, RED, add_caption, axes, narrow
from clonesim.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DAY_S = 86400.0
LEAST_MS = 1e-3  # bottom of the scale: shorter waits lie on it

Floats = NDArray[np.float64]


def plot_lock_days(luns: pd.DataFrame, ax: Axes | None = None, limit_s: float | None = None) -> Axes:
    """Waits for a lock in the worst hour of each day, on the datastore where they are longest.

    Parameters
    ----------
    luns : DataFrame
        `run.luns`: a row per replicate, LUN and hour with `time_s`, `wait_p50_s`, `wait_p99_s`, `wait_max_s`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    limit_s : float, optional
        A limit to draw. [s]
    """
    ax = axes(ax)
    by_day = luns.groupby(np.floor(luns["time_s"] / DAY_S).astype(np.int64))
    waits = 1e3 * by_day[["wait_max_s", "wait_p99_s", "wait_p50_s"]].max()
    day = waits.index.to_numpy(np.float64) + 0.5
    if not waits.notna().to_numpy().any():
        ax.annotate("no lock that hosts share is taken", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)
        ax.set(xlabel="Time [d]", ylabel="Wait for the lock [ms]", title="How long lock requests wait")
        return add_caption(ax, luns)
    names = {"wait_max_s": "longest", "wait_p99_s": "99th percentile", "wait_p50_s": "median"}
    looks = zip((RED, ORANGE, BLUE), "^so", (7, 4.5, 2.5), (2.6, 1.6, 0.8), strict=True)  # thin on wide: all are seen
    for (column, name), (color, marker, size, wide) in zip(names.items(), looks, strict=True):
        values = waits[column].to_numpy(np.float64)
        label = f"{name}: {number(float(np.nanmax(values)))} at its highest"
        ax.plot(day, np.maximum(values, LEAST_MS), color=color, marker=marker, ms=size, lw=wide, label=label)
    top = max(float(np.nanmax(waits.to_numpy())), 1.0)
    if limit_s:
        ax.axhline(1e3 * limit_s, color="black", lw=1.4, ls="--", label=f"limit of a plan: {number(1e3 * limit_s)}")
        top = max(top, 1e3 * limit_s)
    _waiting(ax, top)
    ax.set(xlabel="Time [d]", title="Waits for locks, worst hour of each day")
    _days(ax, waits.index.to_numpy(np.int64))
    ax.legend(loc="upper right", fontsize=8, ncols=1 if narrow(ax) else 2, title="ms", title_fontsize=8)
    return add_caption(ax, luns, "Each line: the datastore where it is longest, all replicates. An hour hides minutes.")


def plot_load(peaks: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """I/Os a second that the busiest datastore is asked for in its worst minute of each day.

    Parameters
    ----------
    peaks : DataFrame
        `run.peaks`: a row per replicate, LUN and day with `iops`, `read_iops`, `write_iops` and the day's `mean_iops`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    worst = peaks.loc[peaks.groupby("day")["iops"].idxmax()].sort_values("day")
    day = worst["day"].to_numpy(np.float64) + 0.5
    reads, writes = (worst[f"{kind}_iops"].to_numpy(np.float64) for kind in ("read", "write"))
    mean = worst["mean_iops"].to_numpy(np.float64)
    ax.bar(day, reads, width=0.85, color=BLUE, label=f"reads: {number(round(reads.max()))} at most")
    label = f"writes, on top of them: {number(round(writes.max()))} at most"
    ax.bar(day, writes, width=0.85, bottom=reads, color=ORANGE, label=label)
    ax.plot(day, mean, color="black", lw=1.6, label=f"mean of that day: {number(round(mean.max()))} at most")
    ax.set(xlabel="Time [d]", ylabel="I/Os a second [1/s]", title="Demand, worst minute of each day")
    ax.set_ylim(0, 1.45 * float((reads + writes).max()) or 1)
    _days(ax, worst["day"].to_numpy(np.int64))
    ax.legend(loc="upper right", fontsize=8, title="I/Os a second", title_fontsize=8)
    return add_caption(ax, peaks, "Of each day the datastore and the minute with the most I/Os, all replicates.")


def plot_latency_days(luns: pd.DataFrame, ax: Axes | None = None, limit_s: float | None = None) -> Axes:
    """95th percentile of the array's latency in the worst minute of each day, and in that of a usual hour.

    Parameters
    ----------
    luns : DataFrame
        `run.luns`: a row per replicate, LUN and hour with `time_s` and `latency_p95_s` of the hour's worst minute.
    ax : Axes, optional
        Where to draw; a new figure by default.
    limit_s : float, optional
        A limit to draw. [s]
    """
    ax = axes(ax)
    hours = luns.groupby(["replicate", "time_s"])["latency_p95_s"].max().reset_index()  # the LUN where it is highest
    by_day = 1e3 * hours.groupby(np.floor(hours["time_s"] / DAY_S).astype(np.int64))["latency_p95_s"].agg(
        ["max", "median"]
    )
    if not by_day.notna().to_numpy().any():
        ax.annotate("no latency is known", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)
        ax.set(xlabel="Time [d]", ylabel="Latency of the array [ms]", title="How fast the array answers")
        return add_caption(ax, luns)
    day = by_day.index.to_numpy(np.float64) + 0.5
    series: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("max", "worst hour of the day", RED, {"marker": "^", "ms": 4}),
        ("median", "median hour of the day", BLUE, {"ls": "--"}),
    )
    for column, name, color, style in series:
        values = by_day[column].to_numpy(np.float64)
        label = f"{name}: {number(float(np.nanmax(values)))} at its highest"
        ax.plot(day, np.maximum(values, LEAST_MS), color=color, lw=1.4, label=label, **style)
    top = max(float(np.nanmax(by_day.to_numpy())), 1.0)
    if limit_s:
        ax.axhline(1e3 * limit_s, color="black", lw=1.4, ls=":", label=f"limit of a plan: {number(1e3 * limit_s)}")
        top = max(top, 1e3 * limit_s)
    low = float(np.nanmin(by_day.to_numpy()))
    ax.set_yscale("log")
    ax.set_ylim(max(0.5 * low, LEAST_MS), 8 * top)
    _marks(ax, max(0.5 * low, LEAST_MS), 8 * top)
    ax.set(xlabel="Time [d]", ylabel="Latency, 95th percentile [ms], log scale", title="How fast the array answers")
    _days(ax, by_day.index.to_numpy(np.int64))
    ax.legend(loc="upper right", fontsize=8, title="ms", title_fontsize=8)
    return add_caption(ax, luns, "Of each hour its worst minute, on the datastore where it is highest.")


def _waiting(ax: Axes, top: float) -> None:
    """Log axis of waits that may be none, with room for a legend above them. [ms]"""
    ax.set(ylabel="Wait for the lock [ms], log scale", yscale="log")
    ax.set_ylim(0.7 * LEAST_MS, 30 * top)
    _marks(ax, LEAST_MS, 30 * top, f"{LEAST_MS:g} or less")


def _marks(ax: Axes, low: float, high: float, first: str = "") -> None:
    """Powers of ten as plain numbers; `first` stands at the lowest."""
    powers = 10.0 ** np.arange(-3, 8)
    ticks = powers[(powers >= low * (1 - 1e-9)) & (powers <= high)]
    if ticks.size < 2:
        return
    ax.set_yticks(ticks, [first or f"{ticks[0]:g}", *(f"{tick:,g}" for tick in ticks[1:])])
    ax.minorticks_off()


def _days(ax: Axes, days: NDArray[np.int64]) -> None:
    ax.set_xlim(float(days.min()), float(days.max()) + 1)
