"""Plain twins of the plan's kernels, and a plain check of a whole plan. Slow and obvious."""

from __future__ import annotations

from collections import deque

from clonesim.ops import FileOp


def file_slots(birth, death, base):
    """Lowest slot that no living file has; at equal times a death comes first."""
    slots = []
    for i, born in enumerate(birth):
        living = {slots[j] for j in range(i) if i < base or death[j] > born}
        slots.append(next(s for s in range(i + 1) if s not in living))
    return slots


def cache_deaths(group, size, birth, cap):
    """Oldest of the group goes first, when the file that would pass the cap is made."""
    death, held = [float("inf")] * len(size), {}
    for i, own in enumerate(group):
        cache = held.setdefault(own, deque())
        cache.append(i)
        while sum(size[j] for j in cache) > cap:
            death[cache.popleft()] = birth[i]
    return death


def run(ops, base):
    """Sizes of files after all operations; an AssertionError names the first operation that is not valid.

    `base` is [(file, bytes)]; yields (row, sizes) after each operation, the same dict each time.
    """
    sizes, before = {}, 0.0
    for file, size in base:
        assert file not in sizes, f"file {file} stands twice in the base image"
        sizes[file] = size
    for i, (time, offset, length, file, op, _, _) in enumerate(ops.tolist()):
        assert time >= before, f"{i}: time goes back"
        before = time
        if op == FileOp.CREATE:
            assert file not in sizes, f"{i}: {file} exists"
            assert length >= 0, i
            sizes[file] = length
        elif op != FileOp.TRIM:
            assert file in sizes, f"{i}: op {op} on {file}, which is not there"
            if op == FileOp.APPEND:
                assert length > 0, i
                sizes[file] += length
            elif op == FileOp.OVERWRITE:
                assert offset >= 0 and length > 0 and offset + length <= sizes[file], f"{i}: outside file {file}"
            elif op == FileOp.DELETE:
                del sizes[file]
            elif op == FileOp.RENAME:
                sizes[offset] = sizes.pop(file)
            else:
                assert op == FileOp.SCATTER, f"{i}: op {op}"
                assert 0 <= offset < 2**62, f"{i}: key {offset}"
                assert 0 < length <= sizes[file] and length % 4096 == 0, f"{i}: {length} B in pages of {sizes[file]} B"
        yield i, sizes
