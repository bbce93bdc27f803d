"""Waits for a lock in closed form, to bracket the simulation with. Each says where it is valid.

All assume Poisson requests. `mm1_wait`, `md1_wait` and `mg1_wait` are exact for the `fifo` lock; `retrial_wait` is an
approximation of `scsi-reservation`; `pointwise_stationary` joins stationary answers for a load that changes over the
day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.lun.wait_laws import back_off_round, check_holds, check_load, compound, md1_tail, mm1_tail

Floats = NDArray[np.float64]
HIGHEST_LOAD = 0.999  # of the 99th percentiles: their tables grow as 1 / (1 - load)


@dataclass(frozen=True, slots=True)
class Wait:
    """Stationary wait for a lock.

    Attributes
    ----------
    load : float
        Share of the time in which the lock is held. [1]
    mean_s : float
        Mean wait from request to grant. [s]
    quantile_s : float
        Wait that the share `share` of the requests does not exceed. [s]
    share : float
        0.99 unless asked otherwise. [1]
    """

    load: float
    mean_s: float
    quantile_s: float
    share: float


def mm1_wait(rate: float, hold_s: float, share: float = 0.99) -> Wait:
    """M/M/1: exponential holds. Exact for one FIFO lock at any load below 1.

    Parameters
    ----------
    rate : float
        Requests of all hosts together. [1/s]
    hold_s : float
        Mean hold. [s]
    share : float, default 0.99
        Of the quantile. [1]

    Notes
    -----
    P(wait > t) = load exp(-(1 - load) t / hold).
    """
    load = check_load(rate, hold_s, share)
    tail = max(0.0, float(np.log(load / (1 - share)))) * hold_s / (1 - load)
    return Wait(load, load * hold_s / (1 - load), tail, share)


def md1_wait(rate: float, hold_s: float, share: float = 0.99) -> Wait:
    """M/D/1: all holds alike. Exact for one FIFO lock; the quantile up to a load of 0.999.

    Parameters
    ----------
    rate : float
        Requests of all hosts together. [1/s]
    hold_s : float
        Hold. [s]
    share : float, default 0.99
        Of the quantile. [1]

    Notes
    -----
    The mean is half of M/M/1's. The distribution is Franx's [1]_, whose terms are all positive; Erlang's alternating
    sum loses all digits from a load of about 0.9 on.

    References
    ----------
    .. [1] G. J. Franx, "A simple solution for the M/D/c waiting time distribution", Oper. Res. Lett. 29, 2001.
    """
    from scipy.optimize import brentq

    load = check_load(rate, hold_s, share, HIGHEST_LOAD)
    mean_s = load * hold_s / (2 * (1 - load))
    if load <= 1 - share:
        return Wait(load, mean_s, 0.0, share)
    tail = md1_tail(load)
    top = 1.0
    while tail(top) > 1 - share:
        top *= 2
    return Wait(load, mean_s, float(brentq(lambda t: tail(t) - (1 - share), 0.0, top, xtol=1e-12)) * hold_s, share)


def mg1_wait(rate: float, holds_s: ArrayLike, weights: ArrayLike | None = None, share: float = 0.99) -> Wait:
    """M/G/1: any holds. Mean exact; quantile to about 1e-4 of itself, up to a load of 0.999.

    Parameters
    ----------
    rate : float
        Requests of all hosts together. [1/s]
    holds_s : (n,) array
        Holds that occur, such as measured ones; up to some thousands. [s]
    weights : (n,) array, optional
        How often each; all alike by default. [1]
    share : float, default 0.99
        Of the quantile. [1]

    Notes
    -----
    Mean by Pollaczek and Khinchine. The wait is a geometric number of residual holds; their distribution is laid on a
    grid that keeps the mean, and summed by a Fourier transform. The grid ends where Lundberg's bound puts the tail
    below 1e-12. Holds must be independent of each other and of the arrivals: a slow hour is not that; see
    `pointwise_stationary`.
    """
    hold, share_of = check_holds(holds_s, weights)
    mean_s, square = float(hold @ share_of), float(hold**2 @ share_of)
    load = check_load(rate, mean_s, share, HIGHEST_LOAD)
    mean_wait = rate * square / (2 * (1 - load))
    if load <= 1 - share:
        return Wait(load, mean_wait, 0.0, share)
    step, mass = compound(rate, load, hold, share_of)
    tail = 1.0 - np.cumsum(mass) + mass / 2  # at each grid point, whose own mass lies half on either side
    tail[0] = load
    at = int(np.flatnonzero(tail > 1 - share)[-1])
    part = (tail[at] - (1 - share)) / (tail[at] - tail[at + 1])
    return Wait(load, mean_wait, float(step * (at + part)), share)


@dataclass(frozen=True, slots=True)
class Retrial:
    """Stationary waits of hosts that back off.

    Attributes
    ----------
    load : float
        Share of the time in which the LUN is reserved. [1]
    conflict : (hosts,) float64 array
        Probability that the first attempt of an idle host meets a reservation. [1]
    retries : (hosts,) float64 array
        Conflicts per request. [1]
    wait_s : (hosts,) float64 array
        Mean wait per host. [s]
    mean_s : float
        Mean wait of all requests. [s]
    """

    load: float
    conflict: Floats
    retries: Floats
    wait_s: Floats
    mean_s: float


def retrial_wait(
    rates: ArrayLike, hold_s: ArrayLike, backoff_s: float, distribution: str = "uniform", tries: int | None = None
) -> Retrial:
    """Fixed point for `scsi-reservation`: hosts that back off from each other's reservations. An approximation.

    Parameters
    ----------
    rates : (hosts,) array
        Requests of each host. [1/s]
    hold_s : float or (n,) array
        Hold, or holds that occur equally often. [s]
    backoff_s : float
        Mean back-off. [s]
    distribution : {"uniform", "exponential"}, default "uniform"
        Of the back-offs.
    tries : int, optional
        If given, refuse where more than 0.1 % of the conflicts would end in failure, which the model does not know. [1]

    Notes
    -----
    A host is an M/G/1 queue with a set-up [1]_: only a request that finds its own host idle can meet a conflict, since
    the next one in the host's queue follows the release at once. The set-up is a geometric number of rounds; a round
    lasts until the first attempt after the reservation's residual. The unknown is the probability p that an idle host
    meets a reservation; it solves: time in which others reserve = p x idle time + reserved part of the set-ups.

    Neglected: other hosts' trains of reservations back to back, failures, and that two hosts in back-off know of each
    other. Against the simulation (equal hosts, constant holds, both distributions, loads of 0.01 to 0.9) the mean wait
    is within 7 % for 8 and 32 hosts if back-offs are 40 holds or longer. For 2 hosts it is within 10 % up to a load of
    0.1, and up to 60 % high above. Where back-offs are half a hold, it is within 10 % up to a load of 0.3, and up to
    50 % low at 0.9.

    References
    ----------
    .. [1] P. D. Welch, "On a generalized M/G/1 queuing process in which the first customer of each busy period receives
       exceptional service", Oper. Res. 12, 1964.
    """
    from scipy.optimize import brentq

    per_host = np.atleast_1d(np.asarray(rates, np.float64))
    hold, share_of = check_holds(hold_s, None)
    if per_host.ndim != 1 or not (np.isfinite(per_host) & (per_host >= 0)).all() or not per_host.sum():
        raise ParameterError("rates", rates, "a rate of 0 /s or more per host is needed, not all 0")
    if distribution not in ("uniform", "exponential"):
        raise ParameterError("distribution", distribution, "allowed are 'uniform', 'exponential'")
    if not 0 < backoff_s < float("inf"):
        raise ParameterError("backoff_s", backoff_s, "a time above 0 s is needed")
    mean_s, square = float(hold @ share_of), float(hold**2 @ share_of)
    load = check_load(float(per_host.sum()), mean_s)
    residual, round_s, round_square = back_off_round(hold, share_of, backoff_s, distribution)

    def setup(p: float) -> tuple[float, float]:
        """First two moments of the set-up: a geometric number of rounds."""
        rounds, spread = p / (1 - p), p / (1 - p) ** 2
        first = rounds * round_s
        return first, rounds * (round_square - round_s**2) + (spread + rounds**2) * round_s**2

    def solve(rate: float) -> float:
        own = rate * mean_s
        others = load - own
        if others <= 1e-15:
            return 0.0

        def gap(p: float) -> float:
            first, _ = setup(p)
            reserved = p + rate * p / (1 - p) * (residual + p * (round_s - residual))
            return (1 - own) / (1 + rate * first) * reserved - others

        return float(brentq(gap, 0.0, 1 - 1e-12))

    conflict = np.array([solve(rate) for rate in per_host])
    waits, retries = np.empty_like(conflict), np.empty_like(conflict)
    for k, (rate, p) in enumerate(zip(per_host, conflict, strict=True)):
        first, second = setup(p)
        own = rate * mean_s
        waits[k] = rate * square / (2 * (1 - own)) + (2 * first + rate * second) / (2 * (1 + rate * first))
        retries[k] = first / backoff_s * (1 - own) / (1 + rate * first)  # Wald; a set-up per busy period
    if tries is not None and (worst := float(conflict.max()) ** tries) > 1e-3:
        raise ParameterError("tries", tries, f"{worst:.3g} of the conflicts would fail, which this model does not know")
    return Retrial(load, conflict, retries, waits, float(per_host @ waits / per_host.sum()))


@dataclass(frozen=True, slots=True)
class Varying:
    """Waits under a load that changes.

    Attributes
    ----------
    mean_s, quantile_s : float
        Over all requests of the time. [s]
    share : float
        Of the quantile. [1]
    waits : tuple of Wait
        Of each interval.
    relaxation_s : float
        Longest time that a queue of this load needs to forget its past. [s]
    valid : bool
        Whether each interval is at least ten times as long as its relaxation.
    """

    mean_s: float
    quantile_s: float
    share: float
    waits: tuple[Wait, ...]
    relaxation_s: float
    valid: bool


def pointwise_stationary(
    rates: ArrayLike, hold_s: float, interval_s: float, law: str = "md1", share: float = 0.99
) -> Varying:
    """Pointwise stationary approximation: each interval as if its load had always been there.

    Parameters
    ----------
    rates : (n,) array
        Requests of all hosts together in each interval. [1/s]
    hold_s : float
        Mean hold. [s]
    interval_s : float
        Length of an interval. [s]
    law : {"md1", "mm1"}, default "md1"
        Holds all alike, or exponential.
    share : float, default 0.99
        Of the quantile. [1]

    Notes
    -----
    Valid if the load is below 1 everywhere and changes slowly: an M/M/1 queue forgets its past with the time constant
    hold / (1 - sqrt(load))**2, and `valid` asks for ten of them per interval (M/D/1 forgets faster). A storm that
    passes a load of 1, however shortly, is refused: its backlog is what counts, and only the simulation has it. The
    approximation errs high before a peak and low after it.
    """
    from scipy.optimize import brentq

    if law not in ("md1", "mm1"):
        raise ParameterError("law", law, "allowed are 'md1', 'mm1'")
    if not 0 < interval_s < float("inf"):
        raise ParameterError("interval_s", interval_s, "a time above 0 s is needed")
    asked = np.atleast_1d(np.asarray(rates, np.float64))
    if not (np.isfinite(asked) & (asked >= 0)).all() or not asked.sum():
        raise ParameterError("rates", rates, "a rate of 0 /s or more per interval is needed, not all 0")
    wait = md1_wait if law == "md1" else mm1_wait
    waits = tuple(wait(float(rate), hold_s, share) if rate else Wait(0.0, 0.0, 0.0, share) for rate in asked)
    loads = np.array([each.load for each in waits])
    tails = [(md1_tail(load) if law == "md1" else mm1_tail(load)) if load else None for load in loads]

    def above(t: float) -> float:
        over = sum(float(rate) * tail(t) for rate, tail in zip(asked, tails, strict=True) if tail)
        return over / float(asked.sum()) - (1 - share)

    top = 1.001 * max(each.quantile_s for each in waits) / hold_s  # a mixture's quantile is at most its parts' largest
    quantile_s = float(brentq(above, 0.0, top, xtol=1e-12)) * hold_s if top and above(0.0) > 0 else 0.0
    relaxation_s = float((hold_s / (1 - np.sqrt(loads)) ** 2).max())
    mean_s = float(asked @ [each.mean_s for each in waits] / asked.sum())
    return Varying(mean_s, quantile_s, share, waits, relaxation_s, interval_s >= 10 * relaxation_s)
