"""constraints.txt pins all that the project and its extras need; the check that says so can fail."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from email.message import Message

import pytest
from conftest import ROOT

pytest.importorskip("packaging")
spec = importlib.util.spec_from_file_location("audit_pins", ROOT / "tools" / "audit_pins.py")
assert spec
assert spec.loader
audit_pins = importlib.util.module_from_spec(spec)
sys.modules["audit_pins"] = audit_pins
spec.loader.exec_module(audit_pins)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PINS = (ROOT / "constraints.txt").read_text("utf-8")


class Package:
    """A package as importlib.metadata shows it."""

    def __init__(self, name: str, version: str, requires: tuple[str, ...] = (), licence: str = "MIT") -> None:
        self.version, self.requires = version, list(requires)
        self.metadata = Message()
        self.metadata["Name"] = name
        self.texts: dict[str, str] = {}
        if licence:
            self.metadata["License-Expression"] = licence

    def read_text(self, name: str) -> str | None:
        return self.texts.get(name)


def audited(pins: str, *packages: Package, dependencies=("alpha>=2",), extras=None):
    project = {"project": {"name": "own", "dependencies": list(dependencies), "optional-dependencies": extras or {}}}
    here = {one.metadata["Name"]: one for one in packages}
    return audit_pins.audit(project, pins, here)


def test_every_pin_of_the_project_is_in_order() -> None:
    here = audit_pins.installed()
    found = audit_pins.audit(PROJECT, PINS, here)
    drift = [one for one in found.problems if "is installed" in one]
    if drift and len(drift) == len(found.problems):
        pytest.skip(f"this environment was not made from constraints.txt: {'; '.join(drift[:3])}")
    assert not found.problems


def test_every_extra_is_pinned() -> None:
    pins = audit_pins.read_pins(PINS, [])
    names = {audit_pins.canonicalize_name(one.name) for _, one in audit_pins.asked(PROJECT)}
    assert names <= set(pins)
    assert {"numpy", "numba", "hatchling", "ruff"} <= names


def test_pins_stand_in_order() -> None:
    lines = PINS.splitlines()
    assert lines == sorted(lines, key=lambda line: audit_pins.canonicalize_name(line.partition("==")[0]))


def test_licences_of_what_comes_with_the_program_are_free_of_copyleft() -> None:
    here = audit_pins.installed()
    first = [one for where, one in audit_pins.asked(PROJECT) if where == "dependencies"]
    shipped = audit_pins.needed(first, here)
    assert len(shipped) > 15
    told = {name: audit_pins.licence(here[name]) for name in shipped if name in here}
    assert not {name: text for name, text in told.items() if "GPL" in text or not text}


class TestTheCheckCanFail:
    ALPHA = Package("alpha", "2.5", ("beta<3", "gamma; extra == 'more'", "delta; python_version < '3'"))
    BETA = Package("beta", "2.0")

    def test_all_is_well(self) -> None:
        assert audited("alpha==2.5\nbeta==2.0  # told\n", self.ALPHA, self.BETA).problems == []

    @pytest.mark.parametrize(
        ("pins", "words"),
        [
            ("alpha>=2.5\nbeta==2.0", "line 1: 'alpha>=2.5' is no pin; write name==version"),
            ("alpha==2.*\nbeta==2.0", "is no pin"),
            ("alpha==2.5\nAlpha==2.5\nbeta==2.0", "line 2: alpha is pinned twice"),
            ("alpha==2.5rc1\nbeta==2.0", "alpha 2.5rc1 is no final release"),
            ("alpha==2.5.dev1\nbeta==2.0", "is no final release"),
            ("alpha==two\nbeta==2.0", "'two' is no version"),
            ("alpha==1.9\nbeta==2.0", "alpha 1.9 is not what pyproject.toml asks for in dependencies: alpha>=2"),
            ("alpha==2.5\nbeta==3.0", "beta 3.0 is not what alpha asks for: beta<3"),
            ("alpha==2.5", "beta is not pinned; needed by alpha"),
            ("beta==2.0", "alpha is not pinned; needed by pyproject.toml"),
            ("alpha==2.6\nbeta==2.0", "alpha 2.5 is installed, 2.6 is pinned"),
        ],
    )
    def test_mistakes(self, pins: str, words: str) -> None:
        assert any(words in one for one in audited(pins, self.ALPHA, self.BETA).problems)

    def test_extras_are_followed(self) -> None:
        found = audited("alpha==2.5\nbeta==2.0", self.ALPHA, self.BETA, extras={"x": ["alpha[more]"]})
        assert found.problems == ["gamma is not pinned; needed by alpha"]

    def test_an_extra_of_our_own_is_no_package(self) -> None:
        assert audited("alpha==2.5\nbeta==2.0", self.ALPHA, self.BETA, extras={"x": ["own[y]"], "y": []}).problems == []

    def test_licences(self) -> None:
        beta = Package("beta", "2.0", licence="")
        assert any(
            "beta 2.0 names no licence" in one for one in audited("alpha==2.5\nbeta==2.0", self.ALPHA, beta).problems
        )
        beta = Package("beta", "2.0", licence="GPL-3.0-only")
        found = audited("alpha==2.5\nbeta==2.0", self.ALPHA, beta)
        assert found.problems == ["beta 2.0 has the licence GPL-3.0-only, and comes with the program"]
        tool = audited("alpha==2.5\nbeta==2.0", self.ALPHA, beta, dependencies=(), extras={"test": ["alpha>=2"]})
        assert tool.problems == []  # it tests the program and does not come with it
        old = Package("beta", "2.0", licence="")
        old.metadata["Classifier"] = "License :: OSI Approved :: BSD License"
        assert audit_pins.licence(old) == "BSD-3-Clause"
        filed = Package("beta", "2.0", licence="")
        filed.metadata["License-File"] = "LICENSE.txt"
        assert audit_pins.licence(filed) == ""
        filed.texts["licenses/LICENSE.txt"] = "The MIT License (MIT)\n\nCopyright"
        assert audit_pins.licence(filed) == "MIT"

    def test_what_is_not_here_is_said(self) -> None:
        found = audited("alpha==2.5\nbeta==2.0\ncolorama==0.4.6", self.ALPHA, self.BETA)
        assert (found.problems, found.unseen) == ([], ["colorama"])
