"""Free runs of clusters, found by address and by size: two sorted lists of packed words.

A run is one word, so both lists are sorted lists of int64:

- by address: pool | start | length
- by size:    pool | length | start

A list is a directory of blocks of up to 128 keys each: a search is two binary searches, a change moves at most one
block. A *pool* is a class of free clusters that policies take in order: 0 everyday space, 1 freed clusters
(`fresh-first` only), 2 the MFT zone. A run never crosses pools.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import (
    NONE,
    R_BITMAP,
    R_RUNS,
    R_RUNS_DIR,
    R_WRITTEN,
    SCALARS,
    ZERO,
    apart,
    base,
    bit,
    clear_bits,
    inner,
    next_equal,
    opaque,
    put,
    room,
    set_bits,
    touch_range,
)

KERNELS = "2c6c66b026b2c0cb"

FIELD = np.int64(30)  # bits of a start or a length: at most 2**30 clusters
MASK = (1 << FIELD) - 1
POOLS = np.int64(3)
NO_RUN = np.int64(1) << (2 * FIELD)
FRESH, FREED, ZONE = np.array([0, 1, 2])
BY_ADDRESS, BY_SIZE = np.array([0, 1])
BLOCK = np.int64(128)  # keys of a block
ENTRY = np.int64(
    3
)  # words of a directory entry: lowest key, block * 2**16 + keys, longest run (an upper bound; by address)

# Header words
LIST = SCALARS  # 4 words a list: directory entries, blocks ever used, first free block + 1, keys
POOL_FREE = LIST + 8  # free clusters of each pool
ZONE_START = POOL_FREE + POOLS  # the MFT zone: clusters kept for the MFT
ZONE_END = ZONE_START + 1
SPLIT_FRESH = ZONE_END + 1  # 1: never-written and freed clusters are different pools
FOUND = SPLIT_FRESH + 1  # a word a list, where its last search ended: directory entry, key of its block
RUNS_SCALARS = FOUND + 2


@inner
def pack(pool, high, low):
    """Key of a run."""
    return (np.int64(pool) << (2 * FIELD)) | (np.int64(high) << FIELD) | np.int64(low)


@inner
def key_pool(key):
    """Pool of a key."""
    return key >> (2 * FIELD)


@inner
def key_high(key):
    """Start of a key by address, length of a key by size."""
    return (key >> FIELD) & MASK


@inner
def key_low(key):
    """Length of a key by address, start of a key by size."""
    return key & MASK


@inner
def entry_at(m, which, d):
    """Word of directory entry `d`."""
    return base(m, R_RUNS_DIR + 2 * which) + ENTRY * d


@inner
def block_at(m, which, entry):
    """Word of the first key of the block that the entry at word `entry` names."""
    return base(m, R_RUNS + 2 * which) + BLOCK * (m[entry + 1] >> 16)


@inner
def below(a, b):
    """-1 where key a is less than key b, else 0, without a branch; keys stay below 2**62."""
    return opaque(a - b) >> 63


@inner
def find_entry(m, which, key):
    """Last directory entry whose lowest key is <= key; 0 where there is none."""
    apart()
    directory = base(m, R_RUNS_DIR + 2 * which)
    low, left = np.int64(0), m[LIST + 4 * which]
    while left > 1:  # no branch on the comparison: it cannot be predicted
        half = left >> 1
        low += half & below(m[directory + ENTRY * (low + half)], key + 1)
        left -= half
    return low


@inner
def find_key(m, block, keys, key):
    """Number of keys of a block that are < key."""
    if keys == 0:
        return np.int64(0)
    low, left = np.int64(0), keys
    while left > 1:
        half = left >> 1
        low += half & below(m[block + low + half - 1], key)
        left -= half
    return low - below(m[block + low], key)


@inner
def new_block(m, which):
    """Take a block out of the list's store; the caller made sure that there is one (`runs_room`)."""
    apart()
    head = LIST + 4 * which
    if m[head + 2]:
        block = m[head + 2] - 1
        m[head + 2] = m[base(m, R_RUNS + 2 * which) + BLOCK * block]
        return block
    m[head + 1] += 1
    return m[head + 1] - 1


@inner
def runs_room(m):
    """Number of runs that can surely be added before a region must grow."""
    apart()
    spare = np.int64(1) << 40
    for which in range(2):
        blocks = room(m, R_RUNS + 2 * which) // BLOCK - m[LIST + 4 * which + 1]
        entries = (room(m, R_RUNS_DIR + 2 * which) // ENTRY) - m[LIST + 4 * which]
        spare = min(spare, min(blocks, entries) * (BLOCK // 2))
    return spare - BLOCK


@inner
def open_entry(m, which, d, low_key, packed):
    """Insert a directory entry at position d."""
    apart()
    head = LIST + 4 * which
    first, last = entry_at(m, which, d), entry_at(m, which, m[head])
    touch_range(m, first, last + ENTRY - 1)
    for i in range(last - 1, first - 1, -1):
        m[i + ENTRY] = m[i]
    m[first], m[first + 1], m[first + 2] = low_key, packed, 0
    m[head] += 1


@inner
def close_entry(m, which, d):
    """Remove directory entry d and give its block back."""
    apart()
    head = LIST + 4 * which
    first, last = entry_at(m, which, d), entry_at(m, which, m[head])
    block = m[first + 1] >> 16
    put(m, base(m, R_RUNS + 2 * which) + BLOCK * block, m[head + 2])
    m[head + 2] = block + 1
    touch_range(m, first, last - 1)
    for i in range(first, last - ENTRY):
        m[i] = m[i + ENTRY]
    m[head] -= 1


@inner
def longest_of(m, entry):
    """Length of the longest run of a block by address."""
    apart()
    block, keys, longest = block_at(m, BY_ADDRESS, entry), m[entry + 1] & 0xFFFF, np.int64(0)
    for i in range(block, block + keys):
        longest = max(longest, key_low(m[i]))
    return longest


@inner
def split_entry(m, which, d):
    """Move the upper half of a full block into a new one."""
    apart()
    entry = entry_at(m, which, d)
    block, half = block_at(m, which, entry), BLOCK // 2
    fresh = new_block(m, which)
    target = base(m, R_RUNS + 2 * which) + BLOCK * fresh
    touch_range(m, target, target + half - 1)
    for i in range(half):
        m[target + i] = m[block + half + i]
    open_entry(m, which, d + 1, m[target], (fresh << 16) | half)
    put(m, entry + 1, (m[entry + 1] >> 16 << 16) | half)
    if which == BY_ADDRESS:
        m[entry + 2] = longest_of(m, entry)
        m[entry + ENTRY + 2] = longest_of(m, entry + ENTRY)


@inner
def locate(m, which, key):
    """Where a key is or belongs: directory entry, its word, first word of its block, keys there, keys below it."""
    apart()
    d, i = m[FOUND + which] >> 16, m[FOUND + which] & 0xFFFF
    if d < m[LIST + 4 * which]:  # most often the run that the policy has just found
        entry = entry_at(m, which, d)
        keys, block = m[entry + 1] & 0xFFFF, block_at(m, which, entry)
        if i < keys and m[block + i] == key:
            return d, entry, block, keys, i
    d = find_entry(m, which, key)
    entry = entry_at(m, which, d)
    keys, block = m[entry + 1] & 0xFFFF, block_at(m, which, entry)
    return d, entry, block, keys, find_key(m, block, keys, key)


@inner
def insert_at(m, which, d, entry, block, keys, i, key):
    """Insert a key at the place that `locate` found for it."""
    apart()
    m[LIST + 4 * which + 3] += 1
    if keys == BLOCK:
        split_entry(m, which, d)
        d, entry, block, keys, i = locate(m, which, key)
    at = block + i
    touch_range(m, at, block + keys)
    for k in range(block + keys, at, -1):
        m[k] = m[k - 1]
    m[at] = key
    touch_range(m, entry, entry + 2)
    m[entry] = m[block]
    m[entry + 1] += 1
    if which == BY_ADDRESS:
        m[entry + 2] = max(m[entry + 2], key_low(key))


@inner
def drop_at(m, which, d, entry, block, keys, i):
    """Remove the key at a place that `locate` found."""
    apart()
    m[LIST + 4 * which + 3] -= 1
    if keys == 1:
        close_entry(m, which, d)
        return
    at = block + i
    touch_range(m, at, block + keys - 1)
    for k in range(at, block + keys - 1):
        m[k] = m[k + 1]
    touch_range(m, entry, entry + 1)
    m[entry] = m[block]
    m[entry + 1] -= 1


@inner
def swap_at(m, which, entry, block, i, new):
    """Change the key at a place that `locate` found; the caller knows that the order stays."""
    put(m, block + i, new)
    touch_range(m, entry, entry + 2)
    m[entry] = m[block]
    if which == BY_ADDRESS:
        m[entry + 2] = max(m[entry + 2], key_low(new))


@inner
def add_key(m, which, key):
    """Insert a key that is not in the list."""
    if m[LIST + 4 * which] == 0:
        open_entry(m, which, ZERO, key, new_block(m, which) << 16)
    d, entry, block, keys, i = locate(m, which, key)
    insert_at(m, which, d, entry, block, keys, i, key)


@inner
def drop_key(m, which, key):
    """Remove a key that is in the list."""
    d, entry, block, keys, i = locate(m, which, key)
    drop_at(m, which, d, entry, block, keys, i)


@inner
def swap_key(m, which, old, new):
    """Change a key in place; the caller knows that the order stays."""
    _, entry, block, _, i = locate(m, which, old)
    swap_at(m, which, entry, block, i, new)


@inner
def at_least(m, which, key):
    """Lowest key >= key; -1 where there is none."""
    apart()
    if m[LIST + 4 * which] == 0:
        return np.int64(-1)
    d = find_entry(m, which, key)
    entry = entry_at(m, which, d)
    keys, block = m[entry + 1] & 0xFFFF, block_at(m, which, entry)
    i = find_key(m, block, keys, key)
    if i < keys:
        m[FOUND + which] = (d << 16) | i
        return m[block + i]
    m[FOUND + which] = (d + 1) << 16
    return m[entry + ENTRY] if d + 1 < m[LIST + 4 * which] else np.int64(-1)


@inner
def at_most(m, which, key):
    """Highest key <= key; -1 where there is none."""
    apart()
    if m[LIST + 4 * which] == 0:
        return np.int64(-1)
    d = find_entry(m, which, key)
    entry = entry_at(m, which, d)
    keys, block = m[entry + 1] & 0xFFFF, block_at(m, which, entry)
    i = find_key(m, block, keys, key + 1)
    if i == 0:
        return NONE
    m[FOUND + which] = (d << 16) | (i - 1)
    return m[block + i - 1]


@inner
def add_run(m, pool, start, length):
    """Put a run into both lists, joined with its free neighbours of the same pool."""
    apart()
    m[POOL_FREE + pool] += length
    if m[LIST + 4 * BY_ADDRESS] == 0:
        add_key(m, BY_ADDRESS, pack(pool, start, length))
        add_key(m, BY_SIZE, pack(pool, length, start))
        return
    d, entry, block, keys, i = locate(m, BY_ADDRESS, pack(pool, start, ZERO))
    before = m[block + i - 1] if i > 0 else NONE
    after = NONE
    if i < keys:
        after = m[block + i]
    elif d + 1 < m[LIST + 4 * BY_ADDRESS]:
        after = m[entry + ENTRY]
    joins_before = before >= 0 and key_pool(before) == pool and key_high(before) + key_low(before) == start
    joins_after = after >= 0 and key_pool(after) == pool and key_high(after) == start + length
    if joins_after:
        drop_key(m, BY_SIZE, pack(pool, key_low(after), key_high(after)))
        length += key_low(after)
    if joins_before:
        drop_key(m, BY_SIZE, pack(pool, key_low(before), key_high(before)))
        start = key_high(before)
        length += key_low(before)
        swap_at(m, BY_ADDRESS, entry, block, i - 1, pack(pool, start, length))
        if joins_after:
            drop_key(m, BY_ADDRESS, after)
    elif joins_after and i < keys:
        swap_at(m, BY_ADDRESS, entry, block, i, pack(pool, start, length))
    elif joins_after:
        swap_key(m, BY_ADDRESS, after, pack(pool, start, length))
    else:
        insert_at(m, BY_ADDRESS, d, entry, block, keys, i, pack(pool, start, length))
    add_key(m, BY_SIZE, pack(pool, length, start))


@inner
def take_part(m, key, start, length):
    """Take clusters out of the free run `key` (by address) that holds them, and set their bits."""
    apart()
    pool, run, size = key_pool(key), key_high(key), key_low(key)
    m[POOL_FREE + pool] -= length
    left, right = start - run, run + size - start - length
    drop_key(m, BY_SIZE, pack(pool, size, run))
    if left:
        swap_key(m, BY_ADDRESS, key, pack(pool, run, left))
        add_key(m, BY_SIZE, pack(pool, left, run))
        if right:
            add_key(m, BY_ADDRESS, pack(pool, start + length, right))
    elif right:
        swap_key(m, BY_ADDRESS, key, pack(pool, start + length, right))
    else:
        drop_key(m, BY_ADDRESS, key)
    if right:
        add_key(m, BY_SIZE, pack(pool, right, start + length))
    set_bits(m, R_BITMAP, start, length)


@inner
def first_run_of(m, pool):
    """Directory entry and place in its block of a pool's lowest run, or of where it would be."""
    if m[LIST + 4 * BY_ADDRESS] == 0:
        return ZERO, ZERO
    d, _, _, keys, i = locate(m, BY_ADDRESS, pack(pool, ZERO, ZERO))
    return (d, i) if i < keys else (d + 1, ZERO)


@inner
def run_at(m, d, i, pool):
    """Start and length of the run at a place, packed without its pool; NO_RUN behind the pool's last one."""
    if d >= m[LIST + 4 * BY_ADDRESS]:
        return NO_RUN
    key = m[block_at(m, BY_ADDRESS, entry_at(m, BY_ADDRESS, d)) + i]
    return key & (NO_RUN - 1) if key_pool(key) == pool else NO_RUN


@inner
def run_behind(m, d, i):
    """The next place."""
    return (d, i + 1) if i + 1 < m[entry_at(m, BY_ADDRESS, d) + 1] & 0xFFFF else (d + 1, ZERO)


@inner
def run_holding(m, c):
    """Key by address of the free run that holds cluster c; -1 where it is not free."""
    apart()
    pool = cluster_pool(m, c)
    key = at_most(m, BY_ADDRESS, pack(pool, c, MASK))
    if key >= 0 and key_pool(key) == pool and key_high(key) + key_low(key) > c:
        return key
    return np.int64(-1)


@inner
def cluster_pool(m, c):
    """Pool to which cluster c belongs when it is free."""
    if m[SPLIT_FRESH] and bit(m, R_WRITTEN, c):
        return FREED
    return ZONE if m[ZONE_START] <= c < m[ZONE_END] else FRESH


@inner
def pool_end(m, c, end):
    """First cluster from c on, below end, that belongs to another pool than c."""
    apart()
    inside = m[ZONE_START] <= c < m[ZONE_END]
    if m[SPLIT_FRESH]:
        written = bit(m, R_WRITTEN, c)
        end = next_equal(m, R_WRITTEN, c, end, 1 - written)
        if written:
            return end
    if inside:
        return min(end, m[ZONE_END])
    return min(end, m[ZONE_START]) if c < m[ZONE_START] else end


@inner
def release(m, start, length):
    """Make clusters free: clear their bits and put them into the pools they belong to."""
    apart()
    clear_bits(m, R_BITMAP, start, length)
    c, end = start, start + length
    while c < end:
        stop = pool_end(m, c, end)
        add_run(m, cluster_pool(m, c), c, stop - c)
        c = stop
