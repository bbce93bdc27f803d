"""Locks of a LUN on a loaded array: recounted by hand and in SimPy; heartbeats against drawn ones."""

import re

import numpy as np
import pytest
from reference_closed import simpy_closed

from clonesim.errors import ParameterError
from clonesim.lun import (
    KINDS,
    LockRequests,
    Operations,
    backing,
    heartbeat_frame,
    lock_frame,
    lock_requests,
    lock_traffic,
    operation_frame,
    run_locks,
    run_locks_loaded,
    run_retries,
)
from clonesim.lun.contend_kernel import back_off
from clonesim.lun.lock_model import DISTRIBUTIONS

MS, MINUTE, NS = 1_000_000, 60, 10**9
BUSY = {"tries": 8, "backoff": "2 ms", "ats_clusters": 4, "ats_affinity": 0.5, "ats_fallback_after": 3}


def some_operations(n=800, clones=30, hosts=6, seconds=180.0, seed=4):
    rng = np.random.default_rng(seed)
    time_s = np.sort(rng.random(n) * seconds)
    time_s[100:160] = time_s[100]
    kind = rng.choice([0, 0, 0, 1, 2, 3, 5], n).astype(np.int8)
    return Operations(time_s, rng.integers(0, clones, n), rng.integers(0, hosts, n).astype(np.int32), kind)


def requests_of(times, clone, host):
    n = len(times)
    columns = (np.array(times, float), np.array(clone, np.int64), np.array(host, np.int64), np.zeros(n, np.int8))
    return LockRequests(*columns, np.arange(n))


@pytest.mark.parametrize(
    ("where", "locking", "commands"),
    [("vmfs-3", "scsi-reservation", 4), ("vmfs-5", "ats-only", 1), ("vmfs-6", "ats-only", 1)],
)
def test_the_backing_decides_the_locking(where, locking, commands):
    found = lock_traffic(where)
    assert (found.model.name, found.commands) == (locking, commands)
    assert found.counts[:5] == (1, 10, 10, 1, 1)
    assert lock_traffic(where, "ats+scsi").model.reserves


def test_other_backings_take_no_lock_for_growth():
    nfs, rbd = lock_traffic("nfs"), lock_traffic("rbd")
    assert dict(zip(KINDS, nfs.counts, strict=True)) == dict.fromkeys(KINDS[:5], 0) | {
        "snapshot-create": 2,
        "snapshot-delete": 2,
        "file-create": 1,
        "file-delete": 1,
    }
    assert nfs.model.name == "fifo"
    assert nfs.commands == 0
    assert nfs.hold_ns == 10 * MS
    assert "growth takes no shared lock" in nfs.note
    assert not any(rbd.counts)
    ops = some_operations()
    assert lock_requests(ops, rbd).time_s.size == 0
    run = run_locks(lock_requests(ops, nfs), nfs, 6, 0.5)
    assert (run.waits.hold_ns == 10 * MS).all()  # its lock is not on the LUN: the LUN's latency is not its own
    assert not run.commands.any()
    assert (run.requests.kind == KINDS.index("snapshot-create")).all()


def test_parameters_replace_those_of_the_catalog():
    found = lock_traffic(
        "vmfs-3", parameters={"locks_per_power_on": 7, "commands": {"scsi-reservation": 5}, "tries": 9}, seed=2, lun=3
    )
    assert found.counts[KINDS.index("power-on")] == 7
    assert (found.commands, found.model.tries, found.model.seed, found.model.lun) == (5, 9, 2, 3)
    assert lock_traffic("vmfs-3", parameters={"ats_affinity": 0.1}).model == lock_traffic("vmfs-3").model


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("nfs", "ats"), "luns.locking='ats': nfs has no locks that hosts contend for. Leave it out."),
        (
            ("vmfs-3", "ats-only"),
            "luns.locking='ats-only': vmfs-3 has scsi-reservation, fifo, ats, ats+scsi. Its usual one is "
            "'scsi-reservation'.",
        ),
        (("vmfs-3", None, {"tries": 0}), "tries=0: allowed are whole numbers from 1 to 1000. The catalog's default"),
        (("vmfs-3", None, {"trys": 3}), "trys=3: locks have hold, locks_per_grow, tries, "),
    ],
)
def test_bad_locks_are_refused(bad, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        lock_traffic(*bad)


def test_operations_become_their_locks():
    ops, locks = some_operations(), lock_traffic("vmfs-3")
    rows = lock_requests(ops, locks)
    expected = [i for i, kind in enumerate(ops.kind) for _ in range({0: 1, 1: 10, 2: 10, 3: 1, 5: 2}[int(kind)])]
    assert rows.operation.tolist() == expected
    for name in ("time_s", "clone", "host", "kind"):
        assert getattr(rows, name).tolist() == getattr(ops, name)[expected].tolist()
    fewer = lock_requests(ops, locks, {"power-on": 0, "growth": 3})
    assert (fewer.kind == 1).sum() == 0
    assert (fewer.kind == 0).sum() == 3 * (ops.kind == 0).sum()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"boot": 1}, "counts.boot=1: operations are growth, power-on, power-off, vmotion, lock-break, "),
        ({"growth": -1}, "counts.growth=-1: a whole number from 0 up is needed."),
        ({"growth": 1.5}, "counts.growth=1.5: a whole number from 0 up is needed."),
    ],
)
def test_bad_counts_are_refused(counts, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        lock_requests(some_operations(), lock_traffic(), counts)


def test_unordered_operations_are_refused():
    ops = some_operations()
    with pytest.raises(ParameterError, match=r"^operations\.time_s=.*: row 1 is earlier than row 0 \(.*\)\. Sort them"):
        lock_requests(ops.take(np.array([5, 2])), lock_traffic())


@pytest.mark.parametrize("locking", ["fifo", "scsi-reservation", "ats", "ats+scsi"])
def test_a_run_recounted_from_simpy(locking):
    """Holds, commands per minute, counters, retries and operations, all in plain Python."""
    ops, latency_s, hosts = some_operations(seconds=60.0), 0.003, 6
    locks = lock_traffic("vmfs-5", locking, BUSY)
    commands = 1 if locking.startswith("ats") else 4
    rows = lock_requests(ops, locks)
    run = run_locks(rows, locks, hosts, latency_s)
    hold_ns = commands * 3 * MS
    columns = [column.tolist() for column in (rows.time_ns, rows.clone, rows.host)]
    asked, waits, retries, failed, met = simpy_closed(*columns, [hold_ns] * len(waits_of(rows)), hosts, locks.model)
    assert run.waits.asked_ns.tolist() == asked
    assert run.waits.wait_ns.tolist() == waits
    assert sum(retries) > 0 or locking == "fifo"

    per_minute = [0] * run.commands.size
    for i, (at, wait) in enumerate(zip(asked, waits, strict=True)):
        if not failed[i]:
            per_minute[(at + wait) // (60 * NS)] += commands
    for at, _ in met:
        per_minute[at // (60 * NS)] += 1
    assert run.commands.tolist() == per_minute
    assert sum(per_minute) == commands * (len(asked) - sum(failed)) + sum(retries)

    frame = lock_frame(run, lun=7, interval_s=20.0, end_s=80.0)
    assert set(frame["lun"]) == {7}
    reserves = [r >= locks.model.fallback_after for r in retries]
    spans = [(asked[i] + waits[i], hold_ns) for i in range(len(asked)) if reserves[i] and not failed[i]]
    for host in (-1, 0, 3):
        mine = [i for i in range(len(asked)) if host in (-1, columns[2][i])]
        for k, row in enumerate(frame[frame["host"] == host].itertuples()):
            inside = lambda t, k=k: k * 20 * NS <= t < (k + 1) * 20 * NS  # noqa: E731
            grants = [i for i in mine if not failed[i] and inside(asked[i] + waits[i])]
            assert row.reservations == sum(reserves[i] for i in grants)
            assert row.ats == sum(not reserves[i] for i in grants)
            own = set(mine)
            meets = [any(s <= t < s + d for s, d in spans) for t, i in met if i in own and inside(t)]
            assert row.conflicts == sum(meets)
            assert row.miscompares == len(meets) - sum(meets)
            made = sorted(waits[i] for i in mine if inside(asked[i]))
            assert row.requests == len(made)
            if made:
                assert row.wait_max_s == made[-1] / NS
                assert row.wait_p99_s == made[-(-len(made) * 99 // 100) - 1] / NS
            held = sum(
                max(0, min(asked[i] + waits[i] + hold_ns, (k + 1) * 20 * NS) - max(asked[i] + waits[i], k * 20 * NS))
                for i in mine
                if reserves[i] and not failed[i]
            )
            assert row.reserved_fraction == pytest.approx(held / (20 * NS), abs=1e-12)
            assert row.failed == sum(failed[i] for i in mine if inside(asked[i]))

    told = run_retries(run)
    for host in (-1, 2):
        mine = [retries[i] for i in range(len(asked)) if host in (-1, columns[2][i])]
        rows_of = told[told["host"] == host]
        assert dict(zip(rows_of["retries"], rows_of["requests"], strict=True)) == {r: mine.count(r) for r in set(mine)}

    kinds = operation_frame(run).set_index("kind")
    for code in set(ops.kind.tolist()):
        which = [o for o in range(len(ops.kind)) if ops.kind[o] == code]
        parts = [[i for i in range(len(asked)) if rows.operation[i] == o] for o in which]
        row = kinds.loc[KINDS[code]]
        assert row["operations"] == len(which)
        assert row["requests"] == sum(map(len, parts))
        assert row["failed"] == sum(any(failed[i] for i in part) for part in parts)
        ends = [max(asked[i] + waits[i] + (0 if failed[i] else hold_ns) for i in part) for part in parts]
        took = sorted(end - columns[0][part[0]] for end, part in zip(ends, parts, strict=True))
        assert row["locked_max_s"] == took[-1] / NS
        assert row["locked_p50_s"] == took[-(-len(took) // 2) - 1] / NS


def waits_of(rows):
    return rows.time_s


def test_a_hold_is_commands_times_the_latency_of_the_minute_of_its_grant():
    locks = lock_traffic("vmfs-3")
    latency_s = np.array([0.001, 0.01, 0.0025])
    rows = requests_of([1.0, 59.999, 59.999, 60.0, 119.0, 130.0, 500.0], [0, 1, 2, 3, 4, 5, 6], [0] * 7)
    run = run_locks(rows, locks, 1, latency_s)
    assert run.waits.hold_ns.tolist() == [4 * MS, 4 * MS, 40 * MS, 40 * MS, 40 * MS, 10 * MS, 10 * MS]
    assert run.waits.wait_ns.tolist()[2:4] == [4 * MS, 43 * MS]
    assert run.commands.tolist() == [8, 12, 4]  # what comes after the last minute is left out
    fixed = run_locks(rows, locks, 1)
    assert set(fixed.waits.hold_ns.tolist()) == {500_000}
    assert run_locks(rows, locks, 1, 0.002).commands.size == 9


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_bad_latencies_are_refused(bad):
    rows = requests_of([1.0], [0], [0])
    with pytest.raises(
        ParameterError, match=rf"^latency_s={bad}: minute 1: a time above 0 s and up to 1e\+06 s is needed\.$"
    ):
        run_locks(rows, lock_traffic(), 1, [0.001, bad])


def burst(n=3000, seconds=60.0, hosts=8):
    rng = np.random.default_rng(1)
    return requests_of(np.sort(rng.random(n) * seconds), rng.integers(0, 100, n), rng.integers(0, hosts, n))


def test_a_lock_that_loads_nothing_converges_at_once():
    locks = lock_traffic("vmfs-3")
    run = run_locks_loaded(burst(), locks, 8, lambda extra: np.full(extra.size, 0.002), 5)
    assert (run.rounds, run.latency_change, run.converged) == (1, 0.0, True)
    alone = run_locks(burst(), locks, 8, np.full(5, 0.002))
    np.testing.assert_array_equal(run.waits.wait_ns, alone.waits.wait_ns)


def test_one_minute_is_long_enough():
    run = run_locks_loaded(burst(), lock_traffic("vmfs-3"), 8, lambda extra: np.full(extra.size, 0.002), 1)
    assert (run.rounds, run.latency_s.tolist()) == (1, [0.002])


def test_locks_and_latency_agree_in_the_end():
    """A queue of 400 commands/s: the locks' own commands lengthen their holds."""
    locks = lock_traffic("vmfs-3")
    asked = []

    def latency_of(extra):
        asked.append(extra.copy())
        return 0.001 / (1 - np.minimum((100 + extra / 60) / 400, 0.95))

    run = run_locks_loaded(burst(n=1500), locks, 8, latency_of, 3, most_rounds=40, tolerance=0.002)
    assert run.converged
    assert run.rounds > 1
    assert not asked[0].any()
    np.testing.assert_allclose(latency_of(run.commands), run.latency_s, rtol=0.002)
    assert run.latency_s[0] > 1.1 * latency_of(np.zeros(3))[0]
    again = run_locks_loaded(burst(n=1500), locks, 8, latency_of, 3, most_rounds=40, tolerance=0.002)
    np.testing.assert_array_equal(again.waits.wait_ns, run.waits.wait_ns)


def test_what_does_not_converge_says_so():
    flips = iter(np.tile([0.001, 0.002], 20))
    run = run_locks_loaded(burst(), lock_traffic(), 8, lambda extra: np.full(extra.size, next(flips)), 2, most_rounds=5)
    assert (run.rounds, run.converged) == (5, False)
    assert run.latency_change >= 0.5


@pytest.mark.parametrize(
    ("minutes", "rounds", "latency", "message"),
    [
        (0, 8, [], "minutes=0: a whole number from 1 up is needed."),
        (2, 0, [1, 1], "most_rounds=0: a whole number from 1 up is needed."),
        (2, 8, [1.0], "latency_of=(1,): a time above 0 s for each of the 2 minutes is needed."),
        (2, 8, [1.0, 0.0], "latency_of=0.0: a time above 0 s for each of the 2 minutes is needed."),
    ],
)
def test_bad_drivers_are_refused(minutes, rounds, latency, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        run_locks_loaded(burst(), lock_traffic(), 8, lambda extra: np.array(latency), minutes, rounds)


def test_no_operations():
    locks = lock_traffic("vmfs-3")
    run = run_locks(lock_requests(Operations.none(), locks), locks, 4, 0.001, minutes=3)
    assert run.commands.tolist() == [0, 0, 0]
    assert operation_frame(run).empty
    assert run_retries(run).empty
    assert lock_frame(run)["requests"].tolist() == [0]
    assert heartbeat_frame(run, 4)["state"].tolist() == ["calm"] * 4
    assert heartbeat_frame(run, 4)["worst_delay_s"].tolist() == [0.001] * 4, "nobody to wait for but the array"


@pytest.mark.parametrize(("backoff_ms", "off"), [(20, 0.08), (5, 0.12)])
def test_heartbeats_delays_are_those_of_drawn_ones(backoff_ms, off):
    """Heartbeats at random moments against the reservations that took place, with back-offs of their own."""
    locks = lock_traffic("vmfs-3", parameters={"backoff": f"{backoff_ms} ms"})
    rng = np.random.default_rng(7)
    n = 12_000  # each with a clone of its own: an even stream, so that all minutes are alike
    rows = requests_of(np.sort(rng.random(n) * 600), np.arange(n), rng.integers(0, 6, n))
    run = run_locks(rows, locks, 6, np.full(10, 0.0035))
    frame = heartbeat_frame(run, 6).set_index("host")
    assert (frame["heartbeats"] == 200).all()
    grants, holds, owners = run.waits.grant_ns, run.waits.hold_ns, rows.host
    for host in (0, 4):
        others = (owners != host) & ~run.waits.failed
        start, length = grants[others], holds[others]
        order = np.argsort(start)
        start, length = start[order], length[order]

        def free(t, start=start, length=length):
            k = int(np.searchsorted(start, t, side="right")) - 1
            return k < 0 or t >= start[k] + length[k]

        delays, met = [], 0
        for at in rng.integers(0, 590 * NS, 20_000):
            now, attempt = int(at), 0
            key = np.uint64(rng.integers(2**63))
            while not free(now):
                attempt += 1
                now += back_off(key, attempt, backoff_ms * MS, DISTRIBUTIONS["uniform"])
            met += attempt > 0
            delays.append(now - at)
        assert frame.loc[host, "met_fraction"] == pytest.approx(met / 20_000, rel=0.06)
        assert frame.loc[host, "delay_s"] == pytest.approx(np.mean(delays) / NS, rel=off)
    assert (frame["state"] == "calm").all()


def test_heartbeats_under_ats_feel_the_array_alone():
    locks = lock_traffic("vmfs-5", parameters={"ats_affinity": 0.0, "ats_clusters": 2})
    run = run_locks(burst(), locks, 8, [0.001, 9.0, 17.0])
    assert run.waits.retries.any()
    frame = heartbeat_frame(run, 8)
    assert (frame["met_fraction"] == 0).all()
    assert (frame["delay_s"] == 0).all()
    assert frame["late"].tolist() == [40.0] * 8  # two minutes of 20 each
    assert frame["lost"].tolist() == [20.0] * 8
    assert set(frame["state"]) == {"lost"}
    assert frame["worst_time_s"].tolist() == [120.0] * 8
    mild = heartbeat_frame(run_locks(burst(), locks, 8, [0.001, 9.0]), 8)
    assert set(mild["state"]) == {"alarm"}


def test_heartbeats_near_the_alarm():
    """Another host reserves 97 % of the time: of back-offs of 100 ms, 80 in a row take 8 s with 0.97^80 = 8.7 %."""
    locks = lock_traffic("vmfs-3", parameters={"backoff": "100 ms"})
    n = 600
    rows = requests_of(np.arange(n) * 0.1, np.arange(n), [0] * n)
    run = run_locks(rows, locks, 2, np.full(1, 0.097 / 4))
    frame = heartbeat_frame(run, 2, minutes=1).set_index("host")
    assert frame.loc[0, "met_fraction"] == 0
    assert frame.loc[1, "met_fraction"] == pytest.approx(0.97)
    attempts = int(np.ceil((8 - 0.097 / 4) / 0.1))
    assert frame.loc[1, "late"] == pytest.approx(20 * 0.97**attempts)
    assert frame["state"].tolist() == ["calm", "alarm"]
    with pytest.raises(ParameterError, match=r"^hosts=0: the requests have hosts up to 0\. Give the number of hosts"):
        heartbeat_frame(run, 0)


def test_backings_and_lockings():
    assert backing("vmfs-3").lockings[0] == "scsi-reservation"
    assert backing("nfs").lockings == ()
