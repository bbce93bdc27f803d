"""Real images, written by qemu's own drivers, against what `replay` says."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from clonesim.delta import Delta, replay
from clonesim.ops import Requests

KIB, MIB, GIB = 2**10, 2**20, 2**30
TOOLS = ("qemu-img", "qemu-io")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="qemu-img and qemu-io are absent (Debian package qemu-utils)"
)


def run(*argv, **how):
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True, **how).stdout


def overlay(folder, capacity, cluster):
    base, top = folder / "base.raw", folder / "top.qcow2"
    run("qemu-img", "create", "-q", "-f", "raw", base, capacity)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"cluster_size={cluster}", "-b", base, "-F", "raw", top)
    return top


def workload(seed, capacity, n, longest, discards):
    """Random requests of whole sectors in the last 2 GiB, of which a share are discards up to 8 times as long."""
    rng = np.random.default_rng(seed)
    offset = rng.integers(max(0, capacity - 2 * GIB) // 512, capacity // 512, n) * 512
    op = np.where(rng.random(n) < discards, 2, 1).astype(np.uint8)
    length = rng.integers(1, longest // 512 + 1, n) * 512 * np.where(op == 2, 8, 1)
    return Requests(np.arange(n, dtype=float), op, offset, np.minimum(length, capacity - offset))


def feed(image, requests, image_format="qcow2"):
    """All requests through one qemu-io process."""
    names = {1: "write -q", 2: "discard -q"}
    rows = zip(requests.op.tolist(), requests.offset.tolist(), requests.length.tolist(), strict=True)
    commands = "".join(f"{names[op]} {offset} {length}\n" for op, offset, length in rows)
    done = subprocess.run(
        ["qemu-io", "-f", image_format, "-d", "unmap", "-t", "writeback", str(image)],
        input=commands + "quit\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rror" not in done.stderr + done.stdout.replace("qemu-io> ", ""), done.stderr


def clusters_with_data(image, cluster):
    found = set()
    for extent in json.loads(run("qemu-img", "map", "--output=json", image)):
        if extent["depth"] == 0 and extent["data"]:
            end = extent["start"] + extent["length"]
            found.update(range(extent["start"] // cluster, -(-end // cluster)))
    return found


def held(delta):
    grain = delta.law.grain
    return {c for low, high in delta.grain_map() for c in range(low // grain, -(-high // grain))}


def check(folder, capacity, cluster, requests):
    image = overlay(folder, capacity, cluster)
    assert image.stat().st_size == Delta("qcow2", capacity, cluster_size=cluster).file_bytes
    feed(image, requests)
    delta = replay(requests, "qcow2", capacity, cluster_size=cluster)
    assert image.stat().st_size == delta.file_bytes
    assert clusters_with_data(image, cluster) == held(delta)
    report = json.loads(run("qemu-img", "check", "--output=json", image))
    assert report.get("allocated-clusters", 0) == delta.grains
    assert report.get("leaks", 0) == report.get("corruptions", 0) == report["check-errors"] == 0
    return image, delta


def test_20000_random_writes(tmp_path):
    requests = workload(1, 2 * GIB, 20_000, 64 * KIB, discards=0)
    _, delta = check(tmp_path, 2 * GIB, 64 * KIB, requests)
    assert delta.grains > 10_000


@pytest.mark.parametrize(
    ("capacity", "cluster", "n", "longest"),
    [
        (512 * MIB + 512 * 77, 64 * KIB, 2_000, 300_000),
        (256 * MIB, 4 * KIB, 3_000, 100_000),
        (64 * MIB, 512, 6_000, 20_000),  # the refcount table moves
        (100 * MIB + 1536, KIB, 5_000, 50_000),
        (300 * MIB + 1536, 512, 6_000, 9_000),  # it moves while the overlay is made
        (2 * GIB, 2 * MIB, 300, MIB),
        (256 * GIB, 64 * KIB, 300, 8 * MIB),  # all L2 tables fit qemu's cache
        (256 * GIB + 512, 64 * KIB, 300, 8 * MIB),  # they do not
    ],
)
@pytest.mark.parametrize("discards", [0, 0.25])
def test_cluster_sizes_and_discards(tmp_path, capacity, cluster, n, longest, discards):
    requests = workload(n + cluster, capacity, n, longest, discards)
    image, delta = check(tmp_path, capacity, cluster, requests)
    if discards and cluster >= 4 * KIB:  # the host file system punches whole blocks of 4 KiB
        assert image.stat().st_blocks * 512 == pytest.approx(delta.allocated_bytes, rel=0.01)
        assert delta.allocated_bytes < delta.file_bytes


def test_a_discard_of_untouched_space_still_takes_a_table(tmp_path):
    requests = Requests(np.zeros(1), np.array([2], np.uint8), np.array([10 * MIB]), np.array([MIB]))
    _, delta = check(tmp_path, GIB, 64 * KIB, requests)
    assert delta.grains == 0
    assert delta.file_bytes == 5 * 64 * KIB


def test_an_image_on_a_bus_without_discards(tmp_path):
    """qemu drops discards unless told to pass them, as a drive without discard=unmap does."""
    requests = workload(9, 64 * MIB, 400, 300_000, 0.4)
    image = overlay(tmp_path, 64 * MIB, 64 * KIB)
    rows = zip(requests.op.tolist(), requests.offset.tolist(), requests.length.tolist(), strict=True)
    commands = "".join(f"{'write' if op == 1 else 'discard'} -q {o} {n}\n" for op, o, n in rows)
    run("qemu-io", "-f", "qcow2", "-d", "ignore", image, input=commands + "quit\n")
    delta = replay(requests, "qcow2", "64 MiB", bus_discards=False)
    assert image.stat().st_size == delta.file_bytes == delta.allocated_bytes
    assert clusters_with_data(image, 64 * KIB) == held(delta)


@pytest.mark.parametrize("capacity", [GIB, 40 * GIB, 333 * MIB + 512])
def test_hosted_vmdk(tmp_path, capacity):
    image = tmp_path / "disk.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", image, capacity)
    assert image.stat().st_size == Delta("vmdk-hosted", capacity).file_bytes
    requests = workload(3, capacity, 300, 200_000, 0)
    feed(image, requests, "vmdk")
    assert image.stat().st_size == replay(requests, "vmdk-hosted", capacity).file_bytes


@pytest.mark.parametrize("capacity", [GIB, 40 * GIB, 334 * MIB])
def test_dynamic_vhd(tmp_path, capacity):
    image = tmp_path / "disk.vhd"
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", "force_size=on", image, capacity)
    assert image.stat().st_size == Delta("vhd", capacity).file_bytes
    requests = workload(4, capacity, 100, 200_000, 0)
    feed(image, requests, "vpc")
    assert image.stat().st_size == replay(requests, "vhd", capacity).file_bytes


def test_vhdx_grows_by_whole_blocks(tmp_path):
    """A disk without a parent: the same block table, no sector bitmaps; qemu lays its first block at 8 MiB."""
    image = tmp_path / "disk.vhdx"
    run("qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=2M", image, 8 * GIB)
    fresh = image.stat().st_size
    requests = workload(5, 8 * GIB, 60, 200_000, 0)
    feed(image, requests, "vhdx")
    delta = replay(requests, "vhdx", "8 GiB", sector_bitmap=0)
    assert (
        image.stat().st_size - fresh == delta.file_bytes - Delta("vhdx", "8 GiB").file_bytes == 2 * MIB * delta.grains
    )
