"""The third stage: the clones of one LUN together. Space, lock and demand, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.lun.datastore import Fill, fill, in_order
from clonesim.lun.frames import lun_frame, peaks
from clonesim.lun.lock_frames import ALL, guest_delays
from clonesim.lun.lock_run import LockRun, run_locks_loaded
from clonesim.lun.lock_traffic import lock_requests, lock_traffic
from clonesim.lun.operations import GROWTH, POWER_ON, Operations
from clonesim.lun.run_frames import heartbeat_frame, lock_frame, operation_frame
from clonesim.lun.space import FixedSpace, fixed_space
from clonesim.pool.array_stage import ArrayStage
from clonesim.pool.clones import DEMAND, STEPS, Batch
from clonesim.pool.replicates import Replicate
from clonesim.pool.strategies.layout import on_the_lun
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario
from clonesim.units import GIB, format_size


@dataclass(frozen=True, slots=True)
class LunResult:
    """What one LUN of one replicate felt.

    Attributes
    ----------
    lun, replicate : int
        Which one.
    fill : Fill
        How it filled up, and who went down when.
    fixed : FixedSpace
        What lies there beside the deltas.
    hours, peaks : DataFrame
        As `run.luns` and `run.peaks`.
    locks, operations : DataFrame
        As `run.locks` and `run.operations`.
    time_s, clone, disk, host : (n,) arrays
        Growth steps that took place, the files' creation left out, in order of time and clone.
    """

    lun: int
    replicate: int
    fill: Fill
    fixed: FixedSpace
    hours: pd.DataFrame
    peaks: pd.DataFrame
    locks: pd.DataFrame
    operations: pd.DataFrame
    time_s: NDArray[np.float64]
    clone: NDArray[np.int64]
    disk: NDArray[np.int8]
    host: NDArray[np.int32]


def run_luns(scenario: Scenario, replicate: Replicate) -> list[LunResult]:
    """Put the clones of each LUN of one replicate together."""
    demands = [replicate.demand(lun) for lun in range(scenario.luns.count)]
    stage = ArrayStage.of(scenario, demands)
    return [run_lun(scenario, lun, replicate, demand, stage) for lun, demand in enumerate(demands)]


def run_lun(
    scenario: Scenario, lun: int, replicate: Replicate, demand: NDArray[np.int64], stage: ArrayStage
) -> LunResult:
    """Put the clones of a LUN together.

    Parameters
    ----------
    scenario : Scenario
        Says what the LUN is made of.
    lun : int
        Which one.
    replicate : Replicate
        Its clones, and what happens to them.
    demand : (minutes, 5) int64 array
        Their I/Os and bytes by minute, all together; columns `DEMAND`.
    stage : ArrayStage
        The array under the demand of all LUNs.
    """
    timeline, luns, horizon_s = replicate.timeline, scenario.luns, scenario.horizon_s
    clones = np.flatnonzero(timeline.lun == lun)
    others = timeline.operations.take(timeline.lun[timeline.operations.clone] == lun)
    time_s, clone, disk, host, size = _steps(replicate.on(lun), on_the_lun(scenario))
    fixed = space_of(scenario, clones.size)
    power_on = others.take(others.kind == POWER_ON)
    filled = fill(
        *(luns.size, fixed.fixed_bytes, clones, time_s, clone, size, horizon_s, luns.backing),
        power_on_s=power_on.time_s,
        power_on_clone=power_on.clone,
    )
    happened = filled.accepted & (time_s > 0) & (size > 0)
    time_s, clone, disk, host = time_s[happened], clone[happened], disk[happened], host[happened]
    growth = Operations(time_s, clone, host, np.full(time_s.size, GROWTH, np.int8))
    locks = _locks(scenario, lun, timeline, Operations.of(growth, _while_up(others, filled)), stage)
    asked, served = stage.asked[lun], stage.served[lun]
    latency_s = np.where(asked.reads + asked.writes > 0, served.latency_p95_s + served.delay_s, np.nan)
    name = {"lun": lun, "replicate": replicate.number}
    reads, writes = asked.reads, asked.writes
    hours = lun_frame(
        filled,
        time_s,
        host,
        asked.reads,
        asked.writes,
        **name,
        where=luns.backing,
        locks=locks,
        latency_p95_s=latency_s,
    )
    per_hour = demand.reshape(-1, 60, len(DEMAND)).sum(axis=1)
    hours["delta_read_iops"] = per_hour[:, DEMAND.index("delta_reads")] / 3600.0
    worst = peaks(reads, writes, **name, read_bytes=asked.read_bytes, write_bytes=asked.write_bytes)
    by_host = _by_host(locks, lun, scenario, float((reads + writes).sum()) / horizon_s)
    by_host.insert(0, "replicate", np.int32(replicate.number))
    by_kind = operation_frame(locks)
    by_kind.insert(0, "lun", np.int32(lun))
    by_kind.insert(0, "replicate", np.int32(replicate.number))
    return LunResult(
        *(lun, replicate.number, filled, fixed, hours, worst, by_host, by_kind),
        *(time_s, clone, disk, host),
    )


def _by_host(locks: LockRun, lun: int, scenario: Scenario, io_per_s: float) -> pd.DataFrame:
    """Lock traffic of each host of a LUN, with what guest I/Os and heartbeats feel of the others' reservations."""
    hosts, horizon_s = scenario.hosts.count, scenario.horizon_s
    delays = guest_delays(locks.served(), np.full(hosts, io_per_s / hosts), horizon_s)
    beats = heartbeat_frame(locks, hosts)
    felt = delays[["host"]].assign(io_met_fraction=delays["met_fraction"], io_delay_s=delays["delay_s"])
    late = pd.DataFrame({"host": [*beats["host"], ALL], "heartbeats_late": [*beats["late"], beats["late"].sum()]})
    every = felt.merge(late, on="host")
    found = lock_frame(locks, lun, end_s=horizon_s).merge(every, on="host", how="right")
    counts = ["requests", "reservations", "conflicts", "ats", "miscompares", "failed"]
    quiet = {"lun": lun, "time_s": 0.0, "end_s": horizon_s, "resv_per_s": 0.0, "cons_per_s": 0.0}
    found = found.fillna({**quiet, **dict.fromkeys(counts, 0), "reserved_fraction": 0.0})
    return found.astype(dict.fromkeys([*counts, "lun"], np.int64))


def _steps(batches: Sequence[Batch], disks: NDArray[np.int8]) -> tuple[NDArray[Any], ...]:
    """Growth steps of some disks of some batches in order of time and clone: the columns `STEPS`."""
    columns = [
        np.concatenate([np.zeros(0, kind), *(getattr(batch, name) for batch in batches)])
        for name, kind in STEPS.items()
    ]
    order = in_order(columns[0], columns[1])
    here = np.isin(columns[2], disks)[order]
    return tuple(column[order][here] for column in columns)


def _while_up(operations: Operations, filled: Fill) -> Operations:
    """Operations of clones that are not down, the failing power-on itself left out."""
    if not operations.time_s.size:
        return operations
    halt_s = filled.halt_s[np.searchsorted(filled.clones, operations.clone)]
    return operations.take(operations.time_s < halt_s)


def _locks(scenario: Scenario, lun: int, timeline: Timeline, operations: Operations, stage: ArrayStage) -> LockRun:
    luns = scenario.luns
    traffic = lock_traffic(luns.backing, luns.locking, luns.locks, timeline.seed, timeline.replicate, lun)
    requests = lock_requests(operations, traffic)
    minutes = stage.asked[lun].reads.size
    return run_locks_loaded(
        requests, traffic, scenario.hosts.count, lambda commands: stage.latency_s(lun, commands), minutes
    )


def space_of(scenario: Scenario, clones: int) -> FixedSpace:
    """What lies on a LUN of so many clones beside their deltas."""
    luns, guest = scenario.luns, scenario.guest
    return fixed_space(
        clones,
        luns.size,
        guest.memory,
        guest.used,
        platform=scenario.platform.name,
        where=luns.backing,
        memory_reservation=scenario.hosts.memory_reservation,
        replicas=0 if scenario.chosen("full-clone") else None,
        replica_lun=luns.replica_lun,
        reserve=luns.reserve,
    )


def check_start(scenario: Scenario, lun: NDArray[np.int32]) -> None:
    """Refuse a pool whose fullest LUN is full before anybody logs on.

    Raises
    ------
    ParameterError
        That says what lies there, and how large the LUNs must be.
    """
    clones = int(np.bincount(lun, minlength=1).max())
    guest, where = scenario.guest, backing(scenario.luns.backing)
    whole = scenario.chosen("full-clone")
    if whole:
        empty = guest.disk if whole.value("provisioning") == "thick" else guest.used
    else:
        empty = Delta(scenario.delta.format, guest.disk, **scenario.delta.parameters).file_bytes + guest.start.delta
    fixed, deltas = space_of(scenario, clones).fixed_bytes, clones * int(where.allocated(empty))
    if fixed + deltas < where.limit(scenario.luns.size):
        return
    allowed = (
        f"{clones} clones on a LUN take {fixed / GIB:.1f} GiB for base images, swap files and logs, and "
        f"{deltas / GIB:.1f} GiB for their deltas, before anybody logs on"
    )
    remedy = "Enlarge luns.size, lower luns.clones_per_lun, or raise hosts.memory_reservation."
    raise ParameterError("luns.size", format_size(scenario.luns.size), allowed, remedy)
