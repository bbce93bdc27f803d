"""Seconds and memory of whole commands, each in a new process with its kernels compiled.

Run: python benchmarks/bench_commands.py [--commands locks]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from bench_tools import MIB, Memory, asked, command, finish, machine_text

COMMANDS = {
    "locks": ("map of locks, 2,100 cells, its own pool of 512 clones included", ["locks"]),
    "experiment": ("1 GiB created and deleted ten times under every policy", ["experiment"]),
    "catalog": ("list of the catalog", ["catalog"]),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line per command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", nargs="*", default=["locks", "experiment"], choices=COMMANDS)
    options = asked(parser, argv, commands=["catalog"])
    print(f"command  {command(options)}\nmachine  {machine_text()}")
    rows = []
    for name in options.commands:
        title, words = COMMANDS[name]
        with tempfile.TemporaryDirectory(prefix="clonesim-bench-") as folder, Memory() as memory:
            begin = time.perf_counter()
            called = [sys.executable, "-m", "clonesim", *words]
            subprocess.run(called, check=True, cwd=folder, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - begin
        row = {"name": name, "title": title, "seconds": seconds, "peak_mib": (memory.peak - memory.own) / MIB}
        rows.append(row)
        print(f"clonesim {' '.join(words):12} {seconds:7.2f} s, {row['peak_mib']:,.0f} MiB")
    return finish(options, {"rows": rows})


if __name__ == "__main__":
    raise SystemExit(main())
