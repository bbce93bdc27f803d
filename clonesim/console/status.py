"""How far runs are, as text for terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clonesim.console.text import percent, print_table, say

if TYPE_CHECKING:
    from clonesim.pool.parts import Progress

HEAD = ("desktops", "days", "replicates", "seed", "parts", "done", "done\n%", "torn")
NOTES = ("Parts are batches of clones. The same command goes on from those that are done; torn ones are made again.",)


def print_status(begun: Sequence[Progress], finished: Sequence[Mapping[str, Any]]) -> None:
    """Tables of what is begun, and a line for each run that is finished."""
    if begun:
        print_table("Begun, not finished", list(HEAD), [_row(one) for one in begun], NOTES, texts=0)
    lines = [
        f"{one['folder']}: {one['desktops']} desktops x {one['days']} days, replicates {one['replicates']}, "
        f"seed {one['seed']}"
        for one in finished
    ]
    if lines:
        say("Finished", lines)


def _row(one: Progress) -> list[str]:
    counts = (one.desktops, one.days, one.replicates, one.seed, one.parts, one.done)
    return [*(f"{count}" for count in counts), percent(one.done / max(one.parts, 1)), f"{one.torn}"]
