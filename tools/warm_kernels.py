"""Compile the kernels once, so that the first command of a user does not have to. Two processes share the work.

Run: python tools/warm_kernels.py
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def pool_kernels() -> None:
    """Numbered files, deltas, accounts, datastores, locks, storms, plans: what pools and plans need."""
    import numpy as np
    import pandas as pd

    from clonesim import Volume, lock_queue, run_trace, simulate
    from clonesim.ingest import packaged_trace
    from clonesim.ops import OPS_DTYPE
    from clonesim.planning.space_risk import space_risk

    nightly = [{"name": "refresh", "when": "nightly"}, {"name": "space-reclaim", "every": "1 d", "threshold": "0 B"}]
    run = simulate("windows-11-office", pool={"clones": 1, "days": 3}, strategy=nightly, processes=1)
    len(run.storms)  # made when it is asked for
    cached = {"platform": {"name": "generic"}, "strategy": ["mcs", "profile-streaming"]}
    simulate("windows-11-office", pool={"clones": 1, "days": 2}, processes=1, **cached)
    space_risk(np.ones((1, 2, 2), np.int64), lambda n: n, 10, [1])
    run_trace(packaged_trace(), clones=2)
    lock_queue(pd.DataFrame({"time_s": [0.0, 0.0], "host": [0, 1], "hold_s": [0.0005] * 2}), "ats+scsi")
    volume = Volume("64 MiB", policy="ntfs3g")
    volume.apply(np.zeros(1, OPS_DTYPE))


def named_kernels() -> None:
    """Named files, for Windows and for the ntfs-3g driver."""
    from clonesim import Volume

    for policy in ("windows", "ntfs3g"):
        volume = Volume("64 MiB", policy=policy)
        volume.create("a", "1 MiB")
        volume.snapshot("qcow2")
        volume.append("a", 5000)
        volume.rename("a", "b")
        volume.trim()
        volume.revert()


def main() -> None:
    """Compile, and say how long it took where it took long."""
    start = time.monotonic()
    if sys.stderr.isatty():
        print("Compiling kernels, about two minutes the first time ...", file=sys.stderr)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job in [pool.submit(named_kernels), pool.submit(pool_kernels)]:
            job.result()
    if time.monotonic() - start > 20:
        print(f"Kernels compiled in {time.monotonic() - start:.0f} s.", file=sys.stderr)


if __name__ == "__main__":
    main()
