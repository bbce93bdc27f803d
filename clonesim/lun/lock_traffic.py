"""What asks for the locks of a LUN: each operation as so many lock transactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import Backing, backing
from clonesim.lun.lock_model import NS, PARAMETERS, TOPIC, LockModel, lock_model
from clonesim.lun.operations import GROWTH, KINDS, Operations
from clonesim.scenario import catalog
from clonesim.scenario.storage import lock_parameters

COUNTS: Final = {kind: f"locks_per_{kind.replace('-', '_')}" for kind in KINDS} | {KINDS[GROWTH]: "locks_per_grow"}
CREATING: Final = ("snapshot-create", "snapshot-delete", "file-create", "file-delete")
NOTES: Final = {
    "whole-lun": "a transaction locks the whole LUN",
    "sector": "a transaction locks one sector",
    "create-delete": "growth takes no shared lock; creating and deleting queue for one, without conflicts",
    "none": "no operation takes a lock that another host can meet",
}


@dataclass(frozen=True, slots=True)
class LockTraffic:
    """A LUN's lock and what its operations ask of it; made by `lock_traffic`.

    Attributes
    ----------
    model : LockModel
        The lock.
    counts : (9,) tuple of int
        Lock transactions of one operation of each of `KINDS`; 0 where it takes no shared lock. [1]
    commands : int
        Commands to the LUN with which a transaction takes its lock; 0 if the lock is not on the LUN. [1]
    hold_ns : int
        How long a transaction holds it where the array's latency does not say. [ns]
    note : str
        What the backing's lock domain means.
    """

    model: LockModel
    counts: tuple[int, ...]
    commands: int
    hold_ns: int
    note: str


@dataclass(frozen=True, slots=True)
class LockRequests:
    """Lock transactions of one LUN, in order of time.

    Attributes
    ----------
    time_s : (n,) float64 array
        Earliest time of each: that of its operation. [s]
    clone : (n,) int64 array
        Who waits for it.
    host : (n,) int64 array
        Who asks.
    kind : (n,) int8 array
        Place in `KINDS`.
    operation : (n,) int64 array
        Row of the operation that it is a part of.
    """

    time_s: NDArray[np.float64]
    clone: NDArray[np.int64]
    host: NDArray[np.int64]
    kind: NDArray[np.int8]
    operation: NDArray[np.int64]

    @property
    def time_ns(self) -> NDArray[np.int64]:
        """Earliest time of each. [ns]"""
        return np.rint(self.time_s * NS).astype(np.int64)


def lock_traffic(
    where: str | Backing = "vmfs-5",
    locking: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    replicate: int = 0,
    lun: int = 0,
) -> LockTraffic:
    """Lock of a LUN on some backing, and what its operations ask of it.

    Parameters
    ----------
    where : str or Backing, default "vmfs-5"
        What the LUN is made of.
    locking : str, optional
        One of the backing's `lockings`; the usual one unless given.
    parameters : mapping, optional
        Values that replace the catalog's of the topic `locks`. Those of other lockings have no effect.
    seed, replicate, lun : int, default 0
        Name the stream of the draws. [1]

    Returns
    -------
    LockTraffic
        With lock domain "create-delete" a first-come-first-served lock that only creating and deleting takes, held for
        `create_delete_hold`; with "none" nothing asks for a lock.

    Raises
    ------
    ParameterError
        If the backing has no such locking, or a parameter is unknown or out of range.

    Examples
    --------
    >>> lock_traffic("vmfs-3").model.name
    'scsi-reservation'
    >>> lock_traffic("nfs").counts
    (0, 0, 0, 0, 0, 2, 2, 1, 1)
    """
    kind = backing(where) if isinstance(where, str) else where
    own = lock_parameters(parameters or {}, "")
    keys = {"seed": seed, "replicate": replicate, "lun": lun}

    def value(name: str) -> Any:
        return own[name] if name in own else catalog.value(TOPIC, name)

    per_kind = {name: int(value(counted)) for name, counted in COUNTS.items()}
    if not kind.lockings:
        if locking is not None:
            allowed = f"{kind.name} has no locks that hosts contend for"
            raise ParameterError("luns.locking", locking, allowed, "Leave it out.")
        takes = CREATING if kind.lock_domain == "create-delete" else ()
        counts = tuple(per_kind[name] if name in takes else 0 for name in KINDS)
        return LockTraffic(
            lock_model("fifo", **keys), counts, 0, round(value("create_delete_hold") * NS), NOTES[kind.lock_domain]
        )
    name = locking or kind.lockings[0]
    if name not in kind.lockings:
        allowed = f"{kind.name} has {', '.join(kind.lockings)}"
        raise ParameterError("luns.locking", name, allowed, f"Its usual one is {kind.lockings[0]!r}.")
    model = lock_model(name, **{key: own[key] for key in PARAMETERS[name] if key in own}, **keys)
    commands = value("commands.ats" if name.startswith("ats") else "commands.scsi-reservation")
    domain = "sector" if name.startswith("ats") else "whole-lun"
    return LockTraffic(
        model, tuple(per_kind[one] for one in KINDS), int(commands), round(value("hold") * NS), NOTES[domain]
    )


def lock_requests(operations: Operations, locks: LockTraffic, counts: Mapping[str, int] | None = None) -> LockRequests:
    """Lock transactions of operations, each operation's one behind the other.

    Parameters
    ----------
    operations : Operations
        In order of time.
    locks : LockTraffic
        Says how many each takes.
    counts : mapping, optional
        Numbers by the names of `KINDS` that replace those of `locks`. [1]

    Raises
    ------
    ParameterError
        If a kind is unknown, a number is not a whole number from 0 up, or the operations are not in order of time.
    """
    per_kind = np.array(locks.counts, np.int64)
    for name, count in (counts or {}).items():
        if name not in KINDS:
            raise ParameterError(f"counts.{name}", count, f"operations are {', '.join(KINDS)}")
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
            raise ParameterError(f"counts.{name}", count, "a whole number from 0 up is needed")
        per_kind[KINDS.index(name)] = count
    late = np.flatnonzero(np.diff(operations.time_s) < 0)
    if late.size:
        row = int(late[0]) + 1
        allowed = f"row {row} is earlier than row {row - 1} ({float(operations.time_s[row - 1])!r})"
        raise ParameterError("operations.time_s", float(operations.time_s[row]), allowed, "Sort them: Operations.of.")
    operation = np.repeat(np.arange(operations.time_s.size), per_kind[operations.kind])
    return LockRequests(
        operations.time_s[operation],
        operations.clone[operation].astype(np.int64),
        operations.host[operation].astype(np.int64),
        operations.kind[operation],
        operation,
    )
