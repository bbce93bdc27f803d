"""Charts of strategies: what each needs against what its users lose, and what its storage is made of."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    add_caption,
    axes,
    size_axis,
)
from clonesim.plots.describe import tell
from clonesim.plots.sentences import strategies_sentence
from clonesim.strategy_words import pareto
from clonesim.units import GIB, MIB
from clonesim.words import sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH = 130  # letters in a line of a caption
INCHES = (8.0, 5.0)  # of a figure, unless its rows need more
POINTS = 72  # in an inch
FONT, LEAST_FONT = 8.0, 4.0  # of names [pt]
ROW_POINTS = 13.0  # height of a row with a name in FONT [pt]
ROW = 0.062  # most height of a row, as a share of the axes
MOST_LETTERS = 60  # of names that stand together
GAP = 0.008  # between a name and its point, as a share of the axes
REACH = 0.6  # an interval is drawn so far beyond the outermost strategies, as a share of their span
LEAST_LOST, MOST_STEPS = 0.1 * MIB, 6  # bottom of the scale; marks on it
NOT_BEATEN = "not beaten by another"
NOTE = (
    "Storage: all tiers at their largest, base images and swap files shared out. Lost: blocks that profile (unless "
    "streamed) and user-data sources had written to the system disk; nothing where it is set back only after the run; "
    "log scale above the band. Dotted line: the base. "
    "Bars: Student's 95 % intervals over replicates, an arrowhead where one goes on. Green line and rings: no other "
    "strategy needs less storage without losing more."
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Label:
    """Place of a name: where it begins and ends, and its height; all as shares of the axes."""

    begin: float
    end: float
    at: float

    def covers(self, other: Label, row: float) -> bool:
        """Whether both would be drawn over each other, in rows of this height."""
        return self.begin < other.end and other.begin < self.end and abs(self.at - other.at) < 0.999 * row


@dataclass(frozen=True)
class Points:
    """Where strategies lie: low, middle and high storage [GiB]; height, row and band as shares of the axes."""

    spans: tuple[Floats, Floats, Floats]
    height: Floats
    above: NDArray[np.bool_]  # who lies above the band
    row: float
    band: float

    def heights(self, k: int) -> list[float]:
        """Heights at which the name of one may stand, the nearest first."""
        own = float(self.height[k])
        if not self.above[k]:
            return [own]
        near = [own + sign * shift * self.row for shift in np.arange(0.5, 1 / self.row, 0.5) for sign in (1, -1)]
        return [own, *(at for at in near if self.band + 0.6 * self.row < at < 1 - 0.6 * self.row)]


def plot_strategies(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Storage per desktop against the user's state that is lost at a refresh; left and low is best.

    Parameters
    ----------
    frame : DataFrame
        `Comparison.frame`; its first row is the base.
    ax : Axes, optional
        Where to draw; a new figure by default, as high as the strategies need.

    Notes
    -----
    Strategies that lose nothing lie in the band at the bottom, in rows so that they can be told apart: the least
    storage lowest. The scale of what is lost above it is logarithmic.
    """
    ax = sized_axes(ax, strategies_inches(frame))
    lost = frame["state_lost_bytes"].to_numpy(np.float64)
    row = min(ROW, 1 / _rows(lost))
    band = row * (np.count_nonzero(lost <= 0) + 0.5)
    height = _heights(frame, lost, row, band)
    middle, low, high = interval(frame)
    refreshed = frame["refreshes"].to_numpy(np.float64) > 0
    if (lost <= 0).any():
        ax.axhspan(0, band, color=GREEN, alpha=0.08, lw=0)
    ax.axvline(middle[0], color=GREY, lw=1.0, ls=":", zorder=0.5)
    view = _view(middle, low, high)
    ax.set_xlim(*view)
    low, high = cut_ends(ax, view, (low, high), height, GREY)
    front = _frontier(ax, frame, middle, height)
    for mine, marker, color, title in ((~refreshed, "o", BLUE, "not set back"), (refreshed, "s", ORANGE, "set back")):
        if mine.any():
            spans = np.stack([middle - low, high - middle])[:, mine]
            style: dict[str, Any] = {"fmt": marker, "color": color, "ecolor": GREY, "elinewidth": 1.0, "capsize": 2.5}
            ax.errorbar(middle[mine], height[mine], xerr=spans, ms=6, label=title, zorder=3, **style)
    points = Points((low, middle, high), height, lost > 0, row, band)
    texts = _named([str(label) for label in frame["strategy"]], list(np.stack([low, middle, high, height, lost]).T))
    _labels(ax, texts, font_size(ax, row, height_beside(frame, NOTE)), points, front)
    _marks_of_lost(ax, lost, band)
    ax.set_ylim(0, 1)
    size_axis(ax, "x").set(xlabel="Storage per desktop", ylabel="User's state lost at each refresh")
    ax.set_title("What a strategy needs, and what its users lose", pad=26)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8, frameon=False)
    return tell(add_caption(ax, frame, NOTE), strategies_sentence(frame))


def strategies_inches(frame: pd.DataFrame) -> tuple[float, float]:
    """Size of a figure in which all names of `plot_strategies` have room. [inch]"""
    return figure_inches(_rows(frame["state_lost_bytes"].to_numpy(np.float64)), height_beside(frame, NOTE))


def figure_inches(rows: float, beside: float) -> tuple[float, float]:
    """Size of a figure with so many rows and so much beside them [pt]. [inch]"""
    return INCHES[0], max(INCHES[1], round((ROW_POINTS * rows + beside) / POINTS + 0.05, 1))


def height_beside(frame: pd.DataFrame, note: str, legend_rows: int = 1) -> float:
    """Height of title, legend, axis and caption. [pt]"""
    lines = len(textwrap.wrap(f"{frame.attrs.get('caption', '')} {note}", WIDTH - 20))
    return 80.0 + 14.0 * legend_rows + 9.0 * lines


def font_size(ax: Axes, row: float, beside: float) -> float:
    """Size of letters in rows of this share of the axes, as high as they will be, nearly, when all is laid out. [pt]"""
    high = POINTS * ax.bbox.height / ax.figure.dpi / 0.77 - beside  # as axes are before all is laid out
    return float(np.clip(FONT * row * high / ROW_POINTS, LEAST_FONT, FONT))


def sized_axes(ax: Axes | None, inches: tuple[float, float]) -> Axes:
    """Axes given, or those of a new figure of this size. [inch]"""
    found = axes(ax)
    if ax is None:
        found.figure.set(size_inches=inches)
    return found


def _rows(lost: Floats) -> float:
    """Rows of names that the axes hold: one for each strategy that loses nothing, and room above for the others."""
    some = int(np.count_nonzero(lost > 0))
    return lost.size - some + 0.5 + (max(5.0, 1.6 * some + 1) if some else 1.0)


def interval(frame: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Storage per desktop with the ends of its interval; none where there is no bound. [GiB]"""
    middle, low, high = (frame[f"storage_bytes{end}"].to_numpy(np.float64) / GIB for end in ("", "_low", "_high"))
    low, high = (np.where(np.isfinite(end), end, middle) for end in (low, high))
    return middle, low, high


def _view(middle: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """Ends of what is drawn: all strategies, and their intervals as far as they do not dwarf the differences."""
    reach = max(REACH * float(np.ptp(middle)), 0.15 * float(middle.max()))
    left, right = (
        max(float(low.min()), float(middle.min()) - reach),
        min(float(high.max()), float(middle.max()) + reach),
    )
    step = 0.03 * max(right - left, 0.02 * right, 1e-3)
    return max(0.0, left - step), right + step


def cut_ends(
    ax: Axes, view: tuple[float, float], ends: tuple[Floats, Floats], height: Floats, color: str
) -> tuple[Floats, Floats]:
    """Intervals within the view; arrowheads where they go on."""
    low, high = ends
    style: dict[str, Any] = {"ls": "none", "color": color, "ms": 6, "clip_on": False, "zorder": 4, "label": "_cut"}
    for marker, mine, place in ((4, low < view[0], view[0]), (5, high > view[1], view[1])):  # tips of arrows
        if mine.any():
            ax.plot(np.full(np.count_nonzero(mine), place), height[mine], marker=marker, **style)
    return np.maximum(low, view[0]), np.minimum(high, view[1])


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


def _frontier(ax: Axes, frame: pd.DataFrame, storage: Floats, height: Floats) -> tuple[Floats, Floats]:
    """Rings around the strategies that none beats, and stairs through them: all others lie on, above or right of it."""
    labels = [str(label) for label in frame["strategy"]]
    front = np.array([labels.index(label) for label in pareto(frame)])
    figures = frame[["storage_bytes", "state_lost_bytes"]].to_numpy(np.float64)
    same = (figures[:, None, :] == figures[None, front, :]).all(axis=2).any(axis=1)
    stairs = np.append(storage[front[0]], storage[front]), np.append(1.0, height[front])
    ax.step(*stairs, where="post", color=GREEN, lw=1.4, ls="--", label=NOT_BEATEN, zorder=1)
    ring: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 12, "mfc": "none", "mec": GREEN, "mew": 1.6, "zorder": 2}
    ax.plot(storage[same], height[same], label="_rings", **ring)
    return storage[front], height[front]


def _named(labels: list[str], points: list[NDArray[np.generic]]) -> dict[int, str]:
    """Names by the first strategy of each point; above the band, those with the same point and interval together."""
    found: dict[int, str] = {}
    for k, label in enumerate(labels):
        for first, text in found.items():
            same = bool(points[k][-1]) and np.allclose(points[k], points[first], rtol=1e-4, atol=0)
            if same and first and len(text) + len(label) < MOST_LETTERS:
                found[first] = f"{text}, {label}"
                break
        else:
            found[k] = label if k else f"{label} (base)"
    return found


def _labels(ax: Axes, texts: dict[int, str], font: float, points: Points, front: tuple[Floats, Floats]) -> None:
    """Names beside the intervals, on the side with room; the axis is widened until all fit.

    Those above the band that would cover another are moved up or down, with a line to their point.
    """
    left, right = ax.get_xlim()
    widths = _widths(ax, texts, font)
    width, (low, _, high) = np.array(list(widths.values())), (end[list(texts)] for end in points.spans)
    step = 0.05 * (right - left)
    for _ in range(100):
        fits = ((high - left) / (right - left) + width <= 1) | ((low - left) / (right - left) - width >= 0)
        if fits[width < 0.9].all():
            break
        right += step
    ax.set_xlim(left, right)
    spans = [(end - left) / (right - left) for end in points.spans]
    stairs = [(end - left) / (right - left) for end in (front[0][:-1], front[0][1:])]
    lines = np.append(spans[0], stairs[0]), np.append(spans[2], stairs[1]), np.append(points.height, front[1][:-1])
    taken: list[Label] = []
    for k in sorted(texts, key=lambda one: (points.above[one], points.height[one], one)):
        own, mine = float(points.height[k]), tuple(float(end[k]) for end in spans)
        choices = [one for at in points.heights(k) for one in _sides(mine, widths[k], at, at == own)]
        free = [one for one in choices if not any(one.covers(other, points.row) for other in taken)] or choices
        costs = [_cost(one, k, spans[1], points, lines) for one in free]
        taken.append(free[int(np.argmin(costs))])
        _write(ax, texts[k], taken[-1], (mine[1], own), {"fontsize": font, "weight": "normal" if k else "bold"})


def _write(ax: Axes, text: str, label: Label, point: tuple[float, float], style: dict[str, Any]) -> None:
    """A name, and a line to its point if it stands at another height."""
    on_left = label.end <= point[0]
    edge, away = (label.end, -GAP) if on_left else (label.begin, GAP)
    if label.at != point[1]:
        ends = [point[0], edge + 0.5 * away], [point[1], label.at]
        ax.plot(*ends, color=GREY, lw=0.7, zorder=2, transform=ax.transAxes, label="_line")
    style |= {"va": "center", "ha": "right" if on_left else "left", "zorder": 5, "annotation_clip": False}
    ax.annotate(text, (edge + away, label.at), xycoords="axes fraction", **style)


def _widths(ax: Axes, texts: dict[int, str], font: float) -> dict[int, float]:
    """Width of each name, with a gap on both sides, as a share of the axes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    points = POINTS * ax.bbox.width / ax.figure.dpi
    fonts = [FontProperties(size=font, weight=weight) for weight in ("bold", "normal")]
    paths = {k: TextPath((0, 0), text, prop=fonts[k > 0]) for k, text in texts.items()}
    return {k: float(path.get_extents().width) / points + 2.5 * GAP for k, path in paths.items()}


def _sides(span: tuple[float, ...], width: float, at: float, own: bool) -> list[Label]:
    """Places of a name at a height: beyond the ends of its interval; off its own height near to its point."""
    low, middle, high = span if own else (span[1], span[1], span[1])
    found = [Label(high, high + width, at), Label(low - width, low, at)]
    inside = [one for one in found if one.begin >= 0 and one.end <= 1]
    across = max(0.0, min(middle + GAP, 1 - width))
    return inside or ([Label(across, across + width, at)] if own else [])


def _cost(one: Label, k: int, middle: Floats, points: Points, lines: tuple[Floats, Floats, Floats]) -> float:
    """What speaks against a place: rows from its point, what it covers of other points and lines, the left side."""
    over = (np.abs(points.height - one.at) < 0.6 * points.row) & (middle > one.begin - GAP) & (middle < one.end + GAP)
    begin, end, at = lines
    crossed = (np.abs(at - one.at) < 0.6 * points.row) & (end > one.begin) & (begin < one.end)
    crossed[k] = False
    rows = abs(one.at - points.height[k]) / points.row
    return float(rows + 4.0 * over.sum() + 1.6 * crossed.sum() + 0.3 * (one.end <= middle[k]))


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
