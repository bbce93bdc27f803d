"""A datastore that fills up: the kernel against a plain reference, and cases worked out by hand."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_fill import plain_fill

from clonesim.errors import ParameterError
from clonesim.lun import backing, fill, in_order
from clonesim.lun.backing import Backing
from clonesim.lun.fill_kernel import fill_up

MIB, GIB, HOUR = 2**20, 2**30, 3600.0


def small(unit, full_share=1.0):
    """Make a backing with a small allocation unit."""
    formats = ("exact",)
    return Backing("t", "", "whole-lun", unit, 1.0, formats, "halt", full_share, True, 0, ("vsphere",), ())


def columns(steps):
    time_s, clone, size = zip(*steps, strict=True) if steps else ((), (), ())
    return np.array(time_s, float), np.array(clone, np.int64), np.array(size, np.int64)


def run(capacity, fixed, clones, steps, horizon_s, where="vmfs-5", power_ons=(), levels=(0.75, 0.85, 0.95)):
    power = (np.array([t for t, _ in power_ons], float), np.array([c for _, c in power_ons], np.int64))
    return fill(capacity, fixed, np.array(clones, np.int64), *columns(steps), horizon_s, where, *power, levels)


quarters = st.integers(0, 24).map(lambda n: n * 900.0)  # many ties, and times on the borders of hours
steps_of = st.lists(st.tuples(quarters, st.sampled_from([3, 5, 8]), st.integers(-6, 12)), max_size=40)


@settings(deadline=None, max_examples=300)
@given(
    steps_of,
    st.lists(st.tuples(quarters, st.sampled_from([3, 4, 5, 8, 9])), max_size=6),
    st.integers(1, 60),
    st.integers(0, 40),
    st.integers(1, 4),
    st.sampled_from([3600.0, 9000.0, 20000.0]),
    st.sampled_from([1.0, 0.9]),
)
@example([(0.0, 3, 5), (0.0, 5, 5), (900.0, 3, 1)], [(900.0, 5)], 10, 0, 1, 3600.0, 1.0)
def test_fill_equals_the_plain_reference(steps, power_ons, capacity, fixed, unit, horizon_s, full_share):
    where = small(unit, full_share)
    sizes = dict.fromkeys([3, 5, 8], 0)
    kept = []
    for step in sorted(steps, key=lambda step: step[:2]):  # a file is never shorter than nothing
        if sizes[step[1]] + step[2] >= 0:
            sizes[step[1]] += step[2]
            kept.append(step)
    levels = [math.ceil(share * capacity) for share in (0.5, 0.75)]
    told = run(capacity, fixed, [3, 5, 8], kept, horizon_s, where, power_ons, (0.5, 0.75))
    used, at_level, full_s, down, accepted = plain_fill(
        where.limit(capacity), unit, fixed, [3, 5, 8], kept, horizon_s, power_ons, levels
    )
    assert told.used.tolist() == used
    assert list(told.level_s.values()) == at_level
    assert told.first_full_s == full_s
    assert {row.clone: (row.time_s, row.cause) for row in told.halts.itertuples()} == down
    assert told.accepted.tolist() == accepted


def test_a_lun_of_four_growth_steps_by_hand():
    """1 GiB with 900 MiB taken leaves 124 MiB: seven steps of 16 MiB fit, the eighth is refused."""
    steps = [(600.0 * n, n % 2, 16 * MIB) for n in range(12)]
    told = run(GIB, 900 * MIB, [0, 1, 2], steps, 3 * HOUR, power_ons=[(0.0, 2), (5000.0, 2), (6000.0, 0)])
    assert told.first_full_s == 4200.0  # the eighth step, of clone 1
    assert told.accepted.tolist() == [True] * 7 + [False] * 5
    assert told.used.tolist() == [(900 + 6 * 16) * MIB, (900 + 7 * 16) * MIB, (900 + 7 * 16) * MIB]
    assert told.halts.to_dict("list") == {
        "clone": [1, 0, 2],
        "time_s": [4200.0, 4800.0, 5000.0],
        "cause": ["growth", "growth", "power-on"],
        "down_s": [6600.0, 6000.0, 5800.0],
    }
    assert told.down.tolist() == [0, 3, 3]
    assert told.level_s == {0.75: 0.0, 0.85: 0.0, 0.95: 2400.0}  # 900 MiB is 87.9 %; 973 MiB after the fifth step
    assert told.lead_s == {0.75: 4200.0, 0.85: 4200.0, 0.95: 1800.0}
    assert told.summary["desktops_down"] == 3
    assert told.summary["power_ons_failed"] == 1
    assert told.summary["desktop_hours_down"] == pytest.approx((6600 + 6000 + 5800) / 3600)


def test_the_last_byte_may_be_used():
    exact = run(64 * MIB, 0, [0], [(1.0, 0, 64 * MIB), (2.0, 0, 1)], HOUR)
    assert exact.used.tolist() == [64 * MIB]
    assert exact.first_full_s == 2.0  # not at 1.0: full, but nobody was refused
    assert run(64 * MIB, 0, [0], [(1.0, 0, 64 * MIB)], HOUR).full is False


def test_files_take_whole_allocation_units():
    """The first file of 206,848 B + 16 MiB takes 17 MiB on VMFS; the next 16 MiB are 16 MiB."""
    told = run(GIB, 0, [0], [(0.0, 0, 206_848 + 16 * MIB), (HOUR, 0, 16 * MIB)], 2 * HOUR)
    assert told.used.tolist() == [17 * MIB, 33 * MIB]


def test_growth_inside_an_allocation_unit_goes_on_when_full():
    steps = [(0.0, 0, MIB // 2), (1.0, 1, MIB), (2.0, 1, 1), (3.0, 0, MIB // 2), (4.0, 0, 1)]
    told = run(2 * MIB, 0, [0, 1], steps, HOUR)
    assert told.first_full_s == 2.0
    assert told.accepted.tolist() == [True, True, False, True, False]
    assert told.halt_s.tolist() == [4.0, 2.0]


def test_what_is_given_back_after_the_outage_is_not_handed_out():
    steps = [(0.0, 0, 4 * MIB), (1.0, 1, MIB), (2.0, 0, -4 * MIB), (3.0, 0, MIB)]
    told = run(4 * MIB, 0, [0, 1], steps, HOUR)
    assert told.halt_s.tolist() == [3.0, 1.0]
    assert told.used.tolist() == [4 * MIB]


def test_space_given_back_before_is_used_again():
    steps = [(0.0, 0, 4 * MIB), (1.0, 0, -2 * MIB), (2.0, 1, 2 * MIB)]
    told = run(4 * MIB, 0, [0, 1], steps, HOUR)
    assert not told.full
    assert told.used.tolist() == [4 * MIB]


def test_a_datastore_too_small_for_its_fixed_files_is_full_at_once():
    told = run(GIB, 2 * GIB, [0, 1], [(60.0, 0, MIB)], HOUR, power_ons=[(30.0, 1)])
    assert told.first_full_s == 0.0
    assert set(told.level_s.values()) == {0.0}
    assert told.halt_s.tolist() == [60.0, 30.0]


def test_a_backing_that_stops_early():
    """Ceph stops at 95 %: 19 objects of 4 MiB fit into 20."""
    steps = [(float(n), 0, 4 * MIB) for n in range(20)]
    told = run(80 * MIB, 0, [0], steps, HOUR, "rbd")
    assert told.limit == 76 * MIB
    assert told.first_full_s == 19.0
    assert told.level_s[0.95] == 18.0


def test_steps_at_the_horizon_are_left_out():
    told = run(GIB, 0, [0], [(10.0, 0, MIB), (HOUR, 0, MIB)], HOUR)
    assert told.used.tolist() == [MIB]
    assert told.accepted.tolist() == [True, False]
    assert run(GIB, 0, [0], [], 1.5 * HOUR).used.tolist() == [0, 0]


def test_the_result_does_not_depend_on_the_order_of_the_clones_arrays():
    rng = np.random.default_rng(5)
    parts = [np.sort(rng.integers(0, 50, 30)) * 100.0 for _ in range(4)]

    def of(order):
        time_s = np.concatenate([parts[c] for c in order])
        clone = np.repeat(order, 30).astype(np.int64)
        size = np.concatenate([np.arange(1, 31) * MIB for _ in order])
        rows = in_order(time_s, clone)
        return fill(900 * MIB, 0, np.arange(4), time_s[rows], clone[rows], size[rows], 2 * HOUR)

    one, two = of([0, 1, 2, 3]), of([3, 1, 0, 2])
    assert one.full
    assert one.halt_s.tolist() == two.halt_s.tolist()
    assert one.used.tolist() == two.used.tolist()
    assert one.accepted.tolist() == two.accepted.tolist()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"capacity": 0}, "luns.size=0: a whole number of bytes from 1 up is needed. Write for example '1 TiB'."),
        ({"fixed": -1}, "fixed_bytes=-1: 0 B or more are needed. Sum up what lies there."),
        ({"horizon_s": math.inf}, "horizon_s=inf: a finite time above 0 s is needed. Give days * 86400."),
        ({"clones": [1, 0]}, "clones=0: row 1 is not above row 0. Use numpy.unique."),
        (
            {"steps": [(2.0, 0, 1), (1.0, 0, 1)]},
            "time_s=1.0: row 1 is before the start or earlier than the row above it. Order the steps with "
            "in_order(time_s, clone).",
        ),
        (
            {"steps": [(math.nan, 0, 1)]},
            "time_s=nan: row 0 is before the start or earlier than the row above it. Order the steps with "
            "in_order(time_s, clone).",
        ),
        (
            {"steps": [(1.0, 7, 1)]},
            "clone=7: row 0 is of a clone that does not live here. Give each LUN its own steps.",
        ),
        (
            {"steps": [(1.0, 0, 2**62), (1.0, 0, 2**62)]},
            f"bytes_={2**62}: all growth together passes 4 EiB. Check that sizes are in bytes.",
        ),
        (
            {"levels": (0.9, 0.5)},
            "levels=(0.9, 0.5): shares from 0 to 1 in rising order are needed. Such as 0.75, 0.85, 0.95.",
        ),
        ({"where": "vmfs-7"}, "luns.backing='vmfs-7': allowed are 'vmfs-3', 'vmfs-5', 'vmfs-6', 'nfs', 'vsan', "),
    ],
)
def test_bad_input_is_refused(bad, message):
    given_ = {"capacity": GIB, "fixed": 0, "clones": [0, 1], "steps": [], "horizon_s": HOUR} | bad
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        run(**given_)


def test_the_kernel_has_one_signature():
    run(GIB, 0, [0], [(1.0, 0, MIB)], HOUR)
    run(GIB, 0, [0], [], HOUR, backing("zfs"), levels=())
    assert len(fill_up.signatures) == 1
