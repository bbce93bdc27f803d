"""Files: a record per MFT record, and extents in chunks that double.

A record has four words: size and name length; where its chunk of extents is; two words that sort its name. An extent
is one word, virtual cluster (VCN) | logical cluster (LCN); its length is the distance to the next extent's VCN, or to
the file's end. Chunks hold 1, 2, 4, ... extents; free chunks of a size are chained.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import R_EXTENT, R_FILE, R_STREAM, ZERO, apart, base, inner, put, room, touch_range
from clonesim.guest.policy_kernel import POLICY_SCALARS
from clonesim.guest.runs_kernel import FIELD, MASK

KERNELS = "2c6c66b026b2c0cb"

RECORD = np.int64(4)  # words of a record
SIZE_BITS = np.int64(48)
COUNT_BITS = np.int64(26)  # extents of a file
CLASS_BITS = np.int64(5)  # log2 of a chunk's words, plus 1; 0 for no chunk
CLASSES = np.int64(28)

# Header words
CLUSTERS = POLICY_SCALARS  # clusters of the volume
USED = CLUSTERS + 1  # allocated clusters
CLUSTER_BYTES = USED + 1
CLUSTER_SHIFT = CLUSTER_BYTES + 1  # log2 of it: dividing is slow
CHUNK_FREE = CLUSTER_SHIFT + 1  # first free chunk of each class, plus 1
CHUNK_NEXT = CHUNK_FREE + CLASSES  # words of the extent region ever used
FILE_SCALARS = CHUNK_NEXT + 1


@inner
def clusters_for(m, size):
    """Clusters that hold so many bytes."""
    return (size + m[CLUSTER_BYTES] - 1) >> m[CLUSTER_SHIFT]


@inner
def record(m, f):
    """First word of a file's record; negative numbers are streams that are no file's data."""
    if f < 0:
        return base(m, R_STREAM) - RECORD * (f + 1)
    return base(m, R_FILE) + RECORD * f


@inner
def file_size(m, f):
    """Size of a file. [B]"""
    return m[record(m, f)] & ((np.int64(1) << SIZE_BITS) - 1)


@inner
def name_units(m, f):
    """Length of a file's name in UTF-16 units; 0 marks a record that is not in use."""
    return m[record(m, f)] >> SIZE_BITS


@inner
def set_size(m, f, size):
    """Change a file's size. [B]"""
    at = record(m, f)
    put(m, at, (m[at] >> SIZE_BITS << SIZE_BITS) | size)


@inner
def extents(m, f):
    """Number of a file's extents."""
    return (m[record(m, f) + 1] >> CLASS_BITS) & ((1 << COUNT_BITS) - 1)


@inner
def chunk_at(m, f):
    """First word of a file's chunk of extents."""
    return base(m, R_EXTENT) + (m[record(m, f) + 1] >> (CLASS_BITS + COUNT_BITS))


@inner
def file_clusters(m, f):
    """Clusters that a file owns; 0 while its content is resident in the MFT."""
    if extents(m, f) == 0:
        return np.int64(0)
    return clusters_for(m, file_size(m, f))


@inner
def end_cluster(m, f, clusters):
    """Cluster behind a file's last one; -1 for a file without clusters."""
    count = extents(m, f)
    if count == 0:
        return np.int64(-1)
    return extent_lcn(m, f, count - 1) + clusters - extent_vcn(m, f, count - 1)


@inner
def extent_vcn(m, f, i):
    """First virtual cluster of extent i."""
    return m[chunk_at(m, f) + i] >> FIELD


@inner
def extent_lcn(m, f, i):
    """First logical cluster of extent i."""
    return m[chunk_at(m, f) + i] & MASK


@inner
def extent_holding(m, f, vcn):
    """Index of the extent that holds a virtual cluster."""
    apart()
    chunk, low, left = chunk_at(m, f), np.int64(0), extents(m, f)
    while left > 1:
        half = left >> 1
        low += half * (m[chunk + low + half] >> FIELD <= vcn)
        left -= half
    return low


@inner
def new_chunk(m, order):
    """Offset of a free chunk of 2**order words; the caller made sure of the room (`extents_room`)."""
    apart()
    head = CHUNK_FREE + order
    if m[head]:
        at = m[head] - 1
        m[head] = m[base(m, R_EXTENT) + at]
        return at
    at = m[CHUNK_NEXT]
    m[CHUNK_NEXT] += np.int64(1) << order
    return at


@inner
def free_chunk(m, at, order):
    """Chain a chunk to the free ones of its class."""
    put(m, base(m, R_EXTENT) + at, m[CHUNK_FREE + order])
    m[CHUNK_FREE + order] = at + 1


@inner
def extents_room(m):
    """Words of the extent region that were never used."""
    return room(m, R_EXTENT) - m[CHUNK_NEXT]


@inner
def set_chunk(m, f, at, count, order):
    """Name a file's chunk."""
    put(m, record(m, f) + 1, (((at << COUNT_BITS) | count) << CLASS_BITS) | (order + 1))


@inner
def add_extent(m, f, vcn, lcn):
    """Append an extent that starts at `vcn`; one that goes on where the last one ends joins it."""
    apart()
    word = m[record(m, f) + 1]
    order, count = (word & ((1 << CLASS_BITS) - 1)) - 1, extents(m, f)
    if count:
        chunk = chunk_at(m, f)
        last = m[chunk + count - 1]
        if (last & MASK) + vcn - (last >> FIELD) == lcn:
            return
        if count < np.int64(1) << order:
            put(m, chunk + count, (vcn << FIELD) | lcn)
            put(m, record(m, f) + 1, word + (1 << CLASS_BITS))
            return
    at = new_chunk(m, order + 1)
    target = base(m, R_EXTENT) + at
    touch_range(m, target, target + count)
    if count:
        chunk = chunk_at(m, f)
        for i in range(count):
            m[target + i] = m[chunk + i]
        free_chunk(m, word >> (CLASS_BITS + COUNT_BITS), order)
    m[target + count] = (vcn << FIELD) | lcn
    set_chunk(m, f, at, count + 1, order + 1)


@inner
def forget_extents(m, f):
    """Give a file's chunk back; its clusters are the caller's business."""
    word = m[record(m, f) + 1]
    if word:
        free_chunk(m, word >> (CLASS_BITS + COUNT_BITS), (word & ((1 << CLASS_BITS) - 1)) - 1)
        put(m, record(m, f) + 1, ZERO)


@inner
def open_record(m, f, units, key, key_rest):
    """Begin a record: an empty file whose name has `units` UTF-16 units and sorts by the two keys."""
    at = record(m, f)
    touch_range(m, at, at + RECORD - 1)
    m[at], m[at + 1], m[at + 2], m[at + 3] = np.int64(units) << SIZE_BITS, 0, key, key_rest


@inner
def set_name(m, f, units, key, key_rest):
    """Give a record another name; the directory is the caller's business."""
    at = record(m, f)
    touch_range(m, at, at + RECORD - 1)
    m[at], m[at + 2], m[at + 3] = (np.int64(units) << SIZE_BITS) | file_size(m, f), key, key_rest


@inner
def close_record(m, f):
    """End a record."""
    forget_extents(m, f)
    put(m, record(m, f), ZERO)
