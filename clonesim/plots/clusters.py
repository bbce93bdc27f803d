"""Map of a volume's clusters: what the base image uses, what the delta holds, and what of that nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import BLUE, BROWN, GREY, ICE, ORANGE, PAPER, add_caption, axes, inches, narrow, save_figure
from clonesim.plots.describe import tell
from clonesim.words import number, sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, ROWS = 128, 64  # tiles of a row, and rows
TWO_COLUMNS = 6.5  # width of axes from which a legend of two columns fits below them [inch]
STATES: Final = {  # name, colour, what the sentence calls it; from light to dark in grey
    "never": ("never written", PAPER, "never written"),
    "freed": ("free again, not in the delta", ICE, "free and not in the delta"),
    "fresh": ("in use, in the delta", ORANGE, "in use and in the delta"),
    "base": ("in use, base image only", BLUE, "in use from the base image alone"),
    "dead": ("free, yet still in the delta", BROWN, "free and yet still in the delta"),
}
DEAD: Final = list(STATES).index("dead")


def plot_clusters(frame: pd.DataFrame, ax: Axes | None = None, *, title: str = "The guest's clusters") -> Axes:
    """Map of a volume: each tile stands for equally many neighbouring clusters and shows the state of most of them.

    Parameters
    ----------
    frame : DataFrame
        What `clonesim.cluster_map` returns: a row per cluster, with `used`, `ever_written`, `in_delta`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str
        Of the chart, such as "Before" or "After".

    Notes
    -----
    Rows are read like text, from the volume's start at the top left to its end. The sizes in the legend count every
    cluster, also those in the minority on their tile.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    ax = axes(ax)
    state = _states(frame)
    tiles, each = _tiles(state)
    rows = np.pad(tiles.astype(np.float64), (0, -tiles.size % ROW), constant_values=np.nan).reshape(-1, ROW)
    colors = [color for _, color, _ in STATES.values()]
    extent = (0.0, float(ROW), float(len(rows)), 0.0)
    style: dict[str, Any] = {"interpolation": "nearest", "aspect": "auto", "extent": extent}
    ax.imshow(np.ma.masked_invalid(rows), cmap=ListedColormap(colors), vmin=-0.5, vmax=len(colors) - 0.5, **style)
    size = int(frame.attrs.get("cluster_bytes", 4096))
    sums = np.bincount(state, minlength=len(STATES)) * size
    patches = [
        Patch(facecolor=color, edgecolor=GREY, label=f"{label}: {sized(total)}", linewidth=0.6)
        for (label, color, _), total in zip(STATES.values(), sums.tolist(), strict=True)
        if total
    ]
    columns = 1 if inches(ax) < TWO_COLUMNS else 2
    ax.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=columns, fontsize=8)
    every = [0, len(rows)]
    ax.set_yticks(every, ["start", "end"])
    ax.set_xticks([])
    ax.set(title=title, ylabel="Place" if narrow(ax) else "Place on the volume", xlabel="")
    told = [
        f"{sized(total)} {words}" for (*_, words), total in zip(STATES.values(), sums.tolist(), strict=True) if total
    ]
    tell(ax, f"{title}, a map of {sized(len(frame) * size)} in {tiles.size} tiles: {', '.join(told)}")
    held = sized(int(frame["in_delta"].sum()) * size) if frame["in_delta"].any() else ""
    tile = f"One tile: {number(each)} clusters ({sized(each * size)}), in the colour of most of them."
    note = f"The delta holds {held} of these. {tile}" if held else tile
    return add_caption(ax, frame, note, legend_below=False, below=30.0 + 13.0 * -(-len(patches) // columns))


def draw_clusters(frames: Mapping[str, pd.DataFrame], figure: Figure) -> None:
    """Maps of one volume at several times, side by side; one below the other where there is no room.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        Titles and maps, such as ``{"Before": before, "After": after}``.
    figure : Figure
        Empty.
    """
    beside = figure.get_figwidth() >= 3 * len(frames)
    grid = figure.subplots(1 if beside else len(frames), len(frames) if beside else 1, squeeze=False)
    for (title, frame), ax in zip(frames.items(), grid.ravel(), strict=True):
        plot_clusters(frame, ax, title=title)


def save_clusters(frames: Mapping[str, pd.DataFrame], path: str | Path) -> Path:
    """Save the maps as one PNG file."""
    return save_figure(partial(draw_clusters, frames), path, (5.5 * len(frames), 5))


def _states(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Place in `STATES` of each cluster."""
    used, written, held = (frame[name].to_numpy(bool) for name in ("used", "ever_written", "in_delta"))
    places = {name: place for place, name in enumerate(STATES)}
    found = np.where(held, np.where(used, places["fresh"], places["dead"]), places["base"])
    return np.where(~held & ~used, np.where(written, places["freed"], places["never"]), found)


def _tiles(state: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """State of most clusters of each tile, and clusters in a tile; the last tile may have fewer."""
    each = max(1, -(-state.size // (ROW * ROWS)))
    tile = np.arange(state.size) // each
    counts = np.bincount(tile * len(STATES) + state, minlength=(int(tile[-1]) + 1) * len(STATES))
    return counts.reshape(-1, len(STATES)).argmax(axis=1), each
