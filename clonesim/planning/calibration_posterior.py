"""What measured quantiles say of policy, scale and spread: probabilities on a grid, before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.planning.calibration_design import NUMBERS, Design, Prior
from clonesim.planning.calibration_emulator import emulator_of, quantiles
from clonesim.planning.calibration_looks import Looks

CELLS = (61, 41)  # of the grid: scale, spread
EDGE = 0.03  # of a range, at either end

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Posterior:
    """Probabilities on a grid of policy, scale and spread.

    Attributes
    ----------
    prior : Prior
        What was supposed.
    place : (2, cells) float64 array
        Middles of the grid's cells in the unit square. [1]
    before, after : (policies, cells) float64 array
        Probability of each cell. [1]
    distance : float
        Squared distance of what was measured from the best setting; NaN if nothing was measured.
    strange : float
        Share of what the best setting makes that is as strange or stranger; 1 if nothing was measured. [1]
    """

    prior: Prior
    place: Floats
    before: Floats
    after: Floats
    distance: float
    strange: float

    @property
    def value(self) -> Floats:
        """Scale and spread of each cell: (2, cells). [1]"""
        return self.prior.at(self.place)

    def policies(self, after: bool = True) -> Floats:
        """Probability of each policy."""
        return np.asarray((self.after if after else self.before).sum(axis=1))

    def marginal(self, number: int, after: bool = True, policy: int | None = None) -> tuple[Floats, Floats]:
        """Values of scale (0) or spread (1), and the probability of each; with a policy, if that holds."""
        weight = self.after if after else self.before
        rows = weight.sum(axis=0) if policy is None else weight[policy]
        table = rows.reshape(CELLS).sum(axis=1 - number)
        value = self.value.reshape(2, *CELLS)[number]
        return (value[:, 0] if number == 0 else value[0]), table / max(float(table.sum()), 1e-300)

    def rank(self, policy: int, place: Floats, chance: float) -> tuple[float, float, float]:
        """Probability below a true policy, scale and spread; `chance` breaks the policy's tie. For rank histograms."""
        shares = self.policies()
        found = [float(shares[:policy].sum() + chance * shares[policy])]
        for number, cells in enumerate(CELLS):
            below = np.concatenate([[0.0], np.cumsum(self.marginal(number)[1])])
            found.append(float(np.interp(place[number], np.linspace(0, 1, cells + 1), below)))
        return found[0], found[1], found[2]

    def edge(self, number: int) -> float:
        """Probability of the outermost parts of a range. [1]"""
        cells = CELLS[number]
        width = max(round(EDGE * cells), 1)
        shares = self.marginal(number)[1]
        return float(max(shares[:width].sum(), shares[-width:].sum()))

    def frame(self) -> pd.DataFrame:
        """A row per policy and cell: `policy`, `scale`, `spread`, `prior`, `probability`."""
        value, cells = self.value, self.place.shape[1]
        return pd.DataFrame(
            {
                "policy": np.repeat(np.array(self.prior.policies, object), cells),
                "scale": np.tile(value[0], len(self.prior.policies)),
                "spread": np.tile(value[1], len(self.prior.policies)),
                "prior": self.before.ravel(),
                "probability": self.after.ravel(),
            }
        )

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Policies and places of the unit square, drawn: (count,), (2, count)."""
        cells = self.place.shape[1]
        picked = rng.choice(self.after.size, count, p=self.after.ravel() / self.after.sum())
        width = 1.0 / np.array(CELLS, np.float64)
        place = self.place[:, picked % cells] + (rng.random((2, count)) - 0.5) * width[:, None]
        return (picked // cells).astype(np.int64), np.clip(place, 0.0, 1.0)


def grid() -> Floats:
    """Middles of the cells of the unit square: (2, cells)."""
    axes = [(np.arange(cells) + 0.5) / cells for cells in CELLS]
    return np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")])


def posterior_of(design: Design, looks: Looks | None, seed: int) -> Posterior:
    """Probabilities after some looks; without any, those before."""
    from scipy.stats import f as fisher

    prior, place = design.prior, grid()
    weight = prior.weight(place)
    before = np.tile(weight / weight.sum() / len(prior.policies), (len(prior.policies), 1))
    if looks is None:
        return Posterior(prior, place, before, before, float("nan"), 1.0)
    looks = looks.chosen()
    emulator = emulator_of(design, looks.age, looks.who.size, seed)
    seen = quantiles(looks.size, 0)
    parts = [emulator.log_likelihood(policy, place, seen) for policy in range(len(prior.policies))]
    value, distance = (np.stack(part) for part in zip(*parts, strict=True))
    logs = np.log(np.maximum(before, 1e-300)) + value
    after = np.exp(logs - logs.max())
    best = float(distance.ravel()[int(logs.argmax())])
    rest = max(emulator.mean.freedom - seen.size + 1, 1.0)
    strange = float(fisher.sf(best * rest / (emulator.mean.freedom * seen.size), seen.size, rest))
    return Posterior(prior, place, before, after / after.sum(), best, strange)


def shrinkage_of(posterior: Posterior) -> pd.DataFrame:
    """How much was learned of each number.

    Returns
    -------
    DataFrame
        A row per `parameter`: `prior_low`, `prior_high`, `low`, `high` (5 and 95 % before and after), `mean` (after),
        `shrinkage` (1 minus the ratio of the standard deviations of the logarithm) and `kl` (divergence of after from
        before [nats]). [1]
    """
    rows = []
    for number, name in enumerate(NUMBERS):
        value, was = posterior.marginal(number, after=False)
        _, now = posterior.marginal(number)
        ends = [*_ends(value, was), *_ends(value, now)]
        ratio = _deviation(np.log(value), now) / _deviation(np.log(value), was)
        rows.append((name, *ends, float(value @ now), 1 - ratio, _divergence(now, was)))
    return pd.DataFrame(
        rows, columns=["parameter", "prior_low", "prior_high", "low", "high", "mean", "shrinkage", "kl"]
    )


def policies_of(posterior: Posterior) -> pd.DataFrame:
    """What was learned of the policy.

    Returns
    -------
    DataFrame
        A row per `policy`, the likeliest first: `prior`, `probability`, `factor` (Bayes factor of the likeliest policy
        against it) and `scale_low`, `scale`, `scale_high` (5 %, mean and 95 % of the scale if it holds). [1]
    """
    was, now = posterior.policies(after=False), posterior.policies()
    evidence = now / was
    rows = []
    for policy in np.argsort(-now, kind="stable").tolist():
        value, shares = posterior.marginal(0, policy=policy)
        low, high = _ends(value, shares)
        factor = float(evidence.max() / max(float(evidence[policy]), 1e-300))
        name = posterior.prior.policies[policy]
        rows.append((name, float(was[policy]), float(now[policy]), factor, low, float(value @ shares), high))
    return pd.DataFrame(rows, columns=["policy", "prior", "probability", "factor", "scale_low", "scale", "scale_high"])


def correlation_of(posterior: Posterior) -> float:
    """Correlation of the logarithms of scale and spread. [1]"""
    weight, value = posterior.after.sum(axis=0), np.log(posterior.value)
    away = value - (value @ weight)[:, None]
    covariance = (away * weight) @ away.T
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def divergence_of(posterior: Posterior) -> float:
    """Divergence of the policies' probabilities after from those before. [nats]"""
    return _divergence(posterior.policies(), posterior.policies(after=False))


def _divergence(now: Floats, was: Floats) -> float:
    known = now > 0
    return float(max((now[known] * np.log(now[known] / was[known])).sum(), 0.0))


def _deviation(value: Floats, weight: Floats) -> float:
    mean = float(value @ weight)
    return float(np.sqrt(((value - mean) ** 2) @ weight))


def _ends(value: Floats, weight: Floats) -> tuple[float, float]:
    """5th and 95th percentile of probabilities by cell, the cells being as wide as their logarithms are apart."""
    step = float(np.log(value[1] / value[0]))
    edges = np.log(value[0]) - step / 2 + step * np.arange(value.size + 1)
    sums = np.concatenate([[0.0], np.cumsum(weight)])
    low, high = np.exp(np.interp((0.05, 0.95), sums, edges))
    return float(low), float(high)
