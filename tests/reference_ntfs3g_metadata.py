"""MFT records, attributes and attribute lists as the ntfs-3g driver keeps them: part of `reference_ntfs3g`.

Slow and plain on purpose: records are lists of attribute sizes. Rules: docs/ntfs-model.md, numbers in brackets.
"""

from __future__ import annotations

from collections import Counter

from reference_ntfs3g_space import (
    CLUSTER,
    DATA_ZONE,
    MFT_LCN,
    MFT_ZONE,
    NO_HINT,
    Disk,
    Layout,
    Run,
    Space,
    ceil_div,
    join,
    up8,
)

RECORD = 1024  # [B]
EMPTY_RECORD = 56 + 8  # header and end mark [B]
FIRST_FILE = 64  # no file gets a record below this one (5.1)
FORMATTED = 27  # records that mkntfs writes (2.2)
ROOT_RESERVE = 120  # bytes of its record that an index root leaves free, if they were (6.6)
INFORMATION, LIST, NAME, SECURITY, DATA, ROOT, BLOCKS, BITMAP = 0x10, 0x20, 0x30, 0x50, 0x80, 0x90, 0xA0, 0xB0
NEVER_IN_CLUSTERS = (INFORMATION, NAME, ROOT)
UNLIMITED = 1 << 30


def signed_bytes(n: int) -> int:
    """Bytes that store a number, sign included."""
    size = 1
    while not -(1 << (8 * size - 1)) <= n < 1 << (8 * size - 1):
        size += 1
    return size


def mapping_pairs(runs: list[Run], from_vcn: int, limit: int = UNLIMITED) -> tuple[int, int]:
    """Bytes of mapping pairs (5.7) that fit a limit, end mark included, and the VCN where they stop."""
    size, vcn, before, stop = 1, 0, 0, from_vcn
    for start, length in runs:
        end = vcn + length
        if end > from_vcn:
            skipped = max(0, from_vcn - vcn)
            lcn = start + skipped
            need = 1 + signed_bytes(length - skipped) + signed_bytes(lcn - before)
            if size + need > limit:
                break
            size, before, stop = size + need, lcn, end
        vcn = end
    return size, stop


class Attribute:
    """One attribute record: its size and what it describes."""

    def __init__(self, kind: int, name_units: int = 0, value: int = 0) -> None:
        self.kind = kind
        self.name_bytes = up8(2 * name_units)
        self.list_entry = up8(26 + 2 * name_units)  # (5.8)
        self.resident = True
        self.value = value  # bytes of a resident value
        self.size = self.resident_size(value)
        self.first_vcn = 0  # of this piece, where the value is in clusters

    def resident_size(self, value: int) -> int:
        """Size with a value in the record. [B]"""
        return 24 + self.name_bytes + up8(value)

    @property
    def head(self) -> int:
        """Bytes before the mapping pairs."""
        return 64 + self.name_bytes


class Record:
    """One MFT record."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.attributes: list[Attribute] = []

    @property
    def used(self) -> int:
        """Bytes in use."""
        return EMPTY_RECORD + sum(a.size for a in self.attributes)

    @property
    def room(self) -> int:
        """Free bytes."""
        return RECORD - self.used

    def resize(self, attribute: Attribute, size: int) -> str:
        """Change an attribute's size: "ok", "no room", or "filled" for an index root near the record's end (6.6)."""
        size = up8(size)
        room = self.room - (size - attribute.size)
        if room < 0:
            return "no room"
        if attribute.kind == ROOT and size > attribute.size and room < ROOT_RESERVE <= self.room:
            return "filled"
        attribute.size = size
        return "ok"


class Inode:
    """A file or the root directory: its records, and a run list for each stream in clusters."""

    def __init__(self, number: int) -> None:
        self.base = Record(number)
        self.extents: list[Record] = []
        self.changed: set[Record] = set()  # since the last sync
        self.listed = self.list_changed = False  # attribute list: there is one, and it is to be written
        self.list_bytes = 0
        self.runs: dict[int, list[Run]] = {}
        self.bytes: dict[int, int] = {}  # of each stream in clusters

    def mark(self, record: Record) -> None:
        """A record changed; the base record goes out with it (7.7)."""
        self.changed |= {record, self.base}

    def pieces(self, kind: int) -> list[tuple[Record, Attribute]]:
        """All attribute records of a kind, by first VCN."""
        found = [(r, a) for r in [self.base, *self.extents] for a in r.attributes if a.kind == kind]
        return sorted(found, key=lambda piece: piece[1].first_vcn)

    def first(self, kind: int) -> tuple[Record, Attribute]:
        """The first piece of a stream."""
        return self.pieces(kind)[0]

    def clusters(self, kind: int) -> int:
        """Clusters of a stream."""
        return sum(length for _, length in self.runs[kind])

    def hint(self, kind: int) -> int:
        """Cluster behind a stream's last one."""
        return sum(self.runs[kind][-1]) if self.runs[kind] else NO_HINT


class Mft:
    """$MFT: which record is taken, and how it grows."""

    def __init__(self, layout: Layout, disk: Disk, space: Space) -> None:
        self.disk, self.space, self.mirror = disk, space, layout.mirror
        self.runs: list[Run] = [(MFT_LCN, ceil_div(FORMATTED * RECORD, CLUSTER))]
        self.bitmap_runs: list[Run] = [(2, 1)]
        self.used = [n < 16 or 24 <= n < 27 for n in range(64)]  # as far as the bitmap has valid bits (2.7)
        self.formatted = FORMATTED
        self.position = 0

    def mount(self) -> None:
        """Forget all that is not on disk."""
        self.position = 0

    @property
    def allocated(self) -> int:
        """Records that there are clusters for."""
        return sum(length for _, length in self.runs) * (CLUSTER // RECORD)

    def write(self, number: int) -> None:
        """A record goes to disk; the first four also to the mirror (7.6)."""
        write_runs(self.disk, self.runs, number * RECORD, RECORD)
        if number < 4:
            self.disk.write(self.mirror * CLUSTER + number * RECORD, RECORD)

    def find(self, start: int, stop: int) -> int | None:
        """A free record in start .. stop - 1: only the lowest free bit of each byte counts (5.2)."""
        for byte in range(start // 8, ceil_div(stop, 8)):
            free = [n for n in range(8 * byte, 8 * byte + 8) if not self.used[n]]
            if free and start <= free[0] and max(start, 8 * byte) < stop:
                return free[0]
        return None

    def search(self, owner: int | None) -> int | None:
        """A free record that has clusters: from the position (5.2) or behind the owner (5.3), then from the start."""
        end = min(self.allocated, len(self.used))
        at = max(self.position if owner is None else owner + 1, FIRST_FILE)
        if at >= end:
            return self.find(FIRST_FILE, end)
        found = self.find(at, end)
        return found if found is not None else self.find(FIRST_FILE, at)

    def take(self, owner: int | None = None) -> int:
        """Allocate a record for a file, or an extent record for the file with record `owner`."""
        number = self.search(owner)
        if number is None and len(self.used) > max(self.formatted, 64):
            number = max(self.formatted, FIRST_FILE)
        if number is None:
            covered = len(self.used) // 8
            if covered + 8 > sum(length for _, length in self.bitmap_runs) * CLUSTER:  # (5.5)
                self.bitmap_runs = join(self.bitmap_runs, self.space.take(1, sum(self.bitmap_runs[-1]), DATA_ZONE))
            number = len(self.used)
            self.used += [False] * 64
            write_runs(self.disk, self.bitmap_runs, covered, 8)
        self.used[number] = True
        write_runs(self.disk, self.bitmap_runs, number // 8, 1)
        if number >= self.formatted:
            while number >= self.allocated:  # (5.6)
                self.runs = join(self.runs, self.space.take(4, sum(self.runs[-1]), MFT_ZONE))
            pairs = mapping_pairs(self.runs, 0)[0], mapping_pairs(self.bitmap_runs, 0)[0]
            assert 392 + up8(pairs[0]) + up8(pairs[1]) <= RECORD, "$MFT would need an attribute list: not modelled"
            for new in range(self.formatted, number + 1):
                self.write(new)
            self.formatted = number + 1
            self.write(0)
        if owner is None:
            self.position = number + 1
        return number

    def give(self, number: int) -> None:
        """Free a record."""
        self.write(number)
        self.used[number] = False
        write_runs(self.disk, self.bitmap_runs, number // 8, 1)


def write_runs(disk: Disk, runs: list[Run], offset: int, length: int) -> None:
    """Write bytes of a stream, run by run."""
    at = 0
    for start, clusters in runs:
        first, end = max(offset, at), min(offset + length, at + clusters * CLUSTER)
        if first < end:
            disk.write(start * CLUSTER + first - at, end - first)
        at += clusters * CLUSTER
    assert offset + length <= at, "a write behind the stream's last cluster"


class Metadata:
    """What happens to an inode's records when a stream changes."""

    def __init__(self, disk_bytes: int) -> None:
        self.layout = Layout(disk_bytes)
        self.disk = Disk()
        self.space = Space(self.layout, self.disk)
        self.mft = Mft(self.layout, self.disk, self.space)
        self.seen: Counter[str] = Counter()  # for tests: what was reached

    def write_stream(self, inode: Inode, kind: int, offset: int, length: int) -> None:
        """Bytes of a stream in clusters go to disk."""
        write_runs(self.disk, inode.runs[kind], offset, length)

    def sync(self, inode: Inode) -> None:
        """End of a request: a changed attribute list and the changed records go to disk (7.7)."""
        if inode.list_changed and not inode.first(LIST)[1].resident:
            self.write_stream(inode, LIST, 0, inode.list_bytes)
        for record in inode.changed:
            self.mft.write(record.number)
        inode.changed, inode.list_changed = set(), False

    # --- sizes ----------------------------------------------------------------------------------------------------

    def set_size(self, inode: Inode, kind: int, size: int) -> str:
        """Resize a stream that is not file data: "ok", or "filled" where an index root's record is full."""
        record, attribute = inode.first(kind)
        if not attribute.resident:
            self.set_clusters(inode, kind, size)
            return "ok"
        if size < RECORD:
            answer = record.resize(attribute, attribute.resident_size(size))
            if answer == "ok":
                attribute.value = size
                inode.mark(record)
            if answer != "no room":
                return answer
        if not self.to_clusters(inode, record, attribute) and not self.another_to_clusters(inode):  # (5.10)
            if kind == LIST:
                self.make_room(inode, 72)
            elif record.used == EMPTY_RECORD + attribute.size:
                return "filled"
            elif not inode.listed:
                self.add_list(inode)
            else:
                self.seen[f"{kind:#x} moved to an extent record"] += 1
                self.move(inode, record, attribute, self.add_record(inode))
        return self.set_size(inode, kind, size)

    def to_clusters(self, inode: Inode, record: Record, attribute: Attribute) -> bool:
        """Move a value to clusters of its own (4.3); False where that cannot be."""
        kind = attribute.kind
        if kind in NEVER_IN_CLUSTERS:
            return False
        runs = self.space.take(ceil_div(attribute.value, CLUSTER))
        if record.resize(attribute, attribute.head + mapping_pairs(runs, 0)[0]) != "ok":
            self.space.give(runs)
            return False
        self.seen[f"{kind:#x} to clusters"] += 1
        attribute.resident = False
        inode.mark(record)
        inode.runs[kind], inode.bytes[kind] = runs, attribute.value
        self.write_stream(inode, kind, 0, attribute.value)
        return True

    def another_to_clusters(self, inode: Inode) -> bool:
        """Move one more value of the base record to clusters, lowest type first (5.10)."""
        for attribute in sorted(inode.base.attributes, key=lambda a: a.kind):
            larger = attribute.resident and attribute.size > attribute.head + 8
            if larger and self.to_clusters(inode, inode.base, attribute):
                return True
        return False

    def set_clusters(self, inode: Inode, kind: int, size: int) -> None:
        """Grow a stream in clusters that is not file data."""
        have, want = inode.clusters(kind), ceil_div(size, CLUSTER)
        assert want >= have, "streams never shrink here"
        if want > have:
            inode.runs[kind] = join(inode.runs[kind], self.space.take(want - have, inode.hint(kind)))
            self.map_runs(inode, kind, max(have - 1, 0))
        inode.bytes[kind] = size
        inode.mark(inode.first(kind)[0])

    # --- run lists ------------------------------------------------------------------------------------------------

    def map_runs(self, inode: Inode, kind: int, from_vcn: int) -> None:
        """Store a run list in the records, from the piece that holds a VCN on (5.8, 5.11)."""
        runs, end = inode.runs[kind], inode.clusters(kind)
        stop = self.fill_pieces(inode, kind, from_vcn)
        while stop is None:  # something made room: once more, from the start
            stop = self.fill_pieces(inode, kind, 0)
        inode.mark(inode.first(kind)[0])  # it holds the sizes
        while stop < end:
            record = self.add_record(inode)
            piece = Attribute(kind, inode.first(kind)[1].name_bytes // 2)
            piece.resident, piece.first_vcn = False, stop
            need = min(mapping_pairs(runs, stop)[0], record.room - piece.head)
            piece.size = piece.head + up8(need)
            record.attributes.append(piece)
            self.set_size(inode, LIST, inode.list_bytes + piece.list_entry)
            inode.list_bytes += piece.list_entry
            inode.list_changed = True
            stop = mapping_pairs(runs, stop, need)[1]

    def fill_pieces(self, inode: Inode, kind: int, from_vcn: int) -> int | None:
        """Fill the pieces that are there; where they stop, or None where room had to be made first."""
        pieces = inode.pieces(kind)
        at = max(i for i, (_, piece) in enumerate(pieces) if piece.first_vcn <= from_vcn)
        stop = pieces[at][1].first_vcn
        for record, piece in pieces[at:]:
            now = piece.size - piece.head
            need = mapping_pairs(inode.runs[kind], stop)[0]
            if need > record.room + now:
                if kind == LIST:
                    self.make_room(inode, need - now)
                    return None
                if not inode.listed:
                    self.add_list(inode)
                    return None
                need = record.room + now
            inode.mark(record)
            inode.list_changed |= inode.listed and kind != LIST
            record.resize(piece, piece.head + need)
            piece.first_vcn = stop
            stop = mapping_pairs(inode.runs[kind], stop, need)[1]
        return stop

    # --- attribute lists ------------------------------------------------------------------------------------------

    def add_list(self, inode: Inode) -> None:
        """Give an inode an attribute list (5.8)."""
        self.seen["attribute list"] += 1
        inode.list_bytes = sum(a.list_entry for a in inode.base.attributes)
        inode.listed = inode.list_changed = True
        if inode.base.room < 24:
            self.make_room(inode, 24)
        inode.base.attributes.append(Attribute(LIST))
        inode.mark(inode.base)
        self.set_size(inode, LIST, inode.list_bytes)

    def add_record(self, inode: Inode) -> Record:
        """Give an inode one more extent record."""
        self.seen["extent record"] += 1
        record = Record(self.mft.take(inode.base.number))
        inode.extents.append(record)
        inode.mark(record)
        return record

    def make_room(self, inode: Inode, size: int) -> None:
        """Move attributes out of the base record, lowest type first, until some bytes are free (5.8, 5.12)."""
        freed = inode.base.room
        while freed < size:
            movable = [a for a in inode.base.attributes if a.kind >= NAME and a.kind != ROOT]
            attribute = min(movable, key=lambda a: (a.kind, a.first_vcn))
            freed += attribute.size
            for record in inode.extents:
                if record.room >= attribute.size and all(a.kind != attribute.kind for a in record.attributes):
                    break
            else:
                record = self.add_record(inode)
            self.move(inode, inode.base, attribute, record)

    def move(self, inode: Inode, source: Record, attribute: Attribute, target: Record) -> None:
        """Move an attribute to another record."""
        source.attributes.remove(attribute)
        target.attributes.append(attribute)
        inode.mark(source)
        inode.mark(target)
        inode.list_changed = True
