"""A simulated pool as text for terminals, and its progress bars. No modelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from clonesim.console.screen import watched
from clonesim.console.text import gib, ms, percent, print_table
from clonesim.units import GIB, TIB

if TYPE_CHECKING:
    from clonesim.pool.run import Run

ROWS = 8  # days shown of the growth
NOTHING = "-"
STORM_HEAD = ("storm", "desktops", "at a\ntime", "million\nI/Os", "50 %\nmin", "95 %\nmin", "all\nmin", "limit")
STORM_NOTE = (
    "Work of each storm alone, at the platform's limits and the array's capacity; in cold-start and host-failure "
    "until so many users work; maintenance counts moves. Work per desktop is mostly assumed "
    "(`clonesim catalog operations`)."
)


def print_pool(run: Run) -> None:
    """Tables of growth, policy band, sources and datastores, and what they rest on."""
    _print_growth(run)
    if run.band is not None:
        _print_band(run)
    _print_sources(run)
    _print_datastores(run)
    _print_storms(run)


def _print_growth(run: Run) -> None:
    last = run.scenario.pool.days - 1
    days = sorted({round(last * k / ROWS) for k in range(1, ROWS + 1)} | {0})
    rows = []
    for day, part in run.desktops[run.desktops["day"].isin(days)].groupby("day"):
        delta = part["delta_bytes"]
        row = [f"{int(str(day)) + 1}", *(gib(float(delta.quantile(share))) for share in (0.05, 0.5, 0.95))]
        total = float(delta.sum()) / run.replicates / TIB
        written, used = float(part["written_bytes"].median()), float(part["guest_used_bytes"].median())
        rows.append([*row, f"{total:.3f}", gib(written), gib(used), percent(float(part["censored"].mean()))])
    head = ["end of\nday", "p5\nGiB", "median\nGiB", "p95\nGiB", "sum\nTiB", "written\nGiB", "guest used\nGiB"]
    notes = [
        run.label,
        "Written and guest used are medians. Down: halted for want of space; rows go on.",
    ]
    print_table("Delta of one desktop", [*head, "down\n%"], rows, notes, texts=0)


def _print_band(run: Run) -> None:
    band = run.band
    assert band is not None
    end = band[band["day"] == band["day"].max()]
    rows = [
        [
            row["policy"],
            "on" if row["discards"] else "off",
            *(gib(row[f"delta_{name}_bytes"]) for name in ("p5", "p50", "p95", "mean")),
        ]
        for row in end.to_dict("records")
    ]
    count = int(end["clones"].iloc[0])
    note = (
        f"{count} desktops, the same work in every row. Which free clusters Windows picks is not published: "
        "fresh-first is the folklore's upper bound, published experiments mostly saw best fit."
    )
    head = ["policy", "discards", "p5\nGiB", "median\nGiB", "p95\nGiB", "mean\nGiB"]
    print_table(f"Policy band: delta after {run.scenario.pool.days} days", head, rows, [note], texts=2)


def _print_sources(run: Run) -> None:
    sums = run.source_bytes
    desktops = run.scenario.pool.clones * run.replicates
    written, held = max(int(sums["written_bytes"].sum()), 1), max(int(sums["held_bytes"].sum()), 1)
    rows = [
        [
            str(name),
            percent(row["held_bytes"] / held),
            percent(row["written_bytes"] / written),
            gib(row["held_bytes"] / desktops),
        ]
        for name, row in sums.head(12).iterrows()
    ]
    head = ["source", "of the\ndelta %", "of what is\nwritten %", "in one delta\nGiB"]
    note = "Of the delta: grains that the source touched first, less those that its discards gave back."
    print_table("What the deltas are made of", head, rows, [note])


def _print_datastores(run: Run) -> None:
    print_table("Datastores", ["figure", "value"], datastore_rows(run), [datastore_note(run)], texts=2)


def datastore_rows(run: Run) -> list[list[str]]:
    """Figures of the datastores in words: space, outage, locks, the array."""
    s, scenario = run.summary, run.scenario
    share = run.luns.groupby(["replicate", "lun"])["used_bytes"].last() / scenario.luns.size
    when = NOTHING if s["first_full_day"] is None else f"day {s['first_full_day']:.1f}"
    lead = s["warning_lead_days"]
    return [
        ["datastores", f"{s['datastores']} x {scenario.luns.size / TIB:.2f} TiB, {scenario.luns.backing}"],
        [
            "used at the end, fullest / median / emptiest",
            f"{share.max():.0%} / {share.median():.0%} / {share.min():.0%}",
        ],
        ["beside the deltas (base images, swap, logs)", f"{run.fixed.fixed_bytes / GIB:.0f} GiB each"],
        ["first one full", when],
        ["warning before that, at " + " / ".join(lead), " / ".join(f"{v:.1f} d" for v in lead.values())]
        if lead
        else ["outage within the time simulated", "none"],
        ["P(outage)", f"{s['p_outage']:.2f} (95 % interval {s['p_outage_low']:.2f} to {s['p_outage_high']:.2f})"],
        ["desktops down at the end", f"{s['desktops_down']} (all replicates)"],
        ["locks a second, busiest hour of a LUN", f"{s['locks_a_second_max']:.3g}"],
        ["conflicts a second, worst hour of a LUN", f"{s['conflicts_a_second_max']:.3g}"],
        ["LUN reserved, busiest hour", f"{percent(s['reserved_fraction_max'])} %"],
        ["lock wait p99, worst hour", f"{ms(s['wait_p99_max_s'])} ms"],
        ["lock requests that gave up", str(s["locks_failed"])],
        ["I/O a second, worst minute of a LUN", f"{s['iops_max60']:.0f}"],
        ["array latency p95, worst minute", f"{ms(s['latency_p95_max_s'])} ms"],
        ["logons refused", str(s["refused_logons"])],
        ["guest operations refused (guest disk full)", str(s["refused_operations"])],
    ]


def datastore_note(run: Run) -> str:
    """What these figures rest on."""
    luns, array, hosts = run.scenario.luns, run.scenario.array, run.scenario.hosts.count
    return (
        f"Locks: {luns.locking or 'none that hosts contend for'} on {hosts} hosts, back-off assumed. "
        f"Array: {array.disks} {array.media}, {array.raid}{', shared by all LUNs' if array.shared else ''} (assumed)."
    )


def _print_storms(run: Run) -> None:
    print_table("How long storms last", list(STORM_HEAD), storm_rows(run), [STORM_NOTE])


def storm_rows(run: Run) -> list[list[str]]:
    """How long storms last, and what limits them."""
    return [
        [
            row["kind"],
            str(row["desktops"]),
            "-" if pd.isna(row["at_a_time"]) else str(row["at_a_time"]),
            f"{(row['reads'] + row['writes']) / 1e6:.2f}",
            minutes(row["t50_s"]),
            minutes(row["t95_s"]),
            minutes(row["t100_s"]),
            row["limit"],
        ]
        for row in run.storms.to_dict("records")
    ]


def minutes(seconds: float) -> str:
    """Minutes of a time, as a table shows them."""
    return f"{seconds / 60:.1f}"


def as_json(run: Run) -> dict[str, Any]:
    """What `--json` prints: scenario, summary, growth by day, band."""
    groups = run.desktops.groupby("day")["delta_bytes"]
    from clonesim.pool.run import SHARES

    by_day = pd.DataFrame({name: groups.quantile(share) for name, share in SHARES.items()})
    found = {
        "scenario": run.scenario.to_dict(),
        "seed": run.seed,
        "frames_hash": run.hash,
        "summary": run.summary,
        "storms": run.storms.to_dict("records"),
        "growth": by_day.reset_index().to_dict("records"),
    }
    return found | ({} if run.band is None else {"band": run.band.to_dict("records")})


@contextmanager
def bars() -> Iterator[Callable[..., Callable[[int, int], None]]]:
    """Progress bars on stderr with rate and time left; nothing unless stderr is a terminal.

    Gives a function of a text, and of what is counted unless it is desktop-days, that makes a bar.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not watched()) as progress:

        def bar(text: str, unit: str = "desktop-days") -> Callable[[int, int], None]:
            task = progress.add_task(text, total=None, rate="")

            def update(done: int, total: int) -> None:
                speed = progress.tasks[task].speed
                rate = f"{done:,} of {total:,} {unit}" + (f", {speed:,.0f}/s" if speed else "")
                progress.update(task, completed=done, total=total, rate=rate)

            return update

        yield bar
