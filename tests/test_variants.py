"""Other assumptions: one at a time, as far as their ranges allow, and what becomes of space and I/O."""

import pandas as pd
import pytest
from pool_tools import small

from clonesim.planning.pool_sample import sample_pool
from clonesim.planning.variants import variants_of, vary
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

TABLES = ("pool", "users", "guest", "workload", "delta", "luns", "hosts", "array", "storms", "platform")
FACTORS = {  # assumption -> where it stands, and its factor in the catalog
    "activity": ("workload", "intensity", 1.5),
    "patches": ("storms", "patch_factor", 1.5),
    "definitions": ("storms", "definitions_size", 2.0),
    "spread": ("users", "intensity_sigma", 1.5),
}


def by_name(scenario: Scenario):
    base, found = variants_of(scenario)
    return base, {(one.assumption, one.way): one.scenario for one in found}


class TestVariants:
    def test_one_assumption_at_a_time(self) -> None:
        base, found = by_name(small(pool={"clones": 6}))
        assert len(found) == 2 * len(FACTORS) + 2, "two other policies on an OS without discards"
        for (assumption, way), scenario in found.items():
            tables = [name for name in TABLES if getattr(scenario, name) != getattr(base, name)]
            if assumption == "policy":
                assert tables == ["guest"], way
                continue
            table, key, factor = FACTORS[assumption]
            assert tables == [table]
            was, now = (getattr(getattr(one, table), key) for one in (base, scenario))
            assert now == pytest.approx(was * factor if way == "higher" else was / factor)
            same = getattr(scenario, table).model_dump(exclude={key})
            assert same == getattr(base, table).model_dump(exclude={key})

    def test_policies_with_and_without_discards_where_they_matter(self) -> None:
        tables = {"platform": {"name": "generic"}, "delta": {"format": "exact"}, "luns": {"backing": "vmfs-5"}}
        base, found = by_name(small("windows-11-office", **tables))
        ways = {way for assumption, way in found if assumption == "policy"}
        mine = f"{base.guest.policy}, discards {'on' if base.guest.discards else 'off'}"
        assert base.guest.policy == "windows"
        names = {
            f"{policy}, discards {on}" for policy in ("best-fit", "windows", "fresh-first") for on in ("on", "off")
        }
        assert ways == names - {mine}

    def test_the_base_is_the_same_pool_with_few_clones(self) -> None:
        """48 clones of the catalog, as many users for each of them."""
        big = small(pool={"clones": 480}, users={"count": 300}, luns={"count": 7, "placement": "round-robin"})
        base, _ = variants_of(big)
        assert (base.pool.clones, base.users.count, base.luns.count) == (48, 30, 1)
        assert base.pool.days == big.pool.days
        assert base.guest == big.guest and base.storms == big.storms and base.workload == big.workload
        small_pool, _ = variants_of(small(pool={"clones": 5}))
        assert small_pool.pool.clones == 5

    def test_an_idle_pool_stays_idle(self) -> None:
        base, _ = variants_of(small(workload={"name": "idle"}))
        assert base.users.count == 0

    def test_a_value_is_moved_no_farther_than_its_range(self) -> None:
        """Definitions of 1.5 GB doubled would be 3 GB; the catalog allows 2 GB."""
        _, found = by_name(small(storms={"definitions_size": 1_500_000_000}))
        assert found["definitions", "higher"].storms.definitions_size == 2_000_000_000
        assert found["definitions", "lower"].storms.definitions_size == 750_000_000

    def test_a_value_at_the_end_of_its_range_is_moved_one_way_only(self) -> None:
        _, found = by_name(small(workload={"intensity": 10.0}, storms={"patch_factor": 0.0}))
        assert ("activity", "higher") not in found
        assert ("activity", "lower") in found
        assert not {("patches", "lower"), ("patches", "higher")} & set(found), "no patches stay no patches"


@pytest.fixture(scope="module")
def swings() -> pd.DataFrame:
    seen: list[tuple[int, int]] = []
    found = vary(small(pool={"clones": 4, "days": 4}), 3, None, lambda done, total: seen.append((done, total)))
    found.attrs["seen"] = seen
    return found


class TestVary:
    def test_a_ratio_is_that_of_two_pools(self, swings: pd.DataFrame) -> None:
        """Simulated by hand: the same pool with twice the definitions, same seed, two replicates."""
        was = sample_pool(small(pool={"clones": 4, "days": 4}), 3, 2, processes=1)
        usual = was.scenario.storms.definitions_size
        changed = small(pool={"clones": 4, "days": 4}, storms={"definitions_size": 2 * usual})
        now = sample_pool(changed, 3, 2, processes=1)
        row = swings[(swings["assumption"] == "definitions") & (swings["way"] == "higher")].iloc[0]
        assert row["space"] == pytest.approx(now.final.mean() / was.final.mean())
        assert row["space"] > 1.0
        peak = [[part.demand[0, -1, :2].sum() for part in one.worst] for one in (now, was)]
        assert row["iops"] == pytest.approx(sum(peak[0]) / sum(peak[1]))

    def test_more_work_takes_more_space(self, swings: pd.DataFrame) -> None:
        table = swings.set_index(["assumption", "way"])["space"]
        for assumption in ("activity", "definitions"):
            assert table[assumption, "lower"] < 1.0 < table[assumption, "higher"], assumption
        assert table["policy", "fresh-first, discards off"] > 1.0

    def test_each_row_says_what_to_measure(self, swings: pd.DataFrame) -> None:
        for row in swings.to_dict("records"):
            for text in ("title", "measure"):
                assert row[text] == catalog.text("size", f"vary.{row['assumption']}", text)

    def test_progress_counts_desktop_days_of_all_pools(self, swings: pd.DataFrame) -> None:
        seen = swings.attrs["seen"]
        total = (len(swings) + 1) * 4 * 4 * 2
        assert seen[-1] == (total, total)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
