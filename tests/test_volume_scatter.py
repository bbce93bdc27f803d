"""Scattered writes: which pages of a file, in what order, and that nothing but those pages changes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from reference_volume import scattered_pages
from volume_tools import Spy, clusters_of, ops, state

from clonesim.errors import ParameterError
from clonesim.guest import POLICIES, Volume
from clonesim.guest.layout import windows_layout
from clonesim.ops import BlockOp, FileOp
from clonesim.units import KIB, MIB

KEYS = [0, 1, 12345, -1, 2**63 - 1, -(2**63)]  # the mixer's sums wrap around


def in_pieces(policy="windows", pages=300, **settings):
    """Volume with file 1 of so many pages in many fragments: appended to in turn with file 2; a snapshot."""
    vol = Volume("64 MiB", policy, usn=False, **settings) if policy != "ntfs3g" else Volume("64 MiB", policy)
    rows = [(0, FileOp.CREATE, k, 0, 0) for k in (1, 2)]
    rows += [(0, FileOp.APPEND, 1 + k % 2, 0, 12 * KIB) for k in range(2 * (pages // 3))]
    vol.apply(ops(*rows))
    vol.snapshot("exact")
    return vol, Spy(vol)


def expected(key, count, pages):
    """Pages by hand, from the rule in docs/volume-model.md."""
    found = []
    for i in range(count):
        h = (key + i) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        h = (h ^ (h >> 32)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        h ^= h >> 29
        found.append((h >> 33) % 2**28 * pages // 2**28)
    return found


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("policy", ["windows", "first-fit", "fresh-first"])
def test_pages_of_a_file_in_pieces(policy, key):
    vol, spy = in_pieces(policy)
    clusters = clusters_of(vol, 1)
    assert len(clusters) == 300 and len(vol.extents(1)) > 5
    before, written = state(vol), vol.ever_written
    vol.apply(ops((0, FileOp.SCATTER, 1, key, 70 * 4096)))
    pages = expected(key, 70, 300)
    assert pages == scattered_pages(key, 70, 300)
    assert spy.take() == [(BlockOp.WRITE, MIB + clusters[p] * 4096, 4096) for p in pages]
    after = state(vol)
    assert (after[0], after[2][:4]) == (before[0], before[2][:4]), "nothing is allocated"
    assert set(np.flatnonzero(vol.ever_written & ~written)) <= set(clusters)
    assert vol.deltas[-1].delta.grains == 8 * len(set(pages))
    vol.check_invariants()


def test_whole_pages_are_written_and_parts_of_a_page_count_as_one():
    vol, spy = in_pieces()
    for length, count in ((1, 1), (4096, 1), (4097, 2), (3 * 4096 - 1, 3)):
        vol.apply(ops((0, FileOp.SCATTER, 1, 9, length)))
        assert [n for _, _, n in spy.take()] == [4096] * count


def test_the_last_page_of_a_file_may_be_part_of_it():
    """5,000 B on clusters of 1 KiB: five clusters, so the second page has one."""
    vol = Volume("64 MiB", usn=False, cluster_size=1024)
    vol.create(1, 5000)
    vol.snapshot("exact")
    spy, first = Spy(vol), clusters_of(vol, 1)[0] * 1024 + MIB
    vol.apply(ops((0, FileOp.SCATTER, 1, 3, 50 * 4096)))
    places = {0: (BlockOp.WRITE, first, 4096), 1: (BlockOp.WRITE, first + 4096, 1024)}
    found = spy.take()
    assert found == [places[p] for p in expected(3, 50, 2)]
    assert set(found) == set(places.values())


@pytest.mark.parametrize("cluster_size", [512, 2048, 4096, 16384])
def test_the_same_key_gives_the_same_pages_whatever_the_clusters(cluster_size):
    vol = Volume("64 MiB", usn=False, cluster_size=cluster_size)
    vol.create(1, "1 MiB")
    vol.snapshot("exact")
    spy, start = Spy(vol), clusters_of(vol, 1)[0] * cluster_size + MIB
    for key in (8, 8, 2**40):
        vol.apply(ops((0, FileOp.SCATTER, 1, key, 100 * 4096)))
        assert [(o - start) // 4096 for _, o, _ in spy.take()] == expected(key, 100, 256)


def test_more_pieces_than_the_list_of_requests_has_room_for():
    """Every page in 8 fragments of 512 B: 96,000 requests, where there is room for 65,536 at first."""
    vol = Volume("64 MiB", "first-fit", cluster_size=512, usn=False)
    rows = [(0, FileOp.CREATE, k, 0, 1024) for k in (1, 2)]
    rows += [(0, FileOp.APPEND, 1 + k % 2, 0, 512) for k in range(4000)]
    vol.apply(ops(*rows))
    vol.snapshot("exact")
    spy, before = Spy(vol), state(vol)
    vol.apply(ops((0, FileOp.SCATTER, 1, 12345, 12_000 * 4096)))
    assert sum(n for _, _, n in spy.take()) >= 11_900 * 4096
    vol.revert()
    assert state(vol)[2] == before[2]


def test_pages_are_spread_evenly():
    """Each of 64 pages gets a 64th of the writes: within 6 standard deviations; another key, other pages."""
    pages = Counter(expected(77 << 20, 64_000, 64))
    assert all(abs(pages[p] - 1000) < 6 * np.sqrt(1000 * 63 / 64) for p in range(64))
    one, other = expected(1 << 40, 1000, 2**20), expected(2 << 40, 1000, 2**20)
    assert len(set(one)) > 990 and len(set(one) & set(other)) < 20


def test_a_resident_file_writes_its_record():
    """Number 1's folder took record 24, so the file has record 25."""
    vol = Volume("64 MiB", usn=False)
    vol.create(1, 600)
    mft = windows_layout(63 * MIB, 4096, vol.settings.values).files[0][0]
    vol.snapshot("exact")
    spy, before = Spy(vol), state(vol)
    vol.apply(ops((0, FileOp.SCATTER, 1, 5, 30 * 4096)))
    assert spy.take() == [(BlockOp.WRITE, MIB + mft * 4096 + 25 * 1024, 1024)]
    assert state(vol)[2] == before[2]


@pytest.mark.parametrize("policy", list(POLICIES))
def test_an_empty_file_has_no_pages(policy):
    vol = Volume("64 MiB", policy)
    vol.create(1)
    vol.snapshot("qcow2")
    before = state(vol)
    with pytest.raises(ParameterError) as caught:
        vol.apply(ops((0, FileOp.CREATE, 2, 0, 9), (0, FileOp.SCATTER, 1, 77, 4096)))
    assert str(caught.value) == "ops[1].file=1: an empty file has no pages to scatter writes over. Nothing was changed."
    assert state(vol) == before and 2 not in vol


def test_the_clock_runs_by_each_page():
    vol = Volume("64 MiB", write_rate="1 MiB", usn=False)
    vol.create(1, "1 MiB")
    start = vol.clock
    vol.apply(ops((0, FileOp.SCATTER, 1, 5, 256 * 4096)))
    assert vol.clock == pytest.approx(start + 1, abs=1e-5)


@pytest.mark.parametrize("key", KEYS)
def test_the_ntfs3g_driver_writes_the_same_pages(key):
    """Between them it writes its metadata: what lies in the file are the pages, in order."""
    vol, spy = in_pieces("ntfs3g")
    clusters = clusters_of(vol, 1)
    page_of = {c * 4096: p for p, c in enumerate(clusters)}
    before = state(vol)
    vol.apply(ops((0, FileOp.SCATTER, 1, key, 70 * 4096)))
    requests = spy.take()
    assert [page_of[o] for _, o, _ in requests if o in page_of] == expected(key, 70, len(clusters))
    assert {n for _, o, n in requests if o in page_of} == {4096}
    assert state(vol)[0] == before[0] and state(vol)[2][:4] == before[2][:4], "nothing is allocated"
    vol.check_invariants()


def test_the_ntfs3g_driver_writes_the_record_of_a_resident_file():
    vol = Volume("64 MiB", "ntfs3g")
    vol.create(1, 100)
    vol.snapshot("exact")
    spy, before = Spy(vol), state(vol)
    vol.apply(ops((0, FileOp.SCATTER, 1, 5, 4096)))
    scattered = spy.take()
    vol.overwrite(1, 0, 100)
    assert scattered == spy.take(), "as an overwrite of all of it does"
    assert scattered and vol.extents(1).empty and state(vol)[0] == before[0]
