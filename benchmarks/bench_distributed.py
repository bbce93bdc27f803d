"""One and two workers of a Dask scheduler, each a process: time of the same pool, and that its bytes are the same.

Scheduler and workers run on this machine, a thread each; the time is that of `simulate` with its parts written to a
folder, after every worker has made one part of another pool, so that importing and loading the kernels is not counted.
Dask's own profiler is off, as docs/distributed.md advises: it takes stacks of the only busy thread 100 times a second.
Scheduler and driver take part of the same cores. Gate: two workers at least 1.8 times as fast as one.

Run: python benchmarks/bench_distributed.py [--clones 1000] [--days 30]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench_tools import Memory, asked, command, finish, machine_text

from clonesim.pool.simulate import simulate
from clonesim.scenario import load_scenario

GATE = 1.8
WAIT_S = 120.0


@contextmanager
def workers(folder: Path, count: int) -> Iterator[Any]:
    """Client of a scheduler with so many workers."""
    from distributed import Client

    file = folder / f"scheduler-{count}.json"
    with ExitStack() as stack:
        stack.enter_context(_started("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)))
        deadline = time.monotonic() + WAIT_S
        while not (file.is_file() and file.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.1)
        options = ("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        for _ in range(count):
            stack.enter_context(_started("worker", *options))
        client = stack.enter_context(Client(scheduler_file=str(file), set_as_default=False))
        client.wait_for_workers(count, timeout=WAIT_S)
        yield client


@contextmanager
def _started(*arguments: str) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    called = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    settings = os.environ | {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
    with subprocess.Popen(called, env=settings, **quiet) as program:
        try:
            yield
        finally:
            program.terminate()


def run(folder: Path, count: int, clones: int, days: int) -> dict[str, Any]:
    """Seconds and hash with so many workers."""
    with workers(folder, count) as client, Memory() as memory:
        executor = client.get_executor(pure=False)
        small = load_scenario("windows-11-office", pool={"clones": 24 * count, "days": days})
        simulate(small, seed=2, executor=executor, out=folder / f"warm-{count}")
        begin = time.perf_counter()
        asked_for = load_scenario("windows-11-office", pool={"clones": clones, "days": days})
        found = simulate(asked_for, seed=1, executor=executor, out=folder / f"run-{count}")
        seconds = time.perf_counter() - begin
    return {
        "workers": count,
        "seconds": round(seconds, 2),
        "peak_driver_mib": round(memory.own / 2**20),
        "peak_worker_mib": round(memory.child / 2**20),
        "frames_hash": found.hash[:16],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; exit code 1 where a gate was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    options = asked(parser, argv, clones=8, days=1)
    print(command(options), machine_text(), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        one, two = (run(Path(folder), count, options.clones, options.days) for count in (1, 2))
    ratio, same = one["seconds"] / two["seconds"], one["frames_hash"] == two["frames_hash"]
    for found in (one, two):
        print(
            f"{found['workers']} worker(s): {found['seconds']:.1f} s, driver {found['peak_driver_mib']} MiB, "
            f"largest worker {found['peak_worker_mib']} MiB"
        )
    print(f"two against one: {ratio:.2f} x (gate {GATE}); the same bytes: {same}")
    figures = {
        "clones": options.clones,
        "days": options.days,
        "one": one,
        "two": two,
        "speed_up": round(ratio, 3),
        "same": same,
    }
    return finish(options, figures, ratio >= GATE and same)


if __name__ == "__main__":
    sys.exit(main())
