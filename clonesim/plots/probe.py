"""Chart of a probe: what each step of it grew, measured and by policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clonesim.plots.chart import CYCLE, add_caption, axes, captioned, save_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.probe import ProbeFit

_MARKS = ("o", "s", "^", "v", "D", "P", "X")


def plot_probe(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Growth of the delta in each step: bars for what was measured, marks for each policy's median.

    Parameters
    ----------
    frame : DataFrame
        `ProbeFit.frame`, with `attrs["measured"]`, the measured features by name.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    measured = frame.attrs["measured"]
    names = [name for name in measured if name.endswith("_grown")]
    place = np.arange(len(names))
    ax.bar(place, [measured[name] for name in names], width=0.8, color="#DDDDDD", label="measured")
    away = np.linspace(-0.3, 0.3, len(frame))
    for number, row in enumerate(frame.to_dict("records")):
        label = f"{row['policy']}: {100 * row['probability']:.1f} %"
        values = [row[name] for name in names]
        mark, color = _MARKS[number % len(_MARKS)], CYCLE[number % len(CYCLE)]
        ax.plot(place + away[number], values, mark, color=color, label=label, ms=7)
    ax.set_xticks(place, [name.removesuffix("_grown") for name in names])
    ax.set(xlabel="Step of the probe", ylabel="Growth of the delta [units]")
    ax.set_title("Which policy does this Windows follow?")
    ax.set_ylim(top=1.25 * ax.get_ylim()[1])  # the legend stands above the marks
    ax.legend(fontsize=8, loc="upper left", ncols=2, title="probability", title_fontsize=8)
    return add_caption(ax, frame, "A unit is the probe's own: -UnitMiB, or a 64th of the disk that it makes.")


def save_probe(found: ProbeFit, folder: str | Path) -> list[Path]:
    """Save the chart as a PNG file."""
    frame = captioned(found.frame, *found.verdict)
    frame.attrs["measured"] = found.measured.to_dict()
    return [save_chart(plot_probe, frame, Path(folder) / "probe.png")]
