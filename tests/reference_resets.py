"""A plain twin of `after_resets`: files by name of their number, one epoch at a time. Slow and obvious."""

from __future__ import annotations

from clonesim.ops import FileOp

WRITES = (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.SCATTER)


def after_resets(ops, resets_s, base):
    """Operations that are left, as tuples (time, op, file, offset, length), and the files' sizes at the end.

    `ops` are such tuples in order of time, `base` the sizes of the image's files by number.
    """
    left, files, to_come = [], dict(base), sorted(resets_s)
    for time, op, file, offset, length in ops:
        while to_come and to_come[0] <= time:
            del to_come[0]
            files = dict(base)
        if op == FileOp.DELETE:
            if file in files:
                del files[file]
                left.append((time, op, file, offset, length))
        elif op == FileOp.RENAME:
            if file in files:
                files[offset] = files.pop(file)
                left.append((time, op, file, offset, length))
        elif op == FileOp.TRIM:
            left.append((time, op, file, offset, length))
        elif file not in files:
            files[file] = length
            left.append((time, FileOp.CREATE, file, 0, length))
        elif possible(op, offset, length, files[file]):
            left.append((time, op, file, offset, length))
        elif length:
            files[file] += length
            left.append((time, FileOp.APPEND, file, 0, length))
    return left, files


def possible(op, offset, length, size):
    """Whether a write to a file that is there can be done as it stands, and leaves its size alone."""
    return (op == FileOp.SCATTER and size > 0) or (op == FileOp.OVERWRITE and offset + length <= size)


def written(ops):
    """Bytes that operations write."""
    return sum(length for _, op, _, _, length in ops if op in WRITES)
