"""Laws behind the closed forms of `clonesim.lun.queueing`: tails, residuals and their sums; checks of what is asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError

GRID = 2**18

Floats = NDArray[np.float64]


def check_load(rate: float, hold_s: float, share: float = 0.5, highest: float = 1.0) -> float:
    """Load of a lock, or a ParameterError. [1]"""
    for name, value in (("rate", rate), ("hold_s", hold_s)):
        if not 0 < value < float("inf"):
            raise ParameterError(name, value, "a number above 0 is needed")
    if not 0 < share < 1:
        raise ParameterError("share", share, "allowed are shares between 0 and 1, both excluded")
    load = float(rate * hold_s)
    if load >= 1:
        raise ParameterError("rate", rate, f"a load of {load:g} has no stationary wait", "Simulate it with lock_queue.")
    if load > highest:
        raise ParameterError("rate", rate, f"a load of {load:g} is above {highest:g}", "Simulate it with lock_queue.")
    return load


def check_holds(holds_s: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Holds and how often each occurs, adding up to 1, or a ParameterError. [s, 1]"""
    hold = np.atleast_1d(np.asarray(holds_s, np.float64))
    share_of = np.ones(hold.shape) if weights is None else np.asarray(weights, np.float64)
    if not hold.size or hold.ndim != 1 or not (np.isfinite(hold) & (hold > 0)).all():
        raise ParameterError("holds_s", holds_s, "holds above 0 s are needed")
    if share_of.shape != hold.shape or not (np.isfinite(share_of) & (share_of >= 0)).all() or not share_of.sum():
        raise ParameterError("weights", weights, "a weight of 0 or more per hold is needed, not all 0")
    return hold, share_of / share_of.sum()


def mm1_tail(load: float) -> Callable[[float], float]:
    """P(wait > t), t in holds."""
    return lambda t: float(load * np.exp(-(1 - load) * t))


def md1_tail(load: float) -> Callable[[float], float]:
    """P(wait > t), t in holds, by Franx: sums of positive terms, to about 1e-13."""
    from scipy.stats import poisson

    queue = np.array([1 - load])  # P(j in the system): one crosses upwards from below as often as one departs
    above = np.array([poisson.sf(0, load)])  # P(more than j arrive in a hold)
    none = np.exp(-load)

    def grow(size: int) -> None:
        nonlocal queue, above
        above = poisson.sf(np.arange(size + 1), load)
        longer = np.empty(size)
        longer[: queue.size] = queue
        for j in range(queue.size, size):
            crossing = longer[0] * above[j - 1] + longer[1:j] @ above[j - 1 : 0 : -1]
            longer[j] = crossing / none
        queue = longer

    def tail(t: float) -> float:
        k = int(np.floor(t)) + 1
        if queue.size < k + 1:
            grow(max(2 * queue.size, k + 1))
        waiting = np.cumsum(queue)[1 : k + 1]  # P(at most i wait), i = 0 .. k - 1
        return float(1 - poisson.pmf(np.arange(k), load * (k - t)) @ waiting[::-1])

    return tail


def _capped(hold: Floats, share_of: Floats, x: Floats) -> Floats:
    """E[min(residual, x)]: a residual is a hold, drawn by its length, times a uniform."""
    by_length = hold * share_of / (hold @ share_of)
    total = np.zeros_like(x)
    for length, weight in zip(hold, by_length, strict=True):
        short = np.minimum(x, length)
        total += weight * (short - short**2 / (2 * length))
    return total


def compound(rate: float, load: float, hold: Floats, share_of: Floats) -> tuple[float, Floats]:
    """Grid step and distribution of the M/G/1 wait: a geometric number of residuals."""
    from scipy.fft import irfft, rfft
    from scipy.optimize import brentq

    longest = float(hold.max())

    def adjust(theta: float) -> float:  # Lundberg: rate (E[exp(theta hold)] - 1) = theta
        return float(rate * np.expm1(theta * hold) @ share_of - theta)

    high = 1 / longest
    while adjust(high) <= 0:
        high *= 2
    low = high
    while adjust(low) >= 0:
        low /= 2
    theta = brentq(adjust, low, high)
    step = max(np.log(1e12) / theta, longest) * 1.01 / GRID
    x = step * np.arange(-1, GRID + 1)
    capped = _capped(hold, share_of, np.maximum(x, 0.0))
    mass = (2 * capped[1:-1] - capped[:-2] - capped[2:]) / step
    mass[0] = 1 - capped[2] / step
    turned = rfft(mass)
    return float(step), np.maximum(irfft((1 - load) / (1 - load * turned), GRID), 0.0)


def back_off_round(hold: Floats, share_of: Floats, backoff_s: float, distribution: str) -> tuple[float, float, float]:
    """Mean residual, and the first two moments of the time to the first attempt after it. [s, s, s**2]"""
    longest, points = float(hold.max()), 801
    r = np.linspace(0.0, longest, points)
    by_length = hold * share_of / (hold @ share_of)
    residual = float(by_length @ hold) / 2
    if distribution == "exponential":
        first, second = r + backoff_s, r**2 + 2 * r * backoff_s + 2 * backoff_s**2
    else:  # renewal equations T(r) = B + T(r - B) for B < r, by the trapezoid rule
        first, second = np.empty(points), np.empty(points)
        density, step = 1 / (2 * backoff_s), r[1]
        reach = np.minimum(np.floor(2 * backoff_s / step + 1e-9).astype(int), np.arange(points))
        for k in range(points):
            b = r[: reach[k] + 1]
            weight = np.full(b.size, density * step)
            weight[0] /= 2
            weight[-1] /= 2
            if b.size == 1:
                weight[0] = 0.0
            past = k - np.arange(b.size)
            rest = weight[1:] @ first[past[1:]]
            first[k] = (backoff_s + rest) / (1 - weight[0])
            moment = 2 * (weight * b)[1:] @ first[past[1:]] + weight[1:] @ second[past[1:]]
            second[k] = (4 * backoff_s**2 / 3 + moment) / (1 - weight[0])
    below = np.array([np.minimum(r / length, 1.0) for length in hold])
    density_of = np.diff(by_length @ below)
    moments = [float(density_of @ (each[1:] + each[:-1]) / 2) for each in (first, second)]
    return residual, moments[0], moments[1]
