"""What of listings is refused and with which words; nothing else than ClonesimError comes out of any input."""

import json
import random
import re
import time
from functools import partial

import pytest
from fuzz_tools import RUNS, mutate
from refusal_tools import refused
from test_listing import CHAIN, LS, TREE, snapshot_list

from clonesim.errors import ClonesimError, InventoryError, ParameterError
from clonesim.ingest.listing import read_listing

refusal = partial(refused, read_listing, InventoryError)


LVS = '{"report": [{"lv": [{"lv_name": "a", "vg_name": "v", "lv_size": "%s", "data_percent": "%s"}]}]}'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("hello\nworld\n", r"is no listing that is known; its first line is 'hello'\. Name a listing; known are ls -l"),
        ("a,b\n1,2\n", r"row 1: no column of sizes is known in the header 'a, b'\. Head the columns clone, date and"),
        ("date,bytes\n2026-01-31,2\n", r"no column of clones is known in the header 'date, bytes'"),
        ("clone,bytes\na,2\n", r"no column of dates is known .* If all rows are of one date, say it with listed="),
        ("clone,date,size\na,2026-01-31,2\n", r"row 2, size='2': is a size without a unit.* the column size_bytes"),
        ("clone,date,bytes\na,2026-01-31,-2\n", r"row 2, bytes='-2': is not a size from 0 to 2\^63 - 1 bytes"),
        ("clone,date,bytes\na,2026-01-31,9223372036854775808\n", r"row 2, bytes='9223372036854775808': is not a size"),
        ("clone,date,gib\na,2026-01-31,8589934592\n", r"no column of sizes"),
        ("clone,date,size_gib\na,2026-01-31,8589934592\n", r"row 2, size_gib='8589934592': is not a size"),
        ("clone,date,bytes\nb,2026-01-31,1\na,yesterday,2\n", r"row 3, date='yesterday': is not a date from"),
        ("clone,date,bytes\na,3/4/2026,2\n", r"date='3/4/2026': days and months cannot be told apart"),
        ("clone,date,bytes\na,2026-01-31\n", r"row 2, row='a,2026-01-31': 2 fields where the header has 3"),
        ("clone,date,bytes\na,2026-01-31,5\nx\n", r"row 3, row='x': 1 fields where the header has 3"),
        ("path,bytes\nb0,294614\n", r"lists no file of a clone \(the first is 'b0'\)"),
        ("drwxr-xr-x 1 root root 4096 Jan 20 00:12 a\n", r"lists folders only, no files\. List the folders"),
        (snapshot_list([(1, 0, "2026-01-01", "a.vmdk")]), r"is a snapshot list \(\.vmsd\) alone, which tells no sizes"),
        ('{"a": ', r"row 1: is no JSON that can be read .* Export or copy it again"),
        ('{"report": []}', r"is JSON of no known kind \(at its top: report\)\. Known are ls -l"),
        ('{"listed": "2026-01-31"}', r"is JSON without a listing"),
        ("[" * 100_000, r"is no JSON that can be read \(maximum recursion depth"),
        ("1" * 100_000, r"is no listing that is known|is no JSON"),
        ('[{"virtual-size": %s, "format": "raw"}]' % ("9" * 30), r"virtual-size='9{30}': is not a size"),
        ('[{"virtual-size": 1%s, "format": "raw"}]' % ("0" * 5000), r"is no JSON that can be read"),
        ('{"virtual-size": -5, "format": "raw"}', r"virtual-size='-5': is not a size from 0"),
        (LVS % ("12 apples", "1"), r"lv_size='12 apples': is not a size .* Ask the tool for bytes"),
        (LVS % ("5B", "101"), r"data_percent='101': is not a share from 0 to 100 %"),
        ("tank/a\t1\t2\t3\t-\textra\n", r"no column of sizes|row 1"),
        ("tank/a\t1\t2\t3\t-\ntank/b\t1\n", r"row 2, row='tank/b.t1': 2 columns where 5 are needed .* leave out -H"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, content, words):
    assert re.search(words, str(refusal(tmp_path / "some file", content)), re.DOTALL)


@pytest.mark.parametrize(("size", "text"), [(2**63, str(2**63)), (10**25, None)])
def test_sizes_beyond_everything(tmp_path, size, text):
    layout = json.dumps([{"name": "a", "layoutEx": {"file": [{"key": 0, "name": "[d] a/a-delta.vmdk", "size": size}]}}])
    assert "is not from 0 to 2^63 - 1 bytes" in str(refusal(tmp_path / "a", layout))
    if text:
        line = f"-rw------- 1 root root {text} Jan 20 00:12 a-delta.vmdk\n"
        assert "is not from 0 to 2^63 - 1 bytes" in str(refusal(tmp_path / "a", line))
    rows = f"clone,date,bytes\na,2026-01-31,{2**62}\na,2026-01-31,{2**62 + 1}\n"
    assert "add up beyond 2^63 bytes" in str(refusal(tmp_path / "a", rows))


def test_real_files_that_are_no_listings(shared):
    """Each is refused with the reason that is right for it."""
    cases = {
        "samples/inventory/rvtools_27tab_headers_types.json": "is JSON of no known kind",
        "samples/inventory/rvtools-small-complete.xlsx": "is a workbook",
        "samples/images/vsstest.qcow2": "is a qcow2 disk image",
        "samples/images/fat-differential.vhd": "is a VHD disk image",
        "samples/images/vmdk-rs/monolithicSparse.vmdk": "is a VMDK disk image",
        "samples/traces/cloudPhysicsIO.csv": "no column of",
        "samples/traces/cloudPhysicsIO.vscsi": "binary data",
        "measured/blog_1.csv": "lists no file of a clone",
    }
    for name, words in cases.items():
        with pytest.raises(InventoryError, match=words):
            read_listing(shared / name)


def test_parameters(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("clone,date,bytes\n" + "a,2026-01-31,1\n" * 5)
    for listed in ("3/4/2026", "soon", "2026-13-01", "1850-01-01", 5):
        with pytest.raises(ParameterError, match=r"listed=.*: a date is ISO, such as '2026-01-31'"):
            read_listing(path, listed=listed)
    with pytest.raises(ParameterError, match=r"zone='Moon'"):
        read_listing(path, zone="Moon")
    with pytest.raises(ParameterError, match=r"bytes_limit=0"):
        read_listing(path, bytes_limit=0)
    with pytest.raises(InventoryError, match=r"5 rows; allowed are 4\. Split it, or raise rows_limit"):
        read_listing(path, rows_limit=4)
    (tmp_path / "ls").write_text(LS)
    with pytest.raises(InventoryError, match=r"more than 3 rows\. Split it, or raise rows_limit"):
        read_listing(tmp_path / "ls", rows_limit=3)


def test_folders(tmp_path):
    with pytest.raises(InventoryError, match=r"is a folder without listings \(\.txt, \.json, \.csv\)"):
        read_listing(tmp_path)
    (tmp_path / "a.txt").write_text("nothing known\n")
    with pytest.raises(InventoryError, match=r"a\.txt: is no listing that is known"):
        read_listing(tmp_path)


def test_one_bad_cell_can_be_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("clone,date,bytes\na,2026-01-30,1\na,2026-01-31,many\n")
    with pytest.raises(InventoryError, match="row 3, bytes='many'"):
        read_listing(path)
    listing = read_listing(path, skip_bad_values=True)
    assert listing.history["bytes"].to_list() == [1]
    assert "bytes: 1 cells left out, the first in row 3: 'many'" in listing.notes


@pytest.mark.parametrize(
    "line",
    ["1" + " " * 200_000 + "x", "clone,date,size\na,2026-01-31,1" + " " * 200_000 + "x", "-rw-------" + " 1" * 100_000,
     "Jan" * 100_000, "/" * 200_000 + "x", "a" * 200_000 + "=", '"' * 99_999],
)  # fmt: skip
def test_long_lines_take_no_time(tmp_path, line):
    (tmp_path / "a").write_text(line + "\n")
    begin = time.process_time()
    with pytest.raises(ClonesimError):
        read_listing(tmp_path / "a")
    assert time.process_time() - begin < 3


def seeds():
    return [
        LS.encode(),
        (LS + snapshot_list([(1, 0, "2026-01-01", "a.vmdk"), (2, 1, "2026-01-02", "a-000001.vmdk")])).encode(),
        b"clone,date,bytes\r\na,2026-01-31,5\r\nb,2026-01-31T10:00:00Z,7\r\n",
        b'VM;Datum;"Size (MiB)"\na;31.01.2026;"1.024,5"\nb;13.02.2026;7\n',
        json.dumps([{"name": "VDI-1", "layoutEx": CHAIN, "snapshot": TREE}]).encode(),
        b'{"listed": "2026-01-31"}' + (LVS % ("32.00g", "12.5")).encode(),
        b'{"virtual-size": 8388608, "format": "qcow2", "filename": "a.qcow2", "actual-size": 4096}',
        b"tank/a\t1\t2\t3\t-\ntank/b\t1\t2\t3\t/b\n",
        b'{"datasets": {"t/a": {"type": "VOLUME", "properties": {"used": {"value": "5"}, "origin": {"value": "-"}}}}}',
        b'{"images": [{"name": "a", "provisioned_size": 9, "used_size": 5}]}',
        b'"Path","VhdType","FileSize","Size","ParentPath"\n"C:\\a.avhdx","Differencing","5","9","C:\\b.vhdx"\n',
        b'"FullName","Length","LastWriteTime"\n"\\\\f\\S-1-5_a\\Profile_a.VHDX","5","2026-01-31 10:00:00"\n',
    ]


def test_mutated_inputs_are_read_or_refused(tmp_path):
    rng = random.Random(int(time.time()) if RUNS > 10_000 else 3)
    good, path = seeds(), tmp_path / "input"
    for run in range(2 * RUNS):
        data = mutate(rng.choice(good), rng)
        path.write_bytes(data)
        begin = time.process_time()
        try:
            read_listing(path, listed="2026-02-01" if run % 2 else None, skip_bad_values=run % 3 == 0)
        except ClonesimError as error:
            assert str(path) in str(error)
        except BaseException as error:
            (tmp_path / "culprit").write_bytes(data)
            raise AssertionError(f"run {run}, {tmp_path / 'culprit'}: {error!r}") from error
        assert time.process_time() - begin < 5, f"run {run} took long"


@pytest.mark.parametrize(
    ("date", "shown"), [("2826-02-01", "2826-02-01"), ("2826-02-01 10:30:00", "2826-02-01 10:30:00")]
)
def test_a_date_of_a_doubtful_year_among_good_ones_is_told_with_its_row(tmp_path, date, shown):
    path = tmp_path / "sizes.csv"
    path.write_text(f"clone,date,bytes\na,2026-01-01,5\na,{date},7\na,2026-02-08,9\n")
    with pytest.raises(InventoryError) as caught:
        read_listing(path)
    assert str(caught.value).startswith(f"{path}, row 3, date={shown!r}")
    assert len(read_listing(path, skip_bad_values=True).history) == 2
