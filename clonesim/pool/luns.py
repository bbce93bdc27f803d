"""The third stage: the clones of one LUN together. Space, lock and demand, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.lun.datastore import HOUR_S, Fill, fill, in_order
from clonesim.lun.frames import lun_frame, peaks
from clonesim.lun.lock_frames import guest_delays
from clonesim.lun.lock_run import LockRun, run_locks_loaded
from clonesim.lun.lock_traffic import lock_requests, lock_traffic
from clonesim.lun.operations import FILE_DELETE, GROWTH, POWER_OFF, POWER_ON, Operations
from clonesim.lun.run_frames import heartbeat_frame, lock_frame, operation_frame
from clonesim.lun.space import FixedSpace
from clonesim.pool.array_stage import ArrayStage
from clonesim.pool.clones import DEMAND, STEPS, Batch
from clonesim.pool.replicates import Replicate
from clonesim.pool.space import second_images, space_of
from clonesim.pool.strategies.layout import on_the_lun
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

NOBODY = -1  # whose steps are those of no clone


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
    extra : (times, sizes)
        Steps of no clone: second base images. [s, B]
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
    extra: tuple[NDArray[np.float64], NDArray[np.int64]]


def run_luns(scenario: Scenario, replicate: Replicate) -> list[LunResult]:
    """Put the clones of each LUN of one replicate together."""
    demands = [replicate.demand(lun) for lun in range(scenario.luns.count)]
    stage, disks = ArrayStage.of(scenario, demands), on_the_lun(scenario)
    return [run_lun(scenario, lun, replicate, demand, stage, disks) for lun, demand in enumerate(demands)]


def run_lun(
    scenario: Scenario,
    lun: int,
    replicate: Replicate,
    demand: NDArray[np.int64],
    stage: ArrayStage,
    disks: NDArray[np.int8],
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
    disks : array
        Places of the clones' disks that lie on LUNs.
    """
    timeline, luns, horizon_s = replicate.timeline, scenario.luns, scenario.horizon_s
    others = _operations(timeline, lun)
    time_s, clone, disk, host, size = _steps(replicate.on(lun), lun, disks)
    fixed = space_of(scenario, int((timeline.lun == lun).sum()))
    extra = second_images(scenario, timeline, lun)
    filled, beside = _filled(scenario, timeline, lun, (time_s, clone, size), fixed, extra, others)
    happened = filled.accepted & (time_s > 0) & (size > 0)
    time_s, clone, disk, host = time_s[happened], clone[happened], disk[happened], host[happened]
    growth = Operations(time_s, clone, host, np.full(time_s.size, GROWTH, np.int8))
    locks = _locks(scenario, lun, timeline, Operations.of(growth, _while_up(others, filled)), stage)
    asked, served = stage.asked[lun], stage.served[lun]
    latency_s = np.where(asked.reads + asked.writes > 0, served.latency_p95_s + served.delay_s, np.nan)
    reads, writes = asked.reads, asked.writes
    hours = lun_frame(
        filled,
        time_s,
        host,
        reads,
        writes,
        lun=lun,
        replicate=replicate.number,
        where=luns.backing,
        locks=locks,
        latency_p95_s=latency_s,
    )
    per_hour = demand.reshape(-1, 60, len(DEMAND)).sum(axis=1)
    hours["delta_read_iops"] = per_hour[:, DEMAND.index("delta_reads")] / 3600.0
    hours["fixed_bytes"] = beside
    worst = peaks(
        reads, writes, lun=lun, replicate=replicate.number, read_bytes=asked.read_bytes, write_bytes=asked.write_bytes
    )
    by_host = _by_host(locks, lun, scenario, float((reads + writes).sum()) / horizon_s)
    by_host.insert(0, "replicate", np.int32(replicate.number))
    by_kind = operation_frame(locks)
    by_kind.insert(0, "lun", np.int32(lun))
    by_kind.insert(0, "replicate", np.int32(replicate.number))
    return LunResult(
        *(lun, replicate.number, filled, fixed, hours, worst, by_host, by_kind),
        *(time_s, clone, disk, host, extra),
    )


def _operations(timeline: Timeline, lun: int) -> Operations:
    """What takes locks on a LUN beside growth; the files of a clone that moves are deleted where it was."""
    every = timeline.operations
    leaves = np.isin(every.kind, (POWER_OFF, FILE_DELETE))
    where = timeline.lun_at(every.clone, every.time_s)
    where[leaves] = timeline.lun_at(every.clone[leaves], every.time_s[leaves], before=True)
    return every.take(where == lun)


def _filled(
    scenario: Scenario,
    timeline: Timeline,
    lun: int,
    steps: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    fixed: FixedSpace,
    extra: tuple[NDArray[np.float64], NDArray[np.int64]],
    others: Operations,
) -> tuple[Fill, NDArray[np.int64]]:
    """How a LUN filled up, and what lay there beside the clones' files at the end of each hour.

    What a clone that moves has beside its files comes and goes with it.
    """
    time_s, clone, size = steps
    clones, luns = timeline.ever_on(lun), scenario.luns
    movers, moves_s, moved = movements(timeline, lun)
    power_on = others.take(others.kind == POWER_ON)
    aside_s = np.concatenate([extra[0], moves_s])
    aside = np.concatenate([extra[1], moved * fixed.clone_bytes])
    who = np.concatenate([np.full(extra[0].size, NOBODY), movers])
    every_s, whose = np.concatenate([time_s, aside_s]), np.concatenate([clone, who])
    order = in_order(every_s, whose)
    stays = fixed.fixed_bytes - fixed.clone_bytes * int((timeline.lun[np.unique(movers)] == lun).sum())
    filled = fill(
        *(luns.size, stays, np.append(NOBODY, clones), every_s[order], whose[order]),
        *(np.concatenate([size, aside])[order], scenario.horizon_s, luns.backing),
        power_on_s=power_on.time_s,
        power_on_clone=power_on.clone,
    )
    accepted = np.zeros(every_s.size, np.bool_)
    accepted[order] = filled.accepted
    stuck = (aside < 0) & (aside_s >= filled.first_full_s)  # a full datastore hands out no space again
    there, ends_s = accepted[time_s.size :] & ~stuck, HOUR_S * np.arange(1, filled.used.size + 1)
    by_time = np.argsort(aside_s[there], kind="stable")
    level = np.cumsum(np.append(stays, aside[there][by_time]))
    beside = level[np.searchsorted(aside_s[there][by_time], ends_s, side="left")]
    filled = replace(
        filled,
        fixed=fixed.fixed_bytes,
        clones=filled.clones[1:],
        halt_s=filled.halt_s[1:],
        by_power_on=filled.by_power_on[1:],
        accepted=accepted[: time_s.size],
    )
    return filled, beside


def movements(timeline: Timeline, lun: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Clones that came to a LUN or left it: who, when, and 1 or -1; those there at the start come at 0 s."""
    rows = [(clone, 0.0, 1) for clone in np.unique(timeline.moved).tolist() if timeline.lun[clone] == lun]
    for clone in np.unique(timeline.moved).tolist():
        now = int(timeline.lun[clone])
        for when, to in zip(*timeline.moves(clone), strict=True):
            rows.append((clone, float(when), int(to == lun) - int(now == lun)))
            now = int(to)
    clone, when, sign = np.array([row for row in rows if row[2]], np.float64).reshape(-1, 3).T
    return clone.astype(np.int64), when, sign.astype(np.int64)


def _by_host(locks: LockRun, lun: int, scenario: Scenario, io_per_s: float) -> pd.DataFrame:
    """Lock traffic of each host of a LUN, with what guest I/Os and heartbeats feel of the others' reservations."""
    hosts, horizon_s = scenario.hosts.count, scenario.horizon_s
    delays = guest_delays(locks.served(), np.full(hosts, io_per_s / hosts), horizon_s)
    late = heartbeat_frame(locks, hosts)["late"].to_numpy()
    found = lock_frame(locks, lun, end_s=horizon_s)
    every = delays["host"].to_numpy()
    at = pd.Index(found["host"]).get_indexer(every)  # -1: a host that asked for nothing
    counts = ("requests", "reservations", "conflicts", "ats", "miscompares", "failed")
    quiet: dict[str, float] = {"lun": lun, "time_s": 0.0, "end_s": horizon_s, "resv_per_s": 0.0, "cons_per_s": 0.0}
    quiet |= {"reserved_fraction": 0.0} | dict.fromkeys(counts, 0)
    columns: dict[str, Any] = {
        str(name): np.where(at >= 0, found[name].to_numpy()[at], quiet.get(str(name), np.nan)) for name in found
    }
    felt = {"io_met_fraction": delays["met_fraction"], "io_delay_s": delays["delay_s"]}
    return pd.DataFrame(columns | {"host": every} | felt | {"heartbeats_late": np.append(late, late.sum())})


def _steps(batches: Sequence[Batch], lun: int, disks: NDArray[np.int8]) -> tuple[NDArray[Any], ...]:
    """Growth steps of some disks on a LUN, in order of time and clone: `time_s`, `clone`, `disk`, `host`, `size`."""
    columns = {
        name: np.concatenate([np.zeros(0, kind), *(getattr(batch, name) for batch in batches)])
        for name, kind in STEPS.items()
    }
    order = in_order(columns["time_s"], columns["clone"])
    here = (np.isin(columns["disk"], disks) & (columns.pop("lun") == lun))[order]
    return tuple(column[order][here] for column in columns.values())


def _while_up(operations: Operations, filled: Fill) -> Operations:
    """Operations of clones that are not down, the failing power-on itself left out."""
    if not operations.time_s.size:
        return operations
    halt_s = filled.halt_s[np.searchsorted(filled.clones, operations.clone)]
    return operations.take(operations.time_s < halt_s)


def _locks(scenario: Scenario, lun: int, timeline: Timeline, operations: Operations, stage: ArrayStage) -> LockRun:
    luns = scenario.luns
    traffic = lock_traffic(luns.backing, luns.locking, luns.locks, timeline.own_seed, timeline.replicate, lun)
    requests = lock_requests(operations, traffic)
    minutes = stage.asked[lun].reads.size
    return run_locks_loaded(
        requests, traffic, scenario.hosts.count, lambda commands: stage.latency_s(lun, commands), minutes
    )
