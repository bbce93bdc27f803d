"""A LUN hour by hour and its worst minutes: recounted in plain Python, and against the lock model itself."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.lun import Operations, fill, lock_frame, lock_requests, lock_traffic, lun_frame, peaks, run_locks
from clonesim.lun.frames import COLUMNS
from clonesim.lun.intervals import quantile, quantiles

MIB, GIB, HOUR = 2**20, 2**30, 3600


def filled(horizon_s, steps=(), capacity=GIB, fixed=0, where="vmfs-5"):
    time_s, size = (np.array(column) for column in zip(*steps, strict=True)) if steps else (np.empty(0), np.empty(0))
    return fill(capacity, fixed, np.array([0]), time_s, np.zeros(time_s.size), size, horizon_s, where)


def frame(horizon_s, increment_s=(), **more):
    times = np.array(increment_s, float)
    quiet = np.zeros(-(-horizon_s // 60), np.int64)
    given_ = {"host": np.arange(times.size) % 3, "reads": quiet, "writes": quiet} | more
    return lun_frame(filled(horizon_s), times, **given_)


def test_columns_and_space():
    told = lun_frame(
        filled(2 * HOUR, [(10.0, 100 * MIB), (HOUR + 1.0, GIB)], fixed=300 * MIB),
        *(np.empty(0), np.empty(0, np.int64), np.zeros(120, np.int64), np.zeros(120, np.int64)),
        lun=4,
        replicate=2,
    )
    assert tuple(told.columns) == COLUMNS
    assert told[["replicate", "lun", "time_s"]].to_numpy().tolist() == [[2, 4, 0], [2, 4, HOUR]]
    assert told["used_bytes"].tolist() == [400 * MIB] * 2
    assert told["free_bytes"].tolist() == [624 * MIB] * 2
    assert told["fixed_bytes"].tolist() == [300 * MIB] * 2
    assert told["desktops_down"].tolist() == [0, 1]
    assert told["latency_p95_s"].isna().all()
    assert told["wait_max_s"].isna().all()
    assert (told["reservations"] == 0).all()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 3 * HOUR * 1000 - 1), max_size=80), st.sampled_from([1e-4, 5e-3, 0.1]), st.integers(1, 3)
)
def test_locks_are_those_of_the_lock_model(times_ms, hold_s, per_grow):
    times = np.sort(times_ms) / 1000
    told = frame(3 * HOUR, times, hold_s=hold_s, locks_per_grow=per_grow)
    requests = pd.DataFrame({"time_s": np.repeat(times, per_grow), "host": 0, "hold_s": hold_s})
    served = cs.lock_queue(requests)
    grants = served["time_s"] + served["wait_s"]
    for hour in range(3):
        here = served["wait_s"][(served["time_s"] >= hour * HOUR) & (served["time_s"] < (hour + 1) * HOUR)]
        row = told.iloc[hour]
        assert row["reservations"] == ((grants >= hour * HOUR) & (grants < (hour + 1) * HOUR)).sum()
        held = sum(max(0.0, min(g + hold_s, (hour + 1) * HOUR) - max(g, hour * HOUR)) for g in grants)
        assert row["reserved_fraction"] == pytest.approx(held / HOUR, abs=1e-12)
        if here.empty:
            assert np.isnan(row["wait_p99_s"])
        else:
            ordered = sorted(here)
            assert row["wait_p50_s"] == ordered[-(-len(ordered) // 2) - 1]
            assert row["wait_p99_s"] == ordered[-(-len(ordered) * 99 // 100) - 1]
            assert row["wait_max_s"] == ordered[-1]


@pytest.mark.parametrize("locking", ["fifo", "scsi-reservation", "ats", "ats+scsi"])
def test_locks_of_a_closed_run(locking):
    """Hour by hour the same as the counters of the locks themselves; `increment_s` no longer counts."""
    rng = np.random.default_rng(3)
    n = 2000
    ops = Operations(
        np.sort(rng.choice([10.0, 3590.0, 3700.0, 9000.0], n) + rng.random(n) * 20),
        rng.integers(0, 50, n),
        rng.integers(0, 4, n).astype(np.int32),
        rng.integers(0, 3, n).astype(np.int8),
    )
    less = {"tries": 5, "backoff": "5 ms", "ats_clusters": 3, "ats_affinity": 0.2, "ats_fallback_after": 2}
    traffic = lock_traffic("vmfs-5", locking, less)
    run = run_locks(lock_requests(ops, traffic), traffic, 4, 0.001, minutes=180)
    told = frame(3 * HOUR, [5.0], locks=run)
    counted = lock_frame(run, interval_s=HOUR, end_s=3 * HOUR)
    counted = counted[counted["host"] == -1].reset_index(drop=True)
    same = ["reservations", "conflicts", "ats", "miscompares", "reserved_fraction", "wait_p50_s", "wait_p99_s"]
    pd.testing.assert_frame_equal(told[[*same, "wait_max_s"]], counted[[*same, "wait_max_s"]])
    assert told["locks_failed"].tolist() == counted["failed"].tolist()
    assert told["conflicts"].any() == (locking in ("scsi-reservation", "ats+scsi"))
    assert told["ats"].any() == locking.startswith("ats")
    assert told["locks_failed"].any() or locking != "scsi-reservation"


def test_latency_of_the_hours_worst_minute():
    latency = np.full(150, np.nan)
    latency[3], latency[7], latency[149] = 0.002, 0.004, 0.001
    told = frame(9000, latency_p95_s=latency)["latency_p95_s"]
    assert told.tolist()[::2] == [0.004, 0.001]
    assert np.isnan(told[1])


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=6), st.integers(0, 3))
def test_quantiles_of_stretches_are_those_of_each(stretches, before):
    values = np.array([7] * before + [v for stretch in stretches for v in stretch], float)
    borders = before + np.cumsum([0, *(len(stretch) for stretch in stretches)])
    for share, column in zip((0.5, 0.95, 1.0), quantiles(values, borders, (0.5, 0.95, 1.0)), strict=True):
        expected = [quantile(np.array(stretch, float), share) for stretch in stretches]
        np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize(("where", "locks"), [("vmfs-3", 2), ("vmfs-6", 2), ("nfs", 0), ("csv", 0), ("rbd", 0)])
def test_growth_locks_only_where_the_backing_says_so(where, locks):
    told = frame(HOUR, [5.0, 5.0], where=where)
    assert told["reservations"].tolist() == [locks]
    assert told["wait_max_s"].notna().all() == bool(locks)


def test_demand_per_hour_and_its_worst_minute():
    reads, writes = np.zeros(150, np.int64), np.full(150, 60)
    reads[70:80] = 6000  # a storm of ten minutes in the second hour
    told = frame(9000, reads=reads, writes=writes)
    assert told["read_iops"].tolist() == [0.0, 60_000 / 3600, 0.0]
    assert told["read_iops_max60"].tolist() == [0.0, 100.0, 0.0]
    assert told["write_iops"].tolist() == [1.0, 1.0, 1.0]  # the last hour is half as long
    assert told["write_iops_max60"].tolist() == [1.0, 1.0, 1.0]


def test_the_worst_minute_of_each_day():
    reads, writes = np.ones(2 * 1440 + 30, np.int64), np.zeros(2 * 1440 + 30, np.int64)
    reads[100], writes[200], writes[201] = 600, 900, 900
    writes[1440 + 1439] = 120
    told = peaks(reads, writes, lun=3, replicate=1, read_bytes=reads * 4096)
    assert told["day"].tolist() == [0, 1, 2]
    assert told["time_s"].tolist() == [200 * 60, (1440 + 1439) * 60, 2 * 86400]
    assert told["iops"].tolist() == [901 / 60, 121 / 60, 1 / 60]
    assert told["write_iops"].tolist() == [15.0, 2.0, 0.0]
    assert told["mean_iops"].tolist() == [pytest.approx((1439 + 600 + 1800) / 86400), (1440 + 120) / 86400, 1 / 60]
    assert told["read_bytes_per_s"].tolist() == [4096 / 60] * 3
    assert told["write_bytes_per_s"].isna().all()
    assert told[["lun", "replicate"]].drop_duplicates().to_numpy().tolist() == [[3, 1]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"reads": np.zeros(59, np.int64)},
            "reads=59: a horizon of 3600 s has 60 minutes. Count the I/Os of each minute, quiet ones too.",
        ),
        ({"host": np.zeros(3, np.int64)}, "host=3: there are 1 growth steps. Give each its host."),
        (
            {"latency_p95_s": np.zeros(59)},
            "latency_p95_s=59: a horizon of 3600 s has 60 minutes. Give each its latency, or NaN.",
        ),
        ({"hold_s": 1.0}, "hold_s=1.0: allowed are 0.0001 to 0.1 s. The catalog's default is 0.0005."),
        ({"where": "tape"}, "luns.backing='tape': allowed are 'vmfs-3', "),
    ],
)
def test_bad_input_is_refused(bad, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        frame(HOUR, [1.0], **bad)
