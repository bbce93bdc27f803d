"""What hosts bear after failures: the published example, a page-by-page twin, conservation, and hosts to buy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError, ScenarioError
from clonesim.planning.cluster import cluster
from clonesim.planning.host_load import FAILURES, failures, holds, host_load
from clonesim.planning.host_needs import cluster_limit, hosts_needed, layout, per_host_limits
from clonesim.scenario import load_scenario
from clonesim.units import GIB, MIB

EXAMPLE = {"hosts": 8, "host_cpu": 21000, "host_memory": "32 GiB", "guest_memory": "512 MiB", "desktop_cpu": 200}


def vi3(**values):
    return cluster(**{**EXAMPLE, "era": "vi3", "admission": "slots", **values})


def test_ninety_percent_on_eight_hosts_is_103_percent_on_seven():
    """300 desktops that fill 90 % of 8 x 32 GB: the old rule claims four failures, memory bears none."""
    each = round(0.9 * 8 * 32 * GIB / 300)
    made = replace(vi3(), consumed=each, overhead=0)
    told = failures(made, 300)
    assert told["memory_share"][0] == pytest.approx(0.9, abs=1e-9)
    assert told["memory_share"][1] == pytest.approx(0.9 * 8 / 7, abs=1e-9)
    assert round(100 * told["memory_share"][1]) == 103
    assert told["claimed"].tolist() == [4, 3, 2, 1, 0, 0, 0, 0]
    assert told["holds"].tolist() == [True] + [False] * 7
    assert told["holds_for"][0] == 0


def test_the_known_good_state_is_forgotten():
    """After each failure the rule finds its level again, though what was planned for is used up by the first one."""
    told = failures(vi3(), 300, luns=4, most=4)
    assert tuple(told.columns) == FAILURES
    assert told["hosts"].tolist() == [8, 7, 6, 5, 4]
    assert told["slots"].tolist() == [656, 574, 492, 410, 328]
    assert told["admitted"].tolist() == [574, 492, 410, 328, 246]
    assert told["level_kept"].tolist() == [True, True, True, True, False]
    assert told["planned"].tolist() == [1, 0, 0, 0, 0]
    assert told["desktops_max"].tolist() == [38, 43, 50, 60, 75]
    assert told["cpu_share"].tolist() == pytest.approx([300 * 200 / 21000 / hosts for hosts in (8, 7, 6, 5, 4)])
    assert (told["swap_iops_per_lun"] == 2 * told["swap_read_iops"] / 4).all()


def twin(made, n):
    """One host, page by page: each page wanted beyond the room is taken where the ladder says."""
    page = made.page
    pages = made.consumed // page
    keep = max(made.active, made.reserved) // page
    most_shared = made.shareable // page
    most_balloon = max(0, min(made.balloon // page, pages - most_shared - keep))
    over = n * (pages + made.overhead // page) - made.room // page
    shared = ballooned = swapped = 0
    for _ in range(max(0, over)):
        if shared < n * most_shared:
            shared += 1
        elif ballooned < n * most_balloon:
            ballooned += 1
        elif n * pages - shared - ballooned - swapped > n * made.reserved // page:
            swapped += 1
    return shared * page, ballooned * page, swapped * page


PAGES = st.integers(1, 40)


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 30),
    consumed=PAGES,
    overhead=st.integers(1, 5),
    parts=st.tuples(*[st.floats(0, 1)] * 4),
    host=st.integers(50, 400),
    free=st.integers(0, 10),
)
def test_the_ladder_page_by_page(n, consumed, overhead, parts, host, free):
    page = 4096
    active, reserved, shareable, balloon = (int(part * consumed) * page for part in parts)
    made = replace(
        cluster(hosts=1),
        host_memory=host * page,
        consumed=consumed * page,
        overhead=overhead * page,
        active=active,
        reserved=reserved,
        shareable=min(shareable, consumed * page - reserved),
        balloon=balloon,
        kept_free=free / host,
    )
    load = host_load(made, n)
    ran = int(load.desktops[0])
    assert ran + load.down == n
    assert (load.shared[0], load.ballooned[0], load.swapped[0]) == twin(made, ran)
    kept = load.demand[0] - load.shared[0] - load.ballooned[0] - load.swapped[0]
    assert 0 <= kept <= made.host_memory
    assert kept >= ran * (made.reserved + made.overhead)
    assert load.swapped[0] == 0 or load.shared[0] == ran * made.shareable


@settings(max_examples=60, deadline=None)
@given(desktops=st.integers(0, 900), hosts=st.integers(1, 8), reservation=st.sampled_from([0.0, 0.5, 1.0]))
def test_conservation_on_all_hosts(desktops, hosts, reservation):
    made = vi3(memory_reservation=reservation)
    load = host_load(made, desktops, hosts)
    assert load.desktops.sum() + load.down == desktops
    assert np.ptp(load.desktops) <= 1
    left = load.demand - load.shared - load.ballooned - load.swapped
    assert (left <= made.host_memory).all()
    assert (load.demand == load.desktops * (made.consumed + made.overhead)).all()
    if hosts > 1:
        fewer = host_load(made, desktops, hosts - 1)
        assert fewer.down >= load.down
        if fewer.down == load.down:
            assert fewer.reclaimed >= load.reclaimed


def test_swap_rates_by_hand():
    """A host of 4 GiB, 5 desktops of 1 GiB, no sharing, no balloon: 1 GiB is swapped; a quarter of all is active."""
    made = cluster(hosts=1, host_memory="4 GiB", guest_memory="1 GiB", kept_free=0.0, balloon=0.0, active=0.25)
    made = replace(made, overhead=0)
    load = host_load(made, 5)
    assert load.swapped[0] == GIB
    assert load.swap_in[0] == pytest.approx(GIB / 4096 / 4 / 60)  # 1,092 I/Os per second, read and written
    told = failures(made, 5, luns=2)
    assert told["swap_iops_per_lun"][0] == pytest.approx(GIB / 4096 / 4 / 60)


def test_desktops_that_cannot_be_reserved_stay_down():
    made = vi3(memory_reservation=1.0)
    each = 32 * GIB // (512 * MIB + made.overhead)
    told = failures(made, 8 * each, most=2)
    assert told["down"].tolist() == [0, each, 2 * each]
    assert told["desktops"].tolist() == [8 * each, 7 * each, 6 * each]
    assert (told["swapped_bytes"] == 0).all()
    assert (told["ballooned_bytes"] == 0).all()


def test_dedicated_hosts_stand_by():
    made = vi3(admission="dedicated", failures_tolerated=2)
    loads = [host_load(made, 240, hosts).desktops for hosts in (8, 7, 6, 5)]
    assert [load.size for load in loads] == [6, 6, 6, 5]
    assert [int(load.max()) for load in loads] == [40, 40, 40, 48]
    assert failures(made, 240, most=3)["claimed"].tolist() == [2, 1, 0, 0]


@settings(max_examples=40, deadline=None)
@given(desktops=st.integers(1, 1200), spare=st.integers(0, 2), cpu=st.sampled_from([50, 200, 900]))
def test_hosts_needed_are_the_fewest_that_hold(desktops, spare, cpu):
    made = vi3(desktop_cpu=cpu, admission="none", cpu_fullest=1.0, hosts=64)
    made = replace(made, cluster_hosts=200, hosts=200)
    need = hosts_needed(made, desktops, spare)
    assert need.spare == spare
    assert need.clusters == 1
    fewest = next(hosts for hosts in range(1, 200) if holds(made, desktops, hosts))
    assert need.running == fewest
    assert need.hosts == fewest + spare


def test_the_binding_limit():
    old = vi3(host_memory="128 GiB")
    assert per_host_limits(old) == {"memory": 200, "cpu": 84, "reservations": 170, "admission": 82}
    assert hosts_needed(old, 574).binding == "admission"
    assert hosts_needed(old, 574).hosts == 8
    assert hosts_needed(old, 575).hosts == 9
    assert hosts_needed(replace(old, cpu=400.0), 500).binding == "cpu"
    assert hosts_needed(replace(old, host_memory=16 * GIB), 500).binding == "memory"


def test_a_share_kept_free_by_hand_may_ask_for_more_hosts():
    made = cluster(admission="percentage", reserve_share=0.9, memory_reservation=1.0, hosts=8)
    need = hosts_needed(made, 500)
    slot = 8 * GIB + made.overhead
    assert need.hosts == -(-500 * slot * 10 // made.host_memory)
    assert need.binding == "admission"


def test_hosts_of_a_replica_split_the_hosts():
    made = vi3(host_memory="64 GiB")
    assert [cluster_limit(made, name) for name in ("vmfs-3", "vmfs-5", "nfs", "lvm-thin")] == [8, 32, 32, 1]
    assert cluster_limit(cluster(), "vmfs-6") == 64
    need = hosts_needed(made, 1000, where="vmfs-3")
    assert need.running == 13  # 82 a host
    assert (need.clusters, need.spare, need.hosts) == (2, 2, 15)  # 7 and 1 of 8 hosts in each
    assert hosts_needed(made, 1000, where="vmfs-5").hosts == 14


def test_who_shares_a_lun():
    made = cluster(hosts=16)
    one = layout(made, 1024, 16, "vmfs-5")
    assert (one.hosts_per_lun, one.clusters, one.luns_per_host) == (16, 1, 16)
    assert (one.desktops_per_host, one.desktops_per_lun, one.desktops_per_lun_and_host) == (64, 64, 4.0)
    two = layout(made, 1024, 16, "vmfs-3")
    assert (two.hosts_per_lun, two.clusters, two.luns_per_host, two.desktops_per_lun_and_host) == (8, 2, 8, 8.0)
    with pytest.raises(ParameterError, match=r"luns=1: 16 hosts make 2 groups of at most 8, each with LUNs of its own"):
        layout(made, 1024, 1, "vmfs-3")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: host_load(vi3(), -1), r"desktops=-1: 0 or more is needed\. Check the sign\."),
        (lambda: host_load(vi3(), 1, 9), r"hosts=9: 0 to 8 hosts can be left of 8\."),
        (lambda: failures(vi3(), 1, luns=0), r"luns=0: 1 or more is needed\. Give the number of datastores\."),
        (lambda: failures(vi3(), 1, most=8), r"most=8: 0 to 7 of 8 hosts can fail and leave one\."),
        (lambda: hosts_needed(vi3(), -1), r"desktops=-1: 0 or more"),
        (
            lambda: hosts_needed(vi3(), 9, 8, "vmfs-3"),
            r"tolerate=8: a cluster has at most 8 hosts, so 0 to 7 can be sp",
        ),
        (lambda: hosts_needed(vi3(desktop_cpu=99000), 9), r"hosts=0: a host takes no desktop by cpu\. Take larger"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


@pytest.mark.parametrize("name", ["windows-xp-office", "windows-7-office", "windows-10-office", "windows-11-office"])
def test_packaged_scenarios_bear_a_failure(name):
    scenario = load_scenario(name)
    made = cluster(scenario)
    assert made.hosts == scenario.hosts.count
    assert made.host_memory == scenario.hosts.memory
    assert made.guest_memory == scenario.guest.memory
    assert failures(made, scenario.pool.clones)["holds"][1]


def test_a_scenario_s_users_say_how_many_are_busy():
    half = load_scenario("windows-11-office", users={"peak_concurrency": 0.5})
    assert cluster(half).cpu == pytest.approx(0.5 * 1000 + 0.5 * 100)
    idle = load_scenario("windows-11-office", workload={"name": "idle"})
    assert cluster(idle).cpu == 100


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "hosts.failures_tolerated=8",
            "hosts.failures_tolerated=8: of 8 hosts at most 7 can fail. Set it to 7 or less.",
        ),
        ("hosts.memory=4 GiB", "hosts.memory='4 GiB': a host holds at least one desktop of 8 GiB. Raise it, or lower"),
        (
            "hosts.cpu=1.5",
            "hosts.cpu=1.5: a whole number from 1000 MHz to 2000000 MHz is needed. The catalog's default",
        ),
        ("hosts.ha_era=vi2", "hosts.ha_era='vi2': allowed are vi3, later. Did you mean 'vi3'?"),
        ("hosts.desktop_memory_active=2.0", "hosts.desktop_memory_active=2.0: allowed are 0 to 1."),
    ],
)
def test_a_scenario_refuses_what_cannot_be(setting, message):
    with pytest.raises(ScenarioError) as error:
        load_scenario("windows-11-office", set=[setting])
    assert message in str(error.value)


def test_no_more_swapped_pages_are_active_than_there_are():
    """All memory is active, and half of it shared: what is swapped is touched once an interval, not twice."""
    made = cluster(hosts=1, host_memory="4 GiB", guest_memory="1 GiB", kept_free=0.0, balloon=0.0, active=1.0)
    made = replace(made, shareable=GIB // 2, overhead=0)
    load = host_load(made, 10)
    assert load.swapped[0] == GIB
    assert load.swap_in[0] == pytest.approx(GIB / 4096 / 60)


def test_reserved_memory_is_backed():
    made = vi3(consumed=0.5, memory_reservation=0.75)
    assert made.consumed == made.reserved == 384 * MIB
