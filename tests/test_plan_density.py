"""Clones per LUN: pools made by hand whose largest number is known, limit by limit; monotonicity; refusals."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_tools import NO_LIMITS, made_sample
from pool_tools import small

from clonesim.errors import ParameterError
from clonesim.planning.array_load import array_load, over_luns, worst_demand
from clonesim.planning.density import COLUMNS, Density, largest_within, plan_density
from clonesim.planning.pool_sample import PoolSample, Steps, sample_pool
from clonesim.pool.simulate import simulate
from clonesim.units import GIB, MIB

CLONE, IMAGES = 120 * MIB, 2 * 2560 * MIB  # View: logs of 100 MiB and a disk of 20 MiB each, two base images a LUN
QUIET = {"definitions_weekday": 0, "definitions_weekend": 0, "patch_day": "never", "av_full": "never"}
ONE_DISK = {"media": "hdd-15k", "raid": "raid-0", "disks": 1, "spares": 0, "shared": False, "read_cache": 0}


def pool(clones: int, size: int, **tables: Any) -> Any:
    """Desktops without swap files, so that only what View puts there lies beside the deltas."""
    base: dict[str, Any] = {
        "pool": {"clones": clones, "days": 2},
        "luns": {"size": size, "reserve": 0.0},
        "hosts": {"memory_reservation": 1.0},
    }
    return small(**{table: {**base.get(table, {}), **tables.get(table, {})} for table in {**base, **tables}})


def equal(clones: int, size: int, replicates: int = 60) -> np.ndarray:
    return np.full((replicates, clones, 2), size)


SHOCK, TAIL, CLONES, N = 0.35, 1.2, 120, 30


def shocked(rng: np.random.Generator, replicates: int, clones: int) -> np.ndarray:
    """Deltas that a shared lognormal shock multiplies, with a heavy tail of their own."""
    shock = np.exp(SHOCK * rng.standard_normal((replicates, 1)))
    return (GIB * shock * np.exp(TAIL * rng.standard_normal((replicates, clones)))).astype(np.int64)


class TestAKnownRisk:
    def test_is_within_its_interval_and_so_is_the_largest_number(self) -> None:
        """Independent LUNs, each with its own shock and clones, say how probable it is that n of them fill the LUN."""
        rng = np.random.default_rng(1)
        luns = np.concatenate([np.cumsum(shocked(rng, 10_000, 60), axis=1) for _ in range(20)])
        luns += CLONE * np.arange(1, 61) + IMAGES
        size = int(np.quantile(luns[:, N - 1], 0.9))
        risk = (luns > size).mean(axis=0)
        true = int(np.searchsorted(risk, 0.1, side="right"))
        assert true == N
        runs, below, above, sure, told = 30, 0, 0, 0, []
        scenario = pool(CLONES, size)
        for seed in range(runs):
            last = shocked(np.random.default_rng([12, seed]), 50, CLONES)
            sample = made_sample(scenario, np.stack([last // 2, last], axis=2), seed=seed)
            plan = plan_density(scenario, {**NO_LIMITS, "outage": 0.1}, densities=range(5, 60, 5), sample=sample)
            row = plan.at(N, "outage")
            below += row["low"] <= 0.1
            above += row["high"] >= 0.1
            sure += plan.sure <= true
            told.append(plan.largest)
            assert plan.sure <= plan.largest
            assert plan.binding == "outage"
        slack = 3 * np.sqrt(0.05 * 0.95 / runs)
        assert min(below, above, sure) / runs > 0.95 - slack
        assert 25 <= np.mean(told) <= 35
        assert np.std(told) > 0, "chance does nothing: the test says nothing"

    def test_equal_clones_fill_a_lun_by_hand(self) -> None:
        """1 GiB and 120 MiB each beside 5 GiB of images: 27 of them take 35.2 GiB, 28 take 36.3 GiB of 36 GiB."""
        scenario = pool(40, 36 * GIB)
        plan = plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(40, GIB)))
        taken = [n * (GIB + CLONE) + IMAGES for n in (27, 28)]
        assert taken[0] <= 36 * GIB < taken[1]
        assert (plan.largest, plan.binding, plan.sure) == (27, "outage", 27)
        assert plan.at(27, "outage")["value"] == 0.0
        assert plan.at(28, "outage")["value"] == 1.0
        assert plan.resolved and plan.replicates_needed == 59
        assert plan.space.set_index("n")["used_p95"][27] == taken[0]
        move = plan.moves.set_index("metric").loc["LUN size"]
        assert plan.moves.attrs["then"] == 34, "a quarter more than 27, rounded up"
        assert move["now"] == taken[0]
        assert move["then"] == 34 * (GIB + CLONE) + IMAGES
        assert move["factor"] == move["then"] / (36 * GIB)

    def test_a_reserve_is_kept_free(self) -> None:
        scenario = pool(40, 36 * GIB, luns={"size": 36 * GIB, "reserve": 0.25})
        plan = plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(40, GIB)))
        assert plan.largest == int((27 * GIB - IMAGES) / (GIB + CLONE)) == 19
        assert "LUNs of 27 GiB beside the reserve." in plan.label

    def test_too_few_replicates_resolve_nothing(self) -> None:
        scenario = pool(10, 36 * GIB)
        plan = plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(10, GIB, replicates=20)))
        assert (plan.largest, plan.sure, plan.binding) == (10, 0, "clones simulated")
        assert not plan.resolved
        assert plan.replicates_needed == 59
        assert plan.at(10, "outage")["high"] == pytest.approx(1 - 0.05 ** (1 / 20), rel=1e-3)

    def test_a_lun_too_small_for_one_clone(self) -> None:
        scenario = pool(10, 6 * GIB)
        plan = plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(10, 2 * GIB)))
        assert (plan.largest, plan.binding) == (0, "outage")
        assert repr(plan) == "<Density: 0 clones per LUN, limited by outage>"


def one_disk_plan(limits: dict[str, Any], **array: Any) -> Density:
    """Clones that read ten times a second from their delta; a LUN has one disk of 5.5 ms a read."""
    scenario = pool(40, 1000 * GIB, array={**ONE_DISK, **array}, luns={"backing": "vmfs-5"})
    sample = made_sample(scenario, equal(40, GIB), worst=(600, 0, 0, 0, 600))
    return plan_density(scenario, {**NO_LIMITS, **limits}, sample=sample)


class TestLimitsByHand:
    def test_clones(self) -> None:
        plan = one_disk_plan({"clones": 7})
        assert (plan.largest, plan.binding) == (7, "clones")
        assert plan.moves.set_index("metric").loc["clones", "factor"] == 9 / 7

    def test_iops(self) -> None:
        """A disk does 1 / 5.5 ms = 181.8 reads a second."""
        plan = one_disk_plan({"iops": 1.0})
        assert (plan.largest, plan.binding) == (18, "iops")
        assert plan.at(18, "iops")["value"] == pytest.approx(0.99)
        assert plan.at(36, "iops")["value"] == pytest.approx(1.98), "what is asked, not what is done"

    def test_latency(self) -> None:
        """M/M/1: 95 % within 3.0 x 5.5 ms / (1 - load) and the controller's 0.2 ms."""
        plan = one_disk_plan({"latency": "50 ms"})
        loads = 0.055 * np.arange(1, 18)
        p95 = 0.0002 - np.log(0.05) * 0.0055 / (1 - loads)
        assert plan.largest == (p95 <= 0.05).sum() == 12
        assert plan.binding == "latency"
        assert plan.at(12, "latency")["value"] == pytest.approx(p95[11], rel=0.01)

    def test_queue(self) -> None:
        """Little: reads a second times the mean of 0.2 ms + 5.5 ms / (1 - load), of four places."""
        plan = one_disk_plan({"queue": 0.1}, queue_depth=4)
        n = np.arange(1, 18)
        inside = 10 * n * (0.0002 + 0.0055 / (1 - 0.055 * n)) / 4
        assert plan.largest == (inside <= 0.1).sum() == 5
        assert plan.at(5, "queue")["value"] == pytest.approx(inside[4], rel=0.01)

    def test_of_several_limits_the_first_one_binds(self) -> None:
        plan = one_disk_plan({"iops": 1.0, "latency": "50 ms", "clones": 30})
        assert (plan.largest, plan.binding) == (12, "latency")
        factors = plan.moves.set_index("metric")["factor"]
        assert factors["clones"] == 0.5
        assert factors["iops"] == pytest.approx(15 * 0.055)

    def test_shared_disks_do_not_care_who_lies_where(self) -> None:
        """All 40 clones read from ten disks whatever n is; with fewer LUNs there are fewer places, 32 a host and LUN.

        Ten disks with N reads at most in them reach N / (N + 9) of what they can do.
        """
        plan = one_disk_plan({"iops": 1.0}, shared=True, disks=10)
        hosts = small().hosts.count
        for n in (1, 7, 40):
            places = min(256, 32 * hosts) * -(-40 // n)
            assert plan.at(n, "iops")["value"] == pytest.approx(0.22 * (places + 9) / places)

    def test_a_lun_on_shared_disks_has_places_of_its_own(self) -> None:
        """All disks' latency, at a load of 0.22, but the commands and the places of one LUN."""
        plan = one_disk_plan({"queue": 1.0}, shared=True, disks=10, queue_depth=16)
        for n in (7, 40):
            inside = 10 * n * (0.0002 + 0.0055 / (1 - 0.22)) / 16
            assert plan.at(n, "queue")["value"] == pytest.approx(inside, rel=0.01)


BURST_S = 2.0


def burst_plan(limits: dict[str, Any], locking: str, count: int = 12) -> tuple[Density, PoolSample]:
    """Clones without users that all grow at the same moments, one every two seconds."""
    scenario = pool(
        count,
        1000 * GIB,
        pool={"clones": count, "days": 1},
        workload={"name": "idle"},
        storms={**QUIET, "reboot": "never"},
        luns={"backing": "vmfs-5", "locking": locking, "locks": {"locks_per_grow": 1}},
        hosts={"memory_reservation": 1.0, "count": 2},
        array=ONE_DISK,
    )
    times = np.repeat(np.arange(5.0, 86400.0, BURST_S), count)
    clone = np.tile(np.arange(count), times.size // count)
    steps = [Steps(times, clone, (clone % 2).astype(np.int32))] * 3
    sample = made_sample(scenario, equal(count, GIB, 3)[:, :, :1], steps=steps)
    return plan_density(scenario, {**NO_LIMITS, **limits}, sample=sample), sample


class TestLocks:
    def test_wait_for_an_ideal_lock_by_hand(self) -> None:
        """n holds one behind the other every 2 s: a random moment waits longer than x with (n hold - x) / 2 s.

        The 99th percentile of 1,200 moments is uncertain by 2 s x sqrt(0.01 x 0.99 / 1200) = 5.7 ms.
        """
        plan, sample = burst_plan({"lock_wait": "50 ms"}, "fifo")
        idle = array_load(sample.scenario, 5).answer(np.zeros((1, 5), np.int64)).mean_s[0]
        hold = 4 * idle  # commands of a reservation
        p99 = np.maximum(np.arange(1, 13) * hold - 0.01 * BURST_S, 0.0)
        for n in range(1, 13):
            assert plan.at(n, "lock_wait")["value"] == pytest.approx(p99[n - 1], abs=4 * 0.0057)
        assert abs(plan.largest - (p99 <= 0.05).sum()) <= 2
        assert plan.binding == "lock_wait"
        assert set(plan.storms["kind"]) == {"restarts", "steady"}
        assert not plan.storms["conflicts_per_s"].any()

    def test_conflicts_between_hosts(self) -> None:
        """Every 2 s the other host's first request meets a reservation, and again until the first host is done."""
        plan, _ = burst_plan({"conflicts": 1.0}, "scsi-reservation")
        assert plan.binding == "conflicts"
        row = plan.at(12, "conflicts")
        assert row["value"] > 1.0 and not row["passes"]
        assert row["low"] <= row["value"] <= row["high"]
        values = plan.frame[plan.frame["metric"] == "conflicts"].sort_values("n")["value"].to_numpy()
        assert values[0] == 0.0, "a clone alone meets nobody"
        assert (np.diff(values) >= 0).all()

    def test_at_most_twelve_numbers_are_simulated(self) -> None:
        plan, _ = burst_plan({"lock_wait": "20 ms"}, "fifo", count=30)
        mine = plan.frame[plan.frame["metric"] == "lock_wait"].set_index("n")["simulated"]
        assert mine.sum() == 12 and mine[1] and mine[30]

    def test_a_limit_of_nothing_is_kept_by_nothing_only(self) -> None:
        ideal, _ = burst_plan({"conflicts": 0.0}, "fifo", 4)
        real, _ = burst_plan({"conflicts": 0.0}, "scsi-reservation", 4)
        assert ideal.moves.set_index("metric").loc["conflicts", "factor"] == 0.0
        assert real.moves.set_index("metric").loc["conflicts", "factor"] == np.inf
        assert (ideal.largest, real.largest) == (4, 1)

    def test_none_without_such_limits(self) -> None:
        scenario = pool(10, 36 * GIB)
        assert plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(10, GIB))).storms.empty


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 60), st.floats(0.02, 0.4))
def test_more_room_or_more_risk_never_takes_fewer_clones(seed, size, risk) -> None:
    rng = np.random.default_rng(seed)
    sizes = shocked(rng, 6, 20)[:, :, None].repeat(2, axis=2)

    def largest(gib, eps):
        scenario = pool(20, gib * GIB)
        limits = {**NO_LIMITS, "outage": eps}
        plan = plan_density(scenario, limits, densities=[1, 5, 10, 15, 20], sample=made_sample(scenario, sizes))
        for name in ("value", "low", "high"):
            assert (np.diff(plan.frame[plan.frame["metric"] == "outage"].sort_values("n")[name]) >= -1e-12).all()
        return plan.largest

    assert largest(size, risk) <= min(largest(size + 10, risk), largest(size, risk + 0.1))


@pytest.fixture(scope="module")
def sample() -> PoolSample:
    return sample_pool(small(pool={"clones": 12, "days": 8}), 2, 3, processes=1)


class TestOfAPool:
    def test_a_row_for_each_number_and_limit(self, sample: PoolSample) -> None:
        plan = plan_density(sample.scenario, sample=sample)
        assert list(plan.frame.columns) == list(COLUMNS)
        assert len(plan.frame) == 12 * 7
        assert plan.frame["n"].unique().tolist() == list(range(1, 13))
        assert plan.frame.attrs["largest"] == plan.largest
        assert plan.label.startswith(sample.label)
        assert plan.limits.clones == 64
        assert len(plan.rules) > 5
        again = plan_density(sample.scenario, sample=sample)
        pd.testing.assert_frame_equal(plan.frame, again.frame)

    def test_the_sample_is_what_it_would_have_simulated(self, sample: PoolSample) -> None:
        own = plan_density(sample.scenario, seed=2, replicates=3, processes=1, densities=[3, 12])
        given_one = plan_density(sample.scenario, sample=sample, densities=[3, 12])
        pd.testing.assert_frame_equal(own.frame, given_one.frame)

    def test_all_clones_on_one_lun_are_what_simulate_says(self, sample: PoolSample) -> None:
        run = simulate(sample.scenario, seed=2, replicates=3, processes=1)
        used = max(int(fill.used[-1]) for fill in run.fills)
        plan = plan_density(sample.scenario, sample=sample, densities=[12])
        assert plan.space["used_max"].iloc[0] == used

    def test_a_hundred_numbers_at_most(self) -> None:
        scenario = pool(400, 1000 * GIB)
        frame = plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(400, GIB, 2))).frame
        numbers = frame["n"].to_numpy()
        assert numbers.size == 100 and numbers[0] == 1 and numbers[-1] == 400
        assert (np.diff(numbers) >= 1).all()

    @pytest.mark.parametrize("most", [2, 63, 64, 199, 399])
    def test_the_vendor_s_number_is_looked_at(self, most: int) -> None:
        scenario = pool(400, 1000 * GIB)
        sample = made_sample(scenario, equal(400, GIB, 2))
        plan = plan_density(scenario, {**NO_LIMITS, "clones": most}, sample=sample)
        assert (plan.largest, plan.binding) == (most, "clones")
        assert (np.diff(plan.frame["n"].unique()) >= 1).all()

    def test_overrides(self, sample: PoolSample) -> None:
        plan = plan_density(sample.scenario, sample=sample, densities=[12], luns={"size": "20 GiB"})
        assert plan.at(12, "outage")["value"] == 1.0


class TestRefused:
    @pytest.mark.parametrize("asked", [[], [0], [3, 3], [4, 2], [1.5], [True], [13]])
    def test_densities(self, asked: list[Any]) -> None:
        scenario = pool(12, 100 * GIB)
        message = (
            f"densities={asked!r}: whole numbers in ascending order, from 1 to the 12 clones simulated, are needed."
        )
        message += " Raise pool.clones to look at more."
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(12, GIB, 2)), densities=asked)

    def test_a_sample_of_another_scenario(self) -> None:
        scenario = pool(12, 100 * GIB)
        with pytest.raises(ParameterError, match="it was made from another table pool"):
            plan_density(pool(13, 100 * GIB), sample=made_sample(scenario, equal(12, GIB, 2)))

    def test_a_number_that_was_not_looked_at(self) -> None:
        scenario = pool(12, 100 * GIB)
        plan = plan_density(scenario, NO_LIMITS, sample=made_sample(scenario, equal(12, GIB, 2)), densities=[2])
        with pytest.raises(
            ParameterError, match=r"^n=3: no such number of clones, or no such metric, was looked at\.$"
        ):
            plan.at(3, "outage")

    def test_mistakes_are_told_before_anything_is_simulated(self) -> None:
        with pytest.raises(ParameterError, match=r"limits\.clone=3"):
            plan_density("windows-11-office", {"clone": 3})


def rows(*given_rows: tuple[int, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(given_rows, columns=["n", "metric", "value", "limit"])


class TestLargestWithin:
    def test_the_limit_that_is_passed_by_most(self) -> None:
        frame = rows((1, "a", 0, 1), (1, "b", 0, 1), (2, "a", 2, 1), (2, "b", 3, 1), (3, "a", 9, 1), (3, "b", 0, 1))
        assert largest_within(frame) == (1, "b")
        assert largest_within(frame, without=["b"]) == (1, "a")
        assert largest_within(frame, without=["a"]) == (3, "clones simulated")
        assert largest_within(frame, without=["a", "b"]) == (3, "clones simulated"), "no limit keeps anything out"

    def test_limits_that_fewer_clones_pass(self) -> None:
        """Fewer LUNs have fewer images, which fit into the cache: what counts is the largest number within."""
        frame = rows((1, "a", 2, 1), (2, "a", 1, 1), (3, "a", 2, 1))
        assert largest_within(frame) == (2, "a")

    def test_none(self) -> None:
        assert largest_within(rows((4, "a", 2, 0), (5, "a", 2, 1))) == (0, "a")

    def test_what_is_equal_to_the_limit_keeps_it(self) -> None:
        assert largest_within(rows((4, "a", 1, 1))) == (4, "clones simulated")


class TestWorstDemand:
    def test_between_two_sums_it_is_linear(self) -> None:
        scenario = pool(6, 100 * GIB)
        sample = made_sample(scenario, equal(6, GIB, 2), worst=(60, 30, 600, 300, 20))
        part = sample.worst[0]
        coarse = type(part)(np.array([[2, 6]]), np.array([[[100, 0, 0, 0, 0], [500, 40, 0, 0, 0]]]))
        sample = type(sample)(**{**vars(sample), "worst": (coarse, part)})
        assert worst_demand(sample, 1)[0].tolist() == [[50, 0, 0, 0, 0]]
        assert worst_demand(sample, 2)[0].tolist() == [[100, 0, 0, 0, 0]]
        assert worst_demand(sample, 3)[0].tolist() == [[200, 10, 0, 0, 0]]
        assert worst_demand(sample, 6)[0].tolist() == [[500, 40, 0, 0, 0]]
        assert worst_demand(sample, 6, 1.5)[0].tolist() == [[750, 60, 0, 0, 0]]
        assert worst_demand(sample, 3)[1].tolist() == [[180, 90, 1800, 900, 60]]

    def test_what_most_luns_do_not_exceed(self) -> None:
        assert over_luns(np.full((4, 8), 3.0)) == (3.0, 3.0, 3.0)
        assert over_luns(np.array([[1.0, 2.0]])) == (pytest.approx(1.95), 0.0, np.inf), "one replicate bounds nothing"
        rng = np.random.default_rng(1)
        hits = 0
        for _ in range(400):
            shock = rng.random((5, 1))  # of a replicate; its mean is 0.5
            value, low, high = over_luns(shock + np.linspace(-0.2, 0.2, 41))
            assert low <= value <= high
            hits += low <= 0.5 + 0.18 <= high
        assert 0.92 * 400 < hits < 0.98 * 400
