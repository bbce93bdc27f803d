"""Process Monitor: from rows to operations on files, and through a guest volume into a delta."""

import os
import random
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clonesim.errors import ClonesimError, ParameterError, TraceError
from clonesim.guest import Volume
from clonesim.ingest import iter_trace, read_file_trace, read_trace
from clonesim.ingest.page_ranges import PAGE, PageRanges
from clonesim.ops import FileOp

FUZZ = int(os.environ.get("FUZZ", "800"))
HEADER = '"Time of Day","Process Name","PID","Operation","Path","Result","Detail"\n'
CREATED = "Desired Access: Generic Write, Disposition: OverwriteIf, Options: {}, AllocationSize: 0, OpenResult: Created"
FILE_OPTIONS = "Synchronous IO Non-Alert, Non-Directory File"
PAGED = ", I/O Flags: Non-cached, Paging I/O, Synchronous Paging I/O, Priority: Normal"


def row(operation, path, detail, time="10:29:05.0593693 AM", result="SUCCESS", process="a.exe"):
    return f'"{time}","{process}","4","{operation}","{path}","{result}","{detail}"\n'


def write(path, offset, length, paged=False, time="10:29:05.0593693 AM"):
    return row("WriteFile", path, f"Offset: {offset:,}, Length: {length:,}" + PAGED * paged, time)


def created(path, options=FILE_OPTIONS):
    return row("CreateFile", path, CREATED.format(options))


def ended(path, size):
    return row("QueryStandardInformationFile", path, f"AllocationSize: 0, EndOfFile: {size:,}, Directory: False")


@pytest.fixture
def trace_of(tmp_path):
    def read(*rows, header=HEADER, bom="\ufeff", **options):
        path = tmp_path / "log.csv"
        path.write_bytes((bom + header + "".join(rows)).encode())
        return read_file_trace(path, **options)

    return read


def steps(trace):
    """Operations as (name of the operation, file, offset, length)."""
    names = [FileOp(op).name for op in trace.ops["op"].tolist()]
    files = [trace.files[number].rsplit("\\", 1)[-1] for number in trace.ops["file"].tolist()]
    return list(zip(names, files, trace.ops["offset"].tolist(), trace.ops["length"].tolist(), strict=True))


def before(trace):
    return {trace.files[n]: size for n, size in zip(trace.before["file"], trace.before["length"].tolist(), strict=True)}


def test_the_published_row_is_read(trace_of):
    published = (
        '"10:29:05.0593693 AM","Explorer.EXE","2900","ReadFile","C:\\Windows\\explorer.exe","SUCCESS",'
        '"Offset: 2,275,840, Length: 16,384, I/O Flags: Non-cached, Paging I/O, Synchronous Paging I/O, '
        'Priority: Normal"\n'
    )
    trace = trace_of(published, write("C:\\a.log", 100, 50))
    assert before(trace) == {"C:\\Windows\\explorer.exe": 2_275_840, "C:\\a.log": 100}
    assert steps(trace) == [("APPEND", "a.log", 0, 50)]


@pytest.mark.parametrize("separator", [",", ".", "'", "\u2019", "\u00a0", "\u202f", " ", ""])
def test_thousands_are_separated_in_many_ways(trace_of, separator):
    detail = f"Offset: 1,234,567, Length: 12,000{PAGED}"
    numbers = re.sub(r"(?<=\d),(?=\d)", separator, detail)
    trace = trace_of(row("WriteFile", "C:\\x", numbers))
    assert before(trace) == {"C:\\x": 1_246_567} and steps(trace) == [("OVERWRITE", "x", 1_234_567, 12_000)]


def test_sizes_told_later_decide_what_was_an_append(trace_of):
    rows = [write("C:\\a", 0, 100), write("C:\\a", 500, 100), write("C:\\b", 500, 100)]
    trace = trace_of(*rows, ended("C:\\a", 5_000))
    assert before(trace) == {"C:\\a": 5_000, "C:\\b": 500}
    assert steps(trace) == [("OVERWRITE", "a", 0, 100), ("OVERWRITE", "a", 500, 100), ("APPEND", "b", 0, 100)]
    trace = trace_of(ended("C:\\a", 50), *rows, ended("C:\\a", 600))  # 600 is what the writes made of it
    assert before(trace)["C:\\a"] == 50
    assert steps(trace)[:3] == [("OVERWRITE", "a", 0, 50), ("APPEND", "a", 0, 50), ("APPEND", "a", 0, 500)]


def test_paging_writes_of_cached_data_count_once(trace_of):
    rows = [
        created("C:\\a"),
        write("C:\\a", 0, 10_000),
        write("C:\\a", 0, 12_288, paged=True),  # the memory manager writes whole pages
        write("C:\\a", 0, 4_096, paged=True),  # again: nobody wrote it into the cache since, so a mapped file
        write("C:\\map", 8_192, 4_096, paged=True),
    ]
    trace = trace_of(*rows)
    mapped = [("OVERWRITE", "a", 0, 4_096), ("OVERWRITE", "map", 8_192, 4_096)]
    start = [("CREATE", "a", 0, 0), ("APPEND", "a", 0, 10_000)]
    assert steps(trace) == start + mapped
    assert trace.ignored == {"paging writes of what was counted": 1} and before(trace) == {"C:\\map": 12_288}
    assert steps(trace_of(*rows, paging="skip")) == start
    assert trace_of(*rows, paging="keep").written_bytes == 10_000 + 12_288 + 4_096 + 4_096
    uncached = write("C:\\a", 0, 4_096).replace("4,096", "4,096, I/O Flags: Non-cached")
    assert trace_of(uncached, write("C:\\a", 0, 4_096, paged=True)).written_bytes == 8_192


def test_lives_of_files(trace_of):
    trace = trace_of(
        created("C:\\d", "Directory, Synchronous IO Non-Alert"),
        created("C:\\d\\new.tmp"),
        write("C:\\d\\new.tmp", 0, 700),
        row("SetRenameInformationFile", "C:\\d\\new.tmp", "ReplaceIfExists: True, FileName: C:\\d\\Old, file.doc"),
        row("SetEndOfFileInformationFile", "C:\\log", "EndOfFile: 65,536"),  # reserves, writes nothing
        write("C:\\log", -1, 10),
        write("C:\\log", -1, 10),
        row("SetEndOfFileInformationFile", "C:\\log", "EndOfFile: 0"),
        write("C:\\log", 4_096, 10),
        row("SetDispositionInformationFile", "C:\\D\\OLD, FILE.DOC", "Delete: True"),
        row("CloseFile", "C:\\d\\old, file.doc", ""),
        created("C:\\gone", FILE_OPTIONS + ", Delete On Close"),
        row("SetDispositionInformationEx", "C:\\kept", "Flags: FILE_DISPOSITION_DELETE"),
        row("SetDispositionInformationEx", "C:\\kept", "Flags: FILE_DISPOSITION_DO_NOT_DELETE"),
        write("C:\\d", 0, 4_096, paged=True),  # the folder's index
        write("C:\\$LogFile", 0, 4_096, paged=True),
        write("D:\\x", 0, 4_096),
        row("WriteFile", "C:\\no", "Offset: 0, Length: 9", result="ACCESS DENIED"),
        row("RegSetValue", "HKLM\\x", "Type: REG_SZ"),
        row("CloseFile", "C:\\kept", ""),
    )
    assert steps(trace) == [
        ("CREATE", "new.tmp", 0, 0),
        ("APPEND", "new.tmp", 0, 700),
        ("RENAME", "new.tmp", trace.files.index("C:\\d\\Old, file.doc"), 0),
        ("APPEND", "log", 0, 10),
        ("APPEND", "log", 0, 10),
        ("DELETE", "log", 0, 0),
        ("CREATE", "log", 0, 0),
        ("APPEND", "log", 0, 4_106),  # the gap is zeros, which are written
        ("DELETE", "Old, file.doc", 0, 0),
        ("CREATE", "gone", 0, 0),
        ("DELETE", "gone", 0, 0),  # marked, and never seen closed
    ]
    assert trace.ignored == {
        **{"writes to folders": 1, "the volume's own files": 1, "other drives": 1, "without success": 1},
        "other operations": 1,
    }
    assert before(trace) == {"C:\\log": 0} and trace.rows == 20
    assert trace.summary()["renames"] == 1 and trace.summary()["deletes"] == 3


def test_a_folder_that_is_renamed_takes_its_files_with_it(trace_of):
    trace = trace_of(
        created("C:\\d", "Directory"),
        created("C:\\d\\f"),
        row("SetRenameInformationFile", "C:\\d", "ReplaceIfExists: False, FileName: C:\\e"),
        write("C:\\e\\f", 0, 10),
    )
    assert steps(trace) == [("CREATE", "f", 0, 0), ("APPEND", "f", 0, 10)] and trace.files == ("C:\\d\\f",)


def test_clocks(trace_of):
    times = ["11:59:59.5000000 PM", "12:00:01.2500000 AM", "12:00:01.0000000 AM", "1:00:00.0000000 AM"]
    trace = trace_of(*[write("C:\\a", 0, 1, time=time) for time in times])
    assert trace.ops["time_s"].tolist() == [0.0, 1.75, 1.75, 3_600.5]
    trace = trace_of(*[write("C:\\a", 0, 1, time=time) for time in ("22:29:05,0593693", "22:29:06,0593693")])
    assert trace.ops["time_s"].tolist() == [0.0, 1.0]
    relative = HEADER.replace("Time of Day", "Relative Time")
    trace = trace_of(*[write("C:\\a", 0, 1, time=t) for t in ("00:00:01.5", "30:00:02.5")], header=relative)
    assert trace.ops["time_s"].tolist() == [0.0, 108_001.0]


@pytest.mark.parametrize(
    ("bad", "field", "problem"),
    [
        (write("C:\\a", 0, 1, time="yesterday"), "Time of Day", "is no time such as 10:29:05.0593693 AM"),
        (write("C:\\a", 0, 1, time="13:29:05 PM"), "Time of Day", "is no time such as"),
        (row("WriteFile", "C:\\a", "Length: 5"), "Detail", "has no whole number behind 'Offset: '"),
        (row("WriteFile", "C:\\a", "Offset: 5"), "Detail", "has no whole number behind 'Length: '"),
        (row("WriteFile", "C:\\a", f"Offset: {2**70}, Length: 5"), "Detail", "a file has at most 70368744177664 B"),
        (row("WriteFile", "C:\\a", "Offset: " + "9" * 5_000 + ", Length: 5"), "Detail", "has no whole number"),
        (row("SetRenameInformationFile", "C:\\a", "ReplaceIfExists: True"), "Detail", "has no FileName"),
        ('"10:29:05 AM","a","4","WriteFile","C:\\a"\n', "row", "5 fields where the header line has 7"),
    ],
)
def test_bad_rows(trace_of, bad, field, problem):
    rows = [write("C:\\a", 0, 5), bad, write("C:\\a", 5, 5)]
    with pytest.raises(TraceError, match=re.escape(problem)) as caught:
        trace_of(*rows)
    assert (caught.value.line, caught.value.field) == (3, field) and "skip_bad_rows=True" in str(caught.value)
    trace = trace_of(*rows, skip_bad_rows=True)
    assert [(bad.line, bad.field) for bad in trace.skipped] == [(3, field)] and trace.written_bytes == 10


def test_quotes_in_the_command_lines_of_other_events_do_no_harm(trace_of):
    broken = '"10:29:05 AM","a","4","Process Create","C:\\a.exe","SUCCESS","Command line: "C:\\a.exe" -x, "y", z"\n'
    two_lines = '"10:29:05 AM","a","4","Process Create","C:\\a.exe","SUCCESS","Command line: a\nb"\n'
    trace = trace_of(broken, two_lines, write("C:\\a", 0, 5))
    assert trace.ignored["other operations"] == 2 and trace.written_bytes == 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PML_\x09\0\0\0", r"own format \(PML\). Save the log in Process Monitor"),
        (b"1,W,0,512,7\n", "is no Process Monitor CSV; its first line is '1,W,0,512,7'"),
        (HEADER.replace("Result", "Outcome").encode(), "the header line lacks the column Result. Save"),
        (HEADER.replace("Time of Day", "When").encode(), "lacks the column Time of Day or Relative Time"),
        (HEADER.encode(), r"holds no operation that changes a file of C: \(other events: none\)"),
        ((HEADER + write("D:\\x", 0, 1)).encode(), r"\(other events: 1 other drives\). Name another drive"),
        (HEADER.encode("utf-16"), "is UTF-16 text"),
        ((HEADER + '"' + "x" * 200_000).encode(), "is no CSV that can be read .*field"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"", "the file is empty"),
    ],
)
def test_what_is_refused(tmp_path, content, problem):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=problem):
        read_file_trace(path)


def test_wrong_questions(tmp_path, trace_of):
    with pytest.raises(ParameterError, match="drive='C': a drive is a letter and a colon"):
        read_file_trace(tmp_path / "x", drive="C")
    with pytest.raises(ParameterError, match="paging='some': allowed are twins, skip, keep"):
        read_file_trace(tmp_path / "x", paging="some")
    path = tmp_path / "log.csv"
    path.write_text(HEADER + write("C:\\a", 0, 5))
    for reader in (read_trace, iter_trace):
        with pytest.raises(
            TraceError, match=r"offsets are inside files and not on a disk. Read it with read_file_trace"
        ):
            reader(path)
    assert trace_of(write("D:\\x", 0, 7), drive="d:").written_bytes == 7


def random_log(seed, count=400):
    """Rows of random lives of files, the sizes of files before, and a plain model's sizes at the end."""
    rng = random.Random(seed)
    start = {f"C:\\old\\{i}.dat": rng.randrange(1, 300_000) for i in range(6)}
    sizes = dict(start)
    rows = [ended(name, size) for name, size in start.items()]
    fresh = 0
    for _ in range(count):
        kind = rng.randrange(10)
        if kind < 2 or not sizes:
            name = f"C:\\new\\{fresh}.tmp"
            fresh += 1
            rows.append(created(name))
            sizes[name] = 0
        elif kind < 7:
            name = rng.choice(sorted(sizes))
            offset = rng.randrange(sizes[name] + 5_000) if rng.random() < 0.5 else sizes[name]
            length = rng.randrange(1, 40_000)
            rows.append(write(name, offset, length))
            sizes[name] = max(sizes[name], offset + length)
            if rng.random() < 0.5:
                rows.append(write(name, offset // PAGE * PAGE, -(-(offset % PAGE + length) // PAGE) * PAGE, paged=True))
        elif kind == 7:
            name = rng.choice(sorted(sizes))
            rows += [row("SetDispositionInformationFile", name, "Delete: True"), row("CloseFile", name.upper(), "")]
            del sizes[name]
        elif kind == 8 and len(sizes) > 1:
            old, new = rng.sample(sorted(sizes), 2)
            rows.append(row("SetRenameInformationFile", old, f"ReplaceIfExists: True, FileName: {new}"))
            sizes[new] = sizes.pop(old)
        else:
            name = rng.choice(sorted(sizes))
            rows.append(row("SetEndOfFileInformationFile", name, "EndOfFile: 0"))
            sizes[name] = 0
    return rows, start, sizes


@pytest.mark.parametrize("seed", range(12))
def test_random_logs_against_a_plain_model_and_through_a_volume(trace_of, seed):
    rows, start, sizes = random_log(seed)
    trace = trace_of(*rows)
    assert before(trace) == start
    volume = Volume("256 MiB", auto_checkpoint=False)
    volume.apply(trace.before)
    delta = volume.snapshot("vmfs-sparse")
    volume.apply(trace.ops)
    volume.check_invariants()
    for number, name in enumerate(trace.files):
        assert (number in volume) == (name in sizes), name
        if name in sizes:
            assert volume.size(number) == sizes[name]
    assert delta.written_bytes >= trace.written_bytes
    table = trace.written_by_source()
    assert table["written_bytes"].sum() == trace.written_bytes and set(table["source"]) <= {"temp-files", "other"}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60 * PAGE), st.integers(1, 20 * PAGE)), max_size=30))
@settings(max_examples=300, deadline=None)
def test_page_ranges_against_a_set_of_pages(steps):
    ranges, pages = PageRanges(), set()
    for put, begin, length in steps:
        touched = set(range(begin // PAGE, -(-(begin + length) // PAGE)))
        if put:
            ranges.add(begin, begin + length)
            pages |= touched
            continue
        left = ranges.take(begin, begin + length)
        assert all(begin <= a < b <= begin + length for a, b in left)
        missing = [page for a, b in left for page in range(a // PAGE, -(-b // PAGE))]
        assert sorted(missing) == sorted(touched - pages)
        pages -= touched


SEED = (
    HEADER
    + created("C:\\a")
    + write("C:\\a", 0, 10_000)
    + ended("C:\\b", 1_234)
    + write("C:\\b", 0, 12_288, paged=True)
    + row("SetRenameInformationFile", "C:\\a", "ReplaceIfExists: True, FileName: C:\\b")
    + row("SetDispositionInformationFile", "C:\\b", "Delete: True")
    + row("CloseFile", "C:\\b", "")
).encode()


@given(
    st.lists(st.tuples(st.integers(0, len(SEED)), st.binary(max_size=6), st.integers(0, 40)), max_size=6),
    st.booleans(),
)
@settings(max_examples=FUZZ, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damaged_logs_only_raise_errors_of_ours_and_what_is_read_can_be_applied(tmp_path, edits, skip):
    content = SEED
    for place, put, drop in edits:
        content = content[:place] + put + content[place + drop :]
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    try:
        trace = read_file_trace(path, skip_bad_rows=skip)
    except ClonesimError:
        return
    assert (np.diff(trace.ops["time_s"]) >= 0).all() and (trace.ops["length"] >= 0).all()
    if trace.before_bytes + trace.written_bytes < 2**25:
        volume = Volume("64 MiB", auto_checkpoint=False)
        volume.apply(trace.before)
        volume.apply(trace.ops)
