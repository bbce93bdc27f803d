"""How the ntfs-3g driver picks clusters: hint, then the longest free run of a window of $Bitmap at a roving position.

Learned from the driver (2022.10.3, libntfs-3g/lcnalloc.c) and checked cluster by cluster on real runs; own words and
own code. Rules: docs/ntfs-model.md.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import ONE, R_BITMAP, ZERO, apart, bit, clear_bits, inner, next_equal, set_bits
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
from clonesim.guest.request_kernel import BITMAP_LCN, WRITE, emit
from clonesim.guest.runs_kernel import ZONE_END, ZONE_START
from clonesim.guest.space_kernel import SPACE_SCALARS

KERNELS = "2c6c66b026b2c0cb"

MFT_ZONE, DATA_ZONE, LOW_ZONE = np.array([1, 2, 4])  # inside the MFT zone, behind it, before it
WINDOW = np.int64(32768)  # clusters looked at together: a 4 KiB piece of $Bitmap
SKIP = np.int64(4096)  # clusters the position jumps ahead after use

# Header words
MFT_LCN = SPACE_SCALARS  # first cluster of $MFT
ZONE_POSITION = MFT_LCN + 1  # roving position of each zone
FULL_ZONES = ZONE_POSITION + 3  # zones known to be exhausted
NTFS3G_SCALARS = FULL_ZONES + 1


@inner
def zone_index(zone):
    """Which position belongs to a zone."""
    return zone >> 1


@inner
def bitmap_bits(m):
    """Bits of $Bitmap: whole 8-byte words."""
    return ((m[CLUSTERS] + 7) // 8 + 7) // 8 * 64


@inner
def ntfs3g_mount(m):
    """Positions at mount: the start of each zone."""
    m[ZONE_POSITION] = m[MFT_LCN]
    m[ZONE_POSITION + 1] = m[ZONE_END]
    m[ZONE_POSITION + 2] = 0
    m[FULL_ZONES] = 0


@inner
def zone_of(m, c):
    """Zone that holds a cluster."""
    if c < m[ZONE_START]:
        return LOW_ZONE
    return MFT_ZONE if c < m[ZONE_END] else DATA_ZONE


@inner
def zone_first(m, zone):
    """First cluster of a zone."""
    if zone == LOW_ZONE:
        return np.int64(0)
    return m[ZONE_START] if zone == MFT_ZONE else m[ZONE_END]


@inner
def zone_last(m, zone):
    """Cluster behind a zone."""
    if zone == LOW_ZONE:
        return m[ZONE_START]
    return m[ZONE_END] if zone == MFT_ZONE else m[CLUSTERS]


@inner
def is_edge(m, c):
    """Whether a cluster is where a zone starts."""
    return c == 0 or c == m[ZONE_START] or c == m[ZONE_END]


@inner
def move_position(m, zone, target):
    """Set a zone's position; behind the zone's end it starts over."""
    apart()
    first = m[MFT_LCN] if zone == MFT_ZONE else zone_first(m, zone)
    if target >= zone_last(m, zone):
        m[ZONE_POSITION + zone_index(zone)] = first
    elif target >= first:
        m[ZONE_POSITION + zone_index(zone)] = target


@inner
def longest_free(m, first, size):
    """Offset of the first longest free run of a window; -1 where it is full."""
    apart()
    best, where, c, end = np.int64(0), np.int64(-1), first, first + size
    while c < end:
        c = next_equal(m, R_BITMAP, c, end, ZERO)
        stop = next_equal(m, R_BITMAP, c, end, ONE)
        if stop - c > best:
            best, where = stop - c, c - first
        c = stop
    return where


@inner
def write_bitmap(m, first, size):
    """The bits first .. first + size - 1 of $Bitmap go to disk, as whole bytes."""
    start, end = first >> 3, (first + size + 7) >> 3
    emit(m, WRITE, ZERO, m[BITMAP_LCN] * m[CLUSTER_BYTES] + start, end - start)


@inner
def next_zone(zone, done):
    """Zone to try after an exhausted one."""
    if zone == MFT_ZONE or (zone == LOW_ZONE and not done & DATA_ZONE):
        return DATA_ZONE
    return LOW_ZONE if zone == DATA_ZONE else MFT_ZONE


@inner
def ntfs3g_take(m, f, vcn, need, hint, wanted_zone):
    """Allocate `need` clusters for a file from its cluster `vcn` on; the caller made sure that they are there."""
    apart()
    inside = hint >= 0  # take cluster after cluster from here on
    by_position = hint < 0  # a zone's position was used, so it moves afterwards
    start = hint if hint >= 0 else m[ZONE_POSITION + zone_index(wanted_zone)]
    second_pass = is_edge(m, start)
    zone = zone_of(m, start)
    end, at, done, taken_end = zone_last(m, zone), start, 0, np.int64(-1)
    while True:
        finished = True
        first = at & ~7
        size = min(WINDOW, bitmap_bits(m) - first)
        if not m[FULL_ZONES] & zone and size > 0:
            i, changed = at - first, False
            while i < size:
                if not inside:
                    i = longest_free(m, first, size)
                    if i < 0:
                        break
                    inside = True
                if bit(m, R_BITMAP, first + i):
                    inside = False
                    break
                c = first + i
                length = min(need, next_equal(m, R_BITMAP, c, first + size, ONE) - c)
                set_bits(m, R_BITMAP, c, length)
                add_extent(m, f, vcn, c)
                changed, taken_end = True, c + length
                vcn, need, i = vcn + length, need - length, i + length
                if need == 0:
                    if by_position:
                        move_position(m, zone, taken_end + SKIP)
                    write_bitmap(m, first, size)
                    return
            if changed:
                write_bitmap(m, first, size)
            if by_position:
                at = first + size
            else:
                by_position = True
                at = start = m[ZONE_POSITION + zone_index(zone)]
                second_pass = second_pass or is_edge(m, start)
            finished = at >= end
        if not finished:
            continue
        if not second_pass:
            second_pass = True
            end, start = start, zone_first(m, zone)
            end = max(end, start)
            at = start
            continue
        while True:  # the zone is exhausted: on to one that is not empty
            done |= zone
            m[FULL_ZONES] |= zone
            if taken_end >= 0 and by_position:
                move_position(m, zone, taken_end + SKIP)
            zone = next_zone(zone, done)
            at = start = m[ZONE_POSITION + zone_index(zone)]
            end = zone_last(m, zone)
            second_pass = start == zone_first(m, zone)
            if start != end:
                break


@inner
def ntfs3g_free(m, start, length):
    """Free a run at once; the first one in an exhausted zone reopens the zone there."""
    apart()
    zone = zone_of(m, start)
    if m[FULL_ZONES] & zone:
        move_position(m, zone, start)
        m[FULL_ZONES] &= ~zone
    clear_bits(m, R_BITMAP, start, length)
    write_bitmap(m, start, length)


@inner
def ntfs3g_allocate(m, f, have, need):
    """Give a file that has `have` clusters `need` more, outside the MFT zone while there are any."""
    m[USED] += need
    ntfs3g_take(m, f, have, need, end_cluster(m, f, have), DATA_ZONE)


@inner
def ntfs3g_free_extents(m, f, clusters):
    """Free all clusters of a file and forget its extents."""
    apart()
    count = extents(m, f)
    for i in range(count):
        vcn = extent_vcn(m, f, i)
        end = clusters if i + 1 == count else extent_vcn(m, f, i + 1)
        m[USED] -= end - vcn
        ntfs3g_free(m, extent_lcn(m, f, i), end - vcn)
    forget_extents(m, f)
