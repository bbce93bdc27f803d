"""Speed of replaying block writes on a delta, beside libcachesim's LRU on the same requests.

Run `python benchmarks/bench_replay.py`. It draws 20 M random 4 KiB writes on 40 GiB (a fixed seed), replays them on a
fresh delta several times in one process, and prints the median, by the clock and by processor time: they differ on a
busy machine. Where libcachesim can be imported (a separate environment; it is no dependency), its LRU sees the same
requests through its native reader, in turn with the replays.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_tools import GIB, MIB, MILLION, asked, command, finish, machine_text, most_resident, timed

from clonesim.delta import FORMATS, replay
from clonesim.ops import BlockOp, Requests

BLOCK = 4096
WANTED, TIMES_LRU = 20 * MILLION, 5.0  # writes per second, and times the rate of libcachesim


def draw_writes(n: int = 20 * MILLION, capacity: int = 40 * GIB, seed: int = 1) -> Requests:
    """Random aligned 4 KiB writes, a thousand a second."""
    blocks = np.random.default_rng(seed).integers(0, capacity // BLOCK, n)
    op = np.full(n, BlockOp.WRITE, np.uint8)
    return Requests(np.arange(n) * 1e-3, op, blocks * BLOCK, np.full(n, BLOCK, np.int64))


def bench_replay(requests: Requests, capacity: int, name: str = "vmfs-sparse") -> dict[str, float]:
    """Seconds of one replay from nothing, by the clock and by processor time."""
    return timed(lambda: replay(requests, name, capacity))


def warm(capacity: int, name: str = "vmfs-sparse") -> None:
    """Compile, or load, the kernels."""
    replay(draw_writes(1000, capacity), name, capacity)


def write_lru_trace(path: Path, requests: Requests) -> None:
    """Write the requests as libcachesim's native reader wants them: the oracleGeneral records."""
    rows = np.zeros(len(requests), [("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
    rows["time"], rows["id"], rows["size"] = requests.time_s, requests.offset // BLOCK, BLOCK
    rows["next"] = -2  # unknown; LRU does not look at it
    rows.tofile(path)


def bench_lru(path: Path, capacity: int) -> dict[str, float]:
    """Seconds of one pass of libcachesim's LRU that may hold the whole disk."""
    import libcachesim  # type: ignore[import-not-found]

    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    cache = libcachesim.LRU(cache_size=capacity)
    return timed(lambda: cache.process_trace(reader))


def has_lru() -> bool:
    """Whether libcachesim is there to compare with."""
    try:
        import libcachesim  # noqa: F401
    except ImportError:
        return False
    return True


def run(n: int, capacity: int, name: str, rounds: int, lru: bool) -> dict[str, Any]:
    """Replay in rounds, with a pass of LRU in turn if asked for; medians and rates."""
    requests = draw_writes(n, capacity)
    warm(capacity, name)
    times, lru_times, peak = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "writes.oracleGeneral.bin"
        if lru:
            write_lru_trace(trace, requests)
        for round_ in range(rounds):
            times.append(bench_replay(requests, capacity, name))
            if round_ == 0:
                peak = most_resident()
            if lru:
                lru_times.append(bench_lru(trace, capacity))
    found: dict[str, Any] = {"writes": n, "format": name, "rounds": rounds, **_rates(times, n)}
    found["peak_mib"] = peak / MIB
    found["requests_mib"] = n * (8 + 1 + 8 + 8) / MIB
    if lru:
        found["lru"] = _rates(lru_times, n)
        found["ratio"] = found["writes_per_s"] / found["lru"]["writes_per_s"]
        found["ratio_cpu"] = found["writes_per_cpu_s"] / found["lru"]["writes_per_cpu_s"]
    return found


def _rates(times: list[dict[str, float]], n: int) -> dict[str, Any]:
    wall = [t["wall_s"] for t in times]
    cpu = statistics.median(t["cpu_s"] for t in times)
    return {
        "median_s": statistics.median(wall),
        "fastest_s": min(wall),
        "slowest_s": max(wall),
        "writes_per_s": n / statistics.median(wall),
        "writes_per_cpu_s": n / max(cpu, 1e-9),
        "million_per_s": n / statistics.median(wall) / MILLION,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the command, the machine and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=20 * MILLION)
    parser.add_argument("--gib", type=int, default=40)
    parser.add_argument(
        "--formats", nargs="*", choices=FORMATS, default=["vmfs-sparse"], help="LRU stands beside the first"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-lru", action="store_true", help="leave libcachesim out, even if it is there")
    chosen = asked(parser, argv, writes=20_000, gib=1, rounds=1)
    lru = not chosen.no_lru and has_lru()
    print(f"command  {command(chosen)}\nmachine  {machine_text()}")
    figures: dict[str, Any] = {"writes": chosen.writes, "gib": chosen.gib, "formats": []}
    for name in chosen.formats:
        beside = lru and name == chosen.formats[0]
        found = run(chosen.writes, chosen.gib * GIB, name, chosen.rounds, beside)
        figures["formats"].append(found)
        what = f"{found['writes']:,} random 4 KiB writes on {chosen.gib} GiB, {found['format']}"
        print(f"workload {what}, {found['rounds']} runs")
        print_rates("replay", found)
        print(f"peak memory {found['peak_mib']:,.0f} MiB, of which {found['requests_mib']:,.0f} MiB are the requests")
        if beside:
            print_rates("libcachesim LRU", found["lru"])
            print(f"ratio {found['ratio']:.1f} by the clock, {found['ratio_cpu']:.1f} by processor time")
    if not lru:
        print("libcachesim is not here: no comparison")
    first = figures["formats"][0]
    passed = first["writes_per_s"] >= WANTED and first.get("ratio", TIMES_LRU) >= TIMES_LRU
    return finish(chosen, figures, passed)


def print_rates(title: str, rates: dict[str, Any]) -> None:
    """Print one line of medians."""
    spread = f"{rates['fastest_s']:.2f} to {rates['slowest_s']:.2f} s"
    speed = (
        f"{rates['writes_per_s'] / MILLION:.1f} M/s by the clock, {rates['writes_per_cpu_s'] / MILLION:.1f} M/s by CPU"
    )
    print(f"{title}: median {rates['median_s']:.2f} s ({spread}): {speed}")


if __name__ == "__main__":
    raise SystemExit(main())
