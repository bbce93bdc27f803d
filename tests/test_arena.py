"""A volume's memory: runs of bits, and regions that become longer while a snapshot is held."""

from __future__ import annotations

import random

import numpy as np
import pytest
from volume_tools import state

from clonesim.guest import Volume
from clonesim.guest import arena_kernel as a
from clonesim.guest.arena import TOGETHER, bits_of, longer_region, new_arena
from clonesim.guest.file_kernel import RECORD, extents_room
from clonesim.guest.index_kernel import NODE, index_room
from clonesim.guest.request_kernel import request_room
from clonesim.guest.runs_kernel import runs_room
from clonesim.guest.space_kernel import queue_room
from clonesim.units import KIB

PAGE = 512  # words
GROWING = ["R_RUNS", "R_QUEUE", "R_FILE", "R_EXTENT", "R_NODE", "R_SLOT", "R_STREAM", "R_OUT"]
BOOKS = (a.R_DIRTY, a.R_TOUCHED)  # which pages are saved; they follow the arena's size


def region(m, which):
    """First word and length of a region."""
    return int(m[a.REGION + 2 * which]), int(m[a.REGION + 2 * which + 1])


def rooms(m):
    return [region(m, r)[1] for r in range(a.REGIONS)]


def saved(m):
    """What `revert` puts back: content by region and page in it; the queue starts empty in a snapshot."""
    found = {}
    first, _ = region(m, a.R_TOUCHED)
    for page in m[first : first + int(m[a.TOUCHED])].tolist():
        r = max(r for r in range(a.REGIONS) if region(m, r)[0] <= page * PAGE)
        if r != a.R_QUEUE:
            at = page * PAGE + int(m[a.HALF])
            found[r, page - region(m, r)[0] // PAGE] = m[at : at + PAGE].tolist()
    return found


def test_bits_equal_a_list_of_them():
    """Runs that start and end at, before and behind the borders of words."""
    m, n, rnd = new_arena(640), 640, random.Random(1)
    bits = [0] * n
    for step in range(250):
        start = rnd.choice([0, 1, 63, 64, 65, 127, 128, 575, 576, 639, rnd.randrange(n)])
        length = min(n - start, rnd.choice([1, 2, 63, 64, 65, 127, 128, 129, rnd.randint(1, n)]))
        value = step % 2
        (a.set_bits if value else a.clear_bits)(m, a.R_BITMAP, np.int64(start), np.int64(length))
        bits[start : start + length] = [value] * length
        assert bits_of(m, a.R_BITMAP, n).tolist() == bits
        for wanted in (0, 1):
            c, end = sorted((rnd.choice([0, 63, 64, rnd.randrange(n)]), rnd.choice([n, 64, 128, rnd.randrange(n)])))
            found = a.next_equal(m, a.R_BITMAP, np.int64(c), np.int64(end), np.int64(wanted))
            assert found == next((k for k in range(c, end) if bits[k] == wanted), end)
    assert [int(a.bit(m, a.R_BITMAP, np.int64(k))) for k in range(n)] == bits
    assert not bits_of(m, a.R_WRITTEN, n).any(), "another region"


def busy_volume(policy):
    """A volume with a snapshot, changes behind it in many regions, and freed clusters that wait; what it was before."""
    volume = Volume("24 MiB", policy, folder_files=2, auto_checkpoint=False)
    for k in range(40):
        volume.create(k, 9000 + 4096 * (k % 5))
        volume.create(f"{k} " + "n" * (5 * k), 700 * k)
    for k in range(0, 40, 3):
        volume.delete(k)
    volume.snapshot("exact")
    before = state(volume)
    for k in range(1, 40, 3):
        volume.delete(k)
        volume.append(f"{k} " + "n" * (5 * k), 5000)
    for k in range(40, 60):
        volume.create(k, 3000)
    return volume, before


def go_on(volume):
    """More changes; all that can be seen then."""
    volume.advance("10 s")
    for k in range(60, 75):
        volume.create(k, 30 * KIB)
        volume.create(f"new {k}", 900)
    for k in range(40, 60, 2):
        volume.delete(k)
    return state(volume)


@pytest.mark.parametrize("policy", ["fresh-first", "ntfs3g"])
@pytest.mark.parametrize("name", GROWING)
def test_a_longer_region_changes_nothing_else(name, policy):
    volume, before = busy_volume(policy)
    during, future = state(volume), go_on(busy_volume(policy)[0])
    old, which, words = volume._arena, getattr(a, name), 5000
    volume._arena = new = longer_region(old, which, words)
    group = TOGETHER.get(which, (which,))
    group = (a.R_FILE, a.R_MFT, a.R_TABLE) if which == a.R_FILE else group
    for r, (was, now) in enumerate(zip(rooms(old), rooms(new), strict=True)):
        if r in group:
            assert now >= was + (words if r == which else 1), f"region {r} is longer"
        elif r not in BOOKS:
            assert now == was, f"region {r} stays"
    end = PAGE  # behind the header
    for r in range(a.REGIONS):
        first, words_now = region(new, r)
        assert (first, words_now % PAGE) == (end, 0), "regions follow each other, on whole pages"
        end += words_now
        at, was = region(old, r)
        if r not in (*BOOKS, a.R_QUEUE):
            assert np.array_equal(new[first : first + was], old[at : at + was]), f"content of region {r}"
            assert not new[first + was : first + words_now].any(), f"region {r} is empty behind its old end"
    assert (int(new[a.HALF]), new.size) == (end, 2 * end)
    assert region(new, a.R_DIRTY)[1] >= end // PAGE, "a word for each page"
    assert len(saved(old)) > 5 and saved(new) == saved(old)
    first, count = region(new, a.R_DIRTY)
    pages = {region(new, r)[0] // PAGE + page for r, page in saved(new)}
    assert set(np.flatnonzero(new[first : first + count])) == pages
    assert np.array_equal(new[a.SCALARS : PAGE], old[a.SCALARS : PAGE])
    volume.check_invariants()
    assert state(volume) == during
    assert go_on(volume) == future
    volume.check_invariants()
    volume.revert()
    assert state(volume) == before
    volume.check_invariants()


@pytest.mark.parametrize("words", [1, 700, 5000, 300_000])
def test_what_was_lacking_is_there_once_the_region_is_longer(words):
    """Runs, requests, waiting runs, extents, records, blocks of the index, and numbers of files.

    Compiled kernels name the region by a plain number.
    """
    m = busy_volume("windows")[0]._arena
    assert runs_room(longer_region(m, int(a.R_RUNS), words)) >= words
    assert request_room(longer_region(m, a.R_OUT, 4 * words)) >= words
    assert queue_room(longer_region(m, a.R_QUEUE, 2 * words)) >= words
    assert extents_room(longer_region(m, a.R_EXTENT, words)) >= words
    new = longer_region(m, int(a.R_FILE), words)
    assert min(region(new, a.R_FILE)[1] // RECORD, 64 * region(new, a.R_MFT)[1], region(new, a.R_TABLE)[1]) >= words
    new = longer_region(m, int(a.R_SLOT), words)
    assert min(region(new, a.R_SLOT)[1], region(new, a.R_FOLDER)[1]) >= region(m, a.R_SLOT)[1] + words
    new = longer_region(m, int(a.R_NODE), 0)
    assert index_room(new) >= index_room(m) + 64
    assert 64 * region(new, a.R_BLOCK)[1] >= region(new, a.R_NODE)[1] // NODE - 1, "a bit for every block"
    ring = region(longer_region(m, int(a.R_QUEUE), 2 * words), a.R_QUEUE)[1]
    assert ring & (ring - 1) == 0, "a ring of a power of two places"


def test_memory_in_use_is_counted_by_pages():
    """The header, every region up to its last page that holds anything, saved pages; requests do not count."""
    for volume in (Volume("24 MiB"), busy_volume("windows")[0], busy_volume("ntfs3g")[0]):
        m = volume._arena
        m[sum(region(m, a.R_OUT)) - 1] = 1
        pages = 1 + int(m[a.TOUCHED])
        for r in range(a.REGIONS):
            first, words = region(m, r)
            used = np.flatnonzero(m[first : first + words])
            pages += 0 if r == a.R_OUT or not used.size else int(used[-1]) // PAGE + 1
        assert volume.state_bytes == 8 * PAGE * pages
