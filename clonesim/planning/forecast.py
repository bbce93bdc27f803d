"""Sizes to come: of each clone, each LUN and the pool, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.growth_history import TOPIC, History
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.planning.growth_fit import GrowthFit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVELS = ("clone", "lun", "pool")
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_DAYS = 3650.0
STEP = 7.0


def forecast(
    fit: GrowthFit,
    days: float = 90,
    *,
    step: float = STEP,
    levels: Sequence[str] = LEVELS,
    draws: int | None = None,
) -> pd.DataFrame:
    """Sizes to come, with intervals: what measurements would show.

    Parameters
    ----------
    fit : GrowthFit
        From `fit_growth`.
    days : float, default 90
        How far ahead. [d]
    step : float, default 7
        Days between two rows. [d]
    levels : sequence of str, default all
        "clone", "lun", "pool".
    draws : int, optional
        Drawn courses; by default the catalog's. [1]

    Returns
    -------
    DataFrame
        `day` (after the last measured one) [d], `date` where there are dates, `level`, `id` (name of the clone or the
        LUN, "" for the pool of all clones, or the pool's name where the history has several), `clones` in it, `mean`,
        `p5`, `p25`, `p50`, `p75`, `p95` [B], `checked`: whether this is no further ahead than the history bears.
        Clones that are refused have no row; those too new count in sums with the pool's growth.
    """
    ahead = days_ahead(days, step)
    for level in levels:
        if level not in LEVELS:
            raise ParameterError("levels", level, f"allowed are {', '.join(map(repr, LEVELS))}")
    who = np.flatnonzero(fit.grid.present)
    refused = set(fit.refusals["clone"])
    names = [None if name in refused else str(name) for name in fit.history.names]
    frame = tabled(fit.chunks(ahead, who, draws=draws), names, groups_of(fit, levels), ahead, "clone" in levels)
    return _frame(fit, frame)


def tabled(
    chunks: Iterable[tuple[Ints, Floats]],
    names: Sequence[str | None],
    groups: Mapping[tuple[str, str], NDArray[np.bool_]],
    ahead: Floats,
    clones: bool = True,
) -> pd.DataFrame:
    """Rows of a forecast from drawn sizes: `day`, `level`, `id`, `clones`, `mean`, `p5`, `p25`, `p50`, `p75`, `p95`.

    Parameters
    ----------
    chunks : iterable of (numbers, sizes)
        Some clones' numbers and their drawn sizes, (draws, clones, days). [B]
    names : sequence of str or None
        By number; None: no row of its own.
    groups : mapping of (level, id) to bool array
        Which clones are added up.
    ahead : (days,) float64 array
        Days after the last one measured. [d]
    clones : bool, default True
        Whether clones get rows.
    """
    sums = {key: np.zeros(0) for key in groups}
    counts = dict.fromkeys(groups, 0)
    parts: list[pd.DataFrame] = []
    for part, sizes in chunks:
        for key, inside in groups.items():
            mine = inside[part]
            if mine.any():
                total = sizes[:, mine].sum(axis=1)
                sums[key] = sums[key] + total if sums[key].size else total
                counts[key] += int(mine.sum())
        told = np.array([names[number] is not None for number in part], np.bool_)
        if clones and told.any():
            known = np.array([names[number] for number in part[told]], object)
            parts.append(_part("clone", known, 1, ahead, sizes[:, told]))
    for (level, name), total in sums.items():
        if total.size:
            parts.append(_part(level, np.array([name]), counts[level, name], ahead, total[:, None, :]))
    return pd.concat(parts, ignore_index=True)


def days_ahead(days: float, step: float = STEP) -> Floats:
    """Days of a forecast: every step, and the last. [d]"""
    for name, value, most in (("days", days, MOST_DAYS), ("step", step, MOST_DAYS)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
            raise ParameterError(name, value, f"more than 0 and at most {most:g} days are needed")
    ahead: Floats = np.arange(1, int(days / step + 1e-9) + 1).astype(np.float64) * step
    if ahead.size and abs(ahead[-1] - days) < 1e-6:
        return ahead
    return np.concatenate([ahead, [float(days)]])


def groups_of(fit: GrowthFit, levels: Sequence[str] = LEVELS) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Which clones make up each LUN and each pool."""
    return groups_in(fit.history, fit.grid.present, levels)


def groups_in(
    history: History, present: NDArray[np.bool_], levels: Sequence[str] = LEVELS
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Which of the clones that are present make up each LUN and each pool."""
    groups: dict[tuple[str, str], NDArray[np.bool_]] = {}
    if "lun" in levels:
        names = [name for name in pd.unique(history.luns[present]) if name != ""]
        groups |= {("lun", str(name)): present & (history.luns == name) for name in sorted(names)}
    if "pool" in levels:
        groups["pool", ""] = present
        names = [name for name in pd.unique(history.pools[present]) if name != ""]
        if len(names) > 1:
            groups |= {("pool", str(name)): present & (history.pools == name) for name in sorted(names)}
    return groups


def _part(level: str, names: NDArray[Any], clones: int, ahead: Floats, sizes: Floats) -> pd.DataFrame:
    """Rows of some clones, or of one sum, from their drawn sizes: (draws, clones, days)."""
    draws = sizes.shape[0]
    places = np.array([min(int(share * draws), draws - 1) for share in SHARES])
    turned = np.ascontiguousarray(sizes.reshape(draws, -1).T)
    mean = turned.mean(axis=1)
    turned.partition(places, axis=1)
    columns = {"day": np.tile(ahead, names.size), "level": level, "id": np.repeat(names, ahead.size).astype(object)}
    frame = pd.DataFrame(columns | {"clones": clones, "mean": mean})
    for share, place in zip(SHARES, places, strict=True):
        frame[f"p{share * 100:.0f}"] = turned[:, place]
    return frame


def _frame(fit: GrowthFit, frame: pd.DataFrame) -> pd.DataFrame:
    if fit.history.dated:
        dates = fit.history.origin + pd.to_timedelta(fit.grid.days[-1] + frame["day"], unit="D")
        frame.insert(1, "date", dates.dt.round("s"))
    reach = reach_of() * (fit.grid.days[-1] - fit.grid.days[0])
    frame["checked"] = frame["day"] <= reach
    clones = int(fit.grid.present.sum())
    counted = f"{clones} clone{'' if clones == 1 else 's'}"
    shown = f"{counted}, measured over {reach / reach_of():.0f} days, last {_last(fit)}"
    rhythm = "" if fit.refreshes is None else f" Refreshes every {fit.refreshes.every:.3g} days go on."
    caption = f"{shown}. Bands: what 90 % and 50 % of the drawn courses keep within.{rhythm}"
    frame.attrs |= {"last": fit.history.when(fit.history.last), "reach": float(reach), "caption": caption}
    return frame


def reach_of() -> float:
    """How many times the length of a history forecasts reach that it bears. [1]"""
    found: float = catalog.value(TOPIC, "history.reach")
    return found


def _last(fit: GrowthFit) -> str:
    last = fit.history.when(fit.history.last)
    return f"on {last:%Y-%m-%d}" if isinstance(last, pd.Timestamp) else f"on day {last:g}"
