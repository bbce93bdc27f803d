"""When a pool is in a storm of some kind, and when it is not."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.presence import DAY_S
from clonesim.lun.operations import LOCK_BREAK, POWER_ON, VMOTION
from clonesim.pool.timeline import Timeline

AFTER_S: Final = 600.0  # the last clone of a storm still works on its share
LOGON_SHARES: Final = (0.05, 0.95)  # of a day's logons: between them is the logon storm
RESTARTS, LOGONS, HOST_FAILURE, MAINTENANCE, POWER_ONS, STEADY = (
    *("restarts", "logons", "host failure", "maintenance", "power-ons", "steady"),
)
_BY_OPERATION = {LOCK_BREAK: HOST_FAILURE, VMOTION: MAINTENANCE, POWER_ON: POWER_ONS}

Spans = NDArray[np.float64]


def storm_windows(timeline: Timeline) -> dict[str, Spans]:
    """Windows of each kind of storm, and the steady time between all of them.

    Returns
    -------
    dict of (n, 2) float64 array
        Start and end of each window, in order and without overlap inside a kind; kinds that do not occur are left out.
        Storms of different kinds may overlap, "steady" overlaps none. [s]
    """
    horizon_s = timeline.calendar.horizon_s
    found: dict[str, Spans] = {}
    for kind, (times, _) in timeline.shared.events.items():
        found[kind] = _spans(times, times + timeline.windows_s[kind] + AFTER_S, horizon_s)
    restarts = timeline.restarts_s
    found[RESTARTS] = _spans(restarts, restarts + timeline.boot_window_s + AFTER_S, horizon_s)
    found[LOGONS] = _logons(timeline, horizon_s)
    for code, kind in _BY_OPERATION.items():
        times = timeline.operations.time_s[timeline.operations.kind == code]
        found[kind] = _spans(times, times + AFTER_S, horizon_s)
    storms = {kind: spans for kind, spans in found.items() if len(spans)}
    rest = _gaps(_union(np.concatenate([np.zeros((0, 2)), *storms.values()])), horizon_s)
    return storms | ({STEADY: rest} if len(rest) else {})


def storms_at(timeline: Timeline, time_s: float) -> tuple[str, ...]:
    """Kinds of storms that are on at a time; "steady" if none is."""
    found = storm_windows(timeline).items()
    return tuple(kind for kind, spans in found if ((spans[:, 0] <= time_s) & (time_s < spans[:, 1])).any())


def _logons(timeline: Timeline, horizon_s: float) -> Spans:
    rows = timeline.session_clone >= 0
    start = np.sort(timeline.sessions.start_s[rows])
    day = np.floor(start / DAY_S).astype(np.int64)
    spans = []
    for first, end in zip(*_runs(day), strict=True):
        of_day = start[first:end]
        low, high = (of_day[min(of_day.size - 1, int(share * of_day.size))] for share in LOGON_SHARES)
        spans.append((low, high + AFTER_S))
    table = np.array(spans).reshape(-1, 2)
    return _spans(table[:, 0], table[:, 1], horizon_s)


def _runs(values: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each run of equal values begins and ends."""
    edges = np.flatnonzero(np.diff(values)) + 1
    if not values.size:
        return edges, edges
    return np.concatenate([[0], edges]), np.concatenate([edges, [values.size]])


def _spans(start: NDArray[np.float64], end: NDArray[np.float64], horizon_s: float) -> Spans:
    table = np.stack([start, np.minimum(end, horizon_s)], axis=1)
    return _union(table[table[:, 0] < table[:, 1]])


def _union(spans: Spans) -> Spans:
    """The same time in spans that do not touch, in order."""
    if not len(spans):
        return spans.reshape(0, 2)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.append(True, spans[1:, 0] > reach[:-1])
    last = np.append(first[1:], True)
    return np.stack([spans[first, 0], reach[last]], axis=1)


def _gaps(spans: Spans, horizon_s: float) -> Spans:
    edges = np.stack([np.append(0.0, spans[:, 1]), np.append(spans[:, 0], horizon_s)], axis=1)
    return edges[edges[:, 0] < edges[:, 1]]
