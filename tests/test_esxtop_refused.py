"""What of esxtop's counters is refused and with which words; nothing else than ClonesimError comes out of any input."""

import gzip
import random
import re
import time
import tracemalloc

import numpy as np
import pytest
from counter_tools import NAA, simulate, write
from fuzz_tools import RUNS, mutate
from refusal_tools import refused
from test_esxtop import HEAD

from clonesim.errors import ClonesimError, InventoryError, ParameterError
from clonesim.ingest import limited
from clonesim.ingest.esxtop import read_counters

ONE = rf'{HEAD},"\\h\Physical Disk SCSI Device({NAA})\Commands/sec"'
STAMP = '"05/13/2026 10:00:%02d"'


def rows(*values, head=ONE):
    return "\n".join([head, *(f'{STAMP % (5 * n)},"{value}"' for n, value in enumerate(values))]) + "\n"


def refusal(path, content, **options):
    error = refused(read_counters, InventoryError, path, content, **options)
    return str(error).replace(str(path), "FILE")


RECORD = "Record it so: 'esxtop -b -a -d 5 -n 720 > FILE'; it begins with (PDH-CSV."
COLUMN = rf"\\h\Physical Disk SCSI Device({NAA})\Commands/sec"
NUMBER = "is not a number from 0. Correct it, or leave such values out with skip_bad_values=True, which notes them."
AGAIN = "Copy it again from the host"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "FILE: the file is empty. Record it again: 'esxtop -b -a -d 5 -n 720 > FILE'."),
        ("\n \f\n", f"FILE: has blank lines only. {RECORD}"),
        ("clone,date\n", f"FILE: is no output of esxtop -b; its first line is 'clone,date'. {RECORD}"),
        (rows(1), "FILE: holds 1 samples; 2 are the least, since a first one's length is not told. Record more: "
                  "'esxtop -b -a -d 5 -n 720 > FILE'."),
        (rows(1, 2, "x"), f"FILE, row 4, {COLUMN}='x': {NUMBER}"),
        (rows(1, -2, 3), f"FILE, row 3, {COLUMN}='-2': {NUMBER}"),
        (rows(1, "nan", 3), f"FILE, row 3, {COLUMN}='nan': {NUMBER}"),
        (rows(1, "1e99", 3), f"FILE, row 3, {COLUMN}='1e99': {NUMBER}"),
        (rows(1, 2) + '"noon","3"\n', "FILE, row 4, time='noon': is no time. esxtop writes such as '05/13/2026 "
                                      "10:00:05'; remove the row if it is no sample."),
        (rows(1, 2) + "3\n" + rows(1), "FILE, row 4: 1 fields where the header has 2. Remove the row, or copy the file "
                                       "again from the host."),
        (rows(1, 2, head=HEAD), "FILE, row 1: has no counters of disk devices in its header. Save disk devices: "
                                "esxtop, 'u', 'f' for fields, 'W', then 'esxtop -b -c FILE', or 'esxtop -b -a'."),
        (ONE + '"x\n', f"FILE, row 1: the header cannot be taken apart (unexpected end of data). {AGAIN}: 'esxtop -b' "
                       "heads its columns in one line."),
        ("\ufeff".encode("utf-16") + b"x", "FILE: is UTF-16 text. Save it as UTF-8, or copy it as esxtop wrote it."),
        (gzip.compress(rows(1, 2).encode(), mtime=0)[:-9],
         "FILE: the gzip file is cut off or damaged (Compressed file ended before the end-of-stream marker was "
         f"reached). {AGAIN}; 'gzip -t' tells whether a packed copy is whole."),
        (b"COWD" + bytes(99), "FILE: is a VMDK delta. Read it with read_image ('clonesim inspect')."),
    ],
)  # fmt: skip
def test_bad_files(tmp_path, content, words):
    assert refusal(tmp_path / "h.csv", content) == words


def test_a_long_name_of_a_column_is_cut(tmp_path):
    told = refusal(tmp_path / "h.csv", rows(1, 2, "x", head=ONE.replace(r"\\h", r"\\" + "h" * 3000)))
    assert told.endswith(rf"Commands/sec='x': {NUMBER}")
    assert len(told) < 600


def test_bad_paths(tmp_path):
    for path, words in (
        (tmp_path / "none.csv", "there is no such file. Check the path."),
        (tmp_path, "is a folder without .csv or .csv.gz files. Name the files of 'esxtop -b'."),
        ("a\0b", "a path cannot hold a NUL character. Check the path."),
    ):
        with pytest.raises(InventoryError, match=re.escape(words)):
            read_counters(path)
    with pytest.raises(ParameterError, match=re.escape("path=[]: a file, a folder or a list of files is needed.")):
        read_counters([])


def test_bad_parameters(tmp_path):
    path = tmp_path / "h.csv"
    path.write_text(rows(1, 2, 3))
    with pytest.raises(ParameterError, match=re.escape("rows_limit=0: allowed are whole numbers from 1.")):
        read_counters(path, rows_limit=0)
    words = "ats='both': allowed are 'total' and 'interval'. Leave it out: it is found."
    with pytest.raises(ParameterError, match=re.escape(words)):
        read_counters(path, ats="both")
    assert len(read_counters(path, rows_limit=3).devices) == 2
    told = refusal(path, path.read_bytes(), rows_limit=2)
    remedy = "Give fewer files or devices, or raise rows_limit (CLONESIM_LIMITS='counter_rows=4' for all readers)."
    assert told == f"FILE, row 4: more than 2 rows of devices and samples. {remedy}"


def test_limits(tmp_path):
    with limited(counter_line_bytes="2 KiB"):
        told = refusal(tmp_path / "h.csv", rows(1, 2) + "x" * 5000)
    assert told == (
        "FILE, row 4: has a line of more than 2 KiB, so it is no output of esxtop -b. Name a CSV of 'esxtop -b', or "
        "raise the limit: CLONESIM_LIMITS='counter_line_bytes=4 KiB'."
    )
    with limited(counter_columns=3):
        told = refusal(tmp_path / "h.csv", rows(1, 2, head=f"{ONE},,"))
    remedy = "Save fewer columns: choose fields in esxtop, 'W', and 'esxtop -b -c FILE', or raise the limit: "
    assert told == f"FILE, row 1: has more than 3 columns. {remedy}CLONESIM_LIMITS='counter_columns=6'."


def test_memory_does_not_follow_the_file(tmp_path):
    """Ten times the samples of many columns that are not kept: the peak stays."""
    peaks = []
    for samples in (20, 200):
        head = ONE + "".join(rf',"\\h\Vcpu({k}:a:{k})\% Used"' for k in range(20_000))
        path = tmp_path / f"{samples}.csv"
        tail = ',"0.00"' * 20_000
        lines = (f'"05/13/2026 10:{5 * n // 60:02d}:{5 * n % 60:02d}","7"{tail}' for n in range(samples))
        path.write_text("\n".join([head, *lines]) + "\n")
        tracemalloc.start()
        assert (read_counters(path).devices["commands_per_s"] == 7).all()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_no_input_breaks_the_reader(tmp_path):
    made = simulate(2, locking="ats+scsi", minutes=1, rates=(3.0,) * 2, io=(50.0,) * 2, ats_fallback_after=1)[0]
    seed = write(tmp_path, made, noise=2)[0].read_bytes()
    rng = random.Random(5)
    path = tmp_path / "fuzz.csv"
    refused = 0
    for _ in range(RUNS):
        data = mutate(seed, rng)
        path.write_bytes(gzip.compress(data) if rng.random() < 0.05 else data)
        start = time.perf_counter()
        try:
            found = read_counters(path, skip_bad_values=rng.random() < 0.5, others=rng.random() < 0.5)
            assert (found.devices["interval_s"] > 0).all()
            values = found.devices.select_dtypes("float").to_numpy()
            assert (np.isnan(values) | (values >= 0)).all()
        except ClonesimError:
            refused += 1
        assert time.perf_counter() - start < 5
    assert 0.1 * RUNS < refused < 0.95 * RUNS
