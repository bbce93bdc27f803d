"""Limits of the readers as a Markdown table, from `clonesim/ingest/limits.toml`."""

from __future__ import annotations

from clonesim.ingest.limits import table


def limits_text() -> str:
    """One row per limit."""
    lines = ["| limit | default | of | what is counted |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {default} | {readers} | {told} |" for name, readers, default, told in table()]
    return "\n".join(lines) + "\n"
