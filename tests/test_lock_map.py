"""Does locking bite: phases counted by hand, cells of a known answer, cliffs, other assumptions, text and charts."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from plan_tools import made_sample

from clonesim.console.locks import locks_json, print_locks
from clonesim.errors import ParameterError
from clonesim.lun.operations import GROWTH, LOCK_BREAK, POWER_ON
from clonesim.planning.lock_map import BY_LOAD, LockGrid, lock_cliff, lock_map, lock_pool
from clonesim.planning.lock_phases import (
    BOOT_STORM,
    HOST_FAILURE,
    PATCH_HOUR,
    PHASES,
    STEADY,
    Habits,
    Phases,
    joined,
)
from clonesim.planning.lock_sensitivity import AS_USUAL, cases, lock_sensitivity
from clonesim.planning.pool_sample import Steps
from clonesim.plots.locks import plot_lock_panel, plot_lock_sensitivity, save_lock_charts
from clonesim.scenario import catalog, load_scenario

CLONES, DAYS = 48, 15
HOUR_S = 3600.0


@pytest.fixture(scope="module")
def sample():
    with pytest.MonkeyPatch.context() as patch:
        shorter(patch)
        return lock_pool(seed=3, clones=CLONES, processes=1)


def shorter(patch):
    """A pool of two weeks, with a patch day."""
    value = catalog.value
    patch.setattr(
        catalog, "value", lambda topic, name: DAYS if (topic, name) == ("lock_map", "days") else value(topic, name)
    )


@pytest.fixture(scope="module")
def phases(sample):
    return Phases(sample)


@pytest.fixture(scope="module")
def frame(sample):
    with pytest.MonkeyPatch.context() as patch:
        value = catalog.value
        given = {"vary.clones": 32, "vary.hosts": 4}
        patch.setattr(
            catalog,
            "value",
            lambda topic, name: given[name] if topic == "lock_map" and name in given else value(topic, name),
        )
        return lock_sensitivity(sample, clones=(8, 16, CLONES))


def even_sample(gap_s, clones=4):
    """Steps at even distances all the time, clone after clone."""
    scenario = load_scenario(pool={"clones": clones, "days": DAYS}, luns={"placement": "round-robin"})
    times = np.arange(0.0, DAYS * 86400.0, gap_s)
    steps = Steps(times, np.arange(times.size) % clones, np.zeros(times.size, np.int32))
    return made_sample(scenario, np.ones((1, clones, DAYS)), steps=[steps])


def brute_busiest(times, starts):
    """First of the starts with most times in the hour after it."""
    counts = [int(((times >= a) & (times < a + HOUR_S)).sum()) for a in starts]
    return starts[int(np.argmax(counts))], max(counts)


def overlap(start, end):
    """Most intervals that are open at a time."""
    marks = sorted([(t, 1) for t in start] + [(t, -1) for t in end])
    return max(np.cumsum([step for _, step in marks]))


class TestPhases:
    def test_all_are_there(self, phases):
        assert phases.names == PHASES

    def test_patch_hour_is_the_busiest_of_the_patch_window(self, sample, phases):
        line, times = sample.timelines[0], sample.steps[0].time_s
        begins = line.shared.events["patches"][0]
        ends = begins + line.windows_s["patches"] + 600.0
        starts = [a for b, e in zip(begins, ends, strict=True) for a in np.arange(b, e - HOUR_S + 1, 60.0)]
        best, count = brute_busiest(times, starts)
        assert phases.hours_s[PATCH_HOUR] == best
        scene = phases.scene(PATCH_HOUR, CLONES, 4)
        assert scene.operations.time_s.size == count > 100
        assert phases.steps(PATCH_HOUR) == count / CLONES

    def test_steady_hour_has_no_storm_and_lies_in_a_settled_working_day(self, sample, phases):
        start, line = phases.hours_s[STEADY], sample.timelines[0]
        day, at = divmod(start, 86400.0)
        assert day >= 7
        assert line.calendar.workdays()[int(day)]
        assert 9 * HOUR_S <= at <= 17 * HOUR_S
        for kind, (times, _) in line.shared.events.items():
            assert not ((times < start + HOUR_S) & (times + line.windows_s[kind] > start)).any(), kind

    def test_hour_s_steps_are_those_simulated(self, sample, phases):
        scene = phases.scene(PATCH_HOUR, 10, 4)
        start, steps = phases.hours_s[PATCH_HOUR], sample.steps[0]
        inside = (steps.time_s >= start) & (steps.time_s < start + HOUR_S)
        times = scene.operations.time_s + start
        all_times = steps.time_s[inside]
        assert np.isin(np.round(times, 6), np.round(all_times, 6)).all()
        by_clone = sorted(np.bincount(steps.clone[inside], minlength=CLONES).tolist())
        mine = np.bincount(scene.operations.clone, minlength=10).tolist()
        assert set(mine) <= set(by_clone)
        assert sum(by_clone[:10]) <= sum(mine) <= sum(by_clone[-10:])

    def test_clones_are_dealt_to_hosts_in_turn(self, phases):
        scene = phases.scene(BOOT_STORM, 10, 4)
        power_on = scene.operations.kind == POWER_ON
        counts = np.bincount(scene.operations.host[power_on], minlength=4)
        assert counts.tolist() == [3, 3, 2, 2]
        assert sorted(scene.operations.clone[power_on].tolist()) == list(range(10))

    def test_boot_storm_keeps_the_limit_of_power_operations(self, sample):
        small = load_scenario(sample.scenario, platform={"power": 5})
        scene = Phases(replace(sample, scenario=small)).scene(BOOT_STORM, CLONES, 4)
        start = scene.operations.time_s[scene.operations.kind == POWER_ON]
        shortest = 78.0 * 0.75  # of the catalog's boot, with its spread
        assert overlap(start, start + shortest) <= 5
        assert scene.length_s >= CLONES / 5 * shortest

    def test_orders_come_one_by_one(self, phases):
        for orders in (0.0, 3.0):
            scene = phases.scene(BOOT_STORM, 20, 4, habits=Habits(orders_s=orders))
            start = np.sort(scene.operations.time_s[scene.operations.kind == POWER_ON])
            assert (start <= orders * np.arange(1, 21)).all()
            assert (start >= orders * np.arange(20)).all()

    @pytest.mark.parametrize(("n", "hosts"), [(40, 8), (9, 4), (3, 32)])
    def test_host_failure_restarts_the_dead_host_s_clones_elsewhere(self, phases, n, hosts):
        operations = phases.scene(HOST_FAILURE, n, hosts).operations
        dead = -(-n // hosts)
        breaks, starts = operations.kind == LOCK_BREAK, operations.kind == POWER_ON
        assert breaks.sum() == starts.sum() == dead
        assert operations.host.max() < hosts - 1
        first, then = (np.argsort(operations.clone[rows]) for rows in (breaks, starts))
        gaps = operations.time_s[starts][then] - operations.time_s[breaks][first]
        assert gaps == pytest.approx(np.full(dead, 4.0))

    def test_merged_steps(self, sample, phases):
        steps, start = sample.steps[0], phases.hours_s[PATCH_HOUR]
        expected = 0
        for clone in range(CLONES):
            mine = np.sort(steps.time_s[steps.clone == clone])
            expected += sum(k % 4 == 0 for k, t in enumerate(mine) if start <= t < start + HOUR_S)
        merged = phases.scene(PATCH_HOUR, CLONES, 4, habits=Habits(merge=4))
        assert merged.operations.time_s.size == expected

    def test_given_growth_of_a_boot(self, phases):
        operations = phases.scene(BOOT_STORM, 12, 4, habits=Habits(boot_steps=18)).operations
        grown = operations.kind == GROWTH
        assert np.bincount(operations.clone[grown]).tolist() == [18] * 12
        merged = phases.scene(BOOT_STORM, 12, 4, habits=Habits(boot_steps=18, merge=4)).operations
        assert (merged.kind == GROWTH).sum() == 12 * 5

    def test_latency_is_longer_in_a_boot_storm_on_slow_disks(self, sample):
        array = {"media": "hdd-7k", "disks": 6, "spares": 0, "raid": "raid-10", "read_cache": 0}
        slow = Phases(replace(sample, scenario=load_scenario(sample.scenario, array=array)))
        storm = slow.scene(BOOT_STORM, CLONES, 4)
        assert storm.latency_s.max() > 4 * slow.scene(STEADY, CLONES, 4).latency_s.max()
        assert storm.length_s > 3 * Phases(sample).scene(BOOT_STORM, CLONES, 4).length_s

    def test_scenes_do_not_overlap(self, phases):
        operations, windows, scenes, period = joined(lambda k: phases.scene(PATCH_HOUR, 8, 4, k), 5)
        assert operations.time_s.size == sum(scene.operations.time_s.size for scene in scenes)
        assert (windows[1:, 0] >= windows[:-1, 1] + 2 * HOUR_S).all()
        assert windows[1, 0] == 60.0 * period
        for a, b in pairwise(range(5)):
            rows = [(operations.time_s >= windows[k, 0]) & (operations.time_s <= windows[k, 1]) for k in (a, b)]
            assert not set(operations.clone[rows[0]]) & set(operations.clone[rows[1]])

    def test_no_patches_no_patch_hour(self):
        scenario = load_scenario(
            pool={"clones": 8, "days": DAYS}, storms={"patch_day": "never"}, luns={"placement": "round-robin"}
        )
        made = made_sample(scenario, np.ones((1, 8, DAYS)), lines=True)
        assert PATCH_HOUR not in Phases(made).names


class TestRefused:
    def refused(self, call, text):
        with pytest.raises(ParameterError) as caught:
            call()
        assert str(caught.value) == text

    def test_too_many_clones(self, phases):
        text = "clones=49: the pool has 48. Simulate more clones."
        self.refused(lambda: phases.scene(STEADY, 49, 4), text)

    def test_no_host_left(self, phases):
        self.refused(lambda: phases.scene(HOST_FAILURE, 8, 1), "hosts=1: a host failure needs 2 hosts or more.")

    def test_unknown_phase(self, phases):
        text = "phase='noon': this pool has steady, boot storm, patch hour, host failure."
        self.refused(lambda: phases.scene("noon", 8, 4), text)

    def test_unknown_locking(self, sample):
        text = "locking='nfs': allowed are 'scsi-reservation', 'ats', 'fifo'."
        self.refused(lambda: lock_map(sample, lockings=("nfs",), clones=(8,), hosts=(2,)), text)

    def test_run_too_short_for_a_steady_hour(self):
        scenario = load_scenario(pool={"clones": 8, "days": 3}, luns={"placement": "round-robin"})
        made = made_sample(scenario, np.ones((1, 8, 3)), lines=True)
        text = "pool.days=3: no whole hour of a working day lies between the storms. Simulate more days."
        self.refused(lambda: Phases(made), text)


class TestCells:
    def test_even_steps_under_an_ideal_lock(self):
        """A hold of 20 ms every 0.4 s: the wait is uniform on (0, 20 ms) for 5 % of the time, so p99 is 16 ms."""
        cell = lock_map(
            even_sample(0.4), lockings=("fifo",), clones=(4,), hosts=(2,), holds=(20e-3,), phases=(STEADY,)
        ).iloc[0]
        assert cell["wait_p99_s"] == pytest.approx(0.016, abs=1e-3)
        assert cell["wait_p50_s"] == 0.0
        assert cell["steps_per_s"] == cell["requests_per_s"] == pytest.approx(2.5)
        assert cell["reserved_fraction"] == cell["held"] == pytest.approx(0.05)
        assert not cell["passes"]
        assert cell["conflicts_per_s"] == cell["failed"] == cell["io_met"] == 0.0

    def test_even_steps_under_reservations(self):
        """Of two hosts, the other's hold is in the way for 2.5 % of the time and costs a back-off of 0 to 40 ms."""
        cell = lock_map(
            even_sample(0.1), lockings=("scsi-reservation",), clones=(4,), hosts=(2,), holds=(5e-3,), phases=(STEADY,)
        ).iloc[0]
        assert cell["wait_p99_s"] == pytest.approx(0.024, abs=4e-3)  # 60 % of the back-offs do not exceed 24 ms
        assert cell["io_met"] == pytest.approx(0.025, rel=0.01)
        assert cell["passes"]

    def test_hold_by_load_is_commands_times_latency(self, sample):
        cells = lock_map(sample, clones=(16,), hosts=(4,), holds=(BY_LOAD,), phases=(STEADY,)).set_index("locking")
        low, high = 1.0, 0.0
        for k in range(16):
            latency = Phases(sample).scene(STEADY, 16, 4, k).latency_s
            low, high = min(low, latency.min()), max(high, latency.max())
        assert 4 * low <= cells.loc["scsi-reservation", "hold_s"] <= 4 * high
        assert cells.loc["ats", "hold_s"] == pytest.approx(cells.loc["scsi-reservation", "hold_s"] / 4)

    def test_ideal_lock_is_the_lower_bound(self, sample):
        cells = lock_map(sample, clones=(16, CLONES), hosts=(4,), holds=(20e-3,))
        table = cells.pivot(index=["phase", "clones"], columns="locking", values="wait_p99_s")
        assert (table["fifo"] <= table["scsi-reservation"] + 1e-3).all()
        assert (table["ats"] <= table["scsi-reservation"] + 1e-3).all()
        assert table.loc[(BOOT_STORM, CLONES), "scsi-reservation"] > 0.02
        rows = cells.set_index("locking")
        assert (rows.loc["fifo", "conflicts_per_s"] == 0).all()
        assert (rows.loc["ats", ["reserved_fraction", "io_met"]] == 0).all(axis=None)

    def test_longer_holds_reserve_more_in_proportion(self, sample):
        cells = lock_map(sample, lockings=("fifo",), clones=(CLONES,), hosts=(4,), phases=(PATCH_HOUR,))
        held = cells.set_index("hold")["held"]
        assert held["20 ms"] == pytest.approx(4 * held["5 ms"])
        assert held["1 ms"] == pytest.approx(held["0.3 ms"] / 0.3)

    def test_one_surviving_host_meets_no_conflict(self, sample):
        cells = lock_map(sample, clones=(CLONES,), hosts=(2,), holds=(20e-3,), phases=(HOST_FAILURE,))
        assert (cells["conflicts_per_s"] == 0).all()
        assert cells["wait_p99_s"].nunique() == 1

    def test_the_same_twice(self, sample):
        asked = {"clones": (16,), "hosts": (4,), "holds": (5e-3, BY_LOAD)}
        pd.testing.assert_frame_equal(lock_map(sample, **asked), lock_map(sample, **asked))

    def test_progress(self, sample):
        told = []
        lock_map(
            sample, clones=(8, 16), hosts=(2,), holds=(5e-3,), phases=(STEADY,), progress=lambda *at: told.append(at)
        )
        assert told == [(3, 6), (6, 6)]

    def test_the_scenario_s_own_locks_count(self, sample):
        own = load_scenario(sample.scenario, luns={"locks": {"backoff": "3 ms", "locks_per_power_on": 20}})
        made = LockGrid(replace(sample, scenario=own)).locks("scsi-reservation", 5e-3)
        assert made.model.backoff_ns == 3_000_000
        assert made.counts[POWER_ON] == 20
        assert made.hold_ns == 5_000_000


class TestCliff:
    def frame(self, waits, counts=(8, 16, 32)):
        rows = [
            {"locking": "ats", "phase": STEADY, "hold": "1 ms", "hosts": 4, "clones": n, "wait_p99_s": w}
            for n, w in zip(counts, waits, strict=True)
        ]
        table = pd.DataFrame(rows)
        return table.assign(passes=table["wait_p99_s"] > 0.02)

    @pytest.mark.parametrize(
        ("waits", "largest", "passes_at", "there"),
        [
            ((0.0, 0.01, 0.02), 32, pd.NA, 0.02),
            ((0.0, 0.03, 0.05), 8, 16, 0.03),
            ((0.03, 0.0, 0.05), 0, 8, 0.03),
            ((0.0, 0.03, 0.01), 8, 16, 0.03),
        ],
    )
    def test_by_hand(self, waits, largest, passes_at, there):
        row = lock_cliff(self.frame(waits)).iloc[0]
        assert row["largest"] == largest
        assert (row["passes_at"] is pd.NA) == (passes_at is pd.NA)
        assert passes_at is pd.NA or row["passes_at"] == passes_at
        assert row["wait_p99_s"] == there


class TestSensitivity:
    def at(self, frame, assumption, value, locking="scsi-reservation", phase=BOOT_STORM):
        rows = frame.set_index(["assumption", "value", "locking", "phase"]).sort_index()
        return rows.loc[(assumption, value, locking, phase)]

    def test_usual_case_is_the_map_s(self, sample, frame):
        cells = lock_map(sample, lockings=("scsi-reservation",), clones=(32,), hosts=(4,), holds=(5e-3,))
        waits = cells.set_index("phase")["wait_p99_s"]
        for phase in (BOOT_STORM, PATCH_HOUR, HOST_FAILURE):
            assert self.at(frame, AS_USUAL, "", phase=phase)["wait_p99_s"] == waits[phase]

    def test_more_locks_wait_longer_and_fit_fewer(self, frame):
        usual, more = self.at(frame, AS_USUAL, ""), self.at(frame, "locks per power-on", "50")
        assert more["wait_p99_s"] > usual["wait_p99_s"]
        assert more["conflicts_per_s"] > usual["conflicts_per_s"]
        assert more["largest"] <= usual["largest"]
        assert more["io_met"] > 3 * usual["io_met"]

    def test_larger_steps_leave_power_operations_alone(self, frame):
        one, other = (self.at(frame, "growth by", f"{size} MiB") for size in (256, 1024))
        assert one["io_met"] == pytest.approx(other["io_met"], rel=0.02)
        usual, larger = (
            self.at(frame, *name, phase=PATCH_HOUR)["io_met"] for name in ((AS_USUAL, ""), ("growth by", "64 MiB"))
        )
        assert larger == pytest.approx(usual / 4, rel=0.1)

    def test_one_ats_lock_waits_as_a_reservation(self, frame):
        assert self.at(frame, "ATS locks", "1", "ats")["wait_p99_s"] == self.at(frame, AS_USUAL, "")["wait_p99_s"]

    def test_every_case_once(self, frame):
        assert not frame.duplicated(["assumption", "value", "locking", "phase"]).any()
        assert len(frame) == sum(len(case.phases) * len(case.lockings) for case in cases())

    def test_text_charts_and_json(self, sample, frame, capsys, tmp_path):
        cells = lock_map(sample, clones=(8, 16, CLONES), hosts=(2, 4), holds=(5e-3, 20e-3))
        print_locks(cells, frame)
        text = capsys.readouterr().out
        assert "SCSI reservation of the whole LUN: fewest clones" in text
        assert "locks per power-on 50" in text
        assert max(len(line) for line in text.splitlines()) <= 80
        told = locks_json(cells, frame)
        assert len(told["cells"]) == len(cells)
        assert {row["largest"] for row in told["sensitivity"]} <= {0, 8, 16, 32, CLONES}
        saved = save_lock_charts(cells, frame, tmp_path)
        names = ["lock_map_scsi-reservation.png", "lock_map_ats.png", "lock_map_fifo.png", "lock_sensitivity.png"]
        assert [path.name for path in saved] == names
        assert all(path.stat().st_size > 10_000 for path in saved)


class TestCharts:
    def panel(self, waits):
        rows = [
            {"hosts": hosts, "clones": n, "wait_p99_s": wait}
            for hosts, row in waits.items()
            for n, wait in zip((8, 16, 32), row, strict=True)
        ]
        frame = pd.DataFrame(rows)
        frame.attrs["limit_s"] = 0.02
        return frame

    def test_figures_and_the_line(self):
        from matplotlib.figure import Figure

        ax = Figure().add_subplot()
        plot_lock_panel(self.panel({2: (0.0, 0.0031, 0.03), 4: (0.0, 0.024, np.inf)}), ax)
        texts = {(t.get_position()): t.get_text() for t in ax.texts}
        assert texts == {
            (0.5, 0.5): "·",
            (1.5, 0.5): "3.1",
            (2.5, 0.5): "30",
            (0.5, 1.5): "·",
            (1.5, 1.5): "24",
            (2.5, 1.5): "fails",
        }
        lines = {tuple(map(tuple, line.get_xydata().tolist())) for line in ax.lines}
        assert lines == {((2, 0), (2, 1)), ((1, 1), (2, 1)), ((1, 1), (1, 2))}

    def test_sensitivity_tells_wait_and_clones(self):
        from matplotlib.figure import Figure

        rows = [("as in the map", "", "ats", STEADY, 0.0, 64), ("back-off", "1 ms", "ats", STEADY, 0.123, 8)]
        names = ["assumption", "value", "locking", "phase", "wait_p99_s", "largest"]
        ax = Figure().add_subplot()
        plot_lock_sensitivity(pd.DataFrame(rows, columns=names), ax)
        assert {"none, to 64", "123, to 8"} <= {t.get_text() for t in ax.texts}
        assert [t.get_text() for t in ax.get_yticklabels()] == ["as in the map", "back-off 1 ms"]
