"""A block trace replayed on a fresh delta."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clonesim.delta.disk import Delta
from clonesim.errors import ParameterError
from clonesim.ops import BlockOp, Requests
from clonesim.scenario import catalog


class BlockTrace(Protocol):
    """What a trace must have: block requests in order of time, as `clonesim.ops.Requests` has them."""

    @property
    def time_s(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def op(self) -> NDArray[np.uint8]: ...  # noqa: D102
    @property
    def offset(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def length(self) -> NDArray[np.int64]: ...  # noqa: D102


def replay(
    trace: BlockTrace,
    format: str = "vmfs-sparse",  # noqa: A002 (the name of the delta's format everywhere)
    capacity: str | int | None = None,
    **parameters: Any,
) -> Delta:
    """Delta that a clone has after a block trace.

    Parameters
    ----------
    trace : Trace or Requests
        Block requests in order of time.
    format : str, default "vmfs-sparse"
        One of `clonesim.delta.FORMATS`.
    capacity : str or int, optional
        Size of the disk; by default the highest end of a request, rounded up to a power of two of GiB. [B]
    **parameters
        Values in place of the format's catalog values, by name; `track_unique=False` saves the sector bits.

    Returns
    -------
    Delta
        Keeps the requests, so that `table` is exact at any second.

    Raises
    ------
    ParameterError
        If the times are not in order, a request lies outside the disk, or a parameter is not allowed.
    """
    requests = Requests(trace.time_s, trace.op, trace.offset, trace.length)
    backwards = np.flatnonzero(requests.time_s[1:] < requests.time_s[:-1])
    if backwards.size:
        row = int(backwards[0]) + 1
        allowed = f"times must not fall (the request before it came at {requests.time_s[row - 1]} s)"
        raise ParameterError(
            f"time_s of request {row}", float(requests.time_s[row]), allowed, "Sort the trace by time."
        )
    if capacity is None:
        capacity = trace_capacity(requests)
    track = bool(parameters.pop("track_unique", True))
    delta = Delta(format, capacity, track_unique=track, **parameters)
    delta.keep_requests()
    delta.apply(requests)
    return delta


def trace_capacity(requests: Requests) -> int:
    """Least power of two of GiB that holds every request of a trace. [B]"""
    unit = int(catalog.value("formats", "replay.capacity_rounding"))
    placed = requests.op != BlockOp.FLUSH
    end = int((requests.offset[placed] + requests.length[placed]).max(initial=0))
    size = unit
    while size < end:
        size *= 2
    return size
