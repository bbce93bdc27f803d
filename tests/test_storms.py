"""Storms of the whole pool: on the right days and times, with the catalog's sizes, each from its own stream."""

import numpy as np
import pytest
from scipy import stats

from clonesim.guest.presence import DEFINITIONS, EVENT_KINDS, FEATURE_UPDATE, FULL_SCANS, PATCHES
from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.storms import restarts, storms
from clonesim.scenario import catalog, load_scenario

HOUR = 3600.0


def drawn(preset="windows-11-office", days=90, seed=1, replicate=0, start="2026-01-05", guest=None, **given):
    scenario = load_scenario(preset, pool={"days": days, "start": start}, storms=given, guest=guest or {})
    year = Calendar.of(scenario.pool.start, days)
    return scenario, year, storms(scenario, year, seed, replicate)


def moments(year, times):
    return [year.stamp(time).strftime("%Y-%m-%d %H:%M") for time in times]


def test_patches_follow_the_second_tuesday():
    _, year, shared = drawn(patch_at="22:00", patch_delay=1)
    assert moments(year, shared.event(PATCHES)[0]) == ["2026-01-14 22:00", "2026-02-11 22:00", "2026-03-11 22:00"]
    _, year, shared = drawn(patch_at="06:30", patch_delay=20)  # December's, of the 9th, would come on the 29th
    assert moments(year, shared.event(PATCHES)[0]) == ["2026-02-02 06:30", "2026-03-02 06:30", "2026-03-30 06:30"]
    _, year, shared = drawn(patch_delay=30)  # December's come after the start
    assert [m[:10] for m in moments(year, shared.event(PATCHES)[0])] == ["2026-01-08", "2026-02-12", "2026-03-12"]
    assert not drawn(patch_day="never")[2].event(PATCHES)[0].size


@pytest.mark.parametrize(
    ("preset", "mean", "low", "high"),
    [
        ("windows-xp-office", 40, 20, 60),
        ("windows-7-office", 200, 100, 300),
        ("windows-10-office", 1000, 500, 1500),
        ("windows-11-office", 1000, 500, 1500),
    ],
)
def test_patch_sizes_are_those_of_the_system(preset, mean, low, high):
    """50 years of months: between the ends, a mean within four standard errors of the capped lognormal's."""
    scenario, _, shared = drawn(preset, days=3660, start="2000-01-01")
    sizes = np.concatenate([drawn(preset, days=3660, seed=seed)[2].event(PATCHES)[1] for seed in range(5)]) / 1e6
    assert low <= sizes.min() < sizes.max() <= high
    sigma = scenario.storms.patch_spread
    free = stats.lognorm(sigma, scale=mean * np.exp(-sigma * sigma / 2))
    capped = free.expect(lambda x: x, lb=low, ub=high) + low * free.cdf(low) + high * free.sf(high)
    assert abs(sizes.mean() - capped) < 4 * sizes.std() / np.sqrt(sizes.size)
    assert abs(sizes.mean() / mean - 1) < 0.1
    assert len(shared.event(PATCHES)[0]) == 120


def test_factors_on_sizes():
    base, none, same = drawn()[2], drawn(patch_factor=0.0)[2], drawn(patch_spread=0.0, patch_factor=2.0)[2]
    assert same.event(PATCHES)[1].tolist() == [2_000_000_000] * 3
    assert none.event(PATCHES)[1].tolist() == [0] * 3
    assert np.array_equal(none.event(PATCHES)[0], base.event(PATCHES)[0])


def test_definitions_are_pushed_three_times_a_weekday_and_once_a_weekend_day():
    _, _, shared = drawn(days=28)
    times, sizes = shared.event(DEFINITIONS)
    assert np.bincount((times // DAY_S).astype(int), minlength=28).tolist() == [3, 3, 3, 3, 3, 1, 1] * 4
    thirds = (times[(times // DAY_S) % 7 < 5] % DAY_S) // (8 * HOUR)
    assert np.bincount(thirds.astype(int)).tolist() == [20, 20, 20]
    assert set(sizes) == {110_000_000}
    _, _, shared = drawn(days=14, definitions_weekday=0, definitions_weekend=2, definitions_size="50 MiB")
    times, sizes = shared.event(DEFINITIONS)
    assert np.bincount((times // DAY_S).astype(int), minlength=14).tolist() == [0, 0, 0, 0, 0, 2, 2] * 2
    assert set(sizes) == {50 * 2**20}
    assert not drawn(definitions_weekday=0, definitions_weekend=0)[2].event(DEFINITIONS)[0].size


def test_times_of_pushes_are_uniform():
    times = np.concatenate([drawn(days=365, seed=seed)[2].event(DEFINITIONS)[0] for seed in range(3)])
    assert stats.kstest(times[(times // DAY_S) % 7 < 5] % (8 * HOUR), "uniform", (0, 8 * HOUR)).pvalue > 1e-3


def test_a_feature_update_happens_on_its_day():
    _, year, shared = drawn(feature_update="2026-02-20", patch_at="21:00")
    assert moments(year, shared.event(FEATURE_UPDATE)[0]) == ["2026-02-20 21:00"]
    assert shared.event(FEATURE_UPDATE)[1].tolist() == [catalog.value("storms", "feature_update_size.windows-11")]
    assert not drawn()[2].event(FEATURE_UPDATE)[0].size


def test_full_scans():
    _, year, weekly = drawn(av_full="weekly", av_full_at="12:00")
    assert {year.stamp(time).strftime("%a %H:%M") for time in weekly.event(FULL_SCANS)[0]} == {"Wed 12:00"}
    assert weekly.event(FULL_SCANS)[0].size == 13
    _, year, monthly = drawn(av_full="monthly")
    assert [m[:10] for m in moments(year, monthly.event(FULL_SCANS)[0])] == [
        "2026-01-07",
        "2026-02-04",
        "2026-03-04",
        "2026-04-01",
    ]
    assert not drawn(av_full="never")[2].event(FULL_SCANS)[0].size


def test_an_image_that_is_serviced_elsewhere_gets_no_patches():
    _, _, shared = drawn(guest={"servicing": "in-image"}, feature_update="2026-02-20")
    assert not shared.event(PATCHES)[0].size
    assert not shared.event(FEATURE_UPDATE)[0].size
    assert np.array_equal(shared.event(DEFINITIONS)[0], drawn()[2].event(DEFINITIONS)[0])


def test_every_kind_is_there_and_in_order():
    shared = drawn(feature_update="2026-02-20", start="2026-01-07")[2]
    assert set(shared.events) == set(EVENT_KINDS)
    assert shared.first_weekday == 2
    for times, sizes in shared.events.values():
        assert (np.diff(times) >= 0).all()
        assert sizes.dtype == np.int64
        assert times.size == sizes.size > 0
        assert 0 <= times.min() <= times.max() < 90 * DAY_S


def test_a_longer_run_and_other_storms_change_nothing():
    short, long = drawn(days=60)[2], drawn(days=120, av_full="never", reboot="daily", feature_update="2026-02-20")[2]
    for kind in (PATCHES, DEFINITIONS):
        times, sizes = short.event(kind)
        assert np.array_equal(times, long.event(kind)[0][: times.size])
        assert np.array_equal(sizes, long.event(kind)[1][: times.size])
    assert not np.array_equal(short.event(PATCHES)[1], drawn(days=60, replicate=1)[2].event(PATCHES)[1])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"reboot": "never"}, []),
        ({"reboot": "patches"}, ["01-15 03:00", "02-12 03:00", "03-12 03:00"]),
        ({"reboot": "patches", "patch_window": "6 h"}, ["01-16 03:00", "02-13 03:00", "03-13 03:00"]),
        ({"reboot": "patches", "patch_window": "5 h"}, ["01-15 03:00", "02-12 03:00", "03-12 03:00"]),
        ({"reboot": "patches", "patch_day": "never"}, []),
        ({"reboot": "patches", "patch_day": "never", "feature_update": "2026-02-20"}, ["02-21 03:00"]),
    ],
)
def test_restarts_after_patches(given, expected):
    """At the next `reboot_at` after the patch window (22:00 and four hours), the window's last second included."""
    scenario, year, shared = drawn(**given)
    times = restarts(scenario, year, shared)
    assert times[0] == 0
    assert [m[5:] for m in moments(year, times[1:])] == expected


def test_daily_and_weekly_restarts():
    scenario, year, shared = drawn(reboot="daily", reboot_at="04:00")
    assert np.array_equal(restarts(scenario, year, shared)[1:], np.arange(1, 90) * DAY_S + 4 * HOUR)
    scenario, year, shared = drawn(reboot="weekly", patch_day="never")
    assert {year.stamp(time).strftime("%a %H:%M") for time in restarts(scenario, year, shared)[1:]} == {"Sun 03:00"}
    scenario, year, shared = drawn(reboot="weekly", days=28)
    assert [m[5:10] for m in moments(year, restarts(scenario, year, shared))] == [
        "01-05",
        "01-11",
        "01-15",
        "01-18",
        "01-25",
        "02-01",
    ]
