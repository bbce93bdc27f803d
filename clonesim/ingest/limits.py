"""How much the readers take before they refuse, all in one place: defaults in `limits.toml`, and how to change them.

A limit is changed for all that a process reads by the environment variable CLONESIM_LIMITS, such as
"inventory_rows=500000, document_bytes=4 GiB", and for a part of a program by `with limited(inventory_rows=500_000):`,
which wins. Where a reader has a keyword of its own, that one wins over both.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from clonesim.errors import ParameterError, nearest
from clonesim.units import format_size, parse_size

VARIABLE: Final = "CLONESIM_LIMITS"
MOST: Final = 2**62  # of every limit: sums of two such numbers still fit 64 bits
_WRITE: Final = f"Write for example {VARIABLE}='inventory_rows=500000, document_bytes=4 GiB'."
_SIGN: Final = re.compile(r"[,;\n]")
_changed: ContextVar[Mapping[str, int]] = ContextVar("clonesim_limits", default=MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of readers.

    Attributes
    ----------
    name : str
        Such as "inventory_rows".
    default : int
        What is allowed unless it is changed. [B] if `size`, else [1]
    size : bool
        Whether it counts bytes.
    readers : str
        What it is a limit of.
    told : str
        What is counted.
    keyword : str
        Keyword of the reader that sets it for one call; empty if there is none.
    most : int
        How far it can be raised. [B] or [1]
    """

    name: str
    default: int
    size: bool
    readers: str
    told: str
    keyword: str = ""
    most: int = MOST

    def text(self, value: int) -> str:
        """A value as messages tell it, and as `checked` reads it back."""
        return format_size(value) if self.size else str(value)

    def checked(self, value: object) -> int:
        """A value as users write it, as a number.

        Raises
        ------
        ParameterError
            If it is no size, or no whole number from 1 to 2^62.
        """
        if self.size:
            return parse_size(value, self.name, least=1, most=self.most)  # type: ignore[arg-type]  # it refuses others
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() and len(value) < 25 else value
        if type(number) is not int or not 1 <= number <= self.most:
            allowed = f"allowed are whole numbers from 1 to {'2^62' if self.most == MOST else self.most}"
            raise ParameterError(self.name, value, allowed, _WRITE)
        return number


@cache
def known() -> Mapping[str, Limit]:
    """All limits by name, in the order of the table."""
    tables = tomllib.loads(resources.files(__package__).joinpath("limits.toml").read_text(encoding="utf-8"))
    found = {}
    for name, told in tables.items():
        default = told["default"]
        size = isinstance(default, str)
        number = parse_size(default, name, most=MOST) if size else default
        keyword, highest = told.get("keyword", ""), told.get("most", MOST)
        found[name] = Limit(name, number, size, told["readers"], told["told"], keyword, highest)
    return MappingProxyType(found)


def most(name: str) -> int:
    """What a limit allows now. [B] or [1]

    Raises
    ------
    ParameterError
        If CLONESIM_LIMITS cannot be read.
    """
    changed = _changed.get()
    if name in changed:
        return changed[name]
    return read_limits(os.environ.get(VARIABLE, "")).get(name, known()[name].default)


def given_or_most(value: int | None, name: str, keyword: str) -> int:
    """A reader's keyword if it was given, else what the limit allows now.

    Raises
    ------
    ParameterError
        If the keyword's value is no whole number from 1.
    """
    if value is None:
        return most(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ParameterError(keyword, value, "allowed are whole numbers from 1", "Leave it out.")
    return value


def or_raise(name: str, instead: str, value: int | None = None) -> str:
    """Sentence that tells what to do where a limit is exceeded, how to raise it included.

    Parameters
    ----------
    name : str
        Which one.
    instead : str
        What else helps, such as "Split it".
    value : int, optional
        What is allowed, if not what the limit allows now.
    """
    limit = known()[name]
    now = most(name) if value is None else value
    if now >= limit.most:
        return f"{instead}."
    variable = f"{VARIABLE}='{name}={limit.text(min(2 * now, limit.most))}'"
    if limit.keyword:
        return f"{instead}, or raise {limit.keyword} ({variable} for all readers)."
    return f"{instead}, or raise the limit: {variable}."


@cache
def read_limits(text: str) -> Mapping[str, int]:
    """Limits of a text such as "inventory_rows=500000, document_bytes=4 GiB".

    Raises
    ------
    ParameterError
        If there is no such limit, or its value is not allowed.
    """
    found = {}
    for part in filter(None, map(str.strip, _SIGN.split(text))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise ParameterError(VARIABLE, part, "each limit is a name, an equals sign and a value", _WRITE)
        found[name] = _known(name, value).checked(value)
    return MappingProxyType(found)


@contextmanager
def limited(*texts: str, **values: int | str) -> Iterator[None]:
    """Change limits within a `with` block, for this thread or task.

    Parameters
    ----------
    *texts : str
        As in the environment: "inventory_rows=500000".
    **values : int or str
        By name: `inventory_rows=500_000`, `document_bytes="4 GiB"`.

    Raises
    ------
    ParameterError
        If there is no such limit, or its value is not allowed.

    Examples
    --------
    >>> from clonesim.ingest import limited
    >>> with limited(document_bytes="4 GiB"):
    ...     pass  # read_inventory(...)
    """
    changed = {**_changed.get(), **_together(texts)}
    changed |= {name: _known(name, value).checked(value) for name, value in values.items()}
    token = _changed.set(MappingProxyType(changed))
    try:
        yield
    finally:
        _changed.reset(token)


def table() -> list[tuple[str, str, str, str]]:
    """All limits for a page: name, readers, default, what is counted."""
    return [
        (one.name, one.readers, one.text(one.default) if one.size else f"{one.default:,}", one.told)
        for one in known().values()
    ]


def _together(texts: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        found |= read_limits(text)
    return found


def _known(name: str, value: object) -> Limit:
    if name not in known():
        allowed = f"there is no such limit; there are {', '.join(known())}"
        raise ParameterError(name, value, allowed, nearest(name, known()))
    return known()[name]
