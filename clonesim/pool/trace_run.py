"""The main job: a real trace on every clone, growing deltas, and the locks that their growth takes on the LUNs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta import Delta, replay
from clonesim.errors import ParameterError
from clonesim.ingest import Trace, read_trace
from clonesim.lun.intervals import NS, edges, lock_intervals, quantile
from clonesim.lun.lock_frames import ServedLocks, traffic
from clonesim.lun.lock_model import LockModel, lock_model
from clonesim.lun.locks import lock_waits
from clonesim.pool.curve import Curve, growth_rows
from clonesim.pool.labels import trace_label, trace_note
from clonesim.pool.placement import Placement, place
from clonesim.pool.run_files import save_run
from clonesim.scenario import catalog
from clonesim.units import format_size, parse_duration

MOST_INCREMENTS = 20_000_000  # rows of the increments frame, about 3 GB while they are put in order
MOST_INTERVALS = 100_000
MOST_SIZES = 50_000_000  # clones times intervals
LOCK_COLUMNS = ["reservations_per_s", "reserved_fraction", "wait_p50_s", "wait_p99_s", "wait_max_s"]


@dataclass(frozen=True, slots=True)
class TraceRun:
    """What a pool of clones does to its LUNs when every clone replays the same trace.

    Attributes
    ----------
    parameters : dict
        Everything that the run rests on, in base units.
    growth : DataFrame
        A row per interval: `time_s`, `end_s`; `delta_mean_bytes`, `delta_p95_bytes`, `delta_max_bytes`,
        `delta_total_bytes`, delta file sizes at the end of the interval [B]; `written_total_bytes`, what all guests
        have written by then [B]; `increments`, growth steps in the interval [1].
    increments : DataFrame
        A row per growth step in order of time, host and clone: `replicate` (always 0), `time_s`, `clone`, `disk`
        (always 0), `lun`, `host`, `wait_s` (until the last of its locks is granted).
    locks : DataFrame
        A row per LUN and interval: `lun`, `time_s`, `end_s`; `used_bytes`, sum of the delta files on it at the end [B];
        `increments`; `reservations`, `reservations_per_s`, `reserved_fraction`, `wait_p50_s`, `wait_p99_s`,
        `wait_max_s` as `clonesim.lun.intervals.lock_intervals` defines them. With a locking that hosts contend for also
        `conflicts`, `ats`, `miscompares`, `failed` as `clonesim.lun.lock_counters` has them, and reservations are those
        of the LUN.
    clones : DataFrame
        A row per clone: `clone`, `disk`, `lun`, `host`, `start_s`, `delta_bytes` at the end, `increments`.
    delta : Delta
        The one delta that every clone ends with.
    """

    parameters: dict[str, Any]
    growth: pd.DataFrame
    increments: pd.DataFrame
    locks: pd.DataFrame
    clones: pd.DataFrame
    delta: Delta

    @property
    def table(self) -> pd.DataFrame:
        """Row per interval for the whole pool: `growth`, and of each lock column the worst LUN's value."""
        return self.growth.join(self.locks.groupby("time_s")[LOCK_COLUMNS].max(), on="time_s")

    @property
    def summary(self) -> dict[str, Any]:
        """The run in a few numbers: sizes at the end, the worst interval of the worst LUN, waits over all steps."""
        last, waits = self.growth.iloc[-1], self.increments["wait_s"].to_numpy()
        return {
            "clones": len(self.clones),
            "increments": len(self.increments),
            "delta_mean_bytes": float(last["delta_mean_bytes"]),
            "delta_p95_bytes": int(last["delta_p95_bytes"]),
            "delta_total_bytes": int(last["delta_total_bytes"]),
            "written_total_bytes": int(last["written_total_bytes"]),
            "reservations_per_s_max": float(self.locks["reservations_per_s"].max()),
            "reserved_fraction_max": float(self.locks["reserved_fraction"].max()),
            "wait_p50_s": quantile(waits, 0.5),
            "wait_p99_s": quantile(waits, 0.99),
            "wait_max_s": quantile(waits, 1.0),
        }

    def save(self, folder: str | Path, table_format: str = "parquet") -> list[Path]:
        """Write the four frames and `run.json` into a folder, which is made if need be.

        Parameters
        ----------
        folder : str or Path
            Where to; files of the same names are replaced.
        table_format : {"parquet", "csv"}, default "parquet"
            Format of the tables.

        Returns
        -------
        list of Path
            The files written. The same run writes the same bytes.

        Raises
        ------
        ParameterError
            If the table format is unknown.
        OSError
            If the folder cannot be written.
        """
        tables = {name: getattr(self, name) for name in ("growth", "increments", "locks", "clones")}
        return save_run(folder, table_format, tables, self.parameters, self.summary)


def run_trace(
    trace: Trace | str | Path,
    clones: int = 64,
    luns: int = 1,
    hosts: int = 8,
    format: str = "vmfs-sparse",  # noqa: A002 (the name of the delta's format everywhere)
    window: str | float = "10 min",
    interval: str | float = "10 min",
    seed: int = 0,
    hold: str | float | None = None,
    capacity: str | int | None = None,
    locking: str = "fifo",
    locks_per_grow: int | None = None,
    **parameters: Any,
) -> TraceRun:
    """Replay a trace on every clone of a pool, grow the deltas and queue all growth steps on their LUN's lock.

    Parameters
    ----------
    trace : Trace, str or Path
        A block trace of one desktop, or the file to read it from.
    clones, luns, hosts : int, default 64, 1, 8
        Numbers of desktops, LUNs and hosts; `clonesim.pool.placement.place` says who is where. [1]
    format : str, default "vmfs-sparse"
        Delta format; see `clonesim.delta.FORMATS`.
    window : str or float, default "10 min"
        Clones start within this time, each at a uniformly drawn moment. [s]
    interval : str or float, default "10 min"
        Length of an interval of the tables. [s]
    seed : int, default 0
        Seed of the start times. Clone c's start depends on (seed, c) only, not on the number of clones.
    hold : str or float, optional
        Time for which one growth step holds the lock; by default the catalog's `locks.hold`. [s]
    capacity : str or int, optional
        Size of the desktop's disk; see `clonesim.replay` for the default. [B]
    locking : str, default "fifo"
        `fifo`, the ideal lock, or one that hosts contend for; see `clonesim.lock_queue`. Its other parameters are the
        catalog's, and its draws those of the seed.
    locks_per_grow : int, optional
        Locks that one growth step takes, one after the other; by default the catalog's `locks.locks_per_grow`. [1]
    **parameters
        Parameters of the delta format.

    Returns
    -------
    TraceRun
        Frames of growth, increments and locks.

    Raises
    ------
    ParameterError
        If a parameter is not allowed, or the run would have more than 20 million growth steps.
    TraceError
        If the trace file cannot be used.

    Notes
    -----
    Every clone writes what the trace says, so the deltas differ in their start only: the trace is replayed once, and
    the growth steps are shifted by each clone's start, which is exact. Clones do not slow each other down: a wait for
    the lock does not delay the clone's next write (an open queue). Growth steps of equal time are served in order of
    host, then clone. Times are whole nanoseconds.
    """
    n_clones, n_luns, n_hosts = (
        _count("pool", n, v) for n, v in (("clones", clones), ("luns", luns), ("hosts", hosts))
    )
    window_s = catalog.parameters("pool")["start_window"].check(parse_duration(window, "window"), "window")
    window_ns, interval_ns = round(window_s * NS), round(parse_duration(interval, "interval") * NS)
    if interval_ns < 1:
        raise ParameterError("interval", interval, "an interval is longer than 0 s", "Write for example '10 min'.")
    cited_hold = catalog.parameters("locks")["hold"]
    hold_s = cited_hold.default if hold is None else cited_hold.check(parse_duration(hold, "hold"), "hold")
    locks = catalog.value("locks", "locks_per_grow") if locks_per_grow is None else locks_per_grow
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ParameterError("seed", seed, "allowed are whole numbers from 0 up")
    models = [lock_model(locking, seed=seed, lun=number) for number in range(n_luns)]
    lock = _Lock(round(hold_s * NS), _count("locks", "locks_per_grow", locks), n_hosts)
    if not isinstance(trace, Trace):
        trace = read_trace(trace)
    check_one_disk(trace)

    delta = replay(trace, format, capacity, **{"track_unique": False} | parameters)
    curve = Curve.of(trace, delta, Delta(format, delta.capacity, **parameters).file_bytes)
    if n_clones * curve.step_ns.size > MOST_INCREMENTS:
        allowed = f"{curve.step_ns.size} growth steps per clone allow {MOST_INCREMENTS // curve.step_ns.size} clones"
        raise ParameterError("clones", clones, allowed, "Use fewer clones, or a format with larger growth steps.")
    placed = place(n_clones, n_luns, n_hosts, window_ns, seed)
    time_ns, clone = _increments(curve.step_ns, placed)
    lun = placed.lun[clone]
    queues = [
        _serve(time_ns[lun == number], placed.host[clone[lun == number]], lock, models[number])
        for number in range(n_luns)
    ]
    end_ns = max([curve.end_ns + window_ns, *(queue.end_ns for queue in queues)])
    if end_ns // interval_ns >= (most := min(MOST_INTERVALS, MOST_SIZES // n_clones)):
        allowed = f"a run of {end_ns / NS:g} s with {n_clones} clones would have more than {most} intervals"
        raise ParameterError("interval", interval, allowed, "Use a longer interval.")
    borders = edges(end_ns, interval_ns)
    wait_ns = np.empty(time_ns.size, np.int64)
    for number, queue in enumerate(queues):
        wait_ns[lun == number] = queue.wait_ns[lock.per_grow - 1 :: lock.per_grow]

    growth, used = growth_rows(borders, curve, placed, n_luns)
    growth["increments"] = np.diff(np.searchsorted(time_ns, borders))
    run = TraceRun(
        parameters={
            "trace": Path(trace.path).name,
            "trace_note": trace_note(trace),
            "trace_commands": len(trace),
            "trace_skipped_rows": len(trace.skipped),
            "clones": n_clones,
            "luns": n_luns,
            "hosts": n_hosts,
            "format": format,
            "format_parameters": dict(parameters),
            "capacity": delta.capacity,
            "window_s": window_ns / NS,
            "interval_s": interval_ns / NS,
            "seed": seed,
            "locking": locking,
            "hold_s": lock.hold_ns / NS,
            "locks_per_grow": lock.per_grow,
            **_drawn_by(models[0]),
        },
        growth=growth,
        increments=_increment_rows(time_ns, clone, placed, wait_ns),
        locks=_lock_rows(borders, used, queues, lock),
        clones=pd.DataFrame(
            {
                "clone": np.arange(n_clones, dtype=np.int32),
                "disk": np.zeros(n_clones, np.int32),
                "lun": placed.lun,
                "host": placed.host,
                "start_s": placed.start_ns / NS,
                "delta_bytes": np.full(n_clones, delta.file_bytes),
                "increments": np.full(n_clones, curve.step_ns.size),
            }
        ),
        delta=delta,
    )
    for frame in (run.growth, run.locks, run.increments):
        frame.attrs["caption"] = _caption(run.parameters, trace_label(trace))
    return run


def check_one_disk(trace: Trace) -> None:
    """Refuse a trace of several disks: their blocks must not be laid over each other."""
    if len(trace.devices) > 1:
        count, text = len(trace.devices), trace.devices_text()
        allowed = f"{trace.path} has {text if text.startswith(f'{count} devices') else f'{count} devices ({text})'}"
        raise ParameterError("device", None, allowed, "Name the one to replay.")


def _count(topic: str, name: str, value: Any) -> int:
    lowest, highest = catalog.parameters(topic)[name].range
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        allowed = f"allowed are whole numbers from {lowest} to {highest}"
        raise ParameterError(name, value, allowed, f"The catalog's default is {catalog.value(topic, name)}.")
    return value


@dataclass(frozen=True, slots=True)
class _Lock:
    hold_ns: int
    per_grow: int
    hosts: int


@dataclass(frozen=True, slots=True)
class _Queue:
    """Lock requests of one LUN, in order of time."""

    served: ServedLocks
    end_ns: int  # when the last lock is released

    @property
    def request_ns(self) -> NDArray[np.int64]:
        return self.served.time_ns

    @property
    def wait_ns(self) -> NDArray[np.int64]:
        return self.served.wait_ns


def _drawn_by(model: LockModel) -> dict[str, Any]:
    """What conflicts and back-offs rest on."""
    if not model.contended:
        return {}
    found: dict[str, Any] = {"tries": model.tries, "backoff_s": model.backoff_ns / NS}
    found |= {"backoff_distribution": model.distribution}
    if model.clusters > 1:
        found |= {"ats_clusters": model.clusters, "ats_affinity": model.affinity}
    return found | ({"ats_fallback_after": model.fallback_after} if model.name == "ats+scsi" else {})


def _serve(time_ns: NDArray[np.int64], host: NDArray[np.int32], lock: _Lock, model: LockModel) -> _Queue:
    request_ns, whose = np.repeat(time_ns, lock.per_grow), np.repeat(host.astype(np.int64), lock.per_grow)
    hold_ns = np.full(request_ns.size, lock.hold_ns)
    wait_ns, retries, failed = lock_waits(request_ns, whose, hold_ns, model, lock.hosts)
    reserved = retries >= model.fallback_after
    served = ServedLocks(model, request_ns, whose, hold_ns, wait_ns, retries, failed, reserved)
    return _Queue(served, served.last_ns)


def _increments(step_ns: NDArray[np.int64], placed: Placement) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Time and clone of all growth steps of the pool, in order of time, host and clone."""
    time_ns = (placed.start_ns[:, None] + step_ns[None, :]).ravel()
    clone = np.repeat(np.arange(placed.start_ns.size, dtype=np.int32), step_ns.size)
    order = np.lexsort((clone, placed.host[clone], time_ns))
    return time_ns[order], clone[order]


def _increment_rows(
    time_ns: NDArray[np.int64], clone: NDArray[np.int32], placed: Placement, wait_ns: NDArray[np.int64]
) -> pd.DataFrame:
    nothing = np.zeros(time_ns.size, np.int32)
    return pd.DataFrame(
        {
            "replicate": nothing,
            "time_s": time_ns / NS,
            "clone": clone,
            "disk": nothing,
            "lun": placed.lun[clone],
            "host": placed.host[clone],
            "wait_s": wait_ns / NS,
        }
    )


def _lock_rows(borders: NDArray[np.int64], used: NDArray[np.int64], queues: list[_Queue], lock: _Lock) -> pd.DataFrame:
    parts = []
    for number, queue in enumerate(queues):
        part = _traffic(borders, queue.served, lock)
        part.insert(0, "lun", np.full(len(part), number, np.int32))
        part.insert(1, "time_s", borders[:-1] / NS)
        part.insert(2, "end_s", borders[1:] / NS)
        part.insert(3, "used_bytes", used[:, number])
        part.insert(4, "increments", np.diff(np.searchsorted(queue.request_ns, borders)) // lock.per_grow)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _traffic(borders: NDArray[np.int64], served: ServedLocks, lock: _Lock) -> pd.DataFrame:
    if not served.model.contended:
        return lock_intervals(borders, served.time_ns, served.wait_ns, lock.hold_ns)
    part = traffic(served, borders, served.conflicts())
    part.insert(1, "reservations_per_s", part["reservations"] / (np.diff(borders) / NS))
    names = ["reservations", *LOCK_COLUMNS, "conflicts", "ats", "miscompares", "failed"]
    return part[names]


def _caption(asked: dict[str, Any], label: str) -> str:
    luns = f"{asked['luns']} LUN{'s' if asked['luns'] > 1 else ''}"
    return (
        f"{asked['clones']} clones, {luns}, {asked['hosts']} hosts; every clone replays {label}, starts spread over "
        f"{asked['window_s']:g} s (seed {asked['seed']}); {asked['format']} deltas of a "
        f"{format_size(asked['capacity'])} disk; {asked['locking']} lock held {asked['hold_s'] * 1000:g} ms, "
        f"{asked['locks_per_grow']} per growth step."
    )
