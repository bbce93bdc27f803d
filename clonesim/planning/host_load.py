"""What memory and processors say after host failures: page sharing, ballooning, swapping, and the swap files' I/O.

Beside each promise of admission control the truth, failure after failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.cluster import Cluster
from clonesim.planning.ha import admitted, claimed_failures, reservable, slot_size

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FAILURES = (
    "failures",
    "hosts",
    "slots",
    "admitted",
    "claimed",
    "level_kept",
    "planned",
    "holds",
    "holds_for",
    "desktops",
    "down",
    "desktops_max",
    "memory_share",
    "memory_share_max",
    "cpu_share",
    "shared_bytes",
    "ballooned_bytes",
    "swapped_bytes",
    "swap_read_iops",
    "swap_write_iops",
    "swap_iops_per_lun",
)


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Load of the hosts that run desktops; an array has one value per host.

    Attributes
    ----------
    desktops : (hosts,) int64 array
        Desktops on it. [1]
    demand : (hosts,) int64 array
        Memory that they want: consumed and overhead. [B]
    shared, ballooned, swapped : (hosts,) int64 array
        What page sharing, balloons and swapping take from them, in this order. [B]
    cpu : (hosts,) float64 array
        What they want of the processors. [MHz]
    swap_in : (hosts,) float64 array
        Pages read from swap files; as many are written, since memory is full. [1/s]
    down : int
        Desktops for which no host has room: their reservations or overheads cannot be had. [1]
    """

    desktops: Ints
    demand: Ints
    shared: Ints
    ballooned: Ints
    swapped: Ints
    cpu: Floats
    swap_in: Floats
    down: int

    @property
    def reclaimed(self) -> int:
        """Memory that desktops want and do not have, on all hosts. [B]"""
        return int((self.shared + self.ballooned + self.swapped).sum())


def host_load(made: Cluster, desktops: int, hosts: int | None = None) -> HostLoad:
    """Load of so many hosts, over which the desktops are spread evenly.

    Parameters
    ----------
    made : Cluster
        Hosts and what a desktop takes.
    desktops : int
        Desktops that shall run. [1]
    hosts : int, optional
        Hosts that are left, failover hosts included; all by default. [1]

    Notes
    -----
    What the demand exceeds `room` by is taken in this order: page sharing up to `shareable` of each desktop; balloons
    up to `balloon`, but neither active nor reserved memory; swapping up to all but what is reserved. Swapping takes
    pages blindly, so the share of active ones among them is that among all that are left. Each of those is touched once
    in `touch_interval`, read from the swap file, and another page is written in its place. That is what the desktops
    ask for; a slower array slows them down. Guests page what a balloon takes into their own page files; as it is idle
    memory, that I/O comes once and is not counted.
    """
    left = made.hosts if hosts is None else hosts
    if not 0 <= left <= made.hosts:
        raise ParameterError("hosts", hosts, f"0 to {made.hosts} hosts can be left of {made.hosts}")
    if desktops < 0:
        raise ParameterError("desktops", desktops, "0 or more is needed", "Check the sign.")
    running = made.running_hosts(left)
    kept = min(desktops, running * reservable(made).desktops)
    n = _spread(kept, running)
    demand = n * made.desktop_memory
    short = np.maximum(demand - made.room, 0)
    shared = np.minimum(short, n * made.shareable)
    idle = max(0, min(made.balloon, made.consumed - made.shareable - max(made.active, made.reserved)))
    ballooned = np.minimum(short - shared, n * idle)
    pages = n * made.consumed - shared - ballooned
    swapped = np.minimum(short - shared - ballooned, np.maximum(pages - n * made.reserved, 0))
    active = np.minimum(n * made.active, pages) / np.maximum(pages, 1)
    return HostLoad(
        desktops=n,
        demand=demand,
        shared=shared,
        ballooned=ballooned,
        swapped=swapped,
        cpu=np.asarray(n * made.cpu, np.float64),
        swap_in=swapped / made.page * active / made.touch_interval,
        down=desktops - kept,
    )


def _spread(desktops: int, hosts: int) -> Ints:
    if hosts == 0:
        return np.zeros(0, np.int64)
    return desktops // hosts + (np.arange(hosts) < desktops % hosts).astype(np.int64)


def holds(made: Cluster, desktops: int, hosts: int | None = None) -> bool:
    """Whether so many hosts bear the desktops: all run, nothing is reclaimed, no host's processors are overloaded."""
    return _bears(made, host_load(made, desktops, hosts))


def _bears(made: Cluster, load: HostLoad) -> bool:
    return not load.down and not load.reclaimed and bool((load.cpu <= made.host_cpu).all())


def failures(made: Cluster, desktops: int, luns: int = 1, most: int | None = None) -> pd.DataFrame:
    """Promise and truth while hosts fail one after another: the "known good state" is forgotten each time.

    Parameters
    ----------
    made : Cluster
        Hosts, desktops and rule.
    desktops : int
        Desktops that run before the first failure. [1]
    luns : int, default 1
        LUNs that the swap files lie on, evenly. [1]
    most : int, optional
        Failures looked at; by default until one host is left. [1]

    Returns
    -------
    DataFrame
        A row per number of failures, 0 first; columns `FAILURES`. Of the rule: hosts (left), slots (of those hosts),
        admitted (desktops that it would let be powered on), claimed (further failures that it claims to bear),
        level_kept (whether that is what was configured), planned (what is left of the failures planned for). Of the
        hosts: holds (whether `holds` says so), holds_for (further failures for which it stays so), desktops (running),
        down (that no host can take), desktops_max (on the fullest host), memory_share and cpu_share (what is wanted, of
        what the running hosts have), memory_share_max (of the fullest), shared_bytes, ballooned_bytes, swapped_bytes,
        swap_read_iops, swap_write_iops, swap_iops_per_lun (both together).

    Notes
    -----
    After each failure the rule counts anew with the hosts that are left, as if nothing had been lost, and the
    survivors' desktops and the restarted ones are spread evenly. Desktops that no host can take stay down.
    """
    if luns < 1:
        raise ParameterError("luns", luns, "1 or more is needed", "Give the number of datastores.")
    last = made.hosts - 1 if most is None else most
    if not 0 <= last < made.hosts:
        raise ParameterError("most", last, f"0 to {made.hosts - 1} of {made.hosts} hosts can fail and leave one")
    rows: list[dict[str, Any]] = []
    running = desktops
    for failed in range(last + 1):
        hosts = made.hosts - failed
        row = {"failures": failed, **_promise(made, running, hosts), **_truth(made, running, hosts, luns)}
        running = row["desktops"]
        row["planned"] = max(0, made.failures_tolerated - failed)
        row["holds_for"] = _holds_for(made, running, hosts)
        row["down"] = desktops - running
        rows.append(row)
    return pd.DataFrame(rows, columns=list(FAILURES))


def _promise(made: Cluster, desktops: int, hosts: int) -> dict[str, Any]:
    claimed = claimed_failures(made, desktops, hosts)
    return {
        "hosts": hosts,
        "slots": hosts * slot_size(made).per_host,
        "admitted": admitted(made, hosts).desktops,
        "claimed": claimed,
        "level_kept": claimed >= made.failures_tolerated,
    }


def _truth(made: Cluster, desktops: int, hosts: int, luns: int) -> dict[str, Any]:
    load = host_load(made, desktops, hosts)
    wanted, swap = load.demand / made.host_memory, float(load.swap_in.sum())
    return {
        "holds": _bears(made, load),
        "desktops": int(load.desktops.sum()),
        "desktops_max": int(load.desktops.max()),
        "memory_share": float(wanted.mean()),
        "memory_share_max": float(wanted.max()),
        "cpu_share": float((load.cpu / made.host_cpu).mean()),
        "shared_bytes": int(load.shared.sum()),
        "ballooned_bytes": int(load.ballooned.sum()),
        "swapped_bytes": int(load.swapped.sum()),
        "swap_read_iops": swap,
        "swap_write_iops": swap,
        "swap_iops_per_lun": 2 * swap / luns,
    }


def _holds_for(made: Cluster, desktops: int, hosts: int) -> int:
    """Further failures after which the hosts still bear the desktops; fewer hosts never bear more."""
    if not holds(made, desktops, hosts):
        return 0
    return next((k for k in range(hosts) if not holds(made, desktops, hosts - k - 1)), hosts - 1)
