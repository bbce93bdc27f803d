"""Block traces: one normalised form for every kind that is read.

The order is that of time. Recorders write some commands late, so rows are sorted by time where needed: rows of equal
time keep the file's order, and `Trace.out_of_order` counts the rows that stood after a later one. So "all commands at
or before a second" is always a leading part of a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ClonesimError, ParameterError
from clonesim.ingest.collector import Collected, largest_devices, refuse_device
from clonesim.ingest.file_sources import source_names
from clonesim.ingest.opening import Opened, date_of, open_trace
from clonesim.ingest.rows import BadRow
from clonesim.ops import BlockOp, Requests
from clonesim.units import parse_size

if TYPE_CHECKING:
    import pandas as pd

PACKAGED_TRACE = "ntfs3g-desktop.fio.gz"
_MOST_PIECES = 2**31


@dataclass(frozen=True)
class Trace:
    """A block trace in order of time.

    Attributes
    ----------
    requests : Requests
        The commands; times are seconds since the first one.
    device : (n,) int32 array
        Index into `devices`, per command.
    devices : tuple of str
        Names of the disks. A kind without such a column has one, "disk".
    path : str
        The file.
    kind : str
        One of TRACE_KINDS.
    rows : int
        Rows of the file that stand for commands, the ones left out included.
    skipped : tuple of BadRow
        Rows left out: line, field, value, problem.
    start : datetime or None
        Date of the first command, where the kind tells it.
    out_of_order : int
        Rows whose time is earlier than that of the row before them in the file.
    ignored : mapping of str to int
        Rows that are no commands, by what they are: other events of blkparse and xperf.
    file : (n,) int32 array or None
        Index into `files`, per command, where the kind names the guest's file behind it (xperf).
    files : tuple of str
        The guest's files.
    """

    requests: Requests
    device: NDArray[np.int32]
    devices: tuple[str, ...]
    path: str
    kind: str
    rows: int
    skipped: tuple[BadRow, ...] = ()
    start: datetime | None = None
    out_of_order: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    file: NDArray[np.int32] | None = None
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Seconds since the first command. (n,) float64 array [s]."""
        return self.requests.time_s

    @property
    def op(self) -> NDArray[np.uint8]:
        """`BlockOp` codes. (n,) uint8 array."""
        return self.requests.op

    @property
    def offset(self) -> NDArray[np.int64]:
        """Place on the disk. (n,) int64 array [B]."""
        return self.requests.offset

    @property
    def length(self) -> NDArray[np.int64]:
        """Size of the request; 0 for a flush. (n,) int64 array [B]."""
        return self.requests.length

    @property
    def writes(self) -> NDArray[np.bool_]:
        """Mask of the commands that put data on the disk. (n,) bool array."""
        return self.requests.writes

    def select(self, device: str) -> Trace:
        """Commands of one device; times stay those of the whole trace.

        Raises
        ------
        ParameterError
            If the trace has no such device.
        """
        if device not in self.devices:
            refuse_device(device, self.path, self.written_by_device())
        rows = self.device == self.devices.index(device)
        zeros = np.zeros(int(np.count_nonzero(rows)), np.int32)
        file = None if self.file is None else self.file[rows]
        return replace(self, requests=self.requests[rows], device=zeros, devices=(device,), file=file)

    def written_by_device(self) -> dict[str, float]:
        """Bytes written to each device, in the order of `devices`. [B]"""
        rows = self.writes
        written = np.bincount(self.device[rows], self.length[rows], len(self.devices))
        return dict(zip(self.devices, written.tolist(), strict=True))

    def devices_text(self) -> str:
        """Names of the devices, for messages; of many the ten with most bytes written."""
        return largest_devices(self.written_by_device())

    def sources(self) -> pd.DataFrame:
        """What was written by which kind of guest activity, told from the names of the guest's files.

        Returns
        -------
        DataFrame
            `source` (the write sources of clonesim's catalog, or "other"), `commands`, `written_bytes`, `files` with
            writes; most bytes first.

        Raises
        ------
        ParameterError
            If the trace names no files.
        """
        import pandas as pd

        if self.file is None:
            allowed = "a trace of this kind does not name the guest's files"
            raise ParameterError("kind", self.kind, allowed, "Record with xperf or WPR, whose dumper names them.")
        names = source_names(self.files)
        rows = np.flatnonzero(self.writes)
        frame = pd.DataFrame({"file": self.file[rows], "written_bytes": self.length[rows]})
        frame["source"] = np.array(names, dtype=object)[self.file[rows]] if rows.size else ""
        table = frame.groupby("source").agg(
            commands=("file", "size"), written_bytes=("written_bytes", "sum"), files=("file", "nunique")
        )
        return table.sort_values(["written_bytes", "commands"], ascending=False, kind="stable").reset_index()

    def split(self, block_bytes: int | str) -> Requests:
        """Cut the commands at every multiple of a block size; the bytes they cover stay the same.

        Parameters
        ----------
        block_bytes : int or str
            Block size. [B]

        Returns
        -------
        Requests
            Each piece lies in one block, `offset // block_bytes`. Flushes stay as they are.

        Raises
        ------
        ParameterError
            If the block size is not a size, or would make more than 2^31 pieces.
        """
        block = parse_size(block_bytes, "block_bytes", least=1)
        offset, length = self.requests.offset, self.requests.length
        first = offset // block
        pieces = np.where(length > 0, (offset + np.maximum(length, 1) - 1) // block - first + 1, 1)
        total = float(pieces.sum(dtype=np.float64))
        if total > _MOST_PIECES:
            problem = f"cuts this trace into {total:.3g} pieces; allowed are {_MOST_PIECES}"
            raise ParameterError("block_bytes", block_bytes, problem, "Take a larger block size.")
        row = np.repeat(np.arange(len(self)), pieces)
        within = np.arange(row.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = (first[row] + within) * block
        begin = np.maximum(start, offset[row])
        # Subtract before adding: start + block may lie beyond 2^63 in the last block of all.
        size = np.minimum(block - (begin - start), length[row] - (begin - offset[row]))
        return Requests(self.requests.time_s[row], self.requests.op[row], begin, size)

    def summary(self) -> dict[str, Any]:
        """Count what the trace holds: commands, bytes, seconds."""
        op, length = self.op, self.length
        count = {code: int(np.count_nonzero(op == code)) for code in BlockOp}
        in_bytes = {code: int(length[op == code].sum()) for code in (BlockOp.READ, BlockOp.DISCARD)}
        return {
            "path": self.path,
            "kind": self.kind,
            "commands": len(self),
            "reads": count[BlockOp.READ],
            "writes": count[BlockOp.WRITE],
            "write_sames": count[BlockOp.WRITE_SAME],
            "discards": count[BlockOp.DISCARD],
            "flushes": count[BlockOp.FLUSH],
            "read_bytes": in_bytes[BlockOp.READ],
            "written_bytes": int(length[self.writes].sum()),
            "discarded_bytes": in_bytes[BlockOp.DISCARD],
            "end_bytes": int((self.offset + length).max()) if len(self) else 0,
            "duration_s": float(self.time_s[-1]) if len(self) else 0.0,
            "devices": list(self.devices),
            "rows": self.rows,
            "skipped_rows": len(self.skipped),
            "out_of_order_rows": self.out_of_order,
            "ignored_rows": sum(self.ignored.values()),
            "start": None if self.start is None else self.start.isoformat(),
        }

    def frame(self) -> pd.DataFrame:
        """One row per command: time_s [s], op, offset [B], length [B], device."""
        import pandas as pd

        names = [code.name.lower() for code in BlockOp]
        return pd.DataFrame(
            {
                "time_s": self.time_s,
                "op": pd.Categorical.from_codes(self.op.astype(np.int8), categories=pd.Index(names)),
                "offset": self.offset,
                "length": self.length,
                "device": pd.Categorical.from_codes(self.device, categories=pd.Index(self.devices)),
            }
        )


def read_trace(
    path: str | Path, kind: str | None = None, *, skip_bad_rows: bool = False, device: str | None = None
) -> Trace:
    """Read a block trace.

    Parameters
    ----------
    path : str or Path
        The trace, plain or gzip.
    kind : str, optional
        One of TRACE_KINDS; found from the content by default.
    skip_bad_rows : bool, default False
        Leave bad rows out and count them in `Trace.skipped`, instead of refusing the trace.
    device : str, optional
        Only the commands of this device, times as in the whole trace; the others take no memory.

    Returns
    -------
    Trace
        The commands in order of time, times in seconds since the first one.

    Raises
    ------
    TraceError
        If the file cannot be read, is no trace with operations, or has a bad row.
    ParameterError
        If there is no such kind or device.

    Notes
    -----
    A row is bad if a field is missing or not a number, the operation is unknown, the time or the offset is negative,
    the request has no bytes (unless it is a flush), a read or a write has more than 2 GiB, or it ends beyond byte 2^63.
    A SYSTOR'17 row without an operation is one whose response was not recorded: it is always left out and counted.

    vSCSI records of UNMAP and WRITE SAME are taken as they stand: `lbn` and `len`. The ranges of an UNMAP are in data
    that these formats do not hold. Of blkparse's events completions (C) are taken, of a trace without them queued
    requests (Q); of xperf's disk events reads, writes and flushes. `Trace.ignored` counts the other events.
    """
    opened = open_trace(path, kind, skip_bad_rows, device)
    for _ in opened.reader.chunks():
        pass
    return trace_of(opened, opened.collector.finish(), str(path))


def trace_of(opened: Opened, done: Collected, path: str) -> Trace:
    """Rows that a trace's collector gave up, with what it has counted beside them."""
    collector = opened.collector
    return Trace(
        done.requests,
        done.device,
        done.devices,
        path,
        opened.kind,
        collector.rows,
        tuple(collector.skipped),
        date_of(opened.layout, done.first_tick),
        collector.out_of_order,
        dict(collector.ignored),
        done.file,
        done.files,
    )


def packaged_trace() -> Path:
    """Path of the trace that comes with clonesim: three minutes of scripted desktop activity on a real NTFS driver.

    It holds the requests of ntfs-3g, a real driver, not of a real user.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "data", package.parent / "data"):  # an installed wheel, a source tree
        if (folder / PACKAGED_TRACE).is_file():
            return folder / PACKAGED_TRACE
    raise ClonesimError(f"The packaged trace {PACKAGED_TRACE} is missing beside {package}. Install clonesim again.")
