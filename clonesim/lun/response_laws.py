"""Laws behind the latency of an array: several channels, closed networks, sums of exponential times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
APART = 1e-4  # least relative distance of two means in a sum of exponential times
STEPS = 60  # of the search for a quantile at most; some seven do
NEAR = 1e-6  # of the time that is found: after so small a step the next would be its square
SHORTEST_S = 1e-12


def erlang_c(channels: int, load: Floats) -> Floats:
    """Probability that a command waits in M/M/c; load is per channel, below 1. [1]"""
    offered = load * channels
    blocked = np.ones_like(load)  # Erlang's B, by its recursion
    for k in range(1, channels + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


@lru_cache(maxsize=256)
def closed_share(disks: int, channels: int, commands: int) -> float:
    """Share of its disks' full rate that an array reaches with so many commands in it. [1]

    Parameters
    ----------
    disks, channels : int
        Disks, and commands that each serves at a time. [1]
    commands : int
        In the disks at any time: as one ends, the next one goes to a disk at random. [1]

    Notes
    -----
    The closed network of balanced M/M/c stations, exact: throughput = G(N - 1) / G(N). The ratio is taken from the
    distribution of the number of commands in an open network whose mean is N: there the probability of n is
    proportional to (rate)**n G(n). For one channel it is N / (N + disks - 1).
    """
    if channels == 1:
        return commands / (commands + disks - 1)
    from scipy.optimize import brentq

    def inside(load: float) -> float:
        waits = float(erlang_c(channels, np.array([load]))[0])
        return disks * (load * channels + waits * load / (1 - load)) - commands

    load = float(brentq(inside, 1e-12, 1 - 1e-12, xtol=1e-15))
    spread = np.sqrt(disks * (load * channels + 2 * load / (1 - load) ** 2))
    size = 1 << int(np.ceil(np.log2(commands + 40 * spread + 64)))
    n = np.arange(size)
    steps = np.log(load) + np.log(channels / np.minimum(np.maximum(n, 1), channels))  # birth over death, in logarithms
    steps[0] = 0.0
    weight = np.exp(np.cumsum(steps))
    transformed = np.fft.rfft(weight / weight.sum()) ** disks
    among = np.fft.irfft(transformed, size)
    return float(min(1.0, load * among[commands - 1] / among[commands]))


def saturated_shape(disks: int, commands: int) -> float:
    """Shape of the gamma law of a response when so many commands are always in the disks. [1]

    A command finds the others spread evenly over all ways to put them (the balanced closed network); its response is
    a sum of as many services. The law has the exact mean and variance of one-channel disks.
    """
    others = commands - 1
    mean = others / disks
    spread = others / disks * (1 - 1 / disks) * (others + disks) / (disks + 1)
    return (mean + 1) ** 2 / (mean + 1 + spread)


def sum_tail(means: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Means and weights with which P(sum of exponential times > t) = sum of weight x exp(-t / mean).

    Means that are equal, for which that form does not exist, are moved apart by `APART` of themselves.
    """
    found = np.sort(np.maximum(np.stack(means), SHORTEST_S), axis=0)
    for k in range(1, len(found)):
        np.maximum(found[k], found[k - 1] * (1 + APART), out=found[k])
    weights = np.ones_like(found)
    for i in range(len(found)):
        for j in range(len(found)):
            if i != j:
                weights[i] *= found[i] / (found[i] - found[j])
    return found, weights


def quantile(parts: Sequence[tuple[Floats, Floats, Floats]], share: float) -> Floats:
    """Time that the share of a mixture does not exceed. [s]

    Parameters
    ----------
    parts : sequence of (probability, means, weights)
        Each part's probability and the tail of `sum_tail`; probabilities add up to 1.
    share : float
        Such as 0.95. [1]

    Notes
    -----
    Newton's method on the tail's logarithm, which is nearly a straight line; a step that leaves what is known to hold
    the time halves that instead, on a logarithmic scale.
    """
    deep = -np.log(1 - share)
    low = np.full_like(parts[0][1][0], SHORTEST_S)
    high = 4 * deep * sum(means.sum(axis=0) for _, means, _ in parts)
    found: Floats = deep * sum(probability * means.sum(axis=0) for probability, means, _ in parts)
    for _ in range(STEPS):
        tail, slope = np.zeros_like(low), np.zeros_like(low)
        for probability, means, weights in parts:
            terms = probability * weights * np.exp(-found / means)
            tail += terms.sum(axis=0)
            slope += (terms / means).sum(axis=0)
        above = tail > 1 - share
        low, high = np.where(above, found, low), np.where(above, high, found)
        step = tail * (np.log(np.maximum(tail, np.finfo(float).tiny)) + deep)
        following = found + np.divide(step, slope, out=np.full_like(low, np.inf), where=slope > 0)
        following = np.where((following >= low) & (following <= high), following, np.sqrt(low * high))
        near = np.abs(following - found) <= NEAR * found
        found = following
        if near.all():
            break
    return found
