"""Scripts that are packaged as templates: places filled in, and the files that are written of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from clonesim.errors import ParameterError
from clonesim.files import write_new

_PLACES: Final = re.compile(r"'<([a-z ]+)>'")


def filled(folder: str, name: str, values: Mapping[str, str], parts: Sequence[str] = ()) -> str:
    """Text of a packaged template with its places, written '<name>', filled in.

    Parameters
    ----------
    folder : str
        Folder beside this module; "" for this one.
    name : str
        File of the template.
    values : mapping
        What comes into each place.
    parts : sequence of str, optional
        Further files of the folder, each for the place of its name without the ending. Their places are filled, too.
    """

    def fill(text: str, known: Mapping[str, str]) -> str:
        return _PLACES.sub(lambda place: known[place[1]], text)

    texts = {part.partition(".")[0]: fill(_text(folder, part), values).strip() for part in parts}
    return fill(_text(folder, name), {**values, **texts})


def write_script(path: Path, text: str, *, windows: bool) -> Path:
    """Write a script to a file that must not exist.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        The script.
    windows : bool
        Whether it gets the line ends of Windows, and the byte order mark that Windows PowerShell 5.1 needs.

    Raises
    ------
    ParameterError
        If the file exists.
    WriteError
        If it cannot be written.
    """
    encoding, newline = ("utf-8-sig", "\r\n") if windows else ("utf-8", "\n")
    try:
        return write_new(path, text, encoding, newline)
    except FileExistsError:
        raise ParameterError("out", str(path), "the file exists", "Remove it, or choose another name.") from None


def _text(folder: str, name: str) -> str:
    return resources.files(__package__).joinpath(folder, name).read_text(encoding="utf-8")
