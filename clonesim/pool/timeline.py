"""The first stage: what happens when, in one pool and replicate, before any clone writes a byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.guest.presence import Presence, Shared
from clonesim.keys import generator, own_seed
from clonesim.lun.operations import VMOTION, Operations
from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.hosts import Hosts
from clonesim.pool.moves import HostOutage, moves
from clonesim.pool.placement import deal_hosts, luns_of
from clonesim.pool.power import (
    CYCLED,
    FAILED,
    RECOMPOSED,
    SET_BACK,
    Restarts,
    after_resets,
    interrupted,
    power_cycles,
    restart_operations,
)
from clonesim.pool.seats import NO_SEAT, TOO_MANY, seats, users_of
from clonesim.pool.storms import restarts, storms, storms_before, windows
from clonesim.pool.strategies.catch_up import catches_up, image_dates, loses_profiles, oldest_image_s
from clonesim.pool.strategies.layout import BOOT, LOGOFF, NEVER, REFRESH, Disk, Reclaim, Turns, system_disk
from clonesim.pool.strategies.resets import Decision, moves_to, reclaims_s, refreshes
from clonesim.pool.users import Sessions, most_at_a_time

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

__all__ = ["LONGEST_WAIT_S", "Hosts", "Timeline", "after_logoff", "luns_of"]

LONGEST_WAIT_S = DAY_S  # a restart waits so long for users to log off, then happens all the same

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Calendar, storms, sessions and places of one pool and replicate. Clones need nothing else of each other.

    Attributes
    ----------
    calendar : Calendar
        Days of the run.
    seed, replicate : int
        What everything was drawn from.
    shared : Shared
        Storms: times at which they begin, and sizes.
    before : Shared
        Storms before the start, as far back as images go that clones are set back to.
    windows_s : mapping of str to float
        Time over which clones take part in a storm, by kind of event. [s]
    restarts_s : (n,) float64 array
        Times at which storms of restarts begin. [s]
    boot_window_s : float
        Time over which clones take part in a storm of restarts. [s]
    sessions : Sessions
        What users want.
    session_clone : (sessions,) int32 array
        Clone of each session, or why it was refused (`seats.TOO_MANY`, `seats.NO_SEAT`).
    hosts : Hosts
        Where clones run.
    lun : (clones,) int32 array
        Where their deltas lie.
    operations : Operations
        What takes locks beside growth, of the whole pool: power operations and lock breaks of restarts by the
        hypervisor, vMotions. None where clones restart inside and no host goes down.
    outages : tuple of HostOutage
        When hosts were down, in order of time.
    restarts : Restarts
        Clones that were restarted by the hypervisor, in order of clone and time.
    """

    calendar: Calendar
    seed: int
    replicate: int
    shared: Shared
    before: Shared
    windows_s: Mapping[str, float]
    restarts_s: Times
    boot_window_s: float
    sessions: Sessions
    session_clone: NDArray[np.int32]
    hosts: Hosts
    lun: NDArray[np.int32]
    operations: Operations
    outages: tuple[HostOutage, ...]
    restarts: Restarts
    _rows: NDArray[np.int64]  # admitted sessions in order of clone and time
    _first_row: NDArray[np.int64]  # (clones + 1,) where each clone's rows begin
    _first_logon: NDArray[np.bool_]  # in the order of _rows
    _scenario: Scenario
    _moved: tuple[NDArray[np.int64], Times, NDArray[np.int64]]  # clones, when and where to, in order of clone and time

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        seed: int,
        replicate: int = 0,
        decided: Sequence[Decision] = (),
        only: Sequence[int] | None = None,
    ) -> Self:
        """Draw the timeline of a scenario.

        Sessions and intensities depend on users only; so they are the same for dedicated and floating users, unless
        floating users find no free clone.

        Parameters
        ----------
        scenario : Scenario
            Made by `load_scenario`.
        seed, replicate : int
            From 0 up. [1]
        decided : sequence of Decision, optional
            Clones that are set back, or moved, because of what was simulated so far.
        only : sequence of int, optional
            Clones that will be asked about; users of others are left out where nothing of these depends on them.

        Raises
        ------
        ParameterError
            If there are more dedicated users than seats, the LUNs do not take the clones, or the last host would fail.
        """
        pool, users = scenario.pool, scenario.users
        calendar = Calendar.of(pool.start, pool.days, pool.time_zone, users.holidays)
        own = own_seed(seed, pool.stream)
        sessions = Sessions.of(users, users.count, calendar, own, replicate, users_of(scenario, only))
        most = max(1, int(users.peak_concurrency * users.count + 1e-9))
        got = seats(sessions, pool.clones, users.users_per_clone, users.assignment == "floating", most)
        rows = np.lexsort((sessions.user, sessions.start_s, got)).astype(np.int64)
        rows = rows[np.searchsorted(got[rows], 0) :]
        pair = got[rows].astype(np.int64) * max(users.count, 1) + sessions.user[rows]
        first_logon = np.zeros(rows.size, np.bool_)
        first_logon[np.unique(pair, return_index=True)[1]] = True
        shared = storms(scenario, calendar, seed, replicate)
        lun = luns_of(scenario)
        hosts = deal_hosts(lun, scenario.hosts.count)
        drawn = cls(
            calendar=calendar,
            seed=seed,
            replicate=replicate,
            shared=shared,
            before=storms_before(scenario, calendar, seed, replicate, oldest_image_s(scenario)),
            windows_s=windows(scenario),
            restarts_s=restarts(scenario, calendar, shared),
            boot_window_s=scenario.storms.boot_window,
            sessions=sessions,
            session_clone=got,
            hosts=Hosts.fixed(hosts),
            lun=lun,
            operations=Operations.none(),
            outages=(),
            restarts=Restarts.none(),
            _rows=rows,
            _first_row=np.searchsorted(got[rows], np.arange(pool.clones + 1)).astype(np.int64),
            _first_logon=first_logon,
            _scenario=scenario,
            _moved=(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)),
        )
        storm_days = scenario.storms.host_failures or scenario.storms.maintenance
        quiet = drawn._in_guest and not storm_days and not scenario.strategy
        return drawn if quiet else drawn._with_moves(scenario, decided)

    @property
    def own_seed(self) -> int:
        """What users, clones, hosts and locks of this pool are drawn from: the seed, or the stream's. [1]"""
        return own_seed(self.seed, self._scenario.pool.stream)

    @property
    def clones(self) -> int:
        """Number of clones. [1]"""
        return int(self.lun.size)

    @property
    def refused_too_many(self) -> int:
        """Logons refused because as many users as `peak_concurrency` allows were logged on. [1]"""
        return int((self.session_clone == TOO_MANY).sum())

    @property
    def refused_no_seat(self) -> int:
        """Logons refused because no clone was free. [1]"""
        return int((self.session_clone == NO_SEAT).sum())

    @property
    def peak_users(self) -> int:
        """Most users that were logged on at the same time. [1]"""
        return most_at_a_time(self.sessions.start_s[self._rows], self.sessions.end_s[self._rows])

    def presence(self, clone: int) -> Presence:
        """Boots and sessions of one clone, as it finds itself.

        The next logon of each user after it was set back is a first one again, unless profiles survive.
        """
        presence = self._present(clone)
        if not loses_profiles(self._scenario):
            return presence
        return after_resets(presence, self.set_back_s(clone))

    def _present(self, clone: int) -> Presence:
        """Boots and sessions of one clone.

        The clone boots for the first time within the boot window, or when its first user logs on, if that is earlier.
        A restart happens at a random time of its window, but waits until everybody has logged off, a day at most.
        """
        mine = slice(self._first_row[clone], self._first_row[clone + 1])
        rows = self._rows[mine]
        start, end, user = self.sessions.start_s[rows], self.sessions.end_s[rows], self.sessions.user[rows]
        own = self.restarts.of_clone(clone)
        boots = self._boots(clone, start, end) if self._in_guest else np.zeros(0)
        presence = Presence(
            boots_s=boots,
            session_start_s=start,
            session_end_s=end,
            session_user=user.astype(np.int64),
            session_intensity=self.sessions.intensity[user],
            first_logon=self._first_logon[mine],
        )
        if not own.clone.size:
            return presence
        while_up = ~((boots[:, None] >= own.down_s) & (boots[:, None] < own.up_s)).any(axis=1)
        boots = np.union1d(boots[while_up], own.boot_s[own.booted])
        return interrupted(presence, own.down_s, own.up_s, boots[boots < self.calendar.horizon_s])

    @property
    def _in_guest(self) -> bool:
        """Whether clones restart inside."""
        return self._scenario.storms.restart == "guest"

    def set_back_s(self, clone: int) -> Times:
        """Times at which a clone's system disk is set back, whatever the reason. [s]"""
        return self.emptied(clone, self._set_back_when)

    @property
    def _set_back_when(self) -> str:
        """When system disks are set back, as `emptied` takes it."""
        return system_disk(self._scenario).emptied if self._scenario.strategy else NEVER

    def turns(self, clone: int, disks: Sequence[Disk]) -> list[Turns]:
        """When each of a clone's disks is emptied, and when it may give space back."""
        return [Turns(self.emptied(clone, disk.emptied), self._reclaimed(clone, disk.reclaim)) for disk in disks]

    def emptied(self, clone: int, when: str) -> Times:
        """Times at which a disk of a clone is emptied: "never", at a refresh, any power-off, or any boot. [s]"""
        if when == BOOT:
            return self._present(clone).boots_s[1:]
        if when == NEVER or not self.restarts.clone.size:
            return np.zeros(0)
        own = self.restarts.of_clone(clone)
        causes = SET_BACK if when == REFRESH else (*SET_BACK, CYCLED, FAILED)
        happens = np.isin(own.cause, causes) & (own.start_s < np.minimum(own.up_s, self.calendar.horizon_s))
        times: Times = own.start_s[happens]
        return times

    def _reclaimed(self, clone: int, rule: Reclaim | None) -> Times:
        if rule is None:
            return np.zeros(0)
        if rule.when == LOGOFF:
            ends = np.unique(self._present(clone).session_end_s)
            return ends[ends < self.calendar.horizon_s]
        return reclaims_s(self._scenario, self.calendar, self.own_seed, self.replicate, clone)

    def catch_up_boots(self, clone: int) -> Times:
        """Boots of a clone after it was set back, if it then repeats what came out since its image. [s]"""
        when = self._set_back_when
        if when == NEVER or not catches_up(self._scenario):
            return np.zeros(0)
        if when == BOOT:
            return self.emptied(clone, BOOT)
        own = self.restarts.of_clone(clone)
        happens = np.isin(own.cause, SET_BACK) & own.booted & (own.boot_s < self.calendar.horizon_s)
        boots: Times = own.boot_s[happens]
        return boots

    def images_s(self, clone: int, times_s: Times) -> Times:
        """Date of the image that a clone has at some times; before the start if negative. [s]"""
        own = self.restarts.of_clone(clone)
        return image_dates(self._scenario, own.start_s[own.cause == RECOMPOSED], times_s)

    def lun_at(self, clone: ArrayLike, time_s: ArrayLike, before: bool = False) -> NDArray[np.int32]:
        """LUN of clones at some times; where one moves at that very time, the new one, or the old one if `before`."""
        clone, time_s = np.broadcast_arrays(np.asarray(clone, np.int64), np.asarray(time_s, np.float64))
        found: NDArray[np.int32] = np.array(self.lun[clone], np.int32)
        for who, when, where in zip(*self._moved, strict=True):
            found[(clone == who) & ((time_s > when) if before else (time_s >= when))] = where
        return found

    def moves(self, clone: int) -> tuple[Times, NDArray[np.int64]]:
        """When a clone moved to another LUN, and to which."""
        mine = self._moved[0] == clone
        return self._moved[1][mine], self._moved[2][mine]

    @property
    def moved(self) -> NDArray[np.int64]:
        """Clones that moved to another LUN, once for each time."""
        return self._moved[0]

    def ever_on(self, lun: int) -> NDArray[np.intp]:
        """Clones that lay on a LUN at any time."""
        return np.union1d(np.flatnonzero(self.lun == lun), self._moved[0][self._moved[2] == lun])

    def events(self, clone: int) -> Shared:
        """The pool's storms as one clone takes part in them: at a random time of each window, with the same sizes.

        An event that this clone would reach after the horizon is left out.
        """
        mine = {}
        for kind, (times, sizes) in self.shared.events.items():
            if not times.size:
                mine[kind] = (times, sizes)
                continue
            delay = generator(self.own_seed, self.replicate, clone, f"clone:{kind}").random(times.size)
            when = times + delay * self.windows_s[kind]
            order = np.argsort(when, kind="stable")
            order = order[: np.searchsorted(when[order], self.calendar.horizon_s)]
            mine[kind] = (when[order], sizes[order])
        return replace(self.shared, events=mine)

    def _boots(self, clone: int, start: Times, end: Times) -> Times:
        boots = np.unique(self._wanted(clone, start, end))
        return boots[boots < self.calendar.horizon_s]

    def _wanted(self, clone: int, start: Times, end: Times) -> Times:
        """When a clone may be restarted, by storm; its first boot first."""
        delay = generator(self.own_seed, self.replicate, clone, "clone:boots").random(self.restarts_s.size)
        wanted = self.restarts_s + delay * self.boot_window_s
        boots = after_logoff(wanted, start, end)
        boots[0] = min(wanted[0], start[0]) if start.size else wanted[0]
        return boots

    def _with_moves(self, scenario: Scenario, decided: Sequence[Decision]) -> Self:
        """The same with restarts by the hypervisor, failures and maintenance of hosts."""
        horizon_s = self.calendar.horizon_s
        moved = moves(scenario, self.calendar, self.hosts.first, self.own_seed, self.replicate)
        start, end = self.sessions_by_clone()
        found = [moved.restarts, refreshes(scenario, self.calendar, start, end, decided)]
        if not self._in_guest:
            ready = [self._wanted(clone, start[clone], end[clone]) for clone in range(self.clones)]
            found.append(power_cycles(scenario, np.stack(ready, axis=1)))
        settled = Restarts.of(*found).settled(horizon_s)
        codes = np.full(moved.vmotion_s.size, VMOTION, np.int8)
        vmotions = Operations(moved.vmotion_s, moved.vmotion_clone, moved.vmotion_host, codes)
        operations = Operations.of(restart_operations(settled, moved.hosts, horizon_s), vmotions)
        return replace(
            self,
            hosts=moved.hosts,
            operations=operations,
            outages=moved.outages,
            restarts=settled,
            _moved=moves_to(settled, decided),
        )

    def sessions_by_clone(self) -> tuple[list[Times], list[Times]]:
        """Starts and ends of the sessions that each clone would have if it were never down. [s]"""
        start, end = (
            np.split(column[self._rows], self._first_row[1:-1])
            for column in (self.sessions.start_s, self.sessions.end_s)
        )
        return start, end


def after_logoff(times: Times, start_s: Times, end_s: Times, longest: float = LONGEST_WAIT_S) -> Times:
    """Each time, or the first one after it at which nobody is logged on, or the longest wait later.

    Parameters
    ----------
    times : (n,) float64 array
        When something wants to happen. [s]
    start_s, end_s : (k,) float64 arrays
        Sessions in order of their starts, which may overlap; [start, end). [s]
    longest : float, default one day
        Most that is waited. [s]
    """
    if not start_s.size:
        return times.copy()
    gone = np.maximum.accumulate(end_s)  # all who came so far are gone
    last = np.append(start_s[1:] > gone[:-1], True)  # the next user comes after all are gone
    group_end = gone[last]
    group = np.searchsorted(start_s[np.append(True, last[:-1])], times, side="right") - 1
    until = np.where(group >= 0, group_end[group], times)
    return np.minimum(np.maximum(times, until), times + longest)
