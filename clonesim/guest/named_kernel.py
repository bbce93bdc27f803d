"""Named files on Windows: they all stand in the root directory, whose index is a B-tree."""

from __future__ import annotations

from clonesim.guest.arena_kernel import ONE, R_NODE, ZERO, apart, inner
from clonesim.guest.file_kernel import set_name
from clonesim.guest.index_kernel import INDEX_ROOM, index_add, index_remove, index_room, index_touch
from clonesim.guest.journal_kernel import log_change
from clonesim.guest.mft_kernel import write_record
from clonesim.guest.volume_kernel import APPEND, CREATE, DELETE, DONE, GROW, OVERWRITE, RENAME, SCATTER
from clonesim.guest.windows_file_kernel import (
    windows_changed,
    windows_close,
    windows_grow,
    windows_open,
    windows_overwrite,
    windows_scatter,
)
from clonesim.guest.windows_volume_kernel import windows_ready

KERNELS = "2c6c66b026b2c0cb"


@inner
def named_create(m, units, key, key_rest, size):
    """Create a file of a size known beforehand; returns its record."""
    apart()
    f = windows_open(m, units, key, key_rest)
    index_add(m, f)
    windows_grow(m, f, size, False)
    windows_changed(m, f)
    return f


@inner
def named_append(m, f, length):
    """Append bytes as a stream."""
    windows_grow(m, f, length, True)
    write_record(m, f)
    index_touch(m, f)
    log_change(m)


@inner
def named_delete(m, f):
    """Delete a file."""
    apart()
    index_remove(m, f)
    windows_close(m, f)


@inner
def named_rename(m, f, target, units, key, key_rest):
    """Give a file another name; the file `target` that has it (-1: none) is deleted."""
    apart()
    if target >= 0:
        named_delete(m, target)
    index_remove(m, f)
    set_name(m, f, units, key, key_rest)
    index_add(m, f)
    windows_changed(m, f)


@inner
def run_named(m, op, f, offset, length, units, key, key_rest):
    """One operation on a named file: outcome, region or record, words; `offset` is the record a rename replaces."""
    apart()
    if index_room(m) < INDEX_ROOM:
        return GROW, R_NODE, ZERO
    records = ONE if op == CREATE else ZERO
    freed = offset if op == RENAME else f
    status, region, words = windows_ready(m, f, freed, op, length, records, ZERO)
    if status != DONE:
        return status, region, words
    if op == CREATE:
        f = named_create(m, units, key, key_rest, length)
    elif op == APPEND:
        named_append(m, f, length)
    elif op == OVERWRITE:
        windows_overwrite(m, f, offset, length)
    elif op == SCATTER:
        windows_scatter(m, f, offset, length)
    elif op == DELETE:
        named_delete(m, f)
    else:
        named_rename(m, f, offset, units, key, key_rest)
    return DONE, f, ZERO
