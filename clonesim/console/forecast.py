"""Forecasts of measured growth as text for terminals, and what `--json` prints of them. No modelling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from clonesim.console.text import gib, percent, plain, print_table, records, say

if TYPE_CHECKING:
    from clonesim.planning.backtest import Backtest
    from clonesim.planning.fill_date import FillDate
    from clonesim.planning.growth_fit import GrowthFit

MOST_ROWS = 14  # of a table of weeks
MOST_REFUSED = 8
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
RULES = {
    "fit": "fitted growth",
    "last": "last value",
    "line": "straight line",
    "ram": "3 x RAM",
}
LEVELS = {"clone": "one clone", "lun": "a LUN", "pool": "the pool"}


def print_fit(found: GrowthFit, ahead: pd.DataFrame, full: FillDate | None) -> None:
    """What the history says, the pool's and the LUNs' sizes to come, when the datastore is full, who was refused."""
    say("What the history says", fit_sentences(found))
    _print_ahead("The pool, all clones together", ahead[(ahead["level"] == "pool") & (ahead["id"] == "")])
    luns = ahead[ahead["level"] == "lun"]
    if not luns.empty:
        last = luns[luns["day"] == luns["day"].max()]
        rows = ((str(row["id"]), str(row["clones"]), *sizes_told(row)) for row in last.to_dict("records"))
        title = f"LUNs, {luns['day'].max():.0f} days ahead"
        print_table(title, ["LUN", "clones", "p5\nGiB", "p50\nGiB", "p95\nGiB"], rows)
    if full is not None:
        say("When the datastore is full", fill_sentences(full))
    if not found.refusals.empty:
        say(f"No forecast of their own: {len(found.refusals)} clones", refusal_sentences(found.refusals))


def fit_sentences(found: GrowthFit) -> list[str]:
    """What was fitted, in sentences."""
    told = found.summary
    curves = ", ".join(f"{name} {share:.0%}" for name, share in told["curves"].items() if share >= 0.005)
    sentences = [
        f"{told['clones']} clones, {told['measurements']} measurements over {told['weeks']:.1f} weeks, last "
        f"{when_told(told['last'])}: {gib(told['pool_bytes'])} GiB, {gib(told['week_bytes'])} GiB more in the last "
        "week.",
        f"Curves, by how well they foretold held-out weeks: {curves}.",
        f"Clones grow at {told['speed_p5']:.2f} to {told['speed_p95']:.2f} of the mean (own history counts "
        f"{told['own_share']:.0%}); a week differs from the next by {told['shock']:.0%} for all of them alike.",
        f"One measurement is exact to {told['noise_bytes'] / 2**20:.0f} MiB.",
    ]
    if told["patch_day_share"] >= 0.5:
        sentences.append(f"Patch days (second Tuesdays) stand out: probability {told['patch_day_share']:.0%}.")
    if told["refresh_days"]:
        sentences.append(f"Clones are refreshed about every {told['refresh_days']:.3g} days; this is taken to go on.")
    return [*sentences, *told["notes"]]


def fill_sentences(full: FillDate) -> list[str]:
    """When a datastore is full, in sentences."""
    beside = f" beside {gib(full.beside)} GiB of other things" if full.beside else ""
    dates = ", ".join(f"{share:.0%} by {_by(full, share)}" for share in SHARES)
    return [
        f"{full.clones} clones on {gib(full.capacity)} GiB{beside}.",
        f"Probability that it is full: {dates}.",
        f"Within {full.horizon:.0f} days: {full.p_within():.0%}.",
    ]


def refusal_sentences(refusals: pd.DataFrame) -> list[str]:
    """Who gets no forecast of its own, and what is missing."""
    rows = refusals.head(MOST_REFUSED).to_dict("records")
    sentences = []
    for row in rows:
        more = f": {row['weeks']} more week{'s' if row['weeks'] > 1 else ''} needed" if row["weeks"] else ""
        sentences.append(f"{row['clone']}: {row['reason']}{more}.")
    left = len(refusals) - len(rows)
    counted = int(refusals["counted"].sum())
    tail = [f"... and {left} more."] if left else []
    return [*sentences, *tail, f"{counted} of them count in sums, with the pool's growth." if counted else ""]


def fit_json(found: GrowthFit, ahead: pd.DataFrame, full: FillDate | None) -> dict[str, Any]:
    """Summary, forecast, fill date and refusals as plain data."""
    told: dict[str, Any] = {
        "summary": {name: plain(value) for name, value in found.summary.items()},
        "forecast": records(ahead),
        "refusals": records(found.refusals),
    }
    if full is not None:
        told["fill_date"] = {
            "capacity": full.capacity,
            "beside": full.beside,
            "clones": full.clones,
            "horizon_days": full.horizon,
            "p_within": full.p_within(),
            "by": {f"p{share * 100:.0f}": plain(full.date_by(share)) for share in SHARES},
        }
    return told


def print_backtest(found: Backtest) -> None:
    """Coverage and errors, beside the rules of thumb."""
    rows = (
        (
            LEVELS[row["level"]],
            RULES[row["rule"]],
            str(row["forecasts"]),
            "-" if math.isnan(row["covered"]) else percent(row["covered"]),
            "-" if math.isnan(row["interval_score"]) else gib(row["interval_score"]),
            gib(row["mae"]),
            gib(row["bias"]),
        )
        for row in found.scores.to_dict("records")
    )
    head = ["of", "rule", "fore-\ncasts", "covered\n%", "score\nGiB", "error\nGiB", "bias\nGiB"]
    notes = [
        "Covered: measured sizes within the 90 % interval; 85 to 95 % is good. Score: width of the interval and what "
        "lies outside of it 20 times, per clone; less is better. Error, bias: per clone.",
        *found.notes,
    ]
    print_table(f"The last {found.hidden_days:g} days, hidden and forecast", head, rows, notes, texts=2)


def backtest_json(found: Backtest) -> dict[str, Any]:
    """Scores and rows as plain data."""
    return {
        "hidden_days": found.hidden_days,
        "scores": records(found.scores),
        "rows": records(found.frame),
        "notes": list(found.notes),
    }


def _print_ahead(title: str, rows: pd.DataFrame) -> None:
    step = max(1, -(-len(rows) // MOST_ROWS))
    shown = rows.iloc[::-1].iloc[::step].iloc[::-1]
    body = [(_row_day(row), *sizes_told(row)) for row in shown.to_dict("records")]
    notes = ["What 5, 50 and 95 % of the drawn courses stay below."]
    if not shown["checked"].all():
        notes.append("Rows with *: further ahead than three times the history, where nothing checks them.")
    print_table(title, ["until", "p5\nGiB", "p50\nGiB", "p95\nGiB"], body, notes)


def _row_day(row: dict[Any, Any]) -> str:
    told = f"{row['date']:%Y-%m-%d}" if "date" in row else f"day {row['day']:.0f}"
    return told if row["checked"] else f"{told} *"


def sizes_told(row: dict[Any, Any]) -> tuple[str, str, str]:
    """Low, median and high of a row of a forecast, in GiB."""
    return gib(row["p5"]), gib(row["p50"]), gib(row["p95"])


def when_told(value: Any) -> str:
    """'on' and a date, or a day."""
    return f"on {value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else f"on day {value:g}"


def _by(full: FillDate, share: float) -> str:
    found = full.date_by(share)
    if isinstance(found, pd.Timestamp):
        return f"{found:%Y-%m-%d}"
    return f"day {found:.0f}" if found is not pd.NaT and math.isfinite(found) else "a later date"
