"""CSV of sizes: clone, date and bytes under any clear header; Hyper-V's Get-VHD; listings of FSLogix disks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import InventoryError
from clonesim.ingest import dates
from clonesim.ingest.cells import Where, convert
from clonesim.ingest.columns import plain, split_unit, unit_bytes
from clonesim.ingest.csv_table import CsvHead, read_columns, read_head
from clonesim.ingest.file_kinds import base_name, folder_name, kind_and_stem
from clonesim.ingest.listed import FileRow, Rows

if TYPE_CHECKING:
    import pandas as pd

_CLONE = (
    "clone", "clonename", "vm", "vmname", "virtualmachine", "desktop", "desktopname", "machine", "machinename",
    "computer", "computername", "guest", "instance", "user", "username", "name",
)  # fmt: skip
_DATE = (
    "date", "datetime", "date/time", "time", "timestamp", "day", "when", "measured", "measuredat", "collected",
    "collectedat", "sampled", "sampledat", "listed", "listedat", "week", "datum",
)  # fmt: skip
_SIZE = (
    "", "delta", "deltasize", "deltafile", "deltafilesize", "snapshotsize", "size", "filesize", "diskfilesize", "used",
    "usedsize", "usedspace", "allocated", "allocatedsize", "length", "consumed", "inuse", "sizeondisk", "space",
)  # fmt: skip
_ALWAYS_BYTES = ("filesize", "length")  # as PowerShell's Get-VHD and Get-ChildItem head them
_PATH = ("path", "fullname", "fullpath", "file", "filename", "filepath")
_REMEDY = "Head the columns clone, date and delta_bytes (or delta_mib, delta_gib), one row per clone and date."


@dataclass(frozen=True)
class SizeColumns:
    """Places of the columns in a CSV of sizes; None for one that is absent."""

    clone: int | None
    date: int | None
    size: int | None
    unit: int
    written: str
    path: int | None
    parent: int | None
    kind: int | None
    capacity: int | None
    written_at: int | None

    @property
    def of_files(self) -> bool:
        """Whether rows are files with paths."""
        return self.path is not None


def find_columns(names: Sequence[str]) -> SizeColumns:
    """Columns of a header, by their names."""
    keys = [plain(name).replace("/", "") for name in names]
    bare = [(plain(split_unit(name)[0]), split_unit(name)[1]) for name in names]
    bare = [("", "bytes") if plain(name) == "bytes" else pair for name, pair in zip(names, bare, strict=True)]

    def first(wanted: Sequence[str]) -> int | None:
        return next((keys.index(name) for name in wanted if name in keys), None)

    size = next((place for want in _SIZE for place, (key, unit) in enumerate(bare) if key == want and unit), None)
    size = first(_ALWAYS_BYTES) if size is None else size
    size = first(_SIZE[1:]) if size is None else size
    written = "" if size is None else bare[size][1]
    if size is not None and not written and keys[size] in _ALWAYS_BYTES:
        written = "bytes"
    path = first(_PATH)
    clone = first(_CLONE)
    if clone is not None and keys[clone] == "name" and path is not None:
        clone = None  # Get-ChildItem: the name of the file
    date = first([name.replace("/", "") for name in _DATE])
    vhd = first(("vhdtype", "vhdformat")) is not None
    return SizeColumns(
        clone,
        date,
        size,
        unit_bytes(written) if written else 1,
        written,
        path if size is not None and (vhd or clone is None or date is None) else None,
        first(("parentpath", "parent")),
        first(("vhdtype",)),
        first(("size",)) if vhd else None,
        first(("lastwritetime", "lastwritetimeutc", "modified")),
    )


def read_sizes(path: str | Path, data: bytes, rows: Rows, where: Where, listed: int | None) -> tuple[str, pd.DataFrame]:
    """Kind and history of a CSV of sizes; files go to `rows`.

    Raises
    ------
    InventoryError
        If the header is not clear, or a cell cannot be read.
    """
    head = read_head(path, data)
    found = find_columns(head.names)
    where = replace(where, path=path, first_row=head.rows_before + 1, decimal_comma=head.delimiter == ";")
    if found.size is None or (found.clone is None and not found.of_files):
        lacking = "sizes" if found.size is None else "clones"
        shown = ", ".join(head.names[:12])[:200]
        raise InventoryError(
            path, f"no column of {lacking} is known in the header {shown!r}", _REMEDY, row=head.rows_before
        )
    if found.of_files:
        return _read_files(path, data, head, found, rows, where, listed)
    if found.date is None and listed is None:
        shown = ", ".join(head.names[:12])[:200]
        remedy = f"{_REMEDY} If all rows are of one date, say it with listed='2026-01-31'."
        raise InventoryError(path, f"no column of dates is known in the header {shown!r}", remedy, row=head.rows_before)
    return "csv", _read_history(path, data, head, found, rows, where, listed)


def _columns(
    path: str | Path, data: bytes, head: CsvHead, found: SizeColumns, rows: Rows, types: dict[int, Any] | None = None
) -> dict[int, Any]:
    wanted = {
        place
        for name in ("clone", "date", "size", "path", "parent", "kind", "capacity", "written_at")
        if (place := getattr(found, name)) is not None
    }
    return read_columns(path, data, head, sorted(wanted), rows_limit=rows.limit, rows_name="listing_rows", types=types)


def _sizes(cells: Any, head: CsvHead, found: SizeColumns, where: Where) -> pd.Series:
    """Bytes; a header without a unit needs it in the cells."""
    import pyarrow.compute as pc

    assert found.size is not None
    name = head.names[found.size]
    if not found.written:
        bare = pc.match_substring_regex(cells, r"^\s*[0-9.,]+\s*$")
        if pc.any(bare).as_py():
            row = pc.index(bare, True).as_py()
            problem = "is a size without a unit, and the header names none"
            remedy = f"Head the column {name}_bytes, {name}_mib or {name}_gib."
            value = cells[row].as_py()[:40]
            raise InventoryError(where.path, problem, remedy, "", where.first_row + row, name, value)
    elif found.written.lower() in ("kb", "mb", "gb", "tb"):
        where.notes.append(
            f"{name}: {found.written} is taken as {found.written[0].upper()}iB, as VMware and Windows mean it"
        )
    return convert(cells, "bytes", found.unit, name, where)


def _read_history(
    path: str | Path, data: bytes, head: CsvHead, found: SizeColumns, rows: Rows, where: Where, listed: int | None
) -> pd.DataFrame:
    assert found.clone is not None and found.size is not None
    taken = _typed_columns(path, data, head, found, rows)
    sizes = _sizes(taken[found.size], head, found, where)
    if found.date is None:
        ticks = np.full(len(sizes), listed or 0, np.int64)
    else:
        when = convert(taken[found.date], "date", 1, head.names[found.date], where)
        ticks = when.to_numpy(dtype="datetime64[us]").view(np.int64)
    names, codes = _coded(taken[found.clone])
    good = (codes >= 0) & (ticks != dates.NONE) & sizes.notna().to_numpy()
    held = sizes.fillna(0).to_numpy(dtype=np.int64)
    if not good.all():
        where.notes.append(f"rows without a clone, a date or a size left out: {int((~good).sum())}")
        codes, ticks, held = codes[good], ticks[good], held[good]
    order = _order(codes, ticks)
    return _history(names, *_one_a_date(codes[order], ticks[order], held[order], where))


def _typed_columns(path: str | Path, data: bytes, head: CsvHead, found: SizeColumns, rows: Rows) -> dict[int, Any]:
    """Cells, with the types that most files allow tried first: they are read several times as fast."""
    import pyarrow as pa

    assert found.clone is not None and found.size is not None
    types: dict[int, Any] = {found.clone: pa.dictionary(pa.int32(), pa.string())}
    if found.written:
        types[found.size] = pa.int64()
    if found.date is not None:
        end = data.find(b"\n", head.start)
        first = data[head.start : end if end >= 0 else len(data)].decode("utf-8", "replace")
        zoned = re.search(r"\d\d:\d\d(?::[\d.]+)?(?:Z|[+-]\d\d:?\d\d)", first) is not None
        types[found.date] = pa.timestamp("us", tz="UTC" if zoned else None)
    return _columns(path, data, head, found, rows, types)


def _coded(cells: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Names in order, and the place of each row's name among them; -1 where there is none."""
    import pyarrow as pa

    if pa.types.is_dictionary(cells.type):
        cells = cells.unify_dictionaries()
        texts = cells.chunk(0).dictionary.to_pylist() if cells.num_chunks else []
        codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in cells.chunks])
    else:
        one = cells.combine_chunks().dictionary_encode()
        texts, codes = one.dictionary.to_pylist(), one.indices.to_numpy(zero_copy_only=False)
    names = sorted({text.strip() for text in texts if text and text.strip()})
    place = {name: number for number, name in enumerate(names)}
    ranks = np.array([*(place.get((text or "").strip(), -1) for text in texts), -1], np.int64)
    return names, ranks[codes]


def _order(codes: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order by clone, then date; a file that is in order of date is sorted by clone only."""
    if np.all(ticks[1:] >= ticks[:-1]):
        small = codes.astype(np.uint16) if codes.size and codes.max() < 2**16 else codes
        return np.argsort(small, kind="stable")
    return np.lexsort((ticks, codes))


def _one_a_date(
    codes: NDArray[np.int64], ticks: NDArray[np.int64], held: NDArray[np.int64], where: Where
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """One row per clone and date: repeated rows once, different ones (a clone's disks) added up."""
    new = np.ones(codes.size, bool)
    new[1:] = (codes[1:] != codes[:-1]) | (ticks[1:] != ticks[:-1])
    if new.all():
        return codes, ticks, held
    order = np.lexsort((held, ticks, codes))
    codes, ticks, held = codes[order], ticks[order], held[order]
    again = np.zeros(codes.size, bool)
    again[1:] = ~new[1:] & (held[1:] == held[:-1])  # the places where a group begins stay
    if again.any():
        where.notes.append(f"rows that repeat another left out: {int(again.sum())}")
    starts = np.flatnonzero(new)
    sums = np.add.reduceat(np.where(again, 0, held).astype(np.float64), starts)
    if sums.max() >= 2**63:
        raise InventoryError(where.path, "the sizes of a clone and date add up beyond 2^63 bytes", "Check the unit.")
    further = int((~again).sum()) - starts.size
    if further:
        where.notes.append(f"further rows of a clone and date added up: {further}")
    return codes[starts], ticks[starts], np.add.reduceat(np.where(again, 0, held), starts)


def _history(
    names: list[str], codes: NDArray[np.int64], ticks: NDArray[np.int64], held: NDArray[np.int64]
) -> pd.DataFrame:
    import pandas as pd

    clones = pd.array(names, dtype="string").take(codes) if names else pd.array([], dtype="string")
    when = dates.as_utc(ticks, np.ones(ticks.size, bool), "UTC")
    return pd.DataFrame({"clone": clones, "date": when, "bytes": held})


def _read_files(
    path: str | Path, data: bytes, head: CsvHead, found: SizeColumns, rows: Rows, where: Where, listed: int | None
) -> tuple[str, pd.DataFrame]:
    from clonesim.ingest.listed import files_frame, history_of

    assert found.path is not None and found.size is not None
    taken = _columns(path, data, head, found, rows)
    sizes = _sizes(taken[found.size], head, found, where).to_list()

    def texts(place: int | None) -> list[str]:
        count = len(sizes)
        return [""] * count if place is None else [str(cell).strip() for cell in taken[place].to_pylist()]

    def times(place: int | None) -> list[int | None]:
        if place is None:
            return [None] * len(sizes)
        ticks = convert(taken[place], "date", 1, head.names[place], where).dt.as_unit("us").astype("int64").to_list()
        return [None if tick == dates.NONE else tick for tick in ticks]

    capacities: list[int | None] = [None] * len(sizes)
    if found.capacity is not None:
        numbers = convert(taken[found.capacity], "bytes", 1, head.names[found.capacity], where).to_list()
        capacities = [None if number is _na() else int(number) for number in numbers]
    columns = zip(
        sizes, capacities, texts(found.path), texts(found.clone), texts(found.parent), texts(found.kind),
        times(found.written_at), times(found.date), strict=True,
    )  # fmt: skip
    for size, capacity, file, clone, parent, said, written_at, date in columns:
        kind, name = _of_file(file, parent, said)
        when = listed if date is None else date
        held = None if size is _na() else int(size)
        rows.add(FileRow(clone or name, file, kind, held, None, capacity, written_at, when, parent))
    kinds = {row.kind for row in rows.files}
    if kinds <= {"other"}:
        shown = rows.files[0].file[:60] if rows.files else ""
        problem = f"lists no file of a clone (the first is {shown!r}); known are .vmdk, .avhdx, .vhdx, .qcow2 and such"
        raise InventoryError(path, problem, _REMEDY)
    read = "get-vhd" if found.kind is not None or found.capacity is not None else "file-csv"
    if read == "file-csv" and kinds & {"profile", "office"}:
        read = "fslogix"
    return read, history_of(files_frame(rows.files), rows.growing)


def _na() -> Any:
    import pandas as pd

    return pd.NA


def _of_file(path: str, parent: str, said: str) -> tuple[str, str]:
    """Kind of a file and name of what it belongs to."""
    kind, stem = kind_and_stem(base_name(path))
    if said.lower() == "differencing" or parent:
        kind = "delta"
    if kind in ("profile", "office"):
        # FSLogix names the folder SID_user, or user_SID; the file Profile_user.VHDX.
        folder = folder_name(path)
        user = next((part for part in folder.split("_", 1) if part and not part.upper().startswith("S-1-")), "")
        return kind, stem or user
    return kind, stem
