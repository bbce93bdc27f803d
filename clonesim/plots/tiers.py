"""What the storage of each strategy is made of, and both charts of a comparison as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, add_caption, narrow, save_figure, size_axis
from clonesim.plots.describe import tell
from clonesim.plots.sentences import tiers_sentence
from clonesim.plots.strategies import (
    Floats,
    cut_ends,
    figure_inches,
    font_size,
    height_beside,
    interval,
    plot_strategies,
    sized_axes,
    strategies_inches,
)
from clonesim.strategy_words import TIERS, broken, comparison_verdict
from clonesim.units import GIB
from clonesim.words import number, off

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.compare import Comparison

TIER_COLUMNS = 4  # of the legend
TIER_COLORS = dict(zip(TIERS, (BLUE, GREEN, ORANGE, RED, PINK, GREY, SKY), strict=True))
TIERS_NOTE = (
    "Each tier at its largest, all desktops together. Bars: Student's 95 % interval of the total, an arrowhead where "
    "it goes on."
)


def plot_tiers(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What a desktop's storage is made of under each strategy; the one that needs least on top.

    Parameters
    ----------
    frame : DataFrame
        `Comparison.frame`; its first row is the base.
    ax : Axes, optional
        Where to draw; a new figure by default, as high as the strategies need.
    """
    ax = sized_axes(ax, _tiers_inches(frame))
    base, before = str(frame["strategy"].iloc[0]), float(frame["storage_bytes"].iloc[0]) / GIB
    rows = frame.sort_values("storage_bytes", ascending=False, kind="stable")
    place, top = _tier_places(names := _tier_names(frame, 18 if narrow(ax) else 30))
    font = font_size(ax, 1 / top, height_beside(frame, TIERS_NOTE, _legend_rows(frame)))
    left = np.zeros(len(rows))
    for column in _tiers_there(frame):
        size = rows[column].to_numpy(np.float64) / GIB
        ax.barh(place, size, left=left, height=0.66, color=TIER_COLORS[column], label=TIERS[column])
        left = left + size
    total, low, high = interval(rows)
    view = 0.0, 1.02 * max(float(total.max()), min(float(high.max()), 1.35 * float(total.max())))
    known = np.isfinite(rows["storage_bytes_low"].to_numpy(np.float64))
    low, high = cut_ends(ax, view, (low, high), place, "black")
    spans = np.stack([total - low, high - total])[:, known]
    ax.errorbar(*(total[known], place[known]), xerr=spans, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
    margin: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": font, "va": "center"}
    for spot, value in enumerate(total):
        share = "" if rows["strategy"].iloc[spot] == base else f" ({off(value / before - 1)})"
        ax.annotate(f"{number(float(value))} GiB{share}", (1.015, place[spot]), **margin)
    ax.set_yticks(place, names, fontsize=font, linespacing=1.0)
    ax.set_xlim(*view)
    ax.set_ylim(0, top)
    size_axis(ax, "x").set(xlabel="Storage per desktop")
    ax.set_title("What the storage is made of", pad=12 + 14 * _legend_rows(frame))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=TIER_COLUMNS, fontsize=8, frameon=False)
    return tell(add_caption(ax, frame, TIERS_NOTE), tiers_sentence(frame, TIERS))


def _tiers_inches(frame: pd.DataFrame) -> tuple[float, float]:
    """Size of a figure in which all names of `plot_tiers` have room. [inch]"""
    return figure_inches(_tier_places(_tier_names(frame))[1], height_beside(frame, TIERS_NOTE, _legend_rows(frame)))


def _tiers_there(frame: pd.DataFrame) -> list[str]:
    """Columns of the tiers that some strategy has."""
    return [column for column in TIERS if frame[column].to_numpy(np.float64).any()]


def _legend_rows(frame: pd.DataFrame) -> int:
    return max(1, -(-len(_tiers_there(frame)) // TIER_COLUMNS))


def _tier_names(frame: pd.DataFrame, letters: int = 30) -> list[str]:
    """Names beside the bars, from the bottom up."""
    base = str(frame["strategy"].iloc[0])
    labels = frame.sort_values("storage_bytes", ascending=False, kind="stable")["strategy"].astype(str)
    return [broken(label, letters) + (" (base)" if label == base else "") for label in labels]


def _tier_places(names: list[str]) -> tuple[Floats, float]:
    """Height of each bar's middle, and of all: a row for each, and more for names of several lines."""
    rows = np.array([1.0 + 0.65 * name.count("\n") for name in names])
    return 0.2 + np.cumsum(rows) - rows / 2, 0.4 + float(rows.sum())


def save_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Save the charts of `compare` as PNG files: storage against state lost, and tiers of storage."""
    frame = comparison.frame.copy()
    frame.attrs |= {"caption": f"{comparison_verdict(comparison)[0]} {comparison.label}"}
    where = Path(folder)
    return [
        save_figure(
            lambda one: plot_strategies(frame, one.add_subplot()), where / "strategies.png", strategies_inches(frame)
        ),
        save_figure(lambda one: plot_tiers(frame, one.add_subplot()), where / "tiers.png", _tiers_inches(frame)),
    ]
