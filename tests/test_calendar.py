"""The pool's calendar against published patch days, Python's calendar and numpy's business days."""

import calendar as python_calendar
import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.pool.calendar import DAY_S, MONTHLY, Calendar

PATCH_DAYS_2024 = "01-09 02-13 03-12 04-09 05-14 06-11 07-09 08-13 09-10 10-08 11-12 12-10"
DATES = st.dates(dt.date(1999, 1, 1), dt.date(2040, 12, 31))


def test_second_tuesdays_are_the_published_patch_days():
    year = Calendar.of(dt.date(2024, 1, 1), 366)
    assert " ".join(year.date(int(day)).strftime("%m-%d") for day in year.monthly("second-tuesday")) == PATCH_DAYS_2024


@given(start=DATES, days=st.integers(1, 800), before=st.integers(0, 40), rule=st.sampled_from(MONTHLY))
def test_monthly_rules_agree_with_pythons_calendar(start, days, before, rule):
    ordinal, _, weekday = rule.partition("-")
    number = [name.lower() for name in python_calendar.day_name].index(weekday)
    expected = []
    for day in range(-before, days):
        date = start + dt.timedelta(days=day)
        weeks = [week[number] for week in python_calendar.monthcalendar(date.year, date.month) if week[number]]
        wanted = weeks[-1] if ordinal == "last" else weeks[["first", "second", "third", "fourth"].index(ordinal)]
        if date.day == wanted:
            expected.append(day)
    assert Calendar.of(start, days).monthly(rule, before).tolist() == expected


@given(
    start=DATES,
    days=st.integers(1, 400),
    holidays=st.lists(st.integers(-10, 410), max_size=8),
    around=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_workdays_are_numpys_business_days(start, days, holidays, around):
    free = [start + dt.timedelta(days=day) for day in holidays]
    dates = [start + dt.timedelta(days=day) for day in range(-around[0], days + around[1])]
    year = Calendar.of(start, days, holidays=free)
    assert year.workdays(*around).tolist() == np.is_busday(dates, holidays=free).tolist()
    assert year.weekdays(*around).tolist() == [date.weekday() for date in dates]


def test_dates_and_stamps():
    spring = Calendar.of(dt.date(2026, 3, 28), 3, "Europe/Berlin")
    assert spring.horizon_s == 3 * DAY_S
    assert spring.day(spring.date(2)) == 2
    assert spring.stamp(9 * 3600.0).isoformat() == "2026-03-28T09:00:00+01:00"
    assert (
        spring.stamp(DAY_S + 9 * 3600.0).isoformat() == "2026-03-29T09:00:00+02:00"
    )  # the clock went forward at night


def test_what_is_refused():
    with pytest.raises(ParameterError, match=r"^pool\.days=0: allowed are whole numbers from 1 up\.$"):
        Calendar.of(dt.date(2026, 1, 5), 0)
    with pytest.raises(ParameterError, match=r"^storms\.patch_day='fifth-monday': a rule is one of first, second, "):
        Calendar.of(dt.date(2026, 1, 5), 9).monthly("fifth-monday")
