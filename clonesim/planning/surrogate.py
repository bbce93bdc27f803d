"""A formula fitted to some simulated points: linear, quadratic and pairwise terms, with the error that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError

RIDGES = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # shares of the mean square of the columns

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surrogate:
    """Formula for one response over the unit cube; made by `fit`.

    Attributes
    ----------
    levels : tuple of int
        By coordinate: 0 for a number, or how many equally wide levels it has. [1]
    center, coefficients : float64 array
        Of the terms.
    constant : float
        Mean response of the points.
    error : float
        Root mean square of what each point is missed by if it is left out of the fit. [as the response]
    explained : float
        1 minus the square of that over the variance of the responses; 1: exact, 0 or less: no better than the mean. [1]
    missed : (n,) float64 array
        By what each point is missed if it is left out of the fit. [as the response]
    """

    levels: tuple[int, ...]
    center: Floats
    coefficients: Floats
    constant: float
    error: float
    explained: float
    missed: Floats = field(repr=False)

    def predict(self, points: Floats) -> Floats:
        """Response at points; (coordinates, n) in, (n,) out."""
        return np.asarray(self.constant + (terms(points, self.levels) - self.center) @ self.coefficients)

    def again(self, points: Floats, rng: np.random.Generator) -> Surrogate:
        """Formula as it might have come out as well: fitted to itself, with what it misses at the points dealt anew."""
        response = self.predict(points) + rng.choice(self.missed, points.shape[1])
        return fit(points, response, self.levels)


def fit(points: Floats, response: Floats, levels: Sequence[int]) -> Surrogate:
    """Fit the formula by least squares, held back a little (ridge) as far as leave-one-out says that it helps.

    Parameters
    ----------
    points : (coordinates, n) float64 array
        In the unit cube. [1]
    response : (n,) float64 array
        At the points.
    levels : sequence of int
        By coordinate: 0 for a number, or how many levels. [1]

    Raises
    ------
    ParameterError
        If there are fewer than three points.

    Examples
    --------
    >>> grid = np.linspace(0, 1, 9)[None, :]
    >>> float(fit(grid, 3 * grid[0] ** 2, [0]).predict(np.array([[0.3]]))[0].round(6))
    0.27
    """
    if response.size < 3:
        raise ParameterError("points", response.size, "at least three are needed to fit a formula")
    table = terms(points, levels)
    center, constant = table.mean(axis=0), float(response.mean())
    left, size, right = np.linalg.svd(table - center, full_matrices=False)
    known = size > 1e-9 * max(float(size.max(initial=0.0)), 1e-300)
    left, size, right = left[:, known], size[known], right[known]
    away = response - constant
    best: tuple[float, Floats, Floats] = float(np.sqrt((away**2).mean())), np.zeros(table.shape[1]), away
    found = False
    for ridge in RIDGES:
        held = ridge * float((size**2).mean()) if size.size else 0.0
        kept = size**2 / (size**2 + held)
        hat = (left**2 * kept).sum(axis=1) + 1.0 / response.size
        missed = (away - left @ (kept * (left.T @ away))) / np.maximum(1.0 - hat, 1e-9)
        error = float(np.sqrt((missed**2).mean()))
        if (hat < 1.0 - 1e-9).all() and (not found or error < best[0] * (1 - 1e-9)):
            found, best = True, (error, right.T @ (kept / size * (left.T @ away)), missed)
    error, coefficients, missed = best
    spread = float(away.std())
    explained = 1.0 - (error / spread) ** 2 if spread > 0 else 1.0
    return Surrogate(tuple(levels), center, coefficients, constant, error, explained, missed)


def terms(points: Floats, levels: Sequence[int]) -> Floats:
    """Terms of the formula at points: each coordinate, squares of numbers, and products of two coordinates."""
    single = [_columns(row, count) for row, count in zip(points, levels, strict=True)]
    found = [column for columns in single for column in columns]
    found += [columns[0] ** 2 for columns, count in zip(single, levels, strict=True) if not count]
    for one, other in combinations(single, 2):
        found += [a * b for a in one for b in other]
    return np.stack(found, axis=1) if found else np.zeros((points.shape[1], 0))


def term_count(levels: Sequence[int]) -> int:
    """How many terms the formula has, with its constant. [1]"""
    return int(terms(np.full((len(levels), 1), 0.5), levels).shape[1]) + 1


def level_of(points: Floats, count: int) -> NDArray[np.int64]:
    """Level of each point of a coordinate with so many equally wide ones. [1]"""
    return np.minimum((points * count).astype(np.int64), count - 1)


def _columns(row: Floats, count: int) -> list[Floats]:
    if not count:
        return [2.0 * row - 1.0]
    level = level_of(row, count)
    return [(level == k).astype(np.float64) - (level == 0) for k in range(1, count)]  # effects add up to nothing
