"""A block trace replayed on a fresh delta."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clonesim.delta.disk import Delta, last_moments
from clonesim.errors import ParameterError
from clonesim.ops import BlockOp, Requests
from clonesim.scenario import catalog


@runtime_checkable
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
    trace: BlockTrace | Iterable[BlockTrace],
    format: str = "vmfs-sparse",  # noqa: A002 (the name of the delta's format everywhere)
    capacity: str | int | None = None,
    *,
    at: Sequence[float] | NDArray[np.float64] | None = None,
    **parameters: Any,
) -> Delta:
    """Delta that a clone has after a block trace.

    Parameters
    ----------
    trace : Trace, Requests, or a series of them
        Block requests in order of time; a series, such as `clonesim.iter_trace` gives, is taken part by part.
    format : str, default "vmfs-sparse"
        One of `clonesim.delta.FORMATS`.
    capacity : str or int, optional
        Size of the disk; by default the highest end of a request, rounded up to a power of two of GiB. For that a
        stream is read once more, and other series need it given. [B]
    at : sequence of float, optional
        Seconds at which the table of a series is to be exact. [s]
    **parameters
        Values in place of the format's catalog values, by name; `track_unique=False` saves the sector bits.

    Returns
    -------
    Delta
        Of one trace it keeps the requests, so that `table` is exact at any second. Of a series it keeps none: `table`
        is exact at the seconds of `at` and at the end; in between it has the state at the last of these, or at the end
        of a part, before that second.

    Raises
    ------
    ParameterError
        If the times are not in order, a request lies outside the disk, a series holds several devices, or a parameter
        is not allowed.
    """
    track = bool(parameters.pop("track_unique", True))
    if isinstance(trace, BlockTrace):
        requests = _in_order(trace, -np.inf, 0)
        if capacity is None:
            capacity = trace_capacity(requests)
        delta = Delta(format, capacity, track_unique=track, **parameters)
        delta.keep_requests()
        delta.apply(requests)
        return delta
    if capacity is None:
        capacity = _rounded(_end_of(trace))
    delta = Delta(format, capacity, track_unique=track, **parameters)
    moments = np.sort(last_moments(np.asarray([] if at is None else at, np.float64)))
    last_s, rows = -np.inf, 0
    for part in trace:
        _check_one_device(part)
        requests = _in_order(part, last_s, rows)
        cuts = np.unique(np.searchsorted(requests.time_s, moments, side="right"))
        for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(requests)], strict=True):
            if end > begin:
                delta.apply(requests[begin:end])
        if len(requests):
            last_s, rows = float(requests.time_s[-1]), rows + len(requests)
    return delta


def _in_order(trace: BlockTrace, last_s: float, rows: int) -> Requests:
    """Requests of a trace, or of a part that follows `rows` others, the last of them at `last_s`."""
    requests = Requests(trace.time_s, trace.op, trace.offset, trace.length)
    backwards = np.flatnonzero(np.diff(requests.time_s, prepend=last_s) < 0) if len(requests) else np.zeros(0, np.int64)
    if backwards.size:
        row = int(backwards[0])
        before = requests.time_s[row - 1] if row else last_s
        allowed = f"times must not fall (the request before it came at {before} s)"
        time_s = float(requests.time_s[row])
        raise ParameterError(f"time_s of request {rows + row}", time_s, allowed, "Sort the trace by time.")
    return requests


def _end_of(series: Iterable[BlockTrace]) -> int:
    end = getattr(series, "end_bytes", None)
    if end is None:
        allowed = "the size of the disk cannot be told before a series of parts has been read"
        raise ParameterError("capacity", None, allowed, "Give it, such as capacity='64 GiB'.")
    return cast(int, end)


def _check_one_device(part: BlockTrace) -> None:
    """Refuse a part of several disks: their blocks must not be laid over each other."""
    devices = getattr(part, "devices", ())
    if len(devices) > 1:
        text = part.devices_text() if hasattr(part, "devices_text") else ", ".join(devices[:10])
        allowed = f"{getattr(part, 'path', 'the trace')} has, as far as it was read, {text}"
        raise ParameterError("device", None, allowed, "Name the one to replay.")


def trace_capacity(requests: Requests) -> int:
    """Least power of two of GiB that holds every request of a trace. [B]"""
    placed = requests.op != BlockOp.FLUSH
    return _rounded(int((requests.offset[placed] + requests.length[placed]).max(initial=0)))


def _rounded(end: int) -> int:
    unit = int(catalog.value("formats", "replay.capacity_rounding"))
    size = unit
    while size < end:
        size *= 2
    return size
