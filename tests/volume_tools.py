"""What the tests of guest volumes share: arrays of operations, what one can see of a volume, and its block requests."""

from __future__ import annotations

import numpy as np

from clonesim.guest import POLICIES, Volume
from clonesim.ops import OPS_DTYPE, BlockOp

PLAIN = [name for name in POLICIES if name != "ntfs3g"]
SECTOR = 512


def ops(*rows, source=0):
    """Rows (time_s, FileOp, file, offset, length) as an array of operations."""
    array = np.zeros(len(rows), OPS_DTYPE)
    for k, row in enumerate(rows):
        array["time_s"][k], array["op"][k], array["file"][k], array["offset"][k], array["length"][k] = row
    array["source"] = source
    return array


def used_volume():
    """A volume of 16 MiB with a named and a numbered file of 1 MiB, a snapshot, and a write behind it."""
    vol = Volume("16 MiB", usn=False)
    vol.create("a", "1 MiB")
    vol.create(7, "1 MiB")
    vol.snapshot("qcow2")
    vol.append("a", "10 KiB")
    vol.advance("10 s")
    return vol


def state(vol):
    """Everything that a refused call must leave as it was."""
    names = [*vol._files, *(k for k in range(200) if k in vol)]
    files = {name: (vol.size(name), vol.extents(name).to_numpy().tolist()) for name in names}
    deltas = [getattr(d, "delta", d) for d in vol.deltas]  # a Spy's, or one
    deltas = [(d.file_bytes, d.grains, d.written_bytes) for d in deltas]
    space = (vol.used_bytes, vol.quarantined_bytes, vol.free_bytes, vol.bitmap.tobytes(), vol.ever_written.tobytes())
    return files, deltas, space, vol.clock, len(vol)


def lcns(vol, name):
    """Where a file's fragments start."""
    return vol.extents(name)["lcn"].tolist()


def clusters_of(vol, name):
    """Clusters of a file, in order."""
    rows = vol.extents(name)[["lcn", "clusters"]].to_numpy().tolist()
    return [c for lcn, count in rows for c in range(lcn, lcn + count)]


class Spy:
    """Hands requests on to a delta; keeps them, and the sectors that they leave written."""

    def __init__(self, vol):
        self.delta, self.sectors, self.ops, self.requests = vol.deltas[-1], set(), set(), []
        vol.deltas[-1] = self

    def accept(self, requests):
        self.delta.apply(requests)
        for op, offset, length in zip(
            *(x.tolist() for x in (requests.op, requests.offset, requests.length)), strict=True
        ):
            self.ops.add(op)
            self.requests.append((op, offset, length))
            if op == BlockOp.WRITE:
                self.sectors.update(range(offset // SECTOR, -(-(offset + length) // SECTOR)))
            else:
                self.sectors.difference_update(range(-(-offset // SECTOR), (offset + length) // SECTOR))

    def revert(self):
        self.delta.revert()
        self.sectors.clear()
        self.requests.clear()

    def grains(self, size):
        """Pieces of `size` bytes of the disk that hold a written sector."""
        return {s * SECTOR // size for s in self.sectors}

    def take(self):
        """Requests since the last call: (BlockOp, offset, length)."""
        rows, self.requests = self.requests, []
        return rows
