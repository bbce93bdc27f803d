"""Fits and forecasts: refusals, bounds, refreshes, sums; real overlays; pools of the block simulator."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from growth_tools import GIB, MIB, frame, pool, real_run, weekly

from clonesim.errors import ParameterError
from clonesim.planning.growth_fit import fit_growth
from clonesim.planning.growth_history import HistoryError

SLOPE = 70 * MIB


def straight(clones=20, weeks=8, **kwargs):
    return pool(clones, weekly(weeks), lambda day: SLOPE * day, **{"start": "2026-01-05", "luns": 2, **kwargs})


@pytest.mark.parametrize(
    ("days", "weeks"),
    [([0], 2), ([0, 7], 1), ([0, 3, 6], 2), ([0, 1], 2)],
)
def test_too_short_a_history_says_how_many_weeks_are_missing(days, weeks):
    measured = pd.concat([frame(days, GIB + SLOPE * np.array(days), clone=k) for k in range(5)])
    more = "1 more week of measuring" if weeks == 1 else f"{weeks} more weeks of measuring"
    with pytest.raises(HistoryError, match=rf"3 over 14 days are needed: {more}") as caught:
        fit_growth(measured)
    assert caught.value.weeks == weeks


def test_two_gains_are_enough_and_so_are_seven_days_of_daily_sizes():
    assert fit_growth(straight(weeks=3)).refusals.empty
    daily = fit_growth(pool(5, np.arange(7), lambda day: SLOPE * day))
    assert daily.refusals.empty
    assert not daily.forecast(60)["checked"].all()


def test_only_resets_between_the_measurements():
    with pytest.raises(HistoryError, match="for 2 more weeks"):
        fit_growth(pd.concat([frame(weekly(4), np.array([8, 4, 2, 1]) * GIB, clone=k) for k in range(3)]))


def test_clones_with_too_short_a_history_are_refused_but_count():
    late = frame([49, 56], [GIB, 1.5 * GIB], clone=98, start="2026-01-05", lun="LUN0")
    gone = frame([0, 7, 14], [GIB, GIB, GIB], clone=99, start="2026-01-05", lun="LUN0")
    fit = fit_growth(pd.concat([straight(weeks=9), late, gone]))
    rows = fit.refusals.set_index("clone")
    assert rows.loc["vdi-098"].to_dict() == {"reason": "2 measurements over 7 days", "weeks": 1, "counted": True}
    assert rows.loc["vdi-099"].to_dict() == {
        "reason": "not measured for the last 42 days",
        "weeks": 0,
        "counted": False,
    }
    ahead = fit.forecast(28)
    assert not ahead["id"].isin(["vdi-098", "vdi-099"]).any()
    assert ahead.loc[ahead["level"] == "pool", "clones"].eq(21).all()
    assert repr(fit).endswith("2 refused)")


def test_the_frame_of_a_forecast():
    fit = fit_growth(straight())
    ahead = fit.forecast(days=30)
    assert ahead["day"].unique().tolist() == [7, 14, 21, 28, 30]
    assert ahead["date"].iloc[0] == pd.Timestamp("2026-02-23") + pd.Timedelta(days=7)
    assert ahead.groupby("level")["id"].nunique().to_dict() == {"clone": 20, "lun": 2, "pool": 1}
    shares = ahead[["p5", "p25", "p50", "p75", "p95"]].to_numpy()
    assert (np.diff(shares, axis=1) >= 0).all()
    last = ahead[ahead["day"] == 28].groupby("level")["mean"].sum()
    assert last["clone"] == pytest.approx(last["pool"], rel=1e-9)  # the same draws, summed
    assert last["lun"] == pytest.approx(last["pool"], rel=1e-9)
    true = 20 * (GIB + SLOPE * (49 + 28))
    row = ahead[(ahead["level"] == "pool") & (ahead["day"] == 28)].iloc[0]
    assert row["p5"] < true < row["p95"]
    assert row["p50"] == pytest.approx(true, rel=0.05)


def test_the_same_seed_gives_the_same_forecast():
    one, same, other = (fit_growth(straight(), seed=seed).forecast(28) for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)
    assert one["p50"].to_numpy() == pytest.approx(other["p50"].to_numpy(), rel=0.05)


def test_rows_in_any_order_give_the_same_fit():
    measured = straight()
    one, other = (fit_growth(part).forecast(14) for part in (measured, measured.sample(frac=1, random_state=0)))
    assert one.equals(other)


def test_a_bound_is_kept_and_checked():
    fit = fit_growth(straight(), capacity=int(7.2 * GIB))
    assert (fit.paths(np.array([70.0, 140.0]), noisy=False) <= 7.2 * GIB).all()
    series = pd.Series({"vdi-003": 5 * GIB})
    fit = fit_growth(straight(), capacity=series)
    assert np.isfinite(fit.capacity).sum() == 1
    with pytest.raises(ParameterError, match=r"capacity=2147483648: clone 'vdi-000' has \d+ B already"):
        fit_growth(straight(), capacity="2 GiB")
    with pytest.raises(ParameterError, match="Did you mean GiB"):
        fit_growth(straight(), capacity="60 GB")


def test_a_regular_refresh_goes_on():
    """Four weeks up to 1 + 4 x 0.5 GiB, then back: never above what was seen, whatever the horizon."""
    parts = []
    for clone in range(12):
        age = (np.arange(20) + clone % 4) % 4
        parts.append(frame(weekly(20), GIB + age * 0.5 * GIB, clone=clone))
    fit = fit_growth(pd.concat(parts))
    assert fit.refreshes is not None
    assert fit.refreshes.every == pytest.approx(28)
    assert fit.summary["refresh_days"] == pytest.approx(28)
    ahead = fit.forecast(140, levels=["pool"])
    assert ahead["p95"].max() < 12 * 3.2 * GIB
    assert ahead["p50"].iloc[-1] == pytest.approx(12 * 1.75 * GIB, rel=0.15)  # mean over the ages 0 to 3 weeks


def test_irregular_resets_are_told_and_not_carried_on():
    measured = straight(weeks=10)
    back = measured["clone"].isin(["vdi-001", "vdi-002"]) & (measured["date"] >= "2026-02-10")
    measured.loc[back, "bytes"] -= 0.8 * measured.loc[back, "bytes"].min()
    fit = fit_growth(measured)
    assert fit.refreshes is None
    assert fit.summary["resets"] == 2
    assert "2 resets were seen, in no rhythm: the forecast supposes that none follow." in fit.summary["notes"]


def test_patch_days_are_learned():
    """Growth only in weeks with a second Tuesday: so it goes on."""
    start, days = pd.Timestamp("2026-01-05"), weekly(14)
    tuesdays = pd.to_datetime(["2026-01-14", "2026-02-11", "2026-03-11", "2026-04-15"])
    steps = np.array([sum(start + pd.Timedelta(days=float(day)) > tuesdays) for day in days])
    parts = [frame(days, GIB + steps * GIB, clone=k, start="2026-01-05") for k in range(10)]
    fit = fit_growth(pd.concat(parts))
    assert fit.summary["patch_day_share"] > 0.9
    mean = fit.paths(7.0 * np.arange(1, 9)).mean(axis=(0, 1)) / GIB
    growth = np.diff(np.concatenate([[fit.clones.level.mean() / GIB], mean]))
    patch = int(np.argmax(growth))  # last day 2026-04-06: the second Tuesday is April 14, then May 12
    assert patch == 1
    assert growth[patch] > 5 * np.median(growth)


def test_patch_days_are_learned_without_dates():
    """The same with numbers of days: steps in the second, the sixth, the tenth week must come again in the 14th."""
    steps = np.searchsorted([10, 38, 66], weekly(12))
    parts = [frame(weekly(12), GIB + steps * GIB, clone=k) for k in range(10)]
    fit = fit_growth(pd.concat(parts))
    assert fit.summary["patch_day_share"] > 0.9
    assert "date" not in fit.forecast(14)
    mean = fit.paths(7.0 * np.arange(1, 5)).mean(axis=(0, 1)) / GIB
    growth = np.diff(np.concatenate([[fit.clones.level.mean() / GIB], mean]))
    assert growth[2:].sum() > 2 * growth[:2].sum()  # after four or five weeks


def test_a_short_history_without_dates_has_no_patch_days():
    assert fit_growth(pool(5, weekly(4), lambda day: SLOPE * day)).summary["patch_day_share"] == 0


def test_summary_is_json():
    told = fit_growth(straight()).summary
    assert json.loads(json.dumps(told, default=str))["clones"] == 20
    assert told["pool_bytes"] == pytest.approx(20 * (GIB + SLOPE * 49), rel=0.01)
    assert told["week_bytes"] == pytest.approx(20 * SLOPE * 7, rel=0.01)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"days": 0}, r"days=0: more than 0 and at most 3650 days"),
        ({"days": float("nan")}, "days=nan"),
        ({"days": 30, "step": -1}, "step=-1"),
        ({"days": 30, "levels": ["vm"]}, r"levels='vm': allowed are 'clone', 'lun', 'pool'"),
    ],
)
def test_what_cannot_be_asked(asked, text):
    with pytest.raises(ParameterError, match=text):
        fit_growth(straight()).forecast(**asked)


@pytest.mark.parametrize("name", ["blog_1", "churn_11", "mixed_21"])
def test_real_overlays_better_than_a_line_and_no_worse_than_the_last_value(shared, name):
    """A real driver on a real qcow2 overlay, a day for each step: fitted on the first half, judged on the second."""
    early, late = real_run(shared, name)
    fit = fit_growth(frame(early["step"], early["delta_file_bytes"]))
    size = late["delta_file_bytes"].to_numpy(float)
    drawn = fit.paths((late["step"] - early["step"].max()).to_numpy(float))[:, 0]
    line = np.polyval(np.polyfit(early["step"], early["delta_file_bytes"], 1), late["step"])
    last = np.abs(early["delta_file_bytes"].iloc[-1] - size).mean()
    for found in (np.median(drawn, axis=0), drawn.mean(axis=0)):
        error = np.abs(found - size).mean()
        assert error < np.abs(line - size).mean()
        assert error <= last
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    assert ((low <= size) & (size <= high)).mean() > 0.8


def test_many_clones_are_quick():
    measured = pool(2000, weekly(8), lambda day: SLOPE * day, spread=0.4, noise=30 * MIB)
    begun = time.perf_counter()
    ahead = fit_growth(measured).forecast(90)
    assert time.perf_counter() - begun < 60  # 5 s on a free core of the machine it was written on
    assert len(ahead) == (2000 + 1 + 1) * 13  # clones, a LUN, the pool
