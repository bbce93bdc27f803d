"""Where text goes: stdout or stderr, without surprises from names in the user's files. No modelling."""

from __future__ import annotations

import sys
import unicodedata

from rich.console import Console


def screen(stderr: bool = False, whole: bool = False) -> Console:
    """Console for text that may hold names from files: neither emoji codes nor numbers in it are changed.

    Parameters
    ----------
    stderr : bool, default False
        Messages go there, results to stdout.
    whole : bool, default False
        Keep long lines whole: they are there to be copied.
    """
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=whole)


def watched() -> bool:
    """Whether somebody looks at stderr: a terminal, whatever FORCE_COLOR says."""
    return sys.stderr is not None and sys.stderr.isatty()


def clean(text: str) -> str:
    r"""Text without control characters: a name cannot clear the screen; line ends stay.

    Examples
    --------
    >>> clean("a\tb\x1b[2J")
    'a b\\x1b[2J'
    """
    if text.isprintable():
        return text
    text = text.replace("\t", " ")
    return "".join(one if one == "\n" or unicodedata.category(one)[0] != "C" else _shown(one) for one in text)


def _shown(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
