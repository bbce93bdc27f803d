"""The sparse extents of a VMDK: hosted (KDMV), VMFS sparse (COWD) and SEsparse.

Hosted and COWD as VMware's "Virtual Disk Format" and the libvmdk format document describe them; SEsparse, which is not
documented, as qemu's reader knows it.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import COPY_AGAIN, ByteFile
from clonesim.ingest.disks import ABSENT, COMPRESSED, ZERO, SparseDisk, check_apart, directory
from clonesim.units import MIB, SECTOR

COWD, KDMV, SESPARSE = b"COWD", b"KDMV", struct.pack("<Q", 0xCAFEBABE)
_COWD_TABLE = 4096  # entries
_SE_TABLE, _SE_GRAIN = 4096, 4096  # entries, and bytes
_SE_VERSION = 0x2_0000_0001
_AT_END = 2**64 - 1  # the grain directory's place is in a footer
_MOST_GRAIN = 2**21  # sectors
_ZERO_GRAINS, _PACKED = 1 << 2, 1 << 16  # flags of a hosted extent
_CONVERT = "Convert it first: qemu-img convert -O raw IMAGE disk.raw."


class _TableDisk(SparseDisk):
    """An extent with a directory of tables; `places` says where each table lies, 0 where there is none."""

    entry: np.dtype[np.unsignedinteger] = np.dtype("<u4")

    def set_directory(self, places: NDArray[np.int64]) -> None:
        """Take the directory, cut to what the capacity needs. [B]"""
        needed = -(-self.capacity // (self.unit * self.table_units))
        if places.size < needed:
            problem = f"its grain directory has {places.size} entries, its capacity needs {needed}"
            raise ImageError(self.file.path, problem, f"The header is damaged. {COPY_AGAIN}")
        self.places = places[:needed]
        check_apart(self.file, self.places[self.places > 0], self.table_units * self.entry.itemsize, "grain tables")

    def present_tables(self) -> NDArray[np.int64]:
        """Numbers of the tables that exist."""
        return np.flatnonzero(self.places).astype(np.int64)

    def tables(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the units of some tables."""
        size = self.table_units * self.entry.itemsize
        raw = bytearray()
        there = np.zeros(numbers.size, np.bool_)
        for row, number in enumerate(numbers.tolist()):
            place = int(self.places[number])
            there[row] = place > 0
            raw += self.file.read(place, size, f"grain table {number}") if place else bytes(size)
        found = self._places(np.frombuffer(bytes(raw), self.entry).reshape(numbers.size, -1))
        found[~there] = ABSENT
        return found

    def _places(self, entries: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        """By default an entry is a sector number, and 0 says that the unit is absent."""
        found = entries.astype(np.int64) * SECTOR
        found[found == 0] = ABSENT
        return found


class CowdDisk(_TableDisk):
    """A VMFS sparse extent: the delta of VMFS-3 and of small disks on VMFS-5."""


def open_cowd(file: ByteFile) -> CowdDisk:
    """Read a VMFS sparse extent's header and directory.

    Raises
    ------
    ImageError
        If it is damaged.
    """
    version, _, sectors, grain, place, entries = struct.unpack_from("<6I", file.read(0, 512, "COWD header"), 4)
    if version != 1:
        raise ImageError(file.path, f"has version {version} of COWD; version 1 is read", _CONVERT, 4)
    _check_grain(file, grain)
    disk = CowdDisk(file, "vmfs-sparse", sectors * SECTOR, grain * SECTOR, _COWD_TABLE)
    needed = -(-disk.capacity // (disk.unit * _COWD_TABLE))
    disk.set_directory(directory(file, place * SECTOR, min(entries, needed), "<u4", "grain directory") * SECTOR)
    return disk


class HostedDisk(_TableDisk):
    """A hosted sparse extent, whose grains may be compressed."""

    def __init__(self, file: ByteFile, header: _Hosted, table_units: int) -> None:
        name = "vmdk-stream" if header.packed else "vmdk-hosted"
        super().__init__(file, name, header.capacity * SECTOR, header.grain * SECTOR, table_units)
        self.packed, self.zeros = header.packed, bool(header.flags & _ZERO_GRAINS)

    def _places(self, entries: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        found = super()._places(entries)
        if self.packed:
            found[found >= 0] += COMPRESSED
        if self.zeros:
            found[entries == 1] = ZERO
        return found

    def unpacked(self, place: int) -> bytes:
        """Content of a compressed grain: a marker of 12 bytes, then deflate with a zlib header."""
        _, size = struct.unpack("<QI", self.file.read(place, 12, "grain marker"))
        if size > 2 * self.unit + 4096:
            problem = f"a compressed grain would have {size} B, more than two grains"
            raise ImageError(self.file.path, problem, f"The image is damaged. {COPY_AGAIN}", place)
        return inflated(self.file, self.file.read(place + 12, size, "compressed grain"), self.unit, place)


def inflated(file: ByteFile, packed: bytes, most: int, place: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """Content of a deflated unit, never more than `most` bytes.

    Raises
    ------
    ImageError
        If it is not deflate.
    """
    stream = zlib.decompressobj(wbits)
    try:
        found = stream.decompress(packed, most)
    except zlib.error as error:
        problem = f"a compressed grain is damaged ({error})"
        raise ImageError(file.path, problem, COPY_AGAIN, place) from None
    if len(found) < most and not stream.eof:
        raise ImageError(file.path, "a compressed grain is cut off", COPY_AGAIN, place)
    return found


class _Hosted(NamedTuple):
    version: int
    flags: int
    capacity: int
    grain: int
    text_place: int
    text_size: int
    table_units: int
    spare_place: int
    place: int
    packed: bool


def _hosted_header(file: ByteFile, offset: int) -> _Hosted:
    data = file.read(offset, 512, "VMDK header")
    if data[:4] != KDMV:
        raise ImageError(file.path, "the footer has no KDMV mark: it is cut off or damaged", COPY_AGAIN, offset)
    values = struct.unpack_from("<IIQQQQIQQ", data, 4)
    return _Hosted._make((*values, bool(values[1] & _PACKED) or struct.unpack_from("<H", data, 77)[0] == 1))


def hosted_text(file: ByteFile) -> bytes:
    """Descriptor inside a hosted extent; empty if there is none.

    Raises
    ------
    ImageError
        If it is not in the file.
    """
    header = _hosted_header(file, 0)
    size = min(header.text_size * SECTOR, MIB)
    return file.read(header.text_place * SECTOR, size, "descriptor", pad=True) if header.text_place and size else b""


def open_hosted(file: ByteFile) -> HostedDisk:
    """Read a hosted sparse or stream-optimized extent's header and directory.

    Raises
    ------
    ImageError
        If it is damaged.
    """
    header = _hosted_header(file, 0)
    if header.place == _AT_END:  # a footer of one sector stands before the end-of-stream marker
        header = _hosted_header(file, file.size // SECTOR * SECTOR - 1024)
    if not 1 <= header.version <= 3:
        raise ImageError(file.path, f"has version {header.version} of hosted VMDK; 1 to 3 are read", _CONVERT, 4)
    _check_grain(file, header.grain)
    if not 1 <= header.table_units <= 2**16:
        problem = f"a grain table of {header.table_units} entries; the usual number is 512"
        raise ImageError(file.path, problem, f"The header is damaged. {COPY_AGAIN}", 44)
    disk = HostedDisk(file, header, header.table_units)
    entries = -(-disk.capacity // (disk.unit * disk.table_units))
    disk.set_directory(directory(file, header.place * SECTOR, entries, "<u4", "grain directory") * SECTOR)
    return disk


class SeSparseDisk(_TableDisk):
    """An SEsparse extent: the delta of VMFS-6 and of View's space-efficient clones."""

    entry: np.dtype[np.unsignedinteger] = np.dtype("<u8")
    first_grain = 0  # where grain 0 lies [B]

    def _places(self, entries: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        state = (entries >> np.uint64(60)).astype(np.int64)
        low = (entries >> np.uint64(48)) & np.uint64(0xFFF)
        number = (low | ((entries & np.uint64(2**48 - 1)) << np.uint64(12))).astype(np.int64)
        number = np.minimum(number, (COMPRESSED - 1 - self.first_grain) // _SE_GRAIN)
        held = self.first_grain + number * _SE_GRAIN
        if (state > 3).any():
            problem = f"a grain table entry {int(entries[state > 3][0]):#x} of no known kind"
            raise ImageError(self.file.path, problem, COPY_AGAIN)
        # 0: absent; 1: unmapped by a discard, 2: zero, both read as zeros; 3: held
        return np.choose(state, [np.full_like(held, ABSENT), np.full_like(held, ZERO), np.full_like(held, ZERO), held])


def open_sesparse(file: ByteFile) -> SeSparseDisk:
    """Read an SEsparse extent's headers and directory.

    Raises
    ------
    ImageError
        If it is damaged, of another version, or was not closed cleanly.
    """
    words = np.frombuffer(file.read(0, 512, "SEsparse header"), "<u8").tolist()
    _, version, capacity, grain, table, flags = words[:6]
    volatile, directory_place, directory_size, tables_place, grains_place = (words[i] for i in (10, 16, 17, 18, 24))
    if version != _SE_VERSION or grain != 8 or table != 64 or flags:
        problem = f"SEsparse version {version:#x}, grains of {grain} and tables of {table} sectors, flags {flags:#x}"
        raise ImageError(file.path, f"{problem}; only {_SE_VERSION:#x}, 8, 64 and 0 are known", _CONVERT)
    state = np.frombuffer(file.read(volatile * SECTOR, 512, "SEsparse volatile header"), "<u8").tolist()
    if state[0] != 0xCAFECAFE:
        problem = f"the volatile header begins with {state[0]:#x}, not 0xcafecafe"
        raise ImageError(file.path, problem, COPY_AGAIN, volatile * SECTOR)
    if state[3]:
        problem = "its journal has not been written back: the disk was in use, or the host lost power"
        raise ImageError(file.path, problem, "Copy it while the machine is off, or from a snapshot's frozen delta.")
    disk = SeSparseDisk(file, "se-sparse", min(capacity * SECTOR, 2**62), _SE_GRAIN, _SE_TABLE)
    needed = -(-disk.capacity // (_SE_GRAIN * _SE_TABLE))
    disk.first_grain = min(grains_place * SECTOR, COMPRESSED // 2)
    entries = directory(
        file, directory_place * SECTOR, min(directory_size * SECTOR // 8, needed), "<u8", "grain directory"
    )
    if ((entries != 0) & (entries >> 60 != 1)).any():
        raise ImageError(file.path, "a grain directory entry of no known kind", COPY_AGAIN, directory_place * SECTOR)
    first_table = min(tables_place * SECTOR, COMPRESSED // 2)  # a place as far away is refused when it is read
    places = np.where(entries != 0, first_table + (entries & 0xFFFFFFFF) * _SE_TABLE * 8, 0)
    disk.set_directory(places.astype(np.int64))
    return disk


def _check_grain(file: ByteFile, sectors: int) -> None:
    if not 1 <= sectors <= _MOST_GRAIN or sectors & (sectors - 1):
        problem = f"a grain of {sectors} sectors; allowed are powers of two from 1 to {_MOST_GRAIN}"
        raise ImageError(file.path, problem, f"The header is damaged. {COPY_AGAIN}")
