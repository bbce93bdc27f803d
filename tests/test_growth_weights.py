"""Weights of curves: the fast sums against a plain loop; known courses are found, the fitted scale is right."""

import math

import numpy as np
import pytest
from growth_tools import GIB, MIB, frame, pool, weekly

from clonesim.planning.growth_course import Lives, progress_of
from clonesim.planning.growth_curves import all_curves
from clonesim.planning.growth_grid import grid_of
from clonesim.planning.growth_history import history_of
from clonesim.planning.growth_weights import FREEDOM, SHOCKS, Gains, fit_course, held_out, lump_of, scales
from clonesim.scenario import catalog


def fitted(measured, room=np.inf):
    grid = grid_of(history_of(measured))
    return fit_course(grid, all_curves(0, float(np.ptp(grid.days))), (), 1.0 * MIB, room)


def slow_scale(gain, expected, variance, weeks, shock, lump):
    drift = catalog.value("growth", "course.drift")
    rough = max(sum(gain), 0.0) / sum(expected)
    above = below = 0.0
    for k in range(len(gain)):
        back = sum(weeks[k + 1 :]) + 0.5 * weeks[k]
        due = rough * expected[k]
        spread = (shock**2 / weeks[k] + drift**2 * back) * due**2 + lump * due + variance[k]
        above += expected[k] * gain[k] / spread
        below += expected[k] ** 2 / spread
    return max(above / below, 0.0), 1 / math.sqrt(below)


def slow_score(gain, expected, variance, weeks, shock, lump):
    drift, total = catalog.value("growth", "course.drift"), 0.0
    for k in range(1, len(gain)):
        scale, error = slow_scale(gain[:k], expected[:k], variance[:k], weeks[:k], shock, lump)
        mean = scale * expected[k]
        relative = shock**2 / weeks[k] + drift**2 * weeks[k]
        spread = math.sqrt(relative * mean**2 + (error * expected[k]) ** 2 + lump * mean + variance[k])
        z = (gain[k] - mean) / spread
        total += -math.log(spread) - (FREEDOM + 1) / 2 * math.log1p(z * z / FREEDOM)
    return total


@pytest.mark.parametrize("lump", [0.0, 30.0])
def test_scores_equal_a_plain_loop(lump):
    rng = np.random.default_rng(4)
    gain, weeks = rng.gamma(2, 50, 7), rng.uniform(0.5, 2.0, 7)
    variance, expected = rng.uniform(1, 40, 7), rng.uniform(0.1, 2, (5, 7))
    gains, shocks = Gains(gain, weeks, variance, lump), np.array(SHOCKS)
    score, (scale, error) = held_out(gains, expected, shocks), scales(gains, expected, shocks)
    for shape in range(5):
        for number, shock in enumerate(SHOCKS):
            one = (gain.tolist(), expected[shape].tolist(), variance.tolist(), weeks.tolist(), shock, lump)
            assert score[shape, number] == pytest.approx(slow_score(*one), rel=1e-9)
            assert (scale[shape, number], error[shape, number]) == pytest.approx(slow_scale(*one), rel=1e-9)


def test_a_straight_course_is_scaled_right():
    course = fitted(pool(30, weekly(8), lambda day: 50 * MIB * day))
    straight = np.flatnonzero(course.curves.family == 0)
    assert course.scale[straight] == pytest.approx(50 * MIB, rel=1e-6)  # bytes a day


@pytest.mark.parametrize(
    ("shape", "family"),
    [
        (lambda day: 60 * MIB * day, "linear"),
        (lambda day: 4 * GIB * (1 - np.exp(-day / 7)), "saturating"),
        (lambda day: 100 * MIB * np.minimum(day, 24) + 3 * MIB * np.maximum(day - 24, 0), "two-phase"),
    ],
)
def test_the_right_family_gets_most_weight(shape, family):
    weights = fitted(pool(40, weekly(12), shape, noise=5 * MIB, seed=1)).families()
    assert sum(weights.values()) == pytest.approx(1)
    assert max(weights, key=weights.get) == family


def test_the_future_mean_is_that_of_the_true_course():
    """Twelve weeks more of what saturates: within a few percent, and the bands hold it."""
    course = fitted(pool(40, weekly(9), lambda day: 4 * GIB * (1 - np.exp(-day / 20)), noise=5 * MIB))
    drawn = course.draw(np.array([56 + 84.0]), 4000, np.random.default_rng(0))[:, 0, 0]
    true = 4 * GIB * (np.exp(-56 / 20) - np.exp(-140 / 20))
    low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95])
    assert low < true < high
    assert middle == pytest.approx(true, rel=0.5)
    assert high < 4 * 84 * 60 * MIB  # nothing like a straight line of the first weeks


def test_curves_that_pass_the_bound_lose_weight():
    measured = pool(20, weekly(8), lambda day: 6 * GIB * (1 - np.exp(-day / 60)), noise=5 * MIB)
    free, bound = fitted(measured).families(), fitted(measured, room=0.2 * GIB).families()
    assert bound["saturating"] < 0.5 * free["saturating"]


def test_lumps_of_one_clone():
    rng = np.random.default_rng(0)
    gain = rng.poisson(2.0, 4000) * 8.0 * MIB  # lumps of 8 MiB
    assert lump_of(gain) == pytest.approx(8 * MIB, rel=0.2)
    assert lump_of(np.full(9, 5.0 * MIB)) == 0


def test_lives_tell_ages_apart():
    sizes = np.array([1, 3, 5, 1, 3, 5, 1.0]) * GIB
    shifted = np.array([3, 5, 1, 3, 5, 1, 3.0]) * GIB
    grid = grid_of(history_of(np_concat(frame(weekly(7), sizes), frame(weekly(7), shifted, clone=1))))
    lives = Lives.of(grid)
    assert lives.begun.tolist() == [0, 14, 21, 35, 42]
    assert lives.now.tolist() == [4, 3]
    assert lives.share.sum(axis=0).tolist() == [1, 1, 1, 1, 1, 1]
    progress = progress_of(all_curves(), grid.days, lives.begun, ())
    assert progress[0, :, -1].tolist() == [42, 28, 21, 7, 0]  # straight: the age itself


def np_concat(*parts):
    import pandas as pd

    return pd.concat(parts)
