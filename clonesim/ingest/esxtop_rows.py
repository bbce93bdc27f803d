"""The rows of `esxtop -b`, one sample each: some hundred kilobytes, of which few fields are taken."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import InventoryError
from clonesim.ingest import dates
from clonesim.ingest.document import refuse_others
from clonesim.ingest.esxtop_header import Head
from clonesim.ingest.limits import most, or_raise
from clonesim.units import format_size

MOST = 1e15
_NOTHING = (b"", b"-", b"N/A", b"n/a")
_REMEDY = "Copy it again from the host; 'gzip -t' tells whether a packed copy is whole."
_WIDE = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))

Floats = NDArray[np.float64]


def lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Lines of a plain or gzip file: number from 1, content, and whether it has an end.

    Raises
    ------
    InventoryError
        If it is missing, a folder, unreadable, empty, no text, or has a line that is too long.
    """
    try:
        with _open(path) as file:
            number, longest = 0, most("counter_line_bytes")
            while line := file.readline(longest + 1):
                number += 1
                if len(line) > longest:
                    problem = f"has a line of more than {format_size(longest)}, so it is no output of esxtop -b"
                    told = or_raise("counter_line_bytes", "Name a CSV of 'esxtop -b'")
                    raise InventoryError(path, problem, told, row=number)
                yield number, line, line.endswith(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InventoryError(path, f"the gzip file is cut off or damaged ({error})", _REMEDY) from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise InventoryError(path, problem, "Check the path and its permissions.") from None
    if not number:
        raise InventoryError(path, "the file is empty", "Record it again: 'esxtop -b -a -d 5 -n 720 > FILE'.")


def _open(path: Path) -> IO[bytes]:
    if "\0" in str(path):
        raise InventoryError(repr(str(path)), "a path cannot hold a NUL character", "Check the path.")
    if not path.exists():
        raise InventoryError(path, "there is no such file", "Check the path.")
    if not path.is_file():
        raise InventoryError(path, "is no file", "Name a CSV of 'esxtop -b', or a folder of them.")
    with path.open("rb") as file:
        head = file.read(16)
    refuse_others(path, head)
    for mark, code in _WIDE:
        if head.startswith(mark):
            raise InventoryError(path, f"is {code} text", "Save it as UTF-8, or copy it as esxtop wrote it.")
    return cast(IO[bytes], gzip.open(path, "rb")) if head.startswith(b"\x1f\x8b") else path.open("rb")


class Samples:
    """Samples under one header.

    Parameters
    ----------
    path : Path
        The file, for messages.
    head : Head
        What its columns are.
    skip_bad : bool
        Leave out values that are none, and count them in `bad`.

    Attributes
    ----------
    ticks : list of int
        Time of each sample by the file's clock: microseconds since 1970.
    values : list of (columns,) float64 array
        As in the file, in the order of `head.columns`; NaN where there is none.
    bad : int
        Values left out.
    """

    def __init__(self, path: Path, head: Head, skip_bad: bool) -> None:
        self.path, self.head, self._skip_bad = path, head, skip_bad
        self.ticks: list[int] = []
        self.values: list[Floats] = []
        self.bad = 0
        places = sorted(range(len(head.columns)), key=lambda number: head.columns[number].place)
        self._places = [head.columns[number].place for number in places]
        self._order = np.argsort(places)

    def fits(self, line: bytes) -> bool:
        """Whether a line has as many fields as the header, or a quoted comma may make it look otherwise."""
        return line.count(b",") == self.head.fields - 1 or len(self._parts(line)) == self.head.fields

    def add(self, row: int, line: bytes) -> None:
        """Read a sample.

        Raises
        ------
        InventoryError
            If its time or a value cannot be read.
        """
        if line.count(b",") == self.head.fields - 1:
            commas = np.flatnonzero(np.frombuffer(line, np.uint8) == ord(","))
            starts = np.concatenate([[0], commas + 1])
            ends = np.concatenate([commas, [len(line)]])
            first = line[: ends[0]]
            spans = zip(starts[self._places].tolist(), ends[self._places].tolist(), strict=True)
            cells = [line[start:end] for start, end in spans]
        else:
            parts = self._parts(line)
            first, cells = parts[0], [parts[place] for place in self._places]
        self.ticks.append(self._time(row, first.strip(b'" \r\n').decode("utf-8", "replace")))
        self.values.append(self._numbers(row, [cell.strip(b'" \r\n') for cell in cells])[self._order])

    def _parts(self, line: bytes) -> list[bytes]:
        try:
            cells = next(csv.reader([line.decode("utf-8", "replace").strip("\r\n")]), [])
        except csv.Error:
            return []
        return [cell.encode() for cell in cells]

    def _time(self, row: int, text: str) -> int:
        reading = dates.read_texts([text], dayfirst=False)[0][0]
        if reading is None or reading.ticks == dates.NONE:
            remedy = "esxtop writes such as '05/13/2026 10:00:05'; remove the row if it is no sample."
            raise InventoryError(self.path, "is no time", remedy, row=row, column="time", value=text[:80])
        return reading.ticks

    def _numbers(self, row: int, cells: list[bytes]) -> Floats:
        try:
            found = np.array([float(cell) for cell in cells])
        except ValueError:
            found = np.array([_number(cell) for cell in cells])
        good = (found >= 0) & (found <= MOST)
        if good.all():
            return found
        for number in np.flatnonzero(~good):
            if cells[number] in _NOTHING:
                continue
            if not self._skip_bad:
                column = next(one for one in self.head.columns if one.place == self._places[number])
                value = cells[number].decode("utf-8", "replace")[:80]
                remedy = "Correct it, or leave such values out with skip_bad_values=True, which notes them."
                raise InventoryError(
                    self.path, "is not a number from 0", remedy, row=row, column=column.text, value=value
                )
            self.bad += 1
        return np.where(good, found, np.nan)


def _number(cell: bytes) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
