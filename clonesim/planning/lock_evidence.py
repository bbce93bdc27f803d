"""What counters say about locks, in few numbers: conflicts, and how many there would be per second of hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.planning.lock_exposure import TOPIC, Lun, pieces
from clonesim.scenario import catalog

FEW = 5.0  # counts that are expected in a block at least
CHANCE = 0.95
LEAST_BLOCKS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """Conflicts and what they are to be compared with.

    Attributes
    ----------
    count : float
        Conflicts counted. [1]
    guests : float
        Guest I/Os that would meet another host's reservation, per second of hold. [1/s]
    locks : float
        First tries of locks that would. [1/s]
    spread : float
        Variance of the counts over that of chance. [1]
    commands : float
        Guest I/Os counted. [1]
    each : float
        I/Os of one host where they could meet some. [1/s]
    rate : float
        Locks of all hosts of a LUN where first tries could meet some: how busy it then is. [1/s]
    bins, of : int
        Host-bins that were used, and all. [1]
    """

    count: float
    guests: float
    locks: float
    spread: float
    commands: float
    each: float
    rate: float
    bins: int
    of: int


@dataclass(frozen=True, slots=True)
class Delay:
    """Kernel time per conflict.

    Attributes
    ----------
    mean_s : float
        KAVG's excess per conflict, with what grows with load taken out; NaN if it cannot be told. [s]
    error_s : float
        Its standard error. [s]
    """

    mean_s: float
    error_s: float


def of_reservations(luns: Sequence[Lun]) -> Conflicts:
    """Conflicts with reservations (CONS/s)."""
    per_lock = catalog.value("locks", "commands.scsi-reservation")
    parts = []
    for lun in luns:
        taken = lun.amounts["reservations"]
        others = lun.rate_of_others(taken)
        own = per_lock * taken + np.nan_to_num(lun.amounts["failed"])
        io = np.maximum(lun.amounts["commands"] - own, 0.0)
        tries = taken + np.nan_to_num(lun.amounts["ats"])
        parts.append((lun, (lun.amounts["conflicts"], io * others, tries * others, io), taken / lun.seconds + others))
    return _joined(parts)


def of_ats(luns: Sequence[Lun], floor: float) -> Conflicts:
    """Miscompares (ATS Failed); `floor` is each host's rate of heartbeats, which meet nobody. [1/s]"""
    parts = []
    for lun in luns:
        taken = np.maximum(lun.amounts["ats"] - floor * lun.seconds, 0.0)
        others = lun.rate_of_others(taken)
        pairs = taken * others
        columns = (lun.amounts["ats_failed"], np.where(np.isnan(pairs), np.nan, 0.0), pairs, taken)
        parts.append((lun, columns, taken / lun.seconds + others))
    return _joined(parts)


def _joined(parts: Sequence[tuple[Lun, tuple[Floats, ...], Floats]]) -> Conflicts:
    """Sums over hosts, bins and LUNs, and the scatter between blocks."""
    sums = np.zeros(4)
    busy = each = 0.0
    used = cells = 0
    blocks = []
    for lun, columns, rate in parts:
        good = np.isfinite(np.stack(columns)).all(axis=0) & np.isfinite(rate)
        table = np.where(good, np.stack(columns), 0.0)
        sums += table.sum(axis=(1, 2))
        busy += float((table[2] * np.where(good, rate, 0.0)).sum())
        own = np.where(good, columns[3] / lun.seconds, 0.0)
        each += float((table[1] * own).sum())
        used, cells = used + int(good.sum()), cells + int(np.isfinite(lun.seconds).sum())
        stretches = pieces(good.shape[1], catalog.value(TOPIC, "blocks"))
        blocks += [table[:3, :, piece].sum(axis=(1, 2)) for piece in stretches]
    by_block = np.array(blocks)
    met, guests, locks, io = (float(one) for one in sums)
    spread = scatter(by_block[:, 0], by_block[:, 1] + by_block[:, 2])
    each, busy = (total / weight if weight > 0 else 0.0 for total, weight in ((each, guests), (busy, locks)))
    return Conflicts(met, guests, locks, spread, io, each, busy, used, cells)


def scatter(counts: Floats, weights: Floats) -> float:
    """Variance of counts that are proportional to weights, over that of chance; 1 where chance could do it. [1]"""
    from scipy.stats import chi2

    total, weight = counts.sum(), weights.sum()
    if total <= 0 or weight <= 0:
        return 1.0
    expected = weights * total / weight
    met, due = _merged(counts, expected)
    if due.size < LEAST_BLOCKS:
        return 1.0
    squares = float(((met - due) ** 2 / due).sum())
    return squares / (due.size - 1) if squares > chi2.ppf(CHANCE, due.size - 1) else 1.0


def _merged(counts: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Blocks one after the other until each expects enough."""
    met, due = [], []
    got = want = 0.0
    for count, mean in zip(counts, expected, strict=True):
        got, want = got + count, want + mean
        if want >= FEW:
            met.append(got)
            due.append(want)
            got = want = 0.0
    if due and (got or want):
        met[-1] += got
        due[-1] += want
    return np.array(met), np.array(due)


def kernel_delay(luns: Sequence[Lun], apart: bool = False) -> Delay:
    """Time in the kernel that goes with conflicts, by least squares within each host and LUN.

    `apart` tells that FRESV/s counts the tries of locks among them, which no guest waits for.
    """
    late, met = [], []
    for lun in luns:
        for host in range(len(lun.hosts)):
            y, x = lun.totals["kernel_s"][host], lun.amounts["conflicts"][host]
            x = x - lun.amounts["failed"][host] if apart else x
            n, seconds = lun.amounts["commands"][host], lun.seconds[host]
            good = np.isfinite(y) & np.isfinite(x) & np.isfinite(n) & (np.nan_to_num(seconds) > 0)
            if good.sum() < 2 * LEAST_BLOCKS:
                continue
            base = np.stack([n[good], n[good] ** 2 / seconds[good]], axis=1)
            left = [column - base @ np.linalg.lstsq(base, column, rcond=None)[0] for column in (y[good], x[good])]
            late.append(left[0])
            met.append(left[1])
    if not met:
        return Delay(float("nan"), float("nan"))
    y, x = np.concatenate(late), np.concatenate(met)
    square = float(x @ x)
    if square <= 1e-9 * max(x.size, 1):
        return Delay(float("nan"), float("nan"))
    slope = float(x @ y) / square
    error = float(np.sqrt((x**2 * (y - slope * x) ** 2).sum())) / square
    return Delay(slope, error) if np.isfinite(error) and error > 0 else Delay(float("nan"), float("nan"))


def latency(luns: Sequence[Lun], name: str) -> float:
    """Mean latency of commands, or of ATS; NaN where it was not counted. [s]"""
    over = "ats" if name == "ats_s" else "commands"
    time = count = 0.0
    for lun in luns:
        good = np.isfinite(lun.totals[name]) & np.isfinite(lun.amounts[over])
        time += float(lun.totals[name][good].sum())
        count += float(lun.amounts[over][good].sum())
    return time / count if count > 0 and time > 0 else float("nan")
