"""Where clones are placed: rules worked out by hand, vendors' examples, and refusals."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.pool.placement import OVERCOMMIT, deal, deal_hosts, place

GIB = 2**30


def test_round_robin_is_the_placement_of_trace_runs():
    placed = place(100, 7, 8, 0, 0)
    lun = deal(100, 7)
    assert lun.tolist() == placed.lun.tolist()
    assert deal_hosts(lun, 8).tolist() == placed.host.tolist()
    assert lun.dtype == placed.lun.dtype


def test_a_fixed_number_per_datastore_in_datastore_order():
    assert deal(7, 3, "per-lun", clones_per_lun=3).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert deal(7, 3, "per-lun").tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert deal(6, 3, "per-lun").tolist() == [0, 0, 1, 1, 2, 2]


def test_free_space_goes_to_the_emptiest_first():
    lun = deal(6, 3, "free-space", free=[10 * GIB, 30 * GIB, 20 * GIB], clone_bytes=6 * GIB)
    assert lun.tolist() == [1, 1, 2, 1, 2, 1]  # 30, 24, 20, 18, 14, 12 GiB free


def test_vmwares_overcommit_example():
    """A datastore of 100 GB and a parent of 10 GB hold about 40 clones at the default level, 4 x."""
    room = {"placement": "overcommit", "capacity": 100 * GIB, "disk": 10 * GIB}
    assert deal(40, 1, **room).size == 40
    message = (
        "clones=41: 1 LUNs take 40 at 4 x the capacity and 10 GiB per clone. Add LUNs, enlarge them, or choose a "
        "higher overcommit."
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        deal(41, 1, **room)
    assert {name: deal(10 * factor, 1, overcommit=name, **room).size for name, factor in OVERCOMMIT.items()} == {
        "none": 10,
        "conservative": 40,
        "moderate": 70,
        "aggressive": 150,
    }


@given(
    st.integers(1, 60),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.integers(1, 7),
)
def test_most_room_never_overfills_and_always_finds_a_place(clones, room, size):
    fits = sum(left // size for left in room)
    if clones > fits:
        with pytest.raises(ParameterError):
            deal(clones, len(room), "free-space", free=room, clone_bytes=size)
        return
    lun = deal(clones, len(room), "free-space", free=room, clone_bytes=size)
    left = list(room)
    for number in lun:  # the rule itself, clone by clone
        assert left[number] == max(left)
        assert number == left.index(max(left))
        left[number] -= size
    assert min(left) >= 0 or min(room) == 0
    assert all(now >= 0 for now, before in zip(left, room, strict=True) if now != before)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50), st.integers(1, 9))
def test_each_lun_is_spread_over_all_hosts(luns, hosts):
    lun = np.array(luns, np.int32)
    host = deal_hosts(lun, hosts)
    seen = dict.fromkeys(range(6), 0)
    for number, where in zip(luns, host, strict=True):
        assert where == seen[number] % hosts
        seen[number] += 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"luns": 0}, "luns=0: a whole number from 1 up is needed."),
        (
            {"placement": "random"},
            "luns.placement='random': allowed are 'round-robin', 'per-lun', 'free-space', 'overcommit'.",
        ),
        (
            {"placement": "per-lun", "clones_per_lun": 4},
            "luns.clones_per_lun=4: 2 LUNs then hold 8 of the 10 clones. Use 3 LUNs, or more per LUN.",
        ),
        ({"placement": "free-space"}, "free=None: placement 'free-space' needs it. Give bytes per LUN."),
        (
            {"placement": "free-space", "free": [1, 2, 3], "clone_bytes": 1},
            "free=[1, 2, 3]: one number, or one for each of the 2 LUNs, is needed.",
        ),
        (
            {"placement": "overcommit", "capacity": GIB, "disk": 0},
            "disk=0: placement 'overcommit' needs a size from 1 B up. Give bytes per clone.",
        ),
        (
            {"placement": "overcommit", "capacity": GIB, "disk": GIB, "overcommit": 5},
            "luns.overcommit=5: allowed are 'none' (1), 'conservative' (4), 'moderate' (7), 'aggressive' (15).",
        ),
    ],
)
def test_bad_input_is_refused(bad, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        deal(**({"clones": 10, "luns": 2} | bad))
