"""The cheap ranking of assumptions: its ends are those of pools simulated by hand, its order that of its swings."""

import pytest
from pool_tools import small

from clonesim.planning.pool_sample import sample_pool
from clonesim.planning.screening import screen
from clonesim.planning.variants import variants_of
from clonesim.scenario import catalog


@pytest.fixture(scope="module")
def frame():
    return screen(small(), 3, processes=1)


def test_ends_are_ratios_of_pools_with_one_value_moved(frame) -> None:
    base = sample_pool(variants_of(small(), 6, 3)[0], 3, 1, processes=1)
    factor = catalog.value("size", "vary.activity.factor")
    moved = small(luns={"placement": "round-robin", "count": 1}, workload={"intensity": factor})
    other = sample_pool(moved, 3, 1, processes=1)
    row = frame.set_index("assumption").loc["activity"]
    assert row["at_higher"] == pytest.approx(other.final.mean() / base.final.mean(), rel=1e-12)
    assert row["at_higher"] > 1 > row["at_lower"]
    assert row["higher"] == f"x {factor:.2g}"


def test_largest_swing_first(frame) -> None:
    assert set(frame["assumption"]) == {"policy", "activity", "patches", "definitions", "spread"}
    assert frame["swing"].is_monotonic_decreasing
    assert (frame["swing"] == (frame["at_higher"] - frame["at_lower"]).abs()).all()


def test_policies_end_at_the_least_and_the_most_and_the_scenario_s_own_may_be_one(frame) -> None:
    row = frame.set_index("assumption").loc["policy"]
    assert row["at_lower"] <= 1 <= row["at_higher"]
    assert row["higher"].startswith("fresh-first")
    if row["at_lower"] == 1:
        assert row["lower"] == "as it is"


def test_it_is_small_and_says_so(frame) -> None:
    told = []
    large = small(pool={"clones": 100, "days": 2})
    screen(large, 0, processes=1, progress=lambda done, total: told.append((done, total)))
    clones = catalog.value("sensitivity", "screening.clones")
    variants = len(variants_of(large, clones)[1])
    assert told[-1] == ((variants + 1) * clones * 2,) * 2
    assert "in pools of 6 clones x 3 days" in frame.attrs["caption"]


def test_the_same_seed_gives_the_same_frame(frame) -> None:
    assert frame.equals(screen(small(), 3, processes=1))
