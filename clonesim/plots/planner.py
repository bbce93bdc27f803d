"""Charts of a planned pool, small enough for a telephone: growth, a LUN filling up, lock waits, what is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import BLUE, GREY, ORANGE, RED, SKY, add_caption, axes, narrow, size_axis
from clonesim.plots.describe import tell
from clonesim.units import GIB
from clonesim.words import METRICS, number, sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MORE = 1.02  # a largest size that is less above the last one is not told
MOST_ITEMS = 8  # bars; the smaller items are put together
LEAST_WAIT, FAILED = 1e-5, 100.0  # waits below and above are drawn there [s]


def plot_planned_growth(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """A desktop's files day by day, with what the policies make of the same work.

    Parameters
    ----------
    frame : DataFrame
        `Outlook.growth`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    day, low, middle, high = (frame[name].to_numpy(np.float64) for name in ("day", "p5", "p50", "p95"))
    ax.fill_between(day, low / GIB, high / GIB, color=SKY, alpha=0.4, lw=0, label="nine of ten desktops")
    ax.plot(day, middle / GIB, color=BLUE, lw=2.2, label=f"median: {_ends(middle)}")
    below, above = (frame[name].to_numpy(np.float64) / GIB for name in ("policies_low", "policies_high"))
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "hatch": "//", "lw": 0.8}
    ends = f"{sized(below[-1] * GIB)} to {sized(above[-1] * GIB)}"
    ax.fill_between(day, below, above, label=f"medians of all policies,\ndiscards on or off: {ends}", **style)
    top = max(float(high.max()) / GIB, float(above.max()))
    ax.set(xlabel="Time [d]", ylabel="One desktop's files", title="How a desktop grows")
    ax.set_xlim(0, float(day[-1]))
    ax.set_ylim(0, (1.1 if narrow(ax) else 1.45) * top or 1)  # a legend has room
    ax.legend(loc="upper left", fontsize=8, title=f"after {number(float(day[-1]))} days", title_fontsize=8)
    text = (
        f"How a desktop grows: after {number(float(day[-1]))} days the median is {_ends(middle)}, nine of ten lie "
        f"between {sized(low[-1])} and {sized(high[-1])}; under all policies, discards on or off, the medians go "
        f"from {ends}"
    )
    return tell(add_caption(size_axis(ax), frame), text)


def plot_planned_fill(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How a LUN fills up, and when it is full.

    Parameters
    ----------
    frame : DataFrame
        `Outlook.fill`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    limit, fixed, n = (frame.attrs[name] for name in ("limit_bytes", "fixed_bytes", "clones"))
    day, low, middle, high = (frame[name].to_numpy(np.float64) for name in ("day", "p5", "p50", "p95"))
    ax.axhspan(0, fixed / GIB, color=GREY, alpha=0.2, lw=0, label=f"base image, swap, logs: {sized(fixed)}")
    ax.fill_between(day, low / GIB, high / GIB, color=SKY, alpha=0.4, lw=0, label="nine of ten LUNs")
    ax.plot(day, middle / GIB, color=BLUE, lw=2.2, label=f"median: {_ends(middle)} ({middle.max() / limit:.0%})")
    ax.axhline(limit / GIB, color=RED, lw=1.8, ls="--", label=f"full: {sized(limit)}, an outage")
    share = frame["p_full"].to_numpy(np.float64)
    first = np.flatnonzero(share > 0)
    risk = "no LUN is full by then"
    if first.size:
        last = np.flatnonzero(share >= share[-1])[0]
        span = f"from day {day[first[0]]:.0f}" if first[0] == last else f"day {day[first[0]]:.0f} to {day[last]:.0f}"
        risk = f"{number(100 * share[-1])} % of such LUNs are full, {span}"
        ax.axvspan(day[first[0]], max(day[last], day[first[0]] + 0.4), color=RED, alpha=0.15, lw=0, label=risk)
    ax.set(xlabel="Time [d]", ylabel="Used on one LUN", title=f"A LUN of {n} clones fills up")
    ax.set_xlim(float(day[0]) if day.size > 1 else 0, float(day[-1]))
    ax.set_ylim(0, (1.1 if narrow(ax) else 1.6) * max(limit, float(high.max())) / GIB)
    ax.legend(loc="upper left", fontsize=8)
    text = (
        f"A LUN of {n} clones fills up: after {number(float(day[-1]))} days the median LUN uses {_ends(middle)} of "
        f"{sized(limit)}, nine of ten between {sized(low[-1])} and {sized(high[-1])}; {risk}"
    )
    return tell(add_caption(size_axis(ax), frame), text)


def _ends(sizes: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """The last size, and the largest if that is another one: what is refreshed does not end at its largest."""
    last, most = float(sizes[-1]), float(sizes.max())
    return sized(last) if most <= MORE * last else f"{sized(last)}, at most {sized(most)}"


def wait_told(wait_s: float) -> str:
    """A wait in words; an infinite one is that of a request that is given up."""
    if np.isinf(wait_s):
        return "given up"
    return METRICS["lock_wait"].told(wait_s) if wait_s > 0 else "none"


def plot_planned_waits(frame: pd.DataFrame, ax: Axes | None = None, *, density: int | None = None) -> Axes:
    """Wait for a LUN's lock in the worst storm, as more clones share it.

    Parameters
    ----------
    frame : DataFrame
        `Density.frame`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    density : int, optional
        Number of clones to mark.
    """
    ax = axes(ax)
    rows, metric = frame[frame["metric"] == "lock_wait"].sort_values("n"), METRICS["lock_wait"]
    ax.set(xlabel="Clones on one LUN", ylabel="Wait for the lock, 99th percentile", title="Wait for the lock")
    if rows.empty:
        ax.text(0.5, 0.5, "nothing takes a lock\nthat hosts share", transform=ax.transAxes, ha="center", va="center")
        ax.set(xticks=[], yticks=[])
        return tell(add_caption(ax, frame), "Wait for the lock: nothing takes a lock that hosts share")
    n, limit = rows["n"].to_numpy(), float(rows["limit"].iloc[0])
    low, middle, high = (
        np.clip(rows[name].to_numpy(np.float64), LEAST_WAIT, FAILED) for name in ("low", "value", "high")
    )
    ax.fill_between(n, low, high, color=SKY, alpha=0.4, lw=0, label="its interval (few replicates)")
    ax.plot(n, middle, "o-", color=BLUE, lw=2.0, ms=4, label="worst kind of storm")
    ax.axhline(limit, color=RED, lw=1.8, ls="--", label=f"limit: {metric.told(limit)}")
    told = ""
    if density is not None and (n == density).any():
        value = float(rows["value"].to_numpy()[n == density][0])
        told = f"with {density} clones: {wait_told(value)}"
        ax.axvline(density, color="black", lw=1.2, ls=":", label=told)
    ax.set_yscale("log")
    marks = {LEAST_WAIT: "none", 1e-4: "0.1 ms", 1e-3: "1 ms", 1e-2: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s"}
    marks |= {FAILED: "given up"} if np.isinf(rows["high"]).any() else {}
    ax.set_yticks(list(marks), list(marks.values()))
    ax.set_yticks([], minor=True)
    ax.set_xlim(0, float(n[-1]) * 1.02)
    ax.set_ylim(LEAST_WAIT * 0.8, (5 if narrow(ax) else 200) * max(limit, float(middle.max())))
    ax.legend(loc="upper left", fontsize=8)
    last = float(rows["value"].iloc[-1])
    text = (
        f"Wait for the lock, 99th percentile in the worst kind of storm, limit {metric.told(limit)}: {told}; with "
        f"{n[-1]} clones: {wait_told(last)}"
    )
    return tell(add_caption(ax, frame), text)


def plot_planned_cost(frame: pd.DataFrame, ax: Axes | None = None, *, currency: str = "", years: float = 0) -> Axes:
    """What a desktop costs over the horizon, item by item.

    Parameters
    ----------
    frame : DataFrame
        `Cost.items` of one strategy.
    ax : Axes, optional
        Where to draw; a new figure by default.
    currency : str
        Label of the amounts.
    years : float
        The horizon, to be told.
    """
    ax = axes(ax)
    rows = frame[frame["counted"] & (frame["per_desktop"] != 0)].sort_values("per_desktop", ascending=False)
    bars = dict(zip(rows["title"].astype(str), rows["per_desktop"].astype(float), strict=True))
    if len(bars) > MOST_ITEMS:
        names = list(bars)[MOST_ITEMS - 1 :]
        rest = sum(bars.pop(name) for name in names)
        bars[f"{len(names)} smaller items"] = rest
    place = np.arange(len(bars))[::-1]
    values = np.array(list(bars.values()))
    ax.barh(place, values, color=ORANGE, edgecolor="black", lw=0.6, height=0.65)
    for at, value in zip(place, values, strict=True):
        ax.annotate(f"{value:,.0f}", (value, at), (4, 0), textcoords="offset points", va="center", fontsize=8)
    ax.set_yticks(place, [name.replace(", ", ",\n", 1) if len(name) > 24 else name for name in bars], fontsize=8)
    ax.set_xlim(0, 1.25 * float(values.max(initial=1)))
    total = float(values.sum())
    over = f" over {number(years)} years" if years else ""
    ax.set(xlabel=f"Present value of one desktop {currency}".strip(), title=f"What a desktop costs{over}: {total:,.0f}")
    listed = ", ".join(f"{name} {value:,.0f}" for name, value in bars.items())
    return tell(add_caption(ax, frame), f"What a desktop costs{over} {currency}: {total:,.0f}; {listed}")
