"""What charts share: axes, colours, units of time, captions, bars with texts, a file that is the same for a frame."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666"),
)
CYCLE = (BLUE, ORANGE, GREEN, RED, PINK, SKY)
SHAPES = ("-", "--", "-.", ":")
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
    figure.savefig(path, metadata={"Software": None})
    return Path(path)


def axes(ax: Axes | None) -> Axes:
    """Return the axes given, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(8, 5), layout="constrained")[1]


def time_unit(longest_s: float) -> tuple[str, float]:
    """Choose the unit of a time axis; returns its name and its seconds."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if longest_s >= 3 * length:
            return unit, length
    return "s", 1.0


def add_caption(ax: Axes, frame: pd.DataFrame, always: str = "", width: int = 132) -> Axes:
    """Put the frame's caption, and what must always be said, below the axes, in lines of so many letters at most."""
    if caption := " ".join(text for text in (str(frame.attrs.get("caption", "")), always) if text):
        text = textwrap.fill(caption, width)
        style: dict[str, Any] = {"fontsize": 7, "color": GREY, "va": "top", "annotation_clip": False}
        ax.annotate(text, (0, 0), xycoords="axes fraction", xytext=(0, -36), textcoords="offset points", **style)
    return ax


def captioned(frame: pd.DataFrame, *texts: str) -> pd.DataFrame:
    """The frame with a caption of these texts."""
    found = frame.copy()
    found.attrs |= {"caption": " ".join(texts)}
    return found


def broken(title: str) -> str:
    """Title of an assumption, with its parameter names on a line of their own."""
    return title.replace(" (", "\n(")


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
