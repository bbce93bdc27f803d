"""An xlsx workbook: looked over before it is parsed, then read sheet by sheet.

A workbook is a zip of XML, and a few KB of it can stand for gigabytes: in what the zip unpacks to, or in two cells at
opposite corners of a sheet, for which a parser makes room for all cells between them. So every part is unpacked once,
its bytes are counted and its cell references looked at, before the parser sees the file.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from clonesim.errors import InventoryError
from clonesim.ingest.document import ZIP_FAULTS, refuse_others
from clonesim.ingest.limits import most, or_raise
from clonesim.units import MIB, format_size

_RATIO_FROM = 32 * MIB
_EMPTY_FROM = 1_000_000  # cells: some 40 MB in the parser
_CHUNK = 4 * MIB
_LETTERS = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{1,7})\d")
_ROWS = re.compile(rb"\br\s*=\s*[\"'][A-Za-z]*(\d+)")
_ROW_START = re.compile(rb"<(?:\w+:)?row\b")
_BLANKS = tuple(sign for blank in b" \t\r\n" for sign in (b"r" + bytes([blank]) + b"=", b"=" + bytes([blank])))
_WIDEST = 14  # letters and digits of the longest reference that is looked at
_BEYOND = 2**40
_REMEDY = "Name an export of RVTools, or export CSV instead"


@dataclass
class _Corner:
    """Rows and columns that a part's cells take up, and how many there are (elements that begin with c, at least)."""

    rows: int = 0
    columns: int = 0
    seen_rows: int = 0
    seen_cells: int = 0

    @property
    def cells(self) -> int:
        return max(self.rows, self.seen_rows) * self.columns


def check_workbook(path: str | Path, file: IO[bytes], rows_limit: int) -> None:
    """Refuse a workbook that is too large to be parsed, or no workbook.

    Parameters
    ----------
    path : str or Path
        The file, for messages.
    file : file
        Its content.
    rows_limit : int
        Most rows of a sheet.

    Raises
    ------
    InventoryError
        Naming the part, its size and the limit.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_parts(path, archive, rows_limit)
    except InventoryError:
        raise
    except ZIP_FAULTS as error:
        problem = f"the workbook is cut off or damaged ({error})"
        raise InventoryError(path, problem, "Copy or export it again.") from None


def _check_parts(path: str | Path, archive: zipfile.ZipFile, rows: int) -> None:
    parts = archive.infolist()
    names = {part.filename for part in parts}
    if "[Content_Types].xml" not in names:
        raise InventoryError(path, "is a zip archive and no workbook", f"{_REMEDY}.")
    if len(parts) > (allowed := most("inventory_parts")):
        told = or_raise("inventory_parts", _REMEDY)
        raise InventoryError(path, f"holds {len(parts)} parts; allowed are {allowed}", told)
    total = 0
    for part in parts:
        total += _check_part(path, archive, part, rows, total)


def _check_part(path: str | Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo, rows: int, before: int) -> int:
    """Bytes of a part, behind those of the parts before it."""
    size, corner = 0, _Corner()
    cells, unpacked, ratio = most("inventory_cells"), most("inventory_unpacked_bytes"), most("inventory_ratio")
    xml = part.filename.lower().endswith(".xml")
    with archive.open(part) as stream:
        for chunk in _chunks(stream):
            size += len(chunk)
            if before + size > unpacked:
                problem = f"unpacks to more than {format_size(unpacked)}, at {part.filename}"
                raise InventoryError(path, problem, or_raise("inventory_unpacked_bytes", "Export fewer tabs, or CSV"))
            if size > _RATIO_FROM and size > ratio * max(part.compress_size, 1):
                problem = f"{part.filename} unpacks to more than {ratio} times its size, as no export does"
                raise InventoryError(path, problem, or_raise("inventory_ratio", _REMEDY))
            if xml:
                _grow(corner, chunk)
                _check_corner(path, part.filename, corner, rows, cells)
    _check_emptiness(path, part.filename, corner)
    return size


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Pieces that end before a row, so that no reference is cut."""
    rest = b""
    while data := stream.read(_CHUNK):
        data = rest + data
        cut = data.rfind(b"<")
        cut = cut if cut > 0 else len(data)
        yield data[:cut]
        rest = data[cut:]
    if rest:
        yield rest


def _grow(corner: _Corner, chunk: bytes) -> None:
    """Widen a corner by the references of cells and rows in a piece of XML."""
    columns, rows = _slow_corner(chunk) if any(blank in chunk for blank in _BLANKS) else _fast_corner(chunk)
    corner.columns, corner.rows = max(corner.columns, columns), max(corner.rows, rows)
    corner.seen_cells += chunk.count(b"<c") + chunk.count(b":c")
    starts = [hit.start() for hit in _ROW_START.finditer(chunk)]
    if not starts:
        return
    corner.seen_rows += len(starts)
    # Cells without a reference follow one another: their count is the width of the row.
    bounds = [*starts, len(chunk)]
    widest = max(chunk.count(b"<", a, b) for a, b in itertools.pairwise(bounds))
    if widest > 4 * corner.columns + 8:
        counts = (chunk.count(b"<c", a, b) + chunk.count(b":c", a, b) for a, b in itertools.pairwise(bounds))
        corner.columns = max(corner.columns, *counts, 0)


def _slow_corner(chunk: bytes) -> tuple[int, int]:
    """Largest column and row of r="AB12" and r="12", blanks around the sign allowed."""
    columns = 0
    for letters in set(_LETTERS.findall(chunk)):
        place = 0
        for letter in letters.upper():
            place = place * 26 + letter - 64
        columns = max(columns, place)
    return columns, max((int(number[-_WIDEST:]) for number in set(_ROWS.findall(chunk))), default=0)


def _fast_corner(chunk: bytes) -> tuple[int, int]:
    """The same where no blanks stand around signs: a hundred thousand references at a time."""
    data = np.frombuffer(chunk + b" " * (_WIDEST + 3), np.uint8)
    places = np.flatnonzero((data[:-2] == ord("r")) & (data[1:-1] == ord("=")))
    before = data[places - 1] | 0x20  # small letters; at the very start it is the blank added at the end
    places = places[(before < ord("a")) | (before > ord("z"))]
    columns = np.zeros(places.size, np.int64)
    rows = np.zeros(places.size, np.int64)
    letters = np.ones(places.size, bool)  # still among the letters of the reference
    digits = np.ones(places.size, bool)  # still before its end
    for step in range(3, 3 + _WIDEST):
        byte = data[np.minimum(places + step, data.size - 1)]
        letter = (byte & 0xDF) - np.uint8(64)  # 1 to 26 for a letter of either case
        is_letter = letters & (letter >= 1) & (letter <= 26)
        columns = np.where(is_letter, np.minimum(columns * 26 + letter, _BEYOND), columns)
        letters = is_letter
        digit = byte - np.uint8(48)
        is_digit = ~is_letter & digits & (digit <= 9)
        rows = np.where(is_digit, rows * 10 + digit, rows)
        digits &= is_letter | is_digit
        if not digits.any():
            break
    cells = rows > 0
    return int(columns[cells].max(initial=0)), int(rows.max(initial=0))


def _check_corner(path: str | Path, part: str, corner: _Corner, rows: int, cells: int) -> None:
    most = max(corner.rows, corner.seen_rows)
    if most > rows:
        problem = f"{part} has {most} rows; allowed are {rows}"
        raise InventoryError(path, problem, or_raise("inventory_rows", "Delete the empty rows below the table", rows))
    if corner.cells > cells:
        problem = f"{part} has {most} rows of up to {corner.columns} columns; allowed are {cells} cells"
        told = or_raise("inventory_cells", "Delete what stands outside the table, or export CSV")
        raise InventoryError(path, problem, told)


def _check_emptiness(path: str | Path, part: str, corner: _Corner) -> None:
    """Refuse a few cells far apart: a parser makes room for all between them, so a tiny file would take a GB."""
    emptiness = most("inventory_emptiness")
    if corner.cells > _EMPTY_FROM and corner.cells > emptiness * corner.seen_cells:
        rows = max(corner.rows, corner.seen_rows)
        problem = (
            f"{part} has {rows} rows of up to {corner.columns} columns, but only {corner.seen_cells} cells; "
            f"allowed are {emptiness} empty ones for each"
        )
        told = or_raise("inventory_emptiness", "Delete what stands outside the table, or export CSV")
        raise InventoryError(path, problem, told)


class Workbook:
    """An xlsx workbook that has been looked over.

    Parameters
    ----------
    path : str or Path
        The file, for messages.
    data : bytes
        Its content.
    rows_limit : int
        Most rows of a sheet.

    Attributes
    ----------
    sheets : list of str
        Names of the sheets.
    """

    def __init__(self, path: str | Path, data: bytes, rows_limit: int) -> None:
        self._path = path
        refuse_others(path, data)
        check_workbook(path, io.BytesIO(data), rows_limit)
        try:
            import python_calamine
        except ImportError:
            raise InventoryError(
                path, "reading xlsx needs the package python-calamine", "Install it, or export CSV."
            ) from None
        self._book = self._call(lambda: python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)))
        self.sheets: list[str] = list(self._book.sheet_names)

    def rows(self, sheet: str) -> list[list[Any]]:
        """Cells of a sheet, row by row; empty ones are ''."""
        rows: list[list[Any]] = self._call(
            lambda: self._book.get_sheet_by_name(sheet).to_python(skip_empty_area=False), sheet
        )
        return rows

    def _call(self, act: Any, sheet: str = "") -> Any:
        """Run a call into the parser; its errors do not name the file, and some are panics."""
        try:
            return act()
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 (a panic of the parser is no Exception)
            problem = f"cannot be parsed as a workbook ({str(error)[:160]})"
            raise InventoryError(self._path, problem, "Open it, save it anew as xlsx, or export CSV.", sheet) from None
