"""A scenario with a user's own numbers: what an inventory tells about one pool of desktops, each value marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clonesim.errors import InventoryError, ParameterError, ScenarioError
from clonesim.ingest.inventory import Inventory, read_inventory
from clonesim.planning.inventory_desktops import Desktops, desktops_of
from clonesim.planning.inventory_finding import DERIVED, Finding, counted, unit_of
from clonesim.planning.inventory_guest import guest_findings
from clonesim.planning.inventory_hosts import host_findings
from clonesim.planning.inventory_luns import lun_findings
from clonesim.scenario import catalog
from clonesim.scenario.catalog import DEFAULT_SCENARIO
from clonesim.scenario.fields import text
from clonesim.scenario.load import load_scenario, read_override
from clonesim.scenario.marks import keys_of, touches
from clonesim.scenario.model import SECTIONS, Scenario

if TYPE_CHECKING:
    from clonesim.errors import Problem

COLUMNS = ("key", "value", "unit", "kind", "tab", "column", "statistic", "rows", "spread")
VSPHERE = ("view", "horizon-8", "citrix-mcs", "citrix-pvs", "generic")
UNTOLD, OVERRIDDEN = "an inventory does not tell it", "overridden"
TOLD_BY = {  # what an inventory can tell, and which tab does
    "pool.start": "vMetaData",
    "guest.name": "vInfo",
    "guest.memory": "vInfo",
    "guest.disk": "vDisk",
    "guest.used": "vPartition",
    "guest.start": "vFileInfo",
    "delta.format": "vFileInfo",
    "luns.count": "vInfo or vDisk",
    "luns.clones_per_lun": "vInfo or vDisk",
    "luns.size": "vDatastore",
    "luns.backing": "vDatastore",
    "luns.locking": "vHost",
    "luns.replica_lun": "vInfo",
    "hosts.count": "vDatastore or vHost",
    "hosts.memory": "vHost",
    "hosts.cpu": "vHost",
    "hosts.memory_reservation": "vMemory",
    "platform.name": "vInfo",
}


@dataclass(frozen=True)
class Prefill:
    """A scenario that an inventory filled in.

    Attributes
    ----------
    scenario : Scenario
        Valid; its marks tell which values were measured or derived. `commented` writes it with them.
    measured : DataFrame
        A row per such value: key, value (in the base unit: bytes, MHz, shares), unit, kind ("measured" or "derived"),
        tab, column, statistic, rows, spread (text; empty where all rows say the same).
    missing : DataFrame
        A row per value that stays what it was: key, value (text), unit, kind ("given", or that of the catalog), reason.
    desktops : DataFrame
        Rows of vInfo that are taken for the pool's clones.
    rule : str
        What made them that.
    notes : tuple of str
        Mixtures, contradictions, what is not modeled.
    source : str
        The export.
    """

    scenario: Scenario
    measured: pd.DataFrame
    missing: pd.DataFrame
    desktops: pd.DataFrame
    rule: str
    notes: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        counts = (
            f"{counted(len(self.desktops), 'desktop')} ({self.rule}); {len(self.measured)} values measured or derived"
        )
        return f"Prefill({self.source!r}: {counts}, {len(self.missing)} as before, {len(self.notes)} notes)"


def prefill(
    inventory: Inventory | str | Path,
    *,
    base: str | Path | Scenario | Mapping[str, Any] = DEFAULT_SCENARIO,
    select: str | Sequence[str] | None = None,
    folder: str | None = None,
    pool: str | None = None,
    cluster: str | None = None,
    set: Iterable[str] = (),  # noqa: A002 (the command line's --set)
    **overrides: Any,
) -> Prefill:
    """Fill a scenario in from an inventory.

    Parameters
    ----------
    inventory : Inventory, str or Path
        Of `read_inventory`, or what that reads.
    base : str, Path, Scenario or mapping, default "windows-11-office"
        Scenario whose values stand where the inventory tells nothing, as `load_scenario` takes it.
    select : str or sequence of str, optional
        Patterns of the desktops' names, such as ``VDI-*``. Without any pattern the largest pool is looked for, by rules
        that `notes` and `rule` tell.
    folder, pool, cluster : str, optional
        Patterns of their folder, resource pool and cluster; all that are given must fit.
    set : iterable of str
        Overrides as the command line takes them: "guest.disk=60 GiB".
    **overrides
        Tables whose values come before the inventory's, as `load_scenario` takes them. They are not marked.

    Returns
    -------
    Prefill
        `.scenario`, `.measured`, `.missing`, `.notes`.

    Raises
    ------
    InventoryError
        If the inventory cannot be read, or holds no desktops.
    ScenarioError, ParameterError
        If the base or the overrides are wrong.

    Examples
    --------
    >>> found = prefill("RVTools_export.xlsx", select="VDI-*")  # doctest: +SKIP
    >>> found.scenario.luns.size, found.measured  # doctest: +SKIP
    """
    held = inventory if isinstance(inventory, Inventory) else read_inventory(inventory)
    start = _base(base)
    settings = list(set)
    changed = [*keys_of(overrides), *(key for item in settings for key in keys_of(read_override(item)))]
    chosen = desktops_of(held, select, folder, pool, cluster)
    findings, notes = _findings(held, chosen, start)
    findings = [one for one in findings if not any(touches(one.key, key) for key in changed)]
    scenario, kept = _fitting(start, findings, notes, held.source)
    made = load_scenario(scenario, set=settings, **overrides)
    return Prefill(
        scenario=made,
        measured=pd.DataFrame([one.row() for one in kept], columns=list(COLUMNS)),
        missing=_missing(made, kept, held, changed),
        desktops=chosen.vms,
        rule=chosen.rule,
        notes=tuple(dict.fromkeys(notes)),
        source=held.source,
    )


def _base(base: str | Path | Scenario | Mapping[str, Any]) -> Scenario:
    found = load_scenario(base)
    if found.platform.name not in VSPHERE:
        allowed = f"an inventory of vSphere fits platforms {', '.join(VSPHERE)}"
        remedy = f"Start from base={DEFAULT_SCENARIO!r}, or set the base's platform.name."
        raise ParameterError("base", found.platform.name, allowed, remedy)
    return found


def _findings(inventory: Inventory, chosen: Desktops, base: Scenario) -> tuple[list[Finding], list[str]]:
    notes = [f"{counted(len(chosen.vms), 'desktop')}: {chosen.rule}.", *chosen.notes]
    findings: list[Finding] = []
    for told, words in (
        guest_findings(inventory, chosen, base),
        lun_findings(inventory, chosen),
        host_findings(inventory, chosen),
    ):
        findings += told
        notes += words
    backing = next((one.value for one in findings if one.key == "luns.backing"), base.luns.backing)
    findings += _platform(chosen, base, backing, notes)
    return findings, notes


def _platform(chosen: Desktops, base: Scenario, backing: str, notes: list[str]) -> list[Finding]:
    """Platform by its traces; else one that has such datastores, where the base's has none."""
    name, how, tab, column = chosen.platform, "its internal machines, snapshots or disks", "vInfo", "VM, Folder"
    rows = max(1, len(chosen.images))
    if not name and backing not in _backings(base.platform.name):
        name = next((one for one in VSPHERE if backing in _backings(one)), "")
        notes.append(f"{base.platform.name} has no {backing}: platform.name becomes {name}. Set it if it is another.")
        how, tab, column, rows = f"has {backing}", "vDatastore", "Type, Major Version", 1
    if name and name != base.platform.name and backing not in _backings(name):
        notes.append(f"Traces of {name}, which has no {backing}: platform.name is left as it was.")
        return []
    return [Finding("platform.name", name, DERIVED, tab, column, how, rows)] if name else []


def _backings(platform: str) -> tuple[Any, ...]:
    return catalog.group("platforms", platform)["backing"].range


def _fitting(base: Scenario, findings: list[Finding], notes: list[str], source: str) -> tuple[Scenario, list[Finding]]:
    """The scenario with all findings that can stand together; what is left out is noted."""
    kept = list(findings)
    while True:
        try:
            marks = {key: mark for key, mark in base.marks.items() if not any(touches(key, one.key) for one in kept)}
            marks |= {one.key: one.mark for one in kept}
            return load_scenario(base, marks=marks, **_tables(kept)), kept
        except ScenarioError as error:
            left, why = _left_out(error.problems, kept)
            if not left:
                raise
            if any(one.key == "pool.clones" for one in left):
                remedy = "Take one pool with select='...' (--select), or a part of it."
                raise InventoryError(source, f"{why.value} desktops as clones: {why.allowed}", remedy) from None
            notes += [f"{one.key}, {text(one.value, one.unit)} by the inventory, is left out: {why}" for one in left]
            kept = [one for one in kept if one not in left]


def _left_out(problems: Sequence[Problem], kept: list[Finding]) -> tuple[list[Finding], Problem]:
    """Findings to leave out because of the first problem: the one it names, else those of its table."""
    why = problems[0]
    if why.path == "luns.size" and any(one.key == "guest.start.delta" for one in kept):
        return [one for one in kept if one.key == "guest.start.delta"], why
    named = [one for one in kept if touches(one.key, why.path)]
    table = why.path.partition(".")[0]
    near = [one for one in kept if one.key.partition(".")[0] == table and one.key != "pool.clones"]
    return named or near or [one for one in kept if one.key == "pool.start" and table == "storms"], why


def _tables(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in findings:
        table, key, *inner = one.key.split(".")
        place = found.setdefault(table, {})
        if inner:
            place.setdefault(key, {})[inner[0]] = one.value
        else:
            place[key] = one.value
    return found


def _missing(scenario: Scenario, kept: list[Finding], inventory: Inventory, changed: Sequence[str]) -> pd.DataFrame:
    """Values that are not the inventory's, and why."""
    rows = []
    for table, model in SECTIONS.items():
        section = getattr(scenario, table)
        given = section.given()
        for field in model.model_fields:
            key = f"{table}.{field}"
            if any(touches(one.key, key) for one in kept):
                continue
            cited = model.parameter(field, getattr(section, "name", None))
            value = getattr(section, field)
            rows.append(
                {
                    "key": key,
                    "value": text(value, cited.unit) if cited is not None and value is not None else str(value),
                    "unit": unit_of(key),
                    "kind": "given" if field in given else cited.kind if cited is not None else "assumed",
                    "reason": OVERRIDDEN if any(touches(key, one) for one in changed) else _reason(key, inventory),
                }
            )
    return pd.DataFrame(rows, columns=["key", "value", "unit", "kind", "reason"])


def _reason(key: str, inventory: Inventory) -> str:
    tabs = TOLD_BY.get(key)
    if tabs is None:
        return UNTOLD
    gone = [tab for tab in tabs.split(" or ") if f"{tab}: no such tab" in inventory.notes]
    if gone:
        return f"no {' and no '.join(gone)}"
    return f"{tabs}: nothing that tells it"
