"""The FIFO lock against SimPy and against a plain Lindley recursion; test_lock_theory.py has queueing theory."""

import re

import numpy as np
import pandas as pd
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.lun.lock_kernel import FIFO, serve
from clonesim.lun.locks import lock_waits
from clonesim.scenario import catalog


def frame(time_s, hold_s, host=0):
    return pd.DataFrame({"time_s": time_s, "host": host, "hold_s": hold_s})


def plain_lindley(times, holds):
    """Waits by the textbook recursion in Python integers, which neither round nor overflow."""
    waits = [0] * len(times)
    for i in range(1, len(times)):
        waits[i] = max(0, waits[i - 1] + holds[i - 1] - (times[i] - times[i - 1]))
    return waits


def simpy_waits(times, holds):
    """Waits in SimPy's own Resource, with integer nanoseconds as its clock."""
    env = simpy.Environment()
    lock = simpy.Resource(env, capacity=1)
    waits = [None] * len(times)

    def request(i):
        yield env.timeout(times[i])
        with lock.request() as mine:
            yield mine
            waits[i] = env.now - times[i]
            yield env.timeout(holds[i])

    for i in range(len(times)):
        env.process(request(i))
    env.run()
    return waits


@pytest.mark.parametrize("load", [0.3, 0.9, 1.5])
def test_every_wait_equals_simpy(load):
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, int(2000 * 500_000 / load), 2000))
    times[100:110] = times[100]  # a tie of ten
    holds = rng.integers(1, 1_000_000, 2000)
    waits, retries, failed = lock_waits(times, np.zeros(2000, np.int64), holds)
    assert waits.tolist() == simpy_waits(times.tolist(), holds.tolist())
    assert waits.max() > 0
    assert not retries.any()
    assert not failed.any()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 100)), max_size=60))
def test_every_wait_equals_the_plain_recursion(rows):
    times = np.cumsum([gap for gap, _ in rows], dtype=np.int64) if rows else np.empty(0, np.int64)
    holds = np.array([hold for _, hold in rows], np.int64)
    waits, _, _ = lock_waits(times, np.zeros(len(rows), np.int64), holds)
    assert waits.tolist() == plain_lindley(times.tolist(), holds.tolist())


def test_frame_keeps_its_rows_and_columns():
    requests = frame([0.0, 0.0001, 0.0001, 2.0], 0.0005, [3, 0, 1, 3]).assign(clone=[7, 8, 9, 7])
    requests.index = [10, 11, 12, 13]
    before = requests.copy()
    out = cs.lock_queue(requests)
    pd.testing.assert_frame_equal(requests, before)
    pd.testing.assert_frame_equal(out[list(before.columns)], before)
    assert out["wait_s"].tolist() == [0.0, 0.0004, 0.0009, 0.0]
    assert out["retries"].tolist() == [0, 0, 0, 0]
    assert out["failed"].tolist() == [False] * 4


def test_no_requests_no_waits():
    out = cs.lock_queue(frame(np.empty(0), np.empty(0), np.empty(0, np.int64)))
    assert list(out.columns) == ["time_s", "host", "hold_s", "wait_s", "retries", "failed"]
    assert len(out) == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"time_s": [1.0, 0.5]},
            "requests.time_s=0.5: row 1 is earlier than row 0 (1.0). Sort the requests by time: "
            "requests.sort_values('time_s', kind='stable').",
        ),
        (
            {"time_s": [-1.0, 0.0]},
            "requests.time_s=-1.0: row 0 is before the start; times are seconds since the start. "
            "Shift all times to 0 or later.",
        ),
        (
            {"time_s": [0.0, float("nan")]},
            "requests.time_s=nan: row 1 is not a finite number of seconds. Drop or repair the row.",
        ),
        (
            {"hold_s": [0.001, 0.0]},
            "requests.hold_s=0.0: row 1 is shorter than 1 ns. A lock is held for some time; the catalog's default is "
            "0.0005 s.",
        ),
        (
            {"hold_s": [0.001, float("inf")]},
            "requests.hold_s=inf: row 1 is not a finite number of seconds. Drop or repair the row.",
        ),
        (
            {"time_s": ["0", "noon"]},
            "requests.time_s='str': numbers of seconds are needed. Convert the column.",
        ),
        (
            {"host": [0.0, 1.5]},
            "requests.host='float64': whole numbers of hosts from 0 up, without gaps, are needed. Number the hosts.",
        ),
        ({"host": [0, -3]}, "requests.host=-3: row 1 is below 0. Number the hosts from 0 up."),
        (
            {"time_s": [0.0, 1e10]},
            "requests=10000000000.002: the last time plus all holds may be 4e+09 s at most. "
            "Check that times and holds are in seconds.",
        ),
    ],
)
def test_bad_requests_are_refused(bad, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        cs.lock_queue(pd.DataFrame({"time_s": [0.0, 1.0], "host": [0, 0], "hold_s": [0.001, 0.001]} | bad))


def test_a_code_that_no_kernel_knows_is_refused():
    none = np.empty(0, np.int64)
    with pytest.raises(ParameterError, match=r"^locking=99: allowed codes are \[0\]\.$"):
        lock_waits(none, none, none, 99)


def test_missing_column_is_refused():
    message = "requests.columns='time_s, hold_s': the columns time_s, host, hold_s are needed; host is missing. "
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}Rename or add the column\\.$"):
        cs.lock_queue(frame([0.0], [0.001]).drop(columns="host"))


def test_kernel_has_one_signature():
    none = np.empty(0, np.int64)
    assert serve(FIFO, none, none, none, none, none, np.empty(0, np.bool_)) == 1
    assert serve(99, none, none, none, none, none, np.empty(0, np.bool_)) == 0
    assert len(serve.signatures) == 1


def test_default_hold_is_the_one_the_error_names():
    assert catalog.value("locks", "hold") == 0.0005
