"""What charts share: axes, colours, units of time, captions, bars with texts, a file that is the same for a frame."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from clonesim.files import write_whole
from clonesim.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axes._base import _AxesBase
    from matplotlib.figure import Figure

AnyAxes = TypeVar("AnyAxes", bound="_AxesBase")

BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666"),
)
PAPER, PALE, ICE, BROWN = "#F4F4F4", "#DDDDDD", "#B0D4E8", "#6B2A00"  # ICE, ORANGE, BLUE, BROWN differ in grey print
NARROW = 5.0  # figures below that have no room beside or between [inch]
CYCLE = (BLUE, ORANGE, GREEN, RED, PINK, SKY)
SHAPES = ("-", "--", "-.", ":")
STANDARD = 8.0  # width of a figure [inch]
NARROW_LETTERS, NARROW_TITLE = 46, 36  # in a line of a legend and of a title there
EDGE, CAPTION_LETTER = 6.0, 3.9  # space beside a caption, and width of its letters [pt]
CAPTION = "caption"  # mark of the text below the axes
MOST_TICKS = 7  # of sizes on an axis
MOST_LUNS = 6  # more lines than that nobody reads
LETTER = 0.0105  # width of a letter beside a bar, as a share of the axes


def save_chart(plot: Callable[[pd.DataFrame, Any], Any], frame: pd.DataFrame, path: str | Path) -> Path:
    """Draw one chart into a PNG file; the same frame gives the same bytes."""
    return save_figure(lambda figure: plot(frame, figure.add_subplot()), path)


def save_figure(
    draw: Callable[[Figure], Any], path: str | Path, size: tuple[float, float] = (8, 5), dpi: float = 120
) -> Path:
    """Draw into a figure of so many inches, without pyplot and its global state, and write it to a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    return write_whole(Path(path), lambda part: figure.savefig(part, format="png", metadata={"Software": None}))


def axes(ax: Axes | None) -> Axes:
    """Return the axes given, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(8, 5), layout="constrained")[1]


def size_axis(ax: AnyAxes, which: str = "y") -> AnyAxes:
    """Sizes with their unit as marks of an axis whose data is in GiB; steps are powers of two, such as 0.5 GiB."""
    from matplotlib.ticker import Formatter, Locator

    small = inches(ax) < NARROW

    class Steps(Locator):
        def __call__(self) -> list[float]:
            return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

        def tick_values(self, vmin: float, vmax: float) -> list[float]:
            low, high = min(vmin, vmax), max(vmin, vmax)
            most = 3 if which == "x" and small else MOST_TICKS
            step = 2.0 ** np.ceil(np.log2(max(high - low, 2.0**-30) / most))
            first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
            return [float(step * k) for k in np.arange(first, last + 1)]

    class Sizes(Formatter):
        def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002 matplotlib's signature
            ends = np.abs(self.axis.get_view_interval())  # type: ignore[union-attr]
            unit, length = _unit(float(ends.max()))
            return "0" if x == 0 else f"{x / length:.6g} {unit}".replace("-", "\N{MINUS SIGN}")

        def size_text(self, value: float) -> str:
            """A size that is not a mark, for `describe`."""
            unit, length = _unit(abs(value))
            return "0 B" if value == 0 else f"{number(value / length)} {unit}"

    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_major_locator(Steps())
    axis.set_major_formatter(Sizes())
    return ax


def _unit(size: float) -> tuple[str, float]:
    """The largest unit that a size [GiB] has one of, and its length in GiB."""
    units = (("TiB", 1024.0), ("GiB", 1.0), ("MiB", 1 / 1024), ("KiB", 2.0**-20), ("B", 2.0**-30))
    return next((unit for unit in units if size >= unit[1]), units[-1])


def time_unit(longest_s: float) -> tuple[str, float]:
    """Choose the unit of a time axis; returns its name and its seconds."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if longest_s >= 3 * length:
            return unit, length
    return "s", 1.0


def inches(ax: _AxesBase) -> float:
    """Width that axes have with what stands beside them: the figure's, or their share of it. [inch]"""
    spec, figure = ax.get_subplotspec(), ax.get_figure(root=True)
    width = float(figure.get_figwidth()) if figure is not None else STANDARD
    return width / spec.get_gridspec().ncols if spec is not None else width


def narrow(ax: Axes) -> bool:
    """Whether axes are too narrow for texts beside each other, as on a phone."""
    return inches(ax) < NARROW


def add_caption(
    ax: Axes, frame: pd.DataFrame, always: str = "", *, legend_below: bool = True, below: float = 36.0
) -> Axes:
    """Finish a chart: the frame's caption, and what must always be said, stand below the axes.

    In a narrow figure long titles are broken, and the legend stands below the axes unless told otherwise; `below` is
    where the caption begins [pt].
    """
    if narrow(ax):
        ax.title.set(text=textwrap.fill(ax.get_title(), NARROW_TITLE), fontsize=10)
        if ax.get_xlabel():
            ax.set_xlabel(textwrap.fill(ax.get_xlabel(), NARROW_TITLE))
            below += 12.0 * ax.get_xlabel().count("\n")
        if legend_below:
            below += _legend_below(ax, below)
    if caption := " ".join(text for text in (str(frame.attrs.get("caption", "")), always) if text):
        _write_caption(ax, caption, below)
    return ax


def _write_caption(ax: Axes, caption: str, below: float) -> None:
    """Write a caption so far below the axes [pt]: from the left edge of the figure, or of the axes if several share it.

    The layout makes room for its height only: what is wider than its axes would else squeeze them, more at each draw.
    """
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox, IdentityTransform

    class Caption(Annotation):
        def get_tightbbox(self, renderer: Any = None) -> Bbox:
            box, at = self.get_window_extent(renderer), ax.get_window_extent(renderer).x0
            return Bbox.from_extents(at, box.y0, at + 1, box.y1)

    spec = ax.get_subplotspec()
    alone = spec is not None and spec.get_gridspec().ncols == 1
    room = 72 * inches(ax) * (1.0 if alone else 0.84) - 2 * EDGE
    style: dict[str, Any] = {"fontsize": 7, "color": GREY, "va": "top", "annotation_clip": False, "clip_on": False}
    style |= {
        "gid": CAPTION,
        "transform": IdentityTransform(),
        "xycoords": ("figure points" if alone else "axes fraction", "axes fraction"),
    }
    text = textwrap.fill(caption, int(room / CAPTION_LETTER))
    place: dict[str, Any] = {"xytext": (0, -below), "textcoords": "offset points"}
    ax.add_artist(Caption(text, (EDGE if alone else 0, 0), **place, **style))


def _legend_below(ax: Axes, below: float) -> float:
    """Move a legend below the axes; returns the height that it takes. [pt]"""
    from matplotlib.transforms import ScaledTranslation

    old = ax.get_legend()
    if old is None:
        return 0.0
    labels = [textwrap.fill(text.get_text(), NARROW_LETTERS) for text in old.get_texts()]
    drawn = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    shown: list[Any] = [
        drawn.get(text.get_text(), one) for text, one in zip(old.get_texts(), old.legend_handles, strict=True)
    ]
    title = old.get_title().get_text()
    figure = ax.get_figure(root=True)
    assert figure is not None
    place = ax.transAxes + ScaledTranslation(0, -(below - 4) / 72, figure.dpi_scale_trans)
    style: dict[str, Any] = {"fontsize": 8, "title_fontsize": 8, "frameon": False, "borderaxespad": 0.0}
    where: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": place}
    ax.legend(shown, labels, title=title or None, **where, **style)
    lines = sum(1 + label.count("\n") for label in labels) + bool(title)
    return 12.5 * lines + 10.0


def captioned(frame: pd.DataFrame, *texts: str) -> pd.DataFrame:
    """The frame with a caption of these texts."""
    found = frame.copy()
    found.attrs |= {"caption": " ".join(texts)}
    return found


def broken(title: str, beside: Iterable[str] = ()) -> str:
    """Title of an assumption, with its parameter names, and what else stands beside its bar, on lines of their own."""
    return "\n".join([title.replace(" (", "\n("), *beside])


def text_beside(ax: Axes, place: float, end: float, side: str, text: str) -> None:
    """Text at a bar's end, to the "left" or "right" of it."""
    away, stands = (4, "left") if side == "right" else (-4, "right")
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "va": "center", "ha": stands}
    ax.annotate(text, (end, place), xytext=(away, 0), **style)


def with_room(low: float, high: float, longest: dict[str, int]) -> tuple[float, float]:
    """Limits of an axis with room for `text_beside`: `longest` is how many letters the longest text of a side has."""
    left, right = (min(0.02 + LETTER * longest[side], 0.4) for side in ("left", "right"))
    wide = (high - low) / (1 - left - right)
    return low - left * wide, high + right * wide
