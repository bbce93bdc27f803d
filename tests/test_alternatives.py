"""What a comparison is asked for, and that what is simulated once may be simulated once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITHOUT, small

from clonesim.errors import ClonesimError, ScenarioError
from clonesim.planning.alternatives import STRATEGIES, Alternative, alternatives, felt, groups, together
from clonesim.pool.clones import STEPS
from clonesim.pool.luns import run_luns
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.strategies.layout import effective
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario
from clonesim.scenario.strategy import parse_strategies

AFTERWARDS = {
    "memory-reservation": "linked-clone",
    "array-dedup": "linked-clone",
    "thin-lun": "linked-clone",
    "refresh+thin-lun+array-dedup+memory-reservation": "refresh",
}


def scenario(**tables: Any) -> Scenario:
    tables = {"pool": {"clones": 40, "days": 3}, "guest": {"disk": "12 GiB"}, **tables}
    return small(WITHOUT, platform={"name": "generic"}, **tables)


def by_label(strategies: str, given: Scenario | None = None, clones: int = 4) -> dict[str, Alternative]:
    found, _ = alternatives(given or scenario(), strategies, clones)
    return {one.label: one for one in found}


def simulated(made: Scenario) -> Replicate:
    return next(iter(replicates_of(made, 3, 1, None)))


@pytest.mark.parametrize("label", AFTERWARDS)
def test_clones_do_the_same_under_what_they_do_not_feel(label: str) -> None:
    """The first two stages give the same bytes with the strategy as without it, and the LUNs count the same."""
    made = by_label(f"{label}, {AFTERWARDS[label]}")
    one, other = made[label], made[AFTERWARDS[label]]
    assert one.small.strategy != other.small.strategy
    assert one.core == other.core
    whole, core = simulated(one.small), simulated(one.core)
    for mine, told in zip(whole.batches, core.batches, strict=True):
        for name in (*STEPS, "growth", "sources", "demand", "elsewhere", "totals"):
            assert np.array_equal(getattr(mine, name), getattr(told, name)), name
    for name in ("time_s", "clone", "kind"):
        assert np.array_equal(getattr(whole.timeline.operations, name), getattr(core.timeline.operations, name))
    for mine, told in zip(run_luns(one.small, whole), run_luns(one.small, core), strict=True):
        pd.testing.assert_frame_equal(mine.hours, told.hours)
        assert mine.fixed.fixed_bytes == told.fixed.fixed_bytes


def test_luns_do_not_feel_the_array() -> None:
    made = by_label("refresh+thin-lun+array-dedup, refresh")
    one, other = made["refresh+thin-lun+array-dedup"], made["refresh"]
    assert one.small.hosts == other.small.hosts
    core = simulated(one.core)
    for mine, told in zip(run_luns(one.small, core), run_luns(other.small, core), strict=True):
        pd.testing.assert_frame_equal(mine.hours, told.hours)
        pd.testing.assert_frame_equal(mine.peaks, told.peaks)
        assert mine.fill.summary == told.fill.summary


def test_what_clones_feel_is_simulated_apart() -> None:
    given = by_label("memory-reservation, refresh, refresh+array-dedup, guest-tuning, full-clone, smaller-free-space")
    found = groups(list(given.values()))
    assert [[one.label for one in group.members] for group in found] == [
        *(["linked-clone", "memory-reservation"], ["refresh", "refresh+array-dedup"], ["guest-tuning"]),
        *(["full-clone"], ["smaller-free-space"]),
    ]


def test_rebalance_begins_as_the_same_pool_without_it() -> None:
    share = "refresh(when=share)"
    given = by_label(
        f"rebalance, refresh+rebalance, refresh, {share}, {share}+rebalance", scenario(luns={"clones_per_lun": 20})
    )
    found = together(groups(list(given.values())))
    assert [[one.label for group in some for one in group.members] for some in found] == [
        *(["linked-clone", "rebalance"], ["refresh+rebalance", "refresh"]),
        *([share], [f"{share}+rebalance"]),  # decides on refreshes, too: one after the other
    ]
    assert all(len(some) == len({group.core.model_dump_json() for group in some}) for some in found)


def test_reserved_memory_is_felt_where_clones_move_by_free_space() -> None:
    names = [[one.name for one in felt(_choices(*chosen))] for chosen in (("rebalance",), ())]
    assert names == [["rebalance", "memory-reservation"], []]


def _choices(*names: str) -> Any:
    return load_scenario(scenario(), strategy=[*names, "memory-reservation"]).strategy


def test_every_strategy_of_the_catalog_is_compared() -> None:
    named = {str(table["name"]) for _, tables in parse_strategies(STRATEGIES) for table in tables}
    assert named == set(catalog.names("strategies"))
    given = load_scenario("windows-11-office", platform={"name": "generic"}, delta={"format": "se-sparse"})
    found, left = alternatives(given, STRATEGIES, 10)
    assert not left
    assert [one.label for one in found] == [label for label, _ in parse_strategies(STRATEGIES)]


def test_the_default_list_leaves_out_what_the_scenario_refuses_and_says_why() -> None:
    given = load_scenario("windows-11-office")
    assert given.platform.name == "horizon-8"
    found, left = alternatives(given, STRATEGIES, 10)
    assert set(left) == {"rebalance", "provisioned-streaming", "mcs"}
    assert left["mcs"] == "horizon-8 has no mcs; citrix-mcs and generic have it"
    assert len(found) + len(left) == len(parse_strategies(STRATEGIES))
    with pytest.raises(ScenarioError, match="horizon-8 has no mcs; citrix-mcs and generic have it"):
        alternatives(given, "refresh, mcs", 10)


def test_the_pool_is_scaled_and_dealt_out() -> None:
    one = by_label("refresh", clones=6)["refresh"]
    assert (one.small.pool.clones, one.small.users.count, one.small.luns.count) == (6, 6, 1)
    assert (one.asked.pool.clones, one.asked.users.count) == (40, 40)
    moved = by_label("refresh, rebalance", scenario(luns={"clones_per_lun": 20}), 6)
    assert {other.small.luns.count for other in moved.values()} == {2}  # the same for all
    alone = by_label("rebalance", scenario(luns={"clones_per_lun": 64}), 6)
    assert alone["rebalance"].small.luns.count == 1  # the pool has one only


def test_figures_of_the_strategies_are_in_both_pools() -> None:
    one = by_label("memory-reservation+guest-tuning")["memory-reservation+guest-tuning"]
    for made in (one.small, one.asked):
        assert made == effective(made)
        assert made.hosts.memory_reservation == 1.0
    assert one.core.hosts.memory_reservation == 0.0


def test_a_mistake_is_told_before_anything_else() -> None:
    with pytest.raises(ClonesimError, match="one strategy or more"):
        alternatives(scenario(), {}, 2)
    with pytest.raises(ClonesimError, match="disks"):
        alternatives(scenario(array={"shared": False, "disks": 4}, luns={"count": 8}), "refresh", 2)
