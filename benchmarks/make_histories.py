"""Histories of pools from the block simulator, for the coverage of forecasts; one Parquet file a pool.

Every pool is drawn anew: guest, policy, discards, free space, how busy and how different users are, size of patches,
the day it starts. Forty clones on four datastores, `--days` days, no refreshes. Files that are there already are kept.

Run: python benchmarks/make_histories.py FOLDER --first 0 --count 20 [--days 140]
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import clonesim as cs

GIB = 2**30
CLONES, CLONES_PER_LUN = 40, 10
GUESTS = {"windows-7-office": 24, "windows-10-office": 32, "windows-11-office": 32}  # GiB used in the image
POLICIES = ("windows", "best-fit", "fresh-first")


def settings(number: int) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Scenario, overrides and the drawn settings of pool `number`."""
    draw = np.random.default_rng(np.random.SeedSequence(20261120, spawn_key=(number,)))
    preset = str(draw.choice(list(GUESTS)))
    policy = str(draw.choice(POLICIES, p=(0.25, 0.25, 0.5)))
    free = round(float(np.exp(draw.uniform(np.log(3), np.log(24)))), 1)
    used = GUESTS[preset]
    drawn = {
        "preset": preset,
        "policy": policy,
        "discards": bool(preset != "windows-7-office" and draw.random() < 0.3),
        "free_bytes": int(free * 1024) * 2**20,
        "intensity": float(np.exp(draw.normal(0, 0.35))),
        "sigma": float(draw.uniform(0.3, 0.7)),
        "patch_factor": float(np.exp(draw.normal(0, 0.3))),
        "start": (date(2024, 1, 1) + timedelta(days=int(draw.integers(0, 730)))).isoformat(),
    }
    overrides = {
        "users": {"intensity_sigma": drawn["sigma"]},
        "guest": {
            "disk": used * GIB + int(drawn["free_bytes"]),
            "used": used * GIB,
            "policy": policy,
            "discards": drawn["discards"],
        },
        "workload": {"intensity": drawn["intensity"]},
        "storms": {"patch_factor": drawn["patch_factor"]},
        "luns": {"clones_per_lun": CLONES_PER_LUN, "size": "8 TiB"},
    }
    return preset, overrides, drawn


def make(number: int, days: int, folder: Path) -> float:
    """Simulate one pool and keep its daily sizes; returns the seconds it took."""
    path = folder / f"pool-{number:05d}.parquet"
    if path.exists():
        return 0.0
    preset, overrides, drawn = settings(number)
    pool = {"clones": CLONES, "days": days, "start": drawn["start"]}
    begun = time.perf_counter()
    run = cs.simulate(preset, seed=number, processes=1, pool=pool, **overrides)
    growth = run.growth[["day", "clone", "lun", "delta_bytes", "guest_used_bytes"]]
    growth.to_parquet(path, index=False)
    path.with_suffix(".json").write_text(json.dumps(drawn))
    return time.perf_counter() - begun


def main() -> None:
    """Make so many pools, from number `first` on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--days", type=int, default=140)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for number in range(asked.first, asked.first + asked.count):
        took = make(number, asked.days, asked.folder)
        print(f"pool {number}: {took:.1f} s", flush=True)


if __name__ == "__main__":
    main()
