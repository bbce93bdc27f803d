"""A scenario as commented TOML: what was asked for as lines, what follows from the catalog as comments to uncomment."""

from __future__ import annotations

import datetime as dt
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from clonesim.scenario import catalog
from clonesim.scenario.fields import Section, text
from clonesim.scenario.marks import TABLE, by_word, read_marks, touches
from clonesim.scenario.model import SECTIONS, Scenario
from clonesim.scenario.strategy import TOPIC, Choice, parameters_of
from clonesim.scenario.strategy_rules import unused

WIDTH = 118
QUOTED = {"B", "s", "time", "name"}
BRACKETED_UNIT = re.compile(r" \[(1|B|s|d|h|1/d|MHz)\](?= |$)")
ATTRIBUTE = re.compile(r"^(\w+(?:, \w+)*) : .*$")


def commented(scenario: Scenario, marks: Mapping[str, str] | None = None) -> str:
    """TOML text that `load_scenario` reads back to an equal scenario.

    Values that were asked for are lines; the others stand behind `#` with the values that they have, each with what it
    means, its range, and where it comes from.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    marks : mapping, optional
        By key, such as "guest.disk": a text that begins with "measured:", "derived:" or "calibrated:" and says how.
        They come beside the scenario's own marks, as a comment above the value, and in the table `marks` at the end.
    """
    known = read_marks(scenario.marks | dict(marks or {}), SECTIONS)
    lines = [
        "# A scenario for clonesim. Lines without # were asked for; lines with one show what follows from the catalog.",
        "# Sizes are whole numbers with B, KiB, MiB, GiB or TiB; durations numbers with s, min, h or d.",
        "# `clonesim catalog` lists all parameters with their sources.",
        "",
    ]
    lines += [] if scenario.strategy else ["# strategy = []", ""]
    for name, model in SECTIONS.items():
        section = getattr(scenario, name)
        given = section.given()
        told = _attributes(model)
        lines += [f"[{name}]"]
        for field in model.model_fields:
            own = {key: mark for key, mark in known.items() if touches(key, f"{name}.{field}")}
            lines += _entry(section, field, given, told.get(field, ""), own)
        lines.append("")
    for choice in scenario.strategy:
        lines += [*_strategy(choice), ""]
    lines += _marked(known)
    return "\n".join(lines).rstrip() + "\n"


def _entry(section: Section, field: str, given: Mapping[str, Any], meaning: str, marks: Mapping[str, str]) -> list[str]:
    parameter = type(section).parameter(field, getattr(section, "name", None))
    unit = parameter.unit if parameter else "1"
    note = BRACKETED_UNIT.sub("", meaning)
    if parameter is not None:
        note = f"{note} {_allowed(parameter)}"
    lines = _wrapped(note.strip())
    for key, mark in marks.items():
        part = key.removeprefix(f"{section.table}.{field}").removeprefix(".")
        lines += _wrapped(f"{mark} ({part})" if part else mark)
    value = given.get(field, getattr(section, field))
    if value is None:
        return [*lines, f"# {field} is not set"]
    shown = f"{field} = {_toml(value, unit)}"
    return [*lines, shown if field in given else f"# {shown}"]


def _marked(marks: Mapping[str, str]) -> list[str]:
    """Table of what was measured, for results to tell."""
    if not marks:
        return []
    lines = _wrapped("What was measured, which results tell. Take a key out when you change its value here by hand.")
    lines.append(f"[{TABLE}]")
    for word, keys in by_word(marks).items():
        quoted = [f"{json.dumps(key)}," for key in keys]
        lines += [f"{word} = [", *(f"    {line}" for line in textwrap.wrap(" ".join(quoted), WIDTH - 4)), "]"]
    return [*lines, ""]


def _strategy(choice: Choice) -> list[str]:
    """Table of one strategy: what it saves and costs, then its parameters as those of the other tables."""
    words = (catalog.text(TOPIC, choice.name, key) for key in ("title", "saves", "costs"))
    title, saves, costs = (word.rstrip(".") for word in words)
    lines = [*_wrapped(f"{title}."), *_wrapped(f"Saves: {saves}."), *_wrapped(f"Costs: {costs}.")]
    lines += ["[[strategy]]", f"name = {_toml(choice.name)}"]
    without_effect = {entry[0] for entry in unused(choice)}
    for key, parameter in parameters_of(choice.name).items():
        if key in without_effect and key not in choice.parameters:
            continue
        shown = f"{key} = {_toml(choice.value(key), parameter.unit)}"
        lines += [
            *_wrapped(f"{parameter.note} {_allowed(parameter)}"),
            shown if key in choice.parameters else f"# {shown}",
        ]
    return lines


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _allowed(parameter: catalog.Parameter) -> str:
    """Range, kind and source in a few words."""
    cited = parameter.kind if parameter.source == "assumption" else f"{parameter.kind}: {parameter.source}"
    if isinstance(parameter.default, bool):
        return f"({cited})"
    if isinstance(parameter.default, tuple):
        return f"Some of {', '.join(map(str, parameter.range))}. ({cited})"
    if isinstance(parameter.default, str):
        return f"One of {', '.join(map(str, parameter.range))}. ({cited})"
    low, high = (text(value, parameter.unit) for value in parameter.range)
    return f"{low} to {high}. ({cited})"


def _attributes(model: type[Section]) -> dict[str, str]:
    """What the fields mean, from the class's own documentation; nothing where Python drops it."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in textwrap.dedent(" " * 4 + (model.__doc__ or "")).splitlines():
        hit = ATTRIBUTE.match(line)
        if hit:
            names = hit[1].split(", ")
        elif line.startswith("    "):
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return found


def _toml(value: Any, unit: str = "1") -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Section):
        return _inline(type(value), value.given())
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if unit in QUOTED and not (unit == "time" and value % 1):
        return f'"{text(value, unit)}"'
    return repr(value)


def _inline(model: type[Section], values: Mapping[str, Any]) -> str:
    parts = []
    for key, value in values.items():
        parameter = model.parameter(key)
        parts.append(f"{key} = {_toml(value, parameter.unit if parameter else 'B' if key == 'delta' else '1')}")
    return "{" + ", ".join(parts) + "}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
