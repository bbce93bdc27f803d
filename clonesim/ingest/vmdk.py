"""VMDK: the descriptor, and the extents that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import COPY_AGAIN, ByteFile
from clonesim.ingest.disks import Disk, FlatDisk, JoinedDisk, SparseDisk
from clonesim.ingest.limits import VARIABLE, most, or_raise
from clonesim.ingest.vmdk_extents import COWD, KDMV, SESPARSE, hosted_text, open_cowd, open_hosted, open_sesparse
from clonesim.units import MIB, SECTOR

DESCRIPTOR = b"# Disk DescriptorFile"
_EXTENT = re.compile(r'(RW|RDONLY|NOACCESS)\s+([0-9]{1,18})\s+([A-Z0-9]+)(?:\s+"([^"]*)"(?:\s+([0-9]{1,18}))?)?.*')
_VALUE = re.compile(r'([A-Za-z]+)\s*=\s*"?([^"]*)"?\s*')
_NO_PARENT = "ffffffff"
_FLAT, _SPARSE = {"FLAT", "VMFS"}, {"SPARSE", "VMFSSPARSE", "SESPARSE"}
_ELSEWHERE = {"VMFSRDM", "VMFSRAW", "VMFSRDMP", "VMFSPASSTHROUGHRAWDEVICEMAP"}
_OPENERS: dict[bytes, Callable[[ByteFile], SparseDisk]] = {COWD: open_cowd, KDMV: open_hosted, SESPARSE: open_sesparse}


@dataclass(frozen=True, slots=True)
class _Descriptor:
    values: dict[str, str]
    extents: tuple[tuple[int, str, str, int], ...]  # bytes, kind, file, offset [B]


def open_vmdk(file: ByteFile, beside: Callable[[Path], ByteFile]) -> Disk:
    """Read a VMDK: a descriptor, or an extent by itself.

    Parameters
    ----------
    file : ByteFile
        The descriptor, or a hosted, COWD or SEsparse extent.
    beside : callable
        Opens another file of the image.

    Raises
    ------
    ImageError
        If it is damaged, or a file that it names is missing.
    """
    if file.head(len(DESCRIPTOR)) == DESCRIPTOR:
        return _from_text(file, _parsed(file, file.head(MIB)), beside)
    disk = open_extent(file)
    text = hosted_text(file) if file.head(4) == KDMV else b""
    if text.lstrip().startswith(b"# "):
        _relate(disk, _parsed(file, text))
    elif disk.format in ("vmfs-sparse", "se-sparse"):  # an ESXi delta's file: what it adds to stands in its descriptor
        disk.differs = True
        disk.notes.append(
            "This is a delta's own file: its parent is named by the descriptor (the .vmdk without -delta)."
        )
    return disk


def open_extent(file: ByteFile) -> SparseDisk:
    """Open a sparse extent by its first bytes.

    Raises
    ------
    ImageError
        If it is none.
    """
    head = file.head(8)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return opener(file)
    problem = f"begins with {head[:4]!r}: no sparse extent of a VMDK (COWD, KDMV or SEsparse)"
    raise ImageError(file.path, problem, COPY_AGAIN)


def _parsed(file: ByteFile, text: bytes) -> _Descriptor:
    values: dict[str, str] = {}
    extents: list[tuple[int, str, str, int]] = []
    allowed = most("image_extents")
    for raw in text.split(b"\0", 1)[0].decode("utf-8", "replace").splitlines():
        line = raw.strip()
        if hit := _EXTENT.fullmatch(line):
            offset = int(hit[5] or 0) * SECTOR
            extents.append((int(hit[2]) * SECTOR, hit[3], hit[4] or "", offset))
            if len(extents) > allowed:
                told = or_raise("image_extents", "The descriptor is damaged")
                raise ImageError(file.path, f"names more than {allowed} extents", told)
        elif hit := _VALUE.fullmatch(line):
            values.setdefault(hit[1].lower(), hit[2].strip())
    return _Descriptor(values, tuple(extents))


def _relate(disk: Disk, descriptor: _Descriptor) -> None:
    """Put down what the descriptor says of the disk's identity and parent."""
    values = descriptor.values
    disk.identity = values.get("cid", "").lower().zfill(8)
    parent = values.get("parentcid", _NO_PARENT).lower().zfill(8)
    if parent == _NO_PARENT:
        return
    disk.parent_identity, disk.parent_name = parent, values.get("parentfilenamehint", "")
    for part in (disk, *getattr(disk, "parts", ())):
        if isinstance(part, SparseDisk):
            part.differs, part.parent_name = True, disk.parent_name


def _from_text(file: ByteFile, descriptor: _Descriptor, beside: Callable[[Path], ByteFile]) -> Disk:
    if not descriptor.extents:
        problem = "is a VMDK descriptor that names no extent"
        raise ImageError(
            file.path, problem, f"An extent is a line such as 'RW 2048 VMFS \"disk-flat.vmdk\"'. {COPY_AGAIN}"
        )
    parts = [_extent(file, *extent, beside) for extent in descriptor.extents]
    disk = parts[0] if len(parts) == 1 else JoinedDisk(parts)
    _relate(disk, descriptor)
    return disk


def _inside(name: str) -> bool:
    """Whether a name leads to a file in its folder or below, by its letters: links are the user's own."""
    plain = Path(os.path.normpath(name))
    return "\0" not in name and not plain.is_absolute() and plain.parts[:1] != ("..",)


def _extent(file: ByteFile, size: int, kind: str, name: str, offset: int, beside: Callable[[Path], ByteFile]) -> Disk:
    if kind == "ZERO":
        return FlatDisk(file, "vmdk-flat", size, zeros=True)
    if kind in _ELSEWHERE:
        problem = f"is a raw device mapping ({kind}): the disk is a LUN of the array, not a file"
        raise ImageError(file.path, problem, "Name the device, or an image of it.")
    if kind not in _FLAT | _SPARSE or not name:
        problem = f"names an extent of type {kind} and file {name!r}"
        allowed = ", ".join(sorted({*_FLAT, *_SPARSE, "ZERO"}))
        raise ImageError(file.path, f"{problem}; types that are read: {allowed}", COPY_AGAIN)
    if not _inside(name):
        problem = f"its extent {name!r} would lie outside its folder"
        raise ImageError(file.path, problem, "Copy all files of the disk into one folder, and name them so in it.")
    try:
        extent = beside(file.path.parent / name)
    except ImageError as error:
        if VARIABLE in error.remedy:  # a limit, which is no matter of this file
            raise
        problem = f"its extent {name!r} cannot be used: {error.problem}"
        raise ImageError(file.path, problem, "Copy all files of the disk into one folder.") from None
    if kind in _FLAT:
        return FlatDisk(extent, "vmdk-flat", size, offset)
    disk = open_extent(extent)
    if size < disk.capacity:
        disk.capacity = size
    return disk
