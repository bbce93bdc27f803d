"""Dates as exports write them, turned into microseconds since 1970, UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

NONE = np.iinfo(np.int64).min  # no date; pandas' NaT
FIRST_YEAR, LAST_YEAR = 1970, 2200
MICROSECONDS = 1_000_000
FIRST_TICK = 0  # microseconds at the start of FIRST_YEAR
END_TICK = (datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
MONTHS = {
    name: month
    for month, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}

_TIME = r"(?:[T, ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?)?"
_HALF = r"(?: ?(?P<half>[AP])\.? ?M\.?)?"
_ZONE = r" ?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_REST = _TIME + _HALF + _ZONE
_FORMS = (
    re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})" + _REST, re.I),
    re.compile(r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second_>\d{1,2})[-/.](?P<year>\d{4})" + _REST, re.I),
    re.compile(r"(?P<day>\d{1,2})[- ](?P<name>[a-z]{3})[a-z]*[- ,]+(?P<year>\d{4})" + _REST, re.I),
    re.compile(r"(?:[a-z]{3,9},? +)?(?P<name>[a-z]{3})[a-z]* +(?P<day>\d\d?),? +(?P<year>\d{4})" + _REST, re.I),
    re.compile(
        r"(?:[a-z]{3} +)(?P<name>[a-z]{3}) +(?P<day>\d{1,2}) (?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<second>\d{2})"
        r"(?P<half>(?!))?(?P<part>(?!))?" + _ZONE + r" +(?P<year>\d{4})",
        re.I,
    ),
)  # fmt: skip
_EPOCH = re.compile(r"(?:/Date\()?(\d{9,10}|\d{13})(?:[+-]\d{4})?(?:\)/)?")
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """One date as it stands in a text.

    Attributes
    ----------
    ticks : int
        Microseconds since 1970 by the clock that wrote it; NONE if it stands for no date.
    zoned : bool
        Whether the text names a zone, so that `ticks` is UTC.
    """

    ticks: int
    zoned: bool


class AmbiguousDates(Exception):  # noqa: N818 (caught where the column is known)
    """Days and months cannot be told apart in a column."""


def read_texts(texts: Sequence[str], dayfirst: bool | None = None) -> tuple[list[Reading | None], bool]:
    """Dates of one column.

    Parameters
    ----------
    texts : sequence of str
        Different texts of the column.
    dayfirst : bool, optional
        Whether 3/4/2012 is 3 April; found from the column by default.

    Returns
    -------
    readings : list of Reading or None
        None where a text is no date.
    guessed : bool
        Whether the order of day and month was found from the column.

    Raises
    ------
    AmbiguousDates
        If the order of day and month is needed and neither given nor to be seen.
    """
    hits = [_match(text) for text in texts]
    pairs = [hit for hit in hits if hit is not None and "first" in hit]
    guessed = bool(pairs) and dayfirst is None
    if guessed:
        dayfirst = _order(pairs)
    return [None if hit is None else _reading(hit, bool(dayfirst)) for hit in hits], guessed


def _match(text: str) -> dict[str, str] | None:
    if len(text) > _LONGEST:
        return None
    for form in _FORMS:
        if hit := form.fullmatch(text):
            return {name: value for name, value in hit.groupdict().items() if value is not None}
    if hit := _EPOCH.fullmatch(text):
        return {"epoch": hit[1]}
    return None


def _order(pairs: list[dict[str, str]]) -> bool:
    """Whether the day comes first."""
    if any(int(hit["first"]) > 12 for hit in pairs):
        return True
    if any(int(hit["second_"]) > 12 for hit in pairs):
        return False
    marks = {hit["mark"] for hit in pairs}
    if marks == {"."}:  # 20.01.2012 is written where the day comes first
        return True
    if all("half" in hit for hit in pairs) and marks == {"/"}:  # AM and PM: the United States
        return False
    if all(hit["first"] == hit["second_"] for hit in pairs):
        return False
    raise AmbiguousDates


def _reading(hit: dict[str, str], dayfirst: bool) -> Reading | None:
    if "epoch" in hit:
        ticks = int(hit["epoch"])
        return Reading(ticks * 1000 if len(hit["epoch"]) == 13 else ticks * MICROSECONDS, True)
    if "first" in hit:
        day, month = (hit["first"], hit["second_"]) if dayfirst else (hit["second_"], hit["first"])
    else:
        day, month = hit["day"], hit.get("month", "")
        if "name" in hit:
            month = str(MONTHS.get(hit["name"].lower(), 0))
    try:
        return _ticks(hit, int(month), int(day))
    except (ValueError, OverflowError):
        return None


def _ticks(hit: dict[str, str], month: int, day: int) -> Reading | None:
    hour = int(hit.get("hour", 0))
    if "half" in hit:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if hit["half"].upper() == "P" else 0)
    part = int(hit.get("part", "0").ljust(6, "0")[:6])
    year = int(hit["year"])
    when = datetime(max(year, 1), month, day, hour, int(hit.get("minute", 0)), int(hit.get("second", 0)), part)
    if year < FIRST_YEAR:  # "0001-01-01", "1601-01-01": how .NET and Windows write that there is none
        return Reading(int(NONE), True)
    if year > LAST_YEAR:
        return None
    zone = hit.get("zone", "")
    ticks = (when - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    return Reading(ticks - _offset(zone), bool(zone))


def _offset(zone: str) -> int:
    if zone[:1] not in ("+", "-"):
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return (-seconds if zone[0] == "-" else seconds) * MICROSECONDS


def to_ticks(value: Any) -> Reading | None:
    """A date, a datetime or a spreadsheet's serial day; None if it is none of these."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        # Excel counts days from 30 December 1899; 25,569 is 1 January 1970.
        if not 25_569 <= value < 25_569 + 366 * (LAST_YEAR - FIRST_YEAR):
            return None
        return Reading(round((value - 25_569) * 86_400) * MICROSECONDS, False)
    if not hasattr(value, "year"):
        return None
    when = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    if when.year < FIRST_YEAR:
        return Reading(int(NONE), True)
    if when.year > LAST_YEAR:
        return None
    zoned = when.tzinfo is not None
    base = datetime(1970, 1, 1, tzinfo=UTC if zoned else None)
    return Reading((when - base) // timedelta(microseconds=1), zoned)


def as_utc(ticks: NDArray[np.int64], zoned: NDArray[np.bool_], zone: str) -> pd.Series:
    """Dates as a pandas series in UTC; those that name no zone are times of `zone`."""
    import pandas as pd

    utc = pd.Series(ticks.view("datetime64[us]")).dt.tz_localize("UTC")
    if zone == "UTC" or bool(zoned.all()):
        return utc
    local = pd.Series(ticks[~zoned].view("datetime64[us]"))
    # An hour that the clock shows twice is taken as the later one; one it skips, as the first after it.
    moved = local.dt.tz_localize(zone, ambiguous=np.zeros(local.size, bool), nonexistent="shift_forward")
    whole = ticks.copy()
    whole[~zoned] = moved.dt.tz_convert("UTC").to_numpy(dtype="datetime64[us]").view(np.int64)
    return pd.Series(whole.view("datetime64[us]")).dt.tz_localize("UTC")
