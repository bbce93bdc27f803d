"""Placement out: which clone is made on which datastore, as a table and as a PowerCLI script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from string import Formatter
from typing import Any, Final

import numpy as np
import pandas as pd

from clonesim.errors import ParameterError
from clonesim.files import write_whole
from clonesim.lun.space import hypervisor_of
from clonesim.planning.density import Density
from clonesim.planning.packaged_script import filled
from clonesim.pool.placement import deal
from clonesim.scenario.model import Scenario

COLUMNS: Final = ("name", "datastore", "host_group", "number")
NAMES: Final = "VDI-{number:04d}"
DATASTORES: Final = "LUN-{lun:03d}"
HOST_GROUPS: Final = "cluster-{group:02d}"
BASE_IMAGE: Final = "base-image"
SNAPSHOT: Final = "clonesim"
LONGEST_NAME: Final = 15  # NetBIOS names, and Horizon's machine names (Horizon 2209, "Using a naming pattern")
LONGEST_OBJECT: Final = 80  # names of vSphere's datastores, clusters, virtual machines; seen on vSphere 6.7
MOST: Final = 100_000
SCRIPT: Final = "linked_clones.ps1"

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_UNSAFE = re.compile(r"[*?\[\]`%/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_QUOTES = re.compile(r"['\u2018\u2019\u201a\u201b]")  # all of them end a text in PowerShell
_FORMULA = ("=", "+", "-", "@")
_SPEC = re.compile(r"(?:0[1-9]d|d)?")


def assignments(
    scenario: Scenario,
    clones_per_lun: int | Density | None = None,
    names: str = NAMES,
    *,
    datastores: str | Sequence[str] = DATASTORES,
    host_groups: int | Sequence[str] = 1,
    first: int = 1,
) -> pd.DataFrame:
    """Datastore, host group and name of every clone of a pool: a fixed number per datastore, in name order.

    The first `clones_per_lun` names are on the first datastore, the next on the second, and so on; the last datastore
    has what is left. Datastores are dealt to host groups the same way, as evenly as whole datastores allow.

    Parameters
    ----------
    scenario : Scenario
        Its `pool.clones` are named and placed.
    clones_per_lun : int or Density, optional
        Clones per datastore, or the plan whose largest number is taken; the scenario's by default. [1]
    names : str, default "VDI-{number:04d}"
        Template of the clones' names. They are names of computers: at most 15 letters, digits and hyphens.
    datastores : str or sequence of str, default "LUN-{lun:03d}"
        Template of the datastores' names, numbered from 1, or the names themselves; those not needed stay empty.
    host_groups : int or sequence of str, default 1
        Groups of hosts (in vSphere: clusters) that share no datastore with each other: how many, then named
        cluster-01, cluster-02 and so on, or their names.
    first : int, default 1
        Number of the first clone. [1]

    Returns
    -------
    DataFrame
        A row per clone in name order: `name`, `datastore`, `host_group`, `number`.

    Raises
    ------
    ParameterError
        If a template or name cannot be, names repeat or do not sort by number, or the clones do not fit.

    Examples
    --------
    >>> from clonesim import load_scenario
    >>> frame = assignments(load_scenario("windows-11-office", pool={"clones": 100}), 64)
    >>> frame["name"].iloc[64], frame["datastore"].iloc[64]
    ('VDI-0065', 'LUN-002')
    """
    clones, each = scenario.pool.clones, _each(scenario, clones_per_lun)
    if clones > MOST:
        raise ParameterError("pool.clones", clones, f"at most {MOST} names are written", "Write parts of the pool.")
    if type(first) is not int or first < 0:
        raise ParameterError("first", first, "a whole number from 0 up is needed")
    numbers = range(first, first + clones)
    found = _filled("names", names, "number", numbers, _check_name)
    luns = -(-clones // each)
    stores = _datastores(datastores, luns, clones, each)
    groups = _host_groups(host_groups, luns, scenario.hosts.count)
    lun = deal(clones, luns, "per-lun", clones_per_lun=each)
    group = lun.astype(np.int64) * len(groups) // luns
    table = {
        "name": found,
        "datastore": [stores[k] for k in lun.tolist()],
        "host_group": [groups[k] for k in group.tolist()],
        "number": np.array(numbers, np.int64),
    }
    frame = pd.DataFrame(table, columns=list(COLUMNS))
    frame.attrs |= {
        "caption": f"{clones} clones, {each} per datastore, on {luns} datastores of {len(groups)} host groups.",
        "base_image": BASE_IMAGE if scenario.luns.replica_lun else f"{BASE_IMAGE}-{{datastore}}",
        "hypervisor": hypervisor_of(scenario.platform.name, scenario.luns.backing),
    }
    check_assignments(frame)
    return frame


def emit_csv(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write assignments as a table: UTF-8, one line of names of columns, one line per clone.

    Parameters
    ----------
    frame : DataFrame
        As `assignments` makes it, checked once more.
    path : str or Path
        File; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        If an assignment cannot be.
    WriteError
        If the file cannot be written.
    """
    check_assignments(frame)
    return _written(Path(path), frame[list(COLUMNS)].to_csv(index=False, lineterminator="\n"), "utf-8")


def emit_powercli(
    frame: pd.DataFrame, path: str | Path, *, base_image: str | None = None, snapshot: str = SNAPSHOT
) -> Path:
    """Write a PowerCLI script that creates the linked clones, N per datastore, in name order.

    The script has parameters at its top, looks everything up before it creates anything, leaves clones alone that
    exist, takes -WhatIf, and holds no credentials: it uses the session that Connect-VIServer opened.

    Parameters
    ----------
    frame : DataFrame
        As `assignments` makes it, checked once more.
    path : str or Path
        File; replaced if it exists. UTF-8 with a byte order mark, which Windows PowerShell 5.1 needs.
    base_image : str, optional
        Virtual machine to clone; `{datastore}` in it stands for the clone's datastore. By default "base-image" where
        the scenario has one base image on a datastore of its own, and "base-image-{datastore}" where it has one on
        each.
    snapshot : str, default "clonesim"
        Snapshot of the base image that clones start from.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        If an assignment or name cannot be, or the clones are not on vSphere.
    WriteError
        If the file cannot be written.
    """
    check_assignments(frame)
    hypervisor = frame.attrs.get("hypervisor", "vsphere")
    if hypervisor != "vsphere":
        raise ParameterError("emit", "powercli", f"PowerCLI drives vSphere, not {hypervisor}", "Write 'csv'.")
    base = frame.attrs.get("base_image", BASE_IMAGE) if base_image is None else base_image
    _check_base(base, frame["datastore"].unique().tolist())
    _check_object("snapshot", snapshot)
    path = Path(path)
    told = path.name if re.fullmatch(r"[\w.-]+", path.name, re.ASCII) else "linked_clones.ps1"
    stores = frame["datastore"].nunique()
    values = {
        "synopsis": f"Creates {len(frame)} linked clones on {stores} datastores, as clonesim placed them.",
        "example": f".\\{told} -WhatIf",
        "base image": quoted(base),
        "snapshot": quoted(snapshot),
        "plan": ",\n".join(_parts(frame)),
    }
    return _written(path, filled("", SCRIPT, values), "utf-8-sig")


def quoted(text: str) -> str:
    """Text in single quotes, as PowerShell reads it back: nothing in it is expanded, each quote is doubled."""
    return "'" + _QUOTES.sub(lambda quote: quote[0] * 2, text) + "'"


def check_assignments(frame: pd.DataFrame) -> None:
    """Refuse assignments that could not be carried out.

    Parameters
    ----------
    frame : DataFrame
        Columns `name`, `datastore`, `host_group`, `number`.

    Raises
    ------
    ParameterError
        At the first column that is missing, name that cannot be or that repeats, row out of name order, or datastore
        of two host groups.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ParameterError("assignments", list(frame.columns), f"columns {', '.join(missing)} are missing")
    if frame.empty or len(frame) > MOST:
        raise ParameterError("assignments", len(frame), f"1 to {MOST} clones are needed")
    names = frame["name"].tolist()
    for name in names:
        _check_name("names", name)
    _check_order("names", names, "number")
    numbers = frame["number"].tolist()
    if any(type(k) is not int for k in numbers) or any(a >= b for a, b in pairwise(numbers)):
        raise ParameterError("number", numbers[:10], "whole numbers in ascending order are needed")
    pairs = frame[["datastore", "host_group"]].drop_duplicates()
    for store in pairs["datastore"].tolist():
        _check_object("datastores", store)
    for group in pairs["host_group"].tolist():
        _check_object("host_groups", group)
    _check_repeats("datastores", pairs["datastore"].tolist(), "each belongs to one host group, and is written one way")
    _check_repeats("host_groups", pairs["host_group"].drop_duplicates().tolist(), "each is written one way")


def _each(scenario: Scenario, given: int | Density | None) -> int:
    if isinstance(given, Density):
        if given.largest < 1:
            remedy = "Give a number of clones, enlarge the LUNs, or relax that limit."
            allowed = f"the plan found no number of clones that keeps the limit {given.binding}"
            raise ParameterError("clones_per_lun", given.largest, allowed, remedy)
        return given.largest
    each = scenario.luns.clones_per_lun if given is None else given
    if type(each) is not int or each < 1:
        raise ParameterError("clones_per_lun", each, "a whole number from 1 up is needed, or a plan of plan_density")
    return each


def _datastores(given: str | Sequence[str], luns: int, clones: int, each: int) -> list[str]:
    if isinstance(given, str):
        return _filled("datastores", given, "lun", range(1, luns + 1), _check_object)
    stores = list(given)
    if len(stores) < luns:
        allowed = f"{clones} clones at {each} per datastore need {luns} datastores, {len(stores)} are given"
        raise ParameterError("datastores", stores[:10], allowed, "Name more, or put more clones on each.")
    for store in stores:
        _check_object("datastores", store)
    _check_repeats("datastores", stores, "each is named once")
    return stores


def _host_groups(given: int | Sequence[str], luns: int, hosts: int) -> list[str]:
    if isinstance(given, str):
        raise ParameterError("host_groups", given, "a number or a list of names is needed", f"Write [{given!r}].")
    if isinstance(given, int):
        count = given
    else:
        count = len(given)
        for group in given:
            _check_object("host_groups", group)
        _check_repeats("host_groups", given, "each is named once")
    for what, most in (("hosts", hosts), ("datastores", luns)):
        if isinstance(given, bool) or not 1 <= count <= most:
            value = given if isinstance(given, int) else list(given)[:10]
            allowed = f"1 to {most} groups are needed: the plan has {most} {what}"
            raise ParameterError("host_groups", value, allowed)
    if isinstance(given, int):
        return _filled("host_groups", HOST_GROUPS, "group", range(1, count + 1), _check_object)
    return list(given)


def _filled(
    parameter: str, template: str, field: str, numbers: Sequence[int], check: Callable[[str, Any], None]
) -> list[str]:
    """Names from a template with one number in it, in an order that is theirs, too."""
    try:
        parts = list(Formatter().parse(template)) if isinstance(template, str) else []
    except ValueError:
        parts = []
    fields = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    if len(fields) != 1 or fields[0][0] != field or fields[0][2] or not _SPEC.fullmatch(fields[0][1] or ""):
        allowed = f"a text with {{{field}:04d}} in it, once, is needed; 0 and a digit from 1 to 9 tell how wide it is"
        raise ParameterError(parameter, template, allowed, f"Write for example 'A-{{{field}:04d}}'.")
    found = [template.format(**{field: number}) for number in numbers]
    for name in found:
        check(parameter, name)
    _check_order(parameter, found, field)
    return found


def _check_order(parameter: str, names: Sequence[str], field: str) -> None:
    """Refuse names that repeat, or that sort otherwise than their numbers."""
    _check_repeats(parameter, names, "each is given once; capitals do not tell names apart")
    for name, after in pairwise(names):
        if name.casefold() > after.casefold():
            width = min(len(str(len(names))) + 1, 9)
            remedy = f"Give the number a fixed width, such as {{{field}:0{width}d}}."
            raise ParameterError(parameter, after, f"it sorts before {name!r}, whose number is lower", remedy)


def _check_repeats(parameter: str, names: Sequence[str], allowed: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise ParameterError(parameter, name, f"it is there twice: {allowed}", "Choose another name.")
        seen.add(name.casefold())


def _check_name(parameter: str, name: Any) -> None:
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        allowed = (
            f"a computer's name has 1 to {LONGEST_NAME} letters A to Z, digits and hyphens, at least one letter, and "
            "neither begins nor ends with a hyphen"
        )
        raise ParameterError(parameter, name, allowed, f"Write for example {NAMES!r}.")


def _check_object(parameter: str, name: Any) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_OBJECT or name != name.strip():
        allowed = f"a name has 1 to {LONGEST_OBJECT} characters, and no space at its ends"
        raise ParameterError(parameter, name, allowed)
    bad = _UNSAFE.search(name)
    if bad:
        allowed = (
            f"{bad[0]!r} is refused: vSphere writes % / \\ otherwise, PowerCLI takes * ? [ ] ` for a pattern, and "
            "control characters break lines"
        )
        raise ParameterError(parameter, name, allowed, "Rename it.")
    if name.startswith(_FORMULA):
        allowed = f"a name that begins with {name[0]!r} becomes a formula in a spreadsheet"
        raise ParameterError(parameter, name, allowed, "Rename it.")


def _check_base(base: Any, stores: Sequence[str]) -> None:
    _check_object("base_image", base)
    for store in stores:
        _check_object("base_image", base.replace("{datastore}", store))
    if re.search(r"[{}]", base.replace("{datastore}", "")):
        raise ParameterError("base_image", base, "{datastore} is the only thing that braces may hold")


def _parts(frame: pd.DataFrame) -> Iterator[str]:
    """Rows of the script's plan: clones that follow each other on one datastore."""
    rows = frame[["datastore", "host_group", "name"]].itertuples(index=False, name=None)
    for (store, group), part in groupby(rows, key=lambda row: row[:2]):
        names = [quoted(row[2]) for row in part]
        lines = ",\n".join("        " + ", ".join(names[at : at + 5]) for at in range(0, len(names), 5))
        yield f"    @{{ Datastore = {quoted(store)}; HostGroup = {quoted(group)}; Names = @(\n{lines}\n    ) }}"


def _written(path: Path, text: str, encoding: str) -> Path:
    try:
        return write_whole(path, lambda part: part.write_text(text, encoding=encoding, newline="\n"))
    except ValueError as error:
        remedy = "Choose a file in a folder that exists and that you may write to."
        raise ParameterError("path", str(path), f"it cannot be written: {error}", remedy) from None
