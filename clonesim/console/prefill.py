"""What an inventory told about a scenario as text for terminals, and as plain data. No modelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clonesim.console.screen import screen
from clonesim.console.text import plain, print_table, records
from clonesim.planning.inventory_finding import shown
from clonesim.planning.prefill import OVERRIDDEN, UNTOLD

if TYPE_CHECKING:
    from clonesim.planning.prefill import Prefill


def print_prefill(found: Prefill) -> None:
    """Table of the values that the inventory told, and the notes below it."""
    rows = (
        (
            row["key"],
            shown(row["value"], row["unit"]),
            f"{row['kind']}: {row['tab']}, {row['column']}: {row['statistic']}",
            str(row["rows"]),
            row["spread"],
        )
        for row in found.measured.to_dict("records")
    )
    head = ["key", "value", "found", "rows", "lowest to highest"]
    print_table(f"What {found.source} tells", head, rows, [*found.notes, *missing_sentences(found)], texts=3)


def print_notes(found: Prefill) -> None:
    """The notes on stderr, where stdout holds the scenario."""
    console = screen(stderr=True, whole=True)
    for note in (*found.notes, *missing_sentences(found)):
        console.print(note, markup=False)


def missing_sentences(found: Prefill) -> list[str]:
    """What the inventory could have told and did not, and how many values it cannot tell."""
    never = found.missing["reason"].isin([UNTOLD, OVERRIDDEN])
    sentences = []
    if not never.all():
        rows = found.missing[~never].to_dict("records")
        told = "; ".join(f"{row['key']} ({row['reason']})" for row in rows)
        sentences.append(f"Not told, though an inventory can: {told}.")
    left = int((found.missing["reason"] == UNTOLD).sum())
    return [*sentences, f"{left} values no inventory tells: they stay as the base and the catalog have them."]


def prefill_json(found: Prefill) -> dict[str, Any]:
    """Everything as plain data; values in base units."""
    measured = [{**row, "value": _plain(row["value"])} for row in records(found.measured)]
    return {
        "source": found.source,
        "rule": found.rule,
        "desktops": [str(name) for name in found.desktops["vm"]],
        "scenario": found.scenario.to_dict(),
        "measured": measured,
        "missing": records(found.missing),
        "notes": list(found.notes),
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else plain(value)
