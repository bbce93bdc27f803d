"""A CSV table: delimiter, header and text cells, whatever wrote it."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clonesim.errors import InventoryError, shorten
from clonesim.ingest.limits import most, or_raise
from clonesim.units import format_size

DELIMITERS = ",;\t|"
_BLOCK_BYTES = 4 * 2**20
_MARK = re.compile(rb"[^\r\n\x00 ]")


@dataclass(frozen=True)
class CsvHead:
    """What the first lines of a CSV tell.

    Attributes
    ----------
    delimiter : str
        One of DELIMITERS.
    names : tuple of str
        Header, blanks around the names removed.
    start : int
        Byte where the rows begin.
    rows_before : int
        Lines up to the first row: the header and a `#TYPE` or `sep=` line.
    """

    delimiter: str
    names: tuple[str, ...]
    start: int
    rows_before: int


def read_head(path: str | Path, data: bytes) -> CsvHead:
    """Header of a CSV, after a PowerShell `#TYPE` or an Excel `sep=` line and blank lines.

    Raises
    ------
    InventoryError
        If the first line is no header.
    """
    start, lines, longest = 0, 0, most("csv_line_bytes")
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if end - start > longest:
            problem = f"begins with a line of more than {format_size(longest)}, so it is no table"
            raise InventoryError(path, problem, or_raise("csv_line_bytes", "Name a CSV file"))
        line = data[start:end].decode("utf-8", "replace").strip("\r\n \x00")
        start, lines = min(end + 1, len(data)), lines + 1
        if line and not line.startswith("#") and not line.lower().startswith("sep="):
            return _head(path, line, start, lines)
    raise InventoryError(path, "holds no line with a header", "Export it again, with a header line.")


def _head(path: str | Path, line: str, start: int, lines: int) -> CsvHead:
    delimiter = max(DELIMITERS, key=lambda mark: _fields_outside_quotes(line, mark))
    try:
        names = tuple(name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True)))
    except (csv.Error, StopIteration) as error:
        told = "Export it again, with a header in the first line."
        raise InventoryError(path, f"the header cannot be taken apart ({error})", told, row=lines) from None
    if len(names) > (allowed := most("csv_columns")):
        told = or_raise("csv_columns", "Keep the columns that matter")
        raise InventoryError(path, f"{len(names)} columns; allowed are {allowed}", told, row=lines)
    return CsvHead(delimiter, names, start, lines)


def _fields_outside_quotes(line: str, mark: str) -> int:
    return sum(part.count(mark) for part in line.split('"')[::2])


def read_columns(
    path: str | Path,
    data: bytes,
    head: CsvHead,
    wanted: Collection[int],
    *,
    rows_limit: int,
    rows_name: str,
    types: dict[int, Any] | None = None,
) -> dict[int, Any]:
    """Cells of some columns.

    Parameters
    ----------
    path : str or Path
        The file, for messages.
    data : bytes
        Its content as UTF-8.
    head : CsvHead
        What `read_head` found.
    wanted : collection of int
        Places of the columns.
    rows_limit : int
        Most rows.
    rows_name : str
        Which limit that is, such as "inventory_rows".
    types : dict of int to pyarrow.DataType, optional
        Types to try first; if a cell does not fit, all columns are text.

    Returns
    -------
    dict of int to pyarrow.ChunkedArray
        Cells per place, text unless of a type in `types`; blanks around text are left.

    Raises
    ------
    InventoryError
        If a row has too few or too many fields, a quote is left open, or there are too many rows.
    """
    import pyarrow as pa

    if _MARK.search(data, head.start) is None:
        return {place: pa.chunked_array([], pa.string()) for place in wanted}
    parser = _Parser(data, head, sorted(wanted))
    try:
        table = parser.parse(types) if types else None
    except pa.ArrowInvalid:
        table = None
    try:
        if table is None or parser.bad or parser.tail:
            table = parser.parse({})
        if parser.tail and not parser.bad and table.num_rows == 0:
            table = parser.parse({}, fields=len(head.names) + 1)
        if parser.bad or parser.tail:
            parser.parse({}, threads=False)  # one thread alone counts rows
    except pa.ArrowInvalid as error:
        told = "Export it again; a quote that is left open swallows the rows after it."
        raise InventoryError(path, f"is no CSV that can be read ({str(error)[:200]})", told) from None
    if parser.bad or parser.tail:
        _refuse_row(path, head, (parser.bad or parser.tail)[0])
    if table.num_rows > rows_limit:
        told = or_raise(rows_name, "Split it", rows_limit)
        raise InventoryError(path, f"{table.num_rows} rows; allowed are {rows_limit}", told)
    return {place: table.column(str(place)) for place in wanted}


class _Parser:
    """Parses once or more, and keeps the first row that does not fit the header."""

    def __init__(self, data: bytes, head: CsvHead, wanted: Sequence[int]) -> None:
        self._data, self._head, self._wanted = data, head, wanted
        self.bad: list[Any] = []  # the first row of all that do not fit
        self.tail: list[Any] = []  # the first row with a delimiter at its end, a common slip of scripts

    def parse(self, types: dict[int, Any], fields: int = 0, threads: bool = True) -> Any:
        import pyarrow as pa
        from pyarrow import csv as pa_csv

        self.bad, self.tail = [], []
        names = [str(place) for place in range(fields or len(self._head.names))]
        return pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(self._data).slice(self._head.start)),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES, use_threads=threads),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._head.delimiter,
                newlines_in_values=self._data.find(b'"', self._head.start) >= 0,
                invalid_row_handler=self._handle,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: types.get(int(name), pa.string()) for name in names},
                include_columns=[str(place) for place in self._wanted],
                null_values=[""],
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )

    def _handle(self, row: Any) -> str:
        one_more = row.actual_columns == row.expected_columns + 1 and row.text.endswith(self._head.delimiter)
        target = self.tail if one_more else self.bad
        if not target:
            target.append(row)
        return "skip"


def _refuse_row(path: str | Path, head: CsvHead, row: Any) -> None:
    problem = f"{row.actual_columns} fields where the header has {row.expected_columns}"
    number = None if row.number is None else row.number + head.rows_before
    told = "Correct or remove the row; text with a delimiter in it belongs in quotes."
    raise InventoryError(path, problem, told, row=number, column="row", value=shorten(row.text))
