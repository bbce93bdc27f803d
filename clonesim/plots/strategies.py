"""Charts of strategies: what each needs against what its users lose, and what its storage is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import BLUE, GREEN, GREY, ORANGE, PINK, SKY, add_caption, axes, save_chart
from clonesim.strategy_words import TIERS, broken, comparison_verdict, pareto
from clonesim.units import GIB, MIB
from clonesim.words import number, off, sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.compare import Comparison

WIDTH = 130  # letters in a line of a caption
LETTER = 0.0098  # width of a letter of a label, as a share of the axes
ROW, MOST_BAND = 0.062, 0.68  # height of a label's row, and of all rows together, as a share of the axes
LEAST_LOST, MOST_STEPS = 0.1 * MIB, 6  # bottom of the scale; marks on it
TIER_COLORS = dict(zip(TIERS, (BLUE, GREEN, ORANGE, PINK, GREY, SKY), strict=True))
NOTE = (
    "Storage: all tiers at their largest, base images and swap files shared out. Lost: blocks that profile and "
    "user-data sources had written to the system disk. Bars: Student's 95 % intervals over replicates. Step line: no "
    "other strategy needs less and loses less."
)
TIERS_NOTE = "Each tier at its largest, all desktops together. Bars: Student's 95 % interval of the total."

Floats = NDArray[np.float64]


def plot_strategies(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Storage per desktop against the user's state that is lost at a refresh; left and low is best.

    Parameters
    ----------
    frame : DataFrame
        `Comparison.frame`; its first row is the base.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Notes
    -----
    Strategies that lose nothing lie in the band at the bottom, in rows so that they can be told apart. The scale of
    what is lost above it is logarithmic.
    """
    ax = axes(ax)
    lost = frame["state_lost_bytes"].to_numpy(np.float64)
    kept = np.count_nonzero(lost <= 0)
    row = min(ROW, MOST_BAND / (kept + 0.5))
    band = row * (kept + 0.5)
    height = _heights(frame, lost, row, band)
    middle, low, high = (frame[f"storage_bytes{end}"].to_numpy(np.float64) / GIB for end in ("", "_low", "_high"))
    low, high = (np.where(np.isfinite(end), end, middle) for end in (low, high))
    refreshed = frame["refreshes"].to_numpy(np.float64) > 0
    if kept:
        ax.axhspan(0, band, color=GREEN, alpha=0.08, lw=0)
    ax.axvline(middle[0], color=GREY, lw=1.0, ls=":")
    labels = [str(label) for label in frame["strategy"]]
    front = [labels.index(label) for label in pareto(frame)]
    _frontier(ax, middle[front], height[front])
    for mine, marker, color, title in ((~refreshed, "o", BLUE, "never set back"), (refreshed, "s", ORANGE, "set back")):
        if mine.any():
            spans = np.stack([middle - low, high - middle])[:, mine]
            style: dict[str, Any] = {"fmt": marker, "color": color, "ecolor": GREY, "elinewidth": 1.0, "capsize": 2.5}
            ax.errorbar(middle[mine], height[mine], xerr=spans, ms=6, label=title, zorder=3, **style)
    _labels(ax, labels, (low, high), height, 0.9 * row)
    _marks_of_lost(ax, lost, band)
    ax.set_ylim(0, 1)
    ax.set(xlabel="Storage per desktop [GiB]", ylabel="User's state lost at each refresh")
    ax.set_title("What a strategy needs, and what its users lose", pad=26)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False)
    return add_caption(ax, frame, NOTE, WIDTH)


def _scale(lost: Floats) -> tuple[float, float]:
    """Ends of the logarithmic scale. [B]"""
    some = np.maximum(lost[lost > 0], LEAST_LOST)
    if not some.size:
        return LEAST_LOST, 10 * LEAST_LOST
    return float(some.min()) / 1.5, float(some.max()) * 2.0


def _height(lost: Floats, ends: tuple[float, float], band: float) -> Floats:
    """Place on the axes of what is lost, above the band."""
    bottom, top = np.log(ends)
    share = (np.log(np.maximum(lost, LEAST_LOST)) - bottom) / (top - bottom)
    return np.asarray(band + share * (1 - band))


def _heights(frame: pd.DataFrame, lost: Floats, row: float, band: float) -> Floats:
    """Place on the axes of each strategy: those that lose nothing in rows, the most storage on top."""
    none = lost <= 0
    found = _height(lost, _scale(lost), band)
    rank = frame["storage_bytes"].to_numpy()[none].argsort(kind="stable").argsort(kind="stable")
    found[none] = row * (rank + 0.75)
    return found


def _frontier(ax: Axes, storage: Floats, height: Floats) -> None:
    """Staircase through the strategies that none beats, from the least storage on."""
    if storage.size > 1:
        ax.step(storage, height, where="pre", color=GREEN, lw=1.4, ls="--", label="not beaten by another", zorder=1)


def _labels(ax: Axes, labels: list[str], ends: tuple[Floats, Floats], height: Floats, row: float) -> None:
    """Names beside the intervals, on the side with room; the axis is widened until all fit."""
    low, high = ends
    texts = [f"{label} (base)" if k == 0 else label for k, label in enumerate(labels)]
    width = np.array([LETTER * len(text) + 0.015 for text in texts])
    left, right = float(low.min()), float(high.max())
    step = 0.03 * max(right - left, 0.02 * right, 1e-3)
    left, right = max(0.0, left - step), right + step
    while True:
        fits_right = (high - left) / (right - left) + width <= 1
        fits_left = (low - left) / (right - left) - width >= 0
        if (fits_right | fits_left).all() or not (width < 0.9).all():
            break
        right += step
    ax.set_xlim(left, right)
    on_right = fits_right | ~fits_left
    begins = (np.where(on_right, high, low) - left) / (right - left) - np.where(on_right, 0.0, width)
    for k, at in _apart(height, begins, begins + width, row):
        style: dict[str, Any] = {"ha": "left" if on_right[k] else "right", "va": "center", "fontsize": 8}
        style |= {"weight": "bold"} if k == 0 else {}
        shift, place = (5, 0) if on_right[k] else (-5, 0), float(high[k] if on_right[k] else low[k])
        ax.annotate(texts[k], (place, at), xytext=shift, textcoords="offset points", annotation_clip=False, **style)


def _apart(height: Floats, begins: Floats, ends: Floats, row: float) -> list[tuple[int, float]]:
    """Labels with their heights: each at its strategy's, or as far above as those below it need that it would cover."""
    found: list[tuple[int, float]] = []
    for k in np.argsort(height, kind="stable").tolist():
        at = float(height[k])
        for other, taken in sorted(found, key=lambda one: one[1]):
            if begins[k] < ends[other] and begins[other] < ends[k] and abs(at - taken) < row:
                at = taken + row
        found.append((k, at))
    return found


def _marks_of_lost(ax: Axes, lost: Floats, band: float) -> None:
    """Marks of the scale: the band, and round sizes above it."""
    marks = [(0.5 * band, "nothing")] if (lost <= 0).any() else []
    if (lost > 0).any():
        ends = _scale(lost)
        sizes = np.array([step * 10.0**power for power in range(-1, 5) for step in (1, 2, 5)]) * MIB
        sizes = np.concatenate([sizes[sizes < 0.9 * GIB], np.array([1, 2, 5, 10, 20, 50]) * GIB])
        inside = sizes[(sizes >= ends[0]) & (sizes <= ends[1])]
        inside = inside[:: max(1, -(-inside.size // MOST_STEPS))] if inside.size else np.array([np.sqrt(np.prod(ends))])
        marks += [(float(at), sized(float(size))) for at, size in zip(_height(inside, ends, band), inside, strict=True)]
    ax.set_yticks([at for at, _ in marks], [text for _, text in marks])


def plot_tiers(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What a desktop's storage is made of under each strategy; the one that needs least on top.

    Parameters
    ----------
    frame : DataFrame
        `Comparison.frame`; its first row is the base.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    base = str(frame["strategy"].iloc[0])
    rows = frame.sort_values("storage_bytes", ascending=False, kind="stable")
    place, left = np.arange(len(rows)), np.zeros(len(rows))
    for column, title in TIERS.items():
        size = rows[column].to_numpy(np.float64) / GIB
        if size.any():
            ax.barh(place, size, left=left, height=0.66, color=TIER_COLORS[column], label=title)
            left = left + size
    total, low, high = (rows[f"storage_bytes{end}"].to_numpy(np.float64) / GIB for end in ("", "_low", "_high"))
    spans = np.stack([total - low, high - total])
    known = np.isfinite(spans).all(axis=0)
    ax.errorbar(
        *(total[known], place[known]), xerr=spans[:, known], fmt="none", ecolor="black", elinewidth=1.2, capsize=3
    )
    margin: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "va": "center"}
    for spot, value in enumerate(total):
        share = "" if rows["strategy"].iloc[spot] == base else f" ({off(value / _of(frame, base) - 1)})"
        ax.annotate(f"{number(float(value))}{share}", (1.01, spot), **margin)
    names = [broken(str(label), 30) + (" (base)" if label == base else "") for label in rows["strategy"]]
    ax.set_yticks(place, names, fontsize=8)
    ax.set_xlim(0, 1.02 * float(np.concatenate([total, high[np.isfinite(high)]]).max()))
    ax.set(xlabel="Storage per desktop [GiB]")
    ax.set_title("What the storage is made of", pad=40)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, frameon=False)
    return add_caption(ax, frame, TIERS_NOTE, WIDTH - 20)


def _of(frame: pd.DataFrame, label: str) -> float:
    """Storage of a strategy. [GiB]"""
    return float(frame.loc[frame["strategy"] == label, "storage_bytes"].iloc[0]) / GIB


def save_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Save the charts of `compare` as PNG files: storage against state lost, and tiers of storage."""
    frame = comparison.frame.copy()
    frame.attrs |= {"caption": f"{comparison_verdict(comparison)[0]} {comparison.label}"}
    where = Path(folder)
    return [
        save_chart(plot_strategies, frame, where / "strategies.png"),
        save_chart(plot_tiers, frame, where / "tiers.png"),
    ]
