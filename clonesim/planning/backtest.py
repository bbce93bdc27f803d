"""What a forecast made some weeks ago would have been worth: the last weeks are hidden, foretold and compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.forecast import LEVELS, groups_of
from clonesim.planning.growth_fit import GrowthFit, fit_growth
from clonesim.planning.growth_history import History, HistoryError, history_of
from clonesim.scenario import catalog
from clonesim.units import parse_size

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RULES = ("fit", "last", "line", "ram")
LEVEL = 0.9  # of all intervals
ENDS = (0.05, 0.95)
MOST_ORIGINS = 52
LEAST_SHARE = 0.5  # of a LUN's or a pool's clones measured, for a sum
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(d|w)")


@dataclass(frozen=True, repr=False)
class Backtest:
    """Forecasts beside what was measured afterwards, from `backtest`.

    Attributes
    ----------
    frame : DataFrame
        A row per origin, clone, LUN or pool and hidden day: `origin` (the last day that was fitted), `day` after it
        [d], `level`, `id`, `clones` measured then, `measured` [B]; `fit` (the median), `fit_low`, `fit_high`; `last`
        (last value); `line` (straight line), `line_low`, `line_high`; `ram` (3 x RAM, NaN without a memory size) [B].
    scores : DataFrame
        A row per level and rule: `forecasts` [1]; `covered`, share of what was measured within the 90 % interval [1];
        `interval_score`, mean per clone [B]; `mae`, mean error per clone [B]; `bias` [B]. NaN where a rule has none.
    hidden_days : float
        How much was hidden. [d]
    notes : tuple of str
        What the comparison leaves out.
    """

    frame: pd.DataFrame
    scores: pd.DataFrame
    hidden_days: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Coverage by level."""
        own = self.scores[self.scores["rule"] == "fit"]
        told = ", ".join(f"{row['level']} {row['covered']:.0%}" for row in own.to_dict("records"))
        return f"Backtest(last {self.hidden_days:g} days hidden; 90 % intervals cover: {told})"


def backtest(
    measured: pd.DataFrame | History,
    hide_last: str | float = "4w",
    *,
    memory: int | str | None = None,
    origins: int = 1,
    capacity: int | str | pd.Series | None = None,
    seed: int = 0,
    draws: int | None = None,
) -> Backtest:
    """Hide the end of a history, forecast it, and compare.

    Parameters
    ----------
    measured : DataFrame
        As of `fit_growth`.
    hide_last : str or float, default "4w"
        How much to hide: weeks ("4w"), days ("28d") or a number of days. [d]
    memory : int or str, optional
        Memory of a guest, for the rule "3 x RAM". [B]
    origins : int, default 1
        How often to do it, each time a week earlier. [1]
    capacity, seed
        As of `fit_growth`.
    draws : int, optional
        Drawn courses; by default the catalog's. [1]

    Returns
    -------
    Backtest
        `.frame`, `.scores`.

    Raises
    ------
    HistoryError
        If what remains is too short to fit, or nothing was measured afterwards.

    Notes
    -----
    The interval score is the width of a 90 % interval plus 20 times what lies outside of it (Gneiting and Raftery,
    "Strictly Proper Scoring Rules", JASA 102, 2007): the smaller, the better. The straight line has Student's
    prediction interval; the last value and 3 x RAM have none.
    """
    history = history_of(measured)
    hidden = span_of(hide_last)
    if isinstance(origins, bool) or not isinstance(origins, int) or not 1 <= origins <= MOST_ORIGINS:
        raise ParameterError("origins", origins, f"a whole number from 1 to {MOST_ORIGINS} is needed")
    rule = None if memory is None else catalog.value("planning", "ram.factor") * parse_size(memory, "memory", least=1)
    frames, notes = [], []
    for number in range(origins):
        cut = history.last - hidden - 7.0 * number
        try:
            fit = _fit_before(history, cut, capacity, seed + number)
        except HistoryError as error:
            if number == 0:
                raise HistoryError(
                    f"with the last {hidden:g} days hidden, too little is left",
                    f"Hide less, or measure {error.weeks or 1} more weeks.",
                    error.weeks or 1,
                ) from None
            notes.append(f"{number} of {origins} origins: before that the history is too short.")
            break
        frames.append(_compared(fit, history, cut, cut + hidden, rule, draws))
    frame = pd.concat([part for part in frames if not part.empty] or frames[:1], ignore_index=True)
    if frame.empty:
        raise HistoryError("nothing was measured in the hidden days", "Hide more, or measure on.")
    later = history.until(history.last).resets - history.until(history.last - hidden).resets
    if later:
        notes.append(f"{later} resets fell into the hidden days.")
    return Backtest(frame, _scores(frame), hidden, tuple(notes))


def span_of(text: str | float) -> float:
    """Days of a span as users write it: "4w", "28d" or a number of days. [d]"""
    days = float("nan")
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        days = float(text)
    elif isinstance(text, str) and (hit := _SPAN.fullmatch(text.strip())):
        days = float(hit[1]) * (7 if hit[2] == "w" else 1)
    if not 0 < days <= 3650:
        raise ParameterError("hide_last", text, "weeks or days above 0, at most ten years, are needed", "Write '4w'.")
    return days


def interval_score(low: Floats, high: Floats, value: Floats) -> Floats:
    """Width of 90 % intervals and 20 times what lies outside of them. [B]"""
    weight = 2 / (1 - LEVEL)
    found: Floats = high - low + weight * np.maximum(low - value, 0.0) + weight * np.maximum(value - high, 0.0)
    return found


def straight_line(day: Floats, size: Floats, ahead: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares, with Student's 90 % prediction interval: middle, low, high; NaN where there are too few points."""
    from scipy.stats import t

    known = ~np.isnan(size)
    day, size = day[known], size[known]
    none = np.full(ahead.size, np.nan)
    if day.size < 2 or np.ptp(day) == 0:
        return none, none, none
    away = day - day.mean()
    slope = float(away @ size / (away @ away))
    middle = size.mean() + slope * (ahead - day.mean())
    if day.size < 3:
        return middle, none, none
    rest = size - size.mean() - slope * away
    error = np.sqrt(rest @ rest / (day.size - 2) * (1 + 1 / day.size + (ahead - day.mean()) ** 2 / (away @ away)))
    half = t.ppf(ENDS[1], day.size - 2) * error
    return middle, middle - half, middle + half


def _fit_before(history: History, cut: float, capacity: Any, seed: int) -> GrowthFit:
    if not (history.day <= cut + 1e-9).any():
        raise HistoryError("nothing was measured before", "Hide less.", 1)
    return fit_growth(history.until(cut), capacity=capacity, seed=seed)


def _compared(
    fit: GrowthFit, history: History, cut: float, end: float, ram: float | None, draws: int | None
) -> pd.DataFrame:
    """Rows of one origin."""
    ahead, size = _hidden(fit, history, cut, end)
    if not ahead.size:
        return pd.DataFrame()
    who = np.flatnonzero(fit.grid.present)
    paths = fit.paths(ahead, who, draws=draws)
    place = np.full(fit.history.clones, -1)
    place[who] = np.arange(who.size)
    refused = np.isin(fit.history.names, fit.refusals["clone"].to_numpy(object))
    rows: list[dict[str, Any]] = []
    for number in who[~refused[who]]:
        rows += _rows(fit, "clone", fit.history.names[number], np.array([number]), ahead, size, paths, place, ram)
    for (level, name), inside in groups_of(fit, LEVELS[1:]).items():
        rows += _rows(fit, level, name, np.flatnonzero(inside), ahead, size, paths, place, ram)
    frame = pd.DataFrame(rows)
    if not frame.empty:
        frame.insert(0, "origin", fit.history.when(cut))
    return frame


def _hidden(fit: GrowthFit, history: History, cut: float, end: float) -> tuple[Floats, Floats]:
    """Hidden days, a step apart, and what each clone had then, NaN if not measured: (days,), (clones, days)."""
    step = float(fit.grid.days[-1] - fit.grid.days[-2])
    known = {name: number for number, name in enumerate(fit.history.names)}
    own = np.array([known.get(name, -1) for name in history.names], np.int64)[history.clone]
    chosen = (history.day > cut + 1e-9) & (history.day <= end + 1e-9) & (own >= 0)
    begin = fit.grid.days[-1]
    turn = np.round((history.day[chosen] - begin) / step).astype(np.int64)
    turns, code = np.unique(np.maximum(turn, 1), return_inverse=True)
    size = np.full((fit.history.clones, turns.size), np.nan)
    size[own[chosen], code] = history.size[chosen]  # of several in a step the last, since rows are in order
    days = np.array([np.median(history.day[chosen][code == k]) for k in range(turns.size)]) - begin
    return np.maximum.accumulate(np.maximum(days, 1e-6)), size


def _rows(
    fit: GrowthFit,
    level: str,
    name: Any,
    members: Ints,
    ahead: Floats,
    size: Floats,
    paths: Floats,
    place: Ints,
    ram: float | None,
) -> list[dict[str, Any]]:
    """Rows of one clone, LUN or pool: a day counts if at least half of its clones were measured."""
    rows = []
    begin = fit.grid.days[-1]
    for k, day in enumerate(ahead.tolist()):
        seen = members[~np.isnan(size[members, k])]
        if not seen.size or seen.size < LEAST_SHARE * members.size:
            continue
        low, middle, high = np.quantile(paths[:, place[seen], k].sum(axis=1), (ENDS[0], 0.5, ENDS[1]))
        past = fit.grid.size[seen].sum(axis=0)
        if level == "clone":
            begun = fit.grid.begun[seen[0]]  # a line through one life only
            past = np.where(fit.grid.seen[seen[0]] & (begun == begun[-1]), past, np.nan)
        line = straight_line(fit.grid.days, past, np.array([begin + day]))
        rows.append(
            {"day": day, "level": level, "id": str(name), "clones": int(seen.size), "measured": size[seen, k].sum()}
            | {"fit": middle, "fit_low": low, "fit_high": high, "last": _last(fit, seen)}
            | {"line": line[0][0], "line_low": line[1][0], "line_high": line[2][0]}
            | {"ram": np.nan if ram is None else ram * seen.size}
        )
    return rows


def _last(fit: GrowthFit, members: Ints) -> float:
    """Last measured sizes of some clones, together. [B]"""
    newest = np.append(np.flatnonzero(np.diff(fit.history.clone)), fit.history.clone.size - 1)
    return float(fit.history.size[newest[members]].sum())


def _scores(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for level in LEVELS:
        part = frame[frame["level"] == level]
        for rule in RULES if not part.empty else ():
            value, middle, clones = (part[name].to_numpy(float) for name in ("measured", rule, "clones"))
            known = ~np.isnan(middle)
            if not known.any():
                continue
            row = {"level": level, "rule": rule, "forecasts": int(known.sum()), "covered": np.nan}
            row["interval_score"] = np.nan
            if f"{rule}_low" in part:
                low, high = (part[f"{rule}_{end}"].to_numpy(float) for end in ("low", "high"))
                has = ~np.isnan(low)
                if has.any():
                    row["covered"] = float(((low <= value) & (value <= high))[has].mean())
                    row["interval_score"] = float((interval_score(low, high, value) / clones)[has].mean())
            error = ((middle - value) / clones)[known]
            rows.append(row | {"mae": float(np.abs(error).mean()), "bias": float(error.mean())})
    return pd.DataFrame(rows)
