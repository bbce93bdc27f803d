"""Samples for plans: what they keep is what `simulate` tells of the same pool, and no more."""

import re
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, Reversed, small

from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.planning import pool_sample
from clonesim.planning.pool_sample import PoolSample, check_sample, sample_pool
from clonesim.planning.space_risk import clone_sizes
from clonesim.pool.clones import Desktop
from clonesim.pool.replicates import replicates_of
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate

GIVES_BACK = {"platform": {"name": "generic"}, "delta": {"format": "exact"}, "luns": {"backing": "vmfs-5"}}
FIELDS = ("size", "start", "demand")


@pytest.fixture(scope="module")
def sample() -> PoolSample:
    return sample_pool(small(), seed=5, replicates=2, processes=1)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(small(), seed=5, replicates=2, processes=1)


@pytest.fixture(scope="module")
def two_luns() -> Run:
    return simulate(small(luns={"count": 2}), seed=5, replicates=2, processes=1)


class TestWhatSimulateTells:
    def test_sizes_are_those_at_the_end_of_each_day_of_files_that_only_grow(self, sample: PoolSample, run: Run) -> None:
        assert sample.size.shape == (2, 6, 3)
        assert sample.size.tolist() == clone_sizes(run).tolist()
        assert sample.final.tolist() == sample.size[:, :, 2].tolist()

    def test_the_luns_of_the_scenario_do_not_matter(self, sample: PoolSample, two_luns: Run) -> None:
        assert sample.size.tolist() == clone_sizes(two_luns).tolist()
        by_hour = two_luns.luns.groupby(["replicate", "time_s"])[["read_iops", "write_iops"]].sum().to_numpy()
        assert np.allclose(sample.demand[:, :, :2].reshape(-1, 60, 2).sum(axis=1) / 3600.0, by_hour)

    def test_files_begin_with_what_a_fresh_delta_takes(self, sample: PoolSample) -> None:
        created = Desktop(sample.scenario, 5).delta.created_bytes
        assert created > 0
        assert set(sample.start.ravel().tolist()) == {-(-created // 2**20) * 2**20}

    def test_steps_are_the_increments(self, sample: PoolSample, run: Run) -> None:
        for replicate, steps in enumerate(sample.steps):
            told = run.increments[run.increments["replicate"] == replicate].sort_values(["time_s", "clone"])
            assert len(told) > 100
            assert steps.time_s.tolist() == told["time_s"].tolist()
            assert steps.clone.tolist() == told["clone"].tolist()
            assert steps.host.tolist() == told["host"].tolist()

    def test_steps_add_up_to_the_sizes(self, sample: PoolSample) -> None:
        """vmfs-sparse grows by 16 MiB a step, which is whole units of the datastore."""
        for replicate, steps in enumerate(sample.steps):
            counts = np.bincount(steps.clone, minlength=6)
            assert (sample.final[replicate] - sample.start[replicate]).tolist() == (counts * 2**24).tolist()

    def test_demand_by_the_hour_and_in_total(self, sample: PoolSample, run: Run) -> None:
        hours = sample.demand.reshape(2, 72, 60, 5).sum(axis=2) / 3600.0
        for k, name in ((0, "read_iops"), (1, "write_iops"), (4, "delta_read_iops")):
            assert np.allclose(hours[:, :, k].ravel(), run.luns[name].to_numpy()), name
        written = run.growth[run.growth["day"] == 2].groupby("replicate")["written_bytes"].sum()
        assert sample.demand[:, :, 3].sum(axis=1).tolist() == written.tolist()

    def test_the_worst_minute_of_all_clones_is_the_peak_of_their_lun(self, sample: PoolSample, run: Run) -> None:
        peaks = run.peaks.groupby("replicate")["iops"].max()
        for replicate, worst in enumerate(sample.worst):
            assert worst.clones[:, -1].tolist() == [6] * 8
            last = worst.demand[:, -1]
            assert (last == last[0]).all(), "all orders end with all clones"
            assert last[0, :2].sum() / 60.0 == pytest.approx(peaks[replicate])
            assert last[0].tolist() in sample.demand[replicate].tolist()


class TestWorstMinute:
    def test_of_some_clones_is_that_of_a_subset_which_grows(self) -> None:
        """Against all subsets: of six clones, each in a batch of its own, there are 63."""
        scenario = small()
        [one] = replicates_of(scenario, 5, 1, None)
        sample = sample_pool(scenario, seed=5, replicates=1, processes=1)
        worst = sample.worst[0]
        assert [len(batch.job.clones) for batch in one.batches] == [1] * 6
        known: dict[frozenset[int], list[int]] = {}
        for count in range(1, 7):
            for chosen in combinations(range(6), count):
                total = sum(one.batches[k].demand for k in chosen)
                known[frozenset(chosen)] = total[(total[:, 0] + total[:, 1]).argmax()].tolist()
        for clones, demand in zip(worst.clones, worst.demand.tolist(), strict=True):
            assert clones.tolist() == [1, 2, 3, 4, 5, 6]
            reached = {frozenset()}
            for row in demand:  # some clone joins those that are there, and the row is the worst minute of them all
                reached = {s | {k} for s in reached for k in range(6) if k not in s and known[s | {k}] == row}
                assert reached
        assert len({tuple(map(tuple, part)) for part in worst.demand[:, :-1].tolist()}) > 1, "orders are all the same"


class TestFilesThatGiveBack:
    def test_the_peak_of_a_day_counts(self) -> None:
        scenario = small(WITH_DISCARDS, pool={"clones": 2, "days": 5}, guest={"discards": True}, **GIVES_BACK)
        sample = sample_pool(scenario, seed=3, replicates=1, processes=1)
        run = simulate(scenario, seed=3, processes=1)
        ends = clone_sizes(run)
        assert (sample.size >= ends).all()
        assert (sample.size > ends).any(), "nothing was given back: the test says nothing"
        [one] = replicates_of(scenario, 3, 1, None)
        unit = backing("vmfs-5").allocation_unit
        for batch in one.batches:
            for clone in batch.job.clones:
                mine = batch.clone == clone
                most = slow_peaks(batch.time_s[mine].tolist(), batch.size[mine].tolist(), 5)
                assert sample.size[0, clone].tolist() == [-(-size // unit) * unit for size in most]

    def test_a_day_begins_with_what_the_day_before_left(self) -> None:
        """A file of 9 B gives 7 B back at midnight, and later takes 2 B: its days' peaks are 9, 9 and 10.

        Clone 5 stays at its first size. What comes at the horizon counts for the last day.
        """
        rows = [(0.0, 3, 4), (100.0, 3, 5), (86400.0, 3, -7), (90_000.0, 3, 2), (259_200.0, 3, 6), (0.0, 5, 1)]
        time_s, clone, grown = (np.array(part) for part in zip(*rows, strict=True))
        batch = SimpleNamespace(job=SimpleNamespace(clones=(3, 5)), time_s=time_s, clone=clone, size=grown)
        found = {whose: (first, peak.tolist()) for whose, first, peak in pool_sample._peaks(batch, 3)}
        assert found == {3: (4, [9, 9, 10]), 5: (1, [1, 1, 1])}

    def test_steps_are_growth_only(self) -> None:
        scenario = small(WITH_DISCARDS, pool={"clones": 2, "days": 3}, guest={"discards": True}, **GIVES_BACK)
        sample = sample_pool(scenario, seed=3, replicates=1, processes=1)
        told = simulate(scenario, seed=3, processes=1).increments.sort_values(["time_s", "clone"])
        assert sample.steps[0].time_s.tolist() == told["time_s"].tolist()


def slow_peaks(times, sizes, days):
    """Largest size of a file on each day, step by step; a day begins with what the day before left."""
    peak, now, row = [0] * days, 0, 0
    for day in range(days):
        peak[day] = now
        while row < len(times) and (times[row] < 86400.0 * (day + 1) or day == days - 1):
            now += sizes[row]
            peak[day] = max(peak[day], now)
            row += 1
    return peak


class TestTheSame:
    def test_whatever_does_the_work(self, sample: PoolSample) -> None:
        other = sample_pool(small(), seed=5, replicates=2, executor=Reversed())
        assert_same(sample, other)

    def test_the_first_replicate_is_the_sample_of_one(self, sample: PoolSample) -> None:
        one = sample_pool(small(), seed=5, replicates=1, processes=1)
        for name in FIELDS:
            assert getattr(one, name)[0].tobytes() == getattr(sample, name)[0].tobytes(), name
        assert one.worst[0].demand.tobytes() == sample.worst[0].demand.tobytes()
        assert (sample.size[0] != sample.size[1]).any()

    def test_another_seed_is_another_pool(self, sample: PoolSample) -> None:
        other = sample_pool(small(), seed=6, replicates=1, processes=1)
        assert (other.size[0] != sample.size[0]).any()

    def test_progress_counts_desktop_days(self) -> None:
        seen: list[tuple[int, int]] = []
        sample_pool(
            small(pool={"clones": 2}),
            replicates=2,
            processes=1,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen[-1] == (12, 12)


def assert_same(one: PoolSample, two: PoolSample) -> None:
    for name in FIELDS:
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
    for mine, other in zip(one.steps, two.steps, strict=True):
        assert all(getattr(mine, f).tobytes() == getattr(other, f).tobytes() for f in ("time_s", "clone", "host"))
    for mine, other in zip(one.worst, two.worst, strict=True):
        assert mine.demand.tobytes() == other.demand.tobytes()
        assert mine.clones.tobytes() == other.clones.tobytes()


LABEL = (
    "6 clones x 3 days x 2 replicates of windows-xp, workload office (rates mostly assumed), vmfs-sparse on vmfs-3, "
    "allocation policy windows (a hypothesis), no discards; seed 5."
)


class TestAsked:
    def test_label(self, sample: PoolSample) -> None:
        assert sample.label == LABEL
        assert (sample.replicates, sample.clones) == (2, 6)

    @pytest.mark.parametrize(
        ("table", "values"),
        [
            ("pool", {"days": 4}),
            ("users", {"absence": 0.0}),
            ("guest", {"page_file": "300 MiB"}),
            ("workload", {"intensity": 2.0}),
            ("storms", {"reboot": "daily"}),
            ("platform", {"power": 7}),
        ],
    )
    def test_a_sample_of_other_desktops_is_refused(self, sample: PoolSample, table: str, values: dict) -> None:
        message = f"sample={LABEL!r}: it was made from another table {table}. Leave it out, or sample this scenario."
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            check_sample(sample, small(**{table: values}))

    def test_other_datastores_and_arrays_are_what_it_is_for(self, sample: PoolSample) -> None:
        check_sample(sample, small(luns={"size": "2 TiB", "count": 3, "backing": "vmfs-5"}, array={"disks": 40}))
        check_sample(sample, small(hosts={"memory": "256 GiB", "read_cache": "2 GiB"}))

    def test_other_numbers_of_hosts_are_refused(self, sample: PoolSample) -> None:
        """Steps and operations name the hosts that the clones ran on."""
        message = f"sample={LABEL!r}: its clones ran on {sample.scenario.hosts.count} hosts. "
        message += "Leave it out, or sample this scenario."
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            check_sample(sample, small(hosts={"count": 1}))

    def test_backings_with_other_units_are_refused(self, sample: PoolSample) -> None:
        message = f"sample={LABEL!r}: its files take whole units of 1048576 B, those on nfs of 4096 B. "
        message += "Leave it out, or sample this scenario."
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            check_sample(sample, small(luns={"backing": "nfs"}))

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"seed": -1}, "seed=-1: a whole number from 0 to 9223372036854775807 is needed."),
            ({"replicates": 0}, "replicates=0: a whole number from 1 to 10000 is needed."),
            ({"processes": 0}, "processes=0: a whole number from 1 to 1024 is needed."),
        ],
    )
    def test_counts(self, asked: dict, message: str) -> None:
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            sample_pool(small(pool={"clones": 1, "days": 1}), **asked)
