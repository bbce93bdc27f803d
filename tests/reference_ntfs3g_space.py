"""Which clusters the ntfs-3g driver takes, and where mkntfs puts what: part of the reference in `reference_ntfs3g`.

Slow and plain on purpose: one byte a cluster. Rules: docs/ntfs-model.md, whose numbers stand in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CLUSTER = 4096  # [B]
WINDOW = 32768  # clusters that a 4096 B piece of $Bitmap describes (3.6)
SKIP = 4096  # clusters that a position jumps ahead after use (3.10)
MFT_ZONE, DATA_ZONE = 0, 1
MFT_LCN = 4  # first cluster of $MFT
NO_HINT = -1

Run = tuple[int, int]  # first cluster, clusters


def up8(n: int) -> int:
    """Round up to a multiple of 8."""
    return (n + 7) // 8 * 8


def ceil_div(a: int, b: int) -> int:
    """Divide, rounding up."""
    return -(-a // b)


def join(runs: list[Run], more: list[Run]) -> list[Run]:
    """Runs in order, neighbours made one."""
    joined: list[Run] = []
    for start, length in runs + more:
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return joined


class Disk:
    """Remembers which bytes were written."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []  # offset, length [B]

    def write(self, offset: int, length: int) -> None:
        """Note a write."""
        self.log.append((offset, length))


class Layout:
    """Where `mkntfs -Q -c 4096` puts the system files of a whole disk (2.1 to 2.6)."""

    def __init__(self, disk_bytes: int) -> None:
        sectors = disk_bytes // 512 - 1  # the last one holds the spare boot sector
        self.clusters = clusters = sectors // 8
        zone = clusters // 8
        while MFT_LCN + zone >= clusters:
            zone //= 2
        self.zone_end = MFT_LCN + zone
        self.bitmap_bits = up8(ceil_div(clusters, 8)) * 8
        self.mirror = sectors * 512 // 2 // CLUSTER
        log = log_file_bytes(clusters * CLUSTER) // CLUSTER
        while self.mirror + 1 + log >= clusters:
            log //= 2
        self.root_security = self.zone_end  # 2 clusters, then the root's index block, $AttrDef and $Bitmap
        self.root_block = self.zone_end + 2
        self.bitmap = self.zone_end + 4
        behind = ceil_div(self.bitmap_bits // 8, CLUSTER) + 65 + 32  # $Bitmap, $Secure:$SDS, $UpCase
        self.used: list[Run] = [(0, 3), (MFT_LCN, 7), (self.mirror, 1 + log), (self.zone_end, 4 + behind)]


def log_file_bytes(volume_bytes: int) -> int:
    """Size of $LogFile (2.4). [B]"""
    if volume_bytes < 2 << 20:
        return 256 << 10
    if volume_bytes < 4_000_000:
        return 512 << 10
    if volume_bytes <= 200 << 20:
        return 2 << 20
    if volume_bytes >= 12 << 30:
        return 64 << 20
    return volume_bytes // 200 // CLUSTER * CLUSTER


class Space:
    """The cluster bitmap and the driver's way to pick clusters (section 3)."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self.clusters, self.bitmap, self.disk = layout.clusters, layout.bitmap, disk
        self.busy = bytearray(layout.bitmap_bits)  # 1: in use; the bits behind the volume's end are set
        for start, length in [*layout.used, (layout.clusters, layout.bitmap_bits - layout.clusters)]:
            self.busy[start : start + length] = b"\1" * length
        self.bounds = ((0, layout.zone_end), (layout.zone_end, layout.clusters))
        self.mount()

    def mount(self) -> None:
        """Forget all that is not on disk (3.2)."""
        self.position = [MFT_LCN, self.bounds[DATA_ZONE][0]]
        self.full = [False, False]  # exhausted zones are skipped until something in them is freed (3.12)

    @property
    def used(self) -> int:
        """Clusters in use (2.8)."""
        return self.busy.count(b"\1", 0, self.clusters)

    def zone_of(self, cluster: int) -> int:
        """Zone that holds a cluster (3.1)."""
        return MFT_ZONE if cluster < self.bounds[MFT_ZONE][1] else DATA_ZONE

    def move_position(self, zone: int, target: int) -> None:
        """Set a zone's position; behind the zone's end it starts over (3.10)."""
        first = MFT_LCN if zone == MFT_ZONE else self.bounds[zone][0]
        if target >= self.bounds[zone][1]:
            self.position[zone] = first
        elif target >= first:
            self.position[zone] = target

    def window(self, at: int) -> Run:
        """First and last + 1 cluster of the window looked at for a cluster; zone borders do not matter (3.6)."""
        first = at // 8 * 8
        return first, min(first + WINDOW, len(self.busy))

    def longest_free(self, first: int, end: int) -> int | None:
        """Start of the longest free run of a window, the lowest among equals (3.7)."""
        found = [(m.start() - m.end(), first + m.start()) for m in re.finditer(b"\0+", self.busy[first:end])]
        return min(found)[1] if found else None

    def places(self, zone: int, hint: int) -> Iterator[int]:
        """Clusters whose windows are looked at: the hint, position to zone end, zone start to position (3.3, 3.9)."""
        low, end = self.bounds[zone]
        start = self.position[zone]
        if hint != NO_HINT:
            yield hint
        for first, stop in ((start, end), (low, start)):
            at = first
            while at == first or at < stop:  # one window at least
                yield at
                at = self.window(at)[1]
            if low in (start, hint):
                return  # nothing lies before

    def take(self, count: int, hint: int = NO_HINT, zone: int = DATA_ZONE) -> list[Run]:
        """Allocate clusters; OSError where there are too few."""
        runs: list[Run] = []
        if count == 0:
            return runs
        inside = by_hint = hint != NO_HINT  # inside: go on at this very cluster, without a search
        first_zone = self.zone_of(hint) if by_hint else zone
        for here in (first_zone, 1 - first_zone):
            if self.full[here]:
                continue
            if by_hint and here != first_zone:
                hint = self.position[here]
            for at in self.places(here, hint if by_hint else NO_HINT):
                first, end = self.window(at)
                start = at if inside else self.longest_free(first, end)
                if start is not None:
                    stop = start
                    while stop < min(end, start + count) and not self.busy[stop]:
                        stop += 1
                    if stop > start:
                        self.busy[start:stop] = b"\1" * (stop - start)
                        runs = join(runs, [(start, stop - start)])
                        count -= stop - start
                        self.write_bits(first, end - first)  # the whole window (7.1)
                    if count == 0:
                        if not by_hint:
                            self.move_position(here, stop + SKIP)
                        return runs
                    inside = stop == end  # the run may go on in the next window (3.8)
                by_hint = False
            self.full[here] = True
            if runs:
                self.move_position(here, sum(runs[-1]) + SKIP)  # (3.11)
        self.give(runs)
        raise OSError("no space left on the volume")

    def give(self, runs: list[Run]) -> None:
        """Free clusters; the first ones freed in an exhausted zone reopen it there (3.12)."""
        for start, length in runs:
            zone = self.zone_of(start)
            if self.full[zone]:
                self.move_position(zone, start)
                self.full[zone] = False
            assert all(self.busy[start : start + length]), "freed twice"
            self.busy[start : start + length] = bytes(length)
            self.write_bits(start, length)

    def write_bits(self, start: int, length: int) -> None:
        """The bytes of $Bitmap that describe some clusters go to disk."""
        first, end = start // 8, ceil_div(start + length, 8)
        self.disk.write(self.bitmap * CLUSTER + first, end - first)
