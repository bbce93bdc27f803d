"""Strategies' disks, by hand: what lies on which, what they hold after a reset, and that others are left alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, Life, live, small
from strategy_tools import BARE, EXACT, GIB, KIB, LOGOFF, MIB, lives, pool, written

from clonesim.guest.presence import DAY_S
from clonesim.guest.rows import Plan, Reads
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.desktop import Desktop, activity_of
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate
from clonesim.pool.strategies.layout import AWAY, OS, on_the_lun
from clonesim.pool.timeline import Timeline

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
        _, line, life = self.life([BARE])
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
        """Grains of 512 B as in exact; a table of 16 KiB for each 2 MiB touched of the disk; steps of 16 MiB."""
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


CYCLE = {"storms": {"reboot": "daily", "restart": "power-cycle"}}


class TestEmptiedDisks:
    @pytest.mark.parametrize("strategy", [("disposable-disk",), ("disposable-disk", LOGOFF)], ids=["alone", "refresh"])
    def test_a_disposable_disk_is_back_at_its_start_at_each_power_off(self, strategy: Sequence[Any]) -> None:
        scenario = pool(WITHOUT, strategy, **CYCLE)
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        life = live(desk, line, 0)
        off_s = line.emptied(0, "power-off")
        refreshed = line.emptied(0, "refresh")
        assert off_s.size >= 3 and (refreshed.size > 0) == (len(strategy) == 2)
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
