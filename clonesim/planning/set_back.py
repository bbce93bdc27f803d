"""What setting desktops back does: how often, how long it takes, what is left an hour later, what users lose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.pool.calendar import DAY_S
from clonesim.pool.clones import AMOUNTS, Batch
from clonesim.pool.power import SET_BACK, Restarts
from clonesim.pool.replicates import Replicate
from clonesim.pool.strategies.layout import OS
from clonesim.pool.strategies.resets import WORK, served
from clonesim.scenario.model import Scenario

HOUR_S: Final = 3600.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Resets:
    """Times at which system disks of a replicate were set back, whatever the reason.

    Attributes
    ----------
    time_s : (n,) float64 array
        When, clone by clone. [s]
    age_s : (n,) float64 array
        How old the image was then. [s]
    after_bytes : (n,) int64 array
        Size of the file an hour later. [B]
    last_s : dict of int to float
        By clone, the last time. [s]
    """

    time_s: Floats
    age_s: Floats
    after_bytes: Ints
    last_s: dict[int, float]

    @classmethod
    def of(cls, one: Replicate) -> Self:
        """Those of a replicate."""
        times, ages, sizes = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, np.int64)]
        last: dict[int, float] = {}
        for batch in one.batches:
            files = _os_files(batch)
            for clone in batch.job.clones:
                resets = one.timeline.set_back_s(clone)
                if not resets.size:
                    continue
                last[clone] = float(resets[-1])
                times.append(resets)
                ages.append(resets - one.timeline.images_s(clone, resets))
                time_s, level = files[clone]
                sizes.append(level[np.searchsorted(time_s, resets + HOUR_S, side="right") - 1])
        return cls(np.concatenate(times), np.concatenate(ages), np.concatenate(sizes), last)


def _os_files(batch: Batch) -> dict[int, tuple[Floats, Ints]]:
    """By clone: growth steps of the system disk's file, and its size after each."""
    rows = np.flatnonzero(batch.disk == OS)
    rows = rows[np.lexsort((batch.time_s[rows], batch.clone[rows]))]
    edges = np.searchsorted(batch.clone[rows], [*batch.job.clones, batch.job.clones[-1] + 1])
    parts = zip(batch.job.clones, edges[:-1], edges[1:], strict=True)
    return {clone: (batch.time_s[rows[low:high]], np.cumsum(batch.size[rows[low:high]])) for clone, low, high in parts}


def hourly_size(one: Replicate) -> Floats:
    """Mean size of the system disks' files at the start, and at the end of each hour. (hours + 1,) array [B]"""
    every = [np.concatenate([getattr(batch, name) for batch in one.batches]) for name in ("time_s", "disk", "size")]
    mine = every[1] == OS
    time_s, size = every[0][mine], every[2][mine]
    order = np.argsort(time_s, kind="stable")
    total = np.cumsum(size[order])
    ends = HOUR_S * np.arange(round(one.timeline.calendar.horizon_s / HOUR_S) + 1)
    found: Floats = total[np.searchsorted(time_s[order], ends, side="right") - 1] / one.timeline.clones
    return found


def work_hours(asked: Scenario, restarts: Restarts, clones: int) -> float:
    """Hours in which one or more desktops are worked on, in the night or day with most, noon to noon. [h]

    Parameters
    ----------
    asked : Scenario
        The pool that is asked for, with the strategy: so many desktops, under its limits and on its array.
    restarts : Restarts
        Of the clones that were simulated.
    clones : int
        How many of them there are. [1]

    Notes
    -----
    The desktops are ready when those simulated are, more of them at each of these times; each strategy's work is
    served in a queue of its own, as in the simulation.
    """
    mine = restarts.take(np.isin(restarts.cause, SET_BACK))
    night = np.floor((mine.down_s - DAY_S / 2) / DAY_S).astype(np.int64)
    return max((_night(asked, mine.take(night == n), clones) for n in np.unique(night).tolist()), default=0.0)


def _night(asked: Scenario, restarts: Restarts, clones: int) -> float:
    start, end = [], []
    for name in (choice.name for choice in asked.strategy if choice.name in WORK):
        ready = np.sort(restarts.down_s[restarts.cause == WORK[name][1]])
        many = round(ready.size * asked.pool.clones / clones)
        if many:
            all_ready = ready[np.arange(many) * ready.size // many]
            work = served(asked, name, all_ready, np.zeros(many, np.int64))
            start.append(work.start_s)
            end.append(work.up_s)
    return busy_s(np.concatenate(start), np.concatenate(end)) / HOUR_S if start else 0.0


def busy_s(start_s: Floats, end_s: Floats) -> float:
    """Time in which one or more of these are under way. [s]"""
    order = np.argsort(start_s)
    start_s, until = start_s[order], np.maximum.accumulate(end_s[order])
    idle = np.maximum(start_s[1:] - until[:-1], 0.0).sum()
    return float(until[-1] - start_s[0] - idle)


def state_lost(one: Replicate, resets: Resets, own: NDArray[np.bool_]) -> float:
    """What some sources had on system disks when these were set back, all together. [B]

    Days count up to the last reset: those whose noon was before it.

    Parameters
    ----------
    one : Replicate
        The clones.
    resets : Resets
        When that was.
    own : (sources,) bool array
        Which sources.
    """
    found = 0
    for batch in one.batches:
        touched = batch.sources[:, OS, :, :, AMOUNTS.index("first_touch_bytes")]
        held = (touched - batch.sources[:, OS, :, :, AMOUNTS.index("released_bytes")])[:, :, own].sum(axis=2)
        for k, clone in enumerate(batch.job.clones):
            days = int(np.floor(resets.last_s.get(clone, 0.0) / DAY_S + 0.5))
            found += int(held[k, :days].sum())
    return float(found)
