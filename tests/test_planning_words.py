"""Plans in words: figures with units, and verdicts that say no more than the frames do."""

import math

import planning_tools as tools
import pytest

from clonesim.planning.cluster import cluster
from clonesim.planning.host_load import failures
from clonesim.words import (
    METRICS,
    RULES,
    between,
    density_verdict,
    figure,
    hosts_label,
    hosts_verdict,
    moves_text,
    number,
    off,
    rule_titles,
    size_verdict,
    wrong_text,
)

GIB, TIB = 2**30, 2**40


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.1234, "0.123"),
        (1.3, "1.30"),
        (99.97, "100"),
        (12345.6, "12,346"),
        (-7.0, "-7"),
        (3e-9, "<0.0001"),
        (math.nan, "-"),
        (math.inf, "inf"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_figures_and_intervals():
    assert figure(1.5 * TIB, "B") == "1.50 TiB"
    assert figure(3 * 2**20, "B") == "3 MiB"
    assert figure(25e6, "B/s") == "25 MB/s"
    assert figure(1234.4, "1/s") == "1,234 1/s"
    assert between(1.0, 4.0, "1") == "1 to 4"
    assert between(2.0 * GIB, 3.0 * GIB, "B") == "2 to 3 GiB"
    assert between(500.0 * GIB, 2.0 * TIB, "B") == "500 GiB to 2 TiB"
    assert between(7.0, 7.0, "1") == "7"


def test_how_far_off():
    assert [off(share) for share in (0.16, -0.84, 0.001, -0.001, 1.0, 4.0)] == [
        *("+16 %", "-84 %", "0 %", "0 %", "+100 %", "x 5"),
    ]
    assert off(math.nan) == "-"


def test_every_limit_and_every_classic_rule_has_words():
    from clonesim.planning.classic_rules import classic_rules
    from clonesim.planning.limits import limits_of
    from clonesim.scenario.load import load_scenario

    scenario = load_scenario()
    assert set(limits_of(scenario).names) <= set(METRICS)
    assert set(classic_rules(scenario)["rule"]) == set(RULES)


def test_density_verdict():
    most, sure, risk = density_verdict(tools.density())
    assert most == "Most clones per LUN: 20. Binding limit: risk that the LUN is full (50 % at 40, limit 5 %)."
    assert sure == "So that the upper ends of all intervals keep the limits, too: 10."
    assert risk == (
        "Risk of a full LUN with 20 clones: not resolved: 59 replicates needed (12 simulated); it lies between 0 and "
        "20 % for a limit of 5 %."
    )


def test_density_verdict_at_the_ends():
    none = density_verdict(tools.density(largest=0, sure=0))
    assert none == ["Not even 10 clones on a LUN keep all limits; passed most: risk that the LUN is full."]
    every = density_verdict(tools.density(largest=80, sure=80, binding="clones simulated"))
    assert every == [
        "Most clones per LUN: 80. No limit is passed by as many as were simulated; raise pool.clones to look further.",
        "The upper ends of all intervals keep the limits there, too.",
    ]
    near = density_verdict(tools.density(sure=0, needed=math.inf))
    assert near[1].endswith("too: no number of clones.")
    assert "no number of replicates would tell, the estimate is too near the limit" in near[2]


def test_how_far_limits_would_have_to_move():
    assert moves_text(tools.density()) == [
        "For 40 clones instead of 20:",
        "- size of the LUN, less the reserve: from 100 GiB to 125 GiB (x 1.25)",
        "- need not move: lock wait, p99 of the worst storm; the vendor's maximum",
    ]
    plan = tools.density()
    plan.moves.attrs["then"] = 20
    assert moves_text(plan) == [
        "No more clones than that were looked at, so how far limits would have to move is not known."
    ]


def test_size_verdict():
    buy, limits, measure = size_verdict(tools.bought())
    assert buy == (
        "Buy: 2 datastores of 250 GiB, 30 clones each at most; 10 disks (2 spares among them), raw 4 TB as disks are "
        "sold; 3 hosts (1 of them for failures)."
    )
    assert limits == (
        "More clones per datastore: stopped by the largest size of a datastore. Number of disks: set by the latency in "
        "the worst minute. Hosts: 83 desktops on one by cpu. Worst minute of the pool: logons."
    )
    assert measure == "Measure first: one file. That assumption alone moves the usable capacity by 100 %."
    assert "and one of 10 GiB for base images;" in size_verdict(tools.bought(replica=10 * GIB))[0]


def test_what_being_wrong_costs():
    assert wrong_text(tools.bought().wrong) == [
        "Growth 25 % higher than planned: some datastore is full with probability 0.800, 100 GiB missing, 1 disk "
        "missing.",
        "Growth 25 % lower than planned: some datastore is full with probability 0, 90 GiB bought in vain.",
    ]


def test_rules_for_other_pools_stand_in_parentheses():
    assert rule_titles(tools.rules()) == ["View's table, minimum", "(most on NFS)", "depth of the queue"]


def test_hosts_verdict_is_that_of_the_frame():
    """90 % of the memory of 8 hosts: 7 do not have it, yet the slots of nothing reserved claim four failures."""
    made = cluster(hosts=8, host_cpu=21000, host_memory="32 GiB", guest_memory="512 MiB", vcpus=1, era="vi3")
    frame = failures(made, 300, most=4)
    said = hosts_verdict(frame)
    first = frame.iloc[0]
    assert f"claims to bear {first['claimed']} host failures" in said[0]
    assert (f"hold {first['holds_for']}" in said[0]) == bool(first["holds"])
    for column, text in (("ballooned_bytes", "Balloons"), ("swapped_bytes", "Swapping")):
        assert any(text in sentence for sentence in said) == bool((frame[column] > 0).any())
    label = hosts_label(made, 300)
    assert "300 desktops of 512 MiB on 8 hosts of 21 GHz and 32 GiB." in label
    assert "rule of Virtual Infrastructure 3" in label


def test_swapping_is_dated_by_the_first_failure_that_brings_it():
    made = cluster(hosts=8, host_cpu=41600, host_memory="192 GiB", guest_memory="2 GiB", desktop_cpu=100)
    frame = failures(made, 500)
    swaps = int(frame["failures"][frame["swapped_bytes"] > 0].min())
    assert f"Swapping begins after {swaps} failures." in hosts_verdict(frame)
