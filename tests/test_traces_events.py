"""Event listings: blkparse and the dumper of xperf; which events count, header rows, damaged rows."""

import gzip
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_tools import rows_of

from clonesim.errors import ParameterError, TraceError
from clonesim.ingest import blkparse_kernel, read_file_trace, read_trace, xperf_kernel
from clonesim.ingest.blkparse import LAYOUT, BlkparseReader
from clonesim.ingest.collector import Collector
from clonesim.ingest.file_sources import METADATA, SOURCES, source_names
from clonesim.ingest.xperf import LAYOUT as XPERF
from clonesim.ingest.xperf import XperfReader
from clonesim.ops import BlockOp
from clonesim.scenario import catalog

READ, WRITE, DISCARD, SAME, FLUSH = BlockOp


# In the form of blkparse's own documents; a request's life is Q, G, I, D, C.
BLKPARSE = """\
Input file sda.blktrace.3 added
  8,0    3        1     0.000000000   697  Q   W 223490 + 8 [kjournald]
  8,0    3        2     0.000001829   697  G   W 223490 + 8 [kjournald]
  8,0    3        3     0.000002197   697  P   N [kjournald]
  8,0    3        5     0.000005312   697  UT   N [kjournald] 1
  8,0    3        6     0.000025320   697  D   W 223490 + 8 [kjournald]
  8,0    0        1     0.000251210     0  C   W 223490 + 8 [0]
  8,16   1        7     0.001251210     0  C  FN 0 [0]
  8,0    1        8     0.002251210     0  C  RA 16 + 8 ( 1234.5) [0]
  8,0    1        9     0.003251210     0  C FWFS 1600 + 80 [0]
  8,0    1       10     0.004251210     0  C   D 4096 + 2048 [0]
  8,0    1       11     0.005251210     0  C   W 4096 + 8 [-5]
  8,0    1       12     0.006251210     0  C   N 0 [0]
  8,0    1       13     0.007251210     0  C   R (12 00 00 00 24 00 ..) [0]
  8,0    1       14     0.008251210   697  A   W 223490 + 8 <- (8,1) 223427
  8,0    1       15     0.009251210   697  m   N cfq697 slice expired
CPU0 (sda):
 Reads Queued:           0,        0KiB\t Writes Queued:         1,        4KiB
Throughput (R/W): 0KiB/s / 4KiB/s
Events (sda): 15 entries
Skips: 0 forward (0 -   0.0%)
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blkparse_takes_completions_only(trace_of, end):
    trace = trace_of(BLKPARSE.replace("\n", end))
    assert trace.kind == "blkparse"
    assert rows_of(trace) == [
        (0.0, WRITE, 223_490 * 512, 4_096, "8,0"),
        (0.001, FLUSH, 0, 0, "8,16"),
        (0.002, READ, 8_192, 4_096, "8,0"),
        (0.003, WRITE, 819_200, 40_960, "8,0"),
        (0.004, DISCARD, 2_097_152, 1_048_576, "8,0"),
    ]
    assert trace.ignored == {
        **{"event Q": 1, "event G": 1, "event P": 1, "event U": 1, "event D": 1, "event A": 1, "event m": 1},
        **{"summary lines": 6, "completed with an error": 1, "requests without data": 2},
    }
    assert (trace.rows, trace.skipped, trace.summary()["ignored_rows"]) == (5, (), 16)


def test_blkparse_without_completions_takes_the_queue(trace_of):
    queued = "".join(line + "\n" for line in BLKPARSE.splitlines() if " C " not in line)
    trace = trace_of(queued)
    assert rows_of(trace) == [(0.0, WRITE, 223_490 * 512, 4_096, "8,0")]
    assert trace.ignored["event D"] == 1 and "event Q" not in trace.ignored


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        ("8,0 1 8 0.5 0 C R 16 + 8 [0]", "row", "is no event of blkparse's default output"),
        ("8,0 1 8 0.002251210 0 C R 16 + [0]", "row", r"has no 'rwbs sector \+ sectors"),
        ("8,0 1 8 0.002251210 0 C R 16 + 8", "row", r"has no 'rwbs sector|has no error code"),
        ("8,0 1 8 0.002251210 0 C R 16 + 8 [x]", "row", "has no error code"),
        ("8,0 1 8 0.002251210 0 C X 16 + 8 [0]", "rwbs", "this operation is not known; blkparse has R, W, D, F, N"),
        ("8,0 1 8 0.002251210 0 C R 18014398509481984 + 8 [0]", "sector", r"is beyond byte 2\^63"),
        ("8,0 1 8 0.002251210 0 C R 16 + 99999999 [0]", "sectors", "a request of more than"),
        ("what is this", "row", "is no event"),
    ],
)
def test_bad_blkparse_rows(trace_of, row, field, problem):
    good = "8,0 1 8 0.002251210 0 C R 16 + 8 [0]\n"
    with pytest.raises(TraceError, match=problem) as caught:
        trace_of(good * 3 + row + "\n" + good)
    assert (caught.value.line, caught.value.field) == (4, field)
    trace = trace_of(good * 3 + row + "\n" + good, skip_bad_rows=True)
    assert (len(trace), trace.rows, [bad.line for bad in trace.skipped]) == (4, 5, [4])


class InMemory:
    path = "in memory"

    def __init__(self, data, head=b"8,0 1 8 0.002251210 0 C R 16 + 8 [0]"):
        self.data, self._head = data, head

    def head(self):
        return self._head

    def lines(self):
        yield self.data


def outcome(data, way):
    source = InMemory(data)
    reader = BlkparseReader(source, Collector(source.path, LAYOUT, True))
    lines = getattr(reader, way)(data, 1)
    if lines is None:
        return None
    collector = reader.collector
    try:
        done = collector.finish()
    except TraceError:
        return lines, collector.rows, collector.skipped, dict(collector.ignored), None
    rows = done.requests
    values = [column.tolist() for column in (rows.time_s, rows.op, rows.offset, rows.length)]
    values.append([done.devices[i] for i in done.device])
    return lines, collector.rows, collector.skipped, dict(collector.ignored), values


@st.composite
def event(draw):
    pick = draw(st.integers(0, 30))
    device = draw(st.sampled_from(["8,0", "  8,16", "253,1"]))
    action = draw(st.sampled_from(["C", "C", "C", "Q", "UT", "m"]))
    flags = draw(st.sampled_from(["R", "W", "WS", "FWS", "FF", "FN", "D", "DS", "F", "RA", "N", "WFS"]))
    sector = draw(st.integers(0, 2**40))
    tail = f"{sector} + {draw(st.integers(1, 4096))}" if pick % 4 else "0"
    close = draw(st.sampled_from(["[0]", "[0]", "[0]", "( 12.5) [0]", "[-5]", "[kworker/0:1]"]))
    time = f"{draw(st.integers(0, 9))}.{draw(st.integers(0, 10**9 - 1)):09d}"
    text = f"{device}  1 {draw(st.integers(0, 99))}  {time}  7  {action} {flags} {tail} {close}"
    if pick == 0:
        text = text[: draw(st.integers(0, len(text)))]
    return text + draw(st.sampled_from(["\n", "\r\n", "\n\n", " \n", "\r"]))


def test_the_kernel_follows_the_careful_rows_of_blkparse():
    seen = set()

    @given(st.lists(event(), min_size=1, max_size=4))
    @settings(max_examples=600, deadline=None)
    def run(parts):
        data = "".join(parts).encode()
        fast = outcome(data, "_fast")
        seen.add(fast is not None)
        if fast is not None:
            assert fast == outcome(data, "_careful"), data

    run()
    assert seen == {True, False}
    assert len(blkparse_kernel.parse_events.signatures) == 1
    assert (blkparse_kernel.READ, blkparse_kernel.WRITE) == (READ, WRITE)
    assert (blkparse_kernel.DISCARD, blkparse_kernel.FLUSH) == (DISCARD, FLUSH)


def test_long_blkparse_listings_against_plain_expressions(trace_of):
    rng = random.Random(5)
    lines = []
    for i in range(60_000):
        action = rng.choice("QGIDC")
        close = "[0]" if action == "C" else "[dd]"
        time = f"{i // 1000}.{i % 1000:03d}{rng.randrange(10**6):06d}"
        flags = rng.choice(["R", "W", "WS", "D"])
        place = f"{rng.randrange(2**33)} + {rng.randrange(1, 512)}"
        lines.append(f"  8,{rng.randrange(3)} {i % 4} {i} {time} 99 {action:>3} {flags:>3} {place} {close}")
    lines[31_111] = "  8,0    1        7     31.111251210     0  C  FN 0 [0]"  # unusual, in the middle
    text = "\n".join(lines) + "\n"
    found = re.findall(r"^ +(8,\d) \d+ \d+ (\d+)\.(\d+) 99 +C +([A-Z]+) (\d+) \+ (\d+) ", text, re.M)
    trace = trace_of(gzip.compress(text.encode()))
    moved = trace.op != FLUSH
    assert np.array_equal(trace.offset[moved], [int(row[4]) * 512 for row in found])
    assert np.array_equal(trace.length[moved], [int(row[5]) * 512 for row in found])
    assert [trace.devices[i] for i in trace.device[moved]] == [row[0] for row in found]
    codes = {"R": READ, "W": WRITE, "D": DISCARD}
    assert trace.op[moved].tolist() == [codes[row[3][0]] for row in found]
    first = int(found[0][1]) * 10**9 + int(found[0][2])
    assert np.array_equal(trace.time_s[moved], [(int(r[1]) * 10**9 + int(r[2]) - first) / 1e9 for r in found])
    assert sum(trace.ignored.values()) + trace.rows == 60_000


@st.composite
def disk_event(draw):
    pick = draw(st.integers(0, 25))
    name = draw(st.sampled_from(["DiskRead", "DiskWrite", " DiskWrite", "DiskFlush", "CSwitch", "DiskReadInit"]))
    process = draw(st.sampled_from(["a.exe (12)", " a, b.exe (12)", "x (86).exe ( 4)", "none"]))
    size = draw(st.sampled_from(["0x00001000", "0x0", "0x1ffffffff", "0xAbC00", "4096", "0xfffffffffffffffff"]))
    file = draw(st.sampled_from(['"C:\\$Mft"', "C:\\a, b", "", '" x "', "\u00e9"]))
    place = f"0x{draw(st.integers(0, 2**44)):010x}"
    text = f"{name}, {draw(st.integers(0, 2**50))}, {process},7, {place}, {size}, {draw(st.integers(0, 3))}, {file}"
    if name == "DiskFlush":
        text = f"{name}, {draw(st.integers(0, 2**50))}, {process}, {draw(st.integers(0, 3))}"
    if pick == 0:
        text = text[: draw(st.integers(0, len(text)))]
    return text + draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n", " \n", "\r"]))


def test_the_kernel_follows_the_careful_rows_of_xperf():
    columns = "TimeStamp, Process Name ( PID), ThreadID, ByteOffset, IOSize, DiskNum, FileName\n"
    head = f"DiskRead, {columns}DiskWrite, {columns}DiskFlush, TimeStamp, Process Name ( PID), DiskNum\n".encode()
    seen = set()

    def taken(data, way):
        source = InMemory(data)
        reader = XperfReader(source, Collector(source.path, XPERF, True))
        reader._careful(head, 1)
        lines = getattr(reader, way)(data, 4)
        if lines is None:
            return None
        collector = reader.collector
        found = (lines, collector.rows, collector.skipped, dict(collector.ignored))
        try:
            done = collector.finish()
        except TraceError:
            return found
        rows = done.requests
        values = [column.tolist() for column in (rows.time_s, rows.op, rows.offset, rows.length)]
        return *found, values, [done.devices[i] for i in done.device], [done.files[i] for i in done.file]

    @given(st.lists(disk_event(), min_size=1, max_size=3))
    @settings(max_examples=600, deadline=None)
    def run(parts):
        data = "".join(parts).encode()
        fast = taken(data, "_fast")
        seen.add(fast is not None)
        if fast is not None:
            assert fast == taken(data, "_careful"), data

    run()
    assert seen == {True, False}
    assert len(xperf_kernel.parse_dump.signatures) == 1
    assert (xperf_kernel.READ, xperf_kernel.WRITE, xperf_kernel.FLUSH) == (READ, WRITE, FLUSH)


# The header rows as published, of 2008 and of a later version with CPU in it.
OLD = (
    "              DiskRead,  TimeStamp,     Process Name ( PID),   ThreadID,             IrpPtr,   ByteOffset,"
    "     IOSize, ElapsedTime,  DiskNum, IrpFlags, DiskSvcTime, I/O Pri,  VolSnap,         FileObject, FileName\n"
)
NEW = OLD.replace("ThreadID,  ", "ThreadID, CPU,  ")
FLUSHES = (
    "  DiskFlush,  TimeStamp,  Process Name ( PID), ThreadID, IrpPtr,  ElapsedTime,  DiskNum, IrpFlags, DiskSvcTime,"
    " I/O Pri\n"
)
INITS = "  DiskReadInit,  TimeStamp,     Process Name ( PID),   ThreadID,             IrpPtr\n"


def dump(header, *rows):
    writes = header.replace("DiskRead", "DiskWrite")
    return "BeginHeader\n" + header + writes + INITS + FLUSHES + "EndHeader\nOS Version: 10.0\n" + "".join(rows)


ROW = (
    " DiskRead,       8612,        xperf.exe (3984),      11844,   1, 0xffffe288b23f1b20, 0x018f0b8000, 0x00001000,"
    '         283,        0, 0x060043,         283,       3, Original, 0xffffe288272d0d20, "C:\\$Mft"\n'
)
OLD_ROW = ROW.replace("11844,   1,", "11844,")
TO_FILE = ROW.replace("DiskRead", "DiskWrite").replace("8612", "9612").replace("0x00001000", "0x00002000")
TO_FILE = TO_FILE.replace("$Mft", "{}")


def test_the_header_rows_rule_the_columns(trace_of):
    expected = [(0.0, READ, 0x018F0B8000, 4096, "0")]
    for text in (dump(NEW, ROW), dump(OLD, OLD_ROW), dump(NEW, ROW).replace("\n", "\r\n"), NEW + ROW):
        trace = trace_of(text)
        assert (trace.kind, rows_of(trace), trace.files) == ("xperf", expected, ("C:\\$Mft",))
    order = "DiskRead, TimeStamp, DiskNum, IOSize, ByteOffset, FileName\nDiskRead, 5, 3, 0x200, 0x400, C:\\a, b\n"
    trace = trace_of(order)
    assert rows_of(trace) == [(0.0, READ, 1024, 512, "3")] and trace.files == ("C:\\a, b",)


def test_events_that_are_no_disk_commands_are_counted(trace_of):
    flush = " DiskFlush, 9700, System (4), 12, 0xffff, 283, 0, 0x06, 283, 3\n"
    start = " DiskReadInit, 8600, xperf.exe (3984), 11844, 0xffffe288b23f1b20\n"
    comma = ROW.replace("xperf.exe", "a, b.exe").replace("8612", "9000")
    trace = trace_of(dump(NEW, ROW, start, comma, flush, " CSwitch, 1, 2\n"))
    assert [row[1] for row in rows_of(trace)] == [READ, READ, FLUSH]
    assert trace.time_s.tolist() == [0.0, 388e-6, 1_088e-6]
    assert trace.ignored == {"other events": 4} and trace.rows == 3  # an init, a switch, the version, the init's header


def test_file_names_give_write_sources(trace_of):
    events = r"Windows\System32\winevt\Logs\System.evtx"
    files = [r"pagefile.sys", events, r"$LogFile", r"pagefile.sys", r"odd\thing.bin"]
    trace = trace_of(dump(NEW, ROW, *[TO_FILE.format(name) for name in files]))
    table = trace.sources()
    assert table.values.tolist() == [
        ["page-file", 2, 16_384, 1],
        ["event-logs", 1, 8_192, 1],
        [METADATA, 1, 8_192, 1],
        ["other", 1, 8_192, 1],
    ]
    one = trace.select("0")
    assert one.files == trace.files and np.array_equal(one.file, trace.file)
    with pytest.raises(ParameterError, match="kind='vscsistats': a trace of this kind does not name the guest's files"):
        trace_of("7,512,1,write,8,100\n7,512,1,read,9,250100\n").sources()


def test_sources_of_files_are_those_of_the_catalog():
    known = set(catalog.parameters("activity")) | {METADATA}
    names = {name.split(".")[0] for name in known}
    assert set(SOURCES) <= names
    paths = {
        r"C:\Users\a\AppData\Local\Microsoft\Edge\User Data\Default\Cache\Cache_Data\f_00012": "browser-cache",
        r"C:\Users\a\AppData\Local\Google\Chrome\User Data\Default\History": "browser-database",
        r"C:\Users\a\AppData\Local\Microsoft\Outlook\a@b.ost": "mail-cache",
        r"C:\Users\a\Documents\letter.docx": "office-save",
        r"C:\Users\a\Documents\~$letter.docx": "office-temp",
        r"C:\Users\a\NTUSER.DAT.LOG1": "user-hive",
        r"C:\Windows\System32\config\SOFTWARE": "registry-hives",
        r"C:\Windows\SoftwareDistribution\Download\ab\x.cab": "patch-download",
        r"C:\ProgramData\Microsoft\Windows Defender\Definition Updates\{1}\mpavbase.vdm": "antivirus-definitions",
        r"C:\Windows\Prefetch\CMD.EXE-1.pf": "prefetch",
        r"C:\$Extend\$UsnJrnl:$J:$DATA": METADATA,
        r"C:\Program Files\x\y.dat": "other",
    }
    assert dict(zip(paths, source_names(list(paths)), strict=True)) == paths


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        (("0x018f0b8000", "26676789248"), "ByteOffset", "is not a hexadecimal number such as 0x018f0b8000"),
        (("0x018f0b8000", "0xffffffffffffffff"), "IOSize", r"the request ends beyond byte 2\^63"),
        (("0x00001000", "0x00000000"), "IOSize", "a request of no bytes"),
        (("0x00001000", "0xffffffff"), "IOSize", "a request of more than"),
        (("8612", "86.12"), "TimeStamp", "is not a whole number of microseconds"),
        ((" 0, 0x060043", " C:, 0x060043"), "DiskNum", "is not a whole number"),
        ((', "C:\\$Mft"', ""), "row", "15 fields where its header row has 16"),
    ],
)
def test_bad_xperf_rows(trace_of, change, field, problem):
    text = dump(NEW, ROW, ROW.replace(*change), ROW)
    with pytest.raises(TraceError, match=problem) as caught:
        trace_of(text)
    assert (caught.value.line, caught.value.field) == (9, field)
    trace = trace_of(text, skip_bad_rows=True)
    assert (len(trace), trace.rows, trace.skipped[0].line) == (2, 3, 9)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (dump(NEW), "holds no disk reads and writes, only 2 other events. Record disk events"),
        ("BeginHeader\nEndHeader\n" + ROW, "line 3: a DiskRead event stands before the header row of its kind"),
        (dump(NEW.replace("IOSize", "Size"), ROW), "the header row of DiskRead lacks the column IOSize"),
        (
            '"Time of Day","Process Name","PID","Operation","Path","Result","Detail"\n"1:00:00 AM","a","1","b","c"\n',
            "holds file operations .* Read it with read_file_trace",
        ),
    ],
)
def test_what_is_refused(trace_of, text, problem):
    with pytest.raises(TraceError, match=problem):
        trace_of(text)


def test_the_published_rows_of_the_samples(shared, tmp_path):
    lines = (shared / "samples/formats/xperf_procmon_msr_systor.txt").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("[xperf10]"))
    header = lines[at].split("]", 1)[1].strip()
    path = tmp_path / "dump.csv"
    path.write_text(f"{header}\n{header.replace('DiskWrite', 'DiskRead')}\n{lines[at + 1]}\n")
    trace = read_trace(path)
    assert rows_of(trace) == [(0.0, READ, 0x018F0B8000, 0x1000, "0")] and trace.files == ("C:\\$Mft",)
    at = next(i for i, line in enumerate(lines) if line.startswith("[procmon]"))
    path.write_text(lines[at].split("]", 1)[1].strip() + "\n" + lines[at + 1] + "\n")
    with pytest.raises(TraceError, match="holds no operation that changes a file of C:"):  # a read
        read_file_trace(path)
