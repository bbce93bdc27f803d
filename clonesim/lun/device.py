"""Latency of an array under load: an open queue below saturation, Little's law for what it holds at most.

docs/array-model.md derives it and says what is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.lun.array import ArrayModel
from clonesim.lun.response_laws import closed_share, erlang_c, quantile, saturated_shape, sum_tail

Floats = NDArray[np.float64]
SHARE = 0.95
NEARLY = 1 - 1e-9  # highest load that the open queue's formulas are asked for


@dataclass(frozen=True, slots=True)
class Latency:
    """Response of the array, from the command's arrival in the array to its end, reads and writes together.

    Attributes
    ----------
    mean_s, p95_s : (n,) float64 array
        Mean, and what 95 % do not exceed. [s]
    utilisation : (n,) float64 array
        Asked rate over the highest rate that this mix reaches, at most 1. [1]
    queue_full : (n,) bool array
        Whether more is asked than that: all places in the array are taken, and the rest waits in the hosts.
    """

    mean_s: Floats
    p95_s: Floats
    utilisation: Floats
    queue_full: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Mix:
    """One I/O on average of each interval: what it asks of disks and controllers."""

    reads: Floats  # from the disks, per I/O
    writes: Floats  # per I/O
    service_s: Floats  # of a disk command, with its transfer
    commands: Floats  # of all disks, per I/O
    read_part: Floats  # of those commands
    front_s: Floats  # of the controller and its ports

    def disk_load(self, array: ArrayModel) -> Floats:
        """Load of a disk's channels at one I/O per second."""
        return self.commands * self.service_s / (array.working_disks * array.channels)


def latency(
    array: ArrayModel,
    reads_per_s: ArrayLike,
    writes_per_s: ArrayLike,
    outstanding: int,
    read_bytes_per_s: ArrayLike | None = None,
    write_bytes_per_s: ArrayLike | None = None,
    read_hits: ArrayLike = 0.0,
) -> Latency:
    """Latency of the array at given rates, each interval as if its rates had always been there.

    Parameters
    ----------
    array : ArrayModel
        That serves them.
    reads_per_s, writes_per_s : (n,) array or float
        I/Os that reach the array. [1/s]
    outstanding : int
        Commands that are in the array at most. [1]
    read_bytes_per_s, write_bytes_per_s : (n,) array or float, optional
        Their bytes; without them transfers take no time. [B/s]
    read_hits : (n,) array or float, default 0
        Share of the reads that the array's cache serves. [1]

    Raises
    ------
    ParameterError
        If a rate is negative or not finite, or there is no place for a command.

    Notes
    -----
    An interval without I/O gets the latency of the idle array, for as many reads as writes.
    """
    rates = checked_rates(reads_per_s, writes_per_s, read_bytes_per_s, write_bytes_per_s, read_hits)
    state = _State.of(array, rates, check_outstanding(outstanding))
    p95 = np.where(state.full, np.inf, state.queue.p95_s(array, state.mix))
    return Latency(
        state.mean_s,
        _held(array, state.mix, state.commands, p95, state.most_s),
        np.minimum(state.load, 1.0),
        state.full,
    )


def mean_latency(
    array: ArrayModel,
    reads_per_s: ArrayLike,
    writes_per_s: ArrayLike,
    outstanding: int,
    read_bytes_per_s: ArrayLike | None = None,
    write_bytes_per_s: ArrayLike | None = None,
    read_hits: ArrayLike = 0.0,
) -> Floats:
    """Mean of `latency`, to the last bit, without its 95th percentile, which takes most of the time. [s]"""
    rates = checked_rates(reads_per_s, writes_per_s, read_bytes_per_s, write_bytes_per_s, read_hits)
    return _State.of(array, rates, check_outstanding(outstanding)).mean_s


def unit_load(
    array: ArrayModel,
    reads: Floats,
    writes: Floats,
    read_bytes: Floats,
    write_bytes: Floats,
    read_hits: Floats,
    outstanding: int | None = None,
) -> Floats:
    """Load of the array at one I/O per second of a mix; its inverse is the highest rate. [s]

    Parameters
    ----------
    array : ArrayModel
        That serves them.
    reads, writes : (n,) float64 array
        Per I/O; they add up to 1. [1]
    read_bytes, write_bytes : (n,) float64 array
        Per read and per write. [B]
    read_hits : (n,) float64 array
        Share of the reads that the array's cache serves. [1]
    outstanding : int, optional
        Commands that are in the array at most; without a limit unless given. [1]
    """
    commands = None if outstanding is None else check_outstanding(outstanding)
    return _unit_load(array, _mix(array, reads, writes, reads * read_bytes, writes * write_bytes, read_hits), commands)


def _mix(array: ArrayModel, reads: Floats, writes: Floats, read_rate: Floats, write_rate: Floats, hits: Floats) -> _Mix:
    """The two rates are bytes of reads and of writes per I/O."""
    from_disks, to_disks = reads * (1 - hits), writes * array.write_cost
    commands = from_disks + to_disks
    moved = read_rate * (1 - hits) + write_rate * array.write_cost
    each = np.divide(moved, commands, out=np.zeros_like(moved), where=commands > 0)
    part = np.divide(from_disks, commands, out=np.zeros_like(moved), where=commands > 0)
    service = array.service_s + array.channels * each / array.transfer
    front = np.maximum(1 / array.controller_iops, (read_rate + write_rate) / array.bandwidth)
    return _Mix(from_disks, writes, service, commands, part, front)


@dataclass(frozen=True, slots=True)
class _OpenQueue:
    """The array as an open queue: times of each interval's commands."""

    waits: Floats  # probability that a disk command waits
    waiting_s: Floats  # of a command that waits, exponential
    disk_s: Floats  # mean response of a disk
    front_s: Floats  # mean response of the controller's queue
    mean_s: Floats

    @classmethod
    def of(cls, array: ArrayModel, mix: _Mix, rate: Floats) -> Self:
        load = np.minimum(rate * mix.disk_load(array), NEARLY)
        waits = erlang_c(array.channels, load)
        waiting_s = mix.service_s / (array.channels * (1 - load))
        disk_s = mix.service_s + waits * waiting_s
        front_s = mix.front_s / (1 - np.minimum(rate * mix.front_s, NEARLY))
        mean_s = array.controller_latency_s + front_s + disk_s * (mix.reads + _synchronous(array, mix))
        return cls(waits, waiting_s, disk_s, front_s, mean_s)

    def p95_s(self, array: ArrayModel, mix: _Mix) -> Floats:
        """95th percentile of the response."""
        front_s, waits = self.front_s, self.waits
        written = np.zeros_like(mix.writes) if array.write_back else mix.writes
        parts = [
            (1 - mix.reads - written, *sum_tail([front_s])),
            (mix.reads * (1 - waits), *sum_tail([front_s, mix.service_s])),
            (mix.reads * waits, *sum_tail([front_s, mix.service_s, self.waiting_s])),
        ]
        if not array.write_back:
            steps = [self.disk_s / k for k in range(1, array.write_width + 1)] * array.phases
            parts.append((written, *sum_tail([front_s, *steps])))
        return array.controller_latency_s + quantile(parts, SHARE)


@dataclass(frozen=True, slots=True)
class _State:
    """The array at given rates, at most `commands` in it."""

    mix: _Mix
    commands: int
    load: Floats  # asked rate over the highest that this mix reaches
    most_s: Floats  # Little: places / highest rate
    queue: _OpenQueue

    @classmethod
    def of(cls, array: ArrayModel, rates: tuple[Floats, ...], commands: int) -> Self:
        """Of rates that `checked_rates` gave."""
        reads, writes, read_rate, write_rate, hits = rates
        total = reads + writes
        idle = total == 0
        per = np.where(idle, 1.0, total)
        share = np.where(idle, 0.5, reads / per)
        mix = _mix(array, share, 1 - share, read_rate / per, write_rate / per, hits)
        each = _unit_load(array, mix, commands)
        queue = _OpenQueue.of(array, mix, np.minimum(total, 1 / each))
        return cls(mix, commands, total * each, commands * each, queue)

    @property
    def full(self) -> NDArray[np.bool_]:
        """Whether more is asked than the array reaches."""
        return self.load > 1.0

    @property
    def mean_s(self) -> Floats:
        """Mean response."""
        return np.where(self.full, self.most_s, np.minimum(self.queue.mean_s, self.most_s))


def _harmonic(width: int) -> float:
    """Mean of the largest of so many exponential times of mean 1."""
    return sum(1 / k for k in range(1, width + 1))


def _unit_load(array: ArrayModel, mix: _Mix, commands: int | None) -> Floats:
    disk = mix.disk_load(array)
    if commands is None:
        return np.maximum(disk, mix.front_s)
    reached = closed_share(array.working_disks, array.channels, commands)
    behind = mix.read_part if array.write_back else np.ones_like(disk)  # a cache keeps disks busy with many writes
    disk = disk * (1 + behind * (1 / reached - 1))
    alone = array.controller_latency_s + mix.front_s + mix.service_s * (mix.reads + _synchronous(array, mix))
    return np.maximum(np.maximum(disk, mix.front_s), alone / commands)


def _synchronous(array: ArrayModel, mix: _Mix) -> Floats:
    """Disk responses, one after the other, that an I/O waits for on average because it is a write."""
    if array.write_back:
        return np.zeros_like(mix.writes)
    return mix.writes * array.phases * _harmonic(array.write_width)


def _held(array: ArrayModel, mix: _Mix, commands: int, p95: Floats, most: Floats) -> Floats:
    """95th percentile where the mean is at most `most`: all commands in the disks, or all in the controller's queue."""
    shapes = [saturated_shape(array.working_disks, commands), float(commands)]
    in_disks, in_front = (_gamma_quantile(shape) for shape in shapes)
    bound = most * np.where(mix.front_s > mix.disk_load(array), in_front, in_disks)
    over = p95 > bound
    if over.any():
        rows = _Mix(*(getattr(mix, name)[over] for name in _Mix.__slots__))
        alone = _OpenQueue.of(array, rows, np.zeros(int(over.sum()))).p95_s(array, rows)
        bound[over] = np.minimum(p95[over], np.maximum(alone, bound[over]))
    return np.where(over, bound, p95)


def _gamma_quantile(shape: float) -> float:
    """95th percentile of a gamma law of mean 1."""
    from scipy.special import gammaincinv

    return float(gammaincinv(shape, SHARE)) / shape


def checked_rates(
    reads: ArrayLike,
    writes: ArrayLike,
    read_bytes: ArrayLike | None,
    write_bytes: ArrayLike | None,
    read_hits: ArrayLike,
) -> tuple[Floats, ...]:
    """All of one length, as float64, or a ParameterError."""
    named = {"reads": reads, "writes": writes, "read_bytes": read_bytes, "write_bytes": write_bytes}
    named["read_hits"] = read_hits
    arrays = {name: np.atleast_1d(np.asarray(0.0 if v is None else v, np.float64)) for name, v in named.items()}
    for name, values in arrays.items():
        bad = ~np.isfinite(values) | (values < 0) | ((values > 1) if name == "read_hits" else False)
        if values.ndim != 1 or bad.any():
            allowed = "shares from 0 to 1 are needed" if name == "read_hits" else "finite numbers from 0 up are needed"
            raise ParameterError(name, float(values[bad][0]) if values.ndim == 1 else named[name], allowed)
    try:
        return tuple(np.ascontiguousarray(each) for each in np.broadcast_arrays(*arrays.values()))
    except ValueError:
        lengths = {name: values.size for name, values in arrays.items()}
        raise ParameterError("lengths", lengths, "one value per interval is needed, or one for all") from None


def check_outstanding(commands: int) -> int:
    """Places in the array, or a ParameterError."""
    if isinstance(commands, bool) or not isinstance(commands, (int, np.integer)) or commands < 1:
        allowed = "a whole number from 1 up is needed"
        raise ParameterError("outstanding", commands, allowed, "Take the LUN's depth or hosts x commands per host.")
    return int(commands)
