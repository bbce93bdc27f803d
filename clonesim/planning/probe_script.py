"""The probe's scripts: PowerShell with the pattern, and what they share, put in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from clonesim.delta import FORMATS
from clonesim.planning.packaged_script import filled, write_script
from clonesim.planning.probe_pattern import BASE, PARTS, PATTERN, PREPARE, RESTART_BEFORE, room_parts

FOLDER: Final = "probe_scripts"


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
        "formats": ", ".join(FORMATS),
        "parts": str(PARTS),
        "pattern": PATTERN.strip(),
        "prepare": PREPARE.strip(),
        "restart before": f"'{RESTART_BEFORE}'",
        "room": str(room_parts()),
    }
    return filled(FOLDER, name, values, parts=["common.ps1"])


def write_probe_script(path: str | Path, self_contained: bool = False) -> Path:
    """Write a probe's script: UTF-8 with a byte order mark, which Windows PowerShell 5.1 needs, and its line ends.

    Raises
    ------
    ParameterError
        If the file exists.
    WriteError
        If it cannot be written.
    """
    return write_script(Path(path), probe_script(self_contained), windows=True)
