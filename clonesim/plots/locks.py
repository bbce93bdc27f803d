"""Charts of "does locking bite?": the map of waits for a LUN's lock, and what moves it."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.plots.chart import GREY, add_caption, axes, inches, narrow, save_chart, save_figure
from clonesim.plots.describe import tell
from clonesim.plots.sentences import waits_sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS: Final = (1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0)  # borders of the colours [ms]
COLOURS: Final = ("#f7fbff", "#d0e1f2", "#94c4df", "#4a98c9", "#fee391", "#fe9929", "#cc4c02", "#662506")
DARK: Final = (3, 6, 7)  # places of the colours that want white letters
TITLES: Final = {
    "scsi-reservation": "SCSI reservation of the whole LUN",
    "ats": "ATS: one of many locks",
    "fifo": "ideal lock, first come, first served",
}
SMALL = 6.0  # panels narrower than that have small figures [inch]
LEAST_MS = 0.05  # less is told as nothing


def plot_lock_panel(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Waits over numbers of clones and hosts, of one locking, phase and hold; a black line where the limit is passed.

    Parameters
    ----------
    frame : DataFrame
        Rows of `lock_map` with one `locking`, `phase` and `hold`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    table = frame.pivot(index="hosts", columns="clones", values="wait_p99_s") * 1e3
    waits, limit = table.to_numpy(), 1e3 * float(frame.attrs.get("limit_s", 0.02))
    place = np.searchsorted(LEVELS, waits, side="left")
    small = 6 if inches(ax) < SMALL else 8
    ax.pcolormesh(place, cmap=_colours(), vmin=-0.5, vmax=len(COLOURS) - 0.5, edgecolors="white", linewidth=0.4)
    for (row, column), wait in np.ndenumerate(waits):
        color = "white" if place[row, column] in DARK else "#222222"
        ax.text(column + 0.5, row + 0.5, _told(wait), ha="center", va="center", fontsize=small, color=color)
    _border(ax, waits > limit)
    ax.set_xticks(np.arange(table.shape[1]) + 0.5, [str(n) for n in table.columns], fontsize=7)
    ax.set_yticks(np.arange(table.shape[0]) + 0.5, [str(n) for n in table.index], fontsize=7)
    ax.tick_params(length=0)
    ax.set(xlabel="Clones on the LUN, log scale", ylabel="Hosts, log scale")
    ax.set_title(f"Wait for the lock, p99 [ms]; black line: {limit:g} ms", fontsize=10 if narrow(ax) else None)
    return tell(ax, _panel_sentence(frame, limit))


def _panel_sentence(frame: pd.DataFrame, limit: float) -> str:
    """What a panel shows in words."""
    of = [str(frame[name].iloc[0]) for name in ("locking", "phase") if name in frame]
    of += [f"hold {frame['hold'].iloc[0]}"] if "hold" in frame else []
    waits = frame["wait_p99_s"] * 1e3
    row = frame.iloc[int(waits.to_numpy().argmax())]
    most = "it fails" if np.isinf(waits.max()) else f"{_told(float(waits.max()), 'next to nothing')} ms"
    fewest = frame[waits > limit]["clones"].min() if (waits > limit).any() else None
    first = "" if fewest is None else f", from {fewest} clones up"
    return (
        f"Wait for the lock, 99th percentile{', ' if of else ''}{', '.join(of)}: over {limit:g} ms in "
        f"{int((waits > limit).sum())} of {len(frame)} pairs of clones and hosts{first}; longest with "
        f"{row['clones']} clones on {row['hosts']} hosts: {most}"
    )


def draw_lock_map(frame: pd.DataFrame, figure: Figure) -> None:
    """Panels of one locking: a row for each phase, a column for each hold.

    Parameters
    ----------
    frame : DataFrame
        Rows of `lock_map` with one `locking`.
    figure : Figure
        Empty.
    """
    phases, holds = list(frame["phase"].unique()), list(frame["hold"].unique())
    grid = figure.subplots(len(phases), len(holds), sharex=True, sharey=True, squeeze=False)
    for row, phase in enumerate(phases):
        for column, hold in enumerate(holds):
            part = frame[(frame["phase"] == phase) & (frame["hold"] == hold)]
            part.attrs = frame.attrs
            ax = plot_lock_panel(part, grid[row][column])
            ax.set_title(f"hold {hold}" if row == 0 else "", fontsize=10)
            ax.set_ylabel(f"{phase}\n\nhosts, log scale" if column == 0 else "", fontsize=9)
            ax.set_xlabel("clones on the LUN, log scale" if row == len(phases) - 1 else "", fontsize=8)
            if hold == "by load":  # of another length in each row
                low, high = 1e3 * part["hold_s"].min(), 1e3 * part["hold_s"].max()
                text = f"{'hold by load: ' if row == 0 else ''}{low:.3g} to {high:.3g} ms"
                ax.set_title(text, fontsize=10 if row == 0 else 8)
    limit = 1e3 * float(frame.attrs.get("limit_s", 0.02))
    title = TITLES[str(frame["locking"].iloc[0])]
    figure.suptitle(f"Wait for the lock at a random moment, 99th percentile [ms]. {title}", fontsize=13)
    _colour_bar(figure, grid.ravel().tolist())
    caption = str(frame.attrs.get("caption", ""))
    text = f"Black line: {limit:g} ms. Dot: below {LEAST_MS:g} ms; fails: gives up after all tries. {caption}"
    figure.supxlabel(textwrap.fill(text, 210), fontsize=7, color=GREY, x=0.01, ha="left")


def plot_lock_sensitivity(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Waits under other assumptions, one at a time: a row for each, a column for each locking and phase.

    Parameters
    ----------
    frame : DataFrame
        Of `lock_sensitivity`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    names = (frame["assumption"] + " " + frame["value"]).str.strip()
    heads = frame["locking"] + "\n" + frame["phase"]
    table = frame.assign(name=names, head=heads)
    rows, columns = list(names.unique()), list(heads[np.argsort(frame["locking"] == "ats", kind="stable")].unique())
    waits = table.pivot(index="name", columns="head", values="wait_p99_s").reindex(rows)[columns].to_numpy() * 1e3
    counts = table.pivot(index="name", columns="head", values="largest").reindex(rows)[columns].to_numpy()
    place = np.searchsorted(LEVELS, waits, side="left")
    shown = np.ma.masked_where(np.isnan(waits), place)
    ax.pcolormesh(shown, cmap=_colours(), vmin=-0.5, vmax=len(COLOURS) - 0.5, edgecolors="white", linewidth=1)
    for (row, column), wait in np.ndenumerate(waits):
        if np.isnan(wait):
            continue
        color = "white" if place[row, column] in DARK else "#222222"
        text = f"{_told(wait, 'none')}, to {counts[row, column]:.0f}"
        text = text.replace(", ", "\n") if narrow(ax) else text
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7.5, color=color)
    ax.axhline(1, color="black", lw=1)
    texts, sides = columns, rows
    if narrow(ax):
        texts = [head.replace("-", "-\n") for head in columns]
        sides = [textwrap.fill(name, 16) for name in rows]
    ax.set_xticks(np.arange(len(columns)) + 0.5, texts, fontsize=8)
    ax.set_yticks(np.arange(len(rows)) + 0.5, sides, fontsize=8)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.set_title("Wait for the lock, p99 [ms], and up to how many clones it stays below the limit", fontsize=11, pad=8)
    add_caption(ax, frame, "Empty: the assumption has no effect there.")
    return tell(ax, waits_sentence(frame))


def save_lock_charts(cells: pd.DataFrame, sensitivity: pd.DataFrame | None, folder: str | Path) -> list[Path]:
    """Save a map of each locking, and the sensitivity where there is one, as PNG files."""
    found = []
    for locking in cells["locking"].unique():
        part = cells[cells["locking"] == locking]
        part.attrs = cells.attrs
        path = Path(folder) / f"lock_map_{locking}.png"
        found.append(save_figure(partial(draw_lock_map, part), path, (15, 9.5), 110))
    if sensitivity is not None:
        found.append(save_chart(_large, sensitivity, Path(folder) / "lock_sensitivity.png"))
    return found


def _large(frame: pd.DataFrame, ax: Axes) -> Axes:
    figure = ax.get_figure()
    assert figure is not None
    figure.set_size_inches(10, 8)  # type: ignore[union-attr]
    return plot_lock_sensitivity(frame, ax)


def _colours() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(COLOURS)


def _colour_bar(figure: Figure, panels: list[Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shades = ScalarMappable(Normalize(-0.5, len(COLOURS) - 0.5), _colours())
    bar = figure.colorbar(shades, ax=panels, shrink=0.6, pad=0.01, aspect=30)
    bar.set_ticks([k + 0.5 for k in range(len(LEVELS))], labels=[f"{level:g} ms" for level in LEVELS])
    bar.ax.tick_params(length=0, labelsize=8)


def _border(ax: Axes, over: NDArray[np.bool_]) -> None:
    """A line between cells that pass the limit and those that do not."""
    rows, columns = over.shape
    for row in range(rows):
        for column in range(columns):
            if column + 1 < columns and over[row, column] != over[row, column + 1]:
                ax.plot([column + 1, column + 1], [row, row + 1], color="black", lw=2, solid_capstyle="round")
            if row + 1 < rows and over[row, column] != over[row + 1, column]:
                ax.plot([column, column + 1], [row + 1, row + 1], color="black", lw=2, solid_capstyle="round")


def _told(wait: float, nothing: str = "·") -> str:
    if np.isinf(wait):
        return "fails"
    if wait < LEAST_MS:
        return nothing
    return f"{wait:.1f}" if wait < 9.95 else f"{wait:.0f}" if wait < 9995 else f"{wait / 1e3:.0f}k"
