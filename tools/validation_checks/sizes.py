"""Sizes of delta files: public listings, a real trace counted bit by bit, and files that QEMU wrote."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from clonesim.delta import FORMATS, Delta, replay
from clonesim.ops import Requests
from clonesim.units import GIB, KIB, MIB

from .entry import Chapter, Figure, need, sample, told, zero

CHAPTER = Chapter("Sizes of delta files")
TRACE = "libCacheSim, data/cloudPhysicsIO.vscsi"
TRACE_MD5 = "07900bae14946bae403d591a90c1e2af"
LISTED = (107_374_182_400, 1_594_042_368, 16_984_064)  # base, first delta, second delta [B]
RECORD = np.dtype("<u4,<u4,<u4,<u2,<u2,<u8,<u8")
RECORD.names = ("sn", "len", "nsg", "cmd", "ver", "lbn", "ts")
QCOW2 = (  # capacity, cluster, requests, longest request [B]
    (2 * GIB, 64 * KIB, 5_000, 64 * KIB),
    (256 * MIB, 4 * KIB, 1_000, 100_000),
    (64 * MIB, 512, 1_500, 20_000),
    (100 * MIB + 1536, KIB, 700, 50_000),
    (2 * GIB, 2 * MIB, 200, MIB),
    (256 * GIB, 64 * KIB, 100, 8 * MIB),
)


@CHAPTER.check(
    "esxi-deltas",
    "The size law of vmfs-sparse gives the sizes of two real delta files on top of each other, to the byte.",
    "a public listing of a virtual machine on ESXi (2012): a disk of 100 GiB, deltas of 1,594,042,368 and "
    "16,984,064 B, which are 95 and 1 increments of 16 MiB and a header of 206,848 B",
    tests=("test_delta_sizes.py",),
    cheap=True,
)
def esxi_deltas() -> list[Figure]:
    """Differences of both files."""
    from test_delta_sizes import with_steps

    base, *sizes = LISTED
    first = with_steps(base, 95)
    second = Delta("vmfs-sparse", parent=first)
    return [
        zero(f"{name} delta: simulated less listed", delta.file_bytes - size, "B")
        for name, delta, size in zip(("first", "second"), (first, second), sizes, strict=True)
    ]


@CHAPTER.check(
    "real-trace",
    "Two hours of a real virtual machine make, in eleven formats and at seven times, deltas of the size that an "
    "independent count of touched units gives.",
    "a recorded vSCSI trace of 113,872 commands, unpacked by NumPy alone and counted with one bit per sector; the"
    " laws are written down anew for this disk",
    tests=("test_delta_cloudphysics.py",),
    cheap=True,
)
def real_trace() -> list[Figure]:
    """Wrong figures among all formats and times."""
    from test_delta_cloudphysics import CAPACITY, MINUTES, expected

    path = sample("traces/cloudPhysicsIO.vscsi", TRACE, TRACE_MD5)
    names = ("sn", "len", "nsg", "cmd", "ver", "lbn", "ts")
    rows = np.fromfile(
        path, [(name, kind) for name, kind in zip(names, ["u4", "u4", "u4", "u2", "u2", "u8", "u8"], strict=True)]
    )
    start = int(rows["ts"][0])
    requests = Requests(
        (rows["ts"] - rows["ts"][0]) / 1e6,
        (rows["cmd"] == 0x2A).astype(np.uint8),
        rows["lbn"].astype(np.int64) * 512,
        rows["len"].astype(np.int64),
    )
    writes = rows[rows["cmd"] == 0x2A]
    seconds = (writes["ts"].astype(np.int64) - start) / 1e6
    counts = []
    for minute in MINUTES:
        done = writes[: int((seconds.astype(np.int64) <= 60 * minute).sum())]
        touched = np.zeros(CAPACITY // 512, np.bool_)
        for low, length in zip(done["lbn"].tolist(), done["len"].tolist(), strict=True):
            touched[low : low + -(-length // 512)] = True
        counts.append((int(done["len"].astype(np.int64).sum()), np.flatnonzero(touched)))
    wrong = looked = 0
    for name in FORMATS:
        table = replay(requests, name, CAPACITY).table(at=[60 * minute for minute in MINUTES])
        for row, (written, sectors) in zip(table.itertuples(), counts, strict=True):
            found = (row.written_bytes, row.unique_bytes, row.grains, row.metadata_bytes, row.file_bytes)
            right = (written, 512 * sectors.size, *expected(name, sectors))
            wrong += sum(one != other for one, other in zip(found, right, strict=True))
            looked += len(right)
    return [told("commands", len(rows)), told("figures compared", looked), zero("wrong figures", wrong)]


@CHAPTER.check(
    "qemu-qcow2",
    "Random writes and discards make a qcow2 overlay with the clusters, the length and the allocated clusters "
    "that QEMU itself ends with.",
    "overlays written by qemu-io, read by `qemu-img map` and `qemu-img check`: five cluster sizes, with and "
    "without discards",
    tests=("test_delta_qemu.py",),
    cheap=True,
    fresh=True,
)
def qemu_qcow2(seed: int) -> list[Figure]:
    """Differences over all overlays."""
    need("qemu-img", "qemu-io")
    from test_delta_qemu import workload

    requests = clusters = length = allocated = 0
    for number, (capacity, cluster, count, longest) in enumerate(QCOW2):
        asked = workload([seed, number], capacity, count, longest, 0.25 * (number % 2))
        with tempfile.TemporaryDirectory() as folder:
            found = _overlay(Path(folder), capacity, cluster, asked)
        requests += count
        clusters, length, allocated = clusters + found[0], length + found[1], allocated + found[2]
    return [
        told("requests", requests, again=None),
        zero("clusters on one side only", clusters, fresh=True),
        zero("sum of differences of file lengths", length, "B", fresh=True),
        zero("sum of differences of allocated clusters", allocated, fresh=True),
    ]


def _overlay(folder: Path, capacity: int, cluster: int, asked: Requests) -> tuple[int, int, int]:
    """Clusters on one side only, difference in length, difference in allocated clusters of one overlay."""
    import json

    from test_delta_qemu import clusters_with_data, feed, held, overlay, run

    image = overlay(folder, capacity, cluster)
    feed(image, asked)
    delta = replay(asked, "qcow2", capacity, cluster_size=cluster)
    told_by_qemu = json.loads(run("qemu-img", "check", "--output=json", image))
    return (
        len(clusters_with_data(image, cluster) ^ held(delta)),
        abs(image.stat().st_size - delta.file_bytes),
        abs(told_by_qemu.get("allocated-clusters", 0) - delta.grains),
    )


@CHAPTER.check(
    "qemu-others",
    "Hosted VMDK and dynamic VHD images have the length that QEMU's drivers give them, fresh and after random "
    "writes; a VHDX grows as QEMU's does.",
    "images written by qemu-io: three capacities each; QEMU lays a VHDX's first block elsewhere, so its growth is"
    " compared",
    tests=("test_delta_qemu.py",),
    cheap=True,
    fresh=True,
)
def qemu_others(seed: int) -> list[Figure]:
    """Differences over all images."""
    need("qemu-img", "qemu-io")
    from test_delta_qemu import feed, run, workload

    images, off = 0, 0
    cases = [("vmdk", "vmdk-hosted", [], c) for c in (GIB, 40 * GIB, 333 * MIB + 512)]
    cases += [("vpc", "vhd", ["-o", "force_size=on"], c) for c in (GIB, 40 * GIB, 334 * MIB)]
    cases += [("vhdx", "vhdx", ["-o", "block_size=2M"], 8 * GIB)]
    for number, (kind, name, options, capacity) in enumerate(cases):
        more = {"sector_bitmap": 0} if name == "vhdx" else {}
        asked = workload([seed, number], capacity, 100, 200_000, 0)
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "disk"
            run("qemu-img", "create", "-q", "-f", kind, *options, image, capacity)
            fresh = image.stat().st_size
            feed(image, asked, kind)
            grown = image.stat().st_size
        first, last = Delta(name, capacity).file_bytes, replay(asked, name, capacity, **more).file_bytes
        if name != "vhdx":
            off += abs(fresh - first) + abs(grown - last)
        else:
            off += abs((grown - fresh) - (last - first))
        images += 1
    return [told("images", images, again=None), zero("sum of differences of lengths", off, "B", fresh=True)]
