"""`ls -l` as ESXi and Linux print it, with snapshot lists among the lines, and lines that say when it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from clonesim.ingest import dates, vmsd
from clonesim.ingest.file_kinds import base_name, folder_name, kind_and_stem
from clonesim.ingest.listed import FileRow, IntervalRow, Rows
from clonesim.units import GIB, KIB, MIB, TIB

_MODE = r"[-dlbcpsD][-rwxsStT]{9}[+.@]?"
LS_LINE = re.compile(rf"\s*(?:\d+ +){{0,2}}{_MODE}\s+\d+\s")
_LINE = re.compile(
    rf"\s*(?:\d+ +)??(?:(?P<blocks>\d+) +)?(?P<mode>{_MODE}) +\d+ +\S+ +\S+ +"
    r"(?P<size>\d{1,19}(?:\.\d{1,3})?)(?P<unit>[KMGT]?) +"
    r"(?:(?P<iso>\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: [+-]\d{4})?)"
    r"|(?:[A-Z][a-z]{2} +)?(?P<name_>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) +"
    r"(?:(?P<clock>\d{1,2}:\d\d(?::\d\d)?)(?: +(?P<year_after>\d{4}))?|(?P<year>\d{4}))) +(?P<file>\S.*?)"
)
_HEADING = re.compile(r"(?:==> )?(?P<path>(?:/|\./|[A-Za-z]:|\[)[^\0]{0,1000}?)(?: <==|:)")
_DATE_LEAD = re.compile(r"^[#\s]*(?:listed|date|collected)?\s*[:=]?\s*(?:at)?\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_LONGEST = 4_096  # characters of a line that may be known
_DAY = 86_400 * dates.MICROSECONDS
_HALF_YEAR = 200 * _DAY  # ls leaves the year out for half a year


@dataclass
class _Undated:
    """A file whose line has no year."""

    row: FileRow
    month: int
    day: int
    clock: str


@dataclass
class LsReader:
    """Reads lines of a listing.

    Attributes
    ----------
    rows : Rows
        What is found.
    listed : int or None
        When the lines that follow were made: microseconds since 1970, UTC.
    """

    rows: Rows
    listed: int | None = None
    _folder: str = ""
    _undated: list[_Undated] = field(default_factory=list)
    _lists: list[list[str]] = field(default_factory=list)
    _in_list: bool = False

    def read(self, lines: Iterable[str]) -> None:
        """Take lines; those that say nothing known are counted in a note."""
        odd = 0
        for line in lines:
            line = line.rstrip("\r\n")
            if len(line) > _LONGEST:
                odd += 1
                continue
            if '"' in line and (hit := vmsd.LINE.fullmatch(line)):
                self._list_line(line, hit["key"])
                continue
            if hit := _LINE.fullmatch(line.rstrip()):
                self._in_list = False
                self._file(hit)
            elif not self._other(line):
                odd += 1
        if odd:
            self.rows.note(f"{odd} lines that are no files and were passed over")

    def add_list(self, text: str) -> None:
        """Take a .vmsd that lies beside the listing."""
        self._lists.append(text.splitlines())

    def finish(self) -> None:
        """Join snapshot lists and files: parents, intervals, years."""
        snapshots = [vmsd.parse(lines) for lines in self._lists]
        self._date(snapshots)
        for found in snapshots:
            self._join(found)

    def _list_line(self, line: str, key: str) -> None:
        if not self._in_list or key == ".encoding":
            self._lists.append([])
        self._in_list = True
        self._lists[-1].append(line)

    def _other(self, line: str) -> bool:
        """Headings, totals, blank lines and dates; False for anything else."""
        plain = line.strip()
        if not plain or plain.startswith("total "):
            return True
        if (hit := _HEADING.fullmatch(plain)) is not None:
            self._folder = hit["path"]
            self._in_list = False
            return True
        text = _DATE_LEAD.sub("", plain)
        readings, _ = _read_dates([text])
        if readings[0] is not None and readings[0].ticks != dates.NONE and len(text) >= 8:
            self.listed = readings[0].ticks
            return True
        if plain.startswith("#"):
            self._in_list = False
            return True
        return False

    def _file(self, hit: re.Match[str]) -> None:
        if not hit["mode"].startswith("-"):
            return
        path = hit["file"].rstrip("*")
        name = base_name(path)
        size = (
            round(float(hit["size"]) * _UNITS[hit["unit"]]) if hit["unit"] or "." in hit["size"] else int(hit["size"])
        )
        if hit["unit"]:
            self.rows.note("sizes are rounded (ls -h); list without -h for exact ones")
        kind, stem = kind_and_stem(name, size)
        clone = folder_name(path) or base_name(self._folder.rstrip("/\\")) or stem
        blocks = None if hit["blocks"] is None else int(hit["blocks"][:16]) * KIB
        if blocks is not None:
            self.rows.note("blocks of ls -s are taken as 1 KiB")
        row = FileRow(clone, name, kind, size, blocks, None, None, self.listed)
        if hit["iso"]:
            readings, _ = _read_dates([hit["iso"].replace(" +", "+").replace(" -", "-")])
            row.time = readings[0].ticks if readings[0] else None
        else:
            self._year(row, hit)
        self.rows.add(row)

    def _year(self, row: FileRow, hit: re.Match[str]) -> None:
        month = dates.MONTHS.get(hit["name_"].lower(), 0)
        year = hit["year"] or hit["year_after"]
        if year is None:
            self._undated.append(_Undated(row, month, int(hit["day"]), hit["clock"]))
        else:
            row.time = _ticks(int(year), month, int(hit["day"]), hit["clock"] or "0:00")

    def _date(self, lists: Sequence[Sequence[vmsd.Snapshot]]) -> None:
        """Years of lines that have none: from the date of the listing, else from the newest snapshot."""
        times = [snapshot.time for found in lists for snapshot in found if snapshot.time is not None]
        free = [item for item in self._undated if item.row.listed is None]
        guess = _listed_after(max(times), free) if times and free else None
        if guess is not None:
            self.rows.note(
                "ls left the year out; it is taken from the newest snapshot (the listing within a year of it)"
            )
        elif free:
            self.rows.note("ls left the year out and nothing dates the listing: no times; say listed='2012-01-20'")
        for item in self._undated:
            limit = guess if item.row.listed is None else item.row.listed
            item.row.time = None if limit is None else _last_before(item, limit + _DAY)

    def _join(self, snapshots: list[vmsd.Snapshot]) -> None:
        clone = vmsd.clone_of(snapshots)
        by_disk: dict[str, list[FileRow]] = {}
        for row in self.rows.files:
            if row.kind in ("delta", "flat"):
                by_disk.setdefault(descriptor(row.file), []).append(row)
        known = set()
        for span in vmsd.spans(snapshots, clone):
            rows = by_disk.get(span.disk, [])
            known.add(span.disk)
            for row in rows:
                row.parent = span.parent
            size = max((row.bytes or 0 for row in rows), default=None)
            name = rows[0].clone if rows else clone
            self.rows.intervals.append(IntervalRow(name, span.disk, span.start, span.end, size))
        self._live(snapshots, by_disk, known)

    def _live(self, snapshots: list[vmsd.Snapshot], by_disk: dict[str, list[FileRow]], known: set[str]) -> None:
        """The delta in use, where it is clear which: the one of this machine that no snapshot names."""
        ends = vmsd.leaves(snapshots)
        named = {disk for snapshot in snapshots for disk in snapshot.disks.values()}
        stems = {kind_and_stem(disk)[1] for disk in named}
        free = [
            disk
            for disk, rows in by_disk.items()
            if disk not in named | known and rows[0].kind == "delta" and kind_and_stem(disk)[1] in stems
        ]
        if len(ends) != 1 or len(free) != 1 or len(ends[0].disks) != 1:
            return
        rows = by_disk[free[0]]
        parent = next(iter(ends[0].disks.values()))
        for row in rows:
            row.parent = parent
        newest = max(rows, key=lambda row: row.listed or 0)
        end = newest.listed if newest.listed is not None else newest.time
        self.rows.intervals.append(IntervalRow(newest.clone, free[0], ends[0].time, end, newest.bytes))


def descriptor(name: str) -> str:
    """Descriptor of an extent: "VM-000001.vmdk" of "VM-000001-delta.vmdk"."""
    return re.sub(r"-(?:delta|sesparse|flat)(?=\.vmdk$)", "", name)


def _read_dates(texts: list[str]) -> tuple[list[dates.Reading | None], bool]:
    try:
        return dates.read_texts(texts)
    except dates.AmbiguousDates:
        return [None] * len(texts), False


@lru_cache(maxsize=4096)
def _ticks(year: int, month: int, day: int, clock: str) -> int | None:
    hour, minute, second = [*(int(part) for part in clock.split(":")), 0][:3]
    try:
        when = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    return (when - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def _last_before(item: _Undated, limit: int) -> int | None:
    return _last(item.month, item.day, item.clock, limit)


@lru_cache(maxsize=4096)
def _last(month: int, day: int, clock: str, limit: int) -> int | None:
    year = 1970 + limit // (366 * _DAY) + 1
    for back in range(9):  # 29 February comes every fourth year, but for 1900 and 2100
        ticks = _ticks(min(year - back, dates.LAST_YEAR), month, day, clock)
        if ticks is not None and ticks <= limit:
            return ticks
    return None


def _listed_after(newest: int, items: Sequence[_Undated]) -> int | None:
    """When a listing was made at the latest file, if all files fit into the half year before it."""
    firsts = []
    for item in items:
        ticks = _last_before(item, newest + 366 * _DAY)
        if ticks is not None and ticks >= newest:
            firsts.append(ticks)
    for guess in sorted(set(firsts)):
        found = [_last_before(item, guess + _DAY) for item in items]
        if all(ticks is not None and ticks > guess - _HALF_YEAR for ticks in found):
            return guess
    return None
