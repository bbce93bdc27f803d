"""docs/claims.md: no verdict without evidence, and the figures are those that the code gives."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path

import pytest
from conftest import ROOT

from clonesim.cli import main
from clonesim.errors import ParameterError
from clonesim.planning.claims import CLAIMS, NAMES, Figure, claim, claim_frame

CHEAP = ("C3", "C4", "C10", "C13", "C14", "C16", "C18")  # a few seconds together
SLOW = tuple(name for name in NAMES if name not in CHEAP)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")


def page_tool():
    spec = importlib.util.spec_from_file_location("claims_page", ROOT / "tools" / "claims_page.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["claims_page"] = module
    spec.loader.exec_module(module)
    return module


TOOL = page_tool()
TEXT = TOOL.PAGE.read_text(encoding="utf-8")
PAGE = TOOL.sections(TEXT)


def numbers(text: str) -> set[str]:
    return {hit.replace(",", "") for hit in NUMBER.findall(text)}


def test_every_claim_is_there():
    assert tuple(PAGE) == NAMES
    assert [one.name for one in CLAIMS] == [f"C{n}" for n in range(1, 19)]


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_has_verdict_figures_assumptions_and_command(name):
    section = PAGE[name]
    assert section.claim
    assert section.word in ("holds", "holds if", "does not hold", "cannot be told")
    assert len(section.verdict) > 20
    assert section.figures
    assert len(section.rests_on) > 20
    assert f"`clonesim claims {name}`" in section.again


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_a_verdict_stand_in_its_figures(name):
    """No verdict without evidence: each number is a figure, a part of a figure's name, or of the claim."""
    section = PAGE[name]
    known = numbers(section.claim)
    for figure, value in section.figures.items():
        known |= numbers(figure) | numbers(value)
    known |= {number.partition(".")[0] for number in known if number.endswith((".0", ".00"))}
    assert not numbers(section.verdict) - known


def test_the_list_of_verdicts_is_that_of_the_sections():
    assert TOOL.with_verdicts(TEXT) == TEXT, "run python tools/claims_page.py C18"
    listed = re.search(r"<!-- verdicts -->\n(.*?)\n<!-- end", TEXT, re.DOTALL)[1].splitlines()[2:]
    assert len(listed) == len(NAMES)


@pytest.mark.parametrize("name", CHEAP)
def test_figures_are_those_that_are_computed(name):
    assert TOOL.computed(name) == PAGE[name].figures, f"run python tools/claims_page.py {name}"


@pytest.mark.parametrize("name", SLOW)
def test_slow_figures_are_those_that_are_computed(name):
    if os.environ.get("CLAIMS") != "all":
        pytest.skip("takes minutes: CLAIMS=all pytest tests/test_claims.py does it")
    assert TOOL.computed(name) == PAGE[name].figures, f"run python tools/claims_page.py {name}"


def test_the_comparison_can_fail():
    changed = TOOL.with_figures(TEXT, "C4", {"delta": "1 GiB"})
    assert TOOL.sections(changed)["C4"].figures == {"delta": "1 GiB"}
    assert TOOL.sections(changed)["C3"] == PAGE["C3"]


def test_a_figure_says_what_it_has():
    assert Figure("", 1234.567, "GiB", 1).text == "1,234.6 GiB"
    assert Figure("", -0.2).text == "0"
    assert Figure("", None).text == "never"
    assert Figure("", float("inf"), "ms").text == "no end"


def test_the_example_of_2008_is_the_arithmetic_of_the_claim():
    found = claim_frame(["C13"]).set_index("figure")["value"]
    assert found["desktops admitted on 8 hosts, one failure tolerated"] == 7 * (21000 // 256)
    assert found["host failures claimed with 300 desktops on"] == 8 - -(-300 // (21000 // 256))
    assert found["memory after one failure"] == pytest.approx(90 * 8 / 7, rel=1e-6)


def test_spending_is_not_netted_away():
    found = claim_frame(["C18"]).set_index("figure")["value"]
    assert found["spends on licences, 100 desktops"] == 100 * 10
    assert found["saves on storage"] == (1500 - 500) * 2
    assert found["left"] == 2000 - 1000


def test_the_measured_overlay_is_that_of_the_file():
    rows = (ROOT / "data" / "measured" / "blog_1.csv").read_text().splitlines()
    measured = int(rows[-1].rpartition(",")[2]) / 2**20
    found = claim_frame(["C3"]).set_index("figure")["value"]
    assert found["overlay of a real driver (ntfs-3g on Linux), measured"] == measured
    assert found["the same run under ntfs3g, simulated"] == measured
    assert found["the same run under fresh-first, simulated"] > 2 * measured


def test_an_unknown_claim_is_refused():
    with pytest.raises(ParameterError, match=r"claim='C0': claims are C1 to C18"):
        claim("C0")
    assert main(["claims", "C19"]) == 2


def test_the_command_lists_and_computes(capsys):
    assert main(["claims"]) == 0
    listed = capsys.readouterr().out
    assert all(one.title in listed for one in CLAIMS)
    assert max(map(len, listed.splitlines())) <= 80
    assert main(["claims", "c18", "C13", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["C18", "C13"]
    assert told["C18"]["figures"][2] == {"figure": "left", "value": 1000.0, "unit": "", "text": "1,000"}


def test_the_measurements_come_with_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"data" = "clonesim/data"' in text
    assert Path(TOOL.PAGE).is_file()
