"""A history on common days: gaps, resets, clones that come and go; figures worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from growth_tools import GIB, MIB, frame, pool, weekly

from clonesim.planning.growth_grid import grid_of
from clonesim.planning.growth_history import history_of


def grid(*parts):
    return grid_of(history_of(pd.concat(parts)))


def test_weekly_sizes_stand_as_they_are():
    found = grid(frame(weekly(5), [1, 2, 4, 8, 16]), frame(weekly(5), [3, 3, 3, 3, 3], clone=1))
    assert found.days.tolist() == [0, 7, 14, 21, 28]
    assert found.size.tolist() == [[1, 2, 4, 8, 16], [3, 3, 3, 3, 3]]
    assert found.seen.all()
    assert found.course.tolist() == [0.5, 1, 2, 4]
    assert found.present.all()


def test_a_gap_is_filled_along_the_others_course():
    """The others grew 100, then 300: of its 800 a clone with a gap grew a quarter in the first week."""
    other = [0, 100, 400, 500]
    gap = frame([0, 14, 21], [0, 800, 900], clone=2)
    found = grid(frame(weekly(4), other), frame(weekly(4), other, clone=1), gap)
    assert found.size[2, 1] == pytest.approx(200)
    assert found.seen[2].tolist() == [True, False, True, True]


def test_a_week_nobody_measured_is_filled_straight():
    days = [0, 7, 21, 28]
    found = grid(frame(days, [0, 100, 300, 400]))
    assert found.days.tolist() == [0, 7, 14, 21, 28]
    assert found.size[0].tolist() == [0, 100, 200, 300, 400]
    assert found.seen[0].tolist() == [True, True, False, True, True]


def test_a_reset_leaves_no_gain():
    sizes = np.array([1, 2, 3, 1, 2]) * GIB
    found = grid(frame(weekly(5), sizes))
    assert np.isnan(found.gain[0]).tolist() == [False, False, True, False]
    assert found.begun[0].tolist() == [0, 0, 0, 21, 21]
    assert found.course.tolist() == [GIB, GIB, 0, GIB]


def test_clones_that_come_later_or_go():
    stays, comes = frame(weekly(6), np.arange(6) * MIB), frame(weekly(6)[3:], [5, 6, 7], clone=1)
    goes, misses = frame(weekly(2), [5, 6], clone=2), frame(weekly(5), np.arange(5) * MIB, clone=3)
    found = grid(stays, comes, goes, misses)
    assert found.present.tolist() == [True, True, False, True]  # gone for four weeks; missed only the last one
    assert np.isnan(found.size[1]).tolist() == [True, True, True, False, False, False]
    assert not found.seen[3, -1]
    assert found.size[3, -1] > found.size[3, -2]  # it grows on as the others do


def test_short_and_long_histories_have_other_steps():
    assert np.diff(grid(frame(np.arange(7), np.arange(7))).days).tolist() == [1] * 6
    assert np.diff(grid(frame(np.arange(29), np.arange(29))).days) == pytest.approx([28 / 6] * 6)
    long = grid(frame(weekly(101), np.arange(101)))
    assert np.diff(long.days) == pytest.approx([35] * 20)


def test_hours_do_not_matter():
    rng = np.random.default_rng(5)
    measured = pool(20, weekly(8), lambda day: day * 100 * MIB)
    later = measured.assign(day=measured["day"] + rng.uniform(0, 0.2, len(measured)))
    found = grid_of(history_of(later))
    assert found.days.size == 8
    assert found.seen.mean() > 0.99
    assert found.course == pytest.approx(np.full(7, 700 * MIB), rel=0.05)


def test_gaps_equal_a_slow_reference():
    """First pass of filling, straight between measurements, clone by clone and day by day."""
    rng = np.random.default_rng(2)
    parts = []
    for clone in range(12):
        days = np.sort(rng.choice(60, rng.integers(3, 9), replace=False)).astype(float)
        parts.append(frame(days, 100 * MIB + np.cumsum(rng.integers(0, 50 * MIB, days.size)), clone=clone))
    parts.append(frame([0, 59], [GIB, GIB], clone=99))  # does not grow, nor do the others' gaps depend on it
    history = history_of(pd.concat(parts))
    found = grid_of(history)
    for number in range(history.clones):
        own = history.clone == number
        for k, day in enumerate(found.days):
            exact = own & (np.abs(history.day - day) < 1e-6)
            if exact.any():
                assert found.size[number, k] == history.size[exact][-1]
            if history.day[own].min() > day + 7:
                assert np.isnan(found.size[number, k])
            inside = (history.day[own].min() <= day) and (day <= history.day[own].max())
            if inside:
                low = history.size[own][history.day[own] <= day][-1]
                high = history.size[own][history.day[own] >= day - 1e-9][0]
                assert low - 1 <= found.size[number, k] <= high + 1
