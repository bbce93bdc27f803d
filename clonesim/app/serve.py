"""Serve the planner page from this computer, without anything from elsewhere."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from clonesim.errors import ClonesimError, ParameterError

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 5006
EXTRA: Final = "The planner page needs the package panel: pip install 'clonesim[app]'."


def is_loopback(address: str) -> bool:
    """Whether only this computer can reach an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def check_address(address: str, port: int) -> None:
    """Refuse an address or port that cannot be listened on.

    Raises
    ------
    ParameterError
        If it is no address of this computer, or the port is out of range or taken.
    """
    if not 1 <= port <= 65535:
        raise ParameterError("port", port, "whole numbers from 1 to 65535 are allowed", f"The usual one is {PORT}.")
    try:
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((address, port))
    except OSError as error:
        name, value = ("port", port) if is_loopback(address) else ("address", address)
        allowed = f"nothing can listen on {address}, port {port} ({error.strerror or error})"
        raise ParameterError(name, value, allowed, "Name another port, or leave --address out.") from None


def origins(address: str, port: int, also: Sequence[str] = ()) -> list[str]:
    """Names under which browsers may ask for the page; others are refused, so that no foreign page can use it."""
    names = {"localhost", LOOPBACK} if is_loopback(address) else {address, socket.gethostname(), socket.getfqdn()}
    return sorted({f"{name}:{port}" for name in names if name not in ("0.0.0.0", "::")} | set(also))  # noqa: S104


def serve(
    address: str = LOOPBACK,
    port: int = PORT,
    *,
    also: Sequence[str] = (),
    show: bool = False,
    pools: Path | None = None,
    processes: int | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    address : str, default "127.0.0.1"
        To listen on.
    port : int, default 5006
        From 1 to 65535.
    also : sequence of str
        More names, such as "planner.example:5006", under which browsers may ask for it.
    show : bool, default False
        Whether to open a browser.
    pools : Path, optional
        Folder for pools that had to be simulated.
    processes : int, optional
        For simulations.
    ready : callable, optional
        Called with the page's URL before it is served.

    Raises
    ------
    ClonesimError
        If panel is not installed.
    ParameterError
        If the address cannot be listened on.
    """
    check_address(address, port)
    os.environ.setdefault("BOKEH_RESOURCES", "server")  # nothing from a CDN
    try:
        import panel
    except ImportError:
        raise ClonesimError(EXTRA) from None
    from clonesim.app import pieces
    from clonesim.app.answers import Planner
    from clonesim.app.choices import Picked
    from clonesim.app.page import Page
    from clonesim.app.pools import Pools

    pn: Any = panel  # which has types for a part of what is called here
    planner = Planner(Pools(pools, processes))
    if planner.pools.ready(Picked()) is not None:
        planner.answer(Picked())  # compiled kernels and the first plan are there when the first visitor comes
    pn.extension(notifications=False)
    logging.getLogger("asyncio").addFilter(_heard)
    shown = f"[{address}]" if ":" in address else address
    if ready:
        ready(f"http://{shown}:{port}/")
    pn.serve(
        {"/": lambda: Page(planner).view()},
        title=pieces.TITLE,
        address=address,
        port=port,
        websocket_origin=origins(address, port, also),
        show=show,
        verbose=False,
    )


def _heard(record: logging.LogRecord) -> bool:
    """Whether a message is worth a line: not that a visitor left while an answer was on its way."""
    kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
    return kind is None or kind.__name__ not in ("WebSocketClosedError", "StreamClosedError")
