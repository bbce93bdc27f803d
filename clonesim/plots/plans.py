"""Charts of plans: how near each limit is, what the rules of thumb say, what to buy, what moves it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.planning.basis import UNMEASURED, basis_text
from clonesim.planning.density import NOTHING
from clonesim.plots.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    RED,
    SHAPES,
    SKY,
    add_caption,
    axes,
    broken,
    captioned,
    narrow,
    save_chart,
    text_beside,
    with_room,
)
from clonesim.plots.describe import tell
from clonesim.plots.sentences import density_sentence, size_sentence
from clonesim.words import (
    METRICS,
    between,
    density_verdict,
    figure,
    off,
    rule_titles,
    size_verdict,
    sized,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clonesim.planning.density import Density
    from clonesim.planning.sizing import Size

LOWEST, HIGHEST = 0.1, 3000.0  # of the density chart, in % of a limit
COLUMNS = (7.0, 60.0)  # of figures on the right, from the axes [pt]

COLORS = {
    **{"outage": RED, "lock_wait": BLUE, "conflicts": SKY, "iops": GREEN, "latency": ORANGE, "queue": PINK},
    "clones": GREY,
}
NOTE = (
    "Areas: intervals. Dotted line: not resolved, the limit lies in the interval. Points: simulated, straight lines "
    "between them."
)

Floats = NDArray[np.float64]


def plot_density(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How near each limit is as more clones share a LUN, in per cent of the limit, with the largest number that fits.

    Parameters
    ----------
    frame : DataFrame
        `Density.frame`. Its attrs `largest`, `sure` and `binding`, which `plan_density` sets, are marked.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Notes
    -----
    Areas are intervals. A line is dotted where its interval has the limit inside: not resolved. What is below 0.1 % of
    its limit lies on the lower border. Where not every number of clones was simulated, points show which were.
    """
    ax = axes(ax)
    names = [name for name in METRICS if name in set(frame["metric"])]
    for place, name in enumerate(names):
        _one_limit(ax, frame[frame["metric"] == name].sort_values("n"), name, SHAPES[place % 3])
    ax.axhline(100, color="black", lw=1.6)
    ax.axhspan(100, HIGHEST, color=RED, alpha=0.06, lw=0)
    largest, sure = frame.attrs.get("largest", 0), frame.attrs.get("sure", 0)
    if largest:
        ax.axvline(largest, color="black", lw=1.2, ls="--")
        binding = frame.attrs.get("binding", NOTHING)
        reason = "all that were simulated" if binding == NOTHING else f"stopped by {METRICS[binding].short}"
        _beside(ax, largest, 1.02, f"{largest} clones: {reason}", frame)
    else:
        ax.annotate("no number of clones keeps all limits", (0, 1.02), xycoords="axes fraction", fontsize=9)
    sure_note = ""
    if 0 < sure < largest:
        ax.axvline(sure, color=GREY, lw=1.0, ls=":")
        _beside(ax, sure, 0.02, f"{sure}: whole intervals", frame, color=GREY)
        sure_note = f" Up to {sure} clones whole intervals keep the limits."
    ax.set(yscale="log", xlabel="Clones on one LUN, log scale", ylabel="Share of each limit [%], log scale")
    ax.set_title("How many clones one LUN takes", pad=20)
    first, last = int(frame["n"].min()), int(frame["n"].max())
    plain_log(ax, first, max(last, first + 1))
    ax.set_ylim(LOWEST, HIGHEST)
    ax.set_yticks([0.1, 1, 10, 100, 1000], ["0.1 or less", "1", "10", "100", "1,000"])
    ax.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False, title="limits", title_fontsize=9
    )
    return tell(add_caption(ax, frame, NOTE + sure_note), density_sentence(frame))


def plain_log(ax: Axes, low: float, high: float, which: str = "x") -> None:
    """Logarithmic axis with plain numbers."""
    steps = (1,) if which == "x" and narrow(ax) and high > 30 * low else (1, 2, 5)
    marks = [step * 10**power for power in range(7) for step in steps if low <= step * 10**power <= high]
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    (ax.set_xlim if which == "x" else ax.set_ylim)(low, high)
    ticks = ax.set_xticks if which == "x" else ax.set_yticks
    ticks(marks, [f"{mark:,}" for mark in marks])
    ticks([], minor=True)


def _one_limit(ax: Axes, part: pd.DataFrame, name: str, shape: str) -> None:
    n, limit = part["n"].to_numpy(), part["limit"].to_numpy()
    value, low, high = (_of_limit(part[column], limit) for column in ("value", "low", "high"))
    metric, color = METRICS[name], COLORS[name]
    label = f"{metric.short}:\n{metric.told(float(limit[0]))}"
    ax.fill_between(n, low, high, color=color, alpha=0.1, lw=0)
    sides = part["resolved"].to_numpy(bool)
    style: dict[str, Any] = {"color": color, "lw": 2.0, "clip_on": True}
    ax.plot(n, np.where(sides, value, np.nan), ls=shape, label=label, **style)
    seen = part["simulated"].to_numpy(bool)
    if not seen.all():
        ax.plot(n[seen], value[seen], ".", color=color, ms=7, ls="")
    if not sides.all():
        gaps = np.flatnonzero(sides[:-1] & sides[1:]) + 1
        ax.plot(
            *(np.insert(line.astype(float), gaps, np.nan) for line in (n, value)),
            **style | {"ls": (0, (1, 2)), "lw": 2.6},
        )


def _of_limit(values: pd.Series[float], limit: Floats) -> Floats:
    """Values in per cent of the limit, moved to the chart's borders where they are beyond."""
    share = np.divide(100 * values.to_numpy(), limit, out=np.full(limit.size, np.inf), where=limit > 0)
    return np.asarray(np.clip(share, LOWEST, HIGHEST))


def _beside(ax: Axes, n: int, height: float, text: str, frame: pd.DataFrame, **style: Any) -> None:
    """Text at a number of clones, on the side with more room."""
    place = np.log(n / frame["n"].min()) / max(np.log(frame["n"].max() / frame["n"].min()), 1e-9)
    left = place > 0.5
    if narrow(ax) and height > 1:  # above the axes, where their whole width is free
        ax.annotate(text, (0, height), xycoords="axes fraction", fontsize=8, **style)
        return
    more: dict[str, Any] = {"xytext": (-3 if left else 3, 0), "textcoords": "offset points", "fontsize": 9}
    more |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8}} if height < 1 else {}
    ax.annotate(text, (n, height), xycoords=("data", "axes fraction"), ha="right" if left else "left", **more | style)


def plot_rules(rules: pd.DataFrame, ax: Axes | None = None, largest: int | None = None) -> Axes:
    """How many clones per LUN the classic rules allow, beside how many the simulation does.

    Parameters
    ----------
    rules : DataFrame
        `Density.rules`. Rules that say nothing of a number of clones are left out.
    ax : Axes, optional
        Where to draw; a new figure by default.
    largest : int, optional
        `Density.largest`: the line to compare with.
    """
    ax = axes(ax)
    shown = rules[rules["clones"].notna()].iloc[::-1]
    place, clones = np.arange(len(shown)), shown["clones"].to_numpy()
    meant = shown["applies"].to_numpy(bool)
    for chosen, color, label in ((meant, BLUE, "meant for such a pool"), (~meant, "#BBBBBB", "meant for others")):
        if chosen.any():
            ax.barh(place[chosen], clones[chosen], color=color, height=0.65, label=label)
    for row, (count, away) in enumerate(zip(clones, shown["clones_off"], strict=True)):
        _margin(ax, row, 0, f"{count:,.0f}")
        _margin(ax, row, 1, off(away))
    _heads(ax, "clones", "off by")
    if largest:
        ax.axvline(largest, color=RED, lw=1.8, label=f"simulated: {largest}")
    ax.set_yticks(place, rule_titles(shown), fontsize=7 if narrow(ax) else 9)
    ax.set(xlabel="Clones on one LUN, log scale", title="Rules of thumb and the simulation")
    _raised(ax)
    known = [*clones[clones > 0], *([largest] if largest else [])] or [1]
    plain_log(ax, 0.5 * min(known), 2.0 * max(known))
    ax.legend(loc="lower right", fontsize=8)
    return add_caption(ax, rules, "In parentheses: a rule for other backings or settings.")


def _margin(ax: Axes, row: float, column: int, text: str, **style: Any) -> None:
    """A figure on the right of the axes, in one of two columns."""
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    ax.annotate(text, (1, row), xytext=(COLUMNS[column], 0), fontsize=8, **place, **style)


def _raised(ax: Axes) -> None:
    """Lift the title above the heads: a long one would run into them."""
    ax.set_title(ax.get_title(), pad=18)


def _heads(ax: Axes, *texts: str) -> None:
    """Heads of the columns of figures on the right."""
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "color": GREY}
    for text, at in zip(texts, COLUMNS, strict=True):
        ax.annotate(text, (1, 1), xytext=(at, 3), fontsize=8, **style)


def plot_size(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What to buy: each item with its interval, in per cent of what is planned.

    Parameters
    ----------
    frame : DataFrame
        `Size.frame`. Its attr `unmeasured`, which `size` sets, is told in the title.
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    ax = axes(ax)
    rows = frame.iloc[::-1]
    value = rows["value"].to_numpy(float)
    scale = np.where(value > 0, value, 1.0)
    low, high = (100 * rows[name].to_numpy(float) / scale for name in ("low", "high"))
    middle, place = 100 * value / scale, np.arange(len(rows))
    ax.barh(place, middle, color=SKY, height=0.6, label="planned")
    errors = np.maximum([middle - low, high - middle], 0.0)
    ax.errorbar(middle, place, xerr=errors, fmt="none", ecolor="black", elinewidth=1.6, capsize=4, label="interval")
    for spot, row in enumerate(rows.to_dict("records")):
        text = figure(row["value"], row["unit"])
        ends = between(row["low"], row["high"], row["unit"])
        unit = f" {text.rpartition(' ')[2]}" if row["unit"].endswith("/s") else ""  # stands beside it already
        _margin(ax, spot, 0, text, weight="bold")
        _margin(ax, spot, 1, "the same" if ends == text else ends.removesuffix(unit))
    _heads(ax, "planned", "interval")
    ax.axvline(100, color=GREY, lw=0.8, ls=":")
    ax.set_yticks(place, list(rows["item"]), fontsize=8 if narrow(ax) else 10)
    known = f" ({UNMEASURED})" if frame.attrs.get("unmeasured") else ""
    ax.set(xlabel="Of what is planned [%]", title=f"What to buy, and how sure that is{known}")
    _raised(ax)
    ax.set_xlim(0, 1.05 * float(high.max(initial=100.0)))
    return tell(add_caption(ax, frame), size_sentence(frame, ax.get_title()))


def plot_swings(swings: pd.DataFrame, ax: Axes | None = None, planned: float | None = None) -> Axes:
    """Which assumption moves the capacity by how much: a bar per assumption, the widest on top.

    Parameters
    ----------
    swings : DataFrame
        `Size.swings`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    planned : float, optional
        Usable capacity that is planned, `Purchase.usable_bytes`. Without it, or without the column `usable_bytes`, the
        space of one clone is drawn. [B]
    """
    ax = axes(ax)
    bought = planned is not None and "usable_bytes" in swings
    value = swings["usable_bytes"] / (planned or 1.0) if bought else swings["space"]
    table = swings.assign(moved=100 * (value.astype(float) - 1))
    moved = table.groupby("assumption")["moved"]
    ends = pd.DataFrame({"min": moved.min().clip(upper=0.0), "max": moved.max().clip(lower=0.0)})
    ends = ends.assign(span=ends["max"] - ends["min"]).sort_values("span", kind="stable")
    titles = table.drop_duplicates("assumption").set_index("assumption")["title"]
    longest = {"left": 0, "right": 0}
    names: list[str] = []
    for place, (name, row) in enumerate(ends.iterrows()):
        names.append(broken(str(titles[str(name)])))
        ax.barh(place, row["max"], color=ORANGE, height=0.55)
        ax.barh(place, row["min"], color=BLUE, height=0.55)
        for side, at, text in _ends(table[table["assumption"] == name]):
            if narrow(ax):
                names[-1] += f"\n{text}"
                continue
            longest[side] = max(longest[side], len(text))
            text_beside(ax, place, at, side, text)
    ax.axvline(0, color="black", lw=1.0)
    ax.set_yticks(np.arange(len(ends)), names, fontsize=7 if narrow(ax) else 8)
    what = f"Usable capacity, from the planned {sized(float(planned or 0))}" if bought else "Space of one clone, mean"
    ax.set(xlabel=f"{what} [%]", title="What the plan rests on most")
    low, high = min(float(ends["min"].min()), -0.5), max(float(ends["max"].max()), 0.5)
    ax.set_xlim(*with_room(low, high, longest))
    return add_caption(ax, swings, "Each assumption is moved by itself, in a small pool.")


def _ends(part: pd.DataFrame) -> list[tuple[str, float, str]]:
    """Side, place and text of the ways that move an assumption's figure furthest down and up."""
    rows = sorted(part.to_dict("records"), key=lambda row: float(row["moved"]))
    found = []
    for side, row in (("left", rows[0]), ("right", rows[-1])):
        if (row["moved"] >= 0) == (side == "right"):
            found.append((side, float(row["moved"]), f"{row['way']}: {_signed(row['moved'])}"))
    return found


def _signed(per_cent: float) -> str:
    return f"{per_cent:+.0f} %" if abs(per_cent) >= 9.95 else f"{per_cent:+.1f} %"


def save_density(plan: Density, folder: str | Path) -> list[Path]:
    """Save the charts of `plan_density` as PNG files: limits, and rules of thumb."""
    said = density_verdict(plan)
    frame = captioned(plan.frame, plan.label, *said[1:])
    rules = captioned(plan.rules, plan.label, said[0])
    where = Path(folder)
    return [
        save_chart(plot_density, frame, where / "density.png"),
        save_chart(partial(plot_rules, largest=plan.largest), rules, where / "rules.png"),
    ]


def save_size(bought: Size, folder: str | Path) -> list[Path]:
    """Save the charts of `size` as PNG files: the purchase, and what moves it."""
    said = size_verdict(bought)
    basis = basis_text(bought.measured)
    frame = captioned(bought.frame, basis, bought.label, said[1])
    swings = captioned(bought.swings, basis, bought.label, said[2])
    where, planned = Path(folder), float(bought.purchase.usable_bytes)
    return [
        save_chart(plot_size, frame, where / "size.png"),
        save_chart(partial(plot_swings, planned=planned), swings, where / "swings.png"),
    ]
