"""Speed of reading what users have: inventories, listings, counters and disk images.

Run `python benchmarks/bench_readers.py`. It writes inputs of scale from random rows (a fixed seed) to a temporary
folder, reads each one several times in a fresh process and prints the median time, by the clock and by processor time
(they differ on a busy machine), and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_tools import MIB, asked, command, finish, machine_text, most_resident

from clonesim.ingest.esxtop import read_counters
from clonesim.ingest.images import read_image
from clonesim.ingest.inventory import read_inventory
from clonesim.ingest.listing import read_listing

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from inventory_tools import DAY, csv_text, write_xlsx

MB = 10**6
COLUMNS = 93  # of vInfo in RVTools 4.7.1


def _vms(count: int) -> list[list[Any]]:
    """A vInfo of the width that RVTools writes."""
    rng = np.random.default_rng(0)
    known = [
        "VM",
        "Powerstate",
        "Template",
        "Creation date",
        "Memory",
        "Provisioned MiB",
        "In Use MiB",
        "Path",
        "VM UUID",
    ]
    header = [*known, *(f"Custom attribute {place}" for place in range(COLUMNS - len(known)))]
    rows: list[list[Any]] = [header]
    use = rng.integers(10_000, 40_000, count).tolist()
    for number, used in enumerate(use):
        name = f"VDI-{number:05d}"
        own = [
            name,
            "poweredOn",
            "False",
            DAY,
            4096,
            45056,
            used,
            f"[lun {number // 64}] {name}/{name}.vmx",
            f"42{number:034x}",
        ]
        rest = ["a custom value" if place % 3 else used + place for place in range(COLUMNS - len(own))]
        rows.append([*own, *rest])
    return rows


def write_workbook(folder: Path, rows: int) -> Path:
    """A workbook with a wide vInfo and narrow vDisk and vSnapshot of so many rows."""
    vms = _vms(rows)
    disks = [["VM", "Disk", "Capacity MiB", "Thin", "Path"]]
    disks += [[vm[0], "Hard disk 1", 40960, "True", f"[lun] {vm[0]}-000001.vmdk"] for vm in vms[1:]]
    snapshots = [["VM", "Name", "Date / time", "Size MiB (vmsn)", "Size MiB (total)"]]
    snapshots += [[vm[0], "base", DAY, 0.5, 20480.5] for vm in vms[1:]]
    return write_xlsx(folder / "inventory.xlsx", {"vInfo": vms, "vDisk": disks, "vSnapshot": snapshots})


def write_inventory_csv(folder: Path, rows: int) -> Path:
    """The same vInfo as CSV."""
    path = folder / "RVTools_tabvInfo.csv"
    path.write_text(csv_text(_vms(rows)), newline="")
    return path


def write_sizes(folder: Path, rows: int) -> Path:
    """Sizes of 10,000 clones, day by day."""
    rng = np.random.default_rng(0)
    path = folder / "sizes.csv"
    with path.open("w") as file:
        file.write("clone,date,delta_bytes\n")
        for day in range(rows // 10_000):
            date = np.datetime64("2026-01-01T08:00:00") + np.timedelta64(day, "D")
            sizes = rng.integers(10**8, 10**11, 10_000).tolist()
            file.write("".join(f"VDI-{clone:05d},{date},{size}\n" for clone, size in enumerate(sizes)))
    return path


def write_ls(folder: Path, rows: int) -> Path:
    """`ls -l` of clones, week by week."""
    rng = np.random.default_rng(0)
    path = folder / "listing.txt"
    with path.open("w") as file:
        for week in range(rows // 1000):
            file.write(f"{np.datetime64('2000-01-01') + np.timedelta64(7 * week, 'D')}\n")
            for clone, size in enumerate(rng.integers(10**8, 10**11, 1000).tolist()):
                file.write(f"-rw-------    1 root     root     {size} Jan 20 00:12 VDI-{clone:05d}-000001-delta.vmdk\n")
    return path


def write_volume(folder: Path, rows: int) -> Path:
    """Write an NTFS volume of so many clusters, as a sparse file; needs mkntfs (Debian package ntfs-3g)."""
    path = folder / "disk.raw"
    with path.open("wb") as file:
        file.truncate(rows * 4096)
    subprocess.run(["mkntfs", "-F", "-Q", "-q", "-c", "4096", path], check=True, capture_output=True)
    return path


def write_cowd(folder: Path, rows: int) -> Path:
    """Write a COWD extent with tables for so many grains, every ninth of them absent; the grains are a hole."""
    path, tables = folder / "delta.vmdk", rows // 4096
    first = -(-(2048 + 4 * tables) // 512)  # sector of the first table
    grains = first + 32 * tables + np.arange(4096 * tables)
    grains[::9] = 0
    header = struct.pack("<4s10I", b"COWD", 1, 3, 4096 * tables, 1, 4, tables, 0, 0, 0, 0).ljust(2048, b"\0")
    places = (first + 32 * np.arange(tables)).astype("<u4")
    with path.open("wb") as file:
        file.write((header + places.tobytes()).ljust(first * 512, b"\0"))
        file.write(grains.astype("<u4").tobytes())
        file.truncate(int(grains.max() + 1) * 512)
    return path


def write_esxtop(folder: Path, rows: int) -> Path:
    """Samples of `esxtop -b`: 64 devices among 40,000 columns of other things."""
    path = folder / "esxtop.csv"
    texts = ("Commands/sec", "Conflicts/sec", "Reserves/sec", "ATS", "ATS Failed", "Average Kernel MilliSec/Command")
    names = [rf"\\esx\Vcpu({place}:vm:{place})\% Used" for place in range(40_000)]
    names += [rf"\\esx\Physical Disk SCSI Device(naa.{lun:032x})\{text}" for lun in range(64) for text in texts]
    tail = ',"0.00"' * 40_000 + "".join(f',"{place % 97}.25"' for place in range(64 * len(texts)))
    with path.open("w") as file:
        file.write(",".join(['"(PDH-CSV 4.0) (UTC)(0)"', *(f'"{name}"' for name in names)]) + "\n")
        for row in range(rows):
            hour, minute, second = row * 5 // 3600, row * 5 // 60 % 60, row * 5 % 60
            file.write(f'"05/13/2026 {hour:02d}:{minute:02d}:{second:02d}"{tail}\n')
    return path


# name -> rows, how to write, how to read, limit and its unit ("s" or "MB/s")
CASES: dict[str, tuple[int, Callable[[Path, int], Path], Callable[[Path], Any], float, str]] = {
    "rvtools-xlsx": (60_000, write_workbook, read_inventory, 20.0, "s"),
    "rvtools-csv": (60_000, write_inventory_csv, read_inventory, 100.0, "MB/s"),
    "sizes-csv": (3_000_000, write_sizes, read_listing, 100.0, "MB/s"),
    "esxtop": (1_000, write_esxtop, read_counters, 100.0, "MB/s"),
    "ls": (300_000, write_ls, read_listing, 0.0, "MB/s"),
    "ntfs-80-gib": (20 * 2**20, write_volume, lambda path: read_image(path).bitmap, 2.0, "s"),
    "cowd-grains": (16 * 2**20, write_cowd, lambda path: read_image(path).grains, 2.0, "s"),
}


def time_reads(path: Path, read: Callable[[Path], Any], repeats: int) -> dict[str, float]:
    """Read a file several times in this process."""
    seconds, busy = [], []
    for _ in range(repeats):
        begin, begin_busy = time.perf_counter(), time.process_time()
        read(path)
        seconds.append(time.perf_counter() - begin)
        busy.append(time.process_time() - begin_busy)
    return {
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(busy),
        "peak_mib": most_resident() / MIB,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; exit with 1 where one misses its limit by processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--share", type=float, default=1.0, help="share of the rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = asked(parser, argv, share=0.01, repeats=1, cases=["rvtools-csv", "sizes-csv", "ls", "cowd-grains"])
    if options.child:
        case, path = options.child
        print(json.dumps(time_reads(Path(path), CASES[case][2], options.repeats)))
        return 0
    print(f"command  {command(options)}\nmachine  {machine_text()}; median of {options.repeats} reads in one process")
    print("case                rows     MB       s   cpu s   MB/s  MB/cpu s  peak MiB    limit")
    rows = [one_case(name, options) for name in options.cases]
    for row in rows:
        limit, unit = row["limit"], row["limit_unit"]
        print(
            f"{row['case']:14} {row['rows']:9,} {row['mb']:6.0f} {row['seconds']:7.2f} {row['cpu_seconds']:7.2f} "
            f"{row['mb_per_s']:6.0f} {row['mb_per_cpu_s']:9.0f} {row['peak_mib']:9.0f} {limit:8g} {unit}"
        )
    return finish(options, {"rows": rows}, all(row["passed"] for row in rows))


def one_case(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one case."""
    rows, write, read, limit, unit = CASES[name]
    count = int(rows * options.share)
    with tempfile.TemporaryDirectory(prefix="clonesim-bench-") as folder:
        path = write(Path(folder), count)
        size = path.stat().st_size / MB
        if options.quick:
            row: dict[str, Any] = time_reads(path, read, options.repeats)
        else:
            child = [sys.executable, __file__, "--child", name, str(path), "--repeats", str(options.repeats)]
            row = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    wanted = f"{limit:g} {unit}" if limit else "-"
    row |= {"case": name, "rows": count, "mb": size, "limit": limit, "limit_unit": unit, "wanted": wanted}
    row |= {"mb_per_s": size / row["seconds"], "mb_per_cpu_s": size / max(row["cpu_seconds"], 1e-9)}
    return row | {"passed": row["cpu_seconds"] <= limit if unit == "s" else row["mb_per_cpu_s"] >= limit}


if __name__ == "__main__":
    raise SystemExit(main())
