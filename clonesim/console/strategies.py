"""Strategies side by side as text for terminals, and what `--json` prints. No modelling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from clonesim.console.text import print_table
from clonesim.strategy_words import broken, catalog_words, comparison_verdict, pareto, strategy_verdict
from clonesim.units import GIB, MIB
from clonesim.words import number

if TYPE_CHECKING:
    from clonesim.planning.compare import Comparison

NONE = "-"


def print_comparison(comparison: Comparison) -> None:
    """Verdict, a row per strategy, each one's paired differences to the base in words, and what each is."""
    console = Console(highlight=False)
    console.print("Strategies for statelessness, per desktop", markup=False, style="bold")
    for sentence in comparison_verdict(comparison):
        console.print(sentence, markup=False)
    console.print()
    _print_rows(comparison)
    _print_differences(comparison, console)
    _print_catalog(comparison, console)
    console.print(comparison.label, markup=False)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """What `clonesim compare --json` prints; what is not known or not bounded is None."""
    others = [str(label) for label in comparison.frame["strategy"] if label != comparison.base]
    return {
        "label": comparison.label,
        "base": comparison.base,
        "verdict": comparison_verdict(comparison),
        "verdicts": {label: strategy_verdict(comparison, label) for label in others},
        "pareto": pareto(comparison.frame),
        "strategies": _records(comparison.frame),
        "differences": _records(comparison.differences),
        "samples": _records(comparison.samples),
        "catalog": {
            name: {"title": title, "saves": saves, "costs": costs}
            for name, title, saves, costs in catalog_words(comparison)
        },
    }


def _print_rows(comparison: Comparison) -> None:
    rows = []
    for row in comparison.frame.to_dict("records"):
        refreshed = bool(row["refreshes"])
        rows.append(
            [
                broken(str(row["strategy"])),
                number(row["storage_bytes"] / GIB),
                _half((row["storage_bytes_high"] - row["storage_bytes"]) / GIB),
                number(row["delta_p95_bytes"] / GIB),
                number(row["luns_needed"]),
                number(round(row["increments_a_day"], 1)),
                number(round(row["iops_max60"], 1)),
                _hours(row["refresh_hours"]) if refreshed else NONE,
                number(round(row["state_lost_bytes"] / MIB, 1)) if refreshed else NONE,
            ]
        )
    head = ["strategy", "total\nGiB", "+-", "delta\np95", "LUNs", "incr.\n1/d", "IOPS\npeak", "refr.\nh", "lost\nMiB"]
    notes = [
        "+-: half of Student's 95 % interval. Total: all tiers, base images and swap. Delta p95: ends of days. LUNs: "
        "for all desktops. Incr.: of disks without increments, minutes in which they grew. IOPS: worst minute of a "
        "LUN. Refr.: work on the simulated clones in the day with most. Lost: profile and user data, at each refresh.",
    ]
    print_table("Side by side", head, rows, [*notes, ""])


def _print_differences(comparison: Comparison, console: Console) -> None:
    title = f"Against {comparison.base}, with the same users"
    console.print(title, markup=False, style="bold")
    for label in comparison.frame["strategy"]:
        if label != comparison.base:
            console.print(f"{label}: {' '.join(strategy_verdict(comparison, str(label)))}", markup=False)
    console.print()


def _print_catalog(comparison: Comparison, console: Console) -> None:
    known = catalog_words(comparison)
    if not known:
        return
    console.print("What they are", markup=False, style="bold")
    for _, title, saves, costs in known:
        console.print(f"{title}. Saves: {saves} Costs: {costs}", markup=False)
    console.print()


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:.1f}"


def _half(width: float) -> str:
    return number(width) if math.isfinite(width) else NONE


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data, with None for what JSON has no number for."""
    return [
        {str(name): None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row}
        for row in (record.items() for record in table.to_dict("records"))
    ]
