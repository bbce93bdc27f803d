"""What Windows does with a file: one request a file, whole pages, log and journal behind each change.

How the file is entered in a directory comes on top: `folder_kernel` for numbered files, `named_kernel` for named ones.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import ONE, R_WRITTEN, ZERO, apart, base, inner, put
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    close_record,
    clusters_for,
    extent_holding,
    extent_lcn,
    extent_vcn,
    extents,
    file_clusters,
    file_size,
    open_record,
    set_size,
)
from clonesim.guest.journal_kernel import JOURNAL_SCALARS, log_change
from clonesim.guest.mft_kernel import give_record, take_record, write_record
from clonesim.guest.request_kernel import GUEST_PAGE, NOW, PAGE_TIME, SOURCE, WRITE, emit, write_pages
from clonesim.guest.space_kernel import allocate, free_extents

KERNELS = "2c6c66b026b2c0cb"

# Header words
RESIDENT_LIMIT = JOURNAL_SCALARS  # content up to so many bytes stays in the MFT record
NAME_UNITS = RESIDENT_LIMIT + 1  # length of the names of numbered files
WINDOWS_FILE_SCALARS = NAME_UNITS + 1


@inner
def windows_open(m, units, key, key_rest):
    """Begin an empty file; returns its record."""
    f = take_record(m)
    open_record(m, f, units, key, key_rest)
    return f


@inner
def windows_grow(m, f, length, stream):
    """Add bytes at a file's end and write them; content that leaves the MFT record is written whole."""
    apart()
    size = file_size(m, f)
    end, first = size + length, size
    have = file_clusters(m, f)
    if have == 0:
        if end <= m[RESIDENT_LIMIT]:
            set_size(m, f, end)
            return
        first = np.int64(0)
    want = clusters_for(m, end)
    if want > have:
        allocate(m, f, have, want - have, stream)
    set_size(m, f, end)
    write_pages(m, f, first, end - first, want)


@inner
def windows_changed(m, f):
    """A file's record goes to disk, and the change is logged."""
    write_record(m, f)
    log_change(m)


@inner
def windows_overwrite(m, f, offset, length):
    """Write in place."""
    if extents(m, f) == 0:
        write_record(m, f)
    else:
        write_pages(m, f, offset, length, file_clusters(m, f))


@inner
def scattered(key, i, pages):
    """Page that the i-th write of a scatter goes to: two rounds of a 64-bit mixer over the key."""
    h = (key + i) * np.int64(-7046029254386353131)
    h = (h ^ ((h >> 32) & 0xFFFFFFFF)) * np.int64(-4658895280553007687)
    return ((((h ^ ((h >> 29) & 0x7FFFFFFFF)) >> 33) & 0xFFFFFFF) * pages) >> 28


@inner
def windows_scatter(m, f, key, length):
    """Write pages at pseudo-random places of a file, in place."""
    apart()
    if extents(m, f) == 0:
        write_record(m, f)
        return
    size, clusters = file_size(m, f), file_clusters(m, f)
    pages, count = (size + GUEST_PAGE - 1) // GUEST_PAGE, (length + GUEST_PAGE - 1) // GUEST_PAGE
    if m[CLUSTER_BYTES] == GUEST_PAGE:
        scatter_clusters(m, f, key, count, pages)
        return
    for i in range(count):
        offset = scattered(key, i, pages) * GUEST_PAGE
        write_pages(m, f, offset, min(GUEST_PAGE, size - offset), clusters)


@inner
def scatter_clusters(m, f, key, count, pages):
    """The same where a page is a cluster: scatters are most of what a desktop writes."""
    apart()
    one, start, written = extents(m, f) == 1, extent_lcn(m, f, ZERO), base(m, R_WRITTEN)
    for i in range(count):
        page = scattered(key, i, pages)
        lcn = start + page
        if not one:
            k = extent_holding(m, f, page)
            lcn = extent_lcn(m, f, k) + page - extent_vcn(m, f, k)
        word = written + (lcn >> 6)
        if not (m[word] >> (lcn & 63)) & 1:
            put(m, word, m[word] | (ONE << (lcn & 63)))
        emit(m, WRITE, m[SOURCE], lcn * GUEST_PAGE, GUEST_PAGE)
        m[NOW] += m[PAGE_TIME]


@inner
def windows_close(m, f):
    """Delete a file that stands in no directory any more; its clusters wait for the next checkpoint."""
    apart()
    free_extents(m, f, file_clusters(m, f))
    close_record(m, f)
    give_record(m, f)
    windows_changed(m, f)
