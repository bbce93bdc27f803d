"""One datastore over time: it fills up, it is full, and from then on desktops halt one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import TOPIC, Backing, backing, check_capacity
from clonesim.lun.fill_kernel import fill_up
from clonesim.scenario import catalog

HOUR_S = 3600.0
LEVELS = tuple(catalog.value(TOPIC, f"datastore.{name}") for name in ("notice", "warning", "alarm"))
GROWTH, POWER_ON = "growth", "power-on"
MOST_BYTES = 2**62  # fixed bytes and all growth together must stay well inside int64

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fill:
    """How one datastore filled up.

    Everything is exact until `first_full_s`. From then on the datastore is frozen: nothing is written to it or given
    back, each desktop halts at its next growth, and what it would have written after that is unknown (censored).

    Attributes
    ----------
    capacity : int
        Size of the datastore. [B]
    limit : int
        Bytes at which it is full; less than the capacity on some backings. [B]
    fixed : int
        What lies there from the start beside the clones' files. [B]
    used : (hours,) int64 array
        Used bytes at the end of each hour. [B]
    level_s : dict of float
        When each share of the capacity was first in use, at the latest when full; infinite if never. [s]
    first_full_s : float
        When a growth step was refused first; infinite if never. [s]
    clones : (clones,) int64 array
        Numbers of the clones that live here.
    halt_s : (clones,) float64 array
        When each of them went down: the refused growth, or a power-on after that time; infinite if never. A clone's
        numbers are censored from here on. [s]
    by_power_on : (clones,) bool array
        Whether it was the power-on that failed.
    accepted : (steps,) bool array
        Which of the growth steps took place.
    horizon_s : float
        End of the simulated time. [s]
    """

    capacity: int
    limit: int
    fixed: int
    used: Ints
    level_s: Mapping[float, float]
    first_full_s: float
    clones: Ints
    halt_s: Floats
    by_power_on: NDArray[np.bool_]
    accepted: NDArray[np.bool_]
    horizon_s: float

    @property
    def full(self) -> bool:
        """Whether the datastore was full within the simulated time: an outage."""
        return bool(np.isfinite(self.first_full_s))

    @property
    def lead_s(self) -> dict[float, float]:
        """Time from each fill level to the outage; NaN where there was none. [s]"""
        return {share: self.first_full_s - at if self.full else np.nan for share, at in self.level_s.items()}

    @property
    def down(self) -> Ints:
        """Desktops that are down at the end of each hour; none comes back within the simulated time. [1]"""
        ends = np.minimum((np.arange(self.used.size) + 1) * HOUR_S, self.horizon_s)
        down: Ints = np.searchsorted(np.sort(self.halt_s), ends, side="left").astype(np.int64)
        return down

    @property
    def halts(self) -> pd.DataFrame:
        """A row per desktop that went down, in order of time: `clone`, `time_s`, `cause`, `down_s` until the end."""
        hit = np.flatnonzero(np.isfinite(self.halt_s))
        hit = hit[np.lexsort((self.clones[hit], self.halt_s[hit]))]
        return pd.DataFrame(
            {
                "clone": self.clones[hit],
                "time_s": self.halt_s[hit],
                "cause": np.where(self.by_power_on[hit], POWER_ON, GROWTH),
                "down_s": self.horizon_s - self.halt_s[hit],
            }
        )

    @property
    def summary(self) -> dict[str, Any]:
        """The datastore in a few numbers."""
        halted = self.halt_s[np.isfinite(self.halt_s)]
        return {
            "capacity_bytes": self.capacity,
            "fixed_bytes": self.fixed,
            "used_end_bytes": int(self.used[-1]),
            "used_max_bytes": int(self.used.max()),
            "first_full_s": self.first_full_s,
            **{f"full_{share * 100:g}_percent_s": at for share, at in self.level_s.items()},
            "desktops": int(self.clones.size),
            "desktops_down": int(halted.size),
            "power_ons_failed": int(self.by_power_on.sum()),
            "desktop_hours_down": float((self.horizon_s - halted).sum() / HOUR_S),
        }


def in_order(time_s: Floats, clone: Ints) -> NDArray[np.intp]:
    """Order of a LUN's growth steps by time, then clone; a clone's steps of equal time keep their order.

    The result does not depend on the order in which the clones' arrays were put together.
    """
    return np.lexsort((clone, time_s))


def fill(
    capacity: int,
    fixed_bytes: int,
    clones: Ints,
    time_s: Floats,
    clone: Ints,
    bytes_: Ints,
    horizon_s: float,
    where: str | Backing = "vmfs-5",
    power_on_s: Floats | None = None,
    power_on_clone: Ints | None = None,
    levels: Sequence[float] = LEVELS,
) -> Fill:
    """Let the clones of one datastore grow until it is full, and find out who goes down when.

    Parameters
    ----------
    capacity : int
        Size of the datastore. [B]
    fixed_bytes : int
        What lies there from the start beside the files that grow, such as `FixedSpace.fixed_bytes`. [B]
    clones : (m,) int64 array
        Numbers of the clones that live here, in order, without repetition.
    time_s : (n,) float64 array
        Times of the growth steps, in order; see `in_order`. Steps from the horizon on are left out. [s]
    clone : (n,) int64 array
        Whose growth; numbers from `clones`.
    bytes_ : (n,) int64 array
        By how much the clone's files grow or, if negative, shrink. A file's first size is a step as well. [B]
    horizon_s : float
        End of the simulated time. [s]
    where : str or Backing, default "vmfs-5"
        Each clone's bytes are rounded up to whole allocation units of this backing.
    power_on_s, power_on_clone : array, optional
        Times of the power-ons in any order, and whose; a restart inside the guest is none. [s, 1]
    levels : sequence of float, default 0.75, 0.85, 0.95
        Shares of the capacity whose first use is reported; add 1 - reserve to learn when the reserve is touched. [1]

    Returns
    -------
    Fill
        Hourly use, fill levels, first full time, and each desktop's halt.

    Raises
    ------
    ParameterError
        If the capacity, the fixed bytes, the levels or the horizon are not allowed, or the steps are out of order or
        of unknown clones.

    Notes
    -----
    Where steps of equal time meet at the limit, the order given decides. A clone whose files grow inside an allocation
    unit that it has already does not halt. The hypervisor's swap files are counted as if all desktops were on: a
    power-on fails from the first full time on, since that is when their space is no longer certain.
    """
    kind = backing(where) if isinstance(where, str) else where
    capacity = check_capacity(capacity)
    shares = _check_levels(levels)
    steps = _check_steps(fixed_bytes, clones, time_s, clone, bytes_, horizon_s)
    place = steps.place
    used = np.empty(_hours(horizon_s), np.int64)
    level_s, halt_s = np.empty(len(shares)), np.empty(steps.clones.size)
    accepted = np.zeros(len(time_s), np.bool_)
    full_s = fill_up(
        kind.limit(capacity),
        kind.allocation_unit,
        int(fixed_bytes),
        HOUR_S,
        steps.time_s,
        place,
        steps.bytes_,
        np.array([int(np.ceil(share * capacity)) for share in shares], np.int64),
        used,
        level_s,
        halt_s,
        accepted[: place.size],
    )
    by_power_on = np.zeros(halt_s.size, np.bool_)
    if power_on_s is not None and power_on_clone is not None and np.isfinite(full_s):
        failed_s = _failed_power_ons(steps.clones, np.asarray(power_on_s), np.asarray(power_on_clone), full_s)
        failed_s[failed_s >= horizon_s] = np.inf
        by_power_on = failed_s < halt_s
        halt_s = np.minimum(halt_s, failed_s)
        accepted[: place.size] &= steps.time_s < halt_s[place]
    return Fill(
        capacity=capacity,
        limit=kind.limit(capacity),
        fixed=int(fixed_bytes),
        used=used,
        level_s=dict(zip(shares, np.minimum(level_s, full_s).tolist(), strict=True)),
        first_full_s=float(full_s),
        clones=steps.clones,
        halt_s=halt_s,
        by_power_on=by_power_on,
        accepted=accepted,
        horizon_s=float(horizon_s),
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    clones: Ints
    place: Ints  # of each step's clone in `clones`
    time_s: Floats
    bytes_: Ints


def _check_steps(fixed_bytes: int, clones: Ints, time_s: Floats, clone: Ints, bytes_: Ints, horizon_s: float) -> _Steps:
    if not 0 < horizon_s < np.inf:
        raise ParameterError("horizon_s", horizon_s, "a finite time above 0 s is needed", "Give days * 86400.")
    if fixed_bytes < 0:
        raise ParameterError("fixed_bytes", fixed_bytes, "0 B or more are needed", "Sum up what lies there.")
    members, who = np.ascontiguousarray(clones, np.int64), np.ascontiguousarray(clone, np.int64)
    times, sizes = np.ascontiguousarray(time_s, np.float64), np.ascontiguousarray(bytes_, np.int64)
    if (members[1:] <= members[:-1]).any():
        row = int(np.flatnonzero(members[1:] <= members[:-1])[0]) + 1
        raise ParameterError("clones", int(members[row]), f"row {row} is not above row {row - 1}", "Use numpy.unique.")
    if not times.size == who.size == sizes.size:
        allowed = f"{who.size} clones and {sizes.size} sizes stand beside it"
        raise ParameterError("time_s", times.size, allowed, "Give one of each per growth step.")
    bad = np.flatnonzero(~(times[1:] >= times[:-1])) + 1
    if times.size and not times[0] >= 0:
        bad = np.array([0])
    if bad.size:
        row = int(bad[0])
        allowed = f"row {row} is before the start or earlier than the row above it"
        raise ParameterError("time_s", float(times[row]), allowed, "Order the steps with in_order(time_s, clone).")
    last = int(np.searchsorted(times, horizon_s, side="left"))
    who, times, sizes = who[:last], times[:last], sizes[:last]
    if float(np.abs(sizes).sum(dtype=np.float64)) + fixed_bytes > MOST_BYTES:
        raise ParameterError("bytes_", MOST_BYTES, "all growth together passes 4 EiB", "Check that sizes are in bytes.")
    place = np.searchsorted(members, who)
    known = members[np.minimum(place, members.size - 1)] == who if members.size else np.zeros(who.size, np.bool_)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        allowed = f"row {row} is of a clone that does not live here"
        raise ParameterError("clone", int(who[row]), allowed, "Give each LUN its own steps.")
    return _Steps(members, place.astype(np.int64), times, sizes)


def _check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(float(share) for share in levels)
    if any(not 0 <= share <= 1 for share in shares) or list(shares) != sorted(shares):
        allowed = "shares from 0 to 1 in rising order are needed"
        raise ParameterError("levels", shares, allowed, "Such as 0.75, 0.85, 0.95.")
    return shares


def _failed_power_ons(clones: Ints, power_on_s: Floats, whose: Ints, full_s: float) -> Floats:
    """Time of each clone's first power-on from the first full time on; infinite where there is none. [s]"""
    failed_s = np.full(clones.size, np.inf)
    place = np.searchsorted(clones, whose)
    late = (power_on_s >= full_s) & (place < clones.size)
    late[late] = clones[place[late]] == whose[late]
    np.minimum.at(failed_s, place[late], power_on_s[late])
    return failed_s


def _hours(horizon_s: float) -> int:
    return int(np.ceil(horizon_s / HOUR_S))
