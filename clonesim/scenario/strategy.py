"""Strategies that a scenario asks for: each a name of the catalog with the parameters that were given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from clonesim.errors import ParameterError, Problem, nearest
from clonesim.ingest.toml_text import TomlError, toml_of
from clonesim.scenario import catalog
from clonesim.scenario.fields import checked, text

TOPIC = "strategies"
DAY = 86400.0
EXAMPLE = "Write 'refresh' or {name = 'refresh', when = 'logoff'}."
ENTRY = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
NOT_ASKED = {"none", "base", "nothing", "off"}

Table: TypeAlias = dict[str, Any]


class Choice(BaseModel):
    """One strategy that is asked for. Frozen; equal by name and given parameters.

    Attributes
    ----------
    name : str
        Strategy of the catalog.
    parameters : mapping
        What was given, in base units (bytes, seconds, shares) and in the order of the catalog.

    Examples
    --------
    >>> from clonesim.scenario.strategy import Choice
    >>> refresh = Choice(name="refresh", parameters={"when": "days"})
    >>> refresh.value("every") / 86400
    7.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name", mode="before")
    @classmethod
    def _known(cls, value: Any) -> str:
        return _name(value, "strategy")

    @field_validator("parameters", mode="before")
    @classmethod
    def _of_the_catalog(cls, value: Any, info: ValidationInfo) -> Table:
        if not isinstance(value, Mapping):
            raise ParameterError("strategy", value, "a table of parameters is needed", EXAMPLE)
        name = info.data.get("name")
        return dict(value) if name is None else _parameters(name, value)

    def value(self, parameter: str) -> Any:
        """Value of a parameter in its base unit: the given one, or the catalog's default."""
        known = parameters_of(self.name)
        if parameter not in known:
            raise _unknown(self.name, parameter, None)
        return self.parameters.get(parameter, known[parameter].default)

    def all(self) -> Table:
        """Every parameter with its value, given or from the catalog."""
        return {name: self.value(name) for name in parameters_of(self.name)}

    def table(self) -> Table:
        """What was asked for, as a scenario's list takes it."""
        return {"name": self.name, **self.parameters}


def parameters_of(name: str) -> dict[str, catalog.Parameter]:
    """Parameters of a strategy that a scenario may set."""
    return {key: parameter for key, parameter in catalog.group(TOPIC, name).items() if "." not in key}


def mechanism(name: str) -> str:
    """What a strategy does in the simulation: none, clone, refresh, route, tune, reclaim or array."""
    return catalog.text(TOPIC, name, "mechanism")


def platforms_of(name: str) -> tuple[str, ...]:
    """Platforms that have a strategy."""
    return catalog.listed(TOPIC, name, "platforms") or catalog.names("platforms")


def unmap_mode(choice: Choice, backing: str) -> str:
    """How the array below a thin LUN is told what was freed: auto, manual, none; empty where there is no such LUN."""
    usual = catalog.parameters(TOPIC).get(f"thin-lun.{backing}.mode")
    if usual is None:
        return ""
    mode = str(choice.value("mode"))
    return str(usual.default) if mode == "version" else mode


def in_order(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """Strategies in the order of the catalog: the order in which they are asked for means nothing."""
    order = catalog.names(TOPIC)
    return tuple(sorted(choices, key=lambda choice: order.index(choice.name)))


def read_strategies(value: Any) -> tuple[tuple[Choice, ...], list[Problem]]:
    """Strategies of a scenario's list and everything that is wrong with it; refused entries are left out.

    Parameters
    ----------
    value : list or tuple
        Of names, tables with a name and parameters, and choices.
    """
    if not isinstance(value, (list, tuple)):
        remedy = f"Write [{value!r}] for one, [] for none." if isinstance(value, str) else "Write [] for none."
        return (), [Problem("strategy", value, "a list of strategies is needed", remedy)]
    found: list[Choice] = []
    problems: list[Problem] = []
    for number, entry in enumerate(value):
        try:
            one = entry if isinstance(entry, Choice) else _choice(entry, f"strategy[{number}]", problems)
        except ParameterError as error:
            problems.append(_problem(error))
        else:
            found += [one] if one else []
    return in_order(tuple(found)), problems


def parse_strategies(alternatives: str) -> tuple[tuple[str, list[Table]], ...]:
    """Alternatives to compare, from the text of a command line.

    Parameters
    ----------
    alternatives : str
        Alternatives with commas between them, each one strategy or several composed by +; parameters stand in
        parentheses with ; between them: "linked-clone, refresh(when=days; every=7 d)+persistent-disk".

    Returns
    -------
    tuple of (str, list of dict)
        Of each alternative a label, and the list that a scenario's `strategy` takes.

    Raises
    ------
    ParameterError
        If the text cannot be read, names an unknown strategy or parameter, or says the same twice.
    """
    found: dict[str, list[Table]] = {}
    for part in _split(alternatives, ",", alternatives):
        entries = [_entry(one, alternatives) for one in _split(part, "+", alternatives)]
        _, problems = read_strategies(entries)
        for problem in problems:
            path = "strategies" if problem.path.startswith("strategy[") else problem.path
            raise ParameterError(path, problem.value, problem.allowed, problem.remedy)
        label = "+".join(_label(entry) for entry in entries)
        if label in found:
            raise ParameterError("strategies", label, "each alternative is compared once", "Drop one.")
        found[label] = entries
    return tuple(found.items())


def _split(whole: str, mark: str, asked: str) -> Iterator[str]:
    """Parts of a text at a mark that stands outside of parentheses, none of them empty."""
    parts, depth = [""], 0
    for letter in whole:
        depth += (letter == "(") - (letter == ")")
        if depth not in (0, 1):
            break
        if letter == mark and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        remedy = "Write for example 'refresh(when=logoff)'."
        raise ParameterError("strategies", asked, "each ( has its ), and none stands inside another", remedy)
    if not all(part.strip() for part in parts):
        allowed = "strategies are names with , between alternatives and + between those of one"
        raise ParameterError("strategies", asked, allowed, "Write for example 'linked-clone, refresh+persistent-disk'.")
    yield from parts


def _entry(part: str, asked: str) -> Table:
    hit = ENTRY.fullmatch(part)
    if hit is None:
        allowed = "a strategy is a name, and its parameters in parentheses"
        raise ParameterError("strategies", part.strip(), allowed, "Write for example 'refresh(when=days; every=7 d)'.")
    found: Table = {"name": hit[1]}
    for given in re.split("[;,]", hit[2]) if hit[2] is not None else ():
        key, equals, value = (one.strip() for one in given.partition("="))
        if not (key and equals and value):
            allowed = "parameters are key=value with ; between them"
            remedy = "Write for example 'refresh(when=days; every=7 d)'."
            raise ParameterError("strategies", given.strip() or asked, allowed, remedy)
        if key in found:
            raise ParameterError("strategies", part.strip(), f"{key} stands there twice", "Drop one.")
        found[key] = _toml_or_text(value)
    return found


def _toml_or_text(value: str) -> Any:
    try:
        read = toml_of(f"value = {value}")
    except TomlError:
        return value
    return read["value"] if len(read) == 1 else value


def _label(table: Table) -> str:
    known = parameters_of(table["name"])
    given = _parameters(table["name"], {key: value for key, value in table.items() if key != "name"})
    told = "; ".join(f"{key}={text(value, known[key].unit)}" for key, value in given.items())
    return f"{table['name']}({told})" if told else table["name"]


def _choice(entry: Any, path: str, problems: list[Problem]) -> Choice | None:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        raise ParameterError(path, entry, "a name, or a table with a name and parameters is needed", EXAMPLE)
    if "name" not in entry:
        raise ParameterError(path, dict(entry), "it has no name", EXAMPLE)
    name = _name(entry["name"], path)
    given = {key: value for key, value in entry.items() if key != "name"}
    before = len(problems)
    for key, value in given.items():
        try:
            _parameters(name, {key: value})
        except ParameterError as error:
            problems.append(_problem(error))
    return Choice(name=name, parameters=given) if len(problems) == before else None


def _name(value: Any, path: str) -> str:
    known = catalog.names(TOPIC)
    if isinstance(value, str) and value in known:
        return value
    remedy = nearest(value, known)
    if value in NOT_ASKED:
        remedy = "Write [] for none; 'linked-clone' is the base of comparisons."
    raise ParameterError(path, value, f"strategies are {', '.join(known)}", remedy)


def _parameters(name: str, given: Mapping[str, Any]) -> Table:
    """Parameters in base units and in the order of the catalog, or a ParameterError."""
    known = parameters_of(name)
    found: Table = {}
    for key, value in given.items():
        if key not in known:
            raise _unknown(name, key, value)
        found[key] = checked(known[key], value, f"strategy.{name}.{key}")
        if key == "every" and found[key] % DAY:
            raise ParameterError(f"strategy.{name}.{key}", value, "whole days are needed", "Write for example '7 d'.")
    return {key: found[key] for key in known if key in found}


def _unknown(name: str, key: str, value: Any) -> ParameterError:
    known = parameters_of(name)
    allowed = f"{name} has {', '.join(known)}" if known else f"{name} has no parameters"
    return ParameterError(f"strategy.{name}.{key}", value, allowed, nearest(key, known))


def _problem(error: ParameterError) -> Problem:
    return Problem(error.name, error.value, error.allowed, error.remedy)
