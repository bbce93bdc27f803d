"""What an inventory tells about the desktops themselves: system, memory, disk, what is used, how large deltas are."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from clonesim.ingest.delta_estimates import homes
from clonesim.ingest.inventory import Inventory
from clonesim.planning.inventory_desktops import Desktops
from clonesim.planning.inventory_finding import DERIVED, MEASURED, Finding, counted, number, rows_of, shown, unlike
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario
from clonesim.scenario.rules import FULLEST
from clonesim.units import GIB, MIB

SYSTEMS = (  # Windows 8 is none of the catalog's
    ("windows-11", re.compile(r"windows 11\b", re.IGNORECASE)),
    ("windows-10", re.compile(r"windows 10\b", re.IGNORECASE)),
    ("windows-7", re.compile(r"windows (?:7|vista)\b", re.IGNORECASE)),
    ("windows-xp", re.compile(r"windows xp\b", re.IGNORECASE)),
    ("windows-server", re.compile(r"windows server", re.IGNORECASE)),
)
SOUND = 0.8  # share of the desktops whose delta files must be known for a start from them
EXTENT = re.compile(r"-(delta|sesparse)\.vmdk$", re.IGNORECASE)
FORMATS = {"delta": "vmfs-sparse", "sesparse": "se-sparse"}


def guest_findings(inventory: Inventory, chosen: Desktops, base: Scenario) -> tuple[list[Finding], list[str]]:
    """Findings on pool and guest, and notes on what differs."""
    notes: list[str] = []
    vms = chosen.vms
    found: list[Finding | None] = [
        Finding("pool.clones", len(vms), MEASURED, "vInfo", "VM", f"count, {chosen.rule}", len(vms)),
        Finding("pool.name", chosen.name, DERIVED, "vInfo", "VM", "what the names have in common", len(vms)),
        _started(inventory),
        _system(vms, notes),
        number("guest.memory", vms["memory_bytes"], "vInfo", "Memory"),
    ]
    disks = _system_disks(inventory, vms, notes)
    size = number("guest.disk", disks["capacity_bytes"], "vDisk", "Capacity")
    if size is None and vms["disks"].eq(1).fillna(False).any():
        single = vms[vms["disks"].eq(1).fillna(False)]
        size = number("guest.disk", single["disk_capacity_bytes"], "vInfo", "Total disk capacity")
    found += [size, _used(inventory, vms, size, _named(found, "guest.name"), base, notes)]
    found += [_start(inventory, vms, notes), _format(inventory, vms)]
    kept = [one for one in found if one is not None]
    return kept, [*notes, *unlike(kept, ("guest.memory", "guest.disk"), "desktops")]


def _named(found: list[Finding | None], key: str) -> Any:
    return next((one.value for one in found if one is not None and one.key == key), None)


def _started(inventory: Inventory) -> Finding | None:
    """Day of the export: the day that the pool is looked at from."""
    days = inventory.meta["created"].dropna()
    if days.empty:
        return None
    return Finding("pool.start", days.max().date(), MEASURED, "vMetaData", "creation date", "the latest", len(days))


def _system(vms: pd.DataFrame, notes: list[str]) -> Finding | None:
    """Desktop of the catalog, by VMware Tools where they told it, else by the configuration."""
    told = vms["os_tools"].fillna(vms["os_config"])
    both = vms["os_tools"].notna() & vms["os_config"].notna()
    names = told.dropna().map(system_of)
    odd = both & (vms["os_tools"].fillna("").map(system_of) != vms["os_config"].fillna("").map(system_of))
    if odd.any():
        notes.append(f"{counted(int(odd.sum()), 'desktop')}: another system than configured; the one that runs counts.")
    known = names[names != ""]
    strange = told.dropna()[names == ""]
    if not strange.empty:
        shown_ = ", ".join(map(repr, strange.drop_duplicates().head(3)))
        notes.append(f"{len(strange)} desktops have a system that is no guest of the catalog: {shown_}.")
    if known.empty or len(known) * 2 < len(names):
        return None
    counts = known.value_counts()
    if len(counts) > 1:
        mixture = ", ".join(f"{name} ({count})" for name, count in counts.items())
        notes.append(f"Several systems: {mixture}; guest.name is the most frequent one. select= takes one at a time.")
    column = (
        "OS according to the VMware Tools" if vms["os_tools"].notna().any() else "OS according to the configuration"
    )
    how = "all alike" if len(counts) == 1 else "most frequent value"
    return Finding("guest.name", str(counts.index[0]), MEASURED, "vInfo", column, how, len(known))


def system_of(text: str) -> str:
    """Desktop of the catalog that a system's name means; empty if none."""
    return next((name for name, form in SYSTEMS if form.search(text)), "")


def _system_disks(inventory: Inventory, vms: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The disk of each machine that holds its system: the first one of 1 GiB and more, else the largest."""
    disks = rows_of(inventory.disks, vms)
    disks = disks[disks["capacity_bytes"].fillna(0) > 0]
    order = disks["disk_key"].fillna("").str.zfill(12) + disks["disk"].fillna("").str.zfill(40)
    large = disks["capacity_bytes"] >= GIB
    disks = disks.assign(large=large.astype(int), order=order, least=disks["capacity_bytes"].where(~large, 0))
    disks = disks.sort_values(["vm", "large", "least", "order"], ascending=[True, False, False, True], kind="stable")
    first = disks.drop_duplicates("vm")
    second = disks[large.reindex(disks.index) & disks["vm"].duplicated()]
    if not second.empty:
        size = shown(float(second["capacity_bytes"].median()), "B")
        notes.append(
            f"{second['vm'].nunique()} desktops have further disks (median {size}): not part of the delta, and not in "
            "the scenario; the strategy persistent-disk models them."
        )
    return first


def _used(
    inventory: Inventory, vms: pd.DataFrame, disk: Finding | None, name: str | None, base: Scenario, notes: list[str]
) -> Finding | None:
    """What is in use on the system's volume, now; scaled from the catalog where nothing tells it."""
    parts = rows_of(inventory.partitions, vms)
    used = parts["consumed_bytes"].fillna(parts["capacity_bytes"] - parts["free_bytes"])
    parts = parts.assign(used=used)[used.fillna(0) > 0]
    label = parts["disk"].fillna("").str.strip().str.lower()
    system = (label.str.startswith("c:").astype(int) * 2 + (label == "/").astype(int)).astype(int)
    parts = parts.assign(system=system).sort_values(["vm", "system", "capacity_bytes"], kind="stable")
    values = parts.drop_duplicates("vm", keep="last")["used"].astype("int64")
    size = disk.value if disk else base.guest.disk
    unit = GIB if size >= 8 * GIB else MIB
    most = int(size * FULLEST) // unit * unit
    if values.empty:
        return _scaled(disk, name, base)
    value, how = int(values.median()) // MIB * MIB, "median"
    if value > most:
        value, how = most, f"median, but no more than {FULLEST:.0%} of the disk"
    notes.append("guest.used is what the clones use now: the base image and what users left in them.")
    ends = int(values.min()), int(values.max())
    return Finding("guest.used", value, MEASURED, "vPartition", "Consumed", how, len(values), *ends)


def _scaled(disk: Finding | None, name: str | None, base: Scenario) -> Finding | None:
    if disk is None:
        return None
    cited = catalog.group("desktops", name or base.guest.name)
    share = cited["used"].default / cited["disk"].default
    value = int(disk.value * share) // MIB * MIB
    return Finding(
        "guest.used", value, DERIVED, "vDisk", "Capacity", f"the catalog's share in use, {share:.2g}, of it", disk.rows
    )


def _start(inventory: Inventory, vms: pd.DataFrame, notes: list[str]) -> Finding | None:
    """Size of the deltas now, if their files are known of most desktops."""
    sizes = inventory.delta_estimates()
    sizes = sizes[sizes["vm"].isin(vms["vm"]) & sizes["bytes"].notna()]
    if sizes.empty:
        return None
    files = sizes[sizes["kind"] == "measured"]["bytes"].astype("int64")
    if len(files) >= SOUND * len(vms):
        value, ends = int(files.median()), (int(files.min()), int(files.max()))
        how = "median of the sizes of delta files"
        return Finding("guest.start.delta", value, MEASURED, "vFileInfo", "File Size", how, len(files), *ends)
    size, count = shown(float(sizes["bytes"].median()), "B"), f"{len(sizes)} of {len(vms)}"
    estimate = "space in use less snapshots and swap file: an estimate"
    how = f"delta files of {len(files)} of them, else {estimate}" if len(files) else estimate
    how = "sizes of delta files" if len(files) == len(sizes) else how
    notes.append(
        f"Deltas of {count} desktops are about {size} (median, {how}); clones start empty here. Collect their sizes "
        "and fit them, or set guest.start.delta."
    )
    return None


def _format(inventory: Inventory, vms: pd.DataFrame) -> Finding | None:
    """Format of the desktops' delta files by their names, if it is one."""
    files = inventory.files
    own = homes(files["friendly_path"].fillna(files["path"])).isin(homes(vms["path"]).dropna())
    kinds = files.loc[own, "file"].str.extract(EXTENT)[0].dropna().str.lower().map(FORMATS)
    if kinds.nunique() != 1:
        return None
    return Finding("delta.format", str(kinds.iloc[0]), MEASURED, "vFileInfo", "File Name", "all alike", len(kinds))
