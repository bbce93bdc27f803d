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
    """Collects jobs until none has come for a while, then does them in one thread, last one first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self.done: list[Any] = []
        self.came = threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not self.waiting:
            threading.Thread(target=self._run).start()
        self.waiting.append((future, fn, args))
        self.came.set()
        return future

    def _run(self) -> None:
        while self.came.wait(0.2):
            self.came.clear()
        for future, fn, args in reversed(self.waiting):
            self.done.append(args[0])
            try:
                future.set_result(fn(*args))
            except Exception as error:  # noqa: BLE001 (as executors do)
                future.set_exception(error)
