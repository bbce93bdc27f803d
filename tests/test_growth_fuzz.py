"""Any frame of sizes gives a fit with finite figures, or an error of clonesim's own."""

import os

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clonesim.errors import ClonesimError
from clonesim.planning.backtest import backtest
from clonesim.planning.growth_fit import fit_growth

EXAMPLES = int(os.environ.get("FUZZ", "300"))
SIZES = st.one_of(
    st.sampled_from([0.0, 1.0, 2.0**24, 5e9, 6e9, 2.0**62, -1.0, float("nan"), float("inf")]),
    st.floats(0, 1e12, allow_nan=False),
)
DAYS = st.one_of(st.integers(-5, 120).map(float), st.floats(-1e3, 1e3, allow_nan=False), st.just(1e9))
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), DAYS, SIZES), min_size=0, max_size=40)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, dated=st.booleans(), usual=st.booleans())
def test_any_frame(rows, dated, usual):
    if usual:  # mostly refused otherwise
        rows = rows + [(name, 7.0 * week, 1e9 + 1e8 * week) for name in "ab" for week in range(4)]
    measured = pd.DataFrame(rows, columns=["clone", "day", "bytes"])
    if dated:
        day = measured.pop("day").clip(-1e4, 1e4)
        measured["date"] = pd.Timestamp("2026-01-05") + pd.to_timedelta(day, unit="D")
    try:
        fit = fit_growth(measured)
        ahead = fit.forecast(20, draws=200)
        full = fit.fill_date("100 GiB", days=50, draws=200)
        tested = backtest(measured, "1w", draws=200)
    except ClonesimError as error:
        assert str(error)
        return
    assert np.isfinite(ahead[["mean", "p5", "p50", "p95"]].to_numpy(float)).all()
    assert 0 <= full.p_within() <= 1
    assert np.isfinite(tested.frame[["fit", "fit_low", "fit_high"]].to_numpy(float)).all()
