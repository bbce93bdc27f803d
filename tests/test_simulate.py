"""simulate: the same bytes whatever does the work, sums that agree, frames as the design names them."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITH_DISCARDS, Reversed, live, small

from clonesim.errors import ClonesimError, ParameterError
from clonesim.lun.backing import backing
from clonesim.pool import clones as stage
from clonesim.pool import replicates
from clonesim.pool.clones import Desktop, activity_of, plan_of
from clonesim.pool.run import FRAMES, Run
from clonesim.pool.simulate import simulate
from clonesim.pool.timeline import Timeline

THREE_LUNS = {"pool": {"clones": 9, "days": 4}, "luns": {"count": 3}}


@pytest.fixture(scope="module")
def alone() -> Run:
    return simulate(small(**THREE_LUNS), seed=0, processes=1)


class TestTheSameBytes:
    def test_seed_0_twice_and_another_seed(self, alone: Run) -> None:
        stage._desktop_of.cache_clear()
        stage._timeline_of.cache_clear()
        again = simulate(small(**THREE_LUNS), seed=0, processes=1)
        assert again.hash == alone.hash
        assert simulate(small(**THREE_LUNS), seed=1).hash != alone.hash

    def test_two_processes(self, alone: Run) -> None:
        assert simulate(small(**THREE_LUNS), seed=0, processes=2).hash == alone.hash

    def test_jobs_done_in_reverse(self, alone: Run) -> None:
        executor = Reversed()
        assert simulate(small(**THREE_LUNS), seed=0, executor=executor).hash == alone.hash
        assert [job.clones[0] for job in executor.done] == [8, 5, 2, 7, 4, 1, 6, 3, 0], "LUN by LUN, backwards"

    def test_threads_that_share_a_desktop(self, alone: Run) -> None:
        """Desktops are kept between jobs; two threads must not run two clones on one of them at a time."""
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(3) as executor:
                assert simulate(small(**THREE_LUNS), seed=0, executor=executor).hash == alone.hash
                assert executor.submit(int, "1").result() == 1, "the user's executor was closed"
        finally:
            sys.setswitchinterval(interval)

    def test_demand_that_is_added_up_as_it_comes(self) -> None:
        """The same by LUN and minute, whatever the order of batches; what is left of them holds none."""
        whole, summed = (
            list(replicates.replicates_of(small(**THREE_LUNS), 0, 2, executor, add_up=add_up))
            for executor, add_up in ((None, False), (Reversed(), True))
        )
        summed.sort(key=lambda one: one.number)
        assert len(whole) == 2
        for one, other in zip(whole, summed, strict=True):
            for lun in range(3):
                assert one.demand(lun).any()
                assert one.demand(lun).tobytes() == other.demand(lun).tobytes()
            assert all(batch.demand.size for batch in one.batches)
            assert not any(batch.demand.size for batch in other.batches)

    def test_a_clone_does_not_depend_on_its_batch(self, alone: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = Reversed()
        monkeypatch.setattr(replicates, "LEAST_JOBS", 4)
        monkeypatch.setattr(replicates, "LEAST_GROUPS", 1)
        assert simulate(small(**THREE_LUNS), seed=0, executor=executor).hash == alone.hash
        assert [len(job.clones) for job in executor.done] == [1, 2] * 3

    def test_replicates_differ_and_the_first_is_the_run_alone(self, alone: Run) -> None:
        run = simulate(small(**THREE_LUNS), seed=0, replicates=2)
        first = run.growth[run.growth["replicate"] == 0]
        second = run.growth[run.growth["replicate"] == 1].reset_index(drop=True)
        pd.testing.assert_frame_equal(first, alone.growth)
        assert (second["written_bytes"] != alone.growth["written_bytes"]).all()
        assert set(run.luns["replicate"]) == set(run.sources["replicate"]) == set(run.increments["replicate"]) == {0, 1}
        assert [len(part) for part in run.first_full_s] == [3, 3]

    def test_the_hash_sees_every_frame(self, alone: Run) -> None:
        for name in FRAMES:
            frame = getattr(alone, name)
            if not len(frame):
                continue
            changed = frame.copy()
            column = next(k for k, kind in enumerate(changed.dtypes) if kind.kind in "if" and k > 1)
            changed.iloc[-1, column] += 1
            assert replace(alone, **{name: changed}).hash != alone.hash, name


class TestPlans:
    @pytest.mark.parametrize("off", ["browser-cache", "antivirus-definitions", "page-file", "temp-files"])
    def test_a_source_switched_off_leaves_all_others_as_they_were(self, off: str) -> None:
        usual, less = small(), small(workload={"sources": {off: False}})
        activity, others = activity_of(usual), activity_of(less)
        assert activity.names == others.names
        gone = activity.names.index(off)
        for clone in (0, 5):
            with_it = plan_of(activity, Timeline.of(usual, 7), clone, 5000)
            without = plan_of(others, Timeline.of(less, 7), clone, 5000)
            assert (with_it.ops["source"] == gone).any(), "the source does nothing: the test says nothing"
            assert with_it.ops[with_it.ops["source"] != gone].tobytes() == without.ops.tobytes()
            left = with_it.reads.source != gone
            for name in ("time_s", "source", "bytes", "ios"):
                assert getattr(with_it.reads, name)[left].tobytes() == getattr(without.reads, name).tobytes()

    def test_a_source_switched_off_leaves_what_the_others_write(self) -> None:
        """Through the volume too: only the file system's own metadata feel it."""
        usual = simulate(small(), seed=7)
        less = simulate(small(workload={"sources": {"temp-files": False}}), seed=7)
        keys = ["replicate", "day", "clone", "disk", "source"]
        both = usual.sources.merge(less.sources, on=keys, how="outer", suffixes=("", "_less"))
        both = both[~both["source"].isin(["temp-files", "file-system metadata"])]
        assert len(both) > 100
        assert (both["written_bytes"] == both["written_bytes_less"]).all()
        assert "temp-files" not in set(less.sources["source"])


FORMATS = {
    "vmfs-sparse": ("vmfs-5", {}),
    "se-sparse": ("vmfs-6", {}),
    "qcow2": ("nfs", {}),
    "vhd": ("nfs", {}),
    "vhdx": ("csv", {}),
    "rbd": ("rbd", {}),
    "zfs-zvol": ("zfs", {"hosts": {"count": 1}}),
    "lvm-thin": ("lvm-thin", {"hosts": {"count": 1}}),
    "exact": ("vmfs-5", {}),
}


class TestSums:
    """First touches minus releases, over all sources, are the delta's grains; growth steps add up to its file."""

    @pytest.mark.parametrize("discards", [True, False])
    @pytest.mark.parametrize("name", FORMATS)
    def test_formats(self, name: str, discards: bool) -> None:
        where, more = FORMATS[name]
        run = simulate(
            small(
                WITH_DISCARDS,
                pool={"clones": 2, "days": 7},
                platform={"name": "generic"},
                delta={"format": name},
                guest={"discards": discards},
                luns={"backing": where},
                **more,
            ),
            seed=3,
        )
        released = run.sources["released_bytes"].sum()
        honoured = discards and name not in ("vmfs-sparse", "vhd")
        assert (released > 0) == honoured
        check_sums(run)
        steps = run.growth.groupby("clone")["delta_bytes"].diff().dropna()
        if not (honoured and name in ("rbd", "zfs-zvol", "lvm-thin", "exact")):
            assert (steps >= 0).all(), "the file shrank, though nothing gave space back"
        last = run.growth[run.growth["day"] == 6]
        allocated = backing(where).allocated(last["delta_bytes"].to_numpy()).sum()
        assert run.luns["used_bytes"].iloc[-1] - run.luns["fixed_bytes"].iloc[-1] == allocated

    @pytest.mark.parametrize("policy", ["best-fit", "first-fit", "fresh-first", "ntfs3g"])
    def test_policies(self, policy: str) -> None:
        check_sums(simulate(small(guest={"policy": policy}, pool={"clones": 2}), seed=3))

    def test_a_delta_gives_back_only_with_discards(self) -> None:
        """On a yardstick that honours every discard the delta shrinks; the same plan without discards only grows."""
        tables = {"platform": {"name": "generic"}, "delta": {"format": "exact"}, "luns": {"backing": "vmfs-5"}}
        with_, without = (
            simulate(small(WITH_DISCARDS, pool={"clones": 2, "days": 9}, guest={"discards": on}, **tables), seed=3)
            for on in (True, False)
        )
        assert with_.growth["delta_bytes"].iloc[-1] < without.growth["delta_bytes"].iloc[-1]
        unique = without.growth.groupby("clone")["unique_bytes"].diff().dropna()
        assert (unique >= 0).all()

    def test_what_is_written_only_grows_and_holds_what_the_sources_wrote(self, alone: Run) -> None:
        growth = alone.growth
        assert (growth.groupby("clone")["written_bytes"].diff().dropna() > 0).all()
        daily = alone.sources.groupby(["clone", "day"])["written_bytes"].sum().groupby("clone").cumsum()
        assert daily.tolist() == growth.sort_values(["clone", "day"])["written_bytes"].tolist()
        assert (growth["unique_bytes"] <= growth["written_bytes"]).all()
        assert (growth["unique_bytes"] <= growth["delta_bytes"]).all()
        assert (growth["guest_used_bytes"] <= alone.scenario.guest.disk).all()

    def test_demand_is_what_was_written(self, alone: Run) -> None:
        desk = Desktop(alone.scenario, 0)
        life = live(desk, Timeline.of(alone.scenario, 0), 4)
        (growth,), demand, reads = life.growth, life.demand.lun, life.plan.reads
        mine = alone.growth[alone.growth["clone"] == 4]
        assert growth[:, 2].tolist() == mine["written_bytes"].tolist()
        assert demand[:, 3].sum() == growth[-1, 2]
        assert demand[:, 0].sum() == reads.ios.sum()
        assert demand[:, 2].sum() == reads.bytes.sum()
        assert not life.demand.elsewhere.any()
        assert 0 < demand[:, 4].sum() < demand[:, 0].sum()
        desk.volume.check_invariants()

    def test_luns_have_the_demand_of_their_clones(self, alone: Run) -> None:
        hours, peaks = alone.luns, alone.peaks
        assert (hours["read_iops_max60"] >= hours["read_iops"]).all()
        assert (hours["delta_read_iops"] <= hours["read_iops"]).all()
        day = (hours["time_s"] // 86400).astype(int)
        mean = (hours["read_iops"] + hours["write_iops"]).groupby([hours["lun"], day]).mean()
        assert np.allclose(mean.to_numpy(), peaks.sort_values(["lun", "day"])["mean_iops"])
        assert (peaks["iops"] > peaks["mean_iops"]).all()


def check_sums(run: Run) -> None:
    last = run.growth[run.growth["day"] == run.scenario.pool.days - 1].sort_values("clone")
    sums = run.sources.groupby("clone")[["first_touch_bytes", "released_bytes", "written_bytes"]].sum()
    net = sums["first_touch_bytes"] - sums["released_bytes"]
    assert net.tolist() == last["unique_bytes"].tolist()
    assert sums["written_bytes"].tolist() == last["written_bytes"].tolist()
    assert net.min() > 2**24, "too little happened for the sums to say anything"


GROWTH = {"replicate": "int32", "day": "int32", "clone": "int32", "disk": "int8", "lun": "int32", "host": "int32"}
GROWTH |= dict.fromkeys(("delta_bytes", "guest_used_bytes", "written_bytes"), "int64")
INCREMENTS = {"replicate": "int32", "time_s": "float64", "clone": "int32", "disk": "int8", "lun": "int32"}
INCREMENTS |= {"host": "int32"}
SOURCES = {"replicate": "int32", "day": "int32", "clone": "int32", "disk": "int8", "source": "category"}
SOURCES |= {"written_bytes": "int64", "first_touch_bytes": "int64"}
LUNS = {"replicate": "int32", "lun": "int32", "time_s": "float64"}
LUNS |= dict.fromkeys(("used_bytes", "free_bytes", "reservations", "conflicts"), "int64")
LUNS |= dict.fromkeys(("reserved_fraction", "wait_p50_s", "wait_p99_s", "wait_max_s"), "float64")
LUNS |= dict.fromkeys(("read_iops", "write_iops", "read_iops_max60", "write_iops_max60", "latency_p95_s"), "float64")
DESIGN = {"growth": GROWTH, "increments": INCREMENTS, "sources": SOURCES, "luns": LUNS}


class TestFrames:
    @pytest.mark.parametrize("name", DESIGN)
    def test_columns_of_the_design(self, alone: Run, name: str) -> None:
        frame = getattr(alone, name)
        found = {column: str(frame[column].dtype) for column in frame.columns if column in DESIGN[name]}
        assert found == DESIGN[name]
        assert list(found) == list(DESIGN[name]), "the design's order"

    def test_rows(self, alone: Run) -> None:
        assert len(alone.growth) == 9 * 4
        assert len(alone.luns) == 3 * 4 * 24
        assert len(alone.peaks) == 3 * 4
        assert alone.growth[["replicate", "day", "clone", "disk"]].apply(tuple, axis=1).is_monotonic_increasing
        assert alone.increments["time_s"].is_monotonic_increasing
        assert alone.sources["source"].cat.categories[0] == "file-system metadata"
        assert "file-system metadata" in set(alone.sources["source"])
        assert not alone.growth["censored"].any()
        assert not len(alone.halts)

    def test_increments_are_the_file_s(self, alone: Run) -> None:
        """vmfs-sparse grows by 16 MiB; what is there at the start is no growth."""
        last = alone.growth[alone.growth["day"] == 3].set_index("clone")["delta_bytes"]
        first = Desktop(alone.scenario, 0).delta.created_bytes
        steps = alone.increments.groupby("clone").size()
        assert (steps * 2**24 + first).tolist() == last.tolist()
        where = alone.increments.merge(alone.growth[["clone", "lun", "host"]].drop_duplicates(), on="clone")
        assert (where["lun_x"] == where["lun_y"]).all() and (where["host_x"] == where["host_y"]).all()

    def test_a_format_without_increments_has_one_a_minute_at_most(self) -> None:
        tables = {"platform": {"name": "generic"}, "delta": {"format": "qcow2"}, "luns": {"backing": "nfs"}}
        run = simulate(small(pool={"clones": 2}, **tables), seed=3)
        minutes = run.increments.groupby("clone")["time_s"].apply(lambda s: s // 60)
        assert len(minutes) > 100
        assert not minutes.groupby("clone").apply(lambda s: s.duplicated().any()).any()

    def test_more_luns_than_clones(self) -> None:
        run = simulate(small(pool={"clones": 2, "days": 1}, luns={"count": 5}), seed=0)
        assert set(run.growth["lun"]) == {0, 1}
        assert run.summary["datastores"] == len(set(run.luns["lun"])) == 5

    def test_summary(self, alone: Run) -> None:
        s = alone.summary
        last = alone.growth[alone.growth["day"] == 3]
        assert s["delta_p50_bytes"] == np.quantile(last["delta_bytes"], 0.5)
        assert s["delta_total_bytes"] == last["delta_bytes"].sum()
        assert s["written_a_desktop_day_bytes"] == pytest.approx(last["written_bytes"].sum() / 36)
        assert s["growth_steps"] == len(alone.increments)
        assert (s["p_outage"], s["desktops_down"], s["first_full_day"], s["warning_lead_days"]) == (0.0, 0, None, {})
        assert sum(alone.source_shares) == pytest.approx(1.0)
        assert "9 desktops x 4 days, windows-xp" in alone.label
        assert alone.growth.attrs["caption"] == alone.label


class TestSave:
    @pytest.mark.parametrize("table_format", ["parquet", "csv"])
    def test_round_trip(self, alone: Run, tmp_path, table_format: str) -> None:
        paths = alone.save(tmp_path / "a", table_format)
        again = simulate(small(**THREE_LUNS), seed=0).save(tmp_path / "b", table_format)
        assert [p.name for p in paths] == [*(f"{name}.{table_format}" for name in (*FRAMES, "storms")), "run.json"]
        for one, two in zip(paths, again, strict=True):
            assert one.read_bytes() == two.read_bytes(), one.name
        for name in FRAMES:
            path = tmp_path / "a" / f"{name}.{table_format}"
            read = pd.read_parquet(path) if table_format == "parquet" else pd.read_csv(path)
            same = table_format == "parquet"
            if not len(read):  # without rows a CSV file does not tell types
                assert list(read) == list(getattr(alone, name))
                continue
            pd.testing.assert_frame_equal(read, getattr(alone, name), check_dtype=same, check_categorical=same)
        record = json.loads((tmp_path / "a" / "run.json").read_text())
        asked = record["parameters"]
        assert (asked["seed"], asked["replicates"], asked["frames_hash"]) == (0, 1, alone.hash)
        assert asked["scenario"]["pool"]["clones"] == 9
        assert asked["scenario"]["guest"]["used"] == 2560 * 2**20
        assert {"clonesim", "numpy", "numba", "python"} <= set(record["versions"])
        assert record["summary"]["delta_p50_bytes"] == alone.summary["delta_p50_bytes"]

    def test_out_saves(self, tmp_path) -> None:
        simulate(small(pool={"clones": 1, "days": 1}), out=tmp_path / "run")
        assert (tmp_path / "run" / "run.json").is_file()

    def test_unknown_table_format(self, alone: Run, tmp_path) -> None:
        with pytest.raises(ParameterError, match="tables='xlsx': allowed are 'parquet', 'csv'"):
            alone.save(tmp_path, "xlsx")


SEEDS = "a whole number from 0 to 9223372036854775807 is needed"
COUNTS = "a whole number from 1 to 10000 is needed"


class TestAsked:
    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"seed": -1}, f"seed=-1: {SEEDS}."),
            ({"seed": True}, f"seed=True: {SEEDS}."),
            ({"seed": 1.0}, f"seed=1.0: {SEEDS}."),
            ({"seed": 2**63}, f"seed={2**63}: {SEEDS}."),
            ({"seed": "1"}, f"seed='1': {SEEDS}."),
            ({"replicates": 0}, f"replicates=0: {COUNTS}."),
            ({"replicates": True}, f"replicates=True: {COUNTS}."),
            ({"replicates": 10_001}, f"replicates=10001: {COUNTS}."),
            ({"replicates": None}, f"replicates=None: {COUNTS}."),
            ({"processes": 0}, "processes=0: a whole number from 1 to 1024 is needed."),
            ({"processes": True}, "processes=True: a whole number from 1 to 1024 is needed."),
        ],
    )
    def test_counts(self, asked, message: str) -> None:
        with pytest.raises(ParameterError) as caught:
            simulate(small(pool={"clones": 1, "days": 1}), **asked)
        assert str(caught.value) == message

    def test_overrides_and_scenario_mistakes(self) -> None:
        run = simulate(small(), pool={"clones": 1, "days": 1})
        assert len(run.growth) == 1
        with pytest.raises(ClonesimError, match="'windows-12': there is no such file"):
            simulate("windows-12")

    def test_progress_counts_desktop_days(self) -> None:
        seen: list[tuple[int, int]] = []
        simulate(small(**THREE_LUNS), progress=lambda done, total: seen.append((done, total)), replicates=2)
        assert seen == [(4 * k, 72) for k in range(1, 19)]
