"""What a strategy needs, in numbers that have prices: storage by tier, I/O, hosts, licences, hours, traffic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError, nearest
from clonesim.planning.prices import EXTRA, LICENCES, Prices, known_items
from clonesim.scenario import catalog

TOPIC: Final = "prices"
TIERS: Final = ("os-delta", "user-data", "replica", "cache", "swap", "share")
NUMBERS: Final = ("iops", "hosts", "operations_hours", "fixed_hours", "setup_hours", "network_gb")
FIXED: Final = ("gib.replica", "fixed_hours", "setup_hours", "extra")
PLUS: Final = "+"
MOST_DESKTOPS: Final = 10_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantities:
    """What one strategy needs for a pool.

    Attributes
    ----------
    strategy : str
        Its label, such as "refresh+persistent-disk".
    desktops : int
        Of the pool. [1]
    gib : dict of str to float
        Usable capacity by tier: "os-delta", "user-data", "replica", "cache", "swap", "share". [GiB]
    iops : float
        Of the array in the worst minute. [1/s]
    hosts : float
        Hypervisor servers; whole ones are paid. [1]
    licences : dict of str to float
        Licences per desktop, by name. [1]
    operations_hours : float
        Work a month that grows with the pool. [h/month]
    fixed_hours : float
        Work a month that does not. [h/month]
    setup_hours : float
        Work to introduce the strategy. [h]
    network_gb : float
        Traffic that is paid for. [10^9 B/month]
    extra : dict of str to float
        Whatever else is to be paid, by name; it does not grow with the pool. [1]
    """

    strategy: str
    desktops: int
    gib: Mapping[str, float] = field(default_factory=dict)
    iops: float = 0.0
    hosts: float = 0.0
    licences: Mapping[str, float] = field(default_factory=dict)
    operations_hours: float = 0.0
    fixed_hours: float = 0.0
    setup_hours: float = 0.0
    network_gb: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.strategy:
            raise ParameterError("strategy", self.strategy, "a strategy has a name", "Write for example 'refresh'.")
        many = _number(self.desktops, f"{self.strategy}.desktops")
        if many != math.floor(many) or not 1 <= many <= MOST_DESKTOPS:
            allowed = f"a whole number from 1 to {MOST_DESKTOPS} is needed"
            raise ParameterError(
                f"{self.strategy}.desktops", self.desktops, allowed, "Say how many desktops the pool has."
            )
        for tier in self.gib:
            if tier not in TIERS:
                allowed = f"tiers are {', '.join(TIERS)}"
                raise ParameterError(f"{self.strategy}.gib.{tier}", self.gib[tier], allowed, nearest(tier, TIERS))
        for name, value in self._numbers().items():
            _number(value, f"{self.strategy}.{name}")

    def row(self) -> dict[str, Any]:
        """One row of a frame: `gib.TIER`, `licences.NAME` and `extra.NAME` beside the numbers."""
        numbers = {name: float(value) for name, value in self._numbers().items()}
        return {"strategy": self.strategy, "desktops": int(self.desktops), **numbers}

    def _numbers(self) -> dict[str, Any]:
        return {
            **{f"gib.{tier}": self.gib.get(tier, 0.0) for tier in TIERS},
            **{name: getattr(self, name) for name in NUMBERS},
            **{f"{LICENCES}{name}": value for name, value in self.licences.items()},
            **{f"{EXTRA}{name}": value for name, value in self.extra.items()},
        }


def _number(value: Any, path: str) -> float:
    """A finite number from 0 up."""
    try:
        found = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise ParameterError(path, value, "a quantity is a number from 0 up", "Write 0 for what is not needed.")
    return found


def quantities_frame(quantities: Iterable[Quantities]) -> pd.DataFrame:
    """Frame of quantities, a row per strategy; what a strategy does not name is 0."""
    return pd.DataFrame([one.row() for one in quantities]).fillna(0.0)


def quantities_of(given: pd.DataFrame | Sequence[Quantities]) -> tuple[Quantities, ...]:
    """Check quantities, or read them from a frame.

    Parameters
    ----------
    given : DataFrame or sequence of Quantities
        A row per `strategy`, with columns as of `Quantities.row`; those that are missing are 0.

    Raises
    ------
    ParameterError
        If there is none, a strategy comes twice, a column is unknown, or a number is missing or below 0.
    """
    found = tuple(_from_frame(given)) if isinstance(given, pd.DataFrame) else tuple(given)
    if not found:
        raise ParameterError("quantities", len(found), "at least one strategy is needed", "Give a row per strategy.")
    seen: set[str] = set()
    for one in found:
        if one.strategy in seen:
            allowed = "each strategy comes once"
            raise ParameterError("strategy", one.strategy, allowed, "Leave one out, or give them different labels.")
        seen.add(one.strategy)
    return found


def _from_frame(frame: pd.DataFrame) -> Iterable[Quantities]:
    known = list(Quantities("x", 1).row())
    for column in ("strategy", "desktops"):
        if column not in frame.columns:
            raise ParameterError("quantities", list(frame.columns), f"a column {column!r} is needed", "Add it.")
    for column in map(str, frame.columns):
        if column not in known and not column.startswith((LICENCES, EXTRA)):
            allowed = f"columns are {', '.join(known)}, {LICENCES}NAME and {EXTRA}NAME"
            raise ParameterError("quantities", column, allowed, nearest(column, known))
    for row in frame.to_dict("records"):
        yield Quantities(
            str(row["strategy"]),
            row["desktops"],
            {tier: row[f"gib.{tier}"] for tier in TIERS if f"gib.{tier}" in row},
            licences=_behind(row, LICENCES),
            extra=_behind(row, EXTRA),
            **{name: row[name] for name in NUMBERS if name in row},
        )


def _behind(row: Mapping[Any, Any], start: str) -> dict[str, Any]:
    return {str(key).removeprefix(start): value for key, value in row.items() if str(key).startswith(start)}


def same_pool(quantities: Sequence[Quantities]) -> int:
    """Desktops of the pool that all strategies are for; refused if they are for different ones. [1]"""
    many = {one.desktops for one in quantities}
    if len(many) > 1:
        told = ", ".join(f"{one.strategy} {one.desktops}" for one in quantities)
        raise ParameterError(
            "desktops",
            sorted(many),
            f"strategies are compared for one pool; here are {told}",
            "Scale them to one size.",
        )
    return many.pop()


def lines(one: Quantities, prices: Prices) -> dict[str, float]:
    """Quantity of each item, the catalog's in its order, then the user's; 0 where none is needed."""
    grown = lines_at(one, prices, np.array([float(one.desktops)]), fixed=())
    return {item: float(values[0]) for item, values in grown.items()}


def lines_at(one: Quantities, prices: Prices, desktops: Floats, fixed: Iterable[str] = FIXED) -> dict[str, Floats]:
    """Quantities of each item if the pool had other numbers of desktops.

    Parameters
    ----------
    one : Quantities
        For its own number of desktops.
    prices : Prices
        Says how many I/Os a controller bears.
    desktops : (n,) float64 array
        Numbers of desktops. [1]
    fixed : iterable of str, default base images, fixed hours, hours to set up, and extras
        What does not grow with the pool: columns as of `Quantities.row`, or groups of them.

    Returns
    -------
    dict of str to (n,) float64 array
        By item. Hosts and controllers are whole ones.
    """
    kept = set(fixed)
    times = desktops / one.desktops
    ones = np.ones_like(times)
    row = one.row()

    def grown(name: str) -> Floats:
        return float(row[name]) * (ones if name in kept or name.partition(".")[0] in kept else times)

    hosts = _whole(grown("hosts"))
    by_item = {
        **{f"storage.{tier}": grown(f"gib.{tier}") for tier in TIERS},
        "array.controllers": _whole(grown("iops") / prices.controller_iops),
        "hosts.purchase": hosts,
        "hosts.running": hosts,
        "operations.desktops": grown("operations_hours"),
        "operations.fixed": grown("fixed_hours"),
        "operations.setup": grown("setup_hours"),
        "network.traffic": grown("network_gb"),
    }
    for name in row:
        if name.startswith(LICENCES):
            by_item[name] = float(row[name]) * desktops
        elif name.startswith(EXTRA):
            by_item[name] = grown(name)
    known = {name: by_item.get(name, 0.0 * ones) for name in known_items()}
    return {**known, **{name: by_item[name] for name in sorted(by_item.keys() - known.keys())}}


def _whole(values: Floats) -> Floats:
    """Whole pieces: rounded up, but for what is only the arithmetic's."""
    return np.ceil(values - 1e-9)


def example_work(strategies: Iterable[str], desktops: int) -> dict[str, Any]:
    """Hours and licences of composed strategies by the catalog's examples.

    Parameters
    ----------
    strategies : iterable of str
        Names of strategies, or labels such as "refresh+persistent-disk".
    desktops : int
        Of the pool. [1]

    Returns
    -------
    dict
        `operations_hours`, `fixed_hours` [h/month], `setup_hours` [h] and `licences` (per desktop, of the strategies
        that need one, and the desktop's own), as `Quantities` takes them.

    Examples
    --------
    >>> example_work(["profile-container"], 100)["licences"]
    {'desktop': 1.0, 'profile-container': 1.0}
    """
    names = list(dict.fromkeys(name for label in strategies for name in label.split(PLUS)))
    hours = {key: math.fsum(_hours(name, key) for name in ["any", *names]) for key in ("desktop", "fixed", "setup")}
    licensed = ["desktop", *(name for name in names if f"{LICENCES}{name}" in known_items())]
    return {
        "operations_hours": max(hours["desktop"], 0.0) * desktops,
        "fixed_hours": max(hours["fixed"], 0.0),
        "setup_hours": hours["setup"],
        "licences": dict.fromkeys(licensed, 1.0),
    }


def _hours(strategy: str, key: str) -> float:
    found = catalog.parameters(TOPIC).get(f"work.{strategy}.{key}")
    return float(found.default) if found else 0.0
