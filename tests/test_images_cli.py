"""`clonesim inspect`: what it tells, its JSON, its bitmap as a scenario's start, its refusals."""

import json

import numpy as np
import pytest
from image_tools import GIB, MIB, cowd_delta, flat_vmdk, make_ntfs, need

from clonesim import cli
from clonesim.cli import inspect as _registers  # noqa: F401
from clonesim.guest import Volume
from clonesim.guest.base_image import read_bitmap
from clonesim.ingest.images import read_image

pytestmark = need("mkntfs")


def call(capsys, *argv):
    code = cli.main(["inspect", *map(str, argv)])
    done = capsys.readouterr()
    return code, done.out, done.err


@pytest.fixture
def images(tmp_path):
    """A base with an NTFS volume, and a delta that holds a used and a free part of it."""
    raw = make_ntfs(tmp_path / "disk.raw", 64 * MIB)
    base = flat_vmdk(tmp_path, "base", raw.read_bytes())
    volume = read_image(base).ntfs
    first, clusters = volume.free_runs[np.argmax(volume.free_runs[:, 1])].tolist()
    data = raw.read_bytes()
    begin = [0, *range(first * 8, (first + min(clusters, 512)) * 8)]
    units = {number: data[number * 512 : number * 512 + 512] for number in begin}
    return raw, base, cowd_delta(tmp_path, "vm-000001", base, 64 * MIB, units)


def test_what_is_told_of_a_base_image(images, capsys):
    raw, *_ = images
    code, out, err = call(capsys, raw)
    assert (code, err) == (0, "")
    assert "disk.raw: raw, a disk of 0.062 GiB" in out
    assert "NTFS 3.1 at byte 0: 16383 clusters of 4 KiB." in out
    assert "Free runs by length" in out
    assert "reclaim" not in out.lower()
    assert "nan" not in out


def test_what_is_told_of_a_delta(images, capsys):
    _, base, delta = images
    code, out, err = call(capsys, delta)
    assert (code, err) == (0, "")
    assert "vm-000001.vmdk: vmfs-sparse" in out
    assert "It holds 0.002 GiB of the disk in 512 B grains, 2 ranges." in out
    assert "Parent: base.vmdk; read from: base.vmdk." in out
    assert "Delta 2.0 MiB, of which 2.0 MiB is free space in the guest (100 %)." in out
    code, out, _ = call(capsys, delta.with_name("vm-000001-delta.vmdk"), "--base", base, "--json")
    told = json.loads(out)
    assert told["reclaimable"] == {"held_bytes": 512 + 2 * MIB, "free_bytes": 2 * MIB, "grain_bytes": 2 * MIB}
    assert told["chain"][1] == str(base)


def test_the_json_and_the_bitmap(images, tmp_path, capsys):
    raw, *_ = images
    code, out, _ = call(capsys, raw, "--json", "--bitmap", tmp_path / "base.bits")
    told, volume = json.loads(out), read_image(raw).ntfs
    assert code == 0
    assert told["capacity"] == 64 * MIB
    assert told["ntfs"]["used_clusters"] == volume.used
    assert told["ntfs"]["free_runs"] == volume.free_run_histogram.to_dict("records")
    assert told["reclaimable"] is None
    assert told["settings"]["guest.start.bitmap"] == str(tmp_path / "base.bits")
    made = Volume(told["settings"]["guest.disk"], cluster_size=told["settings"]["guest.cluster_size"])
    assert made.clusters >= volume.clusters
    made.occupy(read_bitmap(tmp_path / "base.bits"))
    assert (made.bitmap[: volume.clusters] >= volume.bitmap).all()
    made.check_invariants()


def test_what_is_refused(images, tmp_path, capsys):
    raw, _, delta = images
    (tmp_path / "x").write_text("no image\n")
    code, out, err = call(capsys, tmp_path / "x")
    assert (code, out) == (2, "")
    assert err.startswith(f"clonesim: {tmp_path / 'x'}: is no disk image that is known")
    code, _, err = call(capsys, raw, "--base", delta)
    assert code == 2
    assert "has no parent" in err
    code, _, err = call(capsys, raw, "--bitmap", tmp_path / "no" / "folder")
    assert code == 2
    assert "Traceback" not in err
    (tmp_path / "bitlocker").write_bytes(b"\xeb\x58\x90-FVE-FS-".ljust(MIB, b"\0"))
    code, out, _ = call(capsys, tmp_path / "bitlocker")
    assert code == 0
    assert "is encrypted by BitLocker" in out.replace("\n", " ")
    code, _, err = call(capsys, tmp_path / "bitlocker", "--bitmap", tmp_path / "bits")
    assert code == 2
    assert "is encrypted by BitLocker" in err
    assert not (tmp_path / "bits").exists()


def test_the_example_of_the_design(images):
    """Sizes in the sentence are GiB with a decimal."""
    from clonesim.ingest.images import Reclaimable

    told = str(Reclaimable(int(14.2 * GIB), int(9.8 * GIB), 0))
    assert told == "delta 14.2 GiB, of which 9.8 GiB is free space in the guest"
