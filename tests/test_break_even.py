"""Break-even of prices, pool sizes, time and interest: by hand, and by asking the cost on both sides."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.planning.break_even import break_even
from clonesim.planning.cost import cost
from clonesim.planning.prices import known_items, prices_of
from clonesim.planning.quantities import Quantities

A = Quantities("linked-clone", 100, {"os-delta": 4000.0})
B = Quantities("app-attach", 100, {"os-delta": 1000.0}, licences={"app-attach": 1.0}, setup_hours=100, fixed_hours=1)
PRICES = prices_of({"storage": 4.0, "licences": 1.0, "operations": 50.0}, currency="EUR")
NEEDS = [A, B]


def ask(over, needs=NEEDS, prices=PRICES, years=1, rate=0.0, **more):
    return break_even(needs, needs[0].strategy, needs[1].strategy, prices, over, years, rate, **more)


def gap(needs, prices, years=1, rate=0.0):
    """How much more the second costs."""
    a, b = cost(needs, prices, years, rate).totals["present_value"]
    return b - a


def test_price_of_storage_by_hand():
    """100 x 1 x 12 + 100 x 50 + 1 x 50 x 12 = 6800 more, 3000 GiB fewer: 2.2667 a GiB."""
    found = ask("storage")
    assert (found.verdict, found.cheaper, found.today, found.pays, found.unit) == (
        "crossing",
        "above",
        4.0,
        True,
        "per GiB",
    )
    assert found.value == pytest.approx(6800 / 3000, rel=1e-15)
    assert found.value == found.last
    assert found.words == (
        "app-attach costs as much as linked-clone where the price of storage is 2.27 EUR per GiB, less above that; "
        "today the price of storage is 4.00 EUR per GiB: it pays."
    )
    assert ask("storage.os-delta").value == found.value


def test_price_of_the_licence_by_hand():
    """12000 saved less 5600: 6400 for 100 licences of 12 months."""
    found = ask("licences.app-attach")
    assert found.value == pytest.approx(6400 / 1200, rel=1e-15)
    assert (found.cheaper, found.unit) == ("below", "per licence a month")
    assert "is 5.33 EUR per licence a month, less below that; today the price" in found.words


def test_a_group_of_unlike_prices_has_a_factor():
    """With the share: 12000 k = 5600 + 1200 + 500 k."""
    needs = [A, replace(B, gib={"os-delta": 1000.0, "share": 500.0})]
    found = ask("storage", needs, prices_of(PRICES, currency="EUR").at("storage.share", 1.0))
    assert found.value == pytest.approx(6800 / 11_500, rel=1e-15)
    assert (found.unit, found.today) == ("x", 1.0)
    assert found.words == (
        "app-attach costs as much as linked-clone where the factor on all prices of storage is 0.591, less above that; "
        "today the factor on all prices of storage is 1.00: it pays."
    )


def test_size_of_the_pool_by_hand():
    """Each desktop saves 30 x 4 - 12 = 108; 5000 + 600 do not grow."""
    found = ask("desktops")
    assert found.value == pytest.approx(5600 / 108, rel=1e-14)
    assert (found.cheaper, found.today, found.pays) == ("above", 100.0, True)
    assert found.words == (
        "app-attach costs as much as linked-clone where the size of the pool is 51.9 desktops, less above that; today "
        "the size of the pool is 100 desktops: it pays."
    )
    assert ask("desktops", fixed=()).verdict == "always"


def test_time_until_it_has_paid_for_itself_by_hand():
    """5000 - 12000 once, 150 a month more: cheaper for the first 46.7 months."""
    found = ask("months")
    assert found.value == pytest.approx(7000 / 150, rel=1e-15)
    assert (found.cheaper, found.today) == ("below", 12.0)
    dear = prices_of(PRICES).at("operations.setup", 125.0)  # 500 once, nothing comes back
    assert ask("months", prices=dear).verdict == "never"


def test_time_with_interest_is_the_number_of_payments():
    """1000 spent, 100 a month saved, 1 % a month: -ln(1 - 0.1) / ln 1.01 = 10.588 months."""
    needs = [Quantities("a", 10, operations_hours=10), Quantities("b", 10, setup_hours=100)]
    prices = prices_of({"operations": 10})
    found = ask("months", needs, prices, 1, 1.01**12 - 1)
    assert found.value == pytest.approx(-math.log(0.9) / math.log(1.01), rel=1e-12)
    assert found.cheaper == "above"
    assert found.words.startswith("b costs as much as a where the horizon is 10.6 months, less above that; today")
    assert ask("months", needs, prices.at("operations.setup", 97.0), 1, 1.01**12 - 1).verdict == "crossing"
    never = ask("months", needs, prices.at("operations.setup", 98.0), 1, 1.01**12 - 1)  # after 393 months
    assert never.verdict == "never"
    assert never.words == "b is never cheaper than a over any horizon of up to 30 years: no break-even."


def test_interest_that_the_money_earns():
    """1125.507747 spent for 100 a month of a year: 1 % a month."""
    needs = [Quantities("a", 10, operations_hours=10), Quantities("b", 10, extra={"once": 1})]
    found = ask("discount_rate", needs, {"operations": 10, "extra.once": 1125.5077473484643}, 1, 0.05)
    assert found.value == pytest.approx(1.01**12 - 1, rel=1e-9)
    assert (found.cheaper, found.today, found.pays) == ("below", 0.05, True)
    assert "where interest is 12.7 % a year, less below that; today interest is 5 % a year: it pays." in found.words


def test_always_never_and_the_same_are_said():
    less = Quantities("less", 100, {"os-delta": 1.0})
    found = ask("storage", [A, less])
    assert (found.verdict, found.cheaper) == ("always", "")
    assert math.isnan(found.value)
    assert found.words == "less is cheaper than linked-clone whatever the price of storage is: no break-even."
    found = ask("storage", [less, A])
    assert found.verdict == "never"
    assert found.words == "linked-clone is never cheaper than less whatever the price of storage is: no break-even."
    found = ask("desktops", [A, replace(A, strategy="twin")])
    assert found.verdict == "same"
    assert found.words == "twin costs what linked-clone costs in pools of up to 100,000 desktops."
    assert not found.pays


def scan(needs, prices, most=3000):
    """Sizes of the pool up to `most` at which the second costs no more: each asked by itself."""
    found = []
    for n in range(1, most + 1):
        total = [
            sum(
                math.ceil(q) * 1000 if item == "hosts.purchase" else q * 10
                for item, q in (("hosts.purchase", one.hosts * n / 100), ("hours", one.setup_hours))
            )
            for one in needs
        ]
        found.append(total[1] <= total[0])
    return found


def test_whole_hosts_make_the_order_change_to_and_fro():
    needs = [Quantities("a", 100, hosts=3), Quantities("b", 100, hosts=2, setup_hours=100)]
    prices = prices_of({"hosts.purchase": 1000, "operations.setup": 10}, off=["hosts.running"])
    found = ask("desktops", needs, prices)
    pays = scan(needs, prices)
    first = pays.index(True) + 1
    last = len(pays) - pays[::-1].index(False) + 1
    assert first < last
    assert (found.value, found.last, found.cheaper) == (first, last, "above")
    assert found.words == (
        f"b is cheaper than a from {last} desktops up and dearer below {first} desktops; in between, whole hosts or "
        "controllers decide; today the size of the pool is 100 desktops: it breaks even."
    )
    back = ask("desktops", needs[::-1], prices)
    assert (back.cheaper, back.pays) == ("below", False)


EXACT = prices_of(
    {"hosts.purchase": 100, "operations": 1, "licences.own": {"price": 1, "when": "once"}}, off=["hosts.running"]
)


@settings(deadline=None)
@example((3, 0), (2, 1), 500)  # b: above all, then never
@example((2, 2), (3, 0), 0)
@example((1, 2), (2, 0), 150)
@example((5, 0), (2, 4), 50)  # b is cheaper in between
@example((2, 4), (5, 0), -50)  # and outside
@given(*[st.tuples(st.integers(0, 5), st.integers(0, 4))] * 2, st.integers(-1000, 1000))
def test_all_sizes_of_the_pool_are_what_whole_numbers_say(a, b, setup):
    """(hosts of 100 desktops, licences) of both, and how much more b takes to introduce: in integers, size by size."""
    assume(a[0] != b[0])
    needs = [
        Quantities(name, 100, hosts=hosts, licences={"own": own}, setup_hours=max(hours, 0))
        for name, (hosts, own), hours in (("a", a, -setup), ("b", b, setup))
    ]
    n = np.arange(1, 100_001)
    more = 100 * (-(-b[0] * n // 100) + (-a[0] * n // 100)) + (b[1] - a[1]) * n + setup
    pays = more <= 0
    found = ask("desktops", needs, EXACT)
    if pays.all() or not pays.any():
        assert found.verdict == ("same" if not more.any() else "always" if pays.all() else "never")
        return
    assert found.verdict == "crossing"
    yes, no = n[pays], n[~pays]
    expected = {
        (False, True): ("above", yes[0], no[-1] + 1),
        (True, False): ("below", no[0] - 1, yes[-1]),
        (False, False): ("between", yes[0], yes[-1]),
        (True, True): ("outside", no[0], no[-1]),
    }
    assert (found.cheaper, found.value, found.last) == expected[bool(pays[0]), bool(pays[-1])]
    assert found.pays == (more[99] < 0)
    said = {"between": "b is cheaper than a only from ", "outside": "b is cheaper than a except from "}
    assert found.words.startswith(said.get(found.cheaper, "b "))
    assert ("whole hosts or controllers decide" in found.words) == (found.last != found.value or found.cheaper in said)


def test_a_function_of_the_size_is_halved_down_to():
    asked = []

    def at(desktops):
        asked.append(desktops)
        own = lambda one: Quantities(  # noqa: E731
            one.strategy,
            desktops,
            {"os-delta": one.gib["os-delta"] * (desktops / 100) ** 1.5},
            licences=one.licences,
            setup_hours=one.setup_hours,
            fixed_hours=one.fixed_hours,
        )
        return [own(A), own(B)]

    found = ask("desktops", at=at)
    n = int(found.value)
    assert found.cheaper == "above"
    assert gap(at(n), PRICES) <= 0 < gap(at(n - 1), PRICES)
    assert len(asked) < 30
    never = ask("desktops", at=lambda n: [replace(A, desktops=n), replace(B, desktops=n, gib=A.gib)])
    assert never.verdict == "never"
    with pytest.raises(ParameterError, match=r"^at=\[100, 100\]: quantities for 1 desktops are needed\. Check `at`\.$"):
        ask("desktops", at=lambda n: NEEDS)


@st.composite
def pairs(draw):
    number = st.integers(0, 1000)
    return [
        Quantities(
            name,
            draw(st.just(100)),
            {"os-delta": draw(number), "share": draw(number)},
            licences={"desktop": draw(st.integers(0, 3))},
            operations_hours=draw(number),
            fixed_hours=draw(number),
            setup_hours=draw(number),
        )
        for name in "ab"
    ]


@settings(deadline=None)
@given(pairs(), st.sampled_from(["storage.os-delta", "storage.share", "licences.desktop", "operations.fixed"]))
def test_both_cost_the_same_at_the_break_even_price_and_it_turns_there(needs, item):
    prices = prices_of()
    found = ask(item, needs, prices, 4, 0.05)
    scale = max(cost(needs, prices, 4, 0.05).totals["present_value"].max(), 1.0)
    if found.verdict == "crossing":
        at = [gap(needs, prices.at(item, found.value * times), 4, 0.05) for times in (0.5, 1.0, 2.0)]
        if found.cheaper == "below":
            at = [-value for value in at]
        assert abs(at[1]) <= 1e-9 * max(scale, found.value * 1e6)
        assert at[0] > 0 > at[2]
    else:
        sign = {"always": -1, "never": 1, "same": 0}[found.verdict]
        for price in (0.01, 1.0, 1000.0):
            assert gap(needs, prices.at(item, price), 4, 0.05) * sign >= -1e-9 * scale * price
    assert found.pays == (gap(needs, prices, 4, 0.05) < 0) or abs(gap(needs, prices, 4, 0.05)) < 1e-9 * scale


@settings(deadline=None)
@given(pairs())
def test_the_closed_form_for_the_pool_is_where_the_lines_cross(needs):
    """Beside the crossing, quantities written down for those sizes of the pool cost what the verdict says."""
    prices = prices_of()
    found = ask("desktops", needs, prices, 4, 0.05)
    assume(found.verdict == "crossing" and 10 < found.value < 50_000)

    def more(desktops):
        grown = [
            replace(
                one,
                desktops=desktops,
                gib={tier: value * desktops / 100 for tier, value in one.gib.items()},
                operations_hours=one.operations_hours * desktops / 100,
            )
            for one in needs
        ]
        return gap(grown, prices, 4, 0.05)

    below, above = more(math.floor(found.value) - 1), more(math.ceil(found.value) + 1)
    assert (below > 0 > above) if found.cheaper == "above" else (below < 0 < above)


@settings(deadline=None)
@example([Quantities("a", 100, setup_hours=4), Quantities("b", 100, fixed_hours=1)], 2.220446049250313e-16)
@example([Quantities("a", 100, setup_hours=4), Quantities("b", 100, fixed_hours=1)], 1e-310)
@given(pairs(), st.floats(0.0, 0.5))
def test_both_cost_the_same_after_the_time_and_at_the_interest_found(needs, rate):
    prices = prices_of()
    time = ask("months", needs, prices, 4, rate)
    if time.verdict == "crossing" and math.floor(time.value) >= 3 and time.value <= 240:
        before, after = (gap(needs, prices, m / 12, rate) for m in (math.floor(time.value), math.ceil(time.value)))
        assert before * after <= 1e-6
        assert (after <= 1e-6) if time.cheaper == "above" else (after >= -1e-6)
    interest = ask("discount_rate", needs, prices, 4, rate)
    if interest.verdict == "crossing" and interest.value <= 1:
        scale = cost(needs, prices, 4, 0.0).totals["present_value"].max()
        assert abs(gap(needs, prices, 4, interest.value)) <= 1e-9 * scale


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (
            "storag",
            "over='storag': allowed are desktops, months, discount_rate, storage, storage.os-delta, "
            "storage.user-data, storage.replica, storage.cache, storage.swap, storage.share. Did you mean 'storage'?",
        ),
        (
            "licences",
            "over='licences': allowed are desktops, months, discount_rate, storage, storage.os-delta, "
            "storage.user-data, storage.replica, storage.cache, storage.swap, storage.share. Give it a price, or "
            "switch it on.",
        ),
    ],
)
def test_what_cannot_be_varied(over, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        ask(over, prices=prices_of({"storage": 2.0}, off=["licences", "operations"]))


def test_other_mistakes():
    with pytest.raises(ParameterError, match=r"^b='app': strategies here are linked-clone, app-attach\."):
        break_even(NEEDS, "linked-clone", "app", PRICES)
    with pytest.raises(
        ParameterError, match=r"^prices\.licences\.app-attach=None: 'app-attach' needs it \(licence: 100\)"
    ):
        ask("storage", prices={"storage": 2.0})
    with pytest.raises(ParameterError, match=r"^desktops=\[100, 200\]: strategies are compared for one pool"):
        ask("storage", [A, replace(B, desktops=200)])
    zero = prices_of(
        dict.fromkeys([item for item in known_items() if item.startswith("storage.")], 0) | {"operations": 1}
    )
    needs = [A, replace(B, licences={}, gib={"share": 1.0})]
    assert ask("storage", needs, zero).unit == "per GiB"
    monthly = zero.prices["storage.share"]
    unlike = replace(zero, prices={**zero.prices, "storage.share": replace(monthly, when="monthly")})
    with pytest.raises(
        ParameterError, match=r"^over='storage': all its prices are 0\. Vary one item, or give them prices\.$"
    ):
        ask("storage", needs, unlike)
