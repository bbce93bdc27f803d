"""File operations a second on an aged volume: `Volume.apply` on 40 GiB, 80 % full, policy `windows`.

Ageing: files of lognormal size (mu 9.48, sigma 2.4566 in ln bytes: Impressions, FAST'09; capped at 1 GiB) fill the
volume to 98 %, then random ones are deleted until it is 80 % full, which leaves more than 20,000 free runs. Timed is
what follows: creates and deletes of random files that keep it at 80 %, one operation every 10 ms of guest time. Each
repeat goes on from the same aged state (a snapshot and `revert`). Run: python benchmarks/bench_apply.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
from bench_tools import asked, command, finish, machine_text, most_resident
from numpy.typing import NDArray

from clonesim.guest import Volume
from clonesim.guest.request_kernel import EMIT
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.units import GIB, MIB, parse_size

MU, SIGMA, CAP = 9.48, 2.4566, GIB  # ln bytes; catalog-grade source: facts on file sizes (Impressions)
FILLED, FULL = 0.98, 0.80
FREE_RUNS = 20_000
STEP_S = 0.01
DISK = "40 GiB"
WANTED = 2e6  # operations a second of the guest alone


class Plan:
    """Creates and deletes of numbered files that keep a volume's fill at its level."""

    def __init__(self, rng: np.random.Generator, cap: int = CAP) -> None:
        self.rng, self.cap, self.live, self.sizes, self.unused, self.time = rng, cap, [], {}, [], 0.0
        self.used, self.next = 0, 0

    def ops(self, count: int, target: int) -> NDArray[np.void]:
        """Next operations: creates while less than `target` bytes are in use, else deletes of random files."""
        ops = np.zeros(count, OPS_DTYPE)
        sizes = np.minimum(np.exp(self.rng.normal(MU, SIGMA, count)), self.cap).astype(np.int64)
        picks = self.rng.random(count)
        for i in range(count):
            self.time += STEP_S
            ops[i]["time_s"] = self.time
            if self.used < target or not self.live:
                number = self.unused.pop() if self.unused else self.next
                self.next = max(self.next, number + 1)
                ops[i]["op"], ops[i]["file"], ops[i]["length"] = FileOp.CREATE, number, sizes[i]
                self.live.append(number)
                self.sizes[number] = -(-int(sizes[i]) // 4096) * 4096
                self.used += self.sizes[number]
            else:
                k = int(picks[i] * len(self.live))
                self.live[k], number = self.live[-1], self.live[k]
                self.live.pop()
                self.unused.append(number)
                self.used -= self.sizes.pop(number)
                ops[i]["op"], ops[i]["file"] = FileOp.DELETE, number
        return ops


def aged_volume(disk: str = DISK, seed: int = 1) -> tuple[Volume, Plan]:
    """A volume, 80 % full; one of 40 GiB with at least 20,000 free runs."""
    size = parse_size(disk)
    plan = Plan(np.random.default_rng(seed), CAP if disk == DISK else size // 1000)
    volume = Volume(disk, policy="windows")
    meta = volume.used_bytes
    while volume.used_bytes < (FILLED - 0.002) * size:
        volume.apply(plan.ops(20_000, int(FILLED * size) - meta))
    while volume.used_bytes > (FULL + 0.002) * size:
        volume.apply(plan.ops(1_000, 0))
    volume.advance("1 min")
    assert disk != DISK or volume.free_runs >= FREE_RUNS, f"only {volume.free_runs} free runs: age the volume more"
    return volume, plan


def measure(count: int, repeats: int, with_delta: bool, disk: str = DISK) -> dict[str, float]:
    """Median operations a second, with the volume's figures."""
    volume, plan = aged_volume(disk)
    size = parse_size(disk)
    figures = {"used_fraction": volume.used_bytes / size, "free_runs": volume.free_runs, "files": len(plan.live)}
    figures["state_mib"] = volume.state_bytes / MIB
    ops = plan.ops(count, int(FULL * size))
    sink = volume.snapshot("vmfs-sparse")
    rates = []
    for _ in range(repeats + 1):  # the first run warms up
        volume._arena[EMIT] = with_delta  # off: the guest alone
        start = time.perf_counter()
        volume.apply(ops)
        rates.append(count / (time.perf_counter() - start))
        figures["free_runs_after"], figures["delta_gib"] = volume.free_runs, sink.file_bytes / GIB
        figures["state_with_saved_pages_mib"] = volume.state_bytes / MIB
        volume.revert()
    volume.check_invariants()
    return figures | {"median_ops_per_s": statistics.median(rates[1:]), "best_ops_per_s": max(rates[1:])}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--disk", default=DISK)
    options = asked(parser, argv, ops=2000, repeats=1, disk="512 MiB")
    print(f"command  {command(options)}\nmachine  {machine_text()}")
    told = {}
    for name, with_delta in (("guest", False), ("with_delta", True)):
        told[name] = figures = measure(options.ops, options.repeats, with_delta, options.disk)
        print(f"with a vmfs-sparse delta: {with_delta}")
        for figure, value in figures.items():
            print(f"  {figure}: {value:,.2f}")
    print(f"peak memory: {most_resident() / MIB:.0f} MiB")
    told |= {"operations": options.ops, "peak_mib": most_resident() / MIB}
    return finish(options, told, told["guest"]["median_ops_per_s"] >= WANTED)


if __name__ == "__main__":
    raise SystemExit(main())
