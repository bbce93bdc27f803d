"""What an inventory tells about the size of deltas, which it does not hold as such."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("vm", "bytes", "method", "kind", "snapshots", "oldest", "remark")
_PLACE = re.compile(r"\[(?P<datastore>[^\]]*)\] *(?P<folder>.*)")
_EXTENT = r"-(?:\d{6}-)?(?:delta|sesparse)\.vmdk$"
_LEAF = r"-\d{6}\.vmdk$"


def estimate_deltas(vms: pd.DataFrame, snapshots: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """Delta bytes of each virtual machine that has snapshots or delta files.

    Parameters
    ----------
    vms, snapshots, files : DataFrame
        Of an Inventory.

    Returns
    -------
    DataFrame
        vm, bytes [B], method, kind, snapshots, oldest, remark.

    Notes
    -----
    First the sizes of delta files, where RVTools scanned the datastores. Else what is left of a machine's space in use
    after the totals of its snapshots, which hold the frozen base disk and earlier deltas, and after the swap file of a
    running machine, which has the size of its memory. What is left holds log files and further small ones too.
    """
    import pandas as pd

    by_file = _by_file(vms, files)
    residual = _residual(vms, snapshots)
    frame = residual.merge(by_file, on="vm", how="outer")
    measured = frame["file_bytes"].notna()
    derived = ~measured & (frame["residual"] > 0).fillna(False)
    frame["bytes"] = frame["file_bytes"].where(measured, frame["residual"].where(derived)).astype("Int64")
    frame["method"] = (
        pd.Series("none", frame.index, dtype="string").mask(measured, "vFileInfo").mask(derived, "residual")
    )
    frame["kind"] = frame["method"].map({"vFileInfo": "measured", "residual": "derived", "none": "none"})
    frame["kind"] = frame["kind"].astype("string")
    frame["remark"] = frame["remark"].mask(measured | derived, "").fillna("").astype("string")
    frame["snapshots"] = frame["snapshots"].fillna(0).astype("Int64")
    return frame[list(COLUMNS)].sort_values("vm", ignore_index=True)


def _by_file(vms: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """Sum of the delta files in each machine's folder."""
    deltas = files[files["bytes"].notna() & is_delta_name(files["file"])].copy()
    deltas["home"] = homes(deltas["friendly_path"].fillna(deltas["path"]))
    known = vms[["vm"]].assign(home=homes(vms["path"])).dropna().drop_duplicates("home")
    deltas = deltas.merge(known, on="home", how="left")
    deltas["vm"] = deltas["vm"].fillna(deltas["home"].str.split("/").str[-1])
    deltas = deltas.dropna(subset=["vm"])
    # A scan may list an extent and its descriptor; the extent has the size.
    stem = deltas["file"].str.replace(_EXTENT, "", regex=True).str.replace(r"\.vmdk$", "", regex=True)
    number = deltas["file"].str.extract(r"-(\d{6})-?\w*\.vmdk$")[0]
    deltas["disk"] = stem.str.replace(r"-\d{6}$", "", regex=True) + "-" + number.fillna("")
    largest = deltas.groupby(["vm", "home", "disk"], dropna=False, as_index=False)["bytes"].max()
    return largest.groupby("vm")[["bytes"]].sum().reset_index().rename(columns={"bytes": "file_bytes"})


def is_delta_name(names: pd.Series) -> pd.Series:
    """Whether a file name is that of a delta disk. (n,) boolean series."""
    low = names.str.lower()
    return (low.str.contains(_EXTENT, regex=True) | low.str.contains(_LEAF, regex=True)).fillna(False).astype(bool)


def homes(paths: pd.Series) -> pd.Series:
    """Home "datastore/folder" of "[datastore] folder/file" or "[datastore] folder/"; missing where it is neither."""
    parts = paths.str.extract(_PLACE)
    folder = parts["folder"].str.replace(r"[^/]*\.[A-Za-z0-9]{2,6}$", "", regex=True).str.strip("/ ")
    return (parts["datastore"] + "/" + folder).astype("string")


def _residual(vms: pd.DataFrame, snapshots: pd.DataFrame) -> pd.DataFrame:
    """In use less the snapshots' totals less the swap file, per machine with snapshots."""
    # Names are not unique over several vCenters: identifiers are better where all rows have them.
    key = next((k for k in ("vm_uuid", "vm_id") if vms[k].notna().all() and snapshots[k].notna().all()), "vm")
    groups = snapshots.groupby(key, dropna=True)
    counted = groups.agg(
        snapshots=("vm", "size"),
        oldest=("date", "min"),
        total=("total_bytes", lambda sizes: sizes.sum(skipna=False)),
        name=("vm", "first"),
    )
    frame = counted.reset_index().merge(vms.drop_duplicates(key), on=key, how="left", suffixes=("", "_vms"))
    frame["vm"] = frame["name"]
    running = frame["powerstate"].str.lower().eq("poweredon").fillna(False).astype(bool)
    swap = frame["memory_bytes"].where(running, 0)
    frame["residual"] = (frame["in_use_bytes"] - frame["total"] - swap).astype("Int64")
    frame["remark"] = "negative: other files, or space shared with another machine, disturb the estimate"
    for column, remark in (
        ("total", "no 'Size MiB (total)' for all of its snapshots"),
        ("memory_bytes", "vInfo tells no memory, so no swap file"),
        ("in_use_bytes", "vInfo tells no space in use"),
    ):
        unknown = frame[column].isna() & (running | (column != "memory_bytes"))
        frame["remark"] = frame["remark"].mask(unknown, remark)
    frame["remark"] = frame["remark"].astype("string")
    return frame[["vm", "snapshots", "oldest", "residual", "remark"]]
