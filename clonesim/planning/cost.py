"""What strategies cost: line items over a horizon, per pool and per desktop, and what each spends to save.

It works on plain numbers (`Quantities`) and simulates nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from clonesim.errors import ParameterError, nearest
from clonesim.planning.prices import MONTHLY, ONCE, TOPIC, Prices, item_of, prices_of
from clonesim.planning.quantities import Quantities, lines, quantities_of
from clonesim.scenario import catalog

MONTHS: Final = 12
TINY: Final = 1e-15  # rates below are 0, so that nothing is divided by what is hardly there

Given = Prices | Mapping[str, Any] | str | Path | None


@dataclass(frozen=True, slots=True)
class Terms:
    """Over what time payments are compared; made by `terms_of`.

    Attributes
    ----------
    months : int
        Of the horizon. [1]
    discount_rate : float
        What money costs a year. [1]
    """

    months: int
    discount_rate: float

    @property
    def monthly_rate(self) -> float:
        """Rate of a month that compounds to the rate of a year. [1]"""
        return math.expm1(math.log1p(self.discount_rate) / MONTHS)

    @property
    def annuity(self) -> float:
        """Present value of 1 at the end of each month of the horizon. [1]"""
        return annuity(self.monthly_rate, self.months)

    def factor(self, when: str) -> float:
        """Present value of an amount of 1 that is paid once, now, or at the end of each month. [1]"""
        return 1.0 if when == ONCE else self.annuity


def annuity(rate: float, periods: float) -> float:
    """Present value of 1 at the end of each of so many periods: (1 - (1 + rate)^-periods) / rate. [1]"""
    if rate < TINY:
        return float(periods)
    return -math.expm1(-periods * math.log1p(rate)) / rate


def terms_of(horizon_years: float | None = None, discount_rate: float | None = None) -> Terms:
    """Terms from what was asked for; the catalog's for None.

    Raises
    ------
    ParameterError
        If the horizon is not of whole months, or one of them is out of range.
    """
    cited = catalog.parameters(TOPIC)
    years, rate = cited["terms.horizon"], cited["terms.discount"]
    asked = years.check(years.default if horizon_years is None else horizon_years, "horizon_years")
    months = round(asked * MONTHS)
    if not math.isclose(months, asked * MONTHS, rel_tol=1e-9):
        raise ParameterError("horizon_years", horizon_years, "whole months are needed", f"Write {months}/12.")
    return Terms(months, float(rate.check(rate.default if discount_rate is None else discount_rate, "discount_rate")))


@dataclass(frozen=True)
class Cost:
    """Line items of strategies; made by `cost`.

    Attributes
    ----------
    items : DataFrame
        A row per strategy and item that any of them needs: `strategy`, `item`, `title`, `quantity`, `unit` (of the
        quantity), `when` ("once" or "monthly"), `price`, `amount` (quantity times price), `counted` (False: switched
        off, adds nothing), `present_value` of the pool and `per_desktop`.
    totals : DataFrame
        A row per strategy: `desktops`, `once`, `monthly`, `present_value`, `per_desktop`, `per_desktop_month` (what a
        month of the horizon would have to cost so that it comes to the same).
    terms : Terms
        Horizon and discount.
    currency : str
        The user's label.
    """

    items: pd.DataFrame
    totals: pd.DataFrame
    terms: Terms
    currency: str

    def against(self, base: str) -> pd.DataFrame:
        """What each strategy spends and saves beside another one, both numbers apart.

        Parameters
        ----------
        base : str
            Strategy that the others are set against.

        Returns
        -------
        DataFrame
            A row per other strategy: `spends`, present value of the items that cost more than in `base`; `saves`, of
            those that cost less; `net`, saves less spends; `return_`, saves per 1 spent (inf: nothing is spent; NaN:
            nor saved); `spends_per_desktop`, `saves_per_desktop`, `net_per_desktop`; `spends_most_on`,
            `saves_most_on`, items; and `words`.

        Raises
        ------
        ParameterError
            If `base` is not among the strategies, or these are for pools of different sizes.
        """
        names = list(self.totals["strategy"])
        check_strategy("base", base, names)
        if self.totals["desktops"].nunique() > 1:
            many = dict(zip(names, self.totals["desktops"].tolist(), strict=True))
            raise ParameterError("desktops", many, "strategies are compared for one pool", "Scale them to one size.")
        values = {name: self._values(name) for name in names}
        rows = [
            self._row(name, base, {item: value - values[base][item] for item, value in values[name].items()})
            for name in names
            if name != base
        ]
        return pd.DataFrame(rows)

    def _values(self, strategy: str) -> dict[str, float]:
        own = self.items[self.items["strategy"] == strategy]
        return dict(zip(own["item"], own["present_value"].astype(float), strict=True))

    def _row(self, name: str, base: str, more: Mapping[str, float]) -> dict[str, Any]:
        spends = math.fsum(value for value in more.values() if value > 0)
        saves = -math.fsum(value for value in more.values() if value < 0)
        net = -math.fsum(more.values())
        desktops = int(self.totals["desktops"].iloc[0])
        dearest = item_of(max(more, key=lambda item: more[item])).title if spends else ""
        cheapest = item_of(min(more, key=lambda item: more[item])).title if saves else ""
        return {
            "strategy": name,
            "spends": spends,
            "saves": saves,
            "net": net,
            "return_": saves / spends if spends else (math.inf if saves else math.nan),
            "spends_per_desktop": spends / desktops,
            "saves_per_desktop": saves / desktops,
            "net_per_desktop": net / desktops,
            "spends_most_on": dearest,
            "saves_most_on": cheapest,
            "words": self._words(name, base, (spends, saves, net), dearest, cheapest),
        }

    def _words(self, name: str, base: str, sums: tuple[float, float, float], dearest: str, cheapest: str) -> str:
        spends, saves, net = sums
        if not spends and not saves:
            return f"{name} costs what {base} costs."
        spent = f"spends {money(spends, self.currency)} more" + (f" (most on {lower(dearest)})" if dearest else "")
        saved = f"saves {money(saves, self.currency)}" + (f" (most on {lower(cheapest)})" if cheapest else "")
        end = "cheaper" if net > 0 else "dearer"
        close = "as much" if not net else f"{money(abs(net), self.currency)} {end}"
        return f"{name} {spent} and {saved}: over {years(self.terms.months)} it is {close} than {base}.".replace(
            "as much than", "as dear as"
        )


def cost(
    quantities: pd.DataFrame | Sequence[Quantities],
    prices: Given = None,
    horizon_years: float | None = None,
    discount_rate: float | None = None,
) -> Cost:
    """Find out what strategies cost, item by item.

    Parameters
    ----------
    quantities : DataFrame or sequence of Quantities
        What each strategy needs.
    prices : Prices, mapping or path to a TOML file, optional
        As of `prices_of`; the catalog's examples unless given.
    horizon_years : float, optional
        Time over which payments are added up; whole months. The catalog's unless given. [years]
    discount_rate : float, optional
        What money costs a year; the catalog's unless given. [1]

    Returns
    -------
    Cost
        Line items and totals.

    Raises
    ------
    ParameterError
        If a quantity cannot be, or an item that is needed and not switched off has no price.

    Notes
    -----
    What is paid once is paid now. What is paid monthly is paid at the end of each month, and is worth a = (1 - (1 +
    i)^-m) / i months now, with m months and i = (1 + rate)^(1/12) - 1. Taxes, inflation and resale are left out.

    Examples
    --------
    >>> needs = [Quantities("linked-clone", 100, {"os-delta": 4000.0}), Quantities("refresh", 100, {"os-delta": 800.0})]
    >>> cost(needs, {"storage": 2.0}).totals["present_value"].tolist()
    [8000.0, 1600.0]
    """
    needs, listed = quantities_of(quantities), prices_of(prices)
    terms = terms_of(horizon_years, discount_rate)
    by_strategy = {one.strategy: lines(one, listed) for one in needs}
    items = [name for name in _union(by_strategy.values()) if any(own.get(name) for own in by_strategy.values())]
    rows = [
        _line(one, name, by_strategy[one.strategy].get(name, 0.0), listed, terms) for one in needs for name in items
    ]
    columns = [
        "strategy",
        "item",
        "title",
        "quantity",
        "unit",
        "when",
        "price",
        "amount",
        "counted",
        "present_value",
        "per_desktop",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return Cost(frame, _totals(needs, frame, terms), terms, listed.currency)


def _union(lists: Any) -> list[str]:
    return list(dict.fromkeys(name for own in lists for name in own))


def _line(one: Quantities, name: str, quantity: float, prices: Prices, terms: Terms) -> dict[str, Any]:
    item, counted = item_of(name), prices.counts(name)
    price = prices.of(name, one.strategy, quantity) if counted and quantity else prices.prices.get(name)
    amount = quantity * price.price if price else (0.0 if not quantity else math.nan)
    when = price.when if price else item.when
    value = amount * terms.factor(when) if counted else 0.0
    return {
        "strategy": one.strategy,
        "item": name,
        "title": item.title,
        "quantity": quantity,
        "unit": item.counts,
        "when": when,
        "price": price.price if price else math.nan,
        "amount": amount,
        "counted": counted,
        "present_value": value,
        "per_desktop": value / one.desktops,
    }


def _totals(needs: Sequence[Quantities], items: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    rows = []
    for one in needs:
        own = items[(items["strategy"] == one.strategy) & items["counted"]]
        value = math.fsum(own["present_value"])
        paid = {when: math.fsum(own["amount"][own["when"] == when]) for when in ("once", "monthly")}
        each = value / one.desktops
        rows.append(
            {
                "strategy": one.strategy,
                "desktops": int(one.desktops),
                **paid,
                "present_value": value,
                "per_desktop": each,
                "per_desktop_month": each / terms.annuity,
            }
        )
    return pd.DataFrame(rows)


def present_values(quantities: Sequence[Quantities], prices: Prices, terms: Terms) -> dict[str, float]:
    """Present value of each strategy for its pool."""
    frame = cost(quantities, prices, terms.months / MONTHS, terms.discount_rate).totals
    return dict(zip(frame["strategy"], frame["present_value"], strict=True))


def differences(a: Quantities, b: Quantities, prices: Prices) -> dict[str, float]:
    """How much more of each item that counts `b` needs than `a`, in the list's currency, once or a month."""
    first, second = lines(a, prices), lines(b, prices)
    both = dict.fromkeys([*first, *second])
    return {
        item: (second.get(item, 0.0) - first.get(item, 0.0)) * prices.prices[item].price
        for item in both
        if prices.counts(item) and item in prices.prices
    }


def sums(a: Quantities, b: Quantities, prices: Prices) -> tuple[float, float]:
    """How much more `b` costs than `a`: once, and a month."""
    more = differences(a, b, prices)
    by_when = {when: [v for item, v in more.items() if prices.prices[item].when == when] for when in (ONCE, MONTHLY)}
    return math.fsum(by_when[ONCE]), math.fsum(by_when[MONTHLY])


def check_strategy(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a strategy that is not among those compared."""
    if value not in known:
        raise ParameterError(name, value, f"strategies here are {', '.join(known)}", nearest(value, known))


def money(value: float, currency: str) -> str:
    """Amount with the user's label: whole from 1,000 up, else two digits."""
    digits = 0 if abs(value) >= 1000 else 2
    return f"{value:,.{digits}f} {currency}"


def lower(title: str) -> str:
    """Title inside a sentence."""
    return title[:1].lower() + title[1:]


def years(months: int) -> str:
    """Horizon in words."""
    if months % MONTHS:
        return "1 month" if months == 1 else f"{months} months"
    return "1 year" if months == MONTHS else f"{months // MONTHS} years"
