"""Command that examines claims about linked clones: their figures, computed anew."""

from __future__ import annotations

from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, example, print_json


@app.command(epilog=example("clonesim claims C4\n  clonesim claims C13 C14 --json"))
def claims(
    names: Annotated[
        list[str] | None, typer.Argument(help="Claims such as C4; without any, all are listed.", metavar="CLAIM")
    ] = None,
    as_json: Json = False,
) -> None:
    """What was said of linked clones in 2008, examined."""
    from clonesim.console import claims as console
    from clonesim.planning.claims import CLAIMS, claim, claim_frame

    if not names:
        if as_json:
            print_json(console.claims_json(CLAIMS))
        else:
            console.print_claims(CLAIMS)
        return
    asked = [claim(name) for name in names]
    frames = {}
    for one in asked:
        frames[one] = claim_frame([one.name])
        if not as_json:
            console.print_claim(one, frames[one])
    if as_json:
        print_json({one.name: console.claim_json(one, frame) for one, frame in frames.items()})
