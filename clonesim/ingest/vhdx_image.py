"""VHDX images, by Microsoft's open specification [MS-VHDX]."""

from __future__ import annotations

import struct
import uuid
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import COPY_AGAIN, ByteFile
from clonesim.ingest.disks import ABSENT, ZERO, SparseDisk, check_apart, directory
from clonesim.units import KIB, MIB

VHDX = b"vhdxfile"
_BAT, _METADATA = "2dc27766-f623-4200-9d64-115e9bfd4a08", "8b7ca206-4790-4b9a-b8fe-575f050f886e"
_PARAMETERS, _SIZE = "caa16737-fa36-4d43-b3b6-33f0aa44e76b", "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
_SECTOR, _LOCATOR = "8141bf1d-a96f-4709-ba47-f233a8faab5f", "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
_PHYSICAL, _PAGE_83 = "cda348c7-445d-4471-9cc9-e9885251c556", "beca12ab-b2e6-4523-93ef-c309e000c746"
_KNOWN = {_PARAMETERS, _SIZE, _SECTOR, _LOCATOR, _PHYSICAL, _PAGE_83}
_PARTLY, _FULL, _ZEROS = 7, 6, 2  # states of a block; 0, 1 and 3: not present, undefined, unmapped
_CHUNK_SECTORS = 2**23
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reflected


class VhdxDisk(SparseDisk):
    """A VHDX.

    Without a parent its units are blocks, all in one table; with one they are sectors, and each block is a table.
    """

    def __init__(self, file: ByteFile, form: _Form, states: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        unit, units = (form.sector, form.block // form.sector) if form.differs else (form.block, states.size)
        super().__init__(file, "vhdx", form.capacity, unit, units)
        self.differs, self.form = form.differs, form
        self.states, self.places = states, places
        self.bitmaps: NDArray[np.int64] = np.zeros(0, np.int64)  # where each chunk's sector bitmap lies, 0: nowhere

    def present_tables(self) -> NDArray[np.int64]:
        """Blocks that exist; or the one table of a disk without a parent."""
        if not self.differs:
            return np.zeros(1, np.int64)
        return np.flatnonzero((self.states == _FULL) | (self.states == _PARTLY)).astype(np.int64)

    def tables(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the sectors of some blocks, or of all blocks."""
        if not self.differs:
            return np.where(self.states == _FULL, self.places, ABSENT)[None, :]
        found = np.full((numbers.size, self.table_units), ABSENT, np.int64)
        steps = np.arange(self.table_units, dtype=np.int64) * self.unit
        for row, number in enumerate(numbers.tolist()):
            state, place = int(self.states[number]), int(self.places[number])
            if state == _FULL:
                found[row] = place + steps
            elif state == _PARTLY:
                found[row] = np.where(self._sectors(number), place + steps, ABSENT)
            elif state in (1, _ZEROS, 3):  # undefined, zero, unmapped: not the parent's either
                found[row] = ZERO
        return found

    def _sectors(self, number: int) -> NDArray[np.bool_]:
        """Which sectors of a block are the child's."""
        chunk, inside = divmod(number, self.form.ratio)
        size = self.table_units // 8
        place = int(self.bitmaps[chunk]) if chunk < self.bitmaps.size else 0
        if not place:
            problem = f"block {number} is partly present, but its sector bitmap is missing"
            raise ImageError(self.file.path, problem, COPY_AGAIN)
        data = self.file.read(place + inside * size, size, "sector bitmap")
        return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").view(np.bool_)


class _Form(NamedTuple):
    capacity: int
    block: int
    sector: int
    differs: bool

    @property
    def ratio(self) -> int:
        """Blocks of a chunk: each chunk has one sector bitmap."""
        return _CHUNK_SECTORS * self.sector // self.block


def open_vhdx(file: ByteFile) -> VhdxDisk:
    """Read a VHDX's headers, regions, metadata and block table.

    Raises
    ------
    ImageError
        If it is damaged, of another version, or was not closed cleanly.
    """
    header = _header(file)
    regions = _regions(file)
    items = _metadata(file, *regions[_METADATA])
    form = _form(file, items)
    blocks = -(-form.capacity // form.block)
    chunks = -(-blocks // form.ratio)
    entries = chunks * (form.ratio + 1) if form.differs else blocks + (blocks - 1) // form.ratio
    place, size = regions[_BAT]
    if entries * 8 > size:
        problem = f"its block table has {size} B, its capacity needs {entries * 8}"
        raise ImageError(file.path, problem, COPY_AGAIN, place)
    table = directory(file, place, entries, "<u8", "block table")
    numbers = np.arange(blocks, dtype=np.int64)
    own = table[numbers + numbers // form.ratio]
    states, places = own & 7, own >> 20 << 20
    disk = VhdxDisk(file, form, states, places)
    check_apart(file, places[(states == _FULL) | (states == _PARTLY)], form.block, "blocks")
    disk.identity = str(uuid.UUID(bytes_le=header[32:48]))
    if form.differs:
        bitmaps = table[np.arange(chunks) * (form.ratio + 1) + form.ratio]
        disk.bitmaps = np.where(bitmaps & 7 == _FULL, bitmaps >> 20 << 20, 0)
        locator = _locator(file, items[_LOCATOR]) if _LOCATOR in items else {}
        disk.parent_identity = locator.get("parent_linkage", "").strip("{}").lower()
        disk.parent_name = locator.get("relative_path", "") or locator.get("absolute_win32_path", "")
    return disk


def _header(file: ByteFile) -> bytes:
    """Return the current one of the two headers."""
    found = []
    for place in (64 * KIB, 128 * KIB):
        data = file.read(place, 4096, "VHDX header")
        if data[:4] == b"head" and _crc_is_right(data):
            found.append(data)
    if not found:
        raise ImageError(file.path, "neither of its two VHDX headers is whole", COPY_AGAIN, 64 * KIB)
    header = max(found, key=lambda data: struct.unpack_from("<Q", data, 8)[0])
    version = struct.unpack_from("<H", header, 66)[0]
    if version != 1:
        raise ImageError(file.path, f"is VHDX version {version}; version 1 is read", "Convert it first.", 66)
    if any(header[48:64]):
        problem = "its log has not been written back: the disk was in use, or the host lost power"
        remedy = (
            "Attach it once (Mount-VHD -ReadOnly does not do it, Mount-VHD does), or copy it while the machine is off."
        )
        raise ImageError(file.path, problem, remedy)
    return header


def _regions(file: ByteFile) -> dict[str, tuple[int, int]]:
    """Place and size of the block table and the metadata. [B]"""
    for place in (192 * KIB, 256 * KIB):
        data = file.read(place, 64 * KIB, "region table")
        if data[:4] == b"regi" and _crc_is_right(data):
            break
    else:
        raise ImageError(file.path, "neither of its two region tables is whole", COPY_AGAIN, 192 * KIB)
    found = {}
    for number in range(min(struct.unpack_from("<I", data, 8)[0], 2047)):
        name, at, size, needed = struct.unpack_from("<16sQII", data, 16 + 32 * number)
        region = str(uuid.UUID(bytes_le=name))
        if region in (_BAT, _METADATA):
            found[region] = (at, size)
        elif needed & 1:
            raise ImageError(file.path, f"needs the region {region}, which is not known", "Convert it first.", place)
    if len(found) != 2:
        raise ImageError(file.path, "its region table names no block table or no metadata", COPY_AGAIN, place)
    return found


def _metadata(file: ByteFile, place: int, size: int) -> dict[str, tuple[int, int]]:
    """Place and size of each item. [B]"""
    data = file.read(place, 64 * KIB, "metadata table")
    if data[:8] != b"metadata":
        raise ImageError(file.path, f"its metadata begin with {data[:8]!r}", COPY_AGAIN, place)
    found = {}
    for number in range(min(struct.unpack_from("<H", data, 10)[0], 2047)):
        name, at, length, flags = struct.unpack_from("<16sIII", data, 32 + 32 * number)
        item = str(uuid.UUID(bytes_le=name))
        if item not in _KNOWN and flags & 4:
            raise ImageError(file.path, f"needs the item {item}, which is not known", "Convert it first.", place)
        if at + length > size:
            raise ImageError(file.path, f"the item {item} lies outside the metadata", COPY_AGAIN, place)
        found[item] = (place + at, length)
    missing = [name for name in (_PARAMETERS, _SIZE, _SECTOR) if name not in found]
    if missing:
        raise ImageError(file.path, f"its metadata lack the item {missing[0]}", COPY_AGAIN, place)
    return found


def _form(file: ByteFile, items: dict[str, tuple[int, int]]) -> _Form:
    block, flags = struct.unpack("<II", file.read(items[_PARAMETERS][0], 8, "file parameters"))
    (capacity,) = struct.unpack("<Q", file.read(items[_SIZE][0], 8, "disk size"))
    (sector,) = struct.unpack("<I", file.read(items[_SECTOR][0], 4, "sector size"))
    if not MIB <= block <= 256 * MIB or block & (block - 1) or sector not in (512, 4096) or capacity > 2**62:
        problem = f"blocks of {block} B and sectors of {sector} B for a disk of {capacity} B"
        remedy = f"Allowed are blocks of 1 MiB to 256 MiB and sectors of 512 B or 4 KiB. {COPY_AGAIN}"
        raise ImageError(file.path, problem, remedy)
    return _Form(capacity, block, sector, bool(flags & 2))


def _locator(file: ByteFile, item: tuple[int, int]) -> dict[str, str]:
    """Return what the file says of its parent."""
    place, length = item
    data = file.read(place, min(length, MIB), "parent locator")
    if len(data) < 20:
        return {}
    found = {}
    for number in range(min(struct.unpack_from("<H", data, 18)[0], (len(data) - 20) // 12)):
        key, value, key_size, value_size = struct.unpack_from("<IIHH", data, 20 + 12 * number)
        name = data[key : key + key_size].decode("utf-16-le", "replace")
        found[name] = data[value : value + value_size].decode("utf-16-le", "replace")
    return found


def _crc_is_right(data: bytes) -> bool:
    """Whether the CRC-32C in bytes 4 to 7, taken with zeros there, fits."""
    table, crc = _crc_table(), 0xFFFF_FFFF
    for byte in data[:4] + bytes(4) + data[8:]:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return bool(struct.unpack_from("<I", data, 4)[0] == crc ^ 0xFFFF_FFFF)


@cache
def _crc_table() -> tuple[int, ...]:
    found = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        found.append(crc)
    return tuple(found)
