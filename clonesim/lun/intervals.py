"""Statistics per interval of time. An interval is [t, t + dt): what happens at t + dt belongs to the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NS = 1_000_000_000
Ints = NDArray[np.int64]


def edges(end_ns: int, interval_ns: int) -> Ints:
    """Borders of the intervals that cover everything up to and including one time. (n + 1,) int64 array [ns]."""
    return np.arange(end_ns // interval_ns + 2, dtype=np.int64) * interval_ns


def quantile(values: NDArray[Any], share: float) -> float:
    """Smallest of the values that at least this share of them does not exceed; NaN of none."""
    if not values.size:
        return float("nan")
    rank = max(0, int(np.ceil(share * values.size - 1e-9)) - 1)
    return float(np.partition(values, rank)[rank])


def quantiles(values: NDArray[Any], borders: Ints, shares: Sequence[float]) -> list[NDArray[np.float64]]:
    """`quantile` of each stretch of the values, for several shares.

    Parameters
    ----------
    values : (n,) array
        Stretch i is values[borders[i]:borders[i + 1]].
    borders : (m + 1,) int64 array
        Places in `values`, in order.
    shares : sequence of float
        As of `quantile`.

    Returns
    -------
    list of (m,) float64 array
        One per share; NaN where the stretch is empty.
    """
    first, count = borders[:-1], np.diff(borders)
    inside = values[borders[0] : borders[-1]]
    ordered = inside[np.lexsort((inside, np.repeat(np.arange(count.size), count)))]
    found = []
    for share in shares:
        rank = np.maximum(np.ceil(share * count - 1e-9).astype(np.int64) - 1, 0)
        column = np.full(count.size, np.nan)
        column[count > 0] = ordered[(first - borders[0] + rank)[count > 0]]
        found.append(column)
    return found


def busy_before(times_ns: Ints, grant_ns: Ints, hold_ns: int) -> Ints:
    """Time for which the lock was held before each of the given times. (n,) int64 array [ns].

    Parameters
    ----------
    times_ns : (n,) int64 array
        Times that are asked about. [ns]
    grant_ns : (m,) int64 array
        When the lock was granted, in order; two holds never overlap. [ns]
    hold_ns : int
        How long each of them holds it. [ns]
    """
    granted = np.searchsorted(grant_ns, times_ns, side="left")
    last = grant_ns[np.maximum(granted - 1, 0)] if grant_ns.size else np.zeros_like(times_ns)
    running = np.minimum(hold_ns, times_ns - last)
    return np.where(granted > 0, (granted - 1) * hold_ns + running, 0)


def lock_intervals(borders_ns: Ints, request_ns: Ints, wait_ns: Ints, hold_ns: int) -> pd.DataFrame:
    """Lock traffic of one LUN per interval.

    Parameters
    ----------
    borders_ns : (n + 1,) int64 array
        Borders of the intervals. [ns]
    request_ns, wait_ns : (m,) int64 array
        Lock requests in order of time, and their waits. [ns]
    hold_ns : int
        Time for which each request holds the lock. [ns]

    Returns
    -------
    DataFrame
        `reservations` and `reservations_per_s` count grants by the time of the grant, as esxtop's RESV/s does [1, 1/s];
        `reserved_fraction` is the share of the interval in which the lock is held [1]; `wait_p50_s`, `wait_p99_s` and
        `wait_max_s` are over the requests made in the interval, NaN where there are none [s].
    """
    grant_ns = request_ns + wait_ns
    length_s = np.diff(borders_ns) / NS
    grants = np.diff(np.searchsorted(grant_ns, borders_ns, side="left"))
    waits = quantiles(wait_ns / NS, np.searchsorted(request_ns, borders_ns, side="left"), (0.5, 0.99, 1.0))
    return pd.DataFrame(
        {
            "reservations": grants,
            "reservations_per_s": grants / length_s,
            "reserved_fraction": np.diff(busy_before(borders_ns, grant_ns, hold_ns)) / np.diff(borders_ns),
            "wait_p50_s": waits[0],
            "wait_p99_s": waits[1],
            "wait_max_s": waits[2],
        }
    )
