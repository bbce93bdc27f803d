"""When a clone is on and who uses it, and what happens to all clones of a pool at once: what a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError

DAY_S = 86_400.0
PATCHES = "patches"  # monthly cumulative updates
DEFINITIONS = "definitions"  # antivirus definition pushes
FEATURE_UPDATE = "feature-update"  # feature update, service pack or in-place upgrade
FULL_SCANS = "full-scans"  # antivirus reads everything; sizes are 0
EVENT_KINDS = (PATCHES, DEFINITIONS, FEATURE_UPDATE, FULL_SCANS)

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Presence:
    """Boots and sessions of one clone over the horizon.

    Attributes
    ----------
    boots_s : (b,) float64 array
        Starts of the clone, ascending, seconds since the scenario's start. The first one is the clone's first boot. [s]
    session_start_s, session_end_s : (n,) float64 array
        Logons, ascending, and logoffs. Sessions may overlap on multi-session hosts; an end may lie behind the
        horizon. [s]
    session_user : (n,) int64 array
        Number of the user.
    session_intensity : (n,) float64 array
        How busy the user is; 1 is the average user.
    first_logon : (n,) bool array
        Whether the user never logged on to this clone before.

    Raises
    ------
    ParameterError
        If arrays differ in length, times descend, or a session ends before it starts.
    """

    boots_s: Times
    session_start_s: Times
    session_end_s: Times
    session_user: NDArray[np.int64]
    session_intensity: NDArray[np.float64]
    first_logon: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n = self.session_start_s.size
        for name in ("session_end_s", "session_user", "session_intensity", "first_logon"):
            if getattr(self, name).size != n:
                raise ParameterError(
                    name, getattr(self, name).size, f"one value for each of the {n} sessions is needed"
                )
        for name in ("boots_s", "session_start_s"):
            times = getattr(self, name)
            if times.size and (not times[0] >= 0 or (np.diff(times) < 0).any()):
                raise ParameterError(name, float(times.min()), "times from 0 on, ascending, are needed", "Sort them.")
        if (self.session_end_s < self.session_start_s).any():
            raise ParameterError("session_end_s", "before its start", "a session ends at its start or later")

    @classmethod
    def none(cls, boots_s: Times | None = None) -> Presence:
        """A clone that nobody uses; on since the start unless told otherwise."""
        no = np.zeros(0)
        boots = np.zeros(1) if boots_s is None else boots_s
        return cls(boots, no, no, np.zeros(0, np.int64), no, np.zeros(0, np.bool_))


@dataclass(frozen=True, slots=True)
class Shared:
    """What happens to every clone of a pool: drawn once per pool and replicate, so that clones share it.

    A plan is given the pool's events as its clone takes part in them (`Timeline.events(clone)`): the times are already
    spread over each storm's window, clone by clone, and are not to be spread again.

    Attributes
    ----------
    events : mapping of name to (times, sizes)
        Times since the scenario's start, ascending [s], and sizes [B]; the names are `EVENT_KINDS`. A kind that is
        missing does not happen. The size of a patch is the month's download, of a definition push the full set on
        disk, of a feature update the new system's size.
    first_weekday : int
        Weekday of the scenario's first day; 0 is Monday.
    key : int or None
        Key of what users do, from 0 to 2**64 - 1, one a pool and replicate: a session's work follows from it, the user
        and the logon's time, whatever clone the user got. None: each clone draws its own.
    """

    events: Mapping[str, tuple[Times, NDArray[np.int64]]] = field(default_factory=dict)
    first_weekday: int = 0
    key: int | None = None

    def event(self, kind: str) -> tuple[Times, NDArray[np.int64]]:
        """Times [s] and sizes [B] of one kind of event; empty where the pool has none."""
        return self.events.get(kind, (np.zeros(0), np.zeros(0, np.int64)))
