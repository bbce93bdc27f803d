"""Block requests: what the guest's disk sees of an operation, with the volume's clock."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import ONE, R_OUT, R_WRITTEN, ZERO, apart, base, bit, inner, put, room, set_bits
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    CLUSTER_SHIFT,
    FILE_SCALARS,
    extent_holding,
    extent_lcn,
    extent_vcn,
    extents,
)
from clonesim.ops import BlockOp

KERNELS = "2c6c66b026b2c0cb"

WRITE, DISCARD = np.array([int(BlockOp.WRITE), int(BlockOp.DISCARD)])
SYSTEM_FILES = np.int64(12)  # below this number: written in the same pieces again and again
REQUEST = np.int64(4)  # words of a request: time [ns], operation | source << 8, offset [B], length [B]
GUEST_PAGE = np.int64(4096)  # the guest writes its cache page by page [B]

# Header words
NOW = FILE_SCALARS  # the volume's clock [ns]
RATE = NOW + 1  # bytes written a second
PAGE_TIME = RATE + 1  # how long writing a page takes [ns]
PARTITION = PAGE_TIME + 1  # where the volume starts on its disk [B]
EMIT = PARTITION + 1  # 1: note the requests
OUT = EMIT + 1  # requests noted
SOURCE = OUT + 1  # write source of the operation at hand
LONGEST_WRITE = SOURCE + 1  # a longer write is sent in pieces [B]
BITMAP_LCN = LONGEST_WRITE + 1  # first cluster of $Bitmap
REQUEST_SCALARS = BITMAP_LCN + 1


@inner
def request_room(m):
    """Requests that can be noted before they must be taken away."""
    return room(m, R_OUT) // REQUEST - m[OUT]


@inner
def emit(m, op, source, offset, length):
    """Note a request at a byte offset of the volume, and the write source that caused it (0: the file system)."""
    if m[EMIT]:
        at = base(m, R_OUT) + REQUEST * m[OUT]
        m[at], m[at + 1], m[at + 2], m[at + 3] = m[NOW], op | (source << 8), m[PARTITION] + offset, length
        m[OUT] += 1


@inner
def write_run(m, source, offset, length):
    """Write bytes of the volume in pieces, and let the clock run."""
    if length == GUEST_PAGE:  # the commonest length; dividing is slow
        emit(m, WRITE, source, offset, length)
        m[NOW] += m[PAGE_TIME]
        return
    while length > 0:
        piece = min(length, m[LONGEST_WRITE])
        emit(m, WRITE, source, offset, piece)
        m[NOW] += piece * 1_000_000_000 // m[RATE]
        offset, length = offset + piece, length - piece


@inner
def write_stream(m, f, source, offset, length):
    """Write bytes of a file's clusters, extent by extent."""
    apart()
    system = 0 <= f < SYSTEM_FILES
    size, shift = m[CLUSTER_BYTES], m[CLUSTER_SHIFT]
    i = extent_holding(m, f, offset >> shift)
    last = extents(m, f)
    while length > 0:
        into = offset - extent_vcn(m, f, i) * size
        piece = length if i + 1 == last else min(length, extent_vcn(m, f, i + 1) * size - offset)
        start = extent_lcn(m, f, i) * size + into
        first, last_cluster = start >> shift, (start + piece - 1) >> shift
        if not system or last_cluster > first or not bit(m, R_WRITTEN, first):
            set_bits(m, R_WRITTEN, first, last_cluster + 1 - first)
        write_run(m, source, start, piece)
        offset, length, i = offset + piece, length - piece, i + 1


@inner
def write_metadata(m, f, offset, length, written):
    """Write a piece of a file-system file that lies in one page: an MFT record, a page of a bitmap, of the log.

    `written`: its cluster was written before, which nobody need look up then.
    """
    if m[CLUSTER_BYTES] < GUEST_PAGE:
        write_stream(m, f, ZERO, offset, length)
        return
    shift = m[CLUSTER_SHIFT]
    vcn = offset >> shift
    i = ZERO if extents(m, f) == 1 else extent_holding(m, f, vcn)
    lcn = extent_lcn(m, f, i) + vcn - extent_vcn(m, f, i)
    if not written:
        word = base(m, R_WRITTEN) + (lcn >> 6)
        if not (m[word] >> (lcn & 63)) & 1:
            put(m, word, m[word] | (ONE << (lcn & 63)))
    write_run(m, ZERO, (lcn << shift) + (offset & (m[CLUSTER_BYTES] - 1)), length)


@inner
def write_pages(m, f, offset, length, clusters):
    """Write a range of a file as the guest's cache does: whole pages, within the file's clusters."""
    page = min(GUEST_PAGE, m[CLUSTER_BYTES])
    first = offset // page * page
    end = min((offset + length + page - 1) // page * page, clusters * m[CLUSTER_BYTES])
    write_stream(m, f, ZERO if 0 <= f < SYSTEM_FILES else m[SOURCE], first, end - first)
