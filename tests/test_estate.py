"""Estates simulated whole: what pools share and what they do not, the same bytes, sums that agree, files."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from estate_tools import HEAD, RING, TWO, estate_file
from pool_tools import small

from clonesim.errors import ParameterError
from clonesim.keys import own_seed
from clonesim.pool import clones as stage
from clonesim.pool import estate as module
from clonesim.pool.clones import Job, run_job
from clonesim.pool.estate import EstateRun, run_pool, simulate_estate, specs_of
from clonesim.pool.simulate import simulate
from clonesim.pool.timeline import Timeline
from clonesim.scenario import load_scenario
from clonesim.scenario.estate import Estate
from clonesim.scenario.estate_load import load_estate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("estate")


@pytest.fixture(scope="module")
def estate(folder: Path) -> Estate:
    return load_estate(estate_file(folder))


@pytest.fixture(scope="module")
def run(estate: Estate, folder: Path) -> EstateRun:
    return simulate_estate(estate, seed=5, replicates=2, processes=1, out=folder / "out")


class TestDraws:
    def test_own_seeds(self) -> None:
        assert own_seed(7, "") == 7
        found = {own_seed(seed, name) for seed in range(20) for name in ("a", "b", "ab", "1:a")}
        assert len(found) == 80
        assert min(found) >= 2**128, "a user's own seed is below 2**63"

    def test_pools_share_patches_and_definitions_but_no_users(self) -> None:
        tables = {"pool": {"clones": 30, "days": 40}}
        one, other = (Timeline.of(small(**{**tables, "pool": tables["pool"] | {"stream": s}}), 3, 1) for s in ("", "b"))
        for kind in one.shared.events:
            for mine, its in zip(one.shared.event(kind), other.shared.event(kind), strict=True):
                assert mine.tobytes() == its.tobytes(), kind
        assert one.shared.event("patches")[0].size, "nothing is shared: the test says nothing"
        assert one.shared.key != other.shared.key
        starts = np.intersect1d(one.sessions.start_s, other.sessions.start_s)
        assert not starts.size
        assert not np.isin(one.sessions.intensity, other.sessions.intensity).any()
        delays = [[line.events(clone).event("patches")[0][0] for clone in range(30)] for line in (one, other)]
        assert not set(delays[0]) & set(delays[1])

    def test_streams_are_not_alike(self) -> None:
        """Intensities of the users of two pools do not go together."""
        a, b = (
            Timeline.of(small(pool={"clones": 1000, "days": 1, "stream": stream}), 0).sessions.intensity
            for stream in ("x", "y")
        )
        assert abs(np.corrcoef(np.log(a), np.log(b))[0, 1]) < 4 / 1000**0.5

    def test_rings_agree_on_each_month(self, tmp_path: Path) -> None:
        """Of months that two rings both install, sizes are the same, also of those before one of them began."""
        text = HEAD.replace("2008-12-08", "2008-12-10").replace("days = 3", "days = 100") + "".join(
            RING.format(delay=delay) for delay in (0, 7)
        )
        from clonesim.pool.storms import storms_before

        early, late = load_estate(estate_file(tmp_path, text)).pools
        lines = [Timeline.of(one.scenario, 9) for one in (early, late)]
        sizes = [line.shared.event("patches")[1] for line in lines]
        assert [part.size for part in sizes] == [3, 4], "January to March; December to March"
        assert np.array_equal(sizes[0], sizes[1][1:])
        before = storms_before(early.scenario, lines[0].calendar, 9, 0, 70 * 86400.0).event("patches")[1]
        ago = storms_before(late.scenario, lines[1].calendar, 9, 0, 70 * 86400.0).event("patches")[1]
        assert before[-1] == sizes[1][0], "December's, which came out before the first ring began"
        assert np.array_equal(before[:-1], ago[-before.size + 1 :])
        assert len(set(sizes[1])) == 4

    def test_a_timeline_of_some_clones_is_that_of_all(self) -> None:
        scenario = small(pool={"clones": 9, "days": 3})
        whole = run_job(Job(scenario, 3, 1, 0, (2, 7)))
        some = run_job(Job(scenario, 3, 1, 0, (2, 7)), Timeline.of(scenario, 3, 1, only=(2, 7)))
        for name in ("growth", "sources", "demand", "time_s", "size", "totals"):
            assert getattr(whole, name).tobytes() == getattr(some, name).tobytes(), name
        assert np.isnan(Timeline.of(scenario, 3, 1, only=(2, 7)).sessions.intensity).sum() == 7

    def test_where_clones_wait_for_others_all_users_are_drawn(self) -> None:
        for tables in (
            {"users": {"assignment": "floating"}},
            {"users": {"peak_concurrency": 0.5}},
            {"strategy": ["refresh"]},
            {"storms": {"restart": "power-cycle"}},
            {"storms": {"maintenance": ["2008-12-02"]}},
        ):
            line = Timeline.of(small(**tables), 0, only=(1,))
            assert not np.isnan(line.sessions.intensity).any(), tables


def test_pools_of_the_same_machine_share_one_and_others_are_dropped() -> None:
    plain, named = small(), small(pool={"stream": "b", "clones": 9}, users={"absence": 0.5}, luns={"count": 2})
    other = small(guest={"policy": "best-fit"})
    stage.forget()
    stage.keep_only(plain)
    made = stage.desktop(plain, 0)
    assert stage.desktop(named, 0) is made
    stage.keep_only(named)
    assert stage.desktop(plain, 0) is made
    assert stage.desktop(other, 0) is not made
    stage.keep_only(other)
    assert stage._desktop_of.cache_info().currsize == 0


class TestTheSameBytes:
    def test_an_estate_of_one_is_its_scenario(self, tmp_path: Path) -> None:
        text = HEAD + "[[pools]]\nname = 'x'\nsite = 'a'\nscenario = 'small.toml'\nclones = 4\n"
        pool = load_estate(estate_file(tmp_path, text)).pools[0]
        start = {"clones": 4, "days": 3, "start": "2008-12-08"}
        alone = simulate(load_scenario(tmp_path / "small.toml", pool=start), seed=2, processes=1)
        assert simulate(pool.scenario, seed=2, processes=1).hash == alone.hash

    def test_pools_and_replicates_are_those_of_runs_alone(self, estate: Estate, run: EstateRun) -> None:
        alone = simulate(estate.pools[2].scenario, seed=5, replicates=2, processes=1)
        folder = specs_of(estate, 5, 2)[0]
        assert folder.folder == ""
        told = run.pools[run.pools["pool"] == "two"]
        last = alone.growth[alone.growth["day"] == 2].groupby("replicate")["delta_bytes"].sum()
        assert told["delta_total_bytes"].tolist() == last.tolist()
        assert last.iloc[0] != last.iloc[1]

    def test_whatever_does_the_work(self, estate: Estate, run: EstateRun) -> None:
        with ThreadPoolExecutor(3) as executor:
            again = simulate_estate(estate, seed=5, replicates=2, executor=executor)
        for name in module.FRAMES:
            pd.testing.assert_frame_equal(getattr(again, name), getattr(run, name))

    def test_summaries_in_any_order(self, estate: Estate, run: EstateRun) -> None:
        found = [run_pool(spec) for spec in reversed(specs_of(estate, 5, 2))]
        again = module.estate_run(estate, 5, 2, found)
        pd.testing.assert_frame_equal(again.sites, run.sites)

    def test_tasks_are_small_and_travel(self, estate: Estate) -> None:
        spec = specs_of(estate, 5, 2)[0]
        summary = run_pool(pickle.loads(pickle.dumps(spec)))
        assert len(pickle.dumps(spec)) < 20_000
        assert len(pickle.dumps(summary)) < 5_000
        assert pickle.loads(pickle.dumps(summary)) == summary


class TestSums:
    def test_of_pools_and_sites(self, run: EstateRun) -> None:
        each = run.pools.groupby("replicate")["delta_total_bytes"].sum()
        total = run.total.iloc[0]
        assert total["delta_total_bytes"] == each.mean()
        assert run.sites["delta_total_bytes"].sum() == pytest.approx(each.mean(), rel=1e-12)
        assert run.sites["desktops"].tolist() == [8, 5]
        assert (total["desktops"], total["pools"], total["datastores"]) == (13, 3, 4)
        se = each.std(ddof=1) / 2**0.5
        assert total["delta_total_se_bytes"] == pytest.approx(se)
        assert total["delta_total_high_bytes"] - each.mean() == pytest.approx(12.7062 * se, rel=1e-4)

    def test_of_days_and_luns(self, run: EstateRun) -> None:
        last = run.sizes[(run.sizes["day"] == 2) & (run.sizes["site"] == "")].iloc[0]
        assert last["delta_bytes"] == run.total["delta_total_bytes"].iloc[0]
        assert last["datastore_bytes"] == run.total["datastore_total_bytes"].iloc[0]
        assert len(run.sizes) == 9
        assert len(run.luns) == 2 * 4
        desktops = run.luns.groupby(["replicate", "pool"])["desktops"].sum()
        assert desktops.tolist() == [4, 4, 5] * 2
        assert (run.luns["used_share"] == run.luns["used_bytes"] / 2**40).all()

    def test_one_replicate_has_no_error(self, estate: Estate) -> None:
        found = simulate_estate(estate, seed=5, processes=1)
        assert found.total[["delta_total_se_bytes", "delta_total_low_bytes"]].isna().all(axis=None)
        assert found.summary["delta_total_se_bytes"] is None


class TestFiles:
    def test_tables_of_each_pool(self, run: EstateRun, folder: Path, estate: Estate) -> None:
        out = folder / "out"
        assert {p.name for p in out.iterdir()} == {"pools", "run.json", *(f"{n}.parquet" for n in module.FRAMES)}
        told = json.loads((out / "run.json").read_text())
        assert told["parameters"]["estate"]["pools"][1]["scenario"]["pool"]["stream"] == "one-2"
        assert told["summary"]["desktops"] == 13
        second = out / "pools" / "two" / "replicate-1"
        growth = pd.read_parquet(second / "growth.parquet")
        assert set(growth["replicate"]) == {1}
        alone = simulate(estate.pools[2].scenario, seed=5, replicates=2, processes=1).growth
        pd.testing.assert_frame_equal(growth, alone[alone["replicate"] == 1].reset_index(drop=True))
        assert not (second / "parts").exists()

    def test_what_is_there_is_not_made_again(
        self, estate: Estate, folder: Path, run: EstateRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from clonesim.pool import estate_pool

        made: list[str] = []
        whole = estate_pool.simulated
        monkeypatch.setattr(estate_pool, "simulated", lambda s, *rest: made.append(s.pool.name) or whole(s, *rest))
        (folder / "out" / "pools" / "two" / "replicate-0" / "summary.json").write_text("{torn")
        again = simulate_estate(estate, seed=5, replicates=2, processes=1, out=folder / "out")
        assert made == ["two"]
        pd.testing.assert_frame_equal(again.pools, run.pools)
        made.clear()
        simulate_estate(estate, seed=6, processes=1, out=folder / "out")
        assert made == ["one-1", "one-2", "two"], "another seed is another run"


def test_progress_counts_all_pools(estate: Estate) -> None:
    seen: list[tuple[int, int]] = []
    simulate_estate(estate, processes=1, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {39}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (39, 39)


def test_a_pool_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = estate_file(tmp_path, TWO.replace("luns = {count = 2}", 'luns = {size = "10 GiB", clones_per_lun = 5}'))
    with pytest.raises(ParameterError, match=r"^pool two: luns.size='10 GiB': 5 clones on a LUN take .* Enlarge"):
        simulate_estate(path, processes=1)
