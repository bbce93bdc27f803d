"""Placement out: the files are read back by readers of the tests' own, and compared with what was placed."""

import csv
import re
import string
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from script_tools import grammar_reads

from clonesim import load_scenario
from clonesim.errors import ParameterError, WriteError
from clonesim.planning.density import Density
from clonesim.planning.emit import assignments, check_assignments, emit_csv, emit_powercli, quoted

SINGLE_QUOTES = "'\u2018\u2019\u201a\u201b"  # any of them opens and closes a text in PowerShell


def pool(clones=7, **sections):
    return load_scenario("windows-11-office", pool={"clones": clones}, **sections)


def read_quoted(text, at):
    """One single-quoted text of PowerShell: its value, and the place after it. Two quotes in a row are one."""
    assert text[at] in SINGLE_QUOTES
    value, at = "", at + 1
    while True:
        if text[at] not in SINGLE_QUOTES:
            value, at = value + text[at], at + 1
        elif at + 1 < len(text) and text[at + 1] in SINGLE_QUOTES:
            value, at = value + text[at], at + 2
        else:
            return value, at + 1


def read_plan(script):
    """Rows (name, datastore, host group) of a script, in the order in which it creates them."""
    at = script.index("$Plan = @(") + len("$Plan = @(")
    rows, key, store, group = [], "", "", ""
    while not script.startswith("\n)\n", at):
        if script[at] in SINGLE_QUOTES:
            value, at = read_quoted(script, at)
            if key == "Datastore":
                store = value
            elif key == "HostGroup":
                group = value
            else:
                assert key == "Names"
                rows.append((value, store, group))
        elif found := re.compile(r"(\w+) = ").match(script, at):
            key, at = found[1], found.end()
        else:
            assert script[at] in "@{}();, \n", script[at : at + 40]
            at += 1
    return rows


def read_parameter(script, name):
    at = script.index(f"[string] ${name} = ") + len(f"[string] ${name} = ")
    return read_quoted(script, at)[0]


def rows_of(frame):
    return list(frame[["name", "datastore", "host_group"]].itertuples(index=False, name=None))


def test_seven_clones_three_per_datastore_by_hand():
    frame = assignments(pool(7), 3, host_groups=2)
    assert frame.to_csv(index=False) == (
        "name,datastore,host_group,number\n"
        "VDI-0001,LUN-001,cluster-01,1\n"
        "VDI-0002,LUN-001,cluster-01,2\n"
        "VDI-0003,LUN-001,cluster-01,3\n"
        "VDI-0004,LUN-002,cluster-01,4\n"
        "VDI-0005,LUN-002,cluster-01,5\n"
        "VDI-0006,LUN-002,cluster-01,6\n"
        "VDI-0007,LUN-003,cluster-02,7\n"
    )
    assert frame.attrs["caption"] == "7 clones, 3 per datastore, on 3 datastores of 2 host groups."


@given(st.integers(1, 400), st.integers(1, 70), st.integers(1, 5))
def test_every_datastore_but_the_last_has_the_fixed_number_and_names_rise_with_datastores(clones, each, groups):
    luns = -(-clones // each)
    groups = min(groups, luns)
    frame = assignments(pool(clones, hosts={"count": 8}), each, host_groups=groups)
    counts = frame.groupby("datastore").size()
    assert counts.iloc[:-1].eq(each).all()
    assert 1 <= counts.iloc[-1] <= each
    assert counts.size == luns
    assert frame["name"].is_unique
    for column in ("name", "datastore", "host_group"):
        assert sorted(frame[column]) == frame[column].tolist()
    dealt = frame.drop_duplicates("datastore").groupby("host_group").size()
    assert dealt.size == groups
    assert dealt.max() - dealt.min() <= 1


def test_the_scenario_or_the_plan_tells_the_number():
    assert assignments(pool(100, luns={"clones_per_lun": 40})).groupby("datastore").size().tolist() == [40, 40, 20]
    plan = object.__new__(Density)
    object.__setattr__(plan, "largest", 60)
    assert assignments(pool(100), plan).groupby("datastore").size().tolist() == [60, 40]
    object.__setattr__(plan, "largest", 0)
    object.__setattr__(plan, "binding", "outage")
    told = (
        "clones_per_lun=0: the plan found no number of clones that keeps the limit outage. Give a number of clones, "
        "enlarge the LUNs, or relax that limit."
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(told)}$"):
        assignments(pool(100), plan)


def test_own_names_and_numbers():
    frame = assignments(pool(3), 2, "x{number:03d}-a", datastores=["b", "a", "spare"], host_groups=["blue"], first=99)
    assert rows_of(frame) == [("x099-a", "b", "blue"), ("x100-a", "b", "blue"), ("x101-a", "a", "blue")]
    assert frame["number"].tolist() == [99, 100, 101]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("VDI", "a text with {number:04d} in it, once"),
        ("{number}{number}", "a text with {number:04d} in it, once"),
        ("VDI-{n:04d}", "a text with {number:04d} in it, once"),
        ("VDI-{number.__class__}", "a text with {number:04d} in it, once"),
        ("VDI-{number!r}", "a text with {number:04d} in it, once"),
        ("VDI-{number:0999999999d}", "a text with {number:04d} in it, once"),
        ("VDI-{number:>4}", "a text with {number:04d} in it, once"),
        ("VDI-{number", "a text with {number:04d} in it, once"),
        (None, "a text with {number:04d} in it, once"),
        ("VDI {number:04d}", "a computer's name has 1 to 15"),
        ("VDI_{number:04d}", "a computer's name has 1 to 15"),
        ("-{number:04d}", "a computer's name has 1 to 15"),
        ("A{number:04d}-", "a computer's name has 1 to 15"),
        ("{number:04d}", "a computer's name has 1 to 15"),
        ("B\u00fcro-{number:04d}", "a computer's name has 1 to 15"),
        ("twelve-chars{number:04d}", "a computer's name has 1 to 15"),
        ("VDI'{number:04d}", "a computer's name has 1 to 15"),
        ("VDI-{number:04d}\n", "a computer's name has 1 to 15"),
    ],
)
def test_templates_that_cannot_be(template, told):
    with pytest.raises(ParameterError, match=rf"^names=.*{re.escape(told)}"):
        assignments(pool(20), 10, template)


def test_fifteen_characters_are_the_most():
    assert assignments(pool(1), 1, "eleven-char{number:04d}")["name"].tolist() == ["eleven-char0001"]


def test_numbers_that_outgrow_their_width_are_refused():
    told = (
        "names='VDI-10': it sorts before 'VDI-9', whose number is lower. Give the number a fixed width, such as "
        "{number:03d}."
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(told)}$"):
        assignments(pool(10), 5, "VDI-{number}")
    assert len(assignments(pool(9), 5, "VDI-{number}")) == 9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"clones_per_lun": 0}, "clones_per_lun=0: a whole number from 1 up is needed, or a plan of plan_density."),
        ({"clones_per_lun": True}, "clones_per_lun=True: a whole number from 1 up is needed, or a plan of"),
        ({"first": -1}, "first=-1: a whole number from 0 up is needed."),
        (
            {"datastores": ["a", "b"]},
            "datastores=['a', 'b']: 20 clones at 5 per datastore need 4 datastores, 2 are given. "
            "Name more, or put more clones on each.",
        ),
        ({"datastores": ["a", "b", "c", "A"]}, "datastores='A': it is there twice: each is named once."),
        ({"datastores": ["a", "b", "c", "d*"]}, "datastores='d*': '*' is refused: "),
        ({"datastores": ["a", "b", "c", "d`"]}, "datastores='d`': '`' is refused: "),
        ({"datastores": ["a", "b", "c", "d\ne"]}, "datastores='d\\ne': '\\n' is refused: "),
        ({"datastores": ["a", "b", "c", "d\u2028e"]}, "datastores='d\\u2028e': '\\u2028' is refused: "),
        ({"datastores": ["a", "b", "c", " d"]}, "datastores=' d': a name has 1 to 80 characters, and no space"),
        ({"datastores": ["a", "b", "c", "d" * 81]}, f"datastores='{'d' * 81}': a name has 1 to 80"),
        ({"datastores": ["a", "b", "c", "=1+1"]}, "datastores='=1+1': a name that begins with '=' becomes a formula"),
        ({"datastores": "LUN"}, "datastores='LUN': a text with {lun:04d} in it, once, is needed"),
        ({"host_groups": 5}, "host_groups=5: 1 to 4 groups are needed: the plan has 4 datastores."),
        ({"host_groups": 9}, "host_groups=9: 1 to 8 groups are needed: the plan has 8 hosts."),
        ({"host_groups": 0}, "host_groups=0: 1 to 8 groups"),
        ({"host_groups": []}, "host_groups=[]: 1 to 8 groups"),
        ({"host_groups": True}, "host_groups=True: 1 to 8 groups"),
        ({"host_groups": "blue"}, "host_groups='blue': a number or a list of names is needed. Write ['blue']."),
        ({"host_groups": ["blue", "Blue"]}, "host_groups='Blue': it is there twice"),
    ],
)
def test_what_cannot_be_placed_is_refused(arguments, told):
    with pytest.raises(ParameterError, match=f"^{re.escape(told)}"):
        assignments(pool(20, hosts={"count": 8}), **{"clones_per_lun": 5, **arguments})


def test_too_many_clones():
    scenario = SimpleNamespace(pool=SimpleNamespace(clones=100_001), luns=SimpleNamespace(clones_per_lun=64))
    with pytest.raises(ParameterError, match=r"^pool\.clones=100001: at most 100000 names are written"):
        assignments(scenario)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": ["a1", "A1", "a3"]}, "names='A1': it is there twice"),
        ({"name": ["a1", "a3", "a2"]}, "names='a2': it sorts before 'a3'"),
        ({"name": ["a1", "a2", "a3; Remove-VM *"]}, "names='a3; Remove-VM *': a computer's name"),
        ({"name": ["a1", "a2", 3]}, "names=3: a computer's name"),
        ({"number": [1, 3, 2]}, "number=[1, 3, 2]: whole numbers in ascending order"),
        ({"number": [1.0, 2.0, 3.0]}, "number=[1.0, 2.0, 3.0]: whole numbers"),
        ({"host_group": ["g", "h", "h"]}, "datastores='x': it is there twice: each belongs to one host group"),
        ({"datastore": ["x", "X", "y"]}, "datastores='X': it is there twice"),
        ({"datastore": ["x", "x", None]}, "datastores="),
    ],
)
def test_tables_of_other_programs_are_checked_before_they_are_written(tmp_path, change, told):
    right = {"name": ["a1", "a2", "a3"], "datastore": ["x", "x", "y"], "host_group": ["g"] * 3, "number": [1, 2, 3]}
    check_assignments(pd.DataFrame(right))
    for emit in (emit_csv, emit_powercli):
        with pytest.raises(ParameterError, match=f"^{re.escape(told)}"):
            emit(pd.DataFrame({**right, **change}), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_columns_that_are_missing_and_empty_tables():
    with pytest.raises(ParameterError, match="columns datastore, host_group, number are missing"):
        check_assignments(pd.DataFrame({"name": ["a1"]}))
    with pytest.raises(ParameterError, match=r"^assignments=0: 1 to 100000 clones are needed"):
        check_assignments(pd.DataFrame({name: [] for name in ("name", "datastore", "host_group", "number")}))


def test_the_table_is_read_back_by_a_csv_reader(tmp_path):
    stores = ['comma, "quote"', "Caf\u00e9 1", "semi;colon"]
    frame = assignments(pool(7), 3, datastores=stores)
    path = emit_csv(frame, tmp_path / "placement.csv")
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["name"], row["datastore"], row["host_group"]) for row in rows] == rows_of(frame)
    assert [int(row["number"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert b"\r" not in path.read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == ["placement.csv"]


def test_the_script_creates_exactly_the_table_in_name_order(tmp_path):
    frame = assignments(pool(130), 64, host_groups=2)
    path = emit_powercli(frame, tmp_path / "clones.ps1")
    script = path.read_text(encoding="utf-8-sig")
    assert read_plan(script) == rows_of(frame)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf#Requires -Version 5.1\n")
    assert not re.search(r"'<[a-z ]+>'", script)
    assert "Creates 130 linked clones on 3 datastores" in script
    assert ".\\clones.ps1 -WhatIf" in script


NASTY = st.text(
    st.sampled_from(
        string.ascii_letters + string.digits + " .-_$(){}\"';,#<>@&|=" + SINGLE_QUOTES + "\u00e9\u201c\u201d"
    ),
    min_size=1,
    max_size=30,
).filter(lambda name: name == name.strip() and name[0] not in "=+-@")


@given(st.lists(NASTY, min_size=3, max_size=3, unique_by=str.casefold), NASTY, NASTY)
def test_no_name_gets_out_of_its_quotes(tmp_path_factory, stores, group, snapshot):
    frame = assignments(pool(5), 2, datastores=stores, host_groups=[group])
    path = tmp_path_factory.mktemp("emit") / "clones.ps1"
    base = snapshot.replace("{", "").replace("}", "").strip("=+-@ ") or "base"
    script = emit_powercli(frame, path, base_image=base, snapshot=snapshot).read_text(encoding="utf-8-sig")
    assert read_plan(script) == rows_of(frame)
    assert read_parameter(script, "BaseImage") == base
    assert read_parameter(script, "Snapshot") == snapshot


def test_quotes_are_doubled_as_the_language_wants_it():
    assert quoted("Joe's $(rm) LUN") == "'Joe''s $(rm) LUN'"
    assert quoted("\u2019; Remove-VM") == "'\u2019\u2019; Remove-VM'"


def test_a_name_that_looks_like_a_place_of_the_template_stays_as_it_is(tmp_path):
    frame = assignments(pool(1), 1, datastores=["'<plan>'"])
    script = emit_powercli(frame, tmp_path / "clones.ps1", snapshot="'<base image>'").read_text(encoding="utf-8-sig")
    assert read_plan(script) == [("VDI-0001", "'<plan>'", "cluster-01")]
    assert read_parameter(script, "Snapshot") == "'<base image>'"


def test_what_the_script_does_and_does_not(tmp_path):
    script = emit_powercli(assignments(pool(3), 3), tmp_path / "clones.ps1").read_text(encoding="utf-8-sig")
    code = re.sub(r"<#.*?#>|#[^\n]*", "", script, flags=re.DOTALL)
    assert code.count("New-VM ") == 1
    assert re.search(r"if \(\$PSCmdlet\.ShouldProcess\([^\n]*\{\n\s*New-VM -Name \$name", code)
    assert "SupportsShouldProcess = $true" in code
    call = re.search(r"New-VM [^\n]*", code)[0]
    for argument in ("-LinkedClone", "-ReferenceSnapshot $snapshots[$base]", "-Datastore", "-ResourcePool", "-VM "):
        assert argument in call
    for word in ("password", "credential", "connect-viserver -", "remove-", "start-vm", "invoke-expression"):
        assert word not in code.lower()
    assert code.rindex("Get-TheOne") < code.index("ShouldProcess(")  # all is looked up before anything is created


def test_the_base_image_follows_the_scenario(tmp_path):
    for own, base in ((True, "base-image"), (False, "base-image-{datastore}")):
        frame = assignments(pool(3, luns={"replica_lun": own}), 3)
        script = emit_powercli(frame, tmp_path / "clones.ps1").read_text(encoding="utf-8-sig")
        assert read_parameter(script, "BaseImage") == base
    frame = assignments(pool(3), 3)
    for wrong, told in (("{lun}", "braces"), ("a*", "is refused"), ("x" * 74 + "{datastore}", "1 to 80")):
        with pytest.raises(ParameterError, match=f"^base_image=.*{told}"):
            emit_powercli(frame, tmp_path / "clones.ps1", base_image=wrong)
    with pytest.raises(ParameterError, match=r"^snapshot='a\*'"):
        emit_powercli(frame, tmp_path / "clones.ps1", snapshot="a*")


def test_powercli_is_for_vsphere(tmp_path):
    frame = assignments(load_scenario("windows-11-office", pool={"clones": 3}, platform={"name": "proxmox"}), 3)
    told = "emit='powercli': PowerCLI drives vSphere, not kvm. Write 'csv'."
    with pytest.raises(ParameterError, match=f"^{re.escape(told)}$"):
        emit_powercli(frame, tmp_path / "clones.ps1")
    assert emit_csv(frame, tmp_path / "clones.csv").exists()


def test_a_file_that_cannot_be_written(tmp_path):
    frame = assignments(pool(3), 3)
    for path, remedy in ((tmp_path / "absent" / "a.csv", "Make its folder first"), (tmp_path, "It is a folder")):
        with pytest.raises(WriteError, match=rf"^{path}: it cannot be written: .*{remedy}"):
            emit_csv(frame, path)
    assert not list(tmp_path.iterdir())


def test_a_grammar_of_powershell_reads_the_script(tmp_path):
    """A parser that others wrote; it is no dependency."""
    stores = ["Joe's LUN", "$(Get-VM)", 'a "b"; c']
    script = emit_powercli(assignments(pool(5), 2, datastores=stores), tmp_path / "clones.ps1").read_bytes()
    assert grammar_reads(script)
    assert not grammar_reads(script.replace(b"Joe''s", b"Joe's"))
