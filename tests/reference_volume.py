"""A guest volume written plainly, for every policy but `ntfs3g`: the reference for the kernels of `clonesim.guest`.

One byte a cluster says what it is, files are lists of clusters, snapshots are deep copies. Rules: docs/volume-model.md.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from reference_index import ReferenceIndex
from reference_policies import EVERYDAY, FREED, POOLS, ZONE, Policies

from clonesim.errors import FileNameError, ParameterError, VolumeFullError
from clonesim.guest.layout import SYSTEM_FILES, windows_layout
from clonesim.ops import BlockOp, FileOp
from clonesim.scenario import catalog
from clonesim.units import parse_duration, parse_size

OWNED, WAITING = b"o"[0], b"q"[0]
FREE = bytes(POOLS)
MFT, MIRROR, LOG, MFT_BITMAP, ROOT, BITMAP, JOURNAL = 0, 1, 2, 3, 5, 6, 11
RECORD, PAGE, INDEX_BLOCK = 1024, 4096, 4096
ROOT_ROOM = 552 - 16 - 16  # bytes of an MFT record for a folder's entries
BLOCK_ROOM = 4096 - 24 - 40 - 16  # bytes of an index block for entries


def pieces(clusters: list[int]) -> list[tuple[int, int]]:
    """Runs (start, length) of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for c in clusters:
        if runs and sum(runs[-1]) == c:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((c, 1))
    return runs


def name_codes(name: str) -> tuple[int, ...]:
    """How names sort: upper case, 18 characters, all beyond ASCII alike."""
    codes = [min(ord(c), 127) for c in name.upper()][:18]
    return tuple(codes + [0] * (18 - len(codes)))


class ReferenceFile:
    """A file: its MFT record, its name as the directory knows it, its size and its clusters in order."""

    def __init__(self, record: int, units: int, codes: tuple[int, ...]) -> None:
        self.record, self.units, self.codes = record, units, codes
        self.size = 0
        self.clusters: list[int] = []


class ReferenceFolder(ReferenceFile):
    """The directory of some numbered files; its clusters are index blocks."""

    def __init__(self, record: int) -> None:
        super().__init__(record, 0, ())
        self.files: set[int] = set()


def scattered_pages(key: int, count: int, pages: int) -> list[int]:
    """Pages that a scatter writes: a 64-bit mixer over key, key + 1, ...; its top bits scaled to the file's pages."""
    found = []
    for i in range(count):
        h = (key + i) * 0x9E3779B97F4A7C15 % 2**64
        h = (h ^ h >> 32) * 0xBF58476D1CE4E5B9 % 2**64
        h ^= h >> 29 & 2**35 - 1
        found.append((h >> 33 & 2**28 - 1) * pages >> 28)
    return found


class ReferenceVolume(Policies):
    """Same public calls as `clonesim.guest.Volume`, one obvious step after the other."""

    def __init__(
        self, size: str | int, policy: str, os: str = "windows-7", auto_checkpoint: bool = True, **given: Any
    ) -> None:
        known = catalog.group("guests", "ntfs") | catalog.group("guests", catalog.text("guests", os, "same_as") or os)
        self.p = {name: parameter.default for name, parameter in known.items()} | given
        assert self.p.keys() == known.keys(), "a parameter that the catalog does not have"
        self.policy, self.auto_checkpoint = policy, auto_checkpoint
        self.cb = self.p["cluster_size"]
        self.now = 0  # [ns]
        self.reuse = round(self.p["checkpoint_interval"] * 1e9)  # [ns]
        self.position = self.logged = 0
        self.page_written = -1
        self.requests: list[tuple[int, int, int, int]] = []  # time [ns], BlockOp, offset, length
        self.queue: list[tuple[int, int, int]] = []  # start, length, when reusable [ns]
        self.reached: dict[str, int] = {}
        self._format(parse_size(size))

    def _format(self, disk_bytes: int) -> None:
        layout = windows_layout(disk_bytes - self.p["partition_offset"], self.cb, self.p)
        self.zone = range(layout.zone_start, layout.zone_end)
        self.state = bytearray(b"?" * layout.clusters)
        self.written = bytearray(layout.clusters)
        self.system = {}
        for number, name in SYSTEM_FILES.items():
            file = ReferenceFile(number, len(name), name_codes(name))
            start, count, file.size = layout.files.get(number, (0, 0, 0))
            file.clusters = list(range(start, start + count))
            for c in file.clusters:
                assert self.state[c] == b"?"[0], "two system files share a cluster"
                self.state[c], self.written[c] = OWNED, 1
            self.system[number] = file
        for c, what in enumerate(self.state):
            if what != OWNED:
                self.state[c] = self.pool_of(c)
        self.records = set(range(24))
        self.files: dict[str | int, ReferenceFile] = {}
        self.folders: dict[int, ReferenceFolder] = {}
        self.index = ReferenceIndex(list(self.system.values()), self.write_root, self.write_index_block)
        self.kept: list[dict[str, Any]] = []

    def count(self, what: str) -> None:
        """Note that a rare thing happened, so that tests can see that they reached it."""
        self.reached[what] = self.reached.get(what, 0) + 1

    # --- clusters -------------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        return self.state.count(OWNED) * self.cb

    @property
    def quarantined_bytes(self) -> int:
        return self.state.count(WAITING) * self.cb

    def free_clusters(self) -> int:
        return sum(self.state.count(pool) for pool in POOLS)

    def pool_of(self, c: int) -> int:
        """Pool of a cluster when it is free."""
        if self.policy == "fresh-first" and self.written[c]:
            return FREED
        return ZONE if c in self.zone else EVERYDAY

    def set_zone(self, start: int, end: int) -> None:
        self.zone = range(start, end)
        for c, what in enumerate(self.state):
            if what in FREE:
                self.state[c] = self.pool_of(c)

    def checkpoint(self, now: float) -> None:
        """Release what has waited long enough."""
        while self.queue and self.queue[0][2] <= now:
            start, length, _ = self.queue.pop(0)
            for c in range(start, start + length):
                self.state[c] = self.pool_of(c)

    def free(self, clusters: list[int]) -> None:
        for start, length in pieces(clusters):
            self.write_bitmap(start, length)
            if self.p["discards"]:
                self.request(BlockOp.DISCARD, start * self.cb, length * self.cb)
            for c in range(start, start + length):
                self.state[c] = WAITING
            self.queue.append((start, length, self.now + self.reuse))
        if self.reuse == 0:
            self.checkpoint(self.now)

    def take(self, file: ReferenceFile, start: int, length: int) -> None:
        if file.clusters and file.clusters[-1] + 1 != start:
            self.count("fragment")
        if start in self.zone and file.record != MFT:
            self.count("data in zone")
        for c in range(start, start + length):
            assert self.state[c] in FREE
            self.state[c] = OWNED
            file.clusters.append(c)
        self.write_bitmap(start, length)

    # --- which free run a request gets ----------------------------------------------------------------------------

    def allocate(self, file: ReferenceFile, need: int, stream: bool = False) -> None:
        if self.policy == "fresh-first" and need > self.state.count(EVERYDAY):
            middle = -(-(self.zone.start + self.zone.stop) // 2)
            self.set_zone(self.zone.start, middle)
            self.count("zone halved")
        growing = stream and self.policy == "windows"
        unit = self.p["stream_first_unit"] if growing else need
        while need:
            taken = 0
            while taken < min(unit, need):
                start, length = self.choose(unit - taken, file.clusters[-1] + 1 if file.clusters else None)
                length = min(length, unit - taken, need - taken)
                self.take(file, start, length)
                self.position = start + length
                taken += length
            need -= taken
            unit *= self.p["stream_growth"]

    # --- requests -------------------------------------------------------------------------------------------------

    def request(self, op: BlockOp, offset: int, length: int) -> None:
        self.requests.append((self.now, int(op), self.p["partition_offset"] + offset, length))

    def write_bytes(self, offset: int, length: int) -> None:
        """Write bytes of the volume; the clock runs."""
        for c in range(offset // self.cb, -(-(offset + length) // self.cb)):
            self.written[c] = 1
        while length:
            piece = min(length, self.p["longest_write"])
            self.request(BlockOp.WRITE, offset, piece)
            self.now += piece * 10**9 // self.p["write_rate"]
            offset, length = offset + piece, length - piece

    def write_file(self, file: ReferenceFile, offset: int, length: int) -> None:
        """Write bytes of a file's clusters, fragment by fragment."""
        first, end = offset // self.cb, -(-(offset + length) // self.cb)
        assert end <= len(file.clusters), "a write behind the file's clusters"
        vcn = first
        for lcn, count in pieces(file.clusters[first:end]):
            low, high = max(offset, vcn * self.cb), min(offset + length, (vcn + count) * self.cb)
            self.write_bytes(lcn * self.cb + low - vcn * self.cb, high - low)
            vcn += count

    def write_pages(self, file: ReferenceFile, offset: int, length: int) -> None:
        """Write whole pages of a file, as far as it has clusters."""
        page = min(PAGE, self.cb)
        low, high = offset // page * page, -(-(offset + length) // page) * page
        self.write_file(file, low, min(high, len(file.clusters) * self.cb) - low)

    def write_bitmap(self, start: int, length: int) -> None:
        """Write the pages of $Bitmap that hold a run's bits; not the page written last in this operation."""
        page = min(PAGE, self.cb)
        for number in range(start // (page * 8), (start + length - 1) // (page * 8) + 1):
            if number != self.page_written:
                self.write_file(self.system[BITMAP], number * page, page)
                self.page_written = number

    def write_record(self, number: int) -> None:
        self.write_file(self.system[MFT], number * RECORD, RECORD)
        if number < 4:
            self.write_file(self.system[MIRROR], number * RECORD, RECORD)

    def write_root(self) -> None:
        self.write_record(ROOT)

    def write_index_block(self, number: int) -> None:
        root = self.system[ROOT]
        while len(root.clusters) * self.cb < (number + 1) * INDEX_BLOCK:
            self.allocate(root, 1)
            self.count("index grows")
        self.write_file(root, number * INDEX_BLOCK, INDEX_BLOCK)

    def write_mft_bit(self, record: int) -> None:
        page = min(PAGE, self.cb)
        self.write_file(self.system[MFT_BITMAP], record // 8 // page * page, page)

    def log_change(self) -> None:
        """Log a change: the log's pages in a circle; then the journal, which walks through free space."""
        log, size = self.system[LOG], self.p["log_bytes"]
        for page in range(self.logged // PAGE, (self.logged + size - 1) // PAGE + 1):
            pages = log.size // PAGE
            self.write_file(log, page % pages * PAGE, PAGE)
            if page >= pages:
                self.count("log in a circle")
        self.logged += size
        if self.p["usn"]:
            self.journal_change()

    def journal_change(self) -> None:
        journal, size = self.system[JOURNAL], self.p["usn_bytes"]
        if journal.size >= self.p["usn_most"] + self.p["usn_step"]:
            drop = self.p["usn_step"] // self.cb
            self.free(journal.clusters[:drop])
            del journal.clusters[:drop]
            journal.size -= drop * self.cb
            self.count("journal cut")
        more = -(-(journal.size + size) // self.cb) - len(journal.clusters)
        if more > 0 and more + self.reserve() > self.free_clusters():
            self.count("journal without space")
            return
        if more > 0:
            self.allocate(journal, more)
        old, journal.size = journal.size, journal.size + size
        self.write_pages(journal, old, size)

    # --- $MFT -----------------------------------------------------------------------------------------------------

    def mft_records(self) -> int:
        return len(self.system[MFT].clusters) * self.cb // RECORD

    def lowest_free_records(self, count: int) -> list[int]:
        return [n for n in range(24, len(self.records) + count) if n not in self.records][:count]

    def clusters_for_records(self, count: int) -> int:
        """Clusters that $MFT takes to give so many records."""
        return self.mft_step() if self.lowest_free_records(count)[-1] >= self.mft_records() else 0

    def mft_step(self) -> int:
        return max(self.p["mft_step"] // self.cb, 1)

    def grow_mft(self) -> None:
        """`mft_step` more: behind the last cluster, else the zone's lowest run, else by policy."""
        mft, need = self.system[MFT], self.mft_step()
        self.count("MFT grows")
        while need:
            if ZONE not in self.state:
                self.next_zone()
            behind = mft.clusters[-1] + 1
            here = [run for pool in POOLS for run in self.runs(pool) if run[0] <= behind < sum(run)]
            if here:
                start, length = behind, sum(here[0]) - behind
            elif ZONE in self.state:
                start, length = self.runs(ZONE)[0]
                self.count("MFT in pieces")
            else:
                start, length = self.choose(need, None)
                self.count("MFT outside its zone")
            self.take(mft, start, min(need, length))
            need -= min(need, length)
        mft.size = len(mft.clusters) * self.cb
        self.write_record(MFT)

    def next_zone(self) -> None:
        step = self.p["mft_zone"] // self.cb
        if step and EVERYDAY in self.state:
            start, length = self.choose_worst_fit(self.runs(EVERYDAY), 0)
            self.set_zone(start, start + min(step, length))
            self.count("next zone")

    def take_record(self) -> int:
        number = self.lowest_free_records(1)[0]
        while number >= self.mft_records():
            self.grow_mft()
        bitmap = self.system[MFT_BITMAP]
        while number >= len(bitmap.clusters) * self.cb * 8:
            self.allocate(bitmap, 1)
            self.count("MFT bitmap grows")
        self.records.add(number)
        self.write_mft_bit(number)
        return number

    # --- operations -----------------------------------------------------------------------------------------------

    def reserve(self) -> int:
        """Clusters kept free for metadata: 8 index blocks' worth, and 8 at least."""
        return 8 * max(1, INDEX_BLOCK // self.cb)

    def need_space(self, clusters: int) -> None:
        """Refuse an operation that needs so many more clusters than there are; checkpoint first."""
        if clusters > self.free_clusters():
            self.checkpoint(float("inf"))
        if clusters > self.free_clusters():
            self.count("volume full")
            raise VolumeFullError("full")

    def begin(self) -> None:
        self.checkpoint(self.now)
        self.page_written = -1

    def after(self) -> None:
        if self.auto_checkpoint:
            self.now += self.reuse

    def data_clusters(self, file: ReferenceFile | None, length: int) -> int:
        """Clusters that a file's data needs in addition when it grows by so many bytes."""
        size, have = (file.size, len(file.clusters)) if file else (0, 0)
        if not have and size + length <= self.p["resident_limit"]:
            return 0
        return -(-(size + length) // self.cb) - have

    def grow(self, file: ReferenceFile, length: int, stream: bool) -> None:
        old, more = file.size, self.data_clusters(file, length)
        first = old if file.clusters else 0
        file.size += length
        if more:
            self.allocate(file, more, stream)
        if file.clusters:
            self.write_pages(file, first, file.size - first)

    # --- directories: one index for names, folders for numbers ----------------------------------------------------

    def entries(self, room: int) -> int:
        """Index entries of numbered files that fit so many bytes."""
        return room // ((16 + 66 + 2 * self.p["name_units"] + 7) // 8 * 8)

    def in_root(self, folder: ReferenceFolder | None, files: int) -> bool:
        """Whether so many entries stand in the folder's MFT record: once they left, they never come back."""
        return not (folder and folder.clusters) and files <= self.entries(ROOT_ROOM)

    def index_block(self, number: int) -> int:
        return number % self.p["folder_files"] // self.entries(BLOCK_ROOM)

    def folder_of(self, number: int) -> ReferenceFolder | None:
        return self.folders.get(number // self.p["folder_files"])

    def folder_needs(self, name: str | int) -> tuple[int, int]:
        """MFT records and clusters that a directory takes to enter a file."""
        if isinstance(name, str):
            return 0, 0
        folder = self.folder_of(name)
        records = 0 if folder else 1
        if self.in_root(folder, 1 + (len(folder.files) if folder else 0)):
            return records, 0
        clusters = -(-(self.index_block(name) + 1) * INDEX_BLOCK // self.cb)
        return records, max(0, clusters - (len(folder.clusters) if folder else 0))

    def write_entry(self, number: int) -> None:
        """The piece of its folder's index that holds a file's entry goes to disk."""
        folder = self.folder_of(number)
        if self.in_root(folder, len(folder.files)):
            self.write_record(folder.record)
            return
        block, grown = self.index_block(number), False
        while len(folder.clusters) * self.cb < (block + 1) * INDEX_BLOCK:
            self.allocate(folder, 1)
            grown = True
            self.count("folder grows")
        if grown:
            self.write_record(folder.record)
        self.write_file(folder, block * INDEX_BLOCK, INDEX_BLOCK)

    def enter(self, file: ReferenceFile | None, name: str | int) -> None:
        if isinstance(name, str):
            file.units, file.codes = len(name.encode("utf-16-le", "surrogatepass")) // 2, name_codes(name)
            self.index.add(file)
            return
        if not self.folder_of(name):
            folder = ReferenceFolder(self.take_record())
            self.write_record(folder.record)
            self.log_change()
            self.folders[name // self.p["folder_files"]] = folder
        self.folder_of(name).files.add(name)
        self.write_entry(name)

    def leave(self, file: ReferenceFile, name: str | int) -> None:
        if isinstance(name, str):
            self.index.remove(file)
        else:
            self.folder_of(name).files.remove(name)
            self.write_entry(name)

    # --- operations on files --------------------------------------------------------------------------------------

    def do_create(self, name: str | int, length: int) -> None:
        self.begin()
        records, clusters = self.folder_needs(name)
        need = self.data_clusters(None, length) + clusters + self.clusters_for_records(1 + records)
        self.need_space(need + self.reserve())
        if isinstance(name, int):  # a new folder gets the lower record
            self.enter(None, name)
        file = ReferenceFile(self.take_record(), 0, ())
        if isinstance(name, str):
            self.enter(file, name)
        self.grow(file, length, stream=False)
        self.write_record(file.record)
        self.log_change()
        self.files[name] = file

    def do_append(self, name: str | int, length: int) -> None:
        file = self.files[name]
        self.begin()
        self.need_space(self.data_clusters(file, length) + self.reserve())
        self.grow(file, length, stream=True)
        self.write_record(file.record)
        if isinstance(name, str):
            self.index.touch(file)
        else:
            self.write_entry(name)
        self.log_change()

    def do_overwrite(self, name: str | int, offset: int, length: int) -> None:
        file = self.files[name]
        self.begin()
        if file.clusters:
            self.write_pages(file, offset, length)
        else:
            self.write_record(file.record)

    def do_scatter(self, name: int, key: int, length: int) -> None:
        file = self.files[name]
        self.begin()
        if not file.clusters:
            self.write_record(file.record)
            return
        for page in scattered_pages(key, -(-length // PAGE), -(-file.size // PAGE)):
            self.write_pages(file, page * PAGE, min(PAGE, file.size - page * PAGE))

    def do_delete(self, name: str | int) -> None:
        self.begin()
        self.remove(name)

    def remove(self, name: str | int) -> None:
        file = self.files.pop(name)
        self.leave(file, name)
        self.free(file.clusters)
        self.records.remove(file.record)
        self.write_mft_bit(file.record)
        self.write_record(file.record)
        self.log_change()

    def do_rename(self, old: str | int, new: str | int) -> None:
        if new == old:
            return
        self.begin()
        records, clusters = self.folder_needs(new)
        self.need_space(self.reserve() + clusters + (self.clusters_for_records(records) if records else 0))
        if new in self.files:
            self.remove(new)
        file = self.files.pop(old)
        self.leave(file, old)
        self.enter(file, new)
        self.write_record(file.record)
        self.log_change()
        self.files[new] = file

    def do_trim(self) -> None:
        self.begin()
        self.checkpoint(float("inf"))
        for match in re.finditer(b"[" + FREE + b"]+", self.state):
            self.request(BlockOp.DISCARD, match.start() * self.cb, len(match[0]) * self.cb)

    # --- the public calls -----------------------------------------------------------------------------------------

    def create(self, name: str | int, size: str | int = 0) -> None:
        if name in self.files:
            raise FileNameError(name)
        self.do_create(name, parse_size(size))
        self.after()

    def append(self, name: str | int, size: str | int) -> None:
        self.do_append(name, parse_size(size))
        self.after()

    def overwrite(self, name: str | int, offset: str | int, size: str | int) -> None:
        start, length = parse_size(offset), parse_size(size)
        if start + length > self.files[name].size:
            raise ParameterError("offset", offset, "inside the file")
        self.do_overwrite(name, start, length)
        self.after()

    def delete(self, name: str | int) -> None:
        self.do_delete(name)
        self.after()

    def rename(self, old: str | int, new: str | int) -> None:
        self.do_rename(old, new)
        if new != old:
            self.after()

    def trim(self) -> None:
        self.do_trim()
        self.after()

    def advance(self, duration: str | float) -> None:
        self.now += round(parse_duration(duration) * 1e9)
        self.checkpoint(self.now)

    def apply(self, ops: Any) -> None:
        """Operations on numbered files; none of them is checked here."""
        for row in ops:
            op, file, offset, length = (int(row[key]) for key in ("op", "file", "offset", "length"))
            self.now = max(self.now, int(row["time_s"] * 1e9))
            if op == FileOp.CREATE:
                self.do_create(file, length)
            elif op == FileOp.APPEND:
                self.do_append(file, length)
            elif op == FileOp.OVERWRITE:
                self.do_overwrite(file, offset, length)
            elif op == FileOp.DELETE:
                self.do_delete(file)
            elif op == FileOp.RENAME:
                self.do_rename(file, offset)
            elif op == FileOp.SCATTER:
                self.do_scatter(file, offset, length)
            else:
                self.do_trim()

    def snapshot(self) -> None:
        self.position = 0
        self.checkpoint(float("inf"))
        self.keep()

    def keep(self) -> None:
        self.index.write_root = self.index.write_block = None
        bound = ("kept", "reached", "requests")
        self.kept.append(copy.deepcopy({k: v for k, v in self.__dict__.items() if k not in bound}))
        self.index.write_root, self.index.write_block = self.write_root, self.write_index_block

    def revert(self) -> None:
        self.__dict__.update(self.kept.pop())
        self.keep()
