"""Kernel of work on many desktops at a time: lanes with a limited number of places, and an array that all share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

KERNELS = "2c6c66b026b2c0cb"


@njit(cache=True)
def _speeds(count: int, job: Any, step: Any, ios: Any, shortest: Any, capacity: float, speed: Any) -> None:
    """Fill in the share of its step that each job in service does in a second.

    Jobs stand in order of the most I/Os per second that they can make; those that need less than an equal share leave
    the rest to the others.
    """
    left = capacity
    for i in range(count):
        s, j = step[i], job[i]
        share = left / (count - i)
        most = ios[s, j] / shortest[s, j]
        if most <= share:
            speed[i] = 1.0 / shortest[s, j]
            left -= most
        else:
            speed[i] = share / ios[s, j]
            left -= share


@njit(cache=True)
def _join(count: int, new: int, new_step: int, job: Any, step: Any, todo: Any, ios: Any, shortest: Any) -> int:
    """Put a job into service, in its place by its most I/Os per second; returns how many are in service then."""
    most = ios[new_step, new] / shortest[new_step, new]
    i = count
    while i > 0 and ios[step[i - 1], job[i - 1]] / shortest[step[i - 1], job[i - 1]] > most:
        job[i], step[i], todo[i] = job[i - 1], step[i - 1], todo[i - 1]
        i -= 1
    job[i], step[i], todo[i] = new, new_step, 1.0
    return count + 1


@njit(cache=True)
def serve(
    order: Any, ready: Any, lane: Any, places: Any, ios: Any, shortest: Any, capacity: float, start: Any, end: Any
) -> int:
    """Serve jobs of two steps; a job has a place in its lane during the first one only.

    Parameters
    ----------
    order : (n,) int64 array
        Jobs by the time they are ready.
    ready : (n,) float64 array
        When they are. [s]
    lane : (n,) int64 array
        Number of the job's lane.
    places : (lanes,) int64 array
        Places of each lane; filled: places left free.
    ios, shortest : (2, n) float64 arrays
        I/Os and shortest time of each step; a second step of no time does not happen. [1, s]
    capacity : float
        I/Os that the array makes in a second. [1/s]
    start : (n,) float64 array
        Filled: when each job got its place. [s]
    end : (2, n) float64 array
        Filled: when each step ended. [s]

    Returns
    -------
    int
        Most jobs in service at a time.
    """
    n, lanes = order.size, places.size
    job, step = np.empty(n, np.int64), np.empty(n, np.int64)
    todo, speed = np.empty(n), np.empty(n)
    done = np.empty(n, np.int64)
    head, tail = np.full(lanes, -1, np.int64), np.full(lanes, -1, np.int64)
    after = np.full(n, -1, np.int64)
    count, came, most, now = 0, 0, 0, 0.0
    while came < n or count > 0:
        if count > 0:
            _speeds(count, job, step, ios, shortest, capacity, speed)
            wait = np.inf
            for i in range(count):
                wait = min(wait, todo[i] / speed[i])
        else:
            wait = np.inf
        if came < n and (count == 0 or ready[order[came]] < now + wait):
            moment = max(now, ready[order[came]])
            for i in range(count):
                todo[i] = max(0.0, todo[i] - (moment - now) * speed[i])
            now = moment
            j = order[came]
            came += 1
            if places[lane[j]] > 0:
                places[lane[j]] -= 1
                start[j] = now
                count = _join(count, j, 0, job, step, todo, ios, shortest)
            elif head[lane[j]] < 0:
                head[lane[j]] = tail[lane[j]] = j
            else:
                after[tail[lane[j]]] = j
                tail[lane[j]] = j
        else:
            now += wait
            ended, kept = 0, 0
            for i in range(count):
                time_left = todo[i] / speed[i]
                if time_left <= wait * (1.0 + 1e-12) + 1e-12:
                    done[ended] = 2 * job[i] + step[i]
                    ended += 1
                else:
                    todo[i] -= wait * speed[i]
                    job[kept], step[kept], todo[kept] = job[i], step[i], todo[i]
                    kept += 1
            count = kept
            for i in range(ended):
                j, s = done[i] // 2, done[i] % 2
                end[s, j] = now
                if s == 1:
                    continue
                end[1, j] = now
                if shortest[1, j] > 0.0:
                    count = _join(count, j, 1, job, step, todo, ios, shortest)
                first = head[lane[j]]
                if first < 0:
                    places[lane[j]] += 1
                else:
                    head[lane[j]] = after[first]
                    start[first] = now
                    count = _join(count, first, 0, job, step, todo, ios, shortest)
        most = max(most, count)
    return most
