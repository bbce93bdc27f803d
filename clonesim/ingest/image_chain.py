"""From a file to its virtual disk: which format it is, by its content, and the parents that it builds on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PureWindowsPath
from types import TracebackType

from clonesim.errors import ImageError
from clonesim.ingest.byte_file import ByteFile
from clonesim.ingest.disks import Disk, FlatDisk
from clonesim.ingest.limits import most, or_raise
from clonesim.ingest.qcow2_image import QCOW, open_qcow2
from clonesim.ingest.vhd_image import is_vhd, open_vhd
from clonesim.ingest.vhdx_image import VHDX, open_vhdx
from clonesim.ingest.vmdk import DESCRIPTOR, open_vmdk
from clonesim.ingest.vmdk_extents import COWD, KDMV, SESPARSE

_RAW = "Convert it first: qemu-img convert -O raw IMAGE disk.raw."
_UNPACK = "Unpack it first."

# Content that is known and not read: place, bytes there, what it is, and what to do.
_OTHERS = (
    (0, b"\x1f\x8b", "is gzip-compressed", _UNPACK),
    (0, b"BZh", "is bzip2-compressed", _UNPACK),
    (0, b"\xfd7zXZ", "is xz-compressed", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "is zstd-compressed", _UNPACK),
    (0, b"PK\x03\x04", "is a zip archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7-zip archive", _UNPACK),
    (0, b"MSCF", "is a cabinet archive", _UNPACK),
    (0, b"MSWIM\0\0\0", "is a WIM archive of files, not a disk", "Apply it to a disk first, and image that."),
    (0, b"QED\0", "is a QED image", _RAW),
    (64, b"\x7f\x10\xda\xbe", "is a VirtualBox VDI image", _RAW),
    (0, b"WithoutFreeSpace", "is a Parallels image", _RAW),
    (0, b"EVF\x09\x0d\x0a\xff\0", "is an EWF (E01) image", "Write it out as raw first, with ewfexport."),
    (0, b"LUKS\xba\xbe", "is encrypted (LUKS)", "Unlock it (cryptsetup open), and image the unlocked device."),
    (0x8001, b"CD001", "is an ISO 9660 image of an optical disc, not of a hard disk", "Name a disk image."),
    (0, b"# Disk Descriptor\n", "is a damaged VMDK descriptor", "Copy it again."),
)


class ImageChain:
    """The files of one disk image, open until the chain is left.

    Attributes
    ----------
    files : list of ByteFile
        All that were opened, in that order.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.files: list[ByteFile] = []

    def __enter__(self) -> ImageChain:
        """Return the chain itself; leaving closes all its files."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def file(self, path: str | Path) -> ByteFile:
        """Open one file."""
        if len(self.files) >= (allowed := most("image_files")):
            told = or_raise("image_files", "The image is damaged")
            raise ImageError(path, f"is the file after {allowed} others of one image", told)
        file = self._stack.enter_context(ByteFile(path))
        self.files.append(file)
        return file

    def disk(self, path: str | Path, base: str | Path | None = None) -> Disk:
        """Open an image with its parents.

        Parameters
        ----------
        path : str or Path
            The image.
        base : str or Path, optional
            Its parent; found by the image's own words if not given. A parent that is not found is no error here: the
            disk then answers only for what it holds itself.

        Raises
        ------
        ImageError
            If an image is damaged, the chain has a loop, or `base` is not the parent.
        """
        disk = top = self._one(path)
        seen = {_key(disk.path)}
        allowed = most("image_parents")
        for _ in range(allowed):
            found = Path(base) if base is not None else _parent_path(disk)
            if found is None:
                return top
            if _key(found) in seen:
                raise ImageError(path, f"its chain of parents comes back to {found.name!r}", "Name the parent: --base.")
            parent = self._one(found)
            _check_parent(disk, parent, base is not None)
            disk.set_parent(parent)
            seen.add(_key(found))
            disk, base = parent, None
        told = or_raise("image_parents", "Consolidate its snapshots, name the base")
        raise ImageError(path, f"has more than {allowed} parents", told)

    def _one(self, path: str | Path) -> Disk:
        file = self.file(path)
        disk = self._opened(file)
        disk.path = file.path
        return disk

    def _opened(self, file: ByteFile) -> Disk:
        head = file.head(64)
        if head.startswith(QCOW):
            return open_qcow2(file)
        if head.startswith((COWD, KDMV, SESPARSE, DESCRIPTOR)):
            return open_vmdk(file, self.file)
        if head.startswith(VHDX):
            return open_vhdx(file)
        for place, magic, what, remedy in _OTHERS:
            if file.size >= place + len(magic) and file.read(place, len(magic)) == magic:
                raise ImageError(file.path, what, remedy)
        return open_vhd(file) if is_vhd(file) else FlatDisk(file, "raw", file.size)


def _key(path: Path) -> str:
    return str(path.absolute().resolve(strict=False))


def _parent_path(disk: Disk) -> Path | None:
    """Return where the parent is: as the image says, or under that name beside the image; None if it is nowhere."""
    name = disk.parent_name
    if not name or "\0" in name:
        return None
    plain = PureWindowsPath(name).name  # takes / and \ for separators
    for path in (disk.path.parent / name, disk.path.parent / plain):
        try:
            if plain and path.is_file():
                return path
        except OSError:  # a name too long for this system
            continue
    return None


def _check_parent(disk: Disk, parent: Disk, named: bool) -> None:
    """Refuse a parent that is not the one that the image was made on."""
    path, base = disk.path, parent.path
    if not disk.parent_name and not disk.parent_identity and not getattr(disk, "differs", False):
        raise ImageError(path, f"has no parent, so {base.name!r} cannot be its base", "Leave base (--base) out.")
    same_kind = bool(parent.identity) and len(parent.identity) == len(disk.parent_identity)
    if same_kind and parent.identity != disk.parent_identity:
        problem = f"was made on a parent with the mark {disk.parent_identity}; {base.name!r} has {parent.identity}"
        remedy = "Name its true parent" + (" with base= (--base)." if not named else ".")
        raise ImageError(path, problem, f"{remedy} A base that was written to after the snapshot no longer fits.")
