"""From simulated probes of every policy to the probability of each, for one that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTHS: Final = (0.02, 0.04, 0.08, 0.16, 0.32)  # of the kernel, for growth in units; the grid that is searched
PLACE_SHARES: Final = (0.1, 0.3, 1.0)  # widths for places, as shares of that
TEMPERS: Final = (0.3, 0.5, 0.7, 1.0, 1.4)  # powers of the likelihood
TAIL: Final = 3.0  # degrees of freedom of the kernel: one strange step does not rule a policy out
FLOOR: Final = 1e-3  # probability that the result follows none of the simulations, spread over all policies


@dataclass(frozen=True, slots=True)
class Classifier:
    """Kernel densities of each policy's simulated results, sharpened or blunted so that probabilities are right.

    The likelihood of a policy is the mean over its simulations of a product of Student kernels around each feature.
    The kernel's widths and the power that the likelihood is raised to are chosen by the simulations themselves: each is
    left out in turn and judged by all others, and the choice with the best mean log probability of the truth wins.

    Attributes
    ----------
    table : (policies, draws, features) float64 array
        Simulated results.
    widths : (features,) float64 array
        Width of the kernel in each feature.
    temper : float
        Power of the likelihood.
    own : (policies, draws) float64 array
        Log density of each simulation under its own policy, itself left out, in order.
    """

    table: Floats
    widths: Floats
    temper: float
    own: Floats

    @classmethod
    def of(cls, table: Floats, places: int) -> Classifier:
        """Choose widths and power; the last `places` features are places."""
        best: tuple[float, Floats, float, Floats] | None = None
        for width in WIDTHS:
            for share in PLACE_SHARES if places else PLACE_SHARES[:1]:
                widths = np.full(table.shape[2], width)
                widths[widths.size - places :] *= share
                densities = _left_out(table, widths)
                for temper in TEMPERS:
                    score = _score(densities, temper)
                    if best is None or score > best[0]:
                        best = score, widths, temper, _own(densities)
        assert best is not None
        return cls(table, best[1], best[2], np.sort(best[3], axis=1))

    def probabilities(self, features: Floats) -> Floats:
        """Probability of each policy, all alike beforehand. (policies,) float64 array."""
        found: Floats = _probabilities(self._log_densities(features)[None, :], self.temper)[0]
        return found

    def strangeness(self, features: Floats) -> float:
        """Share of simulations that are as strange to their own policy as the result is to the one nearest to it.

        The result itself counts as one of them, so with few simulations nothing is very strange.
        """
        found = self._log_densities(features)
        pairs = zip(self.own, found, strict=True)
        return float(max((np.searchsorted(own, value, side="right") + 1) / (own.size + 1) for own, value in pairs))

    def _log_densities(self, features: Floats) -> Floats:
        found: Floats = _mean_log(_kernel(features[None, :], self.table, self.widths))[0]
        return found


def _kernel(points: Floats, table: Floats, widths: Floats) -> Floats:
    """Log of the kernel between points and simulations. (points, policies, draws) float64 array."""
    total = np.zeros((points.shape[0], *table.shape[:2]))
    for column, width in enumerate(widths):
        away = (points[:, column, None, None] - table[None, :, :, column]) / width
        total -= (TAIL + 1) / 2 * np.log1p(away * away / TAIL) + np.log(width)
    return total


def _mean_log(logs: Floats, left_out: int = 0) -> Floats:
    top = logs.max(axis=-1, keepdims=True)
    sums = np.exp(logs - top).sum(axis=-1)
    found: Floats = top[..., 0] + np.log(sums / (logs.shape[-1] - left_out))
    return found


def _left_out(table: Floats, widths: Floats) -> Floats:
    """Log density of each simulation under each policy, itself left out. (policies, draws, policies) float64 array."""
    policies, draws, _ = table.shape
    found = np.empty((policies, draws, policies))
    for policy in range(policies):
        logs = _kernel(table[policy], table, widths)
        logs[np.arange(draws), policy, np.arange(draws)] = -np.inf
        found[policy] = _mean_log(logs)
        found[policy, :, policy] += np.log(draws / (draws - 1))
    return found


def _own(densities: Floats) -> Floats:
    found: Floats = np.diagonal(densities, axis1=0, axis2=2).T
    return found


def _probabilities(densities: Floats, temper: float) -> Floats:
    logs = temper * (densities - densities.max(axis=-1, keepdims=True))
    shares = np.exp(logs)
    shares /= shares.sum(axis=-1, keepdims=True)
    found: Floats = (1 - FLOOR) * shares + FLOOR / shares.shape[-1]
    return found


def _score(densities: Floats, temper: float) -> float:
    """Mean log probability of the truth."""
    found = _probabilities(densities, temper)
    return float(np.log(_own(found)).mean())
