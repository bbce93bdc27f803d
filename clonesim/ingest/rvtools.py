"""RVTools exports, wherever they lie: an xlsx workbook, one CSV, or a folder or a zip of them, as tables."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonesim.errors import InventoryError
from clonesim.ingest import cells as cell_kinds
from clonesim.ingest.cells import Where
from clonesim.ingest.columns import TAB_OF, Tab, match, recognise
from clonesim.ingest.csv_table import read_columns, read_head
from clonesim.ingest.document import ZIP_FAULTS, as_utf8, read_bytes
from clonesim.ingest.limits import most, or_raise
from clonesim.ingest.workbook import Workbook
from clonesim.units import format_size

if TYPE_CHECKING:
    import pandas as pd

_RARE = {"powercli_bytes", "current"}  # of Get-Snapshot only
_ENDINGS = (".csv", ".xlsx", ".txt")
_TAB_NAME = re.compile(r"(?:tab)?([vd]v?[A-Z]\w+)")
_FILE_TAB = re.compile(r"tab([vd]\w+?)(?:[-_. ].*)?$")


@dataclass(frozen=True)
class Table:
    """One table of an export: a sheet, or a CSV file.

    Attributes
    ----------
    name : str
        Tab that its sheet or file name tells, such as "vInfo"; empty if it tells none.
    headers : tuple of str
        Header as written.
    rows : int
        Rows below the header; -1 where they are not counted yet.
    take : callable
        Cells of the columns at some places.
    where : Where
        Where it stands and how its text is read.
    """

    name: str
    headers: tuple[str, ...]
    take: Callable[[list[int]], dict[int, Any]]
    where: Where


def tables(path: str | Path, where: Where, rows_limit: int, bytes_limit: int) -> Iterator[Table]:
    """Tables of an export.

    Parameters
    ----------
    path : str or Path
        A workbook, a CSV, or a folder or a zip of them.
    where : Where
        How text is read; its path and sheet are set here.
    rows_limit : int
        Most rows of a table.
    bytes_limit : int
        Most bytes of a file, and of what a zip unpacks to. [B]

    Raises
    ------
    InventoryError
        If something cannot be read.
    """
    place = Path(path)
    if "\0" not in str(path) and place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in _ENDINGS and file.is_file())
        if not files:
            raise InventoryError(path, "is a folder without .csv or .xlsx files", "Name the export or its folder.")
        _check_files(path, len(files), "Name a folder that holds one export")
        for file in files:
            yield from _of_content(file, read_bytes(file, bytes_limit), where, rows_limit)
        return
    data = read_bytes(path, bytes_limit)
    if data.startswith(b"PK\x03\x04") and not _is_workbook(path, data):
        for member, content in _members(path, data, bytes_limit):
            yield from _of_content(f"{path}/{member}", content, where, rows_limit)
    else:
        yield from _of_content(path, data, where, rows_limit)


def _check_files(path: str | Path, count: int, instead: str) -> None:
    if count > (allowed := most("inventory_files")):
        raise InventoryError(path, f"holds {count} files; allowed are {allowed}", or_raise("inventory_files", instead))


def _is_workbook(path: str | Path, data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "[Content_Types].xml" in archive.namelist()
    except ZIP_FAULTS as error:
        raise InventoryError(path, f"the zip is cut off or damaged ({error})", "Copy or export it again.") from None


def _members(path: str | Path, data: bytes, bytes_limit: int) -> Iterator[tuple[str, bytes]]:
    left = bytes_limit
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = [part for part in archive.infolist() if part.filename.lower().endswith(_ENDINGS)]
            if not parts:
                problem = "is a zip without .csv or .xlsx files"
                raise InventoryError(path, problem, "Name the export or a zip of it.")
            _check_files(path, len(parts), "Zip one export")
            for part in parts:
                with archive.open(part) as stream:
                    content = stream.read(left + 1)
                left -= len(content)
                if left < 0:
                    problem = f"unpacks to more than {format_size(bytes_limit)}"
                    raise InventoryError(path, problem, or_raise("document_bytes", "Unpack it", bytes_limit))
                if content.strip():
                    yield part.filename, content
    except InventoryError:
        raise
    except ZIP_FAULTS as error:
        problem = f"the zip is cut off, damaged or has a password ({error})"
        raise InventoryError(path, problem, "Copy or zip it again, without a password.") from None


def _of_content(path: str | Path, data: bytes, where: Where, rows_limit: int) -> Iterator[Table]:
    if data.startswith(b"PK\x03\x04"):
        yield from _of_workbook(path, data, where, rows_limit)
        return
    data = as_utf8(path, data, where.notes)
    if data.lstrip()[:1] in (b"{", b"["):
        problem = "is JSON, which no inventory is"
        raise InventoryError(path, problem, "Read layoutEx and the JSON of tools with read_listing.")
    head = read_head(path, data)
    here = replace(where, path=path, first_row=head.rows_before + 1, decimal_comma=head.delimiter == ";")
    hit = _FILE_TAB.search(Path(path).stem)

    def take(places: list[int]) -> dict[int, Any]:
        return read_columns(path, data, head, places, rows_limit=rows_limit, rows_name="inventory_rows")

    yield Table(hit[1] if hit else "", head.names, take, here)


def _of_workbook(path: str | Path, data: bytes, where: Where, rows_limit: int) -> Iterator[Table]:
    book = Workbook(path, data, rows_limit)
    known = [sheet for sheet in book.sheets if _tab_name(sheet).lower() in TAB_OF]
    for sheet in known or book.sheets:
        rows = book.rows(sheet)
        top = next((place for place, row in enumerate(rows) if any(cell != "" for cell in row)), None)
        if top is None:
            continue
        headers = tuple(str(cell).strip() for cell in rows[top])
        body = rows[top + 1 :]
        here = replace(where, path=path, sheet=sheet, first_row=top + 2)

        def take(places: list[int], body: list[list[Any]] = body) -> dict[int, Any]:
            return {place: [row[place] for row in body] for place in places}

        yield Table(_tab_name(sheet) if known else "", headers, take, here)


def _tab_name(sheet: str) -> str:
    hit = _TAB_NAME.fullmatch(sheet.strip().removeprefix("RVTools_"))
    return hit[1] if hit else sheet.strip()


def tab_of(table: Table) -> Tab | None:
    """The tab that a table holds; None if it is none of those that are read.

    Raises
    ------
    InventoryError
        If its name says a tab and its header lacks what that tab needs.
    """
    if not table.name:
        return recognise(table.headers)
    tab = TAB_OF.get(table.name.lower())
    if tab is None:
        return None
    missing = [name for name in tab.needed if name not in match(tab, table.headers)]
    if missing:
        heads = [next(column.heads[0] for column in tab.columns if column.name == name) for name in missing]
        shown = ", ".join(table.headers[:12])[:200]
        problem = f"{tab.name} has no column for {' and '.join(heads)}; its header is {shown!r}"
        told = "Export it again with RVTools' own headers in the first row."
        raise InventoryError(table.where.path, problem, told, table.where.sheet, table.where.first_row - 1)
    return tab


def frame(tab: Tab, table: Table) -> pd.DataFrame:
    """Typed columns of a tab; those that are missing hold no values.

    Raises
    ------
    InventoryError
        If a cell cannot be read.
    """
    import pandas as pd

    where = replace(table.where, sheet=table.where.sheet or tab.name)
    found = match(tab, table.headers)
    taken = table.take(sorted({place for place, _, _ in found.values()}))
    count = len(next(iter(taken.values())))
    columns, absent = {}, []
    for column in tab.columns:
        if column.name not in found:
            if column.name not in _RARE:
                absent.append(column.name)
            columns[column.name] = cell_kinds.empty(column.kind, count)
            continue
        place, unit, written = found[column.name]
        header = table.headers[place]
        if written and written.lower() in ("kb", "mb", "gb", "tb"):
            old = f"{written.upper()} stands for {written[0].upper()}iB in these headers"
            where.note(header, old)
        columns[column.name] = cell_kinds.convert(taken[place], column.kind, unit, header, where)
    if absent:
        where.notes.append(f"{where.sheet}: no column for {', '.join(absent)}")
    read = pd.DataFrame(columns)
    blank = read[list(tab.needed)].isna().all(axis=1)
    if blank.any():
        filled = int(read[blank].notna().any(axis=1).sum())
        if filled:
            where.notes.append(f"{where.sheet}: {filled} rows without {' and '.join(tab.needed)} left out")
        read = read[~blank].reset_index(drop=True)
    return read
