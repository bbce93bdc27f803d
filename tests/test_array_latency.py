"""Latency of arrays against queueing theory: M/M/1, M/M/c, closed networks, Little's law; and monotonicity."""

from math import comb, exp, factorial, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.lun.array import RAIDS, array_model
from clonesim.lun.device import latency
from clonesim.lun.response_laws import closed_share, erlang_c, quantile, saturated_shape, sum_tail

BARE = {"write_cache": 0, "controller_latency": 0.0, "controller_iops": 1e9, "bandwidth": "1 TiB", "spares": 0}
MANY = 10**6  # places: no bound


def bare(disks=1, raid="raid-0", service=0.010, channels=1, **given):
    """Disks and nothing else."""
    return array_model("hdd-15k", disks, raid, service=service, channels=channels, **{**BARE, **given})


@pytest.mark.parametrize("load", [0.05, 0.3, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("disks", [1, 7])
def test_one_channel_is_mm1(load, disks):
    """Response of M/M/1: exponential with mean service / (1 - load); evenly spread, disks do not matter."""
    told = latency(bare(disks), load * 100 * disks, 0.0, MANY)
    mean = 0.010 / (1 - load)
    assert told.mean_s[0] == pytest.approx(mean, rel=1e-5)
    assert told.p95_s[0] == pytest.approx(mean * log(20), rel=1e-3)
    assert told.utilisation[0] == pytest.approx(load, rel=1e-4)
    assert not told.queue_full[0]


def mmc(channels, load, service):
    """Probability of waiting and mean response of M/M/c, by the sums of the textbook."""
    a = channels * load
    last = a**channels / factorial(channels) / (1 - load)
    waits = last / (sum(a**k / factorial(k) for k in range(channels)) + last)
    return waits, service + waits * service / (channels * (1 - load))


@pytest.mark.parametrize("channels", [1, 2, 4, 20])
@pytest.mark.parametrize("load", [0.1, 0.5, 0.8, 0.95])
def test_channels_are_mmc(channels, load):
    waits, mean = mmc(channels, load, 0.010)
    assert erlang_c(channels, np.array([load]))[0] == pytest.approx(waits, rel=1e-12)
    told = latency(bare(3, channels=channels), 3 * load * channels * 100, 0.0, MANY)
    assert told.mean_s[0] == pytest.approx(mean, rel=1e-4)

    def tail(t):  # response = service + wait; the wait is 0, or exponential with mean w
        w = 0.010 / (channels * (1 - load))
        if abs(w - 0.010) < 1e-9:
            return exp(-t / 0.010) * (1 + waits * t / 0.010)
        both = (w * exp(-t / w) - 0.010 * exp(-t / 0.010)) / (w - 0.010)
        return (1 - waits) * exp(-t / 0.010) + waits * both

    assert tail(told.p95_s[0]) == pytest.approx(0.05, rel=3e-3)


@pytest.mark.parametrize("raid", RAIDS)
def test_a_write_without_cache_waits_for_its_slowest_disk(raid):
    """An idle array: one phase or two, each the largest of 1 to 3 exponential times; drawn here with other means."""
    array = bare(12, raid)
    told = latency(array, 0.0, 1e-6, MANY)
    draws = np.random.default_rng(5).exponential(0.010, (400_000, array.phases, array.write_width))
    took = draws.max(axis=2).sum(axis=1)
    assert told.mean_s[0] == pytest.approx(took.mean(), rel=0.005)
    assert told.p95_s[0] == pytest.approx(np.quantile(took, 0.95), rel=0.01)


def test_a_write_in_the_cache_takes_the_controller_s_time():
    array = bare(12, "raid-5", write_cache="1 GiB", controller_latency=0.0003)
    told = latency(array, 0.0, [1.0, 250.0, 299.0], MANY)
    assert told.mean_s == pytest.approx(0.0003, rel=1e-4)
    reads = latency(array, 10.0, [0.0, 250.0], MANY)  # reads wait behind what goes to the disks
    assert reads.mean_s[0] == pytest.approx(0.0003 + 0.010 / (1 - 10 / 1200), rel=1e-4)
    expected = (10 * 0.010 / (1 - 1010 / 1200)) / 260 + 0.0003
    assert reads.mean_s[1] == pytest.approx(expected, rel=1e-4)


def test_hits_of_the_read_cache_spare_the_disks():
    array = bare(4, controller_latency=0.0003)
    half = latency(array, 200.0, 0.0, MANY, read_hits=0.5)
    assert half.mean_s[0] == pytest.approx(0.0003 + 0.5 * 0.010 / (1 - 100 / 400), rel=1e-5)
    assert latency(array, 200.0, 0.0, MANY, read_hits=1.0).mean_s[0] == pytest.approx(0.0003, rel=1e-4)


def test_large_transfers_lengthen_the_response():
    array = bare(2, transfer="100 MiB")
    told = latency(array, 20.0, 0.0, MANY, read_bytes_per_s=20.0 * 2**20)
    assert told.mean_s[0] == pytest.approx(0.020 / (1 - 0.2), rel=1e-3)


def buzen(disks, channels, commands):
    """Throughput over full rate of a balanced closed network, by Buzen's convolution in exact fractions."""
    from fractions import Fraction

    station = [Fraction(1)]
    for n in range(1, commands + 1):
        station.append(station[-1] * Fraction(channels, min(n, channels)))  # in services of a whole disk
    total = [Fraction(1)] + [Fraction(0)] * commands
    for _ in range(disks):
        total = [sum(total[k] * station[n - k] for k in range(n + 1)) for n in range(commands + 1)]
    return float(total[commands - 1] / total[commands])


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("disks", [1, 2, 5, 12])
@pytest.mark.parametrize("commands", [1, 2, 7, 32])
def test_closed_networks_are_buzens(disks, channels, commands):
    assert closed_share(disks, channels, commands) == pytest.approx(buzen(disks, channels, commands), rel=1e-9)


def test_one_channel_has_a_closed_form_and_large_networks_are_near_it():
    assert closed_share(24, 1, 32) == 32 / 55
    assert closed_share(500, 4, 16384) == pytest.approx(1.0, abs=0.06)
    assert closed_share(1000, 4, 4) == pytest.approx(4 / 4000, rel=0.01)  # four commands keep four channels busy


@pytest.mark.parametrize("disks", [1, 2, 10, 60])
@pytest.mark.parametrize("commands", [1, 2, 32])
def test_shape_of_a_full_array_s_response(disks, commands):
    """A command finds the N - 1 others in any of the equally likely ways; its response sums as many services."""
    if disks == 1:
        found = {commands - 1: 1.0}
    else:
        ways = comb(commands - 1 + disks - 1, disks - 1)
        found = {n: comb(commands - 1 - n + disks - 2, disks - 2) / ways for n in range(commands)}
    mean = sum(p * (n + 1) for n, p in found.items())
    square = sum(p * (n + 1) * (n + 2) for n, p in found.items())
    assert saturated_shape(disks, commands) == pytest.approx(mean**2 / (square - mean**2))


def test_what_the_array_holds_is_bounded_by_little():
    """32 commands in 8 disks of 100 /s: throughput 800 x 32/39, so 48.75 ms each, however much is asked."""
    array = bare(8)
    told = latency(array, [600.0, 700.0, 1e5], 0.0, 32)
    most = 32 / (800 * 32 / 39)
    assert told.mean_s[1:] == pytest.approx(most)
    assert told.mean_s[0] == pytest.approx(0.010 / (1 - 0.75), rel=1e-4)
    assert told.queue_full.tolist() == [False, True, True]
    assert told.utilisation.tolist() == [pytest.approx(600 * 39 / 32 / 800), 1.0, 1.0]
    assert told.p95_s[2] == pytest.approx(most * stats.gamma.ppf(0.95, saturated_shape(8, 32)) / saturated_shape(8, 32))


def test_one_disk_that_is_full_has_a_response_of_so_many_services():
    told = latency(bare(1), 500.0, 0.0, 20)
    assert told.mean_s[0] == pytest.approx(0.2)
    assert told.p95_s[0] == pytest.approx(stats.gamma.ppf(0.95, 20, scale=0.010), rel=1e-9)


ARRAYS = st.builds(
    array_model,
    st.sampled_from(["hdd-7k", "hdd-15k", "ssd", "nvme"]),
    st.integers(6, 60),
    st.sampled_from(RAIDS),
    write_cache=st.sampled_from([0, 2**30]),
    copies=st.sampled_from([1.0, 2.0]),
)


@settings(max_examples=150, deadline=None)
@given(
    array=ARRAYS,
    places=st.integers(1, 2000),
    share=st.floats(0, 1),
    size=st.sampled_from([0, 4096, 65536]),
    hits=st.floats(0, 1),
)
def test_more_load_is_never_faster_and_little_s_law_holds(array, places, share, size, hits):
    most = array.capacity_iops(share, size, size, hits, places)
    rate = np.concatenate([np.linspace(0, 2, 81), [1e3]]) * most
    told = latency(
        array, rate * share, rate * (1 - share), places, rate * share * size, rate * (1 - share) * size, hits
    )
    tiny = 1e-6
    assert (np.diff(told.mean_s[1:]) >= -tiny * told.mean_s[1:-1]).all()
    assert (np.diff(told.p95_s[1:]) >= -tiny * told.p95_s[1:-1]).all()
    assert (np.minimum(rate, most) * told.mean_s <= places * (1 + tiny)).all(), "more commands inside than places"
    assert told.mean_s[-1] * most == pytest.approx(places), "a full array holds all it can"
    assert (told.queue_full == (rate > most * (1 + 1e-12))).sum() >= len(rate) - 1
    assert (told.mean_s >= array.controller_latency_s).all()


@settings(max_examples=60, deadline=None)
@given(array=ARRAYS, rate=st.floats(1, 1e4), few=st.integers(1, 500), more=st.integers(0, 500))
def test_more_places_reach_at_least_as_much(array, rate, few, more):
    assert array.capacity_iops(0.5, outstanding=few + more) >= array.capacity_iops(0.5, outstanding=few) * (1 - 1e-9)
    assert array.capacity_iops(0.5) >= array.capacity_iops(0.5, outstanding=few) * (1 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(means=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=4))
def test_sums_of_exponential_times(means):
    """Against the phase-type law of the same stages, whose tail is a matrix exponential."""
    from scipy.linalg import expm

    rates = 1 / np.array(means)
    stages = np.diag(-rates) + np.diag(rates[:-1], 1)
    found = quantile([(np.ones(1), *sum_tail([np.array([mean]) for mean in means]))], 0.95)[0]
    assert expm(stages * found)[0].sum() == pytest.approx(0.05, rel=2e-3)


def test_an_interval_without_io_has_the_latency_of_the_idle_array():
    told = latency(array_model(), [0.0, 1.0], [0.0, 1.0], 256)
    assert told.mean_s[0] == pytest.approx(told.mean_s[1], rel=1e-6)
    assert told.utilisation[0] == 0.0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((-1.0, 0.0, 8), r"reads=-1\.0: finite numbers from 0 up are needed"),
        ((0.0, float("nan"), 8), r"writes=nan: finite numbers from 0 up are needed"),
        ((1.0, 1.0, 0), r"outstanding=0: a whole number from 1 up is needed\. Take the LUN's depth"),
        ((1.0, 1.0, 8, None, None, 1.5), r"read_hits=1\.5: shares from 0 to 1 are needed"),
        (([1.0, 2.0], [1.0, 2.0, 3.0], 8), r"lengths=.*: one value per interval is needed, or one for all"),
    ],
)
def test_what_cannot_be_is_refused(asked, message):
    with pytest.raises(ParameterError, match=message):
        latency(array_model(), *asked)
