"""The catalog of cited parameters as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from clonesim.console import print_table
from clonesim.errors import ParameterError
from clonesim.scenario import catalog
from clonesim.units import format_size


def select(topic: str | None, name: str | None) -> list[dict[str, Any]]:
    """Parameters of all topics, of one topic, or one of them, each with what its source key stands for.

    A name may be a dotted path to several, such as a format's.
    """
    if topic is not None and topic not in catalog.topics():
        raise ParameterError("topic", topic, f"allowed are {', '.join(map(repr, catalog.topics()))}")
    found = [
        {"topic": t, **asdict(parameter), "source_text": catalog.sources().get(parameter.source, {})}
        for t in ([topic] if topic else catalog.topics())
        for parameter in catalog.parameters(t).values()
        if name is None or parameter.name == name or parameter.name.startswith(f"{name}.")
    ]
    if name is not None and not found:
        names = ", ".join(map(repr, catalog.parameters(topic or "")))
        raise ParameterError("name", name, f"parameters of {topic} are {names}")
    return found


def show(found: list[dict[str, Any]], topic: str | None, name: str | None) -> None:
    """Print topics, a table of parameters, or whole entries, whichever was asked for."""
    if topic is None:
        counts = {t: sum(entry["topic"] == t for entry in found) for t in catalog.topics()}
        listed = [(t, str(count)) for t, count in counts.items()]
        print_table("Topics of the catalog", ["topic", "parameters"], listed, ["`clonesim catalog TOPIC` lists one."])
    elif name is None:
        rows = [(e["name"], _text(e["default"], e["unit"]), _range(e), e["kind"], e["source"]) for e in found]
        print_table(f"Parameters of {topic}", ["name", "default", "range", "kind", "source"], rows, texts=5)
    else:
        for entry in found:
            print(f"{topic}.{entry['name']}")
            source = entry["source_text"]
            lines = {
                "default": _text(entry["default"], entry["unit"]),
                "range": _range(entry),
                "kind": entry["kind"],
                "source": f"{entry['source']}: {source.get('title', '')}; {source.get('where', '')}",
                "note": entry["note"],
            }
            for key, text in lines.items():
                if text:
                    print(f"  {key:8} {text}")


def _text(value: Any, unit: str) -> str:
    if unit == "B":
        return format_size(value)
    if unit == "s":
        return f"{value * 1e3:g} ms" if 0 < value < 1 else f"{value:g} s"
    return f"{value}" if unit in ("1", "name") else f"{value} {unit}"


def _range(entry: dict[str, Any]) -> str:
    allowed = [_text(value, entry["unit"]) for value in entry["range"]]
    if isinstance(entry["default"], (str, bool)):
        return ", ".join(allowed)
    return " to ".join(dict.fromkeys(allowed))
