"""Limits of a LUN: the catalog's, given ones, the guides' maxima, and exact refusals."""

import re

import pytest
from pool_tools import small

from clonesim import load_scenario
from clonesim.errors import ParameterError
from clonesim.planning.limits import Limits, limits_of, vendor_maximum
from clonesim.scenario import catalog

ALL = ("outage", "lock_wait", "conflicts", "iops", "latency", "queue", "clones")


def test_those_of_the_catalog():
    found = limits_of(small())
    assert found.names == ALL
    assert found == Limits(0.05, 0.02, 20.0, 1.0, 0.05, 1.0, 64)
    assert found.outage == catalog.value("planning", "eps")


def test_given_ones_replace_them_in_any_unit():
    found = limits_of(small(), {"lock_wait": "5 ms", "latency": 0.1, "outage": 0.01, "clones": 300})
    assert (found.lock_wait, found.latency, found.outage, found.clones) == (0.005, 0.1, 0.01, 300)
    assert found.queue == 1.0


@pytest.mark.parametrize("name", [name for name in ALL if name != "outage"])
def test_none_switches_one_off(name):
    found = limits_of(small(), {name: None})
    assert getattr(found, name) is None
    assert found.names == tuple(other for other in ALL if other != name)


def test_limits_made_before_are_taken_as_they_are():
    made = limits_of(small(), {"outage": 0.2})
    assert limits_of(load_scenario(), made) is made


@pytest.mark.parametrize(
    ("backing", "tables", "most"),
    [
        ("vmfs-3", {}, 64),
        ("vmfs-5", {}, 140),
        ("nfs", {}, 200),
    ],
)
def test_the_guides_maxima_follow_the_kind_of_lock(backing, tables, most):
    assert vendor_maximum(small(luns={"backing": backing}, **tables)) == most


def test_locks_without_any_domain_count_as_nfs():
    assert vendor_maximum(small(platform={"name": "generic"}, delta={"format": "rbd"}, luns={"backing": "rbd"})) == 200


CLONES = "a whole number from 1 to 100000 is needed, or None. The guides' maxima are in `clonesim catalog planning`."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"lockwait": 1},
            "limits.lockwait=1: limits are outage, lock_wait, conflicts, iops, latency, queue, clones. "
            "Did you mean 'lock_wait'?",
        ),
        ({"outage": None}, "limits.outage=None: a risk is needed. Write for example 0.05."),
        (
            {"outage": 0.9},
            "limits.outage=0.9: allowed are 0.0001 to 0.5. The catalog's default is 0.05.",
        ),
        (
            {"lock_wait": "0 s"},
            "limits.lock_wait='0 s': allowed are 0.0001 s to 1 min. The catalog's default is 0.02 s.",
        ),
        ({"iops": 1.5}, "limits.iops=1.5: allowed are 0.05 to 1. The catalog's default is 1."),
        ({"clones": 0}, f"limits.clones=0: {CLONES}"),
        ({"clones": True}, f"limits.clones=True: {CLONES}"),
        ({"clones": 1.0}, f"limits.clones=1.0: {CLONES}"),
        ({"clones": 100_001}, f"limits.clones=100001: {CLONES}"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        limits_of(small(), given)
