"""A history on evenly spaced days: what each clone had then, with gaps filled along the pool's course."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.planning.growth_history import TOPIC, History
from clonesim.scenario import catalog

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
WEEK = 7.0
LEAST_STEPS = 6  # a shorter history than so many weeks is put on closer days, where it was measured more often
PASSES = 3  # of filling gaps along the pool's course, which the filled gaps change
NEAR = 0.15  # of a step: a measurement no further off is one of that day
EXACT = 1e-6  # [d]


@dataclass(frozen=True, slots=True)
class Grid:
    """Sizes on common days.

    Attributes
    ----------
    days : (points,) float64 array
        Ascending; the last is the history's last day. [d]
    size : (clones, points) float64 array
        Size, NaN where a clone was not measured before, or any more. [B]
    seen : (clones, points) bool array
        Whether the clone was measured then, not only before and after.
    begun : (clones, points) float64 array
        First measured day of the clone's life that the point belongs to. [d]
    gain : (clones, points - 1) float64 array
        Growth between two points, NaN where the clone was set back between them. [B]
    """

    days: Floats
    size: Floats
    seen: Bools
    begun: Floats
    gain: Floats

    @property
    def lengths(self) -> Floats:
        """Days between two points. [d]"""
        return np.diff(self.days)

    @property
    def present(self) -> Bools:
        """(clones,) bool array: whether a clone has a size on the last day."""
        found: Bools = ~np.isnan(self.size[:, -1])
        return found

    @property
    def course(self) -> Floats:
        """(points - 1,) float64 array: mean growth of the clones between two points; 0 where no clone has any. [B]"""
        known = ~np.isnan(self.gain)
        found: Floats = np.where(known, self.gain, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return found


@dataclass(frozen=True, slots=True)
class Around:
    """For every clone and point: the rows of the history that lie before and after it.

    Attributes
    ----------
    before, after : (clones, points) int64 array
        The clone's last row up to the point, and its first one beyond; where `has` or `follows` is False, any row.
    has, follows : (clones, points) bool array
        Whether there are such rows.
    exact : (clones, points) bool array
        Whether the clone was measured at this very time, or (before its first row) just after it.
    """

    before: Ints
    after: Ints
    has: Bools
    follows: Bools
    exact: Bools

    @classmethod
    def of(cls, history: History, days: Floats) -> Around:
        """Find the rows around each of some days."""
        clones, first, step = history.clones, float(history.day.min()), float(days[-1] - days[-2])
        base = 4 * (history.last - first) + 100.0  # more days than there are: clone x base + day orders all rows
        key = history.clone * base + (history.day - first)
        number = np.arange(clones)[:, None]
        at = np.searchsorted(key, number * base + np.maximum(days - first, 0.0)[None, :] + EXACT / 10, side="right") - 1
        before, after = np.maximum(at, 0), np.minimum(at + 1, key.size - 1)
        has = (at >= 0) & (history.clone[before] == number)
        follows = (at + 1 < key.size) & (history.clone[after] == number)
        early = ~has & follows & (history.day[after] - days <= NEAR * step)
        before = np.where(early, after, before)
        exact = early | (has & (np.abs(history.day[before] - days) < EXACT))
        return cls(before, after, has | early, follows, exact)


def grid_of(history: History) -> Grid:
    """Put a history on days a step apart, counted back from its last day.

    The step is a week (of a history below six weeks: a sixth of it; of a very long one: more), or as long as clones are
    usually left unmeasured if that is longer. A gap is filled along the pool's course: between two measurements a clone
    has grown as the others did, in proportion.
    """
    days = _days(history)
    around = Around.of(history, days)
    life = np.where(around.has, history.episode[around.before], -1)
    started = history.day[np.flatnonzero(np.diff(history.episode, prepend=-1))]
    seen = _seen(history, days, around)
    clock: Floats | None = None
    for _ in range(PASSES):
        size = _sizes(history, days, around, clock)
        gain = np.where(life[:, 1:] == life[:, :-1], np.diff(size, axis=1), np.nan)
        grid = Grid(days, size, seen & ~np.isnan(size), started[np.maximum(life, 0)], gain)
        clock = np.concatenate([[0.0], np.cumsum(np.maximum(_measured_course(grid), 0.0))])
    return grid


def _measured_course(grid: Grid) -> Floats:
    """Mean growth of the clones measured at both ends of a step; of all clones where there is none such."""
    seen = np.where(grid.seen[:, 1:] & grid.seen[:, :-1], grid.gain, np.nan)
    count = (~np.isnan(seen)).sum(axis=0)
    return np.where(count > 0, np.nansum(seen, axis=0) / np.maximum(count, 1), grid.course)


def _days(history: History) -> Floats:
    inside = history.episode[1:] == history.episode[:-1]
    gaps = np.diff(history.day)[inside]
    first, last = float(history.day.min()), history.last
    step = max(min(WEEK, (last - first) / LEAST_STEPS), float(np.median(gaps)) if gaps.size else WEEK)
    step = max(step, (last - first) / catalog.value(TOPIC, "history.points"))
    count = max(int((last - first) / step + 0.25), 1)
    found: Floats = last - step * np.arange(count, -1, -1.0)
    return found


def _seen(history: History, days: Floats, around: Around) -> Bools:
    near = NEAR * (days[-1] - days[-2])
    just_before = around.has & (np.abs(history.day[around.before] - days) <= near)
    found: Bools = just_before | (around.follows & (np.abs(history.day[around.after] - days) <= near))
    return found


def _sizes(history: History, days: Floats, around: Around, clock: Floats | None) -> Floats:
    """Sizes on the days; `clock` is the pool's growth up to each of them, in whose proportion gaps are filled."""
    before, after = around.before, around.after
    size = history.size[before].copy()
    between = around.has & around.follows & ~around.exact
    inside = between & (history.episode[before] == history.episode[after])
    share = (days - history.day[before]) / np.maximum(history.day[after] - history.day[before], EXACT)
    late = around.has & ~around.follows & ~around.exact
    if clock is not None:
        begin, end = (np.interp(history.day[rows], days, clock) for rows in (before, after))
        ran = end - begin
        share = np.where(ran > EXACT, (clock - begin) / np.where(ran > EXACT, ran, 1.0), share)
        size += np.where(late, np.maximum(clock - begin, 0.0), 0.0)
    size += np.where(inside, np.clip(share, 0, 1) * (history.size[after] - history.size[before]), 0.0)
    gone = late & (days - history.day[before] > catalog.value(TOPIC, "history.gone"))
    size[~around.has | (between & ~inside) | gone] = np.nan  # not yet, set back before the next look, or gone
    return size
