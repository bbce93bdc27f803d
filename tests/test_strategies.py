"""Strategies as mechanisms: plans stay, nothing vanishes, and whatever does the work gives the same bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, Reversed, live
from strategy_tools import (
    ALL,
    BARE,
    CACHED,
    EXACT,
    LOGOFF,
    MIB,
    RECLAIMED,
    RESETS,
    ROUTES,
    SWITCHES,
    full_plan,
    lives,
    named,
    pool,
    written,
)

from clonesim.guest.rows import Plan
from clonesim.pool import replicates
from clonesim.pool.account_kernel import READ_BYTES, READS
from clonesim.pool.clones import Job, plan_of, run_job
from clonesim.pool.desktop import Demand, Desktop, activity_of
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate
from clonesim.pool.strategies.layout import LUN, OS, effective
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario


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
        changed = self.changed(plain, [{"name": "guest-tuning", **SWITCHES, switch: True}])
        sources: dict[str, set[str]] = {
            "page_file": set(),  # it moves to a disk of its own
            "prefetch": {"prefetch", "superfetch"},
            "search": {"search-index", "search-index-log"},
            "defragmentation": {"boot-defragmentation"},
        }
        busy = {activity_of(pool(plain[0])).names[k] for one in plain[1] for k in {*one.ops["source"].tolist()}}
        assert changed == sources[switch] & busy, "all that its sources do is gone"
        assert changed or switch != "prefetch", "the others need not do anything on every system"


class TestNothingVanishes:
    """The plan's bytes are written on one of the disks, or are those that programs from packages no longer write."""

    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    @pytest.mark.parametrize("name", ALL)
    def test_bytes_of_the_plan(self, name: str, preset: str) -> None:
        scenario = named(name, preset)
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        for clone in (0, 3):
            applied = np.zeros(len(desk.disks), np.int64)
            for place, disk in enumerate(desk.disks):
                self.count(disk, applied, place)
            life = live(desk, line, clone, full_plan(scenario, desk, line, clone))
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
            reads = [life.demand.lun.sum(axis=0) + life.demand.elsewhere.sum(axis=0) for life in (one, other)]
            assert reads[0][READ_BYTES] == reads[1][READ_BYTES]
            assert (reads[0][READS] == reads[1][READS]) == ("container" not in name), "a share takes requests on top"

    @pytest.mark.parametrize("name", ALL)
    def test_sums_agree(self, name: str) -> None:
        """Written by source is written by disk is demand; growth steps add up to the sizes at the end."""
        scenario = named(name, WITH_DISCARDS)
        batch = run_job(Job(scenario, 3, 0, 0, (0, 3)))
        line, disks = Timeline.of(scenario, 3), Desktop(scenario, 3).layout.disks
        assert batch.sources[..., 0].sum(axis=(2, 3)).tolist() == batch.growth[:, :, -1, 2].tolist()
        here = [place for place, disk in enumerate(disks) if disk.where == LUN]
        away = [place for place, disk in enumerate(disks) if disk.where != LUN]
        by_volumes, reclaiming = batch.growth[:, here, -1, 2].sum(), batch.total("reclaim_written_bytes").sum()
        if name == "zero":  # what is moved is no volume's; zeros are, and count as written for reclaiming, too
            assert by_volumes < batch.demand[:, 3].sum() < by_volumes + reclaiming
        elif name not in CACHED:
            assert batch.demand[:, 3].sum() == by_volumes + reclaiming
        assert (reclaiming > 0) == (name in RECLAIMED)
        assert batch.elsewhere[:, 3].sum() == batch.growth[:, away, -1, 2].sum()
        for k, clone in enumerate((0, 3)):
            for place, disk in enumerate(disks):
                mine = (batch.clone == clone) & (batch.disk == place)
                time_s, size = batch.time_s[mine], batch.size[mine]
                assert size.sum() == batch.growth[k, place, -1, 0]
                emptied = line.emptied(clone, disk.emptied)
                running = np.cumsum(size)
                assert (np.diff(time_s) >= 0).all()
                assert running.min() == size[0] == running[0]
                if place == OS and "mcs" in name and name in CACHED:
                    assert (size > 0).all() and emptied.size, "the disk of the cache keeps its size"
                    continue
                for reset_s in emptied:
                    assert size[time_s <= reset_s].sum() == size[0], "emptied: as at the start"
                if place == OS and name not in RECLAIMED:  # what it frees stays: only a reset makes it smaller
                    assert set(time_s[size < 0]) <= set(emptied)
                    assert (size < 0).any() == (emptied.size > 0)

    @pytest.mark.parametrize("name", [*RESETS, *CACHED])
    def test_first_touches_of_each_epoch(self, name: str) -> None:
        """First touches minus releases between two resets are what the delta held when it was emptied."""
        scenario = named(name, WITH_DISCARDS, **{k: v for k, v in EXACT.items() if k != "platform"})
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        turns = line.turns(0, desk.layout.disks)
        sources = np.zeros((len(desk.disks), 5, len(desk.activity.names), 3), np.int64)
        seen: list[tuple[int, int]] = []  # first touches less releases, and what is held
        for place, disk in enumerate(desk.disks):
            self.look(disk, place, sources, seen)
        plan = plan_of(desk.activity, line, 0, desk.image.first_file)
        growth = np.zeros((len(desk.disks), 5, 4), np.int64)
        desk.run(plan, turns, growth, sources, Demand.none(5))
        assert len(seen) == sum(part.emptied_s.size for part in turns) > 0
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
        monkeypatch.setattr(replicates, "LEAST_GROUPS", 3)
        executor = Reversed()
        assert simulate(two_luns(), seed=1, executor=executor).hash == alone.hash
        assert {len(job.clones) for job in executor.done} == {2}

    def test_the_order_of_strategies_means_nothing(self, alone: Run) -> None:
        assert simulate(two_luns(MANY[::-1]), seed=1, processes=1).hash == alone.hash

    def test_it_is_not_the_pool_without(self, alone: Run) -> None:
        assert simulate(two_luns(()), seed=1, processes=1).hash != alone.hash
