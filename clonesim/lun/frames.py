"""What a LUN feels hour by hour, and its worst minute of each day."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import Backing, backing
from clonesim.lun.datastore import HOUR_S, Fill
from clonesim.lun.intervals import NS, lock_intervals
from clonesim.lun.lock_frames import traffic
from clonesim.lun.lock_run import LockRun
from clonesim.lun.locks import lock_waits
from clonesim.scenario import catalog

MINUTE_S, DAY_S = 60, 86400
MINUTES_PER_HOUR, MINUTES_PER_DAY = 60, 1440

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = (
    *("replicate", "lun", "time_s", "used_bytes", "free_bytes", "reservations", "conflicts", "reserved_fraction"),
    *("wait_p50_s", "wait_p99_s", "wait_max_s", "read_iops", "write_iops", "read_iops_max60", "write_iops_max60"),
    *("latency_p95_s", "fixed_bytes", "desktops_down", "ats", "miscompares", "locks_failed"),
)

TAKEN = (
    *("reservations", "conflicts", "reserved_fraction", "wait_p50_s", "wait_p99_s", "wait_max_s"),
    *("ats", "miscompares", "locks_failed"),
)


def lun_frame(
    filled: Fill,
    increment_s: Floats,
    host: Ints,
    reads: Ints,
    writes: Ints,
    lun: int = 0,
    replicate: int = 0,
    where: str | Backing = "vmfs-5",
    hold_s: float | None = None,
    locks_per_grow: int | None = None,
    locks: LockRun | None = None,
    latency_p95_s: Floats | None = None,
) -> pd.DataFrame:
    """One LUN hour by hour: space, lock, demand.

    Parameters
    ----------
    filled : Fill
        How its datastore filled up.
    increment_s : (n,) float64 array
        Times of all growth steps of the LUN, in order; take those that `filled.accepted`. [s]
    host : (n,) int64 array
        Host of each of them. [1]
    reads, writes : (minutes,) int64 array
        I/Os asked for in each minute, from the start to the horizon. [1]
    lun, replicate : int, default 0
        Written into the columns of these names.
    where : str or Backing, default "vmfs-5"
        Says whether a growth step takes a lock at all.
    hold_s, locks_per_grow : optional
        By default the catalog's `locks.hold` and `locks.locks_per_grow`. [s, 1]
    locks : LockRun, optional
        What the LUN's locks did. By default growth alone takes them, from an ideal lock; with it `increment_s`, `host`,
        `where`, `hold_s` and `locks_per_grow` have no effect.
    latency_p95_s : (minutes,) float64 array, optional
        95th percentile of the array's latency in each minute; NaN where it served nothing. [s]

    Returns
    -------
    DataFrame
        A row per hour [time_s, time_s + 3600): `replicate`, `lun`, `time_s`; `used_bytes`, `free_bytes` at the end of
        the hour, free up to the capacity [B]; `reservations` of the LUN by the time of the grant, and `conflicts`,
        attempts that met another host's reservation [1]; `reserved_fraction`, share of the hour in which the LUN is
        reserved [1]; `wait_p50_s`, `wait_p99_s`, `wait_max_s` of the lock requests made in the hour, NaN where there
        are none [s]; `read_iops`, `write_iops`, means of the hour, and `read_iops_max60`, `write_iops_max60`, its worst
        minute, each for itself [1/s]; `latency_p95_s` of the hour's worst minute, NaN if none is known [s];
        `fixed_bytes`, the part of the used bytes that is no delta [B]; `desktops_down` at the end of the hour [1];
        `ats`, locks granted by a compare-and-write, `miscompares`, attempts that found the lock held without a
        reservation, and `locks_failed`, requests of the hour that gave up [1].

    Raises
    ------
    ParameterError
        If there is not one number of reads and writes per minute, or of hosts per growth step.

    Notes
    -----
    Without `locks` the lock is the first-come-first-served queue of `clonesim.lock_queue`, one for the whole LUN, and
    counts as reservations without conflicts; where growth takes no shared lock ("create-delete", "none") there are
    none. Demand is what the desktops ask for if none of them is down: after the outage it is what the LUN would have to
    serve.
    """
    kind = backing(where) if isinstance(where, str) else where
    hours = filled.used.size
    minutes = -(-int(np.ceil(filled.horizon_s)) // MINUTE_S)
    for name, values in (("reads", reads), ("writes", writes)):
        if len(values) != minutes:
            allowed = f"a horizon of {filled.horizon_s:g} s has {minutes} minutes"
            raise ParameterError(name, len(values), allowed, "Count the I/Os of each minute, quiet ones too.")
    if len(host) != len(increment_s):
        raise ParameterError("host", len(host), f"there are {len(increment_s)} growth steps", "Give each its host.")
    if latency_p95_s is not None and len(latency_p95_s) != minutes:
        allowed = f"a horizon of {filled.horizon_s:g} s has {minutes} minutes"
        raise ParameterError("latency_p95_s", len(latency_p95_s), allowed, "Give each its latency, or NaN.")
    if locks is None:
        taken = _ideal(hours, np.asarray(increment_s), np.asarray(host), kind, hold_s, locks_per_grow)
    else:
        taken = _contended(hours, locks)
    columns = {
        "replicate": np.full(hours, replicate, np.int32),
        "lun": np.full(hours, lun, np.int32),
        "time_s": np.arange(hours) * HOUR_S,
        "used_bytes": filled.used,
        "free_bytes": filled.capacity - filled.used,
        **{name: taken[name].to_numpy() for name in TAKEN},
        "latency_p95_s": _worst(latency_p95_s, hours),
        "fixed_bytes": np.full(hours, filled.fixed, np.int64),
        "desktops_down": filled.down,
    }
    for name, values in (("read", reads), ("write", writes)):
        per_hour, length_s = _by(values, MINUTES_PER_HOUR, hours, filled.horizon_s)
        columns[f"{name}_iops"] = per_hour.sum(axis=1) / length_s
        columns[f"{name}_iops_max60"] = per_hour.max(axis=1) / MINUTE_S
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def peaks(
    reads: Ints,
    writes: Ints,
    lun: int = 0,
    replicate: int = 0,
    read_bytes: Ints | None = None,
    write_bytes: Ints | None = None,
) -> pd.DataFrame:
    """Worst minute of a LUN on each day: that with the most I/Os, the earliest of equals.

    Parameters
    ----------
    reads, writes : (minutes,) int64 array
        I/Os in each minute. [1]
    lun, replicate : int, default 0
        Written into the columns of these names.
    read_bytes, write_bytes : (minutes,) int64 array, optional
        Bytes moved in each minute. [B]

    Returns
    -------
    DataFrame
        A row per day: `replicate`, `lun`, `day`, `time_s` where the minute starts; `iops`, `read_iops`, `write_iops` in
        it [1/s]; `mean_iops` of the day, for comparison [1/s]; `read_bytes_per_s`, `write_bytes_per_s` in that minute,
        NaN if not given [B/s].
    """
    minutes = len(reads)
    days = -(-minutes // MINUTES_PER_DAY)
    both = np.asarray(reads, np.int64) + np.asarray(writes, np.int64)
    per_day, length_s = _by(both, MINUTES_PER_DAY, days, minutes * MINUTE_S)
    at = np.arange(days) * MINUTES_PER_DAY + per_day.argmax(axis=1)

    def rate(counts: Ints | None) -> Floats:
        return np.full(days, np.nan) if counts is None else np.asarray(counts)[at] / MINUTE_S

    return pd.DataFrame(
        {
            "replicate": np.full(days, replicate, np.int32),
            "lun": np.full(days, lun, np.int32),
            "day": np.arange(days, dtype=np.int32),
            "time_s": at * float(MINUTE_S),
            "iops": rate(both),
            "read_iops": rate(reads),
            "write_iops": rate(writes),
            "mean_iops": per_day.sum(axis=1) / length_s,
            "read_bytes_per_s": rate(read_bytes),
            "write_bytes_per_s": rate(write_bytes),
        }
    )


def _by(counts: Ints, length: int, rows: int, horizon_s: float) -> tuple[Ints, Floats]:
    """Counts per minute as a row per hour or day, the last one filled up with 0, and the rows' lengths. [1, s]"""
    table = np.zeros(rows * length, np.int64)
    table[: len(counts)] = counts
    full_s = float(length * MINUTE_S)
    length_s = np.full(rows, full_s)
    length_s[-1:] = horizon_s - (rows - 1) * full_s
    return table.reshape(rows, length), length_s


def _worst(latency_s: Floats | None, hours: int) -> Floats:
    """Highest of each hour's minutes; NaN where all are, or none is known. [s]"""
    table = np.full(hours * MINUTES_PER_HOUR, -np.inf)
    if latency_s is not None:
        table[: len(latency_s)] = np.where(np.isnan(latency_s), -np.inf, latency_s)
    highest = table.reshape(hours, MINUTES_PER_HOUR).max(axis=1, initial=-np.inf)
    return np.where(np.isneginf(highest), np.nan, highest)


def _borders(hours: int) -> Ints:
    return np.arange(hours + 1, dtype=np.int64) * round(HOUR_S * NS)


def _contended(hours: int, locks: LockRun) -> pd.DataFrame:
    served = locks.served()
    return traffic(served, _borders(hours), served.conflicts()).rename(columns={"failed": "locks_failed"})


def _ideal(
    hours: int, increment_s: Floats, host: Ints, kind: Backing, hold_s: float | None, locks_per_grow: int | None
) -> pd.DataFrame:
    cited = catalog.parameters("locks")
    hold_ns = round((cited["hold"].default if hold_s is None else cited["hold"].check(hold_s, "hold_s")) * NS)
    per_grow = cited["locks_per_grow"].default
    if locks_per_grow is not None:
        per_grow = cited["locks_per_grow"].check(locks_per_grow, "locks_per_grow")
    if not kind.locks_on_growth:
        increment_s, host = increment_s[:0], host[:0]
    request_ns = np.repeat(np.rint(increment_s * NS).astype(np.int64), per_grow)
    whose = np.repeat(host.astype(np.int64), per_grow)
    wait_ns, _, _ = lock_waits(request_ns, whose, np.full(request_ns.size, hold_ns))
    found = lock_intervals(_borders(hours), request_ns, wait_ns, hold_ns)
    return found.assign(conflicts=0, ats=0, miscompares=0, locks_failed=0)
