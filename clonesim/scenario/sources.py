"""Settings of single write sources, as a scenario gives them: checked against the catalog's topic activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonesim.errors import ParameterError, nearest
from clonesim.scenario import catalog
from clonesim.scenario.fields import checked, truth

TOPIC = "activity"


def read_sources(value: Any) -> dict[str, dict[str, Any]]:
    """{source: {"enabled": bool, parameter: value}} with known names and values in base units.

    A source may be just true or false, for {"enabled": true or false}.
    """
    path = "workload.sources"
    if not isinstance(value, Mapping):
        raise ParameterError(path, value, "a table of sources is needed", "Write {'browser-cache' = false}.")
    known = catalog.names(TOPIC) if TOPIC in catalog.topics() else ()
    found: dict[str, dict[str, Any]] = {}
    for source, own in value.items():
        if source not in known:
            allowed = f"sources are {', '.join(known)}"
            raise ParameterError(f"{path}.{source}", own, allowed, nearest(source, known))
        found[source] = _settings(source, own, f"{path}.{source}")
    return found


def _settings(source: str, own: Any, path: str) -> dict[str, Any]:
    if isinstance(own, bool):
        return {"enabled": own}
    if not isinstance(own, Mapping):
        raise ParameterError(path, own, "true, false or a table of the source's parameters is needed")
    known = parameters_of(source)
    found: dict[str, Any] = {}
    for key, value in own.items():
        if key == "enabled":
            found[key] = truth(value, f"{path}.enabled", "")
        else:
            if key not in known:
                allowed = f"{source} has {', '.join(['enabled', *known])}"
                raise ParameterError(f"{path}.{key}", value, allowed, nearest(key, ["enabled", *known]))
            found[key] = checked(known[key], value, f"{path}.{key}")
    return found


def parameters_of(source: str) -> dict[str, catalog.Parameter]:
    """Parameters of a source that a scenario may set; those that differ by OS ("windows-7.size") by their last name."""
    found = catalog.group(TOPIC, source)
    plain = {name: parameter for name, parameter in found.items() if "." not in name and name != "os"}
    by_os = {name.rpartition(".")[2]: parameter for name, parameter in found.items() if "." in name}
    return {**by_os, **plain}
