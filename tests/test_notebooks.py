"""Every notebook runs from its first cell to its last, and says so itself: its code is run as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path):
    mpl.use("Agg")
    book = json.loads(path.read_text(encoding="utf-8"))
    space: dict[str, object] = {}
    for number, cell in enumerate(book["cells"]):
        if cell["cell_type"] == "code":
            assert not cell["outputs"], f"cell {number} is stored with outputs: clear them"
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), space)
    mpl.pyplot.close("all")
