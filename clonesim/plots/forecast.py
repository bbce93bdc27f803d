"""Charts of measured growth to come: the pool's or a clone's fan, when a datastore is full, a backtest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clonesim.files import write_csv
from clonesim.plots.chart import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    SKY,
    add_caption,
    axes,
    narrow,
    save_chart,
    save_figure,
    size_axis,
)
from clonesim.plots.describe import tell
from clonesim.plots.sentences import fill_date_sentence
from clonesim.units import GIB
from clonesim.words import counted, sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.backtest import Backtest
    from clonesim.planning.fill_date import FillDate
    from clonesim.planning.growth_fit import GrowthFit

NAMES = {"clone": "Clone", "lun": "LUN", "pool": "Pool"}


def plot_forecast(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    level: str = "pool",
    name: str = "",
    past: pd.DataFrame | None = None,
) -> Axes:
    """Sizes to come with their intervals, after what was measured.

    Parameters
    ----------
    frame : DataFrame
        `GrowthFit.forecast`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    level, name : str
        What of it: `level` and `id` of the frame.
    past : DataFrame, optional
        Measured sizes: `date` or `day` (up to 0, the last one) and `bytes`.
    """
    ax = axes(ax)
    rows = frame[(frame["level"] == level) & (frame["id"] == name)]
    when = "date" if "date" in rows else "day"
    if past is not None and when in past and getattr(past[when].dtype, "tz", None) is not None:
        past = past.assign(**{when: past[when].dt.tz_localize(None)})  # forecasts are of days, without a zone
    if past is not None and not past.empty:  # the fan begins where the measurements end
        ends = {f"p{share}": past["bytes"].iloc[-1] for share in (5, 25, 50, 75, 95)}
        rows = pd.concat([pd.DataFrame([{when: past[when].iloc[-1], "checked": True} | ends]), rows])
    time = rows[when]
    for low, high, alpha in (("p5", "p95", 0.3), ("p25", "p75", 0.5)):
        label = f"{'90' if low == 'p5' else '50'} % interval"
        ax.fill_between(time, rows[low] / GIB, rows[high] / GIB, color=SKY, alpha=alpha, lw=0, label=label)
    ax.plot(time, rows["p50"] / GIB, color=BLUE, lw=2.0, label=f"median: {sized(rows['p50'].iloc[-1])} at the end")
    if past is not None:
        ax.plot(past[when], past["bytes"] / GIB, "o-", color="black", ms=4, lw=1.2, label="measured")
    beyond = rows[~rows["checked"].astype(bool)]
    if not beyond.empty:
        ax.axvline(beyond[when].iloc[0], color=GREY, ls=":", lw=1.2, label="further than the history bears")
    who = f"{NAMES[level]} {name}".strip()
    who += "" if level == "clone" else f", {counted(int(rows['clones'].iloc[-1]), 'clone')}"
    ax.set(ylabel="Size of the deltas", title=who, xlabel="Date" if when == "date" else "Days after the last measured")
    size_axis(ax).set_ylim(bottom=0)
    ax.legend(loc="upper left", fontsize=8)
    _dates(ax, when == "date")
    return add_caption(ax, frame)


def plot_fill_date(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How probable it is, day by day, that a datastore is full.

    Parameters
    ----------
    frame : DataFrame
        `FillDate.frame`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    time = frame["date"] if "date" in frame else frame["day"]
    share = 100 * frame["p_full"]
    ax.fill_between(time, 0, share, color=ORANGE, alpha=0.3, lw=0)
    ax.plot(time, share, color=RED, lw=2.0)
    for level in (5, 50, 95):
        passed = np.flatnonzero(share.to_numpy() >= level)
        ax.axhline(level, color=GREY, lw=0.8, ls=":")
        if passed.size:
            at = time.iloc[passed[0]]
            told = f"{level} %: {at:%Y-%m-%d}" if isinstance(at, pd.Timestamp) else f"{level} %: day {at:.0f}"
            early = passed[0] < 0.25 * len(frame)  # beside the curve, where it is not
            style: dict[str, Any] = {"va": "top", "xytext": (6, -3)} if early else {"ha": "right", "xytext": (-4, 3)}
            ax.annotate(told, (at, level), textcoords="offset points", fontsize=8, **style)
    ax.set(ylabel="Probability that it is full [%]", ylim=(0, 101), title="When the datastore is full")
    ax.set_xlabel("Date" if "date" in frame else "Days after the last measured")
    _dates(ax, "date" in frame)
    return tell(add_caption(ax, frame), fill_date_sentence(frame))


def plot_backtest(frame: pd.DataFrame, ax: Axes | None = None, *, level: str = "lun") -> Axes:
    """What was measured in the hidden days beside what had been forecast: a point on the line was foretold exactly.

    Parameters
    ----------
    frame : DataFrame
        `Backtest.frame`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    level : str, default "lun"
        "clone", "lun" or "pool"; where the frame has none of it, clones.
    """
    ax = axes(ax)
    rows = frame[frame["level"] == level]
    rows = frame[frame["level"] == "clone"] if rows.empty else rows
    size = rows["clones"] * GIB
    middle, low, high, measured, line = (
        (rows[name] / size).to_numpy() for name in ("fit", "fit_low", "fit_high", "measured", "line")
    )
    apart = np.stack([middle - low, high - middle])
    style: dict[str, Any] = {"fmt": "o", "ms": 3, "color": BLUE, "ecolor": SKY, "elinewidth": 1.0}
    ax.errorbar(measured, middle, yerr=np.maximum(apart, 0.0), label="fitted growth, 90 %", **style)
    ax.plot(measured, line, "x", color=ORANGE, ms=4, label="straight line through the past")
    ends = [float(np.nanmin([low.min(), measured.min()])), float(np.nanmax([high.max(), measured.max()]))]
    ax.plot(ends, ends, color="black", lw=1.0, label="forecast = measured")
    ax.set(xlabel="Measured, per clone", ylabel="Forecast, per clone", title="Hidden weeks, forecast")
    size_axis(size_axis(ax), "x")
    room = 0.05 * (ends[1] - ends[0])
    ax.set_ylim(ends[0] - room, ends[1] + 5 * room)  # the legend stands above the points; the line may leave the chart
    ax.legend(loc="upper left", fontsize=8)
    return add_caption(ax, frame)


def save_forecast(fit: GrowthFit, ahead: pd.DataFrame, full: FillDate | None, folder: Path) -> list[Path]:
    """Write forecast.csv, refusals.csv, forecast.png and, with a capacity, fill-date.csv and fill-date.png."""
    saved = [write_csv(folder / "forecast.csv", ahead), write_csv(folder / "refusals.csv", fit.refusals)]
    past = measured_pool(fit)
    saved.append(
        save_figure(lambda figure: plot_forecast(ahead, figure.add_subplot(), past=past), folder / "forecast.png")
    )
    if full is not None:
        saved += [write_csv(folder / "fill-date.csv", full.frame)]
        saved += [save_chart(plot_fill_date, full.frame, folder / "fill-date.png")]
    return saved


def save_backtest(found: Backtest, folder: Path) -> list[Path]:
    """Write backtest.csv, scores.csv and backtest.png."""
    saved = [write_csv(folder / "backtest.csv", found.frame), write_csv(folder / "scores.csv", found.scores)]
    return [*saved, save_chart(plot_backtest, found.frame, folder / "backtest.png")]


def measured_pool(fit: GrowthFit) -> pd.DataFrame:
    """What all clones had on the common days on which each of them has a size: `date` or `day`, and `bytes`."""
    size = fit.grid.size[fit.grid.present]
    whole = ~np.isnan(size).any(axis=0)
    days = fit.grid.days[whole]
    frame = pd.DataFrame({"bytes": size[:, whole].sum(axis=0)})
    if fit.history.dated:
        frame.insert(0, "date", fit.history.origin + pd.to_timedelta(days, unit="D"))
    else:
        frame.insert(0, "day", days - fit.grid.days[-1])
    return frame


def _dates(ax: Axes, dated: bool) -> None:
    """Dates along the axis, so few that they do not meet."""
    if dated:
        from matplotlib import dates

        places: type[Any] = dates.AutoDateLocator
        form: type[Any] = dates.DateFormatter
        ax.xaxis.set_major_locator(places(minticks=2, maxticks=3 if narrow(ax) else 7))
        ax.xaxis.set_major_formatter(form("%Y-%m-%d"))
        ax.tick_params(axis="x", labelsize=8)
