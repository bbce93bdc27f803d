"""A Windows volume's operations, on numbered and on named files."""

from __future__ import annotations

from clonesim.guest.arena_kernel import NONE, ONE, R_MFT, ZERO, apart, inner, next_equal, room
from clonesim.guest.file_kernel import CLUSTER_BYTES, CLUSTERS, clusters_for, file_clusters, file_size
from clonesim.guest.folder_kernel import (
    folder_lacks,
    numbered_append,
    numbered_create,
    numbered_delete,
    numbered_rename,
    slot,
)
from clonesim.guest.mft_kernel import MFT_STEP, lowest_record, mft_records
from clonesim.guest.request_kernel import GUEST_PAGE, LONGEST_WRITE, NOW
from clonesim.guest.runs_kernel import BY_ADDRESS, LIST, POOLS
from clonesim.guest.space_kernel import (
    BITMAP_PAGE,
    EVER,
    QUARANTINED,
    QUEUE_HEAD,
    QUEUE_TAIL,
    checkpoint,
    free_clusters,
    reserve,
)
from clonesim.guest.volume_kernel import (
    APPEND,
    CREATE,
    DELETE,
    DONE,
    FULL,
    OVERWRITE,
    RENAME,
    SCATTER,
    TRIM,
    room_for,
    trim,
)
from clonesim.guest.windows_file_kernel import RESIDENT_LIMIT, windows_overwrite, windows_scatter

KERNELS = "2c6c66b026b2c0cb"


@inner
def new_clusters(m, f, op, length):
    """Clusters that an operation adds to a file's data."""
    if op == CREATE:
        return ZERO if length <= m[RESIDENT_LIMIT] else clusters_for(m, length)
    if op != APPEND:
        return ZERO
    size, have = file_size(m, f), file_clusters(m, f)
    if have == 0 and size + length <= m[RESIDENT_LIMIT]:
        return ZERO
    return clusters_for(m, size + length) - have


@inner
def new_records(m, records):
    """Clusters that $MFT takes to give so many records."""
    number = lowest_record(m)
    if records > 1:
        number = next_equal(m, R_MFT, number + 1, room(m, R_MFT) * 64, ZERO)
    return m[MFT_STEP] if number >= mft_records(m) else ZERO


@inner
def windows_ready(m, f, freed, op, length, records, clusters):
    """Make sure of room and space for an operation: an outcome, and with GROW a region and words.

    `freed`: record whose extents it frees at most; `records`, `clusters`: what its directory takes.
    """
    apart()
    need = new_clusters(m, f, op, length)
    if need > m[CLUSTERS]:
        return FULL, ZERO, ZERO
    pieces = min(need, m[LIST + 4 * BY_ADDRESS + 3] + POOLS * (m[QUEUE_TAIL] - m[QUEUE_HEAD]) + 1) + clusters
    moved = length // m[LONGEST_WRITE]
    if op == SCATTER:  # a page may lie in as many pieces as it has clusters
        moved = (length // GUEST_PAGE + 1) * max(ONE, GUEST_PAGE // m[CLUSTER_BYTES])
    status, region, words = room_for(m, freed, op, pieces, moved)
    if status != DONE:
        return status, region, words
    checkpoint(m, EVER if op == TRIM else m[NOW])
    m[BITMAP_PAGE] = -1
    if op == CREATE or op == APPEND or op == RENAME:
        need += reserve(m) + clusters
        if records:
            need += new_records(m, records)
        if need > free_clusters(m) and m[QUARANTINED]:
            checkpoint(m, EVER)
        if need > free_clusters(m):
            return FULL, ZERO, ZERO
    return DONE, ZERO, ZERO


@inner
def run_numbered(m, op, number, offset, length):
    """One operation on a numbered file; `offset` is a rename's target and a scatter's key."""
    records, clusters, f, freed = ZERO, ZERO, NONE, NONE
    if op == CREATE:
        records, clusters = folder_lacks(m, number)
        records += ONE
    elif op != TRIM:
        f = slot(m, number)
        freed = f
        if op == RENAME:
            records, clusters = folder_lacks(m, offset)
            freed = slot(m, offset)
    status, region, words = windows_ready(m, f, freed, op, length, records, clusters)
    if status != DONE:
        return status, region, words
    if op == CREATE:
        numbered_create(m, number, length)
    elif op == DELETE:
        numbered_delete(m, number)
    elif op == APPEND:
        numbered_append(m, number, length)
    elif op == OVERWRITE:
        windows_overwrite(m, f, offset, length)
    elif op == SCATTER:
        windows_scatter(m, f, offset, length)
    elif op == RENAME:
        numbered_rename(m, number, offset)
    else:
        trim(m)
    return DONE, ZERO, ZERO
