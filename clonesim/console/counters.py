"""Locks from counters as text for terminals, and what `--json` prints of them. No modelling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clonesim.console.screen import screen
from clonesim.console.text import percent, plain, print_table, records, say

if TYPE_CHECKING:
    from clonesim.ingest.esxtop import Counters
    from clonesim.planning.lock_counters import LockEstimate

MOST_LUNS = 12
KINDS = {"measured": "measured", "derived": "derived", "prior": "not told"}


def print_counters(read: Counters, found: LockEstimate) -> None:
    """LUNs, what counters tell of their locks, what they cannot tell apart, and lines for a scenario."""
    _print_luns(read, found)
    table = found.table.to_dict("records")
    shares = ("p5", "p50", "p95")
    rows = [
        (row["quantity"], KINDS[row["kind"]], *(_number(row[share], row["unit"]) for share in shares)) for row in table
    ]
    note = "Derived: from what was measured and an assumption. Not told: what was possible before, hardly narrowed."
    print_table(f"The lock ({found.locking})", ["quantity", "", *shares], rows, [note], texts=2)
    say("How", [f"{row['quantity']}: {row['how']}." for row in table])
    say("What these counters cannot tell apart", found.confounded)
    say("Doubts", found.notes)
    say("For a scenario", [])
    console = screen(whole=True)  # lines that are copied stay whole
    for line in toml_lines(found):
        console.print(line, markup=False)


def toml_lines(found: LockEstimate) -> list[str]:
    """What was measured, as lines of a scenario's TOML file."""
    rows = found.measured.to_dict("records")
    lines = ["[luns]", *(f'locking = "{row["value"]}"  # {row["kind"]}: {row["how"]}' for row in rows[:1])]
    if len(rows) > 1:
        lines.append("[luns.locks]")
    for row in rows[1:]:
        key = row["key"].removeprefix("luns.locks.")
        lines.append(f"{key} = {row['value']!r}  # {row['unit']}, {row['kind']}: {row['how']}")
    lines.append("[marks]")
    kinds = dict.fromkeys(row["kind"] for row in rows)
    return lines + [f"{kind} = {[row['key'] for row in rows if row['kind'] == kind]!r}" for kind in kinds]


def counters_json(read: Counters, found: LockEstimate) -> dict[str, Any]:
    """The same as plain data."""
    times = read.devices["time"]
    return {
        "source": read.source,
        "from": plain(times.min()),
        "to": plain(times.max()),
        "locking": found.locking,
        "quantities": records(found.table),
        "luns": records(found.luns),
        "confounded": list(found.confounded),
        "notes": list(found.notes),
        "overrides": found.overrides(),
        "measured": records(found.measured),
    }


def _print_luns(read: Counters, found: LockEstimate) -> None:
    rates = ("commands_per_s", "reservations_per_s", "conflicts_per_s", "ats_per_s", "ats_failed_per_s")
    table = found.luns.sort_values(["conflicts_per_s", "ats_failed_per_s"], ascending=False)
    rows = [
        (
            str(number),
            str(row["hosts"]),
            f"{row['minutes']:.0f}",
            *("-" if math.isnan(row[name]) else f"{row[name]:.4g}" for name in rates),
            *("-" if math.isnan(row[name]) else percent(row[name]) for name in ("reserved_fraction", "reserved_worst")),
        )
        for number, row in enumerate(table.head(MOST_LUNS).to_dict("records"), 1)
    ]
    head = ["LUN", "hosts", "min", "CMDS/s", "RESV/s", "CONS/s", "ATS/s", "ATSF/s", "reserved\n%", "worst\n%"]
    left = len(table) - len(rows)
    names = [f"LUN {number}: {name}" for number, name in enumerate(table["device"].head(MOST_LUNS), 1)]
    notes = [f"{read!r}.", *names, *([f"... and {left} more."] if left else [])]
    print_table("What hosts counted together", head, rows, notes)


def _number(value: float, unit: str) -> str:
    """Value in its unit; seconds in ms."""
    return f"{value * 1e3:.3g} ms" if unit == "s" else f"{value:.3g}"
