"""Files of a guest as a trace shows them: from writes at offsets to creates, appends and overwrites.

A trace tells offsets, not sizes, and starts in the middle of a file's life. So all operations are kept first; how large
each file must have been when the trace began is known at the end, and decides which writes are appends.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clonesim.ingest.file_sources import METADATA, source_names
from clonesim.ops import OPS_DTYPE, FileOp

_WRITE: Final = -1  # becomes an overwrite, an append, or both


class FileOps(NamedTuple):
    """Operations on numbered files."""

    before: NDArray[np.void]
    ops: NDArray[np.void]
    files: tuple[str, ...]
    sources: tuple[str, ...]


class _File:
    """What is known about a name."""

    __slots__ = ("exists", "initial", "measured", "number", "old", "size")

    def __init__(self, number: int) -> None:
        self.number = number
        self.exists = self.old = True  # a name that turns up without being created was there before
        self.initial = self.size = 0  # at least so many bytes: at the start, and now
        self.measured = False  # whether a query has told the size: growth from then on is that of the trace


class GuestFiles:
    """Names, numbers and least sizes of files, and the operations on them.

    Numbers are those of names: a rename moves a file from one number to another.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._files: dict[str, _File] = {}
        self._all: list[_File] = []
        self._time = array("d")
        self._words = array("q")  # op, number, offset, length of each operation

    def __len__(self) -> int:
        return len(self._time)

    def get(self, name: str) -> _File:
        """File of a name, new ones included; names differ by more than case."""
        key = name.lower()
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = _File(len(self.names))
            self.names.append(name)
            self._all.append(file)
        return file

    def knows(self, name: str) -> bool:
        """Whether a name has turned up."""
        return name.lower() in self._files

    def saw_size(self, name: str, size: int, exact: bool = False) -> None:
        """Take note that a file has at least so many bytes, or exactly so many."""
        file = self.get(name)
        if not (file.exists and file.old) or file.measured:
            return
        if size > file.size:  # what it did not grow by in the trace it had before
            file.initial = max(file.initial, size)
            file.size = size
        file.measured = exact

    def reserve(self, name: str) -> None:
        """Take note that a file's end was moved: from now on its size does not tell what it had before."""
        self.get(name).measured = True

    def create(self, time_s: float, name: str) -> None:
        """Make an empty file, or empty one."""
        known = self.knows(name)
        file = self.get(name)
        if known and file.exists:
            self._put(time_s, FileOp.DELETE, file.number)
        self._put(time_s, FileOp.CREATE, file.number)
        file.exists = True
        if not known:
            file.initial = -1  # it was not there when the trace began
        file.old, file.size = False, 0

    def write(self, time_s: float, name: str, offset: int, length: int, in_place: bool = False) -> None:
        """Write; `in_place` says that the write cannot have made the file longer."""
        file = self.get(name)
        if not file.exists:
            self.create(time_s, name)
        if file.old and not file.measured:
            reached = offset + length if in_place else offset
            if reached > file.size:
                file.initial = max(file.initial, reached)
        file.size = max(file.size, offset + length)
        self._put(time_s, _WRITE, file.number, offset, length)

    def size(self, name: str) -> int:
        """Least size of a file now. [B]"""
        return self.get(name).size

    def delete(self, time_s: float, name: str) -> None:
        """Delete a file; nothing happens if it is gone already."""
        file = self.get(name)
        if file.exists:
            self._put(time_s, FileOp.DELETE, file.number)
            file.exists, file.size, file.old = False, 0, False

    def rename(self, time_s: float, old: str, new: str) -> None:
        """Give a file another name; a file of that name goes."""
        if old.lower() == new.lower():
            return
        file, known = self.get(old), self.knows(new)
        if not file.exists:
            return
        target = self.get(new)
        if not known:
            target.initial, target.exists = -1, False
        self._put(time_s, FileOp.RENAME, file.number, target.number)
        target.exists, target.size, target.old = True, file.size, False
        file.exists, file.size, file.old = False, 0, False

    def move_folder(self, old: str, new: str) -> None:
        """Give a folder another name; the files in it keep their numbers."""
        head = old.lower().rstrip("\\") + "\\"
        for key in [key for key in self._files if key.startswith(head)]:
            self._files[new.lower().rstrip("\\") + "\\" + key[len(head) :]] = self._files.pop(key)

    def _put(self, time_s: float, op: int, number: int, offset: int = 0, length: int = 0) -> None:
        self._time.append(time_s)
        self._words.extend((op, number, offset, length))

    def finish(self) -> FileOps:
        """Operations in order, and the files that were there before them."""
        old = [file for file in self._all if file.initial >= 0]
        before = np.zeros(len(old), OPS_DTYPE)
        before["file"] = [file.number for file in old]
        before["length"] = [file.initial for file in old]
        before["op"] = FileOp.CREATE
        names = source_names(self.names)
        sources = (METADATA, *sorted(set(names) - {METADATA}))
        index = np.array([sources.index(name) for name in names], np.int32)
        before["source"] = index[before["file"]]
        return FileOps(before, self._sorted_out(before, index), tuple(self.names), sources)

    def _sorted_out(self, before: NDArray[np.void], source: NDArray[np.int32]) -> NDArray[np.void]:
        """Operations with every write as an overwrite, an append, or one of each."""
        sizes = dict(zip(before["file"].tolist(), before["length"].tolist(), strict=True))
        time, words = array("d"), array("q")
        given = iter(self._words)
        for time_s, op, number, offset, length in zip(self._time, given, given, given, given, strict=True):
            if op == FileOp.CREATE:
                sizes[number] = 0
            elif op == FileOp.DELETE:
                del sizes[number]
            elif op == FileOp.RENAME:
                sizes[offset] = sizes.pop(number)
            if op != _WRITE:
                time.append(time_s)
                words.extend((op, number, offset, length))
                continue
            size, end = sizes[number], offset + length
            if offset < size:
                time.append(time_s)
                words.extend((FileOp.OVERWRITE, number, offset, min(end, size) - offset))
            if end > size:
                time.append(time_s)
                words.extend((FileOp.APPEND, number, 0, end - size))
                sizes[number] = end
        ops = np.zeros(len(time), OPS_DTYPE)
        table = np.array(words, np.int64).reshape(-1, 4)
        ops["time_s"] = time
        for place, name in enumerate(("op", "file", "offset", "length")):
            ops[name] = table[:, place]
        ops["source"] = source[ops["file"]]
        return ops
