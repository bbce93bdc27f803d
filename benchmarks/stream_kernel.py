"""Kernels that measure the memory, after STREAM (J. D. McCalpin, 1995), and the least that a replay must do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from clonesim.delta.law_kernel import AHEAD, prefetch


@njit(nogil=True, fastmath=True)
def read(a: Any) -> Any:
    """Sum of an array: 8 B read per entry."""
    total = 0.0
    for i in range(a.size):
        total += a[i]
    return total


@njit(nogil=True)
def triad(a: Any, b: Any, c: Any) -> None:
    """STREAM's triad: 16 B read and 8 B written per entry."""
    for i in range(a.size):
        a[i] = b[i] + 3.0 * c[i]


@njit(nogil=True)
def mark(offset: Any, shift: Any, words: Any) -> None:
    """One bit of a mask for each request, asked for ahead as the replay does: no file, no growth, no checks."""
    for i in range(offset.size):
        if i + AHEAD < offset.size:
            prefetch(words, offset[i + AHEAD] >> shift >> 6)
        at = offset[i] >> shift
        words[at >> 6] |= np.int64(255) << (at & 56)
