"""Attributes in MFT records: what fits a record, what moves out of it, and when an attribute list takes clusters.

Most files need no bookkeeping: their record's size follows from the name and the run list. A file whose record fills up
(and the root directory) gets a *table*: a word each for its MFT records and two words for each attribute record. The
table's words: attributes' chunk and order, their number, records' chunk and order, their number, bytes of the attribute
list, and where the streams are that are neither file data nor index blocks. Rules: docs/ntfs-model.md.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, ONE, R_EXTENT, R_TABLE, ZERO, apart, base, inner, put, touch_range
from clonesim.guest.file_kernel import (
    extent_lcn,
    extent_vcn,
    extents,
    forget_extents,
    free_chunk,
    name_units,
    new_chunk,
    open_record,
    record,
)
from clonesim.guest.folder_kernel import FOLDER_SCALARS
from clonesim.guest.mft_kernel import RECORD_BYTES

KERNELS = "2c6c66b026b2c0cb"

EMPTY_RECORD = np.int64(56 + 8)  # header and end mark
INFORMATION, LIST, NAME, SECURITY, DATA = np.array([0x10, 0x20, 0x30, 0x50, 0x80])
ROOT, ALLOCATION, INDEX_BITMAP = np.array([0x90, 0xA0, 0xB0])
RESIDENT_HEAD, STREAM_HEAD = np.array([24, 64])  # bytes before the name
ROOT_RESERVE = np.int64(120)  # an index root does not grow into the record's last bytes
TABLE_ORDER = np.int64(4)  # log2 of a table's words
(T_ATTRIBUTES, T_ATTRIBUTE_ORDER, T_ATTRIBUTE_COUNT, T_RECORDS, T_RECORD_ORDER, T_RECORD_COUNT) = np.arange(6)
T_LIST, T_LIST_DIRTY = np.array([6, 7])
T_STREAM = np.int64(8)  # stream numbers (0: none) of the attribute list, the security descriptor and the index bitmap
TABLE_WORDS = np.int64(11)
NO_LIST = np.int64(-1)
USED_BITS, DIRTY = np.array([0x7FFF, 0x8000])  # of a record's word
EVERYTHING = np.int64(1 << 30)  # no limit

# Header words
STREAM_FREE = FOLDER_SCALARS  # first free stream record, plus 1
STREAM_NEXT = STREAM_FREE + 1  # stream records ever used
ATTRIBUTE_SCALARS = STREAM_NEXT + 1


@inner
def up8(n):
    """Round up to a multiple of 8."""
    return (n + 7) & ~7


@inner
def signed_bytes(n):
    """Bytes that store a number, sign included."""
    size = 1
    while not -(np.int64(1) << (8 * size - 1)) <= n < np.int64(1) << (8 * size - 1):
        size += 1
    return size


@inner
def mapping_pairs(m, f, clusters, from_vcn, limit):
    """Bytes of a stream's mapping pairs from a cluster on that fit `limit`, end mark included; where they stop."""
    apart()
    used, before, stop = 0, np.int64(0), from_vcn
    count = extents(m, f)
    for i in range(count):
        vcn = extent_vcn(m, f, i)
        end = clusters if i + 1 == count else extent_vcn(m, f, i + 1)
        if end <= from_vcn:
            continue
        skip = max(np.int64(0), from_vcn - vcn)
        lcn = extent_lcn(m, f, i) + skip
        need = 1 + signed_bytes(end - vcn - skip) + signed_bytes(lcn - before)
        if used + need > limit - 1:
            break
        used, before, stop = used + need, lcn, end
    return used + 1, stop


@inner
def resident_bytes(name_bytes, value):
    """Size of an attribute record that holds its value."""
    return RESIDENT_HEAD + name_bytes + up8(value)


@inner
def stream_bytes(m, f, name_bytes, clusters):
    """Size of an attribute record that holds all mapping pairs of a stream."""
    return STREAM_HEAD + name_bytes + up8(mapping_pairs(m, f, clusters, ZERO, EVERYTHING)[0])


@inner
def plain_bytes(m, f):
    """Bytes of a file's record without its data attribute."""
    return EMPTY_RECORD + 72 + resident_bytes(ZERO, 66 + 2 * name_units(m, f)) + 104


# --- the table -----------------------------------------------------------------------------------------------------


@inner
def table(m, f):
    """First word of a file's table; -1 where it has none."""
    at = m[base(m, R_TABLE) + f] if f >= 0 else ZERO
    return base(m, R_EXTENT) + at - 1 if at else np.int64(-1)


@inner
def attribute_word(m, f, i):
    """First word of attribute i."""
    return base(m, R_EXTENT) + m[table(m, f) + T_ATTRIBUTES] + 2 * i


@inner
def attribute_kind(m, f, i):
    """Type code of attribute i."""
    return m[attribute_word(m, f, i)] & 0xFF


@inner
def attribute_name(m, f, i):
    """Bytes of attribute i's own name, rounded up to 8."""
    return (m[attribute_word(m, f, i)] >> 8) & 0xFF


@inner
def attribute_resident(m, f, i):
    """Whether attribute i holds its value."""
    return (m[attribute_word(m, f, i)] >> 16) & 1 == 1


@inner
def attribute_bytes(m, f, i):
    """Size of attribute record i."""
    return (m[attribute_word(m, f, i)] >> 17) & 0xFFFF


@inner
def attribute_record(m, f, i):
    """Index of the record that holds attribute i."""
    return m[attribute_word(m, f, i)] >> 33


@inner
def attribute_value(m, f, i):
    """Bytes of a resident value, or first cluster of a piece of a stream."""
    return m[attribute_word(m, f, i) + 1]


@inner
def set_attribute(m, f, i, kind, name_bytes, resident, size, holder, value):
    """Change attribute i."""
    at = attribute_word(m, f, i)
    touch_range(m, at, at + 1)
    m[at] = kind | (name_bytes << 8) | ((1 if resident else 0) << 16) | (size << 17) | (np.int64(holder) << 33)
    m[at + 1] = value


@inner
def list_entry(name_bytes):
    """Bytes of an attribute's entry in an attribute list."""
    return 32 + name_bytes


@inner
def record_number(m, f, holder):
    """MFT record number of a file's record."""
    return m[base(m, R_EXTENT) + m[table(m, f) + T_RECORDS] + holder] >> 16


@inner
def record_used(m, f, holder):
    """Bytes in use in a file's record."""
    return m[base(m, R_EXTENT) + m[table(m, f) + T_RECORDS] + holder] & USED_BITS


@inner
def change_used(m, f, holder, change):
    """Change the bytes in use in a file's record, which must then be written, and the base record with it."""
    first = base(m, R_EXTENT) + m[table(m, f) + T_RECORDS]
    put(m, first + holder, (m[first + holder] + change) | DIRTY)
    put(m, first, m[first] | DIRTY)


@inner
def mark_record(m, f, holder):
    """A file's record must be written."""
    change_used(m, f, holder, ZERO)


@inner
def longer(m, t, chunk, order, count, width):
    """Make room for one more item of `width` words in a chunk of the table."""
    apart()
    old = m[t + order]
    if (count + 1) * width > np.int64(1) << old:
        source, target = m[t + chunk], new_chunk(m, old + 1)
        words = base(m, R_EXTENT)
        touch_range(m, words + target, words + target + count * width)
        for k in range(count * width):
            m[words + target + k] = m[words + source + k]
        free_chunk(m, source, old)
        touch_range(m, t, t + TABLE_WORDS - 1)
        m[t + chunk], m[t + order] = target, old + 1


@inner
def add_attribute(m, f, kind, name_bytes, resident, size, holder, value):
    """Append an attribute to a record; returns its index."""
    apart()
    t = table(m, f)
    i = m[t + T_ATTRIBUTE_COUNT]
    longer(m, t, T_ATTRIBUTES, T_ATTRIBUTE_ORDER, i, np.int64(2))
    put(m, t + T_ATTRIBUTE_COUNT, i + 1)
    set_attribute(m, f, i, kind, name_bytes, resident, size, holder, value)
    change_used(m, f, holder, size)
    return i


@inner
def add_record(m, f, number):
    """Append an MFT record to the table; returns its index."""
    apart()
    t = table(m, f)
    i = m[t + T_RECORD_COUNT]
    longer(m, t, T_RECORDS, T_RECORD_ORDER, i, ONE)
    put(m, t + T_RECORD_COUNT, i + 1)
    put(m, base(m, R_EXTENT) + m[t + T_RECORDS] + i, (number << 16) | DIRTY | EMPTY_RECORD)
    mark_record(m, f, i)
    return i


@inner
def open_table(m, f):
    """Give a file an empty table with its base record."""
    apart()
    at, attributes, records = new_chunk(m, TABLE_ORDER), new_chunk(m, np.int64(4)), new_chunk(m, ONE)
    t = base(m, R_EXTENT) + at
    touch_range(m, t, t + TABLE_WORDS - 1)
    m[t + T_ATTRIBUTES], m[t + T_ATTRIBUTE_ORDER], m[t + T_ATTRIBUTE_COUNT] = attributes, 4, 0
    m[t + T_RECORDS], m[t + T_RECORD_ORDER], m[t + T_RECORD_COUNT] = records, 1, 0
    m[t + T_LIST], m[t + T_LIST_DIRTY] = NO_LIST, 0
    m[t + T_STREAM], m[t + T_STREAM + 1], m[t + T_STREAM + 2] = 0, 0, 0
    put(m, base(m, R_TABLE) + f, at + 1)
    add_record(m, f, f)


@inner
def open_file_table(m, f, data_bytes, resident, value):
    """Give a file a table that says what its plain record holds."""
    apart()
    open_table(m, f)
    add_attribute(m, f, INFORMATION, ZERO, True, np.int64(72), ZERO, np.int64(48))
    units = name_units(m, f)
    add_attribute(m, f, NAME, ZERO, True, resident_bytes(ZERO, 66 + 2 * units), ZERO, 66 + 2 * units)
    add_attribute(m, f, SECURITY, ZERO, True, np.int64(104), ZERO, np.int64(80))
    add_attribute(m, f, DATA, ZERO, resident, data_bytes, ZERO, value)


@inner
def close_table(m, f):
    """Give a table back."""
    apart()
    t = table(m, f)
    free_chunk(m, m[t + T_ATTRIBUTES], m[t + T_ATTRIBUTE_ORDER])
    free_chunk(m, m[t + T_RECORDS], m[t + T_RECORD_ORDER])
    free_chunk(m, m[base(m, R_TABLE) + f] - 1, TABLE_ORDER)
    put(m, base(m, R_TABLE) + f, ZERO)


@inner
def stream_word(m, f, kind):
    """Word of the table that names the stream of a kind."""
    which = 0 if kind == LIST else 1 if kind == SECURITY else 2
    return table(m, f) + T_STREAM + which


@inner
def stream_of(m, f, kind):
    """File number of a kind's stream: the file itself for its data or index blocks, else a negative one."""
    return f if kind == DATA or kind == ALLOCATION else m[stream_word(m, f, kind)]


@inner
def open_stream(m, f, kind):
    """Begin a stream of a file; returns its (negative) number."""
    apart()
    at = m[STREAM_FREE]
    if at:
        m[STREAM_FREE] = m[record(m, -at)]
    else:
        m[STREAM_NEXT] += 1
        at = m[STREAM_NEXT]
    open_record(m, -at, ZERO, ZERO, ZERO)
    put(m, stream_word(m, f, kind), -at)
    return -at


@inner
def close_stream(m, f, kind):
    """End a stream whose clusters are freed already."""
    apart()
    stream = m[stream_word(m, f, kind)]
    forget_extents(m, stream)
    put(m, record(m, stream), m[STREAM_FREE])
    m[STREAM_FREE] = -stream
    put(m, stream_word(m, f, kind), ZERO)


@inner
def first_piece(m, f, kind):
    """Index of the first attribute of a kind; -1 for none. Pieces of a stream stand in order of their clusters."""
    for i in range(m[table(m, f) + T_ATTRIBUTE_COUNT]):
        if attribute_kind(m, f, i) == kind:
            return i
    return NONE


@inner
def resize(m, f, i, size):
    """Change the size of attribute record i; False where its record has no room."""
    apart()
    holder, size = attribute_record(m, f, i), up8(size)
    change = size - attribute_bytes(m, f, i)
    if record_used(m, f, holder) + change > RECORD_BYTES:
        return False
    change_used(m, f, holder, change)
    set_attribute(
        m, f, i, attribute_kind(m, f, i), attribute_name(m, f, i), attribute_resident(m, f, i), size, holder,
        attribute_value(m, f, i),
    )  # fmt: skip
    return True
