"""Kernels of a planned datastore: peaks of groups of distinct clones, and means that weigh them anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

KERNELS = "2c6c66b026b2c0cb"


@njit(cache=True)
def lun_peaks(sizes: Any, order: Any, start: Any, density: Any, peaks: Any, fullest: Any, rest: Any) -> None:
    """Peaks of LUNs whose clones stand side by side in a circle of all clones.

    Parameters
    ----------
    sizes : (clones, days) int64 array
        What each clone takes, of one replicate. [B]
    order : (cuts, clones) int64 array
        Permutations of the clones.
    start : (starts,) int64 array
        Places in the circle where a LUN begins.
    density : (n,) int64 array
        Clones per LUN, from 1 to the number of clones.
    peaks : (n, cuts, starts) int64 array
        Filled: the most that a LUN's clones take together on any day. [B]
    fullest : (n, cuts) int64 array
        Filled: the largest such peak where all clones are dealt out from place 0 on, LUNs of n clones only. [B]
    rest : (n, cuts) int64 array
        Filled: the peak of the last LUN, of fewer clones; 0 where nobody is left for it. [B]
    """
    clones, days = sizes.shape
    before = np.zeros((clones + 1, days), np.int64)  # of the clones at the first places
    for cut in range(order.shape[0]):
        for place in range(clones):
            clone = order[cut, place]
            for day in range(days):
                before[place + 1, day] = before[place, day] + sizes[clone, day]
        for k in range(density.size):
            n = density[k]
            for s in range(start.size):
                first = start[s]
                end = first + n
                peak = np.int64(0)
                if end <= clones:
                    for day in range(days):
                        peak = max(peak, before[end, day] - before[first, day])
                else:
                    end -= clones
                    for day in range(days):
                        peak = max(peak, before[clones, day] - before[first, day] + before[end, day])
                peaks[k, cut, s] = peak
            full, last = np.int64(0), np.int64(0)
            luns = clones // n
            for lun in range(luns):
                for day in range(days):
                    full = max(full, before[(lun + 1) * n, day] - before[lun * n, day])
            for day in range(days):
                last = max(last, before[clones, day] - before[luns * n, day])
            fullest[k, cut], rest[k, cut] = full, last


@njit(cache=True)
def shares_at_most(values: Any, level: int, share: Any) -> None:
    """Share of each cut's values that are at or below a level.

    Parameters
    ----------
    values : (replicates, cuts, starts) int64 array
        In order along the last axis. [B]
    level : int
        What they are compared with. [B]
    share : (replicates, cuts) float64 array
        Filled. [1]
    """
    for replicate in range(values.shape[0]):
        for cut in range(values.shape[1]):
            at_most = np.searchsorted(values[replicate, cut], level, side="right")
            share[replicate, cut] = at_most / values.shape[2]


@njit(cache=True)
def weighted_means(values: Any, weight: Any, cut: Any, mean: Any) -> None:
    """Weighted sum of one cut per replicate, for every draw.

    Parameters
    ----------
    values : (replicates, cuts) float64 array
        Such as shares. [1]
    weight : (draws, replicates + 1) float64 array
        Of the replicates; the last one is left out. [1]
    cut : (draws, replicates) int64 array
        Which cut each draw takes of each replicate.
    mean : (draws,) float64 array
        Filled. [1]
    """
    for draw in range(mean.size):
        total = 0.0
        for replicate in range(values.shape[0]):
            total += weight[draw, replicate] * values[replicate, cut[draw, replicate]]
        mean[draw] = total
