"""Mutants: every small change that cosmic-ray's operators make to a file, less those that cannot matter by rule."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cosmic_ray.ast
import cosmic_ray.mutating
import cosmic_ray.plugins

VARIANTS = re.compile(r"(Replace(?:BinaryOperator_[A-Za-z]+|ComparisonOperator_[A-Za-z]+|UnaryOperator))_\w+$")


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes
    ----------
    key : str
        Stays the same while the changed line and its function do, wherever they move in the file.
    path : str
        File, from the project's folder.
    operator : str
        Name of cosmic-ray's operator.
    statement, occurrence : int
        Which statement of the module, and which of the places in it that the operator can change.
    line : int
        Line of the place, from 1.
    function : str
        Function or class around it; empty at the module's level.
    before, after : str
        The line (all lines that differ, joined by " | ").
    """

    key: str
    path: str
    operator: str
    statement: int
    occurrence: int
    line: int
    function: str
    before: str
    after: str


def mutated(source: str, mutant: Mutant) -> str:
    """Source of the mutant's file with its place changed."""
    parts = statements(source)
    parts[mutant.statement] = _changed(parts[mutant.statement], mutant.operator, mutant.occurrence)
    return "".join(parts)


def statements(source: str) -> list[str]:
    """Source cut at the statements of its module's level: changing one of them is quicker than changing a file."""
    return [str(node.get_code()) for node in cosmic_ray.ast.get_ast(source).children]


def _changed(code: str, operator: str, occurrence: int) -> str:
    found = cosmic_ray.mutating.mutate_code(code, _operator(operator), occurrence)
    assert isinstance(found, str), f"{operator} changes no place {occurrence} of {code!r}"
    return found


@cache
def _operator(name: str) -> Any:
    return cosmic_ray.plugins.get_operator(f"core/{name}")()


@cache
def _operators() -> tuple[str, ...]:
    names = [str(name).removeprefix("core/") for name in cosmic_ray.plugins.operator_names()]
    return tuple(name for name in sorted(names) if not cosmic_ray.plugins.get_operator(f"core/{name}").arguments())


def ranked(text: str) -> str:
    """Order of a seeded draw: a hash, the same on every machine."""
    return hashlib.sha256(text.encode()).hexdigest()


def mutants_of(root: Path, path: str, seed: int) -> tuple[list[Mutant], Counter[str]]:
    """Mutants of a file, and how many changes each rule left out.

    Of the eleven operators that can stand for a binary one (and so on: see `VARIANTS`) a place gets one, drawn by the
    seed, and of a number's two neighbours one: each place counts once per kind of change.
    """
    source = (root / path).read_text(encoding="utf-8")
    found: list[Mutant] = []
    left_out: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    line = 0
    for k, code in enumerate(statements(source)):
        for mutant in _of_statement(path, k, line, code, seed, left_out):
            seen[text := f"{path} {mutant.function} {mutant.operator} {mutant.before} -> {mutant.after}"] += 1
            found.append(replace(mutant, key=ranked(f"{text} {seen[text]}")[:10]))
        line += code.count("\n")
    return found, left_out


def _of_statement(path: str, k: int, above: int, code: str, seed: int, left_out: Counter[str]) -> Iterator[Mutant]:
    places: dict[tuple[Any, ...], list[tuple[str, int, Any]]] = defaultdict(list)
    nodes = list(cosmic_ray.ast.ast_nodes(cosmic_ray.ast.get_ast(code)))
    for name in _operators():
        hits = ((node, start) for node in nodes for start, _ in _operator(name).mutation_positions(node))
        for occurrence, (node, start) in enumerate(hits):
            places[(start, VARIANTS.sub(r"\1", name))].append((name, occurrence, node))
    plain = ast.dump(ast.parse(code))
    lines = code.splitlines()
    for (start, kind), variants in sorted(places.items(), key=lambda item: item[0]):
        node = variants[0][2]
        rule = _rule(node, start)
        text = f"{seed} {path} {_function(node)} {kind} {lines[start[0] - 1].strip()} {start[1]}"
        for name, occurrence, _ in sorted(variants, key=lambda v: ranked(f"{text} {v[0]} {v[1] - variants[0][1]}")):
            if rule:
                break
            changed = _changed(code, name, occurrence)
            broken = _broken(changed, plain)
            if not broken:
                before, after = _difference(code, changed)
                yield Mutant("", path, name, k, occurrence, above + start[0], _function(node), before, after)
                break
        else:
            rule = broken
        left_out[rule] += bool(rule)


def _broken(code: str, plain: str) -> str:
    try:
        return "same" if ast.dump(ast.parse(code)) == plain else ""
    except SyntaxError:
        return "broken"


def _difference(source: str, code: str) -> tuple[str, str]:
    old, new = source.splitlines(), code.splitlines()
    if len(old) != len(new):
        gone = [line.strip() for line in old if line not in new]
        return " | ".join(gone) or "(a line)", "(removed)"
    rows = [(a.strip(), b.strip()) for a, b in zip(old, new, strict=True) if a != b]
    return " | ".join(a for a, _ in rows), " | ".join(b for _, b in rows)


def _parents(node: Any) -> Iterator[tuple[Any, Any]]:
    while node.parent is not None:
        yield node, node.parent
        node = node.parent


def _function(node: Any) -> str:
    names = [up.name.value for _, up in _parents(node) if up.type in {"funcdef", "classdef"}]
    return ".".join(reversed(names))


def _rule(node: Any, start: tuple[int, int]) -> str:
    """Name of the rule that leaves a place out; empty if none does."""
    if node.type == "comparison" or node.type == "if_stmt":
        return _rule_of(node)
    leaf = node.get_leaf_for_position(start, include_prefixes=True) if hasattr(node, "get_leaf_for_position") else node
    return _rule_of(node) or _rule_of(leaf if leaf is not None else node)


def _rule_of(node: Any) -> str:
    if node.type == "decorator":
        return _decorator(node)
    if node.type == "if_stmt" and node.children[1].get_code().strip() == "TYPE_CHECKING":
        return "annotation"
    for child, up in _parents(node):
        if up.type == "annassign" and child is up.children[1]:
            return "annotation"
        if up.type == "tfpdef" and child is up.children[-1]:
            return "annotation"
        if up.type == "funcdef" and child is up.annotation:
            return "annotation"
        if up.type == "if_stmt" and up.children[1].get_code().strip() == "TYPE_CHECKING":
            return "annotation"
        if up.type == "decorator":
            return _decorator(up)
        if up.type == "assert_stmt" and up.children.index(child) > 2:
            return "message"
        if up.type == "atom_expr" and up.children[0].get_code().strip() == "prefetch":
            return "prefetch"
        if up.type == "funcdef" and (up.name.value == "emit_prefetch" or "@intrinsic" in _decorators(up)):
            return "intrinsic"
    return ""


def _decorator(node: Any) -> str:
    name = node.children[1].get_code().strip()
    return "decorator" if name in {"inner", "entry", "njit", "intrinsic", "overload"} or name.startswith("njit") else ""


def _decorators(function: Any) -> set[str]:
    if function.parent is None or function.parent.type != "decorated":
        return set()
    return {decorator.get_code().strip() for decorator in function.get_decorators()}


def shares(counts: dict[str, int], size: int) -> dict[str, int]:
    """How many mutants of each file a sample of `size` takes: proportional, by largest remainders, at least one."""
    total = sum(counts.values())
    exact = {path: size * n / total for path, n in counts.items() if n}
    taken = {path: max(1, int(value)) for path, value in exact.items()}
    for path in sorted(exact, key=lambda path: (int(exact[path]) - exact[path], path)):
        if sum(taken.values()) >= size:
            break
        taken[path] += taken[path] < counts[path]
    return taken


def sample(found: dict[str, list[Mutant]], size: int, seed: int) -> list[Mutant]:
    """Stratified sample, files as strata, in the order in which it is tried (files mixed)."""
    taken = shares({path: len(mutants) for path, mutants in found.items()}, size)
    chosen: list[tuple[float, str, Mutant]] = []
    for path, n in taken.items():
        order = sorted(found[path], key=lambda mutant: ranked(f"{seed} {mutant.key}"))
        chosen += [((k + 0.5) / n, ranked(f"{seed} {m.key}"), m) for k, m in enumerate(order[:n])]
    return [mutant for _, _, mutant in sorted(chosen, key=lambda row: row[:2])]
