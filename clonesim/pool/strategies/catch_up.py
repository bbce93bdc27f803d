"""What a clone does once more after it was set back: definitions and patches that came out since its image was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.guest.presence import DEFINITIONS, FEATURE_UPDATE, PATCHES, Presence, Shared
from clonesim.guest.rows import Plan, Reads
from clonesim.guest.write_sources import BLOCK

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

AFTER_S: Final = {DEFINITIONS: 60.0, PATCHES: 300.0, FEATURE_UPDATE: 900.0}  # from the boot until it begins
KEPT: Final = ("persistent-disk", "profile-container", "profile-streaming")  # strategies under which profiles survive

Times = NDArray[np.float64]


def catches_up(scenario: Scenario) -> bool:
    """Whether clones that are set back repeat what came out since their image."""
    return any(choice.name == "refresh" and bool(choice.value("catch_up")) for choice in scenario.strategy)


def loses_profiles(scenario: Scenario) -> bool:
    """Whether a user's first logon to a clone that was set back makes a new profile."""
    return not any(choice.name in KEPT for choice in scenario.strategy)


def missed(shared: Shared, boots_s: Times) -> Shared:
    """Events that a clone repeats after each of these boots: the newest of each kind that came before.

    Definitions and patches are cumulative, so one set and one package bring everything.
    """
    found = {}
    for kind, delay_s in AFTER_S.items():
        times, sizes = shared.event(kind)
        newest = np.searchsorted(times, boots_s, side="right") - 1
        some = newest >= 0
        found[kind] = (boots_s[some] + delay_s, sizes[newest[some]])
    return Shared(found, shared.first_weekday, shared.key)


def with_catch_up(
    plan: Plan,
    activity: Activity,
    shared: Shared,
    boots_s: Times,
    stream: Callable[[str], np.random.Generator],
    horizon_s: float,
) -> Plan:
    """A plan and what is done once more after the clone was set back and booted at these times.

    Parameters
    ----------
    plan : Plan
        What the clone does anyway; every operation of it stays as it is.
    activity : Activity
        Its write sources.
    shared : Shared
        The pool's events as this clone takes part in them.
    boots_s : (n,) float64 array
        Boots after it was set back. [s]
    stream : callable
        Random stream of a source, apart from those of the plan.
    horizon_s : float
        End of the run. [s]
    """
    if not boots_s.size:
        return plan
    again = missed(shared, boots_s)
    only = {source.index for source in activity.active if source.texts.get("event") in AFTER_S}
    behind = int(plan.ops["file"].max(initial=0)) // BLOCK * BLOCK + BLOCK  # files of its own
    more = activity.plan(Presence.none(boots_s[:1]), again, stream, horizon_s, behind, only)
    ops = np.concatenate([plan.ops, more.ops])
    order = np.argsort(ops["time_s"], kind="stable")
    one, two = plan.reads, more.reads
    columns = [
        np.concatenate([getattr(one, name), getattr(two, name)]) for name in ("time_s", "source", "bytes", "ios")
    ]
    turn = np.argsort(columns[0], kind="stable")
    return Plan(ops[order], Reads(*(column[turn] for column in columns)))
