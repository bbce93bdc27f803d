"""A slow, obvious delta: Python sets and plain arithmetic, written from the descriptions of the formats.

It shares nothing with the package: the numbers of each format are spelled out here.
"""

from __future__ import annotations

KIB, MIB = 2**10, 2**20
WRITE, DISCARD, WRITE_SAME = 1, 2, 3


def up(value: int, unit: int) -> int:
    return (value + unit - 1) // unit * unit


def parts(low: int, high: int, unit: int) -> range:
    """Numbers of the units that the bytes low .. high - 1 touch."""
    return range(low // unit, (high - 1) // unit + 1)


def whole(low: int, high: int, unit: int, capacity: int) -> range:
    """Numbers of the units that lie wholly in the bytes low .. high - 1; the disk's last unit may be a short one."""
    last = -(-high // unit) if high == capacity else high // unit
    return range(-(-low // unit), last)


class PlainDelta:
    """Everything but qcow2."""

    def __init__(self, name: str, capacity: int, discard: str | None = None, **p: int) -> None:
        self.name, self.capacity, self.p = name, capacity, p
        default = {"se-sparse": "reuse", "vhdx": "reuse", "lvm-thin": "release", "zfs-zvol": "release"}
        default |= {"rbd": "release", "exact": "release"}
        self.discard = discard or default.get(name, "ignore")
        key = {"vhd": "block", "vhdx": "block", "lvm-thin": "chunk", "zfs-zvol": "volblocksize", "rbd": "object"}
        usual = {"vmfs-sparse": 512, "se-sparse": 4096, "vmdk-hosted": 65536, "vhd": 2 * MIB, "vhdx": 2 * MIB}
        usual |= {"lvm-thin": 65536, "zfs-zvol": 16 * KIB, "rbd": 4 * MIB, "inflated": 512, "exact": 512}
        self.grain = p.get(key.get(name, "grain"), usual[name])
        self.revert()

    def revert(self) -> None:
        self.held: set[int] = set()
        self.tables: set[int] = set()
        self.sectors: set[int] = set()
        self.written = 0
        self.growth: list[tuple[float, int]] = []
        self.file = self.size()

    def table_cover(self) -> int:
        if self.name == "vmfs-sparse":
            return 4096 * self.grain
        if self.name == "vhdx":
            return 2**23 * 512
        if self.name == "zfs-zvol":
            return 1024 * self.grain
        return self.capacity

    def pieces(self) -> tuple[int, int, int]:
        """Fixed bytes, body bytes, metadata bytes."""
        held, tables, grain, capacity = len(self.held), len(self.tables), self.grain, self.capacity
        grains = -(-capacity // grain)
        if self.name == "vmfs-sparse":
            header = up(2048 + 4 * -(-(capacity // 512) // (4096 * grain // 512)), 512)
            return header, tables * 16 * KIB + held * grain, header + tables * 16 * KIB
        if self.name == "se-sparse":
            head = -(-capacity // (16 * MIB)) * 32 * KIB + up(-(-grains // 8), 512)
            return head, held * grain, head
        if self.name == "vmdk-hosted":
            count = -(-capacity // (512 * grain))
            head = up(512 + 20 * 512 + 2 * (up(4 * count, 512) + 2048 * count), grain)
            return head, held * grain, head
        if self.name == "vhd":
            bitmap = up(grain // 512 // 8, 512)
            head = 512 + 1024 + up(4 * grains, 512) + 512
            return head, held * (grain + bitmap), head + held * bitmap
        if self.name == "vhdx":
            ratio = 2**23 * 512 // grain
            head = 3 * MIB + up(8 * -(-grains // ratio) * (ratio + 1), MIB)
            return head, tables * MIB + held * grain, head + tables * MIB
        if self.name == "lvm-thin":
            return 0, held * grain, 48 * held
        if self.name == "zfs-zvol":
            return 0, tables * 128 * KIB + held * grain, tables * 128 * KIB
        if self.name == "rbd":
            return 0, sum(min(grain, capacity - g * grain) for g in self.held), 0
        if self.name == "inflated":
            return up(capacity, 4 * MIB), 0, 0
        return 0, held * grain, 0

    def size(self) -> int:
        fixed, body, _ = self.pieces()
        if self.name == "vmfs-sparse":
            step = self.p.get("increment", 16 * MIB)
            return fixed + step * max(1, -(-body // step))
        if self.name == "se-sparse":
            step = self.p.get("increment", 16 * MIB)
            return fixed + step * -(-body // step)
        return fixed + body

    def request(self, at: float, op: int, offset: int, length: int) -> None:
        if length == 0:
            return
        end = offset + length
        if op in (WRITE, WRITE_SAME):
            self.written += length
            self.sectors |= set(parts(offset, end, 512))
            self.held |= set(parts(offset, end, self.grain))
            self.tables |= set(parts(offset, end, self.table_cover()))
        elif op == DISCARD and self.discard != "ignore":
            self.held -= set(whole(offset, end, self.grain, self.capacity))
        self.grow(at)

    def grow(self, at: float) -> None:
        size = self.size()
        step = self.p.get("increment", 16 * MIB) if self.name in ("vmfs-sparse", "se-sparse") else 0
        while self.file < size:
            self.file = self.file + step if step else size
            self.growth.append((at, self.file))
        if self.discard == "release":
            self.file = size

    @property
    def metadata(self) -> int:
        return self.pieces()[2]

    @property
    def allocated(self) -> int:
        return self.file


class Again(Exception):  # noqa: N818 (a signal, not an error)
    """A refcount block had to be made; look for free clusters anew."""


class PlainQcow2:
    """A qcow2 overlay as qemu fills it: dictionaries, sets, one cluster at a time."""

    def __init__(self, capacity: int, cluster: int = 65536, discard: str = "deallocate") -> None:
        self.capacity, self.grain, self.discard = capacity, cluster, discard
        self.entries = cluster // 8
        self.per_block = cluster // 2
        self.tables_max = -(-capacity // (cluster * self.entries))
        self.l1_bytes = 8 * self.tables_max
        whole_cached = self.tables_max * cluster <= 32 * MIB
        self.slice = self.entries if whole_cached else min(cluster, 4096) // 8
        self.revert()

    def revert(self) -> None:
        self.host: dict[int, int] = {}
        self.tables: set[int] = set()
        self.sectors: set[int] = set()
        self.written = 0
        self.growth: list[tuple[float, int]] = []
        self.used: set[int] = {0, 1, 2}
        self.blocks: set[int] = {0}
        self.refcount_table = range(1, 2)
        self.free, self.end = 3, 3
        count = -(-self.l1_bytes // self.grain)
        at = self.take(count)
        self.l1 = range(at, at + count)
        beyond = max(self.used) >= at + count
        self.file = (max(self.used) + 1) * self.grain if beyond else at * self.grain + self.l1_bytes

    @property
    def held(self) -> set[int]:
        return set(self.host)

    @property
    def metadata(self) -> int:
        return (len(self.used) - len(self.host)) * self.grain

    @property
    def allocated(self) -> int:
        if self.discard != "deallocate":
            return self.file
        return min(self.file, len(self.used) * self.grain)

    def look(self, count: int) -> int:
        found = 0
        while found < count:
            found = 0 if self.free in self.used else found + 1
            self.free += 1
        return self.free - count

    def refer(self, start: int, count: int) -> None:
        done: list[int] = []
        try:
            for c in range(start, start + count):
                if c // self.per_block not in self.blocks:
                    try:
                        self.describe(c)
                    finally:
                        self.free = min(self.free, start)
                self.used.add(c)
                done.append(c)
        except Again:
            for c in done:
                self.used.discard(c)
                self.free = min(self.free, c)
            raise
        self.end = max(self.end, start + count)

    def describe(self, c: int) -> None:
        place = self.look(1)
        if place // self.per_block == c // self.per_block:
            self.used.add(place)
            self.end = max(self.end, place + 1)
        else:
            self.refer(place, 1)
        self.blocks.add(c // self.per_block)
        if c // self.per_block >= len(self.refcount_table) * self.entries:
            self.move(max(c, place))
        raise Again

    def move(self, last: int) -> None:
        area = last // self.per_block + 1
        start = area * self.per_block
        clusters, table, blocks, total, generous = start, 0, 0, -1, True
        while True:
            before = total
            blocks = -(-(clusters + table + blocks) // self.per_block)
            table = -(-blocks // self.entries)
            total = clusters + blocks + table
            if total == before:
                if not generous:
                    break
                clusters += -(-table // 2)
                generous = False
                total = -1
        size = -(-(blocks + -(-blocks // 2)) // self.entries)
        fresh = [b for b in range(area, blocks) if b not in self.blocks]
        self.blocks.update(fresh)
        self.used.update(range(start, start + len(fresh) + size))
        self.end = max(self.end, start + len(fresh) + size)
        for c in self.refcount_table:
            self.used.discard(c)
            self.free = min(self.free, c)
        self.refcount_table = range(start + len(fresh), start + len(fresh) + size)

    def take(self, count: int) -> int:
        while True:
            start = self.look(count)
            try:
                self.refer(start, count)
            except Again:
                continue
            return start

    def take_at(self, start: int, count: int) -> int:
        while True:
            n = 0
            while n < count and start + n not in self.used:
                n += 1
            try:
                self.refer(start, n)
            except Again:
                continue
            return n

    def table(self, c: int) -> None:
        if c // self.entries not in self.tables:
            self.take(1)
            self.tables.add(c // self.entries)

    def request(self, at: float, op: int, offset: int, length: int) -> None:
        if length == 0:
            return
        end, before = offset + length, self.end
        if op in (WRITE, WRITE_SAME):
            self.written += length
            self.sectors |= set(parts(offset, end, 512))
            self.write(parts(offset, end, self.grain))
        elif op == DISCARD and self.discard != "ignore":
            for c in whole(offset, end, self.grain, self.capacity):
                self.table(c)
                if c in self.host:
                    h = self.host.pop(c)
                    self.used.discard(h)
                    self.free = min(self.free, h)
        if self.end > before:
            self.file = self.end * self.grain
            self.growth.append((at, self.file))

    def write(self, clusters: range) -> None:
        c, last = clusters[0], clusters[-1]
        follow = None
        while c <= last:
            self.table(c)
            edge = min(last, c // self.slice * self.slice + self.slice - 1)
            if c in self.host:
                if follow not in (None, self.host[c]):
                    follow = None
                    continue
                follow = self.host[c] + 1
                c += 1
                while c <= edge and self.host.get(c) == follow:
                    follow, c = follow + 1, c + 1
                continue
            n = 1
            while c + n <= edge and c + n not in self.host:
                n += 1
            if follow is None:
                follow = self.take(n)
            else:
                n = self.take_at(follow, n)
                if n == 0:
                    follow = None
                    continue
            for _ in range(n):
                self.host[c] = follow
                c, follow = c + 1, follow + 1


def plain(name: str, capacity: int, **p: int | str) -> PlainDelta | PlainQcow2:
    if name == "qcow2":
        return PlainQcow2(capacity, int(p.get("cluster_size", 65536)), str(p.get("discard", "deallocate")))
    return PlainDelta(name, capacity, **p)  # type: ignore[arg-type]
