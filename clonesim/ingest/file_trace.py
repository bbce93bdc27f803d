"""File traces: what programs did to files, for a guest volume that decides where on the disk it lands."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError, TraceError, shorten
from clonesim.ingest.detect import refuse_no_trace
from clonesim.ingest.limits import most, or_raise
from clonesim.ingest.procmon import CLOCKS, NEEDED, PAGING, DriveEvents, Event, EventError
from clonesim.ingest.rows import ROW_REMEDY, BadRow
from clonesim.ingest.source import Source
from clonesim.ops import FileOp

if TYPE_CHECKING:
    import pandas as pd

_SAVE_AS = "Save the log in Process Monitor with File > Save, format CSV, all events."
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class FileTrace:
    """Operations on files, as `Volume.apply` takes them.

    Attributes
    ----------
    before : (m,) array of OPS_DTYPE
        A create for each file that was there when the trace began, as large as the trace shows it was at least.
    ops : (n,) array of OPS_DTYPE
        The trace: creates, appends, overwrites, renames and deletes in order of time, seconds since its first event.
    files : tuple of str
        Names of the files by number. A rename moves a file from one number to another.
    sources : tuple of str
        Names behind `ops["source"]`, told from the names of the files.
    path, kind : str
        The file and its kind.
    rows : int
        Rows of the file behind the header.
    skipped : tuple of BadRow
        Rows left out because they cannot be read.
    ignored : mapping of str to int
        Events that change no file of this drive, by what they are.
    """

    before: NDArray[np.void]
    ops: NDArray[np.void]
    files: tuple[str, ...]
    sources: tuple[str, ...]
    path: str
    kind: str
    rows: int
    skipped: tuple[BadRow, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.ops.size)

    @property
    def before_bytes(self) -> int:
        """Least size of all files that were there before. [B]"""
        return int(self.before["length"].sum())

    @property
    def written_bytes(self) -> int:
        """Bytes that the programs wrote. [B]"""
        return int(self.ops["length"][self._writes()].sum())

    def _writes(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = np.isin(self.ops["op"], (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE))
        return mask

    def summary(self) -> dict[str, Any]:
        """Count what the trace holds."""
        op = self.ops["op"]
        names = (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.DELETE, FileOp.RENAME)
        return {
            "path": self.path,
            "kind": self.kind,
            "operations": len(self),
            **{f"{name.name.lower()}s": int(np.count_nonzero(op == name)) for name in names},
            "files": len(self.files),
            "files_before": int(self.before.size),
            "before_bytes": self.before_bytes,
            "written_bytes": self.written_bytes,
            "duration_s": float(self.ops["time_s"][-1]) if len(self) else 0.0,
            "rows": self.rows,
            "skipped_rows": len(self.skipped),
            "ignored_rows": sum(self.ignored.values()),
        }

    def written_by_source(self) -> pd.DataFrame:
        """One row per source with writes: `source`, `operations`, `written_bytes`, `files`; most bytes first."""
        import pandas as pd

        rows = self.ops[self._writes()]
        frame = pd.DataFrame({"source": rows["source"], "file": rows["file"], "written_bytes": rows["length"]})
        table = frame.groupby("source").agg(
            operations=("file", "size"), written_bytes=("written_bytes", "sum"), files=("file", "nunique")
        )
        table = table[table["written_bytes"] > 0].reset_index()
        table["source"] = [self.sources[number] for number in table["source"]]
        return table.sort_values("written_bytes", ascending=False, kind="stable").reset_index(drop=True)


def read_file_trace(
    path: str | Path, *, drive: str = "C:", paging: str = "twins", skip_bad_rows: bool = False
) -> FileTrace:
    r"""Read a trace of file operations: a CSV that Process Monitor saved.

    Parameters
    ----------
    path : str or Path
        The CSV, plain or gzip.
    drive : str, default "C:"
        Only files of this drive.
    paging : {"twins", "skip", "keep"}, default "twins"
        Which writes of the memory manager ("Paging I/O") count. A write into the cache is written out by one later:
        `twins` leaves out those of pages that a write of the trace had put into the cache; `skip` leaves out all, the
        ones of mapped files as well; `keep` counts all, cached writes twice.
    skip_bad_rows : bool, default False
        Leave bad rows out and list them in `FileTrace.skipped`, instead of refusing the trace.

    Returns
    -------
    FileTrace
        What the guest's files were at least, and what was done to them.

    Raises
    ------
    TraceError
        If the file cannot be read, is no Process Monitor CSV, has a bad row or nothing about this drive.
    ParameterError
        If the drive or `paging` is not allowed.

    Notes
    -----
    Offsets are inside files, so they go through a guest volume. Only events with the result SUCCESS count. A file
    that was there before is as large as its first query tells (EndOfFile); before that, or without one, as large as
    the starts of reads and writes and the ends of writes of the memory manager, which never make a file longer, show
    that it was at least. A write beyond that is an append. Cuts to 0 B are a new file, other cuts are counted and not
    made. Space reserved by setting an end of file is not written.
    The volume's own files ($Mft, $LogFile, ...) and folders are left out: the volume writes them itself.

    Examples
    --------
    >>> trace = read_file_trace("Logfile.CSV")  # doctest: +SKIP
    >>> volume = Volume("60 GiB")  # doctest: +SKIP
    >>> volume.apply(trace.before)  # doctest: +SKIP
    >>> delta = volume.snapshot("vmfs-sparse")  # doctest: +SKIP
    >>> volume.apply(trace.ops)  # doctest: +SKIP
    """
    if not _DRIVE.fullmatch(drive):
        raise ParameterError("drive", drive, "a drive is a letter and a colon", "Write for example 'C:'.")
    if paging not in PAGING:
        raise ParameterError("paging", paging, f"allowed are {', '.join(PAGING)}")
    source = Source(path)
    reader = _ProcmonReader(source, DriveEvents(drive, paging), skip_bad_rows)
    reader.read()
    events = reader.events
    if not len(events.files):
        seen = ", ".join(f"{count} {name}" for name, count in events.ignored.most_common()) or "none"
        problem = f"holds no operation that changes a file of {drive} (other events: {seen})"
        raise TraceError(path, problem, "Name another drive with drive=, or record file system activity.")
    done = events.files.finish()
    return FileTrace(
        done.before,
        done.ops,
        done.files,
        done.sources,
        str(path),
        "procmon",
        reader.rows,
        tuple(reader.skipped),
        dict(events.ignored),
    )


class _ProcmonReader:
    """Reads the rows of one CSV."""

    def __init__(self, source: Source, events: DriveEvents, skip_bad_rows: bool) -> None:
        self.source, self.events, self.skip_bad_rows = source, events, skip_bad_rows
        self.rows = 0
        self._most_rows, self._most_bad = most("file_trace_rows"), most("trace_bad_rows")
        self.skipped: list[BadRow] = []

    def read(self) -> None:
        """Take over all rows."""
        self._check_head()
        rows = csv.reader(self._lines())
        try:
            header = [name.strip() for name in next(rows, [])]
            clock = next((name for name in CLOCKS if name in header), "")
            missing = [name for name in NEEDED if name not in header] + ([] if clock else [" or ".join(CLOCKS)])
            if missing:
                problem = f"the header line lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
                raise TraceError(self.source.path, problem, _SAVE_AS, 1, "header", shorten(",".join(header)))
            places = [header.index(name) for name in (clock, "Operation", "Path", "Result", "Detail")]
            operation, matters, others = places[1], self.events.matters, 0
            for row in rows:
                if self.rows >= self._most_rows:
                    told = or_raise("file_trace_rows", "Cut the trace")
                    raise TraceError(self.source.path, f"holds more than {self._most_rows} rows", told)
                if len(row) == len(header) and not matters(row[operation]):
                    self.rows += 1
                    others += 1
                elif row:
                    self.rows += 1
                    self._take(row, len(header), places, clock, rows.line_num)
            if others:
                self.events.ignored["other operations"] += others
        except csv.Error as error:
            problem = f"is no CSV that can be read ({error})"
            raise TraceError(self.source.path, problem, _SAVE_AS, rows.line_num) from None
        self.events.finish()

    def _take(self, row: list[str], columns: int, places: list[int], clock: str, line: int) -> None:
        operation = row[places[1]] if len(row) > places[1] else ""
        if len(row) != columns:
            if operation and not self.events.matters(operation):  # quotes in a command line, which nobody needs
                self.events.ignored["other operations"] += 1
                return
            problem = f"{len(row)} fields where the header line has {columns}"
            self._bad(BadRow(line, "row", shorten(",".join(row)), problem))
            return
        try:
            self.events.take(Event(*[row[place] for place in places]))
        except EventError as error:
            name = clock if error.field == "time" else error.field
            self._bad(BadRow(line, name, shorten(error.value), error.problem))

    def _bad(self, row: BadRow) -> None:
        if not self.skip_bad_rows:
            raise TraceError(self.source.path, row.problem, ROW_REMEDY, row.line, row.field, row.value)
        self.skipped.append(row)
        if len(self.skipped) > self._most_bad:
            told = or_raise("trace_bad_rows", "Name a CSV of Process Monitor")
            raise TraceError(self.source.path, f"holds more than {self._most_bad} bad rows", told)

    def _check_head(self) -> None:
        head = self.source.head()
        refuse_no_trace(self.source, head)
        if head.startswith(b"PML_"):
            raise TraceError(self.source.path, "is a Process Monitor log in its own format (PML)", _SAVE_AS)
        first = head.lstrip()[:4096].splitlines()[:1]
        if not first or b"operation" not in first[0].lower() or b"detail" not in first[0].lower():
            shown = shorten(first[0]) if first else ""
            raise TraceError(self.source.path, f"is no Process Monitor CSV; its first line is {shown!r}", _SAVE_AS)

    def _lines(self) -> Iterator[str]:
        for data in self.source.lines():
            yield from io.StringIO(data.decode("utf-8", "replace").replace("\0", "\ufffd"), newline="")
