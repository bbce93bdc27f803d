"""`clonesim init --from`, as a user calls it."""

import json

import pytest
from inventory_tools import write_xlsx
from prefill_tools import farm, tabs

from clonesim import cli
from clonesim.planning.prefill import prefill
from clonesim.scenario import commented, load_scenario


@pytest.fixture
def export(tmp_path):
    return write_xlsx(tmp_path / "export.xlsx", tabs(**farm()))


def call(capsys, *argv):
    code = cli.main(list(map(str, argv)))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_scenario_is_printed_and_notes_stand_beside_it(capsys, export):
    code, out, err = call(capsys, "init", "--from", export)
    assert (code, out) == (0, commented(prefill(export).scenario))
    assert "12 desktops: numbered machines with a Windows for desktops (series W10-OFF-#)." in err.splitlines()
    assert "values no inventory tells: they stay as the base and the catalog have them." in err


def test_a_file_gets_the_scenario_and_the_screen_the_table(capsys, export, tmp_path):
    path = tmp_path / "own.toml"
    given = ["init", "windows-10-office", "--from", export, "--select", "cad-*", "--select", "W10-*", "--out", path]
    code, out, err = call(capsys, *given, "--set", "guest.disk=80 GiB")
    assert (code, err) == (0, f"Written to {path}.\n")
    made = load_scenario(path)
    assert (made.pool.clones, made.guest.disk, made.guest.name) == (15, 80 * 2**30, "windows-10")
    assert "guest.memory" in made.marks
    assert "guest.disk" not in made.marks
    told = "".join(out.split())  # lines are broken where the terminal ends
    for text in (f"What {export} tells", "guest.memory", "4 GiB to 16 GiB"):
        assert "".join(text.split()) in told
    before = path.read_text(encoding="utf-8")
    code, _, err = call(capsys, *given)
    assert (code, path.read_text(encoding="utf-8")) == (2, before)
    assert err == f"clonesim: out={str(path)!r}: the file exists. Name another, or add --force.\n"


def test_json_is_everything(capsys, export):
    code, out, _ = call(capsys, "init", "--from", export, "--json")
    told, found = json.loads(out), prefill(export)
    assert code == 0
    assert told["scenario"] == found.scenario.to_dict()
    assert {row["key"]: row["value"] for row in told["measured"]}["pool.start"] == "2026-03-02"
    assert len(told["measured"]) + len(told["missing"]) == len(found.measured) + len(found.missing)
    assert (told["desktops"][0], told["rule"], told["notes"]) == ("W10-OFF-001", found.rule, list(found.notes))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--select", "x"], "select=['x']: it chooses desktops of an inventory. Add --from and the inventory."),
        (["--cluster", "c"], "cluster='c': it chooses desktops of an inventory. Add --from and the inventory."),
        (["--from", "EXPORT", "--folder", "nowhere"], "EXPORT: folder 'nowhere' fits none of 23 virtual machines; they "
         "have /. * stands for any letters, ? for one; templates and replicas do not count."),
        (["--from", "EXPORT", "--set", "pool=5"], "set='pool=5': an override is a table, a dot, a key, an equals sign "
         "and a value. Write for example 'guest.disk=60 GiB'."),
        (["nope", "--from", "EXPORT"], None),
        (["--from", "EXPORT.gone"], None),
    ],
)  # fmt: skip
def test_refused_without_a_traceback(capsys, export, tmp_path, argv, words):
    path = tmp_path / "own.toml"
    argv = [one.replace("EXPORT", str(export)) for one in argv]
    code, out, err = call(capsys, "init", *argv, "--out", path)
    assert (code, out, path.exists()) == (2, "", False)
    assert err.startswith("clonesim: ")
    assert "Traceback" not in err
    if words:
        assert err == f"clonesim: {words.replace('EXPORT', str(export))}\n"
