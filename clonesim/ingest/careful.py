"""The careful reader of text traces: line by line, slow, and exact about which row is bad and why."""

from __future__ import annotations

import csv
import re
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from clonesim.errors import shorten
from clonesim.ingest.layouts import TextLayout
from clonesim.ingest.rows import BLANK, MOST_BYTE, BadRow, Columns

_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?")
_BLANKS = re.compile(r"[ \t]+")


class CarefulRows:
    """Rows read line by line.

    Parameters
    ----------
    layout : TextLayout
        The kind.
    columns : tuple of str
        Names of the columns in this file's order.

    Attributes
    ----------
    lines : list of int
        Line of each row in `as_columns`.
    bad : list of BadRow
        Rows that could not be taken apart.
    """

    def __init__(self, layout: TextLayout, columns: tuple[str, ...]) -> None:
        self.layout, self.columns = layout, columns
        self.lines: list[int] = []
        self.bad: list[BadRow] = []
        self._fields: list[dict[str, str]] = []
        self._values: list[tuple[int, int, int, int, int]] = []
        self._names: dict[str, int] = {}

    def add(self, line: int, text: bytes) -> None:
        """Read one line; blank lines and comments are no rows."""
        layout = self.layout
        plain = text.strip(b" \t\r\n")
        if not plain or plain.startswith(b"#"):
            return
        parts = split_fields(layout, plain.decode("utf-8", "replace"))
        if is_file_action(layout, parts):
            return
        if len(parts) != len(self.columns):
            names = shorten(layout.delimiter.join(self.columns))
            problem = (
                f"{len(parts)} fields where {len(self.columns)} are needed ({names})" if parts else "an open quote"
            )
            self.bad.append(BadRow(line, "row", shorten(plain), problem))
            return
        fields = {name: part.strip(" \t") for name, part in zip(self.columns, parts, strict=True)}
        lead = layout.columns[0]
        if layout.first_values and lead in fields and fields[lead] not in layout.first_values:
            problem = f"{layout.kind} has {' or '.join(sorted(layout.first_values))} here"
            self.bad.append(BadRow(line, lead, shorten(fields[lead]), problem))
            return
        code = layout.code(fields[layout.op])
        try:
            time = self._ticks(fields, code) if layout.time else 0
            offset = self._whole(fields, layout.offset, code)
            length = self._whole(fields, layout.length, code)
        except _NumberError as error:
            self.bad.append(BadRow(line, error.name, shorten(fields[error.name]), error.problem))
            return
        name = device_name([fields[column] for column in layout.devices])
        self.lines.append(line)
        self._fields.append(fields)
        self._values.append((time, code, offset, length, self._names.setdefault(name, len(self._names))))

    def _whole(self, fields: dict[str, str], name: str, code: int) -> int:
        text = fields[name]
        if code == BLANK and not text:
            return 0
        if not _WHOLE.fullmatch(text):
            raise _NumberError(name, "is not a whole number")
        value = int(text[:40])  # 40 digits are too many anyway, 5,000 would be an error of their own
        if abs(value) > MOST_BYTE:
            raise _NumberError(name, "is beyond 2^63")
        return value

    def _ticks(self, fields: dict[str, str], code: int) -> int:
        if not self.layout.decimals:
            return self._whole(fields, self.layout.time, code)
        text = fields[self.layout.time]
        if code == BLANK and not text:
            return 0
        if not _DECIMAL.fullmatch(text):
            raise _NumberError(self.layout.time, "is not a number of seconds")
        seconds = Decimal(text)
        if seconds.adjusted() > 18:
            raise _NumberError(self.layout.time, "is beyond 2^63")
        if seconds.adjusted() < -18:
            return 0
        # scaleb and quantize round to the context's 28 digits, which hold 19 + 6 places.
        ticks = int(Decimal(text[:40]).scaleb(self.layout.decimals).quantize(Decimal(1), ROUND_HALF_UP))
        if abs(ticks) > MOST_BYTE:
            raise _NumberError(self.layout.time, "is beyond 2^63")
        return -1 if seconds < 0 else ticks

    def as_columns(self) -> Columns:
        """Return the rows read so far."""
        time, code, offset, length, device = zip(*self._values, strict=True) if self._values else ((), (), (), (), ())
        return Columns(
            time=np.array(time, np.int64) if self.layout.time else None,
            code=np.array(code, np.int16),
            offset=np.array(offset, np.int64),
            length=np.array(length, np.int64),
            device=np.array(device, np.int32),
            names=tuple(self._names),
        )

    def shown(self, row: int, name: str) -> str:
        """Return what the file has in this field, for a message."""
        return shorten(self._fields[row].get(name, ""))


class _NumberError(Exception):
    def __init__(self, name: str, problem: str) -> None:
        self.name, self.problem = name, problem


def device_name(parts: list[str]) -> str:
    """Name of a device from its columns; empty if one of them is."""
    if not parts:
        return "disk"
    return "_".join(parts) if all(parts) else ""


def split_fields(layout: TextLayout, text: str) -> list[str]:
    """Fields of a row; none if a quote is not closed."""
    if layout.delimiter == " ":
        return _BLANKS.split(text)
    if '"' not in text:
        return text.split(layout.delimiter)
    try:
        return next(csv.reader([text], delimiter=layout.delimiter, strict=True))
    except (csv.Error, StopIteration):
        return []


def is_file_action(layout: TextLayout, parts: list[str]) -> bool:
    """Whether a row says that a file was added, opened or closed."""
    if not layout.skip_actions:
        return False
    place = layout.columns.index(layout.op)
    return len(parts) == place + 1 and parts[place].lower() in layout.skip_actions
