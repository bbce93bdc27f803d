"""From how many desktops on does one strategy cost no more than another?

In proportion it is a straight line and has a closed form, unless hosts or controllers come in whole pieces; then every
size is looked at. What a function says, such as a simulation, is asked at few sizes, by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from clonesim.errors import ParameterError
from clonesim.planning.cost import Terms, check_strategy, present_values
from clonesim.planning.crossing import ABOVE, BELOW, BETWEEN, OUTSIDE, Axis, BreakEven
from clonesim.planning.prices import TOPIC, Prices
from clonesim.planning.quantities import Floats, Quantities, lines_at
from clonesim.scenario import catalog

DESKTOPS: Final = "desktops"

At = Callable[[int], Sequence[Quantities]]
Pair = tuple[Quantities, Quantities]


def over_desktops(pair: Pair, prices: Prices, terms: Terms, fixed: Iterable[str]) -> BreakEven:
    """Where two strategies cost the same if all but `fixed` grows in proportion to the pool.

    Parameters
    ----------
    pair : tuple of Quantities
        For pools of one size.
    prices, terms
        As of `clonesim.planning.cost`.
    fixed : iterable of str
        As of `lines_at`.
    """
    kept, today = tuple(fixed), float(pair[0].desktops)
    most = int(catalog.value(TOPIC, "terms.most"))
    none, now = (float(value) for value in _more(pair, prices, terms, np.array([0.0, today]), kept))
    axis = _axis(pair, most, now)
    if _in_steps(pair, prices):
        many = np.arange(1, most + 1, dtype=np.float64)
        return _seen(axis, many, _more(pair, prices, terms, many, kept))
    slope = (now - none) / today
    root = -none / slope if slope else 0.0
    if 1 <= root <= most:
        return axis.crossing(root, ABOVE if slope < 0 else BELOW)
    return axis.none(none + slope)


def asked(pair: Pair, prices: Prices, terms: Terms, at: At) -> BreakEven:
    """Where two strategies cost the same if a function says what they need; one crossing is assumed.

    Parameters
    ----------
    pair : tuple of Quantities
        For today's size of the pool.
    prices, terms
        As of `clonesim.planning.cost`.
    at : callable
        Quantities of both for a number of desktops.
    """
    names = [one.strategy for one in pair]
    known: dict[int, float] = {}

    def more(desktops: int) -> float:
        if desktops not in known:
            found = list(at(desktops))
            for name in names:
                check_strategy("at", name, [one.strategy for one in found])
            if any(one.desktops != desktops for one in found):
                told = [one.desktops for one in found]
                raise ParameterError("at", told, f"quantities for {desktops} desktops are needed", "Check `at`.")
            worth = present_values(found, prices, terms)
            known[desktops] = worth[names[1]] - worth[names[0]]
        return known[desktops]

    now = present_values(pair, prices, terms)
    most = int(catalog.value(TOPIC, "terms.most"))
    axis = _axis(pair, most, now[names[1]] - now[names[0]])
    first, last = more(1) <= 0, more(most) <= 0
    if first == last:
        return axis.none(more(1) or more(most))
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (more(middle) <= 0) == first else (low, middle)
    return axis.crossing(float(high), ABOVE) if last else axis.crossing(float(low), BELOW)


def _axis(pair: Pair, most: int, more_today: float) -> Axis:
    a, b = pair
    where = f"in pools of up to {most:,} desktops"
    today = float(a.desktops)
    return Axis(a.strategy, b.strategy, DESKTOPS, DESKTOPS, "the size of the pool", where, _told, today, more_today)


def _in_steps(pair: Pair, prices: Prices) -> bool:
    """Whether what comes in whole pieces can differ between the two."""
    a, b = pair
    paid = {group for group in ("hosts", "array") if any(prices.prices[item].price for item in prices.group(group))}
    return ("hosts" in paid and a.hosts != b.hosts) or ("array" in paid and a.iops != b.iops)


def _more(pair: Pair, prices: Prices, terms: Terms, desktops: Floats, fixed: tuple[str, ...]) -> Floats:
    """How much more `b` costs than `a` in pools of these sizes: present values."""
    first, second = (lines_at(one, prices, desktops, fixed) for one in pair)
    found, none = np.zeros_like(desktops), np.zeros_like(desktops)
    for item in dict.fromkeys([*first, *second]):
        if prices.counts(item) and item in prices.prices:
            price = prices.prices[item]
            worth = price.price * terms.factor(price.when)
            found += (second.get(item, none) - first.get(item, none)) * worth
    return found


def _seen(axis: Axis, many: Floats, more: Floats) -> BreakEven:
    """First and last change of the order among sizes that were all looked at."""
    pays = more <= 0
    changes = np.flatnonzero(pays[1:] != pays[:-1]) + 1  # first of each new run
    if not changes.size:
        return axis.none(float(more[np.abs(more).argmax()]))
    first, last = int(changes[0]), int(changes[-1])
    if pays[0] == pays[-1]:
        cheaper = OUTSIDE if pays[0] else BETWEEN
        ends = (first, last - 1)
    else:
        cheaper = ABOVE if pays[-1] else BELOW
        ends = (first, last) if cheaper == ABOVE else (first - 1, last - 1)
    return axis.crossing(float(many[ends[0]]), cheaper, float(many[ends[1]]))


def _told(value: float) -> str:
    return f"{value:,.0f} desktops" if value == int(value) else f"{value:,.1f} desktops"
