"""Which free run a request gets, written plainly for every policy but `ntfs3g`. Rules: docs/volume-model.md."""

from __future__ import annotations

import re
from typing import Any

EVERYDAY, FREED, ZONE = b"F"[0], b"W"[0], b"Z"[0]  # what the byte of a free cluster says: its pool
POOLS = (EVERYDAY, FREED, ZONE)


class Policies:
    """The part of `ReferenceVolume` that chooses free runs."""

    state: bytearray
    policy: str
    position: int
    p: dict[str, Any]

    def count(self, what: str) -> None:
        """Note that a rare thing happened."""

    def runs(self, pool: int) -> list[tuple[int, int]]:
        """Free runs of a pool by address: start, length."""
        return [(m.start(), m.end() - m.start()) for m in re.finditer(bytes([pool]) + b"+", self.state)]

    def choose(self, n: int, hint: int | None) -> tuple[int, int]:
        """Where a request of n clusters goes: first cluster, free clusters there."""
        pool = next(pool for pool in POOLS if pool in self.state)
        runs = self.runs(pool)
        if hint is None and self.policy == "worst-fit":
            hint = self.position
        for start, length in runs:
            if hint is not None and start <= hint < start + length:
                return hint, start + length - hint
        return getattr(self, "choose_" + self.policy.replace("-", "_"))(runs, n)

    def choose_best_fit(self, runs: list[tuple[int, int]], n: int) -> tuple[int, int]:
        fits = [run for run in runs if run[1] >= n]
        if fits:
            return min(fits, key=lambda run: (run[1], run[0]))
        self.count("nothing fits")
        return self.choose_worst_fit(runs, n)

    def choose_windows(self, runs: list[tuple[int, int]], n: int) -> tuple[int, int]:
        cache = self.p["run_cache"]
        if 0 < cache < len(runs):
            shortest = sorted((length for _, length in runs), reverse=True)[cache - 1]
            runs = [run for run in runs if run[1] >= shortest]
            self.count("run outside the cache")
        return self.choose_best_fit(runs, n)

    def choose_worst_fit(self, runs: list[tuple[int, int]], n: int) -> tuple[int, int]:
        return min(runs, key=lambda run: (-run[1], run[0]))

    def choose_first_fit(self, runs: list[tuple[int, int]], n: int) -> tuple[int, int]:
        fits = [run for run in runs if run[1] >= n]
        if not fits:
            self.count("nothing fits")
        return (fits or runs)[0]

    choose_fresh_first = choose_first_fit

    def choose_next_fit(self, runs: list[tuple[int, int]], n: int) -> tuple[int, int]:
        at = self.position
        for start, length in runs:
            if start <= at and at + n <= start + length:
                return at, start + length - at
        for wanted in (n, 1):  # 1: nothing holds n, so the next run, whatever its length
            behind = [run for run in runs if run[0] >= at and run[1] >= wanted]
            fits = behind or [run for run in runs if run[1] >= wanted]
            if fits:
                return fits[0]
            self.count("nothing fits")
        raise AssertionError("no free run")
