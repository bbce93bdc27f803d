"""Refreshes that a history shows: how regular they are, and what sizes clones had at each age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.planning.growth_history import TOPIC, History
from clonesim.scenario import catalog

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_RESETS = 2  # of a clone, before a rhythm is believed


@dataclass(frozen=True, slots=True)
class Refreshes:
    """A rhythm of refreshes.

    Attributes
    ----------
    every : float
        Days between two refreshes of a clone. [d]
    since : (clones,) float64 array
        Days that had passed on the last day since a clone's newest refresh. [d]
    size : (turns, clones, ages) float64 array
        Size of each clone at each whole day of age, in earlier lives. [B]
    """

    every: float
    since: Floats
    size: Floats

    def put(self, paths: Floats, ahead: Floats, who: Ints, turns: Ints) -> Floats:
        """Replace what comes after a clone's next refresh by what it had at that age in an earlier life.

        Parameters
        ----------
        paths : (draws, clones, days) float64 array
            Sizes without any refresh. [B]
        ahead : (days,) float64 array
            Days after the last one. [d]
        who : (clones,) int64 array
            Numbers of the clones.
        turns : (draws,) int64 array
            Earlier life that a draw repeats, for all clones alike: they share its shocks.
        """
        total = self.since[who][:, None] + ahead[None, :]
        fresh = total >= self.every
        age = np.minimum(np.round(total % self.every).astype(np.int64), self.size.shape[2] - 1)
        repeated = self.size[turns][:, who[:, None], age]
        return np.where(fresh[None, :, :], repeated, paths)


def refreshes_of(history: History) -> Refreshes | None:
    """Rhythm of a history's resets; None unless clones were usually set back twice or more, evenly."""
    first = np.flatnonzero(np.diff(history.episode, prepend=-1))
    owner, begun = history.clone[first], history.day[first]
    seen = np.bincount(owner, minlength=history.clones) - 1
    if np.median(seen) < LEAST_RESETS:
        return None
    reset = np.append(owner[1:] == owner[:-1], False)
    known = np.concatenate([[False], owner[1:] == owner[:-1]])  # lives whose beginning was a reset
    gaps = np.diff(begun)[known[1:] & known[:-1]]
    every = float(np.median(gaps))
    if np.median(np.abs(gaps - every)) > catalog.value(TOPIC, "reset.uneven") * every:
        return None
    late = np.concatenate([[0.0], history.day[first[1:]] - history.day[first[1:] - 1]]) / 2  # reset between two looks
    started = begun - np.where(known, late, 0.0)
    newest = np.zeros(history.clones)
    np.maximum.at(newest, owner, started)
    since = (history.last - newest) % every
    return Refreshes(every, since, _sizes(history, first, started, known & reset, every))


def _sizes(history: History, first: Ints, started: Floats, whole: NDArray[np.bool_], every: float) -> Floats:
    """Sizes by earlier life, clone and day of age; where a clone has no such life, those of another of its lives."""
    ages = np.arange(int(np.ceil(every)) + 1.0)
    turns = max(int(np.bincount(history.clone[first[whole]], minlength=1).max()), 1)
    table = np.full((turns, history.clones, ages.size), np.nan)
    end = np.append(first[1:], history.day.size)
    turn = np.zeros(history.clones, np.int64)
    for life in np.flatnonzero(whole):
        rows, clone = slice(first[life], end[life]), history.clone[first[life]]
        table[turn[clone], clone] = np.interp(ages, history.day[rows] - started[life], history.size[rows])
        turn[clone] += 1
    mean = np.nanmean(np.where(turn[None, :, None] > 0, table, np.nan), axis=(0, 1))
    for k in range(1, turns):
        table[k] = np.where(np.isnan(table[k]), table[k - 1], table[k])
    return np.where(np.isnan(table), mean, table)
