"""Results of probes read back: exact figures, and messages for what cannot be read."""

import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from probe_tools import ALONE, GUEST, MIB, alone_result, guest_result

import clonesim.cli.probe  # noqa: F401 (registers its commands)
from clonesim.cli import main
from clonesim.errors import ClonesimError, ProbeError
from clonesim.planning.probe_pattern import STEP_NAMES
from clonesim.planning.probe_results import os_of, read_probe
from clonesim.planning.probe_simulation import simulate_probe

MANY = int(os.environ.get("FUZZ", "500"))


@pytest.fixture(scope="module")
def guest():
    return guest_result(simulate_probe("next-fit", GUEST, 1))


@pytest.fixture(scope="module")
def alone():
    rng = np.random.default_rng(0)
    sectors = [np.zeros(ALONE.disk_bytes // 512, bool) for _ in STEP_NAMES]
    for held in sectors:
        start = rng.integers(0, held.size - 5000)
        held[start : start + rng.integers(1, 5000)] = True
    return sectors, alone_result(ALONE, sectors)


def written(folder, told, name="probe.json"):
    path = folder / name
    path.write_text(json.dumps(told), encoding="utf-8-sig")
    return path


def test_guest_s_sizes(tmp_path, guest):
    probe = read_probe(written(tmp_path, guest))
    sizes = {row["step"]: row["delta_bytes"] for row in guest["steps"]}
    assert probe.grown[0] == sizes["idle"] - sizes["start"]
    assert probe.grown[3] == sizes["again"] - sizes["restart"]  # what the restart wrote is nobody's
    assert probe.grown[-1] == sizes["long"] - sizes["stream"]
    assert np.isnan(probe.place).all()
    assert (probe.site.unit_bytes, probe.site.os, probe.site.pieces) == (32 * MIB, "windows-7", 1)


def test_sizes_seen_outside_win(tmp_path, guest):
    table = tmp_path / "sizes.csv"
    rows = [(row["step"], k * MIB) for k, row in enumerate(guest["steps"])]
    table.write_text("step,bytes\r\n" + "".join(f"{name}, {size}\r\n" for name, size in rows), encoding="utf-8-sig")
    assert read_probe(written(tmp_path, guest), table).grown.tolist() == [MIB] * 7


def test_sector_bitmaps_count_what_is_new(tmp_path, alone):
    """Against a plain count over all sectors of the disk, step by step."""
    sectors, told = alone
    probe = read_probe(written(tmp_path, told))
    seen = np.zeros_like(sectors[0])
    for step, held in enumerate(sectors):
        new = np.flatnonzero(held & ~seen)
        seen |= held
        assert probe.grown[step] == new.size * 512
        if new.size:
            assert probe.place[step] == pytest.approx((new.mean() + 0.5) * 512 / ALONE.disk_bytes)


def test_a_step_that_wrote_nothing_has_no_place(tmp_path):
    sectors = [np.zeros(ALONE.disk_bytes // 512, bool) for _ in STEP_NAMES]
    sectors[1][8:16] = True
    told = alone_result(ALONE, sectors)
    told["steps"][2]["blocks"] = 0  # PowerShell writes a list of one as its member
    probe = read_probe(written(tmp_path, told))
    assert probe.grown.tolist() == [0, 4096, 0, 0, 0, 0, 0]
    assert np.isnan(probe.place[0])
    assert np.isfinite(probe.features).all()


@pytest.mark.parametrize(
    ("build", "name"),
    [
        ("10.0.19045", "windows-10"),
        ("10.0.22631", "windows-11"),
        ("26100", "windows-11"),
        ("6.1.7601", "windows-7"),
        ("5.1.2600", "windows-xp"),
        ("", "windows-10"),
    ],
)
def test_build_to_version(build, name):
    assert os_of(build) == name


def changed(told, path, value):
    told = json.loads(json.dumps(told))
    at = told
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return told


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["clonesim_probe"], 2, r"probe.json, clonesim_probe=2: version 1 is read\. Write the script anew"),
        (["clonesim_probe"], None, r"content='dict': a JSON object with 'clonesim_probe' is needed"),
        (["form"], "else", r"form='else': allowed are guest, self-contained\. Take the file as the script wrote it"),
        (["unit_bytes"], 7, r"unit_bytes=7: allowed are whole numbers from 1048576"),
        (["disk_bytes"], 2**63, r"disk_bytes=9223372036854775808: a whole number from 0 to"),
        (["disk_bytes"], "big", r"disk_bytes='big': a whole number"),
        (["used_bytes"], 10 * 2**30, r"used_bytes=\d+: the volume has .* smaller unit"),
        (["restarted"], "yes", r"restarted='yes': true or false is needed"),
        (["delta_format"], "odd", r"format='odd': allowed are "),
        (["steps"], 5, r"steps='int': a list of steps is needed"),
        (["steps", 8], None, r"steps=\[.*\]: steps long are missing\. Run the script to its end"),
        (["steps", 2, "seconds"], "x", r"seconds of step fill='x': seconds from 0 to 1e7"),
        (["steps", 2, "seconds"], float("nan"), r"seconds of step fill=nan"),
        (["steps", 4, "delta_bytes"], None, r"delta_bytes=None: the delta's size is missing for: restart\. .*--delta"),
        (["steps", 4, "delta_bytes"], -5, r"delta_bytes of step restart=-5: a whole number"),
    ],
)
def test_guest_s_results_refused(tmp_path, guest, path, value, message):
    with pytest.raises(ProbeError, match=message):
        read_probe(written(tmp_path, changed(guest, path, value)))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["block_bytes"], 1000, r"block_bytes=1000: a VHD has blocks of 64 KiB to 64 MiB"),
        (["steps", 3, "blocks"], [10**9], r"blocks of step again=\[1000000000\]: a list of blocks from 0 to \d+"),
        (["steps", 3, "blocks"], [True], r"blocks of step again=\[True\]"),
        (["steps", 3, "bitmaps"], "AAAA", r"bitmaps of step again="),
        (["steps", 3, "bitmaps"], "!", r"bitmaps of step again=.*base64 of a deflate stream is needed"),
        (["steps", 3, "bitmaps"], None, r"bitmaps of step again="),
    ],
)
def test_bitmaps_refused(tmp_path, alone, path, value, message):
    with pytest.raises(ProbeError, match=message):
        read_probe(written(tmp_path, changed(alone[1], path, value)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"columns=\[\]: columns step and bytes are needed"),
        ("a,b\n1,2\n", r"columns=\['a', 'b'\]"),
        ("step,bytes\nidle,1.5\n", r"line 2, bytes='1.5': a whole number is needed\. Write plain bytes"),
        ("step,bytes\nidle\n", r"line 2, bytes=''"),
    ],
)
def test_tables_refused(tmp_path, guest, text, message):
    table = tmp_path / "sizes.csv"
    table.write_text(text)
    with pytest.raises(ProbeError, match=message):
        read_probe(written(tmp_path, guest), table)


def test_a_table_for_the_wrong_form(tmp_path, alone):
    path = written(tmp_path, alone[1])
    with pytest.raises(ProbeError, match="its sizes stand in the file itself"):
        read_probe(path, path)


def test_long_files_are_not_read(tmp_path, guest):
    with pytest.raises(ProbeError, match=r"size=\d+: a result has at most 100 B"):
        read_probe(written(tmp_path, guest), largest=100)


def test_bitmaps_that_unpack_to_more_than_told_are_not_unpacked(tmp_path, alone):
    import base64
    import zlib

    deflate = zlib.compressobj(wbits=-15)
    bomb = base64.b64encode(deflate.compress(bytes(50 * MIB)) + deflate.flush()).decode()
    told = changed(alone[1], ["steps", 1, "bitmaps"], bomb)
    with pytest.raises(ProbeError, match=r"bitmaps of step fill=\d+: \d+ bitmaps of 512 B are needed"):
        read_probe(written(tmp_path, told))


@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_broken_results_give_clear_errors(tmp_path_factory, guest, alone, data):
    raw = bytearray(json.dumps(data.draw(st.sampled_from([guest, alone[1]]))).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        cut = data.draw(st.integers(0, 40))
        raw[at : at + cut] = data.draw(
            st.binary(max_size=20) | st.sampled_from([b"null", b"-1", b"1e999", b"[[", b'""'])
        )
        raw = raw or bytearray(b" ")
    path = tmp_path_factory.getbasetemp() / "broken.json"
    path.write_bytes(bytes(raw))
    try:
        probe = read_probe(path)
    except ClonesimError as error:
        assert len(str(error)) < 1500
    else:
        assert np.isfinite(probe.grown).all()


def test_command_line(tmp_path, capsys):
    result = written(tmp_path, guest_result(simulate_probe("fresh-first", GUEST, 1)))
    out = tmp_path / "out"
    command = ["probe", "fit", str(result), "--draws", "20", "--policy", "fresh-first", "--policy", "best-fit"]
    assert main([*command, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "The policy is fresh-first, with a probability of 99.9 %." in told
    assert "measured" in told
    assert max(map(len, told.splitlines())) <= 80
    assert {path.name for path in out.iterdir()} == {"probe-row.csv", "probe.png"}
    assert "fresh-first" in (out / "probe-row.csv").read_text()
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policy"] == "fresh-first"
    assert found["row"]["windows"] == "Windows 10 Pro"


def test_command_line_refuses(tmp_path, capsys, guest):
    assert main(["probe", "fit", str(tmp_path / "none.json")]) == 2
    assert main(["probe", "fit", str(written(tmp_path, changed(guest, ["form"], "x")))]) == 2
    assert "form='x'" in capsys.readouterr().err
