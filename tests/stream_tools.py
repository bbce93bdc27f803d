"""What the tests of streams and profiles share: sessions and plans made up by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from pool_tools import small

from clonesim.guest.activity import Activity
from clonesim.guest.presence import Presence
from clonesim.guest.rows import Plan, Reads
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.desktop import activity_of
from clonesim.pool.strategies.streams import Streams, streams_of
from clonesim.scenario.model import Scenario

MIB, KIB, HOUR = 2**20, 2**10, 3600.0
CREATE, APPEND, OVERWRITE, SCATTER = FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.SCATTER
PROFILE = {"name": "profile-streaming", "rate": MIB}  # 1 s for each MiB
FIRST = 5000  # lowest number of the plans' files
OWN = 20  # numbers before those of profiles: the packages'


def scenario(strategy: list[Any], days: int = 10, **users: Any) -> Scenario:
    tables: dict[str, Any] = {"platform": {"name": "generic"}, "users": users}
    return small(strategy=strategy, pool={"clones": 6, "days": days}, **tables)


def sessions(*rows: tuple[float, float, int]) -> Presence:
    start, end, user = (np.array(column) for column in zip(*rows, strict=True))
    ones = np.ones(len(rows))
    return Presence(np.zeros(1), start.astype(float), end.astype(float), user.astype(np.int64), ones, ones > 0)


def ops_of(activity: Activity, *rows: tuple[float, str, FileOp, int, int, int]) -> np.ndarray:
    """Rows of time, source, operation, file, offset, length."""
    ops = np.zeros(len(rows), OPS_DTYPE)
    for k, (time_s, source, op, file, offset, length) in enumerate(rows):
        ops[k] = (time_s, offset, length, FIRST + file, op, activity.names.index(source), 0)
    return ops


def plan_of(ops: np.ndarray) -> Plan:
    none = np.zeros(0, np.int64)
    return Plan(ops, Reads(np.zeros(0), np.zeros(0, np.int32), none, none))


def made(asked: Scenario, presence: Presence, *rows: Any, resets: tuple[float, ...] = ()) -> Streams:
    activity = activity_of(asked)
    plan = plan_of(ops_of(activity, *rows))
    return streams_of(asked, activity, presence, plan, np.array(resets, float), FIRST)
