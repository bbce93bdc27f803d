"""$MFT: which record a new file gets, how $MFT and its bitmap grow, and where a record lies on disk."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, ONE, R_MFT, ZERO, apart, clear_bits, inner, next_equal, room, set_bits
from clonesim.guest.file_kernel import CLUSTER_BYTES, USED, add_extent, end_cluster, file_clusters, set_size
from clonesim.guest.ntfs3g_space_kernel import NTFS3G_SCALARS
from clonesim.guest.policy_kernel import longest_lowest, pick
from clonesim.guest.request_kernel import GUEST_PAGE, write_metadata
from clonesim.guest.runs_kernel import (
    BY_ADDRESS,
    FRESH,
    POOL_FREE,
    ZONE,
    ZONE_END,
    ZONE_START,
    at_least,
    key_high,
    key_low,
    key_pool,
    pack,
    release,
    run_holding,
    take_part,
)
from clonesim.guest.space_kernel import allocate, write_bitmap_pages

KERNELS = "2c6c66b026b2c0cb"

MFT, MFT_MIRROR, LOG_FILE, MFT_BITMAP, ROOT_INDEX, BITMAP_FILE = np.array([0, 1, 2, 3, 5, 6])
RECORD_BYTES = np.int64(1024)
MIRRORED = np.int64(4)  # records that have a copy in $MFTMirr

# Header words
FIRST_RECORD = NTFS3G_SCALARS  # files get no record below this one
LOWEST_FREE = FIRST_RECORD + 1  # no free record below this one
MFT_STEP = LOWEST_FREE + 1  # clusters by which $MFT grows
ZONE_STEP = MFT_STEP + 1  # clusters of another zone once the first is used up; 0: none
MFT_SCALARS = ZONE_STEP + 1


@inner
def mft_records(m):
    """Records that $MFT has clusters for."""
    return file_clusters(m, MFT) * m[CLUSTER_BYTES] // RECORD_BYTES


@inner
def write_record(m, number):
    """An MFT record goes to disk; the first four also to the mirror."""
    write_metadata(m, MFT, number * RECORD_BYTES, RECORD_BYTES, False)
    if number < MIRRORED:
        write_metadata(m, MFT_MIRROR, number * RECORD_BYTES, RECORD_BYTES, False)


@inner
def new_zone(m):
    """Keep another stretch of free space for the MFT: the start of the longest everyday run."""
    apart()
    if m[ZONE_STEP] == 0 or m[POOL_FREE + FRESH] == 0:
        return
    run = longest_lowest(m, FRESH)
    length = min(m[ZONE_STEP], key_low(run))
    start = key_high(run)
    take_part(m, run, start, length)
    m[ZONE_START], m[ZONE_END] = start, start + length
    release(m, start, length)


@inner
def grow_mft(m):
    """Give $MFT another step: behind its last cluster, else in its zone, else anywhere."""
    apart()
    have, need = file_clusters(m, MFT), m[MFT_STEP]
    m[USED] += need
    while need > 0:
        if m[POOL_FREE + ZONE] == 0:
            new_zone(m)
        start = end_cluster(m, MFT, have)
        key = run_holding(m, start)
        length = key_high(key) + key_low(key) - start
        if key < 0:
            key = at_least(m, BY_ADDRESS, pack(ZONE, ZERO, ZERO))
            start, length = key_high(key), key_low(key)
            if key < 0 or key_pool(key) != ZONE:
                key, start = pick(m, need, NONE)
                length = key_high(key) + key_low(key) - start
        length = min(need, length)
        take_part(m, key, start, length)
        add_extent(m, MFT, have, start)
        write_bitmap_pages(m, start, length)
        have, need = have + length, need - length
        set_size(m, MFT, have * m[CLUSTER_BYTES])
    write_record(m, MFT)


@inner
def grow_plain(m, f):
    """Give a system file one more cluster, by the volume's policy."""
    have = file_clusters(m, f)
    allocate(m, f, have, ONE, False)
    set_size(m, f, (have + 1) * m[CLUSTER_BYTES])


@inner
def write_mft_bit(m, number):
    """The page of the MFT's bitmap that holds a record's bit goes to disk."""
    size = min(GUEST_PAGE, m[CLUSTER_BYTES])
    write_metadata(m, MFT_BITMAP, number // 8 // size * size, size, False)


@inner
def lowest_record(m):
    """Lowest free record, which may lie behind the end of $MFT."""
    m[LOWEST_FREE] = next_equal(m, R_MFT, max(m[LOWEST_FREE], m[FIRST_RECORD]), room(m, R_MFT) * 64, ZERO)
    return m[LOWEST_FREE]


@inner
def take_record(m):
    """Take the lowest free record."""
    apart()
    number = lowest_record(m)
    while number >= mft_records(m):
        grow_mft(m)
    while number >= file_clusters(m, MFT_BITMAP) * m[CLUSTER_BYTES] * 8:
        grow_plain(m, MFT_BITMAP)
    set_bits(m, R_MFT, number, ONE)
    m[LOWEST_FREE] = number + 1
    write_mft_bit(m, number)
    return number


@inner
def give_record(m, number):
    """Free a record."""
    clear_bits(m, R_MFT, number, ONE)
    m[LOWEST_FREE] = min(m[LOWEST_FREE], number)
    write_mft_bit(m, number)
