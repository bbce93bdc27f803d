"""Read a file of measured sizes for a fit: a plain CSV with its LUNs, or whatever listing the user has."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from clonesim.ingest.limits import most, or_raise
from clonesim.ingest.listing import read_listing
from clonesim.planning.growth_history import HistoryError

TIMES = ("date", "day")
KEPT = ("clone", "date", "day", "bytes", "lun", "pool")


def read_history(path: str | Path) -> pd.DataFrame:
    """Measured sizes of a file or folder, as `fit_growth` takes them.

    Parameters
    ----------
    path : str or Path
        A CSV with columns `clone`, `date` (or `day`, a number) and `bytes`, and perhaps `lun` and `pool`; or anything
        that `read_listing` reads: then there are no LUNs. Or a folder of such CSV files, one for each node or site.

    Raises
    ------
    HistoryError, InventoryError
        If it holds no sizes with dates.
    """
    path = Path(path)
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if files and all(_is_plain(file) for file in files):
        return pd.concat([_read_plain(file) for file in files], ignore_index=True)
    found = read_listing(path)
    if found.history.empty:
        notes = f" {found.notes[0]}" if found.notes else ""
        raise HistoryError(
            f"{path}: {found.kind} holds no sizes with dates.{notes}",
            "Give a folder of listings made on different days, or a CSV with columns clone, date and bytes.",
        )
    return found.history


def _read_plain(path: Path) -> pd.DataFrame:
    texts: dict[Hashable, Any] = {"clone": str, "lun": str, "pool": str}
    allowed = most("listing_rows")
    try:
        table = pd.read_csv(path, dtype=texts, compression=None, nrows=allowed + 1)
    except (ValueError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise HistoryError(f"{path}: {told}", "A CSV with columns clone, date and bytes is needed.") from None
    if len(table) > allowed:
        raise HistoryError(f"{path}: more than {allowed} rows", or_raise("listing_rows", "Split it", allowed))
    return table[[name for name in KEPT if name in table]]


def _is_plain(path: Path) -> bool:
    """Whether the first line heads the columns just as a fit names them."""
    if not path.is_file() or path.stat().st_size > most("document_bytes"):
        return False
    with path.open("rb") as file:
        head = file.readline(4096).decode("utf-8-sig", "replace").strip()
    names = {name.strip('"') for name in head.split(",")}
    return {"clone", "bytes"} <= names and bool(names & set(TIMES))
