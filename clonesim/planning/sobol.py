"""Sobol indices: which share of a figure's variance each assumption has, alone and with all that it acts on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.scenario import catalog

TOPIC = "sensitivity"

Floats = NDArray[np.float64]
Model = Callable[[Floats], Floats]  # points of the unit cube (coordinates, n) -> figure (n,)


@dataclass(frozen=True, slots=True)
class Indices:
    """Shares of the variance, by coordinate; each with its interval.

    Attributes
    ----------
    first, first_low, first_high : float64 array
        Of the coordinate alone. [1]
    total, total_low, total_high : float64 array
        Of the coordinate with all interactions that it has a part in. [1]
    """

    first: Floats
    first_low: Floats
    first_high: Floats
    total: Floats
    total_low: Floats
    total_high: Floats


def indices(
    model: Model,
    coordinates: int,
    seed: int = 0,
    *,
    others: Sequence[Model] = (),
    base: int | None = None,
    resamples: int | None = None,
    confidence: float | None = None,
) -> Indices:
    """First and total Sobol indices of a model over the unit cube, every point equally likely.

    Parameters
    ----------
    model : callable
        Points (coordinates, n) in, figure (n,) out.
    coordinates : int
        How many. [1]
    seed : int, default 0
        Of the points.
    others : sequence of callable
        The same model as it might be as well (fitted to other points): what they differ by widens the intervals.
    base, resamples : int, optional
        Points of each matrix, the next power of two; draws of an interval, 0 for none. The catalog's by default. [1]
    confidence : float, optional
        Of an interval; the catalog's by default. [1]

    Returns
    -------
    Indices
        Zeros where the figure does not vary at all.

    Notes
    -----
    `scipy.stats.sobol_indices` (estimators of Saltelli 2010) over scrambled Sobol points. For the noise of the points
    they are drawn anew with replacement, by a seeded stream (scipy's own bootstrap has none). Deviations of points and
    of `others` are added as squares. Estimates may pass 0 and 1 by their noise.
    """
    if coordinates < 1:
        raise ParameterError("coordinates", coordinates, "at least one assumption is needed")
    base = catalog.value(TOPIC, "sobol.base") if base is None else base
    resamples = catalog.value(TOPIC, "sobol.resamples") if resamples is None else resamples
    confidence = catalog.value("planning", "confidence") if confidence is None else confidence
    points = 1 << max(1, int(np.ceil(np.log2(base))))
    one = _estimated(model, coordinates, points, np.random.default_rng([seed, 0]), resamples, confidence)
    if not others:
        return one
    rest = [_estimated(other, coordinates, points, np.random.default_rng([seed, 0])) for other in others]
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    found: dict[str, Floats] = {}
    for name in ("first", "total"):
        value = getattr(one, name)
        low, high = np.quantile([getattr(other, name) for other in rest], ends, axis=0)
        below, above = value - getattr(one, f"{name}_low"), getattr(one, f"{name}_high") - value
        found |= {
            name: value,
            f"{name}_low": value - np.hypot(below, np.maximum(value - low, 0.0)),
            f"{name}_high": value + np.hypot(above, np.maximum(high - value, 0.0)),
        }
    return Indices(**found)


def _estimated(
    model: Model,
    coordinates: int,
    points: int,
    rng: np.random.Generator,
    resamples: int = 0,
    confidence: float = 0.95,
) -> Indices:
    from scipy.stats import qmc

    seen = model(rng.random((coordinates, 256)))
    if not np.ptp(seen) > 1e-12 * max(float(np.abs(seen).max()), 1e-300):
        return Indices(*(np.zeros(coordinates) for _ in range(6)))
    middle, scale = float(seen.mean()), float(seen.std())  # the estimators lose digits far from zero
    width = max(coordinates, 2)  # scipy refuses one alone; the second one does nothing
    cube = qmc.Sobol(2 * width, seed=rng).random(points).T
    one, other = cube[:width], cube[width:]

    def figure(at: Floats) -> Floats:
        return np.asarray((model(at[:coordinates]) - middle) / scale)

    mixed = np.empty((width, points))
    for k in range(width):
        at = one.copy()
        at[k] = other[k]
        mixed[k] = figure(at)
    table = np.stack([figure(one), figure(other), *mixed])
    first, total = _shares(table)
    if not resamples:
        return Indices(*(part[:coordinates] for part in (first, first, first, total, total, total)))
    drawn = np.stack([_shares(table[:, rng.integers(points, size=points)]) for _ in range(resamples)])
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2), axis=0)
    ends = (
        np.minimum(low[0], first),
        np.maximum(high[0], first),
        np.minimum(low[1], total),
        np.maximum(high[1], total),
    )
    return Indices(*(part[:coordinates] for part in (first, *ends[:2], total, *ends[2:])))


def _shares(table: Floats) -> tuple[Floats, Floats]:
    """First and total indices from the figure at both matrices and at the first one with each column of the second."""
    from scipy.stats import sobol_indices

    values = {"f_A": table[None, 0], "f_B": table[None, 1], "f_AB": table[2:, None, :]}
    found = sobol_indices(func=values, n=table.shape[1])
    return np.ravel(found.first_order), np.ravel(found.total_order)
