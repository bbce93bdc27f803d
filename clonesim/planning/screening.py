"""A cheap ranking of assumptions: each one moved either way, alone, in a small pool with the same users.

It tells which assumption to look at first. What they do together, and shares of the variance, tells `sensitivity`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pandas as pd

from clonesim.planning.assumptions import Assumption, assumptions_of
from clonesim.planning.variants import HIGHER, LOWER, vary
from clonesim.pool.simulate import check_asked
from clonesim.pool.workers import workers
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "sensitivity"
TITLE = "size of a desktop's delta, as a multiple of that under the scenario's assumptions"


def screen(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    seed: int = 0,
    *,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Rank the assumptions that are simulated by what each does alone at the ends of its range.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes.
    seed : int, default 0
        Key of every draw.
    executor, processes, progress
        As in `simulate`; progress counts desktop-days.

    Returns
    -------
    DataFrame
        A row per `assumption`, that which moves the deltas most first: `title`; `measure`, what would tell the truth;
        `lower` and `higher`, its ends in words; `at_lower` and `at_higher`, mean size of a delta there, as a multiple
        of that under the scenario's assumptions [1]; `io_lower` and `io_higher`, the same of the I/O of the worst
        minute [1]; `swing`, between the ends [1]. Of policies the ends are the least and the most.

    Raises
    ------
    ScenarioError, ParameterError
        If the scenario cannot be, or a number is out of its range.

    Examples
    --------
    >>> screen("windows-7-office")[["assumption", "at_lower", "at_higher"]]  # doctest: +SKIP
    """
    given = load_scenario(scenario)
    check_asked(seed, 1, processes)
    clones, days = (int(catalog.value(TOPIC, f"screening.{name}")) for name in ("clones", "days"))
    with workers(executor, float(clones * min(days, given.pool.days) * 10), processes) as pool:
        moved = vary(given, seed, pool, progress, clones=clones, days=days, replicates=1)
    known = {one.name: one for one in assumptions_of(given, "delta")}
    rows = [_row(known[str(name)], part) for name, part in moved.groupby("assumption", sort=False)]
    columns = ["assumption", "title", "measure", "lower", "higher", "at_lower", "at_higher", "io_lower", "io_higher"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["swing"] = (frame["at_higher"] - frame["at_lower"]).abs()
    frame = frame.sort_values("swing", ascending=False, kind="stable", ignore_index=True)
    shown = min(clones, given.pool.clones), min(days, given.pool.days)
    label = (
        f"One assumption moved at a time, by the factors of the catalog, in pools of {shown[0]} clones x {shown[1]} "
        f"days with the same users; seed {seed}. What assumptions do together is not looked at."
    )
    frame.attrs |= {"caption": label, "figure": "delta", "title": TITLE, "unit": "1", "usual": 1.0}
    return frame


def _row(one: Assumption, part: pd.DataFrame) -> dict[str, Any]:
    """Both ends of an assumption: its own, or of what was put in its place the least and the most."""
    ways = part.set_index("way")
    row: dict[str, Any] = {"assumption": one.name, "title": one.title, "measure": one.measure}
    for end, place in ((LOWER, 0.0), (HIGHER, 1.0)):
        way: str | None = end if end in ways.index else None
        text = one.text(place)
        if one.levels:
            space = {str(name): float(ratio) for name, ratio in ways["space"].items()}
            far = min(space, key=space.__getitem__) if end == LOWER else max(space, key=space.__getitem__)
            moves = space[far] < 1 if end == LOWER else space[far] > 1  # else the scenario's own is the end
            way, text = (far, far) if moves else (None, "as it is")
        row[end] = text
        row[f"at_{end}"] = 1.0 if way is None else float(ways["space"][way])
        row[f"io_{end}"] = 1.0 if way is None else float(ways["iops"][way])
    return row
