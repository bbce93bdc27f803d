"""The documentation is true as far as a machine can tell: examples run, commands, options and names exist."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import sys

import pytest
from conftest import ROOT
from doc_tools import PAGES, PROMPT, command_lines, page_id, prompts, python_blocks

import clonesim

sys.path.append(str(ROOT / "docs" / "_ext"))

from generated_commands import commands, commands_text, options
from generated_keys import keys_text

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
README = ROOT / "README.md"
TOLD = [*PAGES, README]
MODULES = sorted(p for p in (ROOT / "clonesim").rglob("*.py") if PROMPT in p.read_text(encoding="utf-8"))


def run_doctest(test: doctest.DocTest) -> str:
    """What went wrong, or nothing."""
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failed = runner.run(test, out=told.append, clear_globs=False).failed
    return "".join(told) if failed else ""


@pytest.mark.parametrize("path", [p for p in TOLD if PROMPT in p.read_text(encoding="utf-8")], ids=page_id)
def test_examples_of_a_page_run(path):
    text = prompts(path.read_text(encoding="utf-8"))
    test = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    assert test.examples
    assert not (told := run_doctest(test)), told


@pytest.mark.parametrize("path", MODULES, ids=page_id)
def test_examples_of_a_module_run(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert found, f"{path} has examples that are found nowhere"
    for test in found:
        assert not (told := run_doctest(test)), told


def test_there_are_examples():
    assert len(MODULES) > 25
    assert sum(PROMPT in path.read_text(encoding="utf-8") for path in PAGES) >= 1


@pytest.fixture(scope="module")
def program():
    """Options of every command, by its full name."""
    return {name.removeprefix("clonesim "): command for name, command in commands()}


def check_command(words: list[str], program) -> str:
    """What is wrong with a command line, or nothing."""
    words = words[1:]
    if not words or words[0].startswith("-"):
        return ""
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in program), None)
    if name is None:
        groups = {key.split()[0] for key in program}
        return "" if len(words) == 1 and words[0] in groups else f"there is no command {words[0]!r}"
    known = {text for one in options(program[name]) for text in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    asked = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
    wrong = [word for word in asked if word not in known]
    return f"{name} has no option {wrong}" if wrong else ""


@pytest.mark.parametrize("path", TOLD, ids=page_id)
def test_commands_and_options_of_a_page_exist(path, program):
    told = [
        " ".join(words) + ": " + wrong
        for words in command_lines(path.read_text(encoding="utf-8"))
        if (wrong := check_command(words, program))
    ]
    assert not told, told


def test_the_check_of_commands_can_fail(program):
    assert "no command" in check_command(["clonesim", "fly"], program)
    assert "no option" in check_command(["clonesim", "run", "--wings", "2"], program)
    assert not check_command(["clonesim", "probe", "fit", "x.json"], program)


@pytest.mark.parametrize("path", TOLD, ids=page_id)
def test_names_in_code_of_a_page_exist(path):
    for tree in python_blocks(path.read_text(encoding="utf-8")):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clonesim"):
                module = importlib.import_module(str(node.module))
                missing = [one.name for one in node.names if not hasattr(module, one.name)]
                assert not missing, f"{path.name}: {node.module} has no {missing}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cs":
                assert hasattr(clonesim, node.attr), f"{path.name}: clonesim has no {node.attr}"


def test_every_command_is_in_the_reference_with_an_example():
    text = commands_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    names = [section.splitlines()[0] for section in sections]
    assert names == [name for name, _ in commands()]
    assert {"clonesim run", "clonesim probe fit", "clonesim claims"} <= set(names)
    for name, section in zip(names, sections, strict=True):
        assert f"```sh\n{name}" in section, f"{name} has no example"


def test_every_key_of_a_scenario_is_in_the_reference_with_a_meaning():
    from clonesim.scenario.model import SECTIONS

    rows = [line for line in keys_text().splitlines() if line.startswith("| `")]
    told = {row.split("`")[1]: row.split(" | ")[1] for row in rows}
    wanted = {f"{name}.{field}" for name, model in SECTIONS.items() for field in model.model_fields}
    assert told.keys() == wanted
    assert not [key for key, meaning in told.items() if len(meaning) < 8]


@pytest.mark.parametrize("path", TOLD, ids=page_id)
def test_links_between_files_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"
