"""Kernel of a thin LUN: growth steps of a datastore in, what the array keeps allocated out, as a piecewise course."""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import njit

KERNELS = "2c6c66b026b2c0cb"


@njit(cache=True)
def dead_space(time_s, size, sweeps_s, rate, piece, capacity, reuse, horizon_s, knot_s, value, slope):
    """Follow a LUN's allocated bytes through its datastore's growth steps; the number of knots.

    Parameters
    ----------
    time_s, size : (n,) float64 and int64 array
        Steps of the datastore in order of time; a negative one gives space back. [s, B]
    sweeps_s : (k,) float64 array
        Times at which all that can be given back is given back at once; before a step of the same time. [s]
    rate : float
        At which what can be given back is given back all the time; 0: not. [B/s]
    piece : int
        Each step back frees whole pieces; the rest of it stays until it is written again. [B]
    capacity : float
        The LUN never has more. [B]
    reuse : bool
        Whether new data lie in dead space first, or there only once everything else was written.
    horizon_s : float
        End. [s]
    knot_s, value, slope : (2 (n + k) + 1,) float64 arrays
        Filled: from when on the LUN has so many bytes, and by how much they change. [s, B, B/s]
    """
    now, held, pending, stuck = 0.0, np.int64(0), 0.0, 0.0  # stuck: dead, and in no whole piece
    knots, i, k = 1, 0, 0
    knot_s[0], value[0], slope[0] = 0.0, 0.0, 0.0
    while True:
        next_step = time_s[i] if i < time_s.size else np.inf
        next_sweep = sweeps_s[k] if k < sweeps_s.size else np.inf
        at = min(next_step, next_sweep, horizon_s)
        if rate > 0.0 and pending > 0.0:
            done = now + pending / rate
            if done <= at:
                pending = 0.0
                knot_s[knots], value[knots], slope[knots] = done, held + stuck, 0.0
                knots += 1
            else:
                pending -= rate * (at - now)
        if at >= horizon_s:
            return knots
        now = at
        if next_sweep <= next_step:
            pending = 0.0
            k += 1
        else:
            step = size[i]
            i += 1
            held += step
            if step < 0:
                whole = (-step) // piece * piece
                pending += whole
                stuck += -step - whole
            else:
                taken = float(step) if reuse else max(0.0, held + pending + stuck - capacity)
                first = min(taken, stuck)
                stuck -= first
                pending = max(0.0, pending - (taken - first))
        knot_s[knots], value[knots] = now, held + pending + stuck
        slope[knots] = -rate if pending > 0.0 else 0.0
        knots += 1
