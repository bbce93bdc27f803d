"""The pool's calendar: weekdays, holidays, patch days. A day has 86,400 s; day 0 is the pool's first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.scenario.months import MONTHLY, ORDINALS, day_of

DAY_S: Final = 86_400.0
SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days of a run, in the pool's local time.

    Local time is what a wall clock shows, without the hours that daylight saving skips or repeats: every day has 24
    hours, so `time_s` = 3,600 x 9 is 9 o'clock on the first day and stays 9 o'clock all year.

    Attributes
    ----------
    start : date
        The pool's first day; time 0 is its local midnight.
    days : int
        Length of the run. [d]
    zone : str
        IANA name of the pool's time zone. Only `stamp` needs it.
    holidays : frozenset of date
        Days on which the pool works as on a weekend day.
    """

    start: dt.date
    days: int
    zone: str = "UTC"
    holidays: frozenset[dt.date] = frozenset()

    @classmethod
    def of(cls, start: dt.date, days: int, zone: str = "UTC", holidays: Iterable[dt.date] = ()) -> Self:
        """Calendar of a run; holidays before its start or after its end are allowed, and ignored.

        Raises
        ------
        ParameterError
            If there is no day.
        """
        if days < 1:
            raise ParameterError("pool.days", days, "allowed are whole numbers from 1 up")
        return cls(start, days, zone, frozenset(holidays))

    @property
    def horizon_s(self) -> float:
        """End of the run. [s]"""
        return self.days * DAY_S

    def date(self, day: int) -> dt.date:
        """Date of a day by number."""
        return self.start + dt.timedelta(days=day)

    def day(self, date: dt.date) -> int:
        """Day's number of a date; negative before the start."""
        return (date - self.start).days

    def stamp(self, time_s: float) -> dt.datetime:
        """Date and time, with the pool's time zone, of a time in seconds since the start."""
        local = dt.datetime.combine(self.start, dt.time()) + dt.timedelta(seconds=time_s)
        return local.replace(tzinfo=ZoneInfo(self.zone))

    def weekdays(self, before: int = 0, after: int = 0) -> NDArray[np.int8]:
        """Weekdays of all days, Monday being 0; also of some days before the first and after the last.

        Returns
        -------
        (before + days + after,) int8 array
        """
        number = np.arange(-before, self.days + after) + self.start.weekday()
        return (number % 7).astype(np.int8)

    def workdays(self, before: int = 0, after: int = 0) -> NDArray[np.bool_]:
        """Which days, from `before` days before the first, are neither at a weekend nor a holiday.

        Returns
        -------
        (before + days + after,) bool array
        """
        work = self.weekdays(before, after) < SATURDAY
        for holiday in self.holidays:
            place = self.day(holiday) + before
            if 0 <= place < work.size:
                work[place] = False
        return work

    def monthly(self, rule: str, before: int = 0) -> NDArray[np.int64]:
        """Days on which a monthly rule such as "second-tuesday" falls, from `before` days before the first on.

        Returns
        -------
        (n,) int64 array, rising

        Raises
        ------
        ParameterError
            If there is no such rule.
        """
        if rule not in MONTHLY:
            allowed = f"a rule is one of {', '.join(ORDINALS)}, a hyphen and a weekday"
            raise ParameterError("storms.patch_day", rule, allowed, "Write for example 'second-tuesday'.")
        days = (
            self.day(day_of(rule, year, month)) for year, month in _months(self.date(-before), self.date(self.days - 1))
        )
        return np.fromiter((day for day in days if -before <= day < self.days), np.int64)


def _months(first: dt.date, last: dt.date) -> Iterable[tuple[int, int]]:
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return ((number // 12, number % 12 + 1) for number in numbers)
