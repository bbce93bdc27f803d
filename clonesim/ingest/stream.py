"""Block traces in parts: for files that do not fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from clonesim.errors import ParameterError
from clonesim.ingest.opening import Opened, open_trace
from clonesim.ingest.traces import Trace, trace_of

LEAST_CHUNK, MOST_CHUNK = 1_000, 100_000_000
_MOST_SKIPPED = 100_000  # of one part: each takes a few hundred bytes


@dataclass(frozen=True)
class TraceSurvey:
    """What a trace holds, counted in one pass.

    Attributes
    ----------
    commands : int
        Commands that the stream hands out.
    rows, skipped_rows, ignored_rows, out_of_order_rows : int
        Rows of the file that stand for commands; of these the ones left out; rows that are no commands; rows whose
        time is earlier than that of the row before.
    written_bytes : dict of str to float
        Bytes written, by device. [B]
    end_bytes : int
        Highest end of a request. [B]
    duration_s : float
        Time of the last command. [s]
    start : datetime or None
        Date of the first command, where the kind tells it.
    """

    commands: int
    rows: int
    skipped_rows: int
    ignored_rows: int
    out_of_order_rows: int
    written_bytes: dict[str, float]
    end_bytes: int
    duration_s: float
    start: datetime | None


class TraceStream:
    """A block trace as a series of parts in order of time; each `for` loop reads the file anew.

    Made by `iter_trace`.

    Attributes
    ----------
    path, kind : str
        The file and its kind.
    chunk : int
        Commands in a part, about.
    """

    def __init__(self, path: str | Path, kind: str | None, chunk: int, skip_bad_rows: bool, device: str | None) -> None:
        if isinstance(chunk, bool) or not isinstance(chunk, int) or not LEAST_CHUNK <= chunk <= MOST_CHUNK:
            allowed = f"a part has {LEAST_CHUNK} to {MOST_CHUNK} commands"
            raise ParameterError("chunk", chunk, allowed, "Leave it out for 500,000.")
        self.path, self.chunk, self.device = str(path), chunk, device
        self.skip_bad_rows = skip_bad_rows
        self.kind = open_trace(path, kind, skip_bad_rows, device).kind
        self._survey: TraceSurvey | None = None

    def __repr__(self) -> str:
        return f"<TraceStream {self.path} ({self.kind}), parts of {self.chunk} commands>"

    def __iter__(self) -> Iterator[Trace]:
        opened = open_trace(self.path, self.kind, self.skip_bad_rows, self.device)
        collector = opened.collector
        for _ in opened.reader.chunks():
            if len(collector) >= 2 * self.chunk or len(collector.skipped) >= _MOST_SKIPPED:
                yield self._part(opened, self.chunk)
        collector.check_end()
        yield self._part(opened, 0)

    def _part(self, opened: Opened, keep: int) -> Trace:
        """Give up all but the last `keep` commands, with what was counted since the part before."""
        collector = opened.collector
        part = trace_of(opened, collector.drain(keep), self.path)
        collector.rows = collector.out_of_order = 0
        collector.skipped, collector.ignored = [], Counter()
        return part

    def survey(self) -> TraceSurvey:
        """Read the whole trace once and count what it holds; the second call costs nothing."""
        if self._survey is None:
            self._survey = self._count()
        return self._survey

    def _count(self) -> TraceSurvey:
        counts: Counter[str] = Counter()
        written: Counter[str] = Counter()
        end, last, start = 0, 0.0, None
        for part in self:
            counts["commands"] += len(part)
            counts["rows"] += part.rows
            counts["skipped"] += len(part.skipped)
            counts["ignored"] += sum(part.ignored.values())
            counts["out of order"] += part.out_of_order
            written.update(part.written_by_device())
            if len(part):
                end = max(end, int(np.max(part.offset + part.length)))
                last = float(part.time_s[-1])
            start = part.start
        return TraceSurvey(
            counts["commands"],
            counts["rows"],
            counts["skipped"],
            counts["ignored"],
            counts["out of order"],
            dict(written),
            end,
            last,
            start,
        )

    @property
    def end_bytes(self) -> int:
        """Highest end of a request; reads the trace once. [B]"""
        return self.survey().end_bytes


def iter_trace(
    path: str | Path,
    kind: str | None = None,
    *,
    chunk: int = 500_000,
    skip_bad_rows: bool = False,
    device: str | None = None,
) -> TraceStream:
    """Read a block trace in parts, in memory that does not grow with the file.

    Parameters
    ----------
    path : str or Path
        The trace, plain or gzip.
    kind : str, optional
        One of TRACE_KINDS; found from the content by default.
    chunk : int, default 500,000
        Commands in a part, about; 500,000 take some 100 MB while they are put in order of time. [1]
    skip_bad_rows : bool, default False
        Leave bad rows out and list them in each part's `skipped`, instead of refusing the trace.
    device : str, optional
        Only the commands of this device.

    Returns
    -------
    TraceStream
        Iterating over it gives a `Trace` for each part. Put together, the parts are what `read_trace` gives: their
        commands in order of time and from the same time 0, and their counts of rows add up. `devices` grows from part
        to part; a device keeps its number.

    Raises
    ------
    TraceError
        If the file cannot be read, is no trace with operations, or, while iterating, has a bad row or a row that
        stands more than `chunk` rows behind its place in time.
    ParameterError
        If there is no such kind or device, or the chunk is not allowed.

    Examples
    --------
    >>> stream = iter_trace("big.csv.gz", device="122")  # doctest: +SKIP
    >>> delta = replay(stream, "qcow2", at=range(0, 86_400, 600))  # doctest: +SKIP
    """
    return TraceStream(path, kind, chunk, skip_bad_rows, device)
