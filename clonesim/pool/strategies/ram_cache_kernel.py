"""Kernel of a write cache in memory: block requests in, what reaches the file on disk out.

Blocks in memory are slots of a ring from the newest to the oldest, slot 0 being the seam; a slot that was given back
waits in a list of its own. Bits of dirty pages lie in int64 words, 64 pages each, and are set in held blocks only.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import njit

from clonesim.delta.law_kernel import clear_bits, set_bits
from clonesim.delta.reclaim_kernel import next_bit
from clonesim.ops import BlockOp

KERNELS = "2c6c66b026b2c0cb"

WRITE, DISCARD = np.uint8(BlockOp.WRITE), np.uint8(BlockOp.DISCARD)
WRITE_SAME = np.uint8(BlockOp.WRITE_SAME)
PAGE_SHIFT = 12  # 4 KiB
TO_PAGE = (1 << PAGE_SHIFT) - 1  # added before a shift to round up

HELD, DIRTY, USED, FREE = 0, 1, 2, 3  # state words: blocks held, pages dirty, slots ever used, first free slot
STATE = 4
P_CAPACITY, P_SHIFT, P_SLOTS = 0, 1, 2  # parameter words: bytes of the disk, pages of a block as a shift, slots
PARAMETERS = 3
ROW, OP, OFFSET, LENGTH = 0, 1, 2, 3  # rows of the results: the request that caused it, and what reaches the disk
RESULTS = 4


@njit(cache=True)
def unlink(slot, newer, older):
    """Take a slot out of the ring."""
    older[newer[slot]] = older[slot]
    newer[older[slot]] = newer[slot]


@njit(cache=True)
def make_newest(slot, newer, older):
    """Enter a slot behind the seam."""
    older[slot], newer[slot] = older[0], 0
    newer[older[0]] = slot
    older[0] = slot


@njit(cache=True)
def give_back(slot, s, slot_of, block_of, newer, older):
    """Take a clean block out of memory."""
    unlink(slot, newer, older)
    slot_of[block_of[slot]] = 0
    older[slot] = s[FREE]
    s[FREE] = slot
    s[HELD] -= 1


@njit(cache=True)
def take_in(block, s, slot_of, block_of, newer, older, dirty):
    """Give a block the newest slot; there must be room."""
    slot = s[FREE]
    if slot:
        s[FREE] = older[slot]
    else:
        s[USED] += 1
        slot = s[USED]
    slot_of[block], block_of[slot], dirty[slot] = slot, block, 0
    make_newest(slot, newer, older)
    s[HELD] += 1
    return slot


@njit(cache=True)
def evict(row, begun, count, p, s, bits, slot_of, block_of, newer, older, dirty, out):
    """Write the oldest block's dirty pages and take it out of memory; the number of requests out.

    A run that adjoins the one before it makes that longer, back to request `begun` of those out.
    """
    slot = newer[0]
    at = block_of[slot] << p[P_SHIFT]
    end = min(at + (np.int64(1) << p[P_SHIFT]), (p[P_CAPACITY] + TO_PAGE) >> PAGE_SHIFT)
    first, left = at, dirty[slot]
    while left:
        at = next_bit(bits, at, end, np.int64(0))
        stop = next_bit(bits, at, end, np.int64(-1))
        left -= stop - at
        place, size = at << PAGE_SHIFT, min(stop << PAGE_SHIFT, p[P_CAPACITY]) - (at << PAGE_SHIFT)
        if count > begun and out[OFFSET, count - 1] + out[LENGTH, count - 1] == place:
            out[LENGTH, count - 1] += size
        else:
            out[ROW, count], out[OP, count], out[OFFSET, count], out[LENGTH, count] = row, WRITE, place, size
            count += 1
        at = stop
    clear_bits(bits, first, end - 1)
    s[DIRTY] -= dirty[slot]
    give_back(slot, s, slot_of, block_of, newer, older)
    return count


@njit(cache=True)
def drop_from(slot, first, last, p, s, bits, slot_of, block_of, newer, older, dirty):
    """Let pages first to last of one block be clean; a block without dirty pages is given back."""
    low = block_of[slot] << p[P_SHIFT]
    high = low + (np.int64(1) << p[P_SHIFT]) - 1
    if first > high or last < low:
        return
    gone = clear_bits(bits, max(first, low), min(last, high))
    dirty[slot] -= gone
    s[DIRTY] -= gone
    if dirty[slot] == 0:
        give_back(slot, s, slot_of, block_of, newer, older)


@njit(cache=True)
def drop(offset, length, p, s, bits, slot_of, block_of, newer, older, dirty):
    """Let all pages that lie wholly in a range be clean; goes through the range or the memory, whichever is less."""
    end = offset + length
    first = (offset + TO_PAGE) >> PAGE_SHIFT
    last = ((end + TO_PAGE) >> PAGE_SHIFT if end == p[P_CAPACITY] else end >> PAGE_SHIFT) - 1
    if last < first:
        return
    low, high = first >> p[P_SHIFT], last >> p[P_SHIFT]
    if high - low < s[HELD]:
        for block in range(low, high + 1):
            if slot_of[block]:
                drop_from(slot_of[block], first, last, p, s, bits, slot_of, block_of, newer, older, dirty)
        return
    slot = older[0]
    while slot:
        following = older[slot]
        drop_from(slot, first, last, p, s, bits, slot_of, block_of, newer, older, dirty)
        slot = following


@njit(cache=True)
def put_requests(ops, offsets, lengths, start, count, p, s, bits, slot_of, block_of, newer, older, dirty, out):
    """Take requests in from `start` on.

    Parameters
    ----------
    ops, offsets, lengths : (n,) uint8 and int64 arrays
        Checked: all within the disk.
    start, count : int
        Requests done before, and columns of `out` that are filled.
    p, s : int64 arrays
        Parameter and state words.
    bits : int64 array
        Dirty pages.
    slot_of : (blocks,) int64 array
        Slot of each block, 0 where it is not in memory.
    block_of, newer, older, dirty : (slots + 1,) int64 arrays
        Of each slot: its block, its neighbours in the ring, its dirty pages.
    out : (RESULTS, room) int64 array
        Filled: request that caused it, operation, offset and length of what reaches the disk.

    Returns
    -------
    done, count : int
        Requests done, fewer than there are if the room for results may not do for the next; columns filled.
    """
    shift, slots = p[P_SHIFT], p[P_SLOTS]
    runs = ((np.int64(1) << shift) + 1) >> 1  # most runs of pages that a block can have
    for i in range(start, ops.size):
        writes = (ops[i] == WRITE or ops[i] == WRITE_SAME) and lengths[i] > 0
        first, last = offsets[i] >> PAGE_SHIFT, (offsets[i] + lengths[i] - 1) >> PAGE_SHIFT
        low, high = first >> shift, last >> shift
        taken = writes and high - low < slots
        if out.shape[1] - count < max(1, min(high - low + 1, s[HELD]) * runs if taken else 1):
            return i, count
        if not taken:
            if writes or ops[i] == DISCARD:
                drop(offsets[i], lengths[i], p, s, bits, slot_of, block_of, newer, older, dirty)
            out[ROW, count], out[OP, count] = i, ops[i]
            out[OFFSET, count], out[LENGTH, count] = offsets[i], lengths[i]
            count += 1
            continue
        begun = count
        for block in range(low, high + 1):
            slot = slot_of[block]
            if slot == 0:
                if s[HELD] == slots:
                    count = evict(i, begun, count, p, s, bits, slot_of, block_of, newer, older, dirty, out)
                slot = take_in(block, s, slot_of, block_of, newer, older, dirty)
            elif slot != older[0]:
                unlink(slot, newer, older)
                make_newest(slot, newer, older)
            fresh = set_bits(bits, max(first, block << shift), min(last, ((block + 1) << shift) - 1))
            dirty[slot] += fresh
            s[DIRTY] += fresh
    return ops.size, count


@njit(cache=True)
def forget(p, s, bits, slot_of, block_of, newer, older):
    """Empty the memory without writing anything; goes through the blocks that are held."""
    slot = older[0]
    while slot:
        low = block_of[slot] << p[P_SHIFT]
        clear_bits(bits, low, low + (np.int64(1) << p[P_SHIFT]) - 1)
        slot_of[block_of[slot]] = 0
        slot = older[slot]
    newer[0] = older[0] = 0
    s[:] = 0
