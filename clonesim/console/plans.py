"""Plans as text for terminals, and what `--json` prints of them. No modelling."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from clonesim.console.text import gib, percent, print_table, say
from clonesim.planning.basis import UNMEASURED, basis_text
from clonesim.planning.density import NOTHING
from clonesim.words import (
    METRICS,
    between,
    counted,
    density_verdict,
    figure,
    hosts_label,
    hosts_verdict,
    moves_text,
    number,
    off,
    rule_titles,
    size_verdict,
    sized,
    wrong_text,
)

if TYPE_CHECKING:
    from clonesim.planning.cluster import Cluster
    from clonesim.planning.density import Density
    from clonesim.planning.host_needs import HostsNeeded
    from clonesim.planning.sizing import Size

ROWS = 10  # numbers of clones shown
NONE = "-"
OPEN = "Open: not resolved, since the limit lies within the interval."
HEADS = {  # of the table over numbers of clones; the units are those of `METRICS`
    "outage": "risk\nfull %",
    "lock_wait": "lock\nms",
    "conflicts": "confl.\n1/s",
    "iops": "disks\n%",
    "latency": "array\nms",
    "queue": "queue\n%",
}


def print_density(plan: Density) -> None:
    """Verdict, limits at the largest number of clones, all limits over the numbers, storms, and the classic rules."""
    say("How many clones one LUN takes", density_verdict(plan))
    _print_limits(plan)
    _print_numbers(plan)
    if len(plan.storms):
        _print_storms(plan)
    _print_rules(plan)


def print_size(bought: Size) -> None:
    """Verdict, the purchase with intervals, what being wrong costs, and what moves it."""
    title = f"What to buy, {UNMEASURED}" if bought.unmeasured else "What to buy"
    say(title, [*size_verdict(bought), basis_text(bought.measured)])
    rows = []
    for row in bought.frame.to_dict("records"):
        value, ends = figure(row["value"], row["unit"]), between(row["low"], row["high"], row["unit"])
        rows.append([row["item"], value, "the same" if ends == value else ends])
    notes = [
        "The interval covers replicates, the allocation policy and the assumptions below.",
        *wrong_text(bought.wrong),
    ]
    print_table("Purchase", ["item", "planned", "interval"], rows, [*notes, bought.label])
    _print_swings(bought)


def print_hosts(failures: pd.DataFrame, made: Cluster, needed: HostsNeeded | None = None) -> None:
    """What admission control claims and what the hosts bear, failure after failure.

    Parameters
    ----------
    failures : DataFrame
        What `clonesim.planning.host_load.failures` returns.
    made : Cluster
        The hosts it is about.
    needed : HostsNeeded, optional
        What `hosts_needed` says, told below the table.
    """
    say("Hosts that fail", hosts_verdict(failures))
    rows = [
        [
            str(row["failures"]),
            number(row["admitted"]),
            str(row["claimed"]),
            str(row["holds_for"]) if row["holds"] else "no",
            number(row["down"]),
            percent(row["memory_share_max"]),
            percent(row["cpu_share"]),
            number(round(row["ballooned_bytes"] / 2**30)),
            number(round(row["swapped_bytes"] / 2**30)),
            f"{row['swap_iops_per_lun']:,.0f}",
        ]
        for row in failures.to_dict("records")
    ]
    head = ["failed", "rule\nadmits", "rule\nclaims", "hosts\nbear", "down", "mem.\n%", "CPU\n%"]
    head += ["balloon\nGiB", "swap\nGiB", "swap\n1/s LUN"]
    notes = [
        "Rule claims, hosts bear: further failures. No: short of memory or processors already. Memory: of the fullest.",
        *([_needed_text(needed)] if needed else []),
        hosts_label(made, _desktops(failures)),
    ]
    print_table("Promise and truth", head, rows, notes, texts=0)


def density_json(plan: Density) -> dict[str, Any]:
    """What `clonesim density --json` prints."""
    return {
        "label": plan.label,
        "largest": plan.largest,
        "sure": plan.sure,
        "binding": plan.binding,
        "resolved": plan.resolved,
        "replicates_needed": plan.replicates_needed,
        "verdict": density_verdict(plan),
        "limits": asdict(plan.limits),
        "densities": plan.frame.to_dict("records"),
        "space": plan.space.to_dict("records"),
        "storms": plan.storms.to_dict("records"),
        "moves": {**plan.moves.attrs, "rows": plan.moves.to_dict("records")},
        "rules": plan.rules.to_dict("records"),
    }


def size_json(bought: Size) -> dict[str, Any]:
    """What `clonesim size --json` prints."""
    return {
        "label": bought.label,
        "risk": bought.risk,
        "verdict": size_verdict(bought),
        "unmeasured": bought.unmeasured,
        "measured": list(bought.measured),
        "basis": basis_text(bought.measured),
        "binding": bought.binding,
        "peak": bought.peak,
        "purchase": asdict(bought.purchase),
        "items": bought.frame.to_dict("records"),
        "swings": bought.swings.to_dict("records"),
        "wrong": bought.wrong.to_dict("records"),
        "measure": bought.measure,
        "measure_swing": bought.measure_swing,
        "density": {"largest": bought.density.largest, "binding": bought.density.binding},
    }


def hosts_json(failures: pd.DataFrame, made: Cluster, needed: HostsNeeded | None = None) -> dict[str, Any]:
    """What `--json` prints of hosts that fail."""
    found = {
        "label": hosts_label(made, _desktops(failures)),
        "verdict": hosts_verdict(failures),
        "cluster": asdict(made),
        "failures": failures.to_dict("records"),
    }
    return found | ({} if needed is None else {"needed": asdict(needed)})


def _print_limits(plan: Density) -> None:
    now = plan.moves.attrs["now"]
    rows = []
    for name, metric in METRICS.items():
        part = plan.frame[(plan.frame["n"] == now) & (plan.frame["metric"] == name)]
        for row in part.to_dict("records"):
            ends = metric.text(row["low"]), metric.text(row["high"])
            kept = ("yes" if row["passes"] else "no") + ("" if row["resolved"] else ", open")
            interval = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
            rows.append([metric.short, metric.text(row["value"]), interval, metric.told(row["limit"]), kept])
    notes = [OPEN] if any(row[-1].endswith("open") for row in rows) else []
    title = f"Limits with {counted(now, 'clone')} on a LUN, worst minute and worst kind of storm"
    print_table(title, ["limit", "value", "interval", "at most", "kept"], rows, [*notes, *moves_text(plan)])


def _print_numbers(plan: Density) -> None:
    table = {(row["n"], row["metric"]): float(row["value"]) for row in plan.frame.to_dict("records")}
    names = [name for name in HEADS if name in set(plan.frame["metric"])]
    used = dict(zip(plan.space["n"], plan.space["used_p95"], strict=True))
    rows = []
    for n in _some(plan.space["n"].tolist(), plan.largest):
        mark = " <" if n == plan.largest else ""
        rows.append([f"{n}{mark}", gib(used[n]), *(METRICS[name].text(table[n, name]) for name in names)])
    notes = ["Used: 95 % of the LUNs use less. Mark <: the largest number that keeps all limits.", plan.label]
    print_table("Over the numbers of clones", ["clones", "used\nGiB", *(HEADS[name] for name in names)], rows, notes)


def _some(numbers: list[int], largest: int) -> list[int]:
    """A few numbers of clones, with the largest that fits and the next one among them."""
    places = {round(k * (len(numbers) - 1) / (ROWS - 1)) for k in range(ROWS)}
    if largest in numbers:
        at = numbers.index(largest)
        places |= {at, min(at + 1, len(numbers) - 1)}
    return [numbers[place] for place in sorted(places)]


def _print_storms(plan: Density) -> None:
    rows = [
        [
            row["kind"],
            number(row["windows"]),
            f"{row['hours']:.1f}",
            number(row["requests"]),
            number(row["wait_p50_s"] * 1e3),
            number(row["wait_p99_s"] * 1e3),
            number(row["conflicts_per_s"]),
            number(row["conflicts_max60"]),
            number(row["failed"]),
        ]
        for row in plan.storms.to_dict("records")
    ]
    head = ["storm", "windows", "hours", "requests", "p50\nms", "p99\nms", "confl.\n1/s", "worst\nminute"]
    note = (
        "p50, p99: wait at a random moment of storms of a kind, all replicates together. Worst minute: conflicts, 1/s."
    )
    print_table("Lock of such a LUN, by kind of storm", [*head, "failed"], rows, [note])


def _print_rules(plan: Density) -> None:
    rows = []
    for title, row in zip(rule_titles(plan.rules), plan.rules.to_dict("records"), strict=True):
        cells = [title]
        for name, text in (("clone_bytes", sized), ("lun_bytes", sized), ("clones", number)):
            told = NONE if pd.isna(row[name]) else text(row[name])
            cells += [told, off(row[f"{name.removesuffix('_bytes')}_off"])]
        rows.append(cells)
    head = ["rule", "one\nclone", "off by", "such a\nLUN", "off by", "clones\na LUN", "off by"]
    more = " or more" if plan.binding == NOTHING else ""
    notes = [
        "In parentheses: meant for other backings or settings.",
        f"Off by: against what is simulated, {counted(plan.largest, 'clone')}{more} on a LUN.",
    ]
    print_table("Rules of thumb beside it", head, rows, notes)


def _print_swings(bought: Size) -> None:
    planned = bought.purchase.usable_bytes
    rows, last = [], ""
    for row in bought.swings.to_dict("records"):
        title = row["title"].split(" (")[0]
        cells = [title if title != last else "", row["way"], f"{row['space']:.2f}", f"{row['iops']:.2f}"]
        rows.append([*cells, off(row["usable_bytes"] / planned - 1), number(row["disks"])])
        last = title
    head = ["assumption", "way", "space", "I/O", "usable", "disks"]
    note = (
        "Space of a clone and I/O: as a factor, in a small pool with this assumption changed; usable: capacity to buy."
    )
    print_table("What it rests on", head, rows, [note], texts=2)


def _needed_text(needed: HostsNeeded) -> str:
    return (
        f"Hosts needed: {needed.hosts}, {needed.running} of them for desktops and {needed.spare} for failures; at most "
        f"{counted(needed.desktops_per_host, 'desktop')} on one, by {needed.binding}."
    )


def _desktops(failures: pd.DataFrame) -> int:
    return int(failures["desktops"].iloc[0] + failures["down"].iloc[0])
