"""Limits of the readers: each holds, each message says how to raise it, and they can be changed in three ways."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from counter_tools import NAA
from image_tools import MIB, SECTOR, cowd_delta, descriptor, flat_vmdk, gpt, make_ntfs, mbr, need, write_cowd
from inventory_tools import write_xlsx
from test_esxtop import HEAD

from clonesim.errors import ClonesimError, ParameterError
from clonesim.guest.base_image import read_bitmap
from clonesim.ingest import (
    iter_trace,
    limited,
    read_counters,
    read_file_trace,
    read_image,
    read_inventory,
    read_listing,
    read_trace,
)
from clonesim.ingest.limits import MOST, VARIABLE, known, most, or_raise, read_limits, table
from clonesim.planning.growth_file import read_history
from clonesim.planning.prices import prices_of
from clonesim.planning.probe_results import read_probe
from clonesim.scenario import load_scenario

VMS = "VM,Powerstate,Template,CPUs,Memory\n"
VM = "a,poweredOn,False,1,1024\n"
ROWS = [VMS.strip().split(","), ["a", "poweredOn", False, 1, 1024], ["b", "poweredOn", False, 1, 1024]]
SIZES = "clone,date,bytes\n" + "".join(f"a,2026-01-0{day},{day}000\n" for day in range(1, 6))
TRACE = '"version","time","op","size","lbn"\n' + "".join(f"1,{n}000000,2a,4096,{8 * n}\n" for n in range(1, 6))
SYSTOR = "Timestamp,Response,IOType,LUN,Offset,Size\n" + "".join(f"{n}.0,0.1,W,{n},4096,4096\n" for n in range(1, 6))
ONE = rf'{HEAD},"\\h\Physical Disk SCSI Device({NAA})\Commands/sec"'
STAMPED = "".join(f'"05/13/2026 10:00:{5 * n:02d}","1"\n' for n in range(4))
PROCMON = '"Time of Day","Process Name","PID","Operation","Path","Result","Detail"\n' + "".join(
    f'"10:29:0{n}.0000000 AM","a.exe","4","WriteFile","C:\\f{n}","SUCCESS","Offset: 0, Length: 10"\n' for n in range(5)
)

Case = Callable[[Path], Callable[[], object]]
CASES: dict[str, tuple[int, int, Case]] = {}  # name -> too small, enough, what reads


def case(name: str, small: int, enough: int) -> Callable[[Case], Case]:
    """Register what reads something that needs more than `small` and no more than `enough`."""

    def register(made: Case) -> Case:
        CASES[name] = small, enough, made
        return made

    return register


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@case("document_bytes", 50, 1000)
def packed_listing(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv.gz", gzip.compress(SIZES.encode()))
    return lambda: read_listing(path)


@case("json_bytes", 50, 1000)
def json_listing(folder: Path) -> Callable[[], object]:
    told = {"filename": "a.qcow2", "format": "qcow2", "virtual-size": 1024, "actual-size": 512}
    path = put(folder, "a.json", json.dumps([told, told]))
    return lambda: read_listing(path, listed="2026-01-31")


@case("csv_columns", 4, 5)
def wide_csv(folder: Path) -> Callable[[], object]:
    path = put(folder, "tabvInfo.csv", VMS + VM)
    return lambda: read_inventory(path)


@case("csv_line_bytes", 20, 34)
def long_head(folder: Path) -> Callable[[], object]:
    return wide_csv(folder)


@case("inventory_rows", 2, 3)
def long_csv(folder: Path) -> Callable[[], object]:
    path = put(folder, "tabvInfo.csv", VMS + 3 * VM)
    return lambda: read_inventory(path)


def workbook(folder: Path) -> Callable[[], object]:
    path = write_xlsx(folder / "a.xlsx", {"vInfo": ROWS})
    return lambda: read_inventory(path)


case("inventory_cells", 14, 15)(workbook)
case("inventory_unpacked_bytes", 1000, 10_000)(workbook)
case("inventory_parts", 6, 7)(workbook)


@case("inventory_ratio", 100, 10_000)
def padded_workbook(folder: Path) -> Callable[[], object]:
    path = write_xlsx(folder / "a.xlsx", {"vInfo": ROWS}, {"xl/pad.xml": "<x>" + " " * (33 * MIB) + "</x>"}, 9)
    return lambda: read_inventory(path)


@case("inventory_emptiness", 100, 10**6)
def far_corner(folder: Path) -> Callable[[], object]:
    rows = [*ROWS, *([] for _ in range(90)), [None] * 16_000 + ["x"]]
    path = write_xlsx(folder / "a.xlsx", {"vInfo": rows})
    return lambda: read_inventory(path)


@case("inventory_files", 1, 2)
def folder_of_csv(folder: Path) -> Callable[[], object]:
    place = folder / "export"
    place.mkdir()
    for name in ("tabvInfo.csv", "tabvInfo_2.csv"):
        put(place, name, VMS + VM)
    return lambda: read_inventory(place)


@case("listing_rows", 4, 5)
def long_listing(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv", SIZES)
    return lambda: read_listing(path)


@case("listing_files", 1, 2)
def folder_of_listings(folder: Path) -> Callable[[], object]:
    place = folder / "listings"
    place.mkdir()
    for name in ("a.csv", "b.csv"):
        put(place, name, SIZES)
    return lambda: read_listing(place)


@case("counter_rows", 3, 4)
def counters(folder: Path) -> Callable[[], object]:
    path = put(folder, "h.csv", f"{ONE}\n{STAMPED}")
    return lambda: read_counters(path)


case("counter_columns", 1, 2)(counters)
case("counter_line_bytes", 60, 1000)(counters)


@case("counter_files", 1, 2)
def two_hosts(folder: Path) -> Callable[[], object]:
    paths = [put(folder, name, f"{ONE}\n{STAMPED}") for name in ("h.csv", "i.csv")]
    return lambda: read_counters(paths)


@case("trace_commands", 4, 5)
def trace(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv", TRACE)
    return lambda: read_trace(path)


case("trace_bytes", 100, 1000)(trace)


@case("trace_line_bytes", 2 * MIB, 4 * MIB)
def long_line(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv", TRACE + "x" * (3 * MIB) + "\n")
    return lambda: read_trace(path, skip_bad_rows=True)


@case("trace_bad_rows", 1, 2)
def bad_rows(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv", TRACE + 2 * "1,x,2a,4096,8\n")
    return lambda: read_trace(path, skip_bad_rows=True)


@case("trace_names", 4, 5)
def many_devices(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv", SYSTOR)
    return lambda: read_trace(path)


@case("file_trace_rows", 4, 5)
def events(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.csv", PROCMON)
    return lambda: read_file_trace(path)


@case("file_trace_files", 4, 10)
def many_files(folder: Path) -> Callable[[], object]:
    return events(folder)


@case("image_capacity", MIB - 1, MIB)
def flat(folder: Path) -> Callable[[], object]:
    path = flat_vmdk(folder, "base", mbr([(7, 8, 100)]).ljust(MIB, b"\0"))
    return lambda: read_image(path)


@case("image_directory_bytes", 8, 1000)
def sparse(folder: Path) -> Callable[[], object]:
    path = folder / "a.vmdk"
    write_cowd(path, 8 * MIB, {0: bytes(SECTOR)})
    return lambda: read_image(path)


@case("image_files", 3, 4)
def delta(folder: Path) -> Callable[[], object]:
    base = flat_vmdk(folder, "base", mbr([(7, 8, 100)]).ljust(MIB, b"\0"))
    path = cowd_delta(folder, "delta", base, MIB, {5: bytes(SECTOR)})
    return lambda: read_image(path)


@case("image_parents", 1, 3)
def deltas(folder: Path) -> Callable[[], object]:
    delta(folder)
    write_cowd(folder / "top-delta.vmdk", MIB, {6: bytes(SECTOR)})
    text = descriptor(
        "vmfsSparse", [f'RW {MIB // SECTOR} VMFSSPARSE "top-delta.vmdk"'], "cccccccc", "bbbbbbbb", "delta.vmdk"
    )
    path = put(folder, "top.vmdk", text)
    return lambda: read_image(path)


@case("image_extents", 1, 2)
def extents(folder: Path) -> Callable[[], object]:
    put(folder, "a-flat.vmdk", mbr([(7, 8, 100)]).ljust(MIB, b"\0"))
    path = put(folder, "a.vmdk", descriptor("vmfs", ['RW 2048 VMFS "a-flat.vmdk"', "RW 2048 ZERO"]))
    return lambda: read_image(path)


def noted(path: Path) -> Callable[[], object]:
    """Read an image; what its notes say of limits is an error here."""

    def read() -> object:
        image = read_image(path)
        if told := [note for note in image.notes if VARIABLE in note]:
            raise ClonesimError(told[0])
        return image

    return read


@case("image_partitions", 127, 128)
def partitions(folder: Path) -> Callable[[], object]:
    front, back = gpt(MIB, [])
    return noted(put(folder, "a.img", front.ljust(MIB - len(back), b"\0") + back))


def two_volumes(folder: Path) -> Path:
    """A disk with two NTFS volumes of 4 MiB, of 1,023 clusters each."""
    size = 4 * MIB
    data = make_ntfs(folder / "ntfs.img", size).read_bytes()
    first, second = MIB, MIB + size
    table = mbr([(7, first // SECTOR, size // SECTOR), (7, second // SECTOR, size // SECTOR)])
    return put(folder, "two.img", table.ljust(first, b"\0") + data + data)


@case("image_volumes", 1, 2)
def volumes(folder: Path) -> Callable[[], object]:
    return noted(two_volumes(folder))


@case("bitmap_bytes", 64, 4096)
def bitmaps(folder: Path) -> Callable[[], object]:
    return noted(two_volumes(folder))


@case("run_list_bytes", 16, 4096)
def run_lists(folder: Path) -> Callable[[], object]:
    """The MFT's own record, with an attribute of 48 B or more turned into a list."""
    path = make_ntfs(folder / "ntfs.img", 4 * MIB)
    data = bytearray(path.read_bytes())
    at = struct.unpack_from("<Q", data, 48)[0] * 4096
    at += struct.unpack_from("<H", data, at + 20)[0]
    assert struct.unpack_from("<I", data, at)[0] == 0x10
    struct.pack_into("<I", data, at, 0x20)
    return noted(put(folder, "list.img", bytes(data)))


@case("probe_bytes", 10, 1000)
def probe(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.json", json.dumps({"clonesim_probe": 99}))

    def read() -> object:
        with pytest.raises(ClonesimError) as caught:
            read_probe(path)
        if "version 1 is read" in str(caught.value):  # it was read
            return None
        raise caught.value

    return read


@case("toml_bytes", 10, 1000)
def toml(folder: Path) -> Callable[[], object]:
    path = put(folder, "a.toml", 'base = "windows-7-office"\n[pool]\nclones = 3\n')
    return lambda: load_scenario(path)


NTFS = {"image_volumes", "bitmap_bytes", "run_list_bytes"}


def each(name: str) -> object:
    return pytest.param(name, marks=need("mkntfs")) if name in NTFS else name


def test_every_limit_is_tested() -> None:
    assert set(CASES) == set(known())


@pytest.mark.parametrize("name", [each(name) for name in CASES])
def test_a_limit_holds_and_its_message_tells_how_to_raise_it(name: str, tmp_path: Path, monkeypatch) -> None:
    small, enough, made = CASES[name]
    read = made(tmp_path)
    with limited(**{name: enough}):
        read()
    with limited(**{name: small}), pytest.raises(ClonesimError) as caught:
        read()
    told = str(caught.value)
    if name == "file_trace_files":  # it is at its end, which is told for each row
        assert "is file 4: more are not numbered (file_trace_files)" in told
    else:
        assert or_raise(name, "X", small).removeprefix("X").strip(" ,.") in told
        asked = re.search(rf"{VARIABLE}='([^']*)'", told)
        assert asked
        assert read_limits(asked[1]) == {name: 2 * small}  # what it says can be typed
    monkeypatch.setenv(VARIABLE, f"{name}={small}" + " B" * known()[name].size)
    with pytest.raises(ClonesimError):
        read()


class TestOtherReaders:
    """Readers that share a limit with others."""

    def test_measured_growth(self, tmp_path: Path) -> None:
        path = put(tmp_path, "a.csv", SIZES)
        with limited(listing_rows=4), pytest.raises(ClonesimError, match=r"more than 4 rows\. Split it, or raise"):
            read_history(path)
        with limited(document_bytes=20), pytest.raises(ClonesimError, match=r"has more than 20 B\. Split it, or raise"):
            read_history(path)
        with limited(listing_rows=5):
            assert len(read_history(path)) == 5

    def test_a_name_cannot_make_a_plain_file_an_archive(self, tmp_path: Path) -> None:
        """Pandas would unpack it by its ending."""
        place = tmp_path / "sizes"
        place.mkdir()
        assert len(read_history(put(tmp_path, "a.csv.zip", SIZES))) == 5

    def test_members_of_a_zip_count_together(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("tabvInfo.csv", "tabvInfo_2.csv"):
                archive.writestr(name, VMS + 20 * VM)
        with limited(document_bytes=900), pytest.raises(ClonesimError, match=r"unpacks to more than 900 B\. Unpack it"):
            read_inventory(tmp_path / "a.zip")

    def test_a_binary_trace_that_never_ends(self, tmp_path: Path) -> None:
        record = struct.pack("<IIIHHQQ", 1, 4096, 1, 0x2A, 0x0100, 8, 1)
        path = put(tmp_path, "a.vscsi", record * 100)
        with (
            limited(trace_bytes=1000),
            pytest.raises(ClonesimError, match=r"has more than 1000 B, unpacked\. Cut the trace"),
        ):
            read_trace(path)

    def test_a_trace_in_parts_may_be_longer_than_memory(self, tmp_path: Path) -> None:
        path = put(
            tmp_path, "a.csv", TRACE.splitlines()[0] + "\n" + "".join(f"1,{n},2a,4096,8\n" for n in range(400_000))
        )
        with limited(trace_commands=300_000):
            assert sum(len(part) for part in iter_trace(path, chunk=20_000)) == 400_000
            with pytest.raises(ClonesimError, match=r"holds more than 300000 commands\. Read it in parts"):
                read_trace(path)

    def test_a_list_of_snapshots_beside_a_listing(self, tmp_path: Path) -> None:
        line = "-rw-------    1 root     root     1048576 Jan 31 10:00 {}\n"
        path = put(tmp_path, "ls.txt", "2026-01-31T10:00Z\n" + line.format("vm-000001-delta.vmdk"))
        put(tmp_path, "vm.vmsd", 'snapshot.numSnapshots = "1"\n' * 100)
        with limited(json_bytes=200), pytest.raises(ClonesimError, match=r"vm\.vmsd: has more than 200 B"):
            read_listing(path)

    def test_prices_and_bitmaps(self, tmp_path: Path) -> None:
        path = put(tmp_path, "p.toml", "[storage]\nos-delta = 2.5\n")
        with (
            limited(toml_bytes=10),
            pytest.raises(ParameterError, match=r"it has more than 10 B\. Name a TOML file, or"),
        ):
            prices_of(path)
        bits = put(tmp_path, "bitmap", bytes(100))
        assert read_bitmap(bits).size == 800
        with (
            limited(bitmap_bytes=99),
            pytest.raises(ParameterError, match=r"has 1 B to 99 B\. Take .*, or raise the limit"),
        ):
            read_bitmap(bits)


class TestChanging:
    def test_a_keyword_wins_over_the_rest(self, tmp_path: Path, monkeypatch) -> None:
        path = put(tmp_path, "a.csv", SIZES)
        monkeypatch.setenv(VARIABLE, "listing_rows=1")
        with limited(listing_rows=2):
            assert len(read_listing(path, rows_limit=5).history) == 5
            with pytest.raises(ClonesimError, match=r"allowed are 2\."):
                read_listing(path)
        with pytest.raises(ClonesimError, match=r"allowed are 1\."):
            read_listing(path)
        monkeypatch.delenv(VARIABLE)
        assert len(read_listing(path).history) == 5

    def test_blocks_nest_and_end(self) -> None:
        with limited(csv_columns=7):
            with limited("csv_columns=8, json_bytes=3 MiB"):
                assert (most("csv_columns"), most("json_bytes")) == (8, 3 * MIB)
            assert most("csv_columns") == 7
        assert most("csv_columns") == known()["csv_columns"].default

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("csv_column=3", r"csv_column='3': there is no such limit; .* Did you mean 'csv_columns'\?"),
            ("csv_columns", r"CLONESIM_LIMITS='csv_columns': each limit is a name, an equals sign and a value\. Write"),
            ("csv_columns=0", r"csv_columns='0': allowed are whole numbers from 1 to 2\^62\. Write for example"),
            ("csv_columns=many", r"csv_columns='many': allowed are whole numbers"),
            (f"csv_columns={2**63}", r"allowed are whole numbers from 1 to 2\^62"),
            ("file_trace_files=99999999", r"allowed are whole numbers from 1 to 16777216"),
            ("json_bytes=3 MB", r"json_bytes='3 MB': .* Did you mean MiB\?"),
            ("json_bytes=0 B", r"json_bytes='0 B': allowed are 1 B to"),
        ],
    )
    def test_mistakes_are_told(self, text: str, words: str, monkeypatch) -> None:
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(ParameterError, match=words):
            most("csv_columns")
        with pytest.raises(ParameterError, match=words), limited(text):
            pass

    def test_a_whole_number_of_bytes_is_a_size(self) -> None:
        with limited(json_bytes=12345):
            assert most("json_bytes") == 12345
        with pytest.raises(ParameterError, match=r"csv_columns=2\.5"), limited(csv_columns=2.5):
            pass

    def test_a_limit_at_its_end_is_not_said_to_be_raised(self) -> None:
        assert or_raise("file_trace_files", "Cut it", 2**24) == "Cut it."
        assert str(MOST) in or_raise("csv_columns", "Cut it", MOST - 1)

    def test_the_command_tells_of_a_mistake(self, tmp_path: Path, monkeypatch, capsys) -> None:
        from clonesim.cli import main

        monkeypatch.setenv(VARIABLE, "nothing=1")
        assert main(["inspect", str(put(tmp_path, "a.csv", SIZES))]) == 2
        assert "there is no such limit" in capsys.readouterr().err


def test_the_table_is_whole_and_units_are_told() -> None:
    for name, readers, default, told in table():
        assert readers and told.endswith("."), name
        assert ("B" in default) == name.endswith(("_bytes", "_capacity")), name
        assert known()[name].checked(default.replace(",", "")) == known()[name].default


def test_no_reader_has_limits_of_its_own() -> None:
    """Constants such as ROWS_LIMIT belong into limits.toml."""
    from conftest import ROOT

    own = {}
    for path in sorted((ROOT / "clonesim" / "ingest").glob("*.py")):
        if path.stem.endswith("_kernel"):
            continue
        for name in re.findall(r"^_?((?:\w+_)?LIMIT|MOST_\w+) *(?::|=)", path.read_text("utf-8"), re.MULTILINE):
            own.setdefault(path.name, []).append(name)
    # What formats and arithmetic allow, not what memory does.
    assert own == {
        "byte_file.py": ["MOST_BYTES"],
        "esxtop_notes.py": ["MOST_NAMED"],
        "procmon.py": ["MOST_BYTES"],
        "rows.py": ["MOST_BYTE", "MOST_TICK", "MOST_LENGTH"],
        "stream.py": ["MOST_SKIPPED"],
        "text.py": ["MOST_DEVICES"],
        "traces.py": ["MOST_PIECES"],
        "vhd_image.py": ["MOST_BLOCK"],
        "vmdk_extents.py": ["MOST_GRAIN"],
        "vmsd.py": ["MOST_TICKS"],
        "xperf.py": ["MOST_COLUMNS"],
    }
