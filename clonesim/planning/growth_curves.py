"""Courses that growth may take: straight, power, saturating, two-phase; and the clock that patch days push on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.planning.growth_history import History

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FAMILIES = ("linear", "power", "saturating", "two-phase", "two-phase")  # the last with an abrupt change
LINEAR, POWER, SATURATING, TWO_PHASE, BROKEN = range(5)
YEARS = 3700.0  # days for which patch days are known
USUAL = 49.0  # days from the first to the last of eight weekly sizes
EXPONENTS = (0.2, 0.35, 0.5, 0.65, 0.8)
OFFSETS = (0.5, 7.0, 28.0)  # days that a clone may have run before it was first measured
LIVES = (3.0, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0, 12.0, 14.0, 17.0, 20.0, 24.0, 28.0, 34.0, 40.0, 50.0, 60.0, 90.0, 150.0)
FAST = (3.0, 6.0, 10.0, 16.0, 28.0)
BREAKS = (10.0, 17.0, 24.0, 31.0, 38.0, 45.0)  # days after which the slow phase begins at once
SLOW = (0.01, 0.03, 0.08, 0.15, 0.3)
KEPT = (0.25, 0.6, 1.0)  # share of one patch day's jump that the next one brings
PUSHES_ANY, JUMPS_ANY, KEPT_ANY = (12.0,), (0.7, 2.0, 6.0, 20.0), (0.25, 1.0)  # the same, of calendars that may be
TURN = 91.0  # days after which second Tuesdays repeat: four, four and five weeks
LEAST_SPAN = 28.0  # days of history below which no calendar is looked for
FAR_BACK = 400.0
PUSHES = (4.0, 12.0, 36.0)  # days by which a patch day pushes the clock of a curve on
JUMPS = (0.3, 0.7, 1.5, 3.0, 6.0, 15.0, 50.0)  # weeks of the curve's mean growth that a patch day adds beside it


@dataclass(frozen=True, slots=True)
class Curves:
    """Shapes of growth, a row each; size and start are fitted.

    Attributes
    ----------
    family : (shapes,) int64 array
        Number in `FAMILIES`.
    first, second : (shapes,) float64 array
        Exponent and days before the first measurement; life [d]; life of the fast phase [d] and share of the slow one.
    push : (shapes,) float64 array
        Days by which a patch day pushes the curve's clock on. [d]
    jump : (shapes,) float64 array
        What a patch day adds beside the curve, in weeks of the curve's mean growth over the history. [1]
    kept : (shapes,) float64 array
        Share of one patch day's jump that the next one brings. [1]
    calendar : (shapes,) int64 array
        Number of the calendar whose patch days count: without dates several are tried.
    prior : (shapes,) float64 array
        Probability before anything is known. [1]
    """

    family: Ints
    first: Floats
    second: Floats
    push: Floats
    jump: Floats
    kept: Floats
    calendar: Ints
    prior: Floats

    def progress(self, age: Floats, events: Floats) -> Floats:
        """Growth up to an age, without its scale: (shapes, ...) from days and patch days since the life began."""
        wide = (slice(None), *(None,) * age.ndim)
        first, second = self.first[wide], self.second[wide]
        clock = age + self.push[wide] * events
        with np.errstate(over="ignore", invalid="ignore"):
            fast = first * -np.expm1(-clock / np.maximum(first, 1e-9))
            power = (clock + second) ** first
        broken = np.minimum(clock, first) + second * np.maximum(clock - first, 0.0)
        choices = [clock, power, fast, fast + second * clock, broken]
        found: Floats = np.choose(np.broadcast_to(self.family[wide], clock.shape), choices)
        return found

    def chosen(self, shapes: Ints) -> Curves:
        """Some of the shapes."""
        return Curves(*(getattr(self, part.name)[shapes] for part in fields(self)))


def all_curves(calendars: int = 0, span: float = USUAL) -> Curves:
    """Every shape that is tried, with so many calendars of patch days: one where there are dates.

    Lives, breaks and days before the first measurement are those of eight weekly sizes; of a history of another length
    (`span`, in days) they are in proportion.
    """
    times = span / USUAL
    rows = [(LINEAR, 1.0, 0.0, 1.0)]
    rows += [(POWER, p, o * times, 1 / 15) for p in EXPONENTS for o in OFFSETS]
    rows += [(SATURATING, life * times, 0.0, 1 / len(LIVES)) for life in LIVES]
    rows += [(TWO_PHASE, life * times, slow, 0.5 / 25) for life in FAST for slow in SLOW]
    rows += [(BROKEN, day * times, slow, 0.5 / 30) for day in BREAKS for slow in SLOW]
    effects = [(0.0, 0.0, 1.0, 0, 1.0)]
    for number in range(calendars):
        effects += _effects(number, calendars)
    table = np.array([(*row, *effect) for row in rows for effect in effects])
    prior = table[:, 3] * table[:, 8]
    family, first, second, _, push, jump, kept, calendar, _ = table.T
    whole = [part.astype(np.int64) for part in (family, calendar)]
    return Curves(whole[0], first, second, push, jump, kept, whole[1], prior / prior.sum())


def _effects(number: int, calendars: int) -> list[tuple[float, float, float, int, float]]:
    """What patch days of one calendar may do: pushes, jumps, what is kept of them, its number, its share of the prior.

    One known calendar is looked at more closely than each of several possible ones.
    """
    pushes, jumps, kept = (PUSHES, JUMPS, KEPT) if calendars == 1 else (PUSHES_ANY, JUMPS_ANY, KEPT_ANY)
    found = [(push, 0.0, 1.0, number, 1 / (len(pushes) * calendars)) for push in pushes]
    share = 3 / (len(jumps) * len(kept) * calendars)
    return found + [(0.0, jump, part, number, share) for jump in jumps for part in kept]


def patch_days(origin: pd.Timestamp, first: float, last: float) -> Floats:
    """Days on which patches of second Tuesdays arrive, the day after, between two days since `origin`. [d]"""
    begin = (origin + pd.Timedelta(days=first)).date() - timedelta(days=40)
    end = (origin + pd.Timedelta(days=last)).date() + timedelta(days=5)
    found, month = [], date(begin.year, begin.month, 1)
    while month <= end:
        tuesday = month + timedelta(days=(1 - month.weekday()) % 7 + 7)
        found.append((tuesday + timedelta(days=1) - origin.date()).days + 0.9)
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return np.array(found)


def calendars_of(history: History, first: float, last: float) -> tuple[Floats, ...]:
    """Calendars of patch days that may hold: the one where there are dates, else one for each week of their turn."""
    if history.dated:
        return (patch_days(history.origin, first - 1, last + YEARS),)
    if last - first < LEAST_SPAN:
        return ()
    known = patch_days(pd.Timestamp("2024-01-01"), 0.0, last - first + YEARS + FAR_BACK)
    middle = (last - known[0] - 3.5) % 7  # in the middle of the weeks before the last day
    start = first - FAR_BACK / 2 - known[0]
    start += (middle - start) % 7
    return tuple(known + start + 7.0 * week for week in range(int(TURN / 7)))


def events_by(day: Floats, patches: Floats) -> Floats:
    """How many patch days had passed by a day; one counts over a day, evenly. [1]"""
    if not patches.size:
        return np.zeros_like(day)
    knots = np.stack([patches, patches + 0.5], axis=1).ravel()
    steps = np.stack([np.arange(patches.size), np.arange(1, patches.size + 1)], axis=1).ravel()
    return np.interp(day, knots, steps.astype(np.float64))


def jumps_by(day: Floats, calendars: tuple[Floats, ...], first: float, curves: Curves) -> Floats:
    """Patch days up to a day, each weighing `kept` times the one before; those before day `first` do not count.

    Returns a (shapes, days) float64 array. [1]
    """
    if not calendars:
        return np.zeros((curves.kept.size, day.size))
    passed = np.stack([events_by(day, one) - events_by(np.array([first]), one) for one in calendars])
    passed = np.maximum(passed, 0.0)[curves.calendar]
    whole, kept = np.floor(passed), curves.kept[:, None]
    level = np.where(kept < 1, (1 - kept**whole) / np.where(kept < 1, 1 - kept, 1.0), whole)
    found: Floats = level + (passed - whole) * kept**whole
    return found
