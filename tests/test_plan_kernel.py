"""Keyed draws follow their laws; slots and evictions follow their plain twins."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import reference_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.guest import draws
from clonesim.guest import plan_kernel as kernel

KEYS = draws.sub_keys(np.arange(200_000, dtype=np.uint64), 7)


def test_the_hash_is_splitmix64():
    # The first outputs of splitmix64 for seed 1234567, as its author's C code prints them (also in Rosetta Code).
    golden, state = 0x9E3779B97F4A7C15, 1234567
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    for expected in first:
        state = (state + golden) % 2**64
        assert int(kernel.mix(np.uint64(state))) == expected


@pytest.mark.parametrize("u", [1e-300, 1e-16, 1e-6, 0.02, 0.074, 0.075, 0.3, 0.5, 0.7, 0.926, 1 - 1e-9])
def test_the_normal_quantile(u):
    x = kernel.quantile(u)
    assert 0.5 * math.erfc(-x / math.sqrt(2)) == pytest.approx(u, rel=1e-13)
    assert x == pytest.approx(NormalDist().inv_cdf(u), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("code", [1, 2, 9, 1000])
def test_uniform_draws_are_uniform(code):
    drawn = np.sort(draws.uniform(KEYS, code))
    n = drawn.size
    assert drawn[0] > 0 and drawn[-1] < 1
    distance = np.abs(drawn - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / math.sqrt(n)  # Kolmogorov: passed once in 1,000 times


def test_draws_of_one_event_do_not_hang_together():
    names = (draws.SIZE, draws.SPREAD, draws.LIFE, draws.KEPT, draws.PICK, draws.PLACE)
    table = np.corrcoef([draws.uniform(KEYS, code) for code in names])
    assert np.abs(table - np.eye(len(names))).max() < 4 / math.sqrt(KEYS.size)


def test_neighbouring_keys_draw_apart():
    near = draws.uniform(np.arange(200_000, dtype=np.uint64), 3)
    assert abs(np.corrcoef(near[1:], near[:-1])[0, 1]) < 4 / math.sqrt(near.size)


def test_lognormal_moments_and_cap():
    log = np.log(draws.lognormal(KEYS, draws.SIZE, 4096.0, 1.5))
    n = log.size
    assert abs(log.mean() - math.log(4096)) < 4 * 1.5 / math.sqrt(n)
    assert abs(log.std() - 1.5) < 4 * 1.5 / math.sqrt(2 * n)
    capped = draws.lognormal(KEYS, draws.SIZE, 4096.0, 1.5, 8192.0)
    assert capped.max() == 8192
    assert np.array_equal(capped, np.minimum(np.exp(log), 8192)) or np.allclose(capped, np.minimum(np.exp(log), 8192))


@pytest.mark.parametrize("mean", [0.02, 1.0, 40.0, 900.0])
def test_arrivals_are_a_poisson_process(mean):
    n = 4000
    keys, start, length = KEYS[:n], np.full(n, 5.0), np.full(n, mean)
    room = int(n * mean + 10 * math.sqrt(n * mean) + 64)
    out_key, row, x = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room)
    count = kernel.arrivals(keys, start, length, out_key, row, x)
    counts = np.bincount(row[:count], minlength=n)
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / n)
    spread = math.sqrt((mean + 2 * mean**2) / n)  # standard error of a Poisson variable's variance
    assert abs(counts.var() - mean) < 4 * spread
    place = np.sort((x[:count] - 5.0) / mean)
    assert np.abs(place - (np.arange(count) + 0.5) / count).max() < 1.95 / math.sqrt(count)
    assert np.unique(out_key[:count]).size == count


def test_arrivals_tell_when_there_is_no_room():
    out = np.empty(3, np.uint64), np.empty(3, np.int64), np.empty(3)
    assert kernel.arrivals(KEYS[:1], np.zeros(1), np.array([100.0]), *out) == -1


lives = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 15)), max_size=40)


@settings(max_examples=200, deadline=None)
@given(lives, st.integers(0, 5))
def test_slots_follow_their_plain_twin(made, base):
    made = sorted(made)
    birth = np.array([-np.inf] * base + [float(b) for b, _ in made])
    death = np.array([float(7 * k) for k in range(base)] + [float(b + n) for b, n in made])
    out = np.empty(birth.size, np.int64)
    used = kernel.file_slots(birth, death, np.argsort(death, kind="stable"), base, out)
    assert out.tolist() == reference_plan.file_slots(birth, death, base)
    assert used == (out.max() + 1 if out.size else 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 10)), max_size=60), st.integers(10, 25))
def test_evictions_follow_their_plain_twin(made, cap):
    group = np.sort(np.array([g for g, _ in made], np.int64))
    size, birth = np.array([s for _, s in made], np.int64), np.arange(float(len(made)))
    death = np.empty(birth.size)
    kernel.cache_deaths(group, size, birth, cap, death)
    assert death.tolist() == reference_plan.cache_deaths(group, size, birth, cap)


def test_sizes_of_the_histogram_have_its_mean():
    values, edges = draws.histogram("meyer")
    shares = np.diff(np.concatenate([[0.0], edges, [1.0]]))
    assert (values * shares).sum() == pytest.approx(496 * 1024, rel=0.03)  # the fact sheet's mean: 496 KB
    assert values[np.searchsorted(edges, 0.5)] == 4096  # and its median class
