"""What to do with a script that collects, as text for terminals and for `--json`. No modelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clonesim.console.screen import screen
from clonesim.console.text import say
from clonesim.planning.collect_script import HEADER, HOURS, PLATFORMS, schedule_lines
from clonesim.planning.growth_history import GIVES


def print_collect(path: Path, platform: str, every: str, at: str) -> None:
    """Try it, schedule it, what each week gives."""
    windows = path.suffix == ".ps1"
    call = PLATFORMS[platform].call
    run = f".\\{path.name} {call}".rstrip() if windows else f"sh {path.name}"
    dry = "-WhatIf" if windows else "--dry-run"
    say(
        f"A script for {PLATFORMS[platform].title}",
        [
            "Read it first: its head says what it reads and what it never does.",
            f"What it would do: {run} {dry}",
            f"First measurement: {run}",
        ],
    )
    where = "in PowerShell, as an administrator" if windows else "a line of /etc/cron.d/clonesim-collect, on each node"
    console = screen(whole=True)  # lines to copy stay whole
    console.print(f"To run it {every} ({where})", style="bold", markup=False)
    for line in schedule_lines(platform, every, at):
        console.print(line, markup=False)
    console.print()
    say("What its table gives", [f"{text[0].upper()}{text[1:]}." for text in GIVES])


def collect_json(path: Path, platform: str, every: str, at: str) -> dict[str, Any]:
    """What `clonesim collect --json` prints."""
    return {
        "script": str(path),
        "platform": platform,
        "every": every,
        "at": at,
        "hours_between": HOURS[every],
        "schedule": schedule_lines(platform, every, at),
        "columns": HEADER.split(","),
        "gives": list(GIVES),
    }
