"""What is modeled: a frozen, checked scenario. All values are in base units: bytes, seconds, shares.

`load_scenario` is the way in: it reads names, files and overrides, and tells all problems at once. Defaults stand in
the catalog; where a table has a name (guest, workload, platform), that name chooses them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clonesim.errors import ParameterError
from clonesim.scenario import catalog
from clonesim.scenario.desktop import Guest, Start, Workload
from clonesim.scenario.fields import Section
from clonesim.scenario.marks import read_marks
from clonesim.scenario.people import Pool, Storms, Users, ZoneShare
from clonesim.scenario.storage import ArrayDisks, DeltaDisk, Hosts, Luns, Platform, format_parameters
from clonesim.scenario.strategy import Choice, in_order

__all__ = [
    "SECTIONS",
    "ArrayDisks",
    "Choice",
    "DeltaDisk",
    "Guest",
    "Hosts",
    "Luns",
    "Platform",
    "Pool",
    "Scenario",
    "Start",
    "Storms",
    "Users",
    "Workload",
    "ZoneShare",
]


class Scenario(BaseModel):
    """Everything that `simulate` needs to know. Made by `load_scenario`; frozen.

    Attributes
    ----------
    pool, users, guest, workload, delta, luns, array, hosts, storms, platform
        The tables, in base units.
    strategy : tuple of Choice
        Strategies for statelessness, in the order of the catalog; empty: clones keep what they write.
    marks : mapping
        By key, such as "guest.disk": that its value was measured, derived or calibrated, and how. They change nothing
        that is simulated: scenarios that differ in marks only are equal, and `to_dict` leaves them out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    pool: Pool = Field(default_factory=Pool)
    users: Users = Field(default_factory=Users)
    guest: Guest = Field(default_factory=Guest)
    workload: Workload = Field(default_factory=Workload)
    delta: DeltaDisk = Field(default_factory=DeltaDisk)
    luns: Luns = Field(default_factory=Luns)
    array: ArrayDisks = Field(default_factory=ArrayDisks)
    hosts: Hosts = Field(default_factory=Hosts)
    storms: Storms = Field(default_factory=Storms)
    platform: Platform = Field(default_factory=Platform)
    strategy: tuple[Choice, ...] = ()
    marks: dict[str, str] = Field(default_factory=dict, exclude=True)

    def __eq__(self, other: object) -> bool:
        """Whether the values are the same; marks only say where they come from."""
        if not isinstance(other, Scenario):
            return NotImplemented
        names = (*SECTIONS, "strategy")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @field_validator("marks", mode="before")
    @classmethod
    def _known_marks(cls, value: Any) -> dict[str, str]:
        return read_marks(value, SECTIONS)

    @field_validator("strategy")
    @classmethod
    def _in_order(cls, value: tuple[Choice, ...]) -> tuple[Choice, ...]:
        return in_order(value)

    @model_validator(mode="after")
    def _follow(self) -> Self:
        """Fill in what follows from other tables; those values do not count as given."""
        kind = catalog.group("platforms", self.platform.name)
        pool, users, luns, delta = self.pool, self.users, self.luns, self.delta
        if users.count is None:
            people = catalog.group("workloads", self.workload.name)["logons"].default
            users = users.filled(count=pool.clones * users.users_per_clone if people else 0)
        backing = luns.backing or usual_backing(kind, delta.format)
        luns = luns.filled(backing=backing, count=luns.count or -(-pool.clones // luns.clones_per_lun))
        luns = luns.filled(locking=luns.locking or usual_locking(backing))
        delta = delta.filled(format=delta.format or usual_format(kind, backing))
        with suppress(ParameterError):  # the rules tell it
            delta = delta.filled(parameters=format_parameters(delta.format, delta.parameters))
        array = self.array.filled(
            raid=self.array.raid or usual_raid(backing),
            disk_size=self.array.disk_size or catalog.value("arrays", f"{self.array.media}.disk_size"),
        )
        for name, section in (("users", users), ("luns", luns), ("delta", delta), ("array", array)):
            self.__dict__[name] = section
        return self

    @property
    def horizon_s(self) -> float:
        """Length of the simulation. [s]"""
        return self.pool.days * 86400.0

    def chosen(self, name: str) -> Choice | None:
        """Strategy of this name, if it is asked for."""
        return next((choice for choice in self.strategy if choice.name == name), None)

    def given(self) -> dict[str, Any]:
        """Tables with what was asked for, in base units, as `load_scenario` reads them back to an equal scenario."""
        found = {name: getattr(self, name).given() for name in SECTIONS}
        return {name: values for name, values in found.items() if values}

    def to_dict(self) -> dict[str, Any]:
        """Every value, also those from the catalog, as JSON types; for run.json."""
        return self.model_dump(mode="json")


SECTIONS: dict[str, type[Section]] = {
    "pool": Pool,
    "users": Users,
    "guest": Guest,
    "workload": Workload,
    "delta": DeltaDisk,
    "luns": Luns,
    "array": ArrayDisks,
    "hosts": Hosts,
    "storms": Storms,
    "platform": Platform,
}


def usual_backing(platform: dict[str, catalog.Parameter], format_: str | None) -> str:
    """What a platform's datastores are made of: its usual backing, or the first that takes the format."""
    usual = platform["backing"]
    choices = [str(usual.default), *map(str, usual.range)]
    return next((name for name in choices if format_ is None or fits(format_, name, platform)), choices[0])


def usual_locking(backing: str) -> str | None:
    """How hosts take the locks of a backing, as it is usual; None where no such lock is known."""
    usual = catalog.group("backings", backing).get("locking")
    return str(usual.default) if usual else None


def usual_raid(backing: str) -> str:
    """A backing that makes copies itself has bare disks below it; others the catalog's usual RAID level."""
    copies = float(catalog.value("backings", f"{backing}.redundancy"))
    return "raid-0" if copies > 1 else str(catalog.value("arrays", "array.raid"))


def usual_format(platform: dict[str, catalog.Parameter], backing: str) -> str:
    """A platform's usual delta format on a backing: its usual one, or the first that the backing takes."""
    usual = platform["format"]
    choices = [str(usual.default), *map(str, usual.range)]
    return next((name for name in choices if fits(name, backing, platform)), choices[0])


def fits(format_: str, backing: str, platform: dict[str, catalog.Parameter]) -> bool:
    """Whether a platform's deltas in a format can lie on a backing; the yardstick "exact" fits anywhere."""
    if format_ == "exact" or platform["in_guest"].default:
        return True
    return format_ in catalog.group("backings", backing)["format"].range
