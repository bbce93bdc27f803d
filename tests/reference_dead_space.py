"""A thin LUN, second by second: slow, and plain to read. Times are whole seconds; bytes are counted one by one."""

from __future__ import annotations

from collections.abc import Sequence


def allocated_each_second(
    steps: Sequence[tuple[int, int]],
    seconds: int,
    mode: str,
    rate: int,
    piece: int,
    every: int,
    reuse: bool,
    capacity: int,
) -> list[int]:
    """Bytes that the array keeps at seconds 0, 1, 2, ..., after what happens at each of them."""
    live = pieces = crumbs = 0  # dead bytes in whole pieces, and the others
    told = []
    for second in range(seconds):
        if mode == "auto" and second:
            pieces -= min(pieces, rate)
        if mode == "manual" and second and second % every == 0:
            pieces = 0
        for _, size in [step for step in steps if step[0] == second]:
            live += size
            for _ in range(size):  # each byte written: where does it lie?
                fresh_is_left = live + pieces + crumbs <= capacity
                if not reuse and fresh_is_left:
                    continue
                if crumbs:
                    crumbs -= 1
                elif pieces:
                    pieces -= 1
            if size < 0:
                pieces += -size - (-size % piece)
                crumbs += -size % piece
        told.append(live + pieces + crumbs)
    return told
