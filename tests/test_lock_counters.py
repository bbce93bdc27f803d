"""Locks of known parameters are simulated, counted and estimated: the truth comes back, or it is said why not."""

import re

import numpy as np
import pandas as pd
import pytest
from counter_tools import NAA, START, guests, moments, simulate, write
from scipy.stats import chisquare

import clonesim as cs
from clonesim.errors import ParameterError
from clonesim.ingest.esxtop import Counters, read_counters
from clonesim.lun import lock_model
from clonesim.lun.lock_frames import guest_delays
from clonesim.planning.lock_counters import lock_estimate
from clonesim.planning.lock_evidence import scatter
from clonesim.planning.lock_posterior import count_loglik, retries
from clonesim.planning.locks_per_operation import growth_steps


def told(found, quantity):
    return found.table.set_index("quantity").loc[quantity]


@pytest.fixture(scope="module")
def plain():
    return simulate(1, hold_s=0.002, minutes=30)


def test_what_is_simulated_agrees_with_renewal_theory(plain):
    counters, run = plain
    model = lock_model("scsi-reservation", seed=1)
    theory = guest_delays(run, [300.0] * 4, 1800).set_index("host")
    table = counters.devices
    met = ((table["conflicts_per_s"] - table["failed_reservations_per_s"]) * 5).groupby(table["host"]).sum()
    for host in range(4):
        assert met.iloc[host] == pytest.approx(1800 * theory.loc[host, "met_per_s"], rel=0.06)
    rng = np.random.default_rng(2)
    delays = np.concatenate([guests(rng, run, host, moments(rng, 300.0, 1800, None), model)[1] for host in range(4)])
    assert delays.mean() == pytest.approx(theory.loc[-1, "delay_s"], rel=0.03)


def test_hold_and_back_off_come_back(plain):
    found = lock_estimate(plain[0])
    assert found.locking == "scsi-reservation"
    for quantity, truth in (("hold", 0.002), ("back-off", 0.02), ("commands per reservation", 4)):
        row = told(found, quantity)
        assert row["p5"] * 0.97 < truth < row["p95"] * 1.03
        assert row["p95"] / row["p5"] < 1.6
    assert told(found, "hold")["kind"] == told(found, "back-off")["kind"] == "measured"
    assert told(found, "commands per reservation")["kind"] == "derived"
    held = plain[1].hold_ns[~plain[1].failed].sum() / 1e9 / 1800
    assert told(found, "reserved fraction")["p50"] == pytest.approx(held, rel=0.05)
    row = found.luns.iloc[0]
    assert (row["device"], row["hosts"], row["minutes"]) == (NAA, 4, 30)
    assert row["reservations_per_s"] == pytest.approx((~plain[1].failed).sum() / 1800)
    assert re.fullmatch(
        r"LockEstimate\(scsi-reservation; hold 0\.002\d* s, back-off 0\.\d+ s, reserved fraction 0\.01\d+\)",
        repr(found),
    )


def test_through_the_csv_it_is_the_same(plain, tmp_path):
    one, other = lock_estimate(plain[0]), lock_estimate(read_counters(write(tmp_path, plain[0])))
    for quantity in ("hold", "back-off"):
        assert told(one, quantity)["p50"] == pytest.approx(told(other, quantity)["p50"], rel=0.02)


def test_overrides_make_a_scenario(plain):
    found = lock_estimate(plain[0])
    tables = found.overrides()
    assert tables["luns"]["locking"] == "scsi-reservation"
    assert set(tables["luns"]["locks"]) == {"hold", "backoff", "commands.scsi-reservation"}
    scenario = cs.load_scenario("windows-11-office", **tables)
    assert scenario.luns.locks["hold"] == pytest.approx(0.002, rel=0.05)
    assert scenario.luns.locks["commands.scsi-reservation"] == 4
    assert list(found.measured["key"]) == [
        "luns.locking",
        "luns.locks.hold",
        "luns.locks.backoff",
        "luns.locks.commands.scsi-reservation",
    ]
    assert list(found.measured["kind"]) == ["measured", "measured", "measured", "derived"]
    assert scenario.marks["luns.locks.hold"].startswith("measured: ")
    assert scenario.marks["luns.locks.commands.scsi-reservation"].startswith("derived: hold over DAVG")
    bare = found.overrides(locking=False)
    assert "locking" not in bare["luns"] and "luns.locking" not in bare["marks"]


def test_one_host_tells_only_the_product(plain):
    table = plain[0].devices
    lone = Counters(table[table["host"] == "esx01"], table.iloc[:0], "one")
    found = lock_estimate(lone)
    assert told(found, "hold")["kind"] == "prior"
    assert told(found, "hold")["shrinkage"] < 0.2
    run = plain[1]
    others = run.hold_ns[~run.failed & (run.host != 0)].sum() / 1e9 / 1800
    row = told(found, "reserved by others")
    assert row["p5"] < others < row["p95"]
    assert row["p95"] < 1.1 * row["p5"]
    assert "hold" not in found.overrides()["luns"].get("locks", {})
    assert any("show only as their product" in line for line in found.confounded)
    assert np.isnan(found.luns["reserved_fraction"].iloc[0])
    with_hosts = lock_estimate(lone, hosts=4)  # equal hosts: what is supposed is so
    assert told(with_hosts, "hold")["p5"] * 0.95 < 0.002 < told(with_hosts, "hold")["p95"] * 1.05
    assert any("hosts=4" in note for note in with_hosts.notes)


def test_twice_the_hold_at_half_the_rate_looks_alike_to_one_host():
    """The product is all that shows: two truths with the same product give one host the same counters."""
    found = []
    for hold, rate in ((0.004, 1.0), (0.002, 2.0)):
        table = simulate(3, hold_s=hold, rates=(0.05, rate, rate, rate), minutes=60)[0].devices
        lone = Counters(table[table["host"] == "esx01"], table.iloc[:0], "one")
        found.append(told(lock_estimate(lone), "reserved by others"))
    assert found[0]["p50"] == pytest.approx(found[1]["p50"], rel=0.05)


def test_back_off_is_not_told_by_conflicts_alone(plain):
    found = lock_estimate(plain[0], kernel=False)
    row = told(found, "back-off")
    assert row["kind"] == "prior"
    assert row["p5"] < 0.005 and row["p95"] > 0.05
    assert told(found, "hold")["kind"] == "measured"
    assert any(line.startswith("Back-off: while it is longer than a hold") for line in found.confounded)
    longer = lock_estimate(simulate(1, hold_s=0.002, backoff="80 ms", minutes=30)[0], kernel=False)
    assert told(longer, "hold")["p50"] == pytest.approx(told(found, "hold")["p50"], rel=0.04)


def test_back_off_shorter_than_a_hold_shows_in_locks_own_tries():
    made = simulate(4, hold_s=0.03, backoff="5 ms", rates=(0.5,) * 4, minutes=60)[0]
    found = lock_estimate(made, kernel=False, failed_are_tries=True)
    row = told(found, "back-off")
    assert row["kind"] == "measured"
    assert row["p5"] < 0.005 < row["p95"]


def test_ats_tells_the_product_of_hold_and_collision():
    hold, clusters, affinity = 0.002, 16, 0.5
    made = simulate(
        5, locking="ats", hold_s=hold, commands=1, rates=(15.0,) * 4, ats_clusters=clusters, ats_affinity=affinity
    )[0]
    found = lock_estimate(made, heartbeats=False)
    truth = (1 - affinity**2) / clusters
    row = told(found, "ATS hold x collision")
    assert found.locking == "ats-only"
    assert row["kind"] == "measured"
    assert row["p5"] < hold * truth < row["p95"]
    draws = np.log(found.draws)
    assert np.corrcoef(draws["ats_hold_s"], draws["collision"])[0, 1] < -0.6  # apart they are not told
    row = told(found, "ATS affinity")
    assert row["kind"] == "derived"
    assert row["p5"] < affinity < row["p95"]
    assert list(found.overrides()["luns"]["locks"]) == ["ats_affinity"]
    assert any(line.startswith("ATS: hold and the chance") for line in found.confounded)


def test_clusters_and_affinity_look_alike():
    """(1 - affinity^2) / locks is all that shows."""
    found = []
    for clusters, affinity in ((16, 0.0), (8, np.sqrt(0.5))):
        made = simulate(6, locking="ats", hold_s=0.002, commands=1, rates=(15.0,) * 4, ats_clusters=clusters,
                        ats_affinity=float(affinity))[0]  # fmt: skip
        found.append(told(lock_estimate(made, heartbeats=False), "ATS hold x collision"))
    assert found[0]["p5"] < found[1]["p50"] < found[0]["p95"]


def test_rare_miscompares_say_so():
    made = simulate(7, locking="ats", hold_s=0.0005, commands=1, rates=(0.05,) * 4, minutes=10)[0]
    found = lock_estimate(made, heartbeats=False)
    assert told(found, "ATS hold x collision")["kind"] == "prior"
    assert any("too few miscompares" in note for note in found.notes)
    assert found.overrides()["luns"] == {"locking": "ats-only"}


def test_heartbeats_are_taken_out():
    made = simulate(8, locking="ats", hold_s=0.01, commands=1, rates=(1.0,) * 4, heartbeats=1 / 3, minutes=60,
                    ats_affinity=0.0)[0]  # fmt: skip
    with_beats, without = lock_estimate(made, heartbeats=True), lock_estimate(made, heartbeats=False)
    truth = 0.01 / 16
    ratio = told(with_beats, "ATS hold x collision")["p50"] / told(without, "ATS hold x collision")["p50"]
    assert ratio == pytest.approx((4 / 3) ** 2, rel=0.1)
    assert told(with_beats, "ATS hold x collision")["p5"] < truth < told(with_beats, "ATS hold x collision")["p95"]
    assert any("are taken as heartbeats" in note for note in lock_estimate(made).notes)


@pytest.fixture(scope="module")
def grown():
    """Growth steps of one lock each and power-ons of ten, at rates that change."""
    rng = np.random.default_rng(9)
    seconds, parts, events = 3600, [], []
    for kind, locks, per_s in (("growth", 1, 2.0), ("power-on", 10, 0.05)):
        busy = rng.gamma(1.0, 1.0, seconds // 120)
        count = rng.poisson(np.repeat(busy, 120) * per_s)
        times = np.repeat(np.arange(seconds), count) + rng.random(count.sum())
        host = rng.integers(0, 4, times.size)
        events.append(pd.DataFrame({"at": times, "kind": kind}))
        parts.append(pd.DataFrame({"time_s": np.repeat(times, locks), "host": np.repeat(host, locks), "hold_s": 0.002}))
    requests = pd.concat(parts).sort_values("time_s", kind="stable").reset_index(drop=True)
    made = simulate(10, hold_s=0.002, requests=requests, minutes=60, rates=(1.0,) * 4)
    return made[0], pd.concat(events, ignore_index=True)


def test_locks_per_operation(grown):
    counters, events = grown
    events = events.assign(time=START + pd.to_timedelta(events["at"], unit="s"))
    events["steps"] = (events["kind"] == "growth").astype(int)
    events["power-on"] = (events["kind"] == "power-on").astype(int)
    found = lock_estimate(counters, operations=events[["time", "steps", "power-on"]])
    for quantity, truth, key in (
        ("locks per growth", 1, "locks_per_grow"),
        ("locks per power-on", 10, "locks_per_power_on"),
    ):
        row = told(found, quantity)
        assert row["kind"] == "measured"
        assert row["p5"] - 0.05 * truth < truth < row["p95"] + 0.05 * truth
        assert found.overrides()["luns"]["locks"][key] == truth
    alone = lock_estimate(counters, operations=events.loc[events["steps"] > 0, ["time"]])  # a row is a growth step
    row = told(alone, "locks per growth")
    assert row["p5"] < 1.2 and row["p95"] > 0.8  # power-ons are noise now


def test_trains_of_locks_leave_the_hold_alone(grown):
    """Ten locks in a row meet fewer reservations than the formula says; guests tell the hold all the same."""
    assert told(lock_estimate(grown[0]), "hold")["p50"] == pytest.approx(0.002, rel=0.06)


def test_growth_between_listings(grown):
    counters, events = grown
    steps = events.loc[events["kind"] == "growth", "at"].to_numpy()
    edges = np.arange(0, 3601, 300.0)
    sizes = np.searchsorted(steps[np.argsort(steps)], edges) * 16 * 2**20
    history = pd.DataFrame({"clone": "c", "date": START + pd.to_timedelta(edges, unit="s"), "bytes": sizes})
    table = growth_steps(history)
    assert table["steps"].to_list() == np.diff(sizes / (16 * 2**20)).tolist()
    found = lock_estimate(counters, operations=table)
    row = told(found, "locks per growth")
    assert row["p5"] < 1.3 and row["p95"] > 0.7


def test_a_refresh_between_listings_counts_what_grew_since():
    dates = pd.to_datetime(["2026-01-01", "2026-01-08", "2026-01-15"], utc=True)
    history = pd.DataFrame({"clone": ["a"] * 3 + ["b"] * 2, "date": [*dates, *dates[1:]],
                            "bytes": [2**30, 2**30 + 2**25, 2**26, 2**20, 2**24]})  # fmt: skip
    assert growth_steps(history)["steps"].to_list() == [2.0, 4.0 + 15 / 16]
    assert growth_steps(history, "32 MiB")["steps"].to_list() == [1.0, (4.0 + 15 / 16) / 2]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"clone": ["a"], "day": [1], "bytes": [1]}, "history.columns='clone, day, bytes': clone, date and bytes are "
         "needed; date is missing. Numbered days cannot be laid beside counters."),
        ({"clone": ["a"], "date": ["soon"], "bytes": [1]}, "ISO dates such as 2026-01-31T10:00Z are needed. Read the "
         "file with read_listing."),
    ],
)  # fmt: skip
def test_histories_that_cannot_be_used(columns, words):
    with pytest.raises(ParameterError) as caught:
        growth_steps(pd.DataFrame(columns))
    assert str(caught.value).endswith(words)


def test_clocks_that_are_off_are_seen():
    """Hosts lock and write in the same bursts; some seconds do not matter, minutes do, and longer stretches show it."""
    rng = np.random.default_rng(11)
    busy = np.repeat(rng.gamma(0.3, 1 / 0.3, 60), 60)
    times = moments(rng, 2.0, 3600, busy)
    requests = pd.DataFrame({"time_s": times, "host": rng.integers(0, 4, times.size), "hold_s": 0.002})
    made = simulate(12, requests=requests, minutes=60, busy=busy, io=(100.0,) * 4)[0]
    found = {}
    for seconds in (0, 5, 150):
        table = made.devices.copy()
        table.loc[table["host"].isin(["esx01", "esx02"]), "time"] += pd.Timedelta(seconds=seconds)
        found[seconds] = lock_estimate(Counters(table, table.iloc[:0], "x"), kernel=False)
    holds = {seconds: told(one, "hold")["p50"] for seconds, one in found.items()}
    assert holds[0] == pytest.approx(0.002, rel=0.05)
    assert holds[5] == pytest.approx(0.002, rel=0.15)
    assert holds[150] > 0.0026
    assert any("hosts lock and write in bursts, so clocks that are apart matter" in note for note in found[150].notes)


OPERATIONS = [
    ({"steps": [1]}, "operations.columns='steps': 'time', or 'start' and 'end' are needed. "
                     "growth_steps(listing.history) makes such a frame."),
    ({"time": [1]}, "operations.time='int64': dates with a time zone are needed. Turn them: pd.to_datetime(..., "
                    "utc=True)."),
    ({"time": [START], "steps": [-1]}, "operations.growth='-1': row 0 is no number from 0 up."),
    ({"start": [START], "end": [START]}, "operations.columns='start, end': numbers of operations are needed: steps or "
     "growth, power-on, power-off, vmotion, lock-break, snapshot-create, snapshot-delete, file-create, file-delete."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"device": "naa.9"}, f"device='naa.9': no such device was counted. Known are {NAA}."),
        ({}, {"hosts": 3}, f"hosts=3: {NAA} was counted by 4 hosts; allowed are whole numbers from there. Give the "
                           "number of all hosts that use the LUN."),
        ({}, {"distribution": "normal"}, "distribution='normal': allowed are 'uniform', 'exponential'."),
        ({}, {"bin_s": 1.0}, "bin_s=1.0: allowed are times from 5 s up, the longest sample."),
        ({"reservations_per_s": 0.0}, {}, "counters='1 devices': no reservation and no ATS was counted. Record RESV/s, "
                                          "CONS/s and ATS while desktops boot, grow or are refreshed."),
        ({"object": "nfs"}, {}, "counters='no block devices': counters of block devices are needed. NFS has no such "
                                "locks; save the screen of disk devices ('u')."),
        *(({}, {"operations": pd.DataFrame(columns)}, words) for columns, words in OPERATIONS),
    ],
)  # fmt: skip
def test_refusals(plain, change, options, words):
    table = plain[0].devices.assign(**change)
    with pytest.raises(ParameterError) as caught:
        lock_estimate(Counters(table, table.iloc[:0], "x"), **options)
    assert str(caught.value) == words


def test_too_few_stretches_say_what_is_missing(plain):
    events = pd.DataFrame({"start": [START], "end": [START + pd.Timedelta(minutes=30)], "steps": [5]})
    found = lock_estimate(plain[0], operations=events)
    assert any(note.startswith("Locks per operation are not told: 1 stretches") for note in found.notes)


def test_the_likelihood_of_counts_is_one_in_all():
    counts = np.arange(0, 4000)
    for mean, spread, error in ((3.0, 1.0, 0.0), (50.0, 3.0, 0.0), (200.0, 1.0, 0.2)):
        each = np.array([float(count_loglik(float(n), np.array(mean), spread, error)) for n in counts])
        mass = np.exp(each)
        assert mass.sum() == pytest.approx(1, abs=1e-6)
        assert mass @ counts == pytest.approx(mean, rel=1e-4)
        assert mass @ counts**2 - mean**2 == pytest.approx(spread * mean + (error * mean) ** 2, rel=1e-3)


def test_tries_until_a_reservation_is_over():
    rng = np.random.default_rng(12)
    for hold, backoff in ((0.02, 0.004), (0.01, 0.02)):
        left = rng.random(40_000) * hold
        count = np.ones(left.size)
        for _ in range(200):
            left -= rng.random(left.size) * 2 * backoff
            count += left > 0
        assert float(retries(np.array(hold), np.array(backoff), "uniform")) == pytest.approx(count.mean(), rel=0.03)


def test_scatter_beyond_chance():
    rng = np.random.default_rng(13)
    weights = rng.random(40) * 100
    assert scatter(rng.poisson(weights).astype(float), weights) == 1.0
    assert scatter(rng.poisson(weights * rng.gamma(3, 1 / 3, 40)).astype(float), weights) > 5


def test_intervals_hold_the_truth_as_often_as_they_say():
    """A light version of benchmarks/bench_lock_counters.py, on other seeds."""
    ranks = {"hold_s": [], "backoff_s": []}
    for seed in range(40):
        rng = np.random.default_rng([1, seed])
        hold, backoff = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in ((1e-4, 0.1), (1e-3, 0.1)))
        hosts = int(rng.integers(2, 6))
        load = float(np.exp(rng.uniform(np.log(0.001), np.log(0.15))))
        rates = (min(load / hold / hosts, 15.0),) * hosts
        made = simulate(seed, hold_s=hold, rates=rates, io=(80.0,) * hosts, minutes=12, backoff=backoff, tries=1000)[0]
        draws = lock_estimate(made, seed=seed).draws
        for name, truth in (("hold_s", hold), ("backoff_s", backoff)):
            ranks[name].append(float((draws[name] < truth).mean()))
    for values in ranks.values():
        held = np.mean([0.05 <= rank <= 0.95 for rank in values])
        assert 0.775 <= held <= 0.99  # 36 of 40 wanted; 31 to 39 of a binomial's 99 %
        assert chisquare(np.histogram(values, np.linspace(0, 1, 6))[0]).pvalue > 0.001
