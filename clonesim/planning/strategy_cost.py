"""From a comparison of strategies to what they cost: quantities of each, as a price list takes them."""

from __future__ import annotations

from typing import Any, Final

from clonesim.planning.cluster import cluster
from clonesim.planning.compare import Comparison
from clonesim.planning.host_needs import hosts_needed
from clonesim.planning.quantities import Quantities, example_work
from clonesim.scenario.model import Scenario
from clonesim.units import GIB

TIERS: Final = {  # column of a comparison -> tier of a price list
    "os_bytes": "os-delta",
    "disposable_bytes": "os-delta",
    "user_bytes": "user-data",
    "share_bytes": "share",
    "replica_bytes": "replica",
    "swap_bytes": "swap",
}


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
    the worst minute on all storage. Network traffic is left out.
    """
    desktops = scenario.pool.clones
    hosts = hosts_needed(cluster(scenario), desktops, where=scenario.luns.backing).hosts
    found = []
    for row in comparison.frame.to_dict("records"):
        gib: dict[str, float] = {}
        for column, tier in TIERS.items():
            gib[tier] = gib.get(tier, 0.0) + float(row[column]) * desktops / GIB
        iops = desktops * (float(row["iops_max60"]) + float(row["elsewhere_iops_max60"]))
        label = str(row["strategy"])
        work: dict[str, Any] = example_work([_names(label)], desktops)
        found.append(Quantities(label, desktops, gib, iops, float(hosts), **work))
    return found


def _names(label: str) -> str:
    """A label without the parameters of its strategies."""
    return "+".join(part.split("(")[0] for part in label.split("+"))
