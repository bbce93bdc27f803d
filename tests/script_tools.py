"""PowerShell as text: what of a script is code, whether its brackets balance, and what a real parser says of it."""

import re
import shutil
import subprocess

import pytest

CLOSES = {")": "(", "]": "[", "}": "{"}


def code_of(text):
    """The script without comments, and without what stands in texts; an AssertionError where one does not end."""
    kept, at = [], 0
    forms = [
        (r"<#", r"#>"),
        (r"#", r"(?=\n)|\Z"),
        (r"@'\n", r"\n'@"),
        (r"'", r"'(?!')"),
        (r'"', r'(?<!`)"(?!")'),
    ]
    while at < len(text):
        for start, end in forms:
            if found := re.compile(start).match(text, at):
                inside = found.end()
                while True:
                    stop = re.compile(end).search(text, inside)
                    assert stop, f"never ends: {text[at : at + 60]!r}"
                    doubled = start in "'\"" and text[stop.start() - 1] == start and stop.start() - 1 >= found.end()
                    if not doubled or text[found.end() : stop.start()].count(start) % 2 == 0:
                        break
                    inside = stop.end()
                kept.append("''" if start not in ("<#", "#") else "")
                at = stop.end()
                break
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)


def check_brackets(text):
    """An AssertionError where a bracket has no partner."""
    code, open_ = code_of(text), []
    for number, letter in enumerate(code):
        if letter in "([{":
            open_.append(letter)
        elif letter in CLOSES:
            assert open_, code[:number][-80:]
            assert open_.pop() == CLOSES[letter], code[:number][-80:]
    assert not open_


def grammar_reads(script):
    """Whether a grammar of PowerShell that others wrote reads a script, in bytes; skips where it is not installed.

    It does not know all of the language, such as 1MB within a formula.
    """
    tree_sitter = pytest.importorskip("tree_sitter")
    language = tree_sitter.Language(pytest.importorskip("tree_sitter_powershell").language())
    return not tree_sitter.Parser(language).parse(script.removeprefix(b"\xef\xbb\xbf")).root_node.has_error


def parse(path):
    """Have PowerShell parse a script; skips where none is installed."""
    program = shutil.which("pwsh") or shutil.which("powershell")
    if not program:
        pytest.skip("no PowerShell is installed, so nothing here can parse its scripts")
    check = (
        "$e = $null; [void] [Management.Automation.Language.Parser]::ParseFile"
        f"('{path}', [ref] $null, [ref] $e); $e | ForEach-Object {{ $_.ToString() }}; exit $e.Count"
    )
    done = subprocess.run([program, "-NoProfile", "-Command", check], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
