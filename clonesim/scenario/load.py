"""From a name, a TOML file or tables, with overrides, to a checked scenario; all problems are told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clonesim.errors import ParameterError, Problem, ScenarioError, nearest
from clonesim.ingest.toml_text import TomlError, read_toml, toml_of
from clonesim.scenario import rules, strategy_rules  # noqa: F401 (the second registers its rules)
from clonesim.scenario.catalog import DEFAULT_SCENARIO, presets
from clonesim.scenario.fields import Section
from clonesim.scenario.marks import TABLE, keys_of, read_marks, without
from clonesim.scenario.model import SECTIONS, Scenario, Start, ZoneShare
from clonesim.scenario.strategy import read_strategies

NESTED = {"sources", "parameters", "start", "locks"}  # tables inside tables: merged key by key
KEYS = (*SECTIONS, "strategy", TABLE)
INNER: dict[str, type[Section]] = {"start": Start, "time_zones": ZoneShare}
CHOOSING = {"guest", "workload", "platform"}  # tables whose name chooses the defaults of the others


def load_scenario(
    scenario: str | Path | Scenario | Mapping[str, Any] = DEFAULT_SCENARIO,
    *,
    set: Iterable[str] = (),  # noqa: A002 (the command line's --set)
    **overrides: Any,
) -> Scenario:
    """Scenario from a packaged name, a TOML file, tables or another scenario, checked as a whole.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping
        One of `presets`, the path of a TOML file, or the tables themselves. A file or mapping may name a packaged
        scenario under `base`, and then says only what differs.
    set : iterable of str
        Overrides as the command line takes them: "guest.disk=60 GiB". They come last.
    **overrides
        Tables whose values replace the scenario's: `guest={"disk": "60 GiB"}`, and `strategy=[...]`.

    Returns
    -------
    Scenario
        Frozen, all values in base units (bytes, seconds, shares).

    Raises
    ------
    ScenarioError
        With everything that is wrong in `problems`: unknown keys, wrong units, values out of range, combinations that
        cannot be; each with path, value, what is allowed and what works instead.

    Examples
    --------
    >>> from clonesim.scenario import load_scenario
    >>> load_scenario("windows-7-office", pool={"clones": 64}, set=["guest.disk=60 GiB"]).guest.disk
    64424509440
    """
    settings = list(set)
    if isinstance(scenario, Scenario) and not (overrides or settings):
        return scenario
    label, tables = _tables(scenario)
    problems: list[Problem] = []
    merged = _over(tables, overrides, problems)
    for item in settings:
        try:
            merged = _over(merged, read_override(item), problems)
        except ParameterError as error:
            problems.append(_problem(error))
    made, refused = _sections(merged, problems)
    problems += rules.check(made, refused)
    if problems:
        raise ScenarioError(label, sorted(problems, key=_place))
    return made


def read_override(item: str) -> dict[str, Any]:
    """Tables of one override such as "guest.disk=60 GiB"; the value is read as TOML, or else as text."""
    path, equals, value = item.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or (len(keys) < 2 and keys != ["strategy"]) or not all(keys):
        allowed = "an override is a table, a dot, a key, an equals sign and a value"
        raise ParameterError("set", item, allowed, "Write for example 'guest.disk=60 GiB'.")
    try:
        read = toml_of(f"value = {value.strip()}")
        found: Any = read["value"] if len(read) == 1 else value.strip()
    except TomlError:
        found = value.strip()
    for key in reversed(keys):
        found = {key: found}
    return dict(found)


def _tables(scenario: str | Path | Scenario | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(scenario, Scenario):
        return scenario.pool.name, {**scenario.given(), "strategy": list(scenario.strategy), TABLE: scenario.marks}
    if isinstance(scenario, Mapping):
        return "given", _on_base("given", dict(scenario))
    if isinstance(scenario, str) and scenario in presets():
        return scenario, _packaged(scenario)
    if not isinstance(scenario, (str, Path)):
        allowed = "a name, the path of a TOML file, tables or a Scenario is needed"
        raise ScenarioError("given", [Problem("scenario", scenario, allowed, f"Try {DEFAULT_SCENARIO!r}.")])
    path = Path(scenario)
    if not path.is_file():
        allowed = f"there is no such file, and packaged scenarios are {', '.join(presets())}"
        raise ScenarioError(str(scenario), [Problem("scenario", str(scenario), allowed, nearest(scenario, presets()))])
    try:
        return str(path), _on_base(str(path), read_toml(path))
    except TomlError as error:
        remedy = error.remedy or "`clonesim init` writes a scenario to start from."
        problem = Problem("file", path.name, error.problem, remedy)
        raise ScenarioError(str(path), [problem]) from None


def _packaged(name: str) -> dict[str, Any]:
    text = resources.files("clonesim.scenario").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    return toml_of(text)


def _on_base(label: str, tables: dict[str, Any]) -> dict[str, Any]:
    if "base" not in tables:
        return tables
    base = tables.pop("base")
    if base not in presets():
        allowed = f"packaged scenarios are {', '.join(presets())}"
        raise ScenarioError(label, [Problem("base", base, allowed, nearest(base, presets()))])
    return merged(_packaged(base), tables, [])


def _over(tables: Mapping[str, Any], over: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Tables with overrides; a value that is replaced is no longer what its mark says."""
    found = merged(tables, over, problems)
    if TABLE in over:
        found[TABLE] = over[TABLE]
    elif isinstance(tables.get(TABLE), Mapping):
        try:
            found[TABLE] = without(read_marks(tables[TABLE], SECTIONS), keys_of(over))
        except ParameterError as error:
            problems.append(_problem(error))
            found.pop(TABLE)
    return found


def merged(tables: Mapping[str, Any], over: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Tables with values replaced key by key; what is no table is left to be refused later."""
    found = dict(tables)
    for name, values in over.items():
        old = found.get(name)
        if isinstance(values, Section):
            values = values.given()
        if not isinstance(old, Mapping) or not isinstance(values, Mapping):
            found[name] = values
            continue
        found[name] = {**old, **values}
        for key in NESTED & old.keys() & values.keys():
            if isinstance(old[key], Mapping) and isinstance(values[key], Mapping):
                found[name][key] = merged(old[key], values[key], problems)
    return found


def _sections(tables: Mapping[str, Any], problems: list[Problem]) -> tuple[Scenario, set[str]]:
    """Scenario with defaults in place of what was refused, and the paths of that."""
    made: dict[str, Any] = {}
    refused: set[str] = set()
    for name in tables:
        if name not in KEYS:
            remedy = nearest(name, KEYS)
            problems.append(Problem(name, tables[name], f"a scenario has {', '.join(KEYS)}", remedy))
    for name, model in SECTIONS.items():
        values = tables.get(name, {})
        if isinstance(values, model):
            made[name] = values
        elif isinstance(values, Mapping):
            made[name] = section_of(model, dict(values), problems, refused)
        else:
            remedy = f"Write [{name}] and lines of key = value."
            problems.append(Problem(name, values, "a table is needed", remedy))
            made[name] = model()
            refused.add(name)
    strategy, wrong = read_strategies(tables.get("strategy", []))
    problems += wrong
    return Scenario(**made, strategy=strategy, marks=_marks(tables.get(TABLE, {}), problems)), refused


def _marks(value: Any, problems: list[Problem]) -> dict[str, str]:
    try:
        return read_marks(value, SECTIONS)
    except ParameterError as error:
        problems.append(_problem(error))
        return {}


def section_of(model: type[Section], values: dict[str, Any], problems: list[Problem], refused: set[str]) -> Section:
    """Section of a table's values; what is refused is told in `problems`, left out, and named in `refused`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        details = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        if not details:  # an error that has no cause of its own: nothing to take out and go on with
            raise
    bad = {str(detail["loc"][0]) for detail in details}
    problems += [_told(model, detail) for detail in details]
    refused |= {model.table if key == "name" and model.table in CHOOSING else f"{model.table}.{key}" for key in bad}
    return section_of(model, {key: value for key, value in values.items() if key not in bad}, problems, refused)


def _told(model: type[Section], detail: Any) -> Problem:
    """Problem of one of pydantic's error details."""
    place, cause = detail["loc"], detail.get("ctx", {}).get("error")
    path = model.table + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    if isinstance(cause, ParameterError):
        return Problem(path if len(place) > 1 else cause.name, cause.value, cause.allowed, cause.remedy)
    if detail["type"] == "extra_forbidden":
        fields = list((INNER[place[0]] if len(place) > 1 else model).model_fields)
        table = path.rpartition(".")[0]
        return Problem(path, detail["input"], f"{table} has {', '.join(fields)}", nearest(place[-1], fields))
    if detail["type"] == "model_type":
        return Problem(path, detail["input"], "a table is needed", "Write {key = value}.")
    return Problem(path, detail["input"], detail["msg"][0].lower() + detail["msg"][1:])


def _problem(error: ParameterError) -> Problem:
    return Problem(error.name, error.value, error.allowed, error.remedy)


def _place(problem: Problem) -> int:
    table = problem.path.partition(".")[0].partition("[")[0]
    return KEYS.index(table) if table in KEYS else len(KEYS)
