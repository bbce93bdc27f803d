"""What all charts share: axes, colours, units of time, captions, and a file that is the same for the same frame."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666"),
)
CYCLE = (BLUE, ORANGE, GREEN, RED, PINK, SKY)
SHAPES = ("-", "--", "-.", ":")
MOST_LUNS = 6  # more lines than that nobody reads


def save_chart(plot: Callable[[pd.DataFrame, Any], Any], frame: pd.DataFrame, path: str | Path) -> Path:
    """Draw one chart into a PNG file, without pyplot and its global state; the same frame gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    plot(frame, figure.add_subplot())
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
