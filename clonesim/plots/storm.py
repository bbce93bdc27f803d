"""Lock waits through a storm: each request's wait, and how long most of them waited from minute to minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import BLUE, GREY, ORANGE, RED, add_caption, axes, narrow, time_unit
from clonesim.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 4000  # requests drawn; of more, every so many, and all that failed
INTERVALS = 60  # that quantiles are drawn of, unless told
LEAST_MS = 1e-3  # bottom of the scale: shorter waits lie on it

Floats = NDArray[np.float64]


def plot_storm(
    served: pd.DataFrame, ax: Axes | None = None, *, interval_s: float | None = None, limit_s: float | None = 0.02
) -> Axes:
    """Wait of the lock requests of one LUN over time, with the median and the 99th percentile of each interval.

    Parameters
    ----------
    served : DataFrame
        What `clonesim.lock_queue` returns: `time_s`, `hold_s`, `wait_s`, and (optional) `failed`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    interval_s : float, optional
        Length of an interval; by default a 60th of the time. [s]
    limit_s : float or None, default 0.02
        Wait from which on a lock bites, as a line. [s]

    Notes
    -----
    The scale is logarithmic; what waits less than 0.001 ms, as one that found the lock free, lies at the bottom.
    """
    ax = axes(ax)
    time, wait = served["time_s"].to_numpy(np.float64), served["wait_s"].to_numpy(np.float64) * 1e3
    failed = served["failed"].to_numpy(bool) if "failed" in served else np.zeros(time.size, bool)
    if not time.size:
        ax.annotate("no request", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)
        ax.set(xlabel="Time [s]", ylabel="Wait for the lock [ms]", title="How long lock requests wait")
        return add_caption(ax, served)
    start, end = float(time.min()), float(time.max())
    unit, scale = time_unit(end - start)
    step = interval_s or max((end - start) / INTERVALS, 1e-9)
    shown = np.zeros(time.size, bool)
    shown[:: -(-time.size // MOST_POINTS)] = True
    mine = shown & ~failed
    dots: dict[str, Any] = {"marker": ".", "ls": "none", "ms": 3, "alpha": 0.5, "rasterized": True}
    ax.plot(time[mine] / scale, np.maximum(wait[mine], LEAST_MS), color=GREY, label="_requests", **dots)
    middle, half, most = _by_interval(time, wait, start, step)
    curves = ((most, "99th percentile", ORANGE, "-"), (half, "median", BLUE, "--"))
    for values, name, color, shape in curves:
        label = f"{name}: {number(float(np.nanmax(values)))} at its highest"
        ax.plot(middle / scale, np.maximum(values, LEAST_MS), color=color, ls=shape, lw=2.2, label=label)
    if failed.any():
        label = f"gave up: {number(int(failed.sum()))} of {number(time.size)}"
        ax.plot(time[failed] / scale, wait[failed], "X", color=RED, ms=6, mec="black", mew=0.5, label=label, ls="none")
    hold = round(1e3 * float(served["hold_s"].mean()), 6)
    ax.axhline(hold, color="black", ls=":", lw=1.2, label=f"one hold, mean: {number(hold)}")
    if limit_s:
        ax.axhline(1e3 * limit_s, color=RED, lw=1.4, label=f"limit: {number(1e3 * limit_s)}")
    ax.set(xlabel=f"Time [{unit}]", ylabel="Wait for the lock [ms], log scale", yscale="log")
    ax.set_title("How long lock requests wait")
    highest = max(float(wait.max()), hold, 1e3 * (limit_s or 0))
    ax.set_ylim(LEAST_MS, 30 * highest)  # the legend stands above the points
    powers = 10.0 ** np.arange(-3, 8)
    ticks = powers[powers <= 30 * highest]
    ax.set_yticks(ticks, ["0.001 or less", *(f"{tick:,g}" for tick in ticks[1:])])
    ax.minorticks_off()
    ax.set_xlim(start / scale, max(end, start + step) / scale)
    ax.legend(loc="upper right", fontsize=8, ncols=1 if narrow(ax) else 2, title="[ms]", title_fontsize=8)
    none = float((wait <= 0).mean())
    return add_caption(ax, served, f"{number(time.size)} requests, of which {100 * none:.0f} % found the lock free.")


def _by_interval(time: Floats, wait: Floats, start: float, step: float) -> tuple[Floats, Floats, Floats]:
    """Middle of each interval, median and 99th percentile of the waits in it; NaN of none."""
    place = ((time - start) / step).astype(np.int64)
    count = int(place.max()) + 1
    groups = pd.Series(wait).groupby(place)
    both = groups.quantile(np.array([0.5, 0.99])).unstack().reindex(range(count))
    middle = np.asarray(start + step * (np.arange(count) + 0.5), np.float64)
    return middle, both[0.5].to_numpy(np.float64), both[0.99].to_numpy(np.float64)
