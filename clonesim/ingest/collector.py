"""The good rows of a trace put together, in order of time: all at once, or in parts of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError, TraceError
from clonesim.ingest.limits import most, or_raise
from clonesim.ingest.rows import ROW_REMEDY, WAIT, BadRow, Columns, Layout
from clonesim.ops import BlockOp, Requests
from clonesim.units import GIB


class Collected(NamedTuple):
    """Rows that a Collector gives up."""

    requests: Requests
    device: NDArray[np.int32]
    devices: tuple[str, ...]
    first_tick: int
    file: NDArray[np.int32] | None
    files: tuple[str, ...]


class Collector:
    """Puts the good rows of a trace together and reports or counts the bad ones.

    Parameters
    ----------
    path : Path
        The file, for messages.
    layout : Layout
        Units of the columns.
    skip_bad_rows : bool
        Count bad rows instead of refusing the trace.
    device : str, optional
        Keep the rows of this device only.

    Attributes
    ----------
    rows : int
        Rows that stand for commands, bad ones and those of other devices included.
    skipped : list of BadRow
        Rows left out.
    ignored : Counter
        Rows that are no commands, by what they are.
    devices : dict of str to int
        Their numbers.
    out_of_order : int
        Rows whose time is earlier than that of the row before them.
    """

    def __init__(self, path: Path, layout: Layout, skip_bad_rows: bool, device: str | None = None) -> None:
        self.path, self.layout, self.skip_bad_rows, self.only = path, layout, skip_bad_rows, device
        self.rows = self.out_of_order = 0
        self.skipped: list[BadRow] = []
        self.ignored: Counter[str] = Counter()
        self.devices: dict[str, int] = {}
        self.files: dict[str, int] = {}
        self._ticks, self._offset, self._length = (_Growing(np.dtype(np.int64)) for _ in range(3))
        self._op, self._device = _Growing(np.dtype(np.uint8)), _Growing(np.dtype(np.int32))
        self._file: _Growing | None = None
        self._written: NDArray[np.float64] = np.zeros(0)
        self._clock = 0
        self._first: int | None = None  # earliest time of all devices
        self._last: int | None = None  # of the row before, in the file
        self._given: int | None = None  # latest time handed out
        self._kept = False
        self._most = {name: most(name) for name in ("trace_commands", "trace_bad_rows", "trace_names")}

    def __len__(self) -> int:
        return self._ticks.used

    def bad(self, row: BadRow, hint: str = "") -> None:
        """Count a bad row, or refuse the trace."""
        if not self.skip_bad_rows:
            told = f"{hint} {ROW_REMEDY}" if hint else ROW_REMEDY
            raise TraceError(self.path, row.problem, told, row.line, row.field, row.value)
        self.leave_out([row])

    def leave_out(self, rows: Iterable[BadRow]) -> None:
        """Count rows that are left out."""
        self.skipped += rows
        self._check("trace_bad_rows", len(self.skipped), "bad rows", "Read it in parts (iter_trace, --stream)")

    def _check(self, name: str, count: int, what: str, instead: str) -> None:
        """Refuse a trace that has more of something than memory is meant for."""
        if count > self._most[name]:
            raise TraceError(self.path, f"holds more than {self._most[name]} {what}", or_raise(name, instead))

    def add(self, columns: Columns, rows: int | None = None) -> None:
        """Take over good rows; `rows` counts the file's rows behind them where some were bad."""
        waits = columns.code == WAIT
        self.rows += (len(columns) if rows is None else rows) - int(np.count_nonzero(waits))
        ticks = self._clocked(columns, waits) if columns.time is None else columns.time
        if waits.any():
            ticks, columns = ticks[~waits], columns.keep(~waits)
        if not len(columns):
            return
        self._watch(ticks)
        codes = np.array([self.devices.setdefault(name, len(self.devices)) for name in columns.names], np.int32)
        self._check("trace_names", len(self.devices), "devices", "Name a block trace")
        device = codes[columns.device]
        length = columns.length
        if self.layout.length_block != 1:
            length = length * self.layout.length_block
        if self.only is not None:
            self._weigh(device, columns.code, length)
            mine = device == self.devices.get(self.only, -1)
            ticks, columns, device, length = ticks[mine], columns.keep(mine), device[mine], length[mine]
            if not len(columns):
                return
        if self._given is not None and int(ticks.min()) < self._given:
            self._refuse_late(int(ticks.min()), self._given)
        self._kept = True
        self._check("trace_commands", len(self) + ticks.size, "commands", "Read it in parts (iter_trace, --stream)")
        self._ticks.append(ticks)
        self._op.append(columns.code)
        self._offset.append(columns.offset * self.layout.block if self.layout.block != 1 else columns.offset)
        self._length.append(length)
        self._device.append(device)
        if columns.file is not None:
            numbers = np.array([self.files.setdefault(name, len(self.files)) for name in columns.files], np.int32)
            self._check("trace_names", len(self.files), "names of files", "Cut the trace")
            self._file = self._file or _Growing(np.dtype(np.int32))
            self._file.append(numbers[columns.file])

    def _clocked(self, columns: Columns, waits: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Time of each row where a wait row says "not before this time"."""
        ticks = np.maximum.accumulate(np.maximum(np.where(waits, columns.offset, 0), self._clock))
        if ticks.size:
            self._clock = int(ticks[-1])
        return ticks

    def _watch(self, ticks: NDArray[np.int64]) -> None:
        """Keep the earliest time, and count the rows that stand after a later one."""
        self.out_of_order += int(np.count_nonzero(ticks[1:] < ticks[:-1]))
        self.out_of_order += self._last is not None and int(ticks[0]) < self._last
        self._last = int(ticks[-1])
        first = int(ticks.min())
        if self._first is not None and first < self._first and self._given is not None:
            self._refuse_late(first, self._first)
        self._first = first if self._first is None else min(first, self._first)

    def _refuse_late(self, late: int, given: int) -> None:
        per_s = self.layout.ticks_per_s
        problem = (
            f"one of the rows before row {self.rows + 1} has time {late / per_s:.6f} s, but stands so far behind later "
            f"rows that commands up to {given / per_s:.6f} s were handed on already"
        )
        raise TraceError(self.path, problem, "Read it with a larger chunk=, or sort it by time.")

    def _weigh(self, device: NDArray[np.int32], code: NDArray[np.int16], length: NDArray[np.int64]) -> None:
        writes = (code == BlockOp.WRITE) | (code == BlockOp.WRITE_SAME)
        more = np.bincount(device, np.where(writes, length, 0), len(self.devices)).astype(np.float64)
        more[: self._written.size] += self._written
        self._written = more

    def drain(self, keep: int) -> Collected:
        """Give up the earliest rows but for the last `keep`, which stay; times count from the trace's first command."""
        ticks, op = self._ticks.whole(), self._op.whole()
        offset, length, device = self._offset.whole(), self._length.whole(), self._device.whole()
        file = None if self._file is None else self._file.whole()
        if (ticks[1:] < ticks[:-1]).any():
            order = np.argsort(ticks, kind="stable")
            ticks, op, offset, length, device = (c[order] for c in (ticks, op, offset, length, device))
            file = None if file is None else file[order]
        cut = max(ticks.size - keep, 0)
        if cut < ticks.size:
            growing = (self._ticks, self._op, self._offset, self._length, self._device)
            for column, values in zip(growing, (ticks, op, offset, length, device), strict=True):
                column.append(values[cut:])
            ticks, op, offset, length, device = (c[:cut].copy() for c in (ticks, op, offset, length, device))
            if self._file is not None and file is not None:
                self._file.append(file[cut:])
                file = file[:cut].copy()
        if ticks.size:
            self._given = int(ticks[-1])
        first = self._first or 0
        time_s = (ticks - first) / self.layout.ticks_per_s
        devices = tuple(self.devices)
        if self.only is not None:
            device, devices = np.zeros(device.size, np.int32), (self.only,)
        return Collected(Requests(time_s, op, offset, length), device, devices, first, file, tuple(self.files))

    def finish(self) -> Collected:
        """All rows in order of time; rows of equal time keep the file's order, devices without rows are left out."""
        self.check_end()
        done = self.drain(0)
        used = np.flatnonzero(np.bincount(done.device, minlength=len(done.devices)))
        if used.size < len(done.devices):
            renumber = np.zeros(len(done.devices), np.int32)
            renumber[used] = np.arange(used.size)
            names = np.array(done.devices, dtype=object)
            done = done._replace(device=renumber[done.device], devices=tuple(names[used]))
        return done

    def check_end(self) -> None:
        """Refuse a trace that ended without a usable command, or without the device that was asked for."""
        if self._first is None:
            found = f"only bad rows ({len(self.skipped)})" if self.skipped else "no rows"
            others = f" ({sum(self.ignored.values())} of other things)" if self.ignored else ""
            problem = f"holds {found} and no usable command{others}"
            raise TraceError(self.path, problem, "Record or copy the trace again.")
        if not self._kept and self.only is not None:
            refuse_device(self.only, self.path, dict(zip(self.devices, self._written.tolist(), strict=True)))


def refuse_device(device: str | None, path: Path | str, written: dict[str, float]) -> None:
    """Say which devices a trace has, the largest by bytes written first.

    Raises
    ------
    ParameterError
        Always.
    """
    allowed = f"{path} has {largest_devices(written)}"
    raise ParameterError("device", device, allowed, "Name one of them.")


def largest_devices(written: dict[str, float], most: int = 10) -> str:
    """Text that names the devices of a trace; of many the ones with most bytes written."""
    if len(written) <= most:
        return ", ".join(written)
    order = sorted(written, key=lambda name: (-written[name], name))[:most]
    shown = ", ".join(f"{name} ({written[name] / GIB:.3g} GiB)" for name in order)
    return f"{len(written)} devices; those with most written: {shown}"


class _Growing:
    """A column that grows in place: joining parts at the end would hold all of them twice."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.used = 0
        self._column: NDArray[Any] = np.empty(0, dtype)

    def append(self, values: NDArray[Any]) -> None:
        """Put values behind the others."""
        need = self.used + values.size
        if need > self._column.size:
            self._column.resize(max(need, self._column.size * 3 // 2), refcheck=False)
        self._column[self.used : need] = values
        self.used = need

    def whole(self) -> NDArray[Any]:
        """Give up the column, cut to what it holds."""
        column, self._column = self._column, np.empty(0, self._column.dtype)
        column.resize(self.used, refcheck=False)
        self.used = 0
        return column
