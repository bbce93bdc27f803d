"""Traces in parts: the same commands as at once, late rows, replays in bounded memory."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clonesim.ingest.source
from clonesim.delta import replay
from clonesim.errors import ParameterError, TraceError
from clonesim.ingest import iter_trace, packaged_trace, read_trace

CHUNK = 1_000


@pytest.fixture(autouse=True)
def small_reads(monkeypatch):
    monkeypatch.setattr(clonesim.ingest.source, "CHUNK_BYTES", 8_192)


def text_of(kind, commands):
    """Commands (seconds in us, device, write?, sector, sectors) as a file of this kind."""
    if kind == "alibaba":
        return "".join(f"{d},{'W' if w else 'R'},{s * 512},{n * 512},{t}\n" for t, d, w, s, n in commands)
    if kind == "tencent":
        return "".join(f"{t},{s},{n},{int(w)},{d}\n" for t, d, w, s, n in commands)
    if kind == "fiu":
        return "".join(f"{t * 1000} 1 p {s} {n} {'W' if w else 'R'} {d} 0 x\n" for t, d, w, s, n in commands)
    if kind == "blkparse":
        rows = [
            f" 8,{d} 1 1 {t // 10**6}.{t % 10**6:06d}000 9 Q {'W' if w else 'R'} {s} + {n} [p]\n"
            f" 8,{d} 1 1 {t // 10**6}.{t % 10**6:06d}000 0 C {'W' if w else 'R'} {s} + {n} [0]\n"
            for t, d, w, s, n in commands
        ]
        return "".join(rows)
    names = "TimeStamp, DiskNum, ByteOffset, IOSize, FileName\n"
    rows = [
        f"Disk{'Write' if w else 'Read'}, {t}, {d}, {s * 512:#x}, {n * 512:#x}, C:\\{s % 7}\n"
        for t, d, w, s, n in commands
    ]
    return f"DiskRead, {names}DiskWrite, {names}" + "".join(rows)


def made(seed, rows=7_000, devices=3, late=CHUNK // 2):
    """Commands whose order in the file differs from that of time by fewer than `late` rows."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(10**9, 10**9 + rows * 300, rows))  # some are equal
    order = np.argsort(np.arange(rows) + rng.uniform(0, late, rows), kind="stable")
    columns = (
        times[order],
        rng.integers(0, devices, rows),
        rng.random(rows) < 0.6,
        rng.integers(0, 2**20, rows),
        rng.integers(1, 64, rows),
    )
    return list(zip(*[column.tolist() for column in columns], strict=True))


@pytest.mark.parametrize("kind", ["alibaba", "tencent", "fiu", "blkparse", "xperf"])
@pytest.mark.parametrize("device", [None, 1])
def test_parts_put_together_are_the_trace(tmp_path, kind, device):
    path = tmp_path / "trace"
    path.write_text(text_of(kind, made(3)))
    name = None if device is None else {"fiu": "1_0", "blkparse": "8,1"}.get(kind, "1")
    whole = read_trace(path, device=name)
    parts = list(iter_trace(path, chunk=CHUNK, device=name))
    assert len(parts) > 1 and max(map(len, parts)) < 3 * CHUNK and whole.out_of_order > 1_000
    for column in ("time_s", "op", "offset", "length"):
        assert np.array_equal(np.concatenate([getattr(part, column) for part in parts]), getattr(whole, column)), column
    names = [part.devices[i] for part in parts for i in part.device]
    assert names == [whole.devices[i] for i in whole.device]
    if whole.file is not None:
        assert [p.files[i] for p in parts for i in p.file] == [whole.files[i] for i in whole.file]
    assert sum(part.rows for part in parts) == whole.rows and {part.start for part in parts} == {whole.start}
    assert sum(part.out_of_order for part in parts) == whole.out_of_order
    ignored = [part.ignored.get(key, 0) for part in parts for key in whole.ignored]
    assert sum(ignored) == sum(whole.ignored.values())


def test_the_packaged_trace_in_parts():
    whole = read_trace(packaged_trace())
    stream = iter_trace(packaged_trace(), chunk=CHUNK)
    frames = pd.concat([part.frame() for part in stream], ignore_index=True)
    pd.testing.assert_frame_equal(frames, whole.frame(), check_categorical=False)
    survey, summary = stream.survey(), whole.summary()
    assert (survey.commands, survey.end_bytes, survey.duration_s) == (
        summary["commands"],
        summary["end_bytes"],
        summary["duration_s"],
    )
    assert sum(survey.written_bytes.values()) == summary["written_bytes"]
    assert stream.survey() is survey
    assert "fio-v" in repr(stream)


def test_bad_rows_are_in_the_part_where_they_are_read(tmp_path):
    rows = text_of("alibaba", made(5)).splitlines()
    for line in (10, 3_000, 6_999):
        rows[line - 1] = "1,W,x,512,1"
    path = tmp_path / "trace"
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(TraceError, match="line 10, offset='x'"):
        list(iter_trace(path, chunk=CHUNK))
    stream = iter_trace(path, chunk=CHUNK, skip_bad_rows=True)
    assert [row.line for part in stream for row in part.skipped] == [10, 3_000, 6_999]
    assert (stream.survey().skipped_rows, stream.survey().rows) == (3, 7_000)


@pytest.mark.parametrize("late", [CHUNK - 1, 6 * CHUNK])
def test_a_row_that_comes_too_late_is_refused_and_no_other(tmp_path, late):
    commands = [(10**9 + i, 0, True, i, 1) for i in range(7_000)]
    commands[6_500] = (commands[6_500 - late][0], *commands[6_500][1:])
    path = tmp_path / "trace"
    path.write_text(text_of("alibaba", commands))
    stream = iter_trace(path, chunk=CHUNK)
    if late < CHUNK:
        assert np.array_equal(np.concatenate([p.offset for p in stream]), read_trace(path).offset)
        return
    with pytest.raises(
        TraceError, match=r"has time 1000.00050. s, but stands so far behind later rows .* larger chunk="
    ):
        list(stream)
    assert sum(map(len, iter_trace(path, chunk=7_000))) == 7_000


def test_a_row_earlier_than_the_first_is_refused_whatever_its_device(tmp_path):
    commands = [(10**9 + i, 0, True, i, 1) for i in range(7_000)]
    commands[6_500] = (5, 1, *commands[6_500][2:])
    path = tmp_path / "trace"
    path.write_text(text_of("alibaba", commands))
    with pytest.raises(TraceError, match=r"has time 0.000005 s, but stands so far behind later rows"):
        list(iter_trace(path, chunk=CHUNK, device="0"))
    assert read_trace(path, device="0").time_s[0] > 900


def test_what_cannot_be_asked(tmp_path):
    path = tmp_path / "trace"
    path.write_text(text_of("alibaba", made(1, 50)))
    with pytest.raises(ParameterError, match=r"chunk=10: a part has 1000 to 100000000 commands\. Leave it out"):
        iter_trace(path, chunk=10)
    with pytest.raises(ParameterError, match="chunk=True"):
        iter_trace(path, chunk=True)
    with pytest.raises(ParameterError, match="kind='fio': allowed are"):
        iter_trace(path, "fio")
    with pytest.raises(TraceError, match="there is no such file"):
        iter_trace(tmp_path / "absent")
    with pytest.raises(ParameterError, match=r"device='9': .* has 0, 1, 2|device='9': .* has .*Name one"):
        list(iter_trace(path, device="9"))
    path.write_text("device_id,opcode,offset,length,timestamp\n")
    with pytest.raises(TraceError, match="holds no rows and no usable command"):
        list(iter_trace(path))


AT = [0.0, 0.5, 1.0, 1.2345678, 2.0, 999.0]


@pytest.mark.parametrize("name", ["vmfs-sparse", "qcow2", "se-sparse"])
def test_a_replay_in_parts_is_the_replay(tmp_path, name):
    path = tmp_path / "trace"
    path.write_text(text_of("alibaba", made(8, devices=1)))
    whole = replay(read_trace(path), name)
    stream = iter_trace(path, chunk=CHUNK)
    parts = replay(stream, name, at=AT)
    assert parts.capacity == whole.capacity
    pd.testing.assert_frame_equal(parts.table(at=AT), whole.table(at=AT))
    pd.testing.assert_frame_equal(parts.increments, whole.increments)
    assert np.array_equal(parts.grain_map(), whole.grain_map())
    listed = replay(list(stream), name, "2 GiB")
    assert listed.file_bytes == replay(read_trace(path), name, "2 GiB").file_bytes


@given(st.lists(st.integers(0, 6_999), max_size=6), st.lists(st.floats(0, 3), max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_may_be_cut_anywhere(tmp_path, cuts, at):
    path = tmp_path / "trace"
    if not path.exists():
        path.write_text(text_of("alibaba", made(8, devices=1)))
    whole = read_trace(path).requests
    edges = [0, *sorted(cuts), 7_000]
    parts = [whole[a:b] for a, b in pairwise(edges)]
    table = replay(parts, "vmfs-sparse", "1 GiB", at=at).table(at=[*at, 99])
    pd.testing.assert_frame_equal(table, replay(whole, "vmfs-sparse", "1 GiB").table(at=[*at, 99]))


def test_series_that_are_refused(tmp_path):
    path = tmp_path / "trace"
    path.write_text(text_of("alibaba", made(1)))
    with pytest.raises(
        ParameterError, match=r"device=None: .*trace has, as far as it was read, [012], [012], [012]\. Name"
    ):
        replay(iter_trace(path, chunk=CHUNK))
    one = read_trace(path, device="1")
    with pytest.raises(ParameterError, match="capacity=None: the size of the disk cannot be told before"):
        replay([one])
    half = one.requests[: len(one) // 2]
    with pytest.raises(ParameterError, match=rf"time_s of request {len(half)}=.*: times must not fall"):
        replay([half, half], capacity="1 GiB")


PROBE = """
import json, sys
import clonesim.ingest, clonesim.delta
stream = clonesim.ingest.iter_trace(sys.argv[1], device="3", chunk=100_000)
delta = clonesim.delta.replay(stream, "vmfs-sparse", "4 GiB", track_unique=False)
with open("/proc/self/status") as status:  # ru_maxrss would count the parent's memory too
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([delta.written_bytes, peak // 1024]))
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    rng = np.random.default_rng(0)
    rows, peaks = 400_000, []
    block = "".join(
        f"{d},W,{s * 4096},4096,{{}}{i:06d}\n"
        for i, (d, s) in enumerate(
            zip(rng.integers(0, 8, rows).tolist(), rng.integers(0, 2**20, rows).tolist(), strict=True)
        )
    )
    for times in (1, 8):  # 12 MB, 98 MB
        path = tmp_path / f"{times}.csv"
        with path.open("w") as file:
            for second in range(times):
                file.write(block.replace("{}", str(1_577_808_000 + second)))
        done = subprocess.run([sys.executable, "-c", PROBE, str(path)], capture_output=True, text=True, check=True)
        written, peak = json.loads(done.stdout)
        assert written == times * 4096 * block.count("\n3,W,") or written == times * 4096 * ("\n" + block).count(
            "\n3,W,"
        )
        peaks.append(peak)
        path.unlink()
    print(f"peaks of {peaks} MiB")
    assert peaks[1] - peaks[0] < 30 and peaks[1] < 700, f"peaks of {peaks} MiB"  # 3,200,000 rows at once: 29 B each
