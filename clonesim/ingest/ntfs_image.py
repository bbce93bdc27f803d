"""An NTFS volume on a disk: its geometry, its $Bitmap, and where its $MFT lies.

Layout by the documentation of the Linux NTFS project. Nothing is followed further than the records say, and every
length is checked against what holds it, so that a damaged volume ends in an error.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.ingest import limits
from clonesim.ingest.byte_file import COPY_AGAIN
from clonesim.ingest.disks import Disk
from clonesim.ingest.ntfs_state import Ntfs
from clonesim.units import MIB

_MFT, _VOLUME, _BITMAP = 0, 3, 6  # records
_LIST, _INFORMATION, _DATA, _END = 0x20, 0x70, 0x80, 0xFFFF_FFFF  # attributes
_CHECK = "Run chkdsk in the guest, or copy the image again."


class _Boot(NamedTuple):
    sector: int  # [B]
    cluster: int  # [B]
    clusters: int
    record: int  # [B]
    mft: int  # cluster
    size: int  # of the volume [B]


class _Attribute(NamedTuple):
    resident: bytes | None
    runs: list[tuple[int, int]]  # first cluster (-1: a hole) and clusters
    first: int  # cluster of the attribute that the runs begin with
    size: int  # [B]


def read_ntfs(disk: Disk, offset: int, size: int) -> Ntfs:
    """Read an NTFS volume's state.

    Parameters
    ----------
    disk : Disk
        The disk, with its parents.
    offset, size : int
        Where the volume begins and how much room it has. [B]

    Raises
    ------
    ImageError
        If the volume is damaged, or the image does not hold what is needed.
    """
    return _Reader(disk, offset).state(size)


class _Reader:
    def __init__(self, disk: Disk, offset: int) -> None:
        self.disk, self.offset = disk, offset
        self.boot = self._boot(disk.read(offset, 512))
        self.mft_runs = [(self.boot.mft, -(-16 * self.boot.record // self.boot.cluster))]  # enough for a start

    def state(self, room: int) -> Ntfs:
        boot = self.boot
        notes = []
        if boot.size > room:
            notes.append(
                f"The volume is {boot.size} B long, {boot.size - room} B more than its partition or image holds."
            )
        mft = self._attribute(_MFT, _DATA)
        self.mft_runs = mft.runs
        bits = self._bitmap()
        major, minor, flags = self._version()
        if flags & 1:
            notes.append("The volume is marked dirty: it was not shut down cleanly, and $Bitmap may lag behind.")
        runs = np.array([run for run in mft.runs if run[0] >= 0], np.int64).reshape(-1, 2)
        return Ntfs(
            offset=self.offset,
            size=boot.size,
            sector_size=boot.sector,
            cluster_size=boot.cluster,
            clusters=boot.clusters,
            record_size=boot.record,
            mft_bytes=mft.size,
            mft_runs=runs,
            version=f"{major}.{minor}",
            dirty=bool(flags & 1),
            bits=bits,
            notes=tuple(notes),
        )

    def _fail(self, problem: str, place: int | None = None, remedy: str = _CHECK) -> ImageError:
        at = self.offset if place is None else place
        return ImageError(self.disk.file.path, f"the NTFS volume at byte {self.offset}: {problem}", remedy, at)

    def _boot(self, data: bytes) -> _Boot:
        sector, per_cluster = struct.unpack_from("<HB", data, 11)
        sectors, mft, _, record = struct.unpack_from("<QQQb", data, 40)
        clusters_of = per_cluster if per_cluster <= 128 else 1 << min(256 - per_cluster, 30)
        cluster = sector * clusters_of
        if sector not in (512, 1024, 2048, 4096) or not 512 <= cluster <= 2 * MIB or cluster & (cluster - 1):
            raise self._fail(f"its boot sector says sectors of {sector} B and clusters of {cluster} B")
        record_size = record * cluster if record > 0 else 1 << min(-record, 30)
        if record_size not in (512, 1024, 2048, 4096):
            raise self._fail(f"its boot sector says MFT records of {record_size} B")
        clusters = sectors // clusters_of
        allowed = limits.most("bitmap_bytes")
        if not 0 < clusters <= 8 * allowed:
            problem = f"its boot sector says {clusters} clusters; allowed are 1 to {8 * allowed}"
            raise self._fail(problem, remedy=limits.or_raise("bitmap_bytes", _CHECK[:-1]) if clusters else _CHECK)
        if mft >= clusters:
            raise self._fail(f"its boot sector puts the MFT at cluster {mft}, behind the last one ({clusters - 1})")
        return _Boot(sector, cluster, clusters, record_size, mft, sectors * sector)

    def _bitmap(self) -> NDArray[np.uint8]:
        """$Bitmap, with the bits behind the last cluster cleared."""
        found = self._attribute(_BITMAP, _DATA)
        needed = -(-self.boot.clusters // 8)
        allowed = limits.most("bitmap_bytes")
        if not needed <= found.size <= allowed:
            problem = f"its $Bitmap has {found.size} B; {self.boot.clusters} clusters need {needed}"
            told = limits.or_raise("bitmap_bytes", _CHECK[:-1])
            raise self._fail(f"{problem}, and at most {allowed} are read", remedy=told)
        bits = np.frombuffer(self._content(found, needed), np.uint8).copy()
        if self.boot.clusters % 8:
            bits[-1] &= (1 << self.boot.clusters % 8) - 1
        return bits

    def _version(self) -> tuple[int, int, int]:
        data = self._attribute(_VOLUME, _INFORMATION).resident or b""
        return struct.unpack_from("<BBH", data, 8) if len(data) >= 12 else (0, 0, 0)

    def _attribute(self, number: int, kind: int) -> _Attribute:
        """Read the unnamed attribute of a kind, wherever its parts lie."""
        record = self._record(number)
        own = self._in_record(record, kind)
        parts = [own] if own else []
        listed = self._in_record(record, _LIST)
        if listed is not None:
            if number == _MFT and own:
                self.mft_runs = own.runs
            if listed.size > (allowed := limits.most("run_list_bytes")):
                problem = f"MFT record {number} has a list of {listed.size} B; allowed are {allowed}"
                raise self._fail(problem, remedy=limits.or_raise("run_list_bytes", _CHECK[:-1]))
            data = self._content(listed, listed.size)
            parts += self._listed(data, number, kind)
        if not parts:
            raise self._fail(f"MFT record {number} has no attribute {kind:#x}")
        parts.sort(key=lambda part: part.first)
        runs: list[tuple[int, int]] = []
        covered = 0
        for part in parts:
            if part.first != covered:
                raise self._fail(f"MFT record {number}: its runs go from cluster {covered} to {part.first}")
            runs += part.runs
            covered += sum(length for _, length in part.runs)
        return parts[0]._replace(runs=runs)

    def _listed(self, data: bytes, number: int, kind: int) -> list[_Attribute]:
        """Parts of an attribute that the list puts into other records."""
        found, at, seen = [], 0, {number}
        while at + 26 <= len(data):
            entry, length, name, first, reference = struct.unpack_from("<IHBxQQ", data, at)
            other = reference & 0xFFFF_FFFF_FFFF
            if length < 26:
                break
            at += length
            if entry != kind or name or other in seen:
                continue
            seen.add(other)
            part = self._in_record(self._record(other), kind)
            if part is None or part.first != first:
                raise self._fail(f"MFT record {other} lacks the part of attribute {kind:#x} that begins at {first}")
            found.append(part)
            if number == _MFT:
                self.mft_runs = self.mft_runs + part.runs
        return found

    def _record(self, number: int) -> bytes:
        """Read one MFT record, its fix-ups undone."""
        size = self.boot.record
        data = bytearray(self._of_runs(self.mft_runs, number * size, size, f"MFT record {number}"))
        if data[:4] != b"FILE":
            raise self._fail(f"MFT record {number} begins with {bytes(data[:4])!r}, not b'FILE'")
        place, count = struct.unpack_from("<HH", data, 4)
        stride = size // (count - 1) if count > 1 else 0
        if count < 2 or stride < 256 or stride * (count - 1) != size or place + 2 * count > size:
            raise self._fail(f"MFT record {number} has a bad fix-up list")
        for step in range(1, count):
            end = step * stride
            if data[end - 2 : end] != data[place : place + 2]:
                raise self._fail(f"MFT record {number} was written only in part (its fix-ups differ)")
            data[end - 2 : end] = data[place + 2 * step : place + 2 * step + 2]
        return bytes(data)

    def _in_record(self, record: bytes, kind: int) -> _Attribute | None:
        """Find the unnamed attribute of a kind in one record."""
        at = struct.unpack_from("<H", record, 20)[0]
        while at + 24 <= len(record):
            found, length, away, name = struct.unpack_from("<IIBB", record, at)
            if found == _END:
                break
            if length < 24 or at + length > len(record):
                raise self._fail("an attribute goes past the end of its MFT record")
            if found == kind and not name:
                return self._parsed(record[at : at + length], away != 0)
            at += length
        return None

    def _parsed(self, data: bytes, away: bool) -> _Attribute:
        if not away:
            size, place = struct.unpack_from("<IH", data, 16)
            if place + size > len(data):
                raise self._fail("a resident attribute goes past its own end")
            return _Attribute(data[place : place + size], [], 0, size)
        if len(data) < 64:
            raise self._fail("a non-resident attribute is shorter than its header")
        first, _, place = struct.unpack_from("<QQH", data, 16)
        size = struct.unpack_from("<Q", data, 48)[0] if first == 0 else 0
        return _Attribute(None, self._runs(data, place), first, size)

    def _runs(self, data: bytes, at: int) -> list[tuple[int, int]]:
        """Runs of a run list; it cannot be longer than the attribute that holds it."""
        runs: list[tuple[int, int]] = []
        cluster = total = 0
        while at < len(data) and data[at]:
            wide, far = data[at] & 15, data[at] >> 4
            if not 1 <= wide <= 8 or far > 8 or at + 1 + wide + far > len(data):
                raise self._fail("a run list is damaged")
            length = int.from_bytes(data[at + 1 : at + 1 + wide], "little")
            step = int.from_bytes(data[at + 1 + wide : at + 1 + wide + far], "little", signed=True)
            cluster += step
            total += length
            if (
                not length
                or total > self.boot.clusters
                or not 0 <= cluster <= self.boot.clusters - (length if far else 0)
            ):
                raise self._fail("a run list names clusters that the volume does not have")
            runs.append((cluster if far else -1, length))
            at += 1 + wide + far
        return runs

    def _content(self, attribute: _Attribute, length: int) -> bytes:
        if attribute.resident is not None:
            return attribute.resident[:length]
        return self._of_runs(attribute.runs, 0, length, "$Bitmap")

    def _of_runs(self, runs: list[tuple[int, int]], start: int, length: int, what: str) -> bytes:
        """Bytes of an attribute, from `start` on."""
        found, at, end = [], 0, start + length
        for first, clusters in runs:
            size = clusters * self.boot.cluster
            low, high = max(start, at), min(end, at + size)
            if low < high:
                place = self.offset + first * self.boot.cluster + low - at
                if first >= 0 and place + high - low > self.disk.capacity:
                    problem = f"its {what} lies behind the end of the disk: the image holds only a part of the volume"
                    raise ImageError(self.disk.file.path, problem, COPY_AGAIN, place)
                found.append(self.disk.read(place, high - low) if first >= 0 else bytes(high - low))
            at += size
        data = b"".join(found)
        if len(data) < length:
            raise self._fail(f"its {what} is shorter than it says")
        return data
