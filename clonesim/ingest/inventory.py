"""Inventories: what RVTools or PowerCLI say about a user's virtual machines, datastores and hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clonesim.errors import InventoryError
from clonesim.ingest import cells
from clonesim.ingest.columns import TABS, Tab
from clonesim.ingest.delta_estimates import estimate_deltas
from clonesim.ingest.limits import given_or_most
from clonesim.ingest.rvtools import frame, tab_of, tables
from clonesim.units import MIB

if TYPE_CHECKING:
    import pandas as pd

BLOCK_SIZES = (MIB, 2 * MIB, 4 * MIB, 8 * MIB)
_BASE_NOTE = "vSnapshot: total_bytes holds the frozen base disk too, so it is no delta; see delta_estimates()"
_POWERCLI_NOTE = "vSnapshot: powercli_bytes is what Get-Snapshot says; which files it counts is not documented"


@dataclass(frozen=True)
class Inventory:
    """What an inventory export holds. Sizes are bytes, dates are UTC, missing values are missing.

    A tab that the export lacks is an empty frame with its columns.

    Attributes
    ----------
    vms : DataFrame
        vInfo: vm, powerstate, memory_bytes, provisioned_bytes, in_use_bytes, cluster, host, path, ...
    disks : DataFrame
        vDisk: vm, disk, capacity_bytes, thin, path (of the leaf of the chain), ...
    memory : DataFrame
        vMemory: vm, size_bytes, active_bytes, reservation_bytes, ...
    snapshots : DataFrame
        vSnapshot or PowerCLI's Get-Snapshot: vm, name, date, total_bytes, ... `total_bytes` ("Size MiB (total)")
        includes the frozen base disk: it is no delta.
    datastores : DataFrame
        vDatastore: datastore, type, capacity_bytes, free_bytes, hosts, block_size_bytes, major_version, ...
    hosts : DataFrame
        vHost: host, cluster, cores, memory_bytes, ats_locking, version, ...
    partitions : DataFrame
        vPartition: vm, disk, capacity_bytes, consumed_bytes, free_bytes, ...
    files : DataFrame
        vFileInfo: file, bytes, friendly_path, path, type. Filled only if RVTools scanned the datastores.
    meta : DataFrame
        vMetaData: version, created, server.
    source : str
        The file or folder.
    notes : tuple of str
        What was missing, renamed or doubtful.
    """

    vms: pd.DataFrame
    disks: pd.DataFrame
    memory: pd.DataFrame
    snapshots: pd.DataFrame
    datastores: pd.DataFrame
    hosts: pd.DataFrame
    partitions: pd.DataFrame
    files: pd.DataFrame
    meta: pd.DataFrame
    source: str
    notes: tuple[str, ...] = field(default=())

    def delta_estimates(self) -> pd.DataFrame:
        """Estimate of each virtual machine's deltas, with the method named.

        Returns
        -------
        DataFrame
            vm, bytes [B], method, kind ("measured", "derived" or "none"), snapshots, oldest, remark. The method is
            "vFileInfo" (sizes of the delta files), or "residual": space in use less the totals of all snapshots (which
            hold the frozen base) and less the swap file of a running machine.
        """
        return estimate_deltas(self.vms, self.snapshots, self.files)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(getattr(self, tab.frame))} {tab.frame}" for tab in TABS)
        return f"Inventory({self.source!r}: {counts})"


def read_inventory(
    path: str | Path,
    *,
    rows_limit: int | None = None,
    bytes_limit: int | None = None,
    dayfirst: bool | None = None,
    zone: str = "UTC",
    skip_bad_values: bool = False,
) -> Inventory:
    """Read an inventory export.

    Parameters
    ----------
    path : str or Path
        An RVTools workbook (xlsx), one of its CSV files, a folder or a zip of them, or the CSV of PowerCLI's
        Get-Snapshot, with or without a `#TYPE` line. Tabs are known by their names, a CSV without one by its header.
    rows_limit : int, optional
        Most rows of a sheet or CSV; by default the limit `inventory_rows`, 250,000.
    bytes_limit : int, optional
        Most bytes of a file; by default the limit `document_bytes`, 2 GiB. [B]
    dayfirst : bool, optional
        Whether 3/4/2012 is 3 April; found from the column by default, refused where it cannot be.
    zone : str, default "UTC"
        Time zone of dates that name none: RVTools writes the local time of the machine it runs on.
    skip_bad_values : bool, default False
        Leave cells empty that cannot be read, and note them, instead of refusing the export.

    Returns
    -------
    Inventory
        Frames with our column names, bytes everywhere.

    Raises
    ------
    InventoryError
        If it cannot be read; the message names file, sheet, row, column, value and remedy.
    ParameterError
        If a parameter is out of range.
    """
    rows = given_or_most(rows_limit, "inventory_rows", "rows_limit")
    size = given_or_most(bytes_limit, "document_bytes", "bytes_limit")
    where = cells.Where(path, dayfirst=dayfirst, zone=cells.check_zone(zone), skip_bad=skip_bad_values)
    found: dict[str, list[pd.DataFrame]] = {}
    headers: list[str] = []
    for table in tables(path, where, rows, size):
        tab = tab_of(table)
        if tab is not None:
            found.setdefault(tab.frame, []).append(frame(tab, table))
        else:
            headers.append(table.name or ", ".join(table.headers)[:120])
    if not found:
        problem = f"holds no tab that is read; found: {'; '.join(headers)[:240] or 'nothing'}"
        remedy = f"Export {', '.join(tab.name for tab in TABS)} with RVTools, or read sizes with read_listing."
        raise InventoryError(path, problem, remedy)
    frames = {tab.frame: _one(tab, found.get(tab.frame, [])) for tab in TABS}
    _repair_memory(frames["hosts"], where)
    _repair_blocks(frames["datastores"], where)
    notes = [*where.notes, *_notes(frames, found, zone)]
    return Inventory(**frames, source=str(path), notes=tuple(dict.fromkeys(notes)))


def _one(tab: Tab, parts: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    if not parts:
        return pd.DataFrame({column.name: cells.empty(column.kind) for column in tab.columns})
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _repair_memory(hosts: pd.DataFrame, where: cells.Where) -> None:
    """Some exports head a host's memory vHostMemorySize and give bytes: no host has 64 TiB."""
    in_bytes = (hosts["memory_bytes"] >= 2**26 * MIB).fillna(False)
    if in_bytes.any():
        hosts.loc[in_bytes, "memory_bytes"] //= MIB
        where.notes.append(f"vHost: memory of {int(in_bytes.sum())} hosts would be 64 TiB or more; read as bytes")


def _repair_blocks(datastores: pd.DataFrame, where: cells.Where) -> None:
    odd = datastores["block_size_bytes"].notna() & ~datastores["block_size_bytes"].isin(BLOCK_SIZES)
    if odd.any():
        value = int(datastores.loc[odd, "block_size_bytes"].iloc[0]) // MIB
        datastores.loc[odd, "block_size_bytes"] = None
        problem = f"{int(odd.sum())} block sizes that no VMFS has (such as {value} MiB) left out"
        where.notes.append(f"vDatastore: {problem}")


def _notes(frames: dict[str, pd.DataFrame], found: dict[str, list[pd.DataFrame]], zone: str) -> list[str]:
    notes = [f"{tab.name}: no such tab" for tab in TABS if tab.frame not in found]
    snapshots, files = frames["snapshots"], frames["files"]
    if snapshots["total_bytes"].notna().any():
        notes.append(_BASE_NOTE)
    if snapshots["powercli_bytes"].notna().any():
        notes.append(_POWERCLI_NOTE)
    if "files" in found and files["bytes"].isna().all():
        notes.append("vFileInfo: no file sizes; switch RVTools' scan of the datastores on to get them")
    dated = any(read.select_dtypes("datetimetz").notna().any().any() for read in frames.values())
    if dated:
        notes.append(f"dates that name no zone are taken as {zone}; RVTools writes local time and does not say which")
    return notes
