"""Days of months by rule, such as the second Tuesday, on which patches come out."""

from __future__ import annotations

import datetime as dt
from typing import Final

ORDINALS: Final = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHLY: Final = tuple(f"{ordinal}-{day}" for ordinal in ORDINALS for day in WEEKDAYS)


def day_of(rule: str, year: int, month: int) -> dt.date:
    """Day of a month by one of the rules `MONTHLY`."""
    ordinal, _, weekday = rule.partition("-")
    return nth_weekday(year, month, WEEKDAYS.index(weekday), ORDINALS[ordinal])


def nth_weekday(year: int, month: int, weekday: int, ordinal: int) -> dt.date:
    """Day of a month that is its first (0), second (1) and so on, or last (-1), such weekday; Monday is 0."""
    if ordinal < 0:
        next_month = dt.date(year + month // 12, month % 12 + 1, 1)
        last = next_month - dt.timedelta(days=1)
        return last - dt.timedelta(days=(last.weekday() - weekday) % 7)
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(weekday - first.weekday()) % 7 + 7 * ordinal)


def month_number(date: dt.date) -> int:
    """Months of a date: 12 x year + month."""
    return 12 * date.year + date.month


def first_month(rule: str, delay: int, start: dt.date) -> int:
    """Number of the first month whose day by a rule, so many days later, is not before a start.

    Examples
    --------
    >>> import datetime as dt
    >>> first_month("second-tuesday", 7, dt.date(2026, 1, 14)) == month_number(dt.date(2026, 1, 1))
    True
    """
    number = month_number(start) - 2 - delay // 28
    while day_of(rule, (number - 1) // 12, (number - 1) % 12 + 1) + dt.timedelta(days=delay) < start:
        number += 1
    return number
