"""Pages of a file as ranges: what was written into the cache and not yet to the disk."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

PAGE = 4096


class PageRanges:
    """A set of pages, kept as ranges in order, apart from each other."""

    def __init__(self) -> None:
        self._begin: list[int] = []
        self._end: list[int] = []

    def add(self, begin: int, end: int) -> None:
        """Put the pages in that a range of bytes touches."""
        begin, end = begin // PAGE, -(-end // PAGE)
        first, last = bisect_left(self._end, begin), bisect_right(self._begin, end)
        if first < last:
            begin, end = min(begin, self._begin[first]), max(end, self._end[last - 1])
        self._begin[first:last] = [begin]
        self._end[first:last] = [end]

    def take(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Take the pages of a range of bytes out; return the parts of the range that were not in. [B]"""
        low, high = begin // PAGE, -(-end // PAGE)
        first, last = bisect_right(self._end, low), bisect_left(self._begin, high)
        missing, at = [], low
        left: list[tuple[int, int]] = []
        for held_begin, held_end in zip(self._begin[first:last], self._end[first:last], strict=True):
            if held_begin > at:
                missing.append((at, held_begin))
            at = held_end
            left += [(held_begin, low)] if held_begin < low else []
            left += [(high, held_end)] if held_end > high else []
        if at < high:
            missing.append((at, high))
        self._begin[first:last] = [part[0] for part in left]
        self._end[first:last] = [part[1] for part in left]
        return [(max(a * PAGE, begin), min(b * PAGE, end)) for a, b in missing]
