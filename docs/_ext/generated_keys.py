"""Keys of a scenario as Markdown, from its models and the catalog."""

from __future__ import annotations

import inspect
from typing import Any

from clonesim.console.catalog import default_text, range_text
from clonesim.scenario.comment import _attributes as attributes
from clonesim.scenario.model import SECTIONS


def keys_text() -> str:
    """A section with a table for each table of a scenario."""
    return "\n".join(_section(name, model) for name, model in SECTIONS.items())


def _section(name: str, model: Any) -> str:
    first = inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]
    told = attributes(model)
    lines = [f"## {name}\n", f"{' '.join(first.split())}\n"]
    lines += ["| key | meaning | default | range | kind |", "|---|---|---|---|---|"]
    for field in model.model_fields:
        parameter = model.parameter(field)
        meaning = told.get(field, "")
        if parameter is None:
            lines.append(f"| `{name}.{field}` | {_cell(meaning)} | | | |")
            continue
        optional = model.model_fields[field].default_factory is None
        entry = {"default": parameter.default, "unit": parameter.unit, "range": parameter.range}
        default = "follows" if optional else default_text(entry)
        shown = (meaning, default, range_text(entry), parameter.kind)
        lines.append(f"| `{name}.{field}` | " + " | ".join(_cell(text) for text in shown) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
