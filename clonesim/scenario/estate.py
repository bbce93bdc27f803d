"""Many pools on sites, planned together: a frozen, checked estate. Made by `load_estate`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from clonesim.scenario.model import Scenario
from clonesim.scenario.people import Storms

__all__ = ["CALENDAR", "GROUPED", "MOST_ALIKE", "Estate", "EstatePool", "LunGroup", "Site"]

CALENDAR = ("holidays", *Storms.model_fields)  # keys of an estate's calendar: `users.holidays`, and table `storms`
GROUPED = ("luns", "array", "hosts")  # tables that a LUN group has
MOST_ALIKE = 1000  # pools that one table stands for

_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True)


class Site(BaseModel):
    """A place where pools run. Every pool lives by its site's own clock: times of day are local.

    Attributes
    ----------
    name : str
        Appears in tables.
    """

    model_config = _FROZEN
    name: str


class LunGroup(BaseModel):
    """Settings of the storage and hosts of all pools that lie there; each pool has datastores of its own.

    Attributes
    ----------
    name : str
        What pools name.
    luns, array, hosts : dict
        Values in place of the scenarios', as they were given.
    """

    model_config = _FROZEN
    name: str
    luns: dict[str, Any] = Field(default_factory=dict)
    array: dict[str, Any] = Field(default_factory=dict)
    hosts: dict[str, Any] = Field(default_factory=dict)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Tables that replace values of a scenario."""
        return {name: getattr(self, name) for name in GROUPED if getattr(self, name)}


class EstatePool(BaseModel):
    """One pool of an estate.

    Attributes
    ----------
    name : str
        Of the pool, and of the folder of its results.
    site, lun_group : str
        Where it runs, and on which kind of storage; "" for no group.
    source : str
        What its scenario was made from: a packaged name, or a path as the file has it.
    scenario : Scenario
        With all overrides: the estate's days, start and calendar, the LUN group's tables, the pool's own.
    kind : str
        Name of the first pool that differs from this one in its name and random stream only.
    """

    model_config = _FROZEN
    name: str
    site: str
    lun_group: str = ""
    source: str
    scenario: Scenario
    kind: str

    @property
    def clones(self) -> int:
        """Desktops of the pool. [1]"""
        return self.scenario.pool.clones


class Estate(BaseModel):
    """Many pools on sites, which share a calendar. Made by `load_estate`; frozen.

    Attributes
    ----------
    name : str
        Appears in tables.
    days : int
        Days simulated. [d]
    start : date
        First day, by each site's own clock.
    calendar : dict
        What happens to all pools at once, unless a pool says otherwise: keys of the table `storms`, and `holidays`.
    sites : tuple of Site
        In the order of the file.
    lun_groups : tuple of LunGroup
        In the order of the file.
    pools : tuple of EstatePool
        In the order of the file, those that one table stands for one after the other.
    """

    model_config = _FROZEN
    name: str
    days: int
    start: dt.date
    calendar: dict[str, Any] = Field(default_factory=dict)
    sites: tuple[Site, ...]
    lun_groups: tuple[LunGroup, ...] = ()
    pools: tuple[EstatePool, ...]

    @property
    def clones(self) -> int:
        """Desktops of all pools. [1]"""
        return sum(pool.clones for pool in self.pools)

    @property
    def kinds(self) -> dict[str, tuple[EstatePool, ...]]:
        """Pools that differ in name and random stream only, by the name of the first of them."""
        found: dict[str, tuple[EstatePool, ...]] = {}
        for pool in self.pools:
            found[pool.kind] = (*found.get(pool.kind, ()), pool)
        return found

    def on(self, site: str) -> tuple[EstatePool, ...]:
        """Pools of a site."""
        return tuple(pool for pool in self.pools if pool.site == site)

    def to_dict(self) -> dict[str, Any]:
        """Every value, also those from the catalog, as JSON types; for run.json."""
        return self.model_dump(mode="json")

    def __str__(self) -> str:
        """Return one line: desktops, pools, sites, days."""
        return (
            f"<Estate {self.name!r}: {self.clones} desktops in {len(self.pools)} pools on {len(self.sites)} sites, "
            f"{self.days} days>"
        )

    __repr__ = __str__
