"""What the lock costs, recounted in plain Python and by throwing I/Os at the reservations."""

import re

import numpy as np
import pandas as pd
import pytest
from reference_locks import simpy_locks

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.lun import LOCKINGS, lock_model
from clonesim.lun.lock_frames import ALL, guest_io, lock_counters, met_delay, retries_histogram
from clonesim.lun.lock_model import DISTRIBUTIONS

HOSTS, STEP_S = 4, 0.25


def requests(n=900, load=0.9, seed=6):
    rng = np.random.default_rng(seed)
    hold_s = rng.integers(100_000, 900_000, n) / 1e9
    times = np.cumsum(rng.integers(0, int(1e6 / load), n)) / 1e9
    return pd.DataFrame({"time_s": times, "host": rng.integers(0, HOSTS, n), "hold_s": hold_s})


def models():
    more = {"tries": 5, "backoff": "1 ms", "seed": 8}
    ats = more | {"ats_clusters": 3, "ats_affinity": 0.3}
    given = {"fifo": {}, "scsi-reservation": more, "ats+scsi": ats | {"ats_fallback_after": 2}}
    return [lock_model(name, **given.get(name, ats)) for name in LOCKINGS]


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_counters_are_those_of_a_plain_count(model):
    served = cs.lock_queue(requests(), model)
    told = lock_counters(served, model, STEP_S)
    ns = {name: np.rint(served[name] * 1e9).astype(int).tolist() for name in ("time_s", "hold_s", "wait_s")}
    whose, failed, retries = (served[name].tolist() for name in ("host", "failed", "retries"))
    met = []
    if model.contended:  # conflicts as SimPy saw them
        met = simpy_locks(ns["time_s"], whose, ns["hold_s"], HOSTS, model)[3]
        assert met
    n = len(served)
    reserving = {"fifo": 0, "scsi-reservation": 0, "ats+scsi": 2}.get(model.name, 10**9)
    grant = [ns["time_s"][i] + ns["wait_s"][i] for i in range(n)]
    spans = [
        (grant[i], grant[i] + ns["hold_s"][i], whose[i]) for i in range(n) if retries[i] >= reserving and not failed[i]
    ]
    assert spans or model.name.startswith("ats")
    assert told["host"].nunique() == HOSTS + 1
    assert (told.groupby("host").size() == told["time_s"].nunique()).all()
    for row in told.itertuples():
        low, high = round(row.time_s * 1e9), round(row.end_s * 1e9)
        mine = [i for i in range(n) if row.host in (ALL, whose[i])]
        asked = [i for i in mine if low <= ns["time_s"][i] < high]
        granted = [i for i in mine if low <= grant[i] < high and not failed[i]]
        assert row.requests == len(asked)
        assert row.failed == sum(failed[i] for i in asked)
        assert row.reservations == sum(retries[i] >= reserving for i in granted)
        assert row.ats == len(granted) - row.reservations
        conflicts = [at for at, i in met if low <= at < high and i in mine]
        by_reservation = sum(any(a <= at < b for a, b, _ in spans) for at in conflicts)
        assert (row.conflicts, row.miscompares) == (by_reservation, len(conflicts) - by_reservation)
        assert row.resv_per_s == pytest.approx(row.reservations / (high - low) * 1e9)
        assert row.cons_per_s == pytest.approx(row.conflicts / (high - low) * 1e9)
        own = sum(max(0, min(b, high) - max(a, low)) for a, b, h in spans if row.host in (ALL, h))
        assert row.reserved_fraction == pytest.approx(own / (high - low), abs=1e-12)
        waits = sorted(served["wait_s"].iloc[asked])
        if waits:
            assert row.wait_p50_s == waits[-(-len(waits) // 2) - 1]
            assert row.wait_p95_s == waits[-(-len(waits) * 95 // 100) - 1]
            assert row.wait_p99_s == waits[-(-len(waits) * 99 // 100) - 1]
            assert row.wait_max_s == waits[-1]
        else:
            assert np.isnan(row.wait_max_s)


def test_sums_over_intervals_and_hosts_are_the_totals():
    model = models()[3]
    served = cs.lock_queue(requests(), model)
    fine, whole = lock_counters(served, model, 0.01), lock_counters(served, model)
    counts = ["requests", "reservations", "conflicts", "ats", "miscompares", "failed"]
    pd.testing.assert_frame_equal(fine.groupby("host")[counts].sum(), whole.set_index("host")[counts].sort_index())
    per_host = whole[whole["host"] != ALL]
    assert per_host[counts].sum().tolist() == whole.loc[whole["host"] == ALL, counts].iloc[0].tolist()
    total = whole[whole["host"] == ALL].iloc[0]
    assert total["reservations"] + total["ats"] + total["failed"] == len(served)
    assert total["conflicts"] + total["miscompares"] == served["retries"].sum()
    early = lock_counters(served, model, end_s=0.1)
    assert early["end_s"].unique().tolist() == [0.1]
    assert 0 < early.loc[early["host"] == ALL, "requests"].item() < len(served)


def test_nothing_happens_to_no_requests():
    for model in models():
        empty = cs.lock_queue(requests().iloc[:0], model)
        assert lock_counters(empty, model)["requests"].tolist() == [0]
        assert len(retries_histogram(empty)) == 0
        assert guest_io(empty, model, [5.0])["met_fraction"].tolist() == [0.0, 0.0]


def test_histogram_of_retries():
    model = models()[1]
    served = cs.lock_queue(requests(), model)
    told = retries_histogram(served)
    assert list(told.columns) == ["host", "retries", "requests", "failed"]
    assert told.loc[told["host"] == ALL, "requests"].sum() == len(served)
    assert told["retries"].max() == 5
    for row in told.itertuples():
        here = served[served["retries"] == row.retries]
        here = here if row.host == ALL else here[here["host"] == row.host]
        assert (row.requests, row.failed) == (len(here), here["failed"].sum())


def thrown(served, model, rates, end_s, seed):
    """Share of I/Os that meet a reservation of another host, by throwing them; per host."""
    rng = np.random.default_rng(seed)
    fallback = model.fallback_after
    good = served[~served["failed"] & (served["retries"] >= fallback)]
    start = (good["time_s"] + good["wait_s"]).to_numpy()
    order = np.argsort(start)
    start, hold, whose = start[order], good["hold_s"].to_numpy()[order], good["host"].to_numpy()[order]
    shares = []
    for host in range(len(rates)):
        at = rng.uniform(0, end_s, 400_000)
        last = np.maximum(np.searchsorted(start, at, side="right") - 1, 0)
        shares.append(((at >= start[last]) & (at < start[last] + hold[last]) & (whose[last] != host)).mean())
    return shares


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_guest_io_meets_reservations_as_often_as_thrown_io_does(model):
    served, rates = cs.lock_queue(requests(), model), np.array([100.0, 0.0, 50.0, 20.0, 10.0])  # host 4 takes no locks
    told = guest_io(served, model, rates, end_s=0.3)
    assert told["host"].tolist() == [0, 1, 2, 3, 4, ALL]
    if model.name in ("ats", "ats-only"):
        assert not told["met_fraction"].any()
        assert told["delay_s"].isna().all()
        return
    expected = thrown(served, model, rates, 0.3, 1)
    for share, one in zip(told["met_fraction"], expected, strict=False):
        assert share == pytest.approx(one, abs=5 * np.sqrt(0.25 / 400_000))
    total = told.iloc[-1]
    assert total["met_fraction"] == pytest.approx(rates @ told["met_fraction"][:-1] / rates.sum())
    assert total["met_per_s"] == pytest.approx(told["met_per_s"][:-1].sum())
    assert total["mean_delay_s"] == pytest.approx(rates @ told["mean_delay_s"][:-1] / rates.sum())
    assert told["met_fraction"].iloc[4] == told["met_fraction"].iloc[:5].max()  # it alone meets all of them


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("hold_ms", [0.5, 20.0, 39.0, 41.0, 150.0])
def test_delay_of_an_io_that_meets_a_reservation(hold_ms, distribution):
    """Against back-offs drawn one after the other until the reservation is over."""
    rng, n = np.random.default_rng(4), 60_000
    residual = rng.uniform(0, hold_ms, n)
    passed, waiting = np.zeros(n), np.ones(n, bool)
    while waiting.any():
        draw = rng.uniform(0, 40.0, n) if distribution == "uniform" else rng.exponential(20.0, n)
        passed[waiting] += draw[waiting]
        waiting = passed < residual
    told = met_delay(np.array([hold_ms / 1000]), 0.02, distribution)[0] * 1000
    assert told == pytest.approx(passed.mean(), abs=4.5 * passed.std() / np.sqrt(n))


def test_rows_that_another_model_served_are_refused():
    model, other = lock_model("scsi-reservation", seed=1), lock_model("scsi-reservation", seed=2)
    served = cs.lock_queue(requests(), model)
    message = (
        r"^served\.wait_s=[\d.e-]+: row \d+ waits as 'scsi-reservation' with these parameters and this seed does not "
    )
    with pytest.raises(ParameterError, match=message):
        lock_counters(served, other)
    with pytest.raises(ParameterError, match=message):
        lock_counters(served.iloc[1:], model)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda s, m: lock_counters(s.drop(columns="retries"), m),
            "served.columns='time_s, host, hold_s, wait_s, failed': retries missing. Serve it by lock_queue first.",
        ),
        (lambda s, m: lock_counters(s, m, 0.0), "interval_s=0.0: a time above 0 s is needed."),
        (lambda s, m: guest_io(s, m, [1.0, 2.0]), "io_per_s=(2,): a rate for each of the 4 hosts is needed."),
        (lambda s, m: guest_io(s, m, [1.0, 2.0, -3.0, 4.0]), "io_per_s=-3.0: rates are 0 /s or more."),
        (lambda s, m: guest_io(s, m, [1.0] * 4, end_s=-1.0), "end_s=-1.0: a time above 0 s is needed."),
    ],
)
def test_bad_questions_are_refused(ask, message):
    model = lock_model("scsi-reservation")
    served = cs.lock_queue(requests(), model)
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        ask(served, model)
