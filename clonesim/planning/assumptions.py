"""What may be otherwise: assumptions, how far each may be off, and which of them touch a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim.delta.formats import law
from clonesim.errors import ParameterError, nearest
from clonesim.lun.array import array_of
from clonesim.lun.backing import backing
from clonesim.lun.lock_traffic import lock_traffic
from clonesim.planning.surrogate import level_of
from clonesim.pool.band import band_variants
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC, SIZES = "sensitivity", "size"
SPACE, IO = ("increment", "memory_reservation", "reserve"), ("array_service",)
LOCKS = ("increment", *IO, "backoff", "commands", "power_on_locks", "affinity")
EVALUATED = {  # figure -> assumptions that it is computed with, beside those that need simulation
    "delta": ("increment",),
    "storage": SPACE,
    "luns": SPACE,
    "iops": (),
    "disks": (*SPACE, *IO),
    "lock_wait": LOCKS,
    "conflicts": LOCKS,
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Assumption:
    """One thing that may be otherwise, as a coordinate from 0 to 1.

    Attributes
    ----------
    name, title, measure : str
        In the catalog; what tells the truth.
    simulated : bool
        Whether a pool must be simulated anew to see what it does.
    low, usual, high : float
        Its lowest value, that of the scenario, and its highest; with levels, the number of the usual one.
    log : bool
        Whether all factors, not all differences, are equally likely.
    levels : tuple of str
        Names of what is put in its place, each as likely as the others; empty for a number.
    """

    name: str
    title: str
    measure: str
    simulated: bool
    low: float
    usual: float
    high: float
    log: bool = True
    levels: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Levels; 0 for a number. [1]"""
        return len(self.levels)

    @property
    def place(self) -> float:
        """Coordinate of the usual value. [1]"""
        if self.levels:
            return (self.usual + 0.5) / len(self.levels)
        if self.log:
            return math.log(self.usual / self.low) / math.log(self.high / self.low)
        return (self.usual - self.low) / (self.high - self.low)

    def at(self, place: Floats) -> Floats:
        """Values at coordinates; numbers of levels where it has levels."""
        if self.levels:
            return level_of(place, len(self.levels)).astype(np.float64)
        if self.log:
            return np.asarray(self.low * (self.high / self.low) ** place)
        return np.asarray(self.low + (self.high - self.low) * place)

    def text(self, place: float) -> str:
        """The value at a coordinate in words: a level, a factor on the usual value, or the value."""
        value = float(self.at(np.array([place]))[0])
        if self.levels:
            return self.levels[int(value)]
        if self.log:
            return f"x {value / self.usual:.2g}"
        return f"{value:.2g}"


def assumptions_of(scenario: Scenario, figure: str, only: Sequence[str] | None = None) -> list[Assumption]:
    """Assumptions that may move a figure of a scenario; those that cannot move from where they are, are left out.

    Parameters
    ----------
    scenario : Scenario
        Its values are the usual ones.
    figure : str
        One of `EVALUATED`.
    only : sequence of str, optional
        Names of those that shall be looked at; all by default.

    Raises
    ------
    ParameterError
        If a name is unknown, or nothing is left.
    """
    found = [*_simulated(scenario), *(_evaluated(scenario, name) for name in EVALUATED[figure])]
    kept = [
        _with_mark(scenario, one)
        for one in found
        if one is not None and (one.count > 1 or one.high > one.low * (1 + 1e-9))
    ]
    if only is not None:
        names = [one.name for one in kept]
        for name in only:
            if name not in names:
                raise ParameterError("only", name, f"{figure} can move with {', '.join(names)}", nearest(name, names))
        kept = [one for one in kept if one.name in only]
    if not kept:
        raise ParameterError("only", list(only or ()), "no assumption is left that can move", "Leave it out.")
    return kept


def _with_mark(scenario: Scenario, one: Assumption) -> Assumption:
    """The assumption; in place of what would tell the truth, that it was measured, where it was."""
    if one.name == "policy":
        key = "guest.policy"
    elif one.simulated:
        key = ".".join(place_of(scenario, one.name)[2])
    elif one.name in ("memory_reservation", "reserve"):
        key = f"{'hosts' if one.name == 'memory_reservation' else 'luns'}.{one.name}"
    else:
        key = f"luns.locks.{lock_path(scenario, one.name)}"
    return replace(one, measure=f"already {scenario.marks[key]}") if key in scenario.marks else one


def _simulated(scenario: Scenario) -> list[Assumption | None]:
    names = (name.split(".")[1] for name in catalog.parameters(SIZES) if name.startswith("vary."))
    found = [_factor(scenario, name) for name in dict.fromkeys(names)]
    return [*found, _policy(scenario)]


def _factor(scenario: Scenario, name: str) -> Assumption | None:
    where = f"vary.{name}"
    value, (low, high), _ = place_of(scenario, name)
    factor = float(catalog.value(SIZES, f"{where}.factor"))
    if value <= 0:
        return None
    ends = max(value / factor, low), min(value * factor, high)
    texts = catalog.text(SIZES, where, "title"), catalog.text(SIZES, where, "measure")
    return Assumption(name, *texts, True, ends[0], value, ends[1]) if ends[0] > 0 else None


def place_of(scenario: Scenario, name: str) -> tuple[float, tuple[float, float], tuple[str, str]]:
    """Value of a simulated assumption in a scenario, its range, and its table and key."""
    table, key = catalog.text(SIZES, f"vary.{name}", "parameter").split(".")
    section = getattr(scenario, table)
    cited = section.parameter(key, getattr(section, "name", None))
    return float(getattr(section, key)), (float(cited.range[0]), float(cited.range[1])), (table, key)


def policies(scenario: Scenario) -> list[tuple[str, bool]]:
    """Allocation policies with and without discards that the guest may have."""
    return list(dict.fromkeys((one.guest.policy, one.guest.discards) for one in band_variants(scenario)))


def _policy(scenario: Scenario) -> Assumption:
    known = policies(scenario)
    switched = len({discards for _, discards in known}) > 1
    names = tuple(f"{policy}, discards {'on' if on else 'off'}" if switched else policy for policy, on in known)
    usual = known.index((scenario.guest.policy, scenario.guest.discards))
    texts = catalog.text(SIZES, "vary.policy", "title"), catalog.text(SIZES, "vary.policy", "measure")
    return Assumption("policy", *texts, True, 0.0, float(usual), float(len(names) - 1), False, names)


def varied(scenario: Scenario, assumptions: Sequence[Assumption], values: Sequence[float]) -> Scenario:
    """The scenario with other values of simulated assumptions."""
    tables: dict[str, dict[str, Any]] = {}
    for one, value in zip(assumptions, values, strict=True):
        if one.levels:
            policy, discards = policies(scenario)[int(value)]
            tables["guest"] = {"policy": policy, "discards": discards}
            continue
        _, (low, high), (table, key) = place_of(scenario, one.name)
        within = min(max(value, low), high)
        was = getattr(getattr(scenario, table), key)
        tables.setdefault(table, {})[key] = round(within) if isinstance(was, int) else within
    return load_scenario(scenario, **tables) if tables else scenario


def _evaluated(scenario: Scenario, name: str) -> Assumption | None:
    where = f"vary.{name}"
    texts = catalog.text(TOPIC, where, "title"), catalog.text(TOPIC, where, "measure")
    ends = _ends(scenario, name)
    if ends is None:
        return None
    low, usual, high, log = ends
    return Assumption(name, *texts, False, low, usual, high, log)


def _ends(scenario: Scenario, name: str) -> tuple[float, float, float, bool] | None:
    """Lowest, usual and highest value, and whether factors count; None where the assumption has no meaning."""
    if name == "increment":
        step = increment(scenario)
        return (1.0, 1.0, float(catalog.value(TOPIC, "vary.increment.factor")), True) if step else None
    if name == "array_service":
        factor = float(catalog.value(TOPIC, "vary.array_service.factor"))
        service_s = array_of(scenario).service_s
        return service_s / factor, service_s, service_s * factor, True
    if name in ("memory_reservation", "reserve"):
        section = scenario.hosts if name == "memory_reservation" else scenario.luns
        return _around(float(getattr(section, name)), name, section.parameter(name))
    return _of_the_lock(scenario, name)


def _of_the_lock(scenario: Scenario, name: str) -> tuple[float, float, float, bool] | None:
    luns = scenario.luns
    traffic = lock_traffic(luns.backing, luns.locking, luns.locks)
    locking = locking_of(scenario)
    if not locking or (name == "affinity" and not locking.startswith("ats")):
        return None
    if name == "commands" and not traffic.commands:
        return None
    path = lock_path(scenario, name)
    cited = catalog.parameters("locks").get(path)
    if cited is None:
        return None
    value = float(luns.locks.get(path, cited.default))
    if name == "affinity":
        return _around(value, name, cited)
    factor = float(catalog.value(TOPIC, f"vary.{name}.factor"))
    return max(value / factor, float(cited.range[0])), value, min(value * factor, float(cited.range[1])), True


def locking_of(scenario: Scenario) -> str:
    """How hosts take the locks of the scenario's LUNs; empty where there are none that they meet at."""
    return scenario.luns.locking or next(iter(backing(scenario.luns.backing).lockings), "")


def lock_path(scenario: Scenario, name: str) -> str:
    """Name of a lock's assumption in the catalog's topic `locks`."""
    if name == "commands":
        return f"commands.{'ats' if locking_of(scenario).startswith('ats') else 'scsi-reservation'}"
    return {"power_on_locks": "locks_per_power_on", "affinity": "ats_affinity"}.get(name, name)


def _around(value: float, name: str, cited: catalog.Parameter | None) -> tuple[float, float, float, bool]:
    span = float(catalog.value(TOPIC, f"vary.{name}.span"))
    low, high = (float(end) for end in cited.range) if cited is not None else (0.0, 1.0)
    return max(value - span, low), value, min(value + span, high), False


def increment(scenario: Scenario) -> int:
    """Step by which the scenario's delta files grow; 0 if they do not grow in steps. [B]"""
    return law(scenario.delta.format, scenario.guest.disk, dict(scenario.delta.parameters)).increment
