"""File operations as the ntfs-3g driver does them behind FUSE: request by request, record by record.

Learned from the driver (2022.10.3) and checked on real runs; own words and own code. Rules: docs/ntfs-model.md.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, ONE, ZERO, apart, inner
from clonesim.guest.attribute_kernel import (
    DATA,
    LIST,
    RECORD_BYTES,
    SECURITY,
    T_RECORD_COUNT,
    attribute_record,
    close_stream,
    close_table,
    first_piece,
    mark_record,
    open_file_table,
    plain_bytes,
    record_number,
    resident_bytes,
    stream_bytes,
    stream_of,
    table,
)
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    close_record,
    clusters_for,
    extents,
    file_clusters,
    file_size,
    open_record,
    set_name,
    set_size,
)
from clonesim.guest.index_kernel import INDEX_SCALARS, index_add, index_remove, index_touch
from clonesim.guest.mft_kernel import ROOT_INDEX, write_record
from clonesim.guest.ntfs3g_record_kernel import map_stream, ntfs3g_give_record, ntfs3g_take_record, sync_table
from clonesim.guest.ntfs3g_space_kernel import ntfs3g_allocate, ntfs3g_free_extents
from clonesim.guest.request_kernel import SOURCE, write_stream
from clonesim.guest.windows_file_kernel import scattered

KERNELS = "2c6c66b026b2c0cb"

PAGE = np.int64(4096)  # of the host's page cache [B]

# Header words
REQUEST_PAGES = INDEX_SCALARS  # pages that FUSE hands over in one request
NTFS3G_FILE_SCALARS = REQUEST_PAGES + 1


@inner
def sync_file(m, f):
    """A file's changed records go to disk."""
    if table(m, f) >= 0:
        sync_table(m, f)
    else:
        write_record(m, f)


@inner
def sync_directory(m):
    """The directory's times changed: its own entry and its record are written."""
    index_touch(m, ROOT_INDEX)
    mark_record(m, ROOT_INDEX, ZERO)
    sync_table(m, ROOT_INDEX)


@inner
def grow_data(m, f, offset, end):
    """Give a file the clusters for its bytes up to `end`; its run list may outgrow its record."""
    apart()
    have, want = file_clusters(m, f), clusters_for(m, end)
    if want <= have:
        return
    listed = table(m, f) >= 0
    before = np.int64(0) if listed else stream_bytes(m, f, ZERO, have)
    ntfs3g_allocate(m, f, have, want - have)
    set_size(m, f, end)
    if not listed:
        if plain_bytes(m, f) + stream_bytes(m, f, ZERO, want) <= RECORD_BYTES:
            return
        open_file_table(m, f, before, False, ZERO)
    map_stream(m, f, DATA, max(min(offset // m[CLUSTER_BYTES], have) - 1, 0), want)


@inner
def write_request(m, f, offset, length):
    """One write request."""
    apart()
    end, size = offset + length, file_size(m, f)
    resident = extents(m, f) == 0
    if (
        resident
        and end > size
        and (end >= RECORD_BYTES or plain_bytes(m, f) + resident_bytes(ZERO, end) > RECORD_BYTES)
    ):
        resident = False
        if size:
            ntfs3g_allocate(m, f, ZERO, ONE)
            write_stream(m, f, m[SOURCE], ZERO, size)
    if not resident:
        grow_data(m, f, offset, end)
        write_stream(m, f, m[SOURCE], offset, length)
    set_size(m, f, max(size, end))
    if table(m, f) >= 0:
        mark_record(m, f, ZERO)
        if end > size:
            mark_record(m, f, attribute_record(m, f, first_piece(m, f, DATA)))
    index_touch(m, f)
    sync_table(m, ROOT_INDEX)
    sync_file(m, f)


@inner
def ntfs3g_write(m, f, offset, length):
    """Cut a write into the requests that the host's kernel sends."""
    while length > 0:
        piece = min(length, PAGE - offset % PAGE if offset % PAGE else m[REQUEST_PAGES] * PAGE)
        write_request(m, f, offset, piece)
        offset, length = offset + piece, length - piece


@inner
def ntfs3g_scatter(m, f, key, length):
    """Write pages at pseudo-random places of a file, in place, a request each."""
    apart()
    size = file_size(m, f)
    for i in range((length + PAGE - 1) // PAGE):
        offset = scattered(key, i, (size + PAGE - 1) // PAGE) * PAGE
        write_request(m, f, offset, min(PAGE, size - offset))


@inner
def ntfs3g_create(m, units, key, key_rest, size):
    """Create a file, then write its bytes; returns its record."""
    apart()
    f = ntfs3g_take_record(m, NONE)
    open_record(m, f, units, key, key_rest)
    index_add(m, f)
    write_record(m, f)
    index_touch(m, f)
    sync_directory(m)
    ntfs3g_write(m, f, ZERO, size)
    return f


@inner
def ntfs3g_delete(m, f):
    """Delete a file: out of the directory, then its clusters, then its records."""
    apart()
    index_remove(m, f)
    if table(m, f) >= 0:
        for kind in (LIST, SECURITY):
            stream = stream_of(m, f, kind)
            if stream:
                ntfs3g_free_extents(m, stream, file_clusters(m, stream))
                close_stream(m, f, kind)
    ntfs3g_free_extents(m, f, file_clusters(m, f))
    if table(m, f) >= 0:
        for holder in range(m[table(m, f) + T_RECORD_COUNT] - 1, 0, -1):
            ntfs3g_give_record(m, record_number(m, f, holder))
        close_table(m, f)
    close_record(m, f)
    ntfs3g_give_record(m, f)
    sync_directory(m)


@inner
def ntfs3g_rename(m, f, units, key, key_rest):
    """Give a file another name."""
    apart()
    index_remove(m, f)
    set_name(m, f, units, key, key_rest)
    index_add(m, f)
    write_record(m, f)
    sync_directory(m)
