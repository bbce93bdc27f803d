"""Lines of guest/, delta/ and lun/ that the tests of trials reach in plain Python, kernels too."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

NOT_RUN = r"@intrinsic|def emit_prefetch|if TYPE_CHECKING|@overload"


def lines_of(root: Path, kept: Path, settings: dict[str, Any]) -> dict[str, list[int]]:
    """Statements of each file and how many of them were reached.

    Parameters
    ----------
    root : Path
        The project.
    kept : Path
        Where the baselines lie, one JSON a group and file of tests.
    settings : dict
        Of mutation.toml.
    """
    from coverage.parser import PythonParser

    reached: dict[str, set[int]] = defaultdict(set)
    for file in sorted(kept.glob("*.json")):
        for path, lines in json.loads(file.read_text(encoding="utf-8"))["lines"].items():
            reached[path].update(lines)
    found: dict[str, list[int]] = {}
    for package in settings["packages"]:
        for file in sorted((root / package).glob("*.py")):
            parser = PythonParser(text=file.read_text(encoding="utf-8"), filename=str(file), exclude=NOT_RUN)
            parser.parse_source()
            path = file.relative_to(root).as_posix()
            hit = parser.translate_lines(reached[path]) & parser.statements
            if parser.statements:
                found[path] = [len(parser.statements), len(hit)]
    return found


def told(lines: dict[str, list[int]]) -> str:
    """A table: kernels and other files of each package, and the files with the most lines that are not reached."""
    rows = ["| files | statements | reached |", "| --- | ---: | ---: |"]
    groups: dict[str, list[list[int]]] = defaultdict(list)
    for path, pair in lines.items():
        kind = "kernels" if path.endswith("_kernel.py") else "other files"
        groups[f"`{path.split('/')[1]}/`, {kind}"].append(pair)
        groups["~all kernels" if kind == "kernels" else "~all other files"].append(pair)
    for name, pairs in sorted(groups.items()):
        size, hit = (sum(pair[k] for pair in pairs) for k in (0, 1))
        rows.append(f"| {name.removeprefix('~')} | {size:,} | {hit / size:.1%} |")
    return "\n".join(rows)
