"""How the ntfs-3g driver keeps MFT records: which one is taken, when $MFT grows, what moves when a record is full.

Learned from the driver (2022.10.3) and checked on real runs; own words and own code. Rules: docs/ntfs-model.md.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, ONE, R_EXTENT, R_MFT, ZERO, apart, base, clear_bits, inner, put, set_bits
from clonesim.guest.attribute_kernel import (
    ATTRIBUTE_SCALARS,
    DIRTY,
    EMPTY_RECORD,
    EVERYTHING,
    INFORMATION,
    LIST,
    NAME,
    NO_LIST,
    RECORD_BYTES,
    RESIDENT_HEAD,
    ROOT,
    ROOT_RESERVE,
    STREAM_HEAD,
    T_ATTRIBUTE_COUNT,
    T_LIST,
    T_LIST_DIRTY,
    T_RECORD_COUNT,
    T_RECORDS,
    add_attribute,
    add_record,
    attribute_bytes,
    attribute_kind,
    attribute_name,
    attribute_record,
    attribute_resident,
    attribute_value,
    change_used,
    close_stream,
    first_piece,
    list_entry,
    mapping_pairs,
    mark_record,
    open_stream,
    record_used,
    resident_bytes,
    resize,
    set_attribute,
    stream_of,
    table,
    up8,
)
from clonesim.guest.file_kernel import (
    CLUSTER_BYTES,
    USED,
    clusters_for,
    end_cluster,
    file_clusters,
    file_size,
    set_size,
)
from clonesim.guest.mft_kernel import MFT, MFT_BITMAP, mft_records, write_record
from clonesim.guest.ntfs3g_space_kernel import DATA_ZONE, MFT_ZONE, ntfs3g_allocate, ntfs3g_free_extents, ntfs3g_take
from clonesim.guest.request_kernel import write_stream

KERNELS = "2c6c66b026b2c0cb"

FIRST_FILE = np.int64(64)  # no file gets a record below this one
MFT_GROWTH = np.int64(4)  # clusters

# Header words
COVERED = ATTRIBUTE_SCALARS  # records that the MFT's bitmap has valid bits for
FORMATTED = COVERED + 1  # records that were ever written
NEXT_RECORD = FORMATTED + 1  # where the search for a file's record starts
NTFS3G_RECORD_SCALARS = NEXT_RECORD + 1
OK, FILLED = np.array([0, 1])


# --- records of $MFT -----------------------------------------------------------------------------------------------


@inner
def find_in_bytes(m, start, stop):
    """First byte of the MFT's bitmap whose lowest free bit is in start .. stop - 1: that record; -1 for none."""
    apart()
    bits = base(m, R_MFT)
    for byte in range(start >> 3, (stop + 7) >> 3):
        low = max(byte * 8, start)
        if low >= stop:
            break
        value = (m[bits + (byte >> 3)] >> (8 * (byte & 7))) & 0xFF
        for i in range(8):
            if not value >> i & 1:
                if byte * 8 + i >= low:
                    return byte * 8 + i
                break  # only a byte's lowest free bit counts
    return np.int64(-1)


@inner
def find_record(m, owner):
    """A free record, from the position (or behind the owner's record) to the end, then from the start; -1 for none."""
    apart()
    end = min(mft_records(m), m[COVERED])
    at = max(m[NEXT_RECORD] if owner < 0 else owner + 1, FIRST_FILE)
    if at >= end:
        return find_in_bytes(m, FIRST_FILE, end)
    found = find_in_bytes(m, at, end)
    return found if found >= 0 else find_in_bytes(m, FIRST_FILE, at)


@inner
def grow_stream_clusters(m, f, clusters, zone):
    """Give $MFT or its bitmap more clusters."""
    have = file_clusters(m, f)
    ntfs3g_take(m, f, have, clusters, end_cluster(m, f, have), zone)
    m[USED] += clusters
    set_size(m, f, (have + clusters) * m[CLUSTER_BYTES])


@inner
def write_bits(m, byte, length):
    """Bytes of the MFT's bitmap go to disk."""
    write_stream(m, MFT_BITMAP, ZERO, byte, length)


@inner
def ntfs3g_take_record(m, owner):
    """Allocate a record: for a file (owner -1), or an extent record of a file."""
    apart()
    number = find_record(m, owner)
    if number < 0:
        if m[COVERED] > m[FORMATTED] and m[COVERED] > FIRST_FILE:
            number = max(m[FORMATTED], FIRST_FILE)
        else:
            covered = m[COVERED] // 8
            if covered + 8 > file_size(m, MFT_BITMAP):
                grow_stream_clusters(m, MFT_BITMAP, ONE, DATA_ZONE)
            number = m[COVERED]
            m[COVERED] += 64
            write_bits(m, covered, np.int64(8))
    set_bits(m, R_MFT, number, ONE)
    write_bits(m, number >> 3, ONE)
    if number >= m[FORMATTED]:
        while number >= mft_records(m):
            grow_stream_clusters(m, MFT, MFT_GROWTH, MFT_ZONE)
        while m[FORMATTED] <= number:
            m[FORMATTED] += 1
            write_record(m, m[FORMATTED] - 1)
        write_record(m, ZERO)
    if owner < 0:
        m[NEXT_RECORD] = number + 1
    return number


@inner
def ntfs3g_give_record(m, number):
    """Free a record."""
    write_record(m, number)
    clear_bits(m, R_MFT, number, ONE)
    write_bits(m, number >> 3, ONE)


# --- what moves when a record is full ------------------------------------------------------------------------------


@inner
def is_listed(m, f):
    """Whether a file has an attribute list."""
    return m[table(m, f) + T_LIST] != NO_LIST


@inner
def room_in(m, f, holder):
    """Free bytes of a file's record."""
    return RECORD_BYTES - record_used(m, f, holder)


@inner
def make_non_resident(m, f, i):
    """Move a resident value to clusters of its own; False where that cannot be."""
    apart()
    kind, name_bytes, value = attribute_kind(m, f, i), attribute_name(m, f, i), attribute_value(m, f, i)
    if kind == INFORMATION or kind == NAME or kind == ROOT:
        return False
    stream = open_stream(m, f, kind)
    clusters = clusters_for(m, value)
    if clusters:
        ntfs3g_allocate(m, stream, ZERO, clusters)
    if not resize(m, f, i, STREAM_HEAD + name_bytes + mapping_pairs(m, stream, clusters, ZERO, EVERYTHING)[0]):
        ntfs3g_free_extents(m, stream, clusters)
        close_stream(m, f, kind)
        return False
    set_attribute(m, f, i, kind, name_bytes, False, attribute_bytes(m, f, i), attribute_record(m, f, i), ZERO)
    set_size(m, stream, value)
    write_stream(m, stream, ZERO, ZERO, value)
    return True


@inner
def add_extent_record(m, f):
    """A new extent record; returns its index."""
    return add_record(m, f, ntfs3g_take_record(m, f))


@inner
def move_attribute(m, f, i, target):
    """Move an attribute to another record; its entry in the attribute list changes."""
    apart()
    put(m, table(m, f) + T_LIST_DIRTY, ONE)
    size, source = attribute_bytes(m, f, i), attribute_record(m, f, i)
    change_used(m, f, source, -size)
    change_used(m, f, target, size)
    set_attribute(
        m, f, i, attribute_kind(m, f, i), attribute_name(m, f, i), attribute_resident(m, f, i), size, target,
        attribute_value(m, f, i),
    )  # fmt: skip


@inner
def holds_kind(m, f, holder, kind):
    """Whether a record holds an attribute of a kind."""
    for i in range(m[table(m, f) + T_ATTRIBUTE_COUNT]):
        if attribute_record(m, f, i) == holder and attribute_kind(m, f, i) == kind:
            return True
    return False


@inner
def make_room(m, f, size):
    """Move attributes out of the base record, lowest type first, until `size` bytes are free."""
    apart()
    freed = room_in(m, f, ZERO)
    while freed < size:
        chosen = NONE
        for i in range(m[table(m, f) + T_ATTRIBUTE_COUNT]):
            kind = attribute_kind(m, f, i)
            if attribute_record(m, f, i) == 0 and kind >= NAME and kind != ROOT:
                if chosen < 0 or kind < attribute_kind(m, f, chosen):
                    chosen = i
        need, target = attribute_bytes(m, f, chosen), NONE
        freed += need
        for holder in range(1, m[table(m, f) + T_RECORD_COUNT]):
            if room_in(m, f, holder) >= need and not holds_kind(m, f, holder, attribute_kind(m, f, chosen)):
                target = holder
                break
        if target < 0:
            target = add_extent_record(m, f)
        move_attribute(m, f, chosen, target)


@inner
def move_value_out(m, f):
    """Make one more value of the base record non-resident, lowest type first; False where there is none."""
    apart()
    kind = 0
    while True:
        chosen = NONE
        for i in range(m[table(m, f) + T_ATTRIBUTE_COUNT]):
            here = attribute_kind(m, f, i)
            if attribute_record(m, f, i) == 0 and here > kind:
                if chosen < 0 or here < attribute_kind(m, f, chosen):
                    chosen = i
        if chosen < 0:
            return False
        kind = attribute_kind(m, f, chosen)
        shrinks = attribute_bytes(m, f, chosen) > STREAM_HEAD + attribute_name(m, f, chosen) + 8
        if attribute_resident(m, f, chosen) and shrinks and make_non_resident(m, f, chosen):
            return True


@inner
def map_list(m, f):
    """Store the attribute list's run list in the base record."""
    apart()
    stream = stream_of(m, f, LIST)
    clusters = file_clusters(m, stream)
    while True:
        i = first_piece(m, f, LIST)
        now = attribute_bytes(m, f, i) - STREAM_HEAD
        need = mapping_pairs(m, stream, clusters, ZERO, EVERYTHING)[0]
        if need <= room_in(m, f, ZERO) + now:
            resize(m, f, i, STREAM_HEAD + need)
            return
        make_room(m, f, need - now)


@inner
def set_list_size(m, f, size):
    """Resize the attribute list."""
    apart()
    while True:
        i = first_piece(m, f, LIST)
        if not attribute_resident(m, f, i):
            stream = stream_of(m, f, LIST)
            have = file_clusters(m, stream)
            want = clusters_for(m, size)
            if want > have:
                ntfs3g_allocate(m, stream, have, want - have)
            set_size(m, stream, size)
            if want > have:
                map_list(m, f)
            return
        if size < RECORD_BYTES and resize(m, f, i, resident_bytes(ZERO, size)):
            put_value(m, f, i, size)
            return
        if make_non_resident(m, f, i) or move_value_out(m, f):
            continue
        make_room(m, f, np.int64(72))


@inner
def put_value(m, f, i, value):
    """Change the value's size (resident) or the first cluster (a piece of a stream) of attribute i."""
    set_attribute(
        m, f, i, attribute_kind(m, f, i), attribute_name(m, f, i), attribute_resident(m, f, i),
        attribute_bytes(m, f, i), attribute_record(m, f, i), value,
    )  # fmt: skip


@inner
def add_list(m, f):
    """Give a file an attribute list."""
    apart()
    t = table(m, f)
    size = np.int64(0)
    for i in range(m[t + T_ATTRIBUTE_COUNT]):
        size += list_entry(attribute_name(m, f, i))
    put(m, t + T_LIST, size)
    put(m, t + T_LIST_DIRTY, ONE)
    if room_in(m, f, ZERO) < RESIDENT_HEAD:
        make_room(m, f, RESIDENT_HEAD)
    add_attribute(m, f, LIST, ZERO, True, np.int64(RESIDENT_HEAD), ZERO, ZERO)
    set_list_size(m, f, size)


@inner
def set_stream_size(m, f, kind, size):
    """Resize the index root, the index bitmap or the index blocks: OK, or FILLED where the root's record is full."""
    apart()
    while True:
        i = first_piece(m, f, kind)
        holder = attribute_record(m, f, i)
        if not attribute_resident(m, f, i):
            stream = stream_of(m, f, kind)
            have = file_clusters(m, stream)
            want = clusters_for(m, size)
            if want > have:
                ntfs3g_allocate(m, stream, have, want - have)
                map_stream(m, f, kind, max(have - 1, 0), want)
            set_size(m, stream, size)
            mark_record(m, f, attribute_record(m, f, first_piece(m, f, kind)))
            return OK
        if size < RECORD_BYTES:
            new = resident_bytes(attribute_name(m, f, i), size)
            used = record_used(m, f, holder)
            after = used + new - attribute_bytes(m, f, i)
            grows = new > attribute_bytes(m, f, i)
            if after <= RECORD_BYTES and kind == ROOT and grows:
                if after + ROOT_RESERVE > RECORD_BYTES >= used + ROOT_RESERVE:
                    return FILLED
            if resize(m, f, i, new):
                put_value(m, f, i, size)
                return OK
        if make_non_resident(m, f, i) or move_value_out(m, f):
            continue
        if record_used(m, f, holder) == EMPTY_RECORD + attribute_bytes(m, f, i):
            return FILLED
        if not is_listed(m, f):
            add_list(m, f)
        else:
            move_attribute(m, f, i, add_extent_record(m, f))


@inner
def map_stream(m, f, kind, from_vcn, clusters):
    """Store a stream's run list in the file's records, from the piece that holds `from_vcn` on."""
    apart()
    stream = stream_of(m, f, kind)
    while True:
        stop, listed = map_pieces(m, f, kind, stream, from_vcn, clusters)
        if listed:
            break
        add_list(m, f)
        from_vcn = 0
    mark_record(m, f, attribute_record(m, f, first_piece(m, f, kind)))
    while stop < clusters:
        holder = add_extent_record(m, f)
        name_bytes = attribute_name(m, f, first_piece(m, f, kind))
        room = room_in(m, f, holder) - STREAM_HEAD - name_bytes
        need = min(mapping_pairs(m, stream, clusters, stop, EVERYTHING)[0], room)
        add_attribute(m, f, kind, name_bytes, False, STREAM_HEAD + name_bytes + up8(need), holder, stop)
        size = m[table(m, f) + T_LIST] + list_entry(name_bytes)
        set_list_size(m, f, size)
        put(m, table(m, f) + T_LIST, size)
        put(m, table(m, f) + T_LIST_DIRTY, ONE)
        stop = mapping_pairs(m, stream, clusters, stop, need)[1]


@inner
def map_pieces(m, f, kind, stream, from_vcn, clusters):
    """Fill the present pieces of a stream; where they stop, and False where an attribute list is needed first."""
    apart()
    count, at = m[table(m, f) + T_ATTRIBUTE_COUNT], NONE
    for i in range(count):
        if attribute_kind(m, f, i) == kind and attribute_value(m, f, i) <= from_vcn:
            at = i
    stop = attribute_value(m, f, at)
    for i in range(at, count):
        if attribute_kind(m, f, i) != kind:
            continue
        name_bytes, holder = attribute_name(m, f, i), attribute_record(m, f, i)
        now = attribute_bytes(m, f, i) - STREAM_HEAD - name_bytes
        room = room_in(m, f, holder) + now
        need = mapping_pairs(m, stream, clusters, stop, EVERYTHING)[0]
        if need > room:
            if not is_listed(m, f):
                return stop, False
            need = room
        mark_record(m, f, holder)
        if is_listed(m, f):
            put(m, table(m, f) + T_LIST_DIRTY, ONE)
        resize(m, f, i, STREAM_HEAD + name_bytes + need)
        put_value(m, f, i, stop)
        stop = mapping_pairs(m, stream, clusters, stop, need)[1]
    return stop, True


@inner
def sync_table(m, f):
    """End of a request: a changed attribute list and the changed records of a file with a table go to disk."""
    apart()
    t = table(m, f)
    if m[t + T_LIST_DIRTY]:
        stream = stream_of(m, f, LIST)
        if stream:
            write_stream(m, stream, ZERO, ZERO, m[t + T_LIST])
        put(m, t + T_LIST_DIRTY, ZERO)
    records = base(m, R_EXTENT) + m[t + T_RECORDS]
    for i in range(m[t + T_RECORD_COUNT]):
        if m[records + i] & DIRTY:
            put(m, records + i, m[records + i] & ~DIRTY)
            write_record(m, m[records + i] >> 16)
