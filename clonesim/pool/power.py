"""Restarts by the hypervisor: when desktops are down, when they boot, and what their users do meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.presence import Presence
from clonesim.lun.operations import FILE_CREATE, FILE_DELETE, LOCK_BREAK, POWER_OFF, POWER_ON, Operations
from clonesim.pool.hosts import Hosts
from clonesim.pool.storm_work import serve_work, storm_load, task
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

CYCLED: Final = 0  # powered off and on
STARTED: Final = 1  # powered on for the first time
FAILED: Final = 2  # restarted elsewhere after its host failed
REFRESHED: Final = 3  # powered off, set back to its image, and powered on
RECOMPOSED: Final = 4  # the same with a new image
MOVED: Final = 5  # made anew on another datastore
SET_BACK: Final = (REFRESHED, RECOMPOSED, MOVED)
PLANNED: Final = (CYCLED, *SET_BACK)

Times = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Restarts:
    """Desktops that are restarted from outside, in order of clone and time once they are `settled`.

    Attributes
    ----------
    clone : (n,) int64 array
        Which one.
    down_s : (n,) float64 array
        When it went down. [s]
    start_s : (n,) float64 array
        When the work on it started: the power-off, or breaking the dead host's lock. [s]
    boot_s, up_s : (n,) float64 arrays
        When it was powered on, and when it could be used, or went down again before that. [s]
    cause : (n,) int8 array
        `CYCLED`, `STARTED`, `FAILED`, `REFRESHED`, `RECOMPOSED` or `MOVED`.
    """

    clone: Ints
    down_s: Times
    start_s: Times
    boot_s: Times
    up_s: Times
    cause: NDArray[np.int8]

    @classmethod
    def none(cls) -> Self:
        """No restarts."""
        no = np.zeros(0)
        return cls(np.zeros(0, np.int64), no, no, no, no, np.zeros(0, np.int8))

    @classmethod
    def of(cls, *parts: Self) -> Self:
        """All restarts of several."""
        given = (cls.none(), *parts)
        return cls(*(np.concatenate([getattr(part, name) for part in given]) for name in cls.__slots__))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))

    def of_clone(self, clone: int) -> Self:
        """Those of one clone, once they are `settled`."""
        return self.take(slice(*np.searchsorted(self.clone, (clone, clone + 1))))

    def settled(self, horizon_s: float) -> Self:
        """In order of clone and time, without those that do not happen.

        Those at or after the horizon do not, and a power-cycle of a desktop that is down does not. A failure ends
        whatever was under way: the desktop was up, or came up, only until then. A recompose or a move comes in place of
        a refresh or power-cycle that it would meet.
        """
        rank = np.isin(self.cause, PLANNED) + np.isin(self.cause, (CYCLED, REFRESHED)).astype(np.int64)
        rows = np.lexsort((rank, self.down_s, self.clone))
        mine = self.take(rows[self.down_s[rows] < horizon_s])
        n = mine.clone.size
        overlap = (mine.clone[1:] == mine.clone[:-1]) & (mine.down_s[1:] < mine.up_s[:-1])
        if not overlap.any():
            return mine
        keep, up = np.ones(n, np.bool_), mine.up_s.copy()
        for clone in np.unique(mine.clone[1:][overlap]).tolist():
            first, end = np.searchsorted(mine.clone, (clone, clone + 1)).tolist()
            last = first
            for k in range(first + 1, end):
                if mine.down_s[k] >= up[last]:
                    last = k
                elif mine.cause[k] == FAILED:
                    up[last] = mine.down_s[k]
                    last = k
                elif mine.cause[k] in (RECOMPOSED, MOVED) and mine.cause[last] in (CYCLED, REFRESHED):
                    keep[last] = False
                    last = k
                else:
                    keep[k] = False
        return type(self)(mine.clone, mine.down_s, mine.start_s, mine.boot_s, up, mine.cause).take(keep)

    @property
    def booted(self) -> NDArray[np.bool_]:
        """Whether it was powered on before it went down again. (n,) bool array."""
        return self.boot_s < self.up_s


def power_cycles(scenario: Scenario, ready_s: Times) -> Restarts:
    """Storms of restarts by the hypervisor; the first one powers all clones on.

    A clone holds a place among the power operations (`platform.power`) from its power-off until it has booted, and all
    boots of a storm share the array.

    Parameters
    ----------
    scenario : Scenario
        Its tables `platform` and `array`; the work of a boot is of the catalog's topic `operations`.
    ready_s : (storms, clones) float64 array
        When each clone may be restarted. [s]
    """
    boot, shutdown_s = task("boot"), catalog.value("operations", "power.shutdown")
    load, clones = storm_load(scenario, boot), np.arange(ready_s.shape[1])
    found = []
    for storm, ready in enumerate(ready_s):
        off_s = shutdown_s if storm else 0.0
        work = serve_work(ready, load.ios[0], off_s + boot.shortest_s, scenario.platform.power, load.capacity_iops)
        down = work.start_s if storm else np.zeros(clones.size)
        cause = np.full(clones.size, CYCLED if storm else STARTED, np.int8)
        found.append(Restarts(clones, down, work.start_s, work.start_s + off_s, work.end_s, cause))
    return Restarts.of(*found)


def restart_operations(restarts: Restarts, hosts: Hosts, horizon_s: float) -> Operations:
    """Operations that settled restarts are made of, each by the host on which the clone is then.

    A power-cycle is a power-off and a power-on; a refresh also deletes the delta's file and makes a new one; a restart
    after a failure breaks the dead host's lock and powers on.
    """
    parts = []
    for kind, causes, times in (
        (POWER_OFF, PLANNED, restarts.start_s),
        (FILE_DELETE, SET_BACK, restarts.start_s),
        (FILE_CREATE, SET_BACK, restarts.start_s),
        (LOCK_BREAK, (FAILED,), restarts.start_s),
        (POWER_ON, (CYCLED, STARTED, FAILED, *SET_BACK), restarts.boot_s),
    ):
        rows = np.isin(restarts.cause, causes) & (times < np.minimum(restarts.up_s, horizon_s))
        clone, time_s = restarts.clone[rows], times[rows]
        codes = np.full(clone.size, kind, np.int8)
        parts.append(Operations(time_s, clone, hosts.of(clone, time_s), codes))
    return Operations.of(*parts)


def interrupted(presence: Presence, down_s: Times, up_s: Times, boots_s: Times) -> Presence:
    """Presence of a clone that was down for some time: its users log on again once it is up.

    A session that is cut goes on as a new one when the desktop is up, if its end lies after that; one that would have
    started meanwhile starts then, or is left out.

    Parameters
    ----------
    presence : Presence
        What would be without.
    down_s, up_s : (k,) float64 arrays
        From when to when it was down, in order, apart from each other. [s]
    boots_s : (b,) float64 array
        Its boots. [s]
    """
    start, end = presence.session_start_s.copy(), presence.session_end_s.copy()
    user, pace = presence.session_user, presence.session_intensity
    hit = (start[:, None] < up_s) & (end[:, None] > down_s) if start.size else np.zeros((0, down_s.size), np.bool_)
    for k in np.flatnonzero(hit.any(axis=0)):
        there = (start < up_s[k]) & (end > down_s[k])
        again = there & (end > up_s[k])
        cut = there & (start < down_s[k])
        end_again = end[again]
        end[cut] = down_s[k]
        keep = ~there | cut
        start = np.concatenate([start[keep], np.full(int(again.sum()), up_s[k])])
        end = np.concatenate([end[keep], end_again])
        user = np.concatenate([user[keep], user[again]])
        pace = np.concatenate([pace[keep], pace[again]])
    order = np.lexsort((user, start))
    user = user[order]
    first = np.zeros(user.size, np.bool_)
    first[np.unique(user, return_index=True)[1]] = True
    return Presence(boots_s, start[order], end[order], user, pace[order], first)


def after_resets(presence: Presence, resets_s: Times) -> Presence:
    """Presence of a clone that was set back at these times: the next logon of each user is a first one again."""
    if not resets_s.size:
        return presence
    life = np.searchsorted(resets_s, presence.session_start_s, side="right")
    order = np.lexsort((presence.session_start_s, presence.session_user, life))
    first = np.zeros(order.size, np.bool_)
    keys = np.stack([life[order], presence.session_user[order]])
    first[order] = np.append(True, (np.diff(keys) != 0).any(axis=0))[: order.size]
    return replace(presence, first_logon=first)
