"""Charts of a simulated pool: datastores filling up, what the deltas are made of, and when they grow."""

from __future__ import annotations

import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    MOST_LUNS,
    ORANGE,
    RED,
    SHAPES,
    SKY,
    add_caption,
    axes,
    narrow,
    save_chart,
)
from clonesim.plots.growth import plot_band, plot_growth_fan
from clonesim.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.pool import Run

DAY_S, HOUR_S, HOURS_PER_WEEK = 86400.0, 3600.0, 168
WARNED = 85  # per cent: the last level that leaves time to act
LEVELS = (75, WARNED, 95)  # fill levels that administrators are warned at
TOP = 106.0  # of the axis of fill [%]
LEGEND_FROM, LEGEND_TOP = 0.4, 34.0  # the part of the time that a legend covers, and its height [% of the capacity]
DARKEST = 1000.0  # the map's scale ends at this part of its top
MOST_SOURCES = 16  # bars; the smaller sources are put together
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def plot_fill(luns: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How full each datastore is over time, up to the moment when it is full and its desktops begin to halt.

    Parameters
    ----------
    luns : DataFrame
        `run.luns`: a row per replicate, LUN and hour; space at the end of the hour. Optional columns: `fixed_bytes`,
        what is no delta; `desktops_down`. Of more than six datastores (replicates counted) the fullest, the median and
        the emptiest of each hour are drawn.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    size = luns["used_bytes"] + luns["free_bytes"]
    table = luns.assign(share=100 * luns["used_bytes"] / size, day=(luns["time_s"] + HOUR_S) / DAY_S)
    series = dict(iter(table.groupby(["lun", "replicate"], sort=True)))
    end = float(table["day"].max())
    full = {key: at for key, part in series.items() if (at := _full_day(part)) is not None}
    if len(series) <= MOST_LUNS:
        several = table["replicate"].nunique() > 1
        for number, ((lun, replicate), part) in enumerate(series.items()):
            name = f"LUN {lun}" + (f", replicate {replicate}" if several else "")
            at = full.get((lun, replicate))
            part = part if at is None else part[part["day"] <= at]
            color, shape = CYCLE[number % len(CYCLE)], SHAPES[number % len(SHAPES)]
            state = f"full on day {at:.1f}" if at is not None else f"{part['share'].iloc[-1]:.0f} %"
            ax.plot(part["day"], part["share"], color=color, ls=shape, lw=1.8, label=f"{name}: {state}")
            if at is not None:
                ax.plot(at, part["share"].iloc[-1], "X", color=color, ms=10, mec="black", clip_on=False, zorder=5)
    else:
        _fill_band(ax, table, len(series), full)
    if "fixed_bytes" in luns:
        fixed = float((100 * luns["fixed_bytes"] / size).max())
        ax.axhspan(0, fixed, color=GREY, alpha=0.15, lw=0, label=f"base images, swap files, logs: {fixed:.0f} %")
    apart = 3 if narrow(ax) else 0  # texts of the highest two would meet [pt]
    side: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    side |= {"va": "center", "fontsize": 8}
    for level in LEVELS:
        ax.axhline(level, color=GREY, lw=0.8, ls=":")
        ax.annotate(f"{level} %", (1.005, level), (0, -apart if level == LEVELS[-1] else 0), **side)
    _first_full(ax, table["replicate"].unique(), full, end)
    ax.axhline(100, color=RED, lw=1.6)
    ax.annotate("full: outage", (1.005, 100), (0, apart), color=RED, **side)
    ax.set(xlabel="Time [d]", ylabel="Used share of the capacity [%]", title="Datastores filling up")
    ax.set_xlim(0, end)
    ax.set_ylim(0, TOP)
    ax.legend(**_free_place(table, end), fontsize=8)
    return add_caption(ax, luns, _outage_text(luns, series, full))


def plot_sources(sources: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What the deltas are made of: what each source holds of them, beside its share of all that is written.

    Parameters
    ----------
    sources : DataFrame
        `run.sources`: a row per replicate, day, clone, disk and source, with the bytes written and touched first on
        that day, and (optional) `released_bytes`, given back by its discards. More than 16 sources: the smaller ones
        are put together.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    columns = [c for c in ("first_touch_bytes", "written_bytes", "released_bytes") if c in sources]
    sums = sources.groupby("source", observed=True)[columns].sum()
    if "released_bytes" in sums:
        sums["first_touch_bytes"] -= sums.pop("released_bytes")
    sums = sums[(sums != 0).any(axis=1)].sort_values(["first_touch_bytes", "written_bytes"], ascending=False)
    if len(sums) > MOST_SOURCES:
        rest = sums.iloc[MOST_SOURCES - 1 :]
        other = pd.DataFrame([rest.sum()], index=[f"{len(rest)} smaller sources"])
        sums = pd.concat([sums.iloc[: MOST_SOURCES - 1], other])
    sums = sums.iloc[::-1]
    shares = 100 * sums / sums.sum().clip(lower=1)
    desktops = len(sources[["replicate", "clone"]].drop_duplicates())
    place = np.arange(len(sums))
    ax.barh(place, shares["first_touch_bytes"], color=BLUE, height=0.65, label="share of the delta (first touches)")
    ax.plot(shares["written_bytes"], place, "D", color=ORANGE, mec="black", ms=6, label="share of all bytes written")
    top = float(shares.to_numpy().max()) if len(sums) else 1.0
    column: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "va": "center"}
    for row, size in enumerate(sums["first_touch_bytes"]):
        ax.annotate(_size_text(size / desktops), (1.015, row), **column)
    ax.annotate("in one\ndelta, mean", (1.015, len(sums) - 0.1), **column | {"va": "bottom", "color": BLUE})
    ax.set_yticks(place, [str(name) for name in sums.index], fontsize=8 if narrow(ax) else 9)
    ax.set_xlabel("Share of the sum over all sources [%]")
    ax.set_title("What the deltas are made of", pad=34 if narrow(ax) else 26)  # legend and heads stand below it
    ax.set_xlim(min(0.0, 1.05 * float(shares["first_touch_bytes"].min())) if len(sums) else 0.0, 1.05 * top or 1)
    handles, labels = ax.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2, "frameon": False}
    ax.legend(handles[::-1], labels[::-1], fontsize=8, **where)  # a mark may lie anywhere in the axes
    note = (
        "A block is charged to the source that writes it first; what a source's own discards gave back is taken off. "
        "Without that source another one may have written it: switching a source off can save less, or more, than its "
        "bar."
    )
    return add_caption(ax, sources, note)


def plot_increments_map(
    increments: pd.DataFrame,
    ax: Axes | None = None,
    start: datetime.date | None = None,
    horizon_s: float | None = None,
) -> Axes:
    """When deltas grow: mean growth steps in each hour of the week, over all LUNs.

    Parameters
    ----------
    increments : DataFrame
        `run.increments`: a row per growth step, with `replicate` and `time_s`, seconds since midnight of the first day.
    ax : Axes, optional
        Where to draw; a new figure by default.
    start : date, optional
        First day; by default `increments.attrs["start"]`. Unknown, the rows are days since the start, modulo 7.
    horizon_s : float, optional
        Simulated time; by default `increments.attrs["horizon_s"]`, else the end of the last day with a step. [s]
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter

    ax = axes(ax)
    first = start or increments.attrs.get("start")
    first = datetime.date.fromisoformat(first) if isinstance(first, str) else first
    hours = np.floor(increments["time_s"].to_numpy() / HOUR_S).astype(np.int64)
    last = float(horizon_s or increments.attrs.get("horizon_s") or (hours.max(initial=0) // 24 + 1) * DAY_S)
    replicates = max(increments["replicate"].nunique(), 1)
    counts = np.bincount(hours, minlength=int(np.ceil(last / HOUR_S)))  # all replicates together
    shift = first.weekday() * 24 if first else 0
    week = (np.arange(counts.size) + shift) % HOURS_PER_WEEK
    weeks = np.bincount(week, minlength=HOURS_PER_WEEK)
    mean = np.bincount(week, weights=counts, minlength=HOURS_PER_WEEK) / np.maximum(weeks, 1) / replicates
    table = np.where(weeks > 0, mean, np.nan).reshape(7, 24)
    top = max(float(mean.max()), 1e-9)
    norm = LogNorm(top / DARKEST, top, clip=True)  # one storm would darken all the rest on a linear scale
    mesh = ax.pcolormesh(np.arange(25), np.arange(8), np.maximum(table, top / DARKEST), cmap="cividis", norm=norm)
    label = "Growth steps per hour, mean [1/h], log scale"
    bar = ax.figure.colorbar(mesh, ax=ax, label=label, extend="min", location="bottom" if narrow(ax) else "right")
    bar.set_ticks([mark for mark in 10.0 ** np.arange(-6, 9) if top / DARKEST <= mark <= top])
    bar.formatter = FuncFormatter(lambda value, _: f"{value:,g}")
    worst = int(np.nanargmax(table))
    row, column = divmod(worst, 24)
    ax.plot(column + 0.5, row + 0.5, "o", ms=13, mfc="none", mec=RED, mew=2)
    ax.set_yticks(np.arange(7) + 0.5, WEEKDAYS if first else [f"day {n}" for n in range(7)])
    ax.set_xticks(range(0, 25, 3))
    ax.set(xlabel="Hour of the day", ylabel="Day of the week", title="When the deltas grow")
    ax.invert_yaxis()
    return add_caption(ax, increments, _worst_hour(increments, hours, first, float(mean[worst]), counts.size))


def save_run_pool(run: Run, folder: str | Path) -> list[Path]:
    """Save the charts of a simulated pool as PNG files."""
    saved = save_pool_charts(run.growth, run.luns, run.sources, run.increments, folder, run.band)
    return saved if run.band is None else [*saved, save_chart(plot_band, run.band, Path(folder) / "band.png")]


def save_pool_charts(
    growth: pd.DataFrame,
    luns: pd.DataFrame,
    sources: pd.DataFrame,
    increments: pd.DataFrame,
    folder: str | Path,
    band: pd.DataFrame | None = None,
) -> list[Path]:
    """Save the four charts of a pool as PNG files."""
    charts = (
        (partial(plot_growth_fan, band=band), growth, "growth.png"),
        (plot_fill, luns, "fill.png"),
        (plot_sources, sources, "sources.png"),
        (plot_increments_map, increments, "increments.png"),
    )
    return [save_chart(plot, frame, Path(folder) / name) for plot, frame, name in charts]


def _full_day(part: pd.DataFrame) -> float | None:
    """End of the first hour with a desktop down, in days; None if there is none or the frame does not say."""
    if "desktops_down" not in part:
        return None
    down = np.flatnonzero(part["desktops_down"].to_numpy() > 0)
    return float(part["day"].iloc[down[0]]) if down.size else None


def _fill_band(ax: Axes, table: pd.DataFrame, series: int, full: dict[Any, float]) -> None:
    replicates = table["replicate"].nunique()
    several = f" ({series // replicates} LUNs x {replicates} replicates)" if replicates > 1 else ""
    by_day = table.groupby("day")["share"]
    low, middle, high = by_day.min(), by_day.median(), by_day.max()
    ax.fill_between(high.index, low, high, color=SKY, alpha=0.35, lw=0, label=f"all {series} datastores" + several)
    ax.plot(high.index, high, color=ORANGE, lw=2.2, label=f"fullest: {high.iloc[-1]:.0f} %")
    ax.plot(middle.index, middle, color=BLUE, lw=1.8, ls="--", label=f"median: {middle.iloc[-1]:.0f} %")
    ax.plot(low.index, low, color=GREEN, lw=1.2, ls="-.", label=f"emptiest: {low.iloc[-1]:.0f} %")
    if full:
        at = min(full.values())
        text = f"first full: day {at:.1f}; full at the end: {len(full)} of {series}"
        ax.plot(at, 100, "X", color=RED, ms=10, mec="black", clip_on=False, zorder=5, ls="", label=text)


def _free_place(table: pd.DataFrame, end: float) -> dict[str, Any]:
    """Where a legend covers no line: on the right below them, or above them while all is far from full."""
    right = table[table["day"] >= LEGEND_FROM * end]["share"]
    if right.min() >= LEGEND_TOP:
        return {"loc": "lower right"}
    if right.max() <= LEGEND_TOP:
        return {"loc": "upper right", "bbox_to_anchor": (1.0, (LEVELS[0] - 2) / TOP)}
    return {"loc": "best"}


def _first_full(ax: Axes, replicates: NDArray[Any], full: dict[Any, float], end: float) -> None:
    """Shade between the replicates in which a datastore is full first and last; beyond the end, if not in all."""
    first = [min((at for (_, mine), at in full.items() if mine == one), default=np.inf) for one in replicates]
    if len(first) < 2 or not np.isfinite(first).any():
        return
    low, high, known = min(first), max(first), sum(np.isfinite(first))
    until = f"{high:.1f}" if np.isfinite(high) else "beyond the end"
    label = f"first one full, day {low:.1f} to {until} ({known} of {len(first)} replicates)"
    ax.axvspan(low, min(high, end), color=RED, alpha=0.12, lw=0, label=label)


def _outage_text(luns: pd.DataFrame, series: dict[Any, pd.DataFrame], full: dict[Any, float]) -> str:
    if "desktops_down" not in luns:
        return ""
    if not full:
        return "No datastore is full within the simulated time."
    down = sum(int(part["desktops_down"].iloc[-1]) for part in series.values())
    of_all = " (all replicates together)" if luns["replicate"].nunique() > 1 else ""
    passed = {key: float(part["day"][part["share"] >= WARNED].min()) for key, part in series.items() if key in full}
    lead = min(full[key] - day for key, day in passed.items())
    return (
        f"Full within the simulated time: {len(full)} of {len(series)} datastores, the first on day "
        f"{min(full.values()):.1f}; shortest time from {WARNED} % to full: {_lead_text(lead)}. Desktops down at the "
        f"end{of_all}: {down}. What they would have written after that is unknown."
    )


def _lead_text(days: float) -> str:
    return f"{days:.1f} d" if days >= 2 else f"{24 * days:.0f} h" if days > 0 else "less than 1 h"


def _size_text(size: float) -> str:
    for unit, length in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= length:
            return f"{size / length:.3g} {unit}"
    return f"{size:.0f} B"


def _worst_hour(
    increments: pd.DataFrame, hours: np.ndarray[Any, Any], first: datetime.date | None, mean: float, count: int
) -> str:
    if not hours.size:
        return "No delta has grown."
    keys = increments["replicate"].to_numpy().astype(np.int64) * count + hours
    found, steps = np.unique(keys, return_counts=True)
    most = int(steps.argmax())
    hour = int(found[most] % count)
    date = first + datetime.timedelta(days=hour // 24) if first else None
    day = f"{WEEKDAYS[date.weekday()]} {date.isoformat()}" if date else f"day {hour // 24}"
    return (
        f"Ring: the busiest hour of the mean week, {mean:,.0f} growth steps. Means hide storms: the busiest single "
        f"hour ({day}, {hour % 24:02d}:00) has {int(steps[most]):,}, {steps[most] / HOUR_S:.2g} per second."
    )
