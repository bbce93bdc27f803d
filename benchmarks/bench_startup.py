"""Start-up of fresh processes: `import clonesim` over bare Python, and a warm `clonesim --help`.

Run: python benchmarks/bench_startup.py
Gates: import at most 0.1 s over bare Python, --help at most 0.3 s; medians of 15 processes each, taken in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench_tools import asked, command, finish, machine_text

RUNS = 15
CASES = {
    "bare python": [sys.executable, "-c", "pass"],
    "import clonesim": [sys.executable, "-c", "import clonesim"],
    "clonesim --help": [sys.executable, "-m", "clonesim", "--help"],
}
IMPORT_GATE_S, HELP_GATE_S = 0.1, 0.3


def measure(runs: int = RUNS) -> dict[str, list[float]]:
    """Seconds of each run of each case; the first round warms the caches and is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(runs + 1):
        for name, words in CASES.items():
            begin = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            if number or runs == 0:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Print command, machine, medians and spread; exit with 1 where a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="0: the first round alone")
    options = asked(parser, argv, runs=0)
    seconds = measure(options.runs)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    over = median["import clonesim"] - median["bare python"]
    result = {
        "command": command(options),
        "machine": machine_text(),
        "runs": options.runs,
        "median_s": {name: round(value, 4) for name, value in median.items()},
        "spread_s": {name: [round(min(v), 4), round(max(v), 4)] for name, v in seconds.items()},
        "import_over_bare_s": round(over, 4),
        "gates_s": {"import_over_bare": IMPORT_GATE_S, "help": HELP_GATE_S},
        "passed": over <= IMPORT_GATE_S and median["clonesim --help"] <= HELP_GATE_S,
    }
    print(json.dumps(result, indent=2))
    return finish(options, result, bool(result["passed"]))


if __name__ == "__main__":
    sys.exit(main())
