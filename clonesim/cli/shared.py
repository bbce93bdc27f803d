"""What all commands share: options, the example below a command's help, folders, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for tables, run.json and PNG charts.")]
Tables = Annotated[str, typer.Option("--tables", help="Format of the tables in --out: parquet or csv.")]
SCENARIO_HELP = "Name of a packaged scenario (`clonesim catalog` lists them), or a TOML file."
SET_HELP = "Override such as guest.disk='60 GiB'; repeat for more."


def example(line: str) -> str:
    """Example for the end of a command's help."""
    return f"\b\nExample:\n  {line}"  # the \b keeps the lines as they are


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


def print_json(value: Any) -> None:
    """JSON on stdout, and nothing else."""
    from clonesim.pool.run_files import to_json

    typer.echo(to_json(value), nl=False)
