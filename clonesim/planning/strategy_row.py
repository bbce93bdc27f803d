"""What one strategy came to in one replicate: space, growth, locks, I/O, network, logons, work of refreshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clonesim.lun.backing import backing
from clonesim.planning.set_back import Resets, state_lost, work_hours
from clonesim.pool.calendar import DAY_S
from clonesim.pool.clones import AMOUNTS
from clonesim.pool.desktop import activity_of
from clonesim.pool.luns import LunResult
from clonesim.pool.power import RECOMPOSED
from clonesim.pool.replicates import Replicate
from clonesim.pool.space import second_image_bytes, space_of
from clonesim.pool.strategies.course import Course
from clonesim.pool.strategies.layout import LUN, OS, Disk, Layout
from clonesim.pool.strategies.ram_cache import overflowing
from clonesim.pool.strategies.sizes import SIZES, PoolSizes
from clonesim.pool.strategies.streams import share_bytes_of_pool
from clonesim.scenario.model import Scenario

TIERS: Final = {
    "os-delta": "os_bytes",
    "user-data": "user_bytes",
    "disposable": "disposable_bytes",
    "cache": "cache_bytes",
    "share": "share_bytes",
}
FIGURES: Final = ("mean_bytes", "p95_bytes", "peak_bytes")
PROFILE: Final = "profile"
USERS_OWN: Final = (PROFILE, "user-data")  # tags of what a user would miss; a profile that is streamed is on a share
LOGON: Final = ("logon", "profile-load", "new-profile", "appx-first-logon")  # sources that a logon waits for
COLUMNS: Final = (
    *(f"{size}_{figure}" for size in SIZES for figure in FIGURES),
    *(*TIERS.values(), "replica_bytes", "swap_bytes", "storage_bytes", "luns_needed", "increments_a_day"),
    *("written_a_day_bytes", "away_a_day_bytes", "network_a_day_bytes", "reclaimed_bytes", "reclaim_written_bytes"),
    *("iops_max60", "elsewhere_iops_max60", "wait_p99_s", "conflicts", "cache_full"),
    *("refreshes", "refresh_hours", "hour_after_bytes", "state_lost_bytes", "logon_bytes", "logon_added_s"),
)
OUTAGE: Final = "outage_day"  # beside them: infinite where there is none, so it has no mean

Ints = NDArray[np.int64]


def strategy_row(
    made: Scenario, asked: Scenario, one: Replicate, luns: Sequence[LunResult], resets: Resets
) -> dict[str, float]:
    """Figures of one strategy and replicate.

    Parameters
    ----------
    made : Scenario
        What was simulated, with the strategy and what it changes.
    asked : Scenario
        What the comparison is for, with the same strategy: its number of desktops decides how many LUNs are needed.
    one : Replicate
        The clones.
    luns : sequence of LunResult
        Their LUNs.
    resets : Resets
        When system disks were set back.

    Returns
    -------
    dict
        Of `COLUMNS`, all per desktop unless said otherwise.

        - `guest_`, `delta_`, `datastore_`, `array_` with `mean_bytes`, `p95_bytes`, `peak_bytes`: the four sizes of
          all disks, swap files and base images included, as `four_sizes` says; profiles and packages on shares are not.
          [B]
        - By tier, each at its largest at any time, all desktops together, files in whole allocation units: `os_bytes`
          (system disks), `user_bytes`, `disposable_bytes`, `cache_bytes` (files of write caches), `share_bytes` (file
          shares: containers, profiles, packages); `replica_bytes` (base images), `swap_bytes` (swap files, logs, small
          disks); `storage_bytes`, their sum. [B]
        - `luns_needed` for all desktops asked for. [1]
        - `increments_a_day` [1/d]; `written_a_day_bytes` on all disks; `away_a_day_bytes` that programs from packages
          no longer write; `network_a_day_bytes` to and from file shares and streaming servers [B/d];
          `reclaimed_bytes`, `reclaim_written_bytes`: given back by reclaiming, and written for that, in all. [B]
        - `iops_max60`, worst minute of any LUN, by its own desktops; `elsewhere_iops_max60`, that of all other storage
          [1/s]; of all LUNs, `wait_p99_s` of the worst hour [s] and `conflicts` [1]; `cache_full`, share of the
          desktops whose write cache needs more than its disk has [1].
        - `refreshes`, times a system disk was set back [1]; `refresh_hours` in which one or more of all desktops asked
          for are worked on, in the night or day with most [h]; `hour_after_bytes`, system disk's file an hour after it
          was set back [B]; `state_lost_bytes`, what the sources of the user's own had there, each time [B].
        - `logon_bytes`, written by the sources of a logon, and `logon_added_s`, waited for a profile, a container or
          packages: by logons. [B, s]

        And `OUTAGE`: day on which the first LUN is full with as many desktops as the scenario deals to one. [d]
    """
    activity = activity_of(made)
    layout = Layout.of(made, activity)
    sizes = PoolSizes.of(made, one, luns)
    sources = np.sum([batch.sources.sum(axis=0) for batch in one.batches], axis=0)  # (disks, days, sources, 3)
    clones, days = one.timeline.clones, made.pool.days
    written = float(sources[..., AMOUNTS.index("written_bytes")].sum())
    on_lun = np.bincount(one.timeline.lun, minlength=len(luns))
    iops = max(float(lun.peaks["iops"].max()) / max(1, int(on_lun[lun.lun])) for lun in luns)
    other = np.sum([batch.elsewhere[:, :2].sum(axis=1) for batch in one.batches], axis=0)
    waits = [float(lun.hours["wait_p99_s"].max()) for lun in luns]
    met = sum(int(lun.hours["conflicts"].sum() + lun.hours["miscompares"].sum()) for lun in luns)
    times = resets.time_s.size
    own = np.isin(
        activity.tags, [tag for tag in USERS_OWN if not (tag == PROFILE and made.chosen("profile-streaming"))]
    )
    tiers = _tiers(made, asked, layout, sizes, one)
    return {
        **_four(sizes.among(asked.pool.clones, int(tiers["luns_needed"]), int(tiers["swap_bytes"]))),
        **tiers,
        "increments_a_day": sum(lun.time_s.size for lun in luns) / clones / days,
        "written_a_day_bytes": written / clones / days,
        "away_a_day_bytes": total(one, "away_bytes") / clones / days,
        "network_a_day_bytes": total(one, "network_bytes") / clones / days,
        "reclaimed_bytes": total(one, "reclaimed_bytes") / clones,
        "reclaim_written_bytes": total(one, "reclaim_written_bytes") / clones,
        "iops_max60": iops,
        "elsewhere_iops_max60": float(other.max(initial=0)) / 60.0 / clones,
        "wait_p99_s": float(np.nanmax([0.0, *waits])),
        "conflicts": float(met),
        "cache_full": total(one, "cache_full") / clones,
        "refreshes": times / clones,
        "refresh_hours": work_hours(asked, one.timeline.restarts, clones),
        "hour_after_bytes": float(resets.after_bytes.mean()) if times else float("nan"),
        "state_lost_bytes": state_lost(one, resets, own) / times if times else 0.0,
        "logon_bytes": _logon(one, activity.names, sources),
        "logon_added_s": total(one, "logon_added_ms") / 1e3 / max(1, total(one, "logons")),
        OUTAGE: outage_day(made, asked, sizes, on_lun),
    }


def total(one: Replicate, name: str) -> int:
    """One of the totals of a replicate's clones, all together; names as of `clonesim.pool.clones.TOTALS`."""
    return sum(int(batch.total(name).sum()) for batch in one.batches)


def _four(sizes: PoolSizes) -> dict[str, float]:
    rows = {str(row["size"]): row for row in sizes.table(0).to_dict("records")}
    return {f"{size}_{figure}": float(rows[size][figure]) for size in SIZES for figure in FIGURES}


def _tiers(made: Scenario, asked: Scenario, layout: Layout, sizes: PoolSizes, one: Replicate) -> dict[str, float]:
    where, clones, pool = backing(made.luns.backing), sizes.clones, asked.pool.clones
    fixed = space_of(made, 1)
    replica = fixed.fixed_bytes - fixed.clone_bytes + sizes.extra_peak
    beside = float(fixed.clone_bytes)
    on_lun = sizes.largest([place for place, disk in enumerate(layout.disks) if disk.where == LUN]) / clones
    tiers = dict.fromkeys(TIERS.values(), 0.0)
    for place, disk in enumerate(layout.disks):
        tiers[TIERS[_tier(made, place, disk)]] += sizes.largest([place]) / clones
    tiers["share_bytes"] += total(one, "profile_bytes") / clones + share_bytes_of_pool(asked) / pool
    room = where.limit(made.luns.size) * (1.0 - made.luns.reserve) - replica
    needed = np.ceil(pool / max(1.0, min(made.luns.clones_per_lun, room // (on_lun + beside))))
    shared = (replica * needed + sizes.replica_lun + _second_images(made, one)) / pool
    return {
        **tiers,
        "replica_bytes": float(shared),
        "swap_bytes": beside,
        "storage_bytes": sum(tiers.values()) + float(shared) + beside,
        "luns_needed": float(needed),
    }


def _second_images(made: Scenario, one: Replicate) -> int:
    """What a datastore for base images alone holds besides while clones are recomposed. [B]"""
    happens = made.luns.replica_lun and bool((one.timeline.restarts.cause == RECOMPOSED).any())
    return second_image_bytes(made) if happens else 0


def _tier(made: Scenario, place: int, disk: Disk) -> str:
    """Tier of a disk; the file behind a cache in memory is a cache itself."""
    return "cache" if place == OS and overflowing(made) else disk.tier


def outage_day(made: Scenario, asked: Scenario, sizes: PoolSizes, on_lun: NDArray[np.integer]) -> float:
    """Day on which the first LUN is full; infinite if none is. [d]

    Parameters
    ----------
    made, asked : Scenario
        What was simulated, and what it stands for.
    sizes : PoolSizes
        Of the clones.
    on_lun : (luns,) int array
        Clones of each LUN at the start. [1]

    Notes
    -----
    Each LUN has as many desktops as `luns.clones_per_lun` says, which grow as those simulated do: with 25 of 64
    simulated, their bytes count 2.56 times.
    """
    many = min(made.luns.clones_per_lun, asked.pool.clones)
    beside = space_of(made, many).fixed_bytes
    limit, first_s = backing(made.luns.backing).limit(made.luns.size), np.inf
    for lun, here in enumerate(on_lun.tolist()):
        if not here:
            continue
        mine = sizes.files[sizes.files["lun"] == lun]
        used = Course.of_steps(mine["time_s"].to_numpy(), mine["taken"].to_numpy(), sizes.horizon_s)
        level = used.value * many / here
        if lun in sizes.extra:
            level = level + Course.of_steps(*sizes.extra[lun], sizes.horizon_s).at(used.time_s)
        over = np.flatnonzero(beside + level > limit)
        first_s = min(first_s, float(used.time_s[over[0]])) if over.size else first_s
    return first_s / DAY_S


def _logon(one: Replicate, names: Sequence[str], sources: Ints) -> float:
    """Bytes that the sources of a logon write, per logon. [B]"""
    mine = np.isin(names, LOGON)
    logons = int((one.timeline.session_clone >= 0).sum())
    return float(sources[..., mine, AMOUNTS.index("written_bytes")].sum()) / max(logons, 1)
