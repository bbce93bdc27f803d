"""From a TOML file to a checked estate; all problems are told at once, each with its place and remedy."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from clonesim.errors import EstateError, ParameterError, Problem, ScenarioError, nearest
from clonesim.files import file_name
from clonesim.ingest.toml_text import TomlError, read_toml
from clonesim.scenario.catalog import presets
from clonesim.scenario.estate import CALENDAR, GROUPED, MOST_ALIKE, Estate, EstatePool, LunGroup, Site
from clonesim.scenario.fields import Section
from clonesim.scenario.load import load_scenario, merged, read_override, section_of
from clonesim.scenario.marks import TABLE
from clonesim.scenario.model import SECTIONS, Scenario
from clonesim.scenario.months import first_month
from clonesim.scenario.people import Pool

TABLES: Final = ("estate", "sites", "lun_groups", "pools")
OF_ESTATE: Final = ("name", "days", "start", "calendar")
OF_POOL: Final = ("name", "site", "lun_group", "scenario", "clones", "count")
OVERRIDES: Final = (*SECTIONS, "strategy", TABLE)
SET_BY_ESTATE: Final = {  # keys of a pool's table `pool` that stand elsewhere
    "name": "Write it as the pool's own name.",
    "clones": "Write it as the pool's own clones.",
    "days": "All pools share the days of [estate].",
    "start": "All pools share the start of [estate].",
    "stream": "Each pool of an estate has its own stream by its name.",
    "patches_from": "The estate sets it.",
}
INIT: Final = "`clonesim init --estate` writes an estate to start from."


def is_estate(path: str | Path) -> bool:
    """Whether a path is that of a TOML file of an estate, not of a scenario; no error where it is neither."""
    if not Path(path).is_file():
        return False
    try:
        found = read_toml(path)
    except TomlError:
        return False
    return "estate" in found or isinstance(found.get("pools"), list)


def example_estate() -> str:
    """Commented TOML of a small estate, which `load_estate` reads."""
    return resources.files("clonesim.scenario").joinpath("templates", "estate.toml").read_text(encoding="utf-8")


def load_estate(path: str | Path, *, set: Iterable[str] = ()) -> Estate:  # noqa: A002 (the command line's --set)
    """Estate from a TOML file, checked as a whole.

    Parameters
    ----------
    path : str or Path
        The file: tables `estate`, `sites`, `lun_groups` and `pools`. A pool's scenario is a packaged name, or the path
        of a TOML file: a relative one starts at the estate's folder and stays in it, so that a copy of the folder is
        the whole estate; one that lies elsewhere is named by its absolute path.
    set : iterable of str
        Overrides as the command line takes them: "estate.days=7" changes the estate, all others every pool, such as
        "guest.policy=best-fit"; they come last.

    Returns
    -------
    Estate
        Frozen; `estate.pools[k].scenario` is what `simulate` takes. The first pool draws from the seed as its scenario
        does alone; each other one draws users, clones, hosts and locks of its own by its name. Patches, definitions
        and base images are drawn from the seed for all of them.

    Raises
    ------
    EstateError
        With everything that is wrong in `problems`, each with path, value, what is allowed and what works instead.
    """
    reading = _Reading(Path(path))
    try:
        tables = read_toml(path)
    except TomlError as error:
        problem = Problem("file", Path(path).name, f"it is no TOML file: {error.problem}", error.remedy or INIT)
        raise EstateError(str(path), [problem]) from None
    estate = reading.estate(tables, list(set))
    if estate is None or reading.problems:
        raise EstateError(str(path), reading.problems)
    return estate


@dataclass
class _Reading:
    """One file while it is read: what is wrong so far."""

    path: Path
    problems: list[Problem] = field(default_factory=list)

    def tell(self, path: str, value: object, allowed: str, remedy: str = "") -> None:
        self.problems.append(Problem(path, value, allowed, remedy))

    def estate(self, tables: Mapping[str, Any], settings: Sequence[str]) -> Estate | None:
        """The whole; None if something is wrong."""
        over: dict[str, Any] = {}
        head = self.table(tables.get("estate", {}), "estate")
        for item in settings:
            try:
                read = read_override(item)
            except ParameterError as error:
                self.tell(error.name, error.value, error.allowed, error.remedy)
                continue
            head = merged({"estate": head}, {"estate": read.pop("estate", {})}, self.problems)["estate"]
            over = merged(over, read, self.problems)
        self.known(tables, TABLES, "", "an estate has")
        self.known(head, OF_ESTATE, "estate", "estate has")
        shared, calendar = self.shared(head)
        sites = tuple(Site(name=one["name"]) for one in self.named(tables, "sites", ("name",)))
        if not sites:
            self.tell(
                "sites", tables.get("sites"), "an estate has one site or more", 'Write [[sites]] and name = "...".'
            )
        groups = {one["name"]: self.group(one) for one in self.named(tables, "lun_groups", ("name", *GROUPED))}
        pools = list(self.pools(tables, [one.name for one in sites], groups, (shared, calendar, over)))
        if self.problems:
            return None
        return Estate(
            name=str(head.get("name", self.path.stem)),
            days=pools[0].scenario.pool.days,
            start=pools[0].scenario.pool.start,
            calendar=dict(head.get("calendar", {})),
            sites=sites,
            lun_groups=tuple(groups.values()),
            pools=tuple(_of_kinds(_same_months(pools))),
        )

    def shared(self, head: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values of all pools: the table `pool`, and tables of the calendar."""
        given = {"name": head.get("name", "estate")} | {key: head[key] for key in ("days", "start") if key in head}
        section = self.checked(Pool, given, "estate")
        calendar = self.table(head.get("calendar", {}), "estate.calendar")
        self.known(calendar, CALENDAR, "estate.calendar", "a calendar has")
        rest = {key: value for key, value in calendar.items() if key != "holidays" and key in CALENDAR}
        found = {
            "storms": self.checked(SECTIONS["storms"], rest, "estate.calendar"),
            "users": self.checked(
                SECTIONS["users"], {k: v for k, v in calendar.items() if k == "holidays"}, "estate.calendar"
            ),
        }
        days = {"days": Pool().days, "start": Pool().start} | section
        days.pop("name", None)
        return days, {name: values for name, values in found.items() if values}

    def group(self, one: Mapping[str, Any]) -> LunGroup:
        """A LUN group with its tables, each value checked by itself."""
        made = {
            name: self.checked(
                SECTIONS[name], self.table(one.get(name, {}), f"{one['_']}.{name}"), f"{one['_']}.{name}"
            )
            for name in GROUPED
        }
        return LunGroup(name=one["name"], **made)

    def pools(
        self,
        tables: Mapping[str, Any],
        sites: Sequence[str],
        groups: Mapping[str, LunGroup],
        shared: tuple[dict[str, Any], dict[str, Any], dict[str, Any]],
    ) -> Iterator[EstatePool]:
        """Pools in the order of the file; what is wrong with one is told, and the pool left out."""
        entries = self.named(tables, "pools", (*OF_POOL, *OVERRIDES))
        if not entries and "pools" not in tables:
            self.tell("pools", None, "an estate has one pool or more", INIT)
        seen: dict[str, str] = {}
        for one in entries:
            place = one["_"]
            for key, known in (("site", sites), ("lun_group", list(groups))):
                if one.get(key) not in known and (key == "site" or key in one):
                    allowed = f"allowed are {', '.join(map(repr, known)) or 'none: the file has no such table'}"
                    self.tell(f"{place}.{key}", one.get(key), allowed, nearest(one.get(key), known))
            source = self.source(one)
            names = list(self.names(one))
            for name in names:
                first = seen.setdefault(name.casefold(), place)
                if first != place:
                    allowed = f"{name!r} is the name of a pool of {first}, and names are those of folders"
                    self.tell(f"{place}.name", one["name"], allowed, "Choose another name.")
            own = {key: value for key, value in one.items() if key in OVERRIDES}
            for key, why in SET_BY_ESTATE.items():
                if isinstance(own.get("pool"), Mapping) and key in own["pool"]:
                    self.tell(f"{place}.pool.{key}", own["pool"][key], "it is not set there", why)
            if source is None:
                continue
            days, calendar, over = shared
            group = groups.get(one.get("lun_group", ""))
            given = merged(merged(calendar, group.tables() if group else {}, []), own, [])
            given = merged(given, {"pool": days | ({"clones": one["clones"]} if "clones" in one else {})}, [])
            given = merged(given, over, [])
            made = self.scenario(source, given, place)
            where = {"site": str(one.get("site")), "lun_group": str(one.get("lun_group", ""))}
            if made is None:
                continue
            for name in names:
                stream = {} if name.casefold() == next(iter(seen)) else {"stream": name}
                mine = made.model_copy(update={"pool": made.pool.model_copy(update={"name": name, **stream})})
                yield EstatePool(name=name, **where, source=str(one["scenario"]), scenario=mine, kind=name)

    def names(self, one: Mapping[str, Any]) -> Iterator[str]:
        """Names of the pools that a table stands for."""
        count, place = one.get("count", 1), one["_"]
        if type(count) is not int or not 1 <= count <= MOST_ALIKE:
            self.tell(
                f"{place}.count", count, f"a whole number from 1 to {MOST_ALIKE} is needed", "Leave it out for 1."
            )
            count = 1
        for k in range(1, count + 1):
            name = one["name"] if count == 1 else f"{one['name']}-{k}"
            try:
                yield file_name(name, f"{place}.name")
            except ParameterError as error:
                self.tell(error.name, error.value, error.allowed, error.remedy)
                return

    def source(self, one: Mapping[str, Any]) -> str | Path | None:
        """What a pool's scenario is loaded from; None if that cannot be."""
        given, place = one.get("scenario"), f"{one['_']}.scenario"
        if not isinstance(given, str):
            allowed = "the name of a packaged scenario or the path of a TOML file is needed"
            self.tell(place, given, allowed, f"Packaged are {', '.join(presets())}.")
            return None
        if given in presets():
            return given
        path, folder = Path(given), self.path.resolve().parent
        if not path.is_absolute():
            path = (folder / path).resolve()
            if not path.is_relative_to(folder):
                allowed = "a relative path starts at the estate's folder and stays in it, so that a copy of it is whole"
                self.tell(place, given, allowed, "Put the file into that folder, or write its absolute path.")
                return None
        if not path.is_file():
            allowed = f"there is no such file, and packaged scenarios are {', '.join(presets())}"
            self.tell(place, given, allowed, nearest(given, presets()))
            return None
        return path

    def scenario(self, source: str | Path, tables: Mapping[str, Any], place: str) -> Scenario | None:
        """A pool's scenario; its problems are told with the pool's place."""
        try:
            return load_scenario(source, **tables)
        except ScenarioError as error:
            self.problems += [
                Problem(f"{place}: {one.path}", one.value, one.allowed, one.remedy) for one in error.problems
            ]
            return None

    def named(self, tables: Mapping[str, Any], key: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Tables of a list that have a name, each with its place under "_"; names are told apart."""
        value = tables.get(key, [])
        if not isinstance(value, list):
            self.tell(key, value, "a list of tables is needed", f"Write [[{key}]] and lines of key = value.")
            return []
        found: list[dict[str, Any]] = []
        for k, one in enumerate(value):
            place = f"{key}[{k}]"
            if not isinstance(one, Mapping):
                self.tell(place, one, "a table is needed", f"Write [[{key}]] and lines of key = value.")
                continue
            self.known(one, keys, place, f"{key} have")
            name = one.get("name")
            if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 64:
                self.tell(f"{place}.name", name, "a name of 1 to 64 printable characters is needed")
            elif key != "pools" and name in [other["name"] for other in found]:
                self.tell(f"{place}.name", name, "another one has this name", "Choose another name.")
            else:
                found.append({**one, "_": place})
        return found

    def checked(self, model: type[Section], values: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Values of a table that are allowed, in base units; the others are told with their place."""
        wrong: list[Problem] = []
        section = section_of(model, dict(values), wrong, set())
        for one in wrong:
            path = place + one.path.removeprefix(model.table)
            self.tell(path, one.value, one.allowed, one.remedy)
        return section.given()

    def table(self, value: Any, place: str) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return dict(value)
        self.tell(place, value, "a table is needed", f"Write [{place}] and lines of key = value.")
        return {}

    def known(self, values: Mapping[str, Any], keys: Sequence[str], place: str, has: str) -> None:
        """Tell keys that there are none of."""
        for key in values:
            if key not in keys and key != "_":
                path = f"{place}.{key}" if place else key
                self.tell(path, values[key], f"{has} {', '.join(keys)}", nearest(key, keys))


def _same_months(pools: Sequence[EstatePool]) -> list[EstatePool]:
    """Pools that agree on each month's patches although they install them with other delays."""
    storms = [pool.scenario.storms for pool in pools]
    first = [
        0 if one.patch_day == "never" else first_month(one.patch_day, one.patch_delay, pool.scenario.pool.start)
        for one, pool in zip(storms, pools, strict=True)
    ]
    earliest = min((month for month in first if month), default=0)
    found = []
    for pool, month in zip(pools, first, strict=True):
        scenario = pool.scenario
        if month > earliest:
            since = dt.date((earliest - 1) // 12, (earliest - 1) % 12 + 1, 1)
            scenario = load_scenario(scenario, pool={"patches_from": since})
        found.append(pool.model_copy(update={"scenario": scenario}))
    return found


def _of_kinds(pools: Iterable[EstatePool]) -> Iterator[EstatePool]:
    """Pools with the name of the first one that is like them."""
    kinds: dict[str, str] = {}
    for pool in pools:
        tables = pool.scenario.to_dict()
        tables["pool"] = {key: value for key, value in tables["pool"].items() if key not in ("name", "stream")}
        kind = kinds.setdefault(json.dumps(tables, sort_keys=True), pool.name)
        yield pool.model_copy(update={"kind": kind})
