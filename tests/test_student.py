"""Student's interval against scipy's own test, by hand, and at its ends."""

import numpy as np
import pytest

from clonesim.planning.student import student


@pytest.mark.parametrize("many", [2, 3, 10])
def test_against_scipy(many: int) -> None:
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(many).normal(5.0, 2.0, many)
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert student(values) == pytest.approx((values.mean(), expected.low, expected.high))


def test_by_hand() -> None:
    assert student(np.array([1.0, 3.0])) == pytest.approx((2.0, 2.0 - 12.7062047, 2.0 + 12.7062047))  # t(1) * 1
    assert student(np.array([1.0, np.nan, 3.0]))[0] == 2.0
    assert student(np.array([4.0])) == (4.0, -np.inf, np.inf)
    assert np.isnan(student(np.array([np.nan]))).all()
