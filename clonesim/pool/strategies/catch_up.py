"""What a clone does once more after it was set back: definitions and patches that came out since its image was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.guest.presence import DEFINITIONS, FEATURE_UPDATE, PATCHES, Presence, Shared
from clonesim.guest.rows import Plan, Reads
from clonesim.guest.write_sources import BLOCK
from clonesim.ops import take
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

AFTER_S: Final = {DEFINITIONS: 60.0, PATCHES: 300.0, FEATURE_UPDATE: 900.0}  # from the boot until it begins
ALWAYS: Final = ("recompose", "rebalance", "instant-clone", "provisioned-streaming", "mcs")  # catch up without a switch
SURVIVE: Final = ("persistent-disk", "profile-container")  # disks that no reset empties, by tags

Times = NDArray[np.float64]


def catches_up(scenario: Scenario) -> bool:
    """Whether clones that are set back repeat what came out since their image.

    The switch of a refresh, where there is one, is that of all resets; the others have none.
    """
    refresh = scenario.chosen("refresh")
    if refresh:
        return bool(refresh.value("catch_up"))
    return any(choice.name in ALWAYS for choice in scenario.strategy)


def kept(scenario: Scenario, tag: str) -> bool:
    """Whether files of a tag lie on a disk that is never set back."""
    return any(choice.name in SURVIVE and tag in choice.value("tags") for choice in scenario.strategy)


def loses_profiles(scenario: Scenario) -> bool:
    """Whether a user's first logon to a clone that was set back makes a new profile."""
    return not (kept(scenario, "profile") or scenario.chosen("profile-streaming"))


def image_age_s(scenario: Scenario) -> float:
    """Age of the base image at the start: that of the refresh, or its default. [s]"""
    refresh = scenario.chosen("refresh")
    return float(refresh.value("image_age") if refresh else catalog.value("strategies", "refresh.image_age"))


def oldest_image_s(scenario: Scenario) -> float:
    """How long before the start the oldest image may be made that a clone is set back to. [s]"""
    recompose = scenario.chosen("recompose")
    return max(image_age_s(scenario), float(recompose.value("image_age")) if recompose else 0.0)


def image_dates(scenario: Scenario, recomposed_s: Times, boots_s: Times) -> Times:
    """When the image was made that a clone has at each of some boots.

    Parameters
    ----------
    scenario : Scenario
        Its strategies.
    recomposed_s : (n,) float64 array
        When the clone got a new image, in order. [s]
    boots_s : (boots,) float64 array
        Boots, a recompose at the same time included. [s]

    Returns
    -------
    (boots,) float64 array
        Below 0 for the image of the start, which only a recompose replaces. [s]
    """
    start = np.full(boots_s.size, -image_age_s(scenario))
    recompose = scenario.chosen("recompose")
    if recompose is None or not recomposed_s.size:
        return start
    newest = np.searchsorted(recomposed_s, boots_s, side="right") - 1
    renewed = recomposed_s[np.maximum(newest, 0)] - float(recompose.value("image_age"))
    dates: Times = np.where(newest >= 0, renewed, start)
    return dates


def since_image(before: Shared, events: Shared) -> Shared:
    """A clone's events with what came out before the run, as `missed` looks for it.

    Parameters
    ----------
    before : Shared
        Events of the pool at times below 0 (`storms.storms_before`).
    events : Shared
        Those of the run as the clone takes part in them.
    """
    found = dict(events.events)
    for kind in AFTER_S:
        parts = before.event(kind), events.event(kind)
        found[kind] = (np.concatenate([times for times, _ in parts]), np.concatenate([sizes for _, sizes in parts]))
    return replace(events, events=found)


def missed(shared: Shared, boots_s: Times, image_s: Times) -> Shared:
    """Events that a clone repeats after each of these boots: the newest of each kind since its image.

    Definitions and patches are cumulative, so one set and one package bring everything; what was there when the image
    was made is in it.

    Parameters
    ----------
    shared : Shared
        Events, those before the run included where the image is older.
    boots_s, image_s : (n,) float64 arrays
        Boots, and when the image was made that the clone had then. [s]
    """
    found = {}
    for kind, delay_s in AFTER_S.items():
        times, sizes = shared.event(kind)
        newest = np.searchsorted(times, boots_s, side="right") - 1
        some = newest >= 0
        some[some] = times[newest[some]] > image_s[some]
        found[kind] = (boots_s[some] + delay_s, sizes[newest[some]])
    return Shared(found, shared.first_weekday, shared.key)


def with_catch_up(
    plan: Plan,
    activity: Activity,
    shared: Shared,
    boots_s: Times,
    image_s: Times,
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
        The pool's events as this clone takes part in them, and those before the run (`since_image`).
    boots_s : (n,) float64 array
        Boots after it was set back. [s]
    image_s : (n,) float64 array
        When the image was made that it had then (`image_dates`). [s]
    stream : callable
        Random stream of a source, apart from those of the plan.
    horizon_s : float
        End of the run. [s]
    """
    if not boots_s.size:
        return plan
    again = missed(shared, boots_s, image_s)
    only = {source.index for source in activity.active if source.texts.get("event") in AFTER_S}
    behind = int(plan.ops["file"].max(initial=0)) // BLOCK * BLOCK + BLOCK  # files of its own
    return merged(plan, activity.plan(Presence.none(boots_s[:1]), again, stream, horizon_s, behind, only))


def merged(one: Plan, two: Plan) -> Plan:
    """Two plans as one, in order of time; at equal times the first one's operations come first."""
    ops = np.concatenate([one.ops, two.ops])
    order = np.argsort(ops["time_s"], kind="stable")
    reads = one.reads, two.reads
    columns = [np.concatenate([getattr(r, name) for r in reads]) for name in ("time_s", "source", "bytes", "ios")]
    turn = np.argsort(columns[0], kind="stable")
    return Plan(take(ops, order), Reads(*(column[turn] for column in columns)))
