"""A freshly formatted volume: where the system files lie, for Windows versions and for mkntfs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clonesim.guest import arena_kernel as a
from clonesim.guest import attribute_kernel as attribute
from clonesim.guest import directory_kernel as directory
from clonesim.guest import entry_kernel as entry
from clonesim.guest import file_kernel as file
from clonesim.guest import index_kernel as index
from clonesim.guest import ntfs3g_file_kernel as ntfs3g_file
from clonesim.guest import ntfs3g_record_kernel as ntfs3g_record
from clonesim.guest import ntfs3g_space_kernel as ntfs3g_space
from clonesim.guest import request_kernel as request
from clonesim.guest import runs_kernel as runs
from clonesim.guest.arena import Arena
from clonesim.guest.names import name_units, sort_keys
from clonesim.units import GIB, KIB, MIB

SYSTEM_FILES = {
    0: "$MFT", 1: "$MFTMirr", 2: "$LogFile", 3: "$Volume", 4: "$AttrDef", 5: ".", 6: "$Bitmap", 7: "$Boot",
    8: "$BadClus", 9: "$Secure", 10: "$UpCase", 11: "$Extend",
}  # fmt: skip
BOOT_BYTES, ATTRDEF_BYTES, UPCASE_BYTES, MIRROR_BYTES = 8 * KIB, 4 * KIB, 128 * KIB, 4 * KIB
SECURE_BYTES = 260 * KIB  # $SDS with its copy, as mkntfs makes it
MKNTFS_RECORDS = 27  # MFT records that mkntfs writes
BIG_WRITES_FROM = 4 * GIB  # ntfs-3g takes more than one page a request only on volumes of this size


@dataclass
class Layout:
    """Where the system files of a new volume lie: file number -> (first cluster, clusters, bytes)."""

    clusters: int
    zone_start: int
    zone_end: int
    files: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def place(self, number: int, start: int, size: int, cluster_bytes: int) -> int:
        """Put a file of `size` bytes at a cluster; returns the cluster behind it."""
        count = -(-size // cluster_bytes)
        self.files[number] = (start, count, size)
        return start + count


def log_file_bytes(volume_bytes: int, cluster_bytes: int = 4096) -> int:
    """Size of $LogFile as mkntfs chooses it, imitating Windows. [B]"""
    if volume_bytes < 2 * MIB:
        return 256 * KIB
    if volume_bytes < 4_000_000:
        return 512 * KIB
    if volume_bytes <= 200 * MIB:
        return 2 * MIB
    if volume_bytes >= 12 * GIB:
        return 64 * MIB
    return volume_bytes // 200 // cluster_bytes * cluster_bytes


def windows_layout(volume_bytes: int, cluster_bytes: int, guest: dict[str, Any]) -> Layout:
    """Layout of a volume that Windows formatted.

    The order of the system files before $MFT is assumed; sizes and the zone follow the catalog.
    """
    clusters = volume_bytes // cluster_bytes
    log = min(log_file_bytes(volume_bytes, cluster_bytes), guest["logfile_most"])
    before = (  # system files that end where $MFT starts
        (2, log), (6, -(-clusters // 8)), (9, SECURE_BYTES), (10, UPCASE_BYTES), (4, ATTRDEF_BYTES), (5, 4 * KIB),
        (3, cluster_bytes),
    )  # fmt: skip
    total = sum(-(-size // cluster_bytes) for _, size in before)
    layout = Layout(clusters, 0, 0)
    behind_boot = layout.place(7, 0, BOOT_BYTES, cluster_bytes)
    in_middle = guest["mirror_in_middle"]
    if not in_middle:
        behind_boot = layout.place(1, behind_boot, MIRROR_BYTES, cluster_bytes)
    mft_lcn = max(min(guest["mft_start_cluster"], clusters // 3), behind_boot + total)
    at = mft_lcn - total
    for number, size in before:
        at = layout.place(number, at, size, cluster_bytes)
    end = layout.place(0, mft_lcn, max(guest["mft_step"], 64 * KIB), cluster_bytes)
    if in_middle:
        layout.place(1, max(clusters // 2, end), MIRROR_BYTES, cluster_bytes)
    zone = guest["mft_zone"] // cluster_bytes or int(clusters * guest["mft_zone_fraction"])
    layout.zone_start, layout.zone_end = end, min(end + zone, clusters)
    if in_middle and layout.zone_start < layout.files[1][0] < layout.zone_end:
        layout.zone_end = layout.files[1][0]
    return layout


def mkntfs_layout(disk_bytes: int) -> Layout:
    """Layout that `mkntfs -Q -c 4096` makes on a whole disk. Rules: docs/ntfs-model.md."""
    size = 4096
    sectors = disk_bytes // 512 - 1  # the last sector holds the spare boot sector
    clusters = sectors * 512 // size
    zone = clusters >> 3
    while 4 + zone >= clusters:
        zone >>= 1
    layout = Layout(clusters, 0, 4 + zone)
    layout.place(7, 0, BOOT_BYTES, size)
    layout.place(3, 2, size, size)  # the MFT's bitmap
    layout.place(0, 4, -(-MKNTFS_RECORDS * 1024 // size) * size, size)
    middle = sectors * 512 // 2 // size
    log = log_file_bytes(clusters * size) // size
    while middle + 1 + log >= clusters:
        log //= 2
    layout.place(2, layout.place(1, middle, MIRROR_BYTES, size), log * size, size)
    at = layout.zone_end + 2  # behind the root directory's security descriptor, which `format_ntfs3g` places
    at = layout.place(5, at, 4 * KIB, size)
    at = layout.place(4, at, ATTRDEF_BYTES, size)
    at = layout.place(6, at, -(-clusters // 64) * 8, size)
    layout.place(10, layout.place(9, at, SECURE_BYTES, size), UPCASE_BYTES, size)
    return layout


def format_volume(m: Arena, layout: Layout, cluster_bytes: int) -> None:
    """Write a layout into an empty arena: system files, their names in the root directory, the first free space."""
    m[file.CLUSTERS], m[file.CLUSTER_BYTES] = layout.clusters, cluster_bytes
    m[file.CLUSTER_SHIFT] = cluster_bytes.bit_length() - 1
    m[runs.ZONE_START], m[runs.ZONE_END] = layout.zone_start, layout.zone_end
    m[ntfs3g_space.MFT_LCN], m[request.BITMAP_LCN] = layout.files[0][0], layout.files[6][0]
    words = int(m[a.REGION + 2 * a.R_BITMAP + 1]) * 64
    entry.set_bits(m, a.R_BITMAP, layout.clusters, words - layout.clusters)
    for number, name in SYSTEM_FILES.items():
        entry.name_file(m, number, name_units(name), *sort_keys(name))
    for number, (start, count, size) in layout.files.items():
        if count:
            entry.place_file(m, number, start, count, size)
    entry.new_directory(m, np.array(sorted(SYSTEM_FILES, key=lambda n: sort_keys(SYSTEM_FILES[n])), np.int64))
    entry.set_bits(m, a.R_BLOCK, 0, 1)
    m[index.BLOCKS_HIGH] = 1
    m[directory.ROOT_ROOM] = 16 + 24


def format_ntfs3g(m: Arena, layout: Layout) -> None:
    """What the ntfs-3g driver finds on a volume that mkntfs made, on top of `format_volume`."""
    entry.set_bits(m, a.R_MFT, 0, 16)
    entry.set_bits(m, a.R_MFT, 24, 3)
    m[ntfs3g_record.COVERED], m[ntfs3g_record.FORMATTED] = 64, MKNTFS_RECORDS
    m[directory.BLOCKS_COVERED] = 64
    m[ntfs3g_file.REQUEST_PAGES] = 32 if layout.clusters * 4096 >= BIG_WRITES_FROM else 1
    root_record = (  # kind, bytes of the name, resident, size, value
        (attribute.INFORMATION, 0, 1, 72, 48),
        (attribute.NAME, 0, 1, 24 + 72, 68),
        (attribute.SECURITY, 0, 0, 64 + 8, 0),
        (attribute.ALLOCATION, 8, 0, 64 + 8 + 8, 0),
        (attribute.ROOT, 8, 1, 24 + 8 + 56, 56),
        (attribute.INDEX_BITMAP, 8, 1, 24 + 8 + 8, 8),
    )
    entry.new_root_record(m, np.array(root_record, np.int64), layout.zone_end, 2)
