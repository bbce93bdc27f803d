"""Every command with the example of its help: as tables that fit, and as the JSON that docs/json.md tells of."""

import importlib
import json
from importlib.util import find_spec

import pytest
from terminal_tools import FEWER, commands, documented, examples, make_files, matches, misfits, paths

from clonesim import cli
from clonesim.cli import runs

COMMANDS = commands()
run_pool = runs._run_pool
NO_JSON = ("demo", "app")
MORE = {
    "run --trace": "run --trace packaged --clones 4 --hosts 8 --window 2min --interval 1min",
    "run ESTATE": "run estate.toml",
    "run ESTATE --sample": "run estate.toml --sample 48",
    "init --estate": "init --estate",
    "init --from": "init --from RVTools_export.xlsx --out my.toml",
    "claims": "claims",
    "catalog": "catalog",
}
LONG = {  # simulated once for both forms
    "clonesim.planning": ["size", "plan_density"],
    "clonesim.planning.lock_map": ["lock_pool", "lock_map"],
    "clonesim.planning.lock_sensitivity": ["lock_sensitivity"],
    "clonesim.planning.compare": ["compare"],
    "clonesim.planning.sensitivity": ["sensitivity"],
    "clonesim.planning.calibrate": ["calibrate"],
    "clonesim.planning.probe": ["fit_probe"],
}
FOR_COPYING = {"init", "collect", "counters", "inspect"}  # print lines for files, which stay whole


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def run(capsys, words):
    code = cli.main(list(words))
    done = capsys.readouterr()
    assert code == 0, done.err
    assert "\x1b" not in done.out + done.err
    return done.out


def once(monkeypatch, module, name):
    """Let a function of a module work once, and give the same result again."""
    place, kept = importlib.import_module(module), []
    function = getattr(place, name)

    def remembered(*given, **options):
        if not kept:
            kept.append(function(*given, **options))
        return kept[0]

    monkeypatch.setattr(place, name, remembered)


def small_pool(scenario, settings, seed, replicates, band, *rest):
    """What `clonesim demo` ends with, for fewer clones and days."""
    return run_pool(scenario, [*settings, "pool.clones=4", "pool.days=3"], seed, replicates, "2", *rest)


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(runs, "_run_pool", small_pool if "demo" in request.node.name else run_pool)
    for module, names in LONG.items():
        for name in names:
            once(monkeypatch, module, name)
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_in_the_help_runs(name, here, capsys):
    if name == "app" and not find_spec("panel"):
        pytest.skip("the planner page needs clonesim[app]")
    words = examples(COMMANDS[name])[0] + FEWER.get(name, "").split()
    make_files(here, words)
    before = set(here.rglob("*"))
    out = run(capsys, words)
    assert out or set(here.rglob("*")) != before
    wide = [line for line in out.splitlines() if len(line) > 80]
    assert not wide or name in FOR_COPYING
    assert not any(" ───" in line for line in wide)  # no table
    if name in NO_JSON:
        return
    for path in set(here.rglob("*")) - before:
        if path.is_file():
            path.unlink()  # some commands write no file that is there
    told = strict(run(capsys, [*words, "--json"]))
    assert misfits({"claims": "claims NAME"}.get(name, name), told) == []


@pytest.mark.parametrize("section", MORE)
def test_the_json_of_other_forms_is_documented(section, here, capsys):
    words = MORE[section].split()
    make_files(here, words)
    assert misfits(section, strict(run(capsys, [*words, "--json"]))) == []


def test_all_commands_with_json_are_documented():
    told = {section.removesuffix(" NAME") for section in documented()} - (MORE.keys() - COMMANDS.keys())
    assert told == {name for name in COMMANDS if name not in NO_JSON}
    for name, command in COMMANDS.items():
        assert any("--json" in one.opts for one in command.params) == (name not in NO_JSON)


def test_endings_of_keys_tell_the_unit():
    for section, rows in documented().items():
        for key, unit, _ in rows:
            if key.endswith("_bytes"):
                assert unit in ("B", "any"), (section, key)
            if key.endswith("_s") and not key.endswith("_per_s"):
                assert unit == "s", (section, key)
            if key.endswith("_d"):
                assert unit == "d", (section, key)


def test_what_the_page_does_not_tell_is_found():
    told = {"script": "x.ps1", "self_contained": 1, "more": [{"a": 1}]}
    assert misfits("probe script", told) == [
        "not documented: more[].a = 1",
        "self_contained = 1 is not of unit ['bool']",
    ]
    assert misfits("probe script", {"script": None}) == ["documented, but not there: self_contained"]
    assert matches("a.<b>[]", "a.c-d[]")
    assert not matches("a.b", "a.b.c")
    assert paths({"a": [{"b": 1}, {"b": 2}], "c": []}) == [("a[].b", 1), ("a[].b", 2), ("c", [])]
