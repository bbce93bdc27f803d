"""The program: its name, its version, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from clonesim import __version__

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
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"clonesim {__version__}")
        raise typer.Exit


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a bad input is a message on stderr and exit code 2, never a traceback."""
    from clonesim.errors import ClonesimError

    try:
        app(argv, prog_name="clonesim")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except ClonesimError as error:
        return _complain(str(error), 2)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}." if error.filename else str(error), 2)
    except Exception as error:  # the last resort: no user shall meet a traceback unasked
        if os.environ.get("CLONESIM_DEBUG"):
            raise
        text = f"internal error, please report it: {type(error).__name__}: {error} (CLONESIM_DEBUG=1 shows where)"
        return _complain(text, 1)
    return 0


def _complain(text: str, code: int) -> int:
    print(f"clonesim: {text}", file=sys.stderr)
    return code
