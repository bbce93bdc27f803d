"""When clones are set back to their image, and how long that takes: refresh, recompose, instant clones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.power import REFRESHED, Restarts
from clonesim.pool.storm_work import serve_work, storm_load, task
from clonesim.scenario.strategy import Choice

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

KINDS = {
    "refresh": "refresh",
    "recompose": "recompose",
    "instant-clone": "provisioning",
}  # strategy -> work of one clone

Times = NDArray[np.float64]
Ints = NDArray[np.int64]


def refreshes(scenario: Scenario, calendar: Calendar, start_s: list[Times], end_s: list[Times]) -> Restarts:
    """Times at which clones are powered off, set back and powered on, under the platform's limit.

    Parameters
    ----------
    scenario : Scenario
        Its strategies, platform and array.
    calendar : Calendar
        Days of the run.
    start_s, end_s : list of (n,) float64 array
        Sessions of each clone, in order of their starts. [s]

    Notes
    -----
    A clone whose turn comes at a logoff takes no logon until it is up again; one whose turn comes at night waits for
    its users to log off, a day at most.
    """
    found = []
    for choice in scenario.strategy:
        if _scheduled(choice):
            ready_s, clone = _ready(choice, calendar, start_s, end_s)
            found.append(_served(scenario, KINDS[choice.name], ready_s, clone))
    return Restarts.of(*found)


def floor_bytes(scenario: Scenario) -> int:
    """What a delta holds right after it was set back: the customisation before the checkpoint. [B]"""
    return sum(int(choice.value("floor")) for choice in scenario.strategy if choice.name == "refresh")


def _scheduled(choice: Choice) -> bool:
    if choice.name == "refresh":
        return str(choice.value("when")) != "share"
    return choice.name in ("recompose", "instant-clone")


def _ready(choice: Choice, calendar: Calendar, start_s: list[Times], end_s: list[Times]) -> tuple[Times, Ints]:
    """When each clone may be set back, in order of time, and which it is."""
    if choice.name == "instant-clone" or (choice.name == "refresh" and choice.value("when") == "logoff"):
        times = [_last_logoffs(start, end) for start, end in zip(start_s, end_s, strict=True)]
    else:
        times = [_nights(choice, calendar, start, end) for start, end in zip(start_s, end_s, strict=True)]
    clone = np.repeat(np.arange(len(times)), [part.size for part in times])
    ready = np.concatenate([np.zeros(0), *times])
    order = np.lexsort((clone, ready))
    inside = ready[order] < calendar.horizon_s
    return ready[order][inside], clone[order][inside]


def _last_logoffs(start_s: Times, end_s: Times) -> Times:
    """Logoffs after which nobody is logged on."""
    if not start_s.size:
        return np.zeros(0)
    gone = np.maximum.accumulate(end_s)
    last: Times = gone[np.append(start_s[1:] > gone[:-1], True)]
    return last


def _nights(choice: Choice, calendar: Calendar, start_s: Times, end_s: Times) -> Times:
    from clonesim.pool.timeline import after_logoff

    nightly = choice.name == "refresh" and choice.value("when") == "nightly"
    every = DAY_S if nightly else float(choice.value("every"))
    turns = np.arange(every, calendar.horizon_s, every) + float(choice.value("at"))
    return np.asarray(np.unique(after_logoff(turns, start_s, end_s)), np.float64)


def _served(scenario: Scenario, kind: str, ready_s: Times, clone: Ints) -> Restarts:
    """Restarts of clones that are worked on a few at a time; a clone is down from when it is ready."""
    one = task(kind)
    load = storm_load(scenario, one)
    limits = scenario.platform
    at_a_time = limits.provisioning if kind == "provisioning" else limits.maintenance
    work = serve_work(ready_s, load.ios[0], one.shortest_s, at_a_time, load.capacity_iops)
    causes = np.full(clone.size, REFRESHED, np.int8)
    boot_s = work.start_s + 0.5 * (work.end_s - work.start_s)  # set back first, then booted
    return Restarts(clone.astype(np.int64), ready_s, work.start_s, boot_s, work.end_s, causes)
