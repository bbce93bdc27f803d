"""Kernel of reclaiming: grains of a delta that the guest no longer uses, whatever its discards do."""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import njit

from clonesim.delta.law_kernel import clear_bits, discarded, ones

KERNELS = "2c6c66b026b2c0cb"


@njit(cache=True)
def count_bits(words, first, last):
    """How many of the bits first to last, both included, are set."""
    a, b = first >> 6, last >> 6
    count = np.int64(0)
    for w in range(a, b + 1):
        mask = np.int64(-1)
        if w == a:
            mask &= np.int64(-1) << (first & 63)
        if w == b:
            mask &= ~(np.int64(-2) << (last & 63))
        count += ones(words[w] & mask)
    return count


@njit(cache=True)
def next_bit(words, at, end, flip):
    """First set bit from `at` on, or with `flip` = -1 the first clear one; `end` if there is none before it."""
    w = at >> 6
    found = (words[w] ^ flip) & (np.int64(-1) << (at & 63))
    while found == 0:
        w += 1
        if w << 6 >= end:
            return end
        found = words[w] ^ flip
    return min(end, (w << 6) + ones((found & -found) - 1))


@njit(cache=True)
def held_in(ranges, p, bits, release):
    """Grains held that lie wholly inside some ranges of the disk; let go of if `release`.

    Parameters
    ----------
    ranges : (n, 2) int64 array
        Start and end, apart from each other. [B]
    p : (PARAMETERS,) int64 array
        Parameter words of the law.
    bits : (words,) int64 array
        A bit per grain.
    release : bool
        Whether to clear the bits.
    """
    count = np.int64(0)
    for i in range(ranges.shape[0]):
        first, last = discarded(ranges[i, 0], ranges[i, 1] - ranges[i, 0], p)
        if first <= last:
            count += clear_bits(bits, first, last) if release else count_bits(bits, first, last)
    return count


@njit(cache=True)
def clear_runs(words, count):
    """Runs of clear bits among the first `count` of some words: (n, 2) array of first bit and end."""
    found = np.empty((64, 2), np.int64)
    n, at = 0, np.int64(0)
    while at < count:
        at = next_bit(words, at, count, np.int64(-1))
        if at >= count:
            break
        end = next_bit(words, at, count, np.int64(0))
        if n == found.shape[0]:
            found = np.concatenate((found, np.empty_like(found)))
        found[n, 0], found[n, 1] = at, end
        n, at = n + 1, end
    return found[:n].copy()
