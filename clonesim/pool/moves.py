"""Which desktop runs where when hosts fail and are maintained: HA restarts, vMotions, and when hosts are down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator
from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.hosts import Hosts
from clonesim.pool.power import FAILED, Restarts
from clonesim.pool.storm_work import serve_work, storm_load, task
from clonesim.pool.vmotion import vmotion_of
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

FAILURE: Final = "failure"
MAINTENANCE: Final = "maintenance"

Times = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HostOutage:
    """A host that was down.

    Attributes
    ----------
    host : int
        Which one.
    cause : str
        `FAILURE` or `MAINTENANCE`.
    down_s, up_s : float
        From when to when; the end may lie after the horizon. [s]
    desktops : int
        Desktops that had to leave it: restarted elsewhere, or moved before it went down. [1]
    done_s : float
        When all of these ran elsewhere. [s]
    """

    host: int
    cause: str
    down_s: float
    up_s: float
    desktops: int
    done_s: float


@dataclass(frozen=True, slots=True)
class Moves:
    """What failures and maintenance of hosts do to a pool.

    Attributes
    ----------
    hosts : Hosts
        Where clones run. A failed host's clones belong to their next host from the failure on.
    restarts : Restarts
        Of the clones of failed hosts, in order of time.
    vmotion_s, vmotion_clone, vmotion_host : (n,) float64, int64 and int32 arrays
        When each vMotion hands the locks over, of which clone, and to which host; in order of time.
    outages : tuple of HostOutage
        When hosts were down, in order of time.
    """

    hosts: Hosts
    restarts: Restarts
    vmotion_s: Times
    vmotion_clone: Ints
    vmotion_host: NDArray[np.int32]
    outages: tuple[HostOutage, ...]


def moves(
    scenario: Scenario,
    calendar: Calendar,
    first: NDArray[np.int32],
    seed: int,
    replicate: int,
) -> Moves:
    """Let hosts fail and be maintained, day by day as the scenario says.

    Parameters
    ----------
    scenario : Scenario
        Its tables `storms` and `hosts`; durations and limits are of the catalog's topic `operations`.
    calendar : Calendar
        Days of the run.
    first : (clones,) int32 array
        Hosts at the start.
    seed, replicate : int
        Which host fails is drawn from them.

    Raises
    ------
    ParameterError
        If the last host that is up would fail.
    """
    given = scenario.storms
    failures = [(calendar.day(day) * DAY_S + given.host_failure_at, FAILURE) for day in given.host_failures]
    upkeep = [(calendar.day(day) * DAY_S + given.maintenance_at, MAINTENANCE) for day in given.maintenance]
    agenda = sorted(failures + upkeep)
    ends = [*(time_s for time_s, _ in agenda[1:]), calendar.horizon_s][: len(agenda)]
    draws = generator(seed, replicate, POOL, "pool:host-failures").random(len(failures)).tolist()
    occupancy = Occupancy(scenario, first)
    for (time_s, cause), until_s in zip(agenda, ends, strict=True):
        if cause == FAILURE:
            occupancy.fail(time_s, draws.pop(0))
        else:
            occupancy.maintain(time_s, until_s)
    return occupancy.moves()


class Occupancy:
    """The hosts of a pool while time goes on: who runs where, and who is down until when."""

    def __init__(self, scenario: Scenario, first: NDArray[np.int32]) -> None:
        self.first = first
        self.place = first.astype(np.int64)
        self.back_s = np.full(scenario.hosts.count, -np.inf)
        self.boot = task("boot")
        self.load = storm_load(scenario, self.boot)
        self.limits = {name: p.default for name, p in catalog.group("operations", "concurrency").items()}
        self.failure = {name: p.default for name, p in catalog.group("operations", "failure").items()}
        self.reboot_s = catalog.value("operations", "maintenance.reboot")
        self.vmotion_s = catalog.value("operations", "vmotion.setup") + vmotion_of(scenario).seconds
        self.moved: list[tuple[Ints, Times, Ints, bool]] = []  # clone, time, host; whether by vMotion
        self.restarted: list[Restarts] = []
        self.outages: list[HostOutage] = []

    def up(self, time_s: float) -> list[int]:
        """Hosts that are up, in order of their number."""
        return [int(host) for host in np.flatnonzero(self.back_s <= time_s)]

    def fail(self, time_s: float, draw: float) -> None:
        """One of the hosts that are up fails; its desktops are restarted on the others, spread evenly."""
        there = self.up(time_s)
        if len(there) < 2:
            allowed = "a failure needs another host that is up, and there is none on this day"
            remedy = "Leave that day out, choose one after the repair, or add hosts."
            raise ParameterError("storms.host_failures", f"day {int(time_s // DAY_S)}", allowed, remedy)
        dead = there[int(draw * len(there))]
        there.remove(dead)
        clones = np.flatnonzero(self.place == dead)
        target = self._spread(clones, there)
        self.back_s[dead] = time_s + self.failure["repair"]
        ready = np.full(clones.size, time_s + self.failure["detection"])
        broken = self.failure["lock_break"]
        work = serve_work(
            ready,
            self.load.ios[0],
            broken + self.boot.shortest_s,
            self.limits["ha_restarts"],
            self.load.capacity_iops,
            lane=target,
        )
        self._settle(clones, np.full(clones.size, time_s), target, by_vmotion=False)
        cause = np.full(clones.size, FAILED, np.int8)
        down = np.full(clones.size, time_s)
        self.restarted.append(Restarts(clones, down, work.start_s, work.start_s + broken, work.end_s, cause))
        done = float(work.end_s.max(initial=time_s))
        self.outages.append(HostOutage(dead, FAILURE, time_s, float(self.back_s[dead]), clones.size, done))

    def maintain(self, time_s: float, until_s: float) -> None:
        """Empty and restart one host after the other, then even out; ends early when the next thing happens."""
        now = time_s
        for host in range(self.back_s.size):
            others = [other for other in self.up(now) if other != host]
            if self.back_s[host] > now or not others:
                continue
            clones = np.flatnonzero(self.place == host)
            target = self._spread(clones, others)
            now = self._vmotions(now, until_s, clones, target)
            if now >= until_s:
                return
            self.back_s[host] = now + self.reboot_s
            self.outages.append(HostOutage(host, MAINTENANCE, now, now + self.reboot_s, clones.size, now))
            now += self.reboot_s
            if now >= until_s:
                return
        self._vmotions(now, until_s, *self._even(self.up(now)))

    def moves(self) -> Moves:
        """Everything that happened, in order."""
        none = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), True)
        parts = [none, *self.moved]
        clone, time_s, host = (np.concatenate([part[k] for part in parts]) for k in range(3))
        by_vmotion = np.concatenate([np.full(part[0].size, part[3]) for part in parts])
        order = np.lexsort((time_s, clone))
        hosts = Hosts(self.first, clone[order].astype(np.int32), time_s[order], host[order].astype(np.int32))
        clone, time_s, host = clone[by_vmotion], time_s[by_vmotion], host[by_vmotion].astype(np.int32)
        order = np.lexsort((clone, time_s))
        outages = tuple(sorted(self.outages, key=lambda one: (one.down_s, one.host)))
        return Moves(hosts, Restarts.of(*self.restarted), time_s[order], clone[order], host[order], outages)

    def _vmotions(self, now: float, until_s: float, clones: Ints, target: Ints) -> float:
        """Move clones, a few per host at a time, none that would arrive too late; returns the last arrival."""
        source = self.place[clones]
        arrival = in_turn(source, target, self.limits["vmotions"], self.back_s.size, self.vmotion_s) + now
        arrives = arrival < until_s
        self._settle(clones[arrives], arrival[arrives], target[arrives], by_vmotion=True)
        return float(arrival.max(initial=now))

    def _settle(self, clones: Ints, time_s: Times, target: Ints, by_vmotion: bool) -> None:
        self.place[clones] = target
        self.moved.append((clones, time_s, target, by_vmotion))

    def _spread(self, clones: Ints, hosts: Sequence[int]) -> Ints:
        """Host of each clone, the one with the fewest desktops at its turn, of equal ones the lowest number."""
        heap = [(int((self.place == host).sum()), host) for host in hosts]
        heapify(heap)
        target = np.empty(clones.size, np.int64)
        for k in range(clones.size):
            held, host = heappop(heap)
            target[k] = host
            heappush(heap, (held + 1, host))
        return target

    def _even(self, hosts: Sequence[int]) -> tuple[Ints, Ints]:
        """Clones to move, and to where, until no two hosts differ by more than one desktop."""
        held = {host: np.flatnonzero(self.place == host).tolist() for host in hosts}
        clones, target = [], []
        while held:
            full = max(hosts, key=lambda host: (len(held[host]), -host))
            free = min(hosts, key=lambda host: (len(held[host]), host))
            if len(held[full]) - len(held[free]) < 2:
                break
            clone = held[full].pop(0)
            held[free].append(clone)
            clones.append(clone)
            target.append(free)
        return np.array(clones, np.int64), np.array(target, np.int64)


def in_turn(source: Ints, target: Ints, at_a_time: int, hosts: int, each_s: float) -> Times:
    """When each move ends, if a host takes part in a few at a time, and they start in the given order.

    Parameters
    ----------
    source, target : (n,) int64 arrays
        Hosts that each move needs a place of. [1]
    at_a_time : int
        Places of a host. [1]
    hosts : int
        Number of hosts. [1]
    each_s : float
        Length of a move. [s]

    Returns
    -------
    (n,) float64 array
        Seconds from the start of the first ones. [s]
    """
    free: list[list[float]] = [[0.0] * at_a_time for _ in range(hosts)]
    end = np.empty(source.size)
    for k, (one, other) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        end[k] = max(heappop(free[one]), heappop(free[other])) + each_s
        heappush(free[one], float(end[k]))
        heappush(free[other], float(end[k]))
    return end
