"""When users are logged on, and how hard they work. Who gets which clone is no matter here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.keys import generator
from clonesim.pool.calendar import DAY_S, Calendar

if TYPE_CHECKING:
    from clonesim.scenario.people import Users, ZoneShare

APART_S: Final = 60.0  # at least this long between a user's logoff and next logon


@dataclass(frozen=True, slots=True)
class Sessions:
    """Times that users want to be logged on, in order of user and time.

    A user has at most one session at a time, and one logon per day worked. A session lasts as long as an exponential
    distribution says, but ends a minute before the user's next logon at the latest.

    Attributes
    ----------
    user : (sessions,) int32 array
        Number of the user. [1]
    start_s, end_s : (sessions,) float64 array
        Logon, in [0, horizon), and logoff, which may lie after the horizon. [s]
    intensity : (users,) float64 array
        How hard each user works; mean 1 over many users. [1]
    """

    user: NDArray[np.int32]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    intensity: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        habits: Users,
        users: int,
        calendar: Calendar,
        seed: int,
        replicate: int,
        only: NDArray[np.int64] | None = None,
    ) -> Self:
        """Draw every user's sessions, each from that user's own streams.

        A user's sessions depend on the seed, the replicate, the user's number and the habits; on how many other users
        there are they do not depend, nor on how long the run is, but for the end of the last session.

        Parameters
        ----------
        habits : Users
            `scenario.users`.
        users : int
            How many. [1]
        calendar : Calendar
            Days of the run; weekends and holidays follow the user's own clock.
        seed, replicate : int
            From 0 up.
        only : (n,) int64 array, optional
            Users to draw, ascending; the others have no sessions, and no intensity (NaN). All, unless given.
        """
        likely = np.where(calendar.workdays(1, 1), 1.0 - habits.absence, habits.weekend)
        midnight = np.arange(-1.0, calendar.days + 1) * DAY_S  # of the user's own clock: one more day at each end
        starts, ends, counts = [], [], np.zeros(users, np.int64)
        intensity, ahead_s = np.full(users, np.nan), np.empty(users)
        borders, offsets_s = _zones(habits.time_zones)
        for user in range(users) if only is None else only.tolist():
            key = (seed, replicate, user)
            who = generator(*key, "user:person")
            intensity[user] = np.exp(habits.intensity_sigma * (who.standard_normal() - habits.intensity_sigma / 2))
            ahead_s[user] = offsets_s[np.searchsorted(borders, who.random(), side="right")]
            present = np.flatnonzero(generator(*key, "user:presence").random(likely.size) < likely)
            clock = generator(*key, "user:logon").standard_normal(likely.size)[present]
            of_day = np.clip(habits.logon_at + habits.logon_spread * clock, 0.0, DAY_S - APART_S)
            start = midnight[present] + of_day - ahead_s[user]
            length = generator(*key, "user:length").standard_exponential(likely.size)[present] * habits.session_mean
            end = start + length
            end[:-1] = np.minimum(end[:-1], start[1:] - APART_S)
            inside = slice(*np.searchsorted(start, (0.0, calendar.horizon_s)))
            starts.append(start[inside])
            ends.append(end[inside])
            counts[user] = starts[-1].size
        return cls(
            user=np.repeat(np.arange(users, dtype=np.int32), counts),
            start_s=np.concatenate([np.empty(0), *starts]),
            end_s=np.concatenate([np.empty(0), *ends]),
            intensity=intensity,
        )

    def __len__(self) -> int:
        return int(self.user.size)

    def most_at_a_time(self) -> int:
        """Most users logged on at the same time; one who logs off at a time is gone at that time. [1]"""
        return most_at_a_time(self.start_s, self.end_s)


def most_at_a_time(start_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> int:
    """Most of the intervals [start, end) that hold one time. [1]"""
    if not start_s.size:
        return 0
    starts, ends = np.sort(start_s), np.sort(end_s)
    return int((np.arange(1, starts.size + 1) - np.searchsorted(ends, starts, side="right")).max())


def _zones(zones: Sequence[ZoneShare]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper borders of the zones' shares in [0, 1), and the zones' offsets [s], the last for the rest of the users."""
    borders = np.cumsum([zone.share for zone in zones])
    return borders, np.array([*(zone.offset_h * 3600.0 for zone in zones), 0.0])
