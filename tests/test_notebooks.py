"""Every notebook runs with warnings as errors and says what is stored; what it says is checked against other sources.

Running all of them takes some three minutes on two cores; pytest -k "not runs" leaves that out.
"""

from __future__ import annotations

import ast
import re

import matplotlib as mpl
import pytest
from conftest import ROOT
from matplotlib import pyplot as plt
from notebook_tools import (
    NOTEBOOKS,
    NUMBERED,
    TOOL,
    answer_of,
    book_of,
    code_of,
    names_of_clonesim,
    nbformat,
    number_after,
)

import clonesim as cs
from clonesim import plots

EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
CLAIMS = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")


def claimed(figure: str) -> float:
    """Figure of docs/claims.md, which has tests of its own."""
    return number_after(CLAIMS, rf"\| {re.escape(figure)} \| ([\d.,]+)")


def test_all_notebooks_are_there():
    assert list(NUMBERED) == [f"{number:02d}" for number in range(8)]


@EACH
def test_it_begins_with_the_question_and_ends_with_the_answer(path):
    book = book_of(path)
    assert book.cells[0].source.startswith("# ")
    assert "**Question.**" in book.cells[0].source
    assert "?**" in " ".join(book.cells[0].source.split())
    assert book.cells[-2].source == "## Answer"
    assert set(book.cells[-1].outputs[0].data) == {"text/markdown", "text/plain"}


@EACH
def test_its_inputs_stand_in_the_first_cell(path):
    first = ast.parse(code_of(book_of(path))[0])
    assert ast.unparse(first.body[0]) == "import clonesim as cs"
    inputs = first.body[1:]
    assert all(isinstance(one, ast.Assign) for one in inputs)
    assert 3 <= len(inputs) <= 6


@EACH
def test_it_uses_the_public_face_only(path):
    code = "\n".join(code_of(book_of(path)))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("clonesim")
        elif isinstance(node, ast.Import):
            assert all(one.name != "clonesim" or one.asname == "cs" for one in node.names)
            assert not any(one.name.startswith("clonesim.") for one in node.names)
    for name in names_of_clonesim(code):
        if name.startswith("plots."):
            assert name.removeprefix("plots.") in plots.__all__
        else:
            assert name == "plots" or name in cs.__all__


@EACH
def test_its_answer_is_computed(path):
    """The text of the answer holds no fraction and no long number by itself; those come from what was simulated."""
    last = ast.parse(code_of(book_of(path))[-1])
    typed = [
        part.value
        for node in ast.walk(last)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
        if isinstance(part, ast.Constant)
    ]
    assert sum(isinstance(node, ast.FormattedValue) for node in ast.walk(last)) >= 8
    assert not re.findall(r"\d+\.\d+|\d{4,}", " ".join(typed))


@EACH
def test_what_is_stored_is_small_and_tidy(path):
    book = book_of(path)
    assert TOOL.problems(book, path.name) == []
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    pictures = [cell for cell in code if any("image/png" in output.get("data", {}) for output in cell.outputs)]
    assert pictures, "a notebook without a picture"
    for cell in pictures:  # each chart has its text beside it, or is one of a slider, which the texts tell of
        assert "describe(" in cell.source or "@interact" in cell.source or "draw_" in cell.source


@EACH
def test_it_runs_and_says_what_is_stored(path):
    run = TOOL.execute(path)
    assert TOOL.problems(run, path.name) == []
    assert TOOL.texts(run) == TOOL.texts(book_of(path)), f"run python tools/run_notebooks.py notebooks/{path.name}"


@pytest.mark.parametrize(
    ("number", "changes", "told", "pattern", "low", "high"),
    [
        (
            "01",
            {"ROUNDS": "3", "FILE": '"512 MiB"'},
            "writes 3 times 512 MiB",
            r"and \*\*([\d.]+) GiB\*\* \(fresh",
            1.5,
            1.6,
        ),
        ("07", {"HOLD_MS": "100"}, "With 100 ms a step", r"longest wait is \*\*([\d,]+) ms", 100, 1e5),
    ],
)
def test_other_inputs_give_another_answer_when_it_runs(number, changes, told, pattern, low, high):
    answer = answer_of(TOOL.execute(NUMBERED[number], changes))
    assert told in answer
    assert low < number_after(answer, pattern) < high
    assert not low < number_after(answer_of(book_of(NUMBERED[number])), pattern) < high


def test_00_has_the_verdicts_and_figures_of_the_page():
    book = book_of(NUMBERED["00"])
    rows = re.findall(r"^\| (C\d+) \| (.*) \| (.*) \|$", "\n".join(cell.source for cell in book.cells), re.MULTILINE)
    page = re.findall(r"^\| \[(C\d+)\]\(#c\d+\) \| (.*) \| (.*) \|$", CLAIMS, re.MULTILINE)
    assert rows == page
    assert len(rows) == 18
    answer = answer_of(book)
    assert number_after(answer, r"if the policy is fresh-first: ([\d.]+) GiB") == claimed(
        "delta after ten rounds, fresh-first"
    )
    assert number_after(answer, r"has ([\d.]+) MiB") == claimed("overlay of a real driver (ntfs-3g on Linux), measured")


def test_01_agrees_with_the_claims_and_with_counting():
    """Ten files of 1 GiB that never share a cluster would come to 10 GiB; sharing one place, to 1 GiB and metadata."""
    answer = answer_of(book_of(NUMBERED["01"]))
    assert number_after(answer, r"and \*\*([\d.]+) GiB\*\* \(fresh-first\)") == claimed(
        "delta after ten rounds, fresh-first"
    )
    assert number_after(answer, r"between \*\*([\d.]+) GiB\*\*") == claimed("delta after ten rounds, best-fit") >= 1
    assert number_after(answer, r"uses \*\*([\d.]+) GiB\*\* more") == 0
    assert number_after(answer, r"ends at \*\*([\d.]+) GiB\*\*") < 1.2


def test_02_band_and_delta_fit_together():
    answer = answer_of(book_of(NUMBERED["02"]))
    written = number_after(answer, r"has written \*\*([\d.]+) GiB")
    delta = number_after(answer, r"a delta of \*\*([\d.]+) GiB")
    most = number_after(answer, r"and \*\*([\d.]+) GiB\*\* under fresh-first")
    assert delta < most < written + 1
    run = cs.simulate("windows-11-office", seed=1, pool={"clones": 24, "days": 60})
    last = run.growth[run.growth["day"] == 59]
    assert written == pytest.approx(last.groupby("clone")["written_bytes"].sum().median() / 2**30, abs=0.05)


def test_03_growth_does_not_bite_and_power_operations_do():
    """As docs/does-locking-bite.md: at 5 ms and 8 hosts reservations pass from 32 clones on, in a boot storm only."""
    book = book_of(NUMBERED["03"])
    answer = answer_of(book)
    assert "**in: boot storm**" in answer
    assert "With ATS the wait passes 20 ms in no phase" in answer
    table = next(text for text in TOOL.texts(book) if "host failure" in text and "never" in text)
    row = next(line for line in table.splitlines() if line.startswith("scsi-reservation"))
    assert row.split()[-5:] == ["never", "32", "clones", "8", "clones"]


def test_04_a_quarter_more_growth_is_more_risk_and_the_policy_matters_most():
    answer = answer_of(book_of(NUMBERED["04"]))
    clones = number_after(answer, r"takes \*\*(\d+) clones")
    assert 1 <= clones <= 32
    assert "create and delete one file ten times" in answer
    assert number_after(answer, r"growth is (\d+) % higher") == 25
    assert number_after(answer, r"a datastore is full in (\d+) % of") > 5
    assert number_after(answer, r"and (\d+) GiB are missing") > 0
    assert number_after(answer, r"tell a risk of 5 %: (\d+) are needed") == 59  # 1 - 0.95 ** (1 / 59) < 0.05 <= ... 58


def test_05_spends_and_saves_come_to_the_net():
    book = book_of(NUMBERED["05"])
    table = next(output for cell in book.cells for output in cell.get("outputs", ()) if "spends_most_on" in str(output))
    rows = re.findall(r"<td>(-?[\d.]+)</td>\s*<td>(-?[\d.]+)</td>\s*<td>(-?[\d.]+)</td>", table["data"]["text/html"])
    assert len(rows) == 4
    for spends, saves, net in rows:
        assert float(saves) - float(spends) == pytest.approx(float(net), abs=0.011)


def test_06_finds_the_truth_and_follows_the_measured_driver():
    answer = answer_of(book_of(NUMBERED["06"]))
    assert number_after(answer, r"ntfs3g makes a delta nearest to the measured [\d.]+ MiB \(([\d.]+) % off") < 0.1
    assert "finds **fresh-first**" in answer
    low = number_after(answer, r"interval ([\d.]+) to")
    high = number_after(answer, r"interval [\d.]+ to ([\d.]+)")
    assert low <= 0.7 <= high
    assert high - low < 0.6
    fit, last, line = (
        number_after(answer, pattern)
        for pattern in (r"off by \*\*(\d+\.\d)", r"last value by (\d+\.\d)", r"straight line by (\d+\.\d)")
    )
    assert fit < last < line


def test_06_takes_a_file_of_ones_own(tmp_path):
    """The first four cells, with dated sizes of three clones that grow by 64 MiB a week."""
    mpl.use("Agg")
    path = tmp_path / "sizes.csv"
    rows = [f"vm{k},2026-0{1 + w // 4}-{1 + 7 * (w % 4):02d},{(w + k) * 2**26}" for k in (1, 2, 3) for w in range(12)]
    path.write_text("\n".join(["clone,date,bytes", *rows]))
    code = code_of(book_of(NUMBERED["06"]))
    space: dict[str, object] = {}
    exec(code[0].replace("MEASURED = None", f"MEASURED = {str(path)!r}"), space)
    for source in code[1:4]:
        exec(source, space)
    plt.close("all")
    assert len(space["measured"]) == 36
    assert space["scores"].loc["fit", "mae"] < space["scores"].loc["last", "mae"] / 2
    assert space["past"]["bytes"].iloc[-1] == (12 + 13 + 14) * 2**26


def test_07_sizes_are_those_of_the_bytes_counted_one_by_one():
    """Distinct sectors counted in a set of Python, not by the engine."""
    trace = cs.read_trace(cs.packaged_trace())
    requests = trace.requests[trace.requests.writes]
    sectors = set()
    for offset, length in zip(requests.offset.tolist(), requests.length.tolist(), strict=True):
        sectors.update(range(offset // 512, -(-(offset + length) // 512)))
    answer = answer_of(book_of(NUMBERED["07"]))
    assert number_after(answer, r"to ([\d,]+) MiB of distinct places") == round(len(sectors) * 512 / 2**20)
    assert number_after(answer, r"the trace writes ([\d,]+) MiB") == round(int(requests.length.sum()) / 2**20)


def test_a_warning_stops_a_notebook_when_it_runs(tmp_path):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import warnings; warnings.warn('careful')")])
    path = tmp_path / "warns.ipynb"
    nbformat.write(book, path)
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="careful"):
        TOOL.execute(path)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (nbformat.v4.new_output("stream", name="stderr", text="x"), "stderr"),
        (nbformat.v4.new_output("stream", name="stdout", text="in /home/someone/x"), "'/home/'"),
        (nbformat.v4.new_output("stream", name="stdout", text="<Axes at 0x7f00aa11>"), "0x7f00aa11"),
        (nbformat.v4.new_output("stream", name="stdout", text="x" * 500_000), "more than 400000 B"),
        (nbformat.v4.new_output("display_data", {TOOL.WIDGET: {"model_id": "1"}}), "needs a kernel"),
    ],
)
def test_what_must_not_be_stored_is_found(output, told):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    assert any(told in problem for problem in TOOL.problems(book, "a.ipynb"))


def test_an_unknown_input_is_refused():
    with pytest.raises(SystemExit, match="no input SPEED"):
        TOOL.execute(NUMBERED["01"], {"SPEED": "1"})
