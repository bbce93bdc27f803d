"""Small steps of the ntfs-3g driver: zones and their positions, free runs of a window, free records of $MFT."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from clonesim.guest import Volume
from clonesim.guest import arena_kernel as a
from clonesim.guest import ntfs3g_record_kernel as records
from clonesim.guest import ntfs3g_space_kernel as space
from clonesim.guest.arena import bits_of
from clonesim.guest.file_kernel import CLUSTERS
from clonesim.guest.ntfs3g_space_kernel import DATA_ZONE, LOW_ZONE, MFT_ZONE
from clonesim.guest.runs_kernel import ZONE_END, ZONE_START

FIRST, LAST, END = 100, 300, 4095  # the MFT zone is clusters 100 .. 299 of 4095
BOUNDS = {LOW_ZONE: (0, FIRST), MFT_ZONE: (FIRST, LAST), DATA_ZONE: (LAST, END)}


@pytest.fixture
def m():
    """Arena of a volume of 4095 clusters with a zone before the MFT's, which mkntfs makes none of."""
    volume = Volume("16 MiB", "ntfs3g")
    assert volume.clusters == END
    volume._arena[ZONE_START], volume._arena[ZONE_END] = FIRST, LAST
    volume._arena[space.MFT_LCN] = 104
    return volume._arena


def test_zones_are_stretches_of_the_volume(m):
    for zone, (first, end) in BOUNDS.items():
        assert (int(space.zone_first(m, zone)), int(space.zone_last(m, zone))) == (first, end)
        for c in (first, first + 1, end - 1):
            assert space.zone_of(m, np.int64(c)) == zone
            assert space.is_edge(m, np.int64(c)) == (c in (0, FIRST, LAST))
    assert len({int(space.zone_index(zone)) for zone in BOUNDS}) == 3, "each has a position of its own"


def test_a_position_behind_its_zone_starts_over_and_none_lies_before_it(m):
    for zone, (first, end) in BOUNDS.items():
        start = 104 if zone == MFT_ZONE else first  # $MFT's first cluster
        place = space.ZONE_POSITION + space.zone_index(zone)
        for target in (0, first - 1, start - 1, start, start + 1, end - 1, end, end + 1, 9999):
            was = m[space.ZONE_POSITION : space.ZONE_POSITION + 3].copy()
            space.move_position(m, zone, np.int64(target))
            wanted = start if target >= end else target if target >= start else was[place - space.ZONE_POSITION]
            assert m[place] == wanted, (zone, target)
            was[place - space.ZONE_POSITION] = wanted
            assert np.array_equal(m[space.ZONE_POSITION : space.ZONE_POSITION + 3], was), "the others stay"


def test_positions_at_mount(m):
    m[space.ZONE_POSITION : space.ZONE_POSITION + 3] = 77
    m[space.FULL_ZONES] = 7
    space.ntfs3g_mount(m)
    places = [int(m[space.ZONE_POSITION + space.zone_index(zone)]) for zone in (MFT_ZONE, DATA_ZONE, LOW_ZONE)]
    assert (places, int(m[space.FULL_ZONES])) == ([104, LAST, 0], 0)


def test_bits_of_the_bitmap_are_whole_words_of_8_bytes(m):
    for clusters, bits in ((1, 64), (63, 64), (64, 64), (65, 128), (4095, 4096), (4096, 4096), (4097, 4160)):
        m[CLUSTERS] = clusters
        assert space.bitmap_bits(m) == bits


def test_the_first_longest_free_run_of_a_window(m):
    rnd = random.Random(3)
    for _ in range(60):
        a.set_bits(m, a.R_BITMAP, np.int64(0), np.int64(512))
        for _ in range(rnd.choice([0, 1, 2, 20])):
            start = rnd.randrange(512)
            a.clear_bits(m, a.R_BITMAP, np.int64(start), np.int64(min(rnd.choice([1, 2, 3, 70]), 512 - start)))
        first, size = rnd.choice([0, 8, 64, 200]), rnd.choice([64, 100, 312])
        window = bytes(bits_of(m, a.R_BITMAP, 512)[first : first + size])
        runs = [(match.start() - match.end(), match.start()) for match in re.finditer(b"\0+", window)]
        found = space.longest_free(m, np.int64(first), np.int64(size))
        assert found == (min(runs)[1] if runs else -1)


def test_only_the_lowest_free_bit_of_a_byte_counts(m):
    """A byte that the end cuts is looked at as a whole (rule 5.2)."""
    rnd = random.Random(4)
    for _ in range(400):
        bits = (np.array([rnd.random() for _ in range(256)]) < rnd.choice([0.7, 0.97])).astype(np.uint8)
        at = int(m[a.REGION + 2 * a.R_MFT])
        m[at : at + 4] = np.packbits(bits, bitorder="little").view(np.int64)
        start, stop = sorted((rnd.randrange(256), rnd.randrange(257)))
        wanted = -1
        for byte in range(start // 8, -(-stop // 8)):
            free = [n for n in range(8 * byte, 8 * byte + 8) if not bits[n]]
            if free and free[0] >= start and max(start, 8 * byte) < stop:
                wanted = free[0]
                break
        assert records.find_in_bytes(m, np.int64(start), np.int64(stop)) == wanted
