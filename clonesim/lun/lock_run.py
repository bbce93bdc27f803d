"""The locks of one LUN in a closed pool: a clone asks anew when its request before has ended, on a loaded array.

docs/lock-model.md states the rules. `closed_waits` is the queue alone; `run_locks` gives each hold the array's latency
at its moment, and `run_locks_loaded` lets the locks' own commands load that array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.lun.contend_closed_kernel import closed_conflict_times, contend_closed
from clonesim.lun.lock_frames import ServedLocks
from clonesim.lun.lock_model import DISTRIBUTIONS, NS, LockModel
from clonesim.lun.lock_traffic import LockRequests, LockTraffic
from clonesim.lun.locks import MOST_HOSTS

MINUTE_NS = 60 * NS
LONGEST_NS = 10**18  # 31 years
LONGEST_LATENCY_S = 1e6
LATEST_NS = 4 * 10**18  # twice a time is a key of the kernel, and back-offs come on top

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClosedWaits:
    """How each request fared, in the order of the requests.

    Attributes
    ----------
    asked_ns : (n,) int64 array
        When it was made: at its own time, or when its clone's request before had ended. [ns]
    wait_ns : (n,) int64 array
        From then to the grant, or to giving up. [ns]
    hold_ns : (n,) int64 array
        How long it then held the lock; 0 if it failed. [ns]
    retries : (n,) int64 array
        Conflicts met. [1]
    failed : (n,) bool array
        Requests that gave up.
    """

    asked_ns: Ints
    wait_ns: Ints
    hold_ns: Ints
    retries: Ints
    failed: NDArray[np.bool_]

    @property
    def grant_ns(self) -> Ints:
        """When the lock was granted, or the request given up. [ns]"""
        return self.asked_ns + self.wait_ns

    @property
    def end_ns(self) -> Ints:
        """When the lock was released, or the request given up. [ns]"""
        return self.grant_ns + self.hold_ns


def closed_waits(
    time_ns: Ints, clone: Ints, host: Ints, hold_ns: Ints, model: LockModel, hosts: int | None = None
) -> ClosedWaits:
    """Serve requests of which each clone has one outstanding.

    Parameters
    ----------
    time_ns, clone, host, hold_ns : (n,) int64 array
        Requests in order of time: earliest time, whose, on which host, and for how long it holds its lock. Requests of
        one clone follow each other in this order; a request with a clone of its own is an open one. [ns, 1, 1, ns]
    model : LockModel
        The lock.
    hosts : int, optional
        By default the highest number in the requests plus 1. [1]

    Returns
    -------
    ClosedWaits
        In the order of the requests.

    Raises
    ------
    ParameterError
        If the arrays differ in length, a time is negative, out of order or beyond 31 years, a hold is below 1 ns, or a
        host or a clone is not a number from 0 up, or not there.

    Notes
    -----
    Draws are keyed by the clone and the number of the request among the clone's: no other clone changes them. So
    with a clone for each request everything is as in `clonesim.lock_queue` but for the draws, which that one keys by
    host.
    """
    _check_length("hold_ns", hold_ns, time_ns)
    if hold_ns.size and hold_ns.min() < 1:
        row = int(np.flatnonzero(hold_ns < 1)[0])
        raise ParameterError("hold_ns", int(hold_ns[row]), f"row {row} is shorter than 1 ns")
    return _serve(time_ns, clone, host, hold_ns, np.ones(1, np.int64), model, hosts)


def _serve(
    time_ns: Ints, clone: Ints, host: Ints, cost: Ints, unit_ns: Ints, model: LockModel, hosts: int | None
) -> ClosedWaits:
    _check(time_ns, clone, host, hosts)
    n = time_ns.size
    if n and int(time_ns[-1]) + n * int(cost.max()) * int(unit_ns.max()) > LATEST_NS:
        allowed = f"{n} holds of this length may end after {LATEST_NS} ns, the last time that is told"
        raise ParameterError("hold_ns", int(cost.max()) * int(unit_ns.max()), allowed, "Lower the latency or the hold.")
    asked_ns, wait_ns, hold_ns, retries = (np.zeros(n, np.int64) for _ in range(4))
    failed = np.zeros(n, np.bool_)
    if n:
        names, place = np.unique(clone, return_inverse=True)
        whose, count = (host, hosts or int(host.max()) + 1) if model.contended else (np.zeros(n, np.int64), 1)
        contend_closed(
            _ready(time_ns),
            _ready(place),
            _ready(names),
            _ready(whose),
            _ready(cost),
            _ready(unit_ns),
            MINUTE_NS,
            count,
            model.key,
            model.limit,
            model.backoff_ns,
            DISTRIBUTIONS[model.distribution],
            model.clusters,
            model.affinity,
            model.fallback_after,
            asked_ns,
            wait_ns,
            hold_ns,
            retries,
            failed,
        )
    return ClosedWaits(asked_ns, wait_ns, hold_ns, retries, failed)


@dataclass(frozen=True)
class LockRun:
    """What the locks of one LUN did; made by `run_locks`.

    Attributes
    ----------
    requests : LockRequests
        What was asked.
    locks : LockTraffic
        Of what.
    waits : ClosedWaits
        How each request fared.
    commands : (minutes,) int64 array
        Commands that the locks themselves sent to the LUN in each minute: those of each grant at its time, and one of
        each conflict. What comes after the last minute is left out. [1]
    latency_s : (minutes,) float64 array
        Latency that the holds were made of; empty if they were fixed. [s]
    rounds : int
        How often the requests were served until latency and locks agreed. [1]
    latency_change : float
        How far the latency that the locks' commands make is from the one they were served at: largest relative
        difference of a minute; 0 if no array was asked. [1]
    converged : bool
        Whether that is within the tolerance.
    """

    requests: LockRequests
    locks: LockTraffic
    waits: ClosedWaits
    commands: Ints
    latency_s: Floats
    rounds: int = 1
    latency_change: float = 0.0
    converged: bool = True

    def served(self) -> ServedLocks:
        """The same in order of the times at which requests were made, for the frames of locks."""
        return self._in_order

    @cached_property
    def _in_order(self) -> ServedLocks:
        return _served(self.requests, self.locks.model, self.waits)


def run_locks(
    requests: LockRequests,
    locks: LockTraffic,
    hosts: int | None = None,
    latency_s: ArrayLike | None = None,
    minutes: int | None = None,
) -> LockRun:
    """Serve the lock requests of a LUN; each hold is commands x the array's latency in the minute of its grant.

    Parameters
    ----------
    requests : LockRequests
        Of `lock_requests`.
    locks : LockTraffic
        The LUN's lock.
    hosts : int, optional
        By default the highest number in the requests plus 1. [1]
    latency_s : float or (minutes,) array, optional
        Latency of one command, or that in each minute from the start; the last one goes on. By default the holds are
        `locks.hold`. A lock that is not on the LUN is held for its fixed time anyway. [s]
    minutes : int, optional
        Length of the `commands` that come back; by default that of `latency_s`, or until the last lock is released. [1]

    Raises
    ------
    ParameterError
        If a latency is not above 0 s, or the requests are not what `closed_waits` takes.

    Notes
    -----
    Latencies are rounded to whole nanoseconds, at least 1.
    """
    given = np.zeros(0) if latency_s is None else np.atleast_1d(np.asarray(latency_s, np.float64))
    bad = np.flatnonzero(~((given > 0) & (given <= LONGEST_LATENCY_S)))
    if bad.size:
        allowed = f"minute {bad[0]}: a time above 0 s and up to {LONGEST_LATENCY_S:g} s is needed"
        raise ParameterError("latency_s", float(given[bad[0]]), allowed)
    n = requests.time_s.size
    if given.size and locks.commands:
        cost, unit_ns = np.full(n, locks.commands), np.maximum(np.rint(given * NS), 1).astype(np.int64)
    else:
        cost, unit_ns, given = np.full(n, locks.hold_ns), np.ones(1, np.int64), np.zeros(0)
    waits = _serve(requests.time_ns, requests.clone, requests.host, cost, unit_ns, locks.model, hosts)
    if minutes is None:
        minutes = given.size if given.size > 1 else int(waits.end_ns.max(initial=0)) // MINUTE_NS + 1
    return LockRun(requests, locks, waits, _commands(requests, locks, waits, minutes), given)


def run_locks_loaded(
    requests: LockRequests,
    locks: LockTraffic,
    hosts: int | None,
    latency_of: Callable[[Ints], ArrayLike],
    minutes: int,
    most_rounds: int = 8,
    tolerance: float = 0.01,
) -> LockRun:
    """Serve the lock requests of a LUN on the array that their own commands load, until both agree.

    Parameters
    ----------
    requests, locks, hosts
        As for `run_locks`.
    latency_of : callable
        Latency in each minute [s], of the locks' commands in each minute, a (minutes,) int64 array [1].
    minutes : int
        Length of both. [1]
    most_rounds : int, default 8
        Rounds after which it stops anyway. [1]
    tolerance : float, default 0.01
        `latency_change` up to which it has converged. [1]

    Returns
    -------
    LockRun
        Of the last round, with `rounds`, `latency_change` and `converged`.

    Notes
    -----
    The first round is served at the latency without locks. After the third the commands that make the next latency are
    averaged with those before, so that a minute at the edge of saturation swings less. There it may have no latency
    that agrees with its locks; `converged` then is False. Nothing is random beyond the keyed draws.
    """
    if minutes < 1 or most_rounds < 1:
        name, value = ("minutes", minutes) if minutes < 1 else ("most_rounds", most_rounds)
        raise ParameterError(name, value, "a whole number from 1 up is needed")
    loads = np.zeros(minutes, np.int64)
    latency = _latency(latency_of, loads)
    for number in range(1, most_rounds + 1):
        run = run_locks(requests, locks, hosts, latency, minutes)
        made = _latency(latency_of, run.commands)
        change = float(np.max(np.abs(made / latency - 1)))
        if change <= tolerance or number == most_rounds:
            break
        loads = run.commands if number < 3 else (loads + run.commands) // 2
        latency = made if number < 3 else _latency(latency_of, loads)
    return replace(run, rounds=number, latency_change=change, converged=change <= tolerance)


def _latency(latency_of: Callable[[Ints], ArrayLike], loads: Ints) -> Floats:
    found = np.asarray(latency_of(loads), np.float64)
    if found.shape != loads.shape or not (np.isfinite(found) & (found > 0)).all():
        allowed = f"a time above 0 s for each of the {loads.size} minutes is needed"
        raise ParameterError("latency_of", found.shape if found.shape != loads.shape else float(found.min()), allowed)
    return found


def _commands(requests: LockRequests, locks: LockTraffic, waits: ClosedWaits, minutes: int) -> Ints:
    found = np.zeros(minutes, np.int64)
    if not locks.commands:
        return found
    grants = waits.grant_ns[~waits.failed] // MINUTE_NS
    found += locks.commands * np.bincount(grants[grants < minutes], minlength=minutes)
    met = closed_conflicts(requests.clone, locks.model, waits)[0] // MINUTE_NS
    return found + np.bincount(met[met < minutes], minlength=minutes)


def closed_conflicts(clone: Ints, model: LockModel, waits: ClosedWaits) -> tuple[Ints, Ints]:
    """Times of all conflicts, drawn anew, and their rows; row by row. [ns, 1]

    Raises
    ------
    ParameterError
        If a request cannot have been served so by this model.
    """
    count = int(waits.retries.sum())
    at_ns, row = np.empty(count, np.int64), np.empty(count, np.int64)
    if count:
        names, place = np.unique(clone, return_inverse=True)
        wrong = closed_conflict_times(
            *(_ready(place), _ready(names), model.key, model.backoff_ns, DISTRIBUTIONS[model.distribution]),
            *(waits.asked_ns, waits.wait_ns, waits.retries, waits.failed, at_ns, row),
        )
        if wrong >= 0:
            allowed = f"row {wrong} waits as {model.name!r} with these parameters and this seed does not let it"
            raise ParameterError("waits.wait_ns", int(waits.wait_ns[wrong]), allowed)
    return at_ns, row


def _served(requests: LockRequests, model: LockModel, waits: ClosedWaits) -> ServedLocks:
    order = np.argsort(waits.asked_ns, kind="stable")
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    at_ns, row = closed_conflicts(requests.clone, model, waits)
    retries = waits.retries[order]
    return ServedLocks(
        model,
        time_ns=waits.asked_ns[order],
        host=requests.host[order],
        hold_ns=waits.hold_ns[order],
        wait_ns=waits.wait_ns[order],
        retries=retries,
        failed=waits.failed[order],
        reserved=retries >= model.fallback_after,
        met=(at_ns, rank[row]),
    )


def _ready(column: NDArray[np.int64]) -> Ints:
    return np.require(column, np.int64, ["C", "W"])  # one signature for the kernel, whatever pandas hands over


def _check_length(name: str, column: Ints, time_ns: Ints) -> None:
    if column.shape != time_ns.shape:
        raise ParameterError(name, column.size, f"there are {time_ns.size} requests", "Give one for each.")


def _check(time_ns: Ints, clone: Ints, host: Ints, hosts: int | None) -> None:
    for name, column in (("clone", clone), ("host", host)):
        _check_length(name, column, time_ns)
    if hosts is not None and not 0 < hosts <= MOST_HOSTS:
        raise ParameterError("hosts", hosts, f"allowed are whole numbers from 1 to {MOST_HOSTS}")
    if not time_ns.size:
        return
    if time_ns[0] < 0:
        raise ParameterError("time_ns", int(time_ns[0]), "row 0 is before the start", "Shift all times to 0 or later.")
    late = np.flatnonzero(np.diff(time_ns) < 0)
    if late.size:
        row = int(late[0]) + 1
        allowed = f"row {row} is earlier than row {row - 1} ({int(time_ns[row - 1])})"
        raise ParameterError("time_ns", int(time_ns[row]), allowed, "Sort the requests by time.")
    if time_ns[-1] > LONGEST_NS:
        raise ParameterError("time_ns", int(time_ns[-1]), f"the last time may be {LONGEST_NS} ns at most")
    if clone.min() < 0:
        raise ParameterError("clone", int(clone.min()), "clones are numbers from 0 up")
    most = MOST_HOSTS if hosts is None else hosts
    if host.min() < 0 or host.max() >= most:
        wrong = int(host.min() if host.min() < 0 else host.max())
        raise ParameterError("host", wrong, f"hosts are 0 to {most - 1}", "Number the hosts from 0 up.")
