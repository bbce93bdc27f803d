"""What the tests of strategies share: strategies and compositions, and pools with room for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pool_tools import Life, live, small

from clonesim.guest.rows import Plan
from clonesim.ops import FileOp
from clonesim.pool.clones import plan_of
from clonesim.pool.desktop import Desktop
from clonesim.pool.strategies.layout import OS
from clonesim.pool.strategies.streams import streams_of
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

GIB, MIB, KIB = 2**30, 2**20, 2**10
GENERIC = {"platform": {"name": "generic"}}
EXACT = {**GENERIC, "delta": {"format": "exact"}, "luns": {"backing": "vmfs-5", "size": "1 TiB"}}
BARE = {"name": "refresh", "when": "nightly", "floor": 0, "catch_up": False}
LOGOFF = {"name": "refresh", "floor": 0, "catch_up": False}
SWITCHES = dict.fromkeys(("defragmentation", "page_file", "prefetch", "search", "browser_cache"), False)
PAGE_DISK = {"name": "guest-tuning", **SWITCHES, "page_file": True}
CONSERVED = (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.SCATTER)
ROUTES: dict[str, tuple[Any, ...]] = {
    "persistent": ("persistent-disk",),
    "persistent, same LUN": ({"name": "persistent-disk", "where": "same"},),
    "disposable": ("disposable-disk",),
    "both": ("persistent-disk", "disposable-disk"),
    "container": ("profile-container",),
    "all but system": ("disposable-disk", {"name": "persistent-disk", "tags": ["profile", "user-data", "application"]}),
    "page disk": (PAGE_DISK,),
    "page file on a disposable disk": ("disposable-disk", PAGE_DISK),
    "packages": ("application-virtualization",),
    "half in packages": ({"name": "app-attach", "share": 0.5},),
    "persistent, packages": ("persistent-disk", "application-virtualization"),
}
RESETS: dict[str, tuple[Any, ...]] = {
    "logoff": ("refresh",),
    "nightly": (BARE,),
    "every 2 days": ({"name": "refresh", "when": "days", "every": "2 d"},),
    "recompose": ({"name": "recompose", "every": "2 d"},),
    "instant": ("instant-clone",),
    "logoff, persistent": ("refresh", "persistent-disk"),
    "logoff, both": (LOGOFF, "persistent-disk", "disposable-disk"),
    "nightly, container, packages": (BARE, "profile-container", "application-virtualization"),
    "mcs without memory": ({"name": "mcs", "ram": 0},),
}
CACHED: dict[str, tuple[Any, ...]] = {
    "streaming": ({"name": "provisioned-streaming", "ram": "16 MiB"},),
    "streaming without memory, nightly": ({"name": "provisioned-streaming", "ram": 0, "reboot": "nightly"},),
    "mcs": ({"name": "mcs", "ram": "16 MiB"},),
    "mcs, container, page disk": ({"name": "mcs", "ram": "16 MiB"}, "profile-container", PAGE_DISK),
}
RECLAIMED: dict[str, tuple[Any, ...]] = {
    "wipe": ({"name": "space-reclaim", "every": "1 d", "threshold": "1 MiB"},),
    "zero": ({"name": "space-reclaim", "every": "2 d", "threshold": 0, "method": "zero"},),
    "wipe, every 3 days, persistent": (
        {"name": "space-reclaim", "every": "1 d", "threshold": 0},
        {"name": "refresh", "when": "days", "every": "3 d"},
        "persistent-disk",
    ),
}
SPARSE = {"delta": {"format": "se-sparse"}, "luns": {"backing": "vmfs-6", "size": "1 TiB"}}  # for these
ALL = ROUTES | RESETS | CACHED | RECLAIMED


def pool(preset: str, strategy: Sequence[Any] = (), **tables: Any) -> Scenario:
    """6 clones for 5 days on disks with room; the format and the LUN may be anything."""
    guest = {"disk": "12 GiB", **tables.pop("guest", {})}
    installs = {"per_session_hour": 0.2, "size": "8 MiB", "files": 20}
    tables = {"workload": {"sources": {"app-install": installs}}, **GENERIC, **tables}
    tables = {"pool": {"clones": 6, "days": 5}, **tables}
    return small(preset, strategy=list(strategy), guest=guest, **tables)


def lives(scenario: Scenario, clones: Sequence[int] = (0, 3), seed: int = 3) -> list[Life]:
    desk, line = Desktop(scenario, seed), Timeline.of(scenario, seed)
    return [live(desk, line, clone) for clone in clones]


def named(name: str, preset: str, **tables: Any) -> Scenario:
    """Pool with one of the compositions above."""
    return pool(preset, ALL[name], **(SPARSE if name in RECLAIMED else {}) | tables)


def full_plan(scenario: Scenario, desk: Desktop, line: Timeline, clone: int) -> Plan:
    """What a clone does, with what its strategies stream to it."""
    plan = plan_of(desk.activity, line, clone, desk.image.first_file)
    resets_s = line.turns(clone, desk.layout.disks)[OS].emptied_s
    streams = streams_of(scenario, desk.activity, line.presence(clone), plan, resets_s, desk.image.first_file)
    return streams.added_to(plan)


def written(ops: np.ndarray) -> int:
    return int(ops["length"][np.isin(ops["op"], CONSERVED)].sum())
