"""Chart of hosts that fail one after another: what they bear, and what the rule claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import BLUE, ORANGE, RED, add_caption, axes, captioned, narrow, save_chart
from clonesim.plots.describe import tell
from clonesim.plots.plans import plain_log
from clonesim.plots.sentences import hosts_sentence
from clonesim.units import GIB
from clonesim.words import hosts_label, hosts_verdict, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.cluster import Cluster

MOST_COLUMNS, ROW_POINTS = 12, 10.5  # of the figures below it
LEAST_WANTED = 1.0  # of the hosts' chart, in % of what they have


def plot_hosts(failures: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Memory and processors as hosts fail one after another, and below it what the rule claims each time.

    Parameters
    ----------
    failures : DataFrame
        What `clonesim.planning.host_load.failures` returns.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    place = failures["failures"].to_numpy(float)
    series = (
        ("memory_share_max", "memory wanted, fullest host", BLUE, "o", "-"),
        ("cpu_share", "processors wanted, mean", ORANGE, "s", "--"),
    )
    for column, label, color, marker, shape in series:
        wanted = np.maximum(100 * failures[column].to_numpy(float), LEAST_WANTED)
        ax.plot(place, wanted, color=color, marker=marker, ls=shape, lw=2, label=label)
    for row in failures.to_dict("records"):
        if not row["holds"]:
            ax.axvspan(row["failures"] - 0.5, row["failures"] + 0.5, color=RED, alpha=0.08, lw=0)
    ax.axhline(100, color="black", lw=1.4)
    _at_hundred(ax, failures)
    columns = min(len(failures), 4 if narrow(ax) else MOST_COLUMNS)
    shown = np.unique(np.rint(np.linspace(0, len(failures) - 1, columns)).astype(int))
    cells: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "va": "top", "annotation_clip": False}
    rows = _host_rows(failures.iloc[shown], "" if narrow(ax) else " more")
    for line, (name, texts) in enumerate(rows):
        down = -6 - ROW_POINTS * line
        ax.annotate(name, (0, 0), xycoords="axes fraction", xytext=(-6, down), ha="right", **cells)
        for x, text in zip(place[shown], texts, strict=True):
            ax.annotate(text, (x, 0), xycoords=("data", "axes fraction"), xytext=(0, down), ha="center", **cells)
    both = failures[["memory_share_max", "cpu_share"]].to_numpy() * 100
    plain_log(ax, max(min(0.7 * float(both.min()), 50), LEAST_WANTED), max(2.0 * float(both.max()), 200), "y")
    ax.set_xticks(place[shown], [""] * shown.size)
    ax.set_xlim(place.min() - 0.5, place.max() + 0.5)
    ax.set_ylabel("Wanted of the hosts [%], log scale")
    ax.set_title("Hosts that fail: the promise and the truth")
    ax.legend(loc="upper left", fontsize=8)
    below = 16.0 + ROW_POINTS * len(rows)
    add_caption(ax, failures, "Shaded: the hosts do not bear it.", legend_below=False, below=below)
    return tell(ax, hosts_sentence(failures))


def _at_hundred(ax: Axes, failures: pd.DataFrame) -> None:
    """What the line of 100 % is, at its right end and on the side of it that the curves leave free."""
    above = float(failures["memory_share_max"].iloc[-1]) > 1
    style: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    style |= {"va": "top" if above else "bottom", "fontsize": 8}
    ax.annotate("all that the hosts have", (0.99, 100), (0, -2 if above else 2), **style)


def _host_rows(failures: pd.DataFrame, unit: str) -> list[tuple[str, list[str]]]:
    rows = [
        ("hosts failed", [str(int(k)) for k in failures["failures"]]),
        ("rule claims to bear", [f"{int(k)}{unit}" for k in failures["claimed"]]),
        ("hosts would bear", [f"{int(k)}{unit}" for k in failures["holds_for"]]),
    ]
    for column, name in (("ballooned_bytes", "balloons [GiB]"), ("swapped_bytes", "swapped [GiB]")):
        if (failures[column] > 0).any():
            rows.append((name, [number(round(size / GIB)) for size in failures[column]]))
    for column, name in (("swap_iops_per_lun", "swap I/O a LUN [1/s]"), ("down", "desktops down")):
        if (failures[column] > 0).any():
            rows.append((name, [f"{value:,.0f}" for value in failures[column]]))
    return rows


def save_hosts(failures: pd.DataFrame, made: Cluster, folder: str | Path) -> list[Path]:
    """Save the chart of hosts that fail as a PNG file."""
    label = hosts_label(made, int(failures["desktops"].iloc[0] + failures["down"].iloc[0]))
    said = " ".join(hosts_verdict(failures))
    return [save_chart(plot_hosts, captioned(failures, label, said), Path(folder) / "hosts.png")]
