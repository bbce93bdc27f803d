"""Text for terminals: tables that fit 80 columns, progress on stderr that vanishes when piped. No modelling."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from clonesim.console.folding import column_widths, fold, table_width
from clonesim.console.screen import clean, screen, watched
from clonesim.units import GIB, MIB

if TYPE_CHECKING:
    import pandas as pd

    from clonesim.pool import TraceRun


def print_run(run: TraceRun) -> None:
    """Table per interval of a trace-driven run."""
    several = run.parameters["luns"] > 1
    head = ["until", "mean\nGiB", "p95\nGiB", "total\nGiB", "growth\nsteps", "RESV/s", "lock\nheld %"]
    rows = (
        (
            until,
            gib(row["delta_mean_bytes"]),
            gib(row["delta_p95_bytes"]),
            gib(row["delta_total_bytes"]),
            str(row["increments"]),
            f"{row['reservations_per_s']:.3g}",
            percent(row["reserved_fraction"]),
            ms(row["wait_p50_s"]),
            ms(row["wait_p99_s"]),
        )
        for until, row in zip(clock(run.table["end_s"]), _rows(run.table), strict=True)
    )
    notes = [run.growth.attrs["caption"]]
    if several:
        notes.append("RESV/s, lock held and waits are those of the LUN where they are worst.")
    if run.parameters["trace_skipped_rows"]:
        notes.append(f"{run.parameters['trace_skipped_rows']} bad rows of the trace were left out.")
    title = "Delta files at the end of each interval, and the lock that their growth takes"
    print_table(title, [*head, "wait ms\np50", "wait ms\np99"], rows, notes)


def print_replay(rows: pd.DataFrame, label: str, skipped: int) -> None:
    """Table of one delta in several formats; a row per time and format."""
    head = ["at", "format", "written\nGiB", "unique\nGiB", "grains", "metadata\nMiB", "file\nGiB"]
    body = (
        (
            when,
            row["format"],
            gib(row["written_bytes"]),
            gib(row["unique_bytes"]),
            str(row["grains"]),
            mib(row["metadata_bytes"]),
            gib(row["file_bytes"]),
        )
        for when, row in zip(clock(rows["time_s"]), _rows(rows), strict=True)
    )
    notes = [f"Trace: {label}."] + ([f"{skipped} bad rows of the trace were left out."] if skipped else [])
    print_table("One delta, side by side", head, body, notes, texts=2)


def print_experiment(frame: pd.DataFrame) -> None:
    """Table of the create-and-delete experiment; a row per policy."""
    before, after = (frame[frame["round"] == number] for number in (0, frame["round"].max()))
    rows = (
        (
            first["policy"],
            gib(first["guest_used_bytes"]),
            gib(last["guest_used_bytes"]),
            gib(last["delta_bytes"]),
            str(last["increments"]),
        )
        for first, last in zip(_rows(before), _rows(after), strict=True)
    )
    head = ["policy", "used before\nGiB", "used after\nGiB", "delta\nGiB", "growth\nsteps"]
    print_table("Guest use and delta size, by allocation policy", head, rows, [frame.attrs["caption"]])


def print_saved(paths: Sequence[Path]) -> None:
    """Say on stderr which files were written."""
    if paths:
        told = f"Written to {paths[0].parent}: {', '.join(path.name for path in paths)}"
        screen(stderr=True).print(clean(told), markup=False)


def say(title: str, sentences: Iterable[str]) -> None:
    """Print a verdict: its title, and a line for each sentence."""
    console = screen()
    console.print(clean(title), markup=False, style="bold")
    for sentence in sentences:
        console.print(clean(sentence), markup=False)
    console.print()


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], notes: Sequence[str] = (), texts: int = 1
) -> None:
    """Print a table that fits the screen; the first `texts` columns are text and may be folded, the others numbers.

    Notes stand below it.
    """
    console = screen()
    console.print(clean(title), markup=False, style="bold")
    body = [[clean(cell) for cell in row] for row in rows]
    widths = column_widths(columns, body, texts, console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
        text = place < texts
        table.add_column(fold(column, width), justify="left" if text else "right", no_wrap=True, min_width=width)
    for row in body:
        table.add_row(*(fold(cell, widths[place]) if place < texts else cell for place, cell in enumerate(row)))
    wide = screen()
    wide.width = max(console.width, table_width(widths))  # where numbers alone are wider than the screen
    wide.print(table, markup=False)
    for note in notes:
        console.print(clean(note), markup=False)


@contextmanager
def progress(text: str, steps: int | None = None) -> Iterator[Callable[[], None]]:
    """Progress bar on stderr; yields a function to call after each step. Shows nothing unless stderr is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), *((MofNCompleteColumn(),) if steps else ()))
    with Progress(*columns, console=console, transient=True, disable=not watched()) as bar:
        task = bar.add_task(text, total=steps)
        yield lambda: bar.advance(task)


def _rows(frame: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return frame.to_dict("records")


def gib(size: float) -> str:
    """Size in GiB with three decimals."""
    return f"{size / GIB:.3f}"


def mib(size: float) -> str:
    """Size in MiB with one decimal."""
    return f"{size / MIB:.1f}"


def ms(seconds: float) -> str:
    """Duration in ms with three significant digits; "-" where there is none."""
    return "-" if math.isnan(seconds) else f"{seconds * 1e3:.3g}"


def percent(share: float) -> str:
    """Share in % with three significant digits."""
    return f"{share * 100:.3g}"


def clock(times_s: Iterable[float]) -> list[str]:
    """Write times in one unit: the largest that none of them needs more than one decimal of."""
    times = list(times_s)
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if times and max(times) >= 2 * length and all(round(t / length, 1) * length == t for t in times):
            decimals = 0 if all(t % length == 0 for t in times) else 1
            return [f"{t / length:.{decimals}f} {unit}" for t in times]
    return [f"{t:.6g} s" for t in times]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data for JSON: None for what it has no number for, text for dates."""
    return [{str(name): plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def plain(value: Any) -> Any:
    """One value of such a row."""
    import pandas as pd

    if value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value
