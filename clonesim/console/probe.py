"""A probe's answer as text for terminals, and what `--json` prints of it. No modelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clonesim.console.text import percent, print_table, say

if TYPE_CHECKING:
    from clonesim.planning.probe import ProbeFit

_STEPS = ("fill", "reuse", "again", "places", "stream", "long")


def print_probe(found: ProbeFit) -> None:
    """Verdict, and a row per policy: its probability and by how much its deltas grow, beside what was measured."""
    say("Which free clusters does this Windows pick?", found.verdict)
    head = ["policy", "probability\n%", *_STEPS]
    rows = [["measured", "", *(f"{found.measured[f'{step}_grown']:.2f}" for step in _STEPS)]]
    for row in found.frame.to_dict("records"):
        told = percent(row["probability"]) if row["probability"] >= 0.001 else "< 0.1"
        rows.append([row["policy"], told, *(f"{row[f'{step}_grown']:.2f}" for step in _STEPS)])
    notes = [
        f"Growth of the delta in each step, in units of {found.probe.site.unit_bytes / 2**20:.0f} MiB; for policies "
        "the median of their simulations."
    ]
    print_table("What was measured, and what each policy would do", head, rows, notes)


def probe_json(found: ProbeFit) -> dict[str, Any]:
    """What `clonesim probe fit --json` prints."""
    return {
        "verdict": list(found.verdict),
        "policy": found.policy,
        "candidates": list(found.candidates),
        "strangeness": found.strangeness,
        "draws": found.draws,
        "seed": found.seed,
        "row": found.row,
        "policies": found.frame.to_dict("records"),
    }
