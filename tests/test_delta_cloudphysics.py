"""A real two-hour trace of a real VM on every format, against an independent count of what it touched."""

import hashlib

import numpy as np
import pytest

from clonesim.delta import FORMATS, replay
from clonesim.ops import Requests

KIB, MIB, GIB = 2**10, 2**20, 2**30
MINUTES = [10, 20, 30, 40, 60, 90, 120]
CAPACITY = 32 * GIB


def ceil(value, unit):
    return -(-value // unit)


@pytest.fixture(scope="module")
def commands():
    from conftest import SHARED

    path = SHARED / "samples/traces/cloudPhysicsIO.vscsi"
    if not path.is_file():
        pytest.skip(f"the real trace is absent: {path}")
    assert hashlib.md5(path.read_bytes()).hexdigest() == "07900bae14946bae403d591a90c1e2af"
    fields = [
        ("sn", "<u4"),
        ("len", "<u4"),
        ("nsg", "<u4"),
        ("cmd", "<u2"),
        ("ver", "<u2"),
        ("lbn", "<u8"),
        ("ts", "<u8"),
    ]
    rows = np.fromfile(path, np.dtype(fields))
    assert len(rows) == 113_872
    assert set(np.unique(rows["cmd"])) == {0x28, 0x2A}
    return rows


@pytest.fixture(scope="module")
def requests(commands):
    time_s = (commands["ts"] - commands["ts"][0]) / 1e6
    op = (commands["cmd"] == 0x2A).astype(np.uint8)
    return Requests(time_s, op, commands["lbn"].astype(np.int64) * 512, commands["len"].astype(np.int64))


@pytest.fixture(scope="module")
def counts(commands):
    """Per minute mark: written bytes, and the numbers of touched units of each size, counted with plain bool arrays."""
    writes = commands[commands["cmd"] == 0x2A]
    seconds = (writes["ts"].astype(np.int64) - int(commands["ts"][0])) / 1e6
    touched = np.zeros(CAPACITY // 512, np.bool_)
    marks, row = {}, 0
    for minute in MINUTES:
        while row < len(writes) and int(seconds[row]) <= 60 * minute:  # whole seconds, as in the CSV form
            low = int(writes["lbn"][row])
            touched[low : low + -(-int(writes["len"][row]) // 512)] = True
            row += 1
        marks[minute] = int(writes["len"][:row].astype(np.int64).sum()), np.flatnonzero(touched)
    return marks


def units(sectors, unit):
    return int(np.unique(sectors // (unit // 512)).size)


def expected(name, sectors):
    """Grains, metadata, file size of one format, spelled out for a 32 GiB disk."""
    if name == "vmfs-sparse":
        header, tables = 2048 + 4 * 16_384, units(sectors, 2 * MIB)
        grains = sectors.size
        steps = max(1, ceil(tables * 16 * KIB + grains * 512, 16 * MIB))
        return grains, header + tables * 16 * KIB, header + steps * 16 * MIB
    if name == "se-sparse":
        grains, head = units(sectors, 4 * KIB), 64 * MIB + 1 * MIB
        return grains, head, head + ceil(grains * 4 * KIB, 16 * MIB) * 16 * MIB
    if name == "qcow2":
        grains, l2 = units(sectors, 64 * KIB), units(sectors, 512 * MIB)
        blocks = 1
        while 3 + l2 + blocks + grains > blocks * 32_768:  # header, refcount table, L1 table; the blocks themselves
            blocks += 1
        meta = (3 + l2 + blocks) * 64 * KIB
        return grains, meta, meta + grains * 64 * KIB
    if name == "vmdk-hosted":
        grains = units(sectors, 64 * KIB)
        head = ceil(512 + 10 * KIB + 2 * (4 * KIB + 1024 * 2 * KIB), 64 * KIB) * 64 * KIB
        return grains, head, head + grains * 64 * KIB
    if name == "vhd":
        grains, head = units(sectors, 2 * MIB), 512 + 1024 + 16_384 * 4 + 512
        return grains, head + grains * 512, head + grains * (2 * MIB + 512)
    if name == "vhdx":
        grains, chunks = units(sectors, 2 * MIB), units(sectors, 4 * GIB)
        return grains, (4 + chunks) * MIB, (4 + chunks + 2 * grains) * MIB
    if name == "lvm-thin":
        grains = units(sectors, 64 * KIB)
        return grains, grains * 48, grains * 64 * KIB
    if name == "zfs-zvol":
        grains, indirect = units(sectors, 16 * KIB), units(sectors, 16 * MIB) * 128 * KIB
        return grains, indirect, grains * 16 * KIB + indirect
    if name == "rbd":
        grains = units(sectors, 4 * MIB)
        return grains, 0, grains * 4 * MIB
    if name == "inflated":
        return sectors.size, 0, CAPACITY
    assert name == "exact"
    return sectors.size, 0, sectors.size * 512


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_equals_a_brute_force_count(name, requests, counts):
    delta = replay(requests, name, "32 GiB")
    table = delta.table(at=[60 * minute for minute in MINUTES])
    for row, minute in zip(table.itertuples(), MINUTES, strict=True):
        written, sectors = counts[minute]
        assert (row.written_bytes, row.unique_bytes) == (written, 512 * sectors.size), minute
        assert (row.grains, row.metadata_bytes, row.file_bytes) == expected(name, sectors), minute


def test_known_integers_of_the_whole_trace(requests):
    delta = replay(requests)
    assert delta.capacity == 32 * GIB  # found from the trace
    assert delta.written_bytes == 2_408_565_760
    assert int(requests.writes.sum()) == 66_898
    assert delta.grains == 1_650_244
    assert delta.metadata_bytes == 2048 + 4 * 16_384 + 1_311 * 16 * KIB
    assert delta.file_bytes == 872_482_816
    assert replay(requests, "se-sparse").grains == 208_696
    assert replay(requests, "qcow2").grains == replay(requests, "lvm-thin").grains == 14_711


def test_growth_steps_of_the_real_trace(requests):
    """52 increments in all, one of them at creation; each lies at the write that ran out of room."""
    delta = replay(requests)
    steps = delta.increments
    assert len(steps) == 51
    assert (steps.file_bytes.diff().dropna() == 16 * MIB).all()
    for at, size in zip(steps.time_s, steps.file_bytes, strict=True):
        before, after = delta.table(at=[np.nextafter(at, 0), at]).file_bytes
        assert before < size <= after


def test_table_takes_seconds_in_any_order_and_outside_the_trace(requests):
    delta = replay(requests)
    table = delta.table(at=[1e9, -1.0, 1200.0, 600.0])
    assert table.time_s.tolist() == [1e9, -1.0, 1200.0, 600.0]
    assert table.file_bytes.iloc[0] == delta.file_bytes
    assert table.grains.iloc[1] == 0
    assert table.file_bytes.iloc[1] == 2048 + 4 * 16_384 + 16 * MIB
    assert table.grains.iloc[3] <= table.grains.iloc[2]
