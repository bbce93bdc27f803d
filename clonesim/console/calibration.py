"""A calibration as text for terminals, and what `--json` prints of it. No modelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from clonesim.console.forecast import sizes_told, when_told
from clonesim.console.text import gib, percent, plain, print_table, records, say

if TYPE_CHECKING:
    from clonesim.planning.calibrate import Calibration

MOST_ROWS = 8
MOST_FACTOR = 1e6  # larger ones say no more


def print_calibration(found: Calibration, ahead: pd.DataFrame, weeks: pd.DataFrame) -> None:
    """What was learned, the policies, the pool's sizes to come, and how the interval narrowed."""
    looks = found.looks
    say(
        "What the measured sizes say",
        [
            f"{looks.who.size} clones, made {when_told(looks.born)}, measured at {looks.age.size} ages up to "
            f"{looks.last:.0f} days; compared with {found.cost.text.split(':')[0]}.",
            *found.verdict,
            *found.notes,
        ],
    )
    rows = (
        (
            row["policy"],
            percent(row["probability"]) if row["probability"] >= 0.001 else "< 0.1",
            "-" if row["factor"] == 1 else f"{row['factor']:.3g}" if row["factor"] < MOST_FACTOR else "> 10^6",
            f"{row['scale_low']:.2f} - {row['scale_high']:.2f}",
        )
        for row in found.policies.to_dict("records")
    )
    notes = ["Factor: by how much the sizes speak for the likeliest policy rather than this one (Bayes factor)."]
    print_table("Policies", ["policy", "proba-\nbility %", "factor", "scale if so\n90 %"], rows, notes)
    pool = ahead[(ahead["level"] == "pool") & (ahead["id"] == "")]
    step = max(1, -(-len(pool) // MOST_ROWS))
    body = [(_until(row), *sizes_told(row)) for row in pool.iloc[::-1].iloc[::step].iloc[::-1].to_dict("records")]
    print_table("The pool, all measured clones together", ["until", "p5\nGiB", "p50\nGiB", "p95\nGiB"], body)
    _print_weeks(weeks)


def _print_weeks(weeks: pd.DataFrame) -> None:
    rows = (
        (
            f"{row['week']:.1f}",
            str(row["dates"]),
            gib(row["p5"]),
            gib(row["p50"]),
            gib(row["p95"]),
            percent(row["width"]),
            f"{row['policy']} {percent(row['probability'])} %",
        )
        for row in weeks.to_dict("records")
    )
    head = ["after\nweeks", "dates", "p5\nGiB", "p50\nGiB", "p95\nGiB", "width\n%", "likeliest policy"]
    title = f"Mean size of a clone on day {weeks.attrs['day']:.0f}, as foretold so far"
    print_table(title, head, rows)


def _until(row: dict[Any, Any]) -> str:
    return f"{row['date']:%Y-%m-%d}" if "date" in row else f"day {row['day']:.0f}"


def calibration_json(found: Calibration, ahead: pd.DataFrame, weeks: pd.DataFrame) -> dict[str, Any]:
    """What `clonesim calibrate --json` prints."""
    return {
        "clones": int(found.looks.who.size),
        "born": plain(found.looks.born),
        "ages": found.looks.age.tolist(),
        "simulated": found.cost.text,
        "verdict": list(found.verdict),
        "notes": list(found.notes),
        "misfit": plain(found.misfit),
        "parameters": records(found.shrinkage),
        "policies": records(found.policies),
        "scenario": found.marks,
        "values": found.values,
        "forecast": records(ahead),
        "weeks": records(weeks),
    }
