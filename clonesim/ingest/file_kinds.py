"""What a file of a virtual machine is, by its name."""

from __future__ import annotations

import re

KINDS = (
    "delta", "flat", "disk", "descriptor", "swap", "memory", "snapshot-list", "profile", "office", "snapshot", "pool",
    "other",
)  # fmt: skip
GROWING = ("delta", "profile", "office")  # kinds whose growth is a clone's or a user's
_DESCRIPTOR_MOST = 65_536

_PARTS = re.compile(r"[\\/]|\] ")
_KINDS = (
    (re.compile(r"(?P<stem>.*?)(?:-\d{6})?-(?:delta|sesparse)\.vmdk", re.IGNORECASE), "delta"),
    (re.compile(r"(?P<stem>.*?)(?:-\d{6})?-(?:ctk|digest(?:-flat|-delta)?|rdmp?)\.vmdk", re.IGNORECASE), "other"),
    (re.compile(r"(?P<stem>.*?)(?:-\d{6})?-flat\.vmdk", re.IGNORECASE), "flat"),
    (re.compile(r"(?P<stem>.*?)(?:_[0-9a-f]{8}-[0-9a-f-]{27})?\.avhdx?", re.IGNORECASE), "delta"),
    (re.compile(r"Profile_(?P<stem>.*)\.vhdx?", re.IGNORECASE), "profile"),
    (re.compile(r"ODFC_(?P<stem>.*)\.vhdx?", re.IGNORECASE), "office"),
    (re.compile(r"(?P<stem>.*?)(?:-\d{6})?\.vmdk", re.IGNORECASE), "disk"),
    (re.compile(r"(?P<stem>.*?)\.(?:vhdx?|qcow2|raw|img|vdi)", re.IGNORECASE), "disk"),
    (re.compile(r"(?P<stem>.*?)(?:-[0-9a-f]{8})?\.vswp", re.IGNORECASE), "swap"),
    (re.compile(r"(?P<stem>.*?)(?:-Snapshot\d+|-[0-9a-f]{8})?\.(?:vmsn|vmem|vmss)", re.IGNORECASE), "memory"),
    (re.compile(r"(?P<stem>.*?)\.vmsd", re.IGNORECASE), "snapshot-list"),
    (re.compile(r"(?P<stem>.*?)(?:-\d+)?\.(?:vmxf?|nvram|log|hlog|lck)", re.IGNORECASE), "other"),
)  # fmt: skip


def kind_and_stem(name: str, size: int | None = None) -> tuple[str, str]:
    """Kind of a file, and the name of what it belongs to.

    Parameters
    ----------
    name : str
        File name without its folder.
    size : int, optional
        Its size, which tells a descriptor from a disk. [B]
    """
    for form, kind in _KINDS:
        if hit := form.fullmatch(name):
            small = size is not None and size <= _DESCRIPTOR_MOST and name.lower().endswith(".vmdk")
            return ("descriptor" if kind == "disk" and small else kind), hit["stem"]
    return "other", name.rsplit(".", 1)[0]


def base_name(path: str) -> str:
    """Last part of a path of Windows, ESXi or a datastore ("[ds] folder/file")."""
    return _PARTS.split(path)[-1] if _PARTS.search(path) else path


def folder_name(path: str) -> str:
    """Name of the folder that a file lies in; empty if the path names none."""
    if not _PARTS.search(path):
        return ""
    parts = [part for part in _PARTS.split(path.rstrip("\\/")) if part]
    return parts[-2].lstrip("[") if len(parts) > 1 else ""
