"""What of inventories is refused and with which words; nothing else than ClonesimError comes out of any input."""

import io
import random
import re
import subprocess
import sys
import time
import zipfile
from functools import partial

import pytest
from fuzz_tools import RUNS, mutate
from inventory_tools import TABS, csv_text, sheet_xml, write_xlsx
from refusal_tools import refused

from clonesim.errors import ClonesimError, InventoryError, ParameterError
from clonesim.ingest.inventory import read_inventory
from clonesim.ingest.workbook import _fast_corner, _slow_corner

VMS = "VM,Powerstate,Template,Memory,In Use MiB,Creation date\n"


refusal = partial(refused, read_inventory, InventoryError)


@pytest.mark.parametrize(
    ("row", "column", "value", "problem"),
    [
        ("a,on,True,x,1,", "Memory", "x", r"is not a size from 0 to 2\^63 - 1 bytes"),
        ("a,on,True,-5,1,", "Memory", "-5", r"is not a size from 0"),
        ("a,on,True,8796093022208,1,", "Memory", "8796093022208", r"is not a size from 0"),
        ("a,on,True,1e30,1,", "Memory", "1e30", r"is not a size from 0"),
        ("a,on,True,nan,1,", "Memory", "nan", r"is not a size from 0"),
        ("a,on,maybe,1,1,", "Template", "maybe", "is neither True nor False"),
        ("a,on,True,1,1,2026/02/30", "Creation date", "2026/02/30", "is not a date from 1970 to 2200"),
        ("a,on,True,1,1,2500/01/01", "Creation date", "2500/01/01", "is not a date"),
        ("a,on,True,1,1,soon", "Creation date", "soon", "is not a date"),
    ],
)
def test_bad_cells(tmp_path, row, column, value, problem):
    good = "b,on,False,1,1,2026/01/01 10:00:00\n"
    path = tmp_path / "RVTools_tabvInfo.csv"
    error = refusal(path, VMS + good + row + "\n" + good)
    assert (error.sheet, error.row, error.column, error.value) == ("vInfo", 3, column, value)
    remedy = r"\. Correct it, or leave such cells empty with skip_bad_values=True, which notes them\."
    assert re.search(f"sheet vInfo, row 3, {column}={re.escape(repr(value))}: {problem}.*{remedy}$", str(error))
    inventory = read_inventory(path, skip_bad_values=True)
    assert len(inventory.vms) == 3
    assert f"vInfo, {column}: 1 cells left out, the first in row 3: {value!r}" in inventory.notes


@pytest.mark.parametrize(
    ("cell", "shown"), [(-1.0, "-1.0"), (1e30, "1e+30"), ("12 apples", "12 apples"), (True, "True")]
)
def test_bad_cells_of_a_workbook(tmp_path, cell, shown):
    rows = [["VM", "Memory", "In Use MiB"], ["a", 1, 1], ["b", cell, 1]]
    path = write_xlsx(tmp_path / "a.xlsx", {"vInfo": rows})
    with pytest.raises(InventoryError, match=r"sheet vInfo, row 3, Memory='.*': is not a size") as caught:
        read_inventory(path)
    assert caught.value.value == shown


def test_ambiguous_days_are_refused_until_said(tmp_path):
    path = tmp_path / "a.csv"
    error = refusal(path, VMS + "a,on,True,1,1,3/4/2026\nb,on,True,1,1,5/6/2026\n")
    assert "days and months cannot be told apart, as in '3/4/2026'. Say dayfirst=True or dayfirst=False" in str(error)
    first = read_inventory(path, dayfirst=True).vms["created"]
    second = read_inventory(path, dayfirst=False).vms["created"]
    assert (first[0].month, second[0].month) == (4, 3)
    path.write_text(VMS + "a,on,True,1,1,3/4/2026\nb,on,True,1,1,13/4/2026\n")
    assert read_inventory(path).vms["created"][0].month == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"the file is empty\. Export or copy it again\."),
        (b" \r\n\t ", r"the file is empty"),
        (b"\x1f\x8b\x08\x00abcdefgh", r"the gzip file is cut off or damaged .*'gzip -t'"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            r"old \.xls workbook or one that a password protects\. .* save it as \.xlsx",
        ),
        (b"QFI\xfb\0\0\0\3", r"is a qcow2 disk image\. Read it with read_image"),
        (b"PK\x03\x04garbage", r"the zip is cut off or damaged .* Copy or export it again"),
        (b"VM\0\0\1\2\3", r"holds binary data that is no known inventory or listing"),
        (b'{"a": 1}', r"is JSON, which no inventory is\. .* read_listing"),
        (b"x,y\n1,2\n", r"holds no tab that is read; found: x, y\. Export vInfo, vDisk, .* read_listing"),
        (
            b"VM,Memory,In Use MiB\na,1\n",
            r"row 2, row='a,1': 2 fields where the header has 3\. Correct or remove the row",
        ),
        (b"# only\n# comments\n", r"holds no line with a header"),
        (b'VM,"Mem\n', r"row 1: the header cannot be taken apart"),
        (b",".join(b"c%d" % i for i in range(3000)), r"3000 columns; allowed are 2000\. Keep the columns that matter"),
    ],
)
def test_files_that_are_no_inventory(tmp_path, content, words):
    assert re.search(words, str(refusal(tmp_path / "some file", content)))


def test_paths(tmp_path):
    with pytest.raises(InventoryError, match=r"there is no such file\. Check the path"):
        read_inventory(tmp_path / "none.xlsx")
    with pytest.raises(InventoryError, match=r"is a folder without \.csv or \.xlsx files"):
        read_inventory(tmp_path)
    with pytest.raises(InventoryError, match="cannot hold a NUL character"):
        read_inventory("a\0b")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.md", "hello")
    with pytest.raises(InventoryError, match=r"is a zip without \.csv or \.xlsx files"):
        read_inventory(tmp_path / "a.zip")


def test_a_tab_that_lacks_its_columns(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", {"vDisk": [["VM", "Disk"], ["a", "b"]]})
    with pytest.raises(InventoryError, match=r"sheet vDisk, row 1: vDisk has no column for capacity; .*'VM, Disk'"):
        read_inventory(path)


def test_parameters(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", TABS)
    with pytest.raises(ParameterError, match=r"zone='Mars': allowed are the names of the IANA time zones"):
        read_inventory(path, zone="Mars")
    with pytest.raises(ParameterError, match=r"rows_limit=0: allowed are whole numbers from 1"):
        read_inventory(path, rows_limit=0)
    with pytest.raises(InventoryError, match=r"has 4 rows; allowed are 3\. .* raise rows_limit"):
        read_inventory(path, rows_limit=3)
    with pytest.raises(InventoryError, match=r"has more than 100 B\. Split it, or raise bytes_limit"):
        read_inventory(path, bytes_limit=100)
    (tmp_path / "b.csv").write_text(VMS + "a,on,True,1,1,\n" * 5)
    with pytest.raises(InventoryError, match="5 rows; allowed are 4"):
        read_inventory(tmp_path / "b.csv", rows_limit=4)


SHEET = "xl/worksheets/sheet1.xml"
HEAD = '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = "</sheetData></worksheet>"


def cell(reference, text="1"):
    return f'<c r="{reference}"><v>{text}</v></c>'


BOMBS = {
    "corners": (f'{HEAD}<row r="1">{cell("A1")}</row><row r="200000">{cell("XFD200000")}</row>{TAIL}', "cells"),
    "few and far": (
        f'{HEAD}<row r="1">{cell("A1")}</row><row r="240000">{cell("CV240000")}</row>{TAIL}',
        "only 2 cells",
    ),
    "far row": (f'{HEAD}<row r="1">{cell("A1")}</row><row r="1048576">{cell("A1048576")}</row>{TAIL}', "1048576 rows"),
    "cells of another row": (f'{HEAD}<row r="1">{cell("A1")}{cell("B1000000")}</row>{TAIL}', "1000000 rows"),
    "blanks": (f'{HEAD}<row r="1">{cell("A1")}<c r = "XFD240000"><v>1</v></c></row>{TAIL}', "cells"),
    "prefix": (
        HEAD.replace("<worksheet xmlns", "<x:worksheet xmlns:x").replace("<sheetData>", "<x:sheetData>")
        + '<x:row r="1"><x:c r="XFD240000"><x:v>1</x:v></x:c></x:row></x:sheetData></x:worksheet>',
        "cells",
    ),
    "no references": (
        HEAD + "<row>" + "<c><v>1</v></c>" * 3000 + "</row>" + "<row><c/></row>" * 20_000 + TAIL,
        "cells",
    ),
    "many rows": (HEAD + "<row/>" * 300_000 + TAIL, "300000 rows; allowed are 250000"),
    "padding": (HEAD + " " * 80_000_000 + TAIL, "unpacks to more than 400 times its size"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_parsed(tmp_path, name):
    text, words = BOMBS[name]
    path = write_xlsx(tmp_path / "a.xlsx", {"vInfo": [["VM"]]}, {SHEET: text}, level=9)
    begin = time.process_time()
    with pytest.raises(InventoryError, match=words):
        read_inventory(path)
    assert time.process_time() - begin < 10


def test_a_library_s_message_with_a_piece_of_the_file_is_cut(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("n" * 2000, "x")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"n" * 2000, b"m" * 2000, 1))  # not that name's second place, in the directory
    with pytest.raises(InventoryError, match="cut off or damaged") as caught:
        read_inventory(path)
    assert len(str(caught.value)) < 1000 + len(str(path))
    assert str(caught.value).endswith("differ.). Copy or export it again.")


@pytest.mark.parametrize("name", ["a.zip", "a.xlsx"])
def test_a_zip_of_a_later_version_is_refused(tmp_path, name):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("RVTools_tabvInfo.csv", "VM,Memory\na,1\n")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 171  # version needed to unpack it, in the directory
    path.write_bytes(bytes(data))
    with pytest.raises(InventoryError, match=r"cut off or damaged \(zip file version 17\.1\)"):
        read_inventory(path)


def test_bombs_of_archives(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("RVTools_tabvInfo.csv", "VM,Memory\n" + "a,1\n" * 3_000_000)
    with pytest.raises(InventoryError, match=r"unpacks to more than 1 MiB\. Unpack it, or raise bytes_limit"):
        read_inventory(path, bytes_limit=2**20)


def test_the_two_ways_to_find_a_corner_agree():
    rng = random.Random(5)
    pieces = ['<c r="', "AB12", "XFD7", "a9", '"/>', "<row r='", "17", "'>", ' color="Z3"', "text", "\n", 'r="', ">"]
    for _ in range(400):
        chunk = "".join(rng.choices(pieces, k=rng.randint(0, 12))).encode()
        if b'r="AB' in chunk or b"r='17" in chunk or b'r="XFD' in chunk:
            slow, fast = _slow_corner(chunk), _fast_corner(chunk)
            assert fast[0] >= slow[0], chunk
            assert fast[1] >= slow[1], chunk
    xml = sheet_xml(TABS["vInfo"], type("S", (), {"place": lambda self, text: 0})()).encode()
    assert _slow_corner(xml) == _fast_corner(xml) == (12, 4)


def seeds():
    book = io.BytesIO()
    write_xlsx(book, {name: TABS[name] for name in ("vInfo", "vSnapshot", "vDatastore")})
    plain = [csv_text(TABS[name]).encode() for name in TABS]
    powercli = b'#TYPE x\r\n"VM","Name","Created","SizeMB"\r\n"a","b","31.01.2026 10:00:00","2048,5"\r\n'
    return [book.getvalue(), *plain, powercli, csv_text(TABS["vInfo"], delimiter=";").encode("utf-16")]


def test_mutated_inputs_are_read_or_refused(tmp_path):
    rng = random.Random(int(time.time()) if RUNS > 10_000 else 7)
    good, path = seeds(), tmp_path / "input"
    for run in range(RUNS):
        data = mutate(rng.choice(good), rng)
        path.write_bytes(data)
        begin = time.process_time()
        try:
            read_inventory(path, skip_bad_values=run % 2 == 0).delta_estimates()
        except ClonesimError as error:
            assert str(path) in str(error)
        except BaseException as error:
            (tmp_path / "culprit").write_bytes(data)
            raise AssertionError(f"run {run}, {tmp_path / 'culprit'}: {error!r}") from error
        assert time.process_time() - begin < 5, f"run {run} took long"


def parts_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


_CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from pathlib import Path
from clonesim.errors import ClonesimError
from clonesim.ingest.inventory import read_inventory
for path in sorted(Path(sys.argv[1]).glob("*.xlsx")):
    try:
        read_inventory(path).delta_estimates()
    except ClonesimError:
        pass
print("survived")
"""


def test_mutated_parts_of_workbooks_within_3_gib(tmp_path):
    """The zip stays whole and its parts are changed: such workbooks reach the parser."""
    pytest.importorskip("resource")
    rng = random.Random(11)
    parts = parts_of(seeds()[0])
    for run in range(max(60, min(RUNS // 5, 20_000))):
        name = rng.choice(
            [SHEET, "xl/worksheets/sheet2.xml", "xl/sharedStrings.xml", "xl/workbook.xml", "xl/styles.xml"]
        )
        write = parts | {name: mutate(parts[name], rng)}
        with zipfile.ZipFile(tmp_path / f"{run:05d}.xlsx", "w") as archive:
            for part, text in write.items():
                archive.writestr(part, text)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120 + RUNS / 20,
        check=False,
    )
    assert done.stdout.strip().endswith("survived"), done.stderr[-2000:]
