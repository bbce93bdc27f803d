"""Sizes of files by a plan, the slow and obvious way: a dictionary of files, one operation after the other."""

from __future__ import annotations

import numpy as np

from clonesim.ops import FileOp


def held(ops: np.ndarray, base: dict[int, int]) -> list[int]:
    """Bytes of all files at the start, and after each operation."""
    files, found = dict(base), [sum(base.values())]
    for row in ops:
        op, file, length = FileOp(row["op"]), int(row["file"]), int(row["length"])
        if op is FileOp.CREATE:
            files[file] = length
        elif op is FileOp.APPEND:
            files[file] = files.get(file, 0) + length
        elif op is FileOp.DELETE:
            files.pop(file, None)
        elif op is FileOp.RENAME and int(row["offset"]) != file:
            files[int(row["offset"])] = files.pop(file, 0)
        found.append(sum(files.values()))
    return found
