"""Hosts that fail and are maintained, and restarts by the hypervisor: who runs where, who is down, who takes locks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_tools import small

from clonesim.errors import ParameterError, ScenarioError
from clonesim.guest.presence import Presence
from clonesim.keys import generator
from clonesim.lun.operations import KINDS, LOCK_BREAK, POWER_OFF, POWER_ON, VMOTION
from clonesim.pool.calendar import DAY_S
from clonesim.pool.moves import FAILURE, MAINTENANCE, in_turn
from clonesim.pool.power import CYCLED, FAILED, Restarts, interrupted
from clonesim.pool.simulate import simulate
from clonesim.pool.storm_frame import outage_frame
from clonesim.pool.storm_work import task
from clonesim.pool.timeline import Timeline, after_logoff
from clonesim.pool.vmotion import vmotion_of
from clonesim.scenario import commented, load_scenario

HOUR = 3600.0
DETECTED, LOCK, BOOT, REPAIR = 30.0, 4.0, 78.0, 4 * HOUR


def scenario(clones=40, days=10, hosts=8, users=None, **storms):
    return load_scenario(
        "windows-11-office",
        pool={"clones": clones, "days": days},
        hosts={"count": hosts},
        users=users or {},
        storms=storms,
    )


def timeline(seed=1, replicate=0, **changes):
    return Timeline.of(scenario(**changes), seed, replicate)


def places(line, time_s):
    return np.array([line.hosts.at(clone, np.array([time_s]))[0] for clone in range(line.clones)])


def operations(line, kind):
    return line.operations.take(line.operations.kind == kind)


def test_without_storms_of_hosts_nothing_is_different():
    """Boots are the times of the restarts, each delayed by the clone's own draw and by its users."""
    line = timeline(clones=30, days=60, reboot="weekly")
    assert line.operations.time_s.size == line.restarts.clone.size == len(line.outages) == 0
    assert line.hosts.clone.size == 0
    for clone in range(30):
        p = line.presence(clone)
        delay = generator(1, 0, clone, "clone:boots").random(line.restarts_s.size)
        wanted = line.restarts_s + delay * line.boot_window_s
        boots = after_logoff(wanted, p.session_start_s, p.session_end_s)
        boots[0] = min(wanted[0], p.session_start_s[0])
        assert np.array_equal(p.boots_s, np.unique(boots[boots < 60 * DAY_S]))
        rows = line.session_clone == clone
        assert np.array_equal(p.session_start_s, np.sort(line.sessions.start_s[rows]))


def test_a_failed_host_s_desktops_are_restarted_on_the_others():
    line = timeline(clones=160, host_failures=["2026-01-07"])
    fails = 2 * DAY_S + 10 * HOUR
    (outage,) = line.outages
    assert (outage.cause, outage.down_s, outage.up_s) == (FAILURE, fails, fails + REPAIR)
    before, after = places(line, fails - 1), places(line, fails)
    gone = np.flatnonzero(before == outage.host)
    assert gone.size == outage.desktops == (line.hosts.first == outage.host).sum() > 18
    assert np.array_equal(np.flatnonzero(before != after), gone)
    assert outage.host not in after
    load = np.bincount(after, minlength=8)[[host for host in range(8) if host != outage.host]]
    assert load.max() - load.min() <= 1
    assert np.array_equal(places(line, 9 * DAY_S), after)  # nobody goes back
    breaks, ons = operations(line, LOCK_BREAK), operations(line, POWER_ON)
    assert line.operations.time_s.size == 2 * gone.size
    for found, at in ((breaks, fails + DETECTED), (ons, fails + DETECTED + LOCK)):
        assert sorted(found.clone.tolist()) == gone.tolist()
        assert np.array_equal(found.host, after[found.clone])  # by the new host
        assert (found.time_s == at).all()  # fewer than 32 a host: all at once
    assert outage.done_s == pytest.approx(fails + DETECTED + LOCK + BOOT)


def test_the_table_of_outages_counts_users_who_lost_their_desktop():
    tables = {"clones": 80, "host_failures": ["2026-01-07"], "maintenance": ["2026-01-09"]}
    lines = [timeline(replicate=k, **tables) for k in range(2)]
    frame, calm = outage_frame(lines), [timeline(replicate=k, clones=80) for k in range(2)]
    assert frame["replicate"].tolist() == [0] * 9 + [1] * 9
    assert (frame["down_s"] < frame["up_s"]).all()
    failed = frame[frame["cause"] == FAILURE]
    for row, line in zip(failed.itertuples(), calm, strict=True):
        dead = np.flatnonzero(line.hosts.first == row.host)
        before = [line.presence(c) for c in dead]
        users = sum(((p.session_start_s < row.down_s) & (p.session_end_s > row.down_s)).sum() for p in before)
        assert (row.desktops, row.users) == (dead.size, users)
        assert row.users_t95_s == pytest.approx(DETECTED + LOCK + BOOT)
    kept = frame[frame["cause"] == MAINTENANCE]
    assert (kept["users"] == 0).all()
    assert kept["users_t95_s"].isna().all()


def test_scenarios_with_such_days_read_back_from_their_text(tmp_path):
    given_ = scenario(host_failures=["2026-01-07", "2026-01-06"], maintenance=["2026-01-09"], restart="power-cycle")
    path = tmp_path / "own.toml"
    path.write_text(commented(given_), encoding="utf-8")
    assert load_scenario(path) == given_
    assert [str(day) for day in given_.storms.host_failures] == ["2026-01-06", "2026-01-07"]


def test_desktops_of_a_failed_host_boot_once_more_and_their_users_log_on_again():
    calm, line = timeline(clones=80), timeline(clones=80, host_failures=["2026-01-07"])
    fails = 2 * DAY_S + 10 * HOUR
    up = fails + DETECTED + LOCK + BOOT
    gone, again = set(line.restarts.clone.tolist()), 0
    assert 5 < len(gone) < 20
    for clone in range(80):
        p, before = line.presence(clone), calm.presence(clone)
        if clone not in gone:
            assert np.array_equal(p.boots_s, before.boots_s)
            assert np.array_equal(p.session_start_s, before.session_start_s)
            continue
        assert np.array_equal(p.boots_s, np.union1d(before.boots_s, [fails + DETECTED + LOCK]))
        there = (before.session_start_s < fails) & (before.session_end_s > up)
        again += there.sum()
        assert (p.session_end_s == fails).sum() == there.sum()
        assert np.isclose(p.session_start_s, up).sum() == there.sum()
        assert not ((p.session_start_s < up - 1) & (p.session_end_s > fails)).any()
        lost = np.clip(np.minimum(before.session_end_s, up) - np.maximum(before.session_start_s, fails), 0, None).sum()
        hours = (p.session_end_s - p.session_start_s).sum()
        assert hours == pytest.approx((before.session_end_s - before.session_start_s).sum() - lost)
    assert again > 3


def test_a_desktop_that_is_down_does_not_restart_inside():
    tables = {"clones": 120, "reboot": "daily", "boot_window": "5 min"}
    calm = timeline(**tables)
    line = timeline(**tables, host_failures=["2026-01-07"], host_failure_at="03:01")
    fails = 2 * DAY_S + 3 * HOUR + 60
    missed = 0
    for clone in line.restarts.clone.tolist():
        boots, before = line.presence(clone).boots_s, calm.presence(clone).boots_s
        down = (before >= fails) & (before < fails + DETECTED + LOCK + BOOT)
        missed += down.sum()
        assert np.array_equal(boots, np.union1d(before[~down], [fails + DETECTED + LOCK]))
    assert missed > 2


def test_a_host_restarts_so_many_at_a_time():
    line = timeline(clones=700, hosts=2, days=2, host_failures=["2026-01-05"])
    start = np.unique(line.restarts.start_s)
    assert line.restarts.clone.size == (line.hosts.first == line.outages[0].host).sum() > 320
    assert np.diff(start).min() > 1
    assert (np.bincount(np.searchsorted(start, line.restarts.start_s)) <= 32).all()
    assert start.size == 11


def test_failed_hosts_are_drawn_and_spread():
    hosts = [timeline(seed=seed, clones=8, days=1, host_failures=["2026-01-05"]).outages[0].host for seed in range(200)]
    counts = np.bincount(hosts, minlength=8)
    assert ((counts - 25) ** 2 / 25).sum() < 24.3  # chi square, 7 degrees, 99.9 %


def test_one_after_another():
    """The first host is back, empty, when the second one fails: it takes what makes the two even, or is the one."""
    again = 0
    for seed in range(20):
        line = timeline(seed=seed, clones=40, hosts=3, host_failures=["2026-01-07", "2026-01-08"])
        first, second = line.outages
        assert first.up_s < second.down_s
        load = np.bincount(places(line, second.down_s), minlength=3)
        assert (load[second.host], load.sum()) == (0, 40)
        if second.host == first.host:
            assert second.desktops == 0
            again += 1
        else:
            assert load[first.host] == 20
    assert 0 < again < 20


def test_the_last_host_may_not_fail(monkeypatch):
    from clonesim.scenario import catalog

    group = catalog.group

    def long_repair(topic, name):
        found = group(topic, name)
        if (topic, name) == ("operations", "failure"):
            return {**found, "repair": type(found["repair"])(**{**_values(found["repair"]), "default": 10 * DAY_S})}
        return found

    monkeypatch.setattr(catalog, "group", long_repair)
    line = timeline(clones=12, hosts=3, host_failures=["2026-01-07", "2026-01-08"])
    assert len({outage.host for outage in line.outages}) == 2
    assert len(set(places(line, 8 * DAY_S))) == 1
    message = (
        r"^storms\.host_failures='day 4': a failure needs another host that is up, and there is none on this day\. "
        r"Leave that day out, choose one after the repair, or add hosts\.$"
    )
    with pytest.raises(ParameterError, match=message):
        timeline(clones=12, hosts=3, host_failures=["2026-01-07", "2026-01-08", "2026-01-09"])


def _values(parameter):
    return {name: getattr(parameter, name) for name in parameter.__slots__}


def test_maintenance_empties_one_host_after_the_other():
    line = timeline(clones=100, maintenance=["2026-01-07"])
    starts = 2 * DAY_S + 20 * HOUR
    assert [outage.host for outage in line.outages] == list(range(8))
    assert {outage.cause for outage in line.outages} == {MAINTENANCE}
    moved, each = operations(line, VMOTION), 2.0 + vmotion_of(scenario()).seconds
    assert line.operations.time_s.size == moved.time_s.size
    at = starts
    for outage in line.outages:
        batches = -(-outage.desktops // 8)
        assert outage.down_s == pytest.approx(at + batches * each)
        assert outage.up_s == pytest.approx(outage.down_s + 600)
        at = outage.up_s
        for time_s in np.linspace(outage.down_s, outage.up_s - 1, 5):
            assert outage.host not in places(line, time_s)
        while_down = (moved.time_s > outage.down_s) & (moved.time_s < outage.up_s)
        assert not while_down.any()  # the next host is emptied when this one is back
    evened = np.bincount(places(line, starts + 10 * HOUR), minlength=8)
    assert (evened.sum(), evened.max() - evened.min()) == (100, 1)
    for clone, time_s, host in zip(moved.clone.tolist(), moved.time_s.tolist(), moved.host.tolist(), strict=True):
        around = line.hosts.at(clone, np.array([np.nextafter(time_s, 0), time_s]))
        assert around[1] == host != around[0]
    assert all(np.array_equal(line.presence(c).boots_s, timeline(clones=100).presence(c).boots_s) for c in (0, 7, 99))


def test_no_host_has_more_vmotions_than_allowed():
    rng = np.random.default_rng(3)
    source = rng.integers(0, 5, 200)
    target = (source + rng.integers(1, 5, 200)) % 5
    end = in_turn(source, target, 4, 5, 10.0)
    for time_s in np.unique(end) - 5.0:
        under_way = (end - 10.0 <= time_s) & (end > time_s)
        for host in range(5):
            assert ((source == host) | (target == host))[under_way].sum() <= 4
    one = in_turn(np.zeros(21, np.int64), 1 + np.arange(21) % 4, 8, 5, 10.0)
    assert one.tolist() == [10.0] * 8 + [20.0] * 8 + [30.0] * 5


def test_a_failure_ends_the_maintenance():
    line = timeline(clones=200, maintenance=["2026-01-07"], maintenance_at="09:50", host_failures=["2026-01-07"])
    fails = 2 * DAY_S + 10 * HOUR
    kinds = [outage.cause for outage in line.outages]
    assert kinds.count(FAILURE) == 1
    assert kinds.count(MAINTENANCE) < 8
    assert operations(line, VMOTION).time_s.max() < fails
    failed = next(outage for outage in line.outages if outage.cause == FAILURE)
    rebooting = [outage.host for outage in line.outages if outage.cause == MAINTENANCE and outage.up_s > fails]
    after = places(line, fails)
    assert not {failed.host, *rebooting} & set(after.tolist())


def test_power_cycles_go_through_the_limit_of_the_platform():
    tables = {"clones": 300, "days": 3, "restart": "power-cycle", "reboot": "daily", "boot_window": "1 min"}
    line, inside = timeline(**tables), timeline(**(tables | {"restart": "guest"}))
    off, on = operations(line, POWER_OFF), operations(line, POWER_ON)
    assert set(line.operations.kind.tolist()) == {POWER_OFF, POWER_ON}
    assert on.time_s.size == off.time_s.size + 300  # nobody was on before the first boot
    every = line.restarts
    for time_s in np.arange(0, 3 * DAY_S, 30.0):
        under_way = (every.start_s <= time_s) & (every.up_s > time_s)
        assert under_way.sum() <= 50
    night = (off.time_s > DAY_S) & (off.time_s < 2 * DAY_S)
    start = np.sort(off.time_s[night])
    usual = start[start < DAY_S + 4 * HOUR]
    assert usual.size > 250
    assert usual[50] - usual[0] >= 15 + BOOT - 1e-6  # the 51st waits for the first
    assert usual[-1] - usual[0] > 60  # longer than the window
    for clone in range(0, 300, 7):
        p, q = line.presence(clone), inside.presence(clone)
        assert p.boots_s.size == q.boots_s.size
        assert (p.boots_s[1:] >= q.boots_s[1:] + 15 - 1e-6).all()  # off first, and in turn
        mine = every.take(every.clone == clone)
        for down, up in zip(mine.down_s, mine.up_s, strict=True):
            assert not ((p.session_start_s < up) & (p.session_end_s > down)).any()


def test_a_slow_array_makes_power_cycles_longer():
    slow = load_scenario(
        pool={"clones": 100, "days": 1},
        storms={"restart": "power-cycle", "boot_window": "0 s"},
        array={"media": "hdd-7k", "disks": 6, "read_cache": 0},
    )
    line, fast = Timeline.of(slow, 1), timeline(clones=100, days=1, restart="power-cycle", boot_window="0 s")
    assert fast.restarts.up_s.max() == pytest.approx(2 * BOOT)
    assert line.restarts.up_s.max() > 4 * BOOT
    late = [line.presence(clone).session_start_s.min(initial=np.inf) for clone in range(100)]
    assert (np.array(late) >= line.restarts.up_s[np.argsort(line.restarts.clone)] - 1e-6).all()


SECONDS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=6)


@given(spans=SECONDS, downs=SECONDS)
def test_users_are_logged_on_whenever_their_desktop_is_up(spans, downs):
    """Second by second: on after an outage if and only if on without it, and up."""
    ends, downs = [], sorted(downs)
    for start, length in sorted(spans):
        ends.append((start + 3 * len(ends) * 20, start + 3 * len(ends) * 20 + length))
    borders, last = [], 0
    for gap, length in downs:
        borders.append((last + gap, last + gap + length))
        last += gap + length
    start, end = (np.array([span[k] for span in ends], float) for k in (0, 1))
    down, up = (np.array([border[k] for border in borders], float) for k in (0, 1))
    n = start.size
    users = np.arange(n, dtype=np.int64) % 2
    p = Presence(np.zeros(1), start, end, users, users + 1.0, np.zeros(n, np.bool_))
    q = interrupted(p, down, up, np.array([5.0]))
    assert q.boots_s.tolist() == [5.0]
    for second in np.arange(0.5, 400, 1.0):
        works = not ((down <= second) & (up > second)).any()
        for user in (0, 1):
            before = ((start <= second) & (end > second) & (users == user)).any()
            after = (q.session_start_s <= second) & (q.session_end_s > second) & (q.session_user == user)
            assert after.any() == (before and works)
            assert after.sum() <= 1
            assert (q.session_intensity[after] == user + 1.0).all()
    for user in (0, 1):
        assert q.first_logon[q.session_user == user].sum() == (q.session_user == user).any()


RESTARTS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60), st.integers(1, 12), st.booleans()), max_size=8)


@given(rows=RESTARTS)
def test_settled_restarts(rows):
    """No clone is restarted twice at a time; every failure counts, and power-cycles of desktops that are up."""
    failures = {(clone, down) for clone, down, _, failed in rows if failed}
    rows = [row for row in rows if row[3] or (row[0], row[1]) not in failures]
    rows = list({(row[0], row[1]): row for row in rows}.values())
    clone, down, length = (np.array([row[k] for row in rows], float) for k in range(3))
    cause = np.array([FAILED if row[3] else CYCLED for row in rows], np.int8)
    given_ = Restarts(clone.astype(np.int64), down, down, down + length / 2, down + length, cause)
    found = given_.settled(50.0)
    assert (np.lexsort((found.down_s, found.clone)) == np.arange(found.clone.size)).all()
    same = found.clone[1:] == found.clone[:-1]
    assert (found.up_s[:-1][same] <= found.down_s[1:][same]).all()
    assert (found.down_s < 50).all()
    expected = []
    for one in (0, 1):
        until = 0.0  # down until then
        for row in sorted((row for row in rows if row[0] == one and row[1] < 50), key=lambda row: row[1]):
            if row[3] or row[1] >= until:
                expected.append(row[:2])
                until = row[1] + row[2]
    assert list(zip(found.clone.tolist(), found.down_s.tolist(), strict=True)) == expected
    assert {key for key in failures if key[1] < 50} <= set(expected)
    assert (found.boot_s[found.booted] < found.up_s[found.booted]).all()


def test_hosts_of_many_clones_are_those_of_each():
    line = timeline(clones=60, host_failures=["2026-01-07"], maintenance=["2026-01-09"])
    rng = np.random.default_rng(4)
    clones = rng.integers(0, 60, 3000)
    times = np.where(rng.random(3000) < 0.5, rng.choice(line.hosts.time_s, 3000), rng.random(3000) * 10 * DAY_S)
    each = [line.hosts.at(c, np.array([t]))[0] for c, t in zip(clones.tolist(), times.tolist(), strict=True)]
    assert line.hosts.of(clones, times).tolist() == each
    assert timeline(clones=60).hosts.of(clones, times).tolist() == timeline(clones=60).hosts.first[clones].tolist()


def test_operations_are_in_order_and_by_hosts_that_are_up():
    line = timeline(
        clones=120,
        days=9,
        restart="power-cycle",
        reboot="daily",
        host_failures=["2026-01-07", "2026-01-09"],
        maintenance=["2026-01-10"],
    )
    found = line.operations
    assert (np.diff(found.time_s) >= 0).all()
    assert {KINDS[k] for k in found.kind} == {"power-on", "power-off", "vmotion", "lock-break"}
    for outage in line.outages:
        while_down = (found.time_s >= outage.down_s) & (found.time_s < outage.up_s)
        assert not (found.host[while_down] == outage.host).any()
    for clone in range(0, 120, 11):
        assert (np.diff(line.presence(clone).boots_s) > 0).all()


def test_moves_are_their_scenario_seed_and_replicate():
    def key(**changes):
        line = timeline(clones=60, host_failures=["2026-01-07"], maintenance=["2026-01-09"], **changes)
        columns = (line.operations.time_s, line.operations.clone, line.operations.host, line.operations.kind)
        return tuple(column.tobytes() for column in columns)

    assert key() == key()
    assert len({key(), *(key(replicate=k) for k in range(1, 9))}) > 3


def test_growth_after_a_failure_comes_from_the_new_hosts():
    storms = {"host_failures": ["2008-01-08"], "host_failure_at": "09:00"}
    given_ = small(storms=storms, pool={"start": "2008-01-07"}, hosts={"count": 3}, workload={"intensity": 3.0})
    run, line = simulate(given_, seed=2, processes=1), Timeline.of(given_, 2)
    (outage,) = line.outages
    rows = run.increments
    assert (rows.loc[rows["time_s"] < outage.down_s, "host"] == outage.host).any()
    down = rows["time_s"].between(outage.down_s, np.inf)
    assert down.sum() > 5
    assert not (rows.loc[down, "host"] == outage.host).any()
    moved = run.growth[(run.growth["day"] == 2) & run.growth["clone"].isin(line.restarts.clone)]
    assert len(moved) == 2
    assert (moved["host"] != outage.host).all()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"storms": {"host_failures": ["2027-01-01"]}},
            r"storms\.host_failures=\['2027-01-01'\]: the pool is simulated for 90 days from 2026-01-05\. "
            r"Choose days within, or leave them out\.",
        ),
        (
            {"storms": {"maintenance": ["2026-01-04", "2026-01-05"]}},
            r"storms\.maintenance=\['2026-01-04'\]: the pool is simulated for 90 days from 2026-01-05\. "
            r"Choose days within, or leave them out\.",
        ),
        (
            {"storms": {"host_failures": ["2026-01-07"]}, "hosts": {"count": 1}},
            r"hosts\.count=1: desktops of a host that is down run on another one, and there is one host\. "
            r"Add hosts, or leave storms\.host_failures out\.",
        ),
        (
            {"storms": {"host_failures": "2026-01-07"}},
            r"storms\.host_failures='2026-01-07': a list of dates is needed\. Write \['2026-02-16'\]\.",
        ),
        (
            {"storms": {"maintenance": ["soon"]}},
            r"storms\.maintenance\[0\]='soon': a date is year, month and day\. Write for example 2026-01-05\.",
        ),
        ({"storms": {"restart": "off"}}, r"storms\.restart='off': allowed are guest, power-cycle\."),
        (
            {"platform": {"power": 0}},
            r"platform\.power=0: allowed are whole numbers from 1 to 10000\. The catalog's default is 50\.",
        ),
    ],
)
def test_what_cannot_be_is_refused(tables, message):
    with pytest.raises(ScenarioError, match=f"{message}$"):
        load_scenario(**tables)


def test_it_is_quick():
    """1,000 clones, 90 days of daily power-cycles; the limit is several times what it takes."""
    import time

    timeline(clones=4, days=1, restart="power-cycle")
    started = time.process_time()
    line = timeline(clones=1000, days=90, restart="power-cycle", reboot="daily", host_failures=["2026-02-02"])
    assert time.process_time() - started < 6.0
    assert task("boot").ios > 0
    assert line.operations.time_s.size > 150_000
