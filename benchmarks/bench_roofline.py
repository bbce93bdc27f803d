"""How far the replay kernel is from memory bandwidth, and what holds it back.

Measured in one run: what one thread and two read and write per second (a sum, a copy, STREAM's triad, on arrays far
larger than the caches); the kernel of `replay` alone on random 4 KiB writes, vmfs-sparse, over disks of growing size,
so that its bits lie in one cache after the other and then in memory; the same requests in order of address; and the
least that any replay must do, a bit set per request (`mark`). A request is 17 B in arrays that the kernel reads from
end to end (operation, offset, length); times are read only when the file grows. The shares of a write's time:

memory     17 B at the bandwidth of one reading thread
bits       longer than on the smallest disk, whose bits lie in the first cache or the second
kernel     the rest: instructions, among them the account of grains, tables and file size

Run: python benchmarks/bench_roofline.py [--writes 20000000] [--mib 256]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import stream_kernel
from bench_replay import draw_writes
from bench_tools import GIB, MIB, MILLION, asked, caches, command, finish, machine_text

from clonesim.delta import Delta, replay
from clonesim.ops import Requests

REQUEST_BYTES = 1 + 8 + 8
LINE = 64
SIZES = (1, 8, 40, 256, 1024)  # GiB
SMALL, USUAL = 1, 40
GRAIN_SHIFT = 9


def bandwidth(mib: int, rounds: int) -> dict[str, dict[str, float]]:
    """Best of the rounds, with one thread and with two; a copy counts what it reads and what it writes. [GB/s]"""
    n = mib * MIB // 8
    pairs = [tuple(np.full(n, float(k)) for k in range(3)) for _ in range(2)]

    def copy(a: Any, b: Any, _: Any) -> None:
        np.copyto(a, b)

    cases: dict[str, tuple[int, Callable[..., Any]]] = {
        "read": (8, lambda a, _b, _c: stream_kernel.read(a)),
        "copy": (16, copy),
        "triad": (24, stream_kernel.triad),
    }
    found = {}
    with ThreadPoolExecutor(2) as pool:
        for name, (count, work) in cases.items():
            found[name] = {
                threads: count * n * len(mine) / 1e9 / min(_seconds(pool, work, mine) for _ in range(rounds + 1))
                for threads, mine in (("one", pairs[:1]), ("two", pairs))
            }
    return found


def _seconds(pool: ThreadPoolExecutor, work: Callable[..., Any], arrays: Sequence[tuple[Any, ...]]) -> float:
    begin = time.perf_counter()
    for job in [pool.submit(work, *mine) for mine in arrays]:
        job.result()
    return time.perf_counter() - begin


def per_write_ns(work: Callable[[], Callable[[], Any]], n: int, rounds: int) -> float:
    """Median processor time per write; `work` prepares a call and hands it over. [ns]"""
    taken = []
    for _ in range(rounds + 1):
        call = work()
        begin = time.process_time_ns()
        call()
        taken.append((time.process_time_ns() - begin) / n)
    return statistics.median(taken[1:])


def kernel_of(requests: Requests, capacity: int) -> Callable[[], Callable[[], Any]]:
    """A fresh delta with its pages in memory, and the requests unchecked."""

    def prepared() -> Callable[[], Any]:
        delta = Delta("vmfs-sparse", capacity, track_unique=True)
        delta._bits[:] = 0  # the system gives memory at the first touch: not the kernel's time
        return lambda: delta.accept(requests)

    return prepared


def mark_of(requests: Requests, capacity: int) -> Callable[[], Callable[[], Any]]:
    """A fresh mask, and the same addresses."""
    words = np.zeros((capacity >> GRAIN_SHIFT) // 64 + 1, np.int64)

    def prepared() -> Callable[[], Any]:
        words[:] = 0
        return lambda: stream_kernel.mark(requests.offset, GRAIN_SHIFT, words)

    return prepared


def sweep(n: int, sizes: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """A row per size of the disk."""
    rows = []
    for gib in sizes:
        capacity = gib * GIB
        drawn = draw_writes(n, capacity)
        ordered = Requests(drawn.time_s, drawn.op, np.sort(drawn.offset), drawn.length)
        times = {
            "kernel_ns": per_write_ns(kernel_of(drawn, capacity), n, rounds),
            "ordered_ns": per_write_ns(kernel_of(ordered, capacity), n, rounds),
            "mark_ns": per_write_ns(mark_of(drawn, capacity), n, rounds),
        }
        rows.append({"gib": gib, "bits_mib": (capacity >> GRAIN_SHIFT) / 8 / MIB, **times})
    return rows


def judged(rows: list[dict[str, Any]], speed: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Add rates and shares of bandwidth to the rows; what a write's time is made of on the usual disk."""
    largest = max(caches().values(), default=32.0)
    for row in rows:
        row["million_per_s"] = 1e3 / row["kernel_ns"]
        row["bits_in_memory"] = row["bits_mib"] > largest
        row["bytes_a_write"] = REQUEST_BYTES + 2 * LINE * row["bits_in_memory"]  # a line is read and written back
        row["roof_million_per_s"] = speed["read"]["one"] * 1e3 / row["bytes_a_write"]
        row["share_of_bandwidth"] = row["million_per_s"] / row["roof_million_per_s"]
    by_size = {row["gib"]: row for row in rows}
    usual, small = by_size.get(USUAL, rows[-1]), by_size.get(SMALL, rows[0])
    memory = REQUEST_BYTES / speed["read"]["one"]
    parts = {"memory": memory, "bits": max(usual["kernel_ns"] - small["kernel_ns"], 0.0)}
    parts["kernel"] = max(usual["kernel_ns"] - sum(parts.values()), 0.0)
    words = {
        "memory": "memory bandwidth",
        "bits": "the latency of the caches that hold the bits",
        "kernel": "the instructions of the kernel",
    }
    bound = max(parts, key=lambda name: parts[name])
    return {
        "usual": usual,
        "parts_ns": parts,
        "parts_percent": {name: 100 * part / usual["kernel_ns"] for name, part in parts.items()},
        "bound": words[bound],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print bandwidth, sweep and verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=20 * MILLION)
    parser.add_argument("--mib", type=int, default=256, help="size of each array of the bandwidth")
    parser.add_argument("--gib", nargs="*", type=int, default=list(SIZES), help="sizes of the disks")
    parser.add_argument("--rounds", type=int, default=5)
    options = asked(parser, argv, writes=10_000, mib=1, gib=[1, 8], rounds=1)
    print(f"command  {command(options)}\nmachine  {machine_text()}, caches {caches()} MiB")
    speed = bandwidth(options.mib, options.rounds)
    for name, row in speed.items():
        print(f"{name:6} {row['one']:6.1f} GB/s with one thread, {row['two']:6.1f} GB/s with two")
    rows = sweep(options.writes, options.gib, options.rounds)
    whole = draw_writes(options.writes, options.gib[-1] * GIB if USUAL not in options.gib else USUAL * GIB)
    capacity = int((USUAL if USUAL in options.gib else options.gib[-1]) * GIB)
    replay_ns = per_write_ns(lambda: lambda: replay(whole, "vmfs-sparse", capacity), options.writes, options.rounds)
    found = judged(rows, speed)
    print("  GiB  bits MiB  kernel ns  in order ns  mark ns  M/s  roof M/s  share of bandwidth")
    for row in rows:
        print(
            f"{row['gib']:5} {row['bits_mib']:9.2f} {row['kernel_ns']:10.2f} {row['ordered_ns']:12.2f} "
            f"{row['mark_ns']:8.2f} {row['million_per_s']:4.0f} {row['roof_million_per_s']:9.0f} "
            f"{row['share_of_bandwidth']:19.1%}"
        )
    told = ", ".join(f"{name} {part:.2f} ns" for name, part in found["parts_ns"].items())
    print(f"a write on {found['usual']['gib']} GiB: {told}; held back by {found['bound']}")
    print(f"whole replay, with its checks and a delta's making: {replay_ns:.2f} ns a write")
    figures = {"writes": options.writes, "array_mib": options.mib, "bandwidth_gb_per_s": speed, "rows": rows}
    return finish(options, figures | found | {"replay_ns": replay_ns})


if __name__ == "__main__":
    raise SystemExit(main())
