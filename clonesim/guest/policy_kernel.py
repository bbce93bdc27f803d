"""Which free run a request gets: one function per policy, chosen by an integer code.

All policies but `ntfs3g` (its own module) share the frame of `pick`: pools are taken in order (everyday space, freed
clusters under `fresh-first`, the MFT zone last); a request that follows a file's last cluster gets the free clusters
right behind it (the hint); only then does the policy choose a run.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, R_BITMAP, ZERO, apart, bit, inner, put
from clonesim.guest.runs_kernel import (
    BY_ADDRESS,
    BY_SIZE,
    LIST,
    MASK,
    POOL_FREE,
    POOLS,
    RUNS_SCALARS,
    at_least,
    at_most,
    block_at,
    entry_at,
    find_entry,
    find_key,
    key_high,
    key_low,
    key_pool,
    longest_of,
    pack,
    run_holding,
)

KERNELS = "2c6c66b026b2c0cb"

FRESH_FIRST, BEST_FIT, FIRST_FIT, NEXT_FIT, WORST_FIT, WINDOWS, NTFS3G = np.arange(7)

# Header words
POLICY = RUNS_SCALARS
POSITION = POLICY + 1  # next-fit, worst-fit: end of the previous allocation
CACHE = POSITION + 1  # windows: the free runs that the driver knows, longest first; 0 for all
UNIT_FIRST = CACHE + 1  # windows: clusters of a stream's first extension
UNIT_GROWTH = UNIT_FIRST + 1  # windows: factor from one extension to the next
POLICY_SCALARS = UNIT_GROWTH + 1


@inner
def open_pool(m):
    """First pool that has free clusters; POOLS where none has."""
    for pool in range(POOLS):
        if m[POOL_FREE + pool] > 0:
            return pool
    return POOLS


@inner
def longest_lowest(m, pool):
    """Longest run of a pool (ties: the lowest address), as a key by address."""
    apart()
    length = key_high(at_most(m, BY_SIZE, pack(pool, MASK, MASK)))
    key = at_least(m, BY_SIZE, pack(pool, length, ZERO))
    return pack(pool, key_low(key), length)


@inner
def cached_floor(m, pool):
    """Lowest key by size that is as long as the CACHE-th longest run of the pool."""
    apart()
    top = pack(pool, MASK, MASK)
    wanted, d = m[CACHE], find_entry(m, BY_SIZE, top)
    while d >= 0:
        entry = entry_at(m, BY_SIZE, d)
        block = block_at(m, BY_SIZE, entry)
        keys = find_key(m, block, m[entry + 1] & 0xFFFF, top)
        if keys >= wanted:
            return m[block + keys - wanted] & ~MASK
        wanted -= keys
        d -= 1
    return pack(pool, ZERO, ZERO)


@inner
def best_fit(m, pool, need, floor):
    """Shortest run >= need not below `floor` (ties: lowest address); else the longest. A key by address."""
    apart()
    key = at_least(m, BY_SIZE, max(floor, pack(pool, need, ZERO)))
    if key >= 0 and key_pool(key) == pool:
        return pack(pool, key_low(key), key_high(key))
    return longest_lowest(m, pool)


@inner
def first_run(m, pool, need, start):
    """First run of the pool from cluster `start` on that holds `need`, as a key by address; -1 where none does."""
    apart()
    entries = m[LIST + 4 * BY_ADDRESS]
    d = find_entry(m, BY_ADDRESS, pack(pool, start, ZERO))
    while d < entries:
        entry = entry_at(m, BY_ADDRESS, d)
        if m[entry + 2] >= need:
            block, keys = block_at(m, BY_ADDRESS, entry), m[entry + 1] & 0xFFFF
            for i in range(block, block + keys):
                key = m[i]
                if key_low(key) >= need and key >= pack(pool, start, ZERO):
                    return key if key_pool(key) == pool else NONE
            put(m, entry + 2, longest_of(m, entry))
        if key_pool(m[entry]) > pool:
            return NONE
        d += 1
    return NONE


@inner
def first_fit(m, pool, need):
    """Lowest run that holds the request; else the lowest run. A key by address."""
    key = first_run(m, pool, need, ZERO)
    return key if key >= 0 else at_least(m, BY_ADDRESS, pack(pool, ZERO, ZERO))


@inner
def next_fit(m, pool, need):
    """First free place at or behind the previous allocation's end that holds the request, else around the volume.

    Returns a key by address and the cluster to start at: the run that holds the position counts from the position on.
    """
    apart()
    position = m[POSITION]
    key = at_most(m, BY_ADDRESS, pack(pool, position, MASK))
    if key >= 0 and key_pool(key) == pool and key_high(key) + key_low(key) - position >= need:
        return key, max(position, key_high(key))
    key = first_run(m, pool, need, position)
    if key < 0:
        key = first_run(m, pool, need, ZERO)
    if key < 0:  # nothing holds it: the next run, whatever its size
        key = at_least(m, BY_ADDRESS, pack(pool, position, ZERO))
        if key < 0 or key_pool(key) != pool:
            key = at_least(m, BY_ADDRESS, pack(pool, ZERO, ZERO))
    return key, key_high(key)


@inner
def pick(m, need, hint):
    """Free run for a request of `need` clusters that would like to start at `hint` (-1: anywhere).

    Returns the run's key by address and the cluster to start at.
    """
    apart()
    pool = open_pool(m)
    if hint < 0 and m[POLICY] == WORST_FIT:
        hint = m[POSITION]
    if hint >= 0 and not bit(m, R_BITMAP, hint):
        key = run_holding(m, hint)
        if key >= 0 and key_pool(key) == pool:
            return key, hint
    policy = m[POLICY]
    if policy == BEST_FIT:
        key = best_fit(m, pool, need, ZERO)
    elif policy == WINDOWS:
        floor = cached_floor(m, pool) if 0 < m[CACHE] < m[LIST + 4 * BY_SIZE + 3] else 0
        key = best_fit(m, pool, need, floor)
    elif policy == WORST_FIT:
        key = longest_lowest(m, pool)
    elif policy == NEXT_FIT:
        return next_fit(m, pool, need)
    else:  # FIRST_FIT, and FRESH_FIRST inside its pools
        key = first_fit(m, pool, need)
    return key, key_high(key)
