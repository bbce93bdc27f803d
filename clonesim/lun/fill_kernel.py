"""Kernel of a datastore that fills up: growth steps in, used bytes per hour and the first that did not fit out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

KERNELS = "2c6c66b026b2c0cb"


@njit(cache=True)
def fill_up(
    limit: int,
    unit: int,
    fixed: int,
    hour_s: float,
    time_s: Any,
    clone: Any,
    step: Any,
    levels: Any,
    used: Any,
    level_s: Any,
    halt_s: Any,
    accepted: Any,
) -> float:
    """Apply growth steps until one does not fit; from then on each clone halts at its next growth.

    Parameters
    ----------
    limit, unit, fixed : int
        Bytes at which the datastore is full, its allocation unit, and what lies there from the start. [B]
    hour_s : float
        Length of an interval of `used`. [s]
    time_s : (n,) float64 array
        Times of the steps, in order. [s]
    clone, step : (n,) int64 array
        Place of the clone, from 0 up, and how much its files grow or, if negative, shrink. [1, B]
    levels : (k,) int64 array
        Fill levels, in order. [B]
    used : (hours,) int64 array
        Filled: used bytes at the end of each interval. [B]
    level_s : (k,) float64 array
        Filled: when each level is first reached; infinite if never. [s]
    halt_s : (clones,) float64 array
        Filled: when a clone's growth is refused first; infinite if never. [s]
    accepted : (n,) bool array
        Filled: whether the step took place.

    Returns
    -------
    float
        When the datastore was first full; infinite if never. [s]
    """
    files = np.zeros(halt_s.size, np.int64)  # file bytes of each clone
    total, hour, reached, full_s = fixed, 0, 0, np.inf
    halt_s[:] = np.inf
    level_s[:] = np.inf
    while reached < levels.size and total >= levels[reached]:
        level_s[reached] = 0.0
        reached += 1
    if total > limit:
        full_s = 0.0
    for i in range(time_s.size):
        while hour < used.size and time_s[i] >= (hour + 1) * hour_s:
            used[hour] = total
            hour += 1
        c = clone[i]
        before = -(-files[c] // unit)
        after = -(-(files[c] + step[i]) // unit)
        more = (after - before) * unit
        accepted[i] = False
        if halt_s[c] < np.inf:
            continue
        if more > 0 and (full_s < np.inf or total + more > limit):
            full_s = min(full_s, time_s[i])
            halt_s[c] = time_s[i]
            continue
        if full_s < np.inf and more < 0:  # frozen: what is given back is not handed out again
            more = 0
        accepted[i] = True
        files[c] += step[i]
        total += more
        while reached < levels.size and total >= levels[reached]:
            level_s[reached] = time_s[i]
            reached += 1
    while hour < used.size:
        used[hour] = total
        hour += 1
    return full_s
