"""What a first use costs: each case in a new process without a cached kernel, then again with the kernels it cached.

Run: python benchmarks/bench_first_use.py [--cases apply]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from bench_tools import asked, command, cpu_s, finish, machine_text, timed

NAMED = "v = Volume('64 MiB', policy='{}'); v.create('a', '1 MiB'); v.snapshot('qcow2'); v.revert()"
APPLY = "import numpy; from clonesim.ops import OPS_DTYPE; Volume('64 MiB').apply(numpy.zeros(1, OPS_DTYPE))"
CASES = {
    "apply": ("`Volume.apply`, numbered files", APPLY),
    "named": ("named files, Windows", NAMED.format("windows")),
    "ntfs3g": ("named files, ntfs-3g", NAMED.format("ntfs3g")),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print seconds by the clock and by processor time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    options = asked(parser, argv, cases=["apply"])
    print(f"command  {command(options)}\nmachine  {machine_text()}")
    rows = []
    for name in options.cases:
        title, code = CASES[name]
        with tempfile.TemporaryDirectory(prefix="clonesim-bench-") as folder:
            own = {} if options.quick else {"NUMBA_CACHE_DIR": folder}  # quick: with the kernels that are there
            words = [sys.executable, "-c", f"from clonesim import Volume; {code}"]
            row: dict[str, object] = {"first_s": 0.0, "first_cpu_s": 0.0, "case": name, "title": title}
            for word in ("again",) if options.quick else ("first", "again"):
                before = cpu_s()
                taken = timed(lambda w=words, e=own: subprocess.run(w, check=True, env=os.environ | e))  # type: ignore[misc]
                row |= {f"{word}_s": taken["wall_s"], f"{word}_cpu_s": cpu_s() - before}
        rows.append(row)
        print(
            f"{title:32} first {row['first_s']:6.1f} s ({row['first_cpu_s']:.1f} s CPU), again {row['again_s']:.2f} s"
        )
    return finish(options, {"rows": rows})


if __name__ == "__main__":
    raise SystemExit(main())
