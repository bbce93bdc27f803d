"""When datastores are first full, and how sure that is: over replicates of one pool."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from math import exp, lgamma, log, log1p
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError

DAY_S = 86400.0


def wilson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a probability that showed so many hits in so many independent trials. [1]

    Parameters
    ----------
    hits, trials : int
        0 <= hits <= trials; without trials the interval is all of [0, 1]. [1]
    confidence : float, default 0.95
        Between 0 and 1. [1]

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.

    Examples
    --------
    >>> low, high = wilson(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    _check_share("confidence", confidence)
    if not 0 <= hits <= trials:
        raise ParameterError("hits", hits, f"allowed are 0 to {trials}, the number of trials")
    if trials == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = hits / trials
    middle = share + z2 / (2 * trials)
    half = (z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) ** 0.5
    scale = 1 + z2 / trials
    low = 0.0 if hits == 0 else (middle - half) / scale
    return low, 1.0 if hits == trials else (middle + half) / scale


def outage_by_day(first_full_s: Sequence[ArrayLike], days: int, confidence: float = 0.95) -> pd.DataFrame:
    """Probability that some datastore of the pool has been full by the end of each day.

    Parameters
    ----------
    first_full_s : sequence of array
        One array per replicate: first full time of each of its datastores, infinite where never full. [s]
    days : int
        Length of the simulated time. [d]
    confidence : float, default 0.95
        Of the interval. [1]

    Returns
    -------
    DataFrame
        A row per day: `day`; `outages`, replicates with a full datastore by its end [1]; `p_outage` and its Wilson
        interval `p_low`, `p_high` [1]; `luns_full`, mean share of the datastores that are full [1]. Replicates are the
        trials: datastores of one pool share patches and calendar, so they are not independent of each other.
    """
    table = _table(first_full_s)
    if days < 1:
        raise ParameterError("days", days, "a day or more is needed")
    first = table.min(axis=1)
    rows: list[tuple[Any, ...]] = []
    for day in range(days):
        end_s = (day + 1) * DAY_S
        hits = int((first < end_s).sum())
        rows.append((day, hits, hits / len(first), *wilson(hits, len(first), confidence), (table < end_s).mean()))
    return pd.DataFrame(rows, columns=["day", "outages", "p_outage", "p_low", "p_high", "luns_full"])


def first_full_day(
    first_full_s: Sequence[ArrayLike],
    days: int,
    start: datetime.date | None = None,
    shares: Sequence[float] = (0.05, 0.5, 0.95),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Day on which the pool's first datastore is full: quantiles over replicates, with intervals.

    Parameters
    ----------
    first_full_s, days, confidence
        As of `outage_by_day`.
    start : date, optional
        The pool's first day, for the columns with dates.
    shares : sequence of float, default 0.05, 0.5, 0.95
        Quantiles. 0.05: one pool in twenty is full by then. [1]

    Returns
    -------
    DataFrame
        A row per quantile: `share`, `day`, `low`, `high`, in days from the start, fractions of a day included [d]; and
        `date`, `date_low`, `date_high` if a start is given. Infinite, and NaT, where it is later than the simulated
        time; `low` is 0 where too few replicates bound it from below. `attained` is the interval's true confidence, at
        least the asked one where both ends exist.

    Notes
    -----
    The interval has the order statistics as its ends and assumes nothing about the distribution [1]_. It needs many
    replicates for outer quantiles: the median of 5 replicates has no 95 % interval with two ends, that of 6 has.

    References
    ----------
    .. [1] H. A. David and H. N. Nagaraja, "Order Statistics", 3rd ed., Wiley 2003, section 7.1.
    """
    _check_share("confidence", confidence)
    first = np.sort(_table(first_full_s).min(axis=1)) / DAY_S
    first[first >= days] = np.inf
    rows = []
    for share in shares:
        _check_share("shares", share)
        below, above, attained = _ranks(first.size, share, confidence)
        day = first[max(0, int(np.ceil(share * first.size - 1e-9)) - 1)]
        low = first[below - 1] if below > 0 else 0.0
        high = first[above - 1] if above <= first.size else np.inf
        rows.append((share, float(day), float(low), float(high), attained))
    frame = pd.DataFrame(rows, columns=["share", "day", "low", "high", "attained"])
    if start is not None:
        for name, column in (("date", "day"), ("date_low", "low"), ("date_high", "high")):
            whole = np.floor(frame[column].where(np.isfinite(frame[column])))
            frame[name] = pd.Timestamp(start) + pd.to_timedelta(whole, unit="D")
    return frame


def _ranks(n: int, share: float, confidence: float) -> tuple[int, int, float]:
    """Ranks of the order statistics around a quantile, 0 and n + 1 being the open ends, and their coverage."""
    weights = [
        exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(share) + (n - k) * log1p(-share))
        for k in range(n + 1)
    ]
    at_most = np.cumsum(weights)  # P(number of replicates below the quantile <= k)
    tail = (1 - confidence) / 2
    below = int((at_most <= tail + 1e-12).sum())  # P(fewer than `below` are below) <= tail
    above = int((at_most < 1 - tail - 1e-12).sum()) + 1
    low = at_most[below - 1] if below else 0.0
    high = at_most[above - 1] if above <= n else 1.0
    return below, above, float(high - low)


def _table(first_full_s: Sequence[ArrayLike]) -> NDArray[np.float64]:
    rows = [np.atleast_1d(np.asarray(row, np.float64)) for row in first_full_s]
    if not rows or not rows[0].size or any(row.shape != rows[0].shape for row in rows):
        shapes = [row.size for row in rows[:5]]
        allowed = "one array per replicate, all with a time for each datastore, is needed"
        raise ParameterError("first_full_s", shapes, allowed, "Write infinity for a datastore that was never full.")
    table = np.stack(rows)
    if (wrong := ~(table >= 0)).any():
        raise ParameterError("first_full_s", float(table[wrong][0]), "times from 0 s up, or infinity, are needed")
    return table


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise ParameterError(name, share, "a share between 0 and 1 is needed", "Write for example 0.95.")
