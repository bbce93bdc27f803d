"""One disk of a clone that is emptied now and then: its growth steps, sizes and sums, by hand and by each other."""

import numpy as np
import pytest
from volume_tools import ops

from clonesim.delta import Delta
from clonesim.guest import Volume
from clonesim.guest.presence import DAY_S
from clonesim.ops import FileOp
from clonesim.pool import clone_disk
from clonesim.pool.clone_disk import CloneDisk, Overflow
from clonesim.pool.strategies.ram_cache import RamCache

MIB = 2**20
START = 5 * MIB
CREATE, APPEND, OVERWRITE, DELETE = FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.DELETE
FORMATS = ("exact", "vmfs-sparse", "se-sparse", "qcow2", "vhdx", "rbd", "lvm-thin", "zfs-zvol")
SOURCES = 3


def disk_of(name: str, start: int = START, discards: bool = True, write_rate: str = "80 MiB") -> CloneDisk:
    """Disk of 256 MiB; file 1 of 1 MiB is in the image."""
    volume = Volume(
        "256 MiB", os="windows-10", usn=False, auto_checkpoint=False, discards=discards, write_rate=write_rate
    )
    volume.begin_image()
    volume.apply(ops((0.0, CREATE, 1, 0, MIB)))
    volume.seal()
    return CloneDisk(volume, volume.snapshot(name), start)


DAYS = 4
HOUR = 3600.0
RESETS = (10 * HOUR, DAY_S + 10 * HOUR, DAY_S + 20 * HOUR, 3 * DAY_S)
# By epoch: new files, and writes to the image's file; in one of them a file is deleted.
EPOCHS = (
    [(HOUR, CREATE, 2, 0, 30 * MIB), (2 * HOUR, OVERWRITE, 1, 0, MIB), (9 * HOUR, APPEND, 2, 0, MIB)],
    [(20 * HOUR, CREATE, 2, 0, 3 * MIB), (DAY_S + HOUR, CREATE, 3, 0, 20 * MIB)],
    [],
    [
        (DAY_S + 21 * HOUR, CREATE, 2, 0, 70 * MIB),
        (2 * DAY_S + HOUR, DELETE, 2, 0, 0),
        (2 * DAY_S + 2 * HOUR, OVERWRITE, 1, 0, MIB),
    ],
    [(3 * DAY_S + HOUR, APPEND, 1, 0, 40 * MIB)],
)


class Lived:
    """A disk's life through EPOCHS, with a look at it before and after each reset."""

    def __init__(self, disk: CloneDisk) -> None:
        self.growth = np.zeros((DAYS, 4), np.int64)
        self.sources = np.zeros((len(EPOCHS), SOURCES, 3), np.int64)
        self.demand = np.zeros((DAYS * 1440, 5), np.int64)
        self.before: list[int] = []
        self.after: list[int] = []
        self.held: list[int] = []
        self.day = 0
        disk.begin()
        self.first = disk.delta.file_bytes + disk.start_bytes
        for k, epoch in enumerate(EPOCHS):
            for row in epoch:
                self.to(disk, row[0])
                source = 1 if row[2] == 1 else 2
                assert disk.apply(ops(row, source=source), self.sources[k], self.demand) == 0
            if k < len(RESETS):
                self.to(disk, RESETS[k])
                self.look(disk, self.before)
                self.held.append(disk.delta.grains * disk.delta.law.grain)
                disk.empty(RESETS[k])
                self.look(disk, self.after)
        self.to(disk, DAYS * DAY_S)
        self.held.append(disk.delta.grains * disk.delta.law.grain)
        self.time_s, self.size = disk.steps(DAYS * DAY_S)

    def to(self, disk: CloneDisk, time_s: float) -> None:
        while (self.day + 1) * DAY_S <= time_s and self.day < DAYS:
            disk.end_of_day(self.day, self.growth[self.day])
            self.day += 1

    def look(self, disk: CloneDisk, sizes: list[int]) -> None:
        sizes.append(disk.delta.file_bytes + disk.start_bytes)

    def at(self, time_s: float) -> int:
        """Size of the file by its steps, those at the time itself included."""
        return int(self.size[self.time_s <= time_s].sum())


@pytest.mark.parametrize("discards", [True, False])
@pytest.mark.parametrize("name", FORMATS)
class TestEveryFormat:
    def test_steps(self, name: str, discards: bool) -> None:
        disk = disk_of(name, discards=discards)
        life = Lived(disk)
        assert (np.diff(life.time_s) >= 0).all()
        assert life.time_s[0] == 0.0 and life.size[0] == life.first
        assert life.after == [life.first] * len(RESETS), "emptied: as at the start"
        assert [life.at(t) for t in RESETS] == life.after
        assert (life.size[1:] != 0).all()
        running = np.cumsum(life.size)
        assert running.min() == life.first, "never less than an empty file"
        assert life.size.sum() == life.growth[-1, 0], "the size at the end"
        at_resets = np.isin(life.time_s, RESETS)
        assert (life.size[at_resets] < 0).sum() == 3, "nothing was written before the third"
        if not (disk.delta.law.discard and discards):
            assert (life.size[~at_resets] > 0).all(), "nothing but a reset gives back"

    def test_ends_of_days(self, name: str, discards: bool) -> None:
        life = Lived(disk_of(name, discards=discards))
        by_steps = [life.at(np.nextafter((day + 1) * DAY_S, 0.0)) for day in range(DAYS)]
        released = name in ("exact", "rbd", "lvm-thin", "zfs-zvol") and discards
        for day in range(DAYS - 1):
            if not released:  # what a release gives back is told at the day's end
                assert by_steps[day] == life.growth[day, 0], day
        assert by_steps[-1] == life.growth[-1, 0]

    def test_sums(self, name: str, discards: bool) -> None:
        """First touches minus releases of an epoch are what the file held at its end; nothing is carried over."""
        life = Lived(disk_of(name, discards=discards))
        net = life.sources[:, :, 1].sum(axis=1) - life.sources[:, :, 2].sum(axis=1)
        assert net.tolist() == life.held
        assert life.growth[:, 3][-1] == life.held[-1]
        assert life.sources[:, :, 0].sum() == life.growth[-1, 2] == life.demand[:, 3].sum()
        assert life.held[2] <= 2 * MIB, "an epoch in which nothing is done"
        assert (life.growth[:, 2] == np.maximum.accumulate(life.growth[:, 2])).all(), "written: over all epochs"

    def test_a_second_clone_finds_what_the_first_found(self, name: str, discards: bool) -> None:
        disk = disk_of(name, discards=discards)
        one, two = Lived(disk), Lived(disk)
        for part in ("growth", "sources", "demand", "time_s", "size"):
            assert getattr(one, part).tobytes() == getattr(two, part).tobytes(), part
        disk.begin()
        disk.volume.check_invariants()
        assert disk.volume.size(1) == MIB and 2 not in disk.volume


class TestByHand:
    def test_of_data_every_byte_counts_once_an_epoch(self) -> None:
        life = Lived(disk_of("exact"))
        data = life.sources[:, :, 1]
        assert data[:, 2].tolist() == [31 * MIB, 23 * MIB, 0, 70 * MIB, 0]
        assert data[:, 1].tolist() == [MIB, 0, 0, MIB, 40 * MIB]
        assert life.sources[3, :, 2].sum() >= 70 * MIB, "the deleted file was given back"

    def test_vmfs_sparse_by_its_steps(self) -> None:
        """16 MiB a step, the first one there from the start; 32 MiB of data, metadata and tables need the third."""
        step = 16 * MIB
        disk = disk_of("vmfs-sparse", start=0)
        life = Lived(disk)
        header = disk.delta.created_bytes - step
        assert 0 < header < MIB
        assert [size - header for size in life.before] == [3 * step, 2 * step, step, 5 * step]
        assert (life.size[1:] / step).tolist() == [1, 1, -2, 1, -1, 1, 1, 1, 1, -4, 1, 1], "two, one, none, four, two"

    def test_held_share_is_of_what_the_guest_uses(self) -> None:
        disk = disk_of("exact")
        disk.begin()
        assert disk.held_share == 0.0
        disk.apply(ops((1.0, CREATE, 2, 0, 30 * MIB), source=2), np.zeros((3, 3), int), np.zeros((1440, 5), int))
        used = disk.volume.used_bytes
        assert disk.held_share == pytest.approx(30 * MIB / used, abs=0.01)
        disk.empty(100.0)
        assert disk.held_share == 0.0

    def test_emptied_twice_at_a_time(self) -> None:
        disk = disk_of("exact")
        disk.begin()
        disk.apply(ops((1.0, CREATE, 2, 0, MIB)), np.zeros((3, 3), int), np.zeros((1440, 5), int))
        disk.empty(50.0)
        disk.empty(50.0)
        time_s, size = disk.steps(DAY_S)
        assert size.sum() == size[0] == disk.start_bytes + disk.delta.created_bytes
        assert set(time_s.tolist()) >= {0.0, 50.0}

    def test_a_write_that_takes_longer_than_the_time_that_is_left(self) -> None:
        """60 MiB at 1 MiB/s begin 10 s before the reset: what they add counts before it, so no size falls below 0."""
        disk = disk_of("exact", start=0, write_rate="1 MiB")
        disk.begin()
        by_source, demand, growth = np.zeros((3, 3), np.int64), np.zeros((1440, 5), np.int64), np.zeros(4, np.int64)
        disk.apply(ops((40.0, CREATE, 2, 0, 60 * MIB), source=2), by_source, demand)
        assert disk.delta.increment_times[-1] > 90.0, "or the test says nothing"
        disk.empty(50.0)
        disk.apply(ops((55.0, CREATE, 2, 0, MIB), source=2), by_source, demand)
        disk.end_of_day(0, growth)
        time_s, size = disk.steps(DAY_S)
        order = np.argsort(time_s, kind="stable")
        running = np.cumsum(size[order])
        assert running.min() >= disk.delta.created_bytes
        assert size[time_s <= 50.0].sum() == disk.delta.created_bytes
        assert running[-1] == growth[0]

    @pytest.mark.parametrize("cached", [False, True])
    def test_what_nobody_asked_for_is_not_added_up(self, cached: bool) -> None:
        """A volume that is used by itself, before the first clone: its requests belong to no sums."""
        disk = disk_of("exact")
        if cached:
            memory = RamCache(256 * MIB, MIB, 65536)
            disk = CloneDisk(disk.volume, disk.delta, 0, Overflow(memory, Delta("vhdx", 256 * MIB), kept=False))
        called: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clone_disk, "account", lambda *given: called.append(1))
            disk.volume.create("alone", "30 MiB")
            assert not called, "the kernel would write where no array is"
            disk.apply(ops((1.0, CREATE, 2, 0, MIB)), np.zeros((3, 3), int), np.zeros((1440, 5), int))
            assert called
        assert disk.delta.grains * disk.delta.law.grain >= 31 * MIB and disk.file.grains > 0
