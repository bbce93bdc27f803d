"""Locks and arrays: closed forms of queueing theory, and SimPy request by request."""

from __future__ import annotations

from fractions import Fraction
from math import log

import numpy as np

from clonesim.lun.lock_model import LOCKINGS, lock_model
from clonesim.lun.locks import lock_waits

from .entry import AbsentError, Chapter, Figure, told, zero

LOCKS = Chapter("Locks")
ARRAYS = Chapter("Array and storms")
MS = 1_000_000  # ns
HOSTS = 6
PLACES = 10_000  # in an array: no bound


def _simpy() -> None:
    try:
        import simpy  # noqa: F401
    except ImportError:
        raise AbsentError("not installed: SimPy (extra test)") from None


@LOCKS.check(
    "lock-fifo",
    "Every wait of a lock that is served first come, first served is SimPy's, to the nanosecond.",
    "SimPy's own Resource with whole nanoseconds as its clock: loads of 0.3, 0.9 and 1.5, with ties",
    tests=("test_locks.py",),
    cheap=True,
)
def lock_fifo() -> list[Figure]:
    """Waits that differ."""
    _simpy()
    from test_locks import simpy_waits

    wrong = looked = 0
    for number, load in enumerate((0.3, 0.9, 1.5)):
        rng = np.random.default_rng([21, number])
        times = np.sort(rng.integers(0, int(2000 * MS / 2 / load), 2000))
        times[100:110] = times[100]
        holds = rng.integers(1, MS, 2000)
        waits, _, _ = lock_waits(times, np.zeros(2000, np.int64), holds)
        wrong += int((waits != np.array(simpy_waits(times.tolist(), holds.tolist()))).sum())
        looked += waits.size
    return [told("waits", looked), zero("waits that differ", wrong)]


@LOCKS.check(
    "lock-contended",
    "Reservations and ATS locks with tries and back-off: every wait, number of retries and failure is that of a model "
    "written in SimPy.",
    "SimPy, a process per host, the rules written down anew; only the draws of back-offs are shared, and those "
    "have a twin of their own",
    tests=("test_locks_contended.py",),
    cheap=True,
)
def lock_contended() -> list[Figure]:
    """Rows that differ."""
    _simpy()
    from reference_locks import simpy_locks

    wrong = looked = retried = 0
    for number, name in enumerate(one for one in LOCKINGS if one != "fifo"):
        for turn, (load, distribution) in enumerate(((0.8, "uniform"), (1.5, "exponential"))):
            rng = np.random.default_rng([22, number, turn])
            n = 2000
            times = np.sort(rng.integers(0, int(n * MS / 2 / load), n))
            times[200:230] = times[200]
            holds, host = rng.integers(1, MS, n), rng.integers(0, HOSTS, n)
            model = _model(name, backoff_distribution=distribution)
            found = lock_waits(times, host, holds, model, HOSTS)
            right = simpy_locks(times.tolist(), host.tolist(), holds.tolist(), HOSTS, model)
            pairs = zip(found, right, strict=False)
            wrong += int(np.any([mine != np.array(theirs) for mine, theirs in pairs], axis=0).sum())
            looked, retried = looked + n, retried + int(found[1].sum())
    return [
        told("requests", looked),
        Figure("retries among them", retried, low=1000, again=0.0),
        zero("requests whose wait, retries or failure differ", wrong),
    ]


def _model(name: str, **more: object) -> object:
    more = {"tries": 6, "backoff": "1 ms", "seed": 3} | more
    if name != "scsi-reservation":
        more |= {"ats_clusters": 3, "ats_affinity": 0.5}
    return lock_model(name, **(more | ({"ats_fallback_after": 2} if name == "ats+scsi" else {})))


@LOCKS.check(
    "lock-closed",
    "The same where a clone waits for its own lock before it asks again, and clones move from host to host.",
    "SimPy, a process per host and per clone",
    tests=("test_locks_closed.py",),
    cheap=True,
)
def lock_closed() -> list[Figure]:
    """Rows that differ."""
    _simpy()
    from reference_closed import simpy_closed
    from test_locks_closed import a_model, some_requests

    from clonesim.lun.lock_run import closed_waits

    wrong = looked = 0
    for number, name in enumerate(LOCKINGS):
        columns = some_requests(n=1500, load=1.2, seed=30 + number)
        model = a_model(name)
        mine = closed_waits(*columns, model, HOSTS)
        right = simpy_closed(*(column.tolist() for column in columns), HOSTS, model)
        names = ("asked_ns", "wait_ns", "retries", "failed")
        pairs = [(getattr(mine, one), theirs) for one, theirs in zip(names, right, strict=False)]
        wrong += int(np.any([one != np.array(other, one.dtype) for one, other in pairs], axis=0).sum())
        looked += columns[0].size
    return [told("requests", looked), zero("requests that differ", wrong)]


@LOCKS.check(
    "lock-theory",
    "Means and 99th percentiles of simulated waits are those of queueing theory.",
    "M/M/1, M/D/1 and M/G/1 at seven loads from 0.1 to 0.95: 42 figures, each with Student's interval over 40 "
    "stationary runs, so wide that all hold together with 99 %",
    tests=("test_lock_theory.py",),
)
def lock_theory() -> list[Figure]:
    """Largest of 42 t values, beside what it may be."""
    from scipy import stats
    from test_lock_theory import CHECKS, LAWS, LOADS, RUNS, stationary_waits

    away, off, wide = [], [], []
    for code, (theory, holds, residuals) in enumerate(LAWS.values()):
        for number, load in enumerate(LOADS):
            right = theory(load, 1.0)
            rng = np.random.default_rng([7, number, code])
            n = 400_000 if load > 0.8 else 100_000
            runs = [stationary_waits(rng, load, n, holds, residuals) for _ in range(RUNS)]
            means = np.array([run.mean() for run in runs])
            above = np.array([(run > right.quantile_s).mean() for run in runs])
            for values, expected in ((means, right.mean_s), (above, 0.01)):
                error = values.std(ddof=1) / np.sqrt(RUNS)
                away.append(abs(values.mean() - expected) / error)
            off.append(100 * abs(means.mean() / right.mean_s - 1))
            wide.append(100 * means.std(ddof=1) / np.sqrt(RUNS) / right.mean_s)
    most = float(stats.t.ppf(1 - 0.01 / (2 * CHECKS), RUNS - 1))
    return [
        told("figures", len(away)),
        Figure("largest distance from theory, in standard errors", max(away), "", high=most, digits=2),
        Figure("largest distance of a mean from theory", max(off), "%", high=5.0, digits=2),
        Figure("largest standard error of a mean", max(wide), "%", high=2.0, digits=2),
    ]


@LOCKS.check(
    "md1-tail",
    "The probability that a wait in M/D/1 is longer than some time is Erlang's.",
    "Erlang's alternating sum in 120 decimal digits, seven loads and six times",
    tests=("test_lock_theory.py",),
    cheap=True,
)
def md1_tail_check() -> list[Figure]:
    """Largest difference of probabilities."""
    from test_lock_theory import LOADS, erlang_md1_tail

    from clonesim.lun.wait_laws import md1_tail

    times = ("0.0", "0.4", "1.0", "3.7", "12.5", "45.25")
    off = [abs(md1_tail(load)(float(t)) - erlang_md1_tail(load, t)) for load in LOADS for t in times]
    return [told("probabilities", len(off)), Figure("largest difference", max(off), high=1e-8, digits=9, again=None)]


@ARRAYS.check(
    "array-theory",
    "An array below saturation answers as so many queues M/M/1 or M/M/c.",
    "textbook formulas: one channel a disk at five loads; 2, 4 and 20 channels at four loads",
    tests=("test_array_latency.py",),
    cheap=True,
)
def array_theory() -> list[Figure]:
    """Largest relative errors of means and 95th percentiles."""
    from test_array_latency import bare, mmc

    from clonesim.lun.device import latency

    mean, p95 = [], []
    for load in (0.05, 0.3, 0.7, 0.9, 0.99):
        answer = latency(bare(7), load * 700, 0.0, PLACES)
        right = 0.010 / (1 - load)
        mean.append(abs(answer.mean_s[0] / right - 1))
        p95.append(abs(answer.p95_s[0] / (right * log(20)) - 1))
    for channels in (2, 4, 20):
        for load in (0.1, 0.5, 0.8, 0.95):
            answer = latency(bare(3, channels=channels), 3 * load * channels * 100, 0.0, PLACES)
            mean.append(abs(answer.mean_s[0] / mmc(channels, load, 0.010)[1] - 1))
    return [
        told("cases", len(mean)),
        Figure("largest relative error of a mean", 100 * max(mean), "%", high=0.01, digits=4, again=None),
        Figure("largest relative error of a 95th percentile", 100 * max(p95), "%", high=0.1, digits=3, again=None),
    ]


@ARRAYS.check(
    "array-buzen",
    "A full array does what a closed network of queues does.",
    "Buzen's convolution in exact fractions: 1 to 12 disks, 1 to 4 channels, 1 to 32 commands",
    tests=("test_array_latency.py",),
    cheap=True,
)
def array_buzen() -> list[Figure]:
    """Largest relative error of the throughput."""
    from test_array_latency import buzen

    from clonesim.lun.response_laws import closed_share

    cases = [(disks, channels, n) for disks in (1, 2, 5, 12) for channels in (1, 2, 4) for n in (1, 2, 7, 32)]
    off = [abs(closed_share(*case) / buzen(*case) - 1) for case in cases]
    return [told("networks", len(cases)), Figure("largest relative error", max(off), high=1e-9, digits=10, again=None)]


@ARRAYS.check(
    "array-open",
    "Mean and 95th percentile of an open array's answers: reads, and reads with writes on RAID 10, 5 and 6 "
    "without a cache.",
    "SimPy, command by command, disk by disk: 30,000 to 40,000 commands each",
    tests=("test_array_simpy.py",),
    note="The slowest of several disks is taken as if they were independent, which errs a little high.",
)
def array_open() -> list[Figure]:
    """Largest relative errors."""
    _simpy()
    from test_array_simpy import SERVICE, array_of, simulated

    from clonesim.lun.device import latency

    mean, p95 = [], []
    for channels, load in ((1, 0.5), (3, 0.7)):
        array, rate = array_of(6, channels=channels), load * 6 * channels / SERVICE
        took, _ = simulated(array, rate, 40_000)
        answer = latency(array, rate, 0.0, 10**6)
        mean.append(100 * (answer.mean_s[0] / took.mean() - 1))
        p95.append(100 * (answer.p95_s[0] / np.quantile(took, 0.95) - 1))
    for raid in ("raid-10", "raid-5", "raid-6"):
        array = array_of(12, raid)
        rate = 0.5 * 12 / SERVICE / float(array.backend(0.5, 0.5))
        took, _ = simulated(array, rate, 30_000, read_share=0.5)
        answer = latency(array, rate / 2, rate / 2, 10**6)
        mean.append(100 * (answer.mean_s[0] / took.mean() - 1))
        p95.append(100 * (answer.p95_s[0] / np.quantile(took, 0.95) - 1))
    return [
        Figure("error of a mean, lowest", min(mean), "%", -5, 5, 1),
        Figure("error of a mean, highest", max(mean), "%", -5, 5, 1),
        Figure("error of a 95th percentile, lowest", min(p95), "%", -5, 5, 1),
        Figure("error of a 95th percentile, highest", max(p95), "%", -5, 5, 1),
    ]


@ARRAYS.check(
    "array-full",
    "An array that is asked for 1.5 times what it can do: how fast it then is, and how long a command takes.",
    "SimPy with a bounded number of places, four arrays, 30,000 commands each",
    tests=("test_array_simpy.py",),
)
def array_full() -> list[Figure]:
    """Largest relative errors."""
    _simpy()
    from test_array_simpy import array_of, simulated

    from clonesim.lun.device import latency

    rate_off, mean_off, p95_off = [], [], []
    for disks, channels, places in ((1, 1, 16), (8, 1, 16), (8, 1, 64), (4, 4, 24)):
        array = array_of(disks, channels=channels)
        most = array.capacity_iops(1.0, outstanding=places)
        took, end = simulated(array, 1.5 * most, 30_000, places=places)
        answer = latency(array, 1.5 * most, 0.0, places)
        rate_off.append(100 * abs(30_000 / end / most - 1))
        mean_off.append(100 * abs(took.mean() / answer.mean_s[0] - 1))
        p95_off.append(100 * abs(np.quantile(took, 0.95) / answer.p95_s[0] - 1))
    return [
        Figure("largest error of the throughput", max(rate_off), "%", high=2, digits=1),
        Figure("largest error of the mean", max(mean_off), "%", high=2, digits=1),
        Figure("largest error of the 95th percentile", max(p95_off), "%", high=8, digits=1),
    ]


@ARRAYS.check(
    "array-between",
    "Near saturation, where places run out at times, the formula is a bound and no more.",
    "SimPy: 8 disks, 32 places, loads of 0.5, 0.8 and 0.95 of what they can do",
    tests=("test_array_simpy.py",),
    note=(
        "Those inside are faster than in the open queue, so the formula errs high here: by up to 15 % within the bound."
    ),
)
def array_between() -> list[Figure]:
    """Simulated over told."""
    _simpy()
    from test_array_simpy import array_of, simulated

    from clonesim.lun.device import latency

    ratio = []
    for load in (0.5, 0.8, 0.95):
        array, places = array_of(8), 32
        rate = load * array.capacity_iops(1.0, outstanding=places)
        took, _ = simulated(array, rate, 30_000, places=places)
        ratio.append(took.mean() / latency(array, rate, 0.0, places).mean_s[0])
    return [
        Figure("simulated mean over the formula's, lowest", min(ratio), low=0.85, high=1.05, digits=2),
        Figure("simulated mean over the formula's, highest", max(ratio), low=0.85, high=1.05, digits=2),
    ]


@ARRAYS.check(
    "storm-work",
    "When each desktop of a storm begins and ends, with few at a time and an array that is shared fairly.",
    "exact fractions, one event after the other, and a resource of SimPy",
    tests=("test_storm_work.py",),
    cheap=True,
)
def storm_work() -> list[Figure]:
    """Largest differences of times."""
    import reference_work

    from clonesim.pool.storm_work import serve_work

    rng, off, desktops = np.random.default_rng(23), 0.0, 0
    for turn in range(60):
        n = int(rng.integers(1, 12))
        ends = ((0, 31), (0, 3), (0, 201), (1, 21), (0, 91), (1, 10))
        columns = [rng.integers(low, high, n) for low, high in ends]
        at_a_time, capacity = (None if turn % 3 == 0 else int(rng.integers(1, 5))), int(rng.integers(1, 61))
        ready, lane, ios, shortest, then_ios, then_shortest = columns
        found = serve_work(
            ready, ios, shortest, at_a_time, capacity, lane=lane, then_ios=then_ios, then_shortest_s=then_shortest
        )
        jobs = [tuple(int(value) for value in row) for row in zip(*columns, strict=True)]
        right, _ = reference_work.work(jobs, at_a_time, Fraction(capacity))
        pairs = zip((found.start_s, found.end_s, found.then_s), zip(*right, strict=True), strict=True)
        off = max(off, *(float(np.abs(one - np.array([float(x) for x in other])).max()) for one, other in pairs))
        desktops += n
    return [told("desktops", desktops), Figure("largest difference", off, "s", high=1e-6, digits=7, again=None)]


@ARRAYS.check(
    "storm-fluid",
    "A burst of 20,000 reads at once is over when the array's work by the minute says so.",
    "SimPy: 8 disks of 100 reads a second, 32 places, and the closed form 20,000 / (800 x 32 / 39) s",
    tests=("test_array_simpy.py",),
)
def storm_fluid() -> list[Figure]:
    """Relative errors against both."""
    _simpy()
    from test_array_simpy import array_of, simulated

    from clonesim.lun.serving import serve_minutes

    _, end = simulated(array_of(8), 0, 20_000, places=32)
    busy = serve_minutes(np.array([20_000, 0]), np.array([0, 0]), array_of(8), 32).utilisation.sum() * 60
    exact = 20_000 / (800 * 32 / 39)
    return [
        Figure("against the closed form", 100 * abs(busy / exact - 1), "%", high=1e-6, digits=7, again=None),
        Figure("against SimPy", 100 * abs(busy / end - 1), "%", high=3, digits=2),
    ]
