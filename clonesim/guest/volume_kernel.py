"""A volume's operations: room and space are made sure of before anything changes, then the driver's way is taken."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import (
    ONE,
    R_BITMAP,
    R_EXTENT,
    R_FILE,
    R_MFT,
    R_NODE,
    R_OUT,
    R_QUEUE,
    R_RUNS,
    R_SLOT,
    R_STREAM,
    ZERO,
    apart,
    base,
    inner,
    next_equal,
    put,
    room,
)
from clonesim.guest.attribute_kernel import STREAM_NEXT
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    CLUSTERS,
    RECORD,
    clusters_for,
    extents,
    extents_room,
    file_clusters,
    file_size,
)
from clonesim.guest.index_kernel import index_room
from clonesim.guest.journal_kernel import USN_JOURNAL
from clonesim.guest.mft_kernel import LOWEST_FREE, MFT, MFT_BITMAP, MFT_STEP, ROOT_INDEX, lowest_record, mft_records
from clonesim.guest.ntfs3g_file_kernel import ntfs3g_create, ntfs3g_delete, ntfs3g_rename, ntfs3g_write
from clonesim.guest.ntfs3g_record_kernel import NEXT_RECORD
from clonesim.guest.ntfs3g_space_kernel import ntfs3g_mount
from clonesim.guest.policy_kernel import NTFS3G, POLICY, POSITION
from clonesim.guest.request_kernel import DISCARD, EMIT, LONGEST_WRITE, NOW, OUT, emit, request_room
from clonesim.guest.runs_kernel import BY_ADDRESS, LIST, POOLS, runs_room
from clonesim.guest.space_kernel import (
    BITMAP_PAGE,
    EVER,
    QUARANTINED,
    QUEUE_HEAD,
    QUEUE_TAIL,
    checkpoint,
    free_clusters,
    queue_room,
    reserve,
)
from clonesim.guest.windows_file_kernel import (
    RESIDENT_LIMIT,
    windows_append,
    windows_create,
    windows_delete,
    windows_overwrite,
    windows_rename,
)
from clonesim.ops import FileOp

KERNELS = "b848cbdae9100997"

CREATE, APPEND, OVERWRITE, DELETE = np.array(
    [int(FileOp.CREATE), int(FileOp.APPEND), int(FileOp.OVERWRITE), int(FileOp.DELETE)]
)
RENAME, TRIM = np.array([int(FileOp.RENAME), int(FileOp.TRIM)])
DONE, FLUSH, GROW, FULL = np.arange(4)  # outcome: all done; take the requests away; a region must grow; no space
BAD_OP, BAD_FILE, BAD_TIME, BAD_LENGTH, BAD_OFFSET, UNKNOWN, DUPLICATE = np.arange(
    1, 8
)  # what is wrong with an operation
SLACK = np.int64(4096)  # words or items kept free in every region, for an operation's small changes
LARGEST = np.int64(1 << 46)  # bytes of a file at most
PAGE_BYTES = np.int64(4096)
REQUESTS_A_PAGE = np.int64(12)  # at most, per page that ntfs-3g is handed


@inner
def new_clusters(m, f, op, length):
    """Clusters that an operation adds to a file."""
    apart()
    if op != CREATE and op != APPEND:
        return np.int64(0)
    size = file_size(m, f) if op == APPEND else np.int64(0)
    have = file_clusters(m, f) if op == APPEND else np.int64(0)
    if have == 0 and size + length <= m[RESIDENT_LIMIT] and m[POLICY] != NTFS3G:
        return np.int64(0)
    return clusters_for(m, size + length) - have


@inner
def room_for(m, f, op, length):
    """What an operation lacks: FLUSH, or GROW with region and words; DONE where all is there."""
    apart()
    need = new_clusters(m, f, op, length)
    waiting = m[QUEUE_TAIL] - m[QUEUE_HEAD]
    ntfs3g = m[POLICY] == NTFS3G
    pieces = need if ntfs3g else min(need, m[LIST + 4 * BY_ADDRESS + 3] + POOLS * waiting + 1)
    count = extents(m, f) if f >= 0 and op != TRIM else np.int64(0)
    system = extents(m, MFT) + extents(m, MFT_BITMAP) + extents(m, ROOT_INDEX) + extents(m, USN_JOURNAL)
    freed = count + extents(m, USN_JOURNAL)
    if m[EMIT]:
        moved = length // m[LONGEST_WRITE]
        if ntfs3g:
            moved = (length // PAGE_BYTES + 2) * REQUESTS_A_PAGE
        holes = free_runs(m) + POOLS * waiting if op == TRIM else np.int64(0)
        pages = m[CLUSTERS] // (8 * min(PAGE_BYTES, m[CLUSTER_BYTES]))
        requests = moved + 3 * (pieces + freed) + holes + pages + SLACK
        if request_room(m) < requests:
            return (FLUSH, 0, 0) if m[OUT] else (GROW, R_OUT, requests * 4)
    if runs_room(m) < pieces + POOLS * (waiting + freed) + SLACK:
        return GROW, R_RUNS, pieces + POOLS * (waiting + freed) + SLACK
    if queue_room(m) < freed + SLACK:
        return GROW, R_QUEUE, 2 * (freed + SLACK)
    if extents_room(m) < 4 * (count + pieces + system) + SLACK:
        return GROW, R_EXTENT, 4 * (count + pieces + system) + SLACK
    if index_room(m) < 64:
        return GROW, R_NODE, 0
    records = mft_records(m) + m[MFT_STEP] * m[CLUSTER_BYTES] // 1024 + pieces // 8 + SLACK
    if room(m, R_FILE) < records * RECORD or room(m, R_MFT) * 64 < records:
        return GROW, R_FILE, records
    if room(m, R_STREAM) < (m[STREAM_NEXT] + 16) * RECORD:
        return GROW, R_STREAM, 0
    return DONE, 0, 0


@inner
def space_for(m, f, op, length):
    """Whether the volume has the clusters for an operation; a checkpoint is forced before the answer is no."""
    apart()
    need = new_clusters(m, f, op, length)
    if op == DELETE or op == OVERWRITE or op == TRIM:
        return True
    need += reserve(m)
    if op == CREATE:
        record = m[LOWEST_FREE] + 1 if m[POLICY] == NTFS3G else lowest_record(m)
        if record >= mft_records(m):
            need += m[MFT_STEP]
    if m[POLICY] == NTFS3G and need > 0:
        need += need // 512 + 8
    if need > free_clusters(m) and m[QUARANTINED]:
        checkpoint(m, EVER)
    return need <= free_clusters(m)


@inner
def free_runs(m):
    """Number of free runs, across pools."""
    apart()
    count, c, end = np.int64(0), np.int64(0), m[CLUSTERS]
    while c < end:
        c = next_equal(m, R_BITMAP, next_equal(m, R_BITMAP, c, end, ZERO), end, ONE)
        count += 1
    return count


@inner
def trim(m):
    """Discard every free run."""
    apart()
    size, c, end = m[CLUSTER_BYTES], np.int64(0), m[CLUSTERS]
    while c < end:
        c = next_equal(m, R_BITMAP, c, end, ZERO)
        stop = next_equal(m, R_BITMAP, c, end, ONE)
        if stop > c:
            emit(m, DISCARD, c * size, (stop - c) * size)
        c = stop


@inner
def operate_delete(m, f):
    """Delete a file."""
    if m[POLICY] == NTFS3G:
        ntfs3g_delete(m, f)
    else:
        windows_delete(m, f)


@inner
def operate(m, op, f, offset, length, units, key, key_rest):
    """Do one operation whose room and space are sure; returns the file's record.

    A rename's `offset` is the record of the file that it replaces; -1: none.
    """
    apart()
    m[BITMAP_PAGE] = -1
    ntfs3g = m[POLICY] == NTFS3G
    if op == CREATE:
        if ntfs3g:
            return ntfs3g_create(m, units, key, key_rest, length)
        return windows_create(m, units, key, key_rest, length)
    if op == APPEND:
        if ntfs3g:
            ntfs3g_write(m, f, file_size(m, f), length)
        else:
            windows_append(m, f, length)
    elif op == OVERWRITE:
        if ntfs3g:
            ntfs3g_write(m, f, offset, length)
        else:
            windows_overwrite(m, f, offset, length)
    elif op == DELETE:
        operate_delete(m, f)
    elif op == RENAME:
        if offset >= 0:
            operate_delete(m, offset)
        if ntfs3g:
            ntfs3g_rename(m, f, units, key, key_rest)
        else:
            windows_rename(m, f, units, key, key_rest)
    else:
        trim(m)
    return f


@inner
def run_one(m, op, f, offset, length, units, key, key_rest):
    """One operation on a record: outcome, region or record, words."""
    apart()
    if new_clusters(m, f, op, length) > m[CLUSTERS]:
        return FULL, 0, 0
    status, region, words = room_for(m, offset if op == RENAME else f, op, length)
    if status != DONE:
        return status, region, words
    checkpoint(m, EVER if op == TRIM else m[NOW])
    if not space_for(m, f, op, length):
        return FULL, 0, 0
    return DONE, operate(m, op, f, offset, length, units, key, key_rest), 0


@inner
def mount(m):
    """First boot after a power-off: every position starts again."""
    m[POSITION] = 0
    m[NEXT_RECORD] = 0
    checkpoint(m, EVER)
    if m[POLICY] == NTFS3G:
        ntfs3g_mount(m)


@inner
def slot(m, number):
    """Record of a numbered file; -1 for none."""
    if number >= room(m, R_SLOT):
        return np.int64(-1)
    return m[base(m, R_SLOT) + number] - 1


@inner
def set_slot(m, number, record):
    """Let a number stand for a record (-1: for none)."""
    put(m, base(m, R_SLOT) + number, record + 1)


@inner
def first_bad_op(m, ops, sizes):
    """First operation that cannot be right and what is wrong with it; -1 where all can be.

    `sizes` is scratch space, -2 for each file number in use: sizes as they will be, -1 for no file.
    """
    apart()
    before = -np.inf
    for i in range(ops.size):
        op, number, time = ops[i]["op"], ops[i]["file"], ops[i]["time_s"]
        offset, length = ops[i]["offset"], ops[i]["length"]
        if op < CREATE or op > TRIM:
            return i, BAD_OP
        if not (time >= before and time >= 0 and time < 1e9):
            return i, BAD_TIME
        before = time
        if op == TRIM:
            continue
        if number < 0 or number >= sizes.size or (op == RENAME and (offset < 0 or offset >= sizes.size)):
            return i, BAD_FILE
        if sizes[number] == -2:
            f = slot(m, number)
            sizes[number] = file_size(m, f) if f >= 0 else -1
        if op == CREATE:
            if sizes[number] >= 0:
                return i, DUPLICATE
            if length < 0 or length > LARGEST:
                return i, BAD_LENGTH
            sizes[number] = length
            continue
        if sizes[number] < 0:
            return i, UNKNOWN
        if op == DELETE:
            sizes[number] = -1
        elif op == RENAME:
            size = sizes[number]
            sizes[number] = -1
            sizes[offset] = size
        elif length <= 0 or length > LARGEST - sizes[number] * (op == APPEND):
            return i, BAD_LENGTH
        elif op == APPEND:
            sizes[number] += length
        elif offset < 0 or offset > sizes[number] - length:
            return i, BAD_OFFSET
    return -1, 0
