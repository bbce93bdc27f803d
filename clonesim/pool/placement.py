"""Who starts when, and lives where.

`place` deals clones out without looking at sizes, for runs that replay a trace. `deal` and `deal_hosts` place the
desktops of a pool: in turn, a fixed number per LUN, by free space, or by the overcommit levels of View.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clonesim.errors import ParameterError
from clonesim.scenario import catalog
from clonesim.units import format_size

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

PLACEMENTS = ("round-robin", "per-lun", "free-space", "overcommit")
OVERCOMMIT = {name: int(cited.default) for name, cited in catalog.group("backings", "overcommit").items()}
USUAL_OVERCOMMIT = "conservative"


@dataclass(frozen=True, slots=True)
class Placement:
    """Start, LUN and host of every clone.

    Attributes
    ----------
    start_ns : (clones,) int64 array
        When the clone's activity starts. [ns]
    lun, host : (clones,) int32 array
        Where its delta lies, and where it runs. [1]
    """

    start_ns: NDArray[np.int64]
    lun: NDArray[np.int32]
    host: NDArray[np.int32]


def place(clones: int, luns: int, hosts: int, window_ns: int, seed: int) -> Placement:
    """Stagger the clones over a window and deal them out to LUNs and hosts.

    The start of clone c is uniform over the window and drawn from its own stream, keyed (seed, c). Clone c lives on LUN
    c mod luns and on host (c // luns) mod hosts, so that the clones of a LUN are spread over all hosts.

    Parameters
    ----------
    clones, luns, hosts : int
        Numbers of them, from 1 up. [1]
    window_ns : int
        Starts lie in [0, window); all are 0 if it is 0. [ns]
    seed : int
        From 0 up.
    """
    clone = np.arange(clones)
    return Placement(
        start_ns=np.fromiter((_start(seed, c, window_ns) for c in range(clones)), np.int64, clones),
        lun=(clone % luns).astype(np.int32),
        host=(clone // luns % hosts).astype(np.int32),
    )


def _start(seed: int, clone: int, window_ns: int) -> int:
    word = np.random.SeedSequence(seed, spawn_key=(clone,)).generate_state(1, np.uint64)[0]
    return int(word) * window_ns >> 64  # exact, and below the window


def deal(
    clones: int,
    luns: int,
    placement: str = "round-robin",
    *,
    clones_per_lun: int | None = None,
    free: ArrayLike | None = None,
    clone_bytes: int | None = None,
    capacity: ArrayLike | None = None,
    disk: int | None = None,
    overcommit: str | int = USUAL_OVERCOMMIT,
) -> NDArray[np.int32]:
    """LUN of every clone of a pool, clones being dealt out in order of their number.

    Parameters
    ----------
    clones, luns : int
        Numbers of them, from 1 up. [1]
    placement : {"round-robin", "per-lun", "free-space", "overcommit"}, default "round-robin"
        round-robin: in turn. per-lun: the first `clones_per_lun` on LUN 0, the next on LUN 1, and so on. free-space:
        each to the LUN with the most free space after those before it have taken `clone_bytes` each. overcommit: each
        to the LUN with the most room, where a LUN has room for overcommit x capacity and a clone counts as the full
        size of its disk; no more are placed even if there is free space.
    clones_per_lun : int, optional
        For per-lun; as few as hold all clones by default. [1]
    free : int or (luns,) array, optional
        For free-space: what placement may use, so without base images and reserve. [B]
    clone_bytes : int, optional
        For free-space: space that placement expects a clone to take. [B]
    capacity : int or (luns,) array, optional
        For overcommit: size of each LUN. [B]
    disk : int, optional
        For overcommit: full size of a clone's disk. [B]
    overcommit : str or int, default "conservative"
        One of `OVERCOMMIT`, or its factor.

    Returns
    -------
    (clones,) int32 array

    Raises
    ------
    ParameterError
        If the placement or overcommit is unknown, what it needs is missing, or the clones do not fit; the message
        tells how many LUNs would do. Among equal LUNs the lowest number is taken.
    """
    for name, number in (("clones", clones), ("luns", luns)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
            raise ParameterError(name, number, "a whole number from 1 up is needed")
    if placement == "round-robin":
        return (np.arange(clones) % luns).astype(np.int32)
    if placement == "per-lun":
        return _per_lun(clones, luns, clones_per_lun)
    if placement == "free-space":
        room, size = _rooms("free", free, luns, placement), _size("clone_bytes", clone_bytes, placement)
        return _most_room(clones, room, size, f"at {format_size(size)} each", "Add LUNs, or enlarge them.")
    if placement == "overcommit":
        factor = overcommit_factor(overcommit)
        size = _size("disk", disk, placement)
        room = factor * _rooms("capacity", capacity, luns, placement)
        counted = f"at {factor} x the capacity and {format_size(size)} per clone"
        return _most_room(clones, room, size, counted, "Add LUNs, enlarge them, or choose a higher overcommit.")
    raise ParameterError("luns.placement", placement, f"allowed are {', '.join(map(repr, PLACEMENTS))}")


def luns_of(scenario: Scenario) -> NDArray[np.int32]:
    """LUN of each clone, by the scenario's placement."""
    luns, guest = scenario.luns, scenario.guest
    replica = 0 if luns.replica_lun else guest.used
    swap = round(guest.memory * (1.0 - scenario.hosts.memory_reservation))
    return deal(
        scenario.pool.clones,
        luns.count,
        luns.placement,
        clones_per_lun=luns.clones_per_lun,
        free=round(luns.size * (1.0 - luns.reserve)) - replica,
        clone_bytes=max(1, swap + guest.start.delta),
        capacity=luns.size,
        disk=guest.disk,
        overcommit=luns.overcommit,
    )


def deal_hosts(lun: NDArray[np.int32], hosts: int) -> NDArray[np.int32]:
    """Host of every clone: the k-th clone of a LUN runs on host k mod hosts, so each LUN is used by all hosts.

    Parameters
    ----------
    lun : (clones,) int32 array
        LUN of every clone.
    hosts : int
        Number of hosts, from 1 up. [1]
    """
    order = np.argsort(lun, kind="stable")
    first = np.searchsorted(lun[order], lun[order], side="left")
    rank = np.empty(lun.size, np.int64)
    rank[order] = np.arange(lun.size) - first
    return (rank % hosts).astype(np.int32)


def overcommit_factor(overcommit: str | int) -> int:
    """Factor of an overcommit level, given by its name or itself."""
    factor = OVERCOMMIT.get(overcommit) if isinstance(overcommit, str) else overcommit
    if factor is None or isinstance(factor, bool) or factor not in OVERCOMMIT.values():
        names = ", ".join(f"{name!r} ({level})" for name, level in OVERCOMMIT.items())
        raise ParameterError("luns.overcommit", overcommit, f"allowed are {names}")
    return factor


def _per_lun(clones: int, luns: int, clones_per_lun: int | None) -> NDArray[np.int32]:
    each = -(-clones // luns) if clones_per_lun is None else clones_per_lun
    if each < 1:
        raise ParameterError("luns.clones_per_lun", each, "a whole number from 1 up is needed")
    if clones > each * luns:
        allowed = f"{luns} LUNs then hold {each * luns} of the {clones} clones"
        raise ParameterError("luns.clones_per_lun", each, allowed, f"Use {-(-clones // each)} LUNs, or more per LUN.")
    return (np.arange(clones) // each).astype(np.int32)


def _most_room(clones: int, room: NDArray[Any], size: int, counted: str, remedy: str) -> NDArray[np.int32]:
    fits = int((np.maximum(room, 0) // size).sum())
    if fits < clones:
        raise ParameterError("clones", clones, f"{room.size} LUNs take {fits} {counted}", remedy)
    heap = [(-int(left), number) for number, left in enumerate(room)]
    heapq.heapify(heap)
    lun = np.empty(clones, np.int32)
    for clone in range(clones):
        left, number = heap[0]
        lun[clone] = number
        heapq.heapreplace(heap, (left + size, number))
    return lun


def _rooms(name: str, room: ArrayLike | None, luns: int, placement: str) -> NDArray[np.int64]:
    if room is None:
        raise ParameterError(name, None, f"placement {placement!r} needs it", "Give bytes per LUN.")
    each = np.asarray(room, np.int64)
    if each.ndim > 1 or each.size not in (1, luns):
        raise ParameterError(name, each.tolist(), f"one number, or one for each of the {luns} LUNs, is needed")
    return np.array(np.broadcast_to(each, luns))


def _size(name: str, size: int | None, placement: str) -> int:
    if size is None or size < 1:
        raise ParameterError(name, size, f"placement {placement!r} needs a size from 1 B up", "Give bytes per clone.")
    return int(size)
