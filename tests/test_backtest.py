"""Backtests: figures by hand and by scipy, hidden weeks that stay hidden, rules of thumb."""

import numpy as np
import pandas as pd
import pytest
from growth_tools import GIB, MIB, frame, pool, weekly
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.planning.backtest import backtest, interval_score, span_of, straight_line
from clonesim.planning.growth_fit import fit_growth
from clonesim.planning.growth_history import HistoryError, history_of


def straight(clones=15, weeks=12, **kwargs):
    return pool(clones, weekly(weeks), lambda day: 60 * MIB * day, **{"start": "2026-01-05", "luns": 3, **kwargs})


def test_interval_score_by_hand():
    low, high = np.array([1.0, 1, 1]), np.array([3.0, 3, 3])
    assert interval_score(low, high, np.array([2.0, 0, 4])).tolist() == pytest.approx([2, 22, 22])


def test_the_straight_line_is_scipy_s():
    rng = np.random.default_rng(1)
    day, ahead = weekly(9), np.array([70.0, 120.0])
    size = 5 * day + rng.normal(0, 20, 9)
    size[4] = np.nan
    known = ~np.isnan(size)
    fit = stats.linregress(day[known], size[known])
    middle, low, high = straight_line(day, size, ahead)
    assert middle == pytest.approx(fit.intercept + fit.slope * ahead)
    rest = size[known] - fit.intercept - fit.slope * day[known]
    away = day[known] - day[known].mean()
    error = np.sqrt((rest**2).sum() / 6 * (1 + 1 / 8 + (ahead - day[known].mean()) ** 2 / (away**2).sum()))
    assert high - middle == pytest.approx(stats.t.ppf(0.95, 6) * error)
    assert middle - low == pytest.approx(high - middle)


def test_too_few_points_have_no_line():
    none = straight_line(np.array([0.0]), np.array([1.0]), np.array([7.0]))
    assert np.isnan(np.array(none)).all()
    middle, low, _ = straight_line(np.array([0.0, 7]), np.array([1.0, 2]), np.array([14.0]))
    assert (middle[0], np.isnan(low[0])) == (3.0, True)


@pytest.mark.parametrize(("text", "days"), [("4w", 28), ("28 d", 28), ("1.5w", 10.5), (30, 30)])
def test_spans(text, days):
    assert span_of(text) == days


@pytest.mark.parametrize("text", ["4", "0w", "month", -1, True, float("nan")])
def test_what_is_no_span(text):
    with pytest.raises(ParameterError, match=r"hide_last=.*Write '4w'"):
        span_of(text)


def test_the_frame_compares_hidden_days_with_what_had_been_foretold():
    measured = straight(noise=10 * MIB)
    found = backtest(measured, "4w", memory="2 GiB")
    assert found.hidden_days == 28
    assert found.frame["day"].unique().tolist() == [7, 14, 21, 28]
    assert found.frame["origin"].unique().tolist() == [pd.Timestamp("2026-02-23")]
    row = found.frame[(found.frame["level"] == "pool") & (found.frame["day"] == 28)].iloc[0]
    assert row["clones"] == 15
    assert row["measured"] == measured[measured["date"] == "2026-03-23"]["bytes"].sum()
    assert row["last"] == measured[measured["date"] == "2026-02-23"]["bytes"].sum()
    assert row["ram"] == 15 * 3 * 2 * GIB
    assert row["fit_low"] < row["fit"] < row["fit_high"]
    assert row["line"] == pytest.approx(row["measured"], rel=0.01)
    early = fit_growth(history_of(measured).until(49))
    assert row["fit"] == pytest.approx(np.median(early.paths(7.0 * np.arange(1, 5)).sum(axis=1)[:, -1]))


def test_what_is_hidden_changes_no_forecast():
    measured = straight(noise=10 * MIB)
    other = measured.copy()
    other.loc[other["date"] > "2026-02-23", "bytes"] *= 3
    one, two = (backtest(part, "4w").frame for part in (measured, other))
    assert one["fit"].equals(two["fit"])
    assert not one["measured"].equals(two["measured"])


def test_scores_are_those_of_the_frame():
    found = backtest(straight(noise=30 * MIB, spread=0.3), "3w", memory="2 GiB")
    clones = found.frame[found.frame["level"] == "clone"]
    own = found.scores.set_index(["level", "rule"]).loc[("clone", "fit")]
    inside = (clones["fit_low"] <= clones["measured"]) & (clones["measured"] <= clones["fit_high"])
    assert own["covered"] == inside.mean()
    assert own["forecasts"] == 45
    assert own["mae"] == pytest.approx((clones["fit"] - clones["measured"]).abs().mean())
    ram = found.scores.set_index(["level", "rule"]).loc[("pool", "ram")]
    assert np.isnan(ram["covered"])
    pools = found.frame[found.frame["level"] == "pool"]
    assert ram["mae"] == pytest.approx((6 * GIB - pools["measured"] / 15).abs().mean())
    assert "90 % intervals cover: clone" in repr(found)


def test_more_origins_and_their_end():
    assert backtest(straight(), "3w", origins=3).frame["origin"].nunique() == 3
    found = backtest(straight(weeks=8), "4w", origins=6)
    assert found.frame["origin"].nunique() < 6
    assert "before that the history is too short" in found.notes[0]


def test_resets_in_the_hidden_days_are_told():
    measured = straight()
    back = (measured["clone"] == "vdi-003") & (measured["date"] > "2026-03-01")
    measured.loc[back, "bytes"] = GIB
    assert "1 resets fell into the hidden days." in backtest(measured, "4w").notes


def test_weeks_in_which_few_were_measured_have_no_sum():
    measured = straight(clones=10)
    few = (measured["date"] == "2026-03-23") & (measured["clone"] > "vdi-003")
    found = backtest(measured[~few], "4w").frame
    assert found[(found["level"] == "pool")]["day"].tolist() == [7, 14, 21]
    assert (found[found["level"] == "clone"]["day"] == 28).sum() == 4


def test_too_much_hidden():
    with pytest.raises(HistoryError, match=r"with the last 70 days hidden, too little is left.*Hide less"):
        backtest(straight(), "10w")
    with pytest.raises(HistoryError, match="with the last 700 days hidden"):
        backtest(straight(), "100w")
    with pytest.raises(ParameterError, match="origins=0"):
        backtest(straight(), "4w", origins=0)


def test_nothing_measured_in_the_hidden_days():
    measured = pd.concat([straight(weeks=8), frame([200], [9 * GIB], clone=50, start="2026-01-05", lun="LUN0")])
    with pytest.raises(HistoryError, match="nothing was measured in the hidden days"):
        backtest(measured, "4w")
