"""The table of a sensitivity: shares of the variance, and what each assumption does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.planning.assumptions import Assumption
from clonesim.planning.sobol import Indices, Model, indices

COLUMNS = ("first", "first_low", "first_high", "total", "total_low", "total_high")

Floats = NDArray[np.float64]


def frame_of(assumed: Sequence[Assumption], shares: Indices, model: Model, usual: Floats) -> pd.DataFrame:
    """Shares, and what each assumption does by itself, a row each; the largest share first."""
    rows = []
    for k, one in enumerate(assumed):
        places = (np.arange(one.count) + 0.5) / one.count if one.count else np.array([0.0, 1.0])
        points = np.repeat(usual, places.size, axis=1)
        points[k] = places
        at = model(points)
        lower, higher = (int(at.argmin()), int(at.argmax())) if one.count else (0, 1)
        row: dict[str, Any] = {"assumption": one.name, "title": one.title, "measure": one.measure}
        row |= {"simulated": one.simulated, **{name: float(getattr(shares, name)[k]) for name in COLUMNS}}
        row |= {"lower": one.text(places[lower]), "higher": one.text(places[higher])}
        row |= {"at_lower": float(at[lower]), "at_higher": float(at[higher])}
        rows.append(row | {"swing": float(abs(at[higher] - at[lower]))})
    frame = pd.DataFrame(rows)
    return frame.sort_values(["total", "swing"], ascending=False, kind="stable", ignore_index=True)


def rest_of(assumed: Sequence[Assumption], frame: pd.DataFrame, model: Model, usual: Floats, seed: int) -> Floats:
    """Total shares of the others once the assumption of the first row is settled."""
    names = [one.name for one in assumed]
    settled = names.index(str(frame["assumption"].iloc[0]))
    others = [k for k in range(len(names)) if k != settled]
    found = np.zeros(len(names))
    if others:

        def left(points: Floats) -> Floats:
            every = np.repeat(usual, points.shape[1], axis=1)
            every[others] = points
            return model(every)

        found[others] = indices(left, len(others), seed, resamples=0).total
    return np.asarray([found[names.index(name)] for name in frame["assumption"]])
