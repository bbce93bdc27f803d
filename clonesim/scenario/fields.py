"""Fields of a scenario's sections: each takes default, unit and range from the catalog, and says so when it refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from clonesim.errors import ParameterError, nearest
from clonesim.scenario import catalog
from clonesim.units import format_duration, format_size, format_time_of_day, parse_duration, parse_size

SIZE_UNITS, TIME_UNITS = ("B", "B/s"), ("s",)


class Section(BaseModel):
    """One table of a scenario: frozen, no unknown keys, values in base units (bytes, seconds, shares).

    A field made by `cited` is checked against its catalog parameter; a field's default is the catalog's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    table: ClassVar[str] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _against_the_catalog(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        parameter = cls.parameter(name, info.data.get("name"))
        if parameter is None:
            return value
        return checked(parameter, value, f"{cls.table}.{name}")

    @classmethod
    def parameter(cls, field: str, name: str | None = None) -> catalog.Parameter | None:
        """Catalog parameter of a field; `name` is the section's name, where that chooses the parameter."""
        where = (cls.model_fields[field].json_schema_extra or {}) if field in cls.model_fields else {}
        if not isinstance(where, dict) or "parameter" not in where:
            return None
        topic, _, path = str(where["parameter"]).partition(":")
        if "*" in path:
            known = catalog.names(topic)
            path = path.replace("*", name if name in known else known[0])
            return catalog.group(topic, path.rpartition(".")[0]).get(path.rpartition(".")[2])
        return catalog.parameters(topic)[path]

    def given(self) -> dict[str, Any]:
        """Values that were asked for, without those that follow from the catalog."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def filled(self, **values: Any) -> Self:
        """The same section with values that follow from other sections; they do not count as given."""
        made = self.model_copy(update=values)
        for name in values:
            if name not in self.model_fields_set:
                made.__pydantic_fields_set__.discard(name)
        return made


def cited(where: str, optional: bool = False) -> Any:
    """Field whose default, unit and range stand in the catalog.

    Parameters
    ----------
    where : str
        Topic and dotted name, such as "users:session_mean"; a `*` in the name stands for the section's own name.
    optional : bool
        Leave the default None: it follows from another section.
    """
    topic, _, path = where.partition(":")
    extra: dict[str, Any] = {"parameter": where}
    if optional:
        return Field(default=None, json_schema_extra=extra)
    if "*" in path:
        return Field(default_factory=_by_name(topic, path), json_schema_extra=extra)
    return Field(default_factory=lambda: catalog.value(topic, path), json_schema_extra=extra)


def _by_name(topic: str, path: str) -> Callable[[dict[str, Any]], Any]:
    def default(data: dict[str, Any]) -> Any:
        owner, _, last = path.replace("*", data["name"]).rpartition(".")
        return catalog.group(topic, owner)[last].default

    return default


def checked(parameter: catalog.Parameter, value: Any, path: str) -> Any:
    """Value in the parameter's base unit, or a ParameterError with what is allowed and the catalog's default."""
    default, unit = parameter.default, parameter.unit
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ParameterError(
                path, value, "allowed are true and false", f"The catalog's default is {text(default)}."
            )
        return value
    if isinstance(default, str):
        return one_of(value, parameter.range, path)
    if isinstance(default, tuple):
        return some_of(value, parameter.range, path)
    if unit in SIZE_UNITS:
        number: float = value if type(value) is int else parse_size(value, path, most=2**63 - 1)
    elif unit in TIME_UNITS:
        number = float(value) if type(value) in (int, float) else parse_duration(value, path)
    elif unit == "time":
        number = seconds_of_day(value, path)
    else:
        number = _number(parameter, value, path)
    low, high = parameter.range
    if not low <= number <= high:
        whole = "whole numbers from " if isinstance(default, int) and unit == "1" else ""
        allowed = f"allowed are {whole}{text(low, unit)} to {text(high, unit)}"
        raise ParameterError(path, value, allowed, f"The catalog's default is {text(default, unit)}.")
    return number


def _number(parameter: catalog.Parameter, value: Any, path: str) -> float:
    default, (low, high), unit = parameter.default, parameter.range, parameter.unit
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        kind = "a whole number" if whole else "a number"
        allowed = f"{kind} from {text(low, unit)} to {text(high, unit)} is needed"
        raise ParameterError(path, value, allowed, f"The catalog's default is {text(default, unit)}.")
    return int(value) if whole else float(value)


def one_of(value: Any, allowed: Iterable[str], path: str) -> str:
    """The value, if it is one of the names; else a ParameterError that suggests the nearest."""
    names = [str(name) for name in allowed]
    if isinstance(value, str) and value in names:
        return value
    raise ParameterError(path, value, f"allowed are {', '.join(names)}", nearest(value, names))


def some_of(value: Any, allowed: Iterable[str], path: str) -> tuple[str, ...]:
    """Some of the names, each once and in their order, from a list or from text such as "profile+user-data"."""
    names = [str(name) for name in allowed]
    found = value.split("+") if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not found:
        told = f"a list of one or more of {', '.join(names)} is needed"
        raise ParameterError(path, value, told, f"Write for example [{names[0]!r}].")
    found = [one_of(one.strip() if isinstance(one, str) else one, names, path) for one in found]
    return tuple(name for name in names if name in found)


def seconds_of_day(value: Any, path: str) -> float:
    """Seconds since midnight of "08:30", a TOML local time, or a number of seconds. [s]"""
    if isinstance(value, dt.time):
        return value.hour * 3600.0 + value.minute * 60.0 + value.second
    if isinstance(value, str):
        try:
            return seconds_of_day(dt.time.fromisoformat(value), path)
        except ValueError:
            pass
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 86400:
        return float(value)
    raise ParameterError(path, value, "a time of day is hours and minutes", "Write for example '08:30'.")


def text(value: Any, unit: str = "1") -> str:
    """Text of a value in its unit, as a user would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return "+".join(value)
    if unit == "B":
        return format_size(int(value))
    if unit == "B/s":
        return f"{format_size(int(value))}/s"
    if unit == "s":
        return format_duration(value)
    if unit == "time":
        return format_time_of_day(value)
    plain = str(value) if isinstance(value, int) else f"{value:g}"
    return plain if unit in ("1", "name") else f"{plain} {unit}"


def day(value: Any, path: str) -> dt.date:
    """A date, from a TOML date or ISO text."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise ParameterError(path, value, "a date is year, month and day", "Write for example 2026-01-05.")


def truth(value: Any, path: str, remedy: str) -> bool:
    """The value, if it is true or false."""
    if not isinstance(value, bool):
        raise ParameterError(path, value, "allowed are true and false", remedy)
    return value
