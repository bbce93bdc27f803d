"""The trace-driven run against a plain recount: every clone on its own, with sets and Python integers."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.ingest import Trace, packaged_trace, read_trace
from clonesim.lun.intervals import busy_before, quantile
from clonesim.ops import BlockOp, Requests
from clonesim.pool.placement import place
from clonesim.scenario import catalog

MIB, GIB, NS = 2**20, 2**30, 10**9
STEP = 16 * MIB
HEADER_100_GIB = 206_848  # of a real ESXi delta of a 100 GiB disk; see facts on vmfs-sparse


def a_trace(seed=5, n=400, seconds=50.0):
    """Writes of up to 2 MiB on 512 MiB, some reads, times in whole microseconds, several of them equal."""
    rng = np.random.default_rng(seed)
    time_s = np.sort(rng.integers(0, int(seconds * 1e6), n)) / 1e6
    time_s[0], time_s[n // 2 : n // 2 + 5], time_s[-1] = 0.0, time_s[n // 2], seconds
    op = rng.choice([BlockOp.WRITE, BlockOp.WRITE, BlockOp.READ], n).astype(np.uint8)
    length = rng.integers(1, 4097, n) * 512
    offset = rng.integers(0, 512 * MIB // 512 - 4096, n) * 512
    return Trace(Requests(time_s, op, offset, length), np.zeros(n, np.int32), ("disk",), "made.csv", "made", n)


def history(trace):
    """(time_ns, vmfs-sparse file of a 100 GiB disk, bytes written) after every write of a clone that starts at 0."""
    sectors, tables, written, rows = set(), set(), 0, []
    for time, op, offset, length in zip(trace.time_s, trace.op, trace.offset, trace.length, strict=True):
        if op == BlockOp.WRITE:
            sectors.update(range(offset // 512, (offset + length) // 512))
            tables.update(range(offset // (2 * MIB), (offset + length - 1) // (2 * MIB) + 1))
            written += int(length)
            payload = len(tables) * 16384 + len(sectors) * 512
            size = HEADER_100_GIB + STEP * max(1, math.ceil(payload / STEP))
            rows.append((round(float(time) * 1e9), size, written))
    return rows


@pytest.mark.parametrize(("window", "locks_per_grow"), [("0 s", 1), ("1 s", 1), ("20 s", 3)])
def test_run_equals_a_plain_recount(window, locks_per_grow):
    trace, clones, luns, hosts, interval, hold = a_trace(), 7, 2, 3, 7, 0.02
    run = cs.run_trace(
        trace,
        clones,
        luns,
        hosts,
        window=window,
        interval=interval,
        hold=hold,
        capacity="100 GiB",
        locks_per_grow=locks_per_grow,
        seed=3,
    )
    rows = history(trace)
    start = [round(s * 1e9) for s in run.clones["start_s"]]
    lun, host = [c % luns for c in range(clones)], [c // luns % hosts for c in range(clones)]
    assert run.clones["lun"].tolist() == lun
    assert run.clones["host"].tolist() == host

    steps, before = [], HEADER_100_GIB + STEP
    for time, size, _ in rows:
        steps += [time] * ((size - before) // STEP)
        before = size
    assert len(steps) > 5
    events = sorted((start[c] + t, host[c], c) for c in range(clones) for t in steps)
    assert [round(t * 1e9) for t in run.increments["time_s"]] == [t for t, _, _ in events]
    assert run.increments["clone"].tolist() == [c for _, _, c in events]
    assert run.increments["host"].tolist() == [h for _, h, _ in events]

    hold_ns, grants, waits = round(hold * 1e9), {}, []
    free = dict.fromkeys(range(luns), 0)
    for time, _, c in events:
        for _ in range(locks_per_grow):
            grant = max(time, free[lun[c]])
            free[lun[c]] = grant + hold_ns
            grants.setdefault(lun[c], []).append((time, grant))
        waits.append(grant - time)
    assert [round(w * 1e9) for w in run.increments["wait_s"]] == waits
    assert max(waits) > 0

    assert run.growth["end_s"].iloc[-1] * NS > max(free.values())
    for i, (begin, end) in enumerate(zip(run.growth["time_s"], run.growth["end_s"], strict=True)):
        begin_ns, end_ns = round(begin * 1e9), round(end * 1e9)
        assert end_ns - begin_ns == interval * NS
        now = [
            ([(HEADER_100_GIB + STEP, 0)] + [r[1:] for r in rows if start[c] + r[0] < end_ns])[-1]
            for c in range(clones)
        ]
        sizes = sorted(size for size, _ in now)
        got = run.growth.iloc[i]
        assert got["delta_total_bytes"] == sum(sizes)
        assert got["delta_mean_bytes"] == pytest.approx(sum(sizes) / clones, rel=1e-12)
        assert got["delta_p95_bytes"] == sizes[6]  # 6 of 7 are only 86 %
        assert got["delta_max_bytes"] == sizes[-1]
        assert got["written_total_bytes"] == sum(written for _, written in now)
        assert got["increments"] == sum(begin_ns <= t < end_ns for t, _, _ in events)
        for number in range(luns):
            lock = run.locks[(run.locks["lun"] == number) & (run.locks["time_s"] == begin)].iloc[0]
            asked = sorted(g - t for t, g in grants[number] if begin_ns <= t < end_ns)
            held = sum(max(0, min(g + hold_ns, end_ns) - max(g, begin_ns)) for _, g in grants[number])
            assert lock["used_bytes"] == sum(size for c, (size, _) in enumerate(now) if lun[c] == number)
            assert lock["increments"] == len(asked) / locks_per_grow
            assert lock["reservations"] == sum(begin_ns <= g < end_ns for _, g in grants[number])
            assert lock["reservations_per_s"] == lock["reservations"] / interval
            assert lock["reserved_fraction"] == pytest.approx(held / (end_ns - begin_ns), rel=1e-12, abs=1e-15)
            if asked:
                assert lock["wait_p50_s"] == pytest.approx(asked[math.ceil(0.5 * len(asked)) - 1] / 1e9)
                assert lock["wait_p99_s"] == pytest.approx(asked[math.ceil(0.99 * len(asked)) - 1] / 1e9)
                assert lock["wait_max_s"] == pytest.approx(asked[-1] / 1e9)
            else:
                assert lock[["wait_p50_s", "wait_p99_s", "wait_max_s"]].isna().all()


def test_sizes_are_header_plus_steps():
    run = cs.run_trace(a_trace(), clones=9, luns=2, capacity="100 GiB", interval="13 s", window="30 s")
    last = run.growth.iloc[-1]
    assert (
        last["delta_total_bytes"] == 9 * HEADER_100_GIB + (9 + len(run.increments)) * STEP
    )  # each starts with one step
    assert run.growth["increments"].sum() == len(run.increments) == run.locks["increments"].sum()
    assert run.locks["reservations"].sum() == len(run.increments)
    per_clone = run.increments.groupby("clone").size()
    assert (run.clones["delta_bytes"] == HEADER_100_GIB + STEP * (1 + per_clone)).all()
    total = run.growth["delta_total_bytes"]
    grown = total.diff().iloc[1:] // STEP
    assert grown.tolist() == run.growth["increments"].iloc[1:].tolist()


@pytest.mark.parametrize("kind", ["lvm-thin", "vmfs-sparse"])
def test_files_that_discards_shorten(kind):
    trace = a_trace()
    trace.op[trace.op == BlockOp.READ] = BlockOp.DISCARD
    run = cs.run_trace(trace, clones=4, format=kind, interval=5, window=10)
    for end, total in zip(run.growth["end_s"], run.growth["delta_total_bytes"], strict=True):
        sizes = []
        for start in run.clones["start_s"]:
            fresh = cs.Delta(kind, "1 GiB")
            fresh.apply(trace.requests[trace.time_s + start < end - 1e-9])
            sizes.append(fresh.file_bytes)
        assert total == sum(sizes)
    falls = (np.diff([cs.replay(trace, kind).table([t])["file_bytes"][0] for t in range(50)]) < 0).any()
    assert falls == (kind == "lvm-thin")


def test_a_trace_of_two_disks_is_refused():
    trace = a_trace()
    two = Trace(trace.requests, trace.device, ("hm_0", "hm_1"), "two.csv", "made", len(trace))
    message = r"^device=None: two\.csv has 2 devices \(hm_0, hm_1\)\. Name the one to replay\.$"
    with pytest.raises(ParameterError, match=message):
        cs.run_trace(two)


def test_a_clone_starts_when_it_does_however_many_there_are():
    many = place(512, 4, 8, 600 * NS, seed=1)
    few = place(64, 1, 8, 600 * NS, seed=1)
    assert (many.start_ns[:64] == few.start_ns).all()
    assert (place(512, 4, 8, 600 * NS, seed=2).start_ns != many.start_ns).all()
    assert many.start_ns.min() >= 0
    assert many.start_ns.max() < 600 * NS


def test_starts_are_uniform_over_the_window():
    starts = np.sort(place(2000, 1, 1, 10**12, seed=0).start_ns) / 10**12
    distance = np.abs(starts - (np.arange(2000) + 0.5) / 2000).max()
    assert distance < 1.95 / math.sqrt(2000)  # Kolmogorov-Smirnov, 0.1 %


def test_a_lun_s_clones_are_spread_over_all_hosts():
    placed = place(64, 8, 8, 0, seed=0)
    for lun in range(8):
        assert sorted(placed.host[placed.lun == lun]) == list(range(8))
    assert not placed.start_ns.any()


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), max_size=20), st.integers(1, 9), st.lists(st.integers(0, 300), max_size=10))
def test_busy_time_equals_counting_each_nanosecond(gaps, hold, times):
    grants, free = [], 0
    for gap in gaps:
        grants.append(free + gap)
        free = grants[-1] + hold
    busy = {g + i for g in grants for i in range(hold)}
    got = busy_before(np.array(times, np.int64), np.array(grants, np.int64), hold)
    assert got.tolist() == [sum(t < limit for t in busy) for limit in times]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_quantile_is_the_inverted_distribution(values, share):
    assert quantile(np.array(values), share) == np.quantile(values, share, method="inverted_cdf")


def test_quantile_of_nothing_is_nan():
    assert math.isnan(quantile(np.empty(0), 0.5))


def test_packaged_trace_on_64_clones():
    run = cs.run_trace(packaged_trace(), window="2 min", interval="30 s")
    trace = read_trace(packaged_trace())
    sectors = set()
    for offset, length in zip(trace.offset[trace.writes].tolist(), trace.length[trace.writes].tolist(), strict=True):
        sectors.update(range(offset // 512, (offset + length) // 512))
    payload = len({s // 4096 for s in sectors}) * 16384 + len(sectors) * 512
    assert len(run.increments) == 64 * (math.ceil(payload / STEP) - 1)
    assert run.growth["written_total_bytes"].iloc[-1] == 64 * int(trace.length[trace.writes].sum())
    assert run.growth["delta_p95_bytes"].iloc[-1] == run.growth["delta_mean_bytes"].iloc[-1] == run.delta.file_bytes
    assert "a real NTFS driver's traffic (ntfs-3g), scripted activity, not a real user's" in run.growth.attrs["caption"]


def test_real_trace_of_two_hours(shared):
    run = cs.run_trace(shared / "samples/traces/cloudPhysicsIO.vscsi", clones=16, capacity="32 GiB")
    assert run.clones["delta_bytes"].unique().tolist() == [872_482_816]  # counted elsewhere, with a bit array
    assert run.growth["written_total_bytes"].iloc[-1] == 16 * 2_408_565_760
    assert run.growth["delta_total_bytes"].iloc[-1] == 16 * 872_482_816
    assert len(run.increments) == 16 * (872_482_816 // STEP - 1)


def test_a_trace_that_writes_nothing():
    trace = a_trace()
    reads = Requests(trace.time_s, np.zeros(len(trace), np.uint8), trace.offset, trace.length)
    run = cs.run_trace(Trace(reads, trace.device, ("disk",), "r", "made", len(trace)), clones=3, capacity="100 GiB")
    assert len(run.increments) == 0
    assert run.summary["delta_total_bytes"] == 3 * (HEADER_100_GIB + STEP)
    assert run.locks["reservations"].sum() == 0
    assert run.locks["wait_p99_s"].isna().all()
    assert math.isnan(run.summary["wait_max_s"])


@pytest.mark.parametrize("table_format", ["parquet", "csv"])
def test_saved_tables_read_back_and_repeat_byte_for_byte(tmp_path, table_format):
    def make(folder):
        run = cs.run_trace(a_trace(), clones=5, capacity="100 GiB", interval=10, window=10)
        return run, run.save(folder, table_format)

    (run, paths), (_, again) = make(tmp_path / "a" / "b"), make(tmp_path / "c")
    names = [*(f"{n}.{table_format}" for n in ("growth", "increments", "locks", "clones")), "run.json"]
    assert [p.name for p in paths] == names
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(names)
    read = pd.read_parquet if table_format == "parquet" else pd.read_csv
    for name in ("growth", "increments", "locks", "clones"):
        frame = read(tmp_path / "c" / f"{name}.{table_format}")
        pd.testing.assert_frame_equal(frame, getattr(run, name), check_dtype=table_format == "parquet")
    record = json.loads((tmp_path / "c" / "run.json").read_text())
    assert record["parameters"]["seed"] == 0
    assert record["parameters"]["hold_s"] == 0.0005
    assert record["parameters"]["trace"] == "made.csv"
    assert record["summary"]["delta_total_bytes"] == run.growth["delta_total_bytes"].iloc[-1]
    assert record["versions"]["clonesim"] == cs.__version__


def test_unknown_table_format_is_refused(tmp_path):
    run = cs.run_trace(a_trace(), clones=2, capacity="100 GiB")
    with pytest.raises(ParameterError, match=r"^tables='xlsx': allowed are 'parquet', 'csv'\.$"):
        run.save(tmp_path / "new", "xlsx")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"clones": -1}, "clones=-1: allowed are whole numbers from 1 to 1000000. The catalog's default is 64."),
        ({"clones": 2.0}, "clones=2.0: allowed are whole numbers from 1 to 1000000. The catalog's default is 64."),
        ({"luns": 0}, "luns=0: allowed are whole numbers from 1 to 10000. The catalog's default is 1."),
        ({"hosts": 0}, "hosts=0: allowed are whole numbers from 1 to 64. The catalog's default is 8."),
        ({"hosts": True}, "hosts=True: allowed are whole numbers from 1 to 64. The catalog's default is 8."),
        ({"window": "-1 s"}, None),
        ({"window": "8 d"}, "window=691200.0: allowed are 0.0 to 604800.0 s. The catalog's default is 600.0."),
        ({"interval": 0}, "interval=0: an interval is longer than 0 s. Write for example '10 min'."),
        (
            {"interval": "1 ms", "window": "50 s"},
            "interval='1 ms': a run of 100 s with 64 clones would have more than 100000 intervals. "
            "Use a longer interval.",
        ),
        ({"hold": "1 s"}, "hold=1.0: allowed are 0.0001 to 0.1 s. The catalog's default is 0.0005."),
        ({"hold": 0}, "hold=0.0: allowed are 0.0001 to 0.1 s. The catalog's default is 0.0005."),
        ({"seed": -1}, "seed=-1: allowed are whole numbers from 0 up."),
        (
            {"locking": "atss"},
            "locking='atss': allowed are 'fifo', 'scsi-reservation', 'ats', 'ats+scsi', 'ats-only'. "
            "Did you mean 'ats'?",
        ),
        ({"locks_per_grow": 4}, "locks_per_grow=4: allowed are whole numbers from 1 to 3. The catalog's default is 1."),
        ({"clones": 1_000_000, "format": "exact"}, None),
        ({"format": "vmfs"}, None),
        ({"grain": "3 KiB"}, None),
    ],
)
def test_bad_parameters_are_refused(bad, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$" if message else f"^{next(iter(bad))}="):
        cs.run_trace(a_trace(seconds=50.0), **({"capacity": "100 GiB"} | bad))


def test_defaults_of_the_signature_are_the_catalog_s():
    import inspect

    given = {k: p.default for k, p in inspect.signature(cs.run_trace).parameters.items()}
    assert [given[n] for n in ("clones", "luns", "hosts")] == [
        catalog.value("pool", n) for n in ("clones", "luns", "hosts")
    ]
    assert given["window"] == "10 min"
    assert catalog.value("pool", "start_window") == 600


@pytest.mark.parametrize("locking", ["scsi-reservation", "ats", "ats+scsi"])
def test_a_contended_lock_serves_the_same_growth(locking):
    """Against the lock model alone: each LUN's growth steps in order, three locks each."""
    asked = {"clones": 60, "luns": 2, "hosts": 5, "window": "1 s", "interval": 10, "hold": 0.02, "locks_per_grow": 3}
    asked |= {"capacity": "100 GiB", "seed": 3}
    ideal, run = cs.run_trace(a_trace(), **asked), cs.run_trace(a_trace(), locking=locking, **asked)
    same = ["time_s", "clone", "lun", "host"]
    pd.testing.assert_frame_equal(run.increments[same], ideal.increments[same])
    assert run.parameters["locking"] == locking
    assert {"tries", "backoff_s"} <= run.parameters.keys() - ideal.parameters.keys()
    assert run.increments["wait_s"].max() > 0
    for number, steps in run.increments.groupby("lun"):
        rows = pd.DataFrame({"time_s": steps["time_s"].repeat(3), "host": steps["host"].repeat(3), "hold_s": 0.02})
        served = cs.lock_queue(rows.reset_index(drop=True), locking, hosts=5, seed=3, lun=number)
        np.testing.assert_allclose(steps["wait_s"], served["wait_s"].to_numpy()[2::3], atol=1e-12)
        locks = run.locks[run.locks["lun"] == number]
        assert locks["conflicts"].sum() + locks["miscompares"].sum() == served["retries"].sum() > 0
        granted = (~served["failed"]).sum()
        assert locks["reservations"].sum() + locks["ats"].sum() == granted
        assert (locks["reservations"].sum() == 0) == (locking != "scsi-reservation")
        assert locks["failed"].sum() == served["failed"].sum()
