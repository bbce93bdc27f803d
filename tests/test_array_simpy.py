"""An array simulated command by command, against the formulas: open below saturation, bounded above it.

Hosts hold a command back while all places in the array are taken; disks serve first come, first served.
"""

import random

import numpy as np
import pytest
import simpy

from clonesim.lun.array import array_model
from clonesim.lun.device import latency
from clonesim.lun.serving import serve_minutes

SERVICE = 0.010
BARE = {"write_cache": 0, "controller_latency": 0.0, "controller_iops": 1e9, "bandwidth": "1 TiB", "spares": 0}


def array_of(disks, raid="raid-0", channels=1, **given):
    return array_model("hdd-15k", disks, raid, service=SERVICE, channels=channels, **{**BARE, **given})


def simulated(array, rate, count, places=10**9, read_share=1.0, seed=1, warm=0.1):
    """Times from a command's way into the array to its end, and the time at which the last one ended. [s]"""
    draw = random.Random(seed)
    env = simpy.Environment()
    disks = [simpy.Resource(env, array.channels) for _ in range(array.disks)]
    gate = simpy.Resource(env, places)
    took = np.full(count, np.nan)

    def on_disk(disk):
        with disks[disk].request() as turn:
            yield turn
            yield env.timeout(draw.expovariate(1 / array.service_s))

    def command(k):
        with gate.request() as place:
            yield place
            start = env.now
            if draw.random() < read_share:
                yield env.process(on_disk(draw.randrange(array.disks)))
            else:  # a phase waits for all its disks; a mirror is two neighbours, a stripe any disks
                for _ in range(array.phases):
                    if array.mirrors == 2:
                        pair = draw.randrange(array.disks // 2) * 2
                        chosen = [pair, pair + 1]
                    else:
                        chosen = draw.sample(range(array.disks), array.write_width)
                    yield simpy.AllOf(env, [env.process(on_disk(disk)) for disk in chosen])
            took[k] = env.now - start

    def source():
        for k in range(count):
            if rate:
                yield env.timeout(draw.expovariate(rate))
            env.process(command(k))

    env.process(source())
    env.run()
    return took[int(count * warm) : int(count * (1 - warm / 2))], env.now


@pytest.mark.parametrize(("channels", "load"), [(1, 0.5), (3, 0.7)])
def test_an_open_array_of_reads(channels, load):
    array = array_of(6, channels=channels)
    rate = load * 6 * channels / SERVICE
    took, _ = simulated(array, rate, 40_000)
    told = latency(array, rate, 0.0, 10**6)
    assert took.mean() == pytest.approx(told.mean_s[0], rel=0.05)
    assert np.quantile(took, 0.95) == pytest.approx(told.p95_s[0], rel=0.06)


@pytest.mark.parametrize(("raid", "within"), [("raid-10", 0.06), ("raid-5", 0.06), ("raid-6", 0.08)])
def test_an_open_array_of_reads_and_writes_without_cache(raid, within):
    """The largest of several disks' responses is taken as if they were independent: errs a little high."""
    array = array_of(12, raid)
    rate = 0.5 * 12 / SERVICE / float(array.backend(0.5, 0.5))
    took, _ = simulated(array, rate, 30_000, read_share=0.5)
    told = latency(array, rate / 2, rate / 2, 10**6)
    assert took.mean() == pytest.approx(told.mean_s[0], rel=within)
    assert np.quantile(took, 0.95) == pytest.approx(told.p95_s[0], rel=within)


@pytest.mark.parametrize(("disks", "channels", "places"), [(1, 1, 16), (8, 1, 16), (8, 1, 64), (4, 4, 24)])
def test_a_full_array_is_a_closed_network(disks, channels, places):
    """Asked for 1.5 times what it can do: the array holds all places, and the formula says how fast it then is."""
    array = array_of(disks, channels=channels)
    most = array.capacity_iops(1.0, outstanding=places)
    took, end = simulated(array, 1.5 * most, 30_000, places=places)
    told = latency(array, 1.5 * most, 0.0, places)
    assert told.queue_full[0]
    assert 30_000 / end == pytest.approx(most, rel=0.02)
    assert took.mean() == pytest.approx(told.mean_s[0], rel=0.02)
    assert np.quantile(took, 0.95) == pytest.approx(told.p95_s[0], rel=0.12 if channels > 1 else 0.05)


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
def test_between_open_and_full_the_formula_is_a_bound(load):
    """Near saturation places run out at times, and those inside are faster than in the open queue."""
    array, places = array_of(8), 32
    rate = load * array.capacity_iops(1.0, outstanding=places)
    took, _ = simulated(array, rate, 30_000, places=places)
    told = latency(array, rate, 0.0, places)
    assert took.mean() < told.mean_s[0] * 1.05
    assert took.mean() > told.mean_s[0] * 0.75
    assert np.quantile(took, 0.95) < told.p95_s[0] * 1.08


def test_a_storm_is_over_when_the_fluid_says():
    """A burst of 20,000 reads at once: at 8 disks and 32 places it lasts 20,000 / (800 x 32 / 39) s."""
    array = array_of(8)
    _, end = simulated(array, 0, 20_000, places=32)
    told = serve_minutes(np.array([20_000, 0]), np.array([0, 0]), array, 32)
    busy = told.utilisation.sum() * 60
    assert busy == pytest.approx(20_000 / (800 * 32 / 39))
    assert end == pytest.approx(busy, rel=0.03)
