"""The second stage: each clone alone, block by block, against the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.guest.rows import Plan
from clonesim.keys import generator
from clonesim.pool.desktop import DEMAND, RAN, Demand, Desktop, activity_of, no_demand
from clonesim.pool.strategies.catch_up import since_image, with_catch_up
from clonesim.pool.strategies.layout import OS
from clonesim.pool.strategies.resets import Decision
from clonesim.pool.strategies.streams import has_traffic, streams_of
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

__all__ = ["AMOUNTS", "DEMAND", "GROWTH", "Batch", "Desktop", "Job", "activity_of", "forget", "no_demand", "run_job"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GROWTH = ("delta_bytes", "guest_used_bytes", "written_bytes", "unique_bytes")  # columns of a batch's growth
TOTALS = (*RAN, "profile_bytes", "logons", "logon_added_ms")  # columns of a batch's totals
AMOUNTS = ("written_bytes", "first_touch_bytes", "released_bytes")  # columns of a batch's sources
STEPS = {
    "time_s": np.float64,
    "clone": np.int64,
    "disk": np.int8,
    "host": np.int32,
    "lun": np.int32,
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
    decided : tuple of Decision, default none
        Clones of the pool that are set back, or moved, because of what was simulated so far.
    """

    scenario: Scenario
    seed: int
    replicate: int
    lun: int
    clones: tuple[int, ...]
    decided: tuple[Decision, ...] = ()


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
    time_s, clone, disk, host, lun, size : (steps,) arrays
        Growth steps: when, whose, of which disk, the clone's host and LUN then, and by how many bytes. A file's first
        size is a step, too; where a format gives space back, or the disk is emptied, so is that, with negative bytes.
        A clone that moves takes its files' bytes from one LUN to the other.
    demand : (minutes, 5) int64 array
        I/Os and bytes by minute of the disks on the clones' LUN, all clones together; columns `DEMAND`.
    elsewhere : (minutes, 5) int64 array
        The same of disks on other datastores and file shares; no rows if none lies there.
    visited : mapping of int to (minutes, 5) int64 array
        What clones of this job asked of other LUNs, after they had moved there.
    totals : (clones, totals) int64 array
        Of the whole time; columns `TOTALS`: operations left out because the guest's volume was full [1]; bytes that
        programs from packages no longer write, that crossed the network, that reclaiming gave back, and that it wrote
        [B]; whether the disk that a cache overflows to was too small [0 or 1]; bytes of the user's profile on a share
        [B]; logons [1] and the time that strategies add to them [ms].
    """

    job: Job
    growth: Ints
    sources: Ints
    time_s: Floats
    clone: Ints
    disk: NDArray[np.int8]
    host: NDArray[np.int32]
    lun: NDArray[np.int32]
    size: Ints
    demand: Ints
    elsewhere: Ints
    visited: Mapping[int, Ints]
    totals: Ints

    def total(self, name: str) -> Ints:
        """One column of the totals, by clone."""
        found: Ints = self.totals[:, TOTALS.index(name)]
        return found

    def asked(self, lun: int) -> Ints | None:
        """Demand of a LUN by minute, None if there is none."""
        return self.demand if lun == self.job.lun else self.visited.get(lun)

    @property
    def luns(self) -> set[int]:
        """LUNs on which its clones lay."""
        return {self.job.lun, *self.visited}


def run_job(job: Job, line: Timeline | None = None) -> Batch:
    """Simulate the clones of a job, one after the other, against the pool's timeline."""
    line = line or timeline(job.scenario, job.seed, job.replicate, job.decided)
    desk = desktop(job.scenario, job.seed)
    days = job.scenario.pool.days
    n, disks, names = len(job.clones), len(desk.disks), len(desk.activity.names)
    growth = np.zeros((n, disks, days, len(GROWTH)), np.int64)
    sources = np.zeros((n, disks, days, names, len(AMOUNTS)), np.int64)
    totals = np.zeros((n, len(TOTALS)), np.int64)
    demand = Demand.none(days, desk.elsewhere or has_traffic(job.scenario))
    visited: dict[int, Ints] = {}
    parts: list[tuple[NDArray[Any], ...]] = []
    for k, clone in enumerate(job.clones):
        moved_s, moved_to = line.moves(clone)
        asked = Demand(no_demand(days), demand.elsewhere) if moved_s.size else demand
        plan = plan_of(desk.activity, line, clone, desk.image.first_file)
        turns = line.turns(clone, desk.layout.disks)
        given = line.presence(clone), plan, turns[OS].emptied_s, desk.image.first_file
        streams = streams_of(job.scenario, desk.activity, *given)
        ran = desk.run(streams.added_to(plan), turns, growth[k], sources[k], asked)
        streams.account(asked.elsewhere)
        for name, value in (*ran.totals.items(), *streams.totals.items()):
            totals[k, TOTALS.index(name)] += value
        if moved_s.size:
            _share_out(asked.lun, moved_s, moved_to, job.lun, demand.lun, visited)
        parts += [_steps_of(line, clone, place, *steps) for place, steps in enumerate(ran.steps)]
    columns = dict(zip(STEPS, (np.concatenate(column) for column in zip(*parts, strict=True)), strict=True))
    rest = {"demand": demand.lun, "elsewhere": demand.elsewhere, "visited": visited, "totals": totals}
    return Batch(job, growth, sources, **columns, **rest)  # type: ignore[arg-type]


def _steps_of(line: Timeline, clone: int, place: int, time_s: Floats, size: Ints) -> tuple[NDArray[Any], ...]:
    """Growth steps of one disk as columns `STEPS`; where the clone moves, its files' bytes go with it."""
    moved_s, _ = line.moves(clone)
    before = np.zeros(time_s.size, np.bool_)
    for when in moved_s.tolist():
        level, at = np.cumsum(size), np.flatnonzero(time_s == when)
        held = int(level[np.searchsorted(time_s, when) - 1])  # before, whatever happens at that very time
        left = held + int(size[at].sum())
        rows = np.setdiff1d(np.arange(time_s.size), at)
        cut = int(np.searchsorted(time_s[rows], when))
        time_s = np.insert(time_s[rows], [cut, cut], when)
        size, before = np.insert(size[rows], [cut, cut], [-held, left]), np.insert(before[rows], cut, [True, False])
    host = line.hosts.at(clone, time_s).astype(np.int32)
    lun = line.lun_at(clone, time_s)
    lun[before] = line.lun_at(clone, time_s[before], before=True)
    whose, where = np.full(time_s.size, clone, np.int64), np.full(time_s.size, place, np.int8)
    return time_s, whose, where, host, lun, size


def _share_out(
    asked: Ints, moved_s: Floats, moved_to: Ints, first: int, demand: Ints, visited: dict[int, Ints]
) -> None:
    """Add what a clone asked for to the LUNs on which it lay; the minute of a move counts for the new one."""
    minutes = [0, *(moved_s // 60).astype(np.int64).tolist(), len(asked)]
    for lun, begin, end in zip([first, *moved_to.tolist()], minutes[:-1], minutes[1:], strict=True):
        where = demand if lun == first else visited.setdefault(lun, np.zeros_like(asked))
        where[begin:end] += asked[begin:end]


def plan_of(activity: Activity, timeline: Timeline, clone: int, first_file: int) -> Plan:
    """What one clone does, whatever its policy, format and strategy."""
    stream = partial(_stream, timeline.own_seed, timeline.replicate, clone)
    horizon_s, events = timeline.calendar.horizon_s, timeline.events(clone)
    plan = activity.plan(timeline.presence(clone), events, stream, horizon_s, first_file)
    again = partial(_stream, timeline.own_seed, timeline.replicate, clone, again="again:")
    boots_s, known = timeline.catch_up_boots(clone), since_image(timeline.before, events)
    return with_catch_up(plan, activity, known, boots_s, timeline.images_s(clone, boots_s), again, horizon_s)


def _stream(seed: int, replicate: int, clone: int, source: str, again: str = "") -> np.random.Generator:
    return generator(seed, replicate, clone, f"clone:{again}{source}")


@lru_cache(maxsize=2)
def _timeline_of(key: str, seed: int, replicate: int, decided: tuple[Decision, ...]) -> Timeline:
    return Timeline.of(_SCENARIOS[key], seed, replicate, decided)


@lru_cache(maxsize=8)
def _desktop_of(key: str, seed: int) -> Desktop:
    return Desktop(_SCENARIOS[key], seed)


_SCENARIOS: dict[str, Scenario] = {}  # what the caches' keys stand for, in this process
_KEPT: list[str] = []  # what `keep_only` kept
MACHINE = {"guest", "workload", "delta", "strategy"}  # all tables that a desktop is made from


def _key(scenario: Scenario, tables: set[str] | None = None) -> str:
    key = scenario.model_dump_json(include=tables)
    _SCENARIOS[key] = scenario
    return key


def timeline(scenario: Scenario, seed: int, replicate: int, decided: tuple[Decision, ...] = ()) -> Timeline:
    """First stage of a replicate, kept in this process for the next job."""
    return _timeline_of(_key(scenario), seed, replicate, decided)


def desktop(scenario: Scenario, seed: int) -> Desktop:
    """Machine of a scenario, kept in this process for the next job, and for other pools of the same machines."""
    return _desktop_of(_key(scenario, MACHINE), seed)


def machine_key(scenario: Scenario) -> str:
    """All that a scenario's machine is made from: pools with the same key share one."""
    return scenario.model_dump_json(include=MACHINE)


def keep_only(scenario: Scenario) -> None:
    """Drop the machines of other scenarios, each of hundreds of MiB, before one of this scenario is made."""
    key = machine_key(scenario)
    if [key] != _KEPT:
        _desktop_of.cache_clear()
        _KEPT[:] = [key]


def forget() -> None:
    """Drop the timelines and machines that are kept: of many different pools nobody needs them again."""
    _timeline_of.cache_clear()
    _desktop_of.cache_clear()
