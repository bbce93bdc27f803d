"""When a datastore is full: not a date, but how probable it is by each day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator
from clonesim.planning.forecast import STEP, days_ahead
from clonesim.planning.growth_history import TOPIC
from clonesim.scenario import catalog
from clonesim.units import parse_size

if TYPE_CHECKING:
    from clonesim.planning.growth_fit import GrowthFit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DEALS = 40  # different sets of clones that a datastore of n of them may get
MOST_CLONES = 100_000
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, repr=False)
class FillDate:
    """The day on which a datastore is full, as a distribution, from `GrowthFit.fill_date`.

    Attributes
    ----------
    day : (draws,) float64 array
        Day on which each drawn course passes the capacity, after the last measured one; infinite if it does not within
        the horizon. [d]
    horizon : float
        How far the courses reach. [d]
    capacity, beside : int
        Size of the datastore, and what lies there beside the clones. [B]
    clones : int
        Clones on it. [1]
    last : Timestamp or float
        The last measured day.
    frame : DataFrame
        `day` [d], `date` where there are dates, `p_full`: probability that it is full by then [1]; `used_p5`,
        `used_p50`, `used_p95`: what is used then [B]; `checked`: no further ahead than the history bears.
    """

    day: Floats
    horizon: float
    capacity: int
    beside: int
    clones: int
    last: Any
    frame: pd.DataFrame

    def __repr__(self) -> str:
        """Median and 90 % interval."""
        told = ", ".join(f"p{share * 100:.0f} {self._told(share)}" for share in (0.05, 0.5, 0.95))
        within = f"full within {self.horizon:g} days: {self.p_within():.0%}"
        return f"FillDate({self.clones} clones, {told}; {within})"

    def p_within(self, days: float | None = None) -> float:
        """Probability that it is full within so many days, by default within the horizon. [1]"""
        limit = self.horizon if days is None else float(days)
        if not 0 <= limit <= self.horizon:
            raise ParameterError("days", days, f"allowed are 0 to {self.horizon:g} days, the horizon")
        return float((self.day <= limit).mean())

    def day_by(self, share: float) -> float:
        """Day by which it is full with this probability; infinite if that is beyond the horizon. [d]"""
        if not 0 < share < 1:
            raise ParameterError("share", share, "a probability between 0 and 1 is needed")
        return float(np.quantile(self.day, share, method="inverted_cdf"))

    def date_by(self, share: float) -> Any:
        """Date by which it is full with this probability; NaT if that is beyond the horizon.

        Without dates in the history: the day on its own scale, infinite beyond the horizon.
        """
        day = self.day_by(share)
        if isinstance(self.last, pd.Timestamp):
            return self.last + pd.Timedelta(days=day) if np.isfinite(day) else pd.NaT
        return self.last + day

    def _told(self, share: float) -> str:
        found = self.date_by(share)
        if isinstance(found, pd.Timestamp):
            return f"{found:%Y-%m-%d}"
        return "later" if found is pd.NaT or not np.isfinite(found) else f"day {found:.0f}"


def fill_date(
    fit: GrowthFit,
    capacity: int | str,
    clones: int | Sequence[Any] | None = None,
    *,
    lun: str | None = None,
    beside: int | str = 0,
    days: float = 365,
    draws: int | None = None,
) -> FillDate:
    """When a datastore is full.

    Parameters
    ----------
    fit : GrowthFit
        From `fit_growth`.
    capacity : int or str
        Size of the datastore, such as "2 TiB", less what is kept free. [B]
    clones : int or sequence, optional
        How many clones it has: any of those measured, drawn anew (also more than were measured); or the names of those
        it has. By default all that are still measured.
    lun : str, optional
        Name of a LUN of the history, in place of `clones`.
    beside : int or str, default 0
        What lies there beside the deltas: replicas, swap files, logs. [B]
    days : float, default 365
        How far ahead to look. [d]
    draws : int, optional
        Drawn courses; by default the catalog's. [1]

    Raises
    ------
    ParameterError
        If a number is out of its range, or a name is unknown.
    """
    size, other = parse_size(capacity, "capacity", least=1), parse_size(beside, "beside")
    ahead = days_ahead(days, STEP)
    count = catalog.value(TOPIC, "draws") if draws is None else draws
    present = np.flatnonzero(fit.grid.present)
    if lun is not None and clones is not None:
        raise ParameterError("lun", lun, "either `lun` or `clones` can be told", "Leave one of them out.")
    if isinstance(clones, int) and not isinstance(clones, bool):
        used, start, number = _any_clones(fit, clones, present, ahead, count)
    else:
        who = _these_clones(fit, clones, lun, present)
        used = sum((part.sum(axis=1) for _, part in fit.chunks(ahead, who, draws=count, noisy=False)), np.zeros(1))
        start, number = np.full(count, fit.clones.level[who].sum()), int(who.size)
    used = used + other
    day = _crossing(np.concatenate([start[:, None] + other, used], axis=1), np.append(0.0, ahead), float(size))
    frame, last = _frame(fit, day, used, ahead), fit.history.when(fit.history.last)
    return FillDate(day, float(ahead[-1]), size, other, number, last, frame)


def _these_clones(fit: GrowthFit, clones: Any, lun: str | None, present: Ints) -> Ints:
    if lun is not None:
        who: Ints = present[fit.history.luns[present] == lun]
        if not who.size:
            known = sorted({str(name) for name in fit.history.luns[present] if name})
            told = f"known are {', '.join(known[:5])}" if known else "the history names no LUNs"
            raise ParameterError("lun", lun, told, "Give the names of its clones instead.")
        return who
    if clones is None:
        return present
    if isinstance(clones, (str, bool, float)):
        raise ParameterError("clones", clones, "a number of clones or a list of their names is needed")
    who = fit.numbers(list(clones))
    gone = who[~fit.grid.present[who]]
    if gone.size or not who.size:
        name = fit.history.names[gone[0]] if gone.size else []
        raise ParameterError("clones", name, "clones that are still measured are needed", "See fit.refusals.")
    return who


def _any_clones(fit: GrowthFit, number: int, present: Ints, ahead: Floats, count: int) -> tuple[Floats, Floats, int]:
    """What any so many clones use: (draws, days), and at the start."""
    if not 1 <= number <= MOST_CLONES:
        raise ParameterError("clones", number, f"1 to {MOST_CLONES} clones are needed")
    rng = generator(fit.seed, 0, POOL, "pool:datastore")
    mean = fit.course.draw(fit.grid.days[-1] + ahead, count, generator(fit.seed, 0, POOL, "pool:course"))
    used, start = np.empty((count, ahead.size)), np.empty(count)
    for rows in np.array_split(np.arange(count), min(DEALS, count)):
        who = rng.choice(present, number, replace=number > present.size)
        total = np.zeros((rows.size, ahead.size))
        for first in range(0, number, 1024):
            part = who[first : first + 1024]
            sizes = fit.clones.draw(mean[rows][:, fit.course.lives.now[part]], part, rng)
            if fit.refreshes is not None:
                turns = rng.integers(0, fit.refreshes.size.shape[0], rows.size)
                sizes = fit.refreshes.put(sizes, ahead, part, turns)
            total += np.clip(sizes, 0.0, fit.capacity[part][None, :, None]).sum(axis=1)
        used[rows], start[rows] = total, fit.clones.level[who].sum()
    return used, start, number


def _crossing(used: Floats, days: Floats, size: float) -> Floats:
    """First day on which each course reaches a size, straight between two days; infinite where none does."""
    full = used >= size
    first = np.argmax(full, axis=1)
    row = np.arange(used.shape[0])
    before = np.maximum(first - 1, 0)
    low, high = used[row, before], used[row, first]
    share = np.where(high > low, (size - low) / np.maximum(high - low, 1e-9), 0.0)
    day = days[before] + np.clip(share, 0.0, 1.0) * (days[first] - days[before])
    return np.where(full.any(axis=1), np.where(first == 0, 0.0, day), np.inf)


def _frame(fit: GrowthFit, day: Floats, used: Floats, ahead: Floats) -> pd.DataFrame:
    low, middle, high = np.quantile(used, (0.05, 0.5, 0.95), axis=0)
    frame = pd.DataFrame({"day": ahead, "p_full": [(day <= limit).mean() for limit in ahead]})
    frame["used_p5"], frame["used_p50"], frame["used_p95"] = low, middle, high
    if fit.history.dated:
        dates = fit.history.origin + pd.to_timedelta(fit.grid.days[-1] + frame["day"], unit="D")
        frame.insert(1, "date", dates.dt.round("s"))
    frame.attrs["caption"] = (
        f"Drawn courses of the fitted growth: {int(fit.grid.present.sum())} clones, "
        f"{(fit.grid.days[-1] - fit.grid.days[0]) / 7:.1f} weeks of history."
    )
    frame["checked"] = frame["day"] <= catalog.value(TOPIC, "history.reach") * (fit.grid.days[-1] - fit.grid.days[0])
    return frame
