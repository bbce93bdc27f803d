"""NTFS volumes in images against ntfs-3g's own tools, and what is free in a delta against counting sectors."""

import shutil
import struct
import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest
from image_tools import (
    BASIC,
    GIB,
    KIB,
    MIB,
    RESERVED,
    SECTOR,
    cowd_delta,
    descriptor,
    flat_vmdk,
    gpt,
    make_ntfs,
    mbr,
    need,
    ntfsinfo,
    run,
    vhd_footer,
)

from clonesim.errors import ImageError
from clonesim.guest.base_image import read_bitmap
from clonesim.ingest.images import common_bytes, read_image, reclaimable

ntfs3g = need("mkntfs", "ntfsinfo", "ntfscp", "ntfscat")
qemu = need("qemu-img", "qemu-io")


def bits_of(path):
    """$Bitmap as ntfs-3g's tools copy it out."""
    done = subprocess.run(["ntfscat", "-f", "-i", "6", str(path)], check=True, capture_output=True)
    return np.unpackbits(np.frombuffer(done.stdout, np.uint8), bitorder="little").astype(bool)


def check_volume(ntfs, path):
    """Geometry, counts and every bit agree with ntfs-3g's tools."""
    size, clusters, free = ntfsinfo(path)
    assert (ntfs.cluster_size, ntfs.clusters, ntfs.free) == (size, clusters, free)
    assert ntfs.used + ntfs.free == clusters
    expected = bits_of(path)[:clusters]
    assert ntfs.bitmap.size == clusters
    assert (ntfs.bitmap == expected).all()
    runs, free_bits = ntfs.free_runs, ~expected
    starts = np.flatnonzero(free_bits & ~np.concatenate([[False], free_bits[:-1]]))
    assert runs[:, 0].tolist() == starts.tolist()
    assert runs[:, 1].sum() == free
    table = ntfs.free_run_histogram
    assert table["runs"].sum() == len(runs)
    assert table["clusters"].sum() == free
    for row in table.to_dict("records"):
        here = (runs[:, 1] >= row["from_clusters"]) & (runs[:, 1] <= row["to_clusters"])
        assert row["runs"] == here.sum()


def fill(path, folder, n, seed=0):
    """Copy files of random sizes into a volume."""
    rng = np.random.default_rng(seed)
    source = folder / "source"
    for number in range(n):
        source.write_bytes(rng.bytes(int(rng.integers(1, 400_000))))
        run("ntfscp", "-f", "-q", path, source, f"file{number}")


@ntfs3g
@pytest.mark.parametrize(("cluster", "size"), [(512, 9 * MIB + 512 * 3), (4096, 70 * MIB), (64 * KIB, 300 * MIB)])
def test_a_volume_without_a_partition_table(tmp_path, cluster, size):
    path = make_ntfs(tmp_path / "disk.raw", size, cluster)
    fill(path, tmp_path, 12)
    image = read_image(path)
    assert (image.format, image.capacity, image.table, image.notes) == ("raw", size, "none", ())
    assert [(part.number, part.content) for part in image.partitions] == [(0, "ntfs")]
    check_volume(image.ntfs, path)
    assert (image.bitmap == image.ntfs.bitmap).all()
    assert image.ntfs.version == "3.1"
    assert image.ntfs.dirty in (False, True)


@ntfs3g
@pytest.mark.parametrize(("name", "first"), [("xp", 63), ("vista", 2048)])
def test_a_volume_in_an_mbr_partition(tmp_path, name, first):
    path = make_ntfs(tmp_path / "part.raw", 40 * MIB)
    disk = tmp_path / "disk.raw"
    sectors = 40 * MIB // SECTOR
    table = mbr([(7, first, sectors), (0x82, first + sectors, 2048)])
    disk.write_bytes(table.ljust(first * SECTOR, b"\0") + path.read_bytes() + bytes(MIB))
    image = read_image(disk)
    assert image.table == "mbr"
    assert [(part.offset, part.content) for part in image.partitions] == [
        (first * SECTOR, "ntfs"),
        ((first + sectors) * SECTOR, "empty"),
    ]
    assert image.ntfs.offset == first * SECTOR
    check_volume(image.ntfs, path)


@ntfs3g
def test_logical_partitions_are_found(tmp_path):
    path = make_ntfs(tmp_path / "part.raw", 16 * MIB)
    sectors, data = 16 * MIB // SECTOR, bytearray(64 * MIB)
    data[:512] = mbr([(6, 2048, 100), (0x0F, 4096, 2 * sectors + 4096)])
    data[4096 * 512 : 4096 * 512 + 512] = mbr([(7, 63, sectors), (5, sectors + 2048, sectors)])
    at = 4096 + sectors + 2048
    data[at * 512 : at * 512 + 512] = mbr([(7, 63, sectors), (5, 0, 5)])
    for first in (4096 + 63, at + 63):
        data[first * 512 : first * 512 + 16 * MIB] = path.read_bytes()
    disk = tmp_path / "disk.raw"
    disk.write_bytes(data)
    image = read_image(disk)
    assert [part.offset // 512 for part in image.partitions] == [2048, 4096 + 63, at + 63]
    assert [volume.offset // 512 for volume in image.volumes] == [4096 + 63, at + 63]
    for volume in image.volumes:
        check_volume(volume, path)


@ntfs3g
@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("sector", [512, 4096])
def test_volumes_in_gpt_partitions(tmp_path, sector, broken):
    """The larger one is the image's, unless another is asked for; with a broken header the copy at the end counts."""
    small, large = make_ntfs(tmp_path / "small.raw", 12 * MIB), make_ntfs(tmp_path / "large.raw", 50 * MIB)
    fill(large, tmp_path, 9)
    capacity, data = 80 * MIB, bytearray(80 * MIB)
    at = MIB // sector
    ends = [at + 12 * MIB // sector, at + 12 * MIB // sector + 50 * MIB // sector]
    parts = [(BASIC, at, ends[0] - 1), (BASIC, ends[0], ends[1] - 1), (RESERVED, ends[1], ends[1] + 7)]
    front, back = gpt(capacity, parts, sector)
    data[: len(front)], data[-len(back) :] = front, back
    data[MIB : 13 * MIB], data[13 * MIB : 63 * MIB] = small.read_bytes(), large.read_bytes()
    if broken:
        data[sector + 40] ^= 1
    disk = tmp_path / "disk.raw"
    disk.write_bytes(data)
    image = read_image(disk)
    assert image.table == "gpt"
    assert [(part.type, part.content) for part in image.partitions] == [
        ("basic data", "ntfs"),
        ("basic data", "ntfs"),
        ("Microsoft reserved", "empty"),
    ]
    assert image.ntfs.offset == 13 * MIB
    check_volume(image.ntfs, large)
    check_volume(read_image(disk, partition=1).ntfs, small)
    assert len(image.volumes) == 2


@ntfs3g
def test_the_same_volume_in_every_container(tmp_path):
    raw = make_ntfs(tmp_path / "disk.raw", 64 * MIB)
    fill(raw, tmp_path, 20, 3)
    expected = read_image(raw).ntfs
    paths = [flat_vmdk(tmp_path, "flat", raw.read_bytes())]
    (tmp_path / "fixed.vhd").write_bytes(raw.read_bytes() + vhd_footer(64 * MIB, 2))
    paths.append(tmp_path / "fixed.vhd")
    if shutil.which("qemu-img"):
        for form, options in [
            ("qcow2", "cluster_size=4096"),
            ("vmdk", "subformat=streamOptimized"),
            ("vhdx", "subformat=dynamic"),
            ("vpc", "force_size=on"),
        ]:
            paths.append(tmp_path / f"disk.{form}")
            run("qemu-img", "convert", "-f", "raw", "-O", form, "-o", options, raw, paths[-1])
    for path in paths:
        image = read_image(path)
        assert image.ntfs.bits.tobytes() == expected.bits.tobytes(), path
        assert image.notes == ()
        assert image.ntfs.mft_runs.tolist() == expected.mft_runs.tolist()
    check_volume(expected, raw)


@ntfs3g
def test_the_mft_and_what_follows_it(tmp_path):
    path = make_ntfs(tmp_path / "disk.raw", 64 * MIB)
    fill(path, tmp_path, 5)
    ntfs = read_image(path).ntfs
    copied = subprocess.run(["ntfscat", "-f", "-i", "0", path], check=True, capture_output=True)
    assert ntfs.mft_bytes == len(copied.stdout)
    first, clusters = ntfs.mft_zone
    assert first == ntfs.mft_runs[-1].sum()
    free = ~ntfs.bitmap
    assert free[first : first + clusters].all()
    assert not free[first - 1]
    assert first + clusters == ntfs.clusters or not free[first + clusters]


@ntfs3g
def test_the_saved_bitmap_is_what_a_scenario_starts_from(tmp_path):
    path = make_ntfs(tmp_path / "disk.raw", 50 * MIB + 5 * 4096)
    fill(path, tmp_path, 8)
    image = read_image(path)
    saved = image.save_bitmap(tmp_path / "out.bits")
    bits = read_bitmap(saved)
    assert bits.size % 8 == 0
    assert bits.sum() == image.ntfs.used  # bits behind the last cluster are cleared
    assert (bits[: image.ntfs.clusters] == image.bitmap).all()
    with pytest.raises(ImageError, match="is the image itself"):
        image.save_bitmap(path)
    assert path.stat().st_size == image.capacity


def by_hand(image, ntfs, held, grain):
    """Held bytes, free ones of them, and whole free grains of them, sector by sector."""
    sectors = np.zeros(image.capacity // SECTOR, bool)
    begin, per = ntfs.offset // SECTOR, ntfs.cluster_size // SECTOR
    free = np.repeat(~ntfs.bitmap, per)
    sectors[begin : begin + free.size] = free
    own = np.zeros(-(-sectors.size // (grain // SECTOR)), bool)
    own[list(held)] = True
    wide = np.repeat(own, grain // SECTOR)[: sectors.size]
    whole = np.pad(sectors, (0, -sectors.size % (grain // SECTOR))).reshape(-1, grain // SECTOR).all(axis=1)
    return wide.sum() * SECTOR, (wide & sectors).sum() * SECTOR, (own & whole).sum() * grain


@ntfs3g
@pytest.mark.parametrize("grain", [1, 64])
def test_how_much_of_a_delta_is_free_in_the_guest(tmp_path, grain):
    """A partition at sector 63, so that clusters straddle grains; some grains lie outside the volume."""
    part = make_ntfs(tmp_path / "part.raw", 40 * MIB, 4096, 63)
    fill(part, tmp_path, 15)
    capacity = 44 * MIB
    table = mbr([(7, 63, 40 * MIB // SECTOR)]).ljust(63 * SECTOR, b"\0")
    base = flat_vmdk(tmp_path, "base", (table + part.read_bytes()).ljust(capacity, b"\0"))
    plain = read_image(base)
    rng, size = np.random.default_rng(6), grain * SECTOR
    numbers = {int(n) for start in rng.integers(300, capacity // size, 40) for n in range(start, start + 70)}
    numbers = {number for number in numbers if number < capacity // size}
    data = (tmp_path / "base-flat.vmdk").read_bytes()
    units = {number: data[number * size : (number + 1) * size] for number in numbers}  # what was there, once more
    path = cowd_delta(tmp_path, "vm-000001", base, capacity, units, grain)
    image = read_image(path)
    assert (image.ntfs.bitmap == plain.ntfs.bitmap).all()
    expected = by_hand(image, image.ntfs, numbers, size)
    assert tuple(reclaimable(path)) == expected
    assert tuple(reclaimable(image)) == expected
    assert tuple(reclaimable(tmp_path / "vm-000001-delta.vmdk", base)) == expected
    assert 0 < expected[1] < expected[0]
    assert (expected[2] < expected[1]) == (grain > 1)
    held, free = (f"{size / MIB:.1f} MiB" for size in expected[:2])
    assert str(reclaimable(path)) == f"delta {held}, of which {free} is free space in the guest"


@ntfs3g
@qemu
def test_a_create_and_a_delete_leave_their_grains_behind(tmp_path):
    """The claim itself: a file is written through an overlay, then removed; the overlay keeps what it held."""
    raw, overlay = make_ntfs(tmp_path / "base.raw", 64 * MIB), tmp_path / "top.qcow2"
    with_file = tmp_path / "with.raw"
    shutil.copyfile(raw, with_file)
    source = tmp_path / "source"
    source.write_bytes(np.random.default_rng(1).bytes(8 * MIB))
    run("ntfscp", "-f", "-q", with_file, source, "big.iso")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay)
    before, after = raw.read_bytes(), with_file.read_bytes()
    changed = [n for n in range(0, 64 * MIB, 65536) if before[n : n + 65536] != after[n : n + 65536]]
    commands = []
    for at in changed:
        piece = tmp_path / f"piece{at}"
        piece.write_bytes(after[at : at + 65536])
        commands.append(f"write -q -s {piece} {at} 65536\n")
    run("qemu-io", "-f", "qcow2", overlay, input="".join(commands) + "quit\n")
    full = reclaimable(overlay)
    assert full.held_bytes == 65536 * len(changed)
    assert full.free_bytes < MIB
    assert read_image(overlay).ntfs.used_bytes > 8 * MIB
    place = before.find(read_image(raw).ntfs.bits.tobytes()[:512]) // 65536 * 65536
    piece = tmp_path / "undone"  # the delete: $Bitmap as it was, everything else stays in the overlay
    piece.write_bytes(before[place : place + 65536])
    run("qemu-io", "-f", "qcow2", "-c", f"write -q -s {piece} {place} 65536", overlay)
    left = reclaimable(overlay)
    assert left.held_bytes == full.held_bytes
    assert left.free_bytes >= 8 * MIB


def test_common_bytes_of_ranges():
    rng = np.random.default_rng(2)
    for _ in range(300):
        masks = rng.random((2, 60)) < rng.random((2, 1))
        found = []
        for mask in masks:
            edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
            found.append(edges.reshape(-1, 2))
        assert common_bytes(*found) == (masks[0] & masks[1]).sum()


REAL = [("vsstest.qcow2", 91_239, 262_143), ("windows_volume.qcow2", None, None)]


@ntfs3g
@qemu
@pytest.mark.parametrize(("name", "used", "clusters"), REAL)
def test_real_windows_volumes(shared, tmp_path, name, used, clusters):
    image = read_image(shared / "samples" / "images" / name)
    raw = tmp_path / "disk.raw"
    run("qemu-img", "convert", "-O", "raw", shared / "samples" / "images" / name, raw)
    check_volume(image.ntfs, raw)
    if used:
        assert (image.ntfs.used, image.ntfs.clusters) == (used, clusters)


@ntfs3g
@qemu
def test_a_real_volume_in_a_hosted_vmdk(shared, tmp_path):
    path = shared / "samples" / "images" / "vmdk-rs" / "monolithicSparse.vmdk"
    image, raw = read_image(path), tmp_path / "disk.raw"
    run("qemu-img", "convert", "-O", "raw", path, raw)
    part = image.partitions[0]
    volume = tmp_path / "part.raw"
    volume.write_bytes(raw.read_bytes()[part.offset : part.offset + part.size])
    check_volume(image.ntfs, volume)
    packed = read_image(path.with_name("streamOptimized.vmdk"))
    assert packed.ntfs.bits.tobytes() == image.ntfs.bits.tobytes()


def test_real_volumes_against_libfsntfs(shared):
    """A second independent reader of $Bitmap."""
    pyqcow, pyfsntfs = pytest.importorskip("pyqcow"), pytest.importorskip("pyfsntfs")
    for name, _, _ in REAL:
        path = shared / "samples" / "images" / name
        container, volume = pyqcow.file(), pyfsntfs.volume()
        container.open(str(path))
        names = {"read": container.read, "seek": container.seek, "tell": container.tell}
        volume.open_file_object(SimpleNamespace(**names, get_size=container.get_media_size))
        entry = volume.get_file_entry_by_path("\\$Bitmap")
        ntfs = read_image(path).ntfs
        bits = np.unpackbits(np.frombuffer(entry.read(entry.get_size()), np.uint8), bitorder="little")
        assert volume.get_cluster_block_size() == ntfs.cluster_size
        assert (bits[: ntfs.clusters].astype(bool) == ntfs.bitmap).all()
        volume.close()
        container.close()


@ntfs3g
def test_a_bitmap_in_many_pieces_and_an_attribute_list(tmp_path):
    """$Bitmap's run list split in two, its second half moved to another record by an attribute list."""
    path = make_ntfs(tmp_path / "disk.raw", 140 * MIB)
    fill(path, tmp_path, 5)
    whole = read_image(path).ntfs
    data = bytearray(path.read_bytes())
    boot = data[:512]
    mft = struct.unpack_from("<Q", boot, 48)[0] * 4096
    record = bytearray(data[mft + 6 * 1024 : mft + 7 * 1024])
    _unfix(record)
    at, length = _find(record, 0x80)
    attribute = record[at : at + length]
    runs = attribute[struct.unpack_from("<H", attribute, 32)[0] :]
    wide = runs[0] & 15
    clusters = int.from_bytes(runs[1 : 1 + wide], "little")
    first = int.from_bytes(runs[1 + wide : 1 + wide + (runs[0] >> 4)], "little", signed=True)
    assert clusters >= 2
    half = clusters // 2
    parts = [_data(attribute, 0, half, first), _data(attribute, half, clusters - half, first + half)]
    base = record[: struct.unpack_from("<H", record, 20)[0]]
    listed = b"".join(
        struct.pack("<IHBBQQH", 0x80, 32, 0, 26, low, number, 0).ljust(32, b"\0")
        for low, number in ((0, 6), (half, 15))
    )
    listing = struct.pack("<IIBBHHHIHH", 0x20, 24 + len(listed), 0, 0, 24, 0, 0, len(listed), 24, 0) + listed
    for number, attributes in ((6, listing + parts[0]), (15, parts[1])):
        new = bytearray((base + attributes + struct.pack("<II", 0xFFFFFFFF, 0)).ljust(1024, b"\0"))
        _fix(new)
        data[mft + number * 1024 : mft + (number + 1) * 1024] = new
    path.write_bytes(data)
    found = read_image(path)
    assert found.notes == whole.notes
    assert found.ntfs.bits.tobytes() == whole.bits.tobytes()


def _data(attribute, low, clusters, first):
    head = bytearray(attribute[:64])
    runs = bytes([0x88]) + clusters.to_bytes(8, "little") + first.to_bytes(8, "little") + bytes(7)
    struct.pack_into("<QQH", head, 16, low, low + clusters - 1, 64)
    struct.pack_into("<BH", head, 9, 0, 64)
    struct.pack_into("<I", head, 4, 64 + len(runs))
    return bytes(head) + runs


def _find(record, kind):
    at = struct.unpack_from("<H", record, 20)[0]
    while True:
        found, length = struct.unpack_from("<II", record, at)
        if found == kind:
            return at, length
        assert found != 0xFFFFFFFF
        at += length


def _unfix(record):
    place = struct.unpack_from("<H", record, 4)[0]
    for step in (1, 2):
        record[step * 512 - 2 : step * 512] = record[place + 2 * step : place + 2 * step + 2]


def _fix(record):
    place = struct.unpack_from("<H", record, 4)[0]
    for step in (1, 2):
        record[place + 2 * step : place + 2 * step + 2] = record[step * 512 - 2 : step * 512]
        record[step * 512 - 2 : step * 512] = record[place : place + 2]


@ntfs3g
def test_an_80_gib_volume_is_read_in_two_seconds(tmp_path):
    path = make_ntfs(tmp_path / "disk.raw", 80 * GIB)
    start = time.perf_counter()
    ntfs = read_image(path).ntfs
    bitmap = ntfs.bitmap
    took = time.perf_counter() - start
    assert (ntfs.cluster_size, ntfs.clusters, ntfs.free) == ntfsinfo(path)
    assert bitmap.sum() == ntfs.used
    assert took < 2


def test_a_descriptor_of_a_volume_that_is_not_there(tmp_path):
    (tmp_path / "x.vmdk").write_text(descriptor("vmfs", ['RW 2048 VMFS "x-flat.vmdk"']))
    with pytest.raises(ImageError, match=r"its extent 'x-flat.vmdk' cannot be used: there is no such file"):
        read_image(tmp_path / "x.vmdk")
