"""The command line as Markdown, from the program itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from clonesim.cli import app

HIDDEN = {"help"}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups left out, in the order of `clonesim --help`."""
    yield from _below("clonesim", typer.main.get_command(app))


def commands_text() -> str:
    """A section for each command."""
    return "\n".join(_section(name, command) for name, command in commands())


def options(command: Any) -> list[Any]:
    """What a command takes, arguments first."""
    shown = [one for one in command.params if one.name not in HIDDEN and not getattr(one, "hidden", False)]
    return sorted(shown, key=lambda one: one.param_type_name != "argument")


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for key, one in inner.items():
        yield from _below(f"{name} {key}", one)


def _section(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    arguments = " ".join(_usage(one) for one in options(command) if one.param_type_name == "argument")
    lines = [f"## {name}\n", f"{text}\n", "```text", f"{name} [OPTIONS] {arguments}".rstrip(), "```\n"]
    rows = [_row(one) for one in options(command)]
    if rows:
        lines += ["| option | default | |", "|---|---|---|", *rows, ""]
    if command.epilog:
        example = re.sub(r"^\s*\x08?\s*Examples?:\s*\n", "", command.epilog)
        lines += ["```sh", inspect.cleandoc(example), "```\n"]
    return "\n".join(lines)


def _usage(one: Any) -> str:
    name = (one.metavar or one.name).upper()
    return name if one.required else f"[{name}]"


def _row(one: Any) -> str:
    if one.param_type_name == "argument":
        name = f"`{(one.metavar or one.name).upper()}`"
    else:
        name = ", ".join(f"`{text}`" for text in one.opts)
    default = one.default
    shown = "" if default is None or default is False or callable(default) or one.required else f"`{default}`"
    help_ = " ".join((getattr(one, "help", None) or "").split())
    if getattr(one, "multiple", False) and "repeat" not in help_.lower():
        help_ += " May be repeated."
    return f"| {name} | {shown} | {_cell(help_)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
