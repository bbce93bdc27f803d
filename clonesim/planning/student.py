"""Student's interval: how sure a mean is that was taken over so many replicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def student(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of some values with Student's 95 % interval; infinite ends for a single one, NaN without any."""
    from scipy.stats import t

    known = values[np.isfinite(values)]
    if not known.size:
        return float("nan"), float("nan"), float("nan")
    mean = float(known.mean())
    if known.size == 1:
        return mean, -np.inf, np.inf
    half = float(t.ppf(0.975, known.size - 1) * known.std(ddof=1) / np.sqrt(known.size))
    return mean, mean - half, mean + half
