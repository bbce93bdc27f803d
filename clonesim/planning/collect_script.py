"""Scripts that collect what is missing: sizes of linked clones, week after week, by the platform's own means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clonesim.errors import ParameterError, nearest
from clonesim.files import make_folder
from clonesim.planning.packaged_script import filled, write_script

FOLDER: Final = "collect_scripts"
HEADER: Final = "clone,date,bytes,lun,pool,kind,files,capacity_bytes,lun_bytes,lun_used_bytes"
HOURS: Final = {"weekly": 144, "daily": 18}  # the newest rows must be so old before the next run
DAY: Final = "Friday"  # away from the patch days, which are on Tuesdays
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_COMMON: Final = ("common.ps1", "vsphere.ps1", "vhd.ps1")
_ABOUT: Final = """\
It never changes a machine, a disk or a setting, uses no network but the platform's own, and holds no credentials. What
it writes: the table -Csv, its log (.runs) and a lock (.lock), all beside each other. With -WhatIf it says what it would
read, and neither asks nor writes anything.

A run appends all its rows or none, and is refused where the newest rows are less than {hours} hours old. It ends with 0
if rows were appended, 1 if it failed, 3 if it was refused; the log says why. Machines that cannot be read are left out
and named in the log, up to 5 % of them; with more, nothing is appended.

Columns: clone (name of the machine), date (UTC, one for the whole run), bytes (what its disks hold above the base
image), lun, pool, kind (delta, write-cache, or both), files (disks), capacity_bytes (of these disks), lun_bytes,
lun_used_bytes (capacity of the datastore, and what of it is in use)."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform that can be collected from.

    Attributes
    ----------
    title : str
        What it is.
    template : str
        Its packaged script.
    file : str
        Name of the script that is written.
    call : str
        What the scheduled call gives it, as an example.
    """

    title: str
    template: str
    file: str
    call: str = ""


PLATFORMS: Final = {
    "view": Platform(
        "VMware Horizon View and other linked clones on vSphere, by PowerCLI",
        "view.ps1",
        "clonesim-collect-view.ps1",
        "-Server vcenter.example.com",
    ),
    "hyper-v": Platform("differencing disks on Hyper-V, by PowerShell", "hyper_v.ps1", "clonesim-collect-hyper-v.ps1"),
    "citrix": Platform(
        "Citrix MCS and PVS on vSphere or Hyper-V, by PowerShell",
        "citrix.ps1",
        "clonesim-collect-citrix.ps1",
        "-Hypervisor vsphere -Server vcenter.example.com",
    ),
    "proxmox": Platform(
        "linked clones on Proxmox VE: LVM-thin, ZFS, Ceph, overlays; by sh", "proxmox.sh", "clonesim-collect-proxmox.sh"
    ),
}


def collect_script(platform: str, every: str = "weekly", at: str = "12:00") -> str:
    """Text of a script that measures a platform's linked clones and appends their sizes to a table.

    Parameters
    ----------
    platform : str
        One of `PLATFORMS`.
    every : str, default "weekly"
        "weekly" or "daily": how often it is meant to run; it refuses to measure sooner.
    at : str, default "12:00"
        Time of day, local to the machine that runs it. At midday desktops that are refreshed at logoff are in use.

    Returns
    -------
    str
        PowerShell 5.1 for Windows platforms, POSIX sh for Proxmox VE; only ASCII.

    Raises
    ------
    ParameterError
        If a parameter is not known.

    Examples
    --------
    >>> "Get-VHD" in collect_script("hyper-v")
    True
    """
    chosen = _checked(platform, every, at)
    schedule = "\n".join(schedule_lines(platform, every, at))
    values = {
        "every": every,
        "example": f".\\{chosen.file} {chosen.call} -WhatIf".replace("  ", " "),
        "hours": str(HOURS[every]),
        "header": f"'{HEADER}'",
        "script": chosen.file,
        "schedule": re.sub(r"(?m)^", "#     ", schedule) if chosen.file.endswith(".sh") else schedule,
        "about": _ABOUT.format(hours=HOURS[every]),
    }
    return filled(FOLDER, chosen.template, values, parts=_COMMON)


def schedule_lines(platform: str, every: str = "weekly", at: str = "12:00") -> list[str]:
    """Lines that have the script run: of a file for cron, or of PowerShell for the task scheduler.

    Parameters and errors are those of `collect_script`.
    """
    chosen = _checked(platform, every, at)
    hour, minute = (int(part) for part in at.split(":"))
    if chosen.file.endswith(".sh"):
        day = "5" if every == "weekly" else "*"
        return [f"{minute} {hour} * * {day} root sh /opt/clonesim/{chosen.file}"]
    when = f"-Weekly -DaysOfWeek {DAY}" if every == "weekly" else "-Daily"
    call = f'-NoProfile -NonInteractive -File "C:\\clonesim\\{chosen.file}" {chosen.call}'.rstrip()
    return [
        f"$action = New-ScheduledTaskAction -Execute powershell.exe -Argument '{call}'",
        f"$trigger = New-ScheduledTaskTrigger {when} -At {at}",
        "$settings = New-ScheduledTaskSettingsSet -StartWhenAvailable -ExecutionTimeLimit (New-TimeSpan -Hours 4)",
        "# A group managed service account that may only read needs no password here.",
        "$who = New-ScheduledTaskPrincipal -UserId 'EXAMPLE\\clonesim$' -LogonType Password",
        "Register-ScheduledTask -TaskName clonesim-collect -Action $action -Trigger $trigger -Settings $settings "
        "-Principal $who",
    ]


def write_collect_script(folder: str | Path, platform: str, every: str = "weekly", at: str = "12:00") -> Path:
    """Write a script that collects into a folder, which is made if need be.

    Parameters
    ----------
    folder : str or Path
        Where to write it; its name is that of the platform.
    platform, every, at : str
        As in `collect_script`.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        If a parameter is not known, the file exists, or its folder cannot be made.
    WriteError
        If it cannot be written.
    """
    chosen = _checked(platform, every, at)
    place = make_folder(folder)
    text = collect_script(platform, every, at)
    return write_script(place / chosen.file, text, windows=chosen.file.endswith(".ps1"))


def _checked(platform: str, every: str, at: str) -> Platform:
    if platform not in PLATFORMS:
        allowed = f"allowed are {', '.join(map(repr, PLATFORMS))}"
        remedy = nearest(platform, PLATFORMS) or "For others append clone, date and bytes to a CSV by your own means."
        raise ParameterError("platform", platform, allowed, remedy)
    if every not in HOURS:
        raise ParameterError("every", every, "allowed are 'weekly' and 'daily'", "Weekly sizes are enough for a fit.")
    if not isinstance(at, str) or not _TIME.fullmatch(at):
        raise ParameterError("at", at, "a time of day from 00:00 to 23:59 is needed", "Write for example 12:00.")
    return PLATFORMS[platform]
