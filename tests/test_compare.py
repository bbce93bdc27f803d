"""Strategies side by side: the same users, differences in pairs, and figures that other means tell too."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITHOUT, small

from clonesim.errors import ClonesimError
from clonesim.lun.backing import backing
from clonesim.lun.space import fixed_space
from clonesim.planning import alternatives as listed
from clonesim.planning import compare as module
from clonesim.planning.alternatives import alternatives
from clonesim.planning.compare import BASE, Comparison, compare
from clonesim.planning.density import plan_density
from clonesim.planning.pool_sample import sample_pool
from clonesim.planning.set_back import busy_s
from clonesim.planning.strategy_row import COLUMNS, TIERS
from clonesim.pool.clones import Batch, Job, plan_of, run_job
from clonesim.pool.desktop import Desktop
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate
from clonesim.pool.space import space_of
from clonesim.pool.timeline import Timeline
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

GIB, MIB, HOUR = 2**30, 2**20, 3600.0
NIGHTLY, LOGOFF, DISK, TUNED = "refresh(when=nightly)", "refresh", "persistent-disk", "guest-tuning"
ASKED = f"{NIGHTLY}, {LOGOFF}, {DISK}, {LOGOFF}+{DISK}, {TUNED}, disposable-disk"
CLONES, REPLICATES, DAYS, SEED = 4, 2, 4, 3


def scenario(**tables: Any) -> Scenario:
    """A small pool; nothing of it is larger than its strategies ask for."""
    tables = {"pool": {"clones": 40, "days": DAYS}, "guest": {"disk": "12 GiB"}, **tables}
    return small(WITHOUT, platform={"name": "generic"}, **tables)


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(scenario(), ASKED, seed=SEED, replicates=REPLICATES, clones=CLONES, processes=1)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """The same pools as `simulate` tells them."""
    asked = {"linked-clone": ["linked-clone"], LOGOFF: ["refresh"], DISK: ["persistent-disk"]}
    return {
        label: simulate(alone(strategy), seed=SEED, replicates=REPLICATES, processes=1)
        for label, strategy in asked.items()
    }


def alone(strategy: list[Any]) -> Scenario:
    """The scenario that `compare` simulates."""
    luns = {"count": 1, "placement": "round-robin"}
    return load_scenario(scenario(), pool={"clones": CLONES}, luns=luns, strategy=strategy)


def row(found: Comparison, label: str) -> dict[Any, Any]:
    return found.frame.set_index("strategy").loc[label].to_dict()


def sample(found: Comparison, label: str, column: str) -> np.ndarray:
    mine = found.samples[found.samples["strategy"] == label].sort_values("replicate")
    return mine[column].to_numpy(np.float64)


def test_a_row_for_each_and_the_base_first(found: Comparison) -> None:
    asked = [BASE, *(part.strip() for part in ASKED.split(","))]
    assert list(found.frame["strategy"]) == asked
    assert found.base == BASE
    beside = ["p_outage", "p_outage_low", "p_outage_high", "outage_day"]
    beside += ["clones_per_lun", "clones_per_lun_sure", "binding"]
    with_ends = [f"{c}{end}" for c in COLUMNS for end in ("", "_low", "_high")]
    assert list(found.frame.columns) == ["strategy", *with_ends, *beside]
    assert len(found.samples) == len(asked) * REPLICATES
    assert set(found.differences["strategy"]) == set(asked[1:])
    assert len(found.differences) == len(asked[1:]) * len(COLUMNS)
    assert f"{CLONES} clones x {DAYS} days x {REPLICATES} replicates" in found.label
    assert found.frame.attrs["caption"] == found.label


def test_an_asked_base_keeps_its_place() -> None:
    few = compare(scenario(pool={"clones": 4, "days": 1}), [LOGOFF, BASE], seed=1, replicates=1, clones=2, processes=1)
    assert list(few.frame["strategy"]) == [LOGOFF, BASE]
    assert few.base == LOGOFF
    assert few.frame["storage_bytes_low"].tolist() == [-np.inf, -np.inf]  # one replicate says nothing of the spread
    assert np.isneginf(few.differences["low"][~few.differences["difference"].isna()]).all()


def test_differences_are_those_of_the_same_replicates(found: Comparison) -> None:
    for label in found.frame["strategy"][1:]:
        for column in ("storage_bytes", "written_a_day_bytes", "increments_a_day", "iops_max60", "state_lost_bytes"):
            one, two = sample(found, label, column) - sample(found, BASE, column)
            mine = found.differences[
                (found.differences["strategy"] == label) & (found.differences["column"] == column)
            ].iloc[0]
            half = 12.706204736 * abs(one - two) / 2  # t(0.975, 1) * s / sqrt(2), s = |one - two| / sqrt(2)
            assert mine["difference"] == pytest.approx((one + two) / 2, rel=1e-12, abs=1e-9)
            assert (mine["low"], mine["high"]) == pytest.approx(
                ((one + two) / 2 - half, (one + two) / 2 + half), rel=1e-8, abs=1e-6
            )
            assert row(found, label)[column] == pytest.approx(sample(found, label, column).mean())


def test_pairs_are_tighter_than_strangers(found: Comparison) -> None:
    """What the same users write is in both; a difference between strangers would have it twice."""
    written = sample(found, BASE, "written_a_day_bytes")
    moved = sample(found, DISK, "written_a_day_bytes")
    assert abs(np.diff(moved - written)) < 0.1 * abs(np.diff(written))


def test_strategies_face_the_same_users(found: Comparison) -> None:
    """Nothing in the plan of a clone is another one where a strategy only moves where it is written."""
    plans = {}
    for strategy in (["linked-clone"], ["persistent-disk"], ["disposable-disk"], ["refresh", "profile-container"]):
        made = alone(strategy)
        line, desk = Timeline.of(made, SEED, 0), Desktop(made, SEED)
        plans[strategy[0]] = plan_of(desk.activity, line, 1, desk.image.first_file).ops
    assert np.array_equal(plans["linked-clone"], plans["persistent-disk"])
    assert np.array_equal(plans["linked-clone"], plans["disposable-disk"])
    assert not np.array_equal(plans["linked-clone"], plans["refresh"])  # a refresh adds what is done once more


def test_what_a_strategy_moves_is_written_all_the_same(runs: dict[str, Run]) -> None:
    keys = ["replicate", "day", "clone", "source"]
    base, moved = (runs[label].sources.groupby(keys, observed=True)["written_bytes"].sum() for label in (BASE, DISK))
    metadata = base.index.get_level_values("source") == "file-system metadata"
    assert metadata.any()
    assert base[~metadata].equals(moved[~metadata])


def test_unknown_or_contradictory_strategies_are_refused_before_anything_is_simulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("simulated")

    monkeypatch.setattr(module, "replicates_of", never)
    cases = {
        "refresh, refersh": "refresh",
        "linked-clone, refresh+instant-clone": "made anew by itself",
        "persistent-disk+profile-container": "both hold the profile",
        "refresh(whn=logoff)": "when",
        "refresh, refresh": "each alternative is compared once",
    }
    for asked, told in cases.items():
        with pytest.raises(ClonesimError, match=told):
            compare(scenario(), asked, clones=2, replicates=1, processes=1)
    with pytest.raises(ClonesimError, match="one strategy or more"):
        compare(scenario(), {}, clones=2, replicates=1, processes=1)
    with pytest.raises(AssertionError, match="simulated"):
        compare(scenario(), "refresh", clones=2, replicates=1, processes=1)


def test_two_processes_tell_the_same() -> None:
    asked = f"{LOGOFF}+{DISK}"
    given = scenario(pool={"clones": 6, "days": 2})
    one, two = (compare(given, asked, seed=5, replicates=2, clones=3, processes=n) for n in (1, 2))
    pd.testing.assert_frame_equal(one.samples, two.samples, check_exact=True)
    pd.testing.assert_frame_equal(one.frame, two.frame, check_exact=True)


def test_the_scenario_s_own_strategies_do_not_count(found: Comparison) -> None:
    given = load_scenario(scenario(), strategy=["refresh"])
    again = compare(given, DISK, seed=SEED, replicates=REPLICATES, clones=CLONES, processes=1)
    assert row(again, BASE)["storage_bytes"] == row(found, BASE)["storage_bytes"]


class TestFiguresToldBySimulate:
    """The columns once more, from the frames of a run of its own."""

    @pytest.mark.parametrize("label", [BASE, LOGOFF, DISK])
    def test_increments_and_conflicts(self, found: Comparison, runs: dict[str, Run], label: str) -> None:
        steps = runs[label].increments.groupby("replicate").size() / CLONES / DAYS
        assert sample(found, label, "increments_a_day").tolist() == pytest.approx(steps.tolist())
        told = runs[label].luns.groupby("replicate")[["conflicts", "miscompares"]].sum().sum(axis=1)
        assert sample(found, label, "conflicts").tolist() == told.tolist()

    @pytest.mark.parametrize("label", [BASE, LOGOFF, DISK])
    def test_what_is_written(self, found: Comparison, runs: dict[str, Run], label: str) -> None:
        written = runs[label].sources.groupby("replicate")["written_bytes"].sum() / CLONES / DAYS
        assert sample(found, label, "written_a_day_bytes").tolist() == pytest.approx(written.tolist())

    @pytest.mark.parametrize("label", [BASE, LOGOFF])
    def test_delta_at_the_ends_of_days(self, found: Comparison, runs: dict[str, Run], label: str) -> None:
        sizes = runs[label].growth.groupby("replicate")["delta_bytes"]
        assert sample(found, label, "delta_p95_bytes").tolist() == pytest.approx(sizes.quantile(0.95).tolist())

    def test_guest_of_all_disks(self, found: Comparison, runs: dict[str, Run]) -> None:
        used = runs[DISK].growth.groupby(["replicate", "clone", "day"])["guest_used_bytes"].sum()
        assert sample(found, DISK, "guest_mean_bytes") == pytest.approx(used.groupby("replicate").mean().to_numpy())

    def test_datastores_are_the_tiers_together(self, found: Comparison) -> None:
        """What only grows is largest at the end; what is set back need not be largest all at once."""
        for label in found.frame["strategy"]:
            mine = row(found, label)
            assert mine["datastore_peak_bytes"] <= mine["storage_bytes"] * (1 + 1e-12)
        assert row(found, BASE)["datastore_peak_bytes"] == pytest.approx(row(found, BASE)["storage_bytes"])

    def test_worst_minute(self, found: Comparison, runs: dict[str, Run]) -> None:
        worst = runs[BASE].peaks.groupby("replicate")["iops"].max() / CLONES
        assert sample(found, BASE, "iops_max60").tolist() == pytest.approx(worst.tolist())
        assert sample(found, BASE, "elsewhere_iops_max60").tolist() == [0.0, 0.0]
        assert min(sample(found, DISK, "elsewhere_iops_max60")) > 0

    def test_worst_minute_of_several_luns_is_by_their_own_desktops(self) -> None:
        given = scenario(luns={"clones_per_lun": 2}, pool={"clones": 8, "days": 2})
        few = compare(given, BASE, seed=SEED, replicates=1, clones=4, processes=1)
        luns = {"count": 2, "placement": "round-robin"}
        run = simulate(load_scenario(given, pool={"clones": 4}, luns=luns), seed=SEED, processes=1)
        by_lun = run.peaks.groupby("lun")["iops"].max()
        assert len(by_lun) == 2
        assert row(few, BASE)["iops_max60"] == by_lun.max() / 2

    def test_storage_of_files_that_only_grow(self, found: Comparison, runs: dict[str, Run]) -> None:
        last = runs[BASE].growth[runs[BASE].growth["day"] == DAYS - 1]
        ends = backing(alone([]).luns.backing).allocated(last["delta_bytes"].to_numpy())
        by_replicate = ends.reshape(REPLICATES, CLONES).sum(axis=1) / CLONES
        assert sample(found, BASE, "os_bytes").tolist() == by_replicate.tolist()
        made, whole = alone([]), scenario()
        memory, used = made.guest.memory, made.guest.used
        fixed = fixed_space(
            1, made.luns.size, memory, used, platform="generic", where=made.luns.backing, replica_lun=False
        )
        luns = -(-whole.pool.clones // whole.luns.clones_per_lun)  # the size of these LUNs does not matter
        replica = (fixed.fixed_bytes - fixed.clone_bytes) * luns / whole.pool.clones
        assert sample(found, BASE, "luns_needed").tolist() == [luns] * REPLICATES
        assert sample(found, BASE, "storage_bytes") == pytest.approx(by_replicate + replica + fixed.clone_bytes)

    def test_tiers_add_up(self, found: Comparison) -> None:
        tiers = [*TIERS.values(), "replica_bytes", "swap_bytes"]
        assert np.allclose(found.frame[tiers].sum(axis=1), found.frame["storage_bytes"], rtol=1e-12)
        used = found.frame.set_index("strategy")[tiers] > 0
        assert used["user_bytes"].to_dict() == {label: DISK in label for label in used.index}
        assert used["disposable_bytes"].to_dict() == {
            label: label in ("disposable-disk", TUNED) for label in used.index
        }
        assert not used["cache_bytes"].any()
        assert used["os_bytes"].all()
        assert not used["share_bytes"].any()


@pytest.fixture(scope="module")
def batch() -> Batch:
    return run_job(Job(alone(["refresh"]), SEED, 0, 0, tuple(range(CLONES))))


class TestFilesThatAreSetBack:
    def test_the_largest_is_that_of_every_moment(self, found: Comparison, batch: Batch) -> None:
        """Second by second and clone by clone: slow, and another way than sorting steps."""
        level = dict.fromkeys(range(CLONES), 0)
        most, own = 0, dict.fromkeys(range(CLONES), 0)
        where = backing(alone([]).luns.backing)
        for time_s in np.unique(batch.time_s):
            for clone, size in zip(
                batch.clone[batch.time_s == time_s], batch.size[batch.time_s == time_s], strict=True
            ):
                level[int(clone)] += int(size)
                own[int(clone)] = max(own[int(clone)], level[int(clone)])
            most = max(most, sum(where.allocated(size) for size in level.values()))
        assert sample(found, LOGOFF, "os_bytes")[0] == most / CLONES
        assert most < sum(where.allocated(size) for size in own.values())
        ends = batch.growth[:, 0, :, 0].sum(axis=0).max()
        assert most > 1.1 * ends  # nights tell nothing of what a day needs

    def test_refreshes_and_what_is_there_an_hour_later(self, found: Comparison, batch: Batch) -> None:
        line = Timeline.of(alone(["refresh"]), SEED, 0)
        sizes, times = [], 0
        for clone in range(CLONES):
            mine = batch.clone == clone
            for reset in line.emptied(clone, "refresh"):
                times += 1
                sizes.append(batch.size[mine & (batch.time_s <= reset + HOUR)].sum())
                just = batch.size[mine & (batch.time_s <= reset)].sum()
                assert just < batch.size[mine & (batch.time_s < reset)].sum()
        assert times > CLONES
        assert sample(found, LOGOFF, "refreshes")[0] == times / CLONES
        assert sample(found, LOGOFF, "hour_after_bytes")[0] == pytest.approx(np.mean(sizes))

    def test_state_lost_is_what_was_on_the_disk_before_it_was_set_back(self, found: Comparison) -> None:
        """At most what the user's own sources wrote, and nothing where it lies elsewhere."""
        assert sample(found, f"{LOGOFF}+{DISK}", "state_lost_bytes").tolist() == [0.0, 0.0]
        assert sample(found, BASE, "state_lost_bytes").tolist() == [0.0, 0.0]
        lost = sample(found, LOGOFF, "state_lost_bytes") * sample(found, LOGOFF, "refreshes") * CLONES
        run = simulate(alone(["refresh"]), seed=SEED, replicates=REPLICATES, processes=1)
        tags = dict(zip(Desktop(alone([]), SEED).activity.names, Desktop(alone([]), SEED).activity.tags, strict=True))
        own = run.sources[run.sources["source"].astype(str).map(tags).isin(["profile", "user-data"])]
        touched = own.groupby("replicate")[["first_touch_bytes", "released_bytes"]].sum()
        most = (touched["first_touch_bytes"] - touched["released_bytes"]).to_numpy()
        assert (lost > 0.3 * most).all()
        assert (lost <= most).all()


def test_time_of_work_has_no_pauses() -> None:
    start, end = np.array([0.0, 10.0, 5.0, 100.0]), np.array([20.0, 12.0, 15.0, 101.0])
    assert busy_s(start, end) == 21.0
    assert busy_s(np.array([3.0]), np.array([7.5])) == 4.5


def test_density_is_that_of_the_same_clones(found: Comparison) -> None:
    """The plan once more, from a sample that is simulated for it."""
    made, _ = alternatives(scenario(), LOGOFF, CLONES)
    sample = sample_pool(made[-1].core, SEED, REPLICATES, processes=1)
    plan = plan_density(made[-1].asked, sample=replace(sample, scenario=made[-1].asked), densities=[1, 2, 3, 4])
    mine = row(found, LOGOFF)
    assert (mine["clones_per_lun"], mine["clones_per_lun_sure"]) == (plan.largest, plan.sure)
    assert mine["binding"] == plan.binding


def test_outages_are_told_of_all_pools(found: Comparison) -> None:
    assert found.frame["p_outage"].tolist() == [0.0] * len(found.frame)
    assert np.isinf(found.frame["outage_day"]).all()
    assert np.allclose(found.frame["p_outage_high"], 1 - 0.025 ** (1 / REPLICATES))  # none of two
    whole = scenario()
    image = space_of(whole, whole.luns.clones_per_lun).fixed_bytes
    tight = load_scenario(whole, luns={"size": image + 64 * GIB})
    few = compare(tight, "full-clone", seed=SEED, replicates=REPLICATES, clones=2, processes=1)
    mine = row(few, "full-clone")
    assert (mine["p_outage"], mine["outage_day"]) == (1.0, 0.0)
    assert (mine["p_outage_low"], mine["p_outage_high"]) == (pytest.approx(0.025 ** (1 / REPLICATES)), 1.0)
    assert (mine["clones_per_lun"], mine["binding"]) == (2, "clones simulated")  # two of them fit


def test_intervals_are_told_of_those_that_are_set_back(found: Comparison) -> None:
    table = found.break_even
    assert list(dict.fromkeys(table["strategy"])) == [NIGHTLY, LOGOFF, f"{LOGOFF}+{DISK}"]
    for label in dict.fromkeys(table["strategy"]):
        mine = table[table["strategy"] == label]
        assert mine["resets"].sum() == round(row(found, label)["refreshes"] * CLONES * REPLICATES)
        assert mine["written_a_day_bytes"].unique().tolist() == [row(found, label)["written_a_day_bytes"]]
    assert table["base_written_a_day_bytes"].unique().tolist() == [row(found, BASE)["written_a_day_bytes"]]


def test_scenarios_are_those_of_the_whole_pool(found: Comparison) -> None:
    assert list(found.scenarios) == list(found.frame["strategy"])
    assert {made.pool.clones for made in found.scenarios.values()} == {40}
    assert found.scenarios[LOGOFF].chosen("refresh") is not None
    assert not found.left_out


def test_what_the_default_list_leaves_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    short = "linked-clone, refresh, mcs, space-reclaim"
    monkeypatch.setattr(module, "STRATEGIES", short)
    monkeypatch.setattr(listed, "STRATEGIES", short)
    given = scenario(pool={"clones": 4, "days": 1}, delta={"format": "vmfs-sparse"})
    few = compare(given, module.STRATEGIES, seed=1, replicates=1, clones=2, processes=1)
    assert list(few.frame["strategy"]) == ["linked-clone", "refresh", "mcs"]
    assert few.left_out == {"space-reclaim": "a delta in vmfs-sparse gives nothing back"}
    assert few.label.endswith("Left out: space-reclaim (a delta in vmfs-sparse gives nothing back).")
    with pytest.raises(ClonesimError, match="gives nothing back"):
        compare(given, "space-reclaim", seed=1, replicates=1, clones=2, processes=1)


def test_a_lun_needs_room_for_a_second_base_image() -> None:
    """Deltas come to 3.0 GiB without recomposes and 2.0 with them; there are 3.5 beside one image of 2.5."""
    whole = scenario(pool={"clones": 4, "days": 3})
    fixed = space_of(whole, 4)
    own, image = 4 * fixed.clone_bytes, fixed.fixed_bytes - 4 * fixed.clone_bytes
    given = load_scenario(whole, luns={"size": own + image + 7 * image // 5})
    asked = "recompose(every=1 d), recompose(every=30 d)"
    few = compare(given, asked, seed=SEED, replicates=1, clones=4, processes=1)
    often, never = (row(few, label) for label in few.frame["strategy"][1:])
    assert (never["binding"], never["clones_per_lun"]) == ("clones simulated", 4)
    assert (often["binding"], often["clones_per_lun"]) == ("outage", 3)
