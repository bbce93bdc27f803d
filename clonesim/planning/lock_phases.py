"""What the clones of one LUN do to its lock in a phase: steady, boot storm, patch hour, host failure.

A phase is made from a sampled pool: which of its clones grow when is as simulated, on which host they run is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.guest.presence import DAY_S
from clonesim.keys import generator
from clonesim.lun.operations import GROWTH, LOCK_BREAK, POWER_ON, Operations
from clonesim.planning.array_load import ArrayLoad, array_load
from clonesim.planning.pool_sample import PoolSample
from clonesim.planning.storm_windows import STEADY as BETWEEN_STORMS
from clonesim.planning.storm_windows import storm_windows
from clonesim.pool.clones import DEMAND
from clonesim.pool.storm_work import Work, serve_work, task
from clonesim.scenario import catalog

TOPIC = "lock_map"
MINUTE_S, HOUR_S = 60.0, 3600.0
MANY = 1000.0  # boots in a minute, to see what the array can do
STEADY, BOOT_STORM, PATCH_HOUR, HOST_FAILURE = "steady", "boot storm", "patch hour", "host failure"
PHASES: Final = (STEADY, BOOT_STORM, PATCH_HOUR, HOST_FAILURE)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scene:
    """One LUN in a phase.

    Attributes
    ----------
    operations : Operations
        What takes its lock, from 0 s on.
    length_s : float
        How long the phase lasts. [s]
    latency_s : (minutes,) float64 array
        Mean latency of a command to the array in each minute. [s]
    """

    operations: Operations
    length_s: float
    latency_s: Floats


@dataclass(frozen=True, slots=True)
class Habits:
    """Assumptions about a phase that can be varied.

    Attributes
    ----------
    merge : int
        Growth steps that one step replaces: 4 is growth by 64 MiB where steps are of 16. [1]
    boot_steps : int or None
        Growth steps in each boot, evenly over it; as simulated unless given. [1]
    orders_s : float or None
        Between two power-ons; the catalog's unless given. [s]
    """

    merge: int = 1
    boot_steps: int | None = None
    orders_s: float | None = None

    @property
    def orders(self) -> float:
        """Between two power-ons. [s]"""
        return catalog.value(TOPIC, "boot.orders") if self.orders_s is None else self.orders_s


class Phases:
    """The phases of a sampled pool's first replicate.

    Parameters
    ----------
    sample : PoolSample
        Of `sample_pool`.

    Raises
    ------
    ParameterError
        If there is no whole hour without a storm on a settled working day.
    """

    def __init__(self, sample: PoolSample) -> None:
        self.sample = sample
        steps, timeline = sample.steps[0], sample.timelines[0]
        order = np.argsort(steps.clone, kind="stable")
        self._clone, self._time_s = steps.clone[order], steps.time_s[order]
        first = np.searchsorted(self._clone, np.arange(sample.clones))
        self._number = np.arange(order.size) - first[self._clone]  # of each step among its clone's
        boots = [timeline.presence(clone).boots_s for clone in range(sample.clones)]
        self._booted_s = np.array([each[0] if each.size else np.inf for each in boots])
        windows = storm_windows(timeline)
        between = windows.get(BETWEEN_STORMS, np.zeros((0, 2)))
        self._steady_s = self._busiest(_working_hours(between, timeline.calendar.workdays()))
        patches = windows.get("patches", np.zeros((0, 2)))
        self._patch_s = self._busiest(_hours(patches)) if len(patches) else None
        self._boot = task("boot")
        self._loads: dict[tuple[int, int], ArrayLoad] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Those of `PHASES` that the pool has."""
        return tuple(name for name in PHASES if name != PATCH_HOUR or self._patch_s is not None)

    @property
    def hours_s(self) -> Mapping[str, float]:
        """Start of the hours that were taken from the simulated time. [s]"""
        found = {STEADY: self._steady_s}
        return found if self._patch_s is None else found | {PATCH_HOUR: self._patch_s}

    def steps(self, name: str) -> float:
        """Growth steps of a clone on average in a phase, in a boot where it is one. [1]"""
        if name in self.hours_s:
            return float(self._in_hour(self.hours_s[name]).sum()) / self.sample.clones
        return float(self._after_boot().sum()) / self.sample.clones

    def scene(self, name: str, n: int, hosts: int, repetition: int = 0, habits: Habits | None = None) -> Scene:
        """One LUN of n clones in a phase.

        Parameters
        ----------
        name : str
            One of `names`.
        n : int
            Clones of the LUN, drawn from the pool's by the number of the repetition. [1]
        hosts : int
            That the clones are dealt to in turn; in a host failure one of them is dead, and has no number. [1]
        repetition : int, default 0
            Names the draws. [1]
        habits : Habits, optional
            By default what was simulated, and the catalog's.

        Raises
        ------
        ParameterError
            If the pool has no such phase or fewer clones, or there is no host left.
        """
        habits = habits or Habits()
        if name not in self.names:
            raise ParameterError("phase", name, f"this pool has {', '.join(self.names)}")
        if not 0 < n <= self.sample.clones:
            raise ParameterError("clones", n, f"the pool has {self.sample.clones}", "Simulate more clones.")
        least = 2 if name == HOST_FAILURE else 1
        if hosts < least:
            raise ParameterError("hosts", hosts, f"a {name} needs {least} hosts or more")
        rng = generator(self.sample.seed, 0, repetition, "pool:lock-map")
        clones = rng.permutation(self.sample.clones)[:n]
        if name == BOOT_STORM:
            return self._boot_storm(clones, hosts, habits, rng)
        if name == HOST_FAILURE:
            return self._host_failure(clones, hosts, habits, rng)
        return self._hour(self.hours_s[name], clones, hosts, habits)

    def _hour(self, start_s: float, clones: Ints, hosts: int, habits: Habits) -> Scene:
        rank = np.full(self.sample.clones, -1, np.int64)
        rank[clones] = np.arange(clones.size)
        rows = self._in_hour(start_s) & (rank[self._clone] >= 0) & (self._number % habits.merge == 0)
        mine = rank[self._clone[rows]]
        growth = _operations(self._time_s[rows] - start_s, mine, mine % hosts, GROWTH)
        first = int(start_s // MINUTE_S)
        load = self.load(clones.size, hosts)
        load = _places(load, load.together)
        demand = self.sample.demand[0][first : first + int(HOUR_S // MINUTE_S)] * load.together // self.sample.clones
        return Scene(Operations.of(growth), HOUR_S, load.mean_s(demand))

    def _boot_storm(self, clones: Ints, hosts: int, habits: Habits, rng: np.random.Generator) -> Scene:
        """All clones of the LUN are powered on, before those of any other LUN."""
        n = clones.size
        load = self.load(n, hosts)
        load = replace(load, places=load.lun_places)  # nobody else boots
        ready = habits.orders * (np.arange(n) + rng.random(n))
        work = self._boots(load, ready, self.sample.scenario.platform.power, None, 0.0, rng)
        host = np.arange(n) % hosts
        power_on = _operations(work.start_s, np.arange(n), host, POWER_ON)
        growth = self._boot_growth(clones, work.start_s, work.end_s, host, habits)
        return Scene(Operations.of(power_on, growth), float(work.end_s.max()), self._boot_latency(load, work, 0.0))

    def _host_failure(self, clones: Ints, hosts: int, habits: Habits, rng: np.random.Generator) -> Scene:
        """One host's clones are restarted by the others, those of other LUNs that share the disks among them."""
        load = self.load(clones.size, hosts)
        mine, all_of_host = -(-clones.size // hosts), -(-load.together // hosts)
        place = np.arange(mine) * all_of_host // mine  # of this LUN's among all of the dead host
        target = np.arange(all_of_host) % (hosts - 1)
        ready = habits.orders * (np.arange(all_of_host) // (hosts - 1) + rng.random(all_of_host))
        broken_s = catalog.value("operations", "failure.lock_break")
        at_a_time = catalog.value("operations", "concurrency.ha_restarts")
        work = self._boots(load, ready, at_a_time, target, broken_s, rng)
        start, end, host = work.start_s[place], work.end_s[place], target[place]
        breaks = _operations(start, np.arange(mine), host, LOCK_BREAK)
        power_on = _operations(start + broken_s, np.arange(mine), host, POWER_ON)
        growth = self._boot_growth(clones[:mine], start + broken_s, end, host, habits)
        latency_s = self._boot_latency(load, work, broken_s)
        return Scene(Operations.of(breaks, power_on, growth), float(end.max()), latency_s)

    def load(self, n: int, hosts: int) -> ArrayLoad:
        """The array, with so many clones on each LUN, and so many hosts."""
        if (n, hosts) not in self._loads:
            given = self.sample.scenario  # not checked again: View would not let so many hosts share a replica
            other = given.model_copy(update={"hosts": given.hosts.model_copy(update={"count": hosts})})
            self._loads[n, hosts] = array_load(other, n)
        return self._loads[n, hosts]

    def _boots(
        self,
        load: ArrayLoad,
        ready_s: Floats,
        at_a_time: int,
        lane: Ints | None,
        before_s: float,
        rng: np.random.Generator,
    ) -> Work:
        spread = catalog.value(TOPIC, "boot.spread")
        shortest = before_s + self._boot.shortest_s * rng.uniform(1 - spread, 1 + spread, ready_s.size)
        boots_per_s = MANY / MINUTE_S / load.utilisation(self._work_of(np.array([MANY])))[0]
        return serve_work(ready_s, 1.0, shortest, at_a_time, float(boots_per_s), lane=lane)

    def _boot_growth(self, clones: Ints, start: Floats, end: Floats, host: Ints, habits: Habits) -> Operations:
        """Growth in boots that last from `start` to `end`; slow boots grow as slowly."""
        if habits.boot_steps is not None:
            each = np.arange(-(-habits.boot_steps // habits.merge)) * habits.merge
            share = (each + 0.5) / habits.boot_steps if habits.boot_steps else np.zeros(0)
            who = np.repeat(np.arange(clones.size), share.size)
            time_s = start[who] + np.tile(share, clones.size) * (end - start)[who]
            return _operations(time_s, who, host[who], GROWTH)
        rank = np.full(self.sample.clones, -1, np.int64)
        rank[clones] = np.arange(clones.size)
        rows = self._after_boot() & (rank[self._clone] >= 0) & (self._number % habits.merge == 0)
        who = rank[self._clone[rows]]
        passed_s = self._time_s[rows] - self._booted_s[self._clone[rows]]
        time_s = start[who] + passed_s * (end - start)[who] / self._boot.shortest_s
        return _operations(time_s, who, host[who], GROWTH)

    def _boot_latency(self, load: ArrayLoad, work: Work, before_s: float) -> Floats:
        """Of the array while these boots are all that it has to do, each with a few commands at a time."""
        start = work.start_s + before_s
        minutes = int(np.ceil(work.end_s.max() / MINUTE_S))
        edges = MINUTE_S * np.arange(minutes + 1)
        done = np.clip((edges - start[:, None]) / (work.end_s - start)[:, None], 0.0, 1.0).sum(axis=0)
        return _places(load, work.most).mean_s(self._work_of(np.diff(done)))

    def _work_of(self, boots: Floats) -> Ints:
        """Demand of so many boots in each minute; columns `DEMAND`."""
        boot = self._boot
        each = {"reads": boot.reads, "writes": boot.writes}
        each |= {"read_bytes": boot.read_bytes, "write_bytes": boot.write_bytes}
        demand: Ints = np.rint(boots[:, None] * np.array([each.get(name, 0.0) for name in DEMAND])).astype(np.int64)
        return demand

    def _in_hour(self, start_s: float) -> NDArray[np.bool_]:
        return (self._time_s >= start_s) & (self._time_s < start_s + HOUR_S)

    def _after_boot(self) -> NDArray[np.bool_]:
        passed_s = self._time_s - self._booted_s[self._clone]
        return np.asarray((passed_s >= 0) & (passed_s < catalog.value(TOPIC, "boot.grows")))

    def _busiest(self, hours_s: Floats) -> float:
        """The hour with most growth steps; of equal ones the first."""
        if not hours_s.size:
            allowed = "no whole hour of a working day lies between the storms"
            raise ParameterError("pool.days", self.sample.scenario.pool.days, allowed, "Simulate more days.")
        times = np.sort(self._time_s)
        counts = np.searchsorted(times, hours_s + HOUR_S) - np.searchsorted(times, hours_s)
        return float(hours_s[int(counts.argmax())])


def joined(
    make: Callable[[int], Scene], repetitions: int, gap_s: float = 2 * HOUR_S
) -> tuple[Operations, Floats, list[Scene], int]:
    """Scenes one after the other, so far apart that none disturbs the next.

    Parameters
    ----------
    make : callable
        Scene of a repetition.
    repetitions : int
        How many. [1]
    gap_s : float, default 2 h
        Between them, at least. [s]

    Returns
    -------
    operations : Operations
        Of all, in order; every scene has clones of its own.
    windows : (repetitions, 2) float64 array
        Start and end of each. [s]
    scenes : list of Scene
        As made.
    period : int
        Minutes from one start to the next. [1]
    """
    scenes = [make(k) for k in range(repetitions)]
    period = int(np.ceil((max(scene.length_s for scene in scenes) + gap_s) / MINUTE_S))
    starts = MINUTE_S * period * np.arange(repetitions)
    most = max(int(scene.operations.clone.max(initial=0)) for scene in scenes) + 1
    parts = [
        replace(scene.operations, time_s=scene.operations.time_s + start, clone=scene.operations.clone + k * most)
        for k, (scene, start) in enumerate(zip(scenes, starts, strict=True))
    ]
    ends = starts + [scene.length_s for scene in scenes]
    return Operations.of(*parts), np.stack([starts, ends], axis=1), scenes, period


def _places(load: ArrayLoad, desktops: int) -> ArrayLoad:
    """The array with no more commands in it than so many desktops send."""
    return replace(load, places=min(load.places, desktops * catalog.value(TOPIC, "outstanding")))


def _operations(time_s: Floats, clone: Ints, host: Ints, kind: int) -> Operations:
    return Operations(time_s, clone.astype(np.int64), host.astype(np.int32), np.full(clone.size, kind, np.int8))


def _hours(spans: Floats) -> Floats:
    """Starts of all hours that begin at a whole minute of the spans and do not leave them."""
    found = [np.arange(np.ceil(a / MINUTE_S) * MINUTE_S, b - HOUR_S + 1e-6, MINUTE_S) for a, b in spans]
    return np.concatenate([np.zeros(0), *found])


def _working_hours(spans: Floats, works: NDArray[np.bool_]) -> Floats:
    hours = _hours(spans)
    day, at = np.divmod(hours, DAY_S)
    begins, ends = catalog.value(TOPIC, "day_begins"), catalog.value(TOPIC, "day_ends")
    inside = (at >= begins) & (at + HOUR_S <= ends) & (day >= catalog.value(TOPIC, "settled"))
    return np.asarray(hours[inside & works[day.astype(np.int64)]])
