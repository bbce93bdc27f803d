"""What the locks of a closed pool did, in frames: per host and interval, per kind of operation, and the heartbeats."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.intervals import quantile
from clonesim.lun.lock_frames import SHARES, ServedLocks, Spans, counters, met_delay
from clonesim.lun.lock_model import NS, TOPIC
from clonesim.lun.lock_run import MINUTE_NS, LockRun
from clonesim.lun.operations import KINDS
from clonesim.scenario import catalog

CALM, NEAR, ALARM, LOST = "calm", "near", "alarm", "lost"
NEAR_BEATS = 0.01  # expected number of late heartbeats from which on a host is near the alarm

Floats = NDArray[np.float64]


def lock_frame(run: LockRun, lun: int = 0, interval_s: float | None = None, end_s: float | None = None) -> pd.DataFrame:
    """Lock traffic of a LUN per interval and host, and of all hosts together (host -1).

    Parameters
    ----------
    run : LockRun
        Of one LUN.
    lun : int, default 0
        Written into the column of this name.
    interval_s, end_s : float, optional
        Length of an interval, and where the last one ends; as for `clonesim.lun.lock_counters`. [s]

    Returns
    -------
    DataFrame
        `lun`, and the columns of `clonesim.lun.lock_counters`. A request counts in the interval in which it was made:
        at its own time, or when its clone's request before had ended.
    """
    frame = counters(run.served(), interval_s, end_s)
    frame.insert(0, "lun", lun)
    return frame


def run_retries(run: LockRun) -> pd.DataFrame:
    """How many requests met how many conflicts: `host` (-1 for all), `retries`, `requests`, `failed`. [1]"""
    columns = {"host": run.requests.host, "retries": run.waits.retries, "failed": run.waits.failed}
    rows = pd.DataFrame(columns)
    both = pd.concat([rows.assign(host=-1), rows])
    found = both.groupby(["host", "retries"], as_index=False).agg(requests=("failed", "size"), failed=("failed", "sum"))
    return found.astype("int64")


def operation_frame(run: LockRun) -> pd.DataFrame:
    """What operations of each kind went through.

    Returns
    -------
    DataFrame
        A row per kind that asked for locks, in the order of `KINDS`: `kind`; `operations`, `requests` of them, and
        `conflicts` met by those [1]; `failed`, operations of which a request gave up [1]; `locked_p50_s`,
        `locked_p95_s`, `locked_p99_s`, `locked_max_s`, from the operation's own time until its last lock is released
        or given up: its waits, its holds, and those of the clone's operations before it [s].
    """
    requests, waits = run.requests, run.waits
    count = int(requests.operation.max(initial=-1)) + 1
    failed = np.bincount(requests.operation, waits.failed, count) > 0
    ends, kinds = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    np.maximum.at(ends, requests.operation, waits.end_ns)
    starts = ends.copy()
    starts[requests.operation], kinds[requests.operation] = requests.time_ns, requests.kind
    rows = []
    for code in np.unique(requests.kind).tolist():
        mine, of_requests = kinds == code, requests.kind == code
        locked_s = (ends - starts)[mine] / NS
        row = {"kind": KINDS[code], "operations": int(mine.sum()), "requests": int(of_requests.sum())}
        row |= {"conflicts": int(waits.retries[of_requests].sum()), "failed": int(failed[mine].sum())}
        rows.append(row | {name.replace("wait", "locked"): quantile(locked_s, share) for name, share in SHARES.items()})
    names = ["kind", "operations", "requests", "conflicts", "failed", *(n.replace("wait", "locked") for n in SHARES)]
    return pd.DataFrame(rows, columns=names)


def heartbeat_frame(run: LockRun, hosts: int, minutes: int | None = None) -> pd.DataFrame:
    """Heartbeats of the hosts to the LUN, and how near they come to the alarm. By formula, not simulated.

    Parameters
    ----------
    run : LockRun
        Of the LUN.
    hosts : int
        Hosts that see it: each sends one heartbeat per `locks.heartbeat.interval`. [1]
    minutes : int, optional
        Time looked at; by default that of `run.commands`. [1]

    Returns
    -------
    DataFrame
        A row per host: `host`; `heartbeats` [1]; `met_fraction`, share of them that meet another host's reservation
        [1]; `delay_s`, mean delay over all heartbeats: reservations met, without the array's latency [s]; in the host's
        worst minute its start `worst_time_s` [s], `worst_met_fraction` [1] and `worst_delay_s`, mean delay of a
        heartbeat that meets a reservation, with the array's latency [s]; `late`, `lost`, expected numbers of heartbeats
        delayed by `heartbeat.alarm` and by `heartbeat.lease` or more [1]; `state`: "lost" or "alarm" where one or more
        of such are expected, "near" from 0.01 late ones on, else "calm".

    Notes
    -----
    A host writes its heartbeat to a sector of its own, so hosts are in each other's way only by reservations; under ATS
    `met_fraction` is 0 and the array's latency alone delays them. With f the share of a minute in which other hosts
    reserve the LUN, b the mean back-off and D the mean delay of one meeting by renewal theory (`met_delay`), each
    attempt meets a reservation with probability f, independently: the mean delay is f D / (1 - f), and that of T or
    more has the probability f to the power of (T - latency) / b, rounded up. Attempts are less independent, and long
    delays likelier, where holds are longer than back-offs. The limit of tries is left out: an I/O that gives up is sent
    again.
    """
    if hosts < 1 or (run.requests.host.size and int(run.requests.host.max()) >= hosts):
        allowed = f"the requests have hosts up to {int(run.requests.host.max(initial=0))}"
        raise ParameterError("hosts", hosts, allowed, "Give the number of hosts that see the LUN.")
    served, count = run.served(), run.commands.size if minutes is None else minutes
    borders = np.arange(count + 1, dtype=np.int64) * MINUTE_NS
    own = [_reserved_share(served, host, borders) for host in range(hosts)]
    all_hosts = np.sum(own, axis=0)
    meeting_s = _meeting_s(served)
    latency = np.zeros(count)
    if run.latency_s.size:
        latency[:] = run.latency_s[np.minimum(np.arange(count), run.latency_s.size - 1)]
    interval_s, alarm_s, lease_s = (
        catalog.value(TOPIC, f"heartbeat.{name}") for name in ("interval", "alarm", "lease")
    )
    limits = [_attempts(limit_s - latency, run.locks.model.backoff_ns / NS) for limit_s in (alarm_s, lease_s)]
    rows: list[dict[str, int | float | str]] = []
    told: dict[str, int | float | str] = {}
    for host in range(hosts):
        if not told or all_hosts.any():  # where nobody reserves, all hosts fare alike
            told = _beats(np.clip(all_hosts - own[host], 0.0, 1.0), meeting_s, latency, limits, 60 / interval_s)
        rows.append({"host": host, **told})
    return pd.DataFrame(rows)


def _beats(
    met: Floats, meeting_s: float, latency_s: Floats, limits: list[Floats], a_minute: float
) -> dict[str, int | float | str]:
    """How the heartbeats of a host fare that meet a reservation with these probabilities, minute by minute."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(met > 0, meeting_s / (1 - met), 0.0)
    delay = latency_s + each
    some = met.size > 0
    worst = int(np.argmax(delay)) if some else 0
    late, lost = (float(a_minute * _all_meet(met, attempts).sum()) for attempts in limits)
    return {
        "heartbeats": int(a_minute * met.size),
        "met_fraction": float(met.mean()) if some else 0.0,
        "delay_s": float(np.where(met > 0, met * each, 0.0).mean()) if some else 0.0,
        "worst_time_s": worst * 60.0,
        "worst_met_fraction": float(met[worst]) if some else 0.0,
        "worst_delay_s": float(delay[worst]) if some else 0.0,
        "late": late,
        "lost": lost,
        "state": LOST if lost >= 1 else ALARM if late >= 1 else NEAR if late >= NEAR_BEATS else CALM,
    }


def _reserved_share(served: ServedLocks, host: int, borders: NDArray[np.int64]) -> Floats:
    """Share of each interval in which a host has the LUN reserved by a contended lock. (n,) float64 array [1]"""
    if not served.model.contended or not served.model.reserves:
        return np.zeros(borders.size - 1)
    held = ~served.failed & served.reserved & (served.host == host)
    spans = Spans.of(served.grant_ns[held], served.hold_ns[held])
    return np.asarray(np.diff(spans.before(borders)) / np.diff(borders))


def _meeting_s(served: ServedLocks) -> float:
    """Mean delay of an I/O that meets a reservation, over all reservations in proportion to their length. [s]"""
    held = served.hold_ns[~served.failed & served.reserved] / NS
    if not held.size or not served.model.contended:
        return 0.0
    delays = met_delay(held, served.model.backoff_ns / NS, served.model.distribution)
    return float((held * delays).sum() / held.sum())


def _attempts(left_s: Floats, backoff_s: float) -> Floats:
    """Attempts that use up so much time. [1]"""
    return np.asarray(np.ceil(np.maximum(left_s, 0.0) / backoff_s))


def _all_meet(met: Floats, attempts: Floats) -> Floats:
    """Probability that so many attempts all meet a reservation. [1]"""
    found = np.where(attempts > 0, 0.0, 1.0)
    rows = np.flatnonzero((met > 0) & (attempts > 0))  # in most minutes nobody reserves, and powers take long
    found[rows] = met[rows] ** attempts[rows]
    return found
