"""A file of which parts are read by their offset; a part that is not there is a clear answer."""

from __future__ import annotations

import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from clonesim.errors import ImageError

MOST_BYTES = 2**62  # no disk image is longer, and sums of two such numbers still fit 64 bits
COPY_AGAIN = "Copy it again, whole; a running machine's disk changes under the copy, so copy a snapshot of it."


class ByteFile:
    """One file of a disk image, open for reading.

    Parameters
    ----------
    path : str or Path
        A plain file, or a block device.

    Attributes
    ----------
    path : Path
        The file.
    size : int
        Its length. [B]

    Raises
    ------
    ImageError
        If it is missing, a folder, a pipe, unreadable or empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if "\0" in str(path):
            raise ImageError(repr(str(path)), "a path cannot hold a NUL character", "Check the path.")
        try:
            mode = self.path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise ImageError(path, "is a folder, not a disk image", "Name one file in it.")
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise ImageError(path, "is a pipe, socket or character device, not a disk image", "Name a file.")
            self._file: BinaryIO = self.path.open("rb", buffering=0)
            self.size = self._file.seek(0, 2)
        except FileNotFoundError:
            raise ImageError(path, "there is no such file", "Check the path.") from None
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise ImageError(path, problem, "Check the path and its permissions.") from None
        if not self.size:
            self.close()
            raise ImageError(path, "the file is empty", "Copy the disk image again.")

    def __enter__(self) -> ByteFile:
        """Return the file itself; leaving closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, length: int, what: str = "data", pad: bool = False) -> bytes:
        """Exactly `length` bytes.

        Parameters
        ----------
        offset, length : int
            Which bytes. [B]
        what : str
            What they are, for the message.
        pad : bool, default False
            Fill with zeros what lies behind the end of the file, if the first byte does not.

        Raises
        ------
        ImageError
            If the file is too short, or the disk that holds it cannot be read.
        """
        if offset < 0 or length < 0 or offset + (min(length, 1) if pad else length) > self.size:
            problem = (
                f"the {what} ({length} B) lie behind the end of the file ({self.size} B): it is cut off or damaged"
            )
            raise ImageError(self.path, problem, COPY_AGAIN, offset)
        parts: list[bytes] = []
        need = min(length, self.size - offset)
        try:
            self._file.seek(offset)
            while need and (part := self._file.read(need)):
                parts.append(part)
                need -= len(part)
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise ImageError(self.path, problem, "Check the disk that holds it.", offset) from None
        if need:
            raise ImageError(self.path, f"became shorter while its {what} were read", COPY_AGAIN, offset)
        return b"".join(parts).ljust(length, b"\0")

    def head(self, length: int) -> bytes:
        """First bytes, fewer if the file is shorter."""
        return self.read(0, min(length, self.size))
