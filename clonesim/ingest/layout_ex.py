"""`layoutEx` of virtual machines as JSON, with the field names of pyVmomi, PowerCLI or govc."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from clonesim.ingest import dates
from clonesim.ingest.file_kinds import base_name, folder_name, kind_and_stem
from clonesim.ingest.listed import FileRow, IntervalRow, Rows

_DAY = 86_400 * dates.MICROSECONDS
_TYPES = {  # vim.vm.FileLayoutEx.FileType
    "diskdescriptor": "descriptor", "swap": "swap", "uwswap": "swap", "suspend": "memory", "suspendmemory": "memory",
    "snapshotdata": "memory", "snapshotmemory": "memory", "snapshotlist": "snapshot-list", "config": "other",
    "extendedconfig": "other", "digestdescriptor": "other", "digestextent": "other", "nvram": "other", "log": "other",
    "stat": "other", "core": "other", "snapshotmanifestlist": "other", "diskreplicationstate": "other",
    "namespacedata": "other", "guestcustomization": "other",
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A virtual machine of a JSON document.

    Attributes
    ----------
    name : str
        Its name; empty if the document does not tell it.
    layout : dict
        Its layoutEx, keys in small letters.
    snapshots : dict
        Reference of a snapshot -> when it was taken, microseconds since 1970, UTC.
    """

    name: str
    layout: dict[str, Any]
    snapshots: dict[str, int]


def lowered(value: Any) -> Any:
    """Keys of an object in small letters: pyVmomi writes uniqueSize, govc and PowerCLI UniqueSize."""
    return {str(key).lower(): item for key, item in value.items()} if isinstance(value, dict) else {}


def machines(document: Any) -> Iterator[Machine]:
    """Machines with a layoutEx, wherever they lie in a document; the walk keeps no stack of calls."""
    todo: list[tuple[Any, str]] = [(document, "")]
    while todo:
        value, key = todo.pop()
        if isinstance(value, list):
            todo.extend((item, key) for item in reversed(value))
            continue
        if not isinstance(value, dict):
            continue
        low = lowered(value)
        layout = lowered(low.get("layoutex"))
        if "file" in layout:
            yield Machine(_name(low) or key, layout, _snapshot_times(low.get("snapshot")))
        elif is_layout(low):
            yield Machine(key, low, {})
        else:
            todo.extend((item, str(name)) for name, item in reversed(value.items()))


def is_layout(low: dict[str, Any]) -> bool:
    """Whether an object with small keys is a layoutEx itself."""
    files = low.get("file")
    first = lowered(files[0]) if isinstance(files, list) and files else {}
    return {"key", "name", "size"} <= first.keys()


def _name(low: dict[str, Any]) -> str:
    config = lowered(low.get("config"))
    for value in (low.get("name"), low.get("vm"), config.get("name")):
        if isinstance(value, str) and value:
            return value
    return ""


def _snapshot_times(info: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    todo = [lowered(info).get("rootsnapshotlist")]
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, dict):
            low = lowered(value)
            ticks = text_ticks(low.get("createtime"))
            if ticks is not None:
                found[reference(low.get("snapshot"))] = ticks
            todo.append(low.get("childsnapshotlist"))
    return found


def reference(value: Any) -> str:
    """Name of a managed object, as pyVmomi ('vim.vm.Snapshot:snapshot-7') or govc ({Type, Value}) write it."""
    low = lowered(value)
    text = low.get("value", low.get("_moid", low.get("moid", value)))
    return str(text).rsplit(":", 1)[-1].strip("'")


def text_ticks(value: Any, zone_is_utc: bool = True) -> int | None:
    """Microseconds since 1970, UTC, of a date in JSON; None if it is none."""
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return None
    readings, _ = dates.read_texts([str(value).strip()[:64]], dayfirst=False)
    hit = readings[0]
    return hit.ticks if hit is not None and hit.ticks != dates.NONE and (hit.zoned or zone_is_utc) else None


def whole(value: Any) -> int | None:
    """A whole number as JSON holds it, also as text; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 25:
        return int(value.strip())
    return None


def _key_of(value: Any) -> int:
    """Key of a file or a disk; govc leaves out a key of 0."""
    return whole(lowered(value).get("key")) or 0


def read_machines(document: Any, rows: Rows, listed: int | None) -> int:
    """Take the files of all machines; return how many machines there are.

    A file that belongs to the chains of several machines, such as a replica, is taken once, and for none of them.
    """
    count = 0
    for machine in machines(document):
        count += 1
        _read_machine(machine, rows, listed)
    return count


def _read_machine(machine: Machine, rows: Rows, listed: int | None) -> None:
    stamp = text_ticks(machine.layout.get("timestamp"))
    when = listed if stamp is None else stamp
    files = {_key_of(file): lowered(file) for file in _list(machine.layout.get("file")) if isinstance(file, dict)}
    depth, below = _chains(machine.layout)
    home = _home(files)
    for key, file in files.items():
        path = file.get("name")
        if not isinstance(path, str) or not path:
            rows.note("files without a name left out")
            continue
        parent = str(files.get(below.get(key, -1), {}).get("name", ""))
        kind, stem = _kind(file, path, depth.get(key))
        own = folder_name(path) == home or not home
        clone = (machine.name or home or stem) if own else folder_name(path)
        unique = whole(file.get("uniquesize"))
        row = FileRow(clone, path, kind, whole(file.get("size")), unique, None, None, when, base_name(parent))
        # Each machine's layout has a time of its own; what they share is taken once a day.
        turn = (path, when if own or when is None else when // _DAY)
        if turn in rows.seen:
            rows.note("files that several machines share are listed once, under the name of their folder")
            continue
        rows.seen.add(turn)
        rows.add(row)
    _intervals(machine, files, when, rows)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _home(files: dict[int, dict[str, Any]]) -> str:
    """Folder of the machine's configuration file."""
    for file in files.values():
        if str(file.get("type", "")).lower() == "config":
            return folder_name(str(file.get("name", "")))
    return ""


def _chains(layout: dict[str, Any]) -> tuple[dict[int, int], dict[int, int]]:
    """Depth of each disk file in its chain, and the descriptor below it."""
    depth: dict[int, int] = {}
    below: dict[int, int] = {}
    for disk in _list(layout.get("disk")):
        under: int | None = None
        for place, element in enumerate(_list(lowered(disk).get("chain"))):
            keys = [key for key in map(whole, _list(lowered(element).get("filekey"))) if key is not None]
            for key in keys:
                depth[key] = place
                if under is not None:
                    below[key] = under
            under = keys[0] if keys else None
    return depth, below


def _kind(file: dict[str, Any], path: str, depth: int | None) -> tuple[str, str]:
    kind, stem = kind_and_stem(base_name(path))
    said = str(file.get("type", "")).lower()
    if said == "diskextent":
        kind = "delta" if kind == "delta" or (depth or 0) > 0 else "flat"
    elif said in _TYPES:
        kind = _TYPES[said]
    return kind, stem


def _intervals(machine: Machine, files: dict[int, dict[str, Any]], when: int | None, rows: Rows) -> None:
    """A delta is begun by the snapshot after which it joins the chain, and frozen by the next one."""
    snapshots = [lowered(item) for item in _list(machine.layout.get("snapshot"))]
    dated = [(machine.snapshots.get(reference(item.get("key"))), item) for item in snapshots]
    known = sorted(((time, item) for time, item in dated if time is not None), key=lambda pair: pair[0])
    states = [(time, _extents(item)) for time, item in known]
    if when is not None:
        states.append((when, _extents(machine.layout)))
    for (start, before), (end, after) in pairwise(states):
        for key in sorted(after - before):
            file = files.get(key, {})
            if str(file.get("type", "")).lower() != "diskextent":
                continue
            name = base_name(str(file.get("name", "")))
            rows.intervals.append(IntervalRow(machine.name, name, start, end, whole(file.get("size"))))


def _extents(owner: dict[str, Any]) -> set[int]:
    found: set[int] = set()
    for disk in _list(owner.get("disk")):
        for element in _list(lowered(disk).get("chain")):
            found.update(key for key in map(whole, _list(lowered(element).get("filekey"))) if key is not None)
    return found
