"""Files that are there as a whole or not at all, and names that are safe for a file."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clonesim.errors import ClonesimError, ParameterError, WriteError

if TYPE_CHECKING:
    import pandas as pd

LONGEST_NAME: Final = 100  # characters
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.)", re.ASCII)
_DEVICES: Final = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE
)  # names that Windows keeps for itself
_AGAIN: Final = "Then give the same command again."
_REMEDIES: Final = {
    errno.ENOSPC: f"Make room, or name a place on another disk. {_AGAIN}",
    errno.EDQUOT: f"Make room within your quota, or name a place on another disk. {_AGAIN}",
    errno.EFBIG: f"Raise the limit on the size of files (ulimit -f), or name a place on another disk. {_AGAIN}",
    errno.ENOENT: "Make its folder first, or name a file in a folder that exists.",
    errno.ENOTDIR: "Make its folder first, or name a file in a folder that exists.",
    errno.EISDIR: "It is a folder: name a file.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}
_USUAL: Final = "Choose a file in a folder that exists and that you may write to."


def write_whole(path: Path, write: Callable[[Path], Any]) -> Path:
    """Let a file be written beside its place, then move it there: it is there as a whole or not at all.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced.
    write : callable
        Writes the file whose path it is given.

    Raises
    ------
    WriteError
        If it cannot be written, such as on a full disk. What stood there before still stands there, and no half of the
        new file is left.
    """
    if "\0" in str(path) or not path.name:
        raise WriteError(repr(str(path)), "it is no name of a file", _USUAL)
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and not isinstance(error, ClonesimError):
            raise write_error(path, error) from None
        raise
    return path


def write_text(path: str | Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a text with line ends as they are in it; see `write_whole`."""
    return write_whole(Path(path), lambda part: part.write_text(text, encoding=encoding, newline=""))


def write_csv(path: str | Path, frame: pd.DataFrame) -> Path:
    """Write a frame as CSV without its index; see `write_whole`."""
    return write_whole(Path(path), lambda part: frame.to_csv(part, index=False, lineterminator="\n"))


def write_new(path: str | Path, text: str, encoding: str = "utf-8", newline: str = "\n") -> Path:
    """Write a text to a file that must not exist; what cannot be written whole is removed again.

    Raises
    ------
    FileExistsError
        If it is there.
    WriteError
        If it cannot be written.
    """
    path = Path(path)
    try:
        file = path.open("x", encoding=encoding, newline=newline)
    except FileExistsError:
        raise
    except OSError as error:
        raise write_error(path, error) from None
    try:
        with file:
            file.write(text)
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise write_error(path, error) from None
        raise
    return path


def write_error(path: str | Path, error: OSError) -> WriteError:
    """Error that names the file, what the system said, and what helps."""
    said = error.strerror or str(error) or type(error).__name__
    made = WriteError(path, said, _REMEDIES.get(error.errno or 0, _USUAL))
    made.errno = error.errno
    return made


def make_folder(path: str | Path, name: str = "out") -> Path:
    """Make a folder unless it is there.

    Raises
    ------
    ParameterError
        If it cannot be made; `name` is the parameter that named it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        allowed = f"the folder cannot be made ({error.strerror or error})"
        raise ParameterError(name, str(path), allowed, "Name a folder that you may write to.") from None
    return folder


def file_name(name: str, parameter: str) -> str:
    """Hand back a name that can be that of a file or folder everywhere, and cannot lead out of its folder.

    Raises
    ------
    ParameterError
        If it is none: `parameter` is what it is of, such as "pools[0].name".

    Examples
    --------
    >>> from clonesim.files import file_name
    >>> file_name("office-berlin", "pools[0].name")
    'office-berlin'
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        allowed = (
            f"it becomes a file's name: 1 to {LONGEST_NAME} letters A to Z, digits, '.', '-' and '_', not beginning "
            "with '.' or '-', not ending with '.', and none that Windows keeps for itself"
        )
        raise ParameterError(parameter, name, allowed, "Write for example 'office-berlin'.")
    return name
