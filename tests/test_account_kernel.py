"""The accounting kernels against the plainest reference, on random requests."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.ops import BlockOp
from clonesim.pool.account_kernel import account, account_reads

DAY_S = 86400.0


def reference(requests, grain, sources, minutes):
    """Requests are (time_s, op, length, source, fresh)."""
    by_source = [[0, 0, 0] for _ in range(sources)]
    demand = [[0, 0, 0, 0, 0] for _ in range(minutes)]
    for time_s, op, length, source, fresh in requests:
        if op == BlockOp.WRITE:
            minute = min(int(time_s // 60), minutes - 1)
            by_source[source][0] += length
            demand[minute][1] += 1
            demand[minute][3] += length
        by_source[source][1] += max(fresh, 0) * grain
        by_source[source][2] += max(-fresh, 0) * grain
    return by_source, demand


def reads_reference(reads, share, minutes):
    """Reads are (time_s, bytes, I/Os)."""
    demand = [[0, 0, 0, 0, 0] for _ in range(minutes)]
    for time_s, size, ios in reads:
        row = demand[min(int(time_s // 60), minutes - 1)]
        row[0] += ios
        row[2] += size
        row[4] += int(ios * share[min(int(time_s // DAY_S), len(share) - 1)] + 0.5)
    return demand


ROW = st.tuples(
    st.floats(0, 4000.0),
    st.sampled_from([BlockOp.READ, BlockOp.WRITE, BlockOp.WRITE, BlockOp.DISCARD, BlockOp.FLUSH]),
    st.integers(0, 2**40),
    st.integers(0, 4),
    st.integers(-(2**30), 2**30),
)


@settings(max_examples=60, deadline=None)
@given(requests=st.lists(ROW, max_size=30), grain=st.sampled_from([512, 4096, 2**21]))
def test_requests(requests, grain: int) -> None:
    """What is after the last minute counts to it: a request may end a moment after the horizon."""
    columns = list(zip(*requests, strict=True)) or [[]] * 5
    kinds = (np.float64, np.uint8, np.int64, np.int64, np.int64)
    time_s, op, length, source, fresh = (np.array(c, k) for c, k in zip(columns, kinds, strict=True))
    by_source, demand = np.zeros((5, 3), np.int64), np.zeros((60, 5), np.int64)
    account(time_s, op, length, source, fresh, grain, by_source, demand)
    sums, minutes = reference(requests, grain, 5, 60)
    assert by_source.tolist() == sums
    assert demand.tolist() == minutes
    account(time_s, op, length, source, fresh, grain, by_source, demand)
    assert by_source.sum() == 2 * np.sum(sums), "it adds to what is there"


READ = st.tuples(st.floats(0, 3 * DAY_S), st.integers(0, 2**40), st.integers(0, 2**30))


@settings(max_examples=60, deadline=None)
@given(reads=st.lists(READ, max_size=30), share=st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_reads(reads, share) -> None:
    columns = list(zip(*reads, strict=True)) or [[]] * 3
    time_s, size, ios = (np.array(c, k) for c, k in zip(columns, (np.float64, np.int64, np.int64), strict=True))
    demand = np.zeros((2880, 5), np.int64)
    account_reads(time_s, size, ios, np.array(share), DAY_S, demand)
    assert demand.tolist() == reads_reference(reads, share, 2880)
    assert (demand[:, 4] <= demand[:, 0]).all(), "no more reads from the delta than reads"
