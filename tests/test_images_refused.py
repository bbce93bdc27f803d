"""What is refused or only told about, and with which words; and that no mutated image brings out anything else."""

import os
import re
import struct
import sys
import time
import tracemalloc
import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_tools import (
    GUID,
    KIB,
    MIB,
    SECTOR,
    cowd_delta,
    descriptor,
    flat_vmdk,
    make_ntfs,
    mbr,
    need,
    run,
    sesparse_delta,
    vhd_footer,
    write_cowd,
    write_vhd,
    write_vhdx,
)

from clonesim.errors import ClonesimError, ImageError
from clonesim.ingest.images import read_image, reclaimable

ntfs3g, qemu = need("mkntfs"), need("qemu-img")
EXAMPLES = int(os.environ.get("FUZZ", "800"))


def refusal(path, content=None, **options):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_image(path, **options)
    assert str(path.parent) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some image"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"hello\n" * 99, "is no disk image that is known, and no raw disk.*Read are raw, VMDK, QCOW2, VHD and VHDX"),
        (b"\x1f\x8b" + bytes(99), "is gzip-compressed. Unpack it first"),
        (b"PK\x03\x04" + bytes(99), "is a zip archive"),
        (b"MSWIM\0\0\0" + bytes(999), "is a WIM archive"),
        (b"QED\0" + bytes(999), "is a QED image. Convert it first: qemu-img convert"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(999), "is a VirtualBox VDI image"),
        (b"EVF\x09\x0d\x0a\xff\0" + bytes(99), r"is an EWF \(E01\) image"),
        (b"LUKS\xba\xbe" + bytes(999), r"is encrypted \(LUKS\). Unlock it"),
        (b"KDMV" + bytes(20), r"the VMDK header \(512 B\) lie behind the end of the file \(24 B\)"),
        (b"COWD" + bytes(600), "has version 0 of COWD; version 1 is read"),
        (b"KDMV\1" + bytes(600), "a grain of 0 sectors; allowed are powers of two"),
        (b"QFI\xfb\0\0\0\1" + bytes(99), "is QCOW version 1; versions 2 and 3 are read"),
        (b"QFI\xfb\0\0\0\3" + bytes(99), "clusters of 2\\^0 B"),
        (b"vhdxfile" + bytes(70), "the VHDX header .* cut off or damaged"),
        (b"vhdxfile" + bytes(MIB), "neither of its two VHDX headers is whole"),
        (b"conectix" + bytes(1000), "the checksum of its footer is wrong"),
        (b"# Disk DescriptorFile\nversion=1\n", "is a VMDK descriptor that names no extent"),
        (descriptor("x", ['RW 20 NEW "a"']).encode(), "extent of type NEW.*types that are read: FLAT"),
        (descriptor("x", ['RW 20 VMFSRDM "a"']).encode(), "is a raw device mapping"),
        (descriptor("x", ['RW 20 FLAT "a"', 'RW 20 FLAT "b"']).encode(), "its extent 'a' cannot be used: there is no"),
        (descriptor("x", ['RW 20 VMFS "some image"']).encode(), "of the 10240 B that the disk needs: it is cut off"),
        (descriptor("x", ['RW 20 SPARSE "some image"']).encode(), "no sparse extent of a VMDK"),
        (descriptor("x", ["RW 0 ZERO"]).encode(), "says that its disk has 0 B"),
    ],
)
def test_files_that_are_no_image_or_a_damaged_one(path, content, words):
    assert re.search(words, refusal(path, content), re.S), refusal(path)


def test_paths_that_are_no_files(tmp_path):
    assert "there is no such file. Check the path" in refusal(tmp_path / "nowhere")
    assert "is a folder, not a disk image" in refusal(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
        assert "is a pipe, socket or character device" in refusal(tmp_path / "pipe")


def qcow2(path, **values):
    """Put numbers into a QCOW2 header: name -> value."""
    places = {"crypt": (32, ">I"), "features": (72, ">Q"), "l1": (36, ">I"), "l1_place": (40, ">Q"), "size": (24, ">Q")}
    run("qemu-img", "create", "-q", "-f", "qcow2", path, 64 * MIB)
    data = bytearray(path.read_bytes())
    for name, value in values.items():
        struct.pack_into(places[name][1], data, places[name][0], value)
    path.write_bytes(data)


@qemu
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crypt": 1}, r"is encrypted \(AES\). Write it out decrypted"),
        ({"crypt": 2}, r"is encrypted \(LUKS\)"),
        ({"features": 4}, "keeps its data in another file"),
        ({"features": 16}, "has extended L2 entries"),
        ({"features": 1 << 40}, "needs features 0x10000000000, which are not known"),
        ({"size": 2**60}, "its L1 table has 1 entries, its capacity needs"),
        ({"size": 2**44, "l1": 2**16}, "lie behind the end of the file"),
        ({"size": 2**56, "l1": 2**31}, "would have .* entries; allowed are"),
        ({"l1_place": 2**62}, "the L1 table .* lie behind the end of the file"),
        ({"size": 0}, "says that its disk has 0 B"),
    ],
)
def test_qcow2_headers(path, values, words):
    qcow2(path, **values)
    assert re.search(words, refusal(path)), refusal(path)


def test_a_copy_that_is_cut_off(tmp_path):
    units = {n: bytes([n % 256]) * SECTOR for n in range(500, 20_000, 7)}
    base = flat_vmdk(tmp_path, "base", bytes(24 * MIB))
    delta = cowd_delta(tmp_path, "d", base, 24 * MIB, units)
    extent = tmp_path / "d-delta.vmdk"
    whole = extent.read_bytes()
    extent.write_bytes(whole[: len(whole) // 2])
    assert re.search("grains? (table \\d+ .*|behind its end .*)cut off or damaged", refusal(delta)), refusal(delta)
    write_vhd(tmp_path / "d.vhd", 24 * MIB, units)
    whole = (tmp_path / "d.vhd").read_bytes()
    assert "cut off or damaged" in refusal(tmp_path / "cut.vhd", whole[: len(whole) // 2])
    flat = tmp_path / "base-flat.vmdk"
    flat.write_bytes(flat.read_bytes()[:-1])
    assert "25165823 B of the 25165824 B that the disk needs: it is cut off" in refusal(base)


def test_two_directory_entries_for_one_table(path):
    write_cowd(path, 8 * MIB, {0: b"x" * 512, 5000: b"y" * 512})
    data = bytearray(path.read_bytes())
    data[2052:2056] = data[2048:2052]
    assert "two of its grain tables share bytes of the file" in refusal(path, bytes(data))


def test_disks_in_use(tmp_path, path):
    write_vhdx(path, 8 * MIB, {}, log=True)
    assert "its log has not been written back: the disk was in use" in refusal(path)
    base = flat_vmdk(tmp_path, "base", bytes(8 * MIB))
    delta = sesparse_delta(tmp_path, "d", base, 8 * MIB, {1: bytes(4096)}, dirty=True)
    assert "its journal has not been written back" in refusal(delta)


@pytest.mark.parametrize("word", [*range(2, 5), 10, *range(16, 19), 24])
@pytest.mark.parametrize("value", [2**55, 2**63, 2**64 - 1])
def test_absurd_numbers_in_an_sesparse_header(tmp_path, word, value):
    base = flat_vmdk(tmp_path, "base", bytes(8 * MIB))
    delta = sesparse_delta(tmp_path, "d", base, 8 * MIB, {0: bytes(4096)})
    extent = tmp_path / "d-sesparse.vmdk"
    data = bytearray(extent.read_bytes())
    struct.pack_into("<Q", data, 8 * word, value)
    extent.write_bytes(data)
    if word != 17:  # a directory longer than needed is none the worse
        refusal(delta)


def test_parents(tmp_path):
    base = flat_vmdk(tmp_path, "base", bytes(8 * MIB))
    delta = cowd_delta(tmp_path, "d", base, 8 * MIB, {3: b"x" * 512})
    text = delta.read_text()
    delta.write_text(text.replace("0172e8a4", "0172e8a5"))
    words = refusal(delta)
    assert "was made on a parent with the mark 0172e8a5; 'base.vmdk' has 0172e8a4. Name its true parent" in words
    delta.write_text(text.replace('"base.vmdk"', '"elsewhere.vmdk"'))
    image = read_image(delta)
    assert image.ntfs is None
    assert image.held_bytes == 512
    assert image.notes == (
        "Its parent 'elsewhere.vmdk' was not found. Only what the image holds itself is known: "
        "name the parent with base= (--base).",
    )
    with pytest.raises(ImageError, match=r"Its parent 'elsewhere\.vmdk' was not found"):
        reclaimable(delta)
    assert read_image(delta, base).chain == (delta, base)
    delta.write_text(text.replace('"base.vmdk"', '"d.vmdk"'))
    assert "its chain of parents comes back to 'd.vmdk'" in refusal(delta)
    assert "has no parent, so 'd.vmdk' cannot be its base. Leave base" in refusal(base, base=delta)
    assert "there is no such file" in refusal(delta, base=tmp_path / "gone")


def test_a_parent_that_is_another_vhd(tmp_path):
    write_vhd(tmp_path / "base.vhd", 8 * MIB, {}, mark=uuid.uuid4())
    write_vhd(tmp_path / "d.vhd", 8 * MIB, {3: b"x" * 512}, parent="base.vhd")
    assert f"made on a parent with the mark {GUID.hex}" in refusal(tmp_path / "d.vhd")
    write_vhdx(tmp_path / "base.vhdx", 8 * MIB, {}, mark=uuid.uuid4())
    write_vhdx(tmp_path / "d.vhdx", 8 * MIB, {3: b"x" * 512}, parent="base.vhdx")
    assert f"made on a parent with the mark {GUID}" in refusal(tmp_path / "d.vhdx")


def test_a_parent_under_a_windows_path_is_found_beside_the_image(tmp_path):
    write_vhd(tmp_path / "base.vhd", 8 * MIB, {})
    write_vhd(tmp_path / "d.vhd", 8 * MIB, {3: b"x" * 512}, parent=r"C:\ClusterStorage\Volume1\base.vhd")
    assert [file.name for file in read_image(tmp_path / "d.vhd").chain] == ["d.vhd", "base.vhd"]


def volume(magic, place=3):
    return bytes(place) + magic + bytes(MIB - place - len(magic))


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (volume(b"-FVE-FS-"), "bitlocker", "is encrypted by BitLocker: image the unlocked volume"),
        (volume(b"ReFS\0\0\0\0"), "refs", "is ReFS, whose allocation is not read"),
        (volume(b"LABELONE", 512), "lvm", "is an LVM physical volume: activate it, and image the logical volume"),
        (volume(b"LUKS\xba\xbe", 0), "luks", r"is encrypted \(LUKS\)"),
        (volume(b"EXFAT   "), "exfat", "There is no NTFS volume: exfat"),
        (volume(b"\x53\xef", 1080), "ext", "There is no NTFS volume: ext"),
        (volume(b"XFSB", 0), "xfs", "There is no NTFS volume: xfs"),
        (bytes(MIB), "empty", "is empty"),
        (b"\xaa" * MIB, "unknown", r"holds no file system that is known \(an encrypted one looks like this too\)"),
    ],
)
def test_partitions_without_ntfs(path, content, name, words):
    path.write_bytes(mbr([(7, 2048, 2048)]).ljust(MIB, b"\0") + content)
    image = read_image(path)
    assert [part.content for part in image.partitions] == [name]
    assert image.ntfs is None
    assert re.search(words, " ".join(image.notes)), image.notes
    with pytest.raises(ImageError, match=words):
        image.bitmap  # noqa: B018
    with pytest.raises(ImageError, match=r"has no partition 5; its partitions are 1\. Name one of them"):
        read_image(path, partition=5)
    with pytest.raises(ImageError, match="Only NTFS volumes are read"):
        read_image(path, partition=1)


@pytest.fixture(scope="module")
def ntfs(tmp_path_factory):
    """A small NTFS volume."""
    return make_ntfs(tmp_path_factory.mktemp("ntfs") / "disk.raw", 16 * MIB).read_bytes()


def changed(data, *patches):
    found = bytearray(data)
    for place, patch in patches:
        found[place : place + len(patch)] = patch
    return bytes(found)


@ntfs3g
@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ((11, b"\1\0"), "its boot sector says sectors of 1 B"),
        ((13, b"\3"), "its boot sector says sectors of 512 B and clusters of 1536 B"),
        ((40, b"\xff" * 8), "its boot sector says 2305843009213693951 clusters"),
        ((48, b"\xff" * 7), "its boot sector puts the MFT at cluster"),
        ((64, b"\x85"), "MFT records of"),
        ("mft", "MFT record 0 begins with b'BAAD', not b'FILE'"),
        ("bitmap", r"MFT record 6 was written only in part \(its fix-ups differ\)"),
    ],
)
def test_damaged_volumes(path, ntfs, patch, words):
    mft = struct.unpack_from("<Q", ntfs, 48)[0] * 4096
    patch = {"mft": (mft, b"BAAD"), "bitmap": (mft + 6 * KIB + 510, b"\x99\x99")}.get(patch, patch)
    path.write_bytes(changed(ntfs, patch))
    image = read_image(path)
    assert image.ntfs is None
    assert re.search(words, image.notes[0]), image.notes
    with pytest.raises(ImageError, match=words):
        image.bitmap  # noqa: B018


@ntfs3g
def test_a_part_of_a_volume(path, ntfs):
    """A copy that ends before $Bitmap, and one that ends behind it."""
    place = struct.unpack_from("<Q", ntfs, 48)[0] * 4096 + 64 * KIB
    path.write_bytes(ntfs[:place])
    image = read_image(path)
    missing = len(ntfs) - SECTOR - place
    assert any(re.search(f"{missing} B more than its partition or image holds", note) for note in image.notes) or (
        image.ntfs is None and "the image holds only a part of the volume" in image.notes[0]
    )
    path.write_bytes(ntfs[: 12 * MIB])
    image = read_image(path)
    if image.ntfs is None:
        assert "the image holds only a part of the volume" in image.notes[0]
    else:
        assert "more than its partition or image holds" in image.notes[0]


def test_errors_travel_between_processes():
    import pickle

    error = ImageError("a.vmdk", "is cut off", "Copy it again.", 512)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.offset) == ("a.vmdk, byte 512: is cut off. Copy it again.", 512)


class Seeds:
    """Images to mutate: (bytes of the file that is read, files beside it), and where headers and tables lie."""

    def __init__(self, folder):
        self.folder = folder
        self.images = {}
        rng = np.random.default_rng(0)
        units = {int(n): rng.bytes(512) for n in rng.integers(0, 16_000, 60)}
        base = flat_vmdk(folder, "base", rng.bytes(4096) + bytes(8 * MIB - 4096))
        cowd_delta(folder, "cowd", base, 8 * MIB, units)
        sesparse_delta(folder, "se", base, 8 * MIB, {n // 8: unit * 8 for n, unit in units.items()})
        self.add("cowd-delta.vmdk", "cowd.vmdk", "se.vmdk", "se-sesparse.vmdk", "base.vmdk")
        write_vhd(folder / "base.vhd", 8 * MIB, {3: b"y" * 512})
        write_vhd(folder / "d.vhd", 8 * MIB, units, parent="base.vhd")
        write_vhdx(folder / "base.vhdx", 8 * MIB, {3: b"y" * 512})
        write_vhdx(folder / "d.vhdx", 8 * MIB, {n % 8000: unit for n, unit in units.items()}, parent="base.vhdx")
        (folder / "fixed.vhd").write_bytes(bytes(MIB) + vhd_footer(MIB, 2))
        self.add("base.vhd", "d.vhd", "base.vhdx", "d.vhdx", "fixed.vhd")
        (folder / "mbr.raw").write_bytes(mbr([(7, 63, 2048), (5, 4096, 999)]).ljust(4 * MIB, b"\0"))
        self.add("mbr.raw")
        try:
            raw = make_ntfs(folder / "ntfs.raw", 8 * MIB)
            self.add("ntfs.raw")
            for form in ("qcow2", "vmdk"):
                run("qemu-img", "convert", "-c" if form == "qcow2" else "-q", "-O", form, raw, folder / f"ntfs.{form}")
                self.add(f"ntfs.{form}")
            options = ["-o", "subformat=streamOptimized"]
            run("qemu-img", "convert", "-O", "vmdk", *options, raw, folder / "stream.vmdk")
            self.add("stream.vmdk")
        except FileNotFoundError:  # without the tools there are fewer seeds
            pass

    def add(self, *names):
        for name in names:
            data = (self.folder / name).read_bytes()
            filled = np.flatnonzero(np.frombuffer(data, np.uint8))
            self.images[name] = (data, filled)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return Seeds(tmp_path_factory.mktemp("fuzz"))


NUMBERS = (
    0,
    1,
    2,
    7,
    255,
    511,
    512,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)


def mutated(data, filled, draw):
    """Change a few places, mostly where something stands; perhaps cut the end off, or double a piece."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        place = int(filled[draw(st.integers(0, len(filled) - 1))]) if draw(st.integers(0, 9)) else None
        place = draw(st.integers(0, len(data) - 1)) if place is None else place
        place = place // 4 * 4 if draw(st.booleans()) else place
        kind = draw(st.sampled_from(("byte", "number", "bit", "swap")))
        if kind == "byte":
            found[place] = draw(st.integers(0, 255))
        elif kind == "bit":
            found[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            width, order = draw(st.sampled_from((2, 4, 8))), draw(st.sampled_from(("little", "big")))
            value = draw(st.sampled_from(NUMBERS)) % 256**width
            found[place : place + width] = value.to_bytes(width, order)
        else:
            other = int(filled[draw(st.integers(0, len(filled) - 1))])
            found[place : place + 8], found[other : other + 8] = found[other : other + 8], found[place : place + 8]
    if not draw(st.integers(0, 7)):
        del found[draw(st.integers(1, len(found))) :]
    return bytes(found[: len(data) + 64])


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@given(st.data())
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW, derandomize=EXAMPLES < 10_000, database=None
)
def test_mutated_images(seeds, tmp_path, data):
    """Only our own errors come out, in a second and 300 MB."""
    name = data.draw(st.sampled_from(sorted(seeds.images)))
    original, filled = seeds.images[name]
    path = seeds.folder / name
    path.write_bytes(mutated(original, filled, data.draw))
    start = time.perf_counter()
    measured = EXAMPLES < 10_000 and data.draw(st.integers(0, 9)) == 0
    if measured:
        tracemalloc.start()
    try:
        image = read_image(path)
        assert 0 < image.capacity <= 2**46
        assert (image.grains[:, 0] < image.grains[:, 1]).all()
        if image.ntfs:
            assert image.ntfs.used + image.ntfs.free == image.ntfs.clusters
            assert image.ntfs.free_runs[:, 1].sum() == image.ntfs.free
            reclaimable(image)
    except ClonesimError as error:
        assert len(str(error)) < 2000
        assert "Traceback" not in str(error)
    finally:
        if measured:
            assert tracemalloc.get_traced_memory()[1] < 300 * MIB
            tracemalloc.stop()
        path.write_bytes(original)
    assert time.perf_counter() - start < (20 if measured or sys.gettrace() else 5)
