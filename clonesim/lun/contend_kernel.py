"""Kernels of locks that hosts contend for. Integers only: int64 nanoseconds; draws are a hash of what they are for.

Events of equal time are served in this order: releases, then attempts by host number. A host has one transaction at a
time, so it has one next attempt at most, and a heap of hosts is the whole list of events.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

KERNELS = "2c6c66b026b2c0cb"

UNIFORM, EXPONENTIAL = 0, 1
NEVER = np.int64(2**63 - 1)
_STEP = np.uint64(0x9E3779B97F4A7C15)  # the increment and the two multipliers of SplitMix64
_MULTIPLY_1, _MULTIPLY_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53


@njit(cache=True)
def child(key: Any, number: int) -> Any:
    """Key of the numbered child of a key, uint64: one output of SplitMix64 started at the key."""
    z = key + _STEP * np.uint64(number + 1)
    z = (z ^ (z >> _S30)) * _MULTIPLY_1
    z = (z ^ (z >> _S27)) * _MULTIPLY_2
    return z ^ (z >> _S31)


@njit(cache=True)
def request_key(key: Any, host: int, request: int) -> Any:
    """Key of a host's request, counted per host from 0, so that no host changes another one's draws."""
    return child(child(key, host), request)


@njit(cache=True)
def back_off(own_key: Any, attempt: int, mean_ns: int, distribution: int) -> int:
    """Back-off after the attempt of this number, from 1 up; at least 1 ns. [ns]

    UNIFORM is each of 1 to 2 x mean alike; EXPONENTIAL has the same mean and no upper end (37 x mean in 53 bits).
    """
    unit = np.float64(child(own_key, attempt) >> _S11) * _UNIT
    if distribution == UNIFORM:
        return np.int64(1) + np.int64(unit * (2.0 * mean_ns))
    return np.int64(1) + np.int64(-math.log1p(-unit) * mean_ns)


@njit(cache=True)
def pick_cluster(own_key: Any, host: int, hosts: int, clusters: int, affinity: float) -> int:
    """Lock that a request wants: one of its host's own with the probability `affinity`, else any of all.

    Own are host, host + hosts, host + 2 x hosts, ...; with more hosts than locks, host modulo locks.
    """
    drawn = child(own_key, 0)
    which = child(drawn, 0)
    if np.float64(drawn >> _S11) * _UNIT < affinity:
        lowest = host % clusters
        count = (clusters - lowest + hosts - 1) // hosts
        return lowest + hosts * np.int64(which % np.uint64(count))
    return np.int64(which % np.uint64(clusters))


@njit(cache=True)
def by_host(host: Any, hosts: int) -> Any:
    """Rows of each host in order: (n,) int64 rows and (hosts + 1,) int64 borders."""
    first = np.zeros(hosts + 1, np.int64)
    for i in range(host.size):
        first[host[i] + 1] += 1
    for h in range(hosts):
        first[h + 1] += first[h]
    place = first[:hosts].copy()
    rows = np.empty(host.size, np.int64)
    for i in range(host.size):
        rows[place[host[i]]] = i
        place[host[i]] += 1
    return rows, first


@njit(cache=True)
def _sift(heap: Any, next_ns: Any, place: int) -> None:
    """Let the host at a place of the heap sink to where it belongs by (next attempt, host)."""
    size = heap.size
    moved = heap[place]
    time_ns = next_ns[moved]
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        other = heap[below]
        other_ns = next_ns[other]
        if below + 1 < size:
            right = heap[below + 1]
            right_ns = next_ns[right]
            if right_ns < other_ns or (right_ns == other_ns and right < other):
                below, other, other_ns = below + 1, right, right_ns
        if time_ns < other_ns or (time_ns == other_ns and moved < other):
            break
        heap[place] = other
        place = below
    heap[place] = moved


@njit(cache=True)
def contend(
    time_ns: Any,
    host: Any,
    hold_ns: Any,
    hosts: int,
    key: Any,
    limit: int,
    backoff_ns: int,
    distribution: int,
    clusters: int,
    affinity: float,
    reserve_from: int,
    wait_ns: Any,
    retries: Any,
    failed: Any,
) -> None:
    """Serve every request of one LUN whose hosts back off and try again; fills the last three arrays in place.

    Parameters
    ----------
    time_ns, host, hold_ns : (n,) int64 array
        Requests in order of time. [ns, 1, ns]
    hosts : int
        Hosts are 0 to hosts - 1. [1]
    key : uint64
        Of all draws.
    limit : int
        A request fails when it has met so many conflicts. [1]
    backoff_ns, distribution : int
        Mean, and UNIFORM or EXPONENTIAL. [ns, 1]
    clusters : int
        Number of locks. [1]
    affinity : float
        Probability of one of the host's own locks. [1]
    reserve_from : int
        A request that has met so many conflicts reserves the whole LUN with its lock: 0 for a reservation from the
        start, NEVER for none. [1]
    wait_ns, retries : (n,) int64 array
        From request to grant, or to giving up, and conflicts met. [ns, 1]
    failed : (n,) bool array
        Requests that gave up.

    Notes
    -----
    An attempt succeeds if the LUN is not reserved and its lock is not held. int64 cannot overflow: times and holds
    leave 5e9 s, which back-offs of four seconds at most would need 1e9 events to use up.
    """
    rows, first = by_host(host, hosts)
    head = first[:hosts].copy()
    next_ns = np.empty(hosts, np.int64)
    conflicts = np.zeros(hosts, np.int64)
    own_key = np.zeros(hosts, np.uint64)
    cluster = np.zeros(hosts, np.int64)
    free_ns = np.zeros(clusters, np.int64)  # when each lock falls free
    reserved_ns = np.int64(0)  # until when the LUN is reserved
    heap = np.arange(hosts)
    for h in range(hosts):
        next_ns[h] = NEVER
        if head[h] < first[h + 1]:
            next_ns[h] = time_ns[rows[head[h]]]
            own_key[h] = request_key(key, h, 0)
            if clusters > 1:
                cluster[h] = pick_cluster(own_key[h], h, hosts, clusters, affinity)
    for place in range(hosts // 2 - 1, -1, -1):
        _sift(heap, next_ns, place)
    left = time_ns.size
    while left > 0:
        h = heap[0]
        now = next_ns[h]
        i = rows[head[h]]
        gave_up = False
        if now < reserved_ns or now < free_ns[cluster[h]]:
            conflicts[h] += 1
            if conflicts[h] < limit:
                next_ns[h] = now + back_off(own_key[h], conflicts[h], backoff_ns, distribution)
                _sift(heap, next_ns, 0)
                continue
            gave_up = True
            end_ns = now
        else:
            end_ns = now + hold_ns[i]
            free_ns[cluster[h]] = end_ns
            if conflicts[h] >= reserve_from:
                reserved_ns = end_ns
        wait_ns[i] = now - time_ns[i]
        retries[i] = conflicts[h]
        failed[i] = gave_up
        left -= 1
        head[h] += 1
        conflicts[h] = 0
        next_ns[h] = NEVER
        if head[h] < first[h + 1]:
            next_ns[h] = max(end_ns, time_ns[rows[head[h]]])
            own_key[h] = request_key(key, h, head[h] - first[h])
            if clusters > 1:
                cluster[h] = pick_cluster(own_key[h], h, hosts, clusters, affinity)
        _sift(heap, next_ns, 0)


@njit(cache=True)
def conflict_times(
    time_ns: Any,
    host: Any,
    hold_ns: Any,
    hosts: int,
    key: Any,
    backoff_ns: int,
    distribution: int,
    wait_ns: Any,
    retries: Any,
    failed: Any,
    at_ns: Any,
    row: Any,
) -> int:
    """When each conflict happened, drawn anew from the keys; fills the last two arrays in place, row by row per host.

    Parameters
    ----------
    time_ns, host, hold_ns, hosts, key, backoff_ns, distribution
        As given to `contend`.
    wait_ns, retries, failed : (n,) array
        As `contend` filled them.
    at_ns, row : (sum of retries,) int64 array
        Time of each conflict, and whose. [ns, 1]

    Returns
    -------
    int
        -1, or the first row that such a queue cannot have served so.
    """
    rows, first = by_host(host, hosts)
    place = 0
    for h in range(hosts):
        ready_ns = np.int64(0)
        for k in range(first[h], first[h + 1]):
            i = rows[k]
            own_key = request_key(key, h, k - first[h])
            now = max(time_ns[i], ready_ns)
            for attempt in range(1, retries[i] + 1):
                at_ns[place] = now
                row[place] = i
                place += 1
                if not (failed[i] and attempt == retries[i]):
                    now += back_off(own_key, attempt, backoff_ns, distribution)
            if now != time_ns[i] + wait_ns[i]:
                return i
            ready_ns = now if failed[i] else now + hold_ns[i]
    return -1
