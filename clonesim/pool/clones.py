"""The second stage: each clone alone, block by block, against the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.guest.rows import Plan
from clonesim.keys import generator
from clonesim.pool.desktop import DEMAND, Demand, Desktop, activity_of, no_demand
from clonesim.pool.strategies.catch_up import with_catch_up
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

__all__ = ["AMOUNTS", "DEMAND", "GROWTH", "Batch", "Desktop", "Job", "activity_of", "no_demand", "run_job"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GROWTH = ("delta_bytes", "guest_used_bytes", "written_bytes", "unique_bytes")  # columns of a batch's growth
AMOUNTS = ("written_bytes", "first_touch_bytes", "released_bytes")  # columns of a batch's sources
STEPS = {
    "time_s": np.float64,
    "clone": np.int64,
    "disk": np.int8,
    "host": np.int32,
    "size": np.int64,
}  # and types


@dataclass(frozen=True, slots=True)
class Job:
    """Clones of one LUN to be simulated together, and under which rules.

    Attributes
    ----------
    scenario : Scenario
        With the policy and the discards that hold for this job.
    seed, replicate : int
        Keys of every draw.
    lun : int
        Where these clones' deltas lie.
    clones : tuple of int
        Their numbers, ascending.
    """

    scenario: Scenario
    seed: int
    replicate: int
    lun: int
    clones: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a job's clones.

    Attributes
    ----------
    job : Job
        Which clones.
    growth : (clones, disks, days, 4) int64 array
        Sizes at the end of each day; columns `GROWTH`. [B]
    sources : (clones, disks, days, sources, 3) int64 array
        Bytes of each day by write source; columns `AMOUNTS`. [B]
    time_s, clone, disk, host, size : (steps,) arrays
        Growth steps: when, whose, of which disk, the clone's host then, and by how many bytes. A file's first size is
        a step, too; where a format gives space back, or the disk is emptied, so is that, with negative bytes.
    demand : (minutes, 5) int64 array
        I/Os and bytes by minute of the disks on the clones' LUN, all clones together; columns `DEMAND`.
    elsewhere : (minutes, 5) int64 array
        The same of disks on other datastores and file shares.
    refused : (clones,) int64 array
        Operations left out because the guest's volume was full. [1]
    away : (clones,) int64 array
        Bytes that programs from packages no longer write. [B]
    """

    job: Job
    growth: Ints
    sources: Ints
    time_s: Floats
    clone: Ints
    disk: NDArray[np.int8]
    host: NDArray[np.int32]
    size: Ints
    demand: Ints
    elsewhere: Ints
    refused: Ints
    away: Ints


def run_job(job: Job) -> Batch:
    """Simulate the clones of a job, one after the other."""
    line = timeline(job.scenario, job.seed, job.replicate)
    desk = desktop(job.scenario, job.seed)
    days = job.scenario.pool.days
    n, disks, names = len(job.clones), len(desk.disks), len(desk.activity.names)
    growth = np.zeros((n, disks, days, len(GROWTH)), np.int64)
    sources = np.zeros((n, disks, days, names, len(AMOUNTS)), np.int64)
    demand = Demand.none(days)
    refused, away = np.zeros(n, np.int64), np.zeros(n, np.int64)
    parts: list[tuple[NDArray[Any], ...]] = []
    for k, clone in enumerate(job.clones):
        plan = plan_of(desk.activity, line, clone, desk.image.first_file)
        emptied = [line.emptied(clone, disk.emptied) for disk in desk.layout.disks]
        ran = desk.run(plan, emptied, growth[k], sources[k], demand)
        refused[k], away[k] = ran.refused, ran.away_bytes
        for place, (time_s, size) in enumerate(ran.steps):
            whose, where = np.full(time_s.size, clone, np.int64), np.full(time_s.size, place, np.int8)
            host = line.hosts.at(clone, time_s).astype(np.int32)
            parts.append((time_s, whose, where, host, size))
    time_s, whose, where, host, size = (np.concatenate(column) for column in zip(*parts, strict=True))
    rest: dict[str, Any] = {"time_s": time_s, "clone": whose, "disk": where, "host": host, "size": size}
    rest |= {"demand": demand.lun, "elsewhere": demand.elsewhere}
    return Batch(job, growth, sources, **rest, refused=refused, away=away)


def plan_of(activity: Activity, timeline: Timeline, clone: int, first_file: int) -> Plan:
    """What one clone does, whatever its policy, format and strategy."""
    stream = partial(_stream, timeline.seed, timeline.replicate, clone)
    horizon_s, events = timeline.calendar.horizon_s, timeline.events(clone)
    plan = activity.plan(timeline.presence(clone), events, stream, horizon_s, first_file)
    again = partial(_stream, timeline.seed, timeline.replicate, clone, again="again:")
    return with_catch_up(plan, activity, events, timeline.catch_up_boots(clone), again, horizon_s)


def _stream(seed: int, replicate: int, clone: int, source: str, again: str = "") -> np.random.Generator:
    return generator(seed, replicate, clone, f"clone:{again}{source}")


@lru_cache(maxsize=2)
def _timeline_of(key: str, seed: int, replicate: int) -> Timeline:
    return Timeline.of(_SCENARIOS[key], seed, replicate)


@lru_cache(maxsize=8)
def _desktop_of(key: str, seed: int) -> Desktop:
    return Desktop(_SCENARIOS[key], seed)


_SCENARIOS: dict[str, Scenario] = {}  # what the caches' keys stand for, in this process


def _key(scenario: Scenario) -> str:
    key = scenario.model_dump_json()
    _SCENARIOS[key] = scenario
    return key


def timeline(scenario: Scenario, seed: int, replicate: int) -> Timeline:
    """First stage of a replicate, kept in this process for the next job."""
    return _timeline_of(_key(scenario), seed, replicate)


def desktop(scenario: Scenario, seed: int) -> Desktop:
    """Machine of a scenario, kept in this process for the next job."""
    return _desktop_of(_key(scenario), seed)
