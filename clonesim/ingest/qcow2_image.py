"""QCOW2 images, by the specification that comes with qemu (docs/interop/qcow2.txt)."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import COPY_AGAIN, ByteFile
from clonesim.ingest.disks import ABSENT, COMPRESSED, ZERO, SparseDisk, check_apart, directory
from clonesim.ingest.vmdk_extents import inflated
from clonesim.units import SECTOR

QCOW = b"QFI\xfb"
_OFFSET = np.uint64(0x00FF_FFFF_FFFF_FE00)
_PACKED = np.uint64(1 << 62)
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _SUBCLUSTERS = (1 << bit for bit in range(5))
_CONVERT = "Convert it first: qemu-img convert -O raw IMAGE disk.raw."


class Qcow2Disk(SparseDisk):
    """A QCOW2 image; a table is an L2 table."""

    def __init__(self, file: ByteFile, capacity: int, cluster: int, places: NDArray[np.int64], zstd: bool) -> None:
        super().__init__(file, "qcow2", capacity, cluster, cluster // 8)
        self.places, self.zstd = places, zstd

    def present_tables(self) -> NDArray[np.int64]:
        """Numbers of the L2 tables that exist."""
        return np.flatnonzero(self.places).astype(np.int64)

    def tables(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the clusters of some L2 tables."""
        rows = [
            self.file.read(place, self.unit, f"L2 table {number}") if place else bytes(self.unit)
            for number, place in zip(numbers.tolist(), self.places[numbers].tolist(), strict=True)
        ]
        entries = np.frombuffer(b"".join(rows), ">u8").astype(np.uint64).reshape(numbers.size, -1)
        offset = (entries & _OFFSET).astype(np.int64)
        found = np.where(offset > 0, offset, ABSENT)
        packed = (entries & _PACKED) != 0
        found[(entries & np.uint64(1) != 0) & ~packed] = ZERO
        found[packed] = (entries[packed] & np.uint64(2**62 - 1)).astype(np.int64) + COMPRESSED
        return found

    def unpacked(self, place: int) -> bytes:
        """Content of a compressed cluster; the place holds its first byte and its number of sectors."""
        bits = 70 - self.unit.bit_length() + 1  # 62 - (cluster_bits - 8)
        first, sectors = place & ((1 << bits) - 1), (place >> bits) + 1
        length = min(sectors * SECTOR - first % SECTOR, max(self.file.size - first, 0))
        packed = self.file.read(first, length or 1, "compressed cluster")
        if self.zstd:
            return _unpacked_zstd(self.file, packed, self.unit, first)
        return inflated(self.file, packed, self.unit, first, -zlib.MAX_WBITS)


def _unpacked_zstd(file: ByteFile, packed: bytes, most: int, place: int) -> bytes:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            return bytes(stream.read(most))
    except (OSError, pa.ArrowException) as error:
        problem = f"a compressed cluster is damaged ({str(error)[:80]})"
        raise ImageError(file.path, problem, COPY_AGAIN, place) from None


def open_qcow2(file: ByteFile) -> Qcow2Disk:
    """Read a QCOW2 image's header and L1 table.

    Raises
    ------
    ImageError
        If it is damaged, encrypted, or uses a feature that is not read.
    """
    head = file.read(0, 72, "QCOW header") + file.head(112)[72:].ljust(40, b"\0")
    version, back_place, back_size, bits, capacity, crypt, entries, place = struct.unpack_from(">IQIIQIIQ", head, 4)
    if version not in (2, 3):
        raise ImageError(file.path, f"is QCOW version {version}; versions 2 and 3 are read", _CONVERT, 4)
    if not 9 <= bits <= 21:
        problem = f"clusters of 2^{bits} B; allowed are 2^9 to 2^21"
        raise ImageError(file.path, problem, f"The header is damaged. {COPY_AGAIN}", 20)
    if crypt:
        problem = f"is encrypted ({ {1: 'AES', 2: 'LUKS'}.get(crypt, f'method {crypt}') })"
        remedy = "Write it out decrypted first: qemu-img convert with its secret."
        raise ImageError(file.path, problem, remedy, 32)
    features = struct.unpack_from(">Q", head, 72)[0] if version == 3 else 0
    _check_features(file, features)
    cluster = 1 << bits
    needed = -(-min(capacity, 2**62) // (cluster * cluster // 8))
    if entries < needed:
        problem = f"its L1 table has {entries} entries, its capacity needs {needed}"
        raise ImageError(file.path, problem, f"The header is damaged. {COPY_AGAIN}", 36)
    places = directory(file, place, needed, ">u8", "L1 table", mask=int(_OFFSET))
    zstd = bool(features & _COMPRESSION) and head[104] == 1
    disk = Qcow2Disk(file, capacity, cluster, places, zstd)
    check_apart(file, places[places > 0], cluster, "L2 tables")
    if back_place and back_size:
        if back_size > 1023:
            raise ImageError(file.path, f"a backing file name of {back_size} B; at most 1,023", COPY_AGAIN, 16)
        disk.parent_name = file.read(back_place, back_size, "backing file name").decode("utf-8", "replace")
        disk.differs = True
    if features & _DIRTY:
        disk.notes.append("The image was not closed cleanly, or is in use: what was written last may be missing.")
    if features & _CORRUPT:
        disk.notes.append("The image is marked corrupt: `qemu-img check` tells more.")
    if snapshots := struct.unpack_from(">I", head, 60)[0]:
        disk.notes.append(f"The image has {snapshots} internal snapshots; its current state is read.")
    return disk


def _check_features(file: ByteFile, features: int) -> None:
    known = _DIRTY | _CORRUPT | _COMPRESSION
    for bit, what in ((_DATA_FILE, "keeps its data in another file"), (_SUBCLUSTERS, "has extended L2 entries")):
        if features & bit:
            raise ImageError(file.path, f"{what}, which is not read", _CONVERT, 72)
    if features & ~known:
        raise ImageError(file.path, f"needs features {features & ~known:#x}, which are not known", _CONVERT, 72)
