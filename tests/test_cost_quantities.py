"""Quantities: frames, growth with the pool, examples of work, exact refusals."""

import re

import numpy as np
import pandas as pd
import pytest

from clonesim.errors import ParameterError
from clonesim.planning.prices import prices_of
from clonesim.planning.quantities import (
    Quantities,
    example_work,
    lines_at,
    quantities_frame,
    quantities_of,
    same_pool,
)
from clonesim.scenario import catalog

ONE = Quantities(
    "refresh",
    100,
    {"os-delta": 500.0, "replica": 40.0},
    iops=4000,
    hosts=3,
    licences={"desktop": 1},
    operations_hours=5,
    fixed_hours=6,
    setup_hours=7,
    network_gb=8,
    extra={"audit": 1},
)


def test_a_frame_reads_back():
    frame = quantities_frame([ONE, Quantities("other", 100)])
    first, second = quantities_of(frame)
    assert first.row() == ONE.row()
    assert second.row() == {**Quantities("other", 100).row(), "licences.desktop": 0.0, "extra.audit": 0.0}


def test_missing_columns_are_nothing():
    (one,) = quantities_of(pd.DataFrame({"strategy": ["a"], "desktops": [5], "gib.share": [2.5]}))
    assert one == Quantities("a", 5, {"share": 2.5})


def test_what_grows_with_the_pool_and_what_does_not():
    found = lines_at(ONE, prices_of(controller_iops=1000), np.array([50.0, 100.0, 250.0]))
    expected = {
        "storage.os-delta": [250, 500, 1250],
        "storage.replica": [40, 40, 40],
        "array.controllers": [2, 4, 10],
        "hosts.purchase": [2, 3, 8],  # 1.5 and 7.5 hosts
        "hosts.running": [2, 3, 8],
        "licences.desktop": [50, 100, 250],
        "operations.desktops": [2.5, 5, 12.5],
        "operations.fixed": [6, 6, 6],
        "operations.setup": [7, 7, 7],
        "network.traffic": [4, 8, 20],
        "extra.audit": [1, 1, 1],
    }
    assert {item: values.tolist() for item, values in found.items() if values.any()} == expected
    other = lines_at(ONE, prices_of(), np.array([50.0]), fixed=("network_gb", "hosts"))
    assert (other["network.traffic"][0], other["hosts.purchase"][0], other["operations.fixed"][0]) == (8.0, 3.0, 3.0)


def test_example_work_adds_up_over_composed_strategies():
    """0.05 - 0.03 + 0.01 hours a month of each desktop; 2 + 1 + 1 of the pool; 8 + 16 to introduce."""
    found = example_work(["refresh+persistent-disk"], 200)
    assert found["operations_hours"] == pytest.approx(0.03 * 200)
    assert (found["fixed_hours"], found["setup_hours"]) == (4.0, 24.0)
    assert found["licences"] == {"desktop": 1.0}
    assert example_work(["refresh", "persistent-disk"], 200) == found
    assert Quantities("a", 200, **found).setup_hours == 24.0


def test_example_work_never_falls_below_none():
    assert example_work(["refresh", "instant-clone"], 10)["operations_hours"] == 0.0


def test_example_work_is_of_strategies_that_there_are():
    if "strategies" not in catalog.topics():
        pytest.skip("the catalog has no strategies yet")
    named = {name.split(".")[1] for name in catalog.parameters("prices") if name.startswith("work.")} - {"any"}
    licensed = {name.split(".")[1] for name in catalog.parameters("prices") if name.startswith("licences.")}
    assert named | (licensed - {"desktop"}) <= set(catalog.names("strategies"))


def test_a_pool_of_one_size():
    assert same_pool([ONE, Quantities("b", 100)]) == 100
    message = "desktops=[100, 200]: strategies are compared for one pool; here are refresh 100, b 200. "
    message += "Scale them to one size."
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        same_pool([ONE, Quantities("b", 200)])


ZERO = "a quantity is a number from 0 up. Write 0 for what is not needed."
MANY = "a whole number from 1 to 10000000 is needed. Say how many desktops the pool has."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategy": ""}, "strategy='': a strategy has a name. Write for example 'refresh'."),
        ({"desktops": 0}, f"a.desktops=0: {MANY}"),
        ({"desktops": 1.5}, f"a.desktops=1.5: {MANY}"),
        ({"desktops": float("nan")}, f"a.desktops=nan: {ZERO}"),
        ({"desktops": True}, f"a.desktops=True: {ZERO}"),
        ({"gib": {"os": 1}}, "a.gib.os=1: tiers are os-delta, user-data, replica, cache, swap, share."),
        ({"gib": {"share": -1.0}}, f"a.gib.share=-1.0: {ZERO}"),
        ({"iops": float("inf")}, f"a.iops=inf: {ZERO}"),
        ({"hosts": "3"}, f"a.hosts='3': {ZERO}"),
        ({"hosts": None}, f"a.hosts=None: {ZERO}"),
        ({"licences": {"x": -1}}, f"a.licences.x=-1: {ZERO}"),
    ],
)
def test_quantities_that_cannot_be(values, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        Quantities(**{"strategy": "a", "desktops": 10, **values})


COLUMNS = ", ".join(Quantities("a", 1).row()) + ", licences.NAME and extra.NAME"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "quantities=0: at least one strategy is needed. Give a row per strategy."),
        ([ONE, ONE], "strategy='refresh': each strategy comes once. Leave one out, or give them different labels."),
        (pd.DataFrame({"strategy": ["a"]}), "quantities=['strategy']: a column 'desktops' is needed. Add it."),
        (
            pd.DataFrame({"strategy": ["a"], "desktops": [1], "iop": [3]}),
            f"quantities='iop': columns are {COLUMNS}. Did you mean 'iops'?",
        ),
        (pd.DataFrame({"strategy": ["a"], "desktops": [1], "iops": [float("nan")]}), f"a.iops=nan: {ZERO}"),
    ],
)
def test_lists_that_cannot_be(given, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        quantities_of(given)
