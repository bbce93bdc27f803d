"""Users' sessions: the distributions asked for, keyed by the user and by nothing else."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.users import APART_S, Sessions, most_at_a_time
from clonesim.scenario import load_scenario

MONDAY = dt.date(2026, 1, 5)
HABITS = {
    "absence": 0.1,
    "weekend": 0.05,
    "session_mean": "6 h",
    "logon_at": "08:30",
    "logon_spread": "30 min",
    "intensity_sigma": 0.5,
}


def habits(**changes):
    return load_scenario("windows-11-office", users=HABITS | changes).users


def drawn(users=400, days=70, holidays=(), start=MONDAY, seed=1, replicate=0, **changes):
    return Sessions.of(habits(**changes), users, Calendar.of(start, days, holidays=holidays), seed, replicate)


def days_of(sessions):
    return (sessions.start_s // DAY_S).astype(int)


def z(share, count, expected):
    return (share - expected) / np.sqrt(expected * (1 - expected) / count)


def test_attendance_on_working_days_and_weekends():
    sessions = drawn()
    weekday = days_of(sessions) % 7
    assert abs(z((weekday < 5).sum() / (400 * 50), 400 * 50, 0.9)) < 4
    assert abs(z((weekday >= 5).sum() / (400 * 20), 400 * 20, 0.05)) < 4


def test_a_holiday_is_like_a_weekend_day():
    sessions = drawn(holidays=[MONDAY + dt.timedelta(days=8)])
    there = np.bincount(days_of(sessions), minlength=70)
    assert there[8] < 50 < 300 < there[9]


def test_logons_are_normal_and_lengths_exponential():
    sessions = drawn(users=2000, days=5, logon_spread="20 min", session_mean="30 min")
    of_day = sessions.start_s % DAY_S
    assert stats.kstest(of_day, "norm", (8.5 * 3600, 1200)).pvalue > 1e-3
    assert stats.kstest(sessions.end_s - sessions.start_s, "expon", (0, 1800)).pvalue > 1e-3


def test_intensity_is_lognormal_with_mean_one():
    sessions = drawn(users=4000, days=1)
    assert stats.kstest(np.log(sessions.intensity), "norm", (-0.125, 0.5)).pvalue > 1e-3
    deviation = np.sqrt(np.expm1(0.25) / 4000)
    assert abs(sessions.intensity.mean() - 1) < 4 * deviation
    assert np.array_equal(drawn(users=5, days=1, intensity_sigma=0.0).intensity, np.ones(5))


@pytest.mark.parametrize("mean", ["6 h", "24 h"])
def test_a_user_is_logged_on_once_at_a_time(mean):
    sessions = drawn(session_mean=mean)
    same = sessions.user[1:] == sessions.user[:-1]
    assert (np.diff(sessions.user) >= 0).all()
    assert (sessions.start_s[1:] - sessions.end_s[:-1])[same].min() >= APART_S - 1e-6
    assert (sessions.end_s >= sessions.start_s).all()
    assert sessions.start_s.min() >= 0
    assert sessions.start_s.max() < 70 * DAY_S


def test_other_users_and_a_longer_run_change_nothing():
    few, many = drawn(users=10, days=30), drawn(users=50, days=60)
    for user in range(10):
        short, long = few.user == user, (many.user == user) & (many.start_s < 30 * DAY_S)
        assert np.array_equal(few.start_s[short], many.start_s[long])
        assert np.array_equal(few.end_s[short][:-1], many.end_s[long][:-1])
    assert np.array_equal(few.intensity, many.intensity[:10])


def test_one_habit_does_not_disturb_another():
    base, longer, later = drawn(), drawn(session_mean="1 h"), drawn(logon_at="09:30")
    assert np.array_equal(base.start_s, longer.start_s)
    assert np.allclose(base.start_s + 3600, later.start_s)
    assert np.array_equal(base.intensity, drawn(absence=0.5).intensity)


def test_seeds_and_replicates_differ():
    base = drawn()
    assert np.array_equal(base.start_s, drawn().start_s)
    for other in (drawn(seed=0), drawn(replicate=1)):
        assert not np.array_equal(base.intensity, other.intensity)


@pytest.mark.parametrize("offset", [-9.0, -6.0, 5.5, 12.0])
def test_users_elsewhere_log_on_at_their_own_morning(offset):
    """Ahead of the pool's clock means earlier in the pool's day; weekends are theirs."""
    sessions = drawn(users=300, days=28, absence=0.0, weekend=0.0, time_zones=[{"offset_h": offset, "share": 1.0}])
    theirs = sessions.start_s + offset * 3600
    assert abs((theirs % DAY_S).mean() - 8.5 * 3600) < 4 * 1800 / np.sqrt(theirs.size)
    assert set((theirs // DAY_S).astype(int) % 7) == {0, 1, 2, 3, 4}
    workdays = [day for day in range(-1, 30) if day % 7 < 5 and 0 <= day * DAY_S + (8.5 - offset) * 3600 < 28 * DAY_S]
    assert len(sessions) == 300 * len(workdays)


def test_time_zones_have_their_shares():
    zones = [{"offset_h": -6.0, "share": 0.3}, {"offset_h": 8.0, "share": 0.2}, {"offset_h": 0.0, "share": 0.5}]
    sessions = drawn(users=2000, days=14, absence=0.0, weekend=0.0, logon_spread="1 min", time_zones=zones)
    one_day = sessions.start_s[days_of(sessions) == 3] % DAY_S // 3600
    for hour, share in ((14, 0.3), (0, 0.2), (8, 0.5)):  # 08:30 of their own clocks
        assert abs(z((one_day == hour).mean(), 2000, share)) < 4
    assert one_day.size == 2000


def test_nobody_comes():
    assert len(drawn(users=0)) == 0
    assert len(drawn(absence=1.0, weekend=0.0)) == 0
    assert drawn(users=0).most_at_a_time() == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), max_size=30))
def test_most_at_a_time_is_what_a_count_finds(sessions):
    start = np.array([float(s) for s, _ in sessions])
    end = start + [float(length) for _, length in sessions]
    counted = max((sum(s <= time < e for s, e in zip(start, end, strict=True)) for time in range(40)), default=0)
    assert most_at_a_time(start, end) == counted
