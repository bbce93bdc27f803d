"""What an inventory tells about the hosts of some desktops: how many see a datastore, memory, cores, reservations."""

from __future__ import annotations

import pandas as pd

from clonesim.ingest.delta_estimates import homes
from clonesim.ingest.inventory import Inventory
from clonesim.planning.inventory_desktops import Desktops
from clonesim.planning.inventory_finding import (
    DERIVED,
    MEASURED,
    Finding,
    counted,
    number,
    rows_of,
    stores_of,
    typical,
    unlike,
)


def host_findings(inventory: Inventory, chosen: Desktops) -> tuple[list[Finding], list[str]]:
    """Findings on the hosts, and notes on what differs."""
    notes: list[str] = []
    vms, hosts = chosen.vms, inventory.hosts.drop_duplicates(["host", "server"])
    clusters = vms["cluster"].dropna().unique()
    own = hosts[hosts["cluster"].isin(clusters)]
    if own.empty:
        own = hosts[hosts["host"].isin(vms["host"].dropna())]
        clusters = own["cluster"].dropna().unique()
        own = hosts[hosts["cluster"].isin(clusters)] if len(clusters) else own
    if len(clusters) > 1:
        notes.append(f"The desktops run in {len(clusters)} clusters; one pool is simulated on the hosts of one LUN.")
    for name, count in own["cluster"].value_counts().items():
        notes.append(f"Cluster {name} has {counted(int(count), 'host')}.")
    speed = (own["cores"] * own["speed_mhz"]).round()
    found = [
        _count(inventory, chosen, own, notes),
        number("hosts.memory", own["memory_bytes"], "vHost", "# Memory"),
        number("hosts.cpu", speed, "vHost", "# Cores x Speed"),
        _reservation(inventory, vms),
    ]
    kept = [one for one in found if one is not None]
    notes += unlike(kept, ("hosts.memory", "hosts.cpu"), "hosts")
    if any(one.key == "hosts.memory" for one in kept):
        notes.append("hosts.memory is all of a host's memory; what the hypervisor keeps for itself is not taken off.")
    return kept, notes


def _count(inventory: Inventory, chosen: Desktops, own: pd.DataFrame, notes: list[str]) -> Finding | None:
    """Hosts that see a datastore with desktops, else those of the cluster, else those that run desktops."""
    disks = rows_of(inventory.disks, chosen.vms)["path"]
    used = pd.concat([stores_of(disks), stores_of(chosen.vms["path"])]).dropna().unique()
    stores = inventory.datastores[inventory.datastores["datastore"].isin(used)]
    seen = stores["hosts"].dropna()
    seen = seen[seen > 0].astype("int64")
    cluster = own["cluster"].value_counts()
    if not seen.empty:
        value, how = typical(seen)
        if how != "all alike":
            notes.append(f"Datastores are seen by {int(seen.min())} to {int(seen.max())} hosts; the {how} is taken.")
        if len(cluster) == 1 and int(cluster.iloc[0]) != value:
            notes.append(
                f"A datastore is seen by {counted(value, 'host')}, and the cluster has {int(cluster.iloc[0])}."
            )
        ends = int(seen.min()), int(seen.max())
        return Finding("hosts.count", value, MEASURED, "vDatastore", "# Hosts", how, len(seen), *ends)
    if len(cluster):
        how = f"hosts of cluster {cluster.index[0]}"
        return Finding("hosts.count", int(cluster.iloc[0]), DERIVED, "vHost", "Cluster", how, len(own))
    running = chosen.vms["host"].dropna()
    if running.empty:
        return None
    how = "hosts that run desktops: others may see the datastores too"
    return Finding("hosts.count", running.nunique(), DERIVED, "vInfo", "Host", how, len(running))


def _reservation(inventory: Inventory, vms: pd.DataFrame) -> Finding | None:
    """Share of the desktops' memory that is reserved: by vMemory, else by their swap files."""
    rows = rows_of(inventory.memory, vms).drop_duplicates("vm")
    rows = rows[rows["reservation_bytes"].notna() & (rows["size_bytes"].fillna(0) > 0)]
    if not rows.empty:
        each = (rows["reservation_bytes"] / rows["size_bytes"]).astype(float).clip(0, 1)
        share = float(rows["reservation_bytes"].sum() / rows["size_bytes"].sum())
        return _share(share, each, "vMemory", "Reservation", "sum over sum of memory")
    files = inventory.files[inventory.files["file"].str.lower().str.endswith(".vswp").fillna(False)]
    files = files[~files["file"].str.lower().str.startswith("vmx-").fillna(False) & files["bytes"].notna()]
    sizes = files.assign(home=homes(files["friendly_path"].fillna(files["path"]))).groupby("home")["bytes"].sum()
    own = vms.assign(swap=homes(vms["path"]).map(sizes))
    own = own[own["swap"].notna() & (own["memory_bytes"].fillna(0) > 0)]
    if own.empty:
        return None
    each = (1 - own["swap"].astype(float) / own["memory_bytes"].astype(float)).clip(0, 1)
    share = 1 - float(own["swap"].sum() / own["memory_bytes"].sum())
    return _share(share, each, "vFileInfo", "File Size of .vswp", "1 less swap files over memory")


def _share(share: float, each: pd.Series, tab: str, column: str, how: str) -> Finding:
    value = round(min(max(share, 0.0), 1.0), 4)
    ends = round(float(each.min()), 4), round(float(each.max()), 4)
    kind = MEASURED if tab == "vMemory" else DERIVED
    return Finding("hosts.memory_reservation", value, kind, tab, column, how, len(each), *ends)
