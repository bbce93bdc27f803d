"""Disk images: what the guest file system on a base image looks like, and what a delta holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ImageError
from clonesim.files import write_whole
from clonesim.ingest.disks import Disk
from clonesim.ingest.image_chain import ImageChain
from clonesim.ingest.limits import most, or_raise
from clonesim.ingest.ntfs_image import read_ntfs
from clonesim.ingest.ntfs_state import Ntfs
from clonesim.ingest.partitions import Partition, read_partitions
from clonesim.units import GIB, MIB

IMAGE_FORMATS = (
    *("raw", "vmdk-flat", "vmdk-hosted", "vmdk-stream", "vmfs-sparse", "se-sparse"),
    *("qcow2", "vhd-fixed", "vhd", "vhdx"),
)
_WHY_NOT = {
    "bitlocker": "is encrypted by BitLocker: image the unlocked volume, or decrypt it (manage-bde -off)",
    "luks": "is encrypted (LUKS): unlock it (cryptsetup open), and image the unlocked device",
    "lvm": "is an LVM physical volume: activate it, and image the logical volume",
    "refs": "is ReFS, whose allocation is not read",
    "empty": "is empty",
    "unknown": "holds no file system that is known (an encrypted one looks like this too)",
    "unread": "is not in the image: name the base of this delta with base= (--base)",
}
_NAME_IT = "Only what the image holds itself is known: name the parent with base= (--base)."
_NO_NTFS = "Only NTFS volumes are read."


@dataclass(frozen=True)
class Image:
    """What `read_image` found.

    Attributes
    ----------
    path : Path
        The file.
    format : str
        One of `IMAGE_FORMATS`; the names of delta formats are the catalog's.
    capacity : int
        Size of the virtual disk. [B]
    file_bytes : int
        Length of the image's own files, without its parents. [B]
    grain : int
        Unit of the format, 0 for a flat one. [B]
    grains : (n, 2) int64 array
        Ranges of the disk that the image itself holds, in order: first byte and end. [B]
    parent : str
        What the image calls its parent; empty if it has none.
    chain : tuple of Path
        The image and the parents that were found, in this order.
    table : str
        Partition table: gpt, mbr, none; or unread.
    partitions : tuple of Partition
        What lies on the disk.
    volumes : tuple of Ntfs
        NTFS volumes that could be read, in the disk's order.
    ntfs : Ntfs or None
        The largest of them, or the one asked for.
    notes : tuple of str
        What a reader should know: what could not be read, and why.
    """

    path: Path
    format: str
    capacity: int
    file_bytes: int
    grain: int
    grains: NDArray[np.int64]
    parent: str
    chain: tuple[Path, ...]
    table: str
    partitions: tuple[Partition, ...]
    volumes: tuple[Ntfs, ...]
    ntfs: Ntfs | None
    notes: tuple[str, ...]

    @property
    def held_bytes(self) -> int:
        """What the image itself holds of the disk. [B]"""
        return int((self.grains[:, 1] - self.grains[:, 0]).sum())

    @property
    def is_delta(self) -> bool:
        """Whether the image builds on a parent."""
        return bool(self.parent) or len(self.chain) > 1

    @property
    def volume(self) -> Ntfs:
        """The NTFS volume.

        Raises
        ------
        ImageError
            If there is none that can be read; the message says why.
        """
        if self.ntfs is None:
            raise ImageError(self.path, " ".join(self.notes).rstrip(".") or "has no NTFS volume", _NO_NTFS)
        return self.ntfs

    @property
    def bitmap(self) -> NDArray[np.bool_]:
        """Which clusters of the NTFS volume are in use. (clusters,) bool array."""
        return self.volume.bitmap

    def save_bitmap(self, path: str | Path) -> Path:
        """Write a copy of $Bitmap, as a scenario's guest.start.bitmap takes it; bits behind the end are cleared."""
        bits = self.volume.bits
        target = Path(path)
        if target.absolute() in {file.absolute() for file in self.chain}:
            raise ImageError(path, "is the image itself, and would be overwritten", "Name another file.")
        return write_whole(target, lambda part: part.write_bytes(bits.tobytes()))


class Reclaimable(NamedTuple):
    """How much of what a delta holds the guest no longer needs.

    Attributes
    ----------
    held_bytes : int
        Ranges of the disk that the delta holds. [B]
    free_bytes : int
        Of these, what is free space in the guest. [B]
    grain_bytes : int
        Of these, whole grains: what a discard of all free space could release. [B]
    """

    held_bytes: int
    free_bytes: int
    grain_bytes: int

    def __str__(self) -> str:
        """Return the sentence that tells it."""
        size, unit = (GIB, "GiB") if self.held_bytes >= GIB // 10 else (MIB, "MiB")
        held, free = (f"{part / size:.1f} {unit}" for part in self[:2])
        return f"delta {held}, of which {free} is free space in the guest"


def read_image(path: str | Path, base: str | Path | None = None, partition: int | None = None) -> Image:
    """Read a disk image: raw, VMDK (flat, hosted, stream, COWD, SEsparse), QCOW2, VHD or VHDX, by its content.

    Parameters
    ----------
    path : str or Path
        The image. A VMDK is named by its descriptor; an ESXi delta's own file works too, with `base`.
    base : str or Path, optional
        Its parent. By default the one that the image names, if it is there or lies beside the image.
    partition : int, optional
        Which partition's NTFS volume is `ntfs`; by default the largest volume.

    Returns
    -------
    Image
        Without an NTFS volume, `ntfs` is None and `notes` say why.

    Raises
    ------
    ImageError
        If the file is no disk image, or is damaged, cut off, encrypted or in use.

    Notes
    -----
    The image is only read. A disk in use changes under the reader: use a copy, a frozen snapshot, or a machine that is
    off.
    """
    with ImageChain() as chain:
        disk = chain.disk(path, base)
        grains = disk.grains
        notes = list(disk.notes)
        if disk.parent_name and disk.parent is None:
            notes.append(f"Its parent {disk.parent_name!r} was not found. {_NAME_IT}")
        table, partitions = _partitions(disk, notes)
        if disk.format == "raw" and table == "none" and partitions[0].content == "unknown":
            problem = "is no disk image that is known, and no raw disk with a partition table or a file system"
            remedy = "Read are raw, VMDK, QCOW2, VHD and VHDX; an encrypted disk cannot be told from random data."
            raise ImageError(path, problem, remedy)
        volumes, found = _volumes(disk, partitions, notes)
        parents = _parents(disk)
        own = {part.file.path: part.file.size for part in (disk, *getattr(disk, "parts", ()))}
        return Image(
            path=Path(path),
            format=disk.format,
            capacity=disk.capacity,
            file_bytes=sum(own.values()),
            grain=disk.grain,
            grains=grains,
            parent=disk.parent_name,
            chain=(Path(path), *(parent.path for parent in parents)),
            table=table,
            partitions=partitions,
            volumes=tuple(volumes),
            ntfs=_chosen(Path(path), partition, partitions, found, volumes, notes),
            notes=tuple(notes),
        )


def reclaimable(delta: str | Path | Image, base: str | Path | None = None, partition: int | None = None) -> Reclaimable:
    """Tell how much of a delta is free space in the guest.

    Parameters
    ----------
    delta : str, Path or Image
        The delta or overlay: a file, or what `read_image` found in it.
    base : str or Path, optional
        Its parent, if the delta does not name one that is there.
    partition : int, optional
        Count the free space of this partition only; by default of all NTFS volumes.

    Raises
    ------
    ImageError
        If the delta or its base cannot be read, or there is no NTFS volume.
    """
    image = delta if isinstance(delta, Image) and base is None else None
    if image is None:
        image = read_image(delta.path if isinstance(delta, Image) else delta, base, partition)
    image.volume  # noqa: B018 (says why there is none)
    volumes = image.volumes if partition is None else (image.volume,)
    free = np.concatenate([volume.free_ranges() for volume in volumes])
    free = free[np.argsort(free[:, 0])]
    whole = free
    if image.grain:
        whole = np.column_stack([-(-free[:, 0] // image.grain), free[:, 1] // image.grain]) * image.grain
        whole = whole[whole[:, 0] < whole[:, 1]]
    return Reclaimable(image.held_bytes, common_bytes(image.grains, free), common_bytes(image.grains, whole))


def common_bytes(ranges: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    """How many bytes two lists of ranges share; each list is in order and without overlaps."""
    if not len(ranges) or not len(others):
        return 0
    before = np.concatenate([[0], np.cumsum(others[:, 1] - others[:, 0])])

    def up_to(byte: NDArray[np.int64]) -> NDArray[np.int64]:
        number = np.searchsorted(others[:, 0], byte, side="right")
        last = np.maximum(number - 1, 0)
        inside = np.minimum(byte, others[last, 1]) - others[last, 0]
        return np.where(number > 0, before[last] + inside, 0)

    return int((up_to(ranges[:, 1]) - up_to(ranges[:, 0])).sum())


def _partitions(disk: Disk, notes: list[str]) -> tuple[str, tuple[Partition, ...]]:
    try:
        return read_partitions(disk)
    except ImageError as error:
        if not disk.parent_name or disk.parent is not None:  # else that has been said
            notes.append(f"The partition table cannot be read: {error.problem}. {error.remedy}")
        return "unread", ()


def _volumes(disk: Disk, partitions: tuple[Partition, ...], notes: list[str]) -> tuple[list[Ntfs], dict[int, Ntfs]]:
    """NTFS volumes that can be read, and by the partition's number."""
    found: dict[int, Ntfs] = {}
    for part in partitions:
        name = f"Partition {part.number}" if part.number else "The disk"
        if part.content == "ntfs" and len(found) == (allowed := most("image_volumes")):
            told = or_raise("image_volumes", "Name a partition")
            notes.append(f"{name} and what follows was left out: {allowed} NTFS volumes are read. {told}")
            break
        if part.content == "ntfs":
            try:
                found[part.number] = read_ntfs(disk, part.offset, min(part.size, disk.capacity - part.offset))
                notes += found[part.number].notes
            except ImageError as error:
                notes.append(f"{name} cannot be read: {error.problem}. {error.remedy}")
        elif part.content in _WHY_NOT:
            notes.append(f"{name} {_WHY_NOT[part.content]}.")
    if not found and not notes:
        contents = ", ".join(sorted({part.content for part in partitions})) or "no partition"
        notes.append(f"There is no NTFS volume: {contents}.")
    return list(found.values()), found


def _chosen(
    path: Path,
    partition: int | None,
    partitions: tuple[Partition, ...],
    found: dict[int, Ntfs],
    volumes: list[Ntfs],
    notes: list[str],
) -> Ntfs | None:
    if partition is None:
        return max(volumes, key=lambda volume: volume.clusters * volume.cluster_size, default=None)
    numbers = [part.number for part in partitions]
    if partition not in numbers:
        allowed = ", ".join(map(str, numbers)) or "none"
        raise ImageError(path, f"has no partition {partition}; its partitions are {allowed}", "Name one of them.")
    if partition not in found:
        content = next(part.content for part in partitions if part.number == partition)
        why = [note for note in notes if note.startswith((f"Partition {partition} ", "The disk "))]
        problem = " ".join(why).rstrip(".") or f"partition {partition} holds {content}"
        raise ImageError(path, problem, _NO_NTFS)
    return found[partition]


def _parents(disk: Disk) -> list[Disk]:
    found = []
    while disk.parent is not None:
        disk = disk.parent
        found.append(disk)
    return found
