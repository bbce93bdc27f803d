"""What an engineer would write in plain NumPy and pandas instead of the kernels: the baselines of bench_baselines.py.

Each gives the same answer as the kernel beside it, where it says so, for the special case of that benchmark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta.formats import Law
from clonesim.ops import FileOp, Requests

Ints = NDArray[np.int64]
BLOCK, CLUSTER = 4096, 4096


def growth(requests: Requests, law: Law) -> tuple[Ints, Ints]:
    """Requests at which a delta's file grows, and its size after each step [B]: the same as the kernel's.

    For aligned writes of one block each, grains no larger than a block, a header and growth in whole steps. A block is
    new where the first request that names it is the one at hand; the last assignment wins, so requests go in backwards.
    """
    block, n = requests.offset // BLOCK, len(requests)
    table_blocks = (law.grain * law.region_grains) // BLOCK
    fresh = _first_of(block, law.capacity // BLOCK) == np.arange(n)
    tables = _first_of(block // table_blocks, law.capacity // BLOCK // table_blocks + 1) == np.arange(n)
    used = law.header_bytes + law.upfront_bytes + law.table_bytes * np.cumsum(tables)
    used += np.cumsum(fresh) * (BLOCK // law.grain) * law.grain_bytes
    made = max(-(-law.upfront_bytes // law.increment), law.empty_steps)
    steps = np.maximum(-(-(used - law.header_bytes) // law.increment), made)
    at = np.repeat(np.arange(n), np.diff(steps, prepend=made))
    size = law.header_bytes + law.increment * (made + 1 + np.arange(at.size))
    return at, size


def _first_of(key: Ints, keys: int) -> Ints:
    """For each request, the first request with the same key."""
    first = np.zeros(keys, np.int64)
    first[key[::-1]] = np.arange(key.size)[::-1]
    found: Ints = first[key]
    return found


def fifo_waits(time_ns: Ints, hold_ns: Ints) -> Ints:
    """Waits for one lock, first come, first served: Lindley's recursion as a running maximum."""
    held_before = np.cumsum(hold_ns) - hold_ns
    waits: Ints = np.maximum.accumulate(time_ns - held_before) + held_before - time_ns
    return waits


class NextFit:
    """A volume that is a mask of free clusters and a table of files: next fit in pieces, nothing else.

    It does less than `Volume`: no MFT, log, journal or folders, no small files inside records, no delay before freed
    clusters may be taken again.
    """

    def __init__(self, clusters: int) -> None:
        self.free = np.ones(clusters, np.bool_)
        self.files: dict[int, Ints] = {}
        self.at = 0

    def apply(self, ops: NDArray[np.void]) -> None:
        """Creates and deletes in order."""
        for op, file, length in zip(ops["op"].tolist(), ops["file"].tolist(), ops["length"].tolist(), strict=True):
            if op == FileOp.DELETE:
                self.free[self.files.pop(file)] = True
                continue
            clusters = self._take(-(-length // CLUSTER))
            self.free[clusters] = False
            self.files[file] = clusters

    def _take(self, count: int) -> Ints:
        """Next free clusters from the last place on, around the end."""
        window = 4 * count + 64
        while True:
            found = np.flatnonzero(self.free[self.at : self.at + window])[:count] + self.at
            if found.size == count or self.at + window >= self.free.size:
                break
            window *= 4
        if found.size < count:
            found = np.concatenate([found, np.flatnonzero(self.free[: self.at])[: count - found.size]])
        self.at = int(found[-1]) + 1 if count else self.at
        return found

    @property
    def used_bytes(self) -> int:
        """Clusters in use. [B]"""
        return int(self.free.size - np.count_nonzero(self.free)) * CLUSTER


def read_msr(path: Path) -> dict[str, Any]:
    """Columns of a trace of Microsoft Research Cambridge's form, with pandas: the same as `read_trace`'s."""
    names = ["time", "host", "disk", "op", "offset", "length", "took"]
    kinds = {"time": np.int64, "host": "category", "disk": np.int64, "op": "category"}
    table = pd.read_csv(path, header=None, names=names, dtype=kinds | dict.fromkeys(names[4:], np.int64))
    return {
        "time_s": ((table["time"] - table["time"].iloc[0]) / 1e7).to_numpy(),
        "write": (table["op"] == "Write").to_numpy(),
        "offset": table["offset"].to_numpy(),
        "length": table["length"].to_numpy(),
    }
