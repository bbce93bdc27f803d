"""A scenario from an inventory: known farms are found again, value by value; what cannot be is refused."""

import datetime as dt

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inventory_tools import TABS, csv_text, write_xlsx
from prefill_tools import GIB, disk, farm, file, host, memory, partition, store, tabs, vm

from clonesim.errors import ClonesimError, InventoryError, ParameterError, ScenarioError
from clonesim.ingest.inventory import read_inventory
from clonesim.planning.prefill import prefill
from clonesim.scenario import commented, load_scenario, presets
from clonesim.units import GIB as BYTES

OFFICE = "W10-OFF-*"


def filled(tmp_path, found, **options):
    return prefill(write_xlsx(tmp_path / "a.xlsx", tabs(**found)), **options)


def value(found, key):
    place = found.scenario
    for part in key.split("."):
        place = getattr(place, part)
    return place


def row(found, key):
    (hit,) = found.measured[found.measured["key"] == key].to_dict("records")
    return hit


def test_a_farm_is_found_again(tmp_path):
    found = filled(tmp_path, farm())
    truth = {
        "pool.clones": 12,
        "pool.name": "W10-OFF",
        "pool.start": dt.date(2026, 3, 2),
        "guest.name": "windows-10",
        "guest.memory": 4 * BYTES,
        "guest.disk": 60 * BYTES,
        "guest.used": int(25.5 * BYTES),
        "luns.count": 3,
        "luns.clones_per_lun": 4,
        "luns.backing": "vmfs-6",
        "luns.locking": "ats-only",
        "luns.size": (2048 - 250) * BYTES,  # 2 TiB less what neither the desktops nor their replica use
        "luns.replica_lun": False,
        "hosts.count": 4,
        "hosts.memory": 512 * BYTES,
        "hosts.cpu": 40 * 2500,
        "hosts.memory_reservation": 0.25,
        "platform.name": "view",
    }
    assert {key: value(found, key) for key in truth} == truth
    assert set(found.measured["key"]) == set(truth)
    assert found.measured.set_index("key")["value"].to_dict() == truth
    assert set(found.measured.loc[found.measured["kind"] == "derived", "key"]) == {
        "pool.name", "luns.locking", "platform.name",
    }  # fmt: skip
    assert list(found.desktops["vm"]) == [f"W10-OFF-{n:03d}" for n in range(1, 13)]
    used = row(found, "guest.used")
    assert (used["tab"], used["column"], used["statistic"], used["rows"], used["spread"]) == (
        "vPartition", "Consumed", "median", 12, "20 GiB to 31 GiB",
    )  # fmt: skip
    assert (row(found, "luns.size")["rows"], row(found, "hosts.cpu")["unit"]) == (3, "MHz")
    assert "1 further pools: cad-* (3); select= takes one of them, or several as one pool." in found.notes
    assert "Cluster c1 has 4 hosts." in found.notes
    assert any(note.startswith("1 desktops have further disks (median 40 GiB)") for note in found.notes)


def test_what_is_written_loads_again_and_tells_what_was_measured(tmp_path):
    found = filled(tmp_path, farm())
    text = commented(found.scenario)
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    again = load_scenario(path)
    assert again == found.scenario
    assert set(again.marks) == set(found.measured["key"])
    lines = text.splitlines()
    place = lines.index('disk = "60 GiB"')
    assert lines[place - 1] == "# measured: vDisk, Capacity: all alike; 12 rows"
    assert "# derived: vHost, ATS Locking: on on all hosts, vmfs-6; 4 rows" in lines
    for key in found.measured["key"]:
        field = key.split(".")[1]
        assert any(line.startswith((f"{field} = ", f"{field}=")) for line in lines), key
    assert commented(again).count("# measured") == text.count("# measured")


def test_keys_are_either_measured_or_missing(tmp_path):
    found = filled(tmp_path, farm(), guest={"disk": "80 GiB"})
    both = [*found.measured["key"], *found.missing["key"]]
    assert len(both) == len(set(both))
    missing = found.missing.set_index("key")
    assert missing.loc["guest.disk", ["value", "kind", "reason"]].to_list() == ["80 GiB", "given", "overridden"]
    assert missing.loc["workload.intensity", ["kind", "reason"]].to_list() == [
        "assumed", "an inventory does not tell it",
    ]  # fmt: skip
    assert missing.loc["delta.format", "reason"] == "no vFileInfo"


def test_overrides_come_first_and_carry_no_mark(tmp_path):
    found = filled(tmp_path, farm(), set=["guest.disk=80 GiB"], hosts={"count": 6})
    assert (found.scenario.guest.disk, found.scenario.hosts.count) == (80 * BYTES, 6)
    assert not {"guest.disk", "hosts.count"} & set(found.scenario.marks)
    assert "guest.memory" in found.scenario.marks


def test_desktops_can_be_chosen(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", tabs(**farm()))
    cad = prefill(path, select="cad-*")
    assert (cad.scenario.pool.clones, cad.scenario.guest.memory, cad.rule) == (
        3,
        16 * BYTES,
        "asked for: select 'cad-*'",
    )
    both = prefill(path, select=["cad-*", OFFICE])
    assert (both.scenario.pool.clones, both.scenario.guest.memory) == (15, 4 * BYTES)
    assert "guest.memory differs between desktops: 4 GiB to 16 GiB; the most frequent value is taken." in both.notes
    assert prefill(path, cluster="C1", select="sql-*").scenario.guest.name == "windows-server"
    found = farm()
    for one in found["vInfo"][:5]:
        one |= {"Folder": "/dc/VDI/east", "Resource pool": "/dc/c1/gold"}
    path = write_xlsx(tmp_path / "b.xlsx", tabs(**found))
    assert prefill(path, folder="*/vdi/*").scenario.pool.clones == 5
    assert prefill(path, pool="*/gold", select="*1").scenario.pool.clones == 1
    inventory = read_inventory(path)
    assert prefill(inventory, folder="*/vdi/*").measured.equals(prefill(path, folder="*/vdi/*").measured)


COMPOSED = [{"VM": f"anna{n}", "Name": "vdm-initial-checkpoint"} for n in range(2)]


@pytest.mark.parametrize(
    ("found", "clones", "words"),
    [
        ({"vInfo": [vm(f"pc-{n}", "a", os="Microsoft Windows 7 (32-bit)") for n in range(3)]}, 3,
         "numbered machines with a Windows for desktops (series pc-#)"),
        ({"vInfo": [vm(f"pc-{n}", "a", os="") for n in range(3)], "vDisk": [
            disk(f"pc-{n}", "a", file=f"pc-{n}-000001.vmdk") for n in range(3)
        ], "vSnapshot": [{"VM": "other", "Name": "x"}]}, 3, "their disks are deltas whose base lies elsewhere"),
        ({"vInfo": [vm(f"anna{n}", "a", os="") for n in range(2)], "vSnapshot": COMPOSED}, 2,
         "their disks are deltas whose base lies elsewhere"),
        ({"vInfo": [vm("anna", "a", os="")], "vFileInfo": [file("a/anna", "anna-000001-delta.vmdk", 5)]}, 1,
         "their disks are deltas whose base lies elsewhere"),
        ({"vInfo": [vm(f"pc-{n}", "a", os="", Annotation="Linked clone of gold") for n in range(2)]}, 2,
         "named as desktops, by themselves, their folder or annotation"),
        ({"vInfo": [vm("anna", "a"), vm("bert", "a"), vm("mail", "a", os="Other Linux")]}, 2,
         "machines with a Windows for desktops, whatever their names"),
    ],
)  # fmt: skip
def test_rules_that_find_desktops(tmp_path, found, clones, words):
    made = filled(tmp_path, found)
    assert made.scenario.pool.clones == clones
    assert made.rule.startswith(words)
    assert made.notes[0] == f"{clones} desktop{'s' if clones > 1 else ''}: {made.rule}."


def test_servers_with_leftover_snapshots_are_no_desktops(tmp_path):
    server = "Microsoft Windows Server 2019 (64-bit)"
    found = {
        "vInfo": [vm(f"sql-{n}", "a", os=server, Folder="/VDI") for n in range(5)],
        "vDisk": [disk(f"sql-{n}", "a", file=f"sql-{n}-000002.vmdk") for n in range(5)],
        "vSnapshot": [{"VM": "other", "Name": "x"}],
    }
    with pytest.raises(InventoryError, match="none of 5 virtual machines is plainly a desktop"):
        filled(tmp_path, found)


def test_what_the_sample_holds_is_no_desktop(shared):
    path = shared / "samples/inventory/rvtools-small-complete.xlsx"
    with pytest.raises(InventoryError) as caught:
        prefill(path)
    assert str(caught.value) == (
        f"{path}: none of 3 virtual machines is plainly a desktop: no deltas whose base lies elsewhere, no Windows for "
        "desktops, no names that say so. Name them: select='VDI-*' (--select 'VDI-*'); the machines are sample-web-01, "
        "sample-db-01, sample-archive-01."
    )
    found = prefill(path, select="sample-*")
    assert value(found, "guest.memory") == 8 * BYTES  # of 8, 16 and 4 GiB
    assert value(found, "guest.disk") == 80 * BYTES  # of 80, 100 and 80 GiB
    assert value(found, "guest.used") == 40 * BYTES  # of 40, 70 and 10 GiB
    assert value(found, "hosts.cpu") == 16 * 2500  # of 16 cores at 2400 and at 2600 MHz
    assert value(found, "hosts.memory_reservation") == 0.0
    assert value(found, "hosts.count") == 2
    assert "3 of 3 desktops have a server's or no Windows system." in found.notes
    assert found.missing.set_index("key").loc["luns.size", "reason"] == "no vDatastore"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"select": "x*"}, "select 'x*' fits none of 23 virtual machines; they have W10-OFF-001, W10-OFF-002, "
         "W10-OFF-003, W10-OFF-004, W10-OFF-005, W10-OFF-006, .... * stands for any letters, ? for one; templates and "
         "replicas do not count."),
        ({"select": "gold"}, "select 'gold' fits none of 23 virtual machines; they have"),
        ({"cluster": "c1", "pool": "p"}, "pool 'p' fits none of 23 virtual machines; they have /dc/c1. * stands"),
    ],
)  # fmt: skip
def test_patterns_that_fit_nothing(tmp_path, options, words):
    with pytest.raises(InventoryError) as caught:
        filled(tmp_path, farm(), **options)
    assert f"a.xlsx: {words}" in str(caught.value)


@pytest.mark.parametrize("bad", ["", [], 5, ["VDI-*", 5]])
def test_patterns_that_are_none(tmp_path, bad):
    with pytest.raises(ParameterError) as caught:
        filled(tmp_path, farm(), select=bad)
    assert str(caught.value).endswith(": a pattern such as 'VDI-*' is needed. Leave it out to look for desktops.")


def test_refused_as_a_whole(tmp_path):
    with pytest.raises(ParameterError) as caught:
        filled(tmp_path, farm(), base={"platform": {"name": "hyper-v"}})
    assert str(caught.value) == (
        "base='hyper-v': an inventory of vSphere fits platforms view, horizon-8, citrix-mcs, citrix-pvs, generic. "
        "Start from base='windows-11-office', or set the base's platform.name."
    )
    many = {"vInfo": [vm(f"pc-{n:04d}", "a") for n in range(2001)]}
    with pytest.raises(InventoryError) as caught:
        filled(tmp_path, many)
    assert str(caught.value) == (
        f"{tmp_path / 'a.xlsx'}: 2001 desktops as clones: a pool of horizon-8 has at most 2000 clones. Take one pool "
        "with select='...' (--select), or a part of it."
    )
    assert filled(tmp_path, many, select="pc-0*").scenario.pool.clones == 1000
    with pytest.raises(ScenarioError, match=r"guest.disk='16 MB'.*Did you mean MiB"):
        filled(tmp_path, farm(), set=["guest.disk=16 MB"])
    with pytest.raises(InventoryError) as caught:
        filled(tmp_path, {"vDatastore": [store("a")]})
    assert str(caught.value) == (
        f"{tmp_path / 'a.xlsx'}: it tells of no virtual machines, so of no desktops. Export vInfo, vDisk, vPartition, "
        "vDatastore and vHost with RVTools."
    )


@pytest.mark.parametrize(
    ("version", "block", "ats", "backing", "locking"),
    [
        (6, 1, ["True"] * 4, "vmfs-6", "ats-only"),
        (5, 1, ["True"] * 4, "vmfs-5", "ats-only"),
        (5, 8, ["True"] * 4, "vmfs-5", "ats+scsi"),
        (5, 1, ["True", "False"], "vmfs-5", "ats+scsi"),
        (6, 1, ["False"] * 4, "vmfs-6", "scsi-reservation"),
        (3, 1, ["True"] * 4, "vmfs-3", "scsi-reservation"),
        (3, 4, ["False"] * 4, "vmfs-3", "scsi-reservation"),
        (5, 1, [""] * 4, "vmfs-5", "ats-only"),
    ],
)
def test_kinds_of_locking(tmp_path, version, block, ats, backing, locking):
    hosts = [host(f"esx{n}", ats=one) for n, one in enumerate(ats, 1)]
    stores = [store(f"vdi{n}", version=version, block=block) for n in range(3)]
    found = filled(tmp_path, farm() | {"vHost": hosts, "vDatastore": stores}, select=OFFICE)
    assert (found.scenario.luns.backing, found.scenario.luns.locking) == (backing, locking)
    marked = "luns.locking" in found.scenario.marks
    assert marked == (any(ats) and not (version == 3 and "True" in ats))
    assert any("lockmode list" in note for note in found.notes) == (set(ats) == {"True"} and block == 1)
    assert any("blocks of" in note for note in found.notes) == (block > 1)


@pytest.mark.parametrize(("kind", "backing"), [("NFS", "nfs"), ("NFS41", "nfs"), ("vsan", "vsan"), ("VVOL", None)])
def test_datastores_without_vmfs(tmp_path, kind, backing):
    stores = [store(f"vdi{n}", kind=kind, version="", block="") for n in range(3)]
    found = filled(tmp_path, farm() | {"vDatastore": stores}, select=OFFICE)
    assert found.scenario.luns.backing == (backing or "vmfs-5")  # the usual one of view
    assert ("luns.backing" in found.scenario.marks) == (backing is not None)
    assert "luns.locking" not in found.scenario.marks
    strange = "3 datastores are of a type or version that is not modeled: VVOL."
    assert (strange in found.notes) == (backing is None)


def test_mixtures_are_said(tmp_path):
    found = farm()
    found["vInfo"][0]["OS according to the VMware Tools"] = "Microsoft Windows 11 (64-bit)"
    found["vInfo"][1]["OS according to the VMware Tools"] = "Microsoft Windows 8 (64-bit)"
    found["vInfo"][2]["Powerstate"] = "poweredOff"
    found["vDatastore"][0] = store("vdi0", 4096 * GIB, version=5, hosts=7)
    made = filled(tmp_path, found)
    told = "\n".join(made.notes)
    for words in (
        "Several systems: windows-10 (10), windows-11 (1); guest.name is the most frequent one.",
        "1 desktops have a system that is no guest of the catalog: 'Microsoft Windows 8 (64-bit)'.",
        "2 desktops: another system than configured; the one that runs counts.",
        "1 of 12 desktops are powered off; they count as clones.",
        "Several kinds of datastores: vmfs-6 (2), vmfs-5 (1); luns.backing is the most frequent one.",
        "The datastores have 2 TiB to 4 TiB; luns.size is the most frequent value.",
        "Datastores are seen by 4 to 7 hosts; the most frequent value is taken.",
    ):
        assert words in told
    assert made.scenario.luns.backing == "vmfs-6"


def test_deltas_to_start_from(tmp_path):
    names = [f"W10-OFF-{n:03d}" for n in range(1, 13)]
    files = [
        file(f"vdi{n % 3}/{name}", f"{name}-000001-sesparse.vmdk", (n + 1) * BYTES) for n, name in enumerate(names)
    ]
    files += [file(f"vdi{n % 3}/{name}", f"{name}-0a1b2c3d.vswp", 3 * BYTES) for n, name in enumerate(names)]
    found = farm() | {"vFileInfo": files}
    del found["vMemory"]
    made = filled(tmp_path, found)
    assert made.scenario.guest.start.delta == int(6.5 * BYTES)
    assert made.scenario.delta.format == "se-sparse"
    assert made.scenario.hosts.memory_reservation == 0.25  # swap files of 3 GiB beside 4 GiB of memory
    assert "# measured: vFileInfo, File Size: median of the sizes of delta files; 12 rows, 1 GiB to 12 GiB (delta)" in (
        commented(made.scenario).splitlines()
    )
    made = filled(tmp_path, found | {"vFileInfo": files[:6]})
    assert (made.scenario.guest.start.delta, "guest.start.delta" in made.scenario.marks) == (0, False)
    assert any(note.startswith("Deltas of 6 of 12 desktops are about 3.5 GiB") for note in made.notes)


def test_values_that_cannot_stand_together_are_left_out(tmp_path):
    found = farm() | {"vPartition": [partition("W10-OFF-001", 58 * GIB)]}
    assert filled(tmp_path, found).scenario.guest.used == 57 * BYTES  # 95 % of the disk
    made = filled(tmp_path, farm() | {"vPartition": [partition("W10-OFF-001", 500)]})
    assert "guest.used" not in made.scenario.marks
    assert any(note.startswith("guest.used, 500 MiB by the inventory, is left out: guest.used=") for note in made.notes)
    made = filled(tmp_path, farm() | {"vDatastore": [store(f"vdi{n}", 100 * 1024 * GIB) for n in range(3)]})
    assert "luns.size" not in made.scenario.marks
    assert any(note.startswith("luns.size, ") and "64 TiB" in note for note in made.notes)
    made = filled(tmp_path, farm() | {"vDatastore": [store(f"vdi{n}", hosts=12, version=3) for n in range(3)]})
    assert (made.scenario.luns.backing, "hosts.count" in made.scenario.marks) == ("vmfs-3", False)


def test_without_partitions_the_share_in_use_is_the_catalogs(tmp_path):
    found = farm()
    del found["vPartition"]
    made = filled(tmp_path, found)
    assert made.scenario.guest.used == 36 * BYTES  # 24 of 40 GiB, so 36 of 60
    assert row(made, "guest.used")["kind"] == "derived"


def test_anonymised_headers(tmp_path):
    found = {
        "vInfo": [["vInfoVMName", "vInfoPowerstate", "vInfoMemory", "vInfoPath", "vInfoHost", "vInfoCluster",
                   "vInfoOS"]]
        + [[f"m-{n}", "poweredOn", 2048, f"[d] m-{n}/m-{n}.vmx", "h", "c", "Microsoft Windows 7 (64-bit)"]
           for n in range(4)],
        "vHost": [["vHostName", "vHostCluster", "vHostNumCpu", "vHostNumCpuCores", "vHostMemorySize", "vHostCpuMhz"],
                  ["h", "c", 2, 32, 512 * BYTES, 2600]],
        "vDatastore": [["vDatastoreName", "vDatastoreCapacity", "vDatastoreFreeSpace"], ["d", 1024 * GIB, 512 * GIB]],
    }  # fmt: skip
    made = prefill(write_xlsx(tmp_path / "a.xlsx", found))
    assert (made.scenario.pool.clones, made.scenario.guest.name) == (4, "windows-7")
    assert (made.scenario.luns.size, made.scenario.luns.count) == (1024 * BYTES, 1)
    assert (made.scenario.hosts.memory, made.scenario.hosts.cpu, made.scenario.hosts.count) == (512 * BYTES, 83_200, 1)
    assert "What others use on the datastores cannot be told: luns.size is their whole capacity." in made.notes


def test_old_tabs_as_csv(tmp_path):
    for name, rows in TABS.items():
        (tmp_path / f"RVTools_tab{name}.csv").write_text(csv_text(rows), newline="")
    made = prefill(tmp_path)
    assert (made.scenario.pool.clones, made.scenario.luns.count, made.scenario.guest.disk) == (2, 1, 40 * BYTES)
    assert made.scenario.luns.size == (512_000 - (51_200 - 30_000 - 21_000)) * 2**20


NAMES = st.sampled_from(["VDI-1", "VDI-2", "VDI-3", "pc7", "sql-1", "replica-1", "é\u2028x", "a" * 80, "7"])
SIZES = st.sampled_from(["", 0, 1, 300, 2048, 4 * GIB, 60 * GIB, 10**9])
LUNS = st.sampled_from(["a", "b", "vdi [x]"])
SYSTEMS = st.sampled_from(
    ["", "Microsoft Windows 10 (64-bit)", "Microsoft Windows XP", "Microsoft Windows Server 2019", "?"]
)


@st.composite
def inventories(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=6))
    found = {"vInfo": [vm(name, draw(LUNS), os=draw(SYSTEMS), Memory=draw(SIZES)) for name in names]}
    for row_ in found["vInfo"]:
        row_["In Use MiB"] = draw(SIZES)
    rows = st.lists(st.tuples(NAMES, SIZES, SIZES, LUNS), max_size=5)
    found["vDisk"] = [disk(name, lun, size, file=draw(st.sampled_from([None, "x-000001.vmdk"])))
                      for name, size, _, lun in draw(rows)]  # fmt: skip
    found["vPartition"] = [
        {"VM": name, "Disk": draw(st.sampled_from(["C:\\", "/", ""])), "Capacity MiB": size, "Consumed MiB": used}
        for name, size, used, _ in draw(rows)
    ]
    found["vMemory"] = [memory(name, used, size) for name, size, used, _ in draw(rows)]
    kinds, versions = st.sampled_from(["VMFS", "NFS", "VVOL", ""]), st.sampled_from([3, 5, 6, 4, ""])
    found["vDatastore"] = [
        store(
            lun, size or 0, min(size or 0, used or 0), draw(st.sampled_from([0, 1, 8, 70])), draw(versions), draw(kinds)
        )
        for _, size, used, lun in draw(rows)
    ]
    found["vHost"] = [
        host(f"esx{n}", "c1", size, draw(st.sampled_from([0, 1, 40])), draw(st.sampled_from([0, 100, 2500, 10**6])))
        for n, (_, size, _, _) in enumerate(draw(rows))
    ]
    found["vFileInfo"] = [
        file(f"{lun}/{name}", draw(st.sampled_from(["x-000001-delta.vmdk", "x-sesparse.vmdk", "x.vswp"])), used or 0)
        for name, _, used, lun in draw(rows)
    ]
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(inventories(), st.sampled_from([None, "*", "VDI-*"]), st.sampled_from(presets()))
def test_any_inventory_gives_a_scenario_or_a_refusal(tmp_path_factory, found, select, base):
    folder = tmp_path_factory.mktemp("any")
    path = write_xlsx(folder / "a.xlsx", tabs(**found))
    try:
        made = prefill(path, select=select, base=base)
    except ClonesimError as error:
        assert isinstance(error, InventoryError)  # never the scenario's own words about values nobody typed
        return
    text = commented(made.scenario)
    (folder / "own.toml").write_text(text, encoding="utf-8")
    again = load_scenario(folder / "own.toml")
    assert again == made.scenario
    assert set(again.marks) == set(made.measured["key"])
    for one in made.measured.to_dict("records"):
        assert value(made, one["key"]) == one["value"]
    assert not pd.isna(made.measured["rows"]).any()
    assert made.scenario.pool.clones == len(made.desktops)
