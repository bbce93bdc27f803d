"""The catalog of cited parameters as text."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, replace
from typing import Any

from clonesim.console.text import print_table
from clonesim.errors import ParameterError, nearest
from clonesim.scenario import catalog
from clonesim.scenario.catalog import presets
from clonesim.units import format_duration, format_size, format_time_of_day

MOST_NAMES = 40
WRAPPED: Any = {"width": 80, "break_long_words": False, "break_on_hyphens": False}  # addresses stay whole


def select(topic: str | None, name: str | None) -> list[dict[str, Any]]:
    """Parameters of all topics, of one topic, or one of them, each with what its source key stands for.

    A name may be a dotted path to several, such as a format's.
    """
    if topic is not None and topic not in catalog.topics():
        allowed = f"allowed are {', '.join(map(repr, catalog.topics()))}"
        raise ParameterError("topic", topic, allowed, nearest(topic, catalog.topics()))
    found = [
        _entry(t, parameter)
        for t in ([topic] if topic else catalog.topics())
        for parameter in catalog.parameters(t).values()
        if name is None or parameter.name == name or parameter.name.startswith(f"{name}.")
    ]
    if topic is not None and name in catalog.names(topic):  # with what it has from `same_as`
        own = catalog.group(topic, name)
        return [_entry(topic, replace(parameter, name=f"{name}.{last}")) for last, parameter in own.items()]
    if topic is not None and name is not None and not found:
        known = [*catalog.names(topic), *catalog.parameters(topic)]
        if len(known) > MOST_NAMES:
            allowed = f"`clonesim catalog {topic}` lists its {len(catalog.parameters(topic))} parameters"
        else:
            allowed = f"parameters of {topic} are {', '.join(map(repr, catalog.parameters(topic)))}"
        raise ParameterError("name", name, allowed, nearest(name, known))
    return found


def _entry(topic: str, parameter: catalog.Parameter) -> dict[str, Any]:
    source = catalog.sources().get(parameter.source, {})
    return {"topic": topic, **asdict(parameter), "source_text": source}


def show(found: list[dict[str, Any]], topic: str | None, name: str | None) -> None:
    """Print topics, a table of parameters, or whole entries, whichever was asked for."""
    if topic is None:
        counts = {t: sum(entry["topic"] == t for entry in found) for t in catalog.topics()}
        listed = [(t, str(count)) for t, count in counts.items()]
        notes = ["`clonesim catalog TOPIC` lists one.", f"Scenarios for `clonesim init`: {', '.join(presets())}."]
        print_table("Topics of the catalog", ["topic", "parameters"], listed, notes)
    elif name is None:
        rows = [(e["name"], default_text(e), range_text(e), e["kind"], e["source"]) for e in found]
        print_table(f"Parameters of {topic}", ["name", "default", "range", "kind", "source"], rows, texts=5)
    else:
        for entry in found:
            print(f"{topic}.{entry['name']}")
            source = entry["source_text"]
            lines = {
                "default": default_text(entry),
                "range": range_text(entry),
                "kind": entry["kind"],
                "source": f"{entry['source']}: {source.get('title', '')}; {source.get('where', '')}",
                "note": entry["note"],
            }
            for key, text in lines.items():
                if text:
                    print(textwrap.fill(text, initial_indent=f"  {key:8} ", subsequent_indent=" " * 11, **WRAPPED))


def default_text(entry: dict[str, Any]) -> str:
    """Default of an entry, with its unit."""
    return _text(entry["default"], entry["unit"])


def range_text(entry: dict[str, Any]) -> str:
    """Range of an entry: lowest to highest number, or all names."""
    allowed = [_text(value, entry["unit"]) for value in entry["range"]]
    if isinstance(entry["default"], (str, bool, tuple)):
        return ", ".join(allowed)
    return " to ".join(dict.fromkeys(allowed))


def _text(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " + ".join(value)
    if unit == "B":
        return format_size(value)
    if unit == "s":
        return f"{value * 1e3:g} ms" if 0 < value < 1 else format_duration(value)
    if unit == "time":
        return format_time_of_day(value)
    return f"{value}" if unit in ("1", "name") else f"{value} {unit}"
