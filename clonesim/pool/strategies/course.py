"""How many bytes something has over time: jumps, and straight lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.presence import DAY_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Course:
    """Bytes over time, exact between the knots.

    Attributes
    ----------
    time_s : (n,) float64 array
        Knots in order of time, the first one at 0; at equal times the last one holds. [s]
    value : (n,) float64 array
        Bytes from each knot on. [B]
    slope : (n,) float64 array
        How they change until the next knot. [B/s]
    horizon_s : float
        End of the time told. [s]
    """

    time_s: Floats
    value: Floats
    slope: Floats
    horizon_s: float

    @classmethod
    def of_steps(cls, time_s: Floats, size: Ints, horizon_s: float) -> Self:
        """Course of a sum of steps, given in order of time; 0 B before the first. [s, B]"""
        inside = int(np.searchsorted(time_s, horizon_s))
        when = np.concatenate([np.zeros(1), time_s[:inside]])
        value = np.concatenate([np.zeros(1), np.cumsum(size[:inside])]).astype(np.float64)
        return cls(when, value, np.zeros(when.size), float(horizon_s))

    @classmethod
    def total(cls, courses: Sequence[Course], horizon_s: float) -> Self:
        """Sum of courses over the same time."""
        if not courses:
            return cls.of_steps(np.zeros(0), np.zeros(0, np.int64), horizon_s)
        jumps, bends = [], []
        for one in courses:
            before = one.value[:-1] + one.slope[:-1] * np.diff(one.time_s)
            jumps.append(one.value - np.concatenate([np.zeros(1), before]))
            bends.append(np.diff(one.slope, prepend=0.0))
        time_s = np.concatenate([one.time_s for one in courses])
        order = np.argsort(time_s, kind="stable")
        time_s, slope = time_s[order], np.cumsum(np.concatenate(bends)[order])
        slope[np.abs(slope) < 1e-6] = 0.0  # B/s: what rounding leaves of lines that ended
        drift = np.concatenate([np.zeros(1), slope[:-1] * np.diff(time_s)])
        return cls(time_s, np.cumsum(np.concatenate(jumps)[order] + drift), slope, float(horizon_s))

    def at(self, seconds: Floats) -> Floats:
        """Bytes at some times from 0 up, what happens at those very times included. [B]"""
        k = np.searchsorted(self.time_s, seconds, side="right") - 1
        found: Floats = self.value[k] + self.slope[k] * (seconds - self.time_s[k])
        return found

    def before(self, seconds: Floats) -> Floats:
        """Bytes just before some times above 0. [B]"""
        k = np.searchsorted(self.time_s, seconds, side="left") - 1
        found: Floats = self.value[k] + self.slope[k] * (seconds - self.time_s[k])
        return found

    @property
    def peak(self) -> float:
        """Most bytes at any time; courses rise by jumps only. [B]"""
        return float(self.value[np.diff(self.time_s, append=np.inf) > 0].max())

    @property
    def mean(self) -> float:
        """Mean over the whole time. [B]"""
        span = np.diff(self.time_s, append=self.horizon_s)
        return float((self.value * span + 0.5 * self.slope * span**2).sum() / self.horizon_s)

    def by_day(self) -> tuple[Floats, Floats]:
        """Mean and most bytes of each day; (days,) arrays. [B]"""
        days = round(self.horizon_s / DAY_S)
        starts: Floats = DAY_S * np.arange(days, dtype=np.float64)
        time_s = np.concatenate([self.time_s, starts])
        order = np.argsort(time_s, kind="stable")  # a day's start comes after the knots of that time
        value = np.concatenate([self.value, self.at(starts)])[order]
        slope = np.concatenate([self.slope, self.slope[np.searchsorted(self.time_s, starts, side="right") - 1]])[order]
        time_s = time_s[order]
        span = np.diff(time_s, append=self.horizon_s)
        day = np.minimum((time_s / DAY_S).astype(np.int64), days - 1)
        means, most = np.zeros(days), np.full(days, -np.inf)
        np.add.at(means, day, value * span + 0.5 * slope * span**2)
        lasting = span > 0  # a knot that another one of the same time replaces was never there
        np.maximum.at(most, day[lasting], value[lasting])
        return means / DAY_S, most
