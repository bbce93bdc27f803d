"""`Volume`: a guest file system that one can use, and the deltas below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.errors import FileNameError, ParameterError, VolumeFullError
from clonesim.guest import arena_kernel as a
from clonesim.guest import entry_kernel as entry
from clonesim.guest import file_kernel as file
from clonesim.guest import volume_kernel as kernel
from clonesim.guest.arena import bits_of, longer_region, numbered_records, used_words
from clonesim.guest.check import check_volume
from clonesim.guest.make import Settings, make_volume
from clonesim.guest.names import LONGEST_NAME, name_units, sort_keys
from clonesim.guest.request_kernel import EMIT, NOW, OUT
from clonesim.guest.runs_kernel import SPLIT_FRESH
from clonesim.guest.space_kernel import QUARANTINED, REUSE
from clonesim.ops import OPS_DTYPE, Requests
from clonesim.units import GIB, format_size, parse_duration, parse_size

LARGEST_FILE_NUMBER = 2**24 - 1  # numbers are slots of a table: 128 MiB for the highest
LATEST_S = 1e9  # the volume's clock goes up to there [s]
_NANO = 1_000_000_000
_OP_ERRORS = {
    kernel.BAD_OP: ("op", "op", "a FileOp code is needed: 0 (create) to 6 (scatter)"),
    kernel.BAD_FILE: ("file", "file", f"file numbers go from 0 to {LARGEST_FILE_NUMBER}"),
    kernel.BAD_TIME: ("time_s", "time_s", "times are seconds from 0 on and never go back"),
    kernel.BAD_LENGTH: (
        "length",
        "length",
        "create takes 0 B or more, the others 1 B or more; a file has at most 64 TiB, a scatter 1 GiB",
    ),
    kernel.BAD_OFFSET: ("offset", "offset", "an overwrite stays inside the file"),
    kernel.EMPTY: ("file", "file", "an empty file has no pages to scatter writes over"),
    kernel.UNKNOWN: ("file", "file", "no such file at that time"),
    kernel.DUPLICATE: ("file", "file", "the file exists already at that time"),
}


class Volume:
    """An NTFS-like guest volume on a disk of its own.

    The volume has a clock: a call lets it run by the bytes written / `write_rate` and, with `auto_checkpoint`, by one
    checkpoint interval, so that the clusters of a deleted file are reusable by the next call.

    Parameters
    ----------
    size : str or int
        Size of the disk; the volume fills it from `partition_offset` on. [B]
    policy : str, default "windows"
        How free clusters are picked; a key of `clonesim.guest.POLICIES`. "ntfs3g" implies mkntfs's layout, 4 KiB
        clusters, partition offset 0 and no reuse delay.
    os : str, default "windows-7"
        Windows version in the catalog (topic "guests"): layout, MFT zone, journal, discards.
    cluster_size : str or int, optional
        512 B to 64 KiB, a power of two; the catalog's default is 4 KiB. [B]
    partition_offset : int, optional
        Where the volume starts on its disk, whole sectors; the catalog's default follows `os`. [B]
    reuse_delay : str or float, optional
        How long freed clusters wait for their checkpoint; the catalog's default is 5 s. [s]
    auto_checkpoint : bool, default True
        Let every call be followed by a checkpoint interval.
    discards : bool, optional
        Whether the guest sends a discard for what it frees; the default follows `os`.
    **parameters
        Other values of the catalog's topic "guests" by name, such as ``usn=False`` or ``write_rate="50 MiB"``.

    Raises
    ------
    ParameterError
        If a value is out of range; the message tells the allowed range.

    Examples
    --------
    >>> vol = Volume("20 GiB", policy="fresh-first")
    >>> vol.create("windows", "10 GiB")
    >>> delta = vol.snapshot("vmfs-sparse")
    >>> vol.create("big.iso", "1 GiB"); vol.delete("big.iso")
    """

    def __init__(
        self,
        size: str | int,
        policy: str = "windows",
        *,
        os: str = "windows-7",
        cluster_size: str | int | None = None,
        partition_offset: str | int | None = None,
        reuse_delay: str | float | None = None,
        auto_checkpoint: bool = True,
        discards: bool | None = None,
        **parameters: Any,
    ) -> None:
        given = {
            "cluster_size": cluster_size,
            "partition_offset": partition_offset,
            "checkpoint_interval": reuse_delay,
            "discards": discards,
        }
        given = {name: value for name, value in given.items() if value is not None} | parameters
        self.settings = Settings.of(size, policy, os, given)
        self.auto_checkpoint = auto_checkpoint
        self._arena = make_volume(self.settings)
        self._files: dict[str, int] = {}
        self._undo: dict[str, int | None] | None = None
        self.deltas: list[Delta] = []
        self.watch: Callable[[Requests, NDArray[np.int64], NDArray[np.int64]], None] | None = None

    # --- what it is and holds -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        s = self.settings
        return (
            f"<Volume {format_size(s.disk_bytes)} {s.os} {s.policy}: {self.used_bytes / GIB:.2f} GiB used, "
            f"{len(self)} files, {len(self.deltas)} snapshots>"
        )

    def __len__(self) -> int:
        """Return the number of files, system files not counted."""
        return sum(1 for _ in self._records())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, int)) and self._find(name) >= 0

    @property
    def cluster_size(self) -> int:
        """Bytes of a cluster. [B]"""
        return self.settings.cluster_bytes

    @property
    def clusters(self) -> int:
        """Clusters of the volume."""
        return int(self._arena[file.CLUSTERS])

    @property
    def used_bytes(self) -> int:
        """What the guest sees as used: allocated clusters, metadata included. [B]"""
        return int(self._arena[file.USED]) * self.cluster_size

    @property
    def quarantined_bytes(self) -> int:
        """Freed clusters that wait for their checkpoint. [B]"""
        return int(self._arena[QUARANTINED]) * self.cluster_size

    @property
    def free_bytes(self) -> int:
        """What the guest sees as free, clusters that wait for their checkpoint included. [B]"""
        return self.clusters * self.cluster_size - self.used_bytes

    @property
    def clock(self) -> float:
        """Seconds since the volume was made. [s]"""
        return int(self._arena[NOW]) / _NANO

    @property
    def state_bytes(self) -> int:
        """Memory of the volume's state: each region up to its last used word, and the pages saved for `revert`. [B]"""
        return used_words(self._arena) * 8

    @property
    def free_runs(self) -> int:
        """Number of runs of free clusters; quarantined ones count as in use."""
        bits = self.bitmap
        return int(np.count_nonzero(~bits[1:] & bits[:-1])) + int(not bits[0])

    @property
    def bitmap_words(self) -> NDArray[np.int64]:
        """A view of the bitmap's words, 64 clusters each, the lowest bit first; what lies behind the end is in use."""
        first = int(self._arena[a.REGION + 2 * a.R_BITMAP])
        return self._arena[first : first - (-self.clusters // 64)]

    @property
    def bitmap(self) -> NDArray[np.bool_]:
        """Which clusters are allocated or wait for their checkpoint. (clusters,) bool array."""
        return bits_of(self._arena, a.R_BITMAP, self.clusters).view(np.bool_)

    @property
    def ever_written(self) -> NDArray[np.bool_]:
        """Which clusters were ever written. (clusters,) bool array."""
        return bits_of(self._arena, a.R_WRITTEN, self.clusters).view(np.bool_)

    def size(self, name: str | int) -> int:
        """Size of a file. [B]"""
        return int(entry.size_of(self._arena, self._record(name)))

    def extents(self, name: str | int) -> pd.DataFrame:
        """Where a file lies.

        Returns
        -------
        DataFrame
            One row a fragment: vcn (first cluster in the file), lcn (first cluster on the volume), clusters. A file
            small enough to live in its MFT record has none.
        """
        return pd.DataFrame(entry.extents_of(self._arena, self._record(name)), columns=["vcn", "lcn", "clusters"])

    def check_invariants(self) -> None:
        """Check that clusters, files, free runs and directory agree; O(volume). The AssertionError says what broke."""
        check_volume(self._arena, list(self._files.values()))

    # --- operations -----------------------------------------------------------------------------------------------

    def create(self, name: str | int, size: str | int = 0) -> None:
        """Create a file of a size known beforehand.

        Raises
        ------
        FileNameError
            If the name exists, or is not one.
        VolumeFullError
            If too few clusters are free, even after a checkpoint.
        """
        if name in self:
            raise FileNameError(f"name={name!r}: the file exists already. Delete it first, or append to it.")
        length = parse_size(size, "size")
        self._check_name(name)
        record = self._run(kernel.CREATE, name, 0, length)
        if isinstance(name, str):
            self._name(name, record)
        self._after()

    def append(self, name: str | int, size: str | int) -> None:
        """Append bytes to a file as a stream: the guest does not know how many will come."""
        length = parse_size(size, "size", least=1)
        self._record(name)
        self._run(kernel.APPEND, name, 0, length)
        self._after()

    def overwrite(self, name: str | int, offset: str | int, size: str | int) -> None:
        """Write inside a file, in place."""
        length = parse_size(size, "size", least=1)
        start, end = parse_size(offset, "offset"), self.size(name)
        if start + length > end:
            allowed = f"an overwrite of {length} B must end inside the file, at {end} B at most"
            raise ParameterError("offset", offset, allowed, "Append what lies behind the end.")
        self._run(kernel.OVERWRITE, name, start, length)
        self._after()

    def delete(self, name: str | int) -> None:
        """Delete a file. Its clusters stay in quarantine until the next checkpoint."""
        self._record(name)
        self._run(kernel.DELETE, name, 0, 0)
        if isinstance(name, str):
            self._name(name, None)
        self._after()

    def rename(self, old: str | int, new: str | int) -> None:
        """Give a file another name; a file of that name is deleted (the safe-save of office programs)."""
        f = self._record(old)
        self._check_name(new)
        if new == old:
            return
        if isinstance(old, str) and isinstance(new, str):
            self._run(kernel.RENAME, old, self._find(new), 0, new)
            self._name(old, None)
            self._name(new, f)
        elif isinstance(old, int) and isinstance(new, int):
            self._run(kernel.RENAME, old, new, 0)
        else:
            allowed = (
                "numbered files stand in folders of their own, so a number cannot become a name or a name a number"
            )
            raise FileNameError(f"name={new!r}: {allowed}. Create a new file instead.")
        self._after()

    def trim(self) -> None:
        """Discard all free space, as a retrim does; quarantined clusters are released first."""
        self._run(kernel.TRIM, 0, 0, 0)
        self._after()

    def advance(self, duration: str | float) -> None:
        """Let time pass; checkpoints whose time has come are done."""
        self._arena[NOW] += round(parse_duration(duration, most=LATEST_S - self.clock) * _NANO)
        entry.pass_checkpoint(self._arena, int(self._arena[NOW]))

    def begin_image(self) -> None:
        """From here to `seal` the volume is a base image in the making: what was written once counts for nothing."""
        self._arena[SPLIT_FRESH] = 0

    def seal(self) -> None:
        """Finish a base image: all checkpoints pass, the clock goes back to 0, free clusters count as never written.

        Images are zeroed and shrunk before clones are made of them, and a delta starts empty in any case. So "never
        written" (`ever_written`, policy "fresh-first") means: not in the image, and not since.
        """
        self.advance("1 d")
        m, words = self._arena, -(-self.clusters // 64)
        bitmap, written = (int(m[a.REGION + 2 * region]) for region in (a.R_BITMAP, a.R_WRITTEN))
        m[written : written + words] = m[bitmap : bitmap + words]
        if self.clusters % 64:  # bits behind the end are set in the bitmap only
            m[written + words - 1] &= (1 << self.clusters % 64) - 1
        m[SPLIT_FRESH] = self.settings.policy == "fresh-first"
        m[NOW] = 0

    def occupy(self, bitmap: NDArray[np.bool_]) -> None:
        """Take free clusters as a measured volume has them in use; they belong to no file and are never freed.

        Parameters
        ----------
        bitmap : (n,) bool array
            Clusters in use, from the volume's first one on. Clusters that are in use here already stay as they are,
            clusters beyond `n` stay free.
        """
        wanted = np.zeros(self.clusters, np.bool_)
        count = min(bitmap.size, self.clusters)
        wanted[:count] = bitmap[:count]
        wanted &= ~self.bitmap
        edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]])))
        starts, lengths = edges[::2].astype(np.int64), (edges[1::2] - edges[::2]).astype(np.int64)
        for region in (a.R_EXTENT, a.R_RUNS):
            self._arena = longer_region(self._arena, region, 8 * (starts.size + int(kernel.SLACK)))
        entry.occupy(self._arena, starts, lengths)

    def apply(self, ops: NDArray[np.void], skip_refused: bool = False, checked: bool = False) -> int:
        """Run many operations on numbered files, in order.

        Parameters
        ----------
        ops : (n,) array of `clonesim.ops.OPS_DTYPE`
            Operations in order of time. They are checked before the first one runs. No checkpoint interval is added
            between them: their times say when they happen.
        skip_refused : bool, default False
            Leave out operations that the volume refuses because it is full, and those on files that are missing for
            that reason, as a desktop does that goes on working.
        checked : bool, default False
            They are part of what `check_ops` has seen; only with `skip_refused`.

        Returns
        -------
        int
            Operations left out; 0 unless `skip_refused`.

        Raises
        ------
        ParameterError
            If an operation cannot be right; nothing is changed then.
        VolumeFullError
            If the volume is full; the operations before that one are done.
        """
        if not (checked and skip_refused):
            self._check_ops(ops, skip_refused)
        refused = self._run_ops(ops, "operation {}: ", skip_refused)
        self._take_requests()
        return refused

    def check_ops(self, ops: NDArray[np.void]) -> None:
        """Check operations that will be applied piece by piece with `skip_refused` and `checked`.

        Parameters
        ----------
        ops : (n,) array of `clonesim.ops.OPS_DTYPE`
            All of them.

        Raises
        ------
        ParameterError
            If an operation cannot be right, whatever files there are.
        """
        self._check_ops(ops, lenient=True)

    # --- snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self, format: str = "vmfs-sparse", **parameters: Any) -> Delta:  # noqa: A002 the field's word
        """Power off, clone, first boot: a new delta takes every write from here on.

        The allocator's positions start again. A second snapshot adds to the chain; `revert` goes back to the newest.

        Returns
        -------
        Delta
            The clone's copy-on-write disk; it follows the volume.
        """
        parent = self.deltas[-1] if self.deltas else None
        delta = Delta(format, self.settings.disk_bytes, parent=parent, **parameters)
        self._arena[EMIT] = 1
        entry.boot(self._arena)
        self._undo = {}
        self.deltas.append(delta)
        return delta

    def revert(self) -> None:
        """Go back to the newest snapshot: guest and delta. Costs what was touched, not the volume's size."""
        if self._undo is None:
            raise ParameterError("revert", "no snapshot", "a snapshot must be taken first", "Call snapshot().")
        entry.revert(self._arena)
        for name, record in self._undo.items():
            if record is None:
                self._files.pop(name, None)
            else:
                self._files[name] = record
        self._undo = {}
        self.deltas[-1].revert()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[int]:
        """MFT records of all files."""
        yield from self._files.values()
        yield from numbered_records(self._arena, a.R_SLOT)

    def _find(self, name: str | int) -> int:
        if isinstance(name, str):
            return self._files.get(name, -1)
        known = type(name) is int and 0 <= name <= LARGEST_FILE_NUMBER  # True is no number
        return int(entry.slot_of(self._arena, name)) if known else -1

    def _record(self, name: str | int) -> int:
        f = self._find(name)
        if f < 0:
            raise FileNameError(f"name={name!r}: no such file. Files are made by create().")
        return f

    def _check_name(self, name: str | int) -> None:
        if isinstance(name, str) and name and name_units(name) <= LONGEST_NAME and "/" not in name:
            return
        if type(name) is int and 0 <= name <= LARGEST_FILE_NUMBER:
            return
        allowed = f"a name is 1 to {LONGEST_NAME} characters without '/', or a number from 0 to {LARGEST_FILE_NUMBER}"
        raise FileNameError(f"name={name!r}: {allowed}. Choose another name.")

    def _name(self, name: str, record: int | None) -> None:
        """Let a name stand for a record, or for none."""
        if self._undo is not None and name not in self._undo:
            self._undo[name] = self._files.get(name)
        if record is None:
            self._files.pop(name, None)
        else:
            self._files[name] = record

    def _room_for_slot(self, number: int) -> None:
        room = int(self._arena[a.REGION + 2 * a.R_SLOT + 1])
        if number >= room:
            self._arena = longer_region(self._arena, a.R_SLOT, number + 1 - room)

    def _run(self, op: int, name: str | int, offset: int, length: int, new: str = "") -> int:
        """One operation; returns a named file's record. Nothing is changed when it is refused."""
        if isinstance(name, int):
            self._room_for_slot(max(name, offset) if op == kernel.RENAME else name)
            self._run_ops(np.array([(0.0, offset, length, name, op, 0, 0)], OPS_DTYPE))
            return -1
        units, key, rest = 0, 0, 0
        if op in (kernel.CREATE, kernel.RENAME):
            entered = new or name
            units, (key, rest) = name_units(entered), sort_keys(entered)
        run = entry.run_driver if self.settings.policy == "ntfs3g" else entry.run
        f = self._find(name)
        while True:
            outcome, value, words = run(self._arena, op, f, offset, length, units, key, rest)
            if outcome == kernel.DONE:
                return int(value)
            self._make_room(outcome, value, words, length)

    def _run_ops(self, ops: NDArray[np.void], where: str = "", lenient: bool = False) -> int:
        """Run operations on numbered files, checked unless `lenient`; returns how many were left out."""
        run, start = entry.run_ops_driver if self.settings.policy == "ntfs3g" else entry.run_ops, 0
        refused = 0
        while True:
            start, outcome, region, words, more = run(self._arena, ops, start, lenient)
            refused += more
            if outcome == kernel.DONE:
                return int(refused)
            self._make_room(outcome, region, words, int(ops[start]["length"]), where.format(start))

    def _make_room(self, outcome: int, region: int, words: int, length: int, where: str = "") -> None:
        """Give an operation what it lacked; VolumeFullError where that is space."""
        if outcome == kernel.GROW:
            self._arena = longer_region(self._arena, region, words)
        else:
            self._take_requests()
        if outcome == kernel.FULL:
            raise self._full(length, where)

    def _after(self) -> None:
        """Hand the requests on and let the clock run to the next checkpoint."""
        self._take_requests()
        if self.auto_checkpoint:
            self._arena[NOW] += self._arena[REUSE]

    def _take_requests(self) -> None:
        count = int(self._arena[OUT])
        if not count or not self.deltas:
            self._arena[OUT] = 0
            return
        time_s, op, source = np.empty(count), np.empty(count, np.uint8), np.empty(count, np.int64)
        offset, length = np.empty(count, np.int64), np.empty(count, np.int64)
        entry.take_requests(self._arena, time_s, op, source, offset, length)
        requests = Requests(time_s, op, offset, length)
        if self.watch is None:
            self.deltas[-1].accept(requests)
            return
        fresh = np.zeros(count, np.int64)
        self.deltas[-1].accept(requests, fresh)
        self.watch(requests, source, fresh)

    def _full(self, length: int, where: str = "") -> VolumeFullError:
        return VolumeFullError(
            f"{where}size={length} B: the volume has {self.free_bytes} B free, some of it kept for metadata. "
            "Delete files, or make the volume larger."
        )

    def _check_ops(self, ops: NDArray[np.void], lenient: bool) -> None:
        if not isinstance(ops, np.ndarray) or ops.dtype != OPS_DTYPE or ops.ndim != 1:
            found = getattr(ops, "dtype", type(ops).__name__)
            raise ParameterError("ops", str(found), "a one-dimensional array of clonesim.ops.OPS_DTYPE is needed")
        if not ops.size:
            return
        names = [ops["file"][ops["op"] != kernel.TRIM], ops["offset"][ops["op"] == kernel.RENAME]]
        highest = max((int(part.max()) for part in names if part.size), default=0)
        numbers = min(max(highest, 0), LARGEST_FILE_NUMBER) + 1
        self._room_for_slot(numbers - 1)
        scratch = np.empty(numbers, np.int64) if lenient else np.full(numbers, -2, np.int64)
        index, wrong = entry.check_ops(self._arena, ops, scratch, lenient)
        if index >= 0:
            column, name, allowed = _OP_ERRORS[wrong]
            value = ops[index][column].item()
            raise ParameterError(f"ops[{index}].{name}", value, allowed, "Nothing was changed.")
