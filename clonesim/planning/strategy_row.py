"""What one strategy came to in one replicate: space by tier, growth, locks, I/O, work of refreshes, state lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.backing import Backing, backing
from clonesim.pool.calendar import DAY_S
from clonesim.pool.clones import AMOUNTS, GROWTH
from clonesim.pool.desktop import activity_of
from clonesim.pool.luns import LunResult, space_of
from clonesim.pool.power import REFRESHED
from clonesim.pool.replicates import Replicate
from clonesim.pool.strategies.layout import LUN, OS, Layout, effective
from clonesim.pool.strategies.sizes import ARRAY, sizes_of
from clonesim.scenario.model import Scenario

TIERS: Final = {
    "os-delta": "os_bytes",
    "user-data": "user_bytes",
    "disposable": "disposable_bytes",
    "share": "share_bytes",
}
USERS_OWN: Final = ("profile", "user-data")  # tags of what a user would miss
LOGON: Final = ("logon", "profile-load", "new-profile", "appx-first-logon")  # sources that a logon waits for
COLUMNS: Final = (
    *("guest_bytes", "delta_mean_bytes", "delta_p95_bytes", "delta_peak_bytes", "datastore_bytes", "array_bytes"),
    *(*TIERS.values(), "replica_bytes", "swap_bytes", "storage_bytes", "luns_needed", "increments_a_day"),
    *("written_a_day_bytes", "away_a_day_bytes", "iops_max60", "elsewhere_iops_max60", "wait_p99_s", "conflicts"),
    *("refreshes", "refresh_hours", "hour_after_bytes", "state_lost_bytes", "logon_bytes"),
)

Ints = NDArray[np.int64]


def strategy_row(scenario: Scenario, asked: Scenario, one: Replicate, luns: Sequence[LunResult]) -> dict[str, Any]:
    """Figures of one strategy and replicate.

    Parameters
    ----------
    scenario : Scenario
        What was simulated, with the strategy.
    asked : Scenario
        What the comparison is for: its number of desktops decides how many LUNs are needed.
    one : Replicate
        The clones.
    luns : sequence of LunResult
        Their LUNs.

    Returns
    -------
    dict
        Of `COLUMNS`, all per desktop unless said otherwise: `guest_bytes`, what the guest uses at the end, all disks
        [B]; `delta_mean_bytes`, `delta_p95_bytes`, system disk's file at the end of a day, mean and 95th percentile
        over desktops and days, and `delta_peak_bytes`, mean over desktops of the largest at any time [B];
        `datastore_bytes`, all its files in whole allocation units, at the time when all desktops together need most,
        and `array_bytes`, what the array keeps of all LUNs at its largest, base images and swap files too, after the
        backing's copies, dead space of thin LUNs and deduplication [B]; `os_bytes`, `user_bytes`, `disposable_bytes`,
        `share_bytes`, the same by tier, each at its own largest, `replica_bytes`, `swap_bytes`, and `storage_bytes`,
        the sum of all tiers [B]; `luns_needed` for all desktops asked for [1]; `increments_a_day` [1/d];
        `written_a_day_bytes` on all disks, `away_a_day_bytes` that programs from packages no longer write [B/d];
        `iops_max60` of the worst minute of any LUN, by its own desktops, and `elsewhere_iops_max60` of the other
        storage's worst minute [1/s]; of all LUNs, `wait_p99_s` of the worst hour [s] and `conflicts` [1]; `refreshes`
        in all [1]; `refresh_hours`, in which one or more of the simulated clones is worked on, in the night or day with
        most [h]; `hour_after_bytes`, system disk's file an hour after it was set back [B]; `state_lost_bytes`, what the
        sources of the user's own had on the system disk at a refresh [B]; `logon_bytes`, written at a logon [B].
    """
    made = effective(scenario)
    activity = activity_of(made)
    layout = Layout.of(made, activity)
    growth = np.concatenate([batch.growth for batch in one.batches])  # (clones, disks, days, 4)
    sources = np.concatenate([batch.sources for batch in one.batches]).sum(axis=0)  # (disks, days, sources, 3)
    clones, _, days = growth.shape[:3]
    files = growth[..., GROWTH.index("delta_bytes")]
    row = _space(made, asked, layout, one, files[:, OS])
    written = sources[..., AMOUNTS.index("written_bytes")].sum()
    on_lun = np.bincount(one.timeline.lun, minlength=len(luns))
    iops = max(float(lun.peaks["iops"].max()) / max(1, int(on_lun[lun.lun])) for lun in luns)
    other = np.add.reduce([batch.elsewhere[:, :2].sum(axis=1) for batch in one.batches])
    waits = [float(lun.hours["wait_p99_s"].max()) for lun in luns]
    met = sum(int(lun.hours["conflicts"].sum() + lun.hours["miscompares"].sum()) for lun in luns)
    return {
        "guest_bytes": float(growth[..., -1, GROWTH.index("guest_used_bytes")].sum() / clones),
        **row,
        "array_bytes": _array(made, one, luns),
        "increments_a_day": sum(lun.time_s.size for lun in luns) / clones / days,
        "written_a_day_bytes": float(written) / clones / days,
        "away_a_day_bytes": sum(int(batch.away.sum()) for batch in one.batches) / clones / days,
        "iops_max60": iops,
        "elsewhere_iops_max60": float(other.max()) / 60.0 / clones,
        "wait_p99_s": float(np.nanmax([0.0, *waits])),
        "conflicts": float(met),
        **_refreshes(one, activity.tags, clones),
        "logon_bytes": _logon(one, activity.names, sources),
    }


def _space(made: Scenario, asked: Scenario, layout: Layout, one: Replicate, os_file: Ints) -> dict[str, float]:
    where, clones = backing(made.luns.backing), os_file.shape[0]
    steps = FileSteps.of(one)
    here = [place for place, disk in enumerate(layout.disks) if disk.where == LUN]
    fixed = space_of(made, 1)
    replica = fixed.fixed_bytes - fixed.clone_bytes
    on_lun = steps.largest(here, where) / clones
    tiers = dict.fromkeys(TIERS.values(), 0.0)
    for place, disk in enumerate(layout.disks):
        tiers[TIERS[disk.tier]] += steps.largest([place], where) / clones
    room = where.limit(made.luns.size) * (1.0 - made.luns.reserve) - replica
    each = on_lun + fixed.clone_bytes
    needed = np.ceil(asked.pool.clones / max(1.0, min(made.luns.clones_per_lun, room // each)))
    shared = replica * needed / asked.pool.clones
    return {
        "delta_mean_bytes": float(os_file.mean()),
        "delta_p95_bytes": float(np.quantile(os_file, 0.95)),
        "delta_peak_bytes": steps.own_largest(OS) / clones,
        "datastore_bytes": on_lun,
        **tiers,
        "replica_bytes": float(shared),
        "swap_bytes": float(fixed.clone_bytes),
        "storage_bytes": sum(tiers.values()) + float(shared) + float(fixed.clone_bytes),
        "luns_needed": float(needed),
    }


def _array(made: Scenario, one: Replicate, luns: Sequence[LunResult]) -> float:
    """Most that the array keeps of all LUNs, per desktop. [B]"""
    sizes = sizes_of(made, one, luns)
    return float(sizes.loc[sizes["size"] == ARRAY, "peak_bytes"].iloc[0])


@dataclass(frozen=True, slots=True)
class FileSteps:
    """Growth steps of all files of a replicate, in order of clone, disk and time, resets included.

    Attributes
    ----------
    time_s, disk : (n,) arrays
        When, and of which disk.
    first : (n,) bool array
        Whether it is the first one of its file.
    level : (n,) int64 array
        Size of the file after it. [B]
    """

    time_s: NDArray[np.float64]
    disk: NDArray[np.int8]
    first: NDArray[np.bool_]
    level: Ints

    @classmethod
    def of(cls, one: Replicate) -> Self:
        """Steps of a replicate's clones."""
        names = ("time_s", "clone", "disk", "size")
        columns = [np.concatenate([getattr(batch, name) for batch in one.batches]) for name in names]
        order = np.lexsort((columns[0], columns[2], columns[1]))
        time_s, clone, disk, size = (column[order] for column in columns)
        first = np.append(True, (np.diff(clone) != 0) | (np.diff(disk) != 0))[: order.size]
        total = np.cumsum(size)
        before = (total - size)[first]  # of all files before
        return cls(time_s, disk, first, total - before[np.cumsum(first) - 1])

    def largest(self, places: Sequence[int], where: Backing) -> float:
        """Most that the files of some disks took on a datastore at any time, all clones together. [B]"""
        taken = where.allocated(self.level)
        change = np.diff(taken, prepend=0)
        change[self.first] = taken[self.first]
        mine = np.isin(self.disk, places)
        order = np.argsort(self.time_s[mine], kind="stable")
        time_s, total = self.time_s[mine][order], np.cumsum(change[mine][order])
        settled = np.append(np.diff(time_s) > 0, True)[: time_s.size]  # what happens at one time happens together
        return float(total[settled].max(initial=0))

    def own_largest(self, place: int) -> float:
        """Largest size of each clone's file of a disk, summed over clones. [B]"""
        mine = self.disk == place
        starts = np.flatnonzero(self.first[mine])
        return float(np.maximum.reduceat(self.level[mine], starts).sum()) if starts.size else 0.0


def _refreshes(one: Replicate, tags: Sequence[str], clones: int) -> dict[str, float]:
    restarts = one.timeline.restarts
    mine = restarts.take(restarts.cause == REFRESHED)
    if not mine.clone.size:
        return {"refreshes": 0.0, "refresh_hours": 0.0, "hour_after_bytes": float("nan"), "state_lost_bytes": 0.0}
    night = np.floor((mine.start_s - DAY_S / 2) / DAY_S).astype(np.int64)
    hours = [_busy(mine.start_s[night == n], mine.up_s[night == n]) / 3600.0 for n in np.unique(night).tolist()]
    return {
        "refreshes": mine.clone.size / clones,
        "refresh_hours": float(max(hours)),
        "hour_after_bytes": _hour_after(one),
        "state_lost_bytes": _lost(one, np.isin(tags, USERS_OWN)) / mine.clone.size,
    }


def _busy(start_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> float:
    """Time in which one or more of these are under way. [s]"""
    order = np.argsort(start_s)
    start_s, until = start_s[order], np.maximum.accumulate(end_s[order])
    idle = np.maximum(start_s[1:] - until[:-1], 0.0).sum()
    return float(until[-1] - start_s[0] - idle)


def _lost(one: Replicate, own: NDArray[np.bool_]) -> float:
    """What some sources had on system disks when these were set back, all together. [B]

    Days count up to the last reset: those whose noon was before it.
    """
    found = 0
    for batch in one.batches:
        touched = batch.sources[:, OS, :, :, AMOUNTS.index("first_touch_bytes")]
        held = (touched - batch.sources[:, OS, :, :, AMOUNTS.index("released_bytes")])[:, :, own].sum(axis=2)
        for k, clone in enumerate(batch.job.clones):
            resets = one.timeline.emptied(clone, "refresh")
            days = int(np.floor(resets[-1] / DAY_S + 0.5)) if resets.size else 0
            found += int(held[k, :days].sum())
    return float(found)


def _hour_after(one: Replicate) -> float:
    """Mean size of the system disk's file an hour after it was set back. [B]"""
    found = []
    for batch in one.batches:
        for clone in batch.job.clones:
            rows = (batch.clone == clone) & (batch.disk == OS)
            time_s, total = batch.time_s[rows], np.cumsum(batch.size[rows])
            resets = one.timeline.emptied(clone, "refresh")
            found.append(total[np.searchsorted(time_s, resets + 3600.0, side="right") - 1])
    sizes = np.concatenate(found)
    return float(sizes.mean()) if sizes.size else float("nan")


def _logon(one: Replicate, names: Sequence[str], sources: Ints) -> float:
    """Bytes that the sources of a logon write, per logon. [B]"""
    mine = np.isin(names, LOGON)
    logons = int((one.timeline.session_clone >= 0).sum())
    return float(sources[..., mine, AMOUNTS.index("written_bytes")].sum()) / max(logons, 1)
