"""The page that tells how the trials went: docs/mutation.md."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from .cover import told

RULES = {
    "annotation": "type annotations, and what stands under `if TYPE_CHECKING`: they are not evaluated",
    "decorator": "decorators of kernels (`@inner`, `@entry`, `@njit(...)`) and `@overload`: they change no result",
    "intrinsic": "bodies of `@intrinsic` functions and `emit_prefetch`: they generate machine code, and plain Python "
    "does not run them; the tests of compiled kernels do",
    "prefetch": "arguments of `prefetch(...)`: a hint to the processor, which tells of speed only",
    "message": "messages of assertions",
    "same": "changes after which the program's syntax tree is the same",
    "broken": "changes that do not compile (the `*` of a signature)",
}
WANTED = 0.85
KINDS = {
    "equivalent": "changes nothing that can be observed",
    "speed": "changes how fast it is, or how much room is kept, not what comes out",
    "gap": "a test was missing",
    "open": "a test is missing",
}
HEAD = """# Mutation testing

Do the tests notice when the code is changed? A tool changes one place of `guest/`, `delta/` or `lun/` (`<` becomes
`<=`, `a + b` becomes `a >> b`, 3 becomes 4, a loop runs no times), runs the tests of that file, and notes whether
one fails: then the mutant is *killed*. A mutant that survives is a line whose meaning no test holds fast, or a
change without a meaning.

Written by `tools/mutation.py page` from `tests/mutation/results.json` and `tests/mutation/judgements.toml`.

## What was done

- **Mutants**: cosmic-ray's operators, in every file of the three packages, kernels included. Where an operator can
  be replaced by several others, or a number by both of its neighbours, one of them is drawn, so that a place counts
  once per kind of change and arithmetic does not outweigh all else. {population:,} mutants in {files} files.
- **Sample**: {size} of them, drawn by a seed, files as strata in proportion to their mutants. All would take days.
- **Trials**: each in a process of its own over a copy of the tree. Kernels run as plain Python
  (`tests/plain_kernels.py`): compiling a changed guest kernel takes two minutes. Of the tests of a file's group
  (`tests/mutation/mutation.toml`) those that reach the changed function run, the quickest first, up to {budget:g}
  processor seconds; a mutant that survives them may still be killed by a slower test of the suite, so the shares
  below are low rather than high. A test that needs more than {slack:g} s and {factor:g} times its usual processor
  time kills as well: such mutants run for ever.
- **Left out by rule**, for they cannot matter or cannot be seen in plain Python:
{rules}

## Share of mutants killed

{shares}

The interval is Clopper and Pearson's, 95 %; wanted are at least {wanted:.0%}. "As drawn" is the first trial of each
mutant, by the quick tests of that time: an unbiased estimate for all mutants then. "Now" counts the tests that were
written for survivors of this very sample, slower tests of the suite where the quick ones had not reached a line, and
is told for these mutants only. {how}

{fresh}## Survivors

{survivors}

## Lines that these tests reach

By the tests of the trials alone, in plain Python, those of at most {most:g} processor seconds each (`make
coverage` counts the lines that the whole suite reaches):

{lines}
"""


def write(root: Path, results: dict[str, Any], settings: dict[str, Any]) -> None:
    """Write docs/mutation.md."""
    file = root / "tests" / "mutation" / "judgements.toml"
    judged = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    (root / "docs" / "mutation.md").write_text(text(results, settings, judged), encoding="utf-8")


def text(results: dict[str, Any], settings: dict[str, Any], judged: dict[str, dict[str, str]]) -> str:
    """Text of the page.

    Parameters
    ----------
    results : dict
        "population", "left_out" and "mutants" with their "trials".
    settings : dict
        Of mutation.toml.
    judged : dict
        By a mutant's key: "kind" (see `KINDS`) and "why".
    """
    tried = [row for row in results["mutants"] if row["trials"]]
    ways = Counter(row["trials"][0]["outcome"] for row in tried)
    rules = "\n".join(
        f"  - {RULES[rule]}: {count:,} places" for rule, count in results["left_out"].items() if count and rule in RULES
    )
    how = (
        f"Of the {len(tried)} mutants {ways['killed']} were killed by a failing test, {ways['time']} by the time they "
        f"took, and {ways['survived']} survived their first trial."
    )
    return HEAD.format(
        population=sum(results["population"].values()),
        files=len(results["population"]),
        size=len(tried),
        wanted=WANTED,
        budget=settings["budget"],
        slack=settings["slack"],
        factor=settings["factor"],
        rules=rules,
        shares=_shares(results, settings, tried, judged),
        fresh=_fresh(results.get("fresh")),
        how=how,
        survivors=_survivors(tried, judged),
        most=settings["most"],
        lines=told(results["lines"]) if "lines" in results else "Not measured.",
    )


def killed(row: dict[str, Any], trial: int) -> bool:
    """Whether a mutant's first (0) or last (-1) trial killed it."""
    return bool(row["trials"][trial]["outcome"] != "survived")


def share(hits: int, size: int) -> str:
    """Share with its interval, in per cent."""
    if not size:
        return "-"
    interval = binomtest(hits, size).proportion_ci(0.95, "exact")
    return f"{hits / size:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _shares(
    results: dict[str, Any], settings: dict[str, Any], tried: list[dict[str, Any]], judged: dict[str, dict[str, str]]
) -> str:
    lines = [
        "| package | mutants | tried | killed, as drawn | killed now | now, without those that change nothing |",
        "| --- | ---: | ---: | --- | --- | --- |",
    ]
    for package in [*settings["packages"], ""]:
        own = [row for row in tried if row["path"].startswith(package)]
        if not own:
            continue
        counted = [row for row in own if judged.get(row["key"], {}).get("kind") not in {"equivalent", "speed"}]
        population = sum(n for path, n in results["population"].items() if path.startswith(package))
        cells = [
            f"`{package.removeprefix('clonesim/')}/`" if package else "all",
            f"{population:,}",
            str(len(own)),
            share(sum(killed(row, 0) for row in own), len(own)),
            share(sum(killed(row, -1) for row in own), len(own)),
            share(sum(killed(row, -1) for row in counted), len(counted)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _fresh(found: dict[str, Any] | None) -> str:
    """What a second sample told, drawn by another seed when the tests for the first one stood."""
    if not found:
        return ""
    same = found["tried"] - sum(row["kind"] in {"equivalent", "speed"} for row in found["survivors"])
    rows = "\n".join(f"| {row['key']} | {row['place']} | {row['kind']} | {row['why']} |" for row in found["survivors"])
    every, rest = share(found["killed"], found["tried"]), share(found["killed"], same)
    return f"""## A second sample

Drawn by another seed (the first {found["tried"]} of it tried) when those tests stood, so that none was written for
it: killed {every}, without those that change nothing {rest}. This is the estimate for
all mutants by the tests of today. Its survivors, for some of which there are tests now:

| mutant | place | kind | judgement |
| --- | --- | --- | --- |
{rows}

"""


def _code(line: str) -> str:
    return "`` " + line.replace("|", "\\|") + " ``"


def _survivors(tried: list[dict[str, Any]], judged: dict[str, dict[str, str]]) -> str:
    lived = [row for row in tried if not killed(row, 0)]
    parts: list[str] = []
    for kind, meaning in [*KINDS.items(), ("", "not judged yet")]:
        rows = [row for row in lived if judged.get(row["key"], {}).get("kind", "") == kind]
        if not rows:
            continue
        parts += [f"### {kind.capitalize() or 'Not judged'}: {meaning} ({len(rows)})", ""]
        parts += ["| mutant | place | change | judgement | now |", "| --- | --- | --- | --- | --- |"]
        for row in sorted(rows, key=lambda row: (row["path"], row["line"])):
            place = f"{row['path'].removeprefix('clonesim/')}:{row['line']} {row['function']}"
            change = f"{_code(row['before'])} → {_code(row['after'])}"
            now = "killed" if killed(row, -1) else "lives"
            parts.append(f"| {row['key']} | {place} | {change} | {judged.get(row['key'], {}).get('why', '')} | {now} |")
        parts.append("")
    return "\n".join(parts).rstrip() or "None."
