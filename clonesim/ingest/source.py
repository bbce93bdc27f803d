"""The bytes of an input file: plain or gzip by content, in chunks that end at a line or a record."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from clonesim.errors import TraceError
from clonesim.ingest.limits import most, or_raise
from clonesim.units import format_size

CHUNK_BYTES = 2 * 2**20
HEAD_BYTES = 64 * 2**10
_GZIP = b"\x1f\x8b"
_TEXT_BOM = b"\xef\xbb\xbf"
_GZIP_REMEDY = "Copy or download the file again; 'gzip -t' tells whether a copy is whole."


def _first_line(data: bytes) -> int:
    """Length of the first line, without its end. [B]"""
    end = data.find(b"\n")
    end = data.find(b"\r") if end < 0 else end
    return len(data) if end < 0 else end


class Source:
    """One input file, read from its start as often as needed.

    Parameters
    ----------
    path : str or Path
        A plain file, or a gzip file, whatever its name.

    Attributes
    ----------
    path : Path
        The file.
    gzipped : bool
        Whether the content is gzip, by its first two bytes.

    Raises
    ------
    TraceError
        If the file is missing, a folder, unreadable or empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if "\0" in str(path):
            raise TraceError(repr(str(path)), "a path cannot hold a NUL character", "Check the path.")
        if self.path.is_dir():
            raise TraceError(path, "is a folder, not a trace", "Name one file in it.")
        try:
            with self.path.open("rb") as file:
                magic = file.read(2)
        except FileNotFoundError:
            raise TraceError(path, "there is no such file", "Check the path.") from None
        except OSError as error:
            raise TraceError(path, f"cannot be read: {error.strerror}", "Check the path and its permissions.") from None
        if not magic:
            raise TraceError(path, "the file is empty", "Record or copy the trace again.")
        self.gzipped = magic == _GZIP

    def head(self) -> bytes:
        """First bytes of the content, without a byte-order mark; at most 64 KiB."""
        with self._open() as file:
            return self._read(file, HEAD_BYTES).removeprefix(_TEXT_BOM)

    def lines(self) -> Iterator[bytes]:
        """Content in chunks of about 2 MiB that end at the end of a line, without a byte-order mark."""
        rest, longest, left = b"", most("trace_line_bytes"), most("trace_bytes")
        with self._open() as file:
            data = self._read(file, CHUNK_BYTES).removeprefix(_TEXT_BOM)
            while data:
                left = self._count(left, data)
                data = rest + data
                cut = data.rfind(b"\n") + 1 or data.rfind(b"\r") + 1
                if _first_line(data) >= longest:
                    problem = f"holds a line of more than {format_size(longest)}, so it is not text"
                    raise TraceError(self.path, problem, or_raise("trace_line_bytes", "Name a trace file"))
                if cut:
                    yield data[:cut]
                rest = data[cut:]
                data = self._read(file, CHUNK_BYTES)
        if rest:
            yield rest

    def records(self, size: int) -> Iterator[bytes]:
        """Content in chunks of whole records of `size` bytes; a part of a record at the end comes alone."""
        whole, left = CHUNK_BYTES - CHUNK_BYTES % size, most("trace_bytes")
        with self._open() as file:
            while data := self._read(file, whole):
                left = self._count(left, data)
                cut = len(data) - len(data) % size
                if cut:
                    yield data[:cut]
                if cut < len(data):
                    yield data[cut:]

    def _count(self, left: int, data: bytes) -> int:
        """Bytes that may still come."""
        if len(data) > left:
            problem = f"has more than {format_size(most('trace_bytes'))}, unpacked"
            raise TraceError(self.path, problem, or_raise("trace_bytes", "Cut the trace"))
        return left - len(data)

    def _open(self) -> IO[bytes]:
        try:
            return cast(IO[bytes], gzip.open(self.path, "rb")) if self.gzipped else self.path.open("rb")
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            raise TraceError(self.path, problem, "Check the path and its permissions.") from None

    def _read(self, file: IO[bytes], size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        need = size
        try:
            while need and (part := file.read(need)):
                parts.append(part)
                need -= len(part)
        except EOFError:
            raise TraceError(self.path, "the gzip file is cut off before its end", _GZIP_REMEDY) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise TraceError(self.path, f"the gzip file is damaged ({error})", _GZIP_REMEDY) from None
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise TraceError(self.path, problem, "Check the disk that holds it.") from None
        return b"".join(parts)
