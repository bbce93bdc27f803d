"""Minutes of work: what is asked is served or waits, exactly; storms last as long as their work; replica reads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.lun.array import array_model
from clonesim.lun.replica_cache import ArrayDemand, array_demand, replica_demand, replica_hits, together
from clonesim.lun.serving import serve_luns, serve_minutes
from clonesim.units import GIB

BARE = {"write_cache": 0, "controller_latency": 0.0, "controller_iops": 1e9, "bandwidth": "1 TiB", "spares": 0}


def spindles(disks=10, **given):
    """100 I/Os per s each."""
    return array_model("hdd-15k", disks, "raid-0", service=0.010, **{**BARE, **given})


def whole(*values):
    return np.array(values, np.int64)


def test_a_storm_lasts_as_long_as_its_work():
    """1 disk reaches 6,000 I/Os a minute; 15,000 in one minute take two and a half."""
    asked = whole(15_000, 0, 0, 0)
    told = serve_minutes(asked, 0 * asked, spindles(1), 8)
    assert told.reads.tolist() == [6000, 6000, 3000, 0]
    assert told.backlog_ios.tolist() == [9000, 3000, 0, 0]
    assert told.utilisation.tolist() == pytest.approx([1, 1, 0.5, 0])
    assert told.delay_s.tolist() == pytest.approx([45, 60, 7.5, 0])  # also of what would come in the empty minutes
    assert told.latency_mean_s[:3] == pytest.approx(0.080)  # eight commands in a disk of 10 ms
    assert told.latency_mean_s[3] == pytest.approx(0.010)


def test_delays_are_those_of_the_fluid_queue():
    """Every I/O's wait in the fluid, by the definition: when so much work is done, minus when it was asked for."""
    rng = np.random.default_rng(3)
    asked = rng.poisson(rng.choice([1000, 12_000], 200), 200).astype(np.int64)
    told = serve_minutes(asked, 0 * asked, spindles(1), 8)
    pieces = 2000
    come = (np.arange(200 * pieces) + 0.5) / pieces * 60
    work = np.repeat(asked / pieces, pieces) / 100  # seconds of the disk
    ends, free = np.empty_like(come), 0.0
    for k in range(come.size):
        free = max(come[k], free)
        ends[k] = free
        free += work[k]
    expected = (ends - come).reshape(200, pieces).mean(axis=1)
    assert told.delay_s == pytest.approx(expected, abs=0.05)
    assert told.delay_s.max() > 60


def plain(asked_r, asked_w, unit):
    """The slow twin: a list of minutes' work, taken oldest first, in exact fractions of the array's time."""
    queue, served = [], []
    for r, w in zip(asked_r, asked_w, strict=True):
        queue.append([r, w, unit(r, w) * (r + w)])
        room, got = 60.0, 0.0
        while queue and room > 1e-12:
            r0, w0, work = queue[0]
            if work <= room:
                room -= work
                got += r0 + w0
                queue.pop(0)
            else:
                part = room / work
                queue[0] = [r0 * (1 - part), w0 * (1 - part), work - room]
                got += (r0 + w0) * part
                room = 0.0
        served.append(got)
    return np.array(served)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    raid=st.sampled_from(["raid-0", "raid-10", "raid-5", "raid-6"]),
    load=st.floats(0.1, 3.0),
    places=st.integers(1, 300),
    hits=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_nothing_is_lost_and_the_oldest_go_first(seed, raid, load, places, hits):
    rng = np.random.default_rng(seed)
    array = array_model("hdd-15k", 12, raid)
    n = 120
    mean = load * array.capacity_iops(0.5, 8192, 8192, hits, places) * 60
    reads, writes = (rng.poisson(mean / 2 * rng.exponential(1, n)) * rng.integers(0, 2, n) for _ in range(2))
    told = serve_minutes(reads, writes, array, places, reads * 8192, writes * 8192, hits)
    assert told.reads.sum() + told.writes.sum() + told.backlog_ios[-1] == reads.sum() + writes.sum()
    left = np.cumsum(reads - told.reads) + np.cumsum(writes - told.writes)
    assert (left == told.backlog_ios).all()
    for done, asked in ((told.reads, reads), (told.writes, writes)):
        assert (done >= 0).all()
        assert (np.cumsum(done) <= np.cumsum(asked)).all(), "served before it was asked for"
    assert ((told.utilisation >= 0) & (told.utilisation <= 1 + 1e-9)).all()
    assert (told.utilisation[told.backlog_ios > 1] > 1 - 1e-6).all(), "idle while I/Os wait"
    assert (told.delay_s >= 0).all()

    def unit(r, w):
        share = r / (r + w) if r + w else 0.5
        return 1 / array.capacity_iops(share, 8192, 8192, hits, places)

    slow = plain(reads.tolist(), writes.tolist(), unit)
    assert np.cumsum(told.reads + told.writes) == pytest.approx(np.cumsum(slow), abs=2.1)


def test_luns_on_the_same_disks_share_one_queue():
    rng = np.random.default_rng(8)
    array, places = array_model("hdd-15k", 12, "raid-10"), 64
    luns = []
    for k in range(3):
        reads, writes = (rng.poisson(rng.choice([500, 40_000], 60)) for _ in range(2))
        luns.append(ArrayDemand(reads, writes, reads * 8192, writes * 4096, np.full(60, 0.2 * k)))
    each = serve_luns(luns, array, places)
    summed = [sum(getattr(lun, name) for lun in luns) for name in ("reads", "writes", "read_bytes", "write_bytes")]
    hits = sum(lun.reads * lun.read_hits for lun in luns) / summed[0]
    whole_array = serve_minutes(*summed[:2], array, places, *summed[2:], hits)
    assert whole_array.backlog_ios.max() > 0
    for told, lun in zip(each, luns, strict=True):
        assert told.reads.sum() + told.writes.sum() + told.backlog_ios[-1] == lun.reads.sum() + lun.writes.sum()
        assert (told.latency_mean_s == whole_array.latency_mean_s).all()
        assert (told.delay_s == whole_array.delay_s).all()
    assert sum(told.backlog_ios for told in each) == pytest.approx(whole_array.backlog_ios, abs=6)
    alone = serve_luns(luns[:1], array, places)[0]
    assert (alone.delay_s <= whole_array.delay_s).all()
    with pytest.raises(ParameterError, match=r"demands=\[\]: the demand of one LUN or more is needed"):
        serve_luns([], array, places)


def test_more_demand_waits_longer():
    asked = np.random.default_rng(1).poisson(5000, 500)
    more = serve_minutes(asked + 500, 0 * asked, spindles(1), 8)
    less = serve_minutes(asked, 0 * asked, spindles(1), 8)
    assert (more.backlog_ios >= less.backlog_ios).all()
    assert (more.delay_s >= less.delay_s).all()
    assert (more.latency_mean_s >= less.latency_mean_s).all()


def test_quiet_minutes_have_the_idle_latency_and_empty_demand_is_fine():
    told = serve_minutes(whole(0, 0), whole(0, 0), spindles(), 8)
    assert told.utilisation.tolist() == [0, 0]
    assert told.latency_mean_s == pytest.approx(0.010, rel=0.6)
    assert serve_minutes(whole(), whole(), spindles(), 8).reads.size == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((whole(-1), whole(0)), r"demand_reads=\[-1\]: an array of whole numbers from 0 up is needed\. Count the I/Os"),
        ((np.array([0.5]), whole(0)), r"demand_reads=\[0\.5\]: an array of whole numbers"),
        ((whole(1, 2), whole(1)), r"demand_writes=1: there are 2 intervals of reads\. Give each"),
    ],
)
def test_demands_that_cannot_be_are_refused(asked, message):
    with pytest.raises(ParameterError, match=message):
        serve_minutes(*asked, spindles(), 8)
    with pytest.raises(ParameterError, match=r"interval_s=0: a time above 0 s is needed"):
        serve_minutes(whole(1), whole(1), spindles(), 8, interval_s=0)


def test_a_working_set_that_fits_is_served_by_the_nearest_cache():
    fits = replica_hits(2 * GIB, read_cache=16 * GIB, replicas=8)
    assert (fits.host, fits.array, fits.disks) == (0.0, 1.0, 0.0)
    assert fits.array_warm_bytes == 16 * GIB
    host = replica_hits(2 * GIB, read_cache=16 * GIB, host_cache=2 * GIB, hosts=8)
    assert (host.host, host.array, host.disks) == (1.0, 0.0, 0.0)
    assert host.host_warm_bytes == 16 * GIB
    assert host.array_hits == 0.0
    part = replica_hits(4 * GIB, read_cache=2 * GIB, host_cache=1 * GIB, hosts=8)
    assert (part.host, part.array, part.disks) == (0.25, 0.375, 0.375)
    assert part.array_hits == 0.5
    assert replica_hits(2 * GIB, read_cache=4 * GIB, replicas=8).array == 0.25
    assert replica_hits().disks == 1.0


def test_shares_are_those_of_caches_that_hold_random_blocks():
    """1,000 blocks of equal popularity; host caches and the array cache each hold a random part."""
    rng = np.random.default_rng(2)
    told = replica_hits(1000, read_cache=400, host_cache=250, hosts=3)
    found = np.zeros(3)
    for _ in range(300):
        hosts = [set(rng.choice(1000, 250, replace=False).tolist()) for _ in range(3)]
        array = set(rng.choice(1000, 400, replace=False).tolist())
        for block, host in zip(rng.integers(0, 1000, 200).tolist(), rng.integers(0, 3, 200).tolist(), strict=True):
            found[0 if block in hosts[host] else 1 if block in array else 2] += 1
    assert found / found.sum() == pytest.approx([told.host, told.array, told.disks], abs=0.01)


def test_a_replica_of_its_own_takes_the_rest_off_the_lun():
    demand = np.array([[100, 60, 100 * 4096, 60 * 8192, 40], [0, 5, 0, 5 * 8192, 0], [7, 0, 7 * 4096, 0, 0]])
    hits = replica_hits(4 * GIB, read_cache=2 * GIB, host_cache=1 * GIB, hosts=8)
    beside, apart = array_demand(demand, hits), array_demand(demand, hits, replica_elsewhere=True)
    replica = replica_demand(demand, hits)
    assert beside.reads.tolist() == [40 + 45, 0, 6]  # hosts serve a quarter of 60, then a quarter of 67 in all
    assert apart.reads.tolist() == [40, 0, 0]
    assert (apart.reads + replica.reads == beside.reads).all()
    assert (apart.read_bytes + replica.read_bytes == beside.read_bytes).all()
    assert beside.writes.tolist() == apart.writes.tolist() == [60, 5, 0]
    assert not replica.writes.any()
    assert beside.read_hits.tolist() == pytest.approx([45 * 0.5 / 85, 0, 0.5])
    assert apart.read_hits.tolist() == [0, 0, 0]
    assert replica.read_hits.tolist() == [0.5, 0.5, 0.5]
    both = together([apart, replica])
    for name in ("reads", "writes", "read_bytes", "write_bytes", "read_hits"):
        assert getattr(both, name).tolist() == pytest.approx(getattr(beside, name).tolist()), name


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cache=st.integers(0, 5))
def test_host_caches_serve_their_share_of_the_replica_reads(seed, cache):
    rng = np.random.default_rng(seed)
    reads = rng.integers(0, 50, 300)
    of_delta = (reads * rng.random(300)).astype(np.int64)
    demand = np.column_stack([reads, reads, reads * 4096, reads * 4096, of_delta])
    hits = replica_hits(4 * GIB, host_cache=cache * GIB)
    left = array_demand(demand, hits).reads
    assert ((left >= of_delta) & (left <= reads)).all()
    expected = of_delta.sum() + (reads - of_delta).sum() * (1 - hits.host)
    assert left.sum() == pytest.approx(expected, abs=1)


def test_caches_that_cannot_be_are_refused():
    with pytest.raises(ParameterError, match=r"hosts=0: a whole number from 1 up is needed"):
        replica_hits(GIB, hosts=0)
    with pytest.raises(ParameterError, match=r"host_cache=-1: a whole number from 0 up is needed"):
        replica_hits(GIB, host_cache=-1)
