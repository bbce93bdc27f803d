"""What HA's admission control promises: slots, desktops that may be powered on, and host failures it claims to bear.

All of it is a rule's view. `clonesim.planning.host_load` tells what the hosts' memory and processors say to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from clonesim.errors import ParameterError
from clonesim.planning.cluster import TOPIC, Cluster
from clonesim.scenario import catalog
from clonesim.units import format_size


@dataclass(frozen=True, slots=True)
class Slot:
    """What admission control counts for one desktop, and how many of it a host has.

    Attributes
    ----------
    cpu : int
        Processor part. [MHz]
    memory : int
        Memory part. [B]
    by_cpu, by_memory : int
        Whole slots of a host by either part. [1]
    """

    cpu: int
    memory: int
    by_cpu: int
    by_memory: int

    @property
    def per_host(self) -> int:
        """Slots of a host. [1]"""
        return min(self.by_cpu, self.by_memory)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Desktops that a rule admits.

    Attributes
    ----------
    by_cpu, by_memory : int
        By either resource alone. [1]
    """

    by_cpu: int
    by_memory: int

    @property
    def desktops(self) -> int:
        """The smaller of both. [1]"""
        return min(self.by_cpu, self.by_memory)

    @property
    def binding(self) -> str:
        """Resource that runs out first: "cpu" or "memory"."""
        return "cpu" if self.by_cpu < self.by_memory else "memory"


def slot_size(made: Cluster) -> Slot:
    """Slot of a cluster whose desktops are alike.

    Processor: the reservation, or the era's least (256 MHz up to vSphere 4.1, 32 MHz after) where it is larger. Memory:
    reservation and overhead, or the era's least (256 MiB under Virtual Infrastructure 3, none after).
    """
    least = catalog.group(TOPIC, made.era)
    cpu = max(least["slot_cpu"].default, made.cpu_reservation)
    memory = max(1, least["slot_memory"].default, made.reserved + made.overhead)
    return Slot(cpu, memory, made.host_cpu // cpu, made.host_memory // memory)


def reservable(made: Cluster) -> Admitted:
    """Desktops that one host can run at all: their reservations and overheads must be had, and a host has a maximum."""
    by_cpu = made.host_cpu // made.cpu_reservation if made.cpu_reservation else made.desktops
    by_memory = made.host_memory // max(1, made.reserved + made.overhead)
    return Admitted(min(by_cpu, made.desktops), min(by_memory, made.desktops))


def admitted(made: Cluster, hosts: int | None = None) -> Admitted:
    """Desktops that admission control lets be powered on, with so many hosts left.

    Parameters
    ----------
    made : Cluster
        Hosts, desktops and rule.
    hosts : int, optional
        Hosts that are left; all by default. [1]

    Notes
    -----
    slots: those of all hosts but `failures_tolerated`. percentage: the cluster's sum of either resource less the share
    kept free; whether a single host has room is not looked at. dedicated, none: what can be reserved on the hosts that
    run desktops.
    """
    left = _hosts(made, hosts)
    if made.admission in ("dedicated", "none"):
        each, running = reservable(made), made.running_hosts(left)
        return Admitted(running * each.by_cpu, running * each.by_memory)
    slot = slot_size(made)
    if made.admission == "slots":
        counted = max(0, left - made.failures_tolerated)
        return Admitted(counted * slot.by_cpu, counted * slot.by_memory)
    kept = kept_share(made, left)
    return Admitted(*(math.floor(left * (1 - kept) * Fraction(each, one)) for each, one in _resources(made, slot)))


def kept_share(made: Cluster, hosts: int | None = None) -> Fraction:
    """Share of the resources that "percentage" keeps free, with so many hosts left. [1]"""
    left = _hosts(made, hosts)
    if made.reserve_share is not None:
        return Fraction(str(made.reserve_share))
    return min(Fraction(made.failures_tolerated, left), Fraction(1)) if left else Fraction(1)


def claimed_failures(made: Cluster, desktops: int, hosts: int | None = None) -> int:
    """Further host failures that the rule claims to bear with so many desktops on, and so many hosts left. [1]

    Notes
    -----
    slots: hosts left less those that the desktops' slots fill, rounded up. percentage: the same with the cluster's sums
    in place of whole slots. dedicated: failover hosts that are left. none: nothing is claimed. One host must be left.
    """
    left = _hosts(made, hosts)
    if made.admission == "none" or left == 0:
        return 0
    if made.admission == "dedicated":
        standby = left - made.running_hosts(left)
        return standby if desktops <= admitted(made, left).desktops else 0
    slot = slot_size(made)
    if made.admission == "slots":
        filled = -(-desktops // slot.per_host) if slot.per_host else left
    else:
        filled = max(math.ceil(desktops * Fraction(one, each)) for each, one in _resources(made, slot))
    return max(0, min(left - filled, left - 1))


def check_power_on(made: Cluster, running: int, more: int = 1, hosts: int | None = None) -> None:
    """Refuse what admission control refuses.

    Parameters
    ----------
    made : Cluster
        Hosts, desktops and rule.
    running : int
        Desktops that are on. [1]
    more : int, default 1
        Desktops to be powered on. [1]
    hosts : int, optional
        Hosts that are left; all by default. [1]

    Raises
    ------
    ParameterError
        If the rule would fall below the configured failover level, or reservations cannot be had.
    """
    for name, number in (("running", running), ("more", more)):
        if number < 0:
            raise ParameterError(name, number, "0 or more is needed", "Check the sign.")
    left = _hosts(made, hosts)
    rule = admitted(made, left)
    each = reservable(made)
    can = made.running_hosts(left) * each.desktops
    asked = running + more
    if more and asked > min(rule.desktops, can):
        raise ParameterError("desktops", asked, _refusal(made, rule, can, left), _remedy(made))


def _refusal(made: Cluster, rule: Admitted, can: int, left: int) -> str:
    where = f"{left} host{'s' if left != 1 else ''}"
    if can < rule.desktops:
        return f"{where} can run {can} desktops of {format_size(made.reserved + made.overhead)} reserved memory"
    if made.admission in ("dedicated", "none"):
        return f"{where}, {made.running_hosts(left)} of them running desktops, have reservations for {rule.desktops}"
    slot = slot_size(made)
    if made.admission == "slots":
        failures = made.failures_tolerated
        kept = f"{failures} failure{'s' if failures != 1 else ''} tolerated"
    else:
        kept = f"{float(kept_share(made, left)):.1%} kept free"
    counted = f"{slot.cpu} MHz and {format_size(slot.memory)} a desktop"
    return f"{where} with {kept} admit {rule.desktops}: {rule.by_cpu} by cpu, {rule.by_memory} by memory, at {counted}"


def _remedy(made: Cluster) -> str:
    lower = {"slots": "hosts.failures_tolerated", "percentage": "the share kept free"}.get(made.admission)
    return f"Add hosts, or lower {lower}." if lower else "Add hosts, or lower the reservations."


def _resources(made: Cluster, slot: Slot) -> tuple[tuple[int, int], tuple[int, int]]:
    return (made.host_cpu, slot.cpu), (made.host_memory, slot.memory)


def _hosts(made: Cluster, hosts: int | None) -> int:
    if hosts is None:
        return made.hosts
    if not 0 <= hosts <= made.hosts:
        raise ParameterError("hosts", hosts, f"0 to {made.hosts} hosts can be left of {made.hosts}")
    return hosts
