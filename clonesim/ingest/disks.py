"""Virtual disks as image files hold them: flat ones, and ones made of units that a file holds or leaves to a parent.

Every format but the flat ones is a `SparseDisk`: units of one size, grouped in tables that say where in the file a unit
lies. A format's own module only reads its header and its tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import COPY_AGAIN, ByteFile
from clonesim.ingest.limits import most, or_raise
from clonesim.units import format_size

ABSENT, ZERO = -1, -2  # places of a unit that the file does not hold, and of one that reads as zeros
COMPRESSED = 2**62  # added to the place of a compressed unit
_CACHED_TABLES = 16
_PLACES_AT_ONCE = 2**19  # of a walk over all tables


class Disk:
    """A virtual disk.

    Attributes
    ----------
    file : ByteFile
        Where it begins.
    path : Path
        The file that stands for the whole image: a descriptor, where there is one.
    format : str
        Such as "qcow2".
    capacity : int
        Its size. [B]
    parent : Disk or None
        Where the rest of it is.
    parent_name : str
        What its file calls its parent; empty if it has none.
    identity, parent_identity : str
        What the file says it and its parent are, for comparison; empty if it does not say.
    notes : list of str
        What a reader of the result should know.
    """

    def __init__(self, file: ByteFile, image_format: str, capacity: int) -> None:
        self.file, self.path, self.format = file, file.path, image_format
        self.capacity = check_capacity(file, capacity)
        self.parent: Disk | None = None
        self.parent_name = self.identity = self.parent_identity = ""
        self.origin = 0  # where the disk begins in its parent [B]
        self.notes: list[str] = []

    @property
    def grain(self) -> int:
        """Unit in which the file holds or does not hold a part of the disk; 0 for a flat one. [B]"""
        return 0

    @property
    def grains(self) -> NDArray[np.int64]:
        """Ranges of the disk whose content is in the file, in order. (n, 2) array of first byte and end. [B]"""
        return np.array([[0, self.capacity]], np.int64)

    def set_parent(self, parent: Disk) -> None:
        """Take what the file does not hold from another disk."""
        self.parent = parent

    def read(self, offset: int, length: int) -> bytes:
        """Content of the disk; behind its end it reads as zeros."""
        length = max(length, 0)
        inside = max(0, min(length, self.capacity - offset))
        return self._content(offset, inside).ljust(length, b"\0") if inside else bytes(length)

    def _content(self, offset: int, length: int) -> bytes:
        raise NotImplementedError


def check_capacity(file: ByteFile, capacity: int) -> int:
    """Capacity, if it is one."""
    allowed = most("image_capacity")
    if not 0 < capacity <= allowed:
        problem = f"says that its disk has {capacity} B; allowed are 1 B to {format_size(allowed)}"
        raise ImageError(file.path, problem, _damaged("image_capacity", capacity > allowed))
    return capacity


def _damaged(limit: str, exceeded: bool = True) -> str:
    """What to do about a header that promises too much."""
    told = f"The header is damaged: {COPY_AGAIN[0].lower()}{COPY_AGAIN[1:]}"
    return or_raise(limit, told.removesuffix(".")) if exceeded else told


class FlatDisk(Disk):
    """A disk that lies in the file as it is, from `start` on; with `zeros` it has no content at all."""

    def __init__(self, file: ByteFile, image_format: str, capacity: int, start: int = 0, zeros: bool = False) -> None:
        super().__init__(file, image_format, capacity)
        self.start, self.zeros = start, zeros
        if not zeros and start + capacity > file.size:
            problem = f"has {file.size} B of the {start + capacity} B that the disk needs: it is cut off"
            raise ImageError(file.path, problem, COPY_AGAIN)

    @property
    def grains(self) -> NDArray[np.int64]:
        """The whole disk, or nothing."""
        return np.zeros((0, 2), np.int64) if self.zeros else super().grains

    def _content(self, offset: int, length: int) -> bytes:
        return b"" if self.zeros else self.file.read(self.start + offset, length)


class SparseDisk(Disk):
    """A disk of units that its file holds or does not hold.

    Parameters
    ----------
    file : ByteFile
        The image.
    image_format : str
        Its name.
    capacity : int
        Size of the disk. [B]
    unit : int
        Size of a unit, a multiple of 512. [B]
    table_units : int
        Units of a table.
    """

    def __init__(self, file: ByteFile, image_format: str, capacity: int, unit: int, table_units: int) -> None:
        super().__init__(file, image_format, capacity)
        self.unit, self.table_units = unit, table_units
        self.differs = False  # whether a unit that is absent must be looked up in a parent
        self._cache: dict[int, NDArray[np.int64]] = {}
        self._grains: NDArray[np.int64] | None = None

    def present_tables(self) -> NDArray[np.int64]:
        """Numbers of the tables that hold at least a unit, in order."""
        raise NotImplementedError

    def tables(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the units of some tables. (tables, table_units) array: a byte of the file, ABSENT or ZERO."""
        raise NotImplementedError

    def unpacked(self, place: int) -> bytes:
        """Content of a compressed unit."""
        raise NotImplementedError

    @property
    def grain(self) -> int:
        """Size of a unit. [B]"""
        return self.unit

    @property
    def grains(self) -> NDArray[np.int64]:
        """Ranges whose content is in the file, in order; units that read as zeros are not among them. [B]"""
        if self._grains is None:
            self._grains = self._walk()
        return self._grains

    def _walk(self) -> NDArray[np.int64]:
        present = self.present_tables()
        step = max(1, _PLACES_AT_ONCE // self.table_units)
        found = [np.zeros((0, 2), np.int64)]
        for first in range(0, present.size, step):
            numbers = present[first : first + step]
            places = self.tables(numbers)
            self._check_end(places)
            found.append(_ranges(places >= 0, numbers, self.table_units))
        units = joined(np.concatenate(found))
        held = units[units[:, 0] * self.unit < self.capacity] * self.unit
        return np.minimum(held, self.capacity)

    def _check_end(self, places: NDArray[np.int64]) -> None:
        """Refuse a file that ends before the units it says it holds."""
        plain = places[(places >= 0) & (places < COMPRESSED)]
        beyond = int((plain >= self.file.size).sum())
        if beyond:
            problem = f"holds at least {beyond} grains behind its end ({self.file.size} B): it is cut off or damaged"
            raise ImageError(self.file.path, problem, COPY_AGAIN)

    def _content(self, offset: int, length: int) -> bytes:
        parts: list[bytes] = []
        end = offset + length
        span = self.unit * self.table_units
        while offset < end:
            number, inside = divmod(offset, span)
            stop = min(end, (number + 1) * span)
            parts.append(self._of_table(number, inside, stop - offset))
            offset = stop
        return b"".join(parts)

    def _of_table(self, number: int, inside: int, length: int) -> bytes:
        """Content of a part of one table's region, run by run of units that lie behind each other in the file."""
        first, last = inside // self.unit, (inside + length - 1) // self.unit
        places = self._table(number)[first : last + 1]
        step = np.where((places >= 0) & (places < COMPRESSED), self.unit, 0)
        alone = (places[1:] != places[:-1] + step[:-1]) | (places[1:] >= COMPRESSED)
        edges = [0, *(np.flatnonzero(alone) + 1).tolist(), places.size]
        parts = []
        for low, high in pairwise(edges):
            begin = max(inside, (first + low) * self.unit)
            end = min(inside + length, (first + high) * self.unit)
            skip = begin - (first + low) * self.unit
            at = number * self.unit * self.table_units + begin
            parts.append(self._run(int(places[low]), skip, end - begin, at))
        return b"".join(parts)

    def _run(self, place: int, skip: int, length: int, at: int) -> bytes:
        if place >= COMPRESSED:
            return self.unpacked(place - COMPRESSED)[skip : skip + length].ljust(length, b"\0")
        if place >= 0:
            return self.file.read(place + skip, length, pad=True)
        if place == ABSENT and self.parent is not None:
            return self.parent.read(self.origin + at, length)
        if place == ABSENT and self.differs:
            problem = "what it does not hold itself is in its parent, which was not found"
            name = f" ({self.parent_name!r})" if self.parent_name else ""
            remedy = f"Name the parent{name} with base= (--base)."
            raise ImageError(self.file.path, problem, remedy)
        return bytes(length)

    def _table(self, number: int) -> NDArray[np.int64]:
        if number not in self._cache:
            if len(self._cache) >= _CACHED_TABLES:
                self._cache.pop(next(iter(self._cache)))
            self._cache[number] = self.tables(np.array([number], np.int64))[0]
        return self._cache[number]


class JoinedDisk(Disk):
    """Disks one behind the other, such as the extents of a VMDK.

    Parameters
    ----------
    parts : sequence of Disk
        In their order; the first one's file and format are the whole's.
    """

    def __init__(self, parts: Sequence[Disk]) -> None:
        super().__init__(parts[0].file, parts[0].format, sum(part.capacity for part in parts))
        self.parts = tuple(parts)
        starts = np.concatenate([[0], np.cumsum([part.capacity for part in parts])]).tolist()
        self._starts = starts
        for part, start in zip(parts, starts, strict=False):
            part.origin = start

    @property
    def grain(self) -> int:
        """The largest unit among the parts. [B]"""
        return max(part.grain for part in self.parts)

    @property
    def grains(self) -> NDArray[np.int64]:
        """Ranges that the parts hold. [B]"""
        found = [part.grains + start for part, start in zip(self.parts, self._starts, strict=False)]
        return joined(np.concatenate(found))

    def set_parent(self, parent: Disk) -> None:
        """Give the parent to every part."""
        self.parent = parent
        for part in self.parts:
            part.set_parent(parent)

    def _content(self, offset: int, length: int) -> bytes:
        found, end = [], offset + length
        for part, start in zip(self.parts, self._starts, strict=False):
            low, high = max(offset, start), min(end, start + part.capacity)
            if low < high:
                found.append(part.read(low - start, high - low))
        return b"".join(found)


def _ranges(held: NDArray[np.bool_], numbers: NDArray[np.int64], table_units: int) -> NDArray[np.int64]:
    """Ranges of units that are held, from one row a table. (n, 2) array."""
    padded = np.zeros((held.shape[0], held.shape[1] + 2), np.int8)
    padded[:, 1:-1] = held
    rows, edges = np.nonzero(np.diff(padded, axis=1))
    return (edges + numbers[rows] * table_units).reshape(-1, 2)


def joined(ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranges in order, with those that touch made one. (n, 2) array."""
    if not len(ranges):
        return ranges
    starts = np.concatenate([[True], ranges[1:, 0] > ranges[:-1, 1]])
    ends = np.append(starts[1:], True)
    return np.column_stack([ranges[starts, 0], ranges[ends, 1]])


def directory(
    file: ByteFile, offset: int, entries: int, dtype: str, what: str, mask: int = 2**64 - 1
) -> NDArray[np.int64]:
    """List of tables, as whole numbers; of each entry the bits of `mask`. Entries beyond 2^62 - 1 become that.

    Raises
    ------
    ImageError
        If it is longer than any disk needs, or not in the file.
    """
    kind = np.dtype(dtype)
    if entries * kind.itemsize > (allowed := most("image_directory_bytes")):
        problem = f"its {what} would have {entries} entries; allowed are {allowed // kind.itemsize}"
        raise ImageError(file.path, problem, _damaged("image_directory_bytes"))
    values = np.frombuffer(file.read(offset, entries * kind.itemsize, what), kind).astype(np.uint64)
    found: NDArray[np.int64] = np.minimum(values & np.uint64(mask), np.uint64(COMPRESSED - 1)).astype(np.int64)
    return found


def check_apart(file: ByteFile, places: NDArray[np.int64], size: int, what: str) -> None:
    """Refuse a list in which two entries share bytes of the file: it is damaged, and could take for ever to walk.

    Parameters
    ----------
    file : ByteFile
        The image.
    places : (n,) int64 array
        Where the entries lie. [B]
    size : int
        How long each is. [B]
    what : str
        What they are, for the message.
    """
    if (np.diff(np.sort(places)) < size).any():
        raise ImageError(file.path, f"two of its {what} share bytes of the file", f"It is damaged. {COPY_AGAIN}")
