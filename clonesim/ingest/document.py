"""The bytes of an inventory or a listing: whole, within a limit, as UTF-8 text, and what is known to be neither."""

from __future__ import annotations

import gzip
import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from clonesim.errors import InventoryError
from clonesim.ingest.limits import most, or_raise
from clonesim.units import format_size

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_CHUNK = 2**20
ZIP_FAULTS = (  # of zipfile, for an archive that is damaged, encrypted, or of a kind that it does not know
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError),
    *(NotImplementedError, ValueError, OverflowError),
)
_SPACES = b"\t\n\v\f\r "

# First bytes of what people name by mistake -> what it is, and what to do.
_OTHERS = {
    b"\xd0\xcf\x11\xe0": (
        "is an old .xls workbook or one that a password protects",
        "Open it, save it as .xlsx without a password, or export CSV.",
    ),
    b"QFI\xfb": ("is a qcow2 disk image", "Read it with read_image ('clonesim inspect')."),
    b"KDMV": ("is a VMDK disk image", "Read it with read_image ('clonesim inspect')."),
    b"COWD": ("is a VMDK delta", "Read it with read_image ('clonesim inspect')."),
    b"conectix": ("is a VHD disk image", "Read it with read_image ('clonesim inspect')."),
    b"vhdxfile": ("is a VHDX disk image", "Read it with read_image ('clonesim inspect')."),
    b"\x28\xb5\x2f\xfd": ("is zstd-compressed", "Unpack it first ('zstd -d')."),
    b"BZh": ("is bzip2-compressed", "Unpack it first ('bunzip2')."),
    b"\xfd7zXZ": ("is xz-compressed", "Unpack it first ('unxz')."),
    b"%PDF": ("is a PDF document", "Export CSV or xlsx instead."),
}


def read_bytes(path: str | Path, limit: int | None = None, name: str = "document_bytes") -> bytes:
    """Whole content of a file, gzip unpacked.

    Parameters
    ----------
    path : str or Path
        The file.
    limit : int, optional
        Most bytes, unpacked; by default what the limit of that name allows. [B]
    name : str, default "document_bytes"
        Which limit it is.

    Raises
    ------
    InventoryError
        If it is missing, a folder, unreadable, empty, too large or a damaged gzip file.
    """
    if "\0" in str(path):
        raise InventoryError(repr(str(path)), "a path cannot hold a NUL character", "Check the path.")
    file = Path(path)
    limit = most(name) if limit is None else limit
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise InventoryError(path, "is a pipe or a device, not a file", "Write it to a file first.")
        with file.open("rb") as stream:
            if stream.read(2) == b"\x1f\x8b":
                data = _unpacked(file, limit)
            else:
                stream.seek(0)
                data = stream.read(min(limit, found.st_size) + 1)
    except FileNotFoundError:
        raise InventoryError(path, "there is no such file", "Check the path.") from None
    except IsADirectoryError:
        raise InventoryError(path, "is a folder", "Name one file in it.") from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise InventoryError(path, problem, "Check the path and its permissions.") from None
    if len(data) > limit:
        raise InventoryError(path, f"has more than {format_size(limit)}", or_raise(name, "Split it", limit))
    if not data[:_CHUNK].strip(_SPACES) and not data.strip(_SPACES):
        raise InventoryError(path, "the file is empty", "Export or copy it again.")
    return data


def _unpacked(path: Path, limit: int) -> bytes:
    parts, size = [], 0
    try:
        with gzip.open(path, "rb") as stream:
            while size <= limit and (part := stream.read(_CHUNK)):
                parts.append(part)
                size += len(part)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        remedy = "Copy or download the file again; 'gzip -t' tells whether a copy is whole."
        raise InventoryError(path, f"the gzip file is cut off or damaged ({error})", remedy) from None
    return b"".join(parts)


def as_utf8(path: str | Path, data: bytes, notes: list[str]) -> bytes:
    """Text as UTF-8 without a byte-order mark; UTF-16 (PowerShell) and Windows-1252 are turned into it.

    Raises
    ------
    InventoryError
        If it is a known binary form, or no text at all.
    """
    refuse_others(path, data)
    for mark, code in _BOMS:
        if data.startswith(mark):
            body = data[len(mark) :]
            return body if code == "utf-8" else body.decode(code, "replace").encode()
    if data.startswith(b"PK\x03\x04"):
        problem = "is a workbook or a zip archive, not a listing"
        raise InventoryError(path, problem, "Read an RVTools workbook with read_inventory; unpack an archive first.")
    if b"\0" in data[:4096]:
        problem = "holds binary data that is no known inventory or listing"
        raise InventoryError(path, problem, "Name an xlsx, CSV, JSON or text file.")
    try:
        if not data.isascii():
            data.decode()
    except UnicodeDecodeError:
        notes.append(f"{Path(path).name}: is not UTF-8; read as Windows-1252")
        return data.decode("cp1252", "replace").encode()
    return data


def refuse_others(path: str | Path, data: bytes) -> None:
    """Refuse content that is known to be something else, with what to do."""
    for magic, (problem, remedy) in _OTHERS.items():
        if data.startswith(magic):
            raise InventoryError(path, problem, remedy)
