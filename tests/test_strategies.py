"""Strategies as mechanisms: what goes where, what is emptied when, and that nothing vanishes on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, Life, Reversed, live, small

from clonesim.guest.presence import DAY_S
from clonesim.guest.rows import Plan, Reads
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool import replicates
from clonesim.pool.clones import Job, plan_of, run_job
from clonesim.pool.desktop import Demand, Desktop, activity_of
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate
from clonesim.pool.strategies.layout import AWAY, LUN, OS, effective, on_the_lun
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

GIB, MIB, KIB = 2**30, 2**20, 2**10
GENERIC = {"platform": {"name": "generic"}}
EXACT = {**GENERIC, "delta": {"format": "exact"}, "luns": {"backing": "vmfs-5", "size": "1 TiB"}}
BARE = {"name": "refresh", "when": "nightly", "floor": 0, "catch_up": False}
LOGOFF = {"name": "refresh", "floor": 0, "catch_up": False}
CONSERVED = (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.SCATTER)
ROUTES: dict[str, tuple[Any, ...]] = {
    "persistent": ("persistent-disk",),
    "persistent, same LUN": ({"name": "persistent-disk", "where": "same"},),
    "disposable": ("disposable-disk",),
    "both": ("persistent-disk", "disposable-disk"),
    "container": ("profile-container",),
    "all but system": ("disposable-disk", {"name": "persistent-disk", "tags": ["profile", "user-data", "application"]}),
    "packages": ("application-virtualization",),
    "half in packages": ({"name": "app-attach", "share": 0.5},),
    "persistent, packages": ("persistent-disk", "application-virtualization"),
}
RESETS: dict[str, tuple[Any, ...]] = {
    "logoff": ("refresh",),
    "nightly": (BARE,),
    "every 2 days": ({"name": "refresh", "when": "days", "every": "2 d"},),
    "recompose": ({"name": "recompose", "every": "2 d"},),
    "instant": ("instant-clone",),
    "logoff, persistent": ("refresh", "persistent-disk"),
    "logoff, both": (LOGOFF, "persistent-disk", "disposable-disk"),
    "nightly, container, packages": (BARE, "profile-container", "application-virtualization"),
}
ALL = ROUTES | RESETS


def pool(preset: str, strategy: Sequence[Any] = (), **tables: Any) -> Scenario:
    """6 clones for 5 days on disks with room; the format and the LUN may be anything."""
    guest = {"disk": "12 GiB", **tables.pop("guest", {})}
    installs = {"per_session_hour": 0.2, "size": "8 MiB", "files": 20}
    tables = {"workload": {"sources": {"app-install": installs}}, **GENERIC, **tables}
    tables = {"pool": {"clones": 6, "days": 5}, **tables}
    return small(preset, strategy=list(strategy), guest=guest, **tables)


def lives(scenario: Scenario, clones: Sequence[int] = (0, 3), seed: int = 3) -> list[Life]:
    desk, line = Desktop(scenario, seed), Timeline.of(scenario, seed)
    return [live(desk, line, clone) for clone in clones]


def written(ops: np.ndarray) -> int:
    return int(ops["length"][np.isin(ops["op"], CONSERVED)].sum())


def plans(scenario: Scenario) -> list[Plan]:
    activity, line = activity_of(effective(scenario)), Timeline.of(scenario, 7)
    return [plan_of(activity, line, clone, 5000) for clone in (0, 5)]


@pytest.fixture(scope="module", params=[WITHOUT, WITH_DISCARDS])
def plain(request: pytest.FixtureRequest) -> tuple[str, list[Plan]]:
    return request.param, plans(pool(request.param))


class TestPlansStay:
    """Strategies route and empty; what users and machines do is drawn as ever, byte for byte."""

    def changed(self, plain: tuple[str, list[Plan]], strategy: Sequence[Any]) -> set[str]:
        """Sources of which an operation or a read is another one."""
        preset, before = plain
        scenario = pool(preset, strategy)
        names, found = activity_of(scenario).names, set()
        for one, other in zip(before, plans(scenario), strict=True):
            for index, name in enumerate(names):
                mine, theirs = one.of_source(index), other.of_source(index)
                same = mine.ops.tobytes() == theirs.ops.tobytes()
                same &= all(
                    getattr(mine.reads, k).tobytes() == getattr(theirs.reads, k).tobytes()
                    for k in ("time_s", "bytes", "ios")
                )
                if not same:
                    found.add(name)
        assert all(plan.ops.size > 1000 for plan in before)
        return found

    @pytest.mark.parametrize("name", ROUTES)
    def test_routes_change_no_plan(self, plain: tuple[str, list[Plan]], name: str) -> None:
        assert self.changed(plain, ROUTES[name]) == set()

    @pytest.mark.parametrize(
        "strategy",
        [["linked-clone"], ["memory-reservation"], ["smaller-free-space"], ["thin-lun"], ["array-dedup"]],
        ids=lambda strategy: strategy[0],
    )
    def test_what_leaves_the_guest_alone_changes_no_plan(self, plain: tuple[str, list[Plan]], strategy: list) -> None:
        assert self.changed(plain, strategy) == set()

    def test_a_refresh_changes_what_boots_and_first_logons_do(self, plain: tuple[str, list[Plan]]) -> None:
        at_boot = {"page-file", "registry-hives", "event-logs", "prefetch", "system-restore", "boot", "superfetch"}
        at_first_logon = {"new-profile", "appx-first-logon"}
        changed = self.changed(plain, [BARE])
        assert "boot" in changed
        assert changed <= at_boot | at_first_logon
        kept = self.changed(plain, [BARE, "profile-container"])
        assert kept and kept <= at_boot, "the profile is not in the clone: no logon is a first one again"

    def test_catch_up_changes_definitions_besides(self, plain: tuple[str, list[Plan]]) -> None:
        with_, without = (self.changed(plain, [{**BARE, "catch_up": on}]) for on in (True, False))
        assert with_ - without == {"antivirus-definitions", "antivirus-download"}, "no patch came in these days"

    def test_recompose_takes_the_patches_out(self) -> None:
        plain = WITHOUT, plans(pool(WITHOUT))
        patches = {name for name in activity_of(pool(WITHOUT)).names if name.startswith("patch-")}
        scenario = pool(WITHOUT, ["recompose"], pool={"clones": 6, "days": 20})
        activity = activity_of(effective(scenario))
        assert patches and not patches & {source.name for source in activity.active}
        assert self.changed(plain, ["recompose"]) <= patches

    @pytest.mark.parametrize("switch", ["page_file", "prefetch", "search", "defragmentation"])
    def test_a_switch_of_guest_tuning_changes_its_sources_only(
        self, plain: tuple[str, list[Plan]], switch: str
    ) -> None:
        others = dict.fromkeys(("defragmentation", "page_file", "prefetch", "search", "browser_cache"), False)
        changed = self.changed(plain, [{"name": "guest-tuning", **others, switch: True}])
        sources = {
            "page_file": {"page-file"},
            "prefetch": {"prefetch", "superfetch"},
            "search": {"search-index", "search-index-log"},
            "defragmentation": {"boot-defragmentation"},
        }
        busy = {activity_of(pool(plain[0])).names[k] for one in plain[1] for k in {*one.ops["source"].tolist()}}
        assert changed == sources[switch] & busy, "all that its sources do is gone"
        assert changed or switch in ("search", "defragmentation"), "these need not do anything on every system"


class TestNothingVanishes:
    """The plan's bytes are written on one of the disks, or are those that programs from packages no longer write."""

    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    @pytest.mark.parametrize("name", ALL)
    def test_bytes_of_the_plan(self, name: str, preset: str) -> None:
        scenario = pool(preset, ALL[name])
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        for clone in (0, 3):
            applied = np.zeros(len(desk.disks), np.int64)
            for place, disk in enumerate(desk.disks):
                self.count(disk, applied, place)
            life = live(desk, line, clone)
            assert life.ran.refused == 0, "every operation is possible on a disk that was emptied"
            assert applied.sum() + life.ran.away_bytes == written(life.plan.ops)
            assert (applied > 0).all()
            assert (life.ran.away_bytes > MIB) == ("packages" in name)
            for disk in desk.disks:
                disk.volume.check_invariants()

    def count(self, disk: Any, applied: np.ndarray, place: int) -> None:
        usual = type(disk).apply

        def apply(ops: np.ndarray, *rest: Any) -> int:
            applied[place] += written(ops)
            return usual(disk, ops, *rest)

        disk.apply = apply

    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    @pytest.mark.parametrize("name", ROUTES)
    def test_bytes_of_each_source(self, name: str, preset: str) -> None:
        """Through the volumes: what each source wrote without the strategy, on whatever disk. Metadata are own."""
        before, after = (lives(pool(preset, strategy)) for strategy in ((), ROUTES[name]))
        for one, other in zip(before, after, strict=True):
            usual, routed = (life.sources[..., 0].sum(axis=(0, 1))[1:] for life in (one, other))
            short = usual - routed
            packaged = Desktop(pool(preset), 3).layout.installed[1:]
            assert not short[~packaged].any()
            assert (short >= 0).all()
            assert (short.sum() > 0) == (other.ran.away_bytes > 0)
            reads = [life.demand.lun[:, 0].sum() + life.demand.elsewhere[:, 0].sum() for life in (one, other)]
            assert reads[0] == reads[1]

    @pytest.mark.parametrize("name", ALL)
    def test_sums_agree(self, name: str) -> None:
        """Written by source is written by disk is demand; growth steps add up to the sizes at the end."""
        scenario = pool(WITH_DISCARDS, ALL[name])
        batch = run_job(Job(scenario, 3, 0, 0, (0, 3)))
        line, disks = Timeline.of(scenario, 3), Desktop(scenario, 3).layout.disks
        assert batch.sources[..., 0].sum(axis=(2, 3)).tolist() == batch.growth[:, :, -1, 2].tolist()
        asked = batch.demand[:, 3].sum() + batch.elsewhere[:, 3].sum()
        assert asked == batch.growth[:, :, -1, 2].sum()
        here = [place for place, disk in enumerate(disks) if disk.where == LUN]
        assert batch.demand[:, 3].sum() == batch.growth[:, here, -1, 2].sum()
        for k, clone in enumerate((0, 3)):
            for place, disk in enumerate(disks):
                mine = (batch.clone == clone) & (batch.disk == place)
                time_s, size = batch.time_s[mine], batch.size[mine]
                assert size.sum() == batch.growth[k, place, -1, 0]
                emptied = line.emptied(clone, disk.emptied)
                running = np.cumsum(size)
                assert running.min() == size[0] == running[0]
                for reset_s in emptied:
                    assert size[time_s <= reset_s].sum() == size[0], "emptied: as at the start"
                if place == OS:  # what it frees stays: only a reset makes it smaller
                    assert set(time_s[size < 0]) <= set(emptied)
                    assert (size < 0).any() == (emptied.size > 0)

    @pytest.mark.parametrize("name", RESETS)
    def test_first_touches_of_each_epoch(self, name: str) -> None:
        """First touches minus releases between two resets are what the delta held when it was emptied."""
        scenario = pool(WITH_DISCARDS, RESETS[name], **{k: v for k, v in EXACT.items() if k != "platform"})
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        emptied = [line.emptied(0, disk.emptied) for disk in desk.layout.disks]
        sources = np.zeros((len(desk.disks), 5, len(desk.activity.names), 3), np.int64)
        seen: list[tuple[int, int]] = []  # first touches less releases, and what is held
        for place, disk in enumerate(desk.disks):
            self.look(disk, place, sources, seen)
        plan = plan_of(desk.activity, line, 0, desk.image.first_file)
        growth = np.zeros((len(desk.disks), 5, 4), np.int64)
        desk.run(plan, emptied, growth, sources, Demand.none(5))
        assert len(seen) == sum(part.size for part in emptied) > 0
        assert all(net == held for net, held in seen)
        assert max(held for _, held in seen) > 16 * MIB

    def look(self, disk: Any, place: int, sources: np.ndarray, seen: list[tuple[int, int]]) -> None:
        usual, before = type(disk).empty, [0]
        at_first = disk.delta.grains  # a second disk has its sources' files from the start

        def empty(time_s: float) -> None:
            net = int(sources[place, :, :, 1].sum() - sources[place, :, :, 2].sum())
            seen.append((net - before[0], (disk.delta.grains - at_first) * disk.delta.law.grain))
            before[0] = net
            usual(disk, time_s)

        disk.empty = empty


QUIET = {"users": {"absence": 1.0, "weekend": 0.0}}


def daily_files(first: int, days: int, size: int = GIB) -> Plan:
    """At noon of each day a new file, and nothing else."""
    ops = np.zeros(days, OPS_DTYPE)
    ops["time_s"], ops["op"] = DAY_S * np.arange(days) + DAY_S / 2, FileOp.CREATE
    ops["file"], ops["length"], ops["source"] = first + np.arange(days), size, 3
    none = np.zeros(0, np.int64)
    return Plan(ops, Reads(np.zeros(0), np.zeros(0, np.int32), none, none))


class TestAGibibyteADay:
    """Fresh writes of 1 GiB a day, refreshed every night at 02:00."""

    DAYS = 5

    def life(self, strategy: Sequence[Any], **tables: Any) -> tuple[Desktop, Timeline, Life]:
        merged = {**EXACT, **QUIET, **tables, "pool": {"clones": 1, "days": self.DAYS}}
        scenario = small(WITHOUT, strategy=list(strategy), guest={"disk": "10 GiB"}, **merged)
        desk, line = Desktop(scenario, 0), Timeline.of(scenario, 0)
        return desk, line, live(desk, line, 0, daily_files(desk.image.first_file, self.DAYS))

    def test_exact_never_holds_more(self) -> None:
        desk, line, life = self.life([BARE])
        assert line.emptied(0, "refresh").tolist() == [DAY_S * day + 7200.0 for day in range(1, self.DAYS)]
        data, metadata = life.sources[OS, :, 3], life.sources[OS, :, 0]
        assert data[:, 1].tolist() == [GIB] * self.DAYS
        held = metadata[:, 1] - metadata[:, 2]
        assert (held < 4 * MIB).all(), "file system metadata come on top"
        assert life.growth[OS, :, 0].tolist() == (GIB + held).tolist()
        time_s, size = life.ran.steps[OS]
        running = np.cumsum(size)
        assert running.max() == GIB + held.max()
        resets = np.isin(time_s, line.emptied(0, "refresh"))
        assert size[resets].tolist() == (-GIB - held[:-1]).tolist()
        assert running[resets].tolist() == [0] * (self.DAYS - 1)
        assert life.growth[OS, :, 2][-1] == self.DAYS * GIB + metadata[:, 0].sum(), "written it was all the same"

    def test_without_a_refresh_it_holds_all(self) -> None:
        _, _, life = self.life([])
        assert (life.growth[OS, :, 0] // GIB).tolist() == [1, 2, 3, 4, 5]

    def test_every_other_day_it_holds_two(self) -> None:
        _, line, life = self.life([{**BARE, "when": "days", "every": "2 d"}])
        assert line.emptied(0, "refresh").tolist() == [2 * DAY_S + 7200.0, 4 * DAY_S + 7200.0]
        assert (life.growth[OS, :, 0] // GIB).tolist() == [1, 2, 1, 2, 1]

    def test_vmfs_sparse_by_its_law(self) -> None:
        """Grains of 512 B as in exact; a table of 16 KiB for each 2 MiB of the disk that is touched; steps of 16 MiB."""
        step, capacity = 16 * MIB, 10 * GIB
        desk, _, exact = self.life([BARE])
        touched = desk.delta.grain_map()
        tables = {part for low, high in touched for part in range(low // (2 * MIB), (high - 1) // (2 * MIB) + 1)}
        directory = -(-(2048 + 4 * (capacity // (2 * MIB))) // 512) * 512
        need = exact.growth[OS, -1, 0] + len(tables) * 16 * KIB
        expected = directory + -(-need // step) * step
        _, line, life = self.life([BARE], delta={"format": "vmfs-sparse"})
        assert life.growth[OS, -1, 0] == expected
        assert set(life.growth[OS, :, 0]) == {expected}, "each day begins with the same image"
        assert GIB + 8 * MIB < expected <= GIB + 3 * step
        time_s, size = life.ran.steps[OS]
        assert size[np.isin(time_s, line.emptied(0, "refresh"))].tolist() == [step + directory - expected] * 4

    @pytest.mark.parametrize("floor", ["200 MiB", "1 GiB"])
    def test_the_floor_comes_on_top(self, floor: str) -> None:
        (_, _, bare), (desk, _, life) = self.life([BARE]), self.life([{**BARE, "floor": floor}])
        above = life.growth[OS, :, 0] - bare.growth[OS, :, 0]
        assert set(above.tolist()) == {desk.disks[OS].start_bytes} == {{"200": 200 * MIB, "1": GIB}[floor.split()[0]]}


class TestRoutes:
    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    @pytest.mark.parametrize(
        "strategy, tags",
        [("persistent-disk", ("profile", "user-data")), ("disposable-disk", ("temp", "page"))],
    )
    def test_a_second_disk_gets_exactly_the_tagged_bytes(self, strategy: str, tags: Any, preset: str) -> None:
        plain, routed = (simulate(pool(preset, given), seed=3, processes=1) for given in ((), [strategy]))
        activity = activity_of(plain.scenario)
        moved = {name for name, tag in zip(activity.names, activity.tags, strict=True) if tag in tags}
        before, os, second = written_by(plain, 0), written_by(routed, 0), written_by(routed, 1)
        metadata = activity.names[0]
        assert before[before.index.isin(moved)].equals(second.drop(metadata)), "all of it, and nothing else"
        stay = ~before.index.isin({*moved, metadata})
        assert before[stay].equals(os.drop(metadata)), "the system disk loses exactly that"
        assert len(second) > 2 and len(os) > 5
        last = routed.growth[routed.growth["day"] == 4].groupby("disk")["written_bytes"].sum()
        assert last[1] - second[metadata] == before[before.index.isin(moved)].sum()

    def test_a_packaged_program_is_away_or_not_as_a_whole(self) -> None:
        """Operations on one file go one way, whatever strategies stand beside; all of share 1, none of share 0."""
        scenario = pool(WITHOUT, [{"name": "application-virtualization", "share": 0.5}])
        desk = Desktop(scenario, 3)
        index = np.flatnonzero(desk.layout.installed)[0]
        ops = np.zeros(4000, OPS_DTYPE)
        ops["file"], ops["source"] = np.arange(4000) // 2 + desk.image.first_file, index
        place = desk.layout.disk_of(ops)
        assert (place[::2] == place[1::2]).all()
        assert (place == AWAY).mean() == pytest.approx(0.5, abs=0.05)
        ops["source"] = 0
        assert (desk.layout.disk_of(ops) == OS).all()

    def test_all_programs_or_none(self) -> None:
        all_, none = (pool(WITHOUT, [{"name": "app-attach", "share": share}]) for share in (1.0, 0.0))
        whole, nothing, plain = (lives(scenario, [0, 1, 2]) for scenario in (all_, none, pool(WITHOUT)))
        installs = activity_of(all_).names.index("app-install")
        for one, other, usual in zip(whole, nothing, plain, strict=True):
            assert not one.sources[:, :, installs].any()
            planned = usual.plan.of_source(installs).ops
            assert one.ran.away_bytes == written(planned) and other.ran.away_bytes == 0
            assert other.sources.tobytes() == usual.sources.tobytes()
        assert sum(one.ran.away_bytes for one in whole) > 16 * MIB

    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    def test_the_space_of_a_page_file_counts_once(self, preset: str) -> None:
        """The disposable disk has it from the start; writing into it takes nothing more."""
        tables = {"pool": {"clones": 1, "days": 5}, "guest": {"page_file": "256 MiB"}}
        scenario = pool(preset, [{"name": "disposable-disk", "tags": ["page"]}], **tables)
        (life,) = lives(scenario, [0])
        desk = Desktop(scenario, 3)
        page_file = activity_of(scenario).names.index("page-file")
        start = int(life.ran.steps[1][1][0])
        assert start == desk.disks[1].volume.used_bytes > 256 * MIB
        assert life.sources[1, :, page_file, 0].sum() > 10 * MIB
        assert not life.sources[1, :, page_file, 1].any()
        assert life.growth[1, -1, 0] - start == life.sources[1, :, 0, 1].sum() - life.sources[1, :, 0, 2].sum() < MIB

    def test_where_a_persistent_disk_lies(self) -> None:
        """On the clone's datastore its steps are increments there, elsewhere they are not; sizes are the same."""
        same, other = (
            simulate(pool(WITHOUT, [{"name": "persistent-disk", "where": where}]), seed=3, processes=1)
            for where in ("same", "other")
        )
        assert set(same.increments["disk"]) == {0, 1} and set(other.increments["disk"]) == {0}
        assert same.growth["delta_bytes"].tolist() == other.growth["delta_bytes"].tolist()
        assert same.luns["used_bytes"].iloc[-1] > other.luns["used_bytes"].iloc[-1]
        assert same.luns["write_iops"].sum() > other.luns["write_iops"].sum()


def written_by(run: Run, disk: int) -> pd.Series:
    frame = run.sources[run.sources["disk"] == disk]
    sums = frame.groupby("source", observed=True)["written_bytes"].sum()
    return sums[sums > 0]


class TestEmptiedDisks:
    CYCLE = {"storms": {"reboot": "daily", "restart": "power-cycle"}}

    @pytest.mark.parametrize("strategy", [("disposable-disk",), ("disposable-disk", LOGOFF)], ids=["alone", "refresh"])
    def test_a_disposable_disk_is_back_at_its_start_at_each_power_off(self, strategy: Sequence[Any]) -> None:
        scenario = pool(WITHOUT, strategy, **self.CYCLE)
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        life = live(desk, line, 0)
        off_s = line.emptied(0, "power-off")
        refreshed = line.emptied(0, "refresh")
        assert 3 <= off_s.size and (refreshed.size > 0) == (len(strategy) == 2)
        assert set(refreshed) <= set(off_s) and off_s.size - refreshed.size >= 3
        time_s, size = life.ran.steps[1]
        assert [size[time_s <= t].sum() for t in off_s] == [size[0]] * off_s.size
        shrank = -size[np.isin(time_s, off_s) & (size < 0)]
        assert shrank.size >= 3 and shrank.max() > MIB
        assert life.growth[1, :, 0].max() > size[0]
        os_s, os = life.ran.steps[OS]
        assert set(os_s[os < 0]) <= set(refreshed), "a power-off alone leaves the delta"

    def test_a_restart_inside_the_guest_empties_nothing(self) -> None:
        scenario = pool(WITHOUT, ["disposable-disk"], storms={"reboot": "daily"})
        line = Timeline.of(scenario, 3)
        assert not line.emptied(0, "power-off").size
        assert line.presence(0).boots_s.size > 3

    def test_a_persistent_disk_outlives_every_reset(self) -> None:
        alone, refreshed = (lives(pool(WITHOUT, s)) for s in (["persistent-disk"], [LOGOFF, "persistent-disk"]))
        for one, other in zip(alone, refreshed, strict=True):
            assert (np.diff(other.growth[1, :, 0]) >= 0).all()
            assert one.growth[1].tolist() == other.growth[1].tolist(), "the same users do the same work on it"
            assert one.growth[OS, -1, 0] > other.growth[OS, -1, 0]

    def test_datastores_hold_what_the_files_hold(self) -> None:
        """In whole units of 1 MiB for all files of a clone on the LUN together, resets included."""
        run = simulate(pool(WITHOUT, [LOGOFF, "disposable-disk", "persistent-disk"]), seed=3, processes=1)
        last = run.growth[run.growth["day"] == 4]
        here = on_the_lun(run.scenario).tolist()
        assert len(here) == 2, "the system disk and the disposable one"
        clones = last[last["disk"].isin(here)].groupby("clone")["delta_bytes"].sum()
        allocated = (-(-clones // MIB) * MIB).sum()
        assert run.luns["used_bytes"].iloc[-1] - run.luns["fixed_bytes"].iloc[-1] == allocated
        assert (run.luns["used_bytes"].diff() < 0).sum() > 3, "space comes back at resets"


MANY = (LOGOFF, "persistent-disk", "disposable-disk", "application-virtualization")


def two_luns(strategy: Sequence[Any] = MANY) -> Scenario:
    return pool(WITHOUT, strategy, pool={"clones": 8, "days": 4}, luns={"count": 2, "size": "1 TiB"})


@pytest.fixture(scope="module")
def alone() -> Run:
    return simulate(two_luns(), seed=1, processes=1)


class TestTheSameBytes:
    def test_two_processes(self, alone: Run) -> None:
        assert simulate(two_luns(), seed=1, processes=2).hash == alone.hash

    def test_batches_backwards_and_of_other_sizes(self, alone: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replicates, "LEAST_JOBS", 3)
        executor = Reversed()
        assert simulate(two_luns(), seed=1, executor=executor).hash == alone.hash
        assert {len(job.clones) for job in executor.done} == {2}

    def test_the_order_of_strategies_means_nothing(self, alone: Run) -> None:
        assert simulate(two_luns(MANY[::-1]), seed=1, processes=1).hash == alone.hash

    def test_it_is_not_the_pool_without(self, alone: Run) -> None:
        assert simulate(two_luns(()), seed=1, processes=1).hash != alone.hash
