"""Command that tells how far a run in a folder is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, example, print_json


@app.command(epilog=example("clonesim status out/pool"))
def status(
    folder: Annotated[Path, typer.Argument(help="Folder that was given to --out.")],
    as_json: Json = False,
) -> None:
    """How far the runs in a folder are: parts finished, left, torn."""
    from clonesim.console.status import print_status
    from clonesim.errors import ParameterError
    from clonesim.pool import finished_runs, progress_of

    if not folder.is_dir():
        raise ParameterError("folder", str(folder), "there is no such folder", "Name the one given to --out.")
    begun, finished = progress_of(folder), finished_runs(folder)
    if not begun and not finished:
        remedy = "Name the one that was given to --out."
        raise ParameterError("folder", str(folder), "no run was begun or finished in this folder", remedy)
    if as_json:
        print_json({"begun": [asdict(one) for one in begun], "finished": finished})
        return
    print_status(begun, finished)
