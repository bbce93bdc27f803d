"""Rows of a Process Monitor CSV: what each event does to the files of one drive."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from clonesim.ingest.file_sources import is_metadata
from clonesim.ingest.guest_files import GuestFiles
from clonesim.ingest.limits import most
from clonesim.ingest.page_ranges import PageRanges
from clonesim.units import TIB

NEEDED: Final = ("Operation", "Path", "Result", "Detail")
CLOCKS: Final = ("Time of Day", "Relative Time")
PAGING: Final = ("twins", "skip", "keep")
_MOST_BYTES = 64 * TIB
_TICKS = 10**9  # of the clock in a second
_DAY = 86_400 * _TICKS
_NUMBER = r"(-?[0-9]{1,3}(?:[.,'\u2019\u00a0\u202f ][0-9]{3})+|-?[0-9]+)(?=,|$)"
_OFFSET, _LENGTH, _END, _ALLOCATED = (
    re.compile(rf"(?:^|, ){name}: {_NUMBER}") for name in ("Offset", "Length", "EndOfFile", "AllocationSize")
)
_NO_DIGIT = re.compile(r"[^0-9-]")
_TIME = re.compile(r"\s*([0-9]{1,6}):([0-5]?[0-9]):([0-6]?[0-9])(?:[.,]([0-9]{1,9}))?\s*(?:([AaPp])\.?\s*[Mm]\.?)?\s*")
_OPTIONS = re.compile(r"(?:^|, )Options: (.*?)(?:, [A-Za-z]+: |$)")
_OPENED = re.compile(r"(?:^|, )OpenResult: ([A-Za-z ]+)")
_NEW_NAME = re.compile(r"(?:^|, )FileName: (.+)$")


class EventError(Exception):
    """An event that cannot be used: column, value and problem."""

    def __init__(self, field: str, value: str, problem: str) -> None:
        self.field, self.value, self.problem = field, value, problem


class Event(NamedTuple):
    """One row."""

    time: str
    operation: str
    path: str
    result: str
    detail: str


class DriveEvents:
    """Takes over the events of one drive.

    Parameters
    ----------
    drive : str
        Such as "C:".
    paging : {"twins", "skip", "keep"}
        Which paging writes count; see `read_file_trace`.

    Attributes
    ----------
    files : GuestFiles
        What they did.
    ignored : Counter
        Events that do nothing here, by what they are.
    """

    def __init__(self, drive: str, paging: str) -> None:
        self.drive, self.paging = drive.lower() + "\\", paging
        self.files = GuestFiles()
        self.ignored: Counter[str] = Counter()
        self.events = 0
        self._most_files = most("file_trace_files")
        self._cached: dict[str, PageRanges] = {}
        self._folders: set[str] = set()
        self._doomed: set[str] = set()
        self._days, self._first, self._last = 0, -1, 0
        self._handlers: dict[str, Callable[[float, str, str], None]] = {
            "WriteFile": self._write,
            "ReadFile": self._read,
            "CreateFile": self._open,
            "CloseFile": self._close,
            "SetEndOfFileInformationFile": self._end_of_file,
            "SetAllocationInformationFile": self._allocation,
            "SetDispositionInformationFile": self._delete,
            "SetDispositionInformationEx": self._delete,
            "SetRenameInformationFile": self._rename,
            "SetRenameInformationEx": self._rename,
            "QueryStandardInformationFile": self._size,
            "QueryNetworkOpenInformationFile": self._size,
            "QueryAllInformationFile": self._size,
            "QueryOpen": self._size,
        }

    def matters(self, operation: str) -> bool:
        """Whether an operation can change files or tell their size."""
        return operation in self._handlers

    def take(self, event: Event) -> None:
        """Take over one event.

        Raises
        ------
        EventError
            If the event is one that counts and cannot be read.
        """
        handler = self._handlers.get(event.operation)
        if handler is None:
            self.ignored["other operations"] += 1
        elif event.result != "SUCCESS":
            self.ignored["without success"] += 1
        elif not event.path.lower().startswith(self.drive):
            self.ignored["other drives"] += 1
        elif is_metadata(event.path):
            self.ignored["the volume's own files"] += 1
        elif len(self.files.names) >= self._most_files - 1:
            problem = f"is file {self._most_files}: more are not numbered (file_trace_files)"
            raise EventError("Path", event.path, problem)
        else:
            handler(self._seconds(event.time), event.path, event.detail)
            self.events += 1

    def _seconds(self, text: str) -> float:
        """Seconds since the first event; a clock that goes back by half a day has passed midnight."""
        hit = _TIME.fullmatch(text)
        if hit is None or (hit[5] and not 1 <= int(hit[1]) <= 12):
            raise EventError("time", text, "is no time such as 10:29:05.0593693 AM")
        hour = int(hit[1]) % 12 + 12 * (hit[5] in "pP") if hit[5] else int(hit[1])
        ticks = (hour * 3600 + int(hit[2]) * 60 + int(hit[3])) * _TICKS + int((hit[4] or "").ljust(9, "0")[:9])
        if self._first < 0:
            self._first = ticks
        since = ticks + self._days * _DAY - self._first
        if since < self._last - _DAY // 2:
            self._days += 1
            since += _DAY
        self._last = max(self._last, since)  # events a moment late, on another processor, stay in the file's order
        return self._last / _TICKS

    def _write(self, time_s: float, path: str, detail: str) -> None:
        offset, length = _number(_OFFSET, "Offset", detail), _number(_LENGTH, "Length", detail)
        if path.lower() in self._folders:
            self.ignored["writes to folders"] += 1
            return
        if offset == -1:  # "to the end of the file"
            offset = self.files.size(path)
        if offset < 0 or not 0 <= length <= _MOST_BYTES or offset + length > _MOST_BYTES:
            raise EventError("Detail", detail, f"a file has at most {_MOST_BYTES} B")
        if not length:
            self.ignored["writes of no bytes"] += 1
            return
        key = path.lower()
        if "Paging I/O" in detail:
            self._write_page(time_s, path, offset, length)
            return
        if self.paging == "twins" and "Non-cached" not in detail:
            self._cached.setdefault(key, PageRanges()).add(offset, offset + length)
        self.files.write(time_s, path, offset, length)

    def _write_page(self, time_s: float, path: str, offset: int, length: int) -> None:
        """Write out pages: those that were written into the cache before have been counted."""
        parts = [(offset, offset + length)]
        if self.paging == "skip":
            parts = []
        elif self.paging == "twins" and (held := self._cached.get(path.lower())):
            parts = held.take(offset, offset + length)
        if not parts:
            self.ignored["paging writes of what was counted"] += 1
        for begin, end in parts:
            self.files.write(time_s, path, begin, end - begin, in_place=True)

    def _read(self, _time_s: float, path: str, detail: str) -> None:
        if path.lower() not in self._folders:  # a read may ask for more than there is, so only its start tells
            self.files.saw_size(path, min(_number(_OFFSET, "Offset", detail), _MOST_BYTES))

    def _open(self, time_s: float, path: str, detail: str) -> None:
        options = _OPTIONS.search(detail)
        words = options[1].split(", ") if options else []
        opened = _OPENED.search(detail)
        result = opened[1].strip() if opened else ""
        key = path.lower().rstrip("\\")
        if "Directory" in words:
            self._folders.add(key)
            return
        if result in ("Created", "Overwritten", "Superseded"):
            self.files.create(time_s, path)
            self._cached.pop(key, None)
            self._doomed.discard(key)
        if "Delete On Close" in words:
            self._doomed.add(key)

    def _close(self, time_s: float, path: str, _detail: str) -> None:
        key = path.lower()
        if key in self._doomed:
            self._doomed.discard(key)
            self._cached.pop(key, None)
            if key not in self._folders:
                self.files.delete(time_s, path)

    def _end_of_file(self, time_s: float, path: str, detail: str) -> None:
        self._cut(time_s, path, _number(_END, "EndOfFile", detail))

    def _allocation(self, time_s: float, path: str, detail: str) -> None:
        self._cut(time_s, path, _number(_ALLOCATED, "AllocationSize", detail))

    def _cut(self, time_s: float, path: str, size: int) -> None:
        """Cut a file to a size; a larger one only reserves space, and the writes that fill it count."""
        if size == 0 and self.files.size(path):
            self.files.create(time_s, path)
            self._cached.pop(path.lower(), None)
        elif size < self.files.size(path):
            self.ignored["cuts to a smaller size than before, not to 0"] += 1
        else:
            self.files.reserve(path)

    def _delete(self, time_s: float, path: str, detail: str) -> None:
        key = path.lower()
        if "Delete: True" in detail or "FILE_DISPOSITION_DELETE" in detail:
            self._doomed.add(key)
            if "FILE_DISPOSITION_POSIX_SEMANTICS" in detail:
                self._close(time_s, path, "")
        elif "Delete: False" in detail or "FILE_DISPOSITION_DO_NOT_DELETE" in detail:
            self._doomed.discard(key)

    def _rename(self, time_s: float, path: str, detail: str) -> None:
        hit = _NEW_NAME.search(detail)
        if hit is None:
            raise EventError("Detail", detail, "has no FileName")
        new, old_key, new_key = hit[1], path.lower(), hit[1].lower()
        if not new_key.startswith(self.drive):
            self.ignored["renames to another drive or stream"] += 1
        elif old_key in self._folders:
            self.files.move_folder(path, new)
            self._folders.discard(old_key)
            self._folders.add(new_key)
        elif is_metadata(new):  # how deleted files go into $Extend\$Deleted
            self.files.delete(time_s, path)
        else:
            self.files.rename(time_s, path, new)
            self._doomed.discard(new_key)
            if old_key in self._doomed:
                self._doomed.discard(old_key)
                self._doomed.add(new_key)
            if old_key in self._cached:
                self._cached[new_key] = self._cached.pop(old_key)

    def _size(self, _time_s: float, path: str, detail: str) -> None:
        if "Directory: True" in detail:
            self._folders.add(path.lower().rstrip("\\"))
        elif "EndOfFile: " in detail and path.lower() not in self._folders:
            self.files.saw_size(path, min(_number(_END, "EndOfFile", detail), _MOST_BYTES), exact=True)

    def finish(self) -> None:
        """Delete what was marked for it and never seen closed."""
        for key in sorted(self._doomed - self._folders):
            if self.files.knows(key):
                self.files.delete(self._last / _TICKS, key)


def _number(pattern: re.Pattern[str], name: str, detail: str) -> int:
    """Return a number of a Detail column, whatever stands between its thousands."""
    hit = pattern.search(detail)
    if hit is None or len(hit[1]) > 40:
        raise EventError("Detail", detail, f"has no whole number behind '{name}: '")
    return int(_NO_DIGIT.sub("", hit[1]))
