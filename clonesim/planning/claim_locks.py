"""Figures of claims about the lock of a LUN, and about base images in a cache."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import pandas as pd

from clonesim.lun.replica_cache import replica_hits
from clonesim.planning.claims import Figure
from clonesim.planning.lock_map import CLONES, LockGrid, lock_cliff, lock_map, lock_pool
from clonesim.planning.lock_phases import BOOT_STORM, HOST_FAILURE, PATCH_HOUR, STEADY, Habits
from clonesim.pool.storm_frame import storm_frame
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.units import GIB

HOSTS: Final = (2, 8)
HOLDS: Final = (1e-3, 5e-3, 20e-3)
LOCKINGS: Final = ("scsi-reservation", "ats")
MERGE: Final = 4  # growth steps of 16 MiB in one of 64 MiB


@cache
def _grid() -> LockGrid:
    return LockGrid(lock_pool("windows-11-office"))


@cache
def _cells() -> pd.DataFrame:
    return lock_map(_grid().sample, lockings=LOCKINGS, hosts=HOSTS, holds=HOLDS)


def machines_per_lun() -> list[Figure]:
    """C8: from how many clones on the wait passes 20 ms, by phase; and with larger steps."""
    cells = _cells()
    quiet = cells[(cells["phase"] == STEADY) & (cells["clones"] == max(CLONES))]
    steady = cells[cells["phase"] == STEADY]
    return [
        Figure("growth steps a second of 512 clones, busiest quiet hour", float(quiet["steps_per_s"].max()), "", 3),
        Figure("longest wait (p99) of that hour, any hold to 20 ms", 1e3 * float(steady["wait_p99_s"].max()), "ms"),
        _passes("boot storm, 1 ms holds, passes from clones", BOOT_STORM, "1 ms"),
        _passes("boot storm, 5 ms holds, passes from clones", BOOT_STORM, "5 ms"),
        _passes("boot storm, 20 ms holds, passes from clones", BOOT_STORM, "20 ms"),
        _passes("patch hour, 5 ms holds, passes from clones", PATCH_HOUR, "5 ms"),
        Figure("the same with growth steps of 64 MiB", _with_larger_steps(PATCH_HOUR)),
        Figure("boot storm, 5 ms, growth steps of 64 MiB, passes from clones", _with_larger_steps(BOOT_STORM)),
        _passes("host failure, 5 ms holds, passes from clones", HOST_FAILURE, "5 ms"),
    ]


def without_fear() -> list[Figure]:
    """C9: the longest waits of the map, by locking and hold."""
    cells = _cells()

    def longest(locking: str, hold: str) -> float:
        mine = cells[(cells["locking"] == locking) & (cells["hold"] == hold)]
        return 1e3 * float(mine["wait_p99_s"].max())

    return [
        *(Figure(f"longest wait (p99), ATS, holds of {hold}", longest("ats", hold), "ms") for hold in _told()),
        *(
            Figure(f"longest wait (p99), reservations, holds of {hold}", longest("scsi-reservation", hold), "ms")
            for hold in _told()
        ),
        _passes("reservations, 2 hosts, boot storm, 5 ms, pass from clones", BOOT_STORM, "5 ms", hosts=2),
        _passes("reservations, 8 hosts, boot storm, 5 ms, pass from clones", BOOT_STORM, "5 ms", hosts=8),
    ]


def base_image_in_cache() -> list[Figure]:
    """C10: 512 Windows XP desktops, eight a LUN, on 64 disks of 15,000 rpm."""
    working_set = catalog.value("arrays", "cache.replica_working_set")

    def disks(images: int, cache_bytes: int) -> float:
        return 100 * replica_hits(working_set, cache_bytes, replicas=images).disks

    def boots(own_lun: bool, cache_text: str) -> float:
        asked: dict[str, Any] = {
            "pool": {"clones": 512},
            "luns": {"count": 64, "clones_per_lun": 8, "replica_lun": own_lun},
            "array": {"read_cache": cache_text},
            "storms": {"boot_window": "1 min"},
        }
        frame = storm_frame(load_scenario("windows-xp-office", **asked), kinds=("boot",))
        return float(frame["t95_s"].iloc[0]) / 60

    return [
        Figure("working set of a base image (assumed)", working_set / GIB, "GiB", 1),
        Figure("its reads that reach the disks: 64 images, 4 GiB of cache", disks(64, 4 * GIB), "%"),
        Figure("the same: one image, 4 GiB of cache", disks(1, 4 * GIB), "%"),
        Figure("the same: one image, no cache", disks(1, 0), "%"),
        Figure("512 boots, 95 % done: an image on each of 64 LUNs, 4 GiB", boots(False, "4 GiB"), "min", 1),
        Figure("the same: one image on a LUN of its own, 4 GiB", boots(True, "4 GiB"), "min", 1),
        Figure("the same: one image on a LUN of its own, no cache", boots(True, "0 B"), "min", 1),
    ]


def _told() -> list[str]:
    return [f"{hold * 1e3:g} ms" for hold in HOLDS]


def _passes(name: str, phase: str, hold: str, locking: str = "scsi-reservation", hosts: int = 8) -> Figure:
    cliff = lock_cliff(_cells())
    mine = cliff[(cliff["locking"] == locking) & (cliff["phase"] == phase) & (cliff["hold"] == hold)]
    found = mine[mine["hosts"] == hosts]["passes_at"].iloc[0]
    return Figure(name, None if pd.isna(found) else float(found))


def _with_larger_steps(phase: str) -> float | None:
    grid = _grid()
    for clones in CLONES:
        play = grid.play(phase, clones, 8, Habits(merge=MERGE))
        if play.row(grid.locks("scsi-reservation", 5e-3), "scsi-reservation", 5e-3)["passes"]:
            return float(clones)
    return None
