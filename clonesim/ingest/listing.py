"""Listings: what files of clones there are and how large, by whatever tool; dated ones are measured growth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonesim.errors import InventoryError, ParameterError
from clonesim.ingest import dates, layout_ex, tool_json, vmsd
from clonesim.ingest.cells import Where, check_zone
from clonesim.ingest.document import as_utf8, read_bytes
from clonesim.ingest.limits import given_or_most, most, or_raise
from clonesim.ingest.listed import Rows, files_frame, history_of, intervals_frame
from clonesim.ingest.ls_text import LS_LINE, LsReader
from clonesim.ingest.size_csv import find_columns, read_sizes
from clonesim.units import format_size

if TYPE_CHECKING:
    import pandas as pd

_JUDGED_LINES = 400
_JUDGED_CHARACTERS = 4_000
_ENDINGS = (".txt", ".log", ".lst", ".ls", ".json", ".csv", ".tsv", ".vmsd", "")
_ZFS_LINE = re.compile(r"[\w.:/@%-]+\t(?:\d+|-)\t(?:\d+|-)\t(?:\d+|-)\t[^\t]+")
_ZFS_HEAD = re.compile(r"NAME\s+.*\bUSED\b.*")
_KNOWN = (
    "known are ls -l of ESXi, layoutEx JSON, CSV of clone, date and bytes, JSON of qemu-img info, lvs, zfs list and "
    "rbd du, Get-VHD and FSLogix listings as CSV"
)
_KNOWN_NOW = f"{_KNOWN[0].upper()}{_KNOWN[1:]}."


@dataclass(frozen=True)
class Listing:
    """What a listing holds. Sizes are bytes, dates UTC, missing values are missing.

    Attributes
    ----------
    files : DataFrame
        One row per file or volume: clone, file, kind ("delta", "flat", "swap", ...), bytes (length), allocated_bytes,
        capacity_bytes, time (last change, or creation of a volume), listed (when the listing was made), parent.
    history : DataFrame
        Measured growth: clone, date, bytes; sorted, one row per clone and date. Of listings of files, the sum of a
        clone's deltas.
    intervals : DataFrame
        Deltas with the times of the snapshots that began and froze them: clone, file, start, end, bytes.
    kind : str
        "ls", "layoutEx", "csv", "qemu-img", "lvs", "zfs", "rbd", "get-vhd", "fslogix" or "file-csv"; several joined
        with + where a folder holds several.
    source : str
        The file or folder.
    notes : tuple of str
        What was missing, taken for granted or doubtful.
    """

    files: pd.DataFrame
    history: pd.DataFrame
    intervals: pd.DataFrame
    kind: str
    source: str
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        return f"Listing({self.source!r}: {self.kind}, {len(self.files)} files, {len(self.history)} sizes with dates)"


def read_listing(
    path: str | Path,
    *,
    listed: str | date | None = None,
    dayfirst: bool | None = None,
    zone: str = "UTC",
    skip_bad_values: bool = False,
    rows_limit: int | None = None,
    bytes_limit: int | None = None,
) -> Listing:
    """Read a listing of clones' files or sizes; what it is, is found from its content.

    Parameters
    ----------
    path : str or Path
        `ls -l` of ESXi (with .vmsd files in it or beside it), layoutEx JSON (pyVmomi, PowerCLI, govc), CSV of clone,
        date and bytes, JSON of `qemu-img info`, `lvs`, `zfs list` or `rbd du`, `zfs list -Hp`, Get-VHD or FSLogix disks
        as CSV; or a folder of these, such as one file per week. A date alone on a line ("2026-01-31T10:00Z", or what
        `date` prints) dates what follows it in a text, {"listed": "..."} in JSON.
    listed : str or date, optional
        When it was made, where it does not say so itself; ISO.
    dayfirst : bool, optional
        Whether 3/4/2012 is 3 April; found from the column by default, refused where it cannot be.
    zone : str, default "UTC"
        Time zone of dates in CSV that name none. `ls -l` is taken as UTC, which ESXi keeps.
    skip_bad_values : bool, default False
        Leave out cells of a CSV that cannot be read, and note them.
    rows_limit : int, optional
        Most rows; by default the limit `listing_rows`, 20,000,000.
    bytes_limit : int, optional
        Most bytes of a file; by default the limit `document_bytes`, 2 GiB. Of JSON `json_bytes`, 256 MiB. [B]

    Returns
    -------
    Listing
        Files, history, intervals.

    Raises
    ------
    InventoryError
        If it is no such listing or cannot be read; the message names file, row, column, value and remedy.
    ParameterError
        If a parameter is out of range.
    """
    count = given_or_most(rows_limit, "listing_rows", "rows_limit")
    size = given_or_most(bytes_limit, "document_bytes", "bytes_limit")
    when = _listed(listed)
    where = Where(path, dayfirst=dayfirst, zone=check_zone(zone), skip_bad=skip_bad_values)
    rows = Rows(path, notes=where.notes, limit=count)
    parts = [_read(file, text, rows, where, when) for file, text in _texts(path, where, size)]
    return _listing(path, rows, parts)


def _listing(path: str | Path, rows: Rows, parts: list[tuple[str, pd.DataFrame | None]]) -> Listing:
    import pandas as pd

    files = files_frame(rows.files)
    tables = [history for _, history in parts if history is not None]
    tables += [history_of(files, rows.growing)] if any(history is None for _, history in parts) else []
    history = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    history = history if len(tables) == 1 else history.sort_values(["clone", "date"], ignore_index=True)
    kinds = "+".join(dict.fromkeys(kind for kind, _ in parts))
    return Listing(files, history, intervals_frame(rows.intervals), kinds, str(path), tuple(dict.fromkeys(rows.notes)))


def _listed(value: str | date | None) -> int | None:
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, date) else value
    readings = dates.read_texts([text], dayfirst=False)[0] if isinstance(text, str) else [None]
    hit = readings[0]
    if hit is None or hit.ticks == dates.NONE or not re.match(r"\d{4}-", text):
        allowed = (
            f"a date is ISO, such as '2026-01-31' or '2026-01-31T10:00Z', from {dates.FIRST_YEAR} to {dates.LAST_YEAR}"
        )
        raise ParameterError("listed", value, allowed, "Leave it out if the listing says it.")
    return hit.ticks


def _texts(path: str | Path, where: Where, bytes_limit: int) -> Iterator[tuple[Path, bytes]]:
    """Files to be read, snapshot lists last."""
    place = Path(path)
    if "\0" in str(path) or not place.is_dir():
        yield place, as_utf8(path, read_bytes(path, bytes_limit), where.notes)
        return
    files = sorted(file for file in place.iterdir() if file.is_file() and file.suffix.lower() in _ENDINGS)
    plain = [file for file in files if file.suffix.lower() != ".vmsd"]
    if not plain:
        raise InventoryError(path, "is a folder without listings (.txt, .json, .csv)", "Name a listing or its folder.")
    if len(files) > (allowed := most("listing_files")):
        told = or_raise("listing_files", "Name a smaller folder")
        raise InventoryError(path, f"holds {len(files)} files; allowed are {allowed}", told)
    for file in plain:
        yield file, as_utf8(file, read_bytes(file, bytes_limit), where.notes)


def _read(path: Path, data: bytes, rows: Rows, where: Where, listed: int | None) -> tuple[str, pd.DataFrame | None]:
    """Kind of a file and its history; None where that comes from the files."""
    rows.path = path
    start = data[:4096].lstrip()[:1]
    if start in (b"{", b"["):
        return _read_json(path, data, rows, listed), None
    head = data[: 2**18].decode("utf-8", "replace").splitlines()[:_JUDGED_LINES]
    lines = [line[:_JUDGED_CHARACTERS].strip() for line in head if line.strip()]
    if any(LS_LINE.match(line) for line in lines):
        return _read_ls(path, data, rows, listed), None
    if lines and all(vmsd.LINE.fullmatch(line) for line in lines[:20]):
        told = "Name the listing ('ls -l') of its folder, with this file beside it."
        raise InventoryError(path, "is a snapshot list (.vmsd) alone, which tells no sizes", told)
    if lines and (_ZFS_HEAD.fullmatch(lines[0]) or _ZFS_LINE.fullmatch(lines[0])):
        text = data.decode("utf-8", "replace")
        tool_json.read_zfs_text([line for line in text.splitlines() if line.strip()], rows, listed)
        return "zfs", None
    rest = [line for line in lines if not line.startswith("#") and not line.lower().startswith("sep=")]
    names = rest[0] if rest else ""
    if not any(mark in names for mark in ",;\t|") and find_columns([names]).size is None:
        problem = f"is no listing that is known; its first line is {names[:60]!r}"
        raise InventoryError(path, problem, f"Name a listing; {_KNOWN}.")
    return read_sizes(path, data, rows, where, listed)


def _read_ls(path: Path, data: bytes, rows: Rows, listed: int | None) -> str:
    reader = LsReader(rows, listed)
    first = len(rows.files)
    reader.read(data.decode("utf-8", "replace").splitlines())
    stems = {row.clone for row in rows.files[first:]}
    for file in sorted(path.parent.glob("*.vmsd"))[: most("listing_files")]:
        text = as_utf8(file, read_bytes(file, name="json_bytes"), rows.notes).decode("utf-8", "replace")
        if file.stem in stems or vmsd.clone_of(vmsd.parse(text.splitlines())) in stems:
            reader.add_list(text)
    reader.finish()
    if not rows.files[first:]:
        raise InventoryError(path, "lists folders only, no files", "List the folders of the machines: ls -l */.")
    return "ls"


def _documents(path: Path, data: bytes) -> Iterator[Any]:
    """JSON documents, one after another."""
    if len(data) > (allowed := most("json_bytes")):
        told = or_raise("json_bytes", "Split it, such as one document per machine")
        raise InventoryError(path, f"is JSON of more than {format_size(allowed)}", told)
    text = data.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    place = 0
    blank = re.compile(r"[\s,\x00]*")
    while (place := blank.match(text, place).end()) < len(text):  # type: ignore[union-attr]  # it matches nothing too
        try:
            document, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            row = text.count("\n", 0, getattr(error, "pos", place)) + 1
            problem = f"is no JSON that can be read ({str(error)[:120]})"
            raise InventoryError(path, problem, "Export or copy it again.", row=row) from None
        yield document


def _read_json(path: Path, data: bytes, rows: Rows, listed: int | None) -> str:
    kinds: dict[str, None] = {}
    for document in _documents(path, data):
        stamp = _stamp(document)
        if stamp is not None:
            listed = stamp
            continue
        tool = tool_json.find_reader(document)
        if tool is not None:
            kinds[tool[0]] = None
            tool[1](document, rows, listed)
        elif layout_ex.read_machines(document, rows, listed):
            kinds["layoutEx"] = None
        else:
            shown = ", ".join(map(str, list(document)[:8])) if isinstance(document, dict) else type(document).__name__
            raise InventoryError(path, f"is JSON of no known kind (at its top: {shown[:120]})", _KNOWN_NOW)
    if not kinds:
        raise InventoryError(path, "is JSON without a listing", _KNOWN_NOW)
    return "+".join(kinds)


def _stamp(document: Any) -> int | None:
    """Date of {"listed": "..."}."""
    if not isinstance(document, dict) or len(document) != 1:
        return None
    (key, value), *_ = document.items()
    return layout_ex.text_ticks(value) if str(key).lower() in ("listed", "date", "collected") else None
