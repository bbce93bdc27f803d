"""VHD images (fixed, dynamic, differencing), by Microsoft's "Virtual Hard Disk Image Format Specification" of 2006."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import COPY_AGAIN, ByteFile
from clonesim.ingest.disks import ABSENT, Disk, FlatDisk, SparseDisk, check_apart, directory
from clonesim.units import SECTOR

CONECTIX = b"conectix"
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_UNUSED = 0xFFFF_FFFF
_MOST_BLOCK = 2**28


class VhdDisk(SparseDisk):
    """A dynamic or differencing VHD.

    A dynamic disk's units are blocks, all in one table. A differencing disk's units are sectors, and each block is a
    table: its sector bitmap says which sectors are the child's.
    """

    def __init__(self, file: ByteFile, capacity: int, block: int, places: NDArray[np.int64], differs: bool) -> None:
        unit, units = (SECTOR, block // SECTOR) if differs else (block, places.size)
        super().__init__(file, "vhd", capacity, unit, units)
        self.places, self.differs = places, differs
        self.bitmap_bytes = bitmap_bytes(block)

    def present_tables(self) -> NDArray[np.int64]:
        """Blocks that exist; or the one table of a dynamic disk."""
        return np.flatnonzero(self.places).astype(np.int64) if self.differs else np.zeros(1, np.int64)

    def tables(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the sectors of some blocks, or of all blocks."""
        if not self.differs:
            return np.where(self.places > 0, self.places + self.bitmap_bytes, ABSENT)[None, :]
        places = self.places[numbers]
        size = self.table_units // 8
        rows = [self.file.read(place, size, "sector bitmap") if place else bytes(size) for place in places.tolist()]
        bits = np.frombuffer(b"".join(rows), np.uint8).reshape(numbers.size, size)
        held = np.unpackbits(bits, axis=1).view(np.bool_)
        sectors = places[:, None] + self.bitmap_bytes + np.arange(self.table_units, dtype=np.int64) * SECTOR
        return np.where(held, sectors, ABSENT)


def bitmap_bytes(block: int) -> int:
    """Bytes that a block's sector bitmap takes in the file: whole sectors."""
    return -(-block // (SECTOR * 8 * SECTOR)) * SECTOR


def open_vhd(file: ByteFile) -> Disk:
    """Read a VHD's footer, header and block table.

    Raises
    ------
    ImageError
        If it is damaged.
    """
    footer = _footer(file)
    place, capacity, kind = struct.unpack_from(">Q24xQ4xI", footer, 16)
    if kind == _FIXED:
        return FlatDisk(file, "vhd-fixed", capacity)
    if kind not in (_DYNAMIC, _DIFFERENCING):
        problem = f"a VHD of type {kind}; allowed are 2 (fixed), 3 (dynamic) and 4 (differencing)"
        raise ImageError(file.path, problem, COPY_AGAIN)
    header = file.read(place, 1024, "dynamic disk header")
    if header[:8] != b"cxsparse":
        problem = f"its dynamic disk header begins with {header[:8]!r}, not b'cxsparse'"
        raise ImageError(file.path, problem, COPY_AGAIN, place)
    table, entries, block = struct.unpack_from(">Q4xII", header, 16)
    if not 4096 <= block <= _MOST_BLOCK or block & (block - 1):
        problem = f"blocks of {block} B; allowed are powers of two from 4,096 to {_MOST_BLOCK}"
        raise ImageError(file.path, problem, f"The header is damaged. {COPY_AGAIN}", place + 32)
    needed = -(-min(capacity, 2**62) // block)
    if entries < needed:
        problem = f"its block table has {entries} entries, its capacity needs {needed}"
        raise ImageError(file.path, problem, f"The header is damaged. {COPY_AGAIN}", place + 28)
    raw = directory(file, table, needed, ">u4", "block table")
    places = np.where(raw == _UNUSED, 0, raw * SECTOR)
    check_apart(file, places[places > 0], block + bitmap_bytes(block), "blocks")
    disk = VhdDisk(file, capacity, block, places, kind == _DIFFERENCING)
    disk.identity = footer[68:84].hex()
    if disk.differs:
        disk.parent_identity = header[40:56].hex()
        disk.parent_name = header[64:576].decode("utf-16-be", "replace").split("\0", 1)[0]
    return disk


def is_vhd(file: ByteFile) -> bool:
    """Whether it is a VHD: its footer stands at the end, and a copy of it at the start unless it is a fixed disk."""
    if file.head(8) == CONECTIX:
        return True
    return file.size >= SECTOR and any(file.read(file.size - back, 8) == CONECTIX for back in (512, 511))


def _footer(file: ByteFile) -> bytes:
    """Return the footer whose checksum is right: the one at the end, else its copy at the start."""
    found = []
    for place in (file.size - 512, file.size - 511, 0):
        data = file.read(place, min(512, file.size - place), "VHD footer").ljust(512, b"\0") if place >= 0 else b""
        if data[:8] == CONECTIX:
            found.append(data)
            total = (sum(data[:64]) + sum(data[68:512])) & _UNUSED
            if struct.unpack_from(">I", data, 64)[0] == ~total & _UNUSED:
                return data
    problem = "the checksum of its footer is wrong" if found else "has no VHD footer"
    raise ImageError(file.path, problem, COPY_AGAIN)
