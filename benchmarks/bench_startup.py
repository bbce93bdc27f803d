"""Start-up of fresh processes: `import clonesim` over bare Python, and a warm `clonesim --help`.

Run: python benchmarks/bench_startup.py
Gates: import at most 0.1 s over bare Python, --help at most 0.3 s; medians of 15 processes each, taken in turns.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time

RUNS = 15
CASES = {
    "bare python": [sys.executable, "-c", "pass"],
    "import clonesim": [sys.executable, "-c", "import clonesim"],
    "clonesim --help": [sys.executable, "-m", "clonesim", "--help"],
}
IMPORT_GATE_S, HELP_GATE_S = 0.1, 0.3


def measure() -> dict[str, list[float]]:
    """Seconds of each run of each case; the first round warms the caches and is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(RUNS + 1):
        for name, command in CASES.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def main() -> int:
    """Print command, machine, medians and spread; exit with 1 where a gate is missed."""
    seconds = measure()
    median = {name: statistics.median(values) for name, values in seconds.items()}
    over = median["import clonesim"] - median["bare python"]
    result = {
        "command": "python benchmarks/bench_startup.py",
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "runs": RUNS,
        "median_s": {name: round(value, 4) for name, value in median.items()},
        "spread_s": {name: [round(min(v), 4), round(max(v), 4)] for name, v in seconds.items()},
        "import_over_bare_s": round(over, 4),
        "gates_s": {"import_over_bare": IMPORT_GATE_S, "help": HELP_GATE_S},
        "passed": over <= IMPORT_GATE_S and median["clonesim --help"] <= HELP_GATE_S,
    }
    print(json.dumps(result, indent=2))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
