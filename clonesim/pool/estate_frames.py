"""Tables of an estate: pools and LUNs of each replicate, and what they come to by site and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from clonesim.pool.estate_pool import FIGURES, PoolSummary

TOTALS: Final = ("delta_total_bytes", "datastore_total_bytes")  # what is estimated
WORST: Final = {  # of any pool and replicate
    "datastores_full": "max",
    "first_full_day": "min",
    "desktops_down": "max",
    "wait_p99_max_s": "max",
    "lock_wait_max_s": "max",
    "iops_max60": "max",
    "latency_p95_max_s": "max",
}
CONFIDENCE: Final = 0.95
LUN_COLUMNS: Final = ("lun", "desktops", "size_bytes", "used_bytes", "used_share", "first_full_day")


@dataclass(frozen=True, slots=True)
class Estimate:
    """An expectation, how sure it is, and how much one replicate differs from another.

    Attributes
    ----------
    mean : float
        Estimate of the expectation over replicates.
    se : float
        Its standard error; NaN where there is one replicate.
    low, high : float
        Ends of its 95 % interval, by Student's t.
    sd : float
        Standard deviation of what one replicate comes to.
    """

    mean: float
    se: float
    low: float
    high: float
    sd: float

    @classmethod
    def of(cls, mean: float, se: float, freedom: int, sd: float) -> Self:
        """An estimate with the interval of so many degrees of freedom; without any, there is none."""
        if freedom < 1:
            return cls(mean, np.nan, np.nan, np.nan, np.nan)
        half = _errors(freedom) * se
        return cls(mean, se, max(mean - half, 0.0), mean + half, sd)

    @classmethod
    def of_values(cls, values: ArrayLike) -> Self:
        """Mean of one value a replicate."""
        each: NDArray[np.float64] = np.asarray(values, np.float64)
        sd = float(each.std(ddof=1)) if each.size > 1 else np.nan
        return cls.of(float(each.mean()), sd / np.sqrt(each.size), each.size - 1, sd)

    def columns(self, name: str) -> dict[str, float]:
        """Columns of a frame: the name itself, and with what it is before its unit."""
        stem, _, unit = name.rpartition("_")
        rest = {"se": self.se, "low": self.low, "high": self.high, "sd": self.sd}
        return {name: self.mean} | {f"{stem}_{what}_{unit}": value for what, value in rest.items()}


@cache
def _errors(freedom: int) -> float:
    """Standard errors from the estimate to an end of its interval. [1]"""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def pools_frame(found: Sequence[PoolSummary]) -> pd.DataFrame:
    """A row per replicate and pool."""
    rows = [
        {"replicate": one.replicate, "site": one.site, "lun_group": one.lun_group, "pool": one.name, **one.figures}
        for one in found
    ]
    frame = pd.DataFrame(rows, columns=["replicate", "site", "lun_group", "pool", *FIGURES, "lock_wait_max_s"])
    frame["first_full_day"] = frame["first_full_day"].astype(np.float64)
    return frame


def luns_frame(found: Sequence[PoolSummary]) -> pd.DataFrame:
    """A row per replicate and datastore."""
    rows = [
        {"replicate": one.replicate, "site": one.site, "lun_group": one.lun_group, "pool": one.name, **row}
        | {"used_share": row["used_bytes"] / row["size_bytes"]}
        for one in found
        for row in one.luns
    ]
    frame = pd.DataFrame(rows, columns=["replicate", "site", "lun_group", "pool", *LUN_COLUMNS])
    frame["first_full_day"] = frame["first_full_day"].astype(np.float64)
    return frame


def rolled_up(pools: pd.DataFrame, by: str = "") -> pd.DataFrame:
    """Frame `pools` by site, in the order of the pools, or in one row."""
    groups = [("", pools)] if not by else [(name, pools[pools[by] == name]) for name in dict.fromkeys(pools[by])]
    rows: list[dict[str, Any]] = []
    for name, part in groups:
        each = part.groupby("replicate")
        row: dict[str, Any] = {by: name} if by else {}
        first = part[part["replicate"] == part["replicate"].iloc[0]]
        row |= {"pools": len(first), "desktops": int(first["desktops"].sum())}
        for column in TOTALS:
            row |= Estimate.of_values(each[column].sum()).columns(column)
        row["datastores"] = int(first["datastores"].sum())
        added = each[["datastores_full", "desktops_down"]].sum()
        for column, how in WORST.items():
            row[column] = (added if column in added else part)[column].agg(how)
        rows.append(row)
    return pd.DataFrame(rows)


def sizes_frame(found: Sequence[PoolSummary]) -> pd.DataFrame:
    """A row per site (and "" for all) and day: totals at its end, over replicates."""
    rows = [{"replicate": one.replicate, "site": one.site, **row} for one in found for row in one.sizes]
    every = pd.DataFrame(rows)
    parts: list[Mapping[str, Any]] = []
    for site in ["", *dict.fromkeys(every["site"])]:
        part = every[every["site"] == site] if site else every
        for day, mine in part.groupby("day"):
            sums = mine.groupby("replicate")[["delta_bytes", "datastore_bytes"]].sum()
            row: dict[str, Any] = {"site": site, "day": int(str(day))}
            for column in sums:
                row |= Estimate.of_values(sums[column]).columns(str(column))
            parts.append(row)
    return pd.DataFrame(parts)
