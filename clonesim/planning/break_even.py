"""At which price, pool size, time or interest does one strategy cost as much as another?

Prices and time have closed forms, interest is halved down to; the size of the pool has a module of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from clonesim.errors import ParameterError, nearest
from clonesim.planning.cost import (
    MONTHS,
    TINY,
    Given,
    Terms,
    annuity,
    check_strategy,
    cost,
    differences,
    sums,
    terms_of,
    years,
)
from clonesim.planning.crossing import ABOVE, BELOW, Axis, BreakEven
from clonesim.planning.pool_break_even import DESKTOPS, At, asked, over_desktops
from clonesim.planning.prices import MONTHLY, TOPIC, Prices, item_of, prices_of
from clonesim.planning.quantities import FIXED, Quantities, lines, quantities_of, same_pool
from clonesim.scenario import catalog

TIME, INTEREST = "months", "discount_rate"
MOST_RATE: Final = 10.0
HALVINGS: Final = 200

Pair = tuple[Quantities, Quantities]


def break_even(
    quantities: pd.DataFrame | Sequence[Quantities],
    a: str,
    b: str,
    prices: Given = None,
    over: str = "storage",
    horizon_years: float | None = None,
    discount_rate: float | None = None,
    *,
    fixed: Iterable[str] = FIXED,
    at: At | None = None,
) -> BreakEven:
    """Find where one strategy costs as much as another.

    Parameters
    ----------
    quantities : DataFrame or sequence of Quantities
        What strategies need, for pools of one size.
    a, b : str
        The strategy that is there, and the one that is to pay for itself.
    prices, horizon_years, discount_rate
        As of `cost`.
    over : str, default "storage"
        What is varied, all else as it is: an item such as "storage.os-delta" (its price), a group such as "storage"
        (all its prices in proportion; the price itself if all are alike), "desktops" (the size of the pool), "months"
        (the horizon: when `b` has paid for itself) or "discount_rate" (the interest that the money put into `b` earns).
    fixed : iterable of str, default base images, fixed hours, hours to set up, and extras
        What does not grow with the pool, for "desktops"; as of `lines_at`.
    at : callable, optional
        Quantities of both strategies for a number of desktops, such as from a simulation, for "desktops"; instead of
        proportion. It is asked a few times; one crossing is assumed.

    Returns
    -------
    BreakEven
        The value, or that there is none, and the words.

    Raises
    ------
    ParameterError
        If a strategy or what is to be varied is unknown, a price is missing, or the pools differ in size.

    Examples
    --------
    >>> needs = [
    ...     Quantities("linked-clone", 100, {"os-delta": 4000.0}),
    ...     Quantities("app-attach", 100, {"os-delta": 1000.0}, setup_hours=200),
    ... ]
    >>> found = break_even(needs, "linked-clone", "app-attach", {"storage": 2.0, "operations.setup": 60})
    >>> found.value, found.cheaper
    (4.0, 'above')
    """
    needs, listed, terms = quantities_of(quantities), prices_of(prices), terms_of(horizon_years, discount_rate)
    same_pool(needs)
    names = [one.strategy for one in needs]
    for key, name in (("a", a), ("b", b)):
        check_strategy(key, name, names)
    pair = next(one for one in needs if one.strategy == a), next(one for one in needs if one.strategy == b)
    cost(pair, listed)  # refuses what has no price
    if over == DESKTOPS:
        return asked(pair, listed, terms, at) if at else over_desktops(pair, listed, terms, fixed)
    if over == TIME:
        return _over_time(pair, listed, terms)
    if over == INTEREST:
        return _over_interest(pair, listed, terms)
    return _over_price(pair, listed, terms, over)


def _over_price(pair: Pair, prices: Prices, terms: Terms, over: str) -> BreakEven:
    """Where rest + slope x price is 0, for prices from 0 up."""
    items = prices.group(over)
    if not items:
        own = dict.fromkeys(name for item in _counted(prices) for name in (item.partition(".")[0], item))
        known = [DESKTOPS, TIME, INTEREST, *own]
        allowed = f"allowed are {', '.join(known)}"
        raise ParameterError("over", over, allowed, nearest(over, known) or "Give it a price, or switch it on.")
    used = [item for item in items if any(lines(one, prices).get(item) for one in pair)] or list(items)
    listed = [prices.prices[item] for item in used]
    uniform = len({(one.price, one.when) for one in listed}) == 1
    if not uniform and not any(one.price for one in listed):
        raise ParameterError("over", over, "all its prices are 0", "Vary one item, or give them prices.")
    slope, rest = _line(pair, prices, terms, used, uniform)
    today = listed[0].price if uniform else 1.0
    month = " a month" if uniform and listed[0].when == MONTHLY else ""
    unit = f"per {item_of(used[0]).counts}{month}" if uniform else "x"
    what = f"the price of {over}" if uniform else f"the factor on all prices of {over}"

    def told(value: float) -> str:
        return f"{_fine(value)} {prices.currency} {unit}" if uniform else _fine(value)

    a, b = pair[0].strategy, pair[1].strategy
    axis = Axis(a, b, over, unit, what, f"whatever {what} is", told, today, rest + slope * today)
    root = -rest / slope if slope else math.nan
    if slope and rest and root > 0:
        return axis.crossing(root, ABOVE if slope < 0 else BELOW)
    return axis.none(slope or rest)


def _counted(prices: Prices) -> list[str]:
    return [item for item in prices.prices if prices.counts(item)]


def _line(pair: Pair, prices: Prices, terms: Terms, items: Sequence[str], uniform: bool) -> tuple[float, float]:
    """How much more `b` costs: slope by the price (or the factor) of some items, and what is left without them."""
    first, second = (lines(one, prices) for one in pair)
    slopes = []
    for item in items:
        price = prices.prices[item]
        more = second.get(item, 0.0) - first.get(item, 0.0)
        slopes.append(more * (1.0 if uniform else price.price) * terms.factor(price.when))
    others = {item: more for item, more in differences(*pair, prices).items() if item not in items}
    rest = [more * terms.factor(prices.prices[item].when) for item, more in others.items()]
    return math.fsum(slopes), math.fsum(rest)


def _over_time(pair: Pair, prices: Prices, terms: Terms) -> BreakEven:
    """When once + monthly (1 - (1 + i)^-m) / i is 0."""
    once, monthly = sums(*pair, prices)
    rate = terms.monthly_rate
    longest = round(catalog.value(TOPIC, "terms.longest") * MONTHS)
    a, b = pair[0].strategy, pair[1].strategy
    more = once + monthly * terms.annuity
    where = f"over any horizon of up to {years(longest)}"
    axis = Axis(a, b, TIME, "months", "the horizon", where, _months, float(terms.months), more)
    gone = once * rate / monthly if monthly else -1.0  # (1 + i)^-m - 1
    if once * monthly < 0 and gone > -1:
        value = -once / monthly if rate < TINY else -math.log1p(gone) / math.log1p(rate)
        if value <= longest:
            return axis.crossing(value, ABOVE if monthly < 0 else BELOW)
    return axis.none(once or monthly)  # what comes every month does not make up for what comes once


def _over_interest(pair: Pair, prices: Prices, terms: Terms) -> BreakEven:
    """At which rate once + monthly annuity(rate) is 0; the annuity falls as the rate rises."""
    once, monthly = sums(*pair, prices)

    def more(rate: float) -> float:
        return once + monthly * annuity(math.expm1(math.log1p(rate) / MONTHS), terms.months)

    a, b = pair[0].strategy, pair[1].strategy
    low, high = 0.0, MOST_RATE
    first, last = more(low), more(high)
    where, today = f"at any interest up to {100 * MOST_RATE:,.0f} % a year", terms.discount_rate
    axis = Axis(a, b, INTEREST, "1", "interest", where, _percent, today, more(today))
    if first * last >= 0:
        return axis.none(first or last)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if more(middle) * first > 0 else (low, middle)
    return axis.crossing((low + high) / 2, ABOVE if last < 0 else BELOW)


def _months(value: float) -> str:
    return f"{value:.0f} months" if value == int(value) else f"{value:.1f} months"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} % a year"


def _fine(value: float) -> str:
    """Price or factor with at least three digits that count."""
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"
