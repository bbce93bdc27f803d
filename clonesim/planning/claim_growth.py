"""Figures of claims about how deltas of pools grow, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import pandas as pd

from clonesim.planning.claim_volume import largest_deltas
from clonesim.planning.claims import Figure
from clonesim.pool import policy_band, simulate
from clonesim.pool.run import Run
from clonesim.scenario.load import load_scenario
from clonesim.units import GIB

GUESTS: Final = ("windows-xp", "windows-7", "windows-10", "windows-11")
CLONES: Final = 24
FAMILIES: Final = {
    "temporary internet files": ("browser-cache",),
    "software distribution and patch caches": ("patch-download", "patch-staging", "feature-update-download"),
    "patch uninstall folders": ("patch-uninstall-folders", "feature-update-uninstall"),
    "antivirus": ("antivirus-definitions", "antivirus-download", "antivirus-scan", "antivirus-full-scan"),
    "temporary office files": ("office-temp",),
}
WORKLOADS: Final = ("task", "office", "power", "developer", "kiosk", "idle")
MONTH_D: Final = 28


@dataclass(frozen=True, slots=True)
class Grown:
    """24 desktops of a packaged scenario after 90 days, and the same work under each policy.

    Attributes
    ----------
    run : Run
        The scenario as it is.
    band : DataFrame
        Of `policy_band`.
    disk, free : int
        Of a desktop's disk, and of it free in the image. [B]
    """

    run: Run
    band: pd.DataFrame
    disk: int
    free: int

    def mean(self, policy: str, discards: bool) -> pd.Series[float]:
        """Mean delta under a policy by day; without discards where the guest sends none. [B]"""
        return self._rows(policy, discards)["delta_mean_bytes"]

    def median(self, policy: str, discards: bool) -> pd.Series[float]:
        """Median delta likewise. [B]"""
        return self._rows(policy, discards)["delta_p50_bytes"]

    def _rows(self, policy: str, discards: bool) -> pd.DataFrame:
        mine = self.band[self.band["policy"] == policy].set_index("day")
        asked = mine[mine["discards"] == discards]
        return asked if len(asked) else mine


@cache
def _grown(guest: str) -> Grown:
    run = simulate(f"{guest}-office", pool={"clones": CLONES})
    given = run.scenario.guest
    return Grown(run, policy_band(run, "full"), given.disk, given.disk - given.used)


def most_a_delta_takes() -> list[Figure]:
    """C1: the formats' maxima, and what was taken after 90 days."""
    pools = {guest: _grown(guest) for guest in GUESTS}
    last = {guest: pool.run.growth[pool.run.growth["day"] == 89]["delta_bytes"] for guest, pool in pools.items()}
    means = [Figure(_of(g, "share of its disk"), 100 * last[g].mean() / pools[g].disk, "%") for g in GUESTS]
    largest = max(last[g].max() / pools[g].disk for g in GUESTS)
    fresh = [Figure(_of(g, "fresh-first, no discards"), _share(pools[g], "fresh-first"), "%") for g in GUESTS]
    return [*largest_deltas(), *means, Figure("largest delta of these 96 desktops", 100 * largest, "%"), *fresh]


def days_to_the_free_space() -> list[Figure]:
    """C2: when the median delta passes what was free in the image, and how far it comes otherwise."""
    found = []
    for guest in GUESTS:
        pool = _grown(guest)
        over = pool.median("fresh-first", False)
        passed = over.index[over.to_numpy() > pool.free]
        day = float(passed[0]) + 1 if len(passed) else None
        found += [
            Figure(f"free in the image, {guest}", pool.free / GIB, "GiB"),
            Figure(f"median passes it on day, fresh-first, no discards, {guest}", day),
            Figure(f"after 90 days, windows policy, no discards, {guest}", _of_free(pool, "windows", False), "%"),
            Figure(f"after 90 days, windows policy, as it is, {guest}", _of_free(pool, "windows", True), "%"),
        ]
    return found


def what_adds_up() -> list[Figure]:
    """C5: the named sources' share of what deltas hold after 90 days."""
    found = []
    for guest in GUESTS:
        shares = 100 * _grown(guest).run.source_shares
        parts = {family: float(shares.reindex(list(names)).fillna(0).sum()) for family, names in FAMILIES.items()}
        found.append(Figure(f"all five together, {guest}", sum(parts.values()), "%"))
        found += [Figure(f"{family}, {guest}", share, "%", 1) for family, share in parts.items()]
        lead = str(shares.index[0])
        found.append(Figure(f"largest source, {guest}: {lead}", float(shares.iloc[0]), "%", 1))
    return found


def how_environments_differ() -> list[Figure]:
    """C6: mean deltas of eight desktops after 28 days, by guest and by workload, beside a rule of thumb."""
    sizes, rules = {}, {}
    cases = [*((guest, "office") for guest in GUESTS), *(("windows-11", name) for name in WORKLOADS)]
    for guest, workload in dict.fromkeys(cases):
        asked = load_scenario(f"{guest}-office", pool={"clones": 8, "days": MONTH_D}, workload={"name": workload})
        run = simulate(asked)
        name = f"{guest}, {workload}"
        sizes[name] = run.summary["delta_mean_bytes"] / GIB
        rules[name] = 3 * asked.guest.memory / GIB / sizes[name]
    most, least = max(sizes.values()), min(sizes.values())
    return [
        *(Figure(f"delta after 28 days, {name}", size, "GiB", 1) for name, size in sizes.items()),
        Figure("largest over smallest", most / least, "", 1),
        Figure("rule 3 x RAM over simulated, least", min(rules.values()), "", 1),
        Figure("rule 3 x RAM over simulated, most", max(rules.values()), "", 1),
    ]


def _of(guest: str, what: str) -> str:
    return f"mean delta after 90 days, {guest}, {what}"


def _share(pool: Grown, policy: str) -> float:
    return 100 * float(pool.mean(policy, False).iloc[-1]) / pool.disk


def _of_free(pool: Grown, policy: str, discards: bool) -> float:
    return 100 * float(pool.median(policy, discards).iloc[-1]) / pool.free
