"""Who is set back or moved because of the sizes that were simulated: refreshes by size, and rebalance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.backing import backing
from clonesim.pool.clones import Batch
from clonesim.pool.space import space_of
from clonesim.pool.strategies.layout import NEVER, OS, disks_of, on_the_lun
from clonesim.pool.strategies.resets import Decision, turns_s
from clonesim.pool.timeline import Timeline, after_logoff
from clonesim.scenario.model import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def waits_for_sizes(scenario: Scenario) -> bool:
    """Whether a scenario has a strategy that acts on what deltas have grown to."""
    return _by_share(scenario) or (scenario.chosen("rebalance") is not None and scenario.luns.count > 1)


def _by_share(scenario: Scenario) -> bool:
    refresh = scenario.chosen("refresh")
    return refresh is not None and refresh.value("when") == "share"


def next_decisions(
    scenario: Scenario, timeline: Timeline, batches: Sequence[Batch], decided: Sequence[Decision]
) -> list[Decision]:
    """What is decided next on a pool as it was simulated under earlier decisions; empty if nothing is left.

    Parameters
    ----------
    scenario : Scenario
        Its strategies `refresh` (when = share) and `rebalance`.
    timeline : Timeline
        Under the earlier decisions.
    batches : sequence of Batch
        All clones, simulated against that timeline.
    decided : sequence of Decision
        The earlier ones.

    Notes
    -----
    Clones over the share are found night by night; each night's, before the next rebalance, are decided at once. A
    clone that is decided on for a night is not looked at again for that night.
    """
    sizes = _Sizes(scenario, batches)
    barriers = _barriers(scenario, timeline)
    done = max((one.ready_s for one in decided if one.strategy == "rebalance"), default=-1.0)
    found: list[Decision] = []
    if _by_share(scenario):
        found = _over_the_share(scenario, timeline, sizes, decided)
    for barrier_s in barriers[barriers > done].tolist():
        first = min((one.ready_s for one in found), default=np.inf)
        if first < barrier_s:
            break
        if moved := _rebalanced(scenario, timeline, sizes, barrier_s):
            return moved
    if not found:
        return []
    first = min(one.ready_s for one in found)
    until = min([*barriers[barriers > first].tolist(), np.inf])
    clones: set[int] = set()
    now = []
    for one in sorted(found):  # the first of each clone: what follows it depends on it
        if one.clone not in clones and one.ready_s < until:
            clones.add(one.clone)
            now.append(one)
    return now


class _Sizes:
    """Sizes of clones' files at any time."""

    def __init__(self, scenario: Scenario, batches: Sequence[Batch]) -> None:
        self.where, self.here = backing(scenario.luns.backing), on_the_lun(scenario)
        self.kept = {place for place, disk in enumerate(disks_of(scenario)) if disk.emptied == NEVER}
        self._files: dict[tuple[int, int], tuple[Floats, Ints]] = {}
        for batch in batches:
            order = np.lexsort((batch.disk, batch.clone))
            clone, disk = batch.clone[order], batch.disk[order]
            starts = np.flatnonzero(np.append(True, (np.diff(clone) != 0) | (np.diff(disk) != 0)))
            for first, end in zip(starts, [*starts[1:], order.size], strict=True):
                rows = order[first:end]
                self._files[int(clone[first]), int(disk[first])] = batch.time_s[rows], np.cumsum(batch.size[rows])

    def at(self, clone: int, disk: int, time_s: Floats) -> Ints:
        """Size of a file just before some times. [B]"""
        when, level = self._files[clone, disk]
        place = np.searchsorted(when, time_s, side="left") - 1
        return np.where(place >= 0, level[place], 0)

    def on_lun(self, clone: int, time_s: float) -> int:
        """What all files of a clone on its LUN take there just before a time. [B]"""
        return sum(
            int(self.where.allocated(int(self.at(clone, disk, np.array([time_s]))[0]))) for disk in self.here.tolist()
        )

    def anew(self, clone: int, time_s: float) -> int:
        """What its files take where it is made anew at a time: disks that survive go along as they are. [B]"""
        sizes = [
            int(self.at(clone, disk, np.array([time_s]))[0] if disk in self.kept else self._files[clone, disk][1][0])
            for disk in self.here.tolist()
        ]
        return sum(int(self.where.allocated(size)) for size in sizes)


def _over_the_share(
    scenario: Scenario, timeline: Timeline, sizes: _Sizes, decided: Sequence[Decision]
) -> list[Decision]:
    choice = scenario.chosen("refresh")
    assert choice is not None
    nights = turns_s(86400.0, float(choice.value("at")), timeline.calendar)
    most = float(choice.value("share")) * scenario.guest.disk
    start, end = timeline.sessions_by_clone()
    last = np.full(timeline.clones, -1.0)
    for one in decided:
        last[one.clone] = max(last[one.clone], one.ready_s)
    found = []
    for clone in range(timeline.clones):
        over = nights[(sizes.at(clone, OS, nights) >= most) & (nights > last[clone])]
        if over.size:
            ready_s = float(after_logoff(over[:1], start[clone], end[clone])[0])
            if ready_s < timeline.calendar.horizon_s:
                found.append(Decision(ready_s, clone, "refresh"))
    return found


def _barriers(scenario: Scenario, timeline: Timeline) -> Floats:
    choice = scenario.chosen("rebalance")
    if choice is None or scenario.luns.count < 2:
        return np.zeros(0)
    return turns_s(float(choice.value("every")), float(choice.value("at")), timeline.calendar)


def _rebalanced(scenario: Scenario, timeline: Timeline, sizes: _Sizes, barrier_s: float) -> list[Decision]:
    """Clones that move at a rebalance: one by one from the fullest LUN to the emptiest, while that evens them out.

    Of the fullest LUN's clones, the one moves that brings both nearest to each other; its delta is made anew there.
    """
    clones = np.arange(timeline.clones)
    lun = timeline.lun_at(clones, barrier_s)
    each = space_of(scenario, 1).clone_bytes
    held = np.array([sizes.on_lun(clone, barrier_s) + each for clone in clones.tolist()])
    anew = np.array([sizes.anew(clone, barrier_s) + each for clone in clones.tolist()])
    used = np.bincount(lun, held, minlength=scenario.luns.count)
    start, end = timeline.sessions_by_clone()
    found, moved = [], np.zeros(clones.size, np.bool_)
    while True:
        full, empty = int(used.argmax()), int(used.argmin())
        mine = np.flatnonzero((lun == full) & ~moved)
        if not mine.size:
            break
        gap = np.abs((used[full] - held[mine]) - (used[empty] + anew[mine]))
        best = int(mine[gap.argmin()])
        if gap.min() >= used[full] - used[empty]:
            break
        used[full] -= held[best]
        used[empty] += anew[best]
        moved[best], lun[best] = True, empty
        ready_s = float(after_logoff(np.array([barrier_s]), start[best], end[best])[0])
        if ready_s < timeline.calendar.horizon_s:
            found.append(Decision(ready_s, best, "rebalance", empty))
    return found
