"""How many disks an array needs: for its datastores' space, and to bear the pool's worst minute."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.array_load import MINUTE_S, WORST, ArrayLoad, array_load, worst_minute, worst_of
from clonesim.planning.limits import Limits
from clonesim.planning.pool_sample import PoolSample
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

MOST_DISKS = 100_000
FIGURES = {"iops": "utilisation", "latency": "latency_p95_s"}  # by limit of the disks: what of `WorstMinute` it bounds

Ints = NDArray[np.int64]


def whole_array(scenario: Scenario, n: int) -> ArrayLoad:
    """Array whose disks all LUNs share: what is bought is bought for the pool."""
    return array_load(load_scenario(scenario, array={"shared": True}), n)


def least_disks(load: ArrayLoad) -> int:
    """Fewest disks that the array's RAID takes, spares included. [1]"""
    return load.array.spares + load.array.least_disks


def usable_bytes(load: ArrayLoad, disks: int) -> int:
    """Usable capacity of so many disks; 0 if they are too few for the array's RAID. [B]"""
    return replace(load.array, disks=disks).usable_bytes if disks >= least_disks(load) else 0


def disks_needed(
    scenario: Scenario, sample: PoolSample, limits: Limits, usable: int, n: int, demand: float = 1.0
) -> tuple[int, str]:
    """Fewest disks, spares included, that hold the datastores and bear their worst minute; and what asks for them.

    Parameters
    ----------
    scenario, sample, limits, demand
        As of `purchase`.
    usable : int
        Bytes of all datastores. [B]
    n : int
        Clones of a LUN. [1]

    Raises
    ------
    ParameterError
        If no number of disks suffices.
    """
    load = whole_array(scenario, n)
    asked, least = worst_of(sample, load, demand), least_disks(load)
    needs = {"raid": least, "capacity": _fewest(least, lambda disks: usable_bytes(load, disks) >= usable, "capacity")}
    for metric in FIGURES:
        if getattr(limits, metric) is not None:
            needs[metric] = disks_for_io(load, asked, limits, max(needs.values()), [metric])
    reason = max(needs, key=lambda name: needs[name])
    return needs[reason], reason


def disks_for_io(
    load: ArrayLoad, asked: tuple[Ints, Ints], limits: Limits, least: int = 0, metrics: Sequence[str] = tuple(FIGURES)
) -> int:
    """Fewest disks, spares included, that keep limits in the worst minute.

    Parameters
    ----------
    load : ArrayLoad
        An array of any number of disks.
    asked : tuple of array
        The worst minute, of `worst_of`.
    limits : Limits
        Those switched off ask for nothing.
    least : int, default 0
        Disks that are there in any case. [1]
    metrics : sequence of {"iops", "latency"}
        Limits that count; both by default.

    Raises
    ------
    ParameterError
        If no number of disks suffices.
    """
    bounds = {name: getattr(limits, name) for name in metrics if getattr(limits, name) is not None}

    def bears(disks: int) -> bool:
        worst = worst_minute(*asked, replace(load, array=replace(load.array, disks=disks)))
        return all(np.quantile(getattr(worst, FIGURES[name]), WORST) <= limit for name, limit in bounds.items())

    return _fewest(max(least, least_disks(load)), bears, " and ".join(bounds))


def peak(load: ArrayLoad, sample: PoolSample, demand: float = 1.0) -> tuple[float, float]:
    """I/Os and bytes per second of the whole pool in its worst minute, all I/O times a factor. [1/s, B/s]"""
    together = worst_of(sample, load, demand)[1]
    asked = load.asked(together.reshape(-1, together.shape[-1]))
    iops, rate = asked.reads + asked.writes, asked.read_bytes + asked.write_bytes
    return float(np.quantile(iops, WORST)) / MINUTE_S, float(np.quantile(rate, WORST)) / MINUTE_S


def _fewest(least: int, enough: Callable[[int], bool], limit: str) -> int:
    """Smallest number from `least` up that is enough, if more never is less."""
    high = least
    while not enough(high):
        high *= 2
        if high > MOST_DISKS:
            allowed = f"not even {MOST_DISKS} disks keep the limit of {limit}"
            raise ParameterError("array.disks", high, allowed, "Take faster media, more cache, or another limit.")
    return bisect_left(range(high), True, lo=max(least, high // 2), key=enough)
