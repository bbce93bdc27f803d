"""Which clones share a LUN, and how intervals are drawn: against enumeration, sets, and Clopper and Pearson."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.planning.bounds import bound_without_hits, replicates_needed
from clonesim.planning.deal_kernel import lun_peaks, shares_at_most, weighted_means
from clonesim.planning.draws import Dealings, Resamples


def peaks_plainly(sizes, members):
    """Most that a LUN's clones take together on any day, its members being given one by one."""
    return max(sum(int(sizes[clone, day]) for clone in members) for day in range(sizes.shape[1]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 50), st.integers(0, 9), st.data())
def test_no_clone_is_twice_on_a_lun(clones, cuts, starts, seed, data):
    n = data.draw(st.integers(1, clones))
    dealt = Dealings.of(clones, 3, seed, cuts=cuts, starts=starts)
    luns = dealt.luns(2, n)
    assert luns.shape == (cuts, min(starts, clones), n)
    for lun in luns.reshape(-1, n):
        assert len(set(lun.tolist())) == n
    dealt_out = np.concatenate(dealt.pool(2, n), axis=1)
    assert (np.sort(dealt_out, axis=1) == np.arange(clones)).all()


def test_a_lun_of_one_clone_more_has_the_others_too():
    dealt = Dealings.of(30, 1, cuts=4, starts=7)
    smaller, larger = dealt.luns(0, 11), dealt.luns(0, 12)
    assert (larger[:, :, :11] == smaller).all()


def test_orders_are_keyed_by_replicate():
    few, many = Dealings.of(50, 2, seed=3, cuts=5), Dealings.of(50, 9, seed=3, cuts=5)
    assert (few.order(1) == many.order(1)).all()
    assert (few.order(0) != few.order(1)).any()
    assert (few.order(0) != Dealings.of(50, 2, seed=4, cuts=5).order(0)).any()


def test_every_clone_is_as_likely_as_any_other():
    """400 orders of 20 clones: how often each clone is on the LUN at place 0, n = 5, expected 100 times."""
    luns = Dealings.of(20, 1, seed=1, cuts=400, starts=1).luns(0, 5)
    counts = np.bincount(luns.reshape(-1), minlength=20)
    assert stats.chisquare(counts).pvalue > 1e-4


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31), st.data())
def test_peaks_equal_the_sums_of_the_members(clones, days, seed, data):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 1000, (clones, days))
    density = np.unique(np.array(data.draw(st.lists(st.integers(1, clones), min_size=1)), np.int64))
    dealt = Dealings.of(clones, 1, seed % 100, cuts=3, starts=4)
    peaks = np.full((density.size, 3, dealt.start.size), -1)
    fullest, rest = np.full((2, density.size, 3), -1)
    lun_peaks(sizes, dealt.order(0), dealt.start, density, peaks, fullest, rest)
    for k, n in enumerate(density.tolist()):
        for cut in range(3):
            told = [peaks_plainly(sizes, lun) for lun in dealt.luns(0, n)[cut]]
            assert peaks[k, cut].tolist() == told
            luns = [part[cut] for part in dealt.pool(0, n)]
            assert fullest[k, cut] == max(peaks_plainly(sizes, lun) for lun in luns if lun.size == n)
            assert rest[k, cut] == sum(peaks_plainly(sizes, lun) for lun in luns if lun.size < n)


def test_shares_and_means_equal_plain_ones():
    rng = np.random.default_rng(2)
    values = np.sort(rng.integers(0, 9, (4, 3, 7)), axis=-1)
    share, drawn = np.empty((4, 3)), Resamples.of(4, 3, seed=1, draws=100)
    mean = np.empty(100)
    for level in range(-1, 10):
        shares_at_most(values, level, share)
        assert share == pytest.approx((values <= level).mean(axis=2))
        weighted_means(share, drawn.weight, drawn.cut, mean)
        plain = [sum(drawn.weight[b, r] * share[r, drawn.cut[b, r]] for r in range(4)) for b in range(100)]
        assert mean == pytest.approx(np.array(plain))


def test_weights_are_shares():
    weight = Resamples.of(7, 3, seed=5).weight
    assert weight.shape == (2000, 8)
    assert (weight >= 0).all()
    assert weight.sum(axis=1) == pytest.approx(1.0)
    assert weight.mean(axis=0) == pytest.approx(1 / 8, abs=0.01)  # Dirichlet, all ones
    assert weight.var(axis=0) == pytest.approx(7 / 8**2 / 9, rel=0.15)


@pytest.mark.parametrize(("hits", "replicates"), [(1, 10), (3, 20), (10, 20), (19, 20), (5, 200)])
def test_zeros_and_ones_have_the_interval_of_clopper_and_pearson(hits, replicates):
    shares = np.zeros((replicates, 4))
    shares[:hits] = 1.0
    low, high = Resamples.of(replicates, 4, draws=100_000).mean(shares)
    other = stats.binomtest(hits, replicates).proportion_ci(0.9, "exact")  # each end with 95 %
    assert (low, high) == pytest.approx((other.low, other.high), rel=0.02)


@pytest.mark.parametrize("replicates", [1, 2, 5, 20, 59, 299, 1000])
def test_no_hit_bounds_a_probability_at_three_over_n(replicates):
    low, high = Resamples.of(replicates, 4).mean(np.zeros((replicates, 4)))
    assert low == 0.0
    assert high == pytest.approx(bound_without_hits(replicates), abs=1e-12)
    assert high == pytest.approx(1 - 0.05 ** (1 / replicates), abs=1e-12)
    assert high < 3 / replicates
    low, high = Resamples.of(replicates, 4).mean(np.ones((replicates, 4)))
    assert (low, high) == (pytest.approx(0.05 ** (1 / replicates), abs=1e-12), pytest.approx(1.0))


def test_shares_between_have_a_narrower_interval_than_zeros_and_ones():
    rng = np.random.default_rng(0)
    between = rng.uniform(0.1, 0.3, (20, 1))
    zeros_and_ones = np.zeros((20, 1))
    zeros_and_ones[:4] = 1.0
    narrow, wide = (Resamples.of(20, 1).mean(shares) for shares in (between, zeros_and_ones))
    assert wide[0] < narrow[0] < between.mean() < narrow[1] < wide[1]


@pytest.mark.parametrize("eps", [0.5, 0.1, 0.05, 0.01])
def test_replicates_needed_without_a_hit(eps):
    needed = int(replicates_needed(0.0, 0.0, eps))
    assert bound_without_hits(needed) <= eps < bound_without_hits(needed - 1 or 1) + (needed == 1)


@pytest.mark.parametrize(("p", "eps"), [(0.02, 0.05), (0.05, 0.1), (0.2, 0.05), (0.3, 0.5)])
def test_replicates_needed_is_what_clopper_and_pearson_need(p, eps):
    """A whole number of hits in twenty steps of replicates: the bound must cross eps where it is said to."""
    needed = replicates_needed(p, p, eps)

    def resolved(n):
        hits = p * n
        if p < eps:
            return stats.beta.ppf(0.95, hits + 1, n - hits) <= eps
        return stats.beta.ppf(0.05, hits, n - hits + 1) >= eps

    assert resolved(needed)
    assert not resolved(needed - 1)


def test_replicates_needed_are_fewer_where_replicates_agree():
    agree, differ = replicates_needed(0.02, 0.0005, 0.05), replicates_needed(0.02, 0.02, 0.05)
    assert agree < differ
    assert replicates_needed(0.05, 0.05, 0.05) == np.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dealings.of(0, 1), "clones=0: a whole number from 1 up is needed."),
        (lambda: Dealings.of(4, 1, cuts=0), "cuts=0: a whole number from 1 up is needed."),
        (lambda: Resamples.of(0, 1), "replicates=0: a whole number from 1 up is needed."),
        (
            lambda: Resamples.of(4, 1, confidence=1.0),
            "confidence=1.0: a share between 0 and 1 is needed. Write for example 0.95.",
        ),
        (
            lambda: replicates_needed(0.0, 0.0, 0.0),
            "eps=0.0: a share between 0 and 1 is needed. Write for example 0.95.",
        ),
        (
            lambda: bound_without_hits(3, 95),
            "confidence=95: a share between 0 and 1 is needed. Write for example 0.95.",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        call()
