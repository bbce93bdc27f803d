"""Commands about what is put in: init, catalog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from clonesim.cli.estate import EstateFlag, init_estate, refuse_for_estate
from clonesim.cli.root import app
from clonesim.cli.shared import Json, Scenario, Settings, example, print_json, topic_names


@app.command(
    epilog=example(
        'clonesim init windows-7-office --set pool.clones=64 --set guest.disk="60 GiB" --out my.toml\n'
        "  clonesim init --from RVTools_export.xlsx --select 'VDI-*' --out my.toml"
    )
)
def init(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Inventory (RVTools workbook, CSV, folder or zip) to fill in from."),
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option("--select", help="With --from: desktops by name, 'VDI-*'; repeat for more.")
    ] = None,
    folder: Annotated[str | None, typer.Option("--folder", help="With --from: desktops by folder.")] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="With --from: desktops by resource pool.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="With --from: desktops by cluster.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; without it the text is printed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    estate: EstateFlag = False,
    as_json: Json = False,
) -> None:
    """Write a commented scenario to start from."""
    from clonesim.errors import ParameterError
    from clonesim.files import write_text
    from clonesim.scenario import commented, load_scenario

    if out is not None and out.exists() and not force:
        raise ParameterError("out", str(out), "the file exists", "Name another, or add --force.")
    if estate:
        refuse_for_estate("what --estate writes", {"set": settings, "from": source})
        init_estate(out, as_json)
        return
    patterns = {"select": select or None, "folder": folder, "pool": pool, "cluster": cluster}
    if source is not None:
        _init_from(source, scenario, settings, patterns, out, as_json)
        return
    for name, value in patterns.items():
        if value is not None:
            raise ParameterError(name, value, "it chooses desktops of an inventory", "Add --from and the inventory.")
    found = load_scenario(scenario, set=settings or [])
    if out is not None:
        write_text(out, commented(found))
        print(f"Written to {out}.", file=sys.stderr)
    if as_json:
        print_json(found.to_dict())
    elif out is None:
        typer.echo(commented(found), nl=False)


def _init_from(
    source: Path, base: str, settings: list[str] | None, patterns: dict[str, Any], out: Path | None, as_json: bool
) -> None:
    """Write a scenario with what an inventory tells."""
    from clonesim.console import prefill as console
    from clonesim.files import write_text
    from clonesim.planning.prefill import prefill
    from clonesim.scenario import commented

    found = prefill(source, base=base, set=settings or [], **patterns)
    if out is not None:
        write_text(out, commented(found.scenario))
        print(f"Written to {out}.", file=sys.stderr)
    if as_json:
        print_json(console.prefill_json(found))
    elif out is not None:
        console.print_prefill(found)
    else:
        typer.echo(commented(found.scenario), nl=False)
        console.print_notes(found)


@app.command(epilog=example("clonesim catalog locks"))
def catalog(
    topic: Annotated[
        str | None,
        typer.Argument(help="Topic, such as locks; without it the topics are listed.", autocompletion=topic_names),
    ] = None,
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
