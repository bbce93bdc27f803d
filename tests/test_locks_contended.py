"""Locks that hosts contend for: against SimPy wait by wait, against plain draws, and what holds whatever is drawn."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_locks import own_key, plain_back_off, plain_child, plain_cluster, simpy_locks

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.lun import LOCKINGS, lock_model
from clonesim.lun.contend_kernel import back_off, child, conflict_times, contend, pick_cluster
from clonesim.lun.lock_model import DISTRIBUTIONS, hold_s
from clonesim.lun.locks import lock_waits

CONTENDED = [name for name in LOCKINGS if name != "fifo"]
MS = 1_000_000


def assert_equals_simpy(times, host, holds, hosts, model):
    waits, retries, failed = lock_waits(times, host, holds, model, hosts)
    expected = simpy_locks(times.tolist(), host.tolist(), holds.tolist(), hosts, model)
    for name, mine, theirs in zip(("wait", "retries", "failed"), (waits, retries, failed), expected, strict=False):
        different = np.flatnonzero(mine != np.array(theirs))
        assert not different.size, f"{name} of row {different[0]}: {mine[different[0]]}, SimPy {theirs[different[0]]}"
    at_ns, row = np.empty(retries.sum(), np.int64), np.empty(retries.sum(), np.int64)
    same = (times, host, holds, hosts, model.key, model.backoff_ns, DISTRIBUTIONS[model.distribution])
    assert conflict_times(*same, waits, retries, failed, at_ns, row) == -1
    assert sorted(zip(at_ns.tolist(), row.tolist(), strict=True)) == sorted(expected[3])
    return waits, retries, failed


@pytest.mark.parametrize("distribution", ["uniform", "exponential"])
@pytest.mark.parametrize("name", CONTENDED)
@pytest.mark.parametrize("load", [0.2, 0.8, 1.5])
def test_every_wait_equals_simpy(name, load, distribution):
    rng = np.random.default_rng(5)
    n, hosts = 3000, 6
    times = np.sort(rng.integers(0, int(n * 0.5 * MS / load), n))
    times[200:230] = times[200]  # a storm at one moment
    holds, host = rng.integers(1, MS, n), rng.integers(0, hosts, n)
    more = {} if name == "scsi-reservation" else {"ats_clusters": 3, "ats_affinity": 0.5}
    more |= {"ats_fallback_after": 2} if name == "ats+scsi" else {}
    model = lock_model(name, tries=6, backoff="1 ms", backoff_distribution=distribution, seed=3, **more)
    _, retries, failed = assert_equals_simpy(times, host, holds, hosts, model)
    assert retries.any(), "nothing was contended"
    assert failed.any() or load < 1


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 6)), max_size=40),
    st.sampled_from(CONTENDED),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 3),
    st.integers(0, 2**40),
)
def test_ties_are_served_as_in_simpy(rows, name, tries, clusters, affinity, fallback_after, seed):
    """Times and holds in whole ms, and back-offs of 1 or 2 ns: many events at the same moment."""
    more = {} if name == "scsi-reservation" else {"ats_clusters": clusters, "ats_affinity": affinity}
    more |= {"ats_fallback_after": fallback_after} if name == "ats+scsi" else {}
    model = lock_model(name, tries=tries, seed=seed, **more)
    object.__setattr__(model, "backoff_ns", 1)  # below the catalog's range
    gaps, host, holds = (np.array([row[k] for row in rows], np.int64) for k in range(3))
    assert_equals_simpy(np.cumsum(gaps, dtype=np.int64), host, holds, 5, model)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_keys_are_splitmix64(key, number):
    assert int(child(np.uint64(key), number)) == plain_child(key, number)


def test_splitmix64_gives_its_published_numbers():
    """First outputs of the generator started at 0, as its reference implementation gives them."""
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(child(np.uint64(0), number)) for number in range(3)] == expected


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 40), st.integers(0, 10**6), st.integers(1, 80))
def test_draws_are_those_of_their_plain_twins(key, host, request, attempt):
    own = own_key(np.uint64(key), host, request)
    for name, code in DISTRIBUTIONS.items():
        mine = back_off(own, attempt, 20 * MS, code)
        assert abs(mine - plain_back_off(key, host, request, attempt, 20 * MS, name)) <= (code > 0)  # log1p of two libs
    for hosts, clusters, affinity in ((41, 16, 0.9), (41, 100, 0.9), (41, 1, 0.5), (50, 3, 0.0), (41, 64, 1.0)):
        mine = pick_cluster(own, host, hosts, clusters, affinity)
        assert mine == plain_cluster(key, host, request, hosts, clusters, affinity)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_back_offs_are_distributed_as_they_say(name):
    from scipy import stats

    key = lock_model("scsi-reservation", seed=1).key
    drawn = [
        back_off(own_key(key, h, r), a, 20 * MS, DISTRIBUTIONS[name])
        for h in range(20)
        for r in range(50)
        for a in range(1, 21)
    ]
    law = stats.uniform(0, 40 * MS) if name == "uniform" else stats.expon(0, 20 * MS)
    assert stats.kstest(drawn, law.cdf).pvalue > 0.01
    first, second = np.array(drawn[::2]), np.array(drawn[1::2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 2.6 / np.sqrt(first.size)  # neighbouring attempts
    assert len(set(drawn)) > 0.999 * len(drawn)


def requests(n=4000, hosts=8, load=0.7, seed=2, hold_ms=0.5):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(hold_ms / 1000 / load, n))
    return pd.DataFrame({"time_s": times, "host": rng.integers(0, hosts, n), "hold_s": hold_ms / 1000})


@pytest.mark.parametrize("name", CONTENDED)
def test_one_host_never_conflicts_and_waits_as_in_fifo(name):
    alone = requests(hosts=1, load=0.9)
    out = cs.lock_queue(alone, name)
    pd.testing.assert_frame_equal(out, cs.lock_queue(alone))
    assert out["wait_s"].any()


def held(out):
    good = out[~out["failed"]]
    start = (good["time_s"] + good["wait_s"]).to_numpy()
    order = np.argsort(start)
    return start[order], (start + good["hold_s"].to_numpy())[order]


def test_reservations_never_overlap_but_ats_locks_do():
    start, end = held(cs.lock_queue(requests(), "scsi-reservation"))
    assert (start[1:] >= end[:-1] - 1e-9).all()
    start, end = held(cs.lock_queue(requests(load=2.0), "ats"))
    assert (start[1:] < end[:-1] - 1e-9).any()


def test_a_host_serves_its_own_requests_in_order():
    for name in CONTENDED:
        out = cs.lock_queue(requests(load=1.2), name)
        for _, own in out.groupby("host"):
            assert ((own["time_s"] + own["wait_s"]).diff().dropna() > 0).all()


def test_with_one_lock_ats_is_a_reservation():
    one = {"ats_clusters": 1, "seed": 4}
    expected = cs.lock_queue(requests(), "scsi-reservation", seed=4)
    assert expected["retries"].any()
    for name in ("ats", "ats-only", "ats+scsi"):
        pd.testing.assert_frame_equal(cs.lock_queue(requests(), name, **one), expected)


def test_full_affinity_with_a_lock_per_host_has_no_conflicts():
    out = cs.lock_queue(requests(load=3.0), "ats", ats_affinity=1.0, ats_clusters=8)
    assert not out["retries"].any()
    some = cs.lock_queue(requests(load=3.0), "ats", ats_affinity=0.0, ats_clusters=8)
    assert some["retries"].any()


def test_what_a_request_meets_is_drawn_for_it_alone():
    """Another host's requests may change a wait, but not the draws: without conflicts between them nothing moves."""
    mine = requests(hosts=4)
    other = pd.DataFrame({"time_s": mine["time_s"].max() + 1 + np.arange(50.0), "host": 7, "hold_s": 0.0005})
    for name in CONTENDED:
        alone = cs.lock_queue(mine, name, hosts=8)
        both = cs.lock_queue(pd.concat([mine, other], ignore_index=True), name, hosts=8)
        pd.testing.assert_frame_equal(both.iloc[: len(mine)], alone)


def test_the_seed_decides_and_so_do_replicate_and_lun():
    waits = [
        cs.lock_queue(requests(), "scsi-reservation", **{name: 1})["wait_s"].tolist()
        for name in ("seed", "seed", "replicate", "lun")
    ]
    assert waits[0] == waits[1]
    assert waits[0] != waits[2] != waits[3] != waits[0]


def test_a_request_fails_at_its_last_try_and_the_next_one_goes_on():
    long = pd.DataFrame({"time_s": [0.0, 0.0, 0.0], "host": [0, 1, 1], "hold_s": [0.06, 0.001, 0.001]})
    out = cs.lock_queue(long, "scsi-reservation", tries=3, backoff="20 ms", seed=0)
    assert out["retries"].max() <= 3
    short = cs.lock_queue(long, "scsi-reservation", tries=60, backoff="1 ms")
    assert short["failed"].tolist() == [False, True, False] or not short["failed"].any()
    sure = cs.lock_queue(long.assign(hold_s=[0.02, 0.001, 0.001]), "scsi-reservation", tries=20, backoff="1 ms")
    assert (sure.loc[sure["failed"], "retries"] == 20).all()


def test_fallback_helps_no_one_else():
    """With fallback on contention (VMFS-3) other hosts wait longer than with ATS only, not shorter."""
    busy = requests(load=1.5)
    plain = cs.lock_queue(busy, "ats", ats_affinity=0.0)
    falling = cs.lock_queue(busy, "ats+scsi", ats_affinity=0.0, ats_fallback_after=1)
    assert falling["wait_s"].mean() > plain["wait_s"].mean()
    assert falling["retries"].sum() > plain["retries"].sum()


def test_ats_is_short_for_ats_only():
    for seed in range(3):
        one, two = (cs.lock_queue(requests(), name, seed=seed) for name in ("ats", "ats-only"))
        pd.testing.assert_frame_equal(one, two)


def test_no_requests():
    for name in LOCKINGS:
        out = cs.lock_queue(requests().iloc[:0], name)
        assert list(out.columns) == ["time_s", "host", "hold_s", "wait_s", "retries", "failed"]
        assert len(out) == 0


@pytest.mark.parametrize(
    ("locking", "more", "message"),
    [
        (
            "scsi",
            {},
            "locking='scsi': allowed are 'fifo', 'scsi-reservation', 'ats', 'ats+scsi', 'ats-only'. "
            "Did you mean 'ats+scsi'?",
        ),
        (
            "scsi-reservations",
            {},
            "locking='scsi-reservations': allowed are 'fifo', 'scsi-reservation', 'ats', 'ats+scsi', 'ats-only'. "
            "Did you mean 'scsi-reservation'?",
        ),
        ("fifo", {"hots": 8}, "hots=8: 'fifo' has 'seed', 'replicate', 'lun'."),
        (
            "scsi-reservation",
            {"retries": 8},
            "retries=8: 'scsi-reservation' has 'tries', 'backoff', 'backoff_distribution', 'seed', 'replicate', 'lun'. "
            "Did you mean 'tries'?",
        ),
        ("ats", {"tries": 0}, "tries=0: allowed are 1 to 1000 1. The catalog's default is 80."),
        ("ats", {"tries": 2.5}, "tries=2.5: a whole number from 0 up is needed."),
        ("ats", {"backoff": "1 s"}, "backoff='1 s': allowed are 0.001 to 0.1 s. The catalog's default is 0.02."),
        (
            "ats",
            {"backoff_distribution": "gamma"},
            "backoff_distribution='gamma': allowed are 'uniform', 'exponential'.",
        ),
        ("ats", {"ats_affinity": 1.5}, "ats_affinity=1.5: allowed are 0.0 to 1.0 1. The catalog's default is 0.9."),
        ("ats", {"seed": -1}, "seed=-1: a whole number from 0 up is needed."),
        (
            lock_model("ats"),
            {"tries": 8},
            "tries=8: the locking is a LockModel already, 'ats' with its parameters. "
            "Give its name, or the parameters to lock_model.",
        ),
        ("ats", {"hosts": 0}, "hosts=0: allowed are whole numbers from 1 to 65536."),
        (
            "ats",
            {"hosts": 2},
            "requests.host=3: row 1 names an unknown host; hosts are 0 to 1. Raise hosts=2, or drop the row.",
        ),
        (
            "fifo",
            {"hosts": 3},
            "requests.host=3: row 1 names an unknown host; hosts are 0 to 2. Raise hosts=3, or drop the row.",
        ),
        (
            "scsi-reservation",
            {"tries": 1, "backoff": "1 ms"},
            "requests.hold_s=0.002: row 1 is longer than the retry budget of 0.001 s (tries=1, backoff=0.001 s): other "
            "hosts would run out of tries meanwhile. Shorten the hold, or raise tries or backoff.",
        ),
    ],
)
def test_bad_questions_are_refused(locking, more, message):
    two = pd.DataFrame({"time_s": [0.0, 1.0], "host": [0, 3], "hold_s": [0.001, 0.002]})
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        cs.lock_queue(two, locking, **more)


@pytest.mark.parametrize("name", CONTENDED)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"time_s": [1.0, 0.5]}, "requests.time_s=0.5: row 1 is earlier than row 0 (1.0). Sort"),
        ({"time_s": [-1.0, 0.0]}, "requests.time_s=-1.0: row 0 is before the start;"),
        ({"hold_s": [0.001, 0.0]}, "requests.hold_s=0.0: row 1 is shorter than 1 ns."),
        ({"hold_s": [0.001, 1.7]}, "requests.hold_s=1.7: row 1 is longer than the retry budget of 1.6 s (tries=80, "),
        ({"host": [0, -3]}, "requests.host=-3: row 1 is below 0. Number"),
        ({"host": [0, 10**9]}, "requests.host=1000000000: row 1 names an unknown host; hosts are 0 to 65535. Number"),
    ],
)
def test_bad_requests_are_refused_by_all(name, bad, message):
    good = {"time_s": [0.0, 1.0], "host": [0, 1], "hold_s": [0.001, 0.001]}
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        cs.lock_queue(pd.DataFrame(good | bad), name)


def test_hold_follows_the_latency():
    assert hold_s("scsi-reservation", 0.001) == 0.004
    assert hold_s("fifo", 0.001) == 0.004
    assert hold_s("ats+scsi", 0.001) == 0.001
    with pytest.raises(ParameterError, match=r"^latency_s=0\.0: a time above 0 s is needed\.$"):
        hold_s("ats", 0.0)
    with pytest.raises(ParameterError, match=r"^locking='nfs': allowed are 'fifo', "):
        hold_s("nfs", 0.001)


def test_kernels_have_one_signature():
    cs.lock_queue(requests(), "ats+scsi", hosts=9, seed=2)
    cs.lock_queue(requests(), lock_model("scsi-reservation", tries=np.int64(5)))
    assert len(contend.signatures) == 1
