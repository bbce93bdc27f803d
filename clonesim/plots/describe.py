"""Text alternatives: what a chart shows in one sentence, read from what is drawn."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from clonesim.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MOST = 6  # series, or bars of a series, that a sentence tells; of more it gives the number
PLAIN = 0.02  # a highest point this near to an end of its line is not told
SAME = 1e-9  # places on an axis that differ by less are the same

_TOLD: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

Floats = NDArray[np.float64]


def describe(ax: Axes | Figure) -> str:
    """One sentence on what a chart shows, for readers who do not see it.

    Parameters
    ----------
    ax : Axes or Figure
        Drawn by a function of `clonesim.plots`, or any other axes of lines, bars, points or cells. Of a figure each of
        its charts gets a sentence.

    Returns
    -------
    str
        Title, axes, and of each series its ends and its highest point, or its largest bars. Figures are those drawn.
        The text holds no markup; names from the user's files are in it as they are, so escape it.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> _ = ax.plot([1, 2, 30], [0.5, 2, 4], label="delta, median")
    >>> _ = ax.set(title="How the deltas grow", xlabel="Time [d]", ylabel="Size [GiB]")
    >>> describe(ax)
    'How the deltas grow: Size [GiB] against Time [d], 1 to 30; delta, median from 0.500 to 4.'
    """
    from matplotlib.figure import FigureBase

    if isinstance(ax, FigureBase):
        return " ".join(describe(one) for one in ax.get_axes() if one.get_label() != "<colorbar>")
    if ax in _TOLD:
        return _TOLD[ax]
    series = [*_lines(ax, named=True), *_bands(ax), *_steps(ax), *_bars(ax), *_points(ax), *_cells(ax), *_areas(ax)]
    series = series or _lines(ax, named=False)
    return _sentence(f"{_head(ax)}; {_listed(series, '; ')}" if series else f"{_head(ax)}; nothing is drawn")


def tell(ax: Axes, text: str) -> Axes:
    """Give a chart a text alternative of its own, where what is drawn would not say it: a map, classes of colours."""
    _TOLD[ax] = _sentence(text)
    return ax


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."


def _head(ax: Axes) -> str:
    title = ax.get_title() or ax.get_title("left") or "Chart"
    x, y = ax.get_xlabel(), ax.get_ylabel()
    named = [text for text in (y if _labels(ax.yaxis) is None else "", x if _labels(ax.xaxis) is None else "") if text]
    if not named:
        return title
    spans = _span(ax) if _is_dated(ax.xaxis) or (_labels(ax.xaxis) is None and len(named) == 2) else ""
    return f"{title}: {' against '.join(named)}{spans}"


def _span(ax: Axes) -> str:
    """From where to where the drawn lines go along the x axis."""
    through = [_numbers(line.get_xdata(orig=False)) for line in ax.lines if line.get_transform() == ax.transData]
    ends = [float(end) for x in through if np.isfinite(x).any() for end in (np.nanmin(x), np.nanmax(x))]
    return f", {told(ax.xaxis, min(ends))} to {told(ax.xaxis, max(ends))}" if ends and min(ends) < max(ends) else ""


def told(axis: Axis, value: float) -> str:
    """A place on an axis in words: the name that stands there, a date, a size with its unit, else a number."""
    from matplotlib.dates import num2date

    date: Callable[[float], datetime.datetime] = num2date
    form = axis.get_major_formatter()
    if _is_dated(axis):
        return f"{date(value):%Y-%m-%d}"
    if callable(size := getattr(form, "size_text", None)):
        return str(size(value))
    return next((name for at, name in _texts(axis).items() if abs(at - value) < SAME), number(float(value)))


def _is_dated(axis: Axis) -> bool:
    from matplotlib.dates import AutoDateFormatter, ConciseDateFormatter, DateFormatter

    return isinstance(axis.get_major_formatter(), (AutoDateFormatter, ConciseDateFormatter, DateFormatter))


def _labels(axis: Axis) -> dict[float, str] | None:
    """Names that stand at places of an axis; None if it has numbers."""
    names = _texts(axis)
    words = sum(bool(re.search("[A-Za-z]{2}", name)) for name in names.values())
    return names if 2 * words > len(names) else None


def _texts(axis: Axis) -> dict[float, str]:
    """Texts that were put at places of an axis, numbers among them; empty if matplotlib chose the places."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

    form, places = axis.get_major_formatter(), axis.get_major_locator()
    if not isinstance(places, FixedLocator) or not isinstance(form, (FixedFormatter, FuncFormatter)):
        return {}
    return {float(at): " ".join(str(form(at, k)).split()) for k, at in enumerate(np.asarray(places()).tolist())}


def _numbers(values: Any) -> Floats:
    return np.ma.filled(np.ma.asarray(values, np.float64), np.nan)


def _named(artist: Any) -> str:
    """Label of a series; empty if it has none."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else " ".join(label.split())


def _bare(axis: Axis, label: str, *values: float) -> str:
    """A label without the figure behind its colon, if that is one of the values: it is told anyway."""
    name, colon, tail = label.rpartition(":")
    shown = {f"{value:.{digits}f}" for value in values for digits in range(4)}
    found = re.findall(r"-?\d[\d.]*", tail.replace(",", ""))
    plain = bool(found) and all(one.rstrip(".") in shown for one in found)
    return name if colon and (plain or tail.strip() in {told(axis, value) for value in values}) else label


def _lines(ax: Axes, named: bool) -> list[str]:
    """Lines through data, with their ends and, where it is neither of them, their highest point."""
    found = []
    for line in ax.lines:
        label = _named(line)
        if bool(label) != named or line.get_linestyle() in ("None", "", " "):
            continue
        x, y = _numbers(line.get_xdata(orig=False)), _numbers(line.get_ydata(orig=False))
        if line.get_transform() != ax.transData:  # a border, drawn right across
            if named and x.size and not np.ptp(y):
                found.append(f"{_bare(ax.yaxis, label, float(y[0]))} at {told(ax.yaxis, float(y[0]))}")
            elif named and x.size and not np.ptp(x):
                found.append(f"{_bare(ax.xaxis, label, float(x[0]))} at {told(ax.xaxis, float(x[0]))}")
            continue
        known = np.isfinite(y)
        if known.any():
            found.append(_course(ax, label, x[known], y[known]))
    return found


def _course(ax: Axes, label: str, x: Floats, y: Floats) -> str:
    first, last, most = float(y[0]), float(y[-1]), float(y.max())
    name = _bare(ax.yaxis, label, first, last, most)
    ends = f"{name} from {told(ax.yaxis, first)} to {told(ax.yaxis, last)}".strip()
    if not np.ptp(y):
        ends = f"{name} {told(ax.yaxis, last)}".strip()
    if most - max(first, last) <= PLAIN * max(abs(most), 1e-300):
        return ends
    return f"{ends}, highest {told(ax.yaxis, most)} at {told(ax.xaxis, float(x[int(y.argmax())]))}"


def _bands(ax: Axes) -> list[str]:
    """Areas between two curves that have a name, with their ends on the right."""
    from matplotlib.collections import PolyCollection

    found = []
    for area in ax.collections:
        label = _named(area)
        if not label or not isinstance(area, PolyCollection) or not area.get_paths():
            continue
        corners = np.concatenate([path.vertices for path in area.get_paths()]).astype(np.float64)
        right = corners[corners[:, 0] >= corners[:, 0].max() - SAME, 1]
        low, high = float(right.min()), float(right.max())
        found.append(f"{_bare(ax.yaxis, label, low, high)} at the end {told(ax.yaxis, low)} to {told(ax.yaxis, high)}")
    return found


def _steps(ax: Axes) -> list[str]:
    """Stairs, with their highest step."""
    from matplotlib.patches import StepPatch

    found = []
    for patch in ax.patches:
        if isinstance(patch, StepPatch):
            values, edges = (_numbers(part) for part in tuple(patch.get_data())[:2])
            if np.isfinite(values).any():
                top = int(np.nanargmax(values))
                where = f"from {told(ax.xaxis, float(edges[top]))} to {told(ax.xaxis, float(edges[top + 1]))}"
                found.append(f"{_named(patch)} highest {told(ax.yaxis, float(values[top]))} {where}".strip())
    return found


def _bars(ax: Axes) -> list[str]:
    """Bars of a name, the longest first; bars without a name, which begin at a middle line, by their ends."""
    from matplotlib.container import BarContainer

    found: list[str] = []
    spans: dict[float, list[float]] = {}
    lying = False
    for bars in ax.containers:
        if not isinstance(bars, BarContainer):
            continue
        lying = bars.orientation == "horizontal"
        where, along = (ax.yaxis, ax.xaxis) if lying else (ax.xaxis, ax.yaxis)
        places = [(_place(bar, lying), *_ends(bar, lying)) for bar in bars.patches]
        if label := _named(bars):
            rows = sorted(((at, end - start) for at, start, end in places), key=lambda row: (-row[1], row[0]))
            texts = [f"{told_near(where, at)} {told(along, size)}" for at, size in rows]
            found.append(f"{label}: {_listed(texts, ', ')}")
        else:
            for at, start, end in places:
                spans.setdefault(at, []).extend((start, end))
    where, along = (ax.yaxis, ax.xaxis) if lying else (ax.xaxis, ax.yaxis)
    texts = [
        f"{told_near(where, at)}: {told(along, min(ends))} to {told(along, max(ends))}"
        for at, ends in sorted(spans.items(), reverse=lying)
        if min(ends) < max(ends)
    ]
    return [*found, *([_listed(texts, "; ")] if texts else [])]


def _place(bar: Any, lying: bool) -> float:
    return float(bar.get_y() + bar.get_height() / 2) if lying else float(bar.get_x() + bar.get_width() / 2)


def _ends(bar: Any, lying: bool) -> tuple[float, float]:
    start, length = (bar.get_x(), bar.get_width()) if lying else (bar.get_y(), bar.get_height())
    return float(start), float(start + length)


def told_near(axis: Axis, value: float) -> str:
    """The name nearest to a place, as of bars that stand side by side; its number if no name is near."""
    names = _labels(axis) or {}
    near = min(names, key=lambda at: abs(at - value), default=None)
    return names[near] if near is not None and abs(near - value) < 0.5 else told(axis, value)


def _points(ax: Axes) -> list[str]:
    """Points with a name: by what they stand beside, else their number and how far they reach."""
    from matplotlib.container import ErrorbarContainer

    marks = [(_named(line), line) for line in ax.lines if line.get_linestyle() in ("None", "", " ")]
    marks += [(_named(one), one.lines[0]) for one in ax.containers if isinstance(one, ErrorbarContainer)]
    found = []
    for label, line in marks:
        if not label or line is None:
            continue
        x, y = _numbers(line.get_xdata(orig=False)), _numbers(line.get_ydata(orig=False))
        known = np.isfinite(x) & np.isfinite(y)
        if not known.any():
            continue
        x, y = x[known], y[known]
        if _labels(ax.yaxis) or _labels(ax.xaxis):
            where, along = (ax.yaxis, ax.xaxis) if _labels(ax.yaxis) else (ax.xaxis, ax.yaxis)
            at, value = (y, x) if where is ax.yaxis else (x, y)
            rows = sorted(zip(at.tolist(), value.tolist(), strict=True), key=lambda row: (-row[1], row[0]))
            found.append(
                f"{label}: {_listed([f'{told_near(where, a)} {told(along, float(v))}' for a, v in rows], ', ')}"
            )
        elif x.size == 1:
            found.append(f"{label} at {told(ax.xaxis, float(x[0]))}, {told(ax.yaxis, float(y[0]))}")
        else:
            reach = f"{told(ax.yaxis, float(y.min()))} to {told(ax.yaxis, float(y.max()))}"
            found.append(f"{label}: {x.size} points, {reach}")
    return found


def _cells(ax: Axes) -> list[str]:
    """Cells of a map: the one with the highest value, and what most of them lie below."""
    from matplotlib.collections import QuadMesh

    found = []
    for mesh in ax.collections:
        if isinstance(mesh, QuadMesh) and (values := mesh.get_array()) is not None:
            table = _numbers(values)
            if not np.isfinite(table).any():
                continue
            row, column = (int(at) for at in np.unravel_index(np.nanargmax(table), table.shape))
            bar = getattr(mesh, "colorbar", None)
            what = " ".join(bar.ax.get_ylabel().split()) if bar is not None else "values"
            place = f"{_cell(ax.yaxis, row)}, {_cell(ax.xaxis, column)}"
            middle = number(float(np.nanmedian(table)))
            found.append(f"{what}: highest {number(float(table[row, column]))} at {place}; half of all below {middle}")
    return found


def _cell(axis: Axis, place: int) -> str:
    """What stands at the middle of a cell; else the place of its edge, with the axis's name."""
    texts = _texts(axis)
    middle = next((text for at, text in texts.items() if abs(at - place - 0.5) < SAME), None)
    return f"{axis.get_label_text()} {place}".strip() if middle is None else middle


def _areas(ax: Axes) -> list[str]:
    """Strips right across the chart that have a name: the name says it."""
    from matplotlib.container import BarContainer
    from matplotlib.patches import StepPatch

    bars = {id(bar) for bars in ax.containers if isinstance(bars, BarContainer) for bar in bars.patches}
    strips = [one for one in ax.patches if id(one) not in bars and not isinstance(one, StepPatch)]
    return [label for one in strips if (label := _named(one))]


def _listed(texts: list[str], joint: str) -> str:
    rest = len(texts) - MOST
    shown = joint.join(texts[:MOST])
    return f"{shown}{joint}and {rest} more" if rest > 0 else shown
