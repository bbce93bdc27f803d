"""Figures of claims about hosts that fail over, and about desktops that move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from clonesim.planning.claims import Figure
from clonesim.planning.cluster import Cluster, cluster
from clonesim.planning.ha import admitted, claimed_failures, slot_size
from clonesim.planning.host_load import failures
from clonesim.pool import simulate
from clonesim.pool.storm_frame import storm_frame
from clonesim.pool.vmotion import vmotion_of
from clonesim.scenario.load import load_scenario
from clonesim.units import GIB

DESKTOPS: Final = 300
EXAMPLE: Final[dict[str, Any]] = {
    "hosts": 8,
    "host_cpu": 21000,
    "host_memory": "32 GiB",
    "guest_memory": "512 MiB",
    "desktop_cpu": 200,
    "admission": "slots",
}


def _made(era: str) -> Cluster:
    """The published example: 300 desktops take 90 % of the memory of eight hosts."""
    plain = cluster(**EXAMPLE, era=era)
    return replace(plain, consumed=round(0.9 * 8 * 32 * GIB / DESKTOPS), overhead=0)


def slots_that_fit() -> list[Figure]:
    """C13: what the rule admits and claims, and what memory says."""
    made, later = cluster(**EXAMPLE, era="vi3"), cluster(**EXAMPLE, era="later")
    told = failures(_made("vi3"), DESKTOPS)
    return [
        Figure("slots of a host by processor, 256 MHz each", slot_size(made).by_cpu),
        Figure("desktops admitted on 8 hosts, one failure tolerated", admitted(made).desktops),
        Figure("host failures claimed with 300 desktops on", claimed_failures(made, DESKTOPS)),
        Figure("host failures borne by memory that is 90 % full", float(told["holds_for"].iloc[0])),
        Figure("memory after one failure", 100 * float(told["memory_share"].iloc[1]), "%"),
        Figure("host failures claimed by the later rule, 32 MHz", claimed_failures(later, DESKTOPS)),
    ]


def forgotten_state() -> list[Figure]:
    """C14: failure after failure."""
    told = failures(_made("vi3"), DESKTOPS).head(5)
    found = []
    for row in told.to_dict("records"):
        after = f"after {row['failures']} failures"
        found += [
            Figure(f"further failures claimed, {after}", float(row["claimed"])),
            Figure(f"failures left of those planned for, {after}", float(row["planned"])),
            Figure(f"memory, {after}", 100 * float(row["memory_share"]), "%"),
        ]
    return found


def moves_and_locks() -> list[Figure]:
    """C15: one pre-copy, the maintenance of eight hosts, and who takes the lock afterwards."""
    given = load_scenario("windows-11-office")
    one = vmotion_of(given)
    whole = storm_frame(given, kinds=("maintenance",)).iloc[0]
    small = {"clones": 24, "days": 3}
    run = simulate(
        "windows-xp-office",
        pool=small,
        hosts={"count": 3},
        luns={"count": 1, "clones_per_lun": 64},
        storms={"maintenance": ["2008-12-02"], "maintenance_at": "13:00"},
    )
    operations = run.operations.set_index("kind")
    hosts = run.increments.groupby("clone")["host"].nunique()
    return [
        Figure("rounds of a pre-copy, 8 GiB of memory", one.rounds),
        Figure("length of it", one.seconds, "s"),
        Figure("standstill at its end", one.downtime_s, "s", 2),
        Figure("vMotions of a maintenance of 8 hosts, 500 desktops", float(whole["desktops"])),
        Figure("length of that", float(whole["t100_s"]) / 3600, "h", 1),
        Figure("lock requests by vMotions, 24 desktops, maintenance of 3 hosts", _requests(operations)),
        Figure("desktops whose growth came from two hosts or more", float((hosts > 1).sum())),
    ]


def _requests(operations: Any) -> float:
    return float(operations.loc["vmotion", "requests"])
