"""A write cache in memory before a clone's disk, as provisioned streaming and MCS have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.delta.law_kernel import first_bad
from clonesim.errors import ParameterError
from clonesim.ops import BlockOp, Requests
from clonesim.pool.strategies import ram_cache_kernel as k
from clonesim.scenario import catalog
from clonesim.units import format_size

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario
    from clonesim.scenario.strategy import Choice

PAGE: Final = 1 << k.PAGE_SHIFT
ROOM: Final = 1024  # rows for results to begin with

Ints = NDArray[np.int64]


class RamCache:
    """Memory that takes a disk's writes first, block by block, and overflows to a file on disk.

    Parameters
    ----------
    capacity : int
        Size of the virtual disk. [B]
    ram : int
        Memory; whole blocks of it are used. With 0 everything passes. [B]
    block : int, optional
        Unit that memory is given out in, a power of two of 4 KiB or more; the catalog's by default. [B]

    Raises
    ------
    ParameterError
        If a size is out of range, or the memory less than a block.

    Notes
    -----
    - A write makes the pages of 4 KiB dirty that it touches, wholly or in part. Its blocks become the newest ones, one
      after the other in order of address. A block that is not in memory gets room there; if there is none, the block
      that was written to longest ago goes to the disk first, even if the same write is to reach it next: a write for
      each run of dirty pages, in order of address. A run that begins where the one before it ended goes with it, if the
      same request pushed both out. Later writes to that block are taken into memory again.
    - A write of more blocks than the memory has goes to the disk as it is. Dirty pages that it covers wholly are clean
      then; others of its pages stay in memory if they were there.
    - A discard makes pages that lie wholly in it clean, and goes to the disk as it is. The disk's last page may be
      shorter than 4 KiB; it is written no longer than it is.
    - A block without dirty pages is given back. So blocks in memory and dirty pages come and go together.
    - Reads, flushes and requests without bytes pass as they are and change nothing. What memory serves of the reads is
      not worked out here.

    All of this is assumed but two things of the vendor's: that the block used least recently makes room, and that
    without memory everything goes to the disk (catalog, citrix-pvs-2209). How memory is given out is not established.

    A vendor's figure is that disk requests fall by 90 to 95 % with 256 MB (virtualfeller-2016). Writes alone do not, by
    these rules: by how much they fall with 256 MiB in 2 desktops of windows-11-office, 3 days, seed 1, 69,902 writes of
    2.8 GiB in all, and without those of antivirus definitions, 1.8 GiB in long writes that sweep the memory:

    ====== ========= ========= =================== ==================
    block  writes    bytes     writes, without     bytes, without
    ====== ========= ========= =================== ==================
    4 KiB  10 %      24 %      75 %                76 %
    64 KiB 23 %      15 %      46 %                32 %
    2 MiB  38 %      8 %       40 %                16 %
    ====== ========= ========= =================== ==================

    Each desktop had 594,000 reads besides, 524,000 of them one full scan. If all of these but 2 %, the delta's part of
    the guest's data, come over the network, reads and writes together fall by 94 to 95 % with 2 MiB, and by 77 to 79 %
    if the full scan is left out. So the vendor's figure comes out here mostly because the image is streamed.
    """

    def __init__(self, capacity: int, ram: int, block: int | None = None) -> None:
        if block is None:
            block = int(catalog.value("strategies", "provisioned-streaming.block"))
        _check(capacity, ram, block)
        self.capacity, self.ram, self.block = capacity, ram, block
        blocks = -(-capacity // block)
        slots = min(ram // block, blocks)
        self._p = np.zeros(k.PARAMETERS, np.int64)
        self._p[k.P_CAPACITY], self._p[k.P_SLOTS] = capacity, slots
        self._p[k.P_SHIFT] = (block // PAGE).bit_length() - 1
        self._s = np.zeros(k.STATE, np.int64)
        if slots:  # memory of the system's is taken where it is first touched
            self._bits = np.zeros(-(-blocks * (block // PAGE) // 64), np.int64)
            self._slot_of = np.zeros(blocks, np.int64)
            self._slots = tuple(np.zeros(slots + 1, np.int64) for _ in range(4))

    def put(self, requests: Requests) -> Requests:
        """Take requests in; what reaches the disk of them, in order, at the times of the requests that caused it."""
        return self.put_from(requests)[0]

    def put_from(self, requests: Requests) -> tuple[Requests, Ints]:
        """Take requests in, as `put` does; the second result tells which of them caused each that reaches the disk.

        Parameters
        ----------
        requests : Requests
            Of the virtual disk, in order of time.

        Returns
        -------
        requests : Requests
            What reaches the file on disk.
        rows : (n,) int64 array
            Row of `requests` that caused it; ascending.

        Raises
        ------
        ParameterError
            If a request lies outside the disk or has an unknown operation; nothing has changed then.
        """
        op, offset, length = (
            np.require(column, kind, ["C", "W"])
            for column, kind in ((requests.op, np.uint8), (requests.offset, np.int64), (requests.length, np.int64))
        )
        bad = int(first_bad(op, offset, length, self.capacity))
        if bad >= 0:
            raise _refused(bad, int(op[bad]), (int(offset[bad]), int(length[bad])), self.capacity)
        return self.accept(Requests(requests.time_s, op, offset, length))

    def accept(self, requests: Requests) -> tuple[Requests, Ints]:
        """Take requests in as `put_from` does, but unchecked: those that a volume of ours made."""
        op, offset, length = requests.op, requests.offset, requests.length
        if not self._p[k.P_SLOTS]:
            return requests, np.arange(op.size, dtype=np.int64)
        out = np.empty((k.RESULTS, max(ROOM, op.size)), np.int64)
        done = count = 0
        while True:
            done, count = k.put_requests(
                *(op, offset, length, done, count),
                *(self._p, self._s, self._bits, self._slot_of, *self._slots, out),
            )
            if done == op.size:
                break
            out = np.hstack([out, np.empty_like(out)])
        rows, kind, place, size = out[:, :count]
        return Requests(requests.time_s[rows], kind.astype(np.uint8), place, size), rows

    def clear(self) -> None:
        """Forget everything, as a boot does; nothing is written. Costs what is held, not the capacity."""
        if self._p[k.P_SLOTS]:
            block_of, newer, older, _ = self._slots
            k.forget(self._p, self._s, self._bits, self._slot_of, block_of, newer, older)

    @property
    def held_bytes(self) -> int:
        """Memory in use: blocks with dirty pages, whole. [B]"""
        return int(self._s[k.HELD]) * self.block

    @property
    def dirty_bytes(self) -> int:
        """Pages of 4 KiB that are in memory and newer than on the disk, or not on it. [B]"""
        return int(self._s[k.DIRTY]) * PAGE

    def __repr__(self) -> str:
        held = f"{format_size(self.held_bytes)} of {format_size(self.ram)}"
        return f"RamCache({format_size(self.capacity)!r}: {held} held in blocks of {format_size(self.block)})"


def overflowing(scenario: Scenario) -> Choice | None:
    """Strategy whose cache in memory overflows to the system disk's file, or None; streaming has one without memory."""
    mcs = scenario.chosen("mcs")
    return scenario.chosen("provisioned-streaming") or (mcs if mcs and mcs.value("ram") else None)


def ram_cache_of(scenario: Scenario) -> RamCache | None:
    """Cache before the system disk of a scenario's clones, or None where no strategy brings memory for one."""
    choice = overflowing(scenario)
    if choice is None or not choice.value("ram"):
        return None
    return RamCache(scenario.guest.disk, int(choice.value("ram")), int(choice.value("block")))


def _check(capacity: int, ram: int, block: int) -> None:
    if capacity < 1:
        raise ParameterError("capacity", capacity, "1 B or more is needed", "Give the size of the virtual disk.")
    if block < PAGE or block & (block - 1):
        allowed = "a power of two of 4 KiB or more is needed"
        raise ParameterError("block", block, allowed, "Write for example '2 MiB'.")
    if ram < 0 or 0 < ram < block:
        allowed = f"0 B, or a block of {format_size(block)} or more is needed"
        raise ParameterError("ram", ram, allowed, "Give more memory, or smaller blocks.")


def _refused(row: int, op: int, place: tuple[int, int], capacity: int) -> ParameterError:
    if op > max(BlockOp):
        return ParameterError(f"op of request {row}", op, f"allowed are {', '.join(map(str, map(int, BlockOp)))}")
    allowed = f"the disk has {format_size(capacity)} ({capacity} B)"
    name = f"request {row} ({BlockOp(op).name}), offset and length"
    return ParameterError(name, place, allowed, "Give the cache the capacity of the disk.")
