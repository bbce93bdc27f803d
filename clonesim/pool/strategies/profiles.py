"""Profiles of a clone's users: how big they are at a time, and what sessions write in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.guest.presence import Presence
from clonesim.guest.write_sources import Source
from clonesim.ops import FileOp
from clonesim.pool.strategies.profile_kernel import changes

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

TAG = "profile"
LOADED = "profile-load"  # the source that copies a profile in
WRITES = (FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.SCATTER)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that files of some sources hold over time.

    Attributes
    ----------
    time_s : (n,) float64 array
        Operations, in order. [s]
    total : (n + 1,) int64 array
        Bytes at the start, and after each operation. [B]
    """

    time_s: Floats
    total: Ints

    @classmethod
    def of(cls, ops: NDArray[np.void], activity: Activity, sources: Collection[int], first_file: int) -> Self:
        """What files of these sources hold by a plan, those of the base image included."""
        mine = ops[_among(ops["source"], sources)]
        base = activity.base_files(first_file, sources)
        renamed = mine["offset"][mine["op"] == FileOp.RENAME]
        numbers = [mine["file"].max(initial=0), renamed.max(initial=0), *(number for number, _ in base)]
        size = np.zeros(int(max(numbers)) + 1, np.int64)
        for number, held in base:
            size[number] = held
        start, out = size.sum(), np.zeros(mine.size, np.int64)
        op, file, offset, length = (np.ascontiguousarray(mine[name]) for name in ("op", "file", "offset", "length"))
        changes(op, file, offset, length, size, out)
        return cls(np.ascontiguousarray(mine["time_s"]), np.concatenate([[start], start + np.cumsum(out)]))

    def at(self, time_s: Floats) -> Ints:
        """Bytes just before some times. [B]"""
        found: Ints = self.total[np.searchsorted(self.time_s, time_s)]
        return found


def profile_sizes(
    scenario: Scenario, activity: Activity, presence: Presence, ops: NDArray[np.void], first_file: int, time_s: Floats
) -> Ints:
    """Size of the profile of one of a clone's users just before some times.

    Parameters
    ----------
    scenario : Scenario
        Its table `users`, and the `size` of `profile-streaming`, which holds at all times unless it is 0.
    activity : Activity
        The clone's write sources.
    presence : Presence
        Its sessions.
    ops : (n,) array of OPS_DTYPE
        Its plan.
    first_file : int
        Lowest file number of the plan.
    time_s : (k,) float64 array
        When. [s]

    Returns
    -------
    (k,) int64 array [B]

    Notes
    -----
    Of the files that sources tagged `profile` own, by the plan and as if nothing were ever set back:

    - those of sources that have one set of files for the whole clone are each user's, whole;
    - those of sources that have files for each user, and one set of them (made at the first logon, or replaced by the
      next set), are divided by the users that were there before;
    - the others of sources that have files for each user are what its users did. Dedicated users are all there, so
      they are divided by the users that were there before. A floating user works on many clones, and as much as is
      done on one by one user at a time: they are divided by `users_per_clone`, and not more than the sources' caps.
    """
    choice = scenario.chosen("profile-streaming")
    if choice and choice.value("size"):
        return np.full(time_s.size, int(choice.value("size")))
    mine = [source for source in activity.sources if source.tag == TAG]
    kinds: dict[str, list[Source]] = {"clone": [], "set": [], "work": []}
    for source in mine:
        kinds[_kind(source)].append(source)
    held = {
        kind: Held.of(ops, activity, {source.index for source in some}, first_file).at(time_s).astype(np.float64)
        for kind, some in kinds.items()
    }
    first_logons = np.sort(presence.session_start_s[np.unique(presence.session_user, return_index=True)[1]])
    before = np.maximum(np.searchsorted(first_logons, time_s), 1)
    if scenario.users.assignment == "floating":
        caps = sum(source.get("cap", np.inf) for source in kinds["work"])
        work = np.minimum(held["work"] / scenario.users.users_per_clone, caps)
    else:
        work = held["work"] / before
    found: Ints = np.rint(held["clone"] + held["set"] / before + work).astype(np.int64)
    return found


def _kind(source: Source) -> str:
    if source.texts["per"] != "user":
        return "clone"
    return "set" if source.get("at_first_logon") or source.get("kept") else "work"


def written_in_sessions(activity: Activity, presence: Presence, ops: NDArray[np.void]) -> Floats:
    """Bytes that sources tagged `profile` write in each session, its logoff included; what is copied in apart.

    What is written while several users are logged on counts for each of them in equal parts.

    Returns
    -------
    (sessions,) float64 array [B]
    """
    mine = [source.index for source in activity.sources if source.tag == TAG and source.name != LOADED]
    some = ops[_among(ops["source"], mine)]
    some = some[_among(some["op"], WRITES)]
    start, end = presence.session_start_s, presence.session_end_s
    time_s = np.ascontiguousarray(some["time_s"])
    there = np.searchsorted(start, time_s, side="right") - np.searchsorted(np.sort(end), time_s)
    part = np.where(there > 0, some["length"] / np.maximum(there, 1), 0.0)
    total = np.concatenate([np.zeros(1), np.cumsum(part)])
    found: Floats = total[np.searchsorted(time_s, end, side="right")] - total[np.searchsorted(time_s, start)]
    return found


def _among(codes: NDArray[np.integer], some: Collection[int]) -> NDArray[np.bool_]:
    """Which of some small numbers from 0 up are among others."""
    table = np.zeros(max(int(codes.max(initial=0)), *some, 0) + 1, np.bool_)
    table[list(some)] = True
    found: NDArray[np.bool_] = table[codes]
    return found
