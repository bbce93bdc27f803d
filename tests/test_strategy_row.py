"""Figures of a row, by hand and by other means."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITHOUT, small

from clonesim.lun.backing import backing
from clonesim.planning.alternatives import Alternative, alternatives
from clonesim.planning.set_back import Resets
from clonesim.planning.strategy_row import COLUMNS, OUTAGE, outage_day, strategy_row, total
from clonesim.pool.luns import LunResult, run_luns
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.space import space_of
from clonesim.pool.strategies.sizes import PoolSizes
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

GIB, MIB, DAY = 2**30, 2**20, 86400.0
CLONES = 4


def scenario(**tables: Any) -> Scenario:
    pool = {"clones": 40, "days": 3} | tables.pop("pool", {})
    return small(WITHOUT, pool=pool, guest={"disk": "12 GiB"}, platform={"name": "generic"}, **tables)


@cache
def simulated(strategy: str, **luns: Any) -> tuple[Alternative, Replicate, list[LunResult]]:
    found, _ = alternatives(scenario(luns=luns), strategy, CLONES)
    one = found[-1]
    replicate = next(iter(replicates_of(one.core, 3, 1, None)))
    return one, replicate, run_luns(one.small, replicate)


@cache
def row(strategy: str, **luns: Any) -> dict[str, float]:
    one, replicate, found = simulated(strategy, **luns)
    return strategy_row(one.small, one.asked, replicate, found, Resets.of(replicate))


def made_sizes(steps: list[tuple[float, int, int, int, int]], made: Scenario, luns: int = 1) -> PoolSizes:
    """Sizes of steps: time, clone, disk, LUN, bytes."""
    table = pd.DataFrame(steps, columns=["time_s", "clone", "disk", "lun", "size"])
    shape = (int(table["clone"].max()) + 1, int(table["disk"].max()) + 1, made.pool.days)
    none = np.zeros(shape)
    return PoolSizes(made, table, none, none, np.zeros(shape[0], int), lambda day: none[..., :1], 0, 0, luns, 0.0, True)


def test_a_row_has_its_columns() -> None:
    assert set(row("linked-clone")) == {*COLUMNS, OUTAGE}
    assert all(type(value) is float for value in row("refresh").values())


def test_files_of_several_disks_at_their_largest_together() -> None:
    """Two clones with two disks: 5 and 3 at 1 s, then one goes from 5 to 2 as the other grows by 4."""
    steps = [(0.0, 0, 0, 1), (1.0, 0, 0, 4), (2.0, 0, 0, -3), (0.0, 0, 1, 10), (0.0, 1, 0, 3), (2.0, 1, 0, 4)]
    steps.append((0.0, 1, 1, 20))
    sizes = made_sizes([(at, clone, disk, 0, size * MIB) for at, clone, disk, size in steps], scenario())
    assert sizes.largest([0]) == 9 * MIB  # 2 + 7: never 5 + 7
    assert sizes.largest([1]) == 30 * MIB
    assert sizes.largest([0, 1]) == 39 * MIB
    assert sizes.largest([2]) == 0


def test_files_take_whole_units_of_their_datastore() -> None:
    sizes = made_sizes([(0.0, 0, 0, 0, 1), (5.0, 0, 0, 0, MIB)], scenario())
    assert backing(scenario().luns.backing).allocation_unit == MIB
    assert sizes.largest([0]) == 2 * MIB


def test_base_images_are_shared_as_in_the_whole_pool() -> None:
    """Four clones on one LUN stand for 40 on as many as are needed."""
    one, replicate, found = simulated("linked-clone")
    alone, mine = PoolSizes.of(one.small, replicate, found).table(0).set_index("size"), row("linked-clone")
    fixed = space_of(one.small, 1)
    image = fixed.fixed_bytes - fixed.clone_bytes
    assert mine["replica_bytes"] == image * mine["luns_needed"] / 40
    less = image / CLONES - mine["replica_bytes"]
    assert less > 0
    for size in ("datastore", "array"):
        for figure in ("mean_bytes", "p95_bytes", "peak_bytes"):
            assert mine[f"{size}_{figure}"] == pytest.approx(alone.loc[size, figure] - less)
    assert mine["delta_peak_bytes"] == pytest.approx(alone.loc["delta", "peak_bytes"])


def test_a_datastore_of_base_images_alone_is_shared_by_all() -> None:
    own, alone = row("linked-clone"), row("linked-clone", replica_lun=True)
    made = simulated("linked-clone")[0].small
    assert alone["replica_bytes"] == backing(made.luns.backing).allocated(made.guest.used) / 40
    difference = own["replica_bytes"] - alone["replica_bytes"]
    assert own["storage_bytes"] - alone["storage_bytes"] == pytest.approx(difference)
    assert own["datastore_peak_bytes"] - alone["datastore_peak_bytes"] == pytest.approx(difference)


@pytest.mark.parametrize("lone", [False, True])
def test_a_recompose_has_two_base_images(lone: bool) -> None:
    plain = row("linked-clone", replica_lun=lone)
    renewed, never = (row(f"recompose(every={days} d)", replica_lun=lone) for days in (1, 30))
    assert never["replica_bytes"] == plain["replica_bytes"]
    assert renewed["replica_bytes"] == 2 * plain["replica_bytes"]


class TestTiers:
    def test_a_file_behind_memory_is_a_cache(self) -> None:
        for name in ("provisioned-streaming", "mcs"):
            found = row(f"{name}(ram=4 MiB)")
            assert found["os_bytes"] == 0 < found["cache_bytes"]
        plain = row("mcs(ram=0 B)")
        assert plain["cache_bytes"] == 0 < plain["os_bytes"]

    def test_an_image_that_is_streamed_lies_on_no_lun(self) -> None:
        assert row("provisioned-streaming")["replica_bytes"] == 0
        assert row("full-clone")["replica_bytes"] == 0

    def test_what_lies_on_shares(self) -> None:
        plain = row("app-attach(packages=3; package_size=4 GiB)")
        assert plain["share_bytes"] == 3 * 4 * GIB / 40
        assert row("profile-container")["share_bytes"] > 0
        _, replicate, _ = simulated("profile-streaming(size=1 GiB)")
        assert row("profile-streaming(size=1 GiB)")["share_bytes"] == total(replicate, "profile_bytes") / CLONES > 0

    def test_all_tiers_are_the_storage(self) -> None:
        tiers = ("os", "user", "disposable", "cache", "share", "replica", "swap")
        for name in ("linked-clone", "mcs", "refresh+profile-container", "disposable-disk+persistent-disk"):
            found = row(name)
            assert found["storage_bytes"] == pytest.approx(sum(found[f"{tier}_bytes"] for tier in tiers))


def test_logons_and_network() -> None:
    waits = row("app-attach(packages=3; mount=2 s)+profile-container(mount=1 s)")
    assert waits["logon_added_s"] == pytest.approx(7.0)
    assert row("linked-clone")["logon_added_s"] == 0
    assert row("linked-clone")["network_a_day_bytes"] == 0
    _, replicate, _ = simulated("profile-streaming(size=1 GiB)")
    found = row("profile-streaming(size=1 GiB)")["network_a_day_bytes"]
    assert found == total(replicate, "network_bytes") / CLONES / 3 > 0


class TestOutage:
    def full_at(
        self, size: int, on_lun: list[int], steps: list[tuple[float, int, int, int, int]], **luns: Any
    ) -> float:
        """Day of the outage of LUNs with so many bytes beside what lies there from the start."""
        base = scenario(luns=luns)
        beside = space_of(base, min(base.luns.clones_per_lun, 40)).fixed_bytes
        made = load_scenario(base, luns={"size": beside + size})
        return outage_day(made, made, made_sizes(steps, made, len(on_lun)), np.array(on_lun))

    def test_a_lun_is_as_full_as_the_scenario_deals_it(self) -> None:
        """One simulated clone stands for ten: 10 x 2 MiB at 1 d, 10 x 5 MiB at 2 d."""
        steps = [(0.0, 0, 0, 0, MIB), (DAY, 0, 0, 0, MIB), (2 * DAY, 0, 0, 0, 3 * MIB)]
        for room, day in ((9, 0.0), (10, 1.0), (19, 1.0), (20, 2.0), (49, 2.0), (50, np.inf)):
            assert self.full_at(room * MIB, [1], steps, clones_per_lun=10) == day
        assert self.full_at(20 * MIB, [1], steps, clones_per_lun=4) == np.inf

    def test_the_first_lun_counts(self) -> None:
        steps = [(0.0, 0, 0, 0, MIB), (0.0, 1, 0, 1, MIB), (DAY, 1, 0, 1, MIB), (2 * DAY, 0, 0, 0, 4 * MIB)]
        assert self.full_at(3 * MIB, [1, 1], steps, clones_per_lun=2) == 1.0
        assert self.full_at(4 * MIB, [1, 1], steps, clones_per_lun=2) == 2.0
        assert self.full_at(4 * MIB, [1, 1, 0], steps, clones_per_lun=2) == 2.0

    def test_a_lun_that_is_simulated_whole_is_full_when_its_filling_says(self) -> None:
        one, replicate, found = simulated("linked-clone", clones_per_lun=4)
        sizes = PoolSizes.of(one.small, replicate, found)
        peak = int(found[0].fill.used.max())
        tight = load_scenario(one.small, luns={"size": peak - 2 * MIB})
        full = run_luns(tight, replicate)[0].fill
        assert full.full
        assert outage_day(tight, one.asked, sizes, np.array([CLONES])) == full.first_full_s / DAY
        assert row("linked-clone", clones_per_lun=4)[OUTAGE] == np.inf
