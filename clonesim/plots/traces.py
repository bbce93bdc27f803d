"""Charts of single deltas and of runs that replay a trace."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import (
    BLUE,
    CYCLE,
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
    size_axis,
    time_unit,
)
from clonesim.units import GIB
from clonesim.words import sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.pool import TraceRun


def plot_policies(experiment: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Delta size per allocation policy, beside what the guest uses more than before.

    Parameters
    ----------
    experiment : DataFrame
        What `clonesim.pool.create_delete` returns.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    by_policy = experiment.groupby("policy", sort=False)
    first, last = by_policy.nth(0).set_index("policy"), by_policy.nth(-1).set_index("policy")
    net = (last["guest_used_bytes"] - first["guest_used_bytes"]) / GIB
    delta = (last["delta_bytes"] / GIB).sort_values()
    place = np.arange(delta.size)
    ax.barh(place, delta, color=BLUE, height=0.6, label="delta file at the end")
    ax.plot(net[delta.index], place, "D", color=ORANGE, label="guest use: end minus start", clip_on=False, zorder=3)
    for row, size in zip(place, delta, strict=True):
        ax.annotate(
            sized(float(size) * GIB), (size, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    ax.set_yticks(place, list(delta.index))
    ax.set_xlim(left=min(0.0, float(net.min())), right=(1.3 if narrow(ax) else 1.14) * float(delta.max()))
    rounds = int(experiment["round"].max())
    ax.set(xlabel="Size", ylabel="Allocation policy", title=f"Delta after {rounds} rounds of create and delete")
    ax.legend(loc="lower right")
    return add_caption(size_axis(ax, "x"), experiment)


def plot_replay(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One delta in several formats over time, between what was written and the distinct sectors of it.

    Parameters
    ----------
    table : DataFrame
        `Delta.table` of each format with a column `format`, one below the other.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    unit, scale = time_unit(float(table["time_s"].max()))
    parts = {str(name): part.sort_values("time_s") for name, part in table.groupby("format", sort=False)}
    one = next(iter(parts.values()))
    end = {name: float(part["file_bytes"].iloc[-1]) / GIB for name, part in parts.items()}
    written, unique = (float(one[column].iloc[-1]) / GIB for column in ("written_bytes", "unique_bytes"))
    top = 1.1 * max([written, *(size for size in end.values() if size <= 2 * written)])

    def draw(rows: pd.DataFrame, column: str, label: str, last: float, **style: Any) -> None:
        label = f"{label}: {last:.3f}" + (" (off the chart)" if last > top > 0 else "")
        ax.plot(rows["time_s"] / scale, rows[column] / GIB, label=label, **style)

    draw(one, "written_bytes", "written by the guest", written, color="black", lw=1, ls="--")
    for number, name in enumerate(sorted(parts, key=lambda name: -end[name])):  # wide below narrow: all stay visible
        style = {"color": CYCLE[number % len(CYCLE)], "ls": SHAPES[number // len(CYCLE) % len(SHAPES)]}
        draw(parts[name], "file_bytes", f"{name} file", end[name], lw=max(3.2 - 0.25 * number, 1.2), **style)
    draw(one, "unique_bytes", "distinct 512 B sectors", unique, color="black", lw=1)
    ax.set(xlabel=f"Time since the first command [{unit}]", ylabel="Size", title="One delta in several formats")
    ax.set_xlim(0, float(table["time_s"].max()) / scale or 1)
    ax.set_ylim(0, top or 1)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, title="at the end [GiB]", frameon=False)
    return add_caption(size_axis(ax), table)


def plot_trace_growth(growth: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Delta size of the clones of a run over time: mean, 95th percentile, and the sum of all on the right.

    Parameters
    ----------
    growth : DataFrame
        `TraceRun.growth`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    unit, scale = time_unit(float(growth["end_s"].max()))
    time, mean = growth["end_s"] / scale, growth["delta_mean_bytes"] / GIB
    p95 = growth["delta_p95_bytes"] / GIB
    ax.fill_between(time, mean, p95, color=SKY, alpha=0.35, lw=0, label="mean to 95th percentile of the clones")
    ax.plot(time, p95, color=SKY, lw=1.2, ls="--")
    ax.plot(time, mean, color=BLUE, lw=1.8, marker="o", ms=3, label="mean of the clones")
    clones = float(growth["delta_total_bytes"].iloc[-1] / growth["delta_mean_bytes"].iloc[-1])
    right = ax.secondary_yaxis("right", functions=(partial(_times, clones), partial(_times, 1 / clones)))
    right.set_ylabel(f"Sum of all {clones:.0f} clones, read at the mean")
    ax.set(xlabel=f"Time [{unit}]", ylabel="Delta file of one clone", title="Growth of the deltas")
    ax.set_xlim(0, float(time.max()))
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower right")
    size_axis(right)
    return add_caption(size_axis(ax), growth)


def plot_increments(locks: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Lock reservations per second, per interval and LUN, with the share of time that the lock is held at the peak.

    Parameters
    ----------
    locks : DataFrame
        `TraceRun.locks`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    unit, scale = time_unit(float(locks["end_s"].max()))
    for number, (label, part) in enumerate(_luns(locks, "reservations_per_s")):
        borders = np.append(part["time_s"], part["end_s"].iloc[-1]) / scale
        color, shape = CYCLE[number % len(CYCLE)], SHAPES[number % len(SHAPES)]
        ax.stairs(part["reservations_per_s"], borders, color=color, ls=shape, lw=1.8, label=label)
    peak = locks.iloc[int(locks["reservations_per_s"].to_numpy().argmax())]
    text = (
        f"peak {peak['reservations_per_s']:.3g}/s: lock held {peak['reserved_fraction'] * 100:.2g} % of that interval"
    )
    ax.annotate(text, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=9)
    ax.set(xlabel=f"Time [{unit}]", ylabel="Reservations per second [1/s]", title="Lock traffic from delta growth")
    ax.set_xlim(0, float(locks["end_s"].max()) / scale)
    ax.set_ylim(0, max(1.2 * float(peak["reservations_per_s"]), 1e-3))
    if locks["lun"].nunique() > 1:
        ax.legend(loc="upper left")
    return add_caption(ax, locks)


def plot_lock_waits(locks: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Wait for the lock per interval: median, 99th percentile and longest, each of the LUN where it is worst.

    A dotted line shows how long one hold lasts: waits below it mean that a request met one other at most.

    Parameters
    ----------
    locks : DataFrame
        `TraceRun.locks`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    unit, scale = time_unit(float(locks["end_s"].max()))
    worst = locks.groupby("end_s")[["wait_max_s", "wait_p99_s", "wait_p50_s"]].max() * 1e3
    middle = (locks.groupby("end_s")["time_s"].first() + worst.index) / 2 / scale
    names = {"wait_max_s": "longest", "wait_p99_s": "99th percentile", "wait_p50_s": "median"}
    looks = zip((RED, ORANGE, BLUE), "^so", (8, 5, 3), (3.0, 1.8, 0.9), strict=True)  # thin on wide: all are seen
    for (column, label), (color, marker, size, wide) in zip(names.items(), looks, strict=True):
        ax.plot(middle, worst[column], color=color, marker=marker, ms=size, lw=wide, label=label, clip_on=False)
    held_s = float((locks["reserved_fraction"] * (locks["end_s"] - locks["time_s"])).sum())
    hold = held_s / max(int(locks["reservations"].sum()), 1) * 1e3
    ax.axhline(hold, color=GREY, ls=":", lw=1.2, label=f"one hold ({hold:.3g} ms)")
    several = ", worst LUN" if locks["lun"].nunique() > 1 else ""
    ax.set(xlabel=f"Time [{unit}]", ylabel=f"Wait for the lock{several} [ms]", title="How long a growth step waits")
    ax.set_xlim(0, float(locks["end_s"].max()) / scale)
    top = float(np.nanmax([*worst["wait_max_s"], hold]))
    ax.set_ylim(0, 1.45 * top if top else 1)
    ax.legend(loc="upper right")
    return add_caption(ax, locks)


def save_run_charts(run: TraceRun, folder: str | Path) -> list[Path]:
    """Save the three charts of a trace-driven run as PNG files."""
    charts = (
        (plot_trace_growth, run.growth, "growth.png"),
        (plot_increments, run.locks, "reservations.png"),
        (plot_lock_waits, run.locks, "lock_waits.png"),
    )
    return [save_chart(plot, frame, Path(folder) / name) for plot, frame, name in charts]


def _times(factor: float, values: Any) -> Any:
    return values * factor


def _luns(locks: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each LUN; of many LUNs, the busiest and the median LUN of each interval."""
    if locks["lun"].nunique() <= MOST_LUNS:
        return [(f"LUN {lun}", part) for lun, part in locks.groupby("lun")]
    groups = locks.groupby("time_s", as_index=False)
    ends = groups["end_s"].first()
    return [
        ("busiest LUN", ends.merge(groups[column].max())),
        ("median LUN", ends.merge(groups[column].median())),
    ]
