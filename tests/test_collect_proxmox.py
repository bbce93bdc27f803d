"""The script for Proxmox VE, run against a node made by hand: what it tells, what it refuses, what it leaves behind."""

import shutil
import subprocess

import pandas as pd
import pytest
from collect_tools import GIB, MIB, PVESM, SHELL, START, WEEK, Node

from clonesim.ingest.listing import read_listing
from clonesim.planning.collect_script import HEADER
from clonesim.planning.growth_file import read_history
from clonesim.planning.growth_fit import fit_growth

pytestmark = pytest.mark.skipif(not SHELL or not shutil.which("flock"), reason="no sh, or no flock, is installed")
HELD = {number: (number - 100) * GIB for number in range(101, 113)}


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    made.hold(HELD)
    return made


def table(node):
    return pd.read_csv(node.csv).set_index("clone")


def grown(week):
    """Whole steps of 64 GiB / 10,000, which is what lvs tells."""
    step = 64 * GIB / 10_000
    return {number: round((size + week * (number - 90) * 64 * MIB) / step) * step for number, size in HELD.items()}


def test_every_clone_with_all_that_is_its_own(node):
    done = node.run()
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(f"ok: 12 rows appended to {node.csv}\n")
    found = table(node)
    assert node.csv.read_text().splitlines()[0] == HEADER
    assert len(found) == 12
    for number, size in HELD.items():
        near = 64 * GIB / 20_000 + 1 if number in node.thin else 0  # a percentage with two decimals
        assert abs(found.loc[f"vdi-{number}", "bytes"] - size) <= near, number
    assert set(found["date"]) == {"2026-03-06T12:00:00Z"}
    assert set(found["capacity_bytes"]) == {64 * GIB}
    assert set(found["files"]) == {1}


def test_where_each_lies_and_what_it_was_made_of(node):
    assert node.run().returncode == 0
    found = table(node)
    for numbers, lun, kind, size, used in (
        (node.thin, "local-lvm", "mapped", 524288000, 131072000),
        (node.zfs, "tank", "delta", 419430400, 41943040),
        (node.ceph, "ceph-vm", "delta", 1048576000, 104857600),
        (node.files, "local", "delta", 209715200, 52428800),
    ):
        for number in numbers:
            row = found.loc[f"vdi-{number}"]
            told = (row["lun"], row["kind"], row["lun_bytes"], row["lun_used_bytes"])
            assert told == (lun, kind, size * 1024, used * 1024)
    assert set(found.drop("vdi-109")["pool"]) == {"win10-template"}
    assert found.loc["vdi-109", "pool"] == "base-200", "a template of another node has no name here"


def test_only_clones_of_this_node(node):
    """Clone 300 has no base image; 112 is not listed by qm, as a machine of another node on a shared storage."""
    del node.names[112]
    node.hold(HELD)
    assert node.run().returncode == 0
    assert sorted(table(node).index) == [f"vdi-{number}" for number in range(101, 112)]


def test_disks_of_a_machine_are_added_up(node):
    second = node.folder / "local" / "images" / "104"
    second.mkdir()
    (second / "vm-104-disk-1.qcow2").touch()
    text = (node.state / "qemu-vm-110-disk-0.qcow2").read_text()
    (node.state / "qemu-vm-104-disk-1.qcow2").write_text(text)
    assert node.run().returncode == 0
    row = table(node).loc["vdi-104"]
    assert (row["bytes"], row["files"], row["capacity_bytes"]) == (14 * GIB, 2, 128 * GIB)
    assert row["lun"] == "local", "of the larger disk, which has 10 of the 14 GiB"


def test_names_that_repeat_get_their_numbers(node):
    node.names[105] = node.names[106] = "twin"
    node.hold(HELD)
    assert node.run().returncode == 0
    assert {"twin-105", "twin-106"} <= set(table(node).index)
    assert len(table(node)) == 12


def test_clones_that_are_off_on_thin_volumes_have_no_row(node):
    node.off = {102}
    node.hold(HELD)
    assert node.run().returncode == 0
    assert len(table(node)) == 11
    assert "vdi-102" not in table(node).index


def test_its_table_is_a_history_that_is_fitted(node):
    """Six weeks: what `read_listing` and `fit` make of them is what the node held."""
    for week in range(6):
        node.at(week)
        node.hold(grown(week))
        assert node.run().returncode == 0
    listing = read_listing(node.csv)
    assert (listing.kind, len(listing.history), listing.notes) == ("csv", 72, ())
    kept = listing.history.set_index(["clone", "date"])["bytes"]
    for week in range(6):
        when = pd.Timestamp(START + week * WEEK, unit="s", tz="UTC")
        for number, size in grown(week).items():
            assert abs(kept[f"vdi-{number}", when] - size) <= 64 * GIB / 20_000 + 1
    measured = read_history(node.csv)
    assert {"lun", "pool"} <= set(measured.columns)
    fit = fit_growth(measured)
    ahead = fit.forecast(14)
    pool = ahead[(ahead["level"] == "pool") & (ahead["id"] == "")].iloc[-1]
    truth = sum(grown(7).values())
    assert pool["p5"] < truth < pool["p95"]
    assert set(ahead.loc[ahead["level"] == "lun", "id"]) == {"local", "local-lvm", "tank", "ceph-vm"}


def test_tables_of_several_nodes_in_a_folder(tmp_path):
    """Each node has its own table; a machine that moved goes on in the other one."""
    for node, week, number in (("a", 0, 101), ("a", 1, 101), ("b", 2, 101), ("b", 3, 101), ("b", 3, 104)):
        made = tmp_path / f"{node}{week}{number}"
        one = Node(made)
        one.csv = tmp_path / "tables" / f"clonesim-sizes-{node}{week}{number}.csv"
        one.csv.parent.mkdir(exist_ok=True)
        one.names = {number: f"vdi-{number}"}
        one.at(week)
        one.hold(grown(week))
        assert one.run().returncode == 0
    measured = read_history(tmp_path / "tables")
    assert measured["clone"].value_counts().to_dict() == {"vdi-101": 4, "vdi-104": 1}
    assert set(measured["lun"]) == {"local-lvm", "tank"}
    assert len(read_listing(tmp_path / "tables").history) == 5
    assert fit_growth(measured).refusals["clone"].tolist() == ["vdi-104"]


@pytest.mark.parametrize(("every", "early", "late"), [("weekly", 5.9 / 7, 6.1 / 7), ("daily", 17 / 168, 19 / 168)])
def test_it_refuses_to_measure_twice_an_interval(tmp_path, every, early, late):
    from clonesim.planning.collect_script import write_collect_script

    node = Node(tmp_path)
    node.hold(HELD)
    node.script = write_collect_script(tmp_path / every, "proxmox", every)
    assert node.run().returncode == 0
    before = node.csv.read_bytes()
    node.at(early)
    asked = len(node.calls())
    done = node.run()
    assert done.returncode == 3
    assert "refused: the newest rows are " in done.stderr
    assert node.csv.read_bytes() == before
    assert all(call.startswith("date") for call in node.calls()[asked:]), "nothing is asked for nothing"
    node.at(late)
    assert node.run().returncode == 0
    assert node.csv.read_bytes().startswith(before)
    assert len(pd.read_csv(node.csv)) == 24


@pytest.mark.parametrize("broken", ["qm", "pvesm", "lvs", "zfs", "rbd-ls", "rbd-du"])
def test_a_program_that_fails_leaves_all_as_it_was(node, broken):
    assert node.run().returncode == 0
    before = node.csv.read_bytes()
    node.at(1)
    (node.state / f"{broken}.fails").touch()
    done = node.run()
    assert done.returncode == 1
    assert node.csv.read_bytes() == before
    assert not list(node.folder.glob("*.part"))
    last = node.csv.with_suffix(".runs").read_text().splitlines()[-1]
    assert last.startswith("2026-03-13T12:00:00Z failed: ")
    assert last.endswith(" failed; nothing was appended")


def test_machines_that_cannot_be_read_are_named(node):
    """One of twelve is too many; of forty it is left out."""
    (node.state / "qemu-vm-111-disk-0.qcow2.fails").touch()
    done = node.run()
    assert done.returncode == 1
    assert "failed: 1 of 12 machines could not be read: vdi-111: qemu-img info " in done.stderr
    assert not node.csv.exists()
    node.zfs = (104, 105, 106, *range(400, 428))
    node.names |= {number: f"more-{number}" for number in range(400, 428)}
    node.hold({**HELD, **dict.fromkeys(range(400, 428), GIB)})
    done = node.run()
    assert done.returncode == 0
    assert "unread: 1 machines: vdi-111: qemu-img info " in done.stderr
    assert len(table(node)) == 39
    assert "vdi-111" not in table(node).index


def test_a_node_without_clones_says_so(node):
    (node.state / "pvesm").write_text("\n".join(PVESM.splitlines()[:1]) + "\n")
    done = node.run()
    assert done.returncode == 1
    assert "no linked clone of a template was found on this node's active storages" in done.stderr
    assert not node.csv.exists()


def test_tables_of_others_are_left_alone(node):
    node.csv.write_text("name,size\na,1\n")
    done = node.run()
    assert done.returncode == 1
    assert f"failed: {node.csv} has another header than this script writes; give another --csv" in done.stderr
    assert node.csv.read_text() == "name,size\na,1\n"


def test_a_clock_that_went_back(node):
    node.at(8)
    assert node.run().returncode == 0
    node.at(0)
    done = node.run()
    assert (done.returncode, "rows of a later date than now; check the clock" in done.stderr) == (1, True)


def test_a_last_line_that_does_not_end(node):
    assert node.run().returncode == 0
    node.csv.write_bytes(node.csv.read_bytes().rstrip(b"\n"))
    node.at(1)
    assert node.run().returncode == 0
    assert len(pd.read_csv(node.csv)) == 24


def test_two_runs_at_once(node):
    with (node.csv.parent / "sizes.csv.lock").open("w") as held:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX)
        done = node.run()
    assert (done.returncode, "refused: another run is going on" in done.stderr) == (3, True)
    assert not node.csv.exists()


def test_dry_run_reads_the_configuration_only(node):
    before = sorted(path for path in node.folder.rglob("*") if path.name != "calls")
    done = node.run("--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "Would run: qm list",
        "Would run: pvesm status --content images",
        "Would run: rbd ls and rbd du of vms, for storage ceph-vm",
        f"Would run: qemu-img info of overlays in {node.folder}/local/images, for storage local",
        "Would run: lvs of pve, for storage local-lvm",
        "Would run: zfs list of rpool/data, for storage tank",
        f"Would append to: {node.csv}",
    ]
    assert node.calls() == ["pvesm status --content images"]
    assert sorted(path for path in node.folder.rglob("*") if path.name != "calls") == before


def test_it_asks_what_it_says_and_writes_what_it_says(node):
    before = {path: path.stat().st_mtime_ns for path in node.folder.rglob("*") if path.is_file()}
    assert node.run().returncode == 0
    mine = {node.csv, node.csv.with_suffix(".runs"), node.folder / "sizes.csv.lock", node.state / "calls"}
    assert {path for path in node.folder.rglob("*") if path.is_file()} - before.keys() == mine
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    asked = {" ".join(call.split()[:2]) for call in node.calls() if not call.startswith("date")}
    assert asked == {"qm list", "pvesm status", "lvs --reportformat", "zfs list", "rbd ls", "rbd du", "qemu-img info"}
    told = "name,usedbydataset,usedbysnapshots,origin,volsize"
    assert f"zfs list -Hp -r -t filesystem,volume -o {told} rpool/data" in node.calls()
    assert "lvs --reportformat json --units b --nosuffix -o lv_name,lv_size,data_percent,origin pve" in node.calls()
    overlay = f"{node.folder}/local/images/110/vm-110-disk-0.qcow2"
    assert f"qemu-img info --force-share --output=json {overlay}" in node.calls(), "as for a disk that is in use"
    external = "--format json -p vms -m 10.0.0.1,10.0.0.2 -n client.vdi --keyring /etc/pve/priv/ceph/ceph-vm.keyring"
    assert f"rbd du {external}" in node.calls()


def test_what_is_called_wrongly(node):
    for options, text in ((["--cvs", "x"], "--cvs is not known."), (["--csv"], "--csv needs a file.")):
        done = subprocess.run([SHELL, str(node.script), *options], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, text)
    node.csv = node.folder / "none" / "sizes.csv"
    done = node.run()
    assert (done.returncode, done.stderr) == (1, f"The folder of {node.csv} is not there or cannot be written.\n")
    node.csv = node.folder / "sizes.csv"
    node.config.unlink()
    done = node.run()
    assert (done.returncode, f"failed: {node.config} cannot be read; nothing" in done.stderr) == (1, True)


def test_overlays_of_the_real_qemu_img(node):
    """What the real program tells of the files that it made: bytes on disk, not those of the file below."""
    real = shutil.which("qemu-img")
    if not real:
        pytest.skip("qemu-img is not installed")
    images = node.folder / "local" / "images"
    (images / "100").mkdir()
    base = images / "100" / "base-100-disk-0.qcow2"
    subprocess.run([real, "create", "-q", "-f", "qcow2", base, "64M"], check=True)
    for number in node.files:
        overlay = images / str(number) / f"vm-{number}-disk-0.qcow2"
        overlay.unlink()
        call = [real, "create", "-q", "-f", "qcow2", "-b", "../100/base-100-disk-0.qcow2", "-F", "qcow2", overlay]
        subprocess.run(call, check=True)
        with overlay.open("ab") as file:
            file.write(b"\1" * MIB * (number - 109))
    (node.bin / "qemu-img").unlink()
    (node.bin / "qemu-img").symlink_to(real)
    assert node.run().returncode == 0
    found = table(node)
    for number in node.files:
        overlay = images / str(number) / f"vm-{number}-disk-0.qcow2"
        assert found.loc[f"vdi-{number}", "bytes"] == overlay.stat().st_blocks * 512
        assert found.loc[f"vdi-{number}", "capacity_bytes"] == 64 * MIB
