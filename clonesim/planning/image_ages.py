"""From which interval on a refresh saves space, by the age of the image that desktops are set back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from clonesim.planning.kept_rows import Found
from clonesim.planning.set_back import Resets
from clonesim.planning.student import student
from clonesim.pool.calendar import DAY_S

BIN_D: Final = 15  # width of a bin of ages [d]
COLUMNS: Final = (
    *("strategy", "age_low_d", "age_high_d", "resets", "hour_after_bytes", "hour_after_bytes_low"),
    *("hour_after_bytes_high", "interval_d", "interval_d_low", "interval_d_high", "written_a_day_bytes"),
    "base_written_a_day_bytes",
)


def by_age(resets: Resets) -> dict[str, list[float]]:
    """By bin of the image's age: how often desktops were set back [1], and their mean size an hour later [B]."""
    bins = np.floor(resets.age_s / DAY_S / BIN_D).astype(np.int64)
    return {
        str(k): [float((bins == k).sum()), float(resets.after_bytes[bins == k].mean())]
        for k in np.unique(bins).tolist()
    }


def break_even(found: Mapping[str, Found], base: str) -> pd.DataFrame:
    """What an hour after a refresh is there, and how long desktops that are never refreshed take to grow as large.

    Parameters
    ----------
    found : mapping of str to Found
        By alternative.
    base : str
        The one whose desktops are never set back.

    Returns
    -------
    DataFrame
        A row per alternative that sets desktops back and bin of the image's age, `age_low_d` to `age_high_d` [d]:
        `resets`, how many there were [1]; `hour_after_bytes`, mean size of the system disk's file an hour later, over
        replicates with Student's interval, `_low` to `_high` [B]; `interval_d`, the interval at which refreshes begin
        to save space: median over replicates, and the shortest and longest of them, `_low` and `_high`; infinite where
        the base does not grow as large within the run [d]; `written_a_day_bytes`, `base_written_a_day_bytes` on all
        disks, of the alternative and of the base, over the whole run [B/d].

    Notes
    -----
    In each replicate, with G(t) the mean size of the base's system disks t after the start and H the mean size an hour
    after a refresh: the interval is the first full hour t for which G(t) >= H. Desktops that are set back more often
    than that hold as much right after each refresh as others that were left alone since the last one, so that nothing
    is saved. The base's desktops begin like those that were set back, with an image of the start.
    """
    curves = found[base].hourly if base in found else []
    if not all(curves) or not curves:
        return pd.DataFrame(columns=list(COLUMNS))
    written = {label: float(np.mean([row["written_a_day_bytes"] for row in one.rows])) for label, one in found.items()}
    rows: list[dict[str, Any]] = []
    for label, one in found.items():
        for k in sorted({int(k) for part in one.set_back for k in part}):
            some = [(curve, part[str(k)]) for curve, part in zip(curves, one.set_back, strict=True) if str(k) in part]
            sizes = np.array([size for _, (_, size) in some])
            middle, low, high = student(sizes)
            days = np.array([_first_day(curve, size) for curve, (_, size) in some])
            rows.append(
                {"strategy": label, "age_low_d": k * BIN_D, "age_high_d": (k + 1) * BIN_D}
                | {"resets": int(sum(count for _, (count, _) in some))}
                | {"hour_after_bytes": middle, "hour_after_bytes_low": low, "hour_after_bytes_high": high}
                | {"interval_d": float(np.median(days)), "interval_d_low": days.min(), "interval_d_high": days.max()}
                | {"written_a_day_bytes": written[label], "base_written_a_day_bytes": written[base]}
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _first_day(hourly: Sequence[float], size: float) -> float:
    """When a size is reached first; infinite if never. [d]"""
    reached = np.flatnonzero(np.array(hourly) >= size)
    return float(reached[0]) / 24.0 if reached.size else float("inf")
