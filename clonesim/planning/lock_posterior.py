"""What hold, back-off and chance of collision may be, after so many conflicts: draws from what counters leave possible.

Priors are even in the logarithm over the ranges of the catalog's topic `locks`. The mean number of conflicts is
hold x (what could meet a reservation, per second of hold); a request or an I/O that met one backs off until it is over,
which is `clonesim.lun.lock_frames.met_delay`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.lun.lock_frames import met_delay
from clonesim.planning.lock_evidence import Conflicts, Delay
from clonesim.planning.lock_exposure import TOPIC
from clonesim.scenario import catalog

HOLDS, BACKOFFS = 241, 81
FINE = 4001  # points of the number of ATS conflicts
AGAIN = 1.5  # tries that meet another reservation yet, as simulations show; 1 to 2 with 2 to 8 hosts
OWN_ERROR = 0.15  # of the correction for locks' own tries, relative
REACH = 1e-7  # of the mass of a coarse grid: where the fine one is laid

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Priors:
    """Ranges over which quantities are even in the logarithm, low and high."""

    hold_s: tuple[float, float]
    backoff_s: tuple[float, float]
    distribution: str
    commands: tuple[float, float]
    collision: tuple[float, float]

    @classmethod
    def of_catalog(cls, distribution: str) -> Priors:
        """Ranges of the catalog."""
        locks = catalog.parameters("locks")

        def ends(name: str) -> tuple[float, float]:
            return float(locks[name].range[0]), float(locks[name].range[1])

        least = float(catalog.value(TOPIC, "collision.least"))
        return cls(ends("hold"), ends("backoff"), distribution, ends("commands.ats"), (least, 1.0))


def retries(hold_s: Floats, backoff_s: Floats, distribution: str) -> Floats:
    """Mean number of tries that meet a reservation, of one that has met it: Wald's delay over back-off. [1]"""
    hold, backoff = np.asarray(hold_s, np.float64), np.asarray(backoff_s, np.float64)
    return met_delay(hold / backoff, 1.0, distribution)  # only the ratio counts


def count_loglik(count: float, mean: Floats, spread: Floats | float, error: Floats | float) -> Floats:
    """Log-likelihood of a count whose variance is spread x mean + (error x mean)^2: Poisson or negative binomial."""
    from scipy.special import gammaln

    mean = np.maximum(mean, 1e-300)
    extra = np.asarray(spread) - 1.0 + np.asarray(error) ** 2 * mean
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        plain = count * np.log(mean) - mean - gammaln(count + 1)
        size = mean / np.maximum(extra, 1e-12)
        wide = (
            gammaln(count + size) - gammaln(size) - gammaln(count + 1)
            - size * np.log1p(extra) + count * (np.log(np.maximum(extra, 1e-300)) - np.log1p(extra))
        )  # fmt: skip
    return np.asarray(np.where((extra < 1e-6) | (size > 1e12), plain, wide))


def reservation_draws(
    seen: Conflicts, delay: Delay, priors: Priors, draws: int, rng: np.random.Generator, failed: float = float("nan")
) -> pd.DataFrame:
    """Draws of `hold_s` and `backoff_s` after conflicts with reservations.

    Parameters
    ----------
    seen : Conflicts
        Of `lock_evidence.of_reservations`.
    delay : Delay
        Kernel time per conflict; NaN of none.
    priors : Priors
        What was possible before.
    draws : int
        Rows. [1]
    rng : Generator
        Draws them.
    failed : float
        Of the conflicts, those of locks themselves, where they were counted apart. [1]
    """
    low, high = np.log(priors.hold_s)
    backoff = np.linspace(math.log(priors.backoff_s[0]), math.log(priors.backoff_s[1]), BACKOFFS)
    for _ in range(3):
        hold = np.linspace(low, high, HOLDS)
        mass = _mass(hold, backoff, seen, delay, priors, failed)
        likely = np.flatnonzero(mass.sum(axis=1) > REACH)
        step = hold[1] - hold[0]
        low = max(float(hold[likely[0]] - step), float(np.log(priors.hold_s[0])))
        high = min(float(hold[likely[-1]] + step), float(np.log(priors.hold_s[1])))
    mass = _mass(hold := np.linspace(low, high, HOLDS), backoff, seen, delay, priors, failed)
    chosen = rng.choice(mass.size, draws, p=mass.ravel())
    rows, columns = np.unravel_index(chosen, mass.shape)
    u = rng.random((2, draws)) - 0.5
    found_h = np.clip(hold[rows] + u[0] * (hold[1] - hold[0]), *np.log(priors.hold_s))
    found_b = np.clip(backoff[columns] + u[1] * (backoff[1] - backoff[0]), *np.log(priors.backoff_s))
    return pd.DataFrame({"hold_s": np.exp(found_h), "backoff_s": np.exp(found_b)})


def _mass(
    log_hold: Floats, log_backoff: Floats, seen: Conflicts, delay: Delay, priors: Priors, failed: float
) -> Floats:
    hold, backoff = np.exp(log_hold)[:, None], np.exp(log_backoff)[None, :]
    again = retries(hold, backoff, priors.distribution)
    busy = np.minimum(hold * seen.rate, 1.0)
    by_guests = np.broadcast_to(hold * seen.guests, again.shape)
    by_locks = hold * seen.locks * again * (1.0 + AGAIN * busy * (1.0 - 1.0 / again))
    both = np.maximum(by_guests + by_locks, 1e-300)
    rows = _rows(again, priors.distribution)
    together = 1.0 + hold * seen.each  # I/Os of a host that meet the same reservation
    own = by_locks * rows / (by_guests * together + by_locks * rows + 1e-300)  # of the variance from bin to bin
    wrong = catalog.value(TOPIC, "model_error")
    apart = np.isfinite(failed)
    if apart:
        told = count_loglik(seen.count - failed, by_guests, seen.spread, 0.0)
        told = told + count_loglik(failed, by_locks, np.maximum(seen.spread, rows), wrong)
    elif seen.guests + seen.locks > 0:
        spread = np.maximum(seen.spread, (by_guests + by_locks * rows) / both)
        told = count_loglik(seen.count, both, spread, wrong * by_locks / both)
    else:
        told = np.zeros(again.shape)
    if np.isfinite(delay.mean_s):
        own = np.zeros(again.shape) if apart else own  # no guest waits for the locks' own tries
        mean = again * backoff * (1.0 - own)
        scale = np.hypot(delay.error_s, np.hypot(catalog.value(TOPIC, "kernel_error"), OWN_ERROR * own) * mean)
        told = told - 0.5 * ((delay.mean_s - mean) / scale) ** 2 - np.log(scale)
    mass = np.exp(told - told.max())
    return np.asarray(mass / mass.sum())


def _rows(again: Floats, distribution: str) -> Floats:
    """Variance over mean of the tries of locks that met a reservation, which come in rows. [1]

    A row is 1 + the back-offs within the residual of a hold: their mean is even between 0 and twice its mean, and their
    variance that mean times the squared variation of a back-off.
    """
    more = again - 1.0
    variation = 1.0 if distribution == "exponential" else 1.0 / 3.0
    return np.asarray((1.0 + (2.0 + variation) * more + 4.0 / 3.0 * more**2) / again)


def ats_draws(seen: Conflicts, latency_s: float, priors: Priors, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draws of `hold_s`, `backoff_s`, `collision`, `hold_collision_s` and `retries` after miscompares.

    `collision` is the chance that two hosts want the same lock, `hold_collision_s` its product with the hold, `retries`
    the mean number of tries that meet a holder, of one that has met it.

    Parameters
    ----------
    seen : Conflicts
        Of `lock_evidence.of_ats`.
    latency_s : float
        Of one command; NaN if unknown: the hold then is as open as the catalog has it. [s]
    priors, draws, rng
        As of `reservation_draws`.
    """
    count = 4 * draws

    def drawn(ends: tuple[float, float]) -> Floats:
        return np.asarray(np.exp(rng.uniform(math.log(ends[0]), math.log(ends[1]), count)))

    hold = drawn(priors.commands) * latency_s if np.isfinite(latency_s) else drawn(priors.hold_s)
    backoff = drawn(priors.backoff_s)
    again = retries(hold, backoff, priors.distribution)
    full = np.maximum(seen.locks * hold * again, 1e-300)
    ends = np.log(full * priors.collision[0]), np.log(full * priors.collision[1])
    if seen.locks > 0:
        grid = np.linspace(float(ends[0].min()), float(ends[1].max()), FINE)
        grid = np.unique(np.concatenate([grid, _around(seen, grid)]))
        told = count_loglik(seen.count, np.exp(grid), seen.spread, catalog.value(TOPIC, "ats_error"))
        height = np.exp(told - told.max())
        below = np.concatenate([[0.0], np.cumsum(np.diff(grid) * (height[1:] + height[:-1]) / 2)])
    else:
        grid = np.linspace(float(ends[0].min()), float(ends[1].max()), 3)
        below = grid - grid[0]
    first, last = np.interp(ends[0], grid, below), np.interp(ends[1], grid, below)
    weight = np.maximum(last - first, 0.0) + 1e-300
    chosen = rng.choice(count, draws, p=weight / weight.sum())
    want = first[chosen] + rng.random(draws) * (last - first)[chosen]
    rising = np.append(True, np.diff(below) > 0)
    where = np.clip(np.interp(want, below[rising], grid[rising]), ends[0][chosen], ends[1][chosen])
    collision = np.exp(where) / full[chosen]
    collision = collision / (1.0 + collision * hold[chosen] * seen.rate)  # the next try may meet another holder
    return pd.DataFrame(
        {
            "hold_s": hold[chosen],
            "backoff_s": backoff[chosen],
            "collision": collision,
            "hold_collision_s": hold[chosen] * collision,
            "retries": again[chosen],
        }
    )


def _around(seen: Conflicts, grid: Floats) -> Floats:
    """More points where the likelihood is high."""
    middle = np.log(max(seen.count, 0.1))
    width = 12 * np.sqrt(seen.spread / max(seen.count, 1.0) + catalog.value(TOPIC, "ats_error") ** 2)
    points = np.linspace(middle - width, middle + width, FINE)
    return np.asarray(points[(points > grid[0]) & (points < grid[-1])])
