"""Sensitivity: formulas against leaving out by hand, indices against closed forms, figures against the plan's own."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_tools import NO_LIMITS, made_sample
from pool_tools import Reversed, small
from test_size import CLONE, IMAGES, alike
from test_size import pool as buying

from clonesim.errors import ParameterError
from clonesim.planning.assumptions import EVALUATED, Assumption, assumptions_of, varied
from clonesim.planning.limits import limits_of
from clonesim.planning.pool_sample import Steps, sample_pool
from clonesim.planning.purchase import disks_needed, whole_array
from clonesim.planning.sensitivity import Sensitivity, sensitivity, sensitivity_budget
from clonesim.planning.sensitivity_design import RESPONSES, budget_of, simulated, smaller
from clonesim.planning.sensitivity_figures import FIGURES, Disks, Space, between, fewest_disks, stepped
from clonesim.planning.sensitivity_locks import paced, simulated_lock
from clonesim.planning.sobol import indices
from clonesim.planning.surrogate import fit, term_count, terms
from clonesim.units import GIB, MIB

ONES = np.ones((3, 1))


def curved(u: np.ndarray) -> np.ndarray:
    """A number, a square, a product, and three levels that act on the first number."""
    level = np.minimum((3 * u[2]).astype(int), 2)
    return 1.0 + u[0] + 3 * u[1] ** 2 - u[0] * u[1] + np.array([0.0, 2.0, -1.0])[level] * (1 + u[0])


class TestSurrogate:
    def test_the_formula_holds_what_it_has_terms_for(self) -> None:
        rng = np.random.default_rng(0)
        points = rng.random((3, 60))
        found = fit(points, curved(points), [0, 0, 3])
        others = rng.random((3, 200))
        assert found.predict(others) == pytest.approx(curved(others), abs=1e-9)
        assert found.error < 1e-9 and found.explained == pytest.approx(1.0)

    def test_the_error_is_that_of_leaving_out_one_point_at_a_time(self) -> None:
        """Fitted again by least squares without each point; ridge off, since so much data needs none."""
        rng = np.random.default_rng(1)
        points = rng.random((2, 40))
        response = np.exp(points[0] * points[1]) + 0.01 * rng.normal(size=40)
        table = np.column_stack([np.ones(40), terms(points, [0, 0])])
        missed = []
        for k in range(40):
            keep = np.arange(40) != k
            solved = np.linalg.lstsq(table[keep], response[keep], rcond=None)[0]
            missed.append(response[k] - table[k] @ solved)
        found = fit(points, response, [0, 0])
        plain = math.sqrt(np.mean(np.square(missed)))
        assert found.error <= plain * (1 + 1e-6), "the best of several ridges, none at all among them"
        assert found.error > 0.9 * plain
        assert math.sqrt(np.mean(found.missed**2)) == pytest.approx(found.error)

    def test_noise_is_not_taken_for_knowledge(self) -> None:
        rng = np.random.default_rng(2)
        found = fit(rng.random((4, 50)), rng.normal(size=50), [0, 0, 0, 0])
        assert found.explained < 0.2
        assert 0.8 < found.error < 1.3

    @pytest.mark.parametrize(("levels", "count"), [([0], 3), ([0, 0], 6), ([0] * 4, 15), ([0] * 4 + [3], 25), ([3], 3)])
    def test_terms_are_counted(self, levels: list[int], count: int) -> None:
        """Constant, coordinates, squares of numbers, pairs; a choice of three counts as two numbers without squares."""
        assert term_count(levels) == count

    def test_formulas_that_might_have_come_out_as_well_differ_by_the_error(self) -> None:
        rng = np.random.default_rng(3)
        points = rng.random((2, 80))
        found = fit(points, points[0] + 0.1 * rng.normal(size=80), [0, 0])
        drawn = [found.again(points, np.random.default_rng(k)).predict(np.array([[0.5], [0.5]]))[0] for k in range(60)]
        assert 0.1 / math.sqrt(80) < np.std(drawn) < 0.1

    def test_two_points_are_refused(self) -> None:
        with pytest.raises(ParameterError, match=r"points=2: at least three are needed to fit a formula"):
            fit(np.zeros((1, 2)), np.zeros(2), [0])


def ishigami(u: np.ndarray) -> np.ndarray:
    x = math.pi * (2 * u - 1)
    return np.sin(x[0]) + 7 * np.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * np.sin(x[0])


class TestIndices:
    def test_ishigami(self) -> None:
        """Closed forms of Ishigami and Homma 1990, with a = 7 and b = 0.1."""
        a, b = 7.0, 0.1
        one = 0.5 * (1 + b * math.pi**4 / 5) ** 2
        two, both = a**2 / 8, b**2 * math.pi**8 * (1 / 18 - 1 / 50)
        whole = one + two + both
        found = indices(ishigami, 3, 5, base=4096)
        assert found.first == pytest.approx([one / whole, two / whole, 0.0], abs=0.02)
        assert found.total == pytest.approx([(one + both) / whole, two / whole, both / whole], abs=0.02)

    @given(st.lists(st.floats(0.1, 10), min_size=1, max_size=4), st.integers(0, 99))
    @settings(max_examples=12, deadline=None)
    def test_what_adds_up_has_no_interactions(self, weights: list[float], seed: int) -> None:
        """Shares of a weighted sum are the squares of its weights."""
        exact = np.square(weights) / np.square(weights).sum()
        found = indices(lambda u: 1e6 + np.array(weights) @ u, len(weights), seed, resamples=0)
        assert found.first == pytest.approx(exact, abs=0.02)
        assert found.total == pytest.approx(exact, abs=0.02)

    def test_intervals_hold_the_exact_shares(self) -> None:
        """Of 2 x and y: 0.8 and 0.2. 95 % intervals of both miss in at most 3 of 20 draws."""
        missed = 0
        for seed in range(10):
            found = indices(lambda u: 2 * u[0] + u[1], 2, seed, base=64, resamples=50)
            for k, exact in enumerate((0.8, 0.2)):
                missed += not found.total_low[k] <= exact <= found.total_high[k]
        assert missed <= 3

    def test_models_that_might_be_as_well_widen_the_intervals(self) -> None:
        alone = indices(lambda u: u[0] + u[1], 2)
        wide = indices(lambda u: u[0] + u[1], 2, others=[lambda u, w=w: u[0] + w * u[1] for w in (0.5, 1.0, 2.0)])
        assert wide.first == pytest.approx(alone.first)
        assert (wide.total_low < alone.total_low).all() and (wide.total_high > alone.total_high).all()
        assert wide.total_high[1] >= 0.75, "with weight 2 the second one has 0.8"

    def test_what_never_changes_has_no_shares(self) -> None:
        found = indices(lambda u: np.full(u.shape[1], 3.0), 2)
        assert not np.concatenate([found.first, found.total, found.total_high]).any()

    def test_an_idle_coordinate_has_an_interval_of_nothing(self) -> None:
        found = indices(lambda u: u[0], 2)
        assert (found.first[1], found.total[1], found.total_high[1]) == (0.0, 0.0, 0.0)


class TestAssumptions:
    def test_ends_are_factors_within_the_range(self) -> None:
        """Definitions of 1.5 GB may be half as large, and 2 GB at most."""
        found = {one.name: one for one in assumptions_of(small(storms={"definitions_size": 1_500_000_000}), "delta")}
        one = found["definitions"]
        assert (one.low, one.usual, one.high, one.simulated) == (750_000_000, 1_500_000_000, 2_000_000_000, True)
        assert float(one.at(np.array([one.place]))[0]) == pytest.approx(one.usual)
        assert (one.text(0.0), one.text(1.0)) == ("x 0.5", "x 1.3")

    def test_middle_of_a_factor_is_the_geometric_mean_of_a_share_the_mean(self) -> None:
        log, plain = (Assumption("a", "", "", False, 1.0, 2.0, 9.0, kind) for kind in (True, False))
        assert log.at(np.array([0.0, 0.5, 1.0])) == pytest.approx([1, 3, 9])
        assert plain.at(np.array([0.0, 0.5, 1.0])) == pytest.approx([1, 5, 9])
        assert (log.place, plain.place) == pytest.approx((math.log(2, 9), 1 / 8))

    def test_policies_are_equally_wide(self) -> None:
        one = assumptions_of(small(), "delta", ["policy"])[0]
        assert one.levels == ("best-fit", "windows", "fresh-first")
        assert one.at(np.array([0.0, 0.33, 0.34, 0.66, 0.67, 1.0])).tolist() == [0, 0, 1, 1, 2, 2]
        assert one.text(one.place) == small().guest.policy

    @pytest.mark.parametrize(
        ("backing", "names"),
        [
            ("vmfs-3", {"backoff", "commands", "power_on_locks"}),
            ("vmfs-5", {"backoff", "commands", "power_on_locks", "affinity"}),
        ],
    )
    def test_a_lock_has_what_its_kind_has(self, backing: str, names: set[str]) -> None:
        found = {one.name for one in assumptions_of(small(luns={"backing": backing}), "lock_wait") if not one.simulated}
        assert found == names | {"increment", "array_service"}

    def test_values_are_put_where_they_belong(self) -> None:
        base = small()
        assumed = [one for one in assumptions_of(base, "delta") if one.simulated]
        names = [one.name for one in assumed]
        values = [2.0 if one.levels else one.high for one in assumed]
        other = varied(base, assumed, values)
        assert names == ["activity", "patches", "definitions", "spread", "policy"]
        assert other.workload.intensity == pytest.approx(1.5 * base.workload.intensity)
        assert other.storms.definitions_size == 2 * base.storms.definitions_size
        assert other.guest.policy == "fresh-first"
        assert varied(base, assumed, [1.0 if one.levels else one.usual for one in assumed]) == base

    def test_every_figure_says_what_moves_it(self) -> None:
        assert set(EVALUATED) == set(FIGURES)

    def test_unknown_names_are_refused(self) -> None:
        message = "only='definition': delta can move with activity, patches, definitions, spread, policy, increment."
        with pytest.raises(ParameterError, match=re.escape(f"{message} Did you mean 'definitions'?")):
            assumptions_of(small(), "delta", ["definition"])
        with pytest.raises(ParameterError, match=r"figure='storag': figures are .*\. Did you mean 'storage'\?"):
            sensitivity_budget(small(), "storag")


class TestBudget:
    def test_by_hand(self) -> None:
        """25 terms are 50 pools of 6 clones x 3 days and the usual one; two pools of all 6 clones for the figures."""
        cost = sensitivity_budget(small())
        assert (cost.terms, cost.points, cost.clones, cost.days) == (25, 50, 6, 3)
        assert (cost.base_clones, cost.base_days, cost.base_replicates) == (6, 3, 2)
        assert cost.desktop_days == 51 * 18 + 2 * 18
        text = "51 pools of 6 clones x 3 days and 2 of 6 clones x 3 days: 954 desktop-days, about 2 s of one process."
        assert cost.text == text

    def test_large_pools_are_looked_at_in_small_ones(self) -> None:
        cost = sensitivity_budget("windows-7-office")
        assert (cost.clones, cost.days) == (24, 30)
        assert cost.base_clones == 63, "500 clones on 8 LUNs"

    @given(st.integers(630, 20_000))
    @settings(max_examples=20, deadline=None)
    def test_a_budget_is_kept_and_used_up(self, budget: int) -> None:
        cost = sensitivity_budget(small(), budget=budget)
        assert budget - 18 < cost.desktop_days <= budget
        assert cost.points >= 32

    def test_too_small_a_budget_is_refused(self) -> None:
        """32 pools are the least for 25 terms."""
        message = (
            "budget=629: 8 assumptions need at least 630 desktop-days (33 pools of 6 clones x 3 days and 2 of 6 clones "
            "x 3 days: 630 desktop-days, about 1 s of one process). Raise it, name fewer assumptions with `only`, or "
            "take a shorter pool.days."
        )
        with pytest.raises(ParameterError, match=re.escape(message)):
            sensitivity_budget(small(), budget=629)
        with pytest.raises(ParameterError, match=r"budget='much': a number of desktop-days is needed\."):
            sensitivity_budget(small(), budget="much")  # type: ignore[arg-type]

    def test_nothing_is_simulated_for_what_is_computed(self) -> None:
        sample = alike(buying())
        cost = sensitivity_budget(buying(), only=["reserve"], sample=sample)
        assert (cost.points, cost.desktop_days) == (0, 0)


class TestDesign:
    def test_responses_are_those_of_pools(self) -> None:
        """The second pool simulated by hand."""
        scenario = small(pool={"clones": 4, "days": 2})
        assumed = assumptions_of(scenario, "delta", ["activity", "definitions"])
        cost = budget_of(scenario, assumed, sample=None)
        told: list[int] = []
        design = simulated(scenario, assumed, cost, 7, None, told.append)
        assert design.points.shape == (2, cost.points + 1)
        assert design.responses[:, 0].tolist() == [0.0, 0.0, 0.0]
        assert told[-1] == (cost.points + 1) * cost.each
        small_pool = smaller(scenario, cost.clones, cost.days)
        values = [float(one.at(design.points[k, 1:2])[0]) for k, one in enumerate(assumed)]
        pools = [sample_pool(one, 7, 1, processes=1) for one in (small_pool, varied(small_pool, assumed, values))]
        was, now = ((one.final - one.start).mean() for one in pools)
        assert np.exp(design.responses[RESPONSES.index("growth"), 1]) == pytest.approx(now / was)
        assert (np.diff(np.sort(design.points[0, 1:] * cost.points).astype(int)) == 1).all(), "one in each row"

    def test_a_pool_that_does_nothing_is_refused(self) -> None:
        scenario = small(workload={"name": "idle"}, pool={"clones": 4, "days": 1}, storms={"patch_factor": 0.0})
        sample = made_sample(scenario, np.full((1, 4, 1), GIB))
        assert sample.final.min() == GIB
        assumed = assumptions_of(scenario, "delta", ["policy"])
        cost = budget_of(scenario, assumed)
        try:
            design = simulated(scenario, assumed, cost, 0, None, lambda _: None)
        except ParameterError as error:
            assert str(error).startswith("workload.name='idle': the desktops have no ")
        else:
            assert np.isfinite(design.responses).all()


class TestFigures:
    """40 clones of 1 GiB on LUNs of 20, with logs and images beside them as in test_size.py."""

    def scenario(self, **tables: Any) -> Any:
        luns = {"count": 2, "clones_per_lun": 20, **tables.pop("luns", {})}
        return buying(luns=luns, **tables)

    def space(self, **more: Any) -> Space:
        scenario = self.scenario()
        start = np.full((3, 40), GIB // 4)
        return Space.of(scenario, alike(scenario, start=start, **more), limits_of(scenario, NO_LIMITS), (0.5, 3.0))

    def test_storage(self) -> None:
        """Growth of 768 MiB on 256 MiB; swap files of none, since all memory is reserved."""
        space = self.space()
        full = 2 * (20 * (GIB + CLONE) + IMAGES)
        share = space.storage({}, ONES)[0] / full
        assert share == pytest.approx(1.0, rel=1e-6) or share > 1.0, "a datastore may count as full before its end"
        double = space.storage({}, 2 * ONES)[0] - space.storage({}, ONES)[0]
        assert double == pytest.approx(share * 40 * 3 * GIB / 4)

    def test_room_kept_free_and_swap_files(self) -> None:
        space = self.space()
        usual = space.storage({}, ONES)[0]
        assert space.storage({"reserve": np.array([0.2])}, ONES)[0] == pytest.approx(usual / 0.8)
        swap = space.storage({"memory_reservation": np.array([0.75])}, ONES)[0] - usual
        assert swap == pytest.approx(40 * GIB / 4, rel=0.01), "a quarter of 1 GiB each"

    def test_luns(self) -> None:
        """27 clones fit on 36 GiB (test_size.py): two datastores; 40 GiB more each and one is enough."""
        space = self.space()
        assert space.luns({}, ONES, None)[0] == 2
        assert space.luns({}, ONES, 7)[0] == 6
        double = space.luns({}, 2 * ONES, None)[0]
        each = 7 * GIB / 4 + CLONE
        assert double == math.ceil(40 / ((36 * GIB - IMAGES) // each))

    def test_mean_of_the_files_with_larger_steps(self) -> None:
        """Growth of 60 MiB by steps of 16 MiB is 64 MiB, by steps of 64 MiB too; 80 MiB become 128 MiB."""
        sizes, start = np.full((1, 2, 1), 100 * MIB), np.full((1, 2), 20 * MIB)
        assert stepped(sizes, start, 16 * MIB).tolist() == [[[100 * MIB], [100 * MIB]]]
        assert stepped(sizes, start, 64 * MIB)[0, 0, 0] == 20 * MIB + 128 * MIB
        space = self.space()
        assert space.delta_bytes({}, ONES)[0] == pytest.approx(GIB)
        assert space.delta_bytes({"increment": np.array([4.0])}, ONES)[0] == GIB, "768 MiB are whole steps of 64 MiB"

    @given(st.floats(0, 3), st.floats(0, 2))
    @settings(max_examples=30, deadline=None)
    def test_between_rows_and_columns(self, x: float, y: float) -> None:
        """A bilinear function comes back exactly, beyond the ends too."""
        rows, columns = np.array([0.0, 1.0, 2.5]), np.array([0.0, 0.5, 1.5])
        table = 1 + 2 * rows[:, None] - columns + 3 * rows[:, None] * columns
        assert between(rows, columns, table, np.array([x]), np.array([y]))[0] == pytest.approx(
            1 + 2 * x - y + 3 * x * y
        )

    def test_disks_are_those_of_the_purchase(self) -> None:
        """At the usual service time, for several demands; and more of them if a disk is slower."""
        scenario = self.scenario(array={"raid": "raid-0", "spares": 0, "disk_size": "1 TiB"})
        sample = alike(scenario, worst=(600, 0, 600 * 4096, 0, 600))
        limits = limits_of(scenario, {**NO_LIMITS, "iops": 0.5})
        load = whole_array(scenario, 20)
        for demand in (0.5, 1.0, 2.0, 7.3):
            told, _ = disks_needed(scenario, sample, limits, 0, 20, demand)
            assert fewest_disks(load, sample, limits, demand, load.array.service_s) == told
        assert fewest_disks(load, sample, limits, 1.0, 2 * load.array.service_s) > 5

    def test_disks_for_space_or_io(self) -> None:
        scenario = self.scenario(array={"raid": "raid-0", "spares": 0, "disk_size": "1 TiB"})
        sample = alike(scenario, worst=(600, 0, 600 * 4096, 0, 600))
        limits = limits_of(scenario, {**NO_LIMITS, "iops": 0.5})
        service_s = whole_array(scenario, 20).array.service_s
        found = Disks.of(scenario, sample, limits, (0.5, 2.0), (service_s, service_s), 20.0 * 2**40)
        small_one, large = (found.disks(np.array([size]), {}, ONES)[0] for size in (2.0**30, 19.5 * 2**40))
        assert (small_one, large) == (5, 20), "five for the reads (test_size.py), twenty for 19.5 TiB"
        assert found.iops == 400.0


class TestPaced:
    def steps(self) -> Steps:
        return Steps(np.arange(12.0), np.tile([0, 1], 6), np.zeros(12, np.int32))

    @pytest.mark.parametrize(("rate", "each"), [(0.5, 3), (1.0, 6), (2.0, 12), (0.34, 2), (1.5, 9)])
    def test_so_many_times_the_steps(self, rate: float, each: int) -> None:
        found = paced(self.steps(), rate)
        assert np.bincount(found.clone).tolist() == [each, each]
        assert (np.diff(found.time_s) >= 0).all()
        assert found.time_s.min() >= 0 and found.time_s.max() <= 11

    def test_more_steps_fill_the_time_up_to_the_next_one(self) -> None:
        """Clone 0 grows at 0, 2, 4 ...: twice as often is every second."""
        found = paced(self.steps(), 2.0)
        assert found.time_s[found.clone == 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]


@pytest.fixture(scope="module")
def delta() -> Sensitivity:
    return sensitivity(small(pool={"clones": 4, "days": 3}), "delta", seed=3, processes=1)


class TestSensitivity:
    def test_the_usual_figure_is_that_of_the_pool(self, delta: Sensitivity) -> None:
        own = sample_pool(smaller(delta.scenario, 4, 3), 3, 2, processes=1)
        assert delta.usual == pytest.approx(own.final.mean())

    def test_an_end_is_what_a_pool_comes_to(self, delta: Sensitivity) -> None:
        """Twice the definitions, nothing else, simulated: the formula is off by a few times its own error at most."""
        row = delta.frame.set_index("assumption").loc["definitions"]
        more = small(
            pool={"clones": 4, "days": 3}, storms={"definitions_size": 2 * delta.scenario.storms.definitions_size}
        )
        was, now = (sample_pool(smaller(one, 4, 3), 3, 1, processes=1) for one in (delta.scenario, more))
        ratio = (now.final - now.start).mean() / (was.final - was.start).mean()
        start = delta.sample.start.mean()
        grown = start + ratio * (delta.usual - start)
        assert row["at_higher"] == pytest.approx(grown, rel=4 * delta.error + 0.01)
        assert row["at_lower"] < delta.usual < row["at_higher"]
        assert row["swing"] == row["at_higher"] - row["at_lower"]

    def test_shares_and_order(self, delta: Sensitivity) -> None:
        frame = delta.frame
        assert set(frame["assumption"]) == {"activity", "patches", "definitions", "spread", "policy", "increment"}
        assert frame["total"].is_monotonic_decreasing
        assert delta.most == frame["assumption"].iloc[0]
        assert (frame["total_low"] <= frame["total"]).all() and (frame["total"] <= frame["total_high"]).all()
        assert frame["first"].sum() < 1.1
        assert frame["rest"].iloc[0] == 0 and frame["rest"].iloc[1:].max() > 0.5
        assert delta.middle[0] <= delta.middle[1] <= delta.middle[2]

    def test_other_figures_need_no_other_pools(self, delta: Sensitivity) -> None:
        again = sensitivity(delta.scenario, "delta", before=delta, seed=3)
        assert again.frame.equals(delta.frame)
        other = sensitivity(delta.scenario, "storage", before=delta, seed=3)
        assert other.usual > 4 * delta.usual
        with pytest.raises(ParameterError, match=r"its pools are of another scenario, seed or choice of assumptions\."):
            sensitivity(delta.scenario, "storage", before=delta, seed=4)

    def test_the_order_of_the_work_does_not_matter(self) -> None:
        asked: dict[str, Any] = {"only": ["definitions"], "seed": 1}
        scenario = small(pool={"clones": 4, "days": 2})
        one = sensitivity(scenario, "delta", processes=1, **asked)
        other = sensitivity(scenario, "delta", executor=Reversed(), **asked)
        assert one.frame.equals(other.frame)
        assert one.frame["total"].iloc[0] == pytest.approx(1.0, abs=0.05)

    def test_the_budget_is_told_first(self) -> None:
        seen: list[Any] = []

        def progress(text: str) -> Any:
            seen.append(text)
            return lambda done, total: seen.append((done, total))

        scenario = small(pool={"clones": 4, "days": 2})
        found = sensitivity(scenario, "delta", only=["definitions"], processes=1, progress=progress)
        assert seen[0] == found.budget.text
        assert seen[-1] == (found.budget.desktop_days, found.budget.desktop_days)
        assert [done for done, _ in seen[1:]] == sorted(done for done, _ in seen[1:])

    def test_conflicts(self) -> None:
        """Locks that last longer meet more often; the same as the simulation of the lock says."""
        scenario = small(pool={"clones": 6, "days": 2}, luns={"backing": "vmfs-3"})
        sample = sample_pool(smaller(scenario, 6, 2), 0, 1, processes=1)
        asked: dict[str, Any] = {"sample": sample, "only": ["commands", "power_on_locks"], "processes": 1}
        found = sensitivity(scenario, "conflicts", **asked)
        assert found.budget.desktop_days == 0
        few, many = (simulated_lock(scenario, sample, {"power_on_locks": count})[1] for count in (5, 50))
        assert few <= many
        if found.most:
            assert found.middle[0] <= found.middle[2]

    def test_without_locks_there_is_nothing_to_wait_for(self) -> None:
        scenario = small(pool={"clones": 4, "days": 2}, luns={"backing": "nfs"}, platform={"name": "generic"})
        sample = sample_pool(smaller(scenario, 4, 2), 0, 1, processes=1)
        message = "figure='lock_wait': hosts meet at no lock on nfs. Ask about another figure."
        with pytest.raises(ParameterError, match=re.escape(message)):
            sensitivity(scenario, "lock_wait", sample=sample, only=["activity"], processes=1)
