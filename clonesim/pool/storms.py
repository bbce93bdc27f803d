"""What happens to the whole pool at once: patches, antivirus definitions, feature updates, scans, restarts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.presence import DEFINITIONS, FEATURE_UPDATE, FULL_SCANS, PATCHES, Shared
from clonesim.keys import POOL, generator, own_seed
from clonesim.pool.calendar import DAY_S, SATURDAY, Calendar
from clonesim.scenario import catalog
from clonesim.scenario.months import first_month, month_number

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

SUNDAY: Final = 6
WEDNESDAY: Final = 2

Times = NDArray[np.float64]
Sizes = NDArray[np.int64]


def storms(scenario: Scenario, calendar: Calendar, seed: int, replicate: int) -> Shared:
    """Events of the pool, drawn once: when each begins for the first clone, and how big it is.

    Every kind has its own stream, and a longer run only adds events at the end.

    Parameters
    ----------
    scenario : Scenario
        Its tables `storms` and `guest`.
    calendar : Calendar
        Days of the run.
    seed, replicate : int
        From 0 up.

    Returns
    -------
    Shared
        "patches": once a month, sizes lognormal about the OS's mean and capped at its range (catalog). "definitions":
        pushes at a random time in equal parts of the day. "feature-update": at most one. "full-scans": of size 0. With
        servicing in-image there are neither patches nor feature updates. Its key is the pool's: from it, the user and
        the time of the logon follows what is done in a session.
    """
    in_clone = scenario.guest.servicing == "in-clone"
    events: dict[str, tuple[Times, Sizes]] = {
        PATCHES: patches(scenario, calendar, seed, replicate),
        DEFINITIONS: _definitions(scenario, calendar, seed, replicate),
        FEATURE_UPDATE: _feature_update(scenario, calendar) if in_clone else _nothing(),
        FULL_SCANS: _full_scans(scenario, calendar),
    }
    own = own_seed(seed, scenario.pool.stream)
    key = int(generator(own, replicate, POOL, "pool:sessions").integers(2**64, dtype=np.uint64))
    return Shared(events, first_weekday=calendar.start.weekday(), key=key)


def storms_before(scenario: Scenario, calendar: Calendar, seed: int, replicate: int, age_s: float) -> Shared:
    """What came out before the run, for clones whose image is older than it.

    Parameters
    ----------
    scenario : Scenario
        Its tables `storms` and `guest`.
    calendar : Calendar
        Days of the run.
    seed, replicate : int
        From 0 up.
    age_s : float
        How far back. [s]

    Returns
    -------
    Shared
        Patches and definitions at times from -`age_s` to below 0, by the rules and laws of `storms`; feature updates
        come within the run only. Sizes of patches and times of pushes are drawn from streams of their own, the newest
        first: nothing of the run changes, and a greater age only adds events at the beginning.
    """
    in_clone = scenario.guest.servicing == "in-clone"
    events = {
        PATCHES: _patches_before(scenario, calendar, seed, replicate, age_s) if in_clone else _nothing(),
        DEFINITIONS: _definitions_before(scenario, calendar, seed, replicate, age_s),
    }
    return Shared(events, first_weekday=calendar.start.weekday())


def windows(scenario: Scenario) -> dict[str, float]:
    """Time over which the clones' shares of one event are spread, by kind of event. [s]"""
    given = scenario.storms
    return {
        PATCHES: given.patch_window,
        DEFINITIONS: given.definitions_window,
        FEATURE_UPDATE: given.patch_window,
        FULL_SCANS: given.av_full_window,
    }


def restarts(scenario: Scenario, calendar: Calendar, shared: Shared) -> Times:
    """Times at which storms of restarts begin, the start of the pool being the first.

    "daily" and "weekly" (Sundays) restart at `reboot_at`, from day 1 on. Patches and feature updates ask for the next
    restart after their window: at `reboot_at` after it, unless `reboot` is "never".

    Returns
    -------
    (n,) float64 array, rising, below the horizon [s]
    """
    given = scenario.storms
    at: list[NDArray[np.floating]] = [np.zeros(1)]
    days = np.arange(1, calendar.days)
    if given.reboot == "daily":
        at.append(days * DAY_S + given.reboot_at)
    elif given.reboot == "weekly":
        at.append(days[calendar.weekdays()[1:] == SUNDAY] * DAY_S + given.reboot_at)
    if given.reboot != "never":
        installed = [shared.event(kind)[0] + given.patch_window for kind in (PATCHES, FEATURE_UPDATE)]
        at.extend(np.ceil((done - given.reboot_at) / DAY_S) * DAY_S + given.reboot_at for done in installed)
    times = np.unique(np.concatenate(at)).astype(np.float64)
    return times[times < calendar.horizon_s]


def _nothing() -> tuple[Times, Sizes]:
    return np.zeros(0), np.zeros(0, np.int64)


def patches(scenario: Scenario, calendar: Calendar, seed: int, replicate: int) -> tuple[Times, Sizes]:
    """Monthly patches within a run: when their installation begins, and their sizes. [s, B]"""
    given = scenario.storms
    if given.patch_day == "never" or scenario.guest.servicing != "in-clone":
        return _nothing()
    days = calendar.monthly(given.patch_day, before=given.patch_delay) + given.patch_delay
    ahead = months_ahead(scenario, calendar)
    normal = generator(seed, replicate, POOL, "pool:patches").standard_normal(ahead + days.size)[ahead:]
    return _inside(days * DAY_S + given.patch_at, patch_sizes(scenario, normal), calendar)


def months_ahead(scenario: Scenario, calendar: Calendar) -> int:
    """Months whose patches came out for other pools of the estate within the run, and for this one before it."""
    since, given = scenario.pool.patches_from, scenario.storms
    if since is None:
        return 0
    return max(0, first_month(given.patch_day, given.patch_delay, calendar.start) - month_number(since))


def _patches_before(
    scenario: Scenario, calendar: Calendar, seed: int, replicate: int, age_s: float
) -> tuple[Times, Sizes]:
    given = scenario.storms
    if given.patch_day == "never":
        return _nothing()
    back = given.patch_delay + math.ceil(age_s / DAY_S) + 1
    times = (calendar.monthly(given.patch_day, before=back) + given.patch_delay) * DAY_S + given.patch_at
    times = times[times < 0]
    ahead = months_ahead(scenario, calendar)
    older = generator(seed, replicate, POOL, "pool:patches-before").standard_normal(max(times.size - ahead, 0))[::-1]
    newer = generator(seed, replicate, POOL, "pool:patches").standard_normal(ahead)[max(ahead - times.size, 0) :]
    normal = np.concatenate([older, newer])
    return _before(times, patch_sizes(scenario, normal), age_s)


def patch_sizes(scenario: Scenario, normal: Times) -> Sizes:
    """Sizes of months' patches from normal numbers. [B]"""
    given = scenario.storms
    size = catalog.parameters("storms")[f"patch_size.{scenario.guest.os}"]
    months = size.default * np.exp(given.patch_spread * (normal - given.patch_spread / 2))
    sizes: Sizes = np.rint(np.clip(months, *size.range) * given.patch_factor).astype(np.int64)
    return sizes


def _definitions(scenario: Scenario, calendar: Calendar, seed: int, replicate: int) -> tuple[Times, Sizes]:
    stream = generator(seed, replicate, POOL, "pool:definitions")
    return _pushes(scenario, np.arange(calendar.days), calendar.weekdays(), stream)


def _definitions_before(
    scenario: Scenario, calendar: Calendar, seed: int, replicate: int, age_s: float
) -> tuple[Times, Sizes]:
    back = math.ceil(age_s / DAY_S)
    stream = generator(seed, replicate, POOL, "pool:definitions-before")
    times, sizes = _pushes(scenario, -1 - np.arange(back), calendar.weekdays(before=back)[:back][::-1], stream)
    return _before(np.sort(times), sizes, age_s)


def _pushes(
    scenario: Scenario, days: NDArray[np.int64], weekdays: NDArray[np.int8], stream: np.random.Generator
) -> tuple[Times, Sizes]:
    """Pushes of definitions on some days, day by day: each at a random time of its part of the day."""
    given = scenario.storms
    a_day = np.where(weekdays < SATURDAY, given.definitions_weekday, given.definitions_weekend)
    pushes = max(given.definitions_weekday, given.definitions_weekend)
    part = stream.random((days.size, pushes))
    push = np.arange(pushes)
    with np.errstate(divide="ignore", invalid="ignore"):  # days without a push are left out below
        times = (days[:, None] + (push + part) / a_day[:, None]) * DAY_S
    chosen = times[push < a_day[:, None]]
    return chosen, np.full(chosen.size, given.definitions_size, np.int64)


def _feature_update(scenario: Scenario, calendar: Calendar) -> tuple[Times, Sizes]:
    given = scenario.storms
    if given.feature_update is None:
        return _nothing()
    size = catalog.value("storms", f"feature_update_size.{scenario.guest.os}")
    time_s = np.array([calendar.day(given.feature_update) * DAY_S + given.patch_at])
    return _inside(time_s, np.array([round(size * given.patch_factor)], np.int64), calendar)


def _full_scans(scenario: Scenario, calendar: Calendar) -> tuple[Times, Sizes]:
    given = scenario.storms
    if given.av_full == "never":
        return _nothing()
    monthly = given.av_full == "monthly"
    wednesdays = np.flatnonzero(calendar.weekdays() == WEDNESDAY)
    days = calendar.monthly("first-wednesday") if monthly else wednesdays
    return _inside(days * DAY_S + given.av_full_at, np.zeros(days.size, np.int64), calendar)


def _inside(times: NDArray[np.floating], sizes: Sizes, calendar: Calendar) -> tuple[Times, Sizes]:
    inside = (times >= 0) & (times < calendar.horizon_s)
    return times[inside].astype(np.float64), sizes[inside]


def _before(times: NDArray[np.floating], sizes: Sizes, age_s: float) -> tuple[Times, Sizes]:
    before = (times >= -age_s) & (times < 0)
    return times[before].astype(np.float64), sizes[before]
