"""Assumptions by influence: a sensitivity's shares, or a screening's ends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import pandas as pd

from clonesim.planning.sensitivity import Sensitivity
from clonesim.plots import plot_sensitivity, plot_shares
from clonesim.report.picture import Picture, chart
from clonesim.report.tree import paragraphs, prose, table
from clonesim.sensitivity_words import interval_text, matters_little, sensitivity_verdict, share_text, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LITTLE = 0.01  # of the figure: what moves it by less does not matter
SCREENED = (
    "A screening: each assumption is moved alone, between the ends that the catalog gives it, in small pools. It ranks "
    "the assumptions that decide how much is written; it does not tell what they do together, nor what moves the waits "
    "for locks or the array's latency: `clonesim sensitivity` does."
)
NOT_RANKED = (
    "Assumptions were not ranked for this report. `clonesim sensitivity` tells which of them moves an answer most."
)


def influence_section(ranking: Sensitivity | pd.DataFrame | None) -> list[Element]:
    """What may be otherwise, that which matters most first."""
    if ranking is None:
        return [prose("p", NOT_RANKED)]
    return _shares(ranking) if isinstance(ranking, Sensitivity) else _screened(ranking)


def measure_first(ranking: Sensitivity | pd.DataFrame | None) -> tuple[str, ...]:
    """Sentences for the top of the page: which assumption moves the answer most, and what would tell the truth."""
    if ranking is None:
        return ()
    if isinstance(ranking, Sensitivity):
        return tuple(sensitivity_verdict(ranking))
    first = ranking.iloc[0]
    if first["swing"] < LITTLE:
        return ("No assumption that was screened moves the size of the deltas by more than 1 %.",)
    ends = " to ".join(f"x {first[f'at_{end}']:.2f} ({first[end]})" for end in ("lower", "higher"))
    return (
        f"Of the assumptions that were moved alone in small pools, {str(first['title']).split(' (')[0]} moves the size "
        f"of the deltas most: {ends}.",
        f"Measure first: {first['measure']}.",
    )


def _screened(frame: pd.DataFrame) -> list[Element]:
    rows = [
        [
            str(row["title"]),
            *(f"{row[end]}: x {row[f'at_{end}']:.2f}" for end in ("lower", "higher")),
            f"{100 * row['swing']:.0f} %",
            " to ".join(f"x {row[f'io_{end}']:.2f}" for end in ("lower", "higher")),
            str(row["measure"]),
        ]
        for row in frame.to_dict("records")
    ]
    head = [
        "Assumption",
        "Delta at its lower end",
        "Delta at its higher end",
        "Between",
        "I/O of the worst minute",
        "Measure",
    ]
    label = "Assumptions by what each does alone to the size of the deltas"
    numbers = table(head, rows, label, texts=6, class_="words")

    def draw(ax: Axes) -> object:
        return plot_sensitivity(frame, ax)

    title = "What each assumption does by itself"
    picture = Picture("assumptions", title, draw, numbers, wide=(8.0, _height(len(frame))), phone=(4.4, 4.8))
    return [prose("p", SCREENED), chart(picture)]


def _shares(found: Sensitivity) -> list[Element]:
    frame = found.frame.assign()
    frame.attrs = found.frame.attrs
    rows = [
        [
            str(row["title"]),
            share_text(row["first"]),
            f"{share_text(row['total'])} ({interval_text(row['total_low'], row['total_high'])} %)",
            *(f"{row[end]}: {told(row[f'at_{end}'], found.unit)}" for end in ("lower", "higher")),
            str(row["measure"]),
        ]
        for row in frame.to_dict("records")
    ]
    head = [
        "Assumption",
        "Share by itself",
        "Share with interactions",
        "At its lower end",
        "At its higher end",
        "Measure",
    ]
    numbers = table(head, rows, f"Assumptions by their share of the variance: {found.title}", texts=6, class_="words")
    parts = paragraphs(sensitivity_verdict(found))
    if matters_little(found):
        return [*parts, numbers]
    tall = _height(len(frame))

    def by_itself(ax: Axes) -> object:
        return plot_sensitivity(frame, ax)

    def shares(ax: Axes) -> object:
        return plot_shares(frame, ax)

    pictures = (
        Picture("assumptions", "What each assumption does by itself", by_itself, numbers, wide=(8.0, tall)),
        Picture(
            "shares", "Shares of the variance", shares, None, note="The table above holds the shares.", wide=(8.0, tall)
        ),
    )
    return [*parts, *(chart(one) for one in pictures)]


def _height(rows: int) -> float:
    return max(3.0, 1.4 + 0.42 * rows)
