"""Small steps of datastores and arrays that mutants showed no other quick test to hold fast."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.integrate import simpson
from test_array_latency import MANY, bare
from test_datastore import HOUR, MIB, run

from clonesim.errors import ParameterError
from clonesim.lun.array import array_model, part_of
from clonesim.lun.device import latency
from clonesim.lun.queueing import mm1_wait, pointwise_stationary, retrial_wait
from clonesim.lun.wait_laws import back_off_round


def test_a_part_of_an_array_has_a_part_of_everything():
    array = array_model("hdd-15k", 48, "raid-10", spares=0, read_cache=800 * MIB, write_cache=801, bandwidth=7_000_000)
    part = part_of(array, 8)
    assert (part.disks, part.read_cache, part.write_cache, part.bandwidth) == (6, 100 * MIB, 101, 875_000)
    assert part.controller_iops == array.controller_iops / 8
    assert part_of(array_model("hdd-15k", 48, "raid-10", spares=0), 1).bandwidth == array_model("hdd-15k").bandwidth


@pytest.mark.parametrize("load", [0.5, 0.9, 0.95, 0.99])
def test_a_disk_that_moves_two_large_blocks_a_second_is_mm1(load):
    """64 MiB in 10 ms and at 150 MiB/s: 2.29 a second, which is no whole number."""
    size, service = 64 * MIB, 0.010 + 64 / 150
    told = latency(bare(1), load / service, 0.0, MANY, load / service * size)
    assert told.mean_s[0] == pytest.approx(service / (1 - load), rel=1e-4)
    assert told.utilisation[0] == pytest.approx(load, rel=1e-5)


def test_a_controller_that_is_asked_for_just_what_it_reaches():
    """1000 commands a second with 64 places: no more than 64 ms each, and the 95th percentile is a number."""
    told = latency(bare(800, controller_iops=1000.0), [999.9999999, 1000.0, 5000.0], 0.0, 64)
    assert told.mean_s == pytest.approx(0.064)
    assert told.p95_s == pytest.approx(told.p95_s[0])
    assert told.queue_full.tolist() == [False, False, True]


def test_hundreds_of_growth_steps_fill_a_datastore():
    """400 steps of 1 MiB, a second apart: the 400th ends at 400 MiB."""
    steps = [(float(n), n % 3, MIB) for n in range(400)]
    told = run(1024 * MIB, 0, [0, 1, 2], steps, HOUR)
    assert told.accepted.tolist() == [True] * 400
    assert told.used[-1] == 400 * MIB


# --- waits in closed form ------------------------------------------------------------------------------------------


def test_mm1_by_hand():
    """800 a second of 1 ms: four holds of waiting; 0.8 exp(-0.2 t) is 0.01 at t = 5 ln 80."""
    told = mm1_wait(800.0, 0.001)
    assert (told.load, told.mean_s) == (pytest.approx(0.8), pytest.approx(0.004))
    assert told.quantile_s == pytest.approx(0.005 * log(80))
    assert mm1_wait(5.0, 0.001).quantile_s == 0.0


@pytest.mark.parametrize("backoff", [0.1, 1.0, 7.0])
def test_rounds_of_exponential_back_offs_have_no_memory(backoff):
    """The first attempt after a residual r comes B later on average: moments of r + B over holds of 1 and 3."""
    hold, share = np.array([1.0, 3.0]), np.array([0.25, 0.75])
    first, square, cube = hold @ share, hold**2 @ share, hold**3 @ share
    mean, second = square / (2 * first), cube / (3 * first)  # of a residual
    told = back_off_round(hold, share, backoff, "exponential")
    assert told[1] == pytest.approx(mean + backoff, rel=1e-4)
    assert told[2] == pytest.approx(second + 2 * mean * backoff + 2 * backoff**2, rel=1e-4)


@pytest.mark.parametrize("backoff", [0.6, 1.0, 5.0])
def test_rounds_of_uniform_back_offs_that_a_hold_does_not_outlast(backoff):
    """T(r) = B exp(r / 2B) and the second moment from their renewal equations, for holds of 1 < 2B."""
    r = np.linspace(0.0, 1.0, 2001)
    grown = np.exp(r / (2 * backoff))
    mean = backoff * grown
    second = grown * (4 * backoff**2 / 3 + 2 * backoff * r) - 4 * backoff**2 * (grown - 1)
    residual, told, square = back_off_round(np.array([1.0]), np.array([1.0]), backoff, "uniform")
    assert residual == pytest.approx(0.5)
    assert told == pytest.approx(simpson(mean, r), rel=1e-4)
    assert square == pytest.approx(simpson(second, r), rel=1e-4)


def test_rounds_of_uniform_back_offs_overshoot_a_long_hold_by_two_thirds():
    """Renewal theory: E[b**2] / 2 E[b] = 2B / 3, and E[b**3] / 3 E[b] = 2B**2 / 3 of its square."""
    _, told, square = back_off_round(np.array([40.0]), np.array([1.0]), 1.0, "uniform")
    assert told == pytest.approx(20 + 2 / 3, rel=2e-3)
    assert square == pytest.approx(1600 / 3 + 2 * 20 * 2 / 3 + 2 / 3, rel=3e-3)


def test_retries_of_a_lock_that_is_hardly_used():
    """A request meets the other host's holds of 1 s with probability 0.001, then tries 1 + 1 / 20 times."""
    told = retrial_wait([0.001, 0.001], 1.0, 10.0, "exponential")
    assert told.conflict == pytest.approx(0.001, rel=0.03)
    assert told.retries == pytest.approx(0.001 * (1 + 1 / 20), rel=0.03)


def test_one_busy_interval_in_many_idle_ones_leaves_the_quantile_at_0():
    """Of 17,000 requests 16,000 find 2 % of load and 1,000 find a half: 820 wait, fewer than a tenth."""
    for law in ("md1", "mm1"):
        told = pointwise_stationary([40.0] * 400 + [1000.0], 0.0005, 60.0, law, 0.9)
        assert told.waits[-1].quantile_s > 0
        assert told.quantile_s == 0.0


def test_clones_of_a_datastore_stand_in_order():
    """Each above the one before it, not above the first one only."""
    with pytest.raises(ParameterError, match=r"^clones=4: row 2 is not above row 1\. Use numpy\.unique\.$"):
        run(1024 * MIB, 0, [3, 5, 4], [(1.0, 3, MIB)], HOUR)
    with pytest.raises(ParameterError, match=r"^clones=5: row 2 is not above row 1"):
        run(1024 * MIB, 0, [3, 5, 5], [(1.0, 3, MIB)], HOUR)


def test_an_idle_interval_is_told_as_idle():
    told = pointwise_stationary([0.0, 500.0], 0.0005, 60.0)
    assert [each.load for each in told.waits] == [0.0, 0.25]
    assert (told.waits[0].mean_s, told.waits[0].quantile_s) == (0.0, 0.0)
