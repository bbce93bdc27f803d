"""Windows disk traces as the dumper of xperf and WPR prints them: events with a header row for each kind.

Versions differ in their columns, so the header rows rule. Offsets and sizes are hexadecimal, times whole microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from clonesim.errors import TraceError, shorten
from clonesim.ingest.collector import Collector
from clonesim.ingest.pieces import PieceReader
from clonesim.ingest.rows import MOST_BYTE, BadRow, Columns, Layout, find_bad, in_line_order
from clonesim.ingest.source import CHUNK_BYTES, Source
from clonesim.ops import BlockOp

KIND: Final = "xperf"
LAYOUT: Final = Layout(
    KIND,
    time="TimeStamp",
    op="event",
    offset="ByteOffset",
    length="IOSize",
    device="DiskNum",
    ticks_per_s=1_000_000,
)
UNKNOWN_FILE: Final = ""
_CODES = {b"DiskRead": BlockOp.READ, b"DiskWrite": BlockOp.WRITE, b"DiskFlush": BlockOp.FLUSH}
_NEEDED = ("TimeStamp", "DiskNum")
_NEEDED_TO_MOVE = (*_NEEDED, "ByteOffset", "IOSize")
_EVENT = re.compile(rb"[ \t]*(Disk(?:Read|Write|Flush))[ \t]*,")
_PROCESS = re.compile(rb"(.*?\([ \t]*-?[0-9]+\))[ \t]*,(.*)", re.DOTALL)
_HEX = re.compile(rb"0x[0-9a-fA-F]{1,20}")
_WHOLE = re.compile(rb"[0-9]{1,19}")
_MOST_COLUMNS = 64  # for the fast path; published header rows have 16
_LEAST_ROW_BYTES = 20
_FRAME = (b"BeginHeader", b"EndHeader")
_REMEDY = (
    "Record disk events (xperf -on DISK_IO+FILENAME, or a WPR disk profile) and dump them: xperf -i FILE -a dumper."
)


class XperfReader(PieceReader):
    """Reads one dump."""

    def __init__(self, source: Source, collector: Collector) -> None:
        super().__init__(source, collector)
        self._events = 0
        self._headers: dict[bytes, _Header] = {}
        self._roles, self._counts = np.zeros((3, _MOST_COLUMNS), np.int64), np.zeros(3, np.int64)
        most = 2 * CHUNK_BYTES // _LEAST_ROW_BYTES
        self._time, self._offset, self._length, self._disk = (np.empty(most, np.int64) for _ in range(4))
        self._code, self._spans = np.empty(most, np.int16), np.empty((most, 2), np.int64)

    def chunks(self) -> Iterator[None]:
        """Read the file, and pause after each chunk of it.

        Raises
        ------
        TraceError
            If there are no disk events, a header row lacks a column, or a row is bad.
        """
        yield from super().chunks()
        if not self._events:
            problem = f"holds no disk reads and writes, only {sum(self.collector.ignored.values())} other events"
            raise TraceError(self.source.path, problem, _REMEDY)

    def _fast(self, data: bytes, line: int) -> int | None:  # noqa: ARG002 (no row is named)
        from clonesim.ingest import xperf_kernel as kernel

        rows, lines, others = kernel.parse_dump(
            np.frombuffer(data, np.uint8),
            self._roles,
            self._counts,
            self._time,
            self._code,
            self._offset,
            self._length,
            self._disk,
            self._spans,
        )
        if rows == kernel.FAILED:
            return None
        files: dict[bytes, int] = {}
        named = [files.setdefault(data[a:b], len(files)) for a, b in self._spans[:rows].tolist()]
        disks, device = np.unique(self._disk[:rows], return_inverse=True)
        columns = Columns(
            self._time[:rows].copy(),
            self._code[:rows].copy(),
            self._offset[:rows].copy(),
            self._length[:rows].copy(),
            device.astype(np.int32),
            [str(disk) for disk in disks.tolist()],
            np.array(named, np.int32),
            [name.decode("utf-8", "replace") for name in files],
        )
        if find_bad(LAYOUT, columns):
            return None
        self._events += rows
        if others:
            self.collector.ignored["other events"] += others
        self.collector.add(columns)
        return int(lines)

    def _careful(self, data: bytes, line: int) -> int:
        texts = data.splitlines()
        chunk = _Chunk()
        others = 0
        for number, text in enumerate(texts, line):
            event = _EVENT.match(text)
            if event is None:
                others += text.strip() not in (b"", *_FRAME)
                continue
            header = self._headers.get(event[1])
            rest = text[event.end() :]
            if rest.lstrip()[:9] == b"TimeStamp":
                self._headers[event[1]] = header = _Header(self.source, event[1], text, number)
                self._set_roles(list(_CODES).index(event[1]), header)
            elif header is None:
                problem = f"a {event[1].decode()} event stands before the header row of its kind"
                raise TraceError(self.source.path, problem, _REMEDY, number)
            else:
                chunk.add(number, event[1], rest, header)
        if others:
            self.collector.ignored["other events"] += others
        columns, bad = chunk.columns(), chunk.bad
        good = np.ones(len(columns), np.bool_)
        for mask, name, problem in find_bad(LAYOUT, columns):
            bad += [chunk.bad_row(i, name, problem) for i in np.flatnonzero(mask).tolist()]
            good &= ~mask
        for row in in_line_order(bad):
            self.collector.bad(row)
        rows = len(columns) + len({row.line for row in bad} - set(chunk.lines))
        self._events += rows
        self.collector.add(columns.keep(good), rows=rows)
        return len(texts)

    def _set_roles(self, event: int, header: _Header) -> None:
        """Tell the kernel where the columns of an event stand; it leaves alone what has too many."""
        from clonesim.ingest import xperf_kernel as kernel

        self._roles[event], self._counts[event] = kernel.IGNORED, 0
        if header.columns <= _MOST_COLUMNS:
            self._counts[event] = header.columns
            places = (header.process, header.time, header.disk, header.offset, header.size, header.file)
            roles = (kernel.PROCESS, kernel.TIME, kernel.DISK, kernel.OFFSET, kernel.LENGTH, kernel.FILE)
            for place, role in zip(places, roles, strict=True):
                if place >= 0:
                    self._roles[event, place] = role


class _Header:
    """Places of the columns of one kind of event, counted behind its name."""

    def __init__(self, source: Source, event: bytes, text: bytes, line: int) -> None:
        names = [part.strip().decode("utf-8", "replace") for part in text.split(b",")][1:]
        needed = _NEEDED if _CODES[event] == BlockOp.FLUSH else _NEEDED_TO_MOVE
        missing = [name for name in needed if name not in names]
        if missing:
            problem = f"the header row of {event.decode()} lacks the column{'s' if len(missing) > 1 else ''} "
            raise TraceError(source.path, problem + ", ".join(missing), _REMEDY, line, "header", shorten(text.strip()))
        self.columns = len(names)
        self.time, self.disk = names.index("TimeStamp"), names.index("DiskNum")
        self.offset = names.index("ByteOffset") if "ByteOffset" in names else -1
        self.size = names.index("IOSize") if "IOSize" in names else -1
        self.file = names.index("FileName") if names[-1] == "FileName" else -1
        process = [i for i, name in enumerate(names) if name.startswith("Process Name")]
        self.process = process[0] if process else -1

    def split(self, rest: bytes) -> list[bytes]:
        """Fields of a row. A comma in the name of the process or of the file does not count."""
        parts = rest.split(b",", self.columns - 1)
        place = self.process
        if place < 0 or len(parts) <= place or b")" in parts[place]:
            return parts
        before = rest.split(b",", place)
        hit = _PROCESS.fullmatch(before[-1])
        if hit is None:
            return parts
        return [*before[:-1], hit[1], *hit[2].split(b",", self.columns - place - 2)]


class _Chunk:
    """Events of a chunk of lines."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.bad: list[BadRow] = []
        self._values: list[tuple[int, int, int, int, int, int]] = []
        self._texts: list[tuple[bytes, bytes]] = []
        self._disks: dict[bytes, int] = {}
        self._files: dict[bytes, int] = {}

    def add(self, line: int, event: bytes, rest: bytes, header: _Header) -> None:
        """Take one event apart."""
        parts = header.split(rest)
        if len(parts) != header.columns:
            problem = f"{len(parts) + 1} fields where its header row has {header.columns + 1}"
            self.bad.append(BadRow(line, "row", shorten((event + b"," + rest).strip()), problem))
            return
        time, disk = parts[header.time].strip(), parts[header.disk].strip()
        code = _CODES[event]
        offset = size = b"0x0"
        if code != BlockOp.FLUSH:
            offset, size = parts[header.offset].strip(), parts[header.size].strip()
        found = _problem(time, offset, size, disk)
        if found:
            self.bad.append(BadRow(line, found[0], shorten(found[1]), found[2]))
            return
        file = parts[header.file].strip(b' \t"') if header.file >= 0 else b""
        self.lines.append(line)
        self._texts.append((offset, size))
        self._values.append(
            (
                min(int(time), MOST_BYTE),
                code,
                min(int(offset, 16), MOST_BYTE),
                min(int(size, 16), MOST_BYTE),
                self._disks.setdefault(disk, len(self._disks)),
                self._files.setdefault(file, len(self._files)),
            )
        )

    def columns(self) -> Columns:
        """Return the events so far."""
        values = np.array(self._values, np.int64).reshape(-1, 6)
        return Columns(
            values[:, 0].copy(),
            values[:, 1].astype(np.int16),
            values[:, 2].copy(),
            values[:, 3].copy(),
            values[:, 4].astype(np.int32),
            [name.decode("utf-8", "replace") for name in self._disks],
            values[:, 5].astype(np.int32),
            [name.decode("utf-8", "replace") for name in self._files],
        )

    def bad_row(self, row: int, name: str, problem: str) -> BadRow:
        """Return why a row that could be taken apart is bad."""
        offset, size = self._texts[row]
        shown = {LAYOUT.offset: offset, LAYOUT.length: size}.get(name, str(self._values[row][0]).encode())
        return BadRow(self.lines[row], name, shorten(shown), problem)


def _problem(time: bytes, offset: bytes, size: bytes, disk: bytes) -> tuple[str, bytes, str] | None:
    """Field, value and problem of a row whose numbers are none."""
    if not _WHOLE.fullmatch(time):
        return LAYOUT.time, time, "is not a whole number of microseconds"
    if not _WHOLE.fullmatch(disk):
        return LAYOUT.device, disk, "is not a whole number"
    if not _HEX.fullmatch(offset):
        return LAYOUT.offset, offset, "is not a hexadecimal number such as 0x018f0b8000"
    if not _HEX.fullmatch(size):
        return LAYOUT.length, size, "is not a hexadecimal number such as 0x00001000"
    return None


def is_dump(rows: list[bytes]) -> bool:
    """Whether the first rows of a text are those of a dump."""
    if rows[0] == _FRAME[0]:
        return True
    return any(_EVENT.match(row) and b"TimeStamp" in row and b"DiskNum" in row for row in rows[:200])
