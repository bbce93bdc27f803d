"""Strategies side by side as text for terminals, and what `--json` prints. No modelling."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from rich.console import Console

from clonesim.console.screen import screen
from clonesim.console.text import print_table, records, say
from clonesim.errors import ClonesimError
from clonesim.planning.alternatives import BASE
from clonesim.planning.host_needs import hosts_needed
from clonesim.planning.strategy_cost import CACHED, strategy_hosts
from clonesim.planning.strategy_row import COLUMNS
from clonesim.strategy_words import (
    broken,
    catalog_words,
    comparison_verdict,
    desktops_words,
    interval_words,
    pareto,
    strategies_in,
    strategy_verdict,
)
from clonesim.units import GIB, MIB
from clonesim.words import number, off, sized

if TYPE_CHECKING:
    from clonesim.planning.compare import Comparison
    from clonesim.scenario.model import Scenario

NONE = "-"
WIDTH, INDENT = 80, "  "
LEAST_SHARE = 0.01  # smaller differences in the array are not told
BY_CALENDAR = ("refresh", "recompose", "rebalance")  # set desktops back every so many days
ARRAY = "array_"  # columns that only the array feels begin with it
HOSTS_NOTE = (
    "Hosts needed: for all desktops, with the failures tolerated; what a desktop uses of memory and processors is "
    "assumed."
)
DAY_S = 86400


def print_comparison(comparison: Comparison) -> None:
    """Verdict, a row per strategy, each one's paired differences to the base in words, and what each is."""
    console = screen()
    say("Strategies for statelessness, per desktop", verdict(comparison))
    _print_rows(comparison)
    _print_luns(comparison)
    _print_intervals(comparison)
    _print_differences(comparison, console)
    _print_catalog(comparison, console)
    console.print(comparison.label, markup=False)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """What `clonesim compare --json` prints; what is not known or not bounded is None."""
    others = [str(label) for label in comparison.frame["strategy"] if label != comparison.base]
    return {
        "label": comparison.label,
        "base": comparison.base,
        "verdict": verdict(comparison),
        "left_out": dict(comparison.left_out),
        "break_even": records(comparison.break_even),
        "verdicts": {label: sentences(comparison, label) for label in others},
        "pareto": pareto(comparison.frame),
        "strategies": records(comparison.frame),
        "differences": records(comparison.differences),
        "samples": records(comparison.samples),
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
                _tenth(row["increments_a_day"]),
                _tenth(row["iops_max60"]),
                _hours(row["refresh_hours"]) if refreshed else NONE,
                _tenth(row["state_lost_bytes"] / MIB) if refreshed else NONE,
            ]
        )
    head = ["strategy", "total\nGiB", "+-", "delta\np95", "LUNs", "incr.\n1/d", "IOPS\npeak", "refr.\nh", "lost\nMiB"]
    notes = [
        "+-: half of Student's 95 % interval. Total: all tiers, base images and swap. Delta p95: ends of days. LUNs: "
        "for all desktops. Incr.: of disks without increments, minutes in which they grew. IOPS: worst minute of a "
        "LUN. Refr.: hours of work on all desktops, in the night with most. Lost: profile and user data on the system "
        "disk, each time that it is set back, but for a streamed profile; - where it never was in the run.",
    ]
    print_table("Side by side", head, rows, [*notes, ""])


def _print_luns(comparison: Comparison) -> None:
    rows = []
    for row in comparison.frame.to_dict("records"):
        many, binding = desktops_words(row)
        full = bool(row["p_outage"])
        rows.append(
            [
                broken(str(row["strategy"])),
                many,
                binding,
                f"{100 * row['p_outage']:.0f}",
                f"{row['outage_day']:.0f}" if full else NONE,
                _tenth(row["network_a_day_bytes"] / MIB),
                _tenth(row["logon_added_s"]),
            ]
        )
    head = ["strategy", "desktops\na LUN", "limited by", "full\n%", "day", "network\nMiB/d", "logon\ns"]
    notes = [
        "Desktops a LUN: most that keep all limits; >= where the sample has no more. Full: share of the pools drawn in "
        "which a LUN of as many desktops as the scenario deals to one is full within the run, and the earliest day. "
        "Logon: what it takes longer, without what is written."
    ]
    print_table("On a LUN, over the network, at a logon", head, rows, [*notes, ""])


def _print_intervals(comparison: Comparison) -> None:
    table = comparison.break_even
    if table.empty:
        return
    rows = [
        [
            broken(str(row["strategy"])),
            f"{row['age_low_d']:g} to {row['age_high_d']:g}",
            number(row["hour_after_bytes"] / GIB),
            _tenth(row["interval_d"]) if math.isfinite(row["interval_d"]) else "never",
            number(round(row["written_a_day_bytes"] / MIB)),
        ]
        for row in table.to_dict("records")
    ]
    head = ["strategy", "image\nd", "an hour after\nGiB", "saves space\nfrom every d", "written\nMiB/d"]
    written = number(round(float(table["base_written_a_day_bytes"].iloc[0]) / MIB))
    notes = [
        f"Set back more often, a desktop holds as much as one that was left alone. {BASE} writes {written} MiB a day."
    ]
    print_table("When a refresh saves space, by the age of the image", head, rows, [*notes, ""])


def _print_differences(comparison: Comparison, console: Console) -> None:
    title = f"Against {comparison.base}, with the same users"
    console.print(title, markup=False, style="bold")
    for label in map(str, comparison.frame["strategy"]):
        if label == comparison.base:
            continue
        told = interval_words(comparison.break_even, label)  # the table says it
        lines = [sentence for sentence in sentences(comparison, label) if sentence not in told]
        if len(lines) == 1 and len(label) + len(lines[0]) + 2 <= WIDTH:
            console.print(f"{label}: {lines[0]}", markup=False)
            continue
        wrapped = [textwrap.fill(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT) for line in lines]
        console.print("\n".join([f"{label}:", *wrapped]), markup=False)
    if comparison.scenarios:
        console.print(HOSTS_NOTE, markup=False)
    console.print()


def verdict(comparison: Comparison) -> list[str]:
    """Sentences about all: least storage, who is not beaten, and whose losses the run was too short to show."""
    rows = {str(row["strategy"]): row for row in comparison.frame.to_dict("records")}
    front = [
        f"{label} ({sized(rows[label]['storage_bytes'])}, {_lost(rows[label])} lost)"
        for label in pareto(comparison.frame)
    ]
    found = comparison_verdict(comparison)
    found.append(f"Not beaten in storage and state lost together, by the means: {'; '.join(front)}.")
    early = [label for label in rows if _not_due(comparison, label)]
    if early:
        found.append(f"Not set back within the run, so what they empty and lose is not counted: {', '.join(early)}.")
    return found


def sentences(comparison: Comparison, label: str) -> list[str]:
    """What there is to say about one strategy beside the base, in one line if it changes nothing measurable."""
    twin, base = _twin(comparison, label), comparison.base
    array, notes = _array_words(comparison, label, twin or base), _notes(comparison, label)
    if twin is None:
        return strategy_verdict(comparison, label) + array + notes
    but = " but in the array" if array else ""
    if twin != base:
        known = _notes(comparison, twin)
        same = f"As {twin} in every figure{but or ' (the peak in the array within 1 %)'}."
        return [same, *array, *(note for note in notes if note not in known)]
    if len(notes) == 1 and not array and not _memory(comparison, label):
        return [f"Changes nothing: {notes[0][0].lower()}{notes[0][1:]}"]
    return [f"Changes nothing measurable{but}.", *array, *notes]


def _notes(comparison: Comparison, label: str) -> list[str]:
    """What differences do not say."""
    return _not_due(comparison, label) + _done_words(comparison, label) + _memory(comparison, label)


def _lost(row: dict[Any, Any]) -> str:
    return sized(row["state_lost_bytes"]) if row["state_lost_bytes"] else "nothing"


def _row(comparison: Comparison, label: str) -> dict[Any, Any]:
    return dict(comparison.frame.set_index("strategy").loc[label])


def _twin(comparison: Comparison, label: str) -> str | None:
    """First strategy before this one with the same figures in every replicate, but for the array's."""
    columns = [name for name in COLUMNS if not name.startswith(ARRAY)]
    parts = comparison.samples.groupby("strategy", sort=False)[columns]
    figures = {str(name): part.reset_index(drop=True) for name, part in parts}
    others = ("p_outage", "clones_per_lun", "binding")
    mine = [_row(comparison, label)[name] for name in others]
    for other in map(str, comparison.frame["strategy"]):
        if other == label:
            return None
        if figures[other].equals(figures[label]) and [_row(comparison, other)[name] for name in others] == mine:
            return other
    return None


def _array_words(comparison: Comparison, label: str, other: str) -> list[str]:
    """What the array keeps, where that is another share of what datastores take than under another strategy."""
    base, mine = _row(comparison, other), _row(comparison, label)
    usual, found = (row["array_peak_bytes"] / max(row["datastore_peak_bytes"], 1.0) for row in (base, mine))
    if abs(found - usual) < LEAST_SHARE * usual:
        return []
    share = off(mine["array_peak_bytes"] / base["array_peak_bytes"] - 1)
    assumed = "; how much content is common and how far it shrinks is assumed" if "array-dedup" in label else ""
    return [
        f"The array keeps {sized(mine['array_peak_bytes'])} per desktop at its peak ({share} against {other}"
        f"{assumed}), which the storage above does not count."
    ]


def _not_due(comparison: Comparison, label: str) -> list[str]:
    """Whether a strategy that sets desktops back had no time to do so."""
    made = comparison.scenarios.get(label)
    if made is None or _row(comparison, label)["refreshes"]:
        return []
    due = [
        f"{choice.name} (every {choice.value('every') / DAY_S:g} d)"
        for choice in made.strategy
        if choice.name in BY_CALENDAR and (choice.name != "refresh" or choice.value("when") == "days")
    ]
    return [f"No {' and '.join(due)} within the run of {made.pool.days} d."] if due else []


def _done_words(comparison: Comparison, label: str) -> list[str]:
    """What reclaiming gave back, how many desktops were moved, and whether write caches are too small."""
    made, row = comparison.scenarios.get(label), _row(comparison, label)
    names, found = strategies_in(label), []
    reclaim = made.chosen("space-reclaim") if made else None
    if row["reclaimed_bytes"] and "space-reclaim" in names:
        told = (
            f"{sized(row['reclaimed_bytes'])} per desktop in all, for {sized(row['reclaim_written_bytes'])} of writes"
        )
        found.append(f"Gives back {told}.")
    elif reclaim:
        asked = f"every {reclaim.value('every') / DAY_S:g} d, above {sized(reclaim.value('threshold'))}"
        found.append(f"Gave back no space ({asked}).")
    if row["refreshes"] and "rebalance" in names and not {"refresh", "recompose"} & set(names):
        many = f" ({number(round(row['refreshes'] * made.pool.clones))} of {made.pool.clones} desktops)" if made else ""
        found.append(f"Moves in the run: {number(row['refreshes'])} per desktop{many}, each made anew.")
    if row["cache_full"] and set(CACHED) & set(names):
        found.append(f"On {number(round(100 * row['cache_full'], 1))} % of the desktops the cache's disk is too small.")
    if "provisioned-streaming" in names:
        found.append("Streaming servers are not counted.")
    return found


def _memory(comparison: Comparison, label: str) -> list[str]:
    """Memory of hosts that a strategy takes, and the hosts needed with it."""
    made, plain = comparison.scenarios.get(label), comparison.scenarios.get(comparison.base)
    if made is None or plain is None:
        return []
    ram = sum(int(choice.value("ram")) for choice in made.strategy if choice.name in CACHED)
    more = round((made.hosts.memory_reservation - plain.hosts.memory_reservation) * made.guest.memory)
    parents = made.chosen("instant-clone")
    found = []
    for size, what in ((ram, "for the write cache"), (more, "reserved")):
        if size > 0:
            all_of_them = sized(size * made.pool.clones)
            found.append(f"{sized(size)} per desktop {what} ({all_of_them} for {made.pool.clones} desktops)")
    if parents and parents.value("parents"):
        found.append(f"{sized(int(parents.value('parents')) * made.guest.memory)} on each host for the parent")
    hosts, before = _hosts(made), _hosts(plain)
    if not hosts or not before:
        return [f"Memory of the hosts: {'; '.join(found)}."] if found else []
    if found:
        change = f"hosts needed: {hosts}{f', not {before}' if hosts != before else ', as without it'}"
        return [f"Memory of the hosts: {'; '.join(found)}; {change}."]
    return [f"Hosts needed: {hosts} instead of {before}."] if hosts != before else []


def _hosts(made: Scenario) -> int:
    """Hosts for all desktops under a strategy; 0 if none can take one. [1]"""
    try:
        return hosts_needed(strategy_hosts(made), made.pool.clones, where=made.luns.backing).hosts
    except ClonesimError:
        return 0


def _print_catalog(comparison: Comparison, console: Console) -> None:
    known = catalog_words(comparison)
    if not known:
        return
    console.print("What they are", markup=False, style="bold")
    for _, title, saves, costs in known:
        console.print(f"{title}. Saves: {saves} Costs: {costs}", markup=False)
    console.print()


def _tenth(value: float) -> str:
    """One decimal below 100, none above and for whole numbers."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.1f}".removesuffix(".0")


def _hours(hours: float) -> str:
    if 0 < hours < 0.005:
        return "<0.01"
    return f"{hours:.2f}" if hours < 10 else f"{hours:.1f}"


def _half(width: float) -> str:
    return number(width) if math.isfinite(width) else NONE
