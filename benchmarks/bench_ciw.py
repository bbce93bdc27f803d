"""One FIFO lock in Ciw, in plain NumPy and in the kernel: the same waits, and how fast each serves requests.

Three checks. The same arrivals and holds are given to all three: waits must agree to a nanosecond a thousand. Ciw then
draws its own (M/D/1 and M/M/1, several loads): means must agree within Student's interval of their difference, and
both with theory. Last, an open array of disks (a network of M/M/1 nodes) against `lun.device.latency`.

Run: python benchmarks/bench_ciw.py [--customers 50000] [--runs 20]     (needs Ciw 3, extra `bench`)
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import ciw
import numpy as np
from bench_tools import MILLION, asked, command, finish, machine_text
from numpy_versions import fifo_waits
from scipy.stats import t

from clonesim.lun.array import array_model
from clonesim.lun.device import latency
from clonesim.lun.locks import lock_waits
from clonesim.lun.queueing import md1_wait, mm1_wait

HOLD_S, LOADS = 0.0005, (0.3, 0.7, 0.9)
CHANCE = 0.001  # that any check fails although all is as it should be (Bonferroni)
CHECKS = 3 * 2 * len(LOADS) + 1
DISKS, SERVICE_S = 8, 0.010
BARE = {"write_cache": 0, "controller_latency": 0.0, "controller_iops": 1e9, "bandwidth": "1 TiB", "spares": 0}


def served(arrivals: Any, services: Any, customers: int, seed: int, nodes: int = 1) -> list[Any]:
    """Records of Ciw in order of arrival, of one server or of some that share the arrivals."""
    ciw.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[arrivals] * nodes,
        service_distributions=[services] * nodes,
        number_of_servers=[1] * nodes,
        routing=[[0.0] * nodes for _ in range(nodes)],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(customers, method="Finish")
    return sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)


def same_draws(customers: int, load: float) -> dict[str, Any]:
    """Waits and rates on the same arrivals and holds."""
    rng = np.random.default_rng(1)
    gap_ns = np.rint(rng.exponential(HOLD_S / load, customers) * 1e9).astype(np.int64)
    hold_ns = np.rint(rng.exponential(HOLD_S, customers) * 1e9).astype(np.int64)
    time_ns, host = np.cumsum(gap_ns), np.zeros(customers, np.int64)
    gaps, holds = (ciw.dists.Sequential((column / 1e9).tolist()) for column in (gap_ns, hold_ns))
    begin = time.perf_counter()
    records = served(gaps, holds, customers, 1)
    ciw_s = time.perf_counter() - begin
    waits = np.array([record.waiting_time for record in records])
    mine, plain = lock_waits(time_ns, host, hold_ns)[0], fifo_waits(time_ns, hold_ns)
    most = float(abs(waits - mine[: waits.size] / 1e9).max())

    def rate(work: Any) -> float:
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
        return customers / statistics.median(taken)

    kernel, numpy = rate(lambda: lock_waits(time_ns, host, hold_ns)), rate(lambda: fifo_waits(time_ns, hold_ns))
    return {
        "customers": customers,
        "largest_difference_s": most,
        "same": bool(most < 1e-9 * max(1.0, time_ns[-1] / 1e9) and np.array_equal(mine, plain)),
        "ciw_per_s": customers / ciw_s,
        "kernel_per_s": kernel,
        "numpy_per_s": numpy,
        "times_ciw": kernel * ciw_s / customers,
        "times_numpy": kernel / numpy,
    }


def own_draws(law: str, load: float, customers: int, runs: int) -> dict[str, Any]:
    """Mean waits over runs that begin empty; the first tenth of each is left out."""
    theory = (md1_wait if law == "M/D/1" else mm1_wait)(load / HOLD_S, HOLD_S).mean_s
    service = ciw.dists.Deterministic(HOLD_S) if law == "M/D/1" else ciw.dists.Exponential(1 / HOLD_S)
    first, bound = customers // 10, most_away(runs)
    theirs, ours = [], []
    for run in range(runs):
        records = served(ciw.dists.Exponential(load / HOLD_S), service, customers, 100 + run)
        theirs.append(float(np.mean([record.waiting_time for record in records[first:]])))
        rng = np.random.default_rng([7, run])
        times = np.rint(np.cumsum(rng.exponential(HOLD_S / load, customers)) * 1e9).astype(np.int64)
        hold = np.full(customers, HOLD_S) if law == "M/D/1" else rng.exponential(HOLD_S, customers)
        waits = lock_waits(times, np.zeros(customers, np.int64), np.rint(hold * 1e9).astype(np.int64))[0]
        ours.append(float(waits[first:].mean()) / 1e9)
    away = away_from(theirs, ours), away_from(theirs, [theory]), away_from(ours, [theory])
    return {
        "law": law,
        "load": load,
        "ciw_ms": statistics.mean(theirs) * 1e3,
        "ours_ms": statistics.mean(ours) * 1e3,
        "theory_ms": theory * 1e3,
        "standard_errors": away[0],
        "from_theory": max(away[1:]),
        "agrees": max(away) < bound,
    }


def away_from(a: list[float], b: list[float]) -> float:
    """Difference of two means in standard errors; a single value has none."""
    error = sum(statistics.variance(part) / len(part) for part in (a, b) if len(part) > 1)
    return float(abs(statistics.mean(a) - statistics.mean(b)) / error**0.5) if error else 0.0


def most_away(runs: int) -> float:
    """Standard errors that a check may be away. [1]"""
    return float(t.ppf(1 - CHANCE / (2 * CHECKS), runs - 1))


def array_of_disks(load: float, customers: int, runs: int) -> dict[str, Any]:
    """Response of an array of single disks, which share random reads evenly."""
    array = array_model("hdd-15k", DISKS, "raid-0", service=SERVICE_S, channels=1, **BARE)
    rate = load * DISKS / SERVICE_S
    told = float(latency(array, rate, 0.0, MILLION).mean_s[0])
    means = []
    for run in range(runs):
        arrivals, service = ciw.dists.Exponential(rate / DISKS), ciw.dists.Exponential(1 / SERVICE_S)
        records = served(arrivals, service, customers, 500 + run, DISKS)[customers // 10 :]
        means.append(float(np.mean([record.exit_date - record.arrival_date for record in records])))
    away = away_from(means, [told])
    return {
        "law": f"{DISKS} disks",
        "load": load,
        "ciw_ms": statistics.mean(means) * 1e3,
        "ours_ms": told * 1e3,
        "theory_ms": SERVICE_S / (1 - load) * 1e3,
        "standard_errors": away,
        "from_theory": away,
        "agrees": away < most_away(runs),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print rates and checks; exit with 1 where results disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=50_000, help="of the same draws")
    parser.add_argument("--each", type=int, default=20_000, help="of each run of own draws")
    parser.add_argument("--runs", type=int, default=10)
    options = asked(parser, argv, customers=500, each=300, runs=3)
    print(f"command  {command(options)}\nmachine  {machine_text()}, Ciw {ciw.__version__}")
    same = same_draws(options.customers, 0.7)
    print(
        f"the same {same['customers']:,} requests: largest difference {same['largest_difference_s']:.2g} s; Ciw "
        f"{same['ciw_per_s']:,.0f}/s, NumPy {same['numpy_per_s'] / MILLION:.1f} M/s, kernel "
        f"{same['kernel_per_s'] / MILLION:.1f} M/s: {same['times_ciw']:,.0f} times Ciw, {same['times_numpy']:.1f} NumPy"
    )
    rows = [own_draws(law, load, options.each, options.runs) for law in ("M/D/1", "M/M/1") for load in LOADS]
    rows.append(array_of_disks(0.7, options.each, options.runs))
    for row in rows:
        print(
            f"{row['law']:8} load {row['load']}: Ciw {row['ciw_ms']:.4f} ms, ours {row['ours_ms']:.4f} ms, theory "
            f"{row['theory_ms']:.4f} ms; {row['standard_errors']:.1f} standard errors apart, "
            f"{row['from_theory']:.1f} from theory"
        )
    agreed = same["same"] and all(row["agrees"] for row in rows)
    figures = {"ciw": ciw.__version__, "runs": options.runs, "each": options.each, "bound": most_away(options.runs)}
    return finish(options, figures | {"same_draws": same, "rows": rows, "agreed": agreed}, agreed)


if __name__ == "__main__":
    raise SystemExit(main())
