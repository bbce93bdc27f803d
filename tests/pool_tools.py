"""Pools small enough to simulate in a blink: small disks, big write sources off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.rows import Plan
from clonesim.pool.clones import AMOUNTS, GROWTH, plan_of
from clonesim.pool.desktop import Demand, Desktop, Ran
from clonesim.pool.timeline import Timeline
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
        if table == "strategy":
            base[table] = values
            continue
        merged = {**base.get(table, {}), **values}
        if table == "workload":
            merged["sources"] = {**base["workload"]["sources"], **values.get("sources", {})}
        base[table] = merged
    return load_scenario(base)


@dataclass(frozen=True)
class Life:
    """What one clone did and what came of it: its plan, and what `Desktop.run` filled."""

    plan: Plan
    growth: NDArray[np.int64]
    sources: NDArray[np.int64]
    demand: Demand
    ran: Ran


def live(desk: Desktop, line: Timeline, clone: int = 0, plan: Plan | None = None, demand: Demand | None = None) -> Life:
    """Let one clone live, through a plan of its own or the one that the pool has for it."""
    days = line.calendar.days
    shape = len(desk.disks), days
    growth = np.zeros((*shape, len(GROWTH)), np.int64)
    sources = np.zeros((*shape, len(desk.activity.names), len(AMOUNTS)), np.int64)
    demand = Demand.none(days) if demand is None else demand
    plan = plan_of(desk.activity, line, clone, desk.image.first_file) if plan is None else plan
    turns = line.turns(clone, desk.layout.disks)
    return Life(plan, growth, sources, demand, desk.run(plan, turns, growth, sources, demand))


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
