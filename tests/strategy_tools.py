"""What the tests of strategies share: strategies and compositions, and pools with room for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pool_tools import Life, live, small

from clonesim.ops import FileOp
from clonesim.pool.desktop import Desktop
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

GIB, MIB, KIB = 2**30, 2**20, 2**10
GENERIC = {"platform": {"name": "generic"}}
EXACT = {**GENERIC, "delta": {"format": "exact"}, "luns": {"backing": "vmfs-5", "size": "1 TiB"}}
BARE = {"name": "refresh", "when": "nightly", "floor": 0, "catch_up": False}
LOGOFF = {"name": "refresh", "floor": 0, "catch_up": False}
CONSERVED = (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.SCATTER)
ROUTES: dict[str, tuple[Any, ...]] = {
    "persistent": ("persistent-disk",),
    "persistent, same LUN": ({"name": "persistent-disk", "where": "same"},),
    "disposable": ("disposable-disk",),
    "both": ("persistent-disk", "disposable-disk"),
    "container": ("profile-container",),
    "all but system": ("disposable-disk", {"name": "persistent-disk", "tags": ["profile", "user-data", "application"]}),
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
}
ALL = ROUTES | RESETS


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


def written(ops: np.ndarray) -> int:
    return int(ops["length"][np.isin(ops["op"], CONSERVED)].sum())
