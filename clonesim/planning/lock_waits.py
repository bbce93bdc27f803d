"""How long a lock request would wait on a LUN of n clones, at any moment of a storm.

What is asked is the virtual wait: that of a request which comes at a random moment, not of those that came. Waits of
the requests themselves would count the busiest moments of big storms most often, and quiet storms hardly. So probes are
put at random moments of each storm's windows: requests of nobody, that hold the lock for a nanosecond. All storms of a
kind count by their length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.keys import generator
from clonesim.lun.lock_model import NS
from clonesim.lun.lock_run import closed_waits
from clonesim.lun.lock_traffic import LockTraffic, lock_requests
from clonesim.lun.operations import GROWTH, Operations

MINUTE_S = 60.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Latency = Callable[[Ints], Floats]  # minutes since the start -> latency of a command [s]


@dataclass(frozen=True, slots=True)
class VirtualWaits:
    """What a LUN's locks were like in the windows of one kind of storm.

    Attributes
    ----------
    wait_s : (probes,) float64 array
        Wait of a request at a random moment of the windows; infinite where it would have failed. [s]
    conflicts : int
        That clones' requests met there. [1]
    worst_minute : int
        Most conflicts in one minute. [1]
    requests, failed : int
        Of clones, in the windows. [1]
    length_s : float
        Of all windows. [s]
    """

    wait_s: Floats
    conflicts: int
    worst_minute: int
    requests: int
    failed: int
    length_s: float


def virtual_waits(
    operations: Operations,
    windows: Mapping[str, Floats],
    locks: LockTraffic,
    hosts: int,
    latency: Latency | None = None,
    probes: int = 200,
    seed: int = 0,
    replicate: int = 0,
    lun: int = 0,
) -> dict[str, VirtualWaits]:
    """Waits in the windows of each kind of storm.

    Parameters
    ----------
    operations : Operations
        Of the clones of one LUN, in order of time, as far as they lie in the windows.
    windows : mapping of str to (n, 2) float64 array
        Start and end of the windows of each kind. [s]
    locks : LockTraffic
        The LUN's lock.
    hosts : int
        That use the LUN. [1]
    latency : callable, optional
        Latency of a command by minute, which makes a hold; without it, the hold is that of `locks`. [s]
    probes : int, default 200
        Random moments of each kind. [1]
    seed, replicate, lun : int, default 0
        Name the stream of these moments. [1]

    Notes
    -----
    A hold is as long as the array's latency in the minute in which its operation begins; it does not follow the array
    while the request waits (`run_locks` does).
    """
    requests = lock_requests(operations, locks)
    rng = generator(seed, replicate, lun, "pool:lock-probes")
    moments = {kind: _moments(spans, probes, rng) for kind, spans in windows.items()}
    probe_s = np.concatenate([np.zeros(0), *moments.values()])
    time_s = np.concatenate([requests.time_s, probe_s])
    nobody = int(requests.clone.max(initial=0)) + 1
    clone = np.concatenate([requests.clone, nobody + np.arange(probe_s.size)])
    host = np.concatenate([requests.host, rng.integers(hosts, size=probe_s.size)])
    hold_ns = np.ones(time_s.size, np.int64)
    hold_ns[: requests.time_s.size] = _holds(requests.time_s, locks, latency)
    order = np.argsort(time_s, kind="stable")
    waits = closed_waits(
        np.rint(time_s * NS).astype(np.int64)[order], clone[order], host[order], hold_ns[order], locks.model, hosts
    )
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    wait_s = np.where(waits.failed, np.inf, waits.wait_ns / NS)[back]
    mine = slice(0, requests.time_s.size)
    met, gave_up = waits.retries[back][mine], waits.failed[back][mine]
    found, first = {}, requests.time_s.size
    for kind, at in moments.items():
        counts = _inside(requests.time_s, windows[kind], met, gave_up)
        found[kind] = VirtualWaits(wait_s[first : first + at.size], *counts)
        first += at.size
    return found


def growth(time_s: Floats, clone: Ints, host: NDArray[np.int32]) -> Operations:
    """Growth steps as operations."""
    return Operations(time_s, clone, host, np.full(time_s.size, GROWTH, np.int8))


def inside(time_s: Floats, spans: Floats) -> NDArray[np.bool_]:
    """Which of the times lie in a window; windows are in order and do not overlap."""
    if not len(spans):
        return np.zeros(time_s.size, bool)
    place = np.searchsorted(spans[:, 0], time_s, side="right") - 1
    found: NDArray[np.bool_] = (place >= 0) & (time_s < spans[place, 1])
    return found


def _holds(time_s: Floats, locks: LockTraffic, latency: Latency | None) -> Ints | int:
    if latency is None or not locks.commands:
        return locks.hold_ns
    hold_s = locks.commands * latency((time_s / MINUTE_S).astype(np.int64))
    return np.maximum(np.rint(hold_s * NS).astype(np.int64), 1)


def _moments(spans: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Random moments of the windows, one in each of equal parts of their time."""
    ends = np.cumsum(spans[:, 1] - spans[:, 0])
    at = (np.arange(count) + rng.random(count)) * (ends[-1] / count)
    place = np.minimum(np.searchsorted(ends, at, side="right"), len(spans) - 1)
    return np.asarray(spans[place, 1] - (ends[place] - at))


def _inside(time_s: Floats, spans: Floats, met: Ints, failed: NDArray[np.bool_]) -> tuple[int, int, int, int, float]:
    rows = inside(time_s, spans)
    minute = (time_s[rows] / MINUTE_S).astype(np.int64)
    by_minute = np.bincount(minute - minute.min(), weights=met[rows]) if minute.size else np.zeros(1)
    length_s = float((spans[:, 1] - spans[:, 0]).sum())
    return int(met[rows].sum()), int(by_minute.max()), int(rows.sum()), int(failed[rows].sum()), length_s
