"""When a source writes: in sessions, in hours of the machine, at boots, by the calendar, at the pool's events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest import plan_kernel as kernel
from clonesim.guest.draws import SPREAD, TRIGGERS, Floats, Ints, Keys, sub_keys, uniform
from clonesim.guest.presence import DAY_S, Presence, Shared
from clonesim.guest.write_sources import Source
from clonesim.scenario import catalog

HOUR_S: Final = 3600.0
SESSION, MACHINE, LOGON, LOGOFF, FIRST_LOGON, BOOT, CALENDAR, EVENT, IDLE = range(TRIGGERS, TRIGGERS + 9)
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Events:
    """Times at which one source acts, ascending.

    Attributes
    ----------
    time_s : (n,) float64 array
        When. [s]
    key : (n,) uint64 array
        What everything about the event is drawn from.
    user, session : (n,) int64 array
        Whose it is; -1 for the machine's.
    end_s : (n,) float64 array
        When that user logs off; inf for the machine's. [s]
    size : (n,) float64 array
        Size that comes with an event of the pool; 0 for others. [B]
    """

    time_s: Floats
    key: Keys
    user: Ints
    session: Ints
    end_s: Floats
    size: Floats

    def __len__(self) -> int:
        return int(self.time_s.size)

    def take(self, rows: NDArray[np.bool_] | Ints) -> Self:
        """Some of the events, in the order of `rows`."""
        return type(self)(
            self.time_s[rows], self.key[rows], self.user[rows], self.session[rows], self.end_s[rows], self.size[rows]
        )


class Clock:
    """Everything that decides when the sources of one clone act, apart from their rates.

    Parameters
    ----------
    presence : Presence
        Boots and sessions of the clone.
    shared : Shared
        Events of the pool.
    horizon_s : float
        End of the plan. [s]
    intensity : float
        Factor on the rates in sessions.
    profiles_kept : bool
        If not, every logon counts as the user's first.
    own_key : int
        Key of what users do, where the pool gives none.
    """

    def __init__(
        self,
        presence: Presence,
        shared: Shared,
        horizon_s: float,
        intensity: float,
        profiles_kept: bool,
        own_key: int,
    ) -> None:
        self.presence, self.shared, self.horizon_s = presence, shared, horizon_s
        self.first_boot_s = float(presence.boots_s[0]) if presence.boots_s.size else np.inf
        self.hours = (presence.session_end_s - presence.session_start_s) / HOUR_S
        self.pace = presence.session_intensity * intensity
        self.first = presence.first_logon if profiles_kept else np.ones(self.hours.size, np.bool_)
        pool = np.uint64((own_key if shared.key is None else shared.key) % 2**64)
        who = sub_keys(presence.session_user.astype(np.uint64) ^ pool, SESSION)
        self.session_key = sub_keys(who ^ presence.session_start_s.view(np.uint64), SESSION)

    def events(self, source: Source, machine_key: int) -> Events:
        """Events of a source, ascending, from the first boot to the horizon.

        Parameters
        ----------
        source : Source
            What acts, and how often.
        machine_key : int
            Drawn for this source and clone; what the machine does by itself follows from it.
        """
        get, found = source.get, []
        machine = np.array([machine_key], np.uint64)
        spread = get("spread")
        if get("per_session_hour") > 0:
            found.append(self._in_sessions(source, get("per_session_hour")))
        if get("per_machine_hour") > 0:
            found.append(self._by_the_hour(machine, get("per_machine_hour"), str(source.values.get("shape", "flat"))))
        p = self.presence
        for name, code, times, rows in (
            ("at_logon", LOGON, p.session_start_s, None),
            ("at_logoff", LOGOFF, p.session_end_s, None),
            ("at_first_logon", FIRST_LOGON, p.session_start_s, self.first),
        ):
            if get(name) >= 1:
                sessions = np.arange(times.size) if rows is None else np.flatnonzero(rows)
                keys = sub_keys(self.session_key[sessions] ^ np.uint64(source.code), code)
                found.append(self._of_sessions(*_repeated(times[sessions], keys, int(get(name)), spread, sessions)))
        for code, times, count in (
            (BOOT, p.boots_s, int(get("at_boot"))),
            (CALENDAR, self._calendar(source, machine), 1),
            (IDLE, self._idle(get("idle_for")), 1),
        ):
            if count and times.size:
                keys = sub_keys(machine ^ _numbers(times), code)
                found.append(_of_machine(*_repeated(times, keys, count, spread)[:2]))
        if source.texts["event"]:
            times, sizes = self.shared.event(source.texts["event"])
            keys = sub_keys(machine ^ _numbers(times), EVENT)
            found.append(_of_machine(times + spread * uniform(keys, SPREAD), keys, sizes.astype(np.float64)))
        return self._in_order(found, get("delay"))

    def _in_order(self, found: list[Events], delay: float) -> Events:
        if not found:
            return _of_machine(np.zeros(0), np.zeros(0, np.uint64))
        all_ = found[0]
        if len(found) > 1:
            names = ("time_s", "key", "user", "session", "end_s", "size")
            all_ = Events(*(np.concatenate([getattr(e, name) for e in found]) for name in names))
        keep = (all_.time_s >= self.first_boot_s) & (all_.time_s + delay < self.horizon_s)
        if not keep.all():
            all_ = all_.take(keep)
        if (np.diff(all_.time_s) < 0).any():
            all_ = all_.take(np.argsort(all_.time_s, kind="stable"))
        if delay:
            all_ = Events(all_.time_s + delay, all_.key, all_.user, all_.session, all_.end_s, all_.size)
        return all_

    def _of_sessions(self, times: Floats, keys: Keys, sessions: Ints) -> Events:
        p = self.presence
        return Events(times, keys, p.session_user[sessions], sessions, p.session_end_s[sessions], np.zeros(times.size))

    def _in_sessions(self, source: Source, rate: float) -> Events:
        """Poisson arrivals while users are logged on, at their own pace."""
        pace = rate * self.pace
        keys = sub_keys(self.session_key ^ np.uint64(source.code), SESSION)
        key, row, x = _arrivals(keys, np.zeros(keys.size), pace * self.hours)
        return self._of_sessions(self.presence.session_start_s[row] + x * HOUR_S / pace[row], key, row)

    def _by_the_hour(self, machine: Keys, rate: float, shape: str) -> Events:
        """Poisson arrivals at all hours, by the shape of a day and of a week; `rate` is the mean of a week's hours."""
        edges = np.zeros(1)
        if shape != "flat":
            days = int(np.ceil(self.horizon_s / DAY_S))
            week = np.roll(week_of(shape), -24 * self.shared.first_weekday)
            edges = np.concatenate([edges, np.cumsum(np.tile(week, -(-days // 7)))])
        most = self.horizon_s / HOUR_S if shape == "flat" else edges[-1]
        key, _, x = _arrivals(sub_keys(machine, MACHINE), np.zeros(1), np.array([rate * most]))
        hours = x / rate
        if shape != "flat":
            hours = np.interp(hours, edges, np.arange(edges.size, dtype=np.float64))
        return _of_machine(hours * HOUR_S, key)

    def _calendar(self, source: Source, machine: Keys) -> Floats:
        """Times `every` so often, at a time of day; the first day is drawn, or a weekday that all clones share."""
        every, at = source.get("every"), source.get("at")
        if every <= 0:
            return np.zeros(0)
        if "weekday" in source.values:
            phase = (source.get("weekday") - self.shared.first_weekday) % 7 * DAY_S
        else:
            days = max(1.0, every // DAY_S)
            phase = np.floor(uniform(machine, CALENDAR)[0] * days) * DAY_S
        return phase % max(every, DAY_S) + at + every * np.arange(max(0.0, np.ceil(self.horizon_s / every)))

    def _idle(self, idle_for: float) -> Floats:
        """Times at which nobody has been logged on for `idle_for`, once after each stretch of sessions."""
        p = self.presence
        if idle_for <= 0 or not p.session_start_s.size:
            return np.zeros(0)
        gone = np.maximum.accumulate(p.session_end_s)
        return gone[np.append(p.session_start_s[1:], np.inf) > gone + idle_for] + idle_for


def _of_machine(times: Floats, keys: Keys, sizes: Floats | None = None) -> Events:
    nobody = np.full(times.size, NOBODY)
    return Events(
        times, keys, nobody, nobody, np.full(times.size, np.inf), np.zeros(times.size) if sizes is None else sizes
    )


def _repeated(
    times: Floats, keys: Keys, count: int, spread: float, sessions: Ints | None = None
) -> tuple[Floats, Keys, Ints]:
    """`count` events for each time, spread over the source's own time or that of a burst."""
    rows = np.zeros(times.size, np.int64) if sessions is None else sessions
    if count > 1:
        part = np.tile(np.arange(count, dtype=np.uint64), times.size)
        times, rows, keys = (
            np.repeat(times, count),
            np.repeat(rows, count),
            sub_keys(np.repeat(keys, count) + part, SPREAD),
        )
        spread = spread or float(catalog.value("laws", "burst.span"))
    if spread:
        times = times + spread * uniform(keys, SPREAD)
    return times, keys, rows


def _numbers(times: Floats) -> Keys:
    return np.arange(1, times.size + 1, dtype=np.uint64)


def _arrivals(keys: Keys, start: Floats, length: Floats) -> tuple[Keys, Ints, Floats]:
    """Arrivals of rate 1 in each interval: keys, rows of the intervals and places."""
    mean = float(length.sum())
    room = int(mean + 10 * np.sqrt(mean) + 64)
    while True:
        out_key, out_row, out_x = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room)
        count = int(kernel.arrivals(keys, start, length, out_key, out_row, out_x))
        if count >= 0:
            return out_key[:count], out_row[:count], out_x[:count]
        room *= 2


@cache
def week_of(shape: str) -> Floats:
    """Weights of a week's hours from Monday's first on; their mean is 1. (168,) float64 array."""
    hours = np.array([float(w) for w in catalog.value("laws", f"{shape}.hours").split()])
    week = np.concatenate([hours] * 5 + [hours * catalog.value("laws", f"{shape}.weekend")] * 2)
    mean_one: Floats = week / week.mean()
    return mean_one
