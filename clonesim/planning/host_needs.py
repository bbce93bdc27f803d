"""How many hosts a pool needs, and how many of them share a LUN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from clonesim.errors import ParameterError
from clonesim.lun.backing import Backing, backing
from clonesim.planning.cluster import Cluster
from clonesim.planning.ha import kept_share, reservable, slot_size

COUNTING = ("slots", "percentage")  # admission controls that count every desktop


@dataclass(frozen=True, slots=True)
class HostsNeeded:
    """Hosts to buy for a number of desktops.

    Attributes
    ----------
    hosts : int
        All: `running` and `spare`. [1]
    running : int
        Hosts that the desktops fill. [1]
    spare : int
        Hosts for failures: as many as are tolerated, in each cluster. [1]
    clusters : int
        Groups of hosts that share a replica. [1]
    desktops_per_host : int
        Most on a host while the tolerated number has failed. [1]
    binding : str
        Limit that this comes from: "memory", "cpu", "reservations" or "admission".
    per_host : dict
        Desktops of a host by each limit. [1]
    """

    hosts: int
    running: int
    spare: int
    clusters: int
    desktops_per_host: int
    binding: str
    per_host: dict[str, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """Who shares what.

    Attributes
    ----------
    hosts_per_lun : int
        Hosts that have a LUN's replica open, and so meet at its lock. [1]
    clusters : int
        Groups of hosts with replicas of their own. [1]
    luns_per_host : int
        LUNs that a host uses: those of its group, rounded up. [1]
    desktops_per_host : int
        Mean, rounded up, with all hosts. [1]
    desktops_per_lun : int
        Mean, rounded up. [1]
    desktops_per_lun_and_host : float
        Mean of one host's desktops on one LUN. [1]
    """

    hosts_per_lun: int
    clusters: int
    luns_per_host: int
    desktops_per_host: int
    desktops_per_lun: int
    desktops_per_lun_and_host: float


def per_host_limits(made: Cluster) -> dict[str, int]:
    """Desktops that a host takes without reclaiming memory, by each limit. [1]"""
    fullest = made.host_cpu * Fraction(str(made.cpu_fullest))
    limits = {
        "memory": made.room // made.desktop_memory,
        "cpu": math.floor(fullest / Fraction(str(made.cpu))) if made.cpu else made.desktops,
        "reservations": reservable(made).desktops,
    }
    return {**limits, "admission": slot_size(made).per_host} if made.admission in COUNTING else limits


def hosts_needed(
    made: Cluster, desktops: int, tolerate: int | None = None, where: str | Backing | None = None
) -> HostsNeeded:
    """Hosts for so many desktops, so that the rest bears them after the failures that are tolerated.

    Parameters
    ----------
    made : Cluster
        A host, a desktop and the rule; its number of hosts is not looked at.
    desktops : int
        Desktops that run. [1]
    tolerate : int, optional
        Failures in each cluster; as configured by default. [1]
    where : str or Backing, optional
        Backing of the LUNs: its limit of hosts per replica splits the hosts into clusters.

    Raises
    ------
    ParameterError
        If a cluster would have no host beside the spare ones, or a host cannot take one desktop.
    """
    spare = made.failures_tolerated if tolerate is None else tolerate
    if desktops < 0:
        raise ParameterError("desktops", desktops, "0 or more is needed", "Check the sign.")
    most = cluster_limit(made, where)
    if not 0 <= spare < most:
        allowed = f"a cluster has at most {most} hosts, so 0 to {most - 1} can be spare"
        raise ParameterError("tolerate", spare, allowed, "Tolerate fewer failures.")
    limits = per_host_limits(made)
    binding = min(limits, key=lambda name: limits[name])
    each = limits[binding]
    if each < 1:
        allowed = f"a host takes no desktop by {binding}"
        raise ParameterError("hosts", 0, allowed, "Take larger hosts or smaller desktops.")
    running = -(-desktops // each)
    clusters = -(-running // (most - spare))
    hosts = running + clusters * spare
    if made.admission == "percentage" and made.reserve_share is not None:
        by_share = _by_share(made, desktops)
        if by_share > hosts:
            hosts, binding = by_share, "admission"
            clusters = max(clusters, -(-hosts // most))
    return HostsNeeded(hosts, running, hosts - running, clusters, each, binding, limits)


def _by_share(made: Cluster, desktops: int) -> int:
    """Hosts whose sum, less the share kept free by hand, admits the desktops."""
    slot, free = slot_size(made), 1 - kept_share(made)
    needs = (Fraction(slot.cpu, made.host_cpu), Fraction(slot.memory, made.host_memory))
    return max(math.ceil(desktops * need / free) for need in needs)


def cluster_limit(made: Cluster, where: str | Backing | None = None) -> int:
    """Most hosts in a cluster: the product's, or the backing's hosts per replica where that is less. [1]"""
    if where is None:
        return made.cluster_hosts
    kind = backing(where) if isinstance(where, str) else where
    if not kind.shared:
        return 1
    return min(made.cluster_hosts, kind.replica_hosts or made.cluster_hosts)


def layout(made: Cluster, desktops: int, luns: int, where: str | Backing) -> Layout:
    """Who shares what, if desktops are spread evenly over LUNs and hosts.

    Parameters
    ----------
    made : Cluster
        The hosts.
    desktops, luns : int
        In all. [1]
    where : str or Backing
        Backing of the LUNs. Hosts beyond its hosts per replica make groups, each with LUNs of its own.
    """
    if luns < 1:
        raise ParameterError("luns", luns, "1 or more is needed", "Give the number of datastores.")
    most = cluster_limit(made, where)
    clusters = -(-made.hosts // most)
    if luns < clusters:
        allowed = f"{made.hosts} hosts make {clusters} groups of at most {most}, each with LUNs of its own"
        raise ParameterError("luns", luns, allowed, f"Take {clusters} or more.")
    hosts = -(-made.hosts // clusters)
    running = made.running_hosts(made.hosts)
    return Layout(
        hosts_per_lun=hosts,
        clusters=clusters,
        luns_per_host=-(-luns // clusters),
        desktops_per_host=-(-desktops // running),
        desktops_per_lun=-(-desktops // luns),
        desktops_per_lun_and_host=desktops / (luns * running / clusters),
    )
