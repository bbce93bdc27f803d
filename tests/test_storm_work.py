"""Storms as work: the kernel against exact fractions, SimPy and closed forms; how long a pool's storms last."""

import math
import time
from fractions import Fraction

import numpy as np
import pytest
import reference_work
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.pool.storm_frame import STORMS, storm_frame, storm_of
from clonesim.pool.storm_work import WORK, serve_work, storm_load, task
from clonesim.scenario import catalog, load_scenario

JOB = st.tuples(*(st.integers(*ends) for ends in ((0, 30), (0, 2), (0, 200), (1, 20), (0, 90), (1, 9))))


@settings(max_examples=300, deadline=None)
@given(
    jobs=st.lists(JOB, min_size=1, max_size=12),
    at_a_time=st.one_of(st.none(), st.integers(1, 4)),
    capacity=st.one_of(st.none(), st.integers(1, 60)),
    then=st.booleans(),
)
def test_work_equals_exact_fractions(jobs, at_a_time, capacity, then):
    jobs = [(*job[:4], *(job[4:] if then else (0, 0))) for job in jobs]
    ready, lane, ios, shortest, then_ios, then_shortest = (np.array(column) for column in zip(*jobs, strict=True))
    found = serve_work(
        ready,
        ios,
        shortest,
        at_a_time,
        np.inf if capacity is None else capacity,
        lane=lane,
        then_ios=then_ios,
        then_shortest_s=then_shortest,
    )
    expected, peak = reference_work.work(jobs, at_a_time, None if capacity is None else Fraction(capacity))
    assert np.allclose(found.start_s, [float(row[0]) for row in expected], rtol=1e-9, atol=1e-9)
    assert np.allclose(found.end_s, [float(row[1]) for row in expected], rtol=1e-9, atol=1e-9)
    assert np.allclose(found.then_s, [float(row[2]) for row in expected], rtol=1e-9, atol=1e-9)
    assert capacity is None or peak <= capacity


def test_places_equal_simpy():
    """Without an array: a resource of so many places in SimPy, then a delay outside it."""
    import simpy

    rng = np.random.default_rng(1)
    ready, shortest = np.round(rng.random(300) * 100, 3), np.round(rng.exponential(8, 300) + 0.1, 3)
    env, ends, lasts = simpy.Environment(), np.zeros(300), np.zeros(300)
    places = simpy.Resource(env, 7)

    def desktop(k):
        yield env.timeout(ready[k])
        with places.request() as mine:
            yield mine
            yield env.timeout(shortest[k])
        ends[k] = env.now
        yield env.timeout(5.0)
        lasts[k] = env.now

    for k in range(300):
        env.process(desktop(k))
    env.run()
    found = serve_work(ready, 0, shortest, 7, then_shortest_s=5.0)
    assert np.allclose(found.end_s, ends)
    assert np.allclose(found.then_s, lasts)
    assert found.end_s.max() > ready.max() + 50  # places were short


def test_equal_desktops_are_done_in_batches():
    found = serve_work(np.zeros(500), 7800, 78, 50)
    assert found.end_s.tolist() == pytest.approx([78.0 * (1 + k // 50) for k in range(500)])
    slow = serve_work(np.zeros(500), 7800, 78, 50, capacity_iops=2500)  # 50 I/Os a second each instead of 100
    assert slow.end_s.tolist() == pytest.approx([156.0 * (1 + k // 50) for k in range(500)])
    assert slow.done_s(0.95) == pytest.approx(1560)
    assert slow.done_s(0.5) == pytest.approx(780)
    assert (slow.most, serve_work(np.zeros(9), 1, 1, None).most) == (50, 9)


def test_a_saturated_array_serves_what_it_is_asked_for_and_no_less():
    """As long as all could use more, the last is done when all I/Os are: whatever the order, places and sizes."""
    rng = np.random.default_rng(2)
    for at_a_time in (1, 3, None):
        ios = rng.integers(1, 1000, 200)
        ready = rng.random(200) * 0.5 * ios.sum() / 1000
        ready[np.argmax(ios)] = 0.0
        ready[:20] = 0.0
        found = serve_work(ready, ios, 1e-6, at_a_time, 1000.0)
        arrived = np.cumsum(ios[np.argsort(ready)]) / 1000
        busy = (arrived[:-1] >= np.sort(ready)[1:]).all()  # the array never runs dry
        assert busy
        assert found.end_s.max() == pytest.approx(ios.sum() / 1000)
        assert (found.end_s - found.start_s >= ios / 1000 - 1e-9).all()


def test_small_needs_leave_their_share_to_others():
    found = serve_work(np.zeros(3), [10, 1000, 1000], [10, 1, 1], None, 101.0)  # 1, 50 and 50 I/Os a second
    late = 10 + (1000 - 500) / 50.5
    assert found.end_s.tolist() == pytest.approx([10.0, late, late])


def test_lanes_have_places_of_their_own():
    found = serve_work(np.zeros(6), 0, 10, 1, lane=[0, 0, 0, 1, 1, 2])
    assert found.end_s.tolist() == [10, 20, 30, 10, 20, 10]


def test_no_desktops():
    found = serve_work([], 1, 1, 5)
    assert (found.start_s.size, found.most, found.done_s(0.95)) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ready_s": [-1.0]}, r"ready_s=-1\.0: finite times from 0 up are needed\."),
        ({"ready_s": [[0.0]]}, r"ready_s=2: an array of one dimension is needed\."),
        ({"ios": -1}, r"ios=-1\.0: finite numbers from 0 up are needed\."),
        ({"ios": [1, 2]}, r"ios=\(2,\): one number, or one for each of the 1 desktops, is needed\."),
        ({"shortest_s": 0}, r"shortest_s=0\.0: times above 0 are needed\."),
        ({"at_a_time": 0}, r"at_a_time=0: a whole number from 1 up, or None for no limit, is needed\."),
        ({"capacity_iops": 0.0}, r"capacity_iops=0\.0: a number above 0 is needed\."),
        ({"lane": [-1]}, r"lane=\[-1\]: 1 whole numbers from 0 up are needed\."),
        ({"then_ios": 5}, r"then_shortest_s=0\.0: a second step with I/Os takes time\. Give a time above 0\."),
    ],
)
def test_what_cannot_be_served_is_refused(changes, message):
    usual = {"ready_s": [0.0], "ios": 1, "shortest_s": 1, "at_a_time": 1}
    with pytest.raises(ParameterError, match=f"^{message}$"):
        serve_work(**{**usual, **changes})


def test_work_of_the_catalog():
    boot = task("boot")
    assert boot.ios == 7800 == math.floor(15_000 * 11 * 60 / 1270 / 100 + 0.5) * 100
    assert boot.shortest_s == boot.ios / 100
    assert boot.read_bytes == boot.reads * 36 * 1024
    assert boot.write_bytes == boot.writes * 10 * 1024
    assert task("provisioning").ios == 2 * boot.ios
    assert task("recompose").ios == task("provisioning").ios
    assert task("refresh").shortest_s == task("recompose").shortest_s / 2
    for kind in WORK:
        assert task(kind).ios > 0
    with pytest.raises(ParameterError, match=r"^kind='lunch': allowed are boot, logon, "):
        task("lunch")


def test_work_follows_the_scenario():
    half = load_scenario(storms={"definitions_size": 55_000_000, "patch_factor": 3.0})
    assert task("definitions", half).write_bytes == 55_000_000
    assert task("patches", half).write_bytes == 6e9
    xp = load_scenario("windows-xp-office")
    assert task("patches", xp).write_bytes == pytest.approx(2e9 * 40 / 1000)
    assert task("boot", xp) == task("boot")


def test_hosts_caches_take_reads_off_the_array():
    boot = task("boot")
    none = load_scenario(array={"read_cache": 0}, hosts={"read_cache": 0})
    warm = load_scenario(array={"read_cache": 0}, hosts={"read_cache": "2 GiB"})
    assert storm_load(none, boot).ios == (boot.ios,)
    assert boot.writes <= storm_load(warm, boot).ios[0] < 0.95 * boot.ios
    assert storm_load(warm, boot, replica=False).ios == (boot.ios,)
    few, more = (
        load_scenario(array={"media": "hdd-15k", "disks": disks, "read_cache": 0}, hosts={"read_cache": 0})
        for disks in (12, 24)
    )
    assert 1 < storm_load(more, boot).capacity_iops / storm_load(few, boot).capacity_iops < 2.5


def frame(capacity_iops=None, **tables):
    found = storm_frame(load_scenario(**tables), capacity_iops=capacity_iops)
    return found.set_index("kind")


def test_storms_of_the_default_pool():
    found = frame(capacity_iops=1e9)
    assert tuple(found.index) == STORMS
    assert found.loc["provisioning", "t100_s"] == pytest.approx(math.ceil(500 / 8) * 240)
    assert found.loc["recompose", "t100_s"] == pytest.approx(math.ceil(500 / 12) * 300)
    assert found.loc["refresh", "t100_s"] == pytest.approx(math.ceil(500 / 12) * 150)
    # 50 at a time boot in 78 s; the users of the last ones then log on in 20 s
    assert found.loc["cold-start", "t100_s"] == pytest.approx(10 * 78 + 20)
    assert found.loc["cold-start", "t95_s"] == pytest.approx(10 * 78 + 20)
    assert found.loc["cold-start", "t50_s"] == pytest.approx(5 * 78 + 20)
    assert found.loc["boot", "t100_s"] == pytest.approx(600 * 499 / 500 + 78)
    # 63 desktops over 7 hosts: detected after 30 s, 4 s for the lock, boot, logon; all at the same time
    assert found.loc["host-failure", "t100_s"] == pytest.approx(30 + 4 + 78 + 20)
    assert found.loc["host-failure", "desktops"] == 63
    assert found.loc["recompose", "reads"] == 500 * 14040
    assert found["limit"].to_dict() == {
        **dict.fromkeys(("boot", "logon", "definitions", "patches"), "spread"),
        **dict.fromkeys(("provisioning", "recompose", "refresh", "cold-start", "maintenance"), "concurrency"),
        "host-failure": "desktop",
    }


def test_a_slow_array_makes_storms_longer():
    """500 boots of 7,800 I/Os and 500 logons of 510 at 1,000 a second, less what the hosts' caches take."""
    tables = {"array": {"read_cache": 0}, "hosts": {"read_cache": 0}}
    found = frame(1000.0, **tables)
    assert found.loc["cold-start", "limit"] == "array"
    assert found.loc["cold-start", "t100_s"] == pytest.approx(500 * (7800 + 510) / 1000, rel=0.01)
    assert found.loc["boot", "limit"] == "array"
    assert found.loc["boot", "t100_s"] == pytest.approx(500 * 7800 / 1000, rel=0.01)
    assert found.loc["patches", "t100_s"] == pytest.approx(500 * 122_070 / 1000, rel=0.01)


def test_the_limits_of_the_platform_count():
    found = frame(1e9, platform={"power": 10, "provisioning": 100}, storms={"restart": "power-cycle"})
    assert found.loc["cold-start", "t100_s"] == pytest.approx(50 * 78 + 20)
    assert found.loc["boot", "t100_s"] == pytest.approx(50 * (78 + 15), rel=0.01)  # power-off first
    assert found.loc["provisioning", "t100_s"] == pytest.approx(5 * 240)
    assert found["at_a_time"].isna().to_dict()["logon"]


def test_storms_that_a_pool_has_not():
    idle = load_scenario(workload={"name": "idle"}, hosts={"count": 1}, pool={"clones": 7})
    kinds = storm_frame(idle)["kind"].tolist()
    assert not {"logon", "host-failure", "maintenance"} & set(kinds)
    assert storm_of(idle, "cold-start").then is None
    with pytest.raises(ParameterError, match=r"^kinds='lunch': allowed are boot, "):
        storm_frame(idle, ["lunch"])


def test_users_of_multi_session_hosts_all_log_on():
    servers = load_scenario(pool={"clones": 10}, users={"users_per_clone": 20}, guest={"name": "windows-server"})
    assert storm_of(servers, "cold-start").then.ios == 20 * task("logon").ios


def test_it_is_quick():
    """10,000 desktops at once on one array; the limit is several times what it takes."""
    serve_work([0.0], 1, 1, 1)
    ready = np.random.default_rng(0).random(10_000) * 600
    started = time.process_time()
    serve_work(ready, 7800, 78, None, 50_000)
    assert time.process_time() - started < 3.0


def test_limits_are_views():
    defaults = [catalog.value("operations", f"concurrency.{name}") for name in ("provisioning", "maintenance", "power")]
    assert defaults == [8, 12, 50]
    platform = load_scenario().platform
    assert [platform.provisioning, platform.maintenance, platform.power] == defaults
