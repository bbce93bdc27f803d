"""Who starts when, and lives where. Nothing here depends on how many clones there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
