"""Numbered files on Windows: they stand in folders of a few files each, so that operations touch small indexes.

File number n stands in folder n // FOLDER_FILES, which is made with its first file and stays. A folder is an MFT
record; the entries of its files stand in it while they fit (its index root), then in index blocks of 4 KiB, where each
file has its place by its number. Rules: docs/volume-model.md.
"""

from __future__ import annotations

import numpy as np

from clonesim.guest.arena_kernel import NONE, ONE, R_FOLDER, R_SLOT, ZERO, apart, base, inner, prefetch, put, room
from clonesim.guest.file_kernel import chunk_at, clusters_for, extents, file_clusters, file_size, record
from clonesim.guest.journal_kernel import log_change
from clonesim.guest.mft_kernel import grow_plain, write_record
from clonesim.guest.request_kernel import write_metadata
from clonesim.guest.windows_file_kernel import (
    NAME_UNITS,
    WINDOWS_FILE_SCALARS,
    windows_changed,
    windows_close,
    windows_grow,
    windows_open,
)

KERNELS = "2c6c66b026b2c0cb"

INDEX_BLOCK = np.int64(4096)
COUNT = np.int64(32)  # a folder's word: MFT record plus 1 | files in it from this bit on
RECORD_MASK = (ONE << COUNT) - 1
SHARE_BITS = np.int64(36)

# Header words
FOLDER_FILES = WINDOWS_FILE_SCALARS  # files that share a folder
FOLDER_SHARE = FOLDER_FILES + 1  # its reciprocal, rounded up, for file numbers below 2**24: dividing is slow
ROOT_ENTRIES = FOLDER_SHARE + 1  # entries that a folder's MFT record holds
BLOCK_ENTRIES = ROOT_ENTRIES + 1  # entries that an index block holds
FOLDER_SCALARS = BLOCK_ENTRIES + 1


@inner
def folder_word(m, number):
    """Word of the folder that a numbered file stands in."""
    return base(m, R_FOLDER) + ((number * m[FOLDER_SHARE]) >> SHARE_BITS)


@inner
def entry_block(m, number):
    """Index block of its folder that holds a file's entry."""
    if m[FOLDER_FILES] <= m[BLOCK_ENTRIES]:
        return ZERO
    return number % m[FOLDER_FILES] // m[BLOCK_ENTRIES]


@inner
def folder_lacks(m, number):
    """MFT records and clusters that entering a file takes."""
    word = m[folder_word(m, number)]
    records = ONE if word == 0 else ZERO
    have = file_clusters(m, (word & RECORD_MASK) - 1) if word else ZERO
    if have == 0 and word >> COUNT < m[ROOT_ENTRIES]:
        return records, ZERO
    return records, max(ZERO, clusters_for(m, (entry_block(m, number) + 1) * INDEX_BLOCK) - have)


@inner
def write_entry(m, number):
    """The index entry of a file goes to disk: with the folder's record, or with an index block."""
    word = m[folder_word(m, number)]
    folder = (word & RECORD_MASK) - 1
    if extents(m, folder) == 0 and word >> COUNT <= m[ROOT_ENTRIES]:
        write_record(m, folder)
        return
    block, written = entry_block(m, number), m[FOLDER_FILES] <= m[BLOCK_ENTRIES]
    if (block + 1) * INDEX_BLOCK > file_size(m, folder):
        while (block + 1) * INDEX_BLOCK > file_size(m, folder):
            grow_plain(m, folder)
        write_record(m, folder)
        written = False
    write_metadata(m, folder, block * INDEX_BLOCK, INDEX_BLOCK, written)


@inner
def folder_add(m, number):
    """Enter a file; its folder is made first."""
    at = folder_word(m, number)
    if m[at] == 0:
        folder = windows_open(m, m[NAME_UNITS], ZERO, ZERO)
        windows_changed(m, folder)
        put(m, at, folder + 1)
    put(m, at, m[at] + (ONE << COUNT))
    write_entry(m, number)


@inner
def folder_remove(m, number):
    """Take a file's entry out."""
    at = folder_word(m, number)
    put(m, at, m[at] - (ONE << COUNT))
    write_entry(m, number)


@inner
def place_of(m, number):
    """Records of a numbered file and of its folder; -1 for none."""
    return slot(m, number), (m[folder_word(m, number)] & RECORD_MASK) - 1


@inner
def fetch_ahead(m, late, later, soon):
    """Fetch what operations to come will need: of one its words, of a nearer one its records, then its extents."""
    numbers = room(m, R_SLOT)
    if 0 <= late < numbers:
        prefetch(m, base(m, R_SLOT) + late)
        prefetch(m, folder_word(m, late))
    if 0 <= later < numbers:
        f, folder = place_of(m, later)
        if f >= 0:
            prefetch(m, record(m, f))
        if folder >= 0:
            prefetch(m, record(m, folder))
    if 0 <= soon < numbers:
        f, folder = place_of(m, soon)
        if f >= 0:
            prefetch(m, chunk_at(m, f))
        if folder >= 0:
            prefetch(m, chunk_at(m, folder))


# --- operations on numbered files ----------------------------------------------------------------------------------


@inner
def slot(m, number):
    """Record of a numbered file; -1 for none."""
    if number >= room(m, R_SLOT):
        return NONE
    return m[base(m, R_SLOT) + number] - 1


@inner
def set_slot(m, number, record):
    """Let a number stand for a record (-1: for none)."""
    put(m, base(m, R_SLOT) + number, record + 1)


@inner
def numbered_create(m, number, size):
    """Create a file of a size known beforehand."""
    apart()
    folder_add(m, number)
    f = windows_open(m, m[NAME_UNITS], ZERO, ZERO)
    windows_grow(m, f, size, False)
    windows_changed(m, f)
    set_slot(m, number, f)


@inner
def numbered_append(m, number, length):
    """Append bytes as a stream."""
    f = slot(m, number)
    windows_grow(m, f, length, True)
    write_record(m, f)
    write_entry(m, number)
    log_change(m)


@inner
def numbered_delete(m, number):
    """Delete a file."""
    apart()
    folder_remove(m, number)
    windows_close(m, slot(m, number))
    set_slot(m, number, NONE)


@inner
def numbered_rename(m, number, target):
    """Let a file take the place of another number, whose file is deleted."""
    apart()
    if slot(m, target) >= 0:
        numbered_delete(m, target)
    f = slot(m, number)
    folder_remove(m, number)
    folder_add(m, target)
    set_slot(m, number, NONE)
    set_slot(m, target, f)
    windows_changed(m, f)
