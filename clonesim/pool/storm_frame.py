"""How long storms of a pool last: a table of their work, what limits them, and when users work again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from clonesim.errors import ParameterError
from clonesim.pool.moves import Occupancy
from clonesim.pool.placement import deal_hosts
from clonesim.pool.power import FAILED
from clonesim.pool.storm_work import Task, Work, serve_work, storm_load, task
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.pool.timeline import Timeline
    from clonesim.scenario.model import Scenario

COLD_START: Final = "cold-start"
HOST_FAILURE: Final = "host-failure"
MAINTENANCE: Final = "maintenance"
STORMS: Final = (
    *("boot", "logon", "definitions", "patches", "provisioning", "recompose", "refresh"),
    *(COLD_START, HOST_FAILURE, MAINTENANCE),
)
LIMITS: Final = ("concurrency", "array", "spread")
DONE: Final = {"t50_s": 0.5, "t95_s": 0.95, "t100_s": 1.0}
COUNTS: Final = ("reads", "writes", "read_bytes", "write_bytes")
COLUMNS: Final = ["kind", "desktops", *COUNTS, "window_s", "at_a_time", "capacity_iops", *DONE, "limit"]
LEAST_GAIN = 0.01  # a limit counts if the storm would be shorter by this share without it

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm of a pool.

    Attributes
    ----------
    kind : str
        One of `STORMS`.
    ready_s : (desktops,) float64 array
        When each desktop, or user, is ready, from the storm's start. [s]
    task : Task
        Work of each.
    at_a_time : int or None
        How many are worked on at a time, on each lane; None: no limit. [1]
    then : Task or None
        A second step without such a limit: the logon after a boot.
    extra_s : float
        Time before the task that needs no array. [s]
    lane : (desktops,) int64 array or None
        The host that works on each.
    replica : bool
        Whether the reads are of the base image.
    """

    kind: str
    ready_s: Times
    task: Task
    at_a_time: int | None = None
    then: Task | None = None
    extra_s: float = 0.0
    lane: NDArray[np.int64] | None = None
    replica: bool = True

    def served(self, ios: Sequence[float], capacity_iops: float) -> Work:
        """Work on all desktops, of so many I/Os on the array in each step."""
        return serve_work(
            self.ready_s,
            ios[0],
            self.extra_s + self.task.shortest_s,
            self.at_a_time,
            capacity_iops,
            lane=self.lane,
            then_ios=ios[1] if self.then else 0.0,
            then_shortest_s=self.then.shortest_s if self.then else 0.0,
        )

    def limit(self, ios: Sequence[float], capacity_iops: float) -> str:
        """Which limit makes it longest: that without which 95 % would be done soonest; "desktop" if it is none."""
        usual = self.served(ios, capacity_iops).done_s(0.95)
        at_once = np.full(self.ready_s.size, self.ready_s.min(initial=np.inf))
        without = (
            replace(self, at_a_time=None).served(ios, capacity_iops),
            self.served(ios, np.inf),
            replace(self, ready_s=at_once).served(ios, capacity_iops),
        )
        times = [work.done_s(0.95) for work in without]
        best = int(np.argmin(times))
        return LIMITS[best] if times[best] < (1 - LEAST_GAIN) * usual else "desktop"


def storm_frame(scenario: Scenario, kinds: Sequence[str] = STORMS, capacity_iops: float | None = None) -> pd.DataFrame:
    """Work and length of a pool's storms.

    Desktops take part evenly over the storm's window; nothing is drawn, and nothing else happens meanwhile.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    kinds : sequence of str, default all
        Of `STORMS`. boot: a storm of restarts. logon: users come as the scenario says. cold-start: all desktops are
        off, as after a power failure; they are powered on, and their users log on as soon as they can. host-failure:
        the same for the desktops of the fullest host, restarted by the others. maintenance: all hosts are emptied in
        turn.
    capacity_iops : float, optional
        I/Os per second of the array; by default what the scenario's array reaches at the storm's mix, with warm
        caches. [1/s]

    Returns
    -------
    DataFrame
        A row per storm: `kind`; `desktops` (users, for logon; vMotions, for maintenance) [1]; `reads`, `writes`,
        `read_bytes`, `write_bytes` of all together, as the desktops ask for them; `window_s`, from the first that is
        ready to the last [s]; `at_a_time`, missing where nothing limits it [1]; `capacity_iops` [1/s]; `t50_s`,
        `t95_s`, `t100_s`, when so many were done, in cold-start and host-failure: when so many users worked [s];
        `limit`: "concurrency", "array", "spread", or "desktop" where the shortest time of one desktop is what counts.

    Raises
    ------
    ParameterError
        If there is no such storm.
    """
    rows = []
    for kind in kinds:
        if kind not in STORMS:
            raise ParameterError("kinds", kind, f"allowed are {', '.join(STORMS)}")
        if kind == MAINTENANCE:
            if scenario.hosts.count > 1:
                rows.append(_maintenance(scenario))
            continue
        storm = storm_of(scenario, kind)
        if storm is not None and storm.ready_s.size:
            rows.append(_row(scenario, storm, capacity_iops))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"at_a_time": "Int64"})


def outage_frame(timelines: Sequence[Timeline]) -> pd.DataFrame:
    """Every time that a host was down, and what its users noticed of it.

    Parameters
    ----------
    timelines : sequence of Timeline
        One a replicate, in order.

    Returns
    -------
    DataFrame
        A row per outage, in order of replicate and time: `replicate`, `host`, `cause` ("failure" or "maintenance");
        `down_s`, `up_s`, of the host [s]; `desktops` that had to leave it [1]; `done_s`, when all of them ran elsewhere
        [s]; `users`, how many were logged on to desktops that went down [1]; `users_t95_s`, time until 95 % of these
        had a desktop to log on to again, missing without users [s].
    """
    columns = ["replicate", "host", "cause", "down_s", "up_s", "desktops", "done_s", "users", "users_t95_s"]
    rows = []
    for line in timelines:
        seats = np.maximum(line.session_clone, 0)
        for outage in line.outages:
            mine = (line.restarts.cause == FAILED) & (line.restarts.down_s == outage.down_s)
            up_s = np.full(line.clones, np.nan)
            up_s[line.restarts.clone[mine]] = line.restarts.up_s[mine]
            there = (line.session_clone >= 0) & ~np.isnan(up_s[seats])
            there &= (line.sessions.start_s < outage.down_s) & (line.sessions.end_s > outage.down_s)
            waits = up_s[seats[there]] - outage.down_s
            t95 = float(np.sort(waits)[int(np.ceil(0.95 * waits.size - 1e-9)) - 1]) if waits.size else np.nan
            host = (outage.host, outage.cause, outage.down_s, outage.up_s, outage.desktops, outage.done_s)
            rows.append((line.replicate, *host, waits.size, t95))
    return pd.DataFrame(rows, columns=columns)


def storm_of(scenario: Scenario, kind: str) -> Storm | None:
    """What takes part in a storm, and when; None where the pool has no such storm."""
    pool, given, limits = scenario.pool, scenario.storms, scenario.platform
    n = pool.clones
    at_once = np.zeros(n)
    power = limits.power if given.restart == "power-cycle" else None
    off_s = catalog.value("operations", "power.shutdown") if power else 0.0
    if kind == "boot":
        return Storm(kind, _evenly(n, given.boot_window), task(kind), power, extra_s=off_s)
    if kind == "logon":
        return Storm(kind, _logons(scenario), task(kind))
    if kind in ("definitions", "patches"):
        window_s = given.definitions_window if kind == "definitions" else given.patch_window
        return Storm(kind, _evenly(n, window_s), task(kind, scenario), replica=False)
    if kind == "provisioning":
        return Storm(kind, at_once, task(kind), limits.provisioning)
    if kind in ("recompose", "refresh"):
        return Storm(kind, at_once, task(kind), limits.maintenance)
    if kind == COLD_START:
        return Storm(kind, at_once, task("boot"), limits.power, _logon_of_a_desktop(scenario))
    return _host_failure(scenario)


def _host_failure(scenario: Scenario) -> Storm | None:
    hosts, clones = scenario.hosts.count, scenario.pool.clones
    if hosts < 2:
        return None
    fullest = -(-clones // hosts)
    failure = {name: p.default for name, p in catalog.group("operations", "failure").items()}
    return Storm(
        HOST_FAILURE,
        np.full(fullest, failure["detection"]),
        task("boot"),
        catalog.value("operations", "concurrency.ha_restarts"),
        _logon_of_a_desktop(scenario),
        failure["lock_break"],
        np.arange(fullest) % (hosts - 1),
    )


def _row(scenario: Scenario, storm: Storm, capacity_iops: float | None) -> dict[str, Any]:
    tasks = [storm.task, *([storm.then] if storm.then else [])]
    load = storm_load(scenario, *tasks, replica=storm.replica)
    capacity = load.capacity_iops if capacity_iops is None else capacity_iops
    work, n = storm.served(load.ios, capacity), storm.ready_s.size
    amounts = {name: round(n * sum(getattr(one, name) for one in tasks)) for name in COUNTS}
    done = {name: work.done_s(share) for name, share in DONE.items()}
    return {
        "kind": storm.kind,
        "desktops": n,
        **amounts,
        "window_s": float(np.ptp(storm.ready_s)),
        "at_a_time": storm.at_a_time,
        "capacity_iops": capacity,
        **done,
        "limit": storm.limit(load.ios, capacity),
    }


def _maintenance(scenario: Scenario) -> dict[str, Any]:
    lun = np.zeros(scenario.pool.clones, np.int32)
    occupancy = Occupancy(scenario, deal_hosts(lun, scenario.hosts.count))
    occupancy.maintain(0.0, np.inf)
    arrivals = np.sort(occupancy.moves().vmotion_s)
    done = {name: float(arrivals[int(np.ceil(share * arrivals.size)) - 1]) for name, share in DONE.items()}
    at_a_time = catalog.value("operations", "concurrency.vmotions")
    nothing = dict.fromkeys(COUNTS, 0)
    row = {"kind": MAINTENANCE, "desktops": arrivals.size, **nothing, "window_s": 0.0, "at_a_time": at_a_time}
    return {**row, "capacity_iops": np.nan, **done, "limit": "concurrency"}


def _evenly(n: int, window_s: float) -> Times:
    """Times at the starts of equal parts of a window."""
    return np.asarray(np.arange(n) * (window_s / max(n, 1)), np.float64)


def _logons(scenario: Scenario) -> Times:
    """Logons of the users who come on a working day, at the quantiles of their time of day, from the first on."""
    users = scenario.users
    come = min(users.count * (1 - users.absence), users.peak_concurrency * users.count)
    n = int(come + 1e-9)
    at = users.logon_spread * norm.ppf((np.arange(n) + 0.5) / max(n, 1))
    return np.asarray(at - at.min(initial=0.0), np.float64)


def _logon_of_a_desktop(scenario: Scenario) -> Task | None:
    """Work of the logons to one desktop after its boot, all its users at once; None where nobody logs on."""
    a_desktop = scenario.users.count / scenario.pool.clones
    return task("logon").times(a_desktop) if a_desktop else None
