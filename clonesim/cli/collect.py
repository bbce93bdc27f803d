"""Command that collects what is missing: a script that measures, for a scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, example, print_json, print_saved


@app.command(
    epilog=example(
        "clonesim collect --platform proxmox\n  clonesim collect --platform view --every daily --out scripts"
    )
)
def collect(
    platform: Annotated[str, typer.Option(help="What the clones run on: view, hyper-v, citrix or proxmox.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the script; the file must not exist.")] = Path(),
    every: Annotated[str, typer.Option(help="How often it shall measure: weekly or daily.")] = "weekly",
    at: Annotated[str, typer.Option(help="Time of day, local to where it runs.")] = "12:00",
    as_json: Json = False,
) -> None:
    """Write a read-only script that measures week after week."""
    from clonesim.console import collect as console
    from clonesim.planning.collect_script import write_collect_script

    path = write_collect_script(out, platform, every, at)
    if as_json:
        print_json(console.collect_json(path, platform, every, at))
        return
    console.print_collect(path, platform, every, at)
    print_saved([path])
