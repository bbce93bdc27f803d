"""What takes the lock of a datastore: the kinds of operations that change its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

KINDS: Final = (
    *("growth", "power-on", "power-off", "vmotion", "lock-break"),
    *("snapshot-create", "snapshot-delete", "file-create", "file-delete"),
)
GROWTH, POWER_ON, POWER_OFF, VMOTION, LOCK_BREAK = range(5)  # codes: places in KINDS
FILE_CREATE, FILE_DELETE = KINDS.index("file-create"), KINDS.index("file-delete")


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations on one or more datastores, in order of time.

    Attributes
    ----------
    time_s : (n,) float64 array
        When each begins. [s]
    clone : (n,) int64 array
        Whose.
    host : (n,) int32 array
        Host that asks for the locks.
    kind : (n,) int8 array
        Place in `KINDS`.
    """

    time_s: NDArray[np.float64]
    clone: NDArray[np.int64]
    host: NDArray[np.int32]
    kind: NDArray[np.int8]

    @classmethod
    def none(cls) -> Self:
        """No operations."""
        return cls(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8))

    @classmethod
    def of(cls, *parts: Self) -> Self:
        """All operations of several, in order of time, clone and kind; equal ones keep their order."""
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__]
        order = np.lexsort((joined[3], joined[1], joined[0]))
        return cls(*(column[order] for column in joined))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of the operations, in their order."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))
