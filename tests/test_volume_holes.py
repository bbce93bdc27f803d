"""Volumes whose free space is in small pieces from the start, against the slow references: long run lists, cheaply.

`Volume.occupy` makes the pieces; the references are told of them cluster by cluster.
"""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import test_volume_reference
from reference_ntfs3g_metadata import SECURITY
from reference_ntfs3g_space import CLUSTER
from reference_volume import OWNED
from test_ntfs3g import Pair
from volume_tools import Spy, ops

from clonesim.guest import Volume
from clonesim.guest import arena_kernel as a
from clonesim.guest import attribute_kernel as attribute
from clonesim.ops import FileOp
from clonesim.units import KIB, MIB

BAD_CLUSTERS = 8  # $BadClus, which owns what `occupy` takes


def pieces(rnd, size, holes, longest):
    """Which of `size` clusters to take: all but so many holes of 1 to `longest` clusters."""
    taken = np.ones(size, np.bool_)
    for _ in range(holes):
        start = rnd.randrange(size - longest)
        taken[start : start + rnd.randint(1, longest)] = False
    return taken


# --- the ntfs-3g driver --------------------------------------------------------------------------------------------


def in_pieces(size, rnd, holes, longest):
    """Volume and reference with nothing but holes behind the MFT zone."""
    pair = Pair(size)
    space = pair.reference.metadata.space
    first = space.bounds[1][0]
    taken = np.zeros(pair.volume.clusters, np.bool_)
    taken[first:] = pieces(rnd, taken.size - first, holes, longest)
    pair.volume.occupy(taken)
    for c in np.flatnonzero(taken).tolist():
        space.busy[c] = 1
    pair.snapshot()
    pair.compare_all("in pieces")
    return pair


def test_the_driver_s_run_lists_outgrow_their_records():
    """Files of hundreds of pieces: attribute lists, values that go to clusters, extent records for the rest."""
    rnd = random.Random(1)
    pair = in_pieces(256 * MIB, rnd, 440, 1)
    long, plain, middle = "l" * 240, "p", "m" * 120
    pair.do("create", long, 760 * KIB)
    for step in (4096, 60 * KIB, 1, 40 * KIB):
        pair.do("append", long, step)
        pair.do("overwrite", long, rnd.randrange(760 * KIB), 5000)
    pair.do("create", middle, 700)
    pair.snapshot()
    pair.do("delete", long)
    for step in (100, 300, 120 * KIB, 300 * KIB):
        pair.do("append", middle, step)
    pair.do("create", plain, 500 * KIB)
    pair.do("append", plain, 40 * KIB)
    pair.compare_all("at the end")
    pair.do("delete", middle)
    pair.revert()
    pair.do("append", middle, 90 * KIB)
    pair.compare_all("after the revert")
    seen = set(pair.reference.metadata.seen)
    assert {"attribute list", "extent record", "0x20 to clusters", "0x80 to clusters"} <= seen, seen


@pytest.mark.parametrize(
    ("shortest", "longest", "count", "seed"), [(180, 235, 230, 1), (2, 235, 230, 2), (30, 90, 350, 3)]
)
def test_the_driver_s_directory_outgrows_its_record(shortest, longest, count, seed):
    """Every index block is a piece of its own: the root's record fills up, and what it holds moves out."""
    rnd = random.Random(seed)
    pair = in_pieces(16 * MIB, rnd, 700, 2)
    for k in range(count):
        pair.do("create", pair.name(rnd, shortest, longest), rnd.choice([0, 0, 300, 5000]))
        if k == count // 2:
            pair.snapshot()
        if k % 3 == 2:
            pair.do("delete", rnd.choice(pair.names))
    pair.compare_all("grown")
    for name in rnd.sample(pair.names, len(pair.names) - 4):
        pair.do("delete", name)
    pair.compare_all("nearly empty")
    pair.revert()
    for _ in range(20):
        pair.do("create", pair.name(rnd, shortest, longest), 100)
    pair.compare_all("after the revert")
    assert "split at depth 2" in pair.reference.metadata.seen


@pytest.mark.parametrize("more", [0, 296, 304, 384, 392, 400, 408, 416, 424])
def test_the_root_leaves_the_last_bytes_of_its_record_free_if_they_were(more):
    """Rule 6.6: its record has 512 B in use and `more`, so 120 B or more are free up to 392."""
    rnd, pair = random.Random(more), Pair(16 * MIB)
    attribute.resize(pair.volume._arena, 5, 2, 72 + more)  # the security descriptor's attribute record
    kept = [a for a in pair.reference.directory.inode.base.attributes if a.kind == SECURITY]
    kept[0].size += more
    pair.snapshot()
    for _ in range(110):
        pair.do("create", pair.name(rnd, 2, 20), 0)
    for name in rnd.sample(pair.names, 60):
        pair.do("delete", name)
    pair.compare_all("at the end")


# --- all other policies --------------------------------------------------------------------------------------------


def windows_pair(policy, rnd, holes=2600, longest=3, zone=True, **values):
    """Volume of 8 MiB in clusters of 1 KiB and its reference, with hundreds of holes: several blocks of keys a list."""
    values = {"cluster_size": 1024, "partition_offset": 0, "usn": False, "run_cache": 5} | values
    pair = test_volume_reference.Pair("8 MiB", policy, **values)
    free = ~pair.fast.bitmap
    taken = pieces(rnd, pair.fast.clusters, holes, longest) & free
    if not zone:
        taken[pair.slow.zone.start :] = free[pair.slow.zone.start :]
    pair.fast.occupy(taken)
    bad = pair.slow.system[BAD_CLUSTERS]
    bad.clusters = np.flatnonzero(taken).tolist()
    bad.size = len(bad.clusters) * 1024
    for c in bad.clusters:
        pair.slow.state[c] = OWNED
    pair.snapshot()
    return pair


@pytest.mark.parametrize("policy", test_volume_reference.POLICIES)
def test_free_runs_of_many_blocks(policy):
    """Blocks of keys split, run empty and are used again while files take and leave holes of all sizes."""
    rnd = random.Random(policy)
    pair = windows_pair(policy, rnd)
    assert pair.fast.free_runs > 600
    names = []
    for step in range(90):
        draw = rnd.random()
        if names and draw < 0.4:
            pair.call("delete", names.pop(rnd.randrange(len(names))))
        elif names and draw < 0.6:
            pair.call("append", rnd.choice(names), rnd.choice([1024, 3000, 9000]))
        else:
            names.append(step)
            assert pair.call("create", step, rnd.choice([800, 2000, 3000, 5000, 40_000]))
            pair.compare_file(step)
        if step == 45:
            pair.snapshot()
    pair.compare_all()
    pair.call("revert")
    pair.compare_all()
    pair.call("trim")


def test_streams_ask_for_growing_units_of_what_holes_there_are():
    """A unit goes on behind a hole that is used up: what is asked for next is the rest of the unit."""
    rnd = random.Random(12)
    pair = windows_pair("windows", rnd, 260, 24, stream_first_unit=5, stream_growth=2, run_cache=0)
    for step in range(24):
        pair.call("create", step, rnd.choice([0, 2000]))
        for _ in range(2):
            if pair.call("append", step, rnd.choice([7000, 20_000, 60_000])):
                pair.compare_file(step)
        if step % 3 == 2:
            pair.call("delete", step - rnd.randrange(2))
    pair.compare_all()


def test_a_deep_directory_of_windows():
    """Names of up to 255 letters: six entries a block, so few names make many levels; then all of them go."""
    rnd, pair = random.Random(8), test_volume_reference.Pair("12 MiB", "best-fit", usn=False)
    names = []
    for k in range(210):
        names.append(rnd.choice("abcXYZ") * rnd.choice([1, 100, 200]) + f"{rnd.randrange(10**6)}.{k}")
        names[-1] += "n" * rnd.choice([0, 255 - len(names[-1])])
        assert pair.call("create", names[-1], rnd.choice([0, 900]))
        if k % 5 == 4:
            pair.call("append", rnd.choice(names), 100)
        if k == 150:
            pair.compare_all()
            pair.snapshot()
    assert pair.slow.index.depth() >= 3 and pair.slow.index.splits > 30
    pair.compare_all()
    rnd.shuffle(names)
    for k in range(40):
        new = f"{rnd.choice('abcXYZ')}{k}" + "r" * rnd.choice([0, 250 - len(str(k))])
        pair.call("rename", names[k], new)
        names[k] = new
    pair.compare_all()
    for name in names:
        assert pair.call("delete", name)
    assert pair.slow.index.drops > 20
    pair.compare_all()
    pair.call("revert")
    pair.compare_all()


def test_a_scatter_asks_for_room_for_all_its_pieces():
    """On clusters of 512 B a page may be eight requests; the list of requests never holds more than it has room for."""
    volume = Volume("16 MiB", "first-fit", cluster_size=512, usn=False)
    rows = [(0, FileOp.CREATE, k, 0, 1024) for k in (1, 2)]
    rows += [(0, FileOp.APPEND, 1 + k % 2, 0, 512) for k in range(240)]
    volume.apply(ops(*rows))
    volume.snapshot("exact")
    spy = Spy(volume)
    place = a.REGION + 2 * a.R_OUT + 1
    volume._arena[place] = 4 * 7000
    volume.apply(ops((0, FileOp.SCATTER, 1, 12345, 1000 * CLUSTER)))
    count = len(spy.take())
    assert count > 7000 and count <= volume._arena[place] // 4


def test_free_runs_are_counted_from_the_bitmap():
    rnd = random.Random(2)
    for policy in ("windows", "ntfs3g"):
        volume = Volume("16 MiB", policy, **({} if policy == "ntfs3g" else {"partition_offset": 0}))
        volume.occupy(pieces(rnd, volume.clusters, 300, 5))
        assert volume.free_runs == len(re.findall(b"\0+", volume.bitmap.tobytes()))
        volume.check_invariants()
