"""What a trace file is, found from its content: never from its name."""

from __future__ import annotations

import numpy as np

from clonesim.errors import TraceError
from clonesim.ingest import binary, blkparse, xperf
from clonesim.ingest.careful import CarefulRows, split_fields
from clonesim.ingest.layouts import TEXT_LAYOUTS
from clonesim.ingest.rows import find_bad
from clonesim.ingest.source import HEAD_BYTES, Source

TRACE_KINDS = (*binary.LAYOUTS, *TEXT_LAYOUTS, blkparse.KIND, xperf.KIND)
_LEAST_SHARE = 0.5  # of a head's rows that must fit a kind
_JUDGED_ROWS = 200

# Content that is known and has no trace in it: first bytes -> what it is, and what to do.
_NO_TRACE = {
    b"\x28\xb5\x2f\xfd": ("is zstd-compressed", "Unpack it first ('zstd -d'), or pack it with gzip."),
    b"BZh": ("is bzip2-compressed", "Unpack it first ('bunzip2'), or pack it with gzip."),
    b"\xfd7zXZ": ("is xz-compressed", "Unpack it first ('unxz'), or pack it with gzip."),
    b"PK\x03\x04": ("is a zip archive or a workbook", "Unpack it and name the trace in it."),
    b"\xff\xfe": ("is UTF-16 text", "Save it as UTF-8 (PowerShell: Export-Csv -Encoding utf8)."),
    b"\xfe\xff": ("is UTF-16 text", "Save it as UTF-8 (PowerShell: Export-Csv -Encoding utf8)."),
    b"\x1f\x8b": ("is gzip inside gzip", "Unpack it once."),
}
_USE_INSTEAD = "Use a trace with operations, such as the .vscsi or .csv form of the same recording."


def find_kind(source: Source) -> str:
    """Name of the kind, one of TRACE_KINDS.

    Raises
    ------
    TraceError
        If it is no known kind, or one that says nothing about writes.
    """
    head = source.head()
    refuse_no_trace(source, head)
    return _text_kind(source, head) if _is_text(head) else _binary_kind(source, head)


def refuse_no_trace(source: Source, head: bytes) -> None:
    """Refuse content that is known and has no trace in it.

    Raises
    ------
    TraceError
        Always, for such content.
    """
    if not head:
        raise TraceError(source.path, "the gzip file holds nothing", "Record or copy the trace again.")
    for magic, (problem, remedy) in _NO_TRACE.items():
        if head.startswith(magic):
            raise TraceError(source.path, problem, remedy)


def _is_text(head: bytes) -> bool:
    printable = sum(head.count(byte) for byte in (b"\t", b"\n", b"\r"))
    printable += len(head.translate(None, bytes(range(32)) + b"\x7f"))
    return printable >= 0.97 * len(head) and head.count(b"\0") <= 0.01 * len(head)


def _binary_kind(source: Source, head: bytes) -> str:
    shares = {kind: binary.plausible_share(kind, head) for kind in binary.LAYOUTS}
    best = max(shares, key=lambda kind: shares[kind])
    if shares[best] >= _LEAST_SHARE:
        return best
    if binary.oracle_share(head) >= 0.9:
        problem = (
            "looks like libCacheSim's oracleGeneral, which has no operations: reads and writes cannot be told apart"
        )
        raise TraceError(source.path, problem, _USE_INSTEAD)
    raise _unknown(source, "binary content that is no vSCSI trace")


def _text_kind(source: Source, head: bytes) -> str:
    lines = head.splitlines()
    if len(head) == HEAD_BYTES and len(lines) > 1:
        lines.pop()  # cut off in the middle
    rows = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(b"#")]
    if not rows:
        raise TraceError(source.path, "holds comments or blank lines only", "Record or copy the trace again.")
    first = rows[0].lower()
    if first.startswith(b"fio version"):
        for version in (b"2", b"3"):
            if first == b"fio version " + version + b" iolog":
                return f"fio-v{version.decode()}"
        problem = f"{rows[0][:40].decode('utf-8', 'replace')!r}: only versions 2 and 3 of fio's iolog are read"
        raise TraceError(source.path, problem, "Record it again with a newer fio (--write_iolog).")
    if any(row.lower().lstrip(b'"').startswith(b"histogram") for row in rows[:_JUDGED_ROWS]):
        problem = "holds vscsiStats histograms, which have no offsets, so growth cannot be told from them"
        remedy = "Record a command trace instead: vscsiStats -s -t -w WORLDGROUP -i HANDLE."
        raise TraceError(source.path, problem, remedy)
    if first.replace(b'"', b"").startswith(b"time of day,process name") or b'"process name"' in first:
        problem = "holds file operations (Process Monitor), whose offsets are inside files and not on a disk"
        remedy = "Read it with read_file_trace, which runs them through a guest volume."
        raise TraceError(source.path, problem, remedy)
    if xperf.is_dump(rows):
        return xperf.KIND
    if blkparse.share(rows[:_JUDGED_ROWS]) >= _LEAST_SHARE:
        return blkparse.KIND
    for kind, layout in TEXT_LAYOUTS.items():
        names = layout.header_names(rows[0])
        if names is not None and layout.needed <= set(names):
            return kind
    if all(row.isdigit() for row in rows[:_JUDGED_ROWS]):
        problem = "is a bare list of block numbers: it has no operations, lengths or times"
        raise TraceError(source.path, problem, _USE_INSTEAD)
    shares = {kind: _share(kind, rows[:_JUDGED_ROWS]) for kind in TEXT_LAYOUTS}
    best = max(shares, key=lambda kind: shares[kind])
    if shares[best] >= _LEAST_SHARE:
        return best
    for kind, layout in TEXT_LAYOUTS.items():  # a header line that lacks something: the reader says what
        if (names := layout.header_names(rows[0])) is not None and len(set(names) & set(layout.columns)) >= 3:
            return kind
    raise _unknown(source, f"text that is no known trace; its first row is {rows[0][:60].decode('utf-8', 'replace')!r}")


def _share(kind: str, rows: list[bytes]) -> float:
    """Share of rows that are good rows of this kind, 0 to 1."""
    layout = TEXT_LAYOUTS[kind]
    fields = split_fields(layout, rows[0].decode("utf-8", "replace"))
    careful = CarefulRows(layout, layout.columns_of(len(fields)))
    for number, row in enumerate(rows, 1):
        careful.add(number, row)
    columns = careful.as_columns()
    bad = np.zeros(len(columns), np.bool_)
    for mask, _, _ in find_bad(layout, columns):
        bad |= mask
    return float(np.count_nonzero(~bad)) / len(rows)


def _unknown(source: Source, what: str) -> TraceError:
    remedy = f"Kinds that are read: {', '.join(TRACE_KINDS)}, plain or gzip. Name one with kind= (--kind) if it is one."
    return TraceError(source.path, what, remedy)
