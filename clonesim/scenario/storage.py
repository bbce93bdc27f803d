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
    locking : str
        How hosts take a LUN's locks; the backing's usual way unless given, and none where it has no such lock.
    locks : mapping
        Values that replace the catalog's of the topic locks.
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
    locking: str | None = cited("backings:vmfs-5.locking", optional=True)
    locks: dict[str, Any] = Field(default_factory=dict)

    @field_validator("locks", mode="before")
    @classmethod
    def _of_the_locks(cls, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ParameterError("luns.locks", value, "a table of parameters of locks is needed")
        return lock_parameters(value)


class Hosts(Section):
    """The hypervisor servers.

    Attributes
    ----------
    count : int
        Hosts that see the LUNs. [1]
    memory_reservation : float
        Share of a clone's memory that is reserved: its swap file holds the rest. [1]
    read_cache : int
        Memory of each host that caches reads of base images; 0 for none. [B]
    memory : int
        Memory of a host that desktops can have. [B]
    cpu : int
        All cores of a host together. [MHz]
    admission : str
        HA's admission control: "slots", "percentage", "dedicated" (failover hosts that run nothing else) or "none".
    failures_tolerated : int
        Hosts that may fail; all but one where there are not more. [1]
    ha_era : str
        Rule that sizes slots: "vi3" (256 MHz and 256 MB where nothing is reserved) or "later" (32 MHz).
    desktop_cpu : int
        What a desktop at work consumes. [MHz]
    desktop_memory_active : float
        Share of its memory that a desktop touches within a minute. [1]
    """

    table: ClassVar[str] = "hosts"
    count: int = cited("scenario:hosts.count")
    memory_reservation: float = cited("scenario:hosts.memory_reservation")
    read_cache: int = cited("arrays:cache.host_read_cache")
    memory: int = cited("hosts:host.memory")
    cpu: int = cited("hosts:host.cpu")
    admission: str = cited("hosts:ha.admission")
    failures_tolerated: int = cited("hosts:ha.failures_tolerated")
    ha_era: str = cited("hosts:ha.era")
    desktop_cpu: int = cited("hosts:desktop.cpu")
    desktop_memory_active: float = cited("hosts:desktop.memory_active")


class ArrayDisks(Section):
    """The disk array that the datastores lie on.

    Attributes
    ----------
    media : str
        Kind of its disks.
    disks : int
        All of them, with spares. [1]
    raid : str
        What they are made into; raid-0 below backings that make copies themselves, unless given.
    spares : int
        Disks that serve nothing until another one fails. [1]
    disk_size : int
        Of each; the media's unless given. [B]
    read_cache : int
        Memory of the array for reads. [B]
    write_cache : int
        Memory in which writes are acknowledged; 0 for none. [B]
    shared : bool
        Whether all LUNs lie on all disks; if not, each has its own.
    queue_depth : int
        Commands of one LUN that are in the array at most. [1]
    host_outstanding : int
        Commands of one host on one LUN that are in the array at most. [1]
    """

    table: ClassVar[str] = "array"
    media: str = cited("arrays:array.media")
    disks: int = cited("arrays:array.disks")
    raid: str = cited("arrays:array.raid", optional=True)
    spares: int = cited("arrays:array.spares")
    disk_size: int = cited("arrays:array.disk_size", optional=True)
    read_cache: int = cited("arrays:array.read_cache")
    write_cache: int = cited("arrays:array.write_cache")
    shared: bool = cited("arrays:array.shared")
    queue_depth: int = cited("arrays:queue.lun_depth")
    host_outstanding: int = cited("arrays:queue.per_host")


class Platform(Section):
    """The product that makes the clones; it limits formats, backings, strategies and maxima.

    Attributes
    ----------
    name : str
        Platform of the catalog.
    provisioning : int
        Clones that are made at a time. [1]
    maintenance : int
        Clones that are refreshed or recomposed at a time. [1]
    power : int
        Clones that are powered on or off at a time. [1]
    """

    table: ClassVar[str] = "platform"
    name: str = cited("scenario:platform.name")
    provisioning: int = cited("operations:concurrency.provisioning")
    maintenance: int = cited("operations:concurrency.maintenance")
    power: int = cited("operations:concurrency.power")


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


def lock_parameters(given: Mapping[str, Any], path: str = "luns.locks.") -> dict[str, Any]:
    """Parameters of the catalog's topic `locks`, checked; tables inside, such as `commands`, become dotted names."""
    known = catalog.parameters("locks")
    flat: dict[str, Any] = {}
    for key, value in given.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        flat |= {f"{key}.{name}" if name else str(key): one for name, one in inner.items()}
    for key, value in flat.items():
        if key not in known:
            raise ParameterError(f"{path}{key}", value, f"locks have {', '.join(known)}", nearest(key, known))
    return {key: checked(known[key], value, f"{path}{key}") for key, value in flat.items()}
