"""Which clones share a LUN, and how replicates are weighed anew: all that a density plan draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator
from clonesim.planning.deal_kernel import weighted_means
from clonesim.scenario import catalog

TOPIC = "planning"
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dealings:
    """Random orders of a pool's clones, cut into LUNs. No clone comes twice in an order, so none comes twice on a LUN.

    The clones of a cut stand in a circle. A LUN is a run of neighbours that begins at one of the places `start`; the
    same places serve every density, so a LUN of n + 1 clones has those of one of n clones, and one more.

    Attributes
    ----------
    clones : int
        Clones of the pool. [1]
    cuts : int
        Orders per replicate. [1]
    start : (starts,) int64 array
        Places where LUNs begin.
    seed : int
        Key of the draws, with the replicate's number.
    """

    clones: int
    cuts: int
    start: Ints
    seed: int

    @classmethod
    def of(
        cls, clones: int, replicates: int, seed: int = 0, cuts: int | None = None, starts: int | None = None
    ) -> Dealings:
        """Orders for a pool.

        Parameters
        ----------
        clones, replicates : int
            Of the pool, from 1 up. [1]
        seed : int, default 0
            From 0 up.
        cuts : int, optional
            Orders per replicate; by default as many as make the catalog's `cuts` in all, but at least `least_cuts`. [1]
        starts : int, optional
            LUNs per order and density; by default the catalog's. At most one per clone. [1]
        """
        for name, number in (("clones", clones), ("replicates", replicates)):
            _check_count(name, number)
        if cuts is None:
            most, least = catalog.value(TOPIC, "draws.cuts"), catalog.value(TOPIC, "draws.least_cuts")
            cuts = max(least, ceil(most / replicates))
        if starts is None:
            starts = catalog.value(TOPIC, "draws.starts")
        for name, number in (("cuts", cuts), ("starts", starts)):
            _check_count(name, number)
        starts = min(starts, clones)
        return cls(clones, cuts, np.arange(starts, dtype=np.int64) * clones // starts, seed)

    def order(self, replicate: int) -> Ints:
        """Clones of one replicate in random order, a row per cut: (cuts, clones) int64 array."""
        rng = generator(self.seed, replicate, POOL, "pool:dealings")
        return rng.permuted(np.tile(np.arange(self.clones), (self.cuts, 1)), axis=1)

    def luns(self, replicate: int, n: int) -> Ints:
        """Clones of every LUN of n clones: (cuts, starts, n) int64 array."""
        places = (self.start[:, None] + np.arange(n)) % self.clones
        return self.order(replicate)[:, places]

    def pool(self, replicate: int, n: int) -> list[Ints]:
        """All clones of a cut on as few LUNs of n as hold them: LUN by LUN a (cuts, clones there) int64 array."""
        order = self.order(replicate)
        return [order[:, first : first + n] for first in range(0, self.clones, n)]


@dataclass(frozen=True, slots=True)
class Resamples:
    """What replicates weigh in each draw of an interval, and which of its cuts each of them brings.

    Attributes
    ----------
    weight : (draws, replicates + 1) float64 array
        Weights, which sum to 1; the last one is that of a pseudo-replicate at the far end of what is possible.
    cut : (draws, replicates) int64 array
        One cut per replicate.
    rank : int
        Which of the draws, in ascending order, is the upper end, from 0 up; the lower end mirrors it.
    """

    weight: Floats
    cut: Ints
    rank: int

    @classmethod
    def of(
        cls, replicates: int, cuts: int, seed: int = 0, confidence: float | None = None, draws: int | None = None
    ) -> Resamples:
        """Draws for an interval whose ends hold with a confidence each.

        Parameters
        ----------
        replicates, cuts : int
            From 1 up. [1]
        seed : int, default 0
            From 0 up.
        confidence : float, optional
            Of each end by itself; by default the catalog's. [1]
        draws : int, optional
            By default the catalog's. [1]

        Notes
        -----
        The weights are those of the Bayesian bootstrap with one pseudo-replicate more (Dirichlet, all ones). The
        pseudo-replicate's weight is drawn once from each of `draws` equal slices of its distribution, Beta(1,
        replicates), and so its quantiles are exact: without a single hit the upper end is 1 - (1 - confidence)^(1 /
        replicates), at most 3 / replicates at 95 %.
        """
        if confidence is None:
            confidence = catalog.value(TOPIC, "confidence")
        if draws is None:
            draws = catalog.value(TOPIC, "draws.resamples")
        for name, number in (("replicates", replicates), ("cuts", cuts), ("draws", draws)):
            _check_count(name, number)
        check_share("confidence", confidence)
        rng = generator(seed, 0, POOL, "pool:resamples")
        weight = np.empty((draws, replicates + 1))
        slices = (rng.permutation(draws) + 1) / draws
        weight[:, -1] = 1 - (1 - slices) ** (1 / replicates)
        parts = rng.exponential(size=(draws, replicates))
        weight[:, :-1] = parts / parts.sum(axis=1, keepdims=True) * (1 - weight[:, -1:])
        rank = min(draws - 1, ceil(confidence * draws - 1e-9) - 1)
        return cls(weight, rng.integers(0, cuts, (draws, replicates)), rank)

    def mean(self, values: Floats) -> tuple[float, float]:
        """Ends of a mean of values from 0 to 1, one per replicate and cut: (replicates, cuts) array. [1]"""
        drawn = np.empty(self.weight.shape[0])
        weighted_means(values, self.weight, self.cut, drawn)
        down = drawn.size - 1 - self.rank
        low, high = np.partition(drawn, down)[down], np.partition(drawn + self.weight[:, -1], self.rank)[self.rank]
        return float(low), float(high)


def check_share(name: str, share: float) -> None:
    """Raise a ParameterError unless the share lies between 0 and 1."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ParameterError(name, share, "a share between 0 and 1 is needed", "Write for example 0.95.")


def _check_count(name: str, number: int) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise ParameterError(name, number, "a whole number from 1 up is needed")
