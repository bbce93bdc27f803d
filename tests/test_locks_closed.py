"""Locks of a closed pool: against SimPy and a plain twin wait by wait, and against the open queue."""

import re

import numpy as np
import pytest
import reference_locks
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_closed import plain_closed, simpy_closed
from reference_locks import simpy_locks

from clonesim.errors import ParameterError
from clonesim.lun import LOCKINGS, lock_model
from clonesim.lun.contend_closed_kernel import closed_conflict_times, contend_closed
from clonesim.lun.contend_kernel import request_key
from clonesim.lun.lock_run import closed_conflicts, closed_waits
from clonesim.lun.locks import lock_waits

MS = 1_000_000
CONTENDED = [name for name in LOCKINGS if name != "fifo"]


def a_model(name, tries=6, fallback_after=2, **more):
    if name == "fifo":
        return lock_model(name, seed=3)
    more = {"tries": tries, "backoff": "1 ms", "seed": 3} | more
    if name != "scsi-reservation":
        more = {"ats_clusters": 3, "ats_affinity": 0.5} | more
    more |= {"ats_fallback_after": fallback_after} if name == "ats+scsi" else {}
    return lock_model(name, **more)


def some_requests(n=3000, clones=25, hosts=6, load=0.8, seed=5):
    """Clones that move from host to host, bursts of one clone, and a storm at one moment."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, int(n * 0.5 * MS / load), n))
    times[200:260] = times[200]
    times[300:310] = times[300]
    clone, host, hold = rng.integers(0, clones, n) * 7, rng.integers(0, hosts, n), rng.integers(1, MS, n)
    clone[300:310] = 7
    return times, clone, host, hold


def assert_equal(mine, expected, clone, model):
    for name, values in zip(("asked_ns", "wait_ns", "retries", "failed"), expected, strict=False):
        got = getattr(mine, name)
        different = np.flatnonzero(got != np.array(values, got.dtype))
        assert not different.size, f"{name} of row {different[0]}: {got[different[0]]}, not {values[different[0]]}"
    if len(expected) > 4:
        at_ns, row = closed_conflicts(clone, model, mine)
        assert sorted(zip(at_ns.tolist(), row.tolist(), strict=True)) == sorted(expected[4])


@pytest.mark.parametrize("distribution", ["uniform", "exponential"])
@pytest.mark.parametrize("name", LOCKINGS)
@pytest.mark.parametrize("load", [0.3, 1.5])
def test_every_wait_equals_simpy(name, load, distribution):
    times, clone, host, hold = some_requests(load=load)
    more = {} if name == "fifo" else {"backoff_distribution": distribution}
    model = a_model(name, **more)
    mine = closed_waits(times, clone, host, hold, model, 6)
    columns = (column.tolist() for column in (times, clone, host, hold))
    assert_equal(mine, simpy_closed(*columns, 6, model), clone, model)
    assert (mine.asked_ns > times).any(), "no clone waited for itself"
    if name != "fifo":
        assert mine.retries.any()
        assert mine.failed.any() or load < 1


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 6)), max_size=25)


@settings(deadline=None, max_examples=200)
@given(
    ROWS,
    st.sampled_from(LOCKINGS),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 3),
    st.integers(0, 2**40),
)
def test_ties_are_served_as_in_both_twins(rows, name, tries, clusters, affinity, fallback_after, seed):
    """Times and holds in whole ns, and back-offs of 1 or 2 ns: many events at the same moment."""
    more = {"seed": seed}
    if name not in ("fifo", "scsi-reservation"):
        more |= {"ats_clusters": clusters, "ats_affinity": affinity}
    model = lock_model("fifo", seed=seed) if name == "fifo" else a_model(name, tries, fallback_after, **more)
    object.__setattr__(model, "backoff_ns", 1)  # below the catalog's range
    gaps, clone, host, hold = (np.array([row[k] for row in rows], np.int64) for k in range(4))
    times = np.cumsum(gaps, dtype=np.int64)
    mine = closed_waits(times, clone, host, hold, model, 4)
    columns = [column.tolist() for column in (times, clone, host, hold)]
    assert_equal(mine, plain_closed(*columns, 4, model), clone, model)
    assert_equal(mine, simpy_closed(*columns, 4, model), clone, model)


def test_a_clone_each_is_the_open_fifo_queue():
    times, _, host, hold = some_requests(load=0.95)
    mine = closed_waits(times, np.arange(times.size), host, hold, lock_model("fifo"))
    waits, _, _ = lock_waits(times, host, hold)
    assert waits.any()
    np.testing.assert_array_equal(mine.wait_ns, waits)
    np.testing.assert_array_equal(mine.asked_ns, times)


@pytest.mark.parametrize("name", CONTENDED)
def test_a_clone_each_is_the_open_queue_on_other_draws(name, monkeypatch):
    """The open queue keys by host and number on the host; with its draws keyed by clone it gives the same waits."""
    times, _, host, hold = some_requests(load=1.2)
    model = a_model(name)
    rows = [np.flatnonzero(host == h) for h in range(6)]
    keyed = lambda key, h, number: np.uint64(request_key(key, int(rows[h][number]), 0))  # noqa: E731
    monkeypatch.setattr(reference_locks, "own_key", keyed)
    expected = simpy_locks(times.tolist(), host.tolist(), hold.tolist(), 6, model)
    mine = closed_waits(times, np.arange(times.size), host, hold, model, 6)
    for got, values in zip((mine.wait_ns, mine.retries, mine.failed), expected, strict=False):
        np.testing.assert_array_equal(got, np.array(values))
    assert mine.failed.any()


@pytest.mark.parametrize("name", LOCKINGS)
def test_a_clone_has_one_request_at_a_time_and_never_later_than_need_be(name):
    times, clone, host, hold = some_requests(load=2.0)
    mine = closed_waits(times, clone, host, hold, a_model(name), 6)
    for one in np.unique(clone):
        own = np.flatnonzero(clone == one)
        before = np.concatenate([[0], mine.end_ns[own][:-1]])
        np.testing.assert_array_equal(mine.asked_ns[own], np.maximum(times[own], before))
    good = ~mine.failed
    assert (mine.hold_ns[good] == hold[good]).all()
    assert (mine.hold_ns[~good] == 0).all()
    for h in range(6) if name != "fifo" else ():
        own = np.flatnonzero(host == h)
        own = own[np.lexsort((mine.end_ns[own], mine.grant_ns[own]))]
        assert (mine.grant_ns[own][1:] >= mine.end_ns[own][:-1]).all()


@pytest.mark.parametrize("name", CONTENDED)
def test_what_a_request_meets_is_drawn_for_its_clone_alone(name):
    times, clone, host, hold = some_requests(n=1500)
    late = times[-1] + 10**12 + np.arange(40)
    with_other = (np.concatenate([a, b]) for a, b in ((times, late), (clone, 1 + 0 * late)))
    more = (np.concatenate([a, np.full(40, b)]) for a, b in ((host, 5), (hold, 1000)))
    alone = closed_waits(times, clone, host, hold, a_model(name), 6)
    both = closed_waits(*with_other, *more, a_model(name), 6)
    np.testing.assert_array_equal(both.wait_ns[: times.size], alone.wait_ns)
    reseeded = closed_waits(times, clone, host, hold, a_model(name, seed=4), 6)
    assert (reseeded.wait_ns != alone.wait_ns).any()


def test_no_requests():
    none = np.zeros(0, np.int64)
    for name in LOCKINGS:
        assert closed_waits(none, none, none, none, lock_model(name)).wait_ns.size == 0


def test_waits_of_another_model_are_found_out():
    times, clone, host, hold = some_requests()
    mine = closed_waits(times, clone, host, hold, a_model("scsi-reservation"), 6)
    with pytest.raises(ParameterError, match=r"^waits\.wait_ns=\d+: row \d+ waits as 'scsi-reservation' with these"):
        closed_conflicts(clone, a_model("scsi-reservation", seed=9), mine)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"time_ns": [5, 4]}, "time_ns=4: row 1 is earlier than row 0 (5). Sort the requests by time."),
        ({"time_ns": [-1, 4]}, "time_ns=-1: row 0 is before the start. Shift all times to 0 or later."),
        (
            {"time_ns": [0, 2 * 10**18]},
            "time_ns=2000000000000000000: the last time may be 1000000000000000000 ns at most.",
        ),
        ({"hold_ns": [5, 0]}, "hold_ns=0: row 1 is shorter than 1 ns."),
        (
            {"hold_ns": [5, 3 * 10**18]},
            "hold_ns=3000000000000000000: 2 holds of this length may end after 4000000000000000000 ns, the last time "
            "that is told. Lower the latency or the hold.",
        ),
        ({"hold_ns": [5]}, "hold_ns=1: there are 2 requests. Give one for each."),
        ({"clone": [5]}, "clone=1: there are 2 requests. Give one for each."),
        ({"clone": [0, -1]}, "clone=-1: clones are numbers from 0 up."),
        ({"host": [0, -2]}, "host=-2: hosts are 0 to 65535. Number the hosts from 0 up."),
        ({"host": [0, 3], "hosts": 3}, "host=3: hosts are 0 to 2. Number the hosts from 0 up."),
        ({"hosts": 0}, "hosts=0: allowed are whole numbers from 1 to 65536."),
    ],
)
def test_bad_requests_are_refused(bad, message):
    good = {"time_ns": [0, 1], "clone": [0, 1], "host": [0, 1], "hold_ns": [1, 1]}
    columns = {name: np.array(values, np.int64) for name, values in (good | bad).items() if name != "hosts"}
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        closed_waits(**columns, model=lock_model("ats"), hosts=bad.get("hosts"))


def test_kernels_have_one_signature():
    times, clone, host, hold = some_requests(n=500)
    closed_waits(times, clone.astype(np.int32), host.astype(np.int32), hold, a_model("ats"), 6)
    mine = closed_waits(times, clone, host, hold, a_model("scsi-reservation"), 6)
    closed_conflicts(clone, a_model("scsi-reservation"), mine)
    assert len(contend_closed.signatures) == 1
    assert len(closed_conflict_times.signatures) == 1
