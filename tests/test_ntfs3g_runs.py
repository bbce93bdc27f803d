"""`Volume(policy="ntfs3g")` against runs of the real driver: measured ones, and fresh ones where they can be made."""

import csv
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SHARED
from reference_ntfs3g import ReferenceNtfs3g
from reference_ntfs3g_space import CLUSTER

from clonesim.guest import Volume

MIB = 1 << 20
GRAIN = 65536  # of the measured qcow2 overlays [B]
MEASURED = {"blog_1": 512, "churn_11": 1024, "mixed_21": 1024}  # size of the volume [MiB]


def replay(path, mib):
    """Replay a measured run.

    Returns
    -------
    list of tuple
        Step, operation, file, used bytes (simulated, measured), delta bytes (simulated, measured) of each row.
    """
    volume, delta, found = Volume(mib * MIB, policy="ntfs3g"), None, []
    with path.open(newline="") as rows:
        for row in csv.DictReader(rows):
            op, name, size = row["op"], row["file"], int(row["bytes"])
            if op in ("base", "create"):
                volume.create(name, size)
            elif op == "append":
                volume.append(name, size)
            elif op.startswith("overwrite@"):
                volume.overwrite(name, int(op.removeprefix("overwrite@")), size)
            elif op == "delete":
                volume.delete(name)
            else:
                assert op == "mount", op
                delta = volume.snapshot("qcow2", cluster_size=GRAIN)
            if delta is not None:
                used, length = int(row["guest_used_bytes"]), int(row["delta_file_bytes"])
                found.append((int(row["step"]), op, name, (volume.used_bytes, used), (delta.file_bytes, length)))
    volume.check_invariants()
    return found


def check_run(path, mib, note=""):
    """The volume follows a measured run: its use at every step, its delta exactly."""
    rows = replay(path, mib)
    assert len(rows) > 10, f"{path.name}: only {len(rows)} measured rows {note}"
    for step, op, name, (used, real), _ in rows:
        assert used == real, f"{path.name} step {step} {op} {name}: {(used - real) // CLUSTER:+} clusters in use {note}"
    errors = [abs(delta / real - 1) for *_, (delta, real) in rows]
    late = [error for error, row in zip(errors, rows, strict=True) if row[4][1] > 16 * MIB]
    assert statistics.median(errors) <= 0.01, f"{path.name}: median error {statistics.median(errors):.3%} {note}"
    assert max(late, default=0) <= 0.05, f"{path.name}: worst error {max(late):.3%} {note}"
    for step, op, name, _, (delta, real) in rows:
        assert delta == real, f"{path.name} step {step} {op} {name}: delta {delta} B, measured {real} B {note}"


@pytest.mark.parametrize("name", MEASURED)
def test_measured_run(name):
    check_run(ROOT / "data" / "measured" / f"{name}.csv", MEASURED[name])


def test_measured_runs_are_the_originals(shared):
    for name in MEASURED:
        original = shared / "measured" / f"{name}.csv"
        assert (ROOT / "data" / "measured" / original.name).read_bytes() == original.read_bytes()


def test_reference_follows_a_measured_run():
    """The reference itself is held to the real driver, so that it is more than the kernels' mirror."""
    reference, wrong, measured = ReferenceNtfs3g(MEASURED["blog_1"] * MIB), [], 0
    with (ROOT / "data" / "measured" / "blog_1.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            if row["op"] == "mount":
                reference.mount()
            elif row["op"] == "delete":
                reference.delete(row["file"])
            else:
                reference.create(row["file"], int(row["bytes"]))
            if row["guest_used_bytes"]:
                measured += 1
                if reference.used_clusters * CLUSTER != int(row["guest_used_bytes"]):
                    wrong.append((row["step"], row["op"], reference.used_clusters))
            if measured == 9:  # the rest is more of the same, and this is slow
                break
    assert (measured, wrong) == (9, [])


def rig():
    """Path of the tool that makes runs; skips where it cannot work here."""
    tool = SHARED / "tools" / "real_ntfs_churn.py"
    if not tool.is_file():
        pytest.skip(f"the tool that makes runs is absent: {tool}")
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting NTFS needs root")
    missing = [p for p in ("qemu-img", "qemu-storage-daemon", "mkntfs", "ntfs-3g", "umount") if not shutil.which(p)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (packages qemu-utils, qemu-system-common, ntfs-3g)")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"/dev/fuse cannot be used: {error.strerror}")
    return tool


@pytest.mark.rig
@pytest.mark.parametrize(("kind", "steps"), [("blog", 6), ("churn", 150), ("mixed", 150)])
def test_fresh_run_of_the_real_driver(kind, steps, tmp_path):
    """A run that nobody has seen. To repeat a failure: CLONESIM_RIG_SEED=<the seed it prints>."""
    tool = rig()
    seed = int(os.environ.get("CLONESIM_RIG_SEED") or int.from_bytes(os.urandom(4), "little"))
    rnd = random.Random(f"{kind} {seed}")
    mib, fill = rnd.randrange(64, 257), round(rnd.uniform(0.1, 0.6), 2)
    out, argv = tmp_path / f"{kind}_{seed}.csv", [kind, str(seed), str(mib), str(fill), str(steps)]
    note = f"[CLONESIM_RIG_SEED={seed}: {tool.name} {' '.join(argv)}]"
    print(note)
    try:
        done = subprocess.run([sys.executable, tool, *argv, out], capture_output=True, text=True, timeout=120)
    finally:
        unmount(tmp_path)
    assert done.returncode == 0, f"the tool failed {note}: {done.stderr[-500:]}"
    check_run(out, mib, note)


def unmount(folder: Path):
    """Leave no mount behind, whatever happened to the tool."""
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[1].startswith(str(folder)):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)
