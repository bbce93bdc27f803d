"""What a batch of requests means: bytes by write source, and I/Os by minute."""

from __future__ import annotations

import numpy as np
from numba import njit

from clonesim.ops import BlockOp

KERNELS = "2c6c66b026b2c0cb"

WRITTEN, FIRST_TOUCH, RELEASED = np.arange(3)  # columns of the sums by source
READS, WRITES, READ_BYTES, WRITE_BYTES, DELTA_READS = np.arange(5)  # columns of the demand by minute
WRITE = np.uint8(BlockOp.WRITE)


@njit(cache=True)
def account(time_s, op, length, source, fresh, grain_bytes, by_source, minutes):
    """Add requests of one clone to its sums by source and to the demand by minute."""
    last = minutes.shape[0] - 1
    for i in range(op.size):
        row = by_source[source[i]]
        if op[i] == WRITE:
            row[WRITTEN] += length[i]
            at = minutes[min(last, np.int64(time_s[i] / 60.0))]
            at[WRITES] += 1
            at[WRITE_BYTES] += length[i]
        if fresh[i] >= 0:
            row[FIRST_TOUCH] += fresh[i] * grain_bytes
        else:
            row[RELEASED] -= fresh[i] * grain_bytes


@njit(cache=True)
def account_reads(time_s, size, ios, share, day_s, minutes):
    """Add what one clone reads; on each day a share of it is found in the delta, the rest in the base image."""
    last, days = minutes.shape[0] - 1, share.size - 1
    for i in range(time_s.size):
        at = minutes[min(last, np.int64(time_s[i] / 60.0))]
        at[READS] += ios[i]
        at[READ_BYTES] += size[i]
        at[DELTA_READS] += np.int64(ios[i] * share[min(days, np.int64(time_s[i] / day_s))] + 0.5)
