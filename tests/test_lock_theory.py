"""The FIFO lock and queueing theory judge each other; the closed forms are checked against independent arithmetic.

A run starts with a workload drawn from the stationary law, so every wait in it is stationary: neither its mean nor the
share of waits above a quantile has a bias. What is left is chance, and Student's interval over the replications bounds
it: by Bonferroni each check gets 1 % / number of checks, so that all of them hold together with 99 %.
"""

from decimal import Decimal, getcontext
from math import factorial

import numpy as np
import pytest
from scipy import stats

from clonesim.errors import ParameterError
from clonesim.lun import lock_model
from clonesim.lun.locks import lock_waits
from clonesim.lun.queueing import md1_wait, mg1_wait, mm1_wait, pointwise_stationary, retrial_wait
from clonesim.lun.wait_laws import compound, md1_tail

SECOND = 10**9
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
MIXED, SHARES = np.array([0.5, 5.5]), np.array([0.9, 0.1])  # mean 1, variance 2.25
LAWS = {
    "M/M/1": (mm1_wait, lambda rng, n: rng.exponential(1.0, n), lambda rng, n: rng.exponential(1.0, n)),
    "M/D/1": (md1_wait, lambda rng, n: np.ones(n), lambda rng, n: rng.random(n)),
    "M/G/1": (
        lambda rate, hold_s: mg1_wait(rate, MIXED, SHARES),
        lambda rng, n: rng.choice(MIXED, n, p=SHARES),
        lambda rng, n: rng.choice(MIXED, n, p=MIXED * SHARES) * rng.random(n),  # a residual: by length, times a uniform
    ),
}
CHECKS = 2 * len(LAWS) * len(LOADS)
RUNS = 40


def stationary_waits(rng, load, n, holds, residuals):
    """Waits of n requests of a queue that has always been there. [s]"""
    backlog = residuals(rng, rng.geometric(1 - load) - 1).sum()
    gaps = rng.exponential(1 / load, n)
    times = np.concatenate([[0], np.rint(np.cumsum(gaps) * SECOND)]).astype(np.int64)
    hold = np.concatenate([[backlog], holds(rng, n)])
    waits, _, _ = lock_waits(times, np.zeros(n + 1, np.int64), np.rint(hold * SECOND).astype(np.int64))
    return waits[1:] / SECOND


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("load", LOADS)
def test_waits_agree_with_theory(law, load):
    theory, holds, residuals = LAWS[law]
    told = theory(load, 1.0)
    rng = np.random.default_rng([7, LOADS.index(load), list(LAWS).index(law)])
    n = 400_000 if load > 0.8 else 100_000
    runs = [stationary_waits(rng, load, n, holds, residuals) for _ in range(RUNS)]
    most = stats.t.ppf(1 - 0.01 / (2 * CHECKS), RUNS - 1)
    means = np.array([run.mean() for run in runs])
    above = np.array([(run > told.quantile_s).mean() for run in runs])
    for what, values, expected, sharp in (("mean", means, told.mean_s, 0.08), ("p99", above, 0.01, 0.4)):
        error = values.std(ddof=1) / np.sqrt(RUNS)
        assert most * error < sharp * expected, f"the check of the {what} is too blunt: {error:.3g} at {expected:.3g}"
        away = abs(values.mean() - expected) / error
        assert away < most, f"{what}: {values.mean():.5g} +- {error:.2g}, theory {expected:.5g}"


@pytest.mark.parametrize("load", [0.3, 0.8])
def test_the_tolerance_is_as_wide_as_theory_says(load):
    """Variance of a mean of n waits in M/M/1: D. J. Daley, J. Austral. Math. Soc. 8, 1968; chi-square at 99 %."""
    rng, n, runs = np.random.default_rng(3), 50_000, 200
    draw = LAWS["M/M/1"][1]
    means = [stationary_waits(rng, load, n, draw, draw).mean() for _ in range(runs)]
    theory = load * (2 + 5 * load - 4 * load**2 + load**3) / (1 - load) ** 4 / n
    low, high = stats.chi2.ppf([0.005, 0.995], runs - 1) / (runs - 1)
    assert low < np.var(means, ddof=1) / theory < high


def erlang_md1_tail(load, t):
    """P(wait > t) in M/D/1 by Erlang's alternating sum, in 120 digits. [t in holds]"""
    getcontext().prec = 120
    rho, t = Decimal(str(load)), Decimal(str(t))
    terms = [
        (Decimal(1) if k == 0 else (rho * (k - t)) ** k) / factorial(k) * (-rho * (k - t)).exp()
        for k in range(int(t) + 1)
    ]
    return float(1 - (1 - rho) * sum(terms))


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("t", ["0.0", "0.4", "1.0", "3.7", "12.5", "45.25"])
def test_md1_tail_is_erlangs(load, t):
    assert md1_tail(load)(float(t)) == pytest.approx(erlang_md1_tail(load, t), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("load", LOADS)
def test_md1_quantile_is_where_the_tail_is(load):
    told = md1_wait(load * 2000, 0.0005)
    assert erlang_md1_tail(load, told.quantile_s / 0.0005) == pytest.approx(0.01, rel=1e-6)
    assert told.mean_s == pytest.approx(0.0005 * load / (2 * (1 - load)), rel=1e-12)


@pytest.mark.parametrize("load", [0.02, *LOADS, 0.99])
def test_mg1_has_the_others_as_special_cases(load):
    for share in (0.95, 0.99, 0.999):
        constant, told = md1_wait(load, 1.0, share), mg1_wait(load, [1.0], None, share)
        assert told.mean_s == pytest.approx(constant.mean_s, rel=1e-12)
        assert told.quantile_s == pytest.approx(constant.quantile_s, rel=1e-4, abs=1e-6)
    steps = stats.expon.ppf((np.arange(4000) + 0.5) / 4000)  # exponential holds, in 4,000 steps of equal weight
    exponential, told = mm1_wait(load, 1.0), mg1_wait(load, steps / steps.mean())
    assert told.mean_s == pytest.approx(exponential.mean_s, rel=3e-3)
    assert told.quantile_s == pytest.approx(exponential.quantile_s, rel=3e-3)


@pytest.mark.parametrize("load", [0.3, 0.9])
def test_the_mg1_grid_keeps_the_mean(load):
    step, mass = compound(load, load, MIXED, SHARES)
    assert mass.sum() == pytest.approx(1.0, abs=1e-9)
    assert step * np.arange(mass.size) @ mass == pytest.approx(mg1_wait(load, MIXED, SHARES).mean_s, rel=1e-6)


@pytest.mark.parametrize(
    ("hosts", "load", "backoff_ms", "distribution", "within"),
    [
        (8, 0.05, 20, "uniform", 0.07),
        (8, 0.5, 20, "uniform", 0.07),
        (8, 0.9, 20, "exponential", 0.07),
        (32, 0.2, 100, "uniform", 0.07),
        (32, 0.7, 20, "uniform", 0.07),
        (32, 0.9, 20, "exponential", 0.07),
        (2, 0.1, 20, "uniform", 0.1),
        (2, 0.5, 20, "uniform", 0.6),
        (8, 0.3, 0.25, "uniform", 0.1),
    ],
)
def test_the_fixed_point_is_as_good_as_it_says(hosts, load, backoff_ms, distribution, within):
    rng, n, hold_ns = np.random.default_rng(11), 1_500_000, 500_000
    model = lock_model("scsi-reservation", tries=1000, backoff_distribution=distribution)
    object.__setattr__(model, "backoff_ns", round(backoff_ms * 1e6))
    times = np.cumsum(rng.exponential(hold_ns / load, n)).astype(np.int64)
    waits, retries, failed = lock_waits(times, rng.integers(0, hosts, n), np.full(n, hold_ns), model, hosts)
    assert not failed.any()
    told = retrial_wait(np.full(hosts, load / 0.0005 / hosts), 0.0005, backoff_ms / 1000, distribution)
    assert told.load == pytest.approx(load)
    noise = 4 * np.array([part.mean() for part in np.array_split(waits, 30)]).std(ddof=1) / np.sqrt(30) / waits.mean()
    assert told.mean_s * SECOND / waits.mean() == pytest.approx(1, abs=within + noise)
    assert noise < 0.08
    assert told.retries.mean() / retries.mean() == pytest.approx(1, abs=within + noise)


def test_the_fixed_point_has_limits_it_must_meet():
    alone = retrial_wait([1000.0], 0.0005, 0.02)
    assert alone.mean_s == pytest.approx(md1_wait(1000.0, 0.0005).mean_s, rel=1e-12)
    assert alone.retries.tolist() == [0.0]
    quiet = retrial_wait([1.0, 0.0, 1000.0], [0.0002, 0.0008], 0.02)
    assert quiet.conflict[2] < 0.01 < quiet.conflict[0]
    assert quiet.wait_s[0] > 10 * quiet.wait_s[2]


def test_the_pointwise_approximation_follows_a_slow_day():
    rates = 2000 * (0.45 + 0.4 * np.sin(2 * np.pi * np.arange(24) / 24))
    told = pointwise_stationary(rates, 0.0005, 3600.0)
    assert told.valid
    assert told.mean_s == pytest.approx(rates @ [md1_wait(r, 0.0005).mean_s for r in rates] / rates.sum())
    rng, means, above = np.random.default_rng(2), [], []
    for _ in range(20):  # days of 24 x 100 s: still 1,000 times the relaxation
        counts = rng.poisson(rates * 100)
        times = np.sort(np.concatenate([rng.uniform(100 * k, 100 * k + 100, c) for k, c in enumerate(counts)]))
        asked = np.rint(times * SECOND).astype(np.int64)
        waits, _, _ = lock_waits(asked, np.zeros(asked.size, np.int64), np.full(asked.size, 500_000))
        means.append(waits.mean() / SECOND)
        above.append((waits / SECOND > told.quantile_s).mean())
    assert np.mean(means) == pytest.approx(told.mean_s, rel=0.01)
    assert np.mean(above) == pytest.approx(0.01, rel=0.05)
    fast = pointwise_stationary(rates, 0.0005, 0.2)
    assert not fast.valid
    assert fast.mean_s == told.mean_s


def test_a_constant_load_is_its_own_approximation():
    for law, wait in (("md1", md1_wait), ("mm1", mm1_wait)):
        told, alone = pointwise_stationary([1200.0] * 5, 0.0005, 3600.0, law), wait(1200.0, 0.0005)
        assert told.mean_s == pytest.approx(alone.mean_s)
        assert told.quantile_s == pytest.approx(alone.quantile_s, rel=1e-9)
    idle = pointwise_stationary([0.0, 1.0], 0.0005, 3600.0)
    assert idle.quantile_s == 0.0


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: mm1_wait(0.0, 1.0), r"^rate=0\.0: a number above 0 is needed\.$"),
        (lambda: mm1_wait(1.0, -1.0), r"^hold_s=-1\.0: a number above 0 is needed\.$"),
        (
            lambda: md1_wait(2000.0, 0.0005),
            r"^rate=2000\.0: a load of 1 has no stationary wait\. Simulate it with lock_queue\.$",
        ),
        (
            lambda: md1_wait(0.9995, 1.0),
            r"^rate=0\.9995: a load of 0\.9995 is above 0\.999\. Simulate it with lock_queue\.$",
        ),
        (lambda: md1_wait(0.5, 1.0, 1.0), r"^share=1\.0: allowed are shares between 0 and 1, both excluded\.$"),
        (lambda: mg1_wait(0.5, [1.0, 0.0]), r"^holds_s=\[1\.0, 0\.0\]: holds above 0 s are needed\.$"),
        (lambda: mg1_wait(0.5, [1.0], [0]), r"^weights=\[0\]: a weight of 0 or more per hold is needed, not all 0\.$"),
        (
            lambda: retrial_wait([0.0], 1.0, 1.0),
            r"^rates=\[0\.0\]: a rate of 0 /s or more per host is needed, not all 0\.$",
        ),
        (lambda: retrial_wait([0.1], 1.0, 0.0), r"^backoff_s=0\.0: a time above 0 s is needed\.$"),
        (
            lambda: retrial_wait([0.1], 1.0, 1.0, "gamma"),
            r"^distribution='gamma': allowed are 'uniform', 'exponential'\.$",
        ),
        (
            lambda: retrial_wait([0.4, 0.4], 1.0, 10.0, tries=3),
            r"^tries=3: 0\.\d+ of the conflicts would fail, which this model does not know\.$",
        ),
        (lambda: pointwise_stationary([1.0], 0.1, 1.0, "mg1"), r"^law='mg1': allowed are 'md1', 'mm1'\.$"),
        (lambda: pointwise_stationary([1.0], 0.1, 0.0), r"^interval_s=0\.0: a time above 0 s is needed\.$"),
        (
            lambda: pointwise_stationary([0.0], 0.1, 1.0),
            r"^rates=\[0\.0\]: a rate of 0 /s or more per interval is needed, not all 0\.$",
        ),
        (
            lambda: pointwise_stationary([1.0, 20.0], 0.1, 1.0),
            r"^rate=20\.0: a load of 2 has no stationary wait\. Simulate it with lock_queue\.$",
        ),
    ],
)
def test_bad_questions_are_refused(ask, message):
    with pytest.raises(ParameterError, match=message):
        ask()
