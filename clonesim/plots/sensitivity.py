"""Charts of a sensitivity: what each assumption does by itself, and its shares of the variance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    add_caption,
    axes,
    broken,
    captioned,
    narrow,
    save_chart,
    text_beside,
    with_room,
)
from clonesim.sensitivity_words import sensitivity_verdict, told
from clonesim.words import BYTES, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.sensitivity import Sensitivity

DECADE = 10.0  # figures over more than that are drawn on a log scale


def plot_sensitivity(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Tornado: the figure at both ends of each assumption, if nothing else changes; the largest share on top.

    Parameters
    ----------
    frame : DataFrame
        `Sensitivity.frame`, with its attrs.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    unit, usual = str(frame.attrs["unit"]), float(frame.attrs["usual"])
    rows = frame.iloc[::-1].to_dict("records")
    ends = [*frame["at_lower"], *frame["at_higher"], usual]
    called, scale = _scale(max(ends), unit)
    log = min(ends) > 0 and max(ends) / min(ends) > DECADE
    low, high = min(ends) / scale, max(ends) / scale
    longest, small = {"left": 0, "right": 0}, narrow(ax)
    names: list[str] = []
    for place, row in enumerate(rows):
        for end, color in (("lower", BLUE), ("higher", ORANGE)):
            at = float(row[f"at_{end}"])
            ax.barh(place, (at - usual) / scale, left=usual / scale, color=color, height=0.55)
        names.append(broken(str(row["title"]), (text for _, text in _ends(row, usual).values()) if small else ()))
        for side, (at, text) in _ends(row, usual).items() if not small else ():
            longest[side] = max(longest[side], len(text))
            text_beside(ax, place, at / scale, side, text)
    ax.axvline(usual / scale, color="black", lw=1.0)
    ax.set_yticks(np.arange(len(rows)), names, fontsize=7 if small else 8)
    title = str(frame.attrs["title"])
    ax.set(xlabel=f"{title[0].upper()}{title[1:]}{f' [{called}]' if called else ''}{', log scale' if log else ''}")
    ax.set_title(f"What each assumption does by itself (line: {told(usual, unit)})")
    _room(ax, (low, high), longest, log)
    return add_caption(ax, frame)


def plot_shares(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """First and total shares of the variance of each assumption, with intervals, and what is left of the first row.

    Parameters
    ----------
    frame : DataFrame
        `Sensitivity.frame`, with its attrs.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    rows = frame.iloc[::-1]
    place = np.arange(len(rows))
    series = (("total", "with interactions", BLUE, 0.19), ("first", "by itself", SKY, -0.19))
    for name, label, color, up in series:
        value, low, high = (100 * rows[column].to_numpy(float) for column in (name, f"{name}_low", f"{name}_high"))
        ax.barh(place + up, np.clip(value, 0, 100), color=color, height=0.36, label=label)
        ends = np.clip([low, high], 0.0, 100.0)
        middle = np.clip(value, 0, 100)
        errors = np.maximum([middle - ends[0], ends[1] - middle], 0.0)
        ax.errorbar(middle, place + up, xerr=errors, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
    settled = 100 * np.clip(rows["rest"].to_numpy(float), 0, 1)
    if settled.any():
        others = place[:-1]
        label = "of the rest, once the first is settled"
        ax.plot(settled[:-1], others, "D", color=ORANGE, ms=6, mec="white", label=label, zorder=5)
    ax.set_yticks(place, [broken(str(title)) for title in rows["title"]], fontsize=8)
    ax.set(xlabel=f"Share of the variance: {frame.attrs['title']} [%]", xlim=(0, 102))
    ax.set_title("Which assumption moves the answer most")
    if not rows["total"].to_numpy(float).any():
        ax.annotate("no assumption moves it", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)
    ax.legend(loc="lower right", fontsize=8)
    return add_caption(ax, frame, "Lines: 95 % intervals.")


def save_sensitivity(found: Sensitivity, folder: str | Path) -> list[Path]:
    """Save both charts as PNG files."""
    frame = captioned(found.frame, *sensitivity_verdict(found), found.label)
    where = Path(folder)
    return [
        save_chart(plot_sensitivity, frame, where / f"sensitivity-{found.figure}.png"),
        save_chart(plot_shares, frame, where / f"sensitivity-{found.figure}-shares.png"),
    ]


def _scale(most: float, unit: str) -> tuple[str, float]:
    """Unit of the axis, and what one of it is in the frame's unit."""
    if unit == "B":
        return next(((name, float(size)) for name, size in BYTES if most >= size), (BYTES[-1][0], float(BYTES[-1][1])))
    if unit == "s":
        return "ms", 1e-3
    return ("" if unit == "1" else unit), 1.0


def _ends(row: dict[Any, Any], usual: float) -> dict[str, tuple[float, str]]:
    """By side of the usual figure: the end that is farthest there, in words; none where nothing moves."""
    found: dict[str, tuple[float, str]] = {}
    if row["at_lower"] == row["at_higher"]:
        return found
    for end in ("lower", "higher"):
        at = float(row[f"at_{end}"])
        if at == usual:
            continue
        side = "right" if at > usual else "left"
        change = at / usual - 1 if usual else float("inf")
        text = f"{row[end]}: {_change(change)}"
        if side not in found or abs(at - usual) > abs(found[side][0] - usual):
            found[side] = at, text
    return found


def _change(share: float) -> str:
    if share >= 2:
        return f"x {number(1 + share)}"
    return f"{100 * share:+.0f} %" if abs(share) >= 0.0995 else f"{100 * share:+.1f} %"


def _room(ax: Axes, ends: tuple[float, float], longest: dict[str, int], log: bool) -> None:
    """Limits with room for the texts beside the bars."""
    low, high = (np.log(ends) if log else np.array(ends)).tolist()
    if high - low < 1e-12:
        low, high = low - max(0.05 * abs(low), 1e-6), high + max(0.05 * abs(high), 1e-6)
    limits = with_room(low, high, longest)
    if log:
        ax.set_xscale("log")
        limits = float(np.exp(limits[0])), float(np.exp(limits[1]))
    ax.set_xlim(*limits)
