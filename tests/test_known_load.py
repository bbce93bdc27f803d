"""More commands on an array whose demand is known: what is computed anew is what serving all tells, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.lun.array import array_model
from clonesim.lun.device import latency, mean_latency
from clonesim.lun.known_load import KnownLoad
from clonesim.lun.replica_cache import ArrayDemand
from clonesim.lun.serving import serve_luns

SECTOR = 512


def demands(seed, array, places, load, luns, minutes):
    """Of some LUNs with idle minutes; at a load near 1 and above some minutes have a backlog."""
    rng = np.random.default_rng(seed)
    mean = load * array.capacity_iops(0.5, 8192, 4096, 0.3, places) * 60 / luns
    found = []
    for _ in range(luns):
        reads, writes = (rng.poisson(mean / 2 * rng.exponential(1, minutes)) for _ in range(2))
        awake = rng.random(minutes) < 0.7
        reads, writes = reads * awake, writes * awake
        found.append(ArrayDemand(reads, writes, reads * 8192, writes * 4096, rng.random(minutes)))
    return found


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([("hdd-15k", "raid-10"), ("hdd-15k", "raid-6"), ("ssd", "raid-5")]),
    cache=st.sampled_from([0, "1 GiB"]),
    load=st.sampled_from([0.0, 0.2, 0.7, 0.95, 1.3]),
    luns=st.integers(1, 3),
    places=st.sampled_from([1, 40, 256]),
    often=st.sampled_from([0.0, 0.05, 1.0]),
    weight=st.sampled_from([1, 200, 50_000]),
)
def test_it_tells_what_serving_everything_tells(seed, kind, cache, load, luns, places, often, weight):
    array = array_model(kind[0], 8, kind[1], write_cache=cache, spares=0)
    given_ = demands(seed, array, places, load, luns, 80)
    rng = np.random.default_rng(seed + 1)
    more = rng.poisson(weight, 80) * (rng.random(80) < often)
    known = KnownLoad.of(given_, array, places, serve_luns(given_, array, places)[0].latency_mean_s)
    first = replace(given_[0], writes=given_[0].writes + more, write_bytes=given_[0].write_bytes + more * SECTOR)
    expected = serve_luns([first, *given_[1:]], array, places)[0].latency_mean_s
    known.mean_with(more[::-1], more[::-1] * SECTOR)  # asking leaves no trace
    assert known.mean_with(more, more * SECTOR).tolist() == expected.tolist()


def test_a_backlog_reaches_minutes_without_commands():
    """One disk of 6,000 I/Os a minute: commands in minute 1 fill it until minute 3, which has none of its own."""
    array = array_model(
        *("hdd-15k", 1, "raid-0"),
        **{"service": 0.010, "write_cache": 0, "controller_latency": 0.0, "controller_iops": 1e9, "spares": 0},
    )
    reads = np.array([600, 600, 600, 600, 600])
    demand = ArrayDemand(reads, 0 * reads, 0 * reads, 0 * reads, np.zeros(5))
    known = KnownLoad.of([demand], array, 8, serve_luns([demand], array, 8)[0].latency_mean_s)
    told = known.mean_with(np.array([0, 15_000, 0, 0, 0]), np.zeros(5, np.int64))
    assert told[0] == told[4] == known.mean_s[0] == pytest.approx(0.010 / (1 - 0.1), rel=1e-3)
    assert told[1:4] == pytest.approx(8 * 0.010)
    assert (known.mean_with(0 * reads, 0 * reads) == known.mean_s).all()
    assert (known.mean_s == known.mean_s[0]).all(), "asking has changed what is known"


@pytest.mark.parametrize("cache", [0, "1 GiB"])
def test_the_mean_alone_is_the_same_mean(cache):
    array = array_model("hdd-15k", 12, "raid-5", write_cache=cache)
    rng = np.random.default_rng(2)
    reads, writes = rng.exponential(600, (2, 200))
    rates = (reads, writes, 32, reads * 9000, writes * 5000, rng.random(200))
    whole = latency(array, *rates)
    assert whole.queue_full.any() and not whole.queue_full.all()
    assert mean_latency(array, *rates).tolist() == whole.mean_s.tolist()
