"""Check the pinned versions, without a network: constraints.txt against pyproject.toml and what is installed.

Each pin is exact and stands once, all that the project and its extras need is pinned, pins satisfy the bounds of
pyproject.toml and of each other, what is installed is what is pinned, and each package names a licence that is known
here. What only the network knows (yanked releases, known holes) this cannot tell: see docs/security.md for pip-audit.

    python tools/audit_pins.py              problems, if any; exit code 1
    python tools/audit_pins.py --licences   all packages with version and licence
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)")
BETAS = {"sphinx-basic-ng"}  # has never had another release
INSTALLERS = {"pip", "setuptools", "wheel"}  # come with an environment, and are asked for in no fixed version

# How packages name their licences -> identifier of SPDX.
LICENCES = {
    "Apache-2.0": ("apache",),
    "BSD-3-Clause": ("bsd", "new bsd"),
    "MIT": ("mit", "expat"),
    "MPL-2.0": ("mpl", "mozilla"),
    "PSF-2.0": ("python software foundation", "psf"),
    "ISC": ("isc",),
    "LGPL": ("lgpl", "lesser general public"),
    "GPL": ("gpl", "general public"),
    "Unlicense": ("unlicense",),
    "Zlib": ("zlib",),
    "HPND": ("hpnd", "historical permission"),
    "CC0-1.0": ("cc0",),
}
COPYLEFT = {"GPL"}  # may not come with the program itself; tests and tools may use them
TOLD_ELSEWHERE: dict[str, str] = {
    "ciw": "MIT (its LICENSE.txt)"
}  # packages whose metadata names no licence -> where it was found


@dataclass
class Audit:
    """What was found.

    Attributes
    ----------
    problems : list of str
        What must be mended.
    licences : dict of str to str
        By package.
    unseen : list of str
        Pinned packages that are not installed here, such as those of another system.
    """

    problems: list[str] = field(default_factory=list)
    licences: dict[str, str] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)


def read_pins(text: str, problems: list[str]) -> dict[str, Version]:
    """Version of each pinned package."""
    found: dict[str, Version] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        hit = PIN.fullmatch(line)
        if hit is None:
            problems.append(f"constraints.txt, line {number}: {line!r} is no pin; write name==version")
            continue
        name = canonicalize_name(hit[1])
        if name in found:
            problems.append(f"constraints.txt, line {number}: {name} is pinned twice")
        try:
            found[name] = Version(hit[2])
        except InvalidVersion:
            problems.append(f"constraints.txt, line {number}: {hit[2]!r} is no version")
            continue
        if found[name].is_prerelease and name not in BETAS:
            problems.append(f"constraints.txt, line {number}: {name} {found[name]} is no final release")
    return found


def asked(project: Mapping[str, object]) -> Iterator[tuple[str, Requirement]]:
    """What pyproject.toml asks for: where it stands, and the requirement."""
    table: dict = project["project"]  # type: ignore[type-arg,assignment]
    own = canonicalize_name(table["name"])
    groups = {"dependencies": table["dependencies"]} | table.get("optional-dependencies", {})
    groups["build-system"] = project.get("build-system", {}).get("requires", [])  # type: ignore[attr-defined]
    for where, lines in groups.items():
        for line in lines:
            one = Requirement(line)
            if canonicalize_name(one.name) != own:  # an extra that takes in another one
                yield where, one


def installed() -> dict[str, Distribution]:
    """Packages of this environment by name."""
    return {canonicalize_name(one.metadata["Name"]): one for one in distributions() if one.metadata["Name"]}


def needed(first: Iterable[Requirement], here: Mapping[str, Distribution]) -> dict[str, list[tuple[str, Requirement]]]:
    """All that is needed in turn on this system, with who asks for it; what is not installed is not followed."""
    found: dict[str, list[tuple[str, Requirement]]] = {}
    waiting = [("pyproject.toml", one) for one in first]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        by, one = waiting.pop()
        name = canonicalize_name(one.name)
        found.setdefault(name, []).append((by, one))
        if name not in here or (name, frozenset(one.extras)) in done:
            continue
        done.add((name, frozenset(one.extras)))
        for line in here[name].requires or []:
            more = Requirement(line)
            extras = one.extras or {""}
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((name, more))
    return found


def licence(one: Distribution) -> str:
    """Licence of a package as SPDX names it, or as it names it itself, or as its licence's file begins; or empty."""
    if expression := one.metadata.get("License-Expression"):
        return str(expression)
    told = [
        line.rpartition("::")[2].strip() for line in one.metadata.get_all("Classifier") or [] if "License ::" in line
    ]
    told += [(one.metadata.get("License") or "").strip().split("\n")[0][:80]]
    files = [one.read_text(f"licenses/{name}") or "" for name in one.metadata.get_all("License-File") or []]
    for text in [*told, *(text[:200] for text in files)]:
        for name, words in LICENCES.items():
            if any(re.search(rf"\b{re.escape(word)}", text.lower()) for word in words):
                return name
    return next((text for text in told if text and text != "OSI Approved"), "")


def audit(project: Mapping[str, object], constraints: str, here: Mapping[str, Distribution]) -> Audit:
    """Check pins.

    Parameters
    ----------
    project : mapping
        Content of pyproject.toml.
    constraints : str
        Text of constraints.txt.
    here : mapping of str to Distribution
        What is installed.
    """
    found = Audit()
    pins = read_pins(constraints, found.problems)
    first = list(asked(project))
    for where, one in first:
        name = canonicalize_name(one.name)
        if name in pins and not one.specifier.contains(pins[name], prereleases=True):
            found.problems.append(f"{name} {pins[name]} is not what pyproject.toml asks for in {where}: {one}")
    every = needed((one for _, one in first), here)
    shipped = needed((one for where, one in first if where == "dependencies"), here)
    for name, wishes in sorted(every.items()):
        if name not in pins and name not in INSTALLERS:
            by = ", ".join(sorted({by for by, _ in wishes}))
            found.problems.append(f"{name} is not pinned; needed by {by}")
            continue
        for by, wish in wishes:
            if name in pins and not wish.specifier.contains(pins[name], prereleases=True):
                found.problems.append(f"{name} {pins[name]} is not what {by} asks for: {wish}")
    for name, version in sorted(pins.items()):
        one = here.get(name)
        if one is None:
            found.unseen.append(name)
            continue
        if Version(one.version) != version:
            found.problems.append(f"{name} {one.version} is installed, {version} is pinned")
        found.licences[name] = told = licence(one) or TOLD_ELSEWHERE.get(name, "")
        if not told:
            found.problems.append(f"{name} {version} names no licence: look it up, and note it in TOLD_ELSEWHERE")
        elif name in shipped and any(re.search(rf"\b{kind}", told) for kind in COPYLEFT):
            found.problems.append(f"{name} {version} has the licence {told}, and comes with the program")
    found.problems = list(dict.fromkeys(found.problems))
    return found


def main(argv: list[str] | None = None) -> int:
    """Print problems or licences; 1 if there are problems."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--licences", action="store_true", help="list all packages with version and licence")
    options = parser.parse_args(argv)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    here = installed()
    found = audit(project, (ROOT / "constraints.txt").read_text(encoding="utf-8"), here)
    if options.licences:
        for name, told in found.licences.items():
            print(f"{name:32} {here[name].version:20} {told}")
    for problem in found.problems:
        print(problem, file=sys.stderr)
    seen = f"{len(found.licences)} pinned packages looked at"
    rest = f", {len(found.unseen)} are not installed here ({', '.join(found.unseen)})" if found.unseen else ""
    print(f"{seen}{rest}: {len(found.problems)} problems", file=sys.stderr)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
