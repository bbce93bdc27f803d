"""The block simulator calibrated to pools that it made itself: known truths come back."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from calibration_tools import frame

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.planning.calibrate import calibrate, calibration_cost
from clonesim.planning.calibration_design import (
    Pool,
    cost_of,
    prior_of,
    run_pool,
    scaled_tables,
    small_pool,
)
from clonesim.planning.growth_fit import fit_growth
from clonesim.planning.growth_history import HistoryError
from clonesim.scenario import load_scenario

START = "2012-01-02"
POLICIES = ("best-fit", "fresh-first")
SETTINGS = {"since": START, "ahead": 7, "clones": 10, "points": 12, "policies": POLICIES, "processes": 1}
TRUTH = ("fresh-first", 0.6, 0.5)


@pytest.fixture(scope="module")
def sizes():
    small = small_pool(load_scenario("windows-7-office"), 10, 28)
    return run_pool(Pool(load_scenario(small, **scaled_tables(small, *TRUTH)), 9003))


@pytest.fixture(scope="module")
def found(sizes):
    return calibrate(frame(sizes, [7, 14, 21], START), "windows-7-office", **SETTINGS)


def test_pools_are_those_of_simulate():
    small = small_pool(load_scenario("windows-10-office"), 4, 3, dt.date(2026, 3, 9))
    run = cs.simulate(small, seed=5, processes=1)
    table = run.growth.pivot(index="clone", columns="day", values="delta_bytes").to_numpy()
    assert run.scenario.pool.start == dt.date(2026, 3, 9)
    assert (run_pool(Pool(small, 5)) == table).all()


def test_the_truth_is_found(found):
    best, told = found.policies.iloc[0], found.shrinkage.set_index("parameter")
    assert best["policy"] == TRUTH[0]
    assert best["probability"] > 0.99
    assert told.loc["scale", "low"] < TRUTH[1] < told.loc["scale", "high"]
    assert told.loc["scale", "shrinkage"] > 0.5
    assert told.loc["spread", "low"] < TRUTH[2] < told.loc["spread", "high"]
    assert found.misfit > 0.01
    assert found.notes == ()
    assert "fresh-first 100%" in repr(found)


def test_a_week_cannot_tell_what_two_can(found):
    """After a week more work under best fit looks like less work under fresh first; then best fit saturates."""
    weeks = found.weeks(28)
    assert weeks["dates"].tolist() == [1, 2, 3]
    first = calibrate(
        found.looks.history.until(0.0), "windows-7-office", design=found.design, **(SETTINGS | {"ahead": 21})
    )
    assert any(text.startswith("Cannot be told apart (Bayes factor below 10): ") for text in first.verdict)
    alike = first.policies.set_index("policy")
    assert alike["factor"].max() < 10
    assert alike.loc["best-fit", "scale"] > 1.5 * alike.loc["fresh-first", "scale"]
    assert found.policies["factor"].max() > 1000
    assert weeks["width"].iloc[-1] < 0.5 * weeks["width"].iloc[0]


def test_forecasts_have_the_layout_of_fitted_growth_and_hold_the_truth(found, sizes):
    ahead = found.forecast(7)
    fitted = fit_growth(frame(sizes, [7, 14, 21], START)).forecast(7)
    assert list(ahead.columns) == list(fitted.columns)
    assert ahead[["level", "id", "clones", "date"]].equals(fitted[["level", "id", "clones", "date"]])
    assert {str(kind) for kind in ahead.dtypes} == {str(kind) for kind in fitted.dtypes}
    pool = ahead[ahead["level"] == "pool"].iloc[0]
    assert pool["p5"] <= sizes[:, 27].sum() <= pool["p95"]
    luns = ahead[ahead["level"] == "lun"]
    assert luns["mean"].sum() == pytest.approx(pool["mean"])
    own = ahead[ahead["level"] == "clone"]
    assert own["mean"].sum() == pytest.approx(pool["mean"])
    assert ((own["p5"] <= sizes[:, 27]) & (sizes[:, 27] <= own["p95"])).mean() >= 0.7
    assert (np.diff(own[["p5", "p25", "p50", "p75", "p95"]], axis=1) >= 0).all()


def test_the_calibrated_scenario_loads_again(found, tmp_path):
    path = found.save(tmp_path / "my.toml")
    again = load_scenario(path)
    assert again == found.scenario
    assert again.guest.policy == "fresh-first"
    assert again.workload.intensity == pytest.approx(again.storms.patch_factor)
    assert again.users.intensity_sigma == found.values["users.intensity_sigma"]
    text = path.read_text()
    assert text.count("calibrated: 10 clones, 3 dates") == len(found.marks) == 5
    assert set(found.marks) == set(found.values)


def test_the_same_pools_serve_again_and_others_are_refused(found, sizes):
    table = frame(sizes, [7, 14, 21], START)
    again = calibrate(table, "windows-7-office", design=found.design, **SETTINGS)
    assert again.posterior.equals(found.posterior)
    assert again.forecast(7).equals(found.forecast(7))
    with pytest.raises(ParameterError) as error:
        calibrate(table, "windows-7-office", design=found.design, seed=1, **SETTINGS)
    told = "its pools are of another scenario, time, seed or version. Leave it out."
    assert str(error.value) == f"design={found.cost.text!r}: {told}"


def test_policies_that_do_the_same_are_as_likely():
    """With discards honoured, freed space goes back: which clusters are picked hardly matters."""
    small = small_pool(load_scenario("windows-11-office"), 4, 7, dt.date(2026, 1, 5))
    size = run_pool(Pool(small, 7))
    found = calibrate(
        frame(size, [7], "2026-01-05"),
        since="2026-01-05",
        ahead=1,
        clones=4,
        points=12,
        policies=POLICIES,
        processes=1,
    )
    assert found.policies["probability"].tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    assert len(found.weeks()) == 1


def test_sizes_beyond_what_is_simulated_are_told(found, sizes):
    table = frame(sizes, [7, 14, 21], START)
    table["bytes"] *= 8
    far = calibrate(table, "windows-7-office", design=found.design, **SETTINGS)
    assert far.notes[0].startswith("The median size on day 7, ")
    assert far.notes[0].endswith("the scenario differs from this pool in more than scale, spread and policy.")
    assert far.notes[-1].startswith("Scale of writes lies at the end of what was simulated (probability ")


def test_the_cost_is_told_before_and_bounded(sizes):
    table = frame(sizes, [7, 14, 21], START)
    assert calibration_cost(table, "windows-7-office", since=START, ahead=7).text == (
        "60 pools of 40 clones x 28 days: 67,200 desktop-days, about 136 s of one process."
    )
    long = cost_of(3, 200, None, None, None)
    assert (long.clones, long.desktop_days) == (20, 240_000)
    with pytest.raises(ParameterError) as error:
        calibration_cost(table, "windows-7-office", since=START, ahead=400)
    assert str(error.value) == (
        "budget=250000.0: 60 pools of 12 clones x 421 days: 303,120 desktop-days, about 529 s of one process are "
        "needed at least. Raise it, look less far ahead (ahead), or name fewer policies."
    )
    said = []
    with pytest.raises(RuntimeError):
        calibrate(table, "windows-7-office", progress=lambda text: said.append(text) or stop(), **SETTINGS)
    assert said == ["24 pools of 10 clones x 28 days: 6,720 desktop-days, about 21 s of one process."]


def stop():
    raise RuntimeError


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ahead": 0}, "ahead=0: a whole number of days from 1 to 1825 is needed."),
        ({"clones": 3}, "clones=3: a whole number from 4 to 10000 is needed. Leave it out."),
        ({"points": 5}, "points=5: a whole number from 12 to 1000 is needed. Leave it out."),
        ({"budget": -1}, "budget=-1: a number of desktop-days is needed. Leave it out for the usual one."),
        ({"policies": ()}, "policies=[]: at least one policy is needed. Leave it out for the usual ones."),
        (
            {"strategy": ["refresh"]},
            "strategy='refresh': a calibration needs clones that keep what they write. Leave strategies out, and add "
            "them to the result.",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_simulated(sizes, asked, message):
    with pytest.raises(ParameterError) as error:
        calibrate(frame(sizes, [7], START), "windows-7-office", **(SETTINGS | asked))
    assert str(error.value) == message


def test_an_unknown_policy_is_refused(sizes):
    with pytest.raises(ParameterError, match=r"policies='best': allowed are .*\. Did you mean 'best-fit'\?"):
        calibrate(frame(sizes, [7], START), "windows-7-office", policies=["best"], since=START)


def test_days_that_were_not_simulated_are_refused(found):
    with pytest.raises(ParameterError) as error:
        found.forecast(8)
    assert str(error.value) == "days=8: 7 days were simulated. Calibrate with ahead=8."
    with pytest.raises(ParameterError) as error:
        found.weeks(20)
    assert str(error.value) == (
        "day=20: a day after the last measurement (day 21) and up to day 28 is needed. Days count from when the clones "
        "were made."
    )
    with pytest.raises(ParameterError, match="levels='luns': allowed are 'clone', 'lun', 'pool'"):
        found.forecast(7, levels=["luns"])


def test_one_measurement_without_a_beginning_is_refused(sizes):
    with pytest.raises(HistoryError, match="it does not tell since when the clones"):
        calibrate(frame(sizes, [7], START), "windows-7-office")


def test_ends_stay_within_what_the_catalog_allows():
    busy = load_scenario("windows-7-office", workload={"intensity": 8.0}, users={"intensity_sigma": 0.0})
    prior = prior_of(busy)
    assert prior.high[0] == pytest.approx(10 / 8)
    assert prior.middle.tolist() == [1.0, 0.1]
    tables = scaled_tables(busy, "ntfs3g", 1.25, 0.2)
    assert tables["workload"] == {"intensity": 10.0}
    assert tables["guest"] == {"policy": "ntfs3g", "discards": False}
    assert tables["storms"]["definitions_size"] == 137_500_000


def test_storms_of_other_days_are_left_out():
    days = {"host_failures": ["2026-01-07", "2026-03-01"], "feature_update": "2026-03-01"}
    given = load_scenario("windows-11-office", storms=days)
    small = small_pool(given, 6, 10, dt.date(2026, 1, 5))
    assert small.storms.host_failures == (dt.date(2026, 1, 7),)
    assert small.storms.feature_update is None
    assert (small.pool.clones, small.pool.days, small.luns.count) == (6, 10, 1)


def test_numbered_days_start_with_the_scenario(sizes):
    table = frame(sizes, [7], None)
    settings = SETTINGS | {"since": None, "ahead": 1, "points": 12, "clones": 4, "policies": ("best-fit",)}
    found = calibrate(table, "windows-7-office", **settings)
    assert "date" not in found.forecast()
    assert found.policies["policy"].tolist() == ["best-fit"]
    assert isinstance(found.forecast(), pd.DataFrame)
