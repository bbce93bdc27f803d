"""Kernel of qcow2: the host clusters of an overlay file, allocated as qemu allocates them.

The file's size depends on where clusters lie once discards have left holes: a request for several clusters takes the
first gap that holds all of them, so small holes stay. Hence this format keeps a map from guest to host clusters, a bit
per host cluster in use, and the refcount blocks and table that describe them. An L2 table comes with the first write or
discard in its region; a refcount block with the first cluster in its reach; the refcount table moves to a larger place
when it is full, which leaves a gap that later requests fill. Rules: qemu block/qcow2-cluster.c, qcow2-refcount.c.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import njit

from clonesim.delta.law_kernel import (
    AHEAD,
    ALLOCATED,
    DEALLOCATE,
    DISCARD,
    FILE,
    GRAINS,
    GROWN,
    IGNORE,
    METADATA,
    OWN,
    P_DISCARD,
    P_GRAIN,
    P_L1,
    P_REGION,
    P_SLICE,
    P_UNIQUE,
    SECTOR_REGION,
    SECTOR_REGIONS,
    SECTOR_SHIFT,
    TOUCHED,
    UNIQUE,
    UNIQUE_GRAINS,
    UNIQUE_SECTORS,
    WRITE,
    WRITE_SAME,
    WRITTEN,
    bit,
    clear_bits,
    discarded,
    prefetch,
    set_bits,
    touch,
)

KERNELS = "2c6c66b026b2c0cb"

FREE = OWN  # where the search for a free cluster starts: no cluster below it was freed since it moved on
END = OWN + 1  # clusters from the start of the file to the last one ever in use
TABLE_AT, TABLE_SIZE = OWN + 2, OWN + 3  # refcount table: first cluster and clusters
FIXED = OWN + 4  # clusters of header, refcount table, refcount blocks and L1 table

ENTRY_SHIFT = 3  # log2 of the bytes of a table entry
COUNT_SHIFT = 1  # log2 of the bytes of a refcount


@njit(cache=True)
def find_free(s, used, count):
    """First cluster of the next `count` free ones in a row; the search goes on behind them next time."""
    at, run = s[FREE], np.int64(0)
    while run < count:
        word = used[at >> 6]
        if word == -1 and (at & 63) == 0:
            at += 64
            run = 0
        elif (word >> (at & 63)) & 1:
            at += 1
            run = 0
        else:
            at += 1
            run += 1
    s[FREE] = at
    return at - count


@njit(cache=True)
def table_layout(clusters, p):
    """Refcount blocks that describe `clusters` and themselves and their table, with room for half a table more."""
    per_block = np.int64(1) << (p[P_GRAIN] - COUNT_SHIFT)
    per_table = np.int64(1) << (p[P_GRAIN] - ENTRY_SHIFT)
    table, blocks, total, generous = np.int64(0), np.int64(0), np.int64(0), True
    while True:
        before = total
        blocks = (clusters + table + blocks + per_block - 1) // per_block
        table = (blocks + per_table - 1) // per_table
        total = clusters + blocks + table
        if total == before and generous:
            clusters += (table + 1) // 2
            total = 0
            generous = False
        if total == before:
            return blocks


@njit(cache=True)
def move_table(s, p, used, blocks, last):
    """Put a larger refcount table, and the blocks that describe it, behind all that `last` and earlier need."""
    block_shift = p[P_GRAIN] - COUNT_SHIFT
    per_table = np.int64(1) << (p[P_GRAIN] - ENTRY_SHIFT)
    area = (last >> block_shift) + 1
    start = area << block_shift
    need = table_layout(start, p)
    size = (need + (need + 1) // 2 + per_table - 1) // per_table
    fresh = np.int64(0)
    for b in range(area, need):
        if blocks[b] == 0:
            blocks[b] = 1
            fresh += 1
    end = start + fresh + size
    set_bits(used, start, end - 1)
    clear_bits(used, s[TABLE_AT], s[TABLE_AT] + s[TABLE_SIZE] - 1)
    s[FIXED] += fresh + size - s[TABLE_SIZE]
    s[FREE] = min(s[FREE], s[TABLE_AT])
    s[TABLE_AT], s[TABLE_SIZE] = start + fresh, size
    s[END] = max(s[END], end)


@njit(cache=True)
def add_block(s, p, used, blocks, cluster):
    """Make the refcount block that describes `cluster`, or first the one that describes that block's own place."""
    block_shift = p[P_GRAIN] - COUNT_SHIFT
    lowest = s[FREE]
    while True:
        place = find_free(s, used, np.int64(1))
        if place >> block_shift == cluster >> block_shift or blocks[place >> block_shift]:
            break
        lowest = min(lowest, place)
        cluster = place
        s[FREE] = max(s[FREE], place + 1)
    set_bits(used, place, place)
    s[END] = max(s[END], place + 1)
    s[FIXED] += 1
    blocks[cluster >> block_shift] = 1
    if cluster >> block_shift >= s[TABLE_SIZE] << (p[P_GRAIN] - ENTRY_SHIFT):
        move_table(s, p, used, blocks, max(cluster, place))
    return lowest


@njit(cache=True)
def claim(s, p, used, blocks, start, count):
    """Take `count` clusters from `start` on; False if a refcount block had to be made first: look again."""
    block_shift = p[P_GRAIN] - COUNT_SHIFT
    for b in range(start >> block_shift, ((start + count - 1) >> block_shift) + 1):
        if blocks[b] == 0:
            edge = max(start, b << block_shift)
            if edge > start:  # the new block must not take what was claimed up to here
                set_bits(used, start, edge - 1)
            lowest = add_block(s, p, used, blocks, edge)
            if edge > start:
                clear_bits(used, start, edge - 1)
            s[FREE] = min(s[FREE], lowest, start)
            return False
    set_bits(used, start, start + count - 1)
    s[END] = max(s[END], start + count)
    return True


@njit(cache=True)
def allocate(s, p, used, blocks, count):
    """Take the next `count` free clusters in a row; the first of them."""
    while True:
        start = find_free(s, used, count)
        if claim(s, p, used, blocks, start, count):
            return start


@njit(cache=True)
def allocate_at(s, p, used, blocks, start, count):
    """Take up to `count` clusters that are free from `start` on; how many."""
    while True:
        n = np.int64(0)
        while n < count and not bit(used, start + n):
            n += 1
        if n == 0 or claim(s, p, used, blocks, start, n):
            return n


@njit(cache=True)
def add_table(s, p, used, blocks, regions, listed, cluster):
    """Allocate the L2 table of a guest cluster unless it is there."""
    region = cluster >> p[P_REGION]
    if regions[region] == 0:
        allocate(s, p, used, blocks, np.int64(1))
        s[TOUCHED] = touch(regions, listed, s[TOUCHED], region, region)


@njit(cache=True)
def write_clusters(s, p, bits, host, used, blocks, regions, listed, first, last):
    """Give host clusters to guest clusters first to last."""
    at = first
    while at <= last:
        follow = np.int64(-1)  # the host cluster that would continue what this round has so far
        while at <= last:
            limit = min(last, at | (p[P_SLICE] - 1))
            add_table(s, p, used, blocks, regions, listed, at)
            n = np.int64(1)
            if host[at]:
                if follow >= 0 and host[at] != follow:
                    break
                while at + n <= limit and host[at + n] == host[at] + n:
                    n += 1
                follow = host[at] + n
            else:
                while at + n <= limit and host[at + n] == 0:
                    n += 1
                if follow < 0:
                    follow = allocate(s, p, used, blocks, n)
                else:
                    n = allocate_at(s, p, used, blocks, follow, n)
                    if n == 0:
                        break
                for k in range(n):
                    host[at + k] = follow + k
                set_bits(bits, at, at + n - 1)
                s[GRAINS] += n
                follow += n
            at += n


@njit(cache=True)
def free_clusters(s, p, bits, host, used, blocks, regions, listed, first, last):
    """Free the host clusters of guest clusters first to last; a table comes even where there was nothing to free."""
    for c in range(first, last + 1):
        if c == first or c & ((np.int64(1) << p[P_REGION]) - 1) == 0:
            add_table(s, p, used, blocks, regions, listed, c)
        if host[c]:
            clear_bits(used, host[c], host[c])
            clear_bits(bits, c, c)
            s[FREE] = min(s[FREE], host[c])
            host[c] = 0
            s[GRAINS] -= 1


@njit(cache=True)
def create_qcow2(s, p, used, blocks):
    """State of a new overlay: header, refcount table and block, L1 table. The maps are clear."""
    s[:] = 0
    shift = p[P_GRAIN]
    s[TABLE_AT], s[TABLE_SIZE], s[FIXED] = 1, 1, 3
    blocks[0] = 1
    claim(s, p, used, blocks, np.int64(0), np.int64(3))
    s[FREE] = 3
    count = (p[P_L1] + (np.int64(1) << shift) - 1) >> shift
    end = (allocate(s, p, used, blocks, count) << shift) + p[P_L1]
    s[FIXED] += count
    written = end if (end + (np.int64(1) << shift) - 1) >> shift == s[END] else s[END] << shift
    s[FILE] = written
    settle_qcow2(s, p)


@njit(cache=True)
def settle_qcow2(s, p):
    """Bring the counters that follow from the others up to date."""
    s[METADATA] = (s[FIXED] + s[TOUCHED]) << p[P_GRAIN]
    s[ALLOCATED] = s[FILE]
    if p[P_DISCARD] == DEALLOCATE:
        s[ALLOCATED] = min(s[FILE], s[METADATA] + (s[GRAINS] << p[P_GRAIN]))
    if p[P_UNIQUE] == UNIQUE_GRAINS:
        s[UNIQUE] = s[GRAINS] << p[P_GRAIN]


@njit(cache=True)
def clear_qcow2(s, p, host, used, blocks, listed):
    """Clear the map of the touched tables and everything up to the file's end; before the tables' own list is."""
    for k in range(s[TOUCHED]):
        first = listed[k] << p[P_REGION]
        host[first : first + (np.int64(1) << p[P_REGION])] = 0
    used[: (s[END] + 63) >> 6] = 0
    blocks[: ((s[END] - 1) >> (p[P_GRAIN] - COUNT_SHIFT)) + 2] = 0


@njit(cache=True)
def apply_qcow2(
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
    host,
    used,
    blocks,
    fresh,
):
    """Run requests from `start` on; index of the first one not done, which needs more room (steps or host clusters).

    `fresh`, unless it is empty, gets the clusters that each request adds (a discard: takes away) added to its entries.
    """
    shift = p[P_GRAIN]
    margin = np.int64(8) << (shift - COUNT_SHIFT)
    room = used.size << 6
    action, mode = p[P_DISCARD], p[P_UNIQUE]
    written, unique = s[WRITTEN], s[UNIQUE]
    done = op.size
    for i in range(start, op.size):
        if i + AHEAD < op.size:
            prefetch(host, offset[i + AHEAD] >> shift)
            if mode == UNIQUE_SECTORS:
                prefetch(sectors, offset[i + AHEAD] >> SECTOR_SHIFT >> 6)
        if length[i] <= 0:
            continue
        writes = op[i] == WRITE or op[i] == WRITE_SAME
        if writes:
            end = offset[i] + length[i] - 1
            first, last = offset[i] >> shift, end >> shift
        elif op[i] == DISCARD and action != IGNORE:
            first, last = discarded(offset[i], length[i], p)
            if first > last:
                continue
        else:
            continue
        if not (writes and first == last and host[first]):
            if s[GROWN] == at_s.size or 2 * s[END] + 4 * (last - first + 1) + margin > room:
                done = i
                break
            before = s[GRAINS]
            if writes:
                write_clusters(s, p, bits, host, used, blocks, regions, listed, first, last)
            else:
                free_clusters(s, p, bits, host, used, blocks, regions, listed, first, last)
            if fresh.size:
                fresh[i] += s[GRAINS] - before
            if s[END] << shift > s[FILE]:
                s[FILE] = s[END] << shift
                at_s[s[GROWN]] = time_s[i]
                size[s[GROWN]] = s[FILE]
                s[GROWN] += 1
        if writes:
            written += length[i]
            if mode == UNIQUE_SECTORS:
                low, high = offset[i] >> SECTOR_SHIFT, end >> SECTOR_SHIFT
                region = low >> SECTOR_REGION
                if region != high >> SECTOR_REGION or sector_regions[region] == 0:
                    s[SECTOR_REGIONS] = touch(
                        sector_regions, sector_listed, s[SECTOR_REGIONS], region, high >> SECTOR_REGION
                    )
                unique += set_bits(sectors, low, high) << SECTOR_SHIFT
    s[WRITTEN], s[UNIQUE] = written, unique
    settle_qcow2(s, p)
    return done
