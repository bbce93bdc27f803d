r"""The header of `esxtop -b`: which column is which counter of which host and device.

A column is headed `\\host\Object(instance)\Counter`, as Windows' perfmon has it. Texts of counters were found in public
scripts that read such files: throughput, latencies, "Failed Reserves/sec", and VAAI's "ATS", "ATS Failed" and "Average
Success Latency ms/ATS". None shows how RESV/s and CONS/s are headed: for these all texts at hand are accepted.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from clonesim.errors import InventoryError
from clonesim.ingest.limits import most, or_raise
from clonesim.units import MIB

MARK = "(PDH-CSV"
LOCAL = {"local", "localhost", "localhost.localdomain"}  # what esxtop heads where the host has no name
RATES = (
    *("commands_per_s", "reads_per_s", "writes_per_s", "read_bytes_per_s", "written_bytes_per_s"),
    *("reservations_per_s", "conflicts_per_s", "failed_reservations_per_s", "ats_per_s", "ats_failed_per_s"),
)
LATENCIES = ("device_s", "kernel_s", "guest_s", "queue_s", "ats_s", "ats_failed_s")
COUNTS = {"ats": "ats_per_s", "ats_failed": "ats_failed_per_s"}  # totals or counts: the rate that each becomes
COUNTERS = (*RATES, *LATENCIES)

_LATENCY = {"device_s": ("driver", "device"), "kernel_s": ("kernel",), "guest_s": ("guest",), "queue_s": ("queue",)}
_HEADS: dict[str, tuple[str, float]] = {  # plain text of a counter -> our name and our unit
    **dict.fromkeys(("commandssec", "cmdss"), ("commands_per_s", 1.0)),
    **dict.fromkeys(("readssec", "readss"), ("reads_per_s", 1.0)),
    **dict.fromkeys(("writessec", "writess"), ("writes_per_s", 1.0)),
    **dict.fromkeys(("mbytesreadsec", "mbreads", "mbreadsec"), ("read_bytes_per_s", float(MIB))),
    **dict.fromkeys(("mbyteswrittensec", "mbwrtns", "mbwrittensec"), ("written_bytes_per_s", float(MIB))),
    **dict.fromkeys(
        ("reservessec", "reservationssec", "resvs", "resvsec", "scsireservessec", "scsireservationssec"),
        ("reservations_per_s", 1.0),
    ),
    **dict.fromkeys(
        ("conflictssec", "conss", "conssec", "reservationconflictssec", "reserveconflictssec",
         "scsireservationconflictssec", "resvconflictssec"),
        ("conflicts_per_s", 1.0),
    ),
    **dict.fromkeys(("failedreservessec", "failedreservationssec", "fresvs"), ("failed_reservations_per_s", 1.0)),
    **dict.fromkeys(("atssec", "atss"), ("ats_per_s", 1.0)),
    **dict.fromkeys(("atsfailedsec", "failedatssec", "atsfailuressec", "atsfs"), ("ats_failed_per_s", 1.0)),
    "ats": ("ats", 1.0),
    **dict.fromkeys(("atsfailed", "failedats", "atsf", "atsfailures"), ("ats_failed", 1.0)),
    **dict.fromkeys(("averagesuccesslatencymsats", "aavgsuc"), ("ats_s", 1e-3)),
    **dict.fromkeys(("averagefailurelatencymsats", "aavgf"), ("ats_failed_s", 1e-3)),
    **{
        f"average{word}milliseccommand": (name, 1e-3)
        for name, words in _LATENCY.items() for word in words
    },
    **dict.fromkeys(("davgcmd",), ("device_s", 1e-3)),
    **dict.fromkeys(("kavgcmd",), ("kernel_s", 1e-3)),
    **dict.fromkeys(("gavgcmd",), ("guest_s", 1e-3)),
    **dict.fromkeys(("qavgcmd",), ("queue_s", 1e-3)),
}  # fmt: skip
_OBJECTS = {
    "physical disk scsi device": "device",
    "physical disk device": "device",
    "physical disk nfs volume": "nfs",
    "physical disk adapter": "adapter",
    "physical disk path": "path",
    "physical disk partition": "partition",
    "physical disk": "",  # as the instance says
}
_CELL = re.compile(r"\\\\([^\\]+)\\([^\\(]+)\((.*)\)\\([^\\]+)", re.DOTALL)
_DEVICE = re.compile(r"mpx\.vmhba\d+:C\d+:T\d+:L\d+|(?:naa|eui|t10|vml)\.[^\s:)]+")
_ADAPTER = re.compile(r"vmhba\d+")
_ADDRESS = re.compile(r"vmhba\d+:C?\d+:T?\d+(?::L?\d+)?")
_PART = re.compile(r":\d{1,3}$")
_SIGNS = re.compile(r"[^a-z0-9]+")
_ZONE = re.compile(r"\(PDH-CSV [^)]*\)\s*\((.*)\)\s*\((-?\d{1,4})\)")


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is read.

    Attributes
    ----------
    place : int
        Its number, from 0; 0 is the time.
    group : int
        Number of its host and device in `Head.groups`.
    name : str
        Our name of the counter.
    unit : float
        What a 1 in the file is in our unit.
    text : str
        Its header, for messages.
    """

    place: int
    group: int
    name: str
    unit: float
    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a header tells.

    Attributes
    ----------
    fields : int
        Columns of the file. [1]
    groups : tuple of (host, object, device)
        What is counted: object is "device", "nfs", "adapter", "path" or "partition".
    columns : tuple of Column
        What is read.
    zone : str
        Time zone as the file names it.
    offset_s : int
        To be added to its times for UTC. [s]
    """

    fields: int
    groups: tuple[tuple[str, str, str], ...]
    columns: tuple[Column, ...]
    zone: str
    offset_s: int


def is_head(line: bytes) -> bool:
    """Whether a line is the header of such a file."""
    return line[:64].lstrip(b'\xef\xbb\xbf" ').startswith(MARK.encode())


def read_head(path: str | Path, line: bytes, row: int, others: bool) -> Head:
    """Header of `esxtop -b`.

    Parameters
    ----------
    path : str or Path
        The file, for messages.
    line : bytes
        The line.
    row : int
        Its number, from 1.
    others : bool
        Whether adapters, paths and partitions are wanted too, not only devices.

    Raises
    ------
    InventoryError
        If it cannot be taken apart, or has no disk counters.
    """
    if line.count(b",") >= (allowed := most("counter_columns")):
        told = or_raise("counter_columns", "Save fewer columns: choose fields in esxtop, 'W', and 'esxtop -b -c FILE'")
        raise InventoryError(path, f"has more than {allowed} columns", told, row=row)
    text = line.decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r\n")
    try:
        cells = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        told = "Copy it again from the host: 'esxtop -b' heads its columns in one line."
        raise InventoryError(path, f"the header cannot be taken apart ({error})", told, row=row) from None
    groups: dict[tuple[str, str, str], int] = {}
    found: dict[tuple[int, str], Column] = {}
    for place, cell in enumerate(cells):
        hit = _CELL.fullmatch(cell) if "Physical Disk" in cell else None
        known = _HEADS.get(_SIGNS.sub("", hit[4].lower())) if hit else None
        what = _what(hit[2], hit[3]) if hit and known else None
        if hit is None or known is None or what is None or not _kept(what[0], others):
            continue
        group = groups.setdefault((hit[1], *what), len(groups))
        found.setdefault((group, known[0]), Column(place, group, *known, cell))
    if not found:
        told = "Save disk devices: esxtop, 'u', 'f' for fields, 'W', then 'esxtop -b -c FILE', or 'esxtop -b -a'."
        raise InventoryError(path, "has no counters of disk devices in its header", told, row=row)
    zone = _ZONE.match(cells[0])
    offset_s = int(zone[2]) * 60 if zone and abs(int(zone[2])) <= 14 * 60 else 0
    return Head(len(cells), tuple(groups), tuple(found.values()), zone[1] if zone else "", offset_s)


def _kept(what: str, others: bool) -> bool:
    """Whether an object is wanted; paths may have to stand in for devices."""
    return others or what in ("device", "nfs", "path")


def _what(kind: str, instance: str) -> tuple[str, str] | None:
    """Object and name of what a column counts; None for what is not read."""
    name = _OBJECTS.get(kind.strip().lower())
    device = _DEVICE.search(instance)
    if name is None or not instance.strip():
        return None
    if name == "device":
        return name, device[0] if device else instance
    if name in ("nfs", "adapter", "partition"):
        return name, instance
    if name == "" and _ADAPTER.fullmatch(instance):
        return "adapter", instance
    if device and device.start() > 0:  # an address before the device: one of its paths
        return "path", f"{device[0]} by {instance[: device.start()].rstrip(':-')}"
    if name == "path":
        return name, instance
    if device:
        return ("partition" if _PART.search(instance) else "device"), instance if _PART.search(instance) else device[0]
    return ("device", instance) if _ADDRESS.fullmatch(instance) else None
