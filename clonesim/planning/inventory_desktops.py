"""Which virtual machines of an inventory are the desktops of one pool, and what says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pandas as pd

from clonesim.errors import InventoryError, ParameterError
from clonesim.ingest.delta_estimates import homes, is_delta_name
from clonesim.ingest.inventory import Inventory
from clonesim.scenario.people import LONGEST_NAME

SMALL, MOST_NAMED = 3, 6  # machines of a series that a desktop's system alone makes a pool; names in a message
# Internal machines of View Composer and of instant clones, by name and folder; Citrix's by name.
INTERNAL = re.compile(r"^(?:replica-|source-|cp-(?:template|replica|parent)-|preparation - )|-basedisk-", re.IGNORECASE)
KEPT_IN = re.compile(r"ViewComposerReplica|ClonePrep", re.IGNORECASE)
PLATFORMS = (  # what the platforms leave in an inventory; the second is from memory
    ("view", re.compile(r"^replica-|ViewComposerReplica", re.IGNORECASE)),
    ("view", re.compile(r"^vdm-initial-checkpoint", re.IGNORECASE)),
    ("horizon-8", re.compile(r"^cp-(?:template|replica|parent)-|ClonePrep", re.IGNORECASE)),
    ("citrix-mcs", re.compile(r"-basedisk-|IdentityDisk|^Citrix_XD_|^preparation - ", re.IGNORECASE)),
)
COMPOSER = PLATFORMS[1][1]
WORDS = re.compile(r"linked.?clone|instant.?clone|composer|xendesktop|virtual.?desktop|\bdesktops?\b|\bvdi\b", re.I)
CLIENT = re.compile(r"windows (?:xp|vista|7|8|8\.1|10|11)\b", re.IGNORECASE)
SERVER = re.compile(r"server|linux|ubuntu|red hat|centos|suse|debian|photon|solaris|bsd|esx", re.IGNORECASE)
CHAIN = re.compile(r"-\d{6}\.vmdk$", re.IGNORECASE)
LAST_NUMBER = re.compile(r"\d+(?=\D*$)")


@dataclass(frozen=True)
class Desktops:
    """The desktops of one pool.

    Attributes
    ----------
    vms : DataFrame
        Their rows of vInfo.
    images : DataFrame
        Rows of the base images that a platform keeps (replicas, templates).
    name : str
        For the pool: what their names have in common.
    rule : str
        What made them desktops, in words.
    platform : str
        Platform of the catalog whose traces the inventory holds; empty if none.
    notes : tuple of str
        What else might be meant, and what is odd.
    """

    vms: pd.DataFrame
    images: pd.DataFrame
    name: str
    rule: str
    platform: str
    notes: tuple[str, ...]


def desktops_of(
    inventory: Inventory,
    select: str | Sequence[str] | None = None,
    folder: str | None = None,
    pool: str | None = None,
    cluster: str | None = None,
) -> Desktops:
    """Find the desktops.

    Parameters
    ----------
    inventory : Inventory
        Of `read_inventory`.
    select : str or sequence of str, optional
        Patterns of names, such as "VDI-*"; without any of the patterns the largest pool is looked for.
    folder, pool, cluster : str, optional
        Patterns of the folder (vInfo's Folder), the resource pool and the cluster.

    Raises
    ------
    InventoryError
        If there is none.
    ParameterError
        If a pattern is no text.

    Notes
    -----
    Names that differ in their last number are one series. A series is a pool if half of its machines (1) run on delta
    disks whose base lies elsewhere, or have View Composer's first snapshot; or else (2) have a Windows for desktops, if
    there are three or more; or else (3) are called desktops by their name, folder, resource pool or annotation, and are
    no servers. Else (4) all machines with a Windows for desktops are one pool. The largest series of the first rule
    that finds any is taken.
    """
    vms = _unique(inventory)
    inner = _internal(vms)
    rest, images = vms[~inner], vms[inner]
    platform = _platform(inventory, images)
    given = {"select": select, "folder": folder, "pool": pool, "cluster": cluster}
    asked = {name: _patterns(name, value) for name, value in given.items() if value is not None}
    if asked:
        chosen, name = _asked(inventory, rest, asked)
        words = ", ".join(f"{key} {', '.join(map(repr, patterns))}" for key, patterns in asked.items())
        return Desktops(chosen, images, name, f"asked for: {words}", platform, _odd(inventory, chosen))
    chosen, name, rule, notes = _found(inventory, rest)
    return Desktops(chosen, images, name, rule, platform, (*notes, *_odd(inventory, chosen)))


def _unique(inventory: Inventory) -> pd.DataFrame:
    vms = inventory.vms
    if vms.empty:
        remedy = "Export vInfo, vDisk, vPartition, vDatastore and vHost with RVTools."
        raise InventoryError(inventory.source, "it tells of no virtual machines, so of no desktops", remedy)
    key = next((k for k in ("vm_uuid", "vm_id") if vms[k].notna().all()), "vm")
    return vms.drop_duplicates([key, "server"]).reset_index(drop=True)


def _internal(vms: pd.DataFrame) -> pd.Series:
    """Templates, replicas and the like. (n,) boolean series."""
    place = vms["folder"].fillna("") + " " + vms["path"].fillna("")
    inner = vms["vm"].str.contains(INTERNAL) | place.str.contains(KEPT_IN) | vms["template"].fillna(False)
    return inner.fillna(False).astype(bool)


def _platform(inventory: Inventory, images: pd.DataFrame) -> str:
    paths = inventory.disks["path"].dropna()
    texts = pd.concat([images["vm"], images["folder"], inventory.snapshots["name"], paths, inventory.files["file"]])
    texts = texts.dropna().drop_duplicates()
    return next((name for name, form in PLATFORMS if texts.str.contains(form).any()), "")


def _patterns(name: str, value: object) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, Iterable) or not (patterns := tuple(found)):
        raise ParameterError(name, value, "a pattern such as 'VDI-*' is needed", "Leave it out to look for desktops.")
    for one in patterns:
        if not isinstance(one, str) or not one.strip():
            raise ParameterError(name, one, "a pattern such as 'VDI-*' is needed", "Leave it out to look for desktops.")
    return patterns


def _asked(inventory: Inventory, vms: pd.DataFrame, asked: dict[str, tuple[str, ...]]) -> tuple[pd.DataFrame, str]:
    columns = {"select": "vm", "folder": "folder", "pool": "resource_pool", "cluster": "cluster"}
    chosen = vms
    for name, patterns in asked.items():
        texts = chosen[columns[name]].fillna("")
        fits = [any(fnmatchcase(text.lower(), one.strip().lower()) for one in patterns) for text in texts]
        left = chosen[fits]
        if left.empty:
            known = list(dict.fromkeys(texts[texts != ""]))
            told = f"; they have {', '.join(known[:MOST_NAMED])}{', ...' if len(known) > MOST_NAMED else ''}"
            problem = f"{name} {', '.join(map(repr, patterns))} fits none of {len(chosen)} virtual machines"
            remedy = "* stands for any letters, ? for one; templates and replicas do not count."
            raise InventoryError(inventory.source, problem + (told if known else ""), remedy)
        chosen = left
    first = asked.get("select") or next(iter(asked.values()))
    return chosen, _label(re.sub(r"\[.*?\]|[*?]", "", first[0]).rsplit("/", 1)[-1])


def _label(text: str) -> str:
    """Name of a pool from a series or a pattern."""
    name = "".join(letter for letter in text.replace("#", "") if letter.isprintable()).strip(" -_./\\")
    return name[:LONGEST_NAME].strip() or "desktops"


def _found(inventory: Inventory, vms: pd.DataFrame) -> tuple[pd.DataFrame, str, str, tuple[str, ...]]:
    """The largest series of the first rule that finds any."""
    table = _evidence(inventory, vms)
    groups = table.groupby("series", sort=True)
    size, share = groups.size(), groups[["clone", "client", "words"]].mean()
    rules = (
        ("their disks are deltas whose base lies elsewhere", share["clone"] >= 0.5),
        ("numbered machines with a Windows for desktops", (share["client"] >= 0.5) & (size >= SMALL)),
        ("named as desktops, by themselves, their folder or annotation", (share["words"] >= 0.5) & (size > 1)),
    )
    for rule, fits in rules:
        if fits.any():
            found = size[fits].sort_values(ascending=False, kind="stable")
            series = found.index[0]
            chosen = vms[table["series"] == series]
            written = LAST_NUMBER.sub("#", str(chosen["vm"].iloc[0]))
            return chosen, _label(written), f"{rule} (series {written})", _others(found, series)
    chosen = vms[table["client"]]
    if chosen.empty:
        problem = f"none of {len(vms)} virtual machines is plainly a desktop: no deltas whose base lies elsewhere, no "
        problem += "Windows for desktops, no names that say so"
        names = ", ".join(vms["vm"].head(MOST_NAMED))
        remedy = f"Name them: select='VDI-*' (--select 'VDI-*'); the machines are {names}"
        raise InventoryError(inventory.source, problem, remedy + ("." if len(vms) <= MOST_NAMED else ", ..."))
    rule = "machines with a Windows for desktops, whatever their names"
    return chosen, "desktops", rule, ("Desktops form no numbered series: all with a Windows for desktops are taken.",)


def _others(found: pd.Series, taken: str) -> tuple[str, ...]:
    others = [f"{str(series).replace('#', '*')} ({count})" for series, count in found.items() if series != taken]
    if not others:
        return ()
    shown = ", ".join(others[:MOST_NAMED]) + (", ..." if len(others) > MOST_NAMED else "")
    return (f"{len(others)} further pools: {shown}; select= takes one of them, or several as one pool.",)


def _evidence(inventory: Inventory, vms: pd.DataFrame) -> pd.DataFrame:
    """By machine: its series, and whether it is a clone, has a desktop's system, is called a desktop."""
    system = vms["os_tools"].fillna(vms["os_config"]).fillna("")
    server = system.str.contains(SERVER)
    texts = [vms[name].fillna("") for name in ("vm", "folder", "resource_pool", "annotation")]
    words = pd.concat([one.str.contains(WORDS) for one in texts], axis=1).any(axis=1)
    named = inventory.snapshots[inventory.snapshots["name"].str.contains(COMPOSER).fillna(False)]
    composed = vms["vm"].isin(named["vm"])
    clone = composed | based_elsewhere(inventory, vms) | (_chained(inventory, vms) & ~server)
    told = {"clone": clone, "client": system.str.contains(CLIENT) & ~server, "words": words & ~server}
    series = vms["vm"].str.lower().str.replace(LAST_NUMBER, "#", regex=True)
    return pd.DataFrame({name: column.fillna(False).astype(bool) for name, column in told.items()}).assign(
        series=series
    )


def based_elsewhere(inventory: Inventory, vms: pd.DataFrame) -> pd.Series:
    """Machines with delta disks of which no base lies in their folder, by vFileInfo. (n,) boolean series."""
    files = inventory.files
    names = files["file"].str.lower().fillna("")
    home = homes(files["friendly_path"].fillna(files["path"]))
    stem = home + "|" + names.str.replace(r"(?:-\d{6})?(?:-(?:delta|sesparse|flat))?\.vmdk$", "", regex=True)
    bases = set(stem[names.str.endswith("-flat.vmdk")].dropna())
    deltas = is_delta_name(files["file"]) & ~stem.isin(bases)
    return homes(vms["path"]).isin(home[deltas].dropna()).astype(bool)


def _chained(inventory: Inventory, vms: pd.DataFrame) -> pd.Series:
    """Machines whose disk is a delta though no snapshot of theirs is listed. (n,) boolean series."""
    if any(note.startswith("vSnapshot: no such tab") for note in inventory.notes):
        return pd.Series(False, vms.index)
    disks = inventory.disks[inventory.disks["path"].str.contains(CHAIN).fillna(False)]
    known = vms["vm"].isin(disks["vm"]) & ~vms["vm"].isin(inventory.snapshots["vm"])
    return known & ~vms["consolidation_needed"].fillna(False)


def _odd(inventory: Inventory, vms: pd.DataFrame) -> tuple[str, ...]:
    """What speaks against the choice."""
    notes = []
    server = vms["os_tools"].fillna(vms["os_config"]).fillna("").str.contains(SERVER)
    if server.any():
        notes.append(f"{int(server.sum())} of {len(vms)} desktops have a server's or no Windows system.")
    off = vms["powerstate"].str.lower().eq("poweredoff").fillna(False)
    if off.any():
        notes.append(f"{int(off.sum())} of {len(vms)} desktops are powered off; they count as clones.")
    home = homes(inventory.files["friendly_path"].fillna(inventory.files["path"]))
    flat = home[inventory.files["file"].str.lower().str.endswith("-flat.vmdk").fillna(False)]
    full = homes(vms["path"]).isin(flat.dropna()) & ~based_elsewhere(inventory, vms)
    if full.any():
        notes.append(
            f"{int(full.sum())} of {len(vms)} desktops have a whole disk of their own; the model takes them for clones."
        )
    twice = vms["vm"].duplicated()
    if twice.any():
        notes.append(f"{int(twice.sum())} desktops have the name of another one; rows without identifiers mix them.")
    return tuple(notes)
