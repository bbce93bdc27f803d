"""Write sources as a plan uses them: what the catalog says for an OS, what a scenario changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

import numpy as np

from clonesim.errors import ParameterError
from clonesim.scenario import catalog

TOPIC: Final = "activity"
METADATA: Final = "file-system metadata"
BLOCK: Final = 10  # consecutive file numbers that share a directory
CACHE_BLOCKS, FILES_BLOCKS = 48, 4  # blocks of numbers that a cache, and any other source of new files, gets at a time


@dataclass(frozen=True, slots=True)
class Machine:
    """The desktop that a plan is made for.

    Attributes
    ----------
    memory, page_file, used : int
        Configured memory, size of the page file (0: none on this disk), bytes in use in the base image. [B]
    hibernation : bool
        Whether the machine hibernates when nobody uses it.
    in_clone : bool
        Whether patches and program updates are installed in the clone (servicing "in-clone").
    discards : bool
        Whether the guest discards what it freed.
    profiles_kept : bool
        Whether a user's profile stays on the clone after logoff. If not, every logon makes a new one, and what the
        profile holds (caches as well) is deleted at logoff.
    """

    memory: int = 4 << 30
    page_file: int = 1 << 30
    used: int = 20 << 30
    hibernation: bool = False
    in_clone: bool = True
    discards: bool = True
    profiles_kept: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One write source with the values of one OS and scenario.

    Attributes
    ----------
    name : str
        As in the catalog.
    index : int
        Its number in results; 0 is the file system's own metadata.
    pattern, tag : str
        How it writes, and what.
    code : int
        Hash of its name: keeps its draws apart from those of other sources.
    first_block, blocks, period : int
        Of every `period` blocks of file numbers it owns `blocks` from `first_block` on.
    active : bool
        Whether it is enabled and this machine has it.
    texts : mapping of str to str
        Plain texts of the catalog: per, event.
    values : mapping of str to value
        Parameters in base units.
    """

    name: str
    index: int
    pattern: str
    tag: str
    code: int
    first_block: int
    blocks: int
    period: int
    active: bool
    texts: Mapping[str, str]
    values: Mapping[str, Any]

    def get(self, name: str, otherwise: float = 0.0) -> float:
        """A number; `otherwise` where the source has no such parameter."""
        return float(self.values.get(name, otherwise))

    def number(self, slot: Any, first: int) -> Any:
        """File number of a slot, or of an array of slots. Numbers of a source are its own, whatever others need."""
        block, place = slot // BLOCK, slot % BLOCK
        turn, part = block // self.blocks, block % self.blocks
        return first + (turn * self.period + self.first_block + part) * BLOCK + place


def sources_of(
    os: str, settings: Mapping[str, Mapping[str, Any]] | None = None, machine: Machine | None = None
) -> list[Source]:
    """All sources of an OS, in the order of the catalog.

    Parameters
    ----------
    os : str
        Windows version in the catalog.
    settings : mapping of str to mapping, optional
        By source: "enabled" and parameters that differ from the catalog's.
    machine : Machine, optional
        Decides which sources there are (servicing, hibernation) and the sizes of files that follow from it.

    Raises
    ------
    ParameterError
        If a source or a parameter is unknown, a value is out of range, the OS has no sources, or a source is enabled
        that the OS does not have.
    """
    machine, settings = machine or Machine(), settings or {}
    known = catalog.names(TOPIC)
    all_names = {name: catalog.group(TOPIC, name) for name in known}
    names = [name for name in known if os in all_names[name]["os"].range]
    if not names:
        systems = sorted({system for own in all_names.values() for system in own["os"].range})
        raise ParameterError("os", os, f"allowed are {', '.join(map(repr, systems))}")
    for name, own in settings.items():
        if name not in all_names:
            raise ParameterError("workload.sources", name, f"allowed are {', '.join(known)}")
        if name not in names and own.get("enabled"):
            has = ", ".join(all_names[name]["os"].range)
            raise ParameterError(f"workload.sources.{name}", True, f"{os} has no such source; {has} have it")
    defaults = {name: _defaults(all_names[name], os) for name in names}
    blocks = {name: _blocks(catalog.text(TOPIC, name, "pattern"), defaults[name]) for name in names}
    period, first, found = sum(blocks.values()), 0, []
    for index, name in enumerate(names, start=1):
        values = _set(name, defaults[name], all_names[name], settings.get(name, {}), os)
        text = {key: catalog.text(TOPIC, name, key) for key in ("per", "event", "needs", "size_from", "read_from")}
        if text["size_from"]:
            values["size"] = getattr(machine, text["size_from"])
        if text["read_from"]:
            values["read"] = getattr(machine, text["read_from"])
        active = bool(values.pop("enabled", True)) and (not text["needs"] or bool(getattr(machine, text["needs"])))
        pattern, tag = catalog.text(TOPIC, name, "pattern"), catalog.text(TOPIC, name, "tag")
        found.append(
            Source(
                name,
                index,
                pattern,
                tag,
                crc32(name.encode()),
                first,
                blocks[name],
                period,
                active,
                {"per": text["per"], "event": text["event"]},
                values,
            )
        )
        first += blocks[name]
    return found


def _defaults(parameters: Mapping[str, catalog.Parameter], os: str) -> dict[str, Any]:
    values = {name: p.default for name, p in parameters.items() if "." not in name and name != "os"}
    prefix = os + "."
    return values | {name[len(prefix) :]: p.default for name, p in parameters.items() if name.startswith(prefix)}


def _set(
    source: str, values: dict[str, Any], known: Mapping[str, catalog.Parameter], given: Mapping[str, Any], os: str
) -> dict[str, Any]:
    """Values with a scenario's own put in; one for another OS ("windows-xp.cap") is checked and left out."""
    values, own = dict(values), {}
    for key, value in given.items():
        path = f"workload.sources.{source}.{key}"
        if key == "enabled":
            if not isinstance(value, bool):
                raise ParameterError(path, value, "allowed are true and false")
            own[key] = value
            continue
        if key not in known or key == "os":
            allowed = ", ".join(sorted({name for name in known if name != "os"} | {"enabled"}))
            raise ParameterError(path, value, f"parameters of this source are {allowed}")
        for_os, _, name = key.rpartition(".")
        checked = known[key].check(value, path)
        if for_os in ("", os):
            own[name] = checked
    return values | own


def _blocks(pattern: str, values: Mapping[str, Any]) -> int:
    """Blocks of file numbers that a source gets at a time: by the catalog's values, so that a scenario moves none."""
    if "cap" in values:
        return CACHE_BLOCKS
    most = int(values.get("files", 1)) + 1
    least = FILES_BLOCKS if pattern == "files" else 1
    return int(np.clip(-(-most // BLOCK), least, 40))
