"""What is concluded from measurements where the truth is known: its ranks, and how often intervals hold it."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .entry import Chapter, Figure, told

CHAPTER = Chapter(
    "Calibration, probe, counters, risk",
    "The truth is drawn as the method supposes, data are simulated from it, and the rank of the truth in what is "
    "concluded is kept. Over many repetitions ranks are uniform if the conclusions are right; ten classes are "
    "shown, and a chi-square above 27.9 (0.999, 9 degrees of freedom) is wrong. That tests methods where the "
    "simulation is right, and no real site.",
)
WRONG = float(stats.chi2.ppf(0.999, 9))
POOLS = 40
SEEDS = 60


def ranks_figure(what: str, ranks: np.ndarray | list[float], again: float | None = 0.02) -> Figure:
    """Chi-square of ten classes of ranks from 0 to 1, with the classes."""
    counts = np.histogram(np.asarray(ranks), 10, (0, 1))[0]
    return _chi_square(what, counts.tolist(), again)


def _chi_square(what: str, counts: list[int], again: float | None = 0.02) -> Figure:
    value = float(stats.chisquare(counts).statistic)
    return Figure(f"{what}: chi-square of its ranks", value, "", 0, WRONG, 1, again, tuple(counts))


@CHAPTER.check(
    "calibration-formulas",
    "Calibration on pools whose growth follows known formulas: ranks of policy, scale and spread.",
    "150 drawn truths, each with a design of its own, so that nothing is shared",
    tests=("test_calibration_posterior.py",),
)
def calibration_formulas() -> list[Figure]:
    """Chi-squares of three ranks."""
    from calibration_tools import design, made
    from test_calibration_posterior import NEAR, looks

    from clonesim.planning.calibration_posterior import posterior_of

    rng, ranks = np.random.default_rng(41), []
    for number in range(150):
        given = design(clones=20, days=30, saturates=NEAR, seed=3000 + number)
        policies, place = given.prior.draw(1, rng)
        value = given.prior.at(place)[:, 0]
        size = made(int(policies[0]), *value, 12, 30, rng, NEAR)
        known = posterior_of(given, looks(size, [7, 21]), number)
        ranks.append(known.rank(int(policies[0]), place[:, 0], rng.random()))
    names = ("policy", "scale", "spread")
    return [ranks_figure(name, np.array(column)) for name, column in zip(names, np.transpose(ranks), strict=True)]


@CHAPTER.check(
    "calibration-pools",
    "The same on pools that are simulated block by block: sizes after one, two and four weeks, a week to foretell.",
    f"{POOLS} pools of 30 clones with drawn policy, scale and spread; two designs of other seeds in turn",
    tests=("test_calibrate.py",),
    note="100 pools are told of in [calibration](calibration.md#how-good).",
)
def calibration_pools() -> list[Figure]:
    """Chi-squares of three ranks, and coverage of forecasts."""
    from bench_calibrate import run

    found, _ = run("windows-7-office", POOLS, 30, 23)
    ranks = [_chi_square(name, found[name]["counts"]) for name in ("policy", "scale", "spread")]
    return [
        *ranks,
        Figure("pools within their 90 % interval, a week ahead", 100 * found["covered_pool"], "%", 76, 100, again=0.05),
        Figure(
            "clones within their 90 % interval, a week ahead", 100 * found["covered_clone"], "%", 83, 100, again=0.05
        ),
    ]


@CHAPTER.check(
    "probe",
    "A simulated probe names the policy that its guest follows.",
    "probes of six policies at drawn sites (self-contained form), fitted against other simulations of the same sites",
    tests=("test_probe.py",),
    note="Simulated guests: this shows that the probe tells the six apart, not that a Windows follows one of them.",
)
def probe() -> list[Figure]:
    """Shares that are right, and ranks of the truth."""
    from bench_probe import run

    from clonesim.planning.probe import TRIED

    found = run("self-contained", TRIED, 60, 100, 3)
    right, wrong = list(found["right"].values()), list(found["named_wrong"].values())
    return [
        told("probes of each policy", found["probes"]),
        Figure("right policy named, the policy for which it is least often", 100 * min(right), "%", 90, 100, 1, 0.02),
        Figure("wrong policy named, the policy for which it is most often", 100 * max(wrong), "%", 0, 5, 1, 0.02),
        _chi_square("policy", found["rank_counts"]),
    ]


@CHAPTER.check(
    "counters",
    "Intervals of hold and back-off from hosts' counters hold the truth as often as they say.",
    f"locks of known hold and back-off, simulated and counted as hosts count them: {SEEDS} LUNs with reservations",
    tests=("test_lock_counters.py",),
)
def counters() -> list[Figure]:
    """Coverage and ranks."""
    from bench_lock_counters import reservations

    rows = [reservations(900_000 + seed, False) for seed in range(SEEDS)]
    low, high = (100 * float(stats.binom.ppf(p, SEEDS, 0.9)) / SEEDS for p in (0.0005, 0.9995))
    found = []
    for name in ("hold", "backoff"):
        ranks = np.array([row[name] for row in rows])
        held = 100 * float(((ranks >= 0.05) & (ranks <= 0.95)).mean())
        found.append(Figure(f"{name}: within the 90 % interval", held, "%", low, min(high, 100), 1, 0.02))
        found.append(ranks_figure(name, ranks))
    return found


@CHAPTER.check(
    "risk-exact",
    "The probability of a full LUN is the hypergeometric one where there are clones of two sizes.",
    "SciPy's hypergeometric distribution: 20 large clones among 100; the binomial, which clones drawn twice would"
    " give, is told apart",
    tests=("test_space_risk.py",),
    cheap=True,
)
def risk_exact() -> list[Figure]:
    """Largest distance in standard errors."""
    from clonesim.planning.draws import Dealings
    from clonesim.planning.space_risk import space_risk

    away, other = [], []
    for n, most in ((10, 4), (25, 8), (40, 12)):
        sizes = np.ones((1, 100, 1), np.int64)
        sizes[0, :20] = 1001
        dealt = Dealings.of(100, 1, seed=2, cuts=20_000, starts=1)
        found = space_risk(sizes, lambda _: 0, n + 1000 * most, [n], dealings=dealt)["p_outage"].iloc[0]
        exact = stats.hypergeom.sf(most, 100, 20, n)
        error = np.sqrt(exact * (1 - exact) / 20_000)
        away.append(abs(found - exact) / error)
        other.append(abs(stats.binom.sf(most, n, 0.2) - exact) / error)
    return [
        Figure("largest distance from the exact value, in standard errors", max(away), high=4, digits=2),
        Figure("smallest distance of the binomial from it", min(other), low=4, digits=1),
    ]


@CHAPTER.check(
    "risk-intervals",
    "Each end of the interval of a LUN's risk holds with 95 %, though all clones of a replicate share its shocks.",
    "a constructed pool with a known answer: lognormal shocks of sigma 0.35, clones of sigma 1.2, 400 pools of 25"
    " replicates, a true risk of 5 %",
    tests=("test_space_risk.py",),
)
def risk_intervals() -> list[Figure]:
    """Coverage of both ends, and of an interval that takes LUNs for independent."""
    from test_space_risk import CLONES, LUN, nothing, shocked_luns, shocked_pool

    from clonesim.lun.outage import wilson
    from clonesim.planning.draws import Dealings
    from clonesim.planning.space_risk import space_risk

    rng, p, runs, replicates = np.random.default_rng(1), 0.05, 400, 25
    used = np.concatenate([shocked_luns(rng, 20_000) for _ in range(10)])
    limit, held = int(np.quantile(used, 1 - p)), np.zeros(3)
    for seed in range(runs):
        sizes = shocked_pool(np.random.default_rng([17, seed]), replicates)
        dealt = Dealings.of(CLONES, replicates, seed, cuts=12, starts=24)
        row = space_risk(sizes, nothing, limit, [LUN], 0.05, seed=seed, dealings=dealt).iloc[0]
        luns = CLONES // LUN * replicates
        low, high = wilson(round(row["p_outage"] * luns), luns, 0.9)
        held += row["p_low"] <= p, row["p_high"] >= p, low <= p <= high
    lower, upper, naive = 100 * held / runs
    least = 100 * (0.95 - 3 * np.sqrt(0.05 * 0.95 / runs))
    return [
        Figure("lower ends below the truth", lower, "%", least, 100, 1, 0.02),
        Figure("upper ends above the truth", upper, "%", least, 100, 1, 0.02),
        told("both ends, had LUNs been taken for independent (90 % wanted)", naive, "%", 1, 0.02),
    ]
