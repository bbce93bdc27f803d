"""What every volume's operations share: whether its regions have room, a batch's checks, discarding free space.

Room and space are made sure of before anything changes; then a driver's way is taken (`windows_volume_kernel`,
`ntfs3g_volume_kernel`).
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import (
    NONE,
    ONE,
    R_BITMAP,
    R_EXTENT,
    R_FILE,
    R_MFT,
    R_OUT,
    R_QUEUE,
    R_RUNS,
    ZERO,
    apart,
    inner,
    next_equal,
    room,
)
from clonesim.guest.file_kernel import CLUSTER_BYTES, CLUSTERS, RECORD, extents, extents_room, file_size
from clonesim.guest.folder_kernel import fetch_ahead, slot
from clonesim.guest.journal_kernel import USN_JOURNAL
from clonesim.guest.mft_kernel import MFT, MFT_BITMAP, MFT_STEP, ROOT_INDEX, mft_records
from clonesim.guest.policy_kernel import NTFS3G, POLICY
from clonesim.guest.request_kernel import DISCARD, EMIT, NOW, OUT, SOURCE, emit, request_room
from clonesim.guest.runs_kernel import (
    BY_ADDRESS,
    FREED,
    FRESH,
    LIST,
    NO_RUN,
    POOLS,
    ZONE,
    first_run_of,
    key_high,
    key_low,
    run_at,
    run_behind,
    runs_room,
)
from clonesim.guest.space_kernel import QUEUE_HEAD, QUEUE_TAIL, queue_room
from clonesim.ops import FileOp

KERNELS = "2c6c66b026b2c0cb"

CREATE, APPEND, OVERWRITE, DELETE = np.array(
    [int(FileOp.CREATE), int(FileOp.APPEND), int(FileOp.OVERWRITE), int(FileOp.DELETE)]
)
RENAME, TRIM, SCATTER = np.array([int(FileOp.RENAME), int(FileOp.TRIM), int(FileOp.SCATTER)])
DONE, FLUSH, GROW, FULL = np.arange(4)  # outcome: all done; take the requests away; a region must grow; no space
# what is wrong with an operation
BAD_OP, BAD_FILE, BAD_TIME, BAD_LENGTH, BAD_OFFSET, UNKNOWN, DUPLICATE, EMPTY = np.arange(1, 9)
SLACK = np.int64(4096)  # words or items kept free in every region, for an operation's small changes
AHEAD = 16  # operations whose files are fetched before their turn
LARGEST = np.int64(1 << 46)  # bytes of a file at most
LONGEST_SCATTER = np.int64(1 << 30)  # bytes of a scatter at most: its requests are noted together
PAGE_BYTES = np.int64(4096)


@inner
def room_for(m, f, op, pieces, moved):
    """What an operation lacks: FLUSH, or GROW with region and words; DONE where all is there.

    `pieces`: fragments that it adds at most; `moved`: requests that write its data, fragments not counted.
    """
    apart()
    waiting = m[QUEUE_TAIL] - m[QUEUE_HEAD]
    count = extents(m, f) if f >= 0 else ZERO
    freed = count + extents(m, USN_JOURNAL)
    if m[EMIT]:
        holes = ZERO
        if op == TRIM:
            holes = (free_runs(m) if m[POLICY] == NTFS3G else m[LIST + 4 * BY_ADDRESS + 3]) + POOLS * waiting
        pages = m[CLUSTERS] // (8 * min(PAGE_BYTES, m[CLUSTER_BYTES]))
        requests = moved + 3 * (pieces + freed) + holes + pages + SLACK
        if request_room(m) < requests:
            return (FLUSH, ZERO, ZERO) if m[OUT] else (GROW, R_OUT, requests * 4)
    if runs_room(m) < pieces + POOLS * (waiting + freed) + SLACK:
        return GROW, R_RUNS, pieces + POOLS * (waiting + freed) + SLACK
    if queue_room(m) < freed + SLACK:
        return GROW, R_QUEUE, 2 * (freed + SLACK)
    system = extents(m, MFT) + extents(m, MFT_BITMAP) + extents(m, ROOT_INDEX) + extents(m, USN_JOURNAL)
    if extents_room(m) < 4 * (count + pieces + system) + SLACK:
        return GROW, R_EXTENT, 4 * (count + pieces + system) + SLACK
    records = mft_records(m) + ((m[MFT_STEP] * m[CLUSTER_BYTES]) >> 10) + (pieces >> 3) + SLACK
    if room(m, R_FILE) < records * RECORD or room(m, R_MFT) * 64 < records:
        return GROW, R_FILE, records
    return DONE, ZERO, ZERO


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
    """Discard every free run; runs that touch are one, whatever their pools."""
    apart()
    if m[POLICY] == NTFS3G:
        trim_bitmap(m)
        return
    size, start, end = m[CLUSTER_BYTES], ZERO, ZERO
    d0, i0 = first_run_of(m, FRESH)
    d1, i1 = first_run_of(m, FREED)
    d2, i2 = first_run_of(m, ZONE)
    while True:
        k0, k1, k2 = run_at(m, d0, i0, FRESH), run_at(m, d1, i1, FREED), run_at(m, d2, i2, ZONE)
        run = min(k0, k1, k2)
        if run == NO_RUN or key_high(run) != end:
            if end > start:
                emit(m, DISCARD, m[SOURCE], start * size, (end - start) * size)
            if run == NO_RUN:
                return
            start = key_high(run)
        end = key_high(run) + key_low(run)
        if run == k0:
            d0, i0 = run_behind(m, d0, i0)
        elif run == k1:
            d1, i1 = run_behind(m, d1, i1)
        else:
            d2, i2 = run_behind(m, d2, i2)


@inner
def trim_bitmap(m):
    """The same where free runs are found in the bitmap only."""
    size, c, end = m[CLUSTER_BYTES], np.int64(0), m[CLUSTERS]
    while c < end:
        c = next_equal(m, R_BITMAP, c, end, ZERO)
        stop = next_equal(m, R_BITMAP, c, end, ONE)
        if stop > c:
            emit(m, DISCARD, m[SOURCE], c * size, (stop - c) * size)
        c = stop


@inner
def is_possible(m, op, number, offset, length):
    """Whether the file of an operation is there, or not there, as the operation needs it."""
    if op == TRIM:
        return True
    f = slot(m, number)
    if op == CREATE:
        return f < 0
    if f < 0:
        return False
    if op == OVERWRITE:
        return offset <= file_size(m, f) - length
    if op == APPEND:
        return length <= LARGEST - file_size(m, f)
    return op != SCATTER or file_size(m, f) > 0


@inner
def first_bad_op(m, ops, sizes, lenient):
    """First operation that cannot be right and what is wrong with it; -1 where all can be.

    `sizes` is scratch space, -2 for each file number in use: sizes as they will be, -1 for no file. `lenient`: files
    need not be as the operations need them.
    """
    apart()
    before = -np.inf
    for i in range(ops.size):
        if i + AHEAD < ops.size:
            fetch_ahead(m, ops[i + AHEAD]["file"], ops[i + AHEAD // 2]["file"], NONE)
        op, number, time = ops[i]["op"], ops[i]["file"], ops[i]["time_s"]
        offset, length = ops[i]["offset"], ops[i]["length"]
        if op < CREATE or op > SCATTER:
            return i, BAD_OP
        if not (time >= before and time >= 0 and time < 1e9):
            return i, BAD_TIME
        before = time
        if op == TRIM:
            continue
        if number < 0 or number >= sizes.size or (op == RENAME and (offset < 0 or offset >= sizes.size)):
            return i, BAD_FILE
        if lenient:
            most = LONGEST_SCATTER if op == SCATTER else LARGEST
            if op != DELETE and op != RENAME and (length < (op != CREATE) or length > most):
                return i, BAD_LENGTH
            if op == OVERWRITE and offset < 0:
                return i, BAD_OFFSET
            continue
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
        elif op == SCATTER:
            if length > LONGEST_SCATTER:
                return i, BAD_LENGTH
            if sizes[number] == 0:
                return i, EMPTY
        elif offset < 0 or offset > sizes[number] - length:
            return i, BAD_OFFSET
    return -1, 0


@inner
def begin_op(m, ops, i, lenient):
    """Set clock and source for an operation: its length, whether there is anything to do, whether it can be done."""
    op, number, offset = ops[i]["op"], ops[i]["file"], ops[i]["offset"]
    m[NOW] = max(m[NOW], np.int64(ops[i]["time_s"] * 1e9))
    m[SOURCE] = ops[i]["source"]
    if op == RENAME and offset == number:
        return ZERO, False, True
    length = ZERO if op == DELETE or op == RENAME or op == TRIM else ops[i]["length"]
    return length, True, not lenient or is_possible(m, op, number, offset, length)
