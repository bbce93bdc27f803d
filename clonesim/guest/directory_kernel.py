"""Where the directory index lives: its root in MFT record 5, its blocks in clusters, a bit for each block."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import ONE, ZERO, apart, inner
from clonesim.guest.attribute_kernel import (
    ALLOCATION,
    INDEX_BITMAP,
    ROOT,
    attribute_record,
    first_piece,
    mark_record,
    record_number,
    stream_of,
)
from clonesim.guest.file_kernel import CLUSTER_BYTES, file_clusters, file_size
from clonesim.guest.mft_kernel import ROOT_INDEX, grow_plain, write_record
from clonesim.guest.ntfs3g_record_kernel import NTFS3G_RECORD_SCALARS, OK, set_stream_size
from clonesim.guest.policy_kernel import NTFS3G, POLICY
from clonesim.guest.request_kernel import write_stream

KERNELS = "2c6c66b026b2c0cb"

INDEX_BLOCK = np.int64(4096)
ROOT_VALUE_HEAD = np.int64(16)  # bytes of the root's value before its node

# Header words
ROOT_ROOM = NTFS3G_RECORD_SCALARS  # bytes that the root's node may use now
ROOT_LIMIT = ROOT_ROOM + 1  # and at most (all policies but ntfs3g, where the MFT record decides)
BLOCKS_COVERED = ROOT_LIMIT + 1  # blocks that the index bitmap has bits for (ntfs3g)
DIRECTORY_SCALARS = BLOCKS_COVERED + 1


@inner
def write_block(m, block):
    """Write a block, or the record that holds the root; the index's clusters grow first."""
    apart()
    if m[POLICY] == NTFS3G:
        if block < 0:
            mark_record(m, ROOT_INDEX, attribute_record(m, ROOT_INDEX, first_piece(m, ROOT_INDEX, ROOT)))
            return
        if (block + 1) * INDEX_BLOCK > file_size(m, ROOT_INDEX):
            set_stream_size(m, ROOT_INDEX, ALLOCATION, (block + 1) * INDEX_BLOCK)
    else:
        if block < 0:
            write_record(m, ROOT_INDEX)
            return
        while (block + 1) * INDEX_BLOCK > file_clusters(m, ROOT_INDEX) * m[CLUSTER_BYTES]:
            grow_plain(m, ROOT_INDEX)
    write_stream(m, ROOT_INDEX, ZERO, block * INDEX_BLOCK, INDEX_BLOCK)


@inner
def mark_root(m):
    """ntfs-3g: the record that holds the root must be written, changed or not."""
    if m[POLICY] == NTFS3G:
        mark_record(m, ROOT_INDEX, attribute_record(m, ROOT_INDEX, first_piece(m, ROOT_INDEX, ROOT)))


@inner
def block_bit_changed(m, block):
    """The index bitmap's bit of a block goes to disk; the bitmap grows first."""
    apart()
    if m[POLICY] != NTFS3G:
        write_record(m, ROOT_INDEX)
        return
    if block >= m[BLOCKS_COVERED]:
        set_stream_size(m, ROOT_INDEX, INDEX_BITMAP, m[BLOCKS_COVERED] // 8 + 8)
        m[BLOCKS_COVERED] += 64
    stream = stream_of(m, ROOT_INDEX, INDEX_BITMAP)
    if stream:
        write_stream(m, stream, ZERO, block >> 3, ONE)
    else:
        holder = attribute_record(m, ROOT_INDEX, first_piece(m, ROOT_INDEX, INDEX_BITMAP))
        write_record(m, record_number(m, ROOT_INDEX, holder))


@inner
def grow_root(m, length):
    """Let the root's node have `length` bytes; False where its record has no room."""
    if m[POLICY] == NTFS3G:
        fits = set_stream_size(m, ROOT_INDEX, ROOT, ROOT_VALUE_HEAD + length) == OK
    else:
        fits = length <= m[ROOT_LIMIT]
    if fits:
        m[ROOT_ROOM] = length
    return fits


@inner
def set_root(m, length):
    """Fit the root's value to its node, which has become smaller or stays in the record."""
    m[ROOT_ROOM] = length
    if m[POLICY] == NTFS3G:
        set_stream_size(m, ROOT_INDEX, ROOT, ROOT_VALUE_HEAD + length)
