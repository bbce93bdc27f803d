"""Text traces: a fast kernel for plain rows and, only where it gives up, a careful reader that finds the exact line.

A chunk that the kernel cannot take, or that has a bad row, is halved until the unusual rows stand in a small piece;
only that piece is read line by line. So a bad row costs little, and one set of rules says what is bad.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from clonesim.errors import TraceError, shorten
from clonesim.ingest.careful import CarefulRows, device_name, split_fields
from clonesim.ingest.collector import Collector
from clonesim.ingest.device_table import DeviceTable
from clonesim.ingest.layouts import TextLayout
from clonesim.ingest.pieces import PieceReader
from clonesim.ingest.rows import BLANK, MOST_BYTE, MOST_LENGTH, BadRow, Columns, find_bad, in_line_order
from clonesim.ingest.source import CHUNK_BYTES, Source

_MOST_DEVICES = 1024  # in one chunk, for the fast path
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIO_HEADER = re.compile(rb"fio version [0-9]+ iolog")


class TextReader(PieceReader):
    """Reads one text trace.

    Parameters
    ----------
    source : Source
        The file.
    layout : TextLayout
        Its kind.
    collector : Collector
        Takes over the rows.
    """

    def __init__(self, source: Source, layout: TextLayout, collector: Collector) -> None:
        super().__init__(source, collector)
        self.layout = layout
        self._devices = DeviceTable() if layout.many_devices else None
        self._set_columns(layout.columns)
        words = layout.words()
        self._words = np.frombuffer("".join(words).encode(), np.uint8)
        self._word_ends = np.cumsum([len(word) for word in words], dtype=np.int64)
        self._word_codes = np.array(list(words.values()), np.int64)
        self._leads = np.zeros(256, np.uint8)
        self._leads[[ord(value) for value in layout.first_values]] = 1
        self._spans = np.zeros((_MOST_DEVICES, 2), np.int64)
        # The kernel writes here. A row has a byte at least for each column, two more digits and an end.
        most = 2 * CHUNK_BYTES // (len(layout.columns) + 2) + 1
        self._time, self._offset, self._length = (np.empty(most, np.int64) for _ in range(3))
        self._code, self._device = np.empty(most, np.int16), np.empty(most, np.int32)

    def chunks(self) -> Iterator[None]:
        """Read the file, and pause after each chunk of it.

        Raises
        ------
        TraceError
            If the header line lacks a column, or a row is bad.
        """
        line, preamble = 1, True
        for chunk in self.source.lines():
            data = chunk
            if preamble:
                data, used, preamble = self._skip_preamble(chunk, line)
                line += used
            line += self._parse(data, line)
            yield

    def _set_columns(self, columns: tuple[str, ...]) -> None:
        """Set the order of columns in this file."""
        from clonesim.ingest import text_kernel as kernel

        layout = self.layout
        self.columns = columns
        role = {layout.op: kernel.OP, layout.offset: kernel.OFFSET, layout.length: kernel.LENGTH}
        if not layout.many_devices:
            role |= dict.fromkeys(layout.devices, kernel.DEVICE)
        if layout.time:
            role[layout.time] = kernel.TIME
        if layout.first_values:
            role[layout.columns[0]] = kernel.LEAD
        self._roles = np.array([role.get(name, kernel.IGNORED) for name in columns], np.int64)
        places = [columns.index(name) for name in layout.devices]
        self._fast_possible = places == list(range(places[0], places[0] + len(places))) if places else True

    def _skip_preamble(self, data: bytes, line: int) -> tuple[bytes, int, bool]:
        """Return what follows comments and the header line, how many lines those are, and whether more may come."""
        used = begin = 0
        while begin < len(data):
            end = _LINE_END.search(data, begin)
            text = data[begin : end.start() if end else len(data)].strip()
            if text and not text.startswith(b"#"):
                if _FIO_HEADER.fullmatch(text) or self._take_header(text, line + used):
                    begin, used = end.end() if end else len(data), used + 1
                elif self.layout.optional:
                    fields = split_fields(self.layout, text.decode("utf-8", "replace"))
                    self._set_columns(self.layout.columns_of(len(fields)))
                return data[begin:], used, False
            begin, used = end.end() if end else len(data), used + 1
        return b"", used, True

    def _take_header(self, text: bytes, line: int) -> bool:
        """Whether this is a header line; the order of columns is then taken from it."""
        names = self.layout.header_names(text)
        if names is None:
            return False
        missing = [name for name in self.layout.columns if name in self.layout.needed and name not in names]
        if missing:
            problem = f"the header line lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            remedy = f"A {self.layout.kind} trace has {','.join(self.layout.columns)}."
            raise TraceError(self.source.path, problem, remedy, line, "header", shorten(text))
        self._set_columns(names)
        return True

    def _fast(self, data: bytes, line: int) -> int | None:
        """Take over all rows if none of them is bad or unusual and return the lines; else do nothing."""
        from clonesim.ingest import text_kernel as kernel

        if not self._fast_possible:
            return None
        layout = self.layout
        rows, names, lines, odd = kernel.parse_rows(
            np.frombuffer(data, np.uint8),
            self._roles,
            ord(layout.delimiter),
            self._words,
            self._word_ends,
            self._word_codes,
            self._leads,
            layout.decimals,
            MOST_BYTE // layout.block - MOST_LENGTH,
            MOST_LENGTH // layout.length_block,
            self._time,
            self._code,
            self._offset,
            self._length,
            self._device,
            self._spans,
        )
        if rows == kernel.FAILED:
            return None
        spans = [data[start:end].decode("utf-8", "replace") for start, end in self._spans[:names].tolist()]
        columns = Columns(
            time=self._time[:rows].copy() if layout.time else None,
            code=self._code[:rows].copy(),
            offset=self._offset[:rows].copy(),
            length=self._length[:rows].copy(),
            device=self._device[:rows].copy(),
            names=tuple(device_name(span.split(layout.delimiter)) for span in spans) if layout.devices else ("disk",),
        )
        if odd:
            blank = columns.code == BLANK
            found = np.flatnonzero(blank)
            if found.size:
                if rows != lines:  # rows and lines no longer go together
                    return None
                columns = columns.keep(~blank)
            if find_bad(layout, columns):
                return None
            self.collector.leave_out(BadRow(line + row, layout.op, "", layout.blank_op) for row in found.tolist())
        if self._devices is not None:
            numbers = self._devices.number(data, layout.delimiter, self.columns.index(layout.devices[0]), rows)
            if numbers is None:
                return None
            columns.device, columns.names = numbers, self._devices.names
        self.collector.add(columns, rows=rows)
        return int(lines)

    def _careful(self, data: bytes, line: int) -> int:
        """Take over the good rows, report each bad one with its line, and return how many lines there are."""
        rows = CarefulRows(self.layout, self.columns)
        lines = data.splitlines()
        for number, text in enumerate(lines, line):
            rows.add(number, text)
        columns = rows.as_columns()
        bad = list(rows.bad)
        blank = columns.code == BLANK
        good = ~blank
        blanks = np.asarray(rows.lines, np.int64)[blank].tolist()
        self.collector.leave_out(BadRow(number, self.layout.op, "", self.layout.blank_op) for number in blanks)
        for mask, name, problem in find_bad(self.layout, columns):
            if name == self.layout.op:
                problem = f"{problem}; {self.layout.kind} has {self.layout.allowed_ops}"
            found = np.flatnonzero(mask & ~blank).tolist()
            bad += [BadRow(rows.lines[i], name, rows.shown(i, name), problem) for i in found]
            good &= ~mask
        for row in in_line_order(bad):
            self.collector.bad(row)
        self.collector.add(columns.keep(good), rows=len(columns) + len(rows.bad))
        return len(lines)
