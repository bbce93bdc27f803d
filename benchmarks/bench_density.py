"""Time and memory of a plan: 100 numbers of clones per LUN, on a pool of 500 desktops x 90 days x 20 replicates.

What is measured is the plan, after the pool was simulated: risk of a full LUN with its intervals, disks, locks in
storms, classic rules. A plan's work depends on how much was simulated, not on whether replicates differ; so some
replicates are simulated (one by default, or all of them with --simulated 20) and the others repeat them with the clones
in another order. Timelines are drawn for every one. Compiling is left out: a plan of a small pool comes first. Memory
is the highest resident size of this process, its simulated pool included.

Gate: 20 s. Run: python benchmarks/bench_density.py [--scenario windows-11-office] [--clones 500] [--days 90]
[--replicates 20] [--simulated 1] [--processes 2] [--repeats 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from bench_tools import MIB, asked, command, finish, machine_text, most_resident

from clonesim.planning.density import CANDIDATES, plan_density
from clonesim.planning.pool_sample import PoolSample, Steps, sample_pool
from clonesim.pool.timeline import Timeline
from clonesim.scenario import load_scenario

SECONDS_GATE = 20.0


def repeated(sample: PoolSample, replicates: int) -> PoolSample:
    """The sample with so many replicates: those simulated, and again with the clones in another order."""
    rng = np.random.default_rng(1)
    source = [k % sample.replicates for k in range(replicates)]
    orders = [
        np.arange(sample.clones) if k < sample.replicates else rng.permutation(sample.clones) for k in range(replicates)
    ]
    steps = []
    for row, order in zip(source, orders, strict=True):
        old = sample.steps[row]
        clone = np.argsort(order)[old.clone]
        rank = np.lexsort((clone, old.time_s))
        steps.append(Steps(old.time_s[rank], clone[rank], old.host[rank]))
    return replace(
        sample,
        size=np.stack([sample.size[row][order] for row, order in zip(source, orders, strict=True)]),
        start=np.stack([sample.start[row][order] for row, order in zip(source, orders, strict=True)]),
        steps=tuple(steps),
        timelines=tuple(Timeline.of(sample.scenario, sample.seed, k) for k in range(replicates)),
        demand=sample.demand[source],
        worst=tuple(sample.worst[row] for row in source),
    )


def held(sample: PoolSample) -> int:
    """Bytes of a sample's arrays, timelines left out."""
    arrays = [sample.size, sample.start, sample.demand]
    arrays += [part for one in sample.steps for part in (one.time_s, one.clone, one.host)]
    arrays += [part for one in sample.worst for part in (one.clones, one.demand)]
    return sum(array.nbytes for array in arrays)


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, plan, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="windows-11-office")
    parser.add_argument("--clones", type=int, default=500)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument(
        "--simulated", type=int, default=1, help="replicates that are simulated; the others repeat them"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = asked(parser, argv, clones=6, days=2, replicates=2, repeats=1, processes=1)
    print(f"command  {command(args)}\nmachine  {machine_text()}")
    if not args.quick:
        few = load_scenario(args.scenario, pool={"clones": 8, "days": 3})
        plan_density(few, replicates=2, processes=1)
    scenario = load_scenario(args.scenario, pool={"clones": args.clones, "days": args.days})
    start = time.perf_counter()
    simulated = sample_pool(scenario, 0, min(args.simulated, args.replicates), processes=args.processes)
    seconds = time.perf_counter() - start
    sample = repeated(simulated, args.replicates)
    steps = sum(one.time_s.size for one in sample.steps)
    print(f"{simulated.replicates} replicates simulated in {seconds:.1f} s, {args.replicates} planned with")
    print(f"sample: {sample.label}")
    print(f"        {held(sample) / MIB:.0f} MiB in arrays, {steps:,} growth steps")
    before, taken = most_resident(), []
    for _ in range(args.repeats):
        start = time.perf_counter()
        plan = plan_density(scenario, sample=sample)
        taken.append(time.perf_counter() - start)
    numbers = plan.frame["n"].nunique()
    print(f"plan: {plan!r}, {numbers} numbers of clones, {len(plan.frame)} rows")
    print(f"memory: {before / MIB:.0f} MiB before, {most_resident() / MIB:.0f} MiB at most")
    passed = min(taken) <= SECONDS_GATE and numbers == min(CANDIDATES, args.clones)
    told = ", ".join(f"{one:.1f}" for one in taken)
    print(f"{'PASS' if passed else 'FAIL'}: plans took {told} s; the fastest is to take {SECONDS_GATE:.0f} s at most")
    figures = {
        "clones": args.clones,
        "days": args.days,
        "replicates": args.replicates,
        "simulated": simulated.replicates,
        "simulation_s": seconds,
        "numbers": numbers,
        "rows": len(plan.frame),
        "growth_steps": steps,
        "plan_s": taken,
        "fastest_s": min(taken),
        "memory_before_mib": before / MIB,
        "peak_mib": most_resident() / MIB,
    }
    return finish(args, figures, passed)


if __name__ == "__main__":
    raise SystemExit(main())
