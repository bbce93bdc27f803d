"""A sensitivity as text for terminals, and what `--json` prints of it. No modelling."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clonesim.console.screen import screen
from clonesim.console.text import print_table, say
from clonesim.sensitivity_words import interval_text, sensitivity_verdict, share_text, told

if TYPE_CHECKING:
    from clonesim.planning.sensitivity import Sensitivity
    from clonesim.planning.sensitivity_design import Budget

NAMES = 24  # letters of an assumption in a line


def print_budget(cost: Budget) -> None:
    """Say on stderr what is going to be simulated."""
    screen(stderr=True).print(f"To simulate: {cost.text}", markup=False)


def print_sensitivity(found: Sensitivity) -> None:
    """Verdict, and a row per assumption: its shares of the variance, and what it does by itself."""
    say("Which assumption moves the answer most", sensitivity_verdict(found))
    rows = []
    for row in found.frame.to_dict("records"):
        ends = [f"{told(row[f'at_{end}'], found.unit)}\n{row[end]}" for end in ("lower", "higher")]
        shares = [share_text(row["first"]), share_text(row["total"])]
        rows.append(
            [
                textwrap.fill(row["title"].split(" (")[0], NAMES),
                shares[0].removesuffix(" %"),
                shares[1].removesuffix(" %"),
                interval_text(row["total_low"], row["total_high"]),
                share_text(row["rest"]).removesuffix(" %"),
                *ends,
            ]
        )
    head = ["assumption", "alone\n%", "in all\n%", "interval\n%", "then\n%", "lower", "higher"]
    notes = [
        "Alone: share of the variance; in all: with its interactions, and the interval of that. Then: share of what is "
        "left once the first row is settled. Lower, higher: the figure if only this one changes.",
        found.label,
        f"Cost: {found.budget.text}",
    ]
    print_table(found.title[0].upper() + found.title[1:], head, rows, notes)


def sensitivity_json(found: Sensitivity) -> dict[str, Any]:
    """What `clonesim sensitivity --json` prints."""
    return {
        "label": found.label,
        "figure": found.figure,
        "title": found.title,
        "unit": found.unit,
        "verdict": sensitivity_verdict(found),
        "usual": found.usual,
        "quantiles": dict(zip(("p5", "p50", "p95"), found.middle, strict=True)),
        "most": found.most,
        "error": found.error,
        "explained": found.explained,
        "budget": {**asdict(found.budget), "desktop_days": found.budget.desktop_days},
        "assumptions": found.frame.to_dict("records"),
    }
