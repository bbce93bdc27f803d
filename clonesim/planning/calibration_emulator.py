"""From simulated pools to the quantiles that any setting would show, and how far pools of one setting differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.keys import POOL, generator
from clonesim.planning.calibration_design import Design
from clonesim.planning.calibration_looks import TOPIC
from clonesim.planning.surrogate import terms
from clonesim.scenario import catalog

ENDS = (0.1, 0.9)
NARROW = 0.01  # of a size: sizes that differ by less are alike
FEW = 3  # clones that quantiles need; of fewer only the median is compared
RESAMPLES = 100
LEAST = float(2**20)  # a smaller delta is none [B]

Floats = NDArray[np.float64]


def quantiles(size: Floats, axis: int) -> Floats:
    """Quantiles over clones, look by look, on a scale on which they scatter evenly: (..., looks x 3).

    The logarithm of the median; those of how far the others lie below and above it, in logarithms of sizes.
    """
    logs = np.log(np.maximum(size, LEAST))
    middle = np.median(logs, axis=axis)
    if size.shape[axis] < FEW:
        return np.asarray(middle)
    low, high = np.quantile(logs, ENDS, axis=axis)
    found = np.stack([middle, np.log(middle - low + NARROW), np.log(high - middle + NARROW)], axis=-1)
    return np.asarray(found.reshape(*found.shape[:-2], -1))


def columns(place: Floats) -> Floats:
    """Terms of the formula at places of the unit square, with a constant: (n, terms)."""
    return np.concatenate([np.ones((place.shape[1], 1)), terms(place, (0, 0))], axis=1)


@dataclass(frozen=True, slots=True)
class Formulas:
    """Responses as formulas over the unit square, policy by policy; made by `fit_formulas`.

    Attributes
    ----------
    coefficients : (policies, terms, responses) float64 array
        Of the formulas.
    inverse : (policies, terms, terms) float64 array
        Inverse of the normal matrix: tells how exact a formula is where.
    residual : (pools, responses) float64 array
        What the formulas miss at the simulated pools, made as large as it would be at others.
    freedom : float
        Degrees of freedom of these, fewer where pools of the same users miss alike under all policies. [1]
    """

    coefficients: Floats
    inverse: Floats
    residual: Floats
    freedom: float

    def at(self, policy: int, place: Floats) -> Floats:
        """Responses at places of the unit square: (n, responses)."""
        return np.asarray(columns(place) @ self.coefficients[policy])

    def doubt(self, policy: int, place: Floats) -> Floats:
        """Variance of the formula itself, as a multiple of the residuals': (n,). [1]"""
        table = columns(place)
        return np.asarray(((table @ self.inverse[policy]) * table).sum(axis=1))


def fit_formulas(design: Design, response: Floats) -> Formulas:
    """Fit each response by least squares, policy by policy; (pools, responses) in."""
    policies, points = design.cost.policies, design.cost.points
    coefficients, inverse, missed = [], [], []
    for policy in range(policies):
        mine = design.policy == policy
        table = columns(design.place[:, mine])
        found, *_ = np.linalg.lstsq(table, response[mine], rcond=None)
        coefficients.append(found)
        inverse.append(np.linalg.pinv(table.T @ table))
        missed.append(response[mine] - table @ found)
    width = coefficients[0].shape[0]
    grown = np.sqrt(points / max(points - width, 1))
    freedom = _apart(np.stack(missed)) * max(points - width, 1)
    return Formulas(np.stack(coefficients), np.stack(inverse), grown * np.concatenate(missed), freedom)


def _apart(missed: Floats) -> float:
    """As how many independent policies the residuals count: (policies, points, responses) in, 1 to policies out."""
    whole = missed / np.maximum(missed.std(axis=(0, 1)), 1e-12)
    flat = whole.reshape(missed.shape[0], -1)
    alike = flat @ flat.T
    return float(np.trace(alike) ** 2 / np.maximum((alike**2).sum(), 1e-300))


@dataclass(frozen=True, slots=True)
class Emulator:
    """What the quantiles of so many clones would be at any setting, and their covariance; made by `emulator_of`.

    Attributes
    ----------
    mean : Formulas
        Quantiles, logarithms.
    spread : Formulas
        Logarithm of the standard deviation that each has because clones differ.
    shape : (responses, responses) float64 array
        Correlation of these deviations.
    shared : (responses, responses) float64 array
        Covariance of what all clones of a pool share: patches, image, storms.
    own : (responses, responses) float64 array
        Mean covariance in a simulated pool because its clones differ.
    ratio : float
        Variance of the quantiles of the measured clones by that of so many clones as were resampled. [1]
    """

    mean: Formulas
    spread: Formulas
    shape: Floats
    shared: Floats
    own: Floats
    ratio: float

    def log_likelihood(self, policy: int, place: Floats, seen: Floats) -> tuple[Floats, Floats]:
        """Log density of what was seen at places of the unit square, and its squared distance: (n,) each.

        Student's density with as many degrees of freedom as the covariance was estimated with.
        """
        away = seen - self.mean.at(policy, place)
        deviation = np.exp(self.spread.at(policy, place))
        doubt = self.mean.doubt(policy, place)
        exact = float(catalog.value(TOPIC, "exact")) ** 2 * np.eye(seen.size)
        clones = self.ratio * deviation[:, :, None] * self.shape * deviation[:, None, :]
        whole = self.shared + self.own
        covariance = self.shared + clones + doubt[:, None, None] * whole + exact
        factor = np.linalg.cholesky(covariance)
        solved = np.linalg.solve(factor, away[:, :, None])[:, :, 0]
        distance = (solved**2).sum(axis=1)
        determinant = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        freedom = self.mean.freedom
        value = -0.5 * determinant - 0.5 * (freedom + seen.size) * np.log1p(distance / freedom)
        return value, distance


def emulator_of(design: Design, age: Floats, clones: int, seed: int) -> Emulator:
    """Fit formulas to the quantiles of the design's pools at some ages, as so many measured clones would show them."""
    size = design.at(age)
    there = size.shape[1]
    drawn = min(clones, there)
    rng = generator(seed, 0, POOL, "pool:calibration-resamples")
    if clones < there:  # quantiles of few clones are others: those of parts of the pool
        parts = rng.permuted(np.tile(np.arange(there), (RESAMPLES, 1)), axis=1)[:, :clones]
        middle = quantiles(size[:, parts], 2).mean(axis=1)
    else:
        middle = quantiles(size, 1)
    again = quantiles(size[:, rng.integers(0, there, (RESAMPLES, drawn))], 2)
    away = again - again.mean(axis=1, keepdims=True)
    covariance = np.einsum("prk,prl->pkl", away, away) / (RESAMPLES - 1)
    deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2) + 1e-8)
    shape = (covariance / deviation[:, :, None] / deviation[:, None, :]).mean(axis=0)
    mean, spread = fit_formulas(design, middle), fit_formulas(design, np.log(deviation))
    own = covariance.mean(axis=0) * (drawn / there)
    residual = mean.residual.T @ mean.residual / mean.residual.shape[0]
    return Emulator(mean, spread, shape, _positive(residual - own), own, drawn / clones)


def _positive(matrix: Floats) -> Floats:
    """The nearest covariance: negative variances along its axes are none."""
    value, axis = np.linalg.eigh(matrix)
    return np.asarray((axis * np.maximum(value, 0.0)) @ axis.T)
