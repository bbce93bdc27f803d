"""What lies where on a disk: MBR and GPT partitions, and what each of them holds, by its first bytes."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

from clonesim.errors import ImageError
from clonesim.ingest.disks import Disk
from clonesim.ingest.limits import most, or_raise
from clonesim.units import SECTOR

_EXTENDED, _PROTECTIVE = (0x05, 0x0F, 0x85), 0xEE
_KIND_NAMES = {0x42: "dynamic disk (LDM)", 0x8E: "LVM", 0xFB: "VMFS", 0x27: "Windows recovery"}
_GPT_NAMES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "basic data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "dynamic disk (LDM)",
    "af9b60a0-1431-4f62-bc68-3311714a69ad": "dynamic disk (LDM)",
    "e75caf8f-f680-4cee-afa3-b001e56efc2d": "Storage Spaces",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "LVM",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux data",
    "aa31e02a-400f-11db-9590-000c2911d1b8": "VMFS",
}
# Marks of what a volume holds: place, bytes there, name. The first that fits counts.
_CONTENTS = (
    (3, b"NTFS    ", "ntfs"),
    (3, b"-FVE-FS-", "bitlocker"),
    (424, bytes.fromhex("3bd67649292ed84a8399f6a339e3d001"), "bitlocker"),  # BitLocker To Go, in a FAT's place
    (3, b"ReFS\0\0\0\0", "refs"),
    (3, b"EXFAT   ", "exfat"),
    (82, b"FAT32   ", "fat"),
    (54, b"FAT16   ", "fat"),
    (54, b"FAT12   ", "fat"),
    (54, b"FAT     ", "fat"),
    (0, b"LUKS\xba\xbe", "luks"),
    *((sector * SECTOR, b"LABELONE", "lvm") for sector in range(4)),
    (0, b"XFSB", "xfs"),
    (4086, b"SWAPSPACE2", "swap"),
    (0x10040, b"_BHRfS_M", "btrfs"),
    (0x100000, b"\x0d\xd0\x01\xc0", "vmfs"),
    (1080, b"\x53\xef", "ext"),
)
_BOOT_SECTORS = ("ntfs", "bitlocker", "refs", "exfat", "fat")  # what a disk without a partition table may begin with


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the disk.

    Attributes
    ----------
    number : int
        From 1 on, in the table's order; 0: the whole disk, which has no partition table.
    offset, size : int
        Where it begins, and how long it is. [B]
    type : str
        What the partition table says: a name if it is a known one, else its number.
    content : str
        What is there: ntfs, bitlocker, refs, fat, exfat, ext, xfs, btrfs, swap, lvm, luks, vmfs, empty, unknown; or
        unread, where that part of the disk is not in the image.
    """

    number: int
    offset: int
    size: int
    type: str
    content: str


def read_partitions(disk: Disk) -> tuple[str, tuple[Partition, ...]]:
    """Partition table of a disk.

    Returns
    -------
    str
        "gpt", "mbr", or "none": then the whole disk is given as partition 0.
    tuple of Partition
        In the table's order.

    Raises
    ------
    ImageError
        If the image does not hold the beginning of the disk, or is damaged there.
    """
    whole = content_at(disk, 0, disk.capacity)
    if whole not in _BOOT_SECTORS:
        first = disk.read(0, SECTOR)
        for sector in (SECTOR, 8 * SECTOR):
            if (found := _gpt(disk, sector)) is not None:
                return "gpt", tuple(found)
        if first[510:] == b"\x55\xaa" and (found := _mbr(disk, first)):
            return "mbr", tuple(found)
    return "none", (Partition(0, 0, disk.capacity, "", whole),)


def content_at(disk: Disk, offset: int, size: int) -> str:
    """Name of what a volume holds, by its first bytes."""
    for place, magic, name in _CONTENTS:
        if place + len(magic) <= size and disk.read(offset + place, len(magic)) == magic:
            return name
    blank = disk.read(offset, min(size, 64 * 1024))
    return "unknown" if any(blank) else "empty"


def _part(disk: Disk, number: int, offset: int, size: int, kind: str) -> Partition:
    try:
        content = content_at(disk, offset, min(size, max(disk.capacity - offset, 0)))
    except ImageError:
        content = "unread"
    return Partition(number, offset, size, kind, content)


def _mbr(disk: Disk, first: bytes) -> list[Partition]:
    """Primary and logical partitions; none if this is no partition table."""
    found: list[Partition] = []
    chains = []
    for status, kind, start, sectors in _entries(first):
        if status not in (0, 0x80):
            return []
        if not kind or not sectors or start * SECTOR >= disk.capacity:
            continue
        if kind in _EXTENDED:
            chains.append(start)
        else:
            found.append(_mbr_part(disk, len(found) + 1, kind, start, sectors))
    for chain in chains:
        found += _logical(disk, chain, len(found))
    return found


def _entries(sector: bytes) -> list[tuple[int, int, int, int]]:
    """Status, type, first sector and sectors of each of the four entries."""
    return [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * number) for number in range(4)]


def _mbr_part(disk: Disk, number: int, kind: int, start: int, sectors: int) -> Partition:
    return _part(disk, number, start * SECTOR, sectors * SECTOR, _KIND_NAMES.get(kind, f"{kind:#04x}"))


def _logical(disk: Disk, chain: int, before: int) -> list[Partition]:
    """Partitions inside an extended one: a list of tables, each naming the next."""
    found: list[Partition] = []
    seen: set[int] = set()
    at = chain
    while at not in seen and at * SECTOR < disk.capacity and len(found) < most("image_partitions"):
        seen.add(at)
        sector = disk.read(at * SECTOR, SECTOR)
        if sector[510:] != b"\x55\xaa":
            break
        (_, kind, start, sectors), (_, link, step, _), *_ = _entries(sector)
        if kind and sectors:
            found.append(_mbr_part(disk, before + len(found) + 1, kind, at + start, sectors))
        if link not in _EXTENDED or not step:
            break
        at = chain + step
    return found


def _gpt(disk: Disk, sector: int) -> list[Partition] | None:
    """Partitions of a GPT, by its first header or the copy at the disk's end; None if there is none."""
    for place in (sector, disk.capacity - sector):
        header = disk.read(place, 92) if place > 0 else b""
        if header[:8] != b"EFI PART":
            continue
        size = struct.unpack_from("<I", header, 12)[0]
        data = disk.read(place, size) if 92 <= size <= sector else b""
        if not data or zlib.crc32(data[:16] + bytes(4) + data[20:]) != struct.unpack_from("<I", data, 16)[0]:
            continue
        table, count, length = struct.unpack_from("<QII", data, 72)
        if count > (allowed := most("image_partitions")):
            problem = f"its partition table has room for {count} entries; allowed are {allowed}"
            raise ImageError(disk.file.path, problem, or_raise("image_partitions", "It is damaged"))
        if 128 <= length <= 4096 and table < 2**52:
            return _gpt_entries(disk, disk.read(table * sector, count * length), length, sector)
    return None


def _gpt_entries(disk: Disk, entries: bytes, length: int, sector: int) -> list[Partition]:
    found = []
    for number in range(len(entries) // length):
        name, first, last = struct.unpack_from("<16s16xQQ", entries, number * length)
        if any(name) and first <= last < 2**52:
            kind = str(uuid.UUID(bytes_le=name))
            offset, size = first * sector, (last - first + 1) * sector
            found.append(_part(disk, number + 1, offset, size, _GPT_NAMES.get(kind, kind)))
    return found
