"""Snapshot lists of ESXi (.vmsd): when each delta was begun, when it was frozen, and what it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from clonesim.ingest import dates
from clonesim.ingest.file_kinds import base_name, kind_and_stem

LINE = re.compile(r'\s*(?P<key>\.?[A-Za-z][\w.]{0,80})\s*=\s*"(?P<value>[^"]*)"\s*')
_KEY = re.compile(r"snapshot(\d{1,6})\.(.+)")
_DISK = re.compile(r"disk(\d{1,4})\.fileName")
_MOST_TICKS = (dates.LAST_YEAR - 1970) * 366 * 86_400 * dates.MICROSECONDS


@dataclass
class Snapshot:
    """One snapshot.

    Attributes
    ----------
    uid, parent : str
        Its identifier and that of the one before it.
    time : int or None
        When it was taken: microseconds since 1970, UTC.
    disks : dict
        Number of a disk -> file name of the descriptor that was in use when the snapshot was taken.
    """

    uid: str = ""
    parent: str = ""
    high: str = ""
    low: str = ""
    disks: dict[str, str] = field(default_factory=dict)

    @property
    def time(self) -> int | None:
        """When it was taken; None if the list does not say so."""
        try:
            high, low = int(self.high[:20]), int(self.low[:20])
        except ValueError:
            return None
        # Both halves are written as signed 32-bit numbers.
        ticks = high << 32 | (low & 0xFFFFFFFF) if 0 <= high < 2**31 else -1
        return ticks if 0 <= ticks <= _MOST_TICKS else None


@dataclass(frozen=True, slots=True)
class Span:
    """The life of one delta: descriptor, descriptor it stands on, times of its two snapshots."""

    clone: str
    disk: str
    parent: str
    start: int | None
    end: int | None


def parse(lines: Iterable[str]) -> list[Snapshot]:
    """Snapshots of one .vmsd in the order of their numbers; lines that say other things are passed over."""
    found: dict[int, Snapshot] = {}
    for line in lines:
        hit = LINE.fullmatch(line.rstrip("\r\n"))
        key = _KEY.fullmatch(hit["key"]) if hit else None
        if hit is None or key is None:
            continue
        snapshot = found.setdefault(int(key[1]), Snapshot())
        name, value = key[2], hit["value"]
        if name in ("uid", "parent"):
            setattr(snapshot, name, value)
        elif name == "createTimeHigh":
            snapshot.high = value
        elif name == "createTimeLow":
            snapshot.low = value
        elif disk := _DISK.fullmatch(name):
            snapshot.disks[disk[1]] = base_name(value)
    return [found[number] for number in sorted(found)]


def clone_of(snapshots: list[Snapshot]) -> str:
    """Name that the disks of a .vmsd share; empty if it names none."""
    for snapshot in snapshots:
        for disk in snapshot.disks.values():
            return kind_and_stem(disk)[1]
    return ""


def spans(snapshots: list[Snapshot], clone: str = "") -> list[Span]:
    """Lives of the deltas that a snapshot has frozen.

    The disk in use when a snapshot was taken had been begun when the snapshot before it was taken. Snapshots removed in
    between leave no trace: their deltas were merged into the next one.
    """
    clone = clone or clone_of(snapshots)
    by_uid = {snapshot.uid: snapshot for snapshot in snapshots if snapshot.uid}
    found = []
    for snapshot in snapshots:
        before = by_uid.get(snapshot.parent) if snapshot.parent else None
        if before is None or before is snapshot:
            continue
        for number, disk in snapshot.disks.items():
            below = before.disks.get(number, "")
            if disk != below:
                found.append(Span(clone, disk, below, before.time, snapshot.time))
    return found


def leaves(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Snapshots that no other one follows."""
    parents = {snapshot.parent for snapshot in snapshots}
    return [snapshot for snapshot in snapshots if snapshot.uid not in parents]
