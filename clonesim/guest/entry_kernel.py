"""The kernels that Python calls: each takes the arena as an array and hands a pointer to its words on."""

from __future__ import annotations

import numpy as np

from clonesim.guest import arena_kernel as a
from clonesim.guest.arena_kernel import entry, words
from clonesim.guest.attribute_kernel import SECURITY, add_attribute, open_stream, open_table
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    USED,
    add_extent,
    extent_lcn,
    extent_vcn,
    extents,
    file_clusters,
    file_size,
    open_record,
    set_size,
)
from clonesim.guest.folder_kernel import fetch_ahead, slot
from clonesim.guest.index_kernel import clear_node, insert_entry
from clonesim.guest.mft_kernel import ROOT_INDEX
from clonesim.guest.named_kernel import run_named
from clonesim.guest.ntfs3g_record_kernel import NEXT_RECORD
from clonesim.guest.ntfs3g_space_kernel import ntfs3g_mount
from clonesim.guest.ntfs3g_volume_kernel import run_ntfs3g, run_numbered_ntfs3g
from clonesim.guest.policy_kernel import NTFS3G, POLICY, POSITION
from clonesim.guest.request_kernel import OUT, REQUEST, SOURCE
from clonesim.guest.runs_kernel import key_high, key_low, release, run_holding, take_part
from clonesim.guest.space_kernel import EVER, checkpoint
from clonesim.guest.volume_kernel import AHEAD, DONE, FULL, begin_op, first_bad_op
from clonesim.guest.windows_volume_kernel import run_numbered

KERNELS = "2c6c66b026b2c0cb"

BAD_CLUSTERS = np.int64(8)  # MFT record of $BadClus


@entry
def place_file(arena, number, start, count, size):
    """Put a system file of a new volume at its clusters."""
    m = words(arena)
    a.set_bits(m, a.R_BITMAP, start, count)
    a.set_bits(m, a.R_WRITTEN, start, count)
    add_extent(m, number, a.ZERO, start)
    set_size(m, number, size)
    m[USED] += count


@entry
def name_file(arena, number, units, key, key_rest):
    """Begin the record of a system file."""
    open_record(words(arena), number, units, key, key_rest)


@entry
def new_directory(arena, numbers):
    """Make the root directory of the system files, given in order of their names."""
    m = words(arena)
    clear_node(m, a.NONE, a.ZERO)
    clear_node(m, a.ZERO, a.NONE)
    for i in range(numbers.size):
        insert_entry(m, a.ZERO, i, numbers[i], a.NONE)


@entry
def set_bits(arena, region, start, count):
    """Set bits of a region."""
    a.set_bits(words(arena), region, start, count)


@entry
def free_space(arena, clusters):
    """Put every free cluster of a new volume into the lists of free runs."""
    m, c = words(arena), np.int64(0)
    while c < clusters:
        c = a.next_equal(m, a.R_BITMAP, c, clusters, a.ZERO)
        stop = a.next_equal(m, a.R_BITMAP, c, clusters, a.ONE)
        if stop > c:
            release(m, c, stop - c)
        c = stop


@entry
def new_root_record(arena, attributes, security_start, security_count):
    """What the root directory's MFT record holds under ntfs-3g: rows of kind, name, resident, size, value."""
    m = words(arena)
    open_table(m, ROOT_INDEX)
    for i in range(attributes.shape[0]):
        kind, name, resident, size, value = attributes[i]
        add_attribute(m, ROOT_INDEX, kind, name, resident != 0, size, a.ZERO, value)
    stream = open_stream(m, ROOT_INDEX, SECURITY)
    a.set_bits(m, a.R_BITMAP, security_start, security_count)
    add_extent(m, stream, a.ZERO, security_start)
    set_size(m, stream, security_count * 4096)
    m[USED] += security_count
    ntfs3g_mount(m)


@entry
def occupy(arena, starts, lengths):
    """Take free runs of clusters out of use for good: they belong to $BadClus, as unusable ones do."""
    m, have = words(arena), file_clusters(words(arena), BAD_CLUSTERS)
    for i in range(starts.size):
        c, end = starts[i], starts[i] + lengths[i]
        while c < end:
            length = end - c
            if m[POLICY] == NTFS3G:
                a.set_bits(m, a.R_BITMAP, c, length)
            else:
                key = run_holding(m, c)
                length = min(length, key_high(key) + key_low(key) - c)
                take_part(m, key, c, length)
            add_extent(m, BAD_CLUSTERS, have, c)
            have += length
            m[USED] += length
            c += length
    set_size(m, BAD_CLUSTERS, have * m[CLUSTER_BYTES])


@entry
def size_of(arena, f):
    """Size of a file. [B]"""
    return file_size(words(arena), f)


@entry
def extents_of(arena, f):
    """A file's extents: (n, 3) array of first cluster in the file, first cluster on the volume, clusters."""
    m = words(arena)
    count, clusters = extents(m, f), file_clusters(m, f)
    rows = np.empty((count, 3), np.int64)
    for i in range(count):
        rows[i, 0], rows[i, 1] = extent_vcn(m, f, i), extent_lcn(m, f, i)
        end = clusters if i + 1 == count else extent_vcn(m, f, i + 1)
        rows[i, 2] = end - rows[i, 0]
    return rows


@entry
def slot_of(arena, number):
    """Record of a numbered file; -1 for none."""
    return slot(words(arena), number)


@entry
def pass_checkpoint(arena, now):
    """Make the runs reusable whose time has come."""
    checkpoint(words(arena), now)


@entry
def boot(arena):
    """First boot after a power-off, and the state that `revert` returns to."""
    m = words(arena)
    m[POSITION] = m[NEXT_RECORD] = 0
    checkpoint(m, EVER)
    if m[POLICY] == NTFS3G:
        ntfs3g_mount(m)
    a.mark(m)


@entry
def revert(arena):
    """Go back to the state of the last `boot`."""
    a.rollback(words(arena))


@entry
def run(arena, op, f, offset, length, units, key, key_rest):
    """One operation on a named file: outcome, region or record, words."""
    m = words(arena)
    m[SOURCE] = 0
    return run_named(m, op, f, offset, length, units, key, key_rest)


@entry
def run_driver(arena, op, f, offset, length, units, key, key_rest):
    """The same under the ntfs-3g driver."""
    m = words(arena)
    m[SOURCE] = 0
    return run_ntfs3g(m, op, f, offset, length, units, key, key_rest)


@entry
def check_ops(arena, ops, sizes, lenient):
    """First operation that cannot be right and what is wrong with it; -1 where all can be.

    `lenient`: files may be missing, or be there already.
    """
    return first_bad_op(words(arena), ops, sizes, lenient)


@entry
def run_ops(arena, ops, start, lenient):
    """Operations on numbered files from `start` on: next operation, outcome, region, words, refused ones.

    Operations were checked before; or, `lenient`, one that cannot be done (no space, no such file) is left out.
    """
    m, refused = words(arena), 0
    for i in range(start, ops.size):
        if i + AHEAD < ops.size:
            fetch_ahead(m, ops[i + AHEAD]["file"], ops[i + AHEAD // 2]["file"], ops[i + AHEAD // 4]["file"])
        length, acts, possible = begin_op(m, ops, i, lenient)
        if not acts or not possible:
            refused += acts
            continue
        status, region, room = run_numbered(m, ops[i]["op"], ops[i]["file"], ops[i]["offset"], length)
        if lenient and status == FULL:
            refused += 1
        elif status != DONE:
            return i, status, region, room, refused
    return ops.size, DONE, a.ZERO, a.ZERO, refused


@entry
def run_ops_driver(arena, ops, start, lenient):
    """The same under the ntfs-3g driver."""
    m, refused = words(arena), 0
    for i in range(start, ops.size):
        length, acts, possible = begin_op(m, ops, i, lenient)
        if not acts or not possible:
            refused += acts
            continue
        status, region, room = run_numbered_ntfs3g(m, ops[i]["op"], ops[i]["file"], ops[i]["offset"], length)
        if lenient and status == FULL:
            refused += 1
        elif status != DONE:
            return i, status, region, room, refused
    return ops.size, DONE, a.ZERO, a.ZERO, refused


@entry
def take_requests(arena, time_s, op, source, offset, length):
    """Move the noted requests into columns."""
    m = words(arena)
    at = a.base(m, a.R_OUT)
    for i in range(m[OUT]):
        time_s[i] = m[at] / 1e9
        op[i], source[i] = m[at + 1] & 0xFF, m[at + 1] >> 8
        offset[i], length[i] = m[at + 2], m[at + 3]
        at += REQUEST
    m[OUT] = 0
