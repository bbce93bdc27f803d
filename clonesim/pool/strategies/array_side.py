"""What an array keeps: on a thin LUN, after deduplication. Nothing is simulated anew."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError, nearest
from clonesim.pool.strategies.course import Course
from clonesim.pool.strategies.dead_space_kernel import dead_space

MODES: Final = ("auto", "manual", "none")  # how an array is told what was freed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def thin_dead_space(
    time_s: Floats,
    size: Ints,
    mode: str,
    rate: float = 0.0,
    granularity: int = 2**20,
    every: float = 0.0,
    *,
    horizon_s: float,
    reuse: bool = True,
    capacity: float = np.inf,
) -> Course:
    """What the array keeps allocated for a datastore that grows and gives space back.

    Parameters
    ----------
    time_s, size : (n,) float64 and int64 array
        Steps of the datastore's used bytes in order of time, the first sizes included; negative where files shrink or
        go. Steps from the horizon on are left out. [s, B]
    mode : {"auto", "manual", "none"}
        How the array is told: in the background at `rate`; all of it at once every `every`; never.
    rate : float
        With mode "auto". [B/s]
    granularity : int, default 1 MiB
        The array frees whole pieces: of each step back, what is left of whole pieces stays dead until it is written
        again. [B]
    every : float
        With mode "manual": first at this time, then again and again. [s]
    horizon_s : float
        End. [s]
    reuse : bool, default True
        Whether new data are written into dead space first: the least that an array can have. If not, they are written
        to fresh space until the capacity is reached: the most that it can have.
    capacity : float, optional
        Size of the LUN. [B]

    Returns
    -------
    Course
        Allocated bytes over time; never below the datastore's.

    Raises
    ------
    ParameterError
        If the steps are out of order, sink below 0 B or pass the capacity, or a parameter is out of its range.

    Notes
    -----
    A file system decides where it writes; which of the two it comes nearer to is not established. How long a sweep by
    hand takes is left out.
    """
    if mode not in MODES:
        raise ParameterError("thin-lun.mode", mode, f"modes are {', '.join(MODES)}", nearest(mode, MODES))
    if granularity <= 0:
        raise ParameterError("thin-lun.granularity", granularity, "1 B or more is needed", "Check the sign.")
    for name, number, wanted in (("rate", rate, "auto"), ("every", every, "manual")):
        if mode == wanted and not 0 < number < np.inf:
            raise ParameterError(f"thin-lun.{name}", number, f"mode {mode!r} needs more than 0", "Check the sign.")
    if not 0 < horizon_s < np.inf:
        raise ParameterError("horizon_s", horizon_s, "a finite time above 0 s is needed", "Give days * 86400.")
    inside = int(np.searchsorted(time_s, horizon_s))
    used = _levels(time_s, size)[:inside]
    if used.size and used.max() > capacity:
        raise ParameterError("capacity", capacity, f"the datastore comes to {int(used.max())} B", "Enlarge the LUN.")
    sweeps_s = np.arange(every, horizon_s, every) if mode == "manual" else np.zeros(0)
    room = 2 * (inside + sweeps_s.size) + 1
    knot_s, value, slope = np.empty(room), np.empty(room), np.empty(room)
    count = dead_space(
        np.ascontiguousarray(time_s[:inside], np.float64),
        np.ascontiguousarray(size[:inside], np.int64),
        sweeps_s,
        float(rate) if mode == "auto" else 0.0,
        int(granularity),
        float(capacity),
        bool(reuse),
        float(horizon_s),
        *(knot_s, value, slope),
    )
    return Course(knot_s[:count], value[:count], slope[:count], float(horizon_s))


def dedup_bytes(
    held_bytes: NDArray[np.generic],
    shared_content: Floats,
    compressed: Floats,
    clones: int | None = None,
    block: int = 1,
) -> Floats:
    """What an array keeps, by source, once equal content of clones is found and the rest compressed.

    Parameters
    ----------
    held_bytes : (sources,) or (clones, sources) array
        What the clones' disks hold of each source: first touches minus what was released. [B]
    shared_content : (sources,) float64 array
        Share of it that is the same in every clone; `Activity.shared_content`. [1]
    compressed : (sources,) float64 array
        Size after compression by size before; ones for none; `Activity.compressed`. [1]
    clones : int, optional
        Needed where the bytes are those of all clones together: each then has its part. [1]
    block : int, default 1
        Equal content is found in whole blocks: shared content counts once down to a whole block, the rest as own. [B]

    Returns
    -------
    (sources,) float64 array
        Bytes in the array. [B]

    Raises
    ------
    ParameterError
        If a share is no share, or the number of clones is missing.

    Notes
    -----
    Shared content counts once, and as much of it as the clone that holds most of it has; each clone's own content
    counts for itself. That content lies in the clones so that its blocks match is assumed.
    """
    held = np.atleast_2d(np.asarray(held_bytes, np.float64))
    if np.ndim(held_bytes) == 1:
        if clones is None or clones < 1:
            raise ParameterError("clones", clones, "1 or more are needed", "Say whose bytes these are together.")
        held = held / clones
    share, small = np.asarray(shared_content, np.float64), np.asarray(compressed, np.float64)
    for name, given in (("shared_content", share), ("compressed", small)):
        if given.shape != held.shape[1:] or not ((given >= 0) & (given <= 1)).all():
            allowed = f"a share from 0 to 1 is needed for each of the {held.shape[1]} sources"
            raise ParameterError(name, given.tolist(), allowed)
    if block < 1:
        raise ParameterError("array-dedup.block", block, "1 B or more is needed", "Check the sign.")
    count = clones if np.ndim(held_bytes) == 1 and clones is not None else 1
    common = np.floor(held * share / block) * block
    own = (held - common).sum(axis=0) * count
    once = common.max(axis=0, initial=0.0)
    kept: Floats = (once + own) * small
    return kept


def _levels(time_s: Floats, size: Ints) -> Ints:
    """Sums of steps, checked. [B]"""
    if time_s.size != size.size:
        allowed = f"{size.size} sizes stand beside it"
        raise ParameterError("time_s", int(time_s.size), allowed, "Give one of each per step.")
    back = np.flatnonzero(np.diff(time_s, prepend=0.0) < 0)
    if back.size:
        row = int(back[0])
        allowed = f"row {row} is before the start or earlier than the row above it"
        raise ParameterError("time_s", float(time_s[row]), allowed, "Order the steps by time.")
    level: Ints = np.cumsum(size, dtype=np.int64)
    below = np.flatnonzero(level < 0)
    if below.size:
        row = int(below[0])
        allowed = f"row {row} gives back more than there is"
        raise ParameterError("size", int(size[row]), allowed, "Give the first sizes as steps, too.")
    return level
