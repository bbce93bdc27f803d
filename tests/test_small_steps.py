"""Small steps that mutants showed no other quick test to hold fast; each is quick with plain kernels too."""

from __future__ import annotations

import importlib
import pkgutil
import random
from dataclasses import is_dataclass
from itertools import islice

import numpy as np
import pandas as pd
import pytest
from reference_delta import plain
from test_delta_reference import compare, one
from test_ntfs3g import Pair
from volume_tools import Spy

import clonesim as cs
import clonesim.delta
import clonesim.guest
import clonesim.lun
from clonesim.delta import Delta, replay
from clonesim.delta.formats import law
from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.guest import arena_kernel as arena
from clonesim.guest import ntfs3g_space_kernel as space
from clonesim.guest import runs_kernel as runs
from clonesim.guest.file_kernel import CLUSTERS, USED
from clonesim.guest.space_kernel import QUARANTINED, REUSE
from clonesim.ops import BlockOp, Requests
from clonesim.units import GIB, KIB, MIB

# --- delta ---------------------------------------------------------------------------------------------------------


def test_qcow2_moves_its_refcount_table_and_uses_its_old_place_again():
    """With clusters of 512 B the first table describes 8 MiB; what it leaves behind is the next cluster taken."""
    capacity = 14 * MIB
    delta, slow = (
        Delta("qcow2", capacity, cluster_size=512, track_unique=True),
        plain("qcow2", capacity, cluster_size=512),
    )
    steps = [(BlockOp.WRITE, at, 128 * KIB) for at in range(0, 7 * MIB + 512 * KIB, 128 * KIB)]
    steps += [(BlockOp.WRITE, at, 512) for at in range(8 * MIB, 9 * MIB, 1024)]
    steps += [(BlockOp.DISCARD, 100 * KIB, 9 * KIB), (BlockOp.WRITE, 10 * MIB, 3 * MIB)]
    for number, step in enumerate(steps):
        delta.apply(one(number, *step))
        slow.request(number, *step)
        if number % 50 == 0 or number > len(steps) - 3:
            compare(delta, slow, (number, step))
        else:
            assert (delta.file_bytes, delta.metadata_bytes) == (slow.file, slow.metadata), (number, step)
    assert slow.refcount_table.start > 8 * MIB // 512
    assert 2 in slow.used, "the block beside it stays"
    delta.revert()
    slow.revert()
    compare(delta, slow, "reverted")


def test_qcow2_fills_holes_by_the_table_as_long_as_all_tables_fit_the_cache():
    """32 MiB of tables of 64 KiB, each for 512 MiB of the disk; beyond, slices of 4 KiB are cached on their own."""
    assert law("qcow2", 256 * GIB, {}).slice_grains == 8192
    assert law("qcow2", 256 * GIB + 512, {}).slice_grains == 512


def test_replay_names_the_time_before_the_one_that_falls():
    time_s = np.array([0.0, 1.0, 2.0, 7.0, 3.0])
    n = time_s.size
    requests = Requests(time_s, np.ones(n, np.uint8), np.zeros(n, np.int64), np.full(n, 512))
    with pytest.raises(ParameterError, match=r"time_s of request 4=3\.0.*came at 7\.0 s"):
        replay(requests)


def test_a_delta_tells_its_size():
    delta = Delta("exact", "1 GiB")
    delta.apply(one(0, BlockOp.WRITE, 0, 3 * MIB))
    assert repr(delta).startswith("Delta('exact', '1 GiB': ")
    assert repr(delta).endswith(f" grains, file {delta.file_bytes / 1048576:.1f} MiB)")


# --- the ntfs-3g driver: the sequences of test_ntfs3g.py, shorter -----------------------------------------------------


def few_names(pair, rnd):
    """Long names, deleted in bulk: the index splits and shrinks."""
    for _ in range(130):
        pair.do("create", pair.name(rnd, 100, 240), rnd.randrange(900))
    pair.snapshot()
    for _ in range(3):
        for name in rnd.sample(pair.names, 30):
            pair.do("delete", name)
        for _ in range(20):
            pair.do("create", pair.name(rnd, 0, 240), rnd.choice([0, rnd.randrange(900), rnd.randrange(30_000)]))
        pair.do("append", rnd.choice(pair.names), rnd.randrange(1, 900))


def some_holes(pair, rnd):
    """A small volume filled and made full of holes; large files get the holes."""
    pair.do("create", pair.name(rnd), 4_600_000)
    while pair.do("create", pair.name(rnd), rnd.randrange(4000, 9000)):
        pass
    pair.snapshot()
    for name in pair.names[10::2]:
        pair.do("delete", name)
    for share in (0.5, 0.9):
        pair.do("create", pair.name(rnd, 0, 100), int(pair.volume.free_bytes * share))
    for name in pair.names[-2:]:
        pair.do("append", name, 9000)
    for name in [*pair.names[-2:], *islice(pair.names, 20)]:
        pair.do("delete", name)


def short_life(pair, rnd):
    """Everything at random on a volume that is full now and then."""
    most = pair.volume.clusters * 4096 // 8
    for step in range(110):
        draw = rnd.random()
        if pair.names and (draw < 0.3 or pair.volume.free_bytes < most // 4):
            pair.do("delete", rnd.choice(pair.names))
        elif pair.names and draw < 0.55:
            pair.do("append", rnd.choice(pair.names), rnd.randrange(1, 300_000))
        elif pair.names and draw < 0.65:
            name = rnd.choice(pair.names)
            if size := pair.volume.size(name):
                at = rnd.randrange(size)
                pair.do("overwrite", name, at, min(size - at, rnd.randrange(1, 100_000)))
        else:
            pair.do("create", pair.name(rnd), min(int(rnd.lognormvariate(10, 2.5)), most))
        if step == 50:
            pair.snapshot()
        if step == 80:
            pair.revert()


def crowded(pair, rnd):
    """Small things at random where little room is left: zones run out, open again, and positions start over."""
    pair.do("create", pair.name(rnd), 5_500_000)
    pair.snapshot()
    for step in range(330):
        draw = rnd.random()
        if len(pair.names) > 1 and (draw < 0.3 or pair.volume.free_bytes < 150_000):
            pair.do("delete", rnd.choice(pair.names[1:]))
        elif draw < 0.5:
            pair.do("append", rnd.choice(pair.names), rnd.randrange(1, 60_000))
        else:
            pair.do("create", pair.name(rnd, 0, 90), min(int(rnd.lognormvariate(9.5, 2)), 700_000))
        if step % 110 == 60:
            pair.snapshot()


@pytest.mark.parametrize(
    ("kind", "mib", "seed"),
    [
        (few_names, 16, 1),
        (some_holes, 8, 2),
        (short_life, 8, 3),
        (short_life, 16, 4),
        (few_names, 8, 5),
        (crowded, 8, 6),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_short_sequences_equal_the_reference(kind, mib, seed):
    pair = Pair(mib * MIB)
    kind(pair, random.Random(seed))
    pair.compare_all("at the end")


def test_zones_of_the_driver_are_tried_in_turn():
    """The data zone first, then the low one; the MFT zone when both are exhausted."""
    nothing = np.int64(0)
    assert space.next_zone(space.MFT_ZONE, nothing) == space.DATA_ZONE
    assert space.next_zone(space.DATA_ZONE, nothing) == space.LOW_ZONE
    assert space.next_zone(space.LOW_ZONE, nothing) == space.DATA_ZONE
    assert space.next_zone(space.LOW_ZONE, space.DATA_ZONE) == space.MFT_ZONE


# --- the guest volume ----------------------------------------------------------------------------------------------


def region(m, which):
    """First word of a region of an arena."""
    return int(m[arena.REGION + 2 * which])


def add(word, by=1):
    """Change of a word of an arena, which may be found by a function of it."""

    def change(m):
        m[word(m) if callable(word) else word] += by

    return change


def lowest_key(m):
    """First key of the first block of runs by address: another start, so that entry and block differ."""
    return region(m, arena.R_RUNS) + int(runs.BLOCK) * (int(m[region(m, arena.R_RUNS_DIR) + 1]) >> 16)


def block_of_sizes(m):
    """First key of the first block of runs by size."""
    return region(m, arena.R_SIZES) + int(runs.BLOCK) * (int(m[region(m, arena.R_SIZES_DIR) + 1]) >> 16)


def longest(m):
    """What the first entry by address says its longest run may be, set to what is too short by one."""
    at = lowest_key(m)
    count = int(m[region(m, arena.R_RUNS_DIR) + 1]) & 0xFFFF
    m[region(m, arena.R_RUNS_DIR) + 2] = max(int(k) & int(runs.MASK) for k in m[at : at + count]) - 1


def a_free_cluster_in_use(m):
    m[region(m, arena.R_BITMAP) + int(m[CLUSTERS]) // 128] ^= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add(USED), "the count of allocated clusters is wrong"),
        (add(QUARANTINED), "the count of quarantined clusters is wrong"),
        (a_free_cluster_in_use, "in use without an owner"),
        (add(lowest_key), "a directory entry does not name its block's lowest key"),
        (add(lambda m: lowest_key(m) + 1, 1 << 30), "the two lists differ"),
        (add(lambda m: lowest_key(m) + 1, -(1 << 60)), "free runs out of order|the two lists differ"),
        (add(lambda m: block_of_sizes(m) + 1, 1), "the two lists differ"),
        (longest, "a block holds a longer run than its entry says"),
        (add(int(runs.LIST) + 3), "the count of free runs is wrong"),
        (add(int(runs.LIST) + 7, -1), "the count of free runs is wrong"),
        *((add(int(runs.POOL_FREE) + pool), "free clusters of a pool miscounted") for pool in range(3)),
        (add(lambda m: region(m, arena.R_FOLDER), 1 << 32), "a folder miscounts its files"),
        (add(lambda m: region(m, arena.R_WRITTEN) + int(m[CLUSTERS]) // 128, 1), "is in the wrong pool"),
    ],
)
def test_the_check_of_a_volume_finds_what_is_broken(change, message):
    volume = Volume("24 MiB", "fresh-first", folder_files=3)
    for k in range(40):
        volume.create(k, 9000 + 4096 * (k % 5))
    for k in range(0, 40, 3):
        volume.delete(k)
    volume.advance("10 s")
    for k in range(1, 40, 9):
        volume.delete(k)
    volume.check_invariants()
    change(volume._arena)
    with pytest.raises(AssertionError, match=message):
        volume.check_invariants()


def test_mkntfs_keeps_the_last_sector_for_the_spare_boot_sector():
    assert Volume("16 MiB", "ntfs3g").clusters == 4095
    assert Volume(16 * MIB + 512, "ntfs3g").clusters == 4096


def test_ntfs3g_takes_larger_requests_on_volumes_from_4_gib_on():
    """A page short of 4 GiB of clusters, a request has one page; from there on, 32."""
    sizes = []
    for clusters in (2**20 - 1, 2**20):
        volume = Volume(clusters * 4096 + 512, "ntfs3g")
        assert volume.clusters == clusters
        volume.snapshot("exact")
        spy = Spy(volume)
        volume.create("a", "1 MiB")
        sizes.append(max(length for _, _, length in spy.take()))
    assert sizes == [4096, 128 * KIB]


def test_freed_clusters_wait_for_the_checkpoint_interval_in_nanoseconds():
    assert Volume("16 MiB", checkpoint_interval="5 s")._arena[REUSE] == 5_000_000_000
    assert Volume("16 MiB", checkpoint_interval=0.25)._arena[REUSE] == 250_000_000


# --- locks -----------------------------------------------------------------------------------------------------------


def test_requests_of_one_host_and_the_first_of_the_short_holds():
    rows = pd.DataFrame({"time_s": [0.0, 1.0, 2.0], "host": [0, 0, 0], "hold_s": [0.001, 0.001, 0.001]})
    told = cs.lock_queue(rows, locking="ats", hosts=1)
    assert told["wait_s"].tolist() == [0.0, 0.0, 0.0]
    for bad in (0, True, 1.0):
        with pytest.raises(ParameterError, match="allowed are whole numbers from 1 to"):
            cs.lock_queue(rows, locking="ats", hosts=bad)
    with pytest.raises(ParameterError, match="row 1 is shorter than 1 ns"):
        cs.lock_queue(rows.assign(hold_s=[0.001, 0.0, 0.0]), locking="fifo")


# --- all -------------------------------------------------------------------------------------------------------------


def test_records_are_frozen():
    """What is handed out cannot be changed behind the back of who made it; a layout is filled in while it is made."""
    seen = set()
    for package in (clonesim.delta, clonesim.guest, clonesim.lun):
        for part in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for value in vars(importlib.import_module(part.name)).values():
                if isinstance(value, type) and is_dataclass(value) and value.__module__ == part.name:
                    seen.add((value.__name__, value.__dataclass_params__.frozen))
    assert len(seen) > 20
    assert [name for name, frozen in seen if not frozen] == ["Layout"]
