"""Figures of claims about one volume and one delta: which clusters, which format, which content."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import pandas as pd

from clonesim.delta import replay
from clonesim.guest import Volume
from clonesim.ingest import packaged_trace, read_trace
from clonesim.planning.claims import Figure
from clonesim.planning.compare import compare
from clonesim.pool.experiment import create_delete
from clonesim.units import GIB, MIB

TOLD: Final = ("fresh-first", "next-fit", "worst-fit", "ntfs3g", "windows", "best-fit", "first-fit")
FORMATS: Final = ("vmfs-sparse", "se-sparse", "vhd", "vhdx", "qcow2", "vmdk-hosted", "lvm-thin", "zfs-zvol", "rbd")
ROUNDS: Final = 10
MEASURED_UNDER: Final = ("ntfs3g", "fresh-first", "best-fit", "windows")


@cache
def _experiment() -> pd.DataFrame:
    return create_delete(policies=TOLD, rounds=ROUNDS)


def _after(policy: str) -> int:
    """Delta after the last round. [B]"""
    mine = _experiment()[_experiment()["policy"] == policy]
    return int(mine["delta_bytes"].iloc[-1])


def _changes() -> dict[str, float]:
    """How much the guest's used space changed until the last round, by policy. [B]"""
    found = {}
    for policy in TOLD:
        used = _experiment().loc[_experiment()["policy"] == policy, "guest_used_bytes"].to_numpy()
        found[policy] = float(used[-1] - used[0])
    return found


def ten_times_one_file() -> list[Figure]:
    """C4: a volume of 20 GiB with 10 GiB in use, on a vmfs-sparse delta."""
    most = max(abs(value) for value in _changes().values())
    return [
        Figure("change of the guest's used space, any policy", most / MIB, "MiB"),
        *(Figure(f"delta after ten rounds, {policy}", _after(policy) / GIB, "GiB", 2) for policy in TOLD),
    ]


def never_used_first() -> list[Figure]:
    """C3: what follows from the claim in a run that was measured, and what other rules and the real driver do."""
    measured, rows = _measured()
    simulated = {policy: _replayed(rows, policy) for policy in MEASURED_UNDER}
    written = sum(row["bytes"] for row in rows if row["op"] == "create")
    return [
        Figure("written in twelve rounds, volume of 512 MiB", written / MIB, "MiB"),
        Figure("overlay of a real driver (ntfs-3g on Linux), measured", measured / MIB, "MiB", 1),
        *(
            Figure(f"the same run under {policy}, simulated", size / MIB, "MiB", 1)
            for policy, size in simulated.items()
        ),
    ]


def _measured() -> tuple[int, list[dict[str, Any]]]:
    """Length of the overlay at the end of a measured run, and its operations."""
    path = packaged_trace().parent / "measured" / "blog_1.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = [row | {"bytes": int(row["bytes"])} for row in csv.DictReader(file)]
    return int(rows[-1]["delta_file_bytes"]), rows


def _replayed(rows: Sequence[Mapping[str, Any]], policy: str) -> int:
    """Length of the overlay if a volume under a policy ran the same operations. [B]"""
    volume, delta = Volume("512 MiB", policy=policy), None
    for row in rows:
        if row["op"] == "mount":
            delta = volume.snapshot("qcow2", cluster_size=65536)
        elif row["op"] == "delete":
            volume.delete(row["file"])
        else:
            volume.create(row["file"], row["bytes"])
    return delta.file_bytes if delta else 0


def nothing_clever() -> list[Figure]:
    """C7: the same content in two deltas, content that is deleted, and what arrays add."""
    volumes = [Volume("20 GiB", os="windows-11", policy="fresh-first") for _ in range(2)]
    deltas = [volume.snapshot("vmfs-sparse") for volume in volumes]
    for volume in volumes:
        volume.create("same", "1 GiB")
    discards = Volume("20 GiB", os="windows-11", policy="fresh-first")
    discards.create("windows", "10 GiB")
    sparse = discards.snapshot("se-sparse")
    for _ in range(ROUNDS):
        discards.create("big.iso", "1 GiB")
        discards.delete("big.iso")
    found = compare(
        "windows-11-office",
        "linked-clone, array-dedup",
        clones=8,
        replicates=2,
        pool={"days": 30},
        platform={"name": "generic"},
        delta={"format": "se-sparse"},
        luns={"backing": "vmfs-6"},
    )
    row = dict(zip(found.frame["strategy"], found.frame["array_peak_bytes"].astype(float), strict=True))
    both = sum(delta.file_bytes for delta in deltas)
    return [
        Figure("two deltas, vmfs-sparse, after the same 1 GiB was written to each", both / GIB, "GiB", 2),
        Figure("C4 on vmfs-sparse, fresh-first", _after("fresh-first") / GIB, "GiB", 2),
        Figure("C4 on se-sparse with guest discards, fresh-first", sparse.file_bytes / GIB, "GiB", 2),
        Figure("on the array per desktop, peak, no deduplication", _gib(row, "linked-clone"), "GiB", 1),
        Figure("the same with an array that deduplicates", _gib(row, "array-dedup"), "GiB", 1),
    ]


def other_platforms() -> list[Figure]:
    """C16: one trace, and the file that each format makes of it."""
    trace = read_trace(packaged_trace())
    deltas = {name: replay(trace, name) for name in FORMATS}
    unique = deltas["vmfs-sparse"].table(at=[trace.time_s[-1]])["unique_bytes"].iloc[-1]
    first = Figure("distinct bytes written by the packaged trace", float(unique) / MIB, "MiB")
    return [first, *(Figure(f"file, {name}", delta.file_bytes / MIB, "MiB") for name, delta in deltas.items())]


def largest_deltas() -> list[Figure]:
    """Part of C1: what a format takes when every block was written."""
    volume = Volume("20 GiB")
    delta = volume.snapshot("vmfs-sparse")
    volume.create("a", "19 GiB")
    sparse = Volume("64 GiB").snapshot("se-sparse")
    return [
        Figure("most that a vmfs-sparse delta takes, disk of 20 GiB", delta.law.full_bytes / GIB, "GiB", 2),
        Figure("most that an se-sparse delta takes, disk of 64 GiB", sparse.law.full_bytes / GIB, "GiB", 2),
        Figure("vmfs-sparse after 19 GiB were written to an empty disk of 20", delta.file_bytes / GIB, "GiB", 2),
    ]


def _gib(peaks: Mapping[str, float], strategy: str) -> float:
    return peaks[strategy] / GIB
