"""What was measured, by the clones' age: sizes of the same clones on a few dates since they were made."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.growth_history import History, HistoryError
from clonesim.scenario import catalog
from clonesim.units import GIB

TOPIC = "calibration"
MOST_AGE = 3650.0
SINCE = "Give since=, the day on which the clones were made, refreshed or recomposed (--since on the command line)."

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Looks:
    """Sizes of the same clones on some dates; made by `looks_of`.

    Attributes
    ----------
    history : History
        What was measured.
    since : float
        Day of the history on which the clones were made. [d]
    who : (clones,) int64 array
        Their numbers in the history.
    age : (looks,) float64 array
        Days since they were made, ascending. [d]
    size : (clones, looks) float64 array
        Measured, or between two measurements. [B]
    notes : tuple of str
        What was left out or supposed.
    """

    history: History
    since: float
    who: Ints
    age: Floats
    size: Floats
    notes: tuple[str, ...]

    @property
    def born(self) -> Any:
        """Date on which the clones were made; where there are no dates, the day."""
        return self.history.when(self.since)

    @property
    def last(self) -> float:
        """Age at the last look. [d]"""
        return float(self.age[-1])

    def until(self, age: float) -> Looks | None:
        """Looks up to an age; None if there are none."""
        kept = self.age <= age + 1e-9
        if not kept.any():
            return None
        return replace(self, age=self.age[kept], size=self.size[:, kept])

    def chosen(self) -> Looks:
        """The last look and at most as many others as the catalog says, evenly spread."""
        most = catalog.value(TOPIC, "looks.most")
        places = np.unique(np.linspace(0, self.age.size - 1, most).round().astype(np.int64))
        if self.age.size <= most:
            return self
        return replace(self, age=self.age[places], size=self.size[:, places])


def looks_of(history: History, since: Any = None) -> Looks:
    """Find the dates on which most clones were measured, and since when the clones have been growing.

    Parameters
    ----------
    history : History
        What was measured.
    since : date, str or number, optional
        When the clones were made, refreshed or recomposed: a date, or with numbered days a day. Without it a reset that
        the history shows is taken, or the first measured day if sizes were small then, or day 0 of numbered days.

    Raises
    ------
    HistoryError
        If that cannot be told, or no date is left.
    ParameterError
        If `since` is no date, or lies after all measurements.
    """
    notes = list(history.notes)
    born, which = _born(history, since, notes)
    life = _newest_life(history) & (history.day >= born - 1e-9)
    day, ages = np.floor(history.day + 1e-6), history.day - born
    if float(ages[life].max(initial=0.0)) > MOST_AGE:
        allowed = f"that is {ages.max():.0f} days before the last measurement, {MOST_AGE:g} are the most"
        raise ParameterError("since", str(history.when(born)), allowed, "Check the date.")
    rows = life & which[history.clone] & (ages >= catalog.value(TOPIC, "looks.young") - 1e-9)
    days, count = np.unique(day[rows], return_counts=True)
    if not days.size:
        told = f"no clone was measured a day or longer after {_day(history, born)}"
        raise HistoryError(told, "Measure once more, a week after they were made.", 1)
    days = days[count >= catalog.value(TOPIC, "looks.share") * count.max()]
    age = np.array([float(np.median(ages[rows & (day == one)])) for one in days])
    size, known = _sizes(history, rows, ages, age)
    if known.sum() < 0.5 * which.sum():
        notes.append("Most clones lack some of the dates; dates on which fewer were measured are left out.")
    left = int(history.clones - known.sum())
    if left:
        notes.append(f"{left} of {history.clones} clones are left out: not measured on all compared dates.")
    return Looks(history, born, np.flatnonzero(known), age, size[known], tuple(notes))


def _born(history: History, since: Any, notes: list[str]) -> tuple[float, NDArray[np.bool_]]:
    """Day on which the clones were made, and which clones that holds for."""
    everyone = np.ones(history.clones, np.bool_)
    if since is not None:
        return _given(history, since), everyone
    reset, before, after = _resets(history)
    if reset.mean() >= 0.5:
        born = float(np.median((before + after)[reset] / 2))
        same = reset & (before <= born + 1) & (after >= born - 1)
        if same.sum() < 0.8 * reset.sum():
            told = "clones were set back on different days"
            raise HistoryError(told, "Calibrate clones that were made together, one group at a time.")
        born = float(np.floor(born + 0.5))
        notes.append(f"Clones were set back about {_day(history, born)}; what was measured before does not count.")
        return born, same
    first = float(history.day.min())
    if not history.dated and first >= catalog.value(TOPIC, "looks.young"):
        notes.append("Days are taken to count from the day on which the clones were made.")
        return 0.0, everyone
    day = np.floor(history.day + 1e-6)
    days = np.unique(day)
    medians = [float(np.median(history.size[day == one])) for one in days[:2]]
    if days.size > 1 and medians[0] <= catalog.value(TOPIC, "looks.first_share") * medians[1]:
        notes.append(f"Clones are taken to have been made on the first measured day, {_day(history, first)}.")
        return float(np.floor(first + 1e-6)), everyone
    told = f"it does not tell since when the clones, {medians[0] / GIB:.2f} GiB when first measured, have been growing"
    raise HistoryError(told, SINCE)


def _given(history: History, since: Any) -> float:
    """Day of the history that the user named."""
    allowed = "a date such as 2026-01-05 is needed" if history.dated else "a number of days is needed"
    try:
        if history.dated:
            if isinstance(since, (int, float)) or not isinstance(since, (str, dt.date, np.datetime64)):
                raise TypeError
            when = pd.Timestamp(since)
            when = when.tz_convert("UTC").tz_localize(None) if when.tzinfo else when
            born = (when - history.origin) / pd.Timedelta(days=1)
        else:
            born = float(since)
        if not np.isfinite(born):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise ParameterError("since", since, allowed) from None
    if born > history.last:
        last = _day(history, history.last)
        raise ParameterError("since", str(since), f"the last measurement is of {last}", "Give an earlier day.")
    return float(born)


def _newest_life(history: History) -> NDArray[np.bool_]:
    """Rows of each clone's life since it was last set back."""
    newest = np.zeros(history.clones, np.int64)
    np.maximum.at(newest, history.clone, history.episode)
    return np.asarray(history.episode == newest[history.clone])


def _resets(history: History) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Which clones were set back, and the days of the last row before that and of the first one after it."""
    life = _newest_life(history)
    before, after = np.full(history.clones, -np.inf), np.full(history.clones, np.inf)
    np.maximum.at(before, history.clone[~life], history.day[~life])
    np.minimum.at(after, history.clone[life], history.day[life])
    return np.isfinite(before), before, after


def _sizes(history: History, rows: NDArray[np.bool_], ages: Floats, age: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Size of each clone at some ages, between measurements in proportion to time; and who has all of them."""
    size = np.full((history.clones, age.size), np.nan)
    clone, own_age, own_size = history.clone[rows], ages[rows], history.size[rows]
    edges = np.searchsorted(clone, np.arange(history.clones + 1))
    for number in range(history.clones):
        mine = slice(edges[number], edges[number + 1])
        if edges[number + 1] > edges[number]:
            size[number] = np.interp(age, own_age[mine], own_size[mine])
            outside = (age < own_age[mine][0] - 1) | (age > own_age[mine][-1] + 1)
            size[number, outside] = np.nan
    return size, ~np.isnan(size).any(axis=1)


def _day(history: History, day: float) -> str:
    when = history.when(day)
    return f"{when:%Y-%m-%d}" if isinstance(when, pd.Timestamp) else f"day {when:g}"
