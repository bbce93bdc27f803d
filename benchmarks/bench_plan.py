"""Time to plan one clone, and what the plan holds: operations, page marks and bytes a day, by source.

Each plan is one office user's clone over 90 days: weekdays from about 8:30 on, logged on for an exponential time of 6 h
on average, absent on one day of ten, three definition pushes a weekday, patches every 28 days. Reported is the best and
the median of the repeats; page marks are the 4 KiB pages of scattered writes, one mark each. Run:
python benchmarks/bench_plan.py [--os windows-11] [--days 90] [--repeats 20] [--sources]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
from bench_tools import asked, command, finish, machine_text

from clonesim.guest.activity import Activity, Plan
from clonesim.guest.presence import DAY_S, DEFINITIONS, FULL_SCANS, PATCHES, Presence, Shared
from clonesim.keys import generator
from clonesim.ops import FileOp

OSES = ("windows-xp", "windows-7", "windows-10", "windows-11")
PATCH = {"windows-xp": 40_000_000, "windows-7": 200_000_000}  # storms.toml, patch_size
PAGE = 4096


def office(days: int) -> Presence:
    """One user: a session on every weekday, but for a tenth of them."""
    rng = np.random.default_rng(1)
    day = np.array([d for d in range(days) if d % 7 < 5 and rng.random() < 0.9])
    start = day * DAY_S + 8.5 * 3600 + rng.normal(0, 1200, day.size)
    end = start + np.minimum(rng.exponential(6 * 3600, day.size), 15 * 3600)
    boots = np.array([0.0, *(d * DAY_S + 3 * 3600 for d in range(9, days, 28))])
    return Presence(boots, start, end, np.zeros(day.size, np.int64), np.ones(day.size), np.arange(day.size) == 0)


def storms(os: str, days: int) -> Shared:
    """Three pushes a weekday, one a weekend day; patches every 28 days; a full scan a week."""
    push = np.array([d * DAY_S + h * 3600 for d in range(days) for h in (4, 12, 20) if d % 7 < 5 or h == 4])
    patch = np.arange(8, days, 28) * DAY_S + 22 * 3600
    scan = np.arange(2, days, 7) * DAY_S + 12 * 3600
    return Shared(
        {
            DEFINITIONS: (push, np.full(push.size, 110_000_000)),
            PATCHES: (patch, np.full(patch.size, PATCH.get(os, 1_000_000_000))),
            FULL_SCANS: (scan, np.zeros(scan.size, np.int64)),
        },
        0,
        1,
    )


def measure(os: str, days: int, repeats: int) -> tuple[Activity, Plan, list[float]]:
    """Seconds of each repeat, and the plan of the last one."""
    activity, presence, shared = Activity(os), office(days), storms(os, days)
    seconds = []
    for clone in range(repeats + 1):
        start = time.perf_counter()
        plan = activity.plan(
            presence, shared, lambda name, c=clone: generator(1, 0, c, f"clone:{name}"), days * DAY_S
        )  # fmt: skip
        seconds.append(time.perf_counter() - start)
    return activity, plan, seconds[1:]  # the first one loads the kernels


def report(activity: Activity, plan: Plan, days: int) -> None:
    """One line a source."""
    for index, name in enumerate(activity.names):
        mine = plan.of_source(index)
        if mine.ops.size or len(mine.reads):
            read = mine.reads.bytes.sum() / days / 1e6
            marks = mine.ops["length"][mine.ops["op"] == FileOp.SCATTER].sum() / PAGE
            print(
                f"    {name:26s} {mine.ops.size / days:7.1f} ops/day {marks / days:7.0f} marks/day "
                f"{mine.ops['length'].sum() / days / 1e6:8.2f} MB/day written {read:8.1f} read"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--os", choices=OSES, help="one OS instead of all")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sources", action="store_true", help="a line for each source")
    args = asked(parser, argv, os="windows-10", days=2, repeats=1)
    print(f"command  {command(args)}\nmachine  {machine_text()}")
    rows = []
    for os in [args.os] if args.os else OSES:
        activity, plan, seconds = measure(os, args.days, args.repeats)
        marks = plan.ops["length"][plan.ops["op"] == FileOp.SCATTER].sum() / PAGE
        per_day = f"{plan.ops.size / args.days:6.0f} ops/day, {marks / args.days:6.0f} page marks/day"
        times = f"best {min(seconds) * 1e3:5.1f} ms, median {statistics.median(seconds) * 1e3:5.1f} ms a clone"
        written = f"{plan.ops['length'].sum() / args.days / 1e6:6.0f} MB/day written"
        print(f"{os:11s} {args.days} days: {times}; {per_day}, {written}")
        rows.append(
            {
                "os": os,
                "best_ms": min(seconds) * 1e3,
                "median_ms": statistics.median(seconds) * 1e3,
                "operations_a_day": plan.ops.size / args.days,
                "marks_a_day": float(marks) / args.days,
                "written_mb_a_day": float(plan.ops["length"].sum()) / args.days / 1e6,
            }
        )
        if args.sources:
            report(activity, plan, args.days)
    return finish(args, {"days": args.days, "rows": rows})


if __name__ == "__main__":
    raise SystemExit(main())
