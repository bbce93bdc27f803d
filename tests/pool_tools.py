"""Pools small enough to simulate in a blink: small disks, big write sources off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from clonesim.scenario import load_scenario
from clonesim.scenario.model import Scenario

# What needs GiBs of base files.
BIG = ("feature-update", "shadow-copies", "defragmentation", "mail-cache", "application-updates")
WITH_DISCARDS, WITHOUT = "windows-11-office", "windows-xp-office"


def small(preset: str = WITHOUT, **tables: Any) -> Scenario:
    """Packaged scenario with 6 clones, 3 days and disks of 4 GiB (Windows XP) or 8 GiB; `tables` replace values."""
    xp = preset == WITHOUT
    base: dict[str, Any] = {
        "base": preset,
        "pool": {"clones": 6, "days": 3},
        "guest": {"disk": "4 GiB" if xp else "8 GiB", "used": "2560 MiB", "memory": "1 GiB", "page_file": "256 MiB"},
        "workload": {"sources": dict.fromkeys(BIG, False)},
        "luns": {"size": "1 TiB"},
    }
    for table, values in tables.items():
        merged = {**base.get(table, {}), **values}
        if table == "workload":
            merged["sources"] = {**base["workload"]["sources"], **values.get("sources", {})}
        base[table] = merged
    return load_scenario(base)


class Reversed(Executor):
    """Takes a known number of jobs, then does them in one thread, last one first."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.waiting, self.done = jobs, [], []
        self.thread: threading.Thread | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args, kwargs))
        if len(self.waiting) == self.jobs:
            self.thread = threading.Thread(target=self._run)
            self.thread.start()
        return future

    def _run(self) -> None:
        for future, fn, args, kwargs in reversed(self.waiting):
            self.done.append(args[0])
            future.set_result(fn(*args, **kwargs))
