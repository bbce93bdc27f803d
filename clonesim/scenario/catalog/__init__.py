"""The catalog of cited parameters: every value with unit, default, range, source and kind.

The values live in the TOML files beside this module, one file per topic, one table per parameter; `sources.toml` says
what the source keys stand for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from clonesim.errors import ParameterError
from clonesim.units import parse_duration, parse_size

KINDS = ("paper", "vendor", "measured", "derived", "assumed")
UNITS = (
    "B",
    "s",
    "1",
    "B/s",
    "clusters",
    "grains",
    "name",
    "1/s",
    "1/h",
    "1/d",
    "h",
    "d",
    "time",
    "MHz",
    "years",
    "h/month",
    "currency",
    "currency/GiB",
    "currency/GB",
    "currency/h",
    "currency/month",
)
DEFAULT_SCENARIO = "windows-11-office"
FIELDS = ("default", "unit", "range", "source", "kind")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One cited value.

    Attributes
    ----------
    name : str
        Dotted path in its topic, such as "vmfs-sparse.increment".
    default : object
        The value in the base unit: bytes, seconds, a number, a name or True/False; a tuple of names.
    unit : str
        One of `UNITS`.
    range : tuple
        Lowest and highest value of a number; the allowed values of a name or names, or of a truth value.
    source : str
        Key in sources.toml.
    kind : str
        One of `KINDS`. "assumed" means nobody measured it: the note says why this value.
    note : str
        What the value rests on, or where sources disagree.
    """

    name: str
    default: Any
    unit: str
    range: tuple[Any, ...]
    source: str
    kind: str
    note: str

    def check(self, value: Any, name: str | None = None) -> Any:
        """Value in the base unit, or a ParameterError that tells the allowed range."""
        name = name or self.name
        parsed = _base_unit(value, self.unit, name)
        if isinstance(self.default, (str, bool)):
            if type(parsed) is not type(self.default) or parsed not in self.range:
                raise ParameterError(name, value, f"allowed are {', '.join(map(repr, self.range))}")
            return parsed
        if isinstance(parsed, bool) or not isinstance(parsed, (int, float)):
            raise ParameterError(name, value, f"a number from {self.range[0]} to {self.range[1]} {self.unit} is needed")
        if not self.range[0] <= parsed <= self.range[1]:
            allowed = f"allowed are {self.range[0]} to {self.range[1]} {self.unit}"
            raise ParameterError(name, value, allowed, f"The catalog's default is {self.default}.")
        return parsed


def _base_unit(value: Any, unit: str, name: str) -> Any:
    if unit in ("B", "B/s"):
        return parse_size(value, name)
    if unit == "s" and isinstance(value, str):
        return parse_duration(value, name)
    if unit == "time" and isinstance(value, str):  # "08:30", in seconds since midnight
        hours, minutes = value.split(":")
        return float(int(hours) * 3600 + int(minutes) * 60)
    return value


@cache
def _tables(topic: str) -> dict[str, Any]:
    text = resources.files(__name__).joinpath(f"{topic}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def sources() -> dict[str, dict[str, str]]:
    """Every source that a parameter may name: key -> title, where, year and so on."""
    return _tables("sources")


def topics() -> tuple[str, ...]:
    """Names of the catalog's topics, in alphabetical order."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".toml") for n in files if n.endswith(".toml") and n != "sources.toml"))


def presets() -> tuple[str, ...]:
    """Names of the packaged scenarios; the default comes first."""
    files = (entry.name for entry in resources.files("clonesim.scenario").joinpath("presets").iterdir())
    found = sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT_SCENARIO))


@cache
def parameters(topic: str) -> Mapping[str, Parameter]:
    """All parameters of a topic, by dotted name."""
    found: dict[str, Parameter] = {}

    def walk(table: dict[str, Any], path: str) -> None:
        for key, entry in table.items():
            name = f"{path}.{key}" if path else key
            if not isinstance(entry, dict):
                continue  # a plain text such as `title`, which is no parameter
            if "default" in entry:
                found[name] = _parameter(name, entry)
            else:
                walk(entry, name)

    walk(_tables(topic), "")
    return found


def _parameter(name: str, entry: dict[str, Any]) -> Parameter:
    missing = [field for field in FIELDS if field not in entry]
    if missing:
        raise ParameterError(name, entry, f"a catalog entry needs {', '.join(FIELDS)}", f"Add {', '.join(missing)}.")
    unit = entry["unit"]
    default = _base_unit(entry["default"], unit, name)
    return Parameter(
        name,
        tuple(default) if isinstance(default, list) else default,
        unit,
        tuple(_base_unit(v, unit, name) for v in entry["range"]),
        entry["source"],
        entry["kind"],
        entry.get("note", ""),
    )


def value(topic: str, name: str) -> Any:
    """Default of one parameter, in its base unit."""
    return parameters(topic)[name].default


def group(topic: str, name: str) -> dict[str, Parameter]:
    """Parameters under one dotted path, by the rest of their name; those of `same_as` where it has none of its own."""
    return dict(_group(topic, name))


@cache
def _group(topic: str, name: str) -> Mapping[str, Parameter]:
    prefix = name + "."
    own = {k[len(prefix) :]: p for k, p in parameters(topic).items() if k.startswith(prefix)}
    same = text(topic, name, "same_as")
    return {**_group(topic, same), **own} if same else own


def names(topic: str) -> tuple[str, ...]:
    """Names of a topic's entries, such as its desktops, in the order of the file."""
    return tuple(key for key, entry in _tables(topic).items() if isinstance(entry, dict) and "default" not in entry)


def text(topic: str, name: str, key: str) -> str:
    """A plain text of a table, such as the title of a format; empty where there is none."""
    table = _tables(topic)
    for part in name.split("."):
        table = table.get(part, {})
    return str(table.get(key, ""))


def listed(topic: str, name: str, key: str) -> tuple[str, ...]:
    """A list of names in a table, such as the platforms that have a strategy; empty where there is none."""
    found = _tables(topic).get(name, {}).get(key, ())
    return tuple(str(one) for one in found)
