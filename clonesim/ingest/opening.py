"""Which reader takes which trace: from a file to a reader that fills a collector."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from clonesim.errors import ParameterError
from clonesim.ingest import binary, blkparse, xperf
from clonesim.ingest.collector import Collector
from clonesim.ingest.detect import TRACE_KINDS, find_kind
from clonesim.ingest.layouts import TEXT_LAYOUTS
from clonesim.ingest.rows import Layout
from clonesim.ingest.source import Source
from clonesim.ingest.text import TextReader


class Reader(Protocol):
    """What reads a trace chunk by chunk."""

    def chunks(self) -> Iterator[None]:
        """Read the file into the collector, and pause after each chunk of it."""


class Opened(NamedTuple):
    """A trace about to be read."""

    kind: str
    layout: Layout
    collector: Collector
    reader: Reader


def open_trace(path: str | Path, kind: str | None, skip_bad_rows: bool, device: str | None) -> Opened:
    """Find the kind of a trace and the reader for it.

    Raises
    ------
    TraceError
        If the file cannot be read, or is no trace with operations.
    ParameterError
        If there is no such kind.
    """
    if kind is not None and kind not in TRACE_KINDS:
        raise ParameterError("kind", kind, f"allowed are {', '.join(TRACE_KINDS)}", "Leave it out to find it.")
    source = Source(path)
    kind = find_kind(source) if kind is None else kind
    if kind in binary.LAYOUTS:
        layout: Layout = binary.LAYOUTS[kind]
    elif kind == blkparse.KIND:
        layout = blkparse.LAYOUT
    elif kind == xperf.KIND:
        layout = xperf.LAYOUT
    else:
        layout = TEXT_LAYOUTS[kind]
    collector = Collector(source.path, layout, skip_bad_rows, device)
    if kind in binary.LAYOUTS:
        reader: Reader = binary.BinaryReader(source, layout, collector)
    elif kind == blkparse.KIND:
        reader = blkparse.BlkparseReader(source, collector)
    elif kind == xperf.KIND:
        reader = xperf.XperfReader(source, collector)
    else:
        reader = TextReader(source, TEXT_LAYOUTS[kind], collector)
    return Opened(kind, layout, collector, reader)


def date_of(layout: Layout, tick: int) -> datetime | None:
    """Date of a time of a trace, where the kind tells it."""
    if layout.epoch_s is None:
        return None
    microseconds = tick * 1_000_000 // layout.ticks_per_s - layout.epoch_s * 1_000_000
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
