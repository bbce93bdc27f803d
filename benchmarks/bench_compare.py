"""Time and memory of a comparison: every strategy of the default list on 500 desktops x 90 days, as 10 pools of 50.

The platform is "generic", which has all strategies. A comparison of a few desktops comes first: it compiles the kernels
and is not counted; starting processes is. Strategies whose clones do the same are simulated once: each such group is
reported with its seconds, the planning of its strategies included. Memory is the highest sum of the resident sizes of
this process and its children, sampled every 0.1 s where /proc is. Gate: 600 s with 2 processes.

Run: python benchmarks/bench_compare.py [--scenario windows-10-office] [--strategies "refresh, recompose"]
[--clones 50] [--replicates 10] [--days 90] [--processes 2]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from bench_tools import Memory, asked, command, finish, machine_text

from clonesim.planning.alternatives import alternatives, groups, together
from clonesim.planning.compare import CLONES, REPLICATES, STRATEGIES, compare
from clonesim.scenario import load_scenario
from clonesim.scenario.model import Scenario

SECONDS_GATE = 600.0
MIB = 2**20


class Watch:
    """When each group of strategies was done; called as the `progress` of `compare`."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.begin = time.perf_counter()
        self.ends: dict[int, float] = {}

    def __call__(self, done: int, total: int) -> None:
        """Keep the last time at which so many groups were done."""
        number, rest = divmod(done * len(self.names), total)
        if number and not rest:
            self.ends[number - 1] = time.perf_counter() - self.begin

    @property
    def seconds(self) -> dict[str, float]:
        """Of each group; the first one has the start of the processes, too."""
        ends = [self.ends[k] for k in range(len(self.names))]
        return {
            name: round(end - start, 1) for name, start, end in zip(self.names, [0.0, *ends[:-1]], ends, strict=True)
        }


def pool(name: str, clones: int, days: int) -> Scenario:
    """Pool of desktops with disks of 40 GiB, 24 GiB of them used, on a platform that has every strategy."""
    disk = {"disk": "40 GiB", "used": "24 GiB"}
    return load_scenario(name, pool={"clones": clones, "days": days}, guest=disk, platform={"name": "generic"})


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; exit with 1 where the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="windows-10-office")
    parser.add_argument("--strategies", default=STRATEGIES, help="as of `clonesim compare`; by default all")
    parser.add_argument("--clones", type=int, default=CLONES)
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--warm", type=int, default=3, help="days of the uncounted comparison; 0 for none")
    args = asked(parser, argv, strategies="linked-clone, refresh", clones=3, replicates=2, days=2, processes=1, warm=0)
    if args.warm:
        compare(pool(args.scenario, 4, args.warm), args.strategies, seed=1, clones=4, replicates=2, processes=1)
    scenario = pool(args.scenario, args.clones * args.replicates, args.days)
    simulations = together(groups(alternatives(scenario, args.strategies, args.clones)[0]))
    watch = Watch([", ".join(one.label for group in some for one in group.members) for some in simulations])
    shape = {"clones": args.clones, "replicates": args.replicates, "processes": args.processes}
    with Memory() as memory:
        begin = time.perf_counter()
        found = compare(scenario, args.strategies, seed=1, **shape, progress=watch)
        seconds = time.perf_counter() - begin
    simulated = len(simulations) * args.clones * args.replicates * args.days
    result: dict[str, Any] = {
        "command": command(args),
        "machine": machine_text(),
        "scenario": args.scenario,
        **shape,
        "days": args.days,
        "strategies": len(found.frame),
        "left_out": dict(found.left_out),
        "simulations": len(simulations),
        "seconds": round(seconds, 1),
        "seconds_of_groups": watch.seconds,
        "desktop_days_per_s": round(simulated / seconds),
        "ms_a_desktop_day": round(seconds / simulated * 1e3, 4),
        "peak_mib": round(memory.peak / MIB),
        "peak_parent_mib": round(memory.own / MIB),
        "peak_child_mib": round(memory.child / MIB),
        "gates": {"seconds": SECONDS_GATE},
        "passed": {"seconds": seconds <= SECONDS_GATE, "all_strategies": not found.left_out},
    }
    print(json.dumps(result, indent=2))
    return finish(args, result, all(result["passed"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
