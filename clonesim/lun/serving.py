"""Minute by minute: what the array serves of what is asked, what waits in the hosts, and how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.lun.array import ArrayModel
from clonesim.lun.device import check_outstanding, checked_rates, latency
from clonesim.lun.rates import Rates, backlog, full_intervals
from clonesim.lun.replica_cache import ArrayDemand, together

MINUTE_S = 60.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Served:
    """What became of a demand, an entry per interval.

    Attributes
    ----------
    latency_mean_s, latency_p95_s : (n,) float64 array
        Of I/Os in the array; where there are none, of the idle array. [s]
    utilisation : (n,) float64 array
        Work done in the interval over the work that could be done. [1]
    backlog_ios : (n,) int64 array
        I/Os that wait in the hosts at the interval's end. [1]
    delay_s : (n,) float64 array
        Mean wait in the hosts of the I/Os asked for in the interval, before they reach the array. [s]
    reads, writes : (n,) int64 array
        Served in the interval. [1]
    """

    latency_mean_s: Floats
    latency_p95_s: Floats
    utilisation: Floats
    backlog_ios: Ints
    delay_s: Floats
    reads: Ints
    writes: Ints


def serve_minutes(
    demand_reads: ArrayLike,
    demand_writes: ArrayLike,
    array: ArrayModel,
    outstanding: int,
    read_bytes: ArrayLike | None = None,
    write_bytes: ArrayLike | None = None,
    read_hits: ArrayLike = 0.0,
    interval_s: float = MINUTE_S,
) -> Served:
    """Serve a demand by the minute; what a minute cannot take is carried to the next ones, oldest first.

    Parameters
    ----------
    demand_reads, demand_writes : (n,) int64 array
        I/Os asked for in each interval, that reach the array. [1]
    array : ArrayModel
        That serves them: all LUNs' demand together if they share it.
    outstanding : int
        Commands that are in the array at most. [1]
    read_bytes, write_bytes : (n,) array, optional
        Bytes of these I/Os; without them transfers take no time. [B]
    read_hits : (n,) array or float, default 0
        Share of the reads that the array's cache serves. [1]
    interval_s : float, default 60
        Length of an interval. [s]

    Returns
    -------
    Served
        Sum of what is served and the last backlog = sum of what was asked, of reads and writes, exactly.

    Raises
    ------
    ParameterError
        If a demand is negative or not whole, or the lengths differ.

    Notes
    -----
    A fluid: an interval's I/Os come evenly spread over it, and the work of one is the time that it keeps the array from
    others at the highest rate of its interval's mix. Work is exact; I/Os are rounded down where an interval ends in the
    middle of one. In an interval with a backlog at its begin or end the latency is that of the full array.
    """
    return _serve(
        _whole("demand_reads", demand_reads),
        _whole("demand_writes", demand_writes),
        array,
        outstanding,
        (read_bytes, write_bytes, read_hits),
        interval_s,
    )[0]


def serve_luns(demands: Sequence[ArrayDemand], array: ArrayModel, outstanding: int) -> list[Served]:
    """Serve several LUNs that lie on the same disks, minute by minute.

    Parameters
    ----------
    demands : sequence of ArrayDemand
        Of each LUN, all of the same minutes.
    array : ArrayModel
        That serves them all.
    outstanding : int
        Commands of all LUNs that are in the array at most. [1]

    Returns
    -------
    list of Served
        Of each LUN: latencies, utilisation and delay are those of the array, the rest is the LUN's own.

    Notes
    -----
    One queue for all: the oldest go first, whatever LUN they are for. So a LUN's storm delays the others.
    """
    if not demands:
        raise ParameterError("demands", demands, "the demand of one LUN or more is needed")
    asked = together(demands)
    details = asked.read_bytes, asked.write_bytes, asked.read_hits
    told, flow = _serve(asked.reads, asked.writes, array, outstanding, details, MINUTE_S)
    found = []
    for each in demands:
        own = [_served(column, flow) for column in (each.reads, each.writes)]
        left = np.cumsum(each.reads + each.writes) - np.cumsum(own[0] + own[1])
        found.append(replace(told, backlog_ios=left, reads=own[0], writes=own[1]))
    return found


@dataclass(frozen=True, slots=True)
class _Flow:
    """Work since the start, in intervals of the array: asked for, done by each interval's end, and still waiting."""

    asked: Floats
    done: Floats
    waiting: Floats


def _serve(
    reads: Ints,
    writes: Ints,
    array: ArrayModel,
    outstanding: int,
    details: tuple[ArrayLike | None, ArrayLike | None, ArrayLike],
    interval_s: float,
) -> tuple[Served, _Flow]:
    if reads.shape != writes.shape:
        raise ParameterError("demand_writes", writes.size, f"there are {reads.size} intervals of reads", "Give each.")
    if not 0 < interval_s < float("inf"):
        raise ParameterError("interval_s", interval_s, "a time above 0 s is needed")
    places = check_outstanding(outstanding)
    if not reads.size:
        none, nothing = np.zeros(0), np.zeros(0, np.int64)
        return Served(none, none, none, nothing, none, nothing, nothing), _Flow(none, none, none)
    rates = Rates(*checked_rates(reads, writes, *details))
    work = rates.work(array, places, interval_s)
    waiting = backlog(work)
    before = np.concatenate([[0.0], waiting[:-1]])
    asked = np.cumsum(work)
    flow = _Flow(asked, asked - waiting, waiting)
    served = [_served(column, flow) for column in (reads, writes)]
    told = latency(array, *rates.a_second(work, full_intervals(waiting), interval_s).given(places))
    made = Served(
        told.mean_s,
        told.p95_s,
        np.clip(before + work - waiting, 0.0, 1.0),
        np.cumsum(reads + writes) - np.cumsum(served[0] + served[1]),
        _delays(before, work, waiting) * interval_s,
        *served,
    )
    return made, flow


def _served(asked_ios: Ints, flow: _Flow) -> Ints:
    """I/Os of one kind served in each interval, oldest first; whole, and never more than were asked for."""
    count = np.concatenate([[0], np.cumsum(asked_ios)])
    at = np.interp(flow.done, np.concatenate([[0.0], flow.asked]), count.astype(np.float64))
    whole = np.minimum(np.floor(at).astype(np.int64), count[1:])
    reached = np.maximum.accumulate(np.where(flow.waiting == 0, count[1:], whole))
    return np.diff(reached, prepend=0)


def _delays(before: Floats, work: Floats, after: Floats) -> Floats:
    """Mean wait of the I/Os of each interval, in intervals; a host's queue of work w takes w intervals to drain."""
    empties = np.divide(before, 1.0 - work, out=np.ones_like(work), where=(after == 0) & (work < 1))
    while_empty = before / 2 * np.minimum(empties, 1.0)
    return np.where(after > 0, (before + after) / 2, while_empty)


def _whole(name: str, values: ArrayLike) -> Ints:
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in "iu" or (found < 0).any():
        shown = found.ravel()[:1].tolist()
        raise ParameterError(name, shown, "an array of whole numbers from 0 up is needed", "Count the I/Os.")
    return found.astype(np.int64)
