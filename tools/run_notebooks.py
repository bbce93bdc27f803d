"""Run the notebooks in place and keep what they show, without what changes from one run to the next.

    python tools/run_notebooks.py                          # all of them
    python tools/run_notebooks.py notebooks/01*.ipynb      # some
    python tools/run_notebooks.py --check                  # changes nothing; exit 1 if a text is not what is stored

Warnings are errors. Of a slider what it shows first is run and kept, so that the notebook can be read without a kernel.
Pictures are kept in 160 colours; times and versions are not kept.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
MOST_BYTES = 400_000
SECONDS = 900  # until a cell is given up
COLORS = 160
WIDGET = "application/vnd.jupyter.widget-view+json"
BEFORE = """
import warnings

import ipywidgets

warnings.simplefilter("error")


def interact(**options):
    def shown_once(function):
        box = ipywidgets.interactive(function, {"manual": True}, **options)
        function(**{one._kwarg: one.value for one in box.kwargs_widgets})
        return function

    return shown_once


ipywidgets.interact = interact
"""
AFTER = "warnings.resetwarnings()"  # the kernel's own end is none of the notebook's
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
VOLATILE = tuple(
    re.compile(each)
    for each in (r" at 0x[0-9a-f]{6,}", r"(?<![\w.])/(?:home|root|tmp|Users|var)/", re.escape(str(ROOT)))
)


def execute(path: Path, changes: Mapping[str, str] | None = None, folder: Path | None = None) -> NotebookNode:
    """Run a notebook and return it with its outputs; the file stays as it is.

    Parameters
    ----------
    path : Path
        Notebook.
    changes : mapping of str to str, optional
        Inputs of the first code cell that shall have other values, as Python writes them.
    folder : Path, optional
        Where it runs; a temporary folder by default.
    """
    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for name, value in (changes or {}).items():
        code[0].source, found = re.subn(rf"(?m)^{name} = [^#\n]*", f"{name} = {value}  ", code[0].source)
        if found != 1:
            raise SystemExit(f"{path.name}: the first cell has no input {name}")
    book.cells.insert(0, nbformat.v4.new_code_cell(BEFORE))
    book.cells.append(nbformat.v4.new_code_cell(AFTER))
    with tempfile.TemporaryDirectory() as temporary:
        client = NotebookClient(
            book,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder or temporary)}},
            store_widget_state=False,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
        client.execute()
    del book.cells[0], book.cells[-1]
    return tidy(book)


def tidy(book: NotebookNode) -> NotebookNode:
    """Leave out what changes from run to run."""
    number = 0
    for cell in book.cells:
        cell.metadata = NotebookNode({key: value for key, value in cell.metadata.items() if key == "tags"})
        if cell.cell_type != "code":
            continue
        number += 1
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _smaller(data["image/png"])
    book.metadata = nbformat.from_dict(KERNEL)
    return book


def _smaller(png: str) -> str:
    """Encode a picture with fewer colours."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        few = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode() + "\n"


def texts(book: NotebookNode) -> list[str]:
    """What the notebook says in words and tables, cell by cell."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            told = data.get("text/markdown") or (output.get("text") if "text" in output else data.get("text/plain", ""))
            found.append("".join(told))
    return found


def problems(book: NotebookNode, name: str) -> list[str]:
    """What must not be in a stored notebook."""
    found = []
    for number, cell in enumerate(book.cells):
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr" or output["output_type"] == "error":
                found.append(f"{name}, cell {number}: an error, or text on stderr")
            if WIDGET in output.get("data", {}):
                found.append(f"{name}, cell {number}: a widget that needs a kernel")
            words = "".join(str(output.get("data", {}).get(kind, "")) for kind in ("text/plain", "text/html"))
            words += "".join(output.get("text", ""))
            found += [
                f"{name}, cell {number}: shows {hit[0]!r}" for each in VOLATILE for hit in [each.search(words)] if hit
            ]
    size = len(nbformat.writes(book).encode())
    if size > MOST_BYTES:
        found.append(f"{name}: {size} B, more than {MOST_BYTES} B")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    parser.add_argument("--check", action="store_true", help="change nothing; compare the texts with what is stored")
    asked = parser.parse_args(arguments)
    wrong = []
    for path in asked.notebooks:
        begun = time.perf_counter()
        book = execute(path)
        wrong += problems(book, path.name)
        if asked.check:
            if texts(book) != texts(nbformat.read(path, as_version=4)):
                wrong.append(f"{path.name}: does not say what is stored")
        else:
            nbformat.write(book, path)
        size = len(nbformat.writes(book).encode())
        print(f"{path.name}: {time.perf_counter() - begun:.0f} s, {size / 1000:.0f} kB")
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
