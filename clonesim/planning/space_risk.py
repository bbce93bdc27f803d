"""How probable it is that a LUN of n clones is full before its clones are refreshed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import backing, check_capacity
from clonesim.planning.bounds import replicates_needed
from clonesim.planning.deal_kernel import lun_peaks, shares_at_most
from clonesim.planning.draws import TOPIC, Dealings, Resamples, check_share
from clonesim.pool.run import Run
from clonesim.pool.space import space_of
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

HOLDS, FAILS, OPEN = "holds", "fails", "not resolved"
QUANTILES = (0.5, 0.95)
MOST_BYTES = 2**62
CHUNK_BYTES = 64 * 2**20  # of peaks at a time
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def space_risk(
    sizes: Ints,
    fixed: Callable[[int], int],
    limit: int,
    densities: Sequence[int],
    eps: float | None = None,
    *,
    seed: int = 0,
    confidence: float | None = None,
    dealings: Dealings | None = None,
) -> pd.DataFrame:
    """Probability that a LUN is full within the simulated time, for each number of clones on it.

    Parameters
    ----------
    sizes : (replicates, clones, days) int64 array
        Datastore bytes of each clone's files at the end of each day (`clone_sizes`), or their peak within it: then sums
        are upper bounds, since clones need not peak together. [B]
    fixed : callable
        Bytes beside the deltas on a LUN of n clones (`fixed_bytes`). [B]
    limit : int
        Bytes at which a LUN is full. [B]
    densities : sequence of int
        Numbers of clones per LUN, ascending, each from 1 to the number of clones. [1]
    eps : float, optional
        Risk that is taken, for one LUN; by default the catalog's. [1]
    seed : int, default 0
        Key of the draws.
    confidence : float, optional
        Of each end of an interval by itself; by default the catalog's. [1]
    dealings : Dealings, optional
        Which clones share a LUN; by default drawn with `seed`.

    Returns
    -------
    DataFrame
        A row per density:

        - `n`, clones per LUN [1]; `fixed_bytes`, what lies beside the deltas [B];
        - `p_outage`, probability that a LUN is full at some time, with `p_low` and `p_high` [1];
        - `verdict`: "holds" (`p_high` <= eps), "fails" (`p_low` > eps) or "not resolved"; `resolved`;
          `replicates_needed`: how many would do for a verdict, infinite where the probability is eps itself [1];
        - `pool_luns`, LUNs of all clones at this density; `p_pool`, probability that any of them is full, with
          `p_pool_low` and `p_pool_high` [1];
        - `used_p50`, `used_p95`: quantiles of a LUN's peak, each with `_low` and `_high`, which is infinite where the
          replicates are too few to bound it; `used_max`, the largest that was seen; `needed_bytes`, the limit at which
          `p_outage` would be eps [B].

    Raises
    ------
    ParameterError
        If a number is out of its range, or the sizes are no such table.

    Notes
    -----
    A LUN's clones are distinct. Replicates are the independent trials: all clones of one share its patches, storms and
    calendar, so a thousand LUNs of one replicate are one trial. All densities use the same draws, so `p_outage`,
    `p_low` and `p_high` never fall when n rises. For the intervals see `clonesim.planning.bounds`.
    """
    sizes = _checked_sizes(sizes)
    replicates, clones, _ = sizes.shape
    density = _checked_densities(densities, clones)
    limit = check_capacity(limit, "limit")
    eps = catalog.value(TOPIC, "eps") if eps is None else eps
    confidence = catalog.value(TOPIC, "confidence") if confidence is None else confidence
    check_share("eps", eps)
    check_share("confidence", confidence)
    dealt = dealings or Dealings.of(clones, replicates, seed)
    if dealt.clones != clones:
        raise ParameterError("dealings", dealt.clones, f"orders of {clones} clones are needed")
    beside = {n: int(fixed(n)) for n in {*density.tolist(), *(clones % density).tolist()} - {0}}
    draws = Resamples.of(replicates, dealt.cuts, seed, confidence)
    few = Resamples.of(replicates, dealt.cuts, seed, confidence, catalog.value(TOPIC, "draws.quantile_resamples"))
    rows: list[dict[str, Any]] = []
    for chunk in _chunks(density, replicates * dealt.cuts * dealt.start.size):
        peaks, fullest, rest = _peaks(sizes, dealt, chunk)
        for k, n in enumerate(chunk.tolist()):
            room, left = limit - beside[n], limit - beside.get(clones % n, 0)
            row: dict[str, Any] = {"n": n, "fixed_bytes": beside[n]}
            row |= _risk((peaks[k] > room).mean(axis=2), eps, confidence, draws)
            row |= _pool((fullest[k] > room) | (rest[k] > left), -(-clones // n), draws)
            rows.append(row | _used(peaks[k], beside[n], eps, few))
    frame = pd.DataFrame(rows)
    frame.attrs |= {"eps": eps, "confidence": confidence, "replicates": replicates, "limit": limit}
    return frame


def pool_peaks(
    sizes: Ints, fixed: Callable[[int], int], n: int, seed: int = 0, dealings: Dealings | None = None
) -> Ints:
    """Most that any LUN of a pool comes to, if all clones are dealt out n to a LUN.

    Parameters
    ----------
    sizes, fixed, seed, dealings
        As of `space_risk`.
    n : int
        Clones per LUN; the last LUN may have fewer. [1]

    Returns
    -------
    (replicates, cuts) int64 array [B]
        One value for each random order of the clones.
    """
    sizes = _checked_sizes(sizes)
    replicates, clones, _ = sizes.shape
    density = _checked_densities([n], clones)
    dealt = dealings or Dealings.of(clones, replicates, seed)
    _, fullest, rest = _peaks(sizes, dealt, density)
    left = clones % n
    found: Ints = np.maximum(fullest[0] + fixed(n), rest[0] + fixed(left) if left else 0)
    return found


def clone_sizes(run: Run) -> Ints:
    """Datastore bytes of every clone's delta at the end of each day: (replicates, clones, days) int64 array. [B]

    Desktops that went down because their datastore was full count with what they would have come to with room.
    """
    growth = run.growth
    allocated = backing(run.scenario.luns.backing).allocated(growth["delta_bytes"].to_numpy(np.int64))
    keys = [growth[name] for name in ("replicate", "clone", "day")]
    flat = pd.Series(allocated, growth.index).groupby(keys).sum().to_numpy(np.int64)  # a clone's disks together
    return flat.reshape(run.replicates, run.scenario.pool.clones, run.scenario.pool.days)


def fixed_bytes(scenario: Scenario) -> Callable[[int], int]:
    """What lies beside the deltas on a LUN of n clones of a scenario, as a function of n. [B]"""
    return lambda n: space_of(scenario, n).fixed_bytes


def largest(frame: pd.DataFrame, column: str = "p_outage") -> int:
    """Most clones of a frame's densities for which neither it nor any lower one has more than eps in a column; 0: none.

    With "p_outage" the best estimate, with "p_high" what holds with confidence. [1]
    """
    good = (frame[column] <= frame.attrs["eps"]).to_numpy()
    first_bad = int(np.argmin(good)) if not good.all() else good.size
    return int(frame["n"].iloc[first_bad - 1]) if first_bad else 0


def _risk(share: Floats, eps: float, confidence: float, draws: Resamples) -> dict[str, Any]:
    p = float(share.mean())
    low, high = draws.mean(share)
    verdict = HOLDS if high <= eps else FAILS if low > eps else OPEN
    needed = replicates_needed(p, float((share**2).mean()), eps, confidence)
    return {
        "p_outage": p,
        "p_low": low,
        "p_high": high,
        "verdict": verdict,
        "resolved": verdict != OPEN,
        "replicates_needed": needed,
    }


def _pool(full: NDArray[np.bool_], luns: int, draws: Resamples) -> dict[str, Any]:
    share = full.astype(np.float64)
    low, high = draws.mean(share)
    return {"pool_luns": luns, "p_pool": float(share.mean()), "p_pool_low": low, "p_pool_high": high}


def _used(peaks: Ints, beside: int, eps: float, draws: Resamples) -> dict[str, Any]:
    """Quantiles of used bytes; `peaks` is in order along its last axis."""
    grid = np.sort(peaks, axis=None)
    row: dict[str, Any] = {}
    for share in QUANTILES:
        name = f"used_p{share * 100:.0f}"
        row[name] = beside + _quantile(grid, share)
        # Where the share of LUNs is at its upper end, the bytes are at their lower one.
        row[f"{name}_low"] = beside + _end(peaks, grid, share, draws, end=1)
        row[f"{name}_high"] = beside + _end(peaks, grid, share, draws, end=0)
    return row | {"used_max": beside + int(grid[-1]), "needed_bytes": beside + _quantile(grid, 1 - eps)}


def _end(peaks: Ints, grid: Ints, share: float, draws: Resamples, end: int) -> float:
    """Smallest value at which an end of the share of values at or below it reaches a share; infinite if none does."""
    if end and draws.mean(np.zeros(peaks.shape[:2]))[1] >= share:
        return 0.0  # the replicates bound nothing from below
    low, high = -1, grid.size  # reached at `high`, not at `low`
    while high - low > 1:
        middle = (low + high) // 2
        reached = draws.mean(_at_most(peaks, int(grid[middle])))[end] >= share - 1e-12
        low, high = (low, middle) if reached else (middle, high)
    return float(grid[high]) if high < grid.size else np.inf


def _at_most(peaks: Ints, level: int) -> Floats:
    """By replicate and cut: share of the peaks, which are in order, that are at or below a level."""
    share = np.empty(peaks.shape[:2])
    shares_at_most(peaks, level, share)
    return share


def _quantile(grid: Ints, share: float) -> int:
    """Smallest value with at least the share of all values at or below it."""
    return int(grid[max(0, int(np.ceil(share * grid.size - 1e-9)) - 1)])


def _peaks(sizes: Ints, dealt: Dealings, density: Ints) -> tuple[Ints, Ints, Ints]:
    """Peaks by density, replicate, cut and LUN, in order along the last axis; and of whole pools."""
    replicates, _, _ = sizes.shape
    days = _days_that_count(sizes)
    peaks = np.empty((density.size, replicates, dealt.cuts, dealt.start.size), np.int64)
    fullest, rest = (np.empty((density.size, replicates, dealt.cuts), np.int64) for _ in range(2))
    for replicate in range(replicates):
        own = np.ascontiguousarray(sizes[replicate][:, days[replicate]])
        one, full, last = (np.empty((density.size, *part.shape[2:]), np.int64) for part in (peaks, fullest, rest))
        lun_peaks(own, dealt.order(replicate), dealt.start, density, one, full, last)
        one.sort(axis=-1)
        peaks[:, replicate], fullest[:, replicate], rest[:, replicate] = one, full, last
    return peaks, fullest, rest


def _days_that_count(sizes: Ints) -> NDArray[np.bool_]:
    """By replicate: days on which a LUN can peak; a day before one on which no clone is smaller cannot be needed."""
    found = np.ones((sizes.shape[0], sizes.shape[2]), bool)
    found[:, :-1] = (sizes[:, :, 1:] < sizes[:, :, :-1]).any(axis=1)
    return found


def _chunks(density: Ints, values: int) -> list[Ints]:
    each = max(1, CHUNK_BYTES // (8 * values))
    return [density[k : k + each] for k in range(0, density.size, each)]


def _checked_sizes(sizes: Ints) -> Ints:
    table = np.asarray(sizes)
    if table.ndim != 3 or not table.size or not np.issubdtype(table.dtype, np.integer):
        allowed = "a table of whole bytes by replicate, clone and day is needed"
        raise ParameterError("sizes", f"{table.dtype} {table.shape}", allowed, "See `clone_sizes`.")
    if table.min() < 0:
        raise ParameterError("sizes", int(table.min()), "bytes from 0 up are needed", "Check the sign.")
    if int(table.max()) * table.shape[1] > MOST_BYTES:
        raise ParameterError("sizes", int(table.max()), f"{MOST_BYTES // table.shape[1]} B a clone are the most")
    return table.astype(np.int64, copy=False)


def _checked_densities(densities: Sequence[int], clones: int) -> Ints:
    found = np.asarray(densities)
    whole = found.ndim == 1 and found.size > 0 and np.issubdtype(found.dtype, np.integer)
    if not whole or (np.diff(found) <= 0).any() or found[0] < 1 or found[-1] > clones:
        allowed = f"whole numbers in ascending order, from 1 to the {clones} clones, are needed"
        raise ParameterError("densities", list(densities)[:10], allowed, "No clone can be twice on a LUN.")
    return found.astype(np.int64)
