"""The book as a page: docs/validation.md from its template, the checks and their results."""

from __future__ import annotations

from pathlib import Path

from .chapters import CHAPTERS, ENTRIES
from .entry import ENGINE, ROOT, Entry
from .results import Result, Results

TARGET = ROOT / "docs" / "validation.md"
TEMPLATE = Path(__file__).with_name("page.md")


def page(results: Results) -> str:
    """Text of the page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    found = [results.entries.get(name, Result(absent="not run yet")) for name in ENTRIES]
    ran = [one for one in found if one.figures]
    counts = (
        f"{len(ENTRIES)} checks, {sum(len(one.figures) for one in ran)} figures. "
        f"{sum(one.holds for one in ran)} of the {len(ran)} that were run hold all their bounds."
    )
    parts = {
        "counts": counts,
        "versions": ", ".join(f"{name} {number}" for name, number in results.programs.items()),
        "summary": _summary(results),
        "chapters": "\n\n".join(_chapter(number, results) for number in range(len(CHAPTERS))),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def verdict(result: Result) -> str:
    """One word or two on a result."""
    if not result.figures:
        return "not run"
    return "holds" if result.holds else "**does not hold**"


def _summary(results: Results) -> str:
    rows = ["| check | chapter | figures within bounds | | seconds |", "|---|---|---:|---|---:|"]
    for entry in ENTRIES.values():
        result = results.entries.get(entry.name, Result())
        judged = [one for one in result.figures if one.judged]
        inside = f"{sum(one.holds for one in judged)} of {len(judged)}" if result.figures else ""
        seconds = f"{result.seconds:.1f}" if result.figures else ""
        chapter = entry.chapter.partition(":")[0]
        rows.append(f"| [{entry.name}](#{entry.name}) | {chapter} | {inside} | {verdict(result)} | {seconds} |")
    return "\n".join(rows)


def _chapter(number: int, results: Results) -> str:
    chapter = CHAPTERS[number]
    parts = [f"## {chapter.title}"]
    if chapter.text:
        parts.append(f"**{chapter.text}**" if chapter.text == ENGINE else chapter.text)
    parts += [
        _section(entry, results.entries.get(entry.name, Result(absent="not run yet"))) for entry in chapter.entries
    ]
    return "\n\n".join(parts)


def _section(entry: Entry, result: Result) -> str:
    parts = [f"### {entry.name}", entry.claim, f"Against: {entry.against}."]
    if entry.engine:
        parts.append(f"*{ENGINE}*")
    if result.figures:
        rows = ["| figure | value | bound | |", "|---|---:|---|---|"]
        for one in result.figures:
            word = "told" if not one.judged else "holds" if one.holds else "**does not hold**"
            classes = f" ({' '.join(map(str, one.counts))})" if one.counts else ""
            rows.append(f"| {one.what}{classes} | {one.text} | {one.bound} | {word} |")
        parts.append("\n".join(rows))
    if entry.note:
        parts.append(entry.note)
    parts.append(_again(entry, result))
    return "\n\n".join(parts)


def _again(entry: Entry, result: Result) -> str:
    told = [f"Again: `{entry.command}`"]
    if result.figures:
        seed = "" if result.seed is None else f", seed {result.seed}"
        told[0] += f" ({result.seconds:.1f} s; found with version {result.made}{seed})"
    if entry.tests:
        told.append("step by step: `pytest " + " ".join(f"tests/{name}" for name in entry.tests) + "`")
    if result.absent:
        told.append(f"not run last time: {result.absent}")
    return "; ".join(told) + "."
