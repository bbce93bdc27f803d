"""What an inventory tells about the datastores of some desktops: how many, how large, what others use, their locks."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from clonesim.ingest.inventory import Inventory
from clonesim.planning.inventory_desktops import Desktops
from clonesim.planning.inventory_finding import DERIVED, MEASURED, Finding, rows_of, shown, stores_of, typical
from clonesim.units import MIB

FEW = 0.1  # a datastore with less than this share of the usual number of desktops is a stray
VMFS = {3: "vmfs-3", 5: "vmfs-5", 6: "vmfs-6"}
UPGRADED = "2, 4 and 8 MiB blocks are of VMFS-3: such volumes were upgraded, and take locks as ats+scsi"
ARRAY = "An inventory does not tell whether the array has ATS; `esxcli storage vmfs lockmode list` does."


def lun_findings(inventory: Inventory, chosen: Desktops) -> tuple[list[Finding], list[str]]:
    """Findings on the datastores, and notes on what differs."""
    notes: list[str] = []
    where = _places(inventory, chosen.vms, notes)
    if where.empty:
        notes.append("Nothing tells on which datastores the desktops lie: vInfo's Path and vDisk's Path are missing.")
        return [], notes
    counts = where.value_counts()
    strays = counts[counts < FEW * counts.median()]
    if not strays.empty:
        notes.append(f"{int(strays.sum())} desktops lie on {len(strays)} further datastores; those are left out.")
        counts = counts.drop(strays.index)
    tab = "vDisk" if rows_of(inventory.disks, chosen.vms)["path"].notna().any() else "vInfo"
    ends = int(counts.min()), int(counts.max())
    found = [
        Finding("luns.count", len(counts), MEASURED, tab, "Path", "datastores that hold desktops", int(counts.sum())),
        Finding("luns.clones_per_lun", ends[1], MEASURED, tab, "Path", "most desktops on one", len(counts), *ends),
    ]
    stores = inventory.datastores[inventory.datastores["datastore"].isin(counts.index)].drop_duplicates("datastore")
    if len(stores) < len(counts):
        notes.append(f"vDatastore tells of {len(stores)} of the {len(counts)} datastores with desktops.")
    if not stores.empty:
        kind = _backing(stores, notes)
        parts = (kind, _locking(inventory, chosen, stores, kind, notes), _size(chosen, stores, notes))
        found += [one for one in parts if one is not None]
    found += _replicas(chosen, counts)
    return found, notes


def _places(inventory: Inventory, vms: pd.DataFrame, notes: list[str]) -> pd.Series:
    """Datastore of each desktop: that of its disk, else of its folder."""
    disks = rows_of(inventory.disks, vms).drop_duplicates("vm").set_index("vm")["path"]
    paths = vms["vm"].map(disks).astype("string").fillna(vms["path"])
    found = stores_of(paths).dropna()
    if len(found) and len(found) < len(vms):
        notes.append(f"{len(vms) - len(found)} of {len(vms)} desktops have no path: their datastore is unknown.")
    return found


def _backing(stores: pd.DataFrame, notes: list[str]) -> Finding | None:
    kinds = pd.Series([_kind(row) for row in stores.to_dict("records")])
    strange = kinds == ""
    if strange.any():
        types = ", ".join(dict.fromkeys(stores["type"].fillna("?")[strange.to_numpy()]))
        notes.append(f"{int(strange.sum())} datastores are of a type or version that is not modeled: {types}.")
    known = kinds[~strange]
    if known.empty:
        return None
    counts = known.value_counts()
    if len(counts) > 1:
        mixture = ", ".join(f"{name} ({count})" for name, count in counts.items())
        notes.append(f"Several kinds of datastores: {mixture}; luns.backing is the most frequent one.")
    how = "all alike" if len(counts) == 1 else "most frequent value"
    return Finding("luns.backing", str(counts.index[0]), MEASURED, "vDatastore", "Type, Major Version", how, len(known))


def _kind(row: dict[Hashable, Any]) -> str:
    """Backing of the catalog that a datastore is; empty if none."""
    kind = str(row["type"]).lower() if pd.notna(row["type"]) else ""
    version = row["major_version"]
    if kind.startswith("nfs"):
        return "nfs"
    if kind == "vsan":
        return "vsan"
    if kind not in ("vmfs", "") or not pd.notna(version):
        return ""
    return VMFS.get(int(version), "")


def _locking(
    inventory: Inventory, chosen: Desktops, stores: pd.DataFrame, kind: Finding | None, notes: list[str]
) -> Finding | None:
    """How hosts take a VMFS volume's locks, by what they are set to and whether the volume was upgraded."""
    if kind is None or not kind.value.startswith("vmfs"):
        return None
    blocks = stores["block_size_bytes"].dropna()
    large = blocks[blocks > MIB]
    if not large.empty:
        sizes = ", ".join(dict.fromkeys(shown(int(size), "B") for size in large))
        notes.append(f"{len(large)} datastores have blocks of {sizes}; the model's files take blocks of 1 MiB.")
    seen = _of_the_luns(inventory, chosen, stores)["ats_locking"].dropna()
    if seen.empty:
        return None
    on, rows = int(seen.sum()), len(seen)
    upgraded = kind.value == "vmfs-5" and len(large) * 2 > len(stores)
    if not on:
        told, value = "off on all hosts", "scsi-reservation"
    elif on < rows:
        notes.append(f"ATS is off on {rows - on} of {rows} hosts: those take reservations, which the others meet.")
        told, value = f"on, but for {rows - on} hosts", "ats+scsi"
    elif kind.value == "vmfs-3":
        notes.append(f"ATS is on, and serves VMFS-3 for a part of the operations only: reservations are taken. {ARRAY}")
        return None
    elif upgraded:
        notes.append(f"{UPGRADED}.")
        told, value = "on, volumes with VMFS-3's block sizes", "ats+scsi"
    else:
        notes.append(f"ATS is on on all hosts, so luns.locking is {kind.value}'s usual one. {ARRAY}")
        told, value = f"on on all hosts, {kind.value}", "ats-only"
    return Finding("luns.locking", value, DERIVED, "vHost", "ATS Locking", told, rows)


def _of_the_luns(inventory: Inventory, chosen: Desktops, stores: pd.DataFrame) -> pd.DataFrame:
    """Hosts that see the datastores, else those that run the desktops, else all."""
    hosts = inventory.hosts
    names = stores["host_names"].dropna().str.split(r"[,;]\s*", regex=True).explode().str.strip()
    for known in (names, chosen.vms["host"].dropna()):
        found = hosts[hosts["host"].isin(known)]
        if not found.empty:
            return found
    return hosts


def _size(chosen: Desktops, stores: pd.DataFrame, notes: list[str]) -> Finding | None:
    """What the pool can fill of a datastore: its capacity less what others use."""
    stores = stores[stores["capacity_bytes"].fillna(0) > 0]
    if stores.empty:
        return None
    capacity = stores["capacity_bytes"].astype("int64")
    used = stores["in_use_bytes"].fillna(capacity - stores["free_bytes"])
    machines = pd.concat([chosen.vms, chosen.images])
    own = machines.assign(store=stores_of(machines["path"]))
    sums = own.dropna(subset=["store", "in_use_bytes"]).groupby("store")["in_use_bytes"].sum()
    if used.isna().any() or not set(stores["datastore"]) <= set(sums.index):
        notes.append("What others use on the datastores cannot be told: luns.size is their whole capacity.")
        usable, others = capacity, 0
    else:
        beside = (used - stores["datastore"].map(sums)).clip(lower=0).astype("int64")
        usable, others = capacity - beside, int(beside.median())
    usable = usable[usable > 0]
    if usable.empty:
        return None
    value, how = typical(usable)
    if len(usable) > 1 and capacity.nunique() > 1:
        ends = f"{shown(int(capacity.min()), 'B')} to {shown(int(capacity.max()), 'B')}"
        notes.append(f"The datastores have {ends}; luns.size is the {how}.")
    if others:
        how += f", capacity less what others use ({shown(others, 'B')})"
        notes.append(f"Others use {shown(others, 'B')} of a datastore (median); luns.size leaves it out.")
    ends_ = int(usable.min()), int(usable.max())
    return Finding("luns.size", value, MEASURED, "vDatastore", "Capacity, In Use", how, len(usable), *ends_)


def _replicas(chosen: Desktops, counts: pd.Series) -> list[Finding]:
    """Whether base images lie on datastores of their own."""
    where = stores_of(chosen.images["path"]).dropna()
    named = chosen.images.loc[where.index, "vm"].str.match(r"(?i)replica-|cp-replica-")
    where = where[named.fillna(False).astype(bool)]
    if where.empty:
        return []
    apart = not where.isin(counts.index).any()
    how = "base images lie apart from all desktops" if apart else "base images lie beside desktops"
    return [Finding("luns.replica_lun", apart, MEASURED, "vInfo", "Path", how, len(where))]
