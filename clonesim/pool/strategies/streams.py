"""What strategies bring over the network: profiles, containers and packages; by when, and what of it is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.guest.presence import DAY_S, Presence
from clonesim.guest.rows import Plan, Reads
from clonesim.guest.write_sources import BLOCK
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.account_kernel import DELTA_READS, READ_BYTES, READS, WRITE_BYTES, WRITES
from clonesim.pool.strategies.catch_up import kept, merged
from clonesim.pool.strategies.profiles import LOADED, TAG, profile_sizes, written_in_sessions
from clonesim.scenario.strategy import Choice

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
STREAMED: Final = "application-reads"  # the source that packages are streamed by
PARTS: Final = 16  # creates of a cache of packages

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = tuple[float, int, int, int, int]  # time, operation, file, offset, length
Sent = tuple[float, int, bool]  # time, bytes, whether to the share


@dataclass(frozen=True, slots=True)
class Streams:
    """What the strategies of a scenario add to one clone's plan, and what crosses the network to a file share.

    Attributes
    ----------
    ops : (n,) array of OPS_DTYPE
        Operations of the clone's own, in order of time.
    traffic_s : (k,) float64 array
        When something crosses the network, in order; a long transfer minute by minute. [s]
    traffic_bytes, traffic_ios : (k,) int64 arrays
        How much, and in how many requests on the file share. [B], [1]
    writes : (k,) bool array
        To the share; what is not is read from it.
    profile_bytes : int
        What the clone's users keep on the share at the end, by `profile-streaming`: of dedicated users those who were
        there, of floating ones a clone's part of all. [B]
    logons : int
        Logons to this clone. [1]
    logon_added_s : float
        What they take longer, all together. [s]
    """

    ops: NDArray[np.void]
    traffic_s: Floats
    traffic_bytes: Ints
    traffic_ios: Ints
    writes: NDArray[np.bool_]
    profile_bytes: int
    logons: int
    logon_added_s: float

    @classmethod
    def made(
        cls,
        rows: list[Row],
        sent: list[Sent],
        source: int = 0,
        request: int = 1,
        profile_bytes: int = 0,
        logon_added_s: float = 0.0,
    ) -> Self:
        """Of one strategy: operations of one source, and transfers in requests of one size. [B]"""
        ops = np.zeros(len(rows), OPS_DTYPE)
        if rows:
            for name, column in zip(("time_s", "op", "file", "offset", "length"), zip(*rows, strict=True), strict=True):
                ops[name] = column
        ops["source"] = source
        size = np.array([amount for _, amount, _ in sent], np.int64)
        return cls(
            ops=ops,
            traffic_s=np.array([time_s for time_s, _, _ in sent], np.float64),
            traffic_bytes=size,
            traffic_ios=-(-size // request),
            writes=np.array([write for _, _, write in sent], np.bool_),
            profile_bytes=profile_bytes,
            logons=0,
            logon_added_s=logon_added_s,
        )

    @classmethod
    def of(cls, parts: list[Self], logons: int) -> Self:
        """Of several strategies."""
        given = [cls.made([], []), *parts]
        ops = np.concatenate([part.ops for part in given])
        time_s = np.concatenate([part.traffic_s for part in given])
        turn = np.argsort(time_s, kind="stable")
        size, ios, writes = (
            np.concatenate([getattr(part, name) for part in given])[turn]
            for name in ("traffic_bytes", "traffic_ios", "writes")
        )
        return cls(
            ops=ops[np.argsort(ops["time_s"], kind="stable")],
            traffic_s=time_s[turn],
            traffic_bytes=size,
            traffic_ios=ios,
            writes=writes,
            profile_bytes=sum(part.profile_bytes for part in parts),
            logons=logons,
            logon_added_s=sum(part.logon_added_s for part in parts),
        )

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the whole time, named as a batch's totals: bytes [B], logons [1], milliseconds."""
        return {
            "network_bytes": int(self.traffic_bytes.sum()),
            "profile_bytes": self.profile_bytes,
            "logons": self.logons,
            "logon_added_ms": round(1000 * self.logon_added_s),
        }

    def added_to(self, plan: Plan) -> Plan:
        """A plan and the operations; at equal times those of the plan come first."""
        if not self.ops.size:
            return plan
        none = np.zeros(0, np.int64)
        return merged(plan, Plan(self.ops, Reads(np.zeros(0), np.zeros(0, np.int32), none, none)))

    def account(self, demand: Ints) -> None:
        """Add the requests on the file share to a demand by minute; (minutes, 5), columns as of `account_kernel`."""
        minute = (self.traffic_s / MINUTE_S).astype(np.int64)
        columns = (~self.writes, (READS, DELTA_READS), READ_BYTES), (self.writes, (WRITES,), WRITE_BYTES)
        for mine, requests, size in columns:
            for column in requests:
                np.add.at(demand, (minute[mine], column), self.traffic_ios[mine])
            np.add.at(demand, (minute[mine], size), self.traffic_bytes[mine])


def has_traffic(scenario: Scenario) -> bool:
    """Whether strategies of a scenario ask something of a file share, beside what clones' disks there do."""
    packaged = scenario.chosen("application-virtualization")
    streams = packaged is not None and not packaged.value("cache_in_image")
    return streams or any(scenario.chosen(name) for name in ("profile-streaming", "profile-container"))


def streams_of(
    scenario: Scenario, activity: Activity, presence: Presence, plan: Plan, resets_s: Floats, first_file: int
) -> Streams:
    """What the strategies of a scenario bring to one clone over the network, and take from it.

    Parameters
    ----------
    scenario : Scenario
        Its strategies, users and length.
    activity : Activity
        The clone's write sources.
    presence : Presence
        Its sessions, after what took it down.
    plan : Plan
        What it does; files of the streams have numbers behind those of the plan.
    resets_s : (r,) float64 array
        When its system disk is set back; a logon at that time comes after it. [s]
    first_file : int
        Lowest file number of the plan.

    Notes
    -----
    Nothing is drawn; what is added follows from the plan. Transfers at or after the horizon are left out.

    `profile-streaming`: at a logon of a user without a copy on this clone, and at each logon of a floating user, whose
    copy may be stale, `load_share` of the profile (`profiles.profile_sizes`) is written on the clone by the source
    profile-load, in a file of the user's own: a create, or an overwrite of what is there and an append of what it
    grew. At the logoff `sync_share` of what the session wrote in the profile crosses to the share. The logon takes
    bytes / `rate` longer; transfers last as long, loads no longer than the session.

    `profile-container`: `mount` seconds, and `mount_bytes` read, at each logon. `app-attach`: `mount` seconds for each
    of its packages.

    `application-virtualization`: unless the packages are in the image, `cache` bytes are written by the source
    application-reads in 16 parts over the first hour, or the whole, of the first session, and of the first one after
    each reset.

    A reset does not take what lies on a persistent disk or in a container.
    """
    horizon_s = scenario.pool.days * DAY_S
    clone = _Clone(scenario, activity, _started(presence, horizon_s), plan, resets_s, first_file, horizon_s)
    makers = {
        "profile-streaming": _profiles,
        "profile-container": _container,
        "application-virtualization": _packages,
        "app-attach": _mounts,
    }
    parts = [makers[choice.name](choice, clone) for choice in scenario.strategy if choice.name in makers]
    return Streams.of(parts, clone.presence.session_start_s.size)


def share_bytes_of_pool(scenario: Scenario) -> int:
    """What lies on the file share once for all users: the packages of `app-attach`. [B]"""
    choice = scenario.chosen("app-attach")
    return int(choice.value("packages")) * int(choice.value("package_size")) if choice else 0


def _started(presence: Presence, horizon_s: float) -> Presence:
    """Sessions that begin before the horizon."""
    count = int(np.searchsorted(presence.session_start_s, horizon_s))
    names = ("session_start_s", "session_end_s", "session_user", "session_intensity", "first_logon")
    return replace(presence, **{name: getattr(presence, name)[:count] for name in names})


@dataclass(frozen=True, slots=True)
class _Clone:
    """What streams are made from; attributes as the parameters of `streams_of`."""

    scenario: Scenario
    activity: Activity
    presence: Presence
    plan: Plan
    resets_s: Floats
    first_file: int
    horizon_s: float

    def behind(self) -> int:
        """First number of the streams' files: in a directory behind those of the plan and of its base files."""
        ops = self.plan.ops
        renamed = ops["offset"][ops["op"] == FileOp.RENAME]
        base = [number for number, _ in self.activity.base_files(self.first_file)]
        most = max(self.first_file, int(ops["file"].max(initial=0)), int(renamed.max(initial=0)), *base)
        return most // BLOCK * BLOCK + BLOCK

    def lives(self, tag: str) -> Ints:
        """How often what files of a tag lie on was set back before each logon. [1]"""
        if kept(self.scenario, tag):
            return np.zeros(self.presence.session_start_s.size, np.int64)
        return np.searchsorted(self.resets_s, self.presence.session_start_s, side="right").astype(np.int64)

    def inside(self, rows: list[Row]) -> list[Row]:
        """Operations before the horizon."""
        return [row for row in rows if row[0] < self.horizon_s]


# --- profile-streaming --------------------------------------------------------------------------------------------


def _profiles(choice: Choice, clone: _Clone) -> Streams:
    presence, rate = clone.presence, float(choice.value("rate"))
    ends = np.append(presence.session_start_s, clone.horizon_s)
    given = clone.scenario, clone.activity, presence, clone.plan.ops, clone.first_file
    profile = profile_sizes(*given, ends)
    load = np.rint(profile[:-1] * float(choice.value("load_share"))).astype(np.int64)
    rows, seconds = _loads(clone, load, rate)
    rows = clone.inside(rows)
    written = written_in_sessions(clone.activity, presence, clone.plan.ops)
    back = np.rint(written * float(choice.value("sync_share"))).astype(np.int64)
    sent: list[Sent] = [(time_s, length, False) for time_s, _, _, _, length in rows]
    for end_s, size in zip(presence.session_end_s.tolist(), back.tolist(), strict=True):
        sent += [(end_s + at_s, length, True) for at_s, _, length in _pieces(size, size / rate)]
    return Streams.made(
        rows,
        [one for one in sent if one[0] < clone.horizon_s],
        clone.activity.names.index(LOADED),
        int(choice.value("request")),
        round(int(profile[-1]) * _users(clone)),
        seconds,
    )


def _loads(clone: _Clone, size: Ints, rate: float) -> tuple[list[Row], float]:
    """Operations of all loads, and the seconds that they take."""
    presence, floating = clone.presence, clone.scenario.users.assignment == "floating"
    first, number, have = clone.behind() + -(-PARTS // BLOCK) * BLOCK, dict[int, int](), dict[tuple[int, int], int]()
    rows: list[Row] = []
    seconds = 0.0
    columns = presence.session_user, clone.lives(TAG), size, presence.session_start_s, presence.session_end_s
    for user, life, amount, start_s, end_s in zip(*(column.tolist() for column in columns), strict=True):
        copy = have.get((user, life))
        if copy is not None and not floating:
            continue
        seconds += amount / rate
        have[user, life] = max(amount, copy or 0)
        file = first + number.setdefault(user, len(number))
        for at_s, offset, length in _pieces(amount, amount / rate, end_s - start_s, copy or 0):
            op = FileOp.OVERWRITE if offset < (copy or 0) else FileOp.APPEND if offset else FileOp.CREATE
            rows.append((start_s + at_s, op, file, offset if op is FileOp.OVERWRITE else 0, length))
    return rows, seconds


def _pieces(size: int, seconds: float, most_s: float = math.inf, cut: int = 0) -> Iterator[tuple[float, int, int]]:
    """Seconds, offset and length of the parts of a transfer, a minute each, within `most_s` and in two at `cut`."""
    lasts = min(seconds, most_s)
    count = max(1, math.ceil(lasts / MINUTE_S))
    for offset, end in pairwise(sorted({size * k // count for k in range(count + 1)} | {min(cut, size)})):
        yield lasts * offset / size, offset, end - offset


def _users(clone: _Clone) -> float:
    users = clone.scenario.users
    if users.assignment == "floating":
        return users.count / clone.scenario.pool.clones
    return float(np.unique(clone.presence.session_user).size)


# --- containers, packages -----------------------------------------------------------------------------------------


def _container(choice: Choice, clone: _Clone) -> Streams:
    start_s = clone.presence.session_start_s
    size = int(choice.value("mount_bytes"))
    sent: list[Sent] = [(time_s, size, False) for time_s in start_s.tolist() if size]
    seconds = float(choice.value("mount")) * start_s.size
    return Streams.made([], sent, request=int(choice.value("request")), logon_added_s=seconds)


def _mounts(choice: Choice, clone: _Clone) -> Streams:
    logons = clone.presence.session_start_s.size
    return Streams.made([], [], logon_added_s=logons * int(choice.value("packages")) * float(choice.value("mount")))


def _packages(choice: Choice, clone: _Clone) -> Streams:
    size = 0 if choice.value("cache_in_image") else int(choice.value("cache"))
    presence, source = clone.presence, clone.activity.names.index(STREAMED)
    first = np.unique(clone.lives(clone.activity.tags[source]), return_index=True)[1]
    start_s, end_s = presence.session_start_s[first], presence.session_end_s[first]
    edges, file = [size * k // PARTS for k in range(PARTS + 1)], clone.behind()
    rows: list[Row] = []
    for at_s, lasts in zip(start_s.tolist(), np.minimum(end_s - start_s, HOUR_S).tolist(), strict=True):
        for k, (offset, end) in enumerate(pairwise(edges)):
            rows.append((at_s + lasts * k / PARTS, FileOp.CREATE, file + k, 0, end - offset))
    rows = [row for row in clone.inside(rows) if row[-1]]
    sent: list[Sent] = [(time_s, length, False) for time_s, _, _, _, length in rows]
    return Streams.made(rows, sent, source, int(choice.value("request")))
