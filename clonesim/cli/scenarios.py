"""Commands about what is put in: init, catalog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, Scenario, Settings, example, print_json


@app.command(
    epilog=example('clonesim init windows-7-office --set pool.clones=64 --set guest.disk="60 GiB" --out my.toml')
)
def init(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; without it the text is printed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented scenario to start from."""
    from clonesim.errors import ParameterError
    from clonesim.scenario import commented, load_scenario

    found = load_scenario(scenario, set=settings or [])
    if out is not None and out.exists() and not force:
        raise ParameterError("out", str(out), "the file exists", "Name another, or add --force.")
    if out is not None:
        out.write_text(commented(found), encoding="utf-8")
        print(f"Written to {out}.", file=sys.stderr)
    if as_json:
        print_json(found.to_dict())
    elif out is None:
        typer.echo(commented(found), nl=False)


@app.command(epilog=example("clonesim catalog locks"))
def catalog(
    topic: Annotated[str | None, typer.Argument(help="Topic, such as locks; without it the topics are listed.")] = None,
    name: Annotated[str | None, typer.Argument(help="One parameter of the topic, with its note and source.")] = None,
    as_json: Json = False,
) -> None:
    """List the cited parameters with default, range and source."""
    from clonesim.console import catalog as listing

    found = listing.select(topic, name)
    if as_json:
        print_json(found)
    else:
        listing.show(found, topic, name)
