"""Simulate the small pools that the planner page answers from: clonesim/app/pools/*.npz.

    python tools/planner_pools.py            # what is missing
    python tools/planner_pools.py --anew     # all of it, after a change of what a simulation says

A pool takes 12 to 44 s of one core, all 18 of them less than eight minutes. File names are digests of what the clones
do (guest, workload, strategy, users, seed, ...), so a changed catalog asks for other files; those that nothing asks for
are deleted.
"""

from __future__ import annotations

import argparse
import time
from importlib.resources import files
from pathlib import Path

from clonesim.app.choices import packaged, small
from clonesim.planning.planned_pool import planned_pool, pool_key, save_planned_pool


def main() -> None:
    """Simulate and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anew", action="store_true", help="simulate what is there already, too")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    folder, size = Path(str(files("clonesim.app"))) / "pools", small()
    wanted = set()
    for picked in packaged():
        one = picked.small()
        path = folder / f"{pool_key(one, size['seed'], size['replicates'])}.npz"
        wanted.add(path.name)
        if path.is_file() and not asked.anew:
            continue
        start = time.process_time()
        found = planned_pool(one, size["seed"], size["replicates"], processes=asked.processes)
        save_planned_pool(found, path)
        took, size_b = time.process_time() - start, path.stat().st_size
        print(f"{picked.name}, {picked.strategy}: {took:.0f} s, {size_b:,} B, {path.name}", flush=True)
    for path in folder.glob("*.npz"):
        if path.name not in wanted:
            path.unlink()
            print(f"deleted {path.name}: nothing asks for it")


if __name__ == "__main__":
    main()
