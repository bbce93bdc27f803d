"""Disks behind a cache in memory: provisioned streaming and MCS, by hand and against slow references."""

from typing import Any

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, Life, live
from reference_delta import plain
from reference_ram_cache import PlainCache
from strategy_tools import GIB, KIB, LOGOFF, MIB, full_plan, pool
from volume_tools import ops

from clonesim.delta import Delta
from clonesim.guest import Volume
from clonesim.guest.presence import DAY_S
from clonesim.guest.rows import Plan, Reads
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.account_kernel import DELTA_READS, READ_BYTES, READS, WRITE_BYTES, WRITES
from clonesim.pool.clone_disk import CloneDisk, Overflow
from clonesim.pool.clones import Job, run_job
from clonesim.pool.desktop import Demand, Desktop
from clonesim.pool.strategies.layout import BOOT, OS
from clonesim.pool.strategies.ram_cache import RamCache
from clonesim.pool.strategies.streams import streams_of
from clonesim.pool.timeline import Timeline

CREATE, APPEND, OVERWRITE, DELETE = FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.DELETE
HOUR = 3600.0
CAPACITY, RAM, BLOCK = 256 * MIB, 4 * MIB, 64 * KIB
EPOCHS = (
    [(HOUR, CREATE, 2, 0, 12 * MIB), (2 * HOUR, OVERWRITE, 1, 0, 300 * KIB), (3 * HOUR, DELETE, 2, 0, 0)],
    [(11 * HOUR, CREATE, 3, 0, 200 * KIB)],
    [(21 * HOUR, CREATE, 2, 0, 30 * MIB), (22 * HOUR, OVERWRITE, 1, 0, MIB), (23 * HOUR, APPEND, 2, 0, 5 * MIB)],
)
RESETS = (10 * HOUR, 20 * HOUR)
AT_LAST = [(23.5 * HOUR, DELETE, 2, 0, 0)]
LAST_RESET, EVENING = 23.7 * HOUR, (23.8 * HOUR, CREATE, 2, 0, 8 * MIB)
NEXT_DAY = [(25 * HOUR, CREATE, 4, 0, 20 * MIB), (26 * HOUR, CREATE, 5, 0, 60 * MIB)]
FORMATS: dict[str, dict[str, int]] = {name: {} for name in ("vhdx", "vhd", "qcow2", "lvm-thin")}
FORMATS |= {"exact": {"grain": 4096}, "se-sparse": {"increment": MIB}}
KEPT = pytest.mark.parametrize("kept", [False, True], ids=["streaming", "mcs"])


class Lived:
    """A cached disk's life through EPOCHS, and what the slow references say of the volume's requests."""

    def __init__(self, name: str, kept: bool, ram: int = RAM, deleted: bool = False, again: bool = False) -> None:
        volume = Volume("256 MiB", os="windows-10", usn=False, auto_checkpoint=False, discards=True)
        volume.begin_image()
        volume.apply(ops((0.0, CREATE, 1, 0, MIB)))
        volume.seal()
        snapshot, file = volume.snapshot("exact", grain=4096), Delta(name, CAPACITY, **FORMATS[name])
        disk = CloneDisk(volume, snapshot, 0, Overflow(RamCache(CAPACITY, ram, BLOCK), file, kept))
        self.cache, self.file = PlainCache(CAPACITY, ram, BLOCK), plain(name, CAPACITY, **FORMATS[name])
        self.asked: list[tuple[float, int, int, int]] = []
        usual = volume.watch
        volume.watch = lambda requests, *rest: self.replay(usual, requests, *rest)
        self.sizes, self.writes = [], np.zeros(2, np.int64)
        self.sources, self.demand = np.zeros((3, 3), np.int64), np.zeros((2880, 5), np.int64)
        self.growth = np.zeros(4, np.int64)
        disk.begin()
        for k, epoch in enumerate(EPOCHS):
            for row in [*epoch, *(AT_LAST if deleted and k == 2 else [])]:
                self.do(disk, row)
            self.dirty, self.held = 4096 * len(self.cache.pages), 4096 * len(self.delta_pages())
            assert disk.memory_share == min(1.0, self.dirty / self.held)
            if k < len(RESETS):
                disk.empty(RESETS[k])
                self.cache.clear()
                self.file.revert()
                self.asked.clear()
        if again:  # a short life before midnight, and a longer one than any before it after that
            disk.empty(LAST_RESET)
            self.cache.clear()
            self.file.revert()
            self.do(disk, EVENING)
        disk.end_of_day(0, self.growth)
        for row in NEXT_DAY if deleted or again else ():
            self.do(disk, row)
        disk.end_of_day(1, self.growth)
        self.time_s, self.size = disk.steps(2 * DAY_S)

    def do(self, disk: CloneDisk, row: Any) -> None:
        assert disk.apply(ops(row, source=1), self.sources, self.demand) == 0

    def replay(self, usual: Any, requests: Any, *rest: Any) -> None:
        usual(requests, *rest)
        columns = (requests.time_s, requests.op, requests.offset, requests.length)
        for time_s, op, offset, length in zip(*(column.tolist() for column in columns), strict=True):
            self.asked.append((time_s, op, offset, length))
            for below in self.cache.put(op, offset, length):
                self.file.request(time_s, *below)
                self.writes += (below[0] == 1, below[2] * (below[0] == 1))
            self.sizes.append((time_s, self.file.file))

    def delta_pages(self) -> set[int]:
        """Pages of the disk that the clone holds, by its own requests: written, and not wholly discarded since."""
        held: set[int] = set()
        for _, op, offset, length in self.asked:
            if op == 1:
                held |= set(range(offset // 4096, -(-(offset + length) // 4096)))
            else:
                held -= set(range(-(-offset // 4096), (offset + length) // 4096))
        return held


@KEPT
@pytest.mark.parametrize("name", FORMATS)
class TestAgainstReferences:
    @pytest.mark.parametrize("how", [{}, {"deleted": True}, {"again": True}], ids=["plain", "deleted", "again"])
    def test_the_file_is_what_the_memory_lets_through(self, name: str, kept: bool, how: dict[str, bool]) -> None:
        life = Lived(name, kept, **how)
        assert life.growth[3] == len(life.file.held) * life.file.grain
        assert life.demand.sum(axis=0)[[WRITES, WRITE_BYTES]].tolist() == life.writes.tolist()
        assert 0 < life.writes[1] < life.sources[:, 0].sum() == life.growth[2], "written by the guest it was all"
        assert life.size.sum() == life.growth[0]
        if kept:
            assert life.growth[0] == max(size for _, size in life.sizes), "the largest that it ever was"
        else:
            assert life.growth[0] == life.file.allocated

    def test_steps(self, name: str, kept: bool) -> None:
        life = Lived(name, kept)
        running = np.cumsum(life.size)
        created = plain(name, CAPACITY, **FORMATS[name]).file
        assert life.time_s[0] == 0.0 and (np.diff(life.time_s) >= 0).all()
        assert running.min() == life.size[0] == created
        at_resets = [int(life.size[life.time_s <= reset_s].sum()) for reset_s in RESETS]
        if kept:
            assert (life.size[1:] > 0).all(), "never smaller, whatever is discarded or emptied"
            assert at_resets[0] == at_resets[1] == running[life.time_s < RESETS[0]][-1], "the second life needs less"
        else:
            assert at_resets == [created, created], "emptied: as at the start"

    def test_without_memory_it_is_a_plain_disk(self, name: str, kept: bool) -> None:
        life = Lived(name, kept, ram=0)
        assert life.demand[:, WRITE_BYTES].sum() == life.growth[2]
        assert life.growth[3] == len(life.file.held) * life.file.grain > 36 * MIB
        assert life.dirty == 0


def daily(first: int, days: int, size: int) -> np.ndarray:
    made = np.zeros(days, OPS_DTYPE)
    made["time_s"], made["op"] = DAY_S * np.arange(days) + HOUR, CREATE
    made["file"], made["length"], made["source"] = first + np.arange(days), size, 3
    return made


class TestReads:
    """A new file in the first hour of each of 2 days; at noon of the second day 1 GiB is read in 10,000 requests."""

    def life(self, strategy: dict[str, Any], size: int = 8 * MIB) -> tuple[Desktop, Life, float]:
        scenario = pool(WITHOUT, [{**strategy, "reboot": "storms"}], pool={"clones": 1, "days": 2})
        desk, line = Desktop(scenario, 0), Timeline.of(scenario, 0)
        reads = Reads(np.array([1.5 * DAY_S]), np.zeros(1, np.int32), np.array([GIB]), np.array([10_000]))
        life = live(desk, line, 0, Plan(daily(desk.image.first_file, 2, size), reads))
        held = life.sources[OS, 0, :, 1].sum() - life.sources[OS, 0, :, 2].sum()
        return desk, life, held / life.growth[OS, 0, 1]

    def at_noon(self, life: Life) -> list[int]:
        return life.demand.lun[36 * 60, [READS, READ_BYTES, DELTA_READS]].tolist()

    def test_mcs_from_memory_and_base_image(self) -> None:
        _, life, held = self.life({"name": "mcs", "ram": "64 MiB"})
        assert 8 * MIB < held * life.growth[OS, 0, 1] < 12 * MIB
        asked = [round(10_000 * (1 - held)), round(GIB * (1 - held)), 0]
        assert self.at_noon(life) == asked and asked[0] < 10_000, "what memory holds is read nowhere else"
        assert life.ran.totals["network_bytes"] == 0

    def test_mcs_without_memory(self) -> None:
        _, life, held = self.life({"name": "mcs", "ram": 0})
        assert self.at_noon(life)[:2] == [10_000, GIB]
        assert self.at_noon(life)[2] == pytest.approx(10_000 * held, rel=0.01)

    def test_streaming_all_in_memory(self) -> None:
        _, life, held = self.life({"name": "provisioned-streaming", "ram": "64 MiB"})
        assert self.at_noon(life) == [0, 0, 0]
        assert life.ran.totals["network_bytes"] == pytest.approx(GIB * (1 - held), abs=1)

    def test_streaming_all_on_disk(self) -> None:
        _, life, held = self.life({"name": "provisioned-streaming", "ram": 0})
        assert self.at_noon(life) == [round(10_000 * held), round(GIB * held), round(10_000 * held)]
        assert life.ran.totals["network_bytes"] == pytest.approx(GIB * (1 - held), abs=1)
        assert 0 < held < 0.01

    @pytest.mark.parametrize("name", ["mcs", "provisioned-streaming"])
    def test_half_in_memory(self, name: str) -> None:
        """256 MiB written into 128 MiB: memory is full, and holds half of the clone's own."""
        _, life, held = self.life({"name": name, "ram": "128 MiB"}, 256 * MIB)
        memory = 128 * MIB / (held * life.growth[OS, 0, 1])
        on_disk = held * (1 - memory)
        left = on_disk if name == "provisioned-streaming" else 1 - held * memory
        assert memory == pytest.approx(0.5, abs=0.02)
        expected = [10_000 * left, GIB * left, 10_000 * on_disk]
        assert self.at_noon(life) == pytest.approx(expected, rel=0.05), "blocks in memory are not dirty as a whole"
        network = GIB * (1 - held) if name == "provisioned-streaming" else 0
        assert life.ran.totals["network_bytes"] == pytest.approx(network, abs=1)

    def test_the_network_carries_the_image_and_what_strategies_stream(self) -> None:
        scenario = pool(WITHOUT, ["provisioned-streaming", "application-virtualization"])
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        batch = run_job(Job(scenario, 3, 0, 0, (2,)))
        plan = full_plan(scenario, desk, line, 2)
        ran = live(desk, line, 2, plan).ran.totals["network_bytes"]
        given = line.presence(2), plan, line.emptied(2, BOOT), desk.image.first_file
        streamed = streams_of(scenario, desk.activity, *given).totals["network_bytes"]
        assert ran > GIB and streamed > GIB
        assert batch.total("network_bytes").tolist() == [ran + streamed]


class TestBoots:
    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    @pytest.mark.parametrize("restart", ["guest", "power-cycle"])
    def test_streaming_without_memory_is_a_vhdx_emptied_at_each_boot(self, preset: str, restart: str) -> None:
        storms = {"storms": {"reboot": "daily", "restart": restart}}
        scenario = pool(preset, [{"name": "provisioned-streaming", "ram": 0, "reboot": "storms"}], **storms)
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        boots_s = line.presence(1).boots_s[1:]
        (turns,) = line.turns(1, desk.layout.disks)
        assert turns.emptied_s.tolist() == boots_s.tolist() and boots_s.size >= 3
        life = live(desk, line, 1)
        vhdx = {"delta": {"format": "vhdx"}, "luns": {"backing": "csv", "size": "1 TiB"}}
        plain_desk = Desktop(pool(preset, **vhdx, **storms), 3)
        growth, sources, demand = np.zeros_like(life.growth), np.zeros_like(life.sources), Demand.none(5)
        other = plain_desk.run(life.plan, [turns], growth, sources, demand)
        assert life.growth.tolist() == growth.tolist()
        assert all(np.array_equal(a, b) for a, b in zip(life.ran.steps[OS], other.steps[OS], strict=True))
        assert np.array_equal(life.demand.lun[:, [WRITES, WRITE_BYTES]], demand.lun[:, [WRITES, WRITE_BYTES]])
        time_s, size = life.ran.steps[OS]
        created = Delta("vhdx", scenario.guest.disk).file_bytes
        assert [size[time_s <= boot_s].sum() for boot_s in boots_s] == [created] * boots_s.size

    def test_memory_is_empty_after_a_boot(self) -> None:
        """With more memory than is ever written, no boot finds anything to write to the disk."""
        scenario = pool(WITHOUT, [{"name": "provisioned-streaming", "ram": "12 GiB"}])
        (life,) = [live(Desktop(scenario, 3), Timeline.of(scenario, 3), 1)]
        assert life.ran.steps[OS][1].size == 1 and not life.demand.lun[:, WRITES].any()
        assert life.growth[OS, -1, 2] > 16 * MIB

    def test_mcs_without_memory_goes_back_at_reboots(self) -> None:
        """As a refresh at each logoff does, but for the restarts that happen anyway, and without a floor."""
        scenario = pool(WITHOUT, [{"name": "mcs", "ram": 0}])
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        life, boots_s = live(desk, line, 1), line.presence(1).boots_s[1:]
        logoffs = Timeline.of(pool(WITHOUT, [LOGOFF]), 3).emptied(1, "refresh")
        time_s, size = life.ran.steps[OS]
        assert desk.layout.disks[OS].emptied == BOOT and abs(boots_s.size - logoffs.size) <= 1
        assert set(time_s[size < 0]) <= set(boots_s)
        assert [size[time_s <= boot_s].sum() for boot_s in boots_s] == [size[0]] * boots_s.size
        assert np.cumsum(size).max() > 2 * size[0]

    @pytest.mark.parametrize("ram", [0, "16 MiB"])
    def test_mcs_with_a_disk_that_is_not_reset(self, ram: Any) -> None:
        """Desktops restart, and keep what they have: as a linked clone with the same boots."""
        scenario = pool(WITHOUT, [{"name": "mcs", "ram": ram, "reset": False}])
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        assert line.presence(1).boots_s.size > 4
        (turns,) = line.turns(1, desk.layout.disks)
        assert not turns.emptied_s.size and not line.catch_up_boots(1).size
        growth = live(desk, line, 1).growth[OS]
        assert (np.diff(growth[:, :3], axis=0)[:, [0, 2]] >= 0).all()

    def test_a_disk_that_the_cache_overflows(self) -> None:
        tables = {"pool": {"clones": 1, "days": 2}}
        for size, full in (("1 GiB", 0), ("32 MiB", 1)):
            mcs = {"name": "mcs", "ram": "4 MiB", "cache_disk": size}
            assert run_job(Job(pool(WITHOUT, [mcs], **tables), 3, 0, 0, (0,))).total("cache_full").tolist() == [full]
