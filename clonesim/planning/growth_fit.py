"""Growth curves fitted to measured sizes, clone by clone and for the pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError, nearest
from clonesim.keys import POOL, generator
from clonesim.planning.growth_clones import Clones, fit_clones, noise_of
from clonesim.planning.growth_course import Course
from clonesim.planning.growth_curves import all_curves, calendars_of
from clonesim.planning.growth_grid import Grid, grid_of
from clonesim.planning.growth_history import GIVES, TOPIC, History, HistoryError, history_of
from clonesim.planning.growth_refresh import Refreshes, refreshes_of
from clonesim.planning.growth_weights import fit_course
from clonesim.scenario import catalog
from clonesim.units import GIB, parse_size

if TYPE_CHECKING:
    from clonesim.planning.fill_date import FillDate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CHUNK = 256  # clones that are drawn at a time


@dataclass(frozen=True, repr=False)
class GrowthFit:
    """Fitted growth of a pool, from `fit_growth`.

    Attributes
    ----------
    history : History
        What was measured.
    grid : Grid
        The same on common days.
    course : Course
        What all clones share.
    clones : Clones
        What each has of its own.
    refreshes : Refreshes or None
        The rhythm in which clones are set back, where the history shows one.
    capacity : (clones,) float64 array
        Size that a clone's delta cannot pass; infinite where nothing is told. [B]
    refusals : DataFrame
        A row per clone that gets no forecast of its own: `clone`, `reason`, `weeks` (how many more are needed; 0 where
        time does not help), `counted` (whether the pool's growth stands in for it in sums).
    seed : int
        Key of the draws.
    """

    history: History
    grid: Grid
    course: Course
    clones: Clones
    refreshes: Refreshes | None
    capacity: Floats
    refusals: pd.DataFrame
    seed: int
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        """Clones, length of the history, the most probable family of curves."""
        weights = self.course.families()
        best = max(weights, key=lambda name: weights[name])
        weeks = (self.grid.days[-1] - self.grid.days[0]) / 7
        told = f"{int(self.grid.present.sum())} clones, {weeks:.1f} weeks, {best} {weights[best]:.0%}"
        return f"GrowthFit({told}, {len(self.refusals)} refused)"

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the fit: clones, weeks, weights of the curves, noise, resets, refusals."""
        present = self.grid.present
        return {
            "clones": int(present.sum()),
            "refused": len(self.refusals),
            "measurements": int(self.history.day.size),
            "weeks": float((self.grid.days[-1] - self.grid.days[0]) / 7),
            "last": self.history.when(self.history.last),
            "pool_bytes": float(self.clones.level[present].sum()),
            "week_bytes": float(self.grid.course[-1] * 7 / self.grid.lengths[-1] * present.sum()),
            "curves": self.course.families(),
            "shock": self.course.shock(),
            "patch_day_share": self.course.patched(),
            "speed_p5": float(np.quantile(self.clones.speed[present], 0.05)),
            "speed_p95": float(np.quantile(self.clones.speed[present], 0.95)),
            "own_share": float(self.clones.shrunk[present].mean()),
            "noise_bytes": self.clones.noise,
            "resets": self.history.resets,
            "refresh_days": None if self.refreshes is None else self.refreshes.every,
            "notes": [*self.history.notes, *self.notes],
        }

    def forecast(self, days: float = 90, **asked: Any) -> pd.DataFrame:
        """Sizes to come, with intervals; see `clonesim.planning.forecast.forecast`."""
        from clonesim.planning.forecast import forecast

        return forecast(self, days, **asked)

    def fill_date(self, capacity: int | str, clones: int | Sequence[Any] | None = None, **asked: Any) -> FillDate:
        """When a datastore is full, as a distribution; see `clonesim.planning.fill_date.fill_date`."""
        from clonesim.planning.fill_date import fill_date

        return fill_date(self, capacity, clones, **asked)

    def paths(self, ahead: Floats, who: Ints | None = None, *, draws: int | None = None, noisy: bool = True) -> Floats:
        """Drawn sizes of some clones: (draws, clones, days) float64 array. [B]

        Parameters
        ----------
        ahead : (days,) float64 array
            Days after the last one measured, ascending, above 0. [d]
        who : (clones,) int64 array, optional
            Numbers of the clones in `history.names`; by default all that are still measured.
        draws : int, optional
            Drawn courses; by default the catalog's. [1]
        noisy : bool, default True
            Whether what a measurement would say is wanted, or the size itself.
        """
        chosen = np.flatnonzero(self.grid.present) if who is None else who
        return np.concatenate([part for _, part in self.chunks(ahead, chosen, draws=draws, noisy=noisy)], axis=1)

    def chunks(
        self, ahead: Floats, who: Ints, *, draws: int | None = None, noisy: bool = True
    ) -> Iterator[tuple[Ints, Floats]]:
        """Yield numbers of some clones with their drawn sizes, as `paths` has them, part by part."""
        count = catalog.value(TOPIC, "draws") if draws is None else draws
        if not ahead.size or ahead[0] <= 0 or (np.diff(ahead) <= 0).any():
            raise ParameterError("ahead", ahead.tolist()[:5], "days above 0 in ascending order are needed")
        mean = self.course.draw(self.grid.days[-1] + ahead, count, generator(self.seed, 0, POOL, "pool:course"))
        turns = None
        if self.refreshes is not None:
            rng = generator(self.seed, 0, POOL, "pool:refreshes")
            turns = rng.integers(0, self.refreshes.size.shape[0], count)
        for number, first in enumerate(range(0, who.size, CHUNK)):
            part = who[first : first + CHUNK]
            rng = generator(self.seed, number, POOL, "pool:clones")
            sizes = self.clones.draw(mean[:, self.course.lives.now[part]], part, rng)
            if self.refreshes is not None and turns is not None:
                sizes = self.refreshes.put(sizes, ahead, part, turns)
            sizes = np.clip(sizes, 0.0, self.capacity[part][None, :, None])
            if noisy:
                sizes += rng.normal(size=sizes.shape) * self.clones.noise
            yield part, sizes

    def numbers(self, names: Sequence[Any]) -> Ints:
        """Numbers of clones by their names."""
        known = {name: number for number, name in enumerate(self.history.names)}
        for name in names:
            if str(name) not in known:
                remedy = nearest(name, known) or f"Known are {', '.join(list(known)[:5])} and so on."
                raise ParameterError("clones", name, "no clone of that name was measured", remedy)
        return np.array([known[str(name)] for name in names], np.int64)


def fit_growth(
    measured: pd.DataFrame | History, *, capacity: int | str | pd.Series | None = None, seed: int = 0
) -> GrowthFit:
    """Fit growth curves to measured sizes of clones, for forecasts with intervals.

    Parameters
    ----------
    measured : DataFrame
        A row per measurement: `clone`, `date` (or `day`, a number) and `bytes`; optionally `lun` and `pool`. What
        `read_listing` returns as `.history`.
    capacity : int, str or Series, optional
        Size that a delta cannot pass, such as the guest's disk, or what was free in it when nothing else is ever
        rewritten: one for all, or a Series by clone. [B]
    seed : int, default 0
        Key of the draws.

    Returns
    -------
    GrowthFit
        `.forecast(days=90)`, `.fill_date(capacity, clones)`, `.summary`, `.refusals`.

    Raises
    ------
    HistoryError
        If the history is too short for any forecast: it says how many more weeks are needed.
    ParameterError
        If a number is out of its range.

    Notes
    -----
    All clones share a course, a clone has a speed of its own, shrunk towards the pool's by how far the clones' speeds
    in separate weeks agree. Curves are weighed by how well each foretold every week from the weeks before it. See
    docs/forecast-model.md.

    Examples
    --------
    >>> fit = fit_growth(read_listing("sizes.csv").history)  # doctest: +SKIP
    >>> fit.forecast(days=28).query("level == 'pool'")[["date", "p5", "p50", "p95"]]  # doctest: +SKIP
    """
    history = history_of(measured)
    grid = _long_enough(history)
    bound = _capacities(capacity, history)
    noise = noise_of(history, grid)
    first, last = float(grid.days[0]), float(grid.days[-1])
    calendars = calendars_of(history, first, last)
    course = fit_course(grid, all_curves(len(calendars), last - first), calendars, noise, _room(grid, bound))
    refreshes = refreshes_of(history)
    notes = []
    if history.resets and refreshes is None:
        notes.append(f"{history.resets} resets were seen, in no rhythm: the forecast supposes that none follow.")
    refusals = _refusals(history, grid)
    return GrowthFit(
        history, grid, course, fit_clones(grid, noise), refreshes, bound, refusals, seed, notes=tuple(notes)
    )


def _long_enough(history: History) -> Grid:
    """Grid of a history, or a HistoryError that tells how many weeks are missing."""
    least, rows = catalog.value(TOPIC, "history.least_days"), catalog.value(TOPIC, "history.least_rows")
    span = history.last - float(history.day.min())
    looks = np.unique(np.round(history.day)).size
    often = looks >= catalog.value(TOPIC, "history.many_rows")
    if looks < rows or (span < least - 0.5 and not often):
        weeks = max(int(np.ceil((least - span) / 7 - 0.1)), rows - looks if span < least else 1, 1)
        told = f"{looks} measurements over {span:.3g} days are too few for a forecast"
        more = f"{weeks} more week{'s' if weeks > 1 else ''} of measuring"
        gives = f"What weeks give: {'; '.join(GIVES)}."
        raise HistoryError(told, f"{rows} over {least:g} days are needed: {more}. {gives}", weeks)
    grid = grid_of(history)
    if not (~np.isnan(grid.gain)).any(axis=0).sum() >= 2:
        told = "no clone was measured over two gains without being set back between them"
        raise HistoryError(told, "Measure more often than clones are refreshed, for 2 more weeks.", 2)
    return grid


def _capacities(capacity: int | str | pd.Series | None, history: History) -> Floats:
    bound = np.full(history.clones, np.inf)
    if isinstance(capacity, pd.Series):
        told = {str(name): parse_size(_whole(value), "capacity") for name, value in capacity.dropna().items()}
        bound = np.array([told.get(str(name), np.inf) for name in history.names], np.float64)
    elif capacity is not None:
        bound[:] = parse_size(_whole(capacity), "capacity")
    newest = np.append(np.diff(history.clone) > 0, True)
    over = history.size[newest] > bound
    if over.any():
        number = int(np.flatnonzero(over)[0])
        value = int(bound[number])
        allowed = f"clone {history.names[number]!r} has {history.size[newest][number]:.0f} B already"
        raise ParameterError("capacity", value, allowed, f"It is a bound of the delta's size. {GIB} B are a GiB.")
    return bound


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, (np.integer, float)) and float(value).is_integer() else value


def _room(grid: Grid, bound: Floats) -> float:
    """Mean room that clones have left below their bounds. [B]"""
    present = grid.present
    left = (bound - grid.size[:, -1])[present]
    return float(np.maximum(left, 0.0).mean()) if present.any() else float("inf")


def _refusals(history: History, grid: Grid) -> pd.DataFrame:
    least, need = catalog.value(TOPIC, "history.least_days"), catalog.value(TOPIC, "history.least_rows")
    first, rows = np.full(history.clones, np.inf), np.bincount(history.clone, minlength=history.clones)
    last = np.zeros(history.clones)
    np.minimum.at(first, history.clone, history.day)
    np.maximum.at(last, history.clone, history.day)
    found = []
    short = (rows < need) | ((last - first < least - 0.5) & (rows < catalog.value(TOPIC, "history.many_rows")))
    for number in np.flatnonzero(~grid.present | short):
        span = float(last[number] - first[number])
        if not grid.present[number]:
            gone = history.last - float(last[number])
            found.append((history.names[number], f"not measured for the last {gone:.3g} days", 0, False))
            continue
        weeks = max(int(np.ceil((least - span) / 7 - 0.1)), 1)
        found.append((history.names[number], f"{rows[number]} measurements over {span:.3g} days", weeks, True))
    return pd.DataFrame(found, columns=["clone", "reason", "weeks", "counted"])
