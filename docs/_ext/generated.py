"""Pages written from the source: commands, keys of a scenario, the public face, and copies of the notebooks.

A page has a line such as `<!-- generated: commands -->`; what stands for it is made at each build, so it cannot be out
of date.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from generated_api import api_text
from generated_commands import commands_text
from generated_keys import keys_text
from generated_limits import limits_text

DOCS = Path(__file__).resolve().parents[1]
MARK = re.compile(r"^<!-- generated: (\w+)(?: (.*?))? -->$", re.MULTILINE)


def pages_text(*names: str) -> str:
    """Entries of a toctree for those pages beside docs/index.md that exist."""
    return "\n".join(f"../{name}" for name in names if (DOCS / f"{name}.md").exists())


MAKERS = {"commands": commands_text, "keys": keys_text, "limits": limits_text, "api": api_text, "pages": pages_text}


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", copy_notebooks)
    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    return {"version": "1", "parallel_read_safe": True, "env_version": 1}


def fill(_: Any, __: str, source: list[str]) -> None:
    """Put what is generated in place of its marks."""
    source[0] = MARK.sub(lambda hit: MAKERS[hit[1]](*(hit[2] or "").split()), source[0])


def outdated(app: Any, *_: Any) -> list[str]:
    """Pages with something generated: the source may have changed though their text has not."""
    found = app.env.found_docs
    return [page for page in found if page.startswith("reference/") or page == "security"]


def copy_notebooks(app: Any, _: Any) -> None:
    """Copy notebooks/ to docs/notebooks/, which is not kept, and drop copies of those that are gone."""
    here = Path(app.srcdir)
    found = sorted((here.parent / "notebooks").glob("*.ipynb"))
    folder = here / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.ipynb"):
        if path.name not in {one.name for one in found}:
            path.unlink()
    for path in found:
        target = folder / path.name
        if not target.exists() or target.read_bytes() != path.read_bytes():
            shutil.copyfile(path, target)
