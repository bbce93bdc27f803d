"""Small steps that mutants showed no other quick test to hold fast; each is quick with plain kernels too."""

from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest
from reference_delta import plain
from test_delta_reference import compare, one
from test_ntfs3g import Pair

from clonesim.delta import Delta, replay
from clonesim.delta.formats import law
from clonesim.errors import ParameterError
from clonesim.guest import ntfs3g_space_kernel as space
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
