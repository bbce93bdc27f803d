"""Measured histories made by hand: what a pool's clones had on each day, and frames of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

GIB, MIB = 2**30, 2**20


def frame(days, sizes, *, clone=0, start=None, lun=None):
    """History of one clone: days (numbers, or added to a date) and bytes."""
    days = np.asarray(days, float)
    found = pd.DataFrame({"clone": f"vdi-{clone:03d}", "bytes": np.asarray(sizes, float)})
    if start is None:
        found["day"] = days
    else:
        found["date"] = pd.Timestamp(start) + pd.to_timedelta(days, unit="D")
    if lun is not None:
        found["lun"] = lun
    return found


def pool(
    clones: int,
    days,
    course: Callable,
    *,
    seed: int = 0,
    spread: float = 0.0,
    noise: float = 0.0,
    start: str | None = None,
    luns: int = 1,
) -> pd.DataFrame:
    """Clones that all follow a course (bytes by day), each at a speed of its own, lognormal with this spread."""
    rng = np.random.default_rng(seed)
    days = np.asarray(days, float)
    parts = []
    for clone in range(clones):
        speed = float(np.exp(rng.normal(0, spread)))
        sizes = GIB + speed * course(days) + noise * rng.normal(size=days.size)
        parts.append(frame(days, sizes, clone=clone, start=start, lun=f"LUN{clone % luns}"))
    return pd.concat(parts, ignore_index=True)


def weekly(weeks: int):
    """Days of so many weekly sizes."""
    return 7.0 * np.arange(weeks)


def real_run(folder: Path, name: str):
    """First and second half of a real overlay's growth: steps and bytes after each."""
    table = pd.read_csv(folder / "measured" / f"{name}.csv")
    table = table[table["step"] >= 0].groupby("step", as_index=False).last()
    early = table["step"] <= table["step"].max() // 2
    return table[early], table[~early]
