"""Which host a clone runs on, over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host of each clone over time.

    Attributes
    ----------
    first : (clones,) int32 array
        Host at the start.
    clone, time_s, host : (moves,) int32, float64 and int32 arrays
        Which clone moves when and to which host, in order of clone and time.
    """

    first: NDArray[np.int32]
    clone: NDArray[np.int32]
    time_s: Times
    host: NDArray[np.int32]

    @classmethod
    def fixed(cls, first: NDArray[np.int32]) -> Self:
        """Clones that stay where they are."""
        none = np.zeros(0, np.int32)
        return cls(first, none, np.zeros(0), none)

    def at(self, clone: int, times_s: Times) -> NDArray[np.int32]:
        """Host of one clone at these times; at the time of a move it is the new one. (n,) int32 array."""
        mine = slice(*np.searchsorted(self.clone, (clone, clone + 1)))
        places = np.concatenate([self.first[clone : clone + 1], self.host[mine]])
        return places[np.searchsorted(self.time_s[mine], times_s, side="right")]

    def of(self, clones: Ints, times_s: Times) -> NDArray[np.int32]:
        """Host of each of these clones at its own time. (n,) int32 array."""
        moves = self.clone.size
        whose = np.concatenate([self.clone, clones])
        when_s = np.concatenate([self.time_s, times_s])
        order = np.lexsort((np.arange(whose.size) >= moves, when_s, whose))  # a move comes before who asks at its time
        last = np.maximum.accumulate(np.where(order < moves, order, -1))  # place of the last move so far
        asked = order >= moves
        found = self.first[clones].copy()
        move, query = last[asked], order[asked] - moves
        mine = (move >= 0) & (self.clone[move] == clones[query]) if moves else np.zeros(query.size, np.bool_)
        found[query[mine]] = self.host[move[mine]]
        return found
