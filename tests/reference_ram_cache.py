"""A write cache in memory, page by page: slow, and plain to read."""

from __future__ import annotations

from clonesim.ops import BlockOp

PAGE = 4096
Request = tuple[int, int, int]  # operation, offset, length
WRITES = (BlockOp.WRITE, BlockOp.WRITE_SAME)


def runs(pages: set[int]) -> list[tuple[int, int]]:
    """First and last page of each run of neighbours, in order."""
    found: list[tuple[int, int]] = []
    for page in sorted(pages):
        if found and found[-1][1] == page - 1:
            found[-1] = (found[-1][0], page)
        else:
            found.append((page, page))
    return found


def joined(writes: list[Request]) -> list[Request]:
    """Writes that begin where the one before them ends, made one."""
    found: list[Request] = []
    for op, offset, length in writes:
        if found and offset == found[-1][1] + found[-1][2]:
            found[-1] = (op, found[-1][1], found[-1][2] + length)
        else:
            found.append((op, offset, length))
    return found


class PlainCache:
    """The same rules as `RamCache`; `put` takes one request and tells what reaches the disk."""

    def __init__(self, capacity: int, ram: int, block: int) -> None:
        self.capacity, self.block, self.most = capacity, block, ram // block
        self.memory: dict[int, set[int]] = {}  # dirty pages by block, the block written to longest ago first

    def put(self, op: int, offset: int, length: int) -> list[Request]:
        pages = range(offset // PAGE, -(-(offset + length) // PAGE)) if length else range(0)
        blocks = sorted({page * PAGE // self.block for page in pages})
        if op in WRITES and 0 < len(blocks) <= self.most:
            return joined([request for block in blocks for request in self._take(block, pages)])
        if op in (*WRITES, BlockOp.DISCARD):
            for page in pages:
                if page * PAGE >= offset and min((page + 1) * PAGE, self.capacity) <= offset + length:
                    self._clean(page)
        return [(op, offset, length)]

    def _take(self, block: int, pages: range) -> list[Request]:
        out = []
        if block not in self.memory and len(self.memory) == self.most:
            oldest = next(iter(self.memory))
            for first, last in runs(self.memory.pop(oldest)):
                end = min((last + 1) * PAGE, self.capacity)
                out.append((int(BlockOp.WRITE), first * PAGE, end - first * PAGE))
        dirty = self.memory.pop(block, set())
        self.memory[block] = dirty | {page for page in pages if page * PAGE // self.block == block}
        return out

    def _clean(self, page: int) -> None:
        block = page * PAGE // self.block
        if block in self.memory:
            self.memory[block].discard(page)
            if not self.memory[block]:
                del self.memory[block]

    def clear(self) -> None:
        self.memory.clear()

    @property
    def pages(self) -> set[int]:
        """All dirty pages."""
        return set().union(*self.memory.values())
