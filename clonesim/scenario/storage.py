"""What the clones lie on: tables delta, luns, hosts and platform of a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from clonesim.errors import ParameterError, nearest
from clonesim.scenario import catalog
from clonesim.scenario.fields import Section, checked, cited, text

POWERS_OF_TWO = {"grain", "cluster_size", "block", "chunk", "volblocksize", "object"}


class DeltaDisk(Section):
    """The clones' copy-on-write disks.

    Attributes
    ----------
    format : str
        Delta format; the platform's unless given.
    parent : str
        What the delta is chained on: "flat" (a full disk) or the format of another delta.
    parameters : mapping
        Values that replace the format's catalog values.
    """

    table: ClassVar[str] = "delta"
    format: str = cited("platforms:generic.format", optional=True)
    parent: str = cited("scenario:delta.parent")
    parameters: dict[str, Any] = Field(default_factory=dict)

    @field_validator("parameters", mode="before")
    @classmethod
    def _of_the_format(cls, value: Any, info: ValidationInfo) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ParameterError("delta.parameters", value, "a table of the format's parameters is needed")
        name = info.data.get("format")
        if name is None:
            return dict(value)  # the format follows from the platform: checked by the rules
        return format_parameters(name, value)


class Luns(Section):
    """The datastores.

    Attributes
    ----------
    count : int
        LUNs; as many as `clones_per_lun` asks for unless given. [1]
    size : int
        Usable size of each. [B]
    backing : str
        What they are made of; the platform's unless given.
    placement : str
        "round-robin", "per-lun" (fill one after the other), "free-space" or "overcommit".
    clones_per_lun : int
        Most clones on one LUN ("per-lun"), and what `count` follows from. [1]
    overcommit : int
        View's storage overcommit: 1, 4, 7 or 15 times ("overcommit"). [1]
    reserve : float
        Share of each LUN that is kept free of deltas. [1]
    replica_lun : bool
        Whether the base image lies on a datastore of its own.
    """

    table: ClassVar[str] = "luns"
    count: int = cited("scenario:luns.count", optional=True)
    size: int = cited("scenario:luns.size")
    backing: str = cited("platforms:generic.backing", optional=True)
    placement: str = cited("scenario:luns.placement")
    clones_per_lun: int = cited("scenario:luns.clones_per_lun")
    overcommit: int = cited("scenario:luns.overcommit")
    reserve: float = cited("scenario:luns.reserve")
    replica_lun: bool = cited("scenario:luns.replica_lun")


class Hosts(Section):
    """The hypervisor servers.

    Attributes
    ----------
    count : int
        Hosts that see the LUNs. [1]
    memory_reservation : float
        Share of a clone's memory that is reserved: its swap file holds the rest. [1]
    """

    table: ClassVar[str] = "hosts"
    count: int = cited("scenario:hosts.count")
    memory_reservation: float = cited("scenario:hosts.memory_reservation")


class Platform(Section):
    """The product that makes the clones; it limits formats, backings, strategies and maxima.

    Attributes
    ----------
    name : str
        Platform of the catalog.
    """

    table: ClassVar[str] = "platform"
    name: str = cited("scenario:platform.name")


def format_parameters(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A delta format's parameters, checked against the catalog."""
    known = {**catalog.group("formats", "common"), **catalog.group("formats", name)}
    for key, value in given.items():
        if key not in known:
            allowed = f"{name} has {', '.join(known)}"
            raise ParameterError(f"delta.parameters.{key}", value, allowed, nearest(key, known))
    found = {key: checked(known[key], value, f"delta.parameters.{key}") for key, value in given.items()}
    for key in POWERS_OF_TWO & found.keys():
        if found[key] & (found[key] - 1):
            remedy = f"The catalog's default is {text(known[key].default, 'B')}."
            raise ParameterError(f"delta.parameters.{key}", given[key], "a power of two is needed", remedy)
    return found
