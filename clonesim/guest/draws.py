"""Keyed draws: numbers that follow from an event's key and from what is drawn, in no order and from no stream."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim.guest import plan_kernel as kernel
from clonesim.guest.write_sources import Source
from clonesim.scenario import catalog

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# What is drawn from an event's key, one code each.
SIZE, SPREAD, LIFE, KEPT, PICK, PLACE, APPEND, WEIGHT, SIZE_2, PART = range(1, 11)
TRIGGERS = 100  # codes of triggers start here
PARTS = 1000  # codes of an event's parts start here

_SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def uniform(keys: Keys, code: int) -> Floats:
    """Uniform numbers in (0, 1). (n,) float64 array."""
    out = np.empty(keys.size)
    kernel.uniforms(keys, np.uint64(code), out)
    return out


def lognormal(keys: Keys, code: int, median: float, sigma: float, most: float = np.inf) -> Floats:
    """Lognormal numbers, capped at `most`. (n,) float64 array."""
    if sigma == 0.0:
        return np.full(keys.size, min(median, most))
    out = np.empty(keys.size)
    kernel.lognormals(keys, np.uint64(code), median, sigma, most, out)
    return out


def sub_keys(keys: Keys, code: int) -> Keys:
    """Keys of one part or purpose of each event. (n,) uint64 array."""
    out = np.empty(keys.size, np.uint64)
    kernel.sub_keys(keys, np.uint64(code), out)
    return out


def sizes(source: Source, keys: Keys, name: str = "size") -> Ints:
    """Sizes or amounts by the source's law: a histogram, or a lognormal about its median. At least 1 B. (n,) int64."""
    most = source.get("most", np.inf)
    law: Any = source.values.get("law")
    if law is None:
        drawn = lognormal(keys, SIZE, source.get(name), source.get("sigma"), most)
    else:
        values, edges = histogram(law)
        spread = 2.0 ** (uniform(keys, SIZE_2) - 0.5)  # a class stands for sizes within a factor of sqrt(2)
        drawn = np.minimum(values[np.searchsorted(edges, uniform(keys, SIZE))] * spread, most)
    return np.maximum(drawn, 1.0).astype(np.int64)


@cache
def histogram(law: str) -> tuple[Floats, Floats]:
    """Values and cumulative shares of a law of file sizes in the catalog."""
    pairs = [part.split(":") for part in catalog.value("laws", f"{law}.histogram").split()]
    values = np.array([int(v.rstrip("KMG")) * _SUFFIXES.get(v[-1], 1) for v, _ in pairs], np.float64)
    weights = np.array([float(w) for _, w in pairs])
    return values, np.cumsum(weights)[:-1] / weights.sum()
