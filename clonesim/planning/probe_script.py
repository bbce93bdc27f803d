"""The probe's scripts: PowerShell with the pattern, and what they share, put in."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Final

from clonesim.delta import FORMATS
from clonesim.errors import ParameterError
from clonesim.planning.probe_pattern import BASE, PARTS, PATTERN, PREPARE, RESTART_BEFORE, room_parts

FOLDER: Final = "probe_scripts"
_PLACES: Final = re.compile(r"'<([a-z ]+)>'")


def probe_script(self_contained: bool = False) -> str:
    """Text of a probe's script.

    Parameters
    ----------
    self_contained : bool, default False
        The form that needs no hypervisor, rather than the one for a freshly snapshotted guest.

    Returns
    -------
    str
        Windows PowerShell 5.1 and later.
    """
    name = "self_contained.ps1" if self_contained else "guest.ps1"
    values = {
        "base": BASE.strip(),
        "common": _part("common.ps1").strip(),
        "formats": ", ".join(FORMATS),
        "parts": str(PARTS),
        "pattern": PATTERN.strip(),
        "prepare": PREPARE.strip(),
        "restart before": f"'{RESTART_BEFORE}'",
        "room": str(room_parts()),
    }
    return _PLACES.sub(lambda place: values[place[1]], _part(name))


def write_probe_script(path: str | Path, self_contained: bool = False) -> Path:
    """Write a probe's script: UTF-8 with a byte order mark, which Windows PowerShell 5.1 needs, and its line ends.

    Raises
    ------
    ParameterError
        If the file exists, or cannot be written.
    """
    path = Path(path)
    try:
        with path.open("x", encoding="utf-8-sig", newline="\r\n") as file:
            file.write(probe_script(self_contained))
    except FileExistsError:
        raise ParameterError("out", str(path), "the file exists", "Remove it, or choose another name.") from None
    except OSError as error:
        remedy = "Choose a file in a folder that exists and that you may write to."
        raise ParameterError("out", str(path), f"it cannot be written: {error.strerror}", remedy) from None
    return path


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(FOLDER, name).read_text(encoding="utf-8")
