"""What a LUN may come to: the limits that a number of clones per LUN has to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from clonesim.errors import ParameterError, nearest
from clonesim.lun.backing import backing
from clonesim.scenario import catalog
from clonesim.scenario.fields import checked
from clonesim.scenario.model import Scenario

TOPIC = "planning"
CITED = {
    "outage": "eps",
    "lock_wait": "limits.lock_wait",
    "conflicts": "limits.conflicts",
    "iops": "limits.iops",
    "latency": "limits.latency",
    "queue": "limits.queue",
}
MOST_CLONES = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one LUN; None: not asked for.

    Attributes
    ----------
    outage : float
        Probability that the LUN is full before its clones are refreshed. [1]
    lock_wait : float or None
        99th percentile of the wait for a lock in the worst kind of storm. [s]
    conflicts : float or None
        Conflicts in the worst minute. [1/s]
    iops : float or None
        Load of the disks in the worst minute, as a share of what they can do. [1]
    latency : float or None
        95th percentile of the array's latency in the worst minute. [s]
    queue : float or None
        Commands in the array in the worst minute, as a share of the places for them. [1]
    clones : int or None
        The vendor's maximum. [1]
    """

    outage: float
    lock_wait: float | None
    conflicts: float | None
    iops: float | None
    latency: float | None
    queue: float | None
    clones: int | None

    @property
    def names(self) -> tuple[str, ...]:
        """Limits that are asked for."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


def limits_of(scenario: Scenario, given: Mapping[str, Any] | Limits | None = None) -> Limits:
    """Limits for a scenario: the catalog's, with some replaced.

    Parameters
    ----------
    scenario : Scenario
        Its backing and platform decide the vendor's maximum.
    given : mapping, optional
        By the names of `Limits`: a value ("20 ms", 0.05), or None for a limit that shall not count.

    Raises
    ------
    ParameterError
        If a limit is unknown or out of range, or `outage` is None.

    Examples
    --------
    >>> from clonesim import load_scenario
    >>> limits_of(load_scenario(), {"lock_wait": "5 ms", "clones": None}).names
    ('outage', 'lock_wait', 'conflicts', 'iops', 'latency', 'queue')
    """
    if isinstance(given, Limits):
        return given
    asked = dict(given or {})
    names = [field.name for field in fields(Limits)]
    for name in asked:
        if name not in names:
            raise ParameterError(f"limits.{name}", asked[name], f"limits are {', '.join(names)}", nearest(name, names))
    if "outage" in asked and asked["outage"] is None:
        raise ParameterError("limits.outage", None, "a risk is needed", "Write for example 0.05.")
    found: dict[str, Any] = {}
    for name, path in CITED.items():
        cited = catalog.parameters(TOPIC)[path]
        value = asked.get(name, cited.default)
        found[name] = None if value is None else checked(cited, value, f"limits.{name}")
    found["clones"] = _clones(asked["clones"]) if "clones" in asked else vendor_maximum(scenario)
    return Limits(**found)


def vendor_maximum(scenario: Scenario) -> int:
    """Most clones per datastore that the guides allow: by kind of lock, and more where growth takes none. [1]"""
    where = backing(scenario.luns.backing)
    if not where.locks_on_growth:
        name = "nfs"
    elif where.lock_domain == "whole-lun":
        name = "view"
    else:
        name = "vaai"
    return int(catalog.value(TOPIC, f"maxima.{name}"))


def _clones(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_CLONES:
        allowed = f"a whole number from 1 to {MOST_CLONES} is needed, or None"
        raise ParameterError("limits.clones", value, allowed, "The guides' maxima are in `clonesim catalog planning`.")
    return value
