"""Kernel of the general size law: block requests in, grains, file size and growth steps out.

Bits lie in int64 words, 64 grains each. A region is a table's worth of grains; the list of touched regions is what a
revert has to visit. A call goes on until the requests or the room for growth steps are used up; every part of a request
may be done twice without harm, so a call that stopped in the middle of one is simply repeated from there.
"""

# mypy: ignore-errors
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

KERNELS = "2c6c66b026b2c0cb"

# State words of a delta, shared by all kernels. The first six are also the columns of its history.
WRITTEN, UNIQUE, GRAINS, METADATA, FILE, ALLOCATED = 0, 1, 2, 3, 4, 5
TOUCHED = 6  # regions in the list of touched regions
SECTOR_REGIONS = 7  # the same for the bits of single sectors
GROWN = 8  # growth steps so far
HISTORY = 6  # state words that a history row keeps
OWN = 9  # first state word that belongs to one kernel alone
STATE = 16

# Parameter words of the law
P_GRAIN, P_REGION, P_LAST, P_CAPACITY, P_DISCARD, P_UNIQUE = 0, 1, 2, 3, 4, 5
P_HEADER, P_UPFRONT, P_TABLE, P_GRAIN_BYTES, P_SHORT, P_STEP, P_EMPTY = 6, 7, 8, 9, 10, 11, 12
P_META_FIXED, P_META_TABLE, P_META_GRAIN = 13, 14, 15
P_SLICE, P_L1 = 16, 17
PARAMETERS = 18

SECTOR_SHIFT = 9
SECTOR_REGION = 12  # a region of the sector bits is 4,096 sectors

UNIQUE_NONE, UNIQUE_GRAINS, UNIQUE_SECTORS = 0, 1, 2
IGNORE, REUSE, DEALLOCATE, RELEASE = 0, 1, 2, 3
WRITE, DISCARD, WRITE_SAME, LAST_OP = 1, 2, 3, 4
AHEAD = 24  # requests between asking for a word and using it


@intrinsic
def ones(typingctx: Any, word: Any) -> Any:
    """Count the set bits of an int64 word."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return word(word), codegen


def emit_prefetch(context: Any, builder: Any, words: Any, at: Any) -> Any:
    """Generate the code that asks for the cache line of a word, by the address of the first word and a place."""
    pointer = builder.bitcast(builder.gep(words, [at]), ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, *[ir.IntType(32)] * 3])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    flags = [ir.Constant(ir.IntType(32), flag) for flag in (1, 3, 1)]  # to write, keep in all caches, data
    builder.call(function, [pointer, *flags])
    return context.get_dummy_value()


@intrinsic
def prefetch(typingctx: Any, words: Any, at: Any) -> Any:
    """Ask for a word's cache line ahead of its use."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return emit_prefetch(context, builder, array.data, args[1])

    return types.void(words, types.int64), codegen


@njit(cache=True)
def first_bad(op, offset, length, capacity):
    """Find the first request that this disk cannot have: its index, or -1. Reads and flushes are not looked at."""
    for i in range(op.size):
        if op[i] == WRITE or op[i] == WRITE_SAME or op[i] == DISCARD:
            if offset[i] < 0 or length[i] < 0 or length[i] > capacity or offset[i] > capacity - length[i]:
                return i
        elif op[i] > LAST_OP:
            return i
    return -1


@njit(cache=True)
def set_bits(words, first, last):
    """Set bits first to last, both included; how many were not set before."""
    a, b = first >> 6, last >> 6
    head = np.int64(-1) << (first & 63)
    tail = ~(np.int64(-2) << (last & 63))
    if a == b:
        fresh = head & tail & ~words[a]
        words[a] |= fresh
        return ones(fresh)
    fresh = head & ~words[a]
    words[a] |= fresh
    count = ones(fresh)
    for w in range(a + 1, b):
        count += 64 - ones(words[w])
        words[w] = -1
    fresh = tail & ~words[b]
    words[b] |= fresh
    return count + ones(fresh)


@njit(cache=True)
def clear_bits(words, first, last):
    """Clear bits first to last, both included; how many were set before."""
    a, b = first >> 6, last >> 6
    head = np.int64(-1) << (first & 63)
    tail = ~(np.int64(-2) << (last & 63))
    count = np.int64(0)
    for w in range(a, b + 1):
        mask = np.int64(-1)
        if w == a:
            mask &= head
        if w == b:
            mask &= tail
        count += ones(words[w] & mask)
        words[w] &= ~mask
    return count


@njit(cache=True)
def bit(words, at):
    """One bit. 0 or 1."""
    return (words[at >> 6] >> (at & 63)) & 1


@njit(cache=True)
def touch(regions, listed, count, first, last):
    """Enter regions first to last into the list of touched ones; its new length."""
    for r in range(first, last + 1):
        if regions[r] == 0:
            regions[r] = 1
            listed[count] = r
            count += 1
    return count


@njit(cache=True)
def discarded(offset, length, p):
    """First and last grain that lie wholly inside a discard; the disk's last grain may be a partial one."""
    shift = p[P_GRAIN]
    first = (offset + (np.int64(1) << shift) - 1) >> shift
    end = offset + length
    last = p[P_LAST] if end == p[P_CAPACITY] else (end >> shift) - 1
    return first, last


@njit(cache=True)
def release_bits(bits, regions, first, last, region_shift):
    """Clear bits first to last in regions that were touched; how many were set."""
    count = np.int64(0)
    for r in range(first >> region_shift, (last >> region_shift) + 1):
        if regions[r]:
            low = max(first, r << region_shift)
            count += clear_bits(bits, low, min(last, ((r + 1) << region_shift) - 1))
    return count


@njit(cache=True)
def clear_touched(words, regions, listed, count, shift):
    """Clear the bits of the listed regions, and their entries in the list."""
    for k in range(count):
        r = listed[k]
        regions[r] = 0
        listed[k] = 0
        words[(r << shift) >> 6 : (((r + 1) << shift) + 63) >> 6] = 0


@njit(cache=True)
def in_use(s, p, bits):
    """Bytes of header, tables and grains held."""
    used = p[P_HEADER] + p[P_UPFRONT] + s[TOUCHED] * p[P_TABLE] + s[GRAINS] * p[P_GRAIN_BYTES]
    if p[P_SHORT] and bit(bits, p[P_LAST]):
        used -= p[P_SHORT]
    return used


@njit(cache=True)
def create_law(s, p, bits):
    """State of a new delta; the bits are clear."""
    s[:] = 0
    cut_file(s, p, bits)


@njit(cache=True)
def cut_file(s, p, bits):
    """Bring the file to the size that what is held needs, in whole growth steps."""
    s[FILE] = in_use(s, p, bits)
    if p[P_STEP]:
        steps = (s[FILE] - p[P_HEADER] + p[P_STEP] - 1) // p[P_STEP]
        s[FILE] = p[P_HEADER] + max(steps, p[P_EMPTY]) * p[P_STEP]
    settle(s, p, bits)


@njit(cache=True)
def settle(s, p, bits):
    """Bring the counters that follow from the others up to date."""
    s[METADATA] = p[P_META_FIXED] + s[TOUCHED] * p[P_META_TABLE] + s[GRAINS] * p[P_META_GRAIN]
    s[ALLOCATED] = s[FILE]
    if p[P_DISCARD] == DEALLOCATE:
        s[ALLOCATED] = in_use(s, p, bits)
    if p[P_UNIQUE] == UNIQUE_GRAINS:
        s[UNIQUE] = s[GRAINS] << p[P_GRAIN]


@njit(cache=True)
def apply_law(
    time_s,
    op,
    offset,
    length,
    start,
    s,
    p,
    bits,
    regions,
    listed,
    sectors,
    sector_regions,
    sector_listed,
    at_s,
    size,
    fresh,
):
    """Run requests from `start` on; index of the first one not done, which needs more room for growth steps.

    `fresh`, unless it is empty, gets the grains that each request adds (a discard: takes away) added to its entries.
    """
    grain_shift, region_shift, action, step = p[P_GRAIN], p[P_REGION], p[P_DISCARD], p[P_STEP]
    grains, touched, grown, file = s[GRAINS], s[TOUCHED], s[GROWN], s[FILE]
    written, unique, sector_touched = s[WRITTEN], s[UNIQUE], s[SECTOR_REGIONS]
    short, last_grain, mode = p[P_SHORT], p[P_LAST], p[P_UNIQUE]
    base = p[P_HEADER] + p[P_UPFRONT]
    table_bytes, grain_bytes = p[P_TABLE], p[P_GRAIN_BYTES]
    done = op.size
    for i in range(start, op.size):
        if i + AHEAD < op.size:
            prefetch(bits, offset[i + AHEAD] >> grain_shift >> 6)
            if mode == UNIQUE_SECTORS:
                prefetch(sectors, offset[i + AHEAD] >> SECTOR_SHIFT >> 6)
        if length[i] <= 0:
            continue
        before = grains
        if op[i] == WRITE or op[i] == WRITE_SAME:
            end = offset[i] + length[i] - 1
            first, last = offset[i] >> grain_shift, end >> grain_shift
            region = first >> region_shift
            if region != last >> region_shift or regions[region] == 0:
                touched = touch(regions, listed, touched, region, last >> region_shift)
            grains += set_bits(bits, first, last)
            if mode == UNIQUE_SECTORS:
                low, high = offset[i] >> SECTOR_SHIFT, end >> SECTOR_SHIFT
                region = low >> SECTOR_REGION
                if region != high >> SECTOR_REGION or sector_regions[region] == 0:
                    sector_touched = touch(sector_regions, sector_listed, sector_touched, region, high >> SECTOR_REGION)
                unique += set_bits(sectors, low, high) << SECTOR_SHIFT
        elif op[i] == DISCARD and action != IGNORE:
            first, last = discarded(offset[i], length[i], p)
            if first > last:
                continue
            grains -= release_bits(bits, regions, first, last, region_shift)
        else:
            continue
        if fresh.size:
            fresh[i] += grains - before
        used = base + touched * table_bytes + grains * grain_bytes
        if short and bit(bits, last_grain):
            used -= short
        if used > file:
            while used > file and grown < at_s.size:
                file = file + step if step else used
                at_s[grown] = time_s[i]
                size[grown] = file
                grown += 1
            if used > file:
                done = i
                break
        elif action == RELEASE:
            file = used
        if op[i] != DISCARD:
            written += length[i]
    s[GRAINS], s[TOUCHED], s[GROWN], s[FILE] = grains, touched, grown, file
    s[WRITTEN], s[UNIQUE], s[SECTOR_REGIONS] = written, unique, sector_touched
    settle(s, p, bits)
    return done
