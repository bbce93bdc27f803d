"""When clones are set back to their image, and how long that takes: refresh, recompose, instant clones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.keys import generator
from clonesim.pool.calendar import DAY_S, Calendar
from clonesim.pool.power import CYCLED, MOVED, RECOMPOSED, REFRESHED, Restarts
from clonesim.pool.storm_work import serve_work, storm_load, task
from clonesim.scenario.strategy import Choice

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

WORK: Final = {  # strategy -> work of one clone, and why it is restarted
    "refresh": ("refresh", REFRESHED),
    "recompose": ("recompose", RECOMPOSED),
    "rebalance": ("recompose", MOVED),
    "instant-clone": ("provisioning", REFRESHED),
    "mcs": ("boot", REFRESHED),
    "provisioned-streaming": ("boot", CYCLED),
}
DECIDED: Final = ("rebalance", "refresh")  # what may wait for the sizes of deltas

Times = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Decision:
    """A clone is set back because of what was simulated up to then.

    Attributes
    ----------
    ready_s : float
        From when on. [s]
    clone : int
        Which one.
    strategy : str
        "refresh" or "rebalance".
    lun : int
        Where it is made anew; -1: where it is.
    """

    ready_s: float
    clone: int
    strategy: str
    lun: int = -1


def refreshes(
    scenario: Scenario,
    calendar: Calendar,
    start_s: list[Times],
    end_s: list[Times],
    decided: Sequence[Decision] = (),
) -> Restarts:
    """Times at which clones are powered off, set back and powered on, under the platform's limit.

    Parameters
    ----------
    scenario : Scenario
        Its strategies, platform and array.
    calendar : Calendar
        Days of the run.
    start_s, end_s : list of (n,) float64 array
        Sessions of each clone, in order of their starts. [s]
    decided : sequence of Decision, optional
        What was decided on sizes.

    Notes
    -----
    A clone whose turn comes at a logoff takes no logon until it is up again; one whose turn comes at night waits for
    its users to log off, a day at most.
    """
    found = []
    for choice in scenario.strategy:
        when = _when(choice)
        if when:
            found.append(served(scenario, choice.name, *_ready(choice, when, calendar, start_s, end_s)))
        mine = sorted(one for one in decided if one.strategy == choice.name)
        if mine:
            ready_s, clone = np.array([one.ready_s for one in mine]), np.array([one.clone for one in mine], np.int64)
            found.append(served(scenario, choice.name, ready_s, clone))
    return Restarts.of(*found)


def floor_bytes(scenario: Scenario) -> int:
    """What a delta holds right after it was set back: the customisation before the checkpoint. [B]"""
    return sum(int(choice.value("floor")) for choice in scenario.strategy if choice.name == "refresh")


def _when(choice: Choice) -> str:
    """When a strategy restarts clones by the calendar or the users: logoff, nightly, days; empty for never."""
    if choice.name == "refresh":
        return str(choice.value("when")).replace("share", "")
    if choice.name == "recompose":
        return "days"
    if choice.name == "instant-clone":
        return "logoff" if choice.value("at_logoff") else ""
    if choice.name in ("mcs", "provisioned-streaming"):
        return str(choice.value("reboot")).replace("storms", "")
    return ""


def _ready(
    choice: Choice, when: str, calendar: Calendar, start_s: list[Times], end_s: list[Times]
) -> tuple[Times, Ints]:
    """When each clone may be set back, in order of time, and which it is."""
    if when == "logoff":
        times = [_last_logoffs(start, end) for start, end in zip(start_s, end_s, strict=True)]
    else:
        every = DAY_S if when == "nightly" else float(choice.value("every"))
        turns = turns_s(every, float(choice.value("at")), calendar)
        times = [_nights(turns, start, end) for start, end in zip(start_s, end_s, strict=True)]
    clone = np.repeat(np.arange(len(times)), [part.size for part in times])
    ready = np.concatenate([np.zeros(0), *times])
    order = np.lexsort((clone, ready))
    inside = ready[order] < calendar.horizon_s
    return ready[order][inside], clone[order][inside]


def turns_s(every: float, at: float, calendar: Calendar) -> Times:
    """Times of a day, so many seconds apart, the first one after one such span. [s]"""
    return np.arange(every, calendar.horizon_s, every) + at


def _last_logoffs(start_s: Times, end_s: Times) -> Times:
    """Logoffs after which nobody is logged on."""
    if not start_s.size:
        return np.zeros(0)
    gone = np.maximum.accumulate(end_s)
    last: Times = gone[np.append(start_s[1:] > gone[:-1], True)]
    return last


def _nights(turns: Times, start_s: Times, end_s: Times) -> Times:
    from clonesim.pool.timeline import after_logoff

    return np.asarray(np.unique(after_logoff(turns, start_s, end_s)), np.float64)


def served(scenario: Scenario, strategy: str, ready_s: Times, clone: Ints) -> Restarts:
    """Restarts of clones that a strategy works on, a few at a time; a clone is down from when it is ready.

    Parameters
    ----------
    scenario : Scenario
        Its limits and array.
    strategy : str
        One of `WORK`.
    ready_s : (n,) float64 array
        When each clone is ready, in order. [s]
    clone : (n,) int64 array
        Which one.
    """
    (kind, cause), choice = WORK[strategy], scenario.chosen(strategy)
    if choice and not choice.all().get("reset", True):
        cause = CYCLED
    one, limits = task(kind), scenario.platform
    load = storm_load(scenario, one)
    places = {"provisioning": limits.provisioning, "boot": limits.power}.get(kind, limits.maintenance)
    work = serve_work(ready_s, load.ios[0], one.shortest_s, places, load.capacity_iops)
    causes = np.full(clone.size, cause, np.int8)
    boot_s = work.start_s + 0.5 * (work.end_s - work.start_s)  # set back first, then booted
    return Restarts(clone.astype(np.int64), ready_s, work.start_s, boot_s, work.end_s, causes)


def moves_to(restarts: Restarts, decided: Sequence[Decision]) -> tuple[Ints, Times, Ints]:
    """Clones that were made anew on other LUNs, when, and where, in order of clone and time."""
    mine = restarts.take((restarts.cause == MOVED) & (restarts.start_s < restarts.up_s))
    ready = {(one.clone, one.ready_s): one.lun for one in decided if one.strategy == "rebalance"}
    lun = [ready[who, when] for who, when in zip(mine.clone.tolist(), mine.down_s.tolist(), strict=True)]
    return mine.clone, mine.start_s, np.array(lun, np.int64)


def reclaims_s(scenario: Scenario, calendar: Calendar, seed: int, replicate: int, clone: int) -> Times:
    """When a clone may give space back: its own time within the window of each turn. [s]"""
    choice = scenario.chosen("space-reclaim")
    if choice is None:
        return np.zeros(0)
    turns = turns_s(float(choice.value("every")), float(choice.value("at")), calendar)
    part = generator(seed, replicate, clone, "clone:space-reclaim").random(turns.size)
    times = turns + part * float(choice.value("window"))
    return times[times < calendar.horizon_s]
