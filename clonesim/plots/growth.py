"""How deltas grow: the fan of a pool's desktops, what was written and what is used, the band of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import (
    BLUE,
    BROWN,
    CYCLE,
    GREY,
    ORANGE,
    RED,
    SKY,
    add_caption,
    axes,
    narrow,
    size_axis,
    time_unit,
)
from clonesim.units import GIB
from clonesim.words import sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADROOM = 1.5  # the legend stands above the curves


def plot_growth_fan(growth: pd.DataFrame, ax: Axes | None = None, *, band: pd.DataFrame | None = None) -> Axes:
    """Delta of one desktop over time: median, and the band that 90 % of the desktops lie in.

    Beside it what was written, the distinct part of that, and what the guests use more than at first.

    Parameters
    ----------
    growth : DataFrame
        `run.growth`: a row per replicate, day, clone and disk; sizes at the end of the day. Disks of a clone are added
        up. Optional columns: `unique_bytes`, distinct bytes written; `censored`, whether the desktop was down by then.
    ax : Axes, optional
        Where to draw; a new figure by default.
    band : DataFrame, optional
        `run.band`, or what `clonesim.policy_band` returns: the span of the medians under all policies is hatched.
    """
    ax = axes(ax)
    columns = [c for c in ("delta_bytes", "written_bytes", "unique_bytes", "guest_used_bytes") if c in growth]
    desktops = growth.groupby(["replicate", "day", "clone"], sort=True)[columns].sum() / GIB
    desktops["net"] = desktops["guest_used_bytes"] - desktops.groupby(["replicate", "clone"])[
        "guest_used_bytes"
    ].transform("first")
    by_day = desktops.groupby("day")
    low, middle, high = (by_day["delta_bytes"].quantile(share) for share in (0.05, 0.5, 0.95))
    time = middle.index.to_numpy() + 1.0  # a day's row is its end
    label = f"5 to 95 % of the desktops: {low.iloc[-1]:.2f} to {high.iloc[-1]:.2f}"
    ax.fill_between(time, low, high, color=SKY, alpha=0.4, lw=0, label=label)
    ax.plot(time, middle, color=BLUE, lw=2.2, label=f"delta, median: {middle.iloc[-1]:.2f}")
    top = 1.1 * float(high.max())
    if band is not None:
        top = max(top, 1.1 * _hatch(ax, band))
    styles: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("written_bytes", "written by the guest, median", {"color": "black", "ls": "--"}),
        ("unique_bytes", "distinct part of it, median", {"color": "black", "ls": ":"}),
        ("net", f"guest use since day {time[0]:.0f}, median", {"color": ORANGE, "ls": "-."}),
    )
    for column, text, style in styles:
        if column in desktops:
            line = by_day[column].median()
            end = float(line.iloc[-1])
            if column != "written_bytes" or float(line.max()) <= 1.6 * top:
                top = max(top, 1.1 * float(line.max()))
            beyond = " (leaves the chart)" if float(line.max()) > (1.05 if narrow(ax) else 1.45) * top > 0 else ""
            ax.plot(time, line, lw=1.4, label=f"{text}: {end:.2f}{beyond}", **style)
    bottom = min(0.0, 1.1 * float(by_day["net"].median().min()))
    _mark_halts(ax, growth)
    ax.set(xlabel="Time [d]", ylabel="One desktop", title="How the deltas grow")
    ax.set_xlim(0, float(time[-1]))
    ax.set_ylim(bottom, (1.05 if narrow(ax) else 1.45 if band is None else 1.6) * top or 1)  # the legend is above
    ax.legend(loc="upper right", fontsize=8, title="at the end [GiB]", title_fontsize=8)
    size_axis(ax)
    room = "With room for all of it: " if "censored" in growth and growth["censored"].any() else ""
    hatched = "" if band is None else " Hatched: medians of a sample of the desktops under each policy."
    return add_caption(ax, growth, room + _sum_of_deltas(desktops["delta_bytes"]) + hatched)


def plot_written(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What was written, what of it is distinct, what the delta holds, and what the guest uses more than before.

    Parameters
    ----------
    frame : DataFrame
        `Delta.table` (`time_s`), a table of rounds (`round`) or `run.growth` (`day`; means over the desktops), with
        some of `written_bytes`, `unique_bytes`, `file_bytes` or `delta_bytes`, and `guest_used_bytes`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    means = _means(frame)
    along = str(means.index.name)
    unit, scale = time_unit(float(means.index[-1])) if along == "time_s" else ("", 1.0)
    time = means.index.to_numpy(np.float64) / scale + (1.0 if along == "day" else 0.0)
    held = next((name for name in ("delta_bytes", "file_bytes") if name in means), None)
    lines: tuple[tuple[str | None, str, dict[str, Any]], ...] = (
        ("written_bytes", "written", {"color": "black", "ls": "--", "lw": 1.6}),
        ("unique_bytes", "distinct part of it", {"color": BLUE, "ls": ":", "lw": 2.2}),
        (held, "delta", {"color": BLUE, "ls": "-", "lw": 2.4}),
        ("net", "guest use, more than at first", {"color": ORANGE, "ls": "-.", "lw": 2.2}),
    )
    for column, name, style in lines:
        if column in means:
            size = means[column].to_numpy() / GIB
            ax.plot(time, size, label=f"{name}: {sized(float(size[-1]) * GIB)}", **style)
    if held and "net" in means:
        both = means[["net", held]].to_numpy() / GIB
        style = {"color": BROWN, "alpha": 0.15, "lw": 0}
        ax.fill_between(time, np.minimum(*both.T), both[:, 1], label="held, of no use to the guest", **style)
    names = {"day": "Time [d]", "round": "Rounds", "time_s": f"Time [{unit}]"}
    title = "What was written, what is kept, what is used"
    ax.set(xlabel=names[along], ylabel="One desktop, mean" if along == "day" else "Size", title=title)
    ax.set_xlim(float(time[0]) if along != "day" else 0.0, float(time[-1]) or 1)
    drawn = means[[name for name in ("written_bytes", "unique_bytes", held, "net") if name in means]] / GIB
    ax.set_ylim(
        min(0.0, 1.1 * float(drawn.min().min())), (1.05 if narrow(ax) else HEADROOM) * float(drawn.max().max()) or 1
    )
    ax.legend(loc="upper left", fontsize=8, title="at the end", title_fontsize=8)
    return add_caption(size_axis(ax), frame)


def plot_band(band: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean delta over time under each allocation policy, with discards and without: how much rests on a guess.

    Parameters
    ----------
    band : DataFrame
        What `clonesim.policy_band` returns.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    policies = list(dict.fromkeys(band["policy"]))
    several = band["discards"].nunique() > 1
    ends = []
    for (policy, discards), part in band.groupby(["policy", "discards"], sort=False):
        mean = part["delta_mean_bytes"].to_numpy() / GIB
        number = policies.index(policy)
        text = f"{policy}, discards {'on' if discards else 'off'}" if several else str(policy)
        style = "-" if discards or not several else "--"
        color = CYCLE[number % len(CYCLE)]
        width = 6.0 - 2.0 * min(number, 2)  # lines on top of each other stay visible
        ax.plot(part["day"] + 1.0, mean, color=color, ls=style, lw=width, label=f"{text}: {mean[-1]:.2f}")
        ends.append(float(mean[-1]))
    ax.set(xlabel="Time [d]", ylabel="Delta of one desktop, mean", title="The same work under each policy")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8, title="GiB at the end", title_fontsize=8)
    note = f"From {min(ends):.2f} to {max(ends):.2f} GiB: which free clusters Windows picks is not published."
    return add_caption(size_axis(ax), band, note)


def _hatch(ax: Axes, band: pd.DataFrame) -> float:
    """Span of the medians under all policies; returns its top [GiB]."""
    spans = band.groupby("day")["delta_p50_bytes"].agg(["min", "max"]) / GIB
    last = band[band["day"] == band["day"].max()].sort_values("delta_p50_bytes")
    least, most = str(last["policy"].iloc[0]), str(last["policy"].iloc[-1])
    low, high = spans.to_numpy()[-1]
    label = f"medians of all policies, {least} to {most}: {low:.2f} to {high:.2f}"
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "hatch": "//", "lw": 0.8}
    ax.fill_between(spans.index + 1.0, spans["min"], spans["max"], label=label, **style)
    return float(spans["max"].max())


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    """Sizes along the time, the rounds or the days; of a pool the mean over its desktops, their disks added up."""
    along = next(name for name in ("day", "round", "time_s") if name in frame)
    columns = ("written_bytes", "unique_bytes", "delta_bytes", "file_bytes", "guest_used_bytes")
    known = [name for name in columns if name in frame and frame[name].notna().all()]
    if "clone" in frame:
        desktops = frame.groupby(["replicate", along, "clone"])[known].sum()
        means = desktops.groupby(along).mean().astype(np.float64)
    else:
        means = frame.set_index(along)[known].astype(np.float64)
    if "guest_used_bytes" in means:
        means["net"] = means["guest_used_bytes"] - means["guest_used_bytes"].iloc[0]
    return means


def _mark_halts(ax: Axes, growth: pd.DataFrame) -> None:
    """Shade the days on which some desktops are down: their deltas stand still for want of space."""
    if "censored" not in growth or not growth["censored"].any():
        return
    days = growth.groupby("day")["censored"].mean()
    start = float(days.index[days > 0][0])
    label = f"some desktops are down (at the end {days.iloc[-1] * 100:.0f} %): as if there were room"
    ax.axvspan(start, float(days.index[-1]) + 1, color=RED, alpha=0.12, lw=0, label=label)
    ax.axvline(start, color=RED, lw=1.4)


def _sum_of_deltas(delta: pd.Series[float]) -> str:
    """What all deltas of a pool take at the end, in words: the mean counts there, not the median or a percentile."""
    last = delta[delta.index.get_level_values("day") == delta.index.get_level_values("day").max()]
    pools = last.groupby("replicate").sum() * GIB
    spread = "" if len(pools) == 1 else f" (replicates: {sized(pools.min())} to {sized(pools.max())})"
    desktops = len(last) // len(pools)
    return f"All {desktops} deltas together at the end: {sized(pools.mean())}{spread}, mean {last.mean():.2f} GiB."
