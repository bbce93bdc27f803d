"""What all clones of a pool share: the course of their mean growth, and draws of how it may go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.planning.growth_curves import FAMILIES, Curves, events_by, jumps_by
from clonesim.planning.growth_grid import WEEK, Grid
from clonesim.planning.growth_history import TOPIC
from clonesim.scenario import catalog

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lives:
    """Clones by the day their life began, which is what tells their expected growth apart.

    Attributes
    ----------
    begun : (lives,) float64 array
        Distinct first days. [d]
    share : (lives, points - 1) float64 array
        Share of the clones that grew from point to point, by life. [1]
    now : (clones,) int64 array
        Life of each clone on the last day.
    """

    begun: Floats
    share: Floats
    now: Ints

    @classmethod
    def of(cls, grid: Grid) -> Lives:
        """Lives of a grid, to whole weeks before its last day."""
        last = grid.days[-1]
        whole = last - WEEK * np.round((last - grid.begun) / WEEK)
        begun, code = np.unique(whole, return_inverse=True)
        code = code.reshape(whole.shape)
        grew = ~np.isnan(grid.gain)
        share = np.stack([(grew & (code[:, 1:] == k)).sum(axis=0) for k in range(begun.size)])
        total = np.maximum(share.sum(axis=0), 1)
        return cls(begun, share / total, code[:, -1].astype(np.int64))


@dataclass(frozen=True, slots=True)
class Course:
    """The pool's mean growth: shapes with their weights and scales.

    Attributes
    ----------
    curves : Curves
        Shapes.
    lives : Lives
        Ages of the clones.
    calendars : tuple of (events,) float64 arrays
        Patch days, by calendar. [d]
    weight : (shapes, shocks) float64 array
        How probable each shape with each size of weekly shocks is. [1]
    scale, spread : (shapes, shocks) float64 array
        Fitted scale, and its relative error. [B, 1]
    shocks : (shocks,) float64 array
        Relative size of the shocks that a week deals to all clones. [1]
    mean : (shapes,) float64 array
        Growth of each curve in a usual week of the history, without its scale. [1]
    first, last : float
        First and last day of the history. [d]
    """

    curves: Curves
    lives: Lives
    calendars: tuple[Floats, ...]
    weight: Floats
    scale: Floats
    spread: Floats
    shocks: Floats
    mean: Floats
    first: float
    last: float

    def families(self) -> dict[str, float]:
        """Weight of each family of curves. [1]"""
        sums = self.weight.sum(axis=1)
        found = dict.fromkeys(FAMILIES, 0.0)
        for number, name in enumerate(FAMILIES):
            found[name] += float(sums[self.curves.family == number].sum())
        return found

    def shock(self) -> float:
        """Mean size of the shocks that one week deals to all clones, relative to its growth. [1]"""
        return float(self.weight.sum(axis=0) @ self.shocks)

    def patched(self) -> float:
        """Probability that patch days stand out. [1]"""
        return float(self.weight.sum(axis=1)[(self.curves.push > 0) | (self.curves.jump > 0)].sum())

    def draw(self, days: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Mean growth from the last day on, drawn: (count, lives, days) float64 array, from day to day. [B]

        Parameters
        ----------
        days : (days,) float64 array
            Ascending, after the last day. [d]
        count : int
            Draws. [1]
        """
        flat = self.weight.ravel()
        edges = np.cumsum(flat / flat.sum())
        picked = np.minimum(np.searchsorted(edges, (np.arange(count) + rng.random()) / count), flat.size - 1)
        picked = rng.permuted(picked)
        shape, shock = np.divmod(picked, self.shocks.size)
        used, where = np.unique(shape, return_inverse=True)
        grid = np.concatenate([[self.last], days])
        weeks, chosen = np.diff(grid) / WEEK, self.curves.chosen(used)
        grown = np.maximum(np.diff(progress_of(chosen, grid, self.lives.begun, self.calendars)), 0.0)
        jumps = (chosen.jump * self.mean[used])[:, None] * np.diff(jumps_by(grid, self.calendars, self.first, chosen))
        odd = np.full((count, 1), catalog.value(TOPIC, "course.jump_spread"))
        jumps = jumps[where] * _around_one(odd, (count, days.size), rng)
        scale = self.scale.ravel()[picked] * _unsure(self.spread.ravel()[picked], rng)
        jolt = _around_one(self.shocks[shock][:, None] / np.sqrt(weeks), (count, days.size), rng)
        wander = catalog.value(TOPIC, "course.drift") * np.sqrt(weeks)
        drift = np.exp(np.cumsum(rng.normal(size=jolt.shape) * wander, axis=1))
        found: Floats = (grown[where] + jumps[:, None, :]) * (scale[:, None] * jolt * drift)[:, None, :]
        return found


def progress_of(curves: Curves, days: Floats, begun: Floats, calendars: tuple[Floats, ...]) -> Floats:
    """Growth of every shape up to each day, by life: (shapes, lives, days) float64 array. [1]"""
    age = np.maximum(days[None, :] - begun[:, None], 0.0)
    events = [np.maximum(events_by(days, one)[None, :] - events_by(begun, one)[:, None], 0.0) for one in calendars]
    return curves.progress(age, np.stack(events)[curves.calendar] if events else np.zeros_like(age))


def _around_one(spread: Floats, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Gamma draws with mean 1 and such a relative standard deviation: a wide one leaves many weeks without growth."""
    shape = np.broadcast_to(1 / np.maximum(spread, 1e-3) ** 2, size)
    found: Floats = rng.standard_gamma(shape) / shape
    return found


def _unsure(spread: Floats, rng: np.random.Generator) -> Floats:
    """Lognormal draws with mean 1 and such relative standard deviations."""
    sigma = np.sqrt(np.log1p(spread**2))
    found: Floats = np.exp(rng.normal(size=spread.size) * sigma - sigma**2 / 2)
    return found
