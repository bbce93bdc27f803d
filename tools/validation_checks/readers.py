"""Readers of what users have: traces, images, volumes, exports, against programs of others that read the same."""

from __future__ import annotations

import gzip
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from clonesim.ingest import packaged_trace, read_trace
from clonesim.ingest.image_chain import ImageChain
from clonesim.ingest.images import read_image
from clonesim.ingest.inventory import read_inventory
from clonesim.units import MIB

from .entry import AbsentError, Chapter, Figure, need, sample, told, zero
from .sizes import TRACE, TRACE_MD5

CHAPTER = Chapter("Readers")
IMAGES = (  # format and options of qemu-img
    ("qcow2", "cluster_size=65536"),
    ("qcow2", "cluster_size=512"),
    ("qcow2", "cluster_size=2097152,compat=0.10"),
    ("qcow2", "compression_type=zlib"),
    ("qcow2", "compression_type=zstd"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vmdk", "subformat=streamOptimized"),
    ("vpc", "subformat=dynamic,force_size=on"),
    ("vpc", "subformat=fixed,force_size=on"),
    ("vhdx", "subformat=dynamic"),
    ("vhdx", "subformat=fixed"),
)
REAL_IMAGES = ("vsstest.qcow2", "windows_volume.qcow2", "vmdk-rs/monolithicSparse.vmdk", "vmdk-rs/streamOptimized.vmdk")
VOLUMES = ((512, 9 * MIB + 1536), (4096, 70 * MIB), (65536, 300 * MIB))  # cluster, size [B]


@CHAPTER.check(
    "vscsi-trace",
    "Every command of a real vSCSI trace is read with its time, kind, place and length, from the binary and from "
    "the CSV form of the same recording.",
    "the published file of 113,872 commands, unpacked by Python's struct module",
    tests=("test_traces_real.py",),
    cheap=True,
)
def vscsi_trace() -> list[Figure]:
    """Rows that differ."""
    path = sample("traces/cloudPhysicsIO.vscsi", TRACE, TRACE_MD5)
    records = np.array(list(struct.iter_unpack("<IIIHHQQ", path.read_bytes())))
    trace, text = read_trace(path), read_trace(path.with_suffix(".csv"))
    right = {"offset": records[:, 5] * 512, "length": records[:, 1], "writes": records[:, 3] == 0x2A}
    wrong = int((trace.time_s != (records[:, 6] - records[0, 6]) / 1e6).sum())
    wrong += int((text.time_s != records[:, 6] // 10**6 - records[0, 6] // 10**6).sum())
    for name, column in right.items():
        wrong += sum(int((np.asarray(getattr(one, name)) != column).sum()) for one in (trace, text))
    return [told("rows of each form", len(records)), zero("values that differ", wrong)]


@CHAPTER.check(
    "fio-trace",
    "The packaged trace is read row by row as it stands in its file.",
    "a plain count of the lines of the iolog that fio 3 wrote",
    tests=("test_traces_real.py",),
    cheap=True,
)
def fio_trace() -> list[Figure]:
    """Rows that differ."""
    path = packaged_trace()
    with gzip.open(path, "rt") as file:
        rows = [line.split() for line in file]
    rows = [row for row in rows if len(row) == 5]
    trace = read_trace(path)
    wrong = abs(len(trace) - len(rows))
    wrong += int(
        (trace.offset != [int(row[3]) for row in rows]).sum() + (trace.length != [int(row[4]) for row in rows]).sum()
    )
    written = sum(int(row[4]) for row in rows if row[2] == "write")
    return [
        told("rows", len(rows)),
        zero("rows that differ", wrong),
        zero("written bytes: read less counted", trace.summary()["written_bytes"] - written, "B"),
    ]


@CHAPTER.check(
    "qemu-images",
    "Images of every kind that QEMU writes are read back byte for byte, and hold the ranges that QEMU says they hold.",
    "`qemu-img convert` and `qemu-img map`: QCOW2, VMDK, VHD and VHDX in 13 forms, random content of fresh seeds",
    tests=("test_images_formats.py",),
    cheap=True,
    fresh=True,
)
def qemu_images(seed: int) -> list[Figure]:
    """Bytes that differ, and ranges on one side only."""
    need("qemu-img")
    from image_tools import run
    from test_images_formats import mapped, scattered

    wrong = ranges = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = folder / "disk.raw"
        raw.write_bytes(scattered(seed))
        for number, (kind, options) in enumerate(IMAGES):
            image = folder / f"image{number}"
            packed = ["-c"] if "compression" in options else []
            run("qemu-img", "convert", *packed, "-f", "raw", "-O", kind, "-o", options, raw, image)
            with ImageChain() as chain:
                disk = chain.disk(image)
                whole, grains = disk.read(0, disk.capacity), disk.grains.tolist()
            wrong += _different(whole, raw.read_bytes())
            if kind != "vhdx" and "fixed" not in options and "Flat" not in options:
                ranges += len({*map(tuple, grains)} ^ {*map(tuple, mapped(image))})
    return [
        told("images", len(IMAGES), again=None),
        zero("bytes that differ", wrong, "B", fresh=True),
        zero("ranges on one side only", ranges, fresh=True),
    ]


def _different(one: bytes, other: bytes) -> int:
    if len(one) != len(other):
        return max(len(one), len(other))
    return int((np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)).sum())


@CHAPTER.check(
    "real-images",
    "Images written by Windows and by VMware's tools hold the same bytes for clonesim as for QEMU.",
    "`qemu-img convert` of four published images (plaso, dfvfs, vmdk-rs)",
    tests=("test_images_formats.py",),
    cheap=True,
)
def real_images() -> list[Figure]:
    """Bytes that differ where the images hold something."""
    need("qemu-img")
    from image_tools import run

    looked = wrong = 0
    for name in REAL_IMAGES:
        path = sample(f"images/{name}", "plaso, dfvfs and vmdk-rs, test data")
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "out.raw"
            run("qemu-img", "convert", "-O", "raw", path, raw)
            with ImageChain() as chain, raw.open("rb") as expected:
                disk = chain.disk(path)
                for low, high in disk.grains.tolist():
                    expected.seek(low)
                    piece = expected.read(high - low)
                    looked += len(piece)
                    wrong += _different(disk.read(low, len(piece)), piece)
    return [told("bytes compared", looked, "B"), zero("bytes that differ", wrong, "B")]


@CHAPTER.check(
    "ntfs-volumes",
    "Cluster size, clusters, free clusters and every bit of the bitmap of NTFS volumes are those that ntfs-3g's "
    "tools tell.",
    "volumes made by mkntfs and filled by ntfscp with files of random sizes, read by ntfsinfo and ntfscat",
    tests=("test_images_ntfs.py",),
    cheap=True,
    fresh=True,
    note="A reader of a format on disk is checked here, not a rule by which a driver picks clusters.",
)
def ntfs_volumes(seed: int) -> list[Figure]:
    """Numbers and bits that differ."""
    need("mkntfs", "ntfsinfo", "ntfscp", "ntfscat")
    from image_tools import make_ntfs, ntfsinfo
    from test_images_ntfs import bits_of, fill

    numbers = bits = clusters = 0
    for number, (cluster, size) in enumerate(VOLUMES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path = make_ntfs(folder / "disk.raw", size, cluster)
            fill(path, folder, 8, [seed, number])
            ntfs = read_image(path).ntfs
            right = ntfsinfo(path)
            found = (ntfs.cluster_size, ntfs.clusters, ntfs.free)
            numbers += sum(one != other for one, other in zip(found, right, strict=True))
            bits += int((ntfs.bitmap != bits_of(path)[: ntfs.clusters]).sum())
            clusters += ntfs.clusters
    return [
        told("clusters compared", clusters, again=None),
        zero("numbers that differ", numbers, fresh=True),
        zero("bits that differ", bits, fresh=True),
    ]


@CHAPTER.check(
    "workbook",
    "Every cell of a public RVTools workbook that clonesim keeps is the one that a reader of ZIP and XML finds.",
    "rvtools-small-complete.xlsx (rvtools-to-ibm-cloud), its XML read by Python's standard library; sizes in MiB "
    "become bytes",
    tests=("test_inventory.py",),
    cheap=True,
)
def workbook() -> list[Figure]:
    """Values that differ."""
    path = sample("inventory/rvtools-small-complete.xlsx", "rvtools-to-ibm-cloud")
    inventory = read_inventory(path)
    pairs = (
        ("vInfo", "Provisioned MiB", inventory.vms["provisioned_bytes"], MIB),
        ("vInfo", "Memory", inventory.vms["memory_bytes"], MIB),
        ("vDisk", "Capacity MiB", inventory.disks["capacity_bytes"], MIB),
        ("vPartition", "Free MiB", inventory.partitions["free_bytes"], MIB),
        ("vSnapshot", "Size MiB (total)", inventory.snapshots["total_bytes"], MIB),
    )
    looked = wrong = 0
    for tab, header, column, unit in pairs:
        right = [float(value) * unit for value in _cells(path, tab, header)]
        found = column.astype(float).to_list()
        looked += len(right)
        wrong += abs(len(found) - len(right)) + sum(one != other for one, other in zip(found, right, strict=False))
    return [told("cells compared", looked), zero("cells that differ", wrong)]


def _cells(path: Path, tab: str, header: str) -> list[str]:
    """Cells of a column below its header, from the XML of the sheet."""
    import re
    import zipfile
    from xml.etree import ElementTree

    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as book:

        def tree(name: str) -> ElementTree.Element:
            return ElementTree.fromstring(book.read(name))  # noqa: S314 (a published sample, named by its maker)

        names = set(book.namelist())
        texts: list[str] = []
        if "xl/sharedStrings.xml" in names:
            root = tree("xl/sharedStrings.xml")
            texts = ["".join(part.text or "" for part in item.iter(f"{space}t")) for item in root.iter(f"{space}si")]
        sheets = tree("xl/workbook.xml").iter(f"{space}sheet")
        number = [sheet.get("name") for sheet in sheets].index(tab) + 1
        rows = []
        for row in tree(f"xl/worksheets/sheet{number}.xml").iter(f"{space}row"):
            found = {}
            for cell in row.iter(f"{space}c"):
                place = re.match(r"[A-Z]+", cell.get("r") or "")
                value = cell.find(f"{space}v")
                told_here = (
                    "".join(part.text or "" for part in cell.iter(f"{space}t")) if value is None else value.text or ""
                )
                found[place[0] if place else ""] = texts[int(told_here)] if cell.get("t") == "s" else told_here
            rows.append(found)
    (column,) = [key for key, value in rows[0].items() if value.strip() == header]
    return [row[column] for row in rows[1:] if row.get(column)]


@CHAPTER.check(
    "powershell",
    "The scripts that clonesim writes for vSphere parse as PowerShell, with hostile names in them; with a quote "
    "taken out they do not.",
    "tree-sitter's PowerShell grammar",
    tests=("test_emit.py", "test_probe_scripts.py", "test_collect_scripts.py"),
    cheap=True,
    note="Parsed, never run on a vCenter.",
)
def powershell() -> list[Figure]:
    """Scripts with errors."""
    try:
        from tree_sitter import Language, Parser
        from tree_sitter_powershell import language
    except ImportError as error:
        raise AbsentError(f"not installed: {error.name} (extra test)") from None
    from test_emit import pool

    from clonesim.planning.emit import assignments, emit_powercli

    with tempfile.TemporaryDirectory() as folder:
        stores = ["Joe's LUN", "$(Get-VM)", 'a "b"; c']
        frame = assignments(pool(5), 2, datastores=stores)
        script = emit_powercli(frame, Path(folder) / "clones.ps1").read_bytes()
    parser = Parser(Language(language()))
    broken = parser.parse(script.replace(b"Joe''s", b"Joe's")).root_node.has_error
    return [
        zero("errors in the script", int(parser.parse(script).root_node.has_error)),
        Figure("errors found after one quote is taken out", int(broken), low=1, high=1, again=0.0),
    ]


def driver_version() -> str:
    """Version of ntfs-3g that is installed."""
    need("ntfs-3g")
    done = subprocess.run(["ntfs-3g", "--version"], capture_output=True, text=True, check=False)
    return (done.stderr + done.stdout).split(" integrated")[0].strip()
