"""What tests of the notebooks share: the tool that runs them, and where they are."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="nbformat is missing: pip install 'clonesim[notebooks]'")
pytest.importorskip("nbclient", reason="nbclient is missing: pip install 'clonesim[notebooks]'")
pytest.importorskip("ipykernel", reason="ipykernel is missing: pip install 'clonesim[notebooks]'")

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NUMBERED = {path.stem[:2]: path for path in NOTEBOOKS}


def _tool() -> Any:
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "tools" / "run_notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_notebooks"] = module
    spec.loader.exec_module(module)
    return module


TOOL = _tool()


def book_of(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_of(book: Any) -> list[str]:
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def answer_of(book: Any) -> str:
    """Text of the last cell, on one line."""
    return " ".join(TOOL.texts(book)[-1].split())


def number_after(text: str, pattern: str) -> float:
    """Number that a pattern's only group finds."""
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in {text!r}"
    return float(found[1].replace(",", ""))


def names_of_clonesim(source: str) -> set[str]:
    """What code takes from `cs`, such as "Volume" and "plots.plot_fill"."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            parts, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id == "cs":
                found.add(".".join(reversed(parts)))
    return found
