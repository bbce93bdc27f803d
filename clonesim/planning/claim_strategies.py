"""Figures of claims about strategies for statelessness, what they cost, and where clones are put."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, Final

import pandas as pd

from clonesim.planning.break_even import break_even
from clonesim.planning.claims import Figure
from clonesim.planning.compare import Comparison, compare
from clonesim.planning.cost import cost
from clonesim.planning.emit import assignments
from clonesim.planning.prices import prices_of
from clonesim.planning.quantities import Quantities
from clonesim.planning.strategy_cost import strategy_quantities
from clonesim.pool import simulate
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario
from clonesim.units import GIB, MIB

BASE: Final = "linked-clone"
VIRTUAL: Final = "profile-container+application-virtualization"
RENEWED: Final = f"recompose+{VIRTUAL}"
ATTACHED: Final = "instant-clone+profile-container+app-attach"
STRATEGIES: Final = (
    BASE,
    "memory-reservation",
    "profile-container",
    "application-virtualization",
    VIRTUAL,
    "refresh",
    "recompose",
    RENEWED,
    ATTACHED,
)


def _scenario() -> Scenario:
    return load_scenario(
        "windows-11-office",
        platform={"name": "generic"},
        delta={"format": "se-sparse"},
        luns={"backing": "vmfs-6"},
    )


@cache
def _compared() -> Comparison:
    return compare(_scenario(), ", ".join(STRATEGIES), clones=6, replicates=4)


def what_dents_storage() -> list[Figure]:
    """C11: storage per desktop after 90 days under each strategy, and what it is made of."""
    rows = _rows(_compared().frame)
    storage = {name: float(rows[name]["storage_bytes"]) for name in STRATEGIES}
    base = rows[BASE]
    saved = next(
        row
        for row in _compared().differences.to_dict("records")
        if row["strategy"] == "recompose" and row["column"] == "storage_bytes"
    )
    return [
        *(Figure(f"storage a desktop, {name}", storage[name] / GIB, "GiB", 1) for name in STRATEGIES),
        Figure("saved by recompose beside linked-clone, at least (95 %)", -float(saved["high"]) / GIB, "GiB", 1),
        Figure("the same, at most", -float(saved["low"]) / GIB, "GiB", 1),
        Figure("base images' share of a linked clone's storage", 100 * base["replica_bytes"] / storage[BASE], "%", 1),
        Figure("swap files' share of it", 100 * base["swap_bytes"] / storage[BASE], "%"),
        Figure("user's own lost at each recompose", rows["recompose"]["state_lost_bytes"] / MIB, "MiB"),
        Figure(f"the same with {VIRTUAL}", rows[RENEWED]["state_lost_bytes"] / MIB, "MiB"),
    ]


def _rows(frame: pd.DataFrame) -> dict[str, dict[Hashable, Any]]:
    """Rows of a frame by strategy."""
    return {str(row["strategy"]): row for row in frame.to_dict("records")}


def what_it_costs() -> list[Figure]:
    """C12: what each spends and saves per desktop beside linked clones, at the catalog's example prices."""
    needs = strategy_quantities(_compared(), _scenario())
    paid = cost(needs)
    beside = _rows(paid.against(BASE))
    total = _rows(paid.totals)[BASE]["per_desktop"]
    found = [Figure("four years of a linked clone, example prices", float(total))]
    for name in ("refresh", "recompose", RENEWED):
        row = beside[name]
        found += [
            Figure(f"spends more, {name}", float(row["spends_per_desktop"])),
            Figure(f"saves, {name}", float(row["saves_per_desktop"])),
        ]
    even = break_even(needs, BASE, RENEWED, over="storage")
    value = float(even.value) if even.value is not None else None
    return [*found, Figure("storage prices at which the last one pays, times the example's", value, "", 1)]


def fixed_number() -> list[Figure]:
    """C17: names that tell the datastore, and how even the datastores are after four weeks."""
    given = load_scenario("windows-11-office", pool={"clones": 100})
    frame = assignments(given, 25)
    by_store = frame.groupby("datastore", sort=False)["number"]
    gaps = int((by_store.max() - by_store.min() + 1 - by_store.size()).abs().sum())
    fullest = {place: _fullest(place) for place in ("per-lun", "round-robin")}
    return [
        Figure("datastores of 100 clones, 25 each", float(frame["datastore"].nunique())),
        Figure("numbers out of datastore order", gaps),
        Figure("fullest datastore over the mean, fixed number in order", fullest["per-lun"], "%", 1),
        Figure("the same, dealt out in turn", fullest["round-robin"], "%", 1),
    ]


def _fullest(placement: str) -> float:
    """How much more deltas the fullest of four datastores holds than the mean, after 28 days. [%]"""
    luns: dict[str, Any] = {"count": 4, "placement": placement, "clones_per_lun": 12}
    run = simulate("windows-11-office", pool={"clones": 48, "days": 28}, luns=luns)
    last = run.growth[run.growth["day"] == 27]
    sums: pd.Series[float] = last.groupby("lun")["delta_bytes"].sum()
    return 100 * (float(sums.max()) / float(sums.mean()) - 1)


def spend_to_save() -> list[Figure]:
    """C18: one strategy that spends and saves, and two price lists that call different ones cheaper."""
    needs = [
        Quantities(BASE, 100, {"os-delta": 1500.0}),
        Quantities("streaming", 100, {"os-delta": 500.0}, licences={"streaming": 1.0}),
    ]
    listed = {"storage": 2.0, "licences.streaming": {"price": 10.0, "when": "once"}}
    row = cost(needs, listed).against(BASE).iloc[0]
    without = cost(needs, prices_of(listed, off=("licences.streaming",))).against(BASE).iloc[0]
    dear = {"storage": 2.0, "licences.streaming": {"price": 30.0, "when": "once"}}
    other = cost(needs, dear).against(BASE).iloc[0]
    return [
        Figure("spends on licences, 100 desktops", float(row["spends"])),
        Figure("saves on storage", float(row["saves"])),
        Figure("left", float(row["net"])),
        Figure("saved per 1 spent", float(row["return_"]), "", 1),
        Figure("left if the list leaves the licence out", float(without["net"])),
        Figure("left if the licence costs three times as much", float(other["net"])),
    ]
