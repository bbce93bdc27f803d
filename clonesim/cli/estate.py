"""Estates on the command line: what `run` and `init` do with one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clonesim.cli.shared import checked, print_json, print_saved

SAMPLE_HELP = "Of an estate: simulate some desktops only, up to a standard error such as '2 %', or so many desktops."
ESTATE_HELP = "Write a commented estate instead: many pools on sites."
Sample = Annotated[str | None, typer.Option("--sample", help=SAMPLE_HELP)]
EstateFlag = Annotated[bool, typer.Option("--estate", help=ESTATE_HELP)]


def run_estate(
    path: str,
    settings: list[str],
    seed: int,
    replicates: int,
    sample: str | None,
    processes: int | None,
    out: Path | None,
    tables: str,
    as_json: bool,
    scheduler: str | None = None,
) -> None:
    """Simulate the estate of a TOML file, or a sample of it, and print and save what came of it."""
    from clonesim import pool
    from clonesim.console import estate as console
    from clonesim.console.pool import bars
    from clonesim.pool.estate import estimated_or_whole
    from clonesim.scenario.estate_load import load_estate

    given = load_estate(path, set=settings)
    folder = checked(out, tables)
    with pool.scheduler(scheduler) as executor, bars() as bar:
        text = "Simulating the estate" if sample is None else "Sampling the estate"
        result = estimated_or_whole(given, seed, replicates, executor, folder, processes, bar(text), sample)
    saved = result.save(folder, tables) if folder else []
    if as_json:
        print_json(console.as_json(result))
        return
    console.print_estate(result)
    print_saved(saved)


def refuse_for_estate(path: str, options: Mapping[str, Any]) -> None:
    """Refuse options that are of one pool; those that are None or False were not given."""
    from clonesim.errors import ParameterError

    for name, value in options.items():
        if value is not None and value is not False:
            allowed = f"this option is of one pool, and {path} is an estate of many"
            raise ParameterError(f"--{name}", value, allowed, "Leave it out, or run a scenario.")


def refuse_sample(sample: str | None) -> None:
    """Refuse a sample of what is no estate."""
    from clonesim.errors import ParameterError

    if sample is not None:
        remedy = "Name the TOML file of one; `clonesim init --estate` writes it. For one pool, lower pool.clones."
        raise ParameterError("sample", sample, "only an estate is sampled", remedy)


def init_estate(out: Path | None, as_json: bool) -> None:
    """Write a commented estate to start from, or print it."""
    import tempfile

    from clonesim.files import write_text
    from clonesim.scenario.estate_load import example_estate, load_estate

    text = example_estate()
    if out is not None:
        write_text(out, text)
        print(f"Written to {out}.", file=sys.stderr)
    if as_json:
        with tempfile.TemporaryDirectory() as folder:
            found = load_estate(write_text(Path(folder, "estate.toml"), text))
        print_json(found.to_dict())
    elif out is None:
        typer.echo(text, nl=False)
