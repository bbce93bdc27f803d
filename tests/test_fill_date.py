"""When a datastore is full: exact where growth is, in order where it is not."""

import numpy as np
import pandas as pd
import pytest
from growth_tools import GIB, MIB, pool, weekly

from clonesim.errors import ParameterError
from clonesim.planning.fill_date import _crossing
from clonesim.planning.growth_fit import fit_growth

SLOPE = 100 * MIB


@pytest.fixture(scope="module")
def fit():
    measured = pool(20, weekly(10), lambda day: SLOPE * day, start="2026-01-05", luns=2, noise=5 * MIB)
    return fit_growth(measured)


def test_crossings_by_hand():
    used = np.array([[1.0, 2, 4], [5, 6, 7], [1, 1, 2], [1, 3, 2]])
    assert _crossing(used, np.array([0.0, 7, 14]), 3.0).tolist() == [10.5, 0, np.inf, 7]


def test_steady_growth_fills_on_the_day_it_must(fit):
    """Twenty clones of 1 GiB + 100 MiB a day: after 63 days 143 GiB; 183 GiB are reached 20.5 days later."""
    found = fit.fill_date("183 GiB")
    true = (183 * GIB / 20 - GIB) / SLOPE - 63
    assert found.clones == 20
    assert found.day_by(0.05) < true < found.day_by(0.95)
    assert found.day_by(0.5) == pytest.approx(true, abs=4)
    assert found.date_by(0.5) == pd.Timestamp("2026-03-09") + pd.Timedelta(days=found.day_by(0.5))
    assert found.p_within() > 0.95
    assert found.frame["p_full"].is_monotonic_increasing
    assert repr(found).startswith("FillDate(20 clones, p5 2026-03-")


def test_what_lies_beside_counts(fit):
    assert fit.fill_date("200 GiB", beside="17 GiB").day_by(0.5) == fit.fill_date("183 GiB").day_by(0.5)


def test_full_already_and_never(fit):
    assert fit.fill_date("10 GiB").day_by(0.95) == 0
    late = fit.fill_date("60 TiB", days=30)
    assert late.p_within() == 0
    assert late.date_by(0.5) is pd.NaT
    assert "p50 later" in repr(late)


def test_any_clones_and_these_clones(fit):
    any_ten = fit.fill_date("91 GiB", 10).day_by(0.5)
    these = fit.fill_date("91 GiB", [f"vdi-{k:03d}" for k in range(10)]).day_by(0.5)
    lun = fit.fill_date("91 GiB", lun="LUN1").day_by(0.5)
    assert (any_ten, lun) == pytest.approx((these, these), abs=3)
    assert fit.fill_date("910 GiB", 100).day_by(0.5) == pytest.approx(these, abs=3)  # more than were measured


def test_larger_is_later(fit):
    days = [fit.fill_date(f"{size} GiB").day_by(0.5) for size in (150, 180, 210)]
    assert days == sorted(days)
    assert len(set(days)) == 3


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"capacity": "183 GB"}, "Did you mean GiB"),
        ({"capacity": 0}, "capacity=0"),
        ({"capacity": GIB, "clones": 0}, r"clones=0: 1 to 100000 clones"),
        ({"capacity": GIB, "clones": ["vdi-0000"]}, r"clones='vdi-0000': no clone of that name.*vdi-000"),
        ({"capacity": GIB, "clones": "vdi-000"}, "a number of clones or a list"),
        ({"capacity": GIB, "clones": []}, "still measured"),
        ({"capacity": GIB, "lun": "LUN9"}, "known are LUN0, LUN1"),
        ({"capacity": GIB, "lun": "LUN1", "clones": 3}, "either `lun` or `clones`"),
        ({"capacity": GIB, "days": -3}, "days=-3"),
    ],
)
def test_what_cannot_be_asked(fit, asked, text):
    with pytest.raises(ParameterError, match=text):
        fit.fill_date(**asked)


def test_questions_beyond_the_horizon_are_refused(fit):
    found = fit.fill_date("183 GiB", days=30)
    with pytest.raises(ParameterError, match="0 to 30 days, the horizon"):
        found.p_within(60)
    with pytest.raises(ParameterError, match="share=1"):
        found.day_by(1)
