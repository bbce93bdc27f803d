"""Where one strategy costs as much as another, and how that is said."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CROSSING, ALWAYS, NEVER, SAME = "crossing", "always", "never", "same"
ABOVE, BELOW, BETWEEN, OUTSIDE = "above", "below", "between", "outside"
DECIDE: Final = "whole hosts or controllers decide"


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where strategy `b` costs as much as strategy `a`; made by `break_even`.

    Attributes
    ----------
    a, b : str
        The strategies.
    over : str
        What was varied: an item, a group of items, "desktops", "months" or "discount_rate".
    verdict : str
        "crossing", or `b` is cheaper "always", "never", or costs the "same" everywhere.
    value : float
        Where they cost as much: the price; the factor on the prices of a group that has several; desktops; months;
        the rate a year. NaN without a crossing.
    unit : str
        Of the value, such as "per GiB"; "x" for a factor.
    cheaper : str
        Where `b` is cheaper: "above" or "below" it, "between" or "outside" it and `last`; "" without a crossing.
    last : float
        Last change of the order, where whole hosts or controllers make it change more than once; else `value`.
    today : float
        What it is now.
    pays : bool
        Whether `b` costs less than `a` today.
    words : str
        All that in one sentence.
    """

    a: str
    b: str
    over: str
    verdict: str
    value: float
    unit: str
    cheaper: str
    last: float
    today: float
    pays: bool
    words: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What is varied to find where two strategies cost the same.

    Attributes
    ----------
    a, b : str
        The strategies.
    over, unit : str
        As of `BreakEven`.
    what : str
        In words, such as "the price of storage".
    where : str
        Over which values it was looked at, in words.
    told : callable
        Says a value with its unit.
    today : float
        What it is now.
    more_today : float
        How much more `b` costs than `a` now.
    """

    a: str
    b: str
    over: str
    unit: str
    what: str
    where: str
    told: Callable[[float], str]
    today: float
    more_today: float

    def crossing(self, value: float, cheaper: str, last: float | None = None) -> BreakEven:
        """Break-even at a value, or from that to the last one."""
        end = value if last is None else last
        words = f"{self._where(value, cheaper, end)}; today {self.what} is {self.told(self.today)}: {self._state()}."
        return self._made(CROSSING, value, cheaper, end, words)

    def none(self, tends: float) -> BreakEven:
        """No break-even: `b` costs more (positive), less, or the same, at all values looked at."""
        if not tends:
            return self._made(SAME, math.nan, "", math.nan, f"{self.b} costs what {self.a} costs {self.where}.")
        if tends < 0:
            words = f"{self.b} is cheaper than {self.a} {self.where}: no break-even."
            return self._made(ALWAYS, math.nan, "", math.nan, words)
        words = f"{self.b} is never cheaper than {self.a} {self.where}: no break-even."
        return self._made(NEVER, math.nan, "", math.nan, words)

    def _made(self, verdict: str, value: float, cheaper: str, last: float, words: str) -> BreakEven:
        pays = self.more_today < 0
        return BreakEven(self.a, self.b, self.over, verdict, value, self.unit, cheaper, last, self.today, pays, words)

    def _where(self, value: float, cheaper: str, last: float) -> str:
        if cheaper in (BETWEEN, OUTSIDE):
            way = f"from {self.told(value)} to {self.told(last)}"
            side = "only" if cheaper == BETWEEN else "except"
            return f"{self.b} is cheaper than {self.a} {side} {way}, where {DECIDE}"
        if last != value:
            far, near = (last, value) if cheaper == ABOVE else (value, last)
            way = "from {} up" if cheaper == ABOVE else "up to {}"
            other = "below" if cheaper == ABOVE else "above"
            cheap = f"{self.b} is cheaper than {self.a} {way.format(self.told(far))}"
            return f"{cheap} and dearer {other} {self.told(near)}; in between, {DECIDE}"
        return f"{self.b} costs as much as {self.a} where {self.what} is {self.told(value)}, less {cheaper} that"

    def _state(self) -> str:
        if not self.more_today:
            return "it breaks even"
        return "it pays" if self.more_today < 0 else "it does not pay"
