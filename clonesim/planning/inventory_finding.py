"""One value of a scenario that an inventory tells: what, how it was found, of how many rows, how much they differ."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clonesim.scenario.fields import Section
from clonesim.scenario.model import SECTIONS
from clonesim.units import GIB, MIB, TIB

STORE = re.compile(r"\[([^\]]*)\] *")
MEASURED, DERIVED = "measured", "derived"
SIZES = {"guest.start.delta": "B"}  # sizes that are no catalog parameter


@dataclass(frozen=True, slots=True)
class Finding:
    """A value with where it comes from.

    Attributes
    ----------
    key : str
        Of the scenario, such as "guest.disk".
    value : object
        In the base unit: bytes, MHz, shares, names.
    kind : {"measured", "derived"}
        Read off, or concluded from what was read.
    tab, column : str
        Where it stands, by RVTools' names.
    statistic : str
        What was made of the rows, such as "median".
    rows : int
        How many there were. [1]
    low, high : object
        Their lowest and highest value; None where that means nothing.
    """

    key: str
    value: Any
    kind: str
    tab: str
    column: str
    statistic: str
    rows: int
    low: Any = None
    high: Any = None

    @property
    def unit(self) -> str:
        """Unit of the value, as the catalog has it."""
        return unit_of(self.key)

    @property
    def spread(self) -> str:
        """Lowest and highest value as text; empty if all rows say the same."""
        if self.low is None or self.low == self.high:
            return ""
        return f"{shown(self.low, self.unit)} to {shown(self.high, self.unit)}"

    @property
    def mark(self) -> str:
        """What stands above the value in a commented scenario."""
        spread = f", {self.spread}" if self.spread else ""
        return f"{self.kind}: {self.tab}, {self.column}: {self.statistic}; {counted(self.rows, 'row')}{spread}"

    def row(self) -> dict[str, Any]:
        """The finding as a row of a table."""
        return {
            "key": self.key,
            "value": self.value,
            "unit": self.unit,
            "kind": self.kind,
            "tab": self.tab,
            "column": self.column,
            "statistic": self.statistic,
            "rows": self.rows,
            "spread": self.spread,
        }


def unit_of(key: str) -> str:
    """Unit of a key of a scenario; "name" where the catalog knows none."""
    if key in SIZES:
        return SIZES[key]
    table, _, field = key.partition(".")
    model: type[Section] = SECTIONS[table]
    parameter = model.parameter(field)
    return parameter.unit if parameter else "name"


def shown(value: Any, unit: str) -> str:
    """A value in a few letters, rounded, for notes and spreads."""
    if unit == "B":
        size, name = next(((s, n) for s, n in ((TIB, "TiB"), (GIB, "GiB")) if value >= s), (MIB, "MiB"))
        return f"{value / size:.4g} {name}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value} {unit}" if unit == "MHz" else str(value)


def unlike(findings: list[Finding], keys: tuple[str, ...], what: str) -> list[str]:
    """Notes on those of some findings whose rows differ."""
    odd = [one for one in findings if one.key in keys and one.statistic in ("median", "most frequent value")]
    return [f"{one.key} differs between {what}: {one.spread}; the {one.statistic} is taken." for one in odd]


def counted(count: int, name: str) -> str:
    """A number with its name: "1 host", "2 hosts"."""
    return f"{count} {name}{'' if count == 1 else 's'}"


def typical(values: pd.Series) -> tuple[int, str]:
    """The value that most rows have, or the median where no value has more than half; and which of them it is.

    Parameters
    ----------
    values : Series
        Numbers without missing ones.
    """
    counts = values.value_counts()
    if counts.iloc[0] * 2 > len(values):
        return int(counts.index[0]), "all alike" if len(counts) == 1 else "most frequent value"
    return int(np.median(values.to_numpy(dtype=float))), "median"


def number(key: str, values: pd.Series, tab: str, column: str) -> Finding | None:
    """Finding of the typical one of some numbers above 0; None if there are none."""
    known = values.dropna()
    known = known[known > 0].astype("int64")
    if known.empty:
        return None
    value, statistic = typical(known)
    return Finding(key, value, MEASURED, tab, column, statistic, len(known), int(known.min()), int(known.max()))


def stores_of(paths: pd.Series) -> pd.Series:
    """Datastores of paths such as "[datastore] folder/file"; missing where a path names none."""
    return paths.str.extract(STORE)[0].astype("string")


def rows_of(frame: pd.DataFrame, vms: pd.DataFrame) -> pd.DataFrame:
    """Rows of a tab that belong to some machines: by identifier where all rows have one, else by name."""
    key = next(
        (k for k in ("vm_uuid", "vm_id") if frame.get(k) is not None and _full(frame, k) and _full(vms, k)), "vm"
    )
    return frame[frame[key].isin(vms[key])]


def _full(frame: pd.DataFrame, key: str) -> bool:
    return bool(frame[key].notna().all())
