"""vMotion: a running desktop's memory is copied in rounds, then the desktop stops for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clonesim.errors import ParameterError
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class Precopy:
    """What one vMotion came to.

    Attributes
    ----------
    rounds : int
        Rounds of copying while the desktop ran. [1]
    seconds : float
        From the first byte to the moment at which the desktop runs on the other host. [s]
    downtime_s : float
        How long it stood still for the rest. [s]
    bytes : float
        Bytes that went over the link. [B]
    converged : bool
        Whether the downtime is within the target.
    """

    rounds: int
    seconds: float
    downtime_s: float
    bytes: float
    converged: bool


def vmotion(
    memory: float, dirty_bytes_per_s: float, link_bytes_per_s: float, downtime_target_s: float, rounds: int
) -> Precopy:
    """Pre-copy: each round copies what changed during the one before it, until the rest fits into the downtime.

    The first round copies all memory. The desktop changes memory at a steady rate, each byte once, all of it at most.
    The desktop is stopped after a round whose rest can be copied within the target, after the last round, or after a
    round that left no less to copy than it copied itself.

    Parameters
    ----------
    memory : float
        Memory of the desktop. [B]
    dirty_bytes_per_s : float
        Memory that it changes. [B/s]
    link_bytes_per_s : float
        What the link carries. [B/s]
    downtime_target_s : float
        How long it may stand still. [s]
    rounds : int
        Most rounds. [1]

    Raises
    ------
    ParameterError
        If a value is out of range.
    """
    for name, value, zero in (
        ("memory", memory, False),
        ("dirty_bytes_per_s", dirty_bytes_per_s, True),
        ("link_bytes_per_s", link_bytes_per_s, False),
        ("downtime_target_s", downtime_target_s, True),
    ):
        if not math.isfinite(value) or value < 0 or not (zero or value):
            raise ParameterError(name, value, f"a finite number {'from 0 up' if zero else 'above 0'} is needed")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ParameterError("rounds", rounds, "a whole number from 1 up is needed")
    rest, sent, done = float(memory), 0.0, 0
    while done < rounds:
        copied, done = rest, done + 1
        sent += copied
        rest = min(float(memory), copied / link_bytes_per_s * dirty_bytes_per_s)
        if rest <= downtime_target_s * link_bytes_per_s or rest >= copied:
            break
    downtime_s = rest / link_bytes_per_s
    sent += rest
    return Precopy(done, sent / link_bytes_per_s, downtime_s, sent, downtime_s <= downtime_target_s)


def vmotion_of(scenario: Scenario) -> Precopy:
    """Pre-copy of one of a scenario's desktops, while its host has as many at a time as it can.

    They share the host's link equally; the rest is of the catalog's topic `operations`, set-up time left out.
    """
    given = {name: parameter.default for name, parameter in catalog.group("operations", "vmotion").items()}
    at_a_time = catalog.value("operations", "concurrency.vmotions")
    link = given["link"] / at_a_time
    return vmotion(scenario.guest.memory, given["dirty_rate"], link, given["downtime_target"], given["rounds"])
