"""TOML as users write it: of bounded size, and with one error for all that can be wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from clonesim.ingest.limits import most, or_raise
from clonesim.units import format_size


class TomlError(ValueError):
    """A text that is no TOML, or a file of it that cannot be read.

    Attributes
    ----------
    problem : str
        What is wrong.
    remedy : str
        What works instead; empty where only the user knows.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem)


def toml_of(text: str) -> dict[str, Any]:
    """Tables of a text.

    Raises
    ------
    TomlError
        If it is no TOML, or has values nested hundreds deep or numbers of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError("it is not TOML that is read: its values are nested too deep") from None
    except ValueError as error:  # what is no TOML, and numbers that Python does not take
        raise TomlError(f"it is not TOML: {error}") from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """Tables of a file.

    Raises
    ------
    TomlError
        If it cannot be read, has more bytes than the limit `toml_bytes`, or is no TOML in UTF-8.
    """
    allowed = most("toml_bytes")
    try:
        with Path(path).open("rb") as file:
            data = file.read(allowed + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise TomlError(f"it cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with NUL, or bytes that are no UTF-8
        raise TomlError(f"it is not TOML: {error}") from None
    if len(data) > allowed:
        raise TomlError(f"it has more than {format_size(allowed)}", or_raise("toml_bytes", "Name a TOML file"))
    return toml_of(text)
