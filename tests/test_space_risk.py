"""Risk of a full LUN: cases with a known probability, coverage of the intervals, exact formulas, and refusals."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_tools import small
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.lun.outage import wilson
from clonesim.planning.draws import Dealings
from clonesim.planning.space_risk import clone_sizes, fixed_bytes, largest, space_risk
from clonesim.pool import simulate
from clonesim.units import GIB

CLONES, LUN, SHOCK, TAIL = 120, 30, 0.35, 1.2  # a shared shock per replicate, and clones with a heavy tail


def nothing(n):
    return 0


def shocked_pool(rng, replicates):
    """Deltas of GiB that a shared lognormal shock multiplies, half as large on the first day."""
    shock = np.exp(SHOCK * rng.standard_normal((replicates, 1)))
    last = GIB * shock * np.exp(TAIL * rng.standard_normal((replicates, CLONES)))
    return np.stack([last / 2, last], axis=2).astype(np.int64)


def shocked_luns(rng, luns):
    """What LUNs take if each has its own shock and its own clones."""
    shock = np.exp(SHOCK * rng.standard_normal((luns, 1)))
    return (GIB * shock * np.exp(TAIL * rng.standard_normal((luns, LUN)))).sum(axis=1)


@pytest.fixture(scope="module")
def used():
    rng = np.random.default_rng(1)
    return np.concatenate([shocked_luns(rng, 20_000) for _ in range(20)])


@pytest.mark.parametrize("p", [0.3, 0.05, 0.01])
def test_a_known_risk_is_within_its_interval_as_often_as_promised(used, p):
    """Each end by itself holds with 95 %; LUNs counted as if they were independent do not come near that."""
    limit = int(np.quantile(used, 1 - p))
    runs, replicates = 400, 25
    below = above = naive = 0
    for seed in range(runs):
        sizes = shocked_pool(np.random.default_rng([7, seed]), replicates)
        dealt = Dealings.of(CLONES, replicates, seed, cuts=12, starts=24)
        row = space_risk(sizes, nothing, limit, [LUN], 0.05, seed=seed, dealings=dealt).iloc[0]
        below += row["p_low"] <= p
        above += row["p_high"] >= p
        luns = CLONES // LUN * replicates
        low, high = wilson(round(row["p_outage"] * luns), luns, 0.9)
        naive += low <= p <= high
    slack = 3 * np.sqrt(0.05 * 0.95 / runs)
    assert below / runs > 0.95 - slack
    assert above / runs > 0.95 - slack
    assert p < 0.05 or naive / runs < 0.9 - slack  # 0.75 and 0.81; with hardly any hit both intervals are wide


def test_the_estimate_is_right_on_average(used):
    limit = int(np.quantile(used, 0.9))
    told = []
    for seed in range(60):
        sizes = shocked_pool(np.random.default_rng([8, seed]), 40)
        dealt = Dealings.of(CLONES, 40, seed, cuts=4, starts=8)
        told.append(space_risk(sizes, nothing, limit, [LUN], dealings=dealt)["p_outage"].iloc[0])
    assert abs(np.mean(told) - 0.1) < 4 * np.std(told, ddof=1) / np.sqrt(len(told))


def test_quantiles_of_used_bytes_are_within_their_intervals(used):
    runs, hits = 200, {"used_p50": 0, "used_p95": 0}
    for seed in range(runs):
        sizes = shocked_pool(np.random.default_rng([9, seed]), 60)
        dealt = Dealings.of(CLONES, 60, seed, cuts=4, starts=8)
        row = space_risk(sizes, nothing, 2**60, [LUN], dealings=dealt, seed=seed).iloc[0]
        for name, share in (("used_p50", 0.5), ("used_p95", 0.95)):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
            hits[name] += row[f"{name}_low"] <= np.quantile(used, share) <= row[f"{name}_high"]
    assert min(hits.values()) / runs > 0.9 - 3 * np.sqrt(0.09 / runs)


@pytest.mark.parametrize(("n", "most"), [(10, 4), (25, 8), (40, 12)])
def test_two_sizes_have_the_hypergeometric_risk(n, most):
    """20 large clones among 100: distinct clones follow the hypergeometric, not the binomial distribution."""
    sizes = np.ones((1, 100, 1), np.int64)
    sizes[0, :20] = 1001
    limit = n + 1000 * most
    dealt = Dealings.of(100, 1, seed=2, cuts=20_000, starts=1)
    told = space_risk(sizes, nothing, limit, [n], dealings=dealt)["p_outage"].iloc[0]
    exact = stats.hypergeom.sf(most, 100, 20, n)
    error = np.sqrt(exact * (1 - exact) / 20_000)
    assert abs(told - exact) < 4 * error
    assert abs(stats.binom.sf(most, n, 0.2) - exact) > 4 * error  # what duplicates on a LUN would give


def test_all_clones_on_one_lun_are_no_matter_of_chance():
    sizes = np.array([[[3], [5], [9]], [[3], [5], [11]]])
    told = space_risk(sizes, nothing, 17, [3]).iloc[0]
    assert told["p_outage"] == 0.5  # 17 fits, 19 does not
    assert told["used_max"] == 19
    assert told["p_pool"] == 0.5


def test_peaks_are_those_of_the_sum_not_the_sum_of_the_peaks():
    sizes = np.array([[[10, 0, 4], [0, 10, 4]]])
    assert space_risk(sizes, nothing, 10, [2])["used_max"].iloc[0] == 10


def test_what_lies_beside_the_deltas_counts():
    sizes = np.full((2, 4, 1), 10)
    told = space_risk(sizes, lambda n: 5 + n, 27, [1, 2, 3])
    assert told["fixed_bytes"].tolist() == [6, 7, 8]
    assert told["p_outage"].tolist() == [0.0, 0.0, 1.0]  # 16, 27 and 38 of 27 bytes
    assert told["used_p50"].tolist() == [16, 27, 38]
    assert told["needed_bytes"].tolist() == [16, 27, 38]


def test_a_pool_is_full_where_any_of_its_luns_is():
    """Five clones at two a LUN: the large one is on one of three LUNs, and alone on the last one in 1 of 5 orders."""
    sizes = np.array([[[100], [1], [1], [1], [1]]])
    dealt = Dealings.of(5, 1, seed=1, cuts=4000, starts=5)
    told = space_risk(sizes, nothing, 100, [2], dealings=dealt).iloc[0]
    assert told["pool_luns"] == 3
    assert told["p_pool"] == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 4000))
    assert told["p_outage"] == pytest.approx(0.4)  # two of five LUNs of a circle have the large clone, in every order


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(2, 25), st.integers(0, 2**31), st.floats(0.01, 0.5))
def test_no_probability_falls_with_the_number_of_clones(replicates, clones, seed, eps):
    rng = np.random.default_rng(seed)
    sizes = (rng.lognormal(0, 1, (replicates, clones, 3)) * 1000).astype(np.int64)
    limit = int(rng.uniform(0.1, 1.1) * sizes.sum(axis=1).max())
    dealt = Dealings.of(clones, replicates, seed % 1000, cuts=5, starts=9)
    told = space_risk(sizes, lambda n: 10 * n, limit, range(1, clones + 1), eps, dealings=dealt)
    for name in ("p_outage", "p_low", "p_high", "used_p50", "used_p95", "used_max", "used_p95_low", "used_p95_high"):
        column = told[name].to_numpy()
        assert (column[1:] >= column[:-1] - 1e-12).all(), name  # infinite where nothing bounds it
    assert (told["p_low"] <= told["p_outage"] + 1e-12).all()
    assert (told["p_outage"] <= told["p_high"] + 1e-12).all()
    n = largest(told)
    assert n == max((row.n for row in told.itertuples() if row.p_outage <= eps), default=0)


@pytest.mark.parametrize(
    ("replicates", "eps", "verdict", "needed"),
    [(59, 0.05, "holds", 59), (58, 0.05, "not resolved", 59), (20, 0.01, "not resolved", 299), (2, 0.8, "holds", 2)],
)
def test_without_an_outage_it_takes_enough_replicates_to_say_so(replicates, eps, verdict, needed):
    told = space_risk(np.ones((replicates, 8, 2), np.int64), nothing, 100, [4], eps).iloc[0]
    assert told["p_high"] <= 3 / replicates
    assert (told["verdict"], told["resolved"]) == (verdict, verdict != "not resolved")
    assert told["replicates_needed"] == needed


def test_a_risk_that_is_too_large_is_told_with_few_replicates():
    told = space_risk(np.full((3, 8, 1), 100), nothing, 100, [2], 0.05).iloc[0]
    assert told["p_outage"] == 1.0
    assert told["verdict"] == "fails"
    assert told["p_low"] == pytest.approx(0.05 ** (1 / 3))


def test_a_verdict_comes_with_about_the_replicates_that_were_promised(used):
    """200 replicates leave it open; with the number that they ask for it is settled, give or take their own chance."""
    limit = int(np.quantile(used, 0.965))

    def told(replicates, seed):
        sizes = shocked_pool(np.random.default_rng([10, seed]), replicates)
        dealt = Dealings.of(CLONES, replicates, seed, cuts=4, starts=8)
        return space_risk(sizes, nothing, limit, [LUN], 0.05, seed=seed, dealings=dealt).iloc[0]

    first = told(60, 0)
    assert first["verdict"] == "not resolved"
    assert 60 < first["replicates_needed"] < 10_000
    needed = [told(60, seed)["replicates_needed"] for seed in range(20)]
    settled = [told(int(2 * np.median(needed)), 100 + seed)["resolved"] for seed in range(20)]
    assert np.mean(settled) > 0.5


def test_few_replicates_do_not_bound_an_outer_quantile():
    rng = np.random.default_rng(3)
    for replicates, bounded in ((58, False), (59, True)):
        told = space_risk(rng.integers(1, 100, (replicates, 10, 1)), nothing, 10**6, [3], seed=1).iloc[0]
        assert np.isfinite(told["used_p95_high"]) == bounded
        assert np.isfinite(told["used_p50_high"])


def test_one_replicate_bounds_nothing():
    told = space_risk(np.full((1, 4, 1), 10), lambda n: 7, 100, [2]).iloc[0]
    assert (told["used_p50_low"], told["used_p50"], told["used_p50_high"]) == (7, 27, np.inf)
    assert (told["p_low"], told["p_high"]) == (0.0, pytest.approx(0.95))


def test_the_same_seed_gives_the_same_frame_and_chunks_do_not_matter(monkeypatch):
    sizes = shocked_pool(np.random.default_rng(5), 4)
    first = space_risk(sizes, nothing, 60 * GIB, range(10, 60, 7), seed=3)
    monkeypatch.setattr("clonesim.planning.space_risk.CHUNK_BYTES", 1)
    assert space_risk(sizes, nothing, 60 * GIB, range(10, 60, 7), seed=3).equals(first)
    assert not space_risk(sizes, nothing, 60 * GIB, range(10, 60, 7), seed=4).equals(first)


def test_largest_stops_at_the_first_density_that_is_too_risky():
    told = space_risk(np.full((2, 9, 1), 10), nothing, 50, range(1, 10), 0.05)
    assert largest(told) == 5
    assert largest(told, "p_high") == 0  # two replicates prove nothing
    assert largest(space_risk(np.full((2, 9, 1), 10), nothing, 9, [1, 2])) == 0


def test_sizes_and_fixed_bytes_of_a_simulated_pool():
    run = simulate(small(), seed=1, replicates=2)
    sizes, fixed = clone_sizes(run), fixed_bytes(run.scenario)
    assert sizes.shape == (2, 6, 3)
    rows = run.growth.set_index(["replicate", "clone", "day"])["delta_bytes"]
    unit = 2**20  # of VMFS
    for where in ((0, 0, 0), (1, 5, 2), (1, 2, 1)):
        assert sizes[where] == -(-rows[where] // unit) * unit
    assert fixed(6) == run.fixed.fixed_bytes
    last = [fill.used[-1] for fill in run.fills]
    told = space_risk(sizes, fixed, run.scenario.luns.size, [6])
    assert told["used_max"].iloc[0] == max(last)  # one LUN of all six clones, as the pool had it


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"sizes": np.ones((2, 3))},
            "sizes='float64 (2, 3)': a table of whole bytes by replicate, clone and day is needed. See `clone_sizes`.",
        ),
        ({"sizes": np.full((1, 3, 1), -1)}, "sizes=-1: bytes from 0 up are needed. Check the sign."),
        (
            {"sizes": np.full((1, 2, 1), 2**62)},
            "sizes=4611686018427387904: 2305843009213693952 B a clone are the most.",
        ),
        (
            {"densities": [2, 4]},
            "densities=[2, 4]: whole numbers in ascending order, from 1 to the 3 clones, are needed. "
            "No clone can be twice on a LUN.",
        ),
        (
            {"densities": [2, 1]},
            "densities=[2, 1]: whole numbers in ascending order, from 1 to the 3 clones, are needed. "
            "No clone can be twice on a LUN.",
        ),
        ({"limit": 0}, "limit=0: a whole number of bytes from 1 up is needed. Write for example '1 TiB'."),
        ({"eps": 0}, "eps=0: a share between 0 and 1 is needed. Write for example 0.95."),
        ({"confidence": 2}, "confidence=2: a share between 0 and 1 is needed. Write for example 0.95."),
        ({"dealings": Dealings.of(9, 1)}, "dealings=9: orders of 3 clones are needed."),
    ],
)
def test_bad_input_is_refused(changed, message):
    asked = {"sizes": np.ones((1, 3, 2), np.int64), "fixed": nothing, "limit": 9, "densities": [1, 2], **changed}
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        space_risk(**asked)
