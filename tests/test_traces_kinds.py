"""Every kind: published example rows worked out by hand, round trips, order, devices and splitting."""

import gzip
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trace_tools import rows_of

from clonesim.errors import ParameterError
from clonesim.ingest import TRACE_KINDS, read_trace
from clonesim.ops import BlockOp

READ, WRITE, DISCARD, SAME, FLUSH = BlockOp


def test_kinds_are_those_documented():
    expected = {"vscsi-v1", "vscsi-v2", "cloudphysics-csv", "vscsistats", "msr", "systor17", "fio-v2", "fio-v3"}
    expected |= {"alibaba", "tencent", "fiu", "blkparse", "xperf"}  # these in test_traces_more.py, ..._events.py
    assert set(TRACE_KINDS) == expected


# The rows stand in ../shared/facts, section 2; times, bytes and dates below are worked out by hand.
@pytest.mark.parametrize(
    ("content", "kind", "rows"),
    [
        (
            "Timestamp,Response,IOType,LUN,Offset,Size\n1456095145.133076000,0.000806000,R,0,899056122368,131072\n"
            "1456095145.133079000,0.1,W,3,512,4096\n",
            "systor17",
            [(0.0, READ, 899_056_122_368, 131_072, "0"), (3e-6, WRITE, 512, 4_096, "3")],
        ),
        (
            "128166372003061629,hm,0,Write,7014912,4096,26\n128166372013061630,hm,1,Read,0,512,1\n",
            "msr",
            [(0.0, WRITE, 7_014_912, 4_096, "hm_0"), (1.0000001, READ, 0, 512, "hm_1")],
        ),
        (
            "version,time,op,size,lbn\n1,5633898,2a,512,42932745\n1,5633899,28,1024,1\n",
            "cloudphysics-csv",
            [(0.0, WRITE, 21_981_565_440, 512, "disk"), (1.0, READ, 512, 1_024, "disk")],
        ),
        (
            "#Vscsi Trace\n#Serial\n2147483692,4096,1,write,24048792,2756778716647\n1,512,1,read,1,2756778716648\n",
            "vscsistats",
            [(0.0, WRITE, 12_312_981_504, 4_096, "disk"), (1e-6, READ, 512, 512, "disk")],
        ),
        (
            "fio version 2 iolog\ndisk0 add\ndisk0 open\ndisk0 write 4096 8192\ndisk0 wait 1500 0\ndisk1 trim 0 512\n"
            "disk0 wait 200 0\ndisk0 sync 0 0\ndisk0 close\n",
            "fio-v2",  # a wait names milliseconds from the start of the job, so an earlier one changes nothing
            [(0.0, WRITE, 4_096, 8_192, "disk0"), (1.5, DISCARD, 0, 512, "disk1"), (1.5, FLUSH, 0, 0, "disk0")],
        ),
        (
            "fio version 3 iolog\n0 disk0 add\n1 disk0 open\n1530 disk0 write 4096 8192\n1630 disk0 wait 9 0\n"
            "2530 disk0 datasync 0 0\n2531 disk0 close\n",
            "fio-v3",  # version 3 has times of its own and fio ignores its waits
            [(0.0, WRITE, 4_096, 8_192, "disk0"), (0.001, FLUSH, 0, 0, "disk0")],
        ),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_example_rows(trace_of, content, kind, rows, end, bom):
    trace = trace_of(bom + content.replace("\n", end))
    assert (trace.kind, rows_of(trace), trace.rows) == (kind, rows, len(rows))
    assert rows_of(trace_of(content, kind=kind)) == rows
    assert rows_of(trace_of(content.rstrip("\n"))) == rows


def test_dates_are_known_where_the_kind_tells_them(trace_of):
    # 128166372003061629 / 10^7 = 12816637200.3061629 s since 1601; minus 11644473600 s is 2007-02-22 17:00:00.306 UTC.
    assert trace_of("128166372003061629,hm,0,Write,7014912,4096,26\n").start == datetime(
        2007, 2, 22, 17, 0, 0, 306162, tzinfo=UTC
    )
    systor = trace_of("1456095145.133076000,0.000806000,R,0,899056122368,131072\n")
    assert systor.start == datetime(2016, 2, 21, 22, 52, 25, 133076, tzinfo=UTC)
    assert trace_of("1,5633898,2a,512,42932745\n").start is None


@pytest.mark.parametrize(
    ("code", "op"),
    [
        *[(code, READ) for code in (0x08, 0x28, 0x88, 0xA8)],
        *[(code, WRITE) for code in (0x0A, 0x2A, 0x8A, 0xAA)],
        *[(code, SAME) for code in (0x41, 0x93)],
        (0x42, DISCARD),
        *[(code, FLUSH) for code in (0x35, 0x91)],
    ],
)
def test_scsi_codes(trace_of, code, op):
    assert trace_of(f"version,time,op,size,lbn\n1,0,{code:x},512,0\n").op.tolist() == [op]
    assert trace_of(f"version,time,op,size,lbn\n1,0,{code:02X},512,0\n1,0,0x{code:x},512,0\n").op.tolist() == [op] * 2
    assert trace_of(struct.pack("<IIIHHQQ", 1, 512, 1, code, 0x100, 0, 0)).op.tolist() == [op]
    assert trace_of(struct.pack("<HHIIIQQQ", code, 0x200, 1, 512, 1, 0, 0, 0)).op.tolist() == [op]


def test_a_read_only_or_digit_only_op_column_stays_an_op_column(trace_of):
    rows = "".join(f"1,{i},28,512,{i}\n" for i in range(200_000)) + "1,200000,2a,512,9\n"
    trace = trace_of("version,time,op,size,lbn\n" + rows)
    assert trace.summary()["reads"] == 200_000 and trace.op[-1] == WRITE


def test_header_line_rules_the_order_of_columns(trace_of):
    trace = trace_of("lbn,note,size,op,time,version\n8,x,512,2a,3.5,1\n9,y,1024,28,4,2\n")
    assert rows_of(trace) == [(0.0, WRITE, 4_096, 512, "disk"), (0.5, READ, 4_608, 1_024, "disk")]
    header = "DiskNumber,Timestamp,Hostname,Type,Offset,Size,ResponseTime\n"
    assert rows_of(trace_of(header + "0,10,hm,Write,0,512,1\n")) == [(0.0, WRITE, 0, 512, "hm_0")]


def test_the_long_column_names_of_vscsistats_are_known(trace_of):
    header = "Serial Number,IO Data Length,Num SG Entries,Command Type,LBN,Time Stamp (microseconds)\n"
    trace = trace_of(header + "7,512,1,write,8,100\n7,512,1,read,9,250100\n")
    assert trace.kind == "vscsistats"
    assert rows_of(trace) == [(0.0, WRITE, 4_096, 512, "disk"), (0.25, READ, 4_608, 512, "disk")]


def test_quoted_rows_are_read(trace_of):
    trace = trace_of('"version","time","op","size","lbn"\n"1","7","2a","512","1"\n')
    assert rows_of(trace) == [(0.0, WRITE, 512, 512, "disk")]
    assert rows_of(trace_of('1,"hm",0,"Write",0,512,1\n', kind="msr")) == [(0.0, WRITE, 0, 512, "hm_0")]


def test_comments_blank_lines_and_blanks_are_no_rows(trace_of):
    trace = trace_of("# a\n\nversion,time,op,size,lbn\n\n1,0,2a,512,1\n# b\n  \n 1 , 0 ,2a, 512 , 2\n\n")
    assert trace.offset.tolist() == [512, 1024]
    assert trace_of("fio version 2 iolog\nC:\\disk.img  write\t0   512\n").devices == ("C:\\disk.img",)


def test_rows_are_put_in_order_of_time_and_equal_times_keep_the_file_order(trace_of):
    rows = [(5, 1), (3, 2), (5, 3), (3, 4), (9, 5), (4, 6)]
    trace = trace_of("version,time,op,size,lbn\n" + "".join(f"1,{t},2a,512,{lbn}\n" for t, lbn in rows))
    assert trace.time_s.tolist() == [0, 0, 1, 2, 2, 6]
    assert (trace.offset // 512).tolist() == [2, 4, 6, 1, 3, 5]
    assert trace.out_of_order == 3 == trace.summary()["out_of_order_rows"]


def test_a_time_on_the_second_is_at_that_second(trace_of):
    start = 2_756_778_716_647  # (t - t0) / 1e6 must be 600.0, not 599.9999...
    seconds = range(7_201)
    rows = "".join(f"1,512,1,write,0,{start + s * 1_000_000}\n" for s in seconds)
    assert trace_of(rows).time_s.tolist() == list(seconds)
    rows = "".join(f"{1_456_095_145 + s}.133076000,0,W,0,0,512\n" for s in seconds)
    assert trace_of(rows).time_s.tolist() == list(seconds)


def test_systor_rows_without_an_operation_are_left_out_and_counted(trace_of):
    good = "1.000000000,0.1,W,0,0,512\n"
    content = "Timestamp,Response,IOType,LUN,Offset,Size\n" + good + "1.5,,,0,0,512\n" + good + "2.5,,,,,\n" + good
    for content_ in (content, content.replace("\n", "\r\n"), content.replace(good, "\n" + good)):
        trace = trace_of(content_)
        assert (len(trace), trace.rows) == (3, 5)
        lines = [number for number, line in enumerate(content_.splitlines(), 1) if ",,," in line or ",,0" in line]
        assert [(row.line, row.field, row.value) for row in trace.skipped] == [(line, "IOType", "") for line in lines]
        assert "saw no response" in trace.skipped[0].problem and trace.summary()["skipped_rows"] == 2


def test_select_keeps_one_device_and_the_common_clock(trace_of):
    content = "10000000,a,0,Write,0,512,1\n20000000,a,1,Write,512,512,1\n30000000,a,0,Read,0,512,1\n"
    trace = trace_of(content)
    assert trace.devices == ("a_0", "a_1")
    one = trace.select("a_1")
    assert rows_of(one) == [(1.0, WRITE, 512, 512, "a_1")]
    assert rows_of(trace_of(content, device="a_1")) == rows_of(one)
    with pytest.raises(ParameterError, match=r"device='a_2': .*trace has a_0, a_1\. Name one of them\."):
        trace.select("a_2")


def test_frame_has_the_commands(trace_of):
    frame = trace_of("10000000,a,0,Write,0,512,1\n20000000,a,1,Read,512,1024,1\n").frame()
    assert list(frame.columns) == ["time_s", "op", "offset", "length", "device"]
    assert frame.values.tolist() == [[0.0, "write", 0, 512, "a_0"], [1.0, "read", 512, 1024, "a_1"]]


@given(
    st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(1, 3_000), st.sampled_from([READ, WRITE, DISCARD])), max_size=20
    ),
    st.integers(1, 700),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_split_covers_the_same_bytes_block_by_block(tmp_path, requests, block):
    path = tmp_path / "trace"
    words = {READ: "read", WRITE: "write", DISCARD: "trim"}
    rows = "".join(f"{i} d {words[op]} {offset} {length}\n" for i, (offset, length, op) in enumerate(requests))
    path.write_text("fio version 3 iolog\n" + rows + "99 d sync 0 0\n")
    trace = read_trace(path)
    pieces = trace.split(block)
    expected = []  # byte by byte
    for i, (offset, length, op) in enumerate([*requests, (0, 0, FLUSH)]):
        blocks = {}
        for byte in range(offset, offset + length):
            blocks.setdefault(byte // block, []).append(byte)
        cuts = [(min(held), len(held)) for held in blocks.values()] or [(offset, 0)]
        expected += [(trace.time_s[i], op, begin, size) for begin, size in cuts]
    assert list(zip(pieces.time_s, pieces.op, pieces.offset, pieces.length, strict=True)) == expected


def test_split_knows_its_limits(trace_of):
    trace = trace_of(f"fio version 3 iolog\n0 d trim 0 {2**40}\n")
    with pytest.raises(ParameterError, match=r"block_bytes=64: cuts this trace into 1.72e\+10 pieces"):
        trace.split(64)
    with pytest.raises(ParameterError, match=r"block_bytes='4 KB': .*Did you mean KiB"):
        trace.split("4 KB")
    last = trace_of(f"fio version 3 iolog\n0 d write {2**63 - 1 - 700} 700\n").split(512)
    assert last.length.sum() == 700 and (last.offset >= 2**63 - 1 - 700).all()


SECTORS = st.integers(0, 2**40)
COMMANDS = st.lists(
    st.tuples(st.integers(0, 2**45), st.booleans(), SECTORS, st.integers(1, 4096), st.integers(0, 2)),
    min_size=1,
    max_size=40,
)


def as_text(kind, commands):
    """The commands (us, write?, sector, sectors, disk) as a file of this kind, by plain formatting."""
    head = {
        "cloudphysics-csv": "version,time,op,size,lbn\n",
        "vscsistats": "#a\n#b\n",
        "systor17": "Timestamp,Response,IOType,LUN,Offset,Size\n",
        "fio-v3": "fio version 3 iolog\n0 d add\n",
        "msr": "",
    }[kind]
    row = {
        "cloudphysics-csv": lambda t, w, s, n, d: f"1,{t // 10**6}.{t % 10**6:06d},{'2a' if w else '28'},{n * 512},{s}",
        "vscsistats": lambda t, w, s, n, d: f"77,{n * 512},1,{'write' if w else 'read'},{s},{t}",
        "systor17": lambda t, w, s, n, d: (
            f"{t // 10**6}.{t % 10**6:06d}000,0.5,{'W' if w else 'R'},{d},{s * 512},{n * 512}"
        ),
        "fio-v3": lambda t, w, s, n, d: f"{t} /dev/{d} {'write' if w else 'read'} {s * 512} {n * 512}",
        "msr": lambda t, w, s, n, d: f"{t * 10},src,{d},{'Write' if w else 'Read'},{s * 512},{n * 512},12",
    }[kind]
    return head + "".join(row(*command) + "\n" for command in commands)


DEVICE_NAMES = {"systor17": "{}", "fio-v3": "/dev/{}", "msr": "src_{}"}


@pytest.mark.parametrize("kind", ["cloudphysics-csv", "vscsistats", "systor17", "fio-v3", "msr"])
@given(COMMANDS, st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_text_round_trip(tmp_path, kind, commands, end, packed):
    content = as_text(kind, commands).replace("\n", end).encode()
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(content) if packed else content)
    trace = read_trace(path)
    assert trace.kind == kind
    ordered = sorted(commands, key=lambda command: command[0])
    first = ordered[0][0]
    name = DEVICE_NAMES.get(kind, "disk")
    scale = 10 if kind == "msr" else 1
    assert rows_of(trace) == [
        ((t - first) * scale / (1e6 * scale), WRITE if w else READ, s * 512, n * 512, name.format(d))
        for t, w, s, n, d in ordered
    ]


@pytest.mark.parametrize("kind", ["vscsi-v1", "vscsi-v2"])
@given(COMMANDS, st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_binary_round_trip(tmp_path, kind, commands, packed):
    content = b"".join(
        struct.pack("<IIIHHQQ", 5, n * 512, 1, 0x2A if w else 0x28, 0x100, s, t)
        if kind == "vscsi-v1"
        else struct.pack("<HHIIIQQQ", 0x2A if w else 0x28, 0x200, 5, n * 512, 1, s, t, 9)
        for t, w, s, n, _ in commands
    )
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(content) if packed else content)
    trace = read_trace(path)
    ordered = sorted(commands, key=lambda command: command[0])
    first = ordered[0][0]
    assert trace.kind == kind
    assert rows_of(trace) == [
        ((t - first) / 1e6, WRITE if w else READ, s * 512, n * 512, "disk") for t, w, s, n, _ in ordered
    ]


def test_many_chunks_and_devices_go_together(trace_of, monkeypatch):
    monkeypatch.setattr("clonesim.ingest.source.CHUNK_BYTES", 1_000)
    commands = [(i, i % 3 == 0, i, 1 + i % 7, i % 1_500) for i in range(6_000)]
    trace = trace_of(as_text("systor17", commands))
    assert rows_of(trace) == [
        (i / 1e6, WRITE if w else READ, s * 512, n * 512, str(d)) for i, (t, w, s, n, d) in enumerate(commands)
    ]
    monkeypatch.undo()
    again = trace_of(as_text("systor17", commands))
    assert rows_of(again) == rows_of(trace)
    np.testing.assert_array_equal(again.device, trace.device)
