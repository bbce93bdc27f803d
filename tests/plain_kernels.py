"""A pytest plugin: kernels run as the plain Python they are written in, so that a changed line counts at once.

Compiling the guest's kernels takes minutes, and a mutant changes one line of them. With this plugin (`pytest -p
plain_kernels`, the folder tests/ on the path) Numba compiles nothing, the arena's pointer is the array itself, and the
intrinsics below stand in for the compiler's. It must be loaded before clonesim is, and says so if it is not.

Arithmetic stays that of the compiled kernels: words are NumPy's int64, which wrap around. NumPy tells a wrap-around of
a scalar by a warning, which compiled code does not; it is silenced.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

if any(name == "numba" or name.split(".")[0] == "clonesim" for name in sys.modules):
    loaded = "clonesim" if "clonesim" in sys.modules else "numba"
    if loaded == "clonesim" or not os.environ.get("NUMBA_DISABLE_JIT"):
        raise RuntimeError(f"{loaded} is loaded already: plain kernels must come first (pytest -p plain_kernels)")
os.environ["NUMBA_DISABLE_JIT"] = "1"

import numba.extending
import numpy as np

ALL = 0xFFFF_FFFF_FFFF_FFFF


def words(arena: Any) -> Any:
    """Stand for the pointer to an arena's first word: the arena."""
    return arena


def apart() -> None:
    """Nothing is inlined."""


def ones(word: Any) -> np.int64:
    """Count the set bits of an int64 word."""
    return np.int64((int(word) & ALL).bit_count())


def trailing_zeros(word: Any) -> np.int64:
    """Position of the lowest set bit of a word; 64 for 0."""
    value = int(word) & ALL
    return np.int64((value & -value).bit_length() - 1 if value else 64)


def prefetch(array: Any, place: Any) -> None:
    """Ask for nothing: a hint to the processor changes no result."""


def opaque(value: Any) -> Any:
    """Return the value: there is no compiler to hide it from."""
    return value


STAND_INS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (words, apart, ones, trailing_zeros, prefetch, opaque)
}


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Stand for Numba's decorator: what the intrinsic of this name does, in Python."""
    if function.__name__ not in STAND_INS:
        raise RuntimeError(f"no stand-in for the intrinsic {function.__name__} of {function.__module__}")
    return STAND_INS[function.__name__]


numba.extending.intrinsic = intrinsic
np.seterr(all="ignore")
