"""What a few more commands make of an array's latency, where the rest of its demand is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.array import ArrayModel
from clonesim.lun.device import checked_rates, mean_latency
from clonesim.lun.rates import Rates, backlog, full_intervals
from clonesim.lun.replica_cache import ArrayDemand, together
from clonesim.lun.serving import MINUTE_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KnownLoad:
    """An array under a known demand, asked what more writes make of its mean latency; made by `KnownLoad.of`.

    Attributes
    ----------
    array : ArrayModel
        That serves it.
    places : int
        Commands in it at most. [1]
    mean_s : (n,) float64 array
        Mean latency in each minute without more writes: `Served.latency_mean_s`. [s]
    """

    array: ArrayModel
    places: int
    mean_s: Floats
    _rates: Rates
    _work: Floats
    _full: NDArray[np.bool_]

    @classmethod
    def of(cls, demands: Sequence[ArrayDemand], array: ArrayModel, outstanding: int, mean_s: Floats) -> Self:
        """Of what `serve_luns` took, and the mean latency that it told."""
        asked = together(demands)
        rates = Rates(*checked_rates(*(getattr(asked, name) for name in Rates.__slots__)))
        work = rates.work(array, outstanding, MINUTE_S)
        return cls(array, outstanding, mean_s, rates, work, full_intervals(backlog(work)))

    def mean_with(self, writes: Ints, write_bytes: Ints) -> Floats:
        """Mean latency in each minute with so many writes and bytes of them besides. [s]

        Parameters
        ----------
        writes, write_bytes : (n,) int64 array
            What comes in each minute. [1, B]

        Notes
        -----
        What `serve_luns` would tell, to the last bit. Only minutes that get writes, or have a backlog with or without
        them, are computed anew: in all others nothing has changed.
        """
        anew = writes > 0
        if not anew.any():
            return self.mean_s
        more = np.flatnonzero(anew)
        rates = self._rates.with_writes(writes, write_bytes)
        work = self._work.copy()
        work[more] = rates.take(more).work(self.array, self.places, MINUTE_S)
        full = full_intervals(backlog(work))
        rows = np.flatnonzero(anew | full | self._full)
        mean = self.mean_s.copy()
        mean[rows] = mean_latency(self.array, *rates.a_second(work, full, MINUTE_S, rows).given(self.places))
        return mean
