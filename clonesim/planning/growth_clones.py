"""What each clone has of its own: its speed beside the others, how unevenly it grows, how exactly it was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.planning.growth_grid import Grid
from clonesim.planning.growth_history import History
from clonesim.planning.growth_weights import lump_of

Floats = NDArray[np.float64]
MOST_PAIRS = 60  # pairs of origin and horizon that the unevenness is measured on
LEAST_CLONES = 6  # that tell noise from what neighbouring intervals share
TRIM = (0.05, 0.95)
UNSURE = 1.3  # noise and lumps are estimates, too: levels of simulated pools were so much less sure than these say
LEAST = float(2**20)  # nothing is known more exactly than that [B]


@dataclass(frozen=True, slots=True)
class Clones:
    """Each clone's own ways.

    Attributes
    ----------
    level : (clones,) float64 array
        Size on the last day, with the noise of measuring taken out. [B]
    unsure : (clones,) float64 array
        Standard deviation of `level`. [B]
    speed : (clones,) float64 array
        Growth relative to the pool's mean. [1]
    shrunk : (clones,) float64 array
        Share of a clone's own history in its speed; the rest is the pool's. [1]
    apart : float
        Relative standard deviation of growth that lasts, beyond `speed`. [1]
    lump : float
        Growth comes in lumps of such size: the variance of so much growth is `lump` times it. [B]
    noise : float
        Standard deviation of one measurement. [B]
    """

    level: Floats
    unsure: Floats
    speed: Floats
    shrunk: Floats
    apart: float
    lump: float
    noise: float

    def draw(self, mean: Floats, who: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Sizes of some clones: (draws, clones, days) from the drawn mean growth of each of their lives.

        Parameters
        ----------
        mean : (draws, clones, days) float64 array
            Growth from day to day of a clone of speed 1. [B]
        who : (clones,) int64 array
            Numbers of the clones.
        """
        draws, clones, _ = mean.shape
        sigma = np.sqrt(np.log1p(self.apart**2))
        own = np.exp(rng.normal(size=(draws, clones, 1)) * sigma - sigma**2 / 2) * self.speed[who][None, :, None]
        lump = max(self.lump, 1.0)
        grown = rng.standard_gamma(mean * own / lump) * lump
        start = self.level[who] + rng.normal(size=(draws, clones)) * self.unsure[who]
        found: Floats = start[:, :, None] + np.cumsum(grown, axis=2)
        return found


def noise_of(history: History, grid: Grid) -> float:
    """Standard deviation of one measurement. [B]

    Told from small drops, since growth by itself never goes back; with many clones also from what neighbouring
    intervals owe to the measurement between them: an error there lengthens one and shortens the other.
    """
    inside = history.episode[1:] == history.episode[:-1]
    drops = np.minimum(np.diff(history.size)[inside], 0.0)
    variance = float(np.mean(drops**2)) if drops.size else 0.0
    gain = np.where(grid.seen[:, 1:] & grid.seen[:, :-1], grid.gain, np.nan)
    shared = []
    for first, second in zip(gain.T[:-1], gain.T[1:], strict=True):
        both = ~np.isnan(first) & ~np.isnan(second)
        if both.sum() >= LEAST_CLONES:
            one, other = (part[both] - np.median(part[both]) for part in (first, second))
            shared.append(-float(np.mean(np.clip(one * other, *np.quantile(one * other, TRIM)))))
    if shared:
        variance = max(variance, float(np.median(shared)))
    return float(np.sqrt(variance + LEAST**2))


def fit_clones(grid: Grid, noise: float) -> Clones:
    """Fit speeds, unevenness and levels, given the pool's course.

    Speeds are shrunk towards 1 by how far speeds of separate intervals agree over all clones.
    """
    gain = np.where(grid.seen[:, 1:] | grid.seen[:, :-1], grid.gain, np.nan)
    course = np.maximum(grid.course, 0.0)
    signal = _lasting(gain, course)
    residual, ran = _residuals(gain, course, signal, noise)
    apart2, lump = _unevenness(residual, ran, noise)
    if gain.shape[0] == 1:
        lump = max(lump_of(course), LEAST)
    speed, shrunk = _speeds(gain, course, signal, lump, noise)
    level, unsure = _levels(grid, course, speed, apart2, lump, noise)
    return Clones(level, unsure, speed, shrunk, float(np.sqrt(apart2)), lump, noise)


def _lasting(gain: Floats, course: Floats) -> float:
    """Variance of clones' relative speeds that lasts from one interval to later ones. [1]

    Products of two separate intervals' deviations have no noise in common, so their mean is what lasts. Neighbours
    share a measurement; they are left out where there are others.
    """
    count = course.size
    away = np.where(np.isnan(gain), np.nan, gain - course)
    least = 2 if count > 2 else 1
    above = below = 0.0
    for j in range(max(least, count // 2), count):
        for i in range(max(0, j - 12), j - least + 1):
            product = away[:, i] * away[:, j]
            known = ~np.isnan(product)
            above += float(product[known].sum())
            below += float(known.sum() * course[i] * course[j])
    return float(np.clip(above / below, 0.0, 1.0)) if below > 0 else 0.0


def _speeds(gain: Floats, course: Floats, signal: float, lump: float, noise: float) -> tuple[Floats, Floats]:
    """Speed of each clone, and the share of its own history in it."""
    recent = 0.5 ** (np.arange(course.size)[::-1] / 8.0)
    known = ~np.isnan(gain)
    own = (np.where(known, gain, 0.0) * recent).sum(axis=1)
    usual = (known * (course * recent)).sum(axis=1)
    error = (lump * usual + 2 * noise**2) / np.maximum(usual, 1.0) ** 2
    shrunk = signal / np.maximum(signal + error, 1e-12)
    ratio = np.where(usual > 0, own / np.maximum(usual, 1.0), 1.0)
    return np.clip(1 + shrunk * (ratio - 1), 0.1, 10.0), shrunk


def _residuals(gain: Floats, course: Floats, signal: float, noise: float) -> tuple[Floats, Floats]:
    """Squares of what rolling origins missed clone by clone, the pool's course given, and the growth that was due."""
    count = course.size
    squares, ran = [], []
    pairs = [(o, e) for o in range(1, count) for e in range(o + 1, count + 1)]
    step = max(1, len(pairs) // MOST_PAIRS)
    for origin, end in pairs[::-1][::step]:
        speed, _ = _speeds(gain[:, :origin], course[:origin], signal, LEAST * 64, noise)
        due = float(course[origin:end].sum())
        missed = gain[:, origin:end].sum(axis=1) - speed * due
        known = ~np.isnan(missed)
        if known.sum() > 1:
            squares.append(float(np.mean(missed[known] ** 2)))
            ran.append(due)
    return np.array(squares), np.array(ran)


def _unevenness(squares: Floats, ran: Floats, noise: float) -> tuple[float, float]:
    """Lasting relative variance and size of lumps, from squares = apart2 x ran^2 + lump x ran + 2 noise^2."""
    from scipy.optimize import nnls

    if not squares.size or ran.max() <= 0:
        return 0.0, LEAST
    left = np.maximum(squares - 2 * noise**2, 0.0)
    weight = 1.0 / np.maximum(squares, LEAST**2)
    found, _ = nnls(np.stack([ran**2, ran], axis=1) * weight[:, None], left * weight)
    foretold = found[0] * ran**2 + found[1] * ran
    missing = max(1.0, float(left.sum() / max(foretold.sum(), LEAST**2)))  # small intervals decided above
    return float(min(found[0] * missing, 1.0)), float(max(found[1] * missing, LEAST))


def _levels(
    grid: Grid, course: Floats, speed: Floats, apart2: float, lump: float, noise: float
) -> tuple[Floats, Floats]:
    """Size on the last day, filtered: what a measurement says is weighed against what growth let expect."""
    level = grid.size[:, 0].copy()
    variance = np.full(level.size, noise**2)
    for j, due in enumerate(course):
        now = grid.size[:, j + 1]
        step = speed * due
        ahead = variance + apart2 * step**2 + lump * step
        weight = np.where(grid.seen[:, j + 1], ahead / (ahead + noise**2), 0.0)
        fresh = np.isnan(level) | np.isnan(grid.gain[:, j])
        foretold = level + step
        level = np.where(fresh, now, foretold + weight * (now - foretold))
        variance = np.where(fresh, noise**2, (1 - weight) * ahead)
    return level, UNSURE * np.sqrt(variance)
