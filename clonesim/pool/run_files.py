"""Results of a run on disk: tables and one JSON file that says how they came about."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from clonesim.errors import ParameterError
from clonesim.pool.store import Store

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

    Each file is there as a whole or not at all, `run.json` last. Nothing in them depends on the clock or the machine:
    the same run writes the same bytes. Handed back are the files' paths; none of a remote folder.
    """
    check_table_format(table_format)
    store, names = Store(folder), []
    for name, frame in tables.items():
        if table_format == "csv":
            data = frame.to_csv(index=False, lineterminator="\n").encode()
        else:
            data = frame.to_parquet(index=False)
        names.append(f"{name}.{table_format}")
        store.put(names[-1], data, final=True)
    record = {
        "parameters": dict(parameters),
        "summary": dict(summary),
        "tables": list(names),
        "versions": versions(),
    }
    store.put("run.json", to_json(record).encode(), final=True)
    return [Path(store.place(name)) for name in (*names, "run.json")] if store.local else []


def versions() -> dict[str, str]:
    """Versions of what a result rests on."""
    return {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}


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


def finished_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Runs whose tables are all in a folder, or in folders below it: where, how many desktops, days, replicates.

    A folder has its `run.json` only after all its tables.
    """
    found = []
    for path in sorted(Path(folder).rglob("run.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            told = {name: record["summary"][name] for name in ("desktops", "days", "replicates")}
            seed = record["parameters"]["seed"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of another command, or not ours
        found.append({"folder": path.parent.relative_to(folder).as_posix(), **told, "seed": seed})
    return found
