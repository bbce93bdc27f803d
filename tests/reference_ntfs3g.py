"""The ntfs-3g driver written plainly: the reference for `Volume(policy="ntfs3g")`.

It shares no code with the kernels and is itself checked against a run of the real driver (test_ntfs3g_runs). Files live
in the root directory. Rules: docs/ntfs-model.md, whose numbers stand in brackets.
"""

from __future__ import annotations

from reference_ntfs3g_metadata import (
    BITMAP,
    BLOCKS,
    DATA,
    INFORMATION,
    NAME,
    RECORD,
    ROOT,
    SECURITY,
    Attribute,
    Inode,
    Metadata,
)
from reference_ntfs3g_space import CLUSTER, Run, ceil_div, join, up8

PAGE = 4096  # of the host's page cache [B]
BIG_WRITES_FROM = 1 << 32  # smaller volumes get one page a request [B] (1.1)
BIG_WRITE_PAGES = 32  # (1.2)
ROOT_DIRECTORY = 5  # its MFT record
ROOT_NODE = -1  # "block" number of the index root
BLOCK_ROOM = CLUSTER - 24  # bytes of an index block for header and entries (6.2)
SYSTEM_NAMES = (
    "$AttrDef", "$BadClus", "$Bitmap", "$Boot", "$Extend", "$LogFile", "$MFT", "$MFTMirr", "$Secure", "$UpCase",
    "$Volume", ".",
)  # fmt: skip

Step = tuple[int, int]  # of a path through the index: block, entry


def collated(name: str) -> tuple[str, str]:
    """Sort key of a name: without case first (6.1)."""
    return name.upper(), name


class Entry:
    """An index entry: its name (None for a node's end entry) and the block before it."""

    def __init__(self, name: str | None, child: int | None = None) -> None:
        self.name, self.child = name, child

    @property
    def size(self) -> int:
        """Bytes in the index (6.1)."""
        key = 0 if self.name is None else 66 + 2 * len(self.name)
        return up8(16 + key) + (0 if self.child is None else 8)


class Directory:
    """$I30 of the root directory: a B-tree of 4 KiB blocks under a root in an MFT record (section 6)."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata, layout = metadata, metadata.layout
        self.inode = inode = Inode(ROOT_DIRECTORY)
        streams = {SECURITY: (layout.root_security, 2), BLOCKS: (layout.root_block, 1)}
        for kind, units, value in (
            (INFORMATION, 0, 48), (NAME, 0, 68), (SECURITY, 0, 0), (BLOCKS, 4, 0), (ROOT, 4, 56), (BITMAP, 4, 8),
        ):  # fmt: skip
            attribute = Attribute(kind, units, value)
            if kind in streams:
                attribute.resident, attribute.size = False, attribute.head + 8
                inode.runs[kind], inode.bytes[kind] = [streams[kind]], streams[kind][1] * CLUSTER
            inode.base.attributes.append(attribute)
        self.nodes = {ROOT_NODE: [Entry(None, 0)], 0: [*(Entry(n) for n in SYSTEM_NAMES), Entry(None)]}
        self.root_room = self.size(ROOT_NODE)  # bytes that the root notes as its own
        self.in_use = [True] + [False] * 63  # the index bitmap

    # --- nodes ----------------------------------------------------------------------------------------------------

    def size(self, block: int) -> int:
        """Bytes of a node's header and entries."""
        return (16 if block == ROOT_NODE else 40) + sum(entry.size for entry in self.nodes[block])

    def write(self, block: int) -> None:
        """Write a block, or note that the root's record must be; the index grows first (6.9)."""
        if block == ROOT_NODE:
            self.mark_root()
            return
        if (block + 1) * CLUSTER > self.inode.bytes[BLOCKS]:
            self.metadata.set_size(self.inode, BLOCKS, (block + 1) * CLUSTER)
        self.metadata.write_stream(self.inode, BLOCKS, block * CLUSTER, CLUSTER)

    def mark_root(self) -> None:
        """The record that holds the index root must be written."""
        self.inode.mark(self.inode.first(ROOT)[0])

    def set_bit(self, block: int, value: bool) -> None:
        """Change a block's bit; the bitmap grows by 8 bytes at a time (6.10)."""
        if block == len(self.in_use):
            self.metadata.set_size(self.inode, BITMAP, block // 8 + 8)
            self.in_use += [False] * 64
        self.in_use[block] = value
        record, attribute = self.inode.first(BITMAP)
        if attribute.resident:
            self.metadata.mft.write(record.number)
        else:
            self.metadata.write_stream(self.inode, BITMAP, block // 8, 1)

    def new_block(self, entries: list[Entry]) -> int:
        """Put entries into the lowest unused block."""
        block = [*self.in_use, False].index(False)
        self.set_bit(block, True)
        self.nodes[block] = entries
        self.write(block)
        return block

    def fit_root(self) -> None:
        """Make the root's value as long as its entries, which surely fit."""
        self.root_room = self.size(ROOT_NODE)
        self.metadata.set_size(self.inode, ROOT, 16 + self.root_room)

    def grow_root(self, size: int) -> bool:
        """Let the root have some bytes; where its record is full its entries go down a level, and False (6.6)."""
        if self.metadata.set_size(self.inode, ROOT, 16 + size) == "ok":
            self.root_room = size
            return True
        self.metadata.seen["root goes down"] += 1
        below = self.new_block(self.nodes[ROOT_NODE])
        self.nodes[ROOT_NODE] = [Entry(None, below)]
        self.fit_root()
        return False

    def path(self, name: str) -> list[Step]:
        """Way down to a name's entry, or to where it belongs."""
        block, steps = ROOT_NODE, []
        while True:
            entries = self.nodes[block]
            at = sum(e.name is not None and collated(e.name) < collated(name) for e in entries)
            steps.append((block, at))
            child = entries[at].child
            if entries[at].name == name or child is None:
                return steps
            block = child

    def touch(self, name: str) -> None:
        """Times or sizes in an entry change: its block is written."""
        self.write(self.path(name)[-1][0])

    # --- adding ---------------------------------------------------------------------------------------------------

    def add(self, name: str) -> None:
        """Enter a name."""
        entry = Entry(name)
        while True:
            path = self.path(name)
            block, at = path[-1]
            need = self.size(block) + entry.size
            if need <= (self.root_room if block == ROOT_NODE else BLOCK_ROOM):
                self.nodes[block].insert(at, entry)
                self.write(block)
                return
            if block == ROOT_NODE:
                self.grow_root(need)
            else:
                self.split(path)
            self.mark_root()

    def split(self, path: list[Step]) -> None:
        """Split the node at the end of a path (6.4), or its parent where that is full (6.5)."""
        (parent, at), (block, _) = path[-2:]
        entries = self.nodes[block]
        middle = (len(entries) - 1) // 2
        moving = entries[middle]
        tail = self.new_block(entries[middle + 1 :])
        if parent == ROOT_NODE:
            fits = self.grow_root(self.size(ROOT_NODE) + Entry(moving.name, block).size)
        else:
            fits = self.size(parent) + moving.size + 8 <= BLOCK_ROOM  # 8 too many if it has a child already
            if not fits:
                self.metadata.seen["parent split first"] += 1
                self.split(path[:-1])
        if not fits:
            self.set_bit(tail, False)
            return
        self.metadata.seen[f"split at depth {len(path) - 1}"] += 1
        self.nodes[parent][at].child = tail
        self.nodes[parent].insert(at, Entry(moving.name, block))
        self.write(parent)
        self.nodes[block] = [*entries[:middle], Entry(None, moving.child)]
        self.write(block)

    # --- removing -------------------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Take a name out (6.7, 6.8)."""
        while True:
            path = self.path(name)
            block, at = path[-1]
            if self.nodes[block][at].child is None:
                self.remove_from_leaf(path)
                break
            if self.replace(path):
                break
        self.mark_root()  # (7.5)

    def remove_from_leaf(self, path: list[Step]) -> None:
        """Remove an entry that has no child."""
        block, at = path[-1]
        if block == ROOT_NODE:
            del self.nodes[block][at]
            self.fit_root()
            self.write(block)
        elif len(self.nodes[block]) > 2:
            del self.nodes[block][at]
            self.write(block)
        else:
            self.drop(path)

    def replace(self, path: list[Step]) -> bool:
        """Remove an entry that has a child: the next name takes its place; False: reshaped, look again."""
        block, at = path[-1]
        entries = self.nodes[block]
        down = [*path[:-1], (block, at + 1)]
        below = entries[at + 1].child
        while below is not None:
            down.append((below, 0))
            below = self.nodes[below][0].child
        heir = Entry(self.nodes[down[-1][0]][0].name, entries[at].child)
        need = self.size(block) - entries[at].size + heir.size
        if heir.size > entries[at].size:
            if block == ROOT_NODE and not self.grow_root(need):
                return False
            if block != ROOT_NODE and need > BLOCK_ROOM:
                self.metadata.seen["split for an heir"] += 1
                self.split(path)
                return False
        entries[at] = heir
        if block == ROOT_NODE:
            self.fit_root()
        self.write(block)
        self.remove_from_leaf(down)
        return True

    def drop(self, path: list[Step]) -> None:
        """Remove a block without entries; the parent's entry beside it is entered anew (6.7)."""
        self.metadata.seen["block dropped"] += 1
        self.set_bit(path[-1][0], False)
        parent, at = path[-2]
        entries = self.nodes[parent]
        if len(entries) == 1:
            if parent != ROOT_NODE:
                self.drop(path[:-1])
                return
            entries[0].child = None
            self.fit_root()
            self.write(ROOT_NODE)
            return
        if entries[at].name is None:  # it hung at the end entry
            entries[at].child = entries[at - 1].child
            at -= 1
        filled = parent == ROOT_NODE and self.size(ROOT_NODE) == self.root_room
        entry = entries.pop(at)
        if filled:
            self.fit_root()
        self.write(parent)
        assert entry.name is not None
        self.add(entry.name)


class File(Inode):
    """A user's file."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number)
        self.name, self.length = name, 0
        for kind, value in ((INFORMATION, 48), (NAME, 66 + 2 * len(name)), (SECURITY, 80), (DATA, 0)):
            self.base.attributes.append(Attribute(kind, 0, value))  # (4.1)


class ReferenceNtfs3g:
    """A volume made by mkntfs under the driver.

    Parameters
    ----------
    disk_bytes : int
        Size of the disk, which the volume fills. [B]
    """

    def __init__(self, disk_bytes: int) -> None:
        self.metadata = Metadata(disk_bytes)
        self.directory = Directory(self.metadata)
        self.files: dict[str, File] = {}
        big = self.metadata.layout.clusters * CLUSTER >= BIG_WRITES_FROM
        self.request_pages = BIG_WRITE_PAGES if big else 1

    @property
    def used_clusters(self) -> int:
        """Clusters in use."""
        return self.metadata.space.used

    def runs(self, name: str) -> list[Run]:
        """Where a file's data lies; nothing while it is in its MFT record."""
        return self.files[name].runs.get(DATA, [])

    def take_writes(self) -> list[tuple[int, int]]:
        """Bytes written since the last call: offset, length."""
        log, self.metadata.disk.log = self.metadata.disk.log, []
        return log

    def mount(self) -> None:
        """Unmount and mount: all positions start again."""
        self.metadata.space.mount()
        self.metadata.mft.mount()

    # --- operations -----------------------------------------------------------------------------------------------

    def create(self, name: str, size: int) -> None:
        """Create a file, then write to it (1.4)."""
        file = self.files[name] = File(self.metadata.mft.take(), name)
        file.mark(file.base)
        self.directory.add(name)
        self.metadata.sync(file)
        self.directory.touch(name)
        self.sync_directory()
        self.append(name, size)

    def append(self, name: str, size: int) -> None:
        """Write at the end."""
        self.overwrite(name, self.files[name].length, size)

    def overwrite(self, name: str, offset: int, size: int) -> None:
        """Cut a write into the requests that the host's kernel sends (1.1 to 1.3)."""
        while size > 0:
            length = min(size, PAGE - offset % PAGE if offset % PAGE else self.request_pages * PAGE)
            self.request(self.files[name], offset, length)
            offset, size = offset + length, size - length

    def delete(self, name: str) -> None:
        """Remove a file: out of the directory, then its clusters, then its records (4.6)."""
        file = self.files.pop(name)
        self.directory.remove(name)
        for kind in sorted(file.runs):
            self.metadata.space.give(file.runs[kind])
        for record in [*reversed(file.extents), file.base]:
            self.metadata.mft.give(record.number)
        self.sync_directory()

    # --- inside ---------------------------------------------------------------------------------------------------

    def sync_directory(self) -> None:
        """The directory's times changed: its own entry and its record are written (7.4)."""
        self.directory.touch(".")
        self.directory.inode.mark(self.directory.inode.base)
        self.metadata.sync(self.directory.inode)

    def request(self, file: File, offset: int, length: int) -> None:
        """One write request."""
        metadata, end = self.metadata, offset + length
        grows = end > file.length
        record, attribute = file.first(DATA)
        if attribute.resident and grows:  # (4.2, 4.3)
            if end < RECORD and record.resize(attribute, attribute.resident_size(end)) == "ok":
                attribute.value = end
            else:
                metadata.to_clusters(file, record, attribute)
        if not attribute.resident:
            have, want = file.clusters(DATA), ceil_div(end, CLUSTER)
            if want > have:  # (4.4)
                file.runs[DATA] = join(file.runs[DATA], metadata.space.take(want - have, file.hint(DATA)))
                metadata.map_runs(file, DATA, max(min(offset // CLUSTER, have) - 1, 0))
            metadata.write_stream(file, DATA, offset, length)
        file.length = max(file.length, end)
        file.mark(file.base)
        if grows:
            file.mark(file.first(DATA)[0])
        self.directory.touch(file.name)  # (7.3)
        metadata.sync(self.directory.inode)
        metadata.sync(file)
