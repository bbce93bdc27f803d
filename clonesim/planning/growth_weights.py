"""Which curve a pool's growth follows: every shape is weighed by how well it foretells held-out weeks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.planning.growth_course import Course, Lives, progress_of
from clonesim.planning.growth_curves import SATURATING, Curves, jumps_by
from clonesim.planning.growth_grid import WEEK, Grid
from clonesim.planning.growth_history import TOPIC
from clonesim.scenario import catalog

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FREEDOM = 5.0  # of Student's t, for scores: a single odd week must not decide
SHOCKS = (0.08, 0.16, 0.32, 0.64, 1.3)  # sizes that are tried for the shocks that a week deals to all clones
HELD_FROM = 1  # intervals that are fitted before the first is foretold
FAR = 3650.0  # days after which a saturating curve has ended [d]
LOOSE = 0.3  # how far beyond the bound, as a logarithm, one may end
WIDEST = 2.0  # relative error of a scale, at most
LEAST = float(2**20)  # nothing is known more exactly than that [B]
SMALL = 1e-300


@dataclass(frozen=True, slots=True)
class Gains:
    """Mean growth between the points of a history, and what makes it uncertain.

    Attributes
    ----------
    gain : (intervals,) float64 array
        Mean growth of the clones. [B]
    weeks : (intervals,) float64 array
        Lengths. [weeks]
    variance : (intervals,) float64 array
        Of the mean gain, from clones' own ways and noise. [B^2]
    lump : float
        Lumps that a single clone grows in; 0 where there are several. [B]
    """

    gain: Floats
    weeks: Floats
    variance: Floats
    lump: float

    def before(self, end: int) -> Gains:
        """The first so many intervals."""
        return Gains(self.gain[:end], self.weeks[:end], self.variance[:end], self.lump)

    @property
    def back(self) -> Floats:
        """Weeks from the end of each interval to the end of the last one."""
        total = np.cumsum(self.weeks)
        found: Floats = total[-1] - total
        return found


def fit_course(grid: Grid, curves: Curves, calendars: tuple[Floats, ...], noise: float, room: float = np.inf) -> Course:
    """Weigh every shape by how well it foretells each interval from those before it.

    Parameters
    ----------
    grid : Grid
        Sizes on common days.
    curves : Curves
        Shapes to try.
    calendars : tuple of (events,) float64 arrays
        Patch days, by calendar. [d]
    noise : float
        Standard deviation of one measurement. [B]
    room : float, default infinite
        Mean growth that the clones' bounds leave: a saturating curve that would go on beyond it is unlikely. [B]
    """
    lives = Lives.of(grid)
    count = (~np.isnan(grid.gain)).sum(axis=0)
    known = count > 0
    gains = _gains(grid, count, known, noise)
    progress = progress_of(curves, grid.days, lives.begun, calendars)
    expected = np.einsum("slj,lj->sj", np.maximum(np.diff(progress, axis=2), 0.0), lives.share)[:, known]
    mean = np.maximum(expected.sum(axis=1) / gains.weeks.sum(), SMALL)  # of a week
    jumps = np.diff(jumps_by(grid.days, calendars, float(grid.days[0]), curves))[:, known]
    expected = (expected + (curves.jump * mean)[:, None] * jumps) / mean[:, None]
    shocks = np.array(SHOCKS)
    score = held_out(gains, expected, shocks)
    scale, error = scales(gains, expected, shocks)
    middle, factor = catalog.value(TOPIC, "course.shock"), catalog.value(TOPIC, "course.shock_factor")
    weight = curves.prior[:, None] * np.exp(-0.5 * (np.log(shocks / middle) / np.log(factor)) ** 2)[None, :]
    weight = weight * np.exp(score - score.max())
    spread = np.minimum(error / np.maximum(scale, 1e-9), WIDEST)
    scale = scale / mean[:, None]
    if np.isfinite(room):
        weight = weight * _within(curves, lives, calendars, float(grid.days[-1]), scale, room)
    ends = float(grid.days[0]), float(grid.days[-1])
    return Course(curves, lives, calendars, weight / weight.sum(), scale, spread, shocks, mean, *ends)


def held_out(gains: Gains, expected: Floats, shocks: Floats) -> Floats:
    """Logarithm of the density of every interval, foretold from those before it: (shapes, shocks)."""
    score = np.zeros((expected.shape[0], shocks.size))
    for end in range(min(HELD_FROM, gains.gain.size), gains.gain.size):
        scale, error = scales(gains.before(end), expected[:, :end], shocks)
        score += _log_density(gains, end, expected[:, end], scale, error, shocks)
    return score


def scales(gains: Gains, expected: Floats, shocks: Floats) -> tuple[Floats, Floats]:
    """Scale of each shape under each size of shocks, and its standard error: (shapes, shocks). [B]

    Weighted least squares through the origin; older intervals weigh less, since the rate may have drifted.
    """
    drift = catalog.value(TOPIC, "course.drift")
    rough = np.maximum(gains.gain.sum(), 0.0) / np.maximum(expected.sum(axis=1), SMALL)
    relative = shocks[None, :, None] ** 2 / gains.weeks + drift**2 * (gains.back + 0.5 * gains.weeks)
    due = rough[:, None, None] * expected[:, None, :]
    weight = 1.0 / (relative * due**2 + gains.lump * due + gains.variance)
    information = np.maximum((weight * expected[:, None, :] ** 2).sum(axis=2), SMALL)
    scale = (weight * expected[:, None, :] * gains.gain).sum(axis=2) / information
    return np.maximum(scale, 0.0), 1.0 / np.sqrt(information)


def lump_of(gain: Floats) -> float:
    """Lumps that one clone grows in, told from neighbouring gains: there are no other clones to compare it with. [B]

    Where growth comes in lumps of a size L, the squared difference of two gains is on average L times their sum.
    """
    one, other = np.maximum(gain[:-1], 0.0), np.maximum(gain[1:], 0.0)
    both = one + other
    return float(np.mean((one - other) ** 2 / np.maximum(both, 1.0))) if gain.size > 2 else 0.0


def _gains(grid: Grid, count: Ints, known: NDArray[np.bool_], noise: float) -> Gains:
    apart = np.where(np.isnan(grid.gain), 0.0, grid.gain - grid.course) ** 2
    each = apart.sum(axis=0) / np.maximum(count - 1, 1)
    variance = (0.5 * each + 2 * noise**2 + LEAST**2) / np.maximum(count, 1)
    gain = grid.course[known]
    lump = lump_of(gain) if count.max() == 1 else 0.0
    return Gains(gain, grid.lengths[known] / WEEK, variance[known], lump)


def _log_density(gains: Gains, at: int, expected: Floats, scale: Floats, error: Floats, shocks: Floats) -> Floats:
    """Logarithm of Student's density of one held-out gain: (shapes, shocks)."""
    drift, weeks = catalog.value(TOPIC, "course.drift"), gains.weeks[at]
    mean = scale * expected[:, None]
    relative = shocks**2 / weeks + drift**2 * weeks
    own = gains.lump * mean + gains.variance[at]
    spread = np.sqrt(relative * mean**2 + (error * expected[:, None]) ** 2 + own)
    z = (gains.gain[at] - mean) / spread
    found: Floats = -np.log(spread) - (FREEDOM + 1) / 2 * np.log1p(z**2 / FREEDOM)
    return found


def _within(
    curves: Curves, lives: Lives, calendars: tuple[Floats, ...], last: float, scale: Floats, room: float
) -> Floats:
    """Factor below 1 for saturating curves that end beyond the bound: (shapes, shocks)."""
    far = np.array([last, last + FAR])
    left = np.diff(progress_of(curves, far, lives.begun, calendars), axis=2)[:, :, 0].mean(axis=1)
    beyond = np.log(np.maximum(left[:, None] * scale, 1.0) / max(room, 1.0))
    factor = np.exp(-0.5 * (np.maximum(beyond, 0.0) / LOOSE) ** 2)
    return np.where(curves.family[:, None] == SATURATING, factor, 1.0)
