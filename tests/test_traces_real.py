"""Real traces, against counts that do not come from clonesim's own readers."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from clonesim.errors import TraceError
from clonesim.ingest import packaged_trace, read_trace


@pytest.fixture
def vscsi(shared: Path) -> Path:
    return shared / "samples" / "traces" / "cloudPhysicsIO.vscsi"


def unpacked(path: Path) -> list[tuple[int, ...]]:
    """(sn, len, nSG, cmd, ver, lbn, ts) of each record, by the standard library alone."""
    return list(struct.iter_unpack("<IIIHHQQ", path.read_bytes()))


def test_binary_holds_the_published_commands(vscsi):
    assert hashlib.md5(vscsi.read_bytes()).hexdigest() == "07900bae14946bae403d591a90c1e2af"
    trace = read_trace(vscsi)
    assert (trace.kind, len(trace), trace.rows, trace.skipped) == ("vscsi-v1", 113_872, 113_872, ())
    summary = trace.summary()
    assert (summary["reads"], summary["writes"], summary["written_bytes"]) == (46_974, 66_898, 2_408_565_760)
    assert 31.27 < summary["end_bytes"] / 2**30 < 31.29
    records = unpacked(vscsi)
    first = records[0][6]
    assert trace.time_s.tolist() == [(record[6] - first) / 1e6 for record in records]
    assert trace.offset.tolist() == [record[5] * 512 for record in records]
    assert trace.length.tolist() == [record[1] for record in records]
    assert trace.writes.tolist() == [record[3] == 0x2A for record in records]
    assert trace.devices == ("disk",) and not trace.device.any() and trace.out_of_order == 0


def test_csv_holds_the_same_commands_in_whole_seconds(vscsi):
    binary, text = read_trace(vscsi), read_trace(vscsi.with_suffix(".csv"))
    assert text.kind == "cloudphysics-csv"
    for column in ("op", "offset", "length"):
        np.testing.assert_array_equal(getattr(text, column), getattr(binary, column))
    stamps = np.array([record[6] for record in unpacked(vscsi)])
    np.testing.assert_array_equal(text.time_s, stamps // 10**6 - stamps[0] // 10**6)


@pytest.mark.parametrize("suffix", [".vscsi", ".csv"])
def test_gzip_reads_the_same_whatever_its_name(vscsi, tmp_path, suffix):
    plain = vscsi.with_suffix(suffix)
    packed = tmp_path / "trace.dat"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    a, b = read_trace(plain), read_trace(packed)
    assert a.kind == b.kind
    for column in ("time_s", "op", "offset", "length", "device"):
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column))


def test_version_2_made_from_version_1_reads_the_same(vscsi, tmp_path):
    second = tmp_path / "second"
    second.write_bytes(
        b"".join(
            struct.pack("<HHIIIQQQ", cmd, 0x0200, sn, length, nsg, lbn, ts, 77)
            for sn, length, nsg, cmd, _, lbn, ts in unpacked(vscsi)
        )
    )
    a, b = read_trace(vscsi), read_trace(second)
    assert b.kind == "vscsi-v2"
    for column in ("time_s", "op", "offset", "length"):
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("cloudPhysicsIO.oracleGeneral.bin", "oracleGeneral, which has no operations"),
        ("cloudPhysicsIO.txt", "a bare list of block numbers: it has no operations, lengths or times"),
    ],
)
def test_forms_without_operations_are_refused_with_a_way_out(shared, name, problem):
    path = shared / "samples" / "traces" / name
    with pytest.raises(TraceError, match=problem) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)
    assert "such as the .vscsi or .csv form of the same recording" in str(caught.value)


def test_published_vscsistats_rows(shared):
    trace = read_trace(shared / "samples" / "formats" / "vscsi_text_superuser.txt")
    assert (trace.kind, len(trace), trace.summary()["writes"]) == ("vscsistats", 8, 8)
    assert trace.offset[0] == 24_048_792 * 512
    assert trace.time_s[1] == (2_756_783_857_269 - 2_756_778_716_647) / 1e6


def test_packaged_trace_is_found_and_whole():
    path = packaged_trace()
    trace = read_trace(path)
    with gzip.open(path, "rt") as file:
        rows = [line.split() for line in file]
    requests = [row for row in rows if len(row) == 5]
    assert (trace.kind, trace.devices, trace.out_of_order) == ("fio-v3", ("disk",), 0)
    assert trace.offset.tolist() == [int(row[3]) for row in requests]
    assert trace.length.tolist() == [int(row[4]) for row in requests]
    assert trace.time_s.tolist() == [int(row[0]) / 1e6 for row in requests]
    summary = trace.summary()
    assert (summary["writes"], summary["reads"]) == (467_853, 24)
    assert summary["written_bytes"] == sum(int(row[4]) for row in requests if row[2] == "write") == 1_390_996_988
    assert summary["end_bytes"] <= 2 * 2**30
