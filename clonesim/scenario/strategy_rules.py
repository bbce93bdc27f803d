"""What strategies say about each other and about the rest of a scenario; combinations that cannot be are refused.

Registered as the rules of `rules` are: importing this module is enough.
"""

from __future__ import annotations

from itertools import combinations

from clonesim.errors import Problem
from clonesim.scenario import catalog
from clonesim.scenario.fields import text
from clonesim.scenario.model import Scenario
from clonesim.scenario.rules import FULLEST, Problems, reads
from clonesim.scenario.strategy import TOPIC, Choice, parameters_of, platforms_of, unmap_mode
from clonesim.units import MIB, format_size

PART = "strategy"
NEEDS: dict[str, tuple[tuple[str, str, tuple[object, ...]], ...]] = {
    "refresh": (
        ("every", "when", ("days",)),
        ("share", "when", ("share",)),
        ("at", "when", ("days", "share", "nightly")),
        ("image_age", "catch_up", (True,)),
    ),
    "thin-lun": (("every", "mode", ("version", "manual")),),
    "guest-tuning": (("browser_cache_cap", "browser_cache", (True,)), ("page_disk", "page_file", (True,))),
    "mcs": (("at", "reboot", ("nightly",)),),
    "provisioned-streaming": (("at", "reboot", ("nightly",)),),
    "application-virtualization": (("cache", "cache_in_image", (False,)), ("request", "cache_in_image", (False,))),
    "profile-container": (("compaction_least", "compaction", (True,)), ("compaction_share", "compaction", (True,))),
}
SWITCHES = ("defragmentation", "page_file", "prefetch", "search", "browser_cache")


@reads(PART)
def _each_once(scenario: Scenario) -> Problems:
    names = [choice.name for choice in scenario.strategy]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            entries = [choice.table() for choice in scenario.strategy if choice.name == name]
            told = entries if any(len(entry) > 1 for entry in entries) else [name] * len(entries)
            yield Problem(PART, told, f"a scenario has one {name} at most", "Drop all but one.")


@reads(PART)
def _together(scenario: Scenario) -> Problems:
    names = dict.fromkeys(choice.name for choice in scenario.strategy)
    for one, other in combinations(names, 2):
        if other in catalog.listed(TOPIC, one, "excludes"):
            remedy = f"Take {one!r} or {other!r}, or compare the two."
            yield Problem(PART, [one, other], reason(one, other), remedy)


def reason(one: str, other: str) -> str:
    """Why two strategies exclude each other."""
    for first, second in ((one, other), (other, one)):
        if told := catalog.text(TOPIC, f"{first}.reasons", second):
            return told
    return "a clone is of one kind only"


@reads(PART, "platform.name")
def _of_the_platform(scenario: Scenario) -> Problems:
    platform = scenario.platform.name
    for choice in scenario.strategy:
        known = platforms_of(choice.name)
        if platform not in known:
            allowed = f"{platform} has no {choice.name}; {_and(known)} have it"
            yield Problem(PART, choice.name, allowed, "Leave it out, or take another platform.name.")


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


@reads(PART)
def _parameters_with_an_effect(scenario: Scenario) -> Problems:
    for choice in scenario.strategy:
        for name, key, values in unused(choice):
            if name in choice.parameters:
                unit = parameters_of(choice.name)[name].unit
                now = f"{key} is {_toml(choice.value(key))}"
                wanted = " or ".join(_toml(value) for value in values)
                remedy = f"Set {key} to {wanted}, or leave {name} out."
                shown = text(choice.value(name), unit)
                yield Problem(f"{PART}.{choice.name}.{name}", shown, f"it means nothing while {now}", remedy)


def unused(choice: Choice) -> list[tuple[str, str, tuple[object, ...]]]:
    """Parameters that mean nothing as others stand: each with the other one, and its values that would give it one."""
    return [entry for entry in NEEDS.get(choice.name, ()) if choice.value(entry[1]) not in entry[2]]


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


@reads(PART, "users.assignment")
def _a_persistent_disk_has_one_user(scenario: Scenario) -> Problems:
    if scenario.chosen("persistent-disk") and scenario.users.assignment == "floating":
        allowed = "users are floating, and a persistent disk stays with one clone"
        remedy = "Set users.assignment to 'dedicated', or take 'profile-container'."
        yield Problem(PART, "persistent-disk", allowed, remedy)


@reads(PART)
def _each_tag_on_one_disk(scenario: Scenario) -> Problems:
    routing = [choice for choice in scenario.strategy if "tags" in parameters_of(choice.name)]
    for one, other in combinations(routing, 2):
        both = [tag for tag in one.value("tags") if tag in other.value("tags")]
        if both and other.name not in catalog.listed(TOPIC, one.name, "excludes"):
            allowed = f"{', '.join(both)} cannot lie on {one.name} and on {other.name}"
            told = "+".join(other.value("tags"))
            yield Problem(f"{PART}.{other.name}.tags", told, allowed, "Name each tag for one of them.")


@reads(PART, "guest.page_file", "guest.name", "guest.disk", "guest.used")
def _fits_on_its_disk(scenario: Scenario) -> Problems:
    guest, disposable = scenario.guest, scenario.chosen("disposable-disk")
    if disposable and "page" in disposable.value("tags") and disposable.value("size") <= guest.page_file:
        size, need = disposable.value("size"), format_size(guest.page_file)
        allowed = f"the page file of {need} lies on it"
        yield Problem(f"{PART}.disposable-disk.size", format_size(size), allowed, "Raise it, or lower guest.page_file.")
    smaller = scenario.chosen("smaller-free-space")
    if smaller is None:
        return
    free, now = int(smaller.value("free")), guest.disk - guest.used
    least = int(guest.used * (1 - FULLEST) / FULLEST)
    path, remedy = f"{PART}.smaller-free-space.free", "Lower it, or leave the strategy out."
    if free > now:
        allowed = f"the guest has {format_size(now)} free as it is"
        yield Problem(path, format_size(free), allowed, remedy)
    elif free < least:
        allowed = f"a disk is at most {FULLEST:.0%} full, and {format_size(guest.used)} are in use"
        yield Problem(path, format_size(free), allowed, f"Set it to '{-(-least // MIB)} MiB' or more.")


@reads(PART, "guest.disk", "guest.name")
def _a_refresh_goes_below_its_trigger(scenario: Scenario) -> Problems:
    refresh, disk = scenario.chosen("refresh"), scenario.guest.disk
    if refresh is None:
        return
    floor, path = int(refresh.value("floor")), f"{PART}.refresh.floor"
    trigger = int(refresh.value("share") * disk) if refresh.value("when") == "share" else disk
    if floor >= trigger:
        allowed = f"a refresh at {format_size(trigger // MIB * MIB)} would leave no less"
        yield Problem(path, format_size(floor), allowed, "Lower it, or raise share.")


@reads(PART, "delta.format", "delta.parameters", "guest.discards", "platform.name", "guest.name")
def _space_that_can_be_reclaimed(scenario: Scenario) -> Problems:
    choice, clone = scenario.chosen("space-reclaim"), scenario.chosen("full-clone")
    if choice is None:
        return
    method, path = choice.value("method"), f"{PART}.space-reclaim.method"
    if clone is not None:
        if clone.value("provisioning") == "thick":
            yield Problem(PART, "space-reclaim", "a thick disk gives nothing back", "Set provisioning to 'thin'.")
        return
    format_ = scenario.delta.format
    known = catalog.group("formats", format_).get("discard")
    keeps = known is None or scenario.delta.parameters.get("discard", known.default) == "ignore"
    if keeps:
        others = catalog.group("platforms", scenario.platform.name)["format"].range
        able = [name for name in others if _gives_back(name)]
        remedy = f"Set delta.format to {_or(able)}, or leave it out." if able else "Leave it out."
        yield Problem(PART, "space-reclaim", f"a delta in {format_} gives nothing back", remedy)
    elif method == "wipe" and format_ != "se-sparse":
        allowed = f"the agent that wipes is for se-sparse, and the format is {format_}"
        yield Problem(path, method, allowed, "Set method to 'discard' or 'zero'.")
    elif method == "discard" and not scenario.guest.discards:
        remedy = "Set guest.discards to true, or method to 'zero'."
        yield Problem(path, method, "the guest does not tell what it freed", remedy)


def _gives_back(format_: str) -> bool:
    known = catalog.group("formats", format_).get("discard")
    return known is not None and known.default != "ignore"


def _or(names: list[str]) -> str:
    return " or ".join(repr(name) for name in names)


@reads(PART, "luns.backing", "platform.name")
def _a_thin_lun_below(scenario: Scenario) -> Problems:
    choice, backing = scenario.chosen("thin-lun"), scenario.luns.backing
    if choice is None:
        return
    if not unmap_mode(choice, backing):
        able = [name for name in catalog.names("backings") if f"thin-lun.{name}.mode" in catalog.parameters(TOPIC)]
        allowed = f"{backing} does not lie on a LUN of an array; {_and(tuple(able))} do"
        yield Problem(PART, "thin-lun", allowed, "Leave it out, or take another luns.backing.")


@reads(PART, "luns.backing", "hosts.memory_reservation", "platform.name")
def _memory_to_reserve(scenario: Scenario) -> Problems:
    choice = scenario.chosen("memory-reservation")
    if choice is None or scenario.platform.name not in platforms_of(choice.name):
        return
    backing, reserved = scenario.luns.backing, scenario.hosts.memory_reservation
    hypervisor = catalog.value("backings", f"{backing}.hypervisor")
    if not catalog.value("backings", f"hypervisors.{hypervisor}.swap"):
        allowed = f"{backing} is of {hypervisor}, which keeps no swap file for each desktop"
        yield Problem(PART, "memory-reservation", allowed, "Leave it out.")
    elif reserved > choice.value("share"):
        told = text(choice.value("share"))
        allowed = f"hosts.memory_reservation is {reserved:g} already"
        path = f"{PART}.memory-reservation.share"
        yield Problem(path, told, allowed, "Raise it, or leave the strategy out.")


@reads(PART)
def _memory_in_whole_blocks(scenario: Scenario) -> Problems:
    for name in ("provisioned-streaming", "mcs"):
        choice = scenario.chosen(name)
        if choice is None:
            continue
        ram, block = int(choice.value("ram")), int(choice.value("block"))
        if block & (block - 1):
            allowed = "a power of two is needed"
            yield Problem(f"{PART}.{name}.block", format_size(block), allowed, "Write for example '2 MiB'.")
        elif 0 < ram < block:
            allowed = f"memory is given out in blocks of {format_size(block)}"
            remedy = "Raise it, lower block, or set it to '0 B' for none."
            yield Problem(f"{PART}.{name}.ram", format_size(ram), allowed, remedy)


@reads(PART)
def _a_switch_is_on(scenario: Scenario) -> Problems:
    choice = scenario.chosen("guest-tuning")
    if choice and not any(choice.value(switch) for switch in SWITCHES):
        told = dict.fromkeys(SWITCHES, False)
        yield Problem(f"{PART}.guest-tuning", told, "one switch at least is on", "Leave one out, or drop the strategy.")
