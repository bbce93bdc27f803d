"""Speed of reading block traces: MB of file per second, for every kind.

Run `python benchmarks/bench_traces.py`. It writes a trace of each kind from random rows (a fixed seed) to a temporary
folder, reads each one several times in a fresh process, and prints the peak memory and the median speed, by the clock
and by processor time: they differ on a busy machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from bench_tools import MIB, asked, command, finish, machine_text, most_resident
from pyarrow import csv as pa_csv

from clonesim.ingest import TRACE_KINDS, read_trace
from clonesim.ingest.binary import RECORDS

MB = 10**6
ROWS_AT_ONCE = 500_000
WANTED = 150.0  # MB/s of every kind


def write_trace(path: Path, kind: str, least_bytes: int, seed: int = 0, at_once: int = ROWS_AT_ONCE) -> int:
    """Write a trace of random commands of at least so many bytes. Return how many commands it holds."""
    rng = np.random.default_rng(seed)
    commands = 0
    with path.open("wb") as file:
        if kind.startswith("fio"):
            file.write(f"fio version {kind[-1]} iolog\n".encode())
        elif kind == "cloudphysics-csv":
            file.write(b"version,time,op,size,lbn\n")
        elif kind == "systor17":
            file.write(b"Timestamp,Response,IOType,LUN,Offset,Size\n")
        elif kind == "xperf":
            names = "TimeStamp, Process Name ( PID), ThreadID, CPU, IrpPtr, ByteOffset, IOSize, ElapsedTime, DiskNum, "
            names += "IrpFlags, DiskSvcTime, I/O Pri, VolSnap, FileObject, FileName\n"
            file.write(f"BeginHeader\nDiskRead, {names}DiskWrite, {names}EndHeader\n".encode())
        elif kind == "vscsistats":
            file.write(b"#Vscsi Cmd Trace. (Trace Format Version 1)\n")
            file.write(b"#Serial Number,IO Data Length,Num SG Entries,Command Type,LBN,Time Stamp (microseconds)\n")
        while file.tell() < least_bytes:
            _write_rows(file, kind, commands, rng, at_once)
            commands += at_once
    return commands


def _write_rows(file: Any, kind: str, before: int, rng: np.random.Generator, n: int) -> None:
    micros = (before + np.arange(n)) * 700 + rng.integers(0, 700, n)
    write = rng.random(n) < 0.6
    sectors = rng.integers(1, 257, n)
    lbn = rng.integers(0, 64 * 2**21, n)
    if kind in RECORDS:
        records = np.zeros(n, RECORDS[kind])
        records["ver"] = 0x100 if kind == "vscsi-v1" else 0x200
        records["cmd"] = np.where(write, 0x2A, 0x28)
        records["len"], records["lbn"], records["ts"] = sectors * 512, lbn, micros
        file.write(records.tobytes())
        return
    words = {
        "cloudphysics-csv": ("28", "2a"),
        "msr": ("Read", "Write"),
        **dict.fromkeys(("systor17", "alibaba", "fiu", "blkparse"), ("R", "W")),
        "tencent": ("0", "1"),
    }.get(kind, ("read", "write"))
    op = np.where(write, words[1], words[0])
    constant = {name: np.full(n, name) for name in ("hm", "disk0")}
    zero, one = np.zeros(n, np.int64), np.ones(n, np.int64)
    columns: dict[str, list[Any]] = {
        "cloudphysics-csv": [one, 5_633_898 + micros // MB, op, sectors * 512, lbn],
        "vscsistats": [2_147_483_692 + zero, sectors * 512, one, op, lbn, 2_756_778_716_647 + micros],
        "msr": [
            128_166_372_003_061_629 + micros * 10,
            constant["hm"],
            zero,
            op,
            lbn * 512,
            sectors * 512,
            sectors * 97,
        ],
        "systor17": [_decimals(1_456_095_145, micros), _decimals(0, sectors), op, zero, lbn * 512, sectors * 512],
        "fio-v2": [constant["disk0"], op, lbn * 512, sectors * 512],
        "fio-v3": [micros, constant["disk0"], op, lbn * 512, sectors * 512],
    }
    volume = rng.integers(0, 1000, n)  # as many as the public traces have, all in one file
    columns |= {
        "alibaba": [volume, op, lbn * 512, sectors * 512, 1_577_808_000_000_000 + micros],
        "tencent": [1_538_323_200 + micros // MB, lbn, sectors, op, volume],
        "fiu": [micros * 1000, 1000 + zero, np.full(n, "nfsd"), lbn, sectors, op, 6 + zero, zero, np.full(n, "5" * 32)],
    }
    if kind in ("blkparse", "xperf"):
        file.write("".join(_event_lines(kind, micros, write, lbn, sectors)).encode())
        return
    table = pa.table({str(i): pa.array(column) for i, column in enumerate(columns[kind])})
    delimiter = " " if kind.startswith("fio") or kind == "fiu" else ","
    options = pa_csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="none")
    pa_csv.write_csv(table, file, options)


def _event_lines(
    kind: str, micros: np.ndarray, write: np.ndarray, lbn: np.ndarray, sectors: np.ndarray
) -> Iterator[str]:
    """Rows of listings of events: of blkparse each command with its arrival, start and completion."""
    columns = zip(micros.tolist(), write.tolist(), lbn.tolist(), sectors.tolist(), strict=True)
    for i, (micro, is_write, place, count) in enumerate(columns):
        if kind == "blkparse":
            clock = f"{micro // MB}.{micro % MB:06d}000"
            what = f"{'W' if is_write else 'R'} {place} + {count}"
            for action, end in (("Q", "[kworker/0:1]"), ("D", "[kworker/0:1]"), ("C", "[0]")):
                yield f"  8,0    3 {i % 10**8:8d} {clock:>14}  1234  {action}   {what} {end}\n"
        else:
            name = "DiskWrite" if is_write else " DiskRead"
            yield (
                f"{name}, {micro:10d},      program.exe (3984),      11844,   1, 0xffffe288b23f1b20, "
                f"{place * 512:#014x}, {count * 512:#010x},         283,        0, 0x060043,         283,       3, "
                f'Original, 0xffffe288272d0d20, "C:\\Users\\someone\\AppData\\file-{place % 5000}.dat"\n'
            )


def _decimals(seconds: int, micros: np.ndarray) -> list[str]:
    return [f"{seconds + m // MB}.{m % MB:06d}000" for m in micros.tolist()]


def time_reads(path: Path, repeats: int) -> dict[str, float]:
    """Read a trace several times in this process: median seconds, commands, peak memory in MiB."""
    seconds, busy = [], []
    for _ in range(repeats):
        begin, begin_busy = time.perf_counter(), time.process_time()
        commands = len(read_trace(path))
        seconds.append(time.perf_counter() - begin)
        busy.append(time.process_time() - begin_busy)
    return {
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(busy),
        "worst": max(seconds),
        "commands": commands,
        "peak_mib": most_resident() / MIB,
    }


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row of figures for each kind."""
    repeats, packed = options.repeats, options.gzip
    rows = []
    with tempfile.TemporaryDirectory(prefix="clonesim-bench-") as folder:
        for kind in options.kinds:
            path = Path(folder) / f"{kind}.trace"
            written = write_trace(path, kind, int(options.mb * MB), at_once=options.rows)
            size = path.stat().st_size
            if packed:
                plain, path = path, Path(folder) / f"{kind}.trace.gz"
                with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as target:
                    shutil.copyfileobj(source, target)
                plain.unlink()
            if options.quick:
                figures = time_reads(path, repeats)
            else:
                child = [sys.executable, __file__, "--child", str(path), "--repeats", str(repeats)]
                figures = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
            assert figures["commands"] == written, f"{kind}: {figures['commands']} commands read, {written} written"
            figures |= {"kind": kind, "gzip": packed, "bytes": size, "mb": size / MB}
            figures |= {"mb_per_s": size / MB / figures["seconds"]}
            figures |= {"mb_per_cpu_s": size / MB / max(figures["cpu_seconds"], 1e-9)}
            figures |= {"million_rows_per_s": figures["commands"] / figures["seconds"] / 1e6}
            rows.append(figures)
            path.unlink()
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=list(TRACE_KINDS))
    parser.add_argument("--mb", type=float, default=200, help="least size of each trace [MB]")
    parser.add_argument("--rows", type=int, default=ROWS_AT_ONCE, help="rows that are written at once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gzip", action="store_true", help="pack the traces first")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = asked(parser, argv, mb=0.01, rows=200, repeats=1)
    if options.child:
        print(json.dumps(time_reads(Path(options.child), options.repeats)))
        return 0
    print(f"command  {command(options)}\nmachine  {machine_text()}, pyarrow {pa.__version__}")
    print(f"median of {options.repeats} reads in one process")
    print(f"{'kind':18} {'MB':>6} {'MB/s':>7} {'MB/cpu s':>9} {'M rows/s':>9} {'worst s':>8} {'peak MiB':>9}")
    rows = run(options)
    for row in rows:
        print(
            f"{row['kind']:18} {row['mb']:6.0f} {row['mb_per_s']:7.0f} {row['mb_per_cpu_s']:9.0f} "
            f"{row['million_rows_per_s']:9.2f} {row['worst']:8.2f} {row['peak_mib']:9.0f}"
        )
    speeds = [row["mb_per_s"] for row in rows]
    figures = {"rows": rows, "slowest": min(speeds), "fastest": max(speeds)}
    return finish(options, figures, min(speeds) >= WANTED)


if __name__ == "__main__":
    raise SystemExit(main())
