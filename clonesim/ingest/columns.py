"""The tabs that are read, our names of their columns, and how exports of different versions head them.

Headers are compared without blanks, signs and the case of letters, and without a unit at their end: "Capacity MiB",
"Capacity MB" and the anonymised "vDiskCapacityMiB" are one. RVTools before 4.1.3 wrote MB and meant MiB.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clonesim.units import GIB, KIB, MIB, TIB

_UNIT = re.compile(r"[ (_\[]+(?:in )?(bytes|byte|b|kib|kb|mib|mb|gib|gb|tib|tb)[)\]]?$", re.IGNORECASE)
_GLUED = re.compile(r"(?<=[a-z])(Bytes|KiB|KB|MiB|MB|GiB|GB|TiB|TB)$")
_LONGEST = 200  # characters of a header that may be known
_UNITS = {"b": 1, "byte": 1, "bytes": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a frame.

    Attributes
    ----------
    name : str
        Our name.
    kind : str
        "text", "bytes", "count", "number", "bool" or "date".
    heads : tuple of str
        Headers that mean it, plain (see `plain`), the usual one first.
    unit : int
        Bytes per unit where the header names none, for bytes. [B]
    """

    name: str
    kind: str
    heads: tuple[str, ...]
    unit: int = MIB


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab.

    Attributes
    ----------
    name : str
        RVTools' name, such as "vInfo".
    frame : str
        Our frame, such as "vms".
    needed : tuple of str
        Our columns without which a sheet is not this tab.
    marks : tuple of str
        Our columns of which one tells a nameless table of this tab from others; none if `needed` does.
    columns : tuple of Column
        What is read.
    """

    name: str
    frame: str
    needed: tuple[str, ...]
    marks: tuple[str, ...]
    columns: tuple[Column, ...]


def _columns(text: str) -> tuple[Column, ...]:
    found = []
    for line in filter(None, text.splitlines()):
        name, kind, heads = line.split(maxsplit=2)
        unit = 1 if kind == "bytes:B" else MIB
        found.append(Column(name, kind.split(":")[0], tuple(part.strip() for part in heads.split("|")), unit))
    return tuple(found)


_OWNER = """
vm text vm|vmname
powerstate text powerstate
template bool template
"""
_PLACE = """
datacenter text datacenter
cluster text cluster
host text host
"""
_IDS = """
vm_id text vmid
vm_uuid text vmuuid|uuid
server text visdkserver
"""

TABS = (
    Tab("vInfo", "vms", ("vm",), ("provisioned_bytes", "in_use_bytes", "disk_capacity_bytes"), _columns(_OWNER + """
consolidation_needed bool consolidationneeded
powered_on date poweron
created date creationdate|createdate
cpus count cpus
memory_bytes bytes memory
disks count disks|numvirtualdisks
disk_capacity_bytes bytes totaldiskcapacity
provisioned_bytes bytes provisioned
in_use_bytes bytes inuse
unshared_bytes bytes unshared
hw_version text hwversion
folder text folder
path text path
snapshot_directory text snapshotdirectory
suspend_directory text suspenddirectory
resource_pool text resourcepool
annotation text annotation|notes
os_config text osaccordingtotheconfigurationfile|os
os_tools text osaccordingtothevmwaretools|ostools
smbios_uuid text smbiosuuid
""" + _PLACE + _IDS)),
    Tab("vDisk", "disks", ("vm", "capacity_bytes"), ("disk_mode", "thin", "controller", "unit"), _columns(_OWNER + """
disk text disk|label
disk_key text diskkey
disk_uuid text diskuuid
disk_path text diskpath
capacity_bytes bytes capacity
raw bool raw
disk_mode text diskmode|mode
sharing_mode text sharingmode
thin bool thin|thinprovisioned
eagerly_scrub bool eagerlyscrub
split bool split
controller text controller
unit text unit#|scsiunit#
path text path
""" + _PLACE + _IDS)),
    Tab("vMemory", "memory", ("vm",), ("active_bytes", "ballooned_bytes"), _columns(_OWNER + """
size_bytes bytes size
active_bytes bytes active
consumed_bytes bytes consumed
ballooned_bytes bytes ballooned
reservation_bytes bytes reservation
""" + _PLACE + _IDS)),
    Tab("vSnapshot", "snapshots", ("vm", "name"), ("total_bytes", "powercli_bytes"), _columns("""
vm text vm|vmname
powerstate text powerstate
name text name|snapshot
description text description
date date date/time|datetime|date|created
filename text filename
vmsn_bytes bytes size(vmsn)|sizevmsn
total_bytes bytes size(total)|sizetotal
powercli_bytes bytes size
quiesced bool quiesced
state text state
current bool iscurrent
""" + _PLACE + _IDS)),
    Tab("vDatastore", "datastores", ("datastore", "capacity_bytes"), ("free_bytes", "block_size_bytes"), _columns("""
datastore text name
address text address
accessible bool accessible
type text type
vms_total count #vmstotal|vmstotal
vms count #vms
capacity_bytes bytes capacity
provisioned_bytes bytes provisioned
in_use_bytes bytes inuse
free_bytes bytes free|freespace
free_percent number free%
sioc bool siocenabled
hosts count #hosts|numhosts
host_names text hosts
cluster text clustername
block_size_bytes bytes blocksize
max_blocks count maxblocks
extents count #extents
major_version count majorversion
version text version
upgradeable bool vmfsupgradeable
url text url
object_id text objectid
server text visdkserver
""")),
    Tab("vHost", "hosts", ("host",), ("speed_mhz", "memory_bytes"), _columns("""
host text host|name
datacenter text datacenter
cluster text cluster
vms_total count #vmstotal|vmstotal
vms count #vms|vms
cpus count #cpu|numcpu
cores_per_cpu count corespercpu
cores count #cores|numcpucores
speed_mhz number speed|cpumhz
vcpus count #vcpus|vcpus
cpu_usage_percent number cpuusage%
memory_bytes bytes #memory|memorysize
memory_usage_percent number memoryusage%
ats_heartbeat bool atsheartbeat
ats_locking bool atslocking
version text esxversion|fullname
boot_time date boottime
time_zone text timezone
gmt_offset text gmtoffset
object_id text objectid
server text visdkserver
""")),
    Tab("vPartition", "partitions", ("vm", "disk", "capacity_bytes"), ("consumed_bytes", "free_bytes"), _columns(
        _OWNER + """
disk_key text diskkey
disk text disk
capacity_bytes bytes capacity
consumed_bytes bytes consumed
free_bytes bytes free
free_percent number free%
os_config text osaccordingtotheconfigurationfile
os_tools text osaccordingtothevmwaretools
""" + _PLACE + _IDS)),
    Tab("vFileInfo", "files", ("file", "bytes"), ("friendly_path", "type"), _columns("""
friendly_path text friendlypathname
file text filename
type text filetype
bytes bytes:B filesizein|filesize
path text path
server text visdkserver
""")),
    Tab("vMetaData", "meta", ("version",), (), _columns("""
version_major text rvtoolsmajorversion
version text rvtoolsversion
created date xlsxcreationdatetime
server text server
""")),
)  # fmt: skip
TAB_OF = {tab.name.lower(): tab for tab in TABS}


def split_unit(header: str) -> tuple[str, str]:
    """Header without the unit at its end, and the unit as written; "Size MiB (total)" has it inside."""
    header = header.strip()
    if len(header) > _LONGEST:
        return header, ""
    if hit := re.search(r" (kib|kb|mib|mb|gib|gb|tib|tb)(?= \()", header, re.IGNORECASE):
        return header[: hit.start()] + header[hit.end() :], hit[1]
    hit = _UNIT.search(header) or _GLUED.search(header)
    return (header, "") if hit is None or not hit.start() else (header[: hit.start()], hit[1])


def unit_bytes(unit: str) -> int:
    """Bytes of a unit as headers write it; MB is MiB there."""
    return _UNITS[unit.lower() if unit.lower() in _UNITS else unit[0].lower()]


def plain(header: str) -> str:
    """Header in small letters, without what tells no two of them apart."""
    return re.sub(r"[^a-z0-9#%/()]", "", header.lower())


def match(tab: Tab, headers: Sequence[str]) -> dict[str, tuple[int, int, str]]:
    """Columns of a tab found in a header.

    Returns
    -------
    dict
        Our name -> place, bytes per unit, unit as written (empty if the header names none).
    """
    places: dict[str, tuple[int, str]] = {}
    for place, header in enumerate(headers):
        name, unit = split_unit(header)
        for form in (plain(header), plain(name)):
            key = form.removeprefix(tab.name.lower()) or form
            places.setdefault(key, (place, unit if form == plain(name) else ""))
    found = {}
    for column in tab.columns:
        for head in column.heads:
            if head in places:
                place, unit = places[head]
                found[column.name] = (place, unit_bytes(unit) if unit else column.unit, unit)
                break
    return found


def recognise(headers: Sequence[str]) -> Tab | None:
    """The tab that a header is of: the one of which it has the largest share of its own words."""
    best, most = None, 0.0
    for tab in TABS:
        found = match(tab, headers)
        if set(tab.needed) <= set(found) and (not tab.marks or set(tab.marks) & set(found)):
            share = len({place for place, _, _ in found.values()})
            if share > most:
                best, most = tab, share
    return best
