"""What the pages of docs/ hold: code, commands and doctests, taken out of their Markdown."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^\n)((?:^(?: {4}.*)?\n)+)", re.MULTILINE)
INLINE = re.compile(r"`(clonesim [^`]*)`", re.DOTALL)
PROMPT = ">>>"


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block of code; indented ones have no language."""
    for hit in FENCE.finditer(text):
        yield hit[1], hit[2]
    rest = FENCE.sub("", text)
    for hit in INDENTED.finditer(rest):
        yield "", textwrap.dedent(hit[1])


def python_blocks(text: str) -> Iterator[ast.Module]:
    """Blocks that are Python, without prompts, parsed."""
    for language, code in blocks(text):
        if language not in ("", "python") or PROMPT in code:
            continue
        try:
            tree = ast.parse(code)
        except SyntaxError:
            if language == "python":
                raise
            continue
        if any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body) or language == "python":
            yield tree


def command_lines(text: str) -> Iterator[list[str]]:
    """Words of each command line that begins with clonesim, comments left out; what is only a part of one as well."""
    shells = [code for language, code in blocks(text) if language in ("", "sh")]
    lines = [line for code in shells for line in code.replace("\\\n", " ").splitlines()]
    lines += [" ".join(hit[1].split()) for hit in INLINE.finditer(FENCE.sub("", text))]
    for line in lines:
        line = line.strip()
        if line.startswith("clonesim "):
            yield shlex.split(line, comments=True)


def prompts(text: str) -> str:
    """All examples with prompts of a page, one after the other."""
    return "\n".join(code for _, code in blocks(text) if PROMPT in code)


def page_id(path: Path) -> str:
    """A page's name in the tests' list."""
    return path.relative_to(ROOT).as_posix()
