"""Clusters change hands: allocation for a file by the volume's policy, and delayed reuse of what was freed.

A freed run waits in the quarantine until a checkpoint commits the log record of its delete: `REUSE` nanoseconds after
it was freed. Until then its bits stay set, so no policy sees it. A checkpoint is forced before "volume full".
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import (
    ONE,
    R_BITMAP,
    R_QUEUE,
    R_WRITTEN,
    ZERO,
    apart,
    base,
    clear_bits,
    inner,
    next_equal,
    prefetch,
    room,
    touch_range,
)
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    CLUSTERS,
    USED,
    add_extent,
    end_cluster,
    extent_lcn,
    extent_vcn,
    extents,
    forget_extents,
)
from clonesim.guest.policy_kernel import (
    POLICY,
    POSITION,
    UNIT_FIRST,
    UNIT_GROWTH,
    WINDOWS,
    pick,
)
from clonesim.guest.request_kernel import (
    BITMAP_LCN,
    DISCARD,
    GUEST_PAGE,
    NOW,
    REQUEST_SCALARS,
    SOURCE,
    emit,
    write_run,
)
from clonesim.guest.runs_kernel import (
    FIELD,
    FRESH,
    MASK,
    POOL_FREE,
    SPLIT_FRESH,
    ZONE,
    ZONE_END,
    ZONE_START,
    add_run,
    cluster_pool,
    key_high,
    key_low,
    pool_end,
    release,
    run_holding,
    take_part,
)

KERNELS = "2c6c66b026b2c0cb"

WAITING = np.int64(2)  # words of a waiting run: start | length, when it becomes reusable [ns]
RESERVE = np.int64(8)  # index blocks' worth of clusters that stay free for metadata
AHEAD = np.int64(4)  # waiting runs whose bits are fetched before their turn
EVER = np.int64(1 << 62)  # a time that no clock reaches [ns]

# Header words
QUARANTINED = REQUEST_SCALARS  # freed clusters that wait
REUSE = QUARANTINED + 1  # how long they wait [ns]
QUEUE_HEAD = REUSE + 1  # waiting runs ever taken out
QUEUE_TAIL = QUEUE_HEAD + 1  # waiting runs ever put in
DISCARDS = QUEUE_TAIL + 1  # 1: the guest discards what it frees
BITMAP_PAGE = DISCARDS + 1  # page of $Bitmap written last in the operation at hand
SPACE_SCALARS = BITMAP_PAGE + 1


@inner
def free_clusters(m):
    """Clusters that a request can get now."""
    return m[CLUSTERS] - m[USED] - m[QUARANTINED]


@inner
def reserve(m):
    """Clusters that stay free, so that a delete can always reshape the directory."""
    return RESERVE * max(np.int64(1), GUEST_PAGE // m[CLUSTER_BYTES])


@inner
def queue_room(m):
    """Runs that can still be put into the quarantine."""
    return room(m, R_QUEUE) // WAITING - (m[QUEUE_TAIL] - m[QUEUE_HEAD])


@inner
def waiting_at(m, number):
    """First word of a waiting run; the ring has a power of two places."""
    return base(m, R_QUEUE) + WAITING * (number & (room(m, R_QUEUE) // WAITING - 1))


@inner
def checkpoint(m, now):
    """Make the runs reusable whose time has come."""
    apart()
    while m[QUEUE_HEAD] < m[QUEUE_TAIL]:
        at = waiting_at(m, m[QUEUE_HEAD])
        if m[at + 1] > now:
            return
        m[QUEUE_HEAD] += 1
        prefetch(m, base(m, R_BITMAP) + (m[waiting_at(m, m[QUEUE_HEAD] + AHEAD)] >> (FIELD + 6)))
        m[QUARANTINED] -= m[at] & MASK
        release(m, m[at] >> FIELD, m[at] & MASK)


@inner
def write_bitmap_pages(m, start, length):
    """The pages of $Bitmap that hold a run go to disk, each once in a row."""
    page = min(GUEST_PAGE, m[CLUSTER_BYTES])
    for number in range(start // (8 * page), (start + length - 1) // (8 * page) + 1):
        if number != m[BITMAP_PAGE]:
            write_run(m, ZERO, m[BITMAP_LCN] * m[CLUSTER_BYTES] + number * page, page)
            m[BITMAP_PAGE] = number


@inner
def free_run(m, start, length):
    """Free allocated clusters: at once, or after the reuse delay."""
    apart()
    m[USED] -= length
    write_bitmap_pages(m, start, length)
    if m[DISCARDS]:
        emit(m, DISCARD, m[SOURCE], start * m[CLUSTER_BYTES], length * m[CLUSTER_BYTES])
    if m[REUSE] == 0:
        release(m, start, length)
    else:
        at = waiting_at(m, m[QUEUE_TAIL])
        touch_range(m, at, at + 1)
        m[at], m[at + 1] = (start << FIELD) | length, m[NOW] + m[REUSE]
        m[QUEUE_TAIL] += 1
        m[QUARANTINED] += length


@inner
def halve_zone(m):
    """Give the upper half of the MFT zone to everyday space, as NTFS does each time the rest of the volume fills."""
    apart()
    middle, end = (m[ZONE_START] + m[ZONE_END] + 1) // 2, m[ZONE_END]
    c = next_equal(m, R_BITMAP, middle, end, ZERO)
    while c < end:
        stop = pool_end(m, c, next_equal(m, R_BITMAP, c, end, ONE))
        if cluster_pool(m, c) == ZONE:
            take_part(m, run_holding(m, c), c, stop - c)
            clear_bits(m, R_BITMAP, c, stop - c)
            add_run(m, FRESH, c, stop - c)
        c = next_equal(m, R_BITMAP, stop, end, ZERO)
    m[ZONE_END] = middle


@inner
def allocate(m, f, have, need, stream):
    """Give a file that has `have` clusters `need` more; the caller made sure that they are there.

    `stream`: the size was not known beforehand, so the `windows` policy asks for growing units.
    """
    apart()
    m[USED] += need
    if m[SPLIT_FRESH] and need > m[POOL_FREE + FRESH]:
        halve_zone(m)
    grows = stream and m[POLICY] == WINDOWS
    unit = m[UNIT_FIRST] if grows else need
    wanted, asked = min(unit, need), unit
    while need > 0:
        key, start = pick(m, asked, end_cluster(m, f, have))
        length = min(need, key_high(key) + key_low(key) - start)  # later units go on behind this one, by their hint
        prefetch(m, base(m, R_BITMAP) + (start >> 6))
        prefetch(m, base(m, R_WRITTEN) + (start >> 6))
        take_part(m, key, start, length)
        add_extent(m, f, have, start)
        write_bitmap_pages(m, start, length)
        m[POSITION] = start + length
        have, need = have + length, need - length
        while length > 0 and need > 0:
            step = min(length, wanted)
            wanted, asked, length = wanted - step, asked - step, length - step
            if wanted == 0:
                unit *= m[UNIT_GROWTH]
                wanted, asked = min(unit, need + length), unit


@inner
def free_extents(m, f, clusters):
    """Free all clusters of a file and forget its extents."""
    apart()
    count = extents(m, f)
    for i in range(count):
        end = clusters if i + 1 == count else extent_vcn(m, f, i + 1)
        free_run(m, extent_lcn(m, f, i), end - extent_vcn(m, f, i))
    forget_extents(m, f)
