"""Traces of many volumes (Alibaba, Tencent) and of FIU: units, volumes, choosing one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_tools import rows_of

from clonesim.errors import ParameterError, TraceError
from clonesim.ingest import device_kernel
from clonesim.ingest.device_table import DeviceTable
from clonesim.ops import BlockOp

READ, WRITE = BlockOp.READ, BlockOp.WRITE


# Rows as the formats' documents publish them; bytes, seconds and dates worked out by hand.
@pytest.mark.parametrize(
    ("content", "kind", "rows", "start"),
    [
        (
            "419,W,8792731648,16384,1577808144360767\n725,R,59110326272,360448,1577808144360813\n",
            "alibaba",
            [(0.0, WRITE, 8_792_731_648, 16_384, "419"), (46e-6, READ, 59_110_326_272, 360_448, "725")],
            "2019-12-31T16:02:24.360767+00:00",
        ),
        (
            "1538323200,12910952,128,0,1063\n1538323201,6160448,8,1,1085\n",
            "tencent",  # sectors of 512 B in both columns: 12910952 * 512 and 128 * 512
            [(0.0, READ, 6_610_407_424, 65_536, "1063"), (1.0, WRITE, 3_154_149_376, 4_096, "1085")],
            "2018-09-30T16:00:00+00:00",
        ),
        (
            "89966155449768 2559 nfsd 508408024 8 W 6 0 531e779\n"
            "89968195792462 20782 gzip 283193184 16 R 8 1 56f11b7\n",
            "fiu",  # nanoseconds; blocks of 512 B
            [(0.0, WRITE, 260_304_908_288, 4_096, "6_0"), (2.040342694, READ, 144_994_910_208, 8_192, "8_1")],
            None,
        ),
    ],
)
def test_example_rows(trace_of, content, kind, rows, start):
    for text in (content, content.replace("\n", "\r\n"), content.rstrip("\n")):
        trace = trace_of(text)
        assert (trace.kind, rows_of(trace), trace.rows) == (kind, rows, 2)
        assert (trace.start and trace.start.isoformat()) == start


def test_header_lines_name_the_columns(trace_of):
    trace = trace_of("Timestamp,Offset,Size,IOType,VolumeID\n10,1,2,1,7\n")
    assert (trace.kind, rows_of(trace)) == ("tencent", [(0.0, WRITE, 512, 1024, "7")])
    trace = trace_of("timestamp,device_id,opcode,offset,length\n10,a,W,512,1024\n")
    assert (trace.kind, rows_of(trace)) == ("alibaba", [(0.0, WRITE, 512, 1024, "a")])


def test_fiu_without_digests(trace_of):
    trace = trace_of("5 1 cron 8 8 W 6 0\n6 1 cron 16 8 R 6 0\n")
    assert (trace.kind, rows_of(trace)[1]) == ("fiu", (1e-9, READ, 8_192, 4_096, "6_0"))
    with pytest.raises(TraceError, match=r"line 3, row='7 1 cron 16 8 R 6': 7 fields where 8 are needed"):
        trace_of("5 1 cron 8 8 W 6 0\n6 1 cron 16 8 R 6 0\n7 1 cron 16 8 R 6\n")


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        ("10,1,2,2,7", "IOType", "this operation is not known; tencent has 0, 1"),
        ("10,1,4194305,1,7", "Size", r"a request of more than 2147483648 B"),
        ("10,1,0,1,7", "Size", "a request of no bytes"),
        (f"10,{2**54},1,1,7", "Offset", r"is beyond byte 2\^63"),
        (f"10,{2**54 - 1},2,1,7", "Size", r"the request ends beyond byte 2\^63"),
        (f"10,1,{2**60},1,7", "Size", r"a request of more than"),
        ("10,1,2,1,", "VolumeID", "is empty"),
        ("10,1,2,1", "row", "4 fields where 5 are needed"),
    ],
)
def test_bad_rows(trace_of, row, field, problem):
    content = "9,0,8,1,7\n9,0,8,1,7\n" + row + "\n"
    with pytest.raises(TraceError, match=problem) as caught:
        trace_of(content)
    assert (caught.value.line, caught.value.field) == (3, field)
    trace = trace_of(content, skip_bad_rows=True)
    assert (len(trace), trace.rows, trace.skipped[0].line) == (2, 3, 3)
    assert trace_of("9,0,4194304,1,7\n").length.tolist() == [2**31]


def many_volumes(rows=60_000, volumes=3_000):
    rng = np.random.default_rng(0)
    volume = rng.integers(0, volumes, rows)
    write = rng.random(rows) < 0.5
    columns = (volume * 7, write, rng.integers(0, 2**30, rows) * 4096, rng.integers(1, 64, rows) * 512)
    return [tuple(int(c[i]) for c in columns) for i in range(rows)]


def test_thousands_of_volumes_are_told_apart(trace_of, tmp_path):
    rows = many_volumes()
    text = "".join(f"{v},{'W' if w else 'R'},{o},{n},{i}\n" for i, (v, w, o, n) in enumerate(rows))
    trace = trace_of(text)
    order = list(dict.fromkeys(str(row[0]) for row in rows))  # volumes as they first turn up
    assert list(trace.devices) == order
    assert [trace.devices[i] for i in trace.device] == [str(row[0]) for row in rows]
    written = dict.fromkeys(order, 0)
    for volume, write, _, length in rows:
        written[str(volume)] += length * write
    assert trace.written_by_device() == written

    largest = sorted(order, key=lambda name: (-written[name], name))[:3]
    pattern = rf"device='x': .* has {len(order)} devices; those with most written: {largest[0]} \(.* GiB\), "
    pattern += largest[1]
    with pytest.raises(ParameterError, match=pattern):
        trace.select("x")
    with pytest.raises(ParameterError, match=pattern):
        trace_of(text, device="x")
    one = trace_of(text, device=largest[0])
    expected = trace.select(largest[0])
    assert rows_of(one) == rows_of(expected) and one.devices == (largest[0],)
    assert (one.rows, one.out_of_order, one.start) == (trace.rows, 0, trace.start)


def test_a_volume_keeps_the_clock_of_the_whole_trace(trace_of):
    text = "1,W,0,512,2000000\n2,W,0,512,1000000\n1,W,512,512,500000\n2,R,0,512,4000000\n"
    assert rows_of(trace_of(text, device="1")) == [(0.0, WRITE, 512, 512, "1"), (1.5, WRITE, 0, 512, "1")]
    assert rows_of(trace_of(text, device="2")) == [(0.5, WRITE, 0, 512, "2"), (3.5, READ, 0, 512, "2")]
    assert trace_of(text, device="2").out_of_order == 2


NAMES = st.text('ab0,"# \t\x0b\u00e9', max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y,z"]), NAMES), max_size=60), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_the_table_of_volumes_against_a_dictionary(rows, parts):
    table, known = DeviceTable(), {}
    for part in range(parts):  # the table lives over chunks
        texts = [f"{lead},{name}#{part % 2}" if lead == "x" else f"q,{name}" for lead, name in rows]
        data = "".join(text + "\n" for text in texts).encode()
        fields = [text.split(",") for text in texts]
        odd = any(not f[1] or set(f[1]) & set('" \t') or f[1].startswith("#") for f in fields)
        numbers = table.number(data, ",", 1, len(texts))
        if odd:
            assert numbers is None
            continue
        assert numbers is not None
        for field in fields:
            known.setdefault(field[1], len(known))
        assert numbers.tolist() == [known[field[1]] for field in fields]
        assert table.names == list(known)


def test_the_table_grows_and_takes_back_what_failed():
    table = DeviceTable()
    names = [f"volume-{i:08d}-{'x' * (i % 40)}" for i in range(20_000)]
    data = "".join(f"{name},W\n" for name in names).encode()
    assert table.number(data + b",W\n", ",", 0, 20_001) is None and table.names == []
    numbers = table.number(data * 2, ",", 0, 40_000)
    assert numbers is not None and numbers.tolist() == [*range(20_000), *range(20_000)] and table.names == names
    assert len(device_kernel.number_devices.signatures) == 1
