"""Time and memory from 10 desktops to 20,000, 30 days each, and what a second worker brings.

Up to 1,000 desktops are one pool, more are an estate of such pools, as a broker has them; every desktop is simulated.
`mixed` are estates whose pools are of five kinds, each with a machine of its own: 100,000 desktops are judged by their
line. Sizes are simulated in order. One that would take longer than `--longest`, or more than 60 % of the memory that is
free, judged by a straight line through the two before it, is not: its figures are extrapolated, and so marked. 100,000
desktops are always extrapolated. Start-up is measured apart: one desktop per process over one day.

The second worker: the same pool in one new process and in two, in turn, medians; both must give the same bytes. What
stays in the calling process (frames, LUNs) Amdahl's law takes from the speed-up: told is the share of the work that the
two workers share. `bench_distributed.py` does the same with Dask's workers.

Run: python benchmarks/bench_scaling.py [--sizes 10 100 1000] [--workers-only]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench_tools import MIB, Memory, asked, command, finish, machine_text

from clonesim.pool.estate import simulate_estate
from clonesim.pool.simulate import simulate
from clonesim.scenario import load_scenario
from clonesim.scenario.estate import Estate
from clonesim.scenario.estate_load import load_estate
from clonesim.scenario.model import Scenario

SIZES = (10, 100, 1_000, 5_000)
MIXED = (10_000, 20_000)  # desktops of the estate whose pools are of several kinds
FURTHER = 100_000
LONGEST_MIN, MOST_GIB = 60.0, 4.0  # that so many desktops may take
A_POOL = 1_000
KINDS = ("windows-10-office", "windows-11-office", "windows-7-office", "windows-10-office", "windows-11-office")
SHARE_OF_MEMORY = 0.6
WANTED = 1.8  # times as fast with two workers
WARM = 24  # desktops per worker that are simulated before, so that each has its kernels


def pool(clones: int, days: int) -> Scenario:
    """Desktops with disks of 40 GiB, 24 GiB of them used."""
    disk = {"disk": "40 GiB", "used": "24 GiB"}
    return load_scenario("windows-10-office", pool={"clones": clones, "days": days}, guest=disk)


def estate(desktops: int, days: int, kinds: Sequence[str]) -> Estate:
    """Pools of at most `A_POOL` desktops, as many of each kind; kinds differ in preset or in what is used."""
    each = -(-desktops // (A_POOL * len(kinds)))
    clones, step = desktops // (each * len(kinds)), min(1024, 12 * 1024 // len(kinds))
    tables = [
        f'[[pools]]\nname = "pool-{k}"\nsite = "here"\nscenario = "{name}"\nclones = {clones}\n'
        f'count = {each}\nguest = {{disk = "40 GiB", used = "{24 * 1024 - k * step} MiB"}}\n'
        for k, name in enumerate(kinds)
    ]
    head = f'[estate]\nname = "bench"\ndays = {days}\nstart = 2026-01-05\n[[sites]]\nname = "here"\n'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "estate.toml"
        path.write_text(head + "".join(tables), encoding="utf-8")
        return load_estate(path)


def measured(desktops: int, days: int, processes: int, kinds: Sequence[str] = KINDS[:1]) -> dict[str, Any]:
    """One size, simulated."""
    with Memory() as memory:
        begin = time.perf_counter()
        if desktops <= A_POOL:
            simulate(pool(desktops, days), seed=1, processes=processes)
        else:
            simulate_estate(estate(desktops, days, kinds), seed=1, processes=processes)
        seconds = time.perf_counter() - begin
    return {"desktops": desktops, "seconds": seconds, "peak_mib": memory.peak / MIB, "measured": True}


def extrapolated(desktops: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """On the straight line through the two largest sizes that were simulated; no less memory than they had."""
    known = [row for row in rows if row["measured"]][-2:]
    if len(known) < 2:
        known = [{"desktops": 0, "seconds": 0.0, "peak_mib": 0.0}, *known]
    low, high = known
    share = (desktops - low["desktops"]) / (high["desktops"] - low["desktops"])
    row: dict[str, Any] = {"desktops": desktops, "measured": False}
    for name in ("seconds", "peak_mib"):
        row[name] = low[name] + share * (high[name] - low[name])
    row["peak_mib"] = max(row["peak_mib"], low["peak_mib"], high["peak_mib"])
    return row


def free_mib() -> float:
    """Memory that could be had without swapping. [MiB]"""
    try:
        with open("/proc/meminfo") as file:  # noqa: PTH123
            return next(float(line.split()[1]) for line in file if line.startswith("MemAvailable")) / 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB


def sizes(
    asked_for: Sequence[int], days: int, processes: int, longest_s: float, kinds: Sequence[str] = KINDS[:1]
) -> list[dict[str, Any]]:
    """A row per size, and one more on the line to `FURTHER`."""
    rows: list[dict[str, Any]] = []
    free = free_mib()
    for desktops in asked_for:
        guess = extrapolated(desktops, rows) if rows else None
        known = guess is None or (guess["seconds"] <= longest_s and guess["peak_mib"] <= SHARE_OF_MEMORY * free)
        rows.append(measured(desktops, days, processes, kinds) if known or guess is None else guess)
    return [*rows, extrapolated(FURTHER, rows)]


def told(rows: list[dict[str, Any]], start_s: float, days: int) -> list[dict[str, Any]]:
    """The rows, printed, with what follows from them."""
    for row in rows:
        row["minutes"], row["peak_gib"] = row["seconds"] / 60, row["peak_mib"] / 1024
        row["ms_a_desktop_day"] = max(row["seconds"] - start_s, 0.0) / (row["desktops"] * days) * 1e3
        row["how"] = "measured" if row["measured"] else "extrapolated"
        print(
            f"{row['desktops']:8,} desktops: {row['seconds']:9.1f} s, {row['ms_a_desktop_day']:6.3f} ms a "
            f"desktop-day, {row['peak_mib']:8,.0f} MiB, {row['how']}",
            flush=True,
        )
    return rows


@contextmanager
def own_processes(count: int) -> Iterator[Executor]:
    """New processes; the first thing they do is to load the kernels, uncounted."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as executor:
        yield executor


def second_worker(desktops: int, days: int, rounds: int) -> dict[str, Any]:
    """Seconds with one worker and with two, in turn; the workers have simulated something before."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    hashes = set()
    for _ in range(rounds):
        for count, taken in seconds.items():
            with own_processes(count) as executor:
                simulate(pool(WARM * count, 1), seed=1, executor=executor)
                begin = time.perf_counter()
                run = simulate(pool(desktops, days), seed=1, executor=executor)
                taken.append(time.perf_counter() - begin)
            hashes.add(run.hash)
    one, two = (statistics.median(taken) for taken in seconds.values())
    return {
        "desktops": desktops,
        "one_s": one,
        "two_s": two,
        "speed_up": one / two,
        "shared_percent": 100 * 2 * (1 - two / one),
        "same_bytes": len(hashes) == 1,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="in ascending order")
    parser.add_argument("--mixed", nargs="*", type=int, default=list(MIXED), help="more than 1,000 desktops each")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--longest", type=float, default=900.0, help="a size expected to take longer is left out [s]")
    parser.add_argument("--desktops", type=int, default=1000, help="of the pool for the second worker; 0 for none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers-only", action="store_true")
    options = asked(parser, argv, sizes=[2, 4], mixed=[2, 4], days=2, processes=1, desktops=0, rounds=1, longest=10.0)
    print(f"command  {command(options)}\nmachine  {machine_text()}")
    measured(options.processes, 1, options.processes)  # compiles the kernels, where that is still to be done
    start = measured(options.processes, 1, options.processes)["seconds"]
    figures: dict[str, Any] = {"days": options.days, "processes": options.processes, "start_up_s": start}
    passed = True
    if not options.workers_only:
        how = (options.days, options.processes, options.longest)
        figures["rows"] = told(sizes(options.sizes, *how), start, options.days)
        print(f"pools of {len(KINDS)} kinds:")
        figures["mixed"] = told(sizes(options.mixed, *how, KINDS), start, options.days)
        far = figures["mixed"][-1]
        passed = far["minutes"] <= LONGEST_MIN and far["peak_gib"] <= MOST_GIB
    if options.desktops:
        figures["workers"] = row = second_worker(options.desktops, options.days, options.rounds)
        print(
            f"{row['one_s']:.1f} s with one worker, {row['two_s']:.1f} s with two: {row['speed_up']:.2f} times as "
            f"fast, {row['shared_percent']:.0f} % of the work is shared; same bytes: {row['same_bytes']}"
        )
        passed = passed and row["same_bytes"] and row["speed_up"] >= WANTED
    return finish(options, figures, passed)


if __name__ == "__main__":
    raise SystemExit(main())
