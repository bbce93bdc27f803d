"""Which price changes the order of strategies, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import pandas as pd

from clonesim.planning.cost import Given, Terms, terms_of
from clonesim.planning.prices import Prices, prices_of
from clonesim.planning.quantities import Quantities, lines, quantities_of, same_pool

Line = tuple[float, float]  # a strategy's present value: without the price, and per unit of it

THEN: Final = " < "
COLUMNS: Final = [
    "item",
    "price",
    "low",
    "high",
    "swing",
    "best_changes",
    "order_changes",
    "best_below",
    "then_below",
    "best_above",
    "then_above",
    "order_below",
    "order_above",
    "order_low",
    "order_high",
]


def price_sensitivity(
    quantities: pd.DataFrame | Sequence[Quantities],
    prices: Given = None,
    horizon_years: float | None = None,
    discount_rate: float | None = None,
) -> pd.DataFrame:
    """Find which price changes the order of the strategies, each price alone, within its range.

    Parameters
    ----------
    quantities, prices, horizon_years, discount_rate
        As of `clonesim.planning.cost.cost`.

    Returns
    -------
    DataFrame
        A row per item that counts, has a price and is needed, and per group of several of them (in proportion: `price`
        is a factor then, 1 today): `item`, `price`, `low`, `high`; `swing`, by how much the lead of today's cheapest
        over the next differs between the ends of the range, present value; `best_changes` and `order_changes` within
        the range; `best_below` and `best_above`, prices between which the cheapest stays the cheapest, NaN for no
        bound, with `then_below` and `then_above`, which strategy is the cheapest beyond; `order_below` and
        `order_above`, the same for the order of all; `order_low` and `order_high`, strategies from the cheapest at the
        ends of the range. What changes the cheapest comes first, then what changes the order, then by `swing`.

    Notes
    -----
    With one price x varied each strategy costs a + b x, so that two change places at one x at most.
    """
    needs, listed, terms = quantities_of(quantities), prices_of(prices), terms_of(horizon_years, discount_rate)
    same_pool(needs)
    amounts = {one.strategy: lines(one, listed) for one in needs}
    for name, own in amounts.items():
        for item, quantity in own.items():
            if quantity and listed.counts(item):
                listed.of(item, name, quantity)
    used = [item for item in listed.prices if listed.counts(item) and any(own.get(item) for own in amounts.values())]
    rows = [_row(item, [item], amounts, listed, terms) for item in used]
    for group in dict.fromkeys(item.partition(".")[0] for item in used):
        items = [item for item in used if item.partition(".")[0] == group]
        if len(items) > 1 and any(listed.prices[item].price for item in items):
            rows.append(_row(group, items, amounts, listed, terms))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    keys = ["best_changes", "order_changes", "swing"]
    return frame.sort_values(keys, ascending=False, kind="stable", ignore_index=True)


def _row(
    name: str, items: Sequence[str], amounts: Mapping[str, Mapping[str, float]], prices: Prices, terms: Terms
) -> dict[str, Any]:
    single = len(items) == 1
    own = prices.prices[items[0]]
    price, low, high = (own.price, own.low, own.high) if single else (1.0, *_factors(items, prices))
    total = {
        strategy: (
            _worth({item: value for item, value in lines_.items() if item not in items}, prices, terms, False),
            _worth({item: lines_.get(item, 0.0) for item in items}, prices, terms, single),
        )
        for strategy, lines_ in amounts.items()
    }
    crossings = _crossings(total)
    best = _order(total, price)[0]
    # The first line that meets today's lowest, on either side, is the lowest beyond.
    takes = {(next(other for other in pair if other != best)): x for pair, x in crossings.items() if best in pair}
    best_below, best_above = _nearest(takes.values(), price)
    order_below, order_above = _nearest(crossings.values(), price)
    return {
        "item": name,
        "price": price,
        "low": low,
        "high": high,
        "swing": abs(_lead(total, best, high) - _lead(total, best, low)),
        "best_changes": best_below >= low or best_above <= high,
        "order_changes": order_below >= low or order_above <= high,
        "best_below": best_below,
        "then_below": next((other for other, x in takes.items() if x == best_below), ""),
        "best_above": best_above,
        "then_above": next((other for other, x in takes.items() if x == best_above), ""),
        "order_below": order_below,
        "order_above": order_above,
        "order_low": THEN.join(_order(total, low)),
        "order_high": THEN.join(_order(total, high)),
    }


def _nearest(values: Iterable[float], price: float) -> tuple[float, float]:
    """Nearest of some prices from today's down and from today's up; NaN for none."""
    found = list(values)
    below, above = [x for x in found if x <= price], [x for x in found if x >= price]
    return max(below, default=math.nan), min(above, default=math.nan)


def _factors(items: Sequence[str], prices: Prices) -> tuple[float, float]:
    """Widest factors that keep every price of a group from its low to its high end."""
    own = [prices.prices[item] for item in items if prices.prices[item].price]
    return max(one.low / one.price for one in own), min(one.high / one.price for one in own)


def _worth(amounts: Mapping[str, float], prices: Prices, terms: Terms, per_unit: bool) -> float:
    """Present value of amounts at their prices, or per unit of the price."""
    found = []
    for item, quantity in amounts.items():
        if quantity and prices.counts(item):
            price = prices.prices[item]
            found.append(quantity * (1.0 if per_unit else price.price) * terms.factor(price.when))
    return math.fsum(found)


def _crossings(total: Mapping[str, Line]) -> dict[tuple[str, str], float]:
    """Prices from 0 up at which two strategies cost the same, by pair."""
    found = {}
    for first, second in combinations(total, 2):
        slope = total[second][1] - total[first][1]
        if slope:
            root = (total[first][0] - total[second][0]) / slope
            if root > 0:
                found[first, second] = root
    return found


def _value(line: Line, price: float) -> float:
    return line[0] + line[1] * price


def _order(total: Mapping[str, Line], price: float) -> list[str]:
    """Strategies from the cheapest; the first named first among equals."""
    return sorted(total, key=lambda strategy: _value(total[strategy], price))


def _lead(total: Mapping[str, Line], best: str, price: float) -> float:
    """How much cheaper a strategy is than the cheapest other one; negative if it is dearer."""
    others = [_value(line, price) for strategy, line in total.items() if strategy != best]
    return min(others) - _value(total[best], price) if others else 0.0
