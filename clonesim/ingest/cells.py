"""Cells of one column, text from a CSV or objects from a workbook, turned into a typed pandas series."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from clonesim.errors import MOST_SHOWN, InventoryError, ParameterError, shorten
from clonesim.ingest import dates
from clonesim.units import GIB, KIB, MIB, TIB

if TYPE_CHECKING:
    import pandas as pd

MOST = 2**63 - 1
DTYPES = {"text": "string", "bytes": "Int64", "count": "Int64", "number": "Float64", "bool": "boolean"}
UNITS = {
    "b": 1, "byte": 1, "bytes": 1, "kb": KIB, "kib": KIB, "mb": MIB, "mib": MIB, "gb": GIB, "gib": GIB, "tb": TIB,
    "tib": TIB, "k": KIB, "m": MIB, "g": GIB, "t": TIB,
}  # fmt: skip
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[. ]\d{3})+),\d+|[+-]?\d{1,3}(?:\.\d{3})+")
_SIZE = re.compile(r"<?\s*([+-]?[0-9][0-9., ]*)\s*([a-zA-Z]+)")


@dataclass
class Where:
    """Where the cells stand, for messages, and how their text is read.

    Attributes
    ----------
    path : str or Path
        The file.
    sheet : str
        The sheet or tab; empty for a plain table.
    first_row : int
        Row of the first cell as a spreadsheet counts.
    decimal_comma : bool
        Whether 1,5 is one and a half, as where fields are parted by semicolons.
    dayfirst : bool, optional
        Whether 3/4/2012 is 3 April; found from the column by default.
    zone : str
        Time zone of dates that name none.
    skip_bad : bool
        Leave out cells that cannot be read, and note them.
    notes : list of str
        What was doubtful.
    """

    path: str | Path
    sheet: str = ""
    first_row: int = 2
    decimal_comma: bool = False
    dayfirst: bool | None = None
    zone: str = "UTC"
    skip_bad: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, column: str, text: str) -> None:
        """Note something about a column, once."""
        line = f"{self.sheet + ', ' if self.sheet else ''}{column}: {text}"
        if line not in self.notes:
            self.notes.append(line)

    def refuse(self, row: int, column: str, value: object, problem: str) -> NoReturn:
        """Refuse a cell."""
        shown = value if len(str(value)) <= MOST_SHOWN else shorten(str(value))
        remedy = "Correct it, or leave such cells empty with skip_bad_values=True, which notes them."
        raise InventoryError(self.path, problem, remedy, self.sheet, self.first_row + row, column, shown)


def check_zone(zone: str) -> str:
    """Name of a time zone that is known.

    Raises
    ------
    ParameterError
        If there is no such zone.
    """
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError, TypeError):
        allowed = "allowed are the names of the IANA time zones, such as 'UTC' or 'Europe/Berlin'"
        raise ParameterError("zone", zone, allowed, "Check the spelling.") from None
    return zone


def empty(kind: str, rows: int = 0) -> pd.Series:
    """A column without values."""
    import pandas as pd

    if kind == "date":
        return dates.as_utc(np.full(rows, dates.NONE), np.ones(rows, bool), "UTC")
    return pd.Series([pd.NA] * rows, dtype=DTYPES[kind])


def convert(cells: Any, kind: str, unit: int, name: str, where: Where) -> pd.Series:
    """Typed column.

    Parameters
    ----------
    cells : pyarrow.StringArray or list
        Text cells of a CSV, or cells of a workbook.
    kind : str
        "text", "bytes", "count", "number", "bool" or "date".
    unit : int
        Bytes per unit, for bytes.
    name : str
        The header, for messages.
    where : Where
        Where the cells stand.

    Returns
    -------
    pandas.Series
        Of dtype string, Int64, Float64, boolean or datetime64[us, UTC]; empty cells are missing.

    Raises
    ------
    InventoryError
        If a cell is not of this kind.
    """
    if kind == "date":
        return _dates(cells, name, where)
    if isinstance(cells, list):
        if kind in ("bytes", "count", "number") and {type(cell) for cell in cells} <= {int, float}:
            return _scaled(np.array(cells, np.float64), kind, unit, name, where, cells)
        cells = _as_text(cells)
    if kind == "bytes" and _is_whole(cells):
        return _whole_numbers(cells, unit, name, where)
    cells = _trimmed(cells)
    if kind == "text":
        texts: pd.Series = cells.to_pandas().astype("string")
        return texts
    if kind == "bool":
        return _by_unique(cells, kind, lambda texts: [_WORDS.get(text.lower()) for text in texts], name, where)
    return _numbers(cells, kind, unit, name, where)


def _is_whole(cells: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_int64(cells.type))


def _whole_numbers(cells: Any, unit: int, name: str, where: Where) -> pd.Series:
    """Sizes that the parser of the CSV has already read."""
    import pandas as pd
    import pyarrow as pa

    missing = cells.is_null().to_numpy()
    values = cells.fill_null(0).to_numpy()
    if values.size and not 0 <= values.min() <= values.max() <= MOST // unit:
        return _numbers(_trimmed(cells.cast(pa.string()).fill_null("")), "bytes", unit, name, where)
    return pd.Series(pd.arrays.IntegerArray(values * unit, missing))


def _as_text(cells: list[Any]) -> Any:
    import pyarrow as pa

    return pa.array([cell if isinstance(cell, str) else _one_text(cell) for cell in cells], pa.string())


def _one_text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))  # a VM named 12345 is 12345.0 in a workbook
    return str(cell)


def _whole(cells: Any) -> Any:
    """One array of a column that was read in pieces."""
    return cells.combine_chunks() if hasattr(cells, "combine_chunks") else cells


def _trimmed(cells: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pc.utf8_trim_whitespace(_whole(cells))
    return pc.if_else(pc.equal(pc.binary_length(cells), 0), pa.scalar(None, pa.string()), cells)


def _numbers(cells: Any, kind: str, unit: int, name: str, where: Where) -> pd.Series:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        whole = pc.cast(cells, pa.int64())
    except pa.ArrowInvalid:
        pass
    else:
        values = whole.fill_null(0).to_numpy(zero_copy_only=False)
        most = MOST // unit if kind == "bytes" else MOST
        if values.size == 0 or (values.min() >= 0 and values.max() <= most):
            scaled = pd.Series(values * unit if kind == "bytes" else values, dtype=DTYPES[kind])
            return scaled.mask(whole.is_null().to_numpy(zero_copy_only=False))
    seen = cells.dictionary_encode()
    comma = _decimal_comma([text for text in seen.dictionary.to_pylist() if text], name, where)
    return _by_unique(cells, kind, lambda texts: [_number(text, kind, unit, comma) for text in texts], name, where)


def _decimal_comma(texts: Sequence[str], name: str, where: Where) -> bool:
    """Whether commas stand before decimals in this column."""
    with_comma = [text for text in texts if "," in text and len(text) <= MOST_SHOWN]
    if not with_comma:
        return where.decimal_comma
    bare = [hit[1].strip() if (hit := _SIZE.fullmatch(text)) else text for text in with_comma]
    if any(_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text) for text in bare):
        return True
    if not where.decimal_comma:
        where.note(name, f"{with_comma[0]!r} and the like are read with commas between thousands")
    return where.decimal_comma


def parse_number(text: str, comma: bool = False) -> Decimal | None:
    """Number as people and programs write it; None if it is none."""
    text = text.replace("\N{NO-BREAK SPACE}", "").replace("\N{NARROW NO-BREAK SPACE}", "")
    if len(text) > 40:
        return None
    if comma and _COMMA.fullmatch(text):
        text = text.replace(".", "").replace(" ", "").replace(",", ".")
    elif not comma and _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    return Decimal(text) if _PLAIN.fullmatch(text) else None


def parse_text_size(text: str, unit: int = 1, comma: bool = False) -> int | None:
    """Bytes of "1.5 GiB", "32.00g" or of a bare number in `unit`; None if it is none or beyond 2^63."""
    if len(text) > MOST_SHOWN:
        return None
    if hit := _SIZE.fullmatch(text):
        factor = UNITS.get(hit[2].lower())
        if factor is None:
            return None
        text, unit = hit[1].strip(), factor
    value = parse_number(text, comma)
    if value is None or value < 0 or value.adjusted() > 20:
        return None
    size = round(value * unit)
    return size if size <= MOST else None


def _number(text: str, kind: str, unit: int, comma: bool) -> float | int | None:
    if kind == "bytes":
        return parse_text_size(text, unit, comma)
    value = parse_number(text.removesuffix("%").strip() if kind == "number" else text, comma)
    if value is None or value < 0 or value.adjusted() > 18:
        return None
    if kind == "number":
        return float(value)
    return int(value) if value == int(value) and value <= MOST else None


def _by_unique(cells: Any, kind: str, read: Callable[[list[str]], list[Any]], name: str, where: Where) -> pd.Series:
    """Read each different text once."""
    import pandas as pd

    seen = cells.dictionary_encode()
    texts = seen.dictionary.to_pylist()
    values = read(texts)
    bad = np.array([value is None for value in values], bool)
    codes = seen.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if bad.any():
        _bad_cells(np.flatnonzero((codes >= 0) & bad[codes]), texts, codes, kind, name, where)
    series = pd.Series([*values, None], dtype=DTYPES[kind])  # -1, an empty cell, takes the last
    return series.take(np.where(codes < 0, len(values), codes)).reset_index(drop=True)


PROBLEMS = {
    "bytes": "is not a size from 0 to 2^63 - 1 bytes",
    "count": "is not a whole number from 0",
    "number": "is not a number from 0",
    "bool": "is neither True nor False",
    "date": f"is not a date from {dates.FIRST_YEAR} to {dates.LAST_YEAR}",
}


def _bad_cells(rows: Any, texts: Any, codes: Any, kind: str, name: str, where: Where) -> None:
    if rows.size == 0:
        return
    first = int(rows[0])
    value = texts[codes[first]]
    if not where.skip_bad:
        where.refuse(first, name, value, PROBLEMS[kind])
    shown = str(value)[:MOST_SHOWN]
    where.note(name, f"{rows.size} cells left out, the first in row {first + where.first_row}: {shown!r}")


def _scaled(values: Any, kind: str, unit: int, name: str, where: Where, cells: Any) -> pd.Series:
    """Numbers of a workbook."""
    import pandas as pd

    unit = unit if kind == "bytes" else 1
    good = np.isfinite(values) & (values >= 0) & (values * unit < MOST)
    if kind == "count":
        good &= values == np.floor(values)
    if not good.all():
        _bad_cells(np.flatnonzero(~good), [str(cell) for cell in cells], np.arange(values.size), kind, name, where)
        values = np.where(good, values, 0)
    column = values if kind == "number" else np.rint(values * unit).astype(np.int64)
    return pd.Series(column, dtype=DTYPES[kind]).mask(~good)


def _dates(cells: Any, name: str, where: Where) -> pd.Series:
    if isinstance(cells, list):
        texts = list(dict.fromkeys(cell.strip() for cell in cells if isinstance(cell, str)))
    else:
        fast = iso_dates(cells, where)
        if fast is not None:
            return fast
        seen = _trimmed(_written(cells)).dictionary_encode()
        texts = seen.dictionary.to_pylist()
    texts = [text for text in texts if text]
    try:
        readings, guessed = dates.read_texts(texts, where.dayfirst)
    except dates.AmbiguousDates:
        problem = f"days and months cannot be told apart, as in {texts[0]!r}"
        remedy = "Say dayfirst=True or dayfirst=False, or write dates as 2012-04-03."
        raise InventoryError(where.path, problem, remedy, where.sheet, None, name, texts[0]) from None
    if guessed:
        where.note(name, "the order of day and month was found from the column")
    found = dict(zip(texts, readings, strict=True))
    if isinstance(cells, list):
        rows = [found.get(cell.strip()) if isinstance(cell, str) else dates.to_ticks(cell) for cell in cells]
        present = [cell is not None and (not isinstance(cell, str) or bool(cell.strip())) for cell in cells]
        if any(type(cell) is float for cell in cells):
            where.note(name, "numbers are read as a spreadsheet's serial days")
        return _dated(rows, cells, np.array(present, bool), name, where)
    codes = seen.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _dated_by_code(readings, texts, codes, name, where)


def _written(cells: Any) -> Any:
    """Text of cells that were read as times, a date without its midnight; text as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(cells.type):
        return cells
    return pc.replace_substring_regex(cells.cast(pa.string()), r"( 00:00:00)?\.0+$", "")


def iso_dates(cells: Any, where: Where) -> pd.Series | None:
    """ISO dates, fast, of text or timestamps; None if there are others, or ones of doubtful years."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(cells.type):
        return _stamps(cells, where)
    cells = pc.if_else(pc.equal(pc.binary_length(cells), 0), pa.scalar(None, pa.string()), cells)
    for zone in (None, "UTC"):
        try:
            stamps = pc.cast(cells, pa.timestamp("us", tz=zone))
        except pa.ArrowInvalid:
            continue
        return _stamps(stamps, where)
    return None


def _stamps(stamps: Any, where: Where) -> pd.Series | None:
    import pyarrow as pa

    ticks = stamps.cast(pa.int64()).fill_null(int(dates.NONE)).to_numpy()
    known = ticks[ticks != dates.NONE]
    if known.size and not dates.FIRST_TICK <= known.min() <= known.max() < dates.END_TICK:
        return None
    zoned = np.ones(ticks.size, bool) if stamps.type.tz is not None else ticks == dates.NONE
    return dates.as_utc(ticks, zoned, where.zone)


def _dated_by_code(readings: Sequence[Any], texts: Sequence[str], codes: Any, name: str, where: Where) -> pd.Series:
    bad = np.array([reading is None for reading in readings] + [False], bool)
    _bad_cells(np.flatnonzero(bad[codes]), texts, codes, "date", name, where)
    ticks = np.array([dates.NONE if r is None else r.ticks for r in readings] + [dates.NONE], np.int64)
    zoned = np.array([r is None or r.zoned for r in readings] + [True], bool)
    return dates.as_utc(ticks[codes], zoned[codes], where.zone)


def _dated(rows: Sequence[Any], cells: list[Any], present: Any, name: str, where: Where) -> pd.Series:
    bad = present & np.array([row is None for row in rows], bool)
    _bad_cells(np.flatnonzero(bad), [str(cell) for cell in cells], np.arange(len(rows)), "date", name, where)
    ticks = np.array([dates.NONE if row is None else row.ticks for row in rows], np.int64)
    zoned = np.array([row is None or row.zoned for row in rows], bool)
    return dates.as_utc(ticks, zoned, where.zone)
