"""What all commands share: options, the example below a command's help, folders, tables, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

SCENARIO_HELP = "Name of a packaged scenario (`clonesim catalog` lists them), or a TOML file."


def scenario_names(incomplete: str) -> list[str]:
    """Packaged scenarios that begin so, for a shell that completes; it adds files by itself."""
    from clonesim.scenario.catalog import presets

    return [name for name in presets() if name.startswith(incomplete)]


def topic_names(incomplete: str) -> list[str]:
    """Topics of the catalog that begin so."""
    from clonesim.scenario.catalog import topics

    return [name for name in topics() if name.startswith(incomplete)]


Scenario = Annotated[str, typer.Argument(help=SCENARIO_HELP, autocompletion=scenario_names)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Override such as guest.disk='60 GiB'; repeat for more.")
]
Replicates = Annotated[int, typer.Option(help="How often the whole pool is drawn anew.")]
Processes = Annotated[int | None, typer.Option(help="Processes to start; by default one per core.")]
SCHEDULER_HELP = "Address of a Dask scheduler, such as tcp://head:8786, whose workers simulate the clones."
Scheduler = Annotated[str | None, typer.Option("--scheduler", help=SCHEDULER_HELP)]
Seed = Annotated[int, typer.Option(help="Seed of every draw.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for tables, run.json and PNG charts.")]
Tables = Annotated[str, typer.Option("--tables", help="Format of the tables in --out: parquet or csv.")]


def example(line: str) -> str:
    """Example for the end of a command's help."""
    return f"\b\nExample:\n  {line}"  # the \b keeps the lines as they are


def checked(out: Path | None, tables: str) -> Path | None:
    """Folder that can be written, and a known format of tables."""
    from clonesim.pool.run_files import check_table_format

    check_table_format(tables)
    return writable(out)


def writable(out: Path | None) -> Path | None:
    """Make the folder before the work starts, and find out whether it can be written."""
    import tempfile

    from clonesim.errors import ParameterError

    if out is None:
        return None
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        allowed = f"the folder cannot be written ({error.strerror})"
        raise ParameterError("out", str(out), allowed, "Name a folder that you may write to.") from None


def save(
    folder: Path, tables: str, frames: dict[str, pd.DataFrame], scenario: dict[str, Any], told: dict[str, Any]
) -> list[Path]:
    """Write tables and run.json."""
    from clonesim.pool.run_files import save_run

    return save_run(folder, tables, frames, {"scenario": scenario}, told)


def print_saved(saved: list[Path]) -> None:
    """Tell what was written."""
    from clonesim.console import text

    text.print_saved(saved)


def print_json(value: Any) -> None:
    """JSON on stdout, and nothing else."""
    from clonesim.pool.run_files import to_json

    typer.echo(to_json(value), nl=False)
