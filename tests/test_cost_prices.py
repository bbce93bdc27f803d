"""Price lists: groups, tables, files, what is off, examples, and exact refusals."""

import re

import pytest

from clonesim.errors import ParameterError
from clonesim.planning.prices import Price, known_items, prices_of
from clonesim.planning.quantities import TIERS, Quantities, lines
from clonesim.scenario import catalog

ITEMS = ", ".join(known_items()) + ", licences.NAME and extra.NAME"


def test_every_example_is_marked_assumed_and_every_item_says_how_it_is_counted():
    found = catalog.parameters("prices")
    assert {parameter.kind for parameter in found.values()} == {"assumed"}
    for item in known_items().values():
        assert item.title, item
        assert item.counts, item
        assert item.when in ("once", "monthly"), item


def test_every_item_of_the_catalog_has_a_quantity_and_every_tier_an_item():
    """Licences apart, which a strategy names: with all quantities above 0, no line is 0."""
    full = Quantities("full", 1, dict.fromkeys(TIERS, 1.0), 1, 1, {}, 1, 1, 1, 1)
    zero = {item for item, quantity in lines(full, prices_of()).items() if not quantity}
    assert all(item.startswith("licences.") for item in zero)
    assert {f"storage.{tier}" for tier in TIERS} == {item for item in known_items() if item.startswith("storage.")}


def test_without_prices_all_are_examples():
    found = prices_of()
    assert list(found.prices) == list(known_items())
    for name, price in found.prices.items():
        assert price.low <= price.price <= price.high, name


def test_one_for_all_of_a_group_and_single_ones_replace_it():
    found = prices_of({"storage.replica": 9, "storage": 2.5})
    assert found.prices["storage.os-delta"].price == 2.5
    assert found.prices["storage.replica"].price == 9
    assert set(found.prices) == {item for item in known_items() if item.startswith("storage.")}


def test_a_given_price_moves_by_the_example_s_factors_unless_it_has_a_range():
    example = prices_of().prices["storage.os-delta"]
    twice = prices_of({"storage.os-delta": 2 * example.price}).prices["storage.os-delta"]
    assert (twice.low, twice.high) == (2 * example.low, 2 * example.high)
    own = prices_of({"storage": {"os-delta": {"price": 4, "low": 3, "high": 4.5}}}).prices["storage.os-delta"]
    assert own == Price(4.0, 3.0, 4.5, "once")
    settled = prices_of({"extra.audit": 100}).prices["extra.audit"]
    assert (settled.low, settled.high) == (100.0, 100.0)


def test_a_file_says_the_same_as_a_mapping(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'currency = "EUR"\noff = ["network"]\ncontroller_iops = 40000.0\n'
        '[storage]\nos-delta = 2.5\nshare = { price = 0.1, when = "monthly" }\n[licences]\npackager = 3\n'
    )
    given = {
        "currency": "EUR",
        "off": "network",
        "controller_iops": 40_000,
        "storage.os-delta": 2.5,
        "storage.share": {"price": 0.1, "when": "monthly"},
        "licences.packager": 3,
    }
    found = prices_of(file)
    assert found == prices_of(given) == prices_of(str(file))
    assert found.currency == "EUR"
    assert not found.counts("network.traffic")
    assert found.prices["storage.share"].when == "monthly"
    assert list(found.prices) == ["storage.os-delta", "storage.share", "licences.packager"]


def test_a_list_may_be_given_again_with_changes():
    first = prices_of({"storage": 2.0}, off=["hosts"], currency="EUR", controller_iops=9000)
    assert prices_of(first) is first
    second = prices_of(first, off=["network.traffic"])
    assert second.off == {"hosts", "network.traffic"}
    assert (second.prices, second.currency, second.controller_iops) == (first.prices, "EUR", 9000.0)
    filled = prices_of(first, examples=True)
    assert filled.prices["storage.share"].price == 2.0
    assert filled.prices["hosts.purchase"] == prices_of().prices["hosts.purchase"]


def test_examples_fill_what_is_not_given():
    found = prices_of({"storage.os-delta": 1.0, "examples": True})
    assert list(found.prices) == list(known_items())
    assert found.prices["storage.os-delta"].price == 1.0


NUMBER = (
    "a price is a number from 0 up, without a currency. Write for example 2.5; the label of the currency is `currency`."
)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"storage.os-deltas": 1},
            f"prices.storage.os-deltas=None: items are {ITEMS}. Did you mean 'storage.os-delta'?",
        ),
        ({"storages": 1}, f"prices.storages=1: items are {ITEMS}. Did you mean 'storage'?"),
        ({"storage.os-delta": -1}, f"prices.storage.os-delta=-1: {NUMBER}"),
        ({"storage.os-delta": "3 EUR"}, f"prices.storage.os-delta='3 EUR': {NUMBER}"),
        ({"storage.os-delta": True}, f"prices.storage.os-delta=True: {NUMBER}"),
        ({"storage.os-delta": float("nan")}, f"prices.storage.os-delta=nan: {NUMBER}"),
        (
            {"hosts": 5},
            "prices.hosts=5: one price cannot be that of hosts.purchase, hosts.running. Give each its own, such as "
            "'hosts.purchase'.",
        ),
        (
            {"storage.share": {"price": 1, "when": "month"}},
            "prices.storage.share.when='month': allowed are 'once' and 'monthly'. Did you mean 'monthly'?",
        ),
        (
            {"storage.share": {"price": 1, "hihg": 2}},
            "prices.storage.share.hihg=2: a price has price, low, high and when. Did you mean 'high'?",
        ),
        (
            {"storage.share": {"when": "once"}},
            "prices.storage.share={'when': 'once'}: a price is needed. "
            'Write for example { price = 2.5, when = "monthly" }.',
        ),
        (
            {"storage.share": {"price": 5, "low": 6, "high": 7}},
            "prices.storage.share=5.0: it is outside its own range, 6 to 7. Check low and high.",
        ),
        ({"off": ["storag"]}, f"off='storag': items are {ITEMS}. Did you mean 'storage'?"),
        (
            {"controller_iops": 0},
            "controller_iops=0: allowed are 1000.0 to 2000000.0 1/s. The catalog's default is 50000.0.",
        ),
    ],
)
def test_mistakes_are_refused_with_the_remedy(given, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        prices_of(given)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot be read: .*Write a TOML file with tables such as \[storage\]"):
        prices_of(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[storage\n")
    with pytest.raises(ParameterError, match=r"bad\.toml'?: cannot be read: "):
        prices_of(bad)
