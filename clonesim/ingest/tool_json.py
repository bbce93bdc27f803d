"""JSON of storage tools: qemu-img info, lvs, zfs list, rbd du; and the tabs of `zfs list -Hp`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from clonesim.errors import InventoryError
from clonesim.ingest.cells import parse_number, parse_text_size
from clonesim.ingest.file_kinds import GROWING, base_name, kind_and_stem
from clonesim.ingest.layout_ex import text_ticks, whole
from clonesim.ingest.listed import FileRow, Rows

_PROXMOX = re.compile(r"(?P<clone>(?:vm|base)-\d+)-(?:disk|cloudinit|state)[-\w]*")
_ALL = (*GROWING, "disk")
_DASH = ("", "-", "none", None)


def clone_name(volume: str) -> str:
    """Name of what a volume belongs to: "vm-101" of "vm-101-disk-0", else the volume."""
    hit = _PROXMOX.fullmatch(volume)
    return hit["clone"] if hit else volume


def _size(value: Any, what: str, rows: Rows) -> int | None:
    """Bytes of a size as a tool writes it; None where it says there is none."""
    if value in _DASH:
        return None
    size = whole(value)
    if size is None and isinstance(value, str):
        text = value.strip().removeprefix("<")
        size = parse_text_size(text.removesuffix("B") if re.fullmatch(r"[\d.]+B", text) else text)
        rows.note("sizes with a unit are rounded; ask for bytes (lvs --units b, zfs list -p)")
    if size is None or not 0 <= size < 2**63:
        problem = "is not a size from 0 to 2^63 - 1 bytes"
        raise InventoryError(rows.path, problem, "Ask the tool for bytes.", column=what, value=str(value)[:60])
    return size


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item


def read_qemu(document: Any, rows: Rows, listed: int | None) -> None:
    """`qemu-img info --output=json`, also with --backing-chain."""
    for image in _objects(document):
        name = _text(image.get("filename"))
        backing = _text(image.get("full-backing-filename")) or _text(image.get("backing-filename"))
        length = None
        for child in _objects(image.get("children", [])):
            info = child.get("info")
            if child.get("name") == "file" and isinstance(info, dict):
                length = _size(info.get("virtual-size"), "children.info.virtual-size", rows)
        kind, stem = kind_and_stem(base_name(name))
        kind = "delta" if backing else "disk" if kind == "other" else kind
        actual = _size(image.get("actual-size"), "actual-size", rows)
        capacity = _size(image.get("virtual-size"), "virtual-size", rows)
        rows.add(FileRow(clone_name(stem), name, kind, length, actual, capacity, None, listed, backing))


def read_lvs(document: Any, rows: Rows, listed: int | None) -> None:
    """`lvs --reportformat json`: what a thin volume holds is its share of its size."""
    for report in _objects(document.get("report")):
        for volume in _objects(report.get("lv", [])):
            name = _text(volume.get("lv_name")).strip("[]")
            capacity = _size(volume.get("lv_size"), "lv_size", rows)
            share = volume.get("data_percent", "")
            percent = None if share in _DASH else parse_number(str(share).strip())
            if share not in _DASH and (percent is None or not 0 <= percent <= 100):
                problem = "is not a share from 0 to 100 %"
                raise InventoryError(rows.path, problem, "Run lvs again.", column="data_percent", value=str(share)[:40])
            held = None if percent is None or capacity is None else round(capacity * percent / 100)
            if held is not None:
                rows.note("lvs: what a volume holds is data_percent of its size, told to 0.01 %")
            origin = _text(volume.get("origin")).strip("[]")
            code = _text(volume.get("lv_attr"))[:1]
            kind = "pool" if code == "t" else "delta" if origin else "disk"
            file = f"{_text(volume.get('vg_name'))}/{name}"
            when = text_ticks(volume.get("lv_time"))
            size = capacity if held is None else held
            rows.add(FileRow(clone_name(name), file, kind, size, held, capacity, when, listed, origin))
            if "data_percent" not in volume:
                rows.note("lvs: no data_percent, so a thin volume counts in full; ask for it with -o +data_percent")


def read_zfs(document: Any, rows: Rows, listed: int | None) -> None:
    """`zfs list -j`."""
    datasets = document.get("datasets")
    for path, dataset in datasets.items() if isinstance(datasets, dict) else []:
        if not isinstance(dataset, dict):
            continue
        properties = dataset.get("properties")
        values = {
            name: (item.get("value") if isinstance(item, dict) else item)
            for name, item in (properties.items() if isinstance(properties, dict) else [])
        }
        values["type"] = dataset.get("type", "")
        _zfs_row(str(path), values, rows, listed)


def _zfs_row(path: str, values: dict[str, Any], rows: Rows, listed: int | None) -> None:
    used = _size(values.get("used"), "used", rows)
    capacity = _size(values.get("volsize"), "volsize", rows)
    origin = "" if values.get("origin") in _DASH else str(values["origin"])
    snapshot = "@" in path or str(values["type"]).lower() == "snapshot"
    kind = "snapshot" if snapshot else "delta" if origin else "disk" if "/" in path else "pool"
    name = path.split("@")[0].rsplit("/", 1)[-1]
    created = text_ticks(values.get("creation"))
    rows.add(FileRow(clone_name(name), path, kind, used, used, capacity, created, listed, origin))
    if "origin" not in values:
        rows.note("zfs list: no origin, so clones are not known from other volumes; add -o name,used,origin,volsize")
        rows.growing = _ALL


def read_zfs_text(lines: list[str], rows: Rows, listed: int | None) -> None:
    """`zfs list -Hp` with its five usual columns, or `zfs list -p` with a header line and any columns."""
    first = lines[0].split()
    if first[0] == "NAME":
        names, lines, start = [name.lower() for name in first], lines[1:], 2
    else:
        names, start = ["name", "used", "avail", "refer", "mountpoint"], 1
    for number, line in enumerate(lines, start):
        parts = line.split("\t") if "\t" in line else line.split(maxsplit=len(names) - 1)
        if len(parts) != len(names):
            problem = f"{len(parts)} columns where {len(names)} are needed ({', '.join(names)})"
            remedy = "With other columns leave out -H, so that the header line tells them."
            raise InventoryError(rows.path, problem, remedy, row=number, column="row", value=line[:80])
        values: dict[str, Any] = dict(zip(names, (part.strip() for part in parts), strict=True))
        values["type"] = values.get("type", "")
        _zfs_row(values.pop("name"), values, rows, listed)


def read_rbd(document: Any, rows: Rows, listed: int | None) -> None:
    """`rbd du --format json`."""
    for image in _objects(document.get("images")):
        name, snapshot = _text(image.get("name")), _text(image.get("snapshot"))
        used = _size(image.get("used_size"), "used_size", rows)
        capacity = _size(image.get("provisioned_size"), "provisioned_size", rows)
        kind = "snapshot" if snapshot else "disk"
        file = f"{name}@{snapshot}" if snapshot else name
        rows.add(FileRow(clone_name(name), file, kind, used, used, capacity, None, listed, ""))
    rows.note("rbd du tells no parents: what an image holds is a delta if the image is a clone")
    rows.growing = _ALL


Reader = Callable[[Any, Rows, "int | None"], None]


def find_reader(document: Any) -> tuple[str, Reader] | None:
    """Kind and reader of a JSON document; None if it is of none of these tools."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return None
    if "virtual-size" in first and "format" in first:
        return "qemu-img", read_qemu
    if isinstance(document, list):
        return None
    report = document.get("report")
    if isinstance(report, list) and any("lv" in item for item in _objects(report)):
        return "lvs", read_lvs
    if isinstance(document.get("datasets"), dict):
        return "zfs", read_zfs
    if isinstance(document.get("images"), list) and any("used_size" in item for item in _objects(document["images"])):
        return "rbd", read_rbd
    return None
