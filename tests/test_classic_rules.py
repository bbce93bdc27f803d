"""Rules of thumb: published examples to the byte, and what they say beside a simulation."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.planning.classic_rules import (
    Simulated,
    classic_rules,
    clones_by_queue,
    host_queue_depth,
    lun_with_margin,
    mean_delta,
    overcommit_clones,
    ram_rule,
    view_sizing,
)
from clonesim.planning.space_risk import space_risk
from clonesim.pool.placement import deal
from clonesim.scenario import load_scenario
from clonesim.units import GIB, MIB, TIB

SIMULATED = Simulated(delta_bytes=12 * GIB, lun_bytes=1.25 * TIB, clones=80, n=64)


@pytest.fixture(scope="module")
def scenario():
    return load_scenario("windows-11-office")


def rules(scenario, *arguments, **keywords):
    return classic_rules(scenario, *arguments, **keywords).set_index("rule")


def test_view_s_own_example():
    """View 5.0 p. 87: ten clones, 1 GB of memory, a replica of 10 GB need 40, 80 and 130 GB."""
    assert list(view_sizing(10, 10 * GIB, GIB).values()) == [40 * GIB, 80 * GIB, 130 * GIB]
    assert view_sizing(10, 10, 1, replicas=0) == {"view-minimum": 20, "view-half": 60, "view-maximum": 110}


def test_the_example_of_three_times_ram():
    """myvirtualcloud: 100 x (6144 + 100 + 2048 MB) = 810 GB, + 20 + 20 + 124 = about 973 GB, parts rounded down."""
    steps = ram_rule(100, 2 * GIB, 20 * GIB)
    assert (steps.delta_bytes, steps.log_bytes, steps.swap_bytes) == (6144 * MIB, 100 * MIB, 2048 * MIB)
    assert steps.clones_bytes == 829_200 * MIB
    assert round(steps.clones_bytes / GIB) == 810
    assert steps.images_bytes == 40 * GIB
    assert steps.overhead_bytes // GIB == 124
    assert steps.clones_bytes // GIB + 20 + 20 + steps.overhead_bytes // GIB == 973
    assert steps.total_bytes == steps.clones_bytes + steps.images_bytes + steps.overhead_bytes
    assert steps.total_bytes / GIB == pytest.approx(974.2, abs=0.05)  # 1 GB more without rounding each part down


def test_reserved_memory_has_no_swap_file():
    none, half, all_ = (ram_rule(10, 4 * GIB, 0, reservation).swap_bytes for reservation in (0.0, 0.5, 1.0))
    assert (none, half, all_) == (4 * GIB, 2 * GIB, 0)


def test_overcommit_of_view_s_guide():
    """A datastore of 100 GB, a parent of 10 GB, four times: about 40 clones."""
    assert [overcommit_clones(100 * GIB, 10 * GIB, level) for level in (1, 4, 7, 15)] == [10, 40, 70, 150]


@given(st.integers(1, 500), st.integers(1, 60), st.sampled_from([1, 4, 7, 15]))
def test_overcommit_is_what_placement_does(capacity, disk, level):
    most = overcommit_clones(capacity * GIB, disk * GIB, level)
    room = {"capacity": capacity * GIB, "disk": disk * GIB, "overcommit": level}
    if most:
        assert deal(most, 1, "overcommit", **room).size == most
    with pytest.raises(ParameterError, match=f"take {most} at"):
        deal(most + 1, 1, "overcommit", **room)


def test_a_lun_with_twenty_percent():
    assert lun_with_margin(10, 50 * GIB) == 600 * GIB
    assert lun_with_margin(3, 10) == 36


def test_queue_depths():
    assert host_queue_depth(256, 8) == 32
    assert host_queue_depth(256, 8, target_depth=2048, luns=16) == 16
    assert host_queue_depth(32, 64) == 1  # no host has less than one
    assert clones_by_queue(256, 4) == 64
    assert clones_by_queue(32, 10 * 0.05) == 64  # ten I/Os a second at 50 ms


def test_rules_beside_a_simulation(scenario):
    told = rules(scenario, SIMULATED, outstanding=2.0)
    guest, luns = scenario.guest, scenario.luns
    assert (guest.memory, guest.disk, luns.size, luns.clones_per_lun) == (8 * GIB, 64 * GIB, 2 * TIB, 64)
    assert told.loc["view-minimum", "lun_bytes"] == (2 * 64 + 64 * 16) * GIB
    assert told.loc["view-maximum", "lun_bytes"] == (2 * 64 + 64 * 72) * GIB
    assert told.loc["view-half", "clones"] == (2048 - 128) // 40
    assert told.loc["view-minimum", "lun_off"] == pytest.approx(1152 / 1280 - 1)
    assert told.loc["view-half", "clones_off"] == pytest.approx(48 / 80 - 1)
    assert told.loc["overcommit-conservative", "clones"] == 4 * 2048 // 64
    assert told.loc["queue-depth", "clones"] == 128
    assert told.loc["most-ballpark", "clones_off"] == pytest.approx(8 / 80 - 1)
    one = 12 * GIB + 8 * GIB + 100 * MIB  # delta, swap file, logs; the small disk on top
    assert told.loc["three-times-ram", "clone_bytes"] == 32 * GIB + 100 * MIB
    assert told.loc["average-plus-20", "clone_off"] == pytest.approx(0.2)
    assert told.loc["average-plus-20", "clone_bytes"] == pytest.approx(1.2 * one, rel=0.01)


def test_the_number_that_fits_is_the_largest(scenario):
    told = rules(scenario, SIMULATED)
    room, guest = scenario.luns.size, scenario.guest
    for rule in ("view-minimum", "view-half", "view-maximum"):
        n = int(told.loc[rule, "clones"])
        assert (
            view_sizing(n, guest.disk, guest.memory)[rule] <= room < view_sizing(n + 1, guest.disk, guest.memory)[rule]
        )
    n = int(told.loc["three-times-ram", "clones"])
    sizes = [ram_rule(k, guest.memory, guest.used).total_bytes for k in (n, n + 1)]
    assert sizes[0] <= room < sizes[1]


def test_rules_without_a_simulation_have_nothing_to_be_off_from(scenario):
    told = rules(scenario)
    assert told[["clone_off", "lun_off", "clones_off"]].isna().all(axis=None)
    assert math.isnan(told.loc["average-plus-20", "lun_bytes"])
    assert math.isnan(told.loc["queue-depth", "clones"])
    assert told.loc["view-half", "lun_bytes"] > 0


@pytest.mark.parametrize(
    ("platform", "backing", "format_", "meant"),
    [
        ("view", "vmfs-3", "vmfs-sparse", {"most-ballpark", "most-before-vaai", "most-view"}),
        ("view", "vmfs-5", "vmfs-sparse", {"most-ballpark", "most-view-51", "most-vaai"}),
        ("view", "nfs", "vmfs-sparse", {"most-nfs"}),
        ("proxmox", "rbd", "rbd", set()),
    ],
)
def test_maxima_are_meant_for_some_backings(platform, backing, format_, meant):
    made = load_scenario(
        "windows-7-office", platform={"name": platform}, luns={"backing": backing}, delta={"format": format_}
    )
    told = rules(made)
    told = told[told.index.str.startswith("most-")]
    assert set(told.index[told["applies"]]) == meant


def test_a_replica_lun_takes_the_images_away(scenario):
    made = load_scenario("windows-11-office", luns={"replica_lun": True})
    beside, apart = rules(scenario), rules(made)
    gone = beside["lun_bytes"] - apart["lun_bytes"]
    assert gone["view-half"] == 2 * scenario.guest.disk
    assert gone["three-times-ram"] == pytest.approx(2.15 * scenario.guest.used, abs=2)


def test_simulated_figures_by_hand():
    sizes = np.array([[[10, 30], [20, 40]], [[50, 10], [30, 10]]])  # largest together: 70 on day 1, 80 on day 0
    assert mean_delta(sizes) == 37.5
    risk = space_risk(sizes, lambda n: 5, 1000, [1, 2])
    made = Simulated.of(sizes, risk, n=2, clones=2)
    assert (made.delta_bytes, made.lun_bytes) == (37.5, 85.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: view_sizing(-1, 1, 1), "clones=-1: a number from 0 up is needed. Check the sign and the unit."),
        (lambda: ram_rule(1, -1, 1), "memory=-1: a number from 0 up is needed. Check the sign and the unit."),
        (lambda: ram_rule(1, 1, 1, 2.0), "reservation=2.0: a share from 0 to 1 is needed."),
        (lambda: lun_with_margin(1, -1.0), "average=-1.0: a number from 0 up is needed. Check the sign and the unit."),
        (lambda: host_queue_depth(0, 1), "lun_depth=0: a number from 1 up is needed. Check the sign and the unit."),
        (lambda: clones_by_queue(32, 0.0), "outstanding=0.0: more than 0 commands are needed."),
        (lambda: overcommit_clones(9, 0, 4), "disk=0: a number from 1 up is needed. Check the sign and the unit."),
        (
            lambda: Simulated.of(np.ones((1, 2, 1)), pd.DataFrame({"n": [3, 4]}), 5, 1),
            "n=5: densities 3, 4 and so on were asked for. Ask space_risk for this density, too.",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        call()
