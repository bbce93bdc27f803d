"""Time and memory of whole pools: 1,000 desktops x 90 days at block level, and the time per desktop-day at other sizes.

Start-up (new processes, importing, loading the kernels, timeline, base image in each process) is reported apart: the
time of one clone per process over one day. Memory is the highest sum of the resident sizes of this process and its
children, sampled every 0.1 s where /proc is. Gates: 1,000 x 90 in 60 s with 2 processes, 3 GiB in all, and the time per
desktop-day, start-up taken off, flat within 15 % from 100 to 2,000 desktops.

Run: python benchmarks/bench_pool.py [--scenario windows-10-office] [--skip-large] [--processes 2] [--days 90]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from bench_tools import Memory, asked, command, cpu_s, finish, machine_text

from clonesim.guest.presence import DAY_S
from clonesim.ops import FileOp
from clonesim.pool.clones import activity_of, desktop, plan_of
from clonesim.pool.simulate import simulate
from clonesim.pool.timeline import Timeline
from clonesim.scenario import load_scenario
from clonesim.scenario.model import Scenario

SECONDS_GATE, MEMORY_GATE, FLAT_GATE = 60.0, 3 * 2**30, 0.15
SAMPLE = 20  # clones whose plans are counted
PAGE = 4096
LEAST_MS = 1e-6  # of a desktop-day: in the quick form start-up may take all of the time


def pool(name: str, clones: int, days: int) -> Scenario:
    """Pool of desktops with disks of 40 GiB, 24 GiB of them used."""
    disk = {"disk": "40 GiB", "used": "24 GiB"}
    return load_scenario(name, pool={"clones": clones, "days": days}, guest=disk)


def run(scenario: Scenario, processes: int) -> dict[str, Any]:
    """Seconds and memory of one simulation."""
    with Memory() as memory:
        begin, used = time.perf_counter(), cpu_s()
        result = simulate(scenario, seed=1, processes=processes)
        seconds, busy = time.perf_counter() - begin, cpu_s() - used
    desktop_days = scenario.pool.clones * scenario.pool.days
    return {
        "desktops": scenario.pool.clones,
        "days": scenario.pool.days,
        "seconds": round(seconds, 2),
        "cpu_s": round(busy, 2),
        "desktop_days_per_s": round(desktop_days / seconds),
        "ms_a_desktop_day": seconds / desktop_days * 1e3,
        "peak_mib": round(memory.peak / 2**20),
        "peak_parent_mib": round(memory.own / 2**20),
        "peak_child_mib": round(memory.child / 2**20),
        "frames_hash": result.hash[:16],
        "delta_p50_gib": round(result.summary["delta_p50_bytes"] / 2**30, 2),
    }


def work(scenario: Scenario) -> dict[str, float]:
    """File operations and page marks of an average desktop-day; a mark is a 4 KiB page of a scattered write."""
    activity, line = activity_of(scenario), Timeline.of(scenario, 1)
    first = desktop(scenario, 1).image.first_file
    clones = np.linspace(0, scenario.pool.clones - 1, min(SAMPLE, scenario.pool.clones)).astype(int).tolist()
    ops = [plan_of(activity, line, clone, first).ops for clone in clones]
    desktop_days = len(clones) * scenario.horizon_s / DAY_S
    marks = sum(int(part["length"][part["op"] == FileOp.SCATTER].sum()) for part in ops) / PAGE
    return {
        "file_operations_a_desktop_day": round(sum(part.size for part in ops) / desktop_days),
        "page_marks_a_desktop_day": round(marks / desktop_days),
        "written_mb_a_desktop_day": round(sum(int(part["length"].sum()) for part in ops) / desktop_days / 1e6),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; exit with 1 where a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="windows-10-office")
    parser.add_argument("--desktops", type=int, default=1000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--skip-large", action="store_true", help="leave out the pool of 2,000 desktops")
    parser.add_argument("--small", type=int, default=100, help="desktops of the small pool")
    args = asked(parser, argv, desktops=4, small=2, days=2, processes=1, skip_large=True)
    one_day = pool(args.scenario, args.processes, 1)
    run(one_day, args.processes)  # compiles the kernels, where that is still to be done
    start = run(one_day, args.processes)["seconds"]
    sizes = [args.desktops, args.small] + ([] if args.skip_large else [2000])
    runs = [run(pool(args.scenario, desktops, args.days), args.processes) for desktops in sizes]
    for row in runs:
        row["ms_a_desktop_day"] = round((row["seconds"] - start) / (row["desktops"] * row["days"]) * 1e3, 4)
    times = [row["ms_a_desktop_day"] for row in runs]
    flat = max(times) / max(min(times), LEAST_MS) - 1
    passed = {
        "seconds": runs[0]["seconds"] <= SECONDS_GATE,
        "memory": max(row["peak_mib"] for row in runs) <= MEMORY_GATE / 2**20,
        "flat": flat <= FLAT_GATE,
    }
    result = {
        "command": command(args),
        "machine": machine_text(),
        "scenario": args.scenario,
        "processes": args.processes,
        "start_up_s": start,
        **work(pool(args.scenario, args.desktops, args.days)),
        "runs": runs,
        "spread_of_time_a_desktop_day": round(flat, 3),
        "gates": {"seconds": SECONDS_GATE, "memory_mib": MEMORY_GATE // 2**20, "flat": FLAT_GATE},
        "passed": passed,
    }
    print(json.dumps(result, indent=2))
    return finish(args, result, all(passed.values()))


if __name__ == "__main__":
    raise SystemExit(main())
