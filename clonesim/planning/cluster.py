"""Hosts that fail over for each other, and what a desktop takes of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from clonesim.errors import ParameterError, nearest
from clonesim.scenario import catalog
from clonesim.scenario.fields import checked
from clonesim.scenario.model import Scenario
from clonesim.units import MIB, format_size

TOPIC = "hosts"
CITED = {  # what `cluster` takes, and the catalog's parameter that it is checked against
    "hosts": ("scenario", "hosts.count"),
    "host_cpu": (TOPIC, "host.cpu"),
    "host_memory": (TOPIC, "host.memory"),
    "guest_memory": ("desktops", "windows-11.memory"),
    "desktop_cpu": (TOPIC, "desktop.cpu"),
    "idle_cpu": (TOPIC, "desktop.cpu_idle"),
    "busy": (TOPIC, "desktop.busy"),
    "consumed": (TOPIC, "desktop.memory_consumed"),
    "active": (TOPIC, "desktop.memory_active"),
    "memory_reservation": ("scenario", "hosts.memory_reservation"),
    "cpu_reservation": (TOPIC, "ha.cpu_reservation"),
    "era": (TOPIC, "ha.era"),
    "admission": (TOPIC, "ha.admission"),
    "failures_tolerated": (TOPIC, "ha.failures_tolerated"),
    "reserve_share": (TOPIC, "ha.reserve_share"),
    "kept_free": (TOPIC, "host.memory_kept_free"),
    "cpu_fullest": (TOPIC, "host.cpu_fullest"),
    "page": (TOPIC, "swap.page"),
    "touch_interval": (TOPIC, "swap.touch_interval"),
}
BY_ERA = ("vcpus", "page_sharing", "balloon", "cluster_hosts", "desktops")  # these stand in the table of the era
FOLLOWS = {"reserve_share"}  # None unless given


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hosts of equal size that restart each other's desktops, and one desktop's needs. `cluster` makes it.

    Attributes
    ----------
    hosts : int
        All of them. [1]
    host_cpu : int
        All cores of a host. [MHz]
    host_memory : int
        What desktops can have of a host. [B]
    guest_memory : int
        Configured memory of a desktop. [B]
    overhead : int
        Memory that the hypervisor takes for one desktop beside it; never reclaimed. [B]
    reserved : int
        Reserved memory of a desktop: never reclaimed. [B]
    consumed : int
        Memory of a desktop that the host backs while it has plenty. [B]
    active : int
        Memory that a desktop touches within `touch_interval`. [B]
    shareable, balloon : int
        Most that page sharing and the balloon free of a desktop. [B]
    cpu : float
        Mean of desktops at work and idle ones in the worst hour. [MHz]
    cpu_reservation : int
        Of a desktop. [MHz]
    era : {"vi3", "later"}
        Rule that sizes slots.
    admission : {"slots", "percentage", "dedicated", "none"}
        Admission control.
    failures_tolerated : int
        As configured. [1]
    reserve_share : float or None
        Share kept free under "percentage"; None: `failures_tolerated` of the hosts that are left. [1]
    kept_free : float
        Share of a host's memory below which reclaiming begins. [1]
    cpu_fullest : float
        Share of a host's processors that planning fills. [1]
    page : int
        What a swap I/O moves. [B]
    touch_interval : float
        Time within which each active page is touched once. [s]
    cluster_hosts : int
        Most hosts of a cluster. [1]
    desktops : int
        Most desktops on a host, whatever their size. [1]
    """

    hosts: int
    host_cpu: int
    host_memory: int
    guest_memory: int
    overhead: int
    reserved: int
    consumed: int
    active: int
    shareable: int
    balloon: int
    cpu: float
    cpu_reservation: int
    era: str
    admission: str
    failures_tolerated: int
    reserve_share: float | None
    kept_free: float
    cpu_fullest: float
    page: int
    touch_interval: float
    cluster_hosts: int
    desktops: int

    @property
    def desktop_memory(self) -> int:
        """What a desktop takes of a host while memory is plenty, overhead included. [B]"""
        return self.consumed + self.overhead

    @property
    def room(self) -> int:
        """Memory of a host that can be full before anything is reclaimed. [B]"""
        return self.host_memory - round(self.host_memory * self.kept_free)

    def running_hosts(self, hosts: int) -> int:
        """Hosts that run desktops, of so many that are left: dedicated failover hosts run none before a failure."""
        if self.admission != "dedicated":
            return hosts
        return min(hosts, self.hosts - self.failures_tolerated)


def cluster(scenario: Scenario | None = None, **values: Any) -> Cluster:
    """Cluster of a scenario's hosts and desktops, or of the catalog's, with values that replace theirs.

    Parameters
    ----------
    scenario : Scenario, optional
        Its tables hosts, guest and users.
    **values
        hosts, host_cpu [MHz], host_memory [B], guest_memory [B], vcpus, desktop_cpu and idle_cpu [MHz], busy (share of
        the desktops at work), consumed and active (shares of the configured memory), memory_reservation (share),
        cpu_reservation [MHz], era, admission, failures_tolerated, reserve_share, kept_free, cpu_fullest, page [B],
        touch_interval [s], page_sharing and balloon (shares), cluster_hosts, desktops. Sizes and times also as text.

    Returns
    -------
    Cluster
        All sizes for one desktop in bytes.

    Raises
    ------
    ParameterError
        If a name is unknown, a value out of its range, no host would be left, or a host cannot hold one desktop.

    Examples
    --------
    >>> cluster(hosts=8, host_cpu=21000, host_memory="32 GiB", guest_memory="512 MiB", vcpus=1, era="vi3").overhead
    122347520
    """
    era = _value("era", {**_of_scenario(scenario), **values})
    cited = {name: catalog.parameters(topic)[path] for name, (topic, path) in CITED.items()}
    cited |= {name: catalog.group(TOPIC, era)[name] for name in BY_ERA}
    for name in values:
        if name not in cited:
            raise ParameterError(name, values[name], f"a cluster has {', '.join(cited)}", nearest(name, cited))
    found = {name: None if name in FOLLOWS else parameter.default for name, parameter in cited.items()}
    found |= _of_scenario(scenario)
    given = {name: value for name, value in values.items() if value is not None}
    found |= {name: checked(cited[name], value, name) for name, value in given.items()}
    _check_hosts(found, "failures_tolerated" in given)
    return _made(found)


def _value(name: str, found: dict[str, Any]) -> Any:
    topic, path = CITED[name]
    parameter = catalog.parameters(topic)[path]
    return checked(parameter, found[name], name) if found.get(name) is not None else parameter.default


def _of_scenario(scenario: Scenario | None) -> dict[str, Any]:
    if scenario is None:
        return {}
    hosts, users, seats = scenario.hosts, scenario.users, scenario.pool.clones * scenario.users.users_per_clone
    return {
        "hosts": hosts.count,
        "host_cpu": hosts.cpu,
        "host_memory": hosts.memory,
        "guest_memory": scenario.guest.memory,
        "desktop_cpu": hosts.desktop_cpu,
        "busy": min(1.0, users.count * users.peak_concurrency / seats),
        "active": hosts.desktop_memory_active,
        "memory_reservation": hosts.memory_reservation,
        "era": hosts.ha_era,
        "admission": hosts.admission,
        "failures_tolerated": hosts.failures_tolerated,
    }


def _check_hosts(found: dict[str, Any], asked: bool) -> None:
    hosts, failures = found["hosts"], found["failures_tolerated"]
    if failures >= hosts and asked:
        allowed = f"of {hosts} host{'s' if hosts > 1 else ''} at most {hosts - 1} can fail"
        raise ParameterError("failures_tolerated", failures, allowed, f"Take {hosts - 1} or less, or more hosts.")
    found["failures_tolerated"] = min(failures, hosts - 1)  # the catalog's default on a single host


def _made(found: dict[str, Any]) -> Cluster:
    memory, overhead = found["guest_memory"], memory_overhead(found["guest_memory"], found["vcpus"], found["era"])
    if memory + overhead > found["host_memory"]:
        allowed = f"a host holds at least one desktop of {format_size(memory)} and its overhead"
        raise ParameterError("host_memory", format_size(found["host_memory"]), allowed, "Raise it.")
    reserved = round(memory * found["memory_reservation"])
    consumed = max(round(memory * found["consumed"]), reserved)
    same = {field.name: found[field.name] for field in fields(Cluster) if field.name in found}
    sizes = {
        "overhead": overhead,
        "reserved": reserved,
        "consumed": consumed,
        "active": min(round(memory * found["active"]), consumed),
        "shareable": round(consumed * found["page_sharing"]),
        "balloon": round(memory * found["balloon"]),
        "cpu": found["busy"] * found["desktop_cpu"] + (1 - found["busy"]) * found["idle_cpu"],
    }
    return Cluster(**{**same, **sizes})


def memory_overhead(memory: int, vcpus: int, era: str = "later") -> int:
    """Memory that the hypervisor takes for a desktop beside the desktop's own. [B]

    Parameters
    ----------
    memory : int
        Configured memory. [B]
    vcpus : int
        Virtual processors. [1]
    era : {"vi3", "later"}, default "later"
        Which of the catalog's tables: of vSphere 4.0 or of vSphere 6.5.

    Notes
    -----
    Straight lines between the table's sizes and numbers of processors, and beyond its last two; below its first the
    first.
    """
    table: dict[int, dict[int, int]] = {}
    for name, parameter in catalog.group(TOPIC, f"{era}.overhead").items():
        size, _, processors = name.partition(".")
        table.setdefault(int(processors), {})[int(size)] = parameter.default
    by_processors = {count: _on_line(sizes, memory / MIB) for count, sizes in table.items()}
    return round(_on_line(by_processors, vcpus))


def _on_line(points: Mapping[int, float], at: float) -> float:
    """Value on straight lines through the points; the last line goes on, the first does not."""
    places = sorted(points)
    low = min(max(bisect_right(places, at) - 1, 0), len(places) - 2)
    left, right = places[low], places[low + 1]
    return points[left] + (points[right] - points[left]) * (max(at, places[0]) - left) / (right - left)
