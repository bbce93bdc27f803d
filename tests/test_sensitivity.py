"""Sensitivity: assumptions, budget and design by hand, figures against the plan's own, what is told of them."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_tools import NO_LIMITS, made_sample
from pool_tools import small
from test_size import CLONE, IMAGES, alike
from test_size import pool as buying

from clonesim.console.sensitivity import print_sensitivity, sensitivity_json
from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.planning.assumptions import EVALUATED, Assumption, assumptions_of, varied
from clonesim.planning.disks import disks_needed, whole_array
from clonesim.planning.limits import limits_of
from clonesim.planning.pool_sample import Steps, sample_pool
from clonesim.planning.sensitivity import Sensitivity, sensitivity, sensitivity_budget
from clonesim.planning.sensitivity_design import RESPONSES, budget_of, simulated, smaller
from clonesim.planning.sensitivity_figures import FIGURES, Disks, Space, between, fewest_disks, stepped
from clonesim.planning.sensitivity_locks import paced, simulated_lock
from clonesim.plots.sensitivity import plot_sensitivity, plot_shares, save_sensitivity
from clonesim.sensitivity_words import sensitivity_verdict
from clonesim.units import GIB, MIB

ONES = np.ones((3, 1))


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
        ("where", "names"),
        [
            ("vmfs-3", {"backoff", "commands", "power_on_locks"}),
            ("vmfs-5", {"backoff", "commands", "power_on_locks", "affinity"}),
        ],
    )
    def test_a_lock_has_what_its_kind_has(self, where: str, names: set[str]) -> None:
        found = {one.name for one in assumptions_of(small(luns={"backing": where}), "lock_wait") if not one.simulated}
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

    def test_a_pool_that_does_nothing_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scenario = small(workload={"name": "idle"}, pool={"clones": 4, "days": 1})
        still = made_sample(scenario, np.full((1, 4, 1), GIB), start=np.full((1, 4), GIB))
        monkeypatch.setattr("clonesim.planning.sensitivity_design.sample_pool", lambda *_, **__: still)
        assumed = assumptions_of(scenario, "delta", ["policy"])
        message = "workload.name='idle': the desktops have no growth, so nothing can be a multiple of it. Ask about a"
        with pytest.raises(ParameterError, match=re.escape(message)):
            simulated(scenario, assumed, budget_of(scenario, assumed), 0, None, lambda _: None)


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
        end = backing("vmfs-5").full_share
        assert space.storage({}, ONES)[0] == pytest.approx(2 * (20 * (GIB + CLONE) + IMAGES) / end)
        double = space.storage({}, 2 * ONES)[0] - space.storage({}, ONES)[0]
        assert double == pytest.approx(40 * 3 * GIB / 4 / end)

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
        """Growth of 80 MiB is five steps of 16 MiB, and two of 64 MiB."""
        sizes, start = np.full((1, 2, 1), 100 * MIB), np.full((1, 2), 20 * MIB)
        assert stepped(sizes, start, 16 * MIB).tolist() == [[[100 * MIB], [100 * MIB]]]
        assert stepped(sizes, start, 64 * MIB)[0, 0, 0] == 20 * MIB + 128 * MIB
        space = self.space()
        assert space.delta_bytes({}, ONES)[0] == pytest.approx(GIB)
        coarse = space.delta_bytes({"increment": np.array([4.0])}, ONES)[0]
        assert GIB <= coarse < GIB + 64 * MIB, "768 MiB are whole steps of 64 MiB; between growths it is a slope"

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

    def test_processes_do_not_matter(self) -> None:
        asked: dict[str, Any] = {"only": ["definitions"], "seed": 1}
        scenario = small(pool={"clones": 4, "days": 2})
        one = sensitivity(scenario, "delta", processes=1, **asked)
        other = sensitivity(scenario, "delta", processes=2, **asked)
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
        """Twenty times the growth steps, each lock held for ten commands of slow disks: they meet more often."""
        scenario = small(pool={"clones": 6, "days": 2}, luns={"backing": "vmfs-3"}, array={"media": "hdd-7k"})
        sample = sample_pool(smaller(scenario, 6, 2), 0, 1, processes=1)
        few, many = (
            simulated_lock(scenario, sample, {"commands": count}, rate=rate)[1] for count, rate in ((3, 0.5), (10, 20))
        )
        assert few < many
        found = sensitivity(scenario, "conflicts", sample=sample, only=["commands", "power_on_locks"], processes=1)
        assert found.budget.desktop_days == 0
        assert set(found.frame["assumption"]) == {"commands", "power_on_locks"}

    def test_without_locks_there_is_nothing_to_wait_for(self) -> None:
        scenario = small(pool={"clones": 4, "days": 2}, luns={"backing": "nfs"}, platform={"name": "generic"})
        sample = sample_pool(smaller(scenario, 4, 2), 0, 1, processes=1)
        message = "figure='lock_wait': hosts meet at no lock on nfs. Ask about another figure."
        with pytest.raises(ParameterError, match=re.escape(message)):
            sensitivity(scenario, "lock_wait", sample=sample, only=["activity"], processes=1)


class TestTold:
    def test_the_table_fits_and_says_what_to_measure(self, delta: Sensitivity, monkeypatch, capsys) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        print_sensitivity(delta)
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 80
        first = delta.frame.iloc[0]
        assert "…" not in text
        assert f"Measure first: {first['measure']}." in " ".join(text.split())
        assert first["higher"] in text and first["lower"] in text
        for head in ("alone", "in all", "interval", "lower", "higher"):
            assert head in text, head

    def test_verdict(self, delta: Sensitivity) -> None:
        """Told of a figure that hardly moves: nothing; of this one: how far, what, what then, and what to measure."""
        found = sensitivity_verdict(delta)
        assert found[0].startswith("Mean size of a clone's delta files at their largest: ")
        assert "moves it most: " in found[1]
        assert found[-1].startswith("Measure first: ")
        same = delta.frame.assign(at_lower=delta.usual, at_higher=delta.usual * 1.001)
        flat = replace(delta, frame=same, middle=(delta.usual,) * 3)
        assert sensitivity_verdict(flat)[0].endswith("move it by less than 1 %. Nothing has to be measured for it.")

    def test_json_is_json(self, delta: Sensitivity) -> None:
        found = json.loads(json.dumps(sensitivity_json(delta)))
        assert found["most"] == delta.most
        assert found["budget"]["desktop_days"] == delta.budget.desktop_days
        assert [row["assumption"] for row in found["assumptions"]] == delta.frame["assumption"].tolist()

    def test_charts(self, delta: Sensitivity, tmp_path) -> None:
        """Bars end at the figure's ends; the largest share is on top; files are the same for the same frame."""
        from matplotlib.figure import Figure

        ax = plot_sensitivity(delta.frame, Figure().add_subplot())
        labels = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
        assert labels == delta.frame["title"].tolist()[::-1]
        top = delta.frame.iloc[0]
        ends = {bar.get_x() + bar.get_width() for bar in ax.patches} | {bar.get_x() for bar in ax.patches}
        scale = GIB if top["at_higher"] >= GIB else MIB
        for end in ("at_lower", "at_higher"):
            assert min(abs(one - top[end] / scale) for one in ends) < 1e-9 * top[end]
        shares = plot_shares(delta.frame, Figure().add_subplot())
        widths = [bar.get_width() for bar in shares.patches[: len(delta.frame)]]
        assert widths == pytest.approx(100 * np.clip(delta.frame["total"], 0, 1)[::-1])
        first, again = (save_sensitivity(delta, tmp_path) for _ in range(2))
        assert [path.name for path in first] == ["sensitivity-delta.png", "sensitivity-delta-shares.png"]
        assert first == again and all(path.stat().st_size > 10_000 for path in first)
