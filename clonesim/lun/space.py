"""What lies on a datastore beside the deltas: swap files, logs, small disks, base images, and the reserve."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from clonesim.errors import ParameterError
from clonesim.lun.backing import TOPIC, Backing, backing, check_capacity
from clonesim.scenario import catalog

HYPERVISOR_OF = {"view": "vsphere", "horizon-8": "vsphere", "hyper-v": "hyper-v", "proxmox": "kvm"}  # else by backing
PER_CLONE, PER_LUN = "clone", "LUN"


@dataclass(frozen=True, slots=True)
class FixedSpace:
    """What lies on one datastore beside the files that grow.

    Attributes
    ----------
    table : DataFrame
        A row per kind of file: `item`, `per` ("clone" or "LUN"), `count`, `bytes` of one of them in whole allocation
        units, `total_bytes`, and `catalog`, the catalog's parameter that it follows.
    clone_bytes : int
        Sum for one clone. [B]
    fixed_bytes : int
        Sum of all: what lies there while all desktops are on. [B]
    reserve_bytes : int
        What placement keeps free. Nothing lies there, so it is not in the other sums. [B]
    """

    table: pd.DataFrame
    clone_bytes: int
    fixed_bytes: int
    reserve_bytes: int


def hypervisor_of(platform: str, where: str | Backing) -> str:
    """Hypervisor under a platform: the platform's own, or the usual one of the backing."""
    kind = backing(where) if isinstance(where, str) else where
    _check_platform(platform)
    return HYPERVISOR_OF.get(platform, kind.hypervisors[0])


def fixed_space(
    clones: int,
    capacity: int,
    memory: int,
    image: int,
    platform: str = "view",
    where: str | Backing = "vmfs-5",
    memory_reservation: float = 0.0,
    suspended: int = 0,
    replicas: int | None = None,
    replica_lun: bool = False,
    reserve: float = 0.0,
    digest: bool = False,
    hypervisor: str | None = None,
    helper_disk: int | None = None,
) -> FixedSpace:
    """Space of one datastore that is taken before a guest has written anything.

    Parameters
    ----------
    clones : int
        Desktops on this datastore, from 0 up. [1]
    capacity : int
        Its size. [B]
    memory : int
        Configured memory of a desktop. [B]
    image : int
        Space of one base image as it lies there: its used part if it is thin, its full size if it is thick. [B]
    platform : str, default "view"
        One of the tables `platforms` in the catalog's topic `backings`.
    where : str or Backing, default "vmfs-5"
        Files take whole allocation units of it.
    memory_reservation : float, default 0
        Share of the memory that is reserved, and so needs no swap file. [1]
    suspended : int, default 0
        Most desktops that are suspended at one time. Each keeps its memory in a file. [1]
    replicas : int, optional
        Base images on it; by default the platform's number. [1]
    replica_lun : bool, default False
        Whether base images lie on a datastore of their own: then none lies here.
    reserve : float, default 0
        Share of the capacity that placement keeps free. [1]
    digest : bool, default False
        Whether base images have digest files for a read cache in the hosts' memory.
    hypervisor : str, optional
        By default `hypervisor_of` the platform and backing.
    helper_disk : int, optional
        Size of each desktop's internal or identity disk; by default the platform's. [B]

    Returns
    -------
    FixedSpace
        The table and its sums.

    Raises
    ------
    ParameterError
        If a number is out of its range, or a name unknown.

    Notes
    -----
    Swap files are counted as if every desktop were on, which is when they matter. The reserve is a rule for placement:
    a datastore is full when it is full, not when the reserve is touched.
    """
    kind = backing(where) if isinstance(where, str) else where
    capacity = check_capacity(capacity)
    host = hypervisor_of(platform, kind) if hypervisor is None else _check_hypervisor(hypervisor)
    for name, number in (("clones", clones), ("memory", memory), ("image", image), ("suspended", suspended)):
        if number < 0:
            raise ParameterError(name, number, "0 or more is needed", "Check the sign.")
    if suspended > clones:
        raise ParameterError("suspended", suspended, f"{clones} desktops live here", "Suspend no more than there are.")
    if not 0 <= memory_reservation <= 1:
        raise ParameterError("hosts.memory_reservation", memory_reservation, "a share from 0 to 1 is needed")
    cited = catalog.parameters(TOPIC)
    images = cited[f"platforms.{platform}.replicas"].default if replicas is None else replicas
    if images < 0:
        raise ParameterError("replicas", images, "0 or more is needed", "Check the sign.")
    images = 0 if replica_lun else images
    if not 0 <= reserve < 1:
        raise ParameterError("luns.reserve", reserve, "a share from 0 to below 1 is needed")

    swap, suspend, log = (f"hypervisors.{host}.{name}" for name in ("swap", "suspend", "log"))
    helper = f"platforms.{platform}.helper_disk"
    own_disk = cited[helper].default if helper_disk is None else helper_disk
    unreserved = memory - int(memory * memory_reservation)
    rows = [
        ("swap file", PER_CLONE, clones, round(unreserved * cited[swap].default), swap),
        ("memory of a suspended desktop", PER_CLONE, suspended, round(memory * cited[suspend].default), suspend),
        ("logs", PER_CLONE, clones, cited[log].default, log),
        ("internal or identity disk", PER_CLONE, clones, own_disk, helper),
        ("base image", PER_LUN, images, image, f"platforms.{platform}.replicas"),
    ]
    if digest:
        share = cited["replica.digest"].default
        rows.append(("digest of a base image", PER_LUN, images, round(image * share), "replica.digest"))
    frame = pd.DataFrame(rows, columns=["item", "per", "count", "bytes", "catalog"])
    frame["bytes"] = [kind.allocated(int(size)) for size in frame["bytes"]]
    frame.insert(4, "total_bytes", frame["count"] * frame["bytes"])
    every = [size for row, size in zip(rows, frame["bytes"], strict=True) if row[1] == PER_CLONE and row is not rows[1]]
    return FixedSpace(
        table=frame,
        clone_bytes=int(sum(every)),
        fixed_bytes=int(frame["total_bytes"].sum()),
        reserve_bytes=int(capacity * reserve),
    )


def _check_platform(platform: str) -> None:
    names = _under("platforms")
    if platform not in names:
        raise ParameterError("platform.name", platform, f"allowed are {', '.join(map(repr, names))}")


def _check_hypervisor(hypervisor: str) -> str:
    names = _under("hypervisors")
    if hypervisor not in names:
        raise ParameterError("hypervisor", hypervisor, f"allowed are {', '.join(map(repr, names))}")
    return hypervisor


def _under(table: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.split(".")[0] for name in catalog.group(TOPIC, table)))
