"""The timeline of a pool: every session on one clone, the same users however assigned, restarts when nobody works."""

import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clonesim.guest.presence import EVENT_KINDS
from clonesim.pool.calendar import DAY_S
from clonesim.pool.timeline import Hosts, Timeline, after_logoff
from clonesim.scenario import load_scenario

HOUR = 3600.0


def scenario(clones=40, days=60, storms=None, luns=None, guest=None, **users):
    return load_scenario(
        "windows-11-office",
        pool={"clones": clones, "days": days},
        users={"count": clones} | users,
        storms=storms or {},
        luns=luns or {},
        guest=guest or {},
    )


def timeline(seed=1, replicate=0, **changes):
    return Timeline.of(scenario(**changes), seed, replicate)


def on_clones(line):
    """Every session that took place: (clone, user, start, end, first_logon), from the clones' presences."""
    rows = []
    for clone in range(line.clones):
        p = line.presence(clone)
        columns = (p.session_user, p.session_start_s, p.session_end_s, p.first_logon)
        rows += [(clone, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return rows


def test_floating_and_dedicated_users_work_the_same():
    dedicated, floating = timeline(assignment="dedicated"), timeline(assignment="floating")
    own, shared = on_clones(dedicated), on_clones(floating)
    assert len(own) > 1000
    assert sorted(row[1:4] for row in own) == sorted(row[1:4] for row in shared)
    assert np.array_equal(dedicated.sessions.intensity, floating.sessions.intensity)
    assert all(row[0] == row[1] for row in own)
    assert len({row[:2] for row in shared}) > 10 * 40  # a floating user sees many clones


def test_a_limit_on_users_refuses_the_same_logons_either_way():
    dedicated = timeline(assignment="dedicated", peak_concurrency=0.6)
    floating = timeline(assignment="floating", peak_concurrency=0.6)
    assert dedicated.peak_users == floating.peak_users == 24
    assert dedicated.refused_too_many == floating.refused_too_many > 0
    assert sorted(row[1:4] for row in on_clones(dedicated)) == sorted(row[1:4] for row in on_clones(floating))


def test_too_few_clones_refuse_floating_users():
    line = timeline(clones=10, count=20, assignment="floating")
    assert line.peak_users == 10
    assert line.refused_too_many == 0
    assert line.refused_no_seat > 0
    assert len(on_clones(line)) + line.refused_no_seat == len(line.sessions)


@pytest.mark.parametrize("assignment", ["dedicated", "floating"])
def test_no_clone_has_more_users_than_seats(assignment):
    line = timeline(clones=4, count=80, users_per_clone=20, assignment=assignment, guest={"name": "windows-server"})
    assert line.refused_no_seat == 0
    for clone in range(4):
        p = line.presence(clone)
        there = [((p.session_start_s <= t) & (p.session_end_s > t)).sum() for t in p.session_start_s]
        assert 5 < max(there) <= 20


@pytest.mark.parametrize("assignment", ["dedicated", "floating"])
def test_presences_hold_every_session_once_and_know_the_first(assignment):
    line = timeline(assignment=assignment)
    rows = on_clones(line)
    assert len(rows) == len(line.sessions)
    seen = set()
    for clone, user, _, _, first in rows:
        assert first == ((clone, user) not in seen)
        seen.add((clone, user))
    p = line.presence(3)
    assert np.array_equal(p.session_intensity, line.sessions.intensity[p.session_user])


@given(
    starts=st.lists(st.integers(0, 60), max_size=8),
    lengths=st.lists(st.integers(0, 20), min_size=8, max_size=8),
    wanted=st.lists(st.integers(0, 70), min_size=1, max_size=5),
    longest=st.integers(0, 30),
)
def test_waiting_for_the_last_user(starts, lengths, wanted, longest):
    start = np.sort(np.array(starts, float))
    end = start + np.array(lengths[: start.size], float)
    got = after_logoff(np.array(wanted, float), start, end, float(longest))
    for at, found in zip(wanted, got, strict=True):
        free = next(t for t in range(at, 200) if not ((start <= t) & (end > t)).any())
        assert found == min(free, at + longest)


def test_restarts_happen_when_nobody_works():
    line = timeline(clones=60, session_mean="12 h", storms={"reboot": "daily"})
    moved, in_use = 0, 0
    for clone in range(60):
        p = line.presence(clone)
        assert (np.diff(p.boots_s) > 0).all()
        assert p.boots_s[0] <= min(600.0, p.session_start_s[0])
        moved += ((p.boots_s[1:] - 3 * HOUR) % DAY_S > 600).sum()
        for boot in p.boots_s[1:]:
            in_use += ((p.session_start_s < boot) & (p.session_end_s > boot)).any()
    restarts = 60 * 59
    assert 0.05 * restarts < moved < 0.5 * restarts  # users who stay overnight
    assert in_use < 0.01 * restarts  # only users who stay for more than a day


def test_restarts_are_spread_over_their_window():
    line = timeline(
        clones=300, days=8, weekend=0.0, storms={"reboot": "weekly", "boot_window": "1 h", "patch_day": "never"}
    )
    boots = [line.presence(clone).boots_s for clone in range(300)]
    sunday = np.array([at[1] for at in boots]) - 6 * DAY_S - 3 * HOUR
    usual = sunday[sunday < HOUR]
    assert usual.size > 280  # the rest was waited for
    assert sunday.min() >= 0
    assert abs(usual.mean() - HOUR / 2) < 4 * HOUR / np.sqrt(12 * usual.size)
    assert np.unique(usual).size == usual.size


def test_an_early_logon_boots_the_clone():
    line = timeline(logon_at="00:05", logon_spread="1 min", storms={"boot_window": "12 h"}, absence=0.0)
    for clone in range(line.clones):
        p = line.presence(clone)
        assert p.boots_s[0] <= p.session_start_s[0] < 20 * 60


def test_a_clone_takes_part_in_each_storm_within_its_window():
    storms = {
        "feature_update": "2026-02-01",
        "definitions_window": "1 h",
        "patch_window": "4 h",
        "av_full_window": "2 h",
    }
    line = timeline(storms=storms)
    spread = dict(zip(EVENT_KINDS, (4 * HOUR, HOUR, 4 * HOUR, 2 * HOUR), strict=True))
    assert line.windows_s == spread
    for kind in EVENT_KINDS:
        times, sizes = line.shared.event(kind)
        mine = [line.events(clone).event(kind) for clone in range(40)]
        assert all(np.array_equal(m[1], sizes[: m[1].size]) for m in mine)
        assert all(m[1].size >= sizes.size - 1 for m in mine)  # the last may come after the end
        first = np.array([m[0][0] for m in mine])
        assert (first >= times[0]).all()
        assert (first < times[0] + spread[kind]).all()
        assert np.unique(first).size == 40
        assert abs((first - times[0]).mean() - spread[kind] / 2) < 4 * spread[kind] / np.sqrt(12 * 40)
    delay = {kind: (line.events(3).event(kind)[0][0] - line.shared.event(kind)[0][0]) / spread[kind] for kind in spread}
    assert len({round(share, 9) for share in delay.values()}) == len(EVENT_KINDS)  # each kind draws for itself
    overlapping = timeline(storms={"definitions_window": "1 d"}).events(0)
    assert (np.diff(overlapping.event("definitions")[0]) >= 0).all()
    assert overlapping.event("definitions")[0].max() < 60 * DAY_S


def test_patches_are_installed_before_their_restart():
    line = timeline(days=30)
    installed, restart = line.shared.event("patches")[0], line.restarts_s[1:]
    assert installed.size == restart.size == 1
    for clone in range(line.clones):
        assert line.events(clone).event("patches")[0][0] < line.presence(clone).boots_s[1]


def test_a_timeline_is_its_scenario_seed_and_replicate():
    base, again = timeline(), timeline()
    assert on_clones(base) == on_clones(again)
    assert np.array_equal(base.presence(7).boots_s, again.presence(7).boots_s)
    for other in (timeline(seed=0), timeline(replicate=1)):
        assert on_clones(base) != on_clones(other)
        assert not np.array_equal(base.presence(7).boots_s, other.presence(7).boots_s)


def test_what_users_do_is_keyed_by_the_pool():
    key = timeline().shared.key
    assert {timeline(assignment=how).events(clone).key for how in ("dedicated", "floating") for clone in (0, 7)} == {
        key
    }
    assert len({key, timeline(seed=0).shared.key, timeline(replicate=1).shared.key}) == 3


def test_more_clones_change_no_dedicated_one():
    few, many = timeline(clones=10), timeline(clones=40)
    for clone in range(10):
        one, other = few.presence(clone), many.presence(clone)
        assert np.array_equal(one.session_start_s, other.session_start_s)
        assert np.array_equal(one.boots_s, other.boots_s)
        assert np.array_equal(few.events(clone).event("definitions")[0], many.events(clone).event("definitions")[0])


def test_clones_without_users():
    line = timeline(clones=5, count=2)
    p = line.presence(4)
    assert p.session_start_s.size == 0
    assert p.boots_s.size == 3  # the first one, and after two months' patches
    empty = timeline(clones=5, count=0)
    assert on_clones(empty) == []
    assert empty.peak_users == 0


def test_a_timeline_travels_to_other_processes():
    line = timeline()
    other = pickle.loads(pickle.dumps(line))
    assert on_clones(other) == on_clones(line)
    assert np.array_equal(other.presence(3).boots_s, line.presence(3).boots_s)


def test_clones_lie_on_luns_and_hosts():
    line = timeline(clones=40, luns={"count": 4})
    assert np.bincount(line.lun).tolist() == [10, 10, 10, 10]
    for lun in range(4):
        assert len(set(line.hosts.first[line.lun == lun])) == 8
    filled = timeline(clones=40, luns={"count": 4, "placement": "per-lun", "clones_per_lun": 16})
    assert np.bincount(filled.lun).tolist() == [16, 16, 8]
    for placement in ("free-space", "overcommit"):
        assert np.bincount(timeline(clones=40, luns={"count": 4, "placement": placement}).lun).tolist() == [10] * 4


def test_hosts_over_time():
    moves = Hosts(
        first=np.array([0, 1, 2], np.int32),
        clone=np.array([0, 2, 2], np.int32),
        time_s=np.array([5.0, 1.0, 9.0]),
        host=np.array([7, 8, 9], np.int32),
    )
    times = np.array([0.0, 1.0, 5.0, 8.9, 9.0])
    assert moves.at(0, times).tolist() == [0, 0, 7, 7, 7]
    assert moves.at(1, times).tolist() == [1] * 5
    assert moves.at(2, times).tolist() == [2, 8, 8, 8, 9]
    assert timeline().hosts.at(9, times).tolist() == [timeline().hosts.first[9]] * 5


def test_it_is_quick():
    """1,000 users for 90 days; the limits are five times what it takes."""
    started = time.process_time()
    line = timeline(clones=1000, days=90, assignment="floating")
    drawn = time.process_time()
    for clone in range(0, 1000, 5):
        line.presence(clone)
    assert drawn - started < 1.0
    assert (time.process_time() - drawn) / 200 < 0.3e-3
