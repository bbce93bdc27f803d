"""The directory: NTFS's $I30 index, a B-tree of 4 KiB blocks under a root that lives in the directory's MFT record.

A node has a word for its entries and bytes, a word for the block behind its last entry, and two words an entry: the
name's sort key, and file | block before it. Which blocks an operation writes, and when the index grows, follow from
the entries' real sizes. Rules: docs/ntfs-model.md.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import (
    NONE,
    ONE,
    R_BLOCK,
    R_NODE,
    ZERO,
    apart,
    base,
    clear_bits,
    inner,
    next_equal,
    put,
    room,
    set_bits,
    touch_range,
)
from clonesim.guest.directory_kernel import (
    DIRECTORY_SCALARS,
    ROOT_ROOM,
    block_bit_changed,
    grow_root,
    mark_root,
    set_root,
    write_block,
)
from clonesim.guest.file_kernel import name_units, record

KERNELS = "2c6c66b026b2c0cb"

NODE = np.int64(98)  # words of a node: at most 45 entries of the smallest size fit a block
BLOCK_ROOM = np.int64(4096 - 24)  # bytes of a block for its header (40 with the update sequence) and entries
HEAD, ROOT_HEAD = np.array([40, 16])
END = np.int64(16)  # bytes of the entry that ends a node
CHILD = np.int64(8)  # bytes of a child's block number
DEEPEST = np.int64(12)
INDEX_ROOM = np.int64(64)  # blocks that an operation may add, and more

# Header words
DEPTH = DIRECTORY_SCALARS  # nodes on the path of the last search
PATH = DEPTH + 1  # block, entry of each
BLOCKS_HIGH = PATH + 2 * DEEPEST  # blocks ever used
UNUSED = BLOCKS_HIGH + 1  # blocks taken for splits that had to wait for their parent's, by level
INDEX_SCALARS = UNUSED + DEEPEST


@inner
def node(m, block):
    """First word of a node; block -1 is the root."""
    return base(m, R_NODE) + NODE * (block + 1)


@inner
def entries(m, block):
    """Number of a node's entries, the end entry not counted."""
    return m[node(m, block)] & 0xFFFF


@inner
def bytes_used(m, block):
    """Bytes that a node's header and entries take."""
    return m[node(m, block)] >> 16


@inner
def child(m, block, i):
    """Block before entry i (i = number of entries: behind the last); -1 for none."""
    at = node(m, block)
    if i == m[at] & 0xFFFF:
        return m[at + 1] - 1
    return (m[at + 3 + 2 * i] & 0xFFFFFFFF) - 1


@inner
def entry_file(m, block, i):
    """File of entry i."""
    return m[node(m, block) + 3 + 2 * i] >> 32


@inner
def entry_bytes(m, f):
    """Bytes of a file's entry without a child."""
    return (16 + 66 + 2 * name_units(m, f) + 7) & ~7


@inner
def clear_node(m, block, end_child):
    """Make a node empty but for its end entry."""
    at = node(m, block)
    touch_range(m, at, at + 1)
    size = (ROOT_HEAD if block < 0 else HEAD) + END + (CHILD if end_child >= 0 else 0)
    m[at], m[at + 1] = size << 16, end_child + 1


@inner
def set_child(m, block, i, value):
    """Change the block before entry i."""
    apart()
    at = node(m, block)
    before = child(m, block, i)
    if i == m[at] & 0xFFFF:
        put(m, at + 1, value + 1)
    else:
        put(m, at + 3 + 2 * i, (m[at + 3 + 2 * i] >> 32 << 32) | (value + 1))
    change = (CHILD if value >= 0 else 0) - (CHILD if before >= 0 else 0)
    put(m, at, m[at] + (change << 16))


@inner
def insert_entry(m, block, i, f, before):
    """Insert a file's entry at position i, with the block before it (-1: none)."""
    apart()
    at = node(m, block)
    count = m[at] & 0xFFFF
    touch_range(m, at, at + 3 + 2 * count)
    for k in range(at + 1 + 2 * count, at + 1 + 2 * i, -1):
        m[k + 2] = m[k]
    m[at + 2 + 2 * i] = m[record(m, f) + 2]
    m[at + 3 + 2 * i] = (f << 32) | (before + 1)
    m[at] += 1 + ((entry_bytes(m, f) + (CHILD if before >= 0 else 0)) << 16)


@inner
def remove_entry(m, block, i):
    """Remove entry i and the child pointer in it."""
    apart()
    at = node(m, block)
    count = m[at] & 0xFFFF
    size = entry_bytes(m, entry_file(m, block, i)) + (CHILD if child(m, block, i) >= 0 else 0)
    touch_range(m, at, at + 3 + 2 * count)
    for k in range(at + 2 + 2 * i, at + 2 * count):
        m[k] = m[k + 2]
    m[at] -= 1 + (size << 16)


@inner
def is_less(m, f, g):
    """Whether file f's name sorts before file g's."""
    a, b = record(m, f), record(m, g)
    if m[a + 2] != m[b + 2]:
        return m[a + 2] < m[b + 2]
    if m[a + 3] != m[b + 3]:
        return m[a + 3] < m[b + 3]
    return f < g


@inner
def search(m, f):
    """Path down to a file's entry, or to where it belongs; whether it is there."""
    apart()
    key, block, depth = m[record(m, f) + 2], np.int64(-1), 0
    while True:
        at = node(m, block)
        count = m[at] & 0xFFFF
        low, left = np.int64(0), count
        while left > 0:  # no branch on the comparison: it cannot be predicted
            half = (left + 1) >> 1
            low += half * (m[at + 2 * (low + half)] < key)
            left -= half
        while low < count and m[at + 2 + 2 * low] == key and is_less(m, m[at + 3 + 2 * low] >> 32, f):
            low += 1
        m[PATH + 2 * depth], m[PATH + 2 * depth + 1] = block, low
        depth += 1
        m[DEPTH] = depth
        if low < (m[at] & 0xFFFF) and m[at + 3 + 2 * low] >> 32 == f:
            return True
        block = child(m, block, low)
        if block < 0:
            return False


@inner
def new_block(m):
    """Lowest unused block, now used; the caller made sure of the room (`index_room`)."""
    apart()
    block = next_equal(m, R_BLOCK, ZERO, room(m, R_BLOCK) * 64, ZERO)
    set_bits(m, R_BLOCK, block, ONE)
    m[BLOCKS_HIGH] = max(m[BLOCKS_HIGH], block + 1)
    block_bit_changed(m, block)
    return block


@inner
def drop_bit(m, block):
    """Mark a block unused."""
    clear_bits(m, R_BLOCK, block, ONE)
    block_bit_changed(m, block)


@inner
def copy_entries(m, source, first, last, target):
    """Make an empty node of the entries first .. last - 1 of another and its end entry's child."""
    apart()
    clear_node(m, target, child(m, source, entries(m, source)))
    for i in range(first, last):
        insert_entry(m, target, i - first, entry_file(m, source, i), child(m, source, i))


@inner
def root_space(m, length):
    """Resize the root; when its record is full the entries move to a new block (False: search again)."""
    apart()
    if grow_root(m, length):
        return True
    block = new_block(m)
    copy_entries(m, NONE, ZERO, entries(m, NONE), block)
    write_block(m, block)
    clear_node(m, NONE, block)
    set_root(m, bytes_used(m, NONE))
    return False


@inner
def split(m, level):
    """Split the node at a level of the path, or, where its parent is full, the parent (then search again)."""
    apart()
    lowest = level
    while True:
        block, parent, at = m[PATH + 2 * level], m[PATH + 2 * level - 2], m[PATH + 2 * level - 1]
        count = entries(m, block)
        middle = count // 2
        fresh = new_block(m)
        copy_entries(m, block, middle + 1, count, fresh)
        write_block(m, fresh)
        moving, inner = entry_file(m, block, middle), child(m, block, middle)
        size = entry_bytes(m, moving) + CHILD
        if parent < 0:
            fits = root_space(m, bytes_used(m, NONE) + size)
        else:  # the driver counts the child of an entry that has one already twice
            fits = bytes_used(m, parent) + size + (CHILD if inner >= 0 else 0) <= BLOCK_ROOM
        if fits:
            break
        m[UNUSED + level] = fresh
        if parent < 0:
            drop_bits(m, level, lowest)
            return
        level -= 1
    set_child(m, parent, at, fresh)
    insert_entry(m, parent, at, moving, block)
    write_block(m, parent)
    for i in range(count - 1, middle - 1, -1):
        remove_entry(m, block, i)
    set_child(m, block, middle, inner)
    write_block(m, block)
    drop_bits(m, level + 1, lowest)


@inner
def drop_bits(m, first, last):
    """Mark the blocks unused that were taken at some levels for splits that had to wait."""
    for level in range(first, last + 1):
        drop_bit(m, m[UNUSED + level])


@inner
def index_add(m, f):
    """Enter a file's name."""
    apart()
    size = entry_bytes(m, f)
    while True:
        search(m, f)
        level = m[DEPTH] - 1
        block, i = m[PATH + 2 * level], m[PATH + 2 * level + 1]
        need = bytes_used(m, block) + size
        if need <= (m[ROOT_ROOM] if block < 0 else BLOCK_ROOM):
            insert_entry(m, block, i, f, NONE)
            write_block(m, block)
            return
        if block < 0:
            root_space(m, need)
        else:
            split(m, level)
        mark_root(m)


@inner
def index_touch(m, f):
    """A file's times or size changed: the block that holds its entry is written."""
    search(m, f)
    write_block(m, m[PATH + 2 * m[DEPTH] - 2])


@inner
def index_remove(m, f):
    """Take a file's name out."""
    apart()
    while True:
        search(m, f)
        level = m[DEPTH] - 1
        block, i = m[PATH + 2 * level], m[PATH + 2 * level + 1]
        if child(m, block, i) >= 0:
            if replace_by_successor(m, level):
                break
        elif block < 0:
            remove_entry(m, NONE, i)
            set_root(m, bytes_used(m, NONE))
            write_block(m, NONE)
            break
        else:
            take_leaf_entry(m, level, i)
            break
    mark_root(m)


@inner
def take_leaf_entry(m, level, i):
    """Remove entry i of the leaf at a level of the path; a leaf without entries goes away."""
    apart()
    block = m[PATH + 2 * level]
    if entries(m, block) > 1:
        remove_entry(m, block, i)
        write_block(m, block)
    else:
        drop_block(m, level)


@inner
def replace_by_successor(m, level):
    """Remove an entry that has a block before it: the next name in order takes its place (False: search again)."""
    apart()
    block, i = m[PATH + 2 * level], m[PATH + 2 * level + 1]
    before = child(m, block, i)
    leaf, depth = child(m, block, i + 1), level + 1
    while True:
        m[PATH + 2 * depth], m[PATH + 2 * depth + 1] = leaf, 0
        if child(m, leaf, ZERO) < 0:
            break
        leaf, depth = child(m, leaf, ZERO), depth + 1
    heir = entry_file(m, leaf, ZERO)
    grows = entry_bytes(m, heir) - entry_bytes(m, entry_file(m, block, i))
    if grows > 0 and block < 0:
        if not root_space(m, bytes_used(m, NONE) + grows):
            return False
    elif grows > 0 and bytes_used(m, block) + grows > BLOCK_ROOM:
        split(m, level)
        return False
    remove_entry(m, block, i)
    insert_entry(m, block, i, heir, before)
    if block < 0:
        set_root(m, bytes_used(m, NONE))
    write_block(m, block)
    m[PATH + 2 * level + 1] = i + 1
    m[DEPTH] = depth + 1
    take_leaf_entry(m, depth, ZERO)
    return True


@inner
def drop_block(m, level):
    """Remove an empty block; the parent's entry beside it is entered anew."""
    apart()
    while True:
        drop_bit(m, m[PATH + 2 * level])
        level -= 1
        parent, at = m[PATH + 2 * level], m[PATH + 2 * level + 1]
        count = entries(m, parent)
        if at < count:
            reenter(m, parent, at)
            return
        if count:
            set_child(m, parent, count, child(m, parent, count - 1))
            reenter(m, parent, count - 1)
            return
        if parent < 0:
            set_child(m, NONE, ZERO, NONE)
            set_root(m, bytes_used(m, NONE))
            write_block(m, NONE)
            return


@inner
def reenter(m, block, i):
    """Take an entry out of an inner node and enter its name anew."""
    apart()
    was_full = block < 0 and bytes_used(m, NONE) == m[ROOT_ROOM]
    f = entry_file(m, block, i)
    remove_entry(m, block, i)
    if was_full:
        set_root(m, bytes_used(m, NONE))
    write_block(m, block)
    index_add(m, f)


@inner
def index_room(m):
    """Blocks that can be added before a region must grow."""
    return min(room(m, R_NODE) // NODE - 1, room(m, R_BLOCK) * 64) - m[BLOCKS_HIGH]
