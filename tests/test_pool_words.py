"""What a run says in words: figures of its summary, and the other sentence where there is none, one, or an outage."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pool_tools import small
from report_tools import hostile_run

from clonesim import simulate
from clonesim.pool_words import pool_answers
from clonesim.words import sized


@pytest.fixture(scope="module")
def full():
    """A pool whose datastore is full within its days."""
    return simulate(small(luns={"size": "18 GiB"}, pool={"clones": 8, "days": 6}), seed=1, processes=1)


def answer(run, question):
    return " ".join(next(one for one in pool_answers(run) if one.question == question).sentences)


def test_sizes() -> None:
    run = hostile_run()
    told = answer(run, "How large do the deltas get?")
    s = run.summary
    assert f"After 3 days the delta of a desktop is {sized(s['delta_p50_bytes'])} (median" in told
    assert f"6 desktops together: {sized(s['delta_total_bytes'])} in files" in told
    end = run.band[run.band["day"] == 2]["delta_mean_bytes"]
    assert sized(end.min()) in told
    assert sized(end.max()) in told


def test_disks_of_a_desktop_are_added_up() -> None:
    run = hostile_run()
    one = run.growth.assign(delta_bytes=3 * 2**30)
    both = pd.concat([one, one.assign(disk=np.int8(1), delta_bytes=2**30)], ignore_index=True)
    told = answer(replace(run, growth=both), "How large do the deltas get?")
    assert "the delta of a desktop is 4 GiB (all alike)" in told
    assert "a mean delta of the system disk of " in told


def test_without_a_band_it_says_that_one_policy_is_a_hypothesis() -> None:
    told = answer(replace(hostile_run(), band=None), "How large do the deltas get?")
    assert "here only one was simulated" in told


def test_a_band_without_width_says_so() -> None:
    run = hostile_run()
    flat = run.band.assign(delta_mean_bytes=2.0**30)
    assert "It does not depend on how the guest picks free clusters: the mean is 1 GiB." in answer(
        replace(run, band=flat), "How large do the deltas get?"
    )


def test_nothing_full_with_the_interval_of_the_risk() -> None:
    run = hostile_run()
    told = answer(run, "When is a datastore full?")
    high = 100 * run.summary["p_outage_high"]
    assert "The datastore is not full within 3 days" in told
    assert f"0 % of 2 replicates (95 % interval 0 to {high:.1f} %); simulate more replicates" in told


def test_an_outage_is_told_with_its_day_and_warnings(full) -> None:
    assert full.summary["first_full_day"] is not None, "the pool was made to fill up"
    told = answer(full, "When is a datastore full?")
    assert f"is full on day {full.summary['first_full_day']:.1f}: an outage" in told
    assert f"{full.summary['desktops_down']} desktops down at the end" in told
    assert "Shortest time that warnings leave: " in told
    assert "with room for all of it" in answer(full, "How large do the deltas get?")
    assert "with room" not in answer(hostile_run(), "How large do the deltas get?")


@pytest.mark.parametrize(
    ("wait_s", "verdict"), [(0.007, "7 ms or less (limit of a plan: 20 ms; kept)"), (0.05, "passed")]
)
def test_lock_waits_against_the_limit(wait_s, verdict) -> None:
    run = hostile_run()
    luns = run.luns.assign(wait_p99_s=wait_s, reservations=7200, reserved_fraction=0.25, locks_failed=0)
    told = answer(replace(run, luns=luns), "Does locking bite?")
    assert verdict in told
    assert "2 locks a second, and the datastore reserved for 25 % of an hour at most; no request gave up." in told


def test_no_lock_and_no_wait() -> None:
    run = hostile_run()
    none = run.luns.assign(reservations=0, ats=0, wait_p99_s=np.nan)
    assert answer(replace(run, luns=none), "Does locking bite?") == "Nothing takes a lock that hosts share on vmfs-3."
    free = run.luns.assign(wait_p99_s=0.0, reservations=10, ats=0)
    assert "99 of 100 requests for a lock do not wait." in answer(replace(run, luns=free), "Does locking bite?")


def test_array_and_sources() -> None:
    run = hostile_run()
    told = answer(run, "Does the array keep up?")
    assert f"{round(run.summary['iops_max60'])} I/Os a second" in told
    assert "64 disks of hdd-15k, raid-10, shared by all" in told
    shares = run.source_shares
    assert f"{shares.index[0]} {shares.iloc[0]:.0%}" in answer(run, "What adds up?")
