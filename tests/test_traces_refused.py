"""What is refused and with which words: each message names file, line, field, value, problem and remedy."""

import gzip
import os
import re
import struct
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusal_tools import refused

from clonesim.errors import ParameterError, TraceError
from clonesim.ingest import TRACE_KINDS, BadRow, read_trace

FUZZ = int(os.environ.get("FUZZ", "900"))
SKIP = r"leave out such rows with skip_bad_rows=True \(--skip-bad-rows\), which counts them\."
CSV = "version,time,op,size,lbn\n1,0,2a,512,1\n"
SYSTOR = "Timestamp,Response,IOType,LUN,Offset,Size\n1.5,0.1,W,0,0,512\n"
MSR = "10,hm,0,Write,0,512,1\n11,hm,0,Write,0,512,1\n"
TEXT = "#a\n77,512,1,write,0,5\n77,512,1,write,0,6\n"
FIO2 = "fio version 2 iolog\nd add\n"
FIO3 = "fio version 3 iolog\n0 d add\n"
packed = partial(gzip.compress, mtime=0)  # no time of day in tests' names: all processes must collect the same ones


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some trace"


refusal = partial(refused, read_trace, TraceError)


@pytest.mark.parametrize(
    ("content", "line", "field", "value", "problem"),
    [
        (CSV + "1,1,2a,512,-8\n", 3, "lbn", "-8", "is negative"),
        (CSV + "1,1,2a,512,x8\n", 3, "lbn", "x8", "is not a whole number"),
        (CSV + "1,1,2a,512,8.5\n", 3, "lbn", "8.5", "is not a whole number"),
        (CSV + "1,1,2a,512,\n", 3, "lbn", "", "is not a whole number"),
        (CSV + "1,1,2a,512,0x8\n", 3, "lbn", "0x8", "is not a whole number"),
        (CSV + f"1,1,2a,512,{2**63}\n", 3, "lbn", str(2**63), r"is beyond 2\^63"),
        (CSV + f"1,1,2a,512,{2**54}\n", 3, "lbn", str(2**54), r"is beyond byte 2\^63 \(in units of 512 B\)"),
        (CSV + f"1,1,2a,1024,{2**54 - 1}\n", 3, "size", "1024", r"the request ends beyond byte 2\^63"),
        (CSV + "1,1,2a,0,8\n", 3, "size", "0", "a request of no bytes"),
        (CSV + "1,1,2a,-512,8\n", 3, "size", "-512", "is negative"),
        (CSV + f"1,1,2a,{2**31 + 1},8\n", 3, "size", str(2**31 + 1), "a request of more than 2147483648 B"),
        (CSV + "1,nan,2a,512,8\n", 3, "time", "nan", "is not a number of seconds"),
        (CSV + "1,inf,2a,512,8\n", 3, "time", "inf", "is not a number of seconds"),
        (CSV + "1,-0.5,2a,512,8\n", 3, "time", "-0.5", r"is not a time from 0 to \d+ / 1000000 s"),
        (CSV + "1,1e13,2a,512,8\n", 3, "time", "1e13", "is beyond|is not a time from 0"),
        (CSV + "1,1e300,2a,512,8\n", 3, "time", "1e300", r"is beyond 2\^63"),
        (
            CSV + "1,1,5f,512,8\n",
            3,
            "op",
            "5f",
            "this operation is not known; cloudphysics-csv has 08, 28, .* \\(hex\\)",
        ),
        (CSV + "1,1,zz,512,8\n", 3, "op", "zz", "this operation is not known"),
        (CSV + "3,1,2a,512,8\n", 3, "version", "3", "cloudphysics-csv has 1 or 2 here"),
        (CSV + "1,1,2a,512\n", 3, "row", "1,1,2a,512", r"4 fields where 5 are needed \(version,time,op,size,lbn\)"),
        (CSV + "1,1,2a,512,8,9\n", 3, "row", "1,1,2a,512,8,9", "6 fields where 5 are needed"),
        (CSV + '1,1,2a,"512,8\n', 3, "row", '1,1,2a,"512,8', "an open quote"),
        (CSV + "\n# note\n1,1,2a,512,8\n\n1,1,2a,512,a\n", 7, "lbn", "a", "is not a whole number"),
        (SYSTOR + "1.5,0.1,X,0,0,512\n", 3, "IOType", "X", "this operation is not known; systor17 has r, w"),
        (SYSTOR + "1.5,0.1,W,,0,512\n", 3, "LUN", "", "is empty"),
        (SYSTOR + "1.5,0.1,,0,0,512\n,0.1,W,0,0,512\n", 4, "Timestamp", "", "is not a number of seconds"),
        (MSR + "12,hm,0,Flush,0,512,1\n", 3, "Type", "Flush", "this operation is not known; msr has read, write"),
        (MSR + "12,,0,Write,0,512,1\n", 3, "Hostname", "", "is empty"),
        (MSR + "-12,hm,0,Write,0,512,1\n", 3, "Timestamp", "-12", "is not a time from 0 to"),
        (MSR + f"{2**63 - 1},hm,0,Write,0,512,1\n", 3, "Timestamp", str(2**63 - 1), "is not a time from 0 to"),
        (MSR + "12.5,hm,0,Write,0,512,1\n", 3, "Timestamp", "12.5", "is not a whole number"),
        (MSR + "12,hm,0,Write,0,51", 3, "row", "12,hm,0,Write,0,51", "6 fields where 7 are needed"),
        (
            TEXT + "77,512,1,erase,0,7\n",
            4,
            "command",
            "erase",
            "this operation is not known; vscsistats has read, write",
        ),
        (FIO2 + "d erase 0 512\n", 3, "action", "erase", "this operation is not known; fio-v2 has read, write, trim, "),
        (FIO2 + "d add 0 512\n", 3, "action", "add", "this operation is not known"),
        (FIO2 + "d write 0\n", 3, "row", "d write 0", r"3 fields where 4 are needed \(file action offset length\)"),
        (FIO2 + "d wait -5 0\n", 3, "offset", "-5", "is negative"),
        (FIO3 + "5 d write 0 0\n", 3, "length", "0", "a request of no bytes"),
        (FIO3 + "5 d write 0\n", 3, "row", "5 d write 0", "4 fields where 5 are needed"),
        (FIO3 + f"5 d trim 512 {2**63 - 1}\n", 3, "length", str(2**63 - 1), r"the request ends beyond byte 2\^63"),
    ],
)
def test_bad_rows(path, content, line, field, value, problem):
    for text in (content, content.replace("\n", "\r\n")):
        error = refusal(path, text)
        assert (error.line, error.field, error.value) == (line, field, value)
        assert re.search(
            f"line {line}, {field}={re.escape(repr(value))}: ({problem}).*\\. Correct or remove it, or {SKIP}",
            str(error),
        )
    others = "" if content.startswith("fio") else content  # the fio examples hold no good row
    if others:
        skipped = [row[:3] for row in read_trace(path, skip_bad_rows=True).skipped]
        assert [row for row in skipped if row[1] != "IOType" or row[2]] == [(line, field, value)]
    else:
        assert "holds only bad rows (1) and no usable command" in str(refusal(path, content, skip_bad_rows=True))


@pytest.mark.parametrize("where", [2, 30_000, 77_777, 200_000, 200_001])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_is_right_in_a_long_file_too(path, where, end):
    rows = ["version,time,op,size,lbn", *(f"1,{i},2a,512,{i}" for i in range(200_000))]
    rows[where - 1] = "1,5,2a,512,oops"
    error = refusal(path, end.join(rows) + end)
    assert (error.line, error.field, error.value) == (where, "lbn", "oops")
    trace = read_trace(path, skip_bad_rows=True)
    assert trace.skipped == (BadRow(where, "lbn", "oops", "is not a whole number"),)
    assert (len(trace), trace.rows, trace.summary()["skipped_rows"]) == (199_999, 200_000, 1)
    assert np.array_equal(np.delete(np.arange(200_000), where - 2), trace.offset // 512)


def test_the_first_of_several_bad_rows_is_named(path):
    error = refusal(path, CSV + "1,1,2a,512,x\n1,1,2a,0,1\n1,1\n")
    assert error.line == 3
    trace = read_trace(path, skip_bad_rows=True)
    assert [(row.line, row.field) for row in trace.skipped] == [(3, "lbn"), (4, "size"), (5, "row")]


def test_a_header_line_that_lacks_a_column(path):
    error = refusal(path, "version,time,op,lbn\n1,0,2a,1\n")
    assert error.line == 1
    assert "header='version,time,op,lbn': the header line lacks the column size" in str(error)
    assert str(error).endswith("A cloudphysics-csv trace has version,time,op,size,lbn.")
    assert len(refusal(path, "Timestamp,IOType,Offset\n1,W,0\n", kind="systor17").args[0]) < 300


def v1(cmd=0x2A, lbn=0, length=512, ts=0, ver=0x100):
    return struct.pack("<IIIHHQQ", 1, length, 1, cmd, ver, lbn, ts)


@pytest.mark.parametrize(
    ("record", "field", "value", "problem"),
    [
        (v1(cmd=0x12), "cmd", "0x12", "this operation is not known"),
        (v1(lbn=2**54), "lbn", str(2**54), r"is beyond byte 2\^63 \(in units of 512 B\)"),
        (v1(lbn=2**64 - 1), "lbn", str(2**64 - 1), r"is beyond byte 2\^63"),
        (v1(length=0), "len", "0", "a request of no bytes"),
        (v1(length=2**32 - 1), "len", str(2**32 - 1), "a request of more than"),
        (v1(ts=2**63), "ts", str(2**63), "is not a time from 0 to"),
        (v1(ver=0x300), "ver", "0x300", "its high byte is not 1, so this is no vscsi-v1 record"),
    ],
)
def test_bad_binary_records(path, record, field, value, problem):
    error = refusal(path, v1() * 3 + record + v1())
    assert (error.line, error.field, error.value) == (4, field, value)
    note = r"\(The line is the record number; it starts at byte 96\.\)"
    assert re.search(rf"line 4, {field}='{value}': {problem}.*{note} .*{SKIP}", str(error))
    trace = read_trace(path, skip_bad_rows=True)
    assert (len(trace), trace.rows, trace.skipped[0][:3]) == (4, 5, (4, field, value))


@pytest.mark.parametrize("pack", [bytes, packed], ids=["plain", "gzip"])
def test_binary_must_be_whole_records(path, pack):
    error = refusal(path, pack(v1() * 3 + b"12345"))
    assert "ends inside a record: 101 B are not a whole number of 32 B records" in str(error)
    assert str(error).endswith("The copy is cut off: copy it again, or cut it to 96 B.")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty. Record or copy the trace again"),
        (packed(b""), "the gzip file holds nothing. Record"),
        (packed(CSV.encode() * 500)[:-30], "the gzip file is cut off before its end. Copy or download"),
        (packed(CSV.encode())[:-8] + b"12345678", r"the gzip file is damaged \(CRC check failed"),
        (packed(CSV.encode())[:10] + b"\xff" * 40, r"the gzip file is damaged \("),
        (packed(CSV.encode()) + b"more", r"the gzip file is damaged \(Not a gzipped file"),
        (b"\x1f\x8b", "the gzip file is cut off"),
        (b"\x1f\x8bxyz" * 9, r"the gzip file is damaged \(Unknown compression method"),
        (packed(packed(CSV.encode())), "is gzip inside gzip. Unpack it once"),
        (b"\x28\xb5\x2f\xfd1234", r"is zstd-compressed. Unpack it first \('zstd -d'\)"),
        (b"BZh91AY", "is bzip2-compressed"),
        (b"\xfd7zXZ\0", "is xz-compressed"),
        (b"PK\x03\x04", "is a zip archive or a workbook. Unpack it and name the trace"),
        (CSV.encode("utf-16"), "is UTF-16 text. Save it as UTF-8"),
        (b"# only\n\n", "holds comments or blank lines only"),
        (b"version,time,op,size,lbn\n", "holds no rows and no usable command"),
        (b"fio version 3 iolog\n0 d add\n0 d close\n", "holds no rows and no usable command"),
        (b"fio version 1 iolog\n", "'fio version 1 iolog': only versions 2 and 3 of fio's iolog are read. Record it"),
        (b"1\n2\n3\n", "is a bare list of block numbers.*Use a trace with operations"),
        (
            b"Histogram: IO lengths of commands,virtual machine worldGroupID : 1,virtual disk handleID : 2\nmin,512\n",
            "holds vscsiStats histograms, which have no offsets.*vscsiStats -s -t -w WORLDGROUP -i HANDLE",
        ),
        (
            b"hello world\n",
            "text that is no known trace; its first row is 'hello world'. Kinds that are read: vscsi-v1, ",
        ),
        (b"3,X,126703644672,4096,1577808000000046\n", "text that is no known trace"),
        (b"1538323200,12910952,128,2,1063\n", "text that is no known trace"),
        (bytes(range(256)) * 4, "binary content that is no vSCSI trace. Kinds that are read"),
    ],
)
def test_files_that_are_no_trace(path, content, problem):
    assert re.search(problem, str(refusal(path, content)))
    assert "Traceback" not in str(refusal(path, content, skip_bad_rows=True))


def test_all_rows_bad_is_no_trace(path):
    error = refusal(path, "version,time,op,size,lbn\n1,x,2a,512,0\n1,0,2a,0,0\n", skip_bad_rows=True)
    assert "holds only bad rows (2) and no usable command" in str(error)


def test_no_file_a_folder_and_a_strange_path(tmp_path):
    with pytest.raises(TraceError, match=r"absent: there is no such file\. Check the path\."):
        read_trace(tmp_path / "absent")
    with pytest.raises(TraceError, match=r"is a folder, not a trace\. Name one file in it\."):
        read_trace(tmp_path)
    with pytest.raises(TraceError, match="NUL"):
        read_trace("a\0b")


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_a_file_without_permission(path):
    path.write_text(CSV)
    path.chmod(0)
    with pytest.raises(TraceError, match="cannot be read: Permission denied"):
        read_trace(path)


def test_unknown_kind_and_a_kind_that_does_not_fit(path):
    path.write_text(CSV)
    with pytest.raises(
        ParameterError, match=r"kind='vscsi': allowed are vscsi-v1, .*xperf\. Leave it out to find it\."
    ):
        read_trace(path, "vscsi")
    with pytest.raises(TraceError, match=r"5 fields where 7 are needed"):
        read_trace(path, "msr")
    with pytest.raises(TraceError, match=r"so this is no vscsi-v2 record|ends inside a record"):
        read_trace(path, "vscsi-v2")


def test_a_line_without_an_end_is_no_text(path):
    content = CSV.encode() + b"1" * (5 * 2**20)
    assert "holds a line of more than 2 MiB" in str(refusal(path, content))


SEEDS = [
    CSV + "1,1,28,4096,9\n",
    SYSTOR + "2.5,,,0,0,512\n",
    MSR,
    TEXT,
    FIO2 + "d write 0 512\nd wait 5 0\nd trim 0 512\n",
    FIO3 + "5 d write 0 512\n",
    v1() + v1(ts=5) + v1(ts=9),
    struct.pack("<HHIIIQQQ", 0x2A, 0x200, 1, 512, 1, 5, 6, 7) * 3,
    packed(CSV.encode()),
    "3,R,126703644672,4096,1577808000000046\n4,W,512,4096,1577808000000047\n",
    "1538323200,12910952,128,0,1063\n1538323201,8,8,1,1063\n",
    "89966155449768 2559 nfsd 508408024 8 W 6 0 531e779\n5 1 cron 8 8 R 6 0 5\n",
    "  8,0 3 1 0.000000000 697 Q W 8 + 8 [k]\n 8,0 3 1 0.000000009 0 C FWS 8 + 8 [0]\n"
    " 8,0 3 1 0.000000019 0 C FN 0 [0]\n",
    "BeginHeader\nDiskRead, TimeStamp, DiskNum, ByteOffset, IOSize, FileName\nEndHeader\n"
    "DiskRead, 5, 0, 0x200, 0x400, C:\\a\n DiskRead, 6, 1, 0x200, 0x400, C:\\b\n",
]


@given(
    st.sampled_from([seed.encode() if isinstance(seed, str) else seed for seed in SEEDS]),
    st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=6), st.integers(0, 6)), max_size=4),
    st.sampled_from([None, *TRACE_KINDS]),
    st.booleans(),
)
@settings(max_examples=FUZZ, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damaged_files_only_raise_trace_errors(tmp_path, content, edits, kind, skip):
    for place, put, drop in edits:
        content = content[:place] + put + content[place + drop :]
    check_any(tmp_path, content, kind, skip)


@given(st.binary(max_size=300), st.sampled_from([None, *TRACE_KINDS]), st.booleans())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_random_bytes_only_raise_trace_errors(tmp_path, content, kind, skip):
    check_any(tmp_path, content, kind, skip)


def check_any(tmp_path, content, kind, skip):
    path = tmp_path / "trace"
    path.write_bytes(content)
    try:
        trace = read_trace(path, kind, skip_bad_rows=skip)
    except TraceError:
        return
    assert len(trace) > 0 and trace.rows == len(trace) + len(trace.skipped)
    assert (np.diff(trace.time_s) >= 0).all() and trace.time_s[0] == 0
    assert (trace.offset >= 0).all() and (trace.offset <= 2**63 - 1 - trace.length).all()
    assert all(trace.devices) and trace.device.max() == len(trace.devices) - 1
    trace.summary()
