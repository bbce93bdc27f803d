"""How sure a probability is that was seen in so few replicates, and how many of them a verdict takes.

Every replicate gives a share from 0 to 1: how many of its LUNs were full. Replicates are independent and alike, so what
is asked is the mean of bounded values. The upper end adds one pseudo-replicate of 1, the lower end one of 0, and takes
the quantile of the mean with Dirichlet weights [1]_ (known before as Gaffke's bound). For shares that are all 0 or 1 it
is the interval of Clopper and Pearson; for shares between it is narrower. That it holds for every distribution is a
conjecture of its authors, without a known exception.

References
----------
.. [1] E. Learned-Miller and P. Thomas, "A new confidence interval for the mean of a bounded random variable",
   arXiv 1905.06208, 2019.
"""

from __future__ import annotations

import math

from clonesim.planning.draws import check_share

MOST_REPLICATES = 10**9


def bound_without_hits(replicates: int, confidence: float = 0.95) -> float:
    """Upper end of a probability that showed no hit in so many replicates: about 3 / replicates at 95 %. [1]

    Examples
    --------
    >>> round(bound_without_hits(20), 4), round(bound_without_hits(300), 4)
    (0.1391, 0.0099)
    """
    check_share("confidence", confidence)
    return -math.expm1(math.log1p(-confidence) / replicates)


def replicates_needed(mean: float, square: float, eps: float, confidence: float = 0.95) -> float:
    """Fewest replicates with which a probability of `mean` is told apart from `eps`; infinite if they are equal. [1]

    Parameters
    ----------
    mean, square : float
        Mean of the replicates' shares, and of their squares, which lies between mean^2 and mean. [1]
    eps, confidence : float
        Between 0 and 1. [1]

    Notes
    -----
    The bound's distribution is replaced by the Beta distribution of equal mean and variance; for shares of 0 and 1 that
    is exact. It says what to expect if further replicates are like those seen.

    Examples
    --------
    >>> replicates_needed(0.0, 0.0, 0.01)
    299.0
    """
    check_share("eps", eps)
    check_share("confidence", confidence)
    square = min(max(square, mean * mean), mean)
    if mean == 0.0:
        return float(math.ceil(math.log1p(-confidence) / math.log1p(-eps) - 1e-9))
    if mean >= eps:  # by symmetry: 1 - mean stays below 1 - eps
        mean, square, eps = 1 - mean, 1 - 2 * mean + square, 1 - eps
    low, high = 0, 1
    while _upper(mean, square, high, confidence) > eps:
        low, high = high, 2 * high
        if high > MOST_REPLICATES:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _upper(mean, square, middle, confidence) > eps else (low, middle)
    return float(high)


def _upper(mean: float, square: float, replicates: int, confidence: float) -> float:
    """Upper end for so many replicates whose shares have this mean and mean square."""
    from scipy.special import betaincinv

    centre = (replicates * mean + 1) / (replicates + 1)
    spread = ((replicates * square + 1) / (replicates + 1) - centre * centre) / (replicates + 2)
    if spread <= 0.0:
        return centre
    weight = centre * (1 - centre) / spread - 1
    return float(betaincinv(centre * weight, (1 - centre) * weight, confidence))
