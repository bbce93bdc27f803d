"""Kernels of a lock whose askers wait for their turn: a clone asks anew only when its request before has ended.

Integers only: int64 nanoseconds, and draws that are a hash of what they are for. Events of equal time: ends by host
number, each of which lets its clone ask again; then requests whose own time it is, in order of their rows; then
attempts by host number. A heap of hosts holds all ends and attempts, for a host has one of both at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from clonesim.lun.contend_kernel import back_off, child, pick_cluster

KERNELS = "2c6c66b026b2c0cb"

NEVER = np.int64(2**63 - 1)
END, ATTEMPT = 0, 1  # of an event: twice its time plus this is its place in the order
IDLE, TRIES, HOLDS = 0, 1, 2  # what a host does


@njit(cache=True)
def _before(event: Any, one: int, other: int) -> bool:
    return event[one] < event[other] or (event[one] == event[other] and one < other)


@njit(cache=True)
def _moved(heap: Any, place: Any, event: Any, host: int) -> None:
    """Let a host whose event has changed find its new place in the heap of (event, host)."""
    at = place[host]
    while at > 0:
        above = heap[(at - 1) // 2]
        if not _before(event, host, above):
            break
        heap[at] = above
        place[above] = at
        at = (at - 1) // 2
    while True:
        below = 2 * at + 1
        if below >= heap.size:
            break
        if below + 1 < heap.size and _before(event, heap[below + 1], heap[below]):
            below += 1
        if not _before(event, heap[below], host):
            break
        heap[at] = heap[below]
        place[heap[at]] = at
        at = below
    heap[at] = host
    place[host] = at


@njit(cache=True)
def chain(clone: Any, clones: int) -> Any:
    """Next row of each row's clone, -1 for none, and its number among its clone's rows: two (n,) int64 arrays."""
    following, number = np.full(clone.size, -1, np.int64), np.zeros(clone.size, np.int64)
    last = np.full(clones, -1, np.int64)
    for i in range(clone.size):
        before = last[clone[i]]
        if before >= 0:
            following[before] = i
            number[i] = number[before] + 1
        last[clone[i]] = i
    return following, number


@njit(cache=True)
def contend_closed(
    time_ns: Any,
    clone: Any,
    names: Any,
    host: Any,
    cost: Any,
    unit_ns: Any,
    step_ns: int,
    hosts: int,
    key: Any,
    limit: int,
    backoff_ns: int,
    distribution: int,
    clusters: int,
    affinity: float,
    reserve_from: int,
    asked_ns: Any,
    wait_ns: Any,
    hold_ns: Any,
    retries: Any,
    failed: Any,
) -> None:
    """Serve every request of one LUN, one at a time of each clone; fills the last five arrays in place.

    Parameters
    ----------
    time_ns, clone, host : (n,) int64 array
        Requests in order of time: earliest time, place of the clone in `names`, host. [ns, 1, 1]
    names : (clones,) int64 array
        Numbers of the clones, of which the draws are made. [1]
    cost : (n,) int64 array
        Hold of each request in units. [1]
    unit_ns : (m,) int64 array
        Length of a unit in each step of time, of which the last has no end. [ns]
    step_ns : int
        Length of a step. [ns]
    hosts, key, limit, backoff_ns, distribution, clusters, affinity, reserve_from
        As `clonesim.lun.contend_kernel.contend` has them.
    asked_ns, wait_ns, hold_ns, retries : (n,) int64 array
        When it was asked, how long until it was granted or given up, how long it then held the lock (0 if failed), and
        the conflicts it met. [ns, ns, ns, 1]
    failed : (n,) bool array
        Requests that gave up.
    """
    n = time_ns.size
    following, number = chain(clone, names.size)
    busy = np.zeros(names.size, np.bool_)  # whether a clone has a request outstanding
    head, tail = np.full(hosts, -1, np.int64), np.full(hosts, -1, np.int64)  # queue of each host, the served one first
    behind = np.full(n, -1, np.int64)
    does = np.zeros(hosts, np.int64)
    started = np.zeros(hosts, np.bool_)  # whether the first of the queue has its key and its lock
    event = np.full(hosts, NEVER, np.int64)
    heap, place = np.arange(hosts), np.arange(hosts)
    conflicts, cluster = np.zeros(hosts, np.int64), np.zeros(hosts, np.int64)
    own_key = np.zeros(hosts, np.uint64)
    free_ns = np.zeros(clusters, np.int64)  # when each lock falls free
    reserved_ns = np.int64(0)  # until when the LUN is reserved
    next_row = 0
    while True:
        h = heap[0]
        if next_row < n and 2 * time_ns[next_row] + ATTEMPT <= event[h]:
            asks, now = next_row, time_ns[next_row]
            next_row += 1
            if busy[clone[asks]]:
                continue  # it is asked when its clone's request before has ended, if it was not at this very moment
        elif event[h] == NEVER:
            break
        else:
            now = event[h] // 2
            i = head[h]
            if does[h] == TRIES:
                if not started[h]:
                    started[h] = True
                    conflicts[h] = 0
                    own_key[h] = child(child(key, names[clone[i]]), number[i])
                    if clusters > 1:
                        cluster[h] = pick_cluster(own_key[h], h, hosts, clusters, affinity)
                if now >= reserved_ns and now >= free_ns[cluster[h]]:
                    hold_ns[i] = cost[i] * unit_ns[min(now // step_ns, unit_ns.size - 1)]
                    wait_ns[i], retries[i], failed[i] = now - asked_ns[i], conflicts[h], False
                    free_ns[cluster[h]] = now + hold_ns[i]
                    if conflicts[h] >= reserve_from:
                        reserved_ns = now + hold_ns[i]
                    does[h] = HOLDS
                    event[h] = 2 * (now + hold_ns[i]) + END
                    _moved(heap, place, event, h)
                    continue
                conflicts[h] += 1
                if conflicts[h] < limit:
                    wait = back_off(own_key[h], conflicts[h], backoff_ns, distribution)
                    event[h] = 2 * (now + wait) + ATTEMPT
                    _moved(heap, place, event, h)
                    continue
                hold_ns[i], wait_ns[i], retries[i], failed[i] = 0, now - asked_ns[i], conflicts[h], True
            # the transaction has ended: the host goes on with its queue, and the clone with its next request
            started[h] = False
            head[h] = behind[i]
            if head[h] < 0:
                tail[h] = -1
                does[h] = IDLE
                event[h] = NEVER
            else:
                does[h] = TRIES
                event[h] = 2 * now + ATTEMPT
            _moved(heap, place, event, h)
            busy[clone[i]] = False
            asks = following[i]
            if asks < 0 or time_ns[asks] > now:
                continue
        busy[clone[asks]] = True
        asked_ns[asks] = now
        g = host[asks]
        if tail[g] >= 0:
            behind[tail[g]] = asks
            tail[g] = asks
            continue
        head[g], tail[g], does[g] = asks, asks, TRIES
        event[g] = 2 * now + ATTEMPT
        _moved(heap, place, event, g)


@njit(cache=True)
def closed_conflict_times(
    clone: Any,
    names: Any,
    key: Any,
    backoff_ns: int,
    distribution: int,
    asked_ns: Any,
    wait_ns: Any,
    retries: Any,
    failed: Any,
    at_ns: Any,
    row: Any,
) -> int:
    """When each conflict happened, drawn anew from the keys; fills the last two arrays in place, row by row.

    Parameters
    ----------
    clone, names, key, backoff_ns, distribution, asked_ns, wait_ns, retries, failed
        As `contend_closed` had or filled them.
    at_ns, row : (sum of retries,) int64 array
        Time of each conflict, and whose. [ns, 1]

    Returns
    -------
    int
        -1, or the first row that met its first conflict before it was asked: not served so.
    """
    _, number = chain(clone, names.size)
    place = 0
    for i in range(clone.size):
        count = retries[i]
        if count == 0:
            continue
        own_key = child(child(key, names[clone[i]]), number[i])
        now = asked_ns[i] + wait_ns[i]
        if failed[i]:
            at_ns[place + count - 1] = now
            row[place + count - 1] = i
        for attempt in range(count - (1 if failed[i] else 0), 0, -1):
            now -= back_off(own_key, attempt, backoff_ns, distribution)
            at_ns[place + attempt - 1] = now
            row[place + attempt - 1] = i
        if now < asked_ns[i]:
            return i
        place += count
    return -1
