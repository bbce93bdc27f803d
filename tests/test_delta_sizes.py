"""Sizes of real files, published or measured, that the laws must give."""

import re
import struct

import numpy as np
import pytest

from clonesim.delta import FORMATS, Delta
from clonesim.delta.formats import law
from clonesim.ops import Requests
from clonesim.scenario import catalog

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40


def writes(*places):
    n = len(places)
    offset, length = np.array([p[0] for p in places]), np.array([p[1] for p in places])
    return Requests(np.zeros(n), np.ones(n, np.uint8), offset, length)


def with_steps(capacity, steps):
    """A vmfs-sparse delta that has just filled its last but one increment and written one more sector."""
    delta = Delta("vmfs-sparse", capacity)
    body = (steps - 1) * 16 * MIB
    tables = -(-body // (2 * MIB + 16 * KIB))
    delta.apply(writes((0, body - tables * 16 * KIB)))
    full = delta.file_bytes
    delta.apply(writes((body - tables * 16 * KIB, 512)))
    assert delta.file_bytes == full + 16 * MIB
    return delta


def test_the_real_esxi_chain(shared):
    """Public listing of a real VM (2012): a 100 GiB disk with two deltas of 95 and 1 increments."""
    text = (shared / "samples/formats/esxi_ls_cowd_chain.txt").read_text()
    base = int(re.search(r"root root +(\d+) .*flat\.vmdk", text)[1])
    sizes = [int(size) for size in re.findall(r"root root +(\d+) .*delta\.vmdk", text)]
    assert (base, sizes) == (107_374_182_400, [1_594_042_368, 16_984_064])
    first = with_steps(base, 95)
    second = Delta("vmfs-sparse", parent=first)
    assert [first.file_bytes, second.file_bytes] == sizes
    assert second.chain_bytes == sum(sizes)


@pytest.mark.parametrize(
    ("gib", "header", "steps", "most"),
    [
        (10, 22_528, 645, 10_821_326_848),
        (20, 43_008, 1_290, 21_642_651_648),
        (40, 83_968, 2_580, 43_285_301_248),
        (100, 206_848, 6_450, 108_213_250_048),
    ],
)
def test_full_rewrite_of_vmfs_sparse(gib, header, steps, most):
    delta = Delta("vmfs-sparse", f"{gib} GiB")
    assert delta.file_bytes == header + 16 * MIB
    delta.apply(writes((0, gib * GIB)))
    assert delta.file_bytes == most == header + steps * 16 * MIB == delta.law.full_bytes
    assert len(delta.increments) == steps - 1


def test_independent_writer_of_an_8_gib_cowd():
    """18.4 MiB of grains in 21.0 MiB of payload gave a file of 33,572,864 B."""
    delta = Delta("vmfs-sparse", "8 GiB")
    tables = 166  # 21.0 - 18.4 MiB of tables
    step = 2 * MIB
    grains = int(18.4 * MIB / 512 / tables)
    delta.apply(writes(*[(t * step, grains * 512) for t in range(tables)]))
    assert delta.metadata_bytes == 18_432 + tables * 16 * KIB
    assert delta.file_bytes == 33_572_864


@pytest.mark.parametrize("gib", [10, 20, 40, 100])
def test_se_sparse_pays_its_tables_at_creation(gib):
    assert Delta("se-sparse", f"{gib} GiB").file_bytes == gib * GIB // 512 + gib * GIB // 32_768


@pytest.mark.parametrize(("capacity", "listed"), [(512 * MIB, 196_616), (GIB, 196_624), (12 * GIB, 196_800)])
def test_fresh_qcow2(capacity, listed):
    """The first two were measured under a real driver; the third is three clusters and 24 L1 entries of 8 B."""
    assert Delta("qcow2", capacity).file_bytes == listed


@pytest.mark.parametrize("name", ["blog_1.csv", "churn_11.csv", "mixed_21.csv"])
def test_fresh_qcow2_of_the_measured_runs(shared, name):
    rows = [line.split(",") for line in (shared / "measured" / name).read_text().splitlines()]
    size = {"blog_1.csv": 512 * MIB}.get(name, GIB)
    (mounted,) = [int(row[5]) for row in rows if row[0] == "0"]
    assert Delta("qcow2", size).file_bytes == mounted


def test_new_hyper_v_differencing_disk_has_4_mb_and_grows_by_its_block():
    """Observed on Hyper-V: 4 MB, then 36 MB with a block of 32 MiB (the bitmap block is not seen there)."""
    delta = Delta("vhdx", "40 GiB", block="32 MiB", sector_bitmap=0)
    assert delta.file_bytes == 4 * MIB
    delta.apply(writes((123_456_789, 1)))
    assert delta.file_bytes == 36 * MIB


def test_windows_written_differencing_vhd(shared):
    """A real file: parts rounded to 4 KiB, two parent locators of 4 and 64 KiB, one of two blocks present."""
    data = (shared / "samples/images/fat-differential.vhd").read_bytes()
    capacity = struct.unpack(">Q", data[48:56])[0]
    header = data[512:1536]
    (at,), (blocks,) = struct.unpack(">Q", header[16:24]), struct.unpack(">I", header[28:32])
    locators = sum(struct.unpack(">I", header[580 + 24 * i : 584 + 24 * i])[0] for i in range(8))
    present = [b for b in struct.unpack(f">{blocks}I", data[at : at + 4 * blocks]) if b != 0xFFFFFFFF]
    assert len(present) == 1
    delta = Delta("vhd", capacity, alignment="4 KiB", parent_locators=locators)
    delta.apply(writes((0, 512)))
    assert delta.file_bytes == len(data)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_full_stays_within_its_bound(name):
    """Written whole, in pieces of odd size: the closed form is met, and held grains cover the disk."""
    capacity = 96 * MIB + 512 * 7
    delta = Delta(name, capacity)
    cuts = np.unique(np.r_[0, np.random.default_rng(1).integers(0, capacity, 300), capacity])
    delta.apply(writes(*zip(cuts[:-1], np.diff(cuts), strict=True)))
    assert delta.grain_map().tolist() == [[0, capacity]]
    assert delta.holds(0, capacity).all()
    assert delta.grains == delta.law.grains
    if name == "qcow2":
        grains, tables, l1 = 1537, 1, 1
        assert delta.file_bytes == (3 + l1 + tables + grains) * 64 * KIB
    else:
        assert delta.file_bytes == delta.law.full_bytes


def test_the_last_rbd_object_is_as_short_as_the_image():
    delta = Delta("rbd", 10 * MIB)
    delta.apply(writes((9 * MIB, 512)))
    assert delta.file_bytes == 2 * MIB
    delta.apply(writes((0, 512)))
    assert delta.file_bytes == 6 * MIB


def test_lvm_thin_metadata_lie_outside_the_volume():
    delta = Delta("lvm-thin", "1 GiB")
    delta.apply(writes((0, 65_536), (200_000, 1)))
    assert (delta.file_bytes, delta.metadata_bytes) == (2 * 64 * KIB, 96)


def test_every_number_of_the_laws_comes_from_the_catalog():
    for name in FORMATS:
        assert catalog.text("formats", name, "title")
        assert catalog.text("formats", name, "allocated")
        for entry in catalog.group("formats", name).values():
            assert entry.source in catalog.sources()
            assert entry.kind in catalog.KINDS
            assert entry.note or entry.kind != "assumed", entry.name
            assert entry.kind == "assumed" or catalog.sources()[entry.source]["conf"] != "recalled", entry.name


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("capacity", [512, 4096 + 512, 2 * MIB, 256 * MIB + 512, GIB - 512, 2 * TIB - 512])
def test_odd_capacities_have_room_for_every_grain(name, capacity):
    if name == "vhd" and capacity > 2040 * GIB:
        return
    rule = law(name, capacity, {})
    assert (rule.grains - 1) * rule.grain < capacity <= rule.grains * rule.grain
    assert (rule.regions - 1) * rule.region_grains < rule.grains <= rule.regions * rule.region_grains
