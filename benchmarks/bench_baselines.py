"""Kernels beside plain NumPy and pandas on the same work, in turn, in one process: ratios, not seconds.

A ratio is how many times as fast ours is, by processor time, the fastest of the rounds on both sides. Answers are
compared where both give the same. `tools/performance_book.py --check` holds the ratios against
`benchmarks/ratios.toml`. Cases:

replay, qcow2   random 4 KiB writes on 40 GiB; NumPy finds the growth steps of vmfs-sparse, the same in both cases
fifo            one lock, first come, first served; NumPy's running maximum gives the same waits
backoff, closed the contended lockings; beside NumPy's FIFO lock of the same requests
apply           creates and deletes on a volume of 8 GiB; a next-fit mask of free clusters does less
text            a trace of the form of Microsoft Research Cambridge; pandas gives the same columns
plan            90 days of one office user's file operations; beside NumPy's replay of 1 M writes
pool            desktop-days of a small pool in this process; beside NumPy's replay of 1 M writes

Run: python benchmarks/bench_baselines.py [--cases fifo replay] [--rounds 5]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_apply import Plan
from bench_locks import HOSTS, LOAD, draw
from bench_plan import office, storms
from bench_replay import draw_writes
from bench_tools import GIB, MILLION, asked, command, finish, machine_text, timed
from bench_traces import write_trace
from numpy_versions import NextFit, fifo_waits, growth, read_msr

from clonesim.delta import Delta, replay
from clonesim.delta.formats import law
from clonesim.guest import Volume
from clonesim.guest.activity import Activity
from clonesim.guest.presence import DAY_S
from clonesim.ingest import read_trace
from clonesim.keys import generator
from clonesim.lun import closed_waits, lock_model
from clonesim.lun.locks import lock_waits
from clonesim.ops import BlockOp
from clonesim.pool.simulate import simulate
from clonesim.scenario import load_scenario

CAPACITY = 40 * GIB
LIGHT = MILLION // 2  # writes of the replay that stands beside plans and pools


@dataclass(frozen=True)
class Case:
    """Ours and the baseline, each with the work that one call does in its own unit."""

    title: str
    baseline: str
    unit: str
    amount: float
    plain_amount: float
    ours: Callable[[], Any]
    plain: Callable[[], Any]
    agree: Callable[[Any, Any], None] | None = None


def the_same(mine: Any, other: Any) -> None:
    """Refuse arrays that differ."""
    for a, b in zip(mine, other, strict=True):
        if not np.array_equal(a, b):
            raise SystemExit("ours and the baseline disagree")


def replay_case(name: str, share: float) -> Case:
    """Replay in a format; the answer of the NumPy version is vmfs-sparse's."""
    n = int(4 * MILLION * share)
    requests, rule = draw_writes(n, CAPACITY), law("vmfs-sparse", CAPACITY, {})

    def steps(delta: Delta, found: tuple[Any, Any]) -> None:
        the_same((delta.increment_times, delta.increment_sizes), (requests.time_s[found[0]], found[1]))

    return Case(
        f"replay, {name}",
        "NumPy, growth of vmfs-sparse",
        "writes",
        n,
        n,
        lambda: replay(requests, name, CAPACITY),
        lambda: growth(requests, rule),
        steps if name == "vmfs-sparse" else None,
    )


def lock_case(name: str, share: float) -> Case:
    """A locking of so many Poisson requests; the baseline is always the FIFO lock."""
    n = int({"fifo": 4, "backoff": 1, "closed": 0.5}[name] * MILLION * share)
    times, host, hold = draw(n, LOAD, HOSTS)
    model = lock_model("scsi-reservation")
    user = np.arange(n) * 37 % 64
    ours = {
        "fifo": lambda: lock_waits(times, host, hold)[0],
        "backoff": lambda: lock_waits(times, host, hold, model)[0],
        "closed": lambda: closed_waits(times, user, host, hold, model),
    }[name]
    title = {"fifo": "locks, FIFO", "backoff": "locks with back-off", "closed": "locks, one request a clone"}[name]
    agree = (lambda mine, other: the_same([mine], [other])) if name == "fifo" else None
    return Case(title, "NumPy, FIFO", "requests", n, n, ours, lambda: fifo_waits(times, hold), agree)


def apply_case(share: float) -> Case:
    """Creates and deletes on a volume that is 80 % full."""
    size, count = 8 * GIB, int(40_000 * share)
    plan = Plan(np.random.default_rng(1), size // 1024)
    before = plan.ops(int(60_000 * share), int(0.8 * size) if share == 1 else 10**7)
    ops = plan.ops(count, int(0.8 * size) if share == 1 else 10**7)
    volume, mask = Volume("8 GiB", policy="windows"), NextFit(size // 4096)
    empty = volume.used_bytes
    volume.apply(before)
    mask.apply(before)
    volume.snapshot("vmfs-sparse")
    kept = mask.free.copy(), dict(mask.files), mask.at

    def ours() -> int:
        volume.revert()
        volume.apply(ops)
        return volume.used_bytes - empty

    def plain() -> int:
        mask.free, mask.files, mask.at = kept[0].copy(), dict(kept[1]), kept[2]
        mask.apply(ops)
        return mask.used_bytes

    def agree(mine: int, other: int) -> None:
        if share == 1 and abs(mine / other - 1) > 0.05:  # records and folders on one side, small files on the other
            raise SystemExit(f"the volumes hold {mine} and {other} B")

    titles = "file operations on a volume", "NumPy, mask of free clusters", "operations"
    return Case(*titles, count, count, ours, plain, agree)


def text_case(share: float, folder: Path) -> Case:
    """A trace as text."""
    path = folder / "msr.csv"
    rows = write_trace(path, "msr", 1, at_once=int(500_000 * share))

    def agree(mine: Any, other: dict[str, Any]) -> None:
        write = mine.requests.op == BlockOp.WRITE
        columns = mine.requests.offset, mine.requests.length, write
        the_same(columns, [other[name] for name in ("offset", "length", "write")])
        if abs(mine.requests.time_s - other["time_s"]).max() > 1e-6:
            raise SystemExit("times differ")

    work = (lambda: read_trace(path, "msr")), (lambda: read_msr(path))
    return Case("text of a trace", "pandas", "rows", rows, rows, *work, agree)


def plan_case(share: float) -> Case:
    """Plans of one clone's 90 days."""
    days = max(int(90 * share), 2)
    activity, presence, shared = Activity("windows-10"), office(days), storms("windows-10", days)
    requests, rule = draw_writes(int(LIGHT * share), CAPACITY), law("vmfs-sparse", CAPACITY, {})

    def ours() -> None:
        for clone in range(4):
            activity.plan(presence, shared, lambda name, c=clone: generator(1, 0, c, f"clone:{name}"), days * DAY_S)  # type: ignore[misc]

    titles = "plan of a clone", "NumPy, replay of 1 M writes", "days"
    return Case(*titles, 4 * days, LIGHT * share / MILLION, ours, lambda: growth(requests, rule))


def pool_case(share: float) -> Case:
    """A small pool in this process, all three stages."""
    clones, days = max(int(16 * share), 2), max(int(14 * share), 2)
    guest = {"disk": "40 GiB", "used": "24 GiB"}
    scenario = load_scenario("windows-10-office", pool={"clones": clones, "days": days}, guest=guest)
    requests, rule = draw_writes(int(LIGHT * share), CAPACITY), law("vmfs-sparse", CAPACITY, {})
    work = (lambda: simulate(scenario, seed=1, processes=1)), (lambda: growth(requests, rule))
    return Case("pool", "NumPy, replay of 1 M writes", "desktop-days", clones * days, LIGHT * share / MILLION, *work)


CASES = ("replay", "qcow2", "fifo", "backoff", "closed", "apply", "text", "plan", "pool")


def case_of(name: str, share: float, folder: Path) -> Case:
    """A case by name; `share` makes it smaller."""
    if name in ("replay", "qcow2"):
        return replay_case("vmfs-sparse" if name == "replay" else name, share)
    if name in ("fifo", "backoff", "closed"):
        return lock_case(name, share)
    if name == "text":
        return text_case(share, folder)
    return {"apply": apply_case, "plan": plan_case, "pool": pool_case}[name](share)


def measure(name: str, case: Case, rounds: int) -> dict[str, Any]:
    """Both in turn; the first pair is compared, and not counted."""
    mine, other = case.ours(), case.plain()
    if case.agree is not None:
        case.agree(mine, other)
    pairs = [(timed(case.ours)["cpu_s"], timed(case.plain)["cpu_s"]) for _ in range(rounds)]
    per_s = [(case.amount / max(a, 1e-9), case.plain_amount / max(b, 1e-9)) for a, b in pairs]
    ratios = [a / b for a, b in per_s]
    best = [max(column) for column in zip(*per_s, strict=True)]  # other work on the machine only ever takes time
    return {
        "name": name,
        "title": case.title,
        "baseline": case.baseline,
        "unit": case.unit,
        "per_cpu_s": best[0],
        "baseline_per_cpu_s": best[1],
        "ratio": best[0] / best[1],
        "lowest": min(ratios),
        "highest": max(ratios),
        "same_answer": case.agree is not None and name != "apply",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--share", type=float, default=1.0, help="share of the work of each case")
    options = asked(parser, argv, rounds=1, share=0.002)
    print(f"command  {command(options)}\nmachine  {machine_text()}; best of {options.rounds} rounds in turn")
    rows = []
    with tempfile.TemporaryDirectory(prefix="clonesim-bench-") as folder:
        for name in options.cases:
            row = measure(name, case_of(name, options.share, Path(folder)), options.rounds)
            rows.append(row)
            told = f"{row['per_cpu_s']:,.4g} {row['unit']}/s, {row['baseline']} {row['baseline_per_cpu_s']:,.4g}/s"
            print(f"{row['title']:28} {told}: {row['ratio']:.3g} times ({row['lowest']:.3g} to {row['highest']:.3g})")
    figures = {"rounds": options.rounds, "rows": rows, "ratios": {row["name"]: row["ratio"] for row in rows}}
    return finish(options, figures)


if __name__ == "__main__":
    raise SystemExit(main())
