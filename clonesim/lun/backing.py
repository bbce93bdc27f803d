"""What a datastore lies on: its lock domain, allocation unit, redundancy, and what happens when it is full."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.scenario import catalog

TOPIC = "backings"
NO_BACKINGS = {"hypervisors", "platforms", "replica", "overcommit", "datastore"}  # the topic's other tables
YARDSTICK = "exact"  # the delta format that is no product's and so fits anywhere
GROWTH_LOCKS = {"whole-lun": True, "sector": True, "create-delete": False, "none": False}
HALT, ERROR, BLOCK, REFUSE = "halt", "error", "block", "refuse"


@dataclass(frozen=True, slots=True)
class Backing:
    """One kind of datastore; the values and their sources are in the catalog's topic `backings`.

    Attributes
    ----------
    name, title : str
        Such as "vmfs-5", and what that is.
    lock_domain : {"whole-lun", "sector", "create-delete", "none"}
        What a growing delta locks against other hosts.
    allocation_unit : int
        Files take whole units. [B]
    redundancy : float
        Array bytes per datastore byte, as far as the backing itself makes copies. Capacities are counted before it. [1]
    formats : tuple of str
        Delta formats that fit, the usual one first; "exact" is not named and fits anywhere.
    when_full : {"halt", "error", "block", "refuse"}
        What happens to a guest then; the catalog's file says what the names mean.
    full_share : float
        Share of the capacity at which that happens. [1]
    shared : bool
        Whether several hosts can use one datastore.
    replica_hosts : int
        Hosts that may share one base image; 0 stands for no limit. [1]
    hypervisors : tuple of str
        Who uses such datastores, the usual one first.
    lockings : tuple of str
        How hosts may take its locks, the usual way first; none where no such lock is known.
    """

    name: str
    title: str
    lock_domain: str
    allocation_unit: int
    redundancy: float
    formats: tuple[str, ...]
    when_full: str
    full_share: float
    shared: bool
    replica_hosts: int
    hypervisors: tuple[str, ...]
    lockings: tuple[str, ...]

    @property
    def locks_on_growth(self) -> bool:
        """Whether a growth step takes a lock that other hosts can meet."""
        return GROWTH_LOCKS[self.lock_domain]

    def fits(self, format: str) -> bool:  # noqa: A002 (the name of the delta's format everywhere)
        """Whether deltas of this format can lie here."""
        return format == YARDSTICK or format in self.formats

    @overload
    def allocated(self, file_bytes: int) -> int: ...
    @overload
    def allocated(self, file_bytes: NDArray[np.int64]) -> NDArray[np.int64]: ...
    def allocated(self, file_bytes: Any) -> Any:
        """Datastore bytes of a file, or of each of an array of files: whole allocation units. [B]"""
        return -(-file_bytes // self.allocation_unit) * self.allocation_unit

    def array_bytes(self, datastore_bytes: int) -> int:
        """Bytes on disks after the copies that the backing makes, rounded up. [B]"""
        return int(np.ceil(datastore_bytes * self.redundancy))

    def limit(self, capacity: int) -> int:
        """Bytes at which a datastore of this capacity is full. [B]"""
        return capacity if self.full_share == 1 else int(capacity * self.full_share)


def _names() -> tuple[str, ...]:
    heads = dict.fromkeys(name.split(".")[0] for name in catalog.parameters(TOPIC))
    return tuple(name for name in heads if name not in NO_BACKINGS)


BACKINGS: tuple[str, ...] = _names()


@cache
def backing(name: str) -> Backing:
    """Backing of a name, with the catalog's defaults.

    Raises
    ------
    ParameterError
        If the name is unknown.

    Examples
    --------
    >>> backing("vmfs-6").formats
    ('se-sparse',)
    """
    if name not in BACKINGS:
        raise ParameterError("luns.backing", name, f"allowed are {', '.join(map(repr, BACKINGS))}")
    cited = catalog.group(TOPIC, name)
    return Backing(
        name=name,
        title=catalog.text(TOPIC, name, "title"),
        lock_domain=cited["lock_domain"].default,
        allocation_unit=cited["allocation_unit"].default,
        redundancy=float(cited["redundancy"].default),
        formats=_usual_first(cited["format"]),
        when_full=cited["when_full"].default,
        full_share=float(cited["full_share"].default),
        shared=cited["shared"].default,
        replica_hosts=cited["replica_hosts"].default,
        hypervisors=_usual_first(cited["hypervisor"]),
        lockings=_usual_first(cited["locking"]) if "locking" in cited else (),
    )


def _usual_first(names: catalog.Parameter) -> tuple[str, ...]:
    return (names.default, *(name for name in names.range if name != names.default))


def check_capacity(capacity: int, name: str = "luns.size") -> int:
    """Return a datastore's capacity, or raise a ParameterError if it is not a positive number of bytes."""
    if isinstance(capacity, bool) or not isinstance(capacity, (int, np.integer)) or capacity < 1:
        allowed = "a whole number of bytes from 1 up is needed"
        raise ParameterError(name, capacity, allowed, "Write for example '1 TiB'.")
    return int(capacity)
