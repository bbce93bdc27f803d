"""From a user's words to a formatted volume: settings checked against the catalog, then an arena filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clonesim.errors import ParameterError
from clonesim.guest import arena_kernel as a
from clonesim.guest import directory_kernel as directory
from clonesim.guest import entry_kernel as entry
from clonesim.guest import folder_kernel as folder
from clonesim.guest import journal_kernel as journal
from clonesim.guest import mft_kernel as mft
from clonesim.guest import policy_kernel as policy_kernel
from clonesim.guest import request_kernel as request
from clonesim.guest import runs_kernel as runs
from clonesim.guest import space_kernel as space
from clonesim.guest import windows_file_kernel as windows_file
from clonesim.guest.arena import Arena, new_arena
from clonesim.guest.layout import format_ntfs3g, format_volume, mkntfs_layout, windows_layout
from clonesim.guest.policies import POLICIES
from clonesim.scenario import catalog
from clonesim.units import KIB, MIB, SECTOR, parse_size

GUESTS = tuple(sorted({name.split(".")[0] for name in catalog.parameters("guests")} - {"ntfs"} | {"windows-11"}))
SMALLEST_DISK = 8 * MIB
MOST_CLUSTERS = 2**30 - 1
NTFS3G_FIXED = {"cluster_size": 4 * KIB, "partition_offset": 0, "checkpoint_interval": 0.0, "discards": False}
ROOT_ENDS = 16 + 16  # bytes of an index root that are no entries: its node's header, its end entry
BLOCK_ROOM = 4096 - 24 - 40 - 16  # of an index block for entries: headers, update sequence and end entry off
RECORD_ROOM = 1024 - (56 + 8 + 72 + 96 + 72 + 80 + 40) - (24 + 8) - 16  # of the root directory's record, for its root


@dataclass(frozen=True, slots=True)
class Settings:
    """A volume's settings in base units, checked."""

    disk_bytes: int
    policy: str
    os: str
    values: dict[str, Any]

    @property
    def cluster_bytes(self) -> int:
        """Bytes of a cluster. [B]"""
        return int(self.values["cluster_size"])

    @classmethod
    def of(cls, size: str | int, policy: str, os: str, given: dict[str, Any]) -> Settings:
        """Settings from a user's words; a ParameterError tells what is allowed."""
        disk = parse_size(size, "size", least=SMALLEST_DISK)
        if policy not in POLICIES:
            raise ParameterError("policy", policy, f"allowed are {', '.join(POLICIES)}")
        if os not in GUESTS:
            raise ParameterError("os", os, f"allowed are {', '.join(GUESTS)}")
        same = catalog.text("guests", os, "same_as") or os
        known = catalog.group("guests", "ntfs") | catalog.group("guests", same)
        values = {name: parameter.default for name, parameter in known.items()}
        for name, value in given.items():
            if name not in known:
                raise ParameterError("parameter", name, f"a volume has {', '.join(sorted(known))}")
            values[name] = value if _is_free(name, value) else known[name].check(value)
        if policy == "ntfs3g":
            for name, fixed in NTFS3G_FIXED.items():
                if name in given and values[name] != fixed:
                    raise ParameterError(name, given[name], f"policy 'ntfs3g' implies {fixed}", "Leave it out.")
            values |= NTFS3G_FIXED | {"usn": False}
        settings = cls(disk, policy, os, values)
        settings._check_geometry()
        return settings

    def _check_geometry(self) -> None:
        size, offset = self.cluster_bytes, self.values["partition_offset"]
        if self.disk_bytes % SECTOR:
            allowed = "a disk has whole sectors of 512 B"
            raise ParameterError("size", self.disk_bytes, allowed, f"Try {-(-self.disk_bytes // SECTOR) * SECTOR}.")
        if size & (size - 1):
            raise ParameterError("cluster_size", size, "a power of two from 512 B to 64 KiB is needed")
        if offset % SECTOR:
            raise ParameterError("partition_offset", offset, "a whole number of 512 B sectors is needed")
        if self.disk_bytes - offset < SMALLEST_DISK:
            allowed = f"the volume behind it needs {SMALLEST_DISK // MIB} MiB at least"
            raise ParameterError("partition_offset", offset, allowed, "Make the disk larger.")
        if (self.disk_bytes - offset) // size > MOST_CLUSTERS:
            allowed = f"a volume has at most {MOST_CLUSTERS} clusters"
            raise ParameterError("size", self.disk_bytes, allowed, "Use larger clusters.")


def entry_bytes(units: int) -> int:
    """Bytes of an index entry for a name of so many UTF-16 units."""
    return (16 + 66 + 2 * units + 7) // 8 * 8


def _is_free(name: str, value: Any) -> bool:
    """Whether a value needs no range of the catalog: a partition may start at any sector."""
    return name == "partition_offset" and type(value) is int and value >= 0


def make_volume(settings: Settings) -> Arena:
    """Arena of a freshly formatted volume."""
    values, size, ntfs3g = settings.values, settings.cluster_bytes, settings.policy == "ntfs3g"
    volume_bytes = settings.disk_bytes - values["partition_offset"]
    layout = mkntfs_layout(settings.disk_bytes) if ntfs3g else windows_layout(volume_bytes, size, values)
    m = new_arena(layout.clusters)
    m[request.RATE], m[request.LONGEST_WRITE] = values["write_rate"], values["longest_write"]
    m[request.PAGE_TIME] = request.GUEST_PAGE * 10**9 // values["write_rate"]
    m[request.PARTITION] = values["partition_offset"]
    m[policy_kernel.POLICY] = POLICIES[settings.policy].code
    m[policy_kernel.CACHE] = values["run_cache"]
    m[policy_kernel.UNIT_FIRST] = values["stream_first_unit"]
    m[policy_kernel.UNIT_GROWTH] = values["stream_growth"]
    m[runs.SPLIT_FRESH] = settings.policy == "fresh-first"
    m[space.REUSE] = round(values["checkpoint_interval"] * 1e9)
    m[space.DISCARDS] = values["discards"]
    m[mft.FIRST_RECORD] = 64 if ntfs3g else 24
    m[mft.MFT_STEP] = 4 if ntfs3g else max(values["mft_step"] // size, 1)
    m[mft.ZONE_STEP] = values["mft_zone"] // size
    m[directory.ROOT_LIMIT] = RECORD_ROOM
    m[journal.LOG_BYTES] = values["log_bytes"]
    m[journal.USN_BYTES] = values["usn_bytes"] if values["usn"] else 0
    m[journal.USN_MOST], m[journal.USN_STEP] = values["usn_most"], values["usn_step"]
    m[windows_file.RESIDENT_LIMIT], m[windows_file.NAME_UNITS] = values["resident_limit"], values["name_units"]
    m[folder.FOLDER_FILES] = values["folder_files"]
    m[folder.FOLDER_SHARE] = -(-(1 << int(folder.SHARE_BITS)) // values["folder_files"])
    m[folder.ROOT_ENTRIES] = (RECORD_ROOM - ROOT_ENDS) // entry_bytes(values["name_units"])
    m[folder.BLOCK_ENTRIES] = BLOCK_ROOM // entry_bytes(values["name_units"])
    format_volume(m, layout, size)
    if ntfs3g:
        format_ntfs3g(m, layout)
    else:
        entry.set_bits(m, a.R_MFT, 0, 24)
        entry.free_space(m, layout.clusters)
    return m
