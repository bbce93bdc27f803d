"""A price list: items, what one of each costs and when, which of them count, and in which currency.

Prices are the user's. Those of the catalog are examples, which tell items apart and nothing about a market.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from clonesim.errors import ParameterError, nearest
from clonesim.ingest.toml_text import TomlError, read_toml
from clonesim.scenario import catalog

TOPIC: Final = "prices"
ONCE, MONTHLY = "once", "monthly"
LICENCES, EXTRA = "licences.", "extra."  # any name may stand behind these
SETTINGS: Final = ("currency", "off", "examples", "controller_iops")
EXAMPLES: Final = "(example prices)"
NO_LABEL: Final = "(your currency)"


@dataclass(frozen=True, slots=True)
class Item:
    """One line that a price list may have.

    Attributes
    ----------
    name : str
        Such as "storage.os-delta".
    title : str
        What it is.
    counts : str
        What one of it is, such as "GiB".
    when : str
        "once" or "monthly".
    """

    name: str
    title: str
    counts: str
    when: str

    @property
    def group(self) -> str:
        """First part of its name, such as "storage"."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Price:
    """What one of an item costs.

    Attributes
    ----------
    price : float
        In the list's currency, once or a month.
    low, high : float
        Range in which it may be; both the price itself if it is settled.
    when : str
        "once" or "monthly".
    """

    price: float
    low: float
    high: float
    when: str


@dataclass(frozen=True)
class Prices:
    """A price list; made by `prices_of`.

    Attributes
    ----------
    prices : dict of str to Price
        By item.
    off : frozenset of str
        Items that do not count.
    currency : str
        The user's label.
    controller_iops : float
        I/Os that one array controller bears. [1/s]
    """

    prices: Mapping[str, Price]
    off: frozenset[str] = field(default_factory=frozenset)
    currency: str = NO_LABEL
    controller_iops: float = 1.0

    def counts(self, item: str) -> bool:
        """Whether an item counts."""
        return item not in self.off and item.partition(".")[0] not in self.off

    def of(self, item: str, strategy: str, quantity: float) -> Price:
        """Price of an item that a strategy needs.

        Raises
        ------
        ParameterError
            If there is none.
        """
        if item not in self.prices:
            known = item in known_items()
            allowed = f"{strategy!r} needs it ({item_of(item).counts}: {quantity:g}), and it has no price"
            example = ", or take the catalog's example with examples=True" if known else ""
            remedy = f"Give it one, or switch the item off with off=['{item}']{example}."
            raise ParameterError(f"prices.{item}", None, allowed, remedy)
        return self.prices[item]

    def at(self, item: str, price: float) -> Prices:
        """Same list with another price of one item."""
        return replace(self, prices={**self.prices, item: replace(self.prices[item], price=price)})

    def group(self, name: str) -> tuple[str, ...]:
        """Items of a group, or the item of that name, that count and have a price."""
        return tuple(
            item for item in self.prices if self.counts(item) and (item == name or item.partition(".")[0] == name)
        )


@cache
def known_items() -> Mapping[str, Item]:
    """Items of the catalog, in its order."""
    paths = (name for name in catalog.parameters(TOPIC) if name.endswith(".price"))
    items = map(_catalog_item, (path.removesuffix(".price") for path in paths))
    return MappingProxyType({item.name: item for item in items})


def item_of(name: str) -> Item:
    """Item of the catalog, or one that the user named: "licences.…" by the month, "extra.…" once."""
    known = known_items()
    if name in known:
        return known[name]
    last = name.partition(".")[2]
    return (
        Item(name, f"Licences: {last}", "licence", MONTHLY)
        if name.startswith(LICENCES)
        else Item(name, last, "piece", ONCE)
    )


def _catalog_item(name: str) -> Item:
    title, counts, when = (catalog.text(TOPIC, name, key) for key in ("title", "counts", "when"))
    return Item(name, title, counts, when)


def prices_of(
    given: Prices | Mapping[str, Any] | str | Path | None = None,
    *,
    off: Iterable[str] = (),
    examples: bool | None = None,
    currency: str | None = None,
    controller_iops: float | None = None,
) -> Prices:
    """Price list from what the user has.

    Parameters
    ----------
    given : mapping or path to a TOML file, optional
        Prices by item ("storage.os-delta", or a table `storage` with `os-delta`), or one for all items of a group
        ("storage"). A price is a number, or a table with `price` and perhaps `low`, `high` and `when` ("once",
        "monthly"). Names behind "licences." and "extra." are free. It may also hold the four settings below. Without
        it the catalog's examples are taken.
    off : iterable of str
        Items or groups that do not count.
    examples : bool, optional
        Whether prices that are not given are the catalog's examples; unless said, only if none is given.
    currency : str, optional
        Label that stands beside all amounts; nothing is converted.
    controller_iops : float, optional
        I/Os that one array controller bears; the catalog's unless given. [1/s]

    Raises
    ------
    ParameterError
        If an item is unknown, or a price is no number from 0 up.

    Notes
    -----
    A price without `low` and `high` of an item of the catalog may move by the same factors as the example.

    Examples
    --------
    >>> mine = prices_of({"storage": 2.5, "licences.packager": {"price": 40, "when": "once"}}, currency="EUR")
    >>> mine.prices["storage.replica"].price, mine.prices["licences.packager"].when
    (2.5, 'once')
    """
    if isinstance(given, Prices) and examples is None and not off and currency is None and controller_iops is None:
        return given
    table: dict[str, Any] = {}
    found: dict[str, Price] = {}
    if isinstance(given, Prices):
        found, table = dict(given.prices), {"currency": given.currency, "off": sorted(given.off)}
        table |= {"controller_iops": given.controller_iops}
    elif given is not None:
        table = _read(given) if isinstance(given, (str, Path)) else dict(given)
    asked = {key: value for key, value in table.items() if key not in SETTINGS}
    if examples is None:
        examples = bool(table.get("examples", given is None))
    if examples:
        found = {**{name: _example(name) for name in known_items()}, **found}
    for name, value in _flat(asked).items():
        found[name] = _price(name, value)
    listed = table.get("off", [])
    switched = {*([listed] if isinstance(listed, str) else listed), *([off] if isinstance(off, str) else off)}
    for name in sorted(switched):
        _check_name(name, f"off={name!r}", groups=True)
    cited = catalog.parameters(TOPIC)["array.controller_iops"]
    asked_iops = table.get("controller_iops", cited.default) if controller_iops is None else controller_iops
    bears = cited.check(asked_iops, "controller_iops")
    label = currency or str(table.get("currency", EXAMPLES if given is None else NO_LABEL))
    order = {name: place for place, name in enumerate(known_items())}
    ranked = sorted(found, key=lambda name: (order.get(name, len(order)), name))
    return Prices({name: found[name] for name in ranked}, frozenset(switched), label, float(bears))


def _read(path: str | Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except TomlError as error:
        remedy = error.remedy or "Write a TOML file with tables such as [storage] and lines such as os-delta = 2.5."
        raise ParameterError("prices", str(path), f"cannot be read: {error.problem}", remedy) from None


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Prices by full name; those of single items after those of groups, which they replace."""
    groups: dict[str, Any] = {}
    single: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and "." not in name and "price" not in value:
            single |= {f"{name}.{last}": own for last, own in value.items()}
        elif "." in name:
            single[name] = value
        else:
            groups |= _of_group(name, value)
    return groups | single


def _of_group(name: str, value: Any) -> dict[str, Any]:
    items = [item for item in known_items().values() if item.group == name]
    if not items:
        groups = {item.group for item in known_items().values()}
        raise ParameterError(f"prices.{name}", value, _allowed(), nearest(name, [*groups, *known_items()]))
    if len({catalog.parameters(TOPIC)[f"{item.name}.price"].unit for item in items}) > 1:
        allowed = f"one price cannot be that of {', '.join(item.name for item in items)}"
        raise ParameterError(f"prices.{name}", value, allowed, f"Give each its own, such as '{items[0].name}'.")
    return {item.name: value for item in items}


def _allowed() -> str:
    return f"items are {', '.join(known_items())}, {LICENCES}NAME and {EXTRA}NAME"


def _check_name(name: str, shown: str, groups: bool = False) -> None:
    known = [*known_items(), *({item.group for item in known_items().values()} | {"extra"} if groups else ())]
    free = any(name.startswith(start) and len(name) > len(start) for start in (LICENCES, EXTRA))
    if name not in known and not free:
        key, _, value = shown.partition("=")
        raise ParameterError(key, value.strip("'") or None, _allowed(), nearest(name, known))


def _example(name: str) -> Price:
    cited = catalog.parameters(TOPIC)[f"{name}.price"]
    low, high = cited.range
    return Price(float(cited.default), float(low), float(high), item_of(name).when)


def _price(name: str, value: Any) -> Price:
    path = f"prices.{name}"
    _check_name(name, path)
    table = dict(value) if isinstance(value, Mapping) else {"price": value}
    for key in table:
        if key not in ("price", "low", "high", "when"):
            raise ParameterError(
                f"{path}.{key}",
                table[key],
                "a price has price, low, high and when",
                nearest(key, ["price", "low", "high", "when"]),
            )
    if "price" not in table:
        raise ParameterError(path, value, "a price is needed", 'Write for example { price = 2.5, when = "monthly" }.')
    price = _amount(table["price"], path)
    when = table.get("when", item_of(name).when)
    if when not in (ONCE, MONTHLY):
        raise ParameterError(
            f"{path}.when", when, f"allowed are {ONCE!r} and {MONTHLY!r}", nearest(when, (ONCE, MONTHLY))
        )
    low, high = price, price
    if f"{name}.price" in catalog.parameters(TOPIC):
        example = _example(name)
        low, high = (price * end / example.price for end in (example.low, example.high))
    low, high = _amount(table.get("low", low), f"{path}.low"), _amount(table.get("high", high), f"{path}.high")
    if not low <= price <= high:
        raise ParameterError(path, price, f"it is outside its own range, {low:g} to {high:g}", "Check low and high.")
    return Price(price, low, high, when)


def _amount(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        allowed = "a price is a number from 0 up, without a currency"
        raise ParameterError(path, value, allowed, "Write for example 2.5; the label of the currency is `currency`.")
    return float(value)
