"""Where system files of a new volume lie, counted by hand from the rules in docs/ntfs-model.md and volume-model.md."""

from __future__ import annotations

import pytest

from clonesim.guest import Volume
from clonesim.guest import attribute_kernel as attribute
from clonesim.guest import runs_kernel as runs
from clonesim.guest.layout import log_file_bytes, mkntfs_layout, windows_layout
from clonesim.guest.make import entry_bytes
from clonesim.units import GIB, KIB, MIB

SECURE, UPCASE = (65, 266_240), (32, 131_072)  # clusters, bytes


@pytest.mark.parametrize(
    ("disk", "clusters", "zone_end", "mirror", "log", "bitmap"),
    [  # disk [B]; N; the zone's end Z; cluster of $MFTMirr; $LogFile and $Bitmap in clusters and bytes
        (8 * MIB, 2047, 259, 1023, (512, 2 * MIB), (1, 256)),
        (16 * MIB, 4095, 515, 2047, (512, 2 * MIB), (1, 512)),
        (16 * MIB + 512, 4096, 516, 2048, (512, 2 * MIB), (1, 512)),
        (16 * MIB + 4096 + 512, 4097, 516, 2048, (512, 2 * MIB), (1, 520)),
        (GIB, 262_143, 32_771, 131_071, (1310, 5_365_760), (8, 32_768)),
        (100 * GIB, 26_214_399, 3_276_803, 13_107_199, (16_384, 64 * MIB), (800, 3_276_800)),
        (1024 * KIB, 255, 35, 127, (64, 256 * KIB), (1, 32)),
        (500 * KIB, 124, 19, 62, (32, 128 * KIB), (1, 16)),  # 64 clusters of log would pass the end
    ],
)
def test_mkntfs_puts_system_files_one_behind_the_other(disk, clusters, zone_end, mirror, log, bitmap):
    """Z: the root's security descriptor (2 clusters), its index block, $AttrDef, $Bitmap, $Secure, $UpCase."""
    layout = mkntfs_layout(disk)
    assert (layout.clusters, layout.zone_start, layout.zone_end) == (clusters, 0, zone_end)
    behind = zone_end + 4 + bitmap[0]
    assert layout.files == {
        7: (0, 2, 8192),  # $Boot
        3: (2, 1, 4096),  # the MFT's bitmap
        0: (4, 7, 28_672),  # 27 records of 1 KiB, in whole clusters
        1: (mirror, 1, 4096),
        2: (mirror + 1, *log),
        5: (zone_end + 2, 1, 4096),
        4: (zone_end + 3, 1, 4096),
        6: (zone_end + 4, *bitmap),
        9: (behind, *SECURE),
        10: (behind + 65, *UPCASE),
    }


@pytest.mark.parametrize(
    ("volume", "cluster", "log"),
    [
        (2 * MIB - 1, 4096, 256 * KIB),
        (2 * MIB, 4096, 512 * KIB),
        (3_999_999, 4096, 512 * KIB),
        (4_000_000, 4096, 2 * MIB),
        (200 * MIB, 4096, 2 * MIB),
        (200 * MIB + 1, 4096, 1_048_576),  # a two-hundredth
        (1000 * MIB, 4096, 5_242_880),
        (1000 * MIB + 819_200, 4096, 5_246_976),
        (1000 * MIB + 819_199, 4096, 5_242_880),
        (1000 * MIB, 65_536, 5_242_880),
        (1000 * MIB + 819_200, 65_536, 5_242_880),
        (12 * GIB - 1, 4096, 64_421_888),
        (12 * GIB, 4096, 64 * MIB),
    ],
)
def test_size_of_the_log(volume, cluster, log):
    assert log_file_bytes(volume, cluster) == log


def test_used_clusters_of_a_volume_made_by_mkntfs():
    """16 MiB: 2 + 1 + 7, 1 + 512, 2 + 1 + 1 + 1 + 65 + 32 clusters."""
    volume = Volume("16 MiB", "ntfs3g")
    assert volume.used_bytes == 4096 * (10 + 513 + 102)
    bits = volume.bitmap
    assert [bool(bits[c]) for c in (0, 2, 3, 4, 10, 11, 514, 515, 616, 617, 2046, 2047, 2559, 2560, 4094)] == [
        True, True, False, True, True, False, False, True, True, False, False, True, True, False, False,
    ]  # fmt: skip
    volume.check_invariants()


def test_the_root_directory_s_record_as_mkntfs_writes_it():
    """Heads of 24 B (64 B for a stream's), the name $I30 in 8 B, values in steps of 8 B; 56 + 8 B are the record's."""
    m = Volume("16 MiB", "ntfs3g")._arena
    rows = [
        (0x10, 0, True, 24 + 48, 48),  # times and flags
        (0x30, 0, True, 24 + 72, 66 + 2),  # its name "."
        (0x50, 0, False, 64 + 8, 0),  # security descriptor, a stream
        (0xA0, 8, False, 64 + 8 + 8, 0),  # index blocks, a stream
        (0x90, 8, True, 24 + 8 + 56, 56),  # index root: 16 B, node of 16 B, end entry with a child of 24 B
        (0xB0, 8, True, 24 + 8 + 8, 8),  # a bit for each of 64 index blocks
    ]
    for i, (kind, name, resident, size, value) in enumerate(rows):
        assert attribute.attribute_kind(m, 5, i) == kind
        assert attribute.attribute_name(m, 5, i) == name
        assert attribute.attribute_resident(m, 5, i) == resident
        assert attribute.attribute_bytes(m, 5, i) == size
        assert attribute.attribute_value(m, 5, i) == value
        assert attribute.attribute_record(m, 5, i) == 0
    assert m[attribute.table(m, 5) + attribute.T_ATTRIBUTE_COUNT] == len(rows)
    assert attribute.record_used(m, 5, 0) == 64 + 72 + 96 + 72 + 80 + 88 + 40
    assert attribute.record_number(m, 5, 0) == 5


@pytest.mark.parametrize("os", ["windows-xp", "windows-7"])
def test_windows_layout_counted_by_hand(os):
    """39 MiB: 9984 clusters, $MFT at a third, 613 clusters of system files before it, 64 behind it at first."""
    values = Volume("40 MiB", os=os).settings.values
    layout = windows_layout(39 * MIB, 4096, values)
    assert layout.clusters == 9984
    wanted = {
        7: (0, 2, 8192),
        2: (2715, 512, 2 * MIB),
        6: (3227, 1, 1248),
        9: (3228, *SECURE),
        10: (3293, *UPCASE),
        4: (3325, 1, 4096),
        5: (3326, 1, 4096),
        3: (3327, 1, 4096),
        0: (3328, 64, 256 * KIB),
        1: (4992, 1, 4096) if os == "windows-xp" else (2, 1, 4096),
    }
    assert layout.files == wanted
    zone = 3392 + 1248 if os == "windows-xp" else 9984  # an eighth; 200 MiB, but the volume ends before
    assert (layout.zone_start, layout.zone_end) == (3392, zone)


def test_windows_keeps_the_zone_out_of_the_mirror_in_the_middle():
    values = Volume("40 MiB", os="windows-xp", mft_zone_fraction=0.5).settings.values
    layout = windows_layout(39 * MIB, 4096, values)
    assert (layout.zone_start, layout.zone_end) == (3392, 4992)


def test_windows_layout_of_a_volume_that_is_hardly_large_enough():
    """8 MiB in clusters of 64 KiB: 128; all that stands before $MFT does not fit below a third of it."""
    values = Volume("40 MiB", os="windows-7").settings.values
    layout = windows_layout(8 * MIB, 64 * KIB, values)
    assert layout.clusters == 128
    assert layout.files == {
        7: (0, 1, 8192),
        1: (1, 1, 4096),
        2: (2, 32, 2 * MIB),
        6: (34, 1, 16),
        9: (35, 5, 266_240),
        10: (40, 2, 131_072),
        4: (42, 1, 4096),
        5: (43, 1, 4096),
        3: (44, 1, 65_536),
        0: (45, 4, 256 * KIB),
    }
    assert (layout.zone_start, layout.zone_end) == (49, 128)


def test_never_written_space_of_a_new_volume_is_parted_at_the_zone_s_ends():
    """An eighth of the volume on XP, so free space lies on both sides of its end: two runs, in two pools."""
    for policy in ("fresh-first", "windows"):
        volume = Volume("40 MiB", policy, os="windows-xp")
        volume.check_invariants()
        m = volume._arena
        free = volume.bitmap.size - int(volume.bitmap.sum())
        zone = int((~volume.bitmap[int(m[runs.ZONE_START]) : int(m[runs.ZONE_END])]).sum())
        assert 0 < zone < free
        assert m[runs.POOL_FREE : runs.POOL_FREE + 3].tolist() == [free - zone, 0, zone]


def test_bytes_of_an_index_entry_are_a_multiple_of_8():
    """16 B head, 66 B of $FILE_NAME, two bytes a unit."""
    for units in range(1, 256):
        wanted = next(n for n in range(0, 1000, 8) if n >= 16 + 66 + 2 * units)
        assert entry_bytes(units) == wanted
