"""Shapes of growth against their formulas, and patch days against the calendar."""

import calendar
from datetime import date, timedelta
from math import exp

import numpy as np
import pandas as pd
import pytest
from growth_tools import frame, weekly

from clonesim.planning.growth_curves import (
    BROKEN,
    LINEAR,
    POWER,
    SATURATING,
    TWO_PHASE,
    Curves,
    all_curves,
    calendars_of,
    events_by,
    jumps_by,
    patch_days,
)
from clonesim.planning.growth_history import history_of


def one(family, first, second, push=0.0):
    ones = np.ones(1)
    calendar = np.zeros(1, np.int64)
    return Curves(np.array([family]), ones * first, ones * second, ones * push, 0 * ones, ones, calendar, ones)


@pytest.mark.parametrize(
    ("curve", "value"),
    [
        (one(LINEAR, 1, 0), 30.0),
        (one(POWER, 0.5, 6), 6.0),
        (one(SATURATING, 10, 0), 10 * (1 - exp(-3))),
        (one(TWO_PHASE, 10, 0.1), 10 * (1 - exp(-3)) + 3.0),
        (one(BROKEN, 20, 0.1), 21.0),
        (one(LINEAR, 1, 0, push=12.0), 54.0),
        (one(SATURATING, 10, 0, push=5.0), 10 * (1 - exp(-4))),
    ],
)
def test_growth_by_day_30_with_two_patch_days(curve, value):
    assert curve.progress(np.array([30.0]), np.array([2.0]))[0, 0] == pytest.approx(value)


def test_all_shapes_grow_and_priors_are_probabilities():
    curves = all_curves(calendars=1)
    found = curves.progress(np.linspace(0, 400, 60), np.linspace(0, 13, 60))
    assert (np.diff(found, axis=1) >= 0).all()
    assert curves.prior.sum() == pytest.approx(1)
    families = [curves.prior[curves.family == k].sum() for k in range(5)]
    assert families == pytest.approx([0.25, 0.25, 0.25, 0.125, 0.125])
    assert (all_curves().jump == 0).all()


def test_times_of_shapes_go_with_the_length_of_the_history():
    short, long = all_curves(0, 49.0), all_curves(0, 490.0)
    saturating = short.family == SATURATING
    assert long.first[saturating] == pytest.approx(10 * short.first[saturating])
    assert long.first[short.family == POWER] == pytest.approx(short.first[short.family == POWER])  # exponents


def test_patch_days_are_the_day_after_each_second_tuesday():
    origin = pd.Timestamp("2025-11-20")
    found = [origin + timedelta(days=float(day)) for day in patch_days(origin, 0, 400)]
    wanted = []
    for year, month in [(2025, 12), *[(2026, m) for m in range(1, 13)]]:
        days = [d for d in calendar.Calendar().itermonthdates(year, month) if d.month == month]
        wanted.append([day for day in days if day.weekday() == 1][1] + timedelta(days=1))
    inside = [when.date() for when in found if when >= origin]
    assert inside[: len(wanted)] == wanted
    assert date(2026, 1, 14) in inside


def test_a_patch_day_counts_over_half_a_day():
    patches = np.array([10.0, 40.0])
    assert events_by(np.array([9.0, 10.25, 10.5, 39.0, 41.0]), patches).tolist() == [0, 0.5, 1, 1, 2]
    assert events_by(np.array([5.0]), np.zeros(0)).tolist() == [0]


def test_jumps_fade():
    patches, ones = np.array([1.0, 10.0, 20.0, 30.0]), np.ones(2)
    calendar = np.zeros(2, np.int64)
    curves = Curves(calendar, ones, ones, ones, ones, np.array([1.0, 0.5]), calendar, ones)
    found = jumps_by(np.array([5.0, 15.0, 25.0, 35.0]), (patches,), 5.0, curves)
    assert found.tolist() == [[0, 1, 2, 3], [0, 1, 1.5, 1.75]]  # the first came before the history


def test_without_dates_every_week_may_be_the_patch_day_s():
    """Thirteen calendars: four, four and five weeks between patch days, each in the middle of its week."""
    history = history_of(frame(weekly(9), weekly(9)))
    found = calendars_of(history, 0.0, 56.0)
    assert len(found) == 13
    for patches in found:
        assert set(np.round(np.diff(patches), 6)) == {28.0, 35.0}
        assert set(np.round((56.0 - patches) % 7, 6)) == {3.5}
        assert patches[0] < 0
        assert patches[-1] > 56 + 3650
    first = sorted(patches[patches > 0][0] for patches in found)
    assert set(np.round(first, 6)) == {3.5, 10.5, 17.5, 24.5, 31.5}


def test_with_dates_there_is_one_calendar_and_in_a_short_history_none():
    assert len(calendars_of(history_of(frame(weekly(3), [1, 2, 3], start="2026-01-05")), 0.0, 14.0)) == 1
    assert calendars_of(history_of(frame(weekly(3), [1, 2, 3])), 0.0, 14.0) == ()
