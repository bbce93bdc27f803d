"""The program: its name, its version, and what becomes of errors."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from clonesim import __version__

LIMIT_HELP = "Limit of a reader, such as inventory_rows=500000; repeat for more. docs/security.md lists them."

app = typer.Typer(
    name="clonesim",
    help="How VDI linked clones grow, and what their growth does to the storage they share.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    limit: Annotated[list[str] | None, typer.Option("--limit", help=LIMIT_HELP)] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"clonesim {__version__}")
        raise typer.Exit
    if limit:
        from clonesim.ingest.limits import limited

        context.with_resource(limited(*limit))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a bad input is a message on stderr and exit code 2, never a traceback."""
    from clonesim.errors import ClonesimError

    try:
        with _stoppable():
            app(argv, prog_name="clonesim")
    except SystemExit as end:
        stop = _stop_behind(end)
        if stop is not None:
            return _stopped(stop)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt as stop:
        return _stopped(stop)
    except ClonesimError as error:
        return _complain(_with_notes(str(error), error), 2)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}." if error.filename else str(error), 2)
    except Exception as error:  # the last resort: no user shall meet a traceback unasked
        if os.environ.get("CLONESIM_DEBUG"):
            raise
        text = f"internal error, please report it: {type(error).__name__}: {error} (CLONESIM_DEBUG=1 shows where)"
        return _complain(text, 1)
    return 0


class Stopped(KeyboardInterrupt):
    """The system asked the program to end."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """End as after Ctrl-C when the system asks for it (SIGTERM), so that workers end and nothing is left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interruption that the command line's library made an exit of."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__cause__ or behind.__context__
    return behind


def _stopped(stop: KeyboardInterrupt) -> int:
    if isinstance(stop, Stopped):
        return _complain(_with_notes("stopped", stop), 128 + signal.SIGTERM)
    return _complain(_with_notes("interrupted", stop), 128 + signal.SIGINT)


def _with_notes(text: str, error: BaseException) -> str:
    notes = getattr(error, "__notes__", [])
    return " ".join([text.rstrip(".") + ".", *notes]) if notes else text


def _complain(text: str, code: int) -> int:
    print(f"clonesim: {text}", file=sys.stderr)
    return code
