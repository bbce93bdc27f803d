"""Invariants of a volume, stated slowly and plainly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clonesim.guest import arena_kernel as a
from clonesim.guest import attribute_kernel as attribute
from clonesim.guest import file_kernel as file
from clonesim.guest import folder_kernel as folder
from clonesim.guest import index_kernel as index
from clonesim.guest import runs_kernel as runs
from clonesim.guest import space_kernel as space
from clonesim.guest.arena import Arena, bits_of, numbered_records
from clonesim.guest.policy_kernel import NTFS3G, POLICY

SYSTEM_RECORDS = range(12)


def check_volume(m: Arena, named: list[int]) -> None:
    """Check clusters, free runs and directories against each other; AssertionError names what broke.

    `named`: MFT records of the named files; numbered ones are found in the arena.
    """
    numbered = numbered_records(m, a.R_SLOT)
    records = [*named, *numbered, *numbered_records(m, a.R_FOLDER)]
    clusters = int(m[file.CLUSTERS])
    owners = np.zeros(clusters, np.int64)
    for f in [*SYSTEM_RECORDS, *records, *(-s for s in _streams(m, records))]:
        for start, length in _extents(m, f):
            owners[start : start + length] += 1
    assert owners.max() <= 1, f"clusters {np.flatnonzero(owners > 1)[:5]} have two owners"
    waiting = np.zeros(clusters, np.int64)
    for start, length in waiting_runs(m):
        waiting[start : start + length] += 1
    assert waiting.max() <= 1 and not (waiting & owners).any(), "a quarantined cluster has an owner"
    bits = bits_of(m, a.R_BITMAP, clusters)
    lost = np.flatnonzero(bits != (owners + waiting))
    assert not lost.size, f"clusters {lost[:5]} are in use without an owner, or owned without being in use"
    assert owners.sum() == m[file.USED], "the count of allocated clusters is wrong"
    assert waiting.sum() == m[space.QUARANTINED], "the count of quarantined clusters is wrong"
    if m[POLICY] != NTFS3G:
        _check_runs(m, bits)
        _check_folders(m)
        _check_directory(m, named)
    else:
        _check_directory(m, [*named, *numbered])


def _extents(m: Arena, f: int) -> list[tuple[int, int]]:
    count, clusters = int(file.extents(m, f)), int(file.file_clusters(m, f))
    vcn = [int(file.extent_vcn(m, f, i)) for i in range(count)]
    found = [
        (int(file.extent_lcn(m, f, i)), e - v) for i, (v, e) in enumerate(zip(vcn, [*vcn[1:], clusters], strict=False))
    ]
    assert all(length > 0 for _, length in found), f"record {f} has an empty extent"
    return found[:count]


def _streams(m: Arena, records: list[int]) -> list[int]:
    """Streams of the files that have a table of attributes."""
    kinds = (attribute.LIST, attribute.SECURITY, attribute.INDEX_BITMAP)
    with_table = [f for f in [5, *records] if attribute.table(m, f) >= 0]
    found = [-int(attribute.stream_of(m, f, kind)) for f in with_table for kind in kinds]
    return [s for s in found if s]


def waiting_runs(m: Arena) -> list[tuple[int, int]]:
    """Freed runs that wait for their checkpoint: first cluster and length of each."""
    first, slots = int(a.base(m, a.R_QUEUE)), int(a.room(m, a.R_QUEUE)) // space.WAITING
    words = [int(m[first + space.WAITING * (k % slots)]) for k in range(m[space.QUEUE_HEAD], m[space.QUEUE_TAIL])]
    return [(word >> int(runs.FIELD), word & int(runs.MASK)) for word in words]


def _keys(m: Arena, which: int) -> list[int]:
    keys: list[int] = []
    for d in range(int(m[runs.LIST + 4 * which])):
        entry = int(runs.entry_at(m, which, d))
        block, count = int(runs.block_at(m, which, entry)), int(m[entry + 1]) & 0xFFFF
        part = m[block : block + count].tolist()
        assert part and part[0] == m[entry], "a directory entry does not name its block's lowest key"
        if which == runs.BY_ADDRESS:
            assert max(k & runs.MASK for k in part) <= m[entry + 2], "a block holds a longer run than its entry says"
        keys += part
    assert keys == sorted(set(keys)), "free runs out of order"
    assert len(keys) == m[runs.LIST + 4 * which + 3], "the count of free runs is wrong"
    return keys


def _check_runs(m: Arena, bits: NDArray[np.uint8]) -> None:
    by_address, by_size = _keys(m, runs.BY_ADDRESS), _keys(m, runs.BY_SIZE)
    mask = int(runs.MASK)
    found = [(k >> 60, k >> 30 & mask, k & mask) for k in by_address]
    assert sorted((k >> 60, k & mask, k >> 30 & mask) for k in by_size) == found, "the two lists differ"
    free = np.zeros(bits.size, np.uint8)
    written = bits_of(m, a.R_WRITTEN, bits.size)
    inside = np.zeros(bits.size, bool)
    inside[int(m[runs.ZONE_START]) : int(m[runs.ZONE_END])] = True
    pools = np.where(inside, runs.ZONE, runs.FRESH)
    if m[runs.SPLIT_FRESH]:
        pools[written == 1] = runs.FREED
    totals = [0, 0, 0]
    for k, (pool, start, length) in enumerate(found):
        free[start : start + length] += 1
        totals[pool] += length
        assert (pools[start : start + length] == pool).all(), f"run at {start} is in the wrong pool"
        after = found[k + 1] if k + 1 < len(found) else (-1, -1, -1)
        assert after[:2] != (pool, start + length), f"runs at {start} and {after[1]} should be one"
    assert (free == 1 - bits).all(), "the lists of free runs and the bitmap differ"
    assert totals == m[runs.POOL_FREE : runs.POOL_FREE + 3].tolist(), "free clusters of a pool miscounted"


def _check_folders(m: Arena) -> None:
    """Every folder counts its files, and its index has clusters for whole blocks once its record is full."""
    first, room = (int(v) for v in m[a.REGION + 2 * a.R_SLOT : a.REGION + 2 * a.R_SLOT + 2])
    numbers = np.flatnonzero(m[first : first + room])
    held = np.bincount(numbers // m[folder.FOLDER_FILES], minlength=room)
    at = int(a.base(m, a.R_FOLDER))
    words = m[at : at + room]
    assert (words >> int(folder.COUNT) == held[:room]).all(), "a folder miscounts its files"
    for word in words[held[:room] > m[folder.ROOT_ENTRIES]].tolist():
        size = int(file.file_size(m, (word & int(folder.RECORD_MASK)) - 1))
        assert size >= folder.INDEX_BLOCK, "a folder's index has no block"


def _check_directory(m: Arena, records: list[int]) -> None:
    """The index holds every file once, in order, with every block full as its entries say."""
    seen: list[int] = []

    def walk(block: int) -> None:
        size = index.ROOT_HEAD if block < 0 else index.HEAD
        count = int(index.entries(m, block))
        for i in range(count + 1):
            below = int(index.child(m, block, i))
            size += index.CHILD if below >= 0 else 0
            if below >= 0:
                assert a.bit(m, a.R_BLOCK, below), f"index block {below} is used but marked free"
                walk(below)
            if i < count:
                seen.append(int(index.entry_file(m, block, i)))
                size += int(index.entry_bytes(m, seen[-1]))
        assert size + index.END == index.bytes_used(m, block), f"index block {block} miscounts its bytes"

    walk(-1)
    assert sorted(seen) == sorted([*SYSTEM_RECORDS, *records]), "the directory and the files differ"
    assert all(index.is_less(m, f, g) for f, g in pairwise(seen)), "the directory is out of order"
