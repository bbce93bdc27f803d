"""What a comparison of strategies says in words: titles of tiers, names of strategies, verdicts."""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from clonesim.errors import ParameterError
from clonesim.planning.compare import Comparison
from clonesim.planning.density import NOTHING
from clonesim.planning.student import student
from clonesim.scenario import catalog
from clonesim.scenario.strategy import TOPIC, parse_strategies
from clonesim.words import METRICS, between, number, off, sized

Row: TypeAlias = dict[Any, Any]

NAME_WIDTH: Final = 22  # letters in a line of a strategy's name
LEAST_SHARE: Final = 0.01  # smaller differences, as a share of the base's figure, are "about the same"

TIERS: Final = {
    "os_bytes": "system disk's delta",
    "user_bytes": "persistent disk",
    "disposable_bytes": "disposable disk",
    "cache_bytes": "write cache on disk",
    "share_bytes": "file shares",
    "replica_bytes": "base images",
    "swap_bytes": "swap files",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """How a column's difference is told.

    Attributes
    ----------
    column : str
        Of `Comparison.frame`.
    title : str
        Behind the figure.
    unit : str
        "B", "s", "h" or "1".
    """

    column: str
    title: str
    unit: str

    def told(self, value: float) -> str:
        """Figure and title."""
        size = abs(value)
        if self.unit == "B":
            figure = sized(size)
        elif self.unit == "s":
            figure = f"{number(size)} s" if size >= 1 else f"{number(1e3 * size)} ms"
        else:
            figure = f"{number(size)} {'' if self.unit == '1' else self.unit}".rstrip()
        return f"{figure} {self.title}"


STORAGE: Final = Quantity("storage_bytes", "of storage per desktop", "B")
QUANTITIES: Final = (
    Quantity("luns_needed", "LUNs for all desktops", "1"),
    Quantity("written_a_day_bytes", "of writes a day", "B"),
    Quantity("increments_a_day", "increments a day", "1"),
    Quantity("iops_max60", "I/Os a second on its LUN in the worst minute", "1"),
    Quantity("elsewhere_iops_max60", "I/Os a second on other storage in the worst minute", "1"),
    Quantity("wait_p99_s", "of lock wait (p99, worst hour)", "s"),
    Quantity("network_a_day_bytes", "of network traffic a day", "B"),
    Quantity("logon_bytes", "written at a logon", "B"),
    Quantity("logon_added_s", "of waiting at each logon", "s"),
)


EVENTS: Final = {  # how system disks are set back, where it is not a refresh
    "provisioned-streaming": "Each restart empties the cache and",
    "mcs": "Each restart empties the disk and",
    "instant-clone": "Each logoff deletes the clone and",
    "rebalance": "Each move",
    "recompose": "Each recompose",
}


def broken(label: str, width: int = NAME_WIDTH) -> str:
    """Name of an alternative in lines of so many letters at most, broken where its strategies and parameters begin."""
    lines = [""]
    for piece in re.split(r"(?=\+(?![^(]*\)))|(?=\()|(?<=;)(?= )", label):
        if len(lines[-1]) + len(piece) <= width:
            lines[-1] += piece
        else:
            lines += textwrap.wrap(piece.strip(), width) or [""]
    return "\n".join(line for line in lines if line)


def strategies_in(label: str) -> tuple[str, ...]:
    """Strategies of the catalog that an alternative's name is made of; none where the name is the user's own."""
    try:
        return tuple(str(table["name"]) for _, tables in parse_strategies(label) for table in tables)
    except ParameterError:
        return ()


def pareto(frame: pd.DataFrame) -> list[str]:
    """Strategies that no other one beats in storage and in state lost at a refresh, by rising storage."""
    best = math.inf
    found = []
    for row in frame.sort_values(["storage_bytes", "state_lost_bytes"], kind="stable").to_dict("records"):
        if row["state_lost_bytes"] < best:
            best = row["state_lost_bytes"]
            found.append(str(row["strategy"]))
    return found


def comparison_verdict(comparison: Comparison) -> list[str]:
    """Sentences: least storage of all, least storage without losing anything, and how sure the order is."""
    rows = _by_strategy(comparison.frame)
    least = min(rows, key=lambda label: float(rows[label]["storage_bytes"]))
    kept = [label for label, row in rows.items() if not row["state_lost_bytes"]]
    found = [_least("Least storage", rows, least)]
    if least not in kept and kept:
        safe = min(kept, key=lambda label: float(rows[label]["storage_bytes"]))
        found.append(_least("Least storage with nothing of the user's own lost", rows, safe))
    close = [label for label in rows if label != least and _close(comparison.samples, label, least)]
    if close:
        found.append(f"Not told apart from the least: {', '.join(close)}.")
    return found + [f"Under {comparison.base} {text}" for text in _outage(rows[comparison.base])]


def _by_strategy(frame: pd.DataFrame) -> dict[str, Row]:
    return {str(row["strategy"]): row for row in frame.to_dict("records")}


def _least(title: str, rows: dict[str, Row], label: str) -> str:
    row, base = rows[label], next(iter(rows))
    before = rows[base]["storage_bytes"]
    share = f"{off(row['storage_bytes'] / before - 1)} against the base" if before and label != base else ""
    ends = row["storage_bytes_low"], row["storage_bytes_high"]
    parts = [share, between(*ends, "B") if np.isfinite(ends).all() else ""]
    told = "; ".join(part for part in parts if part)
    lost = row["state_lost_bytes"]
    state = f", with {sized(lost)} of the user's own lost at each refresh" if lost else ""
    return f"{title}: {label}, {sized(row['storage_bytes'])} per desktop{told and f' ({told})'}{state}."


def _close(samples: pd.DataFrame, one: str, other: str) -> bool:
    """Whether the interval of the paired differences in storage has zero inside."""
    by_replicate = samples.pivot(index="replicate", columns="strategy", values="storage_bytes")
    _, low, high = student((by_replicate[one] - by_replicate[other]).to_numpy(np.float64))
    return low <= 0 <= high


def strategy_verdict(comparison: Comparison, label: str) -> list[str]:
    """Sentences about one strategy beside the base: what it saves, what it adds, what cannot be told.

    Parameters
    ----------
    comparison : Comparison
        What was found.
    label : str
        One of its strategies but the base.

    Notes
    -----
    A difference is told as saved or added if Student's interval of the paired differences leaves out zero and it is 1 %
    of the base's figure or more.
    """
    both = _by_strategy(comparison.frame)
    base, mine = both[comparison.base], both[label]
    part = comparison.differences[comparison.differences["strategy"] == label]
    rows: dict[str, Row] = {str(row["column"]): row for row in part.to_dict("records")}
    saves: list[str] = []
    adds: list[str] = []
    open_: list[str] = []
    for quantity in (STORAGE, *QUANTITIES):
        difference, low, high = (float(rows[quantity.column][name]) for name in ("difference", "low", "high"))
        before = float(base[quantity.column])
        if math.isnan(difference) or abs(difference) < LEAST_SHARE * abs(before) or not difference:
            continue
        ends = (-high, -low) if difference < 0 else (low, high)
        text = quantity.told(difference) + _beside(difference / before if before else math.nan, quantity, *ends)
        if low <= 0 <= high:
            open_.append(quantity.title.removeprefix("of "))
        else:
            (saves if difference < 0 else adds).append(text)
    found = [f"Saves {_and(saves)}."] if saves else []
    found += [f"Adds {_and(adds)}."] if adds else []
    found += _refreshing(mine, strategies_in(label)) + interval_words(comparison.break_even, label)
    found += _on_a_lun(mine, base, comparison.base) + [f"With it {text}" for text in _outage(mine)]
    if open_:
        found.append(f"Not resolved, the interval has zero inside: {_and(open_)}.")
    return found or [f"No difference of {100 * LEAST_SHARE:g} % or more."]


def _beside(share: float, quantity: Quantity, low: float, high: float) -> str:
    """Difference as a share, and for storage its interval."""
    parts = [] if math.isnan(share) else [off(share)]
    if quantity is STORAGE and np.isfinite([low, high]).all() and " to " in between(low, high, "B"):
        parts.append(between(low, high, "B"))
    return f" ({'; '.join(parts)})" if parts else ""


def _refreshing(mine: Row, names: tuple[str, ...]) -> list[str]:
    if not mine["refreshes"]:
        return []
    lost = mine["state_lost_bytes"]
    own = "data; the profile is on the share" if "profile-streaming" in names else "profile and data"
    count = round(float(mine["refreshes"]), 1)
    each = "once per desktop in all" if count == 1 else f"{number(count)} times per desktop in all"
    state = f"loses {sized(lost)} of the user's own ({own}; {each})" if lost else f"keeps the user's own ({each})"
    after = mine["hour_after_bytes"]
    grown = "" if math.isnan(after) else f"; an hour later the delta has {sized(after)}"
    event = next((title for name, title in EVENTS.items() if name in names), "Each refresh")
    return [f"{event} {state}{grown}."]


def interval_words(table: pd.DataFrame, label: str) -> list[str]:
    """Sentence about the interval from which on refreshes save space, on the oldest image that there was."""
    mine = table[table["strategy"] == label] if len(table) else table
    if mine.empty:
        return []
    row = mine.iloc[-1]
    image = f"On an image of {row['age_low_d']:g} to {row['age_high_d']:g} d"
    if math.isinf(row["interval_d"]):
        return [f"{image} no refresh saves space within the run."]
    return [f"{image}, refreshing more often than every {number(round(float(row['interval_d']), 1))} d saves no space."]


def desktops_words(row: Row) -> tuple[str, str]:
    """Most desktops on a LUN, ">= n" where as many as were simulated keep all limits; and what limits them."""
    many = str(int(row["clones_per_lun"]))
    if row["binding"] == NOTHING:
        return f">= {many}", "-"
    return many, METRICS[str(row["binding"])].short


def _on_a_lun(mine: Row, base: Row, name: str) -> list[str]:
    told, before = desktops_words(mine), desktops_words(base)
    if told == before:
        return []
    limits = "" if told[1] == "-" else f" ({told[1]})"
    return [f"A LUN takes {told[0]} desktops{limits}; under {name} {before[0]}."]


def _outage(row: Row) -> list[str]:
    share = float(row["p_outage"])
    if not share:
        return []
    pools = f"{number(round(100 * share, 1))} % of the pools drawn"
    return [f"a LUN of the scenario's is full within the run in {pools}, first on day {row['outage_day']:.0f}."]


def _and(texts: list[str]) -> str:
    return " and ".join(texts) if len(texts) < 3 else "; ".join([*texts[:-1], f"and {texts[-1]}"])


def catalog_words(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Name, title, what it saves and what it costs, of every strategy that is compared, in the order of the catalog."""
    asked = {name for label in comparison.frame["strategy"] for name in strategies_in(str(label))}
    names = [name for name in catalog.names(TOPIC) if name in asked]
    return [(name, *_texts(name)) for name in names]


def _texts(name: str) -> tuple[str, str, str]:
    return catalog.text(TOPIC, name, "title"), catalog.text(TOPIC, name, "saves"), catalog.text(TOPIC, name, "costs")
