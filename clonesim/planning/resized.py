"""The same desktops, fewer or more of them: pools that are simulated in place of the one that is asked about."""

from __future__ import annotations

from typing import Any

from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario


def resized(
    scenario: Scenario, clones: int, *, days: int | None = None, luns: int | None = None, **tables: Any
) -> Scenario:
    """The scenario with another number of clones, as many users for each of them, dealt out to LUNs in turn.

    Parameters
    ----------
    scenario : Scenario
        Made by `load_scenario`.
    clones : int
        Of the pool. [1]
    days, luns : int, optional
        Where they are not those of the scenario. [1]
    **tables
        What else is changed, as `load_scenario` takes it.
    """
    users = max(1, round((scenario.users.count or 0) * clones / scenario.pool.clones))
    return load_scenario(
        scenario,
        pool={"clones": clones} | ({} if days is None else {"days": days}),
        users={"count": users} if scenario.users.count else {},
        luns={"placement": "round-robin"} | ({} if luns is None else {"count": luns}),
        **tables,
    )
