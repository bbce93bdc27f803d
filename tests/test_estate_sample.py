"""Estates from samples: right on the average, errors that are right, and the very clones of the exact run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estate_tools import HEAD, MEAN, STANDARD, TWO, estate_file, stand_in
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.pool import estate_sample
from clonesim.pool.estate import simulate_estate
from clonesim.pool.estate_estimate import LEAST_REPLICATES, Spread, adjusted
from clonesim.pool.estate_frames import Estimate
from clonesim.pool.estate_sample import read_sample, sample_estate
from clonesim.pool.estate_strata import run_sample_job, strata_of
from clonesim.pool.simulate import simulate
from clonesim.scenario.estate_load import load_estate

SLOPE = 30.0
NEVER = HEAD + '[estate.calendar]\npatch_day = "never"\n'


def expected(estate: Any) -> float:
    """Expectation of the stand-in's total. [B]"""
    return sum(one.size * (MEAN[one.each] + SLOPE * one.patched_mean[-1]) for one in strata_of(estate))


class Trials:
    """One sample for each of many seeds, of the stand-in."""

    def __init__(self, estate: Any, sample: str | int, seeds: int) -> None:
        truth = expected(estate)
        found = [sample_estate(estate, seed, sample, processes=1) for seed in range(seeds)]
        rows = [one.total.iloc[0] for one in found]
        self.error = np.array([row["delta_total_bytes"] for row in rows]) / truth - 1
        self.se = np.array([row["delta_total_se_bytes"] for row in rows]) / truth
        low, high = (np.array([row[f"delta_total_{end}_bytes"] for row in rows]) for end in ("low", "high"))
        self.covered = float(((low <= truth) & (truth <= high)).mean())
        self.between = np.array([one.between_sd for one in found]) / truth
        self.within = np.array([one.within_sd for one in found]) / truth
        self.explained = float(np.median([one.explained for one in found]))
        self.reached = np.array([one.relative_error for one in found])
        self.replicates = np.array([one.replicates for one in found])

    def check(self) -> None:
        """Unbiased, with the right standard error and coverage, as far as so many trials can tell."""
        n = self.error.size
        assert abs(self.error.mean()) < 3.5 * self.error.std(ddof=1) / n**0.5
        assert 0.7 < (self.se**2).mean() / self.error.var(ddof=1) < 1.4
        assert 0.95 - 4 * (0.95 * 0.05 / n) ** 0.5 < self.covered


class TestTruth:
    @pytest.fixture(autouse=True)
    def _simulator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(estate_sample, "run_sample_job", stand_in(SLOPE, 0.02, 0.15))

    @pytest.mark.parametrize("sample", [72, 240])
    def test_a_number_of_desktops(self, sample: int, tmp_path: Path) -> None:
        trials = Trials(load_estate(estate_file(tmp_path, STANDARD)), sample, 100)
        trials.check()
        assert trials.explained > 0.5, "most of what replicates differ by are patches"

    def test_without_patches_errors_count_what_else_is_shared(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(estate_sample, "run_sample_job", stand_in(SLOPE, 0.1, 0.05))
        text = STANDARD.replace("[[sites]]", '[estate.calendar]\npatch_day = "never"\n[[sites]]', 1)
        trials = Trials(load_estate(estate_file(tmp_path, text)), 72, 100)
        trials.check()
        assert trials.explained == 0
        assert (trials.between**2).mean() == pytest.approx(0.01, rel=0.25)
        size, mean = np.array([300, 100, 7]), np.array([MEAN[60], MEAN[100], MEAN[7]])
        true = (size**2 * (0.05 * mean) ** 2 * (1 / 2 - 1 / size)).sum() / (size @ mean) ** 2
        assert (trials.within**2).mean() == pytest.approx(true * 1.01, rel=0.15), "squared draw of mean 1.01"

    def test_a_wished_error(self, tmp_path: Path) -> None:
        """The true error is what was wished; those that stop early think a little too well of themselves."""
        trials = Trials(load_estate(estate_file(tmp_path, STANDARD)), "1 %", 60)
        assert abs(trials.error.mean()) < 3.5 * trials.error.std(ddof=1) / 60**0.5
        assert trials.error.std(ddof=1) < 0.01 * (1 + 2 / (2 * 59) ** 0.5)
        assert 0.55 < (trials.se**2).mean() / trials.error.var(ddof=1) < 1.5
        assert trials.covered > 0.93 - 3 * (0.93 * 0.07 / 60) ** 0.5
        assert (trials.reached <= 0.01).mean() > 0.9
        assert trials.replicates.min() >= LEAST_REPLICATES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("estate")


class TestRealSimulator:
    def test_the_very_clones_of_the_exact_run(self, folder: Path) -> None:
        made = load_estate(estate_file(folder))
        for one in strata_of(made):
            for replicate in (0, 3):
                (job,) = one.jobs(5, replicate, 0, 2)
                exact = simulate(job.scenario, seed=5, replicates=4, processes=1).growth
                exact = exact[(exact["replicate"] == replicate) & exact["clone"].isin(job.clones)]
                wide = exact.pivot(index="clone", columns="day", values="delta_bytes").to_numpy()
                assert np.array_equal(run_sample_job(job).sizes[:, :, 0], wide)

    def test_against_an_exact_run_of_the_same_replicates(self, folder: Path) -> None:
        """The difference is due to looking at some desktops only."""
        made = load_estate(estate_file(folder))
        found = sample_estate(made, 3, 48, processes=1)
        exact = simulate_estate(made, 3, found.replicates, processes=1)
        for mine, its in ((found.total, exact.total), (found.sites, exact.sites)):
            for quantity in ("delta_total", "datastore_total"):
                off = mine[f"{quantity}_bytes"] - its[f"{quantity}_bytes"]
                assert (off.abs() < 4 * mine[f"{quantity}_se_bytes"]).all()
        last = found.sizes[found.sizes["day"] == 2].set_index("site")
        assert last.loc["", "delta_bytes"] == pytest.approx(found.total["delta_total_bytes"].iloc[0])
        assert found.pools["pool"].tolist() == ["one-1", "one-2", "two"]
        assert found.sites["desktops"].tolist() == [8, 5]

    def test_a_sample_of_all_desktops_is_the_exact_run(self, folder: Path) -> None:
        """Without patches, which are taken out otherwise, every figure is that of the exact run."""
        text = f"{NEVER}[[pools]]\nname = 'x'\nsite = 'a'\nscenario = 'small.toml'\nclones = 3\n"
        made = load_estate(estate_file(folder, text))
        found = sample_estate(made, 1, 36, processes=1)
        assert (found.replicates, found.clones, found.within_sd) == (12, 36, 0)
        exact = simulate_estate(made, 1, 12, processes=1)
        assert found.total["delta_total_bytes"].iloc[0] == pytest.approx(exact.total["delta_total_bytes"].iloc[0])
        assert found.total["delta_total_se_bytes"].iloc[0] == pytest.approx(exact.total["delta_total_se_bytes"].iloc[0])

    def test_whatever_does_the_work(self, folder: Path) -> None:
        made = load_estate(estate_file(folder))
        one = simulate_estate(made, 2, sample=60, processes=1)
        with ThreadPoolExecutor(3) as executor:
            other = simulate_estate(made, 2, sample=60, executor=executor)
        for name in ("pools", "sites", "sizes", "total"):
            pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
        assert one.sample is not None
        assert other.sample is not None
        pd.testing.assert_frame_equal(one.sample.plan, other.sample.plan)
        needed = one.sample.needed(0.01)
        assert needed["core_s"] > 0
        assert needed["replicates"] >= LEAST_REPLICATES
        assert one.label.startswith("small: 13 desktops x 3 days in 3 pools on 2 sites, estimated from ")
        assert not len(one.luns)


class TestEstimators:
    def test_a_line_is_read_off_at_what_is_expected(self) -> None:
        known = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
        found = adjusted(10 + 2 * known, known, 3.7)
        assert found.mean == pytest.approx(17.4)
        assert found.se == pytest.approx(0, abs=1e-6)

    def test_against_a_textbook_regression(self) -> None:
        from scipy.stats import linregress, t

        rng = np.random.default_rng(1)
        known = rng.normal(5, 1, 12)
        values = 3 * known + rng.normal(0, 1, 12)
        fit = linregress(known - 4.2, values)
        found = adjusted(values, known, 4.2)
        assert found.mean == pytest.approx(fit.intercept)
        assert found.se == pytest.approx(fit.intercept_stderr)
        assert found.high == pytest.approx(fit.intercept + t.ppf(0.975, 10) * fit.intercept_stderr)

    def test_nothing_known_is_the_mean(self) -> None:
        values = np.array([1.0, 2.0, 4.0, 5.0])
        assert adjusted(values, np.full(4, 7.0), 9.0).mean == Estimate.of_values(values).mean == 3.0

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(1, 5000), st.just(0.0) | st.floats(1, 1e9)), min_size=1, max_size=6),
        st.integers(1, 4000),
        st.floats(0, 1e12),
    )
    def test_sharing_out(self, strata: list[tuple[int, float]], total: int, between: float) -> None:
        size, sd = (np.array(column) for column in zip(*strata, strict=True))
        spread = Spread(size, sd.astype(float), between, np.ones(size.size))
        found = spread.shared_out(total)
        assert (found >= np.minimum(size, 2)).all()
        assert (found <= size).all()
        if sd.all() and spread.least.sum() <= total <= size.sum():
            assert abs(int(found.sum()) - total) <= size.size
        replicates, each = spread.for_error(1e9)
        least = (replicates, each.tolist()) == (LEAST_REPLICATES, spread.least.tolist())
        assert spread.variance(replicates, each) <= 1e18 * 1.001 or least or replicates == 10_000

    def test_neyman_s_allocation_is_the_best(self) -> None:
        """No desktop moved from one stratum to another lowers the variance."""
        spread = Spread(np.array([1000, 500, 200]), np.array([1.0, 4.0, 2.0]), 0.0, np.ones(3))
        best = spread.shared_out(120)
        for source in range(3):
            for target in range(3):
                moved = best.copy()
                moved[source] -= 2
                moved[target] += 2
                assert spread.within(moved) >= spread.within(best) - 1e-9


class TestRefused:
    @pytest.mark.parametrize("sample", ["", "2", 0, "0 %", "99 %", "2 GiB", True, 2.0, None])
    def test_what_is_no_sample(self, sample: Any) -> None:
        if sample == "2":
            assert read_sample(sample) == (None, 2)
            return
        with pytest.raises(ParameterError, match=r"a standard error from 0.01 % to 50 % .* Write '2 %', or 1000\.$"):
            read_sample(sample)

    def test_wishes(self) -> None:
        assert read_sample("2 %") == read_sample(" 2.0% ") == (0.02, None)
        assert read_sample(500) == (None, 500)

    def test_too_few(self, folder: Path) -> None:
        message = r"^sample=47: 48 desktops or more are needed: 2 kinds of pools x 2 desktops x 12 replicates\."
        with pytest.raises(ParameterError, match=message):
            simulate_estate(estate_file(folder), sample=47, processes=1)

    def test_a_number_of_replicates(self, folder: Path) -> None:
        with pytest.raises(ParameterError, match=r"^replicates=3: a sample finds the number of replicates itself\."):
            simulate_estate(estate_file(folder), replicates=3, sample=500, processes=1)

    def test_pools_that_decide_by_sizes(self, folder: Path) -> None:
        text = TWO.replace("luns = {count = 2}", "luns = {count = 2}\nstrategy = ['rebalance']")
        with pytest.raises(ParameterError, match=r"^sample='two': pool 'two' sets back or moves desktops by the sizes"):
            simulate_estate(estate_file(folder, text), sample=500, processes=1)
