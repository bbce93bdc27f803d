"""What the lock of a LUN costs, in frames: counters as esxtop shows them, waits, retries, and the guests' I/Os.

All take the frame that `clonesim.lock_queue` gave, in its order, and the `LockModel` it was served by. An interval is
[t, t + dt). `fifo` counts as a reservation of the whole LUN without conflicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.lun.contend_kernel import conflict_times
from clonesim.lun.intervals import quantiles
from clonesim.lun.lock_model import DISTRIBUTIONS, NS, LockModel

ALL = -1  # the `host` of the rows that take all hosts together
SHARES = {"wait_p50_s": 0.5, "wait_p95_s": 0.95, "wait_p99_s": 0.99, "wait_max_s": 1.0}
COUNTERS = (
    *("time_s", "end_s", "host", "requests", "reservations", "resv_per_s", "conflicts", "cons_per_s", "ats"),
    *("miscompares", "reserved_fraction", *SHARES, "failed"),
)
NEEDED = ("time_s", "host", "hold_s", "wait_s", "retries", "failed")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Conflicts: TypeAlias = tuple[Ints, Ints, NDArray[np.bool_]]  # times, rows, and whether each met a reservation


def lock_counters(
    served: pd.DataFrame, model: LockModel, interval_s: float | None = None, end_s: float | None = None
) -> pd.DataFrame:
    """Lock traffic per interval and host, as esxtop counts it.

    Parameters
    ----------
    served : DataFrame
        Of `clonesim.lock_queue`.
    model : LockModel
        It was served by.
    interval_s : float, optional
        Length of an interval; by default one interval up to `end_s`. [s]
    end_s : float, optional
        Where the last interval ends, at the latest; by default when the last lock is released. Later events do not
        count. [s]

    Returns
    -------
    DataFrame
        A row per interval and host that has requests, and one of all hosts together (host -1): `time_s`, `end_s`,
        `host`; `requests` made in the interval [1]; `reservations` of the LUN by the time of the grant and `resv_per_s`
        [1, 1/s]; `conflicts`, attempts that met another host's reservation, and `cons_per_s` [1, 1/s]; `ats`, locks
        granted by a compare-and-write, and `miscompares`, attempts that found the lock held without a reservation [1];
        `reserved_fraction`, share of the interval in which this host, or any, has the LUN reserved [1]; `wait_p50_s`,
        `wait_p95_s`, `wait_p99_s`, `wait_max_s` over the requests made in the interval, failed ones up to their end,
        NaN of none [s]; `failed`, of those requests [1].

    Raises
    ------
    ParameterError
        If columns are missing, the rows are not what this model serves, or an interval is not above 0 s.

    Notes
    -----
    esxtop's CONS/s also counts guest I/Os that meet a reservation; `guest_io` gives those.
    """
    return counters(ServedLocks.of(served, model), interval_s, end_s)


def counters(run: ServedLocks, interval_s: float | None = None, end_s: float | None = None) -> pd.DataFrame:
    """Lock traffic per interval and host of served requests; see `lock_counters`."""
    end_ns = run.last_ns if end_s is None else _span(end_s, "end_s")
    step_ns = max(end_ns, 1) if interval_s is None else _span(interval_s, "interval_s")
    borders = np.append(np.arange(0, max(end_ns, 1), step_ns, dtype=np.int64), np.int64(max(end_ns, 1)))
    conflicts, length_s = run.conflicts(), np.diff(borders) / NS
    hosts = [*np.unique(run.host).tolist(), ALL]
    parts = [_traffic(run, borders, conflicts, None if host == ALL else host) for host in hosts]
    for host, part in zip(hosts, parts, strict=True):
        part["time_s"], part["end_s"] = borders[:-1] / NS, borders[1:] / NS
        part["host"] = np.full(length_s.size, host, np.int64)
        part["resv_per_s"], part["cons_per_s"] = part["reservations"] / length_s, part["conflicts"] / length_s
    return pd.DataFrame({name: np.stack([part[name] for part in parts], axis=1).reshape(-1) for name in COUNTERS})


def traffic(run: ServedLocks, borders: Ints, conflicts: Conflicts) -> pd.DataFrame:
    """Lock traffic of all hosts together between borders of time [ns]; columns as `lock_counters` has them."""
    return pd.DataFrame(_traffic(run, borders, conflicts))


def _traffic(
    run: ServedLocks, borders: Ints, conflicts: Conflicts, host: int | None = None
) -> dict[str, Ints | Floats]:
    """The same of one host, or of all, column by column."""
    conflict_ns, row, reserved = conflicts
    mine = np.ones(run.host.size, bool) if host is None else run.host == host
    time_ns, locks, met = run.time_ns[mine], mine & ~run.failed, mine[row]
    under = locks & run.reserved
    spans = Spans.of(run.grant_ns[under], run.hold_ns[under])
    waits = quantiles(run.wait_ns[mine] / NS, np.searchsorted(time_ns, borders), tuple(SHARES.values()))
    return {
        "requests": _count(time_ns, borders),
        "reservations": _count(spans.start, borders),
        "conflicts": _count(conflict_ns[met & reserved], borders),
        "ats": _count(np.sort(run.grant_ns[locks & ~run.reserved]), borders),
        "miscompares": _count(conflict_ns[met & ~reserved], borders),
        "reserved_fraction": np.diff(spans.before(borders)) / np.diff(borders),
        **dict(zip(SHARES, waits, strict=True)),
        "failed": _count(time_ns[run.failed[mine]], borders),
    }


def retries_histogram(served: pd.DataFrame) -> pd.DataFrame:
    """How many requests met how many conflicts.

    Returns
    -------
    DataFrame
        `host` (-1 for all together), `retries`, `requests`, `failed` of them, in this order; only what occurs. [1]
    """
    rows = served[["host", "retries", "failed"]]
    both = pd.concat([rows.assign(host=ALL), rows])
    found = both.groupby(["host", "retries"], as_index=False).agg(requests=("failed", "size"), failed=("failed", "sum"))
    return found.astype("int64")


def guest_io(
    served: pd.DataFrame,
    model: LockModel,
    io_per_s: ArrayLike,
    end_s: float | None = None,
    backoff_s: float | None = None,
) -> pd.DataFrame:
    """Guest I/Os that meet a reservation of another host, and what that costs them.

    Parameters
    ----------
    served : DataFrame
        Of `clonesim.lock_queue`.
    model : LockModel
        It was served by.
    io_per_s : (hosts,) array
        I/Os per second that the guests of each host send to this LUN, spread evenly over the time. [1/s]
    end_s : float, optional
        Time looked at, from 0; by default until the last lock is released. [s]
    backoff_s : float, optional
        Mean back-off of an I/O that met a reservation; by default that of the model. [s]

    Returns
    -------
    DataFrame
        A row per host and one of all together (host -1): `io_per_s`; `met_fraction`, share of its I/Os that meet a
        reservation of another host [1]; `met_per_s`, as CONS/s counts them once each [1/s]; `delay_s`, mean delay of
        those that meet one, NaN if none does [s]; `mean_delay_s`, over all I/Os [s].

    Raises
    ------
    ParameterError
        If there is not one rate per host, a rate is negative, or columns are missing.

    Notes
    -----
    I/Os are taken as a Poisson process that does not feel its own delays: the share is that of time, the residual of
    the reservation met is spread as renewal theory says, and no second reservation is met on the way. I/Os have no
    limit of retries here. Under `ats` no I/O meets anything.
    """
    return guest_delays(ServedLocks.of(served, model), io_per_s, end_s, backoff_s)


def guest_delays(
    run: ServedLocks, io_per_s: ArrayLike, end_s: float | None = None, backoff_s: float | None = None
) -> pd.DataFrame:
    """Guest I/Os that meet a reservation of another host; see `guest_io`."""
    model = run.model
    rates = np.asarray(io_per_s, np.float64)
    hosts = int(run.host.max()) + 1 if run.host.size else 1
    if rates.ndim != 1 or rates.size < hosts:
        raise ParameterError("io_per_s", np.shape(io_per_s), f"a rate for each of the {hosts} hosts is needed")
    if not (np.isfinite(rates) & (rates >= 0)).all():
        raise ParameterError(
            "io_per_s", float(rates[~(np.isfinite(rates) & (rates >= 0))][0]), "rates are 0 /s or more"
        )
    end_ns = np.int64(max(run.last_ns if end_s is None else _span(end_s, "end_s"), 1))
    mean_s = model.backoff_ns / NS if backoff_s is None else _span(backoff_s, "backoff_s") / NS
    locks = ~run.failed & run.reserved & (run.grant_ns < end_ns)
    held_s = np.minimum(run.hold_ns[locks], end_ns - run.grant_ns[locks]) / NS
    own_s = np.bincount(run.host[locks], held_s, rates.size)
    delay_s = np.bincount(run.host[locks], held_s * met_delay(held_s, mean_s, model.distribution), rates.size)
    others_s, others_delay_s = own_s.sum() - own_s, delay_s.sum() - delay_s
    met = others_s / (end_ns / NS)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(others_s > 0, others_delay_s / others_s, np.nan)
        of_all = float(rates @ met / rates.sum()) if rates.sum() else 0.0
        delayed = rates * met * np.nan_to_num(each)
        all_each = delayed.sum() / (rates @ met) if rates @ met else np.nan
    fraction = np.append(met, of_all)
    table = pd.DataFrame({"host": [*range(rates.size), ALL], "io_per_s": np.append(rates, rates.sum())})
    table["met_fraction"] = fraction
    table["met_per_s"] = table["io_per_s"] * fraction
    table["delay_s"] = np.append(each, all_each)
    table["mean_delay_s"] = fraction * table["delay_s"].fillna(0.0)
    return table


def met_delay(hold_s: Floats, backoff_s: float, distribution: str) -> Floats:
    """Mean delay of an I/O that arrives at a random moment of a reservation and backs off until it is over. [s]

    Parameters
    ----------
    hold_s : (n,) float64 array
        Lengths of the reservations. [s]
    backoff_s : float
        Mean of its back-offs. [s]
    distribution : {"uniform", "exponential"}
        Of its back-offs.

    Notes
    -----
    With the residual r uniform on (0, hold), the delay is the first renewal after r. Exponential: r + mean, so
    hold / 2 + mean. Uniform on (0, 2 m): m exp(r / 2 m) up to r = 2 m, exactly; beyond, r + 2 m / 3, the limit, which
    is 2 % low at 2 m and better from there on.
    """
    hold = np.asarray(hold_s, np.float64)
    if distribution == "exponential":
        return hold / 2 + backoff_s
    most = 2 * backoff_s
    short = np.minimum(hold, most)
    area = backoff_s * most * np.expm1(short / most)
    long = np.maximum(hold - most, 0.0)
    area += long * (most + long / 2 + most / 3)
    return np.asarray(area / hold)


@dataclass(frozen=True, slots=True)
class ServedLocks:
    """Served requests of one LUN in order of the times at which they were made, in whole nanoseconds.

    Attributes
    ----------
    model : LockModel
        They were served by.
    time_ns, host, hold_ns, wait_ns, retries, failed : (n,) array
        As the columns that `clonesim.lock_queue` gives.
    reserved : (n,) bool array
        Requests that asked for a reservation of the LUN in the end.
    met : tuple of two (m,) int64 arrays, optional
        Times and rows of the conflicts, where they are known; else they are drawn anew. [ns, 1]
    """

    model: LockModel
    time_ns: Ints
    host: Ints
    hold_ns: Ints
    wait_ns: Ints
    retries: Ints
    failed: NDArray[np.bool_]
    reserved: NDArray[np.bool_]
    met: tuple[Ints, Ints] | None = None

    @classmethod
    def of(cls, served: pd.DataFrame, model: LockModel) -> ServedLocks:
        """Of a frame that `clonesim.lock_queue` gave."""
        missing = [name for name in NEEDED if name not in served]
        if missing:
            have = ", ".join(map(str, served.columns)) or "none"
            raise ParameterError(
                "served.columns", have, f"{', '.join(missing)} missing", "Serve it by lock_queue first."
            )
        time_ns, hold_ns, wait_ns = (
            np.rint(served[name].to_numpy(np.float64) * NS).astype(np.int64) for name in ("time_s", "hold_s", "wait_s")
        )
        host, retries = (served[name].to_numpy(np.int64, copy=True) for name in ("host", "retries"))
        failed = served["failed"].to_numpy(np.bool_, copy=True)
        return cls(model, time_ns, host, hold_ns, wait_ns, retries, failed, retries >= model.fallback_after)

    @property
    def grant_ns(self) -> Ints:
        """When the lock was granted, or the request given up. [ns]"""
        return self.time_ns + self.wait_ns

    @property
    def last_ns(self) -> int:
        """When the last lock was released, or request given up. [ns]"""
        ends = self.grant_ns + np.where(self.failed, 0, self.hold_ns)
        return int(ends.max()) if ends.size else 0

    def conflicts(self) -> Conflicts:
        """Times of all conflicts, their rows, and whether each met a reservation; in order of time."""
        at_ns, row = self.met or self._drawn()
        order = np.lexsort((row, at_ns))
        locks = ~self.failed & self.reserved
        spans = Spans.of(self.grant_ns[locks], self.hold_ns[locks])
        return at_ns[order], row[order], spans.cover(at_ns[order])

    def _drawn(self) -> tuple[Ints, Ints]:
        count = int(self.retries.sum())
        at_ns, row = np.empty(count, np.int64), np.empty(count, np.int64)
        if not self.time_ns.size or not self.model.contended:
            return at_ns, row
        wrong = conflict_times(
            *(self.time_ns, self.host, self.hold_ns, int(self.host.max()) + 1, self.model.key, self.model.backoff_ns),
            *(DISTRIBUTIONS[self.model.distribution], self.wait_ns, self.retries, self.failed, at_ns, row),
        )
        if wrong >= 0:
            allowed = f"row {wrong} waits as {self.model.name!r} with these parameters and this seed does not let it"
            remedy = "Give all rows of the LUN in their order, and the model that served them."
            raise ParameterError("served.wait_s", float(self.wait_ns[wrong] / NS), allowed, remedy)
        return at_ns, row


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of time that do not overlap, in order."""

    start: Ints
    length: Ints
    total: Ints  # before each

    @classmethod
    def of(cls, start: Ints, length: Ints) -> Spans:
        """In any order."""
        order = np.argsort(start, kind="stable")
        return cls(start[order], length[order], np.concatenate([[0], np.cumsum(length[order])]))

    def before(self, times: Ints) -> Ints:
        """Time inside a stretch before each of the given times. [ns]"""
        begun = np.searchsorted(self.start, times, side="left")
        if not self.start.size:
            return np.zeros_like(times)
        last = np.maximum(begun - 1, 0)
        running = np.minimum(self.length[last], times - self.start[last])
        return np.where(begun > 0, self.total[last] + running, 0)

    def cover(self, times: Ints) -> NDArray[np.bool_]:
        """Whether each of the given times lies inside a stretch, its end excluded."""
        if not self.start.size:
            return np.zeros(times.size, bool)
        last = np.searchsorted(self.start, times, side="right") - 1
        return (last >= 0) & (times < self.start[last] + self.length[last])


def _count(times: Ints, borders: Ints) -> Ints:
    """How many of the times, which are in order, lie between the borders."""
    return np.diff(np.searchsorted(times, borders, side="left")).astype(np.int64)


def _span(seconds: float, name: str) -> int:
    if not 0 < seconds < float("inf"):
        raise ParameterError(name, seconds, "a time above 0 s is needed")
    return max(1, round(seconds * NS))
