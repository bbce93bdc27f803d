"""What clones have of their own: noise, speeds and levels against what the histories were made with."""

import numpy as np
import pytest
from growth_tools import GIB, MIB, frame, pool, weekly

from clonesim.planning.growth_clones import fit_clones, noise_of
from clonesim.planning.growth_grid import grid_of
from clonesim.planning.growth_history import history_of


def fitted(measured):
    history = history_of(measured)
    grid = grid_of(history)
    return fit_clones(grid, noise_of(history, grid))


@pytest.mark.parametrize("noise", [20 * MIB, 100 * MIB])
@pytest.mark.parametrize("slope", [0, 60 * MIB])
def test_noise_is_found(noise, slope):
    measured = pool(60, weekly(9), lambda day: slope * day, noise=noise, seed=7)
    assert fitted(measured).noise == pytest.approx(noise, rel=0.3)


def test_speeds_that_last_are_found_and_shrunk():
    measured = pool(80, weekly(9), lambda day: 50 * MIB * day, spread=0.5, noise=20 * MIB, seed=1)
    found = fitted(measured)
    true = np.exp(np.array([np.random.default_rng(1).normal(0, 0.5)]))  # the first clone's own draw
    slopes = measured.groupby("clone")["bytes"].agg(lambda part: part.iloc[-1] - part.iloc[0]).to_numpy()
    speeds = slopes / slopes.mean()
    assert found.shrunk.min() > 0.9
    assert found.speed == pytest.approx(speeds, abs=0.1)
    assert found.speed[0] == pytest.approx(true[0] / np.exp(0.125), rel=0.25)


def test_speeds_that_do_not_last_count_for_nothing():
    """Every week each clone draws its growth anew: how fast it was says nothing of how fast it will be."""
    rng = np.random.default_rng(3)
    parts = [frame(weekly(9), GIB + np.cumsum(rng.gamma(0.5, 200 * MIB, 9)), clone=k) for k in range(80)]
    found = fitted(np_concat(parts))
    assert found.shrunk.mean() < 0.3
    assert found.speed.std() < 0.25
    assert found.lump == pytest.approx(200 * MIB, rel=0.4)  # of a gamma sum: variance / mean


def test_levels_take_noise_out_where_nothing_grows():
    measured = pool(60, weekly(9), lambda day: 0 * day, noise=100 * MIB, seed=2)
    found = fitted(measured)
    last = measured.groupby("clone")["bytes"].last().to_numpy()
    assert np.abs(found.level - GIB).mean() < 0.8 * np.abs(last - GIB).mean()


def test_levels_are_the_last_size_where_measuring_is_exact():
    found = fitted(pool(30, weekly(9), lambda day: 80 * MIB * day, spread=0.4, seed=5))
    last = pool(30, weekly(9), lambda day: 80 * MIB * day, spread=0.4, seed=5).groupby("clone")["bytes"].last()
    assert found.level == pytest.approx(last.to_numpy(), rel=0.01)


def test_drawn_sizes_have_the_mean_and_the_lumps():
    found = fitted(pool(30, weekly(9), lambda day: 80 * MIB * day))
    who = np.array([3])
    mean = np.full((20_000, 1, 4), 40.0 * MIB)
    drawn = found.draw(mean, who, np.random.default_rng(0))[:, 0] - found.level[3]
    assert drawn.mean(axis=0) == pytest.approx(40 * MIB * np.arange(1, 5) * found.speed[3], rel=0.05)
    assert (np.diff(drawn, axis=1) >= 0).all()


def np_concat(parts):
    import pandas as pd

    return pd.concat(parts)
