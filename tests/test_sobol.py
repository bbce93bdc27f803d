"""Formulas against leaving out points by hand, and Sobol indices against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.planning.sobol import indices
from clonesim.planning.surrogate import fit, term_count, terms


def curved(u: np.ndarray) -> np.ndarray:
    """A number, a square, a product, and three levels that act on the first number."""
    level = np.minimum((3 * u[2]).astype(int), 2)
    return 1.0 + u[0] + 3 * u[1] ** 2 - u[0] * u[1] + np.array([0.0, 2.0, -1.0])[level] * (1 + u[0])


class TestSurrogate:
    def test_the_formula_holds_what_it_has_terms_for(self) -> None:
        rng = np.random.default_rng(0)
        points = rng.random((3, 60))
        found = fit(points, curved(points), [0, 0, 3])
        others = rng.random((3, 200))
        assert found.predict(others) == pytest.approx(curved(others), abs=1e-9)
        assert found.error < 1e-9 and found.explained == pytest.approx(1.0)

    def test_the_error_is_that_of_leaving_out_one_point_at_a_time(self) -> None:
        """Fitted again by least squares without each point; ridge off, since so much data needs none."""
        rng = np.random.default_rng(1)
        points = rng.random((2, 40))
        response = np.exp(points[0] * points[1]) + 0.01 * rng.normal(size=40)
        table = np.column_stack([np.ones(40), terms(points, [0, 0])])
        missed = []
        for k in range(40):
            keep = np.arange(40) != k
            solved = np.linalg.lstsq(table[keep], response[keep], rcond=None)[0]
            missed.append(response[k] - table[k] @ solved)
        found = fit(points, response, [0, 0])
        plain = math.sqrt(np.mean(np.square(missed)))
        assert found.error <= plain * (1 + 1e-6), "the best of several ridges, none at all among them"
        assert found.error > 0.9 * plain
        assert math.sqrt(np.mean(found.missed**2)) == pytest.approx(found.error)

    def test_noise_is_not_taken_for_knowledge(self) -> None:
        rng = np.random.default_rng(2)
        found = fit(rng.random((4, 50)), rng.normal(size=50), [0, 0, 0, 0])
        assert found.explained < 0.2
        assert 0.8 < found.error < 1.3

    @pytest.mark.parametrize(("levels", "count"), [([0], 3), ([0, 0], 6), ([0] * 4, 15), ([0] * 4 + [3], 25), ([3], 3)])
    def test_terms_are_counted(self, levels: list[int], count: int) -> None:
        """Constant, coordinates, squares of numbers, pairs; a choice of three counts as two numbers without squares."""
        assert term_count(levels) == count

    def test_formulas_that_might_have_come_out_as_well_differ_by_the_error(self) -> None:
        rng = np.random.default_rng(3)
        points = rng.random((2, 80))
        found = fit(points, points[0] + 0.1 * rng.normal(size=80), [0, 0])
        drawn = [found.again(points, np.random.default_rng(k)).predict(np.array([[0.5], [0.5]]))[0] for k in range(60)]
        assert 0.1 / math.sqrt(80) < np.std(drawn) < 0.1

    def test_two_points_are_refused(self) -> None:
        with pytest.raises(ParameterError, match=r"points=2: at least three are needed to fit a formula"):
            fit(np.zeros((1, 2)), np.zeros(2), [0])


def ishigami(u: np.ndarray) -> np.ndarray:
    x = math.pi * (2 * u - 1)
    return np.sin(x[0]) + 7 * np.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * np.sin(x[0])


class TestIndices:
    def test_ishigami(self) -> None:
        """Closed forms of Ishigami and Homma 1990, with a = 7 and b = 0.1."""
        a, b = 7.0, 0.1
        one = 0.5 * (1 + b * math.pi**4 / 5) ** 2
        two, both = a**2 / 8, b**2 * math.pi**8 * (1 / 18 - 1 / 50)
        whole = one + two + both
        found = indices(ishigami, 3, 5, base=4096)
        assert found.first == pytest.approx([one / whole, two / whole, 0.0], abs=0.02)
        assert found.total == pytest.approx([(one + both) / whole, two / whole, both / whole], abs=0.02)

    @given(st.lists(st.floats(0.1, 10), min_size=1, max_size=4), st.integers(0, 99))
    @settings(max_examples=12, deadline=None)
    def test_what_adds_up_has_no_interactions(self, weights: list[float], seed: int) -> None:
        """Shares of a weighted sum are the squares of its weights."""
        exact = np.square(weights) / np.square(weights).sum()
        found = indices(lambda u: 1e6 + np.array(weights) @ u, len(weights), seed, resamples=0)
        assert found.first == pytest.approx(exact, abs=0.02)
        assert found.total == pytest.approx(exact, abs=0.02)

    def test_intervals_hold_the_exact_shares(self) -> None:
        """Of 2 x and y: 0.8 and 0.2. 95 % intervals of both miss in at most 3 of 20 draws."""
        missed = 0
        for seed in range(10):
            found = indices(lambda u: 2 * u[0] + u[1], 2, seed, base=64, resamples=50)
            for k, exact in enumerate((0.8, 0.2)):
                missed += not found.total_low[k] <= exact <= found.total_high[k]
        assert missed <= 3

    def test_models_that_might_be_as_well_widen_the_intervals(self) -> None:
        alone = indices(lambda u: u[0] + u[1], 2)
        wide = indices(lambda u: u[0] + u[1], 2, others=[lambda u, w=w: u[0] + w * u[1] for w in (0.5, 1.0, 2.0)])
        assert wide.first == pytest.approx(alone.first)
        assert (wide.total_low < alone.total_low).all() and (wide.total_high > alone.total_high).all()
        assert wide.total_high[1] >= 0.75, "with weight 2 the second one has 0.8"

    def test_what_never_changes_has_no_shares(self) -> None:
        found = indices(lambda u: np.full(u.shape[1], 3.0), 2)
        assert not np.concatenate([found.first, found.total, found.total_high]).any()

    def test_an_idle_coordinate_has_an_interval_of_nothing(self) -> None:
        found = indices(lambda u: u[0], 2)
        assert (found.first[1], found.total[1], found.total_high[1]) == (0.0, 0.0, 0.0)
