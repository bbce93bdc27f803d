"""File operations as Windows does them: one request a file, whole pages, log and journal behind each change."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import apart, inner
from clonesim.guest.file_kernel import (
    close_record,
    clusters_for,
    extents,
    file_clusters,
    file_size,
    open_record,
    set_name,
    set_size,
)
from clonesim.guest.index_kernel import index_add, index_remove, index_touch
from clonesim.guest.journal_kernel import log_change
from clonesim.guest.mft_kernel import give_record, take_record, write_record
from clonesim.guest.ntfs3g_file_kernel import NTFS3G_FILE_SCALARS
from clonesim.guest.request_kernel import write_pages
from clonesim.guest.space_kernel import allocate, free_extents

KERNELS = "b848cbdae9100997"

# Header words
RESIDENT_LIMIT = NTFS3G_FILE_SCALARS  # content up to so many bytes stays in the MFT record
NAME_UNITS = RESIDENT_LIMIT + 1  # length of the names of numbered files
WINDOWS_FILE_SCALARS = NAME_UNITS + 1


@inner
def grow_file(m, f, length, stream):
    """Add bytes at a file's end and write them; content that leaves the MFT record is written whole."""
    apart()
    size = file_size(m, f)
    end, first = size + length, size
    have = file_clusters(m, f)
    if extents(m, f) == 0:
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
def windows_create(m, units, key, key_rest, size):
    """Create a file of a size known beforehand; returns its record."""
    apart()
    f = take_record(m)
    open_record(m, f, units, key, key_rest)
    index_add(m, f)
    grow_file(m, f, size, False)
    write_record(m, f)
    log_change(m)
    return f


@inner
def windows_append(m, f, length):
    """Append bytes as a stream."""
    grow_file(m, f, length, True)
    write_record(m, f)
    index_touch(m, f)
    log_change(m)


@inner
def windows_overwrite(m, f, offset, length):
    """Write in place."""
    if extents(m, f) == 0:
        write_record(m, f)
    else:
        write_pages(m, f, offset, length, file_clusters(m, f))


@inner
def windows_delete(m, f):
    """Delete a file; its clusters wait for the next checkpoint."""
    apart()
    index_remove(m, f)
    free_extents(m, f, file_clusters(m, f))
    close_record(m, f)
    give_record(m, f)
    write_record(m, f)
    log_change(m)


@inner
def windows_rename(m, f, units, key, key_rest):
    """Give a file another name."""
    apart()
    index_remove(m, f)
    set_name(m, f, units, key, key_rest)
    index_add(m, f)
    write_record(m, f)
    log_change(m)
