"""Command that serves the planner page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli import root
from clonesim.cli.shared import Processes, example


@root.app.command(
    epilog=example("clonesim app\n  clonesim app --port 8080 --no-open\n  clonesim app --address 0.0.0.0 --check")
)
def app(
    address: Annotated[str, typer.Option(help="Address to listen on; others than this computer's are warned of.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5006,
    origin: Annotated[
        list[str] | None, typer.Option("--origin", help="Name and port by which browsers reach it; repeat.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
    pools: Annotated[
        Path | None, typer.Option("--pools", help="Folder for simulated pools; by default the user's cache.")
    ] = None,
    processes: Processes = None,
    check: Annotated[bool, typer.Option("--check", help="Say where it would be served, and end.")] = False,
) -> None:
    """Serve the planner page: pick and see at once."""
    from clonesim.app.serve import check_address, is_loopback, origins, serve

    if not is_loopback(address):
        text = (
            f"warning: {address} can be reached from other computers; the page has no password and starts simulations"
        )
        print(f"clonesim: {text}.", file=sys.stderr)
    if check:
        check_address(address, port)
        print(f"Would be served on {address}, port {port}, for {', '.join(origins(address, port, origin or ()))}.")
        return

    def ready(url: str) -> None:
        print(f"Planner page: {url} (end with Ctrl+C)", file=sys.stderr, flush=True)

    serve(address, port, also=origin or (), show=show, pools=pools, processes=processes, ready=ready)
