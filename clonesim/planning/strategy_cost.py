"""From a comparison of strategies to what they cost: quantities of each, as a price list takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from clonesim.planning.cluster import Cluster, cluster
from clonesim.planning.compare import Comparison
from clonesim.planning.host_needs import hosts_needed
from clonesim.planning.quantities import Quantities, example_work
from clonesim.scenario.model import Scenario
from clonesim.units import GIB

TIERS: Final = {  # column of a comparison -> tier of a price list
    "os_bytes": "os-delta",
    "disposable_bytes": "os-delta",
    "user_bytes": "user-data",
    "cache_bytes": "cache",
    "share_bytes": "share",
    "replica_bytes": "replica",
    "swap_bytes": "swap",
}
MONTH_D: Final = 365.25 / 12
CACHED: Final = ("provisioned-streaming", "mcs")  # whose `ram` is memory of the desktop besides


def strategy_quantities(comparison: Comparison, scenario: Scenario) -> list[Quantities]:
    """What each strategy of a comparison needs for all desktops of a scenario.

    Parameters
    ----------
    comparison : Comparison
        Figures per desktop.
    scenario : Scenario
        The pool that is paid for.

    Notes
    -----
    Hours of operation and licences are the catalog's examples, all assumed: replace them with your own. I/O is that of
    the worst minute on all storage, network traffic that of a mean month. Hosts are those that each strategy needs:
    see `strategy_hosts`.
    """
    desktops = scenario.pool.clones
    found = []
    for row in comparison.frame.to_dict("records"):
        label = str(row["strategy"])
        own = comparison.scenarios.get(label, scenario)
        hosts = hosts_needed(strategy_hosts(own), desktops, where=own.luns.backing).hosts
        gib: dict[str, float] = {}
        for column, tier in TIERS.items():
            gib[tier] = gib.get(tier, 0.0) + float(row[column]) * desktops / GIB
        iops = desktops * (float(row["iops_max60"]) + float(row["elsewhere_iops_max60"]))
        network = float(row["network_a_day_bytes"]) * desktops * MONTH_D / 1e9
        work: dict[str, Any] = example_work([_names(label)], desktops)
        found.append(Quantities(label, desktops, gib, iops, float(hosts), network_gb=network, **work))
    return found


def strategy_hosts(scenario: Scenario) -> Cluster:
    """Hosts of a scenario as its strategies use them.

    Parameters
    ----------
    scenario : Scenario
        With what its strategies change, such as the memory that is reserved.

    Notes
    -----
    A write cache in memory is memory that the desktop has besides, all of it in use and never shared. Each parent of
    instant clones takes as much of its host as a desktop does.
    """
    plain = cluster(scenario)
    ram = sum(int(choice.value("ram")) for choice in scenario.strategy if choice.name in CACHED)
    made = plain
    if ram:
        larger = cluster(scenario, guest_memory=scenario.guest.memory + ram)
        consumed = max(plain.consumed + ram, larger.reserved)
        made = replace(larger, consumed=consumed, active=plain.active + ram)
        made = replace(made, shareable=plain.shareable, balloon=plain.balloon)
    instant = scenario.chosen("instant-clone")
    if instant:
        made = replace(made, host_memory=made.host_memory - int(instant.value("parents")) * made.desktop_memory)
    return made


def _names(label: str) -> str:
    """A label without the parameters of its strategies."""
    return "+".join(part.split("(")[0] for part in label.split("+"))
