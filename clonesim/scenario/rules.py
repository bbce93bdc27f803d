"""What tables of a scenario say about each other: combinations that cannot be are refused, with what works instead.

A rule names the values that it reads, so that it is left out where one of them is already refused for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import TypeAlias

from clonesim.errors import ParameterError, Problem
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario, fits
from clonesim.scenario.sources import TOPIC
from clonesim.scenario.storage import format_parameters
from clonesim.units import GIB, MIB, SECTOR, format_size

Problems: TypeAlias = Iterator[Problem]
Check: TypeAlias = Callable[[Scenario], Problems]

RULES: list[tuple[tuple[str, ...], Check]] = []
OVERCOMMIT = {int(cited.default): name for name, cited in catalog.group("backings", "overcommit").items()}
SAME_POOL = {"lvm-thin", "zfs", "lvm-thick-chain", "xenserver-lvm"}  # a clone lies in the pool of its origin
MOST_CLUSTERS = 2**30 - 1
FULLEST = 0.95


def check(scenario: Scenario, refused: Set[str] = frozenset()) -> list[Problem]:
    """Problems of the combinations.

    Parameters
    ----------
    scenario : Scenario
        With defaults in place of refused values.
    refused : set of str
        Paths of those values ("guest.disk"), or tables ("guest") whose name was refused.
    """
    return [
        problem
        for reads, rule in RULES
        if not any(path in refused or path.partition(".")[0] in refused for path in reads)
        for problem in rule(scenario)
    ]


def reads(*paths: str) -> Callable[[Check], Check]:
    """Register a rule with the values that it reads."""

    def register(rule: Check) -> Check:
        RULES.append((paths, rule))
        return rule

    return register


@reads("pool.clones", "platform.name")
def _clones_of_a_pool(scenario: Scenario) -> Problems:
    name, clones = scenario.platform.name, scenario.pool.clones
    most = catalog.group("platforms", name)["clones"].range[1]
    if clones > most:
        yield Problem("pool.clones", clones, f"a pool of {name} has at most {most} clones", "Simulate several pools.")


@reads("pool.start", "pool.days", "storms.feature_update")
def _update_in_the_time_simulated(scenario: Scenario) -> Problems:
    when, pool = scenario.storms.feature_update, scenario.pool
    if when is not None and not 0 <= (when - pool.start).days < pool.days:
        allowed = f"the pool is simulated for {pool.days} days from {pool.start}"
        yield Problem("storms.feature_update", str(when), allowed, "Choose a day within, or leave it out.")


@reads("pool.start", "pool.days", "storms.host_failures", "storms.maintenance")
def _hosts_down_in_the_time_simulated(scenario: Scenario) -> Problems:
    storms, pool = scenario.storms, scenario.pool
    for name, days in (("host_failures", storms.host_failures), ("maintenance", storms.maintenance)):
        outside = [str(when) for when in days if not 0 <= (when - pool.start).days < pool.days]
        if outside:
            allowed = f"the pool is simulated for {pool.days} days from {pool.start}"
            yield Problem(f"storms.{name}", outside, allowed, "Choose days within, or leave them out.")


@reads("hosts.count", "storms.host_failures", "storms.maintenance")
def _a_host_is_left(scenario: Scenario) -> Problems:
    for name in ("host_failures", "maintenance"):
        if getattr(scenario.storms, name) and scenario.hosts.count < 2:
            allowed = "desktops of a host that is down run on another one, and there is one host"
            yield Problem("hosts.count", scenario.hosts.count, allowed, f"Add hosts, or leave storms.{name} out.")


@reads("users.count", "users.assignment", "users.users_per_clone", "pool.clones")
def _a_clone_for_each_dedicated_user(scenario: Scenario) -> Problems:
    users = scenario.users
    seats = scenario.pool.clones * users.users_per_clone
    if users.assignment == "dedicated" and users.count > seats:
        allowed = f"dedicated users need a place each, and there are {seats}"
        remedy = f"Set users.count to {seats} or less, pool.clones higher, or users.assignment to 'floating'."
        yield Problem("users.count", users.count, allowed, remedy)


@reads("users.users_per_clone", "guest.name")
def _sessions_of_a_guest(scenario: Scenario) -> Problems:
    most = catalog.group("desktops", scenario.guest.name)["sessions"].default
    if scenario.users.users_per_clone > most:
        allowed = f"{scenario.guest.name} has at most {most} session{'s' if most > 1 else ''} at a time"
        remedy = "Set guest.name to 'windows-server' for multi-session hosts." if most == 1 else "Add clones."
        yield Problem("users.users_per_clone", scenario.users.users_per_clone, allowed, remedy)


@reads("users.time_zones")
def _shares_of_time_zones(scenario: Scenario) -> Problems:
    zones = scenario.users.time_zones
    total = sum(zone.share for zone in zones)
    if zones and abs(total - 1) > 1e-6:
        shares = [zone.share for zone in zones]
        yield Problem("users.time_zones", shares, f"shares add up to 1, these to {total:g}", "Name all zones.")


@reads("guest.disk", "guest.cluster_size")
def _geometry(scenario: Scenario) -> Problems:
    guest = scenario.guest
    if guest.disk % SECTOR:
        remedy = f"Try {-(-guest.disk // SECTOR) * SECTOR}."
        yield Problem("guest.disk", guest.disk, "a disk has whole sectors of 512 B", remedy)
    if guest.disk // guest.cluster_size > MOST_CLUSTERS:
        allowed = f"a disk of {format_size(guest.disk)} has more than {MOST_CLUSTERS} such clusters"
        yield Problem("guest.cluster_size", format_size(guest.cluster_size), allowed, "Take a larger cluster_size.")


@reads("guest.disk", "guest.used", "guest.name")
def _used_fits_on_the_disk(scenario: Scenario) -> Problems:
    guest = scenario.guest
    unit = GIB if guest.disk >= 8 * GIB else MIB
    most = int(guest.disk * FULLEST) // unit * unit
    if guest.used > most:
        allowed = f"at most {format_size(most)} of the disk's {format_size(guest.disk)} can be in use"
        remedy = f"Lower guest.used, or set guest.disk to '{_whole_gib(guest.used / FULLEST)}' or more."
        yield Problem("guest.used", format_size(guest.used), allowed, remedy)


def _whole_gib(size: float) -> str:
    return f"{math.ceil(size / GIB)} GiB"


@reads("guest.used", "guest.page_file", "guest.hibernation", "guest.memory", "guest.name")
def _paging_is_part_of_what_is_used(scenario: Scenario) -> Problems:
    guest = scenario.guest
    hibernation = guest.memory if guest.hibernation else 0
    if guest.page_file + hibernation >= guest.used:
        what = f"page file ({format_size(guest.page_file)})"
        what += f" and hibernation file ({format_size(hibernation)})" if hibernation else ""
        allowed = f"it includes the {what}, which must leave room for files"
        remedy = "Raise guest.used, or set guest.hibernation to false." if hibernation else "Lower guest.page_file."
        yield Problem("guest.used", format_size(guest.used), allowed, remedy)


@reads("guest.policy", "guest.cluster_size", "guest.discards")
def _what_ntfs3g_implies(scenario: Scenario) -> Problems:
    guest = scenario.guest
    if guest.policy == "ntfs3g" and guest.cluster_size != 4096:
        allowed = "policy 'ntfs3g' implies clusters of 4 KiB"
        yield Problem("guest.cluster_size", format_size(guest.cluster_size), allowed, "Leave it out.")
    if guest.policy == "ntfs3g" and guest.discards and "discards" in guest.model_fields_set:
        yield Problem("guest.discards", True, "policy 'ntfs3g' implies no discards", "Leave it out.")


@reads("guest.start")
def _one_measured_start(scenario: Scenario) -> Problems:
    start = scenario.guest.start
    if start.bitmap is not None and start.delta:
        allowed = "clones start from a bitmap or from a delta size, not from both"
        yield Problem("guest.start", {"bitmap": start.bitmap, "delta": format_size(start.delta)}, allowed, "Drop one.")
    if start.bitmap is not None and not Path(start.bitmap).is_file():
        yield Problem("guest.start.bitmap", start.bitmap, "there is no such file", "Name a file, or leave it out.")


@reads("guest.start", "guest.disk", "guest.name")
def _start_within_the_maximum(scenario: Scenario) -> Problems:
    guest = scenario.guest
    if guest.start.delta > guest.disk + guest.disk // 128:
        allowed = f"a delta of a disk of {format_size(guest.disk)} is at most 1/128 larger"
        yield Problem("guest.start.delta", format_size(guest.start.delta), allowed, "Check guest.disk.")


@reads("workload.sources", "guest.os", "guest.name", "workload.name")
def _sources_of_the_os(scenario: Scenario) -> Problems:
    for source, own in scenario.workload.given().get("sources", {}).items():
        versions = catalog.group(TOPIC, source).get("os")
        if own.get("enabled") and versions is not None and scenario.guest.os not in versions.range:
            allowed = f"{scenario.guest.os} has no such source; {', '.join(versions.range)} have it"
            yield Problem(f"workload.sources.{source}", True, allowed, "Leave it out.")


@reads("delta.format", "platform.name")
def _formats_of_the_platform(scenario: Scenario) -> Problems:
    kind, name = catalog.group("platforms", scenario.platform.name), scenario.delta.format
    if name != "exact" and name not in kind["format"].range:
        allowed = f"{scenario.platform.name} has {', '.join(kind['format'].range)}"
        yield Problem("delta.format", name, allowed, f"Its usual one is {kind['format'].default!r}.")


@reads("luns.backing", "platform.name")
def _backings_of_the_platform(scenario: Scenario) -> Problems:
    name, backing = scenario.platform.name, scenario.luns.backing
    known = catalog.group("platforms", name)["backing"]
    allowed = known.range
    if backing in allowed:
        return
    if name == "proxmox" and backing == "lvm-thick-chain":
        reason = "Proxmox has no linked clones on shared thick LVM, and snapshot volumes there are thick"
        yield Problem("luns.backing", backing, reason, f"Take {', '.join(allowed[:-1])} or {allowed[-1]}.")
    else:
        yield Problem(
            "luns.backing", backing, f"{name} has {', '.join(allowed)}", f"Its usual one is {known.default!r}."
        )


@reads("luns.locking", "luns.backing", "platform.name")
def _lockings_of_the_backing(scenario: Scenario) -> Problems:
    backing, locking = scenario.luns.backing, scenario.luns.locking
    known = catalog.group("backings", backing).get("locking")
    if known is None and locking is not None:
        yield Problem("luns.locking", locking, f"{backing} has no locks that hosts contend for", "Leave it out.")
    elif known is not None and locking not in known.range:
        allowed = f"{backing} has {', '.join(known.range)}"
        yield Problem("luns.locking", locking, allowed, f"Its usual one is {known.default!r}.")


@reads("luns.backing", "delta.format", "platform.name")
def _formats_of_the_backing(scenario: Scenario) -> Problems:
    backing, name = scenario.luns.backing, scenario.delta.format
    own = catalog.group("platforms", scenario.platform.name)
    if fits(name, backing, own) or backing not in own["backing"].range or name not in own["format"].range:
        return
    known = catalog.group("backings", backing)["format"]
    others = [other for other in own["backing"].range if fits(name, other, own)]
    remedy = f"Or set luns.backing to {others[0]!r}." if others else ""
    yield Problem("delta.format", name, f"{backing} has {', '.join(known.range)}", remedy)


@reads("delta.format", "delta.parent", "platform.name")
def _one_format_in_a_chain(scenario: Scenario) -> Problems:
    parent, name = scenario.delta.parent, scenario.delta.format
    if parent not in ("flat", name):
        allowed = f"a delta in {name} cannot be chained on one in {parent}: a chain has one format"
        yield Problem("delta.parent", parent, allowed, f"Take 'flat' or {name!r}, or set delta.format to {parent!r}.")


@reads("delta.format", "delta.parameters", "guest.disk", "guest.name", "platform.name")
def _disk_within_the_format(scenario: Scenario) -> Problems:
    name, disk = scenario.delta.format, scenario.guest.disk
    try:
        own = format_parameters(name, scenario.delta.parameters)
    except ParameterError as error:
        yield Problem(error.name, error.value, error.allowed, error.remedy)
        return
    most = own.get("max_capacity", catalog.group("formats", name)["max_capacity"].default)
    if disk > most:
        remedy = "Take another delta.format, or a smaller disk."
        yield Problem("guest.disk", format_size(disk), f"{name} reaches {format_size(most)}", remedy)


@reads("hosts.count", "luns.backing", "platform.name")
def _hosts_of_a_replica(scenario: Scenario) -> Problems:
    backing, hosts = scenario.luns.backing, scenario.hosts.count
    known = catalog.group("backings", backing)
    most = known["replica_hosts"].default
    if hosts > 1 and not known["shared"].default:
        allowed = f"{backing} belongs to one host and is not shared"
        remedy = "Set hosts.count to 1 and simulate one host's share of the pool, or take a shared luns.backing."
        yield Problem("hosts.count", hosts, allowed, remedy)
    elif most and hosts > most:
        allowed = f"at most {most} hosts share a replica on {backing}"
        ranges = {name: catalog.group("backings", name)["replica_hosts"].default for name in _backings(scenario)}
        others = [name for name, limit in ranges.items() if not limit or limit >= hosts]
        remedy = f"Set hosts.count to {most} or less, or luns.backing to {', '.join(others)}." if others else ""
        yield Problem("hosts.count", hosts, allowed, remedy)


@reads("hosts.failures_tolerated", "hosts.count")
def _one_host_is_left(scenario: Scenario) -> Problems:
    hosts = scenario.hosts
    if hosts.failures_tolerated >= hosts.count and "failures_tolerated" in hosts.model_fields_set:
        most = hosts.count - 1
        allowed = f"of {hosts.count} host{'s' if hosts.count > 1 else ''} at most {most} can fail"
        yield Problem("hosts.failures_tolerated", hosts.failures_tolerated, allowed, f"Set it to {most} or less.")


@reads("hosts.memory", "guest.memory", "guest.name")
def _a_host_holds_a_desktop(scenario: Scenario) -> Problems:
    hosts, guest = scenario.hosts, scenario.guest
    if hosts.memory < guest.memory:
        allowed = f"a host holds at least one desktop of {format_size(guest.memory)}"
        yield Problem("hosts.memory", format_size(hosts.memory), allowed, "Raise it, or lower guest.memory.")


def _backings(scenario: Scenario) -> list[str]:
    own = catalog.group("platforms", scenario.platform.name)
    return [name for name in own["backing"].range if fits(scenario.delta.format, name, own)]


@reads("luns.replica_lun", "luns.backing", "platform.name")
def _replica_on_its_own_lun(scenario: Scenario) -> Problems:
    if scenario.luns.replica_lun and scenario.luns.backing in SAME_POOL:
        allowed = f"on {scenario.luns.backing} a clone lies in the pool of its base image"
        yield Problem("luns.replica_lun", True, allowed, "Set it to false.")


@reads("luns.placement", "luns.count", "luns.clones_per_lun", "pool.clones")
def _places_on_the_luns(scenario: Scenario) -> Problems:
    luns, clones = scenario.luns, scenario.pool.clones
    if luns.placement == "per-lun" and luns.count * luns.clones_per_lun < clones:
        need = -(-clones // luns.clones_per_lun)
        allowed = f"{clones} clones at {luns.clones_per_lun} per LUN need {need} LUNs"
        yield Problem("luns.count", luns.count, allowed, f"Set luns.count to {need}, or luns.clones_per_lun higher.")


@reads("luns.overcommit")
def _overcommit_level(scenario: Scenario) -> Problems:
    asked = scenario.luns.overcommit
    if asked not in OVERCOMMIT:
        levels = ", ".join(f"{times} ({level})" for times, level in OVERCOMMIT.items())
        yield Problem("luns.overcommit", asked, f"View's levels are {levels}", "Take one of them.")


@reads("luns.overcommit", "luns.placement", "luns.count", "luns.size", "guest.disk", "pool.clones", "guest.name")
def _overcommitment(scenario: Scenario) -> Problems:
    luns, clones = scenario.luns, scenario.pool.clones
    room = luns.count * (luns.size * luns.overcommit // scenario.guest.disk)
    if luns.placement == "overcommit" and luns.overcommit in OVERCOMMIT and room < clones:
        allowed = f"at {luns.overcommit} times, {luns.count} LUNs of {format_size(luns.size)} take {room} clones"
        allowed += f" of {format_size(scenario.guest.disk)}, not {clones}"
        yield Problem("luns.overcommit", luns.overcommit, allowed, "Raise it, luns.count or luns.size.")


@reads("luns.size", "luns.count", "luns.reserve", "luns.replica_lun", "guest.used", "guest.start", "pool.clones")
def _not_full_at_once(scenario: Scenario) -> Problems:
    luns, guest = scenario.luns, scenario.guest
    deltas = -(-scenario.pool.clones // luns.count) * guest.start.delta
    need = deltas + (0 if luns.replica_lun else guest.used)
    if luns.size * (1 - luns.reserve) < need:
        parts = [] if luns.replica_lun else [f"the base image ({format_size(guest.used)})"]
        parts += [f"the deltas to start from ({format_size(deltas)})"] if deltas else []
        allowed = f"each LUN holds {' and '.join(parts)}"
        allowed += f", and {luns.reserve:g} of it is reserve" if luns.reserve else ""
        remedy = f"Set luns.size to '{_whole_gib(need / (1 - luns.reserve))}' or more."
        yield Problem("luns.size", format_size(luns.size), allowed, remedy)


@reads("array.disks", "array.spares", "array.raid", "array.shared", "luns.count", "luns.backing")
def _disks_for_the_luns(scenario: Scenario) -> Problems:
    array, luns = scenario.array, scenario.luns.count
    raid = catalog.group("arrays", array.raid)
    mirrors, parity = raid["mirrors"].default, raid["parity"].default
    parts = 1 if array.shared else luns
    need = parts * (parity + 2 if parity else mirrors)
    if array.disks - array.spares < need:
        allowed = f"{array.raid} needs {need} disks" + ("" if array.shared else f" for {luns} LUNs of their own disks")
        allowed += f" besides the {array.spares} spares" if array.spares else ""
        other = "" if array.shared else ", or array.shared to true"
        yield Problem("array.disks", array.disks, allowed, f"Set it to {need + array.spares} or more{other}.")
