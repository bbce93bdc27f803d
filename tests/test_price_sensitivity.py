"""Which price changes the order of strategies: by hand, and by asking the cost at both sides of each place."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.planning.cost import cost
from clonesim.planning.price_sensitivity import price_sensitivity
from clonesim.planning.prices import prices_of
from clonesim.planning.quantities import Quantities

FULL = Quantities("full", 10, {"os-delta": 1000.0})
REFRESH = Quantities("refresh", 10, {"os-delta": 400.0}, setup_hours=10)
PROFILE = Quantities("profile", 10, {"os-delta": 100.0, "share": 100.0}, setup_hours=50)
NEEDS = [FULL, REFRESH, PROFILE]
PRICES = {
    "storage.os-delta": {"price": 3.0, "low": 1.0, "high": 10.0},
    "storage.share": {"price": 1.0, "low": 0.5, "high": 2.0},
    "operations.setup": {"price": 50.0, "low": 40.0, "high": 60.0},
}


def order(needs, prices):
    totals = cost(needs, prices, 1, 0.0).totals
    return totals.sort_values("present_value", kind="stable")["strategy"].tolist()


def test_by_hand():
    """Today: full 3000, refresh 1200 + 500 = 1700, profile 300 + 100 + 2500 = 2900."""
    frame = price_sensitivity(NEEDS, PRICES, 1, 0.0).set_index("item")
    delta = frame.loc["storage.os-delta"]
    # full = refresh at 500 / 600; refresh = profile at (2600 - 500) / 300 = 7; full = profile at 2600 / 900 = 2.89
    assert (delta["best_below"], delta["then_below"]) == (pytest.approx(500 / 600), "full")
    assert (delta["best_above"], delta["then_above"]) == (pytest.approx(7.0), "profile")
    assert (delta["order_below"], delta["order_above"]) == (pytest.approx(2600 / 900), pytest.approx(7.0))
    assert (delta["order_changes"], delta["best_changes"]) == (True, True)
    assert delta["order_low"] == "refresh < full < profile"
    assert delta["order_high"] == "profile < refresh < full"
    # at 1 refresh (900) leads full (1000) by 100; at 10 it is 900 behind profile (3600)
    assert delta["swing"] == pytest.approx(900 + 100)
    setup = frame.loc["operations.setup"]  # 3000 = 400 + 50 x at 52; refresh = profile at (1200 - 400) / 40 = 20
    assert (setup["order_below"], setup["order_above"]) == (pytest.approx(20.0), pytest.approx(52.0))
    assert (setup["order_changes"], setup["best_changes"]) == (True, False)
    assert (setup["best_below"], setup["then_below"]) == (pytest.approx(20.0), "profile")
    assert (setup["best_above"], setup["then_above"]) == (pytest.approx(180.0), "full")
    share = frame.loc["storage.share"]  # profile = full at 2, at the very end of the range
    assert share["order_above"] == pytest.approx(2.0)
    assert (share["order_changes"], share["best_changes"]) == (True, False)
    assert math.isnan(share["best_below"])
    assert math.isnan(share["best_above"])
    assert (share["then_below"], share["then_above"]) == ("", "")
    assert frame.index[0] == "storage.os-delta"


def test_a_group_moves_in_proportion_within_all_ranges():
    group = price_sensitivity(NEEDS, PRICES, 1, 0.0).set_index("item").loc["storage"]
    assert (group["price"], group["low"], group["high"]) == (1.0, 0.5, 2.0)
    # full = profile: 3000 k = 400 k + 2500; refresh = profile: 1200 k + 500 = 400 k + 2500;
    # full = refresh: 3000 k = 1200 k + 500
    assert group["order_below"] == pytest.approx(2500 / 2600)
    assert (group["best_below"], group["then_below"]) == (pytest.approx(500 / 1800), "full")
    assert (group["best_above"], group["then_above"]) == (pytest.approx(2.5), "profile")
    assert (group["order_changes"], group["best_changes"]) == (True, False)


def test_what_changes_the_cheapest_comes_first():
    frame = price_sensitivity(NEEDS, PRICES, 1, 0.0)
    ranks = list(zip(frame["best_changes"], frame["order_changes"], frame["swing"], strict=True))
    assert ranks == sorted(ranks, reverse=True)


def test_only_what_counts_and_is_needed_is_looked_at():
    frame = price_sensitivity(NEEDS, prices_of({**PRICES, "hosts.purchase": 9}, off=["operations"]))
    assert set(frame["item"]) == {"storage", "storage.os-delta", "storage.share"}
    with pytest.raises(ParameterError, match=r"^prices\.operations\.setup=None: 'refresh' needs it \(h: 10\)"):
        price_sensitivity(NEEDS, {"storage": 3})
    with pytest.raises(ParameterError, match=r"^desktops=\[5, 10\]: strategies are compared for one pool"):
        price_sensitivity([FULL, replace(REFRESH, desktops=5)], PRICES)


def test_one_strategy_has_no_order_to_change():
    frame = price_sensitivity([FULL], PRICES)
    assert not frame["order_changes"].any()
    assert frame["order_below"].isna().all()
    assert (frame["swing"] == 0).all()


@st.composite
def pools(draw):
    number = st.integers(0, 1000)
    return [
        Quantities(
            name,
            100,
            {"os-delta": draw(number), "share": draw(number)},
            operations_hours=draw(number),
            setup_hours=draw(number),
        )
        for name in "abcd"
    ]


@settings(deadline=None, max_examples=40)
@given(pools())
def test_the_order_holds_between_its_bounds_and_the_cheapest_between_its_own_and_not_beyond(needs):
    prices = prices_of()
    now = order(needs, prices)

    def ranked(item, price):
        totals = cost(needs, prices.at(item, price), 1, 0.0).totals.set_index("strategy")["present_value"]
        return [totals[name] for name in now]

    for row in price_sensitivity(needs, prices, 1, 0.0).to_dict("records"):
        if row["item"] not in prices.prices:
            continue
        for kind in ("order", "best"):
            low, high = row[f"{kind}_below"], row[f"{kind}_above"]
            within = (0.0 if math.isnan(low) else low, row["price"] * 100 if math.isnan(high) else high)
            for price in within:
                values = ranked(row["item"], price)
                noise = 1e-9 * max(values)
                pairs = pairwise(values) if kind == "order" else [(values[0], min(values))]
                assert all(first <= second + noise for first, second in pairs), row
        for end, then, beyond in (("best_below", "then_below", 0.9), ("best_above", "then_above", 1.1)):
            if row[then]:
                values = ranked(row["item"], row[end] * beyond)
                assert values[0] > min(values), row
