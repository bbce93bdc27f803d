"""A measured history: who was measured when, at what size, and when a clone was set back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ClonesimError, ParameterError
from clonesim.scenario import catalog

TOPIC = "growth"
DAY_S = 86400.0
MOST_ROWS = 5_000_000
MOST_BYTES = 2**62
MOST_DAYS = 7305.0  # twenty years
FIRST_YEAR, LAST_YEAR = 1990, 2200
EPOCH = pd.Timestamp("1970-01-01")
GIVES = (  # what how much measuring gives
    "one size of each clone, a known time after it was made: an interval by clonesim calibrate, with the simulation "
    "as its prior",
    "three sizes over two weeks: forecasts by clonesim fit, from the history alone",
    "five over four weeks: clonesim backtest checks them on weeks that it hides",
)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class HistoryError(ClonesimError, ValueError):
    """A history that nothing can be fitted to, or that is no history.

    Attributes
    ----------
    weeks : int
        Weeks of measuring that are missing; 0 where time is not what is missing.
    """

    def __init__(self, problem: str, remedy: str, weeks: int = 0) -> None:
        self.weeks = weeks
        super().__init__(f"measured history: {problem}. {remedy}")


@dataclass(frozen=True, slots=True)
class History:
    """Sizes of clones over time, a row per measurement, ordered by clone and day.

    Attributes
    ----------
    names : (clones,) array of str
        Names of the clones.
    luns : (clones,) array of str
        Datastore of each clone where it was last measured; "" where none is told.
    pools : (clones,) array of str
        Pool of each clone; "" where none is told.
    clone : (rows,) int64 array
        Number of the clone.
    day : (rows,) float64 array
        Days since `origin`. [d]
    size : (rows,) float64 array
        Measured size. [B]
    episode : (rows,) int64 array
        Number of the clone's life between two resets, counted over all clones: rows of one episode share it.
    dated : bool
        Whether days are dates: then `origin` is one.
    origin : Timestamp
        What day 0 is.
    notes : tuple of str
        What was left out or found doubtful.
    """

    names: NDArray[Any]
    luns: NDArray[Any]
    pools: NDArray[Any]
    clone: Ints
    day: Floats
    size: Floats
    episode: Ints
    dated: bool
    origin: pd.Timestamp
    notes: tuple[str, ...]

    @property
    def clones(self) -> int:
        """Number of clones. [1]"""
        return len(self.names)

    @property
    def last(self) -> float:
        """Last day on which anything was measured. [d]"""
        return float(self.day.max())

    @property
    def resets(self) -> int:
        """How often a clone was seen to be set back. [1]"""
        return int(self.episode[-1] + 1 - self.clones)

    def when(self, day: float) -> Any:
        """Date of a day where there are dates, else the day."""
        return (self.origin + pd.Timedelta(days=float(day))).round("s") if self.dated else float(day)

    def until(self, day: float) -> History:
        """What had been measured by the end of a day."""
        return self._where(self.day <= day + 1e-9)

    def _where(self, chosen: NDArray[np.bool_]) -> History:
        known, clone = np.unique(self.clone[chosen], return_inverse=True)
        episode = np.unique(self.episode[chosen], return_inverse=True)[1]
        return History(
            self.names[known],
            self.luns[known],
            self.pools[known],
            clone.astype(np.int64),
            self.day[chosen],
            self.size[chosen],
            episode.astype(np.int64),
            self.dated,
            self.origin,
            self.notes,
        )


def history_of(measured: pd.DataFrame | History) -> History:
    """Read a frame of measured sizes.

    Parameters
    ----------
    measured : DataFrame
        A row per measurement: `clone` (a name or a number), `date` (a date or time) or `day` (a number) and `bytes`;
        optionally `lun` and `pool`. Rows without a size are left out; of two at the same time the larger one counts.

    Raises
    ------
    HistoryError, ParameterError
        If a column is missing, or a value cannot be a size or a time.
    """
    if isinstance(measured, History):
        return measured
    if not isinstance(measured, pd.DataFrame):
        raise ParameterError("measured", type(measured).__name__, "a DataFrame is needed", "Read one: read_listing.")
    frame, notes = _columns(measured)
    dated = not pd.api.types.is_numeric_dtype(frame["day"])
    origin = EPOCH
    if dated:
        times = _times(frame["day"])
        origin = times.min().normalize()
        frame["day"] = (times - origin).dt.total_seconds() / DAY_S
    _check_span(frame["day"], origin if dated else None)
    frame = frame.sort_values(["clone", "day", "bytes"], kind="stable")
    doubled = frame.duplicated(["clone", "day"], keep="last")
    if doubled.any():
        notes.append(f"{int(doubled.sum())} rows measure a clone again at the same time; the larger size counts.")
        frame = frame[~doubled]
    codes, names = pd.factorize(frame["clone"], sort=False)
    last = frame[["lun", "pool"]].replace("", None).groupby(codes).last().fillna("")
    clone, size = codes.astype(np.int64), frame["bytes"].to_numpy(np.float64)
    return History(
        np.asarray(names, dtype=object),
        last["lun"].to_numpy(object),
        last["pool"].to_numpy(object),
        clone,
        frame["day"].to_numpy(np.float64),
        size,
        _episodes(clone, size),
        dated,
        origin,
        tuple(notes),
    )


def _columns(measured: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns clone, day, bytes, lun, pool, checked; times are not numbers yet."""
    time = next((name for name in ("date", "day", "time") if name in measured), None)
    missing = [name for name in ("clone", "bytes") if name not in measured] + ([] if time else ["date or day"])
    if missing:
        raise HistoryError(
            f"columns {', '.join(map(repr, missing))} are missing, there are {', '.join(map(str, measured.columns))}",
            "Name the columns clone, date (or day) and bytes, or read the file with read_listing.",
        )
    if len(measured) > MOST_ROWS:
        raise HistoryError(f"{len(measured):,} rows", f"{MOST_ROWS:,} are the most; keep one a day and clone.")
    size = pd.to_numeric(measured["bytes"], errors="coerce").astype(float)
    bad = measured["bytes"].notna() & (size.isna() | (size < 0) | (size > MOST_BYTES))
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        value = measured["bytes"].tolist()[row]
        raise HistoryError(f"row {row}, bytes={value!r} is no size", f"Whole bytes from 0 to {MOST_BYTES} are needed.")
    frame = pd.DataFrame({"clone": measured["clone"].astype(str).to_numpy(object), "day": measured[time].to_numpy()})
    frame["bytes"] = size.to_numpy()
    for name in ("lun", "pool"):
        frame[name] = ""
        if name in measured:
            told = measured[name].astype(object).where(measured[name].notna(), "")
            frame[name] = told.astype(str).to_numpy(object)
    known = frame["bytes"].notna() & measured[time].notna().to_numpy() & measured["clone"].notna().to_numpy()
    notes = [f"{int((~known).sum())} rows without clone, time or size are left out."] if not known.all() else []
    if not known.any():
        raise HistoryError("no row has a clone, a time and a size", "See what the file holds.")
    return frame[known].reset_index(drop=True), notes


def _times(values: pd.Series) -> pd.Series:
    """Times without a zone, as they stand; with one, in UTC."""
    try:
        times = pd.to_datetime(values, utc=True, format="mixed" if values.dtype == object else None)
    except (ValueError, TypeError, OverflowError):
        found = pd.to_datetime(values, utc=True, errors="coerce", format="mixed" if values.dtype == object else None)
        value = values[found.isna()].iloc[0] if found.isna().any() else values.iloc[0]
        raise HistoryError(f"date={value!r} is no date", "Write it like 2026-03-31 or 2026-03-31 14:00.") from None
    return times.dt.tz_localize(None)


def _check_span(days: pd.Series[float], origin: pd.Timestamp | None) -> None:
    """Refuse what no pool lives through: it is a wrong year, or seconds taken for days."""
    span = float(days.max() - days.min())
    if not span <= MOST_DAYS:
        allowed = f"{span:.6g} days lie between the first and the last measurement, {MOST_DAYS:g} are the most"
        raise HistoryError(allowed, "Check the dates, and whether days are days.")
    if origin is not None and not FIRST_YEAR <= origin.year <= LAST_YEAR:
        allowed = f"the first date is in the year {origin.year}, {FIRST_YEAR} to {LAST_YEAR} are allowed"
        raise HistoryError(allowed, "Check the dates.")


def _episodes(clone: Ints, size: Floats) -> Ints:
    """Number of each row's life: a new one begins with a clone, and where a size drops by more than a share of it."""
    share, least = catalog.value(TOPIC, "reset.share"), catalog.value(TOPIC, "reset.least")
    fresh = np.ones(size.size, bool)
    drop = size[:-1] - size[1:]
    fresh[1:] = (clone[1:] != clone[:-1]) | ((drop > share * size[:-1]) & (drop >= least))
    return np.cumsum(fresh).astype(np.int64) - 1
