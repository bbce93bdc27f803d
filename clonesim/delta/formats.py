"""Delta formats as size laws: the numbers that the kernels need, worked out from the catalog for one capacity.

One law serves every format but qcow2. With G the grains held and T the tables touched so far,

    in use = header + upfront + T * table_bytes + G * grain_bytes
    file   = header + increment * ceil((in use - header) / increment)          (at least `empty_steps` increments)

without an increment the file is as long as what is in use at most. Metadata are counted in `metadata_bytes` on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clonesim.errors import ParameterError
from clonesim.scenario import catalog
from clonesim.units import SECTOR, format_size, parse_size

DISCARDS = ("ignore", "reuse", "deallocate", "release")  # codes 0 to 3 in the kernels
PLAIN_REGION = 4096  # grains of a region where the format has no tables to count; regions are what a revert visits


@dataclass(frozen=True, slots=True)
class Law:
    """The size law of one format at one capacity. All values are whole numbers.

    Attributes
    ----------
    format : str
        Name in `FORMATS`.
    capacity : int
        Size of the virtual disk. [B]
    grain : int
        Unit of copy-on-write, a power of two. [B]
    grain_bytes : int
        What the first write to a grain adds to the file. [B]
    region_grains : int
        Grains of a table, a power of two; `PLAIN_REGION` where no tables are counted. [grains]
    table_bytes : int
        What the first touch of a table's region adds to the file. [B]
    header_bytes : int
        Start of the file, outside the rounding to increments. [B]
    upfront_bytes : int
        Tables written at creation, inside that rounding. [B]
    thick_bytes : int
        Data space taken at creation, part of the header. [B]
    grain_metadata_bytes : int
        Metadata among `grain_bytes`. [B]
    pool_metadata_bytes : int
        Metadata of a grain that lie outside the file. [B]
    increment : int
        Growth step of the file; 0: it grows by what is needed. [B]
    empty_steps : int
        Least number of increments. [1]
    discard : int
        Index in `DISCARDS`, after the bus.
    short_bytes : int
        By how much the last grain is shorter than a grain in the file. [B]
    l1_bytes, slice_grains : int
        qcow2 only: its L1 table [B], and how many grains one allocation may span [grains].
    """

    format: str
    capacity: int
    grain: int
    grain_bytes: int
    region_grains: int = PLAIN_REGION
    table_bytes: int = 0
    header_bytes: int = 0
    upfront_bytes: int = 0
    thick_bytes: int = 0
    grain_metadata_bytes: int = 0
    pool_metadata_bytes: int = 0
    increment: int = 0
    empty_steps: int = 0
    discard: int = 0
    short_bytes: int = 0
    l1_bytes: int = 0
    slice_grains: int = 0

    @property
    def grains(self) -> int:
        """Grains of the whole disk; the last may be partial. [grains]"""
        return _ceil(self.capacity, self.grain)

    @property
    def regions(self) -> int:
        """Tables, or plain regions, of the whole disk. [1]"""
        return _ceil(self.grains, self.region_grains)

    @property
    def full_bytes(self) -> int:
        """File size once every grain has been written; not for qcow2, whose bound has no closed form here. [B]"""
        tables = self.regions * self.table_bytes
        body = self.upfront_bytes + tables + self.grains * self.grain_bytes - self.short_bytes
        if self.increment:
            body = self.increment * max(self.empty_steps, _ceil(body, self.increment))
        return self.header_bytes + body


def _ceil(value: int, unit: int) -> int:
    return -(-value // unit)


def _round_up(value: int, unit: int) -> int:
    return _ceil(value, unit) * unit


def _vmfs_sparse(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    tables = _ceil(capacity, p["grain"] * p["table_grains"])
    table_bytes = p["table_grains"] * p["table_entry"]
    lazy = p["lazy_tables"]
    return {
        "grain": p["grain"],
        "grain_bytes": p["grain"],
        "region_grains": p["table_grains"],
        "table_bytes": table_bytes if lazy else 0,
        "header_bytes": _round_up(p["header"] + p["directory_entry"] * tables, p["header_rounding"]),
        "upfront_bytes": 0 if lazy else tables * table_bytes,
        "increment": p["increment"],
        "empty_steps": p["empty_steps"],
    }


def _se_sparse(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    grains = _ceil(capacity, p["grain"])
    tables = _ceil(grains, p["table_grains"]) * p["table_grains"] * p["table_entry"]
    bitmap = _round_up(_ceil(grains, p["bitmap_grains"]), SECTOR)
    return {
        "grain": p["grain"],
        "grain_bytes": p["grain"],
        "header_bytes": tables + bitmap + _round_up(grains * p["backmap_entry"], SECTOR),
        "increment": p["increment"],
        "empty_steps": p["empty_steps"],
    }


def _qcow2(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    cluster = p["cluster_size"]
    entries = cluster // p["table_entry"]
    cached = _ceil(capacity, cluster * entries) * cluster <= p["l2_cache"]
    l1_bytes = _ceil(capacity, cluster * entries) * p["table_entry"]
    if l1_bytes > p["max_l1"]:
        most = p["max_l1"] // p["table_entry"] * cluster * entries
        raise ParameterError(
            "capacity",
            capacity,
            f"qcow2 with clusters of {format_size(cluster)} reaches {format_size(most)}",
            "Take a larger cluster_size.",
        )
    return {
        "grain": cluster,
        "grain_bytes": cluster,
        "region_grains": entries,
        "table_bytes": cluster,
        "l1_bytes": l1_bytes,
        "slice_grains": entries if cached else min(cluster, p["slice"]) // p["table_entry"],
    }


def _vmdk_hosted(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    tables = _ceil(capacity, p["grain"] * p["table_grains"])
    copy = _round_up(tables * p["table_entry"], SECTOR) + tables * p["table_grains"] * p["table_entry"]
    return {
        "grain": p["grain"],
        "grain_bytes": p["grain"],
        "header_bytes": _round_up(p["header"] + p["descriptor"] + p["table_copies"] * copy, p["grain"]),
    }


def _vhd(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    align, blocks = p["alignment"], _ceil(capacity, p["block"])
    bitmap = _round_up(_ceil(p["block"] // SECTOR, p["bitmap_sectors"]), align)
    fixed = (p["header"], p["parent_locators"], p["table_entry"] * blocks, p["footer"])
    return {
        "grain": p["block"],
        "grain_bytes": p["block"] + bitmap,
        "grain_metadata_bytes": bitmap,
        "header_bytes": sum(_round_up(part, align) for part in fixed),
    }


def _vhdx(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    mib = 2**20
    chunk = p["chunk_sectors"] * SECTOR // p["block"]
    entries = _ceil(_ceil(capacity, p["block"]), chunk) * (chunk + 1)
    table = _round_up(p["table_entry"] * entries, mib)
    return {
        "grain": p["block"],
        "grain_bytes": p["block"],
        "region_grains": chunk,
        "table_bytes": p["sector_bitmap"],
        "header_bytes": p["header"] + _round_up(p["log"], mib) + _round_up(p["metadata_region"], mib) + table,
    }


def _lvm_thin(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:  # noqa: ARG001 (every law has both arguments)
    return {"grain": p["chunk"], "grain_bytes": p["chunk"], "pool_metadata_bytes": p["mapping"]}


def _zfs_zvol(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:  # noqa: ARG001
    return {
        "grain": p["volblocksize"],
        "grain_bytes": p["volblocksize"],
        "region_grains": p["indirect"] // p["block_pointer"],
        "table_bytes": p["indirect_allocated"],
    }


def _rbd(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    return {"grain": p["object"], "grain_bytes": p["object"], "short_bytes": -capacity % p["object"]}


def _inflated(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:
    whole = _round_up(capacity, p["extent"])
    return {"grain": SECTOR, "grain_bytes": 0, "header_bytes": whole, "thick_bytes": whole}


def _exact(capacity: int, p: Mapping[str, Any]) -> dict[str, int]:  # noqa: ARG001
    return {"grain": p["grain"], "grain_bytes": p["grain"]}


_LAWS: dict[str, Callable[[int, Mapping[str, Any]], dict[str, int]]] = {
    "vmfs-sparse": _vmfs_sparse,
    "se-sparse": _se_sparse,
    "qcow2": _qcow2,
    "vmdk-hosted": _vmdk_hosted,
    "vhd": _vhd,
    "vhdx": _vhdx,
    "lvm-thin": _lvm_thin,
    "zfs-zvol": _zfs_zvol,
    "rbd": _rbd,
    "inflated": _inflated,
    "exact": _exact,
}
FORMATS = tuple(_LAWS)
_POWERS_OF_TWO = {"grain", "cluster_size", "block", "chunk", "volblocksize", "object", "indirect", "alignment", "slice"}


def law(name: str, capacity: str | int, parameters: Mapping[str, Any]) -> Law:
    """Size law of a format.

    Parameters
    ----------
    name : str
        One of `FORMATS`.
    capacity : str or int
        Size of the virtual disk: whole sectors of 512 B. [B]
    parameters : mapping
        Values that replace the catalog's; `bus_discards` applies to every format.

    Raises
    ------
    ParameterError
        If the format or a parameter is unknown, or a value is not allowed.
    """
    if name not in _LAWS:
        raise ParameterError("format", name, f"allowed are {', '.join(FORMATS)}")
    known = {**catalog.group("formats", "common"), **catalog.group("formats", name)}
    given = {key: entry.default for key, entry in known.items()}
    for key, value in parameters.items():
        if key not in known:
            allowed = f"{name} has no such parameter; it has {', '.join(sorted(known))}"
            raise ParameterError(key, value, allowed, "See the catalog of formats.")
        given[key] = known[key].check(value, key)
        if key in _POWERS_OF_TWO and given[key] & (given[key] - 1):
            raise ParameterError(key, value, "a power of two is needed", f"The default is {known[key].default}.")
        if key == "increment" and given[key] % SECTOR:
            raise ParameterError(
                key, value, "whole sectors of 512 B are needed", f"The default is {known[key].default}."
            )
    size = parse_size(capacity, "capacity", least=SECTOR)
    if size % SECTOR:
        raise ParameterError(
            "capacity", capacity, "a disk has whole sectors of 512 B", f"Try {_round_up(size, SECTOR)}."
        )
    if size > given["max_capacity"]:
        most = format_size(given["max_capacity"])
        raise ParameterError("capacity", capacity, f"{name} reaches {most}", "Take another format for a larger disk.")
    action = DISCARDS.index(given["discard"]) if given["bus_discards"] else 0
    return Law(format=name, capacity=size, discard=action, **_LAWS[name](size, given))
