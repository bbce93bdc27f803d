"""Line items, present values and what strategies spend to save: by hand, and against sums of single payments."""

import math
import re
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.planning.cost import annuity, cost, money, terms_of, years
from clonesim.planning.prices import known_items, prices_of
from clonesim.planning.quantities import TIERS, Quantities, quantities_frame

BASE = Quantities("linked-clone", 100, {"os-delta": 4000.0}, operations_hours=10.0)
APPS = Quantities(
    "application-virtualization",
    100,
    {"os-delta": 1000.0, "cache": 200.0},
    licences={"application-virtualization": 1.0},
    operations_hours=4.0,
    setup_hours=50.0,
)
PRICES = {
    "storage": 2.0,
    "licences.application-virtualization": 1.5,
    "operations.desktops": 40,
    "operations.setup": 60,
}


def row(found, strategy, item):
    frame = found.items
    (one,) = frame[(frame["strategy"] == strategy) & (frame["item"] == item)].to_dict("records")
    return one


def test_two_years_without_interest_by_hand():
    """4000 x 2 = 8000, 10 h x 40 x 24 = 9600; 1200 x 2 = 2400, 100 x 1.5 x 24 = 3600, 4 x 40 x 24 = 3840, 50 x 60."""
    found = cost([BASE, APPS], prices_of(PRICES, currency="EUR"), 2, 0.0)
    assert found.currency == "EUR"
    assert list(found.totals["present_value"]) == [17_600.0, 12_840.0]
    assert list(found.totals["once"]) == [8000.0, 5400.0]
    assert list(found.totals["monthly"]) == [400.0, 310.0]
    assert list(found.totals["per_desktop"]) == [176.0, 128.4]
    assert found.totals["per_desktop_month"].tolist() == pytest.approx([176 / 24, 128.4 / 24], rel=1e-15)
    licence = row(found, "application-virtualization", "licences.application-virtualization")
    assert licence == {
        "strategy": "application-virtualization",
        "item": "licences.application-virtualization",
        "title": "Licences: application virtualization",
        "quantity": 100.0,
        "unit": "licence",
        "when": "monthly",
        "price": 1.5,
        "amount": 150.0,
        "counted": True,
        "present_value": 3600.0,
        "per_desktop": 36.0,
    }


def test_every_strategy_has_every_item_that_any_needs_and_no_other():
    found = cost([BASE, APPS], PRICES)
    items = [
        "storage.os-delta",
        "storage.cache",
        "licences.application-virtualization",
        "operations.desktops",
        "operations.setup",
    ]
    for name in ("linked-clone", "application-virtualization"):
        assert found.items["item"][found.items["strategy"] == name].tolist() == items
    assert row(found, "linked-clone", "storage.cache")["present_value"] == 0.0


def test_spending_to_save_shows_both_numbers():
    """Spends 200 x 2 + 3600 + 3000 = 7000; saves 3000 x 2 + 6 x 40 x 24 = 11760."""
    (one,) = cost([BASE, APPS], prices_of(PRICES, currency="EUR"), 2, 0.0).against("linked-clone").to_dict("records")
    words = one.pop("words")
    assert one == {
        "strategy": "application-virtualization",
        "spends": 7000.0,
        "saves": 11_760.0,
        "net": 4760.0,
        "return_": 11_760 / 7000,
        "spends_per_desktop": 70.0,
        "saves_per_desktop": 117.6,
        "net_per_desktop": 47.6,
        "spends_most_on": "Licences: application virtualization",
        "saves_most_on": "Storage of OS deltas",
    }
    assert words == (
        "application-virtualization spends 7,000 EUR more (most on licences: application virtualization) and saves "
        "11,760 EUR (most on storage of OS deltas): over 2 years it is 4,760 EUR cheaper than linked-clone."
    )


def test_the_way_back_spends_what_the_way_there_saves():
    found = cost([BASE, APPS], PRICES, 2, 0.0)
    (there,), (back,) = (found.against(name).to_dict("records") for name in ("linked-clone", APPS.strategy))
    assert (there["spends"], there["saves"]) == (back["saves"], back["spends"])
    assert "7,000 (your currency)" in back["words"]
    assert back["words"].endswith("over 2 years it is 4,760 (your currency) dearer than application-virtualization.")


def test_equal_strategies_spend_and_save_nothing():
    twin = Quantities("twin", 100, {"os-delta": 4000.0}, operations_hours=10.0)
    (one,) = cost([BASE, twin], PRICES).against("linked-clone").to_dict("records")
    assert (one["spends"], one["saves"]) == (0.0, 0.0)
    assert math.isnan(one["return_"])
    assert one["words"] == "twin costs what linked-clone costs."


def test_what_only_saves_has_no_end_to_its_return():
    less = Quantities("less", 100, {"os-delta": 1.0}, operations_hours=10.0)
    (one,) = cost([BASE, less], PRICES).against("linked-clone").to_dict("records")
    assert one["return_"] == math.inf
    assert one["spends_most_on"] == ""


def test_one_percent_a_month_for_a_year_is_the_textbook_annuity():
    """Any table of annuities: 12 payments at 1 % are worth 11.25508."""
    terms = terms_of(1, 1.01**12 - 1)
    assert terms.monthly_rate == pytest.approx(0.01, rel=1e-12)
    assert terms.annuity == pytest.approx(11.2550774735, rel=1e-10)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 240))
def test_the_annuity_is_the_sum_of_discounted_payments(percent, periods):
    rate = Fraction(percent, 1000)
    exact = sum(1 / (1 + rate) ** month for month in range(1, periods + 1))
    assert annuity(float(rate), periods) == pytest.approx(float(exact), rel=1e-12)


@settings(deadline=None)
@given(st.floats(1e-15, 1e-6), st.integers(1, 240))
def test_the_annuity_of_a_tiny_rate_is_near_the_number_of_payments(rate, periods):
    assert annuity(rate, periods) == pytest.approx(periods - rate * periods * (periods + 1) / 2, rel=1e-7)


def test_monthly_payments_are_discounted_at_the_end_of_each_month():
    needs = [Quantities("a", 10, licences={"desktop": 1.0})]
    found = cost(needs, {"licences.desktop": 8.0}, 3, 0.08)
    expected = sum(80 / 1.08 ** (month / 12) for month in range(1, 37))
    assert found.totals["present_value"].tolist() == pytest.approx([expected], rel=1e-12)
    assert found.totals["per_desktop_month"].tolist() == pytest.approx([8.0], rel=1e-12)


def test_controllers_and_hosts_are_whole_ones():
    needs = [
        Quantities("few", 10, iops=50_000, hosts=2),
        Quantities("more", 10, iops=50_001, hosts=2.2),
    ]
    found = cost(needs, prices_of({"array.controllers": 7, "hosts.purchase": 11}, off=["hosts.running"]), 1, 0)
    assert list(found.totals["present_value"]) == [7 + 22, 14 + 33]
    many = cost(needs, prices_of({"array.controllers": 7}, off=["hosts"], controller_iops=10_000), 1, 0)
    assert list(many.totals["present_value"]) == [35, 42]


def test_an_item_that_is_off_stays_on_the_list_and_adds_nothing():
    found = cost([BASE, APPS], prices_of({"storage": 2.0}, off=["licences", "operations"]), 1, 0.0)
    assert list(found.totals["present_value"]) == [8000.0, 2400.0]
    off = row(found, "application-virtualization", "licences.application-virtualization")
    assert not off["counted"]
    assert off["quantity"] == 100.0
    assert off["present_value"] == 0.0
    assert math.isnan(off["price"])
    priced = cost([BASE], prices_of(off=["storage"]), 1, 0.0)
    off = row(priced, "linked-clone", "storage.os-delta")
    assert (off["amount"], off["present_value"], off["per_desktop"]) == (12_000.0, 0.0, 0.0)


def test_a_price_may_be_paid_once_instead():
    found = cost(
        [APPS], prices_of({**PRICES, "licences.application-virtualization": {"price": 30, "when": "once"}}), 1, 0
    )
    assert row(found, APPS.strategy, "licences.application-virtualization")["present_value"] == 3000.0


def test_what_the_user_names_is_an_item_too():
    needs = [Quantities("a", 10, licences={"packager": 0.5}, extra={"audit": 2})]
    found = cost(needs, {"licences.packager": 3, "extra.audit": 100}, 1, 0)
    assert row(found, "a", "licences.packager")["present_value"] == 5 * 3 * 12
    assert row(found, "a", "extra.audit")["present_value"] == 200.0
    assert row(found, "a", "extra.audit")["title"] == "audit"


def test_a_frame_says_the_same_as_the_quantities():
    frame = quantities_frame([BASE, APPS])
    pd.testing.assert_frame_equal(cost(frame, PRICES).items, cost([BASE, APPS], PRICES).items)


def test_the_catalog_s_examples_are_taken_and_called_so():
    found = cost([BASE])
    assert found.currency == "(example prices)"
    assert row(found, "linked-clone", "storage.os-delta")["price"] == known_price("storage.os-delta")
    assert found.terms == terms_of(4, 0.05)


def known_price(name):
    return prices_of().prices[name].price


@pytest.mark.parametrize(
    ("prices", "needs", "message"),
    [
        (
            {"storage": 2.0},
            APPS,
            "prices.licences.application-virtualization=None: 'application-virtualization' needs it "
            "(licence: 100), and it has no price. Give it one, or switch the item off with "
            "off=['licences.application-virtualization'], or take the catalog's example with examples=True.",
        ),
        (
            None,
            Quantities("own", 10, licences={"packager": 1}),
            "prices.licences.packager=None: 'own' needs it (licence: 10), and it has no price. Give it one, or switch "
            "the item off with off=['licences.packager'].",
        ),
    ],
)
def test_a_missing_price_is_refused_with_the_remedy(prices, needs, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        cost([needs], prices)
    assert cost([needs], prices_of(prices, examples=True, off=["licences"])).totals["present_value"].notna().all()


@pytest.mark.parametrize(
    ("years_", "rate", "message"),
    [
        (0.1, None, "horizon_years=0.1: allowed are 0.25 to 20.0 years. The catalog's default is 4.0."),
        (1.05, None, "horizon_years=1.05: whole months are needed. Write 13/12."),
        (None, -0.1, "discount_rate=-0.1: allowed are 0.0 to 1.0 1. The catalog's default is 0.05."),
        (math.nan, None, "horizon_years=nan: allowed are 0.25 to 20.0 years. The catalog's default is 4.0."),
    ],
)
def test_terms_that_cannot_be(years_, rate, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        cost([BASE], None, years_, rate)


def test_comparing_with_what_is_not_there_or_another_pool():
    found = cost([BASE, APPS])
    message = "base='linked-clones': strategies here are linked-clone, application-virtualization. "
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}Did you mean 'linked-clone'\\?$"):
        found.against("linked-clones")
    small = Quantities("small", 10)
    message = (
        "desktops={'linked-clone': 100, 'small': 10}: strategies are compared for one pool. Scale them to one size."
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        cost([BASE, small]).against("linked-clone")


AMOUNT = st.floats(0, 1e6)


@st.composite
def needs_of(draw):
    return Quantities(
        "any",
        draw(st.integers(1, 5000)),
        {tier: draw(AMOUNT) for tier in TIERS},
        *(draw(AMOUNT) for _ in range(2)),
        licences={"desktop": draw(st.floats(0, 2))},
        operations_hours=draw(AMOUNT),
        fixed_hours=draw(AMOUNT),
        setup_hours=draw(AMOUNT),
        network_gb=draw(AMOUNT),
    )


def value(needs, prices, horizon=4, rate=0.05):
    return cost([needs], prices, horizon, rate).totals["present_value"].iloc[0]


@settings(deadline=None)
@given(needs_of(), st.sampled_from(sorted(known_items())), st.floats(1, 10), st.floats(0, 0.9))
def test_dearer_items_longer_horizons_and_lower_interest_never_cost_less(needs, item, times, rate):
    prices = prices_of()
    dearer = prices.at(item, prices.prices[item].price * times)
    now = value(needs, prices, 4, rate)
    assert value(needs, dearer, 4, rate) >= now * (1 - 1e-12)
    assert value(needs, prices, 5, rate) >= now * (1 - 1e-12)
    assert value(needs, prices, 4, rate + 0.1) <= now * (1 + 1e-12)


@settings(deadline=None)
@given(needs_of(), st.sampled_from(sorted(known_items())))
def test_an_item_switched_off_takes_away_just_its_own_line(needs, item):
    prices = prices_of()
    found = cost([needs], prices)
    own = found.items["present_value"][found.items["item"] == item].sum()
    less = value(needs, prices_of(prices, off=[item]))
    assert less + own == pytest.approx(value(needs, prices), rel=1e-12)


def test_amounts_and_horizons_in_words():
    assert money(999.5, "EUR") == "999.50 EUR"
    assert money(1234.5, "EUR") == "1,234 EUR"
    assert [years(months) for months in (12, 48, 18)] == ["1 year", "4 years", "18 months"]
