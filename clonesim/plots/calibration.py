"""Charts of a calibration: what was known before and after, ranks of simulated truths, the fan of what is foretold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.plots.chart import BLUE, CYCLE, GREY, ORANGE, SKY, add_caption, axes, captioned, save_figure, size_axis
from clonesim.plots.describe import tell
from clonesim.plots.forecast import plot_forecast
from clonesim.plots.sentences import calibration_sentence
from clonesim.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.calibrate import Calibration

ALONG = {
    "scale": "Writes, as a multiple of the scenario's, log scale",
    "spread": "Sigma of the users' lognormal intensity, log scale",
}
TITLES = {
    "scale": "Scale of writes",
    "spread": "Spread of users (users.intensity_sigma)",
    "policy": "Allocation policy",
}


def plot_calibration(frame: pd.DataFrame, ax: Axes | None = None, *, parameter: str = "scale") -> Axes:
    """Probabilities before and after: of the policies, or of scale or spread with each policy's part of it.

    Parameters
    ----------
    frame : DataFrame
        `Calibration.posterior`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    parameter : {"scale", "spread", "policy"}
        What of it.
    """
    ax = axes(ax)
    names = list(dict.fromkeys(frame["policy"]))
    if parameter == "policy":
        shares = frame.groupby("policy", sort=False)[["prior", "probability"]].sum()
        place = np.arange(len(names))
        ax.bar(place - 0.2, 100 * shares["prior"], 0.4, color="#DDDDDD", label="before")
        ax.bar(place + 0.2, 100 * shares["probability"], 0.4, color=BLUE, label="after")
        ax.set_xticks(place, names)
        ax.set(ylabel="Probability [%]", title=TITLES[parameter])
    else:
        table = frame.pivot_table(index=parameter, columns="policy", values="probability", aggfunc="sum")[names]
        width = float(np.log(table.index[1] / table.index[0]))  # cells are as wide as their logarithms are apart
        before = frame.groupby(parameter)["prior"].sum()
        ax.fill_between(before.index, 0, before / width, color="#DDDDDD", label="before")
        below = np.zeros(len(table))
        for number, name in enumerate(names):
            part = table[name].to_numpy() / width
            told = f"after, {name}: {100 * table[name].sum():.0f} %"
            style: dict[str, Any] = {"color": CYCLE[number % len(CYCLE)], "alpha": 0.6, "lw": 0}
            ax.fill_between(table.index, below, below + part, label=told, **style)
            below = below + part
        ax.set_xscale("log")
        ticks = np.geomspace(table.index[0], table.index[-1], 6)
        ax.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        ax.minorticks_off()
        ax.set(ylabel="Density over the logarithm", title=TITLES[parameter], ylim=(0, None))
        ax.set_xlabel(ALONG[parameter])
    ax.legend(fontsize=8)
    return tell(add_caption(ax, frame), calibration_sentence(frame, parameter, TITLES[parameter]))


def plot_ranks(frame: pd.DataFrame, ax: Axes | None = None, *, bins: int = 10) -> Axes:
    """Ranks of simulated truths in what was concluded: flat if intervals are as wide as they should be.

    Parameters
    ----------
    frame : DataFrame
        A row per pool, a column per parameter: probability below the truth.
    ax : Axes, optional
        Where to draw; a new figure by default.
    bins : int, default 10
        Classes.
    """
    from scipy.stats import binom

    ax = axes(ax)
    edges = np.linspace(0, 1, bins + 1)
    low, high = binom.interval(0.99, len(frame), 1 / bins)
    ax.axhspan(low, high, color="#DDDDDD", label="99 % of flat histograms' classes")
    ax.axhline(len(frame) / bins, color=GREY, lw=1.0)
    for number, name in enumerate(frame.columns):
        counts = np.histogram(frame[name], edges)[0]
        ax.stairs(counts, edges, color=CYCLE[number % len(CYCLE)], lw=2.0, label=str(name))
    ax.set(xlabel="Probability below the truth", ylabel="Pools", title="Ranks of simulated truths", xlim=(0, 1))
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    return add_caption(ax, frame)


def plot_weeks(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How the interval for one day narrowed, week by week.

    Parameters
    ----------
    frame : DataFrame
        `Calibration.weeks`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    middle = frame["p50"].to_numpy() / GIB
    ends = np.stack([middle - frame["p5"].to_numpy() / GIB, frame["p95"].to_numpy() / GIB - middle])
    style: dict[str, Any] = {"fmt": "o", "ms": 6, "color": BLUE, "ecolor": SKY, "elinewidth": 4.0}
    ax.errorbar(
        frame["week"],
        middle,
        yerr=np.maximum(ends, 0.0),
        label="median and 90 % interval;\nabove it the likeliest policy",
        **style,
    )
    for row in frame.to_dict("records"):
        text = f"{row['policy']}\n{100 * row['probability']:.0f} %"
        ax.annotate(text, (row["week"], row["p95"] / GIB), (0, 4), textcoords="offset points", fontsize=7, ha="center")
    ax.set(xlabel="Weeks measured", ylabel="Mean size of a clone")
    ax.set_title(f"Day {frame.attrs['day']:.0f}, as foretold after each week")
    low, high = float(frame["p5"].min()) / GIB, float(frame["p95"].max()) / GIB
    ax.set_ylim(low - 0.1 * (high - low), high + 0.3 * (high - low))  # names stand above the intervals
    size_axis(ax)
    ax.margins(x=0.1)  # names stay inside
    ax.set_xticks(frame["week"], [f"{week:.3g}" for week in frame["week"]])
    ax.legend(fontsize=8)
    return add_caption(ax, frame)


def measured_total(found: Calibration) -> pd.DataFrame:
    """What the compared clones had together on each compared date: `date` or `day` (up to 0, the last), and `bytes`."""
    looks = found.looks
    frame = pd.DataFrame({"bytes": looks.size.sum(axis=0)})
    if looks.history.dated:
        frame.insert(0, "date", looks.history.origin + pd.to_timedelta(looks.since + looks.age, unit="D"))
    else:
        frame.insert(0, "day", looks.age - looks.last)
    return frame


def save_calibration(found: Calibration, path: str | Path) -> Path:
    """Draw policy, scale, spread and the pool's fan into one PNG file."""
    posterior, ahead = found.posterior, found.forecast(levels=("pool",))

    def draw(figure: Any) -> None:
        cells = figure.subplots(2, 2)
        for place, parameter in zip(cells.ravel(), ("policy", "scale", "spread"), strict=False):
            plot_calibration(posterior, place, parameter=parameter)
        plot_forecast(captioned(ahead, *found.notes[-1:]), cells[1, 1], past=measured_total(found))
        figure.suptitle(repr(found), fontsize=9, color=ORANGE if found.misfit < 0.01 else GREY)

    return save_figure(draw, path, size=(12, 9))
