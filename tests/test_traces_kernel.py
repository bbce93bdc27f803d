"""The fast kernel against the careful reader, which is its slow and obvious reference."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import TraceError
from clonesim.ingest import text_kernel
from clonesim.ingest.collector import Collector
from clonesim.ingest.layouts import TEXT_LAYOUTS
from clonesim.ingest.rows import BLANK, SHORT, WAIT
from clonesim.ingest.text import TextReader


class InMemory:
    """A source that is not a file."""

    path = Path("in memory")

    def __init__(self, data: bytes) -> None:
        self.data = data

    def lines(self):
        yield self.data


def reader_of(kind, data, skip=True):
    source, layout = InMemory(data), TEXT_LAYOUTS[kind]
    return TextReader(source, layout, Collector(source.path, layout, skip))


def both(kind, data):
    """(columns, lines) as the kernel and as the careful reader see them; None where the kernel gives up."""
    fast = reader_of(kind, data)
    fast_lines = fast._fast(data, 1)
    slow = reader_of(kind, data)
    slow_lines = slow._careful(data, 1)
    return (None if fast_lines is None else outcome(fast, fast_lines)), outcome(slow, slow_lines)


def outcome(reader, lines):
    collector = reader.collector
    try:
        done = collector.finish()
    except TraceError:
        return collector.rows, lines, collector.skipped, None
    names = [done.devices[i] for i in done.device]
    requests = done.requests
    columns = (requests.time_s, requests.op, requests.offset, requests.length)
    return collector.rows, lines, collector.skipped, ([c.tolist() for c in columns], names, done.first_tick)


NUMBER = st.one_of(
    st.integers(0, 2**64).map(str),
    st.integers(0, 9_999).map(str),
    st.sampled_from(["", "-1", "+1", "1.5", "00012", "1 ", " 1", "0x1", "1e3", "1_0", "\u0661", str(2**63), "9" * 30]),
)
SECONDS = st.one_of(
    st.decimals(0, 10**10, places=9).map(str),
    st.sampled_from(["1.", "1.0000005", "1.0000004999", "1.9999995", ".5", "1e3", "nan", "-1", "123456789012345.5"]),
)
WORD = st.sampled_from(
    [
        "read",
        "Write",
        "R",
        "w",
        "",
        "2a",
        "28",
        "2A",
        "0x2a",
        "8",
        "08",
        "5f",
        "sync",
        "wait",
        "add",
        "trim",
        "open",
        "0",
        "1",
    ]
)
NAME = st.sampled_from(["hm", "0", "a b", "", '"q"', "x\x0b", "\xa0y", "disk", "#d"])
LINE_END = st.sampled_from(["\n", "\r\n", "\n\n", " \n", "\r", ""])


def field(layout, column):
    if column == layout.op:
        return WORD
    if column in layout.devices:
        return NAME
    if column == layout.columns[0] and layout.first_values:
        return st.sampled_from(["1", "2", "3", "12", ""])
    return SECONDS if column == layout.time and layout.decimals else NUMBER


@st.composite
def messy(draw, kind):
    layout = TEXT_LAYOUTS[kind]
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        fields = [draw(field(layout, column)) for column in layout.columns]
        shape = draw(st.integers(0, 9))
        if shape == 0:
            fields = fields[: draw(st.integers(0, len(fields)))]
        text = layout.delimiter.join(fields)
        if shape == 1:
            text = "# " + text
        parts.append(text + draw(LINE_END))
    return "".join(parts).encode()


@pytest.mark.parametrize("kind", TEXT_LAYOUTS)
def test_kernel_follows_the_careful_reader_on_messy_rows(kind):
    seen = set()

    @given(messy(kind))
    @settings(max_examples=400, deadline=None)
    def run(data):
        fast, slow = both(kind, data)
        seen.add(fast is not None)
        if fast is not None:
            assert fast == slow, data

    run()
    assert seen == {True, False}, "the examples must reach both paths"


CLEAN = {
    "cloudphysics-csv": b"1,%d.%06d,2a,%d,%d\n",
    "vscsistats": b"7,%d,1,write,%d,%d%06d\n",
    "msr": b"%d%06d,hm,0,Write,%d,%d,3\n",
    "systor17": b"%d.%06d000,0.1,W,3,%d,%d\n",
    "fio-v2": b"d%d%06d write %d %d\n",
    "fio-v3": b"%d%06d d write %d %d\n",
    "alibaba": b"%d,W,%d,%d,%d\n",
    "tencent": b"%d,%d,%d,1,%d\n",
    "fiu": b"%d 12 nfsd %d %d W 6 %d 0d1e\n",
}


@pytest.mark.parametrize("kind", TEXT_LAYOUTS)
@given(rows=st.lists(st.tuples(*[st.integers(1, 10**6 - 1)] * 4), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_kernel_takes_clean_rows_and_agrees(kind, rows):
    fast, slow = both(kind, b"".join(CLEAN[kind] % row for row in rows))
    assert fast is not None and fast == slow


def test_kernel_gives_up_where_its_output_is_full():
    reader = reader_of("fio-v3", b"", skip=False)
    reader._time = np.empty(3, np.int64)
    data = b"0 d write 0 512\n"
    assert reader._fast(data * 3, 1) == 3
    assert reader._fast(data * 4, 1) is None
    many = b"".join(b"0 d%d write 0 512\n" % i for i in range(1_025))
    assert reader_of("fio-v3", b"", skip=False)._fast(many, 1) is None


def test_kernel_has_one_signature_and_the_codes_of_the_reader():
    both("fio-v3", b"0 d write 0 512\n")
    both("msr", b"1,hm,0,Write,0,512,1\n")
    assert len(text_kernel.parse_rows.signatures) == 1
    assert text_kernel.SHORT == SHORT
    assert len({SHORT, WAIT, BLANK, text_kernel.FAILED}) == 4
