"""What is concluded from pools whose formula is known: right on average, and honest about what it cannot tell."""

import numpy as np
import pytest
from calibration_tools import GIB, design, made, prior
from scipy import stats

from clonesim.planning.calibration_design import Design, sizes_at
from clonesim.planning.calibration_emulator import NARROW, columns, emulator_of, fit_formulas, quantiles
from clonesim.planning.calibration_forecast import chunks
from clonesim.planning.calibration_looks import Looks
from clonesim.planning.calibration_posterior import (
    correlation_of,
    divergence_of,
    grid,
    policies_of,
    posterior_of,
    shrinkage_of,
)

FAR = (1e3, 1e3)  # GiB: sizes stay far below
NEAR = (3.0, 5.0)  # one policy fills less of the disk than the other


def looks(size, days):
    size = np.asarray(size, float)
    return Looks(None, 0.0, np.arange(len(size)), np.array(days, float), size[:, np.array(days) - 1], ())


@pytest.fixture(scope="module")
def straight():
    return design(saturates=FAR)


@pytest.fixture(scope="module")
def bent():
    return design(saturates=NEAR)


def test_sizes_between_days_lie_between():
    size = np.array([[10.0, 20.0, 40.0]])
    assert sizes_at(size, np.array([1.0, 1.5, 2.25, 3.0])).tolist() == [[10, 15, 25, 40]]


def test_quantiles_are_those_of_numpy():
    rng = np.random.default_rng(0)
    size = GIB * rng.lognormal(1, 0.5, (25, 2))
    low, middle, high = np.quantile(np.log(size), [0.1, 0.5, 0.9], axis=0)
    expected = np.stack([middle, np.log(middle - low + NARROW), np.log(high - middle + NARROW)], axis=1)
    assert quantiles(size, 0) == pytest.approx(expected.ravel())
    assert quantiles(size[:2], 0) == pytest.approx(np.median(np.log(size[:2]), axis=0))


def test_formulas_are_exact_where_truth_is_quadratic(straight):
    table = columns(straight.place)
    truth = table @ np.array([[1.0], [2.0], [-1.0], [0.5], [0.3], [-0.7]]) + straight.policy[:, None]
    found = fit_formulas(straight, truth)
    place = np.array([[0.2, 0.9], [0.4, 0.1]])
    expected = columns(place) @ np.array([1.0, 2.0, -1.0, 0.5, 0.3, -0.7])
    assert found.at(0, place)[:, 0] == pytest.approx(expected)
    assert found.at(1, place)[:, 0] == pytest.approx(expected + 1)
    assert np.abs(found.residual).max() < 1e-9


def test_policies_that_miss_alike_count_once(straight):
    rng = np.random.default_rng(3)
    half = rng.standard_normal((straight.cost.points, 6))
    alike = fit_formulas(straight, np.concatenate([half, half])).freedom
    apart = fit_formulas(straight, rng.standard_normal((2 * straight.cost.points, 6))).freedom
    assert alike == pytest.approx(straight.cost.points - 6)
    assert 1.7 * alike < apart <= 2 * alike


def test_likelihood_is_student_s(straight):
    emulator = emulator_of(straight, np.array([7.0, 14.0]), 20, 0)
    seen, place = emulator.mean.at(0, np.array([[0.5], [0.5]]))[0] + 0.05, np.array([[0.3, 0.6], [0.5, 0.2]])
    value, distance = emulator.log_likelihood(0, place, seen)
    expected = []
    for k in range(2):
        one = place[:, k : k + 1]
        deviation = np.diag(np.exp(emulator.spread.at(0, one)[0]))
        covariance = emulator.shared + emulator.ratio * deviation @ emulator.shape @ deviation + 1e-4 * np.eye(6)
        covariance += emulator.mean.doubt(0, one)[0] * (emulator.shared + emulator.own)
        away = seen - emulator.mean.at(0, one)[0]
        assert distance[k] == pytest.approx(away @ np.linalg.solve(covariance, away))
        expected.append(stats.multivariate_t(shape=covariance, df=emulator.mean.freedom).logpdf(away))
    assert value[1] - value[0] == pytest.approx(expected[1] - expected[0])


def test_nothing_measured_leaves_what_was_supposed(straight):
    known = posterior_of(straight, None, 0)
    told, policies = shrinkage_of(known), policies_of(known)
    assert told["shrinkage"].tolist() == pytest.approx([0, 0])
    assert told["kl"].tolist() == pytest.approx([0, 0])
    assert policies["probability"].tolist() == pytest.approx([0.5, 0.5])
    assert divergence_of(known) == 0
    # ends of a lognormal of sigma 0.5, cut off at 1/3 and 3
    inside = stats.norm.cdf(np.log(3) / 0.5) * 2 - 1
    ends = np.exp(0.5 * stats.norm.ppf([0.5 - 0.45 * inside, 0.5 + 0.45 * inside]))
    assert told.loc[0, ["prior_low", "prior_high"]].to_numpy(float) == pytest.approx(ends, rel=0.01)


def test_draws_of_what_is_supposed_follow_its_density():
    given = prior()
    policies, place = given.draw(20_000, np.random.default_rng(5))
    value = np.log(given.at(place)[0])
    inside = stats.truncnorm(-np.log(3) / 0.5, np.log(3) / 0.5, scale=0.5)
    assert stats.kstest(value, inside.cdf).pvalue > 0.001
    assert policies.mean() == pytest.approx(0.5, abs=0.02)


def test_a_rate_and_a_policy_are_confounded_until_sizes_saturate(straight, bent):
    """Twice the scale under the slow policy is the fast policy, as long as nothing saturates."""
    rng = np.random.default_rng(11)
    size = made(1, 1.0, 0.4, 40, 40, rng, FAR)
    known = posterior_of(straight, looks(size, [7, 14, 28]), 0)
    told = policies_of(known).set_index("policy")
    assert told["factor"].max() < 10
    assert told.loc["slow", "scale"] / told.loc["fast", "scale"] == pytest.approx(2, rel=0.15)
    size = made(1, 1.0, 0.4, 40, 40, rng, NEAR)
    early, late = (policies_of(posterior_of(bent, looks(size, days), 0)) for days in ([3], [7, 20, 40]))
    assert early["factor"].max() < 10
    assert late["policy"].iloc[0] == "fast"
    assert late["factor"].max() > 100


def test_more_dates_and_clones_tell_more(straight):
    size = made(0, 1.5, 0.6, 40, 40, np.random.default_rng(2), FAR)
    few = shrinkage_of(posterior_of(straight, looks(size[:5], [7]), 0)).set_index("parameter")
    many = shrinkage_of(posterior_of(straight, looks(size, [7, 14, 28]), 0)).set_index("parameter")
    assert many.loc["spread", "shrinkage"] > few.loc["spread", "shrinkage"] + 0.1
    assert many.loc["spread", "low"] < 0.6 < many.loc["spread", "high"]
    assert abs(correlation_of(posterior_of(straight, looks(size, [7]), 0))) <= 1


def test_what_no_setting_makes_is_strange(straight):
    size = made(0, 1.0, 0.5, 40, 40, np.random.default_rng(2), FAR)
    assert posterior_of(straight, looks(size, [7, 14, 28]), 0).strange > 0.05
    shrunk = size.copy()
    shrunk[:, 27] = shrunk[:, 6] * 1.05  # grows, then hardly any more: no straight growth does that
    assert posterior_of(straight, looks(shrunk, [7, 14, 28]), 0).strange < 0.01


def test_one_clone_and_two_are_enough_for_a_wide_answer(straight):
    size = made(0, 1.0, 0.5, 2, 40, np.random.default_rng(2), FAR)
    for clones in (1, 2):
        told = shrinkage_of(posterior_of(straight, looks(size[:clones], [7]), 0))
        assert 0.0 < told["shrinkage"][0] < 0.8
        assert abs(told["shrinkage"][1]) < 0.1


@pytest.mark.parametrize("clones", [8, 30])
def test_ranks_of_drawn_truths_are_uniform(clones):
    """Simulation-based calibration: each truth meets a design of its own, so that nothing is shared."""
    rng, ranks, covered = np.random.default_rng(clones), [], []
    for number in range(150):
        given = design(clones=20, days=30, saturates=NEAR, seed=1000 + number)
        policies, place = given.prior.draw(1, rng)
        value = given.prior.at(place)[:, 0]
        size = made(int(policies[0]), *value, clones, 30, rng, NEAR)
        seen = looks(size, [7, 21])
        known = posterior_of(given, seen, number)
        ranks.append(known.rank(int(policies[0]), place[:, 0], rng.random()))
        drawn = np.concatenate([part for _, part in chunks(given, known, seen, np.array([9.0]), number, 1e18)], axis=1)
        low, high = np.quantile(drawn[:, :, 0].sum(axis=1), [0.05, 0.95])
        own = np.quantile(drawn[:, :, 0], [0.05, 0.95], axis=0)
        came, now = size[:, 29], size[:, 20].sum()
        missed = abs(np.median(drawn[:, :, 0].sum(axis=1)) - came.sum()) / (came.sum() - now)
        covered.append((low <= came.sum() <= high, ((own[0] <= came) & (came <= own[1])).mean(), missed))
    for column, name in zip(np.array(ranks).T, ("policy", "scale", "spread"), strict=True):
        assert stats.kstest(column, "uniform").pvalue > 0.01, name
    pool, clone, missed = np.mean(covered, axis=0)
    assert pool >= 0.85  # nothing new befalls these pools after the last look, which the forecast cannot know
    assert 0.85 <= clone <= 0.98
    assert missed < 0.1  # of the growth; the last value misses all of it


def test_the_grid_covers_the_square():
    place = grid()
    assert place.min() > 0
    assert place.max() < 1
    assert place.mean(axis=1) == pytest.approx([0.5, 0.5])


def test_a_rank_is_the_share_below(straight):
    size = made(0, 1.0, 0.5, 20, 40, np.random.default_rng(4), FAR)
    known = posterior_of(straight, looks(size, [14]), 0)
    place = np.array([0.37, 0.61])
    policy, scale, spread = known.rank(1, place, 0.5)
    frame = known.frame()
    assert policy == pytest.approx(1 - known.policies()[1] / 2)
    value = known.prior.at(place[:, None])[:, 0]
    assert scale == pytest.approx(frame.loc[frame["scale"] < value[0], "probability"].sum(), abs=0.03)
    assert spread == pytest.approx(frame.loc[frame["spread"] < value[1], "probability"].sum(), abs=0.03)
    assert frame["probability"].sum() == pytest.approx(1)
    assert isinstance(straight, Design)
