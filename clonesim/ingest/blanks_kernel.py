"""Kernels that the readers of event listings share: blanks, and carriage returns that end a line by themselves."""

from __future__ import annotations

from numba import njit

KERNELS = "2c6c66b026b2c0cb"


@njit(cache=True)
def skip_blanks(data, pos):  # type: ignore[no-untyped-def]
    """First place from `pos` on that is neither a space nor a tab."""
    while pos < data.size and (data[pos] == 32 or data[pos] == 9):
        pos += 1
    return pos


@njit(cache=True)
def lone_return(data, pos):  # type: ignore[no-untyped-def]
    """Tell whether a carriage return ends a line by itself."""
    return data[pos] == 13 and (pos + 1 == data.size or data[pos + 1] != 10)
