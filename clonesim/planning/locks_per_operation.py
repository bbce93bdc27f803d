"""How many locks an operation takes: locks counted in stretches of time, against what was done in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.lock_traffic import COUNTS
from clonesim.planning.lock_exposure import TOPIC, Lun
from clonesim.scenario import catalog
from clonesim.units import parse_size

STEPS = "steps"  # growth steps; other columns are named by their operations, such as "power-on"
ROUNDS = 20
ALIKE = 0.95  # correlation from which two operations cannot be told apart
MERGED = 4  # bins that are put together, so that what begins in one may take its locks in the next

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PerOperation:
    """Locks of one operation.

    Attributes
    ----------
    operation : str
        One of `clonesim.lun.operations.KINDS`.
    mean, error : float
        Locks, and the standard error. [1]
    freedom : int
        Degrees of freedom of the error. [1]
    count : float
        Operations that it was told from. [1]
    """

    operation: str
    mean: float
    error: float
    freedom: int
    count: float

    @property
    def key(self) -> str:
        """Name in the catalog's topic `locks`."""
        return COUNTS[self.operation]


def growth_steps(history: pd.DataFrame, step: int | str = "16 MiB") -> pd.DataFrame:
    """Growth steps between the dates of a listing, as `lock_estimate(operations=...)` takes them.

    Parameters
    ----------
    history : DataFrame
        `clone`, `date`, `bytes`, as `read_listing` gives it.
    step : int or str, default "16 MiB"
        By which a delta file grows. [B]

    Returns
    -------
    DataFrame
        `start`, `end`, `steps`: growth of all clones between a date and the next one. What shrank was refreshed, and
        then grew at least to its new size.

    Raises
    ------
    ParameterError
        If a column is missing, dates cannot be read, or the step is no size.
    """
    size = parse_size(step, "step", least=1)
    for name in ("clone", "date", "bytes"):
        if name not in history:
            have = ", ".join(map(str, history.columns)) or "none"
            remedy = "Numbered days cannot be laid beside counters."
            raise ParameterError(
                "history.columns", have, f"clone, date and bytes are needed; {name} is missing", remedy
            )
    try:
        dates = pd.to_datetime(history["date"], utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        told = "ISO dates such as 2026-01-31T10:00Z are needed"
        raise ParameterError("history.date", str(error)[:80], told, "Read the file with read_listing.") from None
    table = history[["clone", "bytes"]].assign(date=dates).sort_values(["clone", "date"], kind="stable")
    was = table.groupby("clone")[["date", "bytes"]].shift()
    grown = (table["bytes"] - was["bytes"]).astype(float)
    grown = grown.where(grown >= 0, table["bytes"].astype(float))
    table = table.assign(start=was["date"], end=table["date"], steps=grown / size).dropna(subset=["start"])
    return table.groupby(["start", "end"])["steps"].sum().reset_index()


def locks_per_operation(luns: Sequence[Lun], operations: pd.DataFrame, notes: list[str]) -> list[PerOperation]:
    """Locks of each kind of operation, by weighted least squares with a floor of other locks.

    Parameters
    ----------
    luns : sequence of Lun
        What was counted.
    operations : DataFrame
        Either `time`, a row per growth step or with numbers of operations at that time; or `start` and `end` with
        numbers between them. Numbers stand in `steps` (growth) and in columns named by other operations, such as
        "power-on". `device`, if there, says on which LUN.
    notes : list of str
        Doubts are added to it.

    Raises
    ------
    ParameterError
        If columns are missing, times have no zone, or numbers are negative.
    """
    table, names = _checked(operations)
    parts = [_rows(lun, table, names) for lun in luns] if "device" in table else [_rows_of_all(luns, table, names)]
    y, x = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    counts = x[:, 1:].sum(axis=0)
    names, x = [name for name, n in zip(names, counts, strict=True) if n > 0], x[:, np.append(True, counts > 0)]
    freedom = y.size - x.shape[1]
    if not names or freedom < 2:
        notes.append(
            f"Locks per operation are not told: {y.size} stretches with operations and counters; "
            f"{len(names) + 3} or more with different numbers of them are needed, at the times of the counters."
        )
        return []
    _say_alike(x[:, 1:], names, notes)
    mean, error = _fitted(y, x, freedom)
    return [
        PerOperation(name, float(mean[place]), float(error[place]), freedom, float(x[:, place].sum()))
        for place, name in enumerate(names, 1)
    ]


def _checked(operations: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    table = operations
    times = ["time"] if "time" in table else ["start", "end"]
    for name in times:
        if name not in table:
            have = ", ".join(map(str, table.columns)) or "none"
            remedy = "growth_steps(listing.history) makes such a frame."
            raise ParameterError("operations.columns", have, "'time', or 'start' and 'end' are needed", remedy)
        if not isinstance(table[name].dtype, pd.DatetimeTZDtype):
            allowed = "dates with a time zone are needed"
            remedy = "Turn them: pd.to_datetime(..., utc=True)."
            raise ParameterError(f"operations.{name}", str(table[name].dtype), allowed, remedy)
    kinds = {STEPS: "growth", **{kind: kind for kind in COUNTS}}
    names = [str(name) for name in table.columns if name in kinds]
    if not names:
        if times != ["time"]:
            allowed = f"numbers of operations are needed: {STEPS} or {', '.join(COUNTS)}"
            raise ParameterError("operations.columns", ", ".join(map(str, table.columns)), allowed)
        table, names = table.assign(**{STEPS: 1.0}), [STEPS]
    table = table.rename(columns=kinds).copy()
    names = [kinds[name] for name in names]
    for name in names:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        if not (values >= 0).all():
            row = int(np.flatnonzero(~(values >= 0))[0])
            value = str(table[name].iloc[row])
            raise ParameterError(f"operations.{name}", value, f"row {row} is no number from 0 up")
        table[name] = values
    return table, names


def _locks(lun: Lun) -> Floats:
    """Locks of all hosts of each bin; NaN where not all were counted. [1]"""
    parts = [lun.amounts[name] for name in ("reservations", "ats") if np.isfinite(lun.amounts[name]).any()]
    return np.asarray(sum(part.sum(axis=0) for part in parts) * lun.whole)


def _rows(lun: Lun, table: pd.DataFrame, names: Sequence[str]) -> tuple[Floats, Floats]:
    own = table[table["device"] == lun.device] if "device" in table else table
    return _rows_of_all([lun], own, names)


def _rows_of_all(luns: Sequence[Lun], table: pd.DataFrame, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Locks of stretches of time; their length and their operations."""
    first = min(lun.start for lun in luns)
    width = luns[0].bin_s
    shifts = [round((lun.start - first).total_seconds() / width) for lun in luns]
    count = max(shift + lun.seconds.shape[1] for lun, shift in zip(luns, shifts, strict=True))
    locks, counted = np.zeros(count), np.ones(count, bool)
    for lun, shift in zip(luns, shifts, strict=True):
        own = np.full(count, np.nan)
        own[shift : shift + lun.seconds.shape[1]] = _locks(lun)
        counted &= np.isfinite(own)
        locks += np.nan_to_num(own)
    if "time" in table:
        return _by_bins(locks, counted, width, _place(table["time"], first, width), table, names)
    return _by_spans(locks, counted, width, first, table, names)


def _place(times: pd.Series, first: pd.Timestamp, width: float) -> Floats:
    return np.asarray((times - first).dt.total_seconds().to_numpy(np.float64) / width)


def _by_bins(
    locks: Floats, counted: NDArray[np.bool_], width: float, at: Floats, table: pd.DataFrame, names: Sequence[str]
) -> tuple[Floats, Floats]:
    count = locks.size // MERGED
    inside = (at >= 0) & (at < count * MERGED)
    where = at[inside].astype(np.int64) // MERGED
    done = [np.bincount(where, table[name].to_numpy(np.float64)[inside], count) for name in names]
    sums = locks[: count * MERGED].reshape(count, MERGED).sum(axis=1)
    good = counted[: count * MERGED].reshape(count, MERGED).all(axis=1)
    return sums[good], np.stack([np.full(count, width * MERGED), *done], axis=1)[good]


def _by_spans(
    locks: Floats, counted: NDArray[np.bool_], width: float, first: pd.Timestamp, table: pd.DataFrame,
    names: Sequence[str],
) -> tuple[Floats, Floats]:  # fmt: skip
    least = catalog.value(TOPIC, "cover")
    start, end = (_place(table[name], first, width) for name in ("start", "end"))
    middle = np.arange(locks.size) + 0.5
    y, x = [], []
    for row in range(len(table)):
        inside = (middle >= start[row]) & (middle < end[row]) & counted
        length = end[row] - start[row]
        if length > 0 and inside.sum() >= least * length - 1 and inside.any():
            y.append(locks[inside].sum() * length / inside.sum())
            x.append([length * width, *(float(table[name].iloc[row]) for name in names)])
    return np.array(y), np.array(x).reshape(len(y), 1 + len(names))


def _fitted(y: Floats, x: Floats, freedom: int) -> tuple[Floats, Floats]:
    """Numbers from 0 up, weighed by the variance of counts, and their standard errors."""
    from scipy.optimize import nnls

    scale = x.max(axis=0)
    mean = np.full(y.size, max(float(y.mean()), 0.5))
    for _ in range(ROUNDS):
        weight = 1.0 / np.sqrt(mean)
        found = nnls(x / scale * weight[:, None], y * weight)[0]
        mean = np.maximum(x / scale @ found, 0.5)
    spread = max(float(((y - mean) ** 2 / mean).sum()) / freedom, 1.0)
    inner = np.linalg.pinv((x / scale / mean[:, None]).T @ (x / scale)) * spread
    return found / scale, np.sqrt(np.maximum(np.diag(inner), 0.0)) / scale


def _say_alike(x: Floats, names: Sequence[str], notes: list[str]) -> None:
    for one in range(len(names)):
        for other in range(one):
            together = float(np.corrcoef(x[:, one], x[:, other])[0, 1]) if x[:, [one, other]].std(axis=0).all() else 1.0
            if together > ALIKE:
                notes.append(
                    f"{names[other]} and {names[one]} come together (correlation {together:.2f}): their locks cannot "
                    "be told apart."
                )
