"""From strategies to quantities, by hand."""

from dataclasses import replace

import pytest
from test_strategy_plots import comparison

from clonesim.planning.cluster import cluster
from clonesim.planning.compare import Comparison
from clonesim.planning.host_needs import hosts_needed, per_host_limits
from clonesim.planning.strategy_cost import TIERS, strategy_hosts, strategy_quantities
from clonesim.planning.strategy_row import COLUMNS
from clonesim.pool.strategies.layout import effective
from clonesim.scenario import load_scenario
from clonesim.scenario.model import Scenario

GIB, MIB = 2**30, 2**20
ROOMY = {"cpu": 2_000_000, "memory": "256 GiB"}  # so that memory decides


def pool(*strategy: object) -> Scenario:
    given = load_scenario("windows-11-office", pool={"clones": 300}, platform={"name": "generic"}, hosts=ROOMY)
    return effective(load_scenario(given, strategy=list(strategy)))


def test_reserved_memory_counts_at_admission() -> None:
    plain, reserved = strategy_hosts(pool()), strategy_hosts(pool("memory-reservation"))
    assert plain.reserved == 0
    assert reserved.reserved == reserved.consumed == 8 * GIB
    assert per_host_limits(reserved)["reservations"] < per_host_limits(plain)["reservations"]
    assert per_host_limits(reserved)["admission"] < per_host_limits(plain)["admission"] / 50


@pytest.mark.parametrize("name", ["provisioned-streaming", "mcs"])
def test_a_cache_in_memory_is_memory_of_each_desktop(name: str) -> None:
    plain, cached = cluster(pool()), strategy_hosts(pool({"name": name, "ram": "2 GiB"}))
    assert cached.guest_memory == plain.guest_memory + 2 * GIB
    assert cached.consumed == plain.consumed + 2 * GIB
    assert cached.active == plain.active + 2 * GIB
    assert cached.overhead >= plain.overhead
    assert cached.room // cached.desktop_memory < plain.room // plain.desktop_memory
    assert strategy_hosts(pool({"name": name, "ram": "0 B"})) == plain


def test_a_parent_takes_a_desktops_part_of_each_host() -> None:
    plain, forked = cluster(pool()), strategy_hosts(pool({"name": "instant-clone", "parents": 1}))
    assert forked.host_memory == plain.host_memory - plain.desktop_memory
    assert replace(forked, host_memory=plain.host_memory) == plain
    assert strategy_hosts(pool({"name": "instant-clone", "parents": 0})) == plain


def test_quantities_are_those_of_the_rows() -> None:
    figures = {"linked-clone": (10.0, 0.0, 0.0), "mcs": (4.0, 9.0, 5.0), "memory-reservation": (2.0, 0.0, 0.0)}
    found = comparison(figures)
    found.frame["network_a_day_bytes"] = [0.0, 2e6, 0.0]
    found.frame["cache_bytes"] = [0.0, 3.0 * GIB, 0.0]
    scenarios = {
        "linked-clone": pool(),
        "mcs": pool({"name": "mcs", "ram": "2 GiB"}),
        "memory-reservation": pool("memory-reservation"),
    }
    made = Comparison(found.frame, found.differences, found.samples, found.base, found.label, scenarios=scenarios)
    base, mcs, reserved = strategy_quantities(made, pool())
    assert base.gib["os-delta"] == pytest.approx(300 * 5.0)
    assert base.gib["swap"] == pytest.approx(300 * 1.0)
    assert (base.gib["cache"], mcs.gib["cache"]) == (0.0, pytest.approx(900.0))
    assert mcs.network_gb == pytest.approx(2e6 * 300 * 365.25 / 12 / 1e9)
    assert base.network_gb == 0
    assert base.iops == pytest.approx(300 * 51.0)
    assert base.hosts == hosts_needed(cluster(pool()), 300, where="vmfs-5").hosts
    assert reserved.hosts == hosts_needed(strategy_hosts(pool("memory-reservation")), 300, where="vmfs-5").hosts
    assert mcs.hosts > base.hosts


def test_every_tier_of_a_comparison_is_paid() -> None:
    assert set(TIERS) < set(COLUMNS)
    summed = {column for column in COLUMNS if column.endswith("_bytes") and column in TIERS}
    assert summed == set(TIERS)
