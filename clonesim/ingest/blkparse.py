"""Linux block traces as `blkparse` prints them by default.

A request leaves several events behind. One of them is taken for each: its completion (C), or, where a trace has no
completions, its arrival in the queue (Q). A request may be merged or split in between, so never both.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from clonesim.errors import shorten
from clonesim.ingest.collector import Collector
from clonesim.ingest.pieces import PieceReader
from clonesim.ingest.rows import BadRow, Columns, Layout, find_bad, in_line_order
from clonesim.ingest.source import CHUNK_BYTES, Source
from clonesim.ops import BlockOp

KIND: Final = "blkparse"
LAYOUT: Final = Layout(
    KIND,
    time="time",
    op="rwbs",
    offset="sector",
    length="sectors",
    device="device",
    ticks_per_s=1_000_000_000,
    block=512,
    length_block=512,
)
_EVENT = re.compile(
    rb"[ \t]*([0-9]{1,9},[0-9]{1,9})[ \t]+[0-9]+[ \t]+[0-9]+[ \t]+([0-9]{1,9})\.([0-9]{9})[ \t]+[0-9]+[ \t]+"
    rb"([A-Za-z]{1,2})(?:[ \t]+(.*))?"
)
_REQUEST = re.compile(rb"([A-Z]{1,8})[ \t]+([0-9]{1,18})[ \t]+\+[ \t]+([0-9]{1,18})[ \t]+(.*)")
_BARE = re.compile(rb"([A-Z]{1,8})(?:[ \t]+[0-9]{1,18})?[ \t]+(?:\([ 0-9a-fA-F.]*\)[ \t]*)?\[(.*)\]")
_ERROR = re.compile(rb".*\[(-?[0-9]+)\]")
_SUMMARY = re.compile(rb"[ \t]*(?:[A-Za-z][^\r\n]{0,80}:.*|Input file .*)")
_LEAST_ROW_BYTES = 32
_NO_DATA = "requests without data"


class BlkparseReader(PieceReader):
    """Reads one blkparse listing."""

    def __init__(self, source: Source, collector: Collector) -> None:
        super().__init__(source, collector)
        found = {hit[4] for row in source.head().splitlines() if (hit := _EVENT.fullmatch(row.strip()))}
        self.action = b"Q" if found and b"C" not in found else b"C"
        most = 2 * CHUNK_BYTES // _LEAST_ROW_BYTES
        self._time, self._offset, self._length, self._place = (np.empty(most, np.int64) for _ in range(4))
        self._code = np.empty(most, np.int16)
        self._others = np.zeros(256, np.int64)

    def _fast(self, data: bytes, line: int) -> int | None:  # noqa: ARG002 (no row is named)
        from clonesim.ingest import blkparse_kernel as kernel

        rows, lines = kernel.parse_events(
            np.frombuffer(data, np.uint8),
            self.action[0],
            int(self.action == b"C"),
            self._time,
            self._code,
            self._offset,
            self._length,
            self._place,
            self._others,
        )
        if rows == kernel.FAILED:
            return None
        places, device = np.unique(self._place[:rows], return_inverse=True)
        columns = Columns(
            time=self._time[:rows].copy(),
            code=self._code[:rows].copy(),
            offset=self._offset[:rows].copy(),
            length=self._length[:rows].copy(),
            device=device.astype(np.int32),
            names=[f"{place >> 32},{place & 0xFFFFFFFF}" for place in places.tolist()],
        )
        if find_bad(LAYOUT, columns):
            return None
        self.collector.add(columns)
        for letter in np.flatnonzero(self._others).tolist():
            self.collector.ignored[f"event {chr(letter)}"] += int(self._others[letter])
        return int(lines)

    def _careful(self, data: bytes, line: int) -> int:
        texts = data.splitlines()
        rows: list[tuple[int, int, int, int, int]] = []
        lines: list[int] = []
        names: dict[str, int] = {}
        bad: list[BadRow] = []
        for number, text in enumerate(texts, line):
            found = self._row(number, text.strip(b" \t\r\n"), names)
            if isinstance(found, BadRow):
                bad.append(found)
            elif found is not None:
                rows.append(found)
                lines.append(number)
        values = np.array(rows, np.int64).reshape(-1, 5)
        columns = Columns(
            values[:, 0].copy(),
            values[:, 1].astype(np.int16),
            values[:, 2].copy(),
            values[:, 3].copy(),
            values[:, 4].astype(np.int32),
            list(names),
        )
        good = np.ones(len(columns), np.bool_)
        for mask, name, problem in find_bad(LAYOUT, columns):
            shown = {LAYOUT.offset: columns.offset, LAYOUT.length: columns.length}.get(name, columns.code)
            bad += [BadRow(lines[i], name, str(shown[i]), problem) for i in np.flatnonzero(mask).tolist()]
            good &= ~mask
        bad = in_line_order(bad)
        for row in bad:
            self.collector.bad(row)
        self.collector.add(columns.keep(good), rows=len(columns) + len(bad) - int(np.count_nonzero(~good)))
        return len(texts)

    def _row(self, number: int, text: bytes, names: dict[str, int]) -> tuple[int, int, int, int, int] | BadRow | None:
        """One row: time, code, sector, sectors, device; None if it is no command of the kind that is taken."""
        ignored = self.collector.ignored
        if not text:
            return None
        event = _EVENT.fullmatch(text)
        if event is None:
            if _SUMMARY.fullmatch(text):
                ignored["summary lines"] += 1
                return None
            return BadRow(number, "row", shorten(text), "is no event of blkparse's default output")
        if event[4] != self.action:
            ignored[f"event {chr(event[4][0])}"] += 1
            return None
        rest = event[5] or b""
        time = int(event[2]) * 1_000_000_000 + int(event[3])
        device = names.setdefault(event[1].decode(), len(names))
        request, bare = _REQUEST.fullmatch(rest), _BARE.fullmatch(rest)
        if request is None and bare is None:
            return BadRow(number, "row", shorten(text), "has no 'rwbs sector + sectors [...]' behind its action")
        if self.action == b"C":
            error = _ERROR.fullmatch(rest)
            if error is None:
                return BadRow(number, "row", shorten(text), "has no error code in brackets at its end")
            if int(error[1][:20]):
                ignored["completed with an error"] += 1
                return None
        flags = (request or bare or event)[1].decode()
        code = _code(flags)
        if request is None or int(request[3]) == 0:
            if "F" in flags:
                return time, BlockOp.FLUSH, 0, 0, device
            ignored[_NO_DATA] += 1
            return None
        if code is None:
            if "N" in flags:
                ignored[_NO_DATA] += 1
                return None
            return BadRow(number, LAYOUT.op, flags, f"this operation is not known; {KIND} has R, W, D, F, N")
        return time, code, int(request[2]), int(request[3]), device


def _code(flags: str) -> BlockOp | None:
    """Operation of an "rwbs" field: an F before it asks for a flush first, what follows only describes it."""
    first = flags.lstrip("F")[:1]
    return {"R": BlockOp.READ, "W": BlockOp.WRITE, "D": BlockOp.DISCARD}.get(first)


def share(rows: list[bytes]) -> float:
    """Share of rows that look like events, 0 to 1."""
    return sum(1 for row in rows if _EVENT.fullmatch(row.strip())) / len(rows)
