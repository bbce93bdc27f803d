"""The guest's volume against a real NTFS driver: ntfs-3g on a real overlay, packaged runs and fresh ones."""

from __future__ import annotations

import csv
import random
import tempfile
from pathlib import Path
from typing import Any

from clonesim.guest import Volume
from clonesim.units import MIB

from . import driver_rig
from .entry import ENGINE, ROOT, Chapter, Figure, told, zero

CHAPTER = Chapter("The guest's volume: the engine, not Windows", ENGINE)
PACKAGED = {"blog_1": 512, "churn_11": 1024, "mixed_21": 1024}  # size of the volume [MiB]


def differences(rows: list[dict[str, Any]], mib: int) -> tuple[int, int, int, int]:
    """What a run of the driver and the same operations on a simulated volume differ by.

    Returns
    -------
    tuple of int
        Measured rows, rows whose used bytes differ, largest difference of the overlay's length [B], and its last
        length [B].
    """
    volume, delta = Volume(mib * MIB, policy="ntfs3g"), None
    count = used = length = last = 0
    for row in rows:
        op, name, size = str(row["op"]), str(row["file"]), int(row["bytes"])
        if op in ("base", "create"):
            volume.create(name, size)
        elif op == "append":
            volume.append(name, size)
        elif op == "delete":
            volume.delete(name)
        elif op == "mount":
            delta = volume.snapshot("qcow2", cluster_size=65536)
        else:
            volume.overwrite(name, int(op.removeprefix("overwrite@")), size)
        if delta is not None:
            count += 1
            used += volume.used_bytes != int(row["guest_used_bytes"])
            last = int(row["delta_file_bytes"])
            length = max(length, abs(delta.file_bytes - last))
    volume.check_invariants()
    return count, used, length, last


@CHAPTER.check(
    "ntfs3g-packaged",
    "Under the policy `ntfs3g` a volume uses, after every operation, the bytes that the real driver's volume "
    "used, and its qcow2 overlay has the length of the real one.",
    "three runs of ntfs-3g 2022.10.3 on Linux over QEMU 7.2, measured step by step (data/measured/)",
    tests=("test_ntfs3g_runs.py", "test_ntfs3g.py"),
    cheap=True,
    engine=True,
)
def ntfs3g_packaged() -> list[Figure]:
    """Differences over all packaged runs."""
    found = []
    for name, mib in PACKAGED.items():
        with (ROOT / "data" / "measured" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            found.append(differences(list(csv.DictReader(file)), mib))
    return [
        told("measured steps", sum(one[0] for one in found)),
        zero("steps whose used bytes differ", sum(one[1] for one in found)),
        zero("largest difference of the overlay's length", max(one[2] for one in found), "B"),
        told("length of the three overlays at the end", sum(one[3] for one in found) / MIB, "MiB", 1),
    ]


@CHAPTER.check(
    "ntfs3g-fresh",
    "The same for runs that nobody has seen: volume, files and operations are drawn anew each time.",
    "the ntfs-3g and QEMU that are installed, on this machine, one run of each kind: a file that comes and goes, "
    "files of many sizes, files that are appended to and overwritten too",
    tests=("test_ntfs3g_runs.py",),
    fresh=True,
    engine=True,
    note="Needs root, /dev/fuse and the Debian packages ntfs-3g, qemu-utils and qemu-system-common.",
)
def ntfs3g_fresh(seed: int) -> list[Figure]:
    """Differences over one run of each kind."""
    driver_rig.can_run()
    found = []
    for kind, steps in driver_rig.KINDS.items():
        draw = random.Random(f"{seed} {kind}")  # noqa: S311 (no secret)
        mib, fill = draw.randrange(64, 257), draw.uniform(0.1, 0.6)
        with tempfile.TemporaryDirectory() as folder:
            rows = driver_rig.run(kind, seed, mib, fill, steps, Path(folder))
        found.append(differences([dict(zip(driver_rig.COLUMNS, row, strict=True)) for row in rows], mib))
    return [
        Figure("measured steps", sum(one[0] for one in found), low=200, again=None),
        zero("steps whose used bytes differ", sum(one[1] for one in found), fresh=True),
        zero("largest difference of the overlay's length", max(one[2] for one in found), "B", fresh=True),
        told("length of the three overlays at the end", sum(one[3] for one in found) / MIB, "MiB", 1, again=None),
    ]
