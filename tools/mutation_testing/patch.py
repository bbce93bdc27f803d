"""Puts a changed function's code into a module that is in memory."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import CodeType
from typing import Any


def put(path: str, source: str) -> bool:
    """Change the functions that a changed file changes; False if it changes anything else (or nothing).

    Functions keep their identity, so whoever imported one gets the change.
    """
    module = sys.modules.get(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    if module is None:
        return False
    old = _codes(compile(Path(str(module.__file__)).read_text(encoding="utf-8"), path, "exec"))
    new = _codes(compile(source, path, "exec"))
    if old.keys() != new.keys():
        return False
    changed = [name for name in old if _differ(old[name], new[name])]
    if not changed or not all(_is_function(old[name]) for name in changed):
        return False
    for name in changed:
        live = _live(module, name)
        if live is None or _differ(live.__code__, old[name]) or live.__code__.co_freevars != new[name].co_freevars:
            return False
        live.__code__ = new[name]
    return True


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x1)  # optimized locals: a function's, not a module's or a class body's


def _codes(code: CodeType, name: str = "") -> dict[str, CodeType]:
    """Code of the module, of its classes, and of functions that are no function's own, by qualified name and number."""
    found = {name: code}
    if name and _is_function(code):
        return found
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            key = f"{name}.{inner.co_name}".lstrip(".")
            while key in found:
                key += "'"
            found |= _codes(inner, key)
    return found


def _differ(a: CodeType, b: CodeType) -> bool:
    """Whether two pieces of code do different things; a module's and a class's without the functions inside."""
    return _essence(a) != _essence(b)


def _essence(code: CodeType) -> tuple[Any, ...]:
    own = _is_function(code)
    consts = tuple(
        (_essence(c) if own else c.co_name) if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, consts, names, code.co_exceptiontable


def _live(module: Any, name: str) -> Any:
    here: Any = module
    for part in name.split("."):
        here = vars(here).get(part)
        if here is None:
            return None
    if isinstance(here, functools._lru_cache_wrapper):
        here.cache_clear()
    while not hasattr(here, "__code__"):
        inside = [getattr(here, name) for name in ("__wrapped__", "__func__", "fget", "func") if hasattr(here, name)]
        if not inside:
            return None
        here = inside[0]
    return here
