"""What all benchmarks share: options, the machine they ran on, memory and processor time, the file of figures.

Every benchmark takes `--json FILE`, which gets its figures beside what it prints, and `--quick`, a form of a second or
two that shows that it runs and whose figures mean nothing. `tools/performance_book.py` runs them all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

MILLION = 10**6
MIB, GIB = 2**20, 2**30
LIBRARIES = ("numpy", "numba", "pandas", "pyarrow", "scipy")
BESIDE = ("libcachesim", "simpy", "ciw", "distributed")  # what figures stand beside, where it is installed


def asked(parser: argparse.ArgumentParser, argv: Sequence[str] | None, **quick: Any) -> argparse.Namespace:
    """Options of a benchmark; with `--quick` those not given are as in `quick`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--quick", action="store_true", help="a second or two; the figures mean nothing")
    words = list(sys.argv[1:] if argv is None else argv)
    if "--quick" in words:
        parser.set_defaults(**quick)
    options = parser.parse_args(words)
    options.words = words
    return options


def finish(options: argparse.Namespace, figures: dict[str, Any], passed: bool | None = None) -> int:
    """Write the figures if asked for; exit code: 1 where a gate was missed, unless this was the quick form."""
    if options.json is not None:
        told = {"command": command(options), "quick": options.quick, "passed": passed, "figures": figures}
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(passed is False and not options.quick)


def command(options: argparse.Namespace) -> str:
    """How this was called, without the path of the file of figures."""
    words = list(options.words)
    if "--json" in words:
        at = words.index("--json")
        del words[at : at + 2]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def machine() -> dict[str, Any]:
    """Processor, memory, system and versions; nothing that names the machine."""
    told: dict[str, Any] = {
        "cpu": processor(),
        "cores": cores(),
        "caches_mib": caches(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    return told | {name: version(name) for name in LIBRARIES + BESIDE}


def version(name: str) -> str:
    """Version of a library, or that there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Name of the processor."""
    try:
        lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model name")]
    return named[0] if named else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def caches() -> dict[str, float]:
    """Size of each cache for data that the first core has, by name ("L1", ...); empty if unknown. [MiB]"""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}"] = round(int(size[:-1]) / 1024, 3)
    return found


def machine_text() -> str:
    """The machine in one line."""
    return f"{processor()}, {cores()} cores, {platform.system()}, Python {platform.python_version()}"


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds of one call, by the clock and by processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def rates(n: int, rounds: int, work: Callable[[], Any]) -> dict[str, float]:
    """Median, slowest and fastest rate, after one unmeasured call. [M/s]"""
    work()
    seconds = [timed(work)["wall_s"] for _ in range(rounds)]
    found = {"median": statistics.median(seconds), "slowest": max(seconds), "fastest": min(seconds)}
    return {name: round(n / value / MILLION, 4) for name, value in found.items()}


def cpu_s() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def most_resident() -> int:
    """Highest resident size of this process so far. [B]"""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Memory:
    """Highest resident memory of a process and all below it, while the block runs; pages they share count twice.

    Attributes
    ----------
    peak : int
        Of all together. [B]
    own, child : int
        Of the process itself, and of the largest one below it. [B]
    """

    def __init__(self, pid: int | None = None) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.peak = self.own = self.child = 0

    def __enter__(self) -> Memory:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            own, below = resident(self.pid), [resident(pid) for pid in descendants(self.pid)]
            self.own, self.child = max(self.own, own), max(self.child, *below, 0)
            self.peak = max(self.peak, own + sum(below))
            if self._stop.wait(0.1):
                return


def resident(pid: int) -> int:
    """Resident size of a process, 0 where the system does not tell. [B]"""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def descendants(pid: int) -> list[int]:
    """Children of a process, their children and so on."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]
