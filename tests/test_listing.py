"""Listings of every tool: files, measured growth, and the lives of deltas."""

import datetime as dt
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from clonesim.ingest.listing import read_listing
from clonesim.ingest.vmsd import parse, spans

MIB, GIB = 2**20, 2**30
WHEN = pd.Timestamp("2026-01-31T10:00Z")


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def history(listing):
    return [(clone, str(date.date()), size) for clone, date, size in listing.history.itertuples(index=False)]


def test_the_public_esxi_listing(shared):
    """Two deltas of 95 and 1 increments beside their header; snapshot times read with Python's own dates."""
    listing = read_listing(shared / "samples/formats/esxi_ls_cowd_chain.txt")
    assert listing.kind == "ls"
    header = 2048 + 4 * 51_200
    files = listing.files.set_index("file")
    assert files["bytes"].to_list() == [header + 95 * 16 * MIB, header + 16 * MIB, 100 * GIB]
    assert files["kind"].to_list() == ["delta", "delta", "flat"]
    assert set(files["clone"]) == {"VM"}
    assert files.loc["VM-000001-delta.vmdk", ["parent", "time"]].to_list() == [
        "VM.vmdk",
        pd.Timestamp("2012-01-20T00:12Z"),
    ]
    micros = [305_314 * 2**32 + (-1_217_307_054) % 2**32, 307_954 * 2**32 + 313_558_111]
    begin, end = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=tick) for tick in micros)
    first = listing.intervals.iloc[0]
    assert first.to_list() == ["VM", "VM-000001.vmdk", begin, end, header + 95 * 16 * MIB]
    assert listing.intervals["file"].to_list() == ["VM-000001.vmdk", "VM-000004.vmdk", "VM-000002.vmdk"]
    assert listing.intervals["bytes"].isna().to_list() == [False, True, False]  # 000004 is not in the listing
    assert len(listing.history) == 0  # nothing dates the listing
    assert any("year" in note for note in listing.notes)


LS = """\
2026-01-24T10:00:00Z
/vmfs/volumes/lun1/VDI-1:
total 34000
   16384 -rw-------    1 root     root      16984064 Jan 24 08:00 VDI-1-000001-delta.vmdk
       0 -rw-------    1 root     root           333 Mar  1  2025 VDI-1-000001.vmdk
    1024 -rw-------    1 root     root       1048576 Nov 20 08:00 VDI-1-1a2b3c4d.vswp
drwxr-xr-x    1 root     root          2240 Jan 24 08:00 sub

/vmfs/volumes/lun1/VDI 2:
-rw-------    1 root     root     4294967296 2026-01-20 09:00:00.000000000 +0100 VDI 2-000001-sesparse.vmdk
# listed: Sat Jan 31 10:00:00 UTC 2026
-rw-------    1 root     root      33761280 Jan 31 08:00 /vmfs/volumes/lun1/VDI-1/VDI-1-000001-delta.vmdk
-rw-------    1 root     root      16984064 Jan 31 08:00 /vmfs/volumes/lun1/VDI-1/VDI-1-000002-delta.vmdk
"""


def test_dated_listings_are_growth(tmp_path):
    listing = read_listing(write(tmp_path / "ls.txt", LS))
    assert history(listing) == [
        ("VDI 2", "2026-01-24", 4 * GIB),
        ("VDI-1", "2026-01-24", 16_984_064),
        ("VDI-1", "2026-01-31", 33_761_280 + 16_984_064),
    ]
    files = listing.files
    assert files["kind"].to_list() == ["delta", "descriptor", "swap", "delta", "delta", "delta"]
    assert files["allocated_bytes"].to_list()[:3] == [16 * MIB, 0, MIB]
    assert files["time"].to_list()[1:4] == [
        pd.Timestamp("2025-03-01T00:00Z"),
        pd.Timestamp("2025-11-20T08:00Z"),  # the last 20 November before the listing
        pd.Timestamp("2026-01-20T08:00Z"),
    ]


def snapshot_list(entries):
    lines = ['.encoding = "UTF-8"']
    for place, (uid, parent, when, disk) in enumerate(entries):
        ticks = round(pd.Timestamp(when).timestamp() * 1e6)
        low = (ticks & 0xFFFFFFFF) - (2**32 if ticks & 0x80000000 else 0)
        lines += [f'snapshot{place}.uid = "{uid}"', f'snapshot{place}.createTimeHigh = "{ticks >> 32}"']
        lines += [f'snapshot{place}.createTimeLow = "{low}"', f'snapshot{place}.disk0.fileName = "{disk}"']
        lines += [f'snapshot{place}.parent = "{parent}"'] if parent else []
    return "\n".join(lines) + "\n"


def test_snapshot_lists_beside_a_listing(tmp_path):
    entries = [(1, 0, "2026-01-01T00:00Z", "a.vmdk"), (2, 1, "2026-01-11T00:00Z", "a-000001.vmdk")]
    write(tmp_path / "a.vmsd", snapshot_list(entries))
    write(tmp_path / "other.vmsd", snapshot_list([(1, 0, "2027-01-01T00:00Z", "zzz.vmdk")]))
    lines = "".join(f"-rw------- 1 root root {size} Jan 20 08:00 {name}\n" for name, size in
                    (("a-flat.vmdk", 10 * GIB), ("a-000001-delta.vmdk", 5 * MIB),
                     ("a-000002-delta.vmdk", 3 * MIB)))  # fmt: skip
    listing = read_listing(write(tmp_path / "ls.txt", lines), listed="2026-01-21")
    rows = listing.intervals.to_numpy().tolist()
    stamps = [pd.Timestamp(f"2026-01-{day}T00:00Z") for day in ("01", "11", "21")]
    assert rows == [
        ["a", "a-000001.vmdk", stamps[0], stamps[1], 5 * MIB],
        ["a", "a-000002.vmdk", stamps[1], stamps[2], 3 * MIB],  # in use: no snapshot names it
    ]
    assert listing.files["parent"].to_list()[1:] == ["a.vmdk", "a-000001.vmdk"]
    assert history(listing) == [("a", "2026-01-21", 8 * MIB)]


def test_snapshot_lists_that_make_no_sense():
    loop = snapshot_list([(1, 2, "2026-01-01T00:00Z", "a.vmdk"), (2, 1, "2026-01-02T00:00Z", "b.vmdk")])
    assert len(spans(parse(loop.splitlines()))) == 2  # each names the other; no walk follows them
    assert spans(parse(['snapshot0.uid = "1"', 'snapshot0.parent = "1"', 'snapshot0.disk0.fileName = "a"'])) == []
    (one,) = parse(['snapshot0.createTimeHigh = "99999999999"', 'snapshot0.createTimeLow = "x"'])
    assert one.time is None


@pytest.mark.parametrize(
    ("head", "size", "expected"),
    [
        ("clone,date,bytes", "1073741824", GIB),
        ("VM Name;Date;Delta Size (MiB)", "1024", GIB),
        ("desktop\ttimestamp\tsize_gib", "1", GIB),
        ("name,day,SizeGB", "1.0", GIB),
        ("machine,when,used", "1024 MiB", GIB),
        ('"user","collected","delta_kb"', '"1,048,576"', GIB),
    ],
)
@pytest.mark.parametrize("date", ["2026-01-31", "2026-01-31T10:00:00Z", "31.01.2026 10:00", "1769853600"])
def test_plain_csv_with_clear_headers(tmp_path, head, size, expected, date):
    mark = ";" if ";" in head else "\t" if "\t" in head else ","
    rows = "".join(f"{mark.join((clone, date, size))}\r\n" for clone in ("b", " a "))
    listing = read_listing(write(tmp_path / "x", f"{head}\r\n{rows}"))
    assert listing.kind == "csv"
    assert history(listing) == [("a", "2026-01-31", expected), ("b", "2026-01-31", expected)]


def test_growth_of_many_rows_equals_pandas(tmp_path):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({
        "clone": [f"VDI-{number}" for number in rng.integers(0, 300, 30_000)],
        "date": pd.to_datetime(rng.integers(1.76e9, 1.77e9, 30_000), unit="s", utc=True),
        "bytes": rng.integers(0, 2**45, 30_000),
    }).drop_duplicates(["clone", "date"])  # fmt: skip
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    expected = frame.sort_values(["clone", "date"], ignore_index=True)
    read = read_listing(path).history
    assert read["clone"].to_list() == expected["clone"].to_list()
    assert (read["date"] == expected["date"].dt.as_unit("us")).all()
    assert (read["bytes"] == expected["bytes"]).all()
    # The same with sizes that no integer column takes, so by the careful way.
    frame.assign(bytes=frame["bytes"].astype(str) + " B").to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_listing(path).history, read)


def test_rows_that_repeat_and_rows_that_add(tmp_path):
    sizes = ("a,2026-01-31,5", "a,2026-01-31,5", "a,2026-01-31,7", "b,2026-01-31,", ",2026-01-31,9", "a,2026-01-30,1")
    text = "\n".join(("clone,date,bytes", *sizes, ""))
    listing = read_listing(write(tmp_path / "a.csv", text))
    assert history(listing) == [("a", "2026-01-30", 1), ("a", "2026-01-31", 12)]
    assert "rows that repeat another left out: 1" in listing.notes
    assert "further rows of a clone and date added up: 1" in listing.notes
    assert "rows without a clone, a date or a size left out: 2" in listing.notes


def test_one_date_for_all_rows_can_be_said(tmp_path):
    path = write(tmp_path / "a.csv", "clone,delta_mib\na,1\n")
    assert history(read_listing(path, listed=dt.date(2026, 1, 31))) == [("a", "2026-01-31", MIB)]


CHAIN = {"file": [
    {"key": 0, "name": "[lun 1] VDI-1/VDI-1.vmx", "type": "config", "size": 3000, "uniqueSize": 3000},
    {"key": 1, "name": "[lun 1] replica/replica.vmdk", "type": "diskDescriptor", "size": 400},
    {"key": 2, "name": "[lun 1] replica/replica-flat.vmdk", "type": "diskExtent", "size": 20 * GIB},
    {"key": 3, "name": "[lun 1] VDI-1/VDI-1.vmdk", "type": "diskDescriptor", "size": 400},
    {"key": 4, "name": "[lun 1] VDI-1/VDI-1-delta.vmdk", "type": "diskExtent", "size": 5 * MIB, "uniqueSize": 4 * MIB},
    {"key": 5, "name": "[lun 1] VDI-1/VDI-1-000001.vmdk", "type": "diskDescriptor", "size": 400},
    {"key": 6, "name": "[lun 1] VDI-1/VDI-1-000001-delta.vmdk", "type": "diskExtent", "size": 7 * MIB},
    {"key": 7, "name": "[lun 1] VDI-1/VDI-1-00aa11bb.vswp", "type": "swap", "size": 4 * GIB},
  ],
  "disk": [{"key": 2000, "chain": [{"fileKey": [1, 2]}, {"fileKey": [3, 4]}, {"fileKey": [5, 6]}]}],
  "snapshot": [{"key": "vim.vm.Snapshot:snapshot-9", "dataKey": 9, "memoryKey": -1,
                "disk": [{"key": 2000, "chain": [{"fileKey": [1, 2]}, {"fileKey": [3, 4]}]}]}],
  "timestamp": "2026-01-31T10:00:00Z"}  # fmt: skip
TREE = {"rootSnapshotList": [{"snapshot": "vim.vm.Snapshot:snapshot-9", "createTime": "2026-01-11T00:00:00Z"}]}


def capitals(value):
    """As govc and PowerCLI head fields."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: capitals(item) for key, item in value.items()}
    return [capitals(item) for item in value] if isinstance(value, list) else value


def second(value):
    return json.loads(json.dumps(value).replace("VDI-1", "VDI-2"))


@pytest.mark.parametrize("form", ["pyvmomi", "govc", "capitals", "lines", "bare"])
def test_layout_ex(tmp_path, form):
    machines = [{"name": "VDI-1", "layoutEx": CHAIN, "snapshot": TREE}]
    machines += [] if form == "bare" else [second(machines[0])]
    content = {
        "pyvmomi": machines,
        "govc": {"virtualMachines": machines},
        "capitals": {"VirtualMachines": capitals(machines)},
        "lines": None,
        "bare": CHAIN,
    }[form]
    if form == "lines":
        content = "\n".join(map(json.dumps, machines))
    listing = read_listing(write(tmp_path / "a.json", content))
    assert listing.kind == "layoutEx"
    files = listing.files.set_index("file")
    assert files["kind"].value_counts()["flat"] == 1  # the replica of both, once
    assert files.loc["[lun 1] replica/replica-flat.vmdk", "clone"] == "replica"
    delta = files.loc["[lun 1] VDI-1/VDI-1-000001-delta.vmdk"]
    assert delta[["clone", "kind", "bytes", "parent"]].to_list() == ["VDI-1", "delta", 7 * MIB, "VDI-1.vmdk"]
    assert files.loc["[lun 1] VDI-1/VDI-1-delta.vmdk", "allocated_bytes"] == 4 * MIB
    clones = ["VDI-1"] if form == "bare" else ["VDI-1", "VDI-2"]
    assert history(listing) == [(clone, "2026-01-31", 12 * MIB) for clone in clones]
    if form != "bare":
        rows = listing.intervals.to_numpy().tolist()
        begin = pd.Timestamp("2026-01-11T00:00Z")
        assert rows[0] == ["VDI-1", "VDI-1-000001-delta.vmdk", begin, WHEN, 7 * MIB]


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is absent (Debian package qemu-utils)")
def test_qemu_img_info_of_a_real_overlay(tmp_path):
    base, top = tmp_path / "base.raw", tmp_path / "vm-101-disk-0.qcow2"
    for arguments in (["raw", base, "8M"], ["qcow2", "-b", base, "-F", "raw", top]):
        subprocess.run(["qemu-img", "create", "-q", "-f", *map(str, arguments)], check=True)
    done = subprocess.run(
        ["qemu-img", "info", "--output=json", "--backing-chain", str(top)], check=True, capture_output=True, text=True
    )
    listing = read_listing(write(tmp_path / "a.json", done.stdout), listed="2026-01-31")
    overlay, raw = listing.files.to_dict("records")
    assert (overlay["clone"], overlay["kind"], overlay["parent"]) == ("vm-101", "delta", str(base))
    assert (overlay["capacity_bytes"], raw["capacity_bytes"], raw["kind"]) == (8 * MIB, 8 * MIB, "disk")
    assert overlay["allocated_bytes"] == top.stat().st_blocks * 512
    assert overlay["bytes"] in (top.stat().st_size, None, pd.NA)  # older versions do not tell it
    assert listing.history["clone"].to_list() == ["vm-101"]


def test_lvs(tmp_path):
    volume = {"lv_name": "vm-101-disk-0", "vg_name": "pve", "lv_attr": "Vwi-aotz--", "lv_size": "34359738368B",
              "pool_lv": "data", "origin": "base-100-disk-0", "data_percent": "12.50"}  # fmt: skip
    pool = {"lv_name": "data", "vg_name": "pve", "lv_attr": "twi-aotz--", "lv_size": "<1.50t", "data_percent": "50.00"}
    content = '{"listed": "2026-01-31T10:00:00Z"}\n' + json.dumps({"report": [{"lv": [volume, pool]}]})
    listing = read_listing(write(tmp_path / "a.json", content))
    assert listing.kind == "lvs"
    assert listing.files["bytes"].to_list() == [4 * GIB, 3 * 2**38]
    assert listing.files["kind"].to_list() == ["delta", "pool"]
    assert history(listing) == [("vm-101", "2026-01-31", 4 * GIB)]


def test_zfs_in_three_forms(tmp_path):
    value = {"used": "123456", "origin": "tank/base-100-disk-0@__base__", "volsize": "34359738368"}
    nested = {"output_version": {"command": "zfs list"}, "datasets": {"tank/vm-101-disk-0": {
        "name": "tank/vm-101-disk-0", "type": "VOLUME", "pool": "tank",
        "properties": {name: {"value": text, "source": {}} for name, text in value.items()}}}}  # fmt: skip
    headed = "NAME                USED    ORIGIN                         VOLSIZE\n"
    headed += f"tank/vm-101-disk-0  {'  '.join(value.values())}\n"
    tabs = "tank/vm-101-disk-0\t123456\t999\t888\t-\n"
    for content in (nested, headed, tabs):
        listing = read_listing(write(tmp_path / "a", content), listed="2026-01-31")
        assert listing.kind == "zfs"
        assert history(listing) == [("vm-101", "2026-01-31", 123_456)]
        if content is not tabs:
            assert listing.files[["kind", "parent", "capacity_bytes"]].to_numpy().tolist() == [
                ["delta", "tank/base-100-disk-0@__base__", 32 * GIB]
            ]


def test_rbd(tmp_path):
    images = [{"name": "vm-101-disk-0", "provisioned_size": 32 * GIB, "used_size": 4 * MIB},
              {"name": "base-100-disk-0", "snapshot": "s", "provisioned_size": 32 * GIB, "used_size": GIB}]  # fmt: skip
    listing = read_listing(write(tmp_path / "a", {"images": images, "total_used_size": 1}), listed="2026-01-31")
    assert listing.files["kind"].to_list() == ["disk", "snapshot"]
    assert history(listing) == [("vm-101", "2026-01-31", 4 * MIB)]
    assert any("no parents" in note for note in listing.notes)


def test_get_vhd(tmp_path):
    text = (
        '#TYPE Microsoft.Vhd.PowerShell.VirtualHardDisk\r\n"Date","VMName","Path","VhdFormat","VhdType",'
        '"FileSize","Size","MinimumSize","ParentPath"\r\n"2026-01-31 10:00:00","VDI-1",'
        '"C:\\V\\VDI-1_0A1B2C3D-1111-2222-3333-444455556666.avhdx","VHDX","Differencing","4194304","10737418240","1","C:\\V\\gold.vhdx"\r\n'
        '"2026-01-31 10:00:00","","C:\\V\\gold.vhdx","VHDX","Dynamic","9663676416","10737418240","1",""\r\n'
    )
    listing = read_listing(write(tmp_path / "a.csv", text))
    assert listing.kind == "get-vhd"
    assert listing.files["capacity_bytes"].to_list() == [10 * GIB] * 2
    assert listing.files["clone"].to_list() == ["VDI-1", "gold"]
    assert listing.files["kind"].to_list() == ["delta", "disk"]
    assert history(listing) == [("VDI-1", "2026-01-31", 4 * MIB)]


def test_fslogix(tmp_path):
    text = (
        '"FullName","Length","LastWriteTime"\r\n'
        '"\\\\fs\\p\\S-1-5-21-7-1001_ann\\Profile_ann.VHDX","5368709120","31/01/2026 08:00:00"\r\n'
        '"\\\\fs\\p\\S-1-5-21-7-1001_ann\\ODFC_ann.VHDX","1073741824","31/01/2026 08:00:00"\r\n'
    )
    listing = read_listing(write(tmp_path / "a.csv", text), listed="2026-01-31")
    assert listing.kind == "fslogix"
    assert listing.files["kind"].to_list() == ["profile", "office"]
    assert listing.files["time"].to_list() == [pd.Timestamp("2026-01-31T08:00Z")] * 2
    assert history(listing) == [("ann", "2026-01-31", 6 * GIB)]


def test_a_folder_of_weeks(tmp_path):
    for week in (1, 2, 3):
        stamp = f"2026-01-{7 * week:02d}"
        line = f"-rw------- 1 root root {week * 16 * MIB} Jan  {week} 08:00 a-000001-delta.vmdk\n"
        write(tmp_path / f"{stamp}.txt", f"{stamp}\n{line}")
    write(tmp_path / "more.csv", "clone,date,bytes\na,2026-01-28,5\n")
    listing = read_listing(tmp_path)
    assert listing.kind == "ls+csv"
    assert [size for *_, size in history(listing)] == [16 * MIB, 32 * MIB, 48 * MIB, 5]
    assert list(listing.history.columns) == ["clone", "date", "bytes"]
    assert str(listing.history["date"].dtype) == "datetime64[us, UTC]"
    assert str(listing.history["bytes"].dtype) == "int64"
