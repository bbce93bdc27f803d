"""What every change of the file system leaves behind: pages of the circular $LogFile, records of the USN journal."""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import apart, inner, put, touch_range
from clonesim.guest.file_kernel import (
    CLASS_BITS,
    CLUSTER_BYTES,
    chunk_at,
    clusters_for,
    extent_holding,
    extent_lcn,
    extent_vcn,
    extents,
    file_clusters,
    file_size,
    forget_extents,
    record,
    set_size,
)
from clonesim.guest.mft_kernel import LOG_FILE, MFT_SCALARS
from clonesim.guest.request_kernel import GUEST_PAGE, write_metadata, write_pages
from clonesim.guest.runs_kernel import FIELD
from clonesim.guest.space_kernel import allocate, free_clusters, free_run, reserve

KERNELS = "2c6c66b026b2c0cb"

USN_JOURNAL = np.int64(11)  # $Extend: its $UsnJrnl is kept in this record

# Header words
LOG_POSITION = MFT_SCALARS  # where the log goes on [B]
LOG_BYTES = LOG_POSITION + 1  # bytes that one change logs
USN_BYTES = LOG_BYTES + 1  # bytes that one change adds to the USN journal; 0: no journal
USN_MOST = USN_BYTES + 1  # the journal is cut above this size ... [B]
USN_STEP = USN_MOST + 1  # ... by so much [B]
JOURNAL_SCALARS = USN_STEP + 1


@inner
def write_log(m):
    """Log one change: the page at the log's position, in a circle."""
    size = file_size(m, LOG_FILE) & ~(GUEST_PAGE - 1)
    page, end = m[LOG_POSITION] & ~(GUEST_PAGE - 1), m[LOG_POSITION] + m[LOG_BYTES]
    while page < end:
        write_metadata(m, LOG_FILE, page if page < size else page - size, GUEST_PAGE, True)
        page += GUEST_PAGE
    m[LOG_POSITION] = end if end < size else end - size


@inner
def cut_journal(m):
    """Free the journal's first clusters, a step's worth."""
    apart()
    clusters, drop = file_clusters(m, USN_JOURNAL), m[USN_STEP] // m[CLUSTER_BYTES]
    count, keep = extents(m, USN_JOURNAL), extent_holding(m, USN_JOURNAL, drop)
    for i in range(keep + 1):
        vcn = extent_vcn(m, USN_JOURNAL, i)
        end = clusters if i + 1 == count else extent_vcn(m, USN_JOURNAL, i + 1)
        length = min(end, drop) - vcn
        if length > 0:
            free_run(m, extent_lcn(m, USN_JOURNAL, i), length)
    set_size(m, USN_JOURNAL, file_size(m, USN_JOURNAL) - drop * m[CLUSTER_BYTES])
    if drop == clusters:
        forget_extents(m, USN_JOURNAL)
        return
    chunk = chunk_at(m, USN_JOURNAL)
    first = extent_lcn(m, USN_JOURNAL, keep) + drop - extent_vcn(m, USN_JOURNAL, keep)
    touch_range(m, chunk, chunk + count - 1)
    m[chunk] = first
    for i in range(keep + 1, count):
        m[chunk + i - keep] = m[chunk + i] - (drop << FIELD)
    put(m, record(m, USN_JOURNAL) + 1, m[record(m, USN_JOURNAL) + 1] - (keep << CLASS_BITS))


@inner
def write_journal(m):
    """Append one change's records to the USN journal, which walks through free space."""
    apart()
    size = file_size(m, USN_JOURNAL)
    if size >= m[USN_MOST] + m[USN_STEP]:
        cut_journal(m)
        size = file_size(m, USN_JOURNAL)
    end = size + m[USN_BYTES]
    have, want = file_clusters(m, USN_JOURNAL), clusters_for(m, end)
    if want > have and want - have + reserve(m) > free_clusters(m):
        return  # no space: this record is not kept, the change itself still happens
    if want > have:
        allocate(m, USN_JOURNAL, have, want - have, False)
    set_size(m, USN_JOURNAL, end)
    write_pages(m, USN_JOURNAL, size, m[USN_BYTES], want)


@inner
def log_change(m):
    """One change of the file system: log, and USN journal where there is one."""
    write_log(m)
    if m[USN_BYTES]:
        write_journal(m)
