"""Expectations from samples: with what is known of shared draws, and how large a sample must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clonesim.pool.estate_frames import Estimate

LEAST_REPLICATES: Final = 12  # so that the variance between them is known at all
LEAST_CLONES: Final = 2  # of each stratum and replicate, so that the variance within is known
MOST_REPLICATES: Final = 10_000
SPREAD: Final = 1e-9  # of what is known, relative to its mean, below which it explains nothing

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def adjusted(values: Floats, known: Floats, expected: float, within: float = 0.0) -> Estimate:
    """Expectation of one value a replicate, with the help of something known of each replicate.

    Replicates whose patches happened to be large have large deltas. How large patches are is known of each replicate
    without simulating anything, and so is their expectation: a straight line through the replicates is read off there.
    Where it is the same in all replicates, the mean is the estimate.

    Parameters
    ----------
    values : (replicates,) float64 array
        Independent of each other, such as the estimated total of each replicate.
    known : (replicates,) float64 array
        What is known of each replicate.
    expected : float
        Its expectation.
    within : float, default 0
        Variance of one value that comes from looking at some clones only.

    Returns
    -------
    Estimate
        Its `sd` is that of what one replicate comes to: the values' own, less what comes from sampling.

    Notes
    -----
    The classical regression estimator [1]_: variance s^2 (1/R + (expected - mean of known)^2 / S), with the residual
    variance s^2 on R - 2 degrees of freedom, and S the sum of squares of `known`. The residuals hold both what shared
    draws do besides, and what comes from sampling, so the error counts both.

    References
    ----------
    .. [1] W. G. Cochran, "Sampling Techniques", third edition, Wiley 1977, chapter 7.
    """
    sd = np.sqrt(max(float(values.var(ddof=1)) - within, 0.0)) if values.size > 1 else np.nan
    if values.size < 4 or _flat(known):
        return replace(Estimate.of_values(values), sd=float(sd))
    off, ahead = known - known.mean(), expected - known.mean()
    squares = float(off @ off)
    slope = float(off @ values) / squares
    left = values - values.mean() - slope * off
    freedom = values.size - 2
    variance = float(left @ left) / freedom * (1 / values.size + ahead**2 / squares)
    return Estimate.of(float(values.mean()) + slope * ahead, variance**0.5, freedom, float(sd))


def residual(values: Floats, known: Floats) -> tuple[float, int]:
    """Variance of values that what is known does not explain, and its degrees of freedom."""
    if values.size < 4 or _flat(known):
        return float(values.var(ddof=1)), values.size - 1
    off = known - known.mean()
    left = values - values.mean() - off * float(off @ values) / float(off @ off)
    return float(left @ left) / (values.size - 2), values.size - 2


def _flat(known: Floats) -> bool:
    return float(known.std()) <= SPREAD * max(abs(float(known.mean())), 1.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """What a sample's size is chosen from.

    Attributes
    ----------
    size : (strata,) int64 array
        Desktops of each stratum. [1]
    sd : (strata,) float64 array
        Standard deviation of one desktop within a replicate. [B]
    between : float
        Variance between replicates that what is known of them does not explain. [B^2]
    timeline : (strata,) float64 array
        Cost of a replicate's timeline, in desktops simulated. [1]
    """

    size: Ints
    sd: Floats
    between: float
    timeline: Floats

    @property
    def least(self) -> Ints:
        """Fewest desktops of each stratum and replicate. [1]"""
        return np.minimum(self.size, LEAST_CLONES)

    def within(self, clones: Ints) -> float:
        """Variance of a replicate's total that comes from looking at so many desktops of each stratum. [B^2]"""
        part = self.size.astype(np.float64) ** 2 * self.sd**2
        return float((part * (1.0 / clones - 1.0 / self.size)).sum())

    def variance(self, replicates: int, clones: Ints) -> float:
        """Variance of the estimate of the total. [B^2]"""
        return (self.between + self.within(clones)) / replicates * (1 + 1 / replicates)  # the second: of the slope

    def cost(self, replicates: int, clones: Ints) -> float:
        """Cost in desktops simulated. [1]"""
        return replicates * float(self.timeline.sum() + clones.sum())

    def larger(self, factor: float) -> Spread:
        """The same with all variances multiplied."""
        return replace(self, sd=self.sd * factor**0.5, between=self.between * factor)

    def shared_out(self, total: int) -> Ints:
        """Desktops of each stratum, of so many in a replicate: in proportion to size and spread (Neyman)."""
        weight = self.size * self.sd
        weight = weight if weight.any() else self.size.astype(np.float64)
        found = self.least.copy()
        free = np.ones(found.size, np.bool_)
        for _ in range(found.size):  # strata that are looked at as a whole, or as little as allowed, take no part
            rest = total - int(found[~free].sum())
            wished = np.zeros(found.size)
            wished[free] = max(rest, 0) * weight[free] / max(float(weight[free].sum()), 1e-300)
            bad = free & ((wished < self.least) | (wished > self.size))
            found[free] = np.clip(np.floor(wished[free] + 0.5), self.least[free], self.size[free]).astype(np.int64)
            if not bad.any():
                break
            free &= ~bad
        return found

    def choices(self) -> Iterator[Ints]:
        """Numbers of desktops of each stratum and replicate, from few to all."""
        most, total = int(self.size.sum()), float(self.least.sum())
        while total < most:
            yield self.shared_out(int(total))
            total = max(total * 1.1, total + 1)
        yield self.size.copy()

    def for_error(self, wished: float) -> tuple[int, Ints]:
        """Replicates, and desktops of each stratum and replicate, that cost least for a standard error. [1]

        As few as `LEAST_REPLICATES` and `LEAST_CLONES` allow are taken at least.
        """
        best: tuple[float, int, Ints] | None = None
        for clones in self.choices():
            one = self.between + self.within(clones)
            wanted = one / wished**2 if wished else np.inf
            replicates = int(np.clip(np.ceil(0.5 * wanted + (0.25 * wanted**2 + wanted) ** 0.5), 0, MOST_REPLICATES))
            replicates = max(replicates, LEAST_REPLICATES)
            cost = self.cost(replicates, clones)
            if best is None or cost < best[0]:
                best = cost, replicates, clones
        assert best is not None
        return best[1], best[2]

    def for_clones(self, most: int) -> tuple[int, Ints]:
        """Replicates, and desktops of each stratum and replicate, with the smallest error for so many desktops. [1]"""
        best: tuple[float, int, Ints] | None = None
        for clones in self.choices():
            replicates = min(most // int(clones.sum()), MOST_REPLICATES)
            if replicates < LEAST_REPLICATES:
                break
            variance = self.variance(replicates, clones)
            if best is None or variance < best[0]:
                best = variance, replicates, clones
        assert best is not None  # the caller refuses fewer than the fewest
        return best[1], best[2]
