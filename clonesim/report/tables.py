"""Frames of a run as the tables that stand behind its charts: the figures drawn, in the units drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from clonesim.report.tree import table
from clonesim.units import GIB
from clonesim.words import number

if TYPE_CHECKING:
    from clonesim.pool.run import Run

MOST_ROWS: Final = 60  # of days; of more, every so many
DAY_S, HOUR_S = 86400.0, 3600.0
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def days_shown(days: int) -> list[int]:
    """Days that a table has a row of: all, or every so many, always the last one."""
    step = -(-days // MOST_ROWS)
    return sorted({*range(step - 1, days, step), days - 1})


def growth_table(run: Run) -> Element:
    """Quantiles of a desktop's delta at the end of each day, and medians of what was written and used. [GiB]"""
    by_day = run.desktops.groupby("day")
    parts = {f"{share}": by_day["delta_bytes"].quantile(share) / GIB for share in (0.05, 0.5, 0.95)}
    parts |= {name: by_day[name].median() / GIB for name in ("written_bytes", "guest_used_bytes")}
    rows = _by_day(run, pd.DataFrame(parts), lambda value: f"{value:.3f}")
    head = ["End of day", "Delta, 5 % of desktops below [GiB]", "Median [GiB]", "95 % below [GiB]"]
    head += ["Written, median [GiB]", "Guest used, median [GiB]"]
    return table(head, rows, "Delta of one desktop by day")


def band_table(run: Run) -> Element:
    """Mean delta under each policy. [GiB]"""
    assert run.band is not None
    parts = {
        f"{policy}, discards {'on' if discards else 'off'} [GiB]": part.set_index("day")["delta_mean_bytes"] / GIB
        for (policy, discards), part in run.band.groupby(["policy", "discards"], sort=False)
    }
    rows = _by_day(run, pd.DataFrame(parts), lambda value: f"{value:.3f}")
    head = ["End of day", *parts]
    return table(head, rows, "Mean delta of a desktop under each allocation policy")


def sources_table(run: Run) -> Element:
    """What each source holds of the deltas, and what it writes."""
    sums, desktops = run.source_bytes, run.scenario.pool.clones * run.replicates
    held, written = (max(int(sums[name].sum()), 1) for name in ("held_bytes", "written_bytes"))
    rows = [
        [
            str(name),
            number(100 * row["held_bytes"] / held),
            number(100 * row["written_bytes"] / written),
            number(row["held_bytes"] / desktops / GIB),
            number(row["written_bytes"] / desktops / GIB),
        ]
        for name, row in sums.iterrows()
        if row["held_bytes"] or row["written_bytes"]
    ]
    head = ["Source", "Of the delta [%]", "Of what is written [%]", "In one delta, mean [GiB]", "Written, mean [GiB]"]
    return table(head, rows, "What the deltas are made of, by source")


def fill_table(run: Run) -> Element:
    """How full the datastores are at the end of each day, and when each is full. [%]"""
    size = run.scenario.luns.size
    hours = run.luns.assign(day=np.floor(run.luns["time_s"] / DAY_S).astype(np.int64))
    last = hours.groupby(["replicate", "lun", "day"])[["used_bytes", "desktops_down"]].last().reset_index()
    shares = 100 * last.assign(share=last["used_bytes"] / size).groupby("day")["share"].agg(["max", "median", "min"])
    shares["down"] = last.groupby("day")["desktops_down"].sum()
    rows = _by_day(run, shares, lambda value: f"{value:.1f}".removesuffix(".0"))
    head = ["End of day", "Fullest [%]", "Median [%]", "Emptiest [%]", "Desktops down"]
    return table(head, rows, "Used share of the datastores by day, all replicates")


def increments_table(run: Run) -> Element:
    """Mean growth steps in each hour of the week. [1/h]"""
    start, horizon = run.scenario.pool.start, run.scenario.horizon_s
    hours = np.floor(run.increments["time_s"].to_numpy() / HOUR_S).astype(np.int64)
    counts = np.bincount(hours, minlength=int(np.ceil(horizon / HOUR_S)))
    week = (np.arange(counts.size) + 24 * start.weekday()) % 168
    seen = np.bincount(week, minlength=168)
    mean = np.bincount(week, weights=counts, minlength=168) / np.maximum(seen, 1) / max(run.replicates, 1)
    rows = [
        [
            f"{hour:02d}:00",
            *(number(round(mean[24 * day + hour], 3)) if seen[24 * day + hour] else "-" for day in range(7)),
        ]
        for hour in range(24)
    ]
    return table(["Hour", *WEEKDAYS], rows, "Growth steps an hour, mean of the weeks, all datastores together")


def lock_table(run: Run) -> Element:
    """Waits in the worst hour of each day, and the locks of the busiest. [ms]"""
    names = ["wait_p50_s", "wait_p99_s", "wait_max_s"]
    taken = run.luns.assign(
        locks=run.luns["reservations"] + run.luns["ats"], met=run.luns["conflicts"] + run.luns["miscompares"]
    )
    by_day = taken.groupby(np.floor(run.luns["time_s"] / DAY_S).astype(np.int64))
    waits, busy = 1e3 * by_day[names].max(), by_day[["locks", "met"]].max() / HOUR_S
    rows = _by_day(run, waits.join(busy).join(by_day["locks_failed"].max()))
    head = [
        "Day",
        "Wait, median [ms]",
        "99th percentile [ms]",
        "Longest [ms]",
        "Locks [1/s]",
        "Conflicts [1/s]",
        "Gave up",
    ]
    return table(head, rows, "Locks in the worst hour of each day, datastore where each figure is highest")


def load_table(run: Run) -> Element:
    """The worst minute of each day. [1/s]"""
    worst = run.peaks.loc[run.peaks.groupby("day")["iops"].idxmax()].set_index("day")
    times = {int(day): float(at) for day, at in zip(worst.index, worst["time_s"], strict=True)}
    columns = ["lun", "iops", "read_iops", "write_iops", "mean_iops"]
    rows = _by_day(run, worst[columns], lambda value: number(round(value, 1)))
    rows = [[row[0], _clock(times[int(row[0]) - 1]), *row[1:]] for row in rows]
    head = ["Day", "Worst minute", "Datastore", "I/Os [1/s]", "Reads [1/s]", "Writes [1/s]", "Mean of the day [1/s]"]
    return table(head, rows, "I/Os of the busiest datastore in the worst minute of each day")


def latency_table(run: Run) -> Element:
    """Latency of the array. [ms]"""
    hours = run.luns.groupby(["replicate", "time_s"])["latency_p95_s"].max().reset_index()
    by_day = hours.groupby(np.floor(hours["time_s"] / DAY_S).astype(np.int64))["latency_p95_s"]
    rows = _by_day(run, 1e3 * pd.DataFrame({"median": by_day.median(), "max": by_day.max()}))
    return table(["Day", "Median hour [ms]", "Worst hour [ms]"], rows, "Latency of the array, 95th percentile, by day")


def _clock(time_s: float) -> str:
    minutes = int(time_s % DAY_S) // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _by_day(run: Run, frame: pd.DataFrame, told: Callable[[float], str] = number) -> list[list[str]]:
    """Rows of a frame whose index is the day, from 0: that of its end, and the figures in words."""
    values = dict(zip((int(day) for day in frame.index), frame.to_numpy(np.float64).tolist(), strict=True))
    return [
        [str(day + 1), *(told(value) for value in values[day])]
        for day in days_shown(run.scenario.pool.days)
        if day in values
    ]
