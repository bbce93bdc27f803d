"""What a sensitivity says in words. Shared by charts and text."""

from __future__ import annotations

import math

from clonesim.planning.sensitivity import Sensitivity
from clonesim.words import counted, number
from clonesim.words import figure as figure_text

LEAST_S = 1.001e-6  # of a wait that counts [s]
LITTLE = 0.01  # of the figure: what moves it by less does not matter
TIE = 0.8  # of the largest share: those above it may be as large, if their intervals say so


def told(value: float, unit: str) -> str:
    """A figure of a sensitivity with its unit; "none" for a wait that is too short to count."""
    if unit == "s":
        return "none" if value <= LEAST_S else f"{number(1e3 * value)} ms"
    return f"{number(value)} {unit}" if unit == "1/s" else figure_text(value, unit)


def share_text(share: float) -> str:
    """A share of the variance in %, without digits that are noise."""
    return f"{100 * share:.0f} %".replace("-0 %", "0 %")


def interval_text(low: float, high: float) -> str:
    """Both ends of a share's interval in %, inside 0 and 100, where shares lie."""
    ends = [f"{100 * min(max(end, 0.0), 1.0):.0f}" for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def sensitivity_verdict(found: Sensitivity) -> list[str]:
    """Sentences: how far the figure may lie off, what moves it most, what comes next, and what to measure."""
    low, _, high = (told(value, found.unit) for value in found.middle)
    title = found.title[0].upper() + found.title[1:]
    usual = told(found.usual, found.unit)
    wide = f"{title}: {usual} under the scenario's assumptions"
    if matters_little(found):
        together = f"all {counted(len(found.frame), 'assumption')} together" if len(found.frame) > 1 else "it"
        return [f"{wide}; {together} move it by less than {100 * LITTLE:.0f} %. Nothing has to be measured for it."]
    sentences = [f"{wide}; between {low} and {high} in nine of ten cases if all may be otherwise."]
    rows = found.frame.to_dict("records")
    first = rows[0]
    share, interval = share_text(min(first["total"], 1.0)), interval_text(first["total_low"], first["total_high"])
    ends = [f"{told(first[f'at_{end}'], found.unit)} ({first[end]})" for end in ("lower", "higher")]
    sentences.append(
        f"{_plain(first['title'])} moves it most: {share} of the variance ({interval} %), by itself from {ends[0]} to "
        f"{ends[1]}."
    )
    same = [row for row in rows[1:] if row["total_high"] >= first["total_low"] and row["total"] > TIE * first["total"]]
    if same:
        sentences.append(f"Not told apart from it: {', '.join(_plain(row['title']) for row in same)}.")
    after = max(rows[1:], key=lambda row: float(row["rest"]), default=None)
    if after is not None and after["rest"] > LITTLE:
        rest = share_text(min(after["rest"], 1.0))
        sentences.append(f"Once that is settled, {_plain(after['title'], False)} moves most: {rest} of the rest.")
    return [*sentences, f"Measure first: {first['measure']}."]


def matters_little(found: Sensitivity) -> bool:
    """Whether all assumptions together do not move the figure enough to matter."""
    ends = [*found.middle, found.usual, *found.frame["at_lower"], *found.frame["at_higher"]]
    low, high = min(ends), max(ends)
    return not found.most or math.isclose(low, high, rel_tol=LITTLE, abs_tol=0.0)


def _plain(title: str, start: bool = True) -> str:
    """A title without the parameter's name."""
    text = title.split(" (")[0]
    return text[0].upper() + text[1:] if start else text
