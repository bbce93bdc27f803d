"""Probabilities and dates of outages: published intervals, coverage by repetition, and cases by hand."""

import datetime
import math
import re

import numpy as np
import pytest
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.lun import first_full_day, outage_by_day
from clonesim.lun.outage import wilson

DAY = 86400.0
INF = math.inf


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (0, 20), (3, 20), (10, 20), (20, 20), (81, 263), (1, 100_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_equals_scipy(hits, trials, confidence):
    other = stats.binomtest(hits, trials).proportion_ci(confidence, "wilson")
    assert wilson(hits, trials, confidence) == pytest.approx((other.low, other.high), abs=1e-12)


def test_no_trials_tell_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_outages_by_hand():
    """Four pools of two datastores: full on day 0, on day 2 (both), never, and at the last border."""
    told = outage_by_day([[0.5 * DAY, INF], [2.5 * DAY, 2.9 * DAY], [INF, INF], [3 * DAY, INF]], days=4)
    assert told["day"].tolist() == [0, 1, 2, 3]
    assert told["outages"].tolist() == [1, 1, 2, 3]  # 3 x 86400 s is day 3, not day 2
    assert told["p_outage"].tolist() == [0.25, 0.25, 0.5, 0.75]
    assert told["luns_full"].tolist() == [1 / 8, 1 / 8, 3 / 8, 4 / 8]
    assert (told["p_low"].iloc[2], told["p_high"].iloc[2]) == wilson(2, 4)


def test_first_full_day_by_hand():
    pools = [[day * DAY, 80 * DAY] for day in (12.25, 10.5, 14.0, 11.0, 13.0, 20.0)]
    told = first_full_day(pools, 90, datetime.date(2026, 1, 5), shares=[0.5]).iloc[0]
    assert told["day"] == 12.25
    assert (told["low"], told["high"]) == (10.5, 20.0)
    assert told["attained"] == pytest.approx(1 - 2 / 2**6)  # all six on one side of the median
    assert told["date"] == datetime.datetime(2026, 1, 17)
    assert told["date_high"] == datetime.datetime(2026, 1, 25)


def test_later_than_the_simulated_time_is_infinite():
    told = first_full_day([[5 * DAY], [INF], [95 * DAY]], 90, datetime.date(2026, 1, 5))
    assert told["day"].tolist() == [5.0, INF, INF]
    assert told["high"].tolist() == [INF] * 3  # three pools bound nothing
    assert told["low"].tolist() == [0.0, 0.0, INF]  # two of three pools below the 95 % quantile is too unlikely
    assert told["date"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(("n", "share"), [(20, 0.5), (59, 0.05), (40, 0.9)])
def test_the_interval_covers_the_quantile_as_often_as_it_says(n, share):
    rng = np.random.default_rng(11)
    true = -np.log1p(-share) * 10
    runs, hits, attained = 1500, 0, 0.0
    for _ in range(runs):
        told = first_full_day(list(rng.exponential(10, (n, 1)) * DAY), 10**6, shares=[share]).iloc[0]
        hits += told["low"] <= true <= told["high"]
        attained = told["attained"]
    assert attained >= 0.95
    assert abs(hits / runs - attained) < 4 * math.sqrt(attained * (1 - attained) / runs)


def test_many_replicates_do_not_overflow():
    told = first_full_day([[n * DAY] for n in range(3000)], 5000, shares=[0.5]).iloc[0]
    assert told["low"] == pytest.approx(1500 - 1.96 * math.sqrt(3000) / 2, abs=1.5)
    assert told["high"] == pytest.approx(1500 + 1.96 * math.sqrt(3000) / 2, abs=1.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(3, 2), "hits=3: allowed are 0 to 2, the number of trials."),
        (lambda: outage_by_day([[1.0]], 0), "days=0: a day or more is needed."),
        (
            lambda: outage_by_day([[1.0], [1.0, 2.0]], 9),
            "first_full_s=[1, 2]: one array per replicate, all with a time for each datastore, is needed. "
            "Write infinity for a datastore that was never full.",
        ),
        (
            lambda: outage_by_day([[math.nan]], 9),
            "first_full_s=nan: times from 0 s up, or infinity, are needed.",
        ),
        (
            lambda: first_full_day([[1.0]], 9, shares=[1.0]),
            "shares=1.0: a share between 0 and 1 is needed. Write for example 0.95.",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        call()
