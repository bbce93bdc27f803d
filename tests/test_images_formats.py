"""Every format is read back byte for byte: images that qemu wrote, and ones that the tests' own writers made."""

import json
import random
import shutil
import uuid

import numpy as np
import pytest
from image_tools import (
    KIB,
    MIB,
    SECTOR,
    cowd_delta,
    descriptor,
    flat_vmdk,
    need,
    run,
    sesparse_delta,
    vhd_footer,
    write_cowd,
    write_vhd,
    write_vhdx,
)

from clonesim.ingest.image_chain import ImageChain

CAPACITY = 24 * MIB
qemu = need("qemu-img", "qemu-io")


def content(path, base=None):
    """Whole content of the disk, and what its own file holds, as clonesim reads them."""
    with ImageChain() as chain:
        disk = chain.disk(path, base)
        odd = disk.read(12345, 400_001)  # reads may begin and end anywhere
        whole = disk.read(0, disk.capacity)
        assert odd == whole[12345 : 12345 + 400_001]
        return whole, disk.grains, disk.format


def mapped(path, **how):
    """Ranges that qemu says the file itself holds."""
    found = []
    for extent in json.loads(run("qemu-img", "map", "--output=json", path, **how)):
        if extent["depth"] == 0 and extent["data"]:
            if found and found[-1][1] == extent["start"]:
                found[-1][1] += extent["length"]
            else:
                found.append([extent["start"], extent["start"] + extent["length"]])
    return found


def scattered(seed=1, capacity=CAPACITY):
    """A disk of zeros with random data here and there, but not in its last quarter."""
    rng = np.random.default_rng(seed)
    data = bytearray(capacity)
    for _ in range(60):
        at, length = int(rng.integers(0, capacity * 3 // 4 - 300_000)), int(rng.integers(1, 300_000))
        data[at : at + length] = rng.bytes(length // 2) + bytes(length - length // 2)
    return bytes(data)


@qemu
@pytest.mark.parametrize(
    ("image_format", "options", "name"),
    [
        ("qcow2", "cluster_size=65536", "qcow2"),
        ("qcow2", "cluster_size=512", "qcow2"),
        ("qcow2", "cluster_size=2097152,compat=0.10", "qcow2"),
        ("qcow2", "compression_type=zlib", "qcow2"),
        ("qcow2", "compression_type=zstd", "qcow2"),
        ("vmdk", "subformat=monolithicSparse", "vmdk-hosted"),
        ("vmdk", "subformat=monolithicFlat", "vmdk-flat"),
        ("vmdk", "subformat=twoGbMaxExtentSparse", "vmdk-hosted"),
        ("vmdk", "subformat=twoGbMaxExtentFlat", "vmdk-flat"),
        ("vmdk", "subformat=streamOptimized", "vmdk-stream"),
        ("vpc", "subformat=dynamic,force_size=on", "vhd"),
        ("vpc", "subformat=fixed,force_size=on", "vhd-fixed"),
        ("vhdx", "subformat=dynamic", "vhdx"),
        ("vhdx", "subformat=fixed", "vhdx"),
        ("vhdx", "subformat=dynamic,block_size=1048576", "vhdx"),
    ],
)
def test_an_image_that_qemu_wrote(tmp_path, image_format, options, name):
    raw, image = tmp_path / "disk.raw", tmp_path / "image"
    raw.write_bytes(scattered())
    packed = ["-c"] if "compression" in options else []
    run("qemu-img", "convert", *packed, "-f", "raw", "-O", image_format, "-o", options, raw, image)
    whole, grains, found = content(image)
    assert found == name
    assert whole == raw.read_bytes()
    if "block_size" in options:  # qemu's map says that a VHDX holds everything
        filled = np.frombuffer(whole, np.uint8).reshape(-1, MIB).any(axis=1)
        assert grains.tolist() == held(np.flatnonzero(filled).tolist(), MIB)
    elif image_format != "vhdx" and "fixed" not in options and "Flat" not in options:
        assert grains.tolist() == mapped(image)
        assert 0 < (grains[:, 1] - grains[:, 0]).sum() < CAPACITY


@qemu
@pytest.mark.parametrize(("image_format", "cluster"), [("qcow2", 64 * KIB), ("qcow2", 4 * KIB), ("vmdk", 64 * KIB)])
def test_a_chain_of_overlays_that_qemu_wrote(tmp_path, image_format, cluster):
    """Two overlays: what is absent comes from the parent, and its parent; discarded parts do not."""
    paths = [tmp_path / f"{number}.{image_format}" for number in range(3)]
    raw = tmp_path / "disk.raw"
    raw.write_bytes(scattered(2))
    run("qemu-img", "convert", "-f", "raw", "-O", image_format, raw, paths[0])
    random.seed(5)
    for path, parent in zip(paths[1:], paths, strict=False):
        options = ["-o", f"cluster_size={cluster}"] if image_format == "qcow2" else []
        run("qemu-img", "create", "-q", "-f", image_format, *options, "-F", image_format, "-b", parent.name, path)
        writes = [(random.randrange(256), random.randrange(49_000), random.randrange(1, 90)) for _ in range(60)]
        commands = "".join(f"write -q -P {byte} {at * 512} {count * 512}\n" for byte, at, count in writes)
        zeros = "".join(f"write -q -z {random.randrange(370) * 65536} 65536\n" for _ in range(20))
        run("qemu-io", "-f", image_format, path, input=commands + zeros * (image_format == "qcow2") + "quit\n")
    run("qemu-img", "convert", "-O", "raw", paths[2], tmp_path / "flat.raw")
    whole, grains, _ = content(paths[2])
    assert whole == (tmp_path / "flat.raw").read_bytes()
    assert grains.tolist() == mapped(paths[2])


def sectors_of(seed, n, size=SECTOR, capacity=CAPACITY, align=1):
    """Random units of a disk: number -> bytes, in random order, in runs of a multiple of `align`."""
    rng = np.random.default_rng(seed)
    found = {}
    for start in (rng.integers(0, capacity // size // align, n) * align).tolist():
        for number in range(start, min(start + int(rng.integers(1, 40)) * align, capacity // size)):
            found[number] = rng.bytes(size)
    return found


def laid_over(base, units, size):
    data = bytearray(base)
    for number, unit in units.items():
        data[number * size : (number + 1) * size] = unit
    return bytes(data)


def held(units, size):
    """Ranges of these units, the obvious way."""
    found = []
    for number in sorted(units):
        if found and found[-1][1] == number * size:
            found[-1][1] += size
        else:
            found.append([number * size, (number + 1) * size])
    return found


@pytest.mark.parametrize("grain", [1, 8])
def test_a_cowd_delta(tmp_path, grain):
    base = scattered(3)
    units = sectors_of(4, 150, grain * SECTOR)
    path = cowd_delta(tmp_path, "vm-000001", flat_vmdk(tmp_path, "vm", base), CAPACITY, units, grain)
    whole, grains, found = content(path)
    assert found == "vmfs-sparse"
    assert whole == laid_over(base, units, grain * SECTOR)
    assert grains.tolist() == held(units, grain * SECTOR)
    other, _, _ = content(tmp_path / "vm-000001-delta.vmdk", tmp_path / "vm.vmdk")  # its own file, the base named
    assert other == whole
    if shutil.which("qemu-img"):
        run("qemu-img", "convert", "-O", "raw", path, tmp_path / "out.raw")
        assert whole == (tmp_path / "out.raw").read_bytes()


def test_a_sesparse_delta(tmp_path):
    base = scattered(5, 40 * MIB)
    units = sectors_of(6, 120, 4096, 40 * MIB)
    free = [number for number in range(40 * MIB // 4096) if number not in units]
    zeros, unmapped = free[50:90], free[400:500:3]
    path = sesparse_delta(tmp_path, "vm-000001", flat_vmdk(tmp_path, "vm", base), 40 * MIB, units, zeros, unmapped)
    whole, grains, found = content(path)
    expected = laid_over(base, units | dict.fromkeys([*zeros, *unmapped], bytes(4096)), 4096)
    assert found == "se-sparse"
    assert whole == expected
    assert grains.tolist() == held(units, 4096)
    if shutil.which("qemu-img"):
        run("qemu-img", "convert", "-O", "raw", path, tmp_path / "out.raw")
        assert expected == (tmp_path / "out.raw").read_bytes()


def through_libvhdi(child_path, parent_path):
    """Content by another reader, which takes whole bytes of a bitmap for the child's and blocks of zeros for absent."""
    pyvhdi = pytest.importorskip("pyvhdi")
    parent, child = pyvhdi.file(), pyvhdi.file()
    parent.open(str(parent_path))
    child.open(str(child_path))
    child.set_parent(parent)
    found = child.read_buffer_at_offset(child.get_media_size(), 0)
    child.close()
    parent.close()
    return found


@pytest.mark.parametrize("align", [1, 8])
def test_a_differencing_vhd(tmp_path, align):
    base_units, units = sectors_of(7, 60), sectors_of(8, 90 // align, align=align)
    write_vhd(tmp_path / "base.vhd", CAPACITY, base_units)
    write_vhd(tmp_path / "child.vhd", CAPACITY, units, parent="base.vhd")
    base, _, _ = content(tmp_path / "base.vhd")
    assert base == laid_over(bytes(CAPACITY), base_units, SECTOR)
    whole, grains, found = content(tmp_path / "child.vhd")
    assert found == "vhd"
    assert whole == laid_over(base, units, SECTOR)
    assert grains.tolist() == held(units, SECTOR)
    if align == 8:
        assert whole == through_libvhdi(tmp_path / "child.vhd", tmp_path / "base.vhd")


@pytest.mark.parametrize("align", [1, 8])
def test_a_differencing_vhdx(tmp_path, align):
    base_units, units = sectors_of(9, 60), sectors_of(10, 40 // align, capacity=10 * MIB, align=align)
    write_vhdx(tmp_path / "base.vhdx", CAPACITY, base_units)
    full = dict.fromkeys(range(8 * 4096, 9 * 4096), b"full" * 128)
    write_vhdx(tmp_path / "child.vhdx", CAPACITY, units | full, parent="base.vhdx", full=[8], zeros=[9] * (align == 1))
    base, _, _ = content(tmp_path / "base.vhdx")
    assert base == laid_over(bytes(CAPACITY), base_units, SECTOR)
    whole, grains, found = content(tmp_path / "child.vhdx")
    zero = dict.fromkeys(range(9 * 4096, 10 * 4096), bytes(SECTOR)) if align == 1 else {}
    assert found == "vhdx"
    assert whole == laid_over(base, units | full | zero, SECTOR)
    assert grains.tolist() == held(units | full, SECTOR)
    if shutil.which("qemu-img"):
        assert run("qemu-img", "compare", tmp_path / "base.vhdx", _raw(tmp_path, base)).startswith(
            "Images are identical"
        )
    if align == 8:
        assert whole == through_libvhdi(tmp_path / "child.vhdx", tmp_path / "base.vhdx")


def _raw(folder, data):
    path = folder / "expected.raw"
    path.write_bytes(data)
    return path


def test_a_fixed_vhd(tmp_path):
    data = scattered(11)
    (tmp_path / "disk.vhd").write_bytes(data + vhd_footer(CAPACITY, 2))
    whole, grains, found = content(tmp_path / "disk.vhd")
    assert (whole, found) == (data, "vhd-fixed")
    assert grains.tolist() == [[0, CAPACITY]]


def test_extents_of_several_kinds_and_a_delta_on_them(tmp_path):
    """A base of three extents, one of which is zeros, and a delta of two: each part finds its own place in the base."""
    data = scattered(12)
    (tmp_path / "a").write_bytes(data[: 5 * MIB])
    (tmp_path / "b").write_bytes(b"in front" * 64 + data[9 * MIB :])
    extents = [
        f'RW {5 * MIB // 512} FLAT "a" 0',
        f"RW {4 * MIB // 512} ZERO",
        f'RW {15 * MIB // 512} FLAT "b" 1',
    ]
    (tmp_path / "base.vmdk").write_text(descriptor("custom", extents, cid="0172e8a4"))
    expected = data[: 5 * MIB] + bytes(4 * MIB) + data[9 * MIB :]
    assert content(tmp_path / "base.vmdk")[0] == expected
    assert content(tmp_path / "base.vmdk")[1].tolist() == [[0, 5 * MIB], [9 * MIB, 24 * MIB]]
    units = sectors_of(13, 60)
    cut = 7 * MIB // SECTOR
    write_cowd(tmp_path / "c", 7 * MIB, {n: unit for n, unit in units.items() if n < cut})
    write_cowd(tmp_path / "d", 17 * MIB, {n - cut: unit for n, unit in units.items() if n >= cut})
    extents = [f'RW {7 * MIB // 512} VMFSSPARSE "c"', f'RW {17 * MIB // 512} VMFSSPARSE "d"']
    (tmp_path / "delta.vmdk").write_text(descriptor("vmfsSparse", extents, "bbbbbbbb", "0172e8a4", "base.vmdk"))
    whole, grains, _ = content(tmp_path / "delta.vmdk")
    assert whole == laid_over(expected, units, SECTOR)
    assert grains.tolist() == held(units, SECTOR)


def test_a_base_smaller_than_its_delta_ends_in_zeros(tmp_path):
    base = scattered(14, 8 * MIB)
    flat = flat_vmdk(tmp_path, "vm", base)
    path = cowd_delta(tmp_path, "d", flat, CAPACITY, {30_000: b"x" * 512})
    assert content(path)[0] == laid_over(base.ljust(CAPACITY, b"\0"), {30_000: b"x" * 512}, SECTOR)


@pytest.mark.parametrize("name", ["vsstest.qcow2", "windows_volume.qcow2", "vmdk-rs/monolithicSparse.vmdk"])
@qemu
def test_real_images_read_as_qemu_reads_them(shared, tmp_path, name):
    path, raw = shared / "samples" / "images" / name, tmp_path / "out.raw"
    run("qemu-img", "convert", "-O", "raw", path, raw)
    with ImageChain() as chain, raw.open("rb") as expected:
        disk = chain.disk(path)
        assert disk.grains.tolist() == mapped(path)
        assert disk.capacity == raw.stat().st_size
        for low, high in disk.grains.tolist():
            begin = max(low - 100_000, 0)  # and something of what is absent
            expected.seek(begin)
            piece = expected.read(high + 100_000 - begin)
            assert disk.read(begin, len(piece)) == piece


@qemu
@pytest.mark.parametrize("name", ["streamOptimized", "streamOptimizedWithMarkers"])
def test_real_stream_optimized_images(shared, tmp_path, name):
    path = shared / "samples" / "images" / "vmdk-rs" / f"{name}.vmdk"
    run("qemu-img", "convert", "-O", "raw", path, tmp_path / "out.raw")
    assert content(path)[0] == (tmp_path / "out.raw").read_bytes()


def test_a_real_differencing_vhd(shared, tmp_path):
    """Its parent is absent: the sectors it holds are known all the same, and agree with an independent reader."""
    path = shared / "samples" / "images" / "fat-differential.vhd"
    with ImageChain() as chain:
        disk = chain.disk(path)
        assert disk.parent is None
        assert disk.parent_name.endswith("fat-parent.vhd")
        grains = disk.grains
        parts = [disk.read(low, high - low) for low, high in grains.tolist()]
    assert len(grains)
    pyvhdi = pytest.importorskip("pyvhdi")
    write_vhd(tmp_path / "empty.vhd", disk.capacity, {0: b"-" * 512}, mark=uuid.UUID(disk.parent_identity))
    image, parent = pyvhdi.file(), pyvhdi.file()
    parent.open(str(tmp_path / "empty.vhd"))
    image.open(str(path))
    image.set_parent(parent)
    assert image.get_parent_filename() == disk.parent_name
    for (low, high), part in zip(grains.tolist(), parts, strict=True):
        assert image.read_buffer_at_offset(high - low, low) == part
    image.close()
    parent.close()
