"""Results of a run on disk: tables and one JSON file that says how they came about."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from clonesim.errors import ParameterError

TABLE_FORMATS = ("parquet", "csv")
VERSIONS = ("clonesim", "numpy", "numba", "pandas", "pyarrow")


def check_table_format(name: str) -> str:
    """Hand back a known table format; a ParameterError lists them."""
    if name not in TABLE_FORMATS:
        raise ParameterError("tables", name, f"allowed are {', '.join(map(repr, TABLE_FORMATS))}")
    return name


def save_run(
    folder: str | Path,
    table_format: str,
    tables: Mapping[str, pd.DataFrame],
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> list[Path]:
    """Write tables and `run.json` (parameters, versions, summary) into a folder, which is made if need be.

    Each file is written beside its place and then moved there, so that an interrupted run leaves no half file. Nothing
    in them depends on the clock or the machine: the same run writes the same bytes.
    """
    check_table_format(table_format)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in tables.items():
        if table_format == "csv":
            write = partial(frame.to_csv, index=False, lineterminator="\n")
        else:
            write = partial(frame.to_parquet, index=False)
        paths.append(write_whole(folder / f"{name}.{table_format}", write))
    record = {
        "parameters": dict(parameters),
        "summary": dict(summary),
        "tables": [path.name for path in paths],
        "versions": versions(),
    }
    text = to_json(record)
    return [*paths, write_whole(folder / "run.json", lambda part: part.write_text(text, encoding="utf-8"))]


def versions() -> dict[str, str]:
    """Versions of what a result rests on."""
    return {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}


def write_whole(path: Path, write: Callable[[Path], Any]) -> Path:
    """Let a file be written beside its place, then move it there: it is there as a whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    part.replace(path)
    return path


def to_json(value: Any) -> str:
    """JSON text with null for what is no number; other programs refuse a bare NaN."""
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
