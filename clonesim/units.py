"""Sizes and durations as users write them: "16 MiB", "10 s"."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from clonesim.errors import ParameterError

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
SECTOR = 512
_SIZE_UNITS = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}
_TIME_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+) ?(B|KiB|MiB|GiB|TiB)")
_DECIMAL = re.compile(r"[0-9.,]+ ?([KMGT])B?", re.IGNORECASE)
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(us|ms|s|min|h|d)")


def parse_size(value: str | int, name: str = "size", least: int = 0, most: int = 64 * TIB) -> int:
    """Bytes of a size as users write it. [B]

    Parameters
    ----------
    value : str or int
        A whole number with a binary unit ("16 MiB"), or an integer of bytes.
    name : str
        What the size is, for the error message.
    least, most : int, default 0 and 64 TiB
        Allowed range. [B]

    Raises
    ------
    ParameterError
        If the text is not such a size, or out of range; "16 MB" is answered by "did you mean MiB?".
    """
    if type(value) is int:  # shuts out True, 1.5 and numpy scalars that could have been rounded
        size = value
    elif isinstance(value, str) and (hit := _SIZE.fullmatch(value.strip())):
        size = int(hit[1]) * _SIZE_UNITS[hit[2]]
    else:
        decimal = _DECIMAL.fullmatch(value.strip()) if isinstance(value, str) else None
        hint = f"Did you mean {decimal[1].upper()}iB?" if decimal else "Write for example '16 MiB'."
        raise ParameterError(
            name, value, "a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes", hint
        )
    if not least <= size <= most:
        allowed = f"allowed are {format_size(least)} to {format_size(most)}"
        raise ParameterError(name, value, allowed, "Check the unit.")
    return size


def format_size(size: int) -> str:
    """Text of a size that `parse_size` reads back to the same bytes, in the largest unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]} {unit}"
    return f"{size} B"


def parse_duration(value: str | float, name: str = "duration", most: float = math.inf) -> float:
    """Seconds of a duration as users write it. [s]

    Parameters
    ----------
    value : str or float
        A number with us, ms, s, min, h or d ("10 s"), or a number of seconds.
    name : str
        What the duration is, for the error message.
    most : float, optional
        Largest allowed duration. [s]

    Raises
    ------
    ParameterError
        If it is not a duration, negative, not finite or too long.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (hit := _TIME.fullmatch(value.strip())):
        seconds = float(hit[1]) * _TIME_UNITS[hit[2]]
    else:
        allowed = "a duration is a number with us, ms, s, min, h or d, or a number of seconds"
        raise ParameterError(name, value, allowed, "Write for example '10 s'.")
    if not 0 <= seconds <= most or not math.isfinite(seconds):
        limit = "any finite duration from 0 s" if most == math.inf else f"allowed are 0 s to {most:g} s"
        raise ParameterError(name, value, limit, "Check the sign and the unit.")
    return seconds


def format_duration(seconds: float) -> str:
    """Text of a duration that `parse_duration` reads back, in the largest unit that divides it, or in seconds."""
    for unit in ("d", "h", "min"):
        if seconds and seconds % _TIME_UNITS[unit] == 0:
            return f"{seconds / _TIME_UNITS[unit]:g} {unit}"
    return f"{Decimal(repr(seconds)):f}".removesuffix(".0") + " s"


def format_time_of_day(seconds: float) -> str:
    """Hours and minutes (and seconds, where there are any) of seconds since midnight."""
    whole = round(seconds)
    tail = f":{whole % 60:02d}" if whole % 60 else ""
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}{tail}"
