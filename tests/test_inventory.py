"""Inventories: every tab of an export in bytes and dates, whatever form it has."""

import datetime as dt
import gzip
import zipfile

import pandas as pd
import pytest
from inventory_tools import DAY, FILES, TABS, csv_text, write_xlsx

from clonesim.ingest.columns import TABS as KNOWN
from clonesim.ingest.inventory import read_inventory

MIB, GIB = 2**20, 2**30
WHEN = pd.Timestamp("2026-01-31T09:30Z")


def write_folder(folder, tabs=TABS, **how):
    for name, rows in tabs.items():
        (folder / f"RVTools_tab{name}.csv").write_text(csv_text(rows, **how), newline="")
    return folder


def check(inventory):
    """Numbers worked out by hand from TABS."""
    vms = inventory.vms.set_index("vm")
    assert list(vms.index) == ["VDI-1", "VDI-2", "12345"]
    assert vms.loc["VDI-1", "memory_bytes"] == 4 * GIB
    assert vms.loc["VDI-1", "in_use_bytes"] == 30_000 * MIB
    assert vms["template"].to_list() == [False, False, True]
    assert vms["created"].to_list() == [WHEN] * 3
    assert inventory.disks["capacity_bytes"].to_list() == [40 * GIB] * 2
    assert inventory.disks["thin"].to_list() == [True, True]
    assert inventory.disks["disk_key"].to_list() == ["2000", "2000"]
    assert inventory.snapshots["total_bytes"].to_list() == [20_480 * MIB + MIB // 2] * 2
    assert inventory.snapshots["date"].to_list() == [WHEN] * 2
    lun, nfs = inventory.datastores.to_dict("records")
    assert (lun["datastore"], lun["capacity_bytes"], lun["free_bytes"]) == ("lun 1", 500 * GIB, 450 * GIB)
    assert (lun["free_percent"], lun["hosts"], lun["host_names"]) == (90.0, 2, "esx1, esx2")
    assert (lun["block_size_bytes"], lun["major_version"], lun["version"]) == (MIB, 6, "6.82")
    assert pd.isna(nfs["block_size_bytes"])
    assert pd.isna(nfs["major_version"])
    assert inventory.hosts["ats_locking"].to_list() == [True, False]
    assert inventory.hosts["memory_bytes"].to_list() == [524_287 * MIB] * 2
    assert inventory.partitions["free_bytes"].to_list() == [20_479 * MIB]
    assert inventory.meta["version"].to_list() == ["4.7.1.4"]
    assert len(inventory.files) == 0


def test_xlsx_and_csv_say_the_same(tmp_path):
    book = read_inventory(write_xlsx(tmp_path / "all.xlsx", TABS))
    check(book)
    folder = read_inventory(write_folder(tmp_path))  # the workbook in it is left: see below
    packed = tmp_path / "all.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name, rows in TABS.items():
            archive.writestr(f"export/RVTools_tab{name}.csv", csv_text(rows))
    zipped = read_inventory(packed)
    check(zipped)
    assert len(folder.vms) == 2 * len(zipped.vms)  # workbook and CSV of one folder are two exports
    for tab in KNOWN:
        left, right = getattr(book, tab.frame), getattr(zipped, tab.frame)
        pd.testing.assert_frame_equal(left, right)


@pytest.mark.parametrize("how", [{"delimiter": ";"}, {"delimiter": "\t"}, {"quote": 0, "end": "\n"}])
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_of_every_hand(tmp_path, how, code):
    tabs = TABS | {"vHost": [row[:9] for row in TABS["vHost"]]}
    for name, rows in tabs.items():
        text = csv_text(rows, **how)
        if how.get("delimiter") == ";":
            text = text.replace("20480.5", "20480,5").replace("0.5", "0,5")
        (tmp_path / f"RVTools_tab{name}.csv").write_bytes(text.encode(code))
    check(read_inventory(tmp_path))


def test_old_headers_blanks_and_gzip(tmp_path):
    rows = [["VM ", " Powerstate", "Memory", "Provisioned MB", "In Use MB "], [" a ", "poweredOn", "4096", "1,024", ""]]
    path = tmp_path / "old"
    path.write_bytes(gzip.compress(csv_text(rows).encode()))
    inventory = read_inventory(path)
    (vm,) = inventory.vms.to_dict("records")
    assert (vm["vm"], vm["provisioned_bytes"]) == ("a", GIB)
    assert pd.isna(vm["in_use_bytes"])
    assert "vInfo, Provisioned MB: MB stands for MiB in these headers" in inventory.notes
    assert "vInfo, Provisioned MB: '1,024' and the like are read with commas between thousands" in inventory.notes
    assert "vDisk: no such tab" in inventory.notes


def test_anonymised_headers(tmp_path):
    tabs = {
        "vInfo": [["vInfoVMName", "vInfoPowerstate", "vInfoMemory", "vInfoProvisioned", "vInfoInUse", "vInfoUUID"],
                  ["a", "poweredOn", 4096, 1024, 512, "u"]],
        "vHost": [["vHostName", "vHostCluster", "vHostNumCpu", "vHostNumCpuCores", "vHostMemorySize", "vHostCpuMhz"],
                  ["h", "c", 2, 32, 512 * GIB, 2600]],
        "vPartition": [["vPartitionVMName", "vPartitionDisk", "vPartitionCapacityMB", "vPartitionConsumedMB"],
                       ["a", "C:\\", 100, 60]],
        "vDatastore": [["vDatastoreName", "vDatastoreCapacity", "vDatastoreFreeSpace"], ["d", 1024, 512]],
    }  # fmt: skip
    inventory = read_inventory(write_xlsx(tmp_path / "a.xlsx", tabs))
    assert inventory.vms[["vm", "provisioned_bytes", "in_use_bytes", "vm_uuid"]].to_numpy().tolist() == [
        ["a", GIB, GIB // 2, "u"]
    ]
    assert inventory.hosts[["host", "cores", "memory_bytes", "speed_mhz"]].to_numpy().tolist() == [
        ["h", 32, 512 * GIB, 2600.0]
    ]
    assert any("read as bytes" in note for note in inventory.notes)
    assert inventory.partitions["consumed_bytes"].to_list() == [60 * MIB]
    assert inventory.datastores["free_bytes"].to_list() == [GIB // 2]


@pytest.mark.parametrize("lead", ["", "#TYPE Selected.VMware.VimAutomation\r\n"])
@pytest.mark.parametrize("date", ["1/31/2026 9:30:00 AM", "31.01.2026 09:30:00", "2026-01-31T09:30:00"])
def test_powercli_snapshots(tmp_path, lead, date):
    rows = [["VM", "Name", "Created", "SizeMB", "SizeGB", "IsCurrent", "Quiesced", "PowerState"],
            ["VDI-1", "base", date, "2048,5", "2,0004", "True", "False", "PoweredOff"]]  # fmt: skip
    path = tmp_path / "snapshots.csv"
    path.write_text(lead + csv_text(rows), newline="")
    inventory = read_inventory(path)
    (row,) = inventory.snapshots.to_dict("records")
    assert (row["vm"], row["name"], row["date"]) == ("VDI-1", "base", WHEN)
    assert row["powercli_bytes"] == 2048 * MIB + MIB // 2
    assert pd.isna(row["total_bytes"])
    assert row["current"] is True
    assert any("which files it counts is not documented" in note for note in inventory.notes)


def test_missing_tabs_are_typed_empty_frames(tmp_path):
    full = read_inventory(write_xlsx(tmp_path / "all.xlsx", TABS))
    small = read_inventory(write_xlsx(tmp_path / "small.xlsx", {"vInfo": TABS["vInfo"]}))
    for tab in KNOWN:
        frame = getattr(small, tab.frame)
        assert list(frame.columns) == [column.name for column in tab.columns]
        assert list(frame.dtypes) == list(getattr(full, tab.frame).dtypes)
        assert len(frame) == (3 if tab.name == "vInfo" else 0)


def test_the_zone_of_dates_can_be_said(tmp_path):
    path = write_xlsx(tmp_path / "all.xlsx", TABS)
    inventory = read_inventory(path, zone="America/New_York")
    assert inventory.vms["created"].to_list() == [pd.Timestamp("2026-01-31T14:30Z")] * 3
    assert any("are taken as America/New_York" in note for note in inventory.notes)


def test_days_that_no_clock_has_are_missing(tmp_path):
    rows = [["VM", "Memory", "In Use MiB", "Creation date"], ["a", 1, 1, dt.datetime(1900, 1, 2)], ["b", 1, 1, None]]
    inventory = read_inventory(write_xlsx(tmp_path / "a.xlsx", {"vInfo": rows}))
    assert inventory.vms["created"].isna().all()
    text = "VM,Memory,In Use MiB,Creation date\na,1,1,0001/01/01 00:00:00\nb,1,1,\n"
    (tmp_path / "b.csv").write_text(text)
    assert read_inventory(tmp_path / "b.csv").vms["created"].isna().all()


def test_delta_estimates_prefer_files_and_never_take_the_total(tmp_path):
    book = read_inventory(write_xlsx(tmp_path / "a.xlsx", TABS))
    found = book.delta_estimates().set_index("vm")
    # 30,000 MiB in use less 20,480.5 MiB of the snapshot less 4,096 MiB of swap; VDI-2 is off and has no swap file.
    assert found.loc["VDI-1", "bytes"] == round((30_000 - 20_480.5 - 4_096) * MIB)
    assert found.loc["VDI-2", "bytes"] == round((21_000 - 20_480.5) * MIB)
    assert found["method"].to_list() == ["residual", "residual"]
    assert found["kind"].to_list() == ["derived", "derived"]
    assert found["oldest"].to_list() == [WHEN] * 2
    book = read_inventory(write_xlsx(tmp_path / "b.xlsx", TABS | {"vFileInfo": FILES}))
    found = book.delta_estimates().set_index("vm")
    assert found.loc["VDI-1", ["bytes", "method", "kind"]].to_list() == [3 * GIB, "vFileInfo", "measured"]
    assert found.loc["VDI-2", ["bytes", "method"]].to_list() == [round((21_000 - 20_480.5) * MIB), "residual"]
    assert found.loc["gone", ["bytes", "snapshots"]].to_list() == [16_984_064, 0]
    assert len(found) == 3


def test_an_estimate_that_cannot_be_says_why(tmp_path):
    tabs = TABS | {"vInfo": [TABS["vInfo"][0], *([*row[:6], 10, *row[7:]] for row in TABS["vInfo"][1:])]}
    found = read_inventory(write_xlsx(tmp_path / "a.xlsx", tabs)).delta_estimates()
    assert found["bytes"].isna().all()
    assert found["method"].to_list() == ["none", "none"]
    assert found["remark"].str.startswith("negative: ").all()
    tabs = {"vInfo": TABS["vInfo"], "vSnapshot": [["VM", "Name"], ["VDI-1", "s"]]}
    (row,) = read_inventory(write_xlsx(tmp_path / "b.xlsx", tabs)).delta_estimates().to_dict("records")
    assert pd.isna(row["bytes"])
    assert row["remark"] == "no 'Size MiB (total)' for all of its snapshots"


def test_the_scan_that_was_off_is_noted(tmp_path):
    rows = [FILES[0], ["switch the scan on", "", "", "", ""]]
    inventory = read_inventory(write_xlsx(tmp_path / "a.xlsx", TABS | {"vFileInfo": rows}))
    assert len(inventory.files) == 0
    assert any("switch RVTools' scan of the datastores on" in note for note in inventory.notes)


def test_a_workbook_may_hold_other_sheets_and_blank_rows(tmp_path):
    rows = [["", ""], *TABS["vInfo"], ["", "poweredOn"], [""]]
    inventory = read_inventory(write_xlsx(tmp_path / "a.xlsx", {"Notes": [["hello"]], "vInfo": rows}))
    assert len(inventory.vms) == 3
    assert "vInfo: 1 rows without vm left out" in inventory.notes


def test_the_real_header_map(shared, tmp_path):
    """Every column of a real 4.7.1 export is found, by the headers and types observed there."""
    import json

    seen = json.loads((shared / "samples/inventory/rvtools_27tab_headers_types.json").read_text())
    example = {"str": "True", "int": 7, "float": 7.5, "datetime": DAY}
    sheets = {
        tab: [list(known["columns"]), [example[kinds[0]] if kinds else "" for kinds in known["columns"].values()]]
        for tab, known in seen.items()
    }
    sheets["vFileInfo"][1] = ["[d] a/", "a-000001-delta.vmdk", "VmDiskFileInfo", 5, "[d] a/", "", "vc", ""]
    sheets["vInfo"][1][list(seen["vInfo"]["columns"]).index("VM")] = "a"
    inventory = read_inventory(write_xlsx(tmp_path / "real.xlsx", sheets))
    rare = {"powercli_bytes", "current"}
    for tab in KNOWN:
        (row,) = getattr(inventory, tab.frame).to_dict("records")
        kinds = {column.name: column.kind for column in tab.columns}
        empty = {name for name, value in row.items() if pd.isna(value)} - rare
        unseen = {  # columns that were empty in the export itself, or hold text where the example is "True"
            "vInfo": {"folder"}, "vDatastore": {"cluster", "block_size_bytes"},
        }.get(tab.name, set())  # fmt: skip
        assert empty <= unseen, f"{tab.name}: {empty}"
        assert all(row[name] == WHEN for name, kind in kinds.items() if kind == "date")
    assert inventory.vms["memory_bytes"].to_list() == [7 * MIB]
    assert inventory.snapshots["total_bytes"].to_list() == [round(7.5 * MIB)]
    assert inventory.files["bytes"].to_list() == [5]


def test_the_public_workbook(shared):
    inventory = read_inventory(shared / "samples/inventory/rvtools-small-complete.xlsx")
    assert inventory.vms["provisioned_bytes"].to_list() == [122_880 * MIB, 327_680 * MIB, 81_920 * MIB]
    assert inventory.partitions["free_percent"].to_list() == [50.0, 50.0, 30.0, 18.0, 88.0]
    assert inventory.snapshots[["vm", "name", "total_bytes"]].to_numpy().tolist() == [
        ["sample-db-01", "pre-maintenance", 512 * MIB]
    ]
    assert (len(inventory.disks), len(inventory.hosts), len(inventory.datastores)) == (5, 2, 0)
    assert inventory.delta_estimates()["method"].to_list() == ["none"]
