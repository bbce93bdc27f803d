"""The second stage: each clone alone, block by block, against the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.delta.formats import DISCARDS
from clonesim.guest import Volume
from clonesim.guest.activity import Activity
from clonesim.guest.base_image import BaseImage, base_image, read_bitmap
from clonesim.guest.presence import DAY_S
from clonesim.guest.rows import Plan
from clonesim.guest.write_sources import Machine
from clonesim.keys import POOL, generator
from clonesim.ops import Requests
from clonesim.pool.account_kernel import account, account_reads
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

MINUTE_S = 60
MINUTES_A_DAY = 1440
RELEASE = DISCARDS.index("release")
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GROWTH = ("delta_bytes", "guest_used_bytes", "written_bytes", "unique_bytes")  # columns of a batch's growth
AMOUNTS = ("written_bytes", "first_touch_bytes", "released_bytes")  # columns of a batch's sources
DEMAND = ("reads", "writes", "read_bytes", "write_bytes", "delta_reads")  # columns of a batch's demand


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
    growth : (clones, days, 4) int64 array
        Sizes at the end of each day; columns `GROWTH`. [B]
    sources : (clones, days, sources, 3) int64 array
        Bytes of each day by write source; columns `AMOUNTS`. [B]
    time_s, clone, host, size : (steps,) arrays
        Growth steps: when, whose, the clone's host then, and by how many bytes. A file's first size is a step, too;
        where a format gives space back, so is that, with negative bytes.
    demand : (minutes, 5) int64 array
        I/Os and bytes by minute, all clones together; columns `DEMAND`.
    refused : (clones,) int64 array
        Operations left out because the guest's volume was full. [1]
    """

    job: Job
    growth: Ints
    sources: Ints
    time_s: Floats
    clone: Ints
    host: NDArray[np.int32]
    size: Ints
    demand: Ints
    refused: Ints


def no_demand(days: int) -> Ints:
    """Demand of so many days in which nothing is asked for; (minutes, 5), columns `DEMAND`."""
    return np.zeros((days * MINUTES_A_DAY, len(DEMAND)), np.int64)


def activity_of(scenario: Scenario) -> Activity:
    """Write sources of a scenario's desktop."""
    guest, workload = scenario.guest, scenario.workload
    machine = Machine(
        memory=guest.memory,
        page_file=guest.page_file,
        used=guest.used,
        hibernation=guest.hibernation,
        in_clone=guest.servicing == "in-clone",
        discards=guest.discards,
    )
    return Activity(guest.os, workload.sources, machine, workload.intensity)


def run_job(job: Job) -> Batch:
    """Simulate the clones of a job, one after the other."""
    line = timeline(job.scenario, job.seed, job.replicate)
    desk = desktop(job.scenario, job.seed)
    days = job.scenario.pool.days
    n, names = len(job.clones), len(desk.activity.names)
    growth = np.zeros((n, days, len(GROWTH)), np.int64)
    sources = np.zeros((n, days, names, len(AMOUNTS)), np.int64)
    demand = no_demand(days)
    refused = np.zeros(n, np.int64)
    steps = []
    for k, clone in enumerate(job.clones):
        plan = plan_of(desk.activity, line, clone, desk.image.first_file)
        with desk.lock:  # an executor of threads runs jobs of the same desktop side by side
            refused[k] = desk.run(plan, growth[k], sources[k], demand)
            time_s, size = _steps(desk.delta, desk.start_bytes, growth[k, :, 0])
        steps.append((time_s, np.full(time_s.size, clone, np.int64), line.hosts.at(clone, time_s), size))
    time_s, whose, host, size = (np.concatenate(part) for part in zip(*steps, strict=True))
    return Batch(job, growth, sources, time_s, whose, host.astype(np.int32), size, demand, refused)


def plan_of(activity: Activity, timeline: Timeline, clone: int, first_file: int) -> Plan:
    """What one clone does, whatever its policy, format and strategy."""
    stream = partial(_stream, timeline.seed, timeline.replicate, clone)
    horizon_s = timeline.calendar.horizon_s
    return activity.plan(timeline.presence(clone), timeline.events(clone), stream, horizon_s, first_file)


def _stream(seed: int, replicate: int, clone: int, source: str) -> np.random.Generator:
    return generator(seed, replicate, clone, f"clone:{source}")


class Desktop:
    """The machine that all clones of a scenario are copies of: base image and delta, set back before each clone."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        guest = scenario.guest
        self.activity = activity_of(scenario)
        volume = Volume(
            guest.disk,
            policy=guest.policy,
            os=guest.os,
            cluster_size=None if guest.policy == "ntfs3g" else guest.cluster_size,
            discards=None if guest.policy == "ntfs3g" else guest.discards,
            auto_checkpoint=False,
        )
        rng = generator(seed, 0, POOL, "pool:base-image")
        bitmap = read_bitmap(guest.start.bitmap) if guest.start.bitmap else None
        self.image: BaseImage = base_image(volume, self.activity, guest.used, rng, bitmap)
        self.volume = volume
        self.delta: Delta = volume.snapshot(scenario.delta.format, **scenario.delta.parameters)
        self.start_bytes = guest.start.delta
        self.lock = RLock()
        volume.watch = self._account
        self._by_source = np.zeros((len(self.activity.names), len(AMOUNTS)), np.int64)
        self._demand = np.zeros((1, len(DEMAND)), np.int64)

    def run(self, plan: Plan, growth: Ints, sources: Ints, demand: Ints) -> int:
        """Let one clone live through its plan; fills its rows and returns the operations that were left out."""
        with self.lock:
            return self._run(plan, growth, sources, demand)

    def _run(self, plan: Plan, growth: Ints, sources: Ints, demand: Ints) -> int:
        self.volume.revert()
        self._demand, refused = demand, 0
        days = growth.shape[0]
        edges = np.searchsorted(plan.ops["time_s"], DAY_S * np.arange(1, days))
        share = np.zeros(days)
        for day, (first, end) in enumerate(zip([0, *edges], [*edges, plan.ops.size], strict=True)):
            held = self.delta.grains * self.delta.law.grain
            share[day] = min(1.0, held / max(self.volume.used_bytes, 1))
            self._by_source = sources[day]
            refused += self.volume.apply(plan.ops[first:end], skip_refused=True)
            growth[day] = (
                self.delta.file_bytes + self.start_bytes,
                self.volume.used_bytes,
                self.delta.written_bytes,
                self.delta.grains * self.delta.law.grain,
            )
        reads = plan.reads
        account_reads(reads.time_s, reads.bytes, reads.ios, share, DAY_S, demand)
        return refused

    def _account(self, requests: Requests, source: Ints, fresh: Ints) -> None:
        grain = self.delta.law.grain
        account(requests.time_s, requests.op, requests.length, source, fresh, grain, self._by_source, self._demand)


def _steps(delta: Delta, start: int, at_end: Ints) -> tuple[Floats, Ints]:
    """Growth steps of a clone's file, its first size included; a format without increments has one a minute at most.

    What discards gave back counts at the end of its day: `at_end`, the file's size at the end of each day. `start` is
    the size measured before the run, which `at_end` includes.
    """
    when_s, size = delta.increment_times, delta.increment_sizes
    if not delta.law.increment and when_s.size:
        last = np.flatnonzero(np.diff(np.floor(when_s / MINUTE_S), append=np.inf))
        when_s, size = when_s[last], size[last]
    if delta.law.discard == RELEASE:
        ends_s = DAY_S * np.arange(1, at_end.size + 1)
        ends_s[-1] = np.nextafter(ends_s[-1], 0.0)
        when_s, size = np.concatenate([when_s, ends_s]), np.concatenate([size, at_end - start])
        order = np.argsort(when_s, kind="stable")
        when_s, size = when_s[order], size[order]
    grown = np.diff(size, prepend=delta.created_bytes)
    moved = grown != 0
    first = np.int64(delta.created_bytes + start)
    return np.append(0.0, when_s[moved]), np.append(first, grown[moved])


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
