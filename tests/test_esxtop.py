"""Counters of esxtop -b come back as they were written, whatever else stands in the file."""

import gzip

import numpy as np
import pandas as pd
import pytest
from counter_tools import HEADS, NAA, START, simulate, write

from clonesim.ingest.esxtop import read_counters
from clonesim.ingest.esxtop_header import COUNTERS


@pytest.fixture(scope="module")
def made():
    return simulate(1, locking="ats+scsi", minutes=5, ats_fallback_after=1, ats_clusters=2, hold_s=0.02)[0]


def same(found, made, step_s=5):
    left, right = found.devices, made.devices
    assert left[["host", "device", "object"]].equals(right[["host", "device", "object"]])
    assert (left["time"] == right["time"]).all()
    assert (left["interval_s"] == right["interval_s"]).all()
    for name in COUNTERS:
        unit = HEADS[name][1]
        slack = 0.006 * unit if unit >= 1 else 6e-5 * unit
        assert np.allclose(left[name], right[name], rtol=0, atol=slack, equal_nan=True), name


def test_files_of_hosts_come_back_as_one_table(made, tmp_path):
    files = write(tmp_path, made)
    found = read_counters(files)
    same(found, made)
    assert found.others.empty
    assert repr(found) == f"Counters('{files[0]} and 3 more': 4 hosts, 1 devices, 240 rows, 5 min)"
    assert any("ATS and ATS Failed are taken as totals" in note for note in found.notes)
    same(read_counters(tmp_path), made)  # a folder


def test_gzip_and_a_byte_order_mark(made, tmp_path):
    for file in write(tmp_path, made):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + file.read_bytes()))
        file.unlink()
    same(read_counters(tmp_path), made)


def test_ats_counted_per_sample_is_seen(made, tmp_path):
    files = write(tmp_path, made, totals=False)
    found = read_counters(files)
    same(found, made)
    assert any("taken as counts of each sample: they fall" in note for note in found.notes)
    wrong = read_counters(files, ats="total")
    assert not np.allclose(wrong.devices["ats_per_s"], made.devices["ats_per_s"], equal_nan=True)
    assert any("totals of ATS fell" in note for note in wrong.notes)


def test_hosts_without_a_name_go_by_their_files(made, tmp_path):
    found = read_counters(write(tmp_path, made, local=True))
    same(found, made)
    assert any("esx01.csv: its host is called 'local' there" in note for note in found.notes)


def test_times_of_other_zones_become_utc(made, tmp_path):
    same(read_counters(write(tmp_path, made, zone=("W. Europe Daylight Time", -120))), made)


def test_one_host_s_files_follow_each_other(made, tmp_path):
    file = write(tmp_path, made)[0]
    rows = file.read_text().splitlines(keepends=True)
    (tmp_path / "a.csv").write_text("".join(rows[:31]))
    (tmp_path / "b.csv").write_text(rows[0] + "".join(rows[25:]))  # six samples stand in both
    (tmp_path / "c.csv").write_text("".join(rows[:31]) + rows[0] + "".join(rows[30:]))  # after cat
    mine = made.devices[made.devices["host"] == "esx01"].reset_index(drop=True)
    for files, twice in ((["a.csv", "b.csv"], 5), (["c.csv"], 0)):
        found = read_counters([tmp_path / name for name in files])
        assert found.devices["conflicts_per_s"].to_list() == pytest.approx(mine["conflicts_per_s"].round(2).to_list())
        assert (twice == 0) == (not any("stand twice" in note for note in found.notes))
    assert any(
        "5 rows of the same host" in note for note in read_counters([tmp_path / "a.csv", tmp_path / "b.csv"]).notes
    )


HEAD = '"(PDH-CSV 4.0) (UTC)(0)"'


def table(path, columns, rows=4, step=5):
    """A file of hand-made columns: header -> value."""
    lines = [",".join([HEAD, *(f'"{name}"' for name in columns)])]
    for number in range(rows):
        stamp = (START + pd.Timedelta(seconds=step * number)).strftime("%m/%d/%Y %H:%M:%S")
        lines.append(",".join([f'"{stamp}"', *(f'"{value}"' for value in columns.values())]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_objects_are_told_apart(tmp_path):
    rate = "Commands/sec"
    columns = {
        rf"\\h\Physical Disk Adapter(vmhba2)\{rate}": 1,
        rf"\\h\Physical Disk(vmhba3)\{rate}": 2,
        rf"\\h\Physical Disk Path(vmhba2:C0:T1:L4-{NAA})\{rate}": 3,
        rf"\\h\Physical Disk Partition({NAA}:1)\{rate}": 4,
        rf"\\h\Physical Disk Per-Device-Per-World({NAA}-4711-vm)\{rate}": 5,
        rf"\\h\Physical Disk SCSI Device({NAA})\{rate}": 6,
        rf"\\h\Physical Disk NFS Volume(nfs (1))\{rate}": 7,
        rf"\\h\Physical Disk(vmhba1:C0:T0:L0)\{rate}": 8,
        rf"\\h\Physical Disk(vmhba1:C0:T0:L0:4711-vm)\{rate}": 9,
        rf"\\h\Virtual Disk(vm:scsi0:0)\{rate}": 10,
        rf"\\h\Physical Disk SCSI Device(mpx.vmhba1:C0:T0:L0)\{rate}": 11,
        rf"\\h\Physical Disk SCSI Device({NAA})\Queued Commands": 12,
    }
    path = table(tmp_path / "h.csv", columns)
    found = read_counters(path, others=True)
    got = found.devices.groupby(["object", "device"])["commands_per_s"].max().to_dict()
    assert got == {("device", NAA): 6, ("nfs", "nfs (1)"): 7, ("device", "vmhba1:C0:T0:L0"): 8,
                   ("device", "mpx.vmhba1:C0:T0:L0"): 11}  # fmt: skip
    other = found.others.groupby(["object", "device"])["commands_per_s"].max().to_dict()
    assert other == {("adapter", "vmhba2"): 1, ("adapter", "vmhba3"): 2, ("path", f"{NAA} by vmhba2:C0:T1:L4"): 3,
                     ("partition", f"{NAA}:1"): 4}  # fmt: skip


def test_paths_stand_in_for_devices(tmp_path):
    columns = {}
    for path, rate, ms in (("vmhba1:C0:T0:L1", 100, 2), ("vmhba2:C0:T0:L1", 300, 4)):
        columns[rf"\\h\Physical Disk({path}:{NAA})\Commands/sec"] = rate
        columns[rf"\\h\Physical Disk({path}:{NAA})\Conflicts/sec"] = rate / 100
        columns[rf"\\h\Physical Disk({path}:{NAA})\Average Device MilliSec/Command"] = ms
    found = read_counters(table(tmp_path / "h.csv", columns))
    row = found.devices.iloc[0]
    assert (row["device"], row["commands_per_s"], row["conflicts_per_s"]) == (NAA, 400, 4)
    assert row["device_s"] == pytest.approx(3.5e-3)
    assert np.isnan(row["reservations_per_s"])
    assert any("h: devices are put together from their paths" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("Reserves/sec", "reservations_per_s", 3.0),
        ("Reservations/sec", "reservations_per_s", 3.0),
        ("RESV/s", "reservations_per_s", 3.0),
        ("Conflicts/sec", "conflicts_per_s", 3.0),
        ("Reservation Conflicts/sec", "conflicts_per_s", 3.0),
        ("CONS/s", "conflicts_per_s", 3.0),
        ("Failed Reserves/sec", "failed_reservations_per_s", 3.0),
        ("ATS/sec", "ats_per_s", 3.0),
        ("ATS Failures/sec", "ats_failed_per_s", 3.0),
        ("Average Failure Latency ms/ATS", "ats_failed_s", 3e-3),
        ("Average Driver MilliSec/Command", "device_s", 3e-3),
        ("Average Device MilliSec/Command", "device_s", 3e-3),
        ("MBytes Written/sec", "written_bytes_per_s", 3.0 * 2**20),
    ],
)
def test_texts_of_counters(tmp_path, text, name, value):
    path = table(tmp_path / "h.csv", {rf"\\h.example.com\Physical Disk SCSI Device({NAA})\{text}": 3})
    assert read_counters(path).devices[name].to_list() == pytest.approx([value] * 3)


def test_what_was_not_counted_is_noted(tmp_path):
    path = table(tmp_path / "h.csv", {rf"\\h\Physical Disk SCSI Device({NAA})\Commands/sec": 3})
    (note,) = read_counters(path).notes
    assert note.startswith("Not counted: RESV/s (reservation statistics), CONS/s (reservation statistics), ATS (VAAI")
    assert "'W' saves the choice" in note


def test_late_samples_and_jitter(tmp_path):
    path = table(tmp_path / "h.csv", {rf"\\h\Physical Disk SCSI Device({NAA})\ATS": 3}, rows=0)
    times = [0, 5, 11, 15, 20, 95, 100]
    totals = [10, 20, 30, 40, 50, 60, 70]
    with path.open("a") as file:
        for at, total in zip(times, totals, strict=True):
            file.write(f'"{(START + pd.Timedelta(seconds=at)).strftime("%m/%d/%Y %H:%M:%S")}","{total}"\n')
    found = read_counters(path)
    assert found.devices["interval_s"].to_list() == [5.0] * 6
    assert found.devices["ats_per_s"].to_list() == pytest.approx([2, 2, 2, 2, np.nan, 2], nan_ok=True)
    assert any("1 samples came late" in note for note in found.notes)


def test_clocks_that_disagree_are_noted(made, tmp_path):
    moved = made.devices.copy()
    moved.loc[moved["host"] == "esx02", "time"] += pd.Timedelta(minutes=3)
    found = read_counters(write(tmp_path, type(made)(moved, moved, "x")))
    (note,) = [note for note in found.notes if "By their clocks" in note]
    assert "for 2 of 5 min: esx01 began 3 min before esx02" in note


def test_a_row_cut_off_is_left_out(made, tmp_path):
    file = write(tmp_path, made)[0]
    text = file.read_text()
    file.write_text(text[:-40])
    found = read_counters(file)
    assert len(found.devices) == 59
    assert any("the last row, 62, is cut off" in note for note in found.notes)


def test_bad_values_can_be_left_out(made, tmp_path):
    file = write(tmp_path, made)[0]
    rows = file.read_text().splitlines()
    rows[3] = rows[3].rsplit(",", 1)[0] + ',"-7"'
    file.write_text("\n".join(rows) + "\n")
    found = read_counters(file, skip_bad_values=True)
    assert found.devices[list(COUNTERS)].iloc[1].isna().sum() == 1 + made.devices[list(COUNTERS)].iloc[1].isna().sum()
    assert any("1 values are no numbers from 0 up" in note for note in found.notes)
