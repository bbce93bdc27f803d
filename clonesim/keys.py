"""Keyed random streams: who draws, and what for, decides the numbers; order, workers and other draws do not.

A stream is named by (seed, replicate, who, what). `what` starts with "user:", "clone:" or "pool:", so that user 7 and
clone 7 never share a stream.
"""

from __future__ import annotations

import hashlib
from functools import cache
from zlib import crc32

import numpy as np

from clonesim.errors import ParameterError

POOL = -1  # the `who` of what is drawn once per pool
_KINDS = ("user:", "clone:", "pool:")


def generator(seed: int, replicate: int, who: int, what: str) -> np.random.Generator:
    """Random stream of one thing that one clone, one user or the pool draws.

    Parameters
    ----------
    seed, replicate : int
        From 0 up. [1]
    who : int
        Number of the clone or the user, from 0 up; -1 for the pool. [1]
    what : str
        "user:", "clone:" or "pool:" and a name, such as "user:sessions".

    Returns
    -------
    numpy.random.Generator
        PCG64DXSM, seeded by a SeedSequence with the key (replicate, who + 1, crc32 of `what`).

    Raises
    ------
    ParameterError
        If a number is negative (-1 for `who` apart), or `what` has no such prefix.
    """
    for name, number, least in (("seed", seed, 0), ("replicate", replicate, 0), ("who", who, POOL)):
        if number < least:
            raise ParameterError(name, number, f"allowed are whole numbers from {least} up")
    key = np.random.SeedSequence(seed, spawn_key=(replicate, who + 1, _code(what)))
    return np.random.Generator(np.random.PCG64DXSM(key))


def own_seed(seed: int, stream: str) -> int:
    """Seed of what a pool draws for itself alone: its users, clones, hosts and locks.

    Pools of an estate draw patches, definitions and base images from the seed itself, so these are the same for all of
    them; what belongs to users and clones must not repeat, so each pool draws it from a seed that its stream makes.

    Parameters
    ----------
    seed : int
        From 0 up, below 2**63. [1]
    stream : str
        Name of the pool's streams; "": the seed's own, as for a pool that stands alone.

    Returns
    -------
    int
        The seed itself without a stream; else a number from 2**128 up, which no user can give, with one a seed and
        stream.
    """
    if not stream:
        return seed
    text = f"{seed}:{stream}".encode()
    return 2**128 + int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")


@cache
def _code(what: str) -> int:
    if not what.startswith(_KINDS):
        raise ParameterError("what", what, f"allowed are names that start with {', '.join(map(repr, _KINDS))}")
    return crc32(what.encode("utf-8"))
