"""Sobol indices: which share of a figure's variance each assumption has, alone and with all that it acts on."""

from __future__ import annotations

import warnings
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
    `scipy.stats.sobol_indices` (estimators of Saltelli 2010) over scrambled Sobol points, its bootstrap for the noise
    of the points. Deviations of points and of `others` are added as squares. Estimates may pass 0 and 1 by their noise.
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
    from scipy.stats import sobol_indices, uniform

    seen = model(rng.random((coordinates, 256)))
    if not np.ptp(seen) > 1e-12 * max(float(np.abs(seen).max()), 1e-300):
        return Indices(*(np.zeros(coordinates) for _ in range(6)))
    middle, scale = float(seen.mean()), float(seen.std())  # the estimators lose digits far from zero

    def scaled(x: Floats) -> Floats:
        return np.asarray((model(x[:coordinates]) - middle) / scale)[None, :]

    dists = [uniform()] * max(coordinates, 2)  # scipy refuses one alone; the second one does nothing
    result = sobol_indices(func=scaled, n=points, dists=dists, random_state=rng)
    first, total = (np.ravel(part)[:coordinates] for part in (result.first_order, result.total_order))
    if not resamples:
        return Indices(first, first, first, total, total, total)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):  # an index that is 0 in every draw has no interval
        warnings.simplefilter("ignore", RuntimeWarning)
        drawn = result.bootstrap(confidence_level=confidence, n_resamples=resamples)
    ends = [
        np.ravel(getattr(part.confidence_interval, end))[:coordinates]
        for part in (drawn.first_order, drawn.total_order)
        for end in ("low", "high")
    ]
    low, high = np.fmin(ends[0], first), np.fmax(ends[1], first)
    return Indices(first, low, high, total, np.fmin(ends[2], total), np.fmax(ends[3], total))
