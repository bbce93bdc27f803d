"""Which disks a clone has, and on which of them each write source writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.guest.activity import Activity
from clonesim.scenario import catalog
from clonesim.scenario.strategy import Choice
from clonesim.units import MIB

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

OS: Final = 0  # place of the system disk
AWAY: Final = -1  # written on no disk of the clone's: programs that run from packages
LUN, OTHER, SHARE = "lun", "other", "share"  # on the clone's LUN, on other datastores, on a file share
NEVER, REFRESH, POWER_OFF, BOOT = "never", "refresh", "power-off", "boot"  # when a disk is emptied
TURN, LOGOFF = "turn", "logoff"  # when a disk may give space back
WIPE, DISCARD, ZERO = "wipe", "discard", "zero"  # how
INSTALLED: Final = ("app-install", "application-updates")  # what packaged programs no longer write

RENEWED: Final = ("recompose", "instant-clone", "provisioned-streaming", "mcs")  # are patched by a new image
_ROUTES: Final = {  # strategy -> name of its disk, tier, where it lies, when it is emptied
    "persistent-disk": ("persistent", "user-data", OTHER, NEVER),
    "disposable-disk": ("disposable", "disposable", LUN, POWER_OFF),
    "profile-container": ("container", "share", SHARE, NEVER),
}


@dataclass(frozen=True, slots=True)
class Reclaim:
    """When a disk gives back what the guest no longer uses.

    Attributes
    ----------
    when : str
        `TURN`, at times of its own, or `LOGOFF`.
    method : str
        `WIPE`, `DISCARD` or `ZERO`.
    least : int
        Done only if more than this can be recovered. [B]
    share : float
        And if that is at least this share of the file. [1]
    file_least : int
        And if the file is larger than this. [B]
    """

    when: str
    method: str
    least: int
    share: float = 0.0
    file_least: int = 0


@dataclass(frozen=True, slots=True)
class Turns:
    """What happens to one disk of one clone from outside.

    Attributes
    ----------
    emptied_s : (n,) float64 array
        When it is emptied, in order. [s]
    reclaimed_s : (n,) float64 array
        When it may give space back, in order. [s]
    """

    emptied_s: NDArray[np.float64]
    reclaimed_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of a clone.

    Attributes
    ----------
    name : str
        "os", "persistent", "disposable", "page" or "container".
    tier : str
        What its space is counted as: "os-delta", "user-data", "disposable" or "share".
    where : str
        `LUN`, `OTHER` or `SHARE`.
    emptied : str
        `NEVER`, `REFRESH`, `POWER_OFF` or `BOOT`.
    size : int
        As the guest sees it. [B]
    reclaim : Reclaim or None
        When it gives space back.
    requests : float
        Requests where it lies for each request of the clone's. [1]
    """

    name: str
    tier: str
    where: str
    emptied: str
    size: int
    reclaim: Reclaim | None = None
    requests: float = 1.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Disks of a clone and what lies on them; made by `Layout.of`.

    Attributes
    ----------
    disks : tuple of Disk
        The system disk first.
    route : (sources,) int8 array
        Place of the disk on which each source writes, by its index.
    away : float
        Share of what installed programs write that is written on no disk. [1]
    installed : (sources,) bool array
        Sources that this is about.
    """

    disks: tuple[Disk, ...]
    route: NDArray[np.int8]
    away: float
    installed: NDArray[np.bool_]

    @classmethod
    def of(cls, scenario: Scenario, activity: Activity) -> Self:
        """Disks of a scenario's clones."""
        disks = [system_disk(scenario)]
        route = np.zeros(len(activity.names), np.int8)
        tags = np.array(activity.tags)
        tags[0] = ""  # the file system's own metadata are each disk's own
        for choice in scenario.strategy:
            for disk, moved in _second_disks(choice, scenario):
                mine = np.isin(tags, moved) & (route == OS)
                if mine.any() or choice.name in _ROUTES:
                    route[mine] = len(disks)
                    disks.append(disk)
        packaged = scenario.chosen("application-virtualization") or scenario.chosen("app-attach")
        away = float(packaged.value("share")) if packaged else 0.0
        return cls(tuple(disks), route, away, np.isin(activity.names, INSTALLED))

    @property
    def plain(self) -> bool:
        """Whether everything is written on the system disk."""
        return len(self.disks) == 1 and not self.away

    def disk_of(self, ops: NDArray[np.void], first_file: int = 0) -> NDArray[np.int8]:
        """Place of the disk that each operation writes to, or `AWAY`; all operations on a file go the same way.

        Files are told by their number from `first_file` on, which depends on the base image.
        """
        found: NDArray[np.int8] = self.route[ops["source"]]
        if self.away:
            packaged = self.installed[ops["source"]] & (_unit(ops["file"] - first_file) < self.away)
            found = np.where(packaged, np.int8(AWAY), found)
        return found


def system_disk(scenario: Scenario) -> Disk:
    """The system disk of a scenario's clones."""
    emptied, rule = REFRESH, None
    streamed, mcs, choice = (scenario.chosen(name) for name in ("provisioned-streaming", "mcs", "space-reclaim"))
    if streamed or (mcs and mcs.value("reset")):
        emptied = BOOT
    if choice:
        rule = Reclaim(TURN, str(choice.value("method")), int(choice.value("threshold")))
    return Disk("os", "os-delta", LUN, emptied, scenario.guest.disk, rule)


def _second_disks(choice: Choice, scenario: Scenario) -> Iterator[tuple[Disk, list[str]]]:
    """Disks that a strategy adds, and the tags of what moves there."""
    if choice.name in _ROUTES:
        name, tier, where, emptied = _ROUTES[choice.name]
        if choice.name == "persistent-disk" and choice.value("where") == "same":
            where = LUN
        rule, requests = None, 1.0
        if choice.name == "profile-container":
            requests = float(choice.value("smb_requests"))
            if choice.value("compaction"):
                share, least = float(choice.value("compaction_share")), int(choice.value("compaction_least"))
                rule = Reclaim(LOGOFF, WIPE, 0, share, least)
        yield Disk(name, tier, where, emptied, int(choice.value("size")), rule, requests), list(choice.value("tags"))
    elif choice.name == "guest-tuning" and choice.value("page_file") and scenario.guest.page_file:
        size = int(choice.value("page_disk") * scenario.guest.page_file)
        yield Disk("page", "disposable", OTHER, NEVER, -(-size // MIB) * MIB), ["page"]


def disks_of(scenario: Scenario) -> tuple[Disk, ...]:
    """Disks of a scenario's clones."""
    from clonesim.pool.desktop import activity_of

    made = effective(scenario)
    return Layout.of(made, activity_of(made)).disks


def on_the_lun(scenario: Scenario) -> NDArray[np.int8]:
    """Places of the disks that lie on the clones' LUN."""
    places = [place for place, disk in enumerate(disks_of(scenario)) if disk.where == LUN]
    return np.array(places, np.int8)


def _unit(number: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number from 0 to 1 for each file, the same for every strategy: SplitMix64's output."""
    with np.errstate(over="ignore"):
        z = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def effective(scenario: Scenario) -> Scenario:
    """The scenario with what its strategies change of guest, hosts and delta."""
    from clonesim.scenario.load import load_scenario

    guest: dict[str, object] = {}
    hosts: dict[str, object] = {}
    sources: dict[str, dict[str, object]] = {}
    for choice in scenario.strategy:
        if choice.name in RENEWED and choice.all().get("reset", True):
            guest["servicing"] = "in-image"  # patches come with the image
        elif choice.name == "memory-reservation":
            hosts["memory_reservation"] = choice.value("share")
        elif choice.name == "smaller-free-space":
            guest["disk"] = min(scenario.guest.disk, scenario.guest.used + int(choice.value("free")))
        elif choice.name == "guest-tuning":
            sources |= _tuned(choice, scenario)
    if not (guest or hosts or sources):
        return scenario
    workload = {"sources": sources} if sources else {}
    return load_scenario(scenario, guest=guest, hosts=hosts, workload=workload)


def _tuned(choice: Choice, scenario: Scenario) -> dict[str, dict[str, object]]:
    """Sources that guest tuning switches off, as far as the system has them."""
    switches = {
        "defragmentation": ("defragmentation", "boot-defragmentation"),
        "prefetch": ("prefetch", "superfetch"),
        "search": ("search-index", "search-index-log"),
    }
    known = set(_sources_of(scenario.guest.os))
    off = [name for switch, names in switches.items() if choice.value(switch) for name in names if name in known]
    found: dict[str, dict[str, object]] = {name: {"enabled": False} for name in off}
    if choice.value("browser_cache") and "browser-cache" in known:
        found["browser-cache"] = {"cap": choice.value("browser_cache_cap")}
    return found


def _sources_of(os: str) -> list[str]:
    cited = catalog.parameters("activity")
    return [name for name in catalog.names("activity") if os in cited[f"{name}.os"].range]
