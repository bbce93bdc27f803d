"""The operations of a volume under the ntfs-3g driver; numbered files are named by their number."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, R_NODE, R_STREAM, ZERO, apart, inner, room
from clonesim.guest.attribute_kernel import STREAM_NEXT
from clonesim.guest.file_kernel import CLUSTERS, RECORD, clusters_for, file_clusters, file_size
from clonesim.guest.folder_kernel import set_slot, slot
from clonesim.guest.index_kernel import INDEX_ROOM, index_room
from clonesim.guest.mft_kernel import LOWEST_FREE, MFT_STEP, mft_records
from clonesim.guest.ntfs3g_file_kernel import (
    ntfs3g_create,
    ntfs3g_delete,
    ntfs3g_rename,
    ntfs3g_scatter,
    ntfs3g_write,
)
from clonesim.guest.space_kernel import free_clusters, reserve
from clonesim.guest.volume_kernel import (
    APPEND,
    CREATE,
    DELETE,
    DONE,
    FULL,
    GROW,
    OVERWRITE,
    PAGE_BYTES,
    RENAME,
    SCATTER,
    TRIM,
    room_for,
    trim,
)
from clonesim.guest.windows_file_kernel import NAME_UNITS

KERNELS = "2c6c66b026b2c0cb"

REQUESTS_A_PAGE = np.int64(12)  # at most, per page that the driver is handed


@inner
def ntfs3g_ready(m, f, freed, op, length):
    """Make sure of room and space for an operation: an outcome, and with GROW a region and words."""
    apart()
    need = ZERO
    if op == CREATE or op == APPEND:
        have, size = (ZERO, ZERO) if op == CREATE else (file_clusters(m, f), file_size(m, f))
        need = clusters_for(m, size + length) - have
    if need > m[CLUSTERS]:
        return FULL, ZERO, ZERO
    if index_room(m) < INDEX_ROOM:
        return GROW, R_NODE, ZERO
    if room(m, R_STREAM) < (m[STREAM_NEXT] + 16) * RECORD:
        return GROW, R_STREAM, ZERO
    status, region, words = room_for(m, freed, op, need, (length // PAGE_BYTES + 2) * REQUESTS_A_PAGE)
    if status != DONE:
        return status, region, words
    if op == CREATE or op == APPEND or op == RENAME:
        need += reserve(m)
        if op == CREATE and m[LOWEST_FREE] + 1 >= mft_records(m):
            need += m[MFT_STEP]
        need += need // 512 + 8
        if need > free_clusters(m):
            return FULL, ZERO, ZERO
    return DONE, ZERO, ZERO


@inner
def run_ntfs3g(m, op, f, offset, length, units, key, key_rest):
    """One operation: outcome, region or record, words; `offset` is the record a rename replaces (-1: none)."""
    apart()
    freed = offset if op == RENAME else f
    status, region, words = ntfs3g_ready(m, f, freed, op, length)
    if status != DONE:
        return status, region, words
    if op == CREATE:
        f = ntfs3g_create(m, units, key, key_rest, length)
    elif op == APPEND:
        ntfs3g_write(m, f, file_size(m, f), length)
    elif op == OVERWRITE:
        ntfs3g_write(m, f, offset, length)
    elif op == SCATTER:
        ntfs3g_scatter(m, f, offset, length)
    elif op == DELETE:
        ntfs3g_delete(m, f)
    elif op == RENAME:
        if offset >= 0:
            ntfs3g_delete(m, offset)
        ntfs3g_rename(m, f, units, key, key_rest)
    else:
        trim(m)
    return DONE, f, ZERO


@inner
def run_numbered_ntfs3g(m, op, number, offset, length):
    """One operation on a numbered file; `offset` is a rename's target and a scatter's key."""
    f = slot(m, number) if op != CREATE and op != TRIM else NONE
    target, place = number, offset
    if op == RENAME:
        target, place = offset, slot(m, offset)
    status, region, words = run_ntfs3g(m, op, f, place, length, m[NAME_UNITS], target, ZERO)
    if status != DONE:
        return status, region, words
    if op == CREATE:
        set_slot(m, number, region)
    elif op == DELETE:
        set_slot(m, number, NONE)
    elif op == RENAME:
        set_slot(m, number, NONE)
        set_slot(m, target, f)
    return DONE, ZERO, ZERO
